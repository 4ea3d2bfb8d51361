/* api_call.c - the life of a call: made, asked, answered, replied, freed.
 *
 * Happy path: a handler parses, asks, and resumes with the answer, in which it replies.
 * Ways to fail: no room to ask (429, before anything was accepted); the runtime's echo of an ask
 * (expired, overloaded, down), which becomes an error in what was asked; a reply that nobody waits
 * for any more, which the transport drops.
 * Invariants: every exchange gets exactly one reply; a call is freed when it is answered, no ask is
 * out and no handler of it runs. */
#include "api_call.h"

#include <string.h>

#include "actors/cluster/cluster.h"
#include "actors/store/messages.h"
#include "adapters/http/api_assets.h"
#include "adapters/http/api_cursor.h"
#include "adapters/http/api_idempotency.h"
#include "adapters/http/front_loop.h"
#include "holdfast/check.h"

#define RETRY_AFTER_S 1u
#define USER_SERIAL_BITS 44u /* the smallest room for one: that of the SQLite store */
_Static_assert(USER_SERIAL_BITS <= RT_SERIAL_BITS, "a user's serial is its actor's");

rt_ctx *api_ctx(const struct api_call *call)
{
  return call->loop->ctx;
}

unsigned api_partition_bits(const struct api_call *call)
{
  return hf_setup_of(call->loop->ctx)->partition_bits;
}

bool api_is_over(const struct api_call *call)
{
  return call->exchange == NULL;
}

const struct store_asset_row *api_asset_by_id(const void *loop, uint16_t id)
{
  const struct front_loop *own = loop;
  return catalog_asset(catalog_of(own->ctx), id);
}

/* ---- replies --------------------------------------------------------------------------------- */

/* The exchange is the transport's again as soon as it is answered. */
struct http_exchange *api_take_exchange(struct api_call *call)
{
  struct http_exchange *exchange = call->exchange;
  CHECK(exchange != NULL);
  call->exchange = NULL;
  return exchange;
}

static const char *text_or_null(const char *text)
{
  return text[0] == '\0' ? NULL : text;
}

void api_refuse(struct api_call *call, const struct json_problem *problem)
{
  if (api_is_over(call))
    return;
  CHECK(problem->error != HF_OK);
  const struct hf_error_info *info = hf_error_info(problem->error);
  const struct http_problem reply = {
    .error = problem->error,
    .detail = text_or_null(problem->detail),
    .field = text_or_null(problem->field),
    .suggestion = text_or_null(problem->suggestion),
    .retry_after_s = info->retryable ? RETRY_AFTER_S : 0,
  };
  if (problem->error == HF_E_OVERLOADED)
    front_count(call->loop, FRONT_M_OVERLOADED, 1);
  http_reply_problem(api_take_exchange(call), &reply);
}

void api_fail(struct api_call *call, enum hf_error error)
{
  const struct json_problem problem = {.error = error};
  api_refuse(call, &problem);
}

struct json_out *api_out(struct api_call *call)
{
  json_out_clear(&call->loop->out);
  return &call->loop->out;
}

void api_send(struct api_call *call, unsigned status)
{
  if (api_is_over(call))
    return;
  const struct json_out *out = &call->loop->out;
  if (call->route->auth == ROUTE_SERVICE)
    http_add_header(call->exchange, "Cache-Control", "no-store");
  http_reply(api_take_exchange(call), status, "application/json", out->at, out->size);
}

void api_send_tagged(struct api_call *call)
{
  if (api_is_over(call))
    return;
  const struct json_out *out = &call->loop->out;
  const struct hf_digest digest = hf_digest(out->at, out->size);
  char etag[API_ETAG_MAX] = "\"";
  hf_hex(digest.bytes, sizeof digest.bytes, etag + 1);
  memcpy(etag + 1 + 2 * sizeof digest.bytes, "\"", 2);
  const struct http_request *request = http_request_of(call->exchange);
  http_add_header(call->exchange, "ETag", etag);
  /* The client keeps its copy and asks each time whether it still stands. */
  http_add_header(call->exchange, "Cache-Control", "private, no-cache");
  if (route_etag_matches(http_field_get(request, "if-none-match"), etag))
    http_reply(api_take_exchange(call), 304, NULL, NULL, 0);
  else
    http_reply(api_take_exchange(call), call->route->status, "application/json", out->at,
               out->size);
}

/* ---- parsing --------------------------------------------------------------------------------- */

bool api_allowed(struct api_call *call, const struct json_problem *problem)
{
  const bool forbidden =
    call->route->auth == ROUTE_SERVICE && !api_auth_allows(&call->caller, call->route->scopes);
  const bool wrong = problem != NULL && problem->error != HF_OK;
  /* Syntax before scope, scope before what exists. */
  if (wrong && (!forbidden || hf_error_info(problem->error)->status == 400))
    api_refuse(call, problem);
  else if (forbidden)
    api_fail(call, HF_E_FORBIDDEN);
  call->allowed = !wrong && !forbidden;
  return call->allowed;
}

json_t *api_body(struct api_call *call, struct json_problem *problem)
{
  const struct http_slice body = http_request_of(call->exchange)->body;
  return problem->error == HF_OK ? json_in_parse(body.at, body.size, problem) : NULL;
}

hf_id api_param_id(struct api_call *call, unsigned index, struct json_problem *problem)
{
  hf_id id = 0;
  const struct http_slice text = call->params[index];
  if (!hf_id_parse(text.at, text.size, &id))
    json_problem_set(problem, HF_E_INVALID_ID, NULL, "the path has no id of this server");
  return id;
}

void api_check_user(const struct api_call *call, hf_id user, const char *field,
                    struct json_problem *problem)
{
  if (hf_id_serial(user, api_partition_bits(call)) >> USER_SERIAL_BITS != 0)
    json_problem_set(problem, HF_E_USER_NOT_FOUND, field, "no user has this id");
}

hf_id api_param_user(struct api_call *call, unsigned index, struct json_problem *problem)
{
  const hf_id user = api_param_id(call, index, problem);
  api_check_user(call, user, NULL, problem);
  return user;
}

bool api_key_digest(struct api_call *call, struct json_problem *problem,
                    struct hf_digest *ret_digest)
{
  char key[API_IDEMPOTENCY_MAX];
  const size_t size = api_idempotency_of(http_request_of(call->exchange), key, problem);
  if (size > 0)
    *ret_digest = hf_digest(key, size);
  else if (call->route->idempotency == ROUTE_KEY_REQUIRED)
    json_problem_set(problem, HF_E_KEY_REQUIRED, "Idempotency-Key",
                     "send a key of your own with every attempt of the same request");
  return size > 0;
}

/* ---- cursors --------------------------------------------------------------------------------- */

#define BOUND_MAX 128u

static size_t bind(const struct api_call *call, const void *bound, size_t size,
                   uint8_t out[BOUND_MAX])
{
  const size_t name_size = strlen(call->route->path);
  CHECK(name_size + 1 + size <= BOUND_MAX);
  memcpy(out, call->route->path, name_size + 1);
  memcpy(out + name_size + 1, bound, size);
  return name_size + 1 + size;
}

uint64_t api_cursor_of(struct api_call *call, const void *bound, size_t bound_size,
                       struct json_problem *problem)
{
  const struct http_slice text = call->query.values[API_PARAM_CURSOR];
  uint64_t position = 0;
  uint8_t query[BOUND_MAX];
  if (text.at == NULL || problem->error != HF_OK)
    return 0;
  const size_t size = bind(call, bound, bound_size, query);
  if (!api_cursor_read(call->loop->front->config.cursor_secret, query, size, text.at, text.size,
                       &position))
    json_problem_set(problem, HF_E_INVALID_CURSOR, "cursor",
                     "take next_cursor of the page before, with the same parameters");
  return position;
}

void api_write_next(struct api_call *call, const void *bound, size_t bound_size, uint64_t position)
{
  struct json_out *out = &call->loop->out;
  uint8_t query[BOUND_MAX];
  char text[API_CURSOR_TEXT_MAX];
  json_out_key(out, "next_cursor");
  if (position == 0) {
    json_out_null(out);
    return;
  }
  const size_t size = bind(call, bound, bound_size, query);
  api_cursor_make(call->loop->front->config.cursor_secret, query, size, position, text);
  json_out_string(out, text);
}

/* ---- asking ---------------------------------------------------------------------------------- */

uint64_t api_deadline_us(const struct api_call *call)
{
  return rt_now_us(call->loop->ctx) + hf_setup_of(call->loop->ctx)->op_timeout_us;
}

bool api_has_room(struct api_call *call)
{
  const struct front_loop *loop = call->loop;
  if (loop->draining)
    api_fail(call, HF_E_DRAINING);
  else if (catalog_of(loop->ctx) == NULL)
    api_fail(call, HF_E_UNAVAILABLE);
  /* A closed ingress stops the reading of sockets (front.c); what was read is still asked for, and
   * refused only when there is really no room. */
  return !api_is_over(call);
}

/* The kind, and enough of the pointer to tell asks of one kind to one actor apart. */
#define KIND_BITS 4u
static uint32_t corr_of(enum api_ask kind, const void *payload)
{
  return (uint32_t)kind | (uint32_t)((uintptr_t)payload >> 4) << KIND_BITS;
}

static enum api_ask kind_of(uint32_t corr)
{
  return (enum api_ask)(corr & ((1u << KIND_BITS) - 1u));
}

static bool ask(struct api_call *call, rt_id to, uint16_t op, void *payload, enum api_ask kind)
{
  CHECK(call->allowed && call->resume != NULL);
  if (rt_ask(call->loop->ctx, to, op, &payload, sizeof payload, api_deadline_us(call),
             corr_of(kind, payload)) != RT_OK)
    return false;
  call->asks++;
  return true;
}

/* Of an actor of a partition, wherever that is. When nobody has it, during a take-over, the actor
 * here refuses: an answer like any other. */
static bool ask_partition(struct api_call *call, rt_id to, uint16_t op, void *payload,
                          enum api_ask kind)
{
  CHECK(call->allowed && call->resume != NULL);
  const rt_status status =
    cluster_ask(call->loop->ctx, to, op, payload, api_deadline_us(call), corr_of(kind, payload));
  if (status == RT_FAIL)
    return ask(call, to, op, payload, kind);
  call->asks += status == RT_OK;
  return status == RT_OK;
}

bool api_ask_op(struct api_call *call, struct hf_op *op)
{
  const uint64_t deadline_us = api_deadline_us(call);
  CHECK(op != NULL);
  for (struct hf_op *member = op; member != NULL; member = member->group_next) {
    member->owner = call;
    member->deadline_us = deadline_us;
  }
  return ask_partition(call, hf_user_actor(op->user, api_partition_bits(call)), HF_SUBMIT, op,
                       API_ASK_OP);
}

bool api_ask_view(struct api_call *call, struct hf_view *view)
{
  view->owner = call;
  return ask_partition(call, hf_user_actor(view->user, api_partition_bits(call)), HF_BALANCES, view,
                       API_ASK_VIEW);
}

bool api_ask_peek(struct api_call *call, struct hf_peek *peek, bool set_status)
{
  peek->owner = call;
  return ask_partition(call, hf_user_actor(peek->user, api_partition_bits(call)),
                       set_status ? HF_SET_STATUS : HF_PEEK, peek,
                       set_status ? API_ASK_STATUS : API_ASK_PEEK);
}

bool api_ask_create(struct api_call *call, struct hf_create *create)
{
  create->owner = call;
  return ask_partition(call, hf_create_home(call->loop->ctx, create, api_partition_bits(call)),
                       HF_CREATE, create, API_ASK_CREATE);
}

bool api_ask_change(struct api_call *call, struct hf_catalog_change *change)
{
  change->owner = call;
  return ask(call, catalog_home(call->loop->ctx), HF_ASSET, change, API_ASK_CHANGE);
}

bool api_ask_read(struct api_call *call, struct store_request *request)
{
  request->owner = call;
  return ask(call, hf_loop_actor(HF_KIND_STORE, rt_loop_index(call->loop->ctx)), HF_READ, request,
             API_ASK_READ);
}

enum hf_error api_read_error(const struct store_request *request, enum hf_error not_found)
{
  switch ((enum store_status)request->status) {
  case STORE_OK:
    return HF_OK;
  case STORE_NOT_FOUND:
    return not_found;
  case STORE_CORRUPT:
    return HF_E_INTERNAL;
  case STORE_BUSY:
    return HF_E_OVERLOADED;
  default:
    return HF_E_UNAVAILABLE;
  }
}

/* ---- answers --------------------------------------------------------------------------------- */

struct api_call *api_call_new(struct front_loop *loop, struct http_exchange *exchange)
{
  struct api_call *call = loop->free_calls;
  if (call != NULL)
    loop->free_calls = call->next;
  else
    call = rt_alloc(sizeof *call);
  memset(call, 0, sizeof *call);
  call->loop = loop;
  call->exchange = exchange;
  call->held = true;
  loop->calls++;
  return call;
}

void api_call_rest(struct api_call *call)
{
  struct front_loop *loop = call->loop;
  CHECK(call->held);
  call->held = false;
  /* A handler that neither replies nor asks would leave its client waiting for ever. */
  CHECK(call->exchange == NULL || call->asks > 0 || call->streaming);
  if (call->exchange != NULL || call->asks > 0)
    return;
  if (call->work != NULL)
    call->work_free(call->work);
  CHECK(loop->calls > 0);
  loop->calls--;
  call->next = loop->free_calls;
  loop->free_calls = call;
}

/* Finds the call that an answer belongs to, and puts an echo's error into what was asked. */
static struct api_call *owner_of(enum api_ask kind, void *answer, enum hf_error echo)
{
  switch (kind) {
  case API_ASK_OP:
    for (struct hf_op *op = answer; op != NULL && echo != HF_OK; op = op->group_next)
      op->error = echo;
    return ((struct hf_op *)answer)->owner;
  case API_ASK_VIEW: {
    struct hf_view *view = answer;
    view->error = echo == HF_OK ? view->error : echo;
    return view->owner;
  }
  case API_ASK_PEEK:
  case API_ASK_STATUS: {
    struct hf_peek *peek = answer;
    peek->error = echo == HF_OK ? peek->error : echo;
    return peek->owner;
  }
  case API_ASK_CREATE: {
    struct hf_create *create = answer;
    create->error = echo == HF_OK ? create->error : echo;
    return create->owner;
  }
  case API_ASK_CHANGE: {
    struct hf_catalog_change *change = answer;
    change->error = echo == HF_OK ? change->error : echo;
    return change->owner;
  }
  case API_ASK_PROOF:
    break; /* a job: api_proved */
  case API_ASK_READ: {
    struct store_request *request = answer;
    if (echo != HF_OK)
      request->status = STORE_UNAVAILABLE;
    return request->owner;
  }
  }
  CHECK(kind == 0); /* an ask has a kind */
  return NULL;
}

void api_answered(struct front_loop *loop, const rt_env *env)
{
  const enum api_ask kind = kind_of(env->corr);
  void *answer = env->payload.p.ptr;
  CHECK(answer != NULL);
  const bool changes = kind == API_ASK_OP || kind == API_ASK_CREATE || kind == API_ASK_CHANGE ||
                       kind == API_ASK_STATUS;
  struct api_call *call = owner_of(kind, answer, hf_echo_error(env->op, changes));
  CHECK(call != NULL && call->loop == loop && call->asks > 0);
  call->asks--;
  call->held = true;
  api_assets_check(loop, kind, answer);
  call->resume(call, kind, answer);
  api_call_rest(call);
}
