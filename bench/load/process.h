/* process.h - what processes cost: processor time and resident memory, read from /proc.
 *
 * Thread: any; trees have a buffer of their own, so one thread. Processor time of others comes in
 * clock ticks (usually 10 ms), our own in microseconds. */
#ifndef BENCH_PROCESS_H
#define BENCH_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#define PROCESS_PIDS_MAX 32u

struct process_set {
  long pids[PROCESS_PIDS_MAX];
  unsigned count;
};

struct process_cost {
  double cpu_s;         /* user and system, sum over the set */
  uint64_t resident_kb; /* sum over the set */
};

/* Parses "12,13"; false when it is not a list of at most PROCESS_PIDS_MAX positive numbers. */
bool process_set_parse(const char *text, struct process_set *ret_set);
/* Cost so far; a process that is gone counts nothing. */
struct process_cost process_set_cost(const struct process_set *set);
/* Processor seconds so far of the set and of all children that its processes have now or had: a
 * database that works in one process per connection. */
double process_set_tree_cpu_s(const struct process_set *set);
/* Processor seconds of this process so far. */
double process_self_cpu_s(void);

#endif
