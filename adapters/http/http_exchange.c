/* http_exchange.c - a request and its reply to be: its life, its place in the order of replies.
 *
 * Happy path: new, (bytes arrive,) enqueue, reply, done, and freed when its reply is in the
 * connection's output. Two things hold it: the connection's order, and the handler that owes the
 * reply. A handler that is late is answered for (expire); a connection that is gone lets go of it
 * (detach); either way it lives on until the handler has replied.
 * Invariant: conn->in_flight is the length of conn->exchanges. */
#include <string.h>

#include "holdfast/check.h"
#include "http_internal.h"

#define FREE_EXCHANGES_MAX 512u

struct http_exchange *http_exchange_new(struct http_conn *conn)
{
  struct http_loop *loop = conn->loop;
  struct http_exchange *exchange = loop->free_exchanges;
  const size_t at = offsetof(struct http_exchange, order);

  if (exchange != NULL) {
    loop->free_exchanges = exchange->next;
    loop->free_exchanges_count--;
    /* The request comes first and is overwritten by the parser. */
    memset((char *)exchange + at, 0, sizeof *exchange - at);
  } else {
    exchange = rt_alloc(sizeof *exchange);
  }
  http_list_init(&exchange->order);
  http_list_init(&exchange->timed);
  exchange->conn = conn;
  exchange->route = "unmatched";
  conn->refs++;
  loop->exchanges++;
  return exchange;
}

static void release_data(struct http_exchange *exchange)
{
  void (*release)(void *data) = exchange->release;
  exchange->release = NULL;
  if (release != NULL)
    release(exchange->data);
  exchange->data = NULL;
}

void http_exchange_free(struct http_exchange *exchange)
{
  struct http_conn *conn = exchange->conn;
  struct http_loop *loop = conn->loop;

  CHECK(!exchange->owed && http_list_empty(&exchange->order));
  release_data(exchange);
  http_list_remove(&exchange->timed);
  http_buffer_free(&loop->pool, &exchange->copy);
  http_buffer_free(&loop->pool, &exchange->headers);
  conn->held -= exchange->out.size;
  http_buffer_free(&loop->pool, &exchange->out);
  exchange->conn = NULL;
  if (loop->free_exchanges_count < FREE_EXCHANGES_MAX) {
    exchange->next = loop->free_exchanges;
    loop->free_exchanges = exchange;
    loop->free_exchanges_count++;
  } else {
    rt_free(exchange);
  }
  http_conn_unref(conn);
  CHECK(loop->exchanges > 0);
  loop->exchanges--;
  http_loop_settle(loop);
}

static bool id_is_sane(struct http_slice id)
{
  if (id.size < 8 || id.size > HTTP_REQUEST_ID_MAX)
    return false;
  for (size_t i = 0; i < id.size; i++) {
    const char c = id.at[i];
    const bool alphanumeric =
      (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!alphanumeric && c != '.' && c != '_' && c != '-')
      return false;
  }
  return true;
}

void http_exchange_name(struct http_exchange *exchange, struct http_slice id)
{
  static const char digits[] = "0123456789abcdef";
  struct http_loop *loop = exchange->conn->loop;

  if (id.at != NULL && id_is_sane(id)) {
    memcpy(exchange->request_id, id.at, id.size);
    exchange->request_id[id.size] = '\0';
    return;
  }
  /* splitmix64: one round visits every number once, so ids of a loop never repeat; the random
   * start keeps loops and processes apart. */
  uint64_t x = loop->id_state += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  x ^= x >> 31;
  for (unsigned i = 0; i < 16; i++)
    exchange->request_id[i] = digits[(x >> (60 - 4 * i)) & 15];
  exchange->request_id[16] = '\0';
}

/* ---- order ----------------------------------------------------------------------------------- */

void http_exchange_enqueue(struct http_exchange *exchange)
{
  struct http_conn *conn = exchange->conn;
  CHECK(http_list_empty(&exchange->order) && !exchange->answered);
  CHECK(exchange->request_id[0] != '\0');
  http_list_append(&conn->exchanges, &exchange->order);
  conn->in_flight++;
}

struct http_buffer *http_exchange_out(struct http_exchange *exchange)
{
  struct http_conn *conn = exchange->conn;
  CHECK(!exchange->detached);
  return conn->exchanges.next == &exchange->order ? &conn->out : &exchange->out;
}

void http_exchange_wrote(struct http_exchange *exchange, const struct http_buffer *out,
                         size_t before)
{
  const size_t size = out->size - before;
  exchange->bytes_out += size;
  if (out == &exchange->out)
    exchange->conn->held += size;
}

/* The promise is kept, or nobody waits for it any more. */
static void promise_end(struct http_exchange *exchange)
{
  CHECK(exchange->conn->promised >= exchange->promised);
  exchange->conn->promised -= exchange->promised;
  exchange->promised = 0;
}

static bool reply_fits(const struct http_conn *conn, const struct http_exchange *exchange,
                       size_t size)
{
  const size_t most = conn->loop->limits.write_buffer_max;
  const size_t queued = http_output_queued(conn);
  if (conn->exchanges.next == &exchange->order)
    return queued < most;
  const size_t waits = queued + conn->held + conn->promised;
  return waits < most && size <= most - waits;
}

bool http_reply_fits(struct http_exchange *exchange, size_t size)
{
  struct http_conn *conn = exchange->conn;
  const struct http_loop *loop = conn->loop;

  CHECK(exchange->owed && !exchange->answered && !exchange->detached);
  CHECK(conn->deferred == NULL && exchange->promised == 0);
  if (reply_fits(conn, exchange, size)) {
    exchange->promised =
      size < loop->limits.write_buffer_max ? size : loop->limits.write_buffer_max;
    conn->promised += exchange->promised;
    return true;
  }
  exchange->owed = false;
  http_list_remove(&exchange->timed); /* It is the peer who is late. */
  conn->deferred = exchange;
  conn->deferred_size = size;
  if (loop->observer.deferred != NULL)
    loop->observer.deferred(loop->user);
  return false;
}

bool http_exchange_may_go_on(const struct http_conn *conn)
{
  return conn->deferred != NULL && !conn->closing && !conn->loop->paused &&
         reply_fits(conn, conn->deferred, conn->deferred_size);
}

bool http_exchange_closes(struct http_exchange *exchange)
{
  if (exchange->last)
    exchange->conn->no_more = true;
  return exchange->last;
}

static void dequeue(struct http_exchange *exchange)
{
  CHECK(exchange->conn->in_flight > 0);
  exchange->conn->in_flight--;
  promise_end(exchange);
  http_list_remove(&exchange->order);
}

void http_exchange_detach(struct http_exchange *exchange)
{
  dequeue(exchange);
  http_list_remove(&exchange->timed);
  exchange->detached = true;
  if (exchange->conn->deferred == exchange)
    exchange->conn->deferred = NULL;
  if (!exchange->owed) {
    http_exchange_free(exchange);
  } else if (exchange->streaming) {
    http_stream_lose(exchange);
  }
}

/* Lets all replies go whose turn it is. */
static void order_advance(struct http_conn *conn)
{
  struct http_pool *pool = &conn->loop->pool;

  while (!http_list_empty(&conn->exchanges)) {
    struct http_exchange *exchange =
      HTTP_LIST_OF(conn->exchanges.next, struct http_exchange, order);
    /* What was rendered early joins the connection's output. */
    http_buffer_add(pool, &conn->out, exchange->out.data, exchange->out.size);
    conn->held -= exchange->out.size;
    http_buffer_free(pool, &exchange->out);
    if (!exchange->answered)
      return;
    const bool last = exchange->last;
    dequeue(exchange);
    if (!exchange->owed)
      http_exchange_free(exchange);
    while (last && !http_list_empty(&conn->exchanges)) /* Nothing may follow a last reply. */
      http_exchange_detach(HTTP_LIST_OF(conn->exchanges.next, struct http_exchange, order));
  }
  http_exchange_continue(conn);
}

void http_exchange_continue(struct http_conn *conn)
{
  if (!conn->want_continue || !http_list_empty(&conn->exchanges))
    return;
  CHECK(conn->incoming != NULL);
  conn->want_continue = false;
  http_buffer_text(&conn->loop->pool, &conn->out, "HTTP/1.1 100 Continue\r\n\r\n");
  http_conn_mark(conn);
}

static void report(const struct http_exchange *exchange, unsigned status)
{
  const struct http_loop *loop = exchange->conn->loop;
  /* Once the loop is closed, what the observer is called with may be gone. */
  if (loop->observer.exchange_end == NULL || loop->closed_all)
    return;
  loop->observer.exchange_end(loop->user, exchange, status, exchange->bytes_in, exchange->bytes_out,
                              http_now_us() - exchange->started_us);
}

void http_exchange_done(struct http_exchange *exchange, unsigned status)
{
  struct http_conn *conn = exchange->conn;

  CHECK(!exchange->answered && !exchange->detached);
  exchange->answered = true;
  promise_end(exchange);
  http_list_remove(&exchange->timed);
  report(exchange, status);
  if (!exchange->owed)
    release_data(exchange);
  order_advance(conn);
  http_conn_mark(conn);
}

void http_exchange_expire(struct http_exchange *exchange)
{
  CHECK(exchange->owed && !exchange->answered && !exchange->streaming);
  /* What the handler has added so far was for its own reply. */
  exchange->headers.size = 0;
  exchange->etag_at = 0;
  http_exchange_problem(exchange,
                        &(struct http_problem){.error = HF_E_TIMEOUT, .retry_after_s = 1});
}

bool http_exchange_dropped(struct http_exchange *exchange, unsigned status)
{
  CHECK(exchange->owed);
  if (!exchange->detached && !exchange->answered)
    return false;
  if (!exchange->answered) {
    exchange->answered = true;
    exchange->bytes_out = 0;
    report(exchange, status);
  }
  exchange->owed = false;
  http_list_remove(&exchange->timed); /* a stream that was to be told of it ends before that */
  release_data(exchange);
  if (http_list_empty(&exchange->order)) /* Otherwise it still waits for its turn. */
    http_exchange_free(exchange);
  return true;
}

/* ---- what a handler sees --------------------------------------------------------------------- */

const struct http_request *http_request_of(const struct http_exchange *exchange)
{
  return &exchange->request;
}

const char *http_request_id(const struct http_exchange *exchange)
{
  return exchange->request_id;
}

uint64_t http_started_us(const struct http_exchange *exchange)
{
  return exchange->started_us;
}

bool http_peer_is_loopback(const struct http_exchange *exchange)
{
  return exchange->conn->peer.loopback;
}

const char *http_peer_address(const struct http_exchange *exchange)
{
  return exchange->conn->peer.text;
}

void http_set_data(struct http_exchange *exchange, void *data, void (*release)(void *data))
{
  CHECK(exchange->owed);
  exchange->data = data;
  exchange->release = release;
}

void *http_data(const struct http_exchange *exchange)
{
  return exchange->data;
}

struct http_loop *http_loop_of(const struct http_exchange *exchange)
{
  return exchange->conn->loop;
}

void *http_user(const struct http_exchange *exchange)
{
  return exchange->conn->loop->user;
}

void http_set_route(struct http_exchange *exchange, const char *route, unsigned route_index)
{
  exchange->route = route;
  exchange->route_index = route_index;
}
