/* Reads pass through to the port, bounded; and the lazy projection, which runs when nothing else
 * writes.
 *
 * The list of a class goes when the lists before it are empty, and the class has few places in the
 * port unless writes wait for it: so no number of readers keeps a user from waking up. */
#include "actors/metrics.h"
#include "actors/store/store.h"

#define PROJECT_ENTRIES 2000u

static const struct read_limit {
  uint32_t in_port, waiting;
  enum store_status beyond;
} limits[READ_CLASSES] = {
  [READ_INNER] = {STORE_READS_MAX, STORE_READS_MAX, STORE_UNAVAILABLE},
  [READ_POINT] = {128, STORE_READS_MAX, STORE_BUSY},
  [READ_MANY] = {4, 256, STORE_BUSY},
};

static enum read_class class_of(const struct store_request *request)
{
  if (rt_id_kind(request->asker) != HF_KIND_FRONT)
    return READ_INNER;
  return request->kind == STORE_SCAN || request->kind == STORE_LIST_ENTRIES ||
             request->kind == STORE_LIST_HOLDS || request->kind == STORE_BALANCE_AT
           ? READ_MANY
           : READ_POINT;
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
  store->read_lists[class_of(request)].in_port++;
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
  list->waiting++;
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
  const enum read_class class = class_of(request);
  if (store->read_lists[class].waiting >= limits[class].waiting) {
    read_refuse(ctx, request, limits[class].beyond);
    return;
  }
  list_add(&store->read_lists[class], request);
  store_read_resume(ctx, store);
}

/* Submits what may go; true when nothing of the list has to wait for room in the port. */
static bool list_go(rt_ctx *ctx, struct store_actor *store, enum read_class class)
{
  struct read_list *list = &store->read_lists[class];
  while (list->first != NULL) {
    struct store_request *request = list->first;
    struct store_request *next = request->next;
    if (list->in_port >= limits[class].in_port)
      return true; /* its own places are taken: that is not in the way of others */
    request->next = NULL;
    if (!read_hold(ctx, store, request) &&
        (store->reads >= STORE_READS_MAX || !read_submit(ctx, store, request))) {
      request->next = next;
      return false;
    }
    list->first = next;
    if (next == NULL)
      list->last = NULL;
    list->waiting--;
  }
  return true;
}

void store_read_resume(rt_ctx *ctx, struct store_actor *store)
{
  bool room = true;
  for (unsigned i = 0; room && i < READ_CLASSES; i++)
    room = list_go(ctx, store, (enum read_class)i);
  /* With nothing in flight no answer would come to go on with. */
  if (!room && store->reads == 0)
    rt_timer(ctx, 1000, STORE_TIMER_READS);
}

bool store_reads_wait(const struct store_actor *store)
{
  for (unsigned i = 0; i < READ_CLASSES; i++)
    if (store->read_lists[i].waiting > 0)
      return true;
  return false;
}

void store_read_done(rt_ctx *ctx, struct store_actor *store, struct store_request *request)
{
  CHECK(store->reads > 0);
  store->reads--;
  struct read_list *list = &store->read_lists[class_of(request)];
  CHECK(list->in_port > 0);
  list->in_port--;
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
