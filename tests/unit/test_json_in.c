/* test_json_in.c - what a body may be, and that every refusal names what is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/http/json_in.h"

static json_t *parse(const char *text, struct json_problem *problem)
{
  memset(problem, 0, sizeof *problem);
  return json_in_parse(text, strlen(text), problem);
}

static void assert_refused(const char *text, size_t size, enum hf_error error)
{
  struct json_problem problem = {.error = HF_OK};
  json_t *root = json_in_parse(text, size, &problem);
  if (root != NULL || problem.error != error)
    fail_msg("%.60s: %s", text, hf_error_info(problem.error)->code);
  assert_true(problem.detail[0] != '\0');
}

static void test_parse_when_an_object_gives_it(void **state)
{
  (void)state;
  struct json_problem problem;
  json_t *root = parse(" {\"a\": [1, 2.5, null, true], \"\u00e9\": \"x\"} ", &problem);
  assert_non_null(root);
  assert_int_equal(problem.error, HF_OK);
  json_decref(root);
}

static void test_parse_when_malformed_is_refused(void **state)
{
  (void)state;
  static const char *const malformed[] = {"",
                                          " ",
                                          "{",
                                          "}",
                                          "{\"a\"}",
                                          "{\"a\":}",
                                          "{\"a\":1,}",
                                          "{a:1}",
                                          "{'a':1}",
                                          "{\"a\":01}",
                                          "{\"a\":+1}",
                                          "{\"a\":.5}",
                                          "{\"a\":1.}",
                                          "{\"a\":NaN}",
                                          "{\"a\":Infinity}",
                                          "{\"a\":1}x",
                                          "{\"a\":1}{}",
                                          "{\"a\":\"\\x\"}",
                                          "{\"a\":\"\\ud800\"}",
                                          "{\"a\":tru}",
                                          "{\"a\":\"\n\"}",
                                          "{\"a\":1,\"a\":2}",
                                          "{\"a\":\"\\u0000\"}",
                                          "// x\n{}",
                                          "{\"a\":\"\xff\"}",
                                          "{\"a\":\"\xc0\xaf\"}",
                                          "{\"a\":\"\xed\xa0\x80\"}",
                                          "{\"a\":99999999999999999999}",
                                          "{\"a\":1e999}",
                                          "\xef\xbb\xbf{}"};
  for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++)
    assert_refused(malformed[i], strlen(malformed[i]), HF_E_INVALID_JSON);
}

static void test_parse_when_not_an_object_is_refused(void **state)
{
  (void)state;
  static const char *const others[] = {"[]", "1", "\"x\"", "null", "true"};
  for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
    assert_refused(others[i], strlen(others[i]), HF_E_INVALID_BODY);
}

static void test_parse_when_a_nul_is_in_it_is_refused(void **state)
{
  (void)state;
  assert_refused("{\"a\":1}\0", 8, HF_E_INVALID_JSON);
  assert_refused("\0{\"a\":1}", 8, HF_E_INVALID_JSON);
  assert_refused("{\"a\":\"x\0y\"}", 11, HF_E_INVALID_JSON);
}

static void nest(char *text, size_t depth)
{
  size_t size = 0;
  text[size++] = '{';
  memcpy(text + size, "\"a\":", 4);
  size += 4;
  for (size_t i = 1; i < depth; i++)
    text[size++] = '[';
  for (size_t i = 1; i < depth; i++)
    text[size++] = ']';
  text[size++] = '}';
  text[size] = '\0';
}

static void test_parse_when_nested_to_the_limit_passes_and_one_deeper_does_not(void **state)
{
  (void)state;
  char text[256];
  struct json_problem problem;
  nest(text, JSON_IN_DEPTH_MAX);
  json_t *root = parse(text, &problem);
  assert_non_null(root);
  json_decref(root);
  nest(text, JSON_IN_DEPTH_MAX + 1);
  assert_refused(text, strlen(text), HF_E_INVALID_JSON);
}

static void test_parse_when_brackets_are_in_a_string_does_not_count_them(void **state)
{
  (void)state;
  struct json_problem problem;
  json_t *root = parse("{\"a\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[\"}", &problem);
  assert_non_null(root);
  json_decref(root);
}

static void test_parse_when_a_string_is_too_long_is_refused(void **state)
{
  (void)state;
  static char text[JSON_IN_STRING_MAX + 64];
  struct json_problem problem;
  const size_t head = 6;
  memcpy(text, "{\"a\":\"", head);
  memset(text + head, 'x', JSON_IN_STRING_MAX);
  memcpy(text + head + JSON_IN_STRING_MAX, "\"}", 3);
  json_t *root = parse(text, &problem);
  assert_non_null(root);
  json_decref(root);
  memcpy(text + head + JSON_IN_STRING_MAX, "x\"}", 4);
  assert_refused(text, strlen(text), HF_E_INVALID_JSON);
}

/* ---- members --------------------------------------------------------------------------------- */

static const struct json_in_field fields[] = {{"must", true}, {"may", false}};

static void take(const char *text, struct json_problem *problem, const json_t *ret_values[2],
                 json_t **ret_root)
{
  *ret_root = parse(text, problem);
  assert_non_null(*ret_root);
  json_in_take(*ret_root, fields, 2, problem, ret_values);
}

static void test_take_when_a_member_is_unknown_names_it(void **state)
{
  (void)state;
  struct json_problem problem;
  const json_t *values[2];
  json_t *root;
  take("{\"must\":1,\"more\":2}", &problem, values, &root);
  assert_int_equal(problem.error, HF_E_UNKNOWN_FIELD);
  assert_string_equal(problem.field, "more");
  json_decref(root);
}

static void test_take_when_a_required_member_is_missing_names_it(void **state)
{
  (void)state;
  struct json_problem problem;
  const json_t *values[2];
  json_t *root;
  take("{\"may\":1}", &problem, values, &root);
  assert_int_equal(problem.error, HF_E_MISSING_FIELD);
  assert_string_equal(problem.field, "must");
  json_decref(root);
}

static void test_take_when_an_optional_member_is_null_counts_it_as_absent(void **state)
{
  (void)state;
  struct json_problem problem;
  const json_t *values[2];
  json_t *root;
  take("{\"must\":null,\"may\":null}", &problem, values, &root);
  assert_int_equal(problem.error, HF_OK);
  assert_non_null(values[0]);
  assert_null(values[1]);
  json_decref(root);
}

static void test_take_when_an_unknown_name_is_long_cuts_it_between_characters(void **state)
{
  (void)state;
  struct json_problem problem;
  const json_t *values[2];
  json_t *root;
  char text[400] = "{\"";
  size_t size = strlen(text);
  for (unsigned i = 0; i < 120; i++, size += 2)
    memcpy(text + size, "\xc3\xa9", 2);
  memcpy(text + size, "\":1,\"must\":1}", sizeof "\":1,\"must\":1}");
  take(text, &problem, values, &root);
  assert_int_equal(problem.error, HF_E_UNKNOWN_FIELD);
  assert_int_equal(strlen(problem.field) % 2, 0);
  json_decref(root);
}

/* ---- values ---------------------------------------------------------------------------------- */

static const json_t *value_of(json_t *root)
{
  return json_object_get(root, "v");
}

static enum hf_error amount_error(const char *text, bool sign, struct hf_decimal *ret_decimal)
{
  struct json_problem problem;
  unsigned digits = 0;
  json_t *root = parse(text, &problem);
  assert_non_null(root);
  *ret_decimal = json_in_amount(value_of(root), "v", sign, &problem, &digits);
  json_decref(root);
  if (problem.error != HF_OK) {
    assert_string_equal(problem.field, "v");
    assert_true(problem.suggestion[0] != '\0');
  }
  return problem.error;
}

static void test_amount_when_a_decimal_string_gives_it(void **state)
{
  (void)state;
  struct hf_decimal decimal;
  assert_int_equal(amount_error("{\"v\":\"12.50\"}", false, &decimal), HF_OK);
  assert_true(decimal.digits == 125 && decimal.scale == 1);
  assert_int_equal(amount_error("{\"v\":\"-3\"}", true, &decimal), HF_OK);
  assert_true(decimal.digits == -3 && decimal.scale == 0);
}

static void test_amount_when_anything_else_is_refused_with_a_suggestion(void **state)
{
  (void)state;
  static const char *const refused[] = {
    "{\"v\":12.5}",
    "{\"v\":12}",
    "{\"v\":true}",
    "{\"v\":[]}",
    "{\"v\":{}}",
    "{\"v\":\"\"}",
    "{\"v\":\"0\"}",
    "{\"v\":\"0.00\"}",
    "{\"v\":\"-1\"}",
    "{\"v\":\"+1\"}",
    "{\"v\":\"1e5\"}",
    "{\"v\":\"1,5\"}",
    "{\"v\":\" 1\"}",
    "{\"v\":\"1 \"}",
    "{\"v\":\"01\"}",
    "{\"v\":\".5\"}",
    "{\"v\":\"5.\"}",
    "{\"v\":\"0x10\"}",
    "{\"v\":\"NaN\"}",
    "{\"v\":\"1_000\"}",
    "{\"v\":\"1111111111111111111111111111111111111111111111\"}"};
  struct hf_decimal decimal;
  for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
    assert_int_equal(amount_error(refused[i], false, &decimal), HF_E_INVALID_AMOUNT);
  assert_int_equal(amount_error("{\"v\":\"0\"}", true, &decimal), HF_E_INVALID_AMOUNT);
}

static void test_amount_when_absent_is_no_problem(void **state)
{
  (void)state;
  struct json_problem problem = {.error = HF_OK};
  unsigned digits = 7;
  const struct hf_decimal decimal = json_in_amount(NULL, "v", false, &problem, &digits);
  assert_int_equal(problem.error, HF_OK);
  assert_true(decimal.digits == 0);
}

static void test_id_when_not_one_of_ours_is_refused(void **state)
{
  (void)state;
  static const char *const refused[] = {
    "{\"v\":17}",      "{\"v\":\"\"}",   "{\"v\":\"0\"}",
    "{\"v\":\"017\"}", "{\"v\":\"-1\"}", "{\"v\":\"9007199254740992\"}",
    "{\"v\":\"1 \"}",  "{\"v\":null}",   "{\"v\":\"abc\"}"};
  for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
    struct json_problem problem;
    json_t *root = parse(refused[i], &problem);
    assert_int_equal(json_in_id(value_of(root), "v", &problem), 0);
    assert_int_equal(problem.error, HF_E_INVALID_ID);
    json_decref(root);
  }
}

static void test_time_when_more_than_a_day_ahead_then_refused(void **state)
{
  (void)state;
  struct json_problem problem;
  json_t *root = parse("{\"v\":\"2026-01-02T00:00:00Z\"}", &problem);
  const int64_t a_day_us = 86400000000;
  const int64_t time_us = 1767225600000000 + a_day_us; /* 2026-01-02T00:00:00Z */
  assert_int_equal(json_in_time(value_of(root), "v", time_us - a_day_us - 1, &problem), 0);
  assert_int_equal(problem.error, HF_E_INVALID_TIME);
  static const int64_t ahead_us[] = {86400000000, 1, 0, -1};
  for (size_t i = 0; i < sizeof ahead_us / sizeof ahead_us[0]; i++) {
    memset(&problem, 0, sizeof problem);
    assert_true(json_in_time(value_of(root), "v", time_us - ahead_us[i], &problem) == time_us);
    assert_int_equal(problem.error, HF_OK);
  }
  json_decref(root);
}

static void test_text_when_it_has_control_characters_is_refused(void **state)
{
  (void)state;
  static const char *const refused[] = {"{\"v\":\"a\\nb\"}",     "{\"v\":\"\\u007f\"}",
                                        "{\"v\":\"\\u0085\"}",   "{\"v\":\"\"}",
                                        "{\"v\":\"123456789\"}", "{\"v\":1}"};
  for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
    struct json_problem problem;
    json_t *root = parse(refused[i], &problem);
    assert_null(json_in_text(value_of(root), "v", 1, 8, &problem).at);
    assert_int_equal(problem.error, HF_E_INVALID_FIELD);
    json_decref(root);
  }
}

static void test_integer_when_out_of_range_is_refused(void **state)
{
  (void)state;
  static const char *const refused[] = {"{\"v\":0}", "{\"v\":11}", "{\"v\":1.0}", "{\"v\":\"5\"}",
                                        "{\"v\":-1}"};
  for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
    struct json_problem problem;
    json_t *root = parse(refused[i], &problem);
    assert_int_equal(json_in_integer(value_of(root), "v", 1, 10, &problem), 0);
    assert_int_equal(problem.error, HF_E_INVALID_FIELD);
    json_decref(root);
  }
}

static void test_getters_when_there_is_a_problem_keep_the_first(void **state)
{
  (void)state;
  struct json_problem problem;
  json_t *root = parse("{\"v\":true}", &problem);
  (void)json_in_id(value_of(root), "first", &problem);
  (void)json_in_integer(value_of(root), "second", 1, 2, &problem);
  assert_string_equal(problem.field, "first");
  json_decref(root);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_parse_when_an_object_gives_it),
    cmocka_unit_test(test_parse_when_malformed_is_refused),
    cmocka_unit_test(test_parse_when_not_an_object_is_refused),
    cmocka_unit_test(test_parse_when_a_nul_is_in_it_is_refused),
    cmocka_unit_test(test_parse_when_nested_to_the_limit_passes_and_one_deeper_does_not),
    cmocka_unit_test(test_parse_when_brackets_are_in_a_string_does_not_count_them),
    cmocka_unit_test(test_parse_when_a_string_is_too_long_is_refused),
    cmocka_unit_test(test_take_when_a_member_is_unknown_names_it),
    cmocka_unit_test(test_take_when_a_required_member_is_missing_names_it),
    cmocka_unit_test(test_take_when_an_optional_member_is_null_counts_it_as_absent),
    cmocka_unit_test(test_take_when_an_unknown_name_is_long_cuts_it_between_characters),
    cmocka_unit_test(test_amount_when_a_decimal_string_gives_it),
    cmocka_unit_test(test_amount_when_anything_else_is_refused_with_a_suggestion),
    cmocka_unit_test(test_amount_when_absent_is_no_problem),
    cmocka_unit_test(test_id_when_not_one_of_ours_is_refused),
    cmocka_unit_test(test_time_when_more_than_a_day_ahead_then_refused),
    cmocka_unit_test(test_text_when_it_has_control_characters_is_refused),
    cmocka_unit_test(test_integer_when_out_of_range_is_refused),
    cmocka_unit_test(test_getters_when_there_is_a_problem_keep_the_first),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
