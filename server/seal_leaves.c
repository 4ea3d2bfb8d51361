/* See seal_leaves.h.
 *
 * File: records; block roots; the head, of fixed size, last, because only then it is known; SHA-256
 * of all before it. Numbers are 8 bytes, most significant first. */
#include "server/seal_leaves.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define RECORD_SIZE 48u
#define MAGIC "hfseal01"

static void put64(uint8_t *at, uint64_t value)
{
  for (unsigned i = 0; i < 8; i++)
    at[i] = (uint8_t)(value >> (56u - 8u * i));
}

static uint64_t get64(const uint8_t *at)
{
  uint64_t value = 0;
  for (unsigned i = 0; i < 8; i++)
    value = value << 8 | at[i];
  return value;
}

static size_t head_size(unsigned partition_bits)
{
  return 32u + ((size_t)16u << partition_bits);
}

static uint64_t blocks_of(const struct seal_leaves *leaves)
{
  return leaves->count >> SEAL_BLOCK_BITS;
}

static void record_write(const struct seal_record *record, uint8_t out[RECORD_SIZE])
{
  put64(out, record->user);
  put64(out + 8, record->version);
  memcpy(out + 16, record->leaf.bytes, HF_HASH_SIZE);
}

static void record_read(const uint8_t in[RECORD_SIZE], struct seal_record *record)
{
  record->user = get64(in);
  record->version = get64(in + 8);
  memcpy(record->leaf.bytes, in + 16, HF_HASH_SIZE);
}

/* ---- writing --------------------------------------------------------------------------------- */

static bool beside(const struct seal_leaves *leaves, char out[4100])
{
  return (size_t)snprintf(out, 4100, "%s.new", leaves->path) < 4100u;
}

static bool path_take(struct seal_leaves *leaves, const char *path)
{
  if (strlen(path) >= sizeof leaves->path - 8u)
    return false;
  memcpy(leaves->path, path, strlen(path) + 1u);
  return true;
}

bool seal_leaves_begin(struct seal_leaves *leaves, const char *path, uint64_t number,
                       unsigned partition_bits)
{
  char name[4100];
  *leaves = (struct seal_leaves){.number = number, .partition_bits = partition_bits};
  hf_hasher_init(&leaves->hasher);
  errno = ENAMETOOLONG;
  if (!path_take(leaves, path) || !beside(leaves, name))
    return false;
  leaves->file = fopen(name, "wbe");
  return leaves->file != NULL;
}

static bool out(struct seal_leaves *leaves, const void *bytes, size_t size)
{
  if (size == 0)
    return true; /* a seal of no users has no blocks: `bytes` is NULL */
  hf_hasher_add(&leaves->hasher, bytes, size);
  return fwrite(bytes, 1, size, leaves->file) == size;
}

bool seal_leaves_put(struct seal_leaves *leaves, const struct seal_record *record)
{
  uint8_t bytes[RECORD_SIZE];
  record_write(record, bytes);
  merkle_add(&leaves->block, &record->leaf);
  leaves->count++;
  if (leaves->block.size == SEAL_BLOCK) {
    struct hf_hash root = merkle_root(&leaves->block);
    merkle_add_perfect(&leaves->tree, &root, SEAL_BLOCK_BITS);
    hf_bytes_put(&leaves->blocks, root.bytes, sizeof root.bytes);
    leaves->block = (struct merkle_tree){0};
  }
  return out(leaves, bytes, sizeof bytes);
}

/* The leaves behind the last whole block join the tree, perfect piece by perfect piece. */
static void tree_end(struct seal_leaves *leaves)
{
  for (unsigned height = SEAL_BLOCK_BITS; height-- > 0;)
    if ((leaves->block.size >> height & 1u) != 0)
      merkle_add_perfect(&leaves->tree, &leaves->block.roots[height], height);
  leaves->block = (struct merkle_tree){0};
}

bool seal_leaves_end(struct seal_leaves *leaves)
{
  uint8_t head[32u + (16u << HF_PARTITION_BITS_MAX)];
  char name[4100];
  tree_end(leaves);
  CHECK(leaves->tree.size == leaves->count);
  memcpy(head, MAGIC, 8);
  put64(head + 8, leaves->number);
  put64(head + 16, leaves->partition_bits);
  put64(head + 24, leaves->count);
  for (unsigned i = 0; i < 1u << leaves->partition_bits; i++) {
    put64(head + 32 + 16u * i, leaves->parts[i].next_seq);
    put64(head + 40 + 16u * i, leaves->parts[i].count);
  }
  bool good = beside(leaves, name) && out(leaves, leaves->blocks.at, leaves->blocks.size) &&
              out(leaves, head, head_size(leaves->partition_bits));
  struct hf_hash sum = hf_hasher_end(&leaves->hasher);
  good = good && fwrite(sum.bytes, 1, sizeof sum.bytes, leaves->file) == sizeof sum.bytes &&
         fflush(leaves->file) == 0 && fsync(fileno(leaves->file)) == 0;
  int closed = fclose(leaves->file);
  leaves->file = NULL;
  return good && closed == 0 && rename(name, leaves->path) == 0;
}

void seal_leaves_close(struct seal_leaves *leaves)
{
  if (leaves->file != NULL)
    fclose(leaves->file);
  leaves->file = NULL;
  hf_bytes_deinit(&leaves->blocks);
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool in(FILE *file, void *bytes, size_t size)
{
  return fread(bytes, 1, size, file) == size;
}

static bool head_read(struct seal_leaves *leaves, const uint8_t *head)
{
  uint64_t sum = 0;
  if (memcmp(head, MAGIC, 8) != 0 || get64(head + 8) != leaves->number ||
      get64(head + 16) != leaves->partition_bits)
    return false;
  leaves->count = get64(head + 24);
  for (unsigned i = 0; i < 1u << leaves->partition_bits; i++) {
    leaves->parts[i].next_seq = get64(head + 32 + 16u * i);
    leaves->parts[i].count = get64(head + 40 + 16u * i);
    sum += leaves->parts[i].count;
  }
  return sum == leaves->count && leaves->count < 1ull << 48;
}

bool seal_leaves_open(struct seal_leaves *leaves, const char *path, uint64_t number,
                      unsigned partition_bits)
{
  uint8_t head[32u + (16u << HF_PARTITION_BITS_MAX)];
  long tail = (long)(head_size(partition_bits) + HF_HASH_SIZE);
  *leaves = (struct seal_leaves){.number = number, .partition_bits = partition_bits};
  hf_hasher_init(&leaves->hasher);
  if (!path_take(leaves, path))
    return false;
  leaves->file = fopen(path, "rbe");
  bool good = leaves->file != NULL && fseek(leaves->file, -tail, SEEK_END) == 0 &&
              in(leaves->file, head, head_size(partition_bits)) && head_read(leaves, head) &&
              fseek(leaves->file, 0, SEEK_END) == 0;
  if (good) {
    uint64_t size = leaves->count * RECORD_SIZE + blocks_of(leaves) * HF_HASH_SIZE + (uint64_t)tail;
    good = ftell(leaves->file) == (long)size && fseek(leaves->file, 0, SEEK_SET) == 0;
  }
  if (!good)
    seal_leaves_close(leaves);
  return good;
}

bool seal_leaves_next(struct seal_leaves *leaves, struct seal_record *ret_record)
{
  uint8_t bytes[RECORD_SIZE];
  if (!in(leaves->file, bytes, sizeof bytes))
    return false;
  hf_hasher_add(&leaves->hasher, bytes, sizeof bytes);
  record_read(bytes, ret_record);
  return true;
}

bool seal_leaves_sound(struct seal_leaves *leaves)
{
  uint8_t bytes[4096], sum[HF_HASH_SIZE];
  size_t left = (size_t)blocks_of(leaves) * HF_HASH_SIZE + head_size(leaves->partition_bits);
  while (left > 0) {
    size_t size = left < sizeof bytes ? left : sizeof bytes;
    if (!in(leaves->file, bytes, size))
      return false;
    hf_hasher_add(&leaves->hasher, bytes, size);
    left -= size;
  }
  struct hf_hash hash = hf_hasher_end(&leaves->hasher);
  return in(leaves->file, sum, sizeof sum) && memcmp(sum, hash.bytes, sizeof sum) == 0;
}

static bool record_at(struct seal_leaves *leaves, uint64_t index, struct seal_record *ret_record)
{
  uint8_t bytes[RECORD_SIZE];
  if (fseek(leaves->file, (long)(index * RECORD_SIZE), SEEK_SET) != 0 ||
      !in(leaves->file, bytes, sizeof bytes))
    return false;
  record_read(bytes, ret_record);
  return true;
}

bool seal_leaves_find(struct seal_leaves *leaves, hf_id user, uint64_t *ret_index,
                      struct seal_record *ret_record)
{
  uint64_t low = 0;
  unsigned partition = hf_id_partition(user, leaves->partition_bits);
  for (unsigned i = 0; i < partition; i++)
    low += leaves->parts[i].count;
  uint64_t high = low + leaves->parts[partition].count;
  while (low < high) {
    uint64_t middle = low + (high - low) / 2u;
    if (!record_at(leaves, middle, ret_record))
      return false;
    if (ret_record->user == user) {
      *ret_index = middle;
      return true;
    }
    if (ret_record->user < user)
      low = middle + 1u;
    else
      high = middle;
  }
  return false;
}

/* Leaves of a block that the proof wants one by one. */
static bool feed_block(struct seal_leaves *leaves, uint64_t start, uint64_t end,
                       struct merkle_proof *proof)
{
  struct seal_record record;
  for (uint64_t i = start; i < end; i++) {
    if (!(i == start ? record_at(leaves, i, &record) : seal_leaves_next(leaves, &record)))
      return false;
    merkle_proof_feed(proof, &record.leaf);
  }
  return true;
}

bool seal_leaves_prove(struct seal_leaves *leaves, uint64_t index,
                       struct hf_hash ret_hashes[MERKLE_PROOF_MAX], size_t *ret_count)
{
  struct hf_hash root;
  CHECK(index < leaves->count);
  struct merkle_proof *proof = merkle_inclusion_new(index, leaves->count);
  uint64_t blocks = blocks_of(leaves), at = leaves->count * RECORD_SIZE;
  bool good = true;
  for (uint64_t i = 0; good && i < blocks; i++) {
    good = fseek(leaves->file, (long)(at + i * HF_HASH_SIZE), SEEK_SET) == 0 &&
           in(leaves->file, root.bytes, sizeof root.bytes);
    if (good && !merkle_proof_feed_perfect(proof, &root, SEAL_BLOCK_BITS))
      good = feed_block(leaves, i * SEAL_BLOCK, (i + 1u) * SEAL_BLOCK, proof);
  }
  good = good && feed_block(leaves, blocks * SEAL_BLOCK, leaves->count, proof);
  if (good)
    *ret_count = merkle_proof_end(proof, ret_hashes);
  merkle_proof_free(proof);
  return good;
}
