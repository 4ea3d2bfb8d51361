/* pg_admin.c - what the command line needs of PostgreSQL: walks and checks.
 *
 * Happy path: a walk reads a page behind the last key that it saw, gives the connection back, and
 *   hands the rows out; so that what is called back may use the engine.
 * Ways to fail: no connection, a row that is impossible. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "adapters/store_postgres/pg_engine.h"
#include "adapters/store_postgres/pg_read.h"
#include "adapters/store_postgres/pg_repair.h"
#include "adapters/store_postgres/pg_schema.h"

#define WALK_PAGE 4096
#define WALK_KEY_MAX 4u
#define KEY_TEXT_MAX 80u /* of a hash in hex, and of a label */
_Static_assert(KEY_TEXT_MAX > LEDGER_LABEL_MAX, "a label fits");

/* ---- walks ----------------------------------------------------------------------------------- */

/* A walk over the rows of one statement, whose parameters are the key to go on behind, then `last`.
 * `hand` reads a row, moves the key and calls the caller's `each`. */
struct walk {
  const char *sql;
  unsigned key_count;
  int64_t key[WALK_KEY_MAX];
  char text[KEY_TEXT_MAX]; /* the key's last part, when `has_text` */
  bool has_text;
  int64_t last;
  unsigned partition_bits;
  bool (*hand)(struct walk *walk, struct pg_rows *rows);
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

/* Rows in binary for parameters in text; NULL: unavailable. */
static PGresult *query(struct store_engine *engine, const char *sql, int count,
                       const char *const *values)
{
  PGconn *connection = pg_engine_borrow(engine);
  if (connection == NULL)
    return NULL;
  PGresult *result = PQexecParams(connection, sql, count, NULL, values, NULL, NULL, 1);
  pg_engine_return(engine);
  ExecStatusType status = PQresultStatus(result);
  if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
    return result;
  PQclear(result);
  return NULL;
}

static PGresult *read_page(struct store_engine *engine, const struct walk *walk)
{
  char texts[WALK_KEY_MAX + 1u][KEY_TEXT_MAX];
  const char *values[WALK_KEY_MAX + 2u];
  unsigned count = 0;
  for (; count < walk->key_count; count++) {
    (void)snprintf(texts[count], KEY_TEXT_MAX, "%" PRId64, walk->key[count]);
    values[count] = texts[count];
  }
  if (walk->has_text)
    values[count++] = walk->text;
  (void)snprintf(texts[WALK_KEY_MAX], KEY_TEXT_MAX, "%" PRId64, walk->last);
  values[count++] = texts[WALK_KEY_MAX];
  return query(engine, walk->sql, (int)count, values);
}

static enum hf_error walk_run(struct store_engine *engine, struct walk *walk)
{
  bool go_on = true, corrupt = false;
  int count = WALK_PAGE;
  walk->partition_bits = engine->partition_bits;
  while (go_on && count == WALK_PAGE) {
    struct pg_rows rows = {.result = read_page(engine, walk)};
    if (rows.result == NULL)
      return HF_E_UNAVAILABLE;
    count = PQntuples(rows.result);
    for (; go_on && rows.row < count; rows.row++)
      go_on = walk->hand(walk, &rows);
    corrupt = rows.corrupt;
    go_on = go_on && !corrupt;
    PGresult *page = (PGresult *)(uintptr_t)rows.result;
    PQclear(page);
  }
  return corrupt ? HF_E_INTERNAL : HF_OK;
}

/* A numeric that the statement made a text of. */
static hf_amount amount_of(struct pg_rows *rows, int column)
{
  char text[HF_AMOUNT_TEXT_MAX];
  hf_amount value = 0;
  pg_get_chars(rows, column, text, sizeof text);
  bool negative = text[0] == '-', fits = text[negative] != '\0';
  for (const char *at = text + negative; fits && *at != '\0'; at++) {
    fits = *at >= '0' && *at <= '9' && !__builtin_mul_overflow(value, (hf_amount)10, &value) &&
           (negative ? hf_amount_sub(value, *at - '0', &value)
                     : hf_amount_add(value, *at - '0', &value));
  }
  if (!fits)
    rows->corrupt = true;
  return fits ? value : 0;
}

/* A row lies in the partition that its id says. */
static void check_place(const struct walk *walk, struct pg_rows *rows, hf_id id)
{
  if ((int64_t)hf_id_partition(id, walk->partition_bits) != walk->key[0])
    rows->corrupt = true;
}

static bool hand_balance(struct walk *walk, struct pg_rows *rows)
{
  struct store_balance_row row = {
    .user = pg_get_id(rows, 1),
    .asset = (uint16_t)pg_get_unsigned(rows, 2, UINT16_MAX),
    .version = pg_get_unsigned(rows, 3, INT64_MAX),
  };
  for (int i = 0; i < (int)LEDGER_BUCKET_COUNT; i++)
    row.balance.bucket[i] = amount_of(rows, 4 + i);
  row.balance.claimed_total = amount_of(rows, 4 + (int)LEDGER_BUCKET_COUNT);
  row.balance.spent_total = amount_of(rows, 5 + (int)LEDGER_BUCKET_COUNT);
  walk->key[0] = pg_get_int(rows, 0);
  walk->key[1] = (int64_t)row.user;
  walk->key[2] = row.asset;
  check_place(walk, rows, row.user);
  return !rows->corrupt && walk->each.balance(walk->arg, &row);
}

static enum hf_error each_balance(struct store_engine *engine, uint32_t first, uint32_t count,
                                  bool (*each)(void *arg, const struct store_balance_row *row),
                                  void *arg)
{
  struct walk walk = {
    .sql = "SELECT partition,user_id,asset,version,earned::text,pending::text,claimable::text,"
           "held::text,claiming::text,blocked::text,quarantine::text,debt::text,"
           "claimed_total::text,spent_total::text FROM ledger_balances "
           "WHERE (partition,user_id,asset)>($1,$2,$3) AND partition<=$4 "
           "ORDER BY partition,user_id,asset LIMIT 4096",
    .key_count = 3,
    .key = {(int64_t)first, -1, -1},
    .last = (int64_t)first + count - 1,
    .hand = hand_balance,
    .each.balance = each,
    .arg = arg,
  };
  return walk_run(engine, &walk);
}

static bool hand_system(struct walk *walk, struct pg_rows *rows)
{
  struct store_system_row row = {
    .partition = (uint32_t)pg_get_unsigned(rows, 0, UINT16_MAX),
    .account = (uint8_t)pg_get_unsigned(rows, 1, LEDGER_ACCOUNT_COUNT - 1u),
    .asset = (uint16_t)pg_get_unsigned(rows, 2, UINT16_MAX),
    .sum = amount_of(rows, 4),
  };
  pg_get_chars(rows, 3, row.label, sizeof row.label);
  walk->key[0] = row.partition;
  walk->key[1] = row.account;
  walk->key[2] = row.asset;
  memcpy(walk->text, row.label, sizeof row.label);
  return !rows->corrupt && walk->each.system(walk->arg, &row);
}

static enum hf_error each_system(struct store_engine *engine, uint32_t first, uint32_t count,
                                 bool (*each)(void *arg, const struct store_system_row *row),
                                 void *arg)
{
  struct walk walk = {
    .sql = "SELECT partition,account,asset,label,sum::text FROM system_totals "
           "WHERE (partition,account,asset,label)>($1,$2,$3,$4) AND partition<=$5 "
           "ORDER BY partition,account,asset,label LIMIT 4096",
    .key_count = 3,
    .key = {(int64_t)first, -1, -1},
    .has_text = true,
    .last = (int64_t)first + count - 1,
    .hand = hand_system,
    .each.system = each,
    .arg = arg,
  };
  return walk_run(engine, &walk);
}

static bool hand_user(struct walk *walk, struct pg_rows *rows)
{
  struct hf_arena arena = {NULL};
  struct store_user_row row;
  pg_row_user(rows, &arena, &row);
  walk->key[1] = (int64_t)row.id;
  check_place(walk, rows, row.id);
  bool go_on = !rows->corrupt && walk->each.user(walk->arg, &row);
  hf_arena_free(&arena);
  return go_on;
}

static enum hf_error each_user(struct store_engine *engine, uint32_t partition,
                               bool (*each)(void *arg, const struct store_user_row *row), void *arg)
{
  struct walk walk = {
    .sql = "SELECT " PG_USER_COLUMNS " FROM users WHERE partition=$1 AND id>$2 AND id<=$3 "
           "ORDER BY id LIMIT 4096",
    .key_count = 2,
    .key = {(int64_t)partition, 0},
    .last = INT64_MAX,
    .hand = hand_user,
    .each.user = each,
    .arg = arg,
  };
  return walk_run(engine, &walk);
}

static bool hand_batch(struct walk *walk, struct pg_rows *rows)
{
  struct store_batch row;
  pg_row_batch(rows, &row);
  walk->key[1] = (int64_t)row.number;
  return !rows->corrupt && walk->each.batch(walk->arg, &row);
}

static enum hf_error each_batch(struct store_engine *engine, uint32_t partition, uint64_t first,
                                uint64_t last,
                                bool (*each)(void *arg, const struct store_batch *batch), void *arg)
{
  struct walk walk = {
    .sql = "SELECT " PG_BATCH_COLUMNS " FROM batches WHERE partition=$1 AND number>$2 "
           "AND number<=$3 ORDER BY number LIMIT 4096",
    .key_count = 2,
    .key = {(int64_t)partition, (int64_t)first - 1},
    .last = (int64_t)last,
    .hand = hand_batch,
    .each.batch = each,
    .arg = arg,
  };
  return walk_run(engine, &walk);
}

static enum hf_error newest_batch(struct store_engine *engine, uint32_t partition,
                                  struct store_batch *ret_batch)
{
  char text[KEY_TEXT_MAX];
  const char *const values[] = {text};
  (void)snprintf(text, sizeof text, "%" PRIu32, partition);
  PGresult *result = query(engine,
                           "SELECT " PG_BATCH_COLUMNS " FROM batches WHERE partition=$1 "
                           "ORDER BY number DESC LIMIT 1",
                           1, values);
  struct pg_rows rows = {.result = result};
  if (result == NULL)
    return HF_E_UNAVAILABLE;
  *ret_batch = (struct store_batch){.partition = partition};
  if (PQntuples(result) > 0)
    pg_row_batch(&rows, ret_batch);
  PQclear(result);
  return rows.corrupt ? HF_E_INTERNAL : HF_OK;
}

static bool hand_outcome(struct walk *walk, struct pg_rows *rows)
{
  struct store_outcome row;
  pg_row_outcome(rows, &row);
  walk->key[1] = (int64_t)row.batch;
  walk->key[2] = pg_get_int(rows, 8);
  return !rows->corrupt && walk->each.outcome(walk->arg, &row);
}

static enum hf_error each_outcome(struct store_engine *engine, uint32_t partition, uint64_t *cursor,
                                  uint64_t last,
                                  bool (*each)(void *arg, const struct store_outcome *row),
                                  void *arg)
{
  struct walk walk = {
    .sql = "SELECT " PG_OUTCOME_COLUMNS ",place FROM outcomes WHERE partition=$1 "
           "AND (batch,place)>($2,$3) AND batch<=$4 ORDER BY batch,place LIMIT 4096",
    .key_count = 3,
    /* From the very first: one of no batch is one too many. */
    .key = {(int64_t)partition, *cursor == 0 ? INT64_MIN : (int64_t)*cursor, INT32_MAX},
    .last = (int64_t)last,
    .hand = hand_outcome,
    .each.outcome = each,
    .arg = arg,
  };
  enum hf_error error = walk_run(engine, &walk);
  *cursor = last;
  return error;
}

static bool hand_metadata(struct walk *walk, struct pg_rows *rows)
{
  hf_id op = pg_get_id(rows, 0);
  walk->key[1] = (int64_t)op;
  return !rows->corrupt && walk->each.metadata(walk->arg, op);
}

static enum hf_error each_metadata(struct store_engine *engine, uint32_t partition, hf_id after,
                                   bool (*each)(void *arg, hf_id op), void *arg)
{
  struct walk walk = {
    .sql = "SELECT op FROM entry_metadata WHERE partition=$1 AND op>$2 AND op<=$3 "
           "ORDER BY op LIMIT 4096",
    .key_count = 2,
    .key = {(int64_t)partition, (int64_t)after},
    .last = INT64_MAX,
    .hand = hand_metadata,
    .each.metadata = each,
    .arg = arg,
  };
  return walk_run(engine, &walk);
}

static bool hand_hold(struct walk *walk, struct pg_rows *rows)
{
  struct store_hold_row row;
  pg_row_hold(rows, &row);
  walk->key[1] = (int64_t)row.id;
  check_place(walk, rows, row.id);
  return !rows->corrupt && walk->each.hold(walk->arg, &row);
}

static enum hf_error each_hold(struct store_engine *engine, uint32_t partition,
                               bool (*each)(void *arg, const struct store_hold_row *row), void *arg)
{
  struct walk walk = {
    .sql = "SELECT " PG_HOLD_COLUMNS " FROM holds WHERE partition=$1 AND id>$2 AND id<=$3 "
           "ORDER BY id LIMIT 4096",
    .key_count = 2,
    .key = {(int64_t)partition, 0},
    .last = INT64_MAX,
    .hand = hand_hold,
    .each.hold = each,
    .arg = arg,
  };
  return walk_run(engine, &walk);
}

static bool hand_block(struct walk *walk, struct pg_rows *rows)
{
  struct store_block_row row;
  pg_row_block(rows, &row);
  walk->key[1] = (int64_t)row.id;
  check_place(walk, rows, row.id);
  return !rows->corrupt && walk->each.block(walk->arg, &row);
}

static enum hf_error each_block(struct store_engine *engine, uint32_t partition,
                                bool (*each)(void *arg, const struct store_block_row *row),
                                void *arg)
{
  struct walk walk = {
    .sql = "SELECT " PG_BLOCK_COLUMNS " FROM blocks WHERE partition=$1 AND id>$2 AND id<=$3 "
           "ORDER BY id LIMIT 4096",
    .key_count = 2,
    .key = {(int64_t)partition, 0},
    .last = INT64_MAX,
    .hand = hand_block,
    .each.block = each,
    .arg = arg,
  };
  return walk_run(engine, &walk);
}

/* ---- walks over what links users and operations ---------------------------------------------- */

static bool hand_transfer(struct walk *walk, struct pg_rows *rows)
{
  struct store_transfer_row row;
  pg_row_transfer(rows, &row);
  walk->key[0] = pg_get_int(rows, 8);
  walk->key[1] = (int64_t)row.id;
  check_place(walk, rows, row.id);
  return !rows->corrupt && walk->each.transfer(walk->arg, &row);
}

static enum hf_error each_transfer(struct store_engine *engine, uint32_t first, uint32_t count,
                                   bool (*each)(void *arg, const struct store_transfer_row *row),
                                   void *arg)
{
  struct walk walk = {
    .sql = "SELECT " PG_TRANSFER_COLUMNS ",partition FROM transfers "
           "WHERE (partition,id)>($1,$2) AND partition<=$3 ORDER BY partition,id LIMIT 4096",
    .key_count = 2,
    .key = {(int64_t)first, -1},
    .last = (int64_t)first + count - 1,
    .hand = hand_transfer,
    .each.transfer = each,
    .arg = arg,
  };
  return walk_run(engine, &walk);
}

static bool hand_reversal(struct walk *walk, struct pg_rows *rows)
{
  struct store_reversal_row row = {
    .original = pg_get_id(rows, 1), .op = pg_get_id(rows, 2), .amount = pg_get_amount(rows, 3)};
  walk->key[0] = pg_get_int(rows, 0);
  walk->key[1] = (int64_t)row.original;
  walk->key[2] = (int64_t)row.op;
  check_place(walk, rows, row.original);
  return !rows->corrupt && walk->each.reversal(walk->arg, &row);
}

static enum hf_error each_reversal(struct store_engine *engine, uint32_t first, uint32_t count,
                                   bool (*each)(void *arg, const struct store_reversal_row *row),
                                   void *arg)
{
  struct walk walk = {
    .sql = "SELECT partition,original,op,amount FROM reversals "
           "WHERE (partition,original,op)>($1,$2,$3) AND partition<=$4 "
           "ORDER BY partition,original,op LIMIT 4096",
    .key_count = 3,
    .key = {(int64_t)first, -1, -1},
    .last = (int64_t)first + count - 1,
    .hand = hand_reversal,
    .each.reversal = each,
    .arg = arg,
  };
  return walk_run(engine, &walk);
}

static bool hand_backdated(struct walk *walk, struct pg_rows *rows)
{
  struct store_backdated_row row = {
    .user = pg_get_id(rows, 1),
    .seq = pg_get_unsigned(rows, 2, HF_ID_MAX),
    .effective_us = pg_get_int(rows, 3),
    .asset = (uint16_t)pg_get_unsigned(rows, 4, UINT16_MAX),
    .from = (uint8_t)pg_get_unsigned(rows, 5, LEDGER_ACCOUNT_COUNT - 1u),
    .to = (uint8_t)pg_get_unsigned(rows, 6, LEDGER_ACCOUNT_COUNT - 1u),
    .amount = pg_get_amount(rows, 7),
  };
  walk->key[0] = pg_get_int(rows, 0);
  walk->key[1] = (int64_t)row.user;
  walk->key[2] = (int64_t)row.seq;
  check_place(walk, rows, row.user);
  return !rows->corrupt && walk->each.backdated(walk->arg, &row);
}

static enum hf_error each_backdated(struct store_engine *engine, uint32_t first, uint32_t count,
                                    bool (*each)(void *arg, const struct store_backdated_row *row),
                                    void *arg)
{
  struct walk walk = {
    .sql = "SELECT partition,user_id,seq,effective_us,asset,source,target,amount FROM backdated "
           "WHERE (partition,user_id,seq)>($1,$2,$3) AND partition<=$4 "
           "ORDER BY partition,user_id,seq LIMIT 4096",
    .key_count = 3,
    .key = {(int64_t)first, -1, -1},
    .last = (int64_t)first + count - 1,
    .hand = hand_backdated,
    .each.backdated = each,
    .arg = arg,
  };
  return walk_run(engine, &walk);
}

static bool hand_name(struct walk *walk, struct pg_rows *rows)
{
  struct store_name_row row;
  pg_row_name(rows, &row);
  walk->key[0] = row.partition;
  walk->key[1] = row.kind;
  memcpy(walk->text, "\\x", 2);
  hf_hex(row.digest.bytes, sizeof row.digest.bytes, walk->text + 2);
  return !rows->corrupt && walk->each.name(walk->arg, &row);
}

static enum hf_error each_name(struct store_engine *engine, uint32_t first, uint32_t count,
                               bool (*each)(void *arg, const struct store_name_row *row), void *arg)
{
  struct walk walk = {
    .sql = "SELECT " PG_NAME_COLUMNS " FROM names "
           "WHERE (partition,kind,digest)>($1,$2,$3) AND partition<=$4 "
           "ORDER BY partition,kind,digest LIMIT 4096",
    .key_count = 2,
    .key = {(int64_t)first, -1},
    .text = "\\x",
    .has_text = true,
    .last = (int64_t)first + count - 1,
    .hand = hand_name,
    .each.name = each,
    .arg = arg,
  };
  return walk_run(engine, &walk);
}

/* ---- the rest -------------------------------------------------------------------------------- */

static enum hf_error mark(struct store_engine *engine, uint32_t partition, uint64_t *ret_seq)
{
  char text[KEY_TEXT_MAX];
  const char *const values[] = {text};
  (void)snprintf(text, sizeof text, "%" PRIu32, partition);
  PGresult *result =
    query(engine, "SELECT seq FROM projection_marks WHERE partition=$1", 1, values);
  struct pg_rows rows = {.result = result};
  if (result == NULL)
    return HF_E_UNAVAILABLE;
  *ret_seq = pg_get_unsigned(&rows, 0, HF_ID_MAX);
  PQclear(result);
  return rows.corrupt ? HF_E_INTERNAL : HF_OK;
}

static enum hf_error replay_run(struct store_engine *engine, const struct store_replay_run *run_row)
{
  char sql[320];
  (void)snprintf(sql, sizeof sql,
                 "INSERT INTO replay_runs(started_us,ended_us,entries,users,differences,repaired) "
                 "VALUES(%" PRId64 ",%" PRId64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%s)",
                 run_row->started_us, run_row->ended_us, run_row->entries, run_row->users,
                 run_row->differences, run_row->repaired ? "true" : "false");
  PGresult *result = query(engine, sql, 0, NULL);
  bool ok = result != NULL;
  PQclear(result);
  return ok ? HF_OK : HF_E_UNAVAILABLE;
}

/* One of unknown outcome says unavailable: a key that nobody was told of does no harm. */
static enum hf_error key_put(struct store_engine *engine, const struct store_key_row *key)
{
  static const char sql[] =
    "INSERT INTO service_keys(id,revoked_us,secret,scopes,created_us,name) "
    "VALUES($1,$2::bigint,decode($3,'hex'),$4::bigint,$5::bigint,$6) ON CONFLICT (id) DO UPDATE "
    "SET revoked_us=excluded.revoked_us WHERE service_keys.revoked_us=0 "
    "AND excluded.revoked_us<>0 AND service_keys.secret=excluded.secret RETURNING 1";
  char revoked[24], secret[2u * sizeof key->secret.bytes + 1u], scopes[24], created[24];
  const char *values[] = {key->id, revoked, secret, scopes, created, key->name};
  (void)snprintf(revoked, sizeof revoked, "%" PRId64, key->revoked_us);
  (void)snprintf(scopes, sizeof scopes, "%" PRIu32, key->scopes);
  (void)snprintf(created, sizeof created, "%" PRId64, key->created_us);
  for (size_t i = 0; i < sizeof key->secret.bytes; i++)
    (void)snprintf(secret + 2u * i, 3, "%02x", key->secret.bytes[i]);
  PGresult *result = query(engine, sql, 6, values);
  if (result == NULL)
    return HF_E_UNAVAILABLE;
  bool put = PQntuples(result) == 1;
  PQclear(result);
  return put ? HF_OK : HF_E_KEY_CONFLICT;
}

static enum hf_error selfcheck(struct store_engine *engine, char ret_why[256])
{
  PGconn *connection = pg_engine_borrow(engine);
  if (connection == NULL) {
    (void)snprintf(ret_why, PG_WHY_SIZE, "cannot connect to the database");
    return HF_E_UNAVAILABLE;
  }
  enum hf_error error = pg_schema_check(connection, ret_why);
  pg_engine_return(engine);
  return error;
}

const struct store_admin_ops pg_admin_ops = {
  .schema_known = pg_schema_known,
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
  .mark = mark,
  .repair = pg_repair,
  .replay_run = replay_run,
  .key_put = key_put,
};
