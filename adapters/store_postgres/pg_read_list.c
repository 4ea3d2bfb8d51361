/* pg_read_list.c - lists that one round brings: holds of a user, what is due, in transit or
 * reserved, and the catalogue. Where a request says whether there are more, one row more than its
 * limit is asked for. */
#include "adapters/store_postgres/pg_read.h"

struct list_read {
  struct pg_reading reading; /* first */
  bool asked;
};

/* ---- rows ------------------------------------------------------------------------------------ */

static size_t take_holds(struct pg_rows *rows, struct hf_arena *arena,
                         struct store_hold_row **ret_holds)
{
  size_t count = (size_t)PQntuples(rows->result);
  struct store_hold_row *holds = hf_arena_alloc(arena, count * sizeof *holds);
  for (rows->row = 0; rows->row < (int)count; rows->row++)
    pg_row_hold(rows, &holds[rows->row]);
  *ret_holds = holds;
  return count;
}

static void take_transfers(struct pg_rows *rows, struct store_request *request)
{
  size_t count = (size_t)PQntuples(rows->result);
  struct store_transfer_row *out = hf_arena_alloc(&request->arena, count * sizeof *out);
  for (rows->row = 0; rows->row < (int)count; rows->row++)
    pg_row_transfer(rows, &out[rows->row]);
  request->open_transfers.out = out;
  request->open_transfers.count = count;
}

static void take_names(struct pg_rows *rows, struct store_request *request)
{
  size_t count = (size_t)PQntuples(rows->result);
  struct store_name_row *out = hf_arena_alloc(&request->arena, count * sizeof *out);
  for (rows->row = 0; rows->row < (int)count; rows->row++)
    pg_row_name(rows, &out[rows->row]);
  request->reserved.out = out;
  request->reserved.count = count;
}

static void take_assets(struct pg_rows *rows, struct store_request *request)
{
  size_t count = (size_t)PQntuples(rows->result);
  struct store_asset_row *out = hf_arena_alloc(&request->arena, count * sizeof *out);
  for (rows->row = 0; rows->row < (int)count; rows->row++) {
    struct store_asset_row *asset = &out[rows->row];
    asset->id = (uint16_t)pg_get_unsigned(rows, 0, UINT16_MAX);
    asset->scale = (uint8_t)pg_get_unsigned(rows, 1, HF_SCALE_MAX);
    asset->chain_decimals = (uint8_t)pg_get_unsigned(rows, 2, UINT8_MAX);
    pg_get_chars(rows, 3, asset->code, sizeof asset->code);
    pg_get_chars(rows, 4, asset->name, sizeof asset->name);
    pg_get_chars(rows, 5, asset->chain, sizeof asset->chain);
    pg_get_chars(rows, 6, asset->contract, sizeof asset->contract);
    asset->created_us = pg_get_int(rows, 7);
  }
  request->catalog.assets = out;
  request->catalog.assets_count = count;
}

static void take_keys(struct pg_rows *rows, struct store_request *request)
{
  size_t count = (size_t)PQntuples(rows->result);
  struct store_key_row *out = hf_arena_alloc(&request->arena, count * sizeof *out);
  for (rows->row = 0; rows->row < (int)count; rows->row++) {
    struct store_key_row *key = &out[rows->row];
    pg_get_chars(rows, 0, key->id, sizeof key->id);
    pg_get_bytes(rows, 1, key->secret.bytes, sizeof key->secret.bytes);
    key->scopes = (uint32_t)pg_get_unsigned(rows, 2, UINT32_MAX);
    key->created_us = pg_get_int(rows, 3);
    key->revoked_us = pg_get_int(rows, 4);
    pg_get_chars(rows, 5, key->name, sizeof key->name);
  }
  request->catalog.keys = out;
  request->catalog.keys_count = count;
}

static void take_user_holds(struct pg_rows *rows, unsigned index, struct store_request *request)
{
  if (index == 0) {
    request->list_holds.user_found = PQntuples(rows->result) > 0;
    return;
  }
  if (!request->list_holds.user_found)
    return;
  size_t count = take_holds(rows, &request->arena, &request->list_holds.out);
  request->list_holds.more = count > request->list_holds.limit;
  request->list_holds.count = request->list_holds.more ? request->list_holds.limit : count;
}

static void list_take(struct pg_talk *talk, unsigned index, const PGresult *result)
{
  struct list_read *read = talk->work;
  struct store_request *request = talk->request;
  struct pg_rows rows = {.result = result};
  switch (request->kind) {
  case STORE_LIST_HOLDS:
    take_user_holds(&rows, index, request);
    break;
  case STORE_DUE_HOLDS:
    request->due_holds.count = take_holds(&rows, &request->arena, &request->due_holds.out);
    break;
  case STORE_OPEN_TRANSFERS:
    take_transfers(&rows, request);
    break;
  case STORE_RESERVED_NAMES:
    take_names(&rows, request);
    break;
  default:
    CHECK(request->kind == STORE_CATALOG); /* the only kind that is left */
    if (index == 0)
      take_assets(&rows, request);
    else
      take_keys(&rows, request);
  }
  read->reading.corrupt = read->reading.corrupt || rows.corrupt;
}

/* ---- asking ---------------------------------------------------------------------------------- */

static void ask_user_holds(const struct pg_talk *talk, struct pg_round *round)
{
  struct store_request *request = talk->request;
  hf_id user = request->list_holds.user;
  unsigned partition = pg_partition(talk, user);
  request->list_holds.user_found = false;
  request->list_holds.more = false;
  request->list_holds.count = 0;
  request->list_holds.out = NULL;
  pg_round_in(round, PG_USER_EXISTS, partition);
  pg_arg_int8(round, (int64_t)user);
  pg_round_in(round, request->list_holds.open_only ? PG_HOLDS_OPEN : PG_HOLDS_ALL, partition);
  pg_arg_int8(round, (int64_t)user);
  pg_arg_int8(round, (int64_t)request->list_holds.after);
  pg_arg_int8(round, (int64_t)request->list_holds.limit + 1);
}

static void ask(const struct pg_talk *talk, struct pg_round *round)
{
  const struct store_request *request = talk->request;
  switch (request->kind) {
  case STORE_LIST_HOLDS:
    ask_user_holds(talk, round);
    break;
  case STORE_DUE_HOLDS:
    pg_round_in(round, PG_HOLDS_DUE, request->due_holds.partition);
    pg_arg_int8(round, request->due_holds.now_us);
    pg_arg_int8(round, request->due_holds.limit);
    pg_arg_int8(round, request->due_holds.after_us);
    pg_arg_int8(round, (int64_t)request->due_holds.after_id);
    break;
  case STORE_OPEN_TRANSFERS:
    pg_round_in(round, PG_TRANSFERS_OPEN, request->open_transfers.partition);
    pg_arg_int8(round, (int64_t)request->open_transfers.after);
    pg_arg_int8(round, request->open_transfers.limit);
    break;
  case STORE_RESERVED_NAMES:
    pg_round_in(round, PG_NAMES_RESERVED, request->reserved.partition);
    pg_arg_int8(round, request->reserved.limit);
    break;
  default:
    CHECK(request->kind == STORE_CATALOG); /* the only kind that is left */
    pg_round_add(round, PG_ASSETS);
    pg_round_add(round, PG_KEYS);
  }
}

static bool list_next(struct pg_talk *talk, struct pg_round *round)
{
  struct list_read *read = pg_reading_work(talk, sizeof *read);
  if (read->asked)
    return pg_reading_end(talk, STORE_OK);
  read->asked = true;
  ask(talk, round);
  return true;
}

const struct pg_talk_ops pg_list_talk = {
  .next = list_next, .take = list_take, .failed = pg_reading_failed};
