/* pg_repair.c - projections, holds and blocks are written anew.
 *
 * Happy path: one transaction: a lock that keeps every commit out; the marks, each only if its
 *   journal still ends where the caller's truth does; the old rows go, the new ones come by pages.
 * Ways to fail: a journal moved on, or the connection ended: all of it is undone. */
#include "adapters/store_postgres/pg_repair.h"

#include <stdlib.h>
#include <string.h>

#include "adapters/store_postgres/pg_engine.h"
#include "adapters/store_postgres/pg_read.h"

#define PAGE 4096u

static bool run(PGconn *connection, const char *sql)
{
  PGresult *result = PQexec(connection, sql);
  ExecStatusType status = PQresultStatus(result);
  PQclear(result);
  return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

/* Runs a statement with the arguments of the round's only step; the number of rows that it touched
 * or gave, -1 when it failed. */
static int run_with(PGconn *connection, const char *sql, const struct pg_round *round)
{
  const struct pg_args *args = &round->steps[0].args;
  const char *values[PG_ARGS_MAX];
  int sizes[PG_ARGS_MAX], formats[PG_ARGS_MAX];
  for (unsigned i = 0; i < args->count; i++) {
    values[i] = args->arg[i].null ? NULL : (const char *)round->bytes.at + args->arg[i].at;
    sizes[i] = (int)args->arg[i].size;
    formats[i] = 1;
  }
  PGresult *result =
    PQexecParams(connection, sql, (int)args->count, NULL, values, sizes, formats, 1);
  ExecStatusType status = PQresultStatus(result);
  int count = -1;
  if (status == PGRES_TUPLES_OK)
    count = PQntuples(result);
  else if (status == PGRES_COMMAND_OK)
    count = (int)strtol(PQcmdTuples(result), NULL, 10);
  PQclear(result);
  return count;
}

struct writing { /* some rows of a repair at a time */
  PGconn *connection;
  const struct store_repair *repair;
  struct pg_round round;
  unsigned partition_bits;
};

static void begin(struct writing *writing)
{
  pg_round_clear(&writing->round);
  pg_round_add(&writing->round, (enum pg_statement)0); /* only its arguments are used */
}

static bool put_balances(struct writing *writing, size_t first, size_t count)
{
  const struct store_balance_row *rows = &writing->repair->balances[first];
  struct pg_round *round = &writing->round;
  begin(writing);
  pg_arg_array(round, PG_INT2, count);
  for (size_t i = 0; i < count; i++)
    pg_item_int2(round, (int)hf_id_partition(rows[i].user, writing->partition_bits));
  pg_arg_array(round, PG_INT8, count);
  for (size_t i = 0; i < count; i++)
    pg_item_int8(round, (int64_t)rows[i].user);
  pg_arg_array(round, PG_INT4, count);
  for (size_t i = 0; i < count; i++)
    pg_item_int4(round, rows[i].asset);
  pg_arg_array(round, PG_INT8, count);
  for (size_t i = 0; i < count; i++)
    pg_item_int8(round, (int64_t)rows[i].version);
  pg_arg_array(round, PG_TEXT, count);
  for (size_t i = 0; i < count; i++) {
    char text[(LEDGER_BUCKET_COUNT + 2u) * HF_AMOUNT_TEXT_MAX];
    size_t size = pg_balance_text(&rows[i].balance, text);
    pg_item_text(round, (struct store_text){text, size});
  }
  return run_with(writing->connection,
                  "INSERT INTO ledger_balances(partition,user_id,asset,version," PG_BALANCE_COLUMNS
                  ") SELECT r.partition,r.user_id,r.asset,r.version,"
                  "v[1],v[2],v[3],v[4],v[5],v[6],v[7],v[8],v[9],v[10] FROM unnest($1::int2[],"
                  "$2::int8[],$3::int4[],$4::int8[],$5::text[]) "
                  "r(partition,user_id,asset,version,amounts),"
                  "LATERAL (SELECT string_to_array(r.amounts,' ')::numeric[] v) a",
                  round) == (int)count;
}

static bool put_systems(struct writing *writing, size_t first, size_t count)
{
  const struct store_system_row *rows = &writing->repair->systems[first];
  struct pg_round *round = &writing->round;
  begin(writing);
  pg_arg_array(round, PG_INT2, count);
  for (size_t i = 0; i < count; i++)
    pg_item_int2(round, (int)rows[i].partition);
  pg_arg_array(round, PG_INT2, count);
  for (size_t i = 0; i < count; i++)
    pg_item_int2(round, rows[i].account);
  pg_arg_array(round, PG_INT4, count);
  for (size_t i = 0; i < count; i++)
    pg_item_int4(round, rows[i].asset);
  pg_arg_array(round, PG_TEXT, count);
  for (size_t i = 0; i < count; i++)
    pg_item_text(round, (struct store_text){rows[i].label, strlen(rows[i].label)});
  pg_arg_array(round, PG_TEXT, count);
  for (size_t i = 0; i < count; i++) {
    char text[HF_AMOUNT_TEXT_MAX];
    size_t size = hf_amount_format(rows[i].sum, 0, text);
    pg_item_text(round, (struct store_text){text, size});
  }
  return run_with(writing->connection,
                  "INSERT INTO system_totals(partition,account,asset,label,sum) "
                  "SELECT r.partition,r.account,r.asset,r.label,r.sum::numeric FROM "
                  "unnest($1::int2[],$2::int2[],$3::int4[],$4::text[],$5::text[]) "
                  "r(partition,account,asset,label,sum)",
                  round) == (int)count;
}

/* The columns that holds and blocks have alike. */
#define PUT_IDS(round, rows, count, bits)                                                          \
  do {                                                                                             \
    pg_arg_array(round, PG_INT2, count);                                                           \
    for (size_t i = 0; i < (count); i++)                                                           \
      pg_item_int2(round, (int)hf_id_partition((rows)[i].id, bits));                               \
    pg_arg_array(round, PG_INT8, count);                                                           \
    for (size_t i = 0; i < (count); i++)                                                           \
      pg_item_int8(round, (int64_t)(rows)[i].id);                                                  \
    pg_arg_array(round, PG_INT8, count);                                                           \
    for (size_t i = 0; i < (count); i++)                                                           \
      pg_item_int8(round, (int64_t)(rows)[i].user);                                                \
    pg_arg_array(round, PG_INT4, count);                                                           \
    for (size_t i = 0; i < (count); i++)                                                           \
      pg_item_int4(round, (rows)[i].asset);                                                        \
    pg_arg_array(round, PG_BYTEA, count);                                                          \
    for (size_t i = 0; i < (count); i++)                                                           \
      pg_item_amount(round, (rows)[i].amount);                                                     \
    pg_arg_array(round, PG_BYTEA, count);                                                          \
    for (size_t i = 0; i < (count); i++)                                                           \
      pg_item_amount(round, (rows)[i].remaining);                                                  \
    pg_arg_array(round, PG_INT8, count);                                                           \
    for (size_t i = 0; i < (count); i++)                                                           \
      pg_item_int8(round, (rows)[i].created_us);                                                   \
    pg_arg_array(round, PG_INT8, count);                                                           \
    for (size_t i = 0; i < (count); i++)                                                           \
      pg_item_int8(round, (rows)[i].resolved_us);                                                  \
  } while (0)

static bool put_holds(struct writing *writing, size_t first, size_t count)
{
  const struct store_hold_row *rows = &writing->repair->holds[first];
  struct pg_round *round = &writing->round;
  begin(writing);
  PUT_IDS(round, rows, count, writing->partition_bits);
  pg_arg_array(round, PG_INT2, count);
  for (size_t i = 0; i < count; i++)
    pg_item_int2(round, rows[i].state);
  pg_arg_array(round, PG_INT8, count);
  for (size_t i = 0; i < count; i++)
    pg_item_int8(round, rows[i].expires_us);
  return run_with(writing->connection,
                  "INSERT INTO holds(partition,id,user_id,asset,amount,remaining,created_us,"
                  "resolved_us,state,expires_us) SELECT * FROM unnest($1::int2[],$2::int8[],"
                  "$3::int8[],$4::int4[],$5::bytea[],$6::bytea[],$7::int8[],$8::int8[],$9::int2[],"
                  "$10::int8[])",
                  round) == (int)count;
}

static bool put_blocks(struct writing *writing, size_t first, size_t count)
{
  const struct store_block_row *rows = &writing->repair->blocks[first];
  struct pg_round *round = &writing->round;
  begin(writing);
  PUT_IDS(round, rows, count, writing->partition_bits);
  pg_arg_array(round, PG_INT2, count);
  for (size_t i = 0; i < count; i++)
    pg_item_int2(round, rows[i].bucket);
  pg_arg_array(round, PG_BOOL, count);
  for (size_t i = 0; i < count; i++)
    pg_item_bool(round, rows[i].open);
  return run_with(writing->connection,
                  "INSERT INTO blocks(partition,id,user_id,asset,amount,remaining,created_us,"
                  "resolved_us,bucket,open) SELECT * FROM unnest($1::int2[],$2::int8[],$3::int8[],"
                  "$4::int4[],$5::bytea[],$6::bytea[],$7::int8[],$8::int8[],$9::int2[],"
                  "$10::bool[])",
                  round) == (int)count;
}

static bool put_pages(struct writing *writing, size_t count,
                      bool (*put)(struct writing *writing, size_t first, size_t count))
{
  bool ok = true;
  for (size_t first = 0; ok && first < count; first += PAGE)
    ok = put(writing, first, count - first < PAGE ? count - first : PAGE);
  return ok;
}

/* Sets the marks to the journals' ends, which must be the caller's. */
static bool put_marks(struct writing *writing)
{
  struct pg_round *round = &writing->round;
  unsigned count = 1u << writing->partition_bits;
  begin(writing);
  pg_arg_array(round, PG_INT2, count);
  for (unsigned i = 0; i < count; i++)
    pg_item_int2(round, (int)i);
  pg_arg_array(round, PG_INT8, count);
  for (unsigned i = 0; i < count; i++)
    pg_item_int8(round, (int64_t)writing->repair->ends[i]);
  return run_with(writing->connection,
                  "UPDATE projection_marks m SET seq=r.seq FROM unnest($1::int2[],$2::int8[]) "
                  "r(partition,seq) WHERE m.partition=r.partition AND r.seq=coalesce((SELECT "
                  "max(j.seq) FROM journal j WHERE j.partition=r.partition),0)",
                  round) == (int)count;
}

static bool repair_rows(struct writing *writing)
{
  const struct store_repair *repair = writing->repair;
  /* Every commit writes into batches. */
  return run(writing->connection, "BEGIN;LOCK TABLE batches IN SHARE ROW EXCLUSIVE MODE;"
                                  "LOCK TABLE projection_marks IN SHARE ROW EXCLUSIVE MODE") &&
         put_marks(writing) &&
         run(writing->connection, "DELETE FROM ledger_balances;DELETE FROM system_totals;"
                                  "DELETE FROM holds;DELETE FROM blocks") &&
         put_pages(writing, repair->balances_count, put_balances) &&
         put_pages(writing, repair->systems_count, put_systems) &&
         put_pages(writing, repair->holds_count, put_holds) &&
         put_pages(writing, repair->blocks_count, put_blocks) && run(writing->connection, "COMMIT");
}

enum hf_error pg_repair(struct store_engine *engine, const struct store_repair *wanted)
{
  struct writing writing = {.repair = wanted, .partition_bits = engine->partition_bits};
  writing.connection = pg_engine_borrow(engine);
  if (writing.connection == NULL)
    return HF_E_UNAVAILABLE;
  pg_round_init(&writing.round);
  bool ok = repair_rows(&writing);
  if (!ok)
    (void)run(writing.connection, "ROLLBACK");
  pg_round_deinit(&writing.round);
  pg_engine_return(engine);
  return ok ? HF_OK : HF_E_UNAVAILABLE;
}
