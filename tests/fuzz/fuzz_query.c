/* fuzz_query.c - libFuzzer target: query strings, against a plain reading of them.
 *
 * Input: flags, then a query. Properties: percent-decoding is what a reading character by
 * character gives; a query that is taken has only allowed parameters, each once, with the values
 * of that reading; encoded wholly it means the same; numbers and times are within what was asked
 * for. */
#include <stdio.h>

#include "adapters/http/api_query.h"
#include "holdfast/time_text.h"
#include "tests/fuzz/input.h"

static const char allowed[] = "asset at limit cursor from_seq external_id";

/* One character of an encoded text. False: malformed. */
static bool decode_one(const char **at, const char *end, bool form, char *ret_c)
{
  char c = *(*at)++, *stop;
  *ret_c = c == '+' && form ? ' ' : c;
  if (c != '%')
    return c != '\0';
  char digits[3] = {0};
  if (end - *at < 2)
    return false;
  memcpy(digits, *at, 2);
  if (strspn(digits, "0123456789abcdefABCDEF") != 2)
    return false;
  *at += 2;
  *ret_c = (char)strtoul(digits, &stop, 16);
  return *ret_c != '\0';
}

static void check_decode(const char *text, size_t size, bool form)
{
  char *out = malloc(size + (size == 0)), c = '\0';
  const char *at = text, *end = text + size;
  size_t out_size = 0, count = 0;
  CHECK(out != NULL);
  bool taken = api_decode((struct http_slice){text, size}, form, out, &out_size);
  bool expected = true;
  while (expected && at < end) {
    expected = decode_one(&at, end, form, &c);
    CHECK(!taken || (expected && count < out_size && out[count] == c));
    count++;
  }
  CHECK(taken == expected && (!taken || count == out_size));
  free(out);
}

static size_t encode(const struct api_query *query, char *out, size_t room)
{
  size_t size = 0;
  for (unsigned i = 0; i < API_PARAM_COUNT; i++) {
    const struct http_slice value = query->values[i];
    if (value.at == NULL)
      continue;
    size +=
      (size_t)snprintf(out + size, room - size, "%s%s=", size > 0 ? "&" : "", api_params[i].name);
    for (size_t j = 0; j < value.size; j++)
      size += (size_t)snprintf(out + size, room - size, "%%%02X", (unsigned char)value.at[j]);
  }
  CHECK(size < room);
  return size;
}

static void check_values(const struct api_query *query)
{
  struct json_problem problem = {0};
  unsigned limit = api_query_limit(query, &problem);
  CHECK(limit >= 1 && limit <= API_LIMIT_MAX);
  bool right = problem.error == HF_OK;
  CHECK(right || problem.error == HF_E_INVALID_QUERY);
  problem = (struct json_problem){0};
  uint64_t seq = api_query_number(query, API_PARAM_FROM_SEQ, 1, 1000, 7, &problem);
  CHECK(seq >= 1 && seq <= 1000 && (problem.error == HF_OK || seq == 7));
  problem = (struct json_problem){0};
  int64_t now_us = 1800000000000000, at_us = api_query_time(query, API_PARAM_AT, now_us, &problem);
  CHECK(at_us >= 0 && at_us <= now_us);
  CHECK((at_us == 0) == (query->values[API_PARAM_AT].at == NULL || problem.error != HF_OK));
}

static void check_taken(const struct api_query *query, size_t size)
{
  struct api_query again;
  struct json_problem problem = {0};
  size_t room = 4u * size + 256u;
  char *text = malloc(room), *values = malloc(room);
  CHECK(text != NULL && values != NULL);
  size_t encoded = encode(query, text, room);
  api_query_parse((struct http_slice){text, encoded}, allowed, values, &again, &problem);
  CHECK(problem.error == HF_OK);
  for (unsigned i = 0; i < API_PARAM_COUNT; i++) {
    const struct http_slice one = query->values[i], other = again.values[i];
    CHECK((one.at == NULL) == (other.at == NULL) && one.size == other.size);
    CHECK(one.at == NULL || memcmp(one.at, other.at, one.size) == 0);
    CHECK(one.at == NULL || api_lists(allowed, api_params[i].name, strlen(api_params[i].name)));
  }
  free(values);
  free(text);
}

static void check_query(const char *text, size_t size)
{
  char *room = malloc(size + (size == 0));
  struct api_query query;
  struct json_problem problem = {0};
  CHECK(room != NULL);
  api_query_parse((struct http_slice){text, size}, allowed, room, &query, &problem);
  CHECK(problem.error == HF_OK || problem.error == HF_E_INVALID_QUERY);
  if (problem.error == HF_OK) {
    check_values(&query);
    check_taken(&query, size);
  }
  free(room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct input input = {data, size};
  bool form = input_u8(&input) % 2u != 0;
  char *text = input_bytes(&input, input.size, &size);
  check_decode(text, size, form);
  check_query(text, size);
  free(text);
  return 0;
}
