/* memory.h - what the memory store keeps: partitions, and in them the tables of port.h.
 *
 * Entries lie in an array by sequence number, as canonical bytes, and are decoded on every read.
 * A user keeps the sequence numbers of its entries by version and its holds by id, so that no
 * request walks over what it does not ask for. Hash tables (uthash) are only ever looked up by
 * key; whatever is listed comes from an array or an ordered set.
 * Owner: the store. Thread: any, under memory_store.lock. Rows and bodies live in `arena` until
 * the store is closed. */
#ifndef HOLDFAST_MEMORY_H
#define HOLDFAST_MEMORY_H

#include <pthread.h>

#include "actors/store/port.h"
#include "adapters/store_memory/memory_order.h"
#include "adapters/store_memory/memory_table.h"

struct memory_entry { /* entries(partition, seq) */
  struct memory_user *user;
  const uint8_t *body;
  uint64_t version;
  int64_t recorded_us;
  uint16_t body_size;
  uint16_t asset;
  uint8_t type, op_index, op_count;
  struct hf_hash hash;
};

struct memory_holds { /* a sorted array of holds, by id */
  struct memory_hold **at;
  size_t count, room;
};
struct memory_blocks {
  struct memory_block **at;
  size_t count, room;
};

struct memory_backdated { /* backdated(user, seq): entries that are effective before they came */
  uint64_t seq;
  int64_t effective_us;
  hf_amount amount;
  uint16_t asset;
  uint8_t from, to;
};

struct memory_user {
  struct store_user_row row;
  uint64_t *seqs; /* of the entry that brought version i + 1 */
  size_t versions, seqs_room;
  struct memory_backdated *backdated; /* by seq */
  size_t backdated_count, backdated_room;
  uint64_t keys; /* idempotency keys known */
  struct memory_holds holds, open_holds;
  struct memory_blocks open_blocks;
  UT_hash_handle hh;
};

struct memory_name_key {
  uint64_t kind;
  struct hf_hash digest;
};
struct memory_name {
  struct memory_name_key key;
  uint64_t number; /* in order of insertion */
  struct store_name_row row;
  UT_hash_handle hh;
};

struct memory_hold {
  struct store_hold_row row;
  UT_hash_handle hh;
};
struct memory_block {
  struct store_block_row row;
  UT_hash_handle hh;
};
struct memory_transfer {
  struct store_transfer_row row;
  UT_hash_handle hh;
};
struct memory_reversals { /* all of one original, in order of commit */
  hf_id original;
  hf_amount sum;
  struct store_reversal_row *rows;
  size_t count, room;
  UT_hash_handle hh;
};
struct memory_meta {
  struct store_meta_row row;
  UT_hash_handle hh;
};

struct memory_key_id {
  hf_id user;
  struct hf_digest key;
};
struct memory_key { /* an idempotency key: of the op that starts at `seq`, or of a refusal */
  struct memory_key_id id;
  uint64_t seq;                  /* 0: refused */
  struct store_outcome *outcome; /* NULL: applied */
  UT_hash_handle hh;
};

struct memory_partition {
  uint64_t owner; /* node id; 0: nobody */
  uint64_t epoch;
  uint64_t user_serial_max;
  uint64_t names_inserted;
  uint64_t projected_seq;
  struct store_batch *batches; /* number i + 1 */
  size_t batches_count, batches_room;
  struct memory_entry *entries; /* seq i + 1 */
  size_t entries_count, entries_room;
  struct memory_user *users;          /* uthash by id */
  struct memory_name *names;          /* uthash by kind and digest */
  struct memory_hold *holds;          /* uthash by id */
  struct memory_block *blocks;        /* uthash by id */
  struct memory_transfer *transfers;  /* uthash by id */
  struct memory_reversals *reversals; /* uthash by original */
  struct memory_meta *metas;          /* uthash by op */
  struct memory_key *keys;            /* uthash by user and key */
  struct memory_order due;            /* open holds that expire: (expires_us, id) */
  struct memory_order transit;        /* transfers in transit: (0, id) */
  struct memory_order reserved;       /* reserved names: (0, number) */
};

struct memory_store {
  struct store_engine engine; /* first */
  pthread_mutex_t lock;
  struct hf_arena arena;
  struct memory_partition *partitions; /* 1 << engine.partition_bits */
  struct store_asset_row **assets;     /* by id */
  size_t assets_count, assets_room;
  struct store_key_row **keys; /* by id text */
  size_t keys_count, keys_room;
  struct store_node nodes[STORE_NODES_MAX]; /* by id */
  size_t nodes_count;
  uint64_t beats; /* of all nodes so far */
  uint64_t catalog_revision;
};

/* ---- lookups (memory_table.c); NULL: not there ----------------------------------------------- */

struct memory_partition *memory_partition_of(struct memory_store *store, hf_id id);
struct memory_partition *memory_partition_at(struct memory_store *store, uint32_t partition);
struct memory_user *memory_user_find(struct memory_store *store, hf_id id);
struct memory_name *memory_name_find(struct memory_partition *partition, uint8_t kind,
                                     const struct hf_hash *digest);
struct memory_hold *memory_hold_find(struct memory_store *store, hf_id id);
struct memory_block *memory_block_find(struct memory_store *store, hf_id id);
struct memory_transfer *memory_transfer_find(struct memory_store *store, hf_id id);
struct memory_reversals *memory_reversals_find(struct memory_store *store, hf_id original);
struct memory_meta *memory_meta_find(struct memory_store *store, hf_id op);
struct memory_key *memory_key_find(struct memory_store *store, hf_id user,
                                   const struct hf_digest *key);
struct store_asset_row *memory_asset_find(struct memory_store *store, uint16_t id);
struct store_key_row *memory_service_key_find(struct memory_store *store, const char *id);
/* How many assets' and keys' numbers and ids are smaller: where one is or belongs. */
size_t memory_asset_place(const struct memory_store *store, uint16_t id);
size_t memory_service_key_place(const struct memory_store *store, const char *id);
/* How many of the user's holds or blocks have an id below or equal. */
size_t memory_holds_upto(const struct memory_holds *holds, hf_id id);
size_t memory_blocks_upto(const struct memory_blocks *blocks, hf_id id);
struct memory_entry *memory_entry_at(struct memory_store *store, uint32_t partition, uint64_t seq);

/* ---- what requests do; the caller holds the lock --------------------------------------------- */

/* memory_commit.c: all of one request or nothing; sets its and its units' statuses. */
void memory_commit(struct memory_store *store, struct store_request *request);
/* memory_apply.c: writes a unit that memory_commit found to be free of conflicts. */
void memory_apply(struct memory_store *store, const struct store_unit *unit,
                  const struct store_batch *batch);
/* memory_read.c: every other kind. */
void memory_read(struct memory_store *store, struct store_request *request);
/* memory_read.c: what the journal knows of the op at seq, or of a refusal. */
struct store_op *memory_op_read(struct memory_store *store, uint32_t partition, uint64_t seq);
struct store_op *memory_refusal_read(const struct store_outcome *outcome);
/* memory_lease.c: a heartbeat. */
void memory_lease(struct memory_store *store, struct store_request *request);
/* memory_list.c: the requests that page through something. */
void memory_list_holds(struct memory_store *store, struct store_request *request);
void memory_list_entries(struct memory_store *store, struct store_request *request);
void memory_balance_at(struct memory_store *store, struct store_request *request);
void memory_scan(struct memory_store *store, struct store_request *request);
/* memory_read.c: an entry as the journal has it, in the arena; `seq` exists. */
void memory_entry_read(struct memory_store *store, uint32_t partition, uint64_t seq,
                       struct hf_arena *arena, struct ledger_entry *ret_entry);
/* The metadata of an entry's op; at == NULL: none, or erased. A copy in the arena. */
struct store_text memory_metadata_read(struct memory_store *store, hf_id op,
                                       struct hf_arena *arena);
struct store_text memory_text_copy(struct hf_arena *arena, struct store_text text);

#endif
