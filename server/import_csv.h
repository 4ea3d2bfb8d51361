/* import_csv.h - RFC 4180: where a record ends, and its fields. Pure; untrusted input.
 *
 * Accepted beyond the RFC: LF alone as a line break, another separator, a last line without an end.
 * A quote that does not start a field is an ordinary character; one that closes a field must be
 * followed by the separator or the end of the record. */
#ifndef HOLDFAST_IMPORT_CSV_H
#define HOLDFAST_IMPORT_CSV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IMPORT_FIELDS_MAX 256u

struct import_text { /* NUL-terminated */
  const char *at;
  size_t size;
};

enum csv_end {
  CSV_COMPLETE, /* the record and its line break are there */
  CSV_OPEN,     /* more bytes are needed: no line break yet */
  CSV_QUOTED,   /* the same, and a quoted field is open */
};
/* The first record of `size` bytes: *ret_size counts its line break, if there is one. When it is
 * not complete, *ret_size is `size`. */
enum csv_end csv_record(const char *at, size_t size, char separator, size_t *ret_size);

/* Splits a record (with or without its line break) into fields. `room` has `size` + 1 bytes and is
 * what the fields point into. NULL, or what is wrong with it (static text). */
const char *csv_split(const char *at, size_t size, char separator, char *room,
                      struct import_text fields[IMPORT_FIELDS_MAX], size_t *ret_count);

#endif
