/* Which partitions are here, and how to ask an actor of one wherever it is.
 *
 * Happy path: what is here is asked here; what another node has goes by way of the peer actor.
 * Ways to fail: nobody has the partition at the moment, or no link leads to who has it: nothing is
 *   sent, and the caller says "try later".
 * Invariants: an embedded store has everything, for ever, under tenure 0; memory answers only what
 *   is open here while the lease surely holds. */
#include "actors/cluster/cluster.h"

#include "actors/actors.h"
#include "actors/peer/peer.h"
#include "actors/store/messages.h"
#include "holdfast/check.h"

struct cluster *cluster_new(unsigned partition_bits, bool alone)
{
  struct cluster *cluster = rt_alloc(sizeof *cluster);
  CHECK(partition_bits <= HF_PARTITION_BITS_MAX);
  cluster->partitions = 1u << partition_bits;
  cluster->alone = cluster->settled = alone;
  cluster->until_us = alone ? UINT64_MAX : 0;
  for (unsigned i = 0; alone && i < cluster->partitions; i++)
    cluster->places[i].where = CLUSTER_HERE;
  return cluster;
}

void cluster_free(struct cluster *cluster)
{
  rt_free(cluster);
}

const struct cluster *cluster_of(const rt_ctx *ctx)
{
  return rt_local(ctx, HF_LOCAL_CLUSTER);
}

bool cluster_has(const rt_ctx *ctx, unsigned partition)
{
  const struct cluster *cluster = cluster_of(ctx);
  CHECK(partition < cluster->partitions);
  return cluster->places[partition].where == CLUSTER_HERE;
}

bool cluster_is_ours(const rt_ctx *ctx, unsigned partition)
{
  const struct cluster *cluster = cluster_of(ctx);
  return cluster->alone || (cluster_has(ctx, partition) && rt_clock_us(ctx) < cluster->until_us);
}

bool cluster_is_here(const rt_ctx *ctx, unsigned partition)
{
  const struct cluster *cluster = cluster_of(ctx);
  CHECK(partition < cluster->partitions);
  return cluster->alone || (cluster->places[partition].open && cluster_is_ours(ctx, partition));
}

bool cluster_settled(const rt_ctx *ctx)
{
  struct cluster *cluster = rt_local(ctx, HF_LOCAL_CLUSTER);
  for (unsigned i = 0; !cluster->settled; i++) {
    const struct cluster_place *place = &cluster->places[i];
    bool own = rt_loop_of(ctx, hf_partition_actor(HF_KIND_NAMES, i)) == rt_loop_index(ctx);
    bool waits = place->where == CLUSTER_HERE && own && !place->open && !place->vain;
    if (place->where == CLUSTER_NOWHERE || waits)
      return false;
    cluster->settled = i + 1u == cluster->partitions;
  }
  return true;
}

uint32_t cluster_tenure(const rt_ctx *ctx, unsigned partition)
{
  return cluster_of(ctx)->places[partition].tenure;
}

const struct store_node *cluster_owner(const struct cluster *cluster, unsigned partition)
{
  const struct cluster_place *place = &cluster->places[partition];
  CHECK(partition < cluster->partitions);
  for (unsigned i = 0; place->where == CLUSTER_ELSEWHERE && i < cluster->nodes_count; i++)
    if (cluster->nodes[i].id == place->owner)
      return &cluster->nodes[i];
  return NULL;
}

rt_status cluster_ask(rt_ctx *ctx, rt_id to, uint16_t op, void *payload, uint64_t deadline_us,
                      uint32_t corr)
{
  const struct cluster *cluster = cluster_of(ctx);
  unsigned partition = rt_id_shard(to);
  CHECK(partition < cluster->partitions);
  if (cluster->places[partition].where == CLUSTER_HERE)
    return rt_ask(ctx, to, op, &payload, sizeof payload, deadline_us, corr);
  if (hf_setup_of(ctx)->link == NULL || cluster_owner(cluster, partition) == NULL)
    return RT_FAIL;
  struct peer_forward forward = {.payload = payload, .to = to, .op = op};
  rt_id peer = hf_loop_actor(HF_KIND_PEER, rt_loop_index(ctx));
  return rt_ask(ctx, peer, HF_FORWARD, &forward, sizeof forward, deadline_us, corr);
}
