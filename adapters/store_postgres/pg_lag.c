/* pg_lag.c - how far the replica is behind the primary.
 *
 * Happy path: every PG_LAG_EVERY_US one replica session is asked for the newest heartbeat of this
 *   node that the replica has, which says when it was sent. What was acknowledged before that is in
 *   the replica too. So it is read until the guard has passed since then.
 * Ways to fail: it lags, hangs or is gone, or it has become a server of its own, which this node's
 *   heartbeats do not reach: it is not read. It is asked for what it does not have yet, fails, or
 *   was promoted while it answered: the primary is asked as well.
 * Invariant: no clock but this node's own takes part. */
#include "adapters/store_postgres/pg_clock.h"
#include "adapters/store_postgres/pg_port.h"

#include <string.h>

#include "actors/metrics.h"
#include "holdfast/check.h"

static bool lag_next(struct pg_talk *talk, struct pg_round *round)
{
  const struct pg_loop *loop = talk->work;
  if (talk->round > 0)
    return false;
  talk->request->status = STORE_UNAVAILABLE;
  pg_round_add(round, PG_REPLICA_BEAT);
  pg_arg_int8(round, (int64_t)loop->port->engine->config.node);
  return true;
}

static void lag_take(struct pg_talk *talk, unsigned index, const PGresult *result)
{
  struct pg_loop *loop = talk->work;
  struct pg_rows rows = {.result = result};
  (void)index;
  talk->request->status = STORE_OK;
  loop->lag_until_us = 0; /* no row: a stranger, or no replica any more */
  if (PQntuples(result) == 0 || pg_is_null(&rows, 0))
    return;
  uint64_t sent_us = pg_get_unsigned(&rows, 0, INT64_MAX);
  if (!rows.corrupt && sent_us <= pg_clock_us())
    loop->lag_until_us = sent_us + loop->port->engine->config.replica_lag_us;
}

static void lag_failed(struct pg_talk *talk, const struct pg_failure *failure)
{
  (void)failure;
  talk->request->status = STORE_UNAVAILABLE;
}

static const struct pg_talk_ops lag_talk = {
  .next = lag_next, .take = lag_take, .failed = lag_failed};

bool pg_lag_fresh(const struct pg_loop *loop, uint64_t now_us)
{
  return now_us < loop->lag_until_us;
}

void pg_lag_tick(struct pg_loop *loop, uint64_t now_us)
{
  struct pg_group *group = &loop->groups[PG_ROLE_REPLICA];
  if (group->count == 0 || loop->lag_asking || now_us < loop->lag_next_us)
    return;
  loop->lag_next_us = now_us + PG_LAG_EVERY_US;
  for (unsigned i = 0; i < group->count; i++) {
    struct pg_wire *wire = &group->wires[i];
    if (!pg_session_takes(&wire->session))
      continue;
    loop->lag_talk = (struct pg_talk){.request = &loop->lag_request,
                                      .database = &loop->port->engine->database,
                                      .ops = &lag_talk,
                                      .work = loop};
    loop->lag_asking = true;
    pg_session_run(&wire->session, &loop->lag_talk, now_us);
    pg_wire_follow(wire);
    return;
  }
}

bool pg_lag_ended(struct pg_loop *loop, const struct pg_talk *talk, bool lost)
{
  if (talk != &loop->lag_talk)
    return false;
  (void)lost; /* what was told before counts until the guard has passed */
  CHECK(loop->lag_asking);
  loop->lag_asking = false;
  return true;
}

/* ---- what it answers ------------------------------------------------------------------------- */

/* Newest things are looked for in vain when it is a little behind. */
static bool is_missing(const struct store_request *request)
{
  switch (request->kind) {
  case STORE_LIST_ENTRIES:
    return !request->list_entries.user_found;
  case STORE_LIST_HOLDS:
    return !request->list_holds.user_found;
  case STORE_BALANCE_AT:
    return !request->balance_at.user_found;
  case STORE_SCAN:
    return request->scan.entries_count == 0;
  default:
    CHECK(!"a request that no replica is asked");
  }
  return true;
}

/* The server says so with the answer itself, from version 14 on. */
static bool is_promoted(const struct pg_session *session)
{
  const char *standby =
    session->conn == NULL ? NULL : PQparameterStatus(session->conn, "in_hot_standby");
  return standby != NULL && strcmp(standby, "off") == 0;
}

bool pg_lag_short(struct pg_loop *loop, const struct pg_session *session,
                  const struct store_request *request)
{
  bool promoted = is_promoted(session);
  if (promoted)
    loop->lag_until_us = 0;
  bool missing = promoted || request->status != STORE_OK || is_missing(request);
  hf_count(loop->ctx, missing ? HF_M_REPLICA_SHORT : HF_M_REPLICA_READS, 1);
  return missing;
}
