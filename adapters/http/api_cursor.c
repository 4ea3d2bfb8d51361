#include "api_cursor.h"

#include <string.h>

#include <sodium.h>

#include "holdfast/check.h"

#define MAC_SIZE 16u

struct cursor {
  uint8_t position[8]; /* big-endian */
  uint8_t mac[MAC_SIZE];
};
_Static_assert(sizeof(struct cursor) == 24, "a cursor has no padding, in memory or in base64");
_Static_assert(MAC_SIZE >= crypto_generichash_BYTES_MIN, "BLAKE2b's smallest output");

static void seal(const uint8_t key[API_CURSOR_KEY_SIZE], const void *query, size_t query_size,
                 struct cursor *cursor)
{
  crypto_generichash_state state;
  CHECK(crypto_generichash_init(&state, key, API_CURSOR_KEY_SIZE, MAC_SIZE) == 0);
  CHECK(crypto_generichash_update(&state, cursor->position, sizeof cursor->position) == 0);
  CHECK(crypto_generichash_update(&state, query, query_size) == 0);
  CHECK(crypto_generichash_final(&state, cursor->mac, MAC_SIZE) == 0);
}

void api_cursor_make(const uint8_t key[API_CURSOR_KEY_SIZE], const void *query, size_t query_size,
                     uint64_t position, char out[API_CURSOR_TEXT_MAX])
{
  struct cursor cursor;
  for (unsigned i = 0; i < 8; i++)
    cursor.position[i] = (uint8_t)(position >> (56 - 8 * i));
  seal(key, query, query_size, &cursor);
  sodium_bin2base64(out, API_CURSOR_TEXT_MAX, (const unsigned char *)&cursor, sizeof cursor,
                    sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

bool api_cursor_read(const uint8_t key[API_CURSOR_KEY_SIZE], const void *query, size_t query_size,
                     const char *text, size_t size, uint64_t *ret_position)
{
  struct cursor given, sealed;
  char again[API_CURSOR_TEXT_MAX];
  size_t decoded = 0;
  if (size != API_CURSOR_TEXT_MAX - 1 ||
      sodium_base642bin((unsigned char *)&given, sizeof given, text, size, NULL, &decoded, NULL,
                        sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0 ||
      decoded != sizeof given)
    return false;
  /* The decoder takes some bytes above 127 for characters of the alphabet. */
  sodium_bin2base64(again, sizeof again, (const unsigned char *)&given, sizeof given,
                    sodium_base64_VARIANT_URLSAFE_NO_PADDING);
  if (memcmp(again, text, size) != 0)
    return false;
  memcpy(sealed.position, given.position, sizeof sealed.position);
  seal(key, query, query_size, &sealed);
  if (sodium_memcmp(given.mac, sealed.mac, MAC_SIZE) != 0)
    return false;
  uint64_t position = 0;
  for (unsigned i = 0; i < 8; i++)
    position = position << 8 | given.position[i];
  *ret_position = position;
  return true;
}
