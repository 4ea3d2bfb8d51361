#include "front_limit.h"

#include <stdatomic.h>

#include <sodium.h>

#include "holdfast/check.h"
#include "holdfast/hash.h"
#include "holdfast/rt.h"

#define PROBES 8u

/* Both words are only ever changed by compare-and-swap. They need not agree at any instant: a name
 * whose cell is taken over in the middle of a request lends or borrows one request at the most. No
 * other memory hangs on them, so the order is relaxed. */
struct cell {
  _Atomic uint64_t name; /* hash; 0: never used */
  _Atomic uint64_t due;  /* theoretical arrival time, microseconds */
};

struct front_limit {
  uint8_t key[crypto_shorthash_KEYBYTES];
  size_t mask;
  struct cell cells[];
};

struct front_limit *front_limit_new(size_t cells)
{
  CHECK(cells >= PROBES && (cells & (cells - 1)) == 0);
  struct front_limit *limit = rt_alloc(sizeof *limit + cells * sizeof limit->cells[0]);
  limit->mask = cells - 1;
  hf_random_bytes(limit->key, sizeof limit->key);
  return limit;
}

void front_limit_free(struct front_limit *limit)
{
  rt_free(limit);
}

static struct cell *cell_of(struct front_limit *limit, uint64_t name)
{
  struct cell *soonest = NULL;
  uint64_t soonest_due = UINT64_MAX;
  for (unsigned i = 0; i < PROBES; i++) {
    struct cell *cell = &limit->cells[(name + i) & limit->mask];
    const uint64_t has = atomic_load_explicit(&cell->name, memory_order_relaxed);
    if (has == name)
      return cell;
    const uint64_t due = has == 0 ? 0 : atomic_load_explicit(&cell->due, memory_order_relaxed);
    if (soonest == NULL || due < soonest_due) {
      soonest = cell;
      soonest_due = due;
    }
  }
  uint64_t has = atomic_load_explicit(&soonest->name, memory_order_relaxed);
  if (has != name && atomic_compare_exchange_strong_explicit(
                       &soonest->name, &has, name, memory_order_relaxed, memory_order_relaxed))
    atomic_store_explicit(&soonest->due, 0, memory_order_relaxed);
  return soonest;
}

static uint32_t seconds_up(uint64_t us)
{
  return (uint32_t)((us + 999999u) / 1000000u);
}

struct front_quota front_limit_take(struct front_limit *limit, struct front_rate rate,
                                    const void *name, size_t name_size, uint64_t now_us)
{
  CHECK(rate.requests > 0 && rate.window_s > 0);
  uint64_t hash;
  _Static_assert(sizeof hash == crypto_shorthash_BYTES, "SipHash gives 64 bits");
  crypto_shorthash((unsigned char *)&hash, name, name_size, limit->key);
  struct cell *cell = cell_of(limit, hash == 0 ? 1 : hash);

  const uint64_t window = (uint64_t)rate.window_s * 1000000u;
  const uint64_t step = window / rate.requests == 0 ? 1 : window / rate.requests;
  uint64_t due = atomic_load_explicit(&cell->due, memory_order_relaxed);
  uint64_t next;
  do {
    const uint64_t from = due > now_us ? due : now_us;
    next = from + step;
    if (next - now_us > window)
      return (struct front_quota){.passed = false,
                                  .reset_s = seconds_up(from - now_us),
                                  .retry_s = seconds_up(next - now_us - window)};
  } while (!atomic_compare_exchange_weak_explicit(&cell->due, &due, next, memory_order_relaxed,
                                                  memory_order_relaxed));
  return (struct front_quota){.passed = true,
                              .remaining = (uint32_t)((window - (next - now_us)) / step),
                              .reset_s = seconds_up(next - now_us)};
}
