/* Every socket call of the sessions with PostgreSQL fails: a connection ends behind each message of
 * a session's traffic and in the middle of it, from its connecting on, in each direction, in order
 * and by a reset; and no descriptor is left for the n-th socket. Every request is answered, a
 * commit that was said to be done is there once and one that was said not to be is not, and the
 * sessions come back. A test run takes an even sample of the cuts, which HF_SEED moves;
 * HF_TORTURE=all, as `./dev torture` has it, takes each.
 * ctest: timeout=600 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/store_postgres/store_postgres.h"
#include "tests/support/cut_proxy.h"
#include "tests/support/port_engine.h"
#include "tests/support/shortage.h"
#include "tests/support/store_check.h"
#include "tests/support/store_fixture.h"

#define HOUR_US 3600000000u
#define SAMPLE 24u         /* cuts of a test run, in each direction, in order and by a reset */
#define MESSAGES_MAX 2048u /* of a session, in a direction */

struct scene {
  struct cut_proxy *proxy;
  char dsn[PG_CLUSTER_DSN_SIZE];
  struct store_world world; /* over the engine of the run at hand */
  struct world_user *user;
};

static struct scene scene;

/* ---- the port -------------------------------------------------------------------------------- */

/* The database is opened before anything fails; the port's own sessions connect afterwards. */
struct opened {
  struct store_postgres_config config;
  struct store_engine *engine;
};

static struct opened database_open(void)
{
  struct opened opened = {.config = fixture_postgres_config(scene.dsn)};
  char why[256] = "";
  opened.config.readers = 1;
  /* The end of a connection is seen, not waited for: a session that needed a limit would hang. */
  opened.config.connect_timeout_us = opened.config.statement_timeout_us = HOUR_US;
  if (store_postgres_open(&opened.config, &opened.engine, why) != HF_OK)
    fail_msg("the PostgreSQL store does not open: %s", why);
  return opened;
}

static void port_open(struct opened *opened)
{
  const struct port_engine_config port = {
    .port = store_postgres_port_new(opened->engine, &opened->config, 1),
    .partition_bits = FIXTURE_PARTITION_BITS,
    .loops = 1,
    .loop_begin = store_postgres_port_loop_begin,
    .loop_end = store_postgres_port_loop_end,
    .port_free = store_postgres_port_free};
  scene.world.engine = port_engine_new(&port);
}

static void port_close(void)
{
  scene.world.engine->ops->close(scene.world.engine);
  scene.world.engine = NULL;
}

/* ---- patience -------------------------------------------------------------------------------- */

/* Repeats a read until there is a connection for it; the caller frees the request. */
static struct store_request *read_patiently(struct store_request *(*make)(uint32_t), uint32_t arg)
{
  for (;;) {
    struct store_request *request = make(arg);
    scene.world.engine->ops->execute(scene.world.engine, request);
    if (request->status == STORE_OK)
      return request;
    assert_int_equal(request->status, STORE_UNAVAILABLE);
    store_request_free(request);
  }
}

static struct store_request *make_opening(uint32_t partition)
{
  struct store_request *request = store_request_new(STORE_OPEN_PARTITION);
  request->open_partition.partition = partition;
  return request;
}

static void take_over_patiently(void)
{
  for (uint32_t i = 0; i < 1u << FIXTURE_PARTITION_BITS; i++) {
    struct store_request *request = read_patiently(make_opening, i);
    const struct store_partition *at = &request->open_partition;
    scene.world.partitions[i] = (struct world_partition){.epoch = at->epoch,
                                                         .next_batch = at->next_batch,
                                                         .next_seq = at->next_seq,
                                                         .next_serial = at->next_user_serial,
                                                         .head = at->head};
    store_request_free(request);
  }
}

static struct store_request *make_load(uint32_t unused)
{
  struct store_request *request = store_request_new(STORE_LOAD_USER);
  (void)unused;
  request->load_user.id = scene.user->row.id;
  return request;
}

static void load_patiently(void)
{
  struct store_request *request = read_patiently(make_load, 0);
  const struct store_loaded_user *user = &request->load_user.out;
  assert_int_equal(user->entries_count, 1);
  assert_int_equal(user->entries[0].version, scene.user->history_count);
  check_entry(&user->entries[0], scene.user->history[scene.user->history_count - 1u]);
  store_request_free(request);
}

/* What is said to be not done is done anew; what is done counts once. */
static void commit_surely(unsigned type)
{
  for (;;) {
    struct world_mark mark = world_mark(scene.user);
    (void)world_simple(&scene.world, scene.user, (uint8_t)type, 1, 1);
    const enum store_status status = world_commit(&scene.world);
    if (status == STORE_OK) {
      ledger_user_deinit(&mark.state);
      return;
    }
    assert_int_equal(status, STORE_UNAVAILABLE);
    world_back(&mark);
    take_over_patiently();
  }
}

static void session(void)
{
  take_over_patiently();
  commit_surely(LEDGER_T_GRANT);
  load_patiently();
  commit_surely(LEDGER_T_SPEND);
  load_patiently();
}

/* ---- tests ----------------------------------------------------------------------------------- */

/* A database with a user that has something. */
static int set_up(bool proxy)
{
  const int server = pg_cluster_port(fixture_server());
  char name[32];
  scene = (struct scene){.proxy = proxy ? cut_proxy_new(server) : NULL};
  fixture_database(name);
  (void)snprintf(scene.dsn, sizeof scene.dsn, "host=127.0.0.1 port=%d dbname=%s user=holdfast",
                 proxy ? cut_proxy_port(scene.proxy) : server, name);
  struct opened opened = database_open();
  port_open(&opened);
  world_init(&scene.world, scene.world.engine);
  scene.user = world_user_add(&scene.world, 0, NULL, NULL);
  (void)world_simple(&scene.world, scene.user, LEDGER_T_GRANT, 1, 1000);
  world_must_commit(&scene.world);
  port_close();
  return 0;
}

static int set_up_proxy(void **state)
{
  (void)state;
  return set_up(true);
}

static int set_up_direct(void **state)
{
  (void)state;
  return set_up(false);
}

static int tear_down(void **state)
{
  (void)state;
  world_deinit(&scene.world);
  cut_proxy_free(scene.proxy);
  return 0;
}

/* Where a session is cut in a direction: before its first message, in the middle of each, and
 * behind it, as a session without a fault has them. */
static unsigned learn_cuts(enum cut_way way, long *cuts)
{
  static long ends[MESSAGES_MAX];
  struct opened opened = database_open();
  const long before = cut_proxy_passed(scene.proxy, way);
  cut_proxy_forget(scene.proxy);
  port_open(&opened);
  session();
  port_close();
  const unsigned count = cut_proxy_ends(scene.proxy, way, ends, MESSAGES_MAX);
  assert_in_range(count, 10, MESSAGES_MAX);
  unsigned used = 0;
  cuts[used++] = 0;
  for (unsigned i = 0; i < count; i++) {
    const long begin = i == 0 ? 0 : ends[i - 1u] - before, end = ends[i] - before;
    if (end - begin > 1)
      cuts[used++] = begin + (end - begin) / 2;
    cuts[used++] = end;
  }
  print_message("%u messages, %ld bytes\n", count, ends[count - 1u] - before);
  return used;
}

/* All of them, or an even sample, whose odd step takes middles and ends of messages in turn. */
static void each_cut(enum cut_way way, int reset)
{
  static long cuts[2u * MESSAGES_MAX + 1u];
  const char *seed = getenv("HF_SEED"), *which = getenv("HF_TORTURE");
  const unsigned count = learn_cuts(way, cuts);
  const bool all = which != NULL && strcmp(which, "all") == 0;
  const unsigned step = all || count < SAMPLE ? 1u : (count / SAMPLE) | 1u;
  unsigned tried = 0;
  for (unsigned i = (unsigned)(seed == NULL ? 1 : strtol(seed, NULL, 10)) % step; i < count;
       i += step, tried++) {
    struct opened opened = database_open();
    cut_proxy_limit(scene.proxy, way, cuts[i], reset);
    port_open(&opened);
    session();
    cut_proxy_limit(scene.proxy, way, -1, 0);
    port_close();
  }
  print_message("%u of %u cuts\n", tried, count);
}

static void test_session_when_cut_in_or_behind_a_message_to_the_server_then_all_is_answered(
  void **state)
{
  (void)state;
  each_cut(CUT_TO_SERVER, 0);
  each_cut(CUT_TO_SERVER, 1);
}

static void test_session_when_cut_in_or_behind_a_message_to_the_client_then_all_is_answered(
  void **state)
{
  (void)state;
  each_cut(CUT_TO_CLIENT, 0);
  each_cut(CUT_TO_CLIENT, 1);
}

/* The sessions wait for their next attempt meanwhile, and what is asked is refused. */
static void test_session_when_the_nth_socket_is_not_to_be_had_then_answered_and_back_later(
  void **state)
{
  (void)state;
  for (unsigned count = 0; count < 4; count++) {
    struct opened opened = database_open();
    struct shortage shortage;
    port_open(&opened);
    session();
    pg_cluster_stop(fixture_server(), PG_CLUSTER_FAST);
    pg_cluster_start(fixture_server());
    shortage_begin(&shortage, count);
    for (unsigned i = 0; i < 3; i++) {
      struct store_request *request = make_load(0);
      scene.world.engine->ops->execute(scene.world.engine, request);
      assert_true(request->status == STORE_OK || request->status == STORE_UNAVAILABLE);
      store_request_free(request);
    }
    shortage_end(&shortage);
    session();
    port_close();
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(
      test_session_when_cut_in_or_behind_a_message_to_the_server_then_all_is_answered, set_up_proxy,
      tear_down),
    cmocka_unit_test_setup_teardown(
      test_session_when_cut_in_or_behind_a_message_to_the_client_then_all_is_answered, set_up_proxy,
      tear_down),
    cmocka_unit_test_setup_teardown(
      test_session_when_the_nth_socket_is_not_to_be_had_then_answered_and_back_later, set_up_direct,
      tear_down),
  };
  return cmocka_run_group_tests(tests, fixture_server_start, fixture_server_stop);
}
