/* pg_doubt.c - settles a commit of unknown outcome.
 *
 * Happy path: the old backend is told to end, and the fence row is inserted. It goes in: the commit
 *   never happens. It is refused because the number is taken: the row's hash says by whom. No row
 *   is inserted: the batch before it is not there any more, because a server without the newest
 *   commits took over; a fence would leave a hole in the chain, and the commit cannot come either.
 * Ways to fail: the old transaction still holds the number (lock timeout), the server takes no
 *   writes, the connection ends again: STORE_UNKNOWN, and the owner runs the talk once more. A
 *   fence of an earlier attempt that did go in is known by its hash.
 * Invariant: STORE_OK only when the commit's own row was read, STORE_UNAVAILABLE only when a fence
 *   row is there, or the batch that both chain on is not. */
#include "adapters/store_postgres/pg_doubt.h"

#include "actors/store/unit.h"
#include "holdfast/check.h"

enum stage { STAGE_FENCE, STAGE_FENCE_SENT, STAGE_LOOK, STAGE_LOOK_SENT, STAGE_OVER };

struct doubt_work {
  uint8_t stage; /* enum stage */
  bool found, corrupt;
  struct store_batch fence;
  struct hf_hash hash; /* of the row that has the number */
};

/* Another time than the commit's own batch has, so that an empty one differs from it. */
void pg_doubt_begin(struct pg_talk *talk, int backend)
{
  const struct store_batch *batch = &talk->request->commit.batches[0];
  struct doubt_work *work = hf_arena_alloc(&talk->request->arena, sizeof *work);
  struct store_batch_hasher hasher;
  CHECK(talk->request->kind == STORE_COMMIT && talk->request->commit.batches_count > 0);
  work->fence = (struct store_batch){.partition = batch->partition,
                                     .number = batch->number,
                                     .epoch = batch->epoch,
                                     .first_seq = batch->first_seq,
                                     .committed_us = batch->committed_us + 1,
                                     .previous = batch->previous};
  store_batch_begin(&hasher);
  store_batch_end(&hasher, &work->fence);
  CHECK(!hf_hash_equal(&work->fence.hash, &batch->hash));
  talk->work = work;
  talk->ops = &pg_doubt_talk;
  talk->backend = backend;
}

static void fence(struct pg_talk *talk, struct pg_round *round)
{
  const struct store_batch *batch = &((struct doubt_work *)talk->work)->fence;
  if (talk->backend != 0) {
    pg_round_add(round, PG_BACKEND_END);
    pg_arg_int4(round, talk->backend);
  }
  pg_round_add(round, PG_BATCH_FENCE);
  pg_arg_int2(round, (int)batch->partition);
  pg_arg_int8(round, (int64_t)batch->number);
  pg_arg_int8(round, (int64_t)batch->epoch);
  pg_arg_int8(round, (int64_t)batch->first_seq);
  pg_arg_int8(round, batch->committed_us);
  pg_arg_bytes(round, batch->previous.bytes, HF_HASH_SIZE);
  pg_arg_bytes(round, batch->hash.bytes, HF_HASH_SIZE);
}

static bool over(struct pg_talk *talk, enum store_status status)
{
  struct doubt_work *work = talk->work;
  work->stage = STAGE_OVER;
  talk->request->status = (uint8_t)status;
  return false;
}

static enum store_status verdict(const struct pg_talk *talk)
{
  const struct doubt_work *work = talk->work;
  if (!work->found || work->corrupt)
    return STORE_UNKNOWN; /* whoever had the number gave it back: fence again */
  if (hf_hash_equal(&work->hash, &talk->request->commit.batches[0].hash))
    return STORE_OK;
  return hf_hash_equal(&work->hash, &work->fence.hash) ? STORE_UNAVAILABLE : STORE_FENCED;
}

static bool doubt_next(struct pg_talk *talk, struct pg_round *round)
{
  struct doubt_work *work = talk->work;
  switch ((enum stage)work->stage) {
  case STAGE_FENCE:
  case STAGE_OVER: /* it is run again */
    work->stage = STAGE_FENCE_SENT;
    talk->request->status = STORE_UNKNOWN;
    fence(talk, round);
    return true;
  case STAGE_FENCE_SENT:
    return over(talk, STORE_UNAVAILABLE); /* also when no row went in: nothing can follow */
  case STAGE_LOOK:
    work->stage = STAGE_LOOK_SENT;
    work->found = false;
    pg_round_add(round, PG_BATCH_HASH);
    pg_arg_int2(round, (int)work->fence.partition);
    pg_arg_int8(round, (int64_t)work->fence.number);
    return true;
  default:
    CHECK(work->stage == STAGE_LOOK_SENT);
    return over(talk, verdict(talk));
  }
}

static void doubt_take(struct pg_talk *talk, unsigned index, const PGresult *result)
{
  struct doubt_work *work = talk->work;
  struct pg_rows rows = {.result = result};
  (void)index;
  if (work->stage != STAGE_LOOK_SENT || PQntuples(result) == 0)
    return;
  pg_get_bytes(&rows, 0, work->hash.bytes, HF_HASH_SIZE);
  work->found = true;
  work->corrupt = rows.corrupt;
}

/* A failed fence says nothing by itself; the look behind it does. */
static void doubt_failed(struct pg_talk *talk, const struct pg_failure *failure)
{
  struct doubt_work *work = talk->work;
  talk->expected = pg_trouble_of(failure->sqlstate) == PG_TROUBLE_UNIQUE;
  work->corrupt = false;
  if (work->stage == STAGE_LOOK_SENT)
    work->found = false;
  else
    work->stage = STAGE_LOOK;
}

static void doubt_abandon(struct pg_talk *talk)
{
  struct doubt_work *work = talk->work;
  (void)over(talk, STORE_UNKNOWN);
  work->found = false;
}

const struct pg_talk_ops pg_doubt_talk = {
  .next = doubt_next,
  .take = doubt_take,
  .failed = doubt_failed,
  .abandon = doubt_abandon,
};
