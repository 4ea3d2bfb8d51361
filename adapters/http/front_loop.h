/* front_loop.h - inside the front door: what a loop of it owns. */
#ifndef HOLDFAST_FRONT_LOOP_H
#define HOLDFAST_FRONT_LOOP_H

#include <stdatomic.h>

#include "actors/actors.h"
#include "actors/catalog/catalog.h"
#include "adapters/http/api_call.h"
#include "adapters/http/api_parse.h"
#include "adapters/http/front.h"
#include "adapters/http/http_list.h"
#include "adapters/http/json_out.h"
#include "holdfast/bytes.h"

struct front {
  struct front_config config;
  unsigned loops;
  struct front_limit *limit; /* NULL: no rate is configured */
  char *openapi;             /* the document, and its tag */
  size_t openapi_size;
  char openapi_etag[API_ETAG_MAX];
  /* Written by the first loop once it listens, read by the others and by main. Relaxed: the number
   * is all that is passed. */
  _Atomic uint32_t port, admin_port;
  _Atomic uint32_t streams; /* open ones of all loops; relaxed: a count, nothing hangs on it */
  _Atomic bool draining;
  /* One per loop: does it take requests? Written by its loop, read by /readyz of any. */
  _Atomic bool ready[];
};

enum { FRONT_COOKIE_TICK = 1, FRONT_COOKIE_STREAMS }; /* of the actor's timers */

struct front_listener { /* the `user` of an http_loop */
  struct front_loop *loop;
  bool admin;
};

/* What the streams of a partition know together of entries that nobody tells of, because another
 * node writes them: one of them looks, for all. */
struct stream_look {
  uint64_t seen; /* the newest that any of them has read */
  uint64_t low;  /* the first that one of those misses who have nothing to read, at the last tick */
  uint64_t poll_at_us, poll_us;
  const struct api_stream *reader; /* who looks now; or NULL */
};

struct front_loop {
  rt_ctx *ctx;
  struct front *front;
  rt_id self;
  struct http_loop *http, *admin;
  struct front_listener http_listener, admin_listener;
  struct api_auth *auth;
  struct json_out out;      /* the reply that is being built */
  struct api_parse parse;   /* working memory */
  struct hf_bytes text;     /* the running handler's decoded parameters */
  struct http_list streams; /* struct api_stream: open, of this loop */
  unsigned streams_count;
  struct stream_look *looks; /* by partition */
  bool streams_tick;         /* the timer that looks after them runs */
  struct api_call *free_calls;
  unsigned calls;   /* unanswered, or answered with asks still out */
  unsigned closing; /* http loops that are not closed yet, in front_stop */
  bool entered;     /* code of the front door runs in a turn of its actor */
  bool draining;
  uint64_t give_up_us; /* of the drain: open connections do not hold it up any longer */
};

static inline struct front_loop *front_loop_of(const rt_ctx *ctx)
{
  return rt_local(ctx, HF_LOCAL_FRONT);
}
void front_count(struct front_loop *loop, enum front_metric metric, uint64_t delta);
void front_observe(struct front_loop *loop, enum front_metric metric, uint64_t value);
/* Names what keeps the server from being ready, or NULL. Refreshes this loop's word. */
const char *front_not_ready(struct front_loop *loop);

/* front_log.c: the access log and the request metrics, as the transport's observer. */
extern const struct http_observer front_observer;

#endif
