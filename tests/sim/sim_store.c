/* The faults between actors and store. What it answers OK is in the engine, for ever. */
#include "tests/sim/sim.h"

static struct sim_store *of(struct store_engine *engine)
{
  return (struct sim_store *)(void *)engine;
}

static bool hit(struct sim_store *store, unsigned per_thousand)
{
  bool yes = driver_sim_rand(store->driver) % 1000u < per_thousand ||
             store->world->outage_us > store->world->now_us;
  store->injected += yes;
  return yes;
}

static void sim_execute(struct store_engine *engine, struct store_request *request)
{
  struct sim_store *store = of(engine);
  unsigned rate =
    request->kind == STORE_OPEN_PARTITION ? store->faults.open_refused : store->faults.read_refused;
  if (hit(store, rate)) {
    request->status = STORE_UNAVAILABLE;
    return;
  }
  store->inner->ops->execute(store->inner, request);
}

static void sim_commit_many(struct store_engine *engine, struct store_request **requests,
                            size_t count)
{
  struct sim_store *store = of(engine);
  store->commits++;
  if (hit(store, store->faults.commit_refused)) {
    for (size_t i = 0; i < count; i++)
      requests[i]->status = STORE_UNAVAILABLE;
    return;
  }
  bool unknown = hit(store, store->faults.commit_unknown);
  if (!unknown || driver_sim_rand(store->driver) % 2u == 0) {
    store->inner->ops->commit_many(store->inner, requests, count);
    for (size_t i = 0; i < count; i++)
      sim_log_commit(store->world, requests[i]);
  }
  if (!unknown)
    return;
  for (size_t i = 0; i < count; i++) {
    /* The answer is lost: whatever it was, the asker must not see any of it. */
    for (size_t j = 0; j < requests[i]->commit.units_count; j++) {
      struct store_unit *unit = requests[i]->commit.units[j];
      if (unit->hit != NULL)
        store_op_free(unit->hit);
      unit->hit = NULL;
    }
    requests[i]->status = STORE_UNKNOWN;
  }
}

static void sim_close(struct store_engine *engine)
{
  (void)engine; /* the inner engine is the disk: it outlives the process */
}

static const struct store_engine_ops ops = {
  .name = "sim", .execute = sim_execute, .commit_many = sim_commit_many, .close = sim_close};

void sim_store_init(struct sim_world *world, unsigned partition_bits)
{
  struct sim_store *store = &world->store;
  store->world = world;
  store->driver = world->nodes[0].driver;
  store->inner = store_memory_new(partition_bits);
  store->engine.ops = &ops;
  store->engine.partition_bits = partition_bits;
}

void sim_store_deinit(struct sim_store *store)
{
  store->inner->ops->close(store->inner);
}
