#include "json_out.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "holdfast/check.h"
#include "holdfast/hash.h"
#include "holdfast/rt.h"
#include "holdfast/time_text.h"

#define ROOM_FIRST 4096u
#define ROOM_KEPT (1024u * 1024u)

void json_out_deinit(struct json_out *out)
{
  rt_free(out->at);
  *out = (struct json_out){0};
}

void json_out_clear(struct json_out *out)
{
  if (out->room > ROOM_KEPT)
    json_out_deinit(out);
  out->size = 0;
  out->comma = false;
}

static void grow(struct json_out *out, size_t size)
{
  size_t room = out->room < ROOM_FIRST ? ROOM_FIRST : out->room;
  while (room - out->size < size) {
    CHECK(room <= SIZE_MAX / 2);
    room *= 2;
  }
  out->at = rt_realloc(out->at, room);
  out->room = room;
}

/* Room for `size` more bytes. The caller counts them. */
static char *reserve(struct json_out *out, size_t size)
{
  if (out->room - out->size < size)
    grow(out, size);
  return out->at + out->size;
}

static void put(struct json_out *out, const char *data, size_t size)
{
  memcpy(reserve(out, size), data, size);
  out->size += size;
}

/* Room for a value of `size` bytes, after the comma that it may need. */
static char *value_room(struct json_out *out, size_t size)
{
  char *at = reserve(out, size + 1);
  if (out->comma) {
    *at++ = ',';
    out->size++;
  }
  out->comma = true;
  return at;
}

static void begin(struct json_out *out, char bracket)
{
  *value_room(out, 1) = bracket;
  out->size++;
  out->comma = false;
}

static void end(struct json_out *out, char bracket)
{
  CHECK(out->size > 0);
  *reserve(out, 1) = bracket;
  out->size++;
  out->comma = true;
}

void json_out_begin_object(struct json_out *out)
{
  begin(out, '{');
}
void json_out_end_object(struct json_out *out)
{
  end(out, '}');
}
void json_out_begin_array(struct json_out *out)
{
  begin(out, '[');
}
void json_out_end_array(struct json_out *out)
{
  end(out, ']');
}

void json_out_quoted_key(struct json_out *out, const char *quoted, size_t size)
{
  memcpy(value_room(out, size), quoted, size);
  out->size += size;
  out->comma = false;
}

void json_out_key_text(struct json_out *out, const char *key, size_t size)
{
  json_out_text(out, key, size);
  put(out, ":", 1);
  out->comma = false;
}

/* What follows the backslash: 0 for a byte that needs none, 'u' for the six-character form. */
static char escape_of(unsigned char c)
{
  switch (c) {
  case '"':
    return '"';
  case '\\':
    return '\\';
  case '\n':
    return 'n';
  case '\r':
    return 'r';
  case '\t':
    return 't';
  case '\b':
    return 'b';
  case '\f':
    return 'f';
  default:
    return c < 0x20 || c == 0x7f ? 'u' : 0;
  }
}

void json_out_text(struct json_out *out, const char *text, size_t size)
{
  static const char digits[] = "0123456789abcdef";
  /* Six bytes for each of the text's is the worst case, and is never far from what is there. */
  char *at = value_room(out, size * 6 + 2);
  char *const start = at;
  *at++ = '"';
  for (size_t i = 0; i < size; i++) {
    const unsigned char c = (unsigned char)text[i];
    const char escape = escape_of(c);
    if (escape == 0) {
      *at++ = (char)c;
      continue;
    }
    *at++ = '\\';
    *at++ = escape;
    if (escape == 'u') {
      *at++ = '0';
      *at++ = '0';
      *at++ = digits[c >> 4];
      *at++ = digits[c & 15];
    }
  }
  *at++ = '"';
  out->size += (size_t)(at - start);
}

void json_out_string(struct json_out *out, const char *text)
{
  json_out_text(out, text, strlen(text));
}

void json_out_raw(struct json_out *out, const char *json, size_t size)
{
  CHECK(size > 0);
  memcpy(value_room(out, size), json, size);
  out->size += size;
}

void json_out_again(struct json_out *out, size_t start, size_t size)
{
  CHECK(start + size <= out->size);
  char *to = value_room(out, size); /* may move the buffer */
  memcpy(to, out->at + start, size);
  out->size += size;
}

static size_t unsigned_text(uint64_t value, char text[20])
{
  char reversed[20];
  size_t count = 0;
  do {
    reversed[count++] = (char)('0' + (int)(value % 10));
    value /= 10;
  } while (value > 0);
  for (size_t i = 0; i < count; i++)
    text[i] = reversed[count - 1 - i];
  return count;
}

void json_out_unsigned(struct json_out *out, uint64_t value)
{
  char text[20];
  const size_t size = unsigned_text(value, text);
  memcpy(value_room(out, size), text, size);
  out->size += size;
}

void json_out_bool(struct json_out *out, bool value)
{
  json_out_raw(out, value ? "true" : "false", value ? 4 : 5);
}

void json_out_null(struct json_out *out)
{
  json_out_raw(out, "null", 4);
}

void json_out_id(struct json_out *out, uint64_t id)
{
  char text[22];
  text[0] = '"';
  const size_t size = unsigned_text(id, text + 1);
  text[size + 1] = '"';
  json_out_raw(out, text, size + 2);
}

void json_out_amount(struct json_out *out, hf_amount amount, unsigned scale)
{
  static const char zero[] = "\"0.000000000000000000\"";
  CHECK(scale <= HF_SCALE_MAX);
  /* Most buckets of most users are empty; their text is a prefix of one constant. */
  if (amount == 0) {
    const size_t size = scale == 0 ? 2 : 3 + scale;
    char *at = value_room(out, size + 1);
    memcpy(at, zero, size);
    at[size] = '"';
    out->size += size + 1;
    return;
  }
  char *at = value_room(out, HF_AMOUNT_TEXT_MAX + 2);
  at[0] = '"';
  const size_t size = hf_amount_format(amount, scale, at + 1);
  at[size + 1] = '"';
  out->size += size + 2;
}

void json_out_time(struct json_out *out, int64_t unix_us)
{
  char *at = value_room(out, HF_TIME_TEXT_MAX + 2);
  at[0] = '"';
  const size_t size = hf_time_format(unix_us, at + 1);
  at[size + 1] = '"';
  out->size += size + 2;
}

void json_out_hex(struct json_out *out, const void *data, size_t size)
{
  char *at = value_room(out, 2 * size + 3);
  at[0] = '"';
  hf_hex(data, size, at + 1);
  at[2 * size + 1] = '"';
  out->size += 2 * size + 2;
}

/* ---- canonical text -------------------------------------------------------------------------- */

struct member {
  const char *key;
  const json_t *value;
};

static int by_key(const void *a, const void *b)
{
  return strcmp(((const struct member *)a)->key, ((const struct member *)b)->key);
}

static void out_object(struct json_out *out, const json_t *object)
{
  const size_t count = json_object_size(object);
  struct member small[16];
  struct member *members = count <= 16 ? small : rt_alloc(count * sizeof *members);
  size_t filled = 0;
  /* jansson iterates through a pointer that is not const, and changes nothing. */
  union {
    const json_t *given;
    json_t *iterated;
  } of = {.given = object};
  for (void *at = json_object_iter(of.iterated); at != NULL;
       at = json_object_iter_next(of.iterated, at)) {
    CHECK(filled < count);
    members[filled++] = (struct member){json_object_iter_key(at), json_object_iter_value(at)};
  }
  if (filled > 1)
    qsort(members, filled, sizeof members[0], by_key);
  json_out_begin_object(out);
  for (size_t i = 0; i < filled; i++) {
    json_out_key_text(out, members[i].key, strlen(members[i].key));
    json_out_value(out, members[i].value);
  }
  json_out_end_object(out);
  if (members != small)
    rt_free(members);
}

static void out_real(struct json_out *out, double value)
{
  char text[40];
  int size = 0;
  for (int precision = 15; precision <= 17; precision++) {
    size = snprintf(text, sizeof text - 3, "%.*g", precision, value);
    if (strtod(text, NULL) == value) /* exact: the text that reads back as the same number */
      break;
  }
  CHECK(size > 0 && (size_t)size < sizeof text - 3);
  /* It stays a real: 1.0 must not come back as 1. */
  if (strpbrk(text, ".e") == NULL) {
    memcpy(text + size, ".0", 3);
    size += 2;
  }
  json_out_raw(out, text, (size_t)size);
}

static void out_integer(struct json_out *out, json_int_t value)
{
  char text[21];
  text[0] = '-';
  const uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
  const size_t size = unsigned_text(magnitude, text + 1);
  json_out_raw(out, value < 0 ? text : text + 1, value < 0 ? size + 1 : size);
}

void json_out_value(struct json_out *out, const json_t *value)
{
  switch (json_typeof(value)) {
  case JSON_OBJECT:
    out_object(out, value);
    break;
  case JSON_ARRAY:
    json_out_begin_array(out);
    for (size_t i = 0; i < json_array_size(value); i++)
      json_out_value(out, json_array_get(value, i));
    json_out_end_array(out);
    break;
  case JSON_STRING:
    json_out_text(out, json_string_value(value), json_string_length(value));
    break;
  case JSON_INTEGER:
    out_integer(out, json_integer_value(value));
    break;
  case JSON_REAL:
    out_real(out, json_real_value(value));
    break;
  case JSON_TRUE:
    json_out_bool(out, true);
    break;
  case JSON_FALSE:
    json_out_bool(out, false);
    break;
  case JSON_NULL:
    json_out_null(out);
    break;
  }
}
