/* sqlite_commit.c - several requests become one durable transaction.
 *
 * Happy path: begin; probe the keys that must be; write every request whose batches follow what
 *   the partition has; commit (one fsync); advance what is known of the partitions.
 * Ways to fail: a request that hits, conflicts or is fenced is left out: when some of it was
 *   written already, the transaction is rolled back and done again without it, so that the common
 *   path pays for no savepoint. An I/O error, a full disk or lack of memory fails all of them. When
 *   COMMIT itself failed, a new connection looks whether the batches are there; if they are not, it
 *   commits a fence, which takes the place in the log where they could have come back from.
 * Invariants: nothing of a request that is not STORE_OK was committed, unless it is STORE_UNKNOWN;
 *   engine->partitions says what the database says, or nothing. */
#include "adapters/store_sqlite/sqlite_engine.h"
#include "adapters/store_sqlite/sqlite_write.h"

struct commit_run {
  struct sqlite_engine *engine;
  struct sqlite_db *db;
  struct store_request **requests;
  size_t count;
};

/* ---- judging --------------------------------------------------------------------------------- */

enum store_status sqlite_partition_load(struct sqlite_engine *engine, uint32_t partition,
                                        struct hf_hash *ret_head)
{
  struct sqlite_db *db = &engine->writer;
  struct sqlite_partition state = {.known = true, .next_batch = 1, .next_seq = 1};
  struct sqlite_row row = {.statement = sqlite_db_use(db, SQL_PARTITION_EPOCH)};
  struct store_batch newest = {.number = 0};
  CHECK(partition >> db->partition_bits == 0);
  sqlite_bind_id(row.statement, 1, partition);
  enum store_status status = sqlite_first(row.statement);
  if (status == STORE_OK) {
    state.epoch = sqlite_column_unsigned(&row, 0, INT64_MAX);
    (void)sqlite3_reset(row.statement);
  } else if (status != STORE_NOT_FOUND) {
    return status;
  }
  row.statement = sqlite_db_use(db, SQL_BATCH_NEWEST);
  sqlite_bind_id(row.statement, 1, partition);
  status = sqlite_first(row.statement);
  if (status == STORE_OK) {
    sqlite_row_batch(&row, &newest);
    (void)sqlite3_reset(row.statement);
    state.next_batch = newest.number + 1u;
    state.next_seq = newest.first_seq + newest.entries_count;
  } else if (status != STORE_NOT_FOUND) {
    return status;
  }
  /* The journal ends where its newest batch says. */
  row.statement = sqlite_db_use_journal(db, JOURNAL_LAST, partition);
  status = sqlite_first(row.statement);
  if (status != STORE_OK)
    return status == STORE_NOT_FOUND ? STORE_CORRUPT : status;
  uint64_t last = sqlite3_column_type(row.statement, 0) == SQLITE_NULL
                    ? 0
                    : sqlite_column_unsigned(&row, 0, INT64_MAX - 1);
  (void)sqlite3_reset(row.statement);
  if (row.corrupt || last + 1u != state.next_seq)
    return STORE_CORRUPT;
  engine->partitions[partition] = state;
  *ret_head = newest.hash;
  return STORE_OK;
}

static enum store_status judge_batch(struct sqlite_engine *engine, const struct store_batch *batch)
{
  CHECK(batch->partition >> engine->writer.partition_bits == 0);
  const struct sqlite_partition *partition = &engine->partitions[batch->partition];
  if (!partition->known) {
    struct hf_hash head;
    enum store_status status = sqlite_partition_load(engine, batch->partition, &head);
    if (status != STORE_OK)
      return status;
  }
  if (batch->number < partition->next_batch || batch->epoch < partition->epoch)
    return STORE_FENCED;
  if (batch->number > partition->next_batch)
    return STORE_UNAVAILABLE; /* the batch before it was refused */
  return batch->first_seq == partition->next_seq ? STORE_OK : STORE_FENCED;
}

/* Looks the unit's key up. */
static enum store_status probe(struct sqlite_db *db, struct store_unit *unit)
{
  const struct hf_digest *key = &unit->outcome.key;
  hf_id user = unit->outcome.user;
  struct store_op *hit;
  if (!unit->has_outcome) {
    CHECK(unit->entries_count > 0);
    key = &unit->entries[0].key;
    user = unit->entries[0].user;
  }
  enum store_status status = sqlite_load_key_op(db, user, key, &hit);
  if (status == STORE_NOT_FOUND)
    return STORE_OK;
  if (status != STORE_OK)
    return status;
  unit->status = STORE_HIT;
  store_op_free(unit->hit);
  unit->hit = hit;
  return STORE_HIT;
}

static enum store_status judge(struct commit_run *run, struct store_request *request)
{
  enum store_status worst = STORE_OK;
  for (size_t i = 0; i < request->commit.units_count; i++)
    request->commit.units[i]->status = STORE_OK;
  for (size_t i = 0; i < request->commit.batches_count; i++) {
    enum store_status status = judge_batch(run->engine, &request->commit.batches[i]);
    if (status != STORE_OK)
      return status;
  }
  for (size_t i = 0; i < request->commit.units_count; i++) {
    struct store_unit *unit = request->commit.units[i];
    if (!unit->probe || !(unit->has_key || unit->has_outcome))
      continue;
    enum store_status status = probe(run->db, unit);
    if (status == STORE_HIT)
      worst = STORE_HIT;
    else if (status != STORE_OK)
      return status;
  }
  return worst;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* The batch of the unit's partition; units of a partition stand together, so that `hint` is it. */
static const struct store_batch *batch_of(const struct store_request *request, uint32_t partition,
                                          size_t *hint)
{
  size_t tried = 0, count = request->commit.batches_count;
  while (tried < count && request->commit.batches[*hint].partition != partition) {
    *hint = (*hint + 1u) % count;
    tried++;
  }
  CHECK(tried < count); /* there is a batch for each partition of the units */
  return &request->commit.batches[*hint];
}

static bool erases(const struct store_unit *unit)
{
  for (unsigned i = 0; i < unit->rows_count; i++)
    if (unit->rows[i].action == STORE_ERASE)
      return true;
  return false;
}

/* What is erased is overwritten in its page as well; for other writes that would be wasted. */
static void set_secure_delete(struct sqlite_engine *engine, bool on)
{
  if (engine->secure_delete == on)
    return;
  if (sqlite_db_text(&engine->writer,
                     on ? "PRAGMA secure_delete=ON" : "PRAGMA secure_delete=OFF") == SQLITE_OK)
    engine->secure_delete = on;
}

/* STORE_OK, the request's own refusal, or what is wrong with the store. *ret_unit: whose refusal it
 * is, NULL when it is no unit's. STORE_HIT says no more than that the key is there by now. */
static enum store_status write_request(struct commit_run *run, struct store_request *request,
                                       struct store_unit **ret_unit)
{
  *ret_unit = NULL;
  size_t hint = 0;
  for (size_t i = 0; i < request->commit.batches_count; i++) {
    enum store_status status = sqlite_write_batch(run->db, &request->commit.batches[i]);
    if (status != STORE_OK)
      return status;
  }
  for (size_t i = 0; i < request->commit.units_count; i++) {
    struct store_unit *unit = request->commit.units[i];
    const struct store_batch *batch = batch_of(request, unit->partition, &hint);
    if (erases(unit))
      set_secure_delete(run->engine, true);
    enum store_status status = sqlite_write_unit(run->db, unit, batch->number);
    if (status == STORE_OK)
      continue;
    *ret_unit = unit;
    return status;
  }
  return STORE_OK;
}

/* Ends the transaction without a trace. False: the connection is not to be trusted. */
static bool roll_back(struct sqlite_db *db)
{
  if (sqlite3_get_autocommit(db->handle))
    return true; /* SQLite did it when the error happened */
  return sqlite_db_do(db, SQL_ROLLBACK) == SQLITE_OK;
}

static size_t count_ok(const struct commit_run *run)
{
  size_t count = 0;
  for (size_t i = 0; i < run->count; i++)
    count += run->requests[i]->status == STORE_OK;
  return count;
}

static bool is_refusal(enum store_status status)
{
  return status == STORE_HIT || status == STORE_CONFLICT || status == STORE_FENCED;
}

/* Takes a request out whose unit was refused; the transaction is a fresh one. A key that was there
 * although nobody wanted it probed is a hit all the same; one that only another unit of the request
 * brought is a conflict. */
static enum store_status refuse(struct commit_run *run, struct store_request *request,
                                struct store_unit *unit, enum store_status status)
{
  if (status == STORE_HIT) {
    CHECK(unit != NULL); /* only a unit has a key */
    status = probe(run->db, unit);
    if (status == STORE_OK)
      status = STORE_CONFLICT;
  }
  if (unit != NULL && status == STORE_CONFLICT)
    unit->status = STORE_CONFLICT;
  request->status = (uint8_t)status;
  return is_refusal(status) ? STORE_OK : status;
}

/* Writes all requests that are STORE_OK; takes those out that are refused. Returns STORE_OK with
 * an open transaction that holds the rest, or what is wrong with the store. */
static enum store_status write_all(struct commit_run *run)
{
  for (size_t i = 0; i < run->count; i++) {
    struct store_request *request = run->requests[i];
    if (request->status != STORE_OK)
      continue;
    struct store_unit *unit;
    enum store_status status = write_request(run, request, &unit);
    if (status == STORE_OK)
      continue;
    if (!is_refusal(status))
      return status;
    if (!roll_back(run->db) || sqlite_db_do(run->db, SQL_BEGIN_WRITE) != SQLITE_OK)
      return STORE_UNAVAILABLE;
    status = refuse(run, request, unit, status);
    if (status != STORE_OK)
      return status;
    i = (size_t)-1; /* from the start, without it */
  }
  return STORE_OK;
}

/* ---- commit and what follows ----------------------------------------------------------------- */

static void advance(struct commit_run *run)
{
  for (size_t r = 0; r < run->count; r++) {
    const struct store_request *request = run->requests[r];
    if (request->status != STORE_OK)
      continue;
    for (size_t i = 0; i < request->commit.batches_count; i++) {
      const struct store_batch *batch = &request->commit.batches[i];
      struct sqlite_partition *partition = &run->engine->partitions[batch->partition];
      partition->next_batch = batch->number + 1u;
      partition->next_seq = batch->first_seq + batch->entries_count;
    }
  }
}

static void answer(struct commit_run *run, enum store_status status)
{
  for (size_t i = 0; i < run->count; i++)
    if (run->requests[i]->status == STORE_OK)
      run->requests[i]->status = (uint8_t)status;
}

/* STORE_OK: the newest commit is there. STORE_NOT_FOUND: it is not. */
static enum store_status look_for(struct sqlite_db *db, const struct store_batch *batch)
{
  struct sqlite_row row = {.statement = sqlite_db_use(db, SQL_BATCH_HASH)};
  struct hf_hash hash;
  sqlite_bind_id(row.statement, 1, batch->partition);
  sqlite_bind_id(row.statement, 2, batch->number);
  enum store_status status = sqlite_first(row.statement);
  if (status != STORE_OK)
    return status;
  sqlite_column_bytes(&row, 0, hash.bytes, sizeof(hash.bytes));
  (void)sqlite3_reset(row.statement);
  return !row.corrupt && hf_hash_equal(&hash, &batch->hash) ? STORE_OK : STORE_CORRUPT;
}

/* COMMIT failed, and nobody knows how far it got. */
static enum store_status settle_doubt(struct commit_run *run)
{
  const struct store_batch *batch = NULL;
  for (size_t i = 0; i < run->count && batch == NULL; i++)
    if (run->requests[i]->status == STORE_OK && run->requests[i]->commit.batches_count > 0)
      batch = &run->requests[i]->commit.batches[0];
  sqlite_engine_writer_close(run->engine);
  if (!sqlite_engine_writer(run->engine))
    return STORE_UNKNOWN;
  enum store_status status = batch == NULL ? STORE_NOT_FOUND : look_for(run->db, batch);
  if (status != STORE_NOT_FOUND)
    return status == STORE_OK ? STORE_OK : STORE_UNKNOWN;
  /* It is not there, but its frames may lie behind the log's end, where a recovery after a crash
   * would find them whole. A transaction of ours takes their place. */
  if (sqlite_db_do(run->db, SQL_FENCE) == SQLITE_OK)
    return STORE_UNAVAILABLE;
  sqlite_engine_writer_close(run->engine);
  return STORE_UNKNOWN;
}

static void fail(struct commit_run *run, enum store_status status)
{
  answer(run, status);
  if (!roll_back(run->db))
    sqlite_engine_writer_close(run->engine);
}

static void run_commit(struct commit_run *run)
{
  for (size_t i = 0; i < run->count; i++)
    run->requests[i]->status = STORE_OK;
  if (!sqlite_engine_begin(run->engine)) {
    answer(run, STORE_UNAVAILABLE);
    return;
  }
  for (size_t i = 0; i < run->count; i++)
    run->requests[i]->status = (uint8_t)judge(run, run->requests[i]);
  if (count_ok(run) == 0) {
    if (!roll_back(run->db))
      sqlite_engine_writer_close(run->engine);
    return;
  }
  enum store_status status = write_all(run);
  if (status != STORE_OK)
    sqlite_engine_failed(run->engine, "write");
  if (status != STORE_OK || count_ok(run) == 0) {
    fail(run, status);
    return;
  }
  if (sqlite_db_do(run->db, SQL_COMMIT) != SQLITE_OK) {
    sqlite_engine_failed(run->engine, "commit");
    answer(run, settle_doubt(run));
    return;
  }
  advance(run);
}

void sqlite_commit_many(struct sqlite_engine *engine, struct store_request **requests, size_t count)
{
  uint64_t began_us = sqlite_clock_us();
  struct commit_run run = {
    .engine = engine, .db = &engine->writer, .requests = requests, .count = count};
  CHECK(!engine->read_only);
  run_commit(&run);
  if (engine->secure_delete && engine->writer.handle != NULL)
    set_secure_delete(engine, false);
  uint64_t took_us = sqlite_clock_us() - began_us;
  for (size_t i = 0; i < count; i++) {
    requests[i]->commit.commit_us = took_us;
    requests[i]->commit.leads = i == 0;
  }
  sqlite_checkpoint_after_commit(&engine->checkpointer, &engine->writer);
}
