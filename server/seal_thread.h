/* seal_thread.h - a thread of the server that makes a seal now and then.
 *
 * It reads through an engine of its own, so that neither loops nor commits wait for it. A seal that
 * cannot be made is logged, counted and tried again at the next time. */
#ifndef HOLDFAST_SEAL_THREAD_H
#define HOLDFAST_SEAL_THREAD_H

#include <stdatomic.h>

#include "holdfast/rt.h"
#include "server/options.h"

/* X(NAME, prometheus name, type, unit, help): what /metrics says of it. */
#define SEAL_METRICS(X)                                                                            \
  X(MADE, "holdfast_seals_made_total", RT_COUNTER, 1.0, "Seals that this process made")            \
  X(FAILED, "holdfast_seals_failed_total", RT_COUNTER, 1.0,                                        \
    "Seals that this process could not make; the log says why")                                    \
  X(AGE, "holdfast_seal_age_seconds", RT_GAUGE, 1e-6,                                              \
    "Since this process made its last seal, or began to wait for the first; 0 when it makes none")
enum seal_metric {
#define X(NAME, name, type, unit, help) SEAL_M_##NAME,
  SEAL_METRICS(X)
#undef X
    SEAL_METRIC_COUNT
};
extern const struct rt_metric seal_metrics[SEAL_METRIC_COUNT];

/* The sealer writes it, any thread reads it; each word stands alone, so all of it is relaxed. All
 * zero: there is no sealer. */
struct seal_watch {
  atomic_uint_fast64_t made, failed;
  atomic_int_fast64_t since_us; /* of the monotonic clock: the last seal, or the sealer's start */
};
/* Prometheus text. */
void seal_watch_write(const struct seal_watch *watch,
                      void (*sink)(void *arg, const char *text, size_t size), void *arg);

struct seal_thread;
/* NULL when the options want no seals, or the store keeps nothing to seal; `ret_failed`: when it
 * cannot start, which is told on stderr. `watch` outlives the thread. */
struct seal_thread *seal_thread_start(const struct options *options, struct seal_watch *watch,
                                      bool *ret_failed);
/* Waits until it has ended; a seal under way is given up. */
void seal_thread_stop(struct seal_thread *thread);

#endif
