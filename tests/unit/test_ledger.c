/* test_ledger.c - each type of command: its moves and what it carries. */
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

static void test_earn_settle_mature_when_in_order_moves_to_claimable(void **state)
{
  (void)state;
  RUN(EARN, "10");
  assert_entry(&f, 0, LEDGER_ISSUANCE, LEDGER_EARNED, "10");
  RUN(SETTLE, "7.5");
  assert_entry(&f, 0, LEDGER_EARNED, LEDGER_PENDING, "7.5");
  RUN(MATURE, "5.00000001");
  assert_entry(&f, 0, LEDGER_PENDING, LEDGER_CLAIMABLE, "5.00000001");
  assert_bucket(&f, LEDGER_EARNED, "2.5");
  assert_bucket(&f, LEDGER_PENDING, "2.49999999");
  assert_bucket(&f, LEDGER_CLAIMABLE, "5.00000001");
  assert_true(ledger_total(&ledger_user_asset(&f.user, SUBJECT_ASSET)->balance) ==
              subject_units("10", SUBJECT_SCALE));
  assert_int_equal(f.user.version, 3);
}

static void test_grant_and_spend_when_covered_count_for_life(void **state)
{
  (void)state;
  RUN(GRANT, "10");
  assert_entry(&f, 0, LEDGER_REWARDS, LEDGER_CLAIMABLE, "10");
  RUN(SPEND, "4");
  assert_entry(&f, 0, LEDGER_CLAIMABLE, LEDGER_SPEND, "4");
  RUN(SPEND, "6");
  assert_bucket(&f, LEDGER_CLAIMABLE, "0");
  const struct ledger_balance *balance = &ledger_user_asset(&f.user, SUBJECT_ASSET)->balance;
  assert_true(balance->spent_total == subject_units("10", SUBJECT_SCALE));
  assert_true(balance->claimed_total == 0);
}

static void test_deposit_when_source_is_chain_comes_from_chain_in(void **state)
{
  (void)state;
  struct ledger_command command = subject_command(&f, LEDGER_T_DEPOSIT, "1");
  memcpy(command.label, "chain", sizeof "chain");
  assert_int_equal(subject_apply(&f, &command), HF_OK);
  assert_entry(&f, 0, LEDGER_CHAIN_IN, LEDGER_CLAIMABLE, "1");
  memcpy(command.label, "chains", sizeof "chains");
  assert_int_equal(subject_apply(&f, &command), HF_OK);
  assert_entry(&f, 0, LEDGER_PSP_CLEARING, LEDGER_CLAIMABLE, "1");
  command.label[0] = '\0';
  assert_int_equal(subject_apply(&f, &command), HF_OK);
  assert_entry(&f, 0, LEDGER_PSP_CLEARING, LEDGER_CLAIMABLE, "1");
}

static void test_quarantine_when_released_becomes_pending(void **state)
{
  (void)state;
  RUN(QUARANTINE_IN, "3");
  assert_entry(&f, 0, LEDGER_ISSUANCE, LEDGER_QUARANTINE, "3");
  RUN(RELEASE, "1");
  assert_entry(&f, 0, LEDGER_QUARANTINE, LEDGER_PENDING, "1");
  assert_bucket(&f, LEDGER_QUARANTINE, "2");
}

static void test_adjust_when_signed_moves_either_way(void **state)
{
  (void)state;
  RUN(ADJUST, "5");
  assert_entry(&f, 0, LEDGER_ADJUSTMENTS, LEDGER_CLAIMABLE, "5");
  RUN(ADJUST, "-2");
  assert_entry(&f, 0, LEDGER_CLAIMABLE, LEDGER_ADJUSTMENTS, "2");
  assert_int_equal(subject_run(&f, LEDGER_T_ADJUST, "-3.00000001"), HF_E_INSUFFICIENT_FUNDS);
  assert_bucket(&f, LEDGER_CLAIMABLE, "3");
}

static void test_transfer_when_covered_goes_to_transit(void **state)
{
  (void)state;
  RUN(GRANT, "5");
  struct ledger_command command = subject_command(&f, LEDGER_T_TRANSFER, "2");
  command.counterparty = 77;
  assert_int_equal(subject_apply(&f, &command), HF_OK);
  assert_entry(&f, 0, LEDGER_CLAIMABLE, LEDGER_TRANSIT, "2");
  assert_int_equal(f.result.entries[0].counterparty, 77);
  assert_int_equal(f.result.entries[0].ref, 0);
}

static void test_credit_and_bounce_when_open_reach_claimable(void **state)
{
  (void)state;
  struct ledger_command command = subject_command(&f, LEDGER_T_CREDIT, "2");
  command.ref = 4711;
  command.counterparty = 77;
  assert_int_equal(subject_apply(&f, &command), HF_OK);
  assert_entry(&f, 0, LEDGER_TRANSIT, LEDGER_CLAIMABLE, "2");
  assert_int_equal(f.result.entries[0].ref, 4711);
  assert_int_equal(f.result.entries[0].counterparty, 77);
  command.type = LEDGER_T_BOUNCE;
  assert_int_equal(subject_apply(&f, &command), HF_OK);
  assert_entry(&f, 0, LEDGER_TRANSIT, LEDGER_CLAIMABLE, "2");
  assert_int_equal(f.result.entries[0].ref, 4711);
  assert_bucket(&f, LEDGER_CLAIMABLE, "4");
}

static void test_entry_when_applied_carries_the_command(void **state)
{
  (void)state;
  struct ledger_command command = subject_command(&f, LEDGER_T_EARN, "1");
  command.has_metadata = true;
  memset(command.metadata_hash.bytes, 0x33, sizeof command.metadata_hash.bytes);
  command.effective_us = SUBJECT_NOW_US - 5;
  assert_int_equal(subject_apply(&f, &command), HF_OK);
  const struct ledger_entry *entry = &f.result.entries[0];
  assert_int_equal(entry->user, SUBJECT_USER);
  assert_int_equal(entry->version, 1);
  assert_int_equal(entry->type, LEDGER_T_EARN);
  assert_int_equal(entry->op_count, 1);
  assert_int_equal(entry->recorded_us, SUBJECT_NOW_US);
  assert_int_equal(entry->effective_us, SUBJECT_NOW_US - 5);
  assert_true(hf_digest_equal(&entry->key, &command.key));
  assert_true(hf_digest_equal(&entry->request, &command.request));
  assert_string_equal(entry->label, "app");
  assert_string_equal(entry->actor, "key:test");
  assert_string_equal(entry->correlation, "corr-1");
  assert_true(entry->has_metadata);
  assert_true(hf_hash_equal(&entry->metadata_hash, &command.metadata_hash));
}

static void test_recorded_time_when_the_clock_stands_or_steps_back_still_rises(void **state)
{
  (void)state;
  RUN(EARN, "1");
  f.now_us = SUBJECT_NOW_US;
  RUN(EARN, "1");
  assert_int_equal(f.result.entries[0].recorded_us, SUBJECT_NOW_US + 1);
  f.now_us = SUBJECT_NOW_US - 1000000;
  RUN(EARN, "1");
  assert_int_equal(f.result.entries[0].recorded_us, SUBJECT_NOW_US + 2);
}

static void test_effective_time_when_in_the_future_is_the_recorded_one(void **state)
{
  (void)state;
  struct ledger_command command = subject_command(&f, LEDGER_T_EARN, "1");
  command.effective_us = SUBJECT_NOW_US + 1;
  assert_int_equal(subject_apply(&f, &command), HF_OK);
  assert_int_equal(f.result.entries[0].effective_us, SUBJECT_NOW_US);
}

static void test_others_when_several_assets_name_their_newest_versions(void **state)
{
  (void)state;
  struct ledger_command command = subject_command(&f, LEDGER_T_EARN, "1");
  static const uint16_t assets[] = {9, 3, 7, 9, 1};
  for (unsigned i = 0; i < 5; i++) {
    command.asset = assets[i];
    assert_int_equal(subject_apply(&f, &command), HF_OK);
  }
  const struct ledger_entry *entry = &f.result.entries[0];
  assert_int_equal(entry->others_count, 3);
  static const struct ledger_other expected[] = {{3, 2}, {7, 3}, {9, 4}};
  for (unsigned i = 0; i < 3; i++) {
    assert_int_equal(entry->others[i].asset, expected[i].asset);
    assert_int_equal(entry->others[i].version, expected[i].version);
  }
}

static void test_result_when_reused_forgets_the_op_before(void **state)
{
  (void)state;
  RUN(EARN, "1");
  RUN(SETTLE, "1");
  assert_int_equal(f.result.body.size, f.result.body_size[0]);
  assert_int_equal(subject_run(&f, LEDGER_T_SPEND, "1"), HF_E_INSUFFICIENT_FUNDS);
  assert_int_equal(f.result.body.size, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
    TEST(test_earn_settle_mature_when_in_order_moves_to_claimable),
    TEST(test_grant_and_spend_when_covered_count_for_life),
    TEST(test_deposit_when_source_is_chain_comes_from_chain_in),
    TEST(test_quarantine_when_released_becomes_pending),
    TEST(test_adjust_when_signed_moves_either_way),
    TEST(test_transfer_when_covered_goes_to_transit),
    TEST(test_credit_and_bounce_when_open_reach_claimable),
    TEST(test_entry_when_applied_carries_the_command),
    TEST(test_recorded_time_when_the_clock_stands_or_steps_back_still_rises),
    TEST(test_effective_time_when_in_the_future_is_the_recorded_one),
    TEST(test_others_when_several_assets_name_their_newest_versions),
    TEST(test_result_when_reused_forgets_the_op_before),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
