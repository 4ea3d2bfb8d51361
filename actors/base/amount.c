/* amount.c - decimal text to base units and back. */
#include "holdfast/amount.h"

#include <string.h>

#define SIGNIFICANT_DIGITS_MAX 38u
#define FRACTION_DIGITS_MAX 38u
#define DECIMAL_TEXT_MAX (1u + SIGNIFICANT_DIGITS_MAX + 1u + FRACTION_DIGITS_MAX)
#define CHUNK_DIGITS 19u /* what fits into 64 bits */
#define CHUNK 10000000000000000000ull

static bool is_digit(char c)
{
  return c >= '0' && c <= '9';
}

static size_t digits_count(const char *text, size_t size)
{
  size_t count = 0;
  while (count < size && is_digit(text[count]))
    count++;
  return count;
}

/* Appends digits to *value; false when it would have more than SIGNIFICANT_DIGITS_MAX of them. */
static bool append_digits(const char *text, size_t size, hf_uamount *value, unsigned *significant)
{
  for (size_t i = 0; i < size; i++) {
    if (*significant > 0 || text[i] != '0')
      (*significant)++;
    if (*significant > SIGNIFICANT_DIGITS_MAX)
      return false;
    *value = *value * 10u + (unsigned)(text[i] - '0');
  }
  return true;
}

enum hf_error hf_decimal_parse(const char *text, size_t size, bool sign,
                               struct hf_decimal *ret_decimal)
{
  CHECK(text != NULL || size == 0);
  CHECK(ret_decimal != NULL);
  if (size == 0 || size > DECIMAL_TEXT_MAX)
    return HF_E_INVALID_AMOUNT;

  bool negative = text[0] == '-';
  if (negative && !sign)
    return HF_E_INVALID_AMOUNT;
  text += negative ? 1 : 0;
  size -= negative ? 1 : 0;

  size_t whole = digits_count(text, size);
  if (whole == 0 || (whole > 1 && text[0] == '0'))
    return HF_E_INVALID_AMOUNT;
  const char *behind = text + whole;
  size_t fraction = 0;
  if (whole < size) {
    if (text[whole] != '.')
      return HF_E_INVALID_AMOUNT;
    behind++;
    fraction = digits_count(behind, size - whole - 1);
    if (fraction == 0 || fraction > FRACTION_DIGITS_MAX || whole + 1 + fraction != size)
      return HF_E_INVALID_AMOUNT;
    while (fraction > 0 && behind[fraction - 1] == '0')
      fraction--;
  }

  hf_uamount value = 0;
  unsigned significant = 0;
  if (!append_digits(text, whole, &value, &significant) ||
      !append_digits(behind, fraction, &value, &significant))
    return HF_E_INVALID_AMOUNT;
  if (negative && value == 0)
    return HF_E_INVALID_AMOUNT;
  ret_decimal->digits = negative ? -(hf_amount)value : (hf_amount)value;
  ret_decimal->scale = (uint8_t)fraction;
  return HF_OK;
}

enum hf_error hf_decimal_to_amount(struct hf_decimal decimal, unsigned scale, hf_amount *ret_amount)
{
  CHECK(scale <= HF_SCALE_MAX);
  CHECK(ret_amount != NULL);
  hf_amount amount = decimal.digits;
  unsigned at = decimal.scale;
  for (; at > scale; at--) {
    if (amount % 10 != 0)
      return HF_E_INVALID_AMOUNT;
    amount /= 10;
  }
  for (; at < scale; at++) {
    if (__builtin_mul_overflow(amount, (hf_amount)10, &amount))
      return HF_E_AMOUNT_OVERFLOW;
  }
  *ret_amount = amount;
  return HF_OK;
}

bool hf_decimal_truncate(struct hf_decimal *decimal, unsigned scale)
{
  CHECK(decimal != NULL);
  bool cut = false;
  for (; decimal->scale > scale; decimal->scale--) {
    cut = cut || decimal->digits % 10 != 0;
    decimal->digits /= 10;
  }
  for (; decimal->scale > 0 && decimal->digits % 10 == 0; decimal->scale--)
    decimal->digits /= 10;
  return cut;
}

size_t hf_amount_format(hf_amount amount, unsigned scale, char out[HF_AMOUNT_TEXT_MAX])
{
  CHECK(scale <= HF_SCALE_MAX);
  CHECK(out != NULL);
  char reversed[HF_AMOUNT_TEXT_MAX];
  size_t count = 0;
  hf_uamount rest = amount < 0 ? (hf_uamount)0 - (hf_uamount)amount : (hf_uamount)amount;
  unsigned digits = 0;

  /* 64 bits at a time: a 128-bit division costs as much as ten digits. */
  while (rest > 0 || digits <= scale) {
    uint64_t chunk = (uint64_t)(rest < CHUNK ? rest : rest % CHUNK);
    rest = rest < CHUNK ? 0 : rest / CHUNK;
    for (unsigned i = 0; i < CHUNK_DIGITS && (rest > 0 || chunk > 0 || digits <= scale); i++) {
      if (digits == scale && scale > 0)
        reversed[count++] = '.';
      reversed[count++] = (char)('0' + (int)(chunk % 10u));
      chunk /= 10u;
      digits++;
    }
  }
  size_t size = 0;
  if (amount < 0)
    out[size++] = '-';
  while (count > 0)
    out[size++] = reversed[--count];
  CHECK(size < HF_AMOUNT_TEXT_MAX);
  out[size] = '\0';
  return size;
}
