/* test_ledger_refusals.c - each refusal, and which one comes first. */
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
static struct ledger_command command;

static void assert_refused(enum hf_error error)
{
  assert_int_equal(subject_apply(&f, &command), error);
}

static void set_amount(const char *text)
{
  command.amount_given = true;
  assert_int_equal(hf_decimal_parse(text, strlen(text), true, &command.amount), HF_OK);
}

/* A command with everything wrong; then one thing after the other is put right. */
static void test_order_when_a_spend_is_wrong_all_over(void **state)
{
  (void)state;
  RUN(GRANT, "5");
  f.user.status = f.folded.status = LEDGER_CLOSED;
  command = subject_command(&f, LEDGER_T_SPEND, "6.123456789");
  command.if_version = 2;
  command.asset_known = false;
  assert_refused(HF_E_USER_CLOSED);
  f.user.status = f.folded.status = LEDGER_OPEN;
  assert_refused(HF_E_VERSION_MISMATCH);
  command.if_version = 1;
  assert_refused(HF_E_ASSET_NOT_FOUND);
  command.asset_known = true;
  assert_refused(HF_E_INVALID_AMOUNT);
  set_amount("6");
  assert_refused(HF_E_INSUFFICIENT_FUNDS);
  set_amount("5");
  assert_refused(HF_OK);
}

static void test_order_when_a_capture_is_wrong_all_over(void **state)
{
  (void)state;
  RUN(GRANT, "5");
  command = subject_command(&f, LEDGER_T_HOLD, "5");
  command.timeout_s = 60;
  assert_refused(HF_OK);
  hf_id hold = f.op;
  int64_t in_time_us = f.now_us;
  f.user.status = f.folded.status = LEDGER_CLOSED;
  f.now_us += 60000000;
  command = subject_command(&f, LEDGER_T_CAPTURE, "6.123456789");
  command.if_version = 1;
  command.asset = 8;
  command.asset_known = false;
  command.ref = 4711;
  assert_refused(HF_E_USER_CLOSED);
  f.user.status = f.folded.status = LEDGER_OPEN;
  assert_refused(HF_E_VERSION_MISMATCH);
  command.if_version = 2;
  assert_refused(HF_E_ASSET_NOT_FOUND);
  command.asset_known = true;
  assert_refused(HF_E_HOLD_NOT_FOUND);
  command.ref = hold;
  assert_refused(HF_E_HOLD_EXPIRED);
  command.now_us = in_time_us;
  assert_refused(HF_E_ASSET_MISMATCH);
  command.asset = SUBJECT_ASSET;
  assert_refused(HF_E_INVALID_AMOUNT);
  set_amount("6");
  assert_refused(HF_E_AMOUNT_EXCEEDS_HOLD);
  set_amount("5");
  assert_refused(HF_OK);
}

static void test_order_when_an_unblock_is_wrong_all_over(void **state)
{
  (void)state;
  RUN(GRANT, "5");
  RUN(BLOCK, "5");
  hf_id block = f.op;
  command = subject_command(&f, LEDGER_T_UNBLOCK, "6.123456789");
  command.asset = 8;
  command.ref = 4711;
  assert_refused(HF_E_BLOCK_NOT_FOUND);
  command.ref = block;
  assert_refused(HF_E_ASSET_MISMATCH);
  command.asset_given = false;
  assert_refused(HF_E_INVALID_AMOUNT);
  set_amount("6");
  assert_refused(HF_E_AMOUNT_EXCEEDS_BLOCK);
  set_amount("5");
  assert_refused(HF_OK);
}

static void test_order_when_a_reverse_is_wrong_all_over(void **state)
{
  (void)state;
  RUN(EARN, "5");
  RUN(SETTLE, "5");
  struct ledger_original original = {.found = false, .first = f.result.entries[0]};
  RUN(MATURE, "1");
  original.reversed = original.first.amount;
  original.first.type = LEDGER_T_HOLD;
  command = subject_command(&f, LEDGER_T_REVERSE, "6.123456789");
  command.original = &original;
  command.ref = original.first.id;
  command.asset = 8;
  assert_refused(HF_E_ORIGINAL_NOT_FOUND);
  original.found = true;
  assert_refused(HF_E_ALREADY_REVERSED);
  original.reversed = 0;
  assert_refused(HF_E_ASSET_MISMATCH);
  command.asset = SUBJECT_ASSET;
  assert_refused(HF_E_INVALID_AMOUNT);
  set_amount("6");
  assert_refused(HF_E_INVALID_TRANSITION);
  original.first.type = LEDGER_T_SETTLE;
  assert_refused(HF_E_ALREADY_REVERSED);
  set_amount("5");
  assert_refused(HF_E_INSUFFICIENT_FUNDS);
  set_amount("4");
  original.reversals = LEDGER_REVERSALS_MAX - 1u;
  assert_refused(HF_E_LIMIT_EXCEEDED);
  original.reversals--;
  assert_refused(HF_OK);
}

static void test_order_when_a_transfer_is_wrong_all_over(void **state)
{
  (void)state;
  RUN(GRANT, "5");
  command = subject_command(&f, LEDGER_T_TRANSFER, "6.123456789");
  command.counterparty = SUBJECT_USER;
  command.payee_closed = true;
  assert_refused(HF_E_INVALID_AMOUNT);
  set_amount("6");
  assert_refused(HF_E_SELF_TRANSFER);
  command.counterparty = 77;
  assert_refused(HF_E_USER_CLOSED);
  command.payee_closed = false;
  assert_refused(HF_E_INSUFFICIENT_FUNDS);
  set_amount("5");
  assert_refused(HF_OK);
}

static void test_order_when_a_block_is_wrong_all_over(void **state)
{
  (void)state;
  RUN(GRANT, "5");
  command = subject_command(&f, LEDGER_T_BLOCK, "6.123456789");
  command.bucket = LEDGER_HELD;
  assert_refused(HF_E_INVALID_AMOUNT);
  set_amount("6");
  assert_refused(HF_E_INVALID_TRANSITION);
  command.bucket = LEDGER_CLAIMABLE;
  assert_refused(HF_E_INSUFFICIENT_FUNDS);
}

static void test_if_version_when_it_is_the_version_before_the_op_applies(void **state)
{
  (void)state;
  command = subject_command(&f, LEDGER_T_EARN, "1");
  command.if_version = 0;
  assert_refused(HF_OK);
  assert_refused(HF_E_VERSION_MISMATCH);
  command.if_version = INT64_MAX;
  assert_refused(HF_E_VERSION_MISMATCH);
  command.if_version = 1;
  assert_refused(HF_OK);
}

/* ---- amounts --------------------------------------------------------------------------------- */

static void test_amount_when_zero_or_negative_is_invalid(void **state)
{
  (void)state;
  RUN(GRANT, "5");
  for (unsigned type = LEDGER_T_EARN; type < LEDGER_T_QUARANTINE_IN; type++) {
    if (type == LEDGER_T_CAPTURE || type == LEDGER_T_VOID || type == LEDGER_T_UNBLOCK)
      continue;
    command = subject_command(&f, type, "0");
    command.counterparty = 77;
    assert_refused(HF_E_INVALID_AMOUNT);
    set_amount("-1");
    if (type != LEDGER_T_ADJUST)
      assert_refused(HF_E_INVALID_AMOUNT);
  }
  RUN(HOLD, "5");
  assert_int_equal(subject_resolve(&f, LEDGER_T_CAPTURE, f.op, "0"), HF_E_INVALID_AMOUNT);
  assert_int_equal(subject_resolve(&f, LEDGER_T_CAPTURE, f.op, "-1"), HF_E_INVALID_AMOUNT);
}

static void test_amount_when_finer_than_the_scale_is_invalid(void **state)
{
  (void)state;
  assert_int_equal(subject_run(&f, LEDGER_T_EARN, "0.000000001"), HF_E_INVALID_AMOUNT);
  RUN(EARN, "0.00000001");
  command = subject_command(&f, LEDGER_T_EARN, "1.0000000000000000001");
  command.scale = HF_SCALE_MAX;
  assert_refused(HF_E_INVALID_AMOUNT);
}

static void test_amount_when_no_balance_could_hold_it_is_invalid(void **state)
{
  (void)state;
  command = subject_command(&f, LEDGER_T_EARN, "99999999999999999999999999999999999999");
  assert_refused(HF_E_INVALID_AMOUNT);
  command.scale = 0;
  assert_refused(HF_OK);
}

static void test_amount_when_the_smallest_of_the_range_is_invalid(void **state)
{
  (void)state;
  command = subject_command(&f, LEDGER_T_ADJUST, "-1");
  command.amount = (struct hf_decimal){HF_AMOUNT_MIN, SUBJECT_SCALE};
  assert_refused(HF_E_INVALID_AMOUNT);
  command.amount = (struct hf_decimal){-HF_AMOUNT_MAX, SUBJECT_SCALE};
  assert_refused(HF_E_INSUFFICIENT_FUNDS);
}

static void test_scale_when_a_reference_decides_is_that_of_its_asset(void **state)
{
  (void)state;
  command = subject_command(&f, LEDGER_T_GRANT, "5");
  command.asset = 3; /* scale 2 */
  command.scale = 2;
  assert_refused(HF_OK);
  command.type = LEDGER_T_HOLD;
  assert_refused(HF_OK);
  command.type = LEDGER_T_CAPTURE;
  command.ref = f.op;
  command.asset_given = false;
  command.scale = SUBJECT_SCALE;
  set_amount("4.001");
  assert_refused(HF_E_INVALID_AMOUNT);
  set_amount("4.01");
  assert_refused(HF_OK);
  assert_true(f.result.entries[0].amount == 401);
}

static void test_scale_when_the_references_asset_is_unknown_is_asset_not_found(void **state)
{
  (void)state;
  command = subject_command(&f, LEDGER_T_GRANT, "5");
  command.asset = 300; /* not in the subject's catalog */
  assert_refused(HF_OK);
  command.type = LEDGER_T_HOLD;
  assert_refused(HF_OK);
  command.type = LEDGER_T_CAPTURE;
  command.ref = f.op;
  command.asset_given = false;
  assert_refused(HF_E_ASSET_NOT_FOUND);
  command.amount_given = false;
  assert_refused(HF_OK);
}

/* ---- overflow -------------------------------------------------------------------------------- */

static void set_units(hf_amount units)
{
  command.amount_given = true;
  command.amount = (struct hf_decimal){units, SUBJECT_SCALE};
}

static void test_overflow_when_a_bucket_leaves_the_range(void **state)
{
  (void)state;
  command = subject_command(&f, LEDGER_T_GRANT, "1");
  set_units(HF_AMOUNT_MAX);
  assert_refused(HF_OK);
  set_units(1);
  assert_refused(HF_E_AMOUNT_OVERFLOW);
  command.type = LEDGER_T_SPEND;
  assert_refused(HF_OK);
  command.type = LEDGER_T_GRANT;
  assert_refused(HF_OK);
}

static void test_overflow_when_only_the_sum_leaves_the_range(void **state)
{
  (void)state;
  command = subject_command(&f, LEDGER_T_GRANT, "1");
  set_units(HF_AMOUNT_MAX - 5);
  assert_refused(HF_OK);
  command.type = LEDGER_T_EARN;
  set_units(6);
  assert_refused(HF_E_AMOUNT_OVERFLOW);
  command.type = LEDGER_T_QUARANTINE_IN;
  assert_refused(HF_E_AMOUNT_OVERFLOW);
  set_units(5);
  assert_refused(HF_OK);
  assert_true(ledger_total(&ledger_user_asset(&f.user, SUBJECT_ASSET)->balance) == HF_AMOUNT_MAX);
  /* Inside, everything still moves. */
  command.type = LEDGER_T_HOLD;
  set_units(HF_AMOUNT_MAX - 5);
  assert_refused(HF_OK);
  assert_int_equal(subject_resolve(&f, LEDGER_T_CAPTURE, f.op, "1"), HF_OK);
}

static void test_overflow_when_the_lifetime_total_leaves_the_range(void **state)
{
  (void)state;
  command = subject_command(&f, LEDGER_T_GRANT, "1");
  set_units(HF_AMOUNT_MAX);
  assert_refused(HF_OK);
  command.type = LEDGER_T_SPEND;
  assert_refused(HF_OK);
  struct ledger_entry spend = f.result.entries[0];
  command.type = LEDGER_T_GRANT;
  set_units(1);
  assert_refused(HF_OK);
  command.type = LEDGER_T_SPEND;
  assert_refused(HF_E_AMOUNT_OVERFLOW);
  command.type = LEDGER_T_HOLD;
  assert_refused(HF_OK);
  assert_int_equal(subject_resolve(&f, LEDGER_T_CAPTURE, f.op, NULL), HF_E_AMOUNT_OVERFLOW);
  assert_int_equal(subject_reverse(&f, &spend, "0", "0.00000001"), HF_OK);
}

static void test_overflow_when_lifetime_totals_are_large_is_not_seen(void **state)
{
  (void)state;
  struct ledger_user user;
  ledger_user_init(&user, SUBJECT_USER);
  user.version = 1;
  struct ledger_asset asset = {.version = 1, .asset = SUBJECT_ASSET};
  asset.balance.claimed_total = asset.balance.spent_total = HF_AMOUNT_MAX;
  ledger_user_add_asset(&user, &asset);
  command = subject_command(&f, LEDGER_T_GRANT, "1");
  ledger_apply(&user, &command, &f.result);
  assert_int_equal(f.result.error, HF_OK);
  ledger_user_deinit(&user);
}

static void test_overflow_when_the_debt_leaves_the_range(void **state)
{
  (void)state;
  command = subject_command(&f, LEDGER_T_GRANT, "1");
  set_units(HF_AMOUNT_MAX);
  assert_refused(HF_OK);
  struct ledger_entry first = f.result.entries[0];
  command.type = LEDGER_T_SPEND;
  assert_refused(HF_OK);
  command.type = LEDGER_T_QUARANTINE_IN;
  set_units(2);
  assert_refused(HF_OK);
  struct ledger_entry second = f.result.entries[0];
  RUN(RELEASE, "0.00000002");
  assert_int_equal(subject_reverse(&f, &first, "0", NULL), HF_OK);
  assert_true(subject_bucket(&f, LEDGER_DEBT) == HF_AMOUNT_MAX);
  assert_int_equal(subject_reverse(&f, &second, "0", NULL), HF_E_AMOUNT_OVERFLOW);
}

static void test_credit_when_it_overflows_is_refused_for_its_bounce(void **state)
{
  (void)state;
  command = subject_command(&f, LEDGER_T_GRANT, "1");
  set_units(HF_AMOUNT_MAX);
  assert_refused(HF_OK);
  command.type = LEDGER_T_CREDIT;
  command.ref = 4711;
  set_units(1);
  assert_refused(HF_E_AMOUNT_OVERFLOW);
}

/* ---- limits, closing ------------------------------------------------------------------------- */

static void test_assets_at_their_limit_are_refused(void **state)
{
  (void)state;
  command = subject_command(&f, LEDGER_T_GRANT, "5");
  for (unsigned i = 0; i < LEDGER_ASSETS_MAX; i++) {
    command.asset = (uint16_t)(1000 - 10 * i);
    assert_refused(HF_OK);
  }
  assert_int_equal(f.result.entries[0].others_count, LEDGER_ASSETS_MAX - 1);
  command.asset = 1;
  assert_refused(HF_E_LIMIT_EXCEEDED);
  command.type = LEDGER_T_CREDIT;
  assert_refused(HF_E_LIMIT_EXCEEDED);
  command.type = LEDGER_T_SPEND;
  assert_refused(HF_E_INSUFFICIENT_FUNDS);
  command.asset = 1000;
  assert_refused(HF_OK);
}

static void test_closed_when_asked_for_anything_of_the_users_is_refused(void **state)
{
  (void)state;
  RUN(GRANT, "5");
  struct ledger_original original = {.found = true, .first = f.result.entries[0]};
  f.user.status = f.folded.status = LEDGER_CLOSED;
  for (unsigned type = LEDGER_T_EARN; type <= LEDGER_T_REVERSE; type++) {
    if (type == LEDGER_T_VOID)
      continue;
    command = subject_command(&f, type, "1");
    command.ref = 4711;
    command.counterparty = 77;
    command.original = &original;
    assert_refused(HF_E_USER_CLOSED);
  }
}

static void test_closed_when_holds_end_still_releases_them(void **state)
{
  (void)state;
  RUN(GRANT, "10");
  RUN(HOLD, "5");
  hf_id first = f.op;
  command = subject_command(&f, LEDGER_T_HOLD, "5");
  command.timeout_s = 1;
  assert_refused(HF_OK);
  hf_id second = f.op;
  f.user.status = f.folded.status = LEDGER_CLOSED;
  assert_int_equal(subject_resolve(&f, LEDGER_T_CAPTURE, first, NULL), HF_E_USER_CLOSED);
  assert_int_equal(subject_resolve(&f, LEDGER_T_VOID, first, NULL), HF_OK);
  f.now_us += 1000000;
  assert_int_equal(subject_resolve(&f, LEDGER_T_EXPIRE, second, NULL), HF_OK);
  assert_bucket(&f, LEDGER_CLAIMABLE, "10");
}

static void test_closed_when_credited_freezes_the_credit(void **state)
{
  (void)state;
  RUN(GRANT, "1");
  f.user.status = f.folded.status = LEDGER_CLOSED;
  command = subject_command(&f, LEDGER_T_CREDIT, "5");
  command.ref = 4711;
  command.counterparty = 77;
  assert_refused(HF_OK);
  assert_entry(&f, 0, LEDGER_TRANSIT, LEDGER_BLOCKED, "5");
  assert_int_equal(f.result.entries[0].ref, 4711);
  assert_true(f.result.entries[0].ref_left == 0);
  const struct ledger_block *block = ledger_user_block(&f.user, f.op);
  assert_non_null(block);
  assert_int_equal(block->bucket, LEDGER_CLAIMABLE);
  assert_bucket(&f, LEDGER_CLAIMABLE, "1");
  assert_bucket(&f, LEDGER_BLOCKED, "5");
  f.user.status = f.folded.status = LEDGER_OPEN;
  assert_int_equal(subject_resolve(&f, LEDGER_T_UNBLOCK, block->id, NULL), HF_OK);
  assert_bucket(&f, LEDGER_CLAIMABLE, "6");
}

static void test_closed_when_a_transfer_bounces_takes_it_back(void **state)
{
  (void)state;
  RUN(GRANT, "5");
  f.user.status = f.folded.status = LEDGER_CLOSED;
  command = subject_command(&f, LEDGER_T_BOUNCE, "5");
  command.ref = 4711;
  assert_refused(HF_OK);
  assert_bucket(&f, LEDGER_CLAIMABLE, "10");
}

static void test_credit_when_the_asset_is_not_flagged_known_is_not_refused(void **state)
{
  (void)state;
  command = subject_command(&f, LEDGER_T_CREDIT, "5");
  command.ref = 4711;
  command.asset_given = false;
  command.asset_known = false;
  assert_refused(HF_OK);
}

static void test_funds_when_each_bucket_is_short_are_insufficient(void **state)
{
  (void)state;
  static const unsigned types[] = {LEDGER_T_SETTLE, LEDGER_T_MATURE, LEDGER_T_SPEND,
                                   LEDGER_T_HOLD,   LEDGER_T_BLOCK,  LEDGER_T_RELEASE};
  for (unsigned i = 0; i < sizeof types / sizeof *types; i++)
    assert_int_equal(subject_run(&f, types[i], "0.00000001"), HF_E_INSUFFICIENT_FUNDS);
  assert_int_equal(f.user.assets_count, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
    TEST(test_order_when_a_spend_is_wrong_all_over),
    TEST(test_order_when_a_capture_is_wrong_all_over),
    TEST(test_order_when_an_unblock_is_wrong_all_over),
    TEST(test_order_when_a_reverse_is_wrong_all_over),
    TEST(test_order_when_a_transfer_is_wrong_all_over),
    TEST(test_order_when_a_block_is_wrong_all_over),
    TEST(test_if_version_when_it_is_the_version_before_the_op_applies),
    TEST(test_amount_when_zero_or_negative_is_invalid),
    TEST(test_amount_when_finer_than_the_scale_is_invalid),
    TEST(test_amount_when_no_balance_could_hold_it_is_invalid),
    TEST(test_amount_when_the_smallest_of_the_range_is_invalid),
    TEST(test_scale_when_a_reference_decides_is_that_of_its_asset),
    TEST(test_scale_when_the_references_asset_is_unknown_is_asset_not_found),
    TEST(test_overflow_when_a_bucket_leaves_the_range),
    TEST(test_overflow_when_only_the_sum_leaves_the_range),
    TEST(test_overflow_when_the_lifetime_total_leaves_the_range),
    TEST(test_overflow_when_lifetime_totals_are_large_is_not_seen),
    TEST(test_overflow_when_the_debt_leaves_the_range),
    TEST(test_credit_when_it_overflows_is_refused_for_its_bounce),
    TEST(test_assets_at_their_limit_are_refused),
    TEST(test_closed_when_asked_for_anything_of_the_users_is_refused),
    TEST(test_closed_when_holds_end_still_releases_them),
    TEST(test_closed_when_credited_freezes_the_credit),
    TEST(test_closed_when_a_transfer_bounces_takes_it_back),
    TEST(test_credit_when_the_asset_is_not_flagged_known_is_not_refused),
    TEST(test_funds_when_each_bucket_is_short_are_insufficient),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
