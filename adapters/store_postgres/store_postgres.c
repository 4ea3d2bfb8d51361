/* store_postgres.c - opening and leaving a database. */
#include "adapters/store_postgres/store_postgres.h"

#include <stdio.h>
#include <string.h>

#include "adapters/store_postgres/pg_engine.h"
#include "adapters/store_postgres/pg_schema.h"
#include "adapters/store_postgres/pg_setup.h"
#include "holdfast/check.h"

static enum hf_error open_schema(struct pg_engine *engine, char why[256])
{
  if (!pg_engine_connect(engine)) {
    (void)snprintf(why, 256, "%s", engine->session.why);
    return HF_E_UNAVAILABLE;
  }
  PGconn *conn = pg_engine_borrow(&engine->engine);
  if (conn == NULL) {
    (void)snprintf(why, 256, "the connection ended");
    return HF_E_UNAVAILABLE;
  }
  enum hf_error error = pg_schema_open(conn, engine->config.migrate, engine->config.partition_bits,
                                       &engine->database, why);
  pg_engine_return(&engine->engine);
  return error;
}

enum hf_error store_postgres_open(const struct store_postgres_config *config,
                                  struct store_engine **ret_engine, char ret_why[256])
{
  CHECK(config->partition_bits <= HF_PARTITION_BITS_MAX);
  CHECK(config->connect_timeout_us > 0 && config->statement_timeout_us > 0);
  if (!pg_setup_dsn_ok(config->dsn) ||
      (config->replica_dsn != NULL && !pg_setup_dsn_ok(config->replica_dsn))) {
    (void)snprintf(ret_why, 256, "the name of the PostgreSQL store is neither a URI nor keywords");
    return HF_E_INVALID_FIELD;
  }
  struct pg_engine *engine = pg_engine_new(config);
  enum hf_error error = open_schema(engine, ret_why);
  if (error != HF_OK) {
    engine->engine.ops->close(&engine->engine);
    return error;
  }
  engine->engine.partition_bits = engine->database.partition_bits;
  memcpy(engine->engine.secret, engine->database.secret, sizeof engine->engine.secret);
  *ret_engine = &engine->engine;
  return HF_OK;
}

unsigned store_postgres_schema_known(void)
{
  return pg_schema_known();
}

void store_postgres_secret(struct store_engine *engine, uint8_t ret_secret[32])
{
  const struct pg_database *database = pg_engine_database(engine);
  memcpy(ret_secret, database->secret, sizeof database->secret);
}

enum hf_error store_postgres_leave(struct store_engine *engine, uint64_t node)
{
  char text[24];
  const char *values[1] = {text};
  PGconn *conn = pg_engine_borrow(engine);
  if (conn == NULL)
    return HF_E_UNAVAILABLE;
  (void)snprintf(text, sizeof text, "%llu", (unsigned long long)node);
  PGresult *result = PQexecParams(conn,
                                  "WITH gone AS (DELETE FROM nodes WHERE id=$1::int8) "
                                  "UPDATE partitions SET owner=NULL WHERE owner=$1::int8",
                                  1, NULL, values, NULL, NULL, 0);
  bool left = PQresultStatus(result) == PGRES_COMMAND_OK;
  PQclear(result);
  pg_engine_return(engine);
  return left ? HF_OK : HF_E_UNAVAILABLE;
}
