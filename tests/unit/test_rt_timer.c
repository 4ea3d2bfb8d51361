/* The timer wheel against a plain list of due ticks. */
#include "runtime/timer.h"

#include "holdfast/rt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MODEL_MAX 3000u

static uint64_t seed = 42;

static uint64_t chance(void)
{
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return seed;
}

static struct timer_wheel *wheel_new(uint64_t tick)
{
  struct timer_wheel *wheel = rt_alloc(sizeof *wheel);
  timer_wheel_init(wheel, tick);
  return wheel;
}

static void wheel_free(struct timer_wheel *wheel)
{
  timer_wheel_deinit(wheel);
  rt_free(wheel);
}

/* How many are due now; takes them. */
static unsigned take_all(struct timer_wheel *wheel, uint32_t *owner, uint64_t *ret_last)
{
  unsigned count = 0;
  uint32_t actor;
  while (timer_peek_due(wheel, &actor, ret_last)) {
    timer_take_due(wheel, owner);
    count++;
  }
  return count;
}

static void test_timer_when_its_tick_comes_then_it_is_due_and_not_before(void **state)
{
  static const uint64_t spans[] = {
    1,     2,      255,      256,      257,      511,      65535,    65536,
    65537, 100000, 16777215, 16777216, 16777217, 50000000, 1u << 30, TIMER_TICKS_MAX};
  static const uint64_t starts[] = {0,        1,           255,         65535,
                                    16777215, 4294967295u, 4294000000u, 1ull << 40};
  (void)state;
  for (unsigned s = 0; s < sizeof starts / sizeof starts[0]; s++) {
    for (unsigned i = 0; i < sizeof spans / sizeof spans[0]; i++) {
      struct timer_wheel *wheel = wheel_new(starts[s]);
      uint32_t owner = TIMER_NONE;
      uint64_t cookie = 0;
      uint64_t due = starts[s] + spans[i];
      timer_arm(wheel, due, 3, 77, &owner);
      assert_true(timer_next(wheel) <= due && timer_next(wheel) > starts[s]);
      timer_advance(wheel, due - 1);
      assert_int_equal(take_all(wheel, &owner, &cookie), 0);
      timer_advance(wheel, due);
      assert_int_equal(take_all(wheel, &owner, &cookie), 1);
      assert_int_equal(cookie, 77);
      assert_int_equal(owner, TIMER_NONE);
      assert_true(timer_next(wheel) == UINT64_MAX);
      wheel_free(wheel);
    }
  }
}

static void test_timer_when_it_is_stopped_then_its_handle_is_stale(void **state)
{
  struct timer_wheel *wheel = wheel_new(5);
  uint32_t owner = TIMER_NONE;
  uint64_t cookie;
  (void)state;
  uint64_t first = timer_arm(wheel, 10, 1, 1, &owner);
  uint64_t second = timer_arm(wheel, 10, 1, 2, &owner);
  assert_true(first != 0 && first != second);
  assert_int_equal(timer_owner(wheel, first), 1);
  timer_disarm(wheel, first, &owner);
  assert_int_equal(timer_owner(wheel, first), TIMER_NONE);
  uint64_t third = timer_arm(wheel, 10, 1, 3, &owner); /* the node of the first */
  assert_int_equal(timer_owner(wheel, first), TIMER_NONE);
  assert_int_equal(timer_owner(wheel, third), 1);
  assert_int_equal(timer_owner(wheel, 0), TIMER_NONE);
  assert_int_equal(timer_owner(wheel, UINT64_MAX), TIMER_NONE);
  timer_advance(wheel, 10);
  assert_int_equal(take_all(wheel, &owner, &cookie), 2);
  assert_int_equal(timer_owner(wheel, second), TIMER_NONE);
  wheel_free(wheel);
}

static void test_timer_when_its_owner_dies_then_all_of_it_are_gone(void **state)
{
  struct timer_wheel *wheel = wheel_new(0);
  uint32_t dying = TIMER_NONE;
  uint32_t living = TIMER_NONE;
  uint64_t cookie;
  (void)state;
  for (uint64_t i = 0; i < 500; i++) {
    timer_arm(wheel, i * 37, 1, i, &dying);
    timer_arm(wheel, i * 41, 2, i, &living);
  }
  timer_advance(wheel, 2000); /* some of both are in the due list */
  timer_disarm_all(wheel, &dying);
  assert_int_equal(dying, TIMER_NONE);
  timer_advance(wheel, 100000);
  assert_int_equal(take_all(wheel, &living, &cookie), 500);
  assert_int_equal(wheel->count, 0);
  wheel_free(wheel);
}

struct model {
  uint64_t handle, due;
  bool armed;
};

/* Each due timer is taken exactly at the advance that reaches it, in order of the due tick. */
static void check_due(struct timer_wheel *wheel, struct model *model, uint32_t *owner,
                      uint64_t from, uint64_t to)
{
  uint64_t last = 0;
  uint32_t actor;
  uint64_t cookie;
  while (timer_peek_due(wheel, &actor, &cookie)) {
    timer_take_due(wheel, owner);
    assert_true(model[cookie].armed);
    assert_true(model[cookie].due > from && model[cookie].due <= to);
    assert_true(model[cookie].due >= last);
    last = model[cookie].due;
    model[cookie].armed = false;
  }
  for (unsigned i = 0; i < MODEL_MAX; i++) {
    assert_false(model[i].armed && model[i].due <= to);
  }
}

static void test_wheel_when_it_is_used_at_random_then_it_agrees_with_the_model(void **state)
{
  struct model *model = rt_alloc(MODEL_MAX * sizeof *model);
  uint64_t tick = 4294967295u - 50000;
  struct timer_wheel *wheel = wheel_new(tick);
  uint32_t owner = TIMER_NONE;
  (void)state;
  for (unsigned round = 0; round < 600; round++) {
    for (unsigned i = 0; i < 40; i++) {
      uint64_t slot = chance() % MODEL_MAX;
      if (model[slot].armed) {
        assert_int_equal(timer_owner(wheel, model[slot].handle), 9);
        timer_disarm(wheel, model[slot].handle, &owner);
      }
      model[slot].due = tick + 1 + (chance() >> (chance() % 24 + 40)) % 20000000;
      model[slot].handle = timer_arm(wheel, model[slot].due, 9, slot, &owner);
      model[slot].armed = true;
    }
    uint64_t next = timer_next(wheel);
    assert_true(next > tick);
    uint64_t to = chance() % 4 == 0 ? next : tick + (chance() >> (chance() % 24 + 40));
    timer_advance(wheel, to);
    check_due(wheel, model, &owner, tick, to);
    tick = to;
  }
  timer_disarm_all(wheel, &owner);
  assert_int_equal(wheel->count, 0);
  wheel_free(wheel);
  rt_free(model);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_timer_when_its_tick_comes_then_it_is_due_and_not_before),
    cmocka_unit_test(test_timer_when_it_is_stopped_then_its_handle_is_stale),
    cmocka_unit_test(test_timer_when_its_owner_dies_then_all_of_it_are_gone),
    cmocka_unit_test(test_wheel_when_it_is_used_at_random_then_it_agrees_with_the_model),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
