/* http_listen.c - the listening socket: numeric IPv4 or IPv6 address, SO_REUSEPORT.
 *
 * Every loop has a socket of its own on the same port and the kernel spreads the connections. The
 * price: a second server of the same user on the same port is not noticed here; the lock on the
 * data folder notices it. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "holdfast/check.h"
#include "http_internal.h"

#define LISTEN_BACKLOG 4096

/* Reads "127.0.0.1", "::1", "[::1]" or "localhost". The address's size; 0 when it is none. */
static socklen_t address_parse(const char *host, uint16_t port, struct sockaddr_storage *ret_to)
{
  struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = htons(port)};
  struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
  char text[HTTP_ADDRESS_TEXT];
  size_t size = strlen(host);

  memset(ret_to, 0, sizeof *ret_to);
  if (strcmp(host, "localhost") == 0)
    return address_parse("127.0.0.1", port, ret_to);
  if (inet_pton(AF_INET, host, &ipv4.sin_addr) == 1) {
    memcpy(ret_to, &ipv4, sizeof ipv4);
    return sizeof ipv4;
  }
  if (size > 2 && host[0] == '[' && host[size - 1] == ']') {
    host++;
    size -= 2;
  }
  if (size >= sizeof text)
    return 0;
  memcpy(text, host, size);
  text[size] = '\0';
  if (inet_pton(AF_INET6, text, &ipv6.sin6_addr) != 1)
    return 0;
  memcpy(ret_to, &ipv6, sizeof ipv6);
  return sizeof ipv6;
}

static uint16_t port_of(int fd)
{
  struct sockaddr_storage at = {.ss_family = AF_UNSPEC};
  socklen_t size = sizeof at;
  in_port_t port;

  CHECK(getsockname(fd, (struct sockaddr *)&at, &size) == 0);
  if (at.ss_family == AF_INET)
    memcpy(&port, (const char *)&at + offsetof(struct sockaddr_in, sin_port), sizeof port);
  else
    memcpy(&port, (const char *)&at + offsetof(struct sockaddr_in6, sin6_port), sizeof port);
  return ntohs(port);
}

int http_listen(const char *host, uint16_t port, uint16_t *ret_port)
{
  const int on = 1;
  const int off = 0;
  struct sockaddr_storage at;
  const socklen_t size = address_parse(host, port, &at);
  if (size == 0)
    return -EINVAL;
  const int fd = socket(at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return -errno;
  /* Accepted sockets inherit TCP_NODELAY from the listening one, which saves a call for each. */
  if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0 ||
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
      (at.ss_family == AF_INET6 &&
       setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) != 0) ||
      bind(fd, (const struct sockaddr *)&at, size) != 0 || listen(fd, LISTEN_BACKLOG) != 0) {
    const int error = errno;
    close(fd);
    return -error;
  }
  *ret_port = port_of(fd);
  return fd;
}
