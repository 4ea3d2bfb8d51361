/* api_cursor.h - page cursors: opaque, bound to their query, valid over restarts.
 *
 * Pure. A cursor is base64url(position, MAC); the MAC covers the position and the query that it
 * belongs to, keyed with a secret of the server, so that nobody can make one up or move one to
 * another user's list. It is no secret and does not expire. */
#ifndef HOLDFAST_API_CURSOR_H
#define HOLDFAST_API_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define API_CURSOR_KEY_SIZE 32u
#define API_CURSOR_TEXT_MAX 33u /* 24 bytes and NUL */

/* `query`: bytes that stand for route, user and filters; never for the limit. */
void api_cursor_make(const uint8_t key[API_CURSOR_KEY_SIZE], const void *query, size_t query_size,
                     uint64_t position, char out[API_CURSOR_TEXT_MAX]);
/* False when it is not a cursor of this query. Constant time in the MAC. */
bool api_cursor_read(const uint8_t key[API_CURSOR_KEY_SIZE], const void *query, size_t query_size,
                     const char *text, size_t size, uint64_t *ret_position);

#endif
