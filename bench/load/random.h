/* random.h - a small, fast, seeded generator of numbers (xorshift64*, seeded by splitmix64).
 *
 * Owner: one thread each. Good enough to draw users and arrival times; not for secrets. */
#ifndef BENCH_RANDOM_H
#define BENCH_RANDOM_H

#include <stdint.h>

struct random {
  uint64_t state; /* never 0 */
};

static inline struct random random_seeded(uint64_t seed)
{
  uint64_t z = seed + 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  z ^= z >> 31;
  return (struct random){.state = z != 0 ? z : 1};
}

static inline uint64_t random_next(struct random *random)
{
  uint64_t x = random->state;
  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  random->state = x;
  return x * 0x2545f4914f6cdd1dull;
}

/* Uniform in [0, limit); limit > 0 and below 2^32, so that the bias is below 2^-32. */
static inline uint32_t random_below(struct random *random, uint32_t limit)
{
  return (uint32_t)(((random_next(random) >> 32) * limit) >> 32);
}

/* Uniform in (0, 1]. */
static inline double random_unit(struct random *random)
{
  return ((double)(random_next(random) >> 11) + 1.0) * 0x1.0p-53;
}

#endif
