/* pg_engine.h - the store as an engine that blocks: one session, driven with poll(2). Internal.
 *
 * For the command line, the start of a server, and tests. Owner and thread: its user, one at a
 * time. */
#ifndef HOLDFAST_PG_ENGINE_H
#define HOLDFAST_PG_ENGINE_H

#include "adapters/store/store_admin.h"
#include "adapters/store_postgres/pg_session.h"
#include "adapters/store_postgres/store_postgres.h"

#define PG_RESOLVE_MAX_US 10000000u /* a doubt that lasts longer is answered STORE_UNKNOWN */
#define PG_RESOLVE_PAUSE_US 100000u /* between two attempts to settle it */
#define PG_WARY_COMMITS 64u         /* after a hit that many commits look before they write */

struct pg_engine {
  struct store_engine engine;
  struct store_postgres_config config; /* its texts are copies */
  char application_name[32];
  struct pg_database database;
  struct pg_session_config session_config;
  struct pg_session session;
  struct pg_talk talk;     /* the one under way */
  bool ended, lost;        /* it */
  unsigned wary;           /* commits left that look first */
  uint64_t resolve_max_us; /* PG_RESOLVE_MAX_US */
};

/* Not connected yet. engine.ops->close frees it. */
struct pg_engine *pg_engine_new(const struct store_postgres_config *config);
/* What sessions are called from now on: 0: the command line's. */
void pg_engine_name(struct pg_engine *engine, uint64_t node);
/* Copies what a session needs of the configuration into `ret_session`; not the callbacks. */
void pg_engine_session_config(const struct pg_engine *engine, const char *dsn, bool standby,
                              struct pg_session_config *ret_session);

/* Connects if need be. False: unavailable; engine->session.why says why. */
bool pg_engine_connect(struct pg_engine *engine);
/* Ends the connection; the next use connects again. */
void pg_engine_disconnect(struct pg_engine *engine);

/* The connection for a while, for work that is no talk: blocking, outside of pipeline mode, without
 * a statement timeout. NULL: unavailable. It goes back with no transaction under way and all
 * results taken; when something is wrong with it, it is dropped there. */
PGconn *pg_engine_borrow(struct store_engine *base);
void pg_engine_return(struct store_engine *base);
const struct pg_database *pg_engine_database(const struct store_engine *engine);

extern const struct store_admin_ops pg_admin_ops; /* pg_admin.c */

#endif
