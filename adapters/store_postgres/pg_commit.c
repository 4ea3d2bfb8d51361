/* pg_commit.c - a commit as a talk.
 *
 * Happy path: one round: the batches (each must follow the newest one of its partition, and its
 *   primary key is the compare-and-swap), the journal (whose indexes refuse a key or a version that
 *   is there), whatever else the units bring. The Sync behind them is the commit.
 * Ways to fail: the server refuses a statement and rolls the round back. When it is one that a key,
 *   a row or another writer explains, the next round asks why, and the ops of known keys are
 *   loaded; nothing was written. Anything else is STORE_UNAVAILABLE. A connection that ends while
 *   the round is on its way leaves a doubt: pg_doubt.c.
 * Invariants: STORE_OK is said only after the server confirmed the Sync; a round that writes is
 *   sent at most twice, the second time only because nothing was found that speaks against it. */
#include "adapters/store_postgres/pg_commit.h"

#include <string.h>

#include "adapters/store_postgres/pg_doubt.h"
#include "holdfast/check.h"
#include "holdfast/error.h"

#define ATTEMPTS_MAX 2u

enum stage { STAGE_PUT, STAGE_PUT_SENT, STAGE_JUDGE, STAGE_JUDGE_SENT, STAGE_HITS, STAGE_OVER };

struct commit_work {
  uint8_t stage; /* enum stage */
  unsigned attempts;
  uint64_t entries, keys, outcomes, backdated;
  struct pg_commit_rows rows;
  struct pg_judge *judge;
  struct pg_hits *hits;
};

/* ---- keys ------------------------------------------------------------------------------------ */

const struct hf_digest *pg_unit_key(const struct store_unit *unit)
{
  if (unit->has_outcome)
    return &unit->outcome.key;
  return unit->has_key ? &unit->entries[0].key : NULL;
}

hf_id pg_unit_user(const struct store_unit *unit)
{
  return unit->has_outcome ? unit->outcome.user : unit->entries[0].user;
}

void pg_commit_keys(struct pg_round *round, struct store_unit *const *units, const uint32_t *which,
                    size_t count)
{
  pg_arg_array(round, PG_INT2, count);
  for (size_t i = 0; i < count; i++)
    pg_item_int2(round, (int)units[which[i]]->partition);
  pg_arg_array(round, PG_INT8, count);
  for (size_t i = 0; i < count; i++)
    pg_item_int8(round, (int64_t)pg_unit_user(units[which[i]]));
  pg_arg_array(round, PG_UUID, count);
  for (size_t i = 0; i < count; i++)
    pg_item_uuid(round, pg_unit_key(units[which[i]])->bytes);
}

/* ---- what is written ------------------------------------------------------------------------- */

/* Looks at the units once: counts, and what may not be. */
static void survey(struct pg_talk *talk)
{
  const struct store_request *request = talk->request;
  struct commit_work *work = talk->work;
  CHECK(request->commit.batches_count > 0);
  for (size_t i = 0; i < request->commit.units_count; i++) {
    struct store_unit *unit = request->commit.units[i];
    CHECK(unit->entries_count <= LEDGER_OP_ENTRIES_MAX);
    CHECK(unit->entries_count == 0 || unit->entries != NULL);
    CHECK(!unit->has_outcome || unit->entries_count == 0);
    CHECK(!unit->has_key || unit->has_outcome || unit->entries_count > 0);
    unit->status = STORE_OK;
    work->entries += unit->entries_count;
    work->outcomes += unit->has_outcome;
    work->keys += pg_unit_key(unit) != NULL;
    for (unsigned j = 0; j < unit->entries_count; j++) {
      const struct ledger_entry *entry = &unit->entries[j];
      unsigned bits = talk->database->partition_bits;
      CHECK(entry->version > 0 && hf_id_serial(entry->id, bits) > 0);
      CHECK(hf_id_partition(entry->id, bits) == unit->partition);
      CHECK(hf_id_partition(entry->user, bits) == unit->partition);
      work->backdated += entry->effective_us < entry->recorded_us;
    }
  }
}

#define EACH_BATCH(type, put)                                                                      \
  do {                                                                                             \
    pg_arg_array(round, type, count);                                                              \
    for (size_t i = 0; i < count; i++) {                                                           \
      const struct store_batch *batch = &batches[i];                                               \
      put;                                                                                         \
    }                                                                                              \
  } while (0)

static void put_batches(const struct store_request *request, struct pg_round *round)
{
  const struct store_batch *batches = request->commit.batches;
  size_t count = request->commit.batches_count;
  pg_round_add(round, PG_BATCH_PUT);
  EACH_BATCH(PG_INT2, pg_item_int2(round, (int)batch->partition));
  EACH_BATCH(PG_INT8, pg_item_int8(round, (int64_t)batch->number));
  EACH_BATCH(PG_INT8, pg_item_int8(round, (int64_t)batch->epoch));
  EACH_BATCH(PG_INT8, pg_item_int8(round, (int64_t)batch->first_seq));
  EACH_BATCH(PG_INT4, pg_item_int4(round, (int32_t)batch->entries_count));
  EACH_BATCH(PG_INT4, pg_item_int4(round, (int32_t)batch->outcomes_count));
  EACH_BATCH(PG_INT4, pg_item_int4(round, (int32_t)batch->rows_count));
  EACH_BATCH(PG_INT8, pg_item_int8(round, batch->committed_us));
  EACH_BATCH(PG_BYTEA, pg_item_bytes(round, batch->previous.bytes, HF_HASH_SIZE));
  EACH_BATCH(PG_BYTEA, pg_item_bytes(round, batch->hash.bytes, HF_HASH_SIZE));
}

/* One array of the journal: `put` adds the element of `entry`. */
#define EACH_ENTRY(type, count, put)                                                               \
  do {                                                                                             \
    pg_arg_array(round, type, count);                                                              \
    for (size_t i = 0; i < request->commit.units_count; i++) {                                     \
      const struct store_unit *unit = request->commit.units[i];                                    \
      for (unsigned j = 0; j < unit->entries_count; j++) {                                         \
        const struct ledger_entry *entry = &unit->entries[j];                                      \
        (void)entry;                                                                               \
        put;                                                                                       \
      }                                                                                            \
    }                                                                                              \
  } while (0)

static void put_bodies(const struct store_request *request, size_t count, struct pg_round *round)
{
  pg_arg_array(round, PG_BYTEA, count);
  for (size_t i = 0; i < request->commit.units_count; i++) {
    const struct store_unit *unit = request->commit.units[i];
    const uint8_t *body = unit->bodies;
    for (unsigned j = 0; j < unit->entries_count; j++) {
      pg_item_bytes(round, body, unit->body_sizes[j]);
      body += unit->body_sizes[j];
    }
  }
}

static void put_entries(const struct pg_talk *talk, struct pg_round *round)
{
  const struct store_request *request = talk->request;
  const struct commit_work *work = talk->work;
  unsigned bits = talk->database->partition_bits;
  if (work->entries == 0)
    return;
  pg_round_add(round, PG_JOURNAL_PUT);
  EACH_ENTRY(PG_INT8, work->entries, pg_item_int8(round, (int64_t)entry->user));
  EACH_ENTRY(PG_INT8, work->entries, pg_item_int8(round, (int64_t)hf_id_serial(entry->id, bits)));
  EACH_ENTRY(PG_INT8, work->entries, pg_item_int8(round, (int64_t)entry->version));
  EACH_ENTRY(PG_UUID, work->entries,
             j == 0 && unit->has_key ? pg_item_uuid(round, entry->key.bytes) : pg_item_null(round));
  EACH_ENTRY(PG_INT2, work->entries, pg_item_int2(round, (int)unit->partition));
  EACH_ENTRY(PG_BYTEA, work->entries, pg_item_bytes(round, entry->hash.bytes, HF_HASH_SIZE));
  put_bodies(request, work->entries, round);
}

#define EACH_BACKDATED(type, put)                                                                  \
  EACH_ENTRY(type, work->backdated, if (entry->effective_us < entry->recorded_us) put)

static void put_backdated(const struct pg_talk *talk, struct pg_round *round)
{
  const struct store_request *request = talk->request;
  const struct commit_work *work = talk->work;
  unsigned bits = talk->database->partition_bits;
  if (work->backdated == 0)
    return;
  pg_round_add(round, PG_BACKDATED_PUT);
  EACH_BACKDATED(PG_INT2, pg_item_int2(round, (int)unit->partition));
  EACH_BACKDATED(PG_INT8, pg_item_int8(round, (int64_t)entry->user));
  EACH_BACKDATED(PG_INT8, pg_item_int8(round, (int64_t)hf_id_serial(entry->id, bits)));
  EACH_BACKDATED(PG_INT8, pg_item_int8(round, entry->effective_us));
  EACH_BACKDATED(PG_INT4, pg_item_int4(round, entry->asset));
  EACH_BACKDATED(PG_INT2, pg_item_int2(round, entry->from));
  EACH_BACKDATED(PG_INT2, pg_item_int2(round, entry->to));
  EACH_BACKDATED(PG_BYTEA, pg_item_amount(round, entry->amount));
}

static const struct store_batch *batch_of(const struct store_request *request, uint32_t partition)
{
  size_t i = 0;
  while (i < request->commit.batches_count && request->commit.batches[i].partition != partition)
    i++;
  CHECK(i < request->commit.batches_count); /* there is a batch for each partition of the units */
  return &request->commit.batches[i];
}

#define EACH_OUTCOME(type, put)                                                                    \
  do {                                                                                             \
    pg_arg_array(round, type, work->outcomes);                                                     \
    for (size_t i = 0; i < request->commit.units_count; i++) {                                     \
      const struct store_unit *unit = request->commit.units[i];                                    \
      const struct store_outcome *outcome = &unit->outcome;                                        \
      (void)outcome;                                                                               \
      if (unit->has_outcome)                                                                       \
        put;                                                                                       \
    }                                                                                              \
  } while (0)

/* 0-based places of the outcomes in their batches: the units of a partition stand together. */
static void put_places(const struct store_request *request, size_t count, struct pg_round *round)
{
  uint32_t partition = UINT32_MAX;
  int32_t place = 0;
  pg_arg_array(round, PG_INT4, count);
  for (size_t i = 0; i < request->commit.units_count; i++) {
    const struct store_unit *unit = request->commit.units[i];
    place = unit->partition == partition ? place : 0;
    partition = unit->partition;
    if (unit->has_outcome)
      pg_item_int4(round, place++);
  }
}

static const char *code_of(const struct store_outcome *outcome)
{
  CHECK(outcome->error != HF_OK && outcome->error < HF_ERROR_COUNT);
  return hf_error_info((enum hf_error)outcome->error)->code;
}

static void put_outcomes(const struct pg_talk *talk, struct pg_round *round)
{
  const struct store_request *request = talk->request;
  const struct commit_work *work = talk->work;
  if (work->outcomes == 0)
    return;
  pg_round_add(round, PG_OUTCOME_PUT);
  EACH_OUTCOME(PG_INT2, pg_item_int2(round, (int)unit->partition));
  EACH_OUTCOME(PG_INT8, pg_item_int8(round, (int64_t)outcome->user));
  EACH_OUTCOME(PG_UUID, pg_item_uuid(round, outcome->key.bytes));
  EACH_OUTCOME(PG_UUID, pg_item_uuid(round, outcome->request.bytes));
  EACH_OUTCOME(PG_TEXT, pg_item_bytes(round, code_of(outcome), strlen(code_of(outcome))));
  EACH_OUTCOME(PG_INT2, pg_item_int2(round, outcome->type));
  EACH_OUTCOME(PG_INT8, pg_item_int8(round, (int64_t)outcome->version));
  EACH_OUTCOME(PG_INT8, pg_item_int8(round, outcome->recorded_us));
  EACH_OUTCOME(PG_INT8, pg_item_int8(round, (int64_t)batch_of(request, unit->partition)->number));
  put_places(request, work->outcomes, round);
}

/* The unique index finds the key of an op among the ops, and that of a refusal among the refusals;
 * the other way round it has to be looked for, also where nobody asks for a probe. A wary commit
 * looks for both, so that nothing is written in vain. */
static void look_for_keys(const struct pg_talk *talk, struct pg_round *round)
{
  const struct store_request *request = talk->request;
  const struct commit_work *work = talk->work;
  size_t count = 0;
  if (work->keys == 0)
    return;
  uint32_t *which = hf_arena_alloc(&talk->request->arena, work->keys * sizeof *which);
  for (size_t i = 0; i < request->commit.units_count; i++)
    if (pg_unit_key(request->commit.units[i]) != NULL)
      which[count++] = (uint32_t)i;
  CHECK(count == work->keys);
  pg_round_add(round, PG_KEYS_ABSENT);
  pg_commit_keys(round, request->commit.units, which, count);
  pg_arg_array(round, PG_BOOL, count);
  for (size_t i = 0; i < count; i++) {
    const struct store_unit *unit = request->commit.units[which[i]];
    pg_item_bool(round, unit->has_outcome || (talk->wary && unit->probe));
  }
}

/* False: the rows contradict each other, whatever the database has. */
static bool put_all(struct pg_talk *talk, struct pg_round *round)
{
  struct commit_work *work = talk->work;
  look_for_keys(talk, round);
  put_batches(talk->request, round);
  put_entries(talk, round);
  put_outcomes(talk, round);
  put_backdated(talk, round);
  return pg_commit_rows_put(&work->rows, round);
}

/* ---- the talk -------------------------------------------------------------------------------- */

static bool commit_over(struct pg_talk *talk, enum store_status status)
{
  struct commit_work *work = talk->work;
  work->stage = STAGE_OVER;
  talk->request->status = (uint8_t)status;
  return false;
}

/* The judge has answered. */
static bool judged(struct pg_talk *talk, struct pg_round *round)
{
  struct commit_work *work = talk->work;
  enum store_status status = pg_judge_verdict(work->judge);
  if (status == STORE_HIT) {
    work->stage = STAGE_HITS;
    work->hits = pg_hits_new(talk);
    return talk->ops->next(talk, round);
  }
  if (status != STORE_OK)
    return commit_over(talk, status);
  if (work->attempts == ATTEMPTS_MAX)
    return commit_over(talk, STORE_UNAVAILABLE);
  work->stage = STAGE_PUT; /* what was in the way is gone: another transaction that failed */
  return talk->ops->next(talk, round);
}

static bool commit_next(struct pg_talk *talk, struct pg_round *round)
{
  struct commit_work *work = talk->work;
  enum store_status status;
  if (work == NULL) {
    work = talk->work = hf_arena_alloc(&talk->request->arena, sizeof *work);
    survey(talk);
    pg_commit_rows_init(&work->rows, talk->request, talk->database->partition_bits);
  }
  switch ((enum stage)work->stage) {
  case STAGE_PUT:
    work->attempts++;
    if (put_all(talk, round)) {
      work->stage = STAGE_PUT_SENT;
      talk->committing = true;
      return true;
    }
    pg_round_clear(round);
    work->attempts = ATTEMPTS_MAX;
    work->stage = STAGE_JUDGE;
    return commit_next(talk, round);
  case STAGE_PUT_SENT:
    return commit_over(talk, STORE_OK);
  case STAGE_JUDGE:
    work->judge = pg_judge_new(talk, &work->rows);
    pg_judge_ask(work->judge, round);
    work->stage = STAGE_JUDGE_SENT;
    return true;
  case STAGE_JUDGE_SENT:
    return judged(talk, round);
  case STAGE_HITS:
    if (pg_hits_next(work->hits, round, &status))
      return true;
    return commit_over(talk, status);
  default:
    CHECK(work->stage == STAGE_OVER); /* it failed: the status was set with it */
    return false;
  }
}

static void commit_take(struct pg_talk *talk, unsigned index, const PGresult *result)
{
  struct commit_work *work = talk->work;
  if (work->stage == STAGE_JUDGE_SENT)
    pg_judge_take(work->judge, index, result);
  else if (work->stage == STAGE_HITS)
    pg_hits_take(work->hits, index, result);
}

static void commit_failed(struct pg_talk *talk, const struct pg_failure *failure)
{
  struct commit_work *work = talk->work;
  bool explicable = pg_trouble_of(failure->sqlstate) == PG_TROUBLE_UNIQUE ||
                    strcmp(failure->sqlstate, "22P02") == 0; /* PG_OR_BACK */
  if (work->stage == STAGE_PUT_SENT && explicable) {
    talk->expected = true;
    work->stage = STAGE_JUDGE;
  } else if (work->stage == STAGE_HITS) {
    pg_hits_failed(work->hits, failure);
  } else {
    (void)commit_over(talk, STORE_UNAVAILABLE);
  }
}

static void commit_abandon(struct pg_talk *talk)
{
  struct commit_work *work = talk->work;
  if (work == NULL || work->hits == NULL || work->stage != STAGE_HITS)
    return;
  pg_hits_abandon(work->hits);
  work->stage = STAGE_OVER;
}

const struct pg_talk_ops pg_commit_talk = {
  .next = commit_next,
  .take = commit_take,
  .failed = commit_failed,
  .abandon = commit_abandon,
};

bool pg_talk_lost(struct pg_talk *talk, int backend)
{
  bool doubt = talk->request->kind == STORE_COMMIT && talk->committing;
  if (talk->ops->abandon != NULL)
    talk->ops->abandon(talk);
  if (talk->ops == &pg_doubt_talk)
    return true; /* it was there to settle one */
  talk->committing = false;
  talk->request->status = doubt ? STORE_UNKNOWN : STORE_UNAVAILABLE;
  if (doubt)
    pg_doubt_begin(talk, backend);
  return doubt;
}
