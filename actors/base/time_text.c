/* time_text.c - RFC 3339 without the C library's calendar, which knows the process's zone. */
#include "holdfast/time_text.h"

#define SECOND_US 1000000
#define DAY_S 86400
#define YEAR_MIN 1
#define YEAR_MAX 9999
#define FRACTION_DIGITS_MAX 9u
#define TIME_MIN_US (-62135596800ll * SECOND_US)     /* 0001-01-01T00:00:00Z */
#define TIME_MAX_US (253402300800ll * SECOND_US - 1) /* 9999-12-31T23:59:59.999999Z */

static bool is_leap(int year)
{
  return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int month_days(int year, int month)
{
  static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return days[month - 1] + (month == 2 && is_leap(year) ? 1 : 0);
}

/* Days from 1970-01-01. The year is counted from March, so that the leap day is its last. */
static int64_t days_of(int year, int month, int day)
{
  int64_t y = year - (month <= 2 ? 1 : 0);
  int64_t m = month + (month <= 2 ? 9 : -3);
  int64_t era = y / 400;
  int64_t year_of_era = y % 400;
  int64_t day_of_year = (153 * m + 2) / 5 + day - 1;
  int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146097 + day_of_era - 719468;
}

static void date_of(int64_t days, int *ret_year, int *ret_month, int *ret_day)
{
  int64_t shifted = days + 719468; /* >= 0 from the year 0 on */
  int64_t era = shifted / 146097;
  int64_t day_of_era = shifted % 146097;
  int64_t year_of_era =
    (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  int64_t m = (5 * day_of_year + 2) / 153;
  *ret_day = (int)(day_of_year - (153 * m + 2) / 5 + 1);
  *ret_month = (int)(m < 10 ? m + 3 : m - 9);
  *ret_year = (int)(era * 400 + year_of_era + (m >= 10 ? 1 : 0));
}

bool hf_time_from_date(int year, int month, int day, int64_t *ret_unix_us)
{
  CHECK(ret_unix_us != NULL);
  if (year < YEAR_MIN || year > YEAR_MAX || month < 1 || month > 12)
    return false;
  if (day < 1 || day > month_days(year, month))
    return false;
  *ret_unix_us = days_of(year, month, day) * DAY_S * SECOND_US;
  return true;
}

static char *put_digits(char *at, unsigned value, unsigned count)
{
  for (unsigned i = count; i-- > 0; value /= 10u)
    at[i] = (char)('0' + (int)(value % 10u));
  return at + count;
}

size_t hf_time_format(int64_t unix_us, char out[HF_TIME_TEXT_MAX])
{
  CHECK(unix_us >= TIME_MIN_US);
  CHECK(unix_us <= TIME_MAX_US);
  int64_t day_us = (int64_t)DAY_S * SECOND_US;
  int64_t days = unix_us / day_us - (unix_us % day_us < 0 ? 1 : 0);
  int64_t in_day = unix_us - days * day_us;
  unsigned second = (unsigned)(in_day / SECOND_US);
  int year, month, day;
  date_of(days, &year, &month, &day);

  char *at = put_digits(out, (unsigned)year, 4);
  *at++ = '-';
  at = put_digits(at, (unsigned)month, 2);
  *at++ = '-';
  at = put_digits(at, (unsigned)day, 2);
  *at++ = 'T';
  at = put_digits(at, second / 3600u, 2);
  *at++ = ':';
  at = put_digits(at, second / 60u % 60u, 2);
  *at++ = ':';
  at = put_digits(at, second % 60u, 2);
  *at++ = '.';
  at = put_digits(at, (unsigned)(in_day % SECOND_US), 6);
  *at++ = 'Z';
  *at = '\0';
  return (size_t)(at - out);
}

/* A view that shrinks from the front; `failed` once something did not fit. */
struct scan {
  const char *at;
  size_t left;
  bool failed;
};

static char scan_char(struct scan *scan)
{
  if (scan->left == 0) {
    scan->failed = true;
    return '\0';
  }
  scan->left--;
  return *scan->at++;
}

static void scan_expect(struct scan *scan, char upper, char lower)
{
  char c = scan_char(scan);
  if (c != upper && c != lower)
    scan->failed = true;
}

static int scan_number(struct scan *scan, unsigned digits, int max)
{
  int value = 0;
  for (unsigned i = 0; i < digits; i++) {
    char c = scan_char(scan);
    if (c < '0' || c > '9') {
      scan->failed = true;
      return 0;
    }
    value = value * 10 + (c - '0');
  }
  if (value > max)
    scan->failed = true;
  return value;
}

/* ".5" and the like; none is 0. Digits behind the microseconds are read and dropped. */
static int64_t scan_fraction_us(struct scan *scan)
{
  if (scan->left == 0 || *scan->at != '.')
    return 0;
  (void)scan_char(scan);
  int64_t us = 0;
  unsigned digits = 0;
  for (; scan->left > 0 && *scan->at >= '0' && *scan->at <= '9'; digits++) {
    int digit = scan_char(scan) - '0';
    if (digits < 6)
      us = us * 10 + digit;
  }
  if (digits == 0 || digits > FRACTION_DIGITS_MAX)
    scan->failed = true;
  for (; digits < 6; digits++)
    us *= 10;
  return us;
}

/* What has to be taken off the local time, in seconds. */
static int64_t scan_offset_s(struct scan *scan)
{
  char c = scan_char(scan);
  if (c == 'Z' || c == 'z')
    return 0;
  if (c != '+' && c != '-')
    scan->failed = true;
  int64_t hours = scan_number(scan, 2, 23);
  scan_expect(scan, ':', ':');
  int64_t minutes = scan_number(scan, 2, 59);
  int64_t seconds = (hours * 60 + minutes) * 60;
  return c == '-' ? -seconds : seconds;
}

enum hf_error hf_time_parse(const char *text, size_t size, int64_t *ret_unix_us)
{
  CHECK(text != NULL || size == 0);
  CHECK(ret_unix_us != NULL);
  struct scan scan = {.at = text, .left = size};
  int year = scan_number(&scan, 4, YEAR_MAX);
  scan_expect(&scan, '-', '-');
  int month = scan_number(&scan, 2, 12);
  scan_expect(&scan, '-', '-');
  int day = scan_number(&scan, 2, 31);
  scan_expect(&scan, 'T', 't');
  int64_t second = scan_number(&scan, 2, 23) * 3600;
  scan_expect(&scan, ':', ':');
  second += scan_number(&scan, 2, 59) * 60;
  scan_expect(&scan, ':', ':');
  second += scan_number(&scan, 2, 59);
  int64_t fraction_us = scan_fraction_us(&scan);
  second -= scan_offset_s(&scan);

  int64_t midnight_us;
  if (scan.failed || scan.left > 0 || !hf_time_from_date(year, month, day, &midnight_us))
    return HF_E_INVALID_TIME;
  int64_t unix_us = midnight_us + second * SECOND_US + fraction_us;
  if (unix_us < TIME_MIN_US || unix_us > TIME_MAX_US)
    return HF_E_INVALID_TIME;
  *ret_unix_us = unix_us;
  return HF_OK;
}
