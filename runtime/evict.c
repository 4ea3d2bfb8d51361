/* Who has to leave memory: under the cap by CLOCK, otherwise by idle time.
 *
 * Every message raises an actor's use count (0..3); the hand goes round over all blocks, halves the
 * count of whom it passes, and takes the first one that has none and may go. From 7/8 of the cap on
 * each activation moves the hand a little, so that the cap itself is rarely met.
 * Idle time is found by a sweep over the blocks, four times in the shortest idle time: no list to
 * keep, no write to a neighbour for each message. */
#include "holdfast/check.h"
#include "internal.h"

#define EVICT_STEPS 32u /* near the cap, for each activation */
#define EVICT_VICTIMS 2u
#define EVICT_STEPS_AT_CAP 1024u
#define SWEEP_SLICE 256u /* blocks looked at in a turn */

bool evict_allowed(rt_ctx *ctx, const struct actor *actor)
{
  if (actor->phase != ACTOR_ACTIVE || (actor->marks & (ACTOR_SERVICE | ACTOR_GATED)) != 0 ||
      actor->in_flight > 0 || actor->waiters != NULL || stash_count(actor) > 0 ||
      actor == ctx->self) {
    return false;
  }
  const rt_class *class = class_of(ctx, actor->kind);
  return class->idle == NULL || class->idle(actor->state);
}

/* Moves the hand over up to `steps` actors and passivates up to `victims`. */
static void turn_hand(rt_ctx *ctx, unsigned steps, unsigned victims)
{
  while (steps-- > 0 && victims > 0) {
    struct actor *actor = slab_next(&ctx->slab, ctx->clock_hand);
    if (actor == NULL) {
      ctx->clock_hand = 0;
      continue;
    }
    ctx->clock_hand = (uint64_t)actor->slot + 1;
    if (actor->uses > 0) {
      actor->uses = (uint8_t)(actor->uses / 2);
    } else if (evict_allowed(ctx, actor)) {
      actor_passivate(ctx, actor);
      victims--;
    }
  }
}

bool evict_for_room(rt_ctx *ctx)
{
  unsigned max = ctx->runtime->config.live_actors_max;
  if (ctx->live >= max) {
    turn_hand(ctx, EVICT_STEPS_AT_CAP, 1);
    return ctx->live < max;
  }
  if (ctx->live >= max - max / 8) {
    turn_hand(ctx, EVICT_STEPS, EVICT_VICTIMS);
  }
  return true;
}

static bool is_idle_too_long(const rt_ctx *ctx, const struct actor *actor)
{
  uint64_t idle_us = class_of(ctx, actor->kind)->idle_us;
  uint32_t now_ms = (uint32_t)tick_of(ctx->now_us);
  return idle_us > 0 && (uint64_t)(now_ms - actor->seen_ms) * 1000 >= idle_us;
}

void evict_sweep(rt_ctx *ctx)
{
  uint64_t period_us = ctx->runtime->sweep_period_us;
  if (period_us == 0) {
    return;
  }
  if (ctx->sweep_slot == SWEEP_OFF) {
    if (ctx->live == 0) {
      ctx->sweep_next_us = UINT64_MAX;
    } else if (ctx->sweep_next_us == UINT64_MAX) {
      ctx->sweep_next_us = ctx->now_us + period_us;
    }
    if (ctx->now_us < ctx->sweep_next_us) {
      return;
    }
    ctx->sweep_slot = 0;
  }
  for (unsigned i = 0; i < SWEEP_SLICE; i++) {
    struct actor *actor = slab_next(&ctx->slab, ctx->sweep_slot);
    if (actor == NULL) {
      ctx->sweep_slot = SWEEP_OFF;
      ctx->sweep_next_us = ctx->now_us + period_us;
      return;
    }
    ctx->sweep_slot = (uint64_t)actor->slot + 1;
    if (is_idle_too_long(ctx, actor) && evict_allowed(ctx, actor)) {
      actor_passivate(ctx, actor);
    }
  }
}
