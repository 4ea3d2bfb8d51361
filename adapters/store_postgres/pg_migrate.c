/* pg_migrate.c - the schema alone, for `holdfast migrate`. */
#include <stdio.h>

#include "adapters/store_postgres/pg_engine.h"
#include "adapters/store_postgres/pg_schema.h"
#include "adapters/store_postgres/pg_setup.h"

static enum hf_error migrate(struct pg_engine *engine, bool dry_run, store_migration_each each,
                             void *arg, char why[PG_WHY_SIZE])
{
  PGconn *connection = pg_engine_connect(engine) ? pg_engine_borrow(&engine->engine) : NULL;
  if (connection == NULL) {
    (void)snprintf(why, PG_WHY_SIZE, "%s", engine->session.why);
    return HF_E_UNAVAILABLE;
  }
  enum hf_error error =
    pg_schema_migrate(connection, dry_run, engine->config.partition_bits, each, arg, why);
  pg_engine_return(&engine->engine);
  return error;
}

enum hf_error store_postgres_migrate(const struct store_postgres_config *config, bool dry_run,
                                     store_migration_each each, void *arg,
                                     char ret_why[PG_WHY_SIZE])
{
  if (!pg_setup_dsn_ok(config->dsn)) {
    (void)snprintf(ret_why, PG_WHY_SIZE,
                   "the name of the PostgreSQL store is no URI and no keyword string");
    return HF_E_INVALID_FIELD;
  }
  struct pg_engine *engine = pg_engine_new(config);
  enum hf_error error = migrate(engine, dry_run, each, arg, ret_why);
  engine->engine.ops->close(&engine->engine);
  return error;
}
