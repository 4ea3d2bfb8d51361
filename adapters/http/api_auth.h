/* api_auth.h - service keys: reading the Authorization field, and who may do what.
 *
 * Owner: a cache belongs to one loop. Untrusted input.
 * A key is "hfk_<id>_<secret>". The server keeps SHA-256(secret) only; the secret is random, so no
 * slow hash is needed. A cache of accepted header values saves that hash on each request: looked up
 * by keyed SipHash, compared whole and in constant time, and checked against the catalog's row each
 * time, so that a revoked key is refused from the moment on that the catalog learns of it. */
#ifndef HOLDFAST_API_AUTH_H
#define HOLDFAST_API_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "actors/store/port.h"
#include "adapters/http/http.h"
#include "holdfast/hash.h"

#define API_KEY_ID_MIN 4u
#define API_KEY_SECRET_MIN 32u
#define API_KEY_SECRET_MAX 128u
/* "hfk_", id, "_", secret, NUL */
#define API_KEY_TEXT_MAX (4u + HF_KEY_ID_MAX + 1u + API_KEY_SECRET_MAX + 1u)
#define API_AUTH_SLOTS 1024u

struct api_key { /* a key as text; slices of what was parsed */
  struct http_slice id, secret;
};
/* "hfk_<id>_<secret>", and nothing else. */
bool api_key_parse(const char *text, size_t size, struct api_key *ret_key);
/* The same behind "Bearer " (RFC 6750 section 2.1; the scheme in any case). */
bool api_key_of_header(struct http_slice authorization, struct api_key *ret_key);
bool api_key_id_valid(const char *text, size_t size);
/* Makes a random secret of 43 characters (256 bits), terminated. */
#define API_KEY_SECRET_SIZE 43u
void api_key_secret(char out[API_KEY_SECRET_SIZE + 1]);
/* A random id of 12 characters. */
#define API_KEY_ID_SIZE 12u
void api_key_id(char out[API_KEY_ID_SIZE + 1]);

struct api_admin_key { /* of the environment: admin for this process, on any database */
  bool given;
  char id[HF_KEY_ID_MAX + 1];
  struct hf_hash secret; /* SHA-256 */
};

struct api_caller { /* who asks */
  char id[HF_KEY_ID_MAX + 1];
  uint32_t scopes; /* of enum hf_scope */
};

/* The catalog's row of a service key; NULL when there is none. */
typedef const struct store_key_row *(*api_key_lookup)(const void *arg, const char *id, size_t size);

struct api_auth;
struct api_auth *api_auth_new(const struct api_admin_key *admin);
void api_auth_free(struct api_auth *auth);
/* False: nobody that we know. Costs a hash the first time, a table lookup afterwards. */
bool api_auth_check(struct api_auth *auth, struct http_slice authorization, api_key_lookup lookup,
                    const void *lookup_arg, struct api_caller *ret_caller);
/* Any one of `scopes`, or admin; 0: everybody. */
bool api_auth_allows(const struct api_caller *caller, uint32_t scopes);

#endif
