/* cut_proxy.c - see cut_proxy.h. */
#include "tests/support/cut_proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "holdfast/check.h"
#include "holdfast/rt.h"
#include "tests/support/pg_messages.h"

enum { PAIRS_MAX = 32, CHUNK = 65536, ENDS_MAX = 4096 };

struct pair { /* one connection; -1: that side has ended */
  int client, server;
  bool used;
  bool after;  /* CUT_AFTER hit it: the server's next word ends it */
  bool silent; /* neither side is listened to any more */
  struct pg_messages messages;
};

struct cut_proxy {
  int listener, port, server_port;
  int wake[2];
  pthread_t thread;
  atomic_int armed; /* enum cut: the test arms, the thread takes */
  atomic_int refuse;
  atomic_long left[2];           /* by enum cut_way: until the next cut; negative: none is near */
  atomic_long passed[2];         /* likewise: since the start */
  atomic_long ends[2][ENDS_MAX]; /* likewise: behind which bytes a message has ended */
  atomic_uint ends_count[2];     /* written after its end: who sees the count sees the end */
  atomic_int reset;
  struct pair pairs[PAIRS_MAX];
  unsigned char chunk[CHUNK];
};

static struct sockaddr_in address_of(int port)
{
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};

  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

static void side_close(int *side)
{
  if (*side >= 0)
    (void)close(*side);
  *side = -1;
}

static void pair_end(struct pair *pair)
{
  side_close(&pair->client);
  side_close(&pair->server);
  pair->used = false;
}

static void take_client(struct cut_proxy *proxy)
{
  struct sockaddr_in address = address_of(proxy->server_port);
  int client = accept(proxy->listener, NULL, NULL);
  int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct pair *pair = NULL;

  for (unsigned i = 0; i < PAIRS_MAX && pair == NULL; i++)
    pair = proxy->pairs[i].used ? NULL : &proxy->pairs[i];
  CHECK(pair != NULL && client >= 0 && server >= 0);
  if (atomic_load(&proxy->refuse) != 0 ||
      connect(server, (const struct sockaddr *)&address, sizeof address) != 0) {
    side_close(&client);
    side_close(&server);
    return;
  }
  *pair = (struct pair){.client = client, .server = server, .used = true};
}

static bool pass(int to, const unsigned char *bytes, size_t size)
{
  while (size > 0) {
    ssize_t sent = send(to, bytes, size, MSG_NOSIGNAL);

    if (sent <= 0)
      return false;
    bytes += sent;
    size -= (size_t)sent;
  }
  return true;
}

static void note_ends(struct cut_proxy *proxy, enum cut_way way, struct pair *pair, size_t size)
{
  const long before = atomic_load(&proxy->passed[way]);

  for (size_t i = 0; i < size; i++) {
    const unsigned char byte = proxy->chunk[i];
    const unsigned count = atomic_load(&proxy->ends_count[way]);

    if (!(way == CUT_TO_SERVER ? pg_messages_from_client(&pair->messages, byte)
                               : pg_messages_from_server(&pair->messages, byte)))
      continue;
    if (count < ENDS_MAX) {
      atomic_store(&proxy->ends[way][count], before + (long)i + 1);
      atomic_store(&proxy->ends_count[way], count + 1);
    }
  }
}

/* Passes what the limit lets through; false: the connection has to end. */
static bool pass_limited(struct cut_proxy *proxy, enum cut_way way, struct pair *pair, size_t size)
{
  static const struct linger now = {1, 0};
  const long left = atomic_load(&proxy->left[way]);
  const bool cut = left >= 0 && (size_t)left <= size;
  long expected = left;

  size = cut ? (size_t)left : size;
  if (left >= 0) /* a limit that the test has set meanwhile stays as it is */
    (void)atomic_compare_exchange_strong(&proxy->left[way], &expected,
                                         cut ? -1 : left - (long)size);
  note_ends(proxy, way, pair, size);
  atomic_fetch_add(&proxy->passed[way], (long)size);
  if (!pass(way == CUT_TO_SERVER ? pair->server : pair->client, proxy->chunk, size))
    return false;
  if (cut && atomic_load(&proxy->reset) != 0) {
    (void)setsockopt(pair->client, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    (void)setsockopt(pair->server, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  }
  return !cut;
}

static void from_client(struct cut_proxy *proxy, struct pair *pair)
{
  ssize_t size = recv(pair->client, proxy->chunk, CHUNK, 0);
  int cut;

  if (size <= 0) {
    pair_end(pair);
    return;
  }
  cut = pair->after ? CUT_NEVER : atomic_exchange(&proxy->armed, CUT_NEVER);
  if (cut == CUT_BEFORE) {
    pair_end(pair);
    return;
  }
  pair->after = pair->after || cut == CUT_AFTER;
  pair->silent = cut == CUT_SILENT || cut == CUT_WITHIN;
  if (cut == CUT_SILENT)
    return;
  if (!pass_limited(proxy, CUT_TO_SERVER, pair, (size_t)size / (cut == CUT_WITHIN ? 2 : 1)))
    pair_end(pair);
  else if (cut == CUT_WITHIN)
    side_close(&pair->client);
}

static void from_server(struct cut_proxy *proxy, struct pair *pair)
{
  ssize_t size = recv(pair->server, proxy->chunk, CHUNK, 0);

  if (size <= 0 || pair->after || !pass_limited(proxy, CUT_TO_CLIENT, pair, (size_t)size))
    pair_end(pair);
}

static void *proxy_main(void *arg)
{
  struct cut_proxy *proxy = arg;
  struct pollfd set[2 + 2 * PAIRS_MAX];

  for (;;) {
    memset(set, 0, sizeof set);
    set[0] = (struct pollfd){.fd = proxy->wake[0], .events = POLLIN};
    set[1] = (struct pollfd){.fd = proxy->listener, .events = POLLIN};
    for (unsigned i = 0; i < PAIRS_MAX; i++) {
      const struct pair *pair = &proxy->pairs[i];
      bool listen = pair->used && !pair->silent;

      set[2 + 2 * i] = (struct pollfd){.fd = listen ? pair->client : -1, .events = POLLIN};
      set[3 + 2 * i] = (struct pollfd){.fd = listen ? pair->server : -1, .events = POLLIN};
    }
    CHECK(poll(set, 2 + 2 * PAIRS_MAX, -1) >= 0 || errno == EINTR);
    if (set[0].revents != 0)
      return NULL;
    for (unsigned i = 0; i < PAIRS_MAX; i++) {
      struct pair *pair = &proxy->pairs[i];

      if (pair->used && set[2 + 2 * i].revents != 0)
        from_client(proxy, pair);
      if (pair->used && !pair->silent && set[3 + 2 * i].revents != 0)
        from_server(proxy, pair);
    }
    if (set[1].revents != 0)
      take_client(proxy);
  }
}

struct cut_proxy *cut_proxy_new(int server_port)
{
  struct cut_proxy *proxy = rt_alloc(sizeof *proxy);
  struct sockaddr_in address = address_of(0);
  socklen_t size = sizeof address;

  proxy->server_port = server_port;
  atomic_store(&proxy->left[CUT_TO_SERVER], -1);
  atomic_store(&proxy->left[CUT_TO_CLIENT], -1);
  proxy->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(proxy->listener >= 0);
  CHECK(bind(proxy->listener, (const struct sockaddr *)&address, size) == 0);
  CHECK(getsockname(proxy->listener, (struct sockaddr *)&address, &size) == 0);
  CHECK(listen(proxy->listener, PAIRS_MAX) == 0 && pipe(proxy->wake) == 0);
  proxy->port = ntohs(address.sin_port);
  CHECK(pthread_create(&proxy->thread, NULL, proxy_main, proxy) == 0);
  return proxy;
}

void cut_proxy_free(struct cut_proxy *proxy)
{
  if (proxy == NULL)
    return;
  CHECK(write(proxy->wake[1], "x", 1) == 1);
  CHECK(pthread_join(proxy->thread, NULL) == 0);
  for (unsigned i = 0; i < PAIRS_MAX; i++)
    if (proxy->pairs[i].used)
      pair_end(&proxy->pairs[i]);
  side_close(&proxy->listener);
  side_close(&proxy->wake[0]);
  side_close(&proxy->wake[1]);
  rt_free(proxy);
}

int cut_proxy_port(const struct cut_proxy *proxy)
{
  return proxy->port;
}

void cut_proxy_arm(struct cut_proxy *proxy, enum cut cut)
{
  atomic_store(&proxy->armed, (int)cut);
}

void cut_proxy_refuse(struct cut_proxy *proxy, int refuse)
{
  atomic_store(&proxy->refuse, refuse);
}

void cut_proxy_limit(struct cut_proxy *proxy, enum cut_way way, long bytes, int reset)
{
  atomic_store(&proxy->reset, reset);
  atomic_store(&proxy->left[way], bytes);
}

long cut_proxy_passed(const struct cut_proxy *proxy, enum cut_way way)
{
  return atomic_load(&proxy->passed[way]);
}

unsigned cut_proxy_ends(const struct cut_proxy *proxy, enum cut_way way, long *ends, unsigned room)
{
  const unsigned count = atomic_load(&proxy->ends_count[way]);

  for (unsigned i = 0; i < count && i < room; i++)
    ends[i] = atomic_load(&proxy->ends[way][i]);
  return count;
}

void cut_proxy_forget(struct cut_proxy *proxy)
{
  atomic_store(&proxy->ends_count[CUT_TO_SERVER], 0);
  atomic_store(&proxy->ends_count[CUT_TO_CLIENT], 0);
}
