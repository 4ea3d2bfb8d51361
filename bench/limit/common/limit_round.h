/* limit_round.h - commits as what goes to libpq: the PostgreSQL adapter's statements with their
 * binary arguments, made by the adapter's own code.
 *
 * Owner: the program that measures; a round is made on one thread and sent on any. Failures end the
 * program (limit_fail). */
#ifndef BENCH_LIMIT_ROUND_H
#define BENCH_LIMIT_ROUND_H

#include "adapters/store_postgres/pg_talk.h"
#include "bench/limit/common/limit_stage.h"

#define LIMIT_STEPS_MAX 8u

struct limit_round {
  uint8_t *bytes; /* of all arguments */
  unsigned steps;
  struct limit_step {
    enum pg_statement statement;
    int count;
    const char *values[PG_ARGS_MAX];
    int sizes[PG_ARGS_MAX];
  } step[LIMIT_STEPS_MAX];
};

/* The next commit of that share; `scratch` is kept from call to call. */
void limit_round_make(struct limit *limit, size_t batch, const struct pg_database *database,
                      struct pg_round *scratch, struct limit_round *ret_round);
void limit_round_free(struct limit_round *round);
/* Prepares the statements of such a round, under the adapter's names. */
void limit_round_prepare(PGconn *connection, const struct limit_round *round);
/* Sends it as one pipelined round with one Sync, in pipeline mode, and takes its results. */
void limit_round_run(PGconn *connection, const struct limit_round *round);

#endif
