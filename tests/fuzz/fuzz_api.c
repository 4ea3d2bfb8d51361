/* fuzz_api.c - libFuzzer target: bodies and queries to every handler of a real server.
 *
 * A server over the memory store lives in this process; requests go over one connection. It keeps
 * what earlier inputs did, so that an input alone need not repeat a failure.
 * Input: which route, which user, the size of the query, the query, then the body. Properties: the
 * answer is that of the route or a problem whose code has that status; never an internal error; it
 * is JSON; the same request under the same idempotency key has the same answer. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "actors/metrics.h"
#include "adapters/http/front.h"
#include "adapters/http/json_in.h"
#include "adapters/http/route.h"
#include "adapters/store_memory/store_memory.h"
#include "server/serve.h"
#include "tests/fuzz/input.h"

#define SECRET "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
#define REPLY_MAX (8u << 20)

static struct front *front;
static struct node node;
static struct options options;
static int connection = -1;
static uint64_t requests;

struct reply {
  unsigned status;
  size_t size; /* of the body */
  char *body;  /* in `bytes` */
  char *bytes;
};

/* ---- the server ------------------------------------------------------------------------------ */

static void loop_start(void *arg, rt_ctx *ctx)
{
  (void)arg;
  CHECK(front_start(front, ctx) == 0);
}

static void loop_stop(void *arg, rt_ctx *ctx)
{
  (void)arg;
  front_stop(ctx);
}

static void ingress(void *arg, rt_ctx *ctx)
{
  (void)arg;
  front_ingress(ctx);
}

static void server_stop(void)
{
  close(connection);
  (void)node_stop(&node, 1000000);
  front_free(front);
  options_free(&options);
}

static void server_start(void)
{
  char *argv[] = {"holdfast", "serve", "--store=memory", "--workers=1", NULL};
  struct front_config config;
  const struct node_use use = {.front = &hf_front_class,
                               .metrics = front_metrics,
                               .metrics_count = FRONT_METRIC_COUNT,
                               .loop_start = loop_start,
                               .loop_stop = loop_stop,
                               .ingress = ingress};
  CHECK(options_read(&options, "serve", 4, argv, NULL));
  front_config_default(&config);
  config.metric_base = HF_METRIC_COUNT;
  config.log_level = FRONT_LOG_WARN;
  config.admin = (struct api_admin_key){
    .given = true, .id = "fuzz", .secret = hf_sha256(SECRET, sizeof SECRET - 1u)};
  front = front_new(&config, 1);
  CHECK(node_init(&node, &options, store_memory_new(2), &use));
  CHECK(node_start(&node));
  while (!front_ready(front))
    sched_yield();
  CHECK(atexit(server_stop) == 0);
}

static void connect_again(void)
{
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(front_port(front))};
  int on = 1; /* a head without its body would wait for an acknowledgement */
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connection >= 0)
    close(connection);
  connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(connection >= 0);
  CHECK(setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0);
  CHECK(connect(connection, (struct sockaddr *)&to, sizeof to) == 0);
}

/* ---- one request ----------------------------------------------------------------------------- */

static void send_all(const char *bytes, size_t size)
{
  while (size > 0) {
    ssize_t sent = send(connection, bytes, size, MSG_NOSIGNAL);
    CHECK(sent > 0);
    bytes += sent;
    size -= (size_t)sent;
  }
}

/* The value of a field of the head, or NULL. */
static const char *field_of(const char *head, const char *name)
{
  const char *at = strcasestr(head, name);
  return at == NULL ? NULL : at + strlen(name);
}

static struct reply receive(void)
{
  struct reply reply = {.bytes = malloc(REPLY_MAX + 1u)};
  size_t have = 0, whole = SIZE_MAX;
  CHECK(reply.bytes != NULL);
  while (have < whole) {
    ssize_t got = recv(connection, reply.bytes + have, REPLY_MAX - have, 0);
    CHECK(got > 0);
    have += (size_t)got;
    reply.bytes[have] = '\0';
    const char *end = strstr(reply.bytes, "\r\n\r\n");
    if (whole != SIZE_MAX || end == NULL)
      continue;
    const char *length = field_of(reply.bytes, "\r\ncontent-length: ");
    CHECK(length != NULL && length < end);
    reply.body = reply.bytes + (end + 4 - reply.bytes);
    reply.size = strtoul(length, NULL, 10);
    whole = (size_t)(end + 4 - reply.bytes) + reply.size;
  }
  CHECK(have == whole && strncmp(reply.bytes, "HTTP/1.1 ", 9) == 0);
  reply.status = (unsigned)strtoul(reply.bytes + 9, NULL, 10);
  bool closes = field_of(reply.bytes, "\r\nconnection: close") != NULL;
  if (closes)
    connect_again();
  return reply;
}

struct request {
  const struct route *route;
  char target[4096];
  const char *body;
  size_t body_size;
};

static struct reply ask(const struct request *request)
{
  char head[8192];
  const char *method = route_method_text((enum http_method)request->route->method);
  int size = snprintf(head, sizeof head,
                      "%s %s HTTP/1.1\r\nHost: fuzz\r\nAuthorization: Bearer hfk_fuzz_" SECRET
                      "\r\nContent-Length: %zu\r\n",
                      method, request->target, request->body_size);
  CHECK(size > 0 && (size_t)size < sizeof head - 200u);
  if (request->route->body_max > 0)
    size += snprintf(head + size, sizeof head - (size_t)size, "Content-Type: application/json\r\n");
  if (request->route->idempotency != ROUTE_KEY_NONE)
    size += snprintf(head + size, sizeof head - (size_t)size, "Idempotency-Key: k-%llu\r\n",
                     (unsigned long long)requests);
  size += snprintf(head + size, sizeof head - (size_t)size, "\r\n");
  send_all(head, (size_t)size);
  send_all(request->body, request->body_size);
  return receive();
}

/* ---- what must hold -------------------------------------------------------------------------- */

static void check_reply(const struct route *route, const struct reply *reply)
{
  bool json = strcasestr(reply->bytes, "\r\ncontent-type: application/json") != NULL;
  bool problem = strcasestr(reply->bytes, "\r\ncontent-type: application/problem+json") != NULL;
  if (reply->status < 400) {
    CHECK(reply->status == route->status || reply->status == 200);
    CHECK(json || route->produces != ROUTE_JSON);
  } else {
    CHECK(problem && reply->status != 500);
  }
  if (!json && !problem)
    return;
  json_t *value = json_loadb(reply->body, reply->size, JSON_REJECT_DUPLICATES, NULL);
  CHECK(json_is_object(value));
  if (problem) {
    enum hf_error error = hf_error_by_code(json_string_value(json_object_get(value, "code")));
    CHECK(error != HF_OK && hf_error_info(error)->status == reply->status);
  }
  json_decref(value);
}

/* Problems carry the id of their own request. */
static void check_again(const struct request *request, const struct reply *first)
{
  if (request->route->idempotency == ROUTE_KEY_NONE || first->status >= 429)
    return;
  struct reply again = ask(request);
  CHECK(again.status == first->status);
  CHECK(again.status >= 400 ||
        (again.size == first->size && memcmp(again.body, first->body, again.size) == 0));
  free(again.bytes);
}

/* The path with `number` for its parameters, and the query, encoded where it cannot stand. */
static void make_target(struct request *request, unsigned number, const char *query, size_t size)
{
  size_t used = 0, room = sizeof request->target;
  for (const char *at = request->route->path; *at != '\0'; at++) {
    if (*at != '{') {
      request->target[used++] = *at;
      continue;
    }
    used += (size_t)snprintf(request->target + used, room - used, "%u", number);
    at += strcspn(at, "}");
  }
  if (size > 0)
    request->target[used++] = '?';
  for (size_t i = 0; i < size; i++) {
    bool plain = query[i] > ' ' && query[i] < 0x7f && query[i] != '#';
    used += (size_t)snprintf(request->target + used, room - used, plain ? "%c" : "%%%02X",
                             (unsigned char)query[i]);
  }
  request->target[used] = '\0';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct input input = {data, size};
  struct request request = {.route = &routes[input_u8(&input) % ROUTE_COUNT]};
  unsigned number = input_u8(&input);
  bool streams = request.route->produces == ROUTE_LINES || request.route->produces == ROUTE_PAGE;
  if (streams || request.route->auth == ROUTE_PUBLIC) /* pages are files; a stream does not end */
    return 0;
  if (front == NULL) {
    server_start();
    connect_again();
  }
  size_t query_size, body_size;
  char *query = input_bytes(&input, input_u8(&input), &query_size);
  char *body = input_bytes(&input, request.route->body_max > 0 ? input.size : 0, &body_size);
  make_target(&request, number, query, query_size);
  request.body = body;
  request.body_size = body_size;
  requests++;
  struct reply reply = ask(&request);
  check_reply(request.route, &reply);
  check_again(&request, &reply);
  free(reply.bytes);
  free(query);
  free(body);
  return 0;
}
