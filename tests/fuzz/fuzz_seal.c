/* fuzz_seal.c - libFuzzer target: the signed statements of seals.
 *
 * Input: which byte to damage and how; then text. Properties: the text alone is no seal, for
 * nobody can sign it. With a key's line and a signature of the target's own it is a seal exactly
 * when writing what was read gives the same text; then any damage to it is seen. */
#include <stdio.h>

#include "actors/seal/seal.h"
#include "tests/fuzz/input.h"

static const uint8_t seed[HF_SIGN_SEED_SIZE] = {1, 2, 3};
static struct seal seal, again_read; /* too large for a stack */

static void put_hex(struct hf_bytes *text, const char *name, const void *data, size_t size)
{
  char hex[2u * HF_SIGNATURE_SIZE + 1u];
  CHECK(2u * size < sizeof hex);
  hf_hex(data, size, hex);
  hf_bytes_put(text, name, strlen(name));
  hf_bytes_put(text, " ", 1);
  hf_bytes_put(text, hex, 2u * size);
  hf_bytes_put(text, "\n", 1);
}

static void check_signed(const char *body, size_t size, size_t at, uint8_t damage)
{
  struct hf_bytes text = {0}, again = {0};
  uint8_t key[HF_SIGN_KEY_SIZE], signature[HF_SIGNATURE_SIZE];
  hf_bytes_put(&text, body, size);
  hf_sign_key(seed, key);
  put_hex(&text, "key", key, sizeof key);
  hf_sign(seed, text.at, text.size, signature);
  put_hex(&text, "signature", signature, sizeof signature);
  char *copy = malloc(text.size); /* of its exact size */
  CHECK(copy != NULL);
  memcpy(copy, text.at, text.size);
  if (seal_read(copy, text.size, &seal) == NULL) {
    CHECK(seal.number > 0 && seal.log_size == seal.number - 1u);
    CHECK(memcmp(seal.key, key, sizeof key) == 0);
    seal_write(&seal, seed, &again);
    CHECK(again.size == text.size && memcmp(again.at, text.at, text.size) == 0);
    if (damage != 0) {
      copy[at % text.size] = (char)((uint8_t)copy[at % text.size] ^ damage);
      CHECK(seal_read(copy, text.size, &again_read) != NULL);
    }
    CHECK(seal_read(copy, text.size - 1u, &again_read) != NULL);
  }
  free(copy);
  hf_bytes_deinit(&again);
  hf_bytes_deinit(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct input input = {data, size};
  size_t at = (size_t)input_u8(&input) << 8;
  at |= input_u8(&input);
  uint8_t damage = input_u8(&input);
  char *text = input_bytes(&input, input.size, &size);
  CHECK(seal_read(text, size, &seal) != NULL);
  check_signed(text, size, at, damage);
  free(text);
  return 0;
}
