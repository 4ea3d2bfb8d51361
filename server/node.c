/* The composition root: classes, pools, metric table, driver. */
#include <string.h>
#include <unistd.h>

#include "actors/metrics.h"
#include "adapters/store/pool_port.h"
#include "server/log.h"
#include "server/serve.h"

#define CLASSES_MAX 9u
#define POOL_QUEUE_MAX 65536u

static void node_log(void *arg, int level, const char *component, const char *text)
{
  (void)arg;
  log_line(level, component, text);
}

unsigned node_loops(const struct options *options)
{
  if (options->workers > 0)
    return (unsigned)options->workers;
  long cores = sysconf(_SC_NPROCESSORS_ONLN);
  return cores < 1 ? 1u : cores > 64 ? 64u : (unsigned)cores;
}

static void node_setup(struct node *node, const struct options *options)
{
  node->setup = (struct hf_setup){
      .partition_bits = node->engine->partition_bits,
      .port = node->port,
      .batch_units_max = (unsigned)options->batch_units,
      .queue_units_max = (unsigned)options->queue_units,
      .op_timeout_us = options->op_timeout_ms * 1000u,
      .sweep_every_us = options->sweep_ms * 1000u,
      .project_every_us = options->project_ms * 1000u,
      .metric_base = 0,
      .log = node_log,
  };
}

void node_init(struct node *node, const struct options *options, struct store_engine *engine,
               const rt_class *front, const struct rt_metric *metrics, unsigned metrics_count)
{
  static const rt_class *classes[CLASSES_MAX];
  static struct rt_pool_config pools[HF_POOL_COUNT] = {
      [HF_POOL_WRITE] = {"write", 1, POOL_QUEUE_MAX}, [HF_POOL_READ] = {"read", 1, POOL_QUEUE_MAX}};
  const rt_class *all[CLASSES_MAX] = {&hf_store_class, &hf_catalog_class, &hf_user_class,
                                      &hf_names_class, &hf_transit_class, &hf_sweep_class,
                                      front,           NULL};
  memcpy(classes, all, sizeof classes);
  pools[HF_POOL_READ].threads = (unsigned)options->readers;
  *node = (struct node){.engine = engine};
  node->port = pool_port_new(engine, (unsigned)options->window);
  node_setup(node, options);
  node->metrics = rt_alloc((HF_METRIC_COUNT + metrics_count + 1u) * sizeof *node->metrics);
  memcpy(node->metrics, hf_actor_metrics, sizeof hf_actor_metrics);
  if (metrics_count > 0)
    memcpy(node->metrics + HF_METRIC_COUNT, metrics, metrics_count * sizeof *metrics);
  unsigned loops = node_loops(options);
  node->config = (struct rt_config){
      .loops = loops,
      .shards = 1u << engine->partition_bits,
      .classes = classes,
      .pools = pools,
      .pools_count = HF_POOL_COUNT,
      .metrics = node->metrics,
      .metrics_count = HF_METRIC_COUNT + metrics_count,
      .credits = 65536,
      .overflow_max = 262144,
      .live_actors_max = (unsigned)options->live_users + 3u * (1u << engine->partition_bits),
  };
}

bool node_start(struct node *node)
{
  node->driver = driver_uv_new();
  if (node->driver == NULL)
    return false;
  node->runtime = rt_start(node->driver, &node->config);
  return node->runtime != NULL;
}

bool node_stop(struct node *node, uint64_t grace_us)
{
  bool complete = true;
  if (node->runtime != NULL) {
    rt_stop(node->runtime, grace_us);
    complete = rt_join(node->runtime);
  }
  if (!complete)
    return false; /* a job may still use the store: the process ends and takes it all along */
  if (node->driver != NULL)
    driver_uv_free(node->driver);
  pool_port_free(node->port);
  rt_free(node->metrics);
  return complete;
}
