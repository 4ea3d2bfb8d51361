/* time_text.h - RFC 3339 UTC times with microseconds. Pure. */
#ifndef HOLDFAST_TIME_TEXT_H
#define HOLDFAST_TIME_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "holdfast/check.h"
#include "holdfast/error.h"

#define HF_TIME_TEXT_MAX 32u

/* "2026-11-21T05:06:44.123456Z" from microseconds since 1970 (years 0001..9999). The length. */
size_t hf_time_format(int64_t unix_us, char out[HF_TIME_TEXT_MAX]);
/* RFC 3339 section 5.6: any offset, 0..9 digits of fraction (rounded down to microseconds), 'T'
 * and 'Z' in either case, no leap second 60. HF_E_INVALID_TIME otherwise. */
MUST_CHECK enum hf_error hf_time_parse(const char *text, size_t size, int64_t *ret_unix_us);
/* Days since 1970-01-01 of a Gregorian date; for importers. False when there is no such day. */
bool hf_time_from_date(int year, int month, int day, int64_t *ret_unix_us);

#endif
