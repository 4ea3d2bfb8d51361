/* The composition root: classes, pools, metric table, driver; over a shared store the node's
 * number, its place in the lease and the links to the others. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "actors/metrics.h"
#include "adapters/link/link_port.h"
#include "adapters/store/pool_port.h"
#include "server/cli.h"
#include "server/log.h"
#include "server/serve.h"

#define CLASSES_MAX 11u
#define POOL_QUEUE_MAX 65536u
#define PROOFS_WAITING_MAX 64u

enum { NODE_POOL_PROOF = HF_POOL_COUNT, NODE_POOL_COUNT };

unsigned node_loops(const struct options *options)
{
  if (options->workers > 0)
    return (unsigned)options->workers;
  long cores = sysconf(_SC_NPROCESSORS_ONLN);
  return cores < 1 ? 1u : cores > 64 ? 64u : (unsigned)cores;
}

/* ---- a shared store -------------------------------------------------------------------------- */

static bool refuse(const char *what, const char *why)
{
  fprintf(stderr, "holdfast: %s%s\n", what, why);
  return false;
}

static bool links_open(struct node *node, const struct options *options, unsigned loops)
{
  struct link_config config = {.node = node->identity.id,
                               .silence_us = options->lease_ms * 1000u / 2u};
  store_postgres_secret(node->engine, config.secret);
  node->link = link_port_new(&config, loops);
  int code = link_port_listen(node->link, options->node_listen, node->address);
  if (code != 0)
    return refuse("--node-listen: ", strerror(-code));
  return true;
}

static bool share(struct node *node, const struct options *options, unsigned loops)
{
  char why[256] = "";
  if (strcmp(options->own, "auto") != 0 && strcmp(options->own, "none") != 0)
    return refuse("--own is auto or none", "");
  if (!identity_open(&node->identity, options->data, why))
    return refuse(why, "");
  if (node->identity.copied)
    log_line(LOG_WARNING, "node",
             "the data folder was copied or moved: this is a node of its own from now on");
  if (!links_open(node, options, loops))
    return false;
  cli_postgres_config(options, &node->postgres);
  node->postgres.node = node->identity.id;
  node->postgres.log = log_for;
  node->port = store_postgres_port_new(node->engine, &node->postgres, loops);
  return true;
}

/* ---- making ---------------------------------------------------------------------------------- */

static void node_setup(struct node *node, const struct options *options)
{
  unsigned partitions = 1u << node->engine->partition_bits;
  node->setup = (struct hf_setup){
    .partition_bits = node->engine->partition_bits,
    .port = node->port,
    .batch_units_max = (unsigned)options->batch_units,
    .queue_units_max = (unsigned)options->queue_units,
    .op_timeout_us = options->op_timeout_ms * 1000u,
    .sweep_every_us = options->sweep_ms * 1000u,
    .project_every_us = options->project_ms * 1000u,
    .tails = rt_alloc(partitions * sizeof *node->setup.tails),
    .node = node->identity.id,
    .node_address = node->address,
    .node_takes = strcmp(options->own, "none") != 0,
    .lease_us = options->lease_ms * 1000u,
    .link = node->link,
    .metric_base = 0,
    .log = log_for,
  };
}

static void on_loop_start(void *arg, rt_ctx *ctx)
{
  struct node *node = arg;
  hf_loop_begin(ctx, &node->setup);
  if (node->link != NULL) {
    store_postgres_port_loop_begin(node->port, ctx);
    link_port_loop_begin(node->link, ctx);
  }
  if (node->use.loop_start != NULL)
    node->use.loop_start(node->use.arg, ctx);
}

static void on_loop_stop(void *arg, rt_ctx *ctx)
{
  struct node *node = arg;
  if (node->use.loop_stop != NULL)
    node->use.loop_stop(node->use.arg, ctx);
  if (node->link != NULL) {
    link_port_loop_end(node->link, ctx);
    store_postgres_port_loop_end(node->port, ctx);
  }
  hf_loop_end(ctx);
}

static void on_ingress(void *arg, rt_ctx *ctx)
{
  struct node *node = arg;
  if (node->use.ingress != NULL)
    node->use.ingress(node->use.arg, ctx);
}

static void on_escalate(void *arg, const char *why)
{
  struct node *node = arg;
  if (node->use.escalate != NULL)
    node->use.escalate(node->use.arg, why);
}

static void node_configure(struct node *node, const struct options *options, unsigned loops)
{
  static const rt_class *classes[CLASSES_MAX];
  static struct rt_pool_config pools[NODE_POOL_COUNT] = {
    [HF_POOL_WRITE] = {"write", 1, POOL_QUEUE_MAX},
    [HF_POOL_READ] = {"read", 1, POOL_QUEUE_MAX},
    [NODE_POOL_PROOF] = {"proof", 1, PROOFS_WAITING_MAX}};
  static const struct rt_pool_config proofs[] = {{"proof", 1, PROOFS_WAITING_MAX}};
  const rt_class *all[CLASSES_MAX] = {
    &hf_store_class, &hf_catalog_class, &hf_user_class, &hf_names_class, &hf_transit_class,
    &hf_sweep_class, &hf_keeper_class,  &hf_peer_class, node->use.front, NULL};
  memcpy(classes, all, sizeof classes);
  pools[HF_POOL_READ].threads = (unsigned)options->readers;
  unsigned count = node->use.metrics_count;
  node->metrics = rt_alloc((HF_METRIC_COUNT + count + 1u) * sizeof *node->metrics);
  memcpy(node->metrics, hf_actor_metrics, sizeof hf_actor_metrics);
  if (count > 0)
    memcpy(node->metrics + HF_METRIC_COUNT, node->use.metrics, count * sizeof *node->metrics);
  node->config = (struct rt_config){
    .loops = loops,
    .shards = 1u << node->engine->partition_bits,
    .classes = classes,
    .pools = node->port->shared ? proofs : pools,
    .pools_count = node->port->shared ? 1u : NODE_POOL_COUNT,
    .metrics = node->metrics,
    .metrics_count = HF_METRIC_COUNT + count,
    .credits = 65536,
    .overflow_max = 262144,
    .live_actors_max = (unsigned)options->live_users,
    .loop_start = on_loop_start,
    .loop_stop = on_loop_stop,
    .ingress = on_ingress,
    .escalate = on_escalate,
    .arg = node,
  };
}

static void node_free(struct node *node)
{
  if (node->driver != NULL)
    driver_uv_free(node->driver);
  if (node->link != NULL)
    link_port_free(node->link);
  if (node->port == NULL)
    node->engine->ops->close(node->engine);
  else if (node->port->shared)
    store_postgres_port_free(node->port);
  else
    pool_port_free(node->port);
  identity_close(&node->identity);
  rt_free(node->metrics);
  rt_free(node->setup.tails);
}

bool node_init(struct node *node, const struct options *options, struct store_engine *engine,
               const struct node_use *use)
{
  unsigned loops = node_loops(options);
  *node = (struct node){.engine = engine, .identity = {.file = -1}, .use = *use};
  if (!cli_is_postgres(options->store)) {
    node->port = pool_port_new(engine, (unsigned)options->window);
  } else if (!share(node, options, loops)) {
    node_free(node);
    return false;
  }
  node_setup(node, options);
  node_configure(node, options, loops);
  return true;
}

unsigned node_proof_pool(const struct options *options)
{
  return cli_is_postgres(options->store) ? 0u : NODE_POOL_PROOF;
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
  /* Everything is answered: the others need not wait for the lease to end. */
  if (node->port->shared && node->runtime != NULL &&
      store_postgres_leave(node->engine, node->identity.id) != HF_OK)
    log_line(LOG_WARNING, "node", "the partitions are free when the lease has ended");
  node_free(node);
  return complete;
}
