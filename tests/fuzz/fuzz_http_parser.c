/* fuzz_http_parser.c - libFuzzer target: the request parser on arbitrary bytes.
 *
 * Input: one byte that says how the rest is cut, then a connection's bytes. Properties: no access
 * outside the buffer (sanitizers); the verdict, the extent and every slice of each request are the
 * same whole and in pieces; slices point into the request; a request that is taken parses to the
 * same again from its own bytes alone; its body is what a plain reading of its bytes gives. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/http/http_parser.h"
#include "holdfast/check.h"

#define BODY_MAX 4096u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct http_limits limits = {.line_max = 512, .head_max = 2048, .body_max = BODY_MAX};

struct outcome {
  struct http_parser parser;
  struct http_request request;
  enum http_parse result;
  char *data;   /* the parser's buffer; exactly as large as its content */
  size_t size;  /* of it */
  size_t taken; /* input bytes that the parser was given before its last run */
};

static void run(struct outcome *outcome)
{
  outcome->result = http_parser_run(&outcome->parser, outcome->data, outcome->size);
  if (outcome->result == HTTP_PARSE_HEAD) {
    if (http_parser_allow(&outcome->parser, BODY_MAX) != HF_OK)
      outcome->result = http_parser_fail(&outcome->parser, HF_E_PAYLOAD_TOO_LARGE, "too large");
    else
      outcome->result = http_parser_run(&outcome->parser, outcome->data, outcome->size);
  }
  CHECK(outcome->result != HTTP_PARSE_HEAD);
}

/* Parses one request, given in pieces of `step` bytes (0: at once). */
static void parse(struct outcome *outcome, const uint8_t *data, size_t size, size_t step)
{
  size_t given = 0;
  size_t dropped = 0; /* bytes of chunk framing that compacting gave up */

  memset(outcome, 0, sizeof *outcome);
  http_parser_init(&outcome->parser, &outcome->request, &limits);
  do {
    const size_t piece = step == 0 || size - given < step ? size - given : step;
    char *grown = malloc(outcome->size + piece + (outcome->size + piece == 0));
    CHECK(grown != NULL);
    if (outcome->size > 0)
      memcpy(grown, outcome->data, outcome->size);
    if (piece > 0)
      memcpy(grown + outcome->size, data + given, piece);
    given += piece;
    outcome->size += piece;
    if (outcome->data != NULL)
      http_parser_moved(&outcome->parser, grown);
    free(outcome->data);
    outcome->data = grown;
    run(outcome);
    if (outcome->result == HTTP_PARSE_MORE) {
      const size_t compact = http_parser_compact(&outcome->parser);
      CHECK(compact <= outcome->size);
      dropped += outcome->size - compact;
      outcome->size = compact;
    }
  } while (outcome->result == HTTP_PARSE_MORE && given < size);
  outcome->taken = dropped + outcome->parser.at;
  CHECK(outcome->parser.at <= outcome->size);
}

static void check_slice(const struct outcome *outcome, struct http_slice slice)
{
  const uintptr_t from = (uintptr_t)outcome->data;
  const uintptr_t at = (uintptr_t)slice.at;
  CHECK(slice.at != NULL && at >= from && at + slice.size <= from + outcome->size);
}

static void check_request(const struct outcome *outcome)
{
  const struct http_request *request = &outcome->request;
  CHECK(request->path.size > 0);
  CHECK(request->version_minor <= 1 && request->fields_count <= HTTP_FIELDS_MAX);
  /* The path of an absolute target without one is a constant. */
  if (request->path.size > 1)
    check_slice(outcome, request->path);
  if (request->query.at != NULL)
    check_slice(outcome, request->query);
  check_slice(outcome, request->body);
  CHECK(request->body.size <= BODY_MAX);
  CHECK(http_parser_kept(&outcome->parser) <= outcome->parser.at);
  for (unsigned i = 0; i < request->fields_count; i++) {
    check_slice(outcome, request->fields[i].name);
    check_slice(outcome, request->fields[i].value);
    CHECK(request->fields[i].name.size > 0);
  }
  (void)http_request_accepts_gzip(request);
  CHECK(request->version_minor == 0 || http_field_count(request, "host") == 1);
  CHECK(http_field_count(request, "content-length") +
          http_field_count(request, "transfer-encoding") <=
        1);
}

static void check_same_slice(struct http_slice one, struct http_slice other)
{
  CHECK(one.size == other.size && (one.at == NULL) == (other.at == NULL));
  CHECK(one.at == NULL || memcmp(one.at, other.at, one.size) == 0);
}

static void check_same(const struct outcome *one, const struct outcome *other)
{
  CHECK(one->result == other->result);
  if (one->result == HTTP_PARSE_ERROR)
    CHECK(one->parser.error == other->parser.error && one->parser.why == other->parser.why);
  if (one->result != HTTP_PARSE_DONE)
    return;
  CHECK(one->taken == other->taken);
  CHECK(one->request.method == other->request.method);
  CHECK(one->request.keep_alive == other->request.keep_alive);
  CHECK(one->request.version_minor == other->request.version_minor);
  CHECK(one->request.fields_count == other->request.fields_count);
  check_same_slice(one->request.path, other->request.path);
  check_same_slice(one->request.query, other->request.query);
  check_same_slice(one->request.body, other->request.body);
  for (unsigned i = 0; i < one->request.fields_count; i++) {
    check_same_slice(one->request.fields[i].name, other->request.fields[i].name);
    check_same_slice(one->request.fields[i].value, other->request.fields[i].value);
  }
}

/* Reads the body of an accepted request again, byte by byte and without a state machine. */
static void check_body(const struct outcome *outcome, const char *at, const char *end)
{
  const struct http_slice body = outcome->request.body;
  const bool chunked = http_field_get(&outcome->request, "transfer-encoding").at != NULL;
  size_t size = 0;
  char *after;

  while (memcmp(at, "\r\n\r\n", 4) != 0) /* The head ends somewhere: it was accepted. */
    at++;
  at += 4;
  if (!chunked) {
    CHECK((size_t)(end - at) == body.size && memcmp(at, body.at, body.size) == 0);
    return;
  }
  for (;;) {
    CHECK(strspn(at, "0123456789abcdefABCDEF") >= 1);
    const size_t chunk = strtoul(at, &after, 16);
    CHECK(after - at <= 8 && (*after == '\r' || *after == ';'));
    at = (const char *)memchr(after, '\n', (size_t)(end - after)) + 1;
    if (chunk == 0)
      break;
    CHECK(size + chunk <= body.size && memcmp(at, body.at + size, chunk) == 0);
    CHECK(memcmp(at + chunk, "\r\n", 2) == 0);
    at += chunk + 2;
    size += chunk;
  }
  CHECK(size == body.size && end - at >= 2 && memcmp(end - 2, "\r\n", 2) == 0);
}

/* The request's own bytes, terminated, without the empty lines before it. */
static void check_bytes(const struct outcome *outcome, const uint8_t *data)
{
  char *bytes = malloc(outcome->taken + 1);
  const char *at = bytes;

  CHECK(bytes != NULL);
  memcpy(bytes, data, outcome->taken);
  bytes[outcome->taken] = '\0';
  while (*at == '\r')
    at += 2;
  check_body(outcome, at, bytes + outcome->taken);
  free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  if (size < 1)
    return 0;
  const size_t step = 1 + data[0] % 64u;
  data++;
  size--;
  while (size > 0) {
    struct outcome whole, pieces, alone;
    parse(&whole, data, size, 0);
    parse(&pieces, data, size, step);
    check_same(&whole, &pieces);
    const bool done = whole.result == HTTP_PARSE_DONE;
    if (done) {
      check_request(&whole);
      check_request(&pieces);
      check_bytes(&whole, data);
      parse(&alone, data, whole.taken, 1);
      check_same(&whole, &alone);
      free(alone.data);
    }
    free(whole.data);
    free(pieces.data);
    if (!done)
      break;
    data += whole.taken;
    size -= whole.taken;
  }
  return 0;
}
