#include "piece.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"

static size_t mark_width(char mark)
{
  switch (mark) {
  case '\001':
    return PIECE_KEY_SIZE;
  case '\002':
  case '\003':
    return PIECE_USER_SIZE;
  case '\004':
    return PIECE_HOLD_SIZE;
  default:
    return 0;
  }
}

static void mark_note(struct piece *piece, char mark, size_t at)
{
  size_t *places[] = {&piece->key_at, &piece->user_at, &piece->to_at, &piece->hold_at};
  size_t *place = places[mark - 1];
  CHECK(at > 0 && *place == 0);
  *place = at;
}

static void piece_from_text(struct piece *piece, const char *text)
{
  *piece = (struct piece){0};
  size_t size = 0;
  for (const char *at = text; *at != '\0'; at++)
    size += mark_width(*at) > 0 ? mark_width(*at) : 1;
  piece->bytes = fail_calloc(size, 1);
  for (; *text != '\0'; text++) {
    size_t width = mark_width(*text);
    if (width == 0) {
      piece->bytes[piece->size++] = *text;
      continue;
    }
    mark_note(piece, *text, piece->size);
    memset(piece->bytes + piece->size, ' ', width);
    piece->size += width;
  }
  CHECK(piece->size == size);
}

__attribute__((format(printf, 1, 0))) static char *text_format(const char *format,
                                                               va_list arguments)
{
  char *text = NULL;
  if (vasprintf(&text, format, arguments) < 0)
    fail("out of memory");
  return text;
}

void piece_init(struct piece *piece, const char *format, ...)
{
  va_list arguments;
  va_start(arguments, format);
  char *text = text_format(format, arguments);
  va_end(arguments);
  piece_from_text(piece, text);
  free(text);
}

void piece_pad(struct piece *piece, size_t size)
{
  CHECK(size >= piece->size);
  piece->bytes = fail_realloc(piece->bytes, size);
  memset(piece->bytes + piece->size, ' ', size - piece->size);
  piece->size = size;
}

void piece_with_head(struct piece *piece, struct piece *body, size_t more, const char *format, ...)
{
  CHECK(piece != body);
  va_list arguments;
  va_start(arguments, format);
  char *text = text_format(format, arguments);
  va_end(arguments);
  piece_init(piece, "%sContent-Length: %zu\r\n\r\n", text, body->size + more);
  free(text);
  size_t head_size = piece->size;
  piece_pad(piece, head_size + body->size);
  memcpy(piece->bytes + head_size, body->bytes, body->size);
  size_t *places[] = {&piece->key_at, &piece->user_at, &piece->to_at, &piece->hold_at};
  size_t body_places[] = {body->key_at, body->user_at, body->to_at, body->hold_at};
  for (size_t i = 0; i < 4; i++) {
    if (body_places[i] == 0)
      continue;
    CHECK(*places[i] == 0);
    *places[i] = head_size + body_places[i];
  }
  piece_deinit(body);
}

void piece_deinit(struct piece *piece)
{
  free(piece->bytes);
  *piece = (struct piece){0};
}
