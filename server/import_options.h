/* import_options.h - how a file's columns become operations: flags, or a mapping file of the same
 * names. One table for the command line, --help, docs/IMPORT.md and mapping files. */
#ifndef HOLDFAST_IMPORT_OPTIONS_H
#define HOLDFAST_IMPORT_OPTIONS_H

#include <stdbool.h>

#include "server/options.h"

/* X(name, flag, takes a value, may stand in a mapping file, help) */
#define IMPORT_OPTIONS(X)                                                                          \
  X(profile, "profile", true, false,                                                               \
    "Mapping file (INI, name = value): a path, or NAME.ini "                                       \
    "beside FILE")                                                                                 \
  X(format, "format", true, true, "csv or ndjson; default: by the file's name")                    \
  X(separator, "separator", true, true, "CSV separator, one character or \"tab\"; default ,")      \
  X(asset, "asset", true, true, "Code of the asset of every line")                                 \
  X(scale, "scale", true, true, "Digits behind its point, 0 to 18: makes the asset when missing")  \
  X(type, "type", true, true,                                                                      \
    "Operation of every line: earn settle mature grant deposit spend "                             \
    "hold block transfer adjust quarantine release")                                               \
  X(type_column, "type-column", true, true, "Column that says the operation")                      \
  X(type_map, "type-map", true, true, "VALUE=OPERATION,... for --type-column")                     \
  X(user_column, "user-column", true, true, "Column of the user's external id; made when missing") \
  X(to_user_column, "to-user-column", true, true, "Column of a transfer's payee")                  \
  X(amount_column, "amount-column", true, true, "Column of the amount")                            \
  X(amount_unit, "amount-unit", true, true,                                                        \
    "decimal (default) or base: integers of the smallest "                                         \
    "unit")                                                                                        \
  X(truncate, "truncate", false, true, "Cut digits beyond the scale; the difference is reported")  \
  X(effective_column, "effective-column", true, true, "Column of the effective time")              \
  X(effective_format, "effective-format", true, true,                                              \
    "rfc3339 (default), unix, yymmdd or "                                                          \
    "yyyy-mm-dd; UTC")                                                                             \
  X(key, "key", true, true,                                                                        \
    "Idempotency key, with {column}, {line} and {file}; default "                                  \
    "{file}:{line}")                                                                               \
  X(label, "label", true, true, "Source of credits, partner of a spend")                           \
  X(reason, "reason", true, true, "Reason of every operation; adjust needs one")                   \
  X(metadata_columns, "metadata-columns", true, true, "Columns a,b,... to keep as metadata")       \
  X(credits_first, "credits-first", true, true,                                                    \
    "Of consecutive lines with the same value in "                                                 \
    "this column, credits come first")                                                             \
  X(prefund, "prefund", true, true,                                                                \
    "deposit or grant: first give each payer the most that it is "                                 \
    "ever short of")                                                                               \
  X(users_only, "users-only", false, true, "Make the users, no operations")                        \
  X(dry_run, "dry-run", false, false, "Check and count everything, write nothing")                 \
  X(rejects, "rejects", true, false, "File for what was rejected: line, code, detail, the line")   \
  X(allow_rejects, "allow-rejects", false, true, "Exit with 0 although lines were rejected")       \
  X(in_flight, "in-flight", true, true, "Lines under way at a time, 1 to 65536; default 16384")

enum import_option {
#define X(name, flag, value, mappable, help) IMPORT_OPTION_##name,
  IMPORT_OPTIONS(X)
#undef X
    IMPORT_OPTION_COUNT
};

struct import_options { /* NULL: not given; "": a flag without value that is given */
#define X(name, flag, value, mappable, help) const char *name;
  IMPORT_OPTIONS(X)
#undef X
};

/* The table for options_read and options_help; the caller's, with one empty row at the end. */
void import_options_extra(struct option_extra extra[IMPORT_OPTION_COUNT + 1]);
/* Takes what options_read found, then reads the mapping file, if one is named, for what the command
 * line leaves open. `path` is the file to import. Prints what is wrong and returns false. */
bool import_options_read(struct import_options *options, const struct option_extra *extra,
                         const char *path);
void import_options_free(struct import_options *options);

#endif
