/* sim_run: runs seeds. `sim_run [--seed N] [--seeds K] [--ops M] [--nodes N] [--verbose]`; without
 * --nodes each seed draws 1 to 5 of them. The last line is "seeds K ok trace <hex>" or names the
 * failing seed and how to run it again. */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

#define PHASE_ONE_US 60000000ull  /* virtual */
#define PHASE_TWO_US 600000000ull /* virtual: by then every request must be final */

static bool all_final(const struct sim_world *world)
{
  if (world->requests_count < world->requests_max)
    return false;
  for (unsigned i = 0; i < world->requests_count; i++)
    if (world->requests[i].state != SIM_FINAL)
      return false;
  return true;
}

static void setup_draw(struct sim_world *world, struct hf_setup *ret_setup)
{
  ret_setup->batch_units_max = sim_chance(world, 300) ? 2u : 8192u;
  ret_setup->queue_units_max = 65536;
  ret_setup->op_timeout_us = 10000000;
  ret_setup->sweep_every_us = sim_chance(world, 300) ? 0 : 500000;
  ret_setup->project_every_us = sim_chance(world, 500) ? 0 : 200000;
}

static unsigned nodes_draw(struct sim_world *world)
{
  return sim_chance(world, 400) ? 1u : 1u + (unsigned)(sim_rand(world) % SIM_NODES_MAX);
}

/* One seed's world: sizes, rates and caps are drawn from it. */
static void world_draw(struct sim_world *world, uint64_t seed, unsigned ops, unsigned nodes)
{
  struct hf_setup setup = {0};
  world->seed = world->rng = seed;
  world->chaos_rng = seed ^ 0x5bd1e9955bd1e995ull;
  unsigned drawn = nodes_draw(world);
  world->nodes_count = nodes == 0 ? drawn : nodes;
  world->loops = 1u + (unsigned)(sim_rand(world) % 3u);
  world->partition_bits = (unsigned)(sim_rand(world) % 4u);
  world->lease_us = 300000u + sim_rand(world) % 2000000u;
  world->stuck = sim_chance(world, 500) ? 5u : 40u;
  setup_draw(world, &setup);
  world->users_max = 2u + (unsigned)(sim_rand(world) % 30u);
  world->users_base = world->users_count = 1u + world->users_max / 2u;
  world->live_actors_max = sim_chance(world, 300) ? 60u : 10000u;
  world->requests_max = ops;
  world->pace = 1000u;
  if (world->nodes_count > 1u) { /* more requests, so far apart that they last for some leases */
    world->requests_max = 4u * ops;
    world->pace = (40u + (unsigned)(sim_rand(world) % 60u)) / world->nodes_count;
  }
  world->inflight_max = (world->nodes_count > 1u ? 60u : 1u) + (unsigned)(sim_rand(world) % 60u);
  if (sim_chance(world, 200)) /* more than the clients can fill, or nobody else would get to ask */
    world->overflow_max = SIM_USERS_MAX + world->inflight_max + (unsigned)(sim_rand(world) % 16u);
  world->requests = rt_alloc((world->requests_max + 1u) * sizeof *world->requests);
  for (unsigned i = 0; i < world->users_max; i++)
    snprintf(world->users[i].external_id, sizeof world->users[i].external_id, "sim-user-%u", i);
  if (sim_chance(world, 800)) {
    world->store.faults = (struct sim_faults){
      .commit_refused = (unsigned)(sim_rand(world) % 60u),
      .commit_unknown = (unsigned)(sim_rand(world) % 60u),
      .read_refused = (unsigned)(sim_rand(world) % 40u),
      .open_refused = (unsigned)(sim_rand(world) % 200u),
      .lease_refused = (unsigned)(sim_rand(world) % 100u),
    };
  }
  for (unsigned i = 0; i < world->nodes_count; i++) {
    world->nodes[i].setup = setup;
    sim_node_init(world, i);
  }
}

static void run_until(struct sim_world *world, uint64_t until_us)
{
  while (world->failure[0] == '\0' && !(world->healing && all_final(world)) &&
         sim_step(world, until_us)) {
  }
}

static void wall_jump(struct sim_world *world)
{
  struct sim_node *node = &world->nodes[sim_rand(world) % world->nodes_count];
  if (sim_chance(world, 300))
    driver_sim_wall_jump(node->driver, (int64_t)(sim_rand(world) % 7200000000u) - 3600000000);
}

static void phase_one(struct sim_world *world)
{
  bool alone = world->nodes_count == 1u;
  unsigned crashes = alone && sim_chance(world, 700) ? (unsigned)(sim_rand(world) % 6u) : 0;
  if (!alone)
    sim_chaos_begin(world);
  for (unsigned i = 0; i <= crashes && world->failure[0] == '\0'; i++) {
    uint64_t slice_us = i == crashes ? PHASE_ONE_US / 4u : sim_rand(world) % 3000000u;
    uint64_t until_us = world->now_us + slice_us;
    while (world->failure[0] == '\0' && world->requests_count < world->requests_max &&
           sim_step(world, until_us)) {
    }
    wall_jump(world);
    if (i < crashes) {
      sim_node_crash(&world->nodes[0]);
      sim_node_up(&world->nodes[0]);
      sim_check(world, false);
    }
  }
}

static void report(const struct sim_world *world)
{
  printf("seed %llu: nodes %u, loops %u, users %u, requests %u, crashes %llu, sleeps %llu, leaves "
         "%llu, links %llu broken %llu, commits %llu, faults %llu, views %u, elsewhere %u, %llu "
         "virtual ms\n",
         (unsigned long long)world->seed, world->nodes_count, world->loops, world->users_count,
         world->requests_count, (unsigned long long)world->crashes,
         (unsigned long long)world->sleeps, (unsigned long long)world->leaves,
         (unsigned long long)world->links_opened, (unsigned long long)world->links_broken,
         (unsigned long long)world->store.commits, (unsigned long long)world->store.injected,
         world->views_checked, world->forwarded, (unsigned long long)(world->now_us / 1000u));
}

static uint64_t world_free(struct sim_world *world, char failure[512])
{
  uint64_t trace = 0;
  sim_events_deinit(world);
  sim_links_deinit(world);
  sim_store_deinit(&world->store);
  for (unsigned i = 0; i < world->nodes_count; i++) {
    trace = (trace << 1 | trace >> 63) ^ driver_sim_trace(world->nodes[i].driver);
    sim_node_deinit(&world->nodes[i]);
  }
  memcpy(failure, world->failure, sizeof world->failure);
  rt_free(world->requests);
  rt_free(world);
  return trace;
}

static uint64_t run_seed(uint64_t seed, unsigned ops, unsigned nodes, bool verbose,
                         char failure[512])
{
  struct sim_world *world = rt_alloc(sizeof *world);
  world->verbose = verbose;
  world_draw(world, seed, ops, nodes);
  world->store.driver = world->nodes[0].driver;
  sim_store_init(&world->store, world->partition_bits);
  for (unsigned i = 0; i < world->nodes_count; i++)
    sim_node_up(&world->nodes[i]);
  phase_one(world);
  /* Phase 2: no new requests and no faults; everything that was begun must come to its end. */
  world->requests_max = world->requests_count;
  world->store.faults = (struct sim_faults){0};
  sim_nodes_heal(world);
  run_until(world, world->now_us + PHASE_TWO_US);
  /* Transfers are answered when credited: their marks, and what a crash left, get a moment more. */
  world->requests_max++;
  run_until(world, world->now_us + 20000000u);
  world->requests_max--;
  sim_check(world, true);
  if (verbose)
    report(world);
  sim_nodes_end(world);
  return world_free(world, failure);
}

static uint64_t number_of(const char *text)
{
  return text == NULL ? 0 : strtoull(text, NULL, 0);
}

int main(int argc, char **argv)
{
  uint64_t seed = 1, seeds = 1, ops = 400, nodes = 0, trace = 0;
  bool verbose = false;
  char failure[512];
  for (int i = 1; i < argc; i++) {
    const char *value = i + 1 < argc ? argv[i + 1] : NULL;
    if (strcmp(argv[i], "--verbose") == 0)
      verbose = true;
    else if (strcmp(argv[i], "--seed") == 0)
      seed = number_of(value), i++;
    else if (strcmp(argv[i], "--seeds") == 0)
      seeds = number_of(value), i++;
    else if (strcmp(argv[i], "--ops") == 0)
      ops = number_of(value), i++;
    else if (strcmp(argv[i], "--nodes") == 0)
      nodes = number_of(value), i++;
    else {
      fprintf(stderr, "usage: sim_run [--seed N] [--seeds K] [--ops M] [--nodes N] "
                      "[--verbose]\n");
      return 2;
    }
  }
  if (nodes > SIM_NODES_MAX) {
    fprintf(stderr, "at most %u nodes\n", SIM_NODES_MAX);
    return 2;
  }
  for (uint64_t i = 0; i < seeds; i++) {
    uint64_t one = run_seed(seed + i, (unsigned)ops, (unsigned)nodes, verbose, failure);
    /* One in fifty runs twice: the same seed must take the same way. */
    uint64_t again = one;
    if (failure[0] == '\0' && i % 50u == 0)
      again = run_seed(seed + i, (unsigned)ops, (unsigned)nodes, false, failure);
    if (failure[0] == '\0' && again != one)
      snprintf(failure, sizeof failure, "the same seed took another way");
    if (failure[0] != '\0') {
      printf("seed %llu FAILED: %s\nagain: sim_run --seed %llu --ops %llu --nodes %llu "
             "--verbose\n",
             (unsigned long long)(seed + i), failure, (unsigned long long)(seed + i),
             (unsigned long long)ops, (unsigned long long)nodes);
      return 1;
    }
    trace = (trace << 1 | trace >> 63) ^ one;
  }
  printf("seeds %llu ok trace %016llx\n", (unsigned long long)seeds, (unsigned long long)trace);
  return 0;
}
