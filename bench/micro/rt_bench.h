/* rt_bench.h - what the micro benchmarks of the runtime share: a clock, a table, a finish line.
 *
 * Each benchmark is a plain program that prints one row for each measurement: the best and the
 * median of its runs beside the goal. Other load on the machine moves the median, not the best. */
#ifndef HOLDFAST_BENCH_RT_BENCH_H
#define HOLDFAST_BENCH_RT_BENCH_H

#include "holdfast/driver.h"
#include "holdfast/rt.h"

#define BENCH_RUNS_MAX 15u

uint64_t bench_ns(void);

/* One measurement: `unit` of each run. */
struct bench_row {
  const char *name;
  const char *unit;
  const char *goal;
  double values[BENCH_RUNS_MAX];
  unsigned count;
  bool more_is_better;
};

void bench_head(void);
void bench_add(struct bench_row *row, double value);
void bench_print(struct bench_row *row);
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
/* Any thread: the measurement is over. */
void bench_finish(void);

#endif
