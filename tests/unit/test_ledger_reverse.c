/* test_ledger_reverse.c - reversals, and the debt that they and nothing else make. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "subject.h"

static struct subject f;

static int setup(void **state)
{
  (void)state;
  subject_init(&f);
  return 0;
}

static int teardown(void **state)
{
  (void)state;
  subject_deinit(&f);
  return 0;
}

#define RUN(type, amount) assert_int_equal(subject_run(&f, LEDGER_T_##type, amount), HF_OK)
#define REVERSE(original, reversed, amount) subject_reverse(&f, original, reversed, amount)

static struct ledger_entry run(unsigned type, const char *amount)
{
  assert_int_equal(subject_run(&f, type, amount), HF_OK);
  return f.result.entries[0];
}

static void test_reverse_when_the_bucket_has_it_mirrors_the_credit(void **state)
{
  (void)state;
  static const struct {
    unsigned type, from, to;
  } cases[] = {
    {LEDGER_T_EARN, LEDGER_EARNED, LEDGER_ISSUANCE},
    {LEDGER_T_GRANT, LEDGER_CLAIMABLE, LEDGER_REWARDS},
    {LEDGER_T_DEPOSIT, LEDGER_CLAIMABLE, LEDGER_PSP_CLEARING},
    {LEDGER_T_ADJUST, LEDGER_CLAIMABLE, LEDGER_ADJUSTMENTS},
    {LEDGER_T_QUARANTINE_IN, LEDGER_QUARANTINE, LEDGER_ISSUANCE},
  };
  for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct ledger_entry original = run(cases[i].type, "5");
    assert_int_equal(REVERSE(&original, "0", NULL), HF_OK);
    assert_int_equal(f.result.entries_count, 1);
    assert_entry(&f, 0, cases[i].from, cases[i].to, "5");
    assert_int_equal(f.result.entries[0].ref, original.id);
    assert_true(f.result.entries[0].ref_left == 0);
    for (unsigned bucket = 0; bucket < LEDGER_BUCKET_COUNT; bucket++)
      assert_bucket(&f, bucket, "0");
  }
}

static void test_reverse_when_the_bucket_is_short_makes_debt(void **state)
{
  (void)state;
  struct ledger_entry original = run(LEDGER_T_GRANT, "10");
  RUN(SPEND, "7");
  assert_int_equal(REVERSE(&original, "0", NULL), HF_OK);
  assert_int_equal(f.result.entries_count, 2);
  assert_entry(&f, 0, LEDGER_CLAIMABLE, LEDGER_REWARDS, "3");
  assert_true(f.result.entries[0].ref_left == subject_units("7", SUBJECT_SCALE));
  assert_entry(&f, 1, LEDGER_DEBT, LEDGER_REWARDS, "7");
  assert_true(f.result.entries[1].ref_left == 0);
  assert_bucket(&f, LEDGER_CLAIMABLE, "0");
  assert_bucket(&f, LEDGER_DEBT, "7");
  assert_true(ledger_total(&ledger_user_asset(&f.user, SUBJECT_ASSET)->balance) ==
              subject_units("-7", SUBJECT_SCALE));
}

static void test_reverse_when_the_bucket_is_empty_makes_only_debt(void **state)
{
  (void)state;
  struct ledger_entry original = run(LEDGER_T_EARN, "10");
  RUN(SETTLE, "10");
  assert_int_equal(REVERSE(&original, "0", "4"), HF_OK);
  assert_int_equal(f.result.entries_count, 1);
  assert_entry(&f, 0, LEDGER_DEBT, LEDGER_ISSUANCE, "4");
  assert_true(f.result.entries[0].ref_left == subject_units("6", SUBJECT_SCALE));
  assert_bucket(&f, LEDGER_PENDING, "10");
}

/* Makes a debt and nothing else. */
static void owe(const char *amount)
{
  struct ledger_entry original = run(LEDGER_T_QUARANTINE_IN, amount);
  RUN(RELEASE, amount);
  RUN(MATURE, amount);
  RUN(SPEND, amount);
  assert_int_equal(REVERSE(&original, "0", NULL), HF_OK);
  assert_bucket(&f, LEDGER_DEBT, amount);
}

static void test_debt_when_a_credit_comes_takes_its_share_first(void **state)
{
  (void)state;
  static const struct {
    unsigned type, from, to;
  } cases[] = {
    {LEDGER_T_EARN, LEDGER_ISSUANCE, LEDGER_EARNED},
    {LEDGER_T_GRANT, LEDGER_REWARDS, LEDGER_CLAIMABLE},
    {LEDGER_T_DEPOSIT, LEDGER_PSP_CLEARING, LEDGER_CLAIMABLE},
    {LEDGER_T_ADJUST, LEDGER_ADJUSTMENTS, LEDGER_CLAIMABLE},
    {LEDGER_T_CREDIT, LEDGER_TRANSIT, LEDGER_CLAIMABLE},
    {LEDGER_T_BOUNCE, LEDGER_TRANSIT, LEDGER_CLAIMABLE},
  };
  for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
    owe("10");
    hf_amount there = subject_bucket(&f, cases[i].to);
    assert_int_equal(subject_run(&f, cases[i].type, "4"), HF_OK);
    assert_int_equal(f.result.entries_count, 2);
    assert_entry(&f, 0, cases[i].from, cases[i].to, "4");
    assert_entry(&f, 1, cases[i].to, LEDGER_DEBT, "4");
    assert_int_equal(f.result.entries[1].type, cases[i].type);
    assert_bucket(&f, LEDGER_DEBT, "6");
    assert_true(subject_bucket(&f, cases[i].to) == there);
    assert_int_equal(subject_run(&f, cases[i].type, "7"), HF_OK);
    assert_entry(&f, 1, cases[i].to, LEDGER_DEBT, "6");
    assert_bucket(&f, LEDGER_DEBT, "0");
    assert_true(subject_bucket(&f, cases[i].to) - there == subject_units("1", SUBJECT_SCALE));
    assert_int_equal(subject_run(&f, cases[i].type, "1"), HF_OK);
    assert_int_equal(f.result.entries_count, 1);
  }
}

static void test_debt_when_money_only_moves_inside_is_left_alone(void **state)
{
  (void)state;
  RUN(EARN, "10");
  RUN(GRANT, "10");
  owe("5");
  RUN(SETTLE, "10");
  RUN(MATURE, "10");
  RUN(QUARANTINE_IN, "1");
  RUN(RELEASE, "1");
  assert_int_equal(f.result.entries_count, 1);
  RUN(HOLD, "10");
  assert_int_equal(subject_resolve(&f, LEDGER_T_VOID, f.op, NULL), HF_OK);
  assert_int_equal(f.result.entries_count, 1);
  assert_bucket(&f, LEDGER_DEBT, "5");
}

static void test_reverse_of_a_spend_gives_back_and_lowers_the_lifetime_total(void **state)
{
  (void)state;
  RUN(GRANT, "10");
  struct ledger_entry original = run(LEDGER_T_SPEND, "8");
  assert_int_equal(REVERSE(&original, "0", "3"), HF_OK);
  assert_entry(&f, 0, LEDGER_SPEND, LEDGER_CLAIMABLE, "3");
  assert_true(f.result.entries[0].ref_left == subject_units("5", SUBJECT_SCALE));
  assert_bucket(&f, LEDGER_CLAIMABLE, "5");
  assert_true(ledger_user_asset(&f.user, SUBJECT_ASSET)->balance.spent_total ==
              subject_units("5", SUBJECT_SCALE));
}

static void test_reverse_of_a_spend_when_in_debt_is_netted(void **state)
{
  (void)state;
  RUN(GRANT, "10");
  struct ledger_entry original = run(LEDGER_T_SPEND, "10");
  owe("4");
  assert_int_equal(REVERSE(&original, "0", "6"), HF_OK);
  assert_int_equal(f.result.entries_count, 2);
  assert_entry(&f, 0, LEDGER_SPEND, LEDGER_CLAIMABLE, "6");
  assert_entry(&f, 1, LEDGER_CLAIMABLE, LEDGER_DEBT, "4");
  assert_true(f.result.entries[0].ref_left == subject_units("4", SUBJECT_SCALE));
  assert_true(f.result.entries[1].ref_left == subject_units("4", SUBJECT_SCALE));
  assert_bucket(&f, LEDGER_CLAIMABLE, "2");
}

static void test_reverse_of_a_capture_gives_back_to_claimable(void **state)
{
  (void)state;
  RUN(GRANT, "10");
  RUN(HOLD, "10");
  assert_int_equal(subject_resolve(&f, LEDGER_T_CAPTURE, f.op, "6"), HF_OK);
  struct ledger_entry original = f.result.entries[0];
  assert_int_equal(REVERSE(&original, "0", NULL), HF_OK);
  assert_entry(&f, 0, LEDGER_SPEND, LEDGER_CLAIMABLE, "6");
  assert_bucket(&f, LEDGER_CLAIMABLE, "10");
  assert_bucket(&f, LEDGER_HELD, "0");
}

static void test_reverse_of_a_negative_adjustment_gives_back(void **state)
{
  (void)state;
  RUN(GRANT, "10");
  struct ledger_entry original = run(LEDGER_T_ADJUST, "-6");
  assert_int_equal(REVERSE(&original, "0", NULL), HF_OK);
  assert_entry(&f, 0, LEDGER_ADJUSTMENTS, LEDGER_CLAIMABLE, "6");
}

static void test_reverse_of_an_inner_move_needs_the_funds(void **state)
{
  (void)state;
  static const struct {
    unsigned type, from, to, take;
  } cases[] = {
    {LEDGER_T_SETTLE, LEDGER_PENDING, LEDGER_EARNED, LEDGER_T_MATURE},
    {LEDGER_T_MATURE, LEDGER_CLAIMABLE, LEDGER_PENDING, LEDGER_T_SPEND},
    {LEDGER_T_RELEASE, LEDGER_PENDING, LEDGER_QUARANTINE, LEDGER_T_MATURE},
  };
  for (unsigned i = 0; i < 3; i++) {
    subject_deinit(&f);
    subject_init(&f);
    RUN(EARN, "20");
    RUN(QUARANTINE_IN, "10");
    if (cases[i].type == LEDGER_T_MATURE)
      RUN(SETTLE, "10");
    struct ledger_entry original = run(cases[i].type, "10");
    assert_int_equal(subject_run(&f, cases[i].take, "4"), HF_OK);
    assert_int_equal(REVERSE(&original, "0", NULL), HF_E_INSUFFICIENT_FUNDS);
    assert_int_equal(REVERSE(&original, "0", "6"), HF_OK);
    assert_entry(&f, 0, cases[i].from, cases[i].to, "6");
    assert_bucket(&f, LEDGER_DEBT, "0");
  }
}

static void test_reverse_when_all_is_reversed_is_refused(void **state)
{
  (void)state;
  struct ledger_entry original = run(LEDGER_T_GRANT, "10");
  assert_int_equal(REVERSE(&original, "0", "4"), HF_OK);
  assert_int_equal(REVERSE(&original, "4", "6.00000001"), HF_E_ALREADY_REVERSED);
  assert_int_equal(REVERSE(&original, "4", "6"), HF_OK);
  assert_true(f.result.entries[0].ref_left == 0);
  assert_int_equal(REVERSE(&original, "10", NULL), HF_E_ALREADY_REVERSED);
  assert_int_equal(REVERSE(&original, "10", "1"), HF_E_ALREADY_REVERSED);
}

static void test_reverse_of_what_cannot_be_reversed_is_refused(void **state)
{
  (void)state;
  static const unsigned types[] = {LEDGER_T_HOLD,    LEDGER_T_VOID,     LEDGER_T_BLOCK,
                                   LEDGER_T_UNBLOCK, LEDGER_T_TRANSFER, LEDGER_T_REVERSE,
                                   LEDGER_T_EXPIRE,  LEDGER_T_CREDIT,   LEDGER_T_BOUNCE};
  struct ledger_entry original = run(LEDGER_T_GRANT, "10");
  for (unsigned i = 0; i < sizeof types / sizeof *types; i++) {
    original.type = (uint8_t)types[i];
    assert_int_equal(REVERSE(&original, "0", NULL), HF_E_INVALID_TRANSITION);
  }
  original.type = LEDGER_T_GRANT;
  assert_int_equal(REVERSE(&original, "0", NULL), HF_OK);
}

static void test_reverse_when_the_original_is_not_there_is_refused(void **state)
{
  (void)state;
  struct ledger_original original = {.found = false};
  struct ledger_command command = subject_command(&f, LEDGER_T_REVERSE, "1");
  command.ref = 4711;
  command.original = &original;
  assert_int_equal(subject_apply(&f, &command), HF_E_ORIGINAL_NOT_FOUND);
}

static void test_reverse_of_a_netted_credit_takes_what_is_there(void **state)
{
  (void)state;
  owe("4");
  struct ledger_entry original = run(LEDGER_T_GRANT, "10");
  assert_bucket(&f, LEDGER_CLAIMABLE, "6");
  assert_int_equal(REVERSE(&original, "0", NULL), HF_OK);
  assert_entry(&f, 0, LEDGER_CLAIMABLE, LEDGER_REWARDS, "6");
  assert_entry(&f, 1, LEDGER_DEBT, LEDGER_REWARDS, "4");
  assert_bucket(&f, LEDGER_DEBT, "4");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
    TEST(test_reverse_when_the_bucket_has_it_mirrors_the_credit),
    TEST(test_reverse_when_the_bucket_is_short_makes_debt),
    TEST(test_reverse_when_the_bucket_is_empty_makes_only_debt),
    TEST(test_debt_when_a_credit_comes_takes_its_share_first),
    TEST(test_debt_when_money_only_moves_inside_is_left_alone),
    TEST(test_reverse_of_a_spend_gives_back_and_lowers_the_lifetime_total),
    TEST(test_reverse_of_a_spend_when_in_debt_is_netted),
    TEST(test_reverse_of_a_capture_gives_back_to_claimable),
    TEST(test_reverse_of_a_negative_adjustment_gives_back),
    TEST(test_reverse_of_an_inner_move_needs_the_funds),
    TEST(test_reverse_when_all_is_reversed_is_refused),
    TEST(test_reverse_of_what_cannot_be_reversed_is_refused),
    TEST(test_reverse_when_the_original_is_not_there_is_refused),
    TEST(test_reverse_of_a_netted_credit_takes_what_is_there),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
