/* export_table.h - rows of named columns to CSV (RFC 4180, with a header) or NDJSON.
 *
 * Memory: one row. The NDJSON members have the API's names and types: ids and amounts are
 * strings. */
#ifndef HOLDFAST_EXPORT_TABLE_H
#define HOLDFAST_EXPORT_TABLE_H

#include <stdio.h>

#include "adapters/http/json_out.h"
#include "holdfast/check.h"
#include "holdfast/id.h"

#define EXPORT_COLUMNS_MAX 32u

enum export_kind {
  EXPORT_NULL, /* CSV: an empty field */
  EXPORT_TEXT,
  EXPORT_BARE, /* JSON as it is: numbers, objects, true and false */
};

struct export_cell {
  enum export_kind kind;
  const char *at; /* the caller's, or in the table's memory */
  size_t size;
};

struct export_table {
  FILE *file;
  bool json;
  const char *const *names; /* all columns of these rows */
  size_t names_count;
  size_t chosen[EXPORT_COLUMNS_MAX]; /* of those, in the order of --columns */
  size_t chosen_count;
  struct export_cell cells[EXPORT_COLUMNS_MAX]; /* the row that is being made, by names */
  char room[EXPORT_COLUMNS_MAX][72];            /* texts of numbers, ids, amounts, times, hashes */
  struct json_out out;
  uint64_t rows;
};

/* `columns`: a,b,... or NULL for all. False: a name is unknown; said on stderr. */
MUST_CHECK bool export_table_init(struct export_table *table, FILE *file, bool json,
                                  const char *const *names, size_t names_count,
                                  const char *columns);
void export_table_deinit(struct export_table *table);
void export_table_header(struct export_table *table); /* CSV only */

/* Each sets one cell of the row; a cell that is not set is null. `column` is an index of names. */
void export_text(struct export_table *table, size_t column, const char *at, size_t size);
void export_string(struct export_table *table, size_t column, const char *text); /* NULL: null */
void export_bare(struct export_table *table, size_t column, const char *json, size_t size);
void export_number(struct export_table *table, size_t column, uint64_t number);
void export_id(struct export_table *table, size_t column, hf_id id); /* 0: null */
void export_amount(struct export_table *table, size_t column, hf_amount amount, unsigned scale);
void export_time(struct export_table *table, size_t column, int64_t unix_us); /* 0: null */
void export_hex(struct export_table *table, size_t column, const void *data, size_t size);
/* Writes the row and clears it. False: the file cannot be written. */
MUST_CHECK bool export_row(struct export_table *table);

#endif
