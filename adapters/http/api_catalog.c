/* api_catalog.c - assets and service keys: the catalog actor changes them, the loop's copy is read.
 *
 * Happy path: parse, ask the catalog's home, reply when every loop knows.
 * Both are idempotent by what they are named: the same asset again is the same answer, another one
 * under its code is a conflict. A key's secret is shown once and kept as a hash only. */
#include <stdio.h>
#include <string.h>

#include "adapters/http/api_idempotency.h"
#include "adapters/http/api_assets.h"
#include "adapters/http/api_ops.h"
#include "adapters/http/front_loop.h"
#include "holdfast/check.h"

#define CHAIN_DECIMALS_MAX 38
#define CHAIN_DECIMALS_NONE 255u

static void copy_text(const json_t *value, const char *field, char *to, size_t room,
                      struct json_problem *problem)
{
  const struct json_in_text text = json_in_text(value, field, 1, room - 1, problem);
  if (text.at == NULL)
    return;
  memcpy(to, text.at, text.size);
  to[text.size] = '\0';
}

/* ---- assets ---------------------------------------------------------------------------------- */

static void parse_asset(const json_t *body, struct store_asset_row *asset,
                        struct json_problem *problem)
{
  static const struct json_in_field fields[] = {{"code", true},      {"scale", true},
                                                {"name", false},     {"chain", false},
                                                {"contract", false}, {"chain_decimals", false}};
  const json_t *values[6];
  json_in_take(body, fields, 6, problem, values);
  copy_text(values[0], "code", asset->code, sizeof asset->code, problem);
  if (problem->error == HF_OK && !api_asset_code_valid(asset->code, strlen(asset->code)))
    json_problem_set(problem, HF_E_INVALID_FIELD, "code",
                     "must be letters, digits and . _ -, a letter or digit first");
  asset->scale = (uint8_t)json_in_integer(values[1], "scale", 0, HF_SCALE_MAX, problem);
  copy_text(values[2], "name", asset->name, sizeof asset->name, problem);
  copy_text(values[3], "chain", asset->chain, sizeof asset->chain, problem);
  copy_text(values[4], "contract", asset->contract, sizeof asset->contract, problem);
  asset->chain_decimals = CHAIN_DECIMALS_NONE;
  if (values[5] != NULL)
    asset->chain_decimals =
      (uint8_t)json_in_integer(values[5], "chain_decimals", 0, CHAIN_DECIMALS_MAX, problem);
  if (problem->error == HF_OK && asset->chain[0] == '\0' &&
      (asset->contract[0] != '\0' || values[5] != NULL))
    json_problem_set(problem, HF_E_MISSING_FIELD, "chain",
                     "a contract and chain_decimals belong to a chain");
}

static void resume_asset(struct api_call *call, enum api_ask kind, void *answer)
{
  CHECK(kind == API_ASK_CHANGE);
  struct hf_catalog_change *change = answer;
  if (change->error != HF_OK) {
    api_fail(call, change->error);
  } else if (!api_is_over(call)) {
    const bool keyed =
      http_field_get(http_request_of(call->exchange), "idempotency-key").at != NULL;
    if (change->existed && keyed)
      http_add_header(call->exchange, "Idempotency-Replayed", "true");
    api_write_asset(api_out(call), &change->asset);
    api_send(call, change->existed && !keyed ? 200 : call->route->status);
  }
  rt_free(change);
}

static void ask_change(struct api_call *call, struct hf_catalog_change *change)
{
  call->work = NULL;
  if (api_ask_change(call, change))
    return;
  rt_free(change);
  api_fail(call, HF_E_OVERLOADED);
}

static struct hf_catalog_change *change_new(struct api_call *call, enum catalog_change_kind kind)
{
  struct hf_catalog_change *change = rt_alloc(sizeof *change);
  change->kind = (uint8_t)kind;
  call->work = change;
  call->work_free = rt_free;
  return change;
}

void api_asset_post(struct api_call *call)
{
  struct json_problem problem = {0};
  struct hf_digest key;
  struct hf_catalog_change *change = change_new(call, CATALOG_ADD_ASSET);
  (void)api_key_digest(call, &problem, &key);
  json_t *body = api_body(call, &problem);
  if (body != NULL)
    parse_asset(body, &change->asset, &problem);
  json_decref(body);
  if (!api_allowed(call, &problem) || !api_has_room(call))
    return;
  call->resume = resume_asset;
  ask_change(call, change);
}

void api_asset_get(struct api_call *call)
{
  struct json_problem problem = {0};
  const struct http_slice code = call->params[0];
  if (!api_asset_code_valid(code.at, code.size))
    json_problem_set(&problem, HF_E_INVALID_ID, NULL, "the path has no asset code");
  if (!api_allowed(call, &problem) || !api_has_room(call))
    return;
  const struct store_asset_row *asset =
    catalog_asset_by_code(catalog_of(call->loop->ctx), code.at, code.size);
  if (asset == NULL) {
    api_fail(call, HF_E_ASSET_NOT_FOUND);
    return;
  }
  api_write_asset(api_out(call), asset);
  api_send_tagged(call);
}

/* ---- pages of the catalog -------------------------------------------------------------------- */

struct page { /* of a list that only grows at its end */
  size_t from, to, count;
};

/* False when the call was answered. A cursor is the index of the first item that was not shown. */
static bool take_page(struct api_call *call, size_t (*count)(const struct catalog *catalog),
                      struct page *ret_page)
{
  struct json_problem problem = {0};
  const unsigned limit = api_query_limit(&call->query, &problem);
  const uint64_t from = api_cursor_of(call, "", 0, &problem);
  if (!api_allowed(call, &problem) || !api_has_room(call))
    return false;
  ret_page->count = count(catalog_of(call->loop->ctx));
  ret_page->from = from < ret_page->count ? (size_t)from : ret_page->count;
  ret_page->to =
    ret_page->count - ret_page->from > limit ? ret_page->from + limit : ret_page->count;
  struct json_out *out = api_out(call);
  json_out_begin_object(out);
  json_out_key(out, "data");
  json_out_begin_array(out);
  return true;
}

static void end_page(struct api_call *call, const struct page *page)
{
  struct json_out *out = &call->loop->out;
  json_out_end_array(out);
  api_write_next(call, "", 0, page->to < page->count ? page->to : 0);
  json_out_end_object(out);
  api_send_tagged(call);
}

void api_assets_get(struct api_call *call)
{
  struct page page;
  if (!take_page(call, catalog_assets_count, &page))
    return;
  for (size_t i = page.from; i < page.to; i++)
    api_write_asset(&call->loop->out, catalog_asset_at(catalog_of(call->loop->ctx), i));
  end_page(call, &page);
}

/* ---- service keys ---------------------------------------------------------------------------- */

static void write_key(struct json_out *out, const struct store_key_row *key, const char *secret)
{
  json_out_begin_object(out);
  json_out_key(out, "id");
  json_out_string(out, key->id);
  if (secret != NULL) {
    char text[API_KEY_TEXT_MAX];
    (void)snprintf(text, sizeof text, "hfk_%s_%s", key->id, secret);
    json_out_key(out, "key");
    json_out_string(out, text);
  }
  json_out_key(out, "name");
  if (key->name[0] == '\0')
    json_out_null(out);
  else
    json_out_string(out, key->name);
  json_out_key(out, "scopes");
  api_write_scopes(out, key->scopes);
  json_out_key(out, "created_at");
  json_out_time(out, key->created_us);
  json_out_key(out, "revoked_at");
  if (key->revoked_us == 0)
    json_out_null(out);
  else
    json_out_time(out, key->revoked_us);
  json_out_end_object(out);
}

static void take_scopes(const json_t *value, struct store_key_row *key,
                        struct json_problem *problem)
{
  if (problem->error != HF_OK)
    return;
  for (size_t i = 0; i < json_array_size(value); i++) {
    const char *text = json_string_value(json_array_get(value, i));
    uint32_t scope = 0;
#define X(NAME, bit, name)                                                                         \
  if (text != NULL && strcmp(text, name) == 0)                                                     \
    scope = bit;
    HF_SCOPES(X)
#undef X
    if (scope == 0) {
      json_problem_set(problem, HF_E_INVALID_FIELD, "scopes", "item %zu is not a scope", i);
      json_problem_suggest(problem, "ledger:write ledger:read users:write users:read admin");
      return;
    }
    key->scopes |= scope;
  }
  if (key->scopes == 0)
    json_problem_set(problem, HF_E_INVALID_FIELD, "scopes", "must be an array with a scope in it");
}

static void parse_key(const json_t *body, struct store_key_row *key, struct json_problem *problem)
{
  static const struct json_in_field fields[] = {{"scopes", true}, {"id", false}, {"name", false}};
  const json_t *values[3];
  json_in_take(body, fields, 3, problem, values);
  take_scopes(values[0], key, problem);
  copy_text(values[1], "id", key->id, sizeof key->id, problem);
  if (problem->error == HF_OK && values[1] != NULL && !api_key_id_valid(key->id, strlen(key->id)))
    json_problem_set(problem, HF_E_INVALID_FIELD, "id", "must be 4 to 32 of a-z and 0-9");
  copy_text(values[2], "name", key->name, sizeof key->name, problem);
  if (key->id[0] == '\0')
    api_key_id(key->id);
}

struct key_work {
  struct hf_catalog_change change; /* first: the change is what is asked */
  char secret[API_KEY_SECRET_SIZE + 1];
};

static void resume_key(struct api_call *call, enum api_ask kind, void *answer)
{
  CHECK(kind == API_ASK_CHANGE);
  struct key_work *work = answer;
  if (work->change.error != HF_OK) {
    api_fail(call, work->change.error);
  } else {
    write_key(api_out(call), &work->change.key, work->secret);
    api_send(call, call->route->status);
    json_out_deinit(&call->loop->out); /* the secret does not stay in the buffer's life */
  }
  rt_free(work);
}

void api_key_post(struct api_call *call)
{
  struct json_problem problem = {0};
  struct key_work *work = rt_alloc(sizeof *work);
  struct store_key_row *key = &work->change.key;
  call->work = work;
  call->work_free = rt_free;
  work->change.kind = CATALOG_ADD_KEY;
  json_t *body = api_body(call, &problem);
  if (body != NULL)
    parse_key(body, key, &problem);
  json_decref(body);
  if (!api_allowed(call, &problem) || !api_has_room(call))
    return;
  const struct api_admin_key *admin = &call->loop->front->config.admin;
  if (admin->given && strcmp(admin->id, key->id) == 0) {
    api_fail(call, HF_E_KEY_CONFLICT);
    return;
  }
  api_key_secret(work->secret);
  key->secret = hf_sha256(work->secret, API_KEY_SECRET_SIZE);
  key->created_us = (int64_t)rt_wall_us(call->loop->ctx);
  call->resume = resume_key;
  ask_change(call, &work->change);
}

void api_keys_get(struct api_call *call)
{
  struct page page;
  if (!take_page(call, catalog_keys_count, &page))
    return;
  for (size_t i = page.from; i < page.to; i++)
    write_key(&call->loop->out, catalog_key_at(catalog_of(call->loop->ctx), i), NULL);
  end_page(call, &page);
}

static void resume_revoke(struct api_call *call, enum api_ask kind, void *answer)
{
  CHECK(kind == API_ASK_CHANGE);
  struct hf_catalog_change *change = answer;
  const struct catalog *catalog = catalog_of(call->loop->ctx);
  const struct store_key_row *key =
    catalog == NULL ? NULL : catalog_key(catalog, change->key.id, strlen(change->key.id));
  struct store_key_row shown = key == NULL ? change->key : *key;
  if (change->error == HF_OK && shown.revoked_us == 0) {
    /* Another node has done it, and could not tell this one but by its answer. */
    shown.revoked_us = change->key.revoked_us;
    api_catalog_is_stale(call->loop);
  }
  if (change->error != HF_OK) {
    api_fail(call, change->error);
  } else {
    write_key(api_out(call), &shown, NULL);
    api_send(call, call->route->status);
  }
  rt_free(change);
}

void api_key_delete(struct api_call *call)
{
  struct json_problem problem = {0};
  const struct http_slice id = call->params[0];
  struct hf_catalog_change *change = change_new(call, CATALOG_REVOKE_KEY);
  if (!api_key_id_valid(id.at, id.size))
    json_problem_set(&problem, HF_E_INVALID_ID, NULL, "the path has no key id");
  if (!api_allowed(call, &problem) || !api_has_room(call))
    return;
  memcpy(change->key.id, id.at, id.size);
  change->key.revoked_us = (int64_t)rt_wall_us(call->loop->ctx);
  call->resume = resume_revoke;
  ask_change(call, change);
}
