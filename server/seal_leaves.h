/* seal_leaves.h - the leaves of the newest seal, in a file: so that the next seal looks only at
 * users who have changed, and a proof at a few kilobytes.
 *
 * One record per user, by (partition, user id); behind them the roots of every whole block of
 * SEAL_BLOCK leaves. It is a cache: what is missing, of another seal, or damaged is made anew from
 * the journal. Blocking; one thread; memory: the block roots. */
#ifndef HOLDFAST_SEAL_LEAVES_H
#define HOLDFAST_SEAL_LEAVES_H

#include <stdio.h>

#include "actors/seal/merkle.h"
#include "holdfast/bytes.h"
#include "holdfast/id.h"

#define SEAL_BLOCK_BITS 10u
#define SEAL_BLOCK (1u << SEAL_BLOCK_BITS)

struct seal_record {
  hf_id user;
  uint64_t version; /* at which the leaf was made */
  struct hf_hash leaf;
};

struct seal_part {   /* of a partition */
  uint64_t next_seq; /* entries before it are in the leaves */
  uint64_t count;    /* records */
};

struct seal_leaves {
  FILE *file;
  uint64_t number; /* of the seal */
  unsigned partition_bits;
  uint64_t count;
  struct seal_part parts[1u << HF_PARTITION_BITS_MAX];
  struct hf_hasher hasher; /* over what was written or read so far */
  struct merkle_tree tree, block;
  struct hf_bytes blocks; /* roots of whole blocks */
  char path[4096];
};

/* Reading from the first record on: false when there is no such file, or not of that seal. */
MUST_CHECK bool seal_leaves_open(struct seal_leaves *leaves, const char *path, uint64_t number,
                                 unsigned partition_bits);
/* The next record; false: it is damaged. After all `count` of them seal_leaves_sound says whether
 * the whole file was what was written. */
MUST_CHECK bool seal_leaves_next(struct seal_leaves *leaves, struct seal_record *ret_record);
MUST_CHECK bool seal_leaves_sound(struct seal_leaves *leaves);
/* The proof that record `index` is in the tree; reads two blocks. False: it cannot be read. */
MUST_CHECK bool seal_leaves_prove(struct seal_leaves *leaves, uint64_t index,
                                  struct hf_hash ret_hashes[MERKLE_PROOF_MAX], size_t *ret_count);
/* The place of a user: binary search. False: not there, or unreadable. */
MUST_CHECK bool seal_leaves_find(struct seal_leaves *leaves, hf_id user, uint64_t *ret_index,
                                 struct seal_record *ret_record);

/* Writing: a new file beside the old one, which `end` puts in its place. The caller counts in parts
 * and calls put in the order of the records. False: errno says why. */
MUST_CHECK bool seal_leaves_begin(struct seal_leaves *leaves, const char *path, uint64_t number,
                                  unsigned partition_bits);
MUST_CHECK bool seal_leaves_put(struct seal_leaves *leaves, const struct seal_record *record);
MUST_CHECK bool seal_leaves_end(struct seal_leaves *leaves);
/* Of both: gives up what was not ended. */
void seal_leaves_close(struct seal_leaves *leaves);

#endif
