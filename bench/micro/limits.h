/* limits.h - what the runtime is measured beside: the same work with nothing around it. */
#ifndef HOLDFAST_BENCH_LIMITS_H
#define HOLDFAST_BENCH_LIMITS_H

#include <stdint.h>

/* A queue of envelopes in an array, and a call through a pointer for each. Nanoseconds. */
double limit_ping(uint64_t messages);
double limit_count(uint64_t messages, unsigned window);
double limit_fork(uint64_t rounds, unsigned actors);

/* Two threads on a core each. Nanoseconds for all messages. */
double limit_ring(uint64_t messages, unsigned batch);
/* One word to and fro, both sides spinning: the mean of a hop, and its median. */
double limit_line_hop(double *ret_median_ns);

/* Nanoseconds of each of `count` wakes with `gap_ns` between them, measured from before the wake
 * to the woken thread, which sleeps on a futex or in epoll on an eventfd. */
void limit_futex_wakes(uint64_t *samples, unsigned count, uint64_t gap_ns);
void limit_epoll_wakes(uint64_t *samples, unsigned count, uint64_t gap_ns);
/* There and back between two threads that both sleep. */
void limit_futex_trips(uint64_t *samples, unsigned count);
/* libuv's own pool of one thread, `open` requests at a time. Nanoseconds for all. */
double limit_uv_work(unsigned jobs, unsigned open);

/* Nanoseconds of each. */
double limit_touch(unsigned actors, unsigned touches);
double limit_heap_blocks(unsigned blocks, unsigned live);
void limit_list(unsigned timers, double *ret_arm_ns, double *ret_move_ns);
double limit_event_heap(unsigned pending, unsigned events);

#endif
