/* pg_open.c - a writer takes a partition over.
 *
 * Happy path: one statement says where the partition stands; another raises its epoch and adds an
 *   empty batch under the next number. That batch is the fence: whoever had the partition before
 *   can only try to commit under a number that is taken.
 * Ways to fail: the partition is another node's (STORE_FENCED); somebody committed in between: look
 *   again, a few times; the journal does not end where its newest batch says (STORE_CORRUPT). An
 *   answer that is lost leaves nothing behind that matters: the next opening looks again.
 * Invariants: epoch and fence are one transaction; the fence chains on the batch before it. */
#include "actors/store/unit.h"
#include "adapters/store_postgres/pg_read.h"

#define ATTEMPTS_MAX 32u /* one is lost only to an opening or a commit that went through */

enum { STAGE_BEGIN, STAGE_LOOK, STAGE_TAKE };
/* Of PG_SQL_PARTITION_STATE. */
enum {
  STATE_EPOCH,
  STATE_OWNER,
  STATE_SEQ,
  STATE_USER,
  STATE_NAME_USER,
  STATE_NUMBER,
  STATE_FIRST_SEQ,
  STATE_ENTRIES,
  STATE_COMMITTED,
  STATE_HASH,
  STATE_NOW
};

struct opening {
  struct pg_reading reading; /* first */
  uint8_t attempts;
  bool found, taken;
  uint64_t owner; /* of the partition, 0: none */
  struct store_batch fence;
};

static uint64_t number_or(struct pg_rows *rows, int column, uint64_t otherwise)
{
  return pg_is_null(rows, column) ? otherwise : pg_get_unsigned(rows, column, INT64_MAX - 1);
}

static uint64_t serial_of(const struct pg_talk *talk, struct pg_rows *rows, int column)
{
  return number_or(rows, column, 0) >> talk->database->partition_bits;
}

/* Where the partition stands, and the fence that would follow. */
static void take_state(const struct pg_talk *talk, struct opening *opening, struct pg_rows *rows)
{
  struct store_partition *out = &talk->request->open_partition;
  struct store_batch *fence = &opening->fence;
  struct store_batch_hasher hasher;
  uint64_t user = serial_of(talk, rows, STATE_USER);
  uint64_t reserved = serial_of(talk, rows, STATE_NAME_USER);
  int64_t now_us = pg_get_int(rows, STATE_NOW);
  *fence = (struct store_batch){
    .partition = out->partition, .number = 1, .first_seq = 1, .committed_us = now_us};
  fence->epoch = pg_get_unsigned(rows, STATE_EPOCH, INT64_MAX - 1) + 1u;
  opening->owner = number_or(rows, STATE_OWNER, 0);
  if (!pg_is_null(rows, STATE_NUMBER)) {
    int64_t committed_us = pg_get_int(rows, STATE_COMMITTED);
    fence->number = pg_get_unsigned(rows, STATE_NUMBER, INT64_MAX - 2) + 1u;
    fence->first_seq = pg_get_unsigned(rows, STATE_FIRST_SEQ, HF_ID_MAX) +
                       pg_get_unsigned(rows, STATE_ENTRIES, UINT32_MAX);
    pg_get_bytes(rows, STATE_HASH, fence->previous.bytes, sizeof fence->previous.bytes);
    if (committed_us > now_us)
      fence->committed_us = committed_us;
  }
  /* The journal ends where its newest batch says. */
  if (number_or(rows, STATE_SEQ, 0) + 1u != fence->first_seq)
    rows->corrupt = true;
  store_batch_begin(&hasher);
  store_batch_end(&hasher, fence);
  out->epoch = fence->epoch;
  out->next_batch = fence->number + 1u;
  out->next_seq = fence->first_seq;
  out->next_user_serial = (user > reserved ? user : reserved) + 1u;
  out->head = fence->hash;
  out->follows = fence->previous;
  opening->found = true;
}

static void open_take(struct pg_talk *talk, unsigned index, const PGresult *result)
{
  struct opening *opening = talk->work;
  struct pg_rows rows = {.result = result};
  CHECK(index == 0);
  if (opening->reading.stage == STAGE_TAKE)
    opening->taken = PQntuples(result) > 0;
  else if (PQntuples(result) > 0)
    take_state(talk, opening, &rows);
  opening->reading.corrupt = rows.corrupt;
}

/* The number was taken by somebody's commit: look again. Anything else ends it. */
static void open_failed(struct pg_talk *talk, const struct pg_failure *failure)
{
  struct opening *opening = talk->work;
  talk->expected = pg_trouble_of(failure->sqlstate) == PG_TROUBLE_UNIQUE;
  if (!talk->expected)
    opening->reading.failed = true;
}

static bool ask_state(const struct pg_talk *talk, struct opening *opening, struct pg_round *round)
{
  opening->reading.stage = STAGE_LOOK;
  opening->found = opening->taken = false;
  pg_round_in(round, PG_PARTITION_STATE, talk->request->open_partition.partition);
  return true;
}

static bool ask_take(const struct pg_talk *talk, struct opening *opening, struct pg_round *round)
{
  const struct store_batch *fence = &opening->fence;
  opening->reading.stage = STAGE_TAKE;
  opening->attempts++;
  pg_round_in(round, PG_PARTITION_TAKE, fence->partition);
  pg_arg_int8(round, (int64_t)fence->epoch);
  pg_arg_int8(round, (int64_t)talk->request->open_partition.owner);
  pg_arg_int8(round, (int64_t)fence->number);
  pg_arg_int8(round, (int64_t)fence->first_seq);
  pg_arg_int8(round, fence->committed_us);
  pg_arg_bytes(round, fence->previous.bytes, sizeof fence->previous.bytes);
  pg_arg_bytes(round, fence->hash.bytes, sizeof fence->hash.bytes);
  return true;
}

static bool open_next(struct pg_talk *talk, struct pg_round *round)
{
  struct opening *opening = pg_reading_work(talk, sizeof *opening);
  uint64_t owner = talk->request->open_partition.owner;
  if (opening->reading.stage == STAGE_BEGIN)
    return ask_state(talk, opening, round);
  if (!pg_reading_sound(talk))
    return pg_reading_end(talk, STORE_OK);
  if (opening->reading.stage == STAGE_TAKE) {
    if (opening->taken)
      return pg_reading_end(talk, STORE_OK);
    return opening->attempts < ATTEMPTS_MAX ? ask_state(talk, opening, round)
                                            : pg_reading_end(talk, STORE_UNAVAILABLE);
  }
  if (!opening->found)
    return pg_reading_end(talk, STORE_CORRUPT); /* the schema made a row for each partition */
  if (owner != 0 && opening->owner != owner)
    return pg_reading_end(talk, STORE_FENCED);
  return ask_take(talk, opening, round);
}

const struct pg_talk_ops pg_open_talk = {
  .next = open_next, .take = open_take, .failed = open_failed};
