/* http_body.c - bodies by Content-Length and in chunks (RFC 9112 sections 6, 7), decoded in place.
 *
 * Happy path: size line, data, CRLF, ... , 0, trailer, empty line. Ways to fail: a size that is not
 * 1 to 8 hex digits, an extension that is not by the grammar, data that is longer than announced,
 * a trailer that is no header block, more of anything than its limit.
 * Invariant: body_at + body_size <= at: what is decoded never overtakes what is read. */
#include <string.h>

#include "holdfast/check.h"
#include "http_parser.h"

static enum http_parse bad(struct http_parser *parser, const char *why)
{
  return http_parser_fail(parser, HF_E_BAD_REQUEST, why);
}

enum hf_error http_parser_allow(struct http_parser *parser, size_t body_max)
{
  CHECK(parser->state == HTTP_STATE_LENGTH || parser->state == HTTP_STATE_CHUNK_SIZE);
  parser->body_max = body_max;
  return parser->length > body_max ? HF_E_PAYLOAD_TOO_LARGE : HF_OK;
}

size_t http_parser_kept(const struct http_parser *parser)
{
  CHECK(parser->seen & HTTP_SEEN_HEAD);
  return parser->body_at + parser->body_size;
}

size_t http_parser_compact(struct http_parser *parser)
{
  CHECK(parser->state < HTTP_STATE_DONE);
  if (parser->seen & HTTP_SEEN_CHUNKED && parser->seen & HTTP_SEEN_HEAD)
    parser->at = http_parser_kept(parser);
  return parser->at;
}

static enum http_parse body_done(struct http_parser *parser)
{
  parser->state = HTTP_STATE_DONE;
  parser->request->body = (struct http_slice){parser->base + parser->body_at, parser->body_size};
  return HTTP_PARSE_DONE;
}

static enum http_parse length_run(struct http_parser *parser, size_t size)
{
  const size_t there = size - parser->body_at;
  if (parser->length > parser->body_max)
    return http_parser_fail(parser, HF_E_PAYLOAD_TOO_LARGE, "The body is larger than the limit");
  parser->body_size = there < parser->length ? there : (size_t)parser->length;
  parser->at = parser->body_at + parser->body_size;
  return parser->body_size == parser->length ? body_done(parser) : HTTP_PARSE_MORE;
}

static int hex_digit(char c)
{
  if (c >= '0' && c <= '9')
    return c - '0';
  if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
    return (c | 0x20) - 'a' + 10;
  return -1;
}

/* One byte of a chunk's size. */
static enum http_parse size_byte(struct http_parser *parser, char c)
{
  const int digit = hex_digit(c);
  if (digit >= 0) {
    if (parser->digits == HTTP_CHUNK_DIGITS_MAX)
      return bad(parser, "A chunk size has more than 8 digits");
    parser->digits++;
    parser->length = parser->length << 4 | (uint64_t)digit;
    return HTTP_PARSE_MORE;
  }
  if (parser->digits == 0 || (c != '\r' && c != ';'))
    return bad(parser, "A chunk size is not a hexadecimal number");
  if (parser->length > parser->body_max - parser->body_size)
    return http_parser_fail(parser, HF_E_PAYLOAD_TOO_LARGE, "The body is larger than the limit");
  parser->state = c == ';' ? HTTP_STATE_EXT_NAME_FIRST : HTTP_STATE_SIZE_LF;
  return HTTP_PARSE_MORE;
}

/* Where an extension may end: at the next one, or at the end of the line. */
static bool ext_end(struct http_parser *parser, char c)
{
  if (c != ';' && c != '\r')
    return false;
  parser->state = c == ';' ? HTTP_STATE_EXT_NAME_FIRST : HTTP_STATE_SIZE_LF;
  return true;
}

/* One byte of the chunk extensions: *( ";" token [ "=" ( token / quoted-string ) ] ). The white
 * space that section 7.1.1 calls bad is refused. */
static enum http_parse ext_byte(struct http_parser *parser, char c)
{
  const bool plain = http_char_is(c, HTTP_CHAR_TOKEN);

  if (++parser->ext_size > HTTP_CHUNK_EXT_MAX)
    return bad(parser, "The chunk extensions are too large");
  switch (parser->state) {
  case HTTP_STATE_EXT_NAME:
    if (plain || ext_end(parser, c))
      return HTTP_PARSE_MORE;
    if (c == '=') {
      parser->state = HTTP_STATE_EXT_VALUE_FIRST;
      return HTTP_PARSE_MORE;
    }
    break;
  case HTTP_STATE_EXT_NAME_FIRST:
    parser->state = HTTP_STATE_EXT_NAME;
    if (plain)
      return HTTP_PARSE_MORE;
    break;
  case HTTP_STATE_EXT_VALUE_FIRST:
    parser->state = c == '"' ? HTTP_STATE_EXT_QUOTED : HTTP_STATE_EXT_VALUE;
    if (plain || c == '"')
      return HTTP_PARSE_MORE;
    break;
  case HTTP_STATE_EXT_VALUE:
    if (plain || ext_end(parser, c))
      return HTTP_PARSE_MORE;
    break;
  case HTTP_STATE_EXT_QUOTED:
    if (c == '"')
      parser->state = HTTP_STATE_EXT_END;
    else if (c == '\\')
      parser->state = HTTP_STATE_EXT_ESCAPED;
    if (http_char_is(c, HTTP_CHAR_VALUE))
      return HTTP_PARSE_MORE;
    break;
  case HTTP_STATE_EXT_ESCAPED:
    parser->state = HTTP_STATE_EXT_QUOTED;
    if (http_char_is(c, HTTP_CHAR_VALUE))
      return HTTP_PARSE_MORE;
    break;
  default:
    CHECK(parser->state == HTTP_STATE_EXT_END);
    if (ext_end(parser, c))
      return HTTP_PARSE_MORE;
    break;
  }
  return bad(parser, "A chunk extension is malformed");
}

/* One byte of the trailer section, whose fields are checked and dropped. */
static enum http_parse trailer_byte(struct http_parser *parser, char c)
{
  if (++parser->trailer_size > HTTP_TRAILER_MAX)
    return http_parser_fail(parser, HF_E_HEADERS_TOO_LARGE, "The trailer section is too large");
  switch (parser->state) {
  case HTTP_STATE_TRAILER:
    if (c == '\r') {
      parser->state = HTTP_STATE_END_LF;
      return HTTP_PARSE_MORE;
    }
    parser->state = HTTP_STATE_TRAILER_NAME;
    if (http_char_is(c, HTTP_CHAR_TOKEN))
      return HTTP_PARSE_MORE;
    break;
  case HTTP_STATE_TRAILER_NAME:
    if (c == ':')
      parser->state = HTTP_STATE_TRAILER_VALUE;
    if (c == ':' || http_char_is(c, HTTP_CHAR_TOKEN))
      return HTTP_PARSE_MORE;
    break;
  case HTTP_STATE_TRAILER_VALUE:
    if (c == '\r')
      parser->state = HTTP_STATE_TRAILER_LF;
    if (c == '\r' || http_char_is(c, HTTP_CHAR_VALUE))
      return HTTP_PARSE_MORE;
    break;
  case HTTP_STATE_TRAILER_LF:
    parser->state = HTTP_STATE_TRAILER;
    if (c == '\n')
      return HTTP_PARSE_MORE;
    break;
  default:
    CHECK(parser->state == HTTP_STATE_END_LF);
    if (c == '\n')
      return body_done(parser);
    break;
  }
  return bad(parser, "The trailer section is malformed");
}

/* As much of the chunk's data as there is; moved down over the framing before it. */
static void data_run(struct http_parser *parser, char *data, size_t size)
{
  const size_t there = size - parser->at;
  const size_t count = there < parser->length ? there : (size_t)parser->length;
  char *to = data + parser->body_at + parser->body_size;

  CHECK(to <= data + parser->at);
  if (to != data + parser->at)
    memmove(to, data + parser->at, count);
  parser->at += count;
  parser->body_size += count;
  parser->length -= count;
  if (parser->length == 0)
    parser->state = HTTP_STATE_DATA_CR;
}

static enum http_parse chunk_byte(struct http_parser *parser, char c)
{
  switch (parser->state) {
  case HTTP_STATE_CHUNK_SIZE:
    return size_byte(parser, c);
  case HTTP_STATE_SIZE_LF:
    if (c != '\n')
      return bad(parser, "A CR stands without its LF");
    parser->digits = 0;
    parser->state = parser->length > 0 ? HTTP_STATE_DATA : HTTP_STATE_TRAILER;
    return HTTP_PARSE_MORE;
  case HTTP_STATE_DATA_CR:
    parser->state = HTTP_STATE_DATA_LF;
    return c == '\r' ? HTTP_PARSE_MORE : bad(parser, "A chunk is longer than its size");
  case HTTP_STATE_DATA_LF:
    parser->state = HTTP_STATE_CHUNK_SIZE;
    return c == '\n' ? HTTP_PARSE_MORE : bad(parser, "A CR stands without its LF");
  default:
    return parser->state < HTTP_STATE_SIZE_LF ? ext_byte(parser, c) : trailer_byte(parser, c);
  }
}

enum http_parse http_body_run(struct http_parser *parser, char *data, size_t size)
{
  if (parser->state == HTTP_STATE_LENGTH)
    return length_run(parser, size);
  while (parser->at < size) {
    if (parser->state == HTTP_STATE_DATA) {
      data_run(parser, data, size);
      continue;
    }
    const enum http_parse result = chunk_byte(parser, data[parser->at]);
    if (result == HTTP_PARSE_ERROR)
      return result;
    parser->at++;
    if (result == HTTP_PARSE_DONE)
      return result;
  }
  return HTTP_PARSE_MORE;
}
