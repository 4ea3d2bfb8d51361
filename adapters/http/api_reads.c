/* api_reads.c - what is read from the store or a user's actor: balances, entries, holds, blocks.
 *
 * Happy path: parse, ask, write what came. A page of entries that the store gave up on before it
 * found anything is asked on for a bounded number of times.
 * Invariant: a page's cursor names the last thing seen, so inserts do not move what follows. */
#include <string.h>

#include "adapters/http/api_ops.h"
#include "adapters/http/front_loop.h"
#include "holdfast/check.h"

#define SCAN_MAX 5000u /* rows that one read of entries looks at */
#define SCANS_MAX 20u  /* reads for one page */
#define ZEROS_MAX 64u  /* assets that a balance reply shows although the user has none */

void api_read(struct api_call *call, struct store_request *request)
{
  if (api_ask_read(call, request))
    return;
  store_request_free(request);
  api_fail(call, HF_E_OVERLOADED);
}

/* The asset of ?asset=; NULL when it is not given, or not there: then the call was answered. */
static const struct store_asset_row *asset_wanted(struct api_call *call)
{
  const struct http_slice code = call->query.values[API_PARAM_ASSET];
  if (code.at == NULL)
    return NULL;
  const struct store_asset_row *asset =
    catalog_asset_by_code(catalog_of(call->loop->ctx), code.at, code.size);
  if (asset == NULL)
    api_fail(call, HF_E_ASSET_NOT_FOUND);
  return asset;
}

static void check_asset_code(struct api_call *call, struct json_problem *problem)
{
  const struct http_slice code = call->query.values[API_PARAM_ASSET];
  if (code.at != NULL && !api_asset_code_valid(code.at, code.size))
    json_problem_set(problem, HF_E_INVALID_QUERY, "asset", "not an asset code");
}

/* ---- balances -------------------------------------------------------------------------------- */

struct balances_work {
  hf_id user;
  int64_t at_us;  /* 0: now */
  bool effective; /* the axis of at_us */
  uint16_t asset; /* 0: all */
};

static void write_balance_of(struct json_out *out, const struct store_asset_row *asset,
                             const struct ledger_balance *balance)
{
  CHECK(asset != NULL); /* api_assets_check refused the answer otherwise */
  json_out_key_text(out, asset->code, strlen(asset->code));
  api_write_balance(out, balance, asset->scale);
}

/* The user's assets, then those of the catalog that the user never had, unless they are many. */
static void write_balances(struct api_call *call, const struct balances_work *work,
                           const struct ledger_asset *assets, size_t count)
{
  static const struct ledger_balance zeros;
  struct json_out *out = &call->loop->out;
  const struct catalog *catalog = catalog_of(call->loop->ctx);
  json_out_key(out, "balances");
  json_out_begin_object(out);
  bool found = false;
  for (size_t i = 0; i < count; i++) {
    if (work->asset != 0 && assets[i].asset != work->asset)
      continue;
    write_balance_of(out, api_asset_by_id(call->loop, assets[i].asset), &assets[i].balance);
    found = true;
  }
  if (work->asset != 0) {
    if (!found && catalog_asset(catalog, work->asset) != NULL) /* the database may go back */
      write_balance_of(out, catalog_asset(catalog, work->asset), &zeros);
  } else if (catalog_assets_count(catalog) <= ZEROS_MAX) {
    for (size_t i = 0; i < catalog_assets_count(catalog); i++) {
      const struct store_asset_row *asset = catalog_asset_at(catalog, i);
      bool has = false;
      for (size_t j = 0; j < count && !has; j++)
        has = assets[j].asset == asset->id;
      if (!has)
        write_balance_of(out, asset, &zeros);
    }
  }
  json_out_end_object(out);
}

static void reply_balances(struct api_call *call, uint64_t version, int64_t as_of_us,
                           const struct ledger_asset *assets, size_t count)
{
  const struct balances_work *work = call->work;
  if (api_is_over(call))
    return;
  struct json_out *out = api_out(call);
  json_out_begin_object(out);
  json_out_key(out, "user_id");
  json_out_id(out, work->user);
  json_out_key(out, "version");
  json_out_unsigned(out, version);
  json_out_key(out, "as_of");
  json_out_time(out, as_of_us);
  write_balances(call, work, assets, count);
  json_out_end_object(out);
  api_send(call, call->route->status);
}

static void resume_balances(struct api_call *call, enum api_ask kind, void *answer)
{
  if (kind == API_ASK_VIEW) {
    struct hf_view *view = answer;
    if (view->error != HF_OK)
      api_fail(call, view->error);
    else
      reply_balances(call, view->version, view->as_of_us, view->assets, view->assets_count);
    hf_view_free(view);
    return;
  }
  CHECK(kind == API_ASK_READ);
  struct store_request *request = answer;
  const enum hf_error error = api_read_error(request, HF_E_USER_NOT_FOUND);
  if (error != HF_OK)
    api_fail(call, error);
  else if (!request->balance_at.user_found)
    api_fail(call, HF_E_USER_NOT_FOUND);
  else if (request->balance_at.overflow)
    api_fail(call, HF_E_AMOUNT_OVERFLOW);
  else
    reply_balances(call, request->balance_at.version, request->balance_at.at_us,
                   request->balance_at.out, request->balance_at.count);
  store_request_free(request);
}

static void ask_balances(struct api_call *call, const struct balances_work *work)
{
  call->resume = resume_balances;
  if (work->at_us != 0) {
    struct store_request *request = store_request_new(STORE_BALANCE_AT);
    request->balance_at.user = work->user;
    request->balance_at.at_us = work->at_us;
    request->balance_at.effective = work->effective;
    api_read(call, request);
    return;
  }
  struct hf_view *view = hf_view_new();
  view->user = work->user;
  if (api_ask_view(call, view))
    return;
  hf_view_free(view);
  api_fail(call, HF_E_OVERLOADED);
}

void api_balances_get(struct api_call *call)
{
  struct json_problem problem = {0};
  const int64_t now_us = (int64_t)rt_wall_us(call->loop->ctx);
  const struct balances_work parsed = {
    .user = api_param_user(call, 0, &problem),
    .at_us = api_query_time(&call->query, API_PARAM_AT, now_us, &problem),
    .effective = api_query_is(&call->query, API_PARAM_AXIS, "effective"),
  };
  check_asset_code(call, &problem);
  if (call->query.values[API_PARAM_AXIS].at != NULL && !parsed.effective &&
      !api_query_is(&call->query, API_PARAM_AXIS, "recorded"))
    json_problem_set(&problem, HF_E_INVALID_QUERY, "axis", "must be recorded or effective");
  if (!api_allowed(call, &problem) || !api_has_room(call))
    return;
  const struct store_asset_row *asset = asset_wanted(call);
  if (api_is_over(call))
    return;
  struct balances_work *work = rt_alloc(sizeof *work);
  *work = parsed;
  work->asset = asset == NULL ? 0 : asset->id;
  call->work = work;
  call->work_free = rt_free;
  ask_balances(call, work);
}

/* ---- entries --------------------------------------------------------------------------------- */

struct entries_bound { /* what a cursor of entries is bound to; no padding */
  uint64_t user;
  int64_t from_us, to_us;
  uint32_t asset, type;
};
_Static_assert(sizeof(struct entries_bound) == 32, "the bytes under a MAC have no padding");

struct entries_work {
  struct entries_bound bound;
  unsigned limit;
  unsigned scans;
};

static void ask_entries(struct api_call *call, uint64_t before)
{
  const struct entries_work *work = call->work;
  struct store_request *request = store_request_new(STORE_LIST_ENTRIES);
  struct store_list_entries *list = &request->list_entries;
  list->user = work->bound.user;
  list->asset = (uint16_t)work->bound.asset;
  list->type = (uint8_t)work->bound.type;
  list->from_us = work->bound.from_us;
  list->to_us = work->bound.to_us;
  list->before_version = before;
  list->limit = work->limit;
  list->scan_max = SCAN_MAX;
  api_read(call, request);
}

static void reply_entries(struct api_call *call, const struct store_list_entries *list)
{
  const struct entries_work *work = call->work;
  const struct api_write to = api_write_to(call);
  struct json_out *out = api_out(call);
  json_out_begin_object(out);
  json_out_key(out, "data");
  json_out_begin_array(out);
  for (size_t i = 0; i < list->entries_count; i++)
    api_write_entry(&to, &list->entries[i], list->metadata[i], list->reversed_by[i]);
  json_out_end_array(out);
  api_write_next(call, &work->bound, sizeof work->bound, list->more ? list->next_before : 0);
  json_out_end_object(out);
  api_send(call, call->route->status);
}

static void resume_entries(struct api_call *call, enum api_ask kind, void *answer)
{
  CHECK(kind == API_ASK_READ);
  struct store_request *request = answer;
  const struct store_list_entries *list = &request->list_entries;
  struct entries_work *work = call->work;
  const enum hf_error error = api_read_error(request, HF_E_USER_NOT_FOUND);
  if (error != HF_OK)
    api_fail(call, error);
  else if (!list->user_found)
    api_fail(call, HF_E_USER_NOT_FOUND);
  else if (!api_is_over(call) && list->entries_count == 0 && list->more &&
           ++work->scans < SCANS_MAX)
    ask_entries(call, list->next_before);
  else if (!api_is_over(call))
    reply_entries(call, list);
  store_request_free(request);
}

void api_entries_get(struct api_call *call)
{
  struct json_problem problem = {0};
  const struct http_slice type = call->query.values[API_PARAM_TYPE];
  unsigned type_number = 0;
  struct entries_bound bound = {
    .user = api_param_user(call, 0, &problem),
    .from_us = api_query_time(&call->query, API_PARAM_FROM, 0, &problem),
    .to_us = api_query_time(&call->query, API_PARAM_TO, 0, &problem),
  };
  const unsigned limit = api_query_limit(&call->query, &problem);
  check_asset_code(call, &problem);
  if (type.at != NULL && !ledger_type_by_text(type.at, type.size, &type_number))
    json_problem_set(&problem, HF_E_INVALID_QUERY, "type", "not an operation type");
  bound.type = type_number;
  if (!api_allowed(call, &problem) || !api_has_room(call))
    return;
  const struct store_asset_row *asset = asset_wanted(call);
  if (api_is_over(call))
    return;
  bound.asset = asset == NULL ? 0 : asset->id;
  const uint64_t before = api_cursor_of(call, &bound, sizeof bound, &problem);
  if (problem.error != HF_OK) {
    api_refuse(call, &problem);
    return;
  }
  struct entries_work *work = rt_alloc(sizeof *work);
  *work = (struct entries_work){.bound = bound, .limit = limit};
  call->work = work;
  call->work_free = rt_free;
  call->resume = resume_entries;
  ask_entries(call, before);
}

/* ---- holds and blocks ------------------------------------------------------------------------ */

struct holds_bound { /* what a cursor of holds is bound to; no padding */
  uint64_t user;
  uint64_t open_only;
};

static void reply_holds(struct api_call *call, const struct store_request *request)
{
  const struct holds_bound bound = {request->list_holds.user, request->list_holds.open_only};
  const struct api_write to = api_write_to(call);
  const size_t count = request->list_holds.count;
  struct json_out *out = api_out(call);
  json_out_begin_object(out);
  json_out_key(out, "data");
  json_out_begin_array(out);
  for (size_t i = 0; i < count; i++)
    api_write_hold(&to, &request->list_holds.out[i], (int64_t)rt_wall_us(call->loop->ctx));
  json_out_end_array(out);
  const bool more = request->list_holds.more && count > 0;
  api_write_next(call, &bound, sizeof bound, more ? request->list_holds.out[count - 1].id : 0);
  json_out_end_object(out);
  api_send(call, call->route->status);
}

static void reply_one(struct api_call *call, const struct store_request *request)
{
  const struct api_write to = api_write_to(call);
  (void)api_out(call);
  if (request->kind == STORE_GET_HOLD)
    api_write_hold(&to, &request->get_hold.out, (int64_t)rt_wall_us(call->loop->ctx));
  else
    api_write_block(&to, &request->get_block.out);
  api_send(call, call->route->status);
}

static void resume_holds(struct api_call *call, enum api_ask kind, void *answer)
{
  CHECK(kind == API_ASK_READ);
  struct store_request *request = answer;
  const bool list = request->kind == STORE_LIST_HOLDS;
  const enum hf_error error =
    api_read_error(request, list                              ? HF_E_USER_NOT_FOUND
                            : request->kind == STORE_GET_HOLD ? HF_E_HOLD_NOT_FOUND
                                                              : HF_E_BLOCK_NOT_FOUND);
  if (error != HF_OK)
    api_fail(call, error);
  else if (list && !request->list_holds.user_found)
    api_fail(call, HF_E_USER_NOT_FOUND);
  else if (!api_is_over(call) && list)
    reply_holds(call, request);
  else if (!api_is_over(call))
    reply_one(call, request);
  store_request_free(request);
}

void api_holds_get(struct api_call *call)
{
  struct json_problem problem = {0};
  const bool open_only = api_query_is(&call->query, API_PARAM_STATE, "open");
  const struct holds_bound bound = {api_param_user(call, 0, &problem), open_only};
  const unsigned limit = api_query_limit(&call->query, &problem);
  if (!open_only && call->query.values[API_PARAM_STATE].at != NULL &&
      !api_query_is(&call->query, API_PARAM_STATE, "any"))
    json_problem_set(&problem, HF_E_INVALID_QUERY, "state", "must be open or any");
  const hf_id after = api_cursor_of(call, &bound, sizeof bound, &problem);
  if (!api_allowed(call, &problem) || !api_has_room(call))
    return;
  struct store_request *request = store_request_new(STORE_LIST_HOLDS);
  request->list_holds.user = bound.user;
  request->list_holds.open_only = open_only;
  request->list_holds.after = after;
  request->list_holds.limit = limit;
  call->resume = resume_holds;
  api_read(call, request);
}

static void read_one(struct api_call *call, enum store_kind kind)
{
  struct json_problem problem = {0};
  const hf_id id = api_param_id(call, 0, &problem);
  if (!api_allowed(call, &problem) || !api_has_room(call))
    return;
  struct store_request *request = store_request_new(kind);
  if (kind == STORE_GET_HOLD)
    request->get_hold.id = id;
  else
    request->get_block.id = id;
  call->resume = resume_holds;
  api_read(call, request);
}

void api_hold_get(struct api_call *call)
{
  read_one(call, STORE_GET_HOLD);
}
void api_block_get(struct api_call *call)
{
  read_one(call, STORE_GET_BLOCK);
}
