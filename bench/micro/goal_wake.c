/* Wakes: a post to a loop that sleeps, and a job to a pool thread and back. */
#include "goals.h"
#include "holdfast/check.h"
#include "limits.h"
#include "rt_bench.h"

#include <stdio.h>

#define WAKES 10000u
#define WAKE_GAP_NS 5000u
#define TRIPS 20000u
#define BURST 200000u
#define BURST_OPEN 2048u

enum { KIND_HAND = 1 };
enum { OP_PING = RT_OP_APP, OP_JOB, OP_JOB_DONE, OP_BURST, OP_BURST_DONE };

/* Nanoseconds of each sample; one measurement at a time writes it. */
static uint64_t samples[TRIPS];

struct hand {
  uint64_t count;  /* samples so far, jobs done of a burst */
  uint64_t handed; /* jobs handed in of a burst */
  uint64_t sent_ns;
};

static void idle_job(void *arg)
{
  (void)arg;
}

static void hand_in(rt_ctx *ctx, struct hand *hand)
{
  hand->sent_ns = bench_ns();
  rt_status status = rt_work(ctx, 0, 0, idle_job, hand, OP_JOB_DONE);
  CHECK(status == RT_OK);
}

static void hand_in_burst(rt_ctx *ctx, struct hand *hand)
{
  while (hand->handed < BURST && hand->handed - hand->count < BURST_OPEN) {
    rt_status status = rt_work(ctx, 0, hand->handed, idle_job, hand, OP_BURST_DONE);
    CHECK(status == RT_OK);
    hand->handed++;
  }
}

static rt_status handle(rt_ctx *ctx, void *state, const rt_env *env)
{
  struct hand *hand = state;
  uint64_t now_ns = bench_ns();
  switch (env->op) {
  case OP_PING: /* u[0]: when it was posted */
    samples[hand->count++] = now_ns - env->payload.u[0];
    bench_finish();
    break;
  case OP_JOB:
    hand_in(ctx, hand);
    break;
  case OP_JOB_DONE:
    samples[hand->count++] = now_ns - hand->sent_ns;
    if (hand->count == TRIPS) {
      bench_finish();
    } else {
      hand_in(ctx, hand);
    }
    break;
  case OP_BURST:
    hand_in_burst(ctx, hand);
    break;
  default:
    if (++hand->count == BURST) {
      bench_finish();
    } else {
      hand_in_burst(ctx, hand);
    }
  }
  return RT_OK;
}

static const rt_class hand_class = {.name = "hand",
                                    .kind = KIND_HAND,
                                    .flags = RT_CLASS_PER_LOOP,
                                    .state_bytes = sizeof(struct hand),
                                    .handle = handle};
static const rt_class *const classes[] = {&hand_class, NULL};
static const struct rt_pool_config pool = {.name = "bench", .threads = 1, .queue_max = 4096};

/* Two loops where one core may be used, so that neither spins before it sleeps; the second one has
 * nothing to do and leaves its core to the thread that posts. False: too many posts found the loop
 * awake, as happens on a busy machine, and the samples are no cold wakes. */
static bool measure_posts(void)
{
  const struct rt_config config = {
    .loops = 2, .shards = 2, .classes = classes, .loop_start = bench_loop_pin};
  struct rt_driver *driver = driver_uv_new();
  bench_pin(1);
  rt *runtime = rt_start(driver, &config);
  CHECK(runtime != NULL);
  bench_line_init();
  for (unsigned i = 0; i < WAKES; i++) {
    bench_pause(WAKE_GAP_NS);
    uint64_t now_ns = bench_ns();
    rt_status status =
      rt_post(runtime, rt_id_make(KIND_HAND, 0, 0), OP_PING, &now_ns, sizeof now_ns);
    CHECK(status == RT_OK);
    bench_line_wait();
  }
  bench_keep(runtime);
  bool is_cold = bench_series("rt_sleeps_total") >= WAKES * 0.99;
  rt_stop(runtime, 1000000);
  bool is_clean = rt_join(runtime);
  CHECK(is_clean);
  driver_uv_free(driver);
  bench_unpin();
  return is_cold;
}

static double percentile_us(unsigned count, double share)
{
  return (double)bench_percentile(samples, count, share) / 1000;
}

void goal_wake_repeat(void)
{
  if (!measure_posts()) {
    fputs("wake: left out, the loop was awake too often\n", stderr);
    return;
  }
  goal_ours(GOAL_WAKE_P50, percentile_us(WAKES, 0.5));
  goal_ours(GOAL_WAKE_P99, percentile_us(WAKES, 0.99));
  limit_epoll_wakes(samples, WAKES, WAKE_GAP_NS);
  goal_ours(GOAL_WAKE_EPOLL, percentile_us(WAKES, 0.5));
  limit_futex_wakes(samples, WAKES, WAKE_GAP_NS);
  goal_limit(GOAL_WAKE_P50, percentile_us(WAKES, 0.5));
  goal_limit(GOAL_WAKE_P99, percentile_us(WAKES, 0.99));
  goal_limit(GOAL_WAKE_EPOLL, percentile_us(WAKES, 0.5));
}

void goal_job_repeat(void)
{
  const struct rt_config config = {
    .loops = 1, .classes = classes, .pools = &pool, .pools_count = 1};
  rt_id hand = rt_id_make(KIND_HAND, 0, 0);
  bench_run(&config, hand, OP_JOB, 0);
  goal_ours(GOAL_JOB, percentile_us(TRIPS, 0.5));
  limit_futex_trips(samples, TRIPS);
  goal_limit(GOAL_JOB, percentile_us(TRIPS, 0.5));
  goal_ours(GOAL_JOBS, BURST * 1000.0 / (double)bench_run(&config, hand, OP_BURST, 0));
  goal_limit(GOAL_JOBS, BURST * 1000.0 / limit_uv_work(BURST, BURST_OPEN));
}
