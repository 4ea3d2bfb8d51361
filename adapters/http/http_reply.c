/* http_reply.c - renders replies: status line, headers, body, in one pass into the output. */
#include <string.h>

#include "holdfast/check.h"
#include "http_internal.h"

#define STATUS_MIN 100u
#define STATUS_MAX 599u

static const char *const status_lines[STATUS_MAX - STATUS_MIN + 1] = {
  [200 - STATUS_MIN] = "HTTP/1.1 200 OK\r\n",
  [201 - STATUS_MIN] = "HTTP/1.1 201 Created\r\n",
  [202 - STATUS_MIN] = "HTTP/1.1 202 Accepted\r\n",
  [204 - STATUS_MIN] = "HTTP/1.1 204 No Content\r\n",
  [206 - STATUS_MIN] = "HTTP/1.1 206 Partial Content\r\n",
  [301 - STATUS_MIN] = "HTTP/1.1 301 Moved Permanently\r\n",
  [302 - STATUS_MIN] = "HTTP/1.1 302 Found\r\n",
  [303 - STATUS_MIN] = "HTTP/1.1 303 See Other\r\n",
  [304 - STATUS_MIN] = "HTTP/1.1 304 Not Modified\r\n",
  [307 - STATUS_MIN] = "HTTP/1.1 307 Temporary Redirect\r\n",
  [308 - STATUS_MIN] = "HTTP/1.1 308 Permanent Redirect\r\n",
  [400 - STATUS_MIN] = "HTTP/1.1 400 Bad Request\r\n",
  [401 - STATUS_MIN] = "HTTP/1.1 401 Unauthorized\r\n",
  [403 - STATUS_MIN] = "HTTP/1.1 403 Forbidden\r\n",
  [404 - STATUS_MIN] = "HTTP/1.1 404 Not Found\r\n",
  [405 - STATUS_MIN] = "HTTP/1.1 405 Method Not Allowed\r\n",
  [406 - STATUS_MIN] = "HTTP/1.1 406 Not Acceptable\r\n",
  [408 - STATUS_MIN] = "HTTP/1.1 408 Request Timeout\r\n",
  [409 - STATUS_MIN] = "HTTP/1.1 409 Conflict\r\n",
  [410 - STATUS_MIN] = "HTTP/1.1 410 Gone\r\n",
  [412 - STATUS_MIN] = "HTTP/1.1 412 Precondition Failed\r\n",
  [413 - STATUS_MIN] = "HTTP/1.1 413 Content Too Large\r\n",
  [414 - STATUS_MIN] = "HTTP/1.1 414 URI Too Long\r\n",
  [415 - STATUS_MIN] = "HTTP/1.1 415 Unsupported Media Type\r\n",
  [417 - STATUS_MIN] = "HTTP/1.1 417 Expectation Failed\r\n",
  [422 - STATUS_MIN] = "HTTP/1.1 422 Unprocessable Content\r\n",
  [428 - STATUS_MIN] = "HTTP/1.1 428 Precondition Required\r\n",
  [429 - STATUS_MIN] = "HTTP/1.1 429 Too Many Requests\r\n",
  [431 - STATUS_MIN] = "HTTP/1.1 431 Request Header Fields Too Large\r\n",
  [500 - STATUS_MIN] = "HTTP/1.1 500 Internal Server Error\r\n",
  [501 - STATUS_MIN] = "HTTP/1.1 501 Not Implemented\r\n",
  [502 - STATUS_MIN] = "HTTP/1.1 502 Bad Gateway\r\n",
  [503 - STATUS_MIN] = "HTTP/1.1 503 Service Unavailable\r\n",
  [504 - STATUS_MIN] = "HTTP/1.1 504 Gateway Timeout\r\n",
  [505 - STATUS_MIN] = "HTTP/1.1 505 HTTP Version Not Supported\r\n",
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
  http_exchange_wrote(exchange, out, before);
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
  if (problem->error == HF_E_UNAUTHENTICATED) /* RFC 9110 section 11.6.1 */
    http_add_header(exchange, "WWW-Authenticate", "Bearer realm=\"holdfast\"");
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
