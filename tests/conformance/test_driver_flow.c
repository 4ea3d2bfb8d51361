/* Conformance of the drivers, second part: timers, jobs, back-pressure, credits, drain. Each test
 * runs over driver_uv and over driver_sim. */
#include "driver_world.h"

#include "holdfast/check.h"

/* ---- timers ---------------------------------------------------------------------------------- */

static void arm_timers(rt_ctx *ctx, struct world *world, void *arg)
{
  (void)world;
  (void)arg;
  tell_item(ctx, item_id(1, 1), OP_TIMERS, 0);
}

static void test_timer_when_several_are_armed_then_they_fire_in_order_of_time(void **state)
{
  struct world *world = world_new(*state);
  world_start(world);
  world_run(world, 0, arm_timers, NULL);
  world_await(world, COUNT_TIMERS, 3);
  assert_int_equal(world_count(world, COUNT_DISORDER), 0);
  world_free(world);
}

static void arm_and_fail(rt_ctx *ctx, struct world *world, void *arg)
{
  (void)world;
  (void)arg;
  tell_item(ctx, item_id(1, 1), OP_TIMERS, 0);
  ask_item(ctx, item_id(1, 1), OP_FAIL, 0, 1);
}

static void gate_next_item(rt_ctx *ctx, struct world *world, void *arg)
{
  (void)world;
  (void)arg;
  tell_item(ctx, item_id(1, 2), OP_GATE, 100000);
  ask_item(ctx, item_id(1, 2), OP_ECHO, 0, 1);
}

/* The gate of another item on the same loop opens later than the dead actor's timers were due. */
static void test_timer_when_its_actor_dies_then_it_does_not_fire(void **state)
{
  struct world *world = world_new(*state);
  world_start(world);
  world_run(world, 0, arm_and_fail, NULL);
  world_await(world, COUNT_DOWN, 1);
  world_run(world, 0, gate_next_item, NULL);
  world_await(world, COUNT_REPLIES, 2);
  assert_int_equal(world_count(world, COUNT_TIMERS), 0);
  assert_true(world_metric(world, "rt_timers_armed") <= 0);
  world_free(world);
}

/* ---- jobs ------------------------------------------------------------------------------------ */

/* Only jobs of one key touch it, so no two at a time do. */
static uint64_t job_sequence;

static void job_in_order(void *arg)
{
  uint64_t *job = arg;
  *job = *job == job_sequence ? 1 : 0;
  job_sequence++;
}

static void job_idle(void *arg)
{
  (void)arg;
}

static void hand_in(rt_ctx *ctx, struct world *world, unsigned pool, uint64_t key, uint64_t word,
                    void (*fn)(void *arg))
{
  uint64_t *job = rt_alloc(sizeof *job);
  *job = word;
  if (rt_work(ctx, pool, key, fn, job, OP_JOB_DONE) == RT_OK) {
    world_add(world, COUNT_SENT, 1);
  } else {
    rt_free(job);
    world_add(world, COUNT_REFUSED, 1);
  }
}

static void hand_in_one_key(rt_ctx *ctx, struct world *world, void *arg)
{
  (void)arg;
  for (uint64_t i = 0; i < 30; i++) {
    hand_in(ctx, world, 0, 5, i, job_in_order);
    hand_in(ctx, world, 0, 6, 1, job_idle);
  }
}

static void test_jobs_when_they_share_a_key_then_they_run_in_order(void **state)
{
  struct world *world = world_new(*state);
  job_sequence = 0;
  world_start(world);
  world_run(world, 0, hand_in_one_key, NULL);
  world_await(world, COUNT_JOBS, 60);
  assert_int_equal(job_sequence, 30);
  assert_int_equal(world_count(world, COUNT_REFUSED), 0);
  assert_int_equal(world_count(world, COUNT_JOBS_OUT_OF_ORDER), 0);
  assert_true(world_stop(world, 5000000));
  world_free(world);
}

static void hand_in_too_many(rt_ctx *ctx, struct world *world, void *arg)
{
  (void)arg;
  for (uint64_t i = 0; i < 200; i++) {
    hand_in(ctx, world, 1, 0, 1, job_idle);
  }
}

static void test_jobs_when_the_pool_is_full_then_the_rest_is_refused(void **state)
{
  struct world *world = world_new(*state);
  world_start(world);
  world_run(world, 0, hand_in_too_many, NULL);
  uint64_t sent = world_count(world, COUNT_SENT);
  assert_true(sent >= 4);
  assert_int_equal(sent + world_count(world, COUNT_REFUSED), 200);
  world_await(world, COUNT_JOBS, sent);
  assert_true(world_stop(world, 5000000));
  assert_int_equal(world_count(world, COUNT_JOBS), sent);
  world_free(world);
}

/* ---- back-pressure --------------------------------------------------------------------------- */

#define FLOOD 3000u

static void flood(rt_ctx *ctx, struct world *world, void *arg)
{
  (void)arg;
  uint64_t sent = 0;
  for (uint64_t i = 0; i < FLOOD; i++) {
    if (rt_tell(ctx, item_id(1, 1), OP_COUNT, &sent, sizeof sent) == RT_OK) {
      sent++;
    }
  }
  world_add(world, COUNT_SENT, sent);
  world_add(world, COUNT_REFUSED, FLOOD - sent);
  CHECK(!rt_ingress_open(ctx));
}

/* Ten times what the ring and the overflow list hold: within the bounds, nothing that was taken is
 * lost, and the ingress opens again. */
static void test_overload_when_a_ring_is_full_then_it_stays_within_bounds(void **state)
{
  struct world *world = world_new(*state);
  world->config.ring_size = 64;
  world->config.overflow_max = 256;
  world_start(world);
  world_run(world, 0, flood, NULL);
  uint64_t sent = world_count(world, COUNT_SENT);
  assert_true(sent >= 256 + 64);
  assert_true(world_count(world, COUNT_REFUSED) > 0);
  world_await(world, COUNT_GOT, sent);
  world_await(world, COUNT_INGRESS, 1);
  assert_int_equal(world_count(world, COUNT_DISORDER), 0);
  assert_true(world_stop(world, 5000000));
  assert_int_equal(world_count(world, COUNT_GOT), sent);
  world_free(world);
}

static void flood_local(rt_ctx *ctx, struct world *world, void *arg)
{
  (void)arg;
  uint64_t sent = 0;
  for (uint64_t i = 0; i < FLOOD; i++) {
    if (rt_tell(ctx, item_id(0, 1), OP_COUNT, &sent, sizeof sent) == RT_OK) {
      sent++;
    }
  }
  world_add(world, COUNT_SENT, sent);
  CHECK(!rt_ingress_open(ctx));
}

static void test_overload_when_the_local_queue_is_full_then_it_stays_within_bounds(void **state)
{
  struct world *world = world_new(*state);
  world->config.ring_size = 64;
  world->config.overflow_max = 256;
  world_start(world);
  world_run(world, 0, flood_local, NULL);
  assert_int_equal(world_count(world, COUNT_SENT), 256 + 64);
  world_await(world, COUNT_GOT, 256 + 64);
  world_await(world, COUNT_INGRESS, 1);
  assert_int_equal(world_count(world, COUNT_DISORDER), 0);
  world_free(world);
}

/* Both loops flood each other with asks: replies always find room, so none of them can block. */
static void flood_asks(rt_ctx *ctx, struct world *world, void *arg)
{
  const unsigned *shard = arg;
  uint64_t sent = 0;
  for (uint32_t i = 0; i < FLOOD; i++) {
    uint64_t word = i;
    if (rt_ask(ctx, item_id(*shard, i % 8), OP_ECHO, &word, sizeof word, 0, i) == RT_OK) {
      sent++;
    }
  }
  world_add(world, COUNT_SENT, sent);
}

static void test_overload_when_loops_ask_each_other_then_every_ask_is_answered(void **state)
{
  struct world *world = world_new(*state);
  unsigned shards[2] = {0, 1};
  world->config.ring_size = 16;
  world->config.overflow_max = 512;
  world_start(world);
  for (unsigned i = 0; i < 10; i++) {
    world_run(world, 0, flood_asks, &shards[1]);
    world_run(world, 1, flood_asks, &shards[0]);
  }
  world_await(world, COUNT_REPLIES, world_count(world, COUNT_SENT));
  assert_true(world_stop(world, 5000000));
  assert_int_equal(world_count(world, COUNT_REPLIES), world_count(world, COUNT_SENT));
  assert_int_equal(world_count(world, COUNT_DOWN), 0);
  world_free(world);
}

/* ---- sleep ----------------------------------------------------------------------------------- */

#define HOPS 4000u

static void start_relays(rt_ctx *ctx, struct world *world, void *arg)
{
  const uint64_t *count = arg;
  (void)world;
  for (uint64_t i = 0; i < *count; i++) {
    tell_item(ctx, item_id(0, i), OP_RELAY, HOPS + i);
  }
}

/* Each hop finds the next loop asleep or about to sleep; a wake that is lost would end the relay.
 * Foreign threads disturb in between. */
static void test_wake_when_loops_take_turns_then_none_is_lost(void **state)
{
  struct world *world = world_new(*state);
  uint64_t one = 1;
  uint64_t five = 5;
  world->config.loops = 3;
  world_start(world);
  world_run(world, 0, start_relays, &one);
  world_await(world, COUNT_OTHER, 1);
  world_run(world, 2, start_relays, &five);
  for (uint64_t i = 0; i < 200; i++) {
    if (rt_post(world->runtime, item_id((unsigned)i % 4, 99), OP_COUNT, &i, sizeof i) == RT_OK) {
      world_add(world, COUNT_SENT, 1);
    }
  }
  world_await(world, COUNT_OTHER, 6);
  world_await(world, COUNT_GOT, world_count(world, COUNT_SENT));
  assert_true(world_stop(world, 5000000));
  world_free(world);
}

/* ---- credits --------------------------------------------------------------------------------- */

/* The hand speaks for the outside from the start of its loop on. */
static void start_as_edge(void *arg, rt_ctx *ctx)
{
  rt_set_local(ctx, 0, arg);
  rt_enter(ctx, hand_id(rt_loop_index(ctx)));
  for (uint32_t i = 0; i < 20; i++) {
    uint64_t word = i;
    rt_status status = rt_ask(ctx, item_id(1, 3), OP_KEEP, &word, sizeof word, 0, i);
    world_add(arg, status == RT_OK ? COUNT_SENT : COUNT_REFUSED, 1);
  }
  if (!rt_ingress_open(ctx)) {
    world_add(arg, COUNT_OTHER, 1);
  }
  rt_leave(ctx);
}

static void release_third(rt_ctx *ctx, struct world *world, void *arg)
{
  (void)world;
  (void)arg;
  tell_item(ctx, item_id(1, 3), OP_RELEASE, 0);
}

static void test_credits_when_they_are_used_up_then_the_outside_is_refused(void **state)
{
  struct world *world = world_new(*state);
  world->config.credits = 4;
  world->config.loop_start = start_as_edge;
  world_start(world);
  world_await(world, COUNT_OTHER, 2); /* both loops say that they are closed */
  assert_int_equal(world_count(world, COUNT_SENT), 8);
  assert_int_equal(world_count(world, COUNT_REFUSED), 32);
  assert_int_equal(world_count(world, COUNT_INGRESS), 0);
  do {
    world_run(world, 1, release_third, NULL);
  } while (world_count(world, COUNT_REPLIES) < 8);
  world_await(world, COUNT_INGRESS, 2);
  assert_true(world_stop(world, 5000000));
  world_free(world);
}

/* ---- drain ----------------------------------------------------------------------------------- */

static void gate_and_ask(rt_ctx *ctx, struct world *world, void *arg)
{
  (void)arg;
  for (uint32_t i = 0; i < 20; i++) {
    tell_item(ctx, item_id(i % 4, i), OP_GATE, 5000 + 1000 * i);
    ask_item(ctx, item_id(i % 4, i), OP_ECHO, i, i);
    hand_in(ctx, world, 0, i, 1, job_idle);
  }
}

static void test_stop_when_work_is_in_flight_then_it_is_finished_first(void **state)
{
  struct world *world = world_new(*state);
  world_start(world);
  world_run(world, 0, gate_and_ask, NULL);
  assert_true(world_stop(world, 20000000));
  assert_int_equal(world_count(world, COUNT_REPLIES), 20);
  assert_int_equal(world_count(world, COUNT_DOWN), 0);
  assert_int_equal(world_count(world, COUNT_JOBS), world_count(world, COUNT_SENT));
  assert_int_equal(world_count(world, COUNT_LOADS), world_count(world, COUNT_PASSIVATED));
  world_free(world);
}

static void test_stop_when_it_begins_then_services_hear_of_it_in_reverse_order(void **state)
{
  struct world *world = world_new(*state);
  world->config.loops = 1;
  world_start(world);
  assert_true(world_stop(world, 5000000));
  assert_int_equal(world_count(world, COUNT_STOPPING), 2);
  assert_int_equal(atomic_load(&world->order[0]), KIND_HAND);
  assert_int_equal(atomic_load(&world->order[1]), KIND_DESK);
  world_free(world);
}

static void ask_owned_kept(rt_ctx *ctx, struct world *world, void *arg)
{
  (void)arg;
  for (uint32_t i = 0; i < 4; i++) {
    struct world **owned = rt_alloc(sizeof *owned);
    *owned = world;
    rt_status status = rt_ask(ctx, item_id(i % 2, 1), OP_OWNED, &owned, sizeof owned, 0, i);
    CHECK(status == RT_OK);
  }
}

/* Nobody ever answers: the drain is late, and what the asks own goes back to the asker's class. */
static void test_stop_when_asks_stay_open_then_it_is_late_and_frees_them(void **state)
{
  struct world *world = world_new(*state);
  world_start(world);
  world_run(world, 0, ask_owned_kept, NULL);
  assert_false(world_stop(world, 20000));
  assert_int_equal(world_count(world, COUNT_DROPPED), 4);
  world_free(world);
}

static void test_stop_when_actors_still_load_then_their_stash_is_given_back(void **state)
{
  struct world *world = world_new(*state);
  world->load_waits = true;
  world->desk_keeps = true;
  world_start(world);
  world_run(world, 0, ask_owned_kept, NULL);
  assert_false(world_stop(world, 20000));
  assert_int_equal(world_count(world, COUNT_DROPPED), 4);
  world_free(world);
}

static void test_stop_when_nothing_happened_then_it_is_complete(void **state)
{
  struct world *world = world_new(*state);
  world_start(world);
  assert_true(world_stop(world, 5000000));
  world_free(world);
}

/* Started again over a fresh world: nothing of the first run is left. */
static void test_start_when_it_follows_a_stop_then_it_begins_anew(void **state)
{
  for (unsigned i = 0; i < 3; i++) {
    struct world *world = world_new(*state);
    world->config.loops = i + 1;
    world_start(world);
    world_run(world, i, gate_and_ask, NULL);
    assert_true(world_stop(world, 20000000));
    assert_int_equal(world_count(world, COUNT_REPLIES), 20);
    world_free(world);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    DRIVER_TEST(test_timer_when_several_are_armed_then_they_fire_in_order_of_time),
    DRIVER_TEST(test_timer_when_its_actor_dies_then_it_does_not_fire),
    DRIVER_TEST(test_jobs_when_they_share_a_key_then_they_run_in_order),
    DRIVER_TEST(test_jobs_when_the_pool_is_full_then_the_rest_is_refused),
    DRIVER_TEST(test_overload_when_a_ring_is_full_then_it_stays_within_bounds),
    DRIVER_TEST(test_overload_when_the_local_queue_is_full_then_it_stays_within_bounds),
    DRIVER_TEST(test_overload_when_loops_ask_each_other_then_every_ask_is_answered),
    DRIVER_TEST(test_wake_when_loops_take_turns_then_none_is_lost),
    DRIVER_TEST(test_credits_when_they_are_used_up_then_the_outside_is_refused),
    DRIVER_TEST(test_stop_when_work_is_in_flight_then_it_is_finished_first),
    DRIVER_TEST(test_stop_when_it_begins_then_services_hear_of_it_in_reverse_order),
    DRIVER_TEST(test_stop_when_asks_stay_open_then_it_is_late_and_frees_them),
    DRIVER_TEST(test_stop_when_actors_still_load_then_their_stash_is_given_back),
    DRIVER_TEST(test_stop_when_nothing_happened_then_it_is_complete),
    DRIVER_TEST(test_start_when_it_follows_a_stop_then_it_begins_anew),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
