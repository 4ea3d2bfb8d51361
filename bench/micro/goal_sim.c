/* The simulator: messages it dispatches in a second of real time, and whether a seed repeats. */
#include "goals.h"
#include "holdfast/check.h"
#include "limits.h"
#include "rt_bench.h"

#define LOOPS 3u
#define RELAYS 100u
#define HOPS 5000u
#define SEEDS 10u
#define EPISODE 200000.0
#define COMMIT_S (2 * 300.0)

enum { KIND_RUNNER = 1 };
enum { OP_RUN = RT_OP_APP, OP_DONE };

static uint64_t arrived;

static rt_status handle(rt_ctx *ctx, void *state, const rt_env *env)
{
  uint64_t left = env->payload.u[0];
  (void)state;
  if (left == 0) {
    arrived++;
    return RT_OK;
  }
  left--;
  rt_id to = rt_id_make(KIND_RUNNER, (unsigned)(rt_rand(ctx) % 8), rt_id_serial(env->to));
  rt_status status = rt_tell(ctx, to, OP_RUN, &left, sizeof left);
  CHECK(status == RT_OK);
  return RT_OK;
}

static const rt_class runner_class = {
  .name = "runner", .kind = KIND_RUNNER, .state_bytes = 16, .handle = handle};
static const rt_class *const classes[] = {&runner_class, NULL};

static uint64_t run_seed(uint64_t seed)
{
  const struct driver_sim_config sim = {.seed = seed, .kick_delay_us_max = 20};
  const struct rt_config config = {.loops = LOOPS, .shards = 8, .classes = classes};
  struct rt_driver *driver = driver_sim_new(&sim);
  rt *runtime = rt_start(driver, &config);
  CHECK(runtime != NULL);
  arrived = 0;
  for (uint64_t i = 0; i < RELAYS; i++) {
    uint64_t hops = HOPS;
    rt_status status = rt_post(runtime, rt_id_make(KIND_RUNNER, 0, i), OP_RUN, &hops, sizeof hops);
    CHECK(status == RT_OK);
  }
  while (arrived < RELAYS) {
    bool has_stepped = driver_sim_step(driver, UINT64_MAX);
    CHECK(has_stepped);
  }
  rt_stop(runtime, 1000000);
  bool is_clean = rt_join(runtime);
  uint64_t trace = driver_sim_trace(driver);
  CHECK(is_clean);
  driver_sim_free(driver);
  return trace;
}

void goal_sim_repeat(void)
{
  static uint64_t first = 0;
  uint64_t took_ns = 0;
  unsigned same = 0;
  for (unsigned i = 0; i < SEEDS; i++) {
    uint64_t seed = ++first;
    uint64_t start_ns = bench_ns();
    uint64_t trace = run_seed(seed);
    took_ns += bench_ns() - start_ns;
    same += trace == run_seed(seed);
  }
  double rate = (double)SEEDS * RELAYS * HOPS * 1000.0 / (double)took_ns;
  goal_pair(GOAL_SIM, rate, 1000 / limit_event_heap(RELAYS, RELAYS * HOPS));
  goal_ours(GOAL_SIM_SEEDS, rate * 1e6 * COMMIT_S / EPISODE);
  goal_ours(GOAL_SIM_SAME, 100.0 * same / SEEDS);
}
