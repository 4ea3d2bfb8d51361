/* The simulator: messages it dispatches in a second of real time, and the size of a seed hunt. */
#include "holdfast/check.h"
#include "rt_bench.h"

#define RUNS 5u
#define LOOPS 3u
#define RELAYS 100u
#define HOPS 5000u

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

int main(void)
{
  struct bench_row row = {.name = "simulator: random relays over 3 loops",
                          .unit = "M msg/s",
                          .goal = ">= 1",
                          .more_is_better = true};
  bench_head();
  for (unsigned i = 0; i < RUNS; i++) {
    uint64_t start_ns = bench_ns();
    uint64_t trace = run_seed(i);
    bench_add(&row, (double)RELAYS * HOPS * 1000.0 / (double)(bench_ns() - start_ns));
    CHECK(trace == run_seed(i));
  }
  bench_print(&row);
  return 0;
}
