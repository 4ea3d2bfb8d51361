/* test_http_server.c - connections, order of replies, bodies, drain, close, over real sockets. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "adapters/http/http_internal.h"
#include "http_fixture.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

static struct http_fixture fixture;
static struct http_client client;

static int setup(void **state)
{
  (void)state;
  fixture_init(&fixture);
  return 0;
}

static void start(void)
{
  fixture_start(&fixture);
  client_open(&client, &fixture);
}

static void stop(void)
{
  client_close(&client);
  fixture_stop(&fixture);
}

/* ---- connections ----------------------------------------------------------------------------- */

static void test_server_when_requests_follow_each_other_then_one_connection_serves_all(void **state)
{
  (void)state;
  start();
  for (unsigned i = 0; i < 5; i++) {
    client_send(&client, GET("/one"));
    client_expect(&client, 200, "GET /one ");
  }
  assert_int_equal(fixture.open, 1);
  assert_int_equal(http_loop_connections(fixture.http), 1);
  assert_int_equal(fixture.ended, 5);
  assert_int_equal(fixture.ended_status, 200);
  stop();
  assert_int_equal(fixture.open, 0);
}

static void test_server_when_client_asks_for_close_then_says_so_and_closes(void **state)
{
  struct http_response response = {.body = NULL};
  (void)state;
  start();
  client_send(&client, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  client_receive(&client, false, &response);
  assert_string_equal(response_header(&response, "Connection"), "close");
  client_expect_end(&client);
  response_free(&response);
  stop();
}

static void test_server_when_http_1_0_then_closes_unless_asked_to_keep(void **state)
{
  struct http_response response = {.body = NULL};
  (void)state;
  start();
  client_send(&client, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  client_receive(&client, false, &response);
  assert_string_equal(response_header(&response, "Connection"), "keep-alive");
  client_send(&client, "GET / HTTP/1.0\r\n\r\n");
  client_receive(&client, false, &response);
  assert_string_equal(response_header(&response, "Connection"), "close");
  client_expect_end(&client);
  response_free(&response);
  stop();
}

static void test_server_when_client_ends_its_side_then_request_is_still_answered(void **state)
{
  (void)state;
  start();
  client_send(&client, GET("/hold"));
  assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
  pump_count(&fixture, &fixture.held_count, 1);
  pump_ready(&fixture);
  held_answer(&fixture, 0);
  client_expect(&client, 200, "held 0");
  client_expect_end(&client);
  stop();
}

static void test_server_when_client_ends_within_a_request_then_closes_without_a_word(void **state)
{
  (void)state;
  start();
  client_send(&client, "GET / HTTP/1.1\r\nHos");
  assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
  client_expect_end(&client);
  assert_int_equal(fixture.ended, 0);
  stop();
}

static void test_server_when_maximum_of_requests_is_reached_then_last_reply_says_close(void **state)
{
  struct http_response response = {.body = NULL};
  (void)state;
  fixture.limits.requests_max = 3;
  start();
  client_send(&client, GET("/1") GET("/2") GET("/3") GET("/4"));
  client_expect(&client, 200, "GET /1 ");
  client_receive(&client, false, &response);
  assert_null(response_header(&response, "Connection"));
  client_receive(&client, false, &response);
  assert_string_equal(response_header(&response, "Connection"), "close");
  client_expect_end(&client);
  assert_int_equal(fixture.handled, 3);
  response_free(&response);
  stop();
}

/* ---- order ----------------------------------------------------------------------------------- */

static void test_pipeline_when_answered_in_reverse_then_replies_leave_in_order(void **state)
{
  (void)state;
  start();
  client_send(&client, GET("/hold") GET("/hold") GET("/now") GET("/hold"));
  pump_count(&fixture, &fixture.handled, 4);
  held_answer(&fixture, 2);
  held_answer(&fixture, 1);
  pump_ready(&fixture);
  assert_int_equal(client.size, 0);
  held_answer(&fixture, 0);
  client_expect(&client, 200, "held 0");
  client_expect(&client, 200, "held 1");
  client_expect(&client, 200, "GET /now ");
  client_expect(&client, 200, "held 2");
  assert_int_equal(fixture.released, 3);
  stop();
}

static void test_pipeline_when_cut_anywhere_then_all_requests_are_served(void **state)
{
  static const char requests[] = GET("/a") "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
                                           "\r\nabc"
                                           "POST /c HTTP/1.1\r\nHost: a\r\n"
                                           "Transfer-Encoding: chunked\r\n\r\n2\r\nde\r\n"
                                           "1\r\nf\r\n0\r\n\r\n" GET("/d");
  (void)state;
  start();
  for (size_t cut = 1; cut < sizeof requests - 1; cut++) {
    assert_true(client_send_bytes(&client, requests, cut));
    pump_ready(&fixture);
    assert_true(client_send_bytes(&client, requests + cut, sizeof requests - 1 - cut));
    client_expect(&client, 200, "GET /a ");
    client_expect(&client, 200, "POST /b abc");
    client_expect(&client, 200, "POST /c def");
    client_expect(&client, 200, "GET /d ");
  }
  stop();
}

static void test_pipeline_when_full_then_rest_waits_until_replies_are_given(void **state)
{
  (void)state;
  fixture.limits.pipeline_max = 4;
  start();
  for (unsigned i = 0; i < 10; i++)
    client_send(&client, GET("/hold"));
  pump_count(&fixture, &fixture.held_count, 4);
  pump_ready(&fixture);
  assert_int_equal(fixture.held_count, 4);
  for (unsigned i = 0; i < 10; i++) {
    pump_count(&fixture, &fixture.held_count, i + 1);
    assert_true(fixture.held_count <= i + 4);
    held_answer(&fixture, i);
  }
  for (unsigned i = 0; i < 10; i++) {
    char text[16];
    snprintf(text, sizeof text, "held %u", i);
    client_expect(&client, 200, text);
  }
  stop();
}

static void test_replies_when_given_from_outside_a_callback_then_leave_before_sleeping(void **state)
{
  (void)state;
  start();
  client_send(&client, GET("/hold") GET("/hold") GET("/hold"));
  pump_count(&fixture, &fixture.held_count, 3);
  for (unsigned i = 0; i < 3; i++)
    held_answer(&fixture, i);
  /* One round writes all three at once; it may not sleep before. */
  uv_run(&fixture.uv, UV_RUN_ONCE);
  for (unsigned i = 0; i < 3; i++)
    uv_run(&fixture.uv, UV_RUN_NOWAIT);
  assert_true(client.size > 0);
  client_expect(&client, 200, "held 0");
  client_expect(&client, 200, "held 1");
  client_expect(&client, 200, "held 2");
  stop();
}

static void test_close_when_exchanges_are_in_flight_then_they_live_until_answered(void **state)
{
  (void)state;
  start();
  client_send(&client, GET("/hold") GET("/hold"));
  pump_count(&fixture, &fixture.held_count, 2);
  held_answer(&fixture, 1); /* answered, but not its turn */
  const struct linger {
    int on, seconds;
  } linger = {1, 0};
  assert_int_equal(setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
  client_close(&client); /* resets */
  while (http_loop_connections(fixture.http) > 0)
    uv_run(&fixture.uv, UV_RUN_ONCE);
  assert_memory_equal(http_request_of(fixture.held[0])->path.at, "/hold", 5);
  assert_string_equal(http_peer_address(fixture.held[0]), "127.0.0.1");
  assert_true(http_peer_is_loopback(fixture.held[0]));
  assert_int_equal(fixture.ended, 1);
  held_answer(&fixture, 0);
  assert_int_equal(fixture.ended, 2);
  assert_int_equal(fixture.ended_bytes_out, 0);
  assert_int_equal(fixture.released, 2);
  fixture_stop(&fixture);
}

static void test_loop_when_closed_with_exchanges_in_flight_then_they_may_answer_later(void **state)
{
  (void)state;
  start();
  client_send(&client, GET("/hold"));
  pump_count(&fixture, &fixture.held_count, 1);
  struct http_exchange *late = fixture.held[0];
  client_close(&client);
  fixture_stop(&fixture);
  assert_true(fixture.closed);
  assert_int_equal(fixture.released, 0);
  http_reply(late, 200, NULL, NULL, 0);
  assert_int_equal(fixture.released, 1);
}

/* ---- bodies ---------------------------------------------------------------------------------- */

static void sum_handler(struct http_exchange *exchange, void *user)
{
  const struct http_slice body = http_request_of(exchange)->body;
  unsigned long sum = 0;
  char text[64];
  (void)user;
  for (size_t i = 0; i < body.size; i++)
    sum = sum * 31 + (unsigned char)body.at[i];
  const int size = snprintf(text, sizeof text, "%zu %lu", body.size, sum);
  http_reply(exchange, 200, "text/plain", text, (size_t)size);
}

static void test_body_when_large_then_arrives_whole_and_the_next_request_is_found(void **state)
{
  const size_t size = 1500000;
  unsigned char *body = malloc(size);
  unsigned long sum = 0;
  char text[128];
  (void)state;
  assert_non_null(body);
  for (size_t i = 0; i < size; i++) {
    body[i] = (unsigned char)(i * 7 + i / 251);
    sum = sum * 31 + body[i];
  }
  fixture.handler = sum_handler;
  start();
  snprintf(text, sizeof text, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", size);
  client_send(&client, text);
  assert_true(client_send_bytes(&client, body, size));
  client_send(&client, GET("/"));
  snprintf(text, sizeof text, "%zu %lu", size, sum);
  client_expect(&client, 200, text);
  client_expect(&client, 200, "0 0");

  client_send(&client, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (size_t at = 0; at < size;) {
    const size_t chunk = size - at < 1000 + at % 777 ? size - at : 1000 + at % 777;
    char line[32];
    snprintf(line, sizeof line, "%zx\r\n", chunk);
    client_send(&client, line);
    assert_true(client_send_bytes(&client, body + at, chunk));
    client_send(&client, "\r\n");
    at += chunk;
  }
  client_send(&client, "0\r\n\r\n" GET("/"));
  client_expect(&client, 200, text);
  client_expect(&client, 200, "0 0");
  stop();
  free(body);
}

static void test_continue_when_expected_then_sent_once_before_the_body(void **state)
{
  struct http_response response = {.body = NULL};
  (void)state;
  start();
  client_send(&client, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
                       "Expect: 100-continue\r\n\r\n");
  client_receive(&client, true, &response);
  assert_int_equal(response.status, 100);
  assert_string_equal(response.head, "HTTP/1.1 100 Continue\r\n\r\n");
  client_send(&client, "ok");
  client_expect(&client, 200, "POST /x ok");
  /* With the body there already, nobody waits. */
  client_send(&client, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
                       "Expect: 100-continue\r\n\r\nok");
  client_expect(&client, 200, "POST /x ok");
  response_free(&response);
  stop();
}

static void test_continue_when_an_earlier_reply_is_due_then_waits_for_it(void **state)
{
  struct http_response response = {.body = NULL};
  (void)state;
  start();
  client_send(&client, GET("/hold") "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
                                    "Expect: 100-continue\r\n\r\n");
  pump_count(&fixture, &fixture.held_count, 1);
  pump_ready(&fixture);
  assert_int_equal(client.size, 0);
  held_answer(&fixture, 0);
  client_expect(&client, 200, "held 0");
  client_receive(&client, true, &response);
  assert_int_equal(response.status, 100);
  client_send(&client, "ok");
  client_expect(&client, 200, "POST /x ok");
  response_free(&response);
  stop();
}

static void test_expect_when_unknown_then_417(void **state)
{
  struct http_response response = {.body = NULL};
  (void)state;
  start();
  client_send(&client, "GET /x HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\n\r\n");
  client_receive(&client, false, &response);
  assert_int_equal(response.status, 417);
  client_send(&client, "POST /x HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\n"
                       "Content-Length: 2\r\n\r\n");
  client_receive(&client, false, &response);
  assert_int_equal(response.status, 417);
  client_expect_end(&client);
  assert_int_equal(fixture.handled, 0);
  response_free(&response);
  stop();
}

/* ---- the head's check ------------------------------------------------------------------------ */

static enum hf_error check(const struct http_request *head, size_t *ret_body_max, void *user)
{
  (void)user;
  assert_true(head->path.size > 1);
  if (head->path.at[1] == 'f')
    return HF_E_FORBIDDEN;
  if (head->path.at[1] == 's')
    *ret_body_max = 5;
  return HF_OK;
}

static void test_head_check_when_it_refuses_then_small_body_is_dropped_and_connection_kept(
  void **state)
{
  struct http_response response = {.body = NULL};
  (void)state;
  fixture.head_check = check;
  start();
  client_send(&client, "POST /forbidden HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\n");
  client_receive(&client, false, &response);
  assert_int_equal(response.status, 403);
  assert_null(response_header(&response, "Connection"));
  client_send(&client, "GET /evil HTTP/1.1\r\nHost: b\r\n\r\n123456789" GET("/good"));
  client_expect(&client, 200, "GET /good ");
  assert_int_equal(fixture.handled, 1);
  response_free(&response);
  stop();
}

static void test_head_check_when_a_route_takes_less_then_413_and_close(void **state)
{
  struct http_response response = {.body = NULL};
  (void)state;
  fixture.head_check = check;
  start();
  client_send(&client, "POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345");
  client_expect(&client, 200, "POST /small 12345");
  client_send(&client, "POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n"
                       "Expect: 100-continue\r\n\r\n");
  client_receive(&client, false, &response);
  assert_int_equal(response.status, 413);
  assert_string_equal(response_header(&response, "Connection"), "close");
  client_expect_end(&client);
  response_free(&response);
  stop();
}

/* ---- pause, drain ---------------------------------------------------------------------------- */

static void pausing_handler(struct http_exchange *exchange, void *user)
{
  fixture.handled++;
  (void)user;
  http_loop_pause(http_loop_of(exchange));
  http_reply(exchange, 200, "text/plain", "paused", 6);
}

static void test_pause_when_a_handler_asks_then_nothing_is_taken_until_resume(void **state)
{
  struct http_client other;
  (void)state;
  fixture.handler = pausing_handler;
  start();
  client_open(&other, &fixture);
  client_send(&client, GET("/1") GET("/2"));
  client_expect(&client, 200, "paused");
  client_send(&other, GET("/3"));
  pump_ready(&fixture);
  assert_int_equal(fixture.handled, 1);
  assert_int_equal(client.size, 0);
  for (unsigned i = 0; i < 3 && fixture.handled < 3; i++) {
    const unsigned before = fixture.handled;
    http_loop_resume(fixture.http);
    pump_count(&fixture, &fixture.handled, before + 1);
  }
  client_expect(&client, 200, "paused");
  client_expect(&other, 200, "paused");
  client_close(&other);
  stop();
}

static void test_drain_when_begun_then_idle_ones_close_and_busy_ones_finish(void **state)
{
  struct http_client idle, half;
  struct http_response response = {.body = NULL};
  (void)state;
  start();
  client_open(&idle, &fixture);
  client_open(&half, &fixture);
  client_send(&idle, GET("/"));
  client_expect(&idle, 200, "GET / ");
  client_send(&half, "POST /half HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
  client_send(&client, GET("/hold") GET("/hold"));
  pump_count(&fixture, &fixture.held_count, 2);
  http_loop_drain(fixture.http);
  client_expect_end(&idle);
  client_send(&half, "cd");
  client_receive(&half, false, &response);
  assert_int_equal(response.status, 200);
  assert_string_equal(response.body, "POST /half abcd");
  assert_string_equal(response_header(&response, "Connection"), "close");
  client_expect_end(&half);
  held_answer(&fixture, 1);
  held_answer(&fixture, 0);
  client_receive(&client, false, &response);
  assert_null(response_header(&response, "Connection"));
  client_receive(&client, false, &response);
  assert_string_equal(response_header(&response, "Connection"), "close");
  client_expect_end(&client);
  /* Nobody listens any more. */
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  const struct sockaddr_in to = {.sin_family = AF_INET,
                                 .sin_port = htons(http_loop_port(fixture.http)),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof to), -1);
  assert_int_equal(errno, ECONNREFUSED);
  assert_int_equal(close(fd), 0);
  response_free(&response);
  client_close(&idle);
  client_close(&half);
  stop();
}

/* ---- listening ------------------------------------------------------------------------------- */

static void test_listen_when_two_loops_share_a_port_then_both_listen(void **state)
{
  (void)state;
  start();
  struct http_loop *second =
    http_loop_new_on(&fixture.uv, NULL, "127.0.0.1", http_loop_port(fixture.http), &fixture.limits,
                     sum_handler, NULL, NULL, NULL);
  assert_non_null(second);
  assert_int_equal(http_loop_port(second), http_loop_port(fixture.http));
  assert_null(http_loop_ctx(second));
  http_loop_close(second, NULL, NULL);
  stop();
}

static void test_listen_when_host_is_no_address_then_errno_says_so(void **state)
{
  static const char *const wrong[] = {"", "example", "1.2.3", "[::1", "::1]", "256.1.1.1"};
  static const char *const right[] = {"::1", "[::1]", "localhost", "0.0.0.0", "::"};
  (void)state;
  start();
  for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    errno = 0;
    assert_null(http_loop_new_on(&fixture.uv, NULL, wrong[i], 0, &fixture.limits, sum_handler, NULL,
                                 NULL, NULL));
    assert_int_equal(errno, EINVAL);
  }
  errno = 0;
  assert_null(http_loop_new_on(&fixture.uv, NULL, "192.0.2.1", 0, &fixture.limits, sum_handler,
                               NULL, NULL, NULL));
  assert_int_equal(errno, EADDRNOTAVAIL);
  for (unsigned i = 0; i < sizeof right / sizeof right[0]; i++) {
    struct http_loop *loop = http_loop_new_on(&fixture.uv, NULL, right[i], 0, &fixture.limits,
                                              sum_handler, NULL, NULL, NULL);
    if (loop != NULL)
      http_loop_close(loop, NULL, NULL);
    else /* A machine may have no IPv6. */
      assert_true(strchr(right[i], ':') != NULL && errno != EINVAL);
  }
  stop();
}

int main(void)
{
  const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup(name, setup)
    T(test_server_when_requests_follow_each_other_then_one_connection_serves_all),
    T(test_server_when_client_asks_for_close_then_says_so_and_closes),
    T(test_server_when_http_1_0_then_closes_unless_asked_to_keep),
    T(test_server_when_client_ends_its_side_then_request_is_still_answered),
    T(test_server_when_client_ends_within_a_request_then_closes_without_a_word),
    T(test_server_when_maximum_of_requests_is_reached_then_last_reply_says_close),
    T(test_pipeline_when_answered_in_reverse_then_replies_leave_in_order),
    T(test_pipeline_when_cut_anywhere_then_all_requests_are_served),
    T(test_pipeline_when_full_then_rest_waits_until_replies_are_given),
    T(test_replies_when_given_from_outside_a_callback_then_leave_before_sleeping),
    T(test_close_when_exchanges_are_in_flight_then_they_live_until_answered),
    T(test_loop_when_closed_with_exchanges_in_flight_then_they_may_answer_later),
    T(test_body_when_large_then_arrives_whole_and_the_next_request_is_found),
    T(test_continue_when_expected_then_sent_once_before_the_body),
    T(test_continue_when_an_earlier_reply_is_due_then_waits_for_it),
    T(test_expect_when_unknown_then_417),
    T(test_head_check_when_it_refuses_then_small_body_is_dropped_and_connection_kept),
    T(test_head_check_when_a_route_takes_less_then_413_and_close),
    T(test_pause_when_a_handler_asks_then_nothing_is_taken_until_resume),
    T(test_drain_when_begun_then_idle_ones_close_and_busy_ones_finish),
    T(test_listen_when_two_loops_share_a_port_then_both_listen),
    T(test_listen_when_host_is_no_address_then_errno_says_so),
#undef T
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
