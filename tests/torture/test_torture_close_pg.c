/* A session with PostgreSQL ends in each state in which it can be, in each way in which it can end:
 * its owner drops it or gives it up, the server's side goes, its time is up. Each talk that was
 * under way ends once, as lost; a session that was given up says nothing more; no descriptor stays
 * open, and one that was dropped comes back.
 * ctest: timeout=300 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>
#include <poll.h>

#include "adapters/store_postgres/pg_clock.h"
#include "adapters/store_postgres/pg_session.h"
#include "tests/support/cut_proxy.h"
#include "tests/support/store_fixture.h"

#define TALKS 3u
#define LONG_US 3600000000ull

struct asked {
  struct pg_talk talk; /* first */
  struct store_request *request;
  unsigned ended, lost;
};

struct scene {
  struct store_fixture *fixture; /* a database with the schema */
  struct cut_proxy *proxy;
  struct pg_session_config config;
  char dsn[PG_CLUSTER_DSN_SIZE];
  struct pg_session session;
  struct pg_database database;
  struct asked asked[TALKS];
  unsigned asked_count, closings;
};

static struct scene scene;

static void ended(void *arg, struct pg_session *session, struct pg_talk *talk, bool lost)
{
  struct asked *asked = (struct asked *)(void *)talk;
  (void)arg;
  assert_ptr_equal(session, &scene.session);
  asked->ended++;
  asked->lost += lost;
}

static void closing(struct pg_session *session)
{
  assert_ptr_equal(session, &scene.session);
  scene.closings++;
}

static unsigned descriptors(void)
{
  unsigned count = 0;
  DIR *folder = opendir("/proc/self/fd");
  assert_non_null(folder);
  while (readdir(folder) != NULL)
    count++;
  assert_int_equal(closedir(folder), 0);
  return count;
}

/* ---- states ---------------------------------------------------------------------------------- */

/* One wait for the socket, and a step. */
static void step(void)
{
  const unsigned wants = pg_session_wants(&scene.session);
  struct pollfd set = {.fd = pg_session_socket(&scene.session)};
  set.events =
    (short)((wants & PG_WANTS_READ ? POLLIN : 0) | (wants & PG_WANTS_WRITE ? POLLOUT : 0));
  assert_true(poll(&set, 1, 30000) > 0);
  pg_session_step(&scene.session, pg_clock_us());
}

static void step_until(enum pg_session_state state)
{
  while (scene.session.state != state) {
    assert_int_not_equal(scene.session.state, PG_SESSION_LOST);
    step();
  }
}

static void begin_off(void)
{
}

static void begin_connecting(void)
{
  pg_session_start(&scene.session, pg_clock_us());
}

/* The socket is open, and the server has said something. */
static void begin_greeting(void)
{
  begin_connecting();
  step();
  step();
  assert_int_equal(scene.session.state, PG_SESSION_CONNECTING);
}

static void begin_setting_up(void)
{
  begin_connecting();
  step_until(PG_SESSION_SETTING_UP);
}

static void begin_ready(void)
{
  begin_connecting();
  step_until(PG_SESSION_READY);
}

static void ask(void)
{
  struct asked *asked = &scene.asked[scene.asked_count++];
  asked->request = store_request_new(STORE_CATALOG);
  pg_talk_begin(&asked->talk, asked->request, &scene.database);
  pg_session_run(&scene.session, &asked->talk, pg_clock_us());
}

static void begin_asked(void)
{
  begin_ready();
  ask();
}

static void begin_pipelined(void)
{
  begin_ready();
  for (unsigned i = 0; i < TALKS; i++)
    ask();
}

static void begin_lost(void)
{
  begin_ready();
  pg_session_drop(&scene.session, pg_clock_us(), "for the test");
  assert_int_equal(scene.closings, 1);
}

static const struct state {
  const char *name;
  void (*begin)(void);
  uint8_t state; /* enum pg_session_state */
} states[] = {
  {"off", begin_off, PG_SESSION_OFF},
  {"connecting: TCP", begin_connecting, PG_SESSION_CONNECTING},
  {"connecting: the server speaks", begin_greeting, PG_SESSION_CONNECTING},
  {"setting up", begin_setting_up, PG_SESSION_SETTING_UP},
  {"ready", begin_ready, PG_SESSION_READY},
  {"ready: a talk is under way", begin_asked, PG_SESSION_READY},
  {"ready: several talks are under way", begin_pipelined, PG_SESSION_READY},
  {"lost", begin_lost, PG_SESSION_LOST},
};

/* ---- ways to end ----------------------------------------------------------------------------- */

static void check_talks(unsigned times)
{
  for (unsigned i = 0; i < scene.asked_count; i++) {
    assert_int_equal(scene.asked[i].ended, times);
    assert_int_equal(scene.asked[i].lost, times);
  }
}

/* What was lost comes back when it is due, and serves. */
static void check_comes_back(void)
{
  const uint64_t due_us = pg_session_due(&scene.session);
  assert_int_equal(scene.session.state, PG_SESSION_LOST);
  assert_true(due_us != UINT64_MAX);
  pg_session_tick(&scene.session, due_us - 1u);
  assert_int_equal(scene.session.state, PG_SESSION_LOST);
  pg_session_tick(&scene.session, due_us);
  step_until(PG_SESSION_READY);
  assert_true(pg_session_takes(&scene.session));
}

static void end_by_giving_up(const struct state *state)
{
  (void)state; /* nothing but what every end is */
}

static void end_by_dropping(const struct state *state)
{
  if (state->state == PG_SESSION_OFF)
    return; /* there is nothing to drop: it was never started */
  pg_session_drop(&scene.session, pg_clock_us(), "for the test");
  check_talks(1);
  check_comes_back();
  check_talks(1);
}

static void end_by_the_server(const struct state *state)
{
  cut_proxy_free(scene.proxy);
  scene.proxy = NULL;
  if (state->state == PG_SESSION_OFF)
    return;
  while (scene.session.state != PG_SESSION_LOST)
    step();
  check_talks(1);
  assert_int_equal(pg_session_socket(&scene.session), -1);
}

static void end_by_time(const struct state *state)
{
  const uint64_t due_us = pg_session_due(&scene.session);
  const bool waits =
    state->state != PG_SESSION_OFF && (state->state != PG_SESSION_READY || scene.asked_count > 0);
  assert_int_equal(due_us != UINT64_MAX, waits);
  if (!waits)
    return; /* no time is set */
  if (state->state == PG_SESSION_LOST) {
    check_comes_back();
    return;
  }
  pg_session_tick(&scene.session, due_us - 1u);
  assert_int_equal(scene.session.state, state->state);
  pg_session_tick(&scene.session, due_us);
  check_talks(1);
  check_comes_back();
}

/* ---- each of them ---------------------------------------------------------------------------- */

static void set_up(void)
{
  struct store_fixture *fixture = scene.fixture;
  scene =
    (struct scene){.fixture = fixture, .database = {.partition_bits = FIXTURE_PARTITION_BITS}};
  scene.proxy = cut_proxy_new(pg_cluster_port(fixture_server()));
  (void)snprintf(scene.dsn, sizeof scene.dsn, "host=127.0.0.1 port=%d dbname=%s user=holdfast",
                 cut_proxy_port(scene.proxy), fixture->database);
  scene.config = (struct pg_session_config){.dsn = scene.dsn,
                                            .application_name = "holdfast-test",
                                            .connect_timeout_us = LONG_US,
                                            .statement_timeout_us = LONG_US,
                                            .lock_timeout_us = LONG_US,
                                            .ended = ended,
                                            .closing = closing};
  pg_session_init(&scene.session, &scene.config, 1);
}

static void tear_down(void)
{
  const unsigned count = scene.asked_count;
  unsigned before[TALKS];
  for (unsigned i = 0; i < count; i++)
    before[i] = scene.asked[i].ended;
  pg_session_deinit(&scene.session);
  assert_int_equal(scene.asked_count, count);
  for (unsigned i = 0; i < count; i++) {
    struct asked *asked = &scene.asked[i];
    assert_int_equal(asked->ended, before[i]); /* not a word about them */
    if (asked->ended == 0 && asked->talk.ops->abandon != NULL)
      asked->talk.ops->abandon(&asked->talk);
    store_request_free(asked->request);
  }
  cut_proxy_free(scene.proxy);
}

static void in_each_state(void (*end)(const struct state *state))
{
  const unsigned before = descriptors();
  for (const struct state *state = states; state < states + sizeof states / sizeof states[0];
       state++) {
    print_message("%s\n", state->name);
    set_up();
    state->begin();
    assert_int_equal(scene.session.state, state->state);
    end(state);
    tear_down();
    assert_int_equal(descriptors(), before);
  }
}

#define TEST(name, way)                                                                            \
  static void name(void **state)                                                                   \
  {                                                                                                \
    (void)state;                                                                                   \
    in_each_state(way);                                                                            \
  }
TEST(test_session_when_given_up_in_any_state_then_nothing_is_said, end_by_giving_up)
TEST(test_session_when_dropped_in_any_state_then_talks_end_once_and_it_comes_back, end_by_dropping)
TEST(test_session_when_the_server_goes_in_any_state_then_talks_end_once, end_by_the_server)
TEST(test_session_when_its_time_is_up_in_any_state_then_talks_end_once, end_by_time)

static int start(void **state)
{
  (void)fixture_server_start(state);
  scene.fixture = rt_alloc(sizeof *scene.fixture);
  (void)fixture_engine_postgres(scene.fixture);
  return 0;
}

static int stop(void **state)
{
  fixture_engine_close(scene.fixture);
  rt_free(scene.fixture);
  return fixture_server_stop(state);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_session_when_given_up_in_any_state_then_nothing_is_said),
    cmocka_unit_test(test_session_when_dropped_in_any_state_then_talks_end_once_and_it_comes_back),
    cmocka_unit_test(test_session_when_the_server_goes_in_any_state_then_talks_end_once),
    cmocka_unit_test(test_session_when_its_time_is_up_in_any_state_then_talks_end_once),
  };
  return cmocka_run_group_tests(tests, start, stop);
}
