/* Reads pass through to the port, bounded; and the lazy projection, which runs when nothing else
 * writes.
 *
 * Two lists wait for the port. Quick reads are of a row or of a user, and writes wait for them;
 * slow ones look at many rows, and only who asked waits. A slow one goes when no quick one waits
 * and few slow ones are in the port, so that no number of them keeps a user from waking up. */
#include "actors/metrics.h"
#include "actors/store/store.h"

#define PROJECT_ENTRIES 2000u

static bool is_slow(const struct store_request *request)
{
  return request->kind == STORE_SCAN || request->kind == STORE_LIST_ENTRIES ||
         request->kind == STORE_LIST_HOLDS || request->kind == STORE_BALANCE_AT;
}

static void read_answer(rt_ctx *ctx, struct store_request *request)
{
  request->next = NULL;
  rt_reply(ctx, request->asker, request->corr, HF_READ_DONE, &request, sizeof request);
}

static void read_refuse(rt_ctx *ctx, struct store_request *request, enum store_status status)
{
  hf_count(ctx, HF_M_STORE_REFUSED, 1);
  request->status = (uint8_t)status;
  read_answer(ctx, request);
}

/* False: the port has no room. */
static bool read_submit(rt_ctx *ctx, struct store_actor *store, struct store_request *request)
{
  const struct hf_setup *setup = store->setup;
  if (request->kind == STORE_LOAD_USER) {
    uint32_t partition = hf_id_partition(request->load_user.id, setup->partition_bits);
    request->load_user.tenure = store_place(ctx, partition)->tenure;
  }
  if (setup->port->submit(setup->port, ctx, request) != RT_OK)
    return false;
  store->reads++;
  store->reads_slow += is_slow(request) ? 1u : 0;
  return true;
}

/* ---- reads that need an open partition ------------------------------------------------------- */

/* The partition whose actor asks, when what it is told must be no older than the partition's
 * opening: before that a commit of unknown outcome, or another writer's, may still come. NULL: it
 * may read at any time. An embedded store settles a doubt before it answers anything. */
static struct partition *read_needs(rt_ctx *ctx, struct store_actor *store,
                                    const struct store_request *request)
{
  unsigned kind = rt_id_kind(request->asker);
  bool inside = kind == HF_KIND_USER || kind == HF_KIND_NAMES || kind == HF_KIND_TRANSIT ||
                kind == HF_KIND_SWEEP;
  if (!store->shared || !inside)
    return NULL;
  return store_partition_of(store, rt_id_shard(request->asker), rt_loop_count(ctx));
}

static bool is_open(const struct partition *partition)
{
  return partition->state == PARTITION_OPEN && partition->owned && !partition->stale;
}

/* True: it has to wait, or was refused. */
static bool read_hold(rt_ctx *ctx, struct store_actor *store, struct store_request *request)
{
  struct partition *partition = read_needs(ctx, store, request);
  if (partition == NULL || is_open(partition))
    return false;
  if (!partition->owned || partition->releasing || store_breaker(store) ||
      partition_in_vain(partition) || store->reads_held >= STORE_READS_MAX) {
    read_refuse(ctx, request, STORE_UNAVAILABLE);
    return true;
  }
  request->next = NULL;
  if (partition->held_last != NULL)
    partition->held_last->next = request;
  else
    partition->held_first = request;
  partition->held_last = request;
  store->reads_held++;
  return true;
}

static struct store_request *held_take(struct store_actor *store, struct partition *partition)
{
  struct store_request *request = partition->held_first;
  if (request == NULL)
    return NULL;
  CHECK(store->reads_held > 0);
  store->reads_held--;
  partition->held_first = request->next;
  if (partition->held_first == NULL)
    partition->held_last = NULL;
  request->next = NULL;
  return request;
}

void store_held_go(rt_ctx *ctx, struct store_actor *store, struct partition *partition)
{
  struct store_request *request;
  CHECK(is_open(partition));
  while ((request = held_take(store, partition)) != NULL)
    store_read(ctx, store, request);
}

void store_held_refuse(rt_ctx *ctx, struct store_actor *store, struct partition *partition)
{
  struct store_request *request;
  while ((request = held_take(store, partition)) != NULL)
    read_refuse(ctx, request, STORE_UNAVAILABLE);
}

/* ---- reads ----------------------------------------------------------------------------------- */

/* A heartbeat keeps all that this node has: it waits behind nobody. */
static void lease_submit(rt_ctx *ctx, struct store_actor *store, struct store_request *request)
{
  if (!read_submit(ctx, store, request))
    read_refuse(ctx, request, STORE_UNAVAILABLE);
}

static void list_add(struct read_list *list, struct store_request *request)
{
  CHECK(request->next == NULL);
  if (list->last != NULL)
    list->last->next = request;
  else
    list->first = request;
  list->last = request;
  list->count++;
}

void store_read(rt_ctx *ctx, struct store_actor *store, struct store_request *request)
{
  request->submitted_us = rt_now_us(ctx);
  request->next = NULL;
  if (request->kind == STORE_LEASE) {
    lease_submit(ctx, store, request);
    return;
  }
  if (read_hold(ctx, store, request))
    return;
  const bool slow = is_slow(request);
  struct read_list *list = slow ? &store->slow : &store->quick;
  if (list->count >= (slow ? STORE_SLOW_WAITING_MAX : STORE_READS_MAX)) {
    read_refuse(ctx, request, slow ? STORE_BUSY : STORE_UNAVAILABLE);
    return;
  }
  list_add(list, request);
  store_read_resume(ctx, store);
}

/* False: the list's first request has to wait for the port. */
static bool list_go(rt_ctx *ctx, struct store_actor *store, struct read_list *list)
{
  while (list->first != NULL) {
    struct store_request *request = list->first;
    struct store_request *next = request->next;
    request->next = NULL;
    if (!read_hold(ctx, store, request) &&
        (store->reads >= STORE_READS_MAX ||
         (is_slow(request) && store->reads_slow >= STORE_SLOW_MAX) ||
         !read_submit(ctx, store, request))) {
      request->next = next;
      return false;
    }
    list->first = next;
    if (next == NULL)
      list->last = NULL;
    list->count--;
  }
  return true;
}

void store_read_resume(rt_ctx *ctx, struct store_actor *store)
{
  if (list_go(ctx, store, &store->quick) && list_go(ctx, store, &store->slow))
    return;
  /* With nothing in flight no answer would come to go on with. */
  if (store->reads == 0)
    rt_timer(ctx, 1000, STORE_TIMER_READS);
}

void store_read_done(rt_ctx *ctx, struct store_actor *store, struct store_request *request)
{
  CHECK(store->reads > 0);
  store->reads--;
  if (is_slow(request)) {
    CHECK(store->reads_slow > 0);
    store->reads_slow--;
  }
  hf_observe(ctx, HF_M_STORE_READ, rt_now_us(ctx) - request->submitted_us);
  read_answer(ctx, request);
  store_read_resume(ctx, store);
}

/* The next partition that is open here; NULL: none. */
static const struct partition *project_pick(struct store_actor *store)
{
  for (unsigned i = 0; i < store->partitions_count; i++, store->project_next++) {
    const struct partition *partition =
      &store->partitions[store->project_next % store->partitions_count];
    if (is_open(partition))
      return partition;
  }
  return NULL;
}

/* One partition a tick, and only when the last tick saw no commit: projections may lag, commits
 * may not wait. */
void store_project(rt_ctx *ctx, struct store_actor *store)
{
  bool busy = store->committed_since_tick;
  store->committed_since_tick = false;
  if (busy || store->projecting || store->opened < store->owned)
    return;
  const struct partition *partition = project_pick(store);
  if (partition == NULL)
    return;
  struct store_request *request = store_request_new(STORE_PROJECT);
  request->project.partition = partition->number;
  request->project.limit = PROJECT_ENTRIES;
  if (store->setup->port->submit(store->setup->port, ctx, request) != RT_OK) {
    store_request_free(request);
    return;
  }
  store->projecting = true;
}

void store_projected(rt_ctx *ctx, struct store_actor *store, struct store_request *request)
{
  (void)ctx;
  store->projecting = false;
  if (request->status != STORE_OK || !request->project.more)
    store->project_next++;
  store_request_free(request);
}
