/* Parts of the runtime without a loop around them: ring, timers, directory; and what an actor
 * costs: bytes when idle, time to come to life and to leave. */
#include "holdfast/check.h"
#include "rt_bench.h"
#include "runtime/dir.h"
#include "runtime/ring.h"
#include "runtime/slab.h"
#include "runtime/timer.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#define RUNS 5u
#define MILLION 1000000u

static uint64_t seed = 88172645463325252ull;

static uint64_t chance(void)
{
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return seed;
}

/* ---- ring ------------------------------------------------------------------------------------ */

#define RING_MESSAGES 10000000u
#define RING_SIZE 8192u

struct ring_run {
  struct ring *ring;
  unsigned batch;
};

#define ANY_CORE SIZE_MAX

/* The two ends on a core each; ANY_CORE lets the thread go where it likes again. */
static void pin(size_t core)
{
  cpu_set_t cores;
  CPU_ZERO(&cores);
  for (size_t i = 0; i < CPU_SETSIZE; i++) {
    if (core == ANY_CORE || i == core) {
      CPU_SET(i, &cores);
    }
  }
  pthread_setaffinity_np(pthread_self(), sizeof cores, &cores);
}

static void *produce(void *arg)
{
  const struct ring_run *run = arg;
  pin(1);
  for (uint64_t i = 0; i < RING_MESSAGES;) {
    rt_env *slot = ring_reserve(run->ring);
    if (slot == NULL) {
      ring_publish(run->ring);
      sched_yield();
      continue;
    }
    slot->to = i;
    slot->payload.u[0] = i;
    i++;
    if (ring_staged(run->ring) >= run->batch) {
      ring_publish(run->ring);
    }
  }
  ring_publish(run->ring);
  return NULL;
}

static void measure_ring(unsigned batch, const char *name, const char *goal)
{
  struct bench_row row = {.name = name, .unit = "ns/msg", .goal = goal};
  pin(0);
  for (unsigned i = 0; i < RUNS; i++) {
    struct ring_run run = {.ring = ring_new(RING_SIZE), .batch = batch};
    pthread_t producer;
    uint64_t got = 0;
    uint64_t sum = 0;
    uint64_t start_ns = bench_ns();
    int error = pthread_create(&producer, NULL, produce, &run);
    CHECK(error == 0);
    while (got < RING_MESSAGES) {
      rt_env *env;
      unsigned count = ring_peek(run.ring, 64, &env);
      for (unsigned k = 0; k < count; k++) {
        sum += env[k].payload.u[0];
      }
      ring_skip(run.ring, count);
      if (count > 0) {
        ring_release(run.ring);
      } else {
        sched_yield();
      }
      got += count;
    }
    bench_add(&row, (double)(bench_ns() - start_ns) / RING_MESSAGES);
    pthread_join(producer, NULL);
    CHECK(sum == (uint64_t)RING_MESSAGES * (RING_MESSAGES - 1) / 2);
    ring_free(run.ring);
  }
  pin(ANY_CORE);
  bench_print(&row);
}

/* ---- timers ---------------------------------------------------------------------------------- */

static void measure_timers(void)
{
  struct bench_row arm = {.name = "timers: arm, 1 M of them", .unit = "ns", .goal = "<= 40"};
  struct bench_row move = {
    .name = "timers: re-arm at random among 1 M", .unit = "ns", .goal = "<= 300"};
  struct bench_row fire = {.name = "timers: advance and take 1 M", .unit = "ns", .goal = "-"};
  uint64_t *handles = rt_alloc(MILLION * sizeof *handles);
  uint32_t *owners = rt_alloc(MILLION * sizeof *owners);
  for (unsigned run = 0; run < RUNS; run++) {
    struct timer_wheel *wheel = rt_alloc(sizeof *wheel);
    timer_wheel_init(wheel, 0);
    for (uint32_t i = 0; i < MILLION; i++) {
      owners[i] = TIMER_NONE;
    }
    uint64_t start_ns = bench_ns();
    for (uint32_t i = 0; i < MILLION; i++) {
      handles[i] = timer_arm(wheel, 1 + chance() % 600000, i, i, &owners[i]);
    }
    bench_add(&arm, (double)(bench_ns() - start_ns) / MILLION);
    start_ns = bench_ns();
    for (uint32_t i = 0; i < MILLION; i++) {
      uint32_t at = (uint32_t)(chance() % MILLION);
      timer_disarm(wheel, handles[at], &owners[at]);
      handles[at] = timer_arm(wheel, 1 + chance() % 600000, at, at, &owners[at]);
    }
    bench_add(&move, (double)(bench_ns() - start_ns) / MILLION);
    start_ns = bench_ns();
    uint32_t actor;
    uint64_t cookie;
    for (uint64_t tick = 1; wheel->count > 0; tick++) {
      timer_advance(wheel, tick);
      while (timer_peek_due(wheel, &actor, &cookie)) {
        timer_take_due(wheel, &owners[actor]);
      }
    }
    bench_add(&fire, (double)(bench_ns() - start_ns) / MILLION);
    timer_wheel_deinit(wheel);
    rt_free(wheel);
  }
  bench_print(&arm);
  bench_print(&move);
  bench_print(&fire);
  printf("%-44s %10zu %10s  %-10s %s\n", "timers: size of one", sizeof(struct timer), "", "bytes",
         "<= 32");
  rt_free(handles);
  rt_free(owners);
}

/* ---- directory ------------------------------------------------------------------------------- */

#define ACTORS (4u * MILLION)
#define TOUCHES (2u * MILLION)
#define BATCH 16u

static uint64_t touch(struct actor *actor)
{
  actor->uses = (uint8_t)(actor->uses < 3 ? actor->uses + 1 : 3);
  return actor->id;
}

static uint64_t look_up_ahead(const struct dir *dir, const rt_id *ids)
{
  uint64_t hashes[BATCH];
  struct actor *actors[BATCH];
  uint64_t sum = 0;
  for (unsigned i = 0; i < BATCH; i++) {
    hashes[i] = dir_hash(ids[i]);
    dir_prefetch(dir, hashes[i]);
  }
  for (unsigned i = 0; i < BATCH; i++) {
    actors[i] = dir_find(dir, ids[i], hashes[i]);
    __builtin_prefetch(actors[i], 1);
  }
  for (unsigned i = 0; i < BATCH; i++) {
    sum += touch(actors[i]);
  }
  return sum;
}

static void measure_directory(void)
{
  struct bench_row plain = {
    .name = "random actor of 4 M: one at a time", .unit = "ns", .goal = "-"};
  struct bench_row ahead = {
    .name = "random actor of 4 M: 16 ahead", .unit = "ns", .goal = "<= 120"};
  struct dir dir;
  struct slab slab;
  uint64_t sum = 0;
  dir_init(&dir);
  slab_init(&slab);
  for (uint64_t i = 0; i < ACTORS; i++) {
    struct actor *actor = slab_take(&slab, 1, 0);
    actor->id = rt_id_make(1, (unsigned)(i % 16), i);
    dir_insert(&dir, actor->id, actor);
  }
  rt_id *ids = rt_alloc(TOUCHES * sizeof *ids);
  for (unsigned run = 0; run < RUNS; run++) {
    for (uint32_t i = 0; i < TOUCHES; i++) {
      uint64_t n = chance() % ACTORS;
      ids[i] = rt_id_make(1, (unsigned)(n % 16), n);
    }
    uint64_t start_ns = bench_ns();
    for (uint32_t i = 0; i < TOUCHES; i++) {
      sum += touch(dir_find(&dir, ids[i], dir_hash(ids[i])));
    }
    bench_add(&plain, (double)(bench_ns() - start_ns) / TOUCHES);
    start_ns = bench_ns();
    for (uint32_t i = 0; i < TOUCHES; i += BATCH) {
      sum += look_up_ahead(&dir, &ids[i]);
    }
    bench_add(&ahead, (double)(bench_ns() - start_ns) / TOUCHES);
  }
  CHECK(sum != 0);
  bench_print(&plain);
  bench_print(&ahead);
  double bytes =
    (double)((dir.mask + 1) * sizeof(struct dir_entry)) / (double)dir.count +
    (double)(sizeof(struct slab_chunk) + SLAB_CHUNK * sizeof(struct actor)) / SLAB_CHUNK;
  printf("%-44s %10.3g %10s  %-10s %s\n", "idle actor without state, 4 M of them", bytes, "",
         "bytes", "<= 112");
  rt_free(ids);
  dir_deinit(&dir);
  slab_deinit(&slab);
}

/* ---- activation ------------------------------------------------------------------------------ */

enum { KIND_FORCE = 1, KIND_LEAF = 2 };
enum { OP_GO = RT_OP_APP, OP_TOUCH };

#define ACTIVATIONS (2u * MILLION)
#define LIVE_MAX 50000u

static rt_status leaf_handle(rt_ctx *ctx, void *state, const rt_env *env)
{
  (void)state;
  if (env->payload.u[0] % 1024 == 0 && rt_tell(ctx, env->from, OP_GO, &env->payload.u[0], 8)) {
    abort();
  }
  return RT_OK;
}

/* 1024 new actors at a time; the cap makes as many older ones leave. */
static rt_status force_handle(rt_ctx *ctx, void *state, const rt_env *env)
{
  uint64_t from = env->payload.u[0];
  (void)state;
  if (from >= ACTIVATIONS) {
    bench_finish();
    return RT_OK;
  }
  for (uint64_t i = from + 1; i <= from + 1024; i++) {
    rt_status status = rt_tell(ctx, rt_id_make(KIND_LEAF, 0, i), OP_TOUCH, &i, sizeof i);
    CHECK(status == RT_OK);
  }
  return RT_OK;
}

static const rt_class force_class = {
  .name = "force", .kind = KIND_FORCE, .flags = RT_CLASS_PER_LOOP, .handle = force_handle};
static const rt_class leaf_class = {
  .name = "leaf", .kind = KIND_LEAF, .state_bytes = 16, .handle = leaf_handle};
static const rt_class *const classes[] = {&force_class, &leaf_class, NULL};

static void measure_activation(void)
{
  struct bench_row row = {
    .name = "activate, one message, passivate", .unit = "ns", .goal = "<= 300"};
  const struct rt_config config = {
    .loops = 1, .shards = 1, .classes = classes, .live_actors_max = LIVE_MAX};
  for (unsigned i = 0; i < RUNS; i++) {
    uint64_t took_ns = bench_run(&config, rt_id_make(KIND_FORCE, 0, 0), OP_GO, 0);
    bench_add(&row, (double)took_ns / ACTIVATIONS);
  }
  bench_print(&row);
}

int main(void)
{
  bench_head();
  measure_ring(1, "ring, two threads: batch 1", "-");
  measure_ring(8, "ring, two threads: batch 8", "-");
  measure_ring(64, "ring, two threads: batch 64", "4");
  measure_timers();
  measure_activation();
  measure_directory();
  return 0;
}
