/* test_http_reply.c - what a reply looks like: headers, problems, compression, streams. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <zlib.h>

#include "adapters/http/http_internal.h"
#include "http_fixture.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define GZIP(path) "GET " path " HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n"

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

/* ---- headers --------------------------------------------------------------------------------- */

static void test_head_when_requested_then_same_headers_and_no_body(void **state)
{
  (void)state;
  start();
  client_send(&client, "HEAD /some HTTP/1.1\r\nHost: a\r\n\r\n" GET("/x"));
  client_receive(&client, true, &response);
  assert_int_equal(response.status, 200);
  assert_string_equal(response_header(&response, "Content-Length"), "11");
  assert_string_equal(response_header(&response, "Content-Type"), "text/plain");
  client_expect(&client, 200, "GET /x ");
  stop();
}

static void bare_handler(struct http_exchange *exchange, void *user)
{
  (void)user;
  http_reply(exchange, 204, NULL, NULL, 0);
}

static void test_reply_when_204_then_neither_length_nor_type(void **state)
{
  (void)state;
  fixture.handler = bare_handler;
  start();
  client_send(&client, GET("/") GET("/"));
  for (unsigned i = 0; i < 2; i++) {
    client_receive(&client, false, &response);
    assert_int_equal(response.status, 204);
    assert_null(response_header(&response, "Content-Length"));
    assert_null(response_header(&response, "Content-Type"));
  }
  stop();
}

static void header_handler(struct http_exchange *exchange, void *user)
{
  (void)user;
  http_set_route(exchange, "/headers", 7);
  http_add_header(exchange, "X-One", "1");
  http_add_header(exchange, "Cache-Control", "max-age=300");
  http_reply(exchange, 299, "text/plain", "ok", 2);
}

static void test_reply_when_handler_adds_headers_then_they_are_sent_and_override(void **state)
{
  (void)state;
  fixture.handler = header_handler;
  start();
  client_send(&client, GET("/"));
  client_receive(&client, false, &response);
  assert_int_equal(response.status, 299);
  assert_string_equal(response_header(&response, "X-One"), "1");
  assert_string_equal(response_header(&response, "Cache-Control"), "max-age=300");
  assert_null(strstr(response.head, "no-store"));
  stop();
}

static void id_handler(struct http_exchange *exchange, void *user)
{
  const char *id = http_request_id(exchange);
  (void)user;
  http_reply(exchange, 200, "text/plain", id, strlen(id));
}

static void test_request_id_when_sane_then_taken_over_else_made(void **state)
{
  static const struct {
    const char *id;
    bool taken;
  } cases[] = {
    {"12345678", true},
    {"a-B_9.zzzzzzzzzz", true},
    {"1234567890123456789012345678901234567890123456789012345678901234", true},
    {"12345678901234567890123456789012345678901234567890123456789012345", false},
    {"1234567", false},
    {"12345678 x", false},
    {"12345678\"", false},
    {"", false},
  };
  char last[17] = "";
  (void)state;
  fixture.handler = id_handler;
  start();
  for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char text[256];
    snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a\r\nX-Request-ID: %s\r\n\r\n",
             cases[i].id);
    client_send(&client, text);
    client_receive(&client, false, &response);
    assert_string_equal(response_header(&response, "X-Request-Id"), response.body);
    if (cases[i].taken) {
      assert_string_equal(response.body, cases[i].id);
    } else {
      assert_int_equal(response.body_size, 16);
      assert_int_equal(strspn(response.body, "0123456789abcdef"), 16);
      assert_string_not_equal(response.body, last);
      memcpy(last, response.body, 17);
    }
  }
  stop();
}

/* ---- problems -------------------------------------------------------------------------------- */

static void problem_handler(struct http_exchange *exchange, void *user)
{
  struct http_fixture *mine = user;
  http_reply_problem(exchange, mine->test);
}

static void expect_problem(const struct http_problem *problem, const char *expected)
{
  struct http_problem copy = *problem;
  fixture.test = &copy;
  client_send(&client, "GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: 12345678\r\n\r\n");
  client_receive(&client, false, &response);
  assert_string_equal(response_header(&response, "Content-Type"), "application/problem+json");
  assert_string_equal(response_header(&response, "Cache-Control"), "no-store");
  assert_string_equal(response.body, expected);
}

static void test_problem_when_rendered_then_members_are_those_of_the_api(void **state)
{
  (void)state;
  fixture.handler = problem_handler;
  start();
  expect_problem(&(struct http_problem){.error = HF_E_USER_NOT_FOUND},
                 "{\"type\":\"/problems/user_not_found\",\"title\":\"No such user\","
                 "\"status\":404,\"code\":\"user_not_found\",\"detail\":\"No such user\","
                 "\"correlation_id\":\"12345678\"}");
  assert_int_equal(response.status, 404);
  assert_null(response_header(&response, "Retry-After"));
  expect_problem(&(struct http_problem){.error = HF_E_RATE_LIMITED,
                                        .detail = "too fast",
                                        .field = "amount",
                                        .suggestion = "slow down",
                                        .retry_after_s = 17},
                 "{\"type\":\"/problems/rate_limited\",\"title\":\"Too many requests\","
                 "\"status\":429,\"code\":\"rate_limited\",\"detail\":\"too fast\","
                 "\"field\":\"amount\",\"suggestion\":\"slow down\",\"retry_after\":17,"
                 "\"correlation_id\":\"12345678\"}");
  assert_int_equal(response.status, 429);
  assert_string_equal(response_header(&response, "Retry-After"), "17");
  stop();
}

static void test_problem_when_text_has_any_bytes_then_json_stays_valid(void **state)
{
  static const struct {
    const char *text, *escaped;
  } cases[] = {
    {"plain", "plain"},
    {"\"\\/", "\\\"\\\\/"},
    {"\x01\t\n\r\x1f\x7f", "\\u0001\\u0009\\u000a\\u000d\\u001f\x7f"},
    {"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
    {"\xff", "\xef\xbf\xbd"},
    {"\x80", "\xef\xbf\xbd"},
    {"a\xc3", "a\xef\xbf\xbd"},
    {"\xc3(", "\xef\xbf\xbd("},
    {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},
    {"\xe0\x80\xaf", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    {"\xed\x9f\xbf", "\xed\x9f\xbf"},
    {"\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd"},
    {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    {"\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"},
    {"\xf0\x8f\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
  };
  struct http_pool pool = {.count = {0}};
  (void)state;
  for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct http_buffer out = {NULL, 0, 0};
    char expected[512];
    const int size =
      snprintf(expected, sizeof expected,
               "{\"type\":\"/problems/bad_request\",\"title\":\"The request is not valid "
               "HTTP/1.1\",\"status\":400,\"code\":\"bad_request\",\"detail\":\"%s\","
               "\"correlation_id\":\"id\"}",
               cases[i].escaped);
    http_problem_write(&pool, &out,
                       &(struct http_problem){.error = HF_E_BAD_REQUEST, .detail = cases[i].text},
                       "id");
    assert_int_equal(out.size, size);
    assert_memory_equal(out.data, expected, out.size);
    http_buffer_free(&pool, &out);
  }
  http_pool_deinit(&pool);
}

/* ---- compression ----------------------------------------------------------------------------- */

#define LARGE 20000u

static void large_handler(struct http_exchange *exchange, void *user)
{
  const struct http_slice path = http_request_of(exchange)->path;
  static char body[LARGE];
  size_t size = LARGE;
  (void)user;
  for (size_t i = 0; i < LARGE; i++)
    body[i] = (char)('a' + i % 17 + i % 5);
  if (path.at[1] == 's') /* small */
    size = HTTP_GZIP_MIN - 1;
  if (path.at[1] == 'e') /* encoded already */
    http_add_header(exchange, "Content-Encoding", "br");
  if (path.at[1] == 't') /* tagged */
    http_add_header(exchange, "ETag", "\"v1\"");
  if (path.at[1] == 'w') /* weakly tagged */
    http_add_header(exchange, "ETag", "W/\"v1\"");
  http_reply(exchange, 200, path.at[1] == 'b' ? "image/png" : "application/json", body, size);
}

static void test_gzip_when_accepted_and_large_then_body_inflates_to_the_same(void **state)
{
  char plain[LARGE];
  unsigned char inflated[LARGE];
  (void)state;
  fixture.handler = large_handler;
  start();
  client_send(&client, GET("/"));
  client_receive(&client, false, &response);
  assert_null(response_header(&response, "Content-Encoding"));
  assert_string_equal(response_header(&response, "Vary"), "Accept-Encoding");
  assert_int_equal(response.body_size, LARGE);
  memcpy(plain, response.body, LARGE);
  for (unsigned i = 0; i < 2; i++) {
    z_stream inflater = {.next_out = inflated, .avail_out = sizeof inflated};
    client_send(&client, GZIP("/"));
    client_receive(&client, false, &response);
    assert_string_equal(response_header(&response, "Content-Encoding"), "gzip");
    assert_string_equal(response_header(&response, "Vary"), "Accept-Encoding");
    assert_true(response.body_size < LARGE / 2);
    inflater.next_in = (unsigned char *)response.body;
    inflater.avail_in = (uInt)response.body_size;
    assert_int_equal(inflateInit2(&inflater, 15 + 16), Z_OK);
    assert_int_equal(inflate(&inflater, Z_FINISH), Z_STREAM_END);
    assert_int_equal(inflater.total_out, LARGE);
    inflateEnd(&inflater);
    assert_memory_equal(inflated, plain, LARGE);
  }
  stop();
}

static void test_gzip_when_it_cannot_pay_then_body_is_sent_as_it_is(void **state)
{
  (void)state;
  fixture.handler = large_handler;
  start();
  client_send(&client, GZIP("/small") GZIP("/encoded") GZIP("/binary"));
  client_receive(&client, false, &response);
  assert_null(response_header(&response, "Content-Encoding"));
  assert_null(response_header(&response, "Vary"));
  client_receive(&client, false, &response);
  assert_string_equal(response_header(&response, "Content-Encoding"), "br");
  client_receive(&client, false, &response);
  assert_null(response_header(&response, "Content-Encoding"));
  assert_int_equal(response.body_size, LARGE);
  stop();
}

static void test_gzip_when_reply_has_a_strong_etag_then_it_is_weakened(void **state)
{
  (void)state;
  fixture.handler = large_handler;
  start();
  client_send(&client, GZIP("/tag") GET("/tag") GZIP("/weak"));
  client_receive(&client, false, &response);
  assert_string_equal(response_header(&response, "ETag"), "W/\"v1\"");
  client_receive(&client, false, &response);
  assert_string_equal(response_header(&response, "ETag"), "\"v1\"");
  client_receive(&client, false, &response);
  assert_string_equal(response_header(&response, "ETag"), "W/\"v1\"");
  stop();
}

/* ---- streams --------------------------------------------------------------------------------- */

struct stream {
  struct http_exchange *exchange;
  unsigned writable; /* calls */
  unsigned written;  /* pieces taken */
  unsigned pieces;   /* to write */
  size_t piece;
  bool refused; /* a write returned false with room for it */
  bool ended;
};

static void stream_go_on(struct http_exchange *exchange, void *arg)
{
  static char data[65536];
  struct stream *stream = arg;

  stream->writable++;
  while (stream->written < stream->pieces) {
    const size_t room = http_stream_room(exchange);
    memset(data, (int)('a' + stream->written % 26), stream->piece);
    if (!http_stream_write(exchange, data, stream->piece)) {
      if (room < stream->piece)
        return;
      stream->refused = true;
      break;
    }
    stream->written++;
  }
  stream->ended = true;
  http_stream_end(exchange);
}

static void stream_handler(struct http_exchange *exchange, void *user)
{
  struct http_fixture *mine = user;
  struct stream *stream = mine->test;
  mine->handled++;
  stream->exchange = exchange;
  http_stream_begin(exchange, 200, "application/x-ndjson", stream_go_on, stream);
}

/* Holds what begins with /h and streams the rest, whose pieces may have to wait for their turn. */
static void mixed_handler(struct http_exchange *exchange, void *user)
{
  struct http_fixture *mine = user;
  if (http_request_of(exchange)->path.at[1] == 'h') {
    mine->held[mine->held_count++] = exchange;
    return;
  }
  stream_handler(exchange, user);
}

static void stream_expect(const struct stream *stream)
{
  assert_int_equal(response.body_size, stream->pieces * stream->piece);
  for (size_t i = 0; i < response.body_size; i += 97)
    assert_int_equal(response.body[i], 'a' + i / stream->piece % 26);
}

static void test_stream_when_small_then_chunked_and_connection_is_kept(void **state)
{
  struct stream stream = {.pieces = 3, .piece = 10};
  (void)state;
  fixture.handler = stream_handler;
  fixture.test = &stream;
  start();
  for (unsigned i = 0; i < 2; i++) {
    stream.written = 0;
    client_send(&client, GET("/"));
    client_receive(&client, false, &response);
    assert_true(response.chunked);
    assert_string_equal(response.body, "aaaaaaaaaabbbbbbbbbbcccccccccc");
  }
  assert_int_equal(fixture.ended, 2);
  stop();
}

static void test_stream_when_http_1_0_then_until_close(void **state)
{
  struct stream stream = {.pieces = 3, .piece = 10};
  (void)state;
  fixture.handler = stream_handler;
  fixture.test = &stream;
  start();
  client_send(&client, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  client_receive(&client, false, &response);
  assert_false(response.chunked);
  assert_string_equal(response_header(&response, "Connection"), "close");
  stream_expect(&stream);
  client_expect_end(&client);
  stop();
}

/* The end of a stream without framing is the end of the connection: what was asked after it gets no
 * answer, and its handler need not know. */
static void test_stream_when_http_1_0_client_pipelines_then_later_requests_are_let_go(void **state)
{
  struct stream stream = {.pieces = 3, .piece = 10};
  (void)state;
  fixture.handler = mixed_handler;
  fixture.test = &stream;
  start();
  for (unsigned i = 0; i < 3; i++)
    client_send(&client, "GET /held HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  pump_count(&fixture, &fixture.held_count, 3);
  http_stream_begin(fixture.held[1], 200, "text/plain", stream_go_on, &stream);
  held_answer(&fixture, 0);
  client_expect(&client, 200, "held 0");
  client_receive(&client, false, &response);
  assert_string_equal(response_header(&response, "Connection"), "close");
  stream_expect(&stream);
  client_expect_end(&client);
  held_answer(&fixture, 2);
  assert_int_equal(fixture.ended, 3);
  stop();
}

static void test_stream_when_head_then_no_body(void **state)
{
  struct stream stream = {.pieces = 3, .piece = 10};
  (void)state;
  fixture.handler = stream_handler;
  fixture.test = &stream;
  start();
  client_send(&client, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
  client_receive(&client, true, &response);
  stream.written = 0;
  client_send(&client, GET("/"));
  client_receive(&client, false, &response);
  stream_expect(&stream);
  stop();
}

static void test_stream_when_reader_is_slow_then_writes_wait_for_room(void **state)
{
  struct stream stream = {.pieces = 400, .piece = 50000};
  (void)state;
  fixture.handler = stream_handler;
  fixture.test = &stream;
  start();
  client_read(&client, false);
  client_send(&client, GET("/"));
  pump_count(&fixture, &fixture.handled, 1);
  pump_ready(&fixture);
  assert_true(stream.written < stream.pieces);
  assert_false(stream.refused);
  client_read(&client, true);
  client_receive(&client, false, &response);
  stream_expect(&stream);
  assert_true(stream.ended && stream.writable > 1);
  stop();
}

static void test_stream_when_peer_goes_then_writable_is_called_and_write_says_so(void **state)
{
  struct stream stream = {.pieces = 100000, .piece = 50000};
  (void)state;
  fixture.handler = stream_handler;
  fixture.test = &stream;
  start();
  client_read(&client, false);
  client_send(&client, GET("/"));
  pump_count(&fixture, &fixture.handled, 1);
  pump_ready(&fixture);
  assert_false(stream.ended);
  client_close(&client);
  while (!stream.ended)
    uv_run(&fixture.uv, UV_RUN_ONCE);
  assert_true(stream.refused);
  assert_int_equal(fixture.ended, 1);
  fixture_stop(&fixture);
}

static void test_stream_when_loop_closes_then_its_handler_is_told(void **state)
{
  struct stream stream = {.pieces = 100000, .piece = 50000};
  (void)state;
  fixture.handler = stream_handler;
  fixture.test = &stream;
  start();
  client_read(&client, false);
  client_send(&client, GET("/"));
  pump_count(&fixture, &fixture.handled, 1);
  pump_ready(&fixture);
  client_close(&client);
  fixture_stop(&fixture);
  assert_true(stream.ended);
}

static void test_stream_when_an_earlier_reply_is_due_then_it_comes_after_it(void **state)
{
  struct stream stream = {.pieces = 400, .piece = 50000};
  (void)state;
  fixture.handler = mixed_handler;
  fixture.test = &stream;
  start();
  client_send(&client, GET("/hold") GET("/stream") GET("/hold"));
  pump_count(&fixture, &fixture.held_count, 2);
  pump_ready(&fixture);
  assert_int_equal(client.size, 0);
  held_answer(&fixture, 1);
  held_answer(&fixture, 0);
  client_expect(&client, 200, "held 0");
  client_receive(&client, false, &response);
  stream_expect(&stream);
  client_expect(&client, 200, "held 1");
  stop();
}

static void late_handler(struct http_exchange *exchange, void *user)
{
  struct http_fixture *mine = user;
  mine->held[mine->held_count++] = exchange;
}

static void test_stream_when_begun_after_the_deadline_then_it_goes_nowhere(void **state)
{
  struct stream stream = {.pieces = 3, .piece = 10};
  (void)state;
  fixture.handler = late_handler;
  fixture.limits.handler_timeout_us = 10000;
  start();
  client_send(&client, GET("/"));
  client_receive(&client, false, &response);
  assert_int_equal(response.status, 503);
  http_stream_begin(fixture.held[0], 200, "text/plain", stream_go_on, &stream);
  while (!stream.ended)
    uv_run(&fixture.uv, UV_RUN_ONCE);
  assert_true(stream.refused);
  assert_int_equal(client.size, 0);
  stop();
}

int main(void)
{
  const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup(name, setup)
    T(test_head_when_requested_then_same_headers_and_no_body),
    T(test_reply_when_204_then_neither_length_nor_type),
    T(test_reply_when_handler_adds_headers_then_they_are_sent_and_override),
    T(test_request_id_when_sane_then_taken_over_else_made),
    T(test_problem_when_rendered_then_members_are_those_of_the_api),
    T(test_problem_when_text_has_any_bytes_then_json_stays_valid),
    T(test_gzip_when_accepted_and_large_then_body_inflates_to_the_same),
    T(test_gzip_when_it_cannot_pay_then_body_is_sent_as_it_is),
    T(test_gzip_when_reply_has_a_strong_etag_then_it_is_weakened),
    T(test_stream_when_small_then_chunked_and_connection_is_kept),
    T(test_stream_when_http_1_0_then_until_close),
    T(test_stream_when_http_1_0_client_pipelines_then_later_requests_are_let_go),
    T(test_stream_when_head_then_no_body),
    T(test_stream_when_reader_is_slow_then_writes_wait_for_room),
    T(test_stream_when_peer_goes_then_writable_is_called_and_write_says_so),
    T(test_stream_when_loop_closes_then_its_handler_is_told),
    T(test_stream_when_an_earlier_reply_is_due_then_it_comes_after_it),
    T(test_stream_when_begun_after_the_deadline_then_it_goes_nowhere),
#undef T
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
