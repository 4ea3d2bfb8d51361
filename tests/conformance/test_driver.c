/* Conformance of the drivers, first part: messages, gates, life and failure of actors. Each test
 * runs over driver_uv and over driver_sim. */
#include "driver_world.h"

#include "holdfast/check.h"

#define MANY 1000u

/* ---- tells and asks -------------------------------------------------------------------------- */

static void send_many(rt_ctx *ctx, struct world *world, void *arg)
{
  const rt_id *to = arg;
  (void)world;
  for (uint64_t i = 0; i < MANY; i++) {
    tell_item(ctx, to[0], OP_COUNT, i);
    tell_item(ctx, to[1], OP_COUNT, i);
  }
}

static void test_tell_when_many_are_sent_then_each_pair_keeps_its_order(void **state)
{
  struct world *world = world_new(*state);
  rt_id to[2] = {item_id(0, 1), item_id(1, 1)};
  world_start(world);
  world_run(world, 0, send_many, to);
  world_await(world, COUNT_GOT, 2 * MANY);
  assert_int_equal(world_count(world, COUNT_DISORDER), 0);
  assert_int_equal(world_count(world, COUNT_LOADS), 2);
  assert_true(world_stop(world, 5000000));
  world_free(world);
}

static void ask_echoes(rt_ctx *ctx, struct world *world, void *arg)
{
  (void)world;
  (void)arg;
  for (uint32_t i = 0; i < 200; i++) {
    ask_item(ctx, item_id(i % 4, i), OP_ECHO, i, i);
  }
}

static void test_ask_when_the_receiver_answers_then_the_reply_comes_once(void **state)
{
  struct world *world = world_new(*state);
  world_start(world);
  world_run(world, 0, ask_echoes, NULL);
  world_run(world, 1, ask_echoes, NULL);
  world_await(world, COUNT_REPLIES, 400);
  assert_true(world_stop(world, 5000000));
  assert_int_equal(world_count(world, COUNT_REPLIES), 400);
  assert_int_equal(world_count(world, COUNT_DOWN), 0);
  world_free(world);
}

static void ask_kept(rt_ctx *ctx, struct world *world, void *arg)
{
  (void)world;
  (void)arg;
  for (uint32_t i = 0; i < 8; i++) {
    ask_item(ctx, item_id(1, 5), OP_KEEP, i, i);
  }
}

static void release_kept(rt_ctx *ctx, struct world *world, void *arg)
{
  (void)world;
  (void)arg;
  tell_item(ctx, item_id(1, 5), OP_RELEASE, 0);
}

static void test_ask_when_it_is_answered_later_then_the_reply_still_comes(void **state)
{
  struct world *world = world_new(*state);
  world_start(world);
  world_run(world, 0, ask_kept, NULL);
  assert_int_equal(world_count(world, COUNT_REPLIES), 0);
  world_run(world, 0, release_kept, NULL);
  world_await(world, COUNT_REPLIES, 8);
  assert_int_equal(world_count(world, COUNT_DOWN), 0);
  world_free(world);
}

static void test_post_when_it_comes_from_a_foreign_thread_then_it_arrives_in_order(void **state)
{
  struct world *world = world_new(*state);
  world->config.ring_size = 16;
  world_start(world);
  for (uint64_t i = 0; i < MANY; i++) {
    while (rt_post(world->runtime, item_id(1, 1), OP_COUNT, &i, sizeof i) != RT_OK) {
      world_await(world, COUNT_GOT, i - 8);
    }
  }
  world_await(world, COUNT_GOT, MANY);
  assert_int_equal(world_count(world, COUNT_DISORDER), 0);
  world_free(world);
}

static void ask_passed(rt_ctx *ctx, struct world *world, void *arg)
{
  const uint64_t words[2] = {66, *(const uint64_t *)arg};
  (void)world;
  rt_status status = rt_ask(ctx, item_id(1, 1), OP_PASS, words, sizeof words, 0, 1);
  CHECK(status == RT_OK);
}

static void test_hand_over_when_another_actor_takes_the_ask_then_it_owes_the_reply(void **state)
{
  struct world *world = world_new(*state);
  uint64_t op = OP_ECHO;
  world_start(world);
  world_run(world, 0, ask_passed, &op);
  world_await(world, COUNT_REPLIES, 1);
  assert_int_equal(atomic_load(&world->last_reply), 66);
  op = OP_FAIL;
  world_run(world, 0, ask_passed, &op);
  world_await(world, COUNT_DOWN, 1);
  assert_int_equal(world_count(world, COUNT_LOADS), 2);
  assert_true(world_stop(world, 5000000));
  assert_int_equal(world_count(world, COUNT_REPLIES), 2);
  world_free(world);
}

static void tell_hand_nothing(rt_ctx *ctx, struct world *world, void *arg)
{
  (void)ctx;
  (void)world;
  (void)arg;
}

static void test_turn_end_when_the_actor_got_a_message_then_it_is_called(void **state)
{
  struct world *world = world_new(*state);
  world_start(world);
  world_run(world, 0, tell_hand_nothing, NULL);
  world_await(world, COUNT_TURN_ENDS, 1);
  world_free(world);
}

/* ---- deadlines and bounds -------------------------------------------------------------------- */

static void ask_expired(rt_ctx *ctx, struct world *world, void *arg)
{
  (void)world;
  (void)arg;
  uint64_t word = 4711;
  rt_status status = rt_ask(ctx, item_id(1, 1), OP_ECHO, &word, sizeof word, rt_now_us(ctx) - 1, 1);
  CHECK(status == RT_OK);
}

static void test_ask_when_its_deadline_passed_then_it_is_answered_expired(void **state)
{
  struct world *world = world_new(*state);
  world_start(world);
  world_let_pass(world, 1000);
  world_run(world, 0, ask_expired, NULL);
  world_await(world, COUNT_EXPIRED, 1);
  assert_int_equal(atomic_load(&world->last_reply), 4711);
  assert_int_equal(world_count(world, COUNT_LOADS), 0);
  world_free(world);
}

static void overfill_gate(rt_ctx *ctx, struct world *world, void *arg)
{
  (void)world;
  (void)arg;
  tell_item(ctx, item_id(1, 1), OP_GATE, 50000);
  for (uint32_t i = 0; i < 10; i++) {
    ask_item(ctx, item_id(1, 1), OP_ECHO, 100 + i, i);
  }
}

static void test_ask_when_the_stash_is_full_then_it_is_answered_overloaded(void **state)
{
  struct world *world = world_new(*state);
  world->item.stash_max = 4;
  world_start(world);
  world_run(world, 0, overfill_gate, NULL);
  world_await(world, COUNT_REPLIES, 10);
  assert_int_equal(world_count(world, COUNT_OVERLOADED), 6);
  world_free(world);
}

static void close_and_count(rt_ctx *ctx, struct world *world, void *arg)
{
  (void)world;
  (void)arg;
  tell_item(ctx, item_id(1, 1), OP_GATE, 5000);
  for (uint64_t i = 0; i < 100; i++) {
    tell_item(ctx, item_id(1, 1), OP_COUNT, i);
  }
  ask_item(ctx, item_id(1, 1), OP_ECHO, 0, 1);
}

static void test_gate_when_it_opens_then_the_stash_is_replayed_in_order(void **state)
{
  struct world *world = world_new(*state);
  world_start(world);
  world_run(world, 0, close_and_count, NULL);
  world_await(world, COUNT_REPLIES, 1);
  assert_int_equal(world_count(world, COUNT_GOT), 100);
  assert_int_equal(world_count(world, COUNT_DISORDER), 0);
  assert_true(world_metric(world, "rt_messages_total{source=\"stash\"}") >= 101);
  world_free(world);
}

static void block_two(rt_ctx *ctx, struct world *world, void *arg)
{
  (void)world;
  (void)arg;
  tell_item(ctx, item_id(0, 1), OP_BLOCK, 0);
  tell_item(ctx, item_id(0, 2), OP_BLOCK, 0);
  ask_item(ctx, item_id(0, 3), OP_ECHO, 33, 1);
}

static void test_activation_when_the_cap_is_reached_then_it_is_answered_overloaded(void **state)
{
  struct world *world = world_new(*state);
  world->config.live_actors_max = 2;
  world_start(world);
  world_run(world, 0, block_two, NULL);
  world_await(world, COUNT_OVERLOADED, 1);
  assert_int_equal(atomic_load(&world->last_reply), 33);
  assert_int_equal(world_count(world, COUNT_LOADS), 2);
  world_free(world);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void test_load_when_it_waits_then_messages_come_after_it_in_order(void **state)
{
  struct world *world = world_new(*state);
  rt_id to[2] = {item_id(0, 1), item_id(1, 1)};
  world->load_waits = true;
  world->item.stash_max = MANY;
  world_start(world);
  world_run(world, 0, send_many, to);
  world_await(world, COUNT_GOT, 2 * MANY);
  assert_int_equal(world_count(world, COUNT_DISORDER), 0);
  world_free(world);
}

static void test_load_when_it_fails_then_the_messages_are_answered_down(void **state)
{
  struct world *world = world_new(*state);
  world->load_waits = true;
  world->load_fails = true;
  world_start(world);
  world_run(world, 0, ask_kept, NULL);
  world_await(world, COUNT_DOWN, 8);
  assert_int_equal(world_count(world, COUNT_REPLIES), 8);
  world_free(world);
}

static void ask_hundred(rt_ctx *ctx, struct world *world, void *arg)
{
  (void)world;
  (void)arg;
  for (uint32_t i = 0; i < 100; i++) {
    ask_item(ctx, item_id(0, i), OP_ECHO, i, i);
  }
}

static void test_passivation_when_the_cap_is_near_then_idle_actors_make_room(void **state)
{
  struct world *world = world_new(*state);
  world->config.live_actors_max = 8;
  world_start(world);
  world_run(world, 0, ask_hundred, NULL);
  world_await(world, COUNT_REPLIES, 100);
  world_run(world, 0, ask_hundred, NULL);
  world_await(world, COUNT_REPLIES, 200);
  assert_int_equal(world_count(world, COUNT_OVERLOADED), 0);
  assert_true(world_count(world, COUNT_LOADS) >= 192);
  assert_true(world_count(world, COUNT_LOADS) - world_count(world, COUNT_PASSIVATED) <= 8);
  assert_true(world_metric(world, "rt_actors_live{class=\"item\"}") <= 8);
  world_free(world);
}

static void test_passivation_when_an_actor_is_idle_then_it_leaves_memory(void **state)
{
  struct world *world = world_new(*state);
  world->item.idle_us = 20000;
  world_start(world);
  world_run(world, 0, ask_hundred, NULL);
  world_await(world, COUNT_PASSIVATED, 100);
  assert_true(world_count(world, COUNT_LOADS) == 100);
  world_run(world, 0, ask_hundred, NULL);
  world_await(world, COUNT_PASSIVATED, 200);
  assert_int_equal(world_count(world, COUNT_REPLIES), 200);
  world_free(world);
}

/* ---- failure --------------------------------------------------------------------------------- */

static void keep_then_fail(rt_ctx *ctx, struct world *world, void *arg)
{
  ask_kept(ctx, world, arg);
  ask_item(ctx, item_id(1, 5), OP_FAIL, 77, 100);
}

static void ask_once(rt_ctx *ctx, struct world *world, void *arg)
{
  (void)world;
  (void)arg;
  ask_item(ctx, item_id(1, 5), OP_ECHO, 5, 200);
}

static void test_failure_when_asks_wait_then_they_are_answered_and_the_actor_reloads(void **state)
{
  struct world *world = world_new(*state);
  world_start(world);
  world_run(world, 0, keep_then_fail, NULL);
  world_await(world, COUNT_DOWN, 9);
  assert_int_equal(atomic_load(&world->last_reply), 77);
  world_run(world, 0, ask_once, NULL);
  world_await(world, COUNT_REPLIES, 10);
  assert_int_equal(world_count(world, COUNT_DOWN), 9);
  assert_int_equal(world_count(world, COUNT_LOADS), 2);
  world_free(world);
}

static void fail_once(rt_ctx *ctx, struct world *world, void *arg)
{
  (void)world;
  (void)arg;
  ask_item(ctx, item_id(1, 5), OP_FAIL, 1, 1);
}

static void test_failure_when_it_repeats_then_the_actor_is_quarantined(void **state)
{
  struct world *world = world_new(*state);
  world_start(world);
  for (uint64_t i = 1; i <= 3; i++) {
    world_run(world, 0, fail_once, NULL);
    world_await(world, COUNT_DOWN, i);
  }
  world_run(world, 0, ask_once, NULL);
  world_await(world, COUNT_DOWN, 4);
  assert_int_equal(world_count(world, COUNT_LOADS), 3);
  if (world->is_sim) {
    world_let_pass(world, 61000000);
    world_run(world, 0, ask_once, NULL);
    world_await(world, COUNT_REPLIES, 5);
    assert_int_equal(world_count(world, COUNT_DOWN), 4);
  }
  world_free(world);
}

static void fail_desk(rt_ctx *ctx, struct world *world, void *arg)
{
  (void)world;
  (void)arg;
  rt_status status = rt_ask(ctx, desk_id(0), OP_FAIL, NULL, 0, 0, 1);
  CHECK(status == RT_OK);
}

static void test_failure_when_the_restart_budget_is_used_up_then_it_escalates(void **state)
{
  struct world *world = world_new(*state);
  world_start(world);
  world_run(world, 0, fail_desk, NULL);
  world_await(world, COUNT_DOWN, 1);
  assert_int_equal(world_count(world, COUNT_ESCALATED), 0);
  world_run(world, 0, fail_desk, NULL);
  world_await(world, COUNT_DOWN, 2);
  world_await(world, COUNT_ESCALATED, 1);
  world_run(world, 0, fail_desk, NULL); /* nobody is there any more */
  world_await(world, COUNT_DOWN, 3);
  assert_int_equal(world_count(world, COUNT_ESCALATED), 1);
  world_free(world);
}

static void tell_owned_to_gate(rt_ctx *ctx, struct world *world, void *arg)
{
  (void)arg;
  tell_item(ctx, item_id(1, 9), OP_GATE, 50000);
  for (unsigned i = 0; i < 3; i++) {
    struct world **owned = rt_alloc(sizeof *owned);
    *owned = world;
    rt_status status = rt_tell(ctx, item_id(1, 9), OP_OWNED, &owned, sizeof owned);
    CHECK(status == RT_OK);
  }
}

static void test_tell_when_it_cannot_be_delivered_then_its_payload_is_dropped(void **state)
{
  struct world *world = world_new(*state);
  world->item.stash_max = 1;
  world_start(world);
  world_run(world, 0, tell_owned_to_gate, NULL);
  world_await(world, COUNT_DROPPED, 2);
  world_free(world);
}

static void stop_item(rt_ctx *ctx, struct world *world, void *arg)
{
  (void)world;
  (void)arg;
  tell_item(ctx, item_id(1, 5), OP_STOP, 0);
  ask_item(ctx, item_id(1, 5), OP_ECHO, 5, 1);
}

static void test_stop_when_a_handler_asks_for_it_then_the_next_message_reloads(void **state)
{
  struct world *world = world_new(*state);
  world_start(world);
  world_run(world, 0, stop_item, NULL);
  world_await(world, COUNT_REPLIES, 1);
  assert_int_equal(world_count(world, COUNT_DOWN), 0);
  assert_int_equal(world_count(world, COUNT_LOADS), 2);
  assert_int_equal(world_count(world, COUNT_PASSIVATED), 1);
  world_free(world);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    DRIVER_TEST(test_tell_when_many_are_sent_then_each_pair_keeps_its_order),
    DRIVER_TEST(test_ask_when_the_receiver_answers_then_the_reply_comes_once),
    DRIVER_TEST(test_ask_when_it_is_answered_later_then_the_reply_still_comes),
    DRIVER_TEST(test_hand_over_when_another_actor_takes_the_ask_then_it_owes_the_reply),
    DRIVER_TEST(test_post_when_it_comes_from_a_foreign_thread_then_it_arrives_in_order),
    DRIVER_TEST(test_turn_end_when_the_actor_got_a_message_then_it_is_called),
    DRIVER_TEST(test_ask_when_its_deadline_passed_then_it_is_answered_expired),
    DRIVER_TEST(test_ask_when_the_stash_is_full_then_it_is_answered_overloaded),
    DRIVER_TEST(test_gate_when_it_opens_then_the_stash_is_replayed_in_order),
    DRIVER_TEST(test_activation_when_the_cap_is_reached_then_it_is_answered_overloaded),
    DRIVER_TEST(test_load_when_it_waits_then_messages_come_after_it_in_order),
    DRIVER_TEST(test_load_when_it_fails_then_the_messages_are_answered_down),
    DRIVER_TEST(test_passivation_when_the_cap_is_near_then_idle_actors_make_room),
    DRIVER_TEST(test_passivation_when_an_actor_is_idle_then_it_leaves_memory),
    DRIVER_TEST(test_failure_when_asks_wait_then_they_are_answered_and_the_actor_reloads),
    DRIVER_TEST(test_failure_when_it_repeats_then_the_actor_is_quarantined),
    DRIVER_TEST(test_failure_when_the_restart_budget_is_used_up_then_it_escalates),
    DRIVER_TEST(test_tell_when_it_cannot_be_delivered_then_its_payload_is_dropped),
    DRIVER_TEST(test_stop_when_a_handler_asks_for_it_then_the_next_message_reloads),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
