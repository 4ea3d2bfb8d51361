/* link_read.c - bytes that came: the handshake's steps, then records, and the frames in them.
 *
 * Happy path: hello, reply, confirm, accept; records open; whole frames are told to the actor.
 * Ways to fail: a proof or a record that is false, a size that cannot be: the connection ends, and
 *   says nothing about why. A stranger can make it hold one step of the handshake, no more.
 * Invariant: `in` has less than one step or record between reads; nothing of a record is looked at
 *   before it has opened. */
#include <string.h>

#include "actors/store/messages.h"
#include "adapters/link/link_internal.h"
#include "holdfast/check.h"

/* ---- the handshake --------------------------------------------------------------------------- */

/* How many bytes the next step has; 0: records. */
static size_t step_size(const struct link_conn *conn)
{
  if (conn->state == LINK_STRANGER)
    return conn->said_hello ? SEAL_CONFIRM_SIZE : SEAL_HELLO_SIZE;
  if (conn->state == LINK_CONNECTING)
    return SEAL_REPLY_SIZE;
  return conn->has_header ? 0 : SEAL_ACCEPT_SIZE;
}

static bool stranger_step(struct link_conn *conn, const uint8_t *step)
{
  const struct link_config *config = &conn->loop->tcp->config;
  uint8_t reply[SEAL_REPLY_SIZE], accept[SEAL_ACCEPT_SIZE];
  if (!conn->said_hello) {
    conn->said_hello = true;
    if (!link_seal_reply(&conn->seal, config->secret, config->node, step, &conn->node, reply))
      return false;
    link_conn_write(conn, reply, sizeof reply);
    return true;
  }
  if (!link_seal_accept(&conn->seal, config->secret, step, accept))
    return false;
  conn->has_header = true;
  link_conn_write(conn, accept, sizeof accept);
  if (conn->state != LINK_CLOSED)
    link_conn_up(conn);
  return true;
}

static bool client_step(struct link_conn *conn, const uint8_t *step)
{
  const struct link_config *config = &conn->loop->tcp->config;
  uint8_t confirm[SEAL_CONFIRM_SIZE];
  if (conn->state == LINK_UP) {
    conn->has_header = true;
    return link_seal_accepted(&conn->seal, config->secret, step);
  }
  if (!link_seal_confirm(&conn->seal, config->secret, step, confirm))
    return false;
  link_conn_write(conn, confirm, sizeof confirm);
  if (conn->state != LINK_CLOSED)
    link_conn_up(conn);
  return true;
}

/* ---- frames ---------------------------------------------------------------------------------- */

static bool frame_tell(struct link_conn *conn)
{
  struct link_loop *loop = conn->loop;
  struct link_frame *frame = conn->frame;
  conn->frame = NULL;
  conn->head_size = 0;
  conn->told = true;
  loop->unread++;
  loop->unread_bytes += frame->size;
  if (link_loop_tell(loop, HF_LINK_FRAME, &frame, sizeof frame)) {
    link_loop_full(loop);
    return true;
  }
  loop->unread--;
  loop->unread_bytes -= frame->size;
  rt_free(frame);
  return false;
}

/* The size of the next frame is there. False: it cannot be. */
static bool frame_begin(struct link_conn *conn)
{
  size_t size = 0;
  for (unsigned i = 0; i < LINK_HEAD_SIZE; i++)
    size |= (size_t)conn->head[i] << (8u * i);
  if (size > LINK_FRAME_MAX)
    return false;
  if (size == 0) { /* a ping */
    conn->head_size = 0;
    return true;
  }
  conn->frame = rt_alloc(sizeof *conn->frame + size);
  conn->frame->link = conn->number;
  conn->frame->node = conn->node;
  conn->frame->size = size;
  conn->frame_size = 0;
  return true;
}

static size_t take(uint8_t *to, size_t want, const uint8_t *bytes, size_t size)
{
  const size_t count = want < size ? want : size;
  memcpy(to, bytes, count);
  return count;
}

static bool frames_read(struct link_conn *conn, const uint8_t *bytes, size_t size)
{
  while (size > 0) {
    size_t used;
    if (conn->frame == NULL) {
      used = take(conn->head + conn->head_size, LINK_HEAD_SIZE - conn->head_size, bytes, size);
      conn->head_size += (unsigned)used;
      if (conn->head_size == LINK_HEAD_SIZE && !frame_begin(conn))
        return false;
    } else {
      struct link_frame *frame = conn->frame;
      used = take(frame->bytes + conn->frame_size, frame->size - conn->frame_size, bytes, size);
      conn->frame_size += used;
      if (conn->frame_size == frame->size && !frame_tell(conn))
        return false;
    }
    bytes += used;
    size -= used;
  }
  return true;
}

/* ---- bytes ----------------------------------------------------------------------------------- */

/* Takes one step or record; how many bytes it has, 0 when not all have come, SIZE_MAX when it is
 * none. */
static size_t piece_read(struct link_conn *conn, const uint8_t *bytes, size_t size)
{
  size_t piece = step_size(conn);
  if (piece > 0) {
    if (size < piece)
      return 0;
    const bool good = conn->inbound ? stranger_step(conn, bytes) : client_step(conn, bytes);
    return good ? piece : SIZE_MAX;
  }
  piece = link_seal_size(bytes, size);
  if (piece == 0 || piece == SIZE_MAX || size < piece)
    return piece == SIZE_MAX ? SIZE_MAX : 0;
  size_t plain = 0;
  if (!link_seal_pull(&conn->seal, bytes, piece, conn->loop->plain, &plain) ||
      !frames_read(conn, conn->loop->plain, plain))
    return SIZE_MAX;
  return piece;
}

void link_read(struct link_conn *conn, const uint8_t *bytes, size_t size)
{
  const bool kept = conn->in.size > 0;
  size_t used = 0;
  conn->heard_us = rt_clock_us(conn->loop->ctx);
  if (kept) {
    hf_bytes_put(&conn->in, bytes, size);
    bytes = conn->in.at;
    size = conn->in.size;
  }
  while (used < size) {
    const size_t piece = piece_read(conn, bytes + used, size - used);
    if (conn->state == LINK_CLOSED)
      return;
    if (piece == SIZE_MAX) {
      if (conn->state != LINK_UP || !conn->has_header)
        link_loop_log(conn->loop, "a connection was refused: it is of no node of this cluster");
      link_conn_end(conn, true);
      return;
    }
    if (piece == 0)
      break;
    used += piece;
  }
  if (kept) {
    memmove(conn->in.at, conn->in.at + used, size - used);
    conn->in.size = size - used;
    if (conn->in.size == 0)
      hf_bytes_deinit(&conn->in); /* an idle link keeps no buffer */
  } else if (used < size) {
    hf_bytes_put(&conn->in, bytes + used, size - used);
  }
}
