/* memory_read.c - the requests that look something up; answers are copies in their arenas. */
#include <string.h>

#include "adapters/store_memory/memory.h"

struct store_text memory_text_copy(struct hf_arena *arena, struct store_text text)
{
  if (text.at == NULL)
    return (struct store_text){0};
  return (struct store_text){.at = hf_arena_text(arena, text.at, text.size), .size = text.size};
}

static struct store_user_row user_copy(struct hf_arena *arena, const struct store_user_row *row)
{
  struct store_user_row copy = *row;

  copy.external_id = memory_text_copy(arena, row->external_id);
  copy.profile = memory_text_copy(arena, row->profile);
  return copy;
}

void memory_entry_read(struct memory_store *store, uint32_t partition, uint64_t seq,
                       struct hf_arena *arena, struct ledger_entry *ret_entry)
{
  const struct memory_entry *row = memory_entry_at(store, partition, seq);
  struct ledger_other others[LEDGER_ASSETS_MAX];
  bool whole;

  CHECK(row != NULL);
  memset(ret_entry, 0, sizeof *ret_entry);
  whole = ledger_entry_decode(row->body, row->body_size, others, ret_entry);
  CHECK(whole); /* nobody but this program wrote it */
  CHECK(ret_entry->user == row->user->row.id && ret_entry->version == row->version);
  ret_entry->others = ret_entry->others_count == 0
                        ? NULL
                        : hf_arena_copy(arena, others, ret_entry->others_count * sizeof *others);
  ret_entry->id = hf_id_make(seq, partition, store->engine.partition_bits);
  ret_entry->hash = row->hash;
}

struct store_text memory_metadata_read(struct memory_store *store, hf_id op, struct hf_arena *arena)
{
  const struct memory_meta *meta = memory_meta_find(store, op);

  if (meta == NULL)
    return (struct store_text){0};
  return memory_text_copy(arena, meta->row.json);
}

struct store_op *memory_op_read(struct memory_store *store, uint32_t partition, uint64_t seq)
{
  const struct memory_entry *first = memory_entry_at(store, partition, seq);
  struct store_op *op = store_op_new();
  const struct memory_reversals *reversals;
  const struct memory_transfer *transfer;
  hf_id id;

  CHECK(first != NULL && first->op_index == 0);
  id = hf_id_make(seq, partition, store->engine.partition_bits);
  op->entries_count = first->op_count;
  op->entries = hf_arena_alloc(&op->arena, op->entries_count * sizeof *op->entries);
  for (size_t i = 0; i < op->entries_count; i++)
    memory_entry_read(store, partition, seq + i, &op->arena, &op->entries[i]);
  op->metadata = memory_metadata_read(store, id, &op->arena);
  reversals = memory_reversals_find(store, id);
  if (reversals != NULL) {
    op->reversals_count = reversals->count;
    op->reversals =
      hf_arena_copy(&op->arena, reversals->rows, reversals->count * sizeof *reversals->rows);
  }
  transfer = memory_transfer_find(store, id);
  if (transfer != NULL) {
    op->has_transfer = true;
    op->transfer = transfer->row;
  }
  return op;
}

struct store_op *memory_refusal_read(const struct store_outcome *outcome)
{
  struct store_op *op = store_op_new();

  op->refused = true;
  op->outcome = *outcome;
  return op;
}

/* ---- users ----------------------------------------------------------------------------------- */

/* The newest entry of each asset: the newest of all names the others' versions. */
static void load_entries(struct memory_store *store, struct store_request *request,
                         const struct memory_user *user)
{
  struct store_loaded_user *out = &request->load_user.out;
  uint32_t partition = hf_id_partition(user->row.id, store->engine.partition_bits);
  const struct ledger_entry *newest;

  if (user->versions == 0)
    return;
  out->entries = hf_arena_alloc(&request->arena, sizeof *out->entries);
  memory_entry_read(store, partition, user->seqs[user->versions - 1], &request->arena,
                    out->entries);
  newest = out->entries;
  out->entries_count = 1u + newest->others_count;
  if (newest->others_count == 0)
    return;
  out->entries = hf_arena_alloc(&request->arena, out->entries_count * sizeof *out->entries);
  out->entries[0] = *newest;
  for (unsigned i = 0; i < newest->others_count; i++) {
    uint64_t version = newest->others[i].version;

    CHECK(version > 0 && version < user->versions);
    memory_entry_read(store, partition, user->seqs[version - 1], &request->arena,
                      &out->entries[i + 1]);
  }
}

/* The version of the entry that opened a hold or block: its id is that of the op. */
static uint64_t version_of(struct memory_store *store, hf_id op)
{
  unsigned bits = store->engine.partition_bits;
  const struct memory_entry *entry =
    memory_entry_at(store, hf_id_partition(op, bits), hf_id_serial(op, bits));

  CHECK(entry != NULL && entry->op_index == 0);
  return entry->version;
}

static void load_user(struct memory_store *store, struct store_request *request)
{
  const struct memory_user *user = memory_user_find(store, request->load_user.id);
  struct store_loaded_user *out = &request->load_user.out;
  struct hf_arena *arena = &request->arena;

  *out = (struct store_loaded_user){0};
  if (user == NULL) {
    request->status = STORE_NOT_FOUND;
    return;
  }
  out->row = user_copy(arena, &user->row);
  out->has_keys = user->keys > 0;
  load_entries(store, request, user);
  out->holds_count = user->open_holds.count;
  out->holds = hf_arena_alloc(arena, out->holds_count * sizeof *out->holds);
  out->hold_versions = hf_arena_alloc(arena, out->holds_count * sizeof *out->hold_versions);
  for (size_t i = 0; i < out->holds_count; i++) {
    out->holds[i] = user->open_holds.at[i]->row;
    out->hold_versions[i] = version_of(store, out->holds[i].id);
  }
  out->blocks_count = user->open_blocks.count;
  out->blocks = hf_arena_alloc(arena, out->blocks_count * sizeof *out->blocks);
  out->block_versions = hf_arena_alloc(arena, out->blocks_count * sizeof *out->block_versions);
  for (size_t i = 0; i < out->blocks_count; i++) {
    out->blocks[i] = user->open_blocks.at[i]->row;
    out->block_versions[i] = version_of(store, out->blocks[i].id);
  }
}

static void get_user(struct memory_store *store, struct store_request *request)
{
  const struct memory_user *user = memory_user_find(store, request->get_user.id);

  if (user == NULL)
    request->status = STORE_NOT_FOUND;
  else
    request->get_user.out = user_copy(&request->arena, &user->row);
}

static void get_name(struct memory_store *store, struct store_request *request)
{
  const struct memory_name *name =
    memory_name_find(memory_partition_at(store, request->get_name.partition),
                     request->get_name.name_kind, &request->get_name.digest);

  if (name == NULL)
    request->status = STORE_NOT_FOUND;
  else
    request->get_name.out = name->row;
}

/* ---- ops, holds, blocks ---------------------------------------------------------------------- */

static void get_op(struct memory_store *store, struct store_request *request)
{
  unsigned bits = store->engine.partition_bits;
  hf_id id = request->get_op.id;
  uint32_t partition = hf_id_partition(id, bits);
  uint64_t seq = hf_id_serial(id, bits);
  const struct memory_entry *entry = memory_entry_at(store, partition, seq);

  request->get_op.out = NULL;
  if (entry == NULL || (entry->op_index != 0 && !request->get_op.entry))
    request->status = STORE_NOT_FOUND;
  else
    request->get_op.out = memory_op_read(store, partition, seq - entry->op_index);
}

static void get_key_op(struct memory_store *store, struct store_request *request)
{
  const struct memory_key *key =
    memory_key_find(store, request->get_key_op.user, &request->get_key_op.key);
  uint32_t partition = hf_id_partition(request->get_key_op.user, store->engine.partition_bits);

  request->get_key_op.out = NULL;
  if (key == NULL)
    request->status = STORE_NOT_FOUND;
  else if (key->outcome != NULL)
    request->get_key_op.out = memory_refusal_read(key->outcome);
  else
    request->get_key_op.out = memory_op_read(store, partition, key->seq);
}

static void get_hold(struct memory_store *store, struct store_request *request)
{
  const struct memory_hold *hold = memory_hold_find(store, request->get_hold.id);

  if (hold == NULL)
    request->status = STORE_NOT_FOUND;
  else
    request->get_hold.out = hold->row;
}

static void get_block(struct memory_store *store, struct store_request *request)
{
  const struct memory_block *block = memory_block_find(store, request->get_block.id);

  if (block == NULL)
    request->status = STORE_NOT_FOUND;
  else
    request->get_block.out = block->row;
}

/* ---- partitions ------------------------------------------------------------------------------ */

static void open_partition(struct memory_store *store, struct store_request *request)
{
  struct store_partition *out = &request->open_partition;
  struct memory_partition *partition = memory_partition_at(store, out->partition);

  if (out->owner != partition->owner) {
    request->status = STORE_FENCED;
    return;
  }
  out->epoch = ++partition->epoch;
  out->next_batch = partition->batches_count + 1;
  out->next_seq = partition->entries_count + 1;
  out->next_user_serial = partition->user_serial_max + 1;
  out->head = (struct hf_hash){{0}};
  if (partition->batches_count > 0)
    out->head = partition->batches[partition->batches_count - 1].hash;
  out->follows = out->head;
}

static void due_holds(struct memory_store *store, struct store_request *request)
{
  const struct memory_partition *partition =
    memory_partition_at(store, request->due_holds.partition);
  const struct memory_order_node *node =
    memory_order_after(&partition->due, request->due_holds.after_us, request->due_holds.after_id);
  size_t room = 0;
  void *rows = NULL;

  request->due_holds.count = 0;
  while (node != NULL && node->major <= request->due_holds.now_us &&
         request->due_holds.count < request->due_holds.limit) {
    const struct memory_hold *hold = node->item;
    struct store_hold_row *row =
      hf_arena_push(&request->arena, &rows, &request->due_holds.count, &room, sizeof hold->row);

    *row = hold->row;
    node = node->next[0];
  }
  request->due_holds.out = rows;
}

static void open_transfers(struct memory_store *store, struct store_request *request)
{
  const struct memory_partition *partition =
    memory_partition_at(store, request->open_transfers.partition);
  const struct memory_order_node *node =
    memory_order_after(&partition->transit, 0, request->open_transfers.after);
  size_t room = 0;
  void *rows = NULL;

  request->open_transfers.count = 0;
  while (node != NULL && request->open_transfers.count < request->open_transfers.limit) {
    const struct memory_transfer *transfer = node->item;
    struct store_transfer_row *row = hf_arena_push(
      &request->arena, &rows, &request->open_transfers.count, &room, sizeof transfer->row);

    *row = transfer->row;
    node = node->next[0];
  }
  request->open_transfers.out = rows;
}

static void reserved_names(struct memory_store *store, struct store_request *request)
{
  const struct memory_partition *partition =
    memory_partition_at(store, request->reserved.partition);
  const struct memory_order_node *node = memory_order_after(&partition->reserved, 0, 0);
  size_t room = 0;
  void *rows = NULL;

  request->reserved.count = 0;
  while (node != NULL && request->reserved.count < request->reserved.limit) {
    const struct memory_name *name = node->item;
    struct store_name_row *row =
      hf_arena_push(&request->arena, &rows, &request->reserved.count, &room, sizeof name->row);

    *row = name->row;
    node = node->next[0];
  }
  request->reserved.out = rows;
}

static void catalog(struct memory_store *store, struct store_request *request)
{
  request->catalog.assets_count = store->assets_count;
  request->catalog.assets =
    hf_arena_alloc(&request->arena, store->assets_count * sizeof(struct store_asset_row));
  for (size_t i = 0; i < store->assets_count; i++)
    request->catalog.assets[i] = *store->assets[i];
  request->catalog.keys_count = store->keys_count;
  request->catalog.keys =
    hf_arena_alloc(&request->arena, store->keys_count * sizeof(struct store_key_row));
  for (size_t i = 0; i < store->keys_count; i++)
    request->catalog.keys[i] = *store->keys[i];
}

/* Balances are read from the journal here; the projection is only how far one would have come. */
static void project(struct memory_store *store, struct store_request *request)
{
  struct memory_partition *partition = memory_partition_at(store, request->project.partition);
  uint64_t left = partition->entries_count - partition->projected_seq;

  partition->projected_seq += left < request->project.limit ? left : request->project.limit;
  request->project.more = partition->projected_seq < partition->entries_count;
}

void memory_read(struct memory_store *store, struct store_request *request)
{
  static void (*const reads[])(struct memory_store *, struct store_request *) = {
    [STORE_LOAD_USER] = load_user,
    [STORE_GET_USER] = get_user,
    [STORE_GET_NAME] = get_name,
    [STORE_GET_OP] = get_op,
    [STORE_GET_KEY_OP] = get_key_op,
    [STORE_GET_HOLD] = get_hold,
    [STORE_GET_BLOCK] = get_block,
    [STORE_LIST_HOLDS] = memory_list_holds,
    [STORE_LIST_ENTRIES] = memory_list_entries,
    [STORE_BALANCE_AT] = memory_balance_at,
    [STORE_OPEN_PARTITION] = open_partition,
    [STORE_DUE_HOLDS] = due_holds,
    [STORE_OPEN_TRANSFERS] = open_transfers,
    [STORE_RESERVED_NAMES] = reserved_names,
    [STORE_CATALOG] = catalog,
    [STORE_SCAN] = memory_scan,
    [STORE_PROJECT] = project,
    [STORE_LEASE] = memory_lease,
  };

  CHECK(request->kind < sizeof reads / sizeof reads[0] && reads[request->kind] != NULL);
  request->status = STORE_OK;
  reads[request->kind](store, request);
}
