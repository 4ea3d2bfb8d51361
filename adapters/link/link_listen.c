/* link_listen.c - addresses, and one listening socket per loop on the same port (SO_REUSEPORT). */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "adapters/link/link_internal.h"
#include "holdfast/check.h"

#define BACKLOG 1024

static socklen_t size_of(const struct sockaddr_storage *address)
{
  return address->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

static bool read_port(const char *text, uint16_t *ret_port)
{
  unsigned long port = 0;
  if (*text == '\0' || strlen(text) > 5)
    return false;
  for (; *text >= '0' && *text <= '9'; text++)
    port = 10u * port + (unsigned long)(*text - '0');
  *ret_port = (uint16_t)port;
  return *text == '\0' && port <= UINT16_MAX;
}

bool link_address(const char *text, struct sockaddr_storage *ret_address)
{
  char host[STORE_ADDRESS_MAX + 1];
  const char *colon = strrchr(text, ':');
  uint16_t port;
  memset(ret_address, 0, sizeof *ret_address);
  if (colon == NULL || colon == text || colon - text > (ptrdiff_t)STORE_ADDRESS_MAX ||
      !read_port(colon + 1, &port))
    return false;
  size_t size = (size_t)(colon - text);
  const bool brackets = text[0] == '[' && text[size - 1u] == ']' && size > 2;
  memcpy(host, text + brackets, size - 2u * brackets);
  host[size - 2u * brackets] = '\0';
  if (strcmp(host, "localhost") == 0)
    memcpy(host, "127.0.0.1", sizeof "127.0.0.1");
  struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = htons(port)};
  struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
  if (!brackets && inet_pton(AF_INET, host, &ipv4.sin_addr) == 1)
    memcpy(ret_address, &ipv4, sizeof ipv4);
  else if (brackets && inet_pton(AF_INET6, host, &ipv6.sin6_addr) == 1)
    memcpy(ret_address, &ipv6, sizeof ipv6);
  else
    return false;
  return true;
}

static void set_port(struct sockaddr_storage *address, in_port_t port)
{
  const size_t at = address->ss_family == AF_INET ? offsetof(struct sockaddr_in, sin_port)
                                                  : offsetof(struct sockaddr_in6, sin6_port);
  memcpy((char *)address + at, &port, sizeof port);
}

static in_port_t get_port(const struct sockaddr_storage *address)
{
  in_port_t port;
  const size_t at = address->ss_family == AF_INET ? offsetof(struct sockaddr_in, sin_port)
                                                  : offsetof(struct sockaddr_in6, sin6_port);
  memcpy(&port, (const char *)address + at, sizeof port);
  return port;
}

static int listen_one(struct sockaddr_storage *address)
{
  const int on = 1;
  socklen_t size = size_of(address);
  const int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return -errno;
  if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0 ||
      bind(fd, (const struct sockaddr *)address, size) != 0 || listen(fd, BACKLOG) != 0) {
    const int error = errno;
    close(fd);
    return -error;
  }
  struct sockaddr_storage bound = *address;
  CHECK(getsockname(fd, (struct sockaddr *)&bound, &size) == 0);
  set_port(address, get_port(&bound)); /* of port 0 the one that all others take too */
  return fd;
}

int link_listen(const char *address, unsigned count, int *ret_sockets,
                char ret_address[STORE_ADDRESS_MAX + 1])
{
  struct sockaddr_storage at;
  if (!link_address(address, &at))
    return -EINVAL;
  for (unsigned i = 0; i < count; i++) {
    ret_sockets[i] = listen_one(&at);
    if (ret_sockets[i] >= 0)
      continue;
    const int error = ret_sockets[i];
    while (i > 0)
      close(ret_sockets[--i]);
    return error;
  }
  const char *colon = strrchr(address, ':');
  (void)snprintf(ret_address, STORE_ADDRESS_MAX + 1u, "%.*s:%u", (int)(colon - address), address,
                 (unsigned)ntohs(get_port(&at)));
  return 0;
}
