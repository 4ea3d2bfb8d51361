/* own.h - the runtime's own metrics: one table, from which the ids and the descriptors come.
 *
 * Owner: as metrics.h. The scalar series come first, so that a cell is found by its number alone;
 * then those of each class and of each pool; the histograms last. */
#ifndef HOLDFAST_RUNTIME_OWN_H
#define HOLDFAST_RUNTIME_OWN_H

#include "metrics.h"

/* X(id, name, labels, type, help): one cell each, in counts */
#define OWN_SCALARS(X)                                                                             \
  X(MESSAGES_LOCAL, "rt_messages_total", "source=\"local\"", RT_COUNTER,                           \
    "Messages dispatched, by where they came from.")                                               \
  X(MESSAGES_RING, "rt_messages_total", "source=\"ring\"", RT_COUNTER, "")                         \
  X(MESSAGES_POSTED, "rt_messages_total", "source=\"posted\"", RT_COUNTER, "")                     \
  X(MESSAGES_TIMER, "rt_messages_total", "source=\"timer\"", RT_COUNTER, "")                       \
  X(MESSAGES_JOB, "rt_messages_total", "source=\"job\"", RT_COUNTER, "")                           \
  X(MESSAGES_STASH, "rt_messages_total", "source=\"stash\"", RT_COUNTER, "")                       \
  X(MESSAGES_SYSTEM, "rt_messages_total", "source=\"system\"", RT_COUNTER, "")                     \
  X(TURNS, "rt_turns_total", "", RT_COUNTER, "Turns of the loops.")                                \
  X(SLEEPS, "rt_sleeps_total", "", RT_COUNTER, "Times that a loop went to sleep.")                 \
  X(WAKES, "rt_wakes_total", "", RT_COUNTER, "Sleeping loops that another loop woke.")             \
  X(SLOW, "rt_slow_batches_total", "", RT_COUNTER,                                                 \
    "Batches of at most 16 dispatches that took over 1 ms.")                                       \
  X(STALLS, "rt_stalls_total", "", RT_COUNTER,                                                     \
    "Batches of at most 16 dispatches that took over 25 ms.")                                      \
  X(EXPIRED, "rt_undelivered_total", "reason=\"expired\"", RT_COUNTER,                             \
    "Messages that no actor got: asks were answered, tells dropped.")                              \
  X(OVERLOADED, "rt_undelivered_total", "reason=\"overloaded\"", RT_COUNTER, "")                   \
  X(DOWN, "rt_undelivered_total", "reason=\"down\"", RT_COUNTER, "")                               \
  X(REFUSED, "rt_sends_refused_total", "", RT_COUNTER,                                             \
    "Sends that found no room, not even in the overflow list.")                                    \
  X(QUARANTINES, "rt_quarantines_total", "", RT_COUNTER,                                           \
    "Actors that failed three times in 60 s and are refused for 60 s.")                            \
  X(INGRESS_CLOSURES, "rt_ingress_closures_total", "", RT_COUNTER,                                 \
    "Times that a loop stopped taking work from outside.")                                         \
  X(INGRESS_CLOSED, "rt_ingress_closed", "", RT_GAUGE,                                             \
    "Loops that take no work from outside now.")                                                   \
  X(QUEUED_LOCAL, "rt_queue_depth", "queue=\"local\"", RT_GAUGE,                                   \
    "Messages that wait, at the end of the last turn.")                                            \
  X(QUEUED_HELD, "rt_queue_depth", "queue=\"overflow\"", RT_GAUGE, "")                             \
  X(QUEUED_STASHED, "rt_queue_depth", "queue=\"stash\"", RT_GAUGE, "")                             \
  X(ASKS, "rt_asks_in_flight", "", RT_GAUGE, "Asks whose reply is still to come.")                 \
  X(CREDITS, "rt_credits_used", "", RT_GAUGE, "Asks from outside in flight.")                      \
  X(TIMERS, "rt_timers_armed", "", RT_GAUGE, "Timers that are armed.")

/* X(id, name, type, help): one cell for each class, with the label class */
#define OWN_CLASS_SCALARS(X)                                                                       \
  X(LIVE, "rt_actors_live", RT_GAUGE, "Actors in memory.")                                         \
  X(ACTIVATED, "rt_activations_total", RT_COUNTER, "Actors that came to life.")                    \
  X(PASSIVATED, "rt_passivations_total", RT_COUNTER, "Actors that left memory without failing.")   \
  X(FAILED, "rt_failures_total", RT_COUNTER, "Actors that failed.")

/* X(id, name, type, help): one cell for each pool, with the label pool */
#define OWN_POOL_SCALARS(X)                                                                        \
  X(JOBS_IN_FLIGHT, "rt_jobs_in_flight", RT_GAUGE, "Jobs queued or running.")                      \
  X(JOBS, "rt_jobs_total", RT_COUNTER, "Jobs handed to the pool.")                                 \
  X(JOBS_REFUSED, "rt_jobs_refused_total", RT_COUNTER, "Jobs that the full pool refused.")

enum own_scalar {
#define X(id, name, labels, type, help) OWN_##id,
  OWN_SCALARS(X)
#undef X
    OWN_COUNT
};

enum own_class_scalar {
#define X(id, name, type, help) OWN_CLASS_##id,
  OWN_CLASS_SCALARS(X)
#undef X
    OWN_CLASS_COUNT
};

enum own_pool_scalar {
#define X(id, name, type, help) OWN_POOL_##id,
  OWN_POOL_SCALARS(X)
#undef X
    OWN_POOL_COUNT
};

/* The descriptors of a runtime's own metrics and where each group of them begins, as ids relative
 * to the first one. */
struct own_metrics {
  struct rt_metric *table;
  unsigned count;
  char *labels; /* text of the labels of classes and pools */
  unsigned first_class, first_pool;
  unsigned turn_seconds, wait_seconds, first_job_seconds; /* histograms */
};

void own_init(struct own_metrics *own, const struct rt_config *config);
void own_deinit(struct own_metrics *own);

#endif
