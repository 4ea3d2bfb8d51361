/* http_reply.c - renders replies: status line, headers, body, in one pass into the output. */
#include <string.h>

#include "holdfast/check.h"
#include "http_internal.h"

#define STATUS_MIN 100u
#define STATUS_MAX 599u
#define LINE(text) "HTTP/1.1 " text "\r\n"

static const char *const status_lines[STATUS_MAX - STATUS_MIN + 1] = {
    [200 - STATUS_MIN] = LINE("200 OK"),
    [201 - STATUS_MIN] = LINE("201 Created"),
    [202 - STATUS_MIN] = LINE("202 Accepted"),
    [204 - STATUS_MIN] = LINE("204 No Content"),
    [206 - STATUS_MIN] = LINE("206 Partial Content"),
    [301 - STATUS_MIN] = LINE("301 Moved Permanently"),
    [302 - STATUS_MIN] = LINE("302 Found"),
    [303 - STATUS_MIN] = LINE("303 See Other"),
    [304 - STATUS_MIN] = LINE("304 Not Modified"),
    [307 - STATUS_MIN] = LINE("307 Temporary Redirect"),
    [308 - STATUS_MIN] = LINE("308 Permanent Redirect"),
    [400 - STATUS_MIN] = LINE("400 Bad Request"),
    [401 - STATUS_MIN] = LINE("401 Unauthorized"),
    [403 - STATUS_MIN] = LINE("403 Forbidden"),
    [404 - STATUS_MIN] = LINE("404 Not Found"),
    [405 - STATUS_MIN] = LINE("405 Method Not Allowed"),
    [406 - STATUS_MIN] = LINE("406 Not Acceptable"),
    [408 - STATUS_MIN] = LINE("408 Request Timeout"),
    [409 - STATUS_MIN] = LINE("409 Conflict"),
    [410 - STATUS_MIN] = LINE("410 Gone"),
    [412 - STATUS_MIN] = LINE("412 Precondition Failed"),
    [413 - STATUS_MIN] = LINE("413 Content Too Large"),
    [414 - STATUS_MIN] = LINE("414 URI Too Long"),
    [415 - STATUS_MIN] = LINE("415 Unsupported Media Type"),
    [417 - STATUS_MIN] = LINE("417 Expectation Failed"),
    [422 - STATUS_MIN] = LINE("422 Unprocessable Content"),
    [428 - STATUS_MIN] = LINE("428 Precondition Required"),
    [429 - STATUS_MIN] = LINE("429 Too Many Requests"),
    [431 - STATUS_MIN] = LINE("431 Request Header Fields Too Large"),
    [500 - STATUS_MIN] = LINE("500 Internal Server Error"),
    [501 - STATUS_MIN] = LINE("501 Not Implemented"),
    [502 - STATUS_MIN] = LINE("502 Bad Gateway"),
    [503 - STATUS_MIN] = LINE("503 Service Unavailable"),
    [504 - STATUS_MIN] = LINE("504 Gateway Timeout"),
    [505 - STATUS_MIN] = LINE("505 HTTP Version Not Supported"),
};

/* ---- rendering ------------------------------------------------------------------------------- */

/* A pen writes into room that was made before. */
static char *put(char *pen, const void *data, size_t size)
{
  memcpy(pen, data, size);
  return pen + size;
}

#define PUT(pen, literal) put(pen, literal, sizeof(literal) - 1)

static char *put_number(char *pen, uint64_t number)
{
  char digits[20];
  size_t at = sizeof digits;
  do {
    digits[--at] = (char)('0' + number % 10);
    number /= 10;
  } while (number > 0);
  return put(pen, digits + at, sizeof digits - at);
}

static char *put_status(char *pen, unsigned status)
{
  CHECK(status >= STATUS_MIN && status <= STATUS_MAX);
  const char *line = status_lines[status - STATUS_MIN];
  if (line != NULL)
    return put(pen, line, strlen(line));
  pen = PUT(pen, "HTTP/1.1 ");
  pen = put_number(pen, status);
  return PUT(pen, " \r\n");
}

/* The room for all that http_reply_head adds by itself: the longest status line, Content-Length,
 * Transfer-Encoding, X-Request-Id, Cache-Control, Connection, Content-Encoding, Vary. */
#define HEAD_ROOM 512u

void http_reply_head(struct http_exchange *exchange, struct http_buffer *out, unsigned status,
                     const char *content_type, const uint64_t *length)
{
  const bool closes = http_exchange_closes(exchange);
  const size_t type_size = content_type == NULL ? 0 : strlen(content_type);

  http_buffer_room(&exchange->conn->loop->pool, out,
                   HEAD_ROOM + type_size + exchange->headers.size);
  char *pen = put_status(out->data + out->size, status);
  if (content_type != NULL) {
    pen = PUT(pen, "Content-Type: ");
    pen = put(pen, content_type, type_size);
    pen = PUT(pen, "\r\n");
  }
  if (length != NULL) {
    pen = PUT(pen, "Content-Length: ");
    pen = put_number(pen, *length);
    pen = PUT(pen, "\r\n");
  } else if (exchange->chunked) {
    pen = PUT(pen, "Transfer-Encoding: chunked\r\n");
  }
  pen = PUT(pen, "X-Request-Id: ");
  pen = put(pen, exchange->request_id, strlen(exchange->request_id));
  if (exchange->has_cache_control)
    pen = PUT(pen, "\r\n");
  else
    pen = PUT(pen, "\r\nCache-Control: no-store\r\n");
  if (closes)
    pen = PUT(pen, "Connection: close\r\n");
  else if (exchange->request.version_minor == 0)
    pen = PUT(pen, "Connection: keep-alive\r\n");
  if (exchange->headers.size > 0)
    pen = put(pen, exchange->headers.data, exchange->headers.size);
  pen = PUT(pen, "\r\n");
  out->size = (size_t)(pen - out->data);
  CHECK(out->size <= out->capacity);
}

static bool name_is(const char *name, const char *text)
{
  return http_slice_is((struct http_slice){name, strlen(name)}, text);
}

void http_add_header(struct http_exchange *exchange, const char *name, const char *value)
{
  struct http_pool *pool = &exchange->conn->loop->pool;
  struct http_buffer *headers = &exchange->headers;

  CHECK(*name != '\0');
  for (const char *at = name; *at != '\0'; at++)
    CHECK(http_char_is(*at, HTTP_CHAR_TOKEN));
  for (const char *at = value; *at != '\0'; at++)
    CHECK(http_char_is(*at, HTTP_CHAR_VALUE));
  exchange->has_cache_control = exchange->has_cache_control || name_is(name, "cache-control");
  exchange->has_content_encoding =
      exchange->has_content_encoding || name_is(name, "content-encoding");
  http_buffer_text(pool, headers, name);
  http_buffer_text(pool, headers, ": ");
  if (name_is(name, "etag"))
    exchange->etag_at = (uint32_t)headers->size + 1;
  http_buffer_text(pool, headers, value);
  http_buffer_text(pool, headers, "\r\n");
}

/* A strong ETag names the bytes as they would be without compression; compressed, the reply is
 * only equivalent (RFC 9110 section 8.8.3.3). */
static void etag_weaken(struct http_exchange *exchange)
{
  struct http_buffer *headers = &exchange->headers;
  const size_t at = exchange->etag_at - 1u;

  if (exchange->etag_at == 0 || headers->data[at] != '"')
    return;
  http_buffer_room(&exchange->conn->loop->pool, headers, 2);
  memmove(headers->data + at + 2, headers->data + at, headers->size - at);
  memcpy(headers->data + at, "W/", 2);
  headers->size += 2;
}

/* Compresses the body when it pays and the client takes it. */
static void body_pack(struct http_exchange *exchange, const char *content_type, const void **body,
                      size_t *size)
{
  struct http_loop *loop = exchange->conn->loop;

  if (*size < HTTP_GZIP_MIN || *size > HTTP_GZIP_MAX || exchange->has_content_encoding ||
      !http_gzip_type(content_type))
    return;
  http_add_header(exchange, "Vary", "Accept-Encoding");
  if (!http_request_accepts_gzip(&exchange->request) || !http_gzip(loop, *body, *size))
    return;
  http_add_header(exchange, "Content-Encoding", "gzip");
  etag_weaken(exchange);
  *body = loop->packed.data;
  *size = loop->packed.size;
}

/* Renders the whole reply and is done with the exchange, which may be gone afterwards. */
static void reply_send(struct http_exchange *exchange, unsigned status, const char *content_type,
                       const void *body, size_t size)
{
  struct http_loop *loop = exchange->conn->loop;
  const bool bodiless = status == 204 || status == 304 || status < 200;

  CHECK(!exchange->streaming && (size == 0 || (body != NULL && !bodiless)));
  body_pack(exchange, content_type, &body, &size);
  struct http_buffer *out = http_exchange_out(exchange);
  const size_t before = out->size;
  const uint64_t length = size;
  http_reply_head(exchange, out, status, content_type, bodiless ? NULL : &length);
  if (exchange->request.method != HTTP_HEAD)
    http_buffer_add(&loop->pool, out, body, size);
  exchange->bytes_out = out->size - before;
  http_exchange_done(exchange, status);
}

void http_reply(struct http_exchange *exchange, unsigned status, const char *content_type,
                const void *body, size_t size)
{
  if (http_exchange_dropped(exchange, status))
    return;
  exchange->owed = false;
  reply_send(exchange, status, content_type, body, size);
}

void http_exchange_problem(struct http_exchange *exchange, const struct http_problem *problem)
{
  struct http_loop *loop = exchange->conn->loop;

  if (problem->retry_after_s > 0) {
    char text[21];
    *put_number(text, problem->retry_after_s) = '\0';
    http_add_header(exchange, "Retry-After", text);
  }
  loop->scratch.size = 0;
  http_problem_write(&loop->pool, &loop->scratch, problem, exchange->request_id);
  reply_send(exchange, hf_error_info(problem->error)->status, "application/problem+json",
             loop->scratch.data, loop->scratch.size);
}

void http_reply_problem(struct http_exchange *exchange, const struct http_problem *problem)
{
  CHECK(problem->error != HF_OK);
  if (http_exchange_dropped(exchange, hf_error_info(problem->error)->status))
    return;
  exchange->owed = false;
  http_exchange_problem(exchange, problem);
}
