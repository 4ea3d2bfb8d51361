/* test_pg_doubt.c - connections and servers that end in the middle of a commit, for the engine and
 * for the port over a real server: the answer is right, and what is unknown is settled.
 *
 * A commit goes through a proxy that cuts it, or to a backend that is stopped; a second engine
 * looks at the database past the proxy.
 * ctest: timeout=300 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/store_postgres/pg_engine.h"
#include "tests/support/cut_proxy.h"
#include "tests/support/store_fixture.h"

#define UNITS 40u /* enough that half of a round has the batch and not the end */

struct scene {
  struct store_world world;    /* over `engine` */
  struct store_engine *engine; /* through the proxy */
  struct pg_engine *inner;     /* of the engine or of the port */
  struct store_engine *direct;
  struct cut_proxy *proxy;
  struct world_user *user;
  char database[32];
  PGconn *other; /* for locks; NULL: not connected */
};

/* ---- scene ----------------------------------------------------------------------------------- */

static struct store_engine *open_engine(const char *dsn)
{
  struct store_postgres_config config = fixture_postgres_config(dsn);

  config.statement_timeout_us = 1000000;
  config.lock_timeout_us = 200000;
  return fixture_postgres_open(&config);
}

static struct store_engine *through_port(struct store_engine *engine)
{
  struct store_postgres_config config = fixture_postgres_config("");

  return fixture_postgres_port(engine, &config, 1);
}

/* A user with funds, and one commit behind it, so that everything is prepared. */
static int setup(void **state, bool port)
{
  struct scene *scene = rt_alloc(sizeof *scene);
  char dsn[PG_CLUSTER_DSN_SIZE];

  *state = scene;
  fixture_database(scene->database);
  pg_cluster_dsn(fixture_server(), scene->database, dsn);
  scene->direct = open_engine(dsn);
  scene->proxy = cut_proxy_new(pg_cluster_port(fixture_server()));
  (void)snprintf(dsn, sizeof dsn, "host=127.0.0.1 port=%d dbname=%s user=holdfast",
                 cut_proxy_port(scene->proxy), scene->database);
  scene->engine = open_engine(dsn);
  scene->inner = (struct pg_engine *)scene->engine;
  if (port)
    scene->engine = through_port(scene->engine);
  world_init(&scene->world, scene->engine);
  scene->user = world_user_add(&scene->world, 0, NULL, NULL);
  world_simple(&scene->world, scene->user, LEDGER_T_GRANT, 1, 1000);
  world_must_commit(&scene->world);
  world_simple(&scene->world, scene->user, LEDGER_T_SPEND, 1, 1);
  world_must_commit(&scene->world);
  return 0;
}

static int setup_engine(void **state)
{
  return setup(state, false);
}

static int setup_port(void **state)
{
  return setup(state, true);
}

static int teardown(void **state)
{
  struct scene *scene = *state;

  PQfinish(scene->other);
  world_deinit(&scene->world);
  scene->engine->ops->close(scene->engine);
  scene->direct->ops->close(scene->direct);
  cut_proxy_free(scene->proxy);
  rt_free(scene);
  return 0;
}

/* The version of the user in the database. */
static uint64_t version_of(struct scene *scene)
{
  uint64_t version = 0;

  while (version == 0) { /* this session, too, may have to connect again */
    struct store_request *request = store_request_new(STORE_LOAD_USER);

    request->load_user.id = scene->user->row.id;
    scene->direct->ops->execute(scene->direct, request);
    if (request->status != STORE_UNAVAILABLE) {
      assert_int_equal(request->status, STORE_OK);
      version = request->load_user.out.entries[0].version;
    }
    store_request_free(request);
  }
  return version;
}

static struct store_request *stage(struct scene *scene)
{
  for (unsigned i = 0; i < UNITS; i++)
    world_simple(&scene->world, scene->user, LEDGER_T_SPEND, 1, 1);
  return world_commit_build(&scene->world);
}

static enum store_status execute(struct scene *scene, struct store_request *request)
{
  scene->engine->ops->execute(scene->engine, request);
  return (enum store_status)request->status;
}

/* Its sessions connect again after pauses of their own choice: until every partition opens. */
static void wait_until_back(struct scene *scene)
{
  for (uint32_t i = 0; i < 1u << FIXTURE_PARTITION_BITS; i++) {
    enum store_status status;

    do {
      struct store_request *request = store_request_new(STORE_OPEN_PARTITION);

      request->open_partition.partition = i;
      status = execute(scene, request);
      store_request_free(request);
      assert_true(status == STORE_OK || status == STORE_UNAVAILABLE);
    } while (status != STORE_OK);
  }
}

/* The store is well again: the same writer's next tenure commits. */
static void assert_goes_on(struct scene *scene, struct world_mark *mark)
{
  uint64_t version = version_of(scene);

  world_back(mark);
  wait_until_back(scene);
  world_take_over(&scene->world);
  if (version != mark->history_count)
    return; /* the model does not have what was committed */
  world_simple(&scene->world, scene->user, LEDGER_T_SPEND, 1, 1);
  world_must_commit(&scene->world);
  assert_int_equal(version_of(scene), version + 1);
}

/* ---- a commit in another thread -------------------------------------------------------------- */

struct running {
  struct scene *scene;
  struct store_request *request;
  pthread_t thread;
};

static void *running_main(void *arg)
{
  struct running *running = arg;

  (void)execute(running->scene, running->request);
  return NULL;
}

static void run(struct running *running, struct scene *scene, struct store_request *request)
{
  *running = (struct running){.scene = scene, .request = request};
  assert_int_equal(pthread_create(&running->thread, NULL, running_main, running), 0);
}

static void join(struct running *running)
{
  assert_int_equal(pthread_join(running->thread, NULL), 0);
}

/* ---- locks ----------------------------------------------------------------------------------- */

static void say(struct scene *scene, const char *sql)
{
  char dsn[PG_CLUSTER_DSN_SIZE];
  PGresult *result;

  if (scene->other == NULL) {
    pg_cluster_dsn(fixture_server(), scene->database, dsn);
    scene->other = PQconnectdb(dsn);
    assert_int_equal(PQstatus(scene->other), CONNECTION_OK);
  }
  result = PQexec(scene->other, sql);
  if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
    fail_msg("%s: %s", sql, PQerrorMessage(scene->other));
  PQclear(result);
}

/* The number that the query gives; 0: none. */
static int number_of(struct scene *scene, const char *sql)
{
  PGresult *result = PQexec(scene->other, sql);
  int found = 0;

  assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
  if (PQntuples(result) > 0)
    found = (int)strtol(PQgetvalue(result, 0, 0), NULL, 10);
  PQclear(result);
  return found;
}

/* The same, asked until there is one. */
static int wait_for(struct scene *scene, const char *sql)
{
  int found;

  while ((found = number_of(scene, sql)) == 0) {
  }
  return found;
}

/* The process of the backend that waits for a lock on the journal. */
static pid_t backend_that_waits(struct scene *scene)
{
  return (pid_t)wait_for(scene, "SELECT l.pid FROM pg_locks l JOIN pg_class c ON c.oid=l.relation "
                                "WHERE NOT l.granted AND c.relname='journal'");
}

/* ---- cuts ------------------------------------------------------------------------------------ */

static void commit_cut(void **state, enum cut cut, enum store_status expected, unsigned committed)
{
  struct scene *scene = *state;
  struct world_mark mark = world_mark(scene->user);
  struct store_request *request = stage(scene);

  cut_proxy_arm(scene->proxy, cut);
  assert_int_equal(execute(scene, request), expected);
  assert_int_equal(version_of(scene), 2 + committed);
  store_request_free(request);
  assert_goes_on(scene, &mark);
}

static void test_commit_when_it_never_arrives_then_unavailable(void **state)
{
  commit_cut(state, CUT_BEFORE, STORE_UNAVAILABLE, 0);
}

static void test_commit_when_only_its_answer_is_lost_then_ok(void **state)
{
  commit_cut(state, CUT_AFTER, STORE_OK, UNITS);
}

static void test_commit_when_half_arrives_then_unavailable(void **state)
{
  commit_cut(state, CUT_WITHIN, STORE_UNAVAILABLE, 0);
}

static void test_commit_when_nothing_passes_any_more_then_unavailable(void **state)
{
  commit_cut(state, CUT_SILENT, STORE_UNAVAILABLE, 0);
}

/* Only rows: the batch's hash is over nothing but its head, as the fence's is. */
static void test_commit_when_the_answer_about_rows_is_lost_then_ok(void **state)
{
  struct scene *scene = *state;
  struct store_request *request;
  struct world_user *second = world_user_add(&scene->world, 0, NULL, NULL);

  request = world_commit_build(&scene->world);
  cut_proxy_arm(scene->proxy, CUT_AFTER);
  assert_int_equal(execute(scene, request), STORE_OK);
  world_commit_done(&scene->world, request);
  store_request_free(request);
  world_simple(&scene->world, second, LEDGER_T_GRANT, 1, 1);
  world_must_commit(&scene->world);
}

static void test_commit_when_the_store_stays_away_then_unknown(void **state)
{
  struct scene *scene = *state;
  struct world_mark mark = world_mark(scene->user);
  struct store_request *request = stage(scene);

  scene->inner->resolve_max_us = 500000;
  cut_proxy_arm(scene->proxy, CUT_AFTER);
  cut_proxy_refuse(scene->proxy, 1);
  assert_int_equal(execute(scene, request), STORE_UNKNOWN);
  assert_int_equal(version_of(scene), 2 + UNITS);
  store_request_free(request);
  request = stage(scene);
  assert_int_equal(execute(scene, request), STORE_UNAVAILABLE); /* not sent, so no doubt */
  store_request_free(request);
  cut_proxy_refuse(scene->proxy, 0);
  assert_goes_on(scene, &mark);
}

static void test_commit_when_another_writer_came_meanwhile_then_fenced(void **state)
{
  struct scene *scene = *state;
  struct world_mark mark = world_mark(scene->user);
  struct store_request *request = stage(scene), *opening = store_request_new(STORE_OPEN_PARTITION);
  struct running running;

  cut_proxy_refuse(scene->proxy, 1);
  cut_proxy_arm(scene->proxy, CUT_BEFORE);
  run(&running, scene, request);
  scene->direct->ops->execute(scene->direct, opening);
  assert_int_equal(opening->status, STORE_OK);
  cut_proxy_refuse(scene->proxy, 0);
  join(&running);
  /* Which of the two came first is open; that the commit did not happen is not. */
  assert_true(request->status == STORE_FENCED || request->status == STORE_UNAVAILABLE);
  assert_int_equal(version_of(scene), 2);
  store_request_free(request);
  store_request_free(opening);
  assert_goes_on(scene, &mark);
}

/* ---- a server that lacks the newest commits -------------------------------------------------- */

#define NEWEST "(SELECT max(number) FROM batches WHERE partition=0)"

/* As after a failover to an asynchronous standby: the newest batch is gone. */
static void go_back(struct scene *scene)
{
  say(scene, "SET session_replication_role=replica");
  say(scene, "DELETE FROM journal j USING batches b WHERE b.partition=0 AND b.number=" NEWEST
             " AND j.partition=0 AND j.seq>=b.first_seq");
  say(scene, "DELETE FROM batches WHERE partition=0 AND number=" NEWEST);
}

static void commit_when_gone_back(void **state, bool taken_over)
{
  struct scene *scene = *state;
  struct store_request *request = stage(scene), *opening;
  struct running running;
  int newest;

  cut_proxy_refuse(scene->proxy, 1);
  cut_proxy_arm(scene->proxy, CUT_BEFORE);
  run(&running, scene, request);
  go_back(scene);
  if (taken_over) {
    opening = store_request_new(STORE_OPEN_PARTITION);
    scene->direct->ops->execute(scene->direct, opening);
    assert_int_equal(opening->status, STORE_OK);
    store_request_free(opening);
  }
  newest = number_of(scene, "SELECT " NEWEST);
  cut_proxy_refuse(scene->proxy, 0);
  join(&running);
  assert_int_equal(request->status, STORE_UNAVAILABLE);
  assert_int_equal(number_of(scene, "SELECT " NEWEST), newest);
  store_request_free(request);
  opening = store_request_new(STORE_OPEN_PARTITION);
  assert_int_equal(execute(scene, opening), STORE_OK);
  store_request_free(opening);
  /* Every batch follows the one before it. */
  assert_int_equal(number_of(scene, "SELECT count(*) FROM batches WHERE partition=0"), newest + 1);
  assert_int_equal(number_of(scene, "SELECT count(*) FROM batches b JOIN batches a "
                                    "ON a.partition=0 AND a.number=b.number-1 "
                                    "AND a.hash=b.previous WHERE b.partition=0"),
                   newest);
}

static void test_commit_when_the_database_has_gone_back_then_no_fence(void **state)
{
  commit_when_gone_back(state, false);
}

static void test_commit_when_it_went_back_and_another_writer_came_then_no_fence(void **state)
{
  commit_when_gone_back(state, true);
}

/* The number is the next one, and would be taken. */
static void commit_when_newest_has(void **state, const char *what)
{
  struct scene *scene = *state;
  struct store_request *request = stage(scene);
  char statement[256];

  snprintf(statement, sizeof statement,
           "UPDATE batches SET %s WHERE partition=0 AND number=" NEWEST, what);
  say(scene, "SET session_replication_role=replica");
  say(scene, statement);
  assert_int_equal(execute(scene, request), STORE_FENCED);
  assert_int_equal(version_of(scene), 2);
  store_request_free(request);
}

static void test_commit_when_the_newest_batch_is_another_one_then_fenced(void **state)
{
  commit_when_newest_has(state, "hash=previous");
}

static void test_commit_when_the_newest_batch_has_a_newer_epoch_then_fenced(void **state)
{
  commit_when_newest_has(state, "epoch=epoch+1");
}

/* ---- backends -------------------------------------------------------------------------------- */

static void test_commit_when_the_backend_is_ended_then_unavailable(void **state)
{
  struct scene *scene = *state;
  struct world_mark mark = world_mark(scene->user);
  struct store_request *request = stage(scene);
  struct running running;
  char sql[64];

  say(scene, "BEGIN;LOCK TABLE journal IN SHARE MODE");
  run(&running, scene, request);
  (void)snprintf(sql, sizeof sql, "SELECT pg_terminate_backend(%d)",
                 (int)backend_that_waits(scene));
  say(scene, sql);
  say(scene, "COMMIT");
  join(&running);
  assert_int_equal(request->status, STORE_UNAVAILABLE);
  assert_int_equal(version_of(scene), 2);
  store_request_free(request);
  assert_goes_on(scene, &mark);
}

/* It has the batch's row and is stopped: nobody can tell until it goes on. */
static void test_commit_when_the_backend_stands_still_then_unknown_until_it_goes_on(void **state)
{
  struct scene *scene = *state;
  struct world_mark mark = world_mark(scene->user);
  struct store_request *request = stage(scene);
  struct running running;
  pid_t backend;

  scene->inner->resolve_max_us = 1000000;
  say(scene, "BEGIN;LOCK TABLE journal IN SHARE MODE");
  run(&running, scene, request);
  backend = backend_that_waits(scene);
  pg_cluster_pause(fixture_server(), backend);
  say(scene, "COMMIT");
  join(&running);
  assert_int_equal(request->status, STORE_UNKNOWN);
  pg_cluster_resume(fixture_server(), backend);
  store_request_free(request);
  world_take_over(&scene->world); /* waits for it */
  assert_goes_on(scene, &mark);
}

static void test_commit_when_the_backend_goes_on_in_time_then_as_it_was(void **state)
{
  struct scene *scene = *state;
  struct world_mark mark = world_mark(scene->user);
  struct store_request *request = stage(scene);
  struct running running;
  pid_t backend;
  uint64_t version;

  say(scene, "BEGIN;LOCK TABLE journal IN SHARE MODE");
  run(&running, scene, request);
  backend = backend_that_waits(scene);
  pg_cluster_pause(fixture_server(), backend);
  say(scene, "COMMIT");
  /* The client gave up, connected again, and its fence waits for the transaction. */
  (void)wait_for(scene, "SELECT pid FROM pg_locks WHERE NOT granted AND locktype='transactionid'");
  pg_cluster_resume(fixture_server(), backend);
  join(&running);
  version = version_of(scene);
  assert_true(request->status == STORE_OK || request->status == STORE_UNAVAILABLE);
  assert_int_equal(version, request->status == STORE_OK ? 2 + UNITS : 2);
  store_request_free(request);
  assert_goes_on(scene, &mark);
}

static void test_commit_when_the_server_crashes_then_settled_when_it_is_back(void **state)
{
  struct scene *scene = *state;
  struct world_mark mark = world_mark(scene->user);
  struct store_request *request = stage(scene);
  struct running running;

  say(scene, "BEGIN;LOCK TABLE journal IN SHARE MODE");
  run(&running, scene, request);
  (void)backend_that_waits(scene);
  pg_cluster_restart(fixture_server(), PG_CLUSTER_IMMEDIATE);
  PQfinish(scene->other);
  scene->other = NULL;
  join(&running);
  assert_true(request->status == STORE_UNAVAILABLE || request->status == STORE_UNKNOWN);
  assert_int_equal(version_of(scene), 2);
  store_request_free(request);
  assert_goes_on(scene, &mark);
}

int main(void)
{
#define BOTH(test)                                                                                 \
  {"engine: " #test, test, setup_engine, teardown, NULL},                                          \
  {                                                                                                \
    "port: " #test, test, setup_port, teardown, NULL                                               \
  }
  const struct CMUnitTest tests[] = {
    BOTH(test_commit_when_it_never_arrives_then_unavailable),
    BOTH(test_commit_when_only_its_answer_is_lost_then_ok),
    BOTH(test_commit_when_half_arrives_then_unavailable),
    BOTH(test_commit_when_nothing_passes_any_more_then_unavailable),
    BOTH(test_commit_when_the_answer_about_rows_is_lost_then_ok),
    BOTH(test_commit_when_the_store_stays_away_then_unknown),
    BOTH(test_commit_when_another_writer_came_meanwhile_then_fenced),
    BOTH(test_commit_when_the_database_has_gone_back_then_no_fence),
    BOTH(test_commit_when_it_went_back_and_another_writer_came_then_no_fence),
    BOTH(test_commit_when_the_newest_batch_is_another_one_then_fenced),
    BOTH(test_commit_when_the_newest_batch_has_a_newer_epoch_then_fenced),
    BOTH(test_commit_when_the_backend_is_ended_then_unavailable),
    BOTH(test_commit_when_the_backend_stands_still_then_unknown_until_it_goes_on),
    BOTH(test_commit_when_the_backend_goes_on_in_time_then_as_it_was),
    BOTH(test_commit_when_the_server_crashes_then_settled_when_it_is_back),
  };
  return cmocka_run_group_tests(tests, fixture_server_start, fixture_server_stop);
}
