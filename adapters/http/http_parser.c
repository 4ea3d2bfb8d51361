/* http_parser.c - the request line and the header block, a state at a time.
 *
 * Invariants: at <= size; mark <= at; a byte is judged in one state only, so that the way in which
 * the bytes were cut cannot change the verdict; limits are compared with offsets, never with what
 * happened to be in the buffer. */
#include "http_parser.h"

#include <string.h>

#include "holdfast/check.h"
#include "http_head.h"

void http_parser_init(struct http_parser *parser, struct http_request *request,
                      const struct http_limits *limits)
{
  CHECK(limits->line_max > 0 && limits->head_max > 0);
  memset(parser, 0, sizeof *parser);
  parser->request = request;
  parser->line_max = limits->line_max;
  parser->head_max = limits->head_max;
  parser->body_max = limits->body_max;
  parser->state = HTTP_STATE_START;
  request->method = HTTP_OTHER;
  request->path = (struct http_slice){NULL, 0};
  request->query = (struct http_slice){NULL, 0};
  request->body = (struct http_slice){NULL, 0};
  request->fields_count = 0;
  request->version_minor = 1;
  request->keep_alive = false;
}

enum http_parse http_parser_fail(struct http_parser *parser, enum hf_error error, const char *why)
{
  CHECK(parser->state != HTTP_STATE_ERROR && error != HF_OK);
  parser->state = HTTP_STATE_ERROR;
  parser->error = error;
  parser->why = why;
  return HTTP_PARSE_ERROR;
}

static enum http_parse bad(struct http_parser *parser, const char *why)
{
  return http_parser_fail(parser, HF_E_BAD_REQUEST, why);
}

/* "HTTP/1.0" or "HTTP/1.1", and nothing else. Whether a wrong one is malformed (400) or only not
 * spoken here (505) shows at its last digit. */
static enum http_parse version_run(struct http_parser *parser, const char *data, size_t stop)
{
  static const char form[] = "HTTP/d.d";
  const char *version = data + parser->mark;

  for (; parser->at < stop && parser->at < parser->mark + 8; parser->at++) {
    const char wanted = form[parser->at - parser->mark];
    const char c = data[parser->at];
    if (wanted == 'd' ? c < '0' || c > '9' : c != wanted)
      return bad(parser, "The request line does not end with HTTP/1.1");
  }
  if (parser->at == stop)
    return HTTP_PARSE_MORE;
  if (version[5] != '1' || version[7] > '1')
    return http_parser_fail(parser, HF_E_HTTP_VERSION, "Only HTTP/1.0 and HTTP/1.1 are spoken");
  parser->request->version_minor = (uint8_t)(version[7] - '0');
  if (data[parser->at] != '\r')
    return bad(parser, "The request line does not end with CRLF after the version");
  parser->at++;
  parser->state = HTTP_STATE_LINE_LF;
  return HTTP_PARSE_MORE;
}

static enum http_parse line_start(struct http_parser *parser, const char *data, size_t stop)
{
  while (parser->at < stop) {
    const char c = data[parser->at];
    if (parser->state == HTTP_STATE_START_LF) {
      if (c != '\n')
        return bad(parser, "A CR stands without its LF");
      parser->state = HTTP_STATE_START;
      parser->at++;
    } else if (c == '\r' && parser->empty_lines < HTTP_EMPTY_LINES_MAX) {
      parser->empty_lines++;
      parser->state = HTTP_STATE_START_LF;
      parser->at++;
    } else {
      parser->mark = parser->at;
      parser->state = HTTP_STATE_METHOD;
      break;
    }
  }
  return HTTP_PARSE_MORE;
}

/* Method, target, version and CRLF, up to `stop`. MORE: stopped there, or the line is complete. */
static enum http_parse line_parts(struct http_parser *parser, const char *data, size_t stop)
{
  size_t at = parser->at;

  if (parser->state == HTTP_STATE_METHOD) {
    while (at < stop && http_char_is(data[at], HTTP_CHAR_TOKEN))
      at++;
    parser->at = at;
    if (at == stop)
      return HTTP_PARSE_MORE;
    if (data[at] != ' ' || at == parser->mark)
      return bad(parser, "The request line does not begin with a method and one space");
    http_head_method(parser, data + parser->mark, at - parser->mark);
    parser->at = parser->mark = ++at;
    parser->state = HTTP_STATE_TARGET;
  }
  if (parser->state == HTTP_STATE_TARGET) {
    while (at < stop && http_char_is(data[at], HTTP_CHAR_TARGET))
      at++;
    parser->at = at;
    if (at == stop)
      return HTTP_PARSE_MORE;
    if (data[at] != ' ' || at == parser->mark)
      return bad(parser, "The request target has a byte that is not allowed there");
    parser->request->path = (struct http_slice){data + parser->mark, at - parser->mark};
    parser->at = parser->mark = ++at;
    parser->state = HTTP_STATE_VERSION;
  }
  if (parser->state == HTTP_STATE_VERSION) {
    const enum http_parse result = version_run(parser, data, stop);
    if (result != HTTP_PARSE_MORE)
      return result;
  }
  if (parser->state == HTTP_STATE_LINE_LF && parser->at < stop) {
    if (data[parser->at] != '\n')
      return bad(parser, "A CR stands without its LF");
    parser->fields_at = ++parser->at;
    parser->state = HTTP_STATE_FIELD;
  }
  return HTTP_PARSE_MORE;
}

static enum http_parse line_run(struct http_parser *parser, const char *data, size_t size)
{
  const size_t stop = size < parser->line_max ? size : parser->line_max;
  enum http_parse result = HTTP_PARSE_MORE;

  if (parser->state <= HTTP_STATE_START_LF)
    result = line_start(parser, data, stop);
  if (result == HTTP_PARSE_MORE && parser->state >= HTTP_STATE_METHOD)
    result = line_parts(parser, data, stop);
  if (result == HTTP_PARSE_MORE && parser->state < HTTP_STATE_FIELD && size > parser->line_max)
    return http_parser_fail(parser, HF_E_URI_TOO_LONG, "The request line is too long");
  if (result == HTTP_PARSE_MORE && parser->state == HTTP_STATE_FIELD)
    return http_head_line(parser);
  return result;
}

/* The first byte from `at` on that a field value may not have, or `stop`; eight bytes at a time
 * where all eight are plain. A byte is below 0x20 when subtracting 0x20 borrows from its top bit
 * and that bit was clear; a borrow from a neighbour can only raise a false alarm, and an alarm
 * leads to the exact table. */
static size_t value_end(const char *data, size_t at, size_t stop)
{
  const uint64_t ones = 0x0101010101010101u;
  const uint64_t tops = 0x8080808080808080u;
  while (stop - at >= 8) {
    uint64_t word;
    memcpy(&word, data + at, 8);
    const uint64_t del = word ^ (ones * 0x7f);
    if ((((word - ones * 0x20) & ~word) | ((del - ones) & ~del)) & tops)
      break;
    at += 8;
  }
  while (at < stop && http_char_is(data[at], HTTP_CHAR_VALUE))
    at++;
  return at;
}

/* The name of a field and its colon. MORE: stopped at `stop`, or the state is SPACE. */
static enum http_parse field_name(struct http_parser *parser, const char *data, size_t stop)
{
  struct http_request *request = parser->request;
  size_t at = parser->at;

  while (at < stop && http_char_is(data[at], HTTP_CHAR_TOKEN))
    at++;
  parser->at = at;
  if (at == stop)
    return HTTP_PARSE_MORE;
  if (data[at] != ':' || at == parser->mark)
    return bad(parser, "A header line is not a name and a colon (no folding, no space before it)");
  if (request->fields_count == HTTP_FIELDS_MAX)
    return http_parser_fail(parser, HF_E_HEADERS_TOO_LARGE, "There are too many header fields");
  request->fields[request->fields_count].name =
    (struct http_slice){data + parser->mark, at - parser->mark};
  parser->at = at + 1;
  parser->state = HTTP_STATE_SPACE;
  return HTTP_PARSE_MORE;
}

/* The value of a field up to its CR, without the white space around it. */
static enum http_parse field_value(struct http_parser *parser, const char *data, size_t stop)
{
  size_t at = parser->at;

  if (parser->state == HTTP_STATE_SPACE) {
    while (at < stop && (data[at] == ' ' || data[at] == '\t'))
      at++;
    parser->at = parser->mark = at;
    if (at == stop)
      return HTTP_PARSE_MORE;
    parser->state = HTTP_STATE_VALUE;
  }
  parser->at = at = value_end(data, at, stop);
  if (at == stop)
    return HTTP_PARSE_MORE;
  if (data[at] != '\r')
    return bad(parser, "A header value has a control character");
  size_t end = at;
  while (end > parser->mark && (data[end - 1] == ' ' || data[end - 1] == '\t'))
    end--;
  parser->request->fields[parser->request->fields_count].value =
    (struct http_slice){data + parser->mark, end - parser->mark};
  parser->at = at + 1;
  parser->state = HTTP_STATE_VALUE_LF;
  return HTTP_PARSE_MORE;
}

/* Header fields up to `stop`; MORE also when the head is complete. */
static enum http_parse fields_run(struct http_parser *parser, const char *data, size_t stop)
{
  enum http_parse result = HTTP_PARSE_MORE;

  while (parser->at < stop && result == HTTP_PARSE_MORE) {
    if (parser->state == HTTP_STATE_FIELD) {
      parser->mark = parser->at;
      if (data[parser->at] == '\r') {
        parser->at++;
        parser->state = HTTP_STATE_HEAD_LF;
        continue;
      }
      parser->state = HTTP_STATE_NAME;
    }
    if (parser->state == HTTP_STATE_NAME)
      result = field_name(parser, data, stop);
    if (parser->state == HTTP_STATE_SPACE || parser->state == HTTP_STATE_VALUE)
      result = field_value(parser, data, stop);
    if (parser->at == stop || result != HTTP_PARSE_MORE)
      break;
    if (parser->state == HTTP_STATE_VALUE_LF || parser->state == HTTP_STATE_HEAD_LF) {
      if (data[parser->at] != '\n')
        return bad(parser, "A CR stands without its LF");
      parser->at++;
      if (parser->state == HTTP_STATE_HEAD_LF)
        return http_head_end(parser);
      result = http_head_field(parser);
      parser->state = result == HTTP_PARSE_MORE ? HTTP_STATE_FIELD : parser->state;
    }
  }
  return result;
}

void http_parser_moved(struct http_parser *parser, const char *data)
{
  if (parser->base != data && parser->base != NULL) {
    struct http_field *half = &parser->request->fields[parser->request->fields_count];
    http_request_move(parser->request, parser->base, parser->at, data);
    if (parser->state >= HTTP_STATE_SPACE && parser->state <= HTTP_STATE_VALUE_LF)
      half->name.at = data + (half->name.at - parser->base);
    if (parser->state == HTTP_STATE_VALUE_LF)
      half->value.at = data + (half->value.at - parser->base);
  }
  parser->base = data;
}

enum http_parse http_parser_run(struct http_parser *parser, char *data, size_t size)
{
  CHECK(parser->state < HTTP_STATE_DONE);
  CHECK(size >= parser->at);
  enum http_parse result = HTTP_PARSE_MORE;

  http_parser_moved(parser, data);
  if (parser->state < HTTP_STATE_FIELD)
    result = line_run(parser, data, size);
  if (result == HTTP_PARSE_MORE && parser->state >= HTTP_STATE_FIELD &&
      parser->state <= HTTP_STATE_HEAD_LF) {
    const size_t end = parser->fields_at + parser->head_max;
    result = fields_run(parser, data, size < end ? size : end);
    if (result == HTTP_PARSE_MORE && parser->state <= HTTP_STATE_HEAD_LF && size > end)
      return http_parser_fail(parser, HF_E_HEADERS_TOO_LARGE, "The header block is too large");
  }
  if (result != HTTP_PARSE_MORE || parser->state < HTTP_STATE_LENGTH)
    return result;
  return http_body_run(parser, data, size);
}
