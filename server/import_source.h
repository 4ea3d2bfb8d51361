/* import_source.h - a CSV or NDJSON file as a stream of records: bounded memory, any length.
 *
 * Owner: one thread. Untrusted input: a record that cannot be used is handed out with what is wrong
 * with it, and reading goes on behind it. */
#ifndef HOLDFAST_IMPORT_SOURCE_H
#define HOLDFAST_IMPORT_SOURCE_H

#include <jansson.h>
#include <stdio.h>

#include "holdfast/bytes.h"
#include "holdfast/check.h"
#include "holdfast/error.h"
#include "server/import_csv.h"

#define IMPORT_RECORD_MAX (1u << 20) /* bytes of one record */

enum import_format { IMPORT_CSV, IMPORT_NDJSON };

struct import_record { /* valid until the next one is read */
  uint64_t line;       /* where it starts; the file's first is 1 */
  const char *raw;     /* as it stands in the file, without the last line break */
  size_t raw_size;
  enum hf_error error; /* HF_OK, or why it cannot be used */
  const char *detail;  /* with an error */
  size_t count;        /* CSV: as many as the header has */
  const struct import_text *fields;
  json_t *object; /* NDJSON */
};

struct import_source {
  FILE *file;
  enum import_format format;
  char separator;
  bool stream;  /* standard input: read once only */
  bool ended;   /* all bytes are in the buffer */
  char *buffer; /* what was read and not yet handed out: start .. end */
  size_t start, end;
  uint64_t line;                    /* of the byte at start */
  uint64_t bytes_done, bytes_total; /* total 0: not known */
  char *room;                       /* of the fields' texts */
  char *header_room;                /* of the header's */
  size_t header_count;
  struct import_text header[IMPORT_FIELDS_MAX];
  struct import_text fields[IMPORT_FIELDS_MAX];
  json_t *object;
  char detail[192];
};

/* Opens `path` ("-": standard input) and reads a CSV file's header. False: it cannot be read, and
 * `why` says so. */
MUST_CHECK bool import_source_open(struct import_source *source, const char *path,
                                   enum import_format format, char separator, char why[256]);
void import_source_close(struct import_source *source);
/* From the first record again. False: it cannot be read again. */
MUST_CHECK bool import_source_rewind(struct import_source *source);
/* False: there are no more. */
bool import_source_next(struct import_source *source, struct import_record *ret_record);
/* Reading stopped because of the disk, not because of the file's end. */
bool import_source_failed(const struct import_source *source);
/* The CSV column of that name, or IMPORT_FIELDS_MAX. */
size_t import_source_column(const struct import_source *source, const char *name);

#endif
