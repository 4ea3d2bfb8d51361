/* pg_session.c - the life of a connection and of the rounds on it.
 *
 * Happy path: OFF -> CONNECTING -> SETTING_UP -> READY; rounds go out, each followed by a Sync;
 *   results come in the order of the rounds; a talk's next round goes behind those under way.
 * Ways to fail: resolving or connecting takes too long or fails (LOST, with a backoff that
 *   doubles); the server is not the one that is wanted (the same); the socket ends, or nothing at
 *   all comes for longer than the server itself allows a statement (LOST; every talk ends as lost).
 *   A statement that the server refuses rolls its round back and fails its talk alone. What the
 *   server says after the last statement of a round that writes may be about the commit itself: the
 *   talk ends as lost then, because nobody knows.
 * Invariants: each talk ends exactly once; in CONNECTING and SETTING_UP none is under way. */
#include "adapters/store_postgres/pg_session.h"

#include <stdio.h>
#include <string.h>

#include "adapters/store_postgres/pg_setup.h"
#include "holdfast/check.h"

#define FLIGHTS (PG_SESSION_DEPTH * 4u) /* talks, and statements that are prepared for them */
#define SILENCE_US 2000000u /* beyond the statement timeout: then the server is taken for gone */

/* Allowed moves; rows: from, columns: to. */
static const bool moves[5][5] = {
  [PG_SESSION_OFF] = {[PG_SESSION_CONNECTING] = true, [PG_SESSION_LOST] = true},
  [PG_SESSION_CONNECTING] = {[PG_SESSION_SETTING_UP] = true, [PG_SESSION_LOST] = true},
  [PG_SESSION_SETTING_UP] = {[PG_SESSION_READY] = true, [PG_SESSION_LOST] = true},
  [PG_SESSION_READY] = {[PG_SESSION_LOST] = true},
  [PG_SESSION_LOST] = {[PG_SESSION_CONNECTING] = true, [PG_SESSION_LOST] = true},
};

const char *pg_session_state_name(enum pg_session_state state)
{
  static const char *const names[] = {"off", "connecting", "setting up", "ready", "lost"};
  CHECK((unsigned)state < sizeof names / sizeof names[0]);
  return names[state];
}

static void session_move(struct pg_session *session, enum pg_session_state state)
{
  CHECK(moves[session->state][state]);
  session->state = (uint8_t)state;
}

static struct pg_flight *flight_at(struct pg_session *session, unsigned index)
{
  CHECK(index < session->count);
  return &session->flights[(session->first + index) % FLIGHTS];
}

static uint64_t jitter(struct pg_session *session, uint64_t most)
{
  session->random ^= session->random << 13;
  session->random ^= session->random >> 7;
  session->random ^= session->random << 17;
  return session->random % (most + 1u);
}

static void quiet_until(struct pg_session *session, uint64_t now_us)
{
  session->due_us =
    session->count == 0 ? 0 : now_us + session->config->statement_timeout_us + SILENCE_US;
}

void pg_session_init(struct pg_session *session, const struct pg_session_config *config,
                     uint64_t seed)
{
  memset(session, 0, sizeof *session);
  session->config = config;
  session->random = seed | 1u;
  session->flights = rt_alloc(FLIGHTS * sizeof *session->flights);
  pg_round_init(&session->round);
}

void pg_session_deinit(struct pg_session *session)
{
  PQfinish(session->conn);
  pg_round_deinit(&session->round);
  rt_free(session->flights);
  memset(session, 0, sizeof *session);
}

/* ---- losing ---------------------------------------------------------------------------------- */

/* libpq's words for a log line: the first line of them. */
static void say_why(struct pg_session *session, const char *text)
{
  size_t size = strcspn(text, "\n");
  if (size == 0) {
    text = "the connection ended";
    size = strlen(text);
  }
  (void)snprintf(session->why, sizeof session->why, "%.*s", (int)(size < 255 ? size : 255), text);
}

void pg_session_drop(struct pg_session *session, uint64_t now_us, const char *why)
{
  struct pg_talk *lost[PG_SESSION_DEPTH];
  unsigned lost_count = 0;
  uint64_t wait_us = 0;

  say_why(session, why);
  if (session->config->log != NULL && session->failures < 2u)
    session->config->log(session->config->log_arg, session->reached ? 3 : 2, "postgres",
                         session->why);
  for (unsigned i = 0; i < session->count; i++)
    if (flight_at(session, i)->talk != NULL)
      lost[lost_count++] = flight_at(session, i)->talk;
  session->first = session->count = session->talks = 0;
  if (session->config->closing != NULL)
    session->config->closing(session);
  PQfinish(session->conn);
  session->conn = NULL;
  session->wants_write = false;
  memset(session->prepared, 0, sizeof session->prepared);
  memset(session->refused, 0, sizeof session->refused);
  session->unprepared = 0;
  if (session->reached)
    session->failures = 0;
  else
    session->failures++;
  if (session->failures > 0) {
    unsigned shift = session->failures < 8u ? session->failures - 1u : 7u;
    wait_us = (uint64_t)PG_BACKOFF_MIN_US << shift;
    if (wait_us > PG_BACKOFF_MAX_US)
      wait_us = PG_BACKOFF_MAX_US;
    wait_us /= 2u;
  }
  /* The first attempt after a loss comes soon, but not from all nodes in the same instant. */
  session->due_us = now_us + wait_us + jitter(session, wait_us == 0 ? 20000u : wait_us);
  session->reached = false;
  session_move(session, PG_SESSION_LOST);
  for (unsigned i = 0; i < lost_count; i++)
    session->config->ended(session->config->ended_arg, session, lost[i], true);
}

static void drop_by_libpq(struct pg_session *session, uint64_t now_us)
{
  char why[256];
  say_why(session, PQerrorMessage(session->conn));
  memcpy(why, session->why, sizeof why);
  pg_session_drop(session, now_us, why);
}

/* ---- connecting ------------------------------------------------------------------------------ */

static void connect_begin(struct pg_session *session, uint64_t now_us,
                          const struct pg_target *target)
{
  session->conn = pg_setup_connect(session->config, target);
  session->polling = PGRES_POLLING_WRITING;
  CHECK(session->conn != NULL); /* only without memory */
  if (PQstatus(session->conn) == CONNECTION_BAD || PQsetnonblocking(session->conn, 1) != 0)
    drop_by_libpq(session, now_us);
}

void pg_session_start(struct pg_session *session, uint64_t now_us)
{
  CHECK(session->state == PG_SESSION_OFF || session->state == PG_SESSION_LOST);
  session_move(session, PG_SESSION_CONNECTING);
  session->due_us = now_us + session->config->connect_timeout_us;
  if (session->config->resolve != NULL)
    session->config->resolve(session);
  else
    connect_begin(session, now_us, NULL);
}

void pg_session_resolved(struct pg_session *session, uint64_t now_us,
                         const struct pg_target *target, const char *why)
{
  if (session->state != PG_SESSION_CONNECTING || session->conn != NULL)
    return;
  if (target == NULL)
    pg_session_drop(session, now_us, why);
  else
    connect_begin(session, now_us, target);
}

static void flush(struct pg_session *session, uint64_t now_us)
{
  int left = PQflush(session->conn);
  session->wants_write = left > 0;
  if (left < 0)
    drop_by_libpq(session, now_us);
}

static void connect_on(struct pg_session *session, uint64_t now_us)
{
  session->polling = PQconnectPoll(session->conn);
  if (session->polling == PGRES_POLLING_FAILED) {
    drop_by_libpq(session, now_us);
    return;
  }
  if (session->polling != PGRES_POLLING_OK)
    return;
  session_move(session, PG_SESSION_SETTING_UP);
  session->backend = PQbackendPID(session->conn);
  if (!pg_setup_send(session->conn, session->config))
    drop_by_libpq(session, now_us);
  else
    flush(session, now_us);
}

static void set_up_on(struct pg_session *session, uint64_t now_us)
{
  char why[256];
  if (PQconsumeInput(session->conn) == 0) {
    drop_by_libpq(session, now_us);
    return;
  }
  switch (pg_setup_take(session->conn, session->config, why)) {
  case PG_SETUP_MORE:
    flush(session, now_us);
    return;
  case PG_SETUP_REFUSED:
    pg_session_drop(session, now_us, why);
    return;
  case PG_SETUP_DONE:
    break;
  }
  if (PQenterPipelineMode(session->conn) != 1) {
    drop_by_libpq(session, now_us);
    return;
  }
  if (session->failures > 1u && session->config->log != NULL)
    session->config->log(session->config->log_arg, 1, "postgres", "connected again");
  session->failures = 0;
  session->reached = true;
  session->due_us = 0;
  session_move(session, PG_SESSION_READY);
}

/* ---- sending --------------------------------------------------------------------------------- */

static struct pg_flight *flight_push(struct pg_session *session)
{
  CHECK(session->count < FLIGHTS);
  struct pg_flight *flight = &session->flights[(session->first + session->count++) % FLIGHTS];
  flight->talk = NULL;
  flight->count = 1;
  flight->next = 0;
  flight->failed = false;
  return flight;
}

/* In a transaction of its own, so that what fails in the round does not take it along. */
static bool send_prepare(struct pg_session *session, enum pg_statement statement)
{
  if (PQsendPrepare(session->conn, pg_statement_name(statement), pg_statement_sql(statement), 0,
                    NULL) != 1 ||
      PQpipelineSync(session->conn) != 1)
    return false;
  flight_push(session)->statement = statement;
  session->prepared[statement] = true;
  return true;
}

static bool send_step(struct pg_session *session, const struct pg_step *step)
{
  const char *values[PG_ARGS_MAX];
  int sizes[PG_ARGS_MAX], formats[PG_ARGS_MAX];
  for (unsigned i = 0; i < step->args.count; i++) {
    const struct pg_arg *arg = &step->args.arg[i];
    values[i] = arg->null ? NULL : (const char *)session->round.bytes.at + arg->at;
    sizes[i] = (int)arg->size;
    formats[i] = 1;
  }
  return PQsendQueryPrepared(session->conn, pg_statement_name(step->statement),
                             (int)step->args.count, values, sizes, formats, 1) == 1;
}

/* An argument of no bytes at the very start has no address yet, and NULL would be SQL NULL. */
static void round_begin(struct pg_round *round)
{
  pg_round_clear(round);
  (void)hf_bytes_reserve(&round->bytes, 1);
}

static bool send_round(struct pg_session *session)
{
  const struct pg_round *round = &session->round;
  CHECK(round->count > 0 && round->array_left == 0);
  for (unsigned i = 0; i < round->count; i++)
    if (!session->prepared[round->steps[i].statement] &&
        !send_prepare(session, round->steps[i].statement))
      return false;
  for (unsigned i = 0; i < round->count; i++)
    if (!send_step(session, &round->steps[i]))
      return false;
  return PQpipelineSync(session->conn) == 1;
}

static void talk_end(struct pg_session *session, struct pg_talk *talk, bool lost)
{
  session->config->ended(session->config->ended_arg, session, talk, lost);
}

/* Asks the talk for its next round and sends it, or ends it. */
static void talk_on(struct pg_session *session, struct pg_talk *talk, uint64_t now_us)
{
  round_begin(&session->round);
  talk->committing = false;
  if (!talk->ops->next(talk, &session->round)) {
    talk_end(session, talk, false);
    return;
  }
  talk->round++;
  bool idle = session->count == 0;
  bool sent = send_round(session);
  struct pg_flight *flight = flight_push(session);
  flight->talk = talk;
  flight->count = session->round.count;
  session->talks++;
  if (!sent) {
    drop_by_libpq(session, now_us);
    return;
  }
  if (idle)
    quiet_until(session, now_us);
  flush(session, now_us);
}

bool pg_session_takes(const struct pg_session *session)
{
  return session->state == PG_SESSION_READY && session->talks < PG_SESSION_DEPTH &&
         session->count + 24u < FLIGHTS;
}

void pg_session_run(struct pg_session *session, struct pg_talk *talk, uint64_t now_us)
{
  CHECK(pg_session_takes(session) && talk->ops != NULL);
  talk_on(session, talk, now_us);
}

/* ---- results --------------------------------------------------------------------------------- */

static void copy_field(char *out, size_t size, const char *text)
{
  (void)snprintf(out, size, "%s", text == NULL ? "" : text);
}

static void note_failure(struct pg_flight *flight, const PGresult *result)
{
  if (flight->failed)
    return;
  flight->failed = true;
  flight->failure.step = flight->next;
  copy_field(flight->failure.sqlstate, sizeof flight->failure.sqlstate,
             PQresultErrorField(result, PG_DIAG_SQLSTATE));
  copy_field(flight->failure.constraint, sizeof flight->failure.constraint,
             PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME));
  copy_field(flight->failure.message, sizeof flight->failure.message,
             PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
}

static void log_failure(struct pg_session *session, const struct pg_flight *flight)
{
  char text[320];
  if (session->config->log == NULL || pg_trouble_of(flight->failure.sqlstate) == PG_TROUBLE_UNIQUE)
    return;
  (void)snprintf(text, sizeof text, "%s: %s", flight->failure.sqlstate, flight->failure.message);
  session->config->log(session->config->log_arg, 2, "postgres", text);
}

/* What was prepared is gone from the server, or is for tables of another shape: only a new
 * connection helps. */
static bool prepared_in_vain(const struct pg_session *session, const struct pg_flight *flight)
{
  if (!flight->failed)
    return false;
  return strcmp(flight->failure.sqlstate, "0A000") == 0 ||
         (strcmp(flight->failure.sqlstate, "26000") == 0 && session->unprepared == 0);
}

static void prepare_end(struct pg_session *session, const struct pg_flight *flight)
{
  bool *refused = &session->refused[flight->statement];
  session->unprepared += flight->failed;
  session->unprepared -= *refused;
  *refused = flight->failed;
  if (!flight->failed)
    return;
  session->prepared[flight->statement] = false;
  log_failure(session, flight);
}

/* The oldest flight is complete. */
static void flight_end(struct pg_session *session, uint64_t now_us)
{
  struct pg_flight flight = *flight_at(session, 0);
  session->first = (session->first + 1u) % FLIGHTS;
  session->count--;
  quiet_until(session, now_us);
  if (flight.talk == NULL) {
    prepare_end(session, &flight);
    return;
  }
  session->talks--;
  /* A failure without a state is libpq's own: the server may have carried the round out. */
  const bool is_told = flight.failure.step < flight.count && flight.failure.sqlstate[0] != '\0';
  if (flight.failed && !is_told && flight.talk->committing) {
    talk_end(session, flight.talk, true);
    return;
  }
  if (flight.failed) {
    flight.talk->ops->failed(flight.talk, &flight.failure);
    if (!flight.talk->expected)
      log_failure(session, &flight);
    flight.talk->expected = false;
  }
  talk_on(session, flight.talk, now_us);
  if (prepared_in_vain(session, &flight) && session->state == PG_SESSION_READY)
    pg_session_drop(session, now_us, "prepared statements do not fit any more");
}

/* One result of the oldest flight, or NULL behind the last one of a statement. */
static void take_result(struct pg_session *session, const PGresult *result, uint64_t now_us)
{
  struct pg_flight *flight = flight_at(session, 0);
  if (result == NULL) {
    if (flight->next < flight->count)
      flight->next++;
    return;
  }
  switch (PQresultStatus(result)) {
  case PGRES_PIPELINE_SYNC:
    flight_end(session, now_us);
    break;
  case PGRES_TUPLES_OK:
  case PGRES_COMMAND_OK:
    if (flight->talk != NULL && !flight->failed && flight->next < flight->count)
      flight->talk->ops->take(flight->talk, flight->next, result);
    break;
  case PGRES_PIPELINE_ABORTED:
    break;
  default:
    if (PQstatus(session->conn) != CONNECTION_BAD)
      note_failure(flight, result);
    break;
  }
}

/* What had come before the connection ended still counts. Once it has ended, libpq gives NULL for
 * ever: two in a row are the end of it. */
static void take_results(struct pg_session *session, uint64_t now_us)
{
  unsigned nulls = 0;
  while (session->state == PG_SESSION_READY && session->count > 0 && nulls < 2u &&
         !PQisBusy(session->conn)) {
    PGresult *result = PQgetResult(session->conn);
    nulls = result == NULL ? nulls + 1u : 0;
    take_result(session, result, now_us);
    PQclear(result);
  }
}

static void read_on(struct pg_session *session, uint64_t now_us)
{
  bool alive = PQconsumeInput(session->conn) != 0;
  take_results(session, now_us);
  if (session->state != PG_SESSION_READY)
    return;
  if (!alive || PQstatus(session->conn) == CONNECTION_BAD) {
    drop_by_libpq(session, now_us);
    return;
  }
  if (session->wants_write)
    flush(session, now_us);
}

/* ---- the owner's calls ----------------------------------------------------------------------- */

int pg_session_socket(const struct pg_session *session)
{
  return session->conn == NULL ? -1 : PQsocket(session->conn);
}

unsigned pg_session_wants(const struct pg_session *session)
{
  switch (session->state) {
  case PG_SESSION_CONNECTING:
    return session->polling == PGRES_POLLING_READING ? PG_WANTS_READ : PG_WANTS_WRITE;
  case PG_SESSION_SETTING_UP:
  case PG_SESSION_READY:
    return session->wants_write ? PG_WANTS_READ | PG_WANTS_WRITE : PG_WANTS_READ;
  default:
    return 0;
  }
}

uint64_t pg_session_due(const struct pg_session *session)
{
  return session->due_us == 0 ? UINT64_MAX : session->due_us;
}

void pg_session_step(struct pg_session *session, uint64_t now_us)
{
  switch (session->state) {
  case PG_SESSION_CONNECTING:
    connect_on(session, now_us);
    break;
  case PG_SESSION_SETTING_UP:
    set_up_on(session, now_us);
    break;
  case PG_SESSION_READY:
    read_on(session, now_us);
    break;
  default:
    break; /* an event that was under way when the connection was dropped */
  }
}

void pg_session_tick(struct pg_session *session, uint64_t now_us)
{
  if (session->due_us == 0 || now_us < session->due_us)
    return;
  if (session->state == PG_SESSION_LOST)
    pg_session_start(session, now_us);
  else
    pg_session_drop(session, now_us,
                    session->state == PG_SESSION_READY ? "the server does not answer"
                                                       : "connecting takes too long");
}
