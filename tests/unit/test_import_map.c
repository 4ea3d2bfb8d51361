/* Lines to rows: amounts, times, operations, users, keys, metadata; and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/import_fixture.h"

static void expect_amount(struct import_fixture *fixture, const char *text, int64_t units)
{
  char line[128];
  snprintf(line, sizeof line, "user,amount\nann,%s\n", text);
  struct import_row *row = import_fixture_one(fixture, line);
  if (row == NULL) {
    fail_msg("%s: %s", text, fixture->reject_detail);
    return;
  }
  assert_true(row->amount == units);
  import_row_free(row);
}

static void expect_refused(struct import_fixture *fixture, const char *text, enum hf_error error)
{
  struct import_row *row = import_fixture_one(fixture, text);
  if (row != NULL)
    fail_msg("%s was taken", text);
  assert_int_equal(fixture->reject, error);
  assert_int_not_equal(fixture->reject_detail[0], '\0');
}

static void expect_no_amount(struct import_fixture *fixture, const char *text)
{
  char line[128];
  snprintf(line, sizeof line, "user,amount\nann,%s\n", text);
  expect_refused(fixture, line, HF_E_INVALID_AMOUNT);
}

static void test_amount_when_decimal_then_base_units(void **state)
{
  struct import_fixture *fixture = *state;
  expect_amount(fixture, "12.34", 1234);
  expect_amount(fixture, "12", 1200);
  expect_amount(fixture, "0.05", 5);
  expect_amount(fixture, "7.5000", 750);
  static const char *const wrong[] = {"",        "0",   "-1",   "1.234", "1e3",       "+1",
                                      "\"1,5\"", " 1",  "1.",   ".5",    "abc",       "007",
                                      "0.001",   "NaN", "0x10", "1_0",   "\"1 000\"", "--1"};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
    expect_no_amount(fixture, wrong[i]);
  expect_no_amount(fixture, "99999999999999999999999999999999999999"); /* times 100: too large */
}

static void test_amount_when_in_base_units_then_integers_only(void **state)
{
  struct import_fixture *fixture = *state;
  fixture->options.amount_unit = "base";
  fixture->scale = 18;
  expect_amount(fixture, "804264913889669500", 804264913889669500);
  expect_amount(fixture, "1", 1);
  expect_no_amount(fixture, "1.5");
}

static void test_amount_when_truncated_then_cut_and_the_difference_kept(void **state)
{
  struct import_fixture *fixture = *state;
  char cut[IMPORT_CUT_TEXT_MAX];
  static const char text[] = "user,amount\na,1.239\nb,0.0051\nc,3.10\nd,2.99999999999\n";
  fixture->options.truncate = "";
  import_fixture_open(fixture, text, strlen(text), IMPORT_CSV);
  static const int64_t want[] = {123, 310, 299}; /* 0.0051 is nothing of a cent */
  for (size_t i = 0; i < 3; i++) {
    struct import_row *row = import_fixture_row(fixture);
    assert_non_null(row);
    assert_true(row->amount == want[i]);
    import_row_free(row);
  }
  assert_null(import_fixture_row(fixture));
  assert_int_equal(fixture->rejects, 1);
  assert_int_equal(fixture->map.cut_count, 3);
  import_map_cut_text(&fixture->map, cut);
  assert_string_equal(cut, "0.02409999999"); /* 0.009 + 0.0051 + 0.00999999999 */
}

static void test_amount_when_an_adjust_then_it_has_a_sign(void **state)
{
  struct import_fixture *fixture = *state;
  fixture->options.type = "adjust";
  fixture->options.reason = "corrected by hand";
  expect_amount(fixture, "-1.50", -150);
  expect_amount(fixture, "1.50", 150);
  expect_no_amount(fixture, "0");
}

static void expect_time(struct import_fixture *fixture, const char *format, const char *text,
                        int64_t unix_s)
{
  char line[128];
  fixture->options.effective_column = "when";
  fixture->options.effective_format = format;
  snprintf(line, sizeof line, "user,amount,when\nann,1,%s\n", text);
  struct import_row *row = import_fixture_one(fixture, line);
  if (row == NULL) {
    fail_msg("%s: %s", text, fixture->reject_detail);
    return;
  }
  assert_int_equal(row->effective_us, unix_s * 1000000);
  import_row_free(row);
}

static void expect_no_time(struct import_fixture *fixture, const char *format, const char *text)
{
  char line[128];
  fixture->options.effective_column = "when";
  fixture->options.effective_format = format;
  snprintf(line, sizeof line, "user,amount,when\nann,1,%s\n", text);
  expect_refused(fixture, line, HF_E_INVALID_TIME);
}

static void test_time_when_in_each_format_then_read(void **state)
{
  struct import_fixture *fixture = *state;
  expect_time(fixture, NULL, "2020-01-01T01:00:00+01:00", 1577836800);
  expect_time(fixture, "unix", "1488775107", 1488775107);
  expect_time(fixture, "yymmdd", "930101", 725846400);
  expect_time(fixture, "yymmdd", "200229", 1582934400);
  expect_time(fixture, "yyyy-mm-dd", "2020-02-29", 1582934400);
  expect_time(fixture, "unix", "", 0); /* an empty cell: when it is recorded */
}

static void test_time_when_it_is_none_then_refused(void **state)
{
  struct import_fixture *fixture = *state;
  static const struct {
    const char *format, *text;
  } wrong[] = {{"rfc3339", "2020-01-01"},
               {"rfc3339", "2199-01-01T00:00:00Z"},
               {"unix", "99999999999"},
               {"unix", "0"},
               {"unix", "-5"},
               {"unix", "1.1234567890"},
               {"unix", "12a"},
               {"yymmdd", "930230"},
               {"yymmdd", "9301"},
               {"yymmdd", "93x101"},
               {"yyyy-mm-dd", "2021-02-29"},
               {"yyyy-mm-dd", "2021/02/01"},
               {"yyyy-mm-dd", "1969-12-31"},
               {"yyyy-mm-dd", "2025-11-22"}};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
    expect_no_time(fixture, wrong[i].format, wrong[i].text);
}

static void test_type_when_mapped_by_column_then_its_operation(void **state)
{
  struct import_fixture *fixture = *state;
  fixture->options.type = NULL;
  fixture->options.type_column = "kind";
  fixture->options.type_map = "IN=deposit,OUT=spend,=earn";
  static const char text[] = "user,kind,amount\na,IN,1\na,OUT,1\na,,1\n";
  static const struct {
    unsigned type;
    bool credit;
  } want[] = {{LEDGER_T_DEPOSIT, true}, {LEDGER_T_SPEND, false}, {LEDGER_T_EARN, true}};
  import_fixture_open(fixture, text, strlen(text), IMPORT_CSV);
  for (size_t i = 0; i < 3; i++) {
    struct import_row *row = import_fixture_row(fixture);
    assert_non_null(row);
    assert_int_equal(row->type, want[i].type);
    assert_int_equal(row->credit, want[i].credit);
    import_row_free(row);
  }
  expect_refused(fixture, "user,kind,amount\na,in,1\n", HF_E_INVALID_FIELD);
  fixture->options.type_map = NULL; /* then the cell is the operation's own name */
  struct import_row *row = import_fixture_one(fixture, "user,kind,amount\na,grant,1\n");
  assert_int_equal(row->type, LEDGER_T_GRANT);
  import_row_free(row);
  expect_refused(fixture, "user,kind,amount\na,capture,1\n", HF_E_INVALID_FIELD);
  expect_refused(fixture, "user,kind,amount\na,transfer,1\n", HF_E_MISSING_FIELD);
}

static void test_options_when_they_make_no_sense_then_refused(void **state)
{
  struct import_fixture *fixture = *state;
  const struct import_options good = fixture->options;
  struct import_options wrong[] = {good, good, good, good, good, good,
                                   good, good, good, good, good};
  wrong[0].type = "capture";     /* refers to another operation */
  wrong[1].type = "transfer";    /* to whom? */
  wrong[2].type = "adjust";      /* why? */
  wrong[3].type_column = "kind"; /* and a type */
  wrong[4].key = "{no end";
  wrong[5].amount_unit = "cents";
  wrong[6].effective_format = "dd.mm.yy";
  wrong[7].prefund = "spend";
  wrong[8].label = "not a word";
  wrong[9].user_column = NULL;
  wrong[10].type_map = "A=grant"; /* for no column */
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    bool ok = import_map_init(&fixture->map, &wrong[i], "f.csv", 2, FIXTURE_NOW_US);
    import_map_deinit(&fixture->map);
    if (ok)
      fail_msg("options %zu were taken", i);
  }
}

static void expect_key(struct import_fixture *fixture, const char *template, const char *key)
{
  fixture->options.key = template;
  struct import_row *row = import_fixture_one(fixture, "user,amount,id\nann,1,x-77\n");
  if (row == NULL) {
    fail_msg("%s: %s", template, fixture->reject_detail);
    return;
  }
  assert_string_equal(row->key, key);
  import_row_free(row);
}

static void test_key_when_a_template_then_filled_in(void **state)
{
  struct import_fixture *fixture = *state;
  expect_key(fixture, NULL, "a_file.csv:2");
  expect_key(fixture, "{id}", "x-77");
  expect_key(fixture, "bank:{id}/{line}{user}.", "bank:x-77/2ann.");
  expect_key(fixture, "{{{id}", "{x-77");
  expect_key(fixture, "{file}#{line}", "a_file.csv#2");
  fixture->options.key = "{amount}{user}";
  expect_refused(fixture, "user,amount\n\"a b\",1\n", HF_E_INVALID_KEY);
  expect_refused(fixture, "user,amount\n\xc3\xa9,1\n", HF_E_INVALID_KEY);
  fixture->options.key = "{id}";
  expect_refused(fixture, "user,amount,id\nann,1,\n", HF_E_INVALID_KEY);
}

static void test_user_when_it_is_none_then_refused(void **state)
{
  struct import_fixture *fixture = *state;
  char line[256];
  expect_refused(fixture, "user,amount\n,1\n", HF_E_MISSING_FIELD);
  expect_refused(fixture, "user,amount\na\tb,1\n", HF_E_INVALID_FIELD);
  expect_refused(fixture, "user,amount\n\xff\xfe,1\n", HF_E_INVALID_FIELD);
  snprintf(line, sizeof line, "user,amount\n%0129d,1\n", 7);
  expect_refused(fixture, line, HF_E_INVALID_FIELD);
  snprintf(line, sizeof line, "user,amount\n%0128d,1\n", 7);
  struct import_row *row = import_fixture_one(fixture, line);
  assert_non_null(row);
  assert_int_equal(strlen(row->user), 128);
  import_row_free(row);
}

static void test_metadata_when_columns_are_named_then_those_that_are_not_empty(void **state)
{
  struct import_fixture *fixture = *state;
  fixture->options.metadata_columns = "note,place";
  struct import_row *row =
    import_fixture_one(fixture, "user,amount,note,place\nann,1,\"a \"\"b\"\"\",\n");
  assert_int_equal(json_object_size(row->metadata), 1);
  assert_string_equal(json_string_value(json_object_get(row->metadata, "note")), "a \"b\"");
  import_row_free(row);
  row = import_fixture_one(fixture, "user,amount,note,place\nann,1,,\n");
  assert_null(row->metadata);
  import_row_free(row);
  expect_refused(fixture, "user,amount,note,place\nann,1,\xff,\n", HF_E_INVALID_FIELD);
}

static void test_record_when_it_has_another_number_of_fields_then_refused(void **state)
{
  struct import_fixture *fixture = *state;
  expect_refused(fixture, "user,amount\nann\n", HF_E_INVALID_BODY);
  expect_refused(fixture, "user,amount\nann,1,2\n", HF_E_INVALID_BODY);
}

static void test_json_when_values_have_types_then_they_stay_exact(void **state)
{
  struct import_fixture *fixture = *state;
  fixture->options.amount_unit = "base";
  fixture->options.metadata_columns = "tags";
  fixture->scale = 18;
  struct import_row *row = import_fixture_one(
    fixture, "{\"user\":42,\"amount\":9223372036854775807,\"tags\":[1,{\"a\":null}]}\n");
  assert_string_equal(row->user, "42");
  assert_true(row->amount == INT64_MAX);
  assert_true(json_is_array(json_object_get(row->metadata, "tags")));
  import_row_free(row);
  row = import_fixture_one(
    fixture, "{\"user\":\"ann\",\"amount\":\"17014118346046923173168730371588410572\"}");
  assert_true(row->amount == HF_AMOUNT_MAX / 10);
  import_row_free(row);
  /* A number with a fraction has lost digits before anyone sees it. */
  expect_refused(fixture, "{\"user\":\"ann\",\"amount\":1.5}", HF_E_INVALID_AMOUNT);
  expect_refused(fixture, "{\"user\":\"ann\",\"amount\":18446744073709551616}", HF_E_INVALID_JSON);
  expect_refused(fixture, "{\"user\":\"ann\"}", HF_E_INVALID_AMOUNT);
  expect_refused(fixture, "{\"user\":[1],\"amount\":1}", HF_E_INVALID_FIELD);
  expect_refused(fixture, "{\"user\":\"ann\",\"user\":\"bob\",\"amount\":1}", HF_E_INVALID_JSON);
  expect_refused(fixture, "{\"user\":\"ann\"", HF_E_INVALID_JSON);
}

static void test_prefund_when_the_user_is_no_key_text_then_a_digest_stands_for_it(void **state)
{
  struct import_fixture *fixture = *state;
  fixture->options.prefund = "deposit";
  import_fixture_open(fixture, "user,amount\n", 12, IMPORT_CSV);
  struct import_row *row = import_map_prefund(&fixture->map, "0xabc", 5);
  assert_string_equal(row->key, "prefund:a_file.csv:0xabc");
  assert_int_equal(row->type, LEDGER_T_DEPOSIT);
  assert_true(row->credit);
  import_row_free(row);
  row = import_map_prefund(&fixture->map, "a b", 5);
  assert_memory_equal(row->key, "prefund:a_file.csv:sha256:", 26);
  assert_int_equal(strlen(row->key), 26 + 32);
  import_row_free(row);
}

#define TEST(name)                                                                                 \
  cmocka_unit_test_setup_teardown(name, import_fixture_setup, import_fixture_teardown)

int main(void)
{
  const struct CMUnitTest tests[] = {
    TEST(test_amount_when_decimal_then_base_units),
    TEST(test_amount_when_in_base_units_then_integers_only),
    TEST(test_amount_when_truncated_then_cut_and_the_difference_kept),
    TEST(test_amount_when_an_adjust_then_it_has_a_sign),
    TEST(test_time_when_in_each_format_then_read),
    TEST(test_time_when_it_is_none_then_refused),
    TEST(test_type_when_mapped_by_column_then_its_operation),
    TEST(test_options_when_they_make_no_sense_then_refused),
    TEST(test_key_when_a_template_then_filled_in),
    TEST(test_user_when_it_is_none_then_refused),
    TEST(test_metadata_when_columns_are_named_then_those_that_are_not_empty),
    TEST(test_record_when_it_has_another_number_of_fields_then_refused),
    TEST(test_json_when_values_have_types_then_they_stay_exact),
    TEST(test_prefund_when_the_user_is_no_key_text_then_a_digest_stands_for_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
