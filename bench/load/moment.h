/* moment.h - the generator's clock: monotonic nanoseconds.
 *
 * Thread: any. All latencies and schedules are differences of this clock. */
#ifndef BENCH_MOMENT_H
#define BENCH_MOMENT_H

#include <poll.h>
#include <stdint.h>
#include <time.h>

#define MOMENT_US 1000ull
#define MOMENT_MS 1000000ull
#define MOMENT_S 1000000000ull

static inline uint64_t moment_now_ns(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
  return (uint64_t)now.tv_sec * MOMENT_S + (uint64_t)now.tv_nsec;
}

/* Waits until that time, within what the kernel's timers can do; returns earlier on a signal.
 * Pacing is what a load generator is for: nothing is synchronised by this. */
static inline void moment_wait_until(uint64_t until_ns)
{
  uint64_t now_ns = moment_now_ns();
  if (now_ns >= until_ns)
    return;
  struct timespec left = {.tv_sec = (time_t)((until_ns - now_ns) / MOMENT_S),
                          .tv_nsec = (long)((until_ns - now_ns) % MOMENT_S)};
  (void)ppoll(NULL, 0, &left, NULL);
}

#endif
