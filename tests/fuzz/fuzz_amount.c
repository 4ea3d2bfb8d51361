/* fuzz_amount.c - libFuzzer target: decimals and amounts, against arithmetic on strings of digits.
 *
 * Input: scale, flags, 16 bytes of an amount, then the text of a decimal. Properties: a text is
 * taken exactly when the grammar of amount.h says so; its digits, its base units at any scale,
 * what truncating leaves and every amount's text are those of the oracle; what is printed reads
 * back. */
#include <stdio.h>

#include "holdfast/amount.h"
#include "tests/fuzz/input.h"

#define DIGITS_MAX 128u
#define LARGEST "170141183460469231731687303715884105727"
#define SMALLEST "170141183460469231731687303715884105728" /* of the negative ones */

struct number { /* sign and digits, without leading zeros; zero is "0" */
  bool negative;
  char digits[DIGITS_MAX];
};

static void strip(struct number *number)
{
  size_t zeros = strspn(number->digits, "0");
  memmove(number->digits, number->digits + zeros, strlen(number->digits + zeros) + 1u);
  if (number->digits[0] == '\0')
    *number = (struct number){.digits = "0"};
}

static void append(struct number *number, const char *digits, size_t size)
{
  size_t used = strlen(number->digits);
  CHECK(used + size < DIGITS_MAX);
  memcpy(number->digits + used, digits, size);
  number->digits[used + size] = '\0';
}

/* Bit by bit: twice what there was, and one more. */
static struct number number_of(hf_amount amount)
{
  struct number number = {.negative = amount < 0, .digits = "0"};
  hf_uamount rest = amount < 0 ? (hf_uamount)0 - (hf_uamount)amount : (hf_uamount)amount;
  for (unsigned bit = 128; bit-- > 0;) {
    unsigned carry = (unsigned)(rest >> bit & 1u);
    for (size_t i = strlen(number.digits); i-- > 0;) {
      unsigned digit = (unsigned)(number.digits[i] - '0') * 2u + carry;
      number.digits[i] = (char)('0' + (int)(digit % 10u));
      carry = digit / 10u;
    }
    if (carry > 0) {
      memmove(number.digits + 1, number.digits, strlen(number.digits) + 1u);
      number.digits[0] = '1';
    }
  }
  strip(&number);
  return number;
}

static bool fits(const struct number *number)
{
  const char *limit = number->negative ? SMALLEST : LARGEST;
  size_t size = strlen(number->digits), limit_size = strlen(limit);
  return size < limit_size || (size == limit_size && strcmp(number->digits, limit) <= 0);
}

static void check_number(hf_amount amount, const struct number *expected)
{
  struct number number = number_of(amount);
  CHECK(number.negative == expected->negative);
  CHECK(strcmp(number.digits, expected->digits) == 0);
}

/* "-12.50" of -1250 at 2. */
static void text_of(const struct number *number, unsigned scale, char out[DIGITS_MAX])
{
  char padded[DIGITS_MAX + 32u];
  size_t size = strlen(number->digits), zeros = size <= scale ? scale + 1u - size : 0;
  memset(padded, '0', zeros);
  memcpy(padded + zeros, number->digits, size + 1u);
  size_t whole = size + zeros - scale;
  snprintf(out, DIGITS_MAX, "%s%.*s%s%.*s", number->negative ? "-" : "", (int)whole, padded,
           scale > 0 ? "." : "", (int)scale, padded + whole);
}

struct parsed {
  struct number number;
  unsigned scale;
};

/* By the words of amount.h. */
static bool oracle_parse(const char *text, size_t size, bool sign, struct parsed *ret_parsed)
{
  struct parsed parsed = {0};
  size_t at = 0, whole, fraction = 0;
  if (size > 0 && text[0] == '-') {
    if (!sign)
      return false;
    parsed.number.negative = true;
    at = 1;
  }
  for (whole = 0; at + whole < size && text[at + whole] >= '0' && text[at + whole] <= '9'; whole++)
    continue;
  if (whole == 0 || whole >= 60u || (text[at] == '0' && whole > 1))
    return false;
  append(&parsed.number, text + at, whole);
  at += whole;
  if (at < size) {
    if (text[at++] != '.')
      return false;
    fraction = size - at;
    for (size_t i = at; i < size; i++)
      if (text[i] < '0' || text[i] > '9')
        return false;
    if (fraction == 0 || fraction > 38u)
      return false;
    while (fraction > 0 && text[at + fraction - 1u] == '0')
      fraction--;
    append(&parsed.number, text + at, fraction);
  }
  bool negative = parsed.number.negative;
  strip(&parsed.number);
  if (strlen(parsed.number.digits) > 38u)
    return false;
  if (negative && strcmp(parsed.number.digits, "0") == 0)
    return false;
  parsed.scale = (unsigned)fraction;
  *ret_parsed = parsed;
  return true;
}

static void check_to_amount(struct hf_decimal decimal, const struct parsed *parsed, unsigned scale)
{
  hf_amount amount = 77;
  enum hf_error error = hf_decimal_to_amount(decimal, scale, &amount);
  struct number expected = parsed->number;
  bool zero = strcmp(expected.digits, "0") == 0;
  if (parsed->scale > scale) {
    CHECK(error == HF_E_INVALID_AMOUNT && amount == 77);
    return;
  }
  for (unsigned i = parsed->scale; i < scale && !zero; i++)
    append(&expected, "0", 1);
  CHECK(error == (fits(&expected) ? HF_OK : HF_E_AMOUNT_OVERFLOW));
  if (error == HF_OK)
    check_number(amount, &expected);
  else
    CHECK(amount == 77);
}

static void check_truncate(struct hf_decimal decimal, const struct parsed *parsed, unsigned scale)
{
  struct number kept = parsed->number;
  bool cut = false;
  unsigned left = parsed->scale;
  for (; left > scale; left--) {
    size_t size = strlen(kept.digits);
    cut = cut || kept.digits[size - 1u] != '0';
    kept.digits[size - 1u] = '\0';
    strip(&kept);
  }
  while (left > 0 &&
         (strcmp(kept.digits, "0") == 0 || kept.digits[strlen(kept.digits) - 1u] == '0')) {
    left--;
    if (strcmp(kept.digits, "0") != 0)
      kept.digits[strlen(kept.digits) - 1u] = '\0';
  }
  CHECK(hf_decimal_truncate(&decimal, scale) == cut);
  CHECK(decimal.scale == left);
  check_number(decimal.digits, &kept);
}

static void check_text(const char *text, size_t size, bool sign, unsigned scale)
{
  struct hf_decimal decimal;
  struct parsed parsed;
  bool expected = oracle_parse(text, size, sign, &parsed);
  enum hf_error error = hf_decimal_parse(text, size, sign, &decimal);
  CHECK(error == (expected ? HF_OK : HF_E_INVALID_AMOUNT));
  if (!expected)
    return;
  CHECK(decimal.scale == parsed.scale);
  check_number(decimal.digits, &parsed.number);
  check_to_amount(decimal, &parsed, scale);
  check_truncate(decimal, &parsed, scale);
}

static void check_format(hf_amount amount, unsigned scale)
{
  char text[HF_AMOUNT_TEXT_MAX], expected[DIGITS_MAX];
  struct number number = number_of(amount);
  struct hf_decimal decimal;
  hf_amount again;
  size_t size = hf_amount_format(amount, scale, text);
  text_of(&number, scale, expected);
  CHECK(size == strlen(text) && strcmp(text, expected) == 0);
  if (strlen(number.digits) > 38u) /* more than a decimal may have, unless there are zeros behind */
    return;
  CHECK(hf_decimal_parse(text, size, true, &decimal) == HF_OK);
  CHECK(hf_decimal_to_amount(decimal, scale, &again) == HF_OK && again == amount);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct input input = {data, size};
  unsigned scale = input_u8(&input) % (HF_SCALE_MAX + 1u);
  bool sign = input_u8(&input) % 2u != 0;
  hf_uamount wide = (hf_uamount)input_u64(&input) << 64;
  check_format((hf_amount)(wide | input_u64(&input)), scale);
  char *text = input_bytes(&input, input.size, &size);
  check_text(text, size, sign, scale);
  free(text);
  return 0;
}
