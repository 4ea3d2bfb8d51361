/* link_port.c - the port's functions, and what each loop has: its listener, timer and links.
 *
 * Happy path: begin, open or accept, send, flush, frames come, end.
 * Ways to fail: no room for a link or a frame (the caller refuses); the actor is behind (links are
 *   not read until it has caught up); the actor has no room for an event (the link ends; its end is
 *   told again by the timer until it is taken).
 * Invariants: the actor is spoken to as itself, within its turn or between rt_enter and rt_leave;
 *   handles counts the open handles, and the loop's part is freed with the last one. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "actors/actors.h"
#include "actors/store/messages.h"
#include "adapters/link/link_internal.h"
#include "holdfast/check.h"
#include "holdfast/driver.h"

#define LOG_EVERY_US 10000000u
#define TICKS 8u /* of the timer in the time of silence */
#define TICK_MS_MIN 5u

static struct link_tcp *tcp_of(struct link_port *port)
{
  return (struct link_tcp *)(void *)port;
}

static struct link_loop *loop_of(struct link_port *port, const rt_ctx *ctx)
{
  struct link_loop *loop = tcp_of(port)->loops[rt_loop_index(ctx)];
  CHECK(loop != NULL && loop->ctx == ctx);
  return loop;
}

static struct link_conn *find(struct link_loop *loop, uint64_t number)
{
  struct link_conn *conn;
  HASH_FIND(hh, loop->links, &number, sizeof number, conn);
  return conn;
}

/* ---- the actor ------------------------------------------------------------------------------- */

bool link_loop_tell(struct link_loop *loop, uint16_t op, const void *payload, size_t size)
{
  if (loop->closing)
    return true; /* the runtime has ended: there is nobody */
  if (!loop->speaking)
    rt_enter(loop->ctx, loop->peer);
  const bool taken = rt_tell(loop->ctx, loop->peer, op, payload, size) == RT_OK;
  if (!loop->speaking)
    rt_leave(loop->ctx);
  return taken;
}

void link_loop_log(struct link_loop *loop, const char *text)
{
  const struct hf_setup *setup = hf_setup_of(loop->ctx);
  const uint64_t now_us = rt_clock_us(loop->ctx);
  if (setup == NULL || setup->log == NULL ||
      (loop->logged_us != 0 && now_us - loop->logged_us < LOG_EVERY_US))
    return;
  loop->logged_us = now_us;
  setup->log(setup->log_arg, 4, "link", text);
}

/* ---- how far links are read ahead ------------------------------------------------------------ */

static void rest_all(struct link_loop *loop, bool rest)
{
  for (struct link_conn *conn = loop->first; conn != NULL; conn = conn->next) {
    if (conn->state != LINK_UP)
      continue;
    conn->rest = (uint8_t)(rest ? conn->rest | LINK_REST_LOOP : conn->rest & ~LINK_REST_LOOP);
    link_conn_rest(conn);
  }
}

void link_loop_full(struct link_loop *loop)
{
  if (loop->unread >= LINK_UNREAD_MAX || loop->unread_bytes >= LINK_UNREAD_BYTES_MAX)
    rest_all(loop, true);
}

static void port_done(struct link_port *port, rt_ctx *ctx, struct link_frame *frame)
{
  struct link_loop *loop = loop_of(port, ctx);
  CHECK(loop->unread > 0 && loop->unread_bytes >= frame->size);
  const bool was_full =
    loop->unread >= LINK_UNREAD_MAX / 2u || loop->unread_bytes >= LINK_UNREAD_BYTES_MAX / 2u;
  loop->unread--;
  loop->unread_bytes -= frame->size;
  rt_free(frame);
  if (was_full && loop->unread < LINK_UNREAD_MAX / 2u &&
      loop->unread_bytes < LINK_UNREAD_BYTES_MAX / 2u)
    rest_all(loop, false);
}

/* ---- sending --------------------------------------------------------------------------------- */

static uint64_t port_open(struct link_port *port, rt_ctx *ctx, uint64_t node, const char *address)
{
  struct link_loop *loop = loop_of(port, ctx);
  CHECK(node != 0 && node != tcp_of(port)->config.node);
  if (loop->closing || loop->conns >= LINK_PER_LOOP_MAX)
    return 0;
  const uint64_t number = 2u * ++loop->outbound;
  loop->speaking = true;
  link_conn_open(loop, number, node, address);
  loop->speaking = false;
  return number;
}

void link_loop_mark(struct link_conn *conn)
{
  if (conn->is_dirty)
    return;
  conn->is_dirty = true;
  conn->dirty = conn->loop->dirty;
  conn->loop->dirty = conn;
}

static rt_status port_send(struct link_port *port, rt_ctx *ctx, uint64_t link, const void *bytes,
                           size_t size)
{
  struct link_loop *loop = loop_of(port, ctx);
  struct link_conn *conn = find(loop, link);
  CHECK(size > 0 && size <= LINK_FRAME_MAX);
  if (conn == NULL || conn->state == LINK_CLOSED)
    return RT_FAIL;
  if (link_conn_queued(conn) + size > LINK_QUEUE_MAX)
    return RT_AGAIN;
  uint8_t head[LINK_HEAD_SIZE];
  for (unsigned i = 0; i < sizeof head; i++)
    head[i] = (uint8_t)(size >> (8u * i));
  if (conn->frame_end == 0)
    conn->frame_end = conn->out.size + sizeof head + size;
  hf_bytes_put(&conn->out, head, sizeof head);
  hf_bytes_put(&conn->out, bytes, size);
  link_loop_mark(conn);
  return RT_OK;
}

static void port_flush(struct link_port *port, rt_ctx *ctx)
{
  struct link_loop *loop = loop_of(port, ctx);
  loop->speaking = true;
  while (loop->dirty != NULL) {
    struct link_conn *conn = loop->dirty;
    loop->dirty = conn->dirty;
    conn->dirty = NULL;
    conn->is_dirty = false;
    link_conn_flush(conn);
  }
  loop->speaking = false;
}

static void port_close(struct link_port *port, rt_ctx *ctx, uint64_t link)
{
  struct link_loop *loop = loop_of(port, ctx);
  struct link_conn *conn = find(loop, link);
  if (conn == NULL)
    return;
  loop->speaking = true;
  link_conn_flush(conn); /* what was sent before is not lost for the lack of a turn's end */
  if (conn->state != LINK_CLOSED)
    link_conn_end(conn, false);
  loop->speaking = false;
}

/* ---- a loop's part --------------------------------------------------------------------------- */

void link_loop_handle_closed(struct link_loop *loop)
{
  CHECK(loop->handles > 0);
  if (--loop->handles > 0)
    return;
  CHECK(loop->closing && loop->first == NULL && loop->links == NULL);
  rt_free(loop);
}

static void on_closed(uv_handle_t *handle)
{
  link_loop_handle_closed(handle->data);
}

static void on_connection(uv_stream_t *listener, int status)
{
  struct link_loop *loop = listener->data;
  if (status == 0 && !loop->closing)
    link_conn_accept(loop);
}

/* A process that was stopped itself has heard nothing: it looks again before it blames others. */
static void on_timer(uv_timer_t *timer)
{
  struct link_loop *loop = timer->data;
  const uint64_t now_us = rt_clock_us(loop->ctx);
  const bool slept = now_us - loop->looked_us > loop->tcp->config.silence_us / 2u;
  loop->looked_us = now_us;
  for (struct link_conn *conn = loop->first, *next; conn != NULL; conn = next) {
    next = conn->next;
    if (slept)
      conn->heard_us = conn->progress_us = now_us;
    link_conn_look(conn, now_us);
  }
}

static void ignore_broken_pipes(void)
{
  struct sigaction action;
  CHECK(sigaction(SIGPIPE, NULL, &action) == 0);
  if (action.sa_handler != SIG_DFL)
    return; /* a program that has its own handler keeps it */
  action.sa_handler = SIG_IGN;
  CHECK(sigaction(SIGPIPE, &action, NULL) == 0);
}

void link_port_loop_begin(struct link_port *port, rt_ctx *ctx)
{
  struct link_tcp *tcp = tcp_of(port);
  const unsigned index = rt_loop_index(ctx);
  CHECK(index < tcp->loops_count && tcp->loops[index] == NULL);
  struct link_loop *loop = rt_alloc(sizeof *loop);
  tcp->loops[index] = loop;
  loop->tcp = tcp;
  loop->ctx = ctx;
  loop->uv = driver_uv_loop(ctx);
  loop->peer = hf_loop_actor(HF_KIND_PEER, index);
  loop->looked_us = rt_clock_us(ctx);
  ignore_broken_pipes();
  uint64_t tick_ms = tcp->config.silence_us / (1000u * TICKS);
  tick_ms = tick_ms > TICK_MS_MIN ? tick_ms : TICK_MS_MIN;
  CHECK(uv_timer_init(loop->uv, &loop->timer) == 0);
  loop->timer.data = loop;
  loop->handles = 1;
  CHECK(uv_timer_start(&loop->timer, on_timer, tick_ms, tick_ms) == 0);
  if (tcp->listeners[index] < 0)
    return;
  CHECK(uv_tcp_init(loop->uv, &loop->listener) == 0);
  loop->listener.data = loop;
  loop->handles++;
  loop->listens = true;
  CHECK(uv_tcp_open(&loop->listener, tcp->listeners[index]) == 0);
  tcp->listeners[index] = -1; /* the handle's */
  CHECK(uv_listen((uv_stream_t *)&loop->listener, SOMAXCONN, on_connection) == 0);
}

void link_port_loop_end(struct link_port *port, rt_ctx *ctx)
{
  struct link_loop *loop = loop_of(port, ctx);
  port_flush(port, ctx); /* the last answers */
  loop->closing = true;
  tcp_of(port)->loops[rt_loop_index(ctx)] = NULL;
  while (loop->first != NULL)
    link_conn_end(loop->first, false);
  if (loop->listens)
    uv_close((uv_handle_t *)&loop->listener, on_closed);
  uv_close((uv_handle_t *)&loop->timer, on_closed);
}

/* ---- the port -------------------------------------------------------------------------------- */

struct link_port *link_port_new(const struct link_config *config, unsigned loops)
{
  CHECK(config->node != 0 && loops > 0 && config->silence_us > 0);
  struct link_tcp *tcp = rt_alloc(sizeof *tcp + loops * sizeof(struct link_loop *));
  tcp->config = *config;
  if (config->handshake_us == 0)
    tcp->config.handshake_us = config->silence_us;
  tcp->loops_count = loops;
  tcp->listeners = rt_alloc(loops * sizeof *tcp->listeners);
  for (unsigned i = 0; i < loops; i++)
    tcp->listeners[i] = -1;
  tcp->port = (struct link_port){.open = port_open,
                                 .send = port_send,
                                 .close = port_close,
                                 .flush = port_flush,
                                 .done = port_done,
                                 .impl = tcp};
  return &tcp->port;
}

int link_port_listen(struct link_port *port, const char *address,
                     char ret_address[STORE_ADDRESS_MAX + 1])
{
  struct link_tcp *tcp = tcp_of(port);
  CHECK(tcp->listeners[0] < 0);
  return link_listen(address, tcp->loops_count, tcp->listeners, ret_address);
}

void link_port_free(struct link_port *port)
{
  if (port == NULL)
    return;
  struct link_tcp *tcp = tcp_of(port);
  for (unsigned i = 0; i < tcp->loops_count; i++) {
    CHECK(tcp->loops[i] == NULL);
    if (tcp->listeners[i] >= 0)
      close(tcp->listeners[i]);
  }
  sodium_memzero(&tcp->config, sizeof tcp->config);
  rt_free(tcp->listeners);
  rt_free(tcp);
}
