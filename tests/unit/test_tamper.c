/* Every value of every row that carries history, changed by a bit, on both stores: verify names the
 * batch or the entry, or replay the row. What they cannot know is listed, with the reason.
 * ctest: timeout=300 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "adapters/store_postgres/pg_engine.h"
#include "server/replay.h"
#include "server/verify.h"
#include "tests/support/pg_sql.h"
#include "tests/support/store_fixture.h"

#define TEXTS_MAX 96u
#define TEXT_SIZE 8192u

/* ---- asking a database ----------------------------------------------------------------------- */

struct texts { /* first columns of rows */
  char *at[TEXTS_MAX];
  size_t count;
};

static void texts_add(struct texts *texts, const char *text)
{
  size_t size = strlen(text) + 1u;
  assert_true(texts->count < TEXTS_MAX && size <= TEXT_SIZE);
  texts->at[texts->count++] = memcpy(rt_alloc(size), text, size);
}

static void texts_free(struct texts *texts)
{
  while (texts->count > 0)
    rt_free(texts->at[--texts->count]);
}

struct database {
  const char *columns; /* a statement with %s for the table: "name kind", for each column */
  const char *same;    /* a part of WHERE, with the column and its kind: names the value it has */
  const char *hex;     /* an expression with the column: its bytes */
  const char *flip;    /* the same of a number */
  const char *blob, *text; /* a literal of bytes in hex */
  bool (*run)(struct store_fixture *fixture, const char *sql, struct texts *ret_texts);
  unsigned every; /* how many bytes of a value are left out after one that is changed */
};

/* Without triggers, as somebody who may do everything. False: the database refuses. */
static bool run_sqlite(struct store_fixture *fixture, const char *sql, struct texts *ret_texts)
{
  char path[512];
  sqlite3 *database;
  sqlite3_stmt *statement = NULL;
  int code = SQLITE_OK;
  (void)snprintf(path, sizeof path, "%s/store.db", fixture->folder);
  assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
  while (*sql != '\0' && code == SQLITE_OK) {
    code = sqlite3_prepare_v2(database, sql, -1, &statement, &sql);
    if (code != SQLITE_OK || statement == NULL)
      break;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW)
      if (ret_texts != NULL)
        texts_add(ret_texts, (const char *)sqlite3_column_text(statement, 0));
    code = sqlite3_finalize(statement);
  }
  assert_int_equal(sqlite3_close(database), SQLITE_OK);
  return code == SQLITE_OK;
}

static bool run_postgres(struct store_fixture *fixture, const char *sql, struct texts *ret_texts)
{
  PGconn *connection = pg_engine_borrow(fixture->engine);
  pg_sql(connection, "SET session_replication_role=replica");
  PGresult *result = PQexec(connection, sql);
  bool ok = PQresultStatus(result) == PGRES_COMMAND_OK || PQresultStatus(result) == PGRES_TUPLES_OK;
  for (int i = 0; ok && ret_texts != NULL && i < PQntuples(result); i++)
    texts_add(ret_texts, PQgetvalue(result, i, 0));
  PQclear(result);
  pg_sql(connection, "SET session_replication_role=origin");
  pg_engine_return(fixture->engine);
  return ok;
}

static const struct database sqlite_database = {
  .columns = "SELECT name||' '||lower(type) FROM pragma_table_info('%s')",
  .same = "'%s IS '||quote(%s)",
  .hex = "CASE typeof(%s) WHEN 'integer' THEN 'number' WHEN 'null' THEN 'null' "
         "WHEN 'blob' THEN 'blob '||hex(%s) ELSE 'text '||hex(%s) END",
  .flip = "(%s|1)-(%s&1)",
  .blob = "x'%s'",
  .text = "CAST(x'%s' AS TEXT)",
  .run = run_sqlite,
  .every = 0,
};

static const struct database postgres_database = {
  .columns = "SELECT column_name||' '||data_type FROM information_schema.columns WHERE "
             "table_schema=current_schema() AND table_name='%s' AND is_generated='NEVER' "
             "ORDER BY ordinal_position",
  .same = "format('%s IS NOT DISTINCT FROM %%L',%s)",
  .hex = "CASE WHEN %s IS NULL THEN 'null' ELSE CASE pg_typeof(%s)::text WHEN 'bytea' THEN 'blob '"
         "||substr(%s::text,3) WHEN 'uuid' THEN 'uuid '||replace(%s::text,'-','') WHEN 'text' THEN "
         "'text '||encode(convert_to(%s::text,'UTF8'),'hex') WHEN 'boolean' THEN 'boolean' "
         "ELSE 'number' END END",
  .flip = "(%s::bigint#1)",
  .blob = "'\\x%s'",
  .text = "convert_from('\\x%s','UTF8')",
  .run = run_postgres,
  .every = 23,
};

/* ---- a history ------------------------------------------------------------------------------- */

static hf_id transfer(struct store_world *world, struct world_user *from, struct world_user *to,
                      hf_amount amount)
{
  struct ledger_command command = world_command(world, LEDGER_T_TRANSFER, 1, amount);
  command.counterparty = to->row.id;
  struct world_unit *unit = world_stage(world, from, &command);
  world_must_commit(world);
  return world_op(unit);
}

/* Ends a transfer: by the payee's credit, or by the payer's bounce. */
static void end_transfer(struct store_world *world, hf_id id, struct world_user *who,
                         const struct world_user *other, bool bounce, hf_amount amount)
{
  struct store_row row = {.table = STORE_T_TRANSFER, .action = STORE_UPDATE};
  struct ledger_command command =
    world_command(world, bounce ? LEDGER_T_BOUNCE : LEDGER_T_CREDIT, 1, amount);
  command.ref = id;
  command.counterparty = other->row.id;
  struct world_unit *unit = world_stage(world, who, &command);
  world_must_commit(world);
  row.transfer.id = id;
  row.transfer.state = bounce ? STORE_TRANSFER_BOUNCED : STORE_TRANSFER_CREDITED;
  row.transfer.credit = world_op(unit);
  (void)world_stage_rows(world, hf_id_partition(id, world->bits), &row, 1);
  world_must_commit(world);
}

/* Something of everything that is stored. */
static void make_history(struct store_fixture *fixture)
{
  struct store_world *world = &fixture->world;
  struct world_user *ann = world_user_add(world, 0, "ann", NULL);
  struct world_user *bob = world_user_add(world, 1, "bob", "{}");
  world_name_add(world, ann);
  world_name_add(world, bob);
  world_must_commit(world);
  (void)world_simple(world, ann, LEDGER_T_GRANT, 1, 100);
  (void)world_simple(world, bob, LEDGER_T_SPEND, 1, 31); /* refused */
  world_must_commit(world);
  struct world_unit *hold = world_simple(world, ann, LEDGER_T_HOLD, 1, 20);
  (void)world_simple(world, ann, LEDGER_T_HOLD, 1, 3);
  struct world_unit *spend = world_simple(world, ann, LEDGER_T_SPEND, 1, 12);
  struct world_unit *block = world_simple(world, ann, LEDGER_T_BLOCK, 1, 7);
  world_must_commit(world);
  (void)world_ref(world, ann, LEDGER_T_VOID, world_op(hold), 0);
  (void)world_ref(world, ann, LEDGER_T_UNBLOCK, world_op(block), 2);
  (void)world_stage_reverse(world, ann, world_op(spend), 5);
  struct ledger_command grant = world_command(world, LEDGER_T_GRANT, 2, 3);
  grant.effective_us = world->now_us - 1000000;
  (void)world_stage_meta(world, ann, &grant, "{\"why\":\"late\"}");
  world_must_commit(world);
  end_transfer(world, transfer(world, ann, bob, 10), bob, ann, false, 10);
  end_transfer(world, transfer(world, ann, bob, 11), ann, bob, true, 11);
  (void)transfer(world, ann, bob, 4); /* stays in transit */
  for (uint32_t p = 0; p < 1u << FIXTURE_PARTITION_BITS; p++) {
    struct store_request *request = store_request_new(STORE_PROJECT);
    request->project.partition = p;
    request->project.limit = 1000;
    world_read(world, request, STORE_OK);
    store_request_free(request);
  }
}

/* ---- changing everything --------------------------------------------------------------------- */

/* Where a change must be found. The place is an expression over the row, of three numbers; -1 and
 * 0: not compared. Of verify: partition, batch, entry. Of replay: partition, user, id. */
struct kind {
  const char *table;
  enum replay_table replayed; /* REPLAY_JOURNAL: verify has to find it */
  const char *keys;           /* columns that the place is made of */
  const char *place[2];       /* on SQLite, on PostgreSQL */
};

#define BOTH(place)                                                                                \
  {                                                                                                \
    place, place                                                                                   \
  }
#define OF_USER(more)                                                                              \
  {                                                                                                \
    "'-1 '||user||' '||" more, "'-1 '||user_id||' '||" more                                        \
  }

static const struct kind kinds[] = {
  {"journal", REPLAY_JOURNAL, "partition seq", BOTH("partition||' 0 '||seq")},
  {"journal_0", REPLAY_JOURNAL, "seq", BOTH("'0 0 '||seq")},
  {"journal_1", REPLAY_JOURNAL, "seq", BOTH("'1 0 '||seq")},
  {"batches", REPLAY_JOURNAL, "partition number", BOTH("partition||' '||number||' 0'")},
  {"outcomes", REPLAY_JOURNAL, "partition batch", BOTH("partition||' '||batch||' 0'")},
  {"entry_metadata", REPLAY_JOURNAL, "partition op", BOTH("(op&3)||' 0 '||(op>>2)")},
  {"backdated",
   REPLAY_BACKDATED,
   "partition user_id user seq",
   {"'-1 0 '||((seq<<2)|(user&3))", "'-1 0 '||((seq<<2)|partition)"}},
  {"user_index", REPLAY_INDEX, "user", OF_USER("0")},
  {"users",
   REPLAY_NAMES,
   "id",
   {"'-1 '||(((id&17592186044415)<<2)|(id>>44))||' 0'",
    "'-1 '||id||' 0'"}}, /* by partition there */
  {"names", REPLAY_NAMES, "user user_id", OF_USER("0")},
  {"holds", REPLAY_HOLDS, "id", OF_USER("id")},
  {"blocks", REPLAY_BLOCKS, "id", OF_USER("id")},
  {"transfers", REPLAY_TRANSFERS, "id", BOTH("'-1 0 '||id")},
  {"reversals", REPLAY_REVERSALS, "original", BOTH("'-1 0 '||original")},
  {"projection_marks", REPLAY_BALANCES, "", BOTH("partition||' 0 0'")},
};

/* What nothing else depends on, or what may change by itself. */
static const struct {
  const char *table, *column, *reason;
} unknown[] = {
  {"batches", "rows_count", "a figure for people"},
  {"outcomes", "id", "a number that orders them: what they say is in the batch's hash"},
  {"outcomes", "place", "likewise, within a batch"},
  {"names", "state", "a name that is reserved is one whose user is being made"},
  {"names", "request", "of create keys alone, whose bodies are not kept"},
  {"names", "created_us", "a figure for people"},
  {"names", "user_order", "follows from the user, for an index"},
  {"users", "kind", "state that changes, not history"},
  {"users", "status", "likewise"},
  {"users", "created_us", "a figure for people"},
  {"users", "profile", "likewise: it can be changed and erased"},
};

static bool is_known(const char *table, const char *column)
{
  for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
    if (strcmp(unknown[i].table, table) == 0 && strcmp(unknown[i].column, column) == 0)
      return false;
  return true;
}

/* A format that has the same text in all of its places. */
static void put(char out[TEXT_SIZE], const char *format, const char *text)
{
  size_t size = 0;
  for (; *format != '\0'; format++) {
    bool place = format[0] == '%' && format[1] == 's';
    const char *part = place ? text : format;
    size_t part_size = place ? strlen(text) : 1u;
    if (format[0] == '%' && format[1] == '%')
      format++;
    assert_true(size + part_size < TEXT_SIZE);
    memcpy(out + size, part, part_size);
    size += part_size;
    format += place;
  }
  out[size] = '\0';
}

static void append(char out[TEXT_SIZE], const char *text)
{
  size_t size = strlen(out), more = strlen(text) + 1u;
  assert_true(size + more <= TEXT_SIZE);
  memcpy(out + size, text, more);
}

struct tampering {
  struct store_fixture *fixture;
  const struct database *database;
  const struct kind *kind;
  const char *table;
  struct texts columns; /* names */
  size_t changes, refused;
  int64_t place[3];     /* of the row that is changed */
  bool moved;           /* by the change */
  size_t found, placed; /* findings; those of them in that place */
};

static bool must_run(struct tampering *tampering, const char *sql, struct texts *ret_texts)
{
  if (!tampering->database->run(tampering->fixture, sql, ret_texts))
    fail_msg("%s", sql);
  return true;
}

static void read_place(struct tampering *tampering, const char *where)
{
  static char sql[2u * TEXT_SIZE];
  struct texts place = {0};
  (void)snprintf(sql, sizeof sql, "SELECT %s FROM %s WHERE %s",
                 tampering->kind->place[tampering->database == &postgres_database],
                 tampering->table, where);
  (void)must_run(tampering, sql, &place);
  assert_int_equal(place.count, 1);
  char *at = place.at[0];
  for (size_t i = 0; i < 3; i++)
    tampering->place[i] = strtoll(at, &at, 10);
  texts_free(&place);
}

/* What a key was, or by its changed bit is now. */
static bool is_there(const struct tampering *tampering, size_t index, uint64_t found)
{
  int64_t place = tampering->place[index];
  return place == (index == 0 ? -1 : 0) || (uint64_t)place == found ||
         (tampering->moved && ((uint64_t)place ^ 1u) == found);
}

static void on_finding(void *arg, const struct verify_finding *finding)
{
  struct tampering *tampering = arg;
  bool behind = tampering->moved && finding->batch == 0; /* of what a batch that moved leaves */
  tampering->found++;
  if (tampering->kind->replayed == REPLAY_JOURNAL && is_there(tampering, 0, finding->partition) &&
      (behind || is_there(tampering, 1, finding->batch)) && is_there(tampering, 2, finding->seq))
    tampering->placed++;
}

static void on_replayed(void *arg, const struct replay_difference *difference)
{
  struct tampering *tampering = arg;
  tampering->found++;
  if (tampering->kind->replayed != difference->table)
    return;
  if (strcmp(difference->field, "a row cannot be read") == 0 ||
      (is_there(tampering, 0, difference->partition) && is_there(tampering, 1, difference->user) &&
       is_there(tampering, 2, difference->id)))
    tampering->placed++;
}

/* By verify, else by replay. */
static void look(struct tampering *tampering)
{
  struct verify_report chains = {.found = on_finding, .arg = tampering};
  struct replay_report report = {.found = on_replayed, .arg = tampering};
  tampering->found = tampering->placed = 0;
  assert_int_equal(verify_run(tampering->fixture->engine, &chains), HF_OK);
  if (tampering->found == 0)
    assert_int_equal(replay_run(tampering->fixture->engine, false, &report), HF_OK);
}

static bool is_word(const char *word, const char *words)
{
  size_t size = strlen(word);
  for (const char *at = words; (at = strstr(at, word)) != NULL; at += size)
    if ((at == words || at[-1] == ' ') && (at[size] == ' ' || at[size] == '\0'))
      return true;
  return false;
}

/* Sets a value, looks, and puts the table back. */
static void change(struct tampering *tampering, const char *column, const char *value,
                   const char *where)
{
  static char sql[3u * TEXT_SIZE];
  (void)snprintf(sql, sizeof sql, "UPDATE %s SET %s=%s WHERE %s", tampering->table, column, value,
                 where);
  if (!tampering->database->run(tampering->fixture, sql, NULL)) {
    tampering->refused++; /* a unique index */
    return;
  }
  tampering->changes++;
  tampering->moved = is_word(column, tampering->kind->keys);
  look(tampering);
  if (tampering->placed == 0)
    fail_msg("%s: %s", tampering->found == 0 ? "not found" : "found elsewhere only", sql);
  static char columns[TEXT_SIZE];
  columns[0] = '\0';
  for (size_t i = 0; i < tampering->columns.count; i++) {
    append(columns, i == 0 ? "" : ",");
    append(columns, tampering->columns.at[i]);
  }
  (void)snprintf(sql, sizeof sql, "DELETE FROM %s;INSERT INTO %s(%s) SELECT %s FROM before",
                 tampering->table, tampering->table, columns, columns);
  (void)must_run(tampering, sql, NULL);
}

/* One bit in bytes of the value, which is "kind hex". */
static void change_bytes(struct tampering *tampering, const char *column, char *value,
                         const char *where)
{
  const struct database *database = tampering->database;
  char literal[TEXT_SIZE];
  char *hex = strchr(value, ' ') + 1;
  bool is_blob = strncmp(value, "blob", 4) == 0, is_uuid = strncmp(value, "uuid", 4) == 0;
  size_t size = strlen(hex) / 2u;
  unsigned step = strncmp(tampering->table, "journal_", 8) == 0 ? 7u : 1u + database->every;
  for (size_t i = 0; i < size; i += step) {
    char *digit = &hex[2u * i + 1u], before = *digit;
    *digit = (char)("1032547698badcfe"[before <= '9' ? before - '0' : (before | 32) - 'a' + 10]);
    put(literal, is_uuid ? "'%s'" : is_blob ? database->blob : database->text, hex);
    change(tampering, column, literal, where);
    *digit = before;
  }
}

static void change_row(struct tampering *tampering, const char *where)
{
  const struct database *database = tampering->database;
  read_place(tampering, where);
  for (size_t i = 0; i < tampering->columns.count; i++) {
    const char *column = tampering->columns.at[i];
    char expression[TEXT_SIZE];
    static char sql[2u * TEXT_SIZE];
    struct texts value = {0};
    if (!is_known(tampering->table, column))
      continue;
    put(expression, database->hex, column);
    (void)snprintf(sql, sizeof sql, "SELECT %s FROM %s WHERE %s", expression, tampering->table,
                   where);
    (void)must_run(tampering, sql, &value);
    assert_int_equal(value.count, 1);
    if (strchr(value.at[0], ' ') != NULL) {
      change_bytes(tampering, column, value.at[0], where);
    } else if (strcmp(value.at[0], "null") != 0) {
      put(expression, strcmp(value.at[0], "boolean") == 0 ? "NOT %s" : database->flip, column);
      change(tampering, column, expression, where);
    }
    texts_free(&value);
  }
}

/* False: this store has no such table. */
static bool tampering_begin(struct tampering *tampering)
{
  const char *table = tampering->kind->table;
  char sql[TEXT_SIZE];
  struct texts columns = {0};
  tampering->table = table;
  put(sql, tampering->database->columns, table);
  (void)must_run(tampering, sql, &columns);
  for (size_t i = 0; i < columns.count; i++) {
    *strchr(columns.at[i], ' ') = '\0';
    texts_add(&tampering->columns, columns.at[i]);
  }
  texts_free(&columns);
  put(sql, "CREATE TABLE before AS SELECT * FROM %s", table);
  return tampering->columns.count > 0 && must_run(tampering, sql, NULL);
}

static void tamper_with(struct tampering *tampering)
{
  const char *table = tampering->kind->table;
  static char sql[TEXT_SIZE];
  struct texts rows = {0};
  if (!tampering_begin(tampering))
    return;
  (void)snprintf(sql, sizeof sql, "SELECT ");
  for (size_t i = 0; i < tampering->columns.count; i++) {
    char same[TEXT_SIZE];
    put(same, tampering->database->same, tampering->columns.at[i]);
    append(sql, i == 0 ? "" : "||' AND '||");
    append(sql, same);
  }
  append(sql, " FROM ");
  append(sql, table);
  (void)must_run(tampering, sql, &rows);
  assert_true(rows.count > 0); /* the history has something of everything */
  for (size_t i = 0; i < rows.count; i++)
    change_row(tampering, rows.at[i]);
  print_message("%s: %zu rows, %zu changes found, %zu refused by the database\n", table, rows.count,
                tampering->changes, tampering->refused);
  assert_true(tampering->changes > 0);
  texts_free(&rows);
  texts_free(&tampering->columns);
  (void)must_run(tampering, "DROP TABLE before", NULL);
}

static void tamper_with_all(struct store_fixture *fixture, const struct database *database)
{
  make_history(fixture);
  struct tampering untouched = {.fixture = fixture, .kind = &kinds[0]};
  look(&untouched);
  assert_int_equal(untouched.found, 0);
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
    struct tampering tampering = {.fixture = fixture, .database = database, .kind = &kinds[i]};
    tamper_with(&tampering);
  }
  look(&untouched);
  assert_int_equal(untouched.found, 0); /* it was the changes that were found */
}

/* ---- naming ---------------------------------------------------------------------------------- */

static void on_difference(void *arg, const struct replay_difference *difference)
{
  unsigned *seen = arg; /* bits, by table */
  *seen |= 1u << difference->table;
}

/* Each on top of those before: the table that was changed is one more that is named. */
static void name_all(struct store_fixture *fixture, const struct database *database)
{
  static const struct {
    const char *change;
    enum replay_table table;
  } cases[] = {
    {"UPDATE transfers SET state=2 WHERE state=1", REPLAY_TRANSFERS},
    {"DELETE FROM reversals", REPLAY_REVERSALS},
    {"UPDATE backdated SET effective_us=effective_us-1", REPLAY_BACKDATED},
    {"DELETE FROM names WHERE kind=1", REPLAY_NAMES},
    {"DELETE FROM holds WHERE state=0", REPLAY_HOLDS},
    {"UPDATE projection_marks SET seq=1000 WHERE partition=0", REPLAY_BALANCES},
    {"DELETE FROM user_index WHERE typeof(slot)='blob'", REPLAY_INDEX},
  };
  unsigned expected = 0;
  make_history(fixture);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    unsigned seen = 0;
    struct replay_report report = {.found = on_difference, .arg = &seen};
    if (cases[i].table == REPLAY_INDEX && database != &sqlite_database)
      continue; /* the journal is its own index there */
    assert_true(database->run(fixture, cases[i].change, NULL));
    expected |= 1u << cases[i].table;
    assert_int_equal(replay_run(fixture->engine, true, &report), HF_OK);
    assert_int_equal(seen, expected);
    assert_true(report.damage > 0);
    assert_false(report.repaired); /* of what is not all of it can be mended, nothing is */
  }
}

static void test_replay_when_rows_of_sqlite_were_changed_then_their_tables_are_named(void **state)
{
  assert_true(run_sqlite(*state, "DROP TRIGGER backdated_update", NULL));
  name_all(*state, &sqlite_database);
}

static void test_replay_when_rows_of_postgres_were_changed_then_their_tables_are_named(void **state)
{
  name_all(*state, &postgres_database);
}

static void test_checks_when_any_value_of_sqlite_was_changed_then_it_is_found(void **state)
{
  struct store_fixture *fixture = *state;
  struct texts triggers = {0};
  (void)run_sqlite(fixture, "SELECT 'DROP TRIGGER '||name FROM sqlite_master WHERE type='trigger'",
                   &triggers);
  for (size_t i = 0; i < triggers.count; i++)
    assert_true(run_sqlite(fixture, triggers.at[i], NULL));
  texts_free(&triggers);
  tamper_with_all(fixture, &sqlite_database);
}

static void test_checks_when_any_value_of_postgres_was_changed_then_it_is_found(void **state)
{
  tamper_with_all(*state, &postgres_database);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(
      test_replay_when_rows_of_sqlite_were_changed_then_their_tables_are_named,
      fixture_setup_sqlite, fixture_teardown),
    cmocka_unit_test_setup_teardown(
      test_replay_when_rows_of_postgres_were_changed_then_their_tables_are_named,
      fixture_setup_postgres, fixture_teardown),
    cmocka_unit_test_setup_teardown(
      test_checks_when_any_value_of_sqlite_was_changed_then_it_is_found, fixture_setup_sqlite,
      fixture_teardown),
    cmocka_unit_test_setup_teardown(
      test_checks_when_any_value_of_postgres_was_changed_then_it_is_found, fixture_setup_postgres,
      fixture_teardown),
  };
  return cmocka_run_group_tests(tests, fixture_server_start, fixture_server_stop);
}
