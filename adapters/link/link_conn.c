/* link_conn.c - a connection: made, written, watched, ended.
 *
 * Happy path: connect, the handshake, then frames are sealed in records as the socket takes them,
 *   and all that a turn has sent leaves in one write.
 * Ways to fail: no connection or proof in time; the socket's error; silence, or no byte taken, for
 *   silence_us: the link ends, and the actor learns how many frames may have left.
 * Invariants: at most one uv_write is under way, and `wire` is its then; a frame counts as sent
 *   once its last byte is sealed; a connection is in the loop's list until it ended, and in the
 *   hash while it has a number and has not. */
#include <string.h>

#include "actors/store/messages.h"
#include "adapters/link/link_internal.h"
#include "holdfast/check.h"

#define COMPACT_SIZE (1024u * 1024u)

static const uint8_t ping[LINK_HEAD_SIZE]; /* a frame of no bytes */

/* ---- life ------------------------------------------------------------------------------------ */

static struct link_conn *conn_new(struct link_loop *loop, uint8_t state)
{
  struct link_conn *conn = rt_alloc(sizeof *conn);
  conn->loop = loop;
  conn->state = state;
  conn->inbound = state == LINK_STRANGER;
  conn->began_us = conn->heard_us = conn->wrote_us = conn->progress_us = rt_clock_us(loop->ctx);
  conn->previous = loop->last;
  if (loop->last != NULL)
    loop->last->next = conn;
  else
    loop->first = conn;
  loop->last = conn;
  loop->conns++;
  loop->strangers += conn->inbound;
  CHECK(uv_tcp_init(loop->uv, &conn->tcp) == 0);
  conn->tcp.data = conn;
  loop->handles++;
  return conn;
}

static void on_closed(uv_handle_t *handle)
{
  struct link_conn *conn = handle->data;
  struct link_loop *loop = conn->loop;
  hf_bytes_deinit(&conn->in);
  hf_bytes_deinit(&conn->out);
  hf_bytes_deinit(&conn->wire);
  rt_free(conn->frame);
  sodium_memzero(&conn->seal, sizeof conn->seal);
  rt_free(conn);
  link_loop_handle_closed(loop);
}

static void take_out(struct link_conn *conn)
{
  struct link_loop *loop = conn->loop;
  if (conn->previous != NULL)
    conn->previous->next = conn->next;
  else
    loop->first = conn->next;
  if (conn->next != NULL)
    conn->next->previous = conn->previous;
  else
    loop->last = conn->previous;
  loop->conns--;
  for (struct link_conn **at = &loop->dirty; conn->is_dirty; at = &(*at)->dirty) {
    if (*at != conn)
      continue;
    *at = conn->dirty;
    conn->is_dirty = false;
  }
  if (conn->number != 0)
    HASH_DELETE(hh, loop->links, conn);
}

/* An end that the actor has no room for stays in the list, to be told by the timer. */
void link_conn_end(struct link_conn *conn, bool tell)
{
  struct link_loop *loop = conn->loop;
  const struct link_down down = {conn->number, conn->sent};
  if (conn->state == LINK_STRANGER)
    loop->strangers--;
  conn->state = LINK_CLOSED;
  conn->reading = false;
  (void)uv_read_stop((uv_stream_t *)&conn->tcp);
  if (tell && conn->told && !link_loop_tell(loop, HF_LINK_DOWN, &down, sizeof down))
    return;
  take_out(conn);
  uv_close((uv_handle_t *)&conn->tcp, on_closed);
}

/* ---- reading --------------------------------------------------------------------------------- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_bytes)
{
  struct link_conn *conn = handle->data;
  (void)suggested;
  *ret_bytes = (uv_buf_t){.base = conn->loop->bytes, .len = sizeof conn->loop->bytes};
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *bytes)
{
  struct link_conn *conn = stream->data;
  if (count == 0 || conn->state == LINK_CLOSED)
    return;
  if (count < 0) {
    link_conn_end(conn, true);
    return;
  }
  link_read(conn, (const uint8_t *)bytes->base, (size_t)count);
}

void link_conn_rest(struct link_conn *conn)
{
  const bool read = conn->rest == 0;
  if (read == conn->reading || conn->state == LINK_CLOSED)
    return;
  conn->reading = read;
  conn->heard_us = rt_clock_us(conn->loop->ctx); /* silence counts from when it listens again */
  if (read)
    CHECK(uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read) == 0);
  else
    (void)uv_read_stop((uv_stream_t *)&conn->tcp);
}

/* ---- writing --------------------------------------------------------------------------------- */

size_t link_conn_queued(const struct link_conn *conn)
{
  return conn->out.size - conn->out_at + (conn->writing ? conn->wire.size : 0);
}

/* All of `wire` goes out, now or by uv_write. */
static void on_written(uv_write_t *request, int status)
{
  struct link_conn *conn = request->data;
  conn->writing = false;
  hf_bytes_clear(&conn->wire);
  if (conn->state == LINK_CLOSED)
    return;
  if (status < 0)
    link_conn_end(conn, true);
  else
    link_conn_flush(conn);
}

/* False: the connection is gone. */
static bool wire_write(struct link_conn *conn)
{
  uv_stream_t *stream = (uv_stream_t *)&conn->tcp;
  uv_buf_t bytes = {.base = (char *)conn->wire.at, .len = conn->wire.size};
  CHECK(!conn->writing && conn->wire.size > 0);
  conn->wrote_us = conn->progress_us = rt_clock_us(conn->loop->ctx);
  const int sent = uv_try_write(stream, &bytes, 1);
  if (sent < 0 && sent != UV_EAGAIN) {
    link_conn_end(conn, true);
    return false;
  }
  const size_t skipped = sent > 0 ? (size_t)sent : 0;
  if (skipped == conn->wire.size) {
    hf_bytes_clear(&conn->wire);
    return true;
  }
  bytes = (uv_buf_t){.base = bytes.base + skipped, .len = bytes.len - skipped};
  conn->writing = true;
  conn->unsent = bytes.len;
  conn->write.data = conn;
  CHECK(uv_write(&conn->write, stream, &bytes, 1, on_written) == 0);
  return true;
}

void link_conn_write(struct link_conn *conn, const void *bytes, size_t size)
{
  if (conn->writing) { /* in a handshake each side waits for the other: this one did not */
    link_conn_end(conn, true);
    return;
  }
  hf_bytes_put(&conn->wire, bytes, size);
  (void)wire_write(conn);
}

/* Counts the frames that `out` has up to out_at, where a size stands before each. */
static void count_sent(struct link_conn *conn)
{
  while (conn->frame_end != 0 && conn->frame_end <= conn->out_at) {
    const uint8_t *head = conn->out.at + conn->frame_end;
    conn->sent++;
    if (conn->frame_end == conn->out.size) {
      conn->frame_end = 0;
      return;
    }
    size_t size = 0;
    for (unsigned i = 0; i < LINK_HEAD_SIZE; i++)
      size |= (size_t)head[i] << (8u * i);
    conn->frame_end += LINK_HEAD_SIZE + size;
  }
}

static void out_compact(struct link_conn *conn)
{
  const size_t left = conn->out.size - conn->out_at;
  if (left > 0 && (conn->out_at < COMPACT_SIZE || conn->out_at < left))
    return;
  memmove(conn->out.at, conn->out.at + conn->out_at, left);
  conn->out.size = left;
  conn->frame_end -= conn->frame_end == 0 ? 0 : conn->out_at;
  conn->out_at = 0;
  if (left == 0 && conn->out.room > COMPACT_SIZE)
    hf_bytes_deinit(&conn->out); /* a large frame's room is not kept for ever */
}

static void seal_out(struct link_conn *conn)
{
  while (conn->out_at < conn->out.size && conn->wire.size < LINK_WIRE_SIZE) {
    const size_t left = conn->out.size - conn->out_at;
    const size_t size = left < SEAL_RECORD_MAX ? left : SEAL_RECORD_MAX;
    link_seal_push(&conn->seal, conn->out.at + conn->out_at, size, &conn->wire);
    conn->out_at += size;
    count_sent(conn);
  }
}

void link_conn_flush(struct link_conn *conn)
{
  if (conn->state != LINK_UP)
    return; /* what waits goes when it is up */
  while (!conn->writing && conn->out_at < conn->out.size) {
    seal_out(conn);
    out_compact(conn);
    if (!wire_write(conn))
      return;
  }
  const size_t queued = link_conn_queued(conn);
  if (conn->inbound && queued > LINK_REST_SIZE)
    conn->rest |= LINK_REST_OUT;
  else if (queued < LINK_REST_SIZE / 4u)
    conn->rest &= (uint8_t)~LINK_REST_OUT;
  link_conn_rest(conn);
}

/* ---- connecting and accepting ---------------------------------------------------------------- */

static void on_connected(uv_connect_t *request, int status)
{
  struct link_conn *conn = request->data;
  uint8_t hello[SEAL_HELLO_SIZE];
  if (conn->state == LINK_CLOSED)
    return;
  if (status < 0) {
    link_conn_end(conn, true);
    return;
  }
  (void)uv_tcp_nodelay(&conn->tcp, 1);
  link_seal_hello(&conn->seal, conn->loop->tcp->config.node, conn->node, hello);
  link_conn_rest(conn);
  link_conn_write(conn, hello, sizeof hello);
}

void link_conn_open(struct link_loop *loop, uint64_t number, uint64_t node, const char *address)
{
  struct sockaddr_storage at;
  struct link_conn *conn = conn_new(loop, LINK_CONNECTING);
  conn->number = number;
  conn->node = node;
  conn->told = true;
  HASH_ADD(hh, loop->links, number, sizeof conn->number, conn);
  conn->connect.data = conn;
  if (!link_address(address, &at) ||
      uv_tcp_connect(&conn->connect, &conn->tcp, (const struct sockaddr *)&at, on_connected) != 0)
    link_conn_end(conn, true);
}

/* Who proves nothing must make room for who may. */
static void strangers_limit(struct link_loop *loop)
{
  if (loop->strangers < LINK_STRANGERS_MAX)
    return;
  for (struct link_conn *conn = loop->first; conn != NULL; conn = conn->next)
    if (conn->state == LINK_STRANGER) {
      link_conn_end(conn, false);
      return;
    }
}

void link_conn_accept(struct link_loop *loop)
{
  strangers_limit(loop);
  struct link_conn *conn = conn_new(loop, LINK_STRANGER);
  if (uv_accept((uv_stream_t *)&loop->listener, (uv_stream_t *)&conn->tcp) != 0 ||
      loop->conns > LINK_PER_LOOP_MAX) {
    link_conn_end(conn, false);
    return;
  }
  (void)uv_tcp_nodelay(&conn->tcp, 1);
  link_conn_rest(conn);
}

void link_conn_up(struct link_conn *conn)
{
  struct link_loop *loop = conn->loop;
  CHECK(conn->state == LINK_CONNECTING || conn->state == LINK_STRANGER);
  if (conn->state == LINK_STRANGER) {
    loop->strangers--;
    conn->number = 2u * ++loop->inbound + 1u;
    HASH_ADD(hh, loop->links, number, sizeof conn->number, conn);
  }
  conn->state = LINK_UP;
  conn->heard_us = rt_clock_us(loop->ctx);
  link_conn_flush(conn);
}

/* ---- watching -------------------------------------------------------------------------------- */

static bool is_stuck(struct link_conn *conn, uint64_t now_us, uint64_t silence_us)
{
  const size_t unsent = uv_stream_get_write_queue_size((const uv_stream_t *)&conn->tcp);
  if (unsent == 0 || unsent < conn->unsent)
    conn->progress_us = now_us;
  conn->unsent = unsent;
  return now_us - conn->progress_us > silence_us;
}

void link_conn_look(struct link_conn *conn, uint64_t now_us)
{
  const struct link_config *config = &conn->loop->tcp->config;
  if (conn->state == LINK_CLOSED) { /* the actor had no room for its end */
    link_conn_end(conn, true);
    return;
  }
  const bool deaf = conn->reading && now_us - conn->heard_us > config->silence_us;
  if (conn->state != LINK_UP) {
    if (now_us - conn->began_us > config->handshake_us)
      link_conn_end(conn, true);
    return;
  }
  if (deaf || is_stuck(conn, now_us, config->silence_us)) {
    link_conn_end(conn, true);
    return;
  }
  if (conn->writing || now_us - conn->wrote_us < config->silence_us / 4u)
    return;
  CHECK(conn->out_at == conn->out.size || conn->is_dirty);
  if (conn->out_at == conn->out.size) {
    link_seal_push(&conn->seal, ping, sizeof ping, &conn->wire);
    (void)wire_write(conn);
  }
}
