/* sqlite_admin.c - whole tables for verify, replay and export, and the repair of projections.
 *
 * Each walk is one read transaction on a connection of the pool; while it lasts the write-ahead
 * log cannot start again. `each` returns false to stop early. */
#include <stdio.h>

#include "adapters/store_sqlite/sqlite_engine.h"
#include "adapters/store_sqlite/sqlite_project.h"
#include "adapters/store_sqlite/sqlite_schema.h"
#include "adapters/store_sqlite/sqlite_write.h"

static struct sqlite_engine *engine_of(struct store_engine *engine)
{
  return (struct sqlite_engine *)(void *)engine; /* its first member */
}

static enum hf_error error_of(enum store_status status)
{
  switch (status) {
  case STORE_OK:
    return HF_OK;
  case STORE_CORRUPT:
    return HF_E_INTERNAL;
  default:
    return HF_E_UNAVAILABLE;
  }
}

/* ---- walks ----------------------------------------------------------------------------------- */

/* A walk over the rows of one statement; `hand` reads the row and calls the caller's `each`. */
struct walk {
  enum sqlite_statement statement;
  uint64_t first, second, third; /* parameters */
  bool (*hand)(struct walk *walk, struct sqlite_db *db, struct sqlite_row *row);
  union {
    bool (*balance)(void *arg, const struct store_balance_row *row);
    bool (*system)(void *arg, const struct store_system_row *row);
    bool (*user)(void *arg, const struct store_user_row *row);
    bool (*batch)(void *arg, const struct store_batch *batch);
    bool (*hold)(void *arg, const struct store_hold_row *row);
    bool (*block)(void *arg, const struct store_block_row *row);
    bool (*outcome)(void *arg, const struct store_outcome *row);
    bool (*metadata)(void *arg, hf_id op);
    bool (*transfer)(void *arg, const struct store_transfer_row *row);
    bool (*reversal)(void *arg, const struct store_reversal_row *row);
    bool (*backdated)(void *arg, const struct store_backdated_row *row);
    bool (*name)(void *arg, const struct store_name_row *row);
  } each;
  void *arg;
};

static enum store_status walk_rows(struct walk *walk, struct sqlite_db *db)
{
  struct sqlite_row row = {.statement = sqlite_db_use(db, walk->statement)};
  int parameters = sqlite3_bind_parameter_count(row.statement);
  bool go_on = true;
  int code = SQLITE_ROW;
  if (parameters > 0)
    sqlite_bind_id(row.statement, 1, walk->first);
  if (parameters > 1)
    sqlite_bind_id(row.statement, 2, walk->second);
  if (parameters > 2)
    sqlite_bind_id(row.statement, 3, walk->third);
  while (go_on && !row.corrupt && (code = sqlite3_step(row.statement)) == SQLITE_ROW)
    go_on = walk->hand(walk, db, &row);
  (void)sqlite3_reset(row.statement);
  if (row.corrupt)
    return STORE_CORRUPT;
  return sqlite_status(code);
}

static enum hf_error walk_run(struct store_engine *base, struct walk *walk)
{
  struct sqlite_engine *engine = engine_of(base);
  struct sqlite_db *db = sqlite_engine_take_reader(engine);
  enum store_status status = sqlite_status(sqlite_db_do(db, SQL_BEGIN_READ));
  if (status == STORE_OK)
    status = walk_rows(walk, db);
  if (sqlite_db_do(db, SQL_COMMIT) != SQLITE_OK)
    sqlite_db_close(db);
  sqlite_engine_return_reader(engine, db);
  return error_of(status);
}

static bool is_wanted(const struct walk *walk, const struct sqlite_db *db, hf_id id)
{
  unsigned partition = hf_id_partition(id, db->partition_bits);
  return partition >= walk->first && partition <= walk->second;
}

/* The table is ordered by user: the partitions wanted are picked out of all. */
static bool hand_balance(struct walk *walk, struct sqlite_db *db, struct sqlite_row *row)
{
  struct store_balance_row balance = {
    .user = sqlite_column_unsigned(row, 0, HF_ID_MAX),
    .asset = (uint16_t)sqlite_column_unsigned(row, 1, UINT16_MAX),
    .version = sqlite_column_unsigned(row, 2, INT64_MAX),
  };
  if (!is_wanted(walk, db, balance.user))
    return true;
  for (int i = 0; i < (int)LEDGER_BUCKET_COUNT; i++)
    balance.balance.bucket[i] = sqlite_column_amount(row, 3 + i);
  balance.balance.claimed_total = sqlite_column_amount(row, 11);
  balance.balance.spent_total = sqlite_column_amount(row, 12);
  return !row->corrupt && walk->each.balance(walk->arg, &balance);
}

static enum hf_error each_balance(struct store_engine *engine, uint32_t first, uint32_t count,
                                  bool (*each)(void *arg, const struct store_balance_row *row),
                                  void *arg)
{
  struct walk walk = {.statement = SQL_BALANCE_EACH,
                      .first = first,
                      .second = (uint64_t)first + count - 1u,
                      .hand = hand_balance,
                      .each.balance = each,
                      .arg = arg};
  return walk_run(engine, &walk);
}

static bool hand_system(struct walk *walk, struct sqlite_db *db, struct sqlite_row *row)
{
  struct store_system_row total = {
    .partition = (uint32_t)sqlite_column_unsigned(row, 0, UINT32_MAX),
    .account = (uint8_t)sqlite_column_unsigned(row, 1, LEDGER_ACCOUNT_COUNT - 1u),
    .asset = (uint16_t)sqlite_column_unsigned(row, 2, UINT16_MAX),
    .sum = sqlite_column_amount(row, 4),
  };
  (void)db;
  sqlite_column_chars(row, 3, total.label, sizeof(total.label));
  return !row->corrupt && walk->each.system(walk->arg, &total);
}

static enum hf_error each_system(struct store_engine *engine, uint32_t first, uint32_t count,
                                 bool (*each)(void *arg, const struct store_system_row *row),
                                 void *arg)
{
  struct walk walk = {.statement = SQL_SYSTEM_EACH,
                      .first = first,
                      .second = (uint64_t)first + count - 1u,
                      .hand = hand_system,
                      .each.system = each,
                      .arg = arg};
  return walk_run(engine, &walk);
}

static bool hand_user(struct walk *walk, struct sqlite_db *db, struct sqlite_row *row)
{
  struct hf_arena arena = {NULL};
  struct store_user_row user;
  sqlite_row_user(row, db->partition_bits, &arena, &user);
  bool go_on = !row->corrupt && walk->each.user(walk->arg, &user);
  hf_arena_free(&arena);
  return go_on;
}

static enum hf_error each_user(struct store_engine *engine, uint32_t partition,
                               bool (*each)(void *arg, const struct store_user_row *row), void *arg)
{
  struct walk walk = {
    .statement = SQL_USER_EACH,
    .first = sqlite_order_start(partition),
    .second = sqlite_order_end(partition),
    .hand = hand_user,
    .each.user = each,
    .arg = arg,
  };
  return walk_run(engine, &walk);
}

static bool hand_batch(struct walk *walk, struct sqlite_db *db, struct sqlite_row *row)
{
  struct store_batch batch;
  (void)db;
  sqlite_row_batch(row, &batch);
  return !row->corrupt && walk->each.batch(walk->arg, &batch);
}

static enum hf_error each_batch(struct store_engine *engine, uint32_t partition, uint64_t first,
                                uint64_t last,
                                bool (*each)(void *arg, const struct store_batch *batch), void *arg)
{
  struct walk walk = {.statement = SQL_BATCH_EACH,
                      .first = partition,
                      .second = first,
                      .third = last,
                      .hand = hand_batch,
                      .each.batch = each,
                      .arg = arg};
  return walk_run(engine, &walk);
}

static bool take_batch(void *arg, const struct store_batch *batch)
{
  struct store_batch *newest = arg;
  *newest = *batch;
  return true;
}

static enum hf_error newest_batch(struct store_engine *engine, uint32_t partition,
                                  struct store_batch *ret_batch)
{
  struct walk walk = {.statement = SQL_BATCH_NEWEST,
                      .first = partition,
                      .hand = hand_batch,
                      .each.batch = take_batch,
                      .arg = ret_batch};
  *ret_batch = (struct store_batch){.partition = partition};
  return walk_run(engine, &walk);
}

static bool hand_metadata(struct walk *walk, struct sqlite_db *db, struct sqlite_row *row)
{
  hf_id op = sqlite_column_unsigned(row, 0, HF_ID_MAX);
  (void)db;
  return !row->corrupt && walk->each.metadata(walk->arg, op);
}

/* An op's id has the partition in its low bits. */
static enum hf_error each_metadata(struct store_engine *engine, uint32_t partition, hf_id after,
                                   bool (*each)(void *arg, hf_id op), void *arg)
{
  struct walk walk = {.statement = SQL_META_EACH,
                      .first = after,
                      .second = partition,
                      .third = (1u << engine->partition_bits) - 1u,
                      .hand = hand_metadata,
                      .each.metadata = each,
                      .arg = arg};
  return walk_run(engine, &walk);
}

static bool hand_hold(struct walk *walk, struct sqlite_db *db, struct sqlite_row *row)
{
  struct store_hold_row hold;
  sqlite_row_hold(row, &hold);
  bool open = sqlite_column_unsigned(row, 9, 1) == 1; /* for the indexes */
  if (open != (hold.state == STORE_HOLD_OPEN) || !is_wanted(walk, db, hold.id))
    row->corrupt = true;
  return !row->corrupt && walk->each.hold(walk->arg, &hold);
}

static enum hf_error each_hold(struct store_engine *engine, uint32_t partition,
                               bool (*each)(void *arg, const struct store_hold_row *row), void *arg)
{
  struct walk walk = {.statement = SQL_HOLD_EACH,
                      .first = partition,
                      .second = partition,
                      .hand = hand_hold,
                      .each.hold = each,
                      .arg = arg};
  return walk_run(engine, &walk);
}

static bool hand_block(struct walk *walk, struct sqlite_db *db, struct sqlite_row *row)
{
  struct store_block_row block;
  sqlite_row_block(row, &block);
  if (!is_wanted(walk, db, block.id))
    row->corrupt = true;
  return !row->corrupt && walk->each.block(walk->arg, &block);
}

static enum hf_error each_block(struct store_engine *engine, uint32_t partition,
                                bool (*each)(void *arg, const struct store_block_row *row),
                                void *arg)
{
  struct walk walk = {.statement = SQL_BLOCK_EACH,
                      .first = partition,
                      .second = partition,
                      .hand = hand_block,
                      .each.block = each,
                      .arg = arg};
  return walk_run(engine, &walk);
}

/* `second` is the cursor: the id of the row that was handed out last; `third` the last batch. */
static bool hand_outcome(struct walk *walk, struct sqlite_db *db, struct sqlite_row *row)
{
  struct store_outcome outcome;
  (void)db;
  sqlite_row_outcome(row, &outcome);
  uint64_t id = sqlite_column_unsigned(row, 8, INT64_MAX);
  if (row->corrupt || outcome.batch > walk->third)
    return false;
  walk->second = id;
  return walk->each.outcome(walk->arg, &outcome);
}

static enum hf_error each_outcome(struct store_engine *engine, uint32_t partition, uint64_t *cursor,
                                  uint64_t last,
                                  bool (*each)(void *arg, const struct store_outcome *row),
                                  void *arg)
{
  struct walk walk = {.statement = SQL_OUTCOME_EACH,
                      .first = partition,
                      .second = *cursor,
                      .third = last,
                      .hand = hand_outcome,
                      .each.outcome = each,
                      .arg = arg};
  enum hf_error error = walk_run(engine, &walk);
  *cursor = walk.second;
  return error;
}

/* ---- walks over what links users and operations ---------------------------------------------- */

static struct walk walk_group(enum sqlite_statement statement, uint32_t first, uint32_t count,
                              void *arg)
{
  return (struct walk){
    .statement = statement, .first = first, .second = (uint64_t)first + count - 1u, .arg = arg};
}

static bool hand_transfer(struct walk *walk, struct sqlite_db *db, struct sqlite_row *row)
{
  struct store_transfer_row transfer;
  sqlite_row_transfer(row, &transfer);
  if (hf_id_partition(transfer.id, db->partition_bits) !=
      sqlite_column_unsigned(row, 8, UINT32_MAX))
    row->corrupt = true;
  return !row->corrupt && walk->each.transfer(walk->arg, &transfer);
}

static enum hf_error each_transfer(struct store_engine *engine, uint32_t first, uint32_t count,
                                   bool (*each)(void *arg, const struct store_transfer_row *row),
                                   void *arg)
{
  struct walk walk = walk_group(SQL_TRANSFER_EACH, first, count, arg);
  walk.hand = hand_transfer;
  walk.each.transfer = each;
  return walk_run(engine, &walk);
}

static bool hand_reversal(struct walk *walk, struct sqlite_db *db, struct sqlite_row *row)
{
  struct store_reversal_row reversal = {
    .original = sqlite_column_unsigned(row, 0, HF_ID_MAX),
    .op = sqlite_column_unsigned(row, 1, HF_ID_MAX),
    .amount = sqlite_column_amount(row, 2),
  };
  if (row->corrupt)
    return false;
  return !is_wanted(walk, db, reversal.original) || walk->each.reversal(walk->arg, &reversal);
}

static enum hf_error each_reversal(struct store_engine *engine, uint32_t first, uint32_t count,
                                   bool (*each)(void *arg, const struct store_reversal_row *row),
                                   void *arg)
{
  struct walk walk = walk_group(SQL_REVERSAL_EACH, first, count, arg);
  walk.hand = hand_reversal;
  walk.each.reversal = each;
  return walk_run(engine, &walk);
}

static bool hand_backdated(struct walk *walk, struct sqlite_db *db, struct sqlite_row *row)
{
  struct store_backdated_row backdated = {
    .user = sqlite_column_unsigned(row, 0, HF_ID_MAX),
    .seq = sqlite_column_unsigned(row, 1, HF_ID_MAX),
    .effective_us = sqlite_column_time(row, 2),
    .asset = (uint16_t)sqlite_column_unsigned(row, 3, UINT16_MAX),
    .from = (uint8_t)sqlite_column_unsigned(row, 4, LEDGER_ACCOUNT_COUNT - 1u),
    .to = (uint8_t)sqlite_column_unsigned(row, 5, LEDGER_ACCOUNT_COUNT - 1u),
    .amount = sqlite_column_amount(row, 6),
  };
  if (row->corrupt)
    return false;
  return !is_wanted(walk, db, backdated.user) || walk->each.backdated(walk->arg, &backdated);
}

static enum hf_error each_backdated(struct store_engine *engine, uint32_t first, uint32_t count,
                                    bool (*each)(void *arg, const struct store_backdated_row *row),
                                    void *arg)
{
  struct walk walk = walk_group(SQL_BACKDATED_EACH, first, count, arg);
  walk.hand = hand_backdated;
  walk.each.backdated = each;
  return walk_run(engine, &walk);
}

static bool hand_name(struct walk *walk, struct sqlite_db *db, struct sqlite_row *row)
{
  struct store_name_row name;
  (void)db;
  sqlite_row_name(row, &name);
  return !row->corrupt && walk->each.name(walk->arg, &name);
}

static enum hf_error each_name(struct store_engine *engine, uint32_t first, uint32_t count,
                               bool (*each)(void *arg, const struct store_name_row *row), void *arg)
{
  struct walk walk = walk_group(SQL_NAME_EACH, first, count, arg);
  walk.hand = hand_name;
  walk.each.name = each;
  return walk_run(engine, &walk);
}

/* ---- marks and repair ------------------------------------------------------------------------ */

static enum hf_error mark(struct store_engine *base, uint32_t partition, uint64_t *ret_seq)
{
  struct sqlite_engine *engine = engine_of(base);
  struct sqlite_db *db = sqlite_engine_take_reader(engine);
  struct sqlite_row row = {.statement = sqlite_db_use(db, SQL_MARK_GET)};
  sqlite_bind_id(row.statement, 1, partition);
  enum store_status status = sqlite_first(row.statement);
  *ret_seq = 0; /* a partition that was never projected has no row */
  if (status == STORE_OK) {
    *ret_seq = sqlite_column_unsigned(&row, 0, INT64_MAX - 1);
    (void)sqlite3_reset(row.statement);
  } else if (status == STORE_NOT_FOUND) {
    status = STORE_OK;
  }
  if (row.corrupt)
    status = STORE_CORRUPT;
  sqlite_engine_return_reader(engine, db);
  return error_of(status);
}

/* The marks go to the journals' ends, which must be those of the caller's truth. */
static enum store_status repair_marks(struct sqlite_engine *engine, const uint64_t *ends)
{
  enum store_status status = STORE_OK;
  for (uint32_t p = 0; status == STORE_OK && p < 1u << engine->engine.partition_bits; p++) {
    struct hf_hash head;
    status = sqlite_partition_load(engine, p, &head);
    if (status == STORE_OK && engine->partitions[p].next_seq != ends[p] + 1u)
      status = STORE_UNAVAILABLE;
    if (status == STORE_OK)
      status = sqlite_write_mark(&engine->writer, p, ends[p]);
  }
  return status;
}

static enum store_status repair_rows(struct sqlite_db *db, const struct store_repair *wanted)
{
  enum store_status status = sqlite_status(
    sqlite_db_text(db, "DELETE FROM ledger_balances;DELETE FROM system_totals;DELETE FROM holds;"
                       "DELETE FROM blocks"));
  for (size_t i = 0; status == STORE_OK && i < wanted->balances_count; i++)
    status = sqlite_write_balance(db, &wanted->balances[i]);
  for (size_t i = 0; status == STORE_OK && i < wanted->systems_count; i++)
    status = sqlite_write_system(db, &wanted->systems[i]);
  for (size_t i = 0; status == STORE_OK && i < wanted->holds_count; i++)
    status = sqlite_write_hold(db, &wanted->holds[i]);
  for (size_t i = 0; status == STORE_OK && i < wanted->blocks_count; i++)
    status = sqlite_write_block(db, &wanted->blocks[i]);
  return status;
}

static enum hf_error repair(struct store_engine *base, const struct store_repair *wanted)
{
  struct sqlite_engine *engine = engine_of(base);
  struct sqlite_db *db = &engine->writer;
  CHECK(!engine->read_only);
  if (!sqlite_engine_begin(engine))
    return HF_E_UNAVAILABLE;
  enum store_status status = repair_rows(db, wanted);
  if (status == STORE_OK)
    status = repair_marks(engine, wanted->ends);
  if (status == STORE_OK)
    status = sqlite_status(sqlite_db_do(db, SQL_COMMIT));
  if (status == STORE_UNAVAILABLE)
    sqlite_engine_failed(engine, "repair");
  if (status != STORE_OK && !sqlite3_get_autocommit(db->handle) &&
      sqlite_db_do(db, SQL_ROLLBACK) != SQLITE_OK)
    sqlite_engine_writer_close(engine);
  sqlite_checkpoint_after_commit(&engine->checkpointer, db);
  return error_of(status);
}

static enum hf_error replay_run(struct store_engine *base, const struct store_replay_run *run)
{
  struct sqlite_engine *engine = engine_of(base);
  CHECK(!engine->read_only);
  if (!sqlite_engine_writer(engine))
    return HF_E_UNAVAILABLE;
  sqlite3_stmt *insert = sqlite_db_use(&engine->writer, SQL_REPLAY_INSERT);
  sqlite_bind_time(insert, 1, run->started_us);
  sqlite_bind_time(insert, 2, run->ended_us);
  sqlite_bind_id(insert, 3, run->entries);
  sqlite_bind_id(insert, 4, run->users);
  sqlite_bind_id(insert, 5, run->differences);
  sqlite_bind_id(insert, 6, run->repaired);
  return error_of(sqlite_status(sqlite_db_run(insert)));
}

static enum hf_error selfcheck(struct store_engine *base, char ret_why[SQLITE_WHY_SIZE])
{
  struct sqlite_engine *engine = engine_of(base);
  if (sqlite_engine_writer(engine))
    return sqlite_schema_check(&engine->writer, ret_why);
  (void)snprintf(ret_why, SQLITE_WHY_SIZE, "cannot open the database");
  return HF_E_UNAVAILABLE;
}

const struct store_admin_ops sqlite_admin_ops = {
  .schema_known = sqlite_schema_known,
  .selfcheck = selfcheck,
  .each_balance = each_balance,
  .each_system = each_system,
  .each_user = each_user,
  .newest_batch = newest_batch,
  .each_batch = each_batch,
  .each_outcome = each_outcome,
  .each_metadata = each_metadata,
  .each_hold = each_hold,
  .each_block = each_block,
  .each_transfer = each_transfer,
  .each_reversal = each_reversal,
  .each_backdated = each_backdated,
  .each_name = each_name,
  .check_index = sqlite_check_index,
  .mark = mark,
  .repair = repair,
  .replay_run = replay_run,
};
