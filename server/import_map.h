/* import_map.h - from a record to a row: what it means, checked as far as the file alone tells.
 *
 * Pure but for memory. Untrusted input: a record that makes no row is an error with a detail. What
 * is left for the ledger to refuse is what depends on balances, and a transfer to oneself. */
#ifndef HOLDFAST_IMPORT_MAP_H
#define HOLDFAST_IMPORT_MAP_H

#include "actors/store/port.h"
#include "adapters/http/json_out.h"
#include "server/import_options.h"
#include "server/import_source.h"

#define IMPORT_KEY_MAX 255u /* visible ASCII, as in the API */
#define IMPORT_TYPES_MAX 64u
#define IMPORT_FILE_MAX 128u
#define IMPORT_KEY_SEGMENTS_MAX 16u
#define IMPORT_METADATA_COLUMNS_MAX 64u
#define IMPORT_METADATA_MAX 4096u /* bytes of JSON */
#define IMPORT_DETAIL_MAX 192u
#define IMPORT_NUMBER_MAX 24u
#define IMPORT_CUT_TEXT_MAX 64u

struct import_user;
struct import_row {     /* one line that means something; one block of memory but for metadata */
  uint64_t line;        /* 0: made by --prefund */
  uint64_t number;      /* its place in the order of import */
  uint8_t type;         /* enum ledger_type; 0: users only */
  bool credit;          /* takes from no bucket: needs nothing to be there */
  hf_amount amount;     /* base units */
  int64_t effective_us; /* 0: none */
  const char *user, *to_user; /* external ids; to_user NULL: none */
  const char *key;
  const char *raw; /* the line, for the file of rejects; NULL: not kept */
  size_t raw_size;
  json_t *metadata; /* NULL: none */
  /* import_users.h */
  struct import_user *payer, *payee;
  struct import_row *next;           /* in the payer's queue */
  struct import_row *before, *after; /* among what the payee waits for */
  bool started;                      /* was sent, and is not back */
  bool came_back;                    /* had to be sent again */
  bool sure, released;               /* see import_users.h */
};
void import_row_free(struct import_row *row);

struct import_column { /* by place in a CSV file, by name in NDJSON */
  const char *name;    /* NULL: not used */
  size_t index;
};

struct import_segment { /* of the key's template: a text, then what it is followed by */
  const char *text;
  size_t size;
  enum { IMPORT_KEY_END, IMPORT_KEY_LINE, IMPORT_KEY_FILE, IMPORT_KEY_COLUMN } then;
  struct import_column column;
};

enum import_effective { IMPORT_RFC3339, IMPORT_UNIX, IMPORT_YYMMDD, IMPORT_YYYY_MM_DD };

struct import_type {
  const char *value; /* in the type column */
  uint8_t type;
};

struct import_map {
  const struct import_options *options;
  char file[IMPORT_FILE_MAX]; /* name without folders, visible ASCII: {file} */
  unsigned scale;             /* of the asset */
  int64_t now_us;
  bool keep_raw; /* the caller's: rows keep the line they come from */
  bool users_only, base_units, truncate;
  uint8_t type;    /* of every line; 0: by column */
  uint8_t prefund; /* enum ledger_type; 0: none */
  enum import_effective effective_format;
  struct import_column user, to_user, amount, type_column, effective, group;
  struct import_type types[IMPORT_TYPES_MAX];
  size_t types_count;
  struct import_segment key[IMPORT_KEY_SEGMENTS_MAX];
  size_t key_count;
  struct import_column metadata[IMPORT_METADATA_COLUMNS_MAX];
  size_t metadata_count;
  char *words[3]; /* copies of lists that names were cut out of */
  struct json_out text;
  uint64_t cut_count; /* amounts that --truncate cut */
  hf_amount cut_sum;  /* what it cut off, in 10^-38 */
};

/* `path`, `scale` and `now_us` as of this run. Prints what is wrong and returns false; deinit all
 * the same. */
MUST_CHECK bool import_map_init(struct import_map *map, const struct import_options *options,
                                const char *path, unsigned scale, int64_t now_us);
/* Finds the columns in the header of a CSV file; prints which one misses. */
MUST_CHECK bool import_map_bind(struct import_map *map, const struct import_source *source);
void import_map_deinit(struct import_map *map);
/* HF_OK and a row, or what is wrong with the record. */
MUST_CHECK enum hf_error import_map_row(struct import_map *map, const struct import_record *record,
                                        struct import_row **ret_row,
                                        char ret_detail[IMPORT_DETAIL_MAX]);
/* The row of --prefund that gives `user` what it is short of. */
struct import_row *import_map_prefund(const struct import_map *map, const char *user,
                                      hf_amount amount);
/* The value of --credits-first's column. */
struct import_text import_map_group(const struct import_map *map,
                                    const struct import_record *record,
                                    char scratch[IMPORT_NUMBER_MAX]);
/* What --truncate cut off, all in all: decimal text of the asset. */
void import_map_cut_text(const struct import_map *map, char out[IMPORT_CUT_TEXT_MAX]);

/* What an operation of that type does to the claimable bucket: 1, 0, -1. An adjust that takes away
 * counts as the caller sees its sign: 1 here. */
int import_type_effect(unsigned type);
/* May it stand in a file: an operation that refers to no other one. */
bool import_type_allowed(unsigned type);

#endif
