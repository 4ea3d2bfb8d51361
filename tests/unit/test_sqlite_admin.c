/* What the command line needs of the SQLite store: repairs, projections, walks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/store_sqlite/sqlite_engine.h"
#include "tests/support/store_check.h"
#include "tests/support/store_fixture.h"

static sqlite3 *look_inside(const struct store_fixture *fixture)
{
  char path[300];
  sqlite3 *handle = NULL;
  (void)snprintf(path, sizeof path, "%s/store.db", fixture->folder);
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

struct seen_balances {
  size_t count;
  struct store_balance_row row;
};

static bool see_balance(void *arg, const struct store_balance_row *row)
{
  struct seen_balances *seen = arg;
  seen->count++;
  seen->row = *row;
  return true;
}

struct seen_systems {
  size_t count;
  struct store_system_row rows[8];
};

static bool see_system(void *arg, const struct store_system_row *row)
{
  struct seen_systems *seen = arg;
  assert_true(seen->count < 8);
  seen->rows[seen->count++] = *row;
  return true;
}

static enum hf_error each_balance(struct store_fixture *fixture, struct seen_balances *seen)
{
  return store_admin_of(fixture->engine)
    ->each_balance(fixture->engine, 0, 1u << FIXTURE_PARTITION_BITS, see_balance, seen);
}

static enum hf_error each_system(struct store_fixture *fixture, struct seen_systems *seen)
{
  return store_admin_of(fixture->engine)
    ->each_system(fixture->engine, 0, 1u << FIXTURE_PARTITION_BITS, see_system, seen);
}

/* Says the journals' ends as they are. */
static enum hf_error repair_with(struct store_fixture *fixture, struct store_repair *repair)
{
  const struct store_admin_ops *admin = store_admin_of(fixture->engine);
  uint64_t ends[1u << FIXTURE_PARTITION_BITS];
  for (uint32_t p = 0; p < 1u << FIXTURE_PARTITION_BITS; p++) {
    struct store_batch newest;
    assert_int_equal(admin->newest_batch(fixture->engine, p, &newest), HF_OK);
    ends[p] = newest.number == 0 ? 0 : newest.first_seq + newest.entries_count - 1u;
  }
  repair->ends = ends;
  return admin->repair(fixture->engine, repair);
}

static void test_repair_when_amounts_are_extreme_then_they_come_back_exactly(void **state)
{
  struct store_fixture *fixture = *state;
  struct store_balance_row balance = {.user = 20, .asset = 3, .version = 7};
  struct store_system_row systems[2] = {
    {.partition = 0, .asset = 3, .account = LEDGER_ISSUANCE, .label = "", .sum = HF_AMOUNT_MIN},
    {.partition = 2, .asset = 3, .account = LEDGER_SPEND, .label = "p", .sum = HF_AMOUNT_MAX},
  };
  for (unsigned i = 0; i < LEDGER_BUCKET_COUNT; i++)
    balance.balance.bucket[i] = HF_AMOUNT_MAX - (hf_amount)i;
  balance.balance.claimed_total = ((hf_amount)1 << 64) + 1;
  balance.balance.spent_total = HF_AMOUNT_MAX;
  struct store_repair repair = {
    .balances = &balance, .balances_count = 1, .systems = systems, .systems_count = 2};
  assert_int_equal(repair_with(fixture, &repair), HF_OK);
  struct seen_balances seen = {.count = 0};
  assert_int_equal(each_balance(fixture, &seen), HF_OK);
  assert_int_equal(seen.count, 1);
  assert_int_equal(seen.row.user, 20);
  assert_int_equal(seen.row.version, 7);
  assert_memory_equal(&seen.row.balance, &balance.balance, sizeof(balance.balance));
  struct seen_systems totals = {.count = 0};
  assert_int_equal(each_system(fixture, &totals), HF_OK);
  assert_int_equal(totals.count, 2);
  for (size_t i = 0; i < 2; i++) {
    assert_true(totals.rows[i].sum == systems[i].sum);
    assert_int_equal(totals.rows[i].account, systems[i].account);
    assert_string_equal(totals.rows[i].label, systems[i].label);
  }
}

/* ---- projections and walks ------------------------------------------------------------------- */

static void project_all(struct store_fixture *fixture, uint32_t limit)
{
  for (uint32_t p = 0; p < 1u << FIXTURE_PARTITION_BITS; p++) {
    bool more = true;
    while (more) {
      struct store_request *request = store_request_new(STORE_PROJECT);
      request->project.partition = p;
      request->project.limit = limit;
      world_read(&fixture->world, request, STORE_OK);
      more = request->project.more;
      store_request_free(request);
    }
  }
}

static void test_project_when_done_in_steps_then_balances_and_system_totals_follow(void **state)
{
  struct store_fixture *fixture = *state;
  const struct world_user *user = some_ops(fixture);
  struct seen_balances seen = {.count = 0};
  struct seen_systems totals = {.count = 0};
  project_all(fixture, 1);
  project_all(fixture, 100); /* nothing is counted twice */
  assert_int_equal(each_balance(fixture, &seen), HF_OK);
  assert_int_equal(seen.count, 1);
  assert_int_equal(seen.row.version, user->state.version);
  assert_memory_equal(&seen.row.balance, &user->state.assets[0].balance, sizeof(seen.row.balance));
  assert_int_equal(each_system(fixture, &totals), HF_OK);
  hf_amount sum = ledger_total(&user->state.assets[0].balance);
  assert_int_equal(totals.count, 2);
  for (size_t i = 0; i < totals.count; i++) {
    assert_true(totals.rows[i].account == LEDGER_REWARDS ? totals.rows[i].sum == -1000
                                                         : totals.rows[i].sum == 300);
    sum += totals.rows[i].sum;
  }
  assert_true(sum == 0);
}

struct seen_rows {
  size_t users, batches, holds, blocks, outcomes;
  struct store_hold_row hold;
  struct store_block_row block;
};
static bool see_user(void *arg, const struct store_user_row *row)
{
  struct seen_rows *seen = arg;
  seen->users += row->external_id.size == strlen("someone");
  return true;
}
static bool see_batch(void *arg, const struct store_batch *batch)
{
  struct seen_rows *seen = arg;
  assert_int_equal(batch->number, ++seen->batches);
  return true;
}
static bool see_hold(void *arg, const struct store_hold_row *row)
{
  struct seen_rows *seen = arg;
  seen->holds++;
  seen->hold = *row;
  return true;
}
static bool see_block(void *arg, const struct store_block_row *row)
{
  struct seen_rows *seen = arg;
  seen->blocks++;
  seen->block = *row;
  return true;
}
static bool see_outcome(void *arg, const struct store_outcome *row)
{
  struct seen_rows *seen = arg;
  assert_int_equal(row->error, HF_E_INSUFFICIENT_FUNDS);
  assert_int_equal(row->batch, 1);
  seen->outcomes++;
  return true;
}

static void see_all(struct store_engine *engine, uint32_t partition, struct seen_rows *seen)
{
  *seen = (struct seen_rows){.users = 0};
  const struct store_admin_ops *admin = store_admin_of(engine);
  uint64_t cursor = 0;
  assert_int_equal(admin->each_user(engine, partition, see_user, seen), HF_OK);
  assert_int_equal(admin->each_batch(engine, partition, 1, INT64_MAX, see_batch, seen), HF_OK);
  assert_int_equal(admin->each_hold(engine, partition, see_hold, seen), HF_OK);
  assert_int_equal(admin->each_block(engine, partition, see_block, seen), HF_OK);
  assert_int_equal(admin->each_outcome(engine, partition, &cursor, INT64_MAX, see_outcome, seen),
                   HF_OK);
}

static void test_walks_when_rows_are_of_one_partition_then_only_there(void **state)
{
  struct store_fixture *fixture = *state;
  struct seen_rows seen;
  (void)some_ops(fixture);
  see_all(fixture->engine, 1, &seen);
  assert_int_equal(seen.users, 1);
  assert_int_equal(seen.batches, 1);
  assert_int_equal(seen.holds, 1);
  assert_int_equal(seen.blocks, 1);
  assert_int_equal(seen.outcomes, 1);
  see_all(fixture->engine, 2, &seen);
  assert_int_equal(seen.users + seen.batches + seen.holds + seen.blocks + seen.outcomes, 0);
}

static void test_repair_when_projections_are_wrong_then_they_are_the_callers_truth(void **state)
{
  struct store_fixture *fixture = *state;
  const struct world_user *user = some_ops(fixture);
  struct seen_rows seen;
  see_all(fixture->engine, 1, &seen);
  const struct store_balance_row balance = {.user = user->row.id,
                                            .asset = 1,
                                            .version = user->state.version,
                                            .balance = user->state.assets[0].balance};
  struct store_repair repair = {.balances = &balance,
                                .balances_count = 1,
                                .holds = &seen.hold,
                                .holds_count = 1,
                                .blocks = &seen.block,
                                .blocks_count = 1};
  assert_int_equal(run(fixture, "UPDATE holds SET open=0;DELETE FROM blocks"), SQLITE_OK);
  assert_int_equal(repair_with(fixture, &repair), HF_OK);
  check_loaded(&fixture->world, user);
  project_all(fixture, 100); /* the marks stand at the journal's end */
  struct seen_balances balances = {.count = 0};
  assert_int_equal(each_balance(fixture, &balances), HF_OK);
  assert_int_equal(balances.count, 1);
  const struct store_replay_run replay = {.started_us = 1, .ended_us = 2, .entries = 4};
  assert_int_equal(store_admin_of(fixture->engine)->replay_run(fixture->engine, &replay), HF_OK);
  assert_int_equal(integer(fixture, "SELECT sum(entries) FROM replay_runs"), 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup_sqlite, fixture_teardown)

int main(void)
{
  const struct CMUnitTest tests[] = {
    TEST(test_repair_when_amounts_are_extreme_then_they_come_back_exactly),
    TEST(test_project_when_done_in_steps_then_balances_and_system_totals_follow),
    TEST(test_walks_when_rows_are_of_one_partition_then_only_there),
    TEST(test_repair_when_projections_are_wrong_then_they_are_the_callers_truth),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
