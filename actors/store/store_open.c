/* Opening partitions: each gets a new epoch from the store, so that an older writer is fenced. */
#include "actors/metrics.h"
#include "actors/store/store.h"

/* Allowed moves; rows: from, columns: to. */
static const bool moves[3][3] = {
    [PARTITION_CLOSED] = {[PARTITION_OPENING] = true},
    [PARTITION_OPENING] = {[PARTITION_OPEN] = true, [PARTITION_CLOSED] = true},
    [PARTITION_OPEN] = {[PARTITION_CLOSED] = true},
};

void partition_move(struct store_actor *store, struct partition *partition, unsigned state)
{
  CHECK(moves[partition->state][state]);
  if (state == PARTITION_OPEN)
    store->opened++;
  if (partition->state == PARTITION_OPEN)
    store->opened--;
  partition->state = (uint8_t)state;
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
  hf_gauge(ctx, HF_M_BREAKER, 1);
  if (store->setup->log != NULL)
    store->setup->log(store->setup->log_arg, 3, "store", "the store keeps failing");
}

void store_succeeded(rt_ctx *ctx, struct store_actor *store)
{
  if (store->failures >= STORE_BREAKER_FAILURES)
    hf_gauge(ctx, HF_M_BREAKER, 0);
  store->failures = 0;
}

static void open_failed(rt_ctx *ctx, struct store_actor *store)
{
  store_failed(ctx, store);
  store_reopen_later(ctx, store);
}

void store_open_all(rt_ctx *ctx, struct store_actor *store)
{
  for (unsigned i = 0; i < store->partitions_count; i++) {
    struct partition *partition = &store->partitions[i];
    if (partition->state != PARTITION_CLOSED)
      continue;
    struct store_request *request = store_request_new(STORE_OPEN_PARTITION);
    request->open_partition.partition = partition->number;
    if (store->setup->port->submit(store->setup->port, ctx, request) != RT_OK) {
      store_request_free(request);
      open_failed(ctx, store);
      return;
    }
    partition_move(store, partition, PARTITION_OPENING);
  }
}

/* The first time a partition opens, those who have unfinished work in it are told. */
static void announce(rt_ctx *ctx, struct partition *partition)
{
  partition->announced = true;
  uint64_t payload[1] = {partition->next_user_serial};
  static const enum hf_kind kinds[] = {HF_KIND_NAMES, HF_KIND_TRANSIT, HF_KIND_SWEEP};
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
    rt_id to = hf_partition_actor(kinds[i], partition->number);
    CHECK(rt_tell(ctx, to, HF_OPENED, payload, sizeof payload) == RT_OK);
  }
}

void store_opened(rt_ctx *ctx, struct store_actor *store, struct store_request *request)
{
  const struct store_partition *answer = &request->open_partition;
  struct partition *partition = store_partition_of(store, answer->partition, rt_loop_count(ctx));
  if (request->status == STORE_OK) {
    partition_move(store, partition, PARTITION_OPEN);
    partition->epoch = answer->epoch;
    partition->next_batch = answer->next_batch;
    partition->next_seq = answer->next_seq;
    partition->next_user_serial = answer->next_user_serial;
    partition->head = answer->head;
    if (!partition->announced)
      announce(ctx, partition);
    if (store->opened == store->partitions_count && !store->ready) {
      store->ready = true;
      rt_id catalog = hf_loop_actor(HF_KIND_CATALOG, rt_loop_index(ctx));
      CHECK(rt_tell(ctx, catalog, HF_OPENED, NULL, 0) == RT_OK);
    }
    rt_want_turn_end(ctx);
  } else {
    partition_move(store, partition, PARTITION_CLOSED);
    open_failed(ctx, store);
    if (store->failures >= STORE_BREAKER_FAILURES)
      store_refuse_pending(ctx, store, partition, STORE_UNAVAILABLE);
  }
  store_request_free(request);
}
