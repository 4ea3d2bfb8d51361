/* test_ledger_holds.c - holds and blocks: opened once, resolved once. */
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
#define RESOLVE(type, ref, amount) subject_resolve(&f, LEDGER_T_##type, ref, amount)

/* A hold of an amount, after a grant of the same. */
static hf_id held(const char *amount, uint32_t timeout_s)
{
  RUN(GRANT, amount);
  struct ledger_command command = subject_command(&f, LEDGER_T_HOLD, amount);
  command.timeout_s = timeout_s;
  assert_int_equal(subject_apply(&f, &command), HF_OK);
  return f.op;
}

static hf_id blocked(unsigned bucket, const char *amount)
{
  struct ledger_command command = subject_command(&f, LEDGER_T_BLOCK, amount);
  command.bucket = (uint8_t)bucket;
  assert_int_equal(subject_apply(&f, &command), HF_OK);
  return f.op;
}

static void test_hold_when_made_is_open_under_its_ops_id(void **state)
{
  (void)state;
  hf_id id = held("10", 0);
  assert_entry(&f, 0, LEDGER_CLAIMABLE, LEDGER_HELD, "10");
  assert_int_equal(f.result.entries[0].ref, 0);
  assert_int_equal(f.result.entries[0].expires_us, 0);
  const struct ledger_hold *hold = ledger_user_hold(&f.user, id);
  assert_non_null(hold);
  assert_int_equal(hold->expires_us, 0);
  assert_int_equal(hold->version, 2);
  assert_true(hold->amount == subject_units("10", SUBJECT_SCALE));
  assert_true(hold->remaining == hold->amount);
}

static void test_hold_when_timed_expires_that_long_after_its_record(void **state)
{
  (void)state;
  hf_id id = held("10", 60);
  const struct ledger_entry *entry = &f.result.entries[0];
  assert_int_equal(entry->expires_us, entry->recorded_us + 60000000);
  assert_int_equal(ledger_user_hold(&f.user, id)->expires_us, entry->expires_us);
  (void)held("1", UINT32_MAX);
  assert_int_equal(f.result.entries[0].expires_us - f.result.entries[0].recorded_us,
                   4294967295ll * 1000000);
}

static void test_capture_when_of_all_closes_the_hold(void **state)
{
  (void)state;
  hf_id id = held("10", 0);
  assert_int_equal(RESOLVE(CAPTURE, id, NULL), HF_OK);
  assert_int_equal(f.result.entries_count, 1);
  assert_entry(&f, 0, LEDGER_HELD, LEDGER_SPEND, "10");
  assert_int_equal(f.result.entries[0].ref, id);
  assert_true(f.result.entries[0].ref_left == 0);
  assert_null(ledger_user_hold(&f.user, id));
  assert_true(ledger_user_asset(&f.user, SUBJECT_ASSET)->balance.spent_total ==
              subject_units("10", SUBJECT_SCALE));
}

static void test_capture_when_final_and_partial_releases_the_rest(void **state)
{
  (void)state;
  hf_id id = held("10", 0);
  assert_int_equal(RESOLVE(CAPTURE, id, "4"), HF_OK);
  assert_int_equal(f.result.entries_count, 2);
  assert_entry(&f, 0, LEDGER_HELD, LEDGER_SPEND, "4");
  assert_true(f.result.entries[0].ref_left == subject_units("6", SUBJECT_SCALE));
  assert_entry(&f, 1, LEDGER_HELD, LEDGER_CLAIMABLE, "6");
  assert_true(f.result.entries[1].ref_left == 0);
  assert_int_equal(f.result.entries[1].ref, id);
  assert_int_equal(f.result.entries[1].op_index, 1);
  assert_int_equal(f.result.entries[1].op_count, 2);
  assert_int_equal(f.result.entries[1].type, LEDGER_T_CAPTURE);
  assert_bucket(&f, LEDGER_CLAIMABLE, "6");
  assert_bucket(&f, LEDGER_HELD, "0");
  assert_null(ledger_user_hold(&f.user, id));
}

static void test_capture_when_not_final_leaves_the_hold_open(void **state)
{
  (void)state;
  hf_id id = held("10", 0);
  struct ledger_command command = subject_command(&f, LEDGER_T_CAPTURE, "4");
  command.ref = id;
  command.final = false;
  assert_int_equal(subject_apply(&f, &command), HF_OK);
  assert_int_equal(f.result.entries_count, 1);
  assert_true(ledger_user_hold(&f.user, id)->remaining == subject_units("6", SUBJECT_SCALE));
  assert_int_equal(subject_apply(&f, &command), HF_OK);
  assert_int_equal(subject_apply(&f, &command), HF_E_AMOUNT_EXCEEDS_HOLD);
  command.amount_given = false;
  assert_int_equal(subject_apply(&f, &command), HF_OK);
  assert_entry(&f, 0, LEDGER_HELD, LEDGER_SPEND, "2");
  assert_null(ledger_user_hold(&f.user, id));
  assert_bucket(&f, LEDGER_CLAIMABLE, "0");
}

static void test_capture_when_more_than_held_is_refused(void **state)
{
  (void)state;
  RUN(GRANT, "100");
  hf_id id = held("10", 0);
  assert_int_equal(RESOLVE(CAPTURE, id, "10.00000001"), HF_E_AMOUNT_EXCEEDS_HOLD);
  assert_int_equal(RESOLVE(CAPTURE, id, "10"), HF_OK);
}

static void test_void_when_open_gives_all_that_is_left_back(void **state)
{
  (void)state;
  hf_id id = held("10", 0);
  struct ledger_command command = subject_command(&f, LEDGER_T_CAPTURE, "4");
  command.ref = id;
  command.final = false;
  assert_int_equal(subject_apply(&f, &command), HF_OK);
  assert_int_equal(RESOLVE(VOID, id, "6.1"), HF_E_AMOUNT_EXCEEDS_HOLD);
  assert_int_equal(RESOLVE(VOID, id, "5"), HF_E_INVALID_TRANSITION);
  assert_int_equal(RESOLVE(VOID, id, NULL), HF_OK);
  assert_entry(&f, 0, LEDGER_HELD, LEDGER_CLAIMABLE, "6");
  assert_bucket(&f, LEDGER_CLAIMABLE, "6");
  assert_null(ledger_user_hold(&f.user, id));
}

static void test_resolve_when_not_open_is_refused_by_its_fate(void **state)
{
  (void)state;
  hf_id id = held("10", 0);
  assert_int_equal(RESOLVE(VOID, id, NULL), HF_OK);
  static const unsigned types[] = {LEDGER_T_CAPTURE, LEDGER_T_VOID, LEDGER_T_EXPIRE};
  static const enum hf_error errors[] = {HF_E_HOLD_NOT_FOUND, HF_E_HOLD_RESOLVED,
                                         HF_E_HOLD_EXPIRED};
  for (unsigned i = 0; i < 3; i++) {
    for (unsigned fate = LEDGER_FATE_UNKNOWN; fate <= LEDGER_FATE_EXPIRED; fate++) {
      struct ledger_command command = subject_command(&f, types[i], NULL);
      command.ref = id;
      command.fate = (uint8_t)fate;
      assert_int_equal(subject_apply(&f, &command), errors[fate]);
    }
  }
}

static void test_resolve_when_expired_but_not_swept_is_refused(void **state)
{
  (void)state;
  hf_id id = held("10", 60);
  int64_t expires_us = f.result.entries[0].expires_us;
  f.now_us = expires_us - 1;
  assert_null(ledger_user_expired(&f.user, f.now_us));
  assert_int_equal(RESOLVE(EXPIRE, id, NULL), HF_E_INVALID_TRANSITION);
  f.now_us = expires_us;
  assert_int_equal(RESOLVE(CAPTURE, id, NULL), HF_E_HOLD_EXPIRED);
  assert_int_equal(RESOLVE(VOID, id, NULL), HF_E_HOLD_EXPIRED);
  assert_ptr_equal(ledger_user_expired(&f.user, f.now_us), ledger_user_hold(&f.user, id));
  assert_int_equal(RESOLVE(EXPIRE, id, NULL), HF_OK);
  assert_entry(&f, 0, LEDGER_HELD, LEDGER_CLAIMABLE, "10");
  assert_int_equal(f.result.entries[0].type, LEDGER_T_EXPIRE);
  assert_bucket(&f, LEDGER_CLAIMABLE, "10");
  assert_null(ledger_user_expired(&f.user, INT64_MAX));
}

static void test_capture_when_one_microsecond_is_left_succeeds(void **state)
{
  (void)state;
  hf_id id = held("10", 60);
  f.now_us = f.result.entries[0].expires_us - 1;
  assert_int_equal(RESOLVE(CAPTURE, id, NULL), HF_OK);
}

static void test_expire_when_the_hold_has_no_end_is_refused(void **state)
{
  (void)state;
  hf_id id = held("10", 0);
  f.now_us = INT64_MAX / 2;
  assert_null(ledger_user_expired(&f.user, f.now_us));
  assert_int_equal(RESOLVE(EXPIRE, id, NULL), HF_E_INVALID_TRANSITION);
}

static void test_holds_when_several_are_resolved_in_any_order_stay_apart(void **state)
{
  (void)state;
  hf_id ids[40];
  for (unsigned i = 0; i < 40; i++)
    ids[i] = held(i % 2 == 0 ? "1" : "2", 0);
  for (unsigned i = 0; i < 40; i++) {
    unsigned k = i * 17 % 40;
    assert_int_equal(RESOLVE(VOID, ids[k], NULL), HF_OK);
    assert_entry(&f, 0, LEDGER_HELD, LEDGER_CLAIMABLE, k % 2 == 0 ? "1" : "2");
    assert_int_equal(RESOLVE(VOID, ids[k], NULL), HF_E_HOLD_NOT_FOUND);
  }
  assert_int_equal(f.user.holds_count, 0);
  assert_bucket(&f, LEDGER_CLAIMABLE, "60");
}

static void test_holds_at_their_limit_are_refused(void **state)
{
  (void)state;
  RUN(GRANT, "2000");
  for (unsigned i = 0; i < LEDGER_HOLDS_MAX; i++)
    RUN(HOLD, "1");
  assert_int_equal(subject_run(&f, LEDGER_T_HOLD, "1"), HF_E_LIMIT_EXCEEDED);
  /* Funds are judged before limits. */
  assert_int_equal(subject_run(&f, LEDGER_T_HOLD, "1001"), HF_E_INSUFFICIENT_FUNDS);
  assert_int_equal(RESOLVE(VOID, f.user.holds[500].id, NULL), HF_OK);
  RUN(HOLD, "1");
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static void test_block_when_of_an_allowed_bucket_goes_and_comes_back(void **state)
{
  (void)state;
  RUN(EARN, "10");
  RUN(SETTLE, "5");
  RUN(GRANT, "5");
  RUN(QUARANTINE_IN, "5");
  static const unsigned buckets[] = {LEDGER_EARNED, LEDGER_PENDING, LEDGER_CLAIMABLE,
                                     LEDGER_QUARANTINE};
  for (unsigned i = 0; i < 4; i++) {
    hf_id id = blocked(buckets[i], "3");
    assert_entry(&f, 0, buckets[i], LEDGER_BLOCKED, "3");
    assert_bucket(&f, buckets[i], "2");
    assert_int_equal(RESOLVE(UNBLOCK, id, NULL), HF_OK);
    assert_entry(&f, 0, LEDGER_BLOCKED, buckets[i], "3");
    assert_int_equal(f.result.entries[0].ref, id);
    assert_true(f.result.entries[0].ref_left == 0);
    assert_bucket(&f, buckets[i], "5");
    assert_null(ledger_user_block(&f.user, id));
  }
}

static void test_block_when_of_another_bucket_is_refused(void **state)
{
  (void)state;
  (void)held("10", 0);
  static const uint8_t buckets[] = {LEDGER_HELD,
                                    LEDGER_CLAIMING,
                                    LEDGER_BLOCKED,
                                    LEDGER_DEBT,
                                    LEDGER_ISSUANCE,
                                    LEDGER_TRANSIT,
                                    8,
                                    26,
                                    255};
  for (unsigned i = 0; i < sizeof buckets; i++) {
    struct ledger_command command = subject_command(&f, LEDGER_T_BLOCK, "1");
    command.bucket = buckets[i];
    assert_int_equal(subject_apply(&f, &command), HF_E_INVALID_TRANSITION);
  }
}

static void test_unblock_when_partial_leaves_the_rest_blocked(void **state)
{
  (void)state;
  RUN(GRANT, "10");
  hf_id id = blocked(LEDGER_CLAIMABLE, "10");
  assert_int_equal(RESOLVE(UNBLOCK, id, "4"), HF_OK);
  assert_true(f.result.entries[0].ref_left == subject_units("6", SUBJECT_SCALE));
  assert_int_equal(RESOLVE(UNBLOCK, id, "6.00000001"), HF_E_AMOUNT_EXCEEDS_BLOCK);
  assert_int_equal(RESOLVE(UNBLOCK, id, NULL), HF_OK);
  assert_entry(&f, 0, LEDGER_BLOCKED, LEDGER_CLAIMABLE, "6");
  assert_bucket(&f, LEDGER_CLAIMABLE, "10");
}

static void test_unblock_when_not_open_is_refused_by_its_fate(void **state)
{
  (void)state;
  struct ledger_command command = subject_command(&f, LEDGER_T_UNBLOCK, NULL);
  command.ref = 4711;
  assert_int_equal(subject_apply(&f, &command), HF_E_BLOCK_NOT_FOUND);
  command.fate = LEDGER_FATE_RESOLVED;
  assert_int_equal(subject_apply(&f, &command), HF_E_BLOCK_RESOLVED);
}

static void test_block_and_hold_when_confused_are_not_found(void **state)
{
  (void)state;
  hf_id hold = held("10", 0);
  RUN(GRANT, "10");
  hf_id block = blocked(LEDGER_CLAIMABLE, "10");
  assert_int_equal(RESOLVE(UNBLOCK, hold, NULL), HF_E_BLOCK_NOT_FOUND);
  assert_int_equal(RESOLVE(VOID, block, NULL), HF_E_HOLD_NOT_FOUND);
  assert_int_equal(RESOLVE(CAPTURE, block, NULL), HF_E_HOLD_NOT_FOUND);
}

/* Blocked tokens never vanish: the total stays at every step. */
static void test_block_when_the_user_is_loaded_anew_keeps_the_total(void **state)
{
  (void)state;
  RUN(GRANT, "10");
  hf_amount total = ledger_total(&ledger_user_asset(&f.user, SUBJECT_ASSET)->balance);
  hf_id id = blocked(LEDGER_CLAIMABLE, "7");
  struct ledger_user loaded;
  ledger_user_init(&loaded, f.user.id);
  loaded.version = f.user.version;
  loaded.recorded_us = f.user.recorded_us;
  loaded.head = f.user.head;
  ledger_user_add_asset(&loaded, ledger_user_asset(&f.user, SUBJECT_ASSET));
  ledger_user_add_block(&loaded, ledger_user_block(&f.user, id));
  assert_true(subject_same_user(&loaded, &f.user));
  assert_null(ledger_user_check(&loaded));
  assert_true(ledger_total(&ledger_user_asset(&loaded, SUBJECT_ASSET)->balance) == total);
  ledger_user_deinit(&f.user);
  f.user = loaded;
  assert_int_equal(RESOLVE(UNBLOCK, id, NULL), HF_OK);
  assert_true(ledger_total(&ledger_user_asset(&f.user, SUBJECT_ASSET)->balance) == total);
  assert_bucket(&f, LEDGER_CLAIMABLE, "10");
}

static void test_blocks_at_their_limit_are_refused(void **state)
{
  (void)state;
  RUN(GRANT, "2000");
  for (unsigned i = 0; i < LEDGER_BLOCKS_MAX; i++)
    (void)blocked(LEDGER_CLAIMABLE, "1");
  assert_int_equal(subject_run(&f, LEDGER_T_BLOCK, "1"), HF_E_LIMIT_EXCEEDED);
  assert_int_equal(RESOLVE(UNBLOCK, f.user.blocks[0].id, NULL), HF_OK);
  RUN(BLOCK, "1");
}

/* ---- staged ---------------------------------------------------------------------------------- */

static void test_hold_when_staged_has_no_id_until_it_is_named(void **state)
{
  (void)state;
  RUN(GRANT, "10");
  struct ledger_command command = subject_command(&f, LEDGER_T_HOLD, "5");
  command.timeout_s = 1;
  ledger_apply(&f.user, &command, &f.result);
  assert_int_equal(f.result.error, HF_OK);
  assert_int_equal(f.user.holds[0].id, 0);
  assert_null(ledger_user_hold(&f.user, 0));
  assert_null(ledger_user_expired(&f.user, INT64_MAX));
  assert_null(ledger_user_check(&f.user));
  assert_false(ledger_user_name(&f.user, f.user.version + 1, 99));
  assert_false(ledger_user_name(&f.user, 1, 99));
  assert_true(ledger_user_name(&f.user, f.user.version, 99));
  assert_non_null(ledger_user_hold(&f.user, 99));
  command.type = LEDGER_T_BLOCK;
  ledger_apply(&f.user, &command, &f.result);
  assert_int_equal(f.result.error, HF_OK);
  assert_true(ledger_user_name(&f.user, f.user.version, 115));
  assert_non_null(ledger_user_block(&f.user, 115));
  assert_non_null(ledger_user_expired(&f.user, INT64_MAX));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
    TEST(test_hold_when_made_is_open_under_its_ops_id),
    TEST(test_hold_when_timed_expires_that_long_after_its_record),
    TEST(test_capture_when_of_all_closes_the_hold),
    TEST(test_capture_when_final_and_partial_releases_the_rest),
    TEST(test_capture_when_not_final_leaves_the_hold_open),
    TEST(test_capture_when_more_than_held_is_refused),
    TEST(test_void_when_open_gives_all_that_is_left_back),
    TEST(test_resolve_when_not_open_is_refused_by_its_fate),
    TEST(test_resolve_when_expired_but_not_swept_is_refused),
    TEST(test_capture_when_one_microsecond_is_left_succeeds),
    TEST(test_expire_when_the_hold_has_no_end_is_refused),
    TEST(test_holds_when_several_are_resolved_in_any_order_stay_apart),
    TEST(test_holds_at_their_limit_are_refused),
    TEST(test_block_when_of_an_allowed_bucket_goes_and_comes_back),
    TEST(test_block_when_of_another_bucket_is_refused),
    TEST(test_unblock_when_partial_leaves_the_rest_blocked),
    TEST(test_unblock_when_not_open_is_refused_by_its_fate),
    TEST(test_block_and_hold_when_confused_are_not_found),
    TEST(test_block_when_the_user_is_loaded_anew_keeps_the_total),
    TEST(test_blocks_at_their_limit_are_refused),
    TEST(test_hold_when_staged_has_no_id_until_it_is_named),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
