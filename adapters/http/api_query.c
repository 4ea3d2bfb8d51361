#include "api_query.h"

#include <string.h>

#include "holdfast/check.h"
#include "holdfast/time_text.h"

const struct api_param_info api_params[API_PARAM_COUNT] = {
#define X(NAME, name_, schema_, text_)                                                             \
  [API_PARAM_##NAME] = {.name = name_, .schema = schema_, .text = text_},
  API_PARAMS(X)
#undef X
};

static int hex_digit(char c)
{
  if (c >= '0' && c <= '9')
    return c - '0';
  const char lower = (char)(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

bool api_decode(struct http_slice text, bool form, char *out, size_t *ret_size)
{
  size_t size = 0;
  for (size_t i = 0; i < text.size; i++) {
    char c = text.at[i];
    if (c == '%') {
      const int high = i + 2 < text.size ? hex_digit(text.at[i + 1]) : -1;
      const int low = i + 2 < text.size ? hex_digit(text.at[i + 2]) : -1;
      if (high < 0 || low < 0)
        return false;
      c = (char)(high * 16 + low);
      i += 2;
    } else if (c == '+' && form) {
      c = ' ';
    }
    if (c == '\0')
      return false;
    out[size++] = c;
  }
  *ret_size = size;
  return true;
}

bool api_lists(const char *list, const char *name, size_t size)
{
  while (*list != '\0') {
    const size_t word = strcspn(list, " ");
    if (word == size && memcmp(list, name, size) == 0)
      return true;
    list += word;
    list += strspn(list, " ");
  }
  return false;
}

static void take(struct http_slice name, struct http_slice value, const char *allowed, char **room,
                 struct api_query *query, struct json_problem *problem)
{
  size_t index = 0;
  while (index < API_PARAM_COUNT && (strlen(api_params[index].name) != name.size ||
                                     memcmp(api_params[index].name, name.at, name.size) != 0))
    index++;
  if (index == API_PARAM_COUNT || !api_lists(allowed, name.at, name.size)) {
    json_problem_set(problem, HF_E_INVALID_QUERY, NULL, "a query parameter is not known here");
    if (*allowed != '\0')
      json_problem_suggest(problem, "known: %s", allowed);
    return;
  }
  const char *known = api_params[index].name;
  struct http_slice *to = &query->values[index];
  if (to->at != NULL) {
    json_problem_set(problem, HF_E_INVALID_QUERY, known, "the parameter is given twice");
    return;
  }
  to->at = *room;
  if (!api_decode(value, true, *room, &to->size)) {
    json_problem_set(problem, HF_E_INVALID_QUERY, known, "not valid percent-encoding");
    return;
  }
  *room += to->size;
}

void api_query_parse(struct http_slice query, const char *allowed, char *room,
                     struct api_query *ret_query, struct json_problem *problem)
{
  memset(ret_query, 0, sizeof *ret_query);
  const char *at = query.at;
  const char *end = query.size == 0 ? at : at + query.size;
  unsigned count = 0;
  while (at < end && problem->error == HF_OK) {
    const char *stop = memchr(at, '&', (size_t)(end - at));
    if (stop == NULL)
      stop = end;
    const char *equals = memchr(at, '=', (size_t)(stop - at));
    const char *name_end = equals == NULL ? stop : equals;
    const char *value = equals == NULL ? stop : equals + 1;
    if (++count > HTTP_QUERY_MAX)
      json_problem_set(problem, HF_E_INVALID_QUERY, NULL, "more than %u parameters",
                       HTTP_QUERY_MAX);
    else if (stop > at)
      take((struct http_slice){at, (size_t)(name_end - at)},
           (struct http_slice){value, (size_t)(stop - value)}, allowed, &room, ret_query, problem);
    at = stop < end ? stop + 1 : end;
  }
}

bool api_number_parse(struct http_slice text, uint64_t *ret_number)
{
  uint64_t number = 0;
  if (text.size == 0 || text.size > 18 || (text.at[0] == '0' && text.size > 1))
    return false;
  for (size_t i = 0; i < text.size; i++) {
    if (text.at[i] < '0' || text.at[i] > '9')
      return false;
    number = number * 10 + (uint64_t)(text.at[i] - '0');
  }
  *ret_number = number;
  return true;
}

uint64_t api_query_number(const struct api_query *query, enum api_param param, uint64_t least,
                          uint64_t most, uint64_t otherwise, struct json_problem *problem)
{
  const struct http_slice text = query->values[param];
  uint64_t number = 0;
  if (text.at == NULL)
    return otherwise;
  if (api_number_parse(text, &number) && number >= least && number <= most)
    return number;
  json_problem_set(problem, HF_E_INVALID_QUERY, api_params[param].name,
                   "must be an integer from %llu to %llu", (unsigned long long)least,
                   (unsigned long long)most);
  return otherwise;
}

unsigned api_query_limit(const struct api_query *query, struct json_problem *problem)
{
  return (unsigned)api_query_number(query, API_PARAM_LIMIT, 1, API_LIMIT_MAX, API_LIMIT_DEFAULT,
                                    problem);
}

int64_t api_query_time(const struct api_query *query, enum api_param param, int64_t now_us,
                       struct json_problem *problem)
{
  const struct http_slice text = query->values[param];
  const char *name = api_params[param].name;
  int64_t time_us = 0;
  if (text.at == NULL)
    return 0;
  if (hf_time_parse(text.at, text.size, &time_us) != HF_OK || time_us <= 0) {
    json_problem_set(problem, HF_E_INVALID_TIME, name, "must be an RFC 3339 time");
    json_problem_suggest(problem, "2026-01-31T12:00:00Z");
    return 0;
  }
  if (now_us > 0 && time_us > now_us) {
    json_problem_set(problem, HF_E_INVALID_TIME, name, "must not lie in the future");
    return 0;
  }
  return time_us;
}

bool api_query_is(const struct api_query *query, enum api_param param, const char *text)
{
  const struct http_slice value = query->values[param];
  return value.at != NULL && value.size == strlen(text) && memcmp(value.at, text, value.size) == 0;
}
