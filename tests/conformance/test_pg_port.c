/* test_pg_port.c - the PostgreSQL port on the loops: many requests at a time, a server that is
 * away, and an end with requests under way.
 * ctest: timeout=300 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/store_postgres/pg_engine.h"
#include "tests/support/cut_proxy.h"
#include "tests/support/port_engine.h"
#include "tests/support/store_fixture.h"

#define READS 500u

struct scene {
  struct store_world world;
  struct store_engine *engine; /* through the proxy */
  struct cut_proxy *proxy;
};

static struct store_engine *through_port(const char *dsn)
{
  struct store_postgres_config config = fixture_postgres_config(dsn);

  config.commits = 2;
  config.statement_timeout_us = 2000000;
  return fixture_postgres_port(fixture_postgres_open(&config), &config, 2);
}

static int setup(void **state)
{
  struct scene *scene = rt_alloc(sizeof *scene);
  char name[32], dsn[PG_CLUSTER_DSN_SIZE];

  *state = scene;
  fixture_database(name);
  scene->proxy = cut_proxy_new(pg_cluster_port(fixture_server()));
  (void)snprintf(dsn, sizeof dsn, "host=127.0.0.1 port=%d dbname=%s user=holdfast",
                 cut_proxy_port(scene->proxy), name);
  scene->engine = through_port(dsn);
  world_init(&scene->world, scene->engine);
  return 0;
}

static int teardown(void **state)
{
  struct scene *scene = *state;

  world_deinit(&scene->world);
  scene->engine->ops->close(scene->engine);
  cut_proxy_free(scene->proxy);
  rt_free(scene);
  return 0;
}

static struct store_request *load_of(const struct world_user *user)
{
  struct store_request *request = store_request_new(STORE_LOAD_USER);

  request->load_user.id = user->row.id;
  return request;
}

static void test_reads_when_hundreds_at_a_time_then_each_its_own_answer(void **state)
{
  struct scene *scene = *state;
  struct store_request *requests[READS];
  struct world_user *users[10];

  for (uint32_t i = 0; i < 10; i++) {
    users[i] = world_user_add(&scene->world, i % 4, NULL, NULL);
    world_simple(&scene->world, users[i], LEDGER_T_GRANT, 1, 1 + i);
  }
  world_must_commit(&scene->world);
  for (unsigned i = 0; i < READS; i++) {
    requests[i] = i % 50 == 49 ? store_request_new(STORE_PROJECT) : load_of(users[i % 10]);
    if (i % 50 == 49)
      requests[i]->project.limit = 10;
    port_engine_submit(scene->engine, i % 2, requests[i]);
  }
  for (unsigned i = 0; i < READS; i++) {
    port_engine_await(scene->engine, requests[i]);
    assert_int_equal(requests[i]->status, STORE_OK);
    if (requests[i]->kind == STORE_LOAD_USER) {
      assert_int_equal(requests[i]->load_user.out.row.id, users[i % 10]->row.id);
      assert_int_equal(requests[i]->load_user.out.entries_count, 1);
    }
    store_request_free(requests[i]);
  }
}

/* The second one follows the first, so it must not overtake it on another session. */
static void test_commits_when_of_one_partition_then_in_order_though_there_are_two_sessions(
  void **state)
{
  enum { COMMITS = 20 };
  struct scene *scene = *state;
  struct world_user *user = world_user_add(&scene->world, 0, NULL, NULL);
  struct store_request *requests[COMMITS];

  world_simple(&scene->world, user, LEDGER_T_GRANT, 1, 1000);
  world_must_commit(&scene->world);
  for (unsigned i = 0; i < COMMITS; i++) {
    world_simple(&scene->world, user, LEDGER_T_SPEND, 1, 1);
    requests[i] = world_commit_build(&scene->world);
    world_commit_assume(&scene->world, requests[i]);
  }
  for (unsigned i = 0; i < COMMITS; i++)
    port_engine_submit(scene->engine, 0, requests[i]);
  for (unsigned i = 0; i < COMMITS; i++) {
    port_engine_await(scene->engine, requests[i]);
    assert_int_equal(requests[i]->status, STORE_OK);
    assert_true(requests[i]->commit.leads);
    assert_true(requests[i]->commit.commit_us > 0);
    store_request_free(requests[i]);
  }
}

/* Whoever reads it must not think that something is wrong. */
static void test_commit_when_its_key_is_known_then_the_servers_log_says_what_that_means(
  void **state)
{
  struct scene *scene = *state;
  struct store_world *world = &scene->world;
  struct world_user *user = world_user_add(world, 0, NULL, NULL);
  struct ledger_command command = world_command(world, LEDGER_T_SPEND, 1, 10);
  struct world_unit *again;
  struct store_request *request;

  (void)world_stage(world, user, &command); /* refused for lack of funds, for ever */
  world_must_commit(world);
  world_simple(world, user, LEDGER_T_GRANT, 1, 100);
  world_must_commit(world);
  again = world_stage(world, user, &command);
  request = world_commit_build(world);
  scene->engine->ops->execute(scene->engine, request);
  assert_int_equal(request->status, STORE_HIT);
  store_op_free(again->unit.hit);
  store_request_free(request);
  assert_true(pg_cluster_logged(fixture_server(), "holdfast takes a commit back"));
  assert_false(pg_cluster_logged(fixture_server(), "division by zero"));
}

static enum store_status status_of(struct scene *scene, struct store_request *request)
{
  enum store_status status;

  scene->engine->ops->execute(scene->engine, request);
  status = (enum store_status)request->status;
  store_request_free(request);
  return status;
}

/* Each loop has its own sessions: all are back when every partition opens. */
static void take_over_patiently(struct scene *scene)
{
  for (uint32_t i = 0; i < 1u << FIXTURE_PARTITION_BITS; i++) {
    enum store_status status;

    do {
      struct store_request *request = store_request_new(STORE_OPEN_PARTITION);

      request->open_partition.partition = i;
      status = status_of(scene, request);
    } while (status == STORE_UNAVAILABLE);
    assert_int_equal(status, STORE_OK);
  }
  world_take_over(&scene->world);
}

static void test_requests_when_the_server_is_away_then_unavailable_and_well_again_later(
  void **state)
{
  struct scene *scene = *state;
  struct world_user *user = world_user_add(&scene->world, 0, NULL, NULL);
  struct world_mark mark;
  struct store_request *request;

  world_simple(&scene->world, user, LEDGER_T_GRANT, 1, 1000);
  world_must_commit(&scene->world);
  mark = world_mark(user);
  pg_cluster_stop(fixture_server(), PG_CLUSTER_FAST);
  world_simple(&scene->world, user, LEDGER_T_SPEND, 1, 1);
  request = world_commit_build(&scene->world);
  assert_int_equal(status_of(scene, request), STORE_UNAVAILABLE);
  assert_int_equal(status_of(scene, load_of(user)), STORE_UNAVAILABLE);
  pg_cluster_start(fixture_server());
  while (status_of(scene, load_of(user)) != STORE_OK)
    ; /* each waits for a connection */
  world_back(&mark);
  take_over_patiently(scene);
  mark = world_mark(user);
  world_simple(&scene->world, user, LEDGER_T_SPEND, 1, 1);
  while (world_commit(&scene->world) != STORE_OK) { /* its session may need another moment */
    world_back(&mark);
    mark = world_mark(user);
    world_simple(&scene->world, user, LEDGER_T_SPEND, 1, 1);
  }
  ledger_user_deinit(&mark.state);
}

/* What nobody waits for is freed by the port when its loop ends. */
static void test_end_when_requests_are_under_way_then_freed(void **state)
{
  struct scene *scene = *state;
  struct world_user *user = world_user_add(&scene->world, 0, NULL, NULL);

  world_must_commit(&scene->world);
  cut_proxy_arm(scene->proxy, CUT_SILENT);
  for (unsigned i = 0; i < 200; i++)
    port_engine_submit(scene->engine, 0, load_of(user));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_reads_when_hundreds_at_a_time_then_each_its_own_answer,
                                    setup, teardown),
    cmocka_unit_test_setup_teardown(
      test_commits_when_of_one_partition_then_in_order_though_there_are_two_sessions, setup,
      teardown),
    cmocka_unit_test_setup_teardown(
      test_commit_when_its_key_is_known_then_the_servers_log_says_what_that_means, setup, teardown),
    cmocka_unit_test_setup_teardown(
      test_requests_when_the_server_is_away_then_unavailable_and_well_again_later, setup, teardown),
    cmocka_unit_test_setup_teardown(test_end_when_requests_are_under_way_then_freed, setup,
                                    teardown),
  };
  return cmocka_run_group_tests(tests, fixture_server_start, fixture_server_stop);
}
