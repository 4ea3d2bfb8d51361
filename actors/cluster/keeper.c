/* The keeper: which partitions this node has. Loop 0's beats and decides; the others' keep their
 * loop's copy.
 *
 * Happy path: every tenth of the lease a heartbeat says that this node lives, and brings back who
 *   else does and whose each partition is. What is free is claimed up to this node's share; what it
 *   has above that is released: its store actor finishes what is in flight, then the next heartbeat
 *   gives it up. Each loop learns the outcome, each store actor what to open and what to drop.
 * Ways to fail: heartbeats fail (memory stops answering when the lease may be over; writes go on,
 *   the database fences them); the others buried this node (everything is dropped, it joins again);
 *   another node dies (its row is removed and its partitions are claimed); another writer was in a
 *   partition (a heartbeat that is sent after that tells whose it is); a lock hangs (every other
 *   heartbeat is bare then: it says only that this node lives); the database went back to an
 *   earlier state (every partition is dropped and opened anew: what differs is read again).
 * Invariants: one heartbeat at a time; a store actor is told OWN and DROP by one sender, in order;
 *   a partition is given up in the database only after its store actor has let it go. */
#include "actors/cluster/keeper.h"

#include "actors/metrics.h"
#include "actors/store/messages.h"

#define LEAVE_TRIES 3u

struct keeper_actor {
  struct keeper *lead; /* NULL: not loop 0, or an embedded store */
};

static void keeper_log(const struct keeper *keeper, int level, const char *text)
{
  if (keeper->setup->log != NULL)
    keeper->setup->log(keeper->setup->log_arg, level, "keeper", text);
}

static rt_id store_of(const rt_ctx *ctx, unsigned partition)
{
  unsigned loop = rt_loop_of(ctx, hf_partition_actor(HF_KIND_NAMES, partition));
  return hf_loop_actor(HF_KIND_STORE, loop);
}

/* ---- what this loop knows -------------------------------------------------------------------- */

static void places_take(rt_ctx *ctx, struct keeper_places *places)
{
  struct cluster *cluster = rt_local(ctx, HF_LOCAL_CLUSTER);
  cluster->until_us = places->until_us;
  cluster->nodes_count = places->nodes_count;
  for (unsigned i = 0; i < places->nodes_count; i++)
    cluster->nodes[i] = places->nodes[i];
  for (unsigned i = 0; i < cluster->partitions; i++) {
    cluster->places[i].owner = places->places[i].owner;
    cluster->places[i].where = places->places[i].where;
  }
  rt_free(places);
}

/* A loop that has no room for it learns the next one. */
static void places_tell(rt_ctx *ctx, const struct keeper *keeper)
{
  for (unsigned i = 1; i < rt_loop_count(ctx); i++) {
    struct keeper_places *places = keeper_places_new(keeper);
    if (rt_tell(ctx, hf_loop_actor(HF_KIND_KEEPER, i), HF_PLACES, &places, sizeof places) != RT_OK)
      rt_free(places);
  }
  places_take(ctx, keeper_places_new(keeper));
}

/* ---- what the store actors are told ---------------------------------------------------------- */

static void beat_within(rt_ctx *ctx, struct keeper *keeper, uint64_t after_us)
{
  rt_timer_stop(ctx, keeper->timer);
  keeper->timer = rt_timer(ctx, after_us, 0);
}

static void beat_soon(rt_ctx *ctx, struct keeper *keeper)
{
  if (keeper->beating)
    keeper->again = true;
  else
    beat_within(ctx, keeper, keeper_share_us(keeper, KEEPER_SOON));
}

/* What finds no room is told at the next heartbeat. */
static void stores_tell(rt_ctx *ctx, struct keeper *keeper)
{
  for (unsigned i = 0; i < keeper->partitions; i++) {
    struct keep *keep = &keeper->keeps[i];
    uint64_t number = i;
    bool held = keep->state == KEEP_HELD;
    if (held == keep->told || keep->state == KEEP_RELEASING)
      continue;
    if (rt_tell(ctx, store_of(ctx, i), held ? HF_OWN : HF_DROP, &number, sizeof number) == RT_OK)
      keep->told = held;
  }
}

static void release_start(rt_ctx *ctx, struct keeper *keeper, unsigned partition)
{
  struct keep *keep = &keeper->keeps[partition];
  uint64_t number = partition;
  CHECK(keep->state == KEEP_HELD);
  keep->release = ++keeper->releases;
  if (rt_ask(ctx, store_of(ctx, partition), HF_RELEASE, &number, sizeof number, 0, keep->release) ==
      RT_OK)
    keep->state = KEEP_RELEASING;
}

/* What is above the share goes, the last ones first. False: there is none. */
static bool release_excess(rt_ctx *ctx, struct keeper *keeper)
{
  unsigned have = keeper_count(keeper), share = keeper_share(keeper, rt_now_us(ctx));
  bool any = false;
  for (unsigned i = keeper->partitions; i-- > 0 && have > share;) {
    if (keeper->keeps[i].state != KEEP_HELD || !keeper->keeps[i].told)
      continue;
    release_start(ctx, keeper, i);
    have--;
    any = true;
  }
  return any;
}

/* By the number of the ask: a partition may have come back and be released again meanwhile. */
static void release_done(rt_ctx *ctx, struct keeper *keeper, uint32_t corr)
{
  for (unsigned i = 0; i < keeper->partitions; i++) {
    struct keep *keep = &keeper->keeps[i];
    if (keep->state != KEEP_RELEASING || keep->release != corr)
      continue;
    keep->state = KEEP_RELEASED;
    keep->told = false;
    beat_soon(ctx, keeper);
  }
}

static void lost(rt_ctx *ctx, struct keeper *keeper, uint64_t partition)
{
  CHECK(partition < keeper->partitions);
  struct keep *keep = &keeper->keeps[partition];
  if (keep->state != KEEP_HELD)
    return;
  keep->state = KEEP_LOST;
  keep->told = false;
  places_tell(ctx, keeper);
  beat_soon(ctx, keeper);
}

/* ---- the heartbeat --------------------------------------------------------------------------- */

static void beat_start(rt_ctx *ctx, struct keeper *keeper)
{
  const struct hf_setup *setup = keeper->setup;
  CHECK(!keeper->beating);
  struct store_request *request = store_request_new(STORE_LEASE);
  struct store_node *self = &request->lease.self;
  self->id = setup->node;
  self->lease_us = setup->lease_us;
  self->takes = keeper_takes(keeper);
  for (size_t i = 0;
       i < STORE_ADDRESS_MAX && setup->node_address != NULL && setup->node_address[i] != '\0'; i++)
    self->address[i] = setup->node_address[i];
  request->lease.join = !keeper->member;
  request->lease.patience_us = keeper_share_us(keeper, KEEPER_WAIT);
  keeper->sent_us = rt_now_us(ctx);
  if (keeper->member && !keeper->bare)
    keeper_plan(keeper, request, keeper->sent_us);
  keeper->planned =
    request->lease.buried_count + request->lease.released_count + request->lease.claimed_count > 0;
  for (unsigned i = 0; i < keeper->partitions; i++)
    if (keeper->keeps[i].state == KEEP_LOST && !keeper->keeps[i].told)
      keeper->keeps[i].state = KEEP_ASKED;
  rt_id store = hf_loop_actor(HF_KIND_STORE, rt_loop_index(ctx));
  if (rt_ask(ctx, store, HF_READ, &request, sizeof request, 0, hf_corr(request)) == RT_OK) {
    keeper->beating = true;
    return;
  }
  store_request_free(request);
  beat_within(ctx, keeper, keeper_share_us(keeper, KEEPER_SOON));
}

static void beat_failed(rt_ctx *ctx, struct keeper *keeper)
{
  hf_count(ctx, HF_M_BEATS_FAILED, 1);
  if (!keeper->failing)
    keeper_log(keeper, 4, "the store does not take heartbeats");
  keeper->failing = true;
  keeper->bare = keeper->planned;
  if (keeper->leaving && ++keeper->vain >= LEAVE_TRIES)
    keeper->left = true; /* the others will find out */
  for (unsigned i = 0; i < keeper->partitions; i++)
    if (keeper->keeps[i].state == KEEP_ASKED)
      keeper->keeps[i].state = KEEP_LOST;
}

static void buried(rt_ctx *ctx, struct keeper *keeper)
{
  keeper_log(keeper, 4, "the other nodes gave this one up: it starts again without partitions");
  keeper->member = false;
  keeper->again = true;
  keeper_forget(keeper);
  stores_tell(ctx, keeper);
  places_tell(ctx, keeper);
}

static void catalogs_tell(rt_ctx *ctx, struct keeper *keeper, uint64_t revision)
{
  bool told = true;
  if (keeper->informed && keeper->revision == revision)
    return;
  for (unsigned i = 0; i < rt_loop_count(ctx); i++)
    told = rt_tell(ctx, hf_loop_actor(HF_KIND_CATALOG, i), HF_STALE, &revision, sizeof revision) ==
             RT_OK &&
           told;
  keeper->informed = told;
  keeper->revision = revision;
}

static void beat_worked(rt_ctx *ctx, struct keeper *keeper, const struct store_lease *lease)
{
  uint64_t now_us = rt_now_us(ctx);
  if (keeper->failing)
    keeper_log(keeper, 6, "the store takes heartbeats again");
  keeper->failing = keeper->bare = false;
  if (!lease->member) {
    if (lease->join)
      keeper_log(keeper, 4, "as many nodes as may share a database are there: this one waits");
    else
      buried(ctx, keeper);
    return;
  }
  keeper->member = true;
  keeper->good_us = keeper->sent_us;
  if (keeper_went_back(keeper, lease)) {
    keeper_log(keeper, 5, "the database started anew: what this node remembers is compared");
    keeper->informed = false;
  }
  keeper_watch(keeper, lease->nodes, lease->nodes_count, now_us);
  hf_count(ctx, HF_M_TAKEOVERS, keeper_owners(keeper, lease->owners));
  stores_tell(ctx, keeper);
  (void)release_excess(ctx, keeper);
  places_tell(ctx, keeper);
  catalogs_tell(ctx, keeper, lease->catalog_revision);
  keeper->again = keeper->again || keeper_has_plan(keeper, now_us);
}

static bool has_none(const struct keeper *keeper)
{
  for (unsigned i = 0; i < keeper->partitions; i++)
    if (keeper->keeps[i].state != KEEP_NOT)
      return false;
  return true;
}

static void beat_done(rt_ctx *ctx, struct keeper *keeper, struct store_request *request)
{
  CHECK(keeper->beating && request->kind == STORE_LEASE);
  keeper->beating = false;
  if (request->status == STORE_OK)
    beat_worked(ctx, keeper, &request->lease);
  else
    beat_failed(ctx, keeper);
  store_request_free(request);
  keeper->left = keeper->left || (keeper->leaving && has_none(keeper));
  uint64_t every_us = keeper_share_us(keeper, KEEPER_BEAT);
  bool soon = (keeper->again && !keeper->failing) || keeper->leaving;
  keeper->again = false;
  if (keeper->left)
    rt_timer_stop(ctx, keeper->timer);
  else
    beat_within(ctx, keeper,
                soon ? keeper_share_us(keeper, KEEPER_SOON)
                     : every_us - rt_rand(ctx) % (every_us / 10u + 1u));
  hf_gauge(ctx, HF_M_BEAT_AGE, (int64_t)(rt_now_us(ctx) - keeper->good_us));
}

/* The partitions are given up once requests that came before the stop had a moment to end. */
static void leave(rt_ctx *ctx, struct keeper *keeper)
{
  keeper->leaving = true;
  if (!keeper->member) {
    keeper->left = !keeper->beating;
    return;
  }
  if (!keeper->beating)
    beat_within(ctx, keeper, keeper_share_us(keeper, KEEPER_SOON));
}

/* ---- the actor ------------------------------------------------------------------------------- */

static rt_status keeper_load(rt_ctx *ctx, void *state)
{
  struct keeper_actor *actor = state;
  const struct hf_setup *setup = hf_setup_of(ctx);
  if (cluster_of(ctx)->alone || rt_loop_index(ctx) != 0)
    return RT_OK;
  CHECK(setup->node != 0 && setup->lease_us >= 100000u);
  struct keeper *keeper = rt_alloc(sizeof *keeper);
  actor->lead = keeper;
  keeper->setup = setup;
  keeper->partitions = 1u << setup->partition_bits;
  /* Nodes that are started together do not all come at once. */
  beat_within(ctx, keeper, 1u + rt_rand(ctx) % keeper_share_us(keeper, KEEPER_SOON));
  return RT_OK;
}

static rt_status keeper_handle(rt_ctx *ctx, void *state, const rt_env *env)
{
  struct keeper *keeper = ((struct keeper_actor *)state)->lead;
  if (env->op == HF_PLACES) {
    places_take(ctx, env->payload.p.ptr);
    return RT_OK;
  }
  if (keeper == NULL)
    return RT_OK; /* the end of a loop that has nothing to decide */
  switch (env->op) {
  case RT_OP_TIMER:
    beat_start(ctx, keeper);
    break;
  case HF_READ_DONE:
    beat_done(ctx, keeper, env->payload.p.ptr);
    break;
  case HF_RELEASED:
  case RT_OP_DOWN:
    release_done(ctx, keeper, env->corr);
    break;
  case HF_LOST:
    lost(ctx, keeper, env->payload.u[0]);
    break;
  case RT_OP_STOPPING:
    leave(ctx, keeper);
    break;
  default:
    CHECK(!"a message that the keeper does not know");
  }
  return RT_OK;
}

/* A node that stops hands its partitions on first. */
static bool keeper_idle(const void *state)
{
  const struct keeper *keeper = ((const struct keeper_actor *)state)->lead;
  return keeper == NULL || keeper->left;
}

static void keeper_passivate(rt_ctx *ctx, void *state)
{
  struct keeper_actor *actor = state;
  (void)ctx;
  rt_free(actor->lead);
}

static void keeper_drop(const rt_env *env)
{
  if (env->op == HF_PLACES)
    rt_free(env->payload.p.ptr);
  else if (env->op == HF_READ_DONE)
    store_request_free(env->payload.p.ptr);
}

static const uint8_t keeper_may_ask[] = {HF_KIND_STORE, 0};

const rt_class hf_keeper_class = {
  .name = "keeper",
  .kind = HF_KIND_KEEPER,
  .flags = RT_CLASS_PER_LOOP,
  .state_bytes = sizeof(struct keeper_actor),
  .stash_max = 64,
  .may_ask = keeper_may_ask,
  .load = keeper_load,
  .handle = keeper_handle,
  .idle = keeper_idle,
  .passivate = keeper_passivate,
  .drop = keeper_drop,
};
