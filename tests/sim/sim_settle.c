/* What nobody waits for, and what comes to its end all the same: transfers that a crash left open
 * are credited and marked, holds whose users are asleep are released when they have expired. */
#include "tests/sim/sim.h"

#define LATE_US 2000000 /* a few rounds of the sweep */

static size_t open_transfers(struct sim_world *world, uint32_t partition)
{
  struct store_engine *engine = world->store.inner;
  struct store_request *request = store_request_new(STORE_OPEN_TRANSFERS);
  request->open_transfers.partition = partition;
  request->open_transfers.limit = 1;
  engine->ops->execute(engine, request);
  const size_t count = request->open_transfers.count;
  store_request_free(request);
  return count;
}

/* Wall clocks differ: late is what has expired by all of them. */
static int64_t latest_due(const struct sim_world *world)
{
  int64_t wall_us = INT64_MAX;
  for (unsigned i = 0; i < world->nodes_count; i++) {
    struct rt_driver *driver = world->nodes[i].driver;
    const int64_t own_us = (int64_t)driver->wall_us(driver);
    wall_us = own_us < wall_us ? own_us : wall_us;
  }
  return wall_us - LATE_US;
}

static size_t late_holds(struct sim_world *world, uint32_t partition)
{
  struct store_engine *engine = world->store.inner;
  struct store_request *request = store_request_new(STORE_DUE_HOLDS);
  request->due_holds.partition = partition;
  request->due_holds.now_us = latest_due(world);
  request->due_holds.limit = 1;
  engine->ops->execute(engine, request);
  const size_t count = request->due_holds.count;
  store_request_free(request);
  return count;
}

static bool is_swept(const struct sim_world *world)
{
  return world->nodes[0].setup.sweep_every_us > 0;
}

bool sim_is_late(const struct sim_world *world, int64_t expires_us)
{
  return is_swept(world) && expires_us <= latest_due(world);
}

bool sim_is_settled(struct sim_world *world)
{
  const bool swept = is_swept(world);
  for (uint32_t i = 0; i < 1u << world->partition_bits; i++)
    if (open_transfers(world, i) > 0 || (swept && late_holds(world, i) > 0))
      return false;
  return true;
}
