/* fuzz_link.c - libFuzzer target: the handshake and the records of a link between nodes, as a node
 * in the process reads them from a socket.
 *
 * Input: a script. Most inputs begin with a whole handshake, which only who has the secret can
 * make; then records, of which the script may cut, change, repeat or leave out any, in pieces of
 * its choice; or raw bytes from the start. Properties: no crash and no leak; the node's actor gets
 * the frames that were sent before the first damage, whole and in order, and nothing else; then
 * the node ends the connection. */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "actors/actors.h"
#include "actors/store/messages.h"
#include "adapters/link/link_port.h"
#include "adapters/link/link_seal.h"
#include "holdfast/driver.h"
#include "tests/fuzz/input.h"

#define NODE 11u
#define OTHER 22u
#define LONG_US 3600000000u
#define WAIT_S 20
#define FRAME_HEAD 4u
#define FRAMES_MAX 64u

static const uint8_t secret[SEAL_SECRET_SIZE] = {7, 7, 7};
static struct { /* the node, once for all inputs */
  pthread_mutex_t lock;
  pthread_cond_t changed;
  struct link_port *port;
  uint16_t tcp;
  struct hf_bytes got; /* frames with their sizes */
  unsigned downs;
} node;

/* ---- the node -------------------------------------------------------------------------------- */

static void put_frame(struct hf_bytes *bytes, const void *frame, size_t size)
{
  const uint8_t head[FRAME_HEAD] = {(uint8_t)size, (uint8_t)(size >> 8), (uint8_t)(size >> 16), 0};
  hf_bytes_put(bytes, head, sizeof head);
  hf_bytes_put(bytes, frame, size);
}

static rt_status peer_handle(rt_ctx *ctx, void *state, const rt_env *env)
{
  (void)state;
  pthread_mutex_lock(&node.lock);
  if (env->op == HF_LINK_FRAME) {
    struct link_frame *frame = env->payload.p.ptr;
    put_frame(&node.got, frame->bytes, frame->size);
    node.port->done(node.port, ctx, frame);
  } else if (env->op == HF_LINK_DOWN) {
    node.downs++;
  }
  pthread_cond_broadcast(&node.changed);
  pthread_mutex_unlock(&node.lock);
  return RT_OK;
}

static const rt_class peer_class = {.name = "peer",
                                    .kind = HF_KIND_PEER,
                                    .flags = RT_CLASS_PER_LOOP,
                                    .state_bytes = 8,
                                    .handle = peer_handle};

static void loop_start(void *arg, rt_ctx *ctx)
{
  (void)arg;
  link_port_loop_begin(node.port, ctx);
}

static void node_start(void)
{
  static const rt_class *const classes[] = {&peer_class, NULL};
  static const struct rt_config runtime = {
    .loops = 1, .shards = 1, .classes = classes, .loop_start = loop_start};
  struct link_config config = {.node = NODE, .silence_us = LONG_US};
  char address[STORE_ADDRESS_MAX + 1];
  memcpy(config.secret, secret, sizeof secret);
  pthread_mutex_init(&node.lock, NULL);
  pthread_cond_init(&node.changed, NULL);
  node.port = link_port_new(&config, 1);
  CHECK(link_port_listen(node.port, "127.0.0.1:0", address) == 0);
  node.tcp = (uint16_t)strtoul(strrchr(address, ':') + 1, NULL, 10);
  CHECK(rt_start(driver_uv_new(), &runtime) != NULL);
}

/* ---- the other end --------------------------------------------------------------------------- */

struct end {
  int fd;
  struct link_seal seal;
  struct hf_bytes wire;
  bool damaged;           /* what follows does not count */
  struct hf_bytes wanted; /* frames with their sizes */
  struct hf_bytes plain;  /* of frames that are not whole yet */
  unsigned frames;
};

static void flush(struct end *end)
{
  for (size_t sent = 0; sent < end->wire.size;) {
    const ssize_t size = send(end->fd, end->wire.at + sent, end->wire.size - sent, MSG_NOSIGNAL);
    if (size <= 0)
      break; /* the node has ended it: that is looked at below */
    sent += (size_t)size;
  }
  hf_bytes_clear(&end->wire);
}

/* libFuzzer's clock is a signal: a call with a time limit does not go on by itself after it. */
static ssize_t receive_some(struct end *end, void *bytes, size_t size)
{
  ssize_t got;
  do
    got = recv(end->fd, bytes, size, 0);
  while (got < 0 && errno == EINTR);
  return got;
}

static bool receive(struct end *end, void *bytes, size_t size)
{
  for (size_t got = 0; got < size;) {
    const ssize_t more = receive_some(end, (char *)bytes + got, size - got);
    if (more <= 0)
      return false;
    got += (size_t)more;
  }
  return true;
}

static void connect_to_node(struct end *end)
{
  const struct linger reset = {1, 0}; /* or the ports run out */
  const struct timeval most = {.tv_sec = WAIT_S};
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(node.tcp)};
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  end->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(end->fd >= 0 && connect(end->fd, (const struct sockaddr *)&at, sizeof at) == 0);
  CHECK(setsockopt(end->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) == 0);
  CHECK(setsockopt(end->fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most) == 0);
}

/* `at` within the handshake's bytes is changed; beyond them: none. False: it was refused. */
static bool handshake(struct end *end, size_t at, uint8_t change)
{
  uint8_t bytes[SEAL_HELLO_SIZE], reply[SEAL_REPLY_SIZE], accept[SEAL_ACCEPT_SIZE];
  link_seal_hello(&end->seal, OTHER, NODE, bytes);
  if (at < SEAL_HELLO_SIZE)
    bytes[at] ^= change;
  hf_bytes_put(&end->wire, bytes, SEAL_HELLO_SIZE);
  flush(end);
  if (!receive(end, reply, sizeof reply) || !link_seal_confirm(&end->seal, secret, reply, bytes)) {
    CHECK(at < SEAL_HELLO_SIZE && change != 0);
    return false;
  }
  if (at >= SEAL_HELLO_SIZE && at < SEAL_HELLO_SIZE + SEAL_CONFIRM_SIZE) {
    bytes[at - SEAL_HELLO_SIZE] ^= change;
    end->damaged = true; /* a header that was changed opens no record */
  }
  hf_bytes_put(&end->wire, bytes, SEAL_CONFIRM_SIZE);
  flush(end);
  const bool good = receive(end, accept, sizeof accept);
  /* The proof covers all that both have said; the header behind it shows with the first record. */
  CHECK(good == (change == 0 || at >= SEAL_HELLO_SIZE + SEAL_PROOF_SIZE));
  return good && link_seal_accepted(&end->seal, secret, accept);
}

/* ---- the script ------------------------------------------------------------------------------ */

/* The frames that are whole in `plain` are wanted; a size of 0 is a ping. */
static void count_frames(struct end *end)
{
  size_t at = 0;
  while (end->plain.size - at >= FRAME_HEAD) {
    const uint8_t *head = end->plain.at + at;
    const size_t size =
      (size_t)head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 | (size_t)head[3] << 24;
    if (size > LINK_FRAME_MAX) {
      end->damaged = true;
      break;
    }
    if (end->plain.size - at - FRAME_HEAD < size)
      break;
    if (size > 0) {
      put_frame(&end->wanted, head + FRAME_HEAD, size);
      end->frames++;
    }
    at += FRAME_HEAD + size;
  }
  memmove(end->plain.at, end->plain.at + at, end->plain.size - at);
  end->plain.size -= at;
}

/* One record of the input's bytes: as they are, so that sizes may be anything, or as a frame. */
static void record(struct end *end, struct input *input, uint8_t how)
{
  const size_t before = end->wire.size;
  struct hf_bytes plain = {0};
  size_t size;
  char *bytes = input_bytes(input, 1u + input_u8(input), &size);
  if (how % 2u == 0 && size > 0)
    put_frame(&plain, bytes, size);
  else
    hf_bytes_put(&plain, bytes, size);
  free(bytes);
  if (plain.size == 0)
    hf_bytes_put(&plain, "\0\0\0\0", FRAME_HEAD); /* a ping */
  link_seal_push(&end->seal, plain.at, plain.size, &end->wire);
  const size_t sealed = end->wire.size - before;
  const uint8_t damage = how >> 5;
  if (damage == 1) { /* left out */
    end->wire.size = before;
    end->damaged = true;    /* only a next one shows it: it is not looked at more closely */
  } else if (damage == 2) { /* twice */
    uint8_t *again = hf_bytes_reserve(&end->wire, sealed);
    memcpy(again, end->wire.at + before, sealed);
    end->wire.size += sealed;
  } else if (damage == 3) { /* cut */
    end->wire.size = before + input_u8(input) % sealed;
  } else if (damage == 4) { /* changed */
    end->wire.at[before + input_u8(input) % sealed] ^= (uint8_t)(1u + input_u8(input) % 255u);
  }
  if (!end->damaged && damage != 3 && damage != 4) {
    hf_bytes_put(&end->plain, plain.at, plain.size);
    count_frames(end);
  }
  end->damaged |= damage >= 1 && damage <= 4;
  hf_bytes_deinit(&plain);
}

static void play(struct end *end, struct input *input)
{
  while (input->size > 0 && end->frames < FRAMES_MAX) {
    const uint8_t how = input_u8(input);
    record(end, input, how);
    if ((how & 16u) != 0)
      flush(end);
  }
  flush(end);
}

/* The node has told its actor all that it was to be told, and not more. */
static void check(const struct end *end, unsigned downs)
{
  struct timespec until;
  int error = 0;
  timespec_get(&until, TIME_UTC);
  until.tv_sec += WAIT_S;
  pthread_mutex_lock(&node.lock);
  while ((node.got.size < end->wanted.size || node.downs < downs) && error == 0)
    error = pthread_cond_timedwait(&node.changed, &node.lock, &until);
  CHECK(error == 0);
  CHECK(node.got.size == end->wanted.size && node.downs == downs);
  CHECK(end->wanted.size == 0 || memcmp(node.got.at, end->wanted.at, end->wanted.size) == 0);
  hf_bytes_clear(&node.got);
  node.downs = 0;
  pthread_mutex_unlock(&node.lock);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct input input = {data, size};
  struct end end = {.fd = -1};
  char rest[256];
  if (node.port == NULL)
    node_start();
  connect_to_node(&end);
  const uint8_t how = input_u8(&input);
  if (how == 255) { /* raw bytes */
    hf_bytes_put(&end.wire, input.at, input.size);
    flush(&end);
  } else {
    const size_t at = how < 200 ? SIZE_MAX : (size_t)input_u8(&input);
    if (handshake(&end, at, how < 200 ? 0 : (uint8_t)(how - 199u)))
      play(&end, &input);
  }
  (void)shutdown(end.fd, SHUT_WR);
  while (receive_some(&end, rest, sizeof rest) > 0) { /* pings, until the node has ended it */
  }
  CHECK(close(end.fd) == 0);
  check(&end, end.frames > 0);
  hf_bytes_deinit(&end.wire);
  hf_bytes_deinit(&end.wanted);
  hf_bytes_deinit(&end.plain);
  return 0;
}
