/* front_limit.h - request rates: one GCRA per service key or address, shared by all loops.
 *
 * Owner: the process; any loop's thread. Time: rt_now_us of the caller.
 * A fixed table of cells; each is two words that are changed by compare-and-swap. When all cells
 * that a name may use are busy with others, the one that is free soonest is taken over: the table
 * forgets, it never grows and never refuses on its own account.
 * GCRA as in ITU-T I.371: a cell keeps the theoretical arrival time of the next request. */
#ifndef HOLDFAST_FRONT_LIMIT_H
#define HOLDFAST_FRONT_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct front_rate {
  uint32_t requests; /* in a window, all of which may come at once; 0: no limit */
  uint32_t window_s; /* seconds */
};

struct front_limit;
struct front_limit *front_limit_new(size_t cells); /* a power of two */
void front_limit_free(struct front_limit *limit);

struct front_quota {
  bool passed;
  uint32_t remaining; /* requests that may still come at once */
  uint32_t reset_s;   /* until all of them may, rounded up */
  uint32_t retry_s;   /* when not passed: until the next one may, rounded up; at least 1 */
};
/* Counts one request of `name` (any bytes) and says whether it is within the rate. */
struct front_quota front_limit_take(struct front_limit *limit, struct front_rate rate,
                                    const void *name, size_t name_size, uint64_t now_us);

#endif
