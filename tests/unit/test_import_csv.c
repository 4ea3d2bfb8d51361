/* RFC 4180: where records end and what their fields are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "server/import_csv.h"

static char room[4096];
static struct import_text fields[IMPORT_FIELDS_MAX];

static size_t split(const char *text)
{
  size_t count = 0;
  const char *wrong = csv_split(text, strlen(text), ',', room, fields, &count);
  if (wrong != NULL)
    fail_msg("%s: %s", text, wrong);
  return count;
}

static const char *refused(const char *text, size_t size)
{
  size_t count = 99;
  const char *wrong = csv_split(text, size, ',', room, fields, &count);
  assert_non_null(wrong);
  assert_int_equal(count, 99);
  return wrong;
}

static void test_split_when_plain_then_fields_in_order(void **state)
{
  (void)state;
  assert_int_equal(split("a,bc,,d\r\n"), 4);
  assert_string_equal(fields[0].at, "a");
  assert_string_equal(fields[1].at, "bc");
  assert_int_equal(fields[1].size, 2);
  assert_string_equal(fields[2].at, "");
  assert_int_equal(fields[2].size, 0);
  assert_string_equal(fields[3].at, "d");
}

static void test_split_when_empty_or_a_trailing_separator_then_an_empty_field(void **state)
{
  (void)state;
  assert_int_equal(split(""), 1);
  assert_int_equal(fields[0].size, 0);
  assert_int_equal(split("a,\n"), 2);
  assert_int_equal(fields[1].size, 0);
  assert_int_equal(split(",,"), 3);
}

static void test_split_when_quoted_then_separators_breaks_and_quotes_are_text(void **state)
{
  (void)state;
  assert_int_equal(split("\"a,b\",\"say \"\"yes\"\"\",\"two\r\nlines\",\"\"\n"), 4);
  assert_string_equal(fields[0].at, "a,b");
  assert_string_equal(fields[1].at, "say \"yes\"");
  assert_string_equal(fields[2].at, "two\r\nlines");
  assert_string_equal(fields[3].at, "");
}

static void test_split_when_a_quote_is_inside_a_bare_field_then_it_is_text(void **state)
{
  (void)state;
  assert_int_equal(split("5\" nail,b"), 2);
  assert_string_equal(fields[0].at, "5\" nail");
}

static void test_split_when_malformed_then_it_says_so(void **state)
{
  (void)state;
  assert_string_equal(refused("\"a\"b,c", 6), "text behind a closing quote");
  assert_string_equal(refused("\"abc", 4), "a quoted field is not closed");
  assert_string_equal(refused("\"a\"\"", 4), "a quoted field is not closed");
  assert_string_equal(refused("a\0b", 3), "a NUL byte");
}

static void test_split_when_more_fields_than_the_limit_then_refused(void **state)
{
  char text[IMPORT_FIELDS_MAX + 1];
  (void)state;
  memset(text, ',', sizeof text);
  assert_string_equal(refused(text, IMPORT_FIELDS_MAX), "too many fields");
  text[IMPORT_FIELDS_MAX - 1] = '\0'; /* one separator less than fields */
  assert_int_equal(split(text), IMPORT_FIELDS_MAX);
}

static void expect_record(const char *text, enum csv_end end, size_t size)
{
  size_t got = 0;
  assert_int_equal(csv_record(text, strlen(text), ',', &got), end);
  assert_int_equal(got, size);
}

static void test_record_when_there_is_a_line_break_then_up_to_it(void **state)
{
  (void)state;
  expect_record("a,b\nc", CSV_COMPLETE, 4);
  expect_record("a,b\r\nc", CSV_COMPLETE, 5);
  expect_record("\n", CSV_COMPLETE, 1);
}

static void test_record_when_a_break_is_quoted_then_it_goes_on(void **state)
{
  (void)state;
  expect_record("a,\"b\nc\"\nd", CSV_COMPLETE, 8);
  expect_record("\"a\"\"\nb\"\nd", CSV_COMPLETE, 8);
  expect_record("a\"b\nc", CSV_COMPLETE, 4); /* no quote at a field's start */
}

static void test_record_when_not_whole_then_it_says_what_is_open(void **state)
{
  (void)state;
  expect_record("", CSV_OPEN, 0);
  expect_record("a,b", CSV_OPEN, 3);
  expect_record("a,\"b\nc", CSV_QUOTED, 6);
  expect_record("a,\"b\"\"", CSV_QUOTED, 6);
  expect_record("a,\"b\"", CSV_OPEN, 5);
}

/* What a writer quotes comes back, for every text of up to five of the hard characters. */
static void test_split_when_written_by_the_rules_then_read_back(void **state)
{
  static const char letters[] = "a\",\n\r";
  (void)state;
  for (unsigned code = 0; code < 5u * 5u * 5u * 5u * 5u; code++) {
    char text[6], record[32];
    size_t size = 0, to = 0, got = 0;
    for (unsigned rest = code; size < 5u; rest /= 5u)
      text[size++] = letters[rest % 5u];
    text[size] = '\0';
    record[to++] = '"';
    for (size_t i = 0; i < size; i++) {
      if (text[i] == '"')
        record[to++] = '"';
      record[to++] = text[i];
    }
    to += (size_t)snprintf(record + to, sizeof record - to, "\",z\n");
    assert_int_equal(csv_record(record, to, ',', &got), CSV_COMPLETE);
    assert_int_equal(got, to);
    record[to] = '\0';
    assert_int_equal(split(record), 2);
    assert_int_equal(fields[0].size, size);
    assert_memory_equal(fields[0].at, text, size);
    assert_string_equal(fields[1].at, "z");
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_split_when_plain_then_fields_in_order),
    cmocka_unit_test(test_split_when_empty_or_a_trailing_separator_then_an_empty_field),
    cmocka_unit_test(test_split_when_quoted_then_separators_breaks_and_quotes_are_text),
    cmocka_unit_test(test_split_when_a_quote_is_inside_a_bare_field_then_it_is_text),
    cmocka_unit_test(test_split_when_malformed_then_it_says_so),
    cmocka_unit_test(test_split_when_more_fields_than_the_limit_then_refused),
    cmocka_unit_test(test_record_when_there_is_a_line_break_then_up_to_it),
    cmocka_unit_test(test_record_when_a_break_is_quoted_then_it_goes_on),
    cmocka_unit_test(test_record_when_not_whole_then_it_says_what_is_open),
    cmocka_unit_test(test_split_when_written_by_the_rules_then_read_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
