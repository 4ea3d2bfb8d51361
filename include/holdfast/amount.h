/* amount.h - money: signed 128-bit integers of an asset's base unit, and their decimal text.
 *
 * Pure. No float anywhere. Every operation that could leave the range says so.
 * Text: decimal strings; JSON carries nothing else. */
#ifndef HOLDFAST_AMOUNT_H
#define HOLDFAST_AMOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "holdfast/check.h"
#include "holdfast/error.h"

__extension__ typedef __int128 hf_amount; /* base units */
__extension__ typedef unsigned __int128 hf_uamount;

#define HF_AMOUNT_MAX ((hf_amount)(((hf_uamount)1 << 127) - 1))
#define HF_AMOUNT_MIN (-HF_AMOUNT_MAX - 1)
#define HF_SCALE_MAX 18u       /* of an asset */
#define HF_AMOUNT_TEXT_MAX 48u /* sign, 39 digits, point, leading zeros, NUL */

/* False when the result leaves the range; *ret_x untouched then. */
static inline bool hf_amount_add(hf_amount a, hf_amount b, hf_amount *ret_sum)
{
  hf_amount sum;
  if (__builtin_add_overflow(a, b, &sum))
    return false;
  *ret_sum = sum;
  return true;
}
static inline bool hf_amount_sub(hf_amount a, hf_amount b, hf_amount *ret_difference)
{
  hf_amount difference;
  if (__builtin_sub_overflow(a, b, &difference))
    return false;
  *ret_difference = difference;
  return true;
}

/* A decimal as it was written, before an asset gives it a unit: value = digits / 10^scale.
 * Normal form (as hf_decimal_parse gives it): no trailing zeros behind the point. */
struct hf_decimal {
  hf_amount digits; /* with its sign */
  uint8_t scale;    /* 0..38 */
};

/* Strict: -? digits ( . digits )?; no '+', exponent, blank, leading zero ("00.5", "007"), bare
 * point, "-0". sign: is '-' allowed. At most 38 significant digits and 38 behind the point.
 * HF_E_INVALID_AMOUNT otherwise. Zero parses; callers refuse it where it makes no sense. */
MUST_CHECK enum hf_error hf_decimal_parse(const char *text, size_t size, bool sign,
                                          struct hf_decimal *ret_decimal);
/* Base units at `scale` (<= HF_SCALE_MAX): HF_E_INVALID_AMOUNT when the decimal has more digits
 * behind the point than the scale, HF_E_AMOUNT_OVERFLOW when it does not fit. */
MUST_CHECK enum hf_error hf_decimal_to_amount(struct hf_decimal decimal, unsigned scale,
                                              hf_amount *ret_amount);
/* Rounds toward zero to `scale` digits behind the point; true when something was cut off. */
bool hf_decimal_truncate(struct hf_decimal *decimal, unsigned scale);

/* "12.50000000": exactly `scale` digits behind the point. Returns the length; NUL-terminated. */
size_t hf_amount_format(hf_amount amount, unsigned scale, char out[HF_AMOUNT_TEXT_MAX]);

#endif
