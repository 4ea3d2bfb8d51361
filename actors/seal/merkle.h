/* merkle.h - the Merkle tree hash of RFC 6962 section 2.1, and its proofs. Pure; leaves stream by.
 *
 * A tree never needs its leaves at once: it keeps one hash per bit of its size. A proof is planned
 * for a tree size that is known beforehand, is fed every leaf hash in order, and then holds the
 * hashes that the RFC's PATH or PROOF has, in its order. Memory: 2 KiB for each hash of a proof.
 * Limits: trees below 2^63 leaves. */
#ifndef HOLDFAST_MERKLE_H
#define HOLDFAST_MERKLE_H

#include "holdfast/check.h"
#include "holdfast/hash.h"

#define MERKLE_HEIGHT_MAX 63u
#define MERKLE_PROOF_MAX 64u /* hashes of a proof */

struct merkle_tree {
  uint64_t size;
  /* roots[i]: of the perfect subtree of 2^i leaves, while bit i of the size is set */
  struct hf_hash roots[MERKLE_HEIGHT_MAX];
};

/* SHA-256(0x00, data): what a tree is made of. */
struct hf_hash merkle_leaf(const void *data, size_t size);
void merkle_add(struct merkle_tree *tree, const struct hf_hash *leaf); /* a zeroed tree is empty */
/* The next 2^height leaves at once, by their root; the size so far is a multiple of 2^height. */
void merkle_add_perfect(struct merkle_tree *tree, const struct hf_hash *root, unsigned height);
/* Of an empty tree: SHA-256 of nothing, as the RFC has it. */
struct hf_hash merkle_root(const struct merkle_tree *tree);

struct merkle_proof;
/* That the leaf of `index` is in the tree of `size` leaves; index < size. */
struct merkle_proof *merkle_inclusion_new(uint64_t index, uint64_t size);
/* That the tree of `size` leaves begins with that of `old_size`; 0 < old_size <= size. */
struct merkle_proof *merkle_consistency_new(uint64_t old_size, uint64_t size);
void merkle_proof_free(struct merkle_proof *proof);
/* All `size` leaf hashes, in order. */
void merkle_proof_feed(struct merkle_proof *proof, const struct hf_hash *leaf);
/* Or 2^height of them at once, which start at a multiple of that, by their root; not those around
 * the leaf or the end that the proof is about: false, nothing was taken, feed those one by one. */
MUST_CHECK bool merkle_proof_feed_perfect(struct merkle_proof *proof, const struct hf_hash *root,
                                          unsigned height);
/* How many hashes it has, into `ret_hashes`. CHECKs that all leaves were fed. */
size_t merkle_proof_end(const struct merkle_proof *proof,
                        struct hf_hash ret_hashes[MERKLE_PROOF_MAX]);

/* RFC 9162 sections 2.1.3.2 and 2.1.4.2; everything may be hostile. */
bool merkle_inclusion_holds(uint64_t index, uint64_t size, const struct hf_hash *leaf,
                            const struct hf_hash *hashes, size_t count, const struct hf_hash *root);
bool merkle_consistency_holds(uint64_t old_size, uint64_t size, const struct hf_hash *old_root,
                              const struct hf_hash *root, const struct hf_hash *hashes,
                              size_t count);

#endif
