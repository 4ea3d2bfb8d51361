/* Every state in which a connection can be, and every way in which it can end there: the peer
 * closes, the peer resets, the loop drains and closes, the loop closes at once; and descriptors
 * that run out. Each exchange is let go of once, and nothing stays open. */
#include "tests/unit/http_fixture.h"

#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

static struct http_fixture fixture;
static struct http_client client;

/* ---- handlers -------------------------------------------------------------------------------- */

static char large[4u * 1024u * 1024u]; /* more than sockets hold */

static void release(void *data)
{
  struct http_fixture *mine = data;
  mine->released++;
}

/* Goes on for as long as somebody takes it. */
static void stream_go_on(struct http_exchange *exchange, void *arg)
{
  (void)arg;
  while (http_stream_room(exchange) >= 50000u)
    if (!http_stream_write(exchange, large, 50000u)) {
      http_stream_end(exchange);
      return;
    }
}

static void handle(struct http_exchange *exchange, void *user)
{
  struct http_fixture *mine = user;
  char kind = http_request_of(exchange)->path.at[1];
  mine->handled++;
  http_set_data(exchange, mine, release);
  if (kind == 'h')
    mine->held[mine->held_count++] = exchange;
  else if (kind == 's')
    http_stream_begin(exchange, 200, "text/plain", stream_go_on, NULL);
  else if (kind == 'l')
    http_reply(exchange, 200, "text/plain", large, sizeof large);
  else
    http_reply(exchange, 200, "text/plain", "ok", 2);
}

/* ---- states ---------------------------------------------------------------------------------- */

static const struct state {
  const char *name;
  const char *sent;
  unsigned handled; /* requests that reach the handler */
  bool reads;       /* the client */
  bool second;      /* the second request is answered before the first */
  unsigned status;  /* of a reply that the client waits for; 0: none */
} states[] = {
  {"nothing was sent", "", 0, true, false, 0},
  {"within a head", "GET / HTTP/1.1\r\nHo", 0, true, false, 0},
  {"within a body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab", 0, true, false, 0},
  {"within a chunk", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", 0,
   true, false, 0},
  {"before a body that waits for 100",
   "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n", 0, true,
   false, 0},
  {"a handler is busy", GET("/hold"), 1, true, false, 0},
  {"a handler is busy, and a head has begun", GET("/hold") "GET /", 1, true, false, 0},
  {"a reply waits for an earlier one", GET("/hold") GET("/hold"), 2, true, true, 0},
  {"a stream waits for an earlier reply", GET("/hold") GET("/stream"), 2, true, false, 0},
  {"idle after a reply", GET("/"), 1, true, false, 200},
  {"a reply is being written", GET("/large"), 1, false, false, 0},
  {"replies are being written, and a handler is busy", GET("/large") GET("/hold"), 2, false, false,
   0},
  {"a stream waits for room", GET("/stream"), 1, false, false, 0},
  {"refused, and the peer has not closed", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\nmore", 0,
   true, false, 400},
  {"answered with a close", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 1, true,
   false, 200},
};

static void bring(const struct state *state)
{
  fixture_init(&fixture);
  fixture.handler = handle;
  fixture_start(&fixture);
  client_open(&client, &fixture);
  client_read(&client, state->reads);
  client_send(&client, state->sent);
  if (state->handled > 0)
    pump_count(&fixture, &fixture.handled, state->handled);
  pump_ready(&fixture);
  if (state->second) {
    held_answer(&fixture, 1);
    pump_ready(&fixture);
  }
  if (state->status != 0) {
    struct http_response response = {.body = NULL};
    client_receive(&client, false, &response);
    assert_int_equal(response.status, state->status);
    response_free(&response);
  }
}

/* What is still held is answered, to whoever is there; then nothing may be left. */
static void end(const struct state *state)
{
  for (unsigned i = 0; i < fixture.held_count; i++)
    if (fixture.held[i] != NULL)
      held_answer(&fixture, i);
  if (!fixture.closed)
    pump_ready(&fixture);
  fixture_stop(&fixture);
  if (fixture.released != state->handled || fixture.handled != state->handled)
    fail_msg("%s: %u of %u were let go of", state->name, fixture.released, fixture.handled);
}

static bool nobody_is_there(void *arg)
{
  (void)arg;
  return http_loop_connections(fixture.http) == 0;
}

/* ---- ways to end ----------------------------------------------------------------------------- */

#define EACH(state)                                                                                \
  (const struct state *state = states; state < states + sizeof states / sizeof states[0]; state++)

static void test_connection_when_the_peer_closes_in_any_state_then_all_is_let_go(void **test)
{
  (void)test;
  for
    EACH(state)
    {
      bring(state);
      client_close(&client);
      pump_ready(&fixture);
      end(state);
    }
}

static void test_connection_when_the_peer_resets_in_any_state_then_all_is_let_go(void **test)
{
  static const struct linger now = {1, 0};
  (void)test;
  for
    EACH(state)
    {
      bring(state);
      assert_int_equal(setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
      client_close(&client);
      pump_until(&fixture, nobody_is_there, NULL);
      end(state);
    }
}

static void test_connection_when_the_peer_ends_its_side_in_any_state_then_all_is_let_go(void **test)
{
  (void)test;
  for
    EACH(state)
    {
      bring(state);
      assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
      pump_ready(&fixture);
      client_close(&client);
      end(state);
    }
}

static void closed(void *arg)
{
  struct http_fixture *mine = arg;
  mine->closed = true;
}

static void test_connection_when_the_loop_closes_in_any_state_then_all_is_let_go(void **test)
{
  (void)test;
  for
    EACH(state)
    {
      bring(state);
      http_loop_close(fixture.http, closed, &fixture);
      while (!fixture.closed)
        uv_run(&fixture.uv, UV_RUN_ONCE);
      client_read(&client, true);
      while (!client.ended)
        uv_run(&fixture.uv, UV_RUN_ONCE);
      client_close(&client);
      end(state);
    }
}

static void test_connection_when_the_loop_drains_in_any_state_then_all_is_let_go(void **test)
{
  (void)test;
  for
    EACH(state)
    {
      bring(state);
      http_loop_drain(fixture.http);
      pump_ready(&fixture);
      for (unsigned i = 0; i < fixture.held_count; i++)
        if (fixture.held[i] != NULL)
          held_answer(&fixture, i);
      pump_ready(&fixture);
      client_close(&client);
      end(state);
    }
}

/* ---- descriptors ----------------------------------------------------------------------------- */

static void test_accept_when_descriptors_run_out_then_served_when_there_are_some_again(void **test)
{
  struct rlimit before, few;
  struct http_client late;
  (void)test;
  fixture_init(&fixture);
  fixture_start(&fixture);
  client_open(&client, &fixture);
  client_send(&client, GET("/"));
  client_expect(&client, 200, "GET / ");
  client_open(&late, &fixture);          /* waits in the backlog */
  int next = fcntl(late.fd, F_DUPFD, 0); /* the lowest that is free */
  assert_true(next >= 0);
  assert_int_equal(close(next), 0);
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
  few = before;
  few.rlim_cur = (rlim_t)next;
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
  assert_int_equal(socket(AF_INET, SOCK_STREAM, 0), -1);
  pump_ready(&fixture);
  assert_int_equal(http_loop_connections(fixture.http), 1);
  client_send(&client, GET("/"));
  client_expect(&client, 200, "GET / "); /* those that are there are served */
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
  client_close(&late); /* it was let go, or waits still */
  client_open(&late, &fixture);
  client_send(&late, GET("/"));
  client_expect(&late, 200, "GET / ");
  client_close(&late);
  client_close(&client);
  fixture_stop(&fixture);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_connection_when_the_peer_closes_in_any_state_then_all_is_let_go),
    cmocka_unit_test(test_connection_when_the_peer_resets_in_any_state_then_all_is_let_go),
    cmocka_unit_test(test_connection_when_the_peer_ends_its_side_in_any_state_then_all_is_let_go),
    cmocka_unit_test(test_connection_when_the_loop_closes_in_any_state_then_all_is_let_go),
    cmocka_unit_test(test_connection_when_the_loop_drains_in_any_state_then_all_is_let_go),
    cmocka_unit_test(test_accept_when_descriptors_run_out_then_served_when_there_are_some_again),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
