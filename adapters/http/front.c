/* front.c - the front door's actor and listeners.
 *
 * Happy path: front_start listens; requests go to api_serve, answers to api_answered.
 * Ways to fail: no socket (front_start's result, or `failed` for a loop that had to wait for its
 * port); the runtime is full (sockets rest until front_ingress); the runtime ends (answers of
 * accepted requests still go out, everything new gets 503).
 * Invariant: api code runs in a turn of this actor, or between rt_enter and rt_leave. */
#include "front.h"

#include <errno.h>
#include <string.h>

#include "actors/store/messages.h"
#include "adapters/http/api_stream.h"
#include "adapters/http/front_loop.h"
#include "adapters/http/openapi.h"
#include "holdfast/check.h"

#define LIMIT_CELLS 65536u
#define TICK_WAITING_US 5000u   /* for the port or the partitions */
#define TICK_US 250000u         /* is this loop still ready? */
#define TICK_DRAINING_US 20000u /* are the connections gone? */
#define CLOSE_EARLY_US 500000u  /* before the end of a drain, what is left open is given up */

void front_config_default(struct front_config *ret_config)
{
  memset(ret_config, 0, sizeof *ret_config);
  ret_config->host = "127.0.0.1";
  ret_config->version = "0.0.0";
  ret_config->log_level = FRONT_LOG_INFO;
  ret_config->streams_max = 1000;
  ret_config->stream_beat_us = 15000000;
  http_limits_default(&ret_config->limits);
}

struct front *front_new(const struct front_config *config, unsigned loops)
{
  struct front *front = rt_alloc(sizeof *front + loops * sizeof front->ready[0]);
  CHECK(loops > 0 && config->version != NULL && config->host != NULL);
  front->config = *config;
  front->loops = loops;
  if (front->config.limits.body_max < ROUTE_BATCH_MAX)
    front->config.limits.body_max = ROUTE_BATCH_MAX;
  if (config->key_rate.requests > 0 || config->address_rate.requests > 0)
    front->limit = front_limit_new(LIMIT_CELLS);
  struct json_out out = {0};
  openapi_write(&out, config->version);
  front->openapi = out.at;
  front->openapi_size = out.size;
  const struct hf_digest digest = hf_digest(out.at, out.size);
  front->openapi_etag[0] = '"';
  hf_hex(digest.bytes, sizeof digest.bytes, front->openapi_etag + 1);
  memcpy(front->openapi_etag + 1 + 2 * sizeof digest.bytes, "\"", 2);
  return front;
}

void front_free(struct front *front)
{
  if (front == NULL)
    return;
  front_limit_free(front->limit);
  rt_free(front->openapi);
  rt_free(front);
}

uint16_t front_port(const struct front *front)
{
  return (uint16_t)atomic_load_explicit(&front->port, memory_order_relaxed);
}

uint16_t front_admin_port(const struct front *front)
{
  return (uint16_t)atomic_load_explicit(&front->admin_port, memory_order_relaxed);
}

bool front_ready(const struct front *front)
{
  for (unsigned i = 0; i < front->loops; i++) {
    if (!atomic_load_explicit(&front->ready[i], memory_order_relaxed))
      return false;
  }
  return !atomic_load_explicit(&front->draining, memory_order_relaxed);
}

void front_count(struct front_loop *loop, enum front_metric metric, uint64_t delta)
{
  rt_count(loop->ctx, loop->front->config.metric_base + (unsigned)metric, delta);
}

void front_observe(struct front_loop *loop, enum front_metric metric, uint64_t value)
{
  rt_observe(loop->ctx, loop->front->config.metric_base + (unsigned)metric, value);
}

const char *front_not_ready(struct front_loop *loop)
{
  const bool own = loop->http != NULL && !loop->draining && catalog_of(loop->ctx) != NULL &&
                   hf_loop_ready(loop->ctx) && hf_store_open(loop->ctx);
  atomic_store_explicit(&loop->front->ready[rt_loop_index(loop->ctx)], own, memory_order_relaxed);
  if (loop->draining || atomic_load_explicit(&loop->front->draining, memory_order_relaxed))
    return "draining";
  return front_ready(loop->front) ? NULL : "store";
}

/* ---- sockets --------------------------------------------------------------------------------- */

static void on_request(struct http_exchange *exchange, void *user)
{
  const struct front_listener *listener = user;
  struct front_loop *loop = listener->loop;
  const bool enter = !loop->entered;
  if (enter) {
    rt_enter(loop->ctx, loop->self);
    loop->entered = true;
  }
  api_serve(loop, exchange, listener->admin);
  if (enter) {
    loop->entered = false;
    rt_leave(loop->ctx);
  }
  if (!rt_ingress_open(loop->ctx) && !loop->draining)
    http_loop_pause(loop->http);
}

static enum hf_error on_head(const struct http_request *head, size_t *ret_body_max, void *user)
{
  const struct front_listener *listener = user;
  return api_head_check(listener->loop, head, listener->admin, ret_body_max);
}

static int listen_on(struct front_loop *loop, struct front_listener *listener, const char *host,
                     uint16_t port, struct http_loop **ret_http)
{
  errno = 0;
  *ret_http = http_loop_new(loop->ctx, host, port, &loop->front->config.limits, on_request, on_head,
                            &front_observer, listener);
  if (*ret_http != NULL)
    return 0;
  return errno == 0 ? -EIO : -errno;
}

/* Opens what this loop can open by now; 0 also when it has to wait for the first loop's port. */
static int listen_when_known(struct front_loop *loop)
{
  struct front *front = loop->front;
  const struct front_config *config = &front->config;
  const bool first = rt_loop_index(loop->ctx) == 0;
  int error = 0;
  uint16_t port = config->port != 0 ? config->port : front_port(front);
  if (loop->http == NULL && (port != 0 || first)) {
    error = listen_on(loop, &loop->http_listener, config->host, port, &loop->http);
    if (error == 0 && first)
      atomic_store_explicit(&front->port, http_loop_port(loop->http), memory_order_relaxed);
  }
  port = config->admin_port != 0 ? config->admin_port : front_admin_port(front);
  if (error == 0 && config->admin_host != NULL && loop->admin == NULL && (port != 0 || first)) {
    error = listen_on(loop, &loop->admin_listener, config->admin_host, port, &loop->admin);
    if (error == 0 && first)
      atomic_store_explicit(&front->admin_port, http_loop_port(loop->admin), memory_order_relaxed);
  }
  return error;
}

static bool listens(const struct front_loop *loop)
{
  return loop->http != NULL && (loop->admin != NULL || loop->front->config.admin_host == NULL);
}

/* ---- actor ----------------------------------------------------------------------------------- */

struct front_state {
  struct front_loop *loop; /* NULL: this process has no front door on the loop */
};

static rt_status front_load(rt_ctx *ctx, void *state)
{
  struct front_state *front = state;
  front->loop = front_loop_of(ctx);
  if (front->loop != NULL)
    (void)rt_timer(ctx, TICK_WAITING_US, FRONT_COOKIE_TICK);
  return RT_OK;
}

static void gauge_buffers(const struct front_loop *loop)
{
  const size_t bytes = (loop->http == NULL ? 0 : http_loop_buffered(loop->http)) +
                       (loop->admin == NULL ? 0 : http_loop_buffered(loop->admin));
  rt_gauge(loop->ctx, loop->front->config.metric_base + FRONT_M_BUFFERED, (int64_t)bytes);
}

static void tick(struct front_loop *loop)
{
  uint64_t again_us = TICK_US;
  if (loop->draining) {
    again_us = TICK_DRAINING_US;
  } else if (!listens(loop)) {
    const int error = listen_when_known(loop);
    again_us = TICK_WAITING_US;
    if (error != 0 && loop->front->config.failed != NULL) {
      loop->front->config.failed(loop->front->config.failed_arg, strerror(-error));
      return;
    }
  }
  (void)front_not_ready(loop);
  gauge_buffers(loop);
  if (!loop->draining &&
      !atomic_load_explicit(&loop->front->ready[rt_loop_index(loop->ctx)], memory_order_relaxed))
    again_us = TICK_WAITING_US;
  (void)rt_timer(loop->ctx, again_us, FRONT_COOKIE_TICK);
}

static void drain(struct front_loop *loop)
{
  loop->draining = true;
  atomic_store_explicit(&loop->front->draining, true, memory_order_relaxed);
  (void)front_not_ready(loop);
  api_streams_end(loop);
  /* What rests because of back-pressure must be read, to be told 503. */
  if (loop->http != NULL) {
    http_loop_resume(loop->http);
    http_loop_drain(loop->http);
  }
  if (loop->admin != NULL)
    http_loop_drain(loop->admin);
  (void)rt_timer(loop->ctx, TICK_DRAINING_US, FRONT_COOKIE_TICK);
}

static rt_status front_handle(rt_ctx *ctx, void *state, const rt_env *env)
{
  struct front_loop *loop = ((struct front_state *)state)->loop;
  (void)ctx;
  CHECK(loop != NULL);
  CHECK(!loop->entered);
  loop->entered = true;
  switch (env->op) {
  case RT_OP_TIMER:
    if (env->payload.u[0] == FRONT_COOKIE_STREAMS)
      api_streams_tick(loop);
    else
      tick(loop);
    break;
  case RT_OP_STOPPING:
    loop->give_up_us = env->payload.u[0] > CLOSE_EARLY_US ? env->payload.u[0] - CLOSE_EARLY_US : 1;
    drain(loop);
    break;
  case RT_OP_EXPIRED:
  case RT_OP_OVERLOADED:
  case RT_OP_DOWN:
  case HF_DONE:
  case HF_BALANCES_DONE:
  case HF_PEEK_DONE:
  case HF_READ_DONE:
  case HF_CREATE_DONE:
  case HF_ASSET_DONE:
    api_answered(loop, env);
    break;
  case HF_PROVED:
    api_proved(loop, env->payload.p.ptr);
    break;
  default:
    CHECK(env->op == HF_DONE); /* answers only come here */
  }
  loop->entered = false;
  return RT_OK;
}

/* A drain goes on until the last reply has left; connections that never end do not hold it up. */
static bool front_idle(const void *state)
{
  const struct front_loop *loop = ((const struct front_state *)state)->loop;
  if (loop == NULL)
    return true;
  if (loop->calls > 0)
    return false;
  const unsigned open = (loop->http == NULL ? 0 : http_loop_connections(loop->http)) +
                        (loop->admin == NULL ? 0 : http_loop_connections(loop->admin));
  return open == 0 || rt_now_us(loop->ctx) >= loop->give_up_us;
}

static const uint8_t front_may_ask[] = {HF_KIND_STORE, HF_KIND_CATALOG, HF_KIND_USER,
                                        HF_KIND_NAMES, HF_KIND_PEER,    0};

const rt_class hf_front_class = {
  .name = "front",
  .kind = HF_KIND_FRONT,
  .flags = RT_CLASS_PER_LOOP,
  .state_bytes = sizeof(struct front_state),
  .stash_max = 0,
  .may_ask = front_may_ask,
  .load = front_load,
  .handle = front_handle,
  .idle = front_idle,
};

/* ---- start and stop -------------------------------------------------------------------------- */

int front_start(struct front *front, rt_ctx *ctx)
{
  CHECK(front_loop_of(ctx) == NULL && hf_setup_of(ctx) != NULL);
  CHECK(rt_loop_index(ctx) < front->loops);
  struct front_loop *loop = rt_alloc(sizeof *loop);
  loop->ctx = ctx;
  loop->front = front;
  loop->self = hf_loop_actor(HF_KIND_FRONT, rt_loop_index(ctx));
  loop->http_listener = (struct front_listener){loop, false};
  loop->admin_listener = (struct front_listener){loop, true};
  loop->auth = api_auth_new(&front->config.admin);
  http_list_init(&loop->streams);
  loop->looks = rt_alloc(sizeof *loop->looks << hf_setup_of(ctx)->partition_bits);
  rt_set_local(ctx, HF_LOCAL_FRONT, loop);
  return listen_when_known(loop);
}

void front_ingress(rt_ctx *ctx)
{
  struct front_loop *loop = front_loop_of(ctx);
  if (loop != NULL && loop->http != NULL)
    http_loop_resume(loop->http);
}

static void loop_free(struct front_loop *loop)
{
  while (loop->free_calls != NULL) {
    struct api_call *call = loop->free_calls;
    loop->free_calls = call->next;
    rt_free(call);
  }
  api_auth_free(loop->auth);
  json_out_deinit(&loop->out);
  api_parse_deinit(&loop->parse);
  hf_bytes_deinit(&loop->text);
  rt_free(loop->looks);
  rt_free(loop);
}

static void on_closed(void *arg)
{
  struct front_loop *loop = arg;
  CHECK(loop->closing > 0);
  if (--loop->closing == 0)
    loop_free(loop);
}

void front_stop(rt_ctx *ctx)
{
  struct front_loop *loop = front_loop_of(ctx);
  if (loop == NULL)
    return;
  rt_set_local(ctx, HF_LOCAL_FRONT, NULL);
  loop->closing = 1;
  if (loop->http != NULL) {
    loop->closing++;
    http_loop_close(loop->http, on_closed, loop);
  }
  if (loop->admin != NULL) {
    loop->closing++;
    http_loop_close(loop->admin, on_closed, loop);
  }
  on_closed(loop);
}
