/* memory_commit.c - judges a commit whole before anything of it is written.
 *
 * Happy path: every batch is its partition's next, no probed key is known, every row is free (or
 * there, for an update), so all units are applied in order.
 * Ways to fail, in order: a batch number that is taken, or an old epoch (fenced); a batch number
 * with a gap before it, because an earlier batch was refused (unavailable); known keys (hit); a
 * row that is there or is missing (conflict: the first such unit is named).
 * Invariant: after a failure the store is as it was. */
#include <string.h>

#include "adapters/store_memory/memory.h"

/* Tables beside enum store_table that units of one commit can collide in. */
enum { CLAIM_KEY = 100, CLAIM_VERSION = 101, CLAIM_CODE = 102 };

/* What an earlier unit of the same commit will insert. */
struct claim_key {
  uint64_t table;
  uint8_t bytes[48];
};
struct claim {
  struct claim_key key;
  uint64_t version; /* CLAIM_VERSION: of the user after the units so far */
  UT_hash_handle hh;
};

struct judgement {
  struct memory_store *store;
  struct store_request *request;
  struct hf_arena arena;
  const struct store_batch **batches; /* by partition */
  struct claim *claims;
};

static struct claim *claim_find(struct judgement *judgement, const struct claim_key *key)
{
  struct claim *claim;

  HASH_FIND(hh, judgement->claims, key, sizeof *key, claim);
  return claim;
}

static struct claim *claim_add(struct judgement *judgement, const struct claim_key *key)
{
  struct claim *claim = hf_arena_alloc(&judgement->arena, sizeof *claim);

  claim->key = *key;
  HASH_ADD(hh, judgement->claims, key, sizeof claim->key, claim);
  return claim;
}

static struct claim_key claim_of_id(uint64_t table, hf_id id)
{
  struct claim_key key = {.table = table};

  memcpy(key.bytes, &id, sizeof id);
  return key;
}

/* ---- batches --------------------------------------------------------------------------------- */

static enum store_status batch_judge(struct judgement *judgement, const struct store_batch *batch)
{
  struct memory_partition *partition = memory_partition_at(judgement->store, batch->partition);

  CHECK(judgement->batches[batch->partition] == NULL); /* one batch per partition */
  judgement->batches[batch->partition] = batch;
  if (batch->number <= partition->batches_count || batch->epoch < partition->epoch)
    return STORE_FENCED;
  if (batch->number > partition->batches_count + 1)
    return STORE_UNAVAILABLE;
  CHECK(batch->first_seq == partition->entries_count + 1);
  CHECK(partition->batches_count == 0 ||
        hf_hash_equal(&partition->batches[partition->batches_count - 1].hash, &batch->previous));
  return STORE_OK;
}

static enum store_status batches_judge(struct judgement *judgement)
{
  struct store_request *request = judgement->request;
  enum store_status worst = STORE_OK;

  for (size_t i = 0; i < request->commit.batches_count; i++) {
    enum store_status status = batch_judge(judgement, &request->commit.batches[i]);

    if (worst == STORE_OK || status == STORE_FENCED)
      worst = status == STORE_OK ? worst : status;
  }
  return worst;
}

/* ---- keys ------------------------------------------------------------------------------------ */

static hf_id unit_key(const struct store_unit *unit, const struct hf_digest **ret_key)
{
  if (unit->entries_count > 0) {
    *ret_key = &unit->entries[0].key;
    return unit->entries[0].user;
  }
  CHECK(unit->has_outcome);
  *ret_key = &unit->outcome.key;
  return unit->outcome.user;
}

static bool unit_hits(struct memory_store *store, struct store_unit *unit)
{
  const struct hf_digest *key;
  hf_id user = unit_key(unit, &key);
  const struct memory_key *known = memory_key_find(store, user, key);

  if (known == NULL)
    return false;
  unit->status = STORE_HIT;
  store_op_free(unit->hit);
  unit->hit = known->outcome != NULL ? memory_refusal_read(known->outcome)
                                     : memory_op_read(store, unit->partition, known->seq);
  return true;
}

/* A key that is known hits, probed or not; one that an earlier unit of this commit brings is a
 * conflict: there is no op yet to answer with. */
static enum store_status key_judge(struct judgement *judgement, struct store_unit *unit)
{
  const struct hf_digest *key;
  hf_id user = unit_key(unit, &key);
  struct claim_key claim = claim_of_id(CLAIM_KEY, user);

  memcpy(claim.bytes + sizeof user, key->bytes, sizeof key->bytes);
  if (unit_hits(judgement->store, unit))
    return STORE_HIT;
  if (claim_find(judgement, &claim) != NULL)
    return STORE_CONFLICT;
  claim_add(judgement, &claim);
  return STORE_OK;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static struct claim_key claim_of_row(const struct store_row *row)
{
  struct claim_key key = {.table = row->table};

  switch (row->table) {
  case STORE_T_USER:
    return claim_of_id(row->table, row->user.id);
  case STORE_T_NAME:
    key.bytes[0] = row->name.kind;
    memcpy(key.bytes + 1, &row->name.partition, sizeof row->name.partition);
    memcpy(key.bytes + 8, row->name.digest.bytes, sizeof row->name.digest.bytes);
    return key;
  case STORE_T_ASSET:
    return claim_of_id(row->table, row->asset->id);
  case STORE_T_KEY:
    memcpy(key.bytes, row->key->id, strlen(row->key->id));
    return key;
  case STORE_T_HOLD:
    return claim_of_id(row->table, row->hold.id);
  case STORE_T_BLOCK:
    return claim_of_id(row->table, row->block.id);
  case STORE_T_TRANSFER:
    return claim_of_id(row->table, row->transfer.id);
  case STORE_T_REVERSAL:
    key = claim_of_id(row->table, row->reversal.original);
    memcpy(key.bytes + sizeof(hf_id), &row->reversal.op, sizeof row->reversal.op);
    return key;
  default:
    CHECK(row->table == STORE_T_META);
    return claim_of_id(row->table, row->meta.op);
  }
}

static bool reversal_is_there(struct memory_store *store, const struct store_reversal_row *row)
{
  const struct memory_reversals *reversals = memory_reversals_find(store, row->original);

  for (size_t i = 0; reversals != NULL && i < reversals->count; i++) {
    if (reversals->rows[i].op == row->op)
      return true;
  }
  return false;
}

static bool row_is_there(struct memory_store *store, const struct store_row *row)
{
  switch (row->table) {
  case STORE_T_USER:
    return memory_user_find(store, row->user.id) != NULL;
  case STORE_T_NAME:
    return memory_name_find(memory_partition_at(store, row->name.partition), row->name.kind,
                            &row->name.digest) != NULL;
  case STORE_T_ASSET:
    return memory_asset_find(store, row->asset->id) != NULL;
  case STORE_T_KEY:
    return memory_service_key_find(store, row->key->id) != NULL;
  case STORE_T_HOLD:
    return memory_hold_find(store, row->hold.id) != NULL;
  case STORE_T_BLOCK:
    return memory_block_find(store, row->block.id) != NULL;
  case STORE_T_TRANSFER:
    return memory_transfer_find(store, row->transfer.id) != NULL;
  case STORE_T_REVERSAL:
    return reversal_is_there(store, &row->reversal);
  default:
    CHECK(row->table == STORE_T_META);
    return memory_meta_find(store, row->meta.op) != NULL;
  }
}

/* An asset's code is as unique as its number. */
static bool code_fits(struct judgement *judgement, const struct store_asset_row *asset)
{
  struct claim_key key = {.table = CLAIM_CODE};

  memcpy(key.bytes, asset->code, strlen(asset->code));
  if (claim_find(judgement, &key) != NULL)
    return false;
  for (size_t i = 0; i < judgement->store->assets_count; i++) {
    if (strcmp(judgement->store->assets[i]->code, asset->code) == 0)
      return false;
  }
  claim_add(judgement, &key);
  return true;
}

static bool user_will_be(struct judgement *judgement, hf_id id)
{
  struct claim_key key = claim_of_id(STORE_T_USER, id);

  return memory_user_find(judgement->store, id) != NULL || claim_find(judgement, &key) != NULL;
}

static bool row_fits(struct judgement *judgement, const struct store_row *row)
{
  struct claim_key key = claim_of_row(row);
  bool there = row_is_there(judgement->store, row) || claim_find(judgement, &key) != NULL;

  if (row->action != STORE_INSERT)
    return there;
  if (there || (row->table == STORE_T_HOLD && !user_will_be(judgement, row->hold.user)) ||
      (row->table == STORE_T_BLOCK && !user_will_be(judgement, row->block.user)) ||
      (row->table == STORE_T_ASSET && !code_fits(judgement, row->asset)))
    return false;
  claim_add(judgement, &key);
  return true;
}

/* ---- entries --------------------------------------------------------------------------------- */

/* Versions are gap-free: an entry is its user's next. If it is not, somebody else wrote here. */
static enum store_status entry_judge(struct judgement *judgement, const struct ledger_entry *entry)
{
  struct claim_key key = claim_of_id(CLAIM_VERSION, entry->user);
  struct claim *claim = claim_find(judgement, &key);

  if (claim == NULL) {
    const struct memory_user *user = memory_user_find(judgement->store, entry->user);

    if (user == NULL && !user_will_be(judgement, entry->user))
      return STORE_CONFLICT;
    claim = claim_add(judgement, &key);
    claim->version = user == NULL ? 0 : user->versions;
  }
  if (entry->version != claim->version + 1)
    return STORE_FENCED;
  claim->version = entry->version;
  return STORE_OK;
}

static enum store_status unit_judge(struct judgement *judgement, struct store_unit *unit)
{
  enum store_status status = STORE_OK;

  if (unit->has_key || unit->has_outcome)
    status = key_judge(judgement, unit);
  for (unsigned i = 0; i < unit->rows_count && status == STORE_OK; i++) {
    if (!row_fits(judgement, &unit->rows[i]))
      status = STORE_CONFLICT;
  }
  for (unsigned i = 0; i < unit->entries_count && status == STORE_OK; i++)
    status = entry_judge(judgement, &unit->entries[i]);
  return status;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static enum store_status units_judge(struct judgement *judgement)
{
  struct store_request *request = judgement->request;
  enum store_status status = STORE_OK;

  for (size_t i = 0; i < request->commit.units_count; i++) {
    struct store_unit *unit = request->commit.units[i];

    CHECK(unit->partition < 1u << judgement->store->engine.partition_bits);
    CHECK(judgement->batches[unit->partition] != NULL);
    if (unit->probe && (unit->has_key || unit->has_outcome) && unit_hits(judgement->store, unit))
      status = STORE_HIT;
  }
  for (size_t i = 0; i < request->commit.units_count && status == STORE_OK; i++) {
    status = unit_judge(judgement, request->commit.units[i]);
    request->commit.units[i]->status = (uint8_t)status;
  }
  return status;
}

static void batch_append(struct memory_store *store, const struct store_batch *batch)
{
  struct memory_partition *partition = memory_partition_at(store, batch->partition);

  CHECK(partition->entries_count + 1 == batch->first_seq + batch->entries_count);
  if (partition->batches_count == partition->batches_room) {
    partition->batches_room = partition->batches_room == 0 ? 16 : partition->batches_room * 2;
    partition->batches =
      rt_realloc(partition->batches, partition->batches_room * sizeof *partition->batches);
  }
  partition->batches[partition->batches_count++] = *batch;
}

void memory_commit(struct memory_store *store, struct store_request *request)
{
  struct judgement judgement = {.store = store, .request = request};
  enum store_status status;

  judgement.batches =
    hf_arena_alloc(&judgement.arena, sizeof(void *) << store->engine.partition_bits);
  for (size_t i = 0; i < request->commit.units_count; i++)
    request->commit.units[i]->status = STORE_OK;
  status = batches_judge(&judgement);
  if (status == STORE_OK)
    status = units_judge(&judgement);
  if (status == STORE_OK) {
    for (size_t i = 0; i < request->commit.units_count; i++) {
      const struct store_unit *unit = request->commit.units[i];

      memory_apply(store, unit, judgement.batches[unit->partition]);
    }
    for (size_t i = 0; i < request->commit.batches_count; i++)
      batch_append(store, &request->commit.batches[i]);
  }
  request->commit.commit_us = 0; /* there is no clock here */
  request->status = (uint8_t)status;
  HASH_CLEAR(hh, judgement.claims);
  hf_arena_free(&judgement.arena);
}
