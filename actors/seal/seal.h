/* seal.h - what a seal says: the leaf of a user, and the signed statement. Pure.
 *
 * A seal is written outside the database: whoever rewrites the journal and all its hashes cannot
 * rewrite that. Its statement is text; the signature is over the exact bytes before its line:
 *
 *   holdfast seal 1
 *   number 12
 *   time 2026-11-21T09:00:00.000000Z
 *   partition_bits 4
 *   users 1000000 <root>            RFC 6962 root over the users' leaves, by (partition, user id)
 *   batch 0 17 <hash>               one line per partition: its newest batch; "batch 0 0 <zeros>"
 *   log 11 <root>                   RFC 6962 root over the whole statements 1..11
 *   key <Ed25519 public key>
 *   signature <of all of the above>
 *
 * A leaf says: at `version` the user's head and balances were these. Leaves of different users may
 * be of different moments; chains only grow, so that is enough to notice a change of the past. */
#ifndef HOLDFAST_SEAL_H
#define HOLDFAST_SEAL_H

#include "actors/ledger/ledger.h"
#include "holdfast/arena.h"
#include "holdfast/sign.h"

#define SEAL_TEXT_MAX (512u + (1u << HF_PARTITION_BITS_MAX) * 128u)

struct seal_user {
  hf_id id;
  uint64_t version;
  struct hf_hash head;
  size_t assets_count; /* ascending by number */
  const struct ledger_asset *assets;
};

/* Canonical bytes: format byte 1, id, version, head, then each asset with the version of its newest
 * entry, its buckets in order and its lifetime totals. Appended. */
void seal_leaf_encode(const struct seal_user *user, struct hf_bytes *bytes);
/* False: not a leaf. The assets lie in the arena. */
MUST_CHECK bool seal_leaf_decode(const void *bytes, size_t size, struct hf_arena *arena,
                                 struct seal_user *ret_user);

struct seal_batch {
  uint64_t number; /* 0: none */
  struct hf_hash hash;
};

struct seal {
  uint64_t number; /* 1.. */
  int64_t time_us; /* unix */
  unsigned partition_bits;
  uint64_t users_count;
  struct hf_hash users_root;
  uint64_t log_size; /* number - 1 */
  struct hf_hash log_root;
  uint8_t key[HF_SIGN_KEY_SIZE];
  struct seal_batch batches[1u << HF_PARTITION_BITS_MAX];
};

/* The whole statement, signed; seal->key is set from the seed. Appended. */
void seal_write(struct seal *seal, const uint8_t seed[HF_SIGN_SEED_SIZE], struct hf_bytes *text);
/* Reads and judges one: NULL, or what is wrong with it (static text). Whether the key is the right
 * one is the caller's to ask. */
MUST_CHECK const char *seal_read(const char *text, size_t size, struct seal *ret_seal);

#endif
