/* pg_commit_judge.c - why the server refused a commit.
 *
 * Asked after the commit was rolled back, in one round: the newest batches, and which keys,
 * versions and rows of the commit exist. Then the units are gone through in their order, as if they
 * were written one after the other: the first that cannot be is named, and every unit whose key is
 * known is a hit. */
#include <stdlib.h>
#include <string.h>

#include "adapters/store_postgres/pg_commit.h"
#include "holdfast/check.h"

struct key_order { /* for finding keys that two units bring */
  hf_id user;
  const struct hf_digest *key;
  uint32_t unit;
};

struct pg_judge {
  struct store_request *request;
  struct pg_commit_rows *rows;
  bool corrupt;
  enum store_status batches; /* STORE_OK: each follows the newest one */
  bool *judged;              /* by batch: it has a newest one before it */
  uint32_t *keyed;           /* units with a key */
  size_t keyed_count;
  bool *known;         /* parallel to keyed */
  uint32_t *versioned; /* by entry: its unit */
  size_t entries_count;
  uint32_t forked; /* lowest unit with a version that exists */
  int keys_step, versions_step;
  int table_step[PG_ROW_TABLES];
};

struct pg_judge *pg_judge_new(struct pg_talk *talk, struct pg_commit_rows *rows)
{
  struct store_request *request = talk->request;
  struct hf_arena *arena = &request->arena;
  struct pg_judge *judge = hf_arena_alloc(arena, sizeof *judge);
  size_t units = request->commit.units_count;
  judge->request = request;
  judge->rows = rows;
  judge->forked = UINT32_MAX;
  judge->keys_step = judge->versions_step = -1;
  judge->judged = hf_arena_alloc(arena, request->commit.batches_count * sizeof *judge->judged);
  judge->keyed = hf_arena_alloc(arena, (units + 1u) * sizeof *judge->keyed);
  judge->known = hf_arena_alloc(arena, (units + 1u) * sizeof *judge->known);
  for (size_t i = 0; i < units; i++) {
    judge->entries_count += request->commit.units[i]->entries_count;
    if (pg_unit_key(request->commit.units[i]) != NULL)
      judge->keyed[judge->keyed_count++] = (uint32_t)i;
  }
  judge->versioned = hf_arena_alloc(arena, (judge->entries_count + 1u) * sizeof(uint32_t));
  return judge;
}

/* ---- asking ---------------------------------------------------------------------------------- */

static void ask_versions(struct pg_judge *judge, struct pg_round *round)
{
  const struct store_request *request = judge->request;
  size_t next = 0;
  pg_round_add(round, PG_VERSIONS_THERE);
  for (unsigned column = 0; column < 3; column++) {
    pg_arg_array(round, column == 0 ? PG_INT2 : PG_INT8, judge->entries_count);
    for (size_t i = 0; i < request->commit.units_count; i++) {
      const struct store_unit *unit = request->commit.units[i];
      for (unsigned j = 0; j < unit->entries_count; j++) {
        if (column == 0)
          pg_item_int2(round, (int)unit->partition);
        else
          pg_item_int8(round, column == 1 ? (int64_t)unit->entries[j].user
                                          : (int64_t)unit->entries[j].version);
        if (column == 0)
          judge->versioned[next++] = (uint32_t)i;
      }
    }
  }
}

void pg_judge_ask(struct pg_judge *judge, struct pg_round *round)
{
  const struct store_request *request = judge->request;
  pg_round_add(round, PG_BATCH_NEWEST_OF);
  pg_arg_array(round, PG_INT2, request->commit.batches_count);
  for (size_t i = 0; i < request->commit.batches_count; i++)
    pg_item_int2(round, (int)request->commit.batches[i].partition);
  if (judge->keyed_count > 0) {
    judge->keys_step = (int)round->count;
    pg_round_add(round, PG_KEYS_THERE);
    pg_commit_keys(round, request->commit.units, judge->keyed, judge->keyed_count);
    pg_arg_array(round, PG_BOOL, judge->keyed_count);
    for (size_t i = 0; i < judge->keyed_count; i++)
      pg_item_bool(round, true);
  }
  if (judge->entries_count > 0) {
    judge->versions_step = (int)round->count;
    ask_versions(judge, round);
  }
  for (unsigned table = 1; table < PG_ROW_TABLES; table++) {
    int step = (int)round->count;
    judge->table_step[table] = pg_commit_rows_ask(judge->rows, table, round) ? step : -1;
  }
}

/* ---- answers --------------------------------------------------------------------------------- */

/* The newest batch of a partition: number, epoch, next seq and hash; all 0: there is none. */
static enum store_status judge_batch(const struct store_batch *batch, uint64_t number,
                                     uint64_t epoch, uint64_t next, const struct hf_hash *hash)
{
  if (batch->number <= number || batch->epoch < epoch)
    return STORE_FENCED;
  if (batch->number > number + 1u)
    return STORE_UNAVAILABLE; /* the batch before it was refused */
  if (batch->first_seq != next || (hash != NULL && !hf_hash_equal(hash, &batch->previous)))
    return STORE_FENCED;
  return STORE_OK;
}

static void take_batches(struct pg_judge *judge, const PGresult *result)
{
  const struct store_request *request = judge->request;
  struct pg_rows rows = {.result = result};
  for (rows.row = 0; rows.row < PQntuples(result) && !rows.corrupt; rows.row++) {
    uint64_t place = pg_get_unsigned(&rows, 0, request->commit.batches_count);
    uint64_t number = pg_get_unsigned(&rows, 1, INT64_MAX - 1);
    uint64_t epoch = pg_get_unsigned(&rows, 2, INT64_MAX);
    uint64_t next = pg_get_unsigned(&rows, 3, INT64_MAX);
    struct hf_hash hash;
    pg_get_bytes(&rows, 4, hash.bytes, sizeof hash.bytes);
    if (rows.corrupt || place == 0)
      break;
    judge->judged[place - 1u] = true;
    if (judge->batches == STORE_OK)
      judge->batches =
        judge_batch(&request->commit.batches[place - 1u], number, epoch, next, &hash);
  }
  judge->corrupt |= rows.row < PQntuples(result);
}

/* Sets the flags that the 1-based places name. */
static bool take_places(const PGresult *result, bool *flags, size_t count)
{
  struct pg_rows rows = {.result = result};
  for (rows.row = 0; rows.row < PQntuples(result); rows.row++) {
    uint64_t place = pg_get_unsigned(&rows, 0, count);
    if (rows.corrupt || place == 0)
      return false;
    flags[place - 1u] = true;
  }
  return true;
}

static bool take_versions(struct pg_judge *judge, const PGresult *result)
{
  struct pg_rows rows = {.result = result};
  for (rows.row = 0; rows.row < PQntuples(result); rows.row++) {
    uint64_t place = pg_get_unsigned(&rows, 0, judge->entries_count);
    if (rows.corrupt || place == 0)
      return false;
    if (judge->versioned[place - 1u] < judge->forked)
      judge->forked = judge->versioned[place - 1u];
  }
  return true;
}

void pg_judge_take(struct pg_judge *judge, unsigned step, const PGresult *result)
{
  bool ok = true;
  if (step == 0)
    take_batches(judge, result);
  else if ((int)step == judge->keys_step)
    ok = take_places(result, judge->known, judge->keyed_count);
  else if ((int)step == judge->versions_step)
    ok = take_versions(judge, result);
  else
    for (unsigned table = 1; table < PG_ROW_TABLES; table++)
      if ((int)step == judge->table_step[table])
        ok = pg_commit_rows_there(judge->rows, table, result);
  judge->corrupt |= !ok;
}

/* ---- verdict --------------------------------------------------------------------------------- */

static int compare_keys(const void *a, const void *b)
{
  const struct key_order *left = a, *right = b;
  if (left->user != right->user)
    return left->user < right->user ? -1 : 1;
  int order = memcmp(left->key->bytes, right->key->bytes, HF_DIGEST_SIZE);
  if (order != 0)
    return order;
  return left->unit < right->unit ? -1 : left->unit > right->unit;
}

/* The first unit that brings a key which an earlier one brings; UINT32_MAX: none. */
static uint32_t key_twice(const struct pg_judge *judge)
{
  uint32_t worst = UINT32_MAX;
  struct key_order *order =
    hf_arena_alloc(&judge->request->arena, (judge->keyed_count + 1u) * sizeof *order);
  for (size_t i = 0; i < judge->keyed_count; i++) {
    const struct store_unit *unit = judge->request->commit.units[judge->keyed[i]];
    order[i] = (struct key_order){pg_unit_user(unit), pg_unit_key(unit), judge->keyed[i]};
  }
  qsort(order, judge->keyed_count, sizeof *order, compare_keys);
  for (size_t i = 1; i < judge->keyed_count; i++)
    if (order[i].user == order[i - 1u].user && hf_digest_equal(order[i].key, order[i - 1u].key) &&
        order[i].unit < worst)
      worst = order[i].unit;
  return worst;
}

static enum store_status verdict_batches(const struct pg_judge *judge)
{
  if (judge->batches != STORE_OK)
    return judge->batches;
  for (size_t i = 0; i < judge->request->commit.batches_count; i++) {
    enum store_status status =
      judge->judged[i] ? STORE_OK : judge_batch(&judge->request->commit.batches[i], 0, 0, 1, NULL);
    if (status != STORE_OK)
      return status;
  }
  return STORE_OK;
}

enum store_status pg_judge_verdict(struct pg_judge *judge)
{
  struct store_unit **units = judge->request->commit.units;
  bool hit = false;
  if (judge->corrupt)
    return STORE_CORRUPT;
  enum store_status status = verdict_batches(judge);
  if (status != STORE_OK)
    return status;
  for (size_t i = 0; i < judge->keyed_count; i++) {
    if (judge->known[i])
      units[judge->keyed[i]]->status = STORE_HIT;
    hit |= judge->known[i];
  }
  if (hit)
    return STORE_HIT;
  uint32_t conflict = pg_commit_rows_conflict(judge->rows), twice = key_twice(judge);
  conflict = twice < conflict ? twice : conflict;
  if (judge->forked != UINT32_MAX && judge->forked <= conflict)
    return STORE_FENCED;
  if (conflict == UINT32_MAX)
    return STORE_OK;
  units[conflict]->status = STORE_CONFLICT;
  return STORE_CONFLICT;
}
