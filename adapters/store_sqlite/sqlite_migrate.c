/* sqlite_migrate.c - the schema alone, for `holdfast migrate`. */
#include <stdio.h>
#include <unistd.h>

#include "adapters/store_sqlite/sqlite_engine.h"
#include "adapters/store_sqlite/sqlite_schema.h"

/* The schema that the file has; 0: there is none yet. */
static unsigned version_of(const struct store_sqlite_config *config)
{
  struct sqlite_db db = {.handle = NULL};
  const struct sqlite_db_config look = {
    .path = config->path, .vfs = config->vfs, .role = SQLITE_ROLE_WRITER, .read_only = true};
  int64_t version = 0;
  if (sqlite_db_open(&db, &look) == SQLITE_OK)
    version = sqlite_db_integer(&db, "PRAGMA user_version", 0);
  sqlite_db_close(&db);
  return version > 0 && version <= (int64_t)sqlite_schema_known() ? (unsigned)version : 0;
}

enum hf_error store_sqlite_migrate(const struct store_sqlite_config *config, bool dry_run,
                                   store_migration_each each, void *arg,
                                   char ret_why[SQLITE_WHY_SIZE])
{
  struct store_sqlite_config own = *config;
  struct store_engine *engine = NULL;
  bool there = access(config->path, F_OK) == 0;
  unsigned before = there ? version_of(config) : 0;
  own.migrate = !dry_run;
  own.read_only = dry_run;
  /* What is incomplete cannot be opened for a look: its file is judged when it is migrated. */
  if (!dry_run || (there && before == sqlite_schema_known())) {
    enum hf_error error = store_sqlite_open(&own, &engine, ret_why);
    if (error != HF_OK)
      return error;
    engine->ops->close(engine);
  }
  for (unsigned i = 1; i <= sqlite_schema_known(); i++)
    each(arg, i, "tables of the embedded store",
         i <= before ? STORE_MIGRATION_THERE
         : dry_run   ? STORE_MIGRATION_MISSING
                     : STORE_MIGRATION_APPLIED);
  return HF_OK;
}
