/* test_http_limits.c - deadlines, caps and sizes: what the server does to peers that go too far. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "adapters/http/http_internal.h"
#include "http_fixture.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST(length) "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: " length "\r\n\r\n"

static struct http_fixture fixture;
static struct http_client client;
static struct http_response response;

static int setup(void **state)
{
  (void)state;
  fixture_init(&fixture);
  memset(&response, 0, sizeof response);
  return 0;
}

static void start(void)
{
  fixture_start(&fixture);
  client_open(&client, &fixture);
}

static void stop(void)
{
  response_free(&response);
  client_close(&client);
  fixture_stop(&fixture);
}

static void expect_refusal(unsigned status, const char *code)
{
  char member[64];
  client_receive(&client, false, &response);
  assert_int_equal(response.status, status);
  assert_string_equal(response_header(&response, "Content-Type"), "application/problem+json");
  assert_string_equal(response_header(&response, "Connection"), "close");
  snprintf(member, sizeof member, "\"code\":\"%s\"", code);
  assert_non_null(strstr(response.body, member));
  client_expect_end(&client);
}

/* ---- sizes ----------------------------------------------------------------------------------- */

static void test_request_when_malformed_then_400_after_the_earlier_replies_and_close(void **state)
{
  (void)state;
  start();
  client_send(&client, GET("/hold") "GET / HTTP/1.1\r\nHost : a\r\n\r\n" GET("/never"));
  pump_count(&fixture, &fixture.refused, 1);
  pump_ready(&fixture);
  assert_int_equal(client.size, 0);
  held_answer(&fixture, 0);
  client_expect(&client, 200, "held 0");
  expect_refusal(400, "bad_request");
  assert_string_equal(fixture.refused_reason, "parse");
  assert_int_equal(fixture.handled, 1);
  assert_int_equal(fixture.ended, 2);
  stop();
}

static void test_request_when_too_large_then_its_own_status_and_close(void **state)
{
  static const struct {
    const char *start;
    size_t fill;
    unsigned status;
    const char *code;
  } cases[] = {
    {"GET /", 9000, 414, "uri_too_long"},
    {"GET / HTTP/1.1\r\nHost: a\r\nA: ", 17000, 431, "headers_too_large"},
    {POST("8388609"), 0, 413, "payload_too_large"},
    {POST("99999999999999999999"), 0, 413, "payload_too_large"},
    {"GET / HTTP/3.0\r\n", 0, 505, "http_version_not_supported"},
  };
  char fill[17000];
  (void)state;
  memset(fill, 'a', sizeof fill);
  for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    setup(NULL);
    start();
    client_send(&client, cases[i].start);
    client_send_bytes(&client, fill, cases[i].fill);
    expect_refusal(cases[i].status, cases[i].code);
    stop();
  }
}

/* The peer goes on sending a body that was refused: it must still get to read why. */
static void test_refusal_when_peer_is_still_sending_then_it_is_not_reset(void **state)
{
  char piece[65536];
  (void)state;
  memset(piece, 'b', sizeof piece);
  fixture.limits.body_max = 100;
  start();
  client_send(&client, POST("500000"));
  for (unsigned i = 0; i < 7; i++)
    client_send_bytes(&client, piece, sizeof piece);
  expect_refusal(413, "payload_too_large");
  assert_false(client.reset);
  stop();
}

static void test_refusal_when_peer_never_stops_sending_then_it_is_cut_off(void **state)
{
  char piece[65536];
  (void)state;
  memset(piece, 'b', sizeof piece);
  start();
  client_send(&client, POST("99999999"));
  for (unsigned i = 0; i < 10000 && client_send_bytes(&client, piece, sizeof piece); i++)
    assert_true(i < 9999);
  while (http_loop_connections(fixture.http) > 0)
    uv_run(&fixture.uv, UV_RUN_ONCE);
  stop();
}

/* ---- deadlines ------------------------------------------------------------------------------- */

static void test_idle_when_no_request_comes_then_closes_without_a_word(void **state)
{
  (void)state;
  fixture.limits.idle_timeout_us = 5000;
  start();
  client_expect_end(&client);
  assert_int_equal(fixture.ended, 0);
  stop();
}

static void test_idle_when_time_is_up_between_requests_then_closes_without_a_word(void **state)
{
  (void)state;
  fixture.limits.idle_timeout_us = 300000;
  start();
  client_send(&client, GET("/"));
  client_expect(&client, 200, "GET / ");
  client_expect_end(&client);
  stop();
}

static void test_head_when_it_does_not_come_in_time_then_408(void **state)
{
  (void)state;
  fixture.limits.head_timeout_us = 10000;
  start();
  client_send(&client, "G");
  expect_refusal(408, "request_timeout");
  assert_int_equal(fixture.ended, 1);
  stop();
}

static void test_head_when_it_trickles_then_time_runs_from_its_first_byte(void **state)
{
  (void)state;
  fixture.limits.head_timeout_us = 20000;
  start();
  client_send(&client, "GET / HTTP/1.1\r\nA: ");
  while (fixture.ended == 0) {
    send(client.fd, "a", 1, MSG_NOSIGNAL);
    uv_run(&fixture.uv, UV_RUN_ONCE);
  }
  expect_refusal(408, "request_timeout");
  stop();
}

static void test_body_when_it_does_not_come_in_time_then_408(void **state)
{
  (void)state;
  fixture.limits.body_timeout_us = 10000;
  start();
  client_send(&client, POST("5") "abcd");
  expect_refusal(408, "request_timeout");
  stop();
}

static void test_handler_when_late_then_503_and_its_reply_is_dropped(void **state)
{
  (void)state;
  fixture.limits.handler_timeout_us = 10000;
  start();
  client_send(&client, GET("/hold"));
  client_receive(&client, false, &response);
  assert_int_equal(response.status, 503);
  assert_non_null(strstr(response.body, "\"code\":\"timeout\""));
  assert_null(response_header(&response, "Connection"));
  client_send(&client, GET("/next"));
  client_expect(&client, 200, "GET /next ");
  assert_int_equal(fixture.released, 0);
  assert_memory_equal(http_request_of(fixture.held[0])->path.at, "/hold", 5);
  held_answer(&fixture, 0);
  assert_int_equal(fixture.released, 1);
  assert_int_equal(fixture.ended, 2);
  client_send(&client, GET("/last"));
  client_expect(&client, 200, "GET /last ");
  stop();
}

static void test_handler_when_late_behind_an_earlier_one_then_order_is_kept(void **state)
{
  (void)state;
  fixture.limits.handler_timeout_us = 10000;
  start();
  client_send(&client, GET("/hold") GET("/hold"));
  pump_count(&fixture, &fixture.ended, 2); /* both timed out */
  held_answer(&fixture, 1);
  held_answer(&fixture, 0);
  client_receive(&client, false, &response);
  assert_int_equal(response.status, 503);
  client_receive(&client, false, &response);
  assert_int_equal(response.status, 503);
  assert_int_equal(fixture.released, 2);
  assert_int_equal(fixture.ended, 2);
  stop();
}

/* ---- slow readers ---------------------------------------------------------------------------- */

static void large_handler(struct http_exchange *exchange, void *user)
{
  static char body[262144];
  struct http_fixture *mine = user;
  mine->handled++;
  http_reply(exchange, 200, "application/octet-stream", body, sizeof body);
}

static void test_reader_when_it_does_not_read_then_requests_wait_and_it_is_reset(void **state)
{
  (void)state;
  fixture.handler = large_handler;
  fixture.limits.write_timeout_us = 100000;
  start();
  client_read(&client, false);
  bool sent = true; /* the server may give up before all are: sending is told of the reset then */
  for (unsigned i = 0; i < 200 && sent; i++)
    sent = client_send_bytes(&client, GET("/"), sizeof GET("/") - 1u);
  pump_count(&fixture, &fixture.refused, 1);
  assert_string_equal(fixture.refused_reason, "slow_reader");
  /* What the sockets hold, and the megabyte that may be queued: far less than 200 replies. */
  assert_in_range(fixture.handled, 4, 100);
  client_read(&client, true);
  while (!client.ended)
    uv_run(&fixture.uv, UV_RUN_ONCE);
  assert_true(client.reset || !sent);
  stop();
}

/* Reads until `size` bytes more have come. */
static void take_bytes(size_t size)
{
  client_read(&client, true);
  for (const size_t before = client.size; client.size - before < size;)
    uv_run(&fixture.uv, UV_RUN_ONCE);
  client_read(&client, false);
}

static void test_reader_when_it_reads_slowly_then_each_piece_buys_time(void **state)
{
  (void)state;
  fixture.handler = large_handler;
  fixture.limits.body_timeout_us = 4000; /* Nobody sends a body: only makes the sweep frequent. */
  start();
  client_read(&client, false);
  for (unsigned i = 0; i < 400; i++)
    client_send(&client, GET("/"));
  while (http_list_empty(&fixture.http->writes))
    uv_run(&fixture.uv, UV_RUN_ONCE);
  struct http_conn *conn = HTTP_LIST_OF(fixture.http->writes.next, struct http_conn, writes);
  for (unsigned i = 0; i < 4; i++) {
    while (conn->write_left < http_output_unread(conn) + HTTP_PROGRESS_MIN)
      take_bytes(100000);
    conn->write_deadline_ms = 0; /* It passes now. */
    while (conn->write_deadline_ms == 0 && fixture.refused == 0)
      uv_run(&fixture.uv, UV_RUN_ONCE);
    assert_int_equal(fixture.refused, 0);
  }
  while (fixture.refused ==
         0) { /* What is still on its way is progress too, but comes to an end. */
    conn->write_deadline_ms = 0;
    uv_run(&fixture.uv, UV_RUN_ONCE);
  }
  assert_string_equal(fixture.refused_reason, "slow_reader");
  stop();
}

static void test_reader_when_it_reads_again_then_all_replies_come(void **state)
{
  (void)state;
  fixture.handler = large_handler;
  start();
  client_read(&client, false);
  for (unsigned i = 0; i < 60; i++)
    client_send(&client, GET("/"));
  pump_ready(&fixture);
  assert_true(fixture.handled < 60);
  client_read(&client, true);
  for (unsigned i = 0; i < 60; i++) {
    client_receive(&client, false, &response);
    assert_int_equal(response.body_size, 262144);
  }
  assert_int_equal(fixture.handled, 60);
  stop();
}

/* ---- replies that wait ----------------------------------------------------------------------- */

#define PIECE 4000u

/* /hold is held; /large asks for its turn and is held then; else a small reply. */
static void turns_handler(struct http_exchange *exchange, void *user)
{
  static char body[PIECE];
  struct http_fixture *mine = user;
  const struct http_slice path = http_request_of(exchange)->path;
  const bool large = path.size == 6 && memcmp(path.at, "/large", 6) == 0;
  if (large && !http_reply_fits(exchange, SIZE_MAX))
    return;
  if (!large && path.size == 7 && !http_reply_fits(exchange, PIECE)) /* "/middle" */
    return;
  mine->handled++;
  if (large || (path.size == 5 && memcmp(path.at, "/hold", 5) == 0))
    mine->held[mine->held_count++] = exchange;
  else
    http_reply(exchange, 200, "application/octet-stream", body, sizeof body);
}

static void test_replies_when_an_earlier_one_is_missing_then_they_are_bounded_like_unsent_ones(
  void **state)
{
  (void)state;
  fixture.handler = turns_handler;
  fixture.limits.write_buffer_max = 3 * PIECE;
  start();
  client_send(&client, GET("/hold"));
  for (unsigned i = 0; i < 40; i++)
    client_send(&client, GET("/"));
  pump_count(&fixture, &fixture.handled, 4);
  pump_ready(&fixture);
  assert_int_equal(fixture.handled, 4);
  assert_in_range(http_loop_buffered(fixture.http), 3 * PIECE, 150000);
  held_answer(&fixture, 0);
  client_expect(&client, 200, "held 0");
  for (unsigned i = 0; i < 40; i++) {
    client_receive(&client, false, &response);
    assert_int_equal(response.body_size, PIECE);
  }
  assert_int_equal(fixture.deferred, 0);
  stop();
}

static void test_reply_when_large_then_it_waits_for_those_before_it_and_holds_up_those_behind(
  void **state)
{
  (void)state;
  fixture.handler = turns_handler;
  start();
  client_send(&client, GET("/large") GET("/large") GET("/") GET("/large"));
  pump_count(&fixture, &fixture.deferred, 1);
  pump_ready(&fixture);
  assert_int_equal(fixture.handled, 1);
  held_answer(&fixture, 0);
  client_expect(&client, 200, "held 0");
  pump_count(&fixture, &fixture.handled, 3); /* the second one, and the small one behind it */
  pump_count(&fixture, &fixture.deferred, 2);
  assert_int_equal(fixture.held_count, 2);
  held_answer(&fixture, 1);
  client_expect(&client, 200, "held 1");
  client_receive(&client, false, &response);
  assert_int_equal(response.body_size, PIECE);
  pump_count(&fixture, &fixture.held_count, 3);
  held_answer(&fixture, 2);
  client_expect(&client, 200, "held 2");
  assert_int_equal(fixture.deferred, 2);
  assert_int_equal(fixture.ended, 4);
  stop();
}

static void test_reply_when_its_size_fits_beside_the_others_then_it_does_not_wait(void **state)
{
  (void)state;
  fixture.handler = turns_handler;
  fixture.limits.write_buffer_max = 3 * PIECE;
  start();
  client_send(&client, GET("/hold") GET("/middle") GET("/middle") GET("/middle"));
  pump_count(&fixture, &fixture.deferred, 1);
  assert_int_equal(fixture.handled, 3);
  held_answer(&fixture, 0);
  client_expect(&client, 200, "held 0");
  for (unsigned i = 0; i < 3; i++)
    client_receive(&client, false, &response);
  assert_int_equal(fixture.deferred, 1);
  stop();
}

static void test_reply_when_it_waits_for_its_turn_then_no_deadline_runs_against_it(void **state)
{
  (void)state;
  fixture.handler = turns_handler;
  fixture.limits.handler_timeout_us = 10000;
  start();
  client_send(&client, GET("/large") GET("/large") GET("/never"));
  pump_count(&fixture, &fixture.ended, 1); /* the first one is late; the second's time begins */
  pump_count(&fixture, &fixture.held_count, 2);
  held_answer(&fixture, 1);
  client_receive(&client, false, &response);
  assert_int_equal(response.status, 503);
  client_expect(&client, 200, "held 1");
  held_answer(&fixture, 0);
  stop();
}

static void test_reply_when_it_waits_and_the_loop_rests_then_it_goes_on_after_that(void **state)
{
  (void)state;
  fixture.handler = turns_handler;
  start();
  client_send(&client, GET("/large") GET("/large"));
  pump_count(&fixture, &fixture.deferred, 1);
  http_loop_pause(fixture.http);
  held_answer(&fixture, 0);
  client_expect(&client, 200, "held 0");
  pump_ready(&fixture);
  assert_int_equal(fixture.held_count, 1);
  http_loop_resume(fixture.http);
  pump_count(&fixture, &fixture.held_count, 2);
  held_answer(&fixture, 1);
  client_expect(&client, 200, "held 1");
  stop();
}

static void test_reply_when_it_waits_and_the_server_closes_then_it_never_reaches_the_handler(
  void **state)
{
  (void)state;
  fixture.handler = turns_handler;
  start();
  client_send(&client, GET("/large") GET("/large"));
  pump_count(&fixture, &fixture.deferred, 1);
  stop();
  assert_int_equal(fixture.held_count, 1);
  http_reply(fixture.held[0], 200, NULL, NULL, 0);
  assert_int_equal(fixture.ended, 0);
}

/* ---- caps ------------------------------------------------------------------------------------ */

static void expect_over_cap(const char *reason)
{
  struct http_client over;
  client_open(&over, &fixture);
  client_receive(&over, false, &response);
  assert_int_equal(response.status, 503);
  assert_string_equal(response_header(&response, "Retry-After"), "1");
  assert_string_equal(response_header(&response, "Connection"), "close");
  assert_non_null(strstr(response.body, "\"retry_after\":1"));
  assert_non_null(strstr(response.body, "\"code\":\"too_many_connections\""));
  client_expect_end(&over);
  assert_string_equal(fixture.refused_reason, reason);
  client_close(&over);
}

static void test_connections_when_over_the_cap_then_503_and_close(void **state)
{
  struct http_client second;
  (void)state;
  fixture.limits.connections_max = 2;
  start();
  client_open(&second, &fixture);
  pump_count(&fixture, &fixture.open, 2);
  expect_over_cap("connections");
  assert_int_equal(fixture.open, 2);
  client_send(&second, GET("/"));
  client_expect(&second, 200, "GET / ");
  client_close(&second);
  while (fixture.open == 2)
    uv_run(&fixture.uv, UV_RUN_ONCE);
  client_open(&second, &fixture);
  client_send(&second, GET("/"));
  client_expect(&second, 200, "GET / ");
  client_close(&second);
  stop();
}

static void test_connections_when_over_the_cap_of_an_address_then_503_and_close(void **state)
{
  (void)state;
  fixture.limits.per_address_max = 1;
  fixture.limits.loopback_capped = true;
  start();
  pump_count(&fixture, &fixture.open, 1);
  expect_over_cap("per_address");
  stop();
}

static void test_connections_when_from_loopback_then_cap_of_an_address_does_not_count(void **state)
{
  struct http_client second;
  (void)state;
  fixture.limits.per_address_max = 1;
  start();
  client_open(&second, &fixture);
  client_send(&second, GET("/"));
  client_expect(&second, 200, "GET / ");
  client_close(&second);
  stop();
}

/* ---- addresses ------------------------------------------------------------------------------- */

static void test_addresses_when_counted_then_ipv6_counts_by_network(void **state)
{
  static struct http_addresses table;
  struct http_address one, other;
  struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6};
  (void)state;
  table.seed = 12345;
  for (unsigned i = 0; i < 3000; i++) {
    memcpy(ipv6.sin6_addr.s6_addr, &i, sizeof i);
    ipv6.sin6_addr.s6_addr[15] = 1;
    http_address_read((const struct sockaddr *)&ipv6, &one);
    ipv6.sin6_addr.s6_addr[15] = 2;
    http_address_read((const struct sockaddr *)&ipv6, &other);
    assert_memory_equal(one.key, other.key, 16);
    assert_string_not_equal(one.text, other.text);
    if (i > 1)
      assert_false(one.loopback);
    http_addresses_add(&table, one.key);
    http_addresses_add(&table, other.key);
    assert_int_equal(http_addresses_get(&table, one.key), 2);
  }
  for (unsigned i = 0; i < 3000; i++) {
    memcpy(ipv6.sin6_addr.s6_addr, &i, sizeof i);
    http_address_read((const struct sockaddr *)&ipv6, &one);
    http_addresses_remove(&table, one.key);
    assert_int_equal(http_addresses_get(&table, one.key), 1);
    http_addresses_remove(&table, one.key);
    assert_int_equal(http_addresses_get(&table, one.key), 0);
  }
}

static void test_address_when_ipv4_is_mapped_into_ipv6_then_it_is_the_same_address(void **state)
{
  struct http_address plain, mapped;
  struct sockaddr_in ipv4 = {.sin_family = AF_INET};
  struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6};
  const uint8_t bytes[4] = {127, 1, 2, 3};
  (void)state;
  memcpy(&ipv4.sin_addr, bytes, 4);
  memset(ipv6.sin6_addr.s6_addr + 10, 0xff, 2);
  memcpy(ipv6.sin6_addr.s6_addr + 12, bytes, 4);
  http_address_read((const struct sockaddr *)&ipv4, &plain);
  http_address_read((const struct sockaddr *)&ipv6, &mapped);
  assert_memory_equal(&plain, &mapped, sizeof plain);
  assert_string_equal(plain.text, "127.1.2.3");
  assert_true(plain.loopback);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup(name, setup)
    T(test_request_when_malformed_then_400_after_the_earlier_replies_and_close),
    T(test_request_when_too_large_then_its_own_status_and_close),
    T(test_refusal_when_peer_is_still_sending_then_it_is_not_reset),
    T(test_refusal_when_peer_never_stops_sending_then_it_is_cut_off),
    T(test_idle_when_no_request_comes_then_closes_without_a_word),
    T(test_idle_when_time_is_up_between_requests_then_closes_without_a_word),
    T(test_head_when_it_does_not_come_in_time_then_408),
    T(test_head_when_it_trickles_then_time_runs_from_its_first_byte),
    T(test_body_when_it_does_not_come_in_time_then_408),
    T(test_handler_when_late_then_503_and_its_reply_is_dropped),
    T(test_handler_when_late_behind_an_earlier_one_then_order_is_kept),
    T(test_reader_when_it_does_not_read_then_requests_wait_and_it_is_reset),
    T(test_reader_when_it_reads_slowly_then_each_piece_buys_time),
    T(test_reader_when_it_reads_again_then_all_replies_come),
    T(test_replies_when_an_earlier_one_is_missing_then_they_are_bounded_like_unsent_ones),
    T(test_reply_when_large_then_it_waits_for_those_before_it_and_holds_up_those_behind),
    T(test_reply_when_its_size_fits_beside_the_others_then_it_does_not_wait),
    T(test_reply_when_it_waits_for_its_turn_then_no_deadline_runs_against_it),
    T(test_reply_when_it_waits_and_the_loop_rests_then_it_goes_on_after_that),
    T(test_reply_when_it_waits_and_the_server_closes_then_it_never_reaches_the_handler),
    T(test_connections_when_over_the_cap_then_503_and_close),
    T(test_connections_when_over_the_cap_of_an_address_then_503_and_close),
    T(test_connections_when_from_loopback_then_cap_of_an_address_does_not_count),
    T(test_addresses_when_counted_then_ipv6_counts_by_network),
    T(test_address_when_ipv4_is_mapped_into_ipv6_then_it_is_the_same_address),
#undef T
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
