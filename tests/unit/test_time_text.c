/* test_time_text.c - RFC 3339, both ways. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "holdfast/time_text.h"

#define S 1000000ll

static enum hf_error parse(const char *text, int64_t *us)
{
  return hf_time_parse(text, strlen(text), us);
}

static void test_format_when_any_time_has_six_digits(void **state)
{
  (void)state;
  static const struct {
    int64_t us;
    const char *text;
  } cases[] = {
    {0, "1970-01-01T00:00:00.000000Z"},
    {-1, "1969-12-31T23:59:59.999999Z"},
    {1795237604123456, "2026-11-21T05:06:44.123456Z"},
    {951782400 * S, "2000-02-29T00:00:00.000000Z"},
    {951868799 * S + 999999, "2000-02-29T23:59:59.999999Z"},
    {4107542400 * S, "2100-03-01T00:00:00.000000Z"},
    {-62135596800 * S, "0001-01-01T00:00:00.000000Z"},
    {253402300799 * S + 999999, "9999-12-31T23:59:59.999999Z"},
    {-2208988800 * S, "1900-01-01T00:00:00.000000Z"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char text[HF_TIME_TEXT_MAX];
    assert_int_equal(hf_time_format(cases[i].us, text), strlen(cases[i].text));
    assert_string_equal(text, cases[i].text);
    int64_t back = 0;
    assert_int_equal(parse(text, &back), HF_OK);
    assert_int_equal(back, cases[i].us);
  }
}

static void test_parse_when_well_formed_reads_the_time(void **state)
{
  (void)state;
  static const struct {
    const char *text;
    int64_t us;
  } cases[] = {
    {"1970-01-01T00:00:00Z", 0},
    {"1970-01-01t00:00:00z", 0},
    {"1970-01-01T00:00:01.5Z", 1500000},
    {"1970-01-01T00:00:00.000001Z", 1},
    {"1970-01-01T00:00:00.0000019Z", 1},
    {"1970-01-01T00:00:00.999999999Z", 999999},
    {"1969-12-31T23:59:59.9999999Z", -1},
    {"1970-01-01T01:00:00+01:00", 0},
    {"1969-12-31T23:00:00-01:00", 0},
    {"1970-01-01T00:00:00+00:00", 0},
    {"1970-01-01T00:00:00-00:00", 0},
    {"1970-01-01T23:59:00+23:59", 0},
    {"1970-01-02T00:00:00.25+00:00", 86400250000},
    {"2024-02-29T12:00:00Z", 1709208000 * S},
    {"1985-04-12T23:20:50.52Z", 482196050520000}, /* RFC 3339, section 5.8 */
    {"1996-12-19T16:39:57-08:00", 851042397 * S},
    {"1937-01-01T12:00:27.87+00:20", -1041337172130000},
    {"0001-01-01T00:00:00Z", -62135596800 * S},
    {"0001-01-01T01:00:00+01:00", -62135596800 * S},
    {"9999-12-31T23:59:59.999999Z", 253402300799 * S + 999999},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int64_t us = 42;
    if (parse(cases[i].text, &us) != HF_OK)
      fail_msg("refused: %s", cases[i].text);
    assert_int_equal(us, cases[i].us);
  }
}

static void test_parse_when_malformed_refuses_and_leaves_the_output(void **state)
{
  (void)state;
  static const char *const cases[] = {
    "",
    "1970-01-01",
    "1970-01-01T00:00:00",
    "1970-01-01 00:00:00Z",
    "1970-01-01T00:00Z",
    "1970-01-01T00:00:00.Z",
    "1970-01-01T00:00:00,5Z",
    "1970-01-01T00:00:00.1234567890Z",
    "1970-01-01T24:00:00Z",
    "1970-01-01T00:60:00Z",
    "1970-01-01T00:00:60Z",
    "1990-12-31T23:59:60Z",
    "1970-00-01T00:00:00Z",
    "1970-13-01T00:00:00Z",
    "1970-01-00T00:00:00Z",
    "1970-01-32T00:00:00Z",
    "1970-04-31T00:00:00Z",
    "1970-02-29T00:00:00Z",
    "1900-02-29T00:00:00Z",
    "2024-02-30T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "0001-01-01T00:59:00+01:00",
    "9999-12-31T23:59:59-00:01",
    "10000-01-01T00:00:00Z",
    "-001-01-01T00:00:00Z",
    "+970-01-01T00:00:00Z",
    "1970-1-01T00:00:00Z",
    "1970-01-01T0:00:00Z",
    "1970-01-01T00:00:00+1:00",
    "1970-01-01T00:00:00+01",
    "1970-01-01T00:00:00+0100",
    "1970-01-01T00:00:00+24:00",
    "1970-01-01T00:00:00+00:60",
    "1970-01-01T00:00:00Z ",
    " 1970-01-01T00:00:00Z",
    "1970-01-01T00:00:00ZZ",
    "1970-01-01T00:00:00+00:00Z",
    "1970-01-01T00:00: 0Z",
    "1970/01/01T00:00:00Z",
    "1970-01-01T00.00.00Z",
    "0",
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int64_t us = 42;
    if (parse(cases[i], &us) != HF_E_INVALID_TIME)
      fail_msg("accepted: %s", cases[i]);
    assert_int_equal(us, 42);
  }
}

static void test_parse_when_cut_anywhere_refuses(void **state)
{
  (void)state;
  const char *text = "2026-11-21T05:06:44.123456+01:30";
  int64_t us;
  for (size_t size = 0; size < strlen(text); size++)
    assert_int_equal(hf_time_parse(text, size, &us), HF_E_INVALID_TIME);
  assert_int_equal(hf_time_parse(text, strlen(text), &us), HF_OK);
}

/* Every day of 9999 years, one after the other. */
static void test_from_date_when_walked_has_no_gap(void **state)
{
  (void)state;
  int64_t expected = -62135596800 * S;
  for (int year = 1; year <= 9999; year++) {
    for (int month = 1; month <= 12; month++) {
      int64_t us = 0;
      int day = 1;
      for (; hf_time_from_date(year, month, day, &us); day++) {
        if (us != expected)
          fail_msg("%d-%d-%d", year, month, day);
        expected += 86400 * S;
      }
      assert_in_range(day, 29, 32);
    }
  }
  assert_int_equal(expected, 253402300800 * S);
}

static void test_from_date_when_there_is_no_such_day_is_false(void **state)
{
  (void)state;
  static const int cases[][3] = {
    {0, 1, 1},     {10000, 1, 1}, {-1, 1, 1},    {2023, 0, 1},  {2023, 13, 1},
    {2023, 1, 0},  {2023, 2, 29}, {2100, 2, 29}, {2024, 2, 30}, {2023, 6, 31},
    {2023, -1, 1}, {2023, 1, -1}, {2023, 1, 32},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int64_t us = 42;
    assert_false(hf_time_from_date(cases[i][0], cases[i][1], cases[i][2], &us));
    assert_int_equal(us, 42);
  }
}

static void test_format_when_parsed_again_is_the_same(void **state)
{
  (void)state;
  uint64_t random = 88172645463325252u;
  for (unsigned i = 0; i < 20000; i++) {
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    int64_t us = (int64_t)(random % (uint64_t)(315537897600 * S)) - 62135596800 * S;
    char text[HF_TIME_TEXT_MAX];
    int64_t back = 0;
    size_t size = hf_time_format(us, text);
    assert_int_equal(hf_time_parse(text, size, &back), HF_OK);
    assert_int_equal(back, us);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_format_when_any_time_has_six_digits),
    cmocka_unit_test(test_parse_when_well_formed_reads_the_time),
    cmocka_unit_test(test_parse_when_malformed_refuses_and_leaves_the_output),
    cmocka_unit_test(test_parse_when_cut_anywhere_refuses),
    cmocka_unit_test(test_from_date_when_walked_has_no_gap),
    cmocka_unit_test(test_from_date_when_there_is_no_such_day_is_false),
    cmocka_unit_test(test_format_when_parsed_again_is_the_same),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
