/* store_admin.h - what the command line needs of any engine: walks over tables, repair, checks.
 *
 * All block and run on one thread. Walks stream: memory does not grow with the table. A callback
 * that returns false ends the walk with HF_OK. Errors: HF_E_UNAVAILABLE, HF_E_INTERNAL (what was
 * read is impossible). */
#ifndef HOLDFAST_STORE_ADMIN_H
#define HOLDFAST_STORE_ADMIN_H

#include "actors/store/port.h"

struct store_balance_row { /* ledger_balances */
  hf_id user;
  uint16_t asset;
  uint64_t version;
  struct ledger_balance balance;
};
struct store_system_row { /* system_totals */
  uint32_t partition;
  uint16_t asset;
  uint8_t account;
  char label[33];
  hf_amount sum;
};
struct store_backdated_row { /* backdated: an entry that is effective before it was recorded */
  hf_id user;
  uint64_t seq;
  int64_t effective_us;
  uint16_t asset;
  uint8_t from, to;
  hf_amount amount;
};
struct store_index_counts { /* of a partition: what the index has of each */
  uint64_t versions, keys, refusals;
};
struct store_repair {
  const struct store_balance_row *balances;
  size_t balances_count;
  const struct store_system_row *systems;
  size_t systems_count;
  const struct store_hold_row *holds;
  size_t holds_count;
  const struct store_block_row *blocks;
  size_t blocks_count;
  const uint64_t *ends; /* by partition: the sequence number up to which this is the truth */
};
struct store_replay_run {
  int64_t started_us, ended_us;
  uint64_t entries, users, differences;
  bool repaired;
};

/* Rows come in the order of their table's key, which begins with the partition. A callback may use
 * the engine for anything but another walk's rows. */
struct store_admin_ops {
  unsigned (*schema_known)(void);
  /* Whether the schema and, where the store can tell, its pages are what this program made. */
  enum hf_error (*selfcheck)(struct store_engine *engine, char ret_why[256]);
  /* Of partitions first .. first + count - 1. */
  enum hf_error (*each_balance)(struct store_engine *engine, uint32_t first, uint32_t count,
                                bool (*each)(void *arg, const struct store_balance_row *row),
                                void *arg);
  enum hf_error (*each_system)(struct store_engine *engine, uint32_t first, uint32_t count,
                               bool (*each)(void *arg, const struct store_system_row *row),
                               void *arg);
  enum hf_error (*each_user)(struct store_engine *engine, uint32_t partition,
                             bool (*each)(void *arg, const struct store_user_row *row), void *arg);
  /* The newest batch; number 0: there is none. */
  enum hf_error (*newest_batch)(struct store_engine *engine, uint32_t partition,
                                struct store_batch *ret_batch);
  /* Numbers first .. last. */
  enum hf_error (*each_batch)(struct store_engine *engine, uint32_t partition, uint64_t first,
                              uint64_t last,
                              bool (*each)(void *arg, const struct store_batch *batch), void *arg);
  /* In the order in which they were committed, from where *cursor left off (0: the first) up to
   * those of batch `last`. A row that cannot be read ends it: those before it were handed out. */
  enum hf_error (*each_outcome)(struct store_engine *engine, uint32_t partition, uint64_t *cursor,
                                uint64_t last,
                                bool (*each)(void *arg, const struct store_outcome *row),
                                void *arg);
  /* The ops above `after` that have a row of metadata, ascending; the erased are among them. */
  enum hf_error (*each_metadata)(struct store_engine *engine, uint32_t partition, hf_id after,
                                 bool (*each)(void *arg, hf_id op), void *arg);
  enum hf_error (*each_hold)(struct store_engine *engine, uint32_t partition,
                             bool (*each)(void *arg, const struct store_hold_row *row), void *arg);
  enum hf_error (*each_block)(struct store_engine *engine, uint32_t partition,
                              bool (*each)(void *arg, const struct store_block_row *row),
                              void *arg);
  /* Of partitions first .. first + count - 1. */
  enum hf_error (*each_transfer)(struct store_engine *engine, uint32_t first, uint32_t count,
                                 bool (*each)(void *arg, const struct store_transfer_row *row),
                                 void *arg);
  enum hf_error (*each_reversal)(struct store_engine *engine, uint32_t first, uint32_t count,
                                 bool (*each)(void *arg, const struct store_reversal_row *row),
                                 void *arg);
  enum hf_error (*each_backdated)(struct store_engine *engine, uint32_t first, uint32_t count,
                                  bool (*each)(void *arg, const struct store_backdated_row *row),
                                  void *arg);
  enum hf_error (*each_name)(struct store_engine *engine, uint32_t first, uint32_t count,
                             bool (*each)(void *arg, const struct store_name_row *row), void *arg);
  /* Follows every row of the index by which entries and keys are found; calls `each` for one that
   * does not lead to an entry or a refusal of that user, version or key. `ret_counts`: one for each
   * partition. NULL: the journal is its own index. */
  enum hf_error (*check_index)(struct store_engine *engine, uint32_t first, uint32_t count,
                               struct store_index_counts *ret_counts,
                               bool (*each)(void *arg, hf_id user), void *arg);
  /* Up to which sequence number the partition's journal is in the projections. */
  enum hf_error (*mark)(struct store_engine *engine, uint32_t partition, uint64_t *ret_seq);
  /* Rewrites projections, holds and blocks from the caller's truth, in one transaction.
   * HF_E_UNAVAILABLE, and nothing is written, when a journal does not end where that does: somebody
   * else writes. */
  enum hf_error (*repair)(struct store_engine *engine, const struct store_repair *repair);
  enum hf_error (*replay_run)(struct store_engine *engine, const struct store_replay_run *run);
  /* Makes a service key, or revokes it, beside nodes that serve: their system partition stays whose
   * it is, and their heartbeats tell them. HF_E_KEY_CONFLICT: another one has the id, or it was
   * revoked. NULL: nobody else can have the store open. */
  enum hf_error (*key_put)(struct store_engine *engine, const struct store_key_row *key);
};
/* NULL: the engine has none (memory). */
const struct store_admin_ops *store_admin_of(const struct store_engine *engine);

/* ---- migrations ------------------------------------------------------------------------------ */

enum store_migration { STORE_MIGRATION_THERE, STORE_MIGRATION_MISSING, STORE_MIGRATION_APPLIED };
/* Told of each migration, in order. `title`: one line. */
typedef void (*store_migration_each)(void *arg, unsigned version, const char *title,
                                     enum store_migration what);

#endif
