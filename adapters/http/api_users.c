/* api_users.c - creating, finding, opening and closing users.
 *
 * Happy path: parse, ask the names actor (create), the store (read) or the user's actor (status).
 * Ways to fail: a taken external id, a key used for another body, no such user, no room. */
#include <string.h>

#include "adapters/http/api_idempotency.h"
#include "adapters/http/api_ops.h"
#include "adapters/http/front_loop.h"
#include "holdfast/check.h"

/* ---- creating -------------------------------------------------------------------------------- */

static struct hf_hash create_key(const char *key_id, const char *key, size_t size)
{
  char text[HF_KEY_ID_MAX + 1 + API_IDEMPOTENCY_MAX];
  const size_t id_size = strlen(key_id);
  CHECK(id_size + 1 + size <= sizeof text);
  memcpy(text, key_id, id_size);
  text[id_size] = '\n';
  memcpy(text + id_size + 1, key, size);
  return hf_sha256(text, id_size + 1 + size);
}

static void create_free(void *work)
{
  struct hf_create *create = work;
  rt_free((void *)(uintptr_t)create->profile.at);
  rt_free(create);
}

static void take_kind(const json_t *value, struct hf_create *create, struct json_problem *problem)
{
  const struct json_in_text kind = json_in_text(value, "kind", 1, 16, problem);
  if (kind.size == 5 && memcmp(kind.at, "guest", 5) == 0)
    create->kind = HF_USER_GUEST;
  else if (kind.size == 10 && memcmp(kind.at, "registered", 10) == 0)
    create->kind = HF_USER_REGISTERED;
  else
    json_problem_set(problem, HF_E_INVALID_FIELD, "kind", "must be guest or registered");
}

static void take_profile(struct api_call *call, const json_t *value, struct hf_create *create,
                         struct json_problem *problem)
{
  struct json_out *text = &call->loop->parse.text;
  json_out_clear(text);
  if (value == NULL || problem->error != HF_OK)
    return;
  if (!json_is_object(value)) {
    json_problem_set(problem, HF_E_INVALID_FIELD, "profile", "must be a JSON object");
    return;
  }
  json_out_value(text, value);
  if (text->size > HF_JSON_MAX) {
    json_problem_set(problem, HF_E_INVALID_FIELD, "profile", "larger than %u bytes", HF_JSON_MAX);
    return;
  }
  char *kept = rt_alloc(text->size);
  memcpy(kept, text->at, text->size);
  create->profile = (struct store_text){kept, text->size};
}

static void parse_create(struct api_call *call, const json_t *body, struct hf_create *create,
                         struct json_problem *problem)
{
  static const struct json_in_field fields[] = {
    {"kind", true}, {"external_id", false}, {"profile", false}};
  const json_t *values[3];
  json_in_take(body, fields, 3, problem, values);
  take_kind(values[0], create, problem);
  const struct json_in_text external =
    json_in_text(values[1], "external_id", 1, HF_EXTERNAL_ID_MAX, problem);
  if (external.at != NULL) {
    create->has_external_id = true;
    memcpy(create->external_id, external.at, external.size);
    create->external_id[external.size] = '\0';
  }
  take_profile(call, values[2], create, problem);

  struct hf_bytes *bytes = &call->loop->parse.bytes;
  hf_bytes_clear(bytes);
  hf_bytes_put_u8(bytes, 1); /* version of this encoding */
  hf_bytes_put_u8(bytes, create->kind);
  hf_bytes_put_u8(bytes, create->has_external_id);
  hf_bytes_put_blob(bytes, create->external_id, strlen(create->external_id));
  hf_bytes_put_blob(bytes, create->profile.at, create->profile.size);
  create->request = hf_digest(bytes->at, bytes->size);
}

static void resume_create(struct api_call *call, enum api_ask kind, void *answer)
{
  CHECK(kind == API_ASK_CREATE);
  struct hf_create *create = answer;
  if (api_is_over(call)) {
    create_free(create);
    return;
  }
  if (create->replayed)
    http_add_header(call->exchange, "Idempotency-Replayed", "true");
  if (create->error != HF_OK) {
    api_fail(call, create->error);
  } else {
    const struct store_user_row user = {
      .id = create->user,
      .kind = create->kind,
      .status = LEDGER_OPEN,
      .created_us = create->created_us,
      .external_id = {create->has_external_id ? create->external_id : NULL,
                      strlen(create->external_id)},
      .profile = create->profile,
    };
    api_write_user(api_out(call), &user);
    api_send(call, call->route->status);
  }
  create_free(create);
}

void api_user_post(struct api_call *call)
{
  struct json_problem problem = {0};
  char key[API_IDEMPOTENCY_MAX];
  struct hf_create *create = rt_alloc(sizeof *create);
  call->work = create;
  call->work_free = create_free;
  const size_t key_size = api_idempotency_of(http_request_of(call->exchange), key, &problem);
  if (key_size > 0) {
    create->has_key = true;
    create->key = create_key(call->caller.id, key, key_size);
  }
  json_t *body = api_body(call, &problem);
  if (body != NULL)
    parse_create(call, body, create, &problem);
  json_decref(body);
  if (!api_allowed(call, &problem) || !api_has_room(call))
    return;
  call->resume = resume_create;
  call->work = NULL;
  if (api_ask_create(call, create))
    return;
  create_free(create);
  api_fail(call, HF_E_OVERLOADED);
}

/* ---- finding --------------------------------------------------------------------------------- */

static void read_user(struct api_call *call, hf_id id)
{
  struct store_request *request = store_request_new(STORE_GET_USER);
  request->get_user.id = id;
  api_read(call, request);
}

static void resume_read(struct api_call *call, enum api_ask kind, void *answer)
{
  CHECK(kind == API_ASK_READ);
  struct store_request *request = answer;
  const enum hf_error error = api_read_error(request, HF_E_USER_NOT_FOUND);
  const bool name = request->kind == STORE_GET_NAME;
  if (error != HF_OK) {
    api_fail(call, error);
  } else if (name && request->get_name.out.state != STORE_NAME_CONFIRMED) {
    api_fail(call, HF_E_USER_NOT_FOUND); /* its creation is not finished */
  } else if (name && !api_is_over(call)) {
    read_user(call, request->get_name.out.user);
  } else if (!api_is_over(call)) {
    api_write_user(api_out(call), &request->get_user.out);
    api_send_tagged(call);
  }
  store_request_free(request);
}

void api_user_get(struct api_call *call)
{
  struct json_problem problem = {0};
  const hf_id id = api_param_user(call, 0, &problem);
  if (!api_allowed(call, &problem) || !api_has_room(call))
    return;
  call->resume = resume_read;
  read_user(call, id);
}

void api_user_find(struct api_call *call)
{
  struct json_problem problem = {0};
  const struct http_slice external = call->query.values[API_PARAM_EXTERNAL_ID];
  if (external.at == NULL)
    json_problem_set(&problem, HF_E_INVALID_QUERY, "external_id", "this parameter is required");
  else if (external.size < 1 || external.size > HF_EXTERNAL_ID_MAX)
    json_problem_set(&problem, HF_E_INVALID_QUERY, "external_id", "must have 1 to %u bytes",
                     HF_EXTERNAL_ID_MAX);
  if (!api_allowed(call, &problem) || !api_has_room(call))
    return;
  struct store_request *request = store_request_new(STORE_GET_NAME);
  request->get_name.digest = hf_external_id_digest(external.at, external.size);
  request->get_name.partition =
    hf_digest_partition(&request->get_name.digest, api_partition_bits(call));
  request->get_name.name_kind = STORE_NAME_EXTERNAL_ID;
  call->resume = resume_read;
  api_read(call, request);
}

/* ---- status ---------------------------------------------------------------------------------- */

static void resume_status(struct api_call *call, enum api_ask kind, void *answer)
{
  CHECK(kind == API_ASK_STATUS);
  struct hf_peek *peek = answer;
  if (peek->error != HF_OK) {
    api_fail(call, peek->error);
  } else {
    struct json_out *out = api_out(call);
    json_out_begin_object(out);
    json_out_key(out, "id");
    json_out_id(out, peek->user);
    json_out_key(out, "status");
    json_out_string(out, peek->status == LEDGER_OPEN ? "open" : "closed");
    json_out_key(out, "version");
    json_out_unsigned(out, peek->version);
    json_out_end_object(out);
    api_send(call, call->route->status);
  }
  rt_free(peek);
}

void api_user_status(struct api_call *call)
{
  static const struct json_in_field fields[] = {{"status", true}};
  struct json_problem problem = {0};
  const json_t *values[1] = {NULL};
  const hf_id id = api_param_user(call, 0, &problem);
  json_t *body = api_body(call, &problem);
  if (body != NULL)
    json_in_take(body, fields, 1, &problem, values);
  const struct json_in_text status = json_in_text(values[0], "status", 1, 16, &problem);
  const bool open = status.size == 4 && memcmp(status.at, "open", 4) == 0;
  if (!open && !(status.size == 6 && memcmp(status.at, "closed", 6) == 0))
    json_problem_set(&problem, HF_E_INVALID_FIELD, "status", "must be open or closed");
  json_decref(body);
  if (!api_allowed(call, &problem) || !api_has_room(call))
    return;
  struct hf_peek *peek = rt_alloc(sizeof *peek);
  peek->user = id;
  peek->status = open ? LEDGER_OPEN : LEDGER_CLOSED;
  call->resume = resume_status;
  if (api_ask_peek(call, peek, true))
    return;
  rt_free(peek);
  api_fail(call, HF_E_OVERLOADED);
}
