/* sqlite_read.c - the requests that look something up. Each runs within one read transaction, so
 * that what it returns was true at one moment; each is a bounded number of indexed seeks. */
#include <string.h>

#include "adapters/store_sqlite/sqlite_engine.h"

/* Ends a loop over rows: `code` is what the last step said. */
static enum store_status finish(struct sqlite_row *row, int code)
{
  (void)sqlite3_reset(row->statement);
  if (code != SQLITE_DONE)
    return sqlite_status(code) == STORE_CORRUPT ? STORE_CORRUPT : STORE_UNAVAILABLE;
  return row->corrupt ? STORE_CORRUPT : STORE_OK;
}

/* A limit as SQLite takes it, plus the one that tells whether there are more. */
static uint64_t one_more(uint32_t limit)
{
  return (uint64_t)limit + 1u;
}

/* ---- a user ---------------------------------------------------------------------------------- */

/* The newest entry of each asset; the overall newest names the others. */
static enum store_status load_entries(struct sqlite_db *db, struct store_request *request)
{
  struct store_loaded_user *out = &request->load_user.out;
  struct ledger_entry newest;
  uint64_t version;
  hf_id id;
  enum store_status status = sqlite_index_newest(db, request->load_user.id, &version, &id);
  if (status != STORE_OK || version == 0)
    return status;
  status = sqlite_get_entry(db, id, &request->arena, &newest);
  if (status != STORE_OK)
    return status == STORE_NOT_FOUND ? STORE_CORRUPT : status;
  if (newest.version != version || newest.user != request->load_user.id)
    return STORE_CORRUPT;
  out->entries_count = 1u + newest.others_count;
  out->entries = hf_arena_alloc(&request->arena, out->entries_count * sizeof(newest));
  out->entries[0] = newest;
  for (unsigned i = 0; status == STORE_OK && i < newest.others_count; i++) {
    struct ledger_entry *entry = &out->entries[i + 1u];
    status = sqlite_index_version(db, newest.user, newest.others[i].version, &id);
    if (status == STORE_OK)
      status = sqlite_get_entry(db, id, &request->arena, entry);
    if (status == STORE_NOT_FOUND ||
        (status == STORE_OK &&
         (entry->user != newest.user || entry->version != newest.others[i].version ||
          entry->asset != newest.others[i].asset)))
      status = STORE_CORRUPT;
  }
  return status;
}

/* Version of the entry that made a hold or block. */
static enum store_status version_of(struct sqlite_db *db, hf_id op, hf_id user,
                                    uint64_t *ret_version)
{
  struct sqlite_row row = {.statement = sqlite_db_use_journal(
                             db, JOURNAL_VERSION, hf_id_partition(op, db->partition_bits))};
  sqlite_bind_id(row.statement, 1, hf_id_serial(op, db->partition_bits));
  enum store_status status = sqlite_first(row.statement);
  if (status != STORE_OK)
    return status == STORE_NOT_FOUND ? STORE_CORRUPT : status;
  if (sqlite_column_unsigned(&row, 0, HF_ID_MAX) != user)
    row.corrupt = true;
  *ret_version = sqlite_column_unsigned(&row, 1, INT64_MAX);
  return finish(&row, SQLITE_DONE);
}

static enum store_status load_holds(struct sqlite_db *db, struct store_request *request)
{
  struct store_loaded_user *out = &request->load_user.out;
  struct sqlite_row row = {.statement = sqlite_db_use(db, SQL_HOLD_OPEN)};
  void *holds = NULL;
  size_t room = 0;
  int code;
  sqlite_bind_id(row.statement, 1, request->load_user.id);
  sqlite_bind_id(row.statement, 2, 0);
  sqlite_bind_id(row.statement, 3, INT64_MAX);
  while ((code = sqlite3_step(row.statement)) == SQLITE_ROW) {
    struct store_hold_row *hold =
      hf_arena_push(&request->arena, &holds, &out->holds_count, &room, sizeof(*hold));
    sqlite_row_hold(&row, hold);
  }
  out->holds = holds;
  out->hold_versions =
    hf_arena_alloc(&request->arena, out->holds_count * sizeof(*out->hold_versions));
  enum store_status status = finish(&row, code);
  for (size_t i = 0; status == STORE_OK && i < out->holds_count; i++)
    status = version_of(db, out->holds[i].id, out->holds[i].user, &out->hold_versions[i]);
  return status;
}

static enum store_status load_blocks(struct sqlite_db *db, struct store_request *request)
{
  struct store_loaded_user *out = &request->load_user.out;
  struct sqlite_row row = {.statement = sqlite_db_use(db, SQL_BLOCK_OPEN)};
  void *blocks = NULL;
  size_t room = 0;
  int code;
  sqlite_bind_id(row.statement, 1, request->load_user.id);
  while ((code = sqlite3_step(row.statement)) == SQLITE_ROW) {
    struct store_block_row *block =
      hf_arena_push(&request->arena, &blocks, &out->blocks_count, &room, sizeof(*block));
    sqlite_row_block(&row, block);
  }
  out->blocks = blocks;
  out->block_versions =
    hf_arena_alloc(&request->arena, out->blocks_count * sizeof(*out->block_versions));
  enum store_status status = finish(&row, code);
  for (size_t i = 0; status == STORE_OK && i < out->blocks_count; i++)
    status = version_of(db, out->blocks[i].id, out->blocks[i].user, &out->block_versions[i]);
  return status;
}

static enum store_status load_user(struct sqlite_db *db, struct store_request *request)
{
  struct store_loaded_user *out = &request->load_user.out;
  hf_id id = request->load_user.id;
  *out = (struct store_loaded_user){.entries_count = 0};
  enum store_status status = sqlite_get_user(db, id, &request->arena, &out->row);
  if (status == STORE_OK)
    status = sqlite_index_has_keys(db, id, &out->has_keys);
  if (status == STORE_OK)
    status = load_entries(db, request);
  if (status == STORE_OK)
    status = load_holds(db, request);
  if (status == STORE_OK)
    status = load_blocks(db, request);
  return status;
}

/* ---- single rows ----------------------------------------------------------------------------- */

static enum store_status get_name(struct sqlite_db *db, struct store_request *request)
{
  struct sqlite_row row = {.statement = sqlite_db_use(db, SQL_NAME_GET)};
  sqlite_bind_id(row.statement, 1, request->get_name.partition);
  sqlite_bind_id(row.statement, 2, request->get_name.name_kind);
  sqlite_bind_bytes(row.statement, 3, request->get_name.digest.bytes, HF_HASH_SIZE);
  enum store_status status = sqlite_first(row.statement);
  if (status != STORE_OK)
    return status;
  sqlite_row_name(&row, &request->get_name.out);
  return finish(&row, SQLITE_DONE);
}

static enum store_status get_hold(struct sqlite_db *db, struct store_request *request)
{
  struct sqlite_row row = {.statement = sqlite_db_use(db, SQL_HOLD_GET)};
  sqlite_bind_id(row.statement, 1, request->get_hold.id);
  enum store_status status = sqlite_first(row.statement);
  if (status != STORE_OK)
    return status;
  sqlite_row_hold(&row, &request->get_hold.out);
  return finish(&row, SQLITE_DONE);
}

static enum store_status get_block(struct sqlite_db *db, struct store_request *request)
{
  struct sqlite_row row = {.statement = sqlite_db_use(db, SQL_BLOCK_GET)};
  sqlite_bind_id(row.statement, 1, request->get_block.id);
  enum store_status status = sqlite_first(row.statement);
  if (status != STORE_OK)
    return status;
  sqlite_row_block(&row, &request->get_block.out);
  return finish(&row, SQLITE_DONE);
}

/* ---- lists ----------------------------------------------------------------------------------- */

/* Reads the holds of a bound statement. */
static enum store_status read_holds(struct sqlite_row *row, struct hf_arena *arena,
                                    struct store_hold_row **ret_holds, size_t *ret_count)
{
  void *holds = NULL;
  size_t room = 0;
  int code;
  *ret_count = 0;
  while ((code = sqlite3_step(row->statement)) == SQLITE_ROW) {
    struct store_hold_row *hold = hf_arena_push(arena, &holds, ret_count, &room, sizeof(*hold));
    sqlite_row_hold(row, hold);
  }
  *ret_holds = holds;
  return finish(row, code);
}

static enum store_status list_holds(struct sqlite_db *db, struct store_request *request)
{
  struct sqlite_row row = {
    .statement = sqlite_db_use(db, request->list_holds.open_only ? SQL_HOLD_OPEN : SQL_HOLD_ALL)};
  request->list_holds.more = false;
  request->list_holds.count = 0;
  request->list_holds.out = NULL;
  enum store_status status =
    sqlite_user_exists(db, request->list_holds.user, &request->list_holds.user_found);
  if (status != STORE_OK || !request->list_holds.user_found)
    return status;
  sqlite_bind_id(row.statement, 1, request->list_holds.user);
  sqlite_bind_id(row.statement, 2, request->list_holds.after);
  sqlite_bind_id(row.statement, 3, one_more(request->list_holds.limit));
  status = read_holds(&row, &request->arena, &request->list_holds.out, &request->list_holds.count);
  if (request->list_holds.count > request->list_holds.limit) {
    request->list_holds.count = request->list_holds.limit;
    request->list_holds.more = true;
  }
  return status;
}

static enum store_status due_holds(struct sqlite_db *db, struct store_request *request)
{
  struct sqlite_row row = {.statement = sqlite_db_use(db, SQL_HOLD_DUE)};
  sqlite_bind_id(row.statement, 1, request->due_holds.partition);
  sqlite_bind_time(row.statement, 2, request->due_holds.now_us);
  sqlite_bind_id(row.statement, 3, request->due_holds.limit);
  sqlite_bind_time(row.statement, 4, request->due_holds.after_us);
  sqlite_bind_id(row.statement, 5, request->due_holds.after_id);
  return read_holds(&row, &request->arena, &request->due_holds.out, &request->due_holds.count);
}

static enum store_status open_transfers(struct sqlite_db *db, struct store_request *request)
{
  struct sqlite_row row = {.statement = sqlite_db_use(db, SQL_TRANSFER_OPEN)};
  void *transfers = NULL;
  size_t room = 0;
  int code;
  request->open_transfers.count = 0;
  sqlite_bind_id(row.statement, 1, request->open_transfers.partition);
  sqlite_bind_id(row.statement, 2, request->open_transfers.after);
  sqlite_bind_id(row.statement, 3, request->open_transfers.limit);
  while ((code = sqlite3_step(row.statement)) == SQLITE_ROW) {
    struct store_transfer_row *transfer = hf_arena_push(
      &request->arena, &transfers, &request->open_transfers.count, &room, sizeof(*transfer));
    sqlite_row_transfer(&row, transfer);
  }
  request->open_transfers.out = transfers;
  return finish(&row, code);
}

static enum store_status reserved_names(struct sqlite_db *db, struct store_request *request)
{
  struct sqlite_row row = {.statement = sqlite_db_use(db, SQL_NAME_RESERVED)};
  void *names = NULL;
  size_t room = 0;
  int code;
  request->reserved.count = 0;
  sqlite_bind_id(row.statement, 1, request->reserved.partition);
  sqlite_bind_id(row.statement, 2, request->reserved.limit);
  while ((code = sqlite3_step(row.statement)) == SQLITE_ROW) {
    struct store_name_row *name =
      hf_arena_push(&request->arena, &names, &request->reserved.count, &room, sizeof(*name));
    sqlite_row_name(&row, name);
  }
  request->reserved.out = names;
  return finish(&row, code);
}

/* ---- the catalogue --------------------------------------------------------------------------- */

static enum store_status read_assets(struct sqlite_db *db, struct store_request *request)
{
  struct sqlite_row row = {.statement = sqlite_db_use(db, SQL_ASSET_EACH)};
  void *assets = NULL;
  size_t room = 0;
  int code;
  request->catalog.assets_count = 0;
  while ((code = sqlite3_step(row.statement)) == SQLITE_ROW) {
    struct store_asset_row *asset = hf_arena_push(
      &request->arena, &assets, &request->catalog.assets_count, &room, sizeof(*asset));
    asset->id = (uint16_t)sqlite_column_unsigned(&row, 0, UINT16_MAX);
    asset->scale = (uint8_t)sqlite_column_unsigned(&row, 1, UINT8_MAX);
    asset->chain_decimals = (uint8_t)sqlite_column_unsigned(&row, 2, UINT8_MAX);
    sqlite_column_chars(&row, 3, asset->code, sizeof(asset->code));
    sqlite_column_chars(&row, 4, asset->name, sizeof(asset->name));
    sqlite_column_chars(&row, 5, asset->chain, sizeof(asset->chain));
    sqlite_column_chars(&row, 6, asset->contract, sizeof(asset->contract));
    asset->created_us = sqlite_column_time(&row, 7);
  }
  request->catalog.assets = assets;
  return finish(&row, code);
}

static enum store_status read_keys(struct sqlite_db *db, struct store_request *request)
{
  struct sqlite_row row = {.statement = sqlite_db_use(db, SQL_KEY_EACH)};
  void *keys = NULL;
  size_t room = 0;
  int code;
  request->catalog.keys_count = 0;
  while ((code = sqlite3_step(row.statement)) == SQLITE_ROW) {
    struct store_key_row *key =
      hf_arena_push(&request->arena, &keys, &request->catalog.keys_count, &room, sizeof(*key));
    sqlite_column_chars(&row, 0, key->id, sizeof(key->id));
    sqlite_column_bytes(&row, 1, key->secret.bytes, sizeof(key->secret.bytes));
    key->scopes = (uint32_t)sqlite_column_unsigned(&row, 2, UINT32_MAX);
    key->created_us = sqlite_column_time(&row, 3);
    key->revoked_us = sqlite_column_time(&row, 4);
    sqlite_column_chars(&row, 5, key->name, sizeof(key->name));
  }
  request->catalog.keys = keys;
  return finish(&row, code);
}

/* ---- all ------------------------------------------------------------------------------------- */

enum store_status sqlite_read(struct sqlite_db *db, struct store_request *request)
{
  switch (request->kind) {
  case STORE_LOAD_USER:
    return load_user(db, request);
  case STORE_GET_USER:
    return sqlite_get_user(db, request->get_user.id, &request->arena, &request->get_user.out);
  case STORE_GET_NAME:
    return get_name(db, request);
  case STORE_GET_OP:
    request->get_op.out = NULL;
    return sqlite_load_op(db, request->get_op.id, request->get_op.entry, &request->get_op.out);
  case STORE_GET_KEY_OP:
    request->get_key_op.out = NULL;
    return sqlite_load_key_op(db, request->get_key_op.user, &request->get_key_op.key,
                              &request->get_key_op.out);
  case STORE_GET_HOLD:
    return get_hold(db, request);
  case STORE_GET_BLOCK:
    return get_block(db, request);
  case STORE_LIST_HOLDS:
    return list_holds(db, request);
  case STORE_LIST_ENTRIES:
    return sqlite_list_entries(db, request);
  case STORE_BALANCE_AT:
    return sqlite_balance_at(db, request);
  case STORE_DUE_HOLDS:
    return due_holds(db, request);
  case STORE_OPEN_TRANSFERS:
    return open_transfers(db, request);
  case STORE_RESERVED_NAMES:
    return reserved_names(db, request);
  case STORE_CATALOG: {
    enum store_status status = read_assets(db, request);
    return status == STORE_OK ? read_keys(db, request) : status;
  }
  default:
    CHECK(request->kind == STORE_SCAN); /* the only read that is left */
    return sqlite_scan(db, request);
  }
}
