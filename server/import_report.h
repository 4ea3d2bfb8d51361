/* import_report.h - what became of the lines: counters, the file of rejects, the summary. */
#ifndef HOLDFAST_IMPORT_REPORT_H
#define HOLDFAST_IMPORT_REPORT_H

#include <stdio.h>

#include "actors/ledger/ledger.h"
#include "holdfast/error.h"

#define IMPORT_REJECTS_SHOWN 10u

struct import_count {
  uint64_t applied, replayed, rejected;
  hf_amount sum; /* of applied and replayed: what the ledger has of this file now */
};

struct import_report {
  const char *path; /* of the file, as it was named */
  bool json;        /* the summary is one JSON object */
  FILE *rejects;    /* NULL: none wanted */
  bool rejects_failed;
  uint64_t lines, rows; /* records read; rows that they and --prefund made */
  uint64_t users_created, users_found;
  struct import_count types[LEDGER_TYPE_COUNT];
  struct import_count prefund;
  uint64_t errors[HF_ERROR_COUNT];
  uint64_t rejected;   /* lines */
  uint64_t retries;    /* times that an operation had to be sent again */
  uint64_t disordered; /* rows applied behind a later one of the same user, after such a retry */
  bool overflow;       /* a sum left the range */
};

/* Opens the file of rejects, if `path` is not NULL; prints why it cannot. */
MUST_CHECK bool import_report_open(struct import_report *report, const char *path);
/* False: the file of rejects could not be written whole. */
bool import_report_close(struct import_report *report);
void import_report_reject(struct import_report *report, uint64_t line, enum hf_error error,
                          const char *detail, const char *raw, size_t raw_size);
void import_report_done(struct import_report *report, unsigned type, bool prefund, hf_amount amount,
                        bool replayed);

struct import_summary { /* what the report does not count itself */
  const char *asset;    /* NULL: users only */
  unsigned scale;
  bool dry_run, stopped;
  uint64_t cut_count;
  const char *cut_text;
  double seconds;
  uint64_t short_users; /* dry run */
  hf_amount short_sum;
};
void import_report_print(const struct import_report *report, const struct import_summary *summary);

#endif
