/* memory_table.h - uthash, set up for this program: memory from rt_alloc, which cannot fail, and
 * a hash over the key's bytes, eight at a time. Keys have no padding and sizes of 8 * n. */
#ifndef HOLDFAST_MEMORY_TABLE_H
#define HOLDFAST_MEMORY_TABLE_H

#include <stdint.h>
#include <string.h>

#include "holdfast/check.h"
#include "holdfast/rt.h"

static inline unsigned memory_hash(const void *key, size_t size)
{
  const uint8_t *at = key;
  uint64_t mixed = size;

  for (size_t i = 0; i + sizeof mixed <= size; i += sizeof mixed) {
    uint64_t word;

    memcpy(&word, at + i, sizeof word);
    mixed = (mixed ^ word) * 0x9E3779B97F4A7C15ull;
    mixed ^= mixed >> 29;
  }
  return (unsigned)(mixed ^ mixed >> 32);
}

#define HASH_FUNCTION(key, size, ret_hash) ((ret_hash) = memory_hash((key), (size)))
#define uthash_malloc(size) rt_alloc(size)
#define uthash_free(block, size) rt_free(block)
#define uthash_fatal(text) hf_check_failed(__FILE__, __LINE__, text)
#include <uthash.h>

#endif
