/* trace.h - the last dispatches of a loop, for the dump of a failed CHECK.
 *
 * Owner: one loop writes; trace_dump reads on the same thread. Always on; a few nanoseconds each.
 * Limits: TRACE_SIZE records; older ones are overwritten. */
#ifndef HOLDFAST_RUNTIME_TRACE_H
#define HOLDFAST_RUNTIME_TRACE_H

#include "holdfast/rt.h"

#define TRACE_SIZE 256u

struct trace_record {
  uint64_t time_us;
  rt_id to, from;
  uint32_t corr; /* of a TRACE_STALL: milliseconds that it took */
  uint16_t op;
  uint16_t flags; /* RT_F_* of the message, or TRACE_STALL */
};

#define TRACE_STALL 0x8000u /* the batch that ended with this dispatch held the loop up */

struct trace {
  struct trace_record records[TRACE_SIZE];
  uint64_t count; /* records ever written */
  unsigned loop;
};

/* Makes `trace` the one that rt_trace_dump shows on the calling thread; NULL: none. */
void trace_bind(const struct trace *trace);

static inline struct trace_record *trace_next(struct trace *trace)
{
  return &trace->records[trace->count++ % TRACE_SIZE];
}

static inline void trace_write(struct trace *trace, uint64_t time_us, const rt_env *env)
{
  struct trace_record *record = trace_next(trace);
  record->time_us = time_us;
  record->to = env->to;
  record->from = env->from;
  record->corr = env->corr;
  record->op = env->op;
  record->flags = env->flags;
}

#endif
