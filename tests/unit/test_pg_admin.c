/* Replay, repair, verify and the walks over PostgreSQL, whose rows are changed behind its back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/store_postgres/pg_engine.h"
#include "server/replay.h"
#include "server/verify.h"
#include "tests/support/pg_sql.h"
#include "tests/support/store_check.h"
#include "tests/support/store_fixture.h"

#define PARTITIONS (1u << FIXTURE_PARTITION_BITS)

static struct replay_difference last_difference;
static struct verify_finding last_finding;

static void on_difference(void *arg, const struct replay_difference *difference)
{
  (void)arg;
  last_difference = *difference;
}

static void on_finding(void *arg, const struct verify_finding *finding)
{
  (void)arg;
  last_finding = *finding;
}

static struct replay_report replayed(struct store_fixture *fixture, bool repair)
{
  struct replay_report report = {.found = on_difference};
  assert_int_equal(replay_run(fixture->engine, repair, &report), HF_OK);
  return report;
}

static struct verify_report verified(struct store_fixture *fixture)
{
  struct verify_report report = {.found = on_finding};
  assert_int_equal(verify_run(fixture->engine, &report), HF_OK);
  return report;
}

/* As somebody who may do everything. */
static void tamper(struct store_fixture *fixture, const char *sql)
{
  PGconn *conn = pg_engine_borrow(fixture->engine);
  pg_sql(conn, "SET session_replication_role=replica"); /* no triggers */
  pg_sql(conn, sql);
  pg_sql(conn, "SET session_replication_role=origin");
  pg_engine_return(fixture->engine);
}

static int64_t number(struct store_fixture *fixture, const char *sql)
{
  PGconn *conn = pg_engine_borrow(fixture->engine);
  int64_t value = pg_sql_number(conn, sql);
  pg_engine_return(fixture->engine);
  return value;
}

/* Two users, two assets, holds, a block, refusals, metadata, something backdated. */
static struct world_user *make_history(struct store_fixture *fixture)
{
  struct store_world *world = &fixture->world;
  struct world_user *ann = world_user_add(world, 0, "ann", NULL);
  struct world_user *bob = world_user_add(world, 1, "bob", "{}");
  world_name_add(world, ann);
  world_name_add(world, bob);
  world_must_commit(world);
  (void)world_simple(world, ann, LEDGER_T_GRANT, 1, 100);
  (void)world_simple(world, bob, LEDGER_T_DEPOSIT, 1, 50);
  (void)world_simple(world, bob, LEDGER_T_EARN, 2, 30);
  (void)world_simple(world, bob, LEDGER_T_SPEND, 2, 31);
  (void)world_simple(world, bob, LEDGER_T_SPEND, 2, 32);
  world_must_commit(world);
  struct world_unit *hold = world_simple(world, ann, LEDGER_T_HOLD, 1, 20);
  (void)world_simple(world, ann, LEDGER_T_HOLD, 1, 3);
  (void)world_simple(world, bob, LEDGER_T_BLOCK, 1, 7);
  world_must_commit(world);
  (void)world_ref(world, ann, LEDGER_T_VOID, world_op(hold), 0);
  struct ledger_command spend = world_command(world, LEDGER_T_SPEND, 1, 3);
  (void)world_stage_meta(world, bob, &spend, "{\"reason\":\"lunch\"}");
  (void)world_simple(world, ann, LEDGER_T_GRANT, 2, 9);
  world_must_commit(world);
  return ann;
}

static void project(struct store_fixture *fixture, uint32_t limit)
{
  for (uint32_t p = 0; p < PARTITIONS; p++)
    for (bool more = true; more;) {
      struct store_request *request = store_request_new(STORE_PROJECT);
      request->project.partition = p;
      request->project.limit = limit;
      world_read(&fixture->world, request, STORE_OK);
      more = request->project.more;
      store_request_free(request);
    }
}

static void test_checks_when_the_store_is_whole_then_nothing_is_found(void **state)
{
  struct store_fixture *fixture = *state;
  (void)make_history(fixture);
  struct replay_report report = replayed(fixture, false);
  assert_int_equal(report.differences, 0);
  assert_int_equal(report.entries, 9);
  assert_int_equal(report.total, 9);
  assert_int_equal(report.lagging, 9);
  project(fixture, 2);
  report = replayed(fixture, false);
  assert_int_equal(report.differences, 0);
  assert_int_equal(report.lagging, 0);
  struct verify_report chains = verified(fixture);
  assert_int_equal(chains.findings, 0);
  assert_int_equal(chains.entries, 9);
  assert_int_equal(chains.outcomes, 2);
  assert_int_equal(chains.metadata, 1);
  assert_int_equal(number(fixture, "SELECT count(*) FROM replay_runs WHERE entries=9"), 2);
}

static void test_replay_when_projections_are_wrong_then_found_and_repaired(void **state)
{
  static const struct {
    const char *damage;
    enum replay_table table;
  } cases[] = {
    {"UPDATE ledger_balances SET claimable=claimable+1 WHERE asset=2", REPLAY_BALANCES},
    {"DELETE FROM ledger_balances", REPLAY_BALANCES},
    {"INSERT INTO ledger_balances SELECT partition,user_id,9,version,-1,pending,claimable,held,"
     "claiming,170141183460469231731687303715884105727,quarantine,debt,claimed_total,spent_total "
     "FROM ledger_balances LIMIT 1",
     REPLAY_BALANCES},
    {"UPDATE ledger_balances SET held=1e38*9", REPLAY_BALANCES}, /* more than an amount can be */
    {"UPDATE system_totals SET sum=sum-1", REPLAY_TOTALS},
    {"DELETE FROM holds", REPLAY_HOLDS},
    {"UPDATE holds SET state=1 WHERE state=0", REPLAY_HOLDS},
    {"UPDATE blocks SET remaining='\\x80000000000000000000000000000001'", REPLAY_BLOCKS},
  };
  struct store_fixture *fixture = *state;
  struct world_user *ann = make_history(fixture);
  project(fixture, 100);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    tamper(fixture, cases[i].damage);
    struct replay_report report = replayed(fixture, false);
    assert_true(report.differences > 0 && report.damage == 0);
    assert_int_equal(last_difference.table, cases[i].table);
    report = replayed(fixture, true);
    assert_true(report.repaired);
    assert_int_equal(replayed(fixture, false).differences, 0);
  }
  assert_int_equal(number(fixture, "SELECT count(*) FROM replay_runs WHERE repaired"),
                   (int64_t)(sizeof cases / sizeof cases[0]));
  check_loaded(&fixture->world, ann);
}

static void test_repair_when_somebody_wrote_meanwhile_then_refused_and_nothing_changes(void **state)
{
  struct store_fixture *fixture = *state;
  (void)make_history(fixture);
  project(fixture, 100);
  uint64_t ends[PARTITIONS] = {0};
  const struct store_repair repair = {.ends = ends};
  assert_int_equal(store_admin_of(fixture->engine)->repair(fixture->engine, &repair),
                   HF_E_UNAVAILABLE);
  assert_int_equal(replayed(fixture, false).differences, 0);
}

static void test_verify_when_a_byte_was_changed_then_its_place_is_named(void **state)
{
  struct store_fixture *fixture = *state;
  (void)make_history(fixture);
  tamper(fixture, "UPDATE journal SET body=set_byte(body,20,get_byte(body,20)#1) "
                  "WHERE partition=1 AND seq=3");
  struct verify_report chains = verified(fixture);
  assert_int_equal(chains.findings, 1);
  assert_int_equal(last_finding.partition, 1);
  assert_int_equal(last_finding.seq, 3);
  tamper(fixture, "UPDATE journal SET body=set_byte(body,20,get_byte(body,20)#1) "
                  "WHERE partition=1 AND seq=3");
  assert_int_equal(verified(fixture).findings, 0);
  tamper(fixture, "UPDATE outcomes SET recorded_us=recorded_us+1 WHERE place=1");
  assert_int_equal(verified(fixture).findings, 1);
  assert_string_equal(last_finding.what, "the batch's hash does not follow from what is in it");
  tamper(fixture, "UPDATE outcomes SET recorded_us=recorded_us-1 WHERE place=1;"
                  "DELETE FROM outcomes WHERE place=0");
  assert_int_equal(verified(fixture).findings, 1);
  assert_string_equal(last_finding.what, "refusals of the batch are missing, or are too many");
}

struct counted {
  struct store_fixture *fixture;
  uint64_t rows;
  hf_id last;
};

static bool on_user(void *arg, const struct store_user_row *row)
{
  struct counted *counted = arg;
  assert_true(row->id > counted->last);
  counted->last = row->id;
  if (counted->rows++ % 1000 == 0) { /* the engine is free for other work */
    struct store_request *request = store_request_new(STORE_GET_USER);
    request->get_user.id = row->id;
    world_read(&counted->fixture->world, request, STORE_OK);
    store_request_free(request);
  }
  return counted->rows < 9500;
}

static void test_walk_when_longer_than_a_page_then_each_row_once_in_order(void **state)
{
  struct store_fixture *fixture = *state;
  struct counted counted = {.fixture = fixture};
  for (unsigned i = 0; i < 10000; i++)
    (void)world_user_add(&fixture->world, 3, NULL, NULL);
  world_must_commit(&fixture->world);
  const struct store_admin_ops *admin = store_admin_of(fixture->engine);
  assert_int_equal(admin->each_user(fixture->engine, 3, on_user, &counted), HF_OK);
  assert_int_equal(counted.rows, 9500);
  counted = (struct counted){.fixture = fixture};
  assert_int_equal(admin->each_user(fixture->engine, 2, on_user, &counted), HF_OK);
  assert_int_equal(counted.rows, 0);
}

static void test_selfcheck_when_a_trigger_is_gone_then_it_is_named(void **state)
{
  struct store_fixture *fixture = *state;
  const struct store_admin_ops *admin = store_admin_of(fixture->engine);
  char why[256] = "";
  assert_int_equal(admin->selfcheck(fixture->engine, why), HF_OK);
  assert_int_equal(admin->schema_known(), store_postgres_schema_known());
  tamper(fixture, "DROP TRIGGER batches_rows ON batches");
  assert_int_equal(admin->selfcheck(fixture->engine, why), HF_E_INTERNAL);
  assert_non_null(strstr(why, "trigger batches_rows of batches is missing"));
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, fixture_setup_postgres, fixture_teardown)
  const struct CMUnitTest tests[] = {
    T(test_checks_when_the_store_is_whole_then_nothing_is_found),
    T(test_replay_when_projections_are_wrong_then_found_and_repaired),
    T(test_repair_when_somebody_wrote_meanwhile_then_refused_and_nothing_changes),
    T(test_verify_when_a_byte_was_changed_then_its_place_is_named),
    T(test_walk_when_longer_than_a_page_then_each_row_once_in_order),
    T(test_selfcheck_when_a_trigger_is_gone_then_it_is_named),
  };
  return cmocka_run_group_tests(tests, fixture_server_start, fixture_server_stop);
}
