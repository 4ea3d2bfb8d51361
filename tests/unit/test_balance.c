/* test_balance.c - one move: with a look at what is there, and without one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "actors/ledger/balance.h"

static void test_shift_when_a_move_is_possible_then_as_the_move(void **state)
{
  (void)state;
  for (unsigned from = 0; from < LEDGER_ACCOUNT_COUNT; from++) {
    for (unsigned to = 0; to < LEDGER_ACCOUNT_COUNT; to++) {
      struct ledger_balance moved = {.claimed_total = 50, .spent_total = 60};
      if (from == to || ledger_account_text(from) == NULL || ledger_account_text(to) == NULL ||
          !(ledger_is_bucket(from) || ledger_is_bucket(to)))
        continue;
      for (unsigned i = 0; i < LEDGER_BUCKET_COUNT; i++)
        moved.bucket[i] = 20 + i;
      struct ledger_balance shifted = moved;
      assert_int_equal(balance_move(&moved, from, to, 7), HF_OK);
      assert_true(balance_shift(&shifted, from, to, 7));
      assert_memory_equal(&moved, &shifted, sizeof moved);
    }
  }
}

static void test_shift_when_there_is_not_enough_then_below_zero_and_back(void **state)
{
  (void)state;
  struct ledger_balance balance = {0};
  assert_true(balance_shift(&balance, LEDGER_CLAIMABLE, LEDGER_SPEND, 5));
  assert_true(balance.bucket[LEDGER_CLAIMABLE] == -5 && balance.spent_total == 5);
  assert_true(balance_shift(&balance, LEDGER_CLAIMABLE, LEDGER_DEBT, 3));
  assert_true(balance.bucket[LEDGER_DEBT] == -3 && balance.bucket[LEDGER_CLAIMABLE] == -8);
  assert_true(ledger_total(&balance) == -5);
  assert_true(balance_shift(&balance, LEDGER_DEBT, LEDGER_CLAIMABLE, 3));
  assert_true(balance_shift(&balance, LEDGER_SPEND, LEDGER_CLAIMABLE, 5));
  const struct ledger_balance zeros = {0};
  assert_memory_equal(&balance, &zeros, sizeof zeros);
}

static void test_shift_when_the_range_ends_then_false(void **state)
{
  (void)state;
  struct ledger_balance most = {.bucket[LEDGER_CLAIMABLE] = HF_AMOUNT_MAX};
  struct ledger_balance least = {.bucket[LEDGER_CLAIMABLE] = HF_AMOUNT_MIN};
  struct ledger_balance total = {.bucket[LEDGER_HELD] = HF_AMOUNT_MAX};
  struct ledger_balance spent = {.spent_total = HF_AMOUNT_MAX};
  assert_false(balance_shift(&most, LEDGER_REWARDS, LEDGER_CLAIMABLE, 1));
  assert_false(balance_shift(&least, LEDGER_CLAIMABLE, LEDGER_TRANSIT, 1));
  assert_false(balance_shift(&total, LEDGER_REWARDS, LEDGER_CLAIMABLE, 1));
  assert_false(balance_shift(&spent, LEDGER_CLAIMABLE, LEDGER_SPEND, 1));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_shift_when_a_move_is_possible_then_as_the_move),
    cmocka_unit_test(test_shift_when_there_is_not_enough_then_below_zero_and_back),
    cmocka_unit_test(test_shift_when_the_range_ends_then_false),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
