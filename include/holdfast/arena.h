/* arena.h - memory that is freed as one: the results of a store request. One owner at a time. */
#ifndef HOLDFAST_ARENA_H
#define HOLDFAST_ARENA_H

#include <stddef.h>

struct hf_arena {
  struct hf_arena_chunk *newest;
};

void *hf_arena_alloc(struct hf_arena *arena, size_t size); /* zeroed, 16-byte aligned */
void *hf_arena_copy(struct hf_arena *arena, const void *data, size_t size);
char *hf_arena_text(struct hf_arena *arena, const char *text, size_t size); /* NUL-terminated */
void hf_arena_free(struct hf_arena *arena);
/* Appends to a growing array in the arena: *array holds *count items of `item_size`, with room for
 * *room; returns the zeroed new last item. */
void *hf_arena_push(struct hf_arena *arena, void **array, size_t *count, size_t *room,
                    size_t item_size);

#endif
