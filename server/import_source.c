/* A buffer that holds at least one whole record, refilled from the file. */
#include "server/import_source.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "adapters/http/json_in.h"
#include "holdfast/rt.h"

#define BUFFER_SIZE (IMPORT_RECORD_MAX + (256u << 10))

static void refill(struct import_source *source)
{
  if (source->start > 0) {
    memmove(source->buffer, source->buffer + source->start, source->end - source->start);
    source->end -= source->start;
    source->start = 0;
  }
  size_t got = fread(source->buffer + source->end, 1, BUFFER_SIZE - source->end, source->file);
  source->end += got;
  source->ended = source->end < BUFFER_SIZE; /* fread gives less only at the end */
}

static size_t line_size(const char *at, size_t size)
{
  const char *found = memchr(at, '\n', size);
  return found == NULL ? size : (size_t)(found - at) + 1u;
}

/* The bytes of the next record, 0 at the end. A record that does not end is cut at its first line
 * break, so that the lines behind it are not lost; *ret_wrong says so then. */
static size_t record_size(struct import_source *source, const char **ret_wrong)
{
  *ret_wrong = NULL;
  for (;;) {
    const char *at = source->buffer + source->start;
    size_t have = source->end - source->start, size = have;
    enum csv_end end = CSV_COMPLETE;
    if (source->format == IMPORT_CSV)
      end = csv_record(at, have, source->separator, &size);
    else if (memchr(at, '\n', have) != NULL)
      size = line_size(at, have);
    else
      end = CSV_OPEN;
    if (end == CSV_COMPLETE && size <= IMPORT_RECORD_MAX)
      return size;
    if (end != CSV_COMPLETE && !source->ended && have < IMPORT_RECORD_MAX) {
      refill(source);
      continue;
    }
    if (have <= IMPORT_RECORD_MAX && end == CSV_OPEN)
      return have; /* the last line has no end, or there is none */
    *ret_wrong = end == CSV_QUOTED ? "a quoted field is not closed" : "a record of over a MiB";
    return line_size(at, have);
  }
}

static uint64_t count_lines(const char *at, size_t size)
{
  uint64_t lines = 0;
  for (const char *end = at + size; at < end; lines++) {
    at = memchr(at, '\n', (size_t)(end - at));
    if (at == NULL)
      break;
    at++;
  }
  return lines;
}

/* The next record's bytes, taken out of the buffer. False at the end. */
static bool take(struct import_source *source, struct import_record *ret_record)
{
  for (;;) {
    const char *wrong;
    size_t size = record_size(source, &wrong);
    if (size == 0)
      return false;
    const char *at = source->buffer + source->start;
    *ret_record = (struct import_record){.line = source->line, .raw = at, .raw_size = size};
    source->line += count_lines(at, size);
    source->start += size;
    source->bytes_done += size;
    while (ret_record->raw_size > 0 &&
           (at[ret_record->raw_size - 1u] == '\n' || at[ret_record->raw_size - 1u] == '\r'))
      ret_record->raw_size--;
    if (ret_record->raw_size == 0)
      continue; /* an empty line is no record */
    if (wrong != NULL) {
      ret_record->error = HF_E_INVALID_BODY;
      ret_record->detail = wrong;
    }
    return true;
  }
}

static void read_csv(struct import_source *source, struct import_record *record)
{
  const char *wrong = csv_split(record->raw, record->raw_size, source->separator, source->room,
                                source->fields, &record->count);
  if (wrong == NULL && record->count != source->header_count) {
    snprintf(source->detail, sizeof source->detail, "%zu fields where the header has %zu",
             record->count, source->header_count);
    wrong = source->detail;
  }
  record->fields = source->fields;
  if (wrong != NULL) {
    record->error = HF_E_INVALID_BODY;
    record->detail = wrong;
  }
}

static void read_ndjson(struct import_source *source, struct import_record *record)
{
  struct json_problem problem = {0};
  json_decref(source->object);
  source->object = json_in_parse(record->raw, record->raw_size, &problem);
  record->object = source->object;
  if (source->object == NULL) {
    snprintf(source->detail, sizeof source->detail, "%s", problem.detail);
    record->error = problem.error;
    record->detail = source->detail;
  }
}

bool import_source_next(struct import_source *source, struct import_record *ret_record)
{
  if (!take(source, ret_record))
    return false;
  if (ret_record->error != HF_OK)
    return true;
  if (source->format == IMPORT_CSV)
    read_csv(source, ret_record);
  else
    read_ndjson(source, ret_record);
  return true;
}

bool import_source_failed(const struct import_source *source)
{
  return ferror(source->file) != 0;
}

/* ---- opening --------------------------------------------------------------------------------- */

static void skip_mark(struct import_source *source)
{
  refill(source);
  if (source->end >= 3u && memcmp(source->buffer, "\xef\xbb\xbf", 3) == 0)
    source->start = 3; /* the byte order mark of UTF-8 */
  source->bytes_done = source->start;
}

static bool read_header(struct import_source *source, char why[256])
{
  struct import_record record;
  if (!take(source, &record)) {
    snprintf(why, 256, "no header line");
    return false;
  }
  rt_free(source->header_room);
  source->header_room = rt_alloc(record.raw_size + 1u);
  const char *wrong = record.error != HF_OK
                        ? record.detail
                        : csv_split(record.raw, record.raw_size, source->separator,
                                    source->header_room, source->header, &source->header_count);
  if (wrong != NULL)
    snprintf(why, 256, "the header: %s", wrong);
  return wrong == NULL;
}

bool import_source_open(struct import_source *source, const char *path, enum import_format format,
                        char separator, char why[256])
{
  struct stat status;
  *source = (struct import_source){
    .format = format, .separator = separator, .stream = strcmp(path, "-") == 0, .line = 1};
  source->file = source->stream ? stdin : fopen(path, "re");
  if (source->file == NULL) {
    snprintf(why, 256, "%s", strerror(errno));
    return false;
  }
  if (fstat(fileno(source->file), &status) == 0 && S_ISREG(status.st_mode))
    source->bytes_total = (uint64_t)status.st_size;
  source->buffer = rt_alloc(BUFFER_SIZE);
  source->room = rt_alloc(IMPORT_RECORD_MAX + 1u);
  skip_mark(source);
  if (ferror(source->file)) {
    snprintf(why, 256, "%s", strerror(errno));
    return false;
  }
  return format != IMPORT_CSV || read_header(source, why);
}

void import_source_close(struct import_source *source)
{
  if (source->file != NULL && !source->stream)
    fclose(source->file);
  json_decref(source->object);
  rt_free(source->buffer);
  rt_free(source->room);
  rt_free(source->header_room);
  *source = (struct import_source){0};
}

bool import_source_rewind(struct import_source *source)
{
  char why[256];
  if (source->stream || fseek(source->file, 0, SEEK_SET) != 0)
    return false;
  source->start = source->end = 0;
  source->line = 1;
  source->ended = false;
  skip_mark(source);
  return source->format != IMPORT_CSV || read_header(source, why);
}

size_t import_source_column(const struct import_source *source, const char *name)
{
  for (size_t i = 0; i < source->header_count; i++)
    if (strcmp(source->header[i].at, name) == 0)
      return i;
  return IMPORT_FIELDS_MAX;
}
