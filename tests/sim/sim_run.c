/* sim_run: runs seeds. `sim_run [--seed N] [--seeds K] [--ops M] [--verbose]`; the last line is
 * "seeds K ok trace <hex>" or names the failing seed and how to run it again. */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"
#include "tests/sim/sim_leaks.h"

#define START_WALL_US 1750000000000000ull
#define PHASE_ONE_US 60000000ull  /* virtual */
#define DRAIN_US 60000000ull
#define PHASE_TWO_US 600000000ull /* virtual: by then every request must be final */

static void loop_start(void *arg, rt_ctx *ctx)
{
  struct sim_world *world = arg;
  hf_loop_begin(ctx, &world->setup);
  rt_set_local(ctx, HF_LOCAL_FRONT, world);
}

static void loop_stop(void *arg, rt_ctx *ctx)
{
  (void)arg;
  hf_loop_end(ctx);
}

static void escalate(void *arg, const char *reason)
{
  sim_fail(arg, "escalated: %s", reason);
}

static void runtime_up(struct sim_world *world)
{
  static const rt_class *const classes[] = {
      &hf_store_class, &hf_catalog_class, &hf_user_class,    &hf_names_class,
      &hf_transit_class, &hf_sweep_class, &sim_client_class, NULL};
  static const struct rt_pool_config pools[HF_POOL_COUNT] = {
      [HF_POOL_WRITE] = {"write", 1, 1024}, [HF_POOL_READ] = {"read", 2, 1024}};
  world->port = pool_port_new(&world->store.engine, world->setup.port == NULL ? 1 : 2);
  world->setup.port = world->port;
  struct rt_config config = {
      .loops = world->loops,
      .shards = 1u << world->setup.partition_bits,
      .classes = classes,
      .pools = pools,
      .pools_count = HF_POOL_COUNT,
      .metrics = hf_actor_metrics,
      .metrics_count = HF_METRIC_COUNT,
      .live_actors_max = world->live_actors_max,
      .overflow_max = world->overflow_max,
      .loop_start = loop_start,
      .loop_stop = loop_stop,
      .escalate = escalate,
      .arg = world,
  };
  world->runtime = rt_start(world->driver, &config);
  CHECK(world->runtime != NULL);
}

static void crash(struct sim_world *world)
{
  sim_leaks_expected();
  driver_sim_crash(world->driver, world->runtime);
  sim_client_forget(world);
  pool_port_free(world->port);
  world->crashes++;
  runtime_up(world);
}

static bool all_final(const struct sim_world *world)
{
  if (world->requests_count < world->requests_max)
    return false;
  for (unsigned i = 0; i < world->requests_count; i++)
    if (world->requests[i].state != SIM_FINAL)
      return false;
  return true;
}

/* One seed's world: sizes, rates and caps are drawn from it. */
static void world_draw(struct sim_world *world, uint64_t seed, unsigned ops)
{
  world->seed = world->rng = seed;
  world->loops = 1u + (unsigned)(sim_rand(world) % 3u);
  world->setup.partition_bits = (unsigned)(sim_rand(world) % 4u);
  world->setup.batch_units_max = sim_chance(world, 300) ? 2u : 8192u;
  world->setup.queue_units_max = 65536;
  world->setup.op_timeout_us = 10000000;
  world->setup.sweep_every_us = sim_chance(world, 300) ? 0 : 500000;
  world->setup.project_every_us = sim_chance(world, 500) ? 0 : 200000;
  world->users_count = 2u + (unsigned)(sim_rand(world) % 30u);
  world->live_actors_max = sim_chance(world, 300) ? 60u : 10000u;
  world->requests_max = ops;
  world->inflight_max = 1u + (unsigned)(sim_rand(world) % 60u);
  if (sim_chance(world, 200)) /* more than the clients can fill, or nobody else would get to ask */
    world->overflow_max = SIM_USERS_MAX + world->inflight_max + (unsigned)(sim_rand(world) % 16u);
  world->requests = rt_alloc((ops + 1u) * sizeof *world->requests);
  for (unsigned i = 0; i < world->users_count; i++)
    snprintf(world->users[i].external_id, sizeof world->users[i].external_id, "sim-user-%u", i);
  if (sim_chance(world, 800)) {
    world->store.faults = (struct sim_faults){
        .commit_refused = (unsigned)(sim_rand(world) % 60u),
        .commit_unknown = (unsigned)(sim_rand(world) % 60u),
        .read_refused = (unsigned)(sim_rand(world) % 40u),
        .open_refused = (unsigned)(sim_rand(world) % 200u),
    };
  }
}

static void run_until(struct sim_world *world, uint64_t until_us)
{
  while (world->failure[0] == '\0' && !(world->healing && all_final(world)) &&
         driver_sim_step(world->driver, until_us)) {
  }
}

static void phase_one(struct sim_world *world)
{
  unsigned crashes = sim_chance(world, 700) ? (unsigned)(sim_rand(world) % 6u) : 0;
  for (unsigned i = 0; i <= crashes && world->failure[0] == '\0'; i++) {
    uint64_t now_us = driver_sim_now_us(world->driver);
    uint64_t slice_us = i == crashes ? PHASE_ONE_US / 4u : sim_rand(world) % 3000000u;
    uint64_t until_us = now_us + slice_us;
    while (world->failure[0] == '\0' && world->requests_count < world->requests_max &&
           driver_sim_step(world->driver, until_us)) {
    }
    if (sim_chance(world, 300))
      driver_sim_wall_jump(world->driver, (int64_t)(sim_rand(world) % 7200000000u) - 3600000000);
    if (i < crashes) {
      crash(world);
      sim_check(world, false);
    }
  }
}

static uint64_t run_seed(uint64_t seed, unsigned ops, bool verbose, char failure[512])
{
  struct sim_world *world = rt_alloc(sizeof *world);
  world->verbose = verbose;
  world_draw(world, seed, ops);
  struct driver_sim_config config = {
      .seed = seed,
      .start_wall_us = START_WALL_US,
      .job_delay_us_min = 10,
      .job_delay_us_max = 50u + (uint32_t)(sim_rand(world) % 20000u),
      .kick_delay_us_max = (uint32_t)(sim_rand(world) % 500u),
      .buggify_percent = 25,
  };
  world->driver = driver_sim_new(&config);
  world->store.driver = world->driver;
  sim_store_init(&world->store, world->setup.partition_bits);
  runtime_up(world);
  phase_one(world);
  /* Phase 2: no new requests and no faults; everything that was begun must come to its end. */
  world->healing = true;
  world->requests_max = world->requests_count;
  world->store.faults = (struct sim_faults){0};
  run_until(world, driver_sim_now_us(world->driver) + PHASE_TWO_US);
  /* Transfers are answered when credited: their marks, and what a crash left, get a moment more. */
  world->requests_max++;
  run_until(world, driver_sim_now_us(world->driver) + 20000000u);
  world->requests_max--;
  sim_check(world, true);
  if (verbose)
    printf("seed %llu: loops %u, users %u, requests %u, crashes %llu, commits %llu, faults %llu, "
           "views %u, %llu virtual ms\n",
           (unsigned long long)seed, world->loops, world->users_count, world->requests_count,
           (unsigned long long)world->crashes, (unsigned long long)world->store.commits,
           (unsigned long long)world->store.injected, world->views_checked,
           (unsigned long long)(driver_sim_now_us(world->driver) / 1000u));
  uint64_t trace = driver_sim_trace(world->driver);
  world->requests_max = 0; /* the clients send no more */
  rt_stop(world->runtime, DRAIN_US);
  if (!rt_join(world->runtime))
    sim_fail(world, "the drain did not end");
  sim_client_forget(world);
  pool_port_free(world->port);
  sim_store_deinit(&world->store);
  driver_sim_free(world->driver);
  memcpy(failure, world->failure, sizeof world->failure);
  rt_free(world->requests);
  rt_free(world);
  return trace;
}

static uint64_t number_of(const char *text)
{
  return text == NULL ? 0 : strtoull(text, NULL, 0);
}

int main(int argc, char **argv)
{
  uint64_t seed = 1, seeds = 1, ops = 400, trace = 0;
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
    else {
      fprintf(stderr, "usage: sim_run [--seed N] [--seeds K] [--ops M] [--verbose]\n");
      return 2;
    }
  }
  for (uint64_t i = 0; i < seeds; i++) {
    uint64_t one = run_seed(seed + i, (unsigned)ops, verbose, failure);
    /* One in fifty runs twice: the same seed must take the same way. */
    if (failure[0] == '\0' && i % 50u == 0 &&
        run_seed(seed + i, (unsigned)ops, false, failure) != one && failure[0] == '\0')
      snprintf(failure, sizeof failure, "the same seed took another way");
    if (failure[0] != '\0') {
      printf("seed %llu FAILED: %s\nagain: sim_run --seed %llu --ops %llu --verbose\n",
             (unsigned long long)(seed + i), failure, (unsigned long long)(seed + i),
             (unsigned long long)ops);
      return 1;
    }
    trace = (trace << 1 | trace >> 63) ^ one;
  }
  printf("seeds %llu ok trace %016llx\n", (unsigned long long)seeds, (unsigned long long)trace);
  return 0;
}
