/* pg_talk.h - a store request's conversation with PostgreSQL: rounds of statements and what their
 * results mean. No I/O: pg_session.h sends the rounds and brings the results, over libuv in the
 * server and by blocking on the command line.
 *
 * A *round* is one or more prepared statements and a Sync: one implicit transaction, one round
 * trip. A talk has one round or a few, decided as it goes. It ends with request->status set.
 * Owner: who runs the session; one thread at a time. All memory is of the request's arena. */
#ifndef HOLDFAST_PG_TALK_H
#define HOLDFAST_PG_TALK_H

#include <postgresql/libpq-fe.h>

#include "actors/store/port.h"
#include "holdfast/bytes.h"

/* Every statement, prepared under its name by each session that uses it. X(NAME, SQL) in both. */
#include "adapters/store_postgres/pg_statements_commit.h"
#include "adapters/store_postgres/pg_statements_read.h"
enum pg_statement {
#define X(name, sql) PG_##name,
  PG_STATEMENTS_COMMIT(X) PG_STATEMENTS_READ(X)
#undef X
    PG_STATEMENT_COUNT
};
const char *pg_statement_name(enum pg_statement statement);
const char *pg_statement_sql(enum pg_statement statement);

/* ---- arguments: binary, in network order ----------------------------------------------------- */

#define PG_ARGS_MAX 24u
struct pg_args { /* of one statement; what it points to lives in the round */
  unsigned count;
  struct pg_arg {
    size_t at, size; /* in the round's bytes */
    bool null;
  } arg[PG_ARGS_MAX];
};

struct pg_round {
  struct hf_bytes bytes; /* of all arguments: one block, kept from round to round */
  unsigned count, room;
  struct pg_step {
    enum pg_statement statement;
    struct pg_args args;
  } * steps;
  struct pg_step *open; /* the one that arguments are added to */
  size_t array_at;      /* of the array under way: its header; 0: none */
  uint32_t array_left;
};
void pg_round_init(struct pg_round *round);
void pg_round_deinit(struct pg_round *round);
void pg_round_clear(struct pg_round *round);
/* Begins a step; the pg_arg calls that follow are its parameters, in order. */
void pg_round_add(struct pg_round *round, enum pg_statement statement);

void pg_arg_null(struct pg_round *round);
void pg_arg_bool(struct pg_round *round, bool value);
void pg_arg_int2(struct pg_round *round, int value);
void pg_arg_int4(struct pg_round *round, int32_t value);
void pg_arg_int8(struct pg_round *round, int64_t value);
void pg_arg_bytes(struct pg_round *round, const void *bytes, size_t size); /* bytea */
void pg_arg_uuid(struct pg_round *round, const uint8_t bytes[16]);
void pg_arg_text(struct pg_round *round, const char *text, size_t size); /* NULL: SQL NULL */
/* bytea of 16 bytes whose order is that of the amounts: big-endian, the sign bit turned over. */
void pg_arg_amount(struct pg_round *round, hf_amount amount);
/* One-dimensional array of `count` elements, each added by the matching pg_item call. */
enum pg_type {
  PG_BOOL = 16,
  PG_BYTEA = 17,
  PG_INT8 = 20,
  PG_INT2 = 21,
  PG_INT4 = 23,
  PG_TEXT = 25,
  PG_UUID = 2950
};
void pg_arg_array(struct pg_round *round, enum pg_type type, size_t count);
void pg_item_null(struct pg_round *round);
void pg_item_bool(struct pg_round *round, bool value);
void pg_item_int2(struct pg_round *round, int value);
void pg_item_int4(struct pg_round *round, int32_t value);
void pg_item_int8(struct pg_round *round, int64_t value);
void pg_item_bytes(struct pg_round *round, const void *bytes, size_t size); /* bytea, text */
void pg_item_uuid(struct pg_round *round, const uint8_t bytes[16]);
void pg_item_text(struct pg_round *round, struct store_text text); /* at == NULL: SQL NULL */
void pg_item_amount(struct pg_round *round, hf_amount amount);

/* ---- results: binary; whatever does not fit is `corrupt`, never a crash ---------------------- */

struct pg_rows {
  const PGresult *result;
  int row;
  bool corrupt; /* a column was missing, NULL where it may not be, of another size or range */
};
int64_t pg_get_int(struct pg_rows *rows, int column); /* int2, int4 or int8 */
uint64_t pg_get_unsigned(struct pg_rows *rows, int column, uint64_t max);
bool pg_get_bool(struct pg_rows *rows, int column);
bool pg_is_null(const struct pg_rows *rows, int column);
/* Exactly `size` bytes (bytea, uuid). */
void pg_get_bytes(struct pg_rows *rows, int column, void *out, size_t size);
/* A view of the result: copy it before the result is cleared. NULL: at == NULL. */
struct store_text pg_get_text(struct pg_rows *rows, int column);
hf_amount pg_get_amount(struct pg_rows *rows, int column); /* as pg_arg_amount */

/* ---- talks ----------------------------------------------------------------------------------- */

struct pg_failure {
  unsigned step;       /* which statement of the round */
  char sqlstate[6];    /* "" when the connection was lost */
  char constraint[64]; /* name, or "" */
  char message[200];   /* for the log */
};

/* What kind of failure an SQLSTATE is, for every talk alike. */
enum pg_trouble {
  PG_TROUBLE_TRANSIENT, /* surely not done; try later: 40xxx, 53xxx, 55xxx, 57xxx, 25006 ... */
  PG_TROUBLE_UNIQUE,    /* 23505 */
  PG_TROUBLE_OTHER,     /* a missing table: an operator has to look; unavailable, logged */
};
enum pg_trouble pg_trouble_of(const char sqlstate[6]);

struct pg_database { /* what is known of the database; set when it was opened */
  unsigned partition_bits;
  uint8_t secret[STORE_SECRET_SIZE]; /* of the cluster's links; and see struct store_engine */
};

struct pg_talk {
  struct store_request *request;
  const struct pg_database *database;
  const struct pg_talk_ops *ops;
  unsigned round;  /* rounds that were sent */
  bool committing; /* the round on its way may write: losing it leaves a doubt. Set by
                              `next`, which finds it false */
  bool expected;   /* the failure at hand is part of the protocol: not logged. Set by
                              `failed`, which finds it false */
  bool wary;       /* commits: hits are likely, look for them before anything is written */
  int backend;     /* doubt: process id of the server's side that had the commit; 0: none */
  void *work;      /* of the kind's own file; in the request's arena */
};

struct pg_talk_ops {
  /* Adds the next round's statements. False: the talk is over, request->status says how. */
  bool (*next)(struct pg_talk *talk, struct pg_round *round);
  /* The rows of the round's index-th statement. */
  void (*take)(struct pg_talk *talk, unsigned index, const PGresult *result);
  /* The round was rolled back by the server. `next` is called after it. */
  void (*failed)(struct pg_talk *talk, const struct pg_failure *failure);
  /* Frees what is not of the request's arena, when the talk ends without `next` having said so.
   * NULL: nothing is. */
  void (*abandon)(struct pg_talk *talk);
};

/* The talk of any request kind. pg_commit.c has the commit, pg_read_*.c the others. */
void pg_talk_begin(struct pg_talk *talk, struct store_request *request,
                   const struct pg_database *database);
extern const struct pg_talk_ops pg_commit_talk;
/* The session of the talk was lost, or the talk is given up. True: a commit may be there or not:
 * run the talk again, on a new connection, until its request's status is another one than
 * STORE_UNKNOWN (pg_doubt.c). False: it is over, and surely nothing was done. */
bool pg_talk_lost(struct pg_talk *talk, int backend);

#endif
