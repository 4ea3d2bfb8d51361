/* fuzz_time.c - libFuzzer target: RFC 3339 times, against the C library's calendar.
 *
 * Input: 8 bytes of a moment, then a text. Properties: a text is taken exactly when it has the
 * form that time_text.h tells and names a moment of the years 1 to 9999; the moment is the C
 * library's; every moment's text is the C library's and reads back. */
#include <stdio.h>
#include <time.h>

#include "holdfast/time_text.h"
#include "tests/fuzz/input.h"

#define EARLIEST_S (-62135596800ll) /* 0001-01-01T00:00:00Z */
#define LATEST_S 253402300799ll     /* 9999-12-31T23:59:59Z */

static int number_at(const char *text, size_t at, size_t digits)
{
  int number = 0;
  for (size_t i = at; i < at + digits; i++)
    number = number * 10 + (text[i] - '0');
  return number;
}

/* Does the text begin with this form? '9' stands for a digit. */
static bool has_form(const char *text, size_t size, const char *form)
{
  if (size < strlen(form))
    return false;
  for (size_t i = 0; form[i] != '\0'; i++) {
    bool digit = text[i] >= '0' && text[i] <= '9';
    char c = text[i] == 't' || text[i] == 'z' ? (char)(text[i] - 32) : text[i];
    if (form[i] == '9' ? !digit : c != form[i])
      return false;
  }
  return true;
}

static bool oracle_offset(const char *text, size_t size, int64_t *ret_offset_s)
{
  *ret_offset_s = 0;
  if (size == 1)
    return has_form(text, size, "Z");
  if (size != 6 || !(has_form(text, size, "+99:99") || has_form(text, size, "-99:99")))
    return false;
  int hours = number_at(text, 1, 2), minutes = number_at(text, 4, 2);
  *ret_offset_s = (text[0] == '-' ? -60 : 60) * (hours * 60 + minutes);
  return hours <= 23 && minutes <= 59;
}

static bool oracle_parse(const char *text, size_t size, int64_t *ret_us)
{
  int64_t offset_s, fraction_us = 0;
  size_t at = 19;
  if (!has_form(text, size, "9999-99-99T99:99:99"))
    return false;
  struct tm tm = {.tm_year = number_at(text, 0, 4) - 1900,
                  .tm_mon = number_at(text, 5, 2) - 1,
                  .tm_mday = number_at(text, 8, 2),
                  .tm_hour = number_at(text, 11, 2),
                  .tm_min = number_at(text, 14, 2),
                  .tm_sec = number_at(text, 17, 2)};
  struct tm given = tm;
  int64_t unix_s = timegm(&tm);
  /* A day that is not there becomes another one. */
  if (tm.tm_year != given.tm_year || tm.tm_mon != given.tm_mon || tm.tm_mday != given.tm_mday ||
      tm.tm_hour != given.tm_hour || tm.tm_min != given.tm_min || tm.tm_sec != given.tm_sec ||
      given.tm_year == -1900)
    return false;
  if (at < size && text[at] == '.') {
    size_t digits = 0;
    char shown[7] = "000000";
    for (at++; at < size && text[at] >= '0' && text[at] <= '9'; at++, digits++)
      if (digits < 6)
        shown[digits] = text[at];
    if (digits < 1 || digits > 9)
      return false;
    fraction_us = number_at(shown, 0, 6);
  }
  if (!oracle_offset(text + at, size - at, &offset_s))
    return false;
  unix_s -= offset_s;
  *ret_us = unix_s * 1000000 + fraction_us;
  return unix_s >= EARLIEST_S && unix_s <= LATEST_S;
}

static void check_text(const char *text, size_t size)
{
  int64_t expected = 0, read = 77;
  bool taken = oracle_parse(text, size, &expected);
  CHECK(hf_time_parse(text, size, &read) == (taken ? HF_OK : HF_E_INVALID_TIME));
  CHECK(read == (taken ? expected : 77));
}

static void check_moment(int64_t unix_us)
{
  char text[HF_TIME_TEXT_MAX], date[24], expected[40];
  int64_t read, us = unix_us % 1000000;
  us += us < 0 ? 1000000 : 0;
  time_t unix_s = (unix_us - us) / 1000000;
  struct tm tm;
  CHECK(gmtime_r(&unix_s, &tm) != NULL);
  CHECK(strftime(date, sizeof date, "-%m-%dT%H:%M:%S", &tm) > 0);
  snprintf(expected, sizeof expected, "%04d%s.%06dZ", tm.tm_year + 1900, date, (int)us);
  size_t size = hf_time_format(unix_us, text);
  CHECK(size == strlen(text) && strcmp(text, expected) == 0);
  CHECK(hf_time_parse(text, size, &read) == HF_OK && read == unix_us);

  int64_t midnight;
  CHECK(hf_time_from_date(tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, &midnight));
  CHECK(midnight <= unix_us && unix_us - midnight < 86400000000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct input input = {data, size};
  uint64_t moments = (uint64_t)(LATEST_S - EARLIEST_S + 1) * 1000000u;
  check_moment(EARLIEST_S * 1000000 + (int64_t)(input_u64(&input) % moments));
  char *text = input_bytes(&input, input.size, &size);
  check_text(text, size);
  free(text);
  return 0;
}
