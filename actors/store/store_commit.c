/* Commit batches: how units become one request, and what its answer means for each of them.
 *
 * Numbers (seq, batch number, hash head) are taken when a batch is built and given back from the
 * batch rows when it was not written; that is safe because a lane has one commit in flight.
 * After a hit or conflict nothing was written: the unit that hit is answered, units of the same
 * user behind it must be judged again (they were staged on an effect that is not new), and all
 * others go again without a second probe, so that replays cannot slow strangers down. */
#include <stdlib.h>

#include "actors/metrics.h"
#include "actors/store/store.h"

/* ---- lists ----------------------------------------------------------------------------------- */

static void list_append(struct unit_list *list, struct store_unit *unit)
{
  unit->next = NULL;
  if (list->last != NULL)
    list->last->next = unit;
  else
    list->first = unit;
  list->last = unit;
  list->count++;
}

static struct store_unit *list_take(struct unit_list *list)
{
  struct store_unit *unit = list->first;
  CHECK(unit != NULL);
  CHECK(list->count > 0);
  list->first = unit->next;
  if (list->first == NULL)
    list->last = NULL;
  list->count--;
  unit->next = NULL;
  return unit;
}

/* Puts `front` before what waits in `list`. */
static void list_prepend(struct unit_list *list, struct unit_list *front)
{
  if (front->count == 0)
    return;
  front->last->next = list->first;
  if (list->last == NULL)
    list->last = front->last;
  list->first = front->first;
  list->count += front->count;
  *front = (struct unit_list){0};
}

/* Tied units are of one user and therefore always answered one after the other: the last of them
 * brings the reply of all. */
static void answer_unit(rt_ctx *ctx, struct store_actor *store, struct store_unit *unit,
                        unsigned status)
{
  if (status != STORE_OK)
    store_fence_add(store, unit->user);
  unit->status = (uint8_t)status;
  unit->next = NULL;
  if (!unit->tied)
    rt_reply(ctx, unit->asker, unit->corr, HF_SETTLED, &unit, sizeof unit);
}

/* ---- units come in --------------------------------------------------------------------------- */

/* Whether a unit is refused at once, and how; STORE_OK: it is taken. */
static unsigned persist_judge(rt_ctx *ctx, const struct store_actor *store,
                              const struct store_unit *unit, const struct partition *partition)
{
  bool breaker =
    (store_breaker(store) || partition_in_vain(partition)) && partition->state != PARTITION_OPEN;
  bool foreign = !partition->owned || partition->releasing ||
                 unit->tenure != store_place(ctx, partition->number)->tenure;
  if (breaker || foreign || store->lanes[partition->lane].pending >= store->setup->queue_units_max)
    return STORE_UNAVAILABLE;
  return unit->user != 0 && store_fenced(store, unit->user) ? STORE_RESTAGE : STORE_OK;
}

/* A chain is judged by its first unit, so that no part of it is left behind. */
void store_persist(rt_ctx *ctx, struct store_actor *store, struct store_unit *first)
{
  struct partition *partition = store_partition_of(store, first->partition, rt_loop_count(ctx));
  struct lane *lane = &store->lanes[partition->lane];
  unsigned status = persist_judge(ctx, store, first, partition);
  for (struct store_unit *unit = first, *next; unit != NULL; unit = next) {
    next = unit->next;
    CHECK(unit->tied == (next != NULL) && unit->partition == first->partition &&
          unit->user == first->user);
    if (status != STORE_OK) {
      hf_count(ctx, HF_M_STORE_REFUSED, status == STORE_UNAVAILABLE);
      answer_unit(ctx, store, unit, status);
      continue;
    }
    if (lane->pending++ == 0)
      lane->oldest_us = rt_now_us(ctx);
    list_append(&partition->pending, unit);
  }
  if (status == STORE_OK)
    rt_want_turn_end(ctx);
}

void store_refuse_pending(rt_ctx *ctx, struct store_actor *store, struct partition *partition,
                          unsigned status)
{
  struct lane *lane = &store->lanes[partition->lane];
  hf_count(ctx, HF_M_STORE_REFUSED, partition->pending.count);
  while (partition->pending.count > 0) {
    lane->pending--;
    answer_unit(ctx, store, list_take(&partition->pending), status);
  }
}

/* ---- a batch goes out ------------------------------------------------------------------------ */

/* Takes up to `room` units of the partition into the request's next batch. */
static void batch_fill(rt_ctx *ctx, struct store_actor *store, struct partition *partition,
                       size_t room, struct store_request *request)
{
  struct store_batch *batch = &request->commit.batches[request->commit.batches_count++];
  struct store_batch_hasher hasher;
  batch->partition = partition->number;
  batch->number = partition->next_batch;
  batch->epoch = partition->epoch;
  batch->first_seq = partition->next_seq;
  batch->committed_us = (int64_t)rt_wall_us(ctx);
  batch->previous = partition->head;
  store_batch_begin(&hasher);
  bool tied = false; /* a group goes whole, also past the room */
  while (partition->pending.count > 0 && (room > 0 || tied)) {
    struct store_unit *unit = list_take(&partition->pending);
    room -= room > 0;
    tied = unit->tied;
    CHECK(unit->partition == partition->number);
    store_unit_number(unit, partition->next_seq, store->setup->partition_bits);
    partition->next_seq += unit->entries_count;
    batch->entries_count += unit->entries_count;
    batch->rows_count += unit->rows_count;
    for (unsigned i = 0; i < unit->entries_count; i++)
      store_batch_entry(&hasher, &unit->entries[i].hash);
    if (unit->has_outcome) {
      batch->outcomes_count++;
      store_batch_outcome(&hasher, &unit->outcome);
    }
    request->commit.units[request->commit.units_count++] = unit;
  }
  store_batch_end(&hasher, batch);
  partition->next_batch++;
  partition->before = partition->head;
  partition->head = batch->hash;
  partition->flying = true;
}

static bool is_ready(const struct partition *partition, unsigned lane)
{
  return partition->lane == lane && partition->state == PARTITION_OPEN && !partition->stale &&
         partition->pending.count > 0;
}

static struct store_request *batch_build(rt_ctx *ctx, struct store_actor *store, unsigned index)
{
  struct lane *lane = &store->lanes[index];
  size_t units_max = store->setup->batch_units_max;
  size_t ready = 0, partitions = 0;
  for (unsigned i = 0; i < store->partitions_count; i++) {
    const struct partition *partition = &store->partitions[i];
    if (is_ready(partition, index)) {
      ready += partition->pending.count;
      partitions++;
    }
  }
  if (ready == 0)
    return NULL;
  if (ready > units_max)
    ready = units_max;
  struct store_request *request = store_request_new(STORE_COMMIT);
  request->commit.batches =
    hf_arena_alloc(&request->arena, partitions * sizeof *request->commit.batches);
  request->commit.units =
    hf_arena_alloc(&request->arena, (ready + HF_GROUP_MAX) * sizeof *request->commit.units);
  unsigned start = lane->start++;
  for (unsigned i = 0; i < store->partitions_count; i++) {
    struct partition *partition = &store->partitions[(start + i) % store->partitions_count];
    size_t taken = request->commit.units_count;
    size_t room = ready > taken ? ready - taken : 0;
    if (is_ready(partition, index) && room > 0)
      batch_fill(ctx, store, partition, room, request);
  }
  return request;
}

/* Gives the numbers of a batch that was not written back to its partition. */
static void batch_undo(rt_ctx *ctx, struct store_actor *store, const struct store_batch *batch)
{
  struct partition *partition = store_partition_of(store, batch->partition, rt_loop_count(ctx));
  CHECK(partition->next_batch == batch->number + 1u);
  partition->next_batch = batch->number;
  partition->next_seq = batch->first_seq;
  partition->head = batch->previous;
}

/* Puts the units that are left in the request back in front of their partitions' lists, in order,
 * and frees it. The units of a partition stand together in a request. */
static void batch_take_back(rt_ctx *ctx, struct store_actor *store, struct store_request *request)
{
  size_t next = 0;
  for (size_t i = 0; i < request->commit.batches_count; i++) {
    const struct store_batch *batch = &request->commit.batches[i];
    struct partition *partition = store_partition_of(store, batch->partition, rt_loop_count(ctx));
    struct unit_list back = {0};
    for (; next < request->commit.units_count; next++) {
      struct store_unit *unit = request->commit.units[next];
      if (unit == NULL)
        continue;
      if (unit->partition != batch->partition)
        break;
      list_append(&back, unit);
    }
    store->lanes[partition->lane].pending += back.count;
    list_prepend(&partition->pending, &back);
    batch_undo(ctx, store, batch);
  }
  CHECK(next == request->commit.units_count);
  store_request_free(request);
}

void store_flush(rt_ctx *ctx, struct store_actor *store)
{
  for (unsigned i = 0; i < store->lanes_count; i++) {
    struct lane *lane = &store->lanes[i];
    if (lane->flight != NULL || lane->pending == 0)
      continue;
    struct store_request *request = batch_build(ctx, store, i);
    if (request == NULL)
      continue;
    uint32_t units = (uint32_t)request->commit.units_count;
    lane->pending -= units;
    hf_observe(ctx, HF_M_STORE_BATCH, units);
    hf_observe(ctx, HF_M_STORE_WAIT, rt_now_us(ctx) - lane->oldest_us);
    lane->oldest_us = rt_now_us(ctx);
    if (store->setup->port->submit(store->setup->port, ctx, request) != RT_OK) {
      batch_take_back(ctx, store, request); /* the port has no room: the next turn tries again */
      for (unsigned j = 0; j < store->partitions_count; j++)
        store->partitions[j].flying = store->partitions[j].flying && store->partitions[j].lane != i;
      rt_want_turn_end(ctx);
      continue;
    }
    lane->flight = request;
    lane->flight_units = units;
  }
  uint32_t flying = 0, waiting = 0;
  for (unsigned i = 0; i < store->lanes_count; i++) {
    flying += store->lanes[i].flight_units;
    waiting += store->lanes[i].pending;
  }
  hf_gauge(ctx, HF_M_STORE_QUEUE, waiting);
  hf_gauge(ctx, HF_M_STORE_FLIGHT, flying);
}

/* ---- its answer ------------------------------------------------------------------------------ */

static void settle_all(rt_ctx *ctx, struct store_actor *store, struct store_request *request)
{
  uint64_t entries = 0;
  for (size_t i = 0; i < request->commit.batches_count; i++) {
    const struct store_batch *batch = &request->commit.batches[i];
    struct partition *partition = store_partition_of(store, batch->partition, rt_loop_count(ctx));
    entries += batch->entries_count;
    /* It is no doubt any more: a database without it has gone back. */
    if (hf_hash_equal(&partition->head, &batch->hash))
      partition->before = partition->head;
    if (batch->entries_count > 0)
      store_tell_tail(store, partition, batch->first_seq + batch->entries_count - 1u);
  }
  for (size_t i = 0; i < request->commit.units_count; i++)
    answer_unit(ctx, store, request->commit.units[i], STORE_OK);
  hf_count(ctx, HF_M_STORE_COMMITS, 1);
  hf_count(ctx, HF_M_STORE_TRANSACTIONS, request->commit.leads);
  hf_count(ctx, HF_M_STORE_ENTRIES, entries);
  hf_observe(ctx, HF_M_STORE_COMMIT, request->commit.commit_us);
  store_succeeded(ctx, store);
  store->committed_since_tick = true;
  store_request_free(request);
}

struct user_set { /* users of the units that hit; few, so a sorted array serves */
  hf_id *ids;
  size_t count;
};

static int compare_ids(const void *a, const void *b)
{
  hf_id left = *(const hf_id *)a, right = *(const hf_id *)b;
  return left < right ? -1 : left > right;
}

static bool set_has(const struct user_set *set, hf_id user)
{
  size_t low = 0, high = set->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2u;
    if (set->ids[middle] == user)
      return true;
    if (set->ids[middle] < user)
      low = middle + 1u;
    else
      high = middle;
  }
  return false;
}

/* Units of these users that wait in the partition were staged on top of what hit. */
static void restage_pending(rt_ctx *ctx, struct store_actor *store, struct partition *partition,
                            const struct user_set *users)
{
  struct unit_list keep = {0};
  while (partition->pending.count > 0) {
    struct store_unit *unit = list_take(&partition->pending);
    if (unit->user != 0 && set_has(users, unit->user)) {
      store->lanes[partition->lane].pending--;
      answer_unit(ctx, store, unit, STORE_RESTAGE);
    } else {
      list_append(&keep, unit);
    }
  }
  partition->pending = keep;
}

static void answer_hits(rt_ctx *ctx, struct store_actor *store, struct store_request *request)
{
  struct store_unit **units = request->commit.units;
  size_t count = request->commit.units_count;
  struct user_set users = {.ids =
                             hf_arena_alloc(&request->arena, (count + 1u) * sizeof *users.ids)};
  size_t hits = 0;
  for (size_t i = 0; i < count; i++) {
    if (units[i]->status != STORE_HIT && units[i]->status != STORE_CONFLICT)
      continue;
    hits++;
    if (units[i]->user != 0)
      users.ids[users.count++] = units[i]->user;
  }
  CHECK(hits > 0);
  qsort(users.ids, users.count, sizeof *users.ids, compare_ids);
  hf_count(ctx, HF_M_STORE_HITS, hits);
  for (size_t i = 0; i < count; i++) {
    struct store_unit *unit = units[i];
    if (unit->status == STORE_HIT || unit->status == STORE_CONFLICT)
      answer_unit(ctx, store, unit, unit->status);
    else if (unit->user != 0 && set_has(&users, unit->user))
      answer_unit(ctx, store, unit, STORE_RESTAGE);
    else {
      unit->probe = false; /* this writer is the only one: a key that is absent stays absent */
      continue;
    }
    units[i] = NULL;
  }
  for (unsigned i = 0; i < store->partitions_count; i++)
    restage_pending(ctx, store, &store->partitions[i], &users);
  batch_take_back(ctx, store, request);
}

static void fail_log(const struct store_actor *store, const struct store_request *request)
{
  if (store->setup->log != NULL)
    store->setup->log(store->setup->log_arg, 3, "store",
                      request->status == STORE_FENCED    ? "fenced: another writer was here"
                      : request->status == STORE_UNKNOWN ? "commit of unknown outcome"
                      : request->status == STORE_CORRUPT ? "the database is corrupt"
                                                         : "commit failed");
}

/* The batch is not there, or may be: only a new opening tells where the partition goes on. */
static void batch_failed(rt_ctx *ctx, struct store_actor *store, const struct store_batch *batch,
                         unsigned status)
{
  struct partition *partition = store_partition_of(store, batch->partition, rt_loop_count(ctx));
  if (status != STORE_UNKNOWN)
    partition->head = batch->previous;
  store_refuse_pending(ctx, store, partition, STORE_UNAVAILABLE);
  partition_move(ctx, store, partition, PARTITION_CLOSED);
  if (status == STORE_FENCED && store->shared && partition->owned)
    store_lost(ctx, store, partition);
}

/* The store failed, or another writer has the partitions: hand everything back and open anew. */
static void fail_all(rt_ctx *ctx, struct store_actor *store, struct store_request *request)
{
  unsigned status = request->status == STORE_UNKNOWN ? STORE_UNKNOWN : STORE_UNAVAILABLE;
  hf_count(ctx, HF_M_STORE_FAILURES, 1);
  fail_log(store, request);
  for (size_t i = 0; i < request->commit.units_count; i++)
    answer_unit(ctx, store, request->commit.units[i], status);
  for (size_t i = 0; i < request->commit.batches_count; i++)
    batch_failed(ctx, store, &request->commit.batches[i], request->status);
  bool lost = store->shared && request->status == STORE_FENCED;
  store_request_free(request);
  if (lost) /* the store works; the keeper finds out whose the partitions are */
    return;
  store_failed(ctx, store);
  /* A lone failure is tried again at once; a store that keeps failing is given time. */
  if (store->failures > 1u)
    store_reopen_later(ctx, store);
}

/* What was waited for in the lane's partitions is back. */
static void lane_landed(rt_ctx *ctx, struct store_actor *store, unsigned lane)
{
  for (unsigned i = 0; i < store->partitions_count; i++) {
    struct partition *partition = &store->partitions[i];
    if (partition->lane != lane || !partition->flying)
      continue;
    partition->flying = false;
    store_landed(ctx, store, partition);
  }
  if (!store->backing_off)
    store_open_all(ctx, store);
}

void store_committed(rt_ctx *ctx, struct store_actor *store, struct store_request *request)
{
  unsigned lane = 0;
  while (lane < store->lanes_count && store->lanes[lane].flight != request)
    lane++;
  CHECK(lane < store->lanes_count);
  store->lanes[lane].flight = NULL;
  store->lanes[lane].flight_units = 0;
  if (request->status == STORE_OK)
    settle_all(ctx, store, request);
  else if (request->status == STORE_HIT || request->status == STORE_CONFLICT)
    answer_hits(ctx, store, request);
  else
    fail_all(ctx, store, request);
  lane_landed(ctx, store, lane);
  /* What gathered goes before the settling begins: the store works while the loop does. */
  store_flush(ctx, store);
}
