/* http.h without sockets: what the front door's handlers see of the transport. A request's text is
 * parsed as on a connection, each has a connection of its own; replies go to who asked
 * (sim_door.c).
 *
 * Ways to fail: the client is gone, or the handler was late and the transport has answered for it:
 * its reply is dropped. A request rests while the loop is paused, or its reply has no room; who
 * hangs up then is never served. A loop that drains takes what was sent before, which half of what
 * comes counts as. At a crash, unanswered exchanges go down with their loop.
 * Invariant: an exchange that has a call is that call's exchange. */
#include <stdlib.h>
#include <string.h>

#include "adapters/http/http_list.h"
#include "adapters/http/http_parser.h"
#include "holdfast/check.h"
#include "tests/sim/sim.h"

#define ID_MAX 64u
#define LATER_US 1000u    /* until a request that rests is looked at again */
#define ASLEEP_US 20000u  /* ... of a node that is stopped */
#define ROOM_MAX 4096u    /* bytes of a stream that its reader has not taken */
#define TAKES_US 3000u    /* in which a reader takes them, at the most */
#define STALLS_US 700000u /* ... one that stalls */
#define STALLS 30u        /* per thousand */
#define RESTS 30u         /* per thousand requests that ask whether their reply fits */
#define LATE 30u          /* per thousand requests for which the handler has little time */
#define LATE_US 1000000u
#define FOR_NOTHING 100u /* per thousand streams that are told of room that they know of */

struct http_loop {
  rt_ctx *ctx;
  struct sim_node *node;
  unsigned index;
  http_handler handler;
  http_head_check head_check;
  struct http_observer observer;
  struct http_limits limits;
  void *user;
  struct http_list exchanges;
  unsigned count;
  bool paused, drains;
};

struct http_exchange {
  struct http_request request;
  struct http_list link;
  struct http_loop *loop;
  struct sim_call *call; /* NULL: its client is gone */
  char *text;            /* that `request` points into */
  char id[ID_MAX + 1];
  uint64_t started_us;
  uint64_t late_us;      /* the world's: its handler is late by then; 0: it has all the time */
  enum hf_error refused; /* by its head */
  void *data;
  void (*release)(void *data);
  struct sim_reply reply; /* as far as it is known */
  bool rests;             /* has not been served, or was told that its reply does not fit yet */
  /* A reply that goes on: */
  bool streams, is_lost; /* is_lost: the handler was told that nobody reads */
  bool wrote;            /* something, since its client has read last */
  void (*writable)(struct http_exchange *exchange, void *arg);
  void *writable_arg;
  struct hf_bytes queue; /* that the client has not read */
};

static struct sim_world *world_of(const struct http_exchange *exchange)
{
  return exchange->loop->node->world;
}

/* ---- exchanges ------------------------------------------------------------------------------- */

static void exchange_free(struct http_exchange *exchange)
{
  if (exchange->release != NULL)
    exchange->release(exchange->data);
  http_list_remove(&exchange->link);
  exchange->loop->count--;
  sim_reply_deinit(&exchange->reply);
  hf_bytes_deinit(&exchange->queue);
  rt_free(exchange->text);
  rt_free(exchange);
}

/* The reply is complete: reported, and on its way to the client. */
static void exchange_end(struct http_exchange *exchange)
{
  const struct http_loop *loop = exchange->loop;
  if (loop->observer.exchange_end != NULL)
    loop->observer.exchange_end(loop->user, exchange, exchange->reply.status,
                                exchange->request.body.size, exchange->reply.body.size,
                                rt_now_us(loop->ctx) - exchange->started_us);
  if (exchange->call != NULL)
    sim_door_replied(exchange->call, &exchange->reply);
  exchange_free(exchange);
}

static void look_again(struct sim_world *world, void *arg);

void sim_http_hang_up(struct http_exchange *exchange)
{
  struct sim_world *world = world_of(exchange);
  exchange->call = NULL;
  if (exchange->rests)
    exchange_free(exchange);
  else if (exchange->streams)
    sim_at(world, world->now_us, look_again, exchange->loop->node);
}

static void serve(struct http_exchange *exchange)
{
  struct http_loop *loop = exchange->loop;
  exchange->rests = false;
  sim_node_skip(loop->node);
  if (exchange->call != NULL)
    sim_door_judged(exchange->call);
  if (exchange->refused != HF_OK)
    http_reply_problem(exchange,
                       &(struct http_problem){.error = exchange->refused, .retry_after_s = 1});
  else
    loop->handler(exchange, loop->user);
}

/* The transport answers in the place of a handler that is late. */
static void expire(struct http_exchange *exchange)
{
  struct sim_reply reply = {.status = 503, .error = HF_E_TIMEOUT, .retry_after_s = 1};
  sim_door_replied(exchange->call, &reply);
  exchange->call = NULL;
}

/* The client reads what there is; or is gone, which the handler is told once. */
static void stream_move(struct http_exchange *exchange)
{
  if (exchange->call == NULL && !exchange->is_lost) {
    exchange->is_lost = true;
    exchange->writable(exchange, exchange->writable_arg);
  } else if (exchange->call != NULL && !exchange->wrote) {
    if (sim_strikes(world_of(exchange), FOR_NOTHING))
      exchange->writable(exchange, exchange->writable_arg);
  } else if (exchange->call != NULL) {
    exchange->wrote = false;
    sim_door_streamed(exchange->call, exchange->queue.at, exchange->queue.size);
    hf_bytes_clear(&exchange->queue);
    exchange->writable(exchange, exchange->writable_arg);
  }
}

/* Requests that rest are served, the oldest first; streams are read; who is late is answered
 * for. */
static void loop_look(struct http_loop *loop)
{
  struct http_list *at = loop->exchanges.next;
  const uint64_t now_us = loop->node->world->now_us;
  sim_node_skip(loop->node);
  while (at != &loop->exchanges) {
    struct http_exchange *exchange = HTTP_LIST_OF(at, struct http_exchange, link);
    at = at->next;
    if (exchange->streams)
      stream_move(exchange);
    else if (exchange->rests && !loop->paused)
      serve(exchange);
    else if (!exchange->rests && exchange->call != NULL && exchange->late_us != 0 &&
             now_us >= exchange->late_us)
      expire(exchange);
  }
}

static void look_again(struct sim_world *world, void *arg)
{
  struct sim_node *node = arg;
  if (node->state == SIM_ASLEEP) {
    sim_at(world, world->now_us + ASLEEP_US, look_again, node);
    return;
  }
  for (unsigned i = 0; i < world->loops; i++)
    if (node->doors[i] != NULL)
      loop_look(node->doors[i]);
}

static void rest(struct http_exchange *exchange)
{
  struct sim_world *world = world_of(exchange);
  exchange->rests = true;
  sim_at(world, world->now_us + LATER_US, look_again, exchange->loop->node);
}

/* As a connection does: the route says how large a body it takes once the head is there. */
static void read_request(struct http_exchange *exchange, size_t size)
{
  struct http_loop *loop = exchange->loop;
  struct http_parser parser;
  http_parser_init(&parser, &exchange->request, &loop->limits);
  enum http_parse parsed = http_parser_run(&parser, exchange->text, size);
  if (parsed == HTTP_PARSE_HEAD) {
    size_t body_max = loop->limits.body_max;
    exchange->refused = loop->head_check(&exchange->request, &body_max, loop->user);
    CHECK(http_parser_allow(&parser, body_max) == HF_OK);
    parsed = http_parser_run(&parser, exchange->text, size);
  }
  CHECK(parsed == HTTP_PARSE_DONE && parser.at == size);
  const struct http_slice id = http_field_get(&exchange->request, "x-request-id");
  CHECK(id.at != NULL && id.size <= ID_MAX);
  memcpy(exchange->id, id.at, id.size);
}

struct http_exchange *sim_http_arrive(struct sim_node *node, unsigned index, struct sim_call *call,
                                      const void *text, size_t size)
{
  struct http_loop *loop = node->doors[index];
  if (loop == NULL || (loop->drains && sim_strikes(node->world, 500)))
    return NULL;
  sim_node_skip(node);
  struct http_exchange *exchange = rt_alloc(sizeof *exchange);
  exchange->loop = loop;
  exchange->call = call;
  http_list_init(&exchange->link);
  exchange->text = memcpy(rt_alloc(size), text, size);
  exchange->started_us = node->driver->mono_us(node->driver);
  http_list_append(&loop->exchanges, &exchange->link);
  loop->count++;
  read_request(exchange, size);
  if (!node->world->healing && sim_strikes(node->world, LATE)) {
    exchange->late_us = node->world->now_us + sim_chaos(node->world) % LATE_US;
    sim_at(node->world, exchange->late_us, look_again, node);
  }
  return exchange;
}

void sim_http_serve(struct http_exchange *exchange)
{
  if (exchange->loop->paused)
    exchange->rests = true;
  else
    serve(exchange);
}

/* ---- what a handler sees --------------------------------------------------------------------- */

const struct http_request *http_request_of(const struct http_exchange *exchange)
{
  return &exchange->request;
}

const char *http_request_id(const struct http_exchange *exchange)
{
  return exchange->id;
}

uint64_t http_started_us(const struct http_exchange *exchange)
{
  return exchange->started_us;
}

bool http_peer_is_loopback(const struct http_exchange *exchange)
{
  (void)exchange;
  return true;
}

const char *http_peer_address(const struct http_exchange *exchange)
{
  (void)exchange;
  return "127.0.0.1";
}

void http_set_data(struct http_exchange *exchange, void *data, void (*release)(void *data))
{
  exchange->data = data;
  exchange->release = release;
}

void *http_data(const struct http_exchange *exchange)
{
  return exchange->data;
}

struct http_loop *http_loop_of(const struct http_exchange *exchange)
{
  return exchange->loop;
}

void *http_user(const struct http_exchange *exchange)
{
  return exchange->loop->user;
}

void http_set_route(struct http_exchange *exchange, const char *route, unsigned route_index)
{
  (void)exchange, (void)route, (void)route_index;
}

/* Now and then other replies of the connection have not been read. */
bool http_reply_fits(struct http_exchange *exchange, size_t size)
{
  (void)size;
  if (!sim_strikes(world_of(exchange), RESTS))
    return true;
  rest(exchange);
  return false;
}

/* ---- replies --------------------------------------------------------------------------------- */

void http_add_header(struct http_exchange *exchange, const char *name, const char *value)
{
  if (strcmp(name, "Idempotency-Replayed") == 0)
    exchange->reply.replayed = strcmp(value, "true") == 0;
  if (strcmp(name, "Next-From-Seq") == 0)
    exchange->reply.next_seq = strtoull(value, NULL, 10);
}

void http_reply(struct http_exchange *exchange, unsigned status, const char *content_type,
                const void *body, size_t size)
{
  CHECK(!exchange->streams && !exchange->rests);
  exchange->reply.status = status;
  if (content_type != NULL)
    hf_bytes_put(&exchange->reply.body, body, size);
  exchange_end(exchange);
}

void http_reply_problem(struct http_exchange *exchange, const struct http_problem *problem)
{
  CHECK(!exchange->streams && !exchange->rests && problem->error != HF_OK);
  exchange->reply.error = problem->error;
  exchange->reply.status = hf_error_info(problem->error)->status;
  exchange->reply.retry_after_s = problem->retry_after_s;
  exchange_end(exchange);
}

size_t http_stream_room(const struct http_exchange *exchange)
{
  const size_t queued = exchange->queue.size;
  if (exchange->call == NULL)
    return SIZE_MAX;
  return queued < ROOM_MAX ? ROOM_MAX - queued : 0;
}

void http_stream_begin(struct http_exchange *exchange, unsigned status, const char *content_type,
                       void (*writable)(struct http_exchange *exchange, void *arg), void *arg)
{
  CHECK(content_type != NULL && !exchange->streams);
  exchange->streams = true;
  exchange->reply.status = status;
  exchange->writable = writable;
  exchange->writable_arg = arg;
  if (exchange->call == NULL)
    sim_http_hang_up(exchange);
}

static uint64_t takes_us(struct sim_world *world)
{
  return !world->healing && sim_strikes(world, STALLS) ? STALLS_US : TAKES_US;
}

bool http_stream_write(struct http_exchange *exchange, const void *data, size_t size)
{
  struct sim_world *world = world_of(exchange);
  const size_t room = http_stream_room(exchange);
  CHECK(exchange->streams);
  if (exchange->call == NULL || (room < size && room < ROOM_MAX))
    return false;
  if (!exchange->wrote)
    sim_at(world, world->now_us + sim_chaos(world) % takes_us(world), look_again,
           exchange->loop->node);
  exchange->wrote = true;
  hf_bytes_put(&exchange->queue, data, size);
  return true;
}

void http_stream_live(struct http_exchange *exchange)
{
  (void)exchange; /* a client that is gone is always seen to be */
}

void http_stream_end(struct http_exchange *exchange)
{
  if (exchange->call != NULL)
    sim_door_streamed(exchange->call, exchange->queue.at, exchange->queue.size);
  exchange_end(exchange);
}

/* ---- loops ----------------------------------------------------------------------------------- */

void http_limits_default(struct http_limits *ret_limits)
{
  *ret_limits = (struct http_limits){
    .line_max = 8192, .head_max = 16384, .body_max = 8u << 20, .write_buffer_max = ROOM_MAX};
}

struct http_loop *http_loop_new(rt_ctx *ctx, const char *host, uint16_t port,
                                const struct http_limits *limits, http_handler handler,
                                http_head_check head_check, const struct http_observer *observer,
                                void *user)
{
  struct http_loop *loop = rt_alloc(sizeof *loop);
  (void)host, (void)port;
  loop->ctx = ctx;
  loop->node = sim_node_of(ctx);
  loop->index = rt_loop_index(ctx);
  loop->handler = handler;
  loop->head_check = head_check;
  loop->observer = *observer;
  loop->limits = *limits;
  loop->user = user;
  http_list_init(&loop->exchanges);
  CHECK(loop->node->doors[loop->index] == NULL);
  loop->node->doors[loop->index] = loop;
  return loop;
}

uint16_t http_loop_port(const struct http_loop *loop)
{
  (void)loop;
  return 1;
}

rt_ctx *http_loop_ctx(const struct http_loop *loop)
{
  return loop->ctx;
}

void *http_loop_user(const struct http_loop *loop)
{
  return loop->user;
}

void http_loop_pause(struct http_loop *loop)
{
  loop->node->world->pauses += !loop->paused;
  loop->paused = true;
}

/* Sockets are read on once what runs now has returned. */
void http_loop_resume(struct http_loop *loop)
{
  struct sim_world *world = loop->node->world;
  if (loop->paused)
    sim_at(world, world->now_us, look_again, loop->node);
  loop->paused = false;
}

/* Who comes now finds nobody; who has come is answered. */
void http_loop_drain(struct http_loop *loop)
{
  loop->drains = true;
}

unsigned http_loop_connections(const struct http_loop *loop)
{
  return loop->count;
}

size_t http_loop_buffered(const struct http_loop *loop)
{
  return loop->count * sizeof(struct http_exchange);
}

/* What was not answered never will be: its clients see the connection end. */
void http_loop_close(struct http_loop *loop, void (*closed)(void *arg), void *arg)
{
  loop->node->doors[loop->index] = NULL;
  while (!http_list_empty(&loop->exchanges)) {
    struct http_exchange *exchange = HTTP_LIST_OF(loop->exchanges.next, struct http_exchange, link);
    if (exchange->call != NULL)
      sim_door_lost(exchange->call);
    exchange_free(exchange);
  }
  rt_free(loop);
  if (closed != NULL)
    closed(arg);
}
