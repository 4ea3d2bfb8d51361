/* Jobs: from an actor to a pool thread of the driver and back.
 *
 * The job's record is the node with which the pool thread hands it back, so an answer always finds
 * room. The actor's block cannot go while a job of it is in flight. */
#include "holdfast/check.h"
#include "internal.h"

static struct metric_cell *pool_cell(rt_ctx *ctx, unsigned pool, enum own_pool_scalar which)
{
  return &ctx->own[ctx->runtime->own.first_pool + pool * OWN_POOL_COUNT + (unsigned)which];
}

rt_status rt_work(rt_ctx *ctx, unsigned pool, uint64_t key, void (*fn)(void *arg), void *arg,
                  uint16_t done_op)
{
  struct actor *self = ctx->self;
  CHECK(self != NULL && fn != NULL && pool < ctx->runtime->config.pools_count);
  struct job *job = pool_take(&ctx->job_pool);
  job->ctx = ctx;
  job->arg = arg;
  job->sent_us = ctx->now_us;
  job->actor = self->slot;
  job->done_op = done_op;
  job->pool = (uint16_t)pool;
  job->id = self->id;
  if (site_fires(ctx, RT_SITE_JOB_REFUSED) ||
      !ctx->driver->work(ctx->driver, pool, key, fn, arg, (uint64_t)(uintptr_t)job)) {
    pool_put(&ctx->job_pool, job);
    metrics_add(pool_cell(ctx, pool, OWN_POOL_JOBS_REFUSED), 1);
    return RT_AGAIN;
  }
  self->in_flight++;
  ctx->jobs_out++;
  metrics_add(pool_cell(ctx, pool, OWN_POOL_JOBS), 1);
  metrics_add(pool_cell(ctx, pool, OWN_POOL_JOBS_IN_FLIGHT), 1);
  return RT_OK;
}

void rt_job_done(rt *runtime, uint64_t tag)
{
  struct job *job = (void *)(uintptr_t)tag;
  unsigned loop = job->ctx->index;
  done_list_put(&runtime->loops[loop]->shared->done, &job->node); /* not ours from here on */
  loop_wake(runtime, loop);
}

static void settle(rt_ctx *ctx, const struct job *job)
{
  uint64_t now_us = ctx->driver->mono_us(ctx->driver);
  unsigned id = ctx->runtime->config.metrics_count + ctx->runtime->own.first_job_seconds;
  metrics_add(pool_cell(ctx, job->pool, OWN_POOL_JOBS_IN_FLIGHT), (uint64_t)-1);
  metrics_observe(&ctx->runtime->metrics, ctx->cells, id + job->pool,
                  now_us > job->sent_us ? now_us - job->sent_us : 0);
}

void deliver_job(rt_ctx *ctx, struct job *job)
{
  struct actor *actor = slab_at(&ctx->slab, job->actor);
  rt_env env = {.to = job->id, .from = job->id, .op = job->done_op, .sent_us = job->sent_us};
  CHECK(actor->id == job->id && actor->in_flight > 0 && ctx->jobs_out > 0);
  env.payload.p.ptr = job->arg;
  settle(ctx, job);
  actor->in_flight--;
  ctx->jobs_out--;
  pool_put(&ctx->job_pool, job);
  deliver_answer(ctx, &env, actor);
}

void job_drop(rt *runtime, struct job *job)
{
  rt_env env = {.to = job->id, .from = job->id, .op = job->done_op, .sent_us = job->sent_us};
  env.payload.p.ptr = job->arg;
  env_drop(runtime, &env);
}
