/* memory_order.h - an ordered set of (major, minor) keys with an item each: a skip list.
 *
 * For what the memory store must find in order: holds by expiry, transfers in transit and reserved
 * names. Heights come from a counter, not from chance, so that equal histories give equal lists.
 * Owner: the store, under its lock. */
#ifndef HOLDFAST_MEMORY_ORDER_H
#define HOLDFAST_MEMORY_ORDER_H

#include <stdint.h>

#define MEMORY_ORDER_HEIGHT 16u

struct memory_order_node {
  int64_t major;
  uint64_t minor;
  void *item;
  unsigned height;
  struct memory_order_node *next[];
};
struct memory_order {
  struct memory_order_node *first[MEMORY_ORDER_HEIGHT];
  uint64_t inserted;
};

void memory_order_deinit(struct memory_order *order); /* not the items */
/* The key must not be there. */
void memory_order_insert(struct memory_order *order, int64_t major, uint64_t minor, void *item);
/* The key must be there. */
void memory_order_remove(struct memory_order *order, int64_t major, uint64_t minor);
/* The first node behind the key; its followers are at next[0]. NULL: none. */
const struct memory_order_node *memory_order_after(const struct memory_order *order, int64_t major,
                                                   uint64_t minor);

#endif
