/* http_timer.c - deadlines of connections and exchanges.
 *
 * All who wait for the same thing wait equally long, so that each list is in order of deadline by
 * appending, and a sweep looks at what has expired and one more. The timer is coarse (a quarter of
 * the shortest timeout, at most HTTP_SWEEP_MS_MAX); nothing expires early. */
#include "holdfast/check.h"
#include "http_internal.h"

static uint64_t ms_of(uint64_t us)
{
  const uint64_t ms = us / 1000;
  return ms > 0 ? ms : 1;
}

void http_timer_init(struct http_loop *loop)
{
  const struct http_limits *limits = &loop->limits;
  uint64_t shortest = HTTP_SWEEP_MS_MAX * 4;

  loop->phase_ms[HTTP_PHASE_IDLE] = ms_of(limits->idle_timeout_us);
  loop->phase_ms[HTTP_PHASE_HEAD] = ms_of(limits->head_timeout_us);
  loop->phase_ms[HTTP_PHASE_BODY] = ms_of(limits->body_timeout_us);
  loop->phase_ms[HTTP_PHASE_LINGER] = HTTP_LINGER_MS;
  loop->handler_ms = ms_of(limits->handler_timeout_us);
  loop->write_ms = ms_of(limits->write_timeout_us);
  for (unsigned i = HTTP_PHASE_IDLE; i < HTTP_PHASE_COUNT; i++)
    shortest = loop->phase_ms[i] < shortest ? loop->phase_ms[i] : shortest;
  shortest = loop->handler_ms < shortest ? loop->handler_ms : shortest;
  shortest = loop->write_ms < shortest ? loop->write_ms : shortest;
  loop->sweep_ms = shortest >= 4 ? shortest / 4 : 1;
  for (unsigned i = 0; i < HTTP_PHASE_COUNT; i++)
    http_list_init(&loop->phases[i]);
  http_list_init(&loop->writes);
  http_list_init(&loop->handling);
}

void http_timer_phase(struct http_conn *conn, enum http_phase phase, bool again)
{
  struct http_loop *loop = conn->loop;

  if (conn->phase == phase && !again)
    return;
  conn->phase = phase;
  http_list_remove(&conn->phased);
  if (phase == HTTP_PHASE_NONE)
    return;
  conn->phase_deadline_ms = http_now_ms(loop) + loop->phase_ms[phase];
  http_list_append(&loop->phases[phase], &conn->phased);
}

void http_timer_write(struct http_conn *conn)
{
  conn->write_left = http_output_unread(conn);
  conn->write_deadline_ms = http_now_ms(conn->loop) + conn->loop->write_ms;
  http_list_append(&conn->loop->writes, &conn->writes);
}

void http_timer_handler(struct http_exchange *exchange)
{
  struct http_loop *loop = exchange->conn->loop;
  exchange->deadline_ms = http_now_ms(loop) + loop->handler_ms;
  http_list_append(&loop->handling, &exchange->timed);
}

static void phase_expire(struct http_conn *conn)
{
  const enum http_phase phase = conn->phase;

  http_timer_phase(conn, HTTP_PHASE_NONE, false);
  if (conn->incoming == NULL) {
    CHECK(phase != HTTP_PHASE_HEAD);
    http_conn_close(conn, false);
    return;
  }
  CHECK(phase == HTTP_PHASE_HEAD || phase == HTTP_PHASE_BODY);
  http_conn_refuse(conn, HF_E_REQUEST_TIMEOUT, NULL);
  http_conn_turn(conn);
}

/* A peer that reads slowly but does read may go on; one that does not is cut off. */
static void write_expire(struct http_conn *conn)
{
  const size_t left = http_output_unread(conn);

  if (left < conn->write_left && conn->write_left - left >= HTTP_PROGRESS_MIN) {
    http_timer_write(conn);
    return;
  }
  if (conn->loop->observer.refused != NULL)
    conn->loop->observer.refused(conn->loop->user, "slow_reader");
  http_conn_close(conn, true);
}

static void on_sweep(uv_timer_t *timer)
{
  struct http_loop *loop = timer->data;
  const uint64_t now = http_now_ms(loop);

  for (unsigned i = HTTP_PHASE_IDLE; i < HTTP_PHASE_COUNT; i++) {
    while (!http_list_empty(&loop->phases[i])) {
      struct http_conn *conn = HTTP_LIST_OF(loop->phases[i].next, struct http_conn, phased);
      if (conn->phase_deadline_ms > now)
        break;
      phase_expire(conn);
    }
  }
  while (!http_list_empty(&loop->writes)) {
    struct http_conn *conn = HTTP_LIST_OF(loop->writes.next, struct http_conn, writes);
    if (conn->write_deadline_ms > now)
      break;
    write_expire(conn);
  }
  while (!http_list_empty(&loop->handling)) {
    struct http_exchange *exchange = HTTP_LIST_OF(loop->handling.next, struct http_exchange, timed);
    if (exchange->deadline_ms > now)
      break;
    http_exchange_expire(exchange);
  }
}

void http_timer_start(struct http_loop *loop)
{
  if (!uv_is_active((const uv_handle_t *)&loop->sweep))
    CHECK(uv_timer_start(&loop->sweep, on_sweep, loop->sweep_ms, loop->sweep_ms) == 0);
}

void http_timer_stop(struct http_loop *loop)
{
  uv_timer_stop(&loop->sweep);
}
