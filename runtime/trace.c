/* The text of the trace ring. The thread-local pointer is the one piece of state outside a runtime:
 * CHECK may fail anywhere and has no context to ask. */
#include "trace.h"

#include <inttypes.h>
#include <stdio.h>

static _Thread_local const struct trace *bound;

void trace_bind(const struct trace *trace)
{
  bound = trace;
}

static void id_text(char *text, size_t size, rt_id id)
{
  snprintf(text, size, "%u/%u/%" PRIu64, rt_id_kind(id), rt_id_shard(id), rt_id_serial(id));
}

void rt_trace_dump(void (*sink)(void *arg, const char *text, size_t size), void *arg)
{
  if (bound == NULL) {
    return;
  }
  char line[200];
  uint64_t first = bound->count > TRACE_SIZE ? bound->count - TRACE_SIZE : 0;
  int size =
    snprintf(line, sizeof line, "trace of loop %u, kind/shard/serial, oldest first\n", bound->loop);
  sink(arg, line, (size_t)size);
  for (uint64_t i = first; i < bound->count; i++) {
    const struct trace_record *record = &bound->records[i % TRACE_SIZE];
    char to[48];
    char from[48];
    id_text(to, sizeof to, record->to);
    id_text(from, sizeof from, record->from);
    size = snprintf(line, sizeof line, "%" PRIu64 "us to=%s from=%s op=%u %s=%" PRIu32 "%s%s%s%s\n",
                    record->time_us, to, from, record->op,
                    (record->flags & TRACE_STALL) != 0 ? "stall_ms" : "corr", record->corr,
                    (record->flags & RT_F_ASK) != 0 ? " ask" : "",
                    (record->flags & RT_F_REPLY) != 0 ? " reply" : "",
                    (record->flags & RT_F_SYSTEM) != 0 ? " system" : "",
                    (record->flags & TRACE_STALL) != 0 ? " STALL" : "");
    sink(arg, line, (size_t)size);
  }
}
