/* Happy path: connect everything, then a loop of epoll_wait: read, judge each complete reply, send
 * as many new requests as the connection has room for with one send.
 *
 * Ways to fail: a connection that closes or sends what cannot be read is counted with what was in
 * flight on it, and opened again; a server that does not answer ends the run after the grace time.
 *
 * Invariants: in_flight of the generator is the sum over its connections; a connection is in the
 * queue of idle ones exactly when it can take a request and the loop is open (`queued`); replies of
 * a connection come in the order of its requests, so its flights are a ring. */
#include "generator.h"

#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "fail.h"
#include "moment.h"
#include "random.h"
#include "reply.h"

#define EVENTS_MAX 512
#define SHARED_READ_SIZE (256u << 10)
#define RETRY_CONNECT_NS (10 * MOMENT_MS)
#define TICK_NS (50 * MOMENT_MS)
#define DRAIN_NS (2 * MOMENT_S)

struct flight {
  uint64_t start_ns;
  uint32_t tag;
};

struct connection {
  int fd; /* -1: closed, to be opened again */
  unsigned index;
  unsigned in_flight;
  unsigned first;         /* oldest flight in the ring */
  bool queued;            /* waits in the ring of idle connections (open loop) */
  struct flight *flights; /* plan->pipeline of them */
  char *in;               /* the beginning of a reply that is not complete */
  size_t in_size, in_room;
  char *out; /* what the kernel did not take yet */
  size_t out_at, out_size;
};

struct generator {
  const struct generator_plan *plan;
  const struct script *script;
  struct generator_result *result;
  int epoll;
  unsigned in_flight;
  unsigned closed;      /* connections with fd -1 */
  bool opened_once;     /* all connections were open at the start */
  uint64_t retry_ns;    /* when closed connections are tried again */
  uint64_t next_ns;     /* open loop: when the first unsent request is due */
  double next_exact_ns; /* the same without rounding, relative to start_ns */
  struct random random;
  struct connection *connections;
  struct connection **idle; /* ring of plan->connections places */
  unsigned idle_first, idle_count;
  char *requests;  /* one burst of a connection is built here */
  char *shared_in; /* replies are read here unless a beginning is already stored */
};

/* ---- idle connections, arrivals -------------------------------------------------------------- */

static bool is_open_loop(const struct generator *generator)
{
  return generator->plan->rate_per_s > 0.0;
}

static void idle_put(struct generator *generator, struct connection *connection)
{
  if (connection->queued || connection->fd < 0 ||
      connection->in_flight >= generator->plan->pipeline)
    return;
  unsigned place = (generator->idle_first + generator->idle_count) % generator->plan->connections;
  CHECK(generator->idle_count < generator->plan->connections);
  generator->idle[place] = connection;
  generator->idle_count++;
  connection->queued = true;
}

static struct connection *idle_take(struct generator *generator)
{
  while (generator->idle_count > 0) {
    struct connection *connection = generator->idle[generator->idle_first];
    generator->idle_first = (generator->idle_first + 1) % generator->plan->connections;
    generator->idle_count--;
    connection->queued = false;
    if (connection->fd >= 0)
      return connection;
  }
  return NULL;
}

static void arrival_advance(struct generator *generator)
{
  double gap_ns = 1e9 / generator->plan->rate_per_s;
  if (generator->plan->poisson)
    gap_ns *= -log(random_unit(&generator->random));
  generator->next_exact_ns += gap_ns;
  generator->next_ns = generator->plan->start_ns + (uint64_t)generator->next_exact_ns;
}

/* ---- connections ----------------------------------------------------------------------------- */

static void connection_lost(struct generator *generator, struct connection *connection)
{
  CHECK(connection->fd >= 0);
  CHECK(generator->in_flight >= connection->in_flight);
  close(connection->fd); /* which also takes it out of the epoll set */
  connection->fd = -1;
  generator->closed++;
  generator->in_flight -= connection->in_flight;
  generator->result->broken += connection->in_flight;
  connection->in_flight = 0;
  connection->in_size = 0;
  connection->out_at = connection->out_size = 0;
}

static bool connection_open(struct generator *generator, struct connection *connection)
{
  const struct generator_plan *plan = generator->plan;
  CHECK(connection->fd < 0);
  int fd = socket(plan->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    fail("socket: %s", strerror(errno));
  /* The connect blocks, bounded by this time; afterwards nothing on the socket does. */
  struct timeval limit = {.tv_sec = 5};
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                              .data.ptr = connection};
  if (connect(fd, (const struct sockaddr *)&plan->address, plan->address_size) != 0 ||
      epoll_ctl(generator->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
    int error = errno;
    generator->result->connects_failed++;
    close(fd);
    errno = error;
    return false;
  }
  connection->fd = fd;
  generator->closed--;
  return true;
}

/* Hands bytes to the kernel; what it does not take is kept for EPOLLOUT. False: connection lost. */
static bool connection_send(struct generator *generator, struct connection *connection,
                            const char *bytes, size_t size)
{
  ssize_t sent = send(connection->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0 && errno != EAGAIN && errno != EINTR) {
    connection_lost(generator, connection);
    return false;
  }
  size_t taken = sent > 0 ? (size_t)sent : 0;
  if (taken < size) {
    connection->out = fail_realloc(connection->out, size - taken);
    memcpy(connection->out, bytes + taken, size - taken);
    connection->out_at = 0;
    connection->out_size = size - taken;
  }
  return true;
}

static void connection_flush(struct generator *generator, struct connection *connection)
{
  while (connection->out_at < connection->out_size) {
    ssize_t sent = send(connection->fd, connection->out + connection->out_at,
                        connection->out_size - connection->out_at, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
      if (errno != EAGAIN && errno != EINTR)
        connection_lost(generator, connection);
      return;
    }
    connection->out_at += (size_t)sent;
  }
  connection->out_at = connection->out_size = 0;
}

static void flight_add(struct generator *generator, struct connection *connection,
                       uint64_t start_ns, uint32_t tag)
{
  unsigned place = (connection->first + connection->in_flight) % generator->plan->pipeline;
  connection->flights[place] = (struct flight){.start_ns = start_ns, .tag = tag};
  connection->in_flight++;
  generator->in_flight++;
}

/* Closed loop: fills the connection up to its depth with one send. */
static void connection_fill(struct generator *generator, struct connection *connection,
                            uint64_t now_ns)
{
  const struct generator_plan *plan = generator->plan;
  if (connection->fd < 0 || now_ns >= plan->end_ns || generator->result->exhausted ||
      connection->out_size > 0)
    return;
  size_t size = 0;
  while (connection->in_flight < plan->pipeline) {
    uint32_t tag = 0;
    size_t added = generator->script->append(generator->script->state, connection->index,
                                             generator->requests + size, &tag);
    if (added == 0) {
      generator->result->exhausted = true;
      break;
    }
    CHECK(added <= generator->script->request_size_max);
    size += added;
    flight_add(generator, connection, now_ns, tag);
  }
  if (size > 0)
    connection_send(generator, connection, generator->requests, size);
}

/* Open loop: sends what is due, as far as connections are free. */
static void arrivals_send(struct generator *generator, uint64_t now_ns)
{
  const struct generator_plan *plan = generator->plan;
  while (generator->next_ns <= now_ns && generator->next_ns < plan->end_ns &&
         !generator->result->exhausted) {
    struct connection *connection = idle_take(generator);
    if (connection == NULL)
      return;
    uint32_t tag = 0;
    size_t size = generator->script->append(generator->script->state, connection->index,
                                            generator->requests, &tag);
    if (size == 0) {
      generator->result->exhausted = true;
      return;
    }
    CHECK(size <= generator->script->request_size_max);
    flight_add(generator, connection, generator->next_ns, tag);
    arrival_advance(generator);
    if (connection_send(generator, connection, generator->requests, size) &&
        connection->out_size == 0)
      idle_put(generator, connection);
  }
}

/* ---- replies --------------------------------------------------------------------------------- */

static void unexpected_keep(struct generator_result *result, unsigned status, const char *body,
                            size_t size)
{
  if (result->unexpected_status != 0)
    return;
  result->unexpected_status = status;
  size_t kept = size < sizeof result->unexpected_body ? size : sizeof result->unexpected_body - 1;
  memcpy(result->unexpected_body, body, kept);
  result->unexpected_body[kept] = '\0';
}

static void reply_take(struct generator *generator, struct connection *connection,
                       const struct reply *reply, const char *bytes, uint64_t now_ns)
{
  struct generator_result *result = generator->result;
  CHECK(connection->in_flight > 0 && generator->in_flight > 0);
  struct flight flight = connection->flights[connection->first];
  connection->first = (connection->first + 1) % generator->plan->pipeline;
  connection->in_flight--;
  generator->in_flight--;

  const char *body = bytes + reply->head_size;
  size_t body_size = reply->size - reply->head_size;
  struct verdict verdict = generator->script->judge(generator->script->state, connection->index,
                                                    flight.tag, reply->status, body, body_size);
  if (!verdict.expected)
    unexpected_keep(result, reply->status, body, body_size);
  uint64_t progress = atomic_load_explicit(&result->progress, memory_order_relaxed);
  atomic_store_explicit(&result->progress, progress + 1, memory_order_relaxed);

  /* A closed loop measures the replies that come inside the window, an open loop the requests that
   * were due inside it, however late their replies are. */
  const struct generator_plan *plan = generator->plan;
  bool inside = now_ns >= plan->measure_ns && now_ns < plan->end_ns;
  bool due_inside = flight.start_ns >= plan->measure_ns && flight.start_ns < plan->end_ns;
  if (is_open_loop(generator) ? due_inside : inside)
    histogram_record(&result->latencies, (now_ns - flight.start_ns) / MOMENT_US);
  if (!inside)
    return;
  result->replies++;
  result->unexpected += verdict.expected ? 0 : 1;
  result->ops_applied += verdict.ops_applied;
  result->ops_refused += verdict.ops_refused;
  result->statuses[reply->status < GENERATOR_STATUS_MAX ? reply->status : 0]++;
}

/* Takes all complete replies out of the bytes; returns how many bytes they were, or SIZE_MAX when
 * the connection was given up. */
static size_t replies_take(struct generator *generator, struct connection *connection,
                           const char *bytes, size_t size, size_t *ret_wanted, uint64_t now_ns)
{
  size_t at = 0;
  *ret_wanted = 0;
  while (at < size) {
    struct reply reply;
    enum reply_state state = reply_parse(bytes + at, size - at, &reply);
    if (state == REPLY_MORE) {
      *ret_wanted = reply.size;
      break;
    }
    if (state == REPLY_BAD || connection->in_flight == 0) {
      generator->result->bad_replies++;
      connection_lost(generator, connection);
      return SIZE_MAX;
    }
    reply_take(generator, connection, &reply, bytes + at, now_ns);
    at += reply.size;
    if (!reply.keep_alive) {
      connection_lost(generator, connection);
      return SIZE_MAX;
    }
  }
  return at;
}

static void leftover_keep(struct connection *connection, const char *bytes, size_t size,
                          size_t wanted)
{
  size_t room = wanted > size + 4096 ? wanted : size + 4096;
  if (connection->in_room < room) {
    connection->in = fail_realloc(connection->in, room);
    connection->in_room = room;
  }
  memmove(connection->in, bytes, size);
  connection->in_size = size;
}

/* Reads until the socket is empty; a read that did not fill its buffer says so without another,
 * unless the peer is closing: then the end has to be read, for no other edge will tell. */
static void connection_read(struct generator *generator, struct connection *connection,
                            bool closing)
{
  while (connection->fd >= 0) {
    bool shared = connection->in_size == 0;
    char *into = shared ? generator->shared_in : connection->in + connection->in_size;
    size_t room = shared ? SHARED_READ_SIZE : connection->in_room - connection->in_size;
    ssize_t got = recv(connection->fd, into, room, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
      return;
    if (got <= 0) {
      connection_lost(generator, connection);
      return;
    }
    uint64_t now_ns = moment_now_ns();
    const char *bytes = shared ? generator->shared_in : connection->in;
    size_t size = connection->in_size + (size_t)got;
    size_t wanted = 0;
    size_t used = replies_take(generator, connection, bytes, size, &wanted, now_ns);
    if (used == SIZE_MAX)
      return;
    connection->in_size = 0;
    if (used < size)
      leftover_keep(connection, bytes + used, size - used, wanted);
    if (used > 0) {
      if (is_open_loop(generator)) {
        if (connection->out_size == 0)
          idle_put(generator, connection);
      } else {
        connection_fill(generator, connection, now_ns);
      }
    }
    if ((size_t)got < room && !closing)
      return;
  }
}

/* ---- the loop -------------------------------------------------------------------------------- */

static void connections_open(struct generator *generator, uint64_t now_ns)
{
  if (generator->closed == 0 || now_ns < generator->retry_ns)
    return;
  generator->retry_ns = now_ns + RETRY_CONNECT_NS;
  for (unsigned i = 0; i < generator->plan->connections; i++) {
    struct connection *connection = &generator->connections[i];
    if (connection->fd >= 0)
      continue;
    if (!connection_open(generator, connection)) {
      if (!generator->opened_once)
        fail("cannot connect (%u connections are open): %s", i, strerror(errno));
      return;
    }
    if (generator->opened_once) {
      generator->result->reconnects++;
      if (is_open_loop(generator))
        idle_put(generator, connection);
      else
        connection_fill(generator, connection, now_ns);
    }
  }
  generator->opened_once = true;
}

static void event_handle(struct generator *generator, const struct epoll_event *event)
{
  struct connection *connection = event->data.ptr;
  if (connection->fd < 0)
    return; /* lost earlier in this round */
  if ((event->events & EPOLLOUT) != 0 && connection->out_size > 0) {
    connection_flush(generator, connection);
    if (connection->fd >= 0 && connection->out_size == 0) {
      if (is_open_loop(generator))
        idle_put(generator, connection);
      else
        connection_fill(generator, connection, moment_now_ns());
    }
  }
  bool closing = (event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
  if (connection->fd >= 0 && ((event->events & EPOLLIN) != 0 || closing))
    connection_read(generator, connection, closing);
}

static uint64_t sleep_ns(const struct generator *generator, uint64_t now_ns)
{
  const struct generator_plan *plan = generator->plan;
  uint64_t wait_ns = generator->closed > 0 ? RETRY_CONNECT_NS : TICK_NS;
  if (now_ns < plan->end_ns && plan->end_ns - now_ns < wait_ns)
    wait_ns = plan->end_ns - now_ns;
  if (is_open_loop(generator) && generator->idle_count > 0 && generator->next_ns < plan->end_ns) {
    uint64_t due_ns = generator->next_ns > now_ns ? generator->next_ns - now_ns : 0;
    if (due_ns < wait_ns)
      wait_ns = due_ns;
  }
  return wait_ns;
}

/* What was due inside the window of an open loop is still sent a while after it. */
static bool is_sending(const struct generator *generator, uint64_t now_ns)
{
  const struct generator_plan *plan = generator->plan;
  if (generator->result->exhausted)
    return false;
  if (is_open_loop(generator))
    return generator->next_ns < plan->end_ns && now_ns < plan->end_ns + DRAIN_NS;
  return now_ns < plan->end_ns;
}

static void generator_loop(struct generator *generator)
{
  const struct generator_plan *plan = generator->plan;
  static _Thread_local struct epoll_event events[EVENTS_MAX];
  uint64_t now_ns = moment_now_ns();
  for (;;) {
    bool sending = is_sending(generator, now_ns);
    if (!sending && (generator->in_flight == 0 || now_ns >= plan->end_ns + plan->grace_ns))
      break;
    if (sending) {
      connections_open(generator, now_ns);
      if (is_open_loop(generator))
        arrivals_send(generator, now_ns);
    }
    uint64_t wait_ns = sleep_ns(generator, now_ns);
    struct timespec wait = {.tv_sec = (time_t)(wait_ns / MOMENT_S),
                            .tv_nsec = (long)(wait_ns % MOMENT_S)};
    int count = epoll_pwait2(generator->epoll, events, EVENTS_MAX, &wait, NULL);
    if (count < 0 && errno != EINTR)
      fail("epoll_pwait2: %s", strerror(errno));
    for (int i = 0; i < count; i++)
      event_handle(generator, &events[i]);
    now_ns = moment_now_ns();
  }
  generator->result->finished_ns = now_ns < plan->end_ns ? now_ns : plan->end_ns;
}

/* What was due in the window and has no reply is a latency too: at least as long as until now. */
static void unanswered_count(struct generator *generator)
{
  const struct generator_plan *plan = generator->plan;
  struct generator_result *result = generator->result;
  uint64_t now_ns = moment_now_ns();
  for (unsigned i = 0; i < plan->connections; i++) {
    const struct connection *connection = &generator->connections[i];
    for (unsigned k = 0; k < connection->in_flight; k++) {
      uint64_t start_ns = connection->flights[(connection->first + k) % plan->pipeline].start_ns;
      if (start_ns < plan->measure_ns)
        continue;
      result->unanswered++;
      histogram_record(&result->latencies, (now_ns - start_ns) / MOMENT_US);
    }
  }
  if (!is_open_loop(generator) || result->exhausted)
    return;
  while (generator->next_ns < plan->end_ns) {
    if (generator->next_ns >= plan->measure_ns) {
      result->unanswered++;
      histogram_record(&result->latencies, (now_ns - generator->next_ns) / MOMENT_US);
    }
    arrival_advance(generator);
  }
}

static void generator_init(struct generator *generator, const struct generator_plan *plan)
{
  generator->epoll = epoll_create1(EPOLL_CLOEXEC);
  if (generator->epoll < 0)
    fail("epoll_create1: %s", strerror(errno));
  generator->random = random_seeded(plan->seed);
  generator->connections = fail_calloc(plan->connections, sizeof generator->connections[0]);
  generator->idle = fail_calloc(plan->connections, sizeof generator->idle[0]);
  size_t burst = plan->rate_per_s > 0.0 ? 1 : plan->pipeline;
  generator->requests = fail_calloc(burst, generator->script->request_size_max);
  generator->shared_in = fail_calloc(SHARED_READ_SIZE, 1);
  for (unsigned i = 0; i < plan->connections; i++) {
    struct connection *connection = &generator->connections[i];
    connection->fd = -1;
    connection->index = i;
    connection->flights = fail_calloc(plan->pipeline, sizeof connection->flights[0]);
  }
  generator->closed = plan->connections;
  generator->next_ns = plan->start_ns;
}

static void generator_deinit(struct generator *generator)
{
  for (unsigned i = 0; i < generator->plan->connections; i++) {
    struct connection *connection = &generator->connections[i];
    if (connection->fd >= 0)
      close(connection->fd);
    free(connection->flights);
    free(connection->in);
    free(connection->out);
  }
  free(generator->connections);
  free(generator->idle);
  free(generator->requests);
  free(generator->shared_in);
  close(generator->epoll);
}

void generator_run(const struct generator_plan *plan, const struct script *script,
                   struct generator_result *result)
{
  CHECK(plan->connections > 0 && plan->connections <= GENERATOR_CONNECTIONS_MAX);
  CHECK(plan->pipeline > 0 && plan->pipeline <= GENERATOR_PIPELINE_MAX);
  struct generator generator = {.plan = plan, .script = script, .result = result};
  /* The default slack of 50 us would be added to each scheduled time of an open loop. */
  prctl(PR_SET_TIMERSLACK, 1ul, 0ul, 0ul, 0ul);
  generator_init(&generator, plan);
  connections_open(&generator, moment_now_ns());
  while (moment_now_ns() < plan->start_ns)
    moment_wait_until(plan->start_ns);
  uint64_t now_ns = moment_now_ns();
  for (unsigned i = 0; i < plan->connections; i++) {
    if (is_open_loop(&generator))
      idle_put(&generator, &generator.connections[i]);
    else
      connection_fill(&generator, &generator.connections[i], now_ns);
  }
  generator_loop(&generator);
  unanswered_count(&generator);
  generator_deinit(&generator);
}
