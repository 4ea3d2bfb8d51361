/* test_http_live.c - streams without an end of their own: they end with their peer, however it goes
 * and whatever else the connection is doing. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "http_fixture.h"

static struct http_fixture fixture;
static struct http_client client;

struct live {
  struct http_exchange *exchange;
  unsigned gone; /* calls of writable with nobody there */
};

static void on_writable(struct http_exchange *exchange, void *arg)
{
  struct live *live = arg;
  if (http_stream_room(exchange) != SIZE_MAX)
    return;
  live->gone++;
  assert_false(http_stream_write(exchange, "x", 1));
  http_stream_end(exchange);
}

static void begin(struct http_exchange *exchange, struct live *live)
{
  live->exchange = exchange;
  http_stream_begin(exchange, 200, "text/event-stream", on_writable, live);
  http_stream_live(exchange);
  (void)http_stream_write(exchange, "hello", 5);
}

static void live_handler(struct http_exchange *exchange, void *user)
{
  struct http_fixture *mine = user;
  mine->handled++;
  begin(exchange, mine->test);
}

static void hold_handler(struct http_exchange *exchange, void *user)
{
  struct http_fixture *mine = user;
  mine->held[mine->held_count++] = exchange;
}

static void start(http_handler handler, struct live *live)
{
  fixture_init(&fixture);
  fixture.handler = handler;
  fixture.test = live;
  fixture_start(&fixture);
  client_open(&client, &fixture);
}

static void stop(void)
{
  client_close(&client);
  fixture_stop(&fixture);
}

static void test_live_stream_when_the_peer_ends_its_side_then_it_is_told_and_closed(void **state)
{
  static const char *const requests[] = {
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", /* no request may follow */
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /more HTTP/1.1\r\n",
    "GET / HTTP/1.0\r\n\r\n",
  };
  (void)state;
  for (unsigned i = 0; i < sizeof requests / sizeof requests[0]; i++) {
    struct live live = {0};
    start(live_handler, &live);
    client_send(&client, requests[i]);
    pump_count(&fixture, &fixture.handled, 1);
    pump_ready(&fixture);
    assert_int_equal(live.gone, 0);
    assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
    pump_count(&fixture, &live.gone, 1);
    assert_int_equal(fixture.ended, 1);
    stop();
    assert_int_equal(live.gone, 1);
  }
}

static void test_live_stream_when_the_peer_went_before_it_began_then_it_is_told(void **state)
{
  struct live live = {0};
  (void)state;
  start(hold_handler, &live);
  client_send(&client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  pump_count(&fixture, &fixture.held_count, 1);
  assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
  pump_ready(&fixture);
  begin(fixture.held[0], &live);
  pump_count(&fixture, &live.gone, 1);
  stop();
}

static void test_live_stream_when_it_ends_before_it_is_told_then_nobody_is_called(void **state)
{
  struct live live = {0};
  (void)state;
  start(hold_handler, &live);
  client_send(&client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  pump_count(&fixture, &fixture.held_count, 1);
  assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
  pump_ready(&fixture);
  begin(fixture.held[0], &live);
  http_stream_end(fixture.held[0]); /* the telling was on its way */
  pump_ready(&fixture);
  assert_int_equal(live.gone, 0);
  stop();
}

static void test_live_stream_when_the_peer_sends_on_then_it_is_not_read_as_a_request(void **state)
{
  struct live live = {0};
  (void)state;
  start(live_handler, &live);
  client_send(&client, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  pump_count(&fixture, &fixture.handled, 1);
  pump_ready(&fixture);
  client_send(&client, "GET / HTTP/1.1\r\nHost: a\r\n\r\nand nonsense\r\n\r\n");
  pump_ready(&fixture);
  assert_int_equal(fixture.handled, 1);
  assert_int_equal(live.gone, 0);
  (void)http_stream_write(live.exchange, "hello", 5);
  http_stream_end(live.exchange);
  client_expect(&client, 200, "hellohello");
  client_expect_end(&client);
  assert_int_equal(fixture.ended, 1);
  stop();
}

static void test_stream_when_not_live_and_the_peer_ends_its_side_then_it_gets_the_rest(void **state)
{
  struct live live = {0};
  (void)state;
  start(hold_handler, &live);
  client_send(&client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  pump_count(&fixture, &fixture.held_count, 1);
  http_stream_begin(fixture.held[0], 200, "text/plain", on_writable, &live);
  assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
  pump_ready(&fixture);
  assert_true(http_stream_write(fixture.held[0], "hello", 5));
  http_stream_end(fixture.held[0]);
  client_expect(&client, 200, "hello");
  client_expect_end(&client);
  assert_int_equal(live.gone, 0);
  stop();
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_live_stream_when_the_peer_ends_its_side_then_it_is_told_and_closed),
    cmocka_unit_test(test_live_stream_when_the_peer_went_before_it_began_then_it_is_told),
    cmocka_unit_test(test_live_stream_when_it_ends_before_it_is_told_then_nobody_is_called),
    cmocka_unit_test(test_live_stream_when_the_peer_sends_on_then_it_is_not_read_as_a_request),
    cmocka_unit_test(test_stream_when_not_live_and_the_peer_ends_its_side_then_it_gets_the_rest),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
