/* test_id.c - identifiers: their parts and their text. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "holdfast/id.h"

static void test_make_when_taken_apart_gives_its_parts(void **state)
{
  (void)state;
  for (unsigned bits = 0; bits <= HF_PARTITION_BITS_MAX; bits++) {
    unsigned partition = (1u << bits) - 1u;
    hf_id id = hf_id_make(123456789, partition, bits);
    assert_int_equal(hf_id_partition(id, bits), partition);
    assert_int_equal(hf_id_serial(id, bits), 123456789);
  }
}

static void test_parse_when_in_range_reads_the_id(void **state)
{
  (void)state;
  hf_id id = 0;
  assert_true(hf_id_parse("1", 1, &id));
  assert_int_equal(id, 1);
  assert_true(hf_id_parse("9007199254740991", 16, &id));
  assert_int_equal(id, HF_ID_MAX);
  assert_true(hf_id_parse("12345", 3, &id));
  assert_int_equal(id, 123);
}

static void test_parse_when_malformed_refuses_and_leaves_the_output(void **state)
{
  (void)state;
  static const char *const cases[] = {
    "",
    "0",
    "00",
    "01",
    "-1",
    "+1",
    " 1",
    "1 ",
    "1.0",
    "0x1",
    "a",
    "1a",
    "1e3",
    "9007199254740992",
    "9999999999999999",
    "10000000000000000",
    "18446744073709551617",
    "99999999999999999999999999",
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    hf_id id = 42;
    if (hf_id_parse(cases[i], strlen(cases[i]), &id))
      fail_msg("accepted: %s", cases[i]);
    assert_int_equal(id, 42);
  }
  hf_id id;
  assert_false(hf_id_parse("1\0", 2, &id));
}

static void test_format_when_parsed_again_is_the_same(void **state)
{
  (void)state;
  char text[HF_ID_TEXT_MAX];
  for (hf_id id = 1; id <= HF_ID_MAX; id = id * 3 + 1) {
    hf_id back = 0;
    size_t size = hf_id_format(id, text);
    assert_int_equal(size, strlen(text));
    assert_true(hf_id_parse(text, size, &back));
    assert_int_equal(back, id);
  }
  assert_int_equal(hf_id_format(HF_ID_MAX, text), 16);
  assert_string_equal(text, "9007199254740991");
  assert_int_equal(hf_id_format(0, text), 1);
  assert_string_equal(text, "0");
}

static void test_actor_when_of_a_user_carries_partition_and_serial(void **state)
{
  (void)state;
  hf_id user = hf_id_make(77, 5, 4);
  assert_true(hf_user_actor(user, 4) == rt_id_make(HF_KIND_USER, 5, 77));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_make_when_taken_apart_gives_its_parts),
    cmocka_unit_test(test_parse_when_in_range_reads_the_id),
    cmocka_unit_test(test_parse_when_malformed_refuses_and_leaves_the_output),
    cmocka_unit_test(test_format_when_parsed_again_is_the_same),
    cmocka_unit_test(test_actor_when_of_a_user_carries_partition_and_serial),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
