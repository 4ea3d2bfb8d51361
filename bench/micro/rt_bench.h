/* rt_bench.h - what the measurements of the runtime share: clock, cores, memory, a finish line. */
#ifndef HOLDFAST_BENCH_RT_BENCH_H
#define HOLDFAST_BENCH_RT_BENCH_H

#include "holdfast/driver.h"
#include "holdfast/rt.h"

uint64_t bench_ns(void);

/* The calling thread stays on one core from here on, or goes where it likes again. */
void bench_pin(unsigned core);
void bench_unpin(void);
/* For loop_start of rt_config: each loop on a core of its own. */
void bench_loop_pin(void *arg, rt_ctx *ctx);
/* Passes the time without sleeping. */
void bench_pause(uint64_t span_ns);
/* Anonymous memory of the process, in bytes. */
uint64_t bench_memory(void);

/* Sorts `values`; then the value below which `share` (0..1) of them lie. */
uint64_t bench_percentile(uint64_t *values, unsigned count, double share);

/* Runs a runtime over driver_uv: starts it, posts `op` to `to`, waits for bench_finish, stops it.
 * Returns the nanoseconds from the post to the finish. */
uint64_t bench_run(const struct rt_config *config, rt_id to, uint16_t op, uint64_t word);
/* The value of a series in the metrics of the last bench_run, as its loops ended. */
double bench_series(const char *series);
/* The finish line by itself: bench_line_wait returns once for each bench_finish. */
void bench_line_init(void);
void bench_line_wait(void);
/* Keeps the metrics of a runtime for bench_series. */
void bench_keep(rt *runtime);
/* Any thread: the measurement is over. */
void bench_finish(void);

#endif
