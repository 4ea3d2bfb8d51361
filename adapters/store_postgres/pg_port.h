/* pg_port.h - the port's loops and their sessions. Internal.
 *
 * Owner: each loop's thread for all that is below `struct pg_loop`. Time: pg_clock_us. */
#ifndef HOLDFAST_PG_PORT_H
#define HOLDFAST_PG_PORT_H

#include <uv.h>

#include "adapters/store_postgres/pg_engine.h"
#include "adapters/store_postgres/pg_names.h"

#define PG_QUEUE_MAX 8192u       /* requests that wait in a loop; more: RT_AGAIN */
#define PG_READ_WAIT_US 1000000u /* a read waits that long for a connection, no longer */
#define PG_LAG_EVERY_US 250000u  /* a replica is asked that often how far it is */
#define PG_ANSWER_RETRY_US 5000u /* the loop had no room for an answer */

/* What a session is for. A heartbeat must not wait behind a long read or a commit in doubt. */
enum pg_role { PG_ROLE_COMMIT, PG_ROLE_READ, PG_ROLE_LEASE, PG_ROLE_REPLICA, PG_ROLE_COUNT };

struct pg_job {        /* a request that has a session */
  struct pg_talk talk; /* first */
  struct store_request *request;
  uint64_t began_us;
  struct pg_job *previous, *next; /* of the loop's active ones, or of its free list */
};

struct pg_watch { /* a uv_poll of one socket; lives until libuv has closed it */
  uv_poll_t poll;
  struct pg_wire *wire; /* NULL: it is closing */
  int socket;
  int events; /* that it waits for */
};

struct pg_wire {             /* a session on a loop */
  struct pg_session session; /* first */
  struct pg_loop *loop;
  struct pg_watch *watch; /* NULL: no socket */
  uint8_t role;           /* enum pg_role */
  bool slow;              /* a long read is under way */
  unsigned wary;          /* commits left that look first */
  struct pg_job *doubt;   /* a commit of unknown outcome that this session settles */
  bool settling;          /* its talk is under way */
  uint64_t doubt_since_us, doubt_next_us;
};

struct pg_queue {
  struct store_request *first, *last;
  unsigned count;
};

struct pg_group { /* the sessions of a role */
  struct pg_session_config config;
  struct pg_wire *wires;
  unsigned count;
  struct pg_queue waiting; /* requests that no session has yet */
  struct pg_names *names;  /* NULL: its DSN has no name in it */
  struct pg_loop *loop;
  struct pg_queue slow; /* likewise, of slow kinds */
};

struct pg_loop {
  struct pg_port *port;
  rt_ctx *ctx;
  rt_id store;  /* the loop's store actor: who is answered */
  bool in_turn; /* the store actor is submitting */
  bool leases;  /* a LEASE came: the session for it is kept */
  struct pg_group groups[PG_ROLE_COUNT];
  struct pg_job *active, *free_jobs;
  struct pg_queue answers;                            /* done; on their way to the store actor */
  uint64_t busy[(1u << HF_PARTITION_BITS_MAX) / 64u]; /* partitions with a commit under way */
  uint64_t answer_again_us;                           /* 0: no answer had to wait */
  uv_timer_t timer;
  uint64_t timer_us; /* when it fires; UINT64_MAX: not armed */
  /* How far the replica is: a talk of its own. */
  struct store_request lag_request;
  struct pg_talk lag_talk;
  bool lag_asking;
  uint64_t lag_next_us;
  uint64_t lag_until_us; /* the replica may be read before this */
};

struct pg_port {
  struct store_port port; /* first */
  struct pg_engine *engine;
  unsigned loops_count;
  struct pg_loop *loops[]; /* each set by its own loop */
};

/* pg_wire.c: sessions on libuv. */
void pg_wire_init(struct pg_wire *wire, struct pg_loop *loop, enum pg_role role, uint64_t seed);
void pg_wire_start(struct pg_wire *wire);
/* After any call that may have moved the session: the socket is watched as it wants. */
void pg_wire_follow(struct pg_wire *wire);
void pg_wire_tick(struct pg_wire *wire, uint64_t now_us);
void pg_wire_closing(struct pg_session *session); /* as pg_session_config.closing */
void pg_wire_resolve(struct pg_session *session); /* as pg_session_config.resolve */
/* As pg_names_done; arg: the group. */
void pg_wire_resolved(void *arg, const struct pg_target *target, const char *why);
void pg_wire_deinit(struct pg_wire *wire);

/* pg_loop.c: what a loop does between its callbacks. */
/* A talk of the wire is over; as pg_session_config.ended. */
void pg_loop_ended(void *arg, struct pg_session *session, struct pg_talk *talk, bool lost);
/* Where a request of the group waits. */
struct pg_queue *pg_group_queue(struct pg_group *group, const struct store_request *request);
/* Gives waiting requests to sessions, answers, arms the timer: at the end of each callback. */
void pg_loop_pump(struct pg_loop *loop);
enum pg_role pg_loop_role(struct pg_loop *loop, const struct store_request *request);
void pg_queue_push(struct pg_queue *queue, struct store_request *request);
struct store_request *pg_queue_take(struct pg_queue *queue); /* NULL: empty */

/* pg_lag.c: how far the replica is behind. */
bool pg_lag_fresh(const struct pg_loop *loop, uint64_t now_us);
void pg_lag_tick(struct pg_loop *loop, uint64_t now_us);
/* The replica has answered, or its connection ended: the primary is to be asked as well. */
bool pg_lag_short(struct pg_loop *loop, const struct pg_session *session,
                  const struct store_request *request);
/* True: the talk was the measure. */
bool pg_lag_ended(struct pg_loop *loop, const struct pg_talk *talk, bool lost);

#endif
