/* test_unit.c - rows that follow from an op, numbering, and the golden hashes of batches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "actors/store/unit.h"

#define BITS 4u
#define PARTITION 5u

static struct ledger_entry entry_of(uint8_t type, uint8_t from, uint8_t to, hf_amount amount)
{
  struct ledger_entry entry = {.type = type, .from = from, .to = to, .amount = amount};

  entry.user = hf_id_make(77, PARTITION, BITS);
  entry.asset = 3;
  entry.op_count = 1;
  entry.recorded_us = 1000;
  return entry;
}

static hf_id id_of(uint64_t serial)
{
  return hf_id_make(serial, PARTITION, BITS);
}

/* ---- rows ------------------------------------------------------------------------------------ */

static void test_rows_when_plain_moves_then_none(void **state)
{
  static const uint8_t types[] = {LEDGER_T_EARN, LEDGER_T_GRANT, LEDGER_T_SPEND, LEDGER_T_ADJUST};
  struct store_row rows[STORE_OP_ROWS_MAX];

  (void)state;
  for (size_t i = 0; i < sizeof types; i++) {
    struct ledger_entry entry = entry_of(types[i], LEDGER_REWARDS, LEDGER_CLAIMABLE, 5);

    assert_int_equal(store_rows_of_op(&entry, 1, rows), 0);
  }
  assert_int_equal(store_rows_of_op(NULL, 0, rows), 0);
}

static void test_rows_when_hold_then_an_open_hold_without_id(void **state)
{
  struct ledger_entry entry = entry_of(LEDGER_T_HOLD, LEDGER_CLAIMABLE, LEDGER_HELD, 50);
  struct store_row rows[STORE_OP_ROWS_MAX];

  (void)state;
  entry.expires_us = 9000;
  assert_int_equal(store_rows_of_op(&entry, 1, rows), 1);
  assert_int_equal(rows[0].table, STORE_T_HOLD);
  assert_int_equal(rows[0].action, STORE_INSERT);
  assert_int_equal(rows[0].hold.id, 0);
  assert_int_equal(rows[0].hold.user, entry.user);
  assert_int_equal(rows[0].hold.asset, 3);
  assert_int_equal(rows[0].hold.state, STORE_HOLD_OPEN);
  assert_true(rows[0].hold.amount == 50 && rows[0].hold.remaining == 50);
  assert_int_equal(rows[0].hold.created_us, 1000);
  assert_int_equal(rows[0].hold.expires_us, 9000);
  assert_int_equal(rows[0].hold.resolved_us, 0);
}

static void test_rows_when_final_capture_with_rest_then_captured_with_nothing_left(void **state)
{
  struct ledger_entry entries[2] = {
    entry_of(LEDGER_T_CAPTURE, LEDGER_HELD, LEDGER_SPEND, 30),
    entry_of(LEDGER_T_CAPTURE, LEDGER_HELD, LEDGER_CLAIMABLE, 20),
  };
  struct store_row rows[STORE_OP_ROWS_MAX];

  (void)state;
  for (uint8_t i = 0; i < 2; i++) {
    entries[i].op_index = i;
    entries[i].op_count = 2;
    entries[i].ref = id_of(9);
  }
  entries[0].ref_left = 20;
  entries[1].ref_left = 0;
  assert_int_equal(store_rows_of_op(entries, 2, rows), 1);
  assert_int_equal(rows[0].action, STORE_UPDATE);
  assert_int_equal(rows[0].hold.id, id_of(9));
  assert_int_equal(rows[0].hold.state, STORE_HOLD_CAPTURED);
  assert_true(rows[0].hold.remaining == 0);
  assert_int_equal(rows[0].hold.resolved_us, 1000);
}

static void test_rows_when_partial_capture_then_the_hold_stays_open(void **state)
{
  struct ledger_entry entry = entry_of(LEDGER_T_CAPTURE, LEDGER_HELD, LEDGER_SPEND, 30);
  struct store_row rows[STORE_OP_ROWS_MAX];

  (void)state;
  entry.ref = id_of(9);
  entry.ref_left = 20;
  assert_int_equal(store_rows_of_op(&entry, 1, rows), 1);
  assert_int_equal(rows[0].hold.state, STORE_HOLD_OPEN);
  assert_true(rows[0].hold.remaining == 20);
  assert_int_equal(rows[0].hold.resolved_us, 0);
}

static void test_rows_when_void_or_expire_then_the_state_says_which(void **state)
{
  static const struct {
    uint8_t type, state;
  } cases[] = {{LEDGER_T_VOID, STORE_HOLD_VOIDED}, {LEDGER_T_EXPIRE, STORE_HOLD_EXPIRED}};
  struct store_row rows[STORE_OP_ROWS_MAX];

  (void)state;
  for (size_t i = 0; i < 2; i++) {
    struct ledger_entry entry = entry_of(cases[i].type, LEDGER_HELD, LEDGER_CLAIMABLE, 30);

    entry.ref = id_of(9);
    assert_int_equal(store_rows_of_op(&entry, 1, rows), 1);
    assert_int_equal(rows[0].table, STORE_T_HOLD);
    assert_int_equal(rows[0].hold.state, cases[i].state);
    assert_int_equal(rows[0].hold.resolved_us, 1000);
  }
}

static void test_rows_when_block_and_unblock_then_block_rows(void **state)
{
  struct ledger_entry entry = entry_of(LEDGER_T_BLOCK, LEDGER_EARNED, LEDGER_BLOCKED, 30);
  struct store_row rows[STORE_OP_ROWS_MAX];

  (void)state;
  assert_int_equal(store_rows_of_op(&entry, 1, rows), 1);
  assert_int_equal(rows[0].table, STORE_T_BLOCK);
  assert_int_equal(rows[0].action, STORE_INSERT);
  assert_int_equal(rows[0].block.bucket, LEDGER_EARNED);
  assert_true(rows[0].block.open && rows[0].block.remaining == 30 && rows[0].block.amount == 30);
  entry = entry_of(LEDGER_T_UNBLOCK, LEDGER_BLOCKED, LEDGER_EARNED, 10);
  entry.ref = id_of(4);
  entry.ref_left = 20;
  assert_int_equal(store_rows_of_op(&entry, 1, rows), 1);
  assert_int_equal(rows[0].action, STORE_UPDATE);
  assert_int_equal(rows[0].block.id, id_of(4));
  assert_true(rows[0].block.open && rows[0].block.remaining == 20);
  assert_int_equal(rows[0].block.resolved_us, 0);
  entry.ref_left = 0;
  assert_int_equal(store_rows_of_op(&entry, 1, rows), 1);
  assert_false(rows[0].block.open);
  assert_int_equal(rows[0].block.resolved_us, 1000);
}

static void test_rows_when_credit_then_a_block_only_if_frozen(void **state)
{
  struct ledger_entry entry = entry_of(LEDGER_T_CREDIT, LEDGER_TRANSIT, LEDGER_CLAIMABLE, 30);
  struct store_row rows[STORE_OP_ROWS_MAX];

  (void)state;
  entry.ref = 99;
  assert_int_equal(store_rows_of_op(&entry, 1, rows), 0);
  entry.to = LEDGER_BLOCKED;
  assert_int_equal(store_rows_of_op(&entry, 1, rows), 1);
  assert_int_equal(rows[0].table, STORE_T_BLOCK);
  assert_int_equal(rows[0].action, STORE_INSERT);
  assert_int_equal(rows[0].block.bucket, LEDGER_CLAIMABLE);
  entry = entry_of(LEDGER_T_BOUNCE, LEDGER_TRANSIT, LEDGER_CLAIMABLE, 30);
  entry.ref = 99;
  assert_int_equal(store_rows_of_op(&entry, 1, rows), 0);
}

static void test_rows_when_transfer_then_it_is_in_transit(void **state)
{
  struct ledger_entry entry = entry_of(LEDGER_T_TRANSFER, LEDGER_CLAIMABLE, LEDGER_TRANSIT, 30);
  struct store_row rows[STORE_OP_ROWS_MAX];

  (void)state;
  entry.counterparty = 4242;
  assert_int_equal(store_rows_of_op(&entry, 1, rows), 1);
  assert_int_equal(rows[0].table, STORE_T_TRANSFER);
  assert_int_equal(rows[0].action, STORE_INSERT);
  assert_int_equal(rows[0].transfer.payer, entry.user);
  assert_int_equal(rows[0].transfer.payee, 4242);
  assert_int_equal(rows[0].transfer.state, STORE_TRANSFER_TRANSIT);
  assert_true(rows[0].transfer.amount == 30);
}

/* A grant of 100 of which 40 are left is taken back: 40 of the balance, 60 become debt. */
static void test_rows_when_reversal_makes_debt_then_the_whole_amount_once(void **state)
{
  struct ledger_entry entries[2] = {
    entry_of(LEDGER_T_REVERSE, LEDGER_CLAIMABLE, LEDGER_REWARDS, 40),
    entry_of(LEDGER_T_REVERSE, LEDGER_DEBT, LEDGER_REWARDS, 60),
  };
  struct store_row rows[STORE_OP_ROWS_MAX];

  (void)state;
  for (uint8_t i = 0; i < 2; i++) {
    entries[i].op_index = i;
    entries[i].op_count = 2;
    entries[i].ref = id_of(8);
  }
  entries[0].ref_left = 60;
  assert_int_equal(store_rows_of_op(entries, 2, rows), 1);
  assert_int_equal(rows[0].table, STORE_T_REVERSAL);
  assert_int_equal(rows[0].reversal.original, id_of(8));
  assert_int_equal(rows[0].reversal.op, 0);
  assert_true(rows[0].reversal.amount == 100);
}

/* A spend of 100 comes back and 30 of it go to a debt: that reverses 100, not 130. */
static void test_rows_when_reversal_pays_debt_then_what_is_passed_on_does_not_count(void **state)
{
  struct ledger_entry entries[2] = {
    entry_of(LEDGER_T_REVERSE, LEDGER_SPEND, LEDGER_CLAIMABLE, 100),
    entry_of(LEDGER_T_REVERSE, LEDGER_CLAIMABLE, LEDGER_DEBT, 30),
  };
  struct store_row rows[STORE_OP_ROWS_MAX];

  (void)state;
  for (uint8_t i = 0; i < 2; i++) {
    entries[i].op_index = i;
    entries[i].op_count = 2;
    entries[i].ref = id_of(8);
    entries[i].ref_left = 11;
  }
  assert_int_equal(store_rows_of_op(entries, 2, rows), 1);
  assert_true(rows[0].reversal.amount == 100);
}

/* ---- numbering ------------------------------------------------------------------------------- */

static void test_number_when_rows_wait_for_the_op_then_they_get_its_id(void **state)
{
  struct ledger_entry entries[2] = {
    entry_of(LEDGER_T_HOLD, LEDGER_CLAIMABLE, LEDGER_HELD, 1),
    entry_of(LEDGER_T_HOLD, LEDGER_CLAIMABLE, LEDGER_HELD, 1),
  };
  struct store_row rows[] = {
    {.table = STORE_T_HOLD, .action = STORE_INSERT},
    {.table = STORE_T_HOLD, .action = STORE_UPDATE, .hold.id = id_of(3)},
    {.table = STORE_T_BLOCK, .action = STORE_INSERT},
    {.table = STORE_T_TRANSFER, .action = STORE_INSERT},
    {.table = STORE_T_TRANSFER,
     .action = STORE_UPDATE,
     .transfer = {.id = id_of(2), .state = STORE_TRANSFER_BOUNCED}},
    {.table = STORE_T_TRANSFER,
     .action = STORE_UPDATE,
     .transfer = {.id = id_of(2), .state = STORE_TRANSFER_CREDITED, .credit = id_of(1)}},
    {.table = STORE_T_REVERSAL, .action = STORE_INSERT, .reversal.original = id_of(5)},
    {.table = STORE_T_META, .action = STORE_INSERT},
    {.table = STORE_T_USER, .action = STORE_UPDATE, .user.id = id_of(6)},
  };
  struct store_unit unit = {.partition = PARTITION,
                            .entries = entries,
                            .entries_count = 2,
                            .rows = rows,
                            .rows_count = sizeof rows / sizeof rows[0]};

  (void)state;
  for (uint64_t first = 1000; first > 990; first -= 3) { /* numbered again each time */
    store_unit_number(&unit, first, BITS);
    assert_int_equal(entries[0].id, id_of(first));
    assert_int_equal(entries[1].id, id_of(first + 1));
    assert_int_equal(rows[0].hold.id, id_of(first));
    assert_int_equal(rows[1].hold.id, id_of(3));
    assert_int_equal(rows[2].block.id, id_of(first));
    assert_int_equal(rows[3].transfer.id, id_of(first));
    assert_int_equal(rows[4].transfer.id, id_of(2));
    assert_int_equal(rows[4].transfer.credit, id_of(first));
    assert_int_equal(rows[5].transfer.credit, id_of(1));
    assert_int_equal(rows[6].reversal.original, id_of(5));
    assert_int_equal(rows[6].reversal.op, id_of(first));
    assert_int_equal(rows[7].meta.op, id_of(first));
    assert_int_equal(rows[8].user.id, id_of(6));
  }
}

static void test_number_when_no_entries_then_rows_stay(void **state)
{
  struct store_row row = {.table = STORE_T_HOLD, .action = STORE_UPDATE, .hold.id = id_of(3)};
  struct store_unit unit = {.partition = PARTITION, .rows = &row, .rows_count = 1};

  (void)state;
  store_unit_number(&unit, 17, BITS);
  assert_int_equal(row.hold.id, id_of(3));
}

/* ---- hash of a batch: computed apart, from the text of unit.h --------------------------------*/

static void assert_hash(const struct store_batch *batch, const char *hex)
{
  char text[2 * HF_HASH_SIZE + 1];

  hf_hex(batch->hash.bytes, sizeof batch->hash.bytes, text);
  assert_string_equal(text, hex);
}

static void test_batch_hash_when_full_then_golden(void **state)
{
  struct store_batch_hasher hasher;
  struct hf_hash first, second;
  struct store_outcome refused = {.user = 4097,
                                  .error = HF_E_INSUFFICIENT_FUNDS,
                                  .type = LEDGER_T_SPEND,
                                  .version = 300,
                                  .recorded_us = 1763700000000001,
                                  .batch = 12345}; /* not in the hash */
  struct store_outcome expired = {
    .user = HF_ID_MAX, .error = HF_E_HOLD_EXPIRED, .type = LEDGER_T_CAPTURE, .recorded_us = -5};
  struct store_batch batch = {.partition = 5,
                              .number = 1ull << 40,
                              .epoch = 7,
                              .first_seq = 129,
                              .entries_count = 2,
                              .outcomes_count = 2,
                              .rows_count = 99, /* not in the hash */
                              .committed_us = 1763700000123456};

  (void)state;
  memset(first.bytes, 0x11, sizeof first.bytes);
  memset(second.bytes, 0x22, sizeof second.bytes);
  memset(batch.previous.bytes, 0x33, sizeof batch.previous.bytes);
  memset(refused.key.bytes, 0xaa, sizeof refused.key.bytes);
  memset(refused.request.bytes, 0xbb, sizeof refused.request.bytes);
  memset(expired.key.bytes, 0xcc, sizeof expired.key.bytes);
  memset(expired.request.bytes, 0xdd, sizeof expired.request.bytes);
  store_batch_begin(&hasher);
  store_batch_entry(&hasher, &first);
  store_batch_outcome(&hasher, &refused); /* the two kinds may come in any order */
  store_batch_entry(&hasher, &second);
  store_batch_outcome(&hasher, &expired);
  store_batch_end(&hasher, &batch);
  assert_hash(&batch, "a771014262485fc278a92318c3dfe627b63dbcf7b1b29f675af7cdf315818070");
}

static void test_batch_hash_when_empty_then_golden(void **state)
{
  struct store_batch_hasher hasher;
  struct store_batch batch = {.number = 1, .epoch = 1, .first_seq = 1};

  (void)state;
  store_batch_begin(&hasher);
  store_batch_end(&hasher, &batch);
  assert_hash(&batch, "a055fa1f8941b3d4609f468704e3d9cc75fcf2ca3444e66af307cfb4b6724928");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_rows_when_plain_moves_then_none),
    cmocka_unit_test(test_rows_when_hold_then_an_open_hold_without_id),
    cmocka_unit_test(test_rows_when_final_capture_with_rest_then_captured_with_nothing_left),
    cmocka_unit_test(test_rows_when_partial_capture_then_the_hold_stays_open),
    cmocka_unit_test(test_rows_when_void_or_expire_then_the_state_says_which),
    cmocka_unit_test(test_rows_when_block_and_unblock_then_block_rows),
    cmocka_unit_test(test_rows_when_credit_then_a_block_only_if_frozen),
    cmocka_unit_test(test_rows_when_transfer_then_it_is_in_transit),
    cmocka_unit_test(test_rows_when_reversal_makes_debt_then_the_whole_amount_once),
    cmocka_unit_test(test_rows_when_reversal_pays_debt_then_what_is_passed_on_does_not_count),
    cmocka_unit_test(test_number_when_rows_wait_for_the_op_then_they_get_its_id),
    cmocka_unit_test(test_number_when_no_entries_then_rows_stay),
    cmocka_unit_test(test_batch_hash_when_full_then_golden),
    cmocka_unit_test(test_batch_hash_when_empty_then_golden),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
