#include "bench/limit/common/limit_round.h"

#include <stdlib.h>
#include <string.h>

#include "holdfast/check.h"

void limit_round_make(struct limit *limit, size_t batch, const struct pg_database *database,
                      struct pg_round *scratch, struct limit_round *ret_round)
{
  struct store_request *request = limit_commit_make(limit, batch);
  struct pg_talk talk;
  pg_round_clear(scratch);
  pg_talk_begin(&talk, request, database);
  if (!talk.ops->next(&talk, scratch) || scratch->count > LIMIT_STEPS_MAX)
    limit_fail("the adapter", "a plain commit is no round of statements");
  struct limit_round round = {.steps = scratch->count};
  round.bytes = malloc(scratch->bytes.size);
  if (round.bytes == NULL)
    limit_fail("memory", "out");
  memcpy(round.bytes, scratch->bytes.at, scratch->bytes.size);
  for (unsigned i = 0; i < scratch->count; i++) {
    const struct pg_args *args = &scratch->steps[i].args;
    round.step[i].statement = scratch->steps[i].statement;
    round.step[i].count = (int)args->count;
    for (unsigned k = 0; k < args->count; k++) {
      CHECK(!args->arg[k].null);
      round.step[i].values[k] = (const char *)round.bytes + args->arg[k].at;
      round.step[i].sizes[k] = (int)args->arg[k].size;
    }
  }
  *ret_round = round;
  store_request_free(request);
  limit_units_free(limit);
}

void limit_round_free(struct limit_round *round)
{
  free(round->bytes);
  round->bytes = NULL;
}

void limit_round_prepare(PGconn *connection, const struct limit_round *round)
{
  for (unsigned i = 0; i < round->steps; i++) {
    enum pg_statement statement = round->step[i].statement;
    PGresult *result =
      PQprepare(connection, pg_statement_name(statement), pg_statement_sql(statement), 0, NULL);
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
      limit_fail(pg_statement_name(statement), PQerrorMessage(connection));
    PQclear(result);
  }
}

void limit_round_run(PGconn *connection, const struct limit_round *round)
{
  static const int binary[PG_ARGS_MAX] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                          1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  for (unsigned i = 0; i < round->steps; i++) {
    const struct limit_step *step = &round->step[i];
    if (PQsendQueryPrepared(connection, pg_statement_name(step->statement), step->count,
                            step->values, step->sizes, binary, 1) != 1)
      limit_fail("sending", PQerrorMessage(connection));
  }
  if (PQpipelineSync(connection) != 1)
    limit_fail("sending", PQerrorMessage(connection));
  for (;;) {
    PGresult *result = PQgetResult(connection);
    ExecStatusType status = PQresultStatus(result);
    if (result == NULL)
      continue; /* between two statements */
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_PIPELINE_SYNC)
      limit_fail("a commit", PQresultErrorMessage(result));
    PQclear(result);
    if (status == PGRES_PIPELINE_SYNC)
      return;
  }
}
