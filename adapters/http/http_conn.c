/* http_conn.c - bytes in: cuts requests out of a connection's input and hands them on.
 *
 * Happy path: bytes arrive in the loop's shared buffer, complete requests are handed to the
 * handler out of it, and an incomplete rest is kept in the connection's own buffer. Reading stops
 * when the connection may take no further request (too many in flight, too much unsent output, the
 * runtime is full) and goes on in a later turn.
 * Ways to fail: a parse error, a limit, a deadline: answered, then closed; the peer is gone.
 * Invariants: incoming != NULL means that its bytes from the first one on are in `in` between
 * callbacks; deferred is the newest request, and nothing is taken behind it; no_more means that
 * incoming is NULL and stays so; stalled means that nothing is read, and is the case whenever bytes
 * wait in `in` that were not looked at. */
#include <string.h>

#include "holdfast/check.h"
#include "http_internal.h"

#define FREE_CONNS_MAX 1024u

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_bytes);
static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *bytes);

/* ---- life ------------------------------------------------------------------------------------ */

struct http_conn *http_conn_new(struct http_loop *loop)
{
  struct http_conn *conn = loop->free_conns;
  if (conn != NULL) {
    loop->free_conns = conn->next;
    loop->free_conns_count--;
    memset(conn, 0, sizeof *conn);
  } else {
    conn = rt_alloc(sizeof *conn);
  }
  conn->loop = loop;
  conn->refs = 1;
  http_list_init(&conn->all);
  http_list_init(&conn->phased);
  http_list_init(&conn->writes);
  http_list_init(&conn->dirty);
  http_list_init(&conn->stalled_link);
  http_list_init(&conn->exchanges);
  CHECK(uv_tcp_init(loop->uv, &conn->tcp) == 0);
  conn->tcp.data = conn;
  loop->handles++;
  http_list_append(&loop->conns, &conn->all);
  return conn;
}

void http_conn_unref(struct http_conn *conn)
{
  struct http_loop *loop = conn->loop;

  CHECK(conn->refs > 0);
  if (--conn->refs > 0)
    return;
  if (loop->free_conns_count >= FREE_CONNS_MAX) {
    rt_free(conn);
    return;
  }
  conn->next = loop->free_conns;
  loop->free_conns = conn;
  loop->free_conns_count++;
}

static void count_changed(struct http_loop *loop)
{
  if (loop->observer.connections != NULL)
    loop->observer.connections(loop->user, loop, loop->connections);
}

void http_conn_open(struct http_conn *conn, const char *reason)
{
  struct http_loop *loop = conn->loop;

  conn->refused = reason != NULL;
  if (conn->refused) {
    loop->refused++;
    if (loop->observer.refused != NULL)
      loop->observer.refused(loop->user, reason);
    if (loop->refused > HTTP_REFUSED_MAX) {
      http_conn_close(conn, false);
      return;
    }
  } else {
    loop->connections++;
    http_addresses_add(&loop->addresses, conn->peer.key);
    count_changed(loop);
  }
  http_timer_start(loop);
  if (conn->refused) {
    conn->read_us = http_now_us();
    http_conn_refuse(conn, HF_E_CONNECTION_LIMIT, NULL);
    http_conn_turn(conn);
    return;
  }
  CHECK(uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read) == 0);
  http_timer_phase(conn, HTTP_PHASE_IDLE, true);
}

static void on_conn_closed(uv_handle_t *handle)
{
  struct http_conn *conn = handle->data;
  struct http_loop *loop = conn->loop;

  CHECK(conn->closing && http_list_empty(&conn->exchanges) && conn->writing.size == 0);
  http_buffer_free(&loop->pool, &conn->in);
  http_buffer_free(&loop->pool, &conn->out);
  http_conn_unref(conn);
  http_loop_handle_closed(loop);
}

void http_conn_close(struct http_conn *conn, bool reset)
{
  struct http_loop *loop = conn->loop;

  if (conn->closing)
    return;
  conn->closing = true;
  while (!http_list_empty(&conn->exchanges))
    http_exchange_detach(HTTP_LIST_OF(conn->exchanges.next, struct http_exchange, order));
  if (conn->incoming != NULL) {
    http_exchange_free(conn->incoming);
    conn->incoming = NULL;
  }
  http_list_remove(&conn->all);
  http_list_remove(&conn->phased);
  http_list_remove(&conn->writes);
  http_list_remove(&conn->dirty);
  http_list_remove(&conn->stalled_link);
  if (conn->refused) {
    loop->refused--;
  } else {
    loop->connections--;
    http_addresses_remove(&loop->addresses, conn->peer.key);
    count_changed(loop);
  }
  if (http_list_empty(&loop->conns) && !loop->closing)
    http_timer_stop(loop);
  if (!reset || uv_tcp_close_reset(&conn->tcp, on_conn_closed) != 0)
    uv_close((uv_handle_t *)&conn->tcp, on_conn_closed);
}

/* ---- requests -------------------------------------------------------------------------------- */

/* The bytes that are being cut: the loop's shared buffer, or the connection's own. */
struct input {
  char *data;
  size_t size;
  size_t used;
};

bool http_conn_may_parse(const struct http_conn *conn)
{
  const struct http_loop *loop = conn->loop;
  return !conn->closing && !conn->no_more && !loop->paused && conn->deferred == NULL &&
         conn->in_flight < loop->limits.pipeline_max &&
         http_output_queued(conn) + conn->held < loop->limits.write_buffer_max;
}

static void request_begin(struct http_conn *conn)
{
  struct http_exchange *exchange = http_exchange_new(conn);

  exchange->started_us = conn->read_us;
  http_parser_init(&conn->parser, &exchange->request, &conn->loop->limits);
  conn->incoming = exchange;
  conn->fresh = true;
}

/* Takes the request out of the connection, with a copy of its first `size` bytes. */
static struct http_exchange *request_take(struct http_conn *conn, size_t size)
{
  struct http_exchange *exchange = conn->incoming;
  struct http_parser *parser = &conn->parser;
  struct http_slice id = {NULL, 0};

  if (size > 0) {
    http_buffer_add(&conn->loop->pool, &exchange->copy, parser->base, size);
    http_request_move(&exchange->request, parser->base, size, exchange->copy.data);
  }
  if (parser->request_id_at > 0 && exchange->copy.size > 0)
    id = exchange->request.fields[parser->request_id_at - 1].value;
  http_exchange_name(exchange, id);
  exchange->bytes_in = parser->at;
  conn->incoming = NULL;
  conn->want_continue = false;
  return exchange;
}

/* The request joins the connection's order of replies. */
static void request_enqueue(struct http_conn *conn, struct http_exchange *exchange)
{
  const struct http_loop *loop = conn->loop;

  conn->requests++;
  if (loop->draining ||
      (loop->limits.requests_max > 0 && conn->requests >= loop->limits.requests_max))
    conn->linger = exchange->last = true;
  if (!exchange->request.keep_alive)
    exchange->last = true;
  if (exchange->last) {
    conn->no_more = true;
    conn->linger = conn->linger || conn->skip > 0;
  }
  http_exchange_enqueue(exchange);
}

void http_conn_refuse(struct http_conn *conn, enum hf_error error, const char *why)
{
  if (conn->incoming == NULL)
    request_begin(conn);
  const bool head = (conn->parser.seen & HTTP_SEEN_HEAD) != 0;
  struct http_request *request = &conn->incoming->request;
  const struct http_problem problem = {
    .error = error,
    .detail = why,
    .retry_after_s = error == HF_E_CONNECTION_LIMIT ? 1 : 0,
  };

  if (head) {
    request->body = (struct http_slice){conn->parser.base + conn->parser.body_at, 0};
  } else { /* What was read so far is no request. */
    request->fields_count = 0;
    request->path = request->query = request->body = (struct http_slice){NULL, 0};
  }
  struct http_exchange *exchange = request_take(conn, head ? conn->parser.body_at : 0);
  exchange->last = conn->linger = true;
  conn->skip = 0;
  request_enqueue(conn, exchange);
  http_exchange_problem(exchange, &problem);
}

/* A head was refused whose body is small and surely on its way: it is read and dropped, and the
 * connection stays in use. */
static void refuse_and_skip(struct http_conn *conn, struct input *input, enum hf_error error)
{
  const struct http_problem problem = {.error = error};
  const size_t head = conn->parser.body_at;
  const uint64_t body = conn->parser.length;

  struct http_exchange *exchange = request_take(conn, head);
  input->used += head;
  conn->skip = body;
  conn->fresh = true;
  request_enqueue(conn, exchange);
  http_exchange_problem(exchange, &problem);
}

/* The head of a request with a body is complete. */
static void request_head(struct http_conn *conn, struct input *input)
{
  struct http_loop *loop = conn->loop;
  struct http_parser *parser = &conn->parser;
  size_t body_max = loop->limits.body_max;
  enum hf_error error = HF_OK;

  if (parser->seen & HTTP_SEEN_EXPECT)
    error = HF_E_EXPECTATION_FAILED;
  if (error == HF_OK && loop->head_check != NULL)
    error = loop->head_check(&conn->incoming->request, &body_max, loop->user);
  if (error == HF_OK)
    error = http_parser_allow(parser,
                              body_max < loop->limits.body_max ? body_max : loop->limits.body_max);
  if (error != HF_OK) {
    const bool waits = (parser->seen & (HTTP_SEEN_CONTINUE | HTTP_SEEN_EXPECT)) != 0;
    if (error == HF_E_PAYLOAD_TOO_LARGE || waits || parser->seen & HTTP_SEEN_CHUNKED ||
        parser->length > HTTP_SKIP_MAX) {
      http_conn_refuse(conn, error, NULL);
      input->used = input->size;
    } else {
      refuse_and_skip(conn, input, error);
    }
    return;
  }
  /* A client that has sent some of the body already waits for nothing. */
  if (parser->seen & HTTP_SEEN_CONTINUE && parser->at == input->size - input->used) {
    conn->want_continue = true;
    http_exchange_continue(conn);
  }
}

static void request_hand_over(struct http_exchange *exchange)
{
  struct http_loop *loop = exchange->conn->loop;
  exchange->owed = true;
  http_timer_handler(exchange);
  loop->handler(exchange, loop->user);
}

/* The request is complete. A large one that has its buffer for itself keeps it, others are
 * copied: whatever a handler keeps a slice of lives as long as the exchange. */
static void request_complete(struct http_conn *conn, struct input *input)
{
  struct http_pool *pool = &conn->loop->pool;
  struct http_exchange *exchange = conn->incoming;
  const size_t total = conn->parser.at;
  const size_t kept = http_parser_kept(&conn->parser);

  if (input->data == conn->in.data && input->used == 0 && kept >= HTTP_TAKE_SIZE) {
    struct http_buffer rest = {NULL, 0, 0};
    http_buffer_add(pool, &rest, input->data + total, input->size - total);
    exchange->copy = conn->in;
    exchange->copy.size = kept;
    conn->in = rest;
    *input = (struct input){rest.data, rest.size, 0};
    request_take(conn, 0);
  } else {
    request_take(conn, kept);
    input->used += total;
  }
  request_enqueue(conn, exchange);
  if (conn->parser.seen & HTTP_SEEN_EXPECT) {
    http_exchange_problem(exchange, &(struct http_problem){.error = HF_E_EXPECTATION_FAILED});
    return;
  }
  request_hand_over(exchange);
}

/* Keeps what no request has used yet in the connection's own buffer. */
static void input_keep(struct http_conn *conn, const struct input *input)
{
  const size_t rest = input->size - input->used;
  struct http_pool *pool = &conn->loop->pool;

  if (input->data != conn->in.data) {
    CHECK(conn->in.size == 0);
    http_buffer_add(pool, &conn->in, input->data + input->used, rest);
  } else if (rest == 0) {
    http_buffer_free(pool, &conn->in);
  } else {
    if (input->used > 0)
      memmove(conn->in.data, input->data + input->used, rest);
    conn->in.size = rest;
  }
  if (conn->incoming != NULL) {
    CHECK(rest > 0);
    http_parser_moved(&conn->parser, conn->in.data);
  }
}

/* Stops reading until a turn finds that the connection may take requests again. */
static void conn_stall(struct http_conn *conn)
{
  conn->stalled = true;
  conn->linger = conn->linger || conn->no_more;
  uv_read_stop((uv_stream_t *)&conn->tcp);
  http_list_append(&conn->loop->stalled, &conn->stalled_link);
}

/* What it may still send is no request: it is read to see the peer go. */
static bool is_watched(const struct http_conn *conn)
{
  return conn->no_more && http_stream_is_live(conn);
}

static void conn_consume(struct http_conn *conn, struct input input)
{
  bool more = false; /* the request that is being read wants more bytes than there are */

  while (input.used < input.size && http_conn_may_parse(conn)) {
    const size_t there = input.size - input.used;
    if (conn->skip > 0) {
      const size_t count = there < conn->skip ? there : (size_t)conn->skip;
      input.used += count;
      conn->skip -= count;
      continue;
    }
    if (conn->incoming == NULL)
      request_begin(conn);
    const enum http_parse result = http_parser_run(&conn->parser, input.data + input.used, there);
    if (result == HTTP_PARSE_MORE) {
      input.size = input.used + http_parser_compact(&conn->parser);
      more = true;
      break;
    }
    if (result == HTTP_PARSE_HEAD) {
      request_head(conn, &input);
    } else if (result == HTTP_PARSE_DONE) {
      request_complete(conn, &input);
    } else {
      if (conn->loop->observer.refused != NULL)
        conn->loop->observer.refused(conn->loop->user, "parse");
      http_conn_refuse(conn, conn->parser.error, conn->parser.why);
      input.used = input.size;
    }
    if (conn->out.size >= HTTP_FLUSH_SIZE)
      http_output_flush(conn);
  }
  if (conn->closing)
    return;
  input_keep(conn, &input);
  if (conn->in.size > 0 && is_watched(conn))
    http_buffer_free(&conn->loop->pool, &conn->in);
  else if ((conn->in.size > 0 && !more) || conn->deferred != NULL)
    conn_stall(conn);
}

/* ---- reading --------------------------------------------------------------------------------- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_bytes)
{
  struct http_conn *conn = handle->data;
  struct http_loop *loop = conn->loop;

  (void)suggested;
  if (is_watched(conn)) {
    *ret_bytes = (uv_buf_t){.base = loop->read_buffer, .len = sizeof loop->read_buffer};
    return;
  }
  if (!conn->lingering && !http_conn_may_parse(conn)) {
    *ret_bytes = (uv_buf_t){.base = NULL, .len = 0}; /* Comes back as UV_ENOBUFS: stalls. */
    return;
  }
  if (conn->in.size == 0 || conn->lingering) {
    *ret_bytes = (uv_buf_t){.base = loop->read_buffer, .len = sizeof loop->read_buffer};
    return;
  }
  /* As much again as there is, so that a large body needs few copies and a lie about its size
   * costs little. */
  size_t more = HTTP_POOL_SMALL / 2;
  if (conn->incoming != NULL && conn->parser.seen & HTTP_SEEN_HEAD)
    more = conn->in.size < HTTP_READ_SIZE ? HTTP_POOL_SMALL : HTTP_READ_SIZE;
  http_buffer_room(&loop->pool, &conn->in, more);
  if (conn->incoming != NULL)
    http_parser_moved(&conn->parser, conn->in.data);
  ret_bytes->base = conn->in.data + conn->in.size;
  ret_bytes->len = conn->in.capacity - conn->in.size;
}

static void conn_unstall(struct http_conn *conn)
{
  conn->stalled = false;
  http_list_remove(&conn->stalled_link);
  if (conn->in.size > 0)
    conn_consume(conn, (struct input){conn->in.data, conn->in.size, 0});
  if (conn->closing || conn->stalled)
    return;
  if (http_conn_may_parse(conn))
    CHECK(uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read) == 0);
  else
    conn_stall(conn);
}

/* Hands over the request that had to wait for the replies before it. */
static void conn_go_on(struct http_conn *conn)
{
  struct http_exchange *exchange = conn->deferred;

  if (exchange != NULL && conn->loop->paused && !conn->stalled)
    conn_stall(conn); /* To be found when the pause ends. */
  if (exchange == NULL || !http_exchange_may_go_on(conn))
    return;
  conn->deferred = NULL;
  request_hand_over(exchange);
  CHECK(conn->deferred == NULL);
  http_output_flush(conn);
}

void http_conn_watch(struct http_conn *conn)
{
  if (conn->closing || conn->lingering || !conn->no_more)
    return;
  if (conn->ended) {
    http_conn_close(conn, false);
    return;
  }
  if (!conn->stalled)
    return;
  conn->stalled = false;
  http_list_remove(&conn->stalled_link);
  CHECK(uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read) == 0);
}

/* The peer sends no more: what is complete is still answered. */
static void conn_ended(struct http_conn *conn)
{
  conn->ended = conn->no_more = true;
  conn->linger = conn->want_continue = false;
  conn->skip = 0;
  if (conn->incoming != NULL) {
    http_exchange_free(conn->incoming);
    conn->incoming = NULL;
  }
  http_buffer_free(&conn->loop->pool, &conn->in);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *bytes)
{
  struct http_conn *conn = stream->data;

  if (count == 0 || conn->closing)
    return;
  if (conn->lingering || (is_watched(conn) && count != UV_ENOBUFS)) {
    conn->dropped += count > 0 ? (size_t)count : 0;
    if (count < 0 || conn->dropped > HTTP_LINGER_BYTES)
      http_conn_close(conn, false);
    return;
  }
  if (count == UV_ENOBUFS) {
    conn_stall(conn);
    http_timer_phase(conn, HTTP_PHASE_NONE, false);
    return;
  }
  if (count < 0 && (count != UV_EOF || http_stream_is_live(conn))) {
    http_conn_close(conn, false);
    return;
  }
  CHECK(conn->loop->active == NULL);
  conn->loop->active = conn;
  if (count == UV_EOF) {
    conn_ended(conn);
  } else {
    conn->read_us = http_now_us();
    if (bytes->base == conn->loop->read_buffer) {
      conn_consume(conn, (struct input){bytes->base, (size_t)count, 0});
    } else {
      conn->in.size += (size_t)count;
      conn_consume(conn, (struct input){conn->in.data, conn->in.size, 0});
    }
  }
  conn->loop->active = NULL;
  http_conn_turn(conn);
}

/* ---- turns ----------------------------------------------------------------------------------- */

static void on_shutdown(uv_shutdown_t *request, int status)
{
  (void)request; /* Whether it worked or not, the peer's end of input or the deadline comes next. */
  (void)status;
}

/* All is said. A peer that may still be sending is listened to for a while: closing at once would
 * reset the connection and could take the reply back from it. */
static void conn_finish(struct http_conn *conn)
{
  uv_stream_t *stream = (uv_stream_t *)&conn->tcp;

  if (!conn->linger) {
    http_conn_close(conn, false);
    return;
  }
  conn->lingering = true;
  conn->stalled = false;
  http_list_remove(&conn->stalled_link);
  http_buffer_free(&conn->loop->pool, &conn->in);
  http_timer_phase(conn, HTTP_PHASE_LINGER, true);
  if (uv_shutdown(&conn->shutdown, stream, on_shutdown) != 0) {
    http_conn_close(conn, false);
    return;
  }
  const int error = uv_read_start(stream, on_alloc, on_read);
  CHECK(error == 0 || error == UV_EALREADY);
}

/* Decides what the connection waits for. */
static void conn_settle(struct http_conn *conn)
{
  const size_t queued = http_output_queued(conn);
  const bool waits = conn->incoming != NULL || conn->skip > 0;
  enum http_phase phase = HTTP_PHASE_NONE;

  if (conn->lingering)
    return;
  if (conn->no_more && http_list_empty(&conn->exchanges) && queued == 0) {
    conn_finish(conn);
    return;
  }
  if (conn->stalled || conn->no_more)
    phase = HTTP_PHASE_NONE;
  else if (waits)
    phase =
      conn->skip > 0 || conn->parser.seen & HTTP_SEEN_HEAD ? HTTP_PHASE_BODY : HTTP_PHASE_HEAD;
  else if (http_list_empty(&conn->exchanges) && queued == 0)
    phase = HTTP_PHASE_IDLE;
  http_timer_phase(conn, phase, phase == HTTP_PHASE_IDLE || conn->fresh);
  conn->fresh = false;
}

void http_conn_turn(struct http_conn *conn)
{
  struct http_loop *loop = conn->loop;

  CHECK(loop->active == NULL);
  loop->active = conn;
  http_list_remove(&conn->dirty);
  http_output_flush(conn);
  http_stream_resume(conn);
  http_output_flush(conn);
  conn_go_on(conn);
  while (conn->stalled && http_conn_may_parse(conn)) {
    conn_unstall(conn);
    http_output_flush(conn);
  }
  loop->active = NULL;
  if (conn->closing)
    return;
  conn_settle(conn);
  if (!conn->closing && http_stream_waits(conn))
    http_conn_mark(conn);
}

void http_conn_mark(struct http_conn *conn)
{
  struct http_loop *loop = conn->loop;

  if (conn->closing || loop->closing || loop->active == conn)
    return;
  http_list_append(&loop->dirty, &conn->dirty);
  http_loop_wake(loop);
}

void http_conn_drain(struct http_conn *conn)
{
  if (conn->lingering || conn->closing)
    return;
  if (conn->incoming == NULL) {
    conn->no_more = true;
    conn->linger = conn->phase != HTTP_PHASE_IDLE;
    if (!http_list_empty(&conn->exchanges))
      HTTP_LIST_OF(conn->exchanges.prev, struct http_exchange, order)->last = true;
  }
  http_conn_mark(conn);
}
