/* fuzz_leaf.c - libFuzzer target: leaves of seals.
 *
 * Input: the bytes of a leaf. Properties: what is decoded encodes to the same bytes; assets
 * ascend. */
#include "actors/seal/seal.h"
#include "tests/fuzz/input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct hf_arena arena = {0};
  struct hf_bytes again = {0};
  struct seal_user user;
  if (seal_leaf_decode(data, size, &arena, &user)) {
    CHECK(user.assets_count <= LEDGER_ASSETS_MAX);
    for (size_t i = 1; i < user.assets_count; i++)
      CHECK(user.assets[i].asset > user.assets[i - 1u].asset);
    seal_leaf_encode(&user, &again);
    CHECK(again.size == size && memcmp(again.at, data, size) == 0);
  }
  hf_bytes_deinit(&again);
  hf_arena_free(&arena);
  return 0;
}
