/* peer_in.c - asks of other nodes.
 *
 * Happy path: a frame becomes a struct of this loop's own; the actor of the partition, which is
 *   here, is asked as by the front door; its reply goes back as a frame.
 * Ways to fail: the partition is not here, too much is in service, the node stops (refused, surely
 *   not done); the answer finds no link (the other node has learnt from the link's end, or will,
 *   that the outcome is unknown).
 * Invariants: an ask is never passed on to another node; what serves it is freed with its reply. */
#include "actors/peer/peer_actor.h"
#include "actors/user/op.h"
#include "holdfast/check.h"

/* The op in the low bits, so that a reply that nobody gets can be freed; the rest tells asks of one
 * op to one actor apart. */
#define OP_BITS 4u
_Static_assert(FRAME_OPS_MAX < 1u << OP_BITS, "the op fits");

static uint32_t corr_of(unsigned op, const void *payload)
{
  return op | (uint32_t)((uintptr_t)payload >> 4) << OP_BITS;
}

static unsigned op_of(uint32_t corr)
{
  return corr & ((1u << OP_BITS) - 1u);
}

static void **owner_of(unsigned op, void *payload)
{
  switch ((enum hf_message)frame_op(op)->op) {
  case HF_SUBMIT:
    return &((struct hf_op *)payload)->owner;
  case HF_BALANCES:
    return &((struct hf_view *)payload)->owner;
  case HF_PEEK:
  case HF_SET_STATUS:
    return &((struct hf_peek *)payload)->owner;
  case HF_CREATE:
  case HF_RESERVE:
    return &((struct hf_create *)payload)->owner;
  default:
    return &((struct hf_catalog_change *)payload)->owner;
  }
}

/* ---- answers --------------------------------------------------------------------------------- */

static void send_scratch(rt_ctx *ctx, struct peer_actor *peer, uint64_t link)
{
  struct link_port *port = hf_setup_of(ctx)->link;
  rt_status status = port->send(port, ctx, link, peer->scratch.at, peer->scratch.size);
  /* Who does not take its answers is told by the end of the link that they are lost. */
  if (status == RT_AGAIN)
    port->close(port, ctx, link);
  peer->sent = true;
}

static void answer_error(rt_ctx *ctx, struct peer_actor *peer, uint64_t link, uint64_t number,
                         enum hf_error error)
{
  hf_bytes_clear(&peer->scratch);
  frame_put_error(number, error, &peer->scratch);
  send_scratch(ctx, peer, link);
}

static void answer(rt_ctx *ctx, struct peer_actor *peer, const struct serving *serving)
{
  hf_bytes_clear(&peer->scratch);
  frame_put_answer(serving->number, serving->op, serving->payload, &peer->scratch);
  if (peer->scratch.size > LINK_FRAME_MAX) /* done, but more than can be told */
    answer_error(ctx, peer, serving->link, serving->number, HF_E_UNKNOWN_OUTCOME);
  else
    send_scratch(ctx, peer, serving->link);
}

/* ---- asks ------------------------------------------------------------------------------------ */

static void serving_free(struct serving *serving)
{
  frame_payload_free(serving->op, serving->payload);
  rt_free(serving);
}

/* HF_OK: it can be served here, now. */
static enum hf_error judge(rt_ctx *ctx, const struct peer_actor *peer, const struct frame_ask *ask)
{
  if (peer->stopping)
    return HF_E_DRAINING;
  if (peer->serving_count >= PEER_INBOUND_MAX)
    return HF_E_OVERLOADED;
  uint16_t op = frame_op(ask->op)->op;
  if (op == HF_LEARN)
    return HF_OK;
  if (ask->partition >= cluster_of(ctx)->partitions || !cluster_has(ctx, ask->partition))
    return HF_E_UNAVAILABLE;
  /* An asset that another node names by number must be known here, before it is in an entry. */
  if (op == HF_SUBMIT) {
    const struct catalog *catalog = catalog_of(ctx);
    for (const struct hf_op *each = ask->payload; each != NULL; each = each->group_next)
      if (each->asset_code[0] == '\0' && each->command.asset_known &&
          (catalog == NULL || catalog_asset(catalog, each->command.asset) == NULL))
        return HF_E_UNAVAILABLE;
  }
  return HF_OK;
}

static rt_id actor_of(rt_ctx *ctx, const struct frame_ask *ask)
{
  unsigned bits = hf_setup_of(ctx)->partition_bits;
  switch ((enum hf_message)frame_op(ask->op)->op) {
  case HF_SUBMIT:
    return hf_user_actor(((const struct hf_op *)ask->payload)->user, bits);
  case HF_BALANCES:
    return hf_user_actor(((const struct hf_view *)ask->payload)->user, bits);
  case HF_PEEK:
  case HF_SET_STATUS:
    return hf_user_actor(((const struct hf_peek *)ask->payload)->user, bits);
  case HF_CREATE:
  case HF_RESERVE:
    return hf_partition_actor(HF_KIND_NAMES, ask->partition);
  default:
    return catalog_home(ctx);
  }
}

/* True: at least one reply will come. */
static bool serve(rt_ctx *ctx, struct serving *serving, const struct frame_ask *ask)
{
  uint16_t op = frame_op(ask->op)->op;
  uint32_t corr = corr_of(ask->op, ask->payload);
  void *payload = ask->payload;
  uint64_t deadline_us = rt_now_us(ctx) + ask->left_us;
  if (op == HF_SUBMIT)
    for (struct hf_op *each = payload; each != NULL; each = each->group_next)
      each->deadline_us = deadline_us;
  if (op != HF_LEARN) {
    serving->asks =
      rt_ask(ctx, actor_of(ctx, ask), op, &payload, sizeof payload, deadline_us, corr) == RT_OK;
    return serving->asks > 0;
  }
  for (unsigned i = 0; i < rt_loop_count(ctx); i++) {
    rt_id catalog = hf_loop_actor(HF_KIND_CATALOG, i);
    if (rt_ask(ctx, catalog, op, &payload, sizeof payload, deadline_us, corr) == RT_OK)
      serving->asks++;
    else
      serving->error = HF_E_OVERLOADED;
  }
  return serving->asks > 0;
}

bool peer_in_ask(rt_ctx *ctx, struct peer_actor *peer, const struct link_frame *frame)
{
  struct frame_ask ask;
  if (!frame_get_ask(frame->bytes, frame->size, hf_setup_of(ctx)->partition_bits, &ask))
    return false;
  enum hf_error error = judge(ctx, peer, &ask);
  if (error != HF_OK) {
    frame_payload_free(ask.op, ask.payload);
    answer_error(ctx, peer, frame->link, ask.number, error);
    return true;
  }
  struct serving *serving = rt_alloc(sizeof *serving);
  serving->link = frame->link;
  serving->number = ask.number;
  serving->op = ask.op;
  serving->payload = ask.payload;
  *owner_of(ask.op, ask.payload) = serving;
  if (serve(ctx, serving, &ask)) {
    peer->serving_count++;
    return true;
  }
  answer_error(ctx, peer, frame->link, ask.number, HF_E_OVERLOADED);
  serving_free(serving);
  return true;
}

/* ---- replies --------------------------------------------------------------------------------- */

void peer_in_reply(rt_ctx *ctx, struct peer_actor *peer, const rt_env *env)
{
  unsigned op = op_of(env->corr);
  void *payload = env->payload.p.ptr;
  CHECK(frame_op(op) != NULL);
  enum hf_error echo = hf_echo_error(env->op, frame_op(op)->changes);
  CHECK(payload != NULL);
  CHECK(echo != HF_OK || env->op == frame_op(op)->reply);
  struct serving *serving = *owner_of(op, payload);
  CHECK(serving->payload == payload && serving->asks > 0);
  if (echo != HF_OK) {
    serving->error = echo;
    frame_fail(op, payload, echo);
  }
  if (--serving->asks > 0)
    return;
  CHECK(peer->serving_count > 0);
  peer->serving_count--;
  if (serving->error != HF_OK)
    answer_error(ctx, peer, serving->link, serving->number, serving->error);
  else
    answer(ctx, peer, serving);
  serving_free(serving);
}

void peer_in_drop(const rt_env *env)
{
  unsigned op = op_of(env->corr);
  void *payload = env->payload.p.ptr;
  if (payload == NULL)
    return; /* peer_out.c's */
  CHECK(frame_op(op) != NULL);
  struct serving *serving = *owner_of(op, payload);
  CHECK(serving->asks > 0);
  if (--serving->asks == 0)
    serving_free(serving);
}
