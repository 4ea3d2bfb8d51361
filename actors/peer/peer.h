/* peer.h - asks whose partition another node has: sent there over a link, answered as if from here.
 *
 * Owner: one peer actor per loop (hf_peer_class). An ask is encoded when it comes and stays its
 *        asker's; the answer is filled into the asker's own struct, which the reply brings back.
 * Time:  monotonic microseconds; a deadline travels as what is left of it.
 * Limits: PEER_ASKS_MAX asks out per loop, PEER_INBOUND_MAX asks of others in service per loop,
 *        LINK_FRAME_MAX bytes of a frame. Beyond them an ask is refused, surely not done.
 * Errors: HF_E_UNAVAILABLE  surely not done: no link, no room, or not the other node's any more
 *         HF_E_UNKNOWN_OUTCOME  sent, but the link was lost or the deadline passed; a read gets
 *         UNAVAILABLE then
 *         HF_E_OVERLOADED, HF_E_DRAINING  surely not done, says the other node
 * An ask goes over one link at the most: who gets it serves it from its own partitions or refuses
 * it. So no two nodes can pass an ask to and fro. */
#ifndef HOLDFAST_PEER_H
#define HOLDFAST_PEER_H

#include "actors/actors.h"
#include "actors/catalog/catalog.h"
#include "actors/store/messages.h"

#define PEER_ASKS_MAX 65536u
#define PEER_INBOUND_MAX 65536u

/* HF_FORWARD, asked of this loop's peer actor. The reply is the natural one of `op` with the
 * payload's pointer, or an echo of the runtime, whose payload begins with it too. */
struct peer_forward {
  void *payload; /* what the ask `op` carries: struct hf_op *, hf_view *, hf_peek *, ... */
  rt_id to;      /* the actor of a partition; HF_LEARN: the node's id instead */
  uint64_t op;   /* HF_SUBMIT, HF_BALANCES, HF_PEEK, HF_SET_STATUS, HF_CREATE, HF_RESERVE, HF_ASSET,
                    HF_LEARN */
};

/* The catalog actor: asks the node to learn the change on all its loops. Exactly one HF_LEARN_DONE
 * comes back, with the change's pointer and then, as a uint64_t, an enum hf_error: HF_OK when the
 * node knows it, else why that is not certain. The change is only read, and may be asked about of
 * several nodes at once. RT_AGAIN: nothing was sent and nothing comes back. */
rt_status peer_tell_stale(rt_ctx *ctx, uint64_t node, struct hf_catalog_change *change,
                          uint64_t deadline_us);

#endif
