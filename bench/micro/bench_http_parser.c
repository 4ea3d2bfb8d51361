/* bench_http_parser.c - what parsing one request costs: whole buffers, and a byte at a time.
 *
 * Prints nanoseconds per request and megabytes per second for a few typical requests; the best of
 * several rounds, because the machine is shared. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "adapters/http/http_parser.h"
#include "holdfast/check.h"

#define ROUNDS 15
#define ROUND_NS 20000000u

static const struct {
  const char *name;
  const char *text;
} samples[] = {
  {"GET, 2 fields", "GET /livez HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n"},
  {"GET, browser",
   "GET /v1/users/4503599627370497/balances?asset=GOLD HTTP/1.1\r\n"
   "Host: api.example.com\r\n"
   "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
   "Accept: application/json\r\n"
   "Accept-Language: en-US,en;q=0.5\r\n"
   "Accept-Encoding: gzip, deflate, br\r\n"
   "Authorization: Bearer hfk_bench_0123456789abcdef0123456789abcdef\r\n"
   "Connection: keep-alive\r\n"
   "\r\n"},
  {"POST, JSON", "POST /v1/ops HTTP/1.1\r\n"
                 "Host: 127.0.0.1:8080\r\n"
                 "Authorization: Bearer hfk_bench_0123456789abcdef0123456789abcdef\r\n"
                 "Idempotency-Key: 01890c5e-7f3a-7cc0-98c4-dc0c0c07398f\r\n"
                 "Content-Type: application/json\r\n"
                 "Content-Length: 76\r\n"
                 "\r\n"
                 "{\"type\":\"earn\",\"user_id\":\"4503599627370497\","
                 "\"asset\":\"GOLD\",\"amount\":\"1.25\" }"},
  {"POST, chunked", "POST /v1/ops HTTP/1.1\r\n"
                    "Host: 127.0.0.1:8080\r\n"
                    "Content-Type: application/json\r\n"
                    "Transfer-Encoding: chunked\r\n"
                    "\r\n"
                    "21\r\n{\"type\":\"earn\",\"user_id\":\"4503599\r\n"
                    "21\r\n627370497\",\"asset\":\"GOLD\",\"amount\r\n"
                    "0\r\n\r\n"},
};

static uint64_t now_ns(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void parse(char *data, size_t size, size_t step, const struct http_limits *limits,
                  struct http_request *request)
{
  struct http_parser parser;
  enum http_parse result = HTTP_PARSE_MORE;

  http_parser_init(&parser, request, limits);
  for (size_t end = step < size ? step : size;; end += step) {
    result = http_parser_run(&parser, data, end < size ? end : size);
    if (result == HTTP_PARSE_HEAD) {
      CHECK(http_parser_allow(&parser, limits->body_max) == HF_OK);
      result = http_parser_run(&parser, data, end < size ? end : size);
    }
    if (result != HTTP_PARSE_MORE)
      break;
    CHECK(end < size);
  }
  CHECK(result == HTTP_PARSE_DONE);
}

static double measure(const char *text, size_t step, const struct http_limits *limits)
{
  static struct http_request request;
  static char data[4096];
  const size_t size = strlen(text);
  double best = 1e18;

  CHECK(size < sizeof data);
  for (unsigned round = 0; round < ROUNDS; round++) {
    const uint64_t start = now_ns();
    uint64_t count = 0;
    uint64_t end;
    do {
      for (unsigned i = 0; i < 64; i++) {
        memcpy(data, text, size); /* A chunked body is decoded in place. */
        parse(data, size, step, limits, &request);
      }
      count += 64;
      end = now_ns();
    } while (end - start < ROUND_NS);
    const double each = (double)(end - start) / (double)count;
    best = each < best ? each : best;
  }
  return best;
}

int main(void)
{
  const struct http_limits limits = {.line_max = 8192, .head_max = 16384, .body_max = 65536};

  for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
    const size_t size = strlen(samples[i].text);
    const double whole = measure(samples[i].text, size, &limits);
    const double bytes = measure(samples[i].text, 1, &limits);
    printf("%-14s %4zu bytes  %7.1f ns whole (%5.0f MB/s)  %8.1f ns byte by byte\n",
           samples[i].name, size, whole, (double)size * 1000.0 / whole, bytes);
  }
  return EXIT_SUCCESS;
}
