/* pg_session.h - one connection to PostgreSQL: it connects, sends rounds of talks, brings their
 * results, and says when it was lost. Knows neither libuv nor poll(2): its owner waits.
 *
 * The owner calls pg_session_step when the socket is ready for what pg_session_wants says, and
 * pg_session_tick when pg_session_due has come; after each call it asks for the socket, the wants
 * and the due time again. A session never connects anew by itself: its owner calls
 * pg_session_start when pg_session_due has come in PG_SESSION_LOST (tick does it).
 *
 * Several talks may be under way: their rounds are pipelined and end in the order in which they
 * were sent. A statement is prepared the first time it is used.
 * Owner: who made it; one thread. Time: monotonic microseconds, given by the owner. */
#ifndef HOLDFAST_PG_SESSION_H
#define HOLDFAST_PG_SESSION_H

#include "adapters/store_postgres/pg_talk.h"

#define PG_SESSION_DEPTH 32u /* talks under way, at the most */
#define PG_BACKOFF_MIN_US 100000u
#define PG_BACKOFF_MAX_US 1000000u

enum pg_session_state {
  PG_SESSION_OFF,        /* not started, or closed */
  PG_SESSION_CONNECTING, /* its host is resolved (no conn yet), or libpq is at it */
  PG_SESSION_SETTING_UP, /* connected; its settings are on their way */
  PG_SESSION_READY,      /* takes talks */
  PG_SESSION_LOST,       /* nothing is open; it connects again when pg_session_due has come */
};
const char *pg_session_state_name(enum pg_session_state state);

enum { PG_WANTS_READ = 1, PG_WANTS_WRITE = 2 };

/* Hosts whose addresses are known: lists as libpq takes them. An address that is empty: the host
 * is one itself, or the folder of a socket. */
#define PG_TARGET_TEXT 2048u
struct pg_target {
  char hosts[PG_TARGET_TEXT], addresses[PG_TARGET_TEXT], ports[PG_TARGET_TEXT];
};

struct pg_session;
struct pg_session_config { /* borrowed; the same for all sessions of a kind */
  const char *dsn;
  const char *application_name;
  bool standby; /* a replica is welcome; else only a server that takes writes is */
  uint64_t connect_timeout_us;
  uint64_t statement_timeout_us;
  uint64_t lock_timeout_us;
  void (*log)(void *arg, int level, const char *component, const char *text); /* may be NULL */
  void *log_arg;
  /* A talk is over. lost: its round was on its way, or it had not been sent, when the connection
   * ended; else request->status says how it went. The session takes talks again in here. */
  void (*ended)(void *arg, struct pg_session *session, struct pg_talk *talk, bool lost);
  void *ended_arg;
  /* Its socket is about to be closed, outside of connecting: it must not be watched any more. May
   * be NULL. */
  void (*closing)(struct pg_session *session);
  /* Sees to it that pg_session_resolved is called, now or later. NULL: libpq resolves, and
   * blocks. */
  void (*resolve)(struct pg_session *session);
};

struct pg_session {
  const struct pg_session_config *config;
  PGconn *conn;
  uint8_t state;    /* enum pg_session_state; moved by session_move only */
  bool wants_write; /* libpq has bytes that the socket did not take */
  bool reached;     /* READY since the last loss: the next loss connects again quickly */
  PostgresPollingStatusType polling;
  unsigned failures; /* attempts in a row that did not lead to READY */
  uint64_t due_us;   /* of the state: give up, or try again; 0: never */
  uint64_t random;   /* xorshift state, for the jitter */
  int backend;       /* process id of the server's side, of the newest connection */
  struct pg_flight {
    struct pg_talk *talk; /* NULL: a statement is prepared */
    enum pg_statement statement;
    unsigned count, next; /* steps of the round; results that are complete */
    bool failed;
    struct pg_failure failure;
  } * flights; /* ring of PG_FLIGHTS, oldest at `first` */
  unsigned first, count;
  unsigned talks; /* flights that have a talk */
  bool prepared[PG_STATEMENT_COUNT];
  bool refused[PG_STATEMENT_COUNT]; /* it could not be prepared, and was not since */
  unsigned unprepared;              /* how many of them */
  struct pg_round round;            /* scratch: libpq copies it */
  char why[256];                    /* it last failed, for a person; no password in it */
};

void pg_session_init(struct pg_session *session, const struct pg_session_config *config,
                     uint64_t seed);
/* Drops the connection without a word about the talks that were under way. */
void pg_session_deinit(struct pg_session *session);

/* From OFF or LOST. */
void pg_session_start(struct pg_session *session, uint64_t now_us);
/* The answer to `resolve`; one that comes too late is left alone. NULL: `why` not. */
void pg_session_resolved(struct pg_session *session, uint64_t now_us,
                         const struct pg_target *target, const char *why);
/* Ends the connection at once; talks under way end as lost. It connects again after a backoff. */
void pg_session_drop(struct pg_session *session, uint64_t now_us, const char *why);

int pg_session_socket(const struct pg_session *session); /* -1: none */
unsigned pg_session_wants(const struct pg_session *session);
uint64_t pg_session_due(const struct pg_session *session); /* UINT64_MAX: never */
void pg_session_step(struct pg_session *session, uint64_t now_us);
void pg_session_tick(struct pg_session *session, uint64_t now_us);

/* Whether it is READY and has room for one more talk. */
bool pg_session_takes(const struct pg_session *session);
/* Sends the talk's first round; the talk was begun. It may end within the call. */
void pg_session_run(struct pg_session *session, struct pg_talk *talk, uint64_t now_us);

#endif
