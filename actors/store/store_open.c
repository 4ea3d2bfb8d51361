/* Opening partitions: each gets a new epoch from the store, so that an older writer is fenced.
 *
 * Happy path: a closed partition is asked for, and what waits for it goes on when it is open.
 * Ways to fail: the store keeps failing (the breaker); one partition does not open while
 *   others commit (`vain`): who waits for it is refused, and so is who comes, until it opens.
 * Invariant: opening is tried again, with a backoff, as long as the partition is this node's. */
#include <stdatomic.h>
#include <stdio.h>

#include "actors/metrics.h"
#include "actors/store/store.h"

/* Allowed moves; rows: from, columns: to. */
static const bool moves[3][3] = {
  [PARTITION_CLOSED] = {[PARTITION_OPENING] = true},
  [PARTITION_OPENING] = {[PARTITION_OPEN] = true, [PARTITION_CLOSED] = true},
  [PARTITION_OPEN] = {[PARTITION_CLOSED] = true},
};

static void down_show(rt_ctx *ctx, const struct store_actor *store)
{
  struct cluster *cluster = rt_local(ctx, HF_LOCAL_CLUSTER);
  cluster->store_down = (store->vain > 0 && store->opened == 0) ||
                        (store_breaker(store) && store->opened < store->owned);
}

/* Readers of memory and of /readyz look at what follows from the states. */
static void show(rt_ctx *ctx, const struct store_actor *store, const struct partition *partition)
{
  struct cluster *cluster = rt_local(ctx, HF_LOCAL_CLUSTER);
  cluster->places[partition->number].open =
    partition->state == PARTITION_OPEN && partition->owned && !partition->stale;
  down_show(ctx, store);
}

void partition_vain_set(rt_ctx *ctx, struct store_actor *store, struct partition *partition,
                        unsigned vain)
{
  store->vain -= partition_in_vain(partition);
  partition->vain = (uint8_t)(vain < STORE_VAIN_MAX ? vain : STORE_VAIN_MAX);
  store->vain += partition_in_vain(partition);
  store_place(ctx, partition->number)->vain = partition_in_vain(partition);
  hf_gauge(ctx, HF_M_PARTITIONS_VAIN, store->vain);
  down_show(ctx, store);
}

void partition_move(rt_ctx *ctx, struct store_actor *store, struct partition *partition,
                    unsigned state)
{
  CHECK(moves[partition->state][state]);
  store->opened += state == PARTITION_OPEN;
  store->opened -= partition->state == PARTITION_OPEN;
  store->opening += state == PARTITION_OPENING;
  store->opening -= partition->state == PARTITION_OPENING;
  partition->state = (uint8_t)state;
  show(ctx, store, partition);
}

struct partition *store_partition_of(struct store_actor *store, uint32_t number, unsigned loops)
{
  unsigned index = number / loops;
  CHECK(index < store->partitions_count);
  CHECK(store->partitions[index].number == number);
  return &store->partitions[index];
}

/* Opening works again, or not: only a commit that succeeds says that the store does. */
void store_reopen_later(rt_ctx *ctx, struct store_actor *store)
{
  if (store->backing_off)
    return;
  unsigned shift = store->failures < 7u ? store->failures : 7u;
  uint64_t delay = (uint64_t)STORE_BACKOFF_MIN_US << (shift - 1u);
  if (delay > STORE_BACKOFF_MAX_US)
    delay = STORE_BACKOFF_MAX_US;
  delay = delay / 2u + rt_rand(ctx) % (delay / 2u);
  store->backing_off = true;
  rt_timer(ctx, delay, STORE_TIMER_REOPEN);
}

void store_failed(rt_ctx *ctx, struct store_actor *store)
{
  if (++store->failures != STORE_BREAKER_FAILURES)
    return;
  down_show(ctx, store);
  hf_gauge(ctx, HF_M_BREAKER, 1);
  if (store->setup->log != NULL)
    store->setup->log(store->setup->log_arg, 3, "store", "the store keeps failing");
}

void store_succeeded(rt_ctx *ctx, struct store_actor *store)
{
  if (store_breaker(store))
    hf_gauge(ctx, HF_M_BREAKER, 0);
  store->failures = 0;
  down_show(ctx, store);
}

static void open_failed(rt_ctx *ctx, struct store_actor *store)
{
  store_failed(ctx, store);
  store_reopen_later(ctx, store);
  for (unsigned i = 0; i < store->partitions_count && store_breaker(store); i++)
    if (store->partitions[i].state != PARTITION_OPEN)
      store_held_refuse(ctx, store, &store->partitions[i]);
}

void store_open_all(rt_ctx *ctx, struct store_actor *store)
{
  for (unsigned i = 0; i < store->partitions_count; i++) {
    struct partition *partition = &store->partitions[i];
    if (partition->state != PARTITION_CLOSED || !partition->owned)
      continue;
    CHECK(!partition->flying);
    struct store_request *request = store_request_new(STORE_OPEN_PARTITION);
    request->open_partition.partition = partition->number;
    request->open_partition.owner = store->shared ? store->setup->node : 0;
    if (store->setup->port->submit(store->setup->port, ctx, request) != RT_OK) {
      store_request_free(request);
      open_failed(ctx, store);
      return;
    }
    partition_move(ctx, store, partition, PARTITION_OPENING);
  }
}

/* Has somebody else written since this writer left off? An embedded store has nobody else. */
static bool is_foreign(const struct store_actor *store, const struct partition *partition,
                       const struct store_partition *answer)
{
  if (!store->shared)
    return false;
  return !partition->known || !(hf_hash_equal(&answer->follows, &partition->head) ||
                                hf_hash_equal(&answer->follows, &partition->before));
}

void store_tell_tail(const struct store_actor *store, const struct partition *partition,
                     uint64_t seq)
{
  if (store->setup->tails != NULL)
    atomic_store_explicit(&store->setup->tails[partition->number], seq, memory_order_relaxed);
}

/* What was judged under an older tenure is handed back: its users read themselves anew. */
static void opened(rt_ctx *ctx, struct store_actor *store, struct partition *partition,
                   const struct store_partition *answer)
{
  bool foreign = is_foreign(store, partition, answer);
  if (foreign) {
    store_place(ctx, partition->number)->tenure++;
    store_refuse_pending(ctx, store, partition, STORE_UNAVAILABLE);
  }
  partition->known = true;
  partition->epoch = answer->epoch;
  partition->next_batch = answer->next_batch;
  partition->next_seq = answer->next_seq;
  partition->next_user_serial = answer->next_user_serial;
  store_tell_tail(store, partition, answer->next_seq - 1u);
  partition->head = partition->before = answer->head;
  partition_vain_set(ctx, store, partition, 0);
  partition_move(ctx, store, partition, PARTITION_OPEN);
  if (!partition->told_open || foreign)
    store_announce(ctx, store, partition, true);
  if (!store->shared && store->opened == store->partitions_count && !store->ready) {
    store->ready = true;
    rt_id catalog = hf_loop_actor(HF_KIND_CATALOG, rt_loop_index(ctx));
    CHECK(rt_tell(ctx, catalog, HF_OPENED, NULL, 0) == RT_OK);
  }
  store_held_go(ctx, store, partition);
  rt_want_turn_end(ctx);
}

/* Commits of other partitions keep the breaker from opening: nobody may wait for this one. */
static void opened_in_vain(rt_ctx *ctx, struct store_actor *store, struct partition *partition,
                           unsigned status)
{
  bool before = partition_in_vain(partition);
  char text[80];
  partition_vain_set(ctx, store, partition,
                     status == STORE_CORRUPT ? STORE_VAIN_MAX : partition->vain + 1u);
  if (before || !partition_in_vain(partition))
    return;
  (void)snprintf(text, sizeof text, "partition %u does not open: %s", (unsigned)partition->number,
                 status == STORE_CORRUPT ? "the database is corrupt" : "the store refuses");
  if (store->setup->log != NULL)
    store->setup->log(store->setup->log_arg, 3, "store", text);
  store_refuse_pending(ctx, store, partition, STORE_UNAVAILABLE);
  store_held_refuse(ctx, store, partition);
  store_announce(ctx, store, partition, false);
}

static void not_opened(rt_ctx *ctx, struct store_actor *store, struct partition *partition,
                       unsigned status)
{
  partition_move(ctx, store, partition, PARTITION_CLOSED);
  if (store->shared && status == STORE_FENCED) {
    store_lost(ctx, store, partition);
    return;
  }
  opened_in_vain(ctx, store, partition, status);
  open_failed(ctx, store);
  if (store_breaker(store))
    store_refuse_pending(ctx, store, partition, STORE_UNAVAILABLE);
}

void store_opened(rt_ctx *ctx, struct store_actor *store, struct store_request *request)
{
  const struct store_partition *answer = &request->open_partition;
  struct partition *partition = store_partition_of(store, answer->partition, rt_loop_count(ctx));
  CHECK(partition->owned || partition->stale);
  if (partition->stale)
    partition_move(ctx, store, partition, PARTITION_CLOSED);
  else if (request->status == STORE_OK)
    opened(ctx, store, partition, answer);
  else
    not_opened(ctx, store, partition, request->status);
  store_request_free(request);
  store_landed(ctx, store, partition);
  if (!store->backing_off)
    store_open_all(ctx, store);
}
