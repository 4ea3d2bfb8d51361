/* test_pg_names.c - a database that is named, not numbered: sessions find it, and no loop waits for
 * the resolver.
 * ctest: timeout=300 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/store_postgres/pg_names.h"
#include "tests/support/store_fixture.h"

#define NOWHERE "nowhere.invalid" /* RFC 6761: it never resolves */

static struct store_engine *open_port(const char *dsn, const char *replica_dsn)
{
  struct store_postgres_config config = fixture_postgres_config(dsn);

  config.replica_dsn = replica_dsn;
  config.connect_timeout_us = 60000000;
  return fixture_postgres_port(fixture_postgres_open(&config), &config, 1);
}

/* Commits and reads through a port. */
static void must_work(const char *dsn, const char *replica_dsn)
{
  struct store_engine *engine = open_port(dsn, replica_dsn);
  struct store_world world;
  struct world_user *user;
  struct store_request *request;

  world_init(&world, engine);
  user = world_user_add(&world, 0, NULL, NULL);
  for (unsigned i = 1; i <= 10; i++) {
    world_simple(&world, user, LEDGER_T_GRANT, 1, 5);
    world_must_commit(&world);
    request = store_request_new(STORE_LIST_ENTRIES);
    request->list_entries.user = user->row.id;
    request->list_entries.limit = request->list_entries.scan_max = 100;
    world_read(&world, request, STORE_OK);
    assert_int_equal(request->list_entries.entries_count, i);
    store_request_free(request);
  }
  world_deinit(&world);
  engine->ops->close(engine);
}

static void test_port_when_the_host_is_a_name_then_it_is_found(void **state)
{
  char name[32], dsn[PG_CLUSTER_DSN_SIZE];

  (void)state;
  fixture_database(name);
  (void)snprintf(dsn, sizeof dsn, "host=localhost port=%d dbname=%s user=holdfast",
                 pg_cluster_port(fixture_server()), name);
  must_work(dsn, NULL);
}

static void test_port_when_one_of_the_hosts_does_not_resolve_then_the_others_are_tried(void **state)
{
  char name[32], dsn[PG_CLUSTER_DSN_SIZE];

  (void)state;
  fixture_database(name);
  (void)snprintf(dsn, sizeof dsn, "postgres://holdfast@" NOWHERE ":1,localhost:%d,127.0.0.1:%d/%s",
                 pg_cluster_port(fixture_server()), pg_cluster_port(fixture_server()), name);
  must_work(dsn, NULL);
}

/* Its sessions try again and again; what the loop does for the primary goes on beside that. */
static void test_port_when_the_replicas_host_does_not_resolve_then_the_primary_answers(void **state)
{
  char name[32], dsn[PG_CLUSTER_DSN_SIZE];

  (void)state;
  fixture_database(name);
  pg_cluster_dsn(fixture_server(), name, dsn);
  must_work(dsn, "host=" NOWHERE " dbname=x");
}

/* ---- the lookup itself ----------------------------------------------------------------------- */

struct answer {
  unsigned count;
  bool found;
  struct pg_target target;
  char why[256];
};

static void on_done(void *arg, const struct pg_target *target, const char *why)
{
  struct answer *answer = arg;

  answer->count++;
  answer->found = target != NULL;
  if (target != NULL)
    answer->target = *target;
  (void)snprintf(answer->why, sizeof answer->why, "%s", why);
}

static unsigned turns;

static void on_turn(uv_timer_t *timer)
{
  (void)timer;
  turns++;
}

/* The loop turns while the resolver works, and is told once. */
static void resolve(const char *dsn, struct answer *ret_answer)
{
  uv_loop_t uv;
  uv_timer_t timer;
  struct pg_names *names;

  memset(ret_answer, 0, sizeof *ret_answer);
  turns = 0;
  assert_int_equal(uv_loop_init(&uv), 0);
  assert_int_equal(uv_timer_init(&uv, &timer), 0);
  assert_int_equal(uv_timer_start(&timer, on_turn, 0, 1), 0);
  names = pg_names_new(&uv, dsn, on_done, ret_answer);
  assert_non_null(names);
  pg_names_resolve(names);
  pg_names_resolve(names); /* joins the first */
  assert_int_equal(ret_answer->count, 0);
  while (ret_answer->count == 0)
    (void)uv_run(&uv, UV_RUN_ONCE);
  assert_true(turns > 0);
  assert_int_equal(ret_answer->count, 1);
  pg_names_resolve(names); /* and is ended in the middle of it */
  pg_names_free(names);
  assert_int_equal(ret_answer->count, 1);
  uv_close((uv_handle_t *)&timer, NULL);
  (void)uv_run(&uv, UV_RUN_DEFAULT);
  assert_int_equal(uv_loop_close(&uv), 0);
}

static void test_names_when_resolved_then_each_address_is_a_host_with_its_port(void **state)
{
  struct answer answer;

  (void)state;
  resolve("host=localhost port=17", &answer);
  assert_true(answer.found);
  assert_non_null(strstr(answer.target.addresses, "127.0.0.1"));
  assert_int_equal(strncmp(answer.target.hosts, "localhost", 9), 0);
  assert_int_equal(strncmp(answer.target.ports, "17", 2), 0);
  resolve("host=/tmp,localhost,::1,10.0.0.1 port=1,2,3,4", &answer);
  assert_true(answer.found);
  assert_int_equal(strncmp(answer.target.hosts, "/tmp,localhost", 14), 0);
  assert_int_equal(answer.target.addresses[0], ',');
  assert_non_null(strstr(answer.target.hosts, "localhost,::1,10.0.0.1"));
  assert_non_null(strstr(answer.target.ports, "2,3,4"));
}

static void test_names_when_none_resolves_then_it_is_said_which(void **state)
{
  struct answer answer;

  (void)state;
  resolve("host=" NOWHERE, &answer);
  assert_false(answer.found);
  assert_non_null(strstr(answer.why, NOWHERE));
}

static void test_names_when_there_are_only_addresses_then_nothing_is_looked_up(void **state)
{
  uv_loop_t uv;

  (void)state;
  assert_int_equal(uv_loop_init(&uv), 0);
  assert_null(pg_names_new(&uv, "host=127.0.0.1,::1 port=1,2", on_done, NULL));
  assert_null(pg_names_new(&uv, "host=/var/run/postgresql", on_done, NULL));
  assert_null(pg_names_new(&uv, "dbname=x", on_done, NULL));
  assert_null(pg_names_new(&uv, "host=db.example hostaddr=10.0.0.1", on_done, NULL));
  assert_null(pg_names_new(&uv, "not a dsn", on_done, NULL));
  assert_int_equal(uv_loop_close(&uv), 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_port_when_the_host_is_a_name_then_it_is_found),
    cmocka_unit_test(test_port_when_one_of_the_hosts_does_not_resolve_then_the_others_are_tried),
    cmocka_unit_test(test_port_when_the_replicas_host_does_not_resolve_then_the_primary_answers),
    cmocka_unit_test(test_names_when_resolved_then_each_address_is_a_host_with_its_port),
    cmocka_unit_test(test_names_when_none_resolves_then_it_is_said_which),
    cmocka_unit_test(test_names_when_there_are_only_addresses_then_nothing_is_looked_up),
  };
  return cmocka_run_group_tests(tests, fixture_server_start, fixture_server_stop);
}
