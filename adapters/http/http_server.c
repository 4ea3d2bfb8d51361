/* http_server.c - a loop's part of the server: starting, accepting, pausing, draining, closing.
 *
 * Happy path: new, accept ..., drain, close, closed. Ways to fail: the address is taken (new);
 * too many connections in all or of one address (refused with 503); out of descriptors (libuv
 * drops the connection).
 * Invariants: handles counts the open handles; connections counts conns that are not refused. */
#include "http_internal.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "holdfast/check.h"

void http_limits_default(struct http_limits *ret_limits)
{
  *ret_limits = (struct http_limits){
    .line_max = 8192,
    .head_max = 16384,
    .body_max = 8388608,
    .pipeline_max = 64,
    .connections_max = 10000,
    .per_address_max = 100,
    .requests_max = 0,
    .loopback_capped = false,
    .head_timeout_us = 10000000,
    .body_timeout_us = 30000000,
    .handler_timeout_us = 10000000,
    .idle_timeout_us = 75000000,
    .write_timeout_us = 30000000,
    .write_buffer_max = 1048576,
  };
}

static void loop_free(struct http_loop *loop)
{
  while (loop->free_exchanges != NULL) {
    struct http_exchange *exchange = loop->free_exchanges;
    loop->free_exchanges = exchange->next;
    rt_free(exchange);
  }
  while (loop->free_conns != NULL) {
    struct http_conn *conn = loop->free_conns;
    loop->free_conns = conn->next;
    rt_free(conn);
  }
  if (loop->gzip != NULL) {
    deflateEnd(loop->gzip);
    rt_free(loop->gzip);
  }
  http_buffer_free(&loop->pool, &loop->scratch);
  http_buffer_free(&loop->pool, &loop->packed);
  http_pool_deinit(&loop->pool);
  rt_free(loop);
}

void http_loop_settle(struct http_loop *loop)
{
  if (loop->closed_all && loop->exchanges == 0)
    loop_free(loop);
}

void http_loop_handle_closed(struct http_loop *loop)
{
  CHECK(loop->handles > 0);
  if (--loop->handles > 0)
    return;
  CHECK(loop->closing && loop->connections == 0 && loop->refused == 0);
  http_stream_gone(loop);
  loop->closed_all = true;
  if (loop->closed != NULL)
    loop->closed(loop->closed_arg);
  http_loop_settle(loop);
}

static void on_closed(uv_handle_t *handle)
{
  http_loop_handle_closed(handle->data);
}

/* ---- accepting ------------------------------------------------------------------------------- */

static void peer_read(struct http_conn *conn)
{
  struct sockaddr_storage from;
  int size = sizeof from;

  memset(&from, 0, sizeof from);
  if (uv_tcp_getpeername(&conn->tcp, (struct sockaddr *)&from, &size) != 0)
    from.ss_family = AF_UNSPEC;
  http_address_read((const struct sockaddr *)&from, &conn->peer);
}

/* Why this connection is one too many; NULL when it is welcome. */
static const char *over_cap(const struct http_loop *loop, const struct http_conn *conn)
{
  if (loop->connections >= loop->limits.connections_max)
    return "connections";
  if (conn->peer.loopback && !loop->limits.loopback_capped)
    return NULL;
  if (http_addresses_get(&loop->addresses, conn->peer.key) >= loop->limits.per_address_max)
    return "per_address";
  return NULL;
}

static void on_connection(uv_stream_t *listener, int status)
{
  struct http_loop *loop = listener->data;

  if (status < 0 || loop->closing)
    return;
  struct http_conn *conn = http_conn_new(loop);
  if (uv_accept(listener, (uv_stream_t *)&conn->tcp) != 0) {
    conn->refused = true;
    loop->refused++;
    http_conn_close(conn, false);
    return;
  }
  peer_read(conn);
  http_conn_open(conn, over_cap(loop, conn));
}

/* ---- before the loop sleeps ------------------------------------------------------------------ */

static void on_awake(uv_idle_t *handle)
{
  (void)handle; /* Being active is its whole work: the loop polls without waiting. */
}

void http_loop_wake(struct http_loop *loop)
{
  if (!loop->closing && !uv_is_active((const uv_handle_t *)&loop->awake))
    CHECK(uv_idle_start(&loop->awake, on_awake) == 0);
}

/* Turns that are asked for meanwhile wait for the next round, so that others are served between. */
static void on_prepare(uv_prepare_t *handle)
{
  struct http_loop *loop = handle->data;
  struct http_list batch;

  if (http_list_empty(&loop->dirty) && http_list_empty(&loop->gone))
    return;
  http_list_take(&batch, &loop->dirty);
  while (!http_list_empty(&batch))
    http_conn_turn(HTTP_LIST_OF(batch.next, struct http_conn, dirty));
  http_stream_gone(loop);
  if (!loop->closing && http_list_empty(&loop->dirty) && http_list_empty(&loop->gone))
    uv_idle_stop(&loop->awake);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void handles_init(struct http_loop *loop, int fd)
{
  struct sigaction pipe_action;
  /* A write to a peer that is gone must be an error of the write, not the end of the process. A
   * program that has its own handler keeps it. */
  CHECK(sigaction(SIGPIPE, NULL, &pipe_action) == 0);
  if (pipe_action.sa_handler == SIG_DFL) {
    pipe_action.sa_handler = SIG_IGN;
    CHECK(sigaction(SIGPIPE, &pipe_action, NULL) == 0);
  }

  CHECK(uv_tcp_init(loop->uv, &loop->listener) == 0);
  CHECK(uv_timer_init(loop->uv, &loop->sweep) == 0);
  CHECK(uv_prepare_init(loop->uv, &loop->prepare) == 0);
  CHECK(uv_idle_init(loop->uv, &loop->awake) == 0);
  loop->listener.data = loop->sweep.data = loop->prepare.data = loop->awake.data = loop;
  loop->handles = 4;
  CHECK(uv_tcp_open(&loop->listener, fd) == 0);
  CHECK(uv_listen((uv_stream_t *)&loop->listener, SOMAXCONN, on_connection) == 0);
  CHECK(uv_prepare_start(&loop->prepare, on_prepare) == 0);
}

struct http_loop *http_loop_new_on(uv_loop_t *uv, rt_ctx *ctx, const char *host, uint16_t port,
                                   const struct http_limits *limits, http_handler handler,
                                   http_head_check head_check, const struct http_observer *observer,
                                   void *user)
{
  CHECK(uv != NULL && handler != NULL);
  CHECK(limits->pipeline_max > 0 && limits->write_buffer_max > 0);
  uint16_t bound;
  uint64_t seeds[2];
  const int fd = http_listen(host, port, &bound);
  if (fd < 0) {
    errno = -fd;
    return NULL;
  }
  http_seeds(seeds);
  struct http_loop *loop = rt_alloc(sizeof *loop);
  loop->uv = uv;
  loop->ctx = ctx;
  loop->user = user;
  loop->handler = handler;
  loop->head_check = head_check;
  loop->limits = *limits;
  loop->port = bound;
  loop->addresses.seed = seeds[0];
  loop->id_state = seeds[1];
  if (observer != NULL)
    loop->observer = *observer;
  http_list_init(&loop->conns);
  http_list_init(&loop->stalled);
  http_list_init(&loop->dirty);
  http_list_init(&loop->gone);
  http_timer_init(loop);
  handles_init(loop, fd);
  return loop;
}

uint16_t http_loop_port(const struct http_loop *loop)
{
  return loop->port;
}

rt_ctx *http_loop_ctx(const struct http_loop *loop)
{
  return loop->ctx;
}

void *http_loop_user(const struct http_loop *loop)
{
  return loop->user;
}

unsigned http_loop_connections(const struct http_loop *loop)
{
  return loop->connections;
}

size_t http_loop_buffered(const struct http_loop *loop)
{
  return loop->pool.used;
}

void http_loop_pause(struct http_loop *loop)
{
  loop->paused = true;
}

void http_loop_resume(struct http_loop *loop)
{
  loop->paused = false;
  for (struct http_list *at = loop->stalled.next; at != &loop->stalled; at = at->next)
    http_conn_mark(HTTP_LIST_OF(at, struct http_conn, stalled_link));
}

void http_loop_drain(struct http_loop *loop)
{
  if (loop->draining || loop->closing)
    return;
  loop->draining = true;
  uv_close((uv_handle_t *)&loop->listener, on_closed);
  for (struct http_list *at = loop->conns.next; at != &loop->conns; at = at->next)
    http_conn_drain(HTTP_LIST_OF(at, struct http_conn, all));
}

void http_loop_close(struct http_loop *loop, void (*closed)(void *arg), void *arg)
{
  CHECK(!loop->closing);
  loop->closing = true;
  loop->closed = closed;
  loop->closed_arg = arg;
  while (!http_list_empty(&loop->conns))
    http_conn_close(HTTP_LIST_OF(loop->conns.next, struct http_conn, all), false);
  if (!loop->draining)
    uv_close((uv_handle_t *)&loop->listener, on_closed);
  uv_close((uv_handle_t *)&loop->sweep, on_closed);
  uv_close((uv_handle_t *)&loop->prepare, on_closed);
  uv_close((uv_handle_t *)&loop->awake, on_closed);
}
