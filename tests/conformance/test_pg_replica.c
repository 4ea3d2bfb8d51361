/* test_pg_replica.c - history from a real streaming replica: one that keeps up, one that lags, one
 * that was promoted and goes its own way, and one that is gone.
 *
 * Who answers is told by what is answered: while the replica's replay is paused, it lacks what was
 * committed since.
 * ctest: timeout=300 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/store_postgres/pg_engine.h"
#include "tests/support/cut_proxy.h"
#include "tests/support/store_fixture.h"

#define NODE 0x77u
#define GUARD_US 1500000u
#define TRIES 2000u /* of POLL_MS and a read or two: half a minute, for a machine under load */
#define POLL_MS 10

struct scene {
  struct pg_cluster *replica;
  struct cut_proxy *proxy; /* before the replica */
  struct store_engine *engine;
  struct store_world world;
  struct world_user *user;
  uint64_t entries; /* of the user, committed */
  char name[32];
};

static struct store_engine *open_port(const char *dsn, const char *replica_dsn)
{
  struct store_postgres_config config = fixture_postgres_config(dsn);

  config.replica_dsn = replica_dsn;
  config.replica_lag_us = GUARD_US;
  config.node = NODE;
  config.statement_timeout_us = 2000000;
  return fixture_postgres_port(fixture_postgres_open(&config), &config, 1);
}

static int setup(void **state)
{
  struct scene *scene = rt_alloc(sizeof *scene);
  char dsn[PG_CLUSTER_DSN_SIZE], replica[PG_CLUSTER_DSN_SIZE];

  *state = scene;
  fixture_database(scene->name);
  scene->replica = pg_cluster_standby(fixture_server());
  scene->proxy = cut_proxy_new(pg_cluster_port(scene->replica));
  pg_cluster_dsn(fixture_server(), scene->name, dsn);
  (void)snprintf(replica, sizeof replica, "host=127.0.0.1 port=%d dbname=%s user=holdfast",
                 cut_proxy_port(scene->proxy), scene->name);
  scene->engine = open_port(dsn, replica);
  world_init(&scene->world, scene->engine);
  scene->user = world_user_add(&scene->world, 0, NULL, NULL);
  return 0;
}

static int teardown(void **state)
{
  struct scene *scene = *state;

  world_deinit(&scene->world);
  scene->engine->ops->close(scene->engine);
  cut_proxy_free(scene->proxy);
  pg_cluster_free(scene->replica);
  rt_free(scene);
  return 0;
}

/* What the keeper of a node does all the time. */
static void beat(struct scene *scene)
{
  struct store_request *request = store_request_new(STORE_LEASE);

  request->lease.self = (struct store_node){.id = NODE, .takes = true, .address = "here:1"};
  request->lease.join = true;
  scene->engine->ops->execute(scene->engine, request);
  assert_int_equal(request->status, STORE_OK);
  store_request_free(request);
}

static void grant(struct scene *scene)
{
  world_simple(&scene->world, scene->user, LEDGER_T_GRANT, 1, 5);
  world_must_commit(&scene->world);
  scene->entries++;
}

/* How many entries the user's history has, for whoever answers. */
static uint64_t history(struct scene *scene, const struct world_user *user)
{
  struct store_request *request = store_request_new(STORE_LIST_ENTRIES);
  uint64_t count;

  request->list_entries.user = user->row.id;
  request->list_entries.limit = 500;
  request->list_entries.scan_max = 500;
  scene->engine->ops->execute(scene->engine, request);
  assert_int_equal(request->status, STORE_OK);
  assert_true(request->list_entries.user_found);
  count = request->list_entries.entries_count;
  store_request_free(request);
  return count;
}

static void on_replica(struct scene *scene, const char *sql, char *ret_text, size_t size)
{
  pg_cluster_sql(scene->replica, scene->name, sql, ret_text, size);
}

/* Until the replica has everything. */
static void catch_up(struct scene *scene)
{
  char sql[256], text[64] = "";

  (void)snprintf(sql, sizeof sql, "select count(*)=%llu from journal",
                 (unsigned long long)scene->entries);
  for (unsigned i = 0; i < TRIES; i++) {
    on_replica(scene, "select 1 from pg_class where relname='journal'", text, sizeof text);
    if (text[0] == '1')
      on_replica(scene, sql, text, sizeof text);
    if (text[0] == 't')
      return;
    (void)poll(NULL, 0, POLL_MS);
  }
  fail_msg("the replica does not catch up");
}

/* Pauses the replay and commits, until a read shows that the replica is asked. It lags then. */
static void lag_while_read(struct scene *scene)
{
  for (unsigned i = 0; i < TRIES / 10u; i++) {
    on_replica(scene, "select pg_wal_replay_resume()", NULL, 0);
    catch_up(scene);
    beat(scene);
    (void)poll(NULL, 0, POLL_MS);
    on_replica(scene, "select pg_wal_replay_pause()", NULL, 0);
    grant(scene);
    for (unsigned j = 0; j < 20; j++) {
      if (history(scene, scene->user) == scene->entries - 1)
        return;
      (void)poll(NULL, 0, POLL_MS);
    }
  }
  fail_msg("the replica is not read");
}

/* Until reads come from the primary; while beats go on, and for longer than the guard. */
static void primary_answers(struct scene *scene)
{
  unsigned tries = 0;

  for (; history(scene, scene->user) != scene->entries; tries++) {
    assert_true(tries < TRIES);
    beat(scene);
    (void)poll(NULL, 0, POLL_MS);
  }
  for (unsigned i = 0; i < 2u * GUARD_US / 1000u / POLL_MS; i++) {
    if (i % 10u == 0)
      beat(scene);
    assert_int_equal(history(scene, scene->user), scene->entries);
    (void)poll(NULL, 0, POLL_MS);
  }
}

static void test_history_when_the_replica_lags_then_the_primarys_until_it_has_caught_up(
  void **state)
{
  struct scene *scene = *state;

  grant(scene);
  lag_while_read(scene);
  primary_answers(scene);
  for (unsigned i = 0; i < 20; i++)
    grant(scene);
  primary_answers(scene);
  lag_while_read(scene); /* resumed and read again */
  on_replica(scene, "select pg_wal_replay_resume()", NULL, 0);
}

/* A user who was made a moment ago is not "not found". */
static void test_history_when_the_replica_lacks_the_user_then_the_primarys(void **state)
{
  struct scene *scene = *state;
  struct world_user *newcomer;

  grant(scene);
  lag_while_read(scene);
  newcomer = world_user_add(&scene->world, 1, NULL, NULL);
  world_simple(&scene->world, newcomer, LEDGER_T_GRANT, 1, 5);
  world_must_commit(&scene->world);
  assert_int_equal(history(scene, newcomer), 1);
  on_replica(scene, "select pg_wal_replay_resume()", NULL, 0);
}

/* From the moment on in which it takes writes: what it has from then on is another history. */
static void test_history_when_the_replica_was_promoted_then_never_its(void **state)
{
  struct scene *scene = *state;

  grant(scene);
  lag_while_read(scene);
  on_replica(scene, "select pg_promote(true, 60)", NULL, 0);
  for (unsigned i = 0; i < 200; i++) {
    grant(scene);
    beat(scene);
    assert_int_equal(history(scene, scene->user), scene->entries);
  }
  /* Nor when it pretends to have this node's newest heartbeat. */
  on_replica(scene, "update nodes set sent_us = 9000000000000", NULL, 0);
  primary_answers(scene);
}

static void test_history_when_the_replica_is_gone_then_the_primarys(void **state)
{
  struct scene *scene = *state;

  grant(scene);
  lag_while_read(scene);
  cut_proxy_refuse(scene->proxy, 1);
  for (unsigned i = 0; history(scene, scene->user) != scene->entries; i++) {
    assert_true(i < TRIES);
    cut_proxy_arm(scene->proxy, CUT_BEFORE); /* a read that is under way goes to the primary */
  }
  on_replica(scene, "select pg_wal_replay_resume()", NULL, 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(
      test_history_when_the_replica_lags_then_the_primarys_until_it_has_caught_up, setup, teardown),
    cmocka_unit_test_setup_teardown(test_history_when_the_replica_lacks_the_user_then_the_primarys,
                                    setup, teardown),
    cmocka_unit_test_setup_teardown(test_history_when_the_replica_was_promoted_then_never_its,
                                    setup, teardown),
    cmocka_unit_test_setup_teardown(test_history_when_the_replica_is_gone_then_the_primarys, setup,
                                    teardown),
  };
  return cmocka_run_group_tests(tests, fixture_server_start, fixture_server_stop);
}
