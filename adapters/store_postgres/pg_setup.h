/* pg_setup.h - how a connection to PostgreSQL is asked for, and what it must be like. Internal.
 *
 * Owner: the session. Nothing here waits. */
#ifndef HOLDFAST_PG_SETUP_H
#define HOLDFAST_PG_SETUP_H

#include "adapters/store_postgres/pg_session.h"

/* Whether libpq can read the DSN. What libpq says of a bad one may quote a password: it is not
 * passed on. */
bool pg_setup_dsn_ok(const char *dsn);
/* Begins to connect; libpq resolves names itself when `target` is NULL. NULL: no memory. */
PGconn *pg_setup_connect(const struct pg_session_config *config, const struct pg_target *target);
/* Sends the session's settings and asks for those of the server. False: the connection ended. */
bool pg_setup_send(PGconn *conn, const struct pg_session_config *config);
enum pg_setup { PG_SETUP_MORE, PG_SETUP_DONE, PG_SETUP_REFUSED };
/* Takes what came so far. REFUSED: this server will not do; `ret_why` is for a person. */
enum pg_setup pg_setup_take(PGconn *conn, const struct pg_session_config *config,
                            char ret_why[256]);

#endif
