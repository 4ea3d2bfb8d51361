/* pg_names.h - the hosts of a DSN, resolved without blocking the loop. Internal.
 *
 * libpq resolves names by itself and blocks meanwhile; given addresses it does not. The names stay
 * what certificates are checked against.
 * Owner: a loop's group of sessions; its thread. */
#ifndef HOLDFAST_PG_NAMES_H
#define HOLDFAST_PG_NAMES_H

#include <uv.h>

#include "adapters/store_postgres/pg_session.h"

#define PG_NAMES_HOSTS 16u

struct pg_names;
/* All has been told; `target` is what to connect to, or NULL: `why` says what did not resolve. */
typedef void (*pg_names_done)(void *arg, const struct pg_target *target, const char *why);

/* NULL: the DSN has no name in it, libpq has nothing to resolve. */
struct pg_names *pg_names_new(uv_loop_t *uv, const char *dsn, pg_names_done done, void *arg);
/* Begins, unless it is under way; `done` is called later, once. */
void pg_names_resolve(struct pg_names *names);
/* Waits for what the system's resolver is at, if it cannot be called off: seconds at the worst. */
void pg_names_free(struct pg_names *names); /* NULL is legal */

#endif
