/* Activation, passivation, failure and restart.
 *
 * Happy path: FREE -> LOADING -> ACTIVE -> ENDING -> FREE. A load that answers RT_OK passes LOADING
 * within the call.
 * Ways to fail: RT_FAIL from load or handle drops the state at once; the block stays as ENDING
 * until the last answer to its asks and jobs has come, so that no answer reaches a successor.
 * A per-loop actor is then restarted in place while its budget lasts; a virtual one is reloaded by
 * the next message, unless it failed three times in 60 s.
 * Invariants: only actor_move writes the phase; a FREE block has no answer in flight, no waiter, no
 * timer and no stash. */
#include "holdfast/check.h"
#include "internal.h"

#include <string.h>

#define RESTARTS_MAX 1u
#define RESTARTS_PERIOD_US (5u * 1000000u)
#define QUARANTINE_FAILURES 3u
#define QUARANTINE_PERIOD_US (60u * 1000000u)
#define QUARANTINE_SETS 256u
#define QUARANTINE_WAYS 4u

void actor_move(struct actor *actor, enum actor_phase to)
{
#define BIT(phase) (1u << (phase))
  static const uint8_t allowed[] = {
    [ACTOR_FREE] = BIT(ACTOR_LOADING),
    [ACTOR_LOADING] = BIT(ACTOR_ACTIVE) | BIT(ACTOR_ENDING),
    [ACTOR_ACTIVE] = BIT(ACTOR_ENDING),
    [ACTOR_ENDING] = BIT(ACTOR_LOADING) | BIT(ACTOR_FREE) | BIT(ACTOR_DOWN),
    [ACTOR_DOWN] = 0,
  };
#undef BIT
  CHECK((allowed[actor->phase] >> to & 1u) != 0);
  actor->phase = (uint8_t)to;
}

/* ---- quarantine ------------------------------------------------------------------------------ */

/* The actors that failed lately: a small cache; the oldest of a set makes room. */
struct quarantine {
  struct suspect {
    rt_id id;
    uint64_t since_us; /* first failure of the period */
    uint64_t until_us; /* refused until then; 0: not refused */
    uint32_t failures;
  } sets[QUARANTINE_SETS][QUARANTINE_WAYS];
};

static struct suspect *suspect_find(rt_ctx *ctx, rt_id id)
{
  struct suspect *set = ctx->quarantine->sets[dir_hash(id) % QUARANTINE_SETS];
  for (unsigned i = 0; i < QUARANTINE_WAYS; i++) {
    if (set[i].id == id) {
      return &set[i];
    }
  }
  return NULL;
}

static bool is_quarantined(rt_ctx *ctx, rt_id id)
{
  if (ctx->quarantine == NULL) {
    return false;
  }
  const struct suspect *suspect = suspect_find(ctx, id);
  return suspect != NULL && suspect->until_us > ctx->now_us;
}

static void quarantine_note(rt_ctx *ctx, rt_id id)
{
  if (ctx->quarantine == NULL) {
    ctx->quarantine = rt_alloc(sizeof *ctx->quarantine);
  }
  struct suspect *suspect = suspect_find(ctx, id);
  if (suspect == NULL) {
    struct suspect *set = ctx->quarantine->sets[dir_hash(id) % QUARANTINE_SETS];
    suspect = &set[0];
    for (unsigned i = 1; i < QUARANTINE_WAYS; i++) {
      suspect = set[i].since_us < suspect->since_us ? &set[i] : suspect;
    }
    suspect->id = id;
    suspect->failures = 0;
  }
  if (suspect->failures == 0 || ctx->now_us - suspect->since_us > QUARANTINE_PERIOD_US) {
    suspect->since_us = ctx->now_us;
    suspect->until_us = 0;
    suspect->failures = 0;
  }
  if (++suspect->failures >= QUARANTINE_FAILURES) {
    suspect->until_us = ctx->now_us + QUARANTINE_PERIOD_US;
    suspect->failures = 0;
    own_add(ctx, OWN_QUARANTINES, 1);
  }
}

void quarantine_free(rt_ctx *ctx)
{
  rt_free(ctx->quarantine);
  ctx->quarantine = NULL;
}

/* ---- the state of an actor ------------------------------------------------------------------- */

static void gauge_live(rt_ctx *ctx, unsigned kind, int64_t delta)
{
  metrics_add(class_cell(ctx, kind, OWN_CLASS_LIVE), (uint64_t)delta);
}

/* Frees what the state points to; the state is gone afterwards. */
static void state_drop(rt_ctx *ctx, struct actor *actor)
{
  const rt_class *class = class_of(ctx, actor->kind);
  struct actor *self = ctx->self;
  ctx->self = actor;
  if (class->passivate != NULL) {
    class->passivate(ctx, actor->state);
  }
  ctx->self = self;
  memset(actor->state, 0, class->state_bytes);
  timer_disarm_all(&ctx->timers, &actor->timers);
}

/* A tell finds nobody when there is no room, and a shard's actors live by what they are told. */
static bool is_capped(const rt_class *class)
{
  return (class->flags & RT_CLASS_PER_SHARD) == 0;
}

static void actor_free(rt_ctx *ctx, struct actor *actor)
{
  CHECK(actor->in_flight == 0 && actor->waiters == NULL);
  CHECK(actor->timers == TIMER_NONE && stash_count(actor) == 0);
  stash_release(ctx, actor);
  dir_remove(&ctx->dir, actor->id);
  actor_move(actor, ACTOR_FREE);
  gauge_live(ctx, actor->kind, -1);
  ctx->live -= is_capped(class_of(ctx, actor->kind));
  slab_put(&ctx->slab, actor);
  ctx->free_epoch++;
}

/* Calls load; the block's state is zero. The actor may be gone afterwards. */
static void actor_start(rt_ctx *ctx, struct actor *actor)
{
  const rt_class *class = class_of(ctx, actor->kind);
  rt_status status = RT_OK;
  CHECK(ctx->self == NULL);
  actor_move(actor, ACTOR_LOADING);
  actor->marks |= ACTOR_GATED;
  metrics_add(class_cell(ctx, actor->kind, OWN_CLASS_ACTIVATED), 1);
  ctx->self = actor;
  if (class->load != NULL) {
    status = class->load(ctx, actor->state);
  }
  if (status == RT_OK && actor->phase == ACTOR_LOADING) {
    rt_open_gate(ctx);
  }
  ctx->self = NULL;
  if (status == RT_STOP || status == RT_FAIL) {
    actor_leave(ctx, actor, status);
  } else {
    CHECK(status == RT_OK || status == RT_WAIT);
  }
}

struct actor *actor_activate(rt_ctx *ctx, rt_id id, uint16_t *ret_op)
{
  unsigned kind = rt_id_kind(id);
  const rt_class *class = class_of(ctx, kind);
  CHECK(class != NULL && (class->flags & RT_CLASS_PER_LOOP) == 0);
  *ret_op = RT_OP_DOWN;
  if (is_quarantined(ctx, id)) {
    return NULL;
  }
  if (is_capped(class) && !evict_for_room(ctx)) {
    *ret_op = RT_OP_OVERLOADED;
    return NULL;
  }
  struct actor *actor = slab_take(&ctx->slab, (uint8_t)kind, class->state_bytes);
  actor->id = id;
  actor->timers = TIMER_NONE;
  actor->seen_ms = (uint32_t)tick_of(ctx->now_us);
  dir_insert(&ctx->dir, id, actor);
  ctx->live += is_capped(class);
  gauge_live(ctx, kind, 1);
  uint32_t epoch = ctx->free_epoch;
  actor_start(ctx, actor);
  bool is_gone = ctx->free_epoch != epoch && actor_find(ctx, id) != actor;
  return is_gone || actor->phase == ACTOR_ENDING ? NULL : actor;
}

void actor_passivate(rt_ctx *ctx, struct actor *actor)
{
  metrics_add(class_cell(ctx, actor->kind, OWN_CLASS_PASSIVATED), 1);
  actor_move(actor, ACTOR_ENDING);
  actor->marks |= ACTOR_GATED;
  state_drop(ctx, actor);
  actor_ending_step(ctx, actor); /* its last act may have been to hand in a job */
}

/* ---- failure --------------------------------------------------------------------------------- */

/* False: the budget is used up. */
static bool restart_allowed(rt_ctx *ctx, unsigned kind)
{
  struct service *service = &ctx->service[kind];
  if (service->restarts == 0 || ctx->now_us - service->restarts_since_us > RESTARTS_PERIOD_US) {
    service->restarts_since_us = ctx->now_us;
    service->restarts = 0;
  }
  return ++service->restarts <= RESTARTS_MAX;
}

static void service_left(rt_ctx *ctx, const struct actor *actor, rt_status why)
{
  const struct rt_config *config = &ctx->runtime->config;
  if (why == RT_FAIL && restart_allowed(ctx, actor->kind)) {
    return;
  }
  ctx->service[actor->kind].finished = true;
  if (why == RT_FAIL && config->escalate != NULL) {
    config->escalate(config->arg, class_of(ctx, actor->kind)->name);
  }
}

void actor_leave(rt_ctx *ctx, struct actor *actor, rt_status why)
{
  bool was_open = actor->phase == ACTOR_ACTIVE;
  bool is_service = (actor->marks & ACTOR_SERVICE) != 0;
  actor_move(actor, ACTOR_ENDING);
  actor->marks |= ACTOR_GATED;
  metrics_add(
    class_cell(ctx, actor->kind, why == RT_FAIL ? OWN_CLASS_FAILED : OWN_CLASS_PASSIVATED), 1);
  state_drop(ctx, actor);
  waiters_down(ctx, actor);
  if (why == RT_FAIL || !was_open) {
    stash_refuse(ctx, actor, RT_OP_DOWN);
  }
  if (is_service) {
    service_left(ctx, actor, why);
  } else if (why == RT_FAIL) {
    quarantine_note(ctx, actor->id);
  }
  actor_ending_step(ctx, actor);
}

void actor_ending_step(rt_ctx *ctx, struct actor *actor)
{
  CHECK(actor->phase == ACTOR_ENDING);
  if (actor->in_flight > 0) {
    return;
  }
  bool is_service = (actor->marks & ACTOR_SERVICE) != 0;
  bool is_barred = is_service ? ctx->service[actor->kind].finished : is_quarantined(ctx, actor->id);
  if (is_barred) {
    stash_refuse(ctx, actor, RT_OP_DOWN);
  }
  if (is_service && is_barred) {
    actor_move(actor, ACTOR_DOWN);
  } else if (is_service || stash_count(actor) > 0) {
    actor->generation = ++ctx->slab.generation;
    actor_start(ctx, actor);
  } else {
    actor_free(ctx, actor);
  }
}

/* ---- per-loop actors ------------------------------------------------------------------------- */

void services_make(rt_ctx *ctx)
{
  for (unsigned kind = 1; kind < 256; kind++) {
    const rt_class *class = class_of(ctx, kind);
    if (class == NULL || (class->flags & RT_CLASS_PER_LOOP) == 0) {
      continue;
    }
    struct actor *actor = slab_take(&ctx->slab, (uint8_t)kind, class->state_bytes);
    actor->id = rt_id_make(kind, ctx->index, 0);
    actor->timers = TIMER_NONE;
    actor->marks = ACTOR_SERVICE;
    ctx->services[kind] = actor;
    gauge_live(ctx, kind, 1);
  }
}

void services_load(rt_ctx *ctx)
{
  for (unsigned kind = 1; kind < 256; kind++) {
    if (ctx->services[kind] != NULL) {
      actor_start(ctx, ctx->services[kind]);
    }
  }
}

/* ---- the end --------------------------------------------------------------------------------- */

static void actor_end(rt_ctx *ctx, struct actor *actor)
{
  bool has_state = actor->phase == ACTOR_ACTIVE || actor->phase == ACTOR_LOADING;
  if (has_state) {
    actor_move(actor, ACTOR_ENDING);
    state_drop(ctx, actor);
  }
  waiters_down(ctx, actor);
  stash_refuse(ctx, actor, RT_OP_DOWN);
  stash_release(ctx, actor);
}

/* Virtual actors in order of slot, then the per-loop ones in reverse order of kind. Blocks stay
 * until the loop is freed. */
void actors_end(rt_ctx *ctx)
{
  struct actor *actor;
  for (uint64_t slot = 0; (actor = slab_next(&ctx->slab, slot)) != NULL;
       slot = (uint64_t)actor->slot + 1) {
    if ((actor->marks & ACTOR_SERVICE) == 0) {
      actor_end(ctx, actor);
    }
  }
  for (unsigned kind = 256; kind-- > 1;) {
    if (ctx->services[kind] != NULL) {
      actor_end(ctx, ctx->services[kind]);
    }
  }
}
