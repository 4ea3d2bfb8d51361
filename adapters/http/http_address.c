#include "http_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "holdfast/check.h"
#include "holdfast/rt.h"

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static void address_ipv4(const uint8_t bytes[4], struct http_address *ret_address)
{
  memcpy(ret_address->key, mapped, 12);
  memcpy(ret_address->key + 12, bytes, 4);
  ret_address->loopback = bytes[0] == 127;
  CHECK(inet_ntop(AF_INET, bytes, ret_address->text, sizeof ret_address->text) != NULL);
}

void http_address_read(const struct sockaddr *from, struct http_address *ret_address)
{
  static const uint8_t one[16] = {[15] = 1};

  memset(ret_address, 0, sizeof *ret_address);
  if (from->sa_family == AF_INET) {
    struct sockaddr_in ipv4;
    memcpy(&ipv4, from, sizeof ipv4);
    address_ipv4((const uint8_t *)&ipv4.sin_addr, ret_address);
  } else if (from->sa_family == AF_INET6) {
    struct sockaddr_in6 ipv6;
    memcpy(&ipv6, from, sizeof ipv6);
    const uint8_t *bytes = ipv6.sin6_addr.s6_addr;
    if (memcmp(bytes, mapped, 12) == 0) {
      address_ipv4(bytes + 12, ret_address);
      return;
    }
    ret_address->loopback = memcmp(bytes, one, 16) == 0;
    memcpy(ret_address->key, bytes, 8);
    CHECK(inet_ntop(AF_INET6, bytes, ret_address->text, sizeof ret_address->text) != NULL);
  }
}

static unsigned bucket_of(const struct http_addresses *table, const uint8_t key[16])
{
  uint64_t half[2];
  memcpy(half, key, 16);
  uint64_t hash = table->seed;
  for (unsigned i = 0; i < 2; i++) {
    hash = (hash ^ half[i]) * 0xff51afd7ed558ccdu;
    hash ^= hash >> 32;
  }
  return (unsigned)(hash % HTTP_ADDRESS_BUCKETS);
}

static struct http_address_count *find(const struct http_addresses *table, const uint8_t key[16])
{
  struct http_address_count *at = table->buckets[bucket_of(table, key)];
  while (at != NULL && memcmp(at->key, key, 16) != 0)
    at = at->next;
  return at;
}

unsigned http_addresses_get(const struct http_addresses *table, const uint8_t key[16])
{
  const struct http_address_count *at = find(table, key);
  return at == NULL ? 0 : at->connections;
}

void http_addresses_add(struct http_addresses *table, const uint8_t key[16])
{
  struct http_address_count *at = find(table, key);
  if (at == NULL) {
    struct http_address_count **bucket = &table->buckets[bucket_of(table, key)];
    at = rt_alloc(sizeof *at);
    memcpy(at->key, key, 16);
    at->next = *bucket;
    *bucket = at;
  }
  at->connections++;
}

void http_addresses_remove(struct http_addresses *table, const uint8_t key[16])
{
  struct http_address_count *found = find(table, key);
  CHECK(found != NULL && found->connections > 0);
  if (--found->connections > 0)
    return;
  struct http_address_count **at = &table->buckets[bucket_of(table, key)];
  while (*at != found)
    at = &(*at)->next;
  *at = found->next;
  rt_free(found);
}
