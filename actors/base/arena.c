/* arena.c - chunks in a list, the newest first; only the newest has free room.
 *
 * A block that is too large for a chunk of the usual size gets one of its own, put behind the
 * newest, so that the room left in that one is not lost. */
#include "holdfast/arena.h"

#include <stdint.h>
#include <string.h>

#include "holdfast/check.h"
#include "holdfast/rt.h"

#define ARENA_ALIGN 16u
#define ARENA_CHUNK_MIN 2048u
#define ARENA_CHUNK_MAX (256u * 1024u)

struct hf_arena_chunk {
  _Alignas(ARENA_ALIGN) struct hf_arena_chunk *older;
  size_t size; /* bytes behind the header */
  size_t used;
};

static struct hf_arena_chunk *chunk_new(size_t size)
{
  struct hf_arena_chunk *chunk = rt_alloc(sizeof *chunk + size);

  chunk->size = size;
  return chunk;
}

/* Where a block goes that the newest chunk has no room for. */
static struct hf_arena_chunk *arena_grow(struct hf_arena *arena, size_t size)
{
  struct hf_arena_chunk *newest = arena->newest;
  size_t next = newest == NULL ? ARENA_CHUNK_MIN : newest->size * 2;
  struct hf_arena_chunk *chunk;

  if (next > ARENA_CHUNK_MAX)
    next = ARENA_CHUNK_MAX;
  if (size > next / 2 && newest != NULL) {
    chunk = chunk_new(size);
    chunk->older = newest->older;
    newest->older = chunk;
    return chunk;
  }
  chunk = chunk_new(size > next ? size : next);
  chunk->older = newest;
  arena->newest = chunk;
  return chunk;
}

void *hf_arena_alloc(struct hf_arena *arena, size_t size)
{
  struct hf_arena_chunk *chunk = arena->newest;
  size_t rounded;
  uint8_t *at;

  CHECK(size <= SIZE_MAX / 2);
  rounded = size == 0 ? ARENA_ALIGN : (size + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
  if (chunk == NULL || chunk->size - chunk->used < rounded)
    chunk = arena_grow(arena, rounded);
  CHECK(chunk->size - chunk->used >= rounded);
  at = (uint8_t *)(chunk + 1) + chunk->used;
  chunk->used += rounded; /* chunks come zeroed and are never used twice */
  return at;
}

void *hf_arena_copy(struct hf_arena *arena, const void *data, size_t size)
{
  void *copy = hf_arena_alloc(arena, size);

  if (size > 0)
    memcpy(copy, data, size);
  return copy;
}

char *hf_arena_text(struct hf_arena *arena, const char *text, size_t size)
{
  char *copy;

  CHECK(size < SIZE_MAX / 2);
  copy = hf_arena_alloc(arena, size + 1);
  if (size > 0)
    memcpy(copy, text, size);
  return copy;
}

void hf_arena_free(struct hf_arena *arena)
{
  struct hf_arena_chunk *chunk = arena->newest;

  while (chunk != NULL) {
    struct hf_arena_chunk *older = chunk->older;

    rt_free(chunk);
    chunk = older;
  }
  arena->newest = NULL;
}

void *hf_arena_push(struct hf_arena *arena, void **array, size_t *count, size_t *room,
                    size_t item_size)
{
  CHECK(item_size > 0);
  CHECK(*count <= *room);
  if (*count == *room) {
    size_t wider = *room == 0 ? 8 : *room * 2;
    void *moved;

    CHECK(wider <= SIZE_MAX / 2 / item_size);
    moved = hf_arena_alloc(arena, wider * item_size);
    if (*count > 0)
      memcpy(moved, *array, *count * item_size);
    *array = moved;
    *room = wider;
  }
  return (uint8_t *)*array + item_size * (*count)++;
}
