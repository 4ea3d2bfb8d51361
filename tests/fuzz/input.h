/* input.h - a fuzzer's input, taken apart from the front: numbers first, the rest as bytes.
 *
 * What is not there any more reads as zero. Small integers are taken from whole bytes, so that a
 * changed byte changes one thing. */
#ifndef HOLDFAST_TESTS_FUZZ_INPUT_H
#define HOLDFAST_TESTS_FUZZ_INPUT_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "holdfast/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
  const uint8_t *at;
  size_t size;
};

static inline uint8_t input_u8(struct input *input)
{
  if (input->size == 0)
    return 0;
  input->size--;
  return *input->at++;
}

static inline uint64_t input_u64(struct input *input)
{
  uint64_t value = 0;
  for (unsigned i = 0; i < 8; i++)
    value = value << 8 | input_u8(input);
  return value;
}

/* The next `size` bytes, or as many as there are; in memory of exactly that size, so that a byte
 * more is seen. The caller frees it. */
static inline char *input_bytes(struct input *input, size_t size, size_t *ret_size)
{
  size_t taken = size < input->size ? size : input->size;
  char *bytes = malloc(taken + (taken == 0));
  CHECK(bytes != NULL);
  if (taken > 0)
    memcpy(bytes, input->at, taken);
  input->at += taken;
  input->size -= taken;
  *ret_size = taken;
  return bytes;
}

#endif
