/* Staging, publishing and holding back.
 *
 * Happy path: a send writes its envelope into the local queue or into the ring to the target's
 * loop; the ring is published when 64 are staged and at the end of the turn; a loop that sleeps is
 * kicked. No receiver's code runs here.
 * Ways to fail: a full ring makes the envelope wait in the held list of that target, which closes
 * the loop's ingress until it is empty again; a full held list refuses tells and asks, never
 * replies.
 * Invariants: while something is held for a loop, all that goes there is held, so order is kept;
 * replies that are held are at most as many as asks in flight, which each loop bounds. */
#include "holdfast/check.h"
#include "internal.h"

#include <string.h>

/* ---- the sleeping edge ----------------------------------------------------------------------- */

/* Partner: rt_sleep_prepare stores asleep, then looks for work; here the work was stored before
 * (sequentially consistent, as all of these are), so at least one side sees the other. */
void loop_wake(struct rt *runtime, unsigned loop)
{
  struct loop_shared *shared = runtime->loops[loop]->shared;
  if (atomic_load(&shared->asleep) != 0 && atomic_exchange(&shared->asleep, 0) != 0) {
    runtime->driver->kick(runtime->driver, loop);
  }
}

static void wake_counted(rt_ctx *ctx, unsigned loop)
{
  struct loop_shared *shared = ctx->runtime->loops[loop]->shared;
  if (atomic_load(&shared->asleep) != 0 && atomic_exchange(&shared->asleep, 0) != 0) {
    own_add(ctx, OWN_WAKES, 1);
    ctx->driver->kick(ctx->driver, loop);
  }
}

/* Partner: rt_sleep_prepare clears the mask, then looks at the heads. The head was stored before
 * the look at the mask: a bit that is seen set will be cleared by an exchange that comes later, and
 * the loop then sees the head; one that is seen clear is set, and a loop that sleeps is kicked. */
static void publish(rt_ctx *ctx, unsigned loop)
{
  struct loop_shared *shared = ctx->runtime->loops[loop]->shared;
  uint64_t bit = 1ull << ctx->index;
  ring_publish(ctx->out[loop].ring);
  if ((atomic_load(&shared->watched) & bit) == 0) {
    atomic_fetch_or(&shared->watched, bit);
  }
  wake_counted(ctx, loop);
}

void send_publish_all(rt_ctx *ctx)
{
  while (ctx->staged_mask != 0) {
    unsigned loop = (unsigned)__builtin_ctzll(ctx->staged_mask);
    ctx->staged_mask &= ctx->staged_mask - 1;
    if (ring_staged(ctx->out[loop].ring) > 0) {
      publish(ctx, loop);
      ring_warm_slot(ctx->out[loop].ring);
    }
  }
}

/* ---- ingress --------------------------------------------------------------------------------- */

void ingress_close(rt_ctx *ctx)
{
  if (!ctx->ingress_closed) {
    ctx->ingress_closed = true;
    own_add(ctx, OWN_INGRESS_CLOSURES, 1);
    metrics_set(&ctx->own[OWN_INGRESS_CLOSED], 1);
  }
}

/* Opens well below the bounds that close it, so that it does not flutter. */
void ingress_reopen(rt_ctx *ctx)
{
  const struct rt_config *config = &ctx->runtime->config;
  if (!ctx->ingress_closed || ctx->draining || ctx->held_count > 0 ||
      ctx->credits_used > config->credits - config->credits / 8 - 1 ||
      ctx->local.count > config->ring_size / 2) {
    return;
  }
  ctx->ingress_closed = false;
  metrics_set(&ctx->own[OWN_INGRESS_CLOSED], 0);
  if (config->ingress != NULL) {
    config->ingress(config->arg, ctx);
  }
}

bool rt_ingress_open(const rt_ctx *ctx)
{
  return !ctx->ingress_closed;
}

/* ---- staging --------------------------------------------------------------------------------- */

static rt_env *ring_slot(rt_ctx *ctx, unsigned loop)
{
  struct ring *ring = ctx->out[loop].ring;
  if (ring_staged(ring) >= RT_PUBLISH_MAX) {
    publish(ctx, loop);
  }
  rt_env *slot = ring_reserve(ring);
  ctx->staged_mask |= 1ull << loop;
  return slot;
}

static rt_env *held_slot(rt_ctx *ctx, unsigned loop, bool is_reply)
{
  if (!is_reply && ctx->held_count >= ctx->runtime->config.overflow_max) {
    return NULL;
  }
  ctx->held_count++;
  ctx->held_mask |= 1ull << loop;
  ingress_close(ctx);
  return fifo_push(&ctx->out[loop].held);
}

/* The slot to fill, or NULL. A reply always gets one. */
static rt_env *slot_for(rt_ctx *ctx, rt_id to, bool is_reply)
{
  unsigned loop = ctx->loop_of_shard[rt_id_shard(to)];
  if (loop == ctx->index) {
    if (ctx->local.count >= ctx->runtime->config.ring_size) {
      ingress_close(ctx);
      if (!is_reply && ctx->local.count >= ctx->runtime->local_max) {
        return NULL;
      }
    }
    return fifo_push(&ctx->local);
  }
  if (ctx->out[loop].held.count == 0 && !site_fires(ctx, RT_SITE_RING_FULL)) {
    rt_env *slot = ring_slot(ctx, loop);
    if (slot != NULL) {
      return slot;
    }
  }
  return held_slot(ctx, loop, is_reply);
}

/* Whole words are copied without a call for the sizes that are common. */
static void fill_payload(rt_env *env, const void *payload, size_t size)
{
  CHECK(size <= sizeof env->payload);
  if (size == sizeof env->payload) {
    memcpy(env->payload.b, payload, sizeof env->payload);
    return;
  }
  memset(env->payload.b, 0, sizeof env->payload);
  if (size == sizeof(uint64_t)) {
    memcpy(env->payload.b, payload, sizeof(uint64_t));
  } else if (size > 0) {
    memcpy(env->payload.b, payload, size);
  }
}

/* A per-loop actor's shard is the index of its loop, its serial is 0. */
static bool is_address(const struct rt *runtime, rt_id to)
{
  const rt_class *class = runtime->kinds[rt_id_kind(to)].class;
  return class != NULL && ((class->flags & RT_CLASS_PER_LOOP) == 0 ||
                           (rt_id_shard(to) < runtime->config.loops && rt_id_serial(to) == 0));
}

void send_reply(rt_ctx *ctx, rt_id from, rt_id to, uint32_t corr, uint16_t op, const void *payload,
                size_t size)
{
  CHECK(is_address(ctx->runtime, to));
  rt_env *env = slot_for(ctx, to, true);
  env->to = to;
  env->from = from;
  env->deadline_us = 0;
  env->corr = corr;
  env->op = op;
  env->flags = RT_F_REPLY;
  env->sent_us = ctx->now_us;
  fill_payload(env, payload, size);
}

rt_status rt_tell(rt_ctx *ctx, rt_id to, uint16_t op, const void *payload, size_t size)
{
  CHECK(ctx->self != NULL && is_address(ctx->runtime, to));
  rt_env *env = site_fires(ctx, RT_SITE_TELL_REFUSED) ? NULL : slot_for(ctx, to, false);
  if (env == NULL) {
    own_add(ctx, OWN_REFUSED, 1);
    return RT_AGAIN;
  }
  env->to = to;
  env->from = ctx->self->id;
  env->deadline_us = 0;
  env->corr = 0;
  env->op = op;
  env->flags = 0;
  env->sent_us = ctx->now_us;
  fill_payload(env, payload, size);
  return RT_OK;
}

/* The reply's room is reserved by counting: whoever answers holds at most as many replies as the
 * loops have asks in flight, and each loop has at most overflow_max of them. */
rt_status rt_ask(rt_ctx *ctx, rt_id to, uint16_t op, const void *payload, size_t size,
                 uint64_t deadline_us, uint32_t corr)
{
  struct actor *self = ctx->self;
  const struct rt_config *config = &ctx->runtime->config;
  CHECK(self != NULL && is_address(ctx->runtime, to));
  unsigned kind = rt_id_kind(to);
  CHECK((ctx->runtime->kinds[self->kind].may_ask[kind / 64] >> (kind % 64) & 1) != 0);
  bool no_credit = ctx->entered && ctx->credits_used >= config->credits;
  rt_env *env = NULL;
  if (!no_credit && ctx->asks_out < config->overflow_max && !site_fires(ctx, RT_SITE_ASK_REFUSED)) {
    env = slot_for(ctx, to, false);
  }
  if (env == NULL) {
    own_add(ctx, OWN_REFUSED, 1);
    return RT_AGAIN;
  }
  self->in_flight++;
  ctx->asks_out++;
  if ((self->marks & ACTOR_SERVICE) != 0) {
    ctx->service[self->kind].asks_out++;
    if ((self->marks & ACTOR_EDGE) != 0 && ++ctx->credits_used >= config->credits) {
      ingress_close(ctx);
    }
  }
  env->to = to;
  env->from = self->id;
  env->deadline_us = deadline_us;
  env->corr = corr;
  env->op = op;
  env->flags = RT_F_ASK;
  env->sent_us = ctx->now_us;
  fill_payload(env, payload, size);
  return RT_OK;
}

/* The running actor owes `to` a reply no more. Exactly one reply to each ask. */
static void settle_debt(rt_ctx *ctx, rt_id to, uint32_t corr)
{
  if (ctx->current_open && ctx->current->from == to && ctx->current->corr == corr) {
    ctx->current_open = false;
    return;
  }
  bool is_owed = waiter_take(ctx, ctx->self, to, corr);
  CHECK(is_owed);
}

void rt_reply(rt_ctx *ctx, rt_id to, uint32_t corr, uint16_t op, const void *payload, size_t size)
{
  CHECK(ctx->self != NULL);
  settle_debt(ctx, to, corr);
  send_reply(ctx, ctx->self->id, to, corr, op, payload, size);
}

/* The room is the reply's, which the ask reserved. */
void rt_hand_over(rt_ctx *ctx, rt_id asker, uint32_t corr, rt_id to, uint16_t op,
                  const void *payload, size_t size)
{
  CHECK(ctx->self != NULL && is_address(ctx->runtime, to));
  CHECK(ctx->loop_of_shard[rt_id_shard(to)] == ctx->index);
  settle_debt(ctx, asker, corr);
  rt_env *env = slot_for(ctx, to, true);
  env->to = to;
  env->from = asker;
  env->deadline_us = 0;
  env->corr = corr;
  env->op = op;
  env->flags = RT_F_ASK;
  env->sent_us = ctx->now_us;
  fill_payload(env, payload, size);
}

/* ---- overflow -------------------------------------------------------------------------------- */

static void flush_held_to(rt_ctx *ctx, unsigned loop)
{
  struct fifo *held = &ctx->out[loop].held;
  rt_env *env;
  unsigned count;
  while ((count = fifo_peek(held, RT_BATCH, &env)) > 0) {
    unsigned moved = 0;
    for (; moved < count; moved++) {
      rt_env *slot = ring_slot(ctx, loop);
      if (slot == NULL) {
        break;
      }
      *slot = env[moved];
    }
    if (moved == 0) {
      return;
    }
    fifo_pop(held, moved);
    ctx->held_count -= moved;
  }
  ctx->held_mask &= ~(1ull << loop);
}

void send_flush_held(rt_ctx *ctx)
{
  for (uint64_t mask = ctx->held_mask; mask != 0; mask &= mask - 1) {
    flush_held_to(ctx, (unsigned)__builtin_ctzll(mask));
  }
}

bool send_held_can_go(rt_ctx *ctx)
{
  bool can_go = false;
  for (uint64_t mask = ctx->held_mask; mask != 0; mask &= mask - 1) {
    unsigned loop = (unsigned)__builtin_ctzll(mask);
    can_go |= !ring_wait_for_room(ctx->out[loop].ring);
  }
  return can_go;
}

/* ---- from other threads ---------------------------------------------------------------------- */

rt_status rt_post(rt *runtime, rt_id to, uint16_t op, const void *payload, size_t size)
{
  CHECK(is_address(runtime, to));
  rt_env env = {.to = to, .op = op, .sent_us = runtime->driver->mono_us(runtime->driver)};
  unsigned loop = runtime->loop_of_shard[rt_id_shard(to)];
  fill_payload(&env, payload, size);
  if (!inbox_put(&runtime->loops[loop]->shared->inbox, &env)) {
    return RT_AGAIN;
  }
  loop_wake(runtime, loop);
  return RT_OK;
}

/* ---- what nobody gets ------------------------------------------------------------------------ */

void env_drop(struct rt *runtime, const rt_env *env)
{
  rt_env given = *env;
  if ((env->flags & RT_F_ASK) != 0) { /* its payload goes back to the asker */
    given.to = env->from;
    given.from = env->to;
    given.op = RT_OP_DOWN;
    given.flags = RT_F_REPLY;
  }
  if (env->op == RT_OP_STOPPING && (env->flags & RT_F_SYSTEM) != 0) {
    return;
  }
  const rt_class *class = runtime->kinds[rt_id_kind(given.to)].class;
  if (class != NULL && class->drop != NULL) {
    class->drop(&given);
  }
}
