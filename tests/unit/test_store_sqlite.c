/* What only the SQLite store has: migrations, the lock, triggers, query plans, and
 * values at the ends of their ranges in its columns. The conformance suite has the rest. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/store_sqlite/sqlite_engine.h"
#include "adapters/store_sqlite/sqlite_schema.h"
#include "tests/support/store_check.h"
#include "tests/support/store_fixture.h"

static struct store_sqlite_config config_of(const struct store_fixture *fixture, char path[300])
{
  (void)snprintf(path, 300, "%s/store.db", fixture->folder);
  return (struct store_sqlite_config){
    .path = path,
    .partition_bits = FIXTURE_PARTITION_BITS,
    .readers = 1,
    .cache_bytes = 1u << 20,
    .migrate = true,
  };
}

static void close_engine(struct store_fixture *fixture)
{
  fixture->engine->ops->close(fixture->engine);
  fixture->engine = NULL;
}

static enum hf_error reopen(struct store_fixture *fixture, bool migrate, char why[256])
{
  char path[300];
  struct store_sqlite_config config = config_of(fixture, path);
  config.migrate = migrate;
  why[0] = '\0';
  enum hf_error error = store_sqlite_open(&config, &fixture->engine, why);
  if (error == HF_OK)
    fixture->world.engine = fixture->engine;
  return error;
}

static void reopen_surely(struct store_fixture *fixture)
{
  char why[256];
  assert_int_equal(reopen(fixture, true, why), HF_OK);
}

/* Another connection to the file, as a person at a prompt would have it. */
static sqlite3 *look_inside(const struct store_fixture *fixture)
{
  char path[300];
  sqlite3 *handle = NULL;
  (void)config_of(fixture, path);
  assert_int_equal(sqlite3_open_v2(path, &handle, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
  return handle;
}

static int run(const struct store_fixture *fixture, const char *text)
{
  sqlite3 *handle = look_inside(fixture);
  int code = sqlite3_exec(handle, text, NULL, NULL, NULL);
  assert_int_equal(sqlite3_close(handle), SQLITE_OK);
  return code;
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

/* A user with some ops; a refusal and metadata among them. */
static struct world_user *some_ops(struct store_fixture *fixture)
{
  struct store_world *world = &fixture->world;
  struct world_user *user = world_user_add(world, 1, "someone", NULL);
  struct ledger_command command = world_command(world, LEDGER_T_GRANT, 1, 1000);
  (void)world_stage_meta(world, user, &command, "{\"reason\":\"welcome\"}");
  (void)world_simple(world, user, LEDGER_T_SPEND, 1, 300);
  (void)world_simple(world, user, LEDGER_T_HOLD, 1, 50);
  (void)world_simple(world, user, LEDGER_T_BLOCK, 1, 20);
  struct world_unit *refused = world_simple(world, user, LEDGER_T_SPEND, 1, 99999);
  assert_int_equal(refused->error, HF_E_INSUFFICIENT_FUNDS);
  world_must_commit(world);
  return user;
}

/* ---- migrations ------------------------------------------------------------------------------ */

static void test_open_when_fresh_then_the_schema_is_recorded(void **state)
{
  struct store_fixture *fixture = *state;
  assert_int_equal(integer(fixture, "PRAGMA user_version"), store_sqlite_schema_known());
  assert_int_equal(integer(fixture, "PRAGMA application_id"), SQLITE_APPLICATION_ID);
  assert_int_equal(integer(fixture, "SELECT count(*) FROM schema_migrations"),
                   store_sqlite_schema_known());
  assert_int_equal(integer(fixture, "SELECT count(*) FROM schema_migrations WHERE "
                                    "length(checksum)<>32 OR applied_us<1700000000000000"),
                   0);
  assert_int_equal(integer(fixture, "SELECT value FROM meta WHERE key='partition_bits'"),
                   FIXTURE_PARTITION_BITS);
}

static void test_open_when_migrated_before_then_nothing_is_applied_again(void **state)
{
  struct store_fixture *fixture = *state;
  const struct world_user *user = some_ops(fixture);
  assert_int_equal(run(fixture, "UPDATE schema_migrations SET applied_us=7"), SQLITE_OK);
  close_engine(fixture);
  reopen_surely(fixture);
  assert_int_equal(integer(fixture, "SELECT max(applied_us) FROM schema_migrations"), 7);
  assert_int_equal(fixture->engine->partition_bits, FIXTURE_PARTITION_BITS);
  check_loaded(&fixture->world, user);
}

static void test_open_when_other_partition_bits_are_wished_then_those_of_the_file(void **state)
{
  struct store_fixture *fixture = *state;
  char path[300], why[256];
  struct store_sqlite_config config = config_of(fixture, path);
  close_engine(fixture);
  config.partition_bits = FIXTURE_PARTITION_BITS + 3;
  assert_int_equal(store_sqlite_open(&config, &fixture->engine, why), HF_OK);
  assert_int_equal(fixture->engine->partition_bits, FIXTURE_PARTITION_BITS);
}

static void test_open_when_a_checksum_differs_then_refused(void **state)
{
  struct store_fixture *fixture = *state;
  char why[256];
  close_engine(fixture);
  assert_int_equal(run(fixture, "UPDATE schema_migrations SET checksum=zeroblob(32)"), SQLITE_OK);
  assert_int_equal(reopen(fixture, true, why), HF_E_INTERNAL);
  assert_non_null(strstr(why, "checksum"));
  fixture->engine = NULL;
  assert_int_equal(run(fixture, "DELETE FROM schema_migrations"), SQLITE_OK);
  assert_int_equal(reopen(fixture, true, why), HF_E_INTERNAL);
  /* The fixture wants an engine to close. */
  (void)fixture_engine_memory(fixture);
}

static void test_secret_when_opened_again_then_the_same_and_of_this_database_alone(void **state)
{
  static const uint8_t none[STORE_SECRET_SIZE];
  struct store_fixture *fixture = *state;
  uint8_t first[STORE_SECRET_SIZE];
  char path[300], why[256];
  (void)config_of(fixture, path);
  memcpy(first, fixture->engine->secret, sizeof first);
  assert_memory_not_equal(first, none, sizeof first);
  close_engine(fixture);
  reopen_surely(fixture);
  assert_memory_equal(fixture->engine->secret, first, sizeof first);
  close_engine(fixture);
  assert_int_equal(remove(path), 0);
  reopen_surely(fixture);
  assert_memory_not_equal(fixture->engine->secret, first, sizeof first);
  close_engine(fixture);
  assert_int_equal(run(fixture, "UPDATE meta SET value=x'01' WHERE key='secret'"), SQLITE_OK);
  assert_int_equal(reopen(fixture, true, why), HF_E_INTERNAL);
  assert_non_null(strstr(why, "secret"));
  (void)fixture_engine_memory(fixture);
}

static void test_secret_when_the_database_is_older_then_it_gets_one_for_good(void **state)
{
  struct store_fixture *fixture = *state;
  uint8_t first[STORE_SECRET_SIZE];
  close_engine(fixture);
  assert_int_equal(run(fixture, "DELETE FROM meta WHERE key='secret';"
                                "DELETE FROM schema_migrations WHERE version>2;"
                                "PRAGMA user_version=2"),
                   SQLITE_OK);
  reopen_surely(fixture);
  memcpy(first, fixture->engine->secret, sizeof first);
  close_engine(fixture);
  reopen_surely(fixture);
  assert_memory_equal(fixture->engine->secret, first, sizeof first);
  assert_int_equal(integer(fixture, "SELECT length(value) FROM meta WHERE key='secret'"),
                   STORE_SECRET_SIZE);
}

static void test_open_when_the_schema_is_newer_then_refused(void **state)
{
  struct store_fixture *fixture = *state;
  char text[64], why[256];
  close_engine(fixture);
  (void)snprintf(text, sizeof(text), "PRAGMA user_version=%u", store_sqlite_schema_known() + 1u);
  assert_int_equal(run(fixture, text), SQLITE_OK);
  assert_int_equal(reopen(fixture, true, why), HF_E_INTERNAL);
  assert_non_null(strstr(why, "newer program"));
  (void)fixture_engine_memory(fixture);
}

static void test_open_when_the_schema_is_old_and_migrate_is_off_then_refused(void **state)
{
  struct store_fixture *fixture = *state;
  char path[300], why[256];
  struct store_sqlite_config config = config_of(fixture, path);
  close_engine(fixture);
  assert_int_equal(remove(path), 0);
  config.migrate = false;
  assert_int_equal(store_sqlite_open(&config, &fixture->engine, why), HF_E_INTERNAL);
  assert_non_null(strstr(why, "run migrate"));
  assert_int_equal(integer(fixture, "SELECT count(*) FROM sqlite_schema"), 0);
  (void)fixture_engine_memory(fixture);
}

static void test_open_when_the_file_is_not_ours_then_refused_and_untouched(void **state)
{
  struct store_fixture *fixture = *state;
  char path[300], why[256];
  (void)config_of(fixture, path);
  close_engine(fixture);
  assert_int_equal(remove(path), 0);
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fclose(file), 0);
  assert_int_equal(run(fixture, "CREATE TABLE recipes(name TEXT)"), SQLITE_OK);
  assert_int_equal(reopen(fixture, true, why), HF_E_INTERNAL);
  assert_non_null(strstr(why, "another program"));
  assert_int_equal(integer(fixture, "SELECT count(*) FROM sqlite_schema"), 1);
  (void)fixture_engine_memory(fixture);
}

/* ---- the lock -------------------------------------------------------------------------------- */

static void test_open_when_another_has_the_lock_then_refused_until_it_closes(void **state)
{
  struct store_fixture *fixture = *state;
  char path[300], why[256] = "";
  struct store_engine *second = NULL;
  struct store_sqlite_config config = config_of(fixture, path);
  assert_int_equal(store_sqlite_open(&config, &second, why), HF_E_UNAVAILABLE);
  assert_null(second);
  assert_non_null(strstr(why, "another process serves this data folder"));
  close_engine(fixture);
  reopen_surely(fixture);
}

static void test_open_when_read_only_then_beside_the_server_and_without_writing(void **state)
{
  struct store_fixture *fixture = *state;
  const struct world_user *user = some_ops(fixture);
  char path[300], why[256] = "";
  struct store_engine *second = NULL, *first = fixture->world.engine;
  struct store_sqlite_config config = config_of(fixture, path);
  config.read_only = true;
  assert_int_equal(store_sqlite_open(&config, &second, why), HF_OK);
  fixture->world.engine = second;
  check_loaded(&fixture->world, user);
  second->ops->close(second);
  fixture->world.engine = first;
  (void)world_simple(&fixture->world, fixture->world.users[0], LEDGER_T_GRANT, 1, 5);
  world_must_commit(&fixture->world);
}

/* ---- what the database itself refuses -------------------------------------------------------- */

static void test_ledger_tables_when_updated_or_deleted_then_the_database_refuses(void **state)
{
  static const char *const refused[] = {
    "UPDATE journal_1 SET version=9",
    "DELETE FROM journal_1",
    "UPDATE backdated SET effective_us=9",
    "DELETE FROM backdated",
    "UPDATE batches SET epoch=9",
    "DELETE FROM batches",
    "UPDATE outcomes SET type=9",
    "DELETE FROM outcomes",
    "DELETE FROM entry_metadata",
    "UPDATE entry_metadata SET json='{}'",
    "UPDATE entry_metadata SET op=op+1,salt=NULL,json=NULL",
    "UPDATE entry_metadata SET salt=NULL",
  };
  struct store_fixture *fixture = *state;
  struct world_user *user = some_ops(fixture);
  struct ledger_command command = world_command(&fixture->world, LEDGER_T_GRANT, 1, 1);
  command.effective_us = fixture->world.now_us - 1;
  (void)world_stage(&fixture->world, user, &command);
  world_must_commit(&fixture->world);
  for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
    if (run(fixture, refused[i]) != SQLITE_CONSTRAINT)
      fail_msg("not refused: %s", refused[i]);
  assert_int_equal(run(fixture, "UPDATE entry_metadata SET salt=NULL,json=NULL"), SQLITE_OK);
}

static void test_selfcheck_when_a_trigger_is_missing_then_it_is_said(void **state)
{
  struct store_fixture *fixture = *state;
  char why[256] = "";
  (void)some_ops(fixture);
  assert_int_equal(store_admin_of(fixture->engine)->selfcheck(fixture->engine, why), HF_OK);
  assert_int_equal(run(fixture, "DROP TRIGGER journal_3_delete"), SQLITE_OK);
  assert_int_equal(store_admin_of(fixture->engine)->selfcheck(fixture->engine, why), HF_E_INTERNAL);
  assert_non_null(strstr(why, "append-only"));
}

/* ---- query plans ----------------------------------------------------------------------------- */

/* Whether the plan of a statement looks at a whole table, or sorts. */
static bool plan_has(sqlite3 *handle, const char *text, const char *word)
{
  sqlite3_stmt *explain = NULL;
  char *question = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", text);
  bool found = false;
  assert_non_null(question);
  if (sqlite3_prepare_v2(handle, question, -1, &explain, NULL) != SQLITE_OK)
    fail_msg("%s: %s", text, sqlite3_errmsg(handle));
  while (sqlite3_step(explain) == SQLITE_ROW) {
    const char *detail = (const char *)sqlite3_column_text(explain, 3);
    found = found || strstr(detail, word) != NULL;
  }
  assert_int_equal(sqlite3_finalize(explain), SQLITE_OK);
  sqlite3_free(question);
  return found;
}

static void test_statements_when_explained_then_none_scans_or_sorts_but_the_whole_table_ones(
  void **state)
{
  static const struct {
    const char *name, *text;
  } statements[] = {
#define X(name, text) {#name, text},
    SQLITE_STATEMENTS(X)
#undef X
  };
  static const char *const scans[] = {
#define X(name) #name,
    SQLITE_SCANS(X)
#undef X
  };
  struct store_fixture *fixture = *state;
  sqlite3 *handle = look_inside(fixture);
  for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++) {
    bool whole = false;
    for (size_t j = 0; j < sizeof(scans) / sizeof(scans[0]); j++)
      whole = whole || strcmp(scans[j], statements[i].name) == 0;
    bool scan = plan_has(handle, statements[i].text, "SCAN");
    bool sort = plan_has(handle, statements[i].text, "TEMP B-TREE");
    if (scan != whole || sort)
      fail_msg("%s: scan %d, sort %d", statements[i].name, scan, sort);
  }
  assert_int_equal(sqlite3_close(handle), SQLITE_OK);
}

static void test_journal_statements_when_explained_then_none_scans(void **state)
{
  static const char *const texts[] = {
#define X(name, text) text,
    SQLITE_JOURNAL_STATEMENTS(X)
#undef X
  };
  struct store_fixture *fixture = *state;
  sqlite3 *handle = look_inside(fixture);
  for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
    char *text = sqlite3_mprintf(texts[i], 0u);
    assert_non_null(text);
    assert_false(plan_has(handle, text, "SCAN"));
    assert_false(plan_has(handle, text, "TEMP B-TREE"));
    sqlite3_free(text);
  }
  assert_int_equal(sqlite3_close(handle), SQLITE_OK);
}

/* ---- columns --------------------------------------------------------------------------------- */

static void test_amount_column_when_compared_as_bytes_then_sorts_as_the_number(void **state)
{
  static const int64_t small[] = {-70000, -256, -255, -2, -1, 0, 1, 2, 255, 256, 70000};
  hf_amount amounts[sizeof(small) / sizeof(small[0]) + 4];
  uint8_t previous[SQLITE_AMOUNT_SIZE], bytes[SQLITE_AMOUNT_SIZE];
  size_t count = 0;
  (void)state;
  amounts[count++] = HF_AMOUNT_MIN;
  amounts[count++] = HF_AMOUNT_MIN + 1;
  for (size_t i = 0; i < sizeof(small) / sizeof(small[0]); i++)
    amounts[count++] = small[i];
  amounts[count++] = HF_AMOUNT_MAX - 1;
  amounts[count++] = HF_AMOUNT_MAX;
  for (size_t i = 0; i < count; i++) {
    sqlite_amount_put(amounts[i], bytes);
    assert_true(i == 0 || memcmp(previous, bytes, sizeof(bytes)) < 0);
    memcpy(previous, bytes, sizeof(bytes));
  }
}

/* ---- reads beside commits -------------------------------------------------------------------- */

struct onlooker { /* a thread that reads one user while the test commits */
  struct store_fixture *fixture;
  hf_id user;
  atomic_bool stop;
  unsigned reads, wrong;
};

static void *look_on(void *arg)
{
  struct onlooker *onlooker = arg;
  uint64_t newest = 0;
  while (!atomic_load(&onlooker->stop)) {
    struct store_engine *engine = onlooker->fixture->engine;
    struct store_request *request = store_request_new(STORE_LOAD_USER);
    const struct store_loaded_user *out = &request->load_user.out;
    request->load_user.id = onlooker->user;
    engine->ops->execute(engine, request);
    /* Ops come in pairs, in one commit: 5 in, 2 out. */
    if (request->status != STORE_OK || out->entries_count != 1 ||
        out->entries[0].version < newest || out->entries[0].version % 2u != 0 ||
        out->entries[0].after.bucket[LEDGER_CLAIMABLE] != out->entries[0].version / 2u * 3u)
      onlooker->wrong++;
    if (out->entries_count > 0)
      newest = out->entries[0].version;
    onlooker->reads++;
    store_request_free(request);
  }
  return NULL;
}

static void test_reads_when_commits_and_checkpoints_go_on_then_each_sees_whole_commits(void **state)
{
  struct store_fixture *fixture = *state;
  struct store_world *world = &fixture->world;
  struct sqlite_engine *engine = (struct sqlite_engine *)(void *)fixture->engine;
  struct world_user *user = world_user_add(world, 1, NULL, NULL);
  struct onlooker onlookers[3];
  pthread_t threads[3];
  engine->checkpointer.wish_pages = 30;
  engine->checkpointer.rest_pages = 8;
  for (unsigned i = 0; i < 400; i++) {
    (void)world_simple(world, user, LEDGER_T_GRANT, 1, 5);
    (void)world_simple(world, user, LEDGER_T_SPEND, 1, 2);
    world_must_commit(world);
    for (unsigned t = 0; i == 0 && t < 3; t++) { /* more readers than connections */
      onlookers[t] = (struct onlooker){.fixture = fixture, .user = user->row.id};
      atomic_init(&onlookers[t].stop, false);
      assert_int_equal(pthread_create(&threads[t], NULL, look_on, &onlookers[t]), 0);
    }
  }
  for (unsigned t = 0; t < 3; t++) {
    atomic_store(&onlookers[t].stop, true);
    assert_int_equal(pthread_join(threads[t], NULL), 0);
    assert_int_equal(onlookers[t].wrong, 0);
    assert_true(onlookers[t].reads > 0);
  }
  check_loaded(world, user);
}

static void test_log_when_many_commits_then_it_starts_again(void **state)
{
  struct store_fixture *fixture = *state;
  struct store_world *world = &fixture->world;
  struct sqlite_engine *engine = (struct sqlite_engine *)(void *)fixture->engine;
  struct world_user *user = world_user_add(world, 1, NULL, NULL);
  unsigned largest = 0, restarts = 0, before = 0;
  engine->checkpointer.wish_pages = 100;
  engine->checkpointer.rest_pages = 20;
  /* Until the thread had its turn: it is asked at 100 pages, and nobody reads. */
  while (restarts < 3) {
    (void)world_simple(world, user, LEDGER_T_GRANT, 1, 1);
    world_must_commit(world);
    unsigned pages = engine->checkpointer.log_pages;
    restarts += pages < before;
    before = pages;
    largest = pages > largest ? pages : largest;
  }
  assert_true(largest >= 100);
}

/* ---- erasure --------------------------------------------------------------------------------- */

static bool file_has(const struct store_fixture *fixture, const char *text)
{
  static char content[4u << 20];
  char path[300];
  (void)config_of(fixture, path);
  FILE *file = fopen(path, "rb");
  assert_non_null(file);
  size_t size = fread(content, 1, sizeof(content), file);
  assert_int_equal(fclose(file), 0);
  assert_true(size > 0 && size < sizeof(content));
  return memmem(content, size, text, strlen(text)) != NULL;
}

static void test_erase_when_checkpointed_then_the_text_is_not_in_the_file(void **state)
{
  static const char text[] = "{\"reason\":\"welcome\"}";
  struct store_fixture *fixture = *state;
  const struct world_user *user = some_ops(fixture);
  struct store_row row = {.table = STORE_T_META, .action = STORE_ERASE};
  row.meta.op = user->history[0]->id;
  close_engine(fixture);
  assert_true(file_has(fixture, text));
  reopen_surely(fixture);
  world_take_over(&fixture->world);
  (void)world_stage_rows(&fixture->world, 1, &row, 1);
  world_must_commit(&fixture->world);
  close_engine(fixture);
  assert_false(file_has(fixture, text));
  reopen_surely(fixture);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup_sqlite, fixture_teardown)

int main(void)
{
  const struct CMUnitTest tests[] = {
    TEST(test_open_when_fresh_then_the_schema_is_recorded),
    TEST(test_open_when_migrated_before_then_nothing_is_applied_again),
    TEST(test_open_when_other_partition_bits_are_wished_then_those_of_the_file),
    TEST(test_open_when_a_checksum_differs_then_refused),
    TEST(test_secret_when_opened_again_then_the_same_and_of_this_database_alone),
    TEST(test_secret_when_the_database_is_older_then_it_gets_one_for_good),
    TEST(test_open_when_the_schema_is_newer_then_refused),
    TEST(test_open_when_the_schema_is_old_and_migrate_is_off_then_refused),
    TEST(test_open_when_the_file_is_not_ours_then_refused_and_untouched),
    TEST(test_open_when_another_has_the_lock_then_refused_until_it_closes),
    TEST(test_open_when_read_only_then_beside_the_server_and_without_writing),
    TEST(test_ledger_tables_when_updated_or_deleted_then_the_database_refuses),
    TEST(test_selfcheck_when_a_trigger_is_missing_then_it_is_said),
    TEST(test_statements_when_explained_then_none_scans_or_sorts_but_the_whole_table_ones),
    TEST(test_journal_statements_when_explained_then_none_scans),
    cmocka_unit_test(test_amount_column_when_compared_as_bytes_then_sorts_as_the_number),
    TEST(test_reads_when_commits_and_checkpoints_go_on_then_each_sees_whole_commits),
    TEST(test_log_when_many_commits_then_it_starts_again),
    TEST(test_erase_when_checkpointed_then_the_text_is_not_in_the_file),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
