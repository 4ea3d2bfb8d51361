/* Chunks come and go at the ends of a queue; a queue that runs empty keeps its last chunk warm
 * while it is in use and gives it back in fifo_deinit. */
#include "fifo.h"

#include "holdfast/check.h"
#include "mem.h"

void fifo_pool_init(struct fifo_pool *pool, uint32_t capacity, uint32_t free_max)
{
  CHECK(capacity > 0);
  pool->free = NULL;
  pool->capacity = capacity;
  pool->free_count = 0;
  pool->free_max = free_max;
}

void fifo_pool_deinit(struct fifo_pool *pool)
{
  while (pool->free != NULL) {
    struct fifo_chunk *next = pool->free->next;
    rt_free(pool->free);
    pool->free = next;
  }
  pool->free_count = 0;
}

void fifo_init(struct fifo *queue, struct fifo_pool *pool)
{
  queue->first = NULL;
  queue->last = NULL;
  queue->pool = pool;
  queue->count = 0;
}

static void chunk_put(struct fifo_pool *pool, struct fifo_chunk *chunk)
{
  if (pool->free_count >= pool->free_max) {
    rt_free(chunk);
    return;
  }
  chunk->next = pool->free;
  pool->free = chunk;
  pool->free_count++;
}

void fifo_deinit(struct fifo *queue)
{
  CHECK(queue->count == 0);
  if (queue->first != NULL) {
    chunk_put(queue->pool, queue->first);
  }
  queue->first = NULL;
  queue->last = NULL;
}

struct fifo_chunk *fifo_grow(struct fifo *queue)
{
  struct fifo_pool *pool = queue->pool;
  struct fifo_chunk *chunk = pool->free;
  if (chunk != NULL) {
    pool->free = chunk->next;
    pool->free_count--;
  } else {
    chunk = mem_lines(sizeof *chunk + pool->capacity * sizeof chunk->env[0]);
  }
  chunk->next = NULL;
  chunk->read = 0;
  chunk->write = 0;
  if (queue->last != NULL) {
    queue->last->next = chunk;
  } else {
    queue->first = chunk;
  }
  queue->last = chunk;
  return chunk;
}

void fifo_shrink(struct fifo *queue)
{
  struct fifo_chunk *chunk = queue->first;
  CHECK(chunk->read == chunk->write);
  if (chunk->next == NULL) {
    chunk->read = 0;
    chunk->write = 0;
    return;
  }
  queue->first = chunk->next;
  chunk_put(queue->pool, chunk);
}
