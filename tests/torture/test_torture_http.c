/* Every socket call of the front door fails: a client's connection ends within a session of many
 * kinds of requests, behind the n-th byte of what it sends and behind the n-th that it takes, for
 * all n, in each manner in which a connection can end; also one that takes little at a time. Each
 * request that had come whole is answered or its connection is closed; each exchange is let go of
 * once; nothing stays open.
 * ctest: timeout=300 */
#include "tests/unit/http_fixture.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LARGE_SIZE 300000u
#define LARGE_STEP 7919u /* of the bytes taken of a large reply: a prime */
#define PIECES 3u

enum manner { CLOSED, RESET, HALF_CLOSED, MANNERS };

static struct http_fixture fixture;
static char large[LARGE_SIZE];

/* ---- the server's side ----------------------------------------------------------------------- */

static void release(void *data)
{
  struct http_fixture *mine = data;
  mine->released++;
}

static void stream(struct http_exchange *exchange)
{
  bool open = true;
  http_stream_begin(exchange, 200, "text/plain", NULL, NULL);
  for (unsigned i = 0; i < PIECES && open; i++)
    open = http_stream_write(exchange, "a piece of it\n", 14);
  http_stream_end(exchange);
}

static void handle(struct http_exchange *exchange, void *user)
{
  struct http_fixture *mine = user;
  const struct http_request *request = http_request_of(exchange);
  mine->handled++;
  http_set_data(exchange, mine, release);
  switch (request->path.at[1]) {
  case 'h':
    assert_true(mine->held_count < HELD_MAX);
    mine->held[mine->held_count++] = exchange;
    break;
  case 's':
    stream(exchange);
    break;
  case 'l':
    http_reply(exchange, 200, "text/plain", large, sizeof large);
    break;
  default:
    http_reply(exchange, 200, "text/plain", request->body.at, request->body.size);
  }
}

/* What is held is answered as late as can be: when the others were. */
static void answer_held(void)
{
  for (unsigned i = 0; i < fixture.held_count; i++)
    if (fixture.held[i] != NULL)
      held_answer(&fixture, i);
  fixture.held_count = 0;
}

/* ---- the session ----------------------------------------------------------------------------- */

static const char *const requests[] = {
  "GET /a HTTP/1.1\r\nHost: a\r\n\r\n",
  "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello there",
  "HEAD /c HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n",
  "POST /d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;x\r\ny\r\n0\r\nT:t\r\n\r\n",
  "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n",
  "POST /e HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody",
  "GET /f HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
};
#define REQUESTS (sizeof requests / sizeof requests[0])

static size_t session_text(char *text, size_t room)
{
  size_t size = 0;
  for (size_t i = 0; i < REQUESTS; i++) {
    const size_t more = strlen(requests[i]);
    assert_true(size + more < room);
    memcpy(text + size, requests[i], more);
    size += more;
  }
  return size;
}

/* How many requests the first `bytes` of the session hold whole. */
static unsigned whole_in(size_t bytes)
{
  unsigned whole = 0;
  for (size_t end = 0; whole < REQUESTS; whole++) {
    end += strlen(requests[whole]);
    if (end > bytes)
      break;
  }
  return whole;
}

/* ---- the client's side ----------------------------------------------------------------------- */

static int client_connect(int receive_room)
{
  struct sockaddr_in to = {.sin_family = AF_INET,
                           .sin_port = htons(http_loop_port(fixture.http)),
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_true(fd >= 0);
  if (receive_room > 0)
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_room, sizeof receive_room), 0);
  assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
  return fd;
}

static void end(int fd, enum manner manner)
{
  static const struct linger now = {1, 0};
  if (manner == RESET)
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
  if (manner == HALF_CLOSED)
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
  else
    assert_int_equal(close(fd), 0);
}

struct taking {
  int fd;
  size_t most, taken;
  bool ended;
  unsigned statuses; /* lines that begin a reply */
  unsigned matched;  /* of the line that is looked for */
};

/* Counts "HTTP/1.1 200", which stands nowhere else. */
static void count_statuses(struct taking *taking, const char *bytes, size_t size)
{
  static const char line[] = "HTTP/1.1 200";
  for (size_t i = 0; i < size; i++) {
    if (bytes[i] != line[taking->matched])
      taking->matched = bytes[i] == line[0];
    else
      taking->matched++;
    if (taking->matched < sizeof line - 1u)
      continue;
    taking->statuses++;
    taking->matched = 0;
  }
}

/* Takes what has come, up to the most; true: that is all, or the server has ended it. */
static bool take(void *arg)
{
  struct taking *taking = arg;
  char bytes[4096];
  while (taking->taken < taking->most) {
    const size_t left = taking->most - taking->taken;
    const ssize_t size =
      recv(taking->fd, bytes, left < sizeof bytes ? left : sizeof bytes, MSG_DONTWAIT);
    if (size < 0 && errno == EAGAIN) {
      answer_held();
      uv_run(&fixture.uv, UV_RUN_NOWAIT);
      return false;
    }
    if (size <= 0) {
      taking->ended = true;
      return true;
    }
    count_statuses(taking, bytes, (size_t)size);
    taking->taken += (size_t)size;
  }
  return true;
}

/* The loop has no descriptor of the client's: it must not sleep. */
static void take_all(struct taking *taking)
{
  unsigned idle = 0;
  while (!take(taking)) {
    assert_true(++idle < 50000000u);
    uv_run(&fixture.uv, UV_RUN_NOWAIT);
  }
}

static bool nobody_is_there(void *arg)
{
  (void)arg;
  answer_held();
  return http_loop_connections(fixture.http) == 0;
}

static void send_all(int fd, const char *text, size_t size)
{
  assert_int_equal(send(fd, text, size, MSG_NOSIGNAL), (ssize_t)size);
}

static void set_up(void)
{
  fixture_init(&fixture);
  fixture.handler = handle;
  fixture_start(&fixture);
}

/* Nothing of the sessions is left. */
static void check(void)
{
  pump_until(&fixture, nobody_is_there, NULL);
  answer_held();
  assert_int_equal(fixture.released, fixture.handled);
  assert_int_equal(fixture.open, 0);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void each_byte_sent(enum manner manner)
{
  char text[2048];
  const size_t size = session_text(text, sizeof text);
  set_up();
  for (size_t bytes = 0; bytes <= size; bytes++) {
    const unsigned before = fixture.handled, whole = whole_in(bytes);
    const int fd = client_connect(0);
    send_all(fd, text, bytes);
    end(fd, manner);
    if (manner == HALF_CLOSED) {
      struct taking taking = {.fd = fd, .most = SIZE_MAX};
      take_all(&taking);
      if (taking.statuses != whole || fixture.handled - before != whole)
        fail_msg("%zu bytes: %u of %u whole requests reached the handler, %u were answered", bytes,
                 fixture.handled - before, whole, taking.statuses);
      assert_int_equal(close(fd), 0);
    }
    check();
    assert_true(fixture.handled - before <= whole);
  }
  fixture_stop(&fixture);
}

static void test_session_when_closed_behind_the_nth_byte_sent_then_all_is_let_go(void **state)
{
  (void)state;
  each_byte_sent(CLOSED);
}

static void test_session_when_reset_behind_the_nth_byte_sent_then_all_is_let_go(void **state)
{
  (void)state;
  each_byte_sent(RESET);
}

static void test_session_when_half_closed_behind_the_nth_byte_then_all_whole_are_answered(
  void **state)
{
  (void)state;
  each_byte_sent(HALF_CLOSED);
}

/* The session's replies, or what `text` asks for; false: there are fewer bytes than that. */
static bool taken_up_to(const char *text, size_t size, size_t bytes, enum manner manner,
                        int receive_room)
{
  struct taking taking = {.most = bytes};
  taking.fd = client_connect(receive_room);
  send_all(taking.fd, text, size);
  take_all(&taking);
  end(taking.fd, manner);
  if (manner == HALF_CLOSED) {
    taking.most = SIZE_MAX;
    take_all(&taking);
    assert_int_equal(close(taking.fd), 0);
  }
  check();
  return !taking.ended || manner == HALF_CLOSED;
}

static void test_session_when_it_ends_behind_the_nth_byte_taken_then_all_is_let_go(void **state)
{
  char text[2048];
  const size_t size = session_text(text, sizeof text);
  (void)state;
  set_up();
  for (enum manner manner = CLOSED; manner <= RESET; manner++) {
    size_t bytes = 0;
    while (taken_up_to(text, size, bytes, manner, 0))
      bytes++;
    print_message("%zu bytes\n", bytes);
    assert_true(bytes > 500);
  }
  fixture_stop(&fixture);
}

/* The server writes in many pieces, and most of it waits. */
static void test_large_reply_when_it_ends_behind_the_nth_byte_then_all_is_let_go(void **state)
{
  static const char text[] = "GET /large HTTP/1.1\r\nHost: a\r\n\r\n"
                             "GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
  (void)state;
  memset(large, 'x', sizeof large);
  set_up();
  for (enum manner manner = CLOSED; manner < MANNERS; manner++)
    for (size_t bytes = 0; bytes < LARGE_SIZE; bytes += LARGE_STEP)
      assert_true(taken_up_to(text, sizeof text - 1u, bytes, manner, 2304));
  fixture_stop(&fixture);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_session_when_closed_behind_the_nth_byte_sent_then_all_is_let_go),
    cmocka_unit_test(test_session_when_reset_behind_the_nth_byte_sent_then_all_is_let_go),
    cmocka_unit_test(test_session_when_half_closed_behind_the_nth_byte_then_all_whole_are_answered),
    cmocka_unit_test(test_session_when_it_ends_behind_the_nth_byte_taken_then_all_is_let_go),
    cmocka_unit_test(test_large_reply_when_it_ends_behind_the_nth_byte_then_all_is_let_go),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
