/* sign.c - Ed25519 over libsodium. */
#include "holdfast/sign.h"

#include <sodium.h>

#include "holdfast/check.h"

_Static_assert(crypto_sign_SEEDBYTES == HF_SIGN_SEED_SIZE, "a seed has 32 bytes");
_Static_assert(crypto_sign_PUBLICKEYBYTES == HF_SIGN_KEY_SIZE, "a key has 32 bytes");
_Static_assert(crypto_sign_BYTES == HF_SIGNATURE_SIZE, "a signature has 64 bytes");

void hf_sign_key(const uint8_t seed[HF_SIGN_SEED_SIZE], uint8_t ret_key[HF_SIGN_KEY_SIZE])
{
  uint8_t secret[crypto_sign_SECRETKEYBYTES];
  int failed = crypto_sign_seed_keypair(ret_key, secret, seed);
  CHECK(failed == 0);
  sodium_memzero(secret, sizeof secret);
}

void hf_sign(const uint8_t seed[HF_SIGN_SEED_SIZE], const void *message, size_t size,
             uint8_t ret_signature[HF_SIGNATURE_SIZE])
{
  uint8_t secret[crypto_sign_SECRETKEYBYTES], key[HF_SIGN_KEY_SIZE];
  int failed = crypto_sign_seed_keypair(key, secret, seed);
  CHECK(failed == 0);
  failed = crypto_sign_detached(ret_signature, NULL, message, size, secret);
  CHECK(failed == 0);
  sodium_memzero(secret, sizeof secret);
}

bool hf_sign_holds(const uint8_t key[HF_SIGN_KEY_SIZE], const void *message, size_t size,
                   const uint8_t signature[HF_SIGNATURE_SIZE])
{
  return crypto_sign_verify_detached(signature, message, size, key) == 0;
}
