/* The schema in PostgreSQL: made, opened again, refused, interrupted, and over an old table.
 * ctest: timeout=300 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/store_postgres/pg_migrations.h"
#include "adapters/store_postgres/pg_schema.h"
#include "tests/support/pg_sql.h"
#include "tests/support/store_fixture.h"

#define BITS 3u

static enum hf_error open_with(PGconn *conn, bool migrate, char why[PG_WHY_SIZE])
{
  struct pg_database database;
  why[0] = '\0';
  enum hf_error error = pg_schema_open(conn, migrate, BITS, &database, why);
  if (error == HF_OK)
    assert_int_equal(database.partition_bits, BITS);
  return error;
}

static void must_open(PGconn *conn)
{
  char why[PG_WHY_SIZE];
  if (open_with(conn, true, why) != HF_OK)
    fail_msg("the schema does not open: %s", why);
}

static void must_check(PGconn *conn)
{
  char why[PG_WHY_SIZE] = "";
  if (pg_schema_check(conn, why) != HF_OK)
    fail_msg("the check is not content: %s", why);
}

/* Refused, with a word that tells why; whatever was there is as it was. */
static void must_refuse(PGconn *conn, bool migrate, const char *word)
{
  static const char tables[] =
    "SELECT coalesce(string_agg(relname||relkind::text,',' ORDER BY oid),'') FROM pg_class "
    "WHERE relnamespace=current_schema()::regnamespace";
  char why[PG_WHY_SIZE], before[4096], after[4096];
  pg_sql_text(conn, tables, before, sizeof before);
  assert_int_equal(open_with(conn, migrate, why), HF_E_INTERNAL);
  if (strstr(why, word) == NULL)
    fail_msg("%s: not in: %s", word, why);
  pg_sql_text(conn, tables, after, sizeof after);
  assert_string_equal(before, after);
}

static PGconn *new_database(void)
{
  char name[32];
  fixture_database(name);
  return pg_sql_connect(name, NULL);
}

/* A schema of its own in the connection's database, and nothing else on the path. */
static void new_place(PGconn *conn, const char *name)
{
  char sql[200];
  (void)snprintf(sql, sizeof sql, "CREATE SCHEMA %s;SET search_path=%s", name, name);
  pg_sql(conn, sql);
}

/* ---- fresh, again, refused ------------------------------------------------------------------- */

static void test_schema_when_fresh_then_made_and_the_check_is_content(void **state)
{
  PGconn *conn = new_database();
  (void)state;
  must_open(conn);
  assert_int_equal(pg_sql_number(conn, "SELECT count(*) FROM schema_migrations"),
                   pg_schema_known());
  assert_int_equal(pg_sql_number(conn, "SELECT count(*) FROM partitions"), 1 << BITS);
  assert_int_equal(pg_sql_number(conn,
                                 "SELECT count(*) FROM pg_class WHERE relkind IN ('r','v','S') "
                                 "AND relnamespace='public'::regnamespace AND relname=ANY("
                                 "ARRAY['user_earnings','ledger_transactions',"
                                 "'ledger_balances'])"),
                   3);
  must_check(conn);
  assert_int_equal(pg_sql_number(conn, "SELECT count(*) FROM pg_namespace "
                                       "WHERE nspname LIKE 'holdfast_check%'"),
                   0);
  for (unsigned i = 0; i < pg_table_names_count; i++) {
    char sql[128];
    (void)snprintf(sql, sizeof sql, "SELECT count(to_regclass('%s'))", pg_table_names[i]);
    assert_int_equal(pg_sql_number(conn, sql), 1);
  }
  PQfinish(conn);
}

static void test_schema_when_opened_again_then_nothing_changes(void **state)
{
  static const char everything[] =
    "SELECT md5(string_agg(x,',' ORDER BY x)) FROM (SELECT oid||relname FROM pg_class "
    "UNION ALL SELECT version::text||applied_at FROM schema_migrations "
    "UNION ALL SELECT key||value FROM meta) t(x)";
  PGconn *conn = new_database();
  char before[64], after[64], why[PG_WHY_SIZE];
  (void)state;
  must_open(conn);
  pg_sql_text(conn, everything, before, sizeof before);
  must_open(conn);
  assert_int_equal(open_with(conn, false, why), HF_OK);
  pg_sql_text(conn, everything, after, sizeof after);
  assert_string_equal(before, after);
  PQfinish(conn);
}

static void test_schema_when_a_checksum_was_changed_then_refused(void **state)
{
  PGconn *conn = new_database();
  (void)state;
  must_open(conn);
  pg_sql(conn, "UPDATE schema_migrations SET checksum=set_byte(checksum,3,get_byte(checksum,3)#1) "
               "WHERE version=2");
  must_refuse(conn, true, "checksum of migration 2");
  PQfinish(conn);
}

static void test_schema_when_newer_then_refused(void **state)
{
  PGconn *conn = new_database();
  (void)state;
  must_open(conn);
  pg_sql(conn, "INSERT INTO schema_migrations(version,checksum) "
               "SELECT max(version)+1,'\\x00' FROM schema_migrations");
  must_refuse(conn, true, "newer program");
  PQfinish(conn);
}

static void test_schema_when_older_then_refused_unless_it_may_migrate(void **state)
{
  PGconn *conn = new_database();
  (void)state;
  must_refuse(conn, false, "run holdfast migrate");
  must_open(conn);
  pg_sql(conn, "ALTER TABLE nodes DROP COLUMN sent_us,DROP COLUMN lease_us;"
               "DELETE FROM schema_migrations WHERE version=4");
  must_refuse(conn, false, "has schema 3, this program needs 4");
  must_open(conn);
  must_check(conn);
  PQfinish(conn);
}

static void test_schema_when_tables_are_foreign_then_refused_and_left_alone(void **state)
{
  static const char *const foreign[] = {
    "CREATE TABLE users(id int primary key,name text)",
    "CREATE TABLE schema_migrations(version text)",
    "CREATE TABLE meta(name text)",
    "CREATE TABLE meta(key text,value text);INSERT INTO meta VALUES('program','another')",
    "CREATE VIEW ledger_balances AS SELECT 1 AS one",
  };
  PGconn *conn = new_database();
  (void)state;
  for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
    char name[32];
    (void)snprintf(name, sizeof name, "place%zu", i);
    new_place(conn, name);
    pg_sql(conn, foreign[i]);
    must_refuse(conn, true, "another program's tables");
  }
  pg_sql(conn, "SET search_path=nowhere");
  must_refuse(conn, true, "search_path");
  /* Somebody else's tables elsewhere do not matter. */
  new_place(conn, "ours");
  must_open(conn);
  must_check(conn);
  PQfinish(conn);
}

static void test_check_when_something_is_missing_or_more_then_it_is_named(void **state)
{
  static const struct {
    const char *damage, *mend, *word;
  } cases[] = {
    {"DROP INDEX holds_due",
     "CREATE INDEX holds_due ON holds(partition,expires_us,id) WHERE state=0 AND expires_us>0",
     "index holds_due is missing"},
    {"ALTER TABLE journal DISABLE TRIGGER journal_all",
     "ALTER TABLE journal ENABLE TRIGGER journal_all",
     "trigger journal_all of journal was changed"},
    {"ALTER TABLE users ADD COLUMN more int", "ALTER TABLE users DROP COLUMN more",
     "column users.more is not of this program"},
    {"ALTER TABLE users ALTER COLUMN kind TYPE int",
     "ALTER TABLE users ALTER COLUMN kind TYPE smallint", "column users.kind was changed"},
    {"CREATE UNIQUE INDEX more ON users(partition,external_id)", "DROP INDEX more",
     "index more is not of this program"},
    {"CREATE OR REPLACE FUNCTION hf_append_only() RETURNS trigger LANGUAGE plpgsql AS "
     "$$ BEGIN RETURN NULL; END $$",
     "SELECT 1", "function hf_append_only() was changed"},
  };
  PGconn *conn = new_database();
  char why[PG_WHY_SIZE];
  (void)state;
  must_open(conn);
  pg_sql(conn, "CREATE INDEX slow_report ON users(partition,created_us)"); /* an operator may */
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    must_check(conn);
    pg_sql(conn, cases[i].damage);
    assert_int_equal(pg_schema_check(conn, why), HF_E_INTERNAL);
    if (strstr(why, cases[i].word) == NULL)
      fail_msg("%s: not in: %s", cases[i].word, why);
    pg_sql(conn, cases[i].mend);
  }
  PQfinish(conn);
}

/* ---- append-only ----------------------------------------------------------------------------- */

static void must_fail(PGconn *conn, const char *sql)
{
  PGresult *result = PQexec(conn, sql);
  const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  if (sqlstate == NULL || strcmp(sqlstate, "HF002") != 0)
    fail_msg("%s: %s", sql, sqlstate == NULL ? "it is allowed" : PQerrorMessage(conn));
  PQclear(result);
}

static void test_journal_when_changed_by_hand_then_the_database_refuses(void **state)
{
  static const char *const tables[] = {"journal", "batches", "outcomes"};
  PGconn *conn = new_database();
  char sql[128];
  (void)state;
  must_open(conn);
  pg_sql(conn, "INSERT INTO journal VALUES(1,1,1,NULL,0,'','');"
               "INSERT INTO batches VALUES(1,1,1,0,1,1,0,0,'','');"
               "INSERT INTO outcomes VALUES(0,1,gen_random_uuid(),gen_random_uuid(),'x',1,1,1,1,0);"
               "INSERT INTO entry_metadata VALUES(0,1,'\\x01','{}')");
  for (size_t i = 0; i < 3; i++) {
    (void)snprintf(sql, sizeof sql, "UPDATE %s SET partition=0", tables[i]);
    must_fail(conn, sql);
    (void)snprintf(sql, sizeof sql, "DELETE FROM %s", tables[i]);
    must_fail(conn, sql);
    (void)snprintf(sql, sizeof sql, "TRUNCATE %s", tables[i]);
    must_fail(conn, sql);
  }
  must_fail(conn, "UPDATE entry_metadata SET json='{\"a\":1}'");
  must_fail(conn, "UPDATE entry_metadata SET op=2,salt=NULL,json=NULL");
  must_fail(conn, "DELETE FROM entry_metadata");
  must_fail(conn, "TRUNCATE entry_metadata");
  pg_sql(conn, "UPDATE entry_metadata SET salt=NULL,json=NULL");
  PQfinish(conn);
}

/* ---- interrupted, and several at once -------------------------------------------------------- */

/* Ends the session at its n-th command that changes the schema. */
static const char killer[] =
  "CREATE FUNCTION public.kill_at() RETURNS event_trigger LANGUAGE plpgsql AS $$ "
  "DECLARE at integer:=coalesce(nullif(current_setting('test.kill_at',true),''),'0')::integer;"
  "BEGIN IF at=1 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;"
  "PERFORM set_config('test.kill_at',(at-1)::text,false); END $$;"
  "CREATE EVENT TRIGGER kill_at ON ddl_command_end EXECUTE FUNCTION public.kill_at()";

/* How many migrations are recorded; the tables of no other are there. */
static int64_t whole_migrations(PGconn *conn)
{
  static const int64_t tables[] = {0, 17, 21, 22, 22};
  int64_t there = pg_sql_number(conn, "SELECT count(*) FROM pg_tables "
                                      "WHERE schemaname=current_schema()");
  int64_t recorded = there == 0 ? 0 : pg_sql_number(conn, "SELECT count(*) FROM schema_migrations");
  assert_in_range(recorded, 0, pg_schema_known());
  assert_int_equal(there, tables[recorded]);
  return recorded;
}

static void test_migration_when_killed_at_any_command_then_nothing_of_it_is_there(void **state)
{
  char name[32], place[32], sql[128], why[PG_WHY_SIZE];
  unsigned killed = 0;
  int64_t seen = 0; /* bit i: i migrations were there afterwards */
  (void)state;
  fixture_database(name);
  PGconn *conn = pg_sql_connect(name, NULL);
  pg_sql(conn, killer);
  for (unsigned at = 1;; at += 3) {
    (void)snprintf(place, sizeof place, "half%u", at);
    new_place(conn, place);
    (void)snprintf(sql, sizeof sql, "SET test.kill_at='%u'", at);
    pg_sql(conn, sql);
    if (open_with(conn, true, why) == HF_OK)
      break;
    killed++;
    PQfinish(conn);
    conn = pg_sql_connect(name, NULL);
    (void)snprintf(sql, sizeof sql, "SET search_path=%s", place);
    pg_sql(conn, sql);
    seen |= 1 << whole_migrations(conn);
    must_open(conn);
    assert_int_equal(whole_migrations(conn), pg_schema_known());
  }
  pg_sql(conn, "SET test.kill_at='0'");
  must_check(conn);
  assert_true(killed > 5);
  assert_int_equal(seen & 7, 1 | 2 | 4);
  PQfinish(conn);
}

struct opener {
  const char *database;
  pthread_t thread;
  enum hf_error error;
};

static void *open_one(void *arg)
{
  struct opener *opener = arg;
  struct pg_database database;
  char dsn[PG_CLUSTER_DSN_SIZE], why[PG_WHY_SIZE];
  pg_cluster_dsn(fixture_server(), opener->database, dsn);
  PGconn *conn = PQconnectdb(dsn);
  opener->error = pg_schema_open(conn, true, BITS, &database, why);
  PQfinish(conn);
  return NULL;
}

static void test_migration_when_three_at_once_then_one_does_it_and_the_others_wait(void **state)
{
  char name[32];
  struct opener openers[3];
  (void)state;
  fixture_database(name);
  PGconn *conn = pg_sql_connect(name, NULL);
  pg_sql(conn, "SELECT pg_advisory_lock(1213156420,hashtext(current_schema()))");
  for (unsigned i = 0; i < 3; i++) {
    openers[i] = (struct opener){.database = name};
    assert_int_equal(pthread_create(&openers[i].thread, NULL, open_one, &openers[i]), 0);
  }
  while (pg_sql_number(conn, "SELECT count(*) FROM pg_locks WHERE locktype='advisory' "
                             "AND NOT granted AND database=(SELECT oid FROM pg_database "
                             "WHERE datname=current_database())") < 3)
    continue;
  pg_sql(conn, "SELECT pg_advisory_unlock_all()");
  for (unsigned i = 0; i < 3; i++) {
    assert_int_equal(pthread_join(openers[i].thread, NULL), 0);
    assert_int_equal(openers[i].error, HF_OK);
  }
  assert_int_equal(whole_migrations(conn), pg_schema_known());
  must_check(conn);
  PQfinish(conn);
}

/* ---- user_earnings --------------------------------------------------------------------------- */

static const struct {
  const char *name, *type;
} earnings[] = {
  {"start_date", "timestamp with time zone"},
  {"base_earning_rate", "numeric(18,8)"},
  {"sync_status", "character varying(20)"},
  {"last_sync_attempt", "timestamp with time zone"},
  {"retry_count", "integer"},
};
#define EARNINGS (sizeof earnings / sizeof earnings[0])

/* Their names and types, as the table has them. */
static void check_earnings(PGconn *conn)
{
  for (size_t i = 0; i < EARNINGS; i++) {
    char sql[256], type[64];
    (void)snprintf(sql, sizeof sql,
                   "SELECT format_type(atttypid,atttypmod) FROM pg_attribute "
                   "WHERE attrelid='user_earnings'::regclass AND attname='%s'",
                   earnings[i].name);
    pg_sql_text(conn, sql, type, sizeof type);
    assert_string_equal(type, earnings[i].type);
  }
  assert_int_equal(pg_sql_number(conn, "SELECT count(*) FROM pg_indexes WHERE "
                                       "schemaname=current_schema() AND ((indexname="
                                       "'idx_user_earnings_user_sync' AND indexdef LIKE "
                                       "'%(user_id, sync_status, last_update)') OR (indexname="
                                       "'idx_user_earnings_retry' AND indexdef LIKE "
                                       "'%(retry_count, last_sync_attempt) WHERE %failed%'))"),
                   2);
}

static void test_earnings_when_any_columns_are_missing_then_they_are_added(void **state)
{
  PGconn *conn = new_database();
  (void)state;
  for (unsigned has = 0; has < 1u << EARNINGS; has++) {
    char sql[640], place[32];
    int size = snprintf(sql, sizeof sql,
                        "CREATE TABLE user_earnings(id serial PRIMARY KEY,"
                        "user_id integer%s",
                        has % 3 == 0 ? "" : ",last_update timestamptz");
    for (unsigned i = 0; i < EARNINGS; i++)
      if ((has >> i & 1u) != 0)
        size += snprintf(sql + size, sizeof sql - (size_t)size, ",%s %s", earnings[i].name,
                         earnings[i].type);
    (void)snprintf(sql + size, sizeof sql - (size_t)size,
                   ");INSERT INTO user_earnings(user_id) VALUES(7),(NULL)");
    (void)snprintf(place, sizeof place, "earnings%u", has);
    new_place(conn, place);
    pg_sql(conn, sql);
    must_open(conn);
    check_earnings(conn);
    assert_int_equal(pg_sql_number(conn, "SELECT count(*) FROM user_earnings "
                                         "WHERE id IN (1,2) AND coalesce(user_id,7)=7"),
                     2);
    must_open(conn);
    if (has % 8 == 5)
      must_check(conn);
  }
  PQfinish(conn);
}

static void must_explain(PGconn *conn, const char *sql, const char *index)
{
  char text[128], plan[4096] = "";
  PGresult *result = PQexec(conn, sql);
  assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
  for (int i = 0; i < PQntuples(result); i++)
    (void)snprintf(plan + strlen(plan), sizeof plan - strlen(plan), "%s\n",
                   PQgetvalue(result, i, 0));
  PQclear(result);
  (void)snprintf(text, sizeof text, "using %s", index);
  if (strstr(plan, text) == NULL)
    fail_msg("%s is not used: %s", index, plan);
}

static void test_earnings_when_asked_as_documented_then_by_index(void **state)
{
  PGconn *conn = new_database();
  (void)state;
  must_open(conn);
  pg_sql(conn, "INSERT INTO user_earnings(partition,user_id,sync_status,retry_count,"
               "last_sync_attempt) SELECT i%8,i,CASE WHEN i%100=0 THEN 'failed' ELSE 'synced' END,"
               "i%7,now()-i*interval '1 second' FROM generate_series(1,20000) i");
  pg_sql(conn, "ANALYZE user_earnings");
  pg_sql(conn, "SET enable_bitmapscan=off"); /* its plan names the index in another place */
  must_explain(conn,
               "EXPLAIN SELECT * FROM user_earnings WHERE user_id=77 "
               "AND sync_status='synced' ORDER BY last_update",
               "idx_user_earnings_user_sync");
  must_explain(conn,
               "EXPLAIN SELECT * FROM user_earnings WHERE sync_status='failed' "
               "AND retry_count<5 ORDER BY retry_count,last_sync_attempt LIMIT 10",
               "idx_user_earnings_retry");
  PQfinish(conn);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_schema_when_fresh_then_made_and_the_check_is_content),
    cmocka_unit_test(test_schema_when_opened_again_then_nothing_changes),
    cmocka_unit_test(test_schema_when_a_checksum_was_changed_then_refused),
    cmocka_unit_test(test_schema_when_newer_then_refused),
    cmocka_unit_test(test_schema_when_older_then_refused_unless_it_may_migrate),
    cmocka_unit_test(test_schema_when_tables_are_foreign_then_refused_and_left_alone),
    cmocka_unit_test(test_check_when_something_is_missing_or_more_then_it_is_named),
    cmocka_unit_test(test_journal_when_changed_by_hand_then_the_database_refuses),
    cmocka_unit_test(test_migration_when_killed_at_any_command_then_nothing_of_it_is_there),
    cmocka_unit_test(test_migration_when_three_at_once_then_one_does_it_and_the_others_wait),
    cmocka_unit_test(test_earnings_when_any_columns_are_missing_then_they_are_added),
    cmocka_unit_test(test_earnings_when_asked_as_documented_then_by_index),
  };
  return cmocka_run_group_tests(tests, fixture_server_start, fixture_server_stop);
}
