/* api_serve.c - from a complete HTTP request to its handler: routing, keys, rates, negotiation.
 *
 * Order of judgement: authentication, route, rate, size, media types, query. Paths outside of /v1
 * need no key, so there an unknown one is 404 for everybody. */
#include <stdio.h>
#include <string.h>

#include "adapters/http/front_loop.h"
#include "holdfast/check.h"

static const struct store_key_row *key_of(const void *arg, const char *id, size_t size)
{
  const struct catalog *catalog = arg;
  return catalog == NULL ? NULL : catalog_key(catalog, id, size);
}

static bool authenticate(struct front_loop *loop, const struct http_request *request,
                         struct api_caller *ret_caller)
{
  return http_field_count(request, "authorization") == 1 &&
         api_auth_check(loop->auth, http_field_get(request, "authorization"), key_of,
                        catalog_of(loop->ctx), ret_caller);
}

bool api_still_known(const struct api_call *call)
{
  struct api_caller caller;
  return authenticate(call->loop, http_request_of(call->exchange), &caller) &&
         api_auth_allows(&caller, call->route->scopes);
}

static bool is_api_path(struct http_slice path)
{
  return path.size >= 4 && memcmp(path.at, "/v1/", 4) == 0;
}

static bool is_operational(const struct route *route)
{
  return route != NULL &&
         (route->id == ROUTE_LIVEZ || route->id == ROUTE_READYZ || route->id == ROUTE_METRICS);
}

/* The second listener has three routes. With it, the first gives them to known callers only. */
static bool needs_key(const struct front_loop *loop, const struct route_match *match,
                      struct http_slice path, bool admin)
{
  if (admin)
    return false;
  if (match->route == NULL)
    return is_api_path(path);
  if (is_operational(match->route))
    return loop->front->config.admin_host != NULL;
  return match->route->auth == ROUTE_SERVICE;
}

static struct route_match match_of(const struct http_request *request, bool admin)
{
  struct route_match match = route_find(request->method, request->path);
  if (admin && match.route != NULL && !is_operational(match.route))
    match = (struct route_match){.error = HF_E_ROUTE_NOT_FOUND};
  return match;
}

/* ---- cross-origin requests ------------------------------------------------------------------- */

static const char *allowed_origin(const struct front_config *config,
                                  const struct http_request *request)
{
  const struct http_slice origin = http_field_get(request, "origin");
  for (size_t i = 0; i < config->origins_count && origin.at != NULL; i++) {
    if (strlen(config->origins[i]) == origin.size &&
        memcmp(config->origins[i], origin.at, origin.size) == 0)
      return config->origins[i];
  }
  return NULL;
}

static void add_cors(const struct front_config *config, struct http_exchange *exchange)
{
  if (config->origins_count == 0)
    return;
  const char *origin = allowed_origin(config, http_request_of(exchange));
  http_add_header(exchange, "Vary", "Origin");
  if (origin == NULL)
    return;
  http_add_header(exchange, "Access-Control-Allow-Origin", origin);
  http_add_header(exchange, "Access-Control-Expose-Headers",
                  "ETag, Idempotency-Replayed, Next-From-Seq, RateLimit, RateLimit-Policy, "
                  "Retry-After, X-Request-Id");
}

static void answer_options(struct api_call *call, const struct route_match *match)
{
  char allow[ROUTE_ALLOW_MAX];
  const struct http_request *request = http_request_of(call->exchange);
  if (match->methods == 0) {
    api_fail(call, HF_E_ROUTE_NOT_FOUND);
    return;
  }
  route_allow(match->methods, allow);
  http_add_header(call->exchange, "Allow", allow);
  if (allowed_origin(&call->loop->front->config, request) != NULL) {
    http_add_header(call->exchange, "Access-Control-Allow-Methods", allow);
    http_add_header(call->exchange, "Access-Control-Allow-Headers",
                    "Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, "
                    "X-Request-Id");
    http_add_header(call->exchange, "Access-Control-Max-Age", "600");
  }
  http_reply(api_take_exchange(call), 204, NULL, NULL, 0);
}

/* ---- rates ----------------------------------------------------------------------------------- */

/* Counts the request; false when it was answered 429. */
static bool within_rate(struct api_call *call, struct front_rate rate, const char *policy,
                        const char *name, enum front_metric metric)
{
  struct front_limit *limit = call->loop->front->limit;
  char text[96];
  if (rate.requests == 0)
    return true;
  const struct front_quota quota =
    front_limit_take(limit, rate, name, strlen(name), rt_now_us(call->loop->ctx));
  (void)snprintf(text, sizeof text, "\"%s\";q=%u;w=%u", policy, rate.requests, rate.window_s);
  http_add_header(call->exchange, "RateLimit-Policy", text);
  (void)snprintf(text, sizeof text, "\"%s\";r=%u;t=%u", policy, quota.remaining, quota.reset_s);
  http_add_header(call->exchange, "RateLimit", text);
  if (quota.passed)
    return true;
  front_count(call->loop, metric, 1);
  http_reply_problem(
    api_take_exchange(call),
    &(struct http_problem){.error = HF_E_RATE_LIMITED, .retry_after_s = quota.retry_s});
  return false;
}

static bool within_address_rate(struct api_call *call)
{
  const struct front_config *config = &call->loop->front->config;
  if (is_operational(call->route) ||
      (http_peer_is_loopback(call->exchange) && !config->rate_loopback))
    return true;
  return within_rate(call, config->address_rate, "address", http_peer_address(call->exchange),
                     FRONT_M_LIMITED_ADDRESS);
}

/* ---- steps: each is false when it has answered the call -------------------------------------- */

static bool step_key(struct api_call *call, const struct route_match *match, bool admin)
{
  struct front_loop *loop = call->loop;
  const struct http_request *request = http_request_of(call->exchange);
  if (!needs_key(loop, match, request->path, admin))
    return within_address_rate(call);
  if (!authenticate(loop, request, &call->caller)) {
    if (!within_address_rate(call))
      return false;
    /* Before the catalog is there, only the environment's key can be told from a wrong one. */
    if (catalog_of(loop->ctx) == NULL) {
      api_fail(call, HF_E_UNAVAILABLE);
      return false;
    }
    front_count(loop, FRONT_M_UNAUTHENTICATED, 1);
    api_fail(call, HF_E_UNAUTHENTICATED);
    return false;
  }
  return within_rate(call, loop->front->config.key_rate, "key", call->caller.id,
                     FRONT_M_LIMITED_KEY);
}

static bool step_route(struct api_call *call, const struct route_match *match)
{
  char allow[ROUTE_ALLOW_MAX];
  if (match->route != NULL)
    return true;
  if (match->error == HF_E_METHOD_NOT_ALLOWED)
    http_add_header(call->exchange, "Allow", route_allow(match->methods, allow));
  api_fail(call, match->error);
  return false;
}

static bool step_media(struct api_call *call)
{
  const struct http_request *request = http_request_of(call->exchange);
  const struct route *route = call->route;
  struct json_problem problem = {0};
  if (route->body == NULL && request->body.size > 0)
    json_problem_set(&problem, HF_E_INVALID_BODY, NULL, "this route takes no body");
  else if (request->body.size > 0 && !route_is_json(http_field_get(request, "content-type")))
    json_problem_set(&problem, HF_E_UNSUPPORTED_MEDIA_TYPE, NULL,
                     "Content-Type must be application/json, in UTF-8");
  else if (route->produces == ROUTE_JSON &&
           !route_accepts(http_field_get(request, "accept"), "application/json"))
    json_problem_set(&problem, HF_E_NOT_ACCEPTABLE, NULL, "this route gives application/json");
  else if (route->produces == ROUTE_TEXT &&
           !route_accepts(http_field_get(request, "accept"), "text/plain"))
    json_problem_set(&problem, HF_E_NOT_ACCEPTABLE, NULL, "this route gives text/plain");
  else if (route->produces == ROUTE_LINES &&
           !route_accepts(http_field_get(request, "accept"), "application/x-ndjson") &&
           !route_accepts(http_field_get(request, "accept"), "text/event-stream"))
    json_problem_set(&problem, HF_E_NOT_ACCEPTABLE, NULL,
                     "this route gives application/x-ndjson or text/event-stream");
  if (problem.error != HF_OK)
    api_refuse(call, &problem);
  return problem.error == HF_OK;
}

/* Decodes what the path and the query carry. */
static bool step_parameters(struct api_call *call, const struct route_match *match)
{
  const struct http_request *request = http_request_of(call->exchange);
  struct json_problem problem = {0};
  hf_bytes_clear(&call->loop->text);
  char *room =
    (char *)hf_bytes_reserve(&call->loop->text, request->path.size + request->query.size + 1);
  for (unsigned i = 0; i < match->params_count; i++) {
    call->params[i] = match->params[i];
    if (memchr(match->params[i].at, '%', match->params[i].size) == NULL)
      continue;
    call->params[i].at = room;
    if (!api_decode(match->params[i], false, room, &call->params[i].size))
      json_problem_set(&problem, HF_E_INVALID_ID, NULL, "the path is not valid percent-encoding");
    room += call->params[i].size;
  }
  api_query_parse(request->query, call->route->query, room, &call->query, &problem);
  if (problem.error != HF_OK)
    api_refuse(call, &problem);
  return problem.error == HF_OK;
}

void api_serve(struct front_loop *loop, struct http_exchange *exchange, bool admin)
{
  const struct http_request *request = http_request_of(exchange);
  const struct route_match match = match_of(request, admin);
  const size_t size = match.route == NULL ? 0 : route_reply_size(match.route, request->body.size);
  /* Before anything is counted: it comes here again. */
  if (size > 0 && !http_reply_fits(exchange, size))
    return;
  struct api_call *call = api_call_new(loop, exchange);
  call->route = match.route;
  http_set_data(exchange, call, NULL);
  if (match.route != NULL)
    http_set_route(exchange, match.route->path, match.route->id);
  else
    http_set_route(exchange, "unmatched", ROUTE_COUNT);
  add_cors(&loop->front->config, exchange);

  if (request->method == HTTP_OPTIONS)
    answer_options(call, &match);
  else if (step_key(call, &match, admin) && step_route(call, &match) && step_media(call) &&
           step_parameters(call, &match))
    match.route->handle(call);
  api_call_rest(call);
}

/* A body that is small is read whatever it is: the handler judges in the right order. For a large
 * one who asks is judged first, so that nobody can make the server read megabytes for a 401. */
enum hf_error api_head_check(struct front_loop *loop, const struct http_request *head, bool admin,
                             size_t *ret_body_max)
{
  const struct route_match match = match_of(head, admin);
  const struct http_slice length = http_field_get(head, "content-length");
  struct api_caller caller;
  *ret_body_max = match.route != NULL && match.route->body_max > ROUTE_BODY_MAX
                    ? match.route->body_max
                    : ROUTE_BODY_MAX;
  /* Five digits and more, or a length that only shows at the end. */
  const bool may_be_large =
    length.size >= 5 || http_field_get(head, "transfer-encoding").at != NULL;
  if (!may_be_large)
    return HF_OK;
  if (needs_key(loop, &match, head->path, admin) && !authenticate(loop, head, &caller))
    return catalog_of(loop->ctx) == NULL ? HF_E_UNAVAILABLE : HF_E_UNAUTHENTICATED;
  return match.error == HF_E_METHOD_NOT_ALLOWED ? HF_OK : match.error;
}
