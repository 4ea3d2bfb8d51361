/* The store actor: messages in, and which file answers them.
 *
 * Happy path: PERSIST appends a unit to its partition's list; at the end of the turn every lane
 *   without a commit in flight takes all that waits, numbers and hashes it, and submits one
 *   request; its answer settles each unit and lets the next batch go at once. So batches form
 *   while the previous commit is in flight, and no timer delays a lone unit.
 * Ways to fail: a hit or conflict (the rest goes again, already probed); fencing and failures
 *   (everything is handed back, the partitions are opened anew); a full queue or an open breaker
 *   (refused at once).
 * Invariants: a partition has at most one batch in flight; numbers are handed out in the order in
 *   which units came; each unit is answered exactly once; tied units share their whole way. */
#include "actors/store/store.h"

#include "actors/metrics.h"

static rt_status store_load(rt_ctx *ctx, void *state)
{
  struct store_actor *store = state;
  const struct hf_setup *setup = hf_setup_of(ctx);
  CHECK(setup != NULL);
  store->setup = setup;
  store->shared = setup->port->shared;
  unsigned loops = rt_loop_count(ctx);
  unsigned total = 1u << setup->partition_bits;
  unsigned loop = rt_loop_index(ctx);
  store->partitions_count = loop < total ? (total - loop - 1u) / loops + 1u : 0;
  store->partitions = rt_alloc(sizeof *store->partitions * (store->partitions_count + 1u));
  store->lanes_count = setup->port->window < 1u ? 1u : setup->port->window;
  store->lanes = rt_alloc(sizeof *store->lanes * store->lanes_count);
  for (unsigned i = 0; i < store->partitions_count; i++) {
    store->partitions[i].number = loop + i * loops;
    store->partitions[i].lane = (uint8_t)(i % store->lanes_count);
    store->partitions[i].owned = !store->shared;
  }
  store->owned = store->shared ? 0 : store->partitions_count;
  hf_gauge(ctx, HF_M_PARTITIONS, store->owned);
  if (store->partitions_count == 0 && !store->shared) {
    rt_id catalog = hf_loop_actor(HF_KIND_CATALOG, loop);
    CHECK(rt_tell(ctx, catalog, HF_OPENED, NULL, 0) == RT_OK);
  }
  store_open_all(ctx, store);
  if (setup->project_every_us > 0)
    rt_timer(ctx, setup->project_every_us, STORE_TIMER_PROJECT);
  return RT_OK;
}

static void store_timer(rt_ctx *ctx, struct store_actor *store, uint64_t cookie)
{
  if (cookie == STORE_TIMER_REOPEN) {
    store->backing_off = false;
    store_open_all(ctx, store);
    return;
  }
  if (cookie == STORE_TIMER_READS) {
    store_read_resume(ctx, store);
    return;
  }
  if (cookie == STORE_TIMER_TELL) {
    store->telling = false;
    store_tell(ctx, store);
    return;
  }
  CHECK(cookie == STORE_TIMER_PROJECT);
  store_project(ctx, store);
  rt_timer(ctx, store->setup->project_every_us, STORE_TIMER_PROJECT);
}

static void store_answer(rt_ctx *ctx, struct store_actor *store, struct store_request *request)
{
  switch (request->kind) {
  case STORE_COMMIT:
    store_committed(ctx, store, request);
    break;
  case STORE_OPEN_PARTITION:
    store_opened(ctx, store, request);
    break;
  case STORE_PROJECT:
    store_projected(ctx, store, request);
    break;
  default:
    store_read_done(ctx, store, request);
    break;
  }
}

static rt_status store_handle(rt_ctx *ctx, void *state, const rt_env *env)
{
  struct store_actor *store = state;
  switch (env->op) {
  case HF_PERSIST: {
    struct store_unit *first = env->payload.p.ptr;
    for (struct store_unit *unit = first; unit != NULL; unit = unit->next) {
      unit->asker = env->from;
      unit->corr = env->corr;
    }
    store_persist(ctx, store, first);
    break;
  }
  case HF_READ: {
    struct store_request *request = env->payload.p.ptr;
    request->asker = env->from;
    request->corr = env->corr;
    store_read(ctx, store, request);
    break;
  }
  case HF_OWN:
    store_own(ctx, store, (uint32_t)env->payload.u[0]);
    break;
  case HF_DROP:
    store_drop(ctx, store, (uint32_t)env->payload.u[0]);
    break;
  case HF_RELEASE:
    store_release(ctx, store, env);
    break;
  case HF_RESUME:
    store_fence_remove(store, env->payload.u[0]);
    break;
  case HF_STORE_ANSWER:
    store_answer(ctx, store, env->payload.p.ptr);
    break;
  case RT_OP_TIMER:
    store_timer(ctx, store, env->payload.u[0]);
    break;
  case RT_OP_STOPPING:
    break; /* what was accepted still commits; a drain waits for it (store_idle) */
  default:
    CHECK(!"a message that the store actor does not know");
  }
  return RT_OK;
}

static void store_turn_end(rt_ctx *ctx, void *state)
{
  store_flush(ctx, state);
}

/* The runtime need not know of what the port has. */
static bool store_idle(const void *state)
{
  const struct store_actor *store = state;
  for (unsigned i = 0; i < store->lanes_count; i++)
    if (store->lanes[i].flight != NULL || store->lanes[i].pending > 0)
      return false;
  return store->reads == 0 && !store_reads_wait(store) && store->reads_held == 0 &&
         store->opening == 0 && !store->projecting;
}

/* A commit in flight is the port's: its late answer comes to store_undelivered. */
static void store_passivate(rt_ctx *ctx, void *state)
{
  struct store_actor *store = state;
  (void)ctx;
  store_fence_clear(store);
  rt_free(store->partitions);
  rt_free(store->lanes);
}

static void store_undelivered(const rt_env *env)
{
  if (env->op == HF_STORE_ANSWER)
    store_request_free(env->payload.p.ptr);
}

static void store_check(const void *state)
{
  const struct store_actor *store = state;
  for (unsigned i = 0; i < store->lanes_count; i++) {
    uint32_t pending = 0;
    for (unsigned j = 0; j < store->partitions_count; j++)
      if (store->partitions[j].lane == i)
        pending += store->partitions[j].pending.count;
    CHECK(pending == store->lanes[i].pending);
    CHECK((store->lanes[i].flight == NULL) == (store->lanes[i].flight_units == 0));
  }
  for (unsigned i = 0; i < store->partitions_count; i++) {
    const struct partition *partition = &store->partitions[i];
    CHECK(!partition->flying || store->lanes[partition->lane].flight != NULL);
    CHECK(partition->owned || partition->pending.count == 0);
    CHECK(partition->owned || partition->held_first == NULL);
    CHECK(!partition->stale || partition->flying || partition->state == PARTITION_OPENING);
  }
}

const rt_class hf_store_class = {
  .name = "store",
  .kind = HF_KIND_STORE,
  .flags = RT_CLASS_PER_LOOP,
  .state_bytes = sizeof(struct store_actor),
  .stash_max = 1024,
  .load = store_load,
  .handle = store_handle,
  .idle = store_idle,
  .turn_end = store_turn_end,
  .passivate = store_passivate,
  .check = store_check,
  .drop = store_undelivered,
};
