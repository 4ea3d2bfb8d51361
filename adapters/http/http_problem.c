/* http_problem.c - the JSON of a problem (RFC 9457), whatever bytes its texts have. */
#include <string.h>

#include "holdfast/check.h"
#include "http_internal.h"

/* The size of the UTF-8 sequence at `at` (RFC 3629: shortest form, no surrogates, at most
 * U+10FFFF), or 0 when there is none. */
static size_t utf8_size(const unsigned char *at, size_t left)
{
  const unsigned first = at[0];
  size_t size;
  unsigned low = 0x80, high = 0xbf; /* of the second byte */

  if (first < 0x80)
    return 1;
  if (first >= 0xc2 && first <= 0xdf) {
    size = 2;
  } else if (first >= 0xe0 && first <= 0xef) {
    size = 3;
    low = first == 0xe0 ? 0xa0 : low;
    high = first == 0xed ? 0x9f : high;
  } else if (first >= 0xf0 && first <= 0xf4) {
    size = 4;
    low = first == 0xf0 ? 0x90 : low;
    high = first == 0xf4 ? 0x8f : high;
  } else {
    return 0;
  }
  if (left < size || at[1] < low || at[1] > high)
    return 0;
  for (size_t i = 2; i < size; i++) {
    if (at[i] < 0x80 || at[i] > 0xbf)
      return 0;
  }
  return size;
}

static void text_escape(struct http_pool *pool, struct http_buffer *out, const char *text)
{
  static const char digits[] = "0123456789abcdef";
  const unsigned char *at = (const unsigned char *)text;
  size_t left = strlen(text);

  while (left > 0) {
    const size_t size = utf8_size(at, left);
    if (size == 0) {
      http_buffer_text(pool, out, "\xef\xbf\xbd"); /* U+FFFD */
    } else if (*at == '"' || *at == '\\') {
      const char pair[2] = {'\\', (char)*at};
      http_buffer_add(pool, out, pair, 2);
    } else if (*at < 0x20) {
      const char escape[6] = {'\\', 'u', '0', '0', digits[*at >> 4], digits[*at & 15]};
      http_buffer_add(pool, out, escape, 6);
    } else {
      http_buffer_add(pool, out, at, size);
    }
    at += size > 0 ? size : 1;
    left -= size > 0 ? size : 1;
  }
}

/* ,"name":"text" */
static void member(struct http_pool *pool, struct http_buffer *out, const char *name,
                   const char *text)
{
  http_buffer_text(pool, out, ",\"");
  http_buffer_text(pool, out, name);
  http_buffer_text(pool, out, "\":\"");
  text_escape(pool, out, text);
  http_buffer_text(pool, out, "\"");
}

/* ,"name":number */
static void member_number(struct http_pool *pool, struct http_buffer *out, const char *name,
                          unsigned number)
{
  char digits[10];
  size_t at = sizeof digits;

  http_buffer_text(pool, out, ",\"");
  http_buffer_text(pool, out, name);
  http_buffer_text(pool, out, "\":");
  do {
    digits[--at] = (char)('0' + number % 10);
    number /= 10;
  } while (number > 0);
  http_buffer_add(pool, out, digits + at, sizeof digits - at);
}

void http_problem_write(struct http_pool *pool, struct http_buffer *out,
                        const struct http_problem *problem, const char *request_id)
{
  CHECK(problem->error != HF_OK);
  const struct hf_error_info *info = hf_error_info(problem->error);

  http_buffer_text(pool, out, "{\"type\":\"/problems/");
  http_buffer_text(pool, out, info->code);
  http_buffer_text(pool, out, "\"");
  member(pool, out, "title", info->title);
  member_number(pool, out, "status", info->status);
  member(pool, out, "code", info->code);
  member(pool, out, "detail", problem->detail != NULL ? problem->detail : info->title);
  if (problem->field != NULL)
    member(pool, out, "field", problem->field);
  if (problem->suggestion != NULL)
    member(pool, out, "suggestion", problem->suggestion);
  if (problem->retry_after_s > 0)
    member_number(pool, out, "retry_after", problem->retry_after_s);
  member(pool, out, "correlation_id", request_id);
  http_buffer_text(pool, out, "}");
}
