/* fuzz_csv.c - libFuzzer target: where a CSV record ends, and its fields, against a plain reading.
 *
 * Input: a separator's byte, then text. Properties: records cut the text whole, and more text
 * behind a complete record does not move its end; a record's fields are those of the plain
 * reading; written with quotes around every field they are read again. */
#include "server/import_csv.h"
#include "tests/fuzz/input.h"

/* The next field of [at, end): its text at `out`, which is terminated. NULL: malformed. */
static const char *plain_field(const char *at, const char *end, char separator, char *out)
{
  bool quoted = at < end && *at == '"';
  if (quoted)
    at++;
  for (;; at++) {
    if (at == end && quoted)
      return NULL;
    if (!quoted && (at == end || *at == separator))
      break;
    if (quoted && *at == '"') {
      if (at + 1 < end && at[1] == '"') {
        at++;
      } else {
        at++;
        break;
      }
    }
    *out++ = *at;
  }
  *out = '\0';
  return at == end || *at == separator ? at : NULL;
}

static void check_plain(const char *at, size_t size, char separator,
                        const struct import_text *fields, size_t count)
{
  const char *end = at + size;
  char *out = malloc(size + 1u);
  CHECK(out != NULL);
  if (end > at && end[-1] == '\n')
    end--;
  if (end > at && end[-1] == '\r')
    end--;
  for (size_t i = 0; i < count; i++) {
    at = plain_field(at, end, separator, out);
    CHECK(at != NULL && strcmp(out, fields[i].at) == 0 && strlen(out) == fields[i].size);
    CHECK((at == end) == (i + 1u == count));
    at++;
  }
  free(out);
}

static void check_again(const struct import_text *fields, size_t count, size_t size, char separator)
{
  char *text = malloc(2u * size + 3u * count + 8u), *room;
  struct import_text again[IMPORT_FIELDS_MAX];
  size_t used = 0, again_count = 0, record;
  CHECK(text != NULL);
  for (size_t i = 0; i < count; i++) {
    text[used++] = '"';
    for (size_t j = 0; j < fields[i].size; j++) {
      if (fields[i].at[j] == '"')
        text[used++] = '"';
      text[used++] = fields[i].at[j];
    }
    text[used++] = '"';
    text[used++] = i + 1u < count ? separator : '\n';
  }
  CHECK(csv_record(text, used, separator, &record) == CSV_COMPLETE && record == used);
  room = malloc(used + 1u);
  CHECK(room != NULL);
  CHECK(csv_split(text, used, separator, room, again, &again_count) == NULL);
  CHECK(again_count == count);
  for (size_t i = 0; i < count; i++)
    CHECK(again[i].size == fields[i].size && strcmp(again[i].at, fields[i].at) == 0);
  free(room);
  free(text);
}

static void check_record(const char *at, size_t size, char separator, bool complete)
{
  struct import_text fields[IMPORT_FIELDS_MAX];
  size_t count = 0;
  char *room = malloc(size + 1u), *record = malloc(size + (size == 0));
  CHECK(room != NULL && record != NULL);
  memcpy(record, at, size);
  const char *wrong = csv_split(record, size, separator, room, fields, &count);
  if (wrong == NULL) {
    CHECK(count >= 1 && count <= IMPORT_FIELDS_MAX);
    check_plain(record, size, separator, fields, count);
    check_again(fields, count, size, separator);
  } else {
    CHECK(!complete || strcmp(wrong, "a quoted field is not closed") != 0);
  }
  free(record);
  free(room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static const char separators[] = {',', ';', '\t', '|'};
  struct input input = {data, size};
  char separator = separators[input_u8(&input) % 4u];
  char *text = input_bytes(&input, input.size, &size);
  size_t at = 0, record, alone;
  while (at < size) {
    enum csv_end end = csv_record(text + at, size - at, separator, &record);
    CHECK(record > 0 && record <= size - at);
    CHECK((end == CSV_COMPLETE) ? text[at + record - 1u] == '\n' : record == size - at);
    if (end == CSV_COMPLETE) {
      CHECK(csv_record(text + at, record, separator, &alone) == CSV_COMPLETE && alone == record);
      CHECK(record == 1 || csv_record(text + at, record - 1u, separator, &alone) != CSV_COMPLETE);
    }
    check_record(text + at, record, separator, end == CSV_COMPLETE);
    at += record;
  }
  free(text);
  return 0;
}
