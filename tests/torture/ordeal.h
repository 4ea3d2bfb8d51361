/* ordeal.h - a scripted session of the SQLite engine on a disk, or in a memory, that fails: open,
 * migrate, open partitions, commit, project, checkpoint, close; and what must be there afterwards.
 *
 * The session goes on as a server does: what was not done is asked for again, a commit of unknown
 * outcome is looked for by opening its partition anew. Once something has failed, `heal` is called,
 * so that the rest of the session shows the recovery.
 * Owner: a test or a child of one; one thread beside those of the engine. Checks are cmocka's. */
#ifndef HOLDFAST_TESTS_ORDEAL_H
#define HOLDFAST_TESTS_ORDEAL_H

#include "tests/support/failing_vfs.h"
#include "tests/support/store_world.h"

#define ORDEAL_PARTITION_BITS 2u
#define ORDEAL_USERS 4u

struct ordeal {
  struct store_engine engine; /* what the world gets: asks again what was not done; first */
  struct store_engine *inner; /* NULL: not open */
  struct store_world world;
  bool has_world;
  char folder[64], path[96];
  const char *vfs; /* NULL: the default */
  void (*heal)(void *arg);
  void *arg;
  unsigned troubles; /* answers that were not "done" */
  /* After each commit that was acknowledged, if any: its number, from 1. */
  void (*acknowledged)(void *arg, unsigned commits);
  unsigned commits;
};

/* Makes a folder of its own below $TMPDIR, unless `folder` is given. */
void ordeal_init(struct ordeal *ordeal, const char *folder);
/* Closes what is open and removes the folder. */
void ordeal_deinit(struct ordeal *ordeal);
void ordeal_session(struct ordeal *ordeal);
/* Opens the folder on a disk that is well: both hash chains hold, the projections are those of the
 * journal, every asset sums to zero, the pages are whole; users are what the world knows of them,
 * if there is one. Returns the entries of the journal; commits some more to show that it can. */
uint64_t ordeal_check(struct ordeal *ordeal);
/* Entries that the session has committed once `commits` of its commits are done. */
uint64_t ordeal_entries(unsigned commits);

#endif
