/* peer_out.c - asks for other nodes.
 *
 * Happy path: an ask becomes a frame on the link to the node that has the partition; the answer's
 *   frame is filled into what was asked, and the asker gets it back.
 * Ways to fail: no link, no room (surely not done); the link ends (asks whose frames it surely kept
 *   were not done, the others are of unknown outcome when they change something); the deadline
 *   passes (likewise unknown: the frame may still be on its way); an answer names an asset that is
 *   not known here yet (it waits until the catalog has read again).
 * Invariants: an ask is pending exactly from its frame's sending to its one reply; a number is
 *   never used for two asks, so a late answer meets nobody. */
#include <string.h>

#include "actors/metrics.h"
#include "actors/peer/peer_actor.h"
#include "actors/user/op.h"
#include "holdfast/check.h"

#define SLOT_BITS 16u
_Static_assert(PEER_ASKS_MAX == 1u << SLOT_BITS, "a slot is the low bits of a number");
#define SLOTS_MIN 64u

/* ---- replies --------------------------------------------------------------------------------- */

/* What was asked goes back to its asker. LEARN's change is shared: its error stands beside it. */
static void reply(rt_ctx *ctx, rt_id asker, uint32_t corr, unsigned op, void *payload,
                  enum hf_error error)
{
  struct {
    void *payload;
    uint64_t error;
  } answer = {payload, error};
  const struct frame_op *way = frame_op(op);
  bool learn = way->op == HF_LEARN;
  rt_reply(ctx, asker, corr, way->reply, &answer, learn ? sizeof answer : sizeof answer.payload);
}

static void refuse(rt_ctx *ctx, const rt_env *env, unsigned op, void *payload, enum hf_error error)
{
  frame_fail(op, payload, error);
  reply(ctx, env->from, env->corr, op, payload, error);
}

/* ---- pending asks ---------------------------------------------------------------------------- */

static struct pending *pending_find(const struct peer_actor *peer, uint64_t number)
{
  uint64_t slot = number & (PEER_ASKS_MAX - 1u);
  if (slot >= peer->slots_count || peer->slots[slot]->number != number)
    return NULL;
  return number == 0 ? NULL : peer->slots[slot];
}

static void slots_grow(struct peer_actor *peer)
{
  uint32_t count = peer->slots_count == 0 ? SLOTS_MIN : 2u * peer->slots_count;
  peer->slots = rt_realloc((void *)peer->slots, count * sizeof *peer->slots);
  for (uint32_t i = count; i > peer->slots_count; i--) { /* the lowest is taken first */
    struct pending *pending = rt_alloc(sizeof *pending);
    pending->slot = i - 1u;
    pending->next = peer->free;
    peer->free = pending;
    peer->slots[i - 1u] = pending;
  }
  peer->slots_count = count;
}

/* NULL: too many. It has a number; whoever has no use for it gives it back with pending_end. */
static struct pending *pending_new(struct peer_actor *peer, struct peer_node *node)
{
  if (peer->free == NULL && peer->slots_count == PEER_ASKS_MAX)
    return NULL;
  if (peer->free == NULL)
    slots_grow(peer);
  struct pending *pending = peer->free;
  CHECK(pending != NULL);
  peer->free = pending->next;
  peer->pending_count++;
  pending->number = ++peer->generation << SLOT_BITS | pending->slot;
  pending->node = node;
  pending->next = NULL;
  pending->previous = node->last;
  if (node->last != NULL)
    node->last->next = pending;
  else
    node->first = pending;
  node->last = pending;
  return pending;
}

static void pending_end(struct peer_actor *peer, struct pending *pending)
{
  struct peer_node *node = pending->node;
  CHECK(pending->number != 0 && peer->pending_count > 0);
  if (pending->previous != NULL)
    pending->previous->next = pending->next;
  else
    node->first = pending->next;
  if (pending->next != NULL)
    pending->next->previous = pending->previous;
  else
    node->last = pending->previous;
  pending->number = 0;
  pending->learning = 0;
  pending->node = NULL;
  pending->next = peer->free;
  peer->free = pending;
  peer->pending_count--;
}

/* Its one reply. */
static void pending_reply(rt_ctx *ctx, struct peer_actor *peer, struct pending *pending,
                          enum hf_error error)
{
  const struct pending copy = *pending;
  pending_end(peer, pending);
  reply(ctx, copy.asker, copy.corr, copy.op, copy.payload, error);
}

/* Nobody knows what became of it; what only reads was in vain. */
static enum hf_error lost_error(const struct pending *pending)
{
  return frame_op(pending->op)->changes ? HF_E_UNKNOWN_OUTCOME : HF_E_UNAVAILABLE;
}

static void pending_fail(rt_ctx *ctx, struct peer_actor *peer, struct pending *pending,
                         enum hf_error error)
{
  frame_fail(pending->op, pending->payload, error);
  pending_reply(ctx, peer, pending, error);
}

/* ---- nodes ----------------------------------------------------------------------------------- */

static const struct store_node *cluster_node(const struct cluster *cluster, uint64_t id)
{
  for (unsigned i = 0; i < cluster->nodes_count; i++)
    if (cluster->nodes[i].id == id)
      return &cluster->nodes[i];
  return NULL;
}

static struct peer_node *node_of(rt_ctx *ctx, struct peer_actor *peer, uint64_t id)
{
  for (unsigned i = 0; i < peer->nodes_count; i++)
    if (peer->nodes[i]->id == id)
      return peer->nodes[i];
  if (peer->nodes_count == PEER_NODES_MAX)
    return NULL;
  struct peer_node *node = rt_alloc(sizeof *node);
  node->id = id;
  peer->nodes[peer->nodes_count++] = node;
  if (!peer->looking)
    (void)rt_timer(ctx, PEER_LOOK_US, PEER_COOKIE_LOOK);
  peer->looking = true;
  return node;
}

static void node_failed(rt_ctx *ctx, struct peer_node *node)
{
  uint64_t delay_us = 0; /* a link that worked is opened again at once */
  if (node->failures > 0)
    delay_us = (uint64_t)PEER_BACKOFF_MIN_US << (node->failures < 8u ? node->failures : 8u);
  if (delay_us > PEER_BACKOFF_MAX_US)
    delay_us = PEER_BACKOFF_MAX_US;
  node->failures++;
  node->link = 0;
  node->frames = 0;
  node->retry_us =
    rt_now_us(ctx) + (delay_us == 0 ? 0 : delay_us / 2u + rt_rand(ctx) % (delay_us / 2u));
}

/* True: there is a link, though perhaps not up yet. A change of the catalogue does not wait for the
 * time of the next attempt: whoever can be reached must know it before it is acknowledged. */
static bool node_linked(rt_ctx *ctx, struct peer_node *node, const struct store_node *where,
                        unsigned op)
{
  bool rests = frame_op(op)->op != HF_LEARN && rt_now_us(ctx) < node->retry_us;
  struct link_port *port = hf_setup_of(ctx)->link;
  if (node->link != 0)
    return true;
  if (port == NULL || rests)
    return false;
  node->frames = 0;
  node->link = port->open(port, ctx, node->id, where->address);
  if (node->link == 0)
    node_failed(ctx, node);
  return node->link != 0;
}

/* ---- forwarding ------------------------------------------------------------------------------ */

/* Where the ask goes: NULL when nobody else has its partition now. */
static const struct store_node *target_of(const struct cluster *cluster,
                                          const struct peer_forward *forward, unsigned op,
                                          unsigned *ret_partition)
{
  *ret_partition = 0; /* the catalogue's */
  if (frame_op(op)->op == HF_LEARN)
    return cluster_node(cluster, forward->to);
  if (rt_id_kind(forward->to) != HF_KIND_CATALOG)
    *ret_partition = rt_id_shard(forward->to);
  return cluster_owner(cluster, *ret_partition);
}

static uint64_t deadline_of(rt_ctx *ctx, const rt_env *env)
{
  return env->deadline_us != 0 ? env->deadline_us
                               : rt_now_us(ctx) + hf_setup_of(ctx)->op_timeout_us;
}

static enum hf_error send_ask(rt_ctx *ctx, struct peer_actor *peer, const struct pending *pending,
                              unsigned partition, uint64_t left_us)
{
  struct link_port *port = hf_setup_of(ctx)->link;
  struct peer_node *node = pending->node;
  const struct frame_ask ask = {.number = pending->number,
                                .op = pending->op,
                                .left_us = left_us,
                                .partition = partition,
                                .payload = pending->payload};
  hf_bytes_clear(&peer->scratch);
  frame_put_ask(&ask, &peer->scratch);
  if (peer->scratch.size > LINK_FRAME_MAX)
    return HF_E_PAYLOAD_TOO_LARGE;
  if (port->send(port, ctx, node->link, peer->scratch.at, peer->scratch.size) != RT_OK)
    return HF_E_UNAVAILABLE;
  node->frames++;
  peer->sent = true;
  return HF_OK;
}

void peer_out_forward(rt_ctx *ctx, struct peer_actor *peer, const rt_env *env)
{
  struct peer_forward forward;
  unsigned partition;
  memcpy(&forward, env->payload.b, sizeof forward);
  unsigned op = frame_number_of(forward.op);
  CHECK(op != 0 && forward.payload != NULL);
  const struct store_node *where = target_of(cluster_of(ctx), &forward, op, &partition);
  struct peer_node *node = where == NULL ? NULL : node_of(ctx, peer, where->id);
  struct pending *pending = NULL;
  if (node != NULL && node_linked(ctx, node, where, op))
    pending = pending_new(peer, node);
  if (pending == NULL) {
    refuse(ctx, env, op, forward.payload, HF_E_UNAVAILABLE);
    return;
  }
  uint64_t now_us = rt_now_us(ctx), deadline_us = deadline_of(ctx, env);
  uint64_t left_us = deadline_us > now_us ? deadline_us - now_us : 1;
  pending->asker = env->from;
  pending->corr = env->corr;
  pending->op = (uint8_t)op;
  pending->payload = forward.payload;
  pending->nth = node->frames;
  enum hf_error error = send_ask(ctx, peer, pending, partition, left_us);
  if (error != HF_OK) {
    pending_end(peer, pending);
    refuse(ctx, env, op, forward.payload, error);
    return;
  }
  pending->timer = rt_timer(ctx, left_us + PEER_GRACE_US, pending->number);
  hf_count(ctx, HF_M_FORWARDED, 1);
}

/* ---- what comes of it ------------------------------------------------------------------------ */

/* Who asked shows amounts in an asset's scale: it must know every asset that the answer names. One
 * that is new may be known to the other node only, for a moment. */
static bool answer_is_readable(const rt_ctx *ctx, const struct pending *pending)
{
  const struct catalog *catalog = catalog_of(ctx);
  bool known = true;
  if (catalog == NULL)
    return true; /* nobody shows anything yet */
  if (frame_op(pending->op)->op == HF_BALANCES) {
    const struct hf_view *view = pending->payload;
    for (unsigned i = 0; view->error == HF_OK && i < view->assets_count; i++)
      known = known && catalog_asset(catalog, view->assets[i].asset) != NULL;
  } else if (frame_op(pending->op)->op == HF_SUBMIT) {
    for (const struct hf_op *op = pending->payload; op != NULL; op = op->group_next) {
      size_t count;
      const struct ledger_entry *entries = hf_op_entries(op, &count);
      known = known && (count == 0 || catalog_asset(catalog, entries[0].asset) != NULL);
    }
  }
  return known;
}

/* Without an answer of the catalog in time, the deadline decides. */
static void learn(rt_ctx *ctx, struct peer_actor *peer, struct pending *pending)
{
  struct hf_catalog_change *any = NULL; /* whatever has changed */
  rt_id catalog = hf_loop_actor(HF_KIND_CATALOG, rt_loop_index(ctx));
  pending->learning++;
  if (peer->learning)
    return;
  peer->learning = rt_ask(ctx, catalog, HF_LEARN, &any, sizeof any, 0, 0) == RT_OK;
}

bool peer_out_answer(rt_ctx *ctx, struct peer_actor *peer, uint64_t number,
                     const struct link_frame *frame)
{
  struct pending *pending = pending_find(peer, number);
  enum hf_error error;
  if (pending == NULL)
    return true; /* it was late */
  if (pending->node->link != frame->link)
    return false; /* an ask is answered over its own link */
  if (pending->learning > 0)
    return false; /* a second answer */
  unsigned bits = hf_setup_of(ctx)->partition_bits;
  bool sound =
    frame_get_answer(frame->bytes, frame->size, pending->op, bits, pending->payload, &error);
  if (!sound) {
    rt_timer_stop(ctx, pending->timer);
    pending_fail(ctx, peer, pending, lost_error(pending));
    return false;
  }
  pending->node->failures = 0;
  if (answer_is_readable(ctx, pending)) {
    rt_timer_stop(ctx, pending->timer);
    pending_reply(ctx, peer, pending, error);
  } else {
    learn(ctx, peer, pending);
  }
  return true;
}

void peer_out_learnt(rt_ctx *ctx, struct peer_actor *peer, bool known)
{
  peer->learning = false;
  for (uint32_t i = 0; i < peer->slots_count; i++) {
    struct pending *pending = peer->slots[i];
    if (pending->number == 0 || pending->learning == 0)
      continue;
    bool readable = known && answer_is_readable(ctx, pending);
    if (known && !readable && pending->learning < PEER_LEARN_MAX) {
      learn(ctx, peer, pending); /* that read may have begun before its answer came */
      continue;
    }
    rt_timer_stop(ctx, pending->timer);
    if (readable)
      pending_reply(ctx, peer, pending, HF_OK);
    else
      pending_fail(ctx, peer, pending, lost_error(pending));
  }
}

void peer_out_down(rt_ctx *ctx, struct peer_actor *peer, const struct link_down *down)
{
  struct peer_node *node = NULL;
  for (unsigned i = 0; i < peer->nodes_count && node == NULL; i++)
    if (peer->nodes[i]->link == down->link)
      node = peer->nodes[i];
  if (node == NULL)
    return; /* it was closed here meanwhile */
  node_failed(ctx, node);
  while (node->first != NULL) {
    struct pending *pending = node->first;
    rt_timer_stop(ctx, pending->timer);
    pending_fail(ctx, peer, pending,
                 pending->nth < down->sent ? lost_error(pending) : HF_E_UNAVAILABLE);
  }
}

void peer_out_late(rt_ctx *ctx, struct peer_actor *peer, uint64_t number)
{
  struct pending *pending = pending_find(peer, number);
  if (pending != NULL)
    pending_fail(ctx, peer, pending, lost_error(pending));
}

void peer_out_look(rt_ctx *ctx, struct peer_actor *peer)
{
  struct link_port *port = hf_setup_of(ctx)->link;
  unsigned kept = 0;
  for (unsigned i = 0; i < peer->nodes_count; i++) {
    struct peer_node *node = peer->nodes[i];
    if (cluster_node(cluster_of(ctx), node->id) != NULL || node->first != NULL) {
      peer->nodes[kept++] = node;
      continue;
    }
    if (node->link != 0)
      port->close(port, ctx, node->link);
    rt_free(node);
  }
  peer->nodes_count = kept;
  peer->looking = kept > 0;
  if (peer->looking)
    (void)rt_timer(ctx, PEER_LOOK_US, PEER_COOKIE_LOOK);
}

/* ---- the end --------------------------------------------------------------------------------- */

/* The runtime answers the askers of what is still pending. */
void peer_out_deinit(struct peer_actor *peer)
{
  for (uint32_t i = 0; i < peer->slots_count; i++)
    rt_free(peer->slots[i]);
  rt_free((void *)peer->slots);
  for (unsigned i = 0; i < peer->nodes_count; i++)
    rt_free(peer->nodes[i]);
}

void peer_out_check(const struct peer_actor *peer)
{
  uint32_t count = 0;
  for (unsigned i = 0; i < peer->nodes_count; i++) {
    const struct peer_node *node = peer->nodes[i];
    CHECK(node->first == NULL || node->link != 0);
    for (const struct pending *each = node->first; each != NULL; each = each->next) {
      CHECK(each->node == node && each->nth < node->frames);
      CHECK(pending_find(peer, each->number) == each);
      count++;
    }
  }
  CHECK(count == peer->pending_count);
}
