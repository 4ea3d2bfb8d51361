/* http_stream.c - replies of unknown length, written piece by piece under back-pressure.
 *
 * Happy path: begin, write while there is room, `writable` when there is room again, end. A
 * stream whose connection is gone gets one call of `writable`; its next write returns false and
 * its end only lets go of it. */
#include <string.h>

#include "holdfast/check.h"
#include "http_internal.h"

#define CHUNK_FRAME 24u /* size line, CRLF, and a little more */

void http_stream_lose(struct http_exchange *exchange)
{
  struct http_loop *loop = exchange->conn->loop;

  CHECK(exchange->streaming && exchange->owed);
  if (exchange->writable == NULL)
    return;
  if (loop->closed_all) { /* No callback will come any more. */
    exchange->writable(exchange, exchange->writable_arg);
    return;
  }
  http_list_append(&loop->gone, &exchange->timed);
  http_loop_wake(loop);
}

static bool stream_is_gone(const struct http_exchange *exchange)
{
  return exchange->detached || exchange->answered;
}

void http_stream_begin(struct http_exchange *exchange, unsigned status, const char *content_type,
                       void (*writable)(struct http_exchange *exchange, void *arg), void *arg)
{
  CHECK(exchange->owed && !exchange->streaming);
  exchange->streaming = true;
  exchange->writable = writable;
  exchange->writable_arg = arg;
  exchange->stream_status = status;
  if (stream_is_gone(exchange)) { /* The peer is gone, or the handler's time was up. */
    http_stream_lose(exchange);
    return;
  }
  http_list_remove(&exchange->timed);
  exchange->chunked = exchange->request.version_minor == 1;
  if (!exchange->chunked) {
    exchange->last = true;
    exchange->conn->linger = true;
  }
  struct http_buffer *out = http_exchange_out(exchange);
  const size_t before = out->size;
  http_reply_head(exchange, out, status, content_type, NULL);
  http_exchange_wrote(exchange, out, before);
  exchange->wrote = true;
  http_conn_mark(exchange->conn);
}

size_t http_stream_room(const struct http_exchange *exchange)
{
  const struct http_conn *conn = exchange->conn;
  const size_t most = conn->loop->limits.write_buffer_max;

  if (stream_is_gone(exchange)) /* No size is a reason to wait: the next write tells. */
    return SIZE_MAX;
  /* What waits behind the stream at the front cannot leave before it, and must not hold it up. */
  const bool first = conn->exchanges.next == &exchange->order;
  const size_t queued = http_output_queued(conn) + (first ? 0 : conn->held);
  return queued < most ? most - queued : 0;
}

bool http_stream_write(struct http_exchange *exchange, const void *data, size_t size)
{
  static const char digits[] = "0123456789abcdef";
  struct http_pool *pool = &exchange->conn->loop->pool;

  CHECK(exchange->owed && exchange->streaming);
  if (stream_is_gone(exchange))
    return false;
  exchange->wrote = true;
  /* One piece may be larger than the room, but not two. */
  if (http_stream_room(exchange) < size &&
      http_stream_room(exchange) < exchange->conn->loop->limits.write_buffer_max)
    return false;
  if (size == 0 || exchange->request.method == HTTP_HEAD)
    return true;
  struct http_buffer *out = http_exchange_out(exchange);
  const size_t before = out->size;
  http_buffer_room(pool, out, size + CHUNK_FRAME);
  if (exchange->chunked) {
    unsigned shift = 60;
    while ((size >> shift) == 0)
      shift -= 4;
    for (;; shift -= 4) {
      out->data[out->size++] = digits[(size >> shift) & 15];
      if (shift == 0)
        break;
    }
    http_buffer_add(pool, out, "\r\n", 2);
  }
  http_buffer_add(pool, out, data, size);
  if (exchange->chunked)
    http_buffer_add(pool, out, "\r\n", 2);
  http_exchange_wrote(exchange, out, before);
  http_conn_mark(exchange->conn);
  return true;
}

void http_stream_end(struct http_exchange *exchange)
{
  CHECK(exchange->owed && exchange->streaming);
  if (http_exchange_dropped(exchange, exchange->stream_status))
    return;
  exchange->owed = false;
  if (exchange->chunked && exchange->request.method != HTTP_HEAD) {
    struct http_buffer *out = http_exchange_out(exchange);
    const size_t before = out->size;
    http_buffer_text(&exchange->conn->loop->pool, out, "0\r\n\r\n");
    http_exchange_wrote(exchange, out, before);
  }
  http_exchange_done(exchange, exchange->stream_status);
}

void http_stream_live(struct http_exchange *exchange)
{
  CHECK(exchange->owed && exchange->streaming);
  exchange->live = true;
  if (!stream_is_gone(exchange))
    http_conn_watch(exchange->conn);
}

bool http_stream_is_live(const struct http_conn *conn)
{
  if (http_list_empty(&conn->exchanges))
    return false;
  return HTTP_LIST_OF(conn->exchanges.next, const struct http_exchange, order)->live;
}

bool http_stream_waits(const struct http_conn *conn)
{
  if (conn->closing || http_list_empty(&conn->exchanges))
    return false;
  const struct http_exchange *exchange =
    HTTP_LIST_OF(conn->exchanges.next, const struct http_exchange, order);
  return exchange->streaming && !exchange->answered && exchange->wrote &&
         exchange->writable != NULL &&
         http_output_queued(conn) <= conn->loop->limits.write_buffer_max / 2;
}

void http_stream_resume(struct http_conn *conn)
{
  if (!http_stream_waits(conn))
    return;
  struct http_exchange *exchange = HTTP_LIST_OF(conn->exchanges.next, struct http_exchange, order);
  exchange->wrote = false;
  exchange->writable(exchange, exchange->writable_arg);
}

void http_stream_gone(struct http_loop *loop)
{
  struct http_list batch;

  http_list_take(&batch, &loop->gone);
  while (!http_list_empty(&batch)) {
    struct http_exchange *exchange = HTTP_LIST_OF(batch.next, struct http_exchange, timed);
    http_list_remove(&exchange->timed);
    exchange->writable(exchange, exchange->writable_arg);
  }
}
