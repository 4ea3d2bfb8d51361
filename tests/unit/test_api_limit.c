/* test_api_limit.c - request rates: how many pass, when the next may, and who shares a cell. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/http/front_limit.h"

#define SECOND_US 1000000u
#define START_US 1000000000u

static struct front_limit *limit;

static int setup(void **state)
{
  (void)state;
  limit = front_limit_new(64);
  return 0;
}

static int teardown(void **state)
{
  (void)state;
  front_limit_free(limit);
  return 0;
}

static struct front_quota take(struct front_rate rate, const char *name, uint64_t now_us)
{
  return front_limit_take(limit, rate, name, strlen(name), now_us);
}

static void test_take_when_a_window_is_used_up_refuses_the_next(void **state)
{
  (void)state;
  const struct front_rate rate = {.requests = 10, .window_s = 60};
  for (unsigned i = 0; i < 10; i++) {
    const struct front_quota quota = take(rate, "a", START_US);
    assert_true(quota.passed);
    assert_int_equal(quota.remaining, 9 - i);
    assert_int_equal(quota.reset_s, 6 * (i + 1));
  }
  const struct front_quota quota = take(rate, "a", START_US);
  assert_false(quota.passed);
  assert_int_equal(quota.remaining, 0);
  assert_int_equal(quota.retry_s, 6);
  assert_int_equal(quota.reset_s, 60);
}

static void test_take_when_time_passes_lets_one_through_for_each_step(void **state)
{
  (void)state;
  const struct front_rate rate = {.requests = 10, .window_s = 60};
  for (unsigned i = 0; i < 10; i++)
    assert_true(take(rate, "a", START_US).passed);
  assert_false(take(rate, "a", START_US + 6 * SECOND_US - 1).passed);
  assert_true(take(rate, "a", START_US + 6 * SECOND_US).passed);
  assert_false(take(rate, "a", START_US + 6 * SECOND_US).passed);
  for (unsigned i = 0; i < 10; i++)
    assert_true(take(rate, "a", START_US + 600 * SECOND_US).passed);
  assert_false(take(rate, "a", START_US + 600 * SECOND_US).passed);
}

static void test_take_when_names_differ_does_not_share(void **state)
{
  (void)state;
  const struct front_rate rate = {.requests = 1, .window_s = 1};
  assert_true(take(rate, "a", START_US).passed);
  assert_true(take(rate, "b", START_US).passed);
  assert_false(take(rate, "a", START_US).passed);
  assert_false(take(rate, "b", START_US).passed);
}

static void test_take_when_the_table_is_full_forgets_instead_of_refusing(void **state)
{
  (void)state;
  const struct front_rate rate = {.requests = 1, .window_s = 1};
  for (unsigned i = 0; i < 10000; i++) {
    char name[16];
    (void)snprintf(name, sizeof name, "%u", i);
    assert_true(take(rate, name, START_US + i).passed);
  }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
    TEST(test_take_when_a_window_is_used_up_refuses_the_next),
    TEST(test_take_when_time_passes_lets_one_through_for_each_step),
    TEST(test_take_when_names_differ_does_not_share),
    TEST(test_take_when_the_table_is_full_forgets_instead_of_refusing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
