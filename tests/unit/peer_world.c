#include "peer_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "actors/metrics.h"
#include "holdfast/check.h"

#define LOCAL_WORLD HF_LOCAL_FRONT
#define OP_FORWARD (HF_MESSAGE_END + 1)
#define OP_TELL_STALE (HF_MESSAGE_END + 2)
#define OP_RELEASE (HF_MESSAGE_END + 3)

struct errand { /* what the test has the front do */
  struct peer_forward forward;
  uint64_t timeout_us;
};

static struct world *world_of(const rt_ctx *ctx)
{
  return rt_local(ctx, LOCAL_WORLD);
}

/* ---- the port -------------------------------------------------------------------------------- */

static struct world *world_of_port(struct link_port *port)
{
  return port->impl;
}

static uint64_t port_open(struct link_port *port, rt_ctx *ctx, uint64_t node, const char *address)
{
  struct world *world = world_of_port(port);
  (void)ctx;
  assert_string_equal(address, "there:1");
  world->opened_node = node;
  return world->open_fails ? 0 : 2u * ++world->links;
}

static rt_status port_send(struct link_port *port, rt_ctx *ctx, uint64_t link, const void *bytes,
                           size_t size)
{
  struct world *world = world_of_port(port);
  (void)ctx;
  if (world->send_status != RT_OK)
    return world->send_status;
  if (world->frames_count == world->frames_room) {
    world->frames_room = 2u * world->frames_room + 64u;
    world->frames = realloc(world->frames, world->frames_room * sizeof *world->frames);
    CHECK(world->frames != NULL);
  }
  struct world_frame *frame = &world->frames[world->frames_count++];
  *frame = (struct world_frame){link, size, malloc(size)};
  CHECK(frame->bytes != NULL);
  memcpy(frame->bytes, bytes, size);
  return RT_OK;
}

static void port_close(struct link_port *port, rt_ctx *ctx, uint64_t link)
{
  struct world *world = world_of_port(port);
  (void)ctx;
  world->closed = link;
  world->closes++;
}

static void port_flush(struct link_port *port, rt_ctx *ctx)
{
  (void)ctx;
  world_of_port(port)->flushes++;
}

static void port_done(struct link_port *port, rt_ctx *ctx, struct link_frame *frame)
{
  (void)ctx;
  world_of_port(port)->given_back++;
  rt_free(frame);
}

/* ---- actors of this node --------------------------------------------------------------------- */

static void serve(rt_ctx *ctx, struct world *world, const rt_env *env)
{
  const unsigned op = frame_number_of(env->op);
  struct frame_ask ask = {.op = op, .payload = env->payload.p.ptr};
  if (frame_op(op)->op != HF_LEARN) /* which loops share */
    peer_make_answer(&world->random, &ask);
  rt_reply(ctx, env->from, env->corr, frame_op(op)->reply, &ask.payload, sizeof ask.payload);
}

static rt_status actor_handle(rt_ctx *ctx, void *state, const rt_env *env)
{
  struct world *world = world_of(ctx);
  (void)state;
  if (env->op == OP_RELEASE) {
    for (unsigned i = 0; i < world->held_count; i++)
      if (world->held[i].to == rt_self(ctx))
        serve(ctx, world, &world->held[i]);
    return RT_OK;
  }
  if ((env->flags & RT_F_ASK) == 0)
    return RT_OK; /* a drain begins */
  world->asked++;
  world->asked_op = env->op;
  world->asked_actor = env->to;
  world->asked_deadline_us = env->deadline_us;
  if (world->mode == WORLD_FAILS)
    return RT_FAIL;
  if (world->mode == WORLD_ANSWERS) {
    serve(ctx, world, env);
    return RT_OK;
  }
  CHECK(world->held_count < sizeof world->held / sizeof world->held[0]);
  world->held[world->held_count++] = *env;
  return RT_OK;
}

static const rt_class user_class = {
  .name = "user", .kind = HF_KIND_USER, .state_bytes = 8, .handle = actor_handle};
static const rt_class names_class = {
  .name = "names", .kind = HF_KIND_NAMES, .state_bytes = 8, .handle = actor_handle};
static const rt_class catalog_class = {.name = "catalog",
                                       .kind = HF_KIND_CATALOG,
                                       .flags = RT_CLASS_PER_LOOP,
                                       .state_bytes = 8,
                                       .handle = actor_handle};

/* Answers the catalog's reads. */
static rt_status store_handle(rt_ctx *ctx, void *state, const rt_env *env)
{
  struct world *world = world_of(ctx);
  (void)state;
  if (env->op != HF_READ)
    return RT_OK;
  struct store_request *request = env->payload.p.ptr;
  assert_int_equal(request->kind, STORE_CATALOG);
  world->store_reads++;
  request->status = world->store_fails ? STORE_UNAVAILABLE : STORE_OK;
  if (!world->store_fails) {
    const size_t size = world->store_assets * sizeof *request->catalog.assets;
    request->catalog.assets = hf_arena_alloc(&request->arena, size);
    request->catalog.assets_count = world->store_assets;
  }
  for (unsigned i = 0; i < request->catalog.assets_count; i++) {
    struct store_asset_row *asset = &request->catalog.assets[i];
    asset->id = (uint16_t)(i + 1u);
    asset->code[0] = (char)('A' + i);
  }
  rt_reply(ctx, env->from, env->corr, HF_READ_DONE, &request, sizeof request);
  return RT_OK;
}

static const rt_class store_class = {.name = "store",
                                     .kind = HF_KIND_STORE,
                                     .flags = RT_CLASS_PER_LOOP,
                                     .state_bytes = 8,
                                     .handle = store_handle};

/* ---- the front ------------------------------------------------------------------------------- */

static rt_status front_handle(rt_ctx *ctx, void *state, const rt_env *env)
{
  struct world *world = world_of(ctx);
  (void)state;
  if (env->op == OP_FORWARD) {
    struct errand *errand = env->payload.p.ptr;
    const uint64_t deadline_us = errand->timeout_us == 0 ? 0 : rt_now_us(ctx) + errand->timeout_us;
    assert_int_equal(rt_ask(ctx, hf_loop_actor(HF_KIND_PEER, rt_loop_index(ctx)), HF_FORWARD,
                            &errand->forward, sizeof errand->forward, deadline_us,
                            hf_corr(errand->forward.payload)),
                     RT_OK);
    free(errand);
  } else if (env->op == OP_TELL_STALE) {
    assert_int_equal(
      peer_tell_stale(ctx, WORLD_OTHER, env->payload.p.ptr, rt_now_us(ctx) + WORLD_TIMEOUT_US),
      RT_OK);
  } else if (env->op != RT_OP_STOPPING) {
    world->replies++;
    world->reply_op = env->op;
    world->reply_payload = env->payload.p.ptr;
    world->reply_error = env->payload.u[1];
  }
  return RT_OK;
}

static const uint8_t front_may_ask[] = {HF_KIND_PEER, 0};
static const rt_class front_class = {.name = "front",
                                     .kind = HF_KIND_FRONT,
                                     .flags = RT_CLASS_PER_LOOP,
                                     .state_bytes = 8,
                                     .may_ask = front_may_ask,
                                     .handle = front_handle};

/* ---- the world ------------------------------------------------------------------------------- */

static void loop_start(void *arg, rt_ctx *ctx)
{
  struct world *world = arg;
  rt_set_local(ctx, HF_LOCAL_SETUP, &world->setup);
  rt_set_local(ctx, LOCAL_WORLD, world);
  struct cluster *cluster = cluster_new(PEER_BITS, false);
  cluster->nodes_count = 1;
  cluster->nodes[0] = (struct store_node){.id = WORLD_OTHER, .takes = true, .address = "there:1"};
  for (unsigned i = 0; i < cluster->partitions; i++) {
    cluster->places[i].owner = i % 2u == 0 ? WORLD_SELF : WORLD_OTHER;
    cluster->places[i].where = i % 2u == 0 ? CLUSTER_HERE : CLUSTER_ELSEWHERE;
  }
  world->clusters[rt_loop_index(ctx)] = cluster;
  rt_set_local(ctx, HF_LOCAL_CLUSTER, cluster);
}

static struct world *world_make(const rt_class *const *classes)
{
  const struct driver_sim_config sim = {.seed = 5, .start_wall_us = 1700000000000000ull};
  struct world *world = calloc(1, sizeof *world);
  assert_non_null(world);
  world->random.state = 99;
  world->port = (struct link_port){.open = port_open,
                                   .send = port_send,
                                   .close = port_close,
                                   .flush = port_flush,
                                   .done = port_done,
                                   .impl = world};
  world->setup = (struct hf_setup){.partition_bits = PEER_BITS,
                                   .op_timeout_us = WORLD_TIMEOUT_US,
                                   .node = WORLD_SELF,
                                   .link = &world->port};
  world->driver = driver_sim_new(&sim);
  struct rt_config config = {.loops = WORLD_LOOPS,
                             .shards = 1u << PEER_BITS,
                             .classes = classes,
                             .metrics = hf_actor_metrics,
                             .metrics_count = HF_METRIC_COUNT,
                             .overflow_max = 4u * PEER_ASKS_MAX,
                             .credits = 4u * PEER_ASKS_MAX,
                             .loop_start = loop_start,
                             .arg = world};
  world->runtime = rt_start(world->driver, &config);
  assert_non_null(world->runtime);
  return world;
}

static void post(struct world *world, rt_id to, uint16_t op, const void *payload, size_t size)
{
  assert_int_equal(rt_post(world->runtime, to, op, payload, size), RT_OK);
}

struct world *world_new(void)
{
  static const rt_class *const classes[] = {&hf_peer_class, &user_class,  &names_class,
                                            &catalog_class, &front_class, NULL};
  return world_make(classes);
}

struct world *world_new_with_catalog(unsigned assets)
{
  static const rt_class *const classes[] = {
    &hf_peer_class, &user_class, &names_class, &hf_catalog_class, &front_class, &store_class, NULL};
  struct world *world = world_make(classes);
  world->store_assets = assets;
  for (unsigned i = 0; i < WORLD_LOOPS; i++)
    post(world, hf_loop_actor(HF_KIND_CATALOG, i), HF_STALE, NULL, 0);
  world_run(world, 1000);
  assert_int_equal(world->store_reads, WORLD_LOOPS);
  return world;
}

void world_run(struct world *world, uint64_t us)
{
  const uint64_t until_us = driver_sim_now_us(world->driver) + us;
  while (driver_sim_step(world->driver, until_us)) {
  }
}

static void world_end(struct world *world)
{
  driver_sim_free(world->driver);
  for (unsigned i = 0; i < WORLD_LOOPS; i++)
    cluster_free(world->clusters[i]);
  for (size_t i = 0; i < world->frames_count; i++)
    free(world->frames[i].bytes);
  free(world->frames);
  free(world);
}

void world_free(struct world *world)
{
  rt_stop(world->runtime, 10000000);
  world_run(world, 11000000);
  assert_true(rt_join(world->runtime));
  world_end(world);
}

void world_crash(struct world *world)
{
  driver_sim_crash(world->driver, world->runtime);
  world_end(world);
}

/* ---- the front's errands --------------------------------------------------------------------- */

void world_forward(struct world *world, unsigned op, void *payload, rt_id to, uint64_t timeout_us)
{
  struct errand *errand = malloc(sizeof *errand);
  assert_non_null(errand);
  errand->forward = (struct peer_forward){.payload = payload, .to = to, .op = frame_op(op)->op};
  errand->timeout_us = timeout_us;
  post(world, hf_loop_actor(HF_KIND_FRONT, 0), OP_FORWARD, &errand, sizeof errand);
  world_run(world, 1000);
}

static rt_id target_of(const struct frame_ask *ask)
{
  switch ((enum hf_message)frame_op(ask->op)->op) {
  case HF_SUBMIT:
    return hf_user_actor(((const struct hf_op *)ask->payload)->user, PEER_BITS);
  case HF_BALANCES:
    return hf_user_actor(((const struct hf_view *)ask->payload)->user, PEER_BITS);
  case HF_PEEK:
  case HF_SET_STATUS:
    return hf_user_actor(((const struct hf_peek *)ask->payload)->user, PEER_BITS);
  case HF_CREATE:
  case HF_RESERVE:
    return hf_partition_actor(HF_KIND_NAMES, ask->partition);
  case HF_ASSET:
    return hf_loop_actor(HF_KIND_CATALOG, 0);
  default:
    return WORLD_OTHER;
  }
}

void world_forward_ask(struct world *world, const struct frame_ask *ask, uint64_t timeout_us)
{
  world_forward(world, ask->op, ask->payload, target_of(ask), timeout_us);
}

void world_tell_stale(struct world *world, struct hf_catalog_change *change)
{
  post(world, hf_loop_actor(HF_KIND_FRONT, 0), OP_TELL_STALE, &change, sizeof change);
  world_run(world, 1000);
}

/* The catalogue's partition is 0, which is here: the other node has it when it is asked for it. */
struct frame_ask world_make_ask(struct world *world, unsigned op, bool here)
{
  for (;;) {
    struct frame_ask ask = peer_make_ask(&world->random, op);
    const uint16_t name = frame_op(op)->op;
    if (name == HF_ASSET || name == HF_LEARN) {
      for (unsigned i = 0; i < WORLD_LOOPS; i++) {
        world->clusters[i]->places[0].owner = here ? WORLD_SELF : WORLD_OTHER;
        world->clusters[i]->places[0].where = here ? CLUSTER_HERE : CLUSTER_ELSEWHERE;
      }
      return ask;
    }
    if ((ask.partition % 2u == 0) == here)
      return ask;
    frame_payload_free(op, ask.payload);
  }
}

/* ---- the other node -------------------------------------------------------------------------- */

struct world_frame *world_frame(struct world *world)
{
  assert_true(world->frames_read < world->frames_count);
  return &world->frames[world->frames_read++];
}

void world_bytes(struct world *world, uint64_t link, const void *bytes, size_t size)
{
  struct link_frame *frame = rt_alloc(sizeof *frame + size);
  frame->link = link;
  frame->node = WORLD_OTHER;
  frame->size = size;
  memcpy(frame->bytes, bytes, size);
  post(world, hf_loop_actor(HF_KIND_PEER, 0), HF_LINK_FRAME, &frame, sizeof frame);
  world_run(world, 1000);
}

void world_ask_comes(struct world *world, uint64_t link, const struct frame_ask *ask)
{
  struct hf_bytes bytes = {0};
  frame_put_ask(ask, &bytes);
  world_bytes(world, link, bytes.at, bytes.size);
  hf_bytes_deinit(&bytes);
}

void world_answer_comes(struct world *world, uint64_t link, const struct frame_ask *ask)
{
  struct hf_bytes bytes = {0};
  frame_put_answer(ask->number, ask->op, ask->payload, &bytes);
  world_bytes(world, link, bytes.at, bytes.size);
  hf_bytes_deinit(&bytes);
}

void world_down(struct world *world, uint64_t link, uint64_t sent)
{
  const struct link_down down = {link, sent};
  post(world, hf_loop_actor(HF_KIND_PEER, 0), HF_LINK_DOWN, &down, sizeof down);
  world_run(world, 1000);
}

void world_release(struct world *world)
{
  for (unsigned i = 0; i < world->held_count; i++)
    if (i == 0 || world->held[i].to != world->held[i - 1u].to)
      post(world, world->held[i].to, OP_RELEASE, NULL, 0);
  world_run(world, 1000);
  world->held_count = 0;
}

enum hf_error world_error_of(unsigned op, const void *payload)
{
  switch ((enum hf_message)frame_op(op)->op) {
  case HF_SUBMIT:
    return ((const struct hf_op *)payload)->error;
  case HF_BALANCES:
    return ((const struct hf_view *)payload)->error;
  case HF_PEEK:
  case HF_SET_STATUS:
    return ((const struct hf_peek *)payload)->error;
  case HF_CREATE:
  case HF_RESERVE:
    return ((const struct hf_create *)payload)->error;
  default:
    return ((const struct hf_catalog_change *)payload)->error;
  }
}
