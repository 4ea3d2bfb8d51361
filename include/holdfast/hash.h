/* hash.h - SHA-256 (FIPS 180-4) and what is built of it here. Pure.
 *
 * Nettle and libsodium do the work; this header keeps them out of everything else. */
#ifndef HOLDFAST_HASH_H
#define HOLDFAST_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HF_HASH_SIZE 32u
#define HF_DIGEST_SIZE 16u /* a truncated SHA-256: idempotency keys, canonical requests */

struct hf_hash {
  uint8_t bytes[HF_HASH_SIZE];
};
struct hf_digest {
  uint8_t bytes[HF_DIGEST_SIZE];
};

struct hf_hash hf_sha256(const void *data, size_t size);
/* SHA-256 over a then b, as one message. */
struct hf_hash hf_sha256_pair(const void *a, size_t a_size, const void *b, size_t b_size);
struct hf_digest hf_digest(const void *data, size_t size);
/* Incremental; state is opaque and lives on the caller's stack. */
struct hf_hasher {
  _Alignas(8) uint8_t opaque[128];
};
void hf_hasher_init(struct hf_hasher *hasher);
void hf_hasher_add(struct hf_hasher *hasher, const void *data, size_t size);
struct hf_hash hf_hasher_end(struct hf_hasher *hasher);

bool hf_digest_equal(const struct hf_digest *a, const struct hf_digest *b);
bool hf_hash_equal(const struct hf_hash *a, const struct hf_hash *b); /* constant time */
/* Lower-case hex, NUL-terminated; out holds 2 * size + 1. */
void hf_hex(const void *data, size_t size, char *out);
/* Exactly 2 * size lower-case digits; false otherwise, `out` untouched. */
bool hf_unhex(const char *text, size_t text_size, void *out, size_t size);
/* Cryptographic randomness for keys and salts; not for actors (they use rt_rand). */
void hf_random_bytes(void *out, size_t size);

#endif
