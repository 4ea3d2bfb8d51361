/* cluster.h - which partitions are here, and where the others are, as one loop knows it.
 *
 * Owner: one per loop (HF_LOCAL_CLUSTER); the loop's keeper writes `where`, `owner`, `until_us` and
 *        the nodes, its store actor `tenure`, `open`, `vain` and `store_down`; every actor of the
 *        loop reads it.
 * Time:  monotonic microseconds of this process. No other clock decides anything here: a lease is
 *        kept by heartbeats that others see move, and lost by heartbeats that they see stand still.
 * An embedded store has no other nodes: everything is here for ever. */
#ifndef HOLDFAST_CLUSTER_H
#define HOLDFAST_CLUSTER_H

#include "actors/store/port.h"
#include "holdfast/id.h"

enum cluster_where {
  CLUSTER_NOWHERE,   /* nobody's, or this node does not know: ask again later */
  CLUSTER_HERE,      /* this node's; its store actor may still be opening it */
  CLUSTER_ELSEWHERE, /* of the node `owner` */
};

struct cluster_place {
  uint64_t owner;  /* node id; 0: nobody */
  uint32_t tenure; /* grows whenever somebody else may have written: what an actor has read under an
                      older tenure is not to be used */
  uint8_t where;   /* enum cluster_where */
  bool open;       /* its writer here is the newest one: what memory has of this tenure is true */
  bool vain;       /* it is this node's and does not open; nobody waits for it */
};

struct cluster {
  bool alone;        /* not shared */
  bool settled;      /* every partition had its place once: requests may come */
  bool store_down;   /* the store actor's breaker is open, or nothing at all opens; one partition
                           that does not open among others does not count */
  uint64_t until_us; /* what is HERE may be read from memory before this; UINT64_MAX: alone */
  unsigned partitions;
  unsigned nodes_count; /* the others that are alive */
  struct store_node nodes[STORE_NODES_MAX];
  struct cluster_place places[1u << HF_PARTITION_BITS_MAX];
};

struct cluster *cluster_new(unsigned partition_bits, bool alone);
const struct cluster *cluster_of(const rt_ctx *ctx);
void cluster_free(struct cluster *cluster);
/* The partition is this node's, as far as it knows: what is written is fenced by the database. */
bool cluster_has(const rt_ctx *ctx, unsigned partition);
/* The partition is here, open, and the lease surely holds now: memory may answer. Reads the clock
 * itself, because a process may sleep within a turn. */
bool cluster_is_here(const rt_ctx *ctx, unsigned partition);
/* The partition is this node's, and the lease surely holds now: nobody else writes there, whether
 * it is open by now or not. Any loop may ask, also one that is not the partition's own. */
bool cluster_is_ours(const rt_ctx *ctx, unsigned partition);
/* Every partition has a node, and this loop's own ones are open or do not open for a reason of
 * their own; remembered once it is so. */
bool cluster_settled(const rt_ctx *ctx);
uint32_t cluster_tenure(const rt_ctx *ctx, unsigned partition);
/* The node that owns the partition, when it is another one; else NULL. */
const struct store_node *cluster_owner(const struct cluster *cluster, unsigned partition);

/* As rt_ask to an actor of a partition (a user, a names actor), wherever that partition is: here,
 * or by way of this loop's peer actor. The payload is one pointer; exactly one reply brings it back
 * (the natural one, with its `error` set when the way failed, or an echo of the runtime).
 * RT_AGAIN: no room. RT_FAIL: nobody has the partition now; nothing was sent. */
rt_status cluster_ask(rt_ctx *ctx, rt_id to, uint16_t op, void *payload, uint64_t deadline_us,
                      uint32_t corr);

#endif
