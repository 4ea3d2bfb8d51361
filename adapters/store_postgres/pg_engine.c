/* pg_engine.c - see the header.
 *
 * Happy path: a talk runs on the session until it has ended; the thread sleeps in poll(2).
 * Ways to fail: no connection (STORE_UNAVAILABLE after one attempt); the connection ends within a
 *   commit: the doubt is settled over new connections for up to resolve_max_us.
 * Invariant: no talk is under way between two calls. */
#include "adapters/store_postgres/pg_engine.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "adapters/store_postgres/pg_clock.h"
#include "holdfast/check.h"

static struct pg_engine *engine_of(struct store_engine *engine)
{
  return (struct pg_engine *)engine;
}

void pg_engine_session_config(const struct pg_engine *engine, const char *dsn, bool standby,
                              struct pg_session_config *ret_session)
{
  *ret_session = (struct pg_session_config){
    .dsn = dsn,
    .application_name = engine->application_name,
    .standby = standby,
    .connect_timeout_us = engine->config.connect_timeout_us,
    .statement_timeout_us = engine->config.statement_timeout_us,
    .lock_timeout_us = engine->config.lock_timeout_us,
    .log = engine->config.log,
    .log_arg = engine->config.log_arg,
  };
}

/* ---- waiting --------------------------------------------------------------------------------- */

/* Sleeps until the session has something to do, or until `until_us`. */
static void wait_for_session(struct pg_session *session, uint64_t until_us)
{
  uint64_t now_us = pg_clock_us(), due_us = pg_session_due(session);
  struct pollfd set = {.fd = pg_session_socket(session)};
  unsigned wants = pg_session_wants(session);
  due_us = due_us < until_us ? due_us : until_us;
  uint64_t left_us = due_us > now_us ? due_us - now_us : 0;
  int left_ms = left_us > 3600000000u ? 3600000 : (int)((left_us + 999u) / 1000u);
  set.events =
    (short)((wants & PG_WANTS_READ ? POLLIN : 0) | (wants & PG_WANTS_WRITE ? POLLOUT : 0));
  int ready = poll(&set, 1, left_ms);
  bool failed = ready < 0 && errno != EINTR; /* the kernel has no memory */
  now_us = pg_clock_us();
  if (ready > 0)
    pg_session_step(session, now_us);
  else if (failed && wants != 0)
    pg_session_drop(session, now_us, "the socket cannot be waited for");
  pg_session_tick(session, now_us);
}

/* Waits until it is READY; true then. False: `until_us` has come, or an attempt failed and
 * `patient` is false. */
static bool wait_ready(struct pg_engine *engine, uint64_t until_us, bool patient)
{
  struct pg_session *session = &engine->session;
  if (session->state == PG_SESSION_OFF || (session->state == PG_SESSION_LOST && !patient))
    pg_session_start(session, pg_clock_us());
  while (session->state != PG_SESSION_READY) {
    if ((session->state == PG_SESSION_LOST && !patient) || pg_clock_us() >= until_us)
      return false;
    wait_for_session(session, until_us);
  }
  return true;
}

bool pg_engine_connect(struct pg_engine *engine)
{
  if (engine->session.config == NULL)
    pg_session_init(&engine->session, &engine->session_config, pg_clock_us());
  /* What came in the meantime tells whether it is still there: its last words, then its end. */
  for (unsigned i = 0; i < 2; i++)
    if (engine->session.state == PG_SESSION_READY)
      pg_session_step(&engine->session, pg_clock_us());
  return wait_ready(engine, UINT64_MAX, false);
}

void pg_engine_disconnect(struct pg_engine *engine)
{
  if (engine->session.config != NULL)
    pg_session_deinit(&engine->session);
}

/* ---- talks ----------------------------------------------------------------------------------- */

static void on_ended(void *arg, struct pg_session *session, struct pg_talk *talk, bool lost)
{
  struct pg_engine *engine = arg;
  (void)session;
  CHECK(talk == &engine->talk && !engine->ended);
  engine->ended = true;
  engine->lost = lost;
}

/* Runs the talk on the session, which is READY; true when the connection was lost. */
static bool run_talk(struct pg_engine *engine)
{
  engine->ended = engine->lost = false;
  pg_session_run(&engine->session, &engine->talk, pg_clock_us());
  while (!engine->ended)
    wait_for_session(&engine->session, UINT64_MAX);
  return engine->lost;
}

/* A commit's outcome is unknown, and `talk` is to settle it. */
static void settle(struct pg_engine *engine, const struct store_request *request)
{
  uint64_t until_us = pg_clock_us() + engine->resolve_max_us;
  while (wait_ready(engine, until_us, true)) {
    if (run_talk(engine)) {
      bool doubt = pg_talk_lost(&engine->talk, 0);
      CHECK(doubt);
    }
    if (request->status != STORE_UNKNOWN || pg_clock_us() >= until_us)
      return;
    (void)poll(NULL, 0, (int)(PG_RESOLVE_PAUSE_US / 1000u));
  }
}

static void execute(struct store_engine *base, struct store_request *request)
{
  struct pg_engine *engine = engine_of(base);
  uint64_t began_us = pg_clock_us();
  request->status = STORE_UNAVAILABLE;
  if (pg_engine_connect(engine)) {
    pg_talk_begin(&engine->talk, request, &engine->database);
    engine->talk.wary = engine->wary > 0;
    if (run_talk(engine) && pg_talk_lost(&engine->talk, engine->session.backend))
      settle(engine, request);
  }
  if (request->kind != STORE_COMMIT)
    return;
  engine->wary = request->status == STORE_HIT ? PG_WARY_COMMITS
                 : engine->wary > 0           ? engine->wary - 1u
                                              : 0;
  request->commit.commit_us = pg_clock_us() - began_us;
  request->commit.leads = true;
}

static void commit_many(struct store_engine *base, struct store_request **requests, size_t count)
{
  for (size_t i = 0; i < count; i++)
    execute(base, requests[i]);
}

/* ---- borrowing ------------------------------------------------------------------------------- */

static bool say(PGconn *conn, const char *sql)
{
  PGresult *result = PQexec(conn, sql);
  bool ok = PQresultStatus(result) == PGRES_COMMAND_OK;
  PQclear(result);
  return ok;
}

PGconn *pg_engine_borrow(struct store_engine *base)
{
  struct pg_engine *engine = engine_of(base);
  if (!pg_engine_connect(engine))
    return NULL;
  PGconn *conn = engine->session.conn;
  if (PQexitPipelineMode(conn) == 1 && PQsetnonblocking(conn, 0) == 0 &&
      say(conn, "SET statement_timeout=0"))
    return conn;
  pg_session_drop(&engine->session, pg_clock_us(), PQerrorMessage(conn));
  return NULL;
}

void pg_engine_return(struct store_engine *base)
{
  struct pg_engine *engine = engine_of(base);
  PGconn *conn = engine->session.conn;
  char restore[64];
  (void)snprintf(restore, sizeof restore, "SET statement_timeout=%llu",
                 (unsigned long long)(engine->config.statement_timeout_us / 1000u));
  CHECK(engine->session.state == PG_SESSION_READY && conn != NULL);
  if (PQstatus(conn) != CONNECTION_OK || PQtransactionStatus(conn) != PQTRANS_IDLE ||
      !say(conn, restore) || PQsetnonblocking(conn, 1) != 0 || PQenterPipelineMode(conn) != 1)
    pg_session_drop(&engine->session, pg_clock_us(), PQerrorMessage(conn));
}

const struct pg_database *pg_engine_database(const struct store_engine *engine)
{
  return &((const struct pg_engine *)engine)->database;
}

/* ---- the engine ------------------------------------------------------------------------------ */

static void engine_close(struct store_engine *base)
{
  struct pg_engine *engine = engine_of(base);
  pg_engine_disconnect(engine);
  rt_free((void *)(uintptr_t)engine->config.dsn);
  rt_free((void *)(uintptr_t)engine->config.replica_dsn);
  rt_free(engine);
}

static const struct store_engine_ops engine_ops = {
  .name = "postgres",
  .execute = execute,
  .commit_many = commit_many,
  .close = engine_close,
  .admin = &pg_admin_ops,
};

static char *copy_text(const char *text)
{
  if (text == NULL || text[0] == '\0')
    return NULL;
  size_t size = strlen(text) + 1u;
  return memcpy(rt_alloc(size), text, size);
}

/* Others end a dead node's sessions by this name: PG_SQL_LEASE_BURY makes the same. */
void pg_engine_name(struct pg_engine *engine, uint64_t node)
{
  engine->config.node = node;
  if (node == 0)
    (void)snprintf(engine->application_name, sizeof engine->application_name, "holdfast");
  else
    (void)snprintf(engine->application_name, sizeof engine->application_name, "holdfast-%016llx",
                   (unsigned long long)node);
}

struct pg_engine *pg_engine_new(const struct store_postgres_config *config)
{
  struct pg_engine *engine = rt_alloc(sizeof *engine);
  engine->engine.ops = &engine_ops;
  engine->resolve_max_us = PG_RESOLVE_MAX_US;
  engine->config = *config;
  engine->config.dsn = copy_text(config->dsn);
  engine->config.replica_dsn = copy_text(config->replica_dsn);
  CHECK(engine->config.dsn != NULL);
  pg_engine_name(engine, config->node);
  pg_engine_session_config(engine, engine->config.dsn, false, &engine->session_config);
  engine->session_config.ended = on_ended;
  engine->session_config.ended_arg = engine;
  return engine;
}
