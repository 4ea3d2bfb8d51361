/* import_map.h - from a record to a row: what it means, checked as far as the file alone tells.
 *
 * Pure but for memory. Untrusted input: a record that makes no row is an error with a detail. What
 * is left for the ledger to refuse is what depends on balances, and a transfer to oneself. */
#ifndef HOLDFAST_IMPORT_MAP_H
#define HOLDFAST_IMPORT_MAP_H

#include "actors/ledger/ledger.h"
#include "adapters/http/json_out.h"
#include "server/import_options.h"
#include "server/import_source.h"

#define IMPORT_KEY_MAX 255u /* visible ASCII, as in the API */
#define IMPORT_TYPES_MAX 64u
#define IMPORT_METADATA_MAX 4096u
#define IMPORT_FILE_MAX 128u

struct import_user;
struct import_row { /* one line that means something; one block of memory but for metadata */
  uint64_t line;        /* 0: made by --prefund */
  uint64_t number;      /* its place in the order of import */
  uint8_t type;         /* enum ledger_type; 0: users only */
  bool credit;          /* adds to what can be spent, takes from nothing */
  hf_amount amount;     /* base units */
  int64_t effective_us; /* 0: none */
  const char *user, *to_user; /* external ids; to_user NULL: none */
  const char *key;
  const char *raw; /* the line, for the file of rejects; NULL: not kept */
  size_t raw_size;
  json_t *metadata; /* NULL: none */
  /* import_users.h */
  struct import_user *payer, *payee;
  struct import_row *next;                      /* in the payer's queue */
  struct import_row *before, *after;            /* among what the payee waits for */
  bool awaited;                                 /* is there */
  unsigned attempts;
};
void import_row_free(struct import_row *row);

struct import_column { /* by place in a CSV file, by name in NDJSON */
  const char *name; /* NULL: not used */
  size_t index;
};

enum import_effective { IMPORT_RFC3339, IMPORT_UNIX, IMPORT_YYMMDD, IMPORT_YYYY_MM_DD };

struct import_type {
  const char *value; /* in the type column */
  size_t value_size;
  uint8_t type;
};

struct import_map {
  const struct import_options *options;
  char file[IMPORT_FILE_MAX]; /* name without folders, as {file} */
  unsigned scale;
  int64_t now_us;
  bool keep_raw;
  bool users_only;
  bool base_units;
  uint8_t type; /* of every line; 0: by column */
  uint8_t prefund; /* enum ledger_type; 0: none */
  enum import_effective effective_format;
  struct import_column user, to_user, amount, type_column, effective, group;
  struct import_type types[IMPORT_TYPES_MAX];
  size_t types_count;
  struct import_column metadata[IMPORT_FIELDS_MAX];
  size_t metadata_count;
  char *names;  /* memory of names cut out of lists */
  json_t *lent; /* a value that the last look at a column made into text */
  char number[32];
  struct json_out text;
  /* --truncate: what was cut off, in units of 10^-IMPORT_CUT_SCALE of the asset */
  uint64_t cut_count;
  hf_amount cut_sum;
};
#define IMPORT_CUT_SCALE 27u

/* `path`, `scale` and `now_us` as of this run. Prints what is wrong and returns false. */
MUST_CHECK bool import_map_init(struct import_map *map, const struct import_options *options,
                                const char *path, unsigned scale, int64_t now_us);
/* Finds the columns in the header of a CSV file; prints which one misses. */
MUST_CHECK bool import_map_bind(struct import_map *map, const struct import_source *source);
void import_map_deinit(struct import_map *map);
/* HF_OK and a row, or what is wrong with the record. */
MUST_CHECK enum hf_error import_map_row(struct import_map *map, const struct import_record *record,
                                        struct import_row **ret_row, char detail[192]);
/* The row of --prefund that gives `user` what it is short of. */
struct import_row *import_map_prefund(const struct import_map *map, const char *user,
                                      hf_amount amount);
/* The value of --credits-first's column; "" without. */
struct import_text import_map_group(struct import_map *map, const struct import_record *record);

/* Does an operation of that type only add to the claimable bucket? */
bool import_type_credits(unsigned type);
/* Does it take its amount out of the claimable bucket? */
bool import_type_debits(unsigned type);
/* May it stand in a file: an operation that refers to no other one. */
bool import_type_allowed(unsigned type);

#endif
