/* The world's time: what is next, of any node or between them. Ordered by (time, number), never by
 * address; at the same time the events between the nodes come first, then the nodes by index. */
#include "tests/sim/sim.h"

uint64_t sim_chaos(struct sim_world *world)
{
  uint64_t z = (world->chaos_rng += 0x9e3779b97f4a7c15ull); /* splitmix64 */
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

static bool is_before(const struct sim_event *a, const struct sim_event *b)
{
  return a->at_us != b->at_us ? a->at_us < b->at_us : a->number < b->number;
}

void sim_at(struct sim_world *world, uint64_t at_us,
            void (*run)(struct sim_world *world, void *arg), void *arg)
{
  struct sim_event event = {
    .at_us = at_us, .number = world->events_number++, .run = run, .arg = arg};
  CHECK(at_us >= world->now_us);
  if (world->events_count == world->events_room) {
    world->events_room = world->events_room == 0 ? 64 : 2 * world->events_room;
    world->events = rt_realloc(world->events, world->events_room * sizeof *world->events);
  }
  size_t at = world->events_count++;
  for (; at > 0 && is_before(&event, &world->events[(at - 1) / 2]); at = (at - 1) / 2)
    world->events[at] = world->events[(at - 1) / 2];
  world->events[at] = event;
}

static struct sim_event event_take(struct sim_world *world)
{
  struct sim_event first = world->events[0], last = world->events[--world->events_count];
  size_t at = 0;
  for (;;) {
    size_t child = 2 * at + 1;
    if (child >= world->events_count)
      break;
    if (child + 1 < world->events_count &&
        is_before(&world->events[child + 1], &world->events[child]))
      child++;
    if (!is_before(&world->events[child], &last))
      break;
    world->events[at] = world->events[child];
    at = child;
  }
  world->events[at] = last;
  return first;
}

static bool runs(const struct sim_node *node)
{
  return node->state == SIM_UP || node->state == SIM_LEAVING;
}

static void all_skip(struct sim_world *world)
{
  for (unsigned i = 0; i < world->nodes_count; i++)
    if (runs(&world->nodes[i]))
      sim_node_skip(&world->nodes[i]);
}

bool sim_step(struct sim_world *world, uint64_t until_us)
{
  struct sim_node *next = NULL;
  uint64_t at_us = world->events_count > 0 ? world->events[0].at_us : UINT64_MAX;
  for (unsigned i = 0; i < world->nodes_count; i++) {
    struct sim_node *node = &world->nodes[i];
    uint64_t own_us = runs(node) ? sim_node_next_us(node) : UINT64_MAX;
    if (own_us >= at_us)
      continue;
    at_us = own_us;
    next = node;
  }
  if (at_us > until_us || at_us == UINT64_MAX) {
    if (until_us != UINT64_MAX && until_us > world->now_us)
      world->now_us = until_us;
    all_skip(world);
    return false;
  }
  if (at_us > world->now_us)
    world->now_us = at_us;
  if (next != NULL) {
    sim_node_skip(next);
    (void)driver_sim_step(next->driver, sim_node_clock(next, world->now_us));
    return true;
  }
  struct sim_event event = event_take(world);
  event.run(world, event.arg);
  return true;
}

void sim_events_deinit(struct sim_world *world)
{
  while (world->events_count > 0) {
    struct sim_event event = event_take(world);
    event.run(world, event.arg);
  }
  rt_free(world->events);
}

bool sim_post(struct sim_node *node, rt_id to, uint16_t op, const void *payload, size_t size)
{
  CHECK(node->runtime != NULL);
  if (runs(node))
    sim_node_skip(node);
  return rt_post(node->runtime, to, op, payload, size) == RT_OK;
}
