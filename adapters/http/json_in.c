#include "json_in.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "holdfast/check.h"
#include "holdfast/time_text.h"

/* Copies as much as fits, without cutting a UTF-8 sequence in two. */
static void copy_text(char *to, size_t room, const char *text)
{
  size_t size = strlen(text);
  if (size >= room) {
    size = room - 1;
    while (size > 0 && ((unsigned char)text[size] & 0xc0) == 0x80)
      size--;
  }
  memcpy(to, text, size);
  to[size] = '\0';
}

__attribute__((format(printf, 3, 0))) static void format_text(char *to, size_t room,
                                                              const char *format, va_list list)
{
  char text[512];
  const int size = vsnprintf(text, sizeof text, format, list);
  CHECK(size >= 0);
  copy_text(to, room, text);
}

void json_problem_set(struct json_problem *problem, enum hf_error error, const char *field,
                      const char *format, ...)
{
  CHECK(error != HF_OK);
  if (problem->error != HF_OK)
    return;
  problem->error = error;
  copy_text(problem->field, sizeof problem->field, field == NULL ? "" : field);
  problem->suggestion[0] = '\0';
  va_list list;
  va_start(list, format);
  format_text(problem->detail, sizeof problem->detail, format, list);
  va_end(list);
}

void json_problem_suggest(struct json_problem *problem, const char *format, ...)
{
  CHECK(problem->error != HF_OK);
  if (problem->suggestion[0] != '\0')
    return;
  va_list list;
  va_start(list, format);
  format_text(problem->suggestion, sizeof problem->suggestion, format, list);
  va_end(list);
}

/* ---- parsing --------------------------------------------------------------------------------- */

/* Looks over the bytes before the parser allocates anything for them: NUL, depth, string sizes.
 * Whatever else is wrong is the parser's to find. */
static void look_over(const char *body, size_t size, struct json_problem *problem)
{
  unsigned depth = 0;
  size_t string_start = 0;
  bool in_string = false;
  for (size_t i = 0; i < size; i++) {
    const char c = body[i];
    if (c == '\0') {
      json_problem_set(problem, HF_E_INVALID_JSON, NULL, "byte %zu is NUL", i);
      return;
    }
    if (in_string) {
      if (c == '\\' && i + 1 < size && body[i + 1] != '\0') {
        i++;
      } else if (c == '"') {
        in_string = false;
        if (i - string_start > JSON_IN_STRING_MAX) {
          json_problem_set(problem, HF_E_INVALID_JSON, NULL, "a string is longer than %u bytes",
                           JSON_IN_STRING_MAX);
          return;
        }
      }
    } else if (c == '"') {
      in_string = true;
      string_start = i + 1;
    } else if (c == '{' || c == '[') {
      if (++depth > JSON_IN_DEPTH_MAX) {
        json_problem_set(problem, HF_E_INVALID_JSON, NULL, "nested deeper than %u levels",
                         JSON_IN_DEPTH_MAX);
        return;
      }
    } else if ((c == '}' || c == ']') && depth > 0) {
      depth--;
    }
  }
}

static void parse_failed(const json_error_t *error, struct json_problem *problem)
{
  switch (json_error_code(error)) {
  case json_error_duplicate_key:
    json_problem_set(problem, HF_E_INVALID_JSON, NULL, "a key appears twice in one object");
    break;
  case json_error_invalid_utf8:
    json_problem_set(problem, HF_E_INVALID_JSON, NULL, "the body is not valid UTF-8");
    break;
  case json_error_null_character:
  case json_error_null_byte_in_key:
    json_problem_set(problem, HF_E_INVALID_JSON, NULL, "a string contains U+0000");
    break;
  case json_error_numeric_overflow:
    json_problem_set(problem, HF_E_INVALID_JSON, NULL, "a number is out of range");
    json_problem_suggest(problem, "amounts and ids are strings");
    break;
  default:
    json_problem_set(problem, HF_E_INVALID_JSON, NULL, "not JSON at line %d, column %d",
                     error->line, error->column);
    break;
  }
}

json_t *json_in_parse(const char *body, size_t size, struct json_problem *problem)
{
  if (size == 0) {
    json_problem_set(problem, HF_E_INVALID_JSON, NULL, "the body is empty");
    return NULL;
  }
  look_over(body, size, problem);
  if (problem->error != HF_OK)
    return NULL;
  json_error_t error;
  json_t *root = json_loadb(body, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
  if (root == NULL) {
    parse_failed(&error, problem);
    return NULL;
  }
  if (!json_is_object(root)) {
    json_problem_set(problem, HF_E_INVALID_BODY, NULL, "the body must be a JSON object");
    json_decref(root);
    return NULL;
  }
  return root;
}

/* ---- members --------------------------------------------------------------------------------- */

static size_t find(const struct json_in_field *fields, size_t count, const char *name)
{
  for (size_t i = 0; i < count; i++) {
    if (fields[i].name[0] == name[0] && strcmp(fields[i].name, name) == 0)
      return i;
  }
  return count;
}

void json_in_take(const json_t *object, const struct json_in_field *fields, size_t count,
                  struct json_problem *problem, const json_t *ret_values[])
{
  for (size_t i = 0; i < count; i++)
    ret_values[i] = NULL;
  if (!json_is_object(object)) {
    json_problem_set(problem, HF_E_INVALID_BODY, NULL, "expected a JSON object");
    return;
  }
  union { /* jansson iterates through a pointer that is not const, and changes nothing */
    const json_t *given;
    json_t *iterated;
  } of = {.given = object};
  for (void *at = json_object_iter(of.iterated); at != NULL;
       at = json_object_iter_next(of.iterated, at)) {
    const char *name = json_object_iter_key(at);
    const size_t index = find(fields, count, name);
    if (index == count) {
      json_problem_set(problem, HF_E_UNKNOWN_FIELD, name, "this field is not known here");
      return;
    }
    const json_t *value = json_object_iter_value(at);
    if (!json_is_null(value) || fields[index].required)
      ret_values[index] = value;
  }
  for (size_t i = 0; i < count; i++) {
    if (fields[i].required && ret_values[i] == NULL) {
      json_problem_set(problem, HF_E_MISSING_FIELD, fields[i].name, "this field is required");
      return;
    }
  }
}

/* ---- values ---------------------------------------------------------------------------------- */

static bool wanted(const json_t *value, const struct json_problem *problem)
{
  return value != NULL && problem->error == HF_OK;
}

struct json_in_text json_in_text(const json_t *value, const char *field, size_t size_min,
                                 size_t size_max, struct json_problem *problem)
{
  const struct json_in_text none = {NULL, 0};
  if (!wanted(value, problem))
    return none;
  if (!json_is_string(value)) {
    json_problem_set(problem, HF_E_INVALID_FIELD, field, "must be a string");
    return none;
  }
  const struct json_in_text text = {json_string_value(value), json_string_length(value)};
  if (text.size < size_min || text.size > size_max) {
    json_problem_set(problem, HF_E_INVALID_FIELD, field, "must have %zu to %zu bytes", size_min,
                     size_max);
    return none;
  }
  for (size_t i = 0; i < text.size; i++) {
    const unsigned char c = (unsigned char)text.at[i];
    /* U+0080..U+009F are C2 80..C2 9F in UTF-8. */
    const bool second = c == 0xc2 && i + 1 < text.size && (unsigned char)text.at[i + 1] < 0xa0;
    if (c < 0x20 || c == 0x7f || second) {
      json_problem_set(problem, HF_E_INVALID_FIELD, field, "must not have control characters");
      return none;
    }
  }
  return text;
}

int64_t json_in_integer(const json_t *value, const char *field, int64_t min, int64_t max,
                        struct json_problem *problem)
{
  if (!wanted(value, problem))
    return 0;
  if (!json_is_integer(value) || json_integer_value(value) < min ||
      json_integer_value(value) > max) {
    json_problem_set(problem, HF_E_INVALID_FIELD, field, "must be an integer from %lld to %lld",
                     (long long)min, (long long)max);
    return 0;
  }
  return json_integer_value(value);
}

bool json_in_boolean(const json_t *value, const char *field, bool otherwise,
                     struct json_problem *problem)
{
  if (!wanted(value, problem))
    return otherwise;
  if (!json_is_boolean(value)) {
    json_problem_set(problem, HF_E_INVALID_FIELD, field, "must be true or false");
    return otherwise;
  }
  return json_is_true(value);
}

hf_id json_in_id(const json_t *value, const char *field, struct json_problem *problem)
{
  if (!wanted(value, problem))
    return 0;
  hf_id id = 0;
  if (!json_is_string(value)) {
    json_problem_set(problem, HF_E_INVALID_ID, field, "an id is a string");
    if (json_is_integer(value) && json_integer_value(value) > 0)
      json_problem_suggest(problem, "\"%lld\"", (long long)json_integer_value(value));
    return 0;
  }
  if (!hf_id_parse(json_string_value(value), json_string_length(value), &id)) {
    json_problem_set(problem, HF_E_INVALID_ID, field, "not an id of this server");
    return 0;
  }
  return id;
}

int64_t json_in_time(const json_t *value, const char *field, int64_t now_us,
                     struct json_problem *problem)
{
  if (!wanted(value, problem))
    return 0;
  int64_t time_us = 0;
  if (!json_is_string(value) ||
      hf_time_parse(json_string_value(value), json_string_length(value), &time_us) != HF_OK) {
    json_problem_set(problem, HF_E_INVALID_TIME, field, "must be an RFC 3339 time");
    json_problem_suggest(problem, "2026-01-31T12:00:00Z");
    return 0;
  }
  if (time_us > now_us + JSON_IN_AHEAD_US_MAX) {
    json_problem_set(problem, HF_E_INVALID_TIME, field, "must not lie more than a day ahead");
    return 0;
  }
  if (time_us <= 0) {
    json_problem_set(problem, HF_E_INVALID_TIME, field, "must be after 1970-01-01T00:00:00Z");
    return 0;
  }
  return time_us;
}

static void amount_is_number(const json_t *value, const char *field, struct json_problem *problem)
{
  json_problem_set(problem, HF_E_INVALID_AMOUNT, field, "an amount is a decimal string");
  if (json_is_integer(value))
    json_problem_suggest(problem, "send the string \"%lld\"", (long long)json_integer_value(value));
  else if (json_is_real(value))
    json_problem_suggest(problem, "send the string \"%.15g\"", json_real_value(value));
  else
    json_problem_suggest(problem, "send a string such as \"12.50\"");
}

struct hf_decimal json_in_amount(const json_t *value, const char *field, bool sign,
                                 struct json_problem *problem, unsigned *ret_digits)
{
  struct hf_decimal decimal = {0};
  if (!wanted(value, problem))
    return decimal;
  if (!json_is_string(value)) {
    amount_is_number(value, field, problem);
    return decimal;
  }
  const char *text = json_string_value(value);
  const size_t size = json_string_length(value);
  if (hf_decimal_parse(text, size, true, &decimal) != HF_OK) {
    json_problem_set(problem, HF_E_INVALID_AMOUNT, field,
                     "not a plain decimal number of at most 38 digits");
    json_problem_suggest(problem, "digits, and a point if needed, such as \"12.50\"");
    return (struct hf_decimal){0};
  }
  if (decimal.digits == 0) {
    json_problem_set(problem, HF_E_INVALID_AMOUNT, field, "must not be zero");
    json_problem_suggest(problem, "send an amount above zero, such as \"12.50\"");
  } else if (decimal.digits < 0 && !sign) {
    json_problem_set(problem, HF_E_INVALID_AMOUNT, field, "must be above zero");
    json_problem_suggest(problem, "without the sign: \"%.60s\"", text + 1);
  }
  const char *point = memchr(text, '.', size);
  *ret_digits = point == NULL ? 0 : (unsigned)(text + size - point - 1);
  return decimal;
}

bool json_in_is_word(struct json_in_text text, const char *more)
{
  for (size_t i = 0; i < text.size; i++) {
    const char c = text.at[i];
    const bool alphanumeric =
      (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!alphanumeric && (i == 0 || c == '\0' || strchr(more, c) == NULL))
      return false;
  }
  return text.size > 0;
}
