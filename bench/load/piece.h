/* piece.h - pre-built bytes of a request with the places of their variable parts.
 *
 * Owner: whoever builds it; read-only once the clock runs. Built with formatted text, in which four
 * marks stand for the variable parts; each is replaced by spaces of its width. */
#ifndef BENCH_PIECE_H
#define BENCH_PIECE_H

#include <stdarg.h>
#include <stddef.h>

#define PIECE_KEY_SIZE 24u  /* an Idempotency-Key */
#define PIECE_USER_SIZE 23u /* a user id as padded JSON string, see users.h */
#define PIECE_HOLD_SIZE 66u /* a hold id as padded JSON string */

#define PIECE_KEY "\001"
#define PIECE_USER "\002"
#define PIECE_TO "\003"
#define PIECE_HOLD "\004"

struct piece {
  char *bytes;
  size_t size;
  size_t key_at, user_at, to_at, hold_at; /* 0: there is none; none is ever at the start */
};

/* Builds the text with its marks; ends the process when memory is out. Freed with piece_deinit. */
void piece_init(struct piece *piece, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Makes the piece `size` bytes long with spaces at its end. */
void piece_pad(struct piece *piece, size_t size);
/* The same piece with a request head before it; `body` is consumed. The head ends with the empty
 * line and says how long the body is: body->size and `more` bytes that are sent after it. */
void piece_with_head(struct piece *piece, struct piece *body, size_t more, const char *format, ...)
  __attribute__((format(printf, 4, 5)));
void piece_deinit(struct piece *piece);

#endif
