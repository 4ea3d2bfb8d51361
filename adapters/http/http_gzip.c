/* http_gzip.c - compression of whole replies; one deflate state per loop, made on first use. */
#include <string.h>

#include "holdfast/check.h"
#include "http_internal.h"

bool http_gzip_type(const char *content_type)
{
  return content_type != NULL &&
         (strncmp(content_type, "text/", 5) == 0 || strstr(content_type, "json") != NULL ||
          strstr(content_type, "javascript") != NULL || strstr(content_type, "xml") != NULL);
}

bool http_gzip(struct http_loop *loop, const void *body, size_t size)
{
  const int gzip_window = 15 + 16; /* the largest window, in a gzip wrapper */

  CHECK(size <= HTTP_GZIP_MAX);
  if (loop->gzip == NULL) {
    loop->gzip = rt_alloc(sizeof *loop->gzip);
    CHECK(deflateInit2(loop->gzip, Z_BEST_SPEED, Z_DEFLATED, gzip_window, 8, Z_DEFAULT_STRATEGY) ==
          Z_OK);
  } else {
    CHECK(deflateReset(loop->gzip) == Z_OK);
  }
  const size_t bound = deflateBound(loop->gzip, size);
  loop->packed.size = 0;
  http_buffer_room(&loop->pool, &loop->packed, bound);
  loop->gzip->next_in = body;
  loop->gzip->avail_in = (uInt)size;
  loop->gzip->next_out = (Bytef *)loop->packed.data;
  loop->gzip->avail_out = (uInt)bound;
  CHECK(deflate(loop->gzip, Z_FINISH) == Z_STREAM_END);
  loop->packed.size = bound - loop->gzip->avail_out;
  return loop->packed.size < size;
}
