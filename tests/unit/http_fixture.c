#include "http_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "adapters/http/http_internal.h"

#define WATCHDOG_MS 60000u /* much longer than anything takes, also under a sanitizer */

/* ---- server ---------------------------------------------------------------------------------- */

static void on_release(void *data)
{
  struct http_fixture *fixture = data;
  fixture->released++;
}

static void default_handler(struct http_exchange *exchange, void *user)
{
  static const char *const methods[] = {"GET",   "HEAD",   "POST",    "PUT",
                                        "PATCH", "DELETE", "OPTIONS", "OTHER"};
  struct http_fixture *fixture = user;
  const struct http_request *request = http_request_of(exchange);
  char text[512];

  fixture->handled++;
  if (request->path.size == 5 && memcmp(request->path.at, "/hold", 5) == 0) {
    assert_true(fixture->held_count < HELD_MAX);
    http_set_data(exchange, fixture, on_release);
    fixture->held[fixture->held_count++] = exchange;
    return;
  }
  const int size =
    snprintf(text, sizeof text, "%s %.*s %.*s", methods[request->method], (int)request->path.size,
             request->path.at, (int)request->body.size, request->body.at);
  http_reply(exchange, 200, "text/plain", text, (size_t)size);
}

static void on_handle(struct http_exchange *exchange, void *user)
{
  struct http_fixture *fixture = user;
  assert_ptr_equal(http_user(exchange), fixture);
  if (fixture->handler != NULL)
    fixture->handler(exchange, user);
  else
    default_handler(exchange, user);
}

static void on_exchange_end(void *user, const struct http_exchange *exchange, unsigned status,
                            size_t bytes_in, size_t bytes_out, uint64_t duration_us)
{
  struct http_fixture *fixture = user;
  (void)bytes_in;
  assert_non_null(http_request_of(exchange));
  assert_true(duration_us < 60000000);
  fixture->ended++;
  fixture->ended_status = status;
  fixture->ended_bytes_out = bytes_out;
}

static void on_connections(void *user, struct http_loop *loop, unsigned open)
{
  struct http_fixture *fixture = user;
  (void)loop;
  fixture->open = open;
}

static void on_refused(void *user, const char *reason)
{
  struct http_fixture *fixture = user;
  fixture->refused++;
  fixture->refused_reason = reason;
}

static void on_deferred(void *user)
{
  struct http_fixture *fixture = user;
  fixture->deferred++;
}

static void on_watchdog(uv_timer_t *timer)
{
  (void)timer;
  fail_msg("what the test waits for does not happen");
}

void fixture_init(struct http_fixture *fixture)
{
  memset(fixture, 0, sizeof *fixture);
  http_limits_default(&fixture->limits);
}

void fixture_start(struct http_fixture *fixture)
{
  static const struct http_observer observer = {on_exchange_end, on_connections, on_refused,
                                                on_deferred};

  assert_int_equal(uv_loop_init(&fixture->uv), 0);
  assert_int_equal(uv_timer_init(&fixture->uv, &fixture->watchdog), 0);
  fixture->http = http_loop_new_on(&fixture->uv, NULL, "127.0.0.1", 0, &fixture->limits, on_handle,
                                   fixture->head_check, &observer, fixture);
  assert_non_null(fixture->http);
  assert_int_not_equal(http_loop_port(fixture->http), 0);
}

static void on_closed(void *arg)
{
  struct http_fixture *fixture = arg;
  fixture->closed = true;
}

void fixture_stop(struct http_fixture *fixture)
{
  if (!fixture->closed) {
    http_loop_close(fixture->http, on_closed, fixture);
    while (!fixture->closed)
      uv_run(&fixture->uv, UV_RUN_ONCE);
  }
  uv_close((uv_handle_t *)&fixture->watchdog, NULL);
  uv_run(&fixture->uv, UV_RUN_DEFAULT);
  assert_int_equal(uv_loop_close(&fixture->uv), 0);
}

void pump_until(struct http_fixture *fixture, bool (*done)(void *arg), void *arg)
{
  assert_int_equal(uv_timer_start(&fixture->watchdog, on_watchdog, WATCHDOG_MS, 0), 0);
  while (!done(arg))
    uv_run(&fixture->uv, UV_RUN_ONCE);
  uv_timer_stop(&fixture->watchdog);
}

struct count_wait {
  const unsigned *counter;
  unsigned least;
};

static bool count_reached(void *arg)
{
  const struct count_wait *wait = arg;
  return *wait->counter >= wait->least;
}

void pump_count(struct http_fixture *fixture, const unsigned *counter, unsigned least)
{
  struct count_wait wait = {counter, least};
  pump_until(fixture, count_reached, &wait);
}

void pump_ready(struct http_fixture *fixture)
{
  for (unsigned i = 0; i < 10; i++)
    uv_run(&fixture->uv, UV_RUN_NOWAIT);
}

void held_answer(struct http_fixture *fixture, unsigned index)
{
  char text[16];
  assert_true(index < fixture->held_count && fixture->held[index] != NULL);
  const int size = snprintf(text, sizeof text, "held %u", index);
  http_reply(fixture->held[index], 200, "text/plain", text, (size_t)size);
  fixture->held[index] = NULL;
}

/* ---- client ---------------------------------------------------------------------------------- */

static ssize_t client_take(struct http_client *client)
{
  if (client->capacity - client->size < 65536) {
    client->capacity = client->capacity * 2 + 131072;
    client->data = realloc(client->data, client->capacity);
    assert_non_null(client->data);
  }
  const ssize_t count =
    recv(client->fd, client->data + client->size, client->capacity - client->size - 1, 0);
  client->size += count > 0 ? (size_t)count : 0;
  return count;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
  struct http_client *client = poll->data;
  ssize_t count;
  (void)events;
  do { /* After an error there is no further call: what came before it is read now. */
    count = client_take(client);
  } while (count > 0 && status < 0);
  if (count > 0 || (count < 0 && errno == EAGAIN))
    return;
  client->ended = true;
  client->reset = count < 0 && errno == ECONNRESET;
  uv_poll_stop(&client->poll);
}

void client_open(struct http_client *client, struct http_fixture *fixture)
{
  const int on = 1;
  struct sockaddr_in to = {.sin_family = AF_INET,
                           .sin_port = htons(http_loop_port(fixture->http)),
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

  memset(client, 0, sizeof *client);
  client->fixture = fixture;
  client->fd = socket(AF_INET, SOCK_STREAM, 0);
  assert_true(client->fd >= 0);
  assert_int_equal(connect(client->fd, (const struct sockaddr *)&to, sizeof to), 0);
  assert_int_equal(setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
  assert_int_equal(uv_poll_init(&fixture->uv, &client->poll, client->fd), 0);
  client->poll.data = client;
  client_read(client, true);
}

static void on_poll_closed(uv_handle_t *handle)
{
  struct http_client *client = handle->data;
  client->gone = true;
}

static bool client_is_gone(void *arg)
{
  const struct http_client *client = arg;
  return client->gone;
}

void client_close(struct http_client *client)
{
  uv_close((uv_handle_t *)&client->poll, on_poll_closed);
  pump_until(client->fixture, client_is_gone, client);
  close(client->fd);
  free(client->data);
}

void client_read(struct http_client *client, bool on)
{
  client->reading = on;
  if (on)
    assert_int_equal(uv_poll_start(&client->poll, UV_READABLE, on_readable), 0);
  else
    uv_poll_stop(&client->poll);
}

bool client_send_bytes(struct http_client *client, const void *data, size_t size)
{
  size_t at = 0;
  while (at < size) {
    const ssize_t count =
      send(client->fd, (const char *)data + at, size - at, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count > 0)
      at += (size_t)count;
    else if (errno != EAGAIN)
      return false;
    uv_run(&client->fixture->uv, UV_RUN_NOWAIT);
  }
  return true;
}

void client_send(struct http_client *client, const char *text)
{
  assert_true(client_send_bytes(client, text, strlen(text)));
}

static bool client_has_ended(void *arg)
{
  const struct http_client *client = arg;
  return client->ended;
}

void client_expect_end(struct http_client *client)
{
  pump_until(client->fixture, client_has_ended, client);
  if (client->size > 0)
    fail_msg("more came before the end: %.*s", (int)client->size, client->data);
}

/* ---- responses ------------------------------------------------------------------------------- */

const char *response_header(const struct http_response *response, const char *name)
{
  static char value[512];
  const char *line = strstr(response->head, "\r\n");

  while (line != NULL) {
    line += 2;
    const char *colon = strchr(line, ':');
    const char *end = strstr(line, "\r\n");
    if (colon != NULL && end != NULL && (size_t)(colon - line) == strlen(name) &&
        strncasecmp(line, name, strlen(name)) == 0) {
      snprintf(value, sizeof value, "%.*s", (int)(end - colon - 2), colon + 2);
      return value;
    }
    line = end;
  }
  return NULL;
}

/* The chunk at `at`: its size; where its bytes begin. False: it is not all there. */
static bool chunk_at(const char *at, size_t size, size_t *ret_head, size_t *ret_chunk)
{
  const char *end = memchr(at, '\n', size);
  if (end == NULL)
    return false;
  *ret_head = (size_t)(end + 1 - at);
  *ret_chunk = strtoul(at, NULL, 16);
  return size - *ret_head >= *ret_chunk + 2;
}

/* The bytes that the chunks at `at` take, or 0 when they are not all there: nothing is copied for
 * that, because it is asked whenever a piece has come. */
static size_t chunks_size(const char *at, size_t size, size_t *ret_body)
{
  size_t used = 0, head, chunk = 1;
  for (*ret_body = 0; chunk > 0; used += head + chunk + 2) {
    if (!chunk_at(at + used, size - used, &head, &chunk))
      return 0;
    *ret_body += chunk;
  }
  return used;
}

/* Decodes the chunks at `at`; the bytes they take, or 0 when they are not all there. */
static size_t chunks_decode(const char *at, size_t size, struct http_response *response)
{
  size_t body, head = 0, chunk = 0;
  const size_t used = chunks_size(at, size, &body);
  if (used == 0)
    return 0;
  response->body_size = 0;
  response->body = realloc(response->body, body + 1);
  assert_non_null(response->body);
  for (size_t place = 0; place < used; place += head + chunk + 2) {
    assert_true(chunk_at(at + place, used - place, &head, &chunk));
    memcpy(response->body + response->body_size, at + place + head, chunk);
    response->body_size += chunk;
    assert_memory_equal(at + place + head + chunk, "\r\n", 2);
  }
  return used;
}

struct receive {
  struct http_client *client;
  struct http_response *response;
  bool bodiless;
};

static bool body_read(const struct receive *receive, size_t head, size_t *ret_used)
{
  struct http_client *client = receive->client;
  struct http_response *response = receive->response;
  const char *coding = response_header(response, "Transfer-Encoding");
  const char *length = response_header(response, "Content-Length");
  size_t size = 0;

  response->chunked = coding != NULL;
  if (coding != NULL && !receive->bodiless) {
    *ret_used = chunks_decode(client->data + head, client->size - head, response);
    return *ret_used > 0;
  }
  if (length != NULL && !receive->bodiless) {
    size = strtoul(response_header(response, "Content-Length"), NULL, 10);
    if (client->size - head < size)
      return false;
  } else if (!receive->bodiless && response->status >= 200 && response->status != 204 &&
             response->status != 304) {
    if (!client->ended)
      return false;
    size = client->size - head;
  }
  response->body = realloc(response->body, size + 1);
  assert_non_null(response->body);
  memcpy(response->body, client->data + head, size);
  response->body_size = size;
  *ret_used = size;
  return true;
}

static bool receive_done(void *arg)
{
  struct receive *receive = arg;
  struct http_client *client = receive->client;
  struct http_response *response = receive->response;
  size_t used = 0;

  if (client->size == 0) {
    if (client->ended)
      fail_msg("the connection ended without a response");
    return false;
  }
  client->data[client->size] = '\0';
  const char *end = strstr(client->data, "\r\n\r\n");
  if (end == NULL)
    return false;
  const size_t head = (size_t)(end + 4 - client->data);
  assert_true(head < sizeof response->head);
  memcpy(response->head, client->data, head);
  response->head[head] = '\0';
  assert_memory_equal(response->head, "HTTP/1.1 ", 9);
  response->status = (unsigned)strtoul(response->head + 9, NULL, 10);
  if (!body_read(receive, head, &used))
    return false;
  response->body[response->body_size] = '\0';
  memmove(client->data, client->data + head + used, client->size - head - used);
  client->size -= head + used;
  return true;
}

void client_receive(struct http_client *client, bool bodiless, struct http_response *ret_response)
{
  struct receive receive = {client, ret_response, bodiless};
  pump_until(client->fixture, receive_done, &receive);
}

bool client_poll(struct http_client *client, struct http_response *ret_response)
{
  struct receive receive = {client, ret_response, false};
  return receive_done(&receive);
}

void response_free(struct http_response *response)
{
  free(response->body);
  response->body = NULL;
}

void client_expect(struct http_client *client, unsigned status, const char *body)
{
  struct http_response response = {.body = NULL};
  client_receive(client, false, &response);
  assert_int_equal(response.status, status);
  assert_string_equal(response.body, body);
  response_free(&response);
}
