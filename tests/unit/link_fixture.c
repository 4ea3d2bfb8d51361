#include "link_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "actors/actors.h"
#include "actors/store/messages.h"
#include "holdfast/check.h"

#define WAIT_S 30
#define LONG_SILENCE_US 60000000u
#define LOCAL_SIDE HF_LOCAL_FRONT /* nobody else uses the slot here */
#define OP_DO (HF_MESSAGE_END + 1)

enum task_kind { TASK_OPEN, TASK_SEND, TASK_SEND_MANY, TASK_CLOSE, TASK_KEEP };

struct task {
  enum task_kind kind;
  uint64_t link, node;
  const char *address;
  const void *bytes;
  size_t size;
  unsigned first, count;
  bool keep;
  uint64_t result;
  bool done;
};

struct side {
  struct rt_driver *driver;
  rt *runtime;
  struct link_port *port;
  unsigned loops;
  char address[STORE_ADDRESS_MAX + 1];
  pthread_mutex_t lock;
  pthread_cond_t changed;
  struct side_event *first, *last;
  bool keep, echo;
  struct link_frame *kept[LINK_UNREAD_MAX * 4u]; /* of loop 0 */
  unsigned kept_count;
};

/* ---- the actor ------------------------------------------------------------------------------- */

static struct side *side_of(const rt_ctx *ctx)
{
  return rt_local(ctx, LOCAL_SIDE);
}

static void event_add(struct side *side, struct side_event *event)
{
  pthread_mutex_lock(&side->lock);
  if (side->last != NULL)
    side->last->next = event;
  else
    side->first = event;
  side->last = event;
  pthread_cond_broadcast(&side->changed);
  pthread_mutex_unlock(&side->lock);
}

static void frame_come(rt_ctx *ctx, struct side *side, struct link_frame *frame)
{
  struct side_event *event = calloc(1, sizeof *event);
  CHECK(event != NULL);
  event->loop = rt_loop_index(ctx);
  event->link = frame->link;
  event->node = frame->node;
  event->size = frame->size;
  event->bytes = malloc(frame->size);
  CHECK(event->bytes != NULL);
  memcpy(event->bytes, frame->bytes, frame->size);
  event_add(side, event);
  if (side->echo) { /* a link that has ended meanwhile takes nothing */
    (void)side->port->send(side->port, ctx, frame->link, frame->bytes, frame->size);
    side->port->flush(side->port, ctx);
  }
  if (!side->keep) {
    side->port->done(side->port, ctx, frame);
    return;
  }
  CHECK(side->kept_count < sizeof side->kept / sizeof side->kept[0]);
  side->kept[side->kept_count++] = frame;
}

static void send_many(rt_ctx *ctx, struct side *side, struct task *task)
{
  uint8_t *bytes = calloc(1, task->size);
  CHECK(bytes != NULL);
  for (task->result = 0; task->result < task->count; task->result++) {
    uint32_t number = task->first + (uint32_t)task->result;
    memcpy(bytes, &number, sizeof number);
    if (side->port->send(side->port, ctx, task->link, bytes, task->size) != RT_OK)
      break;
  }
  free(bytes);
}

static void task_run(rt_ctx *ctx, struct side *side, struct task *task)
{
  struct link_port *port = side->port;
  switch (task->kind) {
  case TASK_OPEN:
    task->result = port->open(port, ctx, task->node, task->address);
    break;
  case TASK_SEND:
    task->result = (uint64_t)port->send(port, ctx, task->link, task->bytes, task->size);
    break;
  case TASK_SEND_MANY:
    send_many(ctx, side, task);
    break;
  case TASK_CLOSE:
    port->close(port, ctx, task->link);
    break;
  case TASK_KEEP:
    side->keep = task->keep;
    while (side->kept_count > 0)
      port->done(port, ctx, side->kept[--side->kept_count]);
    break;
  }
  port->flush(port, ctx);
  pthread_mutex_lock(&side->lock);
  task->done = true;
  pthread_cond_broadcast(&side->changed);
  pthread_mutex_unlock(&side->lock);
}

static rt_status fake_handle(rt_ctx *ctx, void *state, const rt_env *env)
{
  struct side *side = side_of(ctx);
  (void)state;
  if (env->op == HF_LINK_FRAME) {
    frame_come(ctx, side, env->payload.p.ptr);
  } else if (env->op == HF_LINK_DOWN) {
    struct side_event *event = calloc(1, sizeof *event);
    CHECK(event != NULL);
    event->down = true;
    event->loop = rt_loop_index(ctx);
    event->link = env->payload.u[0];
    event->sent = env->payload.u[1];
    event_add(side, event);
  } else if (env->op == OP_DO) {
    task_run(ctx, side, env->payload.p.ptr);
  }
  return RT_OK;
}

static void fake_drop(const rt_env *env)
{
  if (env->op == HF_LINK_FRAME)
    rt_free(env->payload.p.ptr);
}

static const rt_class fake_class = {.name = "fake",
                                    .kind = HF_KIND_PEER,
                                    .flags = RT_CLASS_PER_LOOP,
                                    .state_bytes = 8,
                                    .handle = fake_handle,
                                    .drop = fake_drop};

/* ---- sides ----------------------------------------------------------------------------------- */

static void loop_start(void *arg, rt_ctx *ctx)
{
  struct side *side = arg;
  rt_set_local(ctx, LOCAL_SIDE, side);
  link_port_loop_begin(side->port, ctx);
}

static void loop_stop(void *arg, rt_ctx *ctx)
{
  struct side *side = arg;
  link_port_loop_end(side->port, ctx);
}

struct side *side_start(const struct side_config *config)
{
  static const rt_class *const classes[] = {&fake_class, NULL};
  struct side *side = calloc(1, sizeof *side);
  assert_non_null(side);
  pthread_mutex_init(&side->lock, NULL);
  pthread_cond_init(&side->changed, NULL);
  side->loops = config->loops == 0 ? 1 : config->loops;
  side->echo = config->echo;
  struct link_config link = {.node = config->node,
                             .silence_us =
                               config->silence_us == 0 ? LONG_SILENCE_US : config->silence_us};
  memset(link.secret, config->secret, sizeof link.secret);
  side->port = link_port_new(&link, side->loops);
  const char *address = config->listen == NULL ? "127.0.0.1:0" : config->listen;
  assert_int_equal(link_port_listen(side->port, address, side->address), 0);
  side->driver = driver_uv_new();
  struct rt_config runtime = {.loops = side->loops,
                              .shards = 16,
                              .classes = classes,
                              .loop_start = loop_start,
                              .loop_stop = loop_stop,
                              .arg = side};
  side->runtime = rt_start(side->driver, &runtime);
  assert_non_null(side->runtime);
  return side;
}

void side_stop(struct side *side)
{
  side_keep(side, false);
  rt_stop(side->runtime, 5000000);
  assert_true(rt_join(side->runtime));
  driver_uv_free(side->driver);
  link_port_free(side->port);
  while (side->first != NULL) {
    struct side_event *event = side->first;
    side->first = event->next;
    side_event_free(event);
  }
  pthread_mutex_destroy(&side->lock);
  pthread_cond_destroy(&side->changed);
  free(side);
}

const char *side_address(const struct side *side)
{
  return side->address;
}

static struct timespec wait_until(void)
{
  struct timespec until;
  timespec_get(&until, TIME_UTC);
  until.tv_sec += WAIT_S;
  return until;
}

static uint64_t side_do(struct side *side, unsigned loop, struct task *task)
{
  const struct timespec until = wait_until();
  const rt_id to = hf_loop_actor(HF_KIND_PEER, loop);
  assert_int_equal(rt_post(side->runtime, to, OP_DO, &task, sizeof task), RT_OK);
  pthread_mutex_lock(&side->lock);
  int error = 0;
  while (!task->done && error == 0)
    error = pthread_cond_timedwait(&side->changed, &side->lock, &until);
  pthread_mutex_unlock(&side->lock);
  assert_int_equal(error, 0);
  return task->result;
}

uint64_t side_open(struct side *side, uint64_t node, const char *address)
{
  return side_do(side, 0, &(struct task){.kind = TASK_OPEN, .node = node, .address = address});
}

rt_status side_send(struct side *side, unsigned loop, uint64_t link, const void *bytes, size_t size)
{
  struct task task = {.kind = TASK_SEND, .link = link, .bytes = bytes, .size = size};
  return (rt_status)side_do(side, loop, &task);
}

unsigned side_send_many(struct side *side, uint64_t link, unsigned first, unsigned count,
                        size_t size)
{
  struct task task = {
    .kind = TASK_SEND_MANY, .link = link, .first = first, .count = count, .size = size};
  return (unsigned)side_do(side, 0, &task);
}

void side_close(struct side *side, uint64_t link)
{
  (void)side_do(side, 0, &(struct task){.kind = TASK_CLOSE, .link = link});
}

void side_keep(struct side *side, bool keep)
{
  (void)side_do(side, 0, &(struct task){.kind = TASK_KEEP, .keep = keep});
}

struct side_event *side_wait(struct side *side)
{
  const struct timespec until = wait_until();
  int error = 0;
  pthread_mutex_lock(&side->lock);
  while (side->first == NULL && error == 0)
    error = pthread_cond_timedwait(&side->changed, &side->lock, &until);
  struct side_event *event = side->first;
  if (event != NULL) {
    side->first = event->next;
    side->last = side->first == NULL ? NULL : side->last;
  }
  pthread_mutex_unlock(&side->lock);
  assert_non_null(event);
  return event;
}

void side_event_free(struct side_event *event)
{
  free(event->bytes);
  free(event);
}

void side_wait_down(struct side *side, uint64_t link, uint64_t sent)
{
  struct side_event *event = side_wait(side);
  assert_true(event->down);
  assert_int_equal(event->link, link);
  assert_int_equal(event->sent, sent);
  side_event_free(event);
}

uint64_t side_wait_frame(struct side *side, const void *bytes, size_t size, unsigned *ret_loop)
{
  struct side_event *event = side_wait(side);
  const uint64_t link = event->link;
  assert_false(event->down);
  assert_int_equal(event->size, size);
  assert_memory_equal(event->bytes, bytes, size);
  if (ret_loop != NULL)
    *ret_loop = event->loop;
  side_event_free(event);
  return link;
}

bool side_is_quiet(struct side *side)
{
  pthread_mutex_lock(&side->lock);
  const bool quiet = side->first == NULL;
  pthread_mutex_unlock(&side->lock);
  return quiet;
}

/* ---- the test's own ends --------------------------------------------------------------------- */

static struct sockaddr_in loopback(uint16_t port)
{
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return at;
}

static void limit_waiting(int fd)
{
  const struct timeval most = {.tv_sec = WAIT_S};
  CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most) == 0);
  CHECK(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof most) == 0);
}

int raw_connect(const char *address)
{
  const struct sockaddr_in at = loopback((uint16_t)strtoul(strrchr(address, ':') + 1, NULL, 10));
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_true(fd >= 0);
  limit_waiting(fd);
  assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof at), 0);
  return fd;
}

int raw_listen(char ret_address[STORE_ADDRESS_MAX + 1])
{
  struct sockaddr_in at = loopback(0);
  socklen_t size = sizeof at;
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_true(fd >= 0);
  limit_waiting(fd);
  assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof at), 0);
  assert_int_equal(listen(fd, 16), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
  (void)snprintf(ret_address, STORE_ADDRESS_MAX + 1u, "127.0.0.1:%u", ntohs(at.sin_port));
  return fd;
}

int raw_accept(int listener)
{
  const int fd = accept(listener, NULL, NULL);
  assert_true(fd >= 0);
  limit_waiting(fd);
  return fd;
}

/* The other end may have closed: that is for the test to see by reading. */
void raw_write(int fd, const void *bytes, size_t size)
{
  const char *at = bytes;
  while (size > 0) {
    const ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
    if (sent <= 0)
      return;
    at += sent;
    size -= (size_t)sent;
  }
}

bool raw_read(int fd, void *bytes, size_t size)
{
  char *at = bytes;
  while (size > 0) {
    const ssize_t got = recv(fd, at, size, 0);
    assert_false(got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK));
    if (got <= 0)
      return false;
    at += got;
    size -= (size_t)got;
  }
  return true;
}

void raw_drain(int fd)
{
  char byte;
  while (raw_read(fd, &byte, 1)) {
  }
}

void raw_handshake_client(int fd, struct link_seal *seal, uint8_t secret, uint64_t client,
                          uint64_t server)
{
  uint8_t hello[SEAL_HELLO_SIZE], reply[SEAL_REPLY_SIZE], confirm[SEAL_CONFIRM_SIZE];
  uint8_t accept_[SEAL_ACCEPT_SIZE], key[SEAL_SECRET_SIZE];
  memset(key, secret, sizeof key);
  link_seal_hello(seal, client, server, hello);
  raw_write(fd, hello, sizeof hello);
  assert_true(raw_read(fd, reply, sizeof reply));
  assert_true(link_seal_confirm(seal, key, reply, confirm));
  raw_write(fd, confirm, sizeof confirm);
  assert_true(raw_read(fd, accept_, sizeof accept_));
  assert_true(link_seal_accepted(seal, key, accept_));
}

void raw_handshake_server(int fd, struct link_seal *seal, uint8_t secret, uint64_t server)
{
  uint8_t hello[SEAL_HELLO_SIZE], reply[SEAL_REPLY_SIZE], confirm[SEAL_CONFIRM_SIZE];
  uint8_t accept_[SEAL_ACCEPT_SIZE], key[SEAL_SECRET_SIZE];
  uint64_t client;
  memset(key, secret, sizeof key);
  assert_true(raw_read(fd, hello, sizeof hello));
  assert_true(link_seal_reply(seal, key, server, hello, &client, reply));
  raw_write(fd, reply, sizeof reply);
  assert_true(raw_read(fd, confirm, sizeof confirm));
  assert_true(link_seal_accept(seal, key, confirm, accept_));
  raw_write(fd, accept_, sizeof accept_);
}

struct hf_bytes raw_record(struct link_seal *seal, const void *bytes, size_t size)
{
  struct hf_bytes plain = {0}, wire = {0};
  for (unsigned i = 0; i < 4; i++)
    hf_bytes_put_u8(&plain, (uint8_t)(size >> (8u * i)));
  hf_bytes_put(&plain, bytes, size);
  link_seal_push(seal, plain.at, plain.size, &wire);
  hf_bytes_deinit(&plain);
  return wire;
}

size_t raw_read_record(int fd, struct link_seal *seal, uint8_t plain[SEAL_RECORD_MAX])
{
  uint8_t *wire = malloc(SEAL_WIRE_MAX);
  size_t got = SIZE_MAX;
  assert_non_null(wire);
  if (raw_read(fd, wire, SEAL_SIZE_SIZE)) {
    const size_t size = link_seal_size(wire, SEAL_SIZE_SIZE);
    assert_true(size != SIZE_MAX && size <= SEAL_WIRE_MAX);
    if (raw_read(fd, wire + SEAL_SIZE_SIZE, size - SEAL_SIZE_SIZE))
      assert_true(link_seal_pull(seal, wire, size, plain, &got));
  }
  free(wire);
  return got;
}
