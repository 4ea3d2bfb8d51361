/* test_sqlite_backdated.c - the table behind the effective axis: made and filled for a database of
 * the first schema, and read by its primary key alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/store/store_admin.h"
#include "adapters/store_sqlite/sqlite_engine.h"
#include "tests/support/store_fixture.h"

#define ENTRIES 20
#define ROWS_SUM                                                                                   \
  "SELECT sum(user*7+seq*11+effective_us+asset*13+source*17+target*19)+"                           \
  "sum(unicode(substr(hex(amount),-1))) FROM backdated"

static void path_of(const struct store_fixture *fixture, char path[300])
{
  (void)snprintf(path, 300, "%s/store.db", fixture->folder);
}

static void open_engine(struct store_fixture *fixture)
{
  char path[300], why[256] = "";
  const struct store_sqlite_config config = {.path = path,
                                             .partition_bits = FIXTURE_PARTITION_BITS,
                                             .readers = 1,
                                             .cache_bytes = 1u << 20,
                                             .migrate = true};
  path_of(fixture, path);
  if (store_sqlite_open(&config, &fixture->engine, why) != HF_OK)
    fail_msg("%s", why);
  fixture->world.engine = fixture->engine;
}

/* Another connection to the file, as a person at a prompt would have it. */
static sqlite3 *look_inside(const struct store_fixture *fixture)
{
  char path[300];
  sqlite3 *handle = NULL;
  path_of(fixture, path);
  assert_int_equal(sqlite3_open_v2(path, &handle, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
  return handle;
}

static int64_t integer(const struct store_fixture *fixture, const char *text)
{
  sqlite3 *handle = look_inside(fixture);
  sqlite3_stmt *statement = NULL;
  assert_int_equal(sqlite3_prepare_v2(handle, text, -1, &statement, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
  int64_t value = sqlite3_column_int64(statement, 0);
  assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
  assert_int_equal(sqlite3_close(handle), SQLITE_OK);
  return value;
}

/* Takes the database back to what the first schema made; one journal row may be spoilt. */
static void take_back(struct store_fixture *fixture, bool spoil)
{
  fixture->engine->ops->close(fixture->engine);
  fixture->engine = NULL;
  sqlite3 *handle = look_inside(fixture);
  assert_int_equal(sqlite3_exec(handle,
                                "DROP TABLE backdated;"
                                "DELETE FROM meta WHERE key='secret';"
                                "DELETE FROM schema_migrations WHERE version>=2;"
                                "PRAGMA user_version=1",
                                NULL, NULL, NULL),
                   SQLITE_OK);
  if (spoil)
    assert_int_equal(sqlite3_exec(handle,
                                  "DROP TRIGGER journal_3_update;"
                                  "UPDATE journal_3 SET body=x'00' WHERE seq=5",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
  assert_int_equal(sqlite3_close(handle), SQLITE_OK);
}

static void add_history(struct store_world *world)
{
  for (uint32_t partition = 0; partition < 4; partition++) {
    struct world_user *user = world_user_add(world, partition, NULL, NULL);
    for (int i = 0; i < ENTRIES; i++) {
      struct ledger_command command = world_command(world, LEDGER_T_GRANT, 1, 1 + i);
      if (i % 2 == 0)
        command.effective_us = world->now_us - 1000 * (i + 1);
      world_stage(world, user, &command);
    }
  }
  world_must_commit(world);
}

static void test_open_when_there_is_no_backdated_table_then_it_is_made_and_filled(void **state)
{
  struct store_fixture *fixture = *state;
  char why[256] = "";
  add_history(&fixture->world);
  const int64_t sum = integer(fixture, ROWS_SUM);
  assert_int_equal(integer(fixture, "SELECT count(*) FROM backdated"), 2 * ENTRIES);
  take_back(fixture, false);
  open_engine(fixture);
  assert_int_equal(integer(fixture, "PRAGMA user_version"), store_sqlite_schema_known());
  assert_int_equal(integer(fixture, "SELECT count(*) FROM backdated"), 2 * ENTRIES);
  assert_int_equal(integer(fixture, ROWS_SUM), sum);
  assert_int_equal(store_admin_of(fixture->engine)->selfcheck(fixture->engine, why), HF_OK);
}

static void test_open_when_the_journal_is_spoilt_then_nothing_of_the_migration_stays(void **state)
{
  struct store_fixture *fixture = *state;
  char path[300], why[256] = "";
  add_history(&fixture->world);
  take_back(fixture, true);
  path_of(fixture, path);
  const struct store_sqlite_config config = {
    .path = path, .readers = 1, .cache_bytes = 1u << 20, .migrate = true};
  assert_int_not_equal(store_sqlite_open(&config, &fixture->engine, why), HF_OK);
  assert_non_null(strstr(why, "undone"));
  assert_int_equal(integer(fixture, "PRAGMA user_version"), 1);
  assert_int_equal(
    integer(fixture, "SELECT count(*) FROM sqlite_schema WHERE tbl_name='backdated'"), 0);
  (void)fixture_engine_memory(fixture); /* the fixture wants an engine to close */
}

static void test_backdated_when_read_then_by_its_primary_key(void **state)
{
  static const char *const texts[] = {
#define X(name, text) [SQL_##name] = text,
    SQLITE_STATEMENTS(X)
#undef X
  };
  struct store_fixture *fixture = *state;
  sqlite3 *handle = look_inside(fixture);
  sqlite3_stmt *explain = NULL;
  char question[512];
  unsigned steps = 0;
  (void)snprintf(question, sizeof question, "EXPLAIN QUERY PLAN %s", texts[SQL_BACKDATED_AFTER]);
  assert_int_equal(sqlite3_prepare_v2(handle, question, -1, &explain, NULL), SQLITE_OK);
  while (sqlite3_step(explain) == SQLITE_ROW) {
    assert_string_equal((const char *)sqlite3_column_text(explain, 3),
                        "SEARCH backdated USING PRIMARY KEY (user=? AND seq>?)");
    steps++;
  }
  assert_int_equal(steps, 1);
  assert_int_equal(sqlite3_finalize(explain), SQLITE_OK);
  assert_int_equal(sqlite3_close(handle), SQLITE_OK);
}

#define TEST(name)                                                                                 \
  {                                                                                                \
#name, name, fixture_setup_sqlite, fixture_teardown, NULL                                      \
  }

int main(void)
{
  const struct CMUnitTest tests[] = {
    TEST(test_open_when_there_is_no_backdated_table_then_it_is_made_and_filled),
    TEST(test_open_when_the_journal_is_spoilt_then_nothing_of_the_migration_stays),
    TEST(test_backdated_when_read_then_by_its_primary_key),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
