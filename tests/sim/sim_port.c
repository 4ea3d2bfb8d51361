/* The shared store as a node reaches it: every request arrives a while after it was sent, whether
 * the node still lives or not, and its answer comes a while later; either may take longer than the
 * lease does. A commit is copied when it is sent: it may arrive when the node has answered
 * "unknown" long ago, or is dead.
 *
 * What cannot happen: two commits of one partition of one node at the same time, because the store
 * actor has one in flight. */
#include <string.h>

#include "tests/sim/sim.h"

#define DELAY_US_MAX 4000u
#define CUT_ANSWER_US 50000u /* a request finds out that the store is not there */

struct flight {
  struct sim_node *node;
  uint64_t life;
  rt_id asker;
  struct store_request *request; /* NULL: it was answered already */
  struct store_request *copy;    /* of a commit: what is executed */
};

static struct sim_faults faults_of(const struct sim_world *world)
{
  if (world->healing)
    return (struct sim_faults){0};
  return world->store.faults;
}

static bool lives(const struct flight *flight)
{
  return flight->node->runtime != NULL && flight->node->life == flight->life;
}

/* ---- copies ---------------------------------------------------------------------------------- */

static void *copy_of(struct hf_arena *arena, const void *from, size_t size)
{
  void *to = hf_arena_alloc(arena, size + 1u);
  if (size > 0)
    memcpy(to, from, size);
  return to;
}

static void copy_text(struct hf_arena *arena, struct store_text *text)
{
  if (text->at != NULL)
    text->at = copy_of(arena, text->at, text->size);
}

static void copy_row(struct hf_arena *arena, struct store_row *row)
{
  if (row->table == STORE_T_USER) {
    copy_text(arena, &row->user.external_id);
    copy_text(arena, &row->user.profile);
  } else if (row->table == STORE_T_META) {
    copy_text(arena, &row->meta.json);
  } else if (row->table == STORE_T_ASSET) {
    row->asset = copy_of(arena, row->asset, sizeof *row->asset);
  } else if (row->table == STORE_T_KEY) {
    row->key = copy_of(arena, row->key, sizeof *row->key);
  }
}

static struct store_unit *copy_unit(struct hf_arena *arena, const struct store_unit *from)
{
  struct store_unit *unit = copy_of(arena, from, sizeof *unit);
  size_t bodies = 0;
  for (unsigned i = 0; i < unit->entries_count; i++)
    bodies += unit->body_sizes[i];
  unit->entries = copy_of(arena, from->entries, unit->entries_count * sizeof *unit->entries);
  unit->body_sizes =
    copy_of(arena, from->body_sizes, unit->entries_count * sizeof *unit->body_sizes);
  unit->bodies = copy_of(arena, from->bodies, bodies);
  unit->rows = copy_of(arena, from->rows, unit->rows_count * sizeof *unit->rows);
  for (unsigned i = 0; i < unit->rows_count; i++)
    copy_row(arena, &unit->rows[i]);
  unit->hit = NULL;
  return unit;
}

static struct store_request *copy_commit(const struct store_request *from)
{
  struct store_request *copy = store_request_new(STORE_COMMIT);
  copy->commit.batches_count = from->commit.batches_count;
  copy->commit.batches = copy_of(&copy->arena, from->commit.batches,
                                 from->commit.batches_count * sizeof *from->commit.batches);
  copy->commit.units_count = from->commit.units_count;
  copy->commit.units =
    hf_arena_alloc(&copy->arena, (from->commit.units_count + 1u) * sizeof(struct store_unit *));
  for (size_t i = 0; i < from->commit.units_count; i++)
    copy->commit.units[i] = copy_unit(&copy->arena, from->commit.units[i]);
  return copy;
}

static void copy_free(struct store_request *copy)
{
  for (size_t i = 0; i < copy->commit.units_count; i++)
    store_op_free(copy->commit.units[i]->hit);
  store_request_free(copy);
}

/* What became of the copy is the answer to the original. */
static void copy_answer(struct store_request *request, struct store_request *copy)
{
  request->status = copy->status;
  request->commit.leads = true;
  for (size_t i = 0; i < request->commit.units_count; i++) {
    struct store_unit *from = copy->commit.units[i];
    request->commit.units[i]->status = from->status;
    request->commit.units[i]->hit = from->hit;
    from->hit = NULL;
  }
}

/* ---- arriving and answering ------------------------------------------------------------------ */

static void answer(struct sim_world *world, void *arg)
{
  struct flight *flight = arg;
  if (!lives(flight)) {
    flight->request->port = NULL;
    store_request_free(flight->request);
    rt_free(flight);
    return;
  }
  struct store_port *port = flight->request->port;
  flight->request->port = NULL;
  if (sim_post(flight->node, flight->asker, HF_STORE_ANSWER, &flight->request,
               sizeof flight->request)) {
    rt_free(flight);
    return;
  }
  flight->request->port = port; /* its inbox is full: it sleeps */
  sim_at(world, world->now_us + 1000u, answer, flight);
}

/* Some are late by up to two leases: requests on their way to the store, answers on theirs back. */
static uint64_t way_us(struct sim_world *world, unsigned stuck)
{
  uint64_t delay_us = sim_chaos(world) % DELAY_US_MAX;
  if (world->healing || !sim_strikes(world, stuck))
    return delay_us;
  delay_us = sim_chaos(world) % (2u * world->lease_us);
  sim_harmed(world, world->now_us + delay_us);
  return delay_us;
}

static void execute(struct sim_world *world, struct store_request *request)
{
  struct store_engine *engine = world->store.inner;
  if (request->kind != STORE_COMMIT) {
    engine->ops->execute(engine, request);
    return;
  }
  engine->ops->commit_many(engine, &request, 1);
  sim_log_commit(world, request);
}

/* A commit whose sender was told "unknown" long ago. */
static void arrive_late(struct sim_world *world, void *arg)
{
  struct store_request *copy = arg;
  execute(world, copy);
  copy_free(copy);
}

static void commit_unknown(struct sim_world *world, struct flight *flight)
{
  uint64_t lot = sim_chaos(world) % 3u;
  if (lot == 0)
    execute(world, flight->copy);
  if (lot == 1) {
    uint64_t within_us = sim_strikes(world, 500) ? 2u * DELAY_US_MAX : 2u * world->lease_us;
    sim_at(world, world->now_us + sim_chaos(world) % within_us, arrive_late, flight->copy);
    flight->copy = NULL;
  }
  if (lives(flight))
    flight->request->status = STORE_UNKNOWN;
}

static void arrive_commit(struct sim_world *world, struct flight *flight)
{
  struct sim_faults faults = faults_of(world);
  world->store.commits++;
  if (sim_strikes(world, faults.commit_refused)) {
    world->store.injected++;
    flight->request->status = STORE_UNAVAILABLE;
  } else if (sim_strikes(world, faults.commit_unknown)) {
    world->store.injected++;
    commit_unknown(world, flight);
  } else {
    execute(world, flight->copy);
    if (lives(flight))
      copy_answer(flight->request, flight->copy);
  }
  if (flight->copy != NULL)
    copy_free(flight->copy);
  flight->copy = NULL;
}

static void arrive_other(struct sim_world *world, struct flight *flight)
{
  struct sim_faults faults = faults_of(world);
  struct store_request *request = flight->request;
  bool lease = request->kind == STORE_LEASE, open = request->kind == STORE_OPEN_PARTITION;
  unsigned rate = lease ? faults.lease_refused : open ? faults.open_refused : faults.read_refused;
  bool refused = sim_strikes(world, rate);
  world->store.injected += refused;
  if (!refused || ((lease || open) && sim_strikes(world, 500)))
    execute(world, request);
  if (lease && !world->healing && sim_strikes(world, 2))
    world->incarnation++; /* the database starts anew, and has lost nothing */
  if (lease)
    request->lease.incarnation = 1u + world->incarnation;
  if (refused)
    request->status = STORE_UNAVAILABLE;
}

static void arrive(struct sim_world *world, void *arg)
{
  struct flight *flight = arg;
  bool cut = flight->node->cut_us > world->now_us || world->outage_us > world->now_us;
  /* A commit's answer that is late keeps its partitions from going on, so it is seldom. */
  unsigned stuck = flight->copy != NULL ? world->stuck / 5u : world->stuck;
  if (cut && flight->copy != NULL) {
    copy_free(flight->copy);
    flight->copy = NULL;
  }
  if (cut)
    flight->request->status = STORE_UNAVAILABLE;
  else if (flight->copy != NULL)
    arrive_commit(world, flight);
  else
    arrive_other(world, flight);
  sim_at(world, world->now_us + (cut ? CUT_ANSWER_US : way_us(world, stuck)), answer, flight);
}

static rt_status port_submit(struct store_port *port, rt_ctx *ctx, struct store_request *request)
{
  struct sim_node *node = port->impl;
  struct sim_world *world = node->world;
  if (!world->healing && sim_strikes(world, 5))
    return RT_AGAIN;
  struct flight *flight = rt_alloc(sizeof *flight);
  *flight =
    (struct flight){.node = node, .life = node->life, .asker = rt_self(ctx), .request = request};
  request->port = port;
  if (request->kind == STORE_COMMIT)
    flight->copy = copy_commit(request);
  sim_at(world, world->now_us + way_us(world, world->stuck), arrive, flight);
  return RT_OK;
}

void sim_port_init(struct sim_node *node)
{
  node->shared_port = (struct store_port){.name = "sim",
                                          .window = 1u + node->index % 3u,
                                          .shared = true,
                                          .submit = port_submit,
                                          .impl = node};
  node->port = &node->shared_port;
}
