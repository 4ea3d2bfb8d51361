/* id.c - identifiers as decimal text. */
#include "holdfast/id.h"

#include <string.h>

#include "holdfast/check.h"

bool hf_id_parse(const char *text, size_t size, hf_id *ret_id)
{
  CHECK(text != NULL || size == 0);
  CHECK(ret_id != NULL);
  /* 16 digits cannot overflow 64 bits, and HF_ID_MAX has 16. */
  if (size == 0 || size >= HF_ID_TEXT_MAX || text[0] == '0')
    return false;
  hf_id id = 0;
  for (size_t i = 0; i < size; i++) {
    if (text[i] < '0' || text[i] > '9')
      return false;
    id = id * 10u + (unsigned)(text[i] - '0');
  }
  if (id > HF_ID_MAX)
    return false;
  *ret_id = id;
  return true;
}

size_t hf_id_format(hf_id id, char out[HF_ID_TEXT_MAX])
{
  CHECK(id <= HF_ID_MAX);
  CHECK(out != NULL);
  char reversed[HF_ID_TEXT_MAX];
  size_t count = 0;
  do {
    reversed[count++] = (char)('0' + (int)(id % 10u));
    id /= 10u;
  } while (id > 0);
  for (size_t i = 0; i < count; i++)
    out[i] = reversed[count - 1 - i];
  out[count] = '\0';
  return count;
}
