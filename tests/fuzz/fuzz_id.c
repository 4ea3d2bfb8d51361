/* fuzz_id.c - libFuzzer target: ids and the numbers of queries as text, and ids taken apart.
 *
 * Input: partition bits, 8 bytes of an id, then a text. Properties: a text is an id exactly when
 * it is what printf writes of a number from 1 to HF_ID_MAX; an id is its serial and its
 * partition. */
#include <errno.h>
#include <stdio.h>

#include "adapters/http/api_query.h"
#include "holdfast/id.h"
#include "tests/fuzz/input.h"

/* The number whose decimal text, as printf has it, this is. */
static bool oracle(const char *text, size_t size, uint64_t *ret_number)
{
  char terminated[32] = "", again[32];
  if (size == 0 || size >= sizeof terminated)
    return false;
  memcpy(terminated, text, size);
  errno = 0;
  *ret_number = strtoull(terminated, NULL, 10);
  snprintf(again, sizeof again, "%llu", (unsigned long long)*ret_number);
  return errno == 0 && strlen(again) == size && memcmp(again, text, size) == 0;
}

static void check_text(const char *text, size_t size)
{
  uint64_t number = 0, read = 77;
  hf_id id = 77;
  bool is_number = oracle(text, size, &number);
  bool is_id = is_number && number >= 1 && number <= HF_ID_MAX;
  CHECK(hf_id_parse(text, size, &id) == is_id);
  CHECK(id == (is_id ? number : 77));
  bool is_short = is_number && size <= 18u;
  CHECK(api_number_parse((struct http_slice){text, size}, &read) == is_short);
  CHECK(read == (is_short ? number : 77));
}

static void check_id(hf_id id, unsigned bits)
{
  char text[HF_ID_TEXT_MAX], expected[32];
  hf_id again;
  snprintf(expected, sizeof expected, "%llu", (unsigned long long)id);
  size_t size = hf_id_format(id, text);
  CHECK(size == strlen(text) && strcmp(text, expected) == 0);
  CHECK(hf_id_parse(text, size, &again) == (id != 0));
  CHECK(id == 0 || again == id);
  CHECK(hf_id_make(hf_id_serial(id, bits), hf_id_partition(id, bits), bits) == id);
  CHECK(hf_id_partition(id, bits) < 1u << bits);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct input input = {data, size};
  unsigned bits = input_u8(&input) % (HF_PARTITION_BITS_MAX + 1u);
  check_id(input_u64(&input) & HF_ID_MAX, bits);
  char *text = input_bytes(&input, input.size, &size);
  check_text(text, size);
  free(text);
  return 0;
}
