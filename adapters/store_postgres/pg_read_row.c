/* pg_read_row.c - one row by its key: a user, a name, a hold, a block. */
#include "adapters/store_postgres/pg_read.h"

struct row_read {
  struct pg_reading reading; /* first */
  bool asked, found;
};

static void row_take(struct pg_talk *talk, unsigned index, const PGresult *result)
{
  struct row_read *read = talk->work;
  struct store_request *request = talk->request;
  struct pg_rows rows = {.result = result};
  CHECK(index == 0);
  read->found = PQntuples(result) > 0;
  if (!read->found)
    return;
  switch (request->kind) {
  case STORE_GET_USER:
    pg_row_user(&rows, &request->arena, &request->get_user.out);
    break;
  case STORE_GET_NAME:
    pg_row_name(&rows, &request->get_name.out);
    break;
  case STORE_GET_HOLD:
    pg_row_hold(&rows, &request->get_hold.out);
    break;
  default:
    CHECK(request->kind == STORE_GET_BLOCK); /* the only kind that is left */
    pg_row_block(&rows, &request->get_block.out);
  }
  read->reading.corrupt = rows.corrupt;
}

static void ask_by_id(const struct pg_talk *talk, struct pg_round *round,
                      enum pg_statement statement, hf_id id)
{
  pg_round_in(round, statement, pg_partition(talk, id));
  pg_arg_int8(round, (int64_t)id);
}

static void ask(const struct pg_talk *talk, struct pg_round *round)
{
  const struct store_request *request = talk->request;
  switch (request->kind) {
  case STORE_GET_USER:
    ask_by_id(talk, round, PG_USER_GET, request->get_user.id);
    break;
  case STORE_GET_NAME:
    pg_round_in(round, PG_NAME_GET, request->get_name.partition);
    pg_arg_int2(round, request->get_name.name_kind);
    pg_arg_bytes(round, request->get_name.digest.bytes, HF_HASH_SIZE);
    break;
  case STORE_GET_HOLD:
    ask_by_id(talk, round, PG_HOLD_GET, request->get_hold.id);
    break;
  default:
    CHECK(request->kind == STORE_GET_BLOCK); /* the only kind that is left */
    ask_by_id(talk, round, PG_BLOCK_GET, request->get_block.id);
  }
}

static bool row_next(struct pg_talk *talk, struct pg_round *round)
{
  struct row_read *read = pg_reading_work(talk, sizeof *read);
  if (read->asked)
    return pg_reading_end(talk, read->found ? STORE_OK : STORE_NOT_FOUND);
  read->asked = true;
  ask(talk, round);
  return true;
}

const struct pg_talk_ops pg_row_talk = {
  .next = row_next, .take = row_take, .failed = pg_reading_failed};
