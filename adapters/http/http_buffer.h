/* http_buffer.h - growing buffers out of a pool of blocks.
 *
 * Owner: one loop owns the pool and every buffer made of it.
 * Limits: the pool keeps at most HTTP_POOL_KEEP free blocks of each class; a buffer has no limit of
 *         its own, whoever fills it has one. Blocks larger than the largest class are not kept. */
#ifndef HOLDFAST_HTTP_BUFFER_H
#define HOLDFAST_HTTP_BUFFER_H

#include <stddef.h>

#define HTTP_POOL_CLASSES 2u
#define HTTP_POOL_SMALL 4096u
#define HTTP_POOL_LARGE 32768u
#define HTTP_POOL_KEEP 256u

struct http_block {
  struct http_block *next;
};

struct http_pool { /* zeroed memory is an empty pool */
  struct http_block *free[HTTP_POOL_CLASSES];
  unsigned count[HTTP_POOL_CLASSES];
  size_t used; /* bytes of the blocks that buffers have */
};

struct http_buffer { /* zeroed memory is an empty buffer */
  char *data;
  size_t size;     /* bytes in use */
  size_t capacity; /* bytes there are */
};

void http_pool_deinit(struct http_pool *pool);
/* Makes room for `more` bytes after the content, which may move. */
void http_buffer_room(struct http_pool *pool, struct http_buffer *buffer, size_t more);
void http_buffer_add(struct http_pool *pool, struct http_buffer *buffer, const void *data,
                     size_t size);
void http_buffer_text(struct http_pool *pool, struct http_buffer *buffer, const char *text);
/* Gives the block back; the buffer is empty and may be used again. */
void http_buffer_free(struct http_pool *pool, struct http_buffer *buffer);

#endif
