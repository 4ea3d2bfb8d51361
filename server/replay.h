/* replay.h - what the journal says against what the tables beside it say.
 *
 * Folds every entry into its user, which checks versions, moves and the balances after each;
 * compares ledger_balances and system_totals at the place up to which they were carried on, rows of
 * holds, blocks, transfers, reversals and backdated entries, and what a server would load for each
 * user; holds names against users and users against names; sums every asset over all accounts to
 * zero. Blocking; one thread; nobody else may write. Memory: the users of a group of partitions, at
 * the most about REPLAY_USERS_MAX, with the rows named above; with `repair`, all users. */
#ifndef HOLDFAST_REPLAY_H
#define HOLDFAST_REPLAY_H

#include "actors/store/port.h"

#define REPLAY_USERS_MAX 1000000u

enum replay_table {
  REPLAY_JOURNAL,  /* an entry does not follow: nothing can be repaired from it */
  REPLAY_INDEX,    /* a server would load something else */
  REPLAY_BALANCES, /* ledger_balances */
  REPLAY_TOTALS,   /* system_totals */
  REPLAY_HOLDS,
  REPLAY_BLOCKS,
  REPLAY_TRANSFERS, /* of these four no repair makes new rows */
  REPLAY_REVERSALS,
  REPLAY_BACKDATED,
  REPLAY_NAMES,
  REPLAY_SUM, /* an asset does not sum to zero */
};
const char *replay_table_text(enum replay_table table);

struct replay_difference {
  enum replay_table table;
  const char *field; /* of the row, or what is wrong */
  uint32_t partition;
  hf_id user;          /* 0: none */
  hf_id id;            /* hold, block, transfer, reversed op, or entry; 0: none */
  uint16_t asset;      /* 0: none */
  const char *account; /* of system totals; NULL */
  const char *label;   /* likewise; "" */
  bool amounts;        /* both are amounts of the asset, else plain numbers */
  hf_amount journal, found;
};

struct replay_report {
  uint64_t total;                   /* entries when it began */
  uint64_t entries, users, lagging; /* lagging: entries that the projections have not seen yet */
  uint64_t differences, damage;     /* damage: those that no repair can mend */
  bool repaired;
  void (*found)(void *arg, const struct replay_difference *difference);
  void (*progress)(void *arg, uint64_t entries, uint64_t total);
  void *arg;
};

/* HF_OK when everything was read and, if wanted and there was something to repair that can be,
 * repaired. `engine` has store_admin_ops. Keeps a row of the run when the engine may write. */
MUST_CHECK enum hf_error replay_run(struct store_engine *engine, bool repair,
                                    struct replay_report *report);

#endif
