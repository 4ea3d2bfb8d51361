/* http_output.c - bytes out: replies gather in one buffer and leave in one write.
 *
 * Happy path: everything goes out at once and the buffer returns to the pool. When the socket is
 * full, the rest is handed to libuv with its buffer, and what is rendered meanwhile waits in the
 * next one. Ways to fail: the peer is gone (the connection is closed), or does not read
 * (http_timer.c resets it).
 * Invariant: at most one uv_write is under way; writing.size > 0 exactly then. */
#include "http_internal.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "holdfast/check.h"

size_t http_output_queued(const struct http_conn *conn)
{
  size_t queued = conn->out.size;
  if (conn->writing.size > 0)
    queued += uv_stream_get_write_queue_size((const uv_stream_t *)&conn->tcp);
  return queued;
}

size_t http_output_unread(const struct http_conn *conn)
{
  size_t left = uv_stream_get_write_queue_size((const uv_stream_t *)&conn->tcp);
  uv_os_fd_t fd;
  int in_socket = 0;

  if (uv_fileno((const uv_handle_t *)&conn->tcp, &fd) == 0 &&
      ioctl(fd, SIOCOUTQ, &in_socket) == 0 && in_socket > 0)
    left += (size_t)in_socket;
  return left;
}

static void on_written(uv_write_t *request, int status)
{
  struct http_conn *conn = request->data;

  CHECK(conn->writing.size > 0);
  http_buffer_free(&conn->loop->pool, &conn->writing);
  http_list_remove(&conn->writes);
  if (conn->closing)
    return;
  if (status < 0)
    http_conn_close(conn, false);
  else
    http_conn_turn(conn);
}

void http_output_flush(struct http_conn *conn)
{
  uv_stream_t *stream = (uv_stream_t *)&conn->tcp;

  if (conn->closing || conn->writing.size > 0 || conn->out.size == 0)
    return;
  uv_buf_t bytes = {.base = conn->out.data, .len = conn->out.size};
  const int sent = uv_try_write(stream, &bytes, 1);
  if (sent < 0 && sent != UV_EAGAIN) {
    http_conn_close(conn, false);
    return;
  }
  if (sent > 0 && (size_t)sent == conn->out.size) {
    http_buffer_free(&conn->loop->pool, &conn->out);
    return;
  }
  const size_t skipped = sent > 0 ? (size_t)sent : 0;
  conn->writing = conn->out;
  conn->out = (struct http_buffer){NULL, 0, 0};
  bytes = (uv_buf_t){.base = conn->writing.data + skipped, .len = conn->writing.size - skipped};
  conn->write.data = conn;
  CHECK(uv_write(&conn->write, stream, &bytes, 1, on_written) == 0);
  http_timer_write(conn);
}
