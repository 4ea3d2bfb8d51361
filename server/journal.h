/* journal.h - a partition's journal from its first entry to its last, page by page. Blocking; one
 * thread; bounded memory. For the commands that read all of it. */
#ifndef HOLDFAST_JOURNAL_H
#define HOLDFAST_JOURNAL_H

#include "actors/store/port.h"

#define JOURNAL_PAGE 2048u

enum journal_status {
  JOURNAL_ENTRY,
  JOURNAL_END,
  JOURNAL_CORRUPT, /* the row at next_seq cannot be what was written; next_seq moves on over it */
  JOURNAL_FAILED,  /* the store cannot be read */
};

struct journal {
  struct store_engine *engine;
  uint32_t partition;
  uint64_t next_seq; /* of the entry that comes next, if it is there */
  struct store_request *page;
  size_t at;
  bool careful; /* a page was corrupt: one row at a time, until the bad one is found */
};

struct journal_entry { /* views; valid until the next call */
  const struct ledger_entry *entry;
  uint64_t seq;
  struct store_text body;
  struct store_text metadata;
  const struct store_salt *salt;
};

void journal_open(struct journal *journal, struct store_engine *engine, uint32_t partition,
                  uint64_t from_seq);
enum journal_status journal_next(struct journal *journal, struct journal_entry *ret_entry);
void journal_close(struct journal *journal);
/* How many entries all partitions have, as their newest batches say: for a progress line. A batch
 * that cannot be read counts as none. `engine` has store_admin_ops. */
MUST_CHECK enum hf_error journal_total(struct store_engine *engine, uint64_t *ret_entries);

#endif
