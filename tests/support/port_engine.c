/* port_engine.c - see port_engine.h. */
#include "tests/support/port_engine.h"

#include <pthread.h>

#include "actors/metrics.h"
#include "actors/store/messages.h"
#include "holdfast/check.h"
#include "holdfast/driver.h"

enum { OP_SUBMIT = HF_MESSAGE_END };

struct port_engine {
  struct store_engine engine; /* first */
  struct port_engine_config config;
  struct hf_setup setup;
  struct rt_driver *driver;
  rt *runtime;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  unsigned turn; /* spreads reads over the loops */
};
static struct port_engine *running; /* actors find it here */

static char answered; /* request->owner points here when its answer came */

/* ---- on the loops ---------------------------------------------------------------------------- */

static rt_status asker_handle(rt_ctx *ctx, void *state, const rt_env *env)
{
  struct store_request *request = env->payload.p.ptr;

  (void)state;
  if (env->op == OP_SUBMIT) {
    rt_status status = running->config.port->submit(running->config.port, ctx, request);

    CHECK(status == RT_OK); /* a test has less than a port has room for */
    return RT_OK;
  }
  if (env->op == RT_OP_STOPPING)
    return RT_OK;
  CHECK(env->op == HF_STORE_ANSWER && request->port == NULL);
  pthread_mutex_lock(&running->lock);
  CHECK(request->owner == NULL); /* one answer each */
  request->owner = &answered;
  pthread_cond_broadcast(&running->changed);
  pthread_mutex_unlock(&running->lock);
  return RT_OK;
}

static const rt_class asker_class = {.name = "asker",
                                     .kind = HF_KIND_STORE,
                                     .flags = RT_CLASS_PER_LOOP,
                                     .state_bytes = 8,
                                     .handle = asker_handle};

static void loop_start(void *arg, rt_ctx *ctx)
{
  struct port_engine *engine = arg;

  hf_loop_begin(ctx, &engine->setup);
  if (engine->config.loop_begin != NULL)
    engine->config.loop_begin(engine->config.port, ctx);
}

static void loop_stop(void *arg, rt_ctx *ctx)
{
  const struct port_engine *engine = arg;

  if (engine->config.loop_end != NULL)
    engine->config.loop_end(engine->config.port, ctx);
  hf_loop_end(ctx);
}

/* ---- from the test's threads ----------------------------------------------------------------- */

void port_engine_submit(struct store_engine *base, unsigned loop, struct store_request *request)
{
  struct port_engine *engine = (struct port_engine *)base;

  request->owner = NULL;
  CHECK(rt_post(engine->runtime, hf_loop_actor(HF_KIND_STORE, loop), OP_SUBMIT, &request,
                sizeof request) == RT_OK);
}

void port_engine_await(struct store_engine *base, struct store_request *request)
{
  struct port_engine *engine = (struct port_engine *)base;

  pthread_mutex_lock(&engine->lock);
  while (request->owner != &answered)
    pthread_cond_wait(&engine->changed, &engine->lock);
  pthread_mutex_unlock(&engine->lock);
}

static unsigned loop_of(struct port_engine *engine, const struct store_request *request)
{
  if (request->kind == STORE_COMMIT)
    return request->commit.batches[0].partition % engine->config.loops;
  return engine->turn++ % engine->config.loops;
}

static void execute(struct store_engine *base, struct store_request *request)
{
  port_engine_submit(base, loop_of((struct port_engine *)base, request), request);
  port_engine_await(base, request);
}

static void commit_many(struct store_engine *base, struct store_request **requests, size_t count)
{
  for (size_t i = 0; i < count; i++)
    port_engine_submit(base, loop_of((struct port_engine *)base, requests[i]), requests[i]);
  for (size_t i = 0; i < count; i++)
    port_engine_await(base, requests[i]);
}

static void engine_close(struct store_engine *base)
{
  struct port_engine *engine = (struct port_engine *)base;

  rt_stop(engine->runtime, 5000000);
  CHECK(rt_join(engine->runtime));
  driver_uv_free(engine->driver);
  engine->config.port_free(engine->config.port);
  pthread_mutex_destroy(&engine->lock);
  pthread_cond_destroy(&engine->changed);
  rt_free(engine);
  running = NULL;
}

struct store_engine *port_engine_new(const struct port_engine_config *config)
{
  static const struct store_engine_ops ops = {
    .name = "port", .execute = execute, .commit_many = commit_many, .close = engine_close};
  static const rt_class *const classes[] = {&asker_class, NULL};
  static const struct rt_pool_config pools[] = {{"write", 1, 1024}, {"read", 1, 1024}};
  struct port_engine *engine = rt_alloc(sizeof *engine);
  struct rt_config runtime = {.loops = config->loops,
                              .shards = 4,
                              .classes = classes,
                              .pools = pools,
                              .pools_count = 2,
                              .live_actors_max = 100,
                              .metrics = hf_actor_metrics,
                              .metrics_count = HF_METRIC_COUNT,
                              .loop_start = loop_start,
                              .loop_stop = loop_stop,
                              .arg = engine};

  CHECK(running == NULL);
  running = engine;
  engine->engine = (struct store_engine){.ops = &ops, .partition_bits = config->partition_bits};
  engine->config = *config;
  engine->setup = (struct hf_setup){.partition_bits = config->partition_bits, .port = config->port};
  pthread_mutex_init(&engine->lock, NULL);
  pthread_cond_init(&engine->changed, NULL);
  engine->driver = driver_uv_new();
  engine->runtime = rt_start(engine->driver, &runtime);
  CHECK(engine->runtime != NULL);
  return &engine->engine;
}
