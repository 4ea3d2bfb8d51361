/* The peer actor: one per loop; what links this loop to the other nodes.
 *
 * Happy path: HF_FORWARD goes out as a frame and comes back as the natural reply (peer_out.c); a
 *   frame with an ask is served from this node's own partitions (peer_in.c).
 * Ways to fail: a link ends or a deadline passes (peer_out.c); bytes that are no frame: the link is
 *   closed, and what was asked over it fails as if it had been lost.
 * Invariants: every ask gets exactly one reply; asks come in on inbound links only and answers on
 *   outbound ones only; after a turn in which something was sent the links are flushed. */
#include "actors/peer/peer.h"

#include <string.h>

#include "actors/peer/peer_actor.h"
#include "holdfast/check.h"

void peer_log(rt_ctx *ctx, const char *text)
{
  const struct hf_setup *setup = hf_setup_of(ctx);
  if (setup->log != NULL)
    setup->log(setup->log_arg, 4, "peer", text);
}

rt_status peer_tell_stale(rt_ctx *ctx, uint64_t node, struct hf_catalog_change *change,
                          uint64_t deadline_us)
{
  const struct peer_forward forward = {.payload = change, .to = node, .op = HF_LEARN};
  rt_id peer = hf_loop_actor(HF_KIND_PEER, rt_loop_index(ctx));
  return rt_ask(ctx, peer, HF_FORWARD, &forward, sizeof forward, deadline_us, hf_corr(change));
}

static void frame_come(rt_ctx *ctx, struct peer_actor *peer, struct link_frame *frame)
{
  struct link_port *port = hf_setup_of(ctx)->link;
  enum frame_kind kind;
  uint64_t number;
  bool inbound = link_is_inbound(frame->link);
  bool sound =
    frame_peek(frame->bytes, frame->size, &kind, &number) && (kind == FRAME_ASK) == inbound;
  if (sound)
    sound = inbound ? peer_in_ask(ctx, peer, frame) : peer_out_answer(ctx, peer, number, frame);
  if (!sound) {
    peer_log(ctx, "another node sent what is no frame; the link is closed");
    port->close(port, ctx, frame->link);
    if (!inbound) /* a link that is closed here is not reported: everything on it may be done */
      peer_out_down(ctx, peer, &(struct link_down){frame->link, UINT64_MAX});
  }
  if (port->done != NULL)
    port->done(port, ctx, frame);
  else
    rt_free(frame);
}

static rt_status peer_handle(rt_ctx *ctx, void *state, const rt_env *env)
{
  struct peer_actor *peer = state;
  switch (env->op) {
  case HF_FORWARD:
    peer_out_forward(ctx, peer, env);
    break;
  case HF_LINK_FRAME:
    frame_come(ctx, peer, env->payload.p.ptr);
    break;
  case HF_LINK_DOWN: {
    struct link_down down;
    memcpy(&down, env->payload.b, sizeof down);
    if (!link_is_inbound(down.link))
      peer_out_down(ctx, peer, &down);
    break;
  }
  case RT_OP_TIMER:
    if (env->payload.u[0] == PEER_COOKIE_LOOK)
      peer_out_look(ctx, peer);
    else
      peer_out_late(ctx, peer, env->payload.u[0]);
    break;
  case RT_OP_STOPPING:
    peer->stopping = true;
    break;
  default:
    if (env->payload.p.ptr == NULL) /* the one ask of this node's own that has no payload */
      peer_out_learnt(ctx, peer, env->op == HF_LEARN_DONE);
    else
      peer_in_reply(ctx, peer, env);
    break;
  }
  return RT_OK;
}

static void peer_turn_end(rt_ctx *ctx, void *state)
{
  struct peer_actor *peer = state;
  struct link_port *port = hf_setup_of(ctx)->link;
  if (!peer->sent)
    return;
  peer->sent = false;
  port->flush(port, ctx);
}

/* What is in flight is finished before the runtime ends. */
static bool peer_idle(const void *state)
{
  const struct peer_actor *peer = state;
  return peer->pending_count == 0 && peer->serving_count == 0 && !peer->sent;
}

static void peer_passivate(rt_ctx *ctx, void *state)
{
  struct peer_actor *peer = state;
  (void)ctx;
  peer_out_deinit(peer);
  hf_bytes_deinit(&peer->scratch);
}

static void peer_check(const void *state)
{
  peer_out_check(state);
}

static void peer_drop(const rt_env *env)
{
  if (env->op == HF_LINK_FRAME)
    rt_free(env->payload.p.ptr);
  else if (env->op != HF_LINK_DOWN && env->op != RT_OP_TIMER && env->op != RT_OP_STOPPING)
    peer_in_drop(env);
}

static const uint8_t peer_may_ask[] = {HF_KIND_USER, HF_KIND_NAMES, HF_KIND_CATALOG, 0};

const rt_class hf_peer_class = {
  .name = "peer",
  .kind = HF_KIND_PEER,
  .flags = RT_CLASS_PER_LOOP,
  .state_bytes = sizeof(struct peer_actor),
  .may_ask = peer_may_ask,
  .handle = peer_handle,
  .idle = peer_idle,
  .passivate = peer_passivate,
  .turn_end = peer_turn_end,
  .check = peer_check,
  .drop = peer_drop,
};
