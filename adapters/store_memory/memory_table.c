/* memory_table.c - lookups by key. */
#include <string.h>

#include "adapters/store_memory/memory.h"

struct memory_partition *memory_partition_at(struct memory_store *store, uint32_t partition)
{
  CHECK(partition < 1u << store->engine.partition_bits);
  return &store->partitions[partition];
}

struct memory_partition *memory_partition_of(struct memory_store *store, hf_id id)
{
  return memory_partition_at(store, hf_id_partition(id, store->engine.partition_bits));
}

struct memory_user *memory_user_find(struct memory_store *store, hf_id id)
{
  struct memory_user *user;

  HASH_FIND(hh, memory_partition_of(store, id)->users, &id, sizeof id, user);
  return user;
}

struct memory_name *memory_name_find(struct memory_partition *partition, uint8_t kind,
                                     const struct hf_hash *digest)
{
  struct memory_name_key key = {.kind = kind, .digest = *digest};
  struct memory_name *name;

  HASH_FIND(hh, partition->names, &key, sizeof key, name);
  return name;
}

struct memory_hold *memory_hold_find(struct memory_store *store, hf_id id)
{
  struct memory_hold *hold;

  HASH_FIND(hh, memory_partition_of(store, id)->holds, &id, sizeof id, hold);
  return hold;
}

struct memory_block *memory_block_find(struct memory_store *store, hf_id id)
{
  struct memory_block *block;

  HASH_FIND(hh, memory_partition_of(store, id)->blocks, &id, sizeof id, block);
  return block;
}

struct memory_transfer *memory_transfer_find(struct memory_store *store, hf_id id)
{
  struct memory_transfer *transfer;

  HASH_FIND(hh, memory_partition_of(store, id)->transfers, &id, sizeof id, transfer);
  return transfer;
}

struct memory_reversals *memory_reversals_find(struct memory_store *store, hf_id original)
{
  struct memory_reversals *reversals;

  HASH_FIND(hh, memory_partition_of(store, original)->reversals, &original, sizeof original,
            reversals);
  return reversals;
}

struct memory_meta *memory_meta_find(struct memory_store *store, hf_id op)
{
  struct memory_meta *meta;

  HASH_FIND(hh, memory_partition_of(store, op)->metas, &op, sizeof op, meta);
  return meta;
}

struct memory_key *memory_key_find(struct memory_store *store, hf_id user,
                                   const struct hf_digest *key)
{
  struct memory_key_id id = {.user = user, .key = *key};
  struct memory_key *found;

  HASH_FIND(hh, memory_partition_of(store, user)->keys, &id, sizeof id, found);
  return found;
}

size_t memory_asset_place(const struct memory_store *store, uint16_t id)
{
  size_t low = 0, high = store->assets_count;

  while (low < high) {
    size_t middle = low + (high - low) / 2;

    if (store->assets[middle]->id < id)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

struct store_asset_row *memory_asset_find(struct memory_store *store, uint16_t id)
{
  size_t place = memory_asset_place(store, id);
  bool there = place < store->assets_count && store->assets[place]->id == id;

  return there ? store->assets[place] : NULL;
}

size_t memory_service_key_place(const struct memory_store *store, const char *id)
{
  size_t low = 0, high = store->keys_count;

  while (low < high) {
    size_t middle = low + (high - low) / 2;

    if (strcmp(store->keys[middle]->id, id) < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

struct store_key_row *memory_service_key_find(struct memory_store *store, const char *id)
{
  size_t place = memory_service_key_place(store, id);
  bool there = place < store->keys_count && strcmp(store->keys[place]->id, id) == 0;

  return there ? store->keys[place] : NULL;
}

size_t memory_holds_upto(const struct memory_holds *holds, hf_id id)
{
  size_t low = 0, high = holds->count;

  while (low < high) {
    size_t middle = low + (high - low) / 2;

    if (holds->at[middle]->row.id <= id)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

size_t memory_blocks_upto(const struct memory_blocks *blocks, hf_id id)
{
  size_t low = 0, high = blocks->count;

  while (low < high) {
    size_t middle = low + (high - low) / 2;

    if (blocks->at[middle]->row.id <= id)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

struct memory_entry *memory_entry_at(struct memory_store *store, uint32_t partition, uint64_t seq)
{
  struct memory_partition *part = memory_partition_at(store, partition);

  return seq == 0 || seq > part->entries_count ? NULL : &part->entries[seq - 1];
}
