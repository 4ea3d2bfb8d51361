/* pg_doubt.h - did a commit whose connection ended happen? Internal.
 *
 * The fence row decides: an empty batch under the number of the commit's first batch. The server
 * takes it only if the commit is not there and never will be; whatever is left of the old
 * transaction fails on it. Owner: the talk. */
#ifndef HOLDFAST_PG_DOUBT_H
#define HOLDFAST_PG_DOUBT_H

#include "adapters/store_postgres/pg_talk.h"

/* Makes a talk of doubt of a commit's talk. `backend`: the process that had the commit, 0: unknown.
 * It ends with the request's status: STORE_OK, STORE_UNAVAILABLE (never done), STORE_FENCED, or
 * STORE_UNKNOWN: not settled yet, run it again a little later. */
void pg_doubt_begin(struct pg_talk *talk, int backend);
extern const struct pg_talk_ops pg_doubt_talk;

#endif
