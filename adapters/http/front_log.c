/* front_log.c - what the transport reports about finished exchanges: metrics and the access log. */
#include <string.h>

#include "adapters/http/front_loop.h"
#include "holdfast/check.h"

static void write_line(const struct front_loop *loop, const struct http_exchange *exchange,
                       const struct api_call *call, unsigned status, size_t bytes_in,
                       size_t bytes_out, uint64_t duration_us, int level)
{
  const struct http_request *request = http_request_of(exchange);
  struct json_out out = {0};
  json_out_begin_object(&out);
  json_out_key(&out, "request_id");
  json_out_string(&out, http_request_id(exchange));
  json_out_key(&out, "method");
  json_out_string(&out, route_method_text(request->method));
  json_out_key(&out, "route");
  json_out_string(&out, call == NULL || call->route == NULL ? "unmatched" : call->route->path);
  json_out_key(&out, "status");
  json_out_unsigned(&out, status);
  json_out_key(&out, "duration_us");
  json_out_unsigned(&out, duration_us);
  json_out_key(&out, "bytes_in");
  json_out_unsigned(&out, bytes_in);
  json_out_key(&out, "bytes_out");
  json_out_unsigned(&out, bytes_out);
  json_out_key(&out, "ip");
  json_out_string(&out, http_peer_address(exchange));
  if (call != NULL && call->caller.id[0] != '\0') {
    json_out_key(&out, "key_id");
    json_out_string(&out, call->caller.id);
  }
  json_out_end_object(&out);
  char *line = memcpy(rt_alloc(out.size + 1), out.at, out.size);
  loop->front->config.log(loop->front->config.log_arg, level, line);
  rt_free(line);
  json_out_deinit(&out);
}

static void exchange_end(void *user, const struct http_exchange *exchange, unsigned status,
                         size_t bytes_in, size_t bytes_out, uint64_t duration_us)
{
  const struct front_listener *listener = user;
  struct front_loop *loop = listener->loop;
  const struct front_config *config = &loop->front->config;
  const struct api_call *call = http_data(exchange);
  const unsigned route = call == NULL || call->route == NULL ? ROUTE_COUNT : call->route->id;
  const unsigned class = status < 200 ? 0 : status >= 600 ? 3 : status / 100 - 2;
  rt_count(loop->ctx, config->metric_base + FRONT_M_REQUESTS + route * FRONT_CLASSES + class, 1);
  rt_observe(loop->ctx, config->metric_base + (unsigned)FRONT_M_SECONDS + route, duration_us);
  front_count(loop, FRONT_M_BYTES_IN, bytes_in);
  front_count(loop, FRONT_M_BYTES_OUT, bytes_out);

  const int level = status >= 500 ? FRONT_LOG_WARN : FRONT_LOG_DEBUG;
  if (config->log != NULL && level >= config->log_level)
    write_line(loop, exchange, call, status, bytes_in, bytes_out, duration_us, level);
}

static void connections(void *user, struct http_loop *http, unsigned open)
{
  const struct front_listener *listener = user;
  struct front_loop *loop = listener->loop;
  (void)http;
  const struct front_listener *other =
    listener->admin ? &loop->http_listener : &loop->admin_listener;
  const struct http_loop *others = other->admin ? loop->admin : loop->http;
  const unsigned all = open + (others == NULL ? 0 : http_loop_connections(others));
  rt_gauge(loop->ctx, loop->front->config.metric_base + FRONT_M_CONNECTIONS, all);
}

static void refused(void *user, const char *reason)
{
  const struct front_listener *listener = user;
  enum front_metric metric = FRONT_M_REFUSED_OTHER;
  if (strcmp(reason, "connections") == 0)
    metric = FRONT_M_REFUSED_CONNECTIONS;
  else if (strcmp(reason, "per_address") == 0)
    metric = FRONT_M_REFUSED_ADDRESS;
  else if (strcmp(reason, "parse") == 0)
    metric = FRONT_M_REFUSED_PARSE;
  else if (strcmp(reason, "slow_reader") == 0)
    metric = FRONT_M_REFUSED_SLOW;
  front_count(listener->loop, metric, 1);
}

static void deferred(void *user)
{
  const struct front_listener *listener = user;
  front_count(listener->loop, FRONT_M_DEFERRED, 1);
}

const struct http_observer front_observer = {
  .exchange_end = exchange_end,
  .connections = connections,
  .refused = refused,
  .deferred = deferred,
};
