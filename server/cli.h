/* cli.h - the commands of the binary and what they share. */
#ifndef HOLDFAST_CLI_H
#define HOLDFAST_CLI_H

#include "actors/store/port.h"
#include "adapters/store/store_admin.h"
#include "adapters/store_postgres/store_postgres.h"
#include "server/options.h"

/* Exit codes: 0 done, 1 failed or found something, 2 wrong usage, 3 the store cannot be used. */
enum { EXIT_DONE = 0, EXIT_FOUND = 1, EXIT_USAGE = 2, EXIT_STORE = 3 };

/* X(name, function, arguments, one line). Each gets the whole argv. */
#define COMMANDS(X)                                                                                \
  X("serve", cmd_serve, "", "Run the server")                                                      \
  X("migrate", cmd_migrate, "", "Apply the schema's migrations and exit")                          \
  X("keys", cmd_keys, "create|list|revoke", "Service keys, while no server runs on the data")      \
  X("import", cmd_import, "FILE", "Bring users and entries in from CSV or NDJSON")                 \
  X("export", cmd_export, "", "Write users, entries or balances as CSV or NDJSON")                 \
  X("ledger", cmd_ledger, "replay|verify", "Check balances and hash chains from the journal")      \
  X("selfcheck", cmd_selfcheck, "", "Check the store, the schema and this machine")                \
  X("version", cmd_version, "", "Print the version")

#define X(name, function, arguments, line) int function(int argc, char **argv);
COMMANDS(X)
#undef X

/* Opens the store that the options name; prints why not. NULL then. `read_only` for commands that
 * only look. */
struct store_engine *cli_open_store(const struct options *options, bool read_only);
/* Applies what is missing of the schema, or only says it, telling each migration. False: it cannot
 * be done; why stands on stderr. Memory has none. */
bool cli_migrate(const struct options *options, bool dry_run, store_migration_each each, void *arg);
/* Whether the --store is PostgreSQL's: a URI, or keywords of libpq (`host=... dbname=...`). */
bool cli_is_postgres(const char *store);
/* What the options say of it, but for the node; texts are the options' own. */
void cli_postgres_config(const struct options *options, struct store_postgres_config *ret_config);
/* A progress line on stderr when it is a terminal: "verb 12,345 of 99,999 (12 %) 3.2k/s". Call it
 * as often as you like; it prints at most ten times a second. total 0: unknown. */
void cli_progress(const char *verb, uint64_t done, uint64_t total);
void cli_progress_end(void);
/* True when --help was asked for: prints usage, the options and `more`. */
bool cli_help(int argc, char **argv, const char *usage, const struct option_extra *extra,
              const char *more);

#endif
