/* verify.h - is the journal what was written? Re-derives both hash chains from the stored bytes.
 *
 * Each entry's hash from its user's entry before and its own bytes; each batch's from the batch
 * before, its entries and its refusals; numbers and sequences without gaps; metadata that is there
 * against the hash in its entry. Blocking; one thread; memory: the users of one partition. Reads
 * only, and may run beside a server: what it commits meanwhile is not looked at.
 * A partition's check ends at its first finding, as everything behind it rests on it: first by
 * batch, and in it by entry. A row that cannot be read is a finding where it is needed. */
#ifndef HOLDFAST_VERIFY_H
#define HOLDFAST_VERIFY_H

#include "actors/store/port.h"

struct verify_finding {
  const char *what; /* static text */
  uint32_t partition;
  uint64_t batch; /* number; 0: of no batch, behind all of them */
  uint64_t seq;   /* of the entry, the first of an operation where metadata is meant; 0: the batch
                     itself */
  hf_id user;     /* 0: unknown */
};

struct verify_report {
  uint64_t total; /* entries when it began */
  uint64_t entries, batches, outcomes, users;
  uint64_t metadata, erased; /* checked; entries whose metadata is gone */
  uint64_t findings;
  void (*found)(void *arg, const struct verify_finding *finding);
  void (*progress)(void *arg, uint64_t entries, uint64_t total);
  void *arg;
};

/* HF_OK when everything was read, whatever was found; `engine` has store_admin_ops;
 * SQLite's has two readers. */
MUST_CHECK enum hf_error verify_run(struct store_engine *engine, struct verify_report *report);

#endif
