/* link_seal.c - the handshake's proofs and keys, and records. */
#include "adapters/link/link_seal.h"

#include <string.h>

#include "holdfast/check.h"
#include "holdfast/hash.h"

#define PROOFS_AT (SEAL_HELLO_SIZE + SEAL_NONCE_SIZE) /* in the transcript: the server's proof */

static const uint8_t magic[8] = {'H', 'F', 'L', 'I', 'N', 'K', '0', '1'};
static const char context[crypto_kdf_CONTEXTBYTES + 1] = "hf-links";
enum { KEY_OF_CLIENT = 1, KEY_OF_SERVER = 2 }; /* who pushes with it */

static void put_u64(uint8_t *at, uint64_t value)
{
  for (unsigned i = 0; i < 8; i++)
    at[i] = (uint8_t)(value >> (8u * i));
}

static uint64_t get_u64(const uint8_t *at)
{
  uint64_t value = 0;
  for (unsigned i = 0; i < 8; i++)
    value |= (uint64_t)at[i] << (8u * i);
  return value;
}

/* BLAKE2b, keyed with the secret, of a role and the first `size` bytes of what was said. */
static void prove(const struct link_seal *seal, const uint8_t *secret, const char *role,
                  size_t size, uint8_t ret_proof[SEAL_PROOF_SIZE])
{
  crypto_generichash_state state;
  crypto_generichash_init(&state, secret, SEAL_SECRET_SIZE, SEAL_PROOF_SIZE);
  crypto_generichash_update(&state, (const uint8_t *)role, strlen(role) + 1u);
  crypto_generichash_update(&state, seal->said, size);
  crypto_generichash_final(&state, ret_proof, SEAL_PROOF_SIZE);
}

static void key_of(const struct link_seal *seal, const uint8_t *secret, uint64_t who,
                   uint8_t ret_subkey[crypto_secretstream_xchacha20poly1305_KEYBYTES])
{
  uint8_t session_key[crypto_kdf_KEYBYTES];
  _Static_assert(sizeof session_key == SEAL_PROOF_SIZE, "a session's key is made as a proof is");
  prove(seal, secret, "session", sizeof seal->said, session_key);
  crypto_kdf_derive_from_key(ret_subkey, crypto_secretstream_xchacha20poly1305_KEYBYTES, who,
                             context, session_key);
  sodium_memzero(session_key, sizeof session_key);
}

static void push_begin(struct link_seal *seal, const uint8_t *secret, uint64_t who,
                       uint8_t ret_header[SEAL_HEADER_SIZE])
{
  uint8_t key[crypto_secretstream_xchacha20poly1305_KEYBYTES];
  key_of(seal, secret, who, key);
  crypto_secretstream_xchacha20poly1305_init_push(&seal->push, ret_header, key);
  sodium_memzero(key, sizeof key);
}

static bool pull_begin(struct link_seal *seal, const uint8_t *secret, uint64_t who,
                       const uint8_t header[SEAL_HEADER_SIZE])
{
  uint8_t key[crypto_secretstream_xchacha20poly1305_KEYBYTES];
  key_of(seal, secret, who, key);
  const bool good = crypto_secretstream_xchacha20poly1305_init_pull(&seal->pull, header, key) == 0;
  sodium_memzero(key, sizeof key);
  return good;
}

void link_seal_hello(struct link_seal *seal, uint64_t client, uint64_t server,
                     uint8_t ret_hello[SEAL_HELLO_SIZE])
{
  memcpy(ret_hello, magic, sizeof magic);
  put_u64(ret_hello + 8, client);
  put_u64(ret_hello + 16, server);
  hf_random_bytes(ret_hello + 24, SEAL_NONCE_SIZE);
  memcpy(seal->said, ret_hello, SEAL_HELLO_SIZE);
}

bool link_seal_reply(struct link_seal *seal, const uint8_t secret[SEAL_SECRET_SIZE],
                     uint64_t server, const uint8_t hello[SEAL_HELLO_SIZE], uint64_t *ret_client,
                     uint8_t ret_reply[SEAL_REPLY_SIZE])
{
  const uint64_t client = get_u64(hello + 8);
  if (memcmp(hello, magic, sizeof magic) != 0 || client == 0 || client == server ||
      get_u64(hello + 16) != server)
    return false;
  memcpy(seal->said, hello, SEAL_HELLO_SIZE);
  hf_random_bytes(seal->said + SEAL_HELLO_SIZE, SEAL_NONCE_SIZE);
  prove(seal, secret, "server", PROOFS_AT, seal->said + PROOFS_AT);
  memcpy(ret_reply, seal->said + SEAL_HELLO_SIZE, SEAL_REPLY_SIZE);
  *ret_client = client;
  return true;
}

bool link_seal_confirm(struct link_seal *seal, const uint8_t secret[SEAL_SECRET_SIZE],
                       const uint8_t reply[SEAL_REPLY_SIZE], uint8_t ret_confirm[SEAL_CONFIRM_SIZE])
{
  uint8_t proof[SEAL_PROOF_SIZE];
  memcpy(seal->said + SEAL_HELLO_SIZE, reply, SEAL_REPLY_SIZE);
  prove(seal, secret, "server", PROOFS_AT, proof);
  if (sodium_memcmp(proof, seal->said + PROOFS_AT, sizeof proof) != 0)
    return false;
  prove(seal, secret, "client", sizeof seal->said, ret_confirm);
  push_begin(seal, secret, KEY_OF_CLIENT, ret_confirm + SEAL_PROOF_SIZE);
  return true;
}

bool link_seal_accept(struct link_seal *seal, const uint8_t secret[SEAL_SECRET_SIZE],
                      const uint8_t confirm[SEAL_CONFIRM_SIZE],
                      uint8_t ret_accept[SEAL_ACCEPT_SIZE])
{
  uint8_t proof[SEAL_PROOF_SIZE];
  prove(seal, secret, "client", sizeof seal->said, proof);
  if (sodium_memcmp(proof, confirm, sizeof proof) != 0 ||
      !pull_begin(seal, secret, KEY_OF_CLIENT, confirm + SEAL_PROOF_SIZE))
    return false;
  push_begin(seal, secret, KEY_OF_SERVER, ret_accept);
  return true;
}

bool link_seal_accepted(struct link_seal *seal, const uint8_t secret[SEAL_SECRET_SIZE],
                        const uint8_t accept[SEAL_ACCEPT_SIZE])
{
  return pull_begin(seal, secret, KEY_OF_SERVER, accept);
}

/* ---- records --------------------------------------------------------------------------------- */

void link_seal_push(struct link_seal *seal, const void *plain, size_t size, struct hf_bytes *wire)
{
  CHECK(size > 0 && size <= SEAL_RECORD_MAX);
  const size_t sealed = size + SEAL_EXTRA;
  uint8_t *at = hf_bytes_reserve(wire, SEAL_SIZE_SIZE + sealed);
  for (unsigned i = 0; i < SEAL_SIZE_SIZE; i++)
    at[i] = (uint8_t)(sealed >> (8u * i));
  crypto_secretstream_xchacha20poly1305_push(&seal->push, at + SEAL_SIZE_SIZE, NULL, plain, size,
                                             at, SEAL_SIZE_SIZE, 0);
  wire->size += SEAL_SIZE_SIZE + sealed;
}

size_t link_seal_size(const uint8_t *wire, size_t size)
{
  size_t sealed = 0;
  if (size < SEAL_SIZE_SIZE)
    return 0;
  for (unsigned i = 0; i < SEAL_SIZE_SIZE; i++)
    sealed |= (size_t)wire[i] << (8u * i);
  if (sealed <= SEAL_EXTRA || sealed > SEAL_RECORD_MAX + SEAL_EXTRA)
    return SIZE_MAX;
  return SEAL_SIZE_SIZE + sealed;
}

bool link_seal_pull(struct link_seal *seal, const uint8_t *wire, size_t size, uint8_t *plain,
                    size_t *ret_size)
{
  unsigned long long opened = 0;
  uint8_t mark = 0;
  CHECK(size > SEAL_SIZE_SIZE + SEAL_EXTRA && size <= SEAL_WIRE_MAX);
  if (crypto_secretstream_xchacha20poly1305_pull(&seal->pull, plain, &opened, &mark,
                                                 wire + SEAL_SIZE_SIZE, size - SEAL_SIZE_SIZE, wire,
                                                 SEAL_SIZE_SIZE) != 0 ||
      mark != 0)
    return false;
  *ret_size = (size_t)opened;
  return true;
}
