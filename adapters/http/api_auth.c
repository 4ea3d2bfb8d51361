#include "api_auth.h"

#include <string.h>
#include <strings.h>

#include <sodium.h>

#include "holdfast/check.h"
#include "holdfast/rt.h"

static const char letters[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
#define LETTERS_LOWER 36u
#define LETTERS_ALL 62u

static bool is_lower_or_digit(char c)
{
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool api_key_id_valid(const char *text, size_t size)
{
  if (size < API_KEY_ID_MIN || size > HF_KEY_ID_MAX)
    return false;
  for (size_t i = 0; i < size; i++) {
    if (!is_lower_or_digit(text[i]))
      return false;
  }
  return true;
}

bool api_key_parse(const char *text, size_t size, struct api_key *ret_key)
{
  if (size < 4 || memcmp(text, "hfk_", 4) != 0)
    return false;
  const char *id = text + 4;
  const char *end = text + size;
  const char *line = memchr(id, '_', (size_t)(end - id));
  if (line == NULL || !api_key_id_valid(id, (size_t)(line - id)))
    return false;
  const char *secret = line + 1;
  const size_t secret_size = (size_t)(end - secret);
  if (secret_size < API_KEY_SECRET_MIN || secret_size > API_KEY_SECRET_MAX)
    return false;
  for (size_t i = 0; i < secret_size; i++) {
    if (!is_lower_or_digit(secret[i]) && !(secret[i] >= 'A' && secret[i] <= 'Z'))
      return false;
  }
  ret_key->id = (struct http_slice){id, (size_t)(line - id)};
  ret_key->secret = (struct http_slice){secret, secret_size};
  return true;
}

bool api_key_of_header(struct http_slice authorization, struct api_key *ret_key)
{
  if (authorization.size < 7 || strncasecmp(authorization.at, "Bearer ", 7) != 0)
    return false;
  return api_key_parse(authorization.at + 7, authorization.size - 7, ret_key);
}

static void random_text(char *out, size_t size, uint32_t alphabet)
{
  for (size_t i = 0; i < size; i++)
    out[i] = letters[randombytes_uniform(alphabet)];
  out[size] = '\0';
}

void api_key_secret(char out[API_KEY_SECRET_SIZE + 1])
{
  random_text(out, API_KEY_SECRET_SIZE, LETTERS_ALL);
}

void api_key_id(char out[API_KEY_ID_SIZE + 1])
{
  random_text(out, API_KEY_ID_SIZE, LETTERS_LOWER);
}

/* ---- cache ----------------------------------------------------------------------------------- */

struct slot {
  uint16_t size; /* of text; 0: empty */
  char text[API_KEY_TEXT_MAX];
  struct hf_hash secret; /* that the text's secret hashes to */
};

struct api_auth {
  struct api_admin_key admin;
  uint8_t hash_key[crypto_shorthash_KEYBYTES];
  struct slot slots[API_AUTH_SLOTS]; /* a newer key takes an older one's place */
};

struct api_auth *api_auth_new(const struct api_admin_key *admin)
{
  struct api_auth *auth = rt_alloc(sizeof *auth);
  auth->admin = *admin;
  hf_random_bytes(auth->hash_key, sizeof auth->hash_key);
  return auth;
}

void api_auth_free(struct api_auth *auth)
{
  if (auth == NULL)
    return;
  sodium_memzero(auth, sizeof *auth);
  rt_free(auth);
}

static bool secret_known(const struct api_auth *auth, const struct api_key *key,
                         const struct hf_hash *secret, api_key_lookup lookup,
                         const void *lookup_arg, struct api_caller *ret_caller)
{
  if (auth->admin.given && strlen(auth->admin.id) == key->id.size &&
      memcmp(auth->admin.id, key->id.at, key->id.size) == 0 &&
      hf_hash_equal(&auth->admin.secret, secret)) {
    ret_caller->scopes = HF_SCOPE_ADMIN;
  } else {
    const struct store_key_row *row = lookup(lookup_arg, key->id.at, key->id.size);
    if (row == NULL || row->revoked_us != 0 || !hf_hash_equal(&row->secret, secret))
      return false;
    ret_caller->scopes = row->scopes;
  }
  memcpy(ret_caller->id, key->id.at, key->id.size);
  ret_caller->id[key->id.size] = '\0';
  return true;
}

bool api_auth_check(struct api_auth *auth, struct http_slice authorization, api_key_lookup lookup,
                    const void *lookup_arg, struct api_caller *ret_caller)
{
  struct api_key key;
  if (!api_key_of_header(authorization, &key))
    return false;
  const char *text = key.id.at - 4;
  const size_t size = (size_t)(key.secret.at + key.secret.size - text);
  CHECK(size < API_KEY_TEXT_MAX);

  uint64_t hash;
  _Static_assert(sizeof hash == crypto_shorthash_BYTES, "SipHash gives 64 bits");
  crypto_shorthash((unsigned char *)&hash, (const unsigned char *)text, size, auth->hash_key);
  struct slot *slot = &auth->slots[hash % API_AUTH_SLOTS];
  if (slot->size == size && sodium_memcmp(slot->text, text, size) == 0)
    return secret_known(auth, &key, &slot->secret, lookup, lookup_arg, ret_caller);

  const struct hf_hash secret = hf_sha256(key.secret.at, key.secret.size);
  if (!secret_known(auth, &key, &secret, lookup, lookup_arg, ret_caller))
    return false;
  /* Only what was accepted is kept, so that guessing cannot push it out. */
  slot->size = (uint16_t)size;
  memcpy(slot->text, text, size);
  slot->secret = secret;
  return true;
}

bool api_auth_allows(const struct api_caller *caller, uint32_t scopes)
{
  return scopes == 0 || (caller->scopes & (scopes | HF_SCOPE_ADMIN)) != 0;
}
