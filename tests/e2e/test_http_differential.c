/* test_http_differential.c - the request parser beside Node's (llhttp): the known cases and mutants
 * of them go through both.
 *
 * Properties: a request that we take, Node takes, with the same method, target and body, and of the
 * same extent; what Node refuses, we refuse; what only we refuse is refused for one of the reasons
 * listed here. HTTP_DIFFERENTIAL_SEED draws other mutants. ctest: timeout=300 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "adapters/http/http_parser.h"
#include "tests/support/http_cases.h"

#define MUTANTS 30000u
#define INPUT_MAX 2048u
#define LINE_MAX (4u * INPUT_MAX + 100u)

static const struct http_limits limits = {.line_max = 8192, .head_max = 16384, .body_max = 8192};

/* ---- inputs ---------------------------------------------------------------------------------- */

static uint64_t random_state;

static uint64_t draw(uint64_t below)
{
  random_state = random_state * 6364136223846793005u + 1442695040888963407u;
  return (random_state >> 33) % below;
}

struct input {
  char data[INPUT_MAX];
  size_t size;
};

static void input_splice(struct input *input, size_t at, size_t drop, const char *with, size_t size)
{
  if (input->size - drop + size > INPUT_MAX)
    return;
  memmove(input->data + at + size, input->data + at + drop, input->size - at - drop);
  memcpy(input->data + at, with, size);
  input->size += size - drop;
}

static void input_mutate(struct input *input)
{
  static const char *const pieces[] = {
    "\r",
    "\n",
    "\r\n",
    " ",
    "\t",
    ":",
    ",",
    ";",
    "0",
    "00",
    "\x7f",
    "\x80",
    "\r\n\r\n",
    "Host: b\r\n",
    "Content-Length: 1\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Connection: close\r\n",
    "HTTP/1.1",
    "\"",
    "?",
    "#",
    "chunked",
    "=",
    "a",
  };
  const size_t at = draw(input->size + 1);
  const size_t left = input->size - at;
  char byte = (char)draw(256);

  switch (draw(5)) {
  case 0:
    input_splice(input, at, left > 0 ? 1 : 0, &byte, 1);
    break;
  case 1:
    input_splice(input, at, draw(left < 4 ? left + 1 : 4), "", 0);
    break;
  case 2:
    input_splice(input, at, 0, &byte, 1);
    break;
  default: {
    const char *piece = pieces[draw(sizeof pieces / sizeof pieces[0])];
    input_splice(input, at, draw(2) == 0 && left > 0 ? 1 : 0, piece, strlen(piece));
    break;
  }
  }
}

static void input_draw(struct input *input, size_t number)
{
  /* The table is not empty; its length is a constant of another file. */
  /* cppcheck-suppress zerodivcond */
  const struct http_case *base = &http_cases[number % http_cases_count];
  memcpy(input->data, base->text, base->size);
  input->size = base->size;
  if (number < http_cases_count)
    return;
  for (uint64_t i = 1 + draw(2); i > 0; i--)
    input_mutate(input);
}

/* ---- verdicts -------------------------------------------------------------------------------- */

static size_t put_hex(char *to, const char *data, size_t size)
{
  for (size_t i = 0; i < size; i++)
    snprintf(to + 2 * i, 3, "%02x", (unsigned)(unsigned char)data[i]);
  return 2 * size;
}

/* Our verdict in the words of tests/e2e/lib/node_http.js; the reason of an error in ret_why. */
static void verdict(const struct input *input, char line[LINE_MAX], const char **ret_why)
{
  static const char *const methods[] = {"GET",   "HEAD",   "POST",    "PUT",
                                        "PATCH", "DELETE", "OPTIONS", "OTHER"};
  struct http_request request;
  struct http_parser parser;
  char *data = malloc(input->size + 1);
  size_t at;

  assert_non_null(data);
  memcpy(data, input->data, input->size);
  http_parser_init(&parser, &request, &limits);
  enum http_parse result = http_parser_run(&parser, data, input->size);
  if (result == HTTP_PARSE_HEAD)
    result = http_parser_run(&parser, data, input->size);
  *ret_why = parser.why;
  if (result == HTTP_PARSE_DONE) {
    at = (size_t)snprintf(line, LINE_MAX, "done %s 1.%u ", methods[request.method],
                          (unsigned)request.version_minor);
    at += put_hex(line + at, request.path.at, request.path.size);
    if (request.query.at != NULL) {
      at += put_hex(line + at, "?", 1);
      at += put_hex(line + at, request.query.at, request.query.size);
    }
    line[at++] = ' ';
    at += put_hex(line + at, request.body.at, request.body.size);
    line[at] = '\0';
  } else {
    snprintf(line, LINE_MAX, "%s", result == HTTP_PARSE_ERROR ? "error" : "more");
  }
  free(data);
}

static bool starts(const char *text, const char *with)
{
  return strncmp(text, with, strlen(with)) == 0;
}

/* The word after `count` spaces. */
static const char *word(const char *line, unsigned count)
{
  while (count-- > 0) {
    line = strchr(line, ' ');
    assert_non_null(line);
    line++;
  }
  return line;
}

/* What we refuse and Node's parser lets pass: it leaves some of these to the server above it. */
static bool stricter_on_purpose(const char *why)
{
  static const char *const reasons[] = {
    "An HTTP/1.1 request needs a Host",
    "There is more than one Host",
    "Host is not a host and a port",
    /* RFC 9112 section 2.2: one empty line may come first; lone CR and LF are no lines. */
    "The request line does not begin with a method and one space",
    "A CR stands without its LF",
    /* Section 3: one space each; a target without '#', of a form that its method takes. */
    "The request target has a byte that is not allowed there",
    "The request target is neither a path nor an http URI",
    "The request target names no valid host",
    "CONNECT takes a host and a port",
    "CONNECT has no body",
    "Only OPTIONS takes the target *",
    "The request line does not end with HTTP/1.1",
    "Only HTTP/1.0 and HTTP/1.1 are spoken",
    /* Section 6.1: nothing but chunked is understood here, and not from HTTP/1.0. */
    "The only transfer coding is chunked",
    "There is more than one Transfer-Encoding",
    "HTTP/1.0 has no Transfer-Encoding",
    /* Section 7.1: the grammar of extensions; limits. */
    "A chunk extension is malformed",
    "A chunk size has more than 8 digits",
    "The body is larger than the limit",
  };
  for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
    if (strcmp(why, reasons[i]) == 0)
      return true;
  }
  return false;
}

/* Does a field that frames messages stand behind the head? */
static bool trailer_frames(const struct input *input)
{
  const char *end = input->data + input->size;
  const char *line = memmem(input->data, input->size, "HTTP/", 5);
  const char *head = line == NULL ? NULL : memmem(line, (size_t)(end - line), "\r\n\r\n", 4);

  return head != NULL && (memmem(head, (size_t)(end - head), "\nContent-Length:", 16) != NULL ||
                          memmem(head, (size_t)(end - head), "\nTransfer-Encoding:", 19) != NULL);
}

/* NULL, or what is wrong. */
static const char *compare(const struct input *input, const char *ours, const char *theirs,
                           const char *why)
{
  if (starts(ours, "error"))
    return !starts(theirs, "done") || stricter_on_purpose(why) ? NULL : "only we refuse";
  /* Node knows some methods only. */
  if (starts(theirs, "error HPE_INVALID_METHOD"))
    return NULL;
  /* The white space around a value may be a tab (RFC 9110 section 5.6.3), and fields of the
   * trailer section mean nothing for the framing (RFC 9112 section 7.1.2). */
  if (starts(theirs, "error HPE_INVALID_CONTENT_LENGTH") ||
      starts(theirs, "error HPE_INVALID_TRANSFER_ENCODING")) {
    if (memchr(input->data, '\t', input->size) != NULL || trailer_frames(input))
      return NULL;
  }
  /* A target or a field is judged when it is complete, which may be later than Node does. */
  if (starts(ours, "more"))
    return starts(theirs, "done") ? "we wait, Node does not" : NULL;
  if (!starts(theirs, "done"))
    return "only we take it";
  if (!starts(ours, "done OTHER") && strncmp(ours, theirs, (size_t)(word(ours, 2) - ours)) != 0)
    return "other method";
  if (strncmp(word(ours, 2), word(theirs, 2), strlen("1.1 ")) != 0)
    return "other version";
  if (strcmp(word(ours, 4), word(theirs, 4)) != 0)
    return "other body";
  /* Node leaves an absolute URI whole. */
  if (starts(word(theirs, 3), "2f") && strcmp(word(ours, 3), word(theirs, 3)) != 0)
    return "other target";
  return NULL;
}

static void report(const struct input *input, const char *wrong, const char *ours,
                   const char *theirs, const char *why)
{
  print_message("%s: ours \"%s\" (%s), theirs \"%s\", for ", wrong, ours, why == NULL ? "" : why,
                theirs);
  for (size_t i = 0; i < input->size; i++) {
    const unsigned char c = (unsigned char)input->data[i];
    print_message(c >= 0x20 && c < 0x7f ? "%c" : "\\x%02x", c);
  }
  print_message("\n");
}

/* ---- the test -------------------------------------------------------------------------------- */

static uint64_t seed(void)
{
  const char *text = getenv("HTTP_DIFFERENTIAL_SEED");
  return text == NULL ? 1 : strtoull(text, NULL, 10);
}

static FILE *inputs_write(const char *path)
{
  static struct input input;
  static char line[LINE_MAX];
  char command[256];
  FILE *file = fopen(path, "w");

  assert_non_null(file);
  random_state = seed();
  for (size_t i = 0; i < http_cases_count + MUTANTS; i++) {
    input_draw(&input, i);
    line[put_hex(line, input.data, input.size)] = '\0';
    assert_true(fprintf(file, "%s\n", line) > 0);
  }
  assert_int_equal(fclose(file), 0);
  snprintf(command, sizeof command, "node --no-deprecation tests/e2e/lib/node_http.js < %s", path);
  /* The command is made of constants and a name that mkstemp chose. NOLINTNEXTLINE(cert-env33-c) */
  return popen(command, "r");
}

static void test_parser_when_beside_node_then_requests_are_taken_alike(void **state)
{
  static struct input input;
  static char ours[LINE_MAX], theirs[LINE_MAX];
  char path[] = "/tmp/http_differential.XXXXXX";
  unsigned wrong_count = 0, taken = 0;
  (void)state;

  const int fd = mkstemp(path);
  assert_true(fd >= 0);
  assert_int_equal(close(fd), 0);
  FILE *node = inputs_write(path);
  assert_non_null(node);
  random_state = seed();
  for (size_t i = 0; i < http_cases_count + MUTANTS; i++) {
    const char *why;
    input_draw(&input, i);
    assert_non_null(fgets(theirs, sizeof theirs, node));
    theirs[strcspn(theirs, "\n")] = '\0';
    verdict(&input, ours, &why);
    const char *wrong = compare(&input, ours, theirs, why);
    taken += starts(ours, "done");
    if (wrong != NULL && wrong_count++ < 20)
      report(&input, wrong, ours, theirs, why);
  }
  assert_int_equal(pclose(node), 0);
  assert_int_equal(unlink(path), 0);
  print_message("HTTP_DIFFERENTIAL_SEED=%llu: %u of %zu inputs taken\n", (unsigned long long)seed(),
                taken, http_cases_count + MUTANTS);
  assert_int_equal(wrong_count, 0);
  assert_true(taken > 1000);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_parser_when_beside_node_then_requests_are_taken_alike),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
