/* Chunks of 64 blocks; those with room are linked, by kind, most recently opened first. */
#include "slab.h"

#include "holdfast/check.h"
#include "mem.h"

#include <string.h>

_Static_assert(SLAB_CHUNK == 64, "the free mask of a chunk is one word");

void slab_init(struct slab *slab)
{
  memset(slab, 0, sizeof *slab);
}

void slab_deinit(struct slab *slab)
{
  for (uint32_t i = 0; i < slab->chunks_count; i++) {
    rt_free(slab->chunks[i]);
  }
  mem_table_free((void *)slab->chunks, slab->chunks_room * sizeof *slab->chunks);
  mem_table_free(slab->spare, slab->chunks_room * sizeof *slab->spare);
  memset(slab, 0, sizeof *slab);
}

static void open_chunk(struct slab *slab, struct slab_chunk *chunk)
{
  struct slab_chunk *head = slab->open[chunk->kind];
  chunk->prev = NULL;
  chunk->next = head;
  if (head != NULL) {
    head->prev = chunk;
  }
  slab->open[chunk->kind] = chunk;
}

static void close_chunk(struct slab *slab, struct slab_chunk *chunk)
{
  if (chunk->prev != NULL) {
    chunk->prev->next = chunk->next;
  } else {
    slab->open[chunk->kind] = chunk->next;
  }
  if (chunk->next != NULL) {
    chunk->next->prev = chunk->prev;
  }
}

static void *table_grow(void *table, size_t count, size_t room, size_t item)
{
  void *grown = mem_table(room * item);
  if (count > 0) {
    memcpy(grown, table, count * item);
  }
  mem_table_free(table, count * item);
  return grown;
}

static uint32_t chunk_index(struct slab *slab)
{
  if (slab->spare_count > 0) {
    return slab->spare[--slab->spare_count];
  }
  if (slab->chunks_count == slab->chunks_room) {
    uint32_t room = slab->chunks_room == 0 ? 16 : slab->chunks_room * 2;
    CHECK(room <= UINT32_MAX / SLAB_CHUNK);
    size_t count = slab->chunks_count;
    slab->chunks = table_grow((void *)slab->chunks, count, room, sizeof *slab->chunks);
    slab->spare = table_grow(slab->spare, count, room, sizeof *slab->spare);
    slab->chunks_room = room;
  }
  return slab->chunks_count++;
}

static struct slab_chunk *chunk_new(struct slab *slab, uint8_t kind, size_t state_bytes)
{
  size_t block = sizeof(struct actor) + (state_bytes + 15) / 16 * 16;
  struct slab_chunk *chunk = mem_lines(sizeof *chunk + block * SLAB_CHUNK);
  chunk->free = UINT64_MAX;
  chunk->index = chunk_index(slab);
  chunk->block_bytes = (uint32_t)block;
  chunk->kind = kind;
  slab->chunks[chunk->index] = chunk;
  open_chunk(slab, chunk);
  return chunk;
}

struct actor *slab_take(struct slab *slab, uint8_t kind, size_t state_bytes)
{
  struct slab_chunk *chunk = slab->open[kind];
  if (chunk == NULL) {
    chunk = chunk_new(slab, kind, state_bytes);
  }
  CHECK(chunk->free != 0 && chunk->kind == kind);
  unsigned i = (unsigned)__builtin_ctzll(chunk->free);
  chunk->free &= chunk->free - 1;
  if (chunk->free == 0) {
    close_chunk(slab, chunk);
  }
  struct actor *actor = (void *)(chunk->blocks + (size_t)i * chunk->block_bytes);
  memset((void *)actor, 0, chunk->block_bytes);
  actor->slot = chunk->index * SLAB_CHUNK + i;
  actor->generation = ++slab->generation;
  actor->kind = kind;
  return actor;
}

void slab_put(struct slab *slab, struct actor *actor)
{
  struct slab_chunk *chunk = slab->chunks[actor->slot / SLAB_CHUNK];
  uint64_t bit = 1ull << (actor->slot % SLAB_CHUNK);
  CHECK((chunk->free & bit) == 0);
  if (chunk->free == 0) {
    open_chunk(slab, chunk);
  }
  chunk->free |= bit;
  /* One empty chunk of each kind stays, so that a lone actor does not cost an allocation each. */
  bool lone = slab->open[chunk->kind] == chunk && chunk->next == NULL;
  if (chunk->free == UINT64_MAX && !lone) {
    close_chunk(slab, chunk);
    slab->chunks[chunk->index] = NULL;
    slab->spare[slab->spare_count++] = chunk->index;
    rt_free(chunk);
  }
}

struct actor *slab_next(const struct slab *slab, uint64_t slot)
{
  uint32_t first = (uint32_t)(slot % SLAB_CHUNK);
  for (uint64_t i = slot / SLAB_CHUNK; i < slab->chunks_count; i++, first = 0) {
    const struct slab_chunk *chunk = slab->chunks[i];
    if (chunk == NULL) {
      continue;
    }
    uint64_t taken = ~chunk->free & (UINT64_MAX << first);
    if (taken != 0) {
      return slab_at(slab, (uint32_t)(i * SLAB_CHUNK) + (uint32_t)__builtin_ctzll(taken));
    }
  }
  return NULL;
}
