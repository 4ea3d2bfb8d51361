/* What to do about the partitions: who is dead, how many are ours, which to take, which to give. */
#include "actors/cluster/keeper.h"
#include "holdfast/check.h"

/* ---- the other nodes ------------------------------------------------------------------------- */

/* What of the time since the last look at it counts as watched. */
static uint64_t glance_us(const struct keeper *keeper, const struct watch *watch, uint64_t now_us)
{
  uint64_t most_us = keeper_share_us(keeper, KEEPER_GLANCE);
  CHECK(now_us >= watch->seen_us);
  return now_us - watch->seen_us < most_us ? now_us - watch->seen_us : most_us;
}

void keeper_watch(struct keeper *keeper, const struct store_node *nodes, size_t count,
                  uint64_t now_us)
{
  struct watch seen[STORE_NODES_MAX];
  unsigned seen_count = 0;
  for (size_t i = 0; i < count && seen_count < STORE_NODES_MAX; i++) {
    if (nodes[i].id == keeper->setup->node)
      continue;
    struct watch *watch = &seen[seen_count++];
    *watch = (struct watch){.node = nodes[i], .seen_us = now_us};
    for (unsigned j = 0; j < keeper->watches_count; j++) {
      const struct watch *before = &keeper->watches[j];
      if (before->node.id == nodes[i].id && before->node.beat == nodes[i].beat)
        watch->silent_us = before->silent_us + glance_us(keeper, before, now_us);
    }
  }
  keeper->watches_count = seen_count;
  for (unsigned i = 0; i < seen_count; i++)
    keeper->watches[i] = seen[i];
}

/* One whose beat had moved when it was last looked at is not silent, however long ago that is. */
static uint64_t silent_us(const struct keeper *keeper, const struct watch *watch, uint64_t now_us)
{
  return watch->silent_us == 0 ? 0 : watch->silent_us + glance_us(keeper, watch, now_us);
}

/* For so many thousandths of the other node's own lease: that is what its memory is good for. */
static bool is_silent(const struct keeper *keeper, const struct watch *watch, unsigned thousandths,
                      uint64_t now_us)
{
  uint64_t lease_us = watch->node.lease_us > 0 ? watch->node.lease_us : keeper->setup->lease_us;
  return silent_us(keeper, watch, now_us) >= lease_us * thousandths / 1000u;
}

/* The process that holds the data folder is this one: an earlier life of it beats no more. */
static bool is_former(const struct keeper *keeper, uint64_t id)
{
  return id != keeper->setup->node &&
         id >> HF_NODE_LIFE_BITS == keeper->setup->node >> HF_NODE_LIFE_BITS;
}

static bool is_dead(const struct keeper *keeper, const struct watch *watch, uint64_t now_us)
{
  return is_former(keeper, watch->node.id) || is_silent(keeper, watch, KEEPER_DEAD, now_us);
}

static bool is_dead_owner(const struct keeper *keeper, uint64_t owner, uint64_t now_us)
{
  for (unsigned i = 0; i < keeper->watches_count; i++)
    if (keeper->watches[i].node.id == owner)
      return is_dead(keeper, &keeper->watches[i], now_us);
  return false;
}

/* ---- shares ---------------------------------------------------------------------------------- */

/* The nodes that take partitions and are heard of, and how many of them stand before this one. */
static unsigned takers(const struct keeper *keeper, uint64_t now_us, unsigned *ret_rank)
{
  unsigned count = keeper_takes(keeper), rank = 0;
  for (unsigned i = 0; i < keeper->watches_count; i++) {
    const struct watch *watch = &keeper->watches[i];
    if (!watch->node.takes || is_silent(keeper, watch, KEEPER_SLOW, now_us) ||
        is_former(keeper, watch->node.id))
      continue;
    count++;
    rank += watch->node.id < keeper->setup->node;
  }
  *ret_rank = rank;
  return count;
}

unsigned keeper_share(const struct keeper *keeper, uint64_t now_us)
{
  unsigned rank, count = takers(keeper, now_us, &rank);
  if (!keeper_takes(keeper))
    return 0;
  return keeper->partitions / count + (rank < keeper->partitions % count);
}

static bool is_ours(const struct keep *keep)
{
  return keep->state == KEEP_HELD || keep->state == KEEP_LOST || keep->state == KEEP_ASKED;
}

unsigned keeper_count(const struct keeper *keeper)
{
  unsigned count = 0;
  for (unsigned i = 0; i < keeper->partitions; i++)
    count += is_ours(&keeper->keeps[i]);
  return count;
}

/* ---- what a heartbeat told ------------------------------------------------------------------- */

bool keeper_went_back(struct keeper *keeper, const struct store_lease *lease)
{
  bool first = keeper->incarnation == 0;
  bool back = keeper->incarnation != lease->incarnation || lease->self.beat <= keeper->beat;
  keeper->incarnation = lease->incarnation;
  keeper->beat = lease->self.beat;
  for (unsigned i = 0; i < keeper->partitions && back && !first; i++)
    if (keeper->keeps[i].state == KEEP_HELD && keeper->keeps[i].told)
      keeper->keeps[i].state = KEEP_LOST;
  return back && !first;
}

static void owner_take(const struct keeper *keeper, struct keep *keep, bool ours)
{
  if (!ours) {
    keep->state = KEEP_NOT;
    return;
  }
  if (keep->state == KEEP_NOT) /* claimed, or left over from before a restart */
    keep->state = keeper_takes(keeper) ? KEEP_HELD : KEEP_RELEASED;
  else if (keep->state == KEEP_ASKED)
    keep->state = KEEP_HELD;
}

unsigned keeper_owners(struct keeper *keeper, const uint64_t *owners)
{
  unsigned taken_over = 0;
  for (unsigned i = 0; i < keeper->partitions; i++) {
    struct keep *keep = &keeper->keeps[i];
    bool ours = owners[i] == keeper->setup->node;
    taken_over += ours && keep->owner != 0 && keep->owner != owners[i];
    keep->owner = owners[i];
    owner_take(keeper, keep, ours);
  }
  return taken_over;
}

void keeper_forget(struct keeper *keeper)
{
  for (unsigned i = 0; i < keeper->partitions; i++) {
    keeper->keeps[i].state = KEEP_NOT;
    keeper->keeps[i].owner = 0;
  }
  keeper->watches_count = 0;
}

/* ---- what the next one does ------------------------------------------------------------------ */

static bool is_free(const struct keeper *keeper, const struct keep *keep, uint64_t now_us)
{
  return keep->state == KEEP_NOT && keep->owner != keeper->setup->node &&
         (keep->owner == 0 || is_dead_owner(keeper, keep->owner, now_us));
}

/* The first free partition from a place on that is another one for each node, so that two seldom
 * want the same. */
static void plan_claims(const struct keeper *keeper, struct store_request *request, uint64_t now_us)
{
  struct store_lease *lease = &request->lease;
  unsigned rank, count = takers(keeper, now_us, &rank);
  unsigned share = keeper_share(keeper, now_us), have = keeper_count(keeper);
  if (have >= share)
    return;
  lease->claimed = hf_arena_alloc(&request->arena, (share - have) * sizeof *lease->claimed);
  for (unsigned i = 0; i < keeper->partitions && have + lease->claimed_count < share; i++) {
    unsigned at = (rank * keeper->partitions / count + i) % keeper->partitions;
    if (is_free(keeper, &keeper->keeps[at], now_us))
      lease->claimed[lease->claimed_count++] = at;
  }
}

void keeper_plan(const struct keeper *keeper, struct store_request *request, uint64_t now_us)
{
  struct store_lease *lease = &request->lease;
  lease->buried =
    hf_arena_alloc(&request->arena, (keeper->watches_count + 1u) * sizeof *lease->buried);
  for (unsigned i = 0; i < keeper->watches_count; i++)
    if (is_dead(keeper, &keeper->watches[i], now_us))
      lease->buried[lease->buried_count++] = keeper->watches[i].node;
  lease->released = hf_arena_alloc(&request->arena, keeper->partitions * sizeof *lease->released);
  for (unsigned i = 0; i < keeper->partitions; i++)
    if (keeper->keeps[i].state == KEEP_RELEASED)
      lease->released[lease->released_count++] = i;
  plan_claims(keeper, request, now_us);
}

bool keeper_has_plan(const struct keeper *keeper, uint64_t now_us)
{
  bool wants = keeper_count(keeper) < keeper_share(keeper, now_us);
  for (unsigned i = 0; i < keeper->watches_count; i++)
    if (is_dead(keeper, &keeper->watches[i], now_us))
      return true;
  for (unsigned i = 0; i < keeper->partitions; i++) {
    const struct keep *keep = &keeper->keeps[i];
    if (keep->state == KEEP_RELEASED || keep->state == KEEP_LOST ||
        (wants && is_free(keeper, keep, now_us)))
      return true;
  }
  return false;
}

/* ---- what the loops are told ----------------------------------------------------------------- */

static struct keeper_place place_of(const struct keeper *keeper, const struct keep *keep)
{
  struct keeper_place place = {.owner = keep->owner, .where = CLUSTER_NOWHERE};
  if (keep->state == KEEP_HELD)
    place.where = CLUSTER_HERE;
  else if (keep->owner != 0 && keep->owner != keeper->setup->node &&
           !is_former(keeper, keep->owner))
    place.where = CLUSTER_ELSEWHERE;
  return place;
}

struct keeper_places *keeper_places_new(const struct keeper *keeper)
{
  struct keeper_places *places =
    rt_alloc(sizeof *places + keeper->partitions * sizeof places->places[0]);
  places->until_us = keeper->member ? keeper->good_us + keeper_share_us(keeper, KEEPER_SURE) : 0;
  for (unsigned i = 0; i < keeper->watches_count; i++)
    if (!is_former(keeper, keeper->watches[i].node.id))
      places->nodes[places->nodes_count++] = keeper->watches[i].node;
  for (unsigned i = 0; i < keeper->partitions; i++)
    places->places[i] = place_of(keeper, &keeper->keeps[i]);
  return places;
}
