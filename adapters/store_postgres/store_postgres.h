/* store_postgres.h - the PostgreSQL store: a port on the loops, and an engine for the command line.
 *
 * Threads: the port's sessions belong to a loop each and are touched by it alone; the engine blocks
 *          and has one session, used by one thread at a time.
 * Journal and tables: pg_schema.h. Sessions, doubt and fencing: pg_session.h. */
#ifndef HOLDFAST_STORE_POSTGRES_H
#define HOLDFAST_STORE_POSTGRES_H

#include "actors/store/port.h"
#include "adapters/store/store_admin.h"

struct store_postgres_config {
  const char *dsn;         /* URI or keyword string of libpq; sslmode and so on are in it */
  const char *replica_dsn; /* history reads go there while its lag is small; NULL or "": none */
  uint64_t replica_lag_us; /* more lag than this: the primary is read instead */
  uint64_t node;           /* names the sessions, "holdfast-<hex>"; 0: the command line */
  unsigned partition_bits; /* used when the schema is made; else what it was made with */
  unsigned commits;        /* commit sessions per loop, 1..16: the port's window */
  unsigned readers;        /* read sessions per loop, 1..16 */
  uint64_t connect_timeout_us;
  uint64_t statement_timeout_us;
  uint64_t lock_timeout_us;
  bool migrate; /* apply migrations; false: refuse an old schema */
  void (*log)(void *arg, int level, const char *component, const char *text);
  void *log_arg;
};

/* Connects, migrates or checks the schema. The engine serves every kind of request, blocking.
 * Errors: `ret_why` is for a person and has no password in it. */
MUST_CHECK enum hf_error store_postgres_open(const struct store_postgres_config *config,
                                             struct store_engine **ret_engine, char ret_why[256]);
unsigned store_postgres_schema_known(void);
/* Applies the missing migrations, or with `dry_run` only looks; tells each. Errors as above. */
MUST_CHECK enum hf_error store_postgres_migrate(const struct store_postgres_config *config,
                                                bool dry_run, store_migration_each each, void *arg,
                                                char ret_why[256]);
/* Of the cluster's links; the same for every node of a database. */
void store_postgres_secret(struct store_engine *engine, uint8_t ret_secret[32]);
/* Gives up what the node owns, at the end of a drained process. */
MUST_CHECK enum hf_error store_postgres_leave(struct store_engine *engine, uint64_t node);

/* The port of `loops` loops. Takes the engine: freeing the port closes it. Every loop calls begin
 * before its first turn and end after its last, on its own thread. */
struct store_port *store_postgres_port_new(struct store_engine *engine,
                                           const struct store_postgres_config *config,
                                           unsigned loops);
void store_postgres_port_loop_begin(struct store_port *base, rt_ctx *ctx);
void store_postgres_port_loop_end(struct store_port *base, rt_ctx *ctx);
void store_postgres_port_free(struct store_port *base);

#endif
