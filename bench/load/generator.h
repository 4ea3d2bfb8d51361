/* generator.h - one thread that drives HTTP/1.1 connections with epoll and measures the replies.
 *
 * Owner: everything here belongs to the calling thread, but for `progress`, which any thread reads.
 * Time: moment.h. In a closed loop a latency starts when the request is handed to the kernel. In an
 *       open loop it starts when the request was scheduled, whether or not a connection was free
 *       (no coordinated omission).
 * Limits: GENERATOR_CONNECTIONS_MAX, GENERATOR_PIPELINE_MAX; a run ends at the latest
 *       `grace_ns` after its window. */
#ifndef BENCH_GENERATOR_H
#define BENCH_GENERATOR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "histogram.h"
#include "script.h"

#define GENERATOR_CONNECTIONS_MAX 65536u
#define GENERATOR_PIPELINE_MAX 1024u
#define GENERATOR_STATUS_MAX 600u

struct generator_plan {
  struct sockaddr_storage address;
  socklen_t address_size;
  unsigned connections;
  unsigned pipeline; /* requests in flight on one connection */
  double rate_per_s; /* open loop when > 0 */
  bool poisson;      /* open loop: exponential gaps instead of equal ones */
  uint64_t seed;
  uint64_t start_ns;   /* when sending starts */
  uint64_t measure_ns; /* when the window opens; replies before it are warm-up */
  uint64_t end_ns;     /* when the window closes and nothing more is sent */
  uint64_t grace_ns;   /* how long to wait for the replies still out then */
};

struct generator_result {
  uint64_t replies;    /* inside the window, as are the next four */
  uint64_t unexpected; /* replies that the script did not expect */
  uint64_t ops_applied;
  uint64_t ops_refused;
  uint64_t statuses[GENERATOR_STATUS_MAX];
  uint64_t unanswered;        /* sent or scheduled in the window, no reply at the end of grace */
  uint64_t broken;            /* requests lost with their connection, whole run */
  uint64_t bad_replies;       /* connections closed because of an unreadable reply, whole run */
  uint64_t connects_failed;   /* whole run */
  uint64_t reconnects;        /* whole run */
  uint64_t finished_ns;       /* when the last counted reply could have come: end_ns, or earlier */
  bool exhausted;             /* the script had nothing more to send */
  unsigned unexpected_status; /* of the first unexpected reply of the whole run, 0: none */
  char unexpected_body[400];  /* its body, cut */
  struct histogram latencies;
  _Atomic uint64_t progress; /* replies of the whole run; relaxed, for display only */
};

/* Runs the plan to its end on this thread. `result` must be zeroed. */
void generator_run(const struct generator_plan *plan, const struct script *script,
                   struct generator_result *result);

#endif
