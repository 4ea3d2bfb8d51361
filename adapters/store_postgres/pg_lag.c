/* pg_lag.c - how far the replica is behind the primary.
 *
 * Asked of one replica session every PG_LAG_EVERY_US, by the standby's own clock and the time of
 * the newest transaction that it replayed. Without a recent measure the replica is not read. */
#include "adapters/store_postgres/pg_clock.h"
#include "adapters/store_postgres/pg_port.h"
#include "holdfast/check.h"

static bool lag_next(struct pg_talk *talk, struct pg_round *round)
{
  if (talk->round > 0)
    return false;
  talk->request->status = STORE_UNAVAILABLE;
  pg_round_add(round, PG_REPLICA_LAG);
  return true;
}

/* Negative when the clocks differ: that is no lag. NULL when nothing was replayed yet. */
static void lag_take(struct pg_talk *talk, unsigned index, const PGresult *result)
{
  struct pg_loop *loop = talk->work;
  struct pg_rows rows = {.result = result};
  (void)index;
  int64_t lag_us = pg_get_int(&rows, 0);
  if (rows.corrupt)
    return;
  loop->lag_us = lag_us < 0 ? 0 : (uint64_t)lag_us;
  talk->request->status = STORE_OK;
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
  return loop->lag_taken_us != 0 && now_us - loop->lag_taken_us < PG_LAG_OLD_US &&
         loop->lag_us <= loop->port->engine->config.replica_lag_us;
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
  CHECK(loop->lag_asking);
  loop->lag_asking = false;
  if (!lost && loop->lag_request.status == STORE_OK)
    loop->lag_taken_us = pg_clock_us();
  return true;
}
