/* fifo.h - queue of envelopes within one loop, in chunks that are recycled newest first.
 *
 * Owner: one loop. Limits: none of its own; the sender compares `count` with its bound before it
 * pushes. Envelopes are written and read in place: a pushed slot and a peeked one keep their
 * address until fifo_pop passes them. */
#ifndef HOLDFAST_RUNTIME_FIFO_H
#define HOLDFAST_RUNTIME_FIFO_H

#include "holdfast/rt.h"

#include <stdalign.h>

struct fifo_chunk {
  struct fifo_chunk *next;
  uint32_t read;  /* first envelope that is not popped */
  uint32_t write; /* first free slot */
  alignas(64) rt_env env[];
};

/* Chunks of one size, shared by all queues of a loop that use that size. */
struct fifo_pool {
  struct fifo_chunk *free;
  uint32_t capacity; /* envelopes of a chunk */
  uint32_t free_count;
  uint32_t free_max; /* more free chunks than that go back to the system */
};

struct fifo {
  struct fifo_chunk *first, *last;
  struct fifo_pool *pool;
  uint32_t count;
};

void fifo_pool_init(struct fifo_pool *pool, uint32_t capacity, uint32_t free_max);
void fifo_pool_deinit(struct fifo_pool *pool);
void fifo_init(struct fifo *queue, struct fifo_pool *pool);
/* The queue must be empty. */
void fifo_deinit(struct fifo *queue);

/* The slow halves of push and pop: a chunk more, a chunk less. */
struct fifo_chunk *fifo_grow(struct fifo *queue);
void fifo_shrink(struct fifo *queue);

/* The slot to fill, at the end of the queue. */
static inline rt_env *fifo_push(struct fifo *queue)
{
  struct fifo_chunk *chunk = queue->last;
  if (chunk == NULL || chunk->write == queue->pool->capacity) {
    chunk = fifo_grow(queue);
  }
  queue->count++;
  return &chunk->env[chunk->write++];
}

/* Up to `max` envelopes that lie side by side; 0 when the queue is empty. */
static inline unsigned fifo_peek(const struct fifo *queue, unsigned max, rt_env **ret_first)
{
  struct fifo_chunk *chunk = queue->first;
  if (queue->count == 0) {
    return 0;
  }
  unsigned count = chunk->write - chunk->read;
  *ret_first = &chunk->env[chunk->read];
  return count < max ? count : max;
}

/* Takes `count` peeked envelopes off. */
static inline void fifo_pop(struct fifo *queue, unsigned count)
{
  struct fifo_chunk *chunk = queue->first;
  queue->count -= count;
  chunk->read += count;
  if (chunk->read == chunk->write) {
    fifo_shrink(queue);
  }
}

#endif
