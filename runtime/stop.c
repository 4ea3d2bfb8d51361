/* The ordered drain, and how the loops find that it is complete.
 *
 * Happy path: rt_stop sets the deadline; each loop closes its ingress, tells its per-loop actors in
 * reverse order of kind, and goes on working. At the end of a turn after which nothing is queued or
 * in flight here, the loop says that it is quiet and looks at the others; the last one finds all
 * quiet and all rings empty, and ends the runtime.
 * Ways to fail: at the deadline any loop ends it as late.
 * Why the look is sound: a loop takes back that it is quiet before it reads a ring, and its
 * word carries the number of its turn. Words read twice, equal, with empty rings between, mean that
 * no loop ran in between and none has anything left to read. */
#include "holdfast/check.h"
#include "internal.h"

static void end(struct rt *runtime, uint32_t how)
{
  uint32_t running = RT_RUNNING;
  if (atomic_compare_exchange_strong(&runtime->ended, &running, how)) {
    for (unsigned i = 0; i < runtime->config.loops; i++) {
      loop_wake(runtime, i);
    }
  }
}

static bool services_are_idle(const rt_ctx *ctx)
{
  for (unsigned kind = 1; kind < 256; kind++) {
    const struct actor *actor = ctx->services[kind];
    if (actor == NULL || actor->phase == ACTOR_DOWN) {
      continue;
    }
    const rt_class *class = class_of(ctx, kind);
    if (class->idle != NULL && !class->idle(actor->state)) {
      return false;
    }
  }
  return true;
}

static bool is_quiet(rt_ctx *ctx)
{
  return ctx->asks_out == 0 && ctx->jobs_out == 0 && ctx->held_count == 0 &&
         ctx->stashed_count == 0 && !loop_has_work(ctx) && services_are_idle(ctx);
}

static bool all_quiet(struct rt *runtime)
{
  uint64_t words[RT_LOOPS_MAX];
  unsigned loops = runtime->config.loops;
  for (unsigned i = 0; i < loops; i++) {
    words[i] = atomic_load(&runtime->loops[i]->shared->quiet);
    if ((words[i] & 1) == 0) {
      return false;
    }
  }
  for (unsigned i = 0; i < loops * loops; i++) {
    if (runtime->rings[i] != NULL && !ring_is_empty(runtime->rings[i])) {
      return false;
    }
  }
  for (unsigned i = 0; i < loops; i++) {
    if (atomic_load(&runtime->loops[i]->shared->quiet) != words[i]) {
      return false;
    }
  }
  return true;
}

static void tell_services(rt_ctx *ctx, uint64_t stop_at_us)
{
  for (unsigned kind = 256; kind-- > 1;) {
    if (ctx->services[kind] == NULL) {
      continue;
    }
    rt_env *env = fifo_push(&ctx->system);
    *env = (rt_env){.to = ctx->services[kind]->id,
                    .op = RT_OP_STOPPING,
                    .flags = RT_F_SYSTEM,
                    .sent_us = ctx->now_us};
    env->payload.u[0] = stop_at_us;
  }
}

void stop_begin_turn(rt_ctx *ctx)
{
  uint64_t stop_at_us = atomic_load(&ctx->runtime->stop_at_us);
  if (stop_at_us == 0) {
    return;
  }
  atomic_store(&ctx->shared->quiet, 0);
  if (!ctx->draining) {
    ctx->draining = true;
    ingress_close(ctx);
    tell_services(ctx, stop_at_us);
  }
}

void stop_end_turn(rt_ctx *ctx)
{
  struct rt *runtime = ctx->runtime;
  if (!ctx->draining) {
    return;
  }
  if (ctx->now_us >= atomic_load(&runtime->stop_at_us)) {
    end(runtime, RT_ENDED_LATE);
  } else if (is_quiet(ctx)) {
    atomic_store(&ctx->shared->quiet, ctx->turns * 2 + 1);
    if (all_quiet(runtime)) {
      end(runtime, RT_ENDED_CLEAN);
    }
  }
}

void rt_stop(rt *runtime, uint64_t drain_us)
{
  struct rt_driver *driver = runtime->driver;
  uint64_t none = 0;
  uint64_t now_us = driver->mono_us(driver);
  uint64_t at_us = drain_us < UINT64_MAX - now_us ? now_us + drain_us : UINT64_MAX;
  if (!atomic_compare_exchange_strong(&runtime->stop_at_us, &none, at_us > 0 ? at_us : 1)) {
    return;
  }
  for (unsigned i = 0; i < runtime->config.loops; i++) {
    loop_wake(runtime, i);
  }
}
