/* link_seal.h - who is at the other end of a link, and what keeps its bytes secret and whole.
 *
 * Handshake, client to server and back (sizes fixed, integers little-endian):
 *   hello    magic 8 | client's node 8 | server's node 8 | nonce 32
 *   reply    nonce 32 | server's proof 32
 *   confirm  client's proof 32 | header 24
 *   accept   header 24
 * A proof is BLAKE2b, keyed with the cluster's secret, of its role and all that was said so far; so
 * it is worth nothing in another handshake, to another node or in the other direction. A key of the
 * session, made likewise, gives one key per direction (crypto_kdf). Then each direction is a
 * stream of records, sealed by crypto_secretstream_xchacha20poly1305 with their sizes:
 *   record   size of what follows 4 | sealed bytes
 * A record that was changed, left out, repeated or moved does not open.
 * Pure but for the nonces and headers, which are random. One owner. */
#ifndef HOLDFAST_LINK_SEAL_H
#define HOLDFAST_LINK_SEAL_H

#include <sodium.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "holdfast/bytes.h"

#define SEAL_SECRET_SIZE 32u
#define SEAL_NONCE_SIZE 32u
#define SEAL_PROOF_SIZE 32u
#define SEAL_HEADER_SIZE crypto_secretstream_xchacha20poly1305_HEADERBYTES
#define SEAL_HELLO_SIZE (24u + SEAL_NONCE_SIZE)
#define SEAL_REPLY_SIZE (SEAL_NONCE_SIZE + SEAL_PROOF_SIZE)
#define SEAL_CONFIRM_SIZE (SEAL_PROOF_SIZE + SEAL_HEADER_SIZE)
#define SEAL_ACCEPT_SIZE SEAL_HEADER_SIZE
#define SEAL_RECORD_MAX 65536u /* plain bytes of a record */
#define SEAL_SIZE_SIZE 4u
#define SEAL_EXTRA crypto_secretstream_xchacha20poly1305_ABYTES
#define SEAL_WIRE_MAX (SEAL_SIZE_SIZE + SEAL_RECORD_MAX + SEAL_EXTRA)

struct link_seal {
  uint8_t said[SEAL_HELLO_SIZE + SEAL_REPLY_SIZE]; /* the transcript */
  crypto_secretstream_xchacha20poly1305_state push, pull;
};

/* Client: writes a hello. */
void link_seal_hello(struct link_seal *seal, uint64_t client, uint64_t server,
                     uint8_t ret_hello[SEAL_HELLO_SIZE]);
/* Server: false when the hello is not one to this node of another one; else its reply. */
bool link_seal_reply(struct link_seal *seal, const uint8_t secret[SEAL_SECRET_SIZE],
                     uint64_t server, const uint8_t hello[SEAL_HELLO_SIZE], uint64_t *ret_client,
                     uint8_t ret_reply[SEAL_REPLY_SIZE]);
/* Client: false when the server does not know the secret. Afterwards it may push. */
bool link_seal_confirm(struct link_seal *seal, const uint8_t secret[SEAL_SECRET_SIZE],
                       const uint8_t reply[SEAL_REPLY_SIZE],
                       uint8_t ret_confirm[SEAL_CONFIRM_SIZE]);
/* Server: false when the client does not know the secret. Afterwards it may push and pull. */
bool link_seal_accept(struct link_seal *seal, const uint8_t secret[SEAL_SECRET_SIZE],
                      const uint8_t confirm[SEAL_CONFIRM_SIZE],
                      uint8_t ret_accept[SEAL_ACCEPT_SIZE]);
/* Client: afterwards it may pull. */
bool link_seal_accepted(struct link_seal *seal, const uint8_t secret[SEAL_SECRET_SIZE],
                        const uint8_t accept[SEAL_ACCEPT_SIZE]);

/* Appends a record of 1 .. SEAL_RECORD_MAX plain bytes. */
void link_seal_push(struct link_seal *seal, const void *plain, size_t size, struct hf_bytes *wire);
/* The size of the record that begins at `wire`; 0: that has not all come; SIZE_MAX: it is none. */
size_t link_seal_size(const uint8_t *wire, size_t size);
/* Opens a whole record into `plain`, which has room for SEAL_RECORD_MAX. */
bool link_seal_pull(struct link_seal *seal, const uint8_t *wire, size_t size, uint8_t *plain,
                    size_t *ret_size);

#endif
