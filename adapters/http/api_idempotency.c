#include "api_idempotency.h"

#include <string.h>

bool api_idempotency_valid(const char *text, size_t size)
{
  if (size < 1 || size > API_IDEMPOTENCY_MAX)
    return false;
  for (size_t i = 0; i < size; i++) {
    if (text[i] < 0x21 || text[i] > 0x7e)
      return false;
  }
  return true;
}

/* The characters of a quoted string, without its quotes and escapes; 0 when it is none. */
static size_t unquote(struct http_slice field, char out[API_IDEMPOTENCY_MAX])
{
  size_t size = 0;
  size_t i = 1;
  for (; i < field.size && field.at[i] != '"'; i++) {
    char c = field.at[i];
    if (c == '\\') {
      if (++i == field.size || (field.at[i] != '"' && field.at[i] != '\\'))
        return 0;
      c = field.at[i];
    }
    if (size == API_IDEMPOTENCY_MAX)
      return 0;
    out[size++] = c;
  }
  return i + 1 == field.size ? size : 0;
}

size_t api_idempotency_of(const struct http_request *request, char out[API_IDEMPOTENCY_MAX],
                          struct json_problem *problem)
{
  const struct http_slice field = http_field_get(request, "idempotency-key");
  if (field.at == NULL)
    return 0;
  size_t size = 0;
  if (http_field_count(request, "idempotency-key") > 1) {
    size = 0;
  } else if (field.size > 0 && field.at[0] == '"') {
    size = unquote(field, out);
  } else if (field.size <= API_IDEMPOTENCY_MAX) {
    memcpy(out, field.at, field.size);
    size = field.size;
  }
  if (!api_idempotency_valid(out, size)) {
    json_problem_set(problem, HF_E_INVALID_KEY, "Idempotency-Key",
                     "must be sent once, with 1 to %u visible ASCII characters",
                     API_IDEMPOTENCY_MAX);
    return 0;
  }
  return size;
}
