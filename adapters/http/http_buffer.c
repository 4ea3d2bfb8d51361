#include "http_buffer.h"

#include <stdint.h>
#include <string.h>

#include "holdfast/check.h"
#include "holdfast/rt.h"

static const size_t class_size[HTTP_POOL_CLASSES] = {HTTP_POOL_SMALL, HTTP_POOL_LARGE};

static char *block_take(struct http_pool *pool, size_t size, size_t *ret_capacity)
{
  for (unsigned i = 0; i < HTTP_POOL_CLASSES; i++) {
    if (size > class_size[i])
      continue;
    *ret_capacity = class_size[i];
    pool->used += class_size[i];
    struct http_block *block = pool->free[i];
    if (block == NULL)
      return rt_alloc(class_size[i]);
    pool->free[i] = block->next;
    pool->count[i]--;
    return (char *)block;
  }
  *ret_capacity = size;
  pool->used += size;
  return rt_alloc(size);
}

static void block_put(struct http_pool *pool, char *data, size_t capacity)
{
  CHECK(pool->used >= capacity);
  pool->used -= capacity;
  for (unsigned i = 0; i < HTTP_POOL_CLASSES; i++) {
    if (capacity == class_size[i] && pool->count[i] < HTTP_POOL_KEEP) {
      struct http_block *block = (struct http_block *)(void *)data;
      block->next = pool->free[i];
      pool->free[i] = block;
      pool->count[i]++;
      return;
    }
  }
  rt_free(data);
}

void http_pool_deinit(struct http_pool *pool)
{
  for (unsigned i = 0; i < HTTP_POOL_CLASSES; i++) {
    while (pool->free[i] != NULL) {
      struct http_block *block = pool->free[i];
      pool->free[i] = block->next;
      rt_free(block);
    }
    pool->count[i] = 0;
  }
}

void http_buffer_room(struct http_pool *pool, struct http_buffer *buffer, size_t more)
{
  CHECK(more <= SIZE_MAX / 4 && buffer->size <= buffer->capacity);
  if (buffer->capacity - buffer->size >= more)
    return;
  /* Doubling keeps the cost of growing linear in what was added. */
  size_t wanted = buffer->size + more;
  if (wanted < buffer->capacity * 2)
    wanted = buffer->capacity * 2;
  size_t capacity;
  char *data = block_take(pool, wanted, &capacity);
  if (buffer->size > 0)
    memcpy(data, buffer->data, buffer->size);
  if (buffer->data != NULL)
    block_put(pool, buffer->data, buffer->capacity);
  buffer->data = data;
  buffer->capacity = capacity;
}

void http_buffer_add(struct http_pool *pool, struct http_buffer *buffer, const void *data,
                     size_t size)
{
  if (size == 0)
    return;
  http_buffer_room(pool, buffer, size);
  memcpy(buffer->data + buffer->size, data, size);
  buffer->size += size;
}

void http_buffer_text(struct http_pool *pool, struct http_buffer *buffer, const char *text)
{
  http_buffer_add(pool, buffer, text, strlen(text));
}

void http_buffer_free(struct http_pool *pool, struct http_buffer *buffer)
{
  if (buffer->data != NULL)
    block_put(pool, buffer->data, buffer->capacity);
  *buffer = (struct http_buffer){NULL, 0, 0};
}
