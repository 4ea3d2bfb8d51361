/* What the planner makes of every read: an index that begins with the partition, never a table.
 *
 * The tables are filled until the planner has a choice, and the plans are those that a session uses
 * for every argument (generic ones), without the settings by which sessions dissuade it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/store_postgres/pg_schema.h"
#include "tests/support/pg_sql.h"
#include "tests/support/store_fixture.h"

#define PLAN_MAX 65536u

static PGconn *conn;

/* 1024 partitions; what is written is not what a program would write, but as much and as wide. */
static const char filling[] =
  "INSERT INTO journal SELECT i%2000,i,i/2000+1,CASE WHEN i%2=0 THEN gen_random_uuid() END,i%4,"
  "decode(repeat('00',32),'hex'),decode(repeat('00',150),'hex') FROM generate_series(1,40000) i;"
  "INSERT INTO batches SELECT i,1,i,0,1,0,0,i%4,decode(repeat('00',32),'hex'),"
  "decode(repeat('00',32),'hex') FROM generate_series(1,20000) i;"
  "INSERT INTO outcomes SELECT i%4,i%2000,gen_random_uuid(),gen_random_uuid(),'insufficient_funds',"
  "1,1,1,i,0 FROM generate_series(1,20000) i;"
  "INSERT INTO entry_metadata SELECT i%4,i,'\\x00','{\"reason\":\"because\"}' "
  "FROM generate_series(1,20000) i;"
  "INSERT INTO backdated SELECT i%4,i%2000,i,0,1,16,0,'\\x00' FROM generate_series(1,20000) i;"
  "INSERT INTO users SELECT i%4,i,0,0,0,'someone '||i,'{}' FROM generate_series(1,20000) i;"
  "INSERT INTO names(partition,kind,digest,state,request,user_id,created_us) SELECT i%4,1,"
  "sha256(i::text::bytea),(i%50<>0)::int,gen_random_uuid(),i,0 FROM generate_series(1,20000) i;"
  "INSERT INTO holds SELECT i%4,i,i%2000,1,(i%10<>0)::int,'\\x00','\\x00',0,i,0 "
  "FROM generate_series(1,20000) i;"
  "INSERT INTO blocks SELECT i%4,i,i%2000,1,0,i%10=0,'\\x00','\\x00',0,0 "
  "FROM generate_series(1,20000) i;"
  "INSERT INTO transfers SELECT i%4,i,i,i,1,(i%50<>0)::int,'\\x00',0,0 "
  "FROM generate_series(1,20000) i;"
  "INSERT INTO reversals SELECT i%4,i,i+1,'\\x00' FROM generate_series(1,20000) i;"
  "INSERT INTO ledger_balances SELECT i%4,i,1,1,0,0,0,0,0,0,0,0,0,0 "
  "FROM generate_series(1,20000) i;"
  "INSERT INTO system_totals SELECT i%4,16,1,'label'||i,0 FROM generate_series(1,20000) i;"
  "ANALYZE";

static int filled(void **state)
{
  struct pg_database database;
  char name[32], why[PG_WHY_SIZE] = "";
  (void)fixture_server_start(state);
  fixture_database(name);
  conn = pg_sql_connect(name, NULL);
  if (pg_schema_open(conn, true, HF_PARTITION_BITS_MAX, &database, why) != HF_OK)
    fail_msg("%s", why);
  pg_sql(conn, filling);
  pg_sql(conn, "SET plan_cache_mode=force_generic_plan");
  return 0;
}

static int emptied(void **state)
{
  PQfinish(conn);
  return fixture_server_stop(state);
}

/* The plan of a prepared statement, as JSON. */
static void plan_of(const char *name, const char *sql, char plan[PLAN_MAX])
{
  char explain[PLAN_MAX];
  PGresult *prepared = PQprepare(conn, name, sql, 0, NULL);
  if (PQresultStatus(prepared) != PGRES_COMMAND_OK)
    fail_msg("%s: %s", name, PQerrorMessage(conn));
  PQclear(prepared);
  PGresult *described = PQdescribePrepared(conn, name);
  int count = PQnparams(described), size;
  PQclear(described);
  size = snprintf(explain, sizeof explain, "EXPLAIN (FORMAT JSON) EXECUTE \"%s\"%s", name,
                  count > 0 ? "(" : "");
  for (int i = 0; i < count; i++)
    size +=
      snprintf(explain + size, sizeof explain - (size_t)size, "NULL%s", i + 1 < count ? "," : ")");
  pg_sql_text(conn, explain, plan, PLAN_MAX);
}

/* Of a handful of rows: it does not matter how they are found. */
static bool is_small(const char *relation)
{
  static const char *const small[] = {"nodes", "meta"};
  for (size_t i = 0; i < sizeof small / sizeof small[0]; i++)
    if (strncmp(relation, small[i], strlen(small[i])) == 0 && relation[strlen(small[i])] == '"')
      return true;
  return false;
}

/* Whether the condition that begins here, up to its quote, says which partition. */
static bool says_partition(const char *condition)
{
  const char *end = strchr(condition, '"'), *at = strstr(condition, "partition = ");
  return at != NULL && at < end;
}

/* Fails at a sequential scan, or an index scan that is not one of a partition. */
static void check_plan(const char *name, const char *plan)
{
  static const char node[] = "\"Node Type\": \"", relation[] = "\"Relation Name\": \"";
  static const char index[] = "\"Index Cond\": \"";
  for (const char *at = plan; (at = strstr(at, node)) != NULL;) {
    at += sizeof node - 1;
    const char *end = strstr(at, node), *table = strstr(at, relation), *bound = strstr(at, index);
    bool named = table != NULL && (end == NULL || table < end);
    bool bounded = bound != NULL && (end == NULL || bound < end);
    if (named && is_small(table + sizeof relation - 1))
      continue;
    if (strncmp(at, "Seq Scan", 8) == 0)
      fail_msg("%s scans a table: %s", name, plan);
    bool indexed = strncmp(at, "Index", 5) == 0 || strncmp(at, "Bitmap Index", 12) == 0;
    if (indexed && !(bounded && says_partition(bound + sizeof index - 1)))
      fail_msg("%s is not bounded by its partition: %s", name, plan);
  }
}

static bool is_whole(const char *name)
{
#define X(statement)                                                                               \
  if (strcmp(name, #statement) == 0)                                                               \
    return true;
  PG_STATEMENTS_WHOLE(X)
#undef X
  return false;
}

static void test_statements_when_explained_then_each_goes_by_an_index_of_its_partition(void **state)
{
  static const struct {
    const char *name, *sql;
  } statements[] = {
#define X(name, sql) {#name, sql},
    PG_STATEMENTS_READ(X)
#undef X
  };
  static char plan[PLAN_MAX];
  unsigned checked = 0;
  (void)state;
  for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++) {
    plan_of(statements[i].name, statements[i].sql, plan);
    assert_non_null(strstr(plan, "\"Node Type\""));
    if (is_whole(statements[i].name))
      continue;
    check_plan(statements[i].name, plan);
    checked++;
  }
  assert_true(checked > 25);
}

/* The numbers behind the name in EXPLAIN ANALYZE's output, added up. */
static double sum_of(const char *plan, const char *field)
{
  double sum = 0;
  for (const char *at = plan; (at = strstr(at, field)) != NULL;) {
    at += strlen(field);
    assert_int_equal(strncmp(at, "\": ", 3), 0);
    sum += strtod(at + 3, NULL);
  }
  return sum;
}

/* However many rows there are, a page costs what is on it. */
static void test_pages_when_run_then_as_many_rows_are_looked_at_as_asked_for(void **state)
{
  static const struct {
    const char *name, *arguments;
    double rows_max;
  } pages[] = {
    {"LOAD_USER", "2::int2,2,2", 200},
    {"ENTRY_NEWEST", "2::int2,2", 4},
    {"ENTRIES_BEFORE", "2::int2,2,15,5", 12},
    {"ENTRIES_OF_VERSIONS", "2::int2,2,'{1,5,9}'", 12},
    {"ENTRIES_WITHIN", "1::int2,1000,1007", 20},
    {"ENTRIES_FROM", "1::int2,1000,50", 102},
    {"KEY_ENTRY", "2::int2,2,gen_random_uuid()", 2},
    {"METADATA_OF", "1::int2,'{1,5,9}'", 12},
    {"REVERSALS_OF", "1::int2,'{1,5,9}'", 12},
    {"HOLDS_OPEN", "0::int2,20,0,3", 12},
    {"HOLDS_ALL", "0::int2,20,0,3", 24},
    {"HOLDS_DUE", "0::int2,100000,7,0,0", 24},
    {"TRANSFERS_OPEN", "0::int2,0,7", 24},
    {"NAMES_RESERVED", "0::int2,7", 24},
    {"BACKDATED_AFTER", "2::int2,2,0,0,4", 12},
    {"PARTITION_STATE", "2::int2", 20},
  };
  static char plan[PLAN_MAX];
  (void)state;
  for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
    char sql[256];
    (void)snprintf(sql, sizeof sql, "EXPLAIN (ANALYZE,FORMAT JSON) EXECUTE \"%s\"(%s)",
                   pages[i].name, pages[i].arguments);
    pg_sql_text(conn, sql, plan, sizeof plan);
    double rows = sum_of(plan, "\"Actual Rows") + sum_of(plan, "Rows Removed by Filter");
    if (rows > pages[i].rows_max)
      fail_msg("%s looks at %.0f rows: %s", pages[i].name, rows, plan);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_statements_when_explained_then_each_goes_by_an_index_of_its_partition),
    cmocka_unit_test(test_pages_when_run_then_as_many_rows_are_looked_at_as_asked_for),
  };
  return cmocka_run_group_tests(tests, filled, emptied);
}
