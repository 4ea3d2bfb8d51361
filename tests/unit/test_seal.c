/* test_seal.c - leaves and statements: they come back as they were, and no changed byte does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "actors/seal/seal.h"

static struct seal *example(void)
{
  struct seal *seal = calloc(1, sizeof *seal);
  assert_non_null(seal);
  *seal = (struct seal){.number = 12,
                        .time_us = 1795251600123456,
                        .partition_bits = 2,
                        .users_count = 1000000,
                        .log_size = 11};
  seal->users_root = hf_sha256("users", 5);
  seal->log_root = hf_sha256("log", 3);
  for (unsigned i = 0; i < 3; i++)
    seal->batches[i] = (struct seal_batch){.number = i + 7u, .hash = hf_sha256(&i, sizeof i)};
  return seal;
}

static void test_read_when_written_then_the_same(void **state)
{
  struct seal *seal = example(), *read = calloc(1, sizeof *read);
  struct hf_bytes text = {0};
  uint8_t seed[HF_SIGN_SEED_SIZE] = {1, 2, 3};
  (void)state;
  seal_write(seal, seed, &text);
  assert_null(seal_read((const char *)text.at, text.size, read));
  assert_memory_equal(read, seal, sizeof *seal);
  hf_bytes_deinit(&text);
  free(seal);
  free(read);
}

static void test_read_when_any_byte_is_changed_or_cut_then_refused(void **state)
{
  struct seal *seal = example(), *read = calloc(1, sizeof *read);
  struct hf_bytes text = {0};
  uint8_t seed[HF_SIGN_SEED_SIZE] = {1, 2, 3};
  (void)state;
  seal_write(seal, seed, &text);
  for (size_t i = 0; i < text.size; i++) {
    for (unsigned bit = 0; bit < 8; bit++) {
      text.at[i] ^= (uint8_t)(1u << bit);
      assert_non_null(seal_read((const char *)text.at, text.size, read));
      text.at[i] ^= (uint8_t)(1u << bit);
    }
    assert_non_null(seal_read((const char *)text.at, i, read));
  }
  hf_bytes_put(&text, "\n", 1);
  assert_non_null(seal_read((const char *)text.at, text.size, read));
  hf_bytes_deinit(&text);
  free(seal);
  free(read);
}

static void test_leaf_when_encoded_then_decodes_to_the_same_and_no_prefix_does(void **state)
{
  struct ledger_asset assets[2] = {{.asset = 1, .version = 9}, {.asset = 4, .version = 7}};
  struct seal_user user = {.id = 27, .version = 9, .assets_count = 2, .assets = assets}, read;
  struct hf_bytes bytes = {0};
  struct hf_arena arena = {0};
  (void)state;
  user.head = hf_sha256("head", 4);
  assets[0].balance.bucket[LEDGER_CLAIMABLE] = HF_AMOUNT_MAX;
  assets[1].balance.bucket[LEDGER_DEBT] = 3;
  assets[1].balance.spent_total = HF_AMOUNT_MIN;
  seal_leaf_encode(&user, &bytes);
  assert_true(seal_leaf_decode(bytes.at, bytes.size, &arena, &read));
  assert_int_equal(read.id, 27);
  assert_int_equal(read.version, 9);
  assert_memory_equal(read.head.bytes, user.head.bytes, 32);
  assert_int_equal(read.assets_count, 2);
  assert_memory_equal(read.assets, assets, sizeof assets);
  for (size_t i = 0; i < bytes.size; i++)
    assert_false(seal_leaf_decode(bytes.at, i, &arena, &read));
  hf_arena_free(&arena);
  hf_bytes_deinit(&bytes);
}

static void test_sign_when_the_standards_first_example_then_its_signature(void **state)
{
  /* RFC 8032 section 7.1, test 1: an empty message. */
  static const char seed_hex[] = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
  static const char key_hex[] = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
  static const char signature_hex[] =
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9"
    "b46bd25bf5f0595bbe24655141438e7a100b";
  uint8_t seed[32], key[32], signature[64], wanted[64];
  (void)state;
  assert_true(hf_unhex(seed_hex, 64, seed, 32));
  assert_true(hf_unhex(key_hex, 64, wanted, 32));
  hf_sign_key(seed, key);
  assert_memory_equal(key, wanted, 32);
  assert_true(hf_unhex(signature_hex, 128, wanted, 64));
  hf_sign(seed, "", 0, signature);
  assert_memory_equal(signature, wanted, 64);
  assert_true(hf_sign_holds(key, "", 0, signature));
  assert_false(hf_sign_holds(key, "x", 1, signature));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_read_when_written_then_the_same),
    cmocka_unit_test(test_read_when_any_byte_is_changed_or_cut_then_refused),
    cmocka_unit_test(test_leaf_when_encoded_then_decodes_to_the_same_and_no_prefix_does),
    cmocka_unit_test(test_sign_when_the_standards_first_example_then_its_signature),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
