/* What an actor costs: bytes while it is idle, time to come to life and to leave, time to be found
 * among millions. */
#include "goals.h"
#include "holdfast/check.h"
#include "limits.h"
#include "rt_bench.h"

#include <malloc.h>
#include <stdlib.h>

#define MILLION 1000000u
#define RANDOM_ACTORS (4u * MILLION)
#define RANDOM_SENDS (4u * MILLION)
#define ACTIVATIONS (2u * MILLION)
#define LIVE_MAX 50000u
#define BURST 1024u

enum { KIND_FORCE = 1, KIND_LEAF = 2 };
enum {
  OP_GO = RT_OP_APP, /* u[0]: how many leaves were touched so far */
  OP_TOUCH,          /* u[0]: 1: the last of its burst */
};

/* How the leaves are chosen, and when it is enough. Set before the runtime starts. */
static struct {
  uint64_t first; /* leaves touched in turn, then */
  uint64_t after; /* touched at random among the first */
} plan;
static uint64_t random_since_ns;

static rt_status leaf_handle(rt_ctx *ctx, void *state, const rt_env *env)
{
  (void)state;
  if (env->payload.u[0] == 1) {
    rt_status status = rt_tell(ctx, env->from, OP_GO, NULL, 0);
    CHECK(status == RT_OK);
  }
  return RT_OK;
}

struct force {
  uint64_t touched;
};

static rt_status force_handle(rt_ctx *ctx, void *state, const rt_env *env)
{
  struct force *force = state;
  (void)env;
  if (force->touched == plan.first) {
    random_since_ns = bench_ns();
  }
  if (force->touched >= plan.first + plan.after) {
    bench_finish();
    return RT_OK;
  }
  for (unsigned i = 1; i <= BURST; i++) {
    uint64_t n = force->touched < plan.first ? force->touched : rt_rand(ctx) % plan.first;
    uint64_t is_last = i == BURST || force->touched + 1 == plan.first;
    rt_status status = rt_tell(ctx, rt_id_make(KIND_LEAF, (unsigned)(n % 16), n + 1), OP_TOUCH,
                               &is_last, sizeof is_last);
    CHECK(status == RT_OK);
    force->touched++;
    if (is_last != 0) {
      break;
    }
  }
  return RT_OK;
}

static const rt_class force_class = {.name = "force",
                                     .kind = KIND_FORCE,
                                     .flags = RT_CLASS_PER_LOOP,
                                     .state_bytes = sizeof(struct force),
                                     .handle = force_handle};
static const rt_class leaf_class = {.name = "leaf", .kind = KIND_LEAF, .handle = leaf_handle};
static const rt_class *const classes[] = {&force_class, &leaf_class, NULL};

void goal_random_repeat(void)
{
  const struct rt_config config = {
    .loops = 1, .shards = 16, .classes = classes, .live_actors_max = 2 * RANDOM_ACTORS};
  plan.first = RANDOM_ACTORS;
  plan.after = RANDOM_SENDS;
  uint64_t start_ns = bench_ns();
  uint64_t took_ns = bench_run(&config, rt_id_make(KIND_FORCE, 0, 0), OP_GO, 0);
  double random_ns = (double)(start_ns + took_ns - random_since_ns);
  goal_pair(GOAL_RANDOM, random_ns / RANDOM_SENDS, limit_touch(RANDOM_ACTORS, RANDOM_SENDS));
}

void goal_life_repeat(void)
{
  const struct rt_config config = {
    .loops = 1, .shards = 16, .classes = classes, .live_actors_max = LIVE_MAX};
  plan.first = ACTIVATIONS;
  plan.after = 0;
  double took_ns = (double)bench_run(&config, rt_id_make(KIND_FORCE, 0, 0), OP_GO, 0);
  goal_pair(GOAL_LIFE, took_ns / ACTIVATIONS, limit_heap_blocks(ACTIVATIONS, LIVE_MAX));
}

/* ---- memory ---------------------------------------------------------------------------------- */

#define IDLE_US 1000000u /* longer than making a million takes */

static uint64_t malloc_bytes(void)
{
  void **blocks = rt_alloc(MILLION * sizeof *blocks);
  for (unsigned i = 0; i < MILLION; i++) {
    blocks[i] = blocks; /* touches the table before it is counted */
  }
  malloc_trim(0); /* what earlier runs freed must not hide what this one takes */
  uint64_t before = bench_memory();
  for (unsigned i = 0; i < MILLION; i++) {
    blocks[i] = malloc(48);
    CHECK(blocks[i] != NULL);
    *(char *)blocks[i] = 1;
  }
  uint64_t bytes = bench_memory() - before;
  for (unsigned i = 0; i < MILLION; i++) {
    free(blocks[i]);
  }
  rt_free(blocks);
  return bytes;
}

/* Waits until no leaf lives; false after a minute. */
static bool await_passive(rt *runtime)
{
  uint64_t start_ns = bench_ns();
  do {
    bench_pause(10u * MILLION);
    bench_keep(runtime);
    if (bench_series("rt_actors_live{class=\"leaf\"}") == 0) {
      return true;
    }
  } while (bench_ns() - start_ns < 60000ull * MILLION);
  return false;
}

void goal_memory_repeat(void)
{
  static const rt_class idle_class = {
    .name = "leaf", .kind = KIND_LEAF, .idle_us = IDLE_US, .handle = leaf_handle};
  static const rt_class *const idle_classes[] = {&force_class, &idle_class, NULL};
  const struct rt_config config = {
    .loops = 1, .shards = 16, .classes = idle_classes, .live_actors_max = 2 * MILLION};
  struct rt_driver *driver = driver_uv_new();
  plan.first = MILLION;
  plan.after = 0;
  bench_line_init();
  rt *runtime = rt_start(driver, &config);
  CHECK(runtime != NULL);
  bench_pause(10u * MILLION); /* the loop has its stack and its first pages */
  malloc_trim(0);
  double before = (double)bench_memory();
  rt_status status = rt_post(runtime, rt_id_make(KIND_FORCE, 0, 0), OP_GO, NULL, 0);
  CHECK(status == RT_OK);
  bench_line_wait();
  goal_ours(GOAL_MEMORY, ((double)bench_memory() - before) / MILLION);
  bool is_passive = await_passive(runtime);
  CHECK(is_passive);
  goal_ours(GOAL_MEMORY_PASSIVE, ((double)bench_memory() - before) / MILLION);
  malloc_trim(0);
  goal_ours(GOAL_MEMORY_TRIMMED, ((double)bench_memory() - before) / MILLION);
  rt_stop(runtime, 1000000);
  bool is_clean = rt_join(runtime);
  CHECK(is_clean);
  driver_uv_free(driver);
  goal_limit(GOAL_MEMORY, (double)malloc_bytes() / MILLION);
}
