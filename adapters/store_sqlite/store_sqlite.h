/* store_sqlite.h - the embedded store: one SQLite database, WAL, synchronous=FULL.
 *
 * Threads: execute may be called from several threads; writes (commit, open partition, project)
 * from one at a time, on a connection of their own; each read takes a read-only connection from a
 * small pool. One process: the data folder is locked (flock) while the store is open.
 * Errors: enum hf_error with a text in `ret_why` for a person (what to do, without paths of
 * ours). */
#ifndef HOLDFAST_STORE_SQLITE_H
#define HOLDFAST_STORE_SQLITE_H

#include "actors/store/port.h"

struct store_sqlite_config {
  const char *path;        /* database file; its folder exists */
  unsigned partition_bits; /* used when the database is made; otherwise what it was made with */
  unsigned readers;        /* read connections, 1..16 */
  size_t cache_bytes;      /* page cache of the write connection */
  bool migrate;            /* apply migrations; false: refuse an old schema */
  bool read_only;          /* verify, export beside nothing else: no lock is taken for writing */
  const char *vfs;         /* NULL: the default; tests pass a failing one */
};

MUST_CHECK enum hf_error store_sqlite_open(const struct store_sqlite_config *config,
                                           struct store_engine **ret_engine, char ret_why[256]);
/* Schema versions: what the file has and what this program knows. */
unsigned store_sqlite_schema_known(void);
/* Full check for `selfcheck`: integrity_check, schema checksums, triggers. HF_OK or a text. */
MUST_CHECK enum hf_error store_sqlite_selfcheck(struct store_engine *engine, char ret_why[256]);

/* For the command line (replay, verify, export, keys), all blocking, write thread. */
/* Calls `each` for every ledger_balances row of the projection. */
struct store_balance_row {
  hf_id user;
  uint16_t asset;
  uint64_t version;
  struct ledger_balance balance;
};
MUST_CHECK enum hf_error store_sqlite_each_balance(
  struct store_engine *engine, bool (*each)(void *arg, const struct store_balance_row *row),
  void *arg);
struct store_system_row {
  uint32_t partition;
  uint16_t asset;
  uint8_t account;
  char label[33];
  hf_amount sum;
};
MUST_CHECK enum hf_error store_sqlite_each_system(struct store_engine *engine,
                                                  bool (*each)(void *arg,
                                                               const struct store_system_row *row),
                                                  void *arg);
MUST_CHECK enum hf_error store_sqlite_each_user(struct store_engine *engine, uint32_t partition,
                                                bool (*each)(void *arg,
                                                             const struct store_user_row *row),
                                                void *arg);
MUST_CHECK enum hf_error store_sqlite_each_batch(struct store_engine *engine, uint32_t partition,
                                                 bool (*each)(void *arg,
                                                              const struct store_batch *batch),
                                                 void *arg);
MUST_CHECK enum hf_error store_sqlite_each_hold(struct store_engine *engine, uint32_t partition,
                                                bool (*each)(void *arg,
                                                             const struct store_hold_row *row),
                                                void *arg);
MUST_CHECK enum hf_error store_sqlite_each_block(struct store_engine *engine, uint32_t partition,
                                                 bool (*each)(void *arg,
                                                              const struct store_block_row *row),
                                                 void *arg);
MUST_CHECK enum hf_error store_sqlite_each_outcome(struct store_engine *engine, uint32_t partition,
                                                   bool (*each)(void *arg,
                                                                const struct store_outcome *row),
                                                   void *arg);
/* Up to which sequence number the partition's journal is in ledger_balances and system_totals. */
MUST_CHECK enum hf_error store_sqlite_mark(struct store_engine *engine, uint32_t partition,
                                           uint64_t *ret_seq);
/* Rewrites projections (ledger_balances, system_totals, hold and block rows) from the caller's
 * truth, in transactions of its own; and keeps a replay_runs row. */
struct store_repair {
  const struct store_balance_row *balances;
  size_t balances_count;
  const struct store_system_row *systems;
  size_t systems_count;
  const struct store_hold_row *holds;
  size_t holds_count;
  const struct store_block_row *blocks;
  size_t blocks_count;
};
MUST_CHECK enum hf_error store_sqlite_repair(struct store_engine *engine,
                                             const struct store_repair *repair);
struct store_replay_run {
  int64_t started_us, ended_us;
  uint64_t entries, users, differences;
  bool repaired;
};
MUST_CHECK enum hf_error store_sqlite_replay_run(struct store_engine *engine,
                                                 const struct store_replay_run *run);

#endif
