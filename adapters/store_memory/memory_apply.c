/* memory_apply.c - writes one unit: its rows, its entries, its key and its outcome.
 *
 * Nothing here fails: memory_commit looked before. Everything is copied; rows come before entries,
 * because a user may be made by the very unit that brings its first entry. */
#include <string.h>

#include "adapters/store/effective.h"
#include "adapters/store_memory/memory.h"

/* Grows an array so that one more item fits. */
static void *room_for_one(void *array, size_t count, size_t *room, size_t item_size)
{
  if (count < *room)
    return array;
  *room = *room == 0 ? 4 : *room * 2;
  return rt_realloc(array, *room * item_size);
}

static void *row_copy(struct memory_store *store, const void *row, size_t size)
{
  return hf_arena_copy(&store->arena, row, size);
}

/* ---- users and names ------------------------------------------------------------------------- */

/* Serials count as used from the moment a name is reserved for them. */
static void serial_used(struct memory_store *store, hf_id user)
{
  struct memory_partition *partition = memory_partition_of(store, user);
  uint64_t serial = hf_id_serial(user, store->engine.partition_bits);

  if (serial > partition->user_serial_max)
    partition->user_serial_max = serial;
}

static void user_apply(struct memory_store *store, uint8_t action, const struct store_user_row *row)
{
  struct memory_user *user = memory_user_find(store, row->id);
  struct memory_partition *partition = memory_partition_of(store, row->id);

  if (action == STORE_INSERT) {
    CHECK(user == NULL);
    user = hf_arena_alloc(&store->arena, sizeof *user);
    user->row.id = row->id;
    user->row.created_us = row->created_us;
    user->row.kind = row->kind;
    user->row.external_id = memory_text_copy(&store->arena, row->external_id);
    user->row.profile = memory_text_copy(&store->arena, row->profile);
    HASH_ADD(hh, partition->users, row.id, sizeof user->row.id, user);
    serial_used(store, row->id);
  }
  CHECK(user != NULL);
  user->row.status = row->status;
}

static void name_apply(struct memory_store *store, uint8_t action, const struct store_name_row *row)
{
  struct memory_partition *partition = memory_partition_at(store, row->partition);
  struct memory_name *name = memory_name_find(partition, row->kind, &row->digest);

  if (action == STORE_INSERT) {
    CHECK(name == NULL);
    name = hf_arena_alloc(&store->arena, sizeof *name);
    name->key = (struct memory_name_key){.kind = row->kind, .digest = row->digest};
    name->number = ++partition->names_inserted;
    name->row = *row;
    HASH_ADD(hh, partition->names, key, sizeof name->key, name);
    if (row->state == STORE_NAME_RESERVED)
      memory_order_insert(&partition->reserved, 0, name->number, name);
    serial_used(store, row->user);
    return;
  }
  CHECK(name != NULL);
  if (name->row.state == STORE_NAME_RESERVED && row->state != STORE_NAME_RESERVED)
    memory_order_remove(&partition->reserved, 0, name->number);
  else if (name->row.state != STORE_NAME_RESERVED && row->state == STORE_NAME_RESERVED)
    memory_order_insert(&partition->reserved, 0, name->number, name);
  name->row.state = row->state;
  name->row.user = row->user;
  serial_used(store, row->user);
}

/* ---- the catalogue --------------------------------------------------------------------------- */

static void asset_apply(struct memory_store *store, uint8_t action,
                        const struct store_asset_row *row)
{
  size_t place = memory_asset_place(store, row->id);

  CHECK(action == STORE_INSERT);
  store->assets =
    room_for_one(store->assets, store->assets_count, &store->assets_room, sizeof *store->assets);
  memmove(store->assets + place + 1, store->assets + place,
          (store->assets_count - place) * sizeof *store->assets);
  store->assets[place] = row_copy(store, row, sizeof *row);
  store->assets_count++;
}

static void key_apply(struct memory_store *store, uint8_t action, const struct store_key_row *row)
{
  size_t place = memory_service_key_place(store, row->id);

  if (action == STORE_UPDATE) {
    struct store_key_row *there = memory_service_key_find(store, row->id);

    CHECK(there != NULL);
    there->revoked_us = row->revoked_us;
    return;
  }
  CHECK(action == STORE_INSERT);
  store->keys =
    room_for_one(store->keys, store->keys_count, &store->keys_room, sizeof *store->keys);
  memmove(store->keys + place + 1, store->keys + place,
          (store->keys_count - place) * sizeof *store->keys);
  store->keys[place] = row_copy(store, row, sizeof *row);
  store->keys_count++;
}

/* ---- holds and blocks ------------------------------------------------------------------------ */

static void holds_insert(struct memory_holds *holds, struct memory_hold *hold)
{
  size_t place = memory_holds_upto(holds, hold->row.id);

  holds->at = room_for_one(holds->at, holds->count, &holds->room, sizeof *holds->at);
  memmove(holds->at + place + 1, holds->at + place, (holds->count - place) * sizeof *holds->at);
  holds->at[place] = hold;
  holds->count++;
}

static void holds_remove(struct memory_holds *holds, const struct memory_hold *hold)
{
  size_t upto = memory_holds_upto(holds, hold->row.id);

  CHECK(upto > 0 && holds->at[upto - 1] == hold);
  memmove(holds->at + upto - 1, holds->at + upto, (holds->count - upto) * sizeof *holds->at);
  holds->count--;
}

/* The hold enters or leaves the lists of what is open. */
static void hold_track(struct memory_store *store, struct memory_hold *hold, bool open)
{
  struct memory_partition *partition = memory_partition_of(store, hold->row.id);
  struct memory_user *user = memory_user_find(store, hold->row.user);

  CHECK(user != NULL);
  if (open)
    holds_insert(&user->open_holds, hold);
  else
    holds_remove(&user->open_holds, hold);
  if (hold->row.expires_us == 0)
    return;
  if (open)
    memory_order_insert(&partition->due, hold->row.expires_us, hold->row.id, hold);
  else
    memory_order_remove(&partition->due, hold->row.expires_us, hold->row.id);
}

static void hold_apply(struct memory_store *store, uint8_t action, const struct store_hold_row *row)
{
  struct memory_hold *hold = memory_hold_find(store, row->id);
  bool was_open;

  if (action == STORE_INSERT) {
    struct memory_partition *partition = memory_partition_of(store, row->id);
    struct memory_user *user = memory_user_find(store, row->user);

    CHECK(hold == NULL && user != NULL);
    hold = hf_arena_alloc(&store->arena, sizeof *hold);
    hold->row = *row;
    HASH_ADD(hh, partition->holds, row.id, sizeof hold->row.id, hold);
    holds_insert(&user->holds, hold);
    if (row->state == STORE_HOLD_OPEN)
      hold_track(store, hold, true);
    return;
  }
  CHECK(hold != NULL);
  was_open = hold->row.state == STORE_HOLD_OPEN;
  if (was_open != (row->state == STORE_HOLD_OPEN))
    hold_track(store, hold, !was_open);
  hold->row.remaining = row->remaining;
  hold->row.state = row->state;
  hold->row.resolved_us = row->resolved_us;
}

static void block_track(struct memory_store *store, struct memory_block *block, bool open)
{
  struct memory_user *user = memory_user_find(store, block->row.user);
  struct memory_blocks *blocks;
  size_t upto;

  CHECK(user != NULL);
  blocks = &user->open_blocks;
  upto = memory_blocks_upto(blocks, block->row.id);
  if (open) {
    blocks->at = room_for_one(blocks->at, blocks->count, &blocks->room, sizeof *blocks->at);
    memmove(blocks->at + upto + 1, blocks->at + upto, (blocks->count - upto) * sizeof *blocks->at);
    blocks->at[upto] = block;
    blocks->count++;
  } else {
    CHECK(upto > 0 && blocks->at[upto - 1] == block);
    memmove(blocks->at + upto - 1, blocks->at + upto, (blocks->count - upto) * sizeof *blocks->at);
    blocks->count--;
  }
}

static void block_apply(struct memory_store *store, uint8_t action,
                        const struct store_block_row *row)
{
  struct memory_block *block = memory_block_find(store, row->id);

  if (action == STORE_INSERT) {
    struct memory_partition *partition = memory_partition_of(store, row->id);

    CHECK(block == NULL);
    block = hf_arena_alloc(&store->arena, sizeof *block);
    block->row = *row;
    HASH_ADD(hh, partition->blocks, row.id, sizeof block->row.id, block);
    if (row->open)
      block_track(store, block, true);
    return;
  }
  CHECK(block != NULL);
  if (block->row.open != row->open)
    block_track(store, block, row->open);
  block->row.remaining = row->remaining;
  block->row.open = row->open;
  block->row.resolved_us = row->resolved_us;
}

/* ---- transfers, reversals, metadata ---------------------------------------------------------- */

static void transfer_apply(struct memory_store *store, uint8_t action,
                           const struct store_transfer_row *row)
{
  struct memory_partition *partition = memory_partition_of(store, row->id);
  struct memory_transfer *transfer = memory_transfer_find(store, row->id);
  bool transit = row->state == STORE_TRANSFER_TRANSIT;

  if (action == STORE_INSERT) {
    CHECK(transfer == NULL);
    transfer = hf_arena_alloc(&store->arena, sizeof *transfer);
    transfer->row = *row;
    HASH_ADD(hh, partition->transfers, row.id, sizeof transfer->row.id, transfer);
    if (transit)
      memory_order_insert(&partition->transit, 0, row->id, transfer);
    return;
  }
  CHECK(transfer != NULL);
  if (transfer->row.state == STORE_TRANSFER_TRANSIT && !transit)
    memory_order_remove(&partition->transit, 0, row->id);
  else if (transfer->row.state != STORE_TRANSFER_TRANSIT && transit)
    memory_order_insert(&partition->transit, 0, row->id, transfer);
  transfer->row.state = row->state;
  transfer->row.credit = row->credit;
}

static void reversal_apply(struct memory_store *store, uint8_t action,
                           const struct store_reversal_row *row)
{
  struct memory_partition *partition = memory_partition_of(store, row->original);
  struct memory_reversals *reversals = memory_reversals_find(store, row->original);

  CHECK(action == STORE_INSERT);
  if (reversals == NULL) {
    reversals = hf_arena_alloc(&store->arena, sizeof *reversals);
    reversals->original = row->original;
    HASH_ADD(hh, partition->reversals, original, sizeof reversals->original, reversals);
  }
  reversals->rows =
    room_for_one(reversals->rows, reversals->count, &reversals->room, sizeof *reversals->rows);
  reversals->rows[reversals->count++] = *row;
  reversals->sum += row->amount;
}

static void meta_apply(struct memory_store *store, uint8_t action, const struct store_meta_row *row)
{
  struct memory_meta *meta = memory_meta_find(store, row->op);

  if (action == STORE_INSERT) {
    struct memory_partition *partition = memory_partition_of(store, row->op);

    CHECK(meta == NULL);
    meta = hf_arena_alloc(&store->arena, sizeof *meta);
    meta->row = *row;
    meta->row.json = memory_text_copy(&store->arena, row->json);
    HASH_ADD(hh, partition->metas, row.op, sizeof meta->row.op, meta);
    return;
  }
  CHECK(action == STORE_ERASE && meta != NULL);
  memset(meta->row.salt, 0, sizeof meta->row.salt);
  meta->row.json = (struct store_text){0};
}

static void row_apply(struct memory_store *store, const struct store_row *row)
{
  switch (row->table) {
  case STORE_T_USER:
    user_apply(store, row->action, &row->user);
    break;
  case STORE_T_NAME:
    name_apply(store, row->action, &row->name);
    break;
  case STORE_T_ASSET:
    asset_apply(store, row->action, row->asset);
    store->catalog_revision++;
    break;
  case STORE_T_KEY:
    key_apply(store, row->action, row->key);
    store->catalog_revision++;
    break;
  case STORE_T_HOLD:
    hold_apply(store, row->action, &row->hold);
    break;
  case STORE_T_BLOCK:
    block_apply(store, row->action, &row->block);
    break;
  case STORE_T_TRANSFER:
    transfer_apply(store, row->action, &row->transfer);
    break;
  case STORE_T_REVERSAL:
    reversal_apply(store, row->action, &row->reversal);
    break;
  default:
    CHECK(row->table == STORE_T_META);
    meta_apply(store, row->action, &row->meta);
  }
}

/* ---- the journal ----------------------------------------------------------------------------- */

static void entry_apply(struct memory_store *store, const struct ledger_entry *entry,
                        const uint8_t *body, uint16_t body_size)
{
  struct memory_partition *partition = memory_partition_of(store, entry->id);
  struct memory_user *user = memory_user_find(store, entry->user);
  struct memory_entry *row;

  CHECK(hf_id_serial(entry->id, store->engine.partition_bits) == partition->entries_count + 1);
  CHECK(user != NULL && entry->version == user->versions + 1);
  partition->entries = room_for_one(partition->entries, partition->entries_count,
                                    &partition->entries_room, sizeof *partition->entries);
  row = &partition->entries[partition->entries_count++];
  *row = (struct memory_entry){
    .user = user,
    .body = row_copy(store, body, body_size),
    .body_size = body_size,
    .version = entry->version,
    .recorded_us = entry->recorded_us,
    .asset = entry->asset,
    .type = entry->type,
    .op_index = entry->op_index,
    .op_count = entry->op_count,
    .hash = entry->hash,
  };
  user->seqs = room_for_one(user->seqs, user->versions, &user->seqs_room, sizeof *user->seqs);
  user->seqs[user->versions++] = partition->entries_count;
  if (!effective_is_backdated(entry))
    return;
  user->backdated = room_for_one(user->backdated, user->backdated_count, &user->backdated_room,
                                 sizeof *user->backdated);
  user->backdated[user->backdated_count++] = (struct memory_backdated){
    .seq = partition->entries_count,
    .effective_us = entry->effective_us,
    .amount = entry->amount,
    .asset = entry->asset,
    .from = entry->from,
    .to = entry->to,
  };
}

static void key_learn(struct memory_store *store, const struct store_unit *unit,
                      const struct store_batch *batch)
{
  struct memory_key *key = hf_arena_alloc(&store->arena, sizeof *key);
  struct memory_partition *partition = memory_partition_at(store, unit->partition);
  struct memory_user *user;

  if (unit->has_outcome) {
    key->outcome = row_copy(store, &unit->outcome, sizeof unit->outcome);
    key->outcome->batch = batch->number;
    key->id = (struct memory_key_id){.user = unit->outcome.user, .key = unit->outcome.key};
  } else {
    key->seq = hf_id_serial(unit->entries[0].id, store->engine.partition_bits);
    key->id = (struct memory_key_id){.user = unit->entries[0].user, .key = unit->entries[0].key};
  }
  HASH_ADD(hh, partition->keys, id, sizeof key->id, key);
  user = memory_user_find(store, key->id.user);
  if (user != NULL)
    user->keys++;
}

void memory_apply(struct memory_store *store, const struct store_unit *unit,
                  const struct store_batch *batch)
{
  const uint8_t *body = unit->bodies;

  CHECK(batch != NULL && batch->partition == unit->partition);
  CHECK(!unit->has_outcome || unit->entries_count == 0);
  for (unsigned i = 0; i < unit->rows_count; i++)
    row_apply(store, &unit->rows[i]);
  for (unsigned i = 0; i < unit->entries_count; i++) {
    entry_apply(store, &unit->entries[i], body, unit->body_sizes[i]);
    body += unit->body_sizes[i];
  }
  if (unit->has_key || unit->has_outcome)
    key_learn(store, unit, batch);
}
