/* store_sqlite.h - the embedded store: one SQLite database, WAL, synchronous=FULL.
 *
 * Threads: execute may be called from several threads; writes (commit, open partition, project)
 * from one at a time, on a connection of their own; each read takes a read-only connection from a
 * small pool. One process: the data folder is locked (flock) while the store is open.
 * Errors: enum hf_error with a text in `ret_why` for a person (what to do, without paths of
 * ours). */
#ifndef HOLDFAST_STORE_SQLITE_H
#define HOLDFAST_STORE_SQLITE_H

#include "actors/store/port.h"
#include "adapters/store/store_admin.h"

struct store_sqlite_config {
  const char *path;        /* database file; its folder exists */
  unsigned partition_bits; /* used when the database is made; otherwise what it was made with */
  unsigned readers;        /* read connections, 1..16 */
  size_t cache_bytes;      /* page cache of the write connection */
  bool migrate;            /* apply migrations; false: refuse an old schema */
  bool read_only;          /* verify, export beside nothing else: no lock is taken for writing */
  const char *vfs;         /* NULL: the default; tests pass a failing one */
  /* Why nothing can be written, once a second at the most, from the thread that writes; NULL:
   * nobody listens. `level` is 3, an error's. */
  void (*log)(void *arg, int level, const char *component, const char *text);
  void *log_arg;
};

MUST_CHECK enum hf_error store_sqlite_open(const struct store_sqlite_config *config,
                                           struct store_engine **ret_engine, char ret_why[256]);
/* Schema versions: what the file has and what this program knows. */
unsigned store_sqlite_schema_known(void);
/* Applies the missing migrations, or with `dry_run` only looks, even when there is no file; tells
 * each. Errors as above. */
MUST_CHECK enum hf_error store_sqlite_migrate(const struct store_sqlite_config *config,
                                              bool dry_run, store_migration_each each, void *arg,
                                              char ret_why[256]);

#endif
