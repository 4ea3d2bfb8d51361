/* One seed: its world is drawn, harmed, healed, probed and checked. */
#include <string.h>

#include "tests/sim/sim.h"

#define PHASE_ONE_US 15000000ull  /* virtual, after the last crash of a single node */
#define CRASH_US 5000000ull       /* virtual: a crash waits no longer for its requests */
#define CRASH_SOON_US 300000ull   /* virtual, after the crash before */
#define CRASH_LATER_US 10000ull   /* virtual, after a client has asked */
#define PHASE_TWO_US 600000000ull /* virtual: by then every request must be final */
#define PROBE_US 120000000ull     /* virtual: by then a key must be revoked everywhere */
#define SETTLE_US 20000000ull     /* virtual: by then nothing is open that nobody waits for */
#define FOLLOW_US 20000000ull     /* virtual: by then who reads along has read all */
#define SETTLE_ROUNDS 100u

static bool all_final(const struct sim_world *world)
{
  return world->requests_count >= world->requests_max &&
         world->finals_count == world->heads_count && world->change == NULL;
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

static void users_draw(struct sim_world *world)
{
  for (unsigned i = 0; i < world->users_max; i++) {
    struct sim_user *user = &world->users[i];
    snprintf(user->external_id, sizeof user->external_id, "sim-user-%u", i);
    if (sim_chance(world, 200))
      user->makers_count = SIM_MAKERS;
  }
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
  world->stuck = sim_chance(world, 500) ? 3u : 20u;
  setup_draw(world, &setup);
  world->users_max = 2u + (unsigned)(sim_rand(world) % 30u);
  world->users_base = world->users_count = 1u + world->users_max / 2u;
  unsigned few = 2u + (unsigned)(sim_rand(world) % 6u);
  world->live_actors_max = sim_chance(world, 300) ? few : 10000u;
  world->drifts = sim_chance(world, 500);
  world->crashing = sim_chance(world, 700);
  world->skewed = sim_chance(world, 400);
  world->jumps = sim_chance(world, 500);
  world->rich = sim_chance(world, 300) ? 1u + (unsigned)(sim_rand(world) % 2u) : 0;
  if (world->rich >= world->users_base)
    world->rich = world->users_base - 1u;
  world->closing = sim_chance(world, 600) ? 1u + (unsigned)(sim_rand(world) % 20u) : 0;
  world->requests_max = ops;
  world->pace = 100u + (unsigned)(sim_rand(world) % 900u);
  if (world->nodes_count > 1u) { /* more requests, so far apart that they last for some leases */
    world->requests_max = 4u * ops;
    world->pace = (40u + (unsigned)(sim_rand(world) % 60u)) / world->nodes_count;
  }
  world->inflight_max = (world->nodes_count > 1u ? 120u : 1u) + (unsigned)(sim_rand(world) % 60u);
  world->doors = sim_chance(world, 150) ? 0 : 200u + (unsigned)(sim_rand(world) % 800u);
  world->followers_count =
    sim_chance(world, 400) ? 1u + (unsigned)(sim_rand(world) % SIM_FOLLOWERS) : 0;
  world->credits = sim_chance(world, 200) ? 1u + (unsigned)(sim_rand(world) % 8u) : 0;
  if (sim_chance(world, 200)) /* more than the clients can fill, or nobody else would get to ask */
    world->overflow_max =
      2u * SIM_USERS_MAX + world->inflight_max + (unsigned)(sim_rand(world) % 16u);
  sim_requests_init(world);
  users_draw(world);
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

static bool all_made(const struct sim_world *world)
{
  return world->requests_count >= world->requests_max;
}

static bool is_probed(const struct sim_world *world)
{
  return world->probed && world->change == NULL;
}

static bool never(const struct sim_world *world)
{
  (void)world;
  return false;
}

static void run_until(struct sim_world *world, bool (*done)(const struct sim_world *world),
                      uint64_t until_us)
{
  while (world->failure[0] == '\0' && !done(world) && sim_step(world, until_us)) {
  }
}

/* Enough requests were made for the next crash of a single node. */
static bool is_crash_due(const struct sim_world *world)
{
  return world->requests_count >= world->crash_requests || all_made(world);
}

/* A single node crashes at any of its requests, and some times soon after it came up again. */
static void crash_alone(struct sim_world *world, unsigned left)
{
  uint64_t until_us = world->now_us + CRASH_US;
  unsigned open = world->requests_max - world->requests_count;
  bool (*due)(const struct sim_world *) = sim_chance(world, 300) ? never : is_crash_due;
  world->crash_requests =
    world->requests_count + 1u + (unsigned)(sim_rand(world) % (2u * open / (left + 1u) + 1u));
  if (due == never)
    until_us = world->now_us + sim_rand(world) % CRASH_SOON_US;
  run_until(world, due, until_us);
  /* Not only where a client has just asked. */
  run_until(world, never, world->now_us + sim_rand(world) % CRASH_LATER_US);
  if (world->failure[0] != '\0')
    return;
  sim_node_crash(&world->nodes[0]);
  sim_node_up(&world->nodes[0]);
  sim_check(world, false);
}

static void phase_one(struct sim_world *world)
{
  bool alone = world->nodes_count == 1u;
  unsigned crashes = alone && world->crashing ? 1u + (unsigned)(sim_rand(world) % 5u) : 0;
  sim_chaos_begin(world);
  for (; crashes > 0 && world->failure[0] == '\0'; crashes--)
    crash_alone(world, crashes);
  run_until(world, all_made, world->now_us + PHASE_ONE_US);
}

/* Everything is up and reachable, no new requests and no faults: what was begun must come to its
 * end within a bound. */
static void phase_two(struct sim_world *world)
{
  world->requests_max = world->requests_count;
  world->store.faults = (struct sim_faults){0};
  sim_nodes_heal(world);
  run_until(world, all_final, world->now_us + PHASE_TWO_US);
  world->probing = all_final(world);
  if (world->probing)
    run_until(world, is_probed, world->now_us + PROBE_US);
  if (world->probing && world->failure[0] == '\0' && !is_probed(world))
    sim_fail(world, "no key could be revoked although nothing is harmed");
  for (unsigned i = 0; i < SETTLE_ROUNDS && !sim_is_settled(world); i++)
    run_until(world, never, world->now_us + SETTLE_US / SETTLE_ROUNDS);
  run_until(world, sim_follow_has_all, world->now_us + FOLLOW_US);
  sim_follow_end(world);
  world->kinds_found = 0;
  run_until(world, sim_look_has_found, world->now_us + FOLLOW_US);
  if (world->probing && world->failure[0] == '\0' && !sim_look_has_found(world))
    sim_fail(world, "what is there cannot be found although nothing is harmed");
}

static void report_requests(const struct sim_world *world)
{
  unsigned metadata = 0, backdated = 0, versions = 0, mismatches = 0, keys = 0, unblocks = 0;
  for (unsigned i = 0; i < world->requests_count; i++) {
    const struct sim_request *request = &world->requests[i];
    metadata += request->has_metadata && request->error == HF_OK;
    backdated += request->effective_us != 0 && request->error == HF_OK;
    versions += request->if_version >= 0 && request->error == HF_OK;
    mismatches += request->error == HF_E_VERSION_MISMATCH;
    keys += request->key_number != request->number;
    unblocks += request->type == LEDGER_T_UNBLOCK && request->error == HF_OK;
  }
  printf(
    "seed %llu: applied with metadata %u, backdated %u, at their version %u, not at it %u, "
    "unblocks %u, keys of two users %u, conflicts of bodies %u, transfers credited %zu bounced "
    "%zu\n",
    (unsigned long long)world->seed, metadata, backdated, versions, mismatches, unblocks, keys,
    world->conflicts, world->credited.count, world->bounced.count);
}

static void report(const struct sim_world *world)
{
  printf(
    "seed %llu: nodes %u, loops %u, users %u, requests %u, crashes %llu with work under way %llu, "
    "sleeps %llu, leaves %llu, outages %llu, slow %llu, clocks set %llu, cuts %llu silent %llu "
    "held %llu, "
    "links %llu broken %llu, commits %llu, faults %llu, views %u, elsewhere %u, statuses %u, "
    "peeks %u, keys %u, models %u, cap %u, loads %llu, overloaded %llu, by the door %llu unheard "
    "%llu pauses %llu, followed %llu, found %llu, turned "
    "away %llu, %llu virtual ms\n",
    (unsigned long long)world->seed, world->nodes_count, world->loops, world->users_count,
    world->requests_count, (unsigned long long)world->crashes,
    (unsigned long long)world->crashes_busy, (unsigned long long)world->sleeps,
    (unsigned long long)world->leaves, (unsigned long long)world->outages,
    (unsigned long long)world->slowdowns, (unsigned long long)world->wall_jumps,
    (unsigned long long)world->cuts, (unsigned long long)world->silences,
    (unsigned long long)world->held, (unsigned long long)world->links_opened,
    (unsigned long long)world->links_broken, (unsigned long long)world->store.commits,
    (unsigned long long)world->store.injected, world->views_checked, world->forwarded,
    world->statuses_set, world->peeks_checked, world->keys_checked, world->models_checked,
    world->live_actors_max, (unsigned long long)world->loads, (unsigned long long)world->overloaded,
    (unsigned long long)world->served, (unsigned long long)world->unheard,
    (unsigned long long)world->pauses, (unsigned long long)world->followed,
    (unsigned long long)world->found, (unsigned long long)world->turned_away,
    (unsigned long long)(world->now_us / 1000u));
  report_requests(world);
}

static uint64_t world_free(struct sim_world *world, char failure[512])
{
  uint64_t trace = world->trace;
  sim_events_deinit(world);
  sim_links_deinit(world);
  sim_checker_free(world->checker);
  sim_store_deinit(&world->store);
  for (unsigned i = 0; i < world->nodes_count; i++) {
    trace = (trace << 1 | trace >> 63) ^ driver_sim_trace(world->nodes[i].driver);
    sim_node_deinit(&world->nodes[i]);
  }
  memcpy(failure, world->failure, sizeof world->failure);
  sim_requests_deinit(world);
  sim_follow_deinit(world);
  sim_log_deinit(world);
  rt_free(world);
  return trace;
}

uint64_t sim_world_run(uint64_t seed, unsigned ops, unsigned nodes, bool verbose, char failure[512])
{
  struct sim_world *world = rt_alloc(sizeof *world);
  world->verbose = verbose;
  sim_random_seed(seed);
  world_draw(world, seed, ops, nodes);
  sim_store_init(world, world->partition_bits);
  world->checker = sim_checker_new(world);
  for (unsigned i = 0; i < world->nodes_count; i++)
    sim_node_up(&world->nodes[i]);
  sim_follow_begin(world);
  phase_one(world);
  phase_two(world);
  sim_keys_end(world);
  sim_check(world, true);
  sim_beside_check(world);
  sim_nodes_end(world);
  if (verbose)
    report(world);
  return world_free(world, failure);
}
