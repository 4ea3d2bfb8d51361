/* test_json_out.c - what is written is JSON, escaped, and always the same for the same value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/http/json_out.h"

static struct json_out out;

static int setup(void **state)
{
  (void)state;
  json_out_clear(&out);
  return 0;
}

static int teardown(void **state)
{
  (void)state;
  json_out_deinit(&out);
  return 0;
}

static void assert_written(const char *expected)
{
  assert_int_equal(out.size, strlen(expected));
  assert_memory_equal(out.at, expected, out.size);
}

static void test_out_when_nested_puts_commas_where_they_belong(void **state)
{
  (void)state;
  json_out_begin_object(&out);
  json_out_key(&out, "a");
  json_out_begin_array(&out);
  json_out_unsigned(&out, 0);
  json_out_unsigned(&out, UINT64_MAX);
  json_out_begin_object(&out);
  json_out_end_object(&out);
  json_out_end_array(&out);
  json_out_key(&out, "b");
  json_out_bool(&out, true);
  json_out_key_text(&out, "c\"", 2);
  json_out_null(&out);
  json_out_end_object(&out);
  assert_written("{\"a\":[0,18446744073709551615,{}],\"b\":true,\"c\\\"\":null}");
}

static void test_text_when_it_needs_escapes_reads_back(void **state)
{
  (void)state;
  char text[130];
  for (unsigned i = 0; i < 127; i++)
    text[i] = (char)(i + 1);
  memcpy(text + 127, "\xc3\xa9", 3);
  json_out_begin_array(&out);
  json_out_text(&out, text, 129);
  json_out_end_array(&out);
  json_t *root = json_loadb(out.at, out.size, 0, NULL);
  assert_non_null(root);
  assert_string_equal(json_string_value(json_array_get(root, 0)), text);
  json_decref(root);
}

static void test_amount_when_zero_has_the_digits_of_its_scale(void **state)
{
  (void)state;
  json_out_begin_array(&out);
  for (unsigned scale = 0; scale <= 2; scale++)
    json_out_amount(&out, 0, scale);
  json_out_amount(&out, 0, HF_SCALE_MAX);
  json_out_amount(&out, -150, 2);
  json_out_end_array(&out);
  assert_written("[\"0\",\"0.0\",\"0.00\",\"0.000000000000000000\",\"-1.50\"]");
}

static void test_amount_when_zero_is_what_the_formatter_says(void **state)
{
  (void)state;
  for (unsigned scale = 0; scale <= HF_SCALE_MAX; scale++) {
    char text[HF_AMOUNT_TEXT_MAX];
    json_out_clear(&out);
    json_out_amount(&out, 0, scale);
    const size_t size = hf_amount_format(0, scale, text);
    assert_int_equal(out.size, size + 2);
    assert_memory_equal(out.at + 1, text, size);
  }
}

static void test_scalars_when_written_have_their_form(void **state)
{
  (void)state;
  json_out_begin_array(&out);
  json_out_id(&out, 9007199254740991u);
  json_out_time(&out, 1767225600123456);
  json_out_hex(&out, "\x00\xff", 2);
  json_out_raw(&out, "[1]", 3);
  json_out_end_array(&out);
  assert_written("[\"9007199254740991\",\"2026-01-01T00:00:00.123456Z\",\"00ff\",[1]]");
}

static void test_again_when_the_buffer_grows_copies_what_was_there(void **state)
{
  (void)state;
  json_out_begin_array(&out);
  json_out_string(&out, "abc");
  for (unsigned i = 0; i < 3000; i++)
    json_out_again(&out, 1, 5);
  json_out_end_array(&out);
  assert_int_equal(out.size, 2 + 5 + 3000 * 6);
  assert_memory_equal(out.at + out.size - 7, ",\"abc\"]", 7);
}

static void assert_canonical(const char *text, const char *expected)
{
  json_t *root = json_loads(text, 0, NULL);
  assert_non_null(root);
  json_out_clear(&out);
  json_out_value(&out, root);
  assert_written(expected);
  json_decref(root);
}

static void test_value_when_canonical_sorts_keys_and_keeps_numbers(void **state)
{
  (void)state;
  assert_canonical("{ \"b\" : 1, \"a\" : {\"d\":[ ],\"c\":{ } } }",
                   "{\"a\":{\"c\":{},\"d\":[]},\"b\":1}");
  assert_canonical("{\"x\":-9223372036854775808}", "{\"x\":-9223372036854775808}");
  assert_canonical("{\"x\":0.1,\"y\":1.0,\"z\":1e300}", "{\"x\":0.1,\"y\":1.0,\"z\":1e+300}");
  assert_canonical("[true,false,null,\"\\u00e9\\/\"]", "[true,false,null,\"\xc3\xa9/\"]");
}

static void test_value_when_an_object_is_large_sorts_it_too(void **state)
{
  (void)state;
  json_t *root = json_object();
  for (unsigned i = 0; i < 40; i++) {
    char key[8];
    (void)snprintf(key, sizeof key, "k%02u", 39 - i);
    assert_int_equal(json_object_set_new(root, key, json_integer(i)), 0);
  }
  json_out_value(&out, root);
  assert_memory_equal(out.at, "{\"k00\":39,\"k01\":38,", 19);
  json_decref(root);
}

static void test_clear_when_a_reply_was_huge_gives_memory_back(void **state)
{
  (void)state;
  json_out_begin_array(&out);
  for (unsigned i = 0; i < 300000; i++)
    json_out_string(&out, "abcdef");
  json_out_clear(&out);
  assert_int_equal(out.room, 0);
  json_out_string(&out, "x");
  json_out_clear(&out);
  assert_true(out.room > 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
    TEST(test_out_when_nested_puts_commas_where_they_belong),
    TEST(test_text_when_it_needs_escapes_reads_back),
    TEST(test_amount_when_zero_has_the_digits_of_its_scale),
    TEST(test_amount_when_zero_is_what_the_formatter_says),
    TEST(test_scalars_when_written_have_their_form),
    TEST(test_again_when_the_buffer_grows_copies_what_was_there),
    TEST(test_value_when_canonical_sorts_keys_and_keeps_numbers),
    TEST(test_value_when_an_object_is_large_sorts_it_too),
    TEST(test_clear_when_a_reply_was_huge_gives_memory_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
