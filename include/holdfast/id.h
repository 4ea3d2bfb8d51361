/* id.h - identifiers: (serial << partition_bits) | partition, below 2^53, a decimal string in JSON.
 *
 * Users, entries, ops, holds, blocks and transfers share the form. The partition bits are chosen
 * when the database is made and never change. An op's id is its first entry's; a hold's, block's
 * and transfer's is that of the op that made it. */
#ifndef HOLDFAST_ID_H
#define HOLDFAST_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "holdfast/rt.h"

typedef uint64_t hf_id; /* 0: none */

#define HF_ID_MAX ((1ull << 53) - 1u)
#define HF_PARTITION_BITS_DEFAULT 4u
#define HF_PARTITION_BITS_MAX 10u
#define HF_ID_TEXT_MAX 17u

static inline hf_id hf_id_make(uint64_t serial, unsigned partition, unsigned partition_bits)
{
  return (serial << partition_bits) | partition;
}
static inline unsigned hf_id_partition(hf_id id, unsigned partition_bits)
{
  return (unsigned)(id & ((1ull << partition_bits) - 1u));
}
static inline uint64_t hf_id_serial(hf_id id, unsigned partition_bits)
{
  return id >> partition_bits;
}

/* Strict decimal without leading zeros, 1..HF_ID_MAX. */
bool hf_id_parse(const char *text, size_t size, hf_id *ret_id);
/* Returns the length; NUL-terminated. */
size_t hf_id_format(hf_id id, char out[HF_ID_TEXT_MAX]);

/* The actor kinds of this process; top byte of an rt_id. */
enum hf_kind {
  HF_KIND_STORE = 1,   /* per loop: the store adapter */
  HF_KIND_CATALOG = 2, /* per loop: assets and service keys */
  HF_KIND_USER = 3,    /* one per user that is awake */
  HF_KIND_NAMES = 4,   /* one per partition: user creation and global names */
  HF_KIND_TRANSIT = 5, /* one per partition: transfers on their way */
  HF_KIND_SWEEP = 6,   /* one per partition: holds that expire */
  HF_KIND_FRONT = 7,   /* per loop: the front door or the importer */
  HF_KIND_PEER = 8,    /* per loop: asks of and for the other nodes */
  HF_KIND_KEEPER = 9,  /* per loop: which partitions are here; loop 0's keeps the lease */
};

static inline rt_id hf_user_actor(hf_id user, unsigned partition_bits)
{
  return rt_id_make(HF_KIND_USER, hf_id_partition(user, partition_bits),
                    hf_id_serial(user, partition_bits));
}
static inline rt_id hf_partition_actor(enum hf_kind kind, unsigned partition)
{
  return rt_id_make((unsigned)kind, partition, 1);
}
static inline rt_id hf_loop_actor(enum hf_kind kind, unsigned loop)
{
  return rt_id_make((unsigned)kind, loop, 0);
}

#endif
