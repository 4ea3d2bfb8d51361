/* sealer.h - makes seals: what the users had, signed, outside the database.
 *
 * A pass looks at the entries since the last seal, makes a new leaf for each user they touch,
 * merges them with the other users' old leaves, and signs the root. Blocking, on a thread of its
 * own; the commit path never waits for it. Memory: the users of one partition who changed. It rests
 * between pages, so that it takes a bounded share of a core. */
#ifndef HOLDFAST_SEALER_H
#define HOLDFAST_SEALER_H

#include <stdatomic.h>

#include "actors/store/port.h"
#include "server/seal_folder.h"
#include "server/seal_leaves.h"

struct sealer {
  struct store_engine *engine; /* with store_admin_ops */
  struct seal_folder *folder;  /* opened to write */
  unsigned rest_percent;       /* of the time that it works, it rests that much more: 300 = a
                                   quarter of a core; 0: never */
  const atomic_bool *stop;     /* give up soon; NULL */
  void (*progress)(void *arg, uint64_t entries, uint64_t users); /* may be NULL */
  void *arg;
};

/* The path of the leaves' file of a folder of seals. */
void sealer_leaves_path(const struct seal_folder *folder, char out[SEAL_PATH_MAX + 32u]);
/* Makes the next seal. False: nothing was sealed, and why. */
MUST_CHECK bool sealer_run(struct sealer *sealer, char ret_why[SEAL_WHY_MAX]);
/* NULL in `ret_what` when the store has the sealed batch, with its hash; else what is wrong (static
 * text). */
MUST_CHECK enum hf_error sealer_batch_wrong(struct store_engine *engine, unsigned partition,
                                            const struct seal_batch *sealed, const char **ret_what);
/* The canonical leaf of a user as it was at `version`, from the journal. HF_E_USER_NOT_FOUND: no
 * such user, or not so many entries. The bytes are appended. */
MUST_CHECK enum hf_error sealer_leaf_at(struct store_engine *engine, hf_id user, uint64_t version,
                                        struct hf_bytes *bytes);

#endif
