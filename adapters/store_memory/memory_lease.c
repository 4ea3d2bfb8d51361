/* memory_lease.c - the nodes of a simulated cluster and whose each partition is: STORE_LEASE.
 *
 * Under the store's lock, so a heartbeat is one transaction, as port.h demands. Beats come from one
 * counter: none comes twice, whoever was buried. */
#include <string.h>

#include "adapters/store_memory/memory.h"

static struct store_node *node_find(struct memory_store *store, uint64_t id)
{
  for (size_t i = 0; i < store->nodes_count; i++)
    if (store->nodes[i].id == id)
      return &store->nodes[i];
  return NULL;
}

static struct store_node *node_add(struct memory_store *store, uint64_t id)
{
  size_t at = store->nodes_count++;

  CHECK(store->nodes_count <= STORE_NODES_MAX);
  for (; at > 0 && store->nodes[at - 1].id > id; at--)
    store->nodes[at] = store->nodes[at - 1];
  store->nodes[at] = (struct store_node){.id = id};
  return &store->nodes[at];
}

static void node_bury(struct memory_store *store, const struct store_node *buried)
{
  struct store_node *node = node_find(store, buried->id);

  if (node == NULL || node->beat != buried->beat)
    return;
  for (uint32_t i = 0; i < 1u << store->engine.partition_bits; i++)
    if (store->partitions[i].owner == buried->id)
      store->partitions[i].owner = 0;
  store->nodes_count--;
  memmove(node, node + 1,
          (size_t)(store->nodes + store->nodes_count - node) * sizeof *store->nodes);
}

static void answer(struct memory_store *store, struct store_request *request)
{
  struct store_lease *lease = &request->lease;
  uint32_t partitions = 1u << store->engine.partition_bits;

  lease->nodes_count = store->nodes_count;
  lease->nodes = hf_arena_alloc(&request->arena, store->nodes_count * sizeof *lease->nodes);
  memcpy(lease->nodes, store->nodes, store->nodes_count * sizeof *lease->nodes);
  lease->owners = hf_arena_alloc(&request->arena, partitions * sizeof *lease->owners);
  for (uint32_t i = 0; i < partitions; i++)
    lease->owners[i] = store->partitions[i].owner;
  lease->catalog_revision = store->catalog_revision;
  lease->incarnation = 1; /* it never goes back */
}

void memory_lease(struct memory_store *store, struct store_request *request)
{
  struct store_lease *lease = &request->lease;
  struct store_node *node = node_find(store, lease->self.id);

  CHECK(lease->self.id > 0);
  lease->member = node != NULL || (lease->join && store->nodes_count < STORE_NODES_MAX);
  if (!lease->member)
    return;
  if (node == NULL)
    node = node_add(store, lease->self.id);
  lease->self.beat = ++store->beats;
  *node = lease->self;
  for (size_t i = 0; i < lease->buried_count; i++)
    node_bury(store, &lease->buried[i]);
  for (size_t i = 0; i < lease->released_count; i++) {
    struct memory_partition *partition = memory_partition_at(store, lease->released[i]);

    if (partition->owner == lease->self.id)
      partition->owner = 0;
  }
  for (size_t i = 0; i < lease->claimed_count; i++) {
    struct memory_partition *partition = memory_partition_at(store, lease->claimed[i]);

    if (partition->owner == 0)
      partition->owner = lease->self.id;
  }
  answer(store, request);
}
