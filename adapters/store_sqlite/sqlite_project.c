/* sqlite_project.c - carries the journal on into ledger_balances and system_totals, lazily.
 *
 * Happy path: the next entries behind the partition's mark, their balances, their system sides,
 *   the new mark: one transaction.
 * Ways to fail: as any write; nothing then moved, the next call does it again.
 * Invariants: both tables are the fold of the entries up to the mark, no more and no less. */
#include "adapters/store_sqlite/sqlite_engine.h"
#include "adapters/store_sqlite/sqlite_project.h"

enum store_status sqlite_write_balance(struct sqlite_db *db, const struct store_balance_row *row)
{
  uint8_t rooms[LEDGER_BUCKET_COUNT + 2u][SQLITE_AMOUNT_SIZE];
  sqlite3_stmt *set = sqlite_db_use(db, SQL_BALANCE_SET);
  sqlite_bind_id(set, 1, row->user);
  sqlite_bind_id(set, 2, row->asset);
  sqlite_bind_id(set, 3, row->version);
  for (int i = 0; i < (int)LEDGER_BUCKET_COUNT; i++)
    sqlite_bind_amount(set, 4 + i, row->balance.bucket[i], rooms[i]);
  sqlite_bind_amount(set, 12, row->balance.claimed_total, rooms[LEDGER_BUCKET_COUNT]);
  sqlite_bind_amount(set, 13, row->balance.spent_total, rooms[LEDGER_BUCKET_COUNT + 1u]);
  return sqlite_status(sqlite_db_run(set));
}

enum store_status sqlite_write_system(struct sqlite_db *db, const struct store_system_row *row)
{
  uint8_t room[SQLITE_AMOUNT_SIZE];
  sqlite3_stmt *set = sqlite_db_use(db, SQL_SYSTEM_SET);
  sqlite_bind_id(set, 1, row->partition);
  sqlite_bind_id(set, 2, row->account);
  sqlite_bind_id(set, 3, row->asset);
  sqlite_bind_chars(set, 4, row->label);
  sqlite_bind_amount(set, 5, row->sum, room);
  return sqlite_status(sqlite_db_run(set));
}

enum store_status sqlite_write_mark(struct sqlite_db *db, uint32_t partition, uint64_t seq)
{
  sqlite3_stmt *set = sqlite_db_use(db, SQL_MARK_SET);
  sqlite_bind_id(set, 1, partition);
  sqlite_bind_id(set, 2, seq);
  return sqlite_status(sqlite_db_run(set));
}

/* Adds what the entry moved to or from a system account. */
static enum store_status add_system(struct sqlite_db *db, const struct ledger_entry *entry,
                                    uint32_t partition, unsigned account, bool leaves)
{
  struct store_system_row total = {
    .partition = partition, .asset = entry->asset, .account = (uint8_t)account};
  struct sqlite_row row = {.statement = sqlite_db_use(db, SQL_SYSTEM_GET)};
  if (ledger_is_bucket(account))
    return STORE_OK;
  for (size_t i = 0; i + 1u < sizeof(total.label); i++)
    total.label[i] = entry->label[i];
  sqlite_bind_id(row.statement, 1, partition);
  sqlite_bind_id(row.statement, 2, account);
  sqlite_bind_id(row.statement, 3, entry->asset);
  sqlite_bind_chars(row.statement, 4, total.label);
  enum store_status status = sqlite_first(row.statement);
  if (status == STORE_OK)
    total.sum = sqlite_column_amount(&row, 0);
  else if (status != STORE_NOT_FOUND)
    return status;
  (void)sqlite3_reset(row.statement);
  bool fits = leaves ? hf_amount_sub(total.sum, entry->amount, &total.sum)
                     : hf_amount_add(total.sum, entry->amount, &total.sum);
  if (row.corrupt || !fits)
    return STORE_CORRUPT;
  return sqlite_write_system(db, &total);
}

static enum store_status project_entry(struct sqlite_db *db, uint32_t partition,
                                       const struct ledger_entry *entry)
{
  struct store_balance_row balance = {
    .user = entry->user, .asset = entry->asset, .version = entry->version, .balance = entry->after};
  enum store_status status = sqlite_write_balance(db, &balance);
  if (status == STORE_OK)
    status = add_system(db, entry, partition, entry->from, true);
  if (status == STORE_OK)
    status = add_system(db, entry, partition, entry->to, false);
  return status;
}

static enum store_status project(struct sqlite_db *db, struct store_request *request)
{
  uint32_t partition = request->project.partition;
  struct sqlite_row row = {.statement = sqlite_db_use(db, SQL_MARK_GET)};
  uint64_t mark = 0, count = 0;
  sqlite_bind_id(row.statement, 1, partition);
  enum store_status status = sqlite_first(row.statement);
  if (status == STORE_OK)
    mark = sqlite_column_unsigned(&row, 0, INT64_MAX - 1);
  else if (status != STORE_NOT_FOUND)
    return status;
  (void)sqlite3_reset(row.statement);
  struct store_request scan = {
    .kind = STORE_SCAN,
    .scan = {.partition = partition, .from_seq = mark + 1u, .limit = request->project.limit},
  };
  status = row.corrupt ? STORE_CORRUPT : sqlite_scan(db, &scan);
  for (; status == STORE_OK && count < scan.scan.entries_count; count++)
    status = project_entry(db, partition, &scan.scan.entries[count]);
  hf_arena_free(&scan.arena);
  if (status == STORE_OK && count > 0)
    status = sqlite_write_mark(db, partition, mark + count);
  /* Perhaps there is nothing more: the next call finds out. */
  request->project.more = count == request->project.limit && count > 0;
  return status;
}

void sqlite_project(struct sqlite_engine *engine, struct store_request *request)
{
  struct sqlite_db *db = &engine->writer;
  CHECK(!engine->read_only);
  request->status = STORE_UNAVAILABLE;
  request->project.more = false;
  if (!sqlite_engine_begin(engine))
    return;
  enum store_status status = project(db, request);
  if (status == STORE_OK)
    status = sqlite_status(sqlite_db_do(db, SQL_COMMIT));
  if (status == STORE_UNAVAILABLE)
    sqlite_engine_failed(engine, "project");
  if (status != STORE_OK && !sqlite3_get_autocommit(db->handle) &&
      sqlite_db_do(db, SQL_ROLLBACK) != SQLITE_OK)
    sqlite_engine_writer_close(engine);
  request->status = (uint8_t)status;
  sqlite_checkpoint_after_commit(&engine->checkpointer, db);
}
