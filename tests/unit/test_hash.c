/* test_hash.c - SHA-256 against the published examples, hex, comparisons. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "holdfast/hash.h"

static void assert_hash(struct hf_hash hash, const char *hex)
{
  char text[2 * HF_HASH_SIZE + 1];
  hf_hex(hash.bytes, sizeof hash.bytes, text);
  assert_string_equal(text, hex);
}

/* FIPS 180-4's examples. */
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define TWO_BLOCKS "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
#define MILLION "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"

static void test_sha256_when_given_the_standards_examples_agrees(void **state)
{
  (void)state;
  const char *two_blocks = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
  assert_hash(hf_sha256(NULL, 0), EMPTY);
  assert_hash(hf_sha256("abc", 3), ABC);
  assert_hash(hf_sha256(two_blocks, strlen(two_blocks)), TWO_BLOCKS);
}

static void test_pair_when_split_anywhere_is_the_hash_of_the_whole(void **state)
{
  (void)state;
  const char *text = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
  for (size_t i = 0; i <= strlen(text); i++)
    assert_hash(hf_sha256_pair(text, i, text + i, strlen(text) - i), TWO_BLOCKS);
  assert_hash(hf_sha256_pair(NULL, 0, NULL, 0), EMPTY);
}

static void test_hasher_when_fed_in_pieces_is_the_hash_of_the_whole(void **state)
{
  (void)state;
  char piece[1000];
  memset(piece, 'a', sizeof piece);
  struct hf_hasher hasher;
  hf_hasher_init(&hasher);
  for (unsigned i = 0; i < 1000; i++)
    hf_hasher_add(&hasher, piece, sizeof piece);
  hf_hasher_add(&hasher, NULL, 0);
  assert_hash(hf_hasher_end(&hasher), MILLION);
}

static void test_digest_when_taken_is_the_first_half(void **state)
{
  (void)state;
  struct hf_digest digest = hf_digest("abc", 3);
  char text[2 * HF_DIGEST_SIZE + 1];
  hf_hex(digest.bytes, sizeof digest.bytes, text);
  assert_memory_equal(text, ABC, 2 * HF_DIGEST_SIZE);
}

static void test_equal_when_any_bit_differs_is_false(void **state)
{
  (void)state;
  struct hf_hash hash = hf_sha256("a", 1);
  struct hf_digest digest = hf_digest("a", 1);
  struct hf_hash other_hash = hash;
  struct hf_digest other_digest = digest;
  assert_true(hf_hash_equal(&hash, &other_hash));
  assert_true(hf_digest_equal(&digest, &other_digest));
  for (unsigned bit = 0; bit < 8 * HF_HASH_SIZE; bit++) {
    other_hash.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    assert_false(hf_hash_equal(&hash, &other_hash));
    other_hash = hash;
  }
  for (unsigned bit = 0; bit < 8 * HF_DIGEST_SIZE; bit++) {
    other_digest.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    assert_false(hf_digest_equal(&digest, &other_digest));
    other_digest = digest;
  }
}

static void test_unhex_when_hexed_before_gives_the_bytes(void **state)
{
  (void)state;
  uint8_t bytes[256], back[256];
  char text[2 * sizeof bytes + 1];
  for (unsigned i = 0; i < sizeof bytes; i++)
    bytes[i] = (uint8_t)i;
  hf_hex(bytes, sizeof bytes, text);
  assert_int_equal(strlen(text), 2 * sizeof bytes);
  assert_true(hf_unhex(text, strlen(text), back, sizeof back));
  assert_memory_equal(bytes, back, sizeof bytes);
  hf_hex(bytes, 0, text);
  assert_string_equal(text, "");
}

static void test_unhex_when_malformed_refuses_and_leaves_the_output(void **state)
{
  (void)state;
  static const char *const cases[] = {"",   "a",    "abc",  "abcde", "abcg", "ABCD",
                                      "0x", "ab:c", " abc", "abc ",  "-abc", "abc/"};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    uint8_t out[2] = {1, 2};
    if (hf_unhex(cases[i], strlen(cases[i]), out, sizeof out))
      fail_msg("accepted: %s", cases[i]);
    assert_int_equal(out[0], 1);
    assert_int_equal(out[1], 2);
  }
}

static void test_random_bytes_when_drawn_twice_differ(void **state)
{
  (void)state;
  uint8_t a[32] = {0}, b[32] = {0};
  hf_random_bytes(a, sizeof a);
  hf_random_bytes(b, sizeof b);
  assert_memory_not_equal(a, b, sizeof a);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_sha256_when_given_the_standards_examples_agrees),
    cmocka_unit_test(test_pair_when_split_anywhere_is_the_hash_of_the_whole),
    cmocka_unit_test(test_hasher_when_fed_in_pieces_is_the_hash_of_the_whole),
    cmocka_unit_test(test_digest_when_taken_is_the_first_half),
    cmocka_unit_test(test_equal_when_any_bit_differs_is_false),
    cmocka_unit_test(test_unhex_when_hexed_before_gives_the_bytes),
    cmocka_unit_test(test_unhex_when_malformed_refuses_and_leaves_the_output),
    cmocka_unit_test(test_random_bytes_when_drawn_twice_differ),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
