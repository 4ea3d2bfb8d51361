/* Start and end of a runtime.
 *
 * Happy path: rt_start builds the loops and rings and lets the driver run them; rt_stop drains;
 * rt_join waits for the driver and frees.
 * Ways to fail: the driver cannot start its threads; then everything built is freed again. A job
 * that does not end keeps rt_join from freeing what it uses; the process is about to end then.
 * Invariant: struct rt is constant from rt_start on, but for its atomics. */
#include "holdfast/check.h"
#include "internal.h"

#include <errno.h>

#define DEFAULT_RING 1024u
#define DEFAULT_OVERFLOW 65536u
#define DEFAULT_CREDITS 16384u
#define DEFAULT_LIVE 1048576u
#define DEFAULT_TURN_ENV 256u
#define DEFAULT_TURN_US 500u
#define SWEEPS_PER_IDLE 4u
#define SWEEP_PERIOD_US_MIN 1000u
#define FREE_CHUNKS_MAX 64u

static unsigned or_default(unsigned value, unsigned standard)
{
  return value != 0 ? value : standard;
}

static void set_config(rt *runtime, const struct rt_config *config)
{
  runtime->config = *config;
  struct rt_config *own = &runtime->config;
  own->shards = or_default(config->shards, 1);
  own->ring_size = or_default(config->ring_size, DEFAULT_RING);
  own->overflow_max = or_default(config->overflow_max, DEFAULT_OVERFLOW);
  own->credits = or_default(config->credits, DEFAULT_CREDITS);
  own->live_actors_max = or_default(config->live_actors_max, DEFAULT_LIVE);
  own->turn_env_max = or_default(config->turn_env_max, DEFAULT_TURN_ENV);
  own->turn_us_max = or_default(config->turn_us_max, DEFAULT_TURN_US);
  CHECK(own->loops >= 1 && own->loops <= RT_LOOPS_MAX);
  CHECK(own->shards <= RT_SHARDS_MAX && (own->shards & (own->shards - 1)) == 0);
  CHECK(own->ring_size >= 2 && (own->ring_size & (own->ring_size - 1)) == 0);
  runtime->local_max = own->ring_size + own->overflow_max;
  for (unsigned shard = 0; shard < RT_SHARDS_MAX; shard++) {
    runtime->loop_of_shard[shard] = (uint8_t)(shard % own->loops);
  }
}

static void set_class(rt *runtime, const rt_class *class, unsigned index)
{
  struct kind_info *info = &runtime->kinds[class->kind];
  bool is_service = (class->flags & RT_CLASS_PER_LOOP) != 0;
  CHECK(class->kind > 0 && info->class == NULL);
  CHECK(class->handle != NULL && class->state_bytes <= 4096);
  CHECK(is_service || class->turn_end == NULL);
  info->class = class;
  info->metric = runtime->own.first_class + index * OWN_CLASS_COUNT;
  for (const uint8_t *kind = class->may_ask; kind != NULL && *kind != 0; kind++) {
    info->may_ask[*kind / 64] |= 1ull << (*kind % 64);
  }
  if (!is_service && class->idle_us > 0) {
    uint64_t period_us = class->idle_us / SWEEPS_PER_IDLE;
    period_us = period_us < SWEEP_PERIOD_US_MIN ? SWEEP_PERIOD_US_MIN : period_us;
    if (runtime->sweep_period_us == 0 || period_us < runtime->sweep_period_us) {
      runtime->sweep_period_us = period_us;
    }
  }
}

static void ctx_init(rt *runtime, unsigned index)
{
  rt_ctx *ctx = mem_lines(sizeof *ctx);
  struct rt_driver *driver = runtime->driver;
  unsigned loops = runtime->config.loops;
  runtime->loops[index] = ctx;
  ctx->runtime = runtime;
  ctx->driver = driver;
  ctx->index = index;
  ctx->loops = loops;
  ctx->loop_of_shard = runtime->loop_of_shard;
  ctx->shared = mem_lines(sizeof *ctx->shared);
  inbox_init(&ctx->shared->inbox, runtime->config.ring_size);
  done_list_init(&ctx->shared->done);
  fifo_pool_init(&ctx->chunks, RT_CHUNK_ENVELOPES, FREE_CHUNKS_MAX);
  fifo_pool_init(&ctx->stash_chunks, RT_STASH_ENVELOPES, FREE_CHUNKS_MAX * 8);
  fifo_init(&ctx->local, &ctx->chunks);
  fifo_init(&ctx->system, &ctx->chunks);
  ctx->out = rt_alloc(loops * sizeof *ctx->out);
  ctx->in = rt_alloc(loops * sizeof *ctx->in);
  for (unsigned i = 0; i < loops; i++) {
    fifo_init(&ctx->out[i].held, &ctx->chunks);
    ctx->out[i].ring = runtime->rings[index * loops + i];
    ctx->in[i] = runtime->rings[i * loops + index];
  }
  dir_init(&ctx->dir);
  slab_init(&ctx->slab);
  pool_init(&ctx->waiter_pool, sizeof(struct waiter));
  pool_init(&ctx->stash_pool, sizeof(struct stash));
  pool_init(&ctx->job_pool, sizeof(struct job));
  ctx->sweep_slot = SWEEP_OFF;
  ctx->sweep_next_us = UINT64_MAX;
  ctx->now_us = driver->mono_us(driver);
  timer_wheel_init(&ctx->timers, tick_of(ctx->now_us));
  ctx->cells = runtime->cells[index];
  ctx->own = ctx->cells + runtime->metrics.cell[runtime->config.metrics_count];
  ctx->trace.loop = index;
  random_seed(ctx, driver->entropy(driver));
}

rt *rt_start(struct rt_driver *driver, const struct rt_config *config)
{
  rt *runtime = mem_lines(sizeof *runtime);
  runtime->driver = driver;
  runtime->simulated = driver->dispatched != NULL;
  set_config(runtime, config);
  unsigned loops = runtime->config.loops;
  own_init(&runtime->own, &runtime->config);
  metrics_init(&runtime->metrics, config->metrics, config->metrics_count, runtime->own.table,
               runtime->own.count);
  for (unsigned i = 0; config->classes != NULL && config->classes[i] != NULL; i++) {
    set_class(runtime, config->classes[i], i);
  }
  runtime->rings = rt_alloc(loops * loops * sizeof(struct ring *));
  runtime->cells = rt_alloc(loops * sizeof(struct metric_cell *));
  runtime->loops = rt_alloc(loops * sizeof(rt_ctx *));
  for (unsigned i = 0; i < loops * loops; i++) {
    if (i / loops != i % loops) {
      runtime->rings[i] = ring_new(runtime->config.ring_size);
    }
  }
  for (unsigned i = 0; i < loops; i++) {
    runtime->cells[i] = metrics_cells_new(&runtime->metrics);
    ctx_init(runtime, i);
  }
  int error = driver->pools(driver, config->pools, config->pools_count);
  if (error == 0) {
    error = driver->start(driver, runtime, loops);
  }
  if (error != 0) {
    runtime_free(runtime);
    errno = -error;
    return NULL;
  }
  return runtime;
}

rt_ctx *rt_loop_begin(rt *runtime, unsigned loop)
{
  const struct rt_config *config = &runtime->config;
  rt_ctx *ctx = runtime->loops[loop];
  CHECK(loop < config->loops && !ctx->began);
  trace_bind(&ctx->trace);
  ctx->now_us = ctx->driver->mono_us(ctx->driver);
  ctx->wall_us = 0;
  services_make(ctx);
  if (config->loop_start != NULL) {
    config->loop_start(config->arg, ctx);
  }
  services_load(ctx);
  ctx->began = true;
  return ctx;
}

void rt_loop_end(rt_ctx *ctx)
{
  const struct rt_config *config = &ctx->runtime->config;
  trace_bind(&ctx->trace);
  ctx->self = NULL;
  actors_end(ctx);
  if (config->loop_stop != NULL) {
    config->loop_stop(config->arg, ctx);
  }
  trace_bind(NULL);
}

/* ---- freeing --------------------------------------------------------------------------------- */

static void queue_drop(rt *runtime, struct fifo *queue)
{
  rt_env *env;
  while (fifo_peek(queue, 1, &env) > 0) {
    env_drop(runtime, env);
    fifo_pop(queue, 1);
  }
  fifo_deinit(queue);
}

static void ring_drop(rt *runtime, struct ring *ring)
{
  rt_env *env;
  if (ring == NULL) {
    return;
  }
  ring_publish(ring);
  while (ring_peek(ring, 1, &env) > 0) {
    env_drop(runtime, env);
    ring_skip(ring, 1);
  }
  ring_free(ring);
}

static void ctx_free(rt *runtime, rt_ctx *ctx)
{
  rt_env env;
  struct done_node *node;
  queue_drop(runtime, &ctx->system);
  queue_drop(runtime, &ctx->local);
  for (unsigned i = 0; i < ctx->loops; i++) {
    queue_drop(runtime, &ctx->out[i].held);
  }
  while (inbox_take(&ctx->shared->inbox, &env)) {
    env_drop(runtime, &env);
  }
  while ((node = done_list_take(&ctx->shared->done)) != NULL) {
    job_drop(runtime, (struct job *)(void *)node);
  }
  while (ctx->replay_first != NULL) {
    struct stash *stash = ctx->replay_first;
    ctx->replay_first = stash->next;
    fifo_deinit(&stash->queue);
  }
  fifo_pool_deinit(&ctx->chunks);
  fifo_pool_deinit(&ctx->stash_chunks);
  pool_deinit(&ctx->waiter_pool);
  pool_deinit(&ctx->stash_pool);
  pool_deinit(&ctx->job_pool);
  timer_wheel_deinit(&ctx->timers);
  dir_deinit(&ctx->dir);
  slab_deinit(&ctx->slab);
  quarantine_free(ctx);
  inbox_deinit(&ctx->shared->inbox);
  rt_free((void *)ctx->waiters);
  rt_free((void *)ctx->in);
  rt_free(ctx->out);
  rt_free(ctx->shared);
  rt_free(ctx);
}

void runtime_free(rt *runtime)
{
  unsigned loops = runtime->config.loops;
  for (unsigned i = 0; i < loops * loops; i++) {
    ring_drop(runtime, runtime->rings[i]);
  }
  for (unsigned i = 0; i < loops; i++) {
    ctx_free(runtime, runtime->loops[i]);
    rt_free(runtime->cells[i]);
  }
  metrics_deinit(&runtime->metrics);
  own_deinit(&runtime->own);
  rt_free((void *)runtime->rings);
  rt_free((void *)runtime->cells);
  rt_free((void *)runtime->loops);
  rt_free(runtime);
}

bool rt_join(rt *runtime)
{
  struct rt_driver *driver = runtime->driver;
  if (!driver->join(driver)) {
    return false; /* a job still runs and uses it all */
  }
  bool is_clean = atomic_load(&runtime->ended) == RT_ENDED_CLEAN;
  runtime_free(runtime);
  return is_clean;
}
