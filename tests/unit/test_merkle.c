/* test_merkle.c - the tree against the definition of RFC 6962, written down recursively here, and
 * every proof of every small tree: it holds, and nothing else does. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "actors/seal/merkle.h"

#define LEAVES 70u

static struct hf_hash leaf_of(unsigned i)
{
  uint8_t data[2] = {(uint8_t)i, (uint8_t)(i * 7u)};
  return merkle_leaf(data, sizeof data);
}

/* MTH of the RFC over leaves [start, end). */
static struct hf_hash definition(unsigned start, unsigned end)
{
  if (start == end)
    return hf_sha256(NULL, 0);
  if (end - start == 1u)
    return leaf_of(start);
  unsigned k = 1;
  while (2u * k < end - start)
    k *= 2u;
  struct hf_hash left = definition(start, start + k), right = definition(start + k, end);
  uint8_t text[65] = {1};
  memcpy(text + 1, left.bytes, 32);
  memcpy(text + 33, right.bytes, 32);
  return hf_sha256(text, sizeof text);
}

static struct hf_hash root_of(unsigned size)
{
  struct merkle_tree tree = {0};
  for (unsigned i = 0; i < size; i++) {
    struct hf_hash leaf = leaf_of(i);
    merkle_add(&tree, &leaf);
  }
  return merkle_root(&tree);
}

static void test_root_when_any_size_then_as_the_standard_defines_it(void **state)
{
  (void)state;
  for (unsigned size = 0; size <= LEAVES; size++) {
    struct hf_hash root = root_of(size), wanted = definition(0, size);
    assert_memory_equal(root.bytes, wanted.bytes, 32);
  }
}

/* The tree of eight inputs that certificate transparency's own tests use. */
static void test_root_when_the_well_known_inputs_then_the_well_known_root(void **state)
{
  static const char *const inputs[8] = {"",
                                        "00",
                                        "10",
                                        "2021",
                                        "3031",
                                        "40414243",
                                        "5051525354555657",
                                        "606162636465666768696a6b6c6d6e6f"};
  static const char *const roots[8] = {
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};
  struct merkle_tree tree = {0};
  (void)state;
  for (unsigned i = 0; i < 8; i++) {
    uint8_t data[16];
    char text[65];
    size_t size = strlen(inputs[i]) / 2u;
    assert_true(hf_unhex(inputs[i], 2u * size, data, size));
    struct hf_hash leaf = merkle_leaf(data, size);
    merkle_add(&tree, &leaf);
    struct hf_hash root = merkle_root(&tree);
    hf_hex(root.bytes, sizeof root.bytes, text);
    assert_string_equal(text, roots[i]);
  }
}

/* By blocks of four where that can be, else one by one. */
static size_t run(struct merkle_proof *proof, unsigned size, struct hf_hash *hashes)
{
  for (unsigned i = 0; i < size;) {
    struct hf_hash leaf = leaf_of(i), block = definition(i, i + 4u);
    if (i % 4u == 0 && i + 4u <= size && merkle_proof_feed_perfect(proof, &block, 2)) {
      i += 4u;
      continue;
    }
    merkle_proof_feed(proof, &leaf);
    i++;
  }
  size_t count = merkle_proof_end(proof, hashes);
  merkle_proof_free(proof);
  return count;
}

static void test_root_when_added_by_blocks_then_the_same(void **state)
{
  struct merkle_tree tree = {0};
  (void)state;
  for (unsigned size = 0; size < LEAVES; size += 4u) {
    struct hf_hash wanted = definition(0, size), root = merkle_root(&tree);
    assert_memory_equal(root.bytes, wanted.bytes, 32);
    struct hf_hash block = definition(size, size + 4u);
    merkle_add_perfect(&tree, &block, 2);
  }
}

static void test_inclusion_when_any_leaf_of_any_tree_then_it_alone_holds(void **state)
{
  (void)state;
  for (unsigned size = 1; size <= LEAVES; size++) {
    struct hf_hash root = root_of(size);
    for (unsigned index = 0; index < size; index++) {
      struct hf_hash hashes[MERKLE_PROOF_MAX], leaf = leaf_of(index), other = leaf_of(index + 1u);
      size_t count = run(merkle_inclusion_new(index, size), size, hashes);
      assert_true(merkle_inclusion_holds(index, size, &leaf, hashes, count, &root));
      assert_false(merkle_inclusion_holds(index, size, &other, hashes, count, &root));
      assert_false(merkle_inclusion_holds(index, size, &leaf, hashes, count + 1u, &root) &&
                   count < MERKLE_PROOF_MAX);
      if (count > 0) {
        assert_false(merkle_inclusion_holds(index, size, &leaf, hashes, count - 1u, &root));
        assert_false(merkle_inclusion_holds(index ^ 1u, size, &leaf, hashes, count, &root));
        hashes[count - 1u].bytes[31] ^= 1u;
        assert_false(merkle_inclusion_holds(index, size, &leaf, hashes, count, &root));
      }
    }
  }
}

static void test_consistency_when_any_two_trees_then_it_alone_holds(void **state)
{
  (void)state;
  for (unsigned size = 1; size <= LEAVES; size++) {
    struct hf_hash root = root_of(size);
    for (unsigned old_size = 1; old_size <= size; old_size++) {
      struct hf_hash hashes[MERKLE_PROOF_MAX], old_root = root_of(old_size);
      struct hf_hash wrong = merkle_leaf(root.bytes, sizeof root.bytes);
      size_t count = run(merkle_consistency_new(old_size, size), size, hashes);
      assert_true(merkle_consistency_holds(old_size, size, &old_root, &root, hashes, count));
      assert_false(merkle_consistency_holds(old_size, size, &wrong, &root, hashes, count));
      assert_false(merkle_consistency_holds(old_size, size, &old_root, &wrong, hashes, count));
      assert_false(merkle_consistency_holds(0, size, &old_root, &root, hashes, count));
      if (count == 0)
        continue;
      assert_false(merkle_consistency_holds(old_size, size, &old_root, &root, hashes, count - 1u));
      hashes[0].bytes[0] ^= 128u;
      assert_false(merkle_consistency_holds(old_size, size, &old_root, &root, hashes, count));
    }
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_root_when_any_size_then_as_the_standard_defines_it),
    cmocka_unit_test(test_root_when_the_well_known_inputs_then_the_well_known_root),
    cmocka_unit_test(test_root_when_added_by_blocks_then_the_same),
    cmocka_unit_test(test_inclusion_when_any_leaf_of_any_tree_then_it_alone_holds),
    cmocka_unit_test(test_consistency_when_any_two_trees_then_it_alone_holds),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
