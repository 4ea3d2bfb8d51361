/* http_head.c - the rules of RFC 9112 sections 3.2, 6 and 9 on a head that is cut into slices.
 *
 * Happy path: method, line, each field, end. Every doubt about framing or about the host ends the
 * connection with 400, because what two readers may read in two ways is how requests are
 * smuggled. */
#include "http_head.h"

#include <string.h>

#include "holdfast/check.h"

static const struct {
  const char *name;
  size_t size;
} methods[HTTP_OTHER] = {
  [HTTP_GET] = {"GET", 3},         [HTTP_HEAD] = {"HEAD", 4},   [HTTP_POST] = {"POST", 4},
  [HTTP_PUT] = {"PUT", 3},         [HTTP_PATCH] = {"PATCH", 5}, [HTTP_DELETE] = {"DELETE", 6},
  [HTTP_OPTIONS] = {"OPTIONS", 7},
};

static enum http_parse bad(struct http_parser *parser, const char *why)
{
  return http_parser_fail(parser, HF_E_BAD_REQUEST, why);
}

void http_head_method(struct http_parser *parser, const char *name, size_t size)
{
  parser->request->method = HTTP_OTHER;
  for (unsigned i = 0; i < HTTP_OTHER; i++) {
    if (methods[i].size == size && memcmp(methods[i].name, name, size) == 0)
      parser->request->method = (enum http_method)i;
  }
  parser->connect = size == 7 && memcmp(name, "CONNECT", 7) == 0;
}

/* uri-host [ ":" port ] of RFC 3986, by its characters: brackets around the whole host or nowhere,
 * a port of digits only. The empty value is valid (section 3.2: there is no authority), a port
 * alone is not. */
static bool host_valid(struct http_slice host, bool port_required)
{
  const char *end = host.at + host.size;
  const char *at = host.at;

  if (host.size > 0 && *at == '[') {
    const char *close = memchr(at, ']', host.size);
    if (close == NULL || close == at + 1)
      return false;
    for (at++; at < close; at++) {
      if (!http_char_is(*at, HTTP_CHAR_HOST) || *at == '[')
        return false;
    }
    at++;
  } else {
    while (at < end && *at != ':') {
      if (!http_char_is(*at, HTTP_CHAR_HOST) || *at == '[' || *at == ']')
        return false;
      at++;
    }
  }
  if (at == end)
    return !port_required;
  if (at == host.at || *at++ != ':' || (port_required && at == end))
    return false;
  while (at < end && *at >= '0' && *at <= '9')
    at++;
  return at == end && end - host.at <= 300;
}

static void path_split(struct http_request *request, struct http_slice target)
{
  const char *mark = target.size > 0 ? memchr(target.at, '?', target.size) : NULL;
  request->path = target;
  request->query = (struct http_slice){NULL, 0};
  if (mark != NULL) {
    request->path.size = (size_t)(mark - target.at);
    request->query = (struct http_slice){mark + 1, target.size - request->path.size - 1};
  }
}

/* http://host[:port][/path][?query]; the host takes precedence over the Host field, and nothing
 * here depends on either. An empty path is "/", or "*" for OPTIONS (section 3.2.4). */
static enum http_parse absolute_form(struct http_parser *parser, struct http_slice target)
{
  static const char scheme[] = "https://";
  size_t at = 0;

  while (at < 5 && at < target.size && (target.at[at] | 0x20) == scheme[at])
    at++;
  if (at < 4 || target.size < at + 3 || memcmp(target.at + at, "://", 3) != 0)
    return bad(parser, "The request target is neither a path nor an http URI");
  at += 3;
  size_t end = at;
  while (end < target.size && target.at[end] != '/' && target.at[end] != '?')
    end++;
  if (end == at || !host_valid((struct http_slice){target.at + at, end - at}, false))
    return bad(parser, "The request target names no valid host");
  path_split(parser->request, (struct http_slice){target.at + end, target.size - end});
  if (parser->request->path.size == 0) {
    const bool all = parser->request->method == HTTP_OPTIONS && end == target.size;
    parser->request->path = (struct http_slice){all ? "*" : "/", 1};
  }
  return HTTP_PARSE_MORE;
}

enum http_parse http_head_line(struct http_parser *parser)
{
  struct http_request *request = parser->request;
  const struct http_slice target = request->path;
  CHECK(target.size > 0);

  request->keep_alive = request->version_minor == 1;
  if (parser->connect) {
    if (!host_valid(target, true))
      return bad(parser, "CONNECT takes a host and a port");
    return HTTP_PARSE_MORE;
  }
  if (target.at[0] == '/') {
    path_split(request, target);
    return HTTP_PARSE_MORE;
  }
  if (target.size == 1 && target.at[0] == '*') {
    if (request->method != HTTP_OPTIONS)
      return bad(parser, "Only OPTIONS takes the target *");
    return HTTP_PARSE_MORE;
  }
  return absolute_form(parser, target);
}

static enum http_parse length_field(struct http_parser *parser, struct http_slice value)
{
  if (parser->seen & HTTP_SEEN_LENGTH)
    return bad(parser, "There is more than one Content-Length");
  if (value.size == 0)
    return bad(parser, "Content-Length is not a number");
  uint64_t length = 0;
  for (size_t i = 0; i < value.size; i++) {
    const unsigned digit = (unsigned)(unsigned char)value.at[i] - '0';
    if (digit > 9)
      return bad(parser, "Content-Length is not a number");
    /* Saturates: what does not fit 64 bits is larger than every limit. */
    length = length > (UINT64_MAX - 9) / 10 ? UINT64_MAX : length * 10 + digit;
  }
  parser->length = length;
  parser->seen |= HTTP_SEEN_LENGTH;
  return HTTP_PARSE_MORE;
}

static enum http_parse coding_field(struct http_parser *parser, struct http_slice value)
{
  if (parser->seen & HTTP_SEEN_CHUNKED)
    return bad(parser, "There is more than one Transfer-Encoding");
  if (!http_slice_is(value, "chunked"))
    return bad(parser, "The only transfer coding is chunked");
  parser->seen |= HTTP_SEEN_CHUNKED;
  return HTTP_PARSE_MORE;
}

static enum http_parse host_field(struct http_parser *parser, struct http_slice value)
{
  if (parser->seen & HTTP_SEEN_HOST)
    return bad(parser, "There is more than one Host");
  if (!host_valid(value, false))
    return bad(parser, "Host is not a host and a port");
  parser->seen |= HTTP_SEEN_HOST;
  return HTTP_PARSE_MORE;
}

static void connection_field(struct http_parser *parser, struct http_slice value)
{
  if (http_slice_lists(value, "close"))
    parser->seen |= HTTP_SEEN_CLOSE;
  if (http_slice_lists(value, "keep-alive"))
    parser->seen |= HTTP_SEEN_KEEP_ALIVE;
}

/* Most fields mean nothing here: the size of the name decides that at once. */
enum http_parse http_head_field(struct http_parser *parser)
{
  struct http_request *request = parser->request;
  const struct http_field *field = &request->fields[request->fields_count++];

  switch (field->name.size) {
  case 4:
    if (http_slice_is(field->name, "host"))
      return host_field(parser, field->value);
    break;
  case 6:
    if (http_slice_is(field->name, "expect"))
      parser->seen |=
        http_slice_is(field->value, "100-continue") ? HTTP_SEEN_CONTINUE : HTTP_SEEN_EXPECT;
    break;
  case 10:
    if (http_slice_is(field->name, "connection"))
      connection_field(parser, field->value);
    break;
  case 12:
    if (parser->request_id_at == 0 && http_slice_is(field->name, "x-request-id"))
      parser->request_id_at = (uint8_t)request->fields_count;
    break;
  case 14:
    if (http_slice_is(field->name, "content-length"))
      return length_field(parser, field->value);
    break;
  case 17:
    if (http_slice_is(field->name, "transfer-encoding"))
      return coding_field(parser, field->value);
    break;
  default:
    break;
  }
  return HTTP_PARSE_MORE;
}

enum http_parse http_head_end(struct http_parser *parser)
{
  struct http_request *request = parser->request;
  const unsigned seen = parser->seen;

  if (request->version_minor == 1 && !(seen & HTTP_SEEN_HOST))
    return bad(parser, "An HTTP/1.1 request needs a Host");
  if ((seen & HTTP_SEEN_CHUNKED) && (seen & HTTP_SEEN_LENGTH))
    return bad(parser, "Transfer-Encoding and Content-Length exclude each other");
  if ((seen & HTTP_SEEN_CHUNKED) && request->version_minor == 0)
    return bad(parser, "HTTP/1.0 has no Transfer-Encoding");
  if (parser->connect && (seen & HTTP_SEEN_CHUNKED || parser->length > 0))
    return bad(parser, "CONNECT has no body");
  if (request->version_minor == 0) {
    request->keep_alive = (seen & HTTP_SEEN_KEEP_ALIVE) != 0;
    parser->seen &= (uint16_t) ~(unsigned)(HTTP_SEEN_CONTINUE | HTTP_SEEN_EXPECT);
  }
  if (seen & HTTP_SEEN_CLOSE)
    request->keep_alive = false;
  parser->seen |= HTTP_SEEN_HEAD;
  parser->body_at = parser->at;
  request->body = (struct http_slice){parser->base + parser->at, 0};
  if (seen & HTTP_SEEN_CHUNKED)
    parser->state = HTTP_STATE_CHUNK_SIZE;
  else if (parser->length > 0)
    parser->state = HTTP_STATE_LENGTH;
  else
    parser->state = HTTP_STATE_DONE;
  parser->length = seen & HTTP_SEEN_CHUNKED ? 0 : parser->length;
  return parser->state == HTTP_STATE_DONE ? HTTP_PARSE_DONE : HTTP_PARSE_HEAD;
}
