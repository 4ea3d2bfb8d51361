/* test_http_chaos.c - many clients at once doing everything at random: cut requests, pipelines,
 * held and early and streamed replies, pauses, resets, drain; the seed decides.
 *
 * Property: a client that stays gets exactly its replies, in order; every exchange ends once; all
 * memory comes back. HTTP_CHAOS_SEED repeats one run. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "adapters/http/http_internal.h"
#include "http_fixture.h"

#define CLIENTS 8u
#define REQUESTS 60u
#define SEEDS 40u
#define STEPS_MAX 200000u

static struct http_fixture fixture;
static uint64_t random_state;

static uint64_t draw(uint64_t below)
{
  random_state = random_state * 6364136223846793005u + 1442695040888963407u;
  return (random_state >> 33) % below;
}

/* ---- the server's side ----------------------------------------------------------------------- */

#define PENDING_MAX (CLIENTS * REQUESTS * 4)

static struct http_exchange *pending[PENDING_MAX];
static unsigned pending_count, handled, released;

static size_t render(const struct http_exchange *exchange, char text[9000])
{
  const struct http_request *request = http_request_of(exchange);
  return (size_t)snprintf(text, 9000, "%.*s%.*s", (int)request->path.size, request->path.at,
                          (int)request->body.size, request->body.at);
}

static void stream_on(struct http_exchange *exchange, void *arg)
{
  char text[9000];
  const size_t size = render(exchange, text);
  const size_t room = http_stream_room(exchange);
  (void)arg;
  if (!http_stream_write(exchange, text, size) && room < size)
    return; /* Comes again when there is room. */
  http_stream_end(exchange);
}

static void answer(struct http_exchange *exchange)
{
  char text[9000];
  const size_t size = render(exchange, text);
  if (draw(5) == 0)
    http_stream_begin(exchange, 200, "text/plain", stream_on, NULL);
  else
    http_reply(exchange, 200, "text/plain", text, size);
}

static void answer_some(unsigned most)
{
  while (pending_count > 0 && most-- > 0) {
    const unsigned at = (unsigned)draw(pending_count);
    struct http_exchange *exchange = pending[at];
    pending[at] = pending[--pending_count];
    answer(exchange);
  }
}

static void on_release(void *data)
{
  (*(unsigned *)data)++;
}

static void chaos_handler(struct http_exchange *exchange, void *user)
{
  (void)user;
  /* By its bytes, so that a request that comes again asks for the same. */
  const struct http_slice body = http_request_of(exchange)->body;
  if (body.size % 3 == 1 && !http_reply_fits(exchange, body.size % 2 == 0 ? SIZE_MAX : body.size))
    return;
  handled++;
  http_set_data(exchange, &released, on_release);
  if (draw(20) == 0)
    http_loop_pause(http_loop_of(exchange));
  if (draw(3) == 0) {
    answer(exchange);
  } else {
    assert_true(pending_count < PENDING_MAX);
    pending[pending_count++] = exchange;
  }
}

/* ---- a client's side ------------------------------------------------------------------------- */

struct chaos_client {
  struct http_client client;
  char *text; /* all its requests */
  size_t size, sent;
  char expected[REQUESTS][6000]; /* bodies of the replies */
  unsigned received;
  bool open, leaves; /* leaves: resets its connection somewhere */
  size_t leaves_at;
};

static struct chaos_client clients[CLIENTS];

static void script(struct chaos_client *client, unsigned number)
{
  char body[3001];
  client->text = malloc(REQUESTS * 6000);
  assert_non_null(client->text);
  client->size = client->sent = 0;
  for (unsigned i = 0; i < REQUESTS; i++) {
    char *to = client->text + client->size;
    const size_t size = draw(3) == 0 ? draw(3000) : draw(40);
    for (size_t at = 0; at < sizeof body; at++)
      body[at] = (char)('a' + (at * 7 + i) % 26);
    const unsigned kind = (unsigned)draw(3);
    int used = 0;
    if (kind == 0) {
      used = snprintf(to, 6000, "GET /%u/%u HTTP/1.1\r\nHost: a\r\n\r\n", number, i);
      snprintf(client->expected[i], sizeof client->expected[i], "/%u/%u", number, i);
    } else if (kind == 1) {
      used = snprintf(to, 6000, "PUT /%u/%u HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n%.*s",
                      number, i, size, (int)size, body);
    } else {
      const size_t half = size / 2 + 1;
      used = snprintf(to, 6000,
                      "PUT /%u/%u HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                      "%zx;x=y\r\n%.*s\r\n%zX\r\n%.*s\r\n0\r\n\r\n",
                      number, i, half, (int)half, body, size + 1, (int)size + 1, body);
    }
    if (kind == 1)
      snprintf(client->expected[i], sizeof client->expected[i], "/%u/%u%.*s", number, i, (int)size,
               body);
    if (kind == 2)
      snprintf(client->expected[i], sizeof client->expected[i], "/%u/%u%.*s%.*s", number, i,
               (int)(size / 2 + 1), body, (int)size + 1, body);
    client->size += (size_t)used;
  }
  client->leaves = draw(3) == 0;
  client->leaves_at = draw(client->size);
}

static void client_step(struct chaos_client *client)
{
  if (!client->open)
    return;
  if (client->leaves && client->sent >= client->leaves_at) {
    const struct linger now = {.l_onoff = draw(2) == 0, .l_linger = 0};
    assert_int_equal(setsockopt(client->client.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    client_close(&client->client);
    client->open = false;
    return;
  }
  size_t piece = draw(4) == 0 ? draw(9000) : draw(60);
  if (piece > client->size - client->sent)
    piece = client->size - client->sent;
  const ssize_t count =
    send(client->client.fd, client->text + client->sent, piece, MSG_DONTWAIT | MSG_NOSIGNAL);
  assert_true(count >= 0 || errno == EAGAIN);
  client->sent += count > 0 ? (size_t)count : 0;
}

/* Takes what has come; a reply is looked for only when some bytes of it are there. */
static void client_check(struct chaos_client *client)
{
  while (client->open && client->client.size > 0 && client->received < REQUESTS) {
    struct http_response response = {.body = NULL};
    if (!client_poll(&client->client, &response)) {
      response_free(&response);
      return;
    }
    assert_int_equal(response.status, 200);
    assert_string_equal(response.body, client->expected[client->received]);
    client->received++;
    response_free(&response);
  }
}

static bool all_done(void)
{
  for (unsigned i = 0; i < CLIENTS; i++) {
    if (clients[i].open && clients[i].received < REQUESTS)
      return false;
  }
  return true;
}

static void chaos_run(uint64_t seed)
{
  random_state = seed * 7919 + 1;
  pending_count = handled = released = 0;
  fixture_init(&fixture);
  fixture.handler = chaos_handler;
  fixture.limits.pipeline_max = 1 + (unsigned)draw(20);
  fixture.limits.write_buffer_max = 200 + draw(100000);
  fixture_start(&fixture);
  memset(clients, 0, sizeof clients);
  for (unsigned i = 0; i < CLIENTS; i++) {
    script(&clients[i], i);
    client_open(&clients[i].client, &fixture);
    clients[i].open = true;
  }
  for (unsigned step = 0; !all_done(); step++) {
    if (step == STEPS_MAX)
      fail_msg("no progress: %u requests handled, %u not answered", handled, pending_count);
    client_step(&clients[draw(CLIENTS)]);
    if (draw(2) == 0)
      uv_run(&fixture.uv, UV_RUN_NOWAIT);
    if (draw(4) == 0)
      answer_some((unsigned)draw(10));
    if (draw(6) == 0)
      http_loop_resume(fixture.http);
    for (unsigned i = 0; i < CLIENTS; i++)
      client_check(&clients[i]);
  }
  if (draw(2) == 0)
    http_loop_drain(fixture.http);
  for (unsigned i = 0; i < CLIENTS; i++) {
    if (clients[i].open)
      client_close(&clients[i].client);
    free(clients[i].text);
  }
  if (draw(2) == 0)
    answer_some(PENDING_MAX);
  const unsigned late = pending_count; /* These outlive their loop, and nobody hears of them. */
  fixture_stop(&fixture);
  assert_int_equal(fixture.ended + late, handled);
  answer_some(PENDING_MAX);
  assert_int_equal(fixture.ended + late, handled);
  assert_int_equal(released, handled);
}

static void test_server_when_everything_happens_at_random_then_replies_are_right(void **state)
{
  const char *only = getenv("HTTP_CHAOS_SEED");
  (void)state;
  if (only != NULL) {
    chaos_run(strtoull(only, NULL, 10));
    return;
  }
  for (uint64_t seed = 1; seed <= SEEDS; seed++) {
    print_message("HTTP_CHAOS_SEED=%llu\n", (unsigned long long)seed);
    chaos_run(seed);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_server_when_everything_happens_at_random_then_replies_are_right),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
