/* test_ledger_user.c - names, copies, invariants, and what fold finds wrong. */
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
static void test_names_when_looked_up_are_those_of_the_table(void **state)
{
  (void)state;
  static const struct {
    unsigned number;
    const char *text;
  } accounts[] = {{0, "earned"},        {1, "pending"},    {2, "claimable"},   {3, "held"},
                  {4, "claiming"},      {5, "blocked"},    {6, "quarantine"},  {7, "debt"},
                  {16, "sys:issuance"}, {18, "sys:spend"}, {25, "sys:transit"}};
  for (size_t i = 0; i < sizeof accounts / sizeof *accounts; i++)
    assert_string_equal(ledger_account_text(accounts[i].number), accounts[i].text);
  for (unsigned i = 8; i < 16; i++)
    assert_null(ledger_account_text(i));
  assert_null(ledger_account_text(26));
  assert_null(ledger_account_text(UINT32_MAX));
  assert_null(ledger_type_text(0));
  assert_null(ledger_type_text(20));
  for (unsigned type = 1; type < LEDGER_TYPE_COUNT; type++) {
    unsigned back = 0;
    const char *text = ledger_type_text(type);
    assert_true(ledger_type_by_text(text, strlen(text), &back));
    assert_int_equal(back, type);
    assert_false(ledger_type_by_text(text, strlen(text) - 1, &back));
  }
  unsigned bucket = 42;
  assert_true(ledger_bucket_by_text("claimableX", 9, &bucket));
  assert_int_equal(bucket, LEDGER_CLAIMABLE);
  assert_false(ledger_bucket_by_text("claimableX", 10, &bucket));
  assert_false(ledger_bucket_by_text("sys:issuance", 12, &bucket));
  assert_false(ledger_bucket_by_text("", 0, &bucket));
  assert_false(ledger_type_by_text("", 0, &bucket));
  assert_int_equal(bucket, LEDGER_CLAIMABLE);
}

/* Two assets, two holds, two blocks. */
static void populate(void)
{
  struct ledger_command command = subject_command(&f, LEDGER_T_GRANT, "50");
  command.asset = 3;
  command.scale = 2;
  assert_int_equal(subject_apply(&f, &command), HF_OK);
  RUN(GRANT, "100");
  RUN(HOLD, "10");
  RUN(BLOCK, "20");
  RUN(HOLD, "30");
  RUN(BLOCK, "5");
}

static void test_copy_when_made_is_independent(void **state)
{
  (void)state;
  populate();
  struct ledger_user copy;
  ledger_user_copy(&copy, &f.user);
  assert_true(subject_same_user(&copy, &f.user));
  assert_null(ledger_user_check(&copy));
  RUN(GRANT, "1");
  RUN(HOLD, "1");
  RUN(BLOCK, "1");
  assert_false(subject_same_user(&copy, &f.user));
  assert_null(ledger_user_check(&copy));
  /* The copy grows on its own. */
  struct ledger_command command = subject_command(&f, LEDGER_T_GRANT, "1");
  ledger_apply(&copy, &command, &f.result);
  assert_int_equal(f.result.error, HF_OK);
  command.type = LEDGER_T_HOLD;
  ledger_apply(&copy, &command, &f.result);
  assert_int_equal(f.result.error, HF_OK);
  assert_null(ledger_user_check(&copy));
  ledger_user_deinit(&copy);
  struct ledger_user empty, same;
  ledger_user_init(&empty, 5);
  ledger_user_copy(&same, &empty);
  assert_true(subject_same_user(&empty, &same));
  ledger_user_deinit(&same);
  ledger_user_deinit(&empty);
  ledger_user_deinit(&empty);
}

#define CHECKS(change)                                                                             \
  do {                                                                                             \
    struct ledger_user user;                                                                       \
    ledger_user_copy(&user, &f.user);                                                              \
    assert_null(ledger_user_check(&user));                                                         \
    change;                                                                                        \
    assert_non_null(ledger_user_check(&user));                                                     \
    ledger_user_deinit(&user);                                                                     \
  } while (0)

static void test_check_when_anything_is_off_says_so(void **state)
{
  (void)state;
  struct ledger_user empty;
  ledger_user_init(&empty, 5);
  assert_null(ledger_user_check(&empty));
  empty.head.bytes[0] = 1;
  assert_non_null(ledger_user_check(&empty));
  populate();
  CHECKS(user.id = 0);
  CHECKS(user.version++);
  CHECKS(user.version--);
  CHECKS(user.assets_count--);
  CHECKS(user.assets[0].asset = 9);
  CHECKS(user.assets[0].version = 0);
  CHECKS(user.assets[0].version = 99);
  CHECKS(user.assets[0].balance.bucket[LEDGER_EARNED] = -1);
  CHECKS(user.assets[0].balance.bucket[LEDGER_DEBT] = -1);
  CHECKS(user.assets[0].balance.spent_total = -1);
  CHECKS(user.assets[0].balance.claimed_total = -1);
  CHECKS(user.assets[0].balance.bucket[LEDGER_EARNED] = HF_AMOUNT_MAX);
  CHECKS(user.assets[1].balance.bucket[LEDGER_HELD]++);
  CHECKS(user.assets[1].balance.bucket[LEDGER_BLOCKED]--);
  CHECKS(user.holds_count--);
  CHECKS(user.blocks_count--);
  CHECKS(user.holds[0].asset = 3);
  CHECKS(user.holds[0].asset = 99);
  CHECKS(user.holds[0].version = 5);
  CHECKS(user.holds[0].version = 0);
  CHECKS(user.holds[1].version = 99);
  CHECKS(user.holds[0].remaining = 0);
  CHECKS(user.holds[0].remaining++);
  CHECKS(user.blocks[0].remaining--);
  CHECKS(user.blocks[0].version = 6);
  CHECKS(user.blocks[1].version = 99);
  CHECKS(user.blocks[0].asset = 99);
}

static void test_load_when_adding_out_of_asset_order_sorts(void **state)
{
  (void)state;
  struct ledger_user user;
  ledger_user_init(&user, 5);
  static const uint16_t assets[] = {5, 1, 9, 3, 7};
  user.version = 5;
  for (unsigned i = 0; i < 5; i++) {
    struct ledger_asset asset = {.version = i + 1, .asset = assets[i]};
    ledger_user_add_asset(&user, &asset);
  }
  assert_null(ledger_user_check(&user));
  assert_int_equal(user.assets[0].asset, 1);
  assert_int_equal(user.assets[4].asset, 9);
  assert_int_equal(ledger_user_asset(&user, 3)->version, 4);
  assert_null(ledger_user_asset(&user, 4));
  ledger_user_deinit(&user);
}

static void test_total_when_taken_is_the_buckets_less_debt(void **state)
{
  (void)state;
  struct ledger_balance balance = {
    .bucket = {1, 2, 4, 8, 16, 32, 64, 128}, .claimed_total = 1000, .spent_total = 1000};
  assert_true(ledger_total(&balance) == 127 - 128);
}

/* ---- fold ------------------------------------------------------------------------------------ */

/* The entry that comes next, unfolded; `f.folded` is the user before it. */
static struct ledger_entry next_entry(const struct ledger_command *command, unsigned index)
{
  static struct ledger_other others[LEDGER_ASSETS_MAX];
  struct ledger_user user;
  ledger_user_copy(&user, &f.user);
  ledger_apply(&user, command, &f.result);
  assert_int_equal(f.result.error, HF_OK);
  ledger_user_deinit(&user);
  struct ledger_entry entry = f.result.entries[index];
  entry.id = hf_id_make(9000 + index, SUBJECT_USER & 15u, SUBJECT_BITS);
  memcpy(others, f.result.others, sizeof others);
  entry.others = others;
  return entry;
}

static void assert_unfit(const struct ledger_entry *entry, bool verify_hash)
{
  struct ledger_user before;
  ledger_user_copy(&before, &f.folded);
  assert_non_null(ledger_fold(&f.folded, entry, SUBJECT_BITS, verify_hash));
  assert_true(subject_same_user(&before, &f.folded));
  ledger_user_deinit(&before);
}

#define UNFIT(change)                                                                              \
  do {                                                                                             \
    struct ledger_entry entry = fit;                                                               \
    change;                                                                                        \
    assert_unfit(&entry, false);                                                                   \
  } while (0)

static void test_fold_when_the_entry_does_not_follow_leaves_the_user(void **state)
{
  (void)state;
  populate();
  struct ledger_command command = subject_command(&f, LEDGER_T_SPEND, "7");
  struct ledger_entry fit = next_entry(&command, 0);
  struct ledger_other other = fit.others[0];
  UNFIT(entry.user++);
  UNFIT(entry.version++);
  UNFIT(entry.version--);
  UNFIT(entry.type = LEDGER_T_HOLD);
  UNFIT(entry.type = LEDGER_T_TRANSFER);
  UNFIT(entry.type = 0);
  UNFIT(entry.op_index = 1);
  UNFIT(entry.op_count = 9);
  UNFIT(entry.op_index = 1; entry.op_count = 2);
  UNFIT(entry.from = LEDGER_EARNED);
  UNFIT(entry.to = LEDGER_FEES);
  UNFIT(entry.to = 200);
  UNFIT(entry.asset = 3);
  UNFIT(entry.asset = 4);
  UNFIT(entry.amount++);
  UNFIT(entry.amount = 0);
  UNFIT(entry.amount = -entry.amount);
  UNFIT(entry.amount = HF_AMOUNT_MAX);
  UNFIT(entry.ref_left = 1);
  UNFIT(entry.recorded_us = f.folded.recorded_us);
  UNFIT(entry.effective_us = entry.recorded_us + 1);
  UNFIT(entry.expires_us = entry.recorded_us + 1);
  UNFIT(entry.others_count = 0);
  UNFIT(entry.others_count = 2);
  UNFIT(other.version--; entry.others = &other);
  other = fit.others[0];
  UNFIT(other.asset--; entry.others = &other);
  for (unsigned i = 0; i < LEDGER_BUCKET_COUNT; i++)
    UNFIT(entry.after.bucket[i]++);
  UNFIT(entry.after.spent_total--);
  UNFIT(entry.after.claimed_total++);
  assert_null(ledger_fold(&f.folded, &fit, SUBJECT_BITS, true));
}

static void test_fold_when_a_copy_has_lost_its_others_still_counts_them(void **state)
{
  (void)state;
  populate();
  struct ledger_command command = subject_command(&f, LEDGER_T_SPEND, "7");
  struct ledger_entry fit = next_entry(&command, 0);
  fit.others = NULL;
  UNFIT(entry.others_count = 0);
  assert_null(ledger_fold(&f.folded, &fit, SUBJECT_BITS, false));
}

static void test_fold_when_the_hash_is_verified_finds_any_other_field(void **state)
{
  (void)state;
  populate();
  struct ledger_command command = subject_command(&f, LEDGER_T_SPEND, "7");
  struct ledger_entry fit = next_entry(&command, 0);
#define UNHASHED(change)                                                                           \
  do {                                                                                             \
    struct ledger_entry entry = fit;                                                               \
    change;                                                                                        \
    assert_unfit(&entry, true);                                                                    \
  } while (0)
  UNHASHED(entry.hash.bytes[31] ^= 1);
  UNHASHED(entry.key.bytes[0] ^= 1);
  UNHASHED(entry.request.bytes[15] ^= 1);
  UNHASHED(entry.label[0] ^= 1);
  UNHASHED(entry.actor[0] = '\0');
  UNHASHED(entry.correlation[1] ^= 1);
  UNHASHED(entry.has_metadata = true);
  UNHASHED(entry.ref = 1);
  UNHASHED(entry.ref_left = 1);
  UNHASHED(entry.counterparty = 1);
  UNHASHED(entry.effective_us--);
  UNHASHED(entry.recorded_us++);
  assert_null(ledger_fold(&f.folded, &fit, SUBJECT_BITS, true));
}

static void test_fold_when_a_hold_does_not_fit_leaves_the_user(void **state)
{
  (void)state;
  populate();
  struct ledger_command command = subject_command(&f, LEDGER_T_CAPTURE, "7");
  command.ref = f.user.holds[0].id;
  struct ledger_entry fit = next_entry(&command, 0);
  UNFIT(entry.ref = 0);
  UNFIT(entry.ref = f.user.blocks[0].id);
  UNFIT(entry.ref = f.user.holds[1].id);
  UNFIT(entry.ref_left = 0);
  UNFIT(entry.type = LEDGER_T_EXPIRE; entry.to = LEDGER_CLAIMABLE);
  assert_null(ledger_fold(&f.folded, &fit, SUBJECT_BITS, true));
  assert_true(f.folded.holds[0].remaining == subject_units("3", SUBJECT_SCALE));
}

static void test_fold_when_an_expiry_comes_too_early_leaves_the_user(void **state)
{
  (void)state;
  RUN(GRANT, "10");
  struct ledger_command command = subject_command(&f, LEDGER_T_HOLD, "10");
  command.timeout_s = 1;
  struct ledger_entry born = next_entry(&command, 0);
  born.expires_us = born.recorded_us;
  assert_unfit(&born, false);
  assert_int_equal(subject_apply(&f, &command), HF_OK);
  command = subject_command(&f, LEDGER_T_EXPIRE, NULL);
  command.ref = f.op;
  command.now_us += 1000000;
  struct ledger_entry fit = next_entry(&command, 0);
  UNFIT(entry.recorded_us = entry.effective_us = f.user.holds[0].expires_us - 1);
  assert_null(ledger_fold(&f.folded, &fit, SUBJECT_BITS, true));
}

static void test_fold_when_a_hold_without_end_expires_leaves_the_user(void **state)
{
  (void)state;
  populate();
  struct ledger_command command = subject_command(&f, LEDGER_T_VOID, NULL);
  command.ref = f.user.holds[0].id;
  struct ledger_entry fit = next_entry(&command, 0);
  UNFIT(entry.type = LEDGER_T_EXPIRE);
  assert_null(ledger_fold(&f.folded, &fit, SUBJECT_BITS, true));
}

static void test_fold_when_a_block_does_not_fit_leaves_the_user(void **state)
{
  (void)state;
  populate();
  RUN(EARN, "10");
  struct ledger_command command = subject_command(&f, LEDGER_T_UNBLOCK, "3");
  command.ref = f.user.blocks[1].id;
  struct ledger_entry fit = next_entry(&command, 0);
  UNFIT(entry.ref = 0);
  UNFIT(entry.ref = f.user.blocks[0].id);
  UNFIT(entry.ref_left++);
  /* Back into another bucket than it came from, with balances that follow. */
  UNFIT(entry.to = LEDGER_EARNED; entry.after.bucket[LEDGER_CLAIMABLE] -= entry.amount;
        entry.after.bucket[LEDGER_EARNED] += entry.amount);
  assert_null(ledger_fold(&f.folded, &fit, SUBJECT_BITS, true));
}

static void test_fold_when_an_op_has_two_entries_takes_them_in_order(void **state)
{
  (void)state;
  populate();
  struct ledger_command command = subject_command(&f, LEDGER_T_CAPTURE, "7");
  command.ref = f.user.holds[0].id;
  struct ledger_entry second = next_entry(&command, 1);
  struct ledger_entry first = next_entry(&command, 0);
  assert_unfit(&second, false);
  assert_null(ledger_fold(&f.folded, &first, SUBJECT_BITS, true));
  assert_unfit(&first, false);
  struct ledger_entry fit = second;
  UNFIT(entry.recorded_us++);
  assert_null(ledger_fold(&f.folded, &second, SUBJECT_BITS, true));
  assert_int_equal(f.folded.holds_count, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
    TEST(test_names_when_looked_up_are_those_of_the_table),
    TEST(test_copy_when_made_is_independent),
    TEST(test_check_when_anything_is_off_says_so),
    TEST(test_load_when_adding_out_of_asset_order_sorts),
    TEST(test_total_when_taken_is_the_buckets_less_debt),
    TEST(test_fold_when_the_entry_does_not_follow_leaves_the_user),
    TEST(test_fold_when_a_copy_has_lost_its_others_still_counts_them),
    TEST(test_fold_when_the_hash_is_verified_finds_any_other_field),
    TEST(test_fold_when_a_hold_does_not_fit_leaves_the_user),
    TEST(test_fold_when_an_expiry_comes_too_early_leaves_the_user),
    TEST(test_fold_when_a_hold_without_end_expires_leaves_the_user),
    TEST(test_fold_when_a_block_does_not_fit_leaves_the_user),
    TEST(test_fold_when_an_op_has_two_entries_takes_them_in_order),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
