/* runner.h - runs one generator per thread, shows progress and adds up what they found.
 *
 * Thread: the caller, who sleeps meanwhile, reads the processor times at both ends of the window
 * and draws the progress line (standard error, only when it is a terminal). */
#ifndef BENCH_RUNNER_H
#define BENCH_RUNNER_H

#include <stdbool.h>
#include <stdint.h>

#include "generator.h"
#include "process.h"

#define RUNNER_THREADS_MAX 64u

struct runner_config {
  struct generator_plan plan; /* connections and rate of all threads together; times are ignored */
  unsigned threads;
  uint64_t warmup_ns;
  uint64_t duration_ns;
  const struct process_set *servers;
  const struct process_set *stores; /* with their children; NULL: none */
  const char *label;                /* for the progress line */
  uint64_t expected;                /* replies until the script is exhausted, 0: unknown */
};

struct runner_result {
  struct generator_result totals;
  double seconds;                                 /* of the window */
  double self_cpu_s;                              /* inside the window */
  double servers_cpu_s;                           /* inside the window */
  double stores_cpu_s;                            /* inside the window */
  uint64_t resident_kb_before, resident_kb_after; /* of the servers */
};

/* scripts: config->threads of them. ret_result is large: give it static or heap memory. */
void runner_run(const struct runner_config *config, const struct script *scripts,
                struct runner_result *ret_result);
/* Connections of that thread when they are shared out. */
unsigned runner_connections_of(const struct runner_config *config, unsigned thread);

#endif
