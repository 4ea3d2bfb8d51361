/* sqlite_rows.c - see the header. */
#include "adapters/store_sqlite/sqlite_rows.h"

#include <string.h>

#include "holdfast/error.h"

/* ---- one row --------------------------------------------------------------------------------- */

void sqlite_row_user(struct sqlite_row *row, unsigned partition_bits, struct hf_arena *arena,
                     struct store_user_row *ret_user)
{
  uint64_t order = sqlite_column_unsigned(row, 0, INT64_MAX);
  uint64_t serial = order & ((1ull << SQLITE_ORDER_SHIFT) - 1u);
  uint64_t partition = order >> SQLITE_ORDER_SHIFT;
  if (partition >> partition_bits != 0)
    row->corrupt = true;
  *ret_user = (struct store_user_row){
    .id = hf_id_make(serial, (unsigned)partition, partition_bits),
    .kind = (uint8_t)sqlite_column_unsigned(row, 1, UINT8_MAX),
    .status = (uint8_t)sqlite_column_unsigned(row, 2, UINT8_MAX),
    .created_us = sqlite_column_time(row, 3),
    .external_id = sqlite_column_text(row, 4, arena),
    .profile = sqlite_column_text(row, 5, arena),
  };
}

void sqlite_row_name(struct sqlite_row *row, struct store_name_row *ret_name)
{
  memset(ret_name, 0, sizeof(*ret_name));
  ret_name->partition = (uint32_t)sqlite_column_unsigned(row, 0, UINT32_MAX);
  ret_name->kind = (uint8_t)sqlite_column_unsigned(row, 1, UINT8_MAX);
  sqlite_column_bytes(row, 2, ret_name->digest.bytes, sizeof(ret_name->digest.bytes));
  ret_name->state = (uint8_t)sqlite_column_unsigned(row, 3, UINT8_MAX);
  sqlite_column_bytes(row, 4, ret_name->request.bytes, sizeof(ret_name->request.bytes));
  ret_name->user = sqlite_column_unsigned(row, 5, HF_ID_MAX);
  ret_name->created_us = sqlite_column_time(row, 6);
}

void sqlite_row_hold(struct sqlite_row *row, struct store_hold_row *ret_hold)
{
  *ret_hold = (struct store_hold_row){
    .id = sqlite_column_unsigned(row, 0, HF_ID_MAX),
    .user = sqlite_column_unsigned(row, 1, HF_ID_MAX),
    .asset = (uint16_t)sqlite_column_unsigned(row, 2, UINT16_MAX),
    .state = (uint8_t)sqlite_column_unsigned(row, 3, STORE_HOLD_EXPIRED),
    .amount = sqlite_column_amount(row, 4),
    .remaining = sqlite_column_amount(row, 5),
    .created_us = sqlite_column_time(row, 6),
    .expires_us = sqlite_column_time(row, 7),
    .resolved_us = sqlite_column_time(row, 8),
  };
}

void sqlite_row_block(struct sqlite_row *row, struct store_block_row *ret_block)
{
  *ret_block = (struct store_block_row){
    .id = sqlite_column_unsigned(row, 0, HF_ID_MAX),
    .user = sqlite_column_unsigned(row, 1, HF_ID_MAX),
    .asset = (uint16_t)sqlite_column_unsigned(row, 2, UINT16_MAX),
    .bucket = (uint8_t)sqlite_column_unsigned(row, 3, LEDGER_BUCKET_COUNT - 1u),
    .open = sqlite_column_unsigned(row, 4, 1) == 1,
    .amount = sqlite_column_amount(row, 5),
    .remaining = sqlite_column_amount(row, 6),
    .created_us = sqlite_column_time(row, 7),
    .resolved_us = sqlite_column_time(row, 8),
  };
}

void sqlite_row_transfer(struct sqlite_row *row, struct store_transfer_row *ret_transfer)
{
  *ret_transfer = (struct store_transfer_row){
    .id = sqlite_column_unsigned(row, 0, HF_ID_MAX),
    .payer = sqlite_column_unsigned(row, 1, HF_ID_MAX),
    .payee = sqlite_column_unsigned(row, 2, HF_ID_MAX),
    .asset = (uint16_t)sqlite_column_unsigned(row, 3, UINT16_MAX),
    .state = (uint8_t)sqlite_column_unsigned(row, 4, STORE_TRANSFER_BOUNCED),
    .amount = sqlite_column_amount(row, 5),
    .credit = sqlite_column_unsigned(row, 6, HF_ID_MAX),
    .created_us = sqlite_column_time(row, 7),
  };
}

void sqlite_row_outcome(struct sqlite_row *row, struct store_outcome *ret_outcome)
{
  char code[64];
  memset(ret_outcome, 0, sizeof(*ret_outcome));
  ret_outcome->user = sqlite_column_unsigned(row, 0, HF_ID_MAX);
  sqlite_column_bytes(row, 1, ret_outcome->key.bytes, sizeof(ret_outcome->key.bytes));
  sqlite_column_bytes(row, 2, ret_outcome->request.bytes, sizeof(ret_outcome->request.bytes));
  sqlite_column_chars(row, 3, code, sizeof(code));
  ret_outcome->error = (uint16_t)hf_error_by_code(code);
  if (ret_outcome->error == HF_OK)
    row->corrupt = true;
  ret_outcome->type = (uint8_t)sqlite_column_unsigned(row, 4, UINT8_MAX);
  ret_outcome->version = sqlite_column_unsigned(row, 5, INT64_MAX);
  ret_outcome->recorded_us = sqlite_column_time(row, 6);
  ret_outcome->batch = sqlite_column_unsigned(row, 7, INT64_MAX);
}

void sqlite_row_batch(struct sqlite_row *row, struct store_batch *ret_batch)
{
  memset(ret_batch, 0, sizeof(*ret_batch));
  ret_batch->partition = (uint32_t)sqlite_column_unsigned(row, 0, UINT32_MAX);
  ret_batch->number = sqlite_column_unsigned(row, 1, INT64_MAX);
  if (ret_batch->number == 0) /* they are counted from 1 */
    row->corrupt = true;
  ret_batch->epoch = sqlite_column_unsigned(row, 2, INT64_MAX);
  ret_batch->first_seq = sqlite_column_unsigned(row, 3, INT64_MAX);
  ret_batch->entries_count = (uint32_t)sqlite_column_unsigned(row, 4, UINT32_MAX);
  ret_batch->outcomes_count = (uint32_t)sqlite_column_unsigned(row, 5, UINT32_MAX);
  ret_batch->rows_count = (uint32_t)sqlite_column_unsigned(row, 6, UINT32_MAX);
  ret_batch->committed_us = sqlite_column_time(row, 7);
  sqlite_column_bytes(row, 8, ret_batch->previous.bytes, sizeof(ret_batch->previous.bytes));
  sqlite_column_bytes(row, 9, ret_batch->hash.bytes, sizeof(ret_batch->hash.bytes));
}

void sqlite_row_entry(struct sqlite_row *row, const struct sqlite_db *db, unsigned partition,
                      struct hf_arena *arena, struct ledger_entry *ret_entry,
                      struct store_text *ret_body)
{
  struct ledger_other others[LEDGER_ASSETS_MAX];
  const void *body = sqlite3_column_blob(row->statement, 4);
  size_t size = (size_t)sqlite3_column_bytes(row->statement, 4);
  uint64_t seq = sqlite_column_unsigned(row, 0, HF_ID_MAX >> db->partition_bits);
  memset(ret_entry, 0, sizeof(*ret_entry));
  if (body == NULL || !ledger_entry_decode(body, size, others, ret_entry)) {
    memset(ret_entry, 0, sizeof(*ret_entry));
    row->corrupt = true;
    return;
  }
  ret_entry->id = hf_id_make(seq, partition, db->partition_bits);
  sqlite_column_bytes(row, 3, ret_entry->hash.bytes, sizeof(ret_entry->hash.bytes));
  /* The readable columns were written from the same entry. */
  if (ret_entry->user != sqlite_column_unsigned(row, 1, HF_ID_MAX) ||
      ret_entry->version != sqlite_column_unsigned(row, 2, INT64_MAX) ||
      hf_id_partition(ret_entry->user, db->partition_bits) != partition ||
      ret_entry->op_index >= ret_entry->op_count || ret_entry->op_index >= seq)
    row->corrupt = true;
  ret_entry->others = ret_entry->others_count == 0
                        ? NULL
                        : hf_arena_copy(arena, others, ret_entry->others_count * sizeof(others[0]));
  if (ret_body != NULL)
    *ret_body = (struct store_text){hf_arena_copy(arena, body, size), size};
}

/* ---- small reads ----------------------------------------------------------------------------- */

enum store_status sqlite_first(sqlite3_stmt *statement)
{
  int code = sqlite3_step(statement);
  if (code == SQLITE_ROW)
    return STORE_OK;
  (void)sqlite3_reset(statement);
  return code == SQLITE_DONE ? STORE_NOT_FOUND : sqlite_status(code);
}

static enum store_status finish(struct sqlite_row *row)
{
  (void)sqlite3_reset(row->statement);
  return row->corrupt ? STORE_CORRUPT : STORE_OK;
}

enum store_status sqlite_get_user(struct sqlite_db *db, hf_id id, struct hf_arena *arena,
                                  struct store_user_row *ret_user)
{
  struct sqlite_row row = {.statement = sqlite_db_use(db, SQL_USER_GET)};
  sqlite_bind_id(row.statement, 1, sqlite_order(id, db->partition_bits));
  enum store_status status = sqlite_first(row.statement);
  if (status != STORE_OK)
    return status;
  sqlite_row_user(&row, db->partition_bits, arena, ret_user);
  return finish(&row);
}

enum store_status sqlite_user_exists(struct sqlite_db *db, hf_id id, bool *ret_found)
{
  sqlite3_stmt *get = sqlite_db_use(db, SQL_USER_EXISTS);
  sqlite_bind_id(get, 1, sqlite_order(id, db->partition_bits));
  enum store_status status = sqlite_first(get);
  if (status != STORE_OK && status != STORE_NOT_FOUND)
    return status;
  *ret_found = status == STORE_OK;
  (void)sqlite3_reset(get);
  return STORE_OK;
}

enum store_status sqlite_get_entry(struct sqlite_db *db, hf_id id, struct hf_arena *arena,
                                   struct ledger_entry *ret_entry)
{
  unsigned partition = hf_id_partition(id, db->partition_bits);
  struct sqlite_row row = {.statement = sqlite_db_use_journal(db, JOURNAL_GET, partition)};
  sqlite_bind_id(row.statement, 1, hf_id_serial(id, db->partition_bits));
  enum store_status status = sqlite_first(row.statement);
  if (status != STORE_OK)
    return status;
  sqlite_row_entry(&row, db, partition, arena, ret_entry, NULL);
  return finish(&row);
}

enum store_status sqlite_get_metadata(struct sqlite_db *db, hf_id op, struct hf_arena *arena,
                                      struct store_text *ret_json, struct store_salt *ret_salt)
{
  struct sqlite_row row = {.statement = sqlite_db_use(db, SQL_META_GET)};
  sqlite_bind_id(row.statement, 1, op);
  enum store_status status = sqlite_first(row.statement);
  *ret_json = (struct store_text){NULL, 0};
  if (status == STORE_NOT_FOUND)
    return STORE_OK;
  if (status != STORE_OK)
    return status;
  *ret_json = sqlite_column_text(&row, 0, arena);
  if (ret_salt != NULL && ret_json->at != NULL)
    sqlite_column_bytes(&row, 1, ret_salt->bytes, sizeof(ret_salt->bytes));
  return finish(&row);
}

enum store_status sqlite_get_reversals(struct sqlite_db *db, hf_id original, struct hf_arena *arena,
                                       struct store_reversal_row **ret_rows, size_t *ret_count)
{
  struct sqlite_row row = {.statement = sqlite_db_use(db, SQL_REVERSAL_OF)};
  void *rows = NULL;
  size_t room = 0;
  int code;
  *ret_count = 0;
  sqlite_bind_id(row.statement, 1, original);
  while ((code = sqlite3_step(row.statement)) == SQLITE_ROW) {
    struct store_reversal_row *reversal =
      hf_arena_push(arena, &rows, ret_count, &room, sizeof(*reversal));
    reversal->original = original;
    reversal->op = sqlite_column_unsigned(&row, 0, HF_ID_MAX);
    reversal->amount = sqlite_column_amount(&row, 1);
  }
  *ret_rows = rows;
  enum store_status status = finish(&row);
  return code != SQLITE_DONE ? sqlite_status(code) : status;
}

/* ---- user_index ------------------------------------------------------------------------------ */

enum store_status sqlite_index_newest(struct sqlite_db *db, hf_id user, uint64_t *ret_version,
                                      hf_id *ret_entry)
{
  struct sqlite_row row = {.statement = sqlite_db_use(db, SQL_INDEX_NEWEST)};
  sqlite_bind_id(row.statement, 1, user);
  enum store_status status = sqlite_first(row.statement);
  if (status != STORE_OK && status != STORE_NOT_FOUND)
    return status;
  *ret_version = 0;
  *ret_entry = 0;
  if (status == STORE_NOT_FOUND)
    return STORE_OK;
  *ret_version = sqlite_column_unsigned(&row, 0, INT64_MAX);
  *ret_entry = hf_id_make(sqlite_column_unsigned(&row, 1, HF_ID_MAX >> db->partition_bits),
                          hf_id_partition(user, db->partition_bits), db->partition_bits);
  return finish(&row);
}

enum store_status sqlite_index_version(struct sqlite_db *db, hf_id user, uint64_t version,
                                       hf_id *ret_entry)
{
  struct sqlite_row row = {.statement = sqlite_db_use(db, SQL_INDEX_GET)};
  sqlite_bind_id(row.statement, 1, user);
  sqlite_bind_id(row.statement, 2, version);
  enum store_status status = sqlite_first(row.statement);
  if (status != STORE_OK)
    return status == STORE_NOT_FOUND ? STORE_CORRUPT : status;
  *ret_entry = hf_id_make(sqlite_column_unsigned(&row, 0, HF_ID_MAX >> db->partition_bits),
                          hf_id_partition(user, db->partition_bits), db->partition_bits);
  return finish(&row);
}

enum store_status sqlite_index_has_keys(struct sqlite_db *db, hf_id user, bool *ret_any)
{
  sqlite3_stmt *any = sqlite_db_use(db, SQL_INDEX_ANY_KEY);
  sqlite_bind_id(any, 1, user);
  enum store_status status = sqlite_first(any);
  if (status != STORE_OK && status != STORE_NOT_FOUND)
    return status;
  *ret_any = status == STORE_OK;
  (void)sqlite3_reset(any);
  return STORE_OK;
}

/* ---- ops ------------------------------------------------------------------------------------- */

static enum store_status load_transfer(struct sqlite_db *db, struct store_op *op)
{
  struct sqlite_row row = {.statement = sqlite_db_use(db, SQL_TRANSFER_GET)};
  if (op->entries[0].type != LEDGER_T_TRANSFER)
    return STORE_OK;
  sqlite_bind_id(row.statement, 1, op->entries[0].id);
  enum store_status status = sqlite_first(row.statement);
  if (status != STORE_OK)
    return status == STORE_NOT_FOUND ? STORE_OK : status;
  op->has_transfer = true;
  sqlite_row_transfer(&row, &op->transfer);
  return finish(&row);
}

/* The entries of the op that starts with entry `first`. */
static enum store_status load_entries(struct sqlite_db *db, struct store_op *op, hf_id first)
{
  struct ledger_entry entry;
  enum store_status status = sqlite_get_entry(db, first, &op->arena, &entry);
  if (status != STORE_OK)
    return status;
  if (entry.op_index != 0)
    return STORE_NOT_FOUND;
  size_t count = entry.op_count;
  op->entries = hf_arena_alloc(&op->arena, count * sizeof(entry));
  op->entries[0] = entry;
  op->entries_count = count;
  for (size_t i = 1; i < count; i++) {
    hf_id id = first + ((hf_id)i << db->partition_bits);
    status = sqlite_get_entry(db, id, &op->arena, &op->entries[i]);
    if (status != STORE_OK)
      return status == STORE_NOT_FOUND ? STORE_CORRUPT : status;
    if (op->entries[i].op_index != i || op->entries[i].op_count != count ||
        op->entries[i].user != entry.user)
      return STORE_CORRUPT;
  }
  return STORE_OK;
}

static enum store_status load_op_at(struct sqlite_db *db, struct store_op *op, hf_id first)
{
  enum store_status status = load_entries(db, op, first);
  if (status == STORE_OK)
    status = sqlite_get_metadata(db, first, &op->arena, &op->metadata, NULL);
  if (status == STORE_OK)
    status = sqlite_get_reversals(db, first, &op->arena, &op->reversals, &op->reversals_count);
  if (status == STORE_OK)
    status = load_transfer(db, op);
  return status;
}

enum store_status sqlite_load_op(struct sqlite_db *db, hf_id id, bool any_entry,
                                 struct store_op **ret_op)
{
  struct store_op *op = rt_alloc(sizeof(*op));
  enum store_status status = STORE_OK;
  if (any_entry) {
    struct ledger_entry entry;
    status = sqlite_get_entry(db, id, &op->arena, &entry);
    if (status == STORE_OK)
      id = ledger_entry_op(&entry, db->partition_bits);
  }
  if (status == STORE_OK)
    status = load_op_at(db, op, id);
  if (status != STORE_OK)
    store_op_free(op);
  else
    *ret_op = op;
  return status;
}

static enum store_status load_outcome(struct sqlite_db *db, uint64_t id, struct store_op **ret_op)
{
  struct sqlite_row row = {.statement = sqlite_db_use(db, SQL_OUTCOME_GET)};
  sqlite_bind_id(row.statement, 1, id);
  enum store_status status = sqlite_first(row.statement);
  if (status != STORE_OK)
    return status == STORE_NOT_FOUND ? STORE_CORRUPT : status;
  struct store_op *op = rt_alloc(sizeof(*op));
  op->refused = true;
  sqlite_row_outcome(&row, &op->outcome);
  status = finish(&row);
  if (status != STORE_OK)
    store_op_free(op);
  else
    *ret_op = op;
  return status;
}

enum store_status sqlite_load_key_op(struct sqlite_db *db, hf_id user, const struct hf_digest *key,
                                     struct store_op **ret_op)
{
  sqlite3_stmt *get = sqlite_db_use(db, SQL_INDEX_GET);
  sqlite_bind_id(get, 1, user);
  sqlite_bind_bytes(get, 2, key->bytes, sizeof(key->bytes));
  enum store_status status = sqlite_first(get);
  if (status != STORE_OK)
    return status;
  int64_t ref = sqlite3_column_int64(get, 0);
  (void)sqlite3_reset(get);
  if (ref == 0 || ref == INT64_MIN)
    return STORE_CORRUPT;
  if (ref < 0)
    return load_outcome(db, (uint64_t)-ref, ret_op);
  hf_id first =
    hf_id_make((uint64_t)ref, hf_id_partition(user, db->partition_bits), db->partition_bits);
  status = sqlite_load_op(db, first, false, ret_op);
  return status == STORE_NOT_FOUND ? STORE_CORRUPT : status;
}
