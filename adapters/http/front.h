/* front.h - the front door: listeners on every loop, and the actor that asks for the clients.
 *
 * Owner: struct front is made before the runtime starts and freed after it ended; it is read-only
 *        in between, but for the words marked atomic. Everything else belongs to one loop.
 * Flow:  socket -> http -> api_call -> rt_ask (user, names, catalog, store) -> this actor -> reply.
 *        What cannot be asked because the runtime is full is answered 429 or 503 before it was
 *        accepted, and the sockets are not read on until front_ingress.
 * Time:  rt_now_us for deadlines and rates, rt_wall_us for what clients see. */
#ifndef HOLDFAST_FRONT_H
#define HOLDFAST_FRONT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "adapters/http/api_auth.h"
#include "adapters/http/api_cursor.h"
#include "adapters/http/front_limit.h"
#include "adapters/http/front_metrics.h"
#include "adapters/http/http.h"
#include "holdfast/error.h"
#include "holdfast/rt.h"

extern const rt_class hf_front_class; /* kind HF_KIND_FRONT, one per loop */

enum front_log_level { FRONT_LOG_DEBUG, FRONT_LOG_INFO, FRONT_LOG_WARN };

struct front_flag { /* GET /v1/flags */
  const char *name;
  bool on;
};

struct json_out;

/* Proves things from outside the database. NULL prove: there is nothing to prove with. */
struct front_prover {
  /* A blocking call on a thread of `pool`, one at a time: HF_OK and an object in `out`; or
   * PROOF_NOT_FOUND, or retryable. */
  enum hf_error (*prove)(void *arg, uint64_t user, struct json_out *out);
  void *arg;
  unsigned pool; /* of rt_config */
};

struct front_config { /* what it points to outlives the front door */
  const char *host;
  uint16_t port;              /* 0: any; front_port tells which */
  const char *admin_host;     /* NULL: no second listener */
  uint16_t admin_port;        /* it serves /livez, /readyz and /metrics; then /metrics on the first
                                 listener asks for an admin key */
  struct http_limits limits;  /* body_max is raised to what the routes need */
  struct api_admin_key admin; /* of the environment */
  uint8_t cursor_secret[API_CURSOR_KEY_SIZE]; /* the database's: the same over restarts and nodes */
  struct front_rate key_rate;                 /* per service key; requests 0: none */
  struct front_rate address_rate;             /* per client address; requests 0: none */
  bool rate_loopback;                         /* the address rate counts loopback addresses too */
  unsigned streams_max;    /* change streams that may be open, of all loops [1000] */
  uint64_t stream_beat_us; /* a stream that has nothing to say says that so often [15 s] */
  struct front_prover prover;
  const char *const *origins; /* allowed for browsers' cross-origin requests; exact */
  size_t origins_count;
  const struct front_flag *flags;
  size_t flags_count;
  const char *version;  /* of the server */
  unsigned metric_base; /* id of the first FRONT_M_* cell */
  int log_level;        /* enum front_log_level: below it nothing is built */
  void (*log)(void *arg, int level, const char *json); /* one line, any loop; may be NULL */
  void *log_arg;
  /* Adds to /metrics what the process counts beside its loops, by rt_metric_write. Any loop; may be
   * NULL. */
  void (*metrics)(void *arg, void (*sink)(void *to, const char *text, size_t size), void *to);
  void *metrics_arg;
  /* A listener of a later loop could not be made: the process should end. Any loop; may be NULL. */
  void (*failed)(void *arg, const char *what);
  void *failed_arg;
};
void front_config_default(struct front_config *ret_config);

struct front;
struct front *front_new(const struct front_config *config, unsigned loops);
void front_free(struct front *front);

/* rt_config.loop_start calls it, after HF_LOCAL_SETUP is set: opens this loop's listeners. With
 * port 0 the first loop picks the port; the others follow as soon as it is known. 0, or a negative
 * errno. */
int front_start(struct front *front, rt_ctx *ctx);
/* rt_config.ingress calls it: reads sockets on. */
void front_ingress(rt_ctx *ctx);
/* rt_config.loop_stop calls it: closes what the drain has left open. */
void front_stop(rt_ctx *ctx);

/* Any thread. 0 until the first loop listens. */
uint16_t front_port(const struct front *front);
uint16_t front_admin_port(const struct front *front);
/* Any thread: every loop takes requests. */
bool front_ready(const struct front *front);

#endif
