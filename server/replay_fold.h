/* replay_fold.h - inside replay: the state of a partition as its journal makes it. */
#ifndef HOLDFAST_REPLAY_FOLD_H
#define HOLDFAST_REPLAY_FOLD_H

#define uthash_malloc(size) rt_alloc(size)
#define uthash_free(block, size) rt_free(block)
#include <uthash.h>

#include "adapters/store/store_admin.h"
#include "server/journal.h"
#include "server/replay.h"

struct replay_user {
  hf_id id;
  struct ledger_user ledger;
  uint64_t seen; /* bit i: a row of its i-th asset was compared */
  bool broken;   /* an entry did not follow: the rest of them means nothing */
  UT_hash_handle hh;
};

struct replay_system {
  struct replay_account { /* zeroed before it is filled: compared as bytes */
    uint32_t partition;
    uint16_t asset;
    uint8_t account;
    char label[LEDGER_LABEL_MAX + 1];
  } key;
  hf_amount sum;
  bool seen;
  UT_hash_handle hh;
};

struct replay_hold {
  hf_id id;
  struct store_hold_row row;
  bool seen;
  UT_hash_handle hh;
};

struct replay_block {
  hf_id id;
  struct store_block_row row;
  bool seen;
  UT_hash_handle hh;
};

enum replay_link_kind { REPLAY_LINK_TRANSFER, REPLAY_LINK_REVERSAL, REPLAY_LINK_BACKDATED };

struct replay_link {       /* a row that follows from an entry and that names another user or op */
  struct replay_link_key { /* zeroed before it is filled: compared as bytes */
    uint8_t kind;
    hf_id first;     /* transfer; original; user */
    uint64_t second; /* 0; op; seq */
  } key;
  union {
    struct store_transfer_row transfer;
    struct store_reversal_row reversal;
    struct store_backdated_row backdated;
  };
  bool seen;
  UT_hash_handle hh;
};

struct replay_partition {
  uint32_t number;
  uint64_t mark; /* projections are of the entries up to here */
  struct journal journal;
  struct replay_user *users;
  struct replay_system *systems;
  struct replay_hold *holds;
  struct replay_block *blocks;
  struct replay_link *links;
  uint64_t entries, keys;                        /* folded; of ops that have an idempotency key */
  struct ledger_entry op[LEDGER_OP_ENTRIES_MAX]; /* of the op that is being read */
  size_t op_count;
};

void replay_partition_init(struct replay_partition *partition, struct store_engine *engine,
                           uint32_t number);
void replay_partition_deinit(struct replay_partition *partition);
/* Folds entries up to sequence number `until`. */
MUST_CHECK enum hf_error replay_fold(struct replay_partition *partition, uint64_t until,
                                     struct replay_report *report);
void replay_found(struct replay_report *report, const struct replay_difference *difference);
struct replay_link *replay_link_of(struct replay_partition *partition, enum replay_link_kind kind,
                                   hf_id first, uint64_t second);                 /* NULL: none */
struct replay_user *replay_user_of(struct replay_partition *partition, hf_id id); /* NULL: none */

#endif
