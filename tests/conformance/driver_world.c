/* The actors and the waiting of the conformance tests. */
#include "driver_world.h"

#include "holdfast/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VIRTUAL_WAIT_US (30ull * 1000000ull)

struct world *world_of(const rt_ctx *ctx)
{
  return rt_local(ctx, 0);
}

rt_id item_id(unsigned shard, uint64_t serial)
{
  return rt_id_make(KIND_ITEM, shard, serial);
}

rt_id hand_id(unsigned loop)
{
  return rt_id_make(KIND_HAND, loop, 0);
}

rt_id desk_id(unsigned loop)
{
  return rt_id_make(KIND_DESK, loop, 0);
}

void world_add(struct world *world, unsigned counter, uint64_t delta)
{
  pthread_mutex_lock(&world->lock);
  atomic_fetch_add(&world->counts[counter], delta);
  pthread_cond_broadcast(&world->counted);
  pthread_mutex_unlock(&world->lock);
}

uint64_t world_count(const struct world *world, unsigned counter)
{
  return atomic_load(&world->counts[counter]);
}

void tell_item(rt_ctx *ctx, rt_id to, uint16_t op, uint64_t word)
{
  rt_status status = rt_tell(ctx, to, op, &word, sizeof word);
  CHECK(status == RT_OK);
}

void ask_item(rt_ctx *ctx, rt_id to, uint16_t op, uint64_t word, uint32_t corr)
{
  rt_status status = rt_ask(ctx, to, op, &word, sizeof word, 0, corr);
  CHECK(status == RT_OK);
}

/* ---- item ------------------------------------------------------------------------------------ */

static rt_status item_load(rt_ctx *ctx, void *state)
{
  struct world *world = world_of(ctx);
  (void)state;
  world_add(world, COUNT_LOADS, 1);
  if (!world->load_waits) {
    return RT_OK;
  }
  rt_status status = rt_ask(ctx, desk_id(rt_loop_index(ctx)), OP_LOAD, NULL, 0, 0, 7);
  return status == RT_OK ? RT_WAIT : RT_FAIL;
}

static void item_count(rt_ctx *ctx, struct item_state *item, const rt_env *env)
{
  struct world *world = world_of(ctx);
  if (env->payload.u[0] != item->next) {
    world_add(world, COUNT_DISORDER, 1);
  }
  item->next = env->payload.u[0] + 1;
  item->got++;
  world_add(world, COUNT_GOT, 1);
}

static void item_keep(struct item_state *item, const rt_env *env)
{
  CHECK(item->kept_count < 16);
  item->kept[item->kept_count].from = env->from;
  item->kept[item->kept_count].corr = env->corr;
  item->kept_count++;
}

static void item_release(rt_ctx *ctx, struct item_state *item)
{
  for (uint64_t i = 0; i < item->kept_count; i++) {
    rt_reply(ctx, item->kept[i].from, item->kept[i].corr, OP_DONE, NULL, 0);
  }
  item->kept_count = 0;
}

/* Two that fire in the order of their times, not of arming, and one that is stopped. */
static void item_arm(rt_ctx *ctx)
{
  uint64_t stopped = rt_timer(ctx, 3000, 99);
  rt_timer(ctx, 20000, 2);
  rt_timer(ctx, 5000, 1);
  rt_timer(ctx, 40000, 3);
  rt_timer_stop(ctx, stopped);
  rt_timer_stop(ctx, stopped); /* a stale handle is ignored */
}

static void item_timer(rt_ctx *ctx, struct item_state *item, const rt_env *env)
{
  struct world *world = world_of(ctx);
  if (env->payload.u[0] == UINT64_MAX) {
    rt_open_gate(ctx);
    return;
  }
  if (env->payload.u[0] != item->got + 1) {
    world_add(world, COUNT_DISORDER, 1);
  }
  item->got++;
  world_add(world, COUNT_TIMERS, 1);
}

static void item_relay(rt_ctx *ctx, const rt_env *env)
{
  uint64_t left = env->payload.u[0];
  unsigned next = (rt_id_shard(env->to) + 1) % 4;
  if (left == 0) {
    world_add(world_of(ctx), COUNT_OTHER, 1);
  } else {
    tell_item(ctx, item_id(next, rt_id_serial(env->to)), OP_RELAY, left - 1);
  }
}

static rt_status item_handle(rt_ctx *ctx, void *state, const rt_env *env)
{
  struct item_state *item = state;
  switch (env->op) {
  case OP_COUNT:
    item_count(ctx, item, env);
    break;
  case OP_ECHO:
    rt_reply(ctx, env->from, env->corr, OP_DONE, env->payload.b, sizeof env->payload);
    break;
  case OP_KEEP:
    item_keep(item, env);
    break;
  case OP_RELEASE:
    item_release(ctx, item);
    break;
  case OP_FAIL:
    return RT_FAIL;
  case OP_STOP:
    return RT_STOP;
  case OP_GATE:
    rt_close_gate(ctx);
    rt_timer(ctx, env->payload.u[0], UINT64_MAX);
    break;
  case OP_TIMERS:
    item_arm(ctx);
    break;
  case OP_BLOCK:
    item->is_blocked = true;
    world_add(world_of(ctx), COUNT_OTHER, 1);
    break;
  case OP_OWNED:
    if ((env->flags & RT_F_ASK) != 0) {
      item_keep(item, env);
    } else {
      rt_free(env->payload.p.ptr);
    }
    break;
  case OP_PASS:
    rt_hand_over(ctx, env->from, env->corr, env->to + 1, (uint16_t)env->payload.u[1],
                 env->payload.b, sizeof env->payload);
    break;
  case OP_RELAY:
    item_relay(ctx, env);
    break;
  case RT_OP_TIMER:
    item_timer(ctx, item, env);
    break;
  case OP_LOADED:
    if (env->payload.u[0] == 0) {
      return RT_FAIL;
    }
    rt_open_gate(ctx);
    break;
  case RT_OP_DOWN: /* the desk failed while this item loaded */
    return RT_FAIL;
  default:
    CHECK(env->op < RT_OP_APP); /* an answer of the runtime */
  }
  return RT_OK;
}

static bool item_idle(const void *state)
{
  const struct item_state *item = state;
  return !item->is_blocked;
}

static void item_passivate(rt_ctx *ctx, void *state)
{
  (void)state;
  world_add(world_of(ctx), COUNT_PASSIVATED, 1);
}

/* The world is not in reach of drop: blocks carry it. */
static void any_drop(const rt_env *env)
{
  if (env->op != OP_OWNED && env->op != RT_OP_DOWN) {
    return;
  }
  struct world **owned = env->payload.p.ptr;
  if (owned != NULL) {
    world_add(*owned, COUNT_DROPPED, 1);
    rt_free(owned);
  }
}

/* ---- desk ------------------------------------------------------------------------------------ */

static rt_status desk_handle(rt_ctx *ctx, void *state, const rt_env *env)
{
  struct world *world = world_of(ctx);
  (void)state;
  if (env->op == OP_LOAD && !world->desk_keeps) {
    uint64_t exists = world->load_fails ? 0 : 1;
    rt_reply(ctx, env->from, env->corr, OP_LOADED, &exists, sizeof exists);
  } else if (env->op == RT_OP_STOPPING) {
    uint64_t at = world_count(world, COUNT_STOPPING);
    world_add(world, COUNT_STOPPING, 1);
    atomic_store(&world->order[at % 8], KIND_DESK);
  } else if (env->op == OP_FAIL) {
    return RT_FAIL;
  }
  return RT_OK;
}

/* ---- hand ------------------------------------------------------------------------------------ */

/* Both counts change at once, whichever a test waits for. */
static void hand_reply(struct world *world, const rt_env *env)
{
  pthread_mutex_lock(&world->lock);
  atomic_store(&world->last_reply, env->payload.u[0]);
  if (env->op == RT_OP_DOWN) {
    atomic_fetch_add(&world->counts[COUNT_DOWN], 1);
  } else if (env->op == RT_OP_EXPIRED) {
    atomic_fetch_add(&world->counts[COUNT_EXPIRED], 1);
  } else if (env->op == RT_OP_OVERLOADED) {
    atomic_fetch_add(&world->counts[COUNT_OVERLOADED], 1);
  }
  atomic_fetch_add(&world->counts[COUNT_REPLIES], 1);
  pthread_cond_broadcast(&world->counted);
  pthread_mutex_unlock(&world->lock);
}

static rt_status hand_handle(rt_ctx *ctx, void *state, const rt_env *env)
{
  struct world *world = world_of(ctx);
  (void)state;
  if (env->op == OP_RUN) {
    struct task *task = env->payload.p.ptr;
    task->fn(ctx, world, task->arg);
    rt_free(task);
    world_add(world, COUNT_RUN, 1);
  } else if (env->op == OP_JOB_DONE) {
    uint64_t *job = env->payload.p.ptr;
    world_add(world, COUNT_JOBS_OUT_OF_ORDER, *job == 1 ? 0 : 1);
    world_add(world, COUNT_JOBS, 1);
    rt_free(job);
  } else if (env->op == RT_OP_STOPPING) {
    uint64_t at = world_count(world, COUNT_STOPPING);
    world_add(world, COUNT_STOPPING, 1);
    atomic_store(&world->order[at % 8], KIND_HAND);
  } else if ((env->flags & RT_F_REPLY) != 0) {
    hand_reply(world, env);
  }
  return RT_OK;
}

static void hand_turn_end(rt_ctx *ctx, void *state)
{
  (void)state;
  world_add(world_of(ctx), COUNT_TURN_ENDS, 1);
}

/* ---- the world ------------------------------------------------------------------------------- */

static void on_loop_start(void *arg, rt_ctx *ctx)
{
  rt_set_local(ctx, 0, arg);
}

static void on_ingress(void *arg, rt_ctx *ctx)
{
  CHECK(rt_ingress_open(ctx));
  world_add(arg, COUNT_INGRESS, 1);
}

static void on_escalate(void *arg, const char *reason)
{
  CHECK(reason != NULL);
  world_add(arg, COUNT_ESCALATED, 1);
}

static const uint8_t item_asks[] = {KIND_DESK, 0};
static const uint8_t hand_asks[] = {KIND_DESK, KIND_ITEM, 0};

struct world *world_new(const char *driver)
{
  struct world *world = rt_alloc(sizeof *world);
  world->is_sim = strcmp(driver, "sim") == 0;
  pthread_mutex_init(&world->lock, NULL);
  pthread_cond_init(&world->counted, NULL);
  world->sim = (struct driver_sim_config){.seed = 1,
                                          .start_wall_us = 1700000000000000ull,
                                          .job_delay_us_min = 10,
                                          .job_delay_us_max = 500,
                                          .kick_delay_us_max = 20};
  world->desk = (rt_class){.name = "desk",
                           .kind = KIND_DESK,
                           .flags = RT_CLASS_PER_LOOP,
                           .stash_max = 16,
                           .handle = desk_handle};
  world->item = (rt_class){.name = "item",
                           .kind = KIND_ITEM,
                           .state_bytes = sizeof(struct item_state),
                           .stash_max = 256,
                           .may_ask = item_asks,
                           .load = item_load,
                           .handle = item_handle,
                           .idle = item_idle,
                           .passivate = item_passivate,
                           .drop = any_drop};
  world->hand = (rt_class){.name = "hand",
                           .kind = KIND_HAND,
                           .flags = RT_CLASS_PER_LOOP,
                           .stash_max = 16,
                           .may_ask = hand_asks,
                           .handle = hand_handle,
                           .turn_end = hand_turn_end,
                           .drop = any_drop};
  world->classes[0] = &world->desk;
  world->classes[1] = &world->item;
  world->classes[2] = &world->hand;
  world->pools[0] = (struct rt_pool_config){.name = "first", .threads = 2, .queue_max = 64};
  world->pools[1] = (struct rt_pool_config){.name = "second", .threads = 1, .queue_max = 4};
  world->config = (struct rt_config){.loops = 2,
                                     .shards = 4,
                                     .classes = world->classes,
                                     .pools = world->pools,
                                     .pools_count = 2,
                                     .live_actors_max = 1024,
                                     .loop_start = on_loop_start,
                                     .ingress = on_ingress,
                                     .escalate = on_escalate,
                                     .arg = world};
  return world;
}

void world_start(struct world *world)
{
  world->driver = world->is_sim ? driver_sim_new(&world->sim) : driver_uv_new();
  world->runtime = rt_start(world->driver, &world->config);
  assert_non_null(world->runtime);
}

bool world_stop(struct world *world, uint64_t drain_us)
{
  rt_stop(world->runtime, drain_us);
  bool is_complete = rt_join(world->runtime);
  world->runtime = NULL;
  return is_complete;
}

void world_free(struct world *world)
{
  if (world->runtime != NULL) {
    world_stop(world, VIRTUAL_WAIT_US);
  }
  if (world->is_sim) {
    driver_sim_free(world->driver);
  } else {
    driver_uv_free(world->driver);
  }
  pthread_cond_destroy(&world->counted);
  pthread_mutex_destroy(&world->lock);
  rt_free(world);
}

/* The real loops run by themselves. No time limit: the test runner has one. */
static void await_real(struct world *world, unsigned counter, uint64_t least)
{
  pthread_mutex_lock(&world->lock);
  while (world_count(world, counter) < least) {
    pthread_cond_wait(&world->counted, &world->lock);
  }
  pthread_mutex_unlock(&world->lock);
}

void world_await(struct world *world, unsigned counter, uint64_t least)
{
  if (!world->is_sim) {
    await_real(world, counter, least);
    return;
  }
  uint64_t end_us = driver_sim_now_us(world->driver) + VIRTUAL_WAIT_US;
  while (world_count(world, counter) < least) {
    if (!driver_sim_step(world->driver, end_us)) {
      fail_msg("counter %u is %llu, not %llu", counter,
               (unsigned long long)world_count(world, counter), (unsigned long long)least);
    }
  }
}

void world_let_pass(struct world *world, uint64_t virtual_us)
{
  if (world->is_sim) {
    uint64_t end_us = driver_sim_now_us(world->driver) + virtual_us;
    while (driver_sim_step(world->driver, end_us)) {
    }
  }
}

void world_run(struct world *world, unsigned loop,
               void (*fn)(rt_ctx *ctx, struct world *world, void *arg), void *arg)
{
  uint64_t before = world_count(world, COUNT_RUN);
  struct task *task = rt_alloc(sizeof *task);
  task->fn = fn;
  task->arg = arg;
  rt_status status = rt_post(world->runtime, hand_id(loop), OP_RUN, &task, sizeof task);
  assert_int_equal(status, RT_OK);
  world_await(world, COUNT_RUN, before + 1);
}

/* ---- metrics --------------------------------------------------------------------------------- */

struct text {
  char *bytes;
  size_t size, room;
};

static void append(void *arg, const char *bytes, size_t size)
{
  struct text *text = arg;
  if (text->size + size + 1 > text->room) {
    text->room = (text->size + size + 1) * 2;
    text->bytes = rt_realloc(text->bytes, text->room);
  }
  memcpy(text->bytes + text->size, bytes, size);
  text->size += size;
  text->bytes[text->size] = '\0';
}

double world_metric(struct world *world, const char *series)
{
  struct text text = {0};
  double value = -1;
  rt_metrics_write(world->runtime, append, &text);
  size_t size = strlen(series);
  for (const char *line = text.bytes; line != NULL && *line != '\0';) {
    if (strncmp(line, series, size) == 0 && line[size] == ' ') {
      value = strtod(line + size, NULL);
    }
    line = strchr(line, '\n');
    line = line == NULL ? NULL : line + 1;
  }
  rt_free(text.bytes);
  return value;
}
