/* What only the simulator promises: the seed decides everything, faults lose nothing, a crash
 * leaves no memory behind. */
#include "driver_world.h"

#include "holdfast/check.h"

#define SEEDS 150u
#define ASKS 120u

static bool never_idle(const void *state)
{
  (void)state;
  return false;
}

static void job(void *arg)
{
  uint64_t *word = arg;
  *word = 1;
}

/* Asks, tells, gates and jobs towards both loops. What is refused is not counted as sent. */
static void busy(rt_ctx *ctx, struct world *world, void *arg)
{
  (void)arg;
  for (uint32_t i = 0; i < ASKS; i++) {
    uint64_t word = i;
    unsigned shard = (unsigned)(rt_rand(ctx) % 4);
    rt_id to = item_id(shard, 1000 + i % 10);
    if (rt_ask(ctx, to, OP_ECHO, &word, sizeof word, 0, i) == RT_OK) {
      world_add(world, COUNT_SENT, 1);
    }
    if (i % 16 == 0) {
      rt_status status = rt_tell(ctx, to, OP_GATE, &(uint64_t){700}, sizeof(uint64_t));
      CHECK(status == RT_OK);
    }
    uint64_t *own = rt_alloc(sizeof *own);
    if (rt_work(ctx, 0, i, job, own, OP_JOB_DONE) == RT_OK) {
      world_add(world, COUNT_OTHER, 1);
    } else {
      rt_free(own);
    }
  }
  for (uint64_t i = 0; i < 100; i++) {
    tell_item(ctx, item_id(3, rt_loop_index(ctx)), OP_COUNT, i);
  }
}

/* Runs the busy hour of a seed and returns its trace. */
static uint64_t run_seed(uint64_t seed, uint32_t buggify_percent)
{
  struct world *world = world_new("sim");
  world->sim.seed = seed;
  world->sim.buggify_percent = buggify_percent;
  world->config.ring_size = 32;
  world->item.idle = never_idle;
  world_start(world);
  world_run(world, 0, busy, NULL);
  world_run(world, 1, busy, NULL);
  world_await(world, COUNT_GOT, 200);
  world_await(world, COUNT_REPLIES, world_count(world, COUNT_SENT));
  world_await(world, COUNT_JOBS, world_count(world, COUNT_OTHER));
  assert_true(world_stop(world, 10000000));
  assert_int_equal(world_count(world, COUNT_DISORDER), 0);
  assert_int_equal(world_count(world, COUNT_GOT), 200);
  assert_int_equal(world_count(world, COUNT_REPLIES), world_count(world, COUNT_SENT));
  assert_int_equal(world_count(world, COUNT_JOBS), world_count(world, COUNT_OTHER));
  assert_int_equal(world_count(world, COUNT_JOBS_OUT_OF_ORDER), 0);
  uint64_t trace = driver_sim_trace(world->driver);
  world_free(world);
  return trace;
}

static void test_trace_when_the_seed_is_the_same_then_it_is_identical(void **state)
{
  (void)state;
  for (uint64_t seed = 1; seed <= 20; seed++) {
    assert_true(run_seed(seed, 50) == run_seed(seed, 50));
  }
}

static void test_trace_when_the_seeds_differ_then_it_differs(void **state)
{
  (void)state;
  for (uint64_t seed = 1; seed <= 20; seed++) {
    assert_true(run_seed(seed, 0) != run_seed(seed + 1, 0));
  }
}

static void test_faults_when_they_are_injected_then_nothing_is_lost_or_reordered(void **state)
{
  (void)state;
  for (uint64_t seed = 1; seed <= SEEDS; seed++) {
    run_seed(seed, (uint32_t)(seed % 101));
  }
}

/* ---- crash ----------------------------------------------------------------------------------- */

static void leave_everything_open(rt_ctx *ctx, struct world *world, void *arg)
{
  busy(ctx, world, arg);
  for (uint32_t i = 0; i < 4; i++) {
    struct world **owned = rt_alloc(sizeof *owned);
    *owned = world;
    rt_status status = rt_ask(ctx, item_id(i, 1), OP_OWNED, &owned, sizeof owned, 0, 5000 + i);
    CHECK(status == RT_OK);
  }
}

static void free_job(const rt_env *env)
{
  if (env->op == OP_JOB_DONE) {
    rt_free(env->payload.p.ptr);
  } else if (env->op == RT_OP_DOWN && env->corr >= 5000) {
    struct world **owned = env->payload.p.ptr;
    world_add(*owned, COUNT_DROPPED, 1);
    rt_free(owned);
  }
}

/* Fewer steps or more: the crash comes at another place each time. */
static void crash_after(uint64_t steps)
{
  struct world *world = world_new("sim");
  world->hand.drop = free_job;
  world->sim.seed = steps + 1;
  world_start(world);
  world_run(world, 0, leave_everything_open, NULL);
  uint64_t replies = world_count(world, COUNT_REPLIES);
  for (uint64_t i = 0; i < steps; i++) {
    driver_sim_step(world->driver, UINT64_MAX - 1);
  }
  uint64_t now_us = driver_sim_now_us(world->driver);
  driver_sim_crash(world->driver, world->runtime);
  assert_true(world_count(world, COUNT_REPLIES) >= replies);
  assert_int_equal(world_count(world, COUNT_DROPPED), 4);
  assert_int_equal(world_count(world, COUNT_LOADS), world_count(world, COUNT_PASSIVATED));

  world->runtime = rt_start(world->driver, &world->config);
  assert_non_null(world->runtime);
  world_run(world, 1, busy, NULL);
  world_await(world, COUNT_GOT, 100);
  assert_true(driver_sim_now_us(world->driver) >= now_us);
  assert_true(world_stop(world, 10000000));
  world_free(world);
}

static void echo_only(rt_ctx *ctx, struct world *world, void *arg)
{
  (void)world;
  (void)arg;
  ask_item(ctx, item_id(1, 1), OP_ECHO, 3, 1);
}

static void test_crash_when_work_is_in_flight_then_memory_is_freed_and_a_start_works(void **state)
{
  (void)state;
  for (uint64_t steps = 0; steps < 12; steps++) {
    crash_after(steps);
  }
}

/* ---- time ------------------------------------------------------------------------------------ */

static void read_wall(rt_ctx *ctx, struct world *world, void *arg)
{
  uint64_t *wall_us = arg;
  (void)world;
  *wall_us = rt_wall_us(ctx);
}

static void test_time_when_the_wall_jumps_then_the_monotonic_clock_does_not(void **state)
{
  struct world *world = world_new("sim");
  uint64_t before_us;
  uint64_t after_us;
  (void)state;
  world_start(world);
  world_run(world, 0, read_wall, &before_us);
  uint64_t mono_us = driver_sim_now_us(world->driver);
  driver_sim_wall_jump(world->driver, -3600ll * 1000000);
  assert_int_equal(driver_sim_now_us(world->driver), mono_us);
  world_run(world, 0, read_wall, &after_us);
  uint64_t passed_us = driver_sim_now_us(world->driver) - mono_us;
  assert_true(after_us + 3600ull * 1000000 - before_us <= passed_us + 100);
  world_free(world);
}

static void test_step_when_nothing_is_left_then_it_says_so_and_time_passes(void **state)
{
  struct world *world = world_new("sim");
  (void)state;
  world_start(world);
  world_run(world, 0, echo_only, NULL);
  world_await(world, COUNT_REPLIES, 1);
  uint64_t until_us = driver_sim_now_us(world->driver) + 1000000;
  while (driver_sim_step(world->driver, until_us)) {
    assert_true(driver_sim_now_us(world->driver) <= until_us);
  }
  assert_int_equal(driver_sim_now_us(world->driver), until_us);
  assert_false(driver_sim_step(world->driver, until_us));
  world_free(world);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_trace_when_the_seed_is_the_same_then_it_is_identical),
    cmocka_unit_test(test_trace_when_the_seeds_differ_then_it_differs),
    cmocka_unit_test(test_faults_when_they_are_injected_then_nothing_is_lost_or_reordered),
    cmocka_unit_test(test_crash_when_work_is_in_flight_then_memory_is_freed_and_a_start_works),
    cmocka_unit_test(test_time_when_the_wall_jumps_then_the_monotonic_clock_does_not),
    cmocka_unit_test(test_step_when_nothing_is_left_then_it_says_so_and_time_passes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
