/* test_bytes.c - one encoding per value, and a reader that refuses every other. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "holdfast/bytes.h"

static struct hf_bytes bytes;

static int teardown(void **state)
{
  (void)state;
  hf_bytes_deinit(&bytes);
  return 0;
}

static void assert_bytes(const void *expected, size_t size)
{
  assert_int_equal(bytes.size, size);
  assert_memory_equal(bytes.at, expected, size);
  hf_bytes_clear(&bytes);
}

static void test_varint_when_written_has_the_known_bytes(void **state)
{
  (void)state;
  hf_bytes_put_varint(&bytes, 0);
  assert_bytes("\x00", 1);
  hf_bytes_put_varint(&bytes, 127);
  assert_bytes("\x7f", 1);
  hf_bytes_put_varint(&bytes, 128);
  assert_bytes("\x80\x01", 2);
  hf_bytes_put_varint(&bytes, 624485);
  assert_bytes("\xe5\x8e\x26", 3);
  hf_bytes_put_varint(&bytes, UINT64_MAX);
  assert_bytes("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10);
}

static void test_amount_when_written_is_a_zigzag(void **state)
{
  (void)state;
  hf_bytes_put_amount(&bytes, 0);
  assert_bytes("\x00", 1);
  hf_bytes_put_amount(&bytes, -1);
  assert_bytes("\x01", 1);
  hf_bytes_put_amount(&bytes, 1);
  assert_bytes("\x02", 1);
  hf_bytes_put_amount(&bytes, -64);
  assert_bytes("\x7f", 1);
  hf_bytes_put_amount(&bytes, 64);
  assert_bytes("\x80\x01", 2);
  hf_bytes_put_amount(&bytes, HF_AMOUNT_MAX);
  assert_bytes("\xfe\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x03", 19);
  hf_bytes_put_amount(&bytes, HF_AMOUNT_MIN);
  assert_bytes("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x03", 19);
}

static void test_read_when_written_before_gives_the_value(void **state)
{
  (void)state;
  for (unsigned shift = 0; shift < 127; shift++) {
    for (int add = -1; add <= 1; add++) {
      hf_amount value = ((hf_amount)1 << shift) + add;
      hf_bytes_clear(&bytes);
      hf_bytes_put_amount(&bytes, value);
      hf_bytes_put_amount(&bytes, -value);
      hf_bytes_put_varint(&bytes, (uint64_t)value);
      struct hf_reader reader = hf_reader_of(bytes.at, bytes.size);
      assert_true(hf_read_amount(&reader) == value);
      assert_true(hf_read_amount(&reader) == -value);
      assert_true(hf_read_varint(&reader) == (uint64_t)value);
      assert_true(hf_reader_done(&reader));
    }
  }
  hf_bytes_clear(&bytes);
  hf_bytes_put_amount(&bytes, HF_AMOUNT_MIN);
  struct hf_reader reader = hf_reader_of(bytes.at, bytes.size);
  assert_true(hf_read_amount(&reader) == HF_AMOUNT_MIN);
  assert_true(hf_reader_done(&reader));
}

static void test_read_varint_when_not_canonical_fails(void **state)
{
  (void)state;
  static const struct {
    const char *bytes;
    size_t size;
  } cases[] = {
    {"", 0},
    {"\x80", 1},
    {"\x80\x00", 2}, /* a needless zero group */
    {"\xff\x00", 2},
    {"\x80\x80\x00", 3},
    {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10},     /* bit 65 */
    {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00", 11}, /* eleven groups */
    {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11},
    {"\xff\xff\xff\xff\xff\xff\xff\xff\xff", 9},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct hf_reader reader = hf_reader_of(cases[i].bytes, cases[i].size);
    assert_int_equal(hf_read_varint(&reader), 0);
    assert_true(reader.failed);
    assert_false(hf_reader_done(&reader));
  }
}

static void test_read_amount_when_not_canonical_fails(void **state)
{
  (void)state;
  static const struct {
    const char *bytes;
    size_t size;
  } cases[] = {
    {"", 0},
    {"\x82\x00", 2},
    {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x04", 19},
    {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x83\x00", 20},
    {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 18},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct hf_reader reader = hf_reader_of(cases[i].bytes, cases[i].size);
    assert_true(hf_read_amount(&reader) == 0);
    assert_false(hf_reader_done(&reader));
  }
}

static void test_read_when_it_has_failed_gives_nothing_any_more(void **state)
{
  (void)state;
  struct hf_reader reader = hf_reader_of("\x80\x00\x05\x05\x05\x05", 6);
  assert_int_equal(hf_read_varint(&reader), 0);
  assert_int_equal(hf_read_u8(&reader), 0);
  assert_int_equal(hf_read_varint(&reader), 0);
  assert_true(hf_read_amount(&reader) == 0);
  uint8_t out[2] = {9, 9};
  hf_read(&reader, out, sizeof out);
  assert_int_equal(out[0] + out[1], 0);
  size_t size = 9;
  (void)hf_read_blob(&reader, 10, &size);
  assert_int_equal(size, 0);
  assert_false(hf_reader_done(&reader));
}

static void test_blob_when_it_fits_is_a_view(void **state)
{
  (void)state;
  hf_bytes_put_blob(&bytes, "hello", 5);
  hf_bytes_put_blob(&bytes, NULL, 0);
  hf_bytes_put_u8(&bytes, 200);
  struct hf_reader reader = hf_reader_of(bytes.at, bytes.size);
  size_t size;
  const uint8_t *at = hf_read_blob(&reader, 5, &size);
  assert_int_equal(size, 5);
  assert_ptr_equal(at, bytes.at + 1);
  (void)hf_read_blob(&reader, 5, &size);
  assert_int_equal(size, 0);
  assert_int_equal(hf_read_u8(&reader), 200);
  assert_true(hf_reader_done(&reader));
}

static void test_blob_when_too_long_fails(void **state)
{
  (void)state;
  hf_bytes_put_blob(&bytes, "hello", 5);
  size_t size;
  struct hf_reader reader = hf_reader_of(bytes.at, bytes.size);
  (void)hf_read_blob(&reader, 4, &size);
  assert_int_equal(size, 0);
  assert_true(reader.failed);
  reader = hf_reader_of(bytes.at, bytes.size - 1);
  (void)hf_read_blob(&reader, 5, &size);
  assert_true(reader.failed);
  reader = hf_reader_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10);
  (void)hf_read_blob(&reader, SIZE_MAX, &size);
  assert_true(reader.failed);
}

static void test_done_when_something_is_left_is_false(void **state)
{
  (void)state;
  struct hf_reader reader = hf_reader_of("\x01\x02", 2);
  assert_false(hf_reader_done(&reader));
  assert_int_equal(hf_read_u8(&reader), 1);
  assert_false(hf_reader_done(&reader));
  assert_int_equal(hf_read_u8(&reader), 2);
  assert_true(hf_reader_done(&reader));
  reader = hf_reader_of("\x07", 1);
  assert_false(hf_reader_done(&reader));
  assert_int_equal(hf_read_u8(&reader), 7);
  assert_true(hf_reader_done(&reader));
  reader = hf_reader_of(NULL, 0);
  assert_true(hf_reader_done(&reader));
}

static void test_put_when_it_grows_keeps_what_is_there(void **state)
{
  (void)state;
  for (unsigned i = 0; i < 10000; i++) {
    uint8_t pair[2] = {(uint8_t)i, (uint8_t)(i >> 8)};
    hf_bytes_put(&bytes, pair, sizeof pair);
  }
  assert_int_equal(bytes.size, 20000);
  for (unsigned i = 0; i < 10000; i++)
    assert_int_equal(bytes.at[2 * i] | bytes.at[2 * i + 1] << 8, i);
}

static void test_clear_when_called_keeps_the_room(void **state)
{
  (void)state;
  (void)hf_bytes_reserve(&bytes, 5000);
  assert_int_equal(bytes.size, 0);
  size_t room = bytes.room;
  const uint8_t *at = bytes.at;
  assert_true(room >= 5000);
  hf_bytes_put(&bytes, "abc", 3);
  hf_bytes_clear(&bytes);
  assert_int_equal(bytes.size, 0);
  assert_int_equal(bytes.room, room);
  assert_ptr_equal(bytes.at, at);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, teardown)
  const struct CMUnitTest tests[] = {
    TEST(test_varint_when_written_has_the_known_bytes),
    TEST(test_amount_when_written_is_a_zigzag),
    TEST(test_read_when_written_before_gives_the_value),
    TEST(test_read_varint_when_not_canonical_fails),
    TEST(test_read_amount_when_not_canonical_fails),
    TEST(test_read_when_it_has_failed_gives_nothing_any_more),
    TEST(test_blob_when_it_fits_is_a_view),
    TEST(test_blob_when_too_long_fails),
    TEST(test_done_when_something_is_left_is_false),
    TEST(test_put_when_it_grows_keeps_what_is_there),
    TEST(test_clear_when_called_keeps_the_room),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
