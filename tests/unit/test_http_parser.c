/* test_http_parser.c - the request parser: one verdict however the bytes are cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/http/http_parser.h"
#include "tests/support/http_cases.h"

#define BODY_MAX 1000u
#define VERDICT_SIZE 4096u

static const struct http_limits limits = {.line_max = 256, .head_max = 512, .body_max = BODY_MAX};

/* A parser with a buffer that is exactly as large as its content, and moves at every growth. */
struct feed {
  struct http_parser parser;
  struct http_request request;
  enum http_parse result;
  char *data;
  size_t size;
};

static void feed_init(struct feed *feed, const struct http_limits *some)
{
  memset(feed, 0, sizeof *feed);
  feed->result = HTTP_PARSE_MORE;
  http_parser_init(&feed->parser, &feed->request, some);
}

static void feed_deinit(struct feed *feed)
{
  free(feed->data);
}

/* Returns false when the parser has its verdict. */
static bool feed_add(struct feed *feed, const char *bytes, size_t size)
{
  if (feed->result != HTTP_PARSE_MORE)
    return false;
  char *grown = malloc(feed->size + size > 0 ? feed->size + size : 1);
  assert_non_null(grown);
  if (feed->size > 0)
    memcpy(grown, feed->data, feed->size);
  if (size > 0)
    memcpy(grown + feed->size, bytes, size);
  feed->size += size;
  feed->result = http_parser_run(&feed->parser, grown, feed->size);
  free(feed->data); /* Only now: the parser may know where the bytes were. */
  feed->data = grown;
  if (feed->result == HTTP_PARSE_HEAD) {
    if (http_parser_allow(&feed->parser, BODY_MAX) == HF_OK)
      feed->result = http_parser_run(&feed->parser, feed->data, feed->size);
    else
      feed->result = http_parser_fail(&feed->parser, HF_E_PAYLOAD_TOO_LARGE, "too large");
  }
  if (feed->result == HTTP_PARSE_MORE)
    feed->size = http_parser_compact(&feed->parser);
  return feed->result == HTTP_PARSE_MORE;
}

static unsigned status_of(enum hf_error error)
{
  switch (error) {
  case HF_E_BAD_REQUEST:
    return 400;
  case HF_E_PAYLOAD_TOO_LARGE:
    return 413;
  case HF_E_URI_TOO_LONG:
    return 414;
  case HF_E_HEADERS_TOO_LARGE:
    return 431;
  case HF_E_HTTP_VERSION:
    return 505;
  default:
    return 0;
  }
}

static void feed_verdict(const struct feed *feed, char *ret_text)
{
  static const char *const methods[] = {"GET",   "HEAD",   "POST",    "PUT",
                                        "PATCH", "DELETE", "OPTIONS", "OTHER"};
  const struct http_request *request = &feed->request;

  if (feed->result == HTTP_PARSE_MORE) {
    snprintf(ret_text, VERDICT_SIZE, "more");
  } else if (feed->result == HTTP_PARSE_ERROR) {
    assert_non_null(feed->parser.why);
    snprintf(ret_text, VERDICT_SIZE, "%u", status_of(feed->parser.error));
  } else {
    assert_int_equal(feed->result, HTTP_PARSE_DONE);
    snprintf(ret_text, VERDICT_SIZE, "%s %.*s ?%.*s 1.%d %s [%.*s]", methods[request->method],
             (int)request->path.size, request->path.at,
             request->query.at == NULL ? 1 : (int)request->query.size,
             request->query.at == NULL ? "-" : request->query.at, request->version_minor,
             request->keep_alive ? "keep" : "close", (int)request->body.size, request->body.at);
  }
}

/* Feeds `text` in steps of `step` bytes after a first piece of `first`. */
static void feed_pieces(struct feed *feed, const char *text, size_t size, size_t first, size_t step)
{
  size_t at = first;
  bool more = feed_add(feed, text, first);
  while (more && at < size) {
    const size_t piece = size - at < step ? size - at : step;
    more = feed_add(feed, text + at, piece);
    at += piece;
  }
}

static void fields_same(const struct http_request *one, const struct http_request *other)
{
  assert_int_equal(one->fields_count, other->fields_count);
  for (unsigned i = 0; i < one->fields_count; i++) {
    assert_int_equal(one->fields[i].name.size, other->fields[i].name.size);
    assert_int_equal(one->fields[i].value.size, other->fields[i].value.size);
    assert_memory_equal(one->fields[i].name.at, other->fields[i].name.at, one->fields[i].name.size);
    assert_memory_equal(one->fields[i].value.at, other->fields[i].value.at,
                        one->fields[i].value.size);
  }
}

/* The verdict of `whole` must come out for these pieces too. */
static void same_in_pieces(const struct feed *whole, const char *verdict,
                           const struct http_limits *some, const char *text, size_t size,
                           size_t first, size_t step)
{
  char text_cut[VERDICT_SIZE];
  struct feed cut;

  feed_init(&cut, some);
  feed_pieces(&cut, text, size, first, step);
  feed_verdict(&cut, text_cut);
  if (strcmp(text_cut, verdict) != 0)
    fail_msg("cut at %zu, then by %zu: %s, not %s, for\n%.*s", first, step, text_cut, verdict,
             (int)size, text);
  if (whole->result == HTTP_PARSE_DONE)
    fields_same(&whole->request, &cut.request);
  feed_deinit(&cut);
}

/* Whole, byte by byte, by three, and cut in two at each place. */
static void check_verdict(const struct http_limits *some, const char *text, size_t size,
                          const char *expected)
{
  char verdict[VERDICT_SIZE];
  struct feed whole;

  feed_init(&whole, some);
  feed_add(&whole, text, size);
  feed_verdict(&whole, verdict);
  if (strcmp(verdict, expected) != 0)
    fail_msg("%s, not %s, for\n%.*s", verdict, expected, (int)size, text);
  same_in_pieces(&whole, verdict, some, text, size, 0, 1);
  same_in_pieces(&whole, verdict, some, text, size, 0, 3);
  for (size_t at = 1; at < size; at++)
    same_in_pieces(&whole, verdict, some, text, size, at, size);
  feed_deinit(&whole);
}

static void test_parser_when_given_each_case_then_verdict_is_that_of_the_standard(void **state)
{
  (void)state;
  assert_true(http_cases_count >= 150);
  for (size_t i = 0; i < http_cases_count; i++)
    check_verdict(&limits, http_cases[i].text, http_cases[i].size, http_cases[i].verdict);
}

/* ---- character classes ----------------------------------------------------------------------- */

static void test_chars_when_derived_from_the_grammar_then_table_agrees(void **state)
{
  (void)state;
  for (int c = 0; c < 256; c++) {
    const bool alpha = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool digit = c >= '0' && c <= '9';
    const bool mark = c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL;
    const bool host = c != 0 && strchr("-._~!$&'()*+,;=%:[]", c) != NULL;
    const bool visible = c > 0x20 && c < 0x7f;
    unsigned kinds = 0;
    kinds |= alpha || digit || mark ? HTTP_CHAR_TOKEN : 0;
    kinds |= visible && c != '#' ? HTTP_CHAR_TARGET : 0;
    kinds |= visible || c == ' ' || c == '\t' || c >= 0x80 ? HTTP_CHAR_VALUE : 0;
    kinds |= alpha || digit || host ? HTTP_CHAR_HOST : 0;
    assert_int_equal(http_chars[c], kinds);
  }
}

/* Each byte at each place of a value: the eight-at-a-time path must not differ from the table. */
static void test_value_when_each_byte_stands_at_each_place_then_only_allowed_ones_pass(void **state)
{
  (void)state;
  for (unsigned place = 0; place < 20; place++) {
    for (unsigned c = 0; c < 256; c++) {
      char text[] = "GET / HTTP/1.1\r\nHost: a\r\nA:aaaaaaaaaaaaaaaaaaaaaa\r\n\r\n";
      const size_t at = strlen("GET / HTTP/1.1\r\nHost: a\r\nA:") + 1 + place;
      struct feed feed;
      text[at] = (char)c;
      feed_init(&feed, &limits);
      feed_add(&feed, text, sizeof text - 1);
      assert_int_equal(feed.result,
                       http_chars[c] & HTTP_CHAR_VALUE ? HTTP_PARSE_DONE : HTTP_PARSE_ERROR);
      feed_deinit(&feed);
    }
  }
}

/* ---- limits ---------------------------------------------------------------------------------- */

struct text {
  char data[20000];
  size_t size;
};

static void text_add(struct text *text, const char *more)
{
  assert_true(text->size + strlen(more) <= sizeof text->data);
  memcpy(text->data + text->size, more, strlen(more));
  text->size += strlen(more);
}

static void text_fill(struct text *text, char c, size_t count)
{
  assert_true(text->size + count <= sizeof text->data);
  memset(text->data + text->size, c, count);
  text->size += count;
}

static void check_text(const struct text *text, const char *prefix)
{
  char verdict[VERDICT_SIZE];
  struct feed whole;

  feed_init(&whole, &limits);
  feed_add(&whole, text->data, text->size);
  feed_verdict(&whole, verdict);
  if (strncmp(verdict, prefix, strlen(prefix)) != 0)
    fail_msg("%s, not %s...", verdict, prefix);
  same_in_pieces(&whole, verdict, &limits, text->data, text->size, 0, 1);
  same_in_pieces(&whole, verdict, &limits, text->data, text->size, 0, 7);
  feed_deinit(&whole);
}

static void test_line_when_at_the_limit_then_taken_and_one_more_is_414(void **state)
{
  (void)state;
  for (size_t line = limits.line_max - 1; line <= limits.line_max + 1; line++) {
    struct text text = {.size = 0};
    text_add(&text, "GET /");
    text_fill(&text, 'a', line - strlen("GET / HTTP/1.1\r\n"));
    text_add(&text, " HTTP/1.1\r\nHost: a\r\n\r\n");
    check_text(&text, line <= limits.line_max ? "GET /aaa" : "414");
  }
}

static void test_line_when_it_never_ends_then_414(void **state)
{
  static const char *const starts[] = {"", "GET ", "GET /"};
  (void)state;
  for (unsigned i = 0; i < 3; i++) {
    struct text text = {.size = 0};
    text_add(&text, starts[i]);
    text_fill(&text, 'a', limits.line_max + 1);
    check_text(&text, "414");
  }
}

static void test_head_when_at_the_limit_then_taken_and_one_more_is_431(void **state)
{
  (void)state;
  for (size_t head = limits.head_max - 1; head <= limits.head_max + 1; head++) {
    struct text text = {.size = 0};
    text_add(&text, "GET / HTTP/1.1\r\n");
    text_add(&text, "Host: a\r\nA: ");
    text_fill(&text, 'b', head - strlen("Host: a\r\nA: \r\n\r\n"));
    text_add(&text, "\r\n\r\n");
    check_text(&text, head <= limits.head_max ? "GET /" : "431");
  }
}

static void test_head_when_a_name_never_ends_then_431(void **state)
{
  struct text text = {.size = 0};
  (void)state;
  text_add(&text, "GET / HTTP/1.1\r\nHost: a\r\n");
  text_fill(&text, 'n', limits.head_max);
  check_text(&text, "431");
}

static void test_fields_when_one_more_than_the_maximum_then_431(void **state)
{
  const struct http_limits wide = {.line_max = 256, .head_max = 16384, .body_max = BODY_MAX};
  (void)state;
  for (unsigned count = HTTP_FIELDS_MAX; count <= HTTP_FIELDS_MAX + 1; count++) {
    struct text text = {.size = 0};
    struct feed feed;
    text_add(&text, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (unsigned i = 1; i < count; i++)
      text_add(&text, "A: b\r\n");
    text_add(&text, "\r\n");
    feed_init(&feed, &wide);
    feed_pieces(&feed, text.data, text.size, 0, 5);
    if (count <= HTTP_FIELDS_MAX) {
      assert_int_equal(feed.result, HTTP_PARSE_DONE);
      assert_int_equal(feed.request.fields_count, count);
    } else {
      assert_int_equal(feed.result, HTTP_PARSE_ERROR);
      assert_int_equal(feed.parser.error, HF_E_HEADERS_TOO_LARGE);
    }
    feed_deinit(&feed);
  }
}

#define CHUNKED_HEAD "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

static void test_chunk_extensions_when_too_large_in_sum_then_400(void **state)
{
  (void)state;
  for (unsigned over = 0; over < 2; over++) {
    struct text text = {.size = 0};
    size_t left = HTTP_CHUNK_EXT_MAX + over;
    text_add(&text, CHUNKED_HEAD);
    while (left > 0) {
      /* The extension's own bytes are all after its first ';', up to and with the CR. */
      const size_t size = left < 1000 ? left : 1000;
      text_add(&text, "1;");
      text_fill(&text, 'e', size - 1);
      text_add(&text, "\r\nx\r\n");
      left -= size;
    }
    text_add(&text, "0\r\n\r\n");
    check_text(&text, over ? "400" : "POST / ?- 1.1 keep [xxxxx]");
  }
}

static void test_trailer_when_too_large_then_431(void **state)
{
  (void)state;
  for (unsigned over = 0; over < 2; over++) {
    struct text text = {.size = 0};
    text_add(&text, CHUNKED_HEAD "0\r\nA:");
    text_fill(&text, 'b', HTTP_TRAILER_MAX - strlen("A:\r\n\r\n") + over);
    text_add(&text, "\r\n\r\n");
    check_text(&text, over ? "431" : "POST / ?- 1.1 keep []");
  }
}

static void test_body_when_at_the_limit_then_taken_and_one_more_is_413(void **state)
{
  (void)state;
  for (unsigned over = 0; over < 2; over++) {
    struct text text = {.size = 0};
    text_add(&text, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ");
    text_add(&text, over ? "1001\r\n\r\n" : "1000\r\n\r\n");
    text_fill(&text, 'b', BODY_MAX);
    check_text(&text, over ? "413" : "POST / ?- 1.1 keep [bbb");
  }
}

/* ---- what the server relies on --------------------------------------------------------------- */

static void test_parser_when_requests_follow_each_other_then_each_ends_where_it_ends(void **state)
{
  static const char *const requests[] = {
    "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    CHUNKED_HEAD "3\r\nabc\r\n0\r\nT: u\r\n\r\n",
    "\r\nGET /4 HTTP/1.1\r\nHost: a\r\n\r\n",
  };
  char all[1024] = "";
  size_t size = 0, at = 0;
  (void)state;
  for (unsigned i = 0; i < 4; i++) {
    memcpy(all + size, requests[i], strlen(requests[i]));
    size += strlen(requests[i]);
  }
  for (unsigned i = 0; i < 4; i++) {
    struct http_request request;
    struct http_parser parser;
    http_parser_init(&parser, &request, &limits);
    enum http_parse result = http_parser_run(&parser, all + at, size - at);
    if (result == HTTP_PARSE_HEAD)
      result = http_parser_run(&parser, all + at, size - at);
    assert_int_equal(result, HTTP_PARSE_DONE);
    assert_int_equal(parser.at, strlen(requests[i]));
    at += parser.at;
  }
  assert_int_equal(at, size);
}

static void test_compact_when_body_comes_in_tiny_chunks_then_framing_takes_no_room(void **state)
{
  struct feed feed;
  (void)state;
  feed_init(&feed, &limits);
  feed_add(&feed, CHUNKED_HEAD, strlen(CHUNKED_HEAD));
  const size_t head = feed.size;
  for (unsigned i = 1; i <= 500; i++) {
    if (i % 100 == 0)
      assert_true(feed_add(&feed, "1;ext\r\nx\r\n", 10));
    assert_true(feed_add(&feed, "1\r\ny\r\n", 6));
    assert_int_equal(feed.size, head + i + i / 100);
  }
  assert_false(feed_add(&feed, "0\r\n\r\n", 5));
  assert_int_equal(feed.result, HTTP_PARSE_DONE);
  assert_int_equal(feed.request.body.size, 505);
  feed_deinit(&feed);
}

static void test_allow_when_a_route_takes_less_then_its_limit_counts(void **state)
{
  char text[] = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n";
  struct http_request request;
  struct http_parser parser;
  (void)state;
  http_parser_init(&parser, &request, &limits);
  assert_int_equal(http_parser_run(&parser, text, sizeof text - 1), HTTP_PARSE_HEAD);
  assert_int_equal(request.path.size, 1);
  assert_int_equal(http_parser_allow(&parser, 11), HF_OK);
  assert_int_equal(http_parser_allow(&parser, 10), HF_E_PAYLOAD_TOO_LARGE);
}

static void test_fields_when_asked_by_name_then_case_does_not_matter(void **state)
{
  char text[] = "GET / HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nx-a: 2\r\nX-B:\r\nX-Request-Id: r\r\n\r\n";
  struct http_request request;
  struct http_parser parser;
  (void)state;
  http_parser_init(&parser, &request, &limits);
  assert_int_equal(http_parser_run(&parser, text, sizeof text - 1), HTTP_PARSE_DONE);
  assert_int_equal(http_field_count(&request, "X-a"), 2);
  assert_int_equal(http_field_count(&request, "x-c"), 0);
  assert_memory_equal(http_field_get(&request, "x-A").at, "1", 1);
  assert_non_null(http_field_get(&request, "x-b").at);
  assert_int_equal(http_field_get(&request, "x-b").size, 0);
  assert_null(http_field_get(&request, "x-c").at);
  assert_int_equal(parser.request_id_at, 5);
}

static void test_expect_when_seen_then_reported_for_http_1_1_only(void **state)
{
  static const struct {
    const char *version, *value;
    unsigned seen;
  } cases[] = {
    {"1.1", "100-continue", HTTP_SEEN_CONTINUE},
    {"1.1", "100-Continue", HTTP_SEEN_CONTINUE},
    {"1.1", "200-ok", HTTP_SEEN_EXPECT},
    {"1.1", "", HTTP_SEEN_EXPECT},
    {"1.0", "100-continue", 0},
    {"1.0", "200-ok", 0},
  };
  (void)state;
  for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char text[128];
    struct http_request request;
    struct http_parser parser;
    const int size = snprintf(text, sizeof text, "GET / HTTP/%s\r\nHost: h\r\nExpect: %s\r\n\r\n",
                              cases[i].version, cases[i].value);
    http_parser_init(&parser, &request, &limits);
    assert_int_equal(http_parser_run(&parser, text, (size_t)size), HTTP_PARSE_DONE);
    assert_int_equal(parser.seen & (HTTP_SEEN_CONTINUE | HTTP_SEEN_EXPECT), cases[i].seen);
  }
}

static void test_gzip_when_negotiated_then_weights_and_wildcards_count(void **state)
{
  static const struct {
    const char *value;
    bool accepts;
  } cases[] = {
    {"gzip", true},
    {"GZIP", true},
    {"x-gzip", true},
    {"deflate", false},
    {"", false},
    {"deflate, gzip;q=0.5", true},
    {"gzip;q=0", false},
    {"gzip; q=0.000", false},
    {"gzip;q=0.001", true},
    {"*", true},
    {"*;q=0", false},
    {"*, gzip;q=0", false},
    {"*;q=0, gzip", true},
    {"gzipped", false},
    {"br;q=1.0,gzip ;q=0.8", true},
    {"identity", false},
  };
  (void)state;
  for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char text[128];
    struct http_request request;
    struct http_parser parser;
    const int size =
      snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: %s\r\n\r\n",
               cases[i].value);
    http_parser_init(&parser, &request, &limits);
    assert_int_equal(http_parser_run(&parser, text, (size_t)size), HTTP_PARSE_DONE);
    if (http_request_accepts_gzip(&request) != cases[i].accepts)
      fail_msg("%s", cases[i].value);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_parser_when_given_each_case_then_verdict_is_that_of_the_standard),
    cmocka_unit_test(test_chars_when_derived_from_the_grammar_then_table_agrees),
    cmocka_unit_test(test_value_when_each_byte_stands_at_each_place_then_only_allowed_ones_pass),
    cmocka_unit_test(test_line_when_at_the_limit_then_taken_and_one_more_is_414),
    cmocka_unit_test(test_line_when_it_never_ends_then_414),
    cmocka_unit_test(test_head_when_at_the_limit_then_taken_and_one_more_is_431),
    cmocka_unit_test(test_head_when_a_name_never_ends_then_431),
    cmocka_unit_test(test_fields_when_one_more_than_the_maximum_then_431),
    cmocka_unit_test(test_chunk_extensions_when_too_large_in_sum_then_400),
    cmocka_unit_test(test_trailer_when_too_large_then_431),
    cmocka_unit_test(test_body_when_at_the_limit_then_taken_and_one_more_is_413),
    cmocka_unit_test(test_parser_when_requests_follow_each_other_then_each_ends_where_it_ends),
    cmocka_unit_test(test_compact_when_body_comes_in_tiny_chunks_then_framing_takes_no_room),
    cmocka_unit_test(test_allow_when_a_route_takes_less_then_its_limit_counts),
    cmocka_unit_test(test_fields_when_asked_by_name_then_case_does_not_matter),
    cmocka_unit_test(test_expect_when_seen_then_reported_for_http_1_1_only),
    cmocka_unit_test(test_gzip_when_negotiated_then_weights_and_wildcards_count),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
