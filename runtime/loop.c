/* One turn of a loop, and the edge of sleep.
 *
 * Happy path, in this order: system lane, answers of jobs, stashes that may be replayed, rings (a
 * share of each), the local queue, timers, posts from outside; then idle actors leave, ingress
 * opens again, per-loop actors end their turn, all that was sent is published.
 * Ways to fail: none. A turn that ran long stops early; each source still gets one batch, so no
 * source starves another.
 * Invariants: the clock an actor sees stands still within a turn; nothing staged outlives it. */
#include "holdfast/check.h"
#include "internal.h"

/* ---- the turn's clock ------------------------------------------------------------------------ */

static void note_slow(rt_ctx *ctx, uint64_t took_us)
{
  own_add(ctx, OWN_SLOW, 1);
  if (took_us < RT_STALL_US) {
    return;
  }
  struct trace_record last = {0};
  if (ctx->trace.count > 0) {
    last = ctx->trace.records[(ctx->trace.count - 1) % TRACE_SIZE];
  }
  last.flags |= TRACE_STALL;
  last.corr = (uint32_t)(took_us / 1000);
  *trace_next(&ctx->trace) = last;
  own_add(ctx, OWN_STALLS, 1);
}

static void turn_clock(rt_ctx *ctx)
{
  uint64_t now_us = ctx->driver->mono_us(ctx->driver);
  uint64_t took_us = now_us - ctx->clock_us;
  ctx->since_clock = 0;
  ctx->clock_us = now_us;
  if (took_us >= RT_SLOW_US) {
    note_slow(ctx, took_us);
  }
  ctx->over_time |= now_us - ctx->now_us >= ctx->runtime->config.turn_us_max;
}

static void sample_wait(rt_ctx *ctx, const rt_env *env)
{
  const struct rt *runtime = ctx->runtime;
  unsigned id = runtime->config.metrics_count + runtime->own.wait_seconds;
  uint64_t wait_us = ctx->now_us > env->sent_us ? ctx->now_us - env->sent_us : 0;
  metrics_observe(&runtime->metrics, ctx->cells, id, wait_us);
  ctx->wait_sampled = true;
}

void turn_spend(rt_ctx *ctx, const rt_env *first, unsigned count)
{
  ctx->turn_count += count;
  ctx->turn_left -= count < ctx->turn_left ? count : ctx->turn_left;
  ctx->since_clock += count;
  if (!ctx->wait_sampled) {
    sample_wait(ctx, first);
  }
  if (ctx->since_clock >= RT_BATCH) {
    turn_clock(ctx);
    ctx->wait_sampled = false;
  }
}

/* How much a source may take: `max`, within the turn's rest, but always one batch. */
static unsigned share(const rt_ctx *ctx, unsigned max)
{
  unsigned left = ctx->over_time ? 0 : ctx->turn_left;
  unsigned count = max < left ? max : left;
  unsigned least = max < RT_BATCH ? max : RT_BATCH;
  return count > least ? count : least;
}

/* ---- sources --------------------------------------------------------------------------------- */

static unsigned run_queue(rt_ctx *ctx, struct fifo *queue, unsigned max)
{
  unsigned done = 0;
  while (done < max && !(ctx->over_time && done >= RT_BATCH)) {
    rt_env *env;
    unsigned room = max - done < RT_BATCH ? max - done : RT_BATCH;
    unsigned count = fifo_peek(queue, room, &env);
    if (count == 0) {
      break;
    }
    deliver_batch(ctx, env, count);
    turn_spend(ctx, env, count);
    fifo_pop(queue, count);
    done += count;
  }
  return done;
}

static unsigned run_ring(rt_ctx *ctx, unsigned from, unsigned max)
{
  struct ring *ring = ctx->in[from];
  unsigned done = 0;
  while (done < max) {
    rt_env *env;
    unsigned room = max - done < RT_BATCH ? max - done : RT_BATCH;
    unsigned count = ring_peek(ring, room, &env);
    if (count == 0) {
      break;
    }
    deliver_batch(ctx, env, count);
    turn_spend(ctx, env, count);
    ring_skip(ring, count);
    done += count;
  }
  ctx->release_mask |= done > 0 ? 1ull << from : 0;
  return done;
}

/* Slots are given back after the publish: each is a store that waits for the lines written before
 * it, and what this turn sends should not wait twice. */
static void release_rings(rt_ctx *ctx)
{
  for (; ctx->release_mask != 0; ctx->release_mask &= ctx->release_mask - 1) {
    unsigned from = (unsigned)__builtin_ctzll(ctx->release_mask);
    if (ring_release(ctx->in[from])) {
      loop_wake(ctx->runtime, from);
    }
  }
}

static void run_rings(rt_ctx *ctx)
{
  uint64_t todo = atomic_load(&ctx->shared->watched);
  unsigned budget = share(ctx, ctx->local.count > 0 ? ctx->turn_left / 2 : ctx->turn_left);
  unsigned done = 0;
  unsigned at = ctx->ring_first;
  while (todo != 0 && done < budget) {
    uint64_t later = todo & (UINT64_MAX << at);
    unsigned from = (unsigned)__builtin_ctzll(later != 0 ? later : todo);
    unsigned left = budget - done;
    done += run_ring(ctx, from, left < RT_RING_TURN_MAX ? left : RT_RING_TURN_MAX);
    todo &= ~(1ull << from);
    at = (from + 1) % RT_LOOPS_MAX;
  }
  ctx->ring_first = at;
  own_add(ctx, OWN_MESSAGES_RING, done);
}

static void run_jobs(rt_ctx *ctx)
{
  unsigned max = share(ctx, ctx->turn_left);
  unsigned done = 0;
  struct done_node *node;
  while (done < max && (node = done_list_take(&ctx->shared->done)) != NULL) {
    rt_env env = {.sent_us = ctx->now_us};
    deliver_job(ctx, (struct job *)(void *)node);
    turn_spend(ctx, &env, 1);
    done++;
  }
  own_add(ctx, OWN_MESSAGES_JOB, done);
}
_Static_assert(offsetof(struct job, node) == 0, "a done node is its job");

static void run_timers(rt_ctx *ctx)
{
  unsigned max = share(ctx, ctx->turn_left);
  unsigned done = 0;
  uint32_t slot;
  uint64_t cookie;
  timer_advance(&ctx->timers, tick_of(ctx->now_us));
  if (ctx->timers.count == 0 || site_fires(ctx, RT_SITE_TIMERS_LATE)) {
    return;
  }
  while (done < max && timer_peek_due(&ctx->timers, &slot, &cookie)) {
    struct actor *actor = slab_at(&ctx->slab, slot);
    rt_env env = {.to = actor->id, .from = actor->id, .op = RT_OP_TIMER, .sent_us = ctx->now_us};
    env.payload.u[0] = cookie;
    timer_take_due(&ctx->timers, &actor->timers);
    deliver_direct(ctx, &env, actor);
    turn_spend(ctx, &env, 1);
    done++;
  }
  own_add(ctx, OWN_MESSAGES_TIMER, done);
}

static void run_posts(rt_ctx *ctx)
{
  unsigned max = share(ctx, RT_POSTS_TURN_MAX);
  unsigned done = 0;
  rt_env env;
  while (done < max && inbox_take(&ctx->shared->inbox, &env)) {
    deliver(ctx, &env, actor_find(ctx, env.to));
    turn_spend(ctx, &env, 1);
    done++;
  }
  own_add(ctx, OWN_MESSAGES_POSTED, done);
}

/* ---- end of the turn ------------------------------------------------------------------------- */

/* What a turn_end asks for again is due in the next turn. */
static void run_turn_ends(rt_ctx *ctx)
{
  for (unsigned word = 0; word < 4; word++) {
    uint64_t mask = ctx->turn_end_mask[word];
    ctx->turn_end_mask[word] = 0;
    for (; mask != 0; mask &= mask - 1) {
      unsigned kind = word * 64 + (unsigned)__builtin_ctzll(mask);
      struct actor *actor = ctx->services[kind];
      if (actor->phase == ACTOR_ACTIVE || actor->phase == ACTOR_LOADING) {
        ctx->self = actor;
        class_of(ctx, kind)->turn_end(ctx, actor->state);
        ctx->self = NULL;
      }
    }
  }
}

static void write_gauges(rt_ctx *ctx)
{
  metrics_set(&ctx->own[OWN_QUEUED_LOCAL], ctx->local.count);
  metrics_set(&ctx->own[OWN_QUEUED_HELD], ctx->held_count);
  metrics_set(&ctx->own[OWN_QUEUED_STASHED], ctx->stashed_count);
  metrics_set(&ctx->own[OWN_ASKS], ctx->asks_out);
  metrics_set(&ctx->own[OWN_CREDITS], ctx->credits_used);
  metrics_set(&ctx->own[OWN_TIMERS], ctx->timers.count);
}

static void close_turn(rt_ctx *ctx)
{
  const struct rt *runtime = ctx->runtime;
  write_gauges(ctx);
  own_add(ctx, OWN_TURNS, 1);
  ctx->turns++;
  if (ctx->turn_count > 0) {
    turn_clock(ctx);
    metrics_observe(&runtime->metrics, ctx->cells,
                    runtime->config.metrics_count + runtime->own.turn_seconds,
                    ctx->clock_us - ctx->now_us);
  }
  ctx->in_turn = false;
}

static void open_turn(rt_ctx *ctx)
{
  unsigned max = ctx->runtime->config.turn_env_max;
  CHECK(ctx->self == NULL && ctx->began);
  trace_bind(&ctx->trace);
  ctx->in_turn = true;
  ctx->now_us = ctx->driver->mono_us(ctx->driver);
  ctx->wall_us = 0;
  ctx->clock_us = ctx->now_us;
  ctx->turn_count = 0;
  ctx->since_clock = 0;
  ctx->over_time = false;
  ctx->wait_sampled = false;
  ctx->turn_left = site_fires(ctx, RT_SITE_TURN_SIZE) ? 1 + (unsigned)(rt_rand(ctx) % max) : max;
}

static bool any_turn_end(const rt_ctx *ctx)
{
  const uint64_t *mask = ctx->turn_end_mask;
  return (mask[0] | mask[1] | mask[2] | mask[3]) != 0;
}

uint64_t rt_turn(rt_ctx *ctx)
{
  open_turn(ctx);
  stop_begin_turn(ctx);
  send_flush_held(ctx);
  own_add(ctx, OWN_MESSAGES_SYSTEM, run_queue(ctx, &ctx->system, ctx->system.count));
  run_jobs(ctx);
  if (ctx->replay_first != NULL) {
    deliver_replays(ctx);
  }
  run_rings(ctx);
  own_add(ctx, OWN_MESSAGES_LOCAL, run_queue(ctx, &ctx->local, share(ctx, ctx->turn_left)));
  run_timers(ctx);
  run_posts(ctx);
  evict_sweep(ctx);
  ingress_reopen(ctx);
  if (any_turn_end(ctx)) {
    run_turn_ends(ctx);
  }
  send_flush_held(ctx);
  send_publish_all(ctx);
  release_rings(ctx);
  close_turn(ctx);
  stop_end_turn(ctx);
  if (loop_has_work(ctx)) {
    return 0;
  }
  uint64_t until_us = ctx->draining ? atomic_load(&ctx->runtime->stop_at_us) : UINT64_MAX;
  uint64_t tick = timer_next(&ctx->timers);
  if (tick < UINT64_MAX / 1000 && tick * 1000 < until_us) {
    until_us = tick * 1000;
  }
  return ctx->sweep_next_us < until_us ? ctx->sweep_next_us : until_us;
}

/* ---- the edge of sleep ----------------------------------------------------------------------- */

bool loop_has_work(rt_ctx *ctx)
{
  bool is_told = !ctx->draining && atomic_load(&ctx->runtime->stop_at_us) != 0;
  return ctx->local.count > 0 || loop_is_told(ctx) || ctx->system.count > 0 ||
         ctx->replay_first != NULL || ctx->sweep_slot != SWEEP_OFF ||
         ctx->timers.heads[TIMER_DUE] != TIMER_NONE || any_turn_end(ctx) || is_told ||
         !inbox_is_empty(&ctx->shared->inbox) || !done_list_is_empty(&ctx->shared->done) ||
         (ctx->held_mask != 0 && send_held_can_go(ctx));
}

/* Partners: loop_wake and publish in send.c. First the flag and the mask, then the look; the other
 * side stores its work first and then looks at them. Rings that are not empty are watched on. */
bool rt_sleep_prepare(rt_ctx *ctx)
{
  bool has_more = false;
  atomic_store(&ctx->shared->asleep, 1);
  uint64_t watched = atomic_exchange(&ctx->shared->watched, 0);
  for (uint64_t mask = watched; mask != 0; mask &= mask - 1) {
    has_more |= ring_has(ctx->in[__builtin_ctzll(mask)]);
  }
  if (has_more || loop_has_work(ctx) || rt_loop_done(ctx)) {
    atomic_fetch_or(&ctx->shared->watched, watched);
    atomic_store(&ctx->shared->asleep, 0);
    return false;
  }
  own_add(ctx, OWN_SLEEPS, 1);
  return true;
}

void rt_sleep_end(rt_ctx *ctx)
{
  atomic_store(&ctx->shared->asleep, 0);
}

bool rt_loop_done(const rt_ctx *ctx)
{
  return atomic_load(&ctx->runtime->ended) != RT_RUNNING;
}
