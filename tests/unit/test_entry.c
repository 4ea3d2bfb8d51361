/* test_entry.c - the canonical bytes of an entry, which are fixed for ever, and their reader. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "subject.h"

/* Written by hand from the layout in actors/ledger/README.md. When one of these tests fails, it is
 * not the text here that has to change: every journal in the world is hashed over these bytes. */
static const char small_hex[] =
  "01110101000110000002020000000000000000000200000000000000000000000000000000000000"
  "0000000000000000000000000000000000000000000000";
static const char small_hash[] = "17b19c35dcc3b922f97b5dc226701233f2fc50b5377a557ba8bf7952d86ee776";
static const char full_hex[] =
  "01ffffffffffffff0fac020801020302810480f28ba809000280808080808080808004fc01008001"
  "007e96939294ce9da7b685f514feffffffffffffffffffffffffffffffffff03808df3bacab0b006"
  "01000102030405060708090a0b0c0d0e0ff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff917d80dea0cb05"
  "2180a98ff4cab0b0060e706172746e65723a73686f705f31086b65793a61626364087265712d3030"
  "303101000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f020107bc05"
  "ab02";
static const char full_hash[] = "8ac83eb5f22a3ed81df0ef91934b65d486b75811d0a3f239026a11ad127d99bf";

static struct hf_bytes bytes;
static struct ledger_other others[LEDGER_ASSETS_MAX];

static int teardown(void **state)
{
  (void)state;
  hf_bytes_deinit(&bytes);
  return 0;
}

/* The least that an entry can be. */
static struct ledger_entry small_entry(void)
{
  return (struct ledger_entry){.user = 17,
                               .version = 1,
                               .type = LEDGER_T_EARN,
                               .op_count = 1,
                               .from = LEDGER_ISSUANCE,
                               .to = LEDGER_EARNED,
                               .amount = 1,
                               .after = {.bucket = {1}},
                               .effective_us = 1,
                               .recorded_us = 1};
}

/* Every field has something of its own. */
static struct ledger_entry full_entry(void)
{
  static const struct ledger_other two[] = {{1, 7}, {700, 299}};
  struct ledger_entry entry = {
    .user = HF_ID_MAX,
    .version = 300,
    .type = LEDGER_T_CAPTURE,
    .op_index = 1,
    .op_count = 2,
    .from = LEDGER_HELD,
    .to = LEDGER_CLAIMABLE,
    .asset = 513,
    .amount = 1250000000,
    .after = {.bucket = {0, 1, (hf_amount)1 << 64, 126, 0, 64, 0, 63},
              .claimed_total = (hf_amount)12345678901234567890u * 1000 + 123,
              .spent_total = HF_AMOUNT_MAX},
    .effective_us = 1795237604123455,
    .recorded_us = 1795237604123456,
    .ref = 16017,
    .ref_left = 750000000,
    .counterparty = 33,
    .expires_us = 1795237664123456,
    .label = "partner:shop_1",
    .actor = "key:abcd",
    .correlation = "req-0001",
    .has_metadata = true,
    .others_count = 2,
    .others = two,
  };
  for (unsigned i = 0; i < HF_DIGEST_SIZE; i++) {
    entry.key.bytes[i] = (uint8_t)i;
    entry.request.bytes[i] = (uint8_t)(240 + i);
  }
  for (unsigned i = 0; i < HF_HASH_SIZE; i++)
    entry.metadata_hash.bytes[i] = (uint8_t)i;
  return entry;
}

/* As large as an entry gets. */
static struct ledger_entry largest_entry(void)
{
  static struct ledger_other all[LEDGER_ASSETS_MAX - 1];
  for (unsigned i = 0; i < LEDGER_ASSETS_MAX - 1; i++)
    all[i] = (struct ledger_other){(uint16_t)(60000 + i), UINT64_MAX - 1};
  struct ledger_entry entry = full_entry();
  entry.version = UINT64_MAX;
  entry.asset = UINT16_MAX;
  entry.amount = HF_AMOUNT_MAX;
  for (unsigned i = 0; i < LEDGER_BUCKET_COUNT; i++)
    entry.after.bucket[i] = HF_AMOUNT_MAX;
  entry.after.claimed_total = entry.after.spent_total = entry.ref_left = HF_AMOUNT_MAX;
  entry.recorded_us = entry.expires_us = INT64_MAX;
  entry.effective_us = INT64_MIN;
  entry.ref = entry.counterparty = HF_ID_MAX;
  memset(entry.label, 'l', LEDGER_LABEL_MAX);
  memset(entry.actor, 'a', LEDGER_ACTOR_MAX);
  memset(entry.correlation, 'c', LEDGER_CORRELATION_MAX);
  entry.others = all;
  entry.others_count = LEDGER_ASSETS_MAX - 1;
  return entry;
}

static void encode(struct ledger_entry entry)
{
  hf_bytes_clear(&bytes);
  ledger_entry_encode(&entry, &bytes);
}

static bool decodes(const void *body, size_t size)
{
  struct ledger_entry entry = {0};
  return ledger_entry_decode(body, size, others, &entry);
}

static void assert_golden(struct ledger_entry entry, const char *hex, const char *hash_hex)
{
  char text[2 * LEDGER_ENTRY_BYTES_MAX + 1];
  encode(entry);
  hf_hex(bytes.at, bytes.size, text);
  assert_string_equal(text, hex);
  static const struct hf_hash first;
  struct hf_hash hash = ledger_entry_hash(&first, bytes.at, bytes.size);
  hf_hex(hash.bytes, sizeof hash.bytes, text);
  assert_string_equal(text, hash_hex);
}

static void test_encode_when_given_the_golden_entries_gives_the_golden_bytes(void **state)
{
  (void)state;
  assert_golden(small_entry(), small_hex, small_hash);
  assert_golden(full_entry(), full_hex, full_hash);
}

static void test_decode_when_given_the_golden_bytes_gives_the_golden_entries(void **state)
{
  (void)state;
  struct ledger_entry expected[] = {small_entry(), full_entry()};
  static const char *const hexes[] = {small_hex, full_hex};
  for (unsigned i = 0; i < 2; i++) {
    uint8_t body[LEDGER_ENTRY_BYTES_MAX];
    size_t size = strlen(hexes[i]) / 2;
    assert_true(hf_unhex(hexes[i], 2 * size, body, size));
    struct ledger_entry entry = {.id = 4711, .hash = {{9}}};
    assert_true(ledger_entry_decode(body, size, others, &entry));
    expected[i].id = 4711;
    expected[i].hash.bytes[0] = 9;
    assert_true(subject_same_entry(&entry, &expected[i]));
  }
}

static void test_encode_when_appending_leaves_what_is_there(void **state)
{
  (void)state;
  struct ledger_entry entry = small_entry();
  hf_bytes_put(&bytes, "before", 6);
  ledger_entry_encode(&entry, &bytes);
  assert_memory_equal(bytes.at, "before\x01", 7);
  assert_int_equal(bytes.size, 6 + strlen(small_hex) / 2);
}

static void test_encode_when_the_entry_is_the_largest_fits_and_reads_back(void **state)
{
  (void)state;
  struct ledger_entry largest = largest_entry();
  encode(largest);
  assert_in_range(bytes.size, 1000, LEDGER_ENTRY_BYTES_MAX);
  struct ledger_entry entry = {0};
  assert_true(ledger_entry_decode(bytes.at, bytes.size, others, &entry));
  assert_true(subject_same_entry(&entry, &largest));
}

static void test_decode_when_cut_or_longer_refuses(void **state)
{
  (void)state;
  struct ledger_entry entries[] = {small_entry(), full_entry(), largest_entry()};
  for (unsigned i = 0; i < 3; i++) {
    encode(entries[i]);
    for (size_t size = 0; size < bytes.size; size++)
      assert_false(decodes(bytes.at, size));
    assert_true(decodes(bytes.at, bytes.size));
    hf_bytes_put_u8(&bytes, 0);
    assert_false(decodes(bytes.at, bytes.size));
  }
}

static void test_decode_when_any_bit_flips_refuses_or_the_hash_differs(void **state)
{
  (void)state;
  static const struct hf_hash first;
  struct ledger_entry entries[] = {small_entry(), full_entry()};
  for (unsigned i = 0; i < 2; i++) {
    encode(entries[i]);
    struct hf_hash hash = ledger_entry_hash(&first, bytes.at, bytes.size);
    for (size_t bit = 0; bit < 8 * bytes.size; bit++) {
      bytes.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
      struct hf_hash other = ledger_entry_hash(&first, bytes.at, bytes.size);
      assert_false(hf_hash_equal(&hash, &other));
      /* What still reads is another entry, and these very bytes are its only encoding. */
      struct ledger_entry entry = {0};
      if (ledger_entry_decode(bytes.at, bytes.size, others, &entry)) {
        struct hf_bytes again = {0};
        ledger_entry_encode(&entry, &again);
        assert_int_equal(again.size, bytes.size);
        assert_memory_equal(again.at, bytes.at, bytes.size);
        assert_false(subject_same_entry(&entry, &entries[i]));
        hf_bytes_deinit(&again);
      }
      bytes.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
  }
}

static void test_decode_when_it_refuses_leaves_the_output(void **state)
{
  (void)state;
  encode(full_entry());
  struct ledger_entry entry = small_entry(), before = entry;
  assert_false(ledger_entry_decode(bytes.at, bytes.size - 1, others, &entry));
  assert_true(subject_same_entry(&entry, &before));
}

/* Writes `small` with other bytes at a place. */
static bool small_decodes_with(size_t at, const char *other, size_t other_size, size_t old_size)
{
  encode(small_entry());
  uint8_t body[128];
  memcpy(body, bytes.at, at);
  memcpy(body + at, other, other_size);
  memcpy(body + at + other_size, bytes.at + at + old_size, bytes.size - at - old_size);
  return decodes(body, bytes.size - old_size + other_size);
}

static void test_decode_when_a_field_is_out_of_range_refuses(void **state)
{
  (void)state;
  static const struct {
    size_t at;
    const char *bytes;
    size_t size;
  } cases[] = {
    {0, "\x00", 1},
    {0, "\x02", 1},                             /* format */
    {1, "\x00", 1},                             /* user: none */
    {1, "\x91\x00", 2},                         /* user: a needless group */
    {1, "\x80\x80\x80\x80\x80\x80\x80\x10", 8}, /* user: 2^53 */
    {2, "\x00", 1},                             /* version: none */
    {3, "\x00", 1},
    {3, "\x14", 1}, /* type */
    {4, "\x01", 1}, /* op_index = op_count */
    {5, "\x00", 1},
    {5, "\x09", 1}, /* op_count */
    {6, "\x1a", 1},
    {6, "\x00", 1}, /* from: none, not issuance */
    {7, "\x01", 1},
    {7, "\x10", 1},         /* to */
    {8, "\x80\x80\x04", 3}, /* asset: 2^16 */
    {9, "\x00", 1},
    {9, "\x01", 1},                                       /* amount: 0, -1 */
    {20, "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x04", 10}, /* recorded: 2^64 */
    {58, "\x01\x00", 2},                                  /* label: a NUL */
    {61, "\x02", 1},                                      /* has_metadata */
    {62, "\x01", 1},                                      /* others: one, but not there */
    {62, "\x40", 1},                                      /* others: too many */
  };
  assert_true(small_decodes_with(20, "\x04", 1, 1));  /* recorded: 2 */
  assert_true(small_decodes_with(58, "\x01x", 2, 1)); /* label: x */
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    if (small_decodes_with(cases[i].at, cases[i].bytes, cases[i].size, 1))
      fail_msg("accepted: case %zu", i);
  }
}

static void test_decode_when_the_others_are_not_in_order_refuses(void **state)
{
  (void)state;
  static const struct ledger_other cases[][2] = {
    {{2, 1}, {1, 1}},   {{2, 1}, {2, 2}},   {{1, 0}, {2, 1}},
    {{1, 300}, {2, 1}}, {{1, 7}, {513, 8}}, {{1, 7}, {2, 301}},
  };
  for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct ledger_entry entry = full_entry();
    entry.others = cases[i];
    encode(entry);
    assert_false(decodes(bytes.at, bytes.size));
  }
}

static void test_op_when_an_entry_has_an_id_is_that_of_the_first(void **state)
{
  (void)state;
  struct ledger_entry entry = {.id = hf_id_make(500, 3, 4), .op_index = 2, .op_count = 3};
  assert_int_equal(ledger_entry_op(&entry, 4), hf_id_make(498, 3, 4));
  entry.op_index = 0;
  assert_int_equal(ledger_entry_op(&entry, 4), entry.id);
  entry.id = 0;
  entry.op_index = 1;
  assert_int_equal(ledger_entry_op(&entry, 4), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, teardown)
  const struct CMUnitTest tests[] = {
    TEST(test_encode_when_given_the_golden_entries_gives_the_golden_bytes),
    TEST(test_decode_when_given_the_golden_bytes_gives_the_golden_entries),
    TEST(test_encode_when_appending_leaves_what_is_there),
    TEST(test_encode_when_the_entry_is_the_largest_fits_and_reads_back),
    TEST(test_decode_when_cut_or_longer_refuses),
    TEST(test_decode_when_any_bit_flips_refuses_or_the_hash_differs),
    TEST(test_decode_when_it_refuses_leaves_the_output),
    TEST(test_decode_when_a_field_is_out_of_range_refuses),
    TEST(test_decode_when_the_others_are_not_in_order_refuses),
    TEST(test_op_when_an_entry_has_an_id_is_that_of_the_first),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
