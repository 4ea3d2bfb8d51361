/* libsodium's random numbers, of the seed: what a handler salts and names is the same in the same
 * run. They have a stream of their own, so that a draw more shifts no other. */
#include <string.h>

#include <jansson.h>
#include <sodium.h>

#include "tests/sim/sim.h"

static uint64_t stream;

static uint32_t draw(void)
{
  uint64_t z = (stream += 0x9e3779b97f4a7c15ull); /* splitmix64 */
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return (uint32_t)(z ^ (z >> 31));
}

static void fill(void *const bytes, const size_t size)
{
  uint8_t *at = bytes;
  for (size_t i = 0; i < size; i++)
    at[i] = (uint8_t)draw();
}

static const char *name(void)
{
  return "seeded";
}

static randombytes_implementation seeded = {
  .implementation_name = name, .random = draw, .buf = fill};

void sim_random_seed(uint64_t seed)
{
  CHECK(sodium_init() >= 0); /* which draws some for itself, once */
  CHECK(randombytes_set_implementation(&seeded) == 0);
  stream = seed;
  json_object_seed(1); /* its tables would draw their own */
}
