/* test_amount.c - decimal text and base units: every limit, and the round trip. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "holdfast/amount.h"

#define NINES_38 "99999999999999999999999999999999999999"
#define ZEROS_37 "0000000000000000000000000000000000000"

static enum hf_error parse(const char *text, bool sign, struct hf_decimal *decimal)
{
  return hf_decimal_parse(text, strlen(text), sign, decimal);
}

static void test_parse_when_well_formed_gives_the_normal_form(void **state)
{
  (void)state;
  static const struct {
    const char *text;
    int64_t digits;
    unsigned scale;
  } cases[] = {
    {"0", 0, 0},
    {"0.0", 0, 0},
    {"0.000", 0, 0},
    {"1", 1, 0},
    {"10", 10, 0},
    {"100.00", 100, 0},
    {"12.50000000", 125, 1},
    {"0.5", 5, 1},
    {"0.05", 5, 2},
    {"-1", -1, 0},
    {"-0.5", -5, 1},
    {"-12.340", -1234, 2},
    {"9.000000000000000001", 9000000000000000001, 18},
    {"0.0000000000000000001", 1, 19},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct hf_decimal decimal;
    assert_int_equal(parse(cases[i].text, true, &decimal), HF_OK);
    assert_true(decimal.digits == cases[i].digits);
    assert_int_equal(decimal.scale, cases[i].scale);
  }
}

static void test_parse_when_malformed_refuses_and_leaves_the_output(void **state)
{
  (void)state;
  static const char *const cases[] = {
    "",     "-",   "+1",   ".",     ".5",   "5.",  "-.5",  "-5.",  "00",  "00.5",  "007",
    "01",   "-01", "-0",   "-0.0",  "1e3",  "1E3", " 1",   "1 ",   "1,5", "1.5.2", "1..2",
    "--1",  "-+1", "0x10", "1_000", "NaN",  "inf", "1.-5", "1.5-", "\t1", "1\n",   "\xd9\xa1",
    "1.5e", "1/2", "one",  "-00.1", "0.1a", "1.",  "-",    "00.0",
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct hf_decimal decimal = {.digits = 42, .scale = 7};
    if (parse(cases[i], true, &decimal) != HF_E_INVALID_AMOUNT)
      fail_msg("accepted: %s", cases[i]);
    assert_true(decimal.digits == 42 && decimal.scale == 7);
  }
  struct hf_decimal decimal;
  assert_int_equal(hf_decimal_parse("1\0", 2, true, &decimal), HF_E_INVALID_AMOUNT);
  assert_int_equal(hf_decimal_parse(NULL, 0, true, &decimal), HF_E_INVALID_AMOUNT);
}

static void test_parse_when_no_sign_is_allowed_refuses_minus(void **state)
{
  (void)state;
  struct hf_decimal decimal;
  assert_int_equal(parse("-1", false, &decimal), HF_E_INVALID_AMOUNT);
  assert_int_equal(parse("1", false, &decimal), HF_OK);
}

static void test_parse_when_the_view_ends_early_reads_no_further(void **state)
{
  (void)state;
  struct hf_decimal decimal;
  assert_int_equal(hf_decimal_parse("12.345", 4, false, &decimal), HF_OK);
  assert_true(decimal.digits == 123 && decimal.scale == 1);
  assert_int_equal(hf_decimal_parse("12.345", 3, false, &decimal), HF_E_INVALID_AMOUNT);
}

static void test_parse_at_the_digit_limits(void **state)
{
  (void)state;
  struct hf_decimal decimal;
  assert_int_equal(parse(NINES_38, true, &decimal), HF_OK);
  assert_int_equal(parse("-" NINES_38, true, &decimal), HF_OK);
  assert_int_equal(parse("1" ZEROS_37, true, &decimal), HF_OK);
  /* 10^38: 39 digits. */
  assert_int_equal(parse("1" ZEROS_37 "0", true, &decimal), HF_E_INVALID_AMOUNT);
  assert_int_equal(parse(NINES_38 "9", true, &decimal), HF_E_INVALID_AMOUNT);
  assert_int_equal(parse(NINES_38 ".1", true, &decimal), HF_E_INVALID_AMOUNT);
  assert_int_equal(parse(NINES_38 ".0", true, &decimal), HF_OK);
  assert_int_equal(decimal.scale, 0);
  /* The longest text that there is, and one more. */
  assert_int_equal(parse("-" NINES_38 ".0" ZEROS_37, true, &decimal), HF_OK);
  assert_int_equal(parse("-" NINES_38 ".00" ZEROS_37, true, &decimal), HF_E_INVALID_AMOUNT);
  /* 38 behind the point, and 39. */
  assert_int_equal(parse("0." ZEROS_37 "1", true, &decimal), HF_OK);
  assert_true(decimal.digits == 1 && decimal.scale == 38);
  assert_int_equal(parse("0." NINES_38, true, &decimal), HF_OK);
  assert_int_equal(parse("0." ZEROS_37 "01", true, &decimal), HF_E_INVALID_AMOUNT);
  assert_int_equal(parse("0." ZEROS_37 "10", true, &decimal), HF_E_INVALID_AMOUNT);
  assert_int_equal(parse("1." ZEROS_37 "1", true, &decimal), HF_E_INVALID_AMOUNT);
  assert_int_equal(parse("1." ZEROS_37, true, &decimal), HF_OK);
}

static void test_to_amount_when_the_scale_covers_it_multiplies(void **state)
{
  (void)state;
  hf_amount amount = 0;
  for (unsigned scale = 1; scale <= HF_SCALE_MAX; scale++) {
    hf_amount unit = 1;
    for (unsigned i = 0; i < scale; i++)
      unit *= 10;
    assert_int_equal(hf_decimal_to_amount((struct hf_decimal){-25, 1}, scale, &amount), HF_OK);
    assert_true(amount == -25 * (unit / 10));
  }
}

static void test_to_amount_when_digits_lie_behind_the_scale_refuses(void **state)
{
  (void)state;
  hf_amount amount = 42;
  for (unsigned scale = 0; scale <= HF_SCALE_MAX; scale++) {
    struct hf_decimal decimal = {1, (uint8_t)(scale + 1)};
    assert_int_equal(hf_decimal_to_amount(decimal, scale, &amount), HF_E_INVALID_AMOUNT);
  }
  assert_true(amount == 42);
  /* Not in normal form, but the value fits. */
  assert_int_equal(hf_decimal_to_amount((struct hf_decimal){1200, 3}, 1, &amount), HF_OK);
  assert_true(amount == 12);
}

static void test_to_amount_when_beyond_128_bits_overflows(void **state)
{
  (void)state;
  hf_amount amount = 42;
  struct hf_decimal decimal;
  assert_int_equal(parse("1" ZEROS_37, true, &decimal), HF_OK); /* 10^37 */
  assert_int_equal(hf_decimal_to_amount(decimal, 1, &amount), HF_OK);
  assert_int_equal(hf_decimal_to_amount(decimal, 2, &amount), HF_E_AMOUNT_OVERFLOW);
  struct hf_decimal most = {HF_AMOUNT_MAX / 10, 0};
  assert_int_equal(hf_decimal_to_amount(most, 1, &amount), HF_OK);
  most.digits++;
  assert_int_equal(hf_decimal_to_amount(most, 1, &amount), HF_E_AMOUNT_OVERFLOW);
  struct hf_decimal least = {HF_AMOUNT_MIN / 10 - 1, 0};
  assert_int_equal(hf_decimal_to_amount(least, 1, &amount), HF_E_AMOUNT_OVERFLOW);
  assert_int_equal(hf_decimal_to_amount((struct hf_decimal){HF_AMOUNT_MIN, 0}, 0, &amount), HF_OK);
  assert_true(amount == HF_AMOUNT_MIN);
}

static void test_truncate_when_digits_are_cut_rounds_toward_zero(void **state)
{
  (void)state;
  struct hf_decimal decimal = {12999, 3};
  assert_true(hf_decimal_truncate(&decimal, 2));
  assert_true(decimal.digits == 1299 && decimal.scale == 2);
  decimal = (struct hf_decimal){-12999, 3};
  assert_true(hf_decimal_truncate(&decimal, 0));
  assert_true(decimal.digits == -12 && decimal.scale == 0);
  decimal = (struct hf_decimal){12009, 3};
  assert_true(hf_decimal_truncate(&decimal, 2));
  assert_true(decimal.digits == 12 && decimal.scale == 0);
  decimal = (struct hf_decimal){9, 38};
  assert_true(hf_decimal_truncate(&decimal, 18));
  assert_true(decimal.digits == 0 && decimal.scale == 0);
  decimal = (struct hf_decimal){125, 1};
  assert_false(hf_decimal_truncate(&decimal, 1));
  assert_true(decimal.digits == 125 && decimal.scale == 1);
  decimal = (struct hf_decimal){1200, 3};
  assert_false(hf_decimal_truncate(&decimal, 1));
  assert_true(decimal.digits == 12 && decimal.scale == 1);
}

static void test_format_when_any_scale_shows_all_its_digits(void **state)
{
  (void)state;
  static const struct {
    int64_t amount;
    unsigned scale;
    const char *text;
  } cases[] = {
    {0, 0, "0"},
    {0, 8, "0.00000000"},
    {1250000000, 8, "12.50000000"},
    {1, 8, "0.00000001"},
    {-1, 8, "-0.00000001"},
    {-5, 0, "-5"},
    {10, 1, "1.0"},
    {99, 2, "0.99"},
    {100, 2, "1.00"},
    {1, 18, "0.000000000000000001"},
    {INT64_MAX, 18, "9.223372036854775807"},
    {INT64_MIN, 18, "-9.223372036854775808"},
  };
  char text[HF_AMOUNT_TEXT_MAX];
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    assert_int_equal(hf_amount_format(cases[i].amount, cases[i].scale, text),
                     strlen(cases[i].text));
    assert_string_equal(text, cases[i].text);
  }
}

static void test_format_at_the_ends_of_the_range(void **state)
{
  (void)state;
  char text[HF_AMOUNT_TEXT_MAX];
  (void)hf_amount_format(HF_AMOUNT_MAX, 0, text);
  assert_string_equal(text, "170141183460469231731687303715884105727");
  (void)hf_amount_format(HF_AMOUNT_MIN, 0, text);
  assert_string_equal(text, "-170141183460469231731687303715884105728");
  (void)hf_amount_format(HF_AMOUNT_MAX, 18, text);
  assert_string_equal(text, "170141183460469231731.687303715884105727");
  (void)hf_amount_format(HF_AMOUNT_MIN, 18, text);
  assert_string_equal(text, "-170141183460469231731.687303715884105728");
  /* Zeros across the borders of 19 digits. */
  (void)hf_amount_format((hf_amount)10000000000000000000ull, 0, text);
  assert_string_equal(text, "10000000000000000000");
  (void)hf_amount_format((hf_amount)10000000000000000000ull * 10000000000000000000ull, 2, text);
  assert_string_equal(text, "1000000000000000000000000000000000000.00");
}

static void test_add_and_sub_at_the_ends_of_the_range(void **state)
{
  (void)state;
  hf_amount out = 42;
  assert_false(hf_amount_add(HF_AMOUNT_MAX, 1, &out));
  assert_false(hf_amount_add(HF_AMOUNT_MIN, -1, &out));
  assert_false(hf_amount_sub(HF_AMOUNT_MIN, 1, &out));
  assert_false(hf_amount_sub(0, HF_AMOUNT_MIN, &out));
  assert_true(out == 42);
  assert_true(hf_amount_add(HF_AMOUNT_MAX, -1, &out));
  assert_true(out == HF_AMOUNT_MAX - 1);
  assert_true(hf_amount_sub(-1, HF_AMOUNT_MIN, &out));
  assert_true(out == HF_AMOUNT_MAX);
}

/* What is formatted reads back as the same amount, for amounts of every width. */
static void test_format_then_parse_gives_the_same_amount(void **state)
{
  (void)state;
  hf_uamount bits = 0x9e3779b97f4a7c15u;
  hf_amount most_38_digits =
    (hf_amount)9999999999999999999u * 10000000000000000000u + 9999999999999999999u;
  unsigned refused = 0;
  for (unsigned i = 0; i < 20000; i++) {
    bits = bits * 6364136223846793005u + 1442695040888963407u;
    hf_amount amount = (hf_amount)((bits ^ bits << 64) >> (i % 127 + 1));
    amount = (i & 1u) != 0 ? -amount : amount;
    unsigned scale = i % (HF_SCALE_MAX + 1);
    char text[HF_AMOUNT_TEXT_MAX];
    size_t size = hf_amount_format(amount, scale, text);
    assert_int_equal(size, strlen(text));
    struct hf_decimal decimal;
    hf_amount back = 0;
    enum hf_error error = hf_decimal_parse(text, size, true, &decimal);
    /* 39 significant digits are more than the text of a request may have. */
    if (amount > most_38_digits || amount < -most_38_digits) {
      assert_true(error == HF_E_INVALID_AMOUNT || decimal.scale < scale);
      refused++;
      continue;
    }
    assert_int_equal(error, HF_OK);
    assert_int_equal(hf_decimal_to_amount(decimal, scale, &back), HF_OK);
    assert_true(back == amount);
  }
  assert_true(refused > 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_parse_when_well_formed_gives_the_normal_form),
    cmocka_unit_test(test_parse_when_malformed_refuses_and_leaves_the_output),
    cmocka_unit_test(test_parse_when_no_sign_is_allowed_refuses_minus),
    cmocka_unit_test(test_parse_when_the_view_ends_early_reads_no_further),
    cmocka_unit_test(test_parse_at_the_digit_limits),
    cmocka_unit_test(test_to_amount_when_the_scale_covers_it_multiplies),
    cmocka_unit_test(test_to_amount_when_digits_lie_behind_the_scale_refuses),
    cmocka_unit_test(test_to_amount_when_beyond_128_bits_overflows),
    cmocka_unit_test(test_truncate_when_digits_are_cut_rounds_toward_zero),
    cmocka_unit_test(test_format_when_any_scale_shows_all_its_digits),
    cmocka_unit_test(test_format_at_the_ends_of_the_range),
    cmocka_unit_test(test_add_and_sub_at_the_ends_of_the_range),
    cmocka_unit_test(test_format_then_parse_gives_the_same_amount),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
