/* Nodes: starting, crashing, sleeping, leaving; and the harm that is done to them. */
#include <string.h>

#include "tests/sim/sim.h"
#include "tests/sim/sim_leaks.h"

#define START_WALL_US 1750000000000000ull
#define DRAIN_US 60000000ull
#define LEAVE_US 5000000ull
#define HARM_ALONE_US 400000u   /* between two harms to a single node */
#define BEAT_US 300000u         /* of a stream that has nothing to say */
#define JOB_US_MIN 10u          /* of a single node's store */
#define SLOW_US_MAX 300000u     /* ... that is slow */
#define OUTAGE_ALONE_US 500000u /* of its store */

/* ---- clocks ---------------------------------------------------------------------------------- */

uint64_t sim_node_clock(const struct sim_node *node, uint64_t world_us)
{
  int64_t gain_us = (int64_t)(world_us / 1000u) * node->drift / 1000;
  return (uint64_t)((int64_t)world_us + gain_us);
}

uint64_t sim_node_next_us(struct sim_node *node)
{
  uint64_t own_us = driver_sim_next_us(node->driver);
  if (node->drift == 0 || own_us == UINT64_MAX)
    return own_us;
  uint64_t at_us = own_us * 1000000u / (uint64_t)(1000000 + node->drift);
  while (sim_node_clock(node, at_us) < own_us)
    at_us++;
  return at_us;
}

void sim_node_skip(struct sim_node *node)
{
  driver_sim_skip(node->driver, sim_node_clock(node, node->world->now_us));
}

/* ---- up and down ----------------------------------------------------------------------------- */

static void loop_start(void *arg, rt_ctx *ctx)
{
  struct sim_node *node = arg;
  node->loops[rt_loop_index(ctx)] = ctx;
  hf_loop_begin(ctx, &node->setup);
  rt_set_local(ctx, SIM_LOCAL_NODE, node);
  int code = front_start(node->front, ctx);
  CHECK(code == 0);
}

static void loop_stop(void *arg, rt_ctx *ctx)
{
  (void)arg;
  front_stop(ctx);
  hf_loop_end(ctx);
}

static void ingress(void *arg, rt_ctx *ctx)
{
  (void)arg;
  front_ingress(ctx);
}

static void escalate(void *arg, const char *reason)
{
  sim_fail(((struct sim_node *)arg)->world, "escalated: %s", reason);
}

static void node_log(void *arg, int level, const char *component, const char *text)
{
  const struct sim_node *node = arg;
  printf("%10llu node %u: %d %s: %s\n", (unsigned long long)node->world->now_us, node->index, level,
         component, text);
}

/* Mostly so far apart that a lease just holds: docs/ARCHITECTURE.md, "Several nodes". */
static int32_t drift_draw(struct sim_world *world)
{
  uint64_t lot = sim_chaos(world) % (2u * SIM_DRIFT_MAX + 1u);
  if (sim_strikes(world, 750))
    lot = lot % 2u == 0 ? 0 : 2u * SIM_DRIFT_MAX;
  return (int32_t)lot - (int32_t)SIM_DRIFT_MAX;
}

static uint64_t start_wall_us(struct sim_world *world)
{
  const int64_t hour_us = 3600000000;
  if (!world->skewed)
    return START_WALL_US;
  return START_WALL_US + sim_chaos(world) % (2u * (uint64_t)hour_us) - (uint64_t)hour_us;
}

void sim_node_init(struct sim_world *world, unsigned index)
{
  struct sim_node *node = &world->nodes[index];
  node->job_us_max = 50u + (uint32_t)(sim_rand(world) % 20000u);
  struct driver_sim_config config = {
    .seed = world->seed + 1000003u * index,
    .start_wall_us = start_wall_us(world),
    .job_delay_us_min = JOB_US_MIN,
    .job_delay_us_max = node->job_us_max,
    .kick_delay_us_max = (uint32_t)(sim_rand(world) % 500u),
    .buggify_percent = 25,
  };
  node->world = world;
  node->index = index;
  node->state = SIM_DOWN;
  node->driver = driver_sim_new(&config);
  node->setup.partition_bits = world->partition_bits;
  if (world->verbose)
    node->setup.log = node_log;
  node->setup.log_arg = node;
  if (world->nodes_count == 1u)
    return;
  if (world->drifts)
    node->drift = drift_draw(world);
  node->folder = (1u + sim_chaos(world) % 1000000u) << HF_NODE_LIFE_BITS;
  node->setup.node_address = "127.0.0.1:1";
  node->setup.node_takes = index == 0 || !sim_strikes(world, 150);
  node->setup.lease_us = world->lease_us;
  sim_port_init(node);
  sim_link_init(node);
}

void sim_node_deinit(struct sim_node *node)
{
  CHECK(node->runtime == NULL);
  driver_sim_free(node->driver);
}

/* Most clients have the environment's key; some who read have one that comes and goes. */
static struct front *front_make(struct sim_world *world)
{
  struct front_config config;
  front_config_default(&config);
  config.admin.given = true;
  memcpy(config.admin.id, SIM_DOOR_ID, sizeof SIM_DOOR_ID);
  config.admin.secret = hf_sha256(SIM_DOOR_SECRET, strlen(SIM_DOOR_SECRET));
  config.metric_base = HF_METRIC_COUNT;
  config.stream_beat_us = BEAT_US;
  return front_new(&config, world->loops);
}

static const struct rt_metric *metrics_all(void)
{
  static struct rt_metric all[HF_METRIC_COUNT + FRONT_METRIC_COUNT];
  memcpy(all, hf_actor_metrics, sizeof hf_actor_metrics);
  memcpy(all + HF_METRIC_COUNT, front_metrics, sizeof front_metrics);
  return all;
}

void sim_node_up(struct sim_node *node)
{
  static const rt_class *const classes[] = {&hf_store_class,
                                            &hf_catalog_class,
                                            &hf_user_class,
                                            &hf_names_class,
                                            &hf_transit_class,
                                            &hf_sweep_class,
                                            &hf_front_class,
                                            &hf_peer_class,
                                            &hf_keeper_class,
                                            &sim_client_class,
                                            NULL};
  static const struct rt_pool_config pools[HF_POOL_COUNT] = {
    [HF_POOL_WRITE] = {"write", 1, 1024}, [HF_POOL_READ] = {"read", 2, 1024}};
  struct sim_world *world = node->world;
  CHECK(node->runtime == NULL);
  if (world->nodes_count == 1u)
    node->port = pool_port_new(&world->store.engine, node->life == 0 ? 1 : 2);
  node->setup.port = node->port;
  node->life++;
  if (world->nodes_count > 1u)
    node->setup.node = node->folder | node->life;
  node->state = SIM_UP;
  memset(node->keys, 0, sizeof node->keys);
  sim_harmed(world, world->now_us);
  sim_node_skip(node);
  node->front = front_make(world);
  node->setup.tails = node->tails;
  for (unsigned i = 0; i < SIM_PARTITIONS_MAX; i++)
    atomic_store_explicit(&node->tails[i], 0, memory_order_relaxed);
  struct rt_config config = {
    .loops = world->loops,
    .shards = 1u << world->partition_bits,
    .classes = classes,
    .pools = pools,
    .pools_count = HF_POOL_COUNT,
    .metrics = metrics_all(),
    .metrics_count = HF_METRIC_COUNT + FRONT_METRIC_COUNT,
    .live_actors_max = world->live_actors_max,
    .overflow_max = world->overflow_max,
    .credits = world->credits,
    .loop_start = loop_start,
    .loop_stop = loop_stop,
    .ingress = ingress,
    .escalate = escalate,
    .arg = node,
  };
  node->runtime = rt_start(node->driver, &config);
  CHECK(node->runtime != NULL);
}

static void node_down(struct sim_node *node)
{
  node->runtime = NULL;
  node->state = SIM_DOWN;
  front_free(node->front);
  node->front = NULL;
  if (node->world->nodes_count == 1u)
    pool_port_free(node->port);
  sim_client_forget(node);
  sim_links_end(node);
}

void sim_node_crash(struct sim_node *node)
{
  node->world->loads += rt_metric_sum(node->runtime, HF_M_USER_LOADS);
  node->world->crashes_busy += sim_client_asks(node) > 0;
  sim_leaks_expected();
  driver_sim_crash(node->driver, node->runtime);
  node->world->crashes++;
  node_down(node);
}

static void wake(struct sim_world *world, void *arg)
{
  struct sim_node *node = arg;
  if (node->state != SIM_ASLEEP)
    return;
  node->state = SIM_UP;
  sim_harmed(world, world->now_us);
  sim_node_skip(node);
}

static void fall_asleep(struct sim_world *world, struct sim_node *node, uint64_t while_us)
{
  if (node->state != SIM_UP)
    return;
  node->state = SIM_ASLEEP;
  world->sleeps++;
  sim_at(world, world->now_us + while_us, wake, node);
}

/* ---- leaving --------------------------------------------------------------------------------- */

static void node_left(struct sim_node *node)
{
  node->world->loads += rt_metric_sum(node->runtime, HF_M_USER_LOADS);
  bool complete = rt_join(node->runtime);
  if (!complete)
    sim_leaks_expected();               /* a drain that is late drops what is under way */
  if (!complete && node->world->ending) /* one that began among the harm may be late */
    sim_fail(node->world, "the drain of node %u did not end", node->index);
  node_down(node);
}

void sim_nodes_end(struct sim_world *world)
{
  bool left = false;
  world->ending = true;
  for (unsigned i = 0; i < world->nodes_count; i++) {
    wake(world, &world->nodes[i]);
    if (world->nodes[i].state == SIM_DOWN)
      continue;
    world->nodes[i].state = SIM_LEAVING;
    rt_stop(world->nodes[i].runtime, DRAIN_US);
  }
  while (!left) {
    (void)sim_step(world, UINT64_MAX);
    left = true;
    for (unsigned i = 0; i < world->nodes_count; i++)
      left = left && driver_sim_ended(world->nodes[i].driver);
  }
  for (unsigned i = 0; i < world->nodes_count; i++)
    if (world->nodes[i].state == SIM_LEAVING)
      node_left(&world->nodes[i]);
}

/* ---- harm ------------------------------------------------------------------------------------ */

static void start_again(struct sim_world *world, void *arg)
{
  struct sim_node *node = arg;
  if (node->state == SIM_DOWN && !world->ending)
    sim_node_up(node);
}

/* Looks whether the node that leaves is gone. */
static void leave_look(struct sim_world *world, void *arg)
{
  struct sim_node *node = arg;
  if (node->state != SIM_LEAVING || world->ending)
    return;
  if (!driver_sim_ended(node->driver)) {
    sim_at(world, world->now_us + 1000u, leave_look, node);
    return;
  }
  node_left(node);
  sim_at(world, world->now_us + sim_chaos(world) % world->lease_us, start_again, node);
}

void sim_harmed(struct sim_world *world, uint64_t until_us)
{
  if (until_us > world->harmed_us)
    world->harmed_us = until_us;
}

static void harm_node(struct sim_world *world, struct sim_node *node)
{
  uint64_t while_us = sim_chaos(world) % (2u * world->lease_us);
  if (node->state != SIM_UP)
    return;
  sim_harmed(world, world->now_us + while_us);
  uint64_t lot = sim_chaos(world) % 7u;
  switch (lot < 2u && !world->crashing ? 2u : lot) {
  case 0:
  case 1:
    sim_node_crash(node);
    sim_check(world, false);
    sim_at(world, world->now_us + while_us, start_again, node);
    break;
  case 2:
  case 3:
    fall_asleep(world, node, while_us);
    break;
  case 4:
    node->state = SIM_LEAVING;
    world->leaves++;
    rt_stop(node->runtime, LEAVE_US);
    sim_at(world, world->now_us + 1000u, leave_look, node);
    break;
  default:
    node->cut_us = world->now_us + while_us;
    break;
  }
}

/* Somebody, or something, sets a node's wall clock: by a little, as a daemon does, or by a lot. */
static void wall_jump(struct sim_world *world, unsigned node)
{
  static const uint64_t most_us[] = {50000, 3000000, 3600000000};
  uint64_t most = most_us[sim_chaos(world) % (sizeof most_us / sizeof *most_us)];
  int64_t by_us = (int64_t)(sim_chaos(world) % (2u * most)) - (int64_t)most;
  driver_sim_wall_jump(world->nodes[node].driver, by_us);
  world->wall_jumps++;
}

static void outage(struct sim_world *world, uint64_t within_us)
{
  world->outage_us = world->now_us + sim_chaos(world) % within_us;
  world->outages++;
  sim_harmed(world, world->outage_us);
}

static void quicken(struct sim_world *world, void *arg)
{
  struct sim_node *node = arg;
  (void)world;
  driver_sim_job_delay(node->driver, JOB_US_MIN, node->job_us_max);
}

/* For a while the disk takes its time, and whatever is asked for waits behind. */
static void slow_down(struct sim_world *world, struct sim_node *node)
{
  const uint32_t slow_us = 1000u + (uint32_t)(sim_chaos(world) % SLOW_US_MAX);
  driver_sim_job_delay(node->driver, slow_us / 2u, slow_us);
  world->slowdowns++;
  sim_at(world, world->now_us + sim_chaos(world) % HARM_ALONE_US, quicken, node);
}

/* A single node: its crashes are drawn by requests, in sim_world.c. */
static void harm_alone(struct sim_world *world)
{
  uint64_t lot = sim_chaos(world) % 10u;
  if (lot == 0)
    outage(world, OUTAGE_ALONE_US);
  else if (lot == 8u)
    slow_down(world, &world->nodes[0]);
  else if (lot == 9u)
    fall_asleep(world, &world->nodes[0], sim_chaos(world) % HARM_ALONE_US);
  else if (lot < 5u && world->jumps)
    wall_jump(world, 0);
}

static void cut(struct sim_world *world, unsigned one)
{
  unsigned two =
    (one + 1u + (unsigned)(sim_chaos(world) % (world->nodes_count - 1u))) % world->nodes_count;
  uint64_t while_us = sim_chaos(world) % (2u * world->lease_us);
  bool silent = sim_strikes(world, 500), both = !silent || !sim_strikes(world, 300);
  sim_links_cut(world, one, two, both, silent, while_us);
}

static void harm_several(struct sim_world *world)
{
  unsigned one = (unsigned)(sim_chaos(world) % world->nodes_count);
  uint64_t lot = sim_chaos(world) % 27u;
  if (lot == 0)
    outage(world, 2u * world->lease_us);
  else if (lot < 6u)
    sim_links_break(world);
  else if (lot < 10u)
    cut(world, one);
  else if (lot < 24u)
    harm_node(world, &world->nodes[one]);
  else if (world->jumps)
    wall_jump(world, one);
}

static void harm(struct sim_world *world, void *arg)
{
  (void)arg;
  if (world->healing || world->ending)
    return;
  bool alone = world->nodes_count == 1u;
  if (alone)
    harm_alone(world);
  else
    harm_several(world);
  uint64_t within_us = alone ? HARM_ALONE_US : world->lease_us;
  sim_at(world, world->now_us + 1000u + sim_chaos(world) % within_us, harm, NULL);
}

void sim_chaos_begin(struct sim_world *world)
{
  uint64_t within_us = world->nodes_count == 1u ? HARM_ALONE_US : 2u * world->lease_us;
  sim_at(world, world->now_us + sim_chaos(world) % within_us, harm, NULL);
}

void sim_nodes_heal(struct sim_world *world)
{
  world->healing = true;
  sim_harmed(world, world->now_us); /* what is late on its way, is so still */
  world->outage_us = 0;
  sim_links_heal(world);
  for (unsigned i = 0; i < world->nodes_count; i++) {
    struct sim_node *node = &world->nodes[i];
    node->cut_us = 0;
    wake(world, node);
    start_again(world, node);
  }
}
