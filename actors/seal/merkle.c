/* See merkle.h. */
#include "actors/seal/merkle.h"

#include "holdfast/rt.h"

static struct hf_hash parent(const struct hf_hash *left, const struct hf_hash *right)
{
  static const uint8_t prefix = 0x01;
  struct hf_hasher hasher;
  hf_hasher_init(&hasher);
  hf_hasher_add(&hasher, &prefix, 1);
  hf_hasher_add(&hasher, left->bytes, sizeof left->bytes);
  hf_hasher_add(&hasher, right->bytes, sizeof right->bytes);
  return hf_hasher_end(&hasher);
}

struct hf_hash merkle_leaf(const void *data, size_t size)
{
  static const uint8_t prefix = 0x00;
  return hf_sha256_pair(&prefix, 1, data, size);
}

/* Adding is a carry through the bits of the size. */
void merkle_add_perfect(struct merkle_tree *tree, const struct hf_hash *root, unsigned height)
{
  struct hf_hash sum = *root;
  unsigned at = height;
  CHECK(height < MERKLE_HEIGHT_MAX && (tree->size & ((1ull << height) - 1u)) == 0);
  for (; (tree->size >> at & 1u) != 0; at++)
    sum = parent(&tree->roots[at], &sum);
  CHECK(at < MERKLE_HEIGHT_MAX);
  tree->roots[at] = sum;
  tree->size += 1ull << height;
}

void merkle_add(struct merkle_tree *tree, const struct hf_hash *leaf)
{
  merkle_add_perfect(tree, leaf, 0);
}

struct hf_hash merkle_root(const struct merkle_tree *tree)
{
  struct hf_hash root = {{0}};
  bool some = false;
  if (tree->size == 0)
    return hf_sha256(NULL, 0);
  for (unsigned height = 0; height < MERKLE_HEIGHT_MAX; height++) {
    if ((tree->size >> height & 1u) == 0)
      continue;
    root = some ? parent(&tree->roots[height], &root) : tree->roots[height];
    some = true;
  }
  return root;
}

/* ---- proofs: the roots of some disjoint ranges of leaves ------------------------------------- */

struct range {
  uint64_t start, end; /* [start, end) */
  struct merkle_tree tree;
};

struct merkle_proof {
  uint64_t size, fed;
  size_t count;
  struct range ranges[MERKLE_PROOF_MAX]; /* in the order of the proof */
};

static void proof_add(struct merkle_proof *proof, uint64_t start, uint64_t end)
{
  CHECK(proof->count < MERKLE_PROOF_MAX && start < end);
  proof->ranges[proof->count++] = (struct range){.start = start, .end = end};
}

static void proof_reverse(struct merkle_proof *proof)
{
  for (size_t i = 0; i + 1u < proof->count - i; i++) {
    struct range swap = proof->ranges[i];
    proof->ranges[i] = proof->ranges[proof->count - 1u - i];
    proof->ranges[proof->count - 1u - i] = swap;
  }
}

/* The largest power of two below `size`, which is at least 2. */
static uint64_t split_of(uint64_t size)
{
  uint64_t split = 1;
  while (split < size - split)
    split *= 2u;
  return split;
}

static struct merkle_proof *proof_new(uint64_t size)
{
  struct merkle_proof *proof = rt_alloc(sizeof *proof);
  CHECK(size < 1ull << MERKLE_HEIGHT_MAX);
  proof->size = size;
  return proof;
}

/* From the root down to the leaf the other half of each split; the RFC lists them upwards. */
struct merkle_proof *merkle_inclusion_new(uint64_t index, uint64_t size)
{
  struct merkle_proof *proof = proof_new(size);
  uint64_t start = 0, end = size;
  CHECK(index < size);
  while (end - start > 1u) {
    uint64_t middle = start + split_of(end - start);
    if (index < middle) {
      proof_add(proof, middle, end);
      end = middle;
    } else {
      proof_add(proof, start, middle);
      start = middle;
    }
  }
  if (proof->count > 0)
    proof_reverse(proof);
  return proof;
}

/* SUBPROOF of the RFC: down along the old tree's end, until a range is all old. The verifier knows
 * that last one when it is the whole old tree. */
struct merkle_proof *merkle_consistency_new(uint64_t old_size, uint64_t size)
{
  struct merkle_proof *proof = proof_new(size);
  uint64_t start = 0, end = size;
  CHECK(old_size > 0 && old_size <= size);
  while (end > old_size) {
    uint64_t middle = start + split_of(end - start);
    if (old_size <= middle) {
      proof_add(proof, middle, end);
      end = middle;
    } else {
      proof_add(proof, start, middle);
      start = middle;
    }
  }
  if (start > 0)
    proof_add(proof, start, end);
  if (proof->count > 0)
    proof_reverse(proof);
  return proof;
}

void merkle_proof_free(struct merkle_proof *proof)
{
  rt_free(proof);
}

/* The leaf of an inclusion, and what a consistency leaves out, is in no range. */
bool merkle_proof_feed_perfect(struct merkle_proof *proof, const struct hf_hash *root,
                               unsigned height)
{
  uint64_t start = proof->fed, end = start + (1ull << height);
  CHECK(height < MERKLE_HEIGHT_MAX && (start & ((1ull << height) - 1u)) == 0);
  CHECK(end <= proof->size);
  for (size_t i = 0; i < proof->count; i++) {
    struct range *range = &proof->ranges[i];
    if (start >= range->start && end <= range->end) {
      merkle_add_perfect(&range->tree, root, height);
      proof->fed = end;
      return true;
    }
  }
  return false;
}

void merkle_proof_feed(struct merkle_proof *proof, const struct hf_hash *leaf)
{
  CHECK(proof->fed < proof->size);
  if (!merkle_proof_feed_perfect(proof, leaf, 0))
    proof->fed++;
}

size_t merkle_proof_end(const struct merkle_proof *proof,
                        struct hf_hash ret_hashes[MERKLE_PROOF_MAX])
{
  CHECK(proof->fed == proof->size);
  for (size_t i = 0; i < proof->count; i++)
    ret_hashes[i] = merkle_root(&proof->ranges[i].tree);
  return proof->count;
}

/* ---- verifying ------------------------------------------------------------------------------- */

bool merkle_inclusion_holds(uint64_t index, uint64_t size, const struct hf_hash *leaf,
                            const struct hf_hash *hashes, size_t count, const struct hf_hash *root)
{
  if (index >= size || count > MERKLE_PROOF_MAX)
    return false;
  uint64_t node = index, last = size - 1u;
  struct hf_hash hash = *leaf;
  for (size_t i = 0; i < count; i++) {
    if (last == 0)
      return false;
    if ((node & 1u) != 0 || node == last) {
      hash = parent(&hashes[i], &hash);
      while ((node & 1u) == 0 && node != 0) { /* a right edge without siblings for some levels */
        node >>= 1;
        last >>= 1;
      }
    } else {
      hash = parent(&hash, &hashes[i]);
    }
    node >>= 1;
    last >>= 1;
  }
  return last == 0 && hf_hash_equal(&hash, root);
}

bool merkle_consistency_holds(uint64_t old_size, uint64_t size, const struct hf_hash *old_root,
                              const struct hf_hash *root, const struct hf_hash *hashes,
                              size_t count)
{
  if (old_size == 0 || old_size > size || count > MERKLE_PROOF_MAX)
    return false;
  if (old_size == size)
    return count == 0 && hf_hash_equal(old_root, root);
  size_t next = 0;
  struct hf_hash first = *old_root; /* the whole old tree is a subtree: the proof leaves it out */
  if ((old_size & (old_size - 1u)) != 0) {
    if (count == 0)
      return false;
    first = hashes[next++];
  }
  struct hf_hash old_hash = first, hash = first;
  uint64_t node = old_size - 1u, last = size - 1u;
  for (; (node & 1u) != 0; node >>= 1)
    last >>= 1;
  for (; next < count; next++) {
    if (last == 0)
      return false;
    if ((node & 1u) != 0 || node == last) {
      old_hash = parent(&hashes[next], &old_hash);
      hash = parent(&hashes[next], &hash);
      while ((node & 1u) == 0 && node != 0) {
        node >>= 1;
        last >>= 1;
      }
    } else {
      hash = parent(&hash, &hashes[next]);
    }
    node >>= 1;
    last >>= 1;
  }
  return last == 0 && hf_hash_equal(&old_hash, old_root) && hf_hash_equal(&hash, root);
}
