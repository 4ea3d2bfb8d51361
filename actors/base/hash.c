/* hash.c - SHA-256, hex and key randomness.
 *
 * An operation takes half a dozen hashes of one to five blocks. Nettle does them with the
 * processor's SHA instructions where it has them, five times as fast as libsodium's portable code
 * (bench/micro/bench_hash.c); libsodium is for what must take constant time, and for randomness. */
#include "holdfast/hash.h"

#include <nettle/sha2.h>
#include <sodium.h>
#include <string.h>

#include "holdfast/check.h"

_Static_assert(sizeof(struct sha256_ctx) <= sizeof(struct hf_hasher),
               "the opaque state holds Nettle's");
_Static_assert(_Alignof(struct sha256_ctx) <= _Alignof(struct hf_hasher),
               "the opaque state is aligned for Nettle's");
_Static_assert(SHA256_DIGEST_SIZE == HF_HASH_SIZE, "SHA-256 has 32 bytes");

static struct sha256_ctx *state_of(struct hf_hasher *hasher)
{
  return (struct sha256_ctx *)(void *)hasher->opaque;
}

void hf_hasher_init(struct hf_hasher *hasher)
{
  CHECK(hasher != NULL);
  sha256_init(state_of(hasher));
}

void hf_hasher_add(struct hf_hasher *hasher, const void *data, size_t size)
{
  CHECK(data != NULL || size == 0);
  if (size > 0)
    sha256_update(state_of(hasher), size, data);
}

struct hf_hash hf_hasher_end(struct hf_hasher *hasher)
{
  struct hf_hash hash;
  sha256_digest(state_of(hasher), sizeof hash.bytes, hash.bytes);
  return hash;
}

struct hf_hash hf_sha256(const void *data, size_t size)
{
  return hf_sha256_pair(data, size, NULL, 0);
}

struct hf_hash hf_sha256_pair(const void *a, size_t a_size, const void *b, size_t b_size)
{
  struct hf_hasher hasher;
  hf_hasher_init(&hasher);
  hf_hasher_add(&hasher, a, a_size);
  hf_hasher_add(&hasher, b, b_size);
  return hf_hasher_end(&hasher);
}

struct hf_digest hf_digest(const void *data, size_t size)
{
  struct hf_hash hash = hf_sha256(data, size);
  struct hf_digest digest;
  memcpy(digest.bytes, hash.bytes, sizeof digest.bytes);
  return digest;
}

bool hf_digest_equal(const struct hf_digest *a, const struct hf_digest *b)
{
  return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

bool hf_hash_equal(const struct hf_hash *a, const struct hf_hash *b)
{
  return sodium_memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

void hf_hex(const void *data, size_t size, char *out)
{
  static const char digits[] = "0123456789abcdef";
  const uint8_t *bytes = data;
  CHECK(out != NULL);
  for (size_t i = 0; i < size; i++) {
    out[2 * i] = digits[bytes[i] >> 4];
    out[2 * i + 1] = digits[bytes[i] & 15];
  }
  out[2 * size] = '\0';
}

/* 16 for what is no lower-case hex digit. */
static unsigned nibble_of(char c)
{
  if (c >= '0' && c <= '9')
    return (unsigned)(c - '0');
  if (c >= 'a' && c <= 'f')
    return (unsigned)(c - 'a') + 10u;
  return 16u;
}

bool hf_unhex(const char *text, size_t text_size, void *out, size_t size)
{
  uint8_t *bytes = out;
  if (text_size != 2 * size)
    return false;
  for (size_t i = 0; i < text_size; i++) {
    if (nibble_of(text[i]) > 15u)
      return false;
  }
  for (size_t i = 0; i < size; i++)
    bytes[i] = (uint8_t)(nibble_of(text[2 * i]) << 4 | nibble_of(text[2 * i + 1]));
  return true;
}

void hf_random_bytes(void *out, size_t size)
{
  CHECK(sodium_init() >= 0); /* idempotent and safe on every thread */
  randombytes_buf(out, size);
}
