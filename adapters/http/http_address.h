/* http_address.h - who is at the other end, and how many connections each address has.
 *
 * Owner: one loop. Limits: as many addresses as there are connections. An IPv6 network of 64 bits
 * counts as one address, because one customer has at least that. */
#ifndef HOLDFAST_HTTP_ADDRESS_H
#define HOLDFAST_HTTP_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

struct sockaddr;

#define HTTP_ADDRESS_TEXT 46u
#define HTTP_ADDRESS_BUCKETS 1024u

struct http_address {
  uint8_t key[16];              /* IPv6, or IPv4 mapped into it; what the cap counts */
  char text[HTTP_ADDRESS_TEXT]; /* the whole address, terminated */
  bool loopback;
};

struct http_address_count {
  struct http_address_count *next;
  uint8_t key[16];
  unsigned connections;
};

struct http_addresses { /* zeroed memory with a random seed is an empty table */
  struct http_address_count *buckets[HTTP_ADDRESS_BUCKETS];
  uint64_t seed; /* against addresses that are chosen to collide */
};

void http_address_read(const struct sockaddr *from, struct http_address *ret_address);
unsigned http_addresses_get(const struct http_addresses *table, const uint8_t key[16]);
void http_addresses_add(struct http_addresses *table, const uint8_t key[16]);
void http_addresses_remove(struct http_addresses *table, const uint8_t key[16]);

#endif
