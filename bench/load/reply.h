/* reply.h - as much of an HTTP/1.1 reply as a load generator needs to see.
 *
 * Thread: any; pure. Replies need a Content-Length (1xx, 204 and 304 have no body); chunked ones
 * are refused, because the servers measured here never send them for these routes. */
#ifndef BENCH_REPLY_H
#define BENCH_REPLY_H

#include <stdbool.h>
#include <stddef.h>

#define REPLY_HEAD_MAX 16384u
#define REPLY_BODY_MAX (64u << 20)

enum reply_state {
  REPLY_MORE, /* not complete yet; ret->size is the whole size once the head is there, else 0 */
  REPLY_DONE,
  REPLY_BAD /* not HTTP/1.1, no length, or over the limits */
};

struct reply {
  unsigned status;
  bool keep_alive;  /* false: the server closes after this reply */
  size_t head_size; /* with the empty line */
  size_t size;      /* head and body */
};

enum reply_state reply_parse(const char *bytes, size_t size, struct reply *ret);
/* How often `what` stands in the bytes. */
size_t reply_count(const char *bytes, size_t size, const char *what);
/* Finds `what` in the bytes and the text from its end to the next double quote. Returns where the
 * text starts and its size, or NULL; *ret_next is where to search on. */
const char *reply_text_after(const char *bytes, size_t size, const char *what, size_t *ret_size,
                             const char **ret_next);

#endif
