/* A message to its actor.
 *
 * Happy path: the directory finds the actor, its gate is open, its handler runs on the envelope
 * where it lies. An ask that the handler did not answer becomes a waiter.
 * Ways to fail: an ask past its deadline, to a full stash, over the cap of live actors or to an
 * actor that is down is answered at once with the asker's own payload; such a tell is dropped.
 * Invariants: a message is dispatched, stashed, answered or dropped, exactly one of them; while a
 * stash holds something, what comes later joins it, so that order is kept. */
#include "holdfast/check.h"
#include "internal.h"

/* ---- running a handler ----------------------------------------------------------------------- */

static void observe(rt_ctx *ctx, const rt_env *env)
{
  struct rt_driver *driver = ctx->driver;
  if (ctx->runtime->simulated) {
    driver->dispatched(driver, ctx->index, ctx->now_us, env->to, env->op);
  }
}

/* After the handler: invariants, and passivation at a bad moment when the simulator wants it. */
static void after_handler(rt_ctx *ctx, struct actor *actor, const rt_class *class)
{
  if (class->check != NULL) {
    class->check(actor->state);
  }
  if ((actor->marks & ACTOR_SERVICE) == 0 && site_fires(ctx, RT_SITE_EVICT) &&
      evict_allowed(ctx, actor)) {
    actor_passivate(ctx, actor);
  }
}

static void run(rt_ctx *ctx, struct actor *actor, const rt_env *env)
{
  const rt_class *class = class_of(ctx, actor->kind);
  CHECK(ctx->self == NULL);
  actor->seen_ms = (uint32_t)tick_of(ctx->now_us);
  actor->uses = (uint8_t)(actor->uses < 3 ? actor->uses + 1 : 3);
  if (class->turn_end != NULL && (actor->marks & ACTOR_SERVICE) != 0) {
    ctx->turn_end_mask[actor->kind / 64] |= 1ull << (actor->kind % 64);
  }
  trace_write(&ctx->trace, ctx->now_us, env);
  observe(ctx, env);
  ctx->self = actor;
  ctx->current = env;
  ctx->current_open = (env->flags & RT_F_ASK) != 0;
  rt_status status = class->handle(ctx, actor->state, env);
  if (ctx->current_open) {
    ctx->current_open = false;
    waiter_add(ctx, actor, env);
  }
  ctx->self = NULL;
  ctx->current = NULL;
  if (status != RT_OK) {
    CHECK(status == RT_STOP || status == RT_FAIL);
    actor_leave(ctx, actor, status);
  } else if (ctx->runtime->simulated) {
    after_handler(ctx, actor, class);
  }
}

/* ---- what cannot be delivered ---------------------------------------------------------------- */

void refuse(rt_ctx *ctx, const rt_env *env, uint16_t op)
{
  own_add(ctx,
          op == RT_OP_EXPIRED      ? OWN_EXPIRED
          : op == RT_OP_OVERLOADED ? OWN_OVERLOADED
                                   : OWN_DOWN,
          1);
  if ((env->flags & RT_F_ASK) != 0) {
    send_reply(ctx, env->to, env->from, env->corr, op, env->payload.b, sizeof env->payload);
  } else {
    env_drop(ctx->runtime, env);
  }
}

static bool is_expired(const rt_ctx *ctx, const rt_env *env)
{
  return env->deadline_us != 0 && env->deadline_us < ctx->now_us;
}

/* ---- stash ----------------------------------------------------------------------------------- */

static void stash_put(rt_ctx *ctx, struct actor *actor, const rt_env *env)
{
  const rt_class *class = class_of(ctx, actor->kind);
  bool is_ask = (env->flags & RT_F_ASK) != 0;
  if (stash_count(actor) >= class->stash_max || (is_ask && site_fires(ctx, RT_SITE_STASH_FULL))) {
    refuse(ctx, env, RT_OP_OVERLOADED);
    return;
  }
  if (actor->stash == NULL) {
    actor->stash = pool_take(&ctx->stash_pool);
    actor->stash->actor = actor;
    fifo_init(&actor->stash->queue, &ctx->stash_chunks);
  }
  *fifo_push(&actor->stash->queue) = *env;
  ctx->stashed_count++;
}

static bool stash_take(rt_ctx *ctx, struct actor *actor, rt_env *ret_env)
{
  rt_env *first;
  if (stash_count(actor) == 0) {
    return false;
  }
  fifo_peek(&actor->stash->queue, 1, &first);
  *ret_env = *first;
  fifo_pop(&actor->stash->queue, 1);
  ctx->stashed_count--;
  return true;
}

void stash_refuse(rt_ctx *ctx, struct actor *actor, uint16_t op)
{
  rt_env env;
  while (stash_take(ctx, actor, &env)) {
    refuse(ctx, &env, op);
  }
}

static void stash_free(rt_ctx *ctx, struct stash *stash)
{
  fifo_deinit(&stash->queue);
  pool_put(&ctx->stash_pool, stash);
}

void stash_release(rt_ctx *ctx, struct actor *actor)
{
  struct stash *stash = actor->stash;
  if (stash == NULL) {
    return;
  }
  CHECK(stash->queue.count == 0);
  actor->stash = NULL;
  if (stash->queued) {
    stash->actor = NULL; /* the replay list frees it */
  } else {
    stash_free(ctx, stash);
  }
}

void stash_queue_replay(rt_ctx *ctx, struct actor *actor)
{
  struct stash *stash = actor->stash;
  if (stash == NULL || stash->queued || stash->queue.count == 0) {
    return;
  }
  stash->queued = true;
  stash->next = NULL;
  if (ctx->replay_last == NULL) {
    ctx->replay_first = stash;
  } else {
    ctx->replay_last->next = stash;
  }
  ctx->replay_last = stash;
}

static bool takes_messages(const struct actor *actor)
{
  return actor->phase == ACTOR_ACTIVE && (actor->marks & ACTOR_GATED) == 0;
}

static void replay(rt_ctx *ctx, struct actor *actor)
{
  rt_id id = actor->id;
  rt_env env;
  unsigned count = 0;
  while (count < RT_REPLAY_TURN_MAX && takes_messages(actor) && stash_take(ctx, actor, &env)) {
    uint32_t epoch = ctx->free_epoch;
    count++;
    if (is_expired(ctx, &env)) {
      refuse(ctx, &env, RT_OP_EXPIRED);
    } else {
      run(ctx, actor, &env);
    }
    turn_spend(ctx, &env, 1);
    if (ctx->free_epoch != epoch && actor_find(ctx, id) != actor) {
      break;
    }
  }
  own_add(ctx, OWN_MESSAGES_STASH, count);
  if (actor_find(ctx, id) != actor) {
    return;
  }
  if (stash_count(actor) == 0) {
    stash_release(ctx, actor);
  } else if (takes_messages(actor)) {
    stash_queue_replay(ctx, actor);
  }
}

/* One round of the list as it is now; what a turn has no time for keeps its place. */
void deliver_replays(rt_ctx *ctx)
{
  const struct stash *last = ctx->replay_last;
  bool is_last = ctx->replay_first == NULL;
  while (!is_last && !ctx->over_time && ctx->turn_left > 0) {
    struct stash *stash = ctx->replay_first;
    is_last = stash == last;
    ctx->replay_first = stash->next;
    if (ctx->replay_first == NULL) {
      ctx->replay_last = NULL;
    }
    stash->queued = false;
    stash->next = NULL;
    if (stash->actor == NULL) {
      stash_free(ctx, stash);
    } else {
      replay(ctx, stash->actor);
    }
  }
}

/* ---- dispatch -------------------------------------------------------------------------------- */

void deliver_answer(rt_ctx *ctx, const rt_env *env, struct actor *actor)
{
  if (actor->phase == ACTOR_ENDING) {
    env_drop(ctx->runtime, env);
    actor_ending_step(ctx, actor);
  } else if (actor->phase == ACTOR_DOWN) {
    env_drop(ctx->runtime, env);
  } else {
    run(ctx, actor, env);
  }
}

static void deliver_reply(rt_ctx *ctx, const rt_env *env, struct actor *actor)
{
  CHECK(actor != NULL && actor->in_flight > 0 && ctx->asks_out > 0);
  actor->in_flight--;
  ctx->asks_out--;
  if ((actor->marks & ACTOR_SERVICE) != 0) {
    ctx->service[actor->kind].asks_out--;
    if ((actor->marks & ACTOR_EDGE) != 0) {
      CHECK(ctx->credits_used > 0);
      ctx->credits_used--;
    }
  }
  deliver_answer(ctx, env, actor);
}

void deliver(rt_ctx *ctx, const rt_env *env, struct actor *actor)
{
  if ((env->flags & RT_F_REPLY) != 0) {
    deliver_reply(ctx, env, actor);
    return;
  }
  if (is_expired(ctx, env)) {
    refuse(ctx, env, RT_OP_EXPIRED);
    return;
  }
  if (actor == NULL) {
    uint16_t op;
    actor = actor_activate(ctx, env->to, &op);
    if (actor == NULL) {
      refuse(ctx, env, op);
      return;
    }
  }
  if (actor->phase == ACTOR_DOWN) {
    refuse(ctx, env, RT_OP_DOWN);
  } else if (takes_messages(actor) && stash_count(actor) == 0) {
    run(ctx, actor, env);
  } else {
    stash_put(ctx, actor, env);
  }
}

void deliver_direct(rt_ctx *ctx, const rt_env *env, struct actor *actor)
{
  CHECK(actor->phase == ACTOR_ACTIVE || actor->phase == ACTOR_LOADING);
  run(ctx, actor, env);
}

/* A directory that fits the caches is not worth looking ahead in. */
#define PREFETCH_FROM 4096u

static void deliver_plain(rt_ctx *ctx, const rt_env *env, unsigned count)
{
  for (unsigned i = 0; i < count; i++) {
    deliver(ctx, &env[i], actor_find(ctx, env[i].to));
  }
}

/* Misses of the directory and of the blocks overlap: all slots, then all blocks, then the work.
 * A pointer found early is used only if no block was freed since. */
static void deliver_ahead(rt_ctx *ctx, const rt_env *env, unsigned count)
{
  uint64_t hashes[RT_BATCH];
  struct actor *actors[RT_BATCH];
  uint32_t epoch = ctx->free_epoch;
  for (unsigned i = 0; i < count; i++) {
    hashes[i] = dir_hash(env[i].to);
    dir_prefetch(&ctx->dir, hashes[i]);
  }
  for (unsigned i = 0; i < count; i++) {
    actors[i] = ctx->services[rt_id_kind(env[i].to)];
    if (actors[i] == NULL) {
      actors[i] = dir_find(&ctx->dir, env[i].to, hashes[i]);
      __builtin_prefetch(actors[i], 1);
      __builtin_prefetch((const char *)actors[i] + 64, 1);
    }
  }
  for (unsigned i = 0; i < count; i++) {
    bool is_fresh = actors[i] != NULL && ctx->free_epoch == epoch;
    deliver(ctx, &env[i], is_fresh ? actors[i] : actor_find(ctx, env[i].to));
  }
}

void deliver_batch(rt_ctx *ctx, const rt_env *env, unsigned count)
{
  CHECK(count <= RT_BATCH);
  if (count > 1 && ctx->dir.count >= PREFETCH_FROM) {
    deliver_ahead(ctx, env, count);
  } else {
    deliver_plain(ctx, env, count);
  }
}
