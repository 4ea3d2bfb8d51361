/* Two walks over a record: one finds its end, the other takes it apart. */
#include "server/import_csv.h"

#include <string.h>

#include "holdfast/check.h"

enum csv_end csv_record(const char *at, size_t size, char separator, size_t *ret_size)
{
  bool quoted = false, field_start = true;
  for (size_t i = 0; i < size; i++) {
    const char c = at[i];
    if (quoted) {
      quoted = c != '"'; /* the second of a pair of quotes opens the field again */
      field_start = !quoted;
      continue;
    }
    if (c == '\n') {
      *ret_size = i + 1u;
      return CSV_COMPLETE;
    }
    if (c == '"' && field_start)
      quoted = true;
    field_start = c == separator;
  }
  *ret_size = size;
  return quoted ? CSV_QUOTED : CSV_OPEN;
}

/* A quoted field from behind its opening quote: its text goes to `out`. Returns where it ends,
 * behind the closing quote, or NULL. */
static const char *unquote(const char *at, const char *end, char **out)
{
  for (; at < end; at++) {
    if (*at == '"') {
      if (at + 1 == end || at[1] != '"')
        return at + 1;
      at++;
    }
    *(*out)++ = *at;
  }
  return NULL;
}

const char *csv_split(const char *at, size_t size, char separator, char *room,
                      struct import_text fields[IMPORT_FIELDS_MAX], size_t *ret_count)
{
  const char *end = at + size;
  char *out = room;
  size_t count = 0;
  if (memchr(at, '\0', size) != NULL)
    return "a NUL byte";
  if (end > at && end[-1] == '\n')
    end--;
  if (end > at && end[-1] == '\r')
    end--;
  for (;;) {
    if (count == IMPORT_FIELDS_MAX)
      return "too many fields";
    char *start = out;
    if (at < end && *at == '"') {
      at = unquote(at + 1, end, &out);
      if (at == NULL)
        return "a quoted field is not closed";
      if (at < end && *at != separator)
        return "text behind a closing quote";
    } else {
      while (at < end && *at != separator)
        *out++ = *at++;
    }
    fields[count++] = (struct import_text){start, (size_t)(out - start)};
    *out++ = '\0'; /* in the place of the separator, or of the record's end */
    CHECK(out <= room + size + 1u);
    if (at == end)
      break;
    at++;
  }
  *ret_count = count;
  return NULL;
}
