/* Whose a partition is. On an embedded store all are this node's for ever; on a shared one the
 * keeper says OWN, DROP and RELEASE, and the database's fence may say it sooner (LOST).
 *
 * Happy path: OWN opens; RELEASE takes nothing more and is answered once nothing is under way.
 * Ways to fail: DROP and LOST come while a commit or an opening is in flight: units that wait are
 *   refused at once, what is in flight is settled by its own answer, and only then the partition
 *   closes (`stale`).
 * Invariants: only what is owned is opened; numbers are never taken for a partition whose writer
 *   may be an old one; its actors learn OPENED and CLOSED in the order in which they happen, the
 *   newest instead of an older one that found no room. */
#include "actors/metrics.h"
#include "actors/store/store.h"

#define TELL_RETRY_US 2000u

/* ---- the partition's actors ------------------------------------------------------------------ */

static const enum hf_kind told_kinds[] = {HF_KIND_NAMES, HF_KIND_TRANSIT, HF_KIND_SWEEP};
#define TOLD_KINDS (sizeof told_kinds / sizeof told_kinds[0])

static void partition_tell(rt_ctx *ctx, struct partition *partition)
{
  uint64_t payload[1] = {partition->told_open ? partition->next_user_serial : 0};
  for (unsigned i = 0; i < TOLD_KINDS; i++) {
    rt_id to = hf_partition_actor(told_kinds[i], partition->number);
    if (((unsigned)partition->untold >> i & 1u) != 0 &&
        rt_tell(ctx, to, partition->told_open ? HF_OPENED : HF_CLOSED, payload, sizeof payload) ==
          RT_OK)
      partition->untold &= (uint8_t) ~(1u << i);
  }
  uint64_t number = partition->number;
  if (partition->lost &&
      rt_tell(ctx, hf_loop_actor(HF_KIND_KEEPER, 0), HF_LOST, &number, sizeof number) == RT_OK)
    partition->lost = false;
}

static bool is_untold(const struct partition *partition)
{
  return partition->untold != 0 || partition->lost;
}

void store_tell(rt_ctx *ctx, struct store_actor *store)
{
  bool left = false;
  for (unsigned i = 0; i < store->partitions_count; i++) {
    partition_tell(ctx, &store->partitions[i]);
    left = left || is_untold(&store->partitions[i]);
  }
  if (left && !store->telling)
    rt_timer(ctx, TELL_RETRY_US, STORE_TIMER_TELL);
  store->telling = left;
}

void store_announce(rt_ctx *ctx, struct store_actor *store, struct partition *partition, bool open)
{
  partition->told_open = open;
  partition->untold = (1u << TOLD_KINDS) - 1u;
  partition_tell(ctx, partition);
  if (is_untold(partition))
    store_tell(ctx, store);
}

/* ---- having and losing ----------------------------------------------------------------------- */

static void owned_set(rt_ctx *ctx, struct store_actor *store, struct partition *partition,
                      bool owned)
{
  store->owned += owned;
  store->owned -= partition->owned;
  partition->lost = partition->lost && !owned;
  partition_vain_set(ctx, store, partition, 0);
  partition->owned = owned;
  store_place(ctx, partition->number)->open = false;
  hf_gauge(ctx, HF_M_PARTITIONS, store->owned);
}

static void release_answer(rt_ctx *ctx, struct partition *partition)
{
  uint64_t number = partition->number;
  rt_id asker = partition->release_asker;
  partition->releasing = false;
  if (asker == RT_ID_NONE)
    return;
  partition->release_asker = RT_ID_NONE;
  rt_reply(ctx, asker, partition->release_corr, HF_RELEASED, &number, sizeof number);
}

/* Nothing of the partition may go on: what waits is refused, what is in flight comes back to a
 * partition that is stale. */
static void leave(rt_ctx *ctx, struct store_actor *store, struct partition *partition)
{
  if (partition->owned)
    owned_set(ctx, store, partition, false);
  store_refuse_pending(ctx, store, partition, STORE_UNAVAILABLE);
  store_held_refuse(ctx, store, partition);
  if (partition->flying || partition->state == PARTITION_OPENING)
    partition->stale = true;
  else if (partition->state == PARTITION_OPEN)
    partition_move(ctx, store, partition, PARTITION_CLOSED);
  store_announce(ctx, store, partition, false);
  release_answer(ctx, partition);
}

void store_own(rt_ctx *ctx, struct store_actor *store, uint32_t number)
{
  struct partition *partition = store_partition_of(store, number, rt_loop_count(ctx));
  if (partition->owned)
    return;
  owned_set(ctx, store, partition, true);
  if (!store->backing_off)
    store_open_all(ctx, store);
}

void store_drop(rt_ctx *ctx, struct store_actor *store, uint32_t number)
{
  struct partition *partition = store_partition_of(store, number, rt_loop_count(ctx));
  partition->lost = false;
  if (partition->owned)
    leave(ctx, store, partition);
}

void store_lost(rt_ctx *ctx, struct store_actor *store, struct partition *partition)
{
  CHECK(store->shared && partition->owned);
  store_place(ctx, partition->number)->tenure++;
  partition->lost = true;
  leave(ctx, store, partition);
  store_tell(ctx, store);
}

/* ---- giving up ------------------------------------------------------------------------------- */

static void release_step(rt_ctx *ctx, struct store_actor *store, struct partition *partition)
{
  if (!partition->releasing)
    return;
  if (partition->state != PARTITION_OPEN)
    store_refuse_pending(ctx, store, partition, STORE_UNAVAILABLE);
  if (partition->pending.count == 0 && !partition->flying && partition->state != PARTITION_OPENING)
    leave(ctx, store, partition);
}

void store_release(rt_ctx *ctx, struct store_actor *store, const rt_env *env)
{
  struct partition *partition =
    store_partition_of(store, (uint32_t)env->payload.u[0], rt_loop_count(ctx));
  release_answer(ctx, partition); /* an older ask: this one is what counts */
  partition->release_asker = env->from;
  partition->release_corr = env->corr;
  partition->releasing = true;
  store_held_refuse(ctx, store, partition);
  if (partition->owned)
    release_step(ctx, store, partition);
  else
    release_answer(ctx, partition);
}

void store_landed(rt_ctx *ctx, struct store_actor *store, struct partition *partition)
{
  if (partition->stale) {
    partition->stale = false;
    if (partition->state == PARTITION_OPEN)
      partition_move(ctx, store, partition, PARTITION_CLOSED);
  }
  if (!partition->owned) { /* units that a hit gave back */
    store_refuse_pending(ctx, store, partition, STORE_UNAVAILABLE);
    return;
  }
  release_step(ctx, store, partition);
}
