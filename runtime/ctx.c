/* What a running actor asks of its loop: who, when, chance, timers, gate, locals, metrics. */
#include "holdfast/check.h"
#include "internal.h"

rt_id rt_self(const rt_ctx *ctx)
{
  CHECK(ctx->self != NULL);
  return ctx->self->id;
}

rt *rt_of(const rt_ctx *ctx)
{
  return ctx->runtime;
}

unsigned rt_loop_index(const rt_ctx *ctx)
{
  return ctx->index;
}

unsigned rt_loop_count(const rt_ctx *ctx)
{
  return ctx->loops;
}

unsigned rt_loop_of(const rt_ctx *ctx, rt_id id)
{
  return ctx->loop_of_shard[rt_id_shard(id)];
}

/* ---- clocks and chance ----------------------------------------------------------------------- */

uint64_t rt_now_us(const rt_ctx *ctx)
{
  return ctx->now_us;
}

uint64_t rt_clock_us(const rt_ctx *ctx)
{
  return ctx->driver->mono_us(ctx->driver);
}

/* Read at its first use in a turn, then it stands still; the cell is a cache, so const is kept for
 * the caller. */
uint64_t rt_wall_us(const rt_ctx *ctx)
{
  if (ctx->wall_us == 0) {
    rt_ctx *own = ctx->runtime->loops[ctx->index];
    own->wall_us = ctx->driver->wall_us(ctx->driver);
  }
  return ctx->wall_us;
}

/* splitmix64, to fill the state of the generator from one word */
void random_seed(rt_ctx *ctx, uint64_t seed)
{
  for (unsigned i = 0; i < 4; i++) {
    uint64_t x = (seed += 0x9E3779B97F4A7C15ull);
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
    ctx->random[i] = x ^ (x >> 31);
  }
}

static uint64_t rotate(uint64_t x, unsigned by)
{
  return (x << by) | (x >> (64 - by));
}

/* xoshiro256** */
uint64_t rt_rand(rt_ctx *ctx)
{
  uint64_t *s = ctx->random;
  uint64_t result = rotate(s[1] * 5, 7) * 9;
  uint64_t t = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = rotate(s[3], 45);
  return result;
}

bool rt_buggify(rt_ctx *ctx, uint32_t site)
{
  return ctx->driver->buggify(ctx->driver, ctx->index, site);
}

/* ---- timers ---------------------------------------------------------------------------------- */

/* Rounded up: a timer never fires early. */
uint64_t rt_timer(rt_ctx *ctx, uint64_t after_us, uint64_t cookie)
{
  struct actor *self = ctx->self;
  CHECK(self != NULL);
  uint64_t most_us = TIMER_TICKS_MAX * 1000;
  uint64_t due_us = ctx->now_us + (after_us < most_us ? after_us : most_us);
  return timer_arm(&ctx->timers, tick_of(due_us + 999), self->slot, cookie, &self->timers);
}

void rt_timer_stop(rt_ctx *ctx, uint64_t timer)
{
  CHECK(ctx->self != NULL);
  uint32_t owner = timer_owner(&ctx->timers, timer);
  if (owner != TIMER_NONE) {
    CHECK(owner == ctx->self->slot);
    timer_disarm(&ctx->timers, timer, &ctx->self->timers);
  }
}

/* ---- gate ------------------------------------------------------------------------------------ */

void rt_close_gate(rt_ctx *ctx)
{
  CHECK(ctx->self != NULL);
  ctx->self->marks |= ACTOR_GATED;
}

void rt_open_gate(rt_ctx *ctx)
{
  struct actor *self = ctx->self;
  CHECK(self != NULL);
  if (self->phase == ACTOR_LOADING) {
    actor_move(self, ACTOR_ACTIVE);
  }
  if (self->phase == ACTOR_ACTIVE) {
    self->marks &= (uint8_t)~ACTOR_GATED;
    stash_queue_replay(ctx, self);
  }
}

void rt_want_turn_end(rt_ctx *ctx)
{
  const struct actor *self = ctx->self;
  CHECK(self != NULL && (self->marks & ACTOR_SERVICE) != 0);
  CHECK(class_of(ctx, self->kind)->turn_end != NULL);
  ctx->turn_end_mask[self->kind / 64] |= 1ull << (self->kind % 64);
}

/* ---- locals, and speaking from outside a turn ------------------------------------------------ */

void rt_set_local(rt_ctx *ctx, unsigned slot, void *value)
{
  CHECK(slot < RT_LOCALS_MAX);
  ctx->locals[slot] = value;
}

void *rt_local(const rt_ctx *ctx, unsigned slot)
{
  CHECK(slot < RT_LOCALS_MAX);
  return ctx->locals[slot];
}

/* From the first time on the actor is an edge: asks that it has out already use credits too. */
void rt_enter(rt_ctx *ctx, rt_id self)
{
  unsigned kind = rt_id_kind(self);
  struct actor *actor = ctx->services[kind];
  CHECK(ctx->self == NULL && actor != NULL && actor->id == self);
  if ((actor->marks & ACTOR_EDGE) == 0) {
    actor->marks |= ACTOR_EDGE;
    ctx->credits_used += ctx->service[kind].asks_out;
  }
  ctx->self = actor;
  ctx->entered = true;
  if (!ctx->in_turn) {
    ctx->now_us = ctx->driver->mono_us(ctx->driver);
    ctx->wall_us = 0;
  }
}

/* A real loop takes a turn after its socket callbacks anyway; a simulated one must be told. */
void rt_leave(rt_ctx *ctx)
{
  CHECK(ctx->self != NULL && ctx->entered);
  ctx->self = NULL;
  ctx->entered = false;
  if (!ctx->in_turn && ctx->runtime->simulated) {
    loop_wake(ctx->runtime, ctx->index);
  }
}

/* ---- metrics --------------------------------------------------------------------------------- */

static struct metric_cell *cell_of(rt_ctx *ctx, unsigned metric, enum rt_metric_type type)
{
  const struct metrics *metrics = &ctx->runtime->metrics;
  CHECK(metric < ctx->runtime->config.metrics_count && metrics->table[metric].type == type);
  return &ctx->cells[metrics->cell[metric]];
}

void rt_count(rt_ctx *ctx, unsigned metric, uint64_t delta)
{
  metrics_add(cell_of(ctx, metric, RT_COUNTER), delta);
}

void rt_gauge(rt_ctx *ctx, unsigned metric, int64_t value)
{
  metrics_set(cell_of(ctx, metric, RT_GAUGE), (uint64_t)value);
}

void rt_observe(rt_ctx *ctx, unsigned metric, uint64_t value)
{
  cell_of(ctx, metric, RT_HISTOGRAM);
  metrics_observe(&ctx->runtime->metrics, ctx->cells, metric, value);
}

void rt_metrics_write(const rt *runtime, void (*sink)(void *arg, const char *text, size_t size),
                      void *arg)
{
  metrics_write(&runtime->metrics, runtime->cells, runtime->config.loops, sink, arg);
}

uint64_t rt_metric_sum(const rt *runtime, unsigned metric)
{
  return metrics_sum(&runtime->metrics, runtime->cells, runtime->config.loops, metric);
}
