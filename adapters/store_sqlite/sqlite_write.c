/* sqlite_write.c - see the header. */
#include "adapters/store_sqlite/sqlite_write.h"

#include "adapters/store/effective.h"
#include "adapters/store_sqlite/sqlite_rows.h"
#include "holdfast/error.h"

static enum store_status status_of(int code, enum store_status duplicate)
{
  return sqlite_is_duplicate(code) ? duplicate : sqlite_status(code);
}

/* Runs an insert (a duplicate is a conflict) or an update (a row that is not there is one). */
static enum store_status run(struct sqlite_db *db, sqlite3_stmt *statement, bool update)
{
  enum store_status status = status_of(sqlite_db_run(statement), STORE_CONFLICT);
  if (status == STORE_OK && update && sqlite3_changes(db->handle) == 0)
    status = STORE_CONFLICT;
  return status;
}

enum store_status sqlite_write_batch(struct sqlite_db *db, const struct store_batch *batch)
{
  sqlite3_stmt *insert = sqlite_db_use(db, SQL_BATCH_INSERT);
  sqlite_bind_id(insert, 1, batch->partition);
  sqlite_bind_id(insert, 2, batch->number);
  sqlite_bind_id(insert, 3, batch->epoch);
  sqlite_bind_id(insert, 4, batch->first_seq);
  sqlite_bind_id(insert, 5, batch->entries_count);
  sqlite_bind_id(insert, 6, batch->outcomes_count);
  sqlite_bind_id(insert, 7, batch->rows_count);
  sqlite_bind_time(insert, 8, batch->committed_us);
  sqlite_bind_bytes(insert, 9, batch->previous.bytes, sizeof(batch->previous.bytes));
  sqlite_bind_bytes(insert, 10, batch->hash.bytes, sizeof(batch->hash.bytes));
  return status_of(sqlite_db_run(insert), STORE_FENCED);
}

/* ---- rows ------------------------------------------------------------------------------------ */

static enum store_status write_user(struct sqlite_db *db, uint8_t action,
                                    const struct store_user_row *user)
{
  bool update = action == STORE_UPDATE;
  sqlite3_stmt *write = sqlite_db_use(db, update ? SQL_USER_UPDATE : SQL_USER_INSERT);
  CHECK(update || action == STORE_INSERT);
  sqlite_bind_id(write, 1, sqlite_order(user->id, db->partition_bits));
  if (update) {
    sqlite_bind_id(write, 2, user->status);
    return run(db, write, true);
  }
  sqlite_bind_id(write, 2, user->kind);
  sqlite_bind_id(write, 3, user->status);
  sqlite_bind_time(write, 4, user->created_us);
  sqlite_bind_text(write, 5, user->external_id);
  sqlite_bind_text(write, 6, user->profile);
  return run(db, write, false);
}

static enum store_status write_name(struct sqlite_db *db, uint8_t action,
                                    const struct store_name_row *name)
{
  bool update = action == STORE_UPDATE;
  sqlite3_stmt *write = sqlite_db_use(db, update ? SQL_NAME_UPDATE : SQL_NAME_INSERT);
  CHECK(update || action == STORE_INSERT);
  sqlite_bind_id(write, 1, name->partition);
  sqlite_bind_id(write, 2, name->kind);
  sqlite_bind_bytes(write, 3, name->digest.bytes, sizeof(name->digest.bytes));
  sqlite_bind_id(write, 4, name->state);
  sqlite_bind_id(write, 6, name->user);
  sqlite_bind_id(write, 8, sqlite_order(name->user, db->partition_bits));
  if (!update) {
    sqlite_bind_bytes(write, 5, name->request.bytes, sizeof(name->request.bytes));
    sqlite_bind_time(write, 7, name->created_us);
  }
  return run(db, write, update);
}

static enum store_status write_asset(struct sqlite_db *db, uint8_t action,
                                     const struct store_asset_row *asset)
{
  sqlite3_stmt *write = sqlite_db_use(db, SQL_ASSET_INSERT);
  CHECK(action == STORE_INSERT);
  sqlite_bind_id(write, 1, asset->id);
  sqlite_bind_id(write, 2, asset->scale);
  sqlite_bind_id(write, 3, asset->chain_decimals);
  sqlite_bind_chars(write, 4, asset->code);
  sqlite_bind_chars(write, 5, asset->name);
  sqlite_bind_chars(write, 6, asset->chain);
  sqlite_bind_chars(write, 7, asset->contract);
  sqlite_bind_time(write, 8, asset->created_us);
  return run(db, write, false);
}

static enum store_status write_key(struct sqlite_db *db, uint8_t action,
                                   const struct store_key_row *key)
{
  bool update = action == STORE_UPDATE;
  sqlite3_stmt *write = sqlite_db_use(db, update ? SQL_KEY_UPDATE : SQL_KEY_INSERT);
  CHECK(update || action == STORE_INSERT);
  sqlite_bind_chars(write, 1, key->id);
  if (update) {
    sqlite_bind_time(write, 2, key->revoked_us);
  } else {
    sqlite_bind_bytes(write, 2, key->secret.bytes, sizeof(key->secret.bytes));
    sqlite_bind_id(write, 3, key->scopes);
    sqlite_bind_time(write, 4, key->created_us);
    sqlite_bind_time(write, 5, key->revoked_us);
    sqlite_bind_chars(write, 6, key->name);
  }
  return run(db, write, update);
}

static enum store_status put_hold(struct sqlite_db *db, uint8_t action,
                                  const struct store_hold_row *hold)
{
  uint8_t amount[SQLITE_AMOUNT_SIZE], remaining[SQLITE_AMOUNT_SIZE];
  bool update = action == STORE_UPDATE;
  sqlite3_stmt *write = sqlite_db_use(db, update ? SQL_HOLD_UPDATE : SQL_HOLD_INSERT);
  CHECK(update || action == STORE_INSERT);
  sqlite_bind_id(write, 1, hold->id);
  if (update) {
    sqlite_bind_id(write, 2, hold->state);
    sqlite_bind_id(write, 3, hold->state == STORE_HOLD_OPEN);
    sqlite_bind_amount(write, 4, hold->remaining, remaining);
    sqlite_bind_time(write, 5, hold->resolved_us);
    return run(db, write, true);
  }
  sqlite_bind_id(write, 2, hold->user);
  sqlite_bind_id(write, 3, hold->asset);
  sqlite_bind_id(write, 4, hold->state);
  sqlite_bind_amount(write, 5, hold->amount, amount);
  sqlite_bind_amount(write, 6, hold->remaining, remaining);
  sqlite_bind_time(write, 7, hold->created_us);
  sqlite_bind_time(write, 8, hold->expires_us);
  sqlite_bind_time(write, 9, hold->resolved_us);
  sqlite_bind_id(write, 10, hf_id_partition(hold->id, db->partition_bits));
  sqlite_bind_id(write, 11, hold->state == STORE_HOLD_OPEN);
  return run(db, write, false);
}

static enum store_status put_block(struct sqlite_db *db, uint8_t action,
                                   const struct store_block_row *block)
{
  uint8_t amount[SQLITE_AMOUNT_SIZE], remaining[SQLITE_AMOUNT_SIZE];
  bool update = action == STORE_UPDATE;
  sqlite3_stmt *write = sqlite_db_use(db, update ? SQL_BLOCK_UPDATE : SQL_BLOCK_INSERT);
  CHECK(update || action == STORE_INSERT);
  sqlite_bind_id(write, 1, block->id);
  if (update) {
    sqlite_bind_id(write, 2, block->open);
    sqlite_bind_amount(write, 3, block->remaining, remaining);
    sqlite_bind_time(write, 4, block->resolved_us);
    return run(db, write, true);
  }
  sqlite_bind_id(write, 2, block->user);
  sqlite_bind_id(write, 3, block->asset);
  sqlite_bind_id(write, 4, block->bucket);
  sqlite_bind_id(write, 5, block->open);
  sqlite_bind_amount(write, 6, block->amount, amount);
  sqlite_bind_amount(write, 7, block->remaining, remaining);
  sqlite_bind_time(write, 8, block->created_us);
  sqlite_bind_time(write, 9, block->resolved_us);
  sqlite_bind_id(write, 10, hf_id_partition(block->id, db->partition_bits));
  return run(db, write, false);
}

static enum store_status write_transfer(struct sqlite_db *db, uint8_t action,
                                        const struct store_transfer_row *transfer)
{
  uint8_t amount[SQLITE_AMOUNT_SIZE];
  bool update = action == STORE_UPDATE;
  sqlite3_stmt *write = sqlite_db_use(db, update ? SQL_TRANSFER_UPDATE : SQL_TRANSFER_INSERT);
  CHECK(update || action == STORE_INSERT);
  sqlite_bind_id(write, 1, transfer->id);
  if (update) {
    sqlite_bind_id(write, 2, transfer->state);
    sqlite_bind_id(write, 3, transfer->credit);
    return run(db, write, true);
  }
  sqlite_bind_id(write, 2, transfer->payer);
  sqlite_bind_id(write, 3, transfer->payee);
  sqlite_bind_id(write, 4, transfer->asset);
  sqlite_bind_id(write, 5, transfer->state);
  sqlite_bind_amount(write, 6, transfer->amount, amount);
  sqlite_bind_id(write, 7, transfer->credit);
  sqlite_bind_time(write, 8, transfer->created_us);
  sqlite_bind_id(write, 9, hf_id_partition(transfer->id, db->partition_bits));
  return run(db, write, false);
}

static enum store_status write_reversal(struct sqlite_db *db, uint8_t action,
                                        const struct store_reversal_row *reversal)
{
  uint8_t amount[SQLITE_AMOUNT_SIZE];
  sqlite3_stmt *write = sqlite_db_use(db, SQL_REVERSAL_INSERT);
  CHECK(action == STORE_INSERT);
  sqlite_bind_id(write, 1, reversal->original);
  sqlite_bind_id(write, 2, reversal->op);
  sqlite_bind_amount(write, 3, reversal->amount, amount);
  return run(db, write, false);
}

static enum store_status write_meta(struct sqlite_db *db, uint8_t action,
                                    const struct store_meta_row *meta)
{
  bool erase = action == STORE_ERASE;
  sqlite3_stmt *write = sqlite_db_use(db, erase ? SQL_META_ERASE : SQL_META_INSERT);
  CHECK(erase || action == STORE_INSERT);
  sqlite_bind_id(write, 1, meta->op);
  if (!erase) {
    sqlite_bind_bytes(write, 2, meta->salt, sizeof(meta->salt));
    sqlite_bind_text(write, 3, meta->json);
  }
  return run(db, write, erase);
}

static enum store_status write_row(struct sqlite_db *db, const struct store_row *row)
{
  switch (row->table) {
  case STORE_T_USER:
    return write_user(db, row->action, &row->user);
  case STORE_T_NAME:
    return write_name(db, row->action, &row->name);
  case STORE_T_ASSET:
    return write_asset(db, row->action, row->asset);
  case STORE_T_KEY:
    return write_key(db, row->action, row->key);
  case STORE_T_HOLD:
    return put_hold(db, row->action, &row->hold);
  case STORE_T_BLOCK:
    return put_block(db, row->action, &row->block);
  case STORE_T_TRANSFER:
    return write_transfer(db, row->action, &row->transfer);
  case STORE_T_REVERSAL:
    return write_reversal(db, row->action, &row->reversal);
  default:
    CHECK(row->table == STORE_T_META); /* the only table that is left */
    return write_meta(db, row->action, &row->meta);
  }
}

enum store_status sqlite_write_hold(struct sqlite_db *db, const struct store_hold_row *hold)
{
  return put_hold(db, STORE_INSERT, hold);
}

enum store_status sqlite_write_block(struct sqlite_db *db, const struct store_block_row *block)
{
  return put_block(db, STORE_INSERT, block);
}

/* ---- entries, outcomes and their index ------------------------------------------------------- */

static enum store_status index_version(struct sqlite_db *db, const struct ledger_entry *entry,
                                       uint64_t seq)
{
  sqlite3_stmt *insert = sqlite_db_use(db, SQL_INDEX_INSERT);
  sqlite_bind_id(insert, 1, entry->user);
  sqlite_bind_id(insert, 2, entry->version);
  sqlite_bind_id(insert, 3, seq);
  return status_of(sqlite_db_run(insert), STORE_FENCED);
}

static enum store_status index_key(struct sqlite_db *db, hf_id user, const struct hf_digest *key,
                                   int64_t ref)
{
  sqlite3_stmt *insert = sqlite_db_use(db, SQL_INDEX_INSERT);
  sqlite_bind_id(insert, 1, user);
  sqlite_bind_bytes(insert, 2, key->bytes, sizeof(key->bytes));
  sqlite_bind_time(insert, 3, ref);
  return status_of(sqlite_db_run(insert), STORE_HIT);
}

int sqlite_write_backdated(struct sqlite_db *db, const struct ledger_entry *entry, uint64_t seq)
{
  uint8_t amount[SQLITE_AMOUNT_SIZE];
  sqlite3_stmt *insert = sqlite_db_use(db, SQL_BACKDATED_INSERT);
  sqlite_bind_id(insert, 1, entry->user);
  sqlite_bind_id(insert, 2, seq);
  sqlite_bind_time(insert, 3, entry->effective_us);
  sqlite_bind_id(insert, 4, entry->asset);
  sqlite_bind_id(insert, 5, entry->from);
  sqlite_bind_id(insert, 6, entry->to);
  sqlite_bind_amount(insert, 7, entry->amount, amount);
  return sqlite_db_run(insert);
}

static enum store_status write_entry(struct sqlite_db *db, const struct ledger_entry *entry,
                                     const uint8_t *body, size_t size, uint32_t partition)
{
  uint64_t seq = hf_id_serial(entry->id, db->partition_bits);
  CHECK(seq > 0 && hf_id_partition(entry->id, db->partition_bits) == partition);
  CHECK(hf_id_partition(entry->user, db->partition_bits) == partition);
  CHECK(entry->version > 0);
  sqlite3_stmt *insert = sqlite_db_use_journal(db, JOURNAL_INSERT, partition);
  sqlite_bind_id(insert, 1, seq);
  sqlite_bind_id(insert, 2, entry->user);
  sqlite_bind_id(insert, 3, entry->version);
  sqlite_bind_bytes(insert, 4, entry->hash.bytes, sizeof(entry->hash.bytes));
  sqlite_bind_bytes(insert, 5, body, size);
  enum store_status status = status_of(sqlite_db_run(insert), STORE_FENCED);
  if (status == STORE_OK)
    status = index_version(db, entry, seq);
  if (status == STORE_OK && effective_is_backdated(entry))
    status = status_of(sqlite_write_backdated(db, entry, seq), STORE_CORRUPT);
  return status;
}

static enum store_status write_outcome(struct sqlite_db *db, const struct store_unit *unit,
                                       uint64_t batch)
{
  const struct store_outcome *outcome = &unit->outcome;
  sqlite3_stmt *insert = sqlite_db_use(db, SQL_OUTCOME_INSERT);
  CHECK(outcome->error != HF_OK && outcome->error < HF_ERROR_COUNT);
  sqlite_bind_id(insert, 1, outcome->user);
  sqlite_bind_bytes(insert, 2, outcome->key.bytes, sizeof(outcome->key.bytes));
  sqlite_bind_bytes(insert, 3, outcome->request.bytes, sizeof(outcome->request.bytes));
  sqlite_bind_chars(insert, 4, hf_error_info((enum hf_error)outcome->error)->code);
  sqlite_bind_id(insert, 5, outcome->type);
  sqlite_bind_id(insert, 6, outcome->version);
  sqlite_bind_time(insert, 7, outcome->recorded_us);
  sqlite_bind_id(insert, 8, batch);
  sqlite_bind_id(insert, 9, unit->partition);
  enum store_status status = status_of(sqlite_db_run(insert), STORE_CORRUPT);
  if (status != STORE_OK)
    return status;
  return index_key(db, outcome->user, &outcome->key, -sqlite3_last_insert_rowid(db->handle));
}

enum store_status sqlite_write_unit(struct sqlite_db *db, const struct store_unit *unit,
                                    uint64_t batch)
{
  enum store_status status = STORE_OK;
  const uint8_t *body = unit->bodies;
  CHECK(unit->entries_count <= LEDGER_OP_ENTRIES_MAX);
  CHECK(!unit->has_outcome || unit->entries_count == 0);
  CHECK(!unit->has_key || unit->has_outcome || unit->entries_count > 0);
  for (unsigned i = 0; status == STORE_OK && i < unit->entries_count; i++) {
    status = write_entry(db, &unit->entries[i], body, unit->body_sizes[i], unit->partition);
    body += unit->body_sizes[i];
  }
  if (status == STORE_OK && unit->has_outcome) {
    status = write_outcome(db, unit, batch);
  } else if (status == STORE_OK && unit->has_key) {
    const struct ledger_entry *first = &unit->entries[0];
    status =
      index_key(db, first->user, &first->key, (int64_t)hf_id_serial(first->id, db->partition_bits));
  }
  for (unsigned i = 0; status == STORE_OK && i < unit->rows_count; i++)
    status = write_row(db, &unit->rows[i]);
  return status;
}
