/* pg_port.c - the port: one set of sessions for each loop.
 *
 * Happy path: loop_begin connects; submit queues and pumps; loop_end frees what is left.
 * Ways to fail: too much waits (RT_AGAIN). Everything else is an answer: pg_loop.c.
 * Invariant: a loop's part is touched by its own thread only. */
#include <string.h>

#include "adapters/store_postgres/pg_clock.h"
#include "adapters/store_postgres/pg_port.h"
#include "adapters/store_postgres/store_postgres.h"
#include "holdfast/check.h"
#include "holdfast/driver.h"

static struct pg_port *port_of(struct store_port *port)
{
  return (struct pg_port *)port;
}

static void group_start(struct pg_loop *loop, enum pg_role role, unsigned count)
{
  struct pg_group *group = &loop->groups[role];
  group->wires = rt_alloc(count * sizeof *group->wires);
  group->count = count;
  for (unsigned i = 0; i < count; i++)
    pg_wire_init(&group->wires[i], loop, role, rt_rand(loop->ctx));
  for (unsigned i = 0; i < count; i++)
    pg_wire_start(&group->wires[i]);
}

static rt_status port_submit(struct store_port *base, rt_ctx *ctx, struct store_request *request)
{
  struct pg_port *port = port_of(base);
  struct pg_loop *loop = port->loops[rt_loop_index(ctx)];
  CHECK(loop != NULL && loop->ctx == ctx && !loop->in_turn);
  enum pg_role role = pg_loop_role(loop, request);
  struct pg_group *group = &loop->groups[role];
  struct pg_queue *queue = pg_group_queue(group, request);
  if (queue->count >= PG_QUEUE_MAX)
    return RT_AGAIN;
  loop->in_turn = true;
  if (role == PG_ROLE_LEASE && group->count == 0)
    group_start(loop, PG_ROLE_LEASE, 1);
  request->port = base;
  if (request->submitted_us == 0) /* the asker's own, by the same clock */
    request->submitted_us = pg_clock_us();
  pg_queue_push(queue, request);
  pg_loop_pump(loop);
  loop->in_turn = false;
  return RT_OK;
}

struct store_port *store_postgres_port_new(struct store_engine *engine,
                                           const struct store_postgres_config *config,
                                           unsigned loops)
{
  struct pg_port *port = rt_alloc(sizeof *port + loops * sizeof port->loops[0]);
  CHECK(loops > 0 && config->commits >= 1 && config->commits <= 16);
  CHECK(config->readers >= 1 && config->readers <= 16);
  port->engine = (struct pg_engine *)engine;
  port->engine->config.commits = config->commits;
  port->engine->config.readers = config->readers;
  pg_engine_name(port->engine, config->node);
  port->loops_count = loops;
  port->port = (struct store_port){.name = engine->ops->name,
                                   .window = config->commits,
                                   .shared = true,
                                   .submit = port_submit,
                                   .impl = port};
  pg_engine_disconnect(port->engine); /* it was there to open the database */
  return &port->port;
}

void store_postgres_port_loop_begin(struct store_port *base, rt_ctx *ctx)
{
  struct pg_port *port = port_of(base);
  const struct store_postgres_config *config = &port->engine->config;
  struct pg_loop *loop = rt_alloc(sizeof *loop);
  CHECK(rt_loop_index(ctx) < port->loops_count);
  CHECK(port->loops[rt_loop_index(ctx)] == NULL);
  port->loops[rt_loop_index(ctx)] = loop;
  loop->port = port;
  loop->ctx = ctx;
  loop->store = hf_loop_actor(HF_KIND_STORE, rt_loop_index(ctx));
  loop->timer_us = UINT64_MAX;
  loop->timer.data = loop;
  int failed = uv_timer_init(driver_uv_loop(ctx), &loop->timer);
  CHECK(failed == 0);
  for (unsigned role = 0; role < PG_ROLE_COUNT; role++) {
    struct pg_group *group = &loop->groups[role];
    struct pg_session_config *session = &group->config;
    bool replica = role == PG_ROLE_REPLICA;
    const char *dsn = replica ? config->replica_dsn : config->dsn;
    pg_engine_session_config(port->engine, dsn, replica, session);
    group->loop = loop;
    group->names =
      dsn == NULL ? NULL : pg_names_new(driver_uv_loop(ctx), dsn, pg_wire_resolved, group);
    session->resolve = group->names == NULL ? NULL : pg_wire_resolve;
    session->ended = pg_loop_ended;
    session->ended_arg = loop;
    session->closing = pg_wire_closing;
  }
  group_start(loop, PG_ROLE_COMMIT, config->commits);
  group_start(loop, PG_ROLE_READ, config->readers);
  if (config->replica_dsn != NULL)
    group_start(loop, PG_ROLE_REPLICA, config->readers);
  pg_loop_pump(loop);
}

/* ---- the end --------------------------------------------------------------------------------- */

static void request_free(struct store_request *request)
{
  request->port = NULL;
  store_request_free(request);
}

static void queue_free(struct pg_queue *queue)
{
  for (struct store_request *request; (request = pg_queue_take(queue)) != NULL;)
    request_free(request);
}

static void jobs_free(struct pg_loop *loop)
{
  while (loop->active != NULL) {
    struct pg_job *job = loop->active;
    loop->active = job->next;
    if (job->talk.ops->abandon != NULL)
      job->talk.ops->abandon(&job->talk);
    request_free(job->request);
    rt_free(job);
  }
  while (loop->free_jobs != NULL) {
    struct pg_job *job = loop->free_jobs;
    loop->free_jobs = job->next;
    rt_free(job);
  }
}

static void on_timer_closed(uv_handle_t *handle)
{
  rt_free(handle->data); /* the loop */
}

void store_postgres_port_loop_end(struct store_port *base, rt_ctx *ctx)
{
  struct pg_port *port = port_of(base);
  struct pg_loop *loop = port->loops[rt_loop_index(ctx)];
  CHECK(loop != NULL);
  port->loops[rt_loop_index(ctx)] = NULL;
  for (unsigned role = 0; role < PG_ROLE_COUNT; role++) {
    struct pg_group *group = &loop->groups[role];
    for (unsigned i = 0; i < group->count; i++)
      pg_wire_deinit(&group->wires[i]);
    rt_free(group->wires);
    group->count = 0;
    queue_free(&group->waiting);
    queue_free(&group->slow);
  }
  jobs_free(loop);
  queue_free(&loop->answers);
  (void)uv_timer_stop(&loop->timer);
  for (unsigned role = 0; role < PG_ROLE_COUNT; role++)
    pg_names_free(loop->groups[role].names); /* may turn the loop: nothing else of it is left */
  uv_close((uv_handle_t *)&loop->timer, on_timer_closed);
}

void store_postgres_port_free(struct store_port *base)
{
  if (base == NULL)
    return;
  struct pg_port *port = port_of(base);
  for (unsigned i = 0; i < port->loops_count; i++)
    CHECK(port->loops[i] == NULL); /* the runtime has ended */
  port->engine->engine.ops->close(&port->engine->engine);
  rt_free(port);
}
