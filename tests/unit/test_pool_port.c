/* test_pool_port.c - the port over a blocking engine: one answer each, groups, order, no room.
 *
 * Per-loop actors submit what the test gives them and count the answers. The engine is one that
 * writes down what it is asked, and can be made to wait in its first commit; the last test uses the
 * memory store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "actors/store/messages.h"
#include "adapters/store/pool_port.h"
#include "adapters/store_memory/store_memory.h"
#include "holdfast/check.h"
#include "holdfast/driver.h"

#define CALLS_MAX 64u
#define LOOPS_MAX 2u

enum { OP_SUBMIT = HF_MESSAGE_END };

/* An engine that records. */
struct recorder {
  struct store_engine engine; /* first */
  pthread_mutex_t lock;
  pthread_cond_t changed;
  bool held;         /* commit_many waits while it is set */
  unsigned entered;  /* commit_many calls so far */
  unsigned executed; /* execute calls */
  bool closed;
  struct {
    size_t count;
    struct store_request *requests[CALLS_MAX];
  } calls[CALLS_MAX];
};

struct scene {
  struct store_port *port;
  rt *runtime;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  unsigned answers, refused, wrong;
};
static struct scene *scene; /* of the running test: actors find it here */

/* ---- the recorder ---------------------------------------------------------------------------- */

static struct recorder *recorder_of(struct store_engine *engine)
{
  return (struct recorder *)(void *)engine;
}

static void recorder_execute(struct store_engine *engine, struct store_request *request)
{
  struct recorder *recorder = recorder_of(engine);

  pthread_mutex_lock(&recorder->lock);
  recorder->executed++;
  request->status = STORE_NOT_FOUND;
  pthread_mutex_unlock(&recorder->lock);
}

static void recorder_commit_many(struct store_engine *engine, struct store_request **requests,
                                 size_t count)
{
  struct recorder *recorder = recorder_of(engine);

  pthread_mutex_lock(&recorder->lock);
  CHECK(recorder->entered < CALLS_MAX && count <= CALLS_MAX);
  recorder->calls[recorder->entered].count = count;
  memcpy(recorder->calls[recorder->entered].requests, requests, count * sizeof(void *));
  recorder->entered++;
  pthread_cond_broadcast(&recorder->changed);
  while (recorder->held)
    pthread_cond_wait(&recorder->changed, &recorder->lock);
  for (size_t i = 0; i < count; i++)
    requests[i]->status = STORE_FENCED;
  pthread_mutex_unlock(&recorder->lock);
}

static void recorder_close(struct store_engine *engine)
{
  recorder_of(engine)->closed = true;
}

static void recorder_init(struct recorder *recorder, bool held)
{
  static const struct store_engine_ops ops = {.name = "recorder",
                                              .execute = recorder_execute,
                                              .commit_many = recorder_commit_many,
                                              .close = recorder_close};

  memset(recorder, 0, sizeof *recorder);
  recorder->engine = (struct store_engine){.ops = &ops, .partition_bits = 4};
  recorder->held = held;
  pthread_mutex_init(&recorder->lock, NULL);
  pthread_cond_init(&recorder->changed, NULL);
}

static void recorder_await(struct recorder *recorder, unsigned entered)
{
  pthread_mutex_lock(&recorder->lock);
  while (recorder->entered < entered)
    pthread_cond_wait(&recorder->changed, &recorder->lock);
  pthread_mutex_unlock(&recorder->lock);
}

static void recorder_release(struct recorder *recorder)
{
  pthread_mutex_lock(&recorder->lock);
  recorder->held = false;
  pthread_cond_broadcast(&recorder->changed);
  pthread_mutex_unlock(&recorder->lock);
}

/* ---- the actor ------------------------------------------------------------------------------- */

static void scene_count(unsigned *counter)
{
  pthread_mutex_lock(&scene->lock);
  (*counter)++;
  pthread_cond_broadcast(&scene->changed);
  pthread_mutex_unlock(&scene->lock);
}

static rt_status asker_handle(rt_ctx *ctx, void *state, const rt_env *env)
{
  struct store_request *request = env->payload.p.ptr; /* of both kinds of message */

  (void)state;
  if (env->op == HF_STORE_ANSWER) {
    if (request->port != NULL || request->owner != scene)
      scene_count(&scene->wrong);
    request->owner = NULL; /* a second answer would be wrong */
    scene_count(&scene->answers);
    return RT_OK;
  }
  if (env->op != OP_SUBMIT)
    return RT_OK; /* the runtime is stopping */
  request->owner = scene;
  if (scene->port->submit(scene->port, ctx, request) != RT_OK) {
    if (request->port != NULL)
      scene_count(&scene->wrong);
    scene_count(&scene->refused);
  }
  return RT_OK;
}

static const rt_class asker_class = {.name = "asker",
                                     .kind = HF_KIND_STORE,
                                     .flags = RT_CLASS_PER_LOOP,
                                     .state_bytes = 8,
                                     .handle = asker_handle};

static void scene_init(struct scene *made, struct store_engine *engine)
{
  memset(made, 0, sizeof *made);
  made->port = pool_port_new(engine, 1);
  pthread_mutex_init(&made->lock, NULL);
  pthread_cond_init(&made->changed, NULL);
  scene = made;
}

static void scene_start(struct rt_driver *driver, unsigned loops, unsigned write_queue_max)
{
  static const rt_class *const classes[] = {&asker_class, NULL};
  struct rt_pool_config pools[HF_POOL_COUNT] = {
    [HF_POOL_WRITE] = {.name = "write", .threads = 1, .queue_max = write_queue_max},
    [HF_POOL_READ] = {.name = "read", .threads = 2, .queue_max = 4096}};
  struct rt_config config = {.loops = loops,
                             .shards = 16,
                             .classes = classes,
                             .pools = pools,
                             .pools_count = HF_POOL_COUNT,
                             .live_actors_max = 16};

  scene->runtime = rt_start(driver, &config);
  assert_non_null(scene->runtime);
}

static void scene_submit(unsigned loop, struct store_request *request)
{
  while (rt_post(scene->runtime, hf_loop_actor(HF_KIND_STORE, loop), OP_SUBMIT, &request,
                 sizeof request) != RT_OK) {
  }
}

/* Waits until `answers` came and `refused` found no room. */
static void scene_await(unsigned answers, unsigned refused)
{
  pthread_mutex_lock(&scene->lock);
  while (scene->answers < answers || scene->refused < refused)
    pthread_cond_wait(&scene->changed, &scene->lock);
  pthread_mutex_unlock(&scene->lock);
}

static void scene_stop(void)
{
  rt_stop(scene->runtime, 5000000);
  assert_true(rt_join(scene->runtime));
  pool_port_free(scene->port);
  assert_int_equal(scene->wrong, 0);
}

static struct store_request *commit_of(uint32_t first, uint32_t second)
{
  struct store_request *request = store_request_new(STORE_COMMIT);

  request->commit.batches_count = first == second ? 1 : 2;
  request->commit.batches = hf_arena_alloc(&request->arena, 2 * sizeof *request->commit.batches);
  request->commit.batches[0].partition = first;
  request->commit.batches[1].partition = second;
  return request;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void test_submit_when_simulated_then_each_is_executed_and_answered_once(void **state)
{
  struct driver_sim_config config = {.seed = 7, .start_wall_us = 1, .job_delay_us_max = 500};
  struct rt_driver *driver = driver_sim_new(&config);
  struct store_request *requests[12];
  struct recorder recorder;
  struct scene made;
  bool joined;

  (void)state;
  recorder_init(&recorder, false);
  scene_init(&made, &recorder.engine);
  scene_start(driver, 1, 64);
  for (unsigned i = 0; i < 12; i++) {
    static const enum store_kind kinds[] = {STORE_OPEN_PARTITION, STORE_PROJECT, STORE_LOAD_USER};

    requests[i] = i % 4 == 3 ? commit_of(1, 1) : store_request_new(kinds[i % 4]);
    scene_submit(0, requests[i]);
  }
  while (scene->answers < 12)
    assert_true(driver_sim_step(driver, UINT64_MAX));
  assert_int_equal(recorder.executed, 9);
  assert_int_equal(recorder.entered, 3); /* jobs run inline, so commits come one by one */
  for (unsigned i = 0; i < 3; i++) {
    assert_int_equal(recorder.calls[i].count, 1);
    assert_ptr_equal(recorder.calls[i].requests[0], requests[4 * i + 3]);
  }
  for (unsigned i = 0; i < 12; i++) {
    assert_int_equal(requests[i]->status, i % 4 == 3 ? STORE_FENCED : STORE_NOT_FOUND);
    store_request_free(requests[i]);
  }
  rt_stop(scene->runtime, 1000000);
  while (driver_sim_step(driver, UINT64_MAX)) {
  }
  joined = rt_join(scene->runtime);
  assert_true(joined);
  assert_false(recorder.closed);
  pool_port_free(scene->port);
  assert_true(recorder.closed);
  driver_sim_free(driver);
}

/* While the first commit is in the engine, eight more arrive. */
static void test_submit_when_the_writer_is_busy_then_the_waiting_go_in_groups_in_order(void **state)
{
  static const uint32_t partitions[8][2] = {{0, 0}, {1, 1}, {2, 3}, {0, 0},
                                            {3, 4}, {4, 4}, {0, 0}, {5, 5}};
  static const unsigned groups[4][4] = {{0, 1, 2, 7}, {3, 4}, {5, 6}, {0}};
  static const size_t sizes[3] = {4, 2, 2};
  struct rt_driver *driver = driver_uv_new();
  struct store_request *first = commit_of(0, 0), *requests[8];
  struct recorder recorder;
  struct scene made;

  (void)state;
  recorder_init(&recorder, true);
  scene_init(&made, &recorder.engine);
  scene_start(driver, 1, 64);
  scene_submit(0, first);
  recorder_await(&recorder, 1);
  for (unsigned i = 0; i < 8; i++) {
    requests[i] = commit_of(partitions[i][0], partitions[i][1]);
    scene_submit(0, requests[i]);
  }
  /* A read behind them: when it is answered, all eight were submitted. */
  struct store_request *read = store_request_new(STORE_CATALOG);
  scene_submit(0, read);
  scene_await(1, 0);
  recorder_release(&recorder);
  scene_await(10, 0);
  assert_int_equal(recorder.calls[0].count, 1);
  assert_ptr_equal(recorder.calls[0].requests[0], first);
  assert_int_equal(recorder.entered, 4);
  for (unsigned i = 0; i < 3; i++) {
    assert_int_equal(recorder.calls[i + 1].count, sizes[i]);
    for (size_t j = 0; j < sizes[i]; j++)
      assert_ptr_equal(recorder.calls[i + 1].requests[j], requests[groups[i][j]]);
  }
  for (unsigned i = 0; i < 8; i++)
    store_request_free(requests[i]);
  store_request_free(first);
  store_request_free(read);
  scene_stop();
  driver_uv_free(driver);
}

static void test_submit_when_the_pool_is_full_then_not_taken_and_free_to_come_again(void **state)
{
  struct rt_driver *driver = driver_uv_new();
  struct store_request *requests[5];
  struct recorder recorder;
  struct scene made;
  unsigned seen = 0;

  (void)state;
  recorder_init(&recorder, true);
  scene_init(&made, &recorder.engine);
  scene_start(driver, 1, 3);
  for (unsigned i = 0; i < 5; i++) {
    requests[i] = commit_of(i, i);
    scene_submit(0, requests[i]);
    if (i == 0)
      recorder_await(&recorder, 1);
  }
  scene_await(0, 2);
  recorder_release(&recorder);
  scene_await(3, 2);
  scene_submit(0, requests[3]);
  scene_submit(0, requests[4]);
  scene_await(5, 2);
  for (unsigned i = 0; i < recorder.entered; i++)
    seen += (unsigned)recorder.calls[i].count;
  assert_int_equal(seen, 5);
  for (unsigned i = 0; i < 5; i++) {
    assert_int_equal(requests[i]->status, STORE_FENCED);
    store_request_free(requests[i]);
  }
  scene_stop();
  driver_uv_free(driver);
}

/* Two loops, each with partitions of its own, several batches of each in flight at a time. */
static void test_submit_when_two_loops_write_then_every_batch_commits_in_order(void **state)
{
  enum { BATCHES = 200, PARTITIONS = 4, COUNT = BATCHES * PARTITIONS };
  static struct store_request *requests[COUNT];
  struct rt_driver *driver = driver_uv_new();
  struct store_engine *engine = store_memory_new(4);
  struct scene made;

  (void)state;
  scene_init(&made, engine);
  scene_start(driver, LOOPS_MAX, COUNT);
  for (unsigned i = 0; i < COUNT; i++) {
    struct store_batch *batch;

    requests[i] = commit_of(i % PARTITIONS, i % PARTITIONS);
    batch = &requests[i]->commit.batches[0];
    batch->number = 1 + i / PARTITIONS;
    batch->first_seq = 1;
    scene_submit(i % LOOPS_MAX, requests[i]);
  }
  scene_await(COUNT, 0);
  for (unsigned i = 0; i < COUNT; i++) {
    assert_int_equal(requests[i]->status, STORE_OK);
    store_request_free(requests[i]);
  }
  assert_int_equal(scene->refused, 0);
  scene_stop();
  driver_uv_free(driver);
}

/* The runtime stops in each state of the port: what was taken is executed and answered first. */
static void test_stop_when_in_any_state_then_each_is_answered_once_and_the_engine_is_closed(
  void **state)
{
  static const struct {
    const char *name;
    unsigned commits, taken; /* submitted one after the other; that find room */
  } states[] = {
    {"idle", 0, 0},
    {"a commit is in the engine", 1, 1},
    {"commits wait behind it", 3, 3},
    {"the queue is full", 6, 4},
  };

  (void)state;
  for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
    struct rt_driver *driver = driver_uv_new();
    struct store_request *requests[8], *read = store_request_new(STORE_CATALOG);
    struct recorder recorder;
    struct scene made;

    print_message("%s\n", states[i].name);
    recorder_init(&recorder, true);
    scene_init(&made, &recorder.engine);
    scene_start(driver, 1, 4);
    for (unsigned j = 0; j < states[i].commits; j++) {
      requests[j] = commit_of(j, j);
      scene_submit(0, requests[j]);
      if (j == 0)
        recorder_await(&recorder, 1);
    }
    scene_submit(0, read); /* when it is answered, all commits were submitted */
    scene_await(1, states[i].commits - states[i].taken);
    rt_stop(scene->runtime, 60000000);
    recorder_release(&recorder);
    assert_true(rt_join(scene->runtime));
    assert_int_equal(scene->answers, 1 + states[i].taken);
    assert_int_equal(scene->refused, states[i].commits - states[i].taken);
    assert_int_equal(scene->wrong, 0);
    assert_false(recorder.closed);
    pool_port_free(scene->port);
    assert_true(recorder.closed);
    for (unsigned j = 0; j < states[i].commits; j++)
      store_request_free(requests[j]);
    store_request_free(read);
    driver_uv_free(driver);
  }
}

static void test_free_when_null_then_nothing(void **state)
{
  (void)state;
  pool_port_free(NULL);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_submit_when_simulated_then_each_is_executed_and_answered_once),
    cmocka_unit_test(test_submit_when_the_writer_is_busy_then_the_waiting_go_in_groups_in_order),
    cmocka_unit_test(test_submit_when_the_pool_is_full_then_not_taken_and_free_to_come_again),
    cmocka_unit_test(test_submit_when_two_loops_write_then_every_batch_commits_in_order),
    cmocka_unit_test(
      test_stop_when_in_any_state_then_each_is_answered_once_and_the_engine_is_closed),
    cmocka_unit_test(test_free_when_null_then_nothing),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
