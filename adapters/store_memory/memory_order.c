/* memory_order.c - see memory_order.h. */
#include "adapters/store_memory/memory_order.h"

#include <stdbool.h>
#include <stddef.h>

#include "holdfast/check.h"
#include "holdfast/rt.h"

static bool node_before(const struct memory_order_node *node, int64_t major, uint64_t minor)
{
  return node->major != major ? node->major < major : node->minor < minor;
}

/* One node in 4 reaches each next level: spread like chance by mixing a counter. */
static unsigned order_height(struct memory_order *order)
{
  uint64_t mixed = ++order->inserted * 0x9E3779B97F4A7C15ull;
  unsigned height = 1;

  mixed ^= mixed >> 32;
  mixed *= 0xD6E8FEB86659FD93ull;
  mixed ^= mixed >> 32;
  while (height < MEMORY_ORDER_HEIGHT && (mixed & 3u) == 0) {
    mixed >>= 2;
    height++;
  }
  return height;
}

/* Per level, the link that leads past the key: where a node of it stands or would stand. */
static void order_find(struct memory_order *order, int64_t major, uint64_t minor,
                       struct memory_order_node **ret_links[MEMORY_ORDER_HEIGHT])
{
  struct memory_order_node *before = NULL;

  for (unsigned level = MEMORY_ORDER_HEIGHT; level-- > 0;) {
    struct memory_order_node **link = before == NULL ? &order->first[level] : &before->next[level];

    while (*link != NULL && node_before(*link, major, minor)) {
      before = *link;
      link = &before->next[level];
    }
    ret_links[level] = link;
  }
}

void memory_order_deinit(struct memory_order *order)
{
  struct memory_order_node *node = order->first[0];

  while (node != NULL) {
    struct memory_order_node *next = node->next[0];

    rt_free(node);
    node = next;
  }
  *order = (struct memory_order){0};
}

void memory_order_insert(struct memory_order *order, int64_t major, uint64_t minor, void *item)
{
  struct memory_order_node **links[MEMORY_ORDER_HEIGHT];
  unsigned height = order_height(order);
  struct memory_order_node *node = rt_alloc(sizeof *node + height * sizeof node->next[0]);

  order_find(order, major, minor, links);
  CHECK(*links[0] == NULL || (*links[0])->major != major || (*links[0])->minor != minor);
  node->major = major;
  node->minor = minor;
  node->item = item;
  node->height = height;
  for (unsigned level = 0; level < height; level++) {
    node->next[level] = *links[level];
    *links[level] = node;
  }
}

void memory_order_remove(struct memory_order *order, int64_t major, uint64_t minor)
{
  struct memory_order_node **links[MEMORY_ORDER_HEIGHT];
  struct memory_order_node *node;

  order_find(order, major, minor, links);
  node = *links[0];
  CHECK(node != NULL && node->major == major && node->minor == minor);
  for (unsigned level = 0; level < node->height; level++)
    *links[level] = node->next[level];
  rt_free(node);
}

const struct memory_order_node *memory_order_after(const struct memory_order *order, int64_t major,
                                                   uint64_t minor)
{
  const struct memory_order_node *before = NULL;

  for (unsigned level = MEMORY_ORDER_HEIGHT; level-- > 0;) {
    const struct memory_order_node *next =
      before == NULL ? order->first[level] : before->next[level];

    while (next != NULL &&
           (node_before(next, major, minor) || (next->major == major && next->minor == minor))) {
      before = next;
      next = before->next[level];
    }
  }
  return before == NULL ? order->first[0] : before->next[0];
}
