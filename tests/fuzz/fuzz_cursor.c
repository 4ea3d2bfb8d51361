/* fuzz_cursor.c - libFuzzer target: page cursors.
 *
 * Input: a key's byte, a position, which byte to damage and how, the size of the query, the
 * query, then a text. Properties: what was made is read back, and only with the same key and
 * query and only as it was written; a text that is read is what would have been made. */
#include "adapters/http/api_cursor.h"
#include "tests/fuzz/input.h"

struct given {
  uint8_t key[API_CURSOR_KEY_SIZE];
  char *query;
  size_t query_size;
};

static bool is_read(const struct given *given, const char *text, size_t size,
                    uint64_t *ret_position)
{
  return api_cursor_read(given->key, given->query, given->query_size, text, size, ret_position);
}

static void check_made(struct given *given, uint64_t position, size_t at, uint8_t damage)
{
  char text[API_CURSOR_TEXT_MAX];
  uint64_t read = 0;
  api_cursor_make(given->key, given->query, given->query_size, position, text);
  size_t size = strlen(text);
  CHECK(size == API_CURSOR_TEXT_MAX - 1u);
  CHECK(is_read(given, text, size, &read) && read == position);
  CHECK(!is_read(given, text, size - 1u, &read));

  given->key[at % API_CURSOR_KEY_SIZE] ^= 1u;
  CHECK(!is_read(given, text, size, &read));
  given->key[at % API_CURSOR_KEY_SIZE] ^= 1u;
  if (given->query_size > 0) {
    given->query[at % given->query_size] ^= 1;
    CHECK(!is_read(given, text, size, &read));
    given->query[at % given->query_size] ^= 1;
    given->query_size--;
    CHECK(!is_read(given, text, size, &read));
    given->query_size++;
  }
  if (damage != 0) {
    text[at % size] = (char)((uint8_t)text[at % size] ^ damage);
    CHECK(!is_read(given, text, size, &read));
  }
}

static void check_text(const struct given *given, const char *text, size_t size)
{
  char again[API_CURSOR_TEXT_MAX];
  uint64_t position;
  if (!is_read(given, text, size, &position))
    return;
  api_cursor_make(given->key, given->query, given->query_size, position, again);
  CHECK(size == strlen(again) && memcmp(text, again, size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct input input = {data, size};
  struct given given;
  memset(given.key, input_u8(&input), sizeof given.key);
  uint64_t position = input_u64(&input);
  size_t at = input_u8(&input);
  uint8_t damage = input_u8(&input);
  given.query = input_bytes(&input, input_u8(&input), &given.query_size);
  check_made(&given, position, at, damage);
  char *text = input_bytes(&input, input.size, &size);
  check_text(&given, text, size);
  free(text);
  free(given.query);
  return 0;
}
