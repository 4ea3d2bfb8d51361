/* The clients: they make requests, retry them under the same key until the outcome is final, send
 * some twice or long after, and hold every answer against what they were told before. */
#include <stdarg.h>
#include <string.h>

#include "actors/cluster/cluster.h"
#include "tests/sim/sim.h"

#define TICK_US 2000u
#define OP_TWISTED 1u /* hf_op.index of an op whose body is not its key's */

static struct sim_node *node_of(const rt_ctx *ctx)
{
  return rt_local(ctx, HF_LOCAL_FRONT);
}

uint64_t sim_rand(struct sim_world *world)
{
  uint64_t z = (world->rng += 0x9e3779b97f4a7c15ull); /* splitmix64 */
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

void sim_fail(struct sim_world *world, const char *format, ...)
{
  va_list arguments;
  if (world->failure[0] != '\0')
    return;
  va_start(arguments, format);
  vsnprintf(world->failure, sizeof world->failure, format, arguments);
  va_end(arguments);
}

/* ---- making requests ------------------------------------------------------------------------- */

static const uint8_t types[] = {
  LEDGER_T_GRANT,    LEDGER_T_GRANT,   LEDGER_T_EARN,  LEDGER_T_SETTLE,        LEDGER_T_MATURE,
  LEDGER_T_DEPOSIT,  LEDGER_T_SPEND,   LEDGER_T_SPEND, LEDGER_T_HOLD,          LEDGER_T_HOLD,
  LEDGER_T_CAPTURE,  LEDGER_T_CAPTURE, LEDGER_T_VOID,  LEDGER_T_TRANSFER,      LEDGER_T_TRANSFER,
  LEDGER_T_TRANSFER, LEDGER_T_ADJUST,  LEDGER_T_BLOCK, LEDGER_T_QUARANTINE_IN, LEDGER_T_RELEASE,
  LEDGER_T_REVERSE,
};

static void request_digests(struct sim_request *request)
{
  char text[160];
  int size = snprintf(text, sizeof text, "key-%u", request->number);
  request->key = hf_digest(text, (size_t)size);
  size = snprintf(text, sizeof text, "%u|%u|%u|%u|%lld|%llu|%u|%u|%d", request->type,
                  request->asset, request->user, request->payee, (long long)request->amount,
                  (unsigned long long)request->ref, request->timeout_s, request->bucket,
                  request->final_capture);
  request->request = hf_digest(text, (size_t)size);
}

static void request_refer(struct sim_world *world, struct sim_request *request)
{
  bool hold = request->type == LEDGER_T_CAPTURE || request->type == LEDGER_T_VOID;
  unsigned count = hold ? world->holds_count : world->ops_count;
  request->asset = 0;                          /* named by what it refers to */
  request->ref = 1u + sim_rand(world) % 5000u; /* mostly unknown */
  if (count == 0)
    return;
  unsigned pick = (unsigned)(sim_rand(world) % (count < 256u ? count : 256u));
  request->ref = hold ? world->holds[pick] : world->ops[pick];
  if (!sim_chance(world, 50))
    request->user = hold ? world->hold_users[pick] : world->op_users[pick];
}

static void request_make(struct sim_world *world, struct sim_request *request)
{
  *request = (struct sim_request){.number = world->requests_count, .bucket = LEDGER_CLAIMABLE};
  /* A few users take most of the traffic. */
  uint64_t pick = sim_rand(world) % world->users_count;
  request->user = (unsigned)(sim_chance(world, 500) ? pick % 3u % world->users_count : pick);
  request->payee = (unsigned)(sim_rand(world) % world->users_count);
  request->type = types[sim_rand(world) % sizeof types];
  request->asset = (uint16_t)(1u + sim_rand(world) % SIM_ASSETS);
  request->amount = 1 + (int64_t)(sim_rand(world) % 1000u);
  request->final_capture = sim_chance(world, 700);
  if (request->type == LEDGER_T_ADJUST && sim_chance(world, 500))
    request->amount = -request->amount;
  if (request->type == LEDGER_T_HOLD && sim_chance(world, 500))
    request->timeout_s = 1u + (uint32_t)(sim_rand(world) % 3u);
  if (request->type == LEDGER_T_CAPTURE || request->type == LEDGER_T_VOID ||
      request->type == LEDGER_T_REVERSE)
    request_refer(world, request);
  bool reverses = request->type == LEDGER_T_REVERSE;
  if (request->type == LEDGER_T_VOID || (reverses && sim_chance(world, 600)))
    request->amount = 0;
  request_digests(request);
}

/* Members of an atomic batch are of one user and move nothing to another one. */
static void member_make(struct sim_world *world, struct sim_request *request, unsigned user)
{
  do {
    request_make(world, request);
  } while (request->type == LEDGER_T_TRANSFER);
  request->user = user;
  request_digests(request);
}

static struct hf_op *op_make(const struct sim_world *world, struct sim_request *request)
{
  struct hf_op *op = hf_op_new();
  op->owner = request;
  op->user = world->users[request->user].id;
  op->has_key = true;
  op->command.type = request->type;
  op->command.key = request->key;
  op->command.request = request->request;
  op->command.bucket = request->bucket;
  op->command.final = request->final_capture;
  op->command.amount = (struct hf_decimal){.digits = request->amount, .scale = SIM_SCALE};
  op->command.amount_given = request->amount != 0;
  op->command.ref = request->ref;
  op->command.timeout_s = request->timeout_s;
  if (request->type == LEDGER_T_TRANSFER)
    op->command.counterparty = world->users[request->payee].id;
  if (request->asset != 0)
    snprintf(op->asset_code, sizeof op->asset_code, "A%u", request->asset);
  return op;
}

static void group_free(struct hf_op *op)
{
  for (struct hf_op *next; op != NULL; op = next) {
    next = op->group_next;
    hf_op_free(op);
  }
}

/* As the front door does. */
static bool ask(rt_ctx *ctx, rt_id to, uint16_t op, void *payload, uint64_t deadline_us)
{
  struct sim_world *world = node_of(ctx)->world;
  world->forwarded += !cluster_has(ctx, rt_id_shard(to));
  rt_status status = cluster_ask(ctx, to, op, payload, deadline_us, hf_corr(payload));
  if (status == RT_FAIL)
    status = rt_ask(ctx, to, op, &payload, sizeof payload, deadline_us, hf_corr(payload));
  return status == RT_OK;
}

static void request_send(rt_ctx *ctx, struct sim_world *world, struct sim_request *request)
{
  struct hf_op *op = op_make(world, request), **link = &op->group_next;
  CHECK(request->group > 0);
  if (request->state == SIM_FINAL && request->group == 1u && sim_chance(world, 300)) {
    op->index = OP_TWISTED;
    op->command.request.bytes[0] ^= 1u;
  }
  op->deadline_us = rt_now_us(ctx) + 1000u + sim_rand(world) % 2000000u;
  for (unsigned i = 1; i < request->group; i++) {
    *link = op_make(world, request + i);
    link = &(*link)->group_next;
  }
  if (!ask(ctx, hf_user_actor(op->user, world->partition_bits), HF_SUBMIT, op, op->deadline_us)) {
    group_free(op);
    return;
  }
  request->op = op;
  request->node = node_of(ctx);
  request->state = SIM_ASKED;
  request->sends++;
  world->inflight++;
}

/* ---- answers --------------------------------------------------------------------------------- */

static void learn_refs(struct sim_world *world, const struct sim_request *request)
{
  if (request->error != HF_OK)
    return;
  if (request->type == LEDGER_T_HOLD) {
    unsigned at = world->holds_count++ % 256u;
    world->holds[at] = request->op_id;
    world->hold_users[at] = request->user;
  }
  unsigned at = world->ops_count++ % 256u;
  world->ops[at] = request->op_id;
  world->op_users[at] = request->user;
}

static void request_final(struct sim_world *world, struct sim_request *request,
                          const struct hf_op *op)
{
  hf_id id = op->error == HF_OK ? hf_op_id(op) : 0;
  size_t count = 0;
  const struct ledger_entry *entries = hf_op_entries(op, &count);
  struct sim_user *user = &world->users[request->user];
  if (count > 0 && entries[count - 1u].version > user->shown)
    user->shown = entries[count - 1u].version;
  if (request->answers++ > 0) {
    if (request->error != op->error || request->op_id != id)
      sim_fail(world, "request %u flipped: %s %llu, then %s %llu", request->number,
               hf_error_info(request->error)->code, (unsigned long long)request->op_id,
               hf_error_info(op->error)->code, (unsigned long long)id);
    if (!op->replayed)
      sim_fail(world, "request %u was applied twice", request->number);
    return;
  }
  request->error = op->error;
  request->op_id = id;
  world->requests_final++;
  learn_refs(world, request);
}

/* All members of an atomic batch end alike: all applied, or none. */
static void group_final(struct sim_world *world, const struct sim_request *head)
{
  for (unsigned i = 1; i < head->group; i++)
    if ((head[i].error == HF_OK) != (head->error == HF_OK))
      sim_fail(world, "atomic batch at request %u was done in part", head->number);
}

/* The key of a final request under another body: nothing but a conflict is an answer. */
static void twisted_answered(struct sim_world *world, struct sim_request *request, struct hf_op *op)
{
  if (op->error != HF_E_IDEMPOTENCY_CONFLICT && !hf_error_info(op->error)->retryable)
    sim_fail(world, "request %u with another body: %s", request->number,
             hf_error_info(op->error)->code);
  request->state = SIM_FINAL;
  group_free(op);
}

static void request_answered(rt_ctx *ctx, struct sim_world *world, struct hf_op *op)
{
  struct sim_request *request = op->owner;
  bool retry = false;
  request->op = NULL;
  world->inflight--;
  if (op->index == OP_TWISTED) {
    twisted_answered(world, request, op);
    return;
  }
  for (struct hf_op *member = op; member != NULL; member = member->group_next)
    retry = retry || hf_error_info(member->error)->retryable;
  if (retry) {
    request->state = SIM_RETRY;
    request->retry_at_us = rt_now_us(ctx) + sim_rand(world) % 50000u;
  } else {
    for (struct hf_op *member = op; member != NULL; member = member->group_next) {
      request_final(world, member->owner, member);
      ((struct sim_request *)member->owner)->state = SIM_FINAL;
    }
    group_final(world, request);
  }
  group_free(op);
}

static void user_answered(struct sim_world *world, struct hf_create *create)
{
  struct sim_user *user = create->owner;
  user->create = NULL;
  user->node = NULL;
  user->asked = false;
  if (create->error == HF_OK) {
    if (user->id != 0 && user->id != create->user)
      sim_fail(world, "user %s was made twice", user->external_id);
    user->id = create->user;
    user->created = true;
    while (world->users_count < world->users_max && world->users[world->users_count].created)
      world->users_count++;
  } else if (!hf_error_info(create->error)->retryable) {
    sim_fail(world, "create of %s: %s", user->external_id, hf_error_info(create->error)->code);
  }
  rt_free(create);
}

/* ---- the tick -------------------------------------------------------------------------------- */

static void make_asset(rt_ctx *ctx, struct sim_world *world)
{
  struct hf_catalog_change *change = rt_alloc(sizeof *change);
  change->kind = CATALOG_ADD_ASSET;
  change->asset.scale = SIM_SCALE;
  change->asset.chain_decimals = 255;
  snprintf(change->asset.code, sizeof change->asset.code, "A%u", world->assets_created + 1u);
  if (rt_ask(ctx, catalog_home(ctx), HF_ASSET, &change, sizeof change, 0, hf_corr(change)) !=
      RT_OK) {
    rt_free(change);
    return;
  }
  world->change = change;
  world->change_node = node_of(ctx);
}

static void make_user(rt_ctx *ctx, struct sim_world *world, struct sim_user *user)
{
  struct hf_create *create = rt_alloc(sizeof *create);
  create->owner = user;
  create->has_key = true;
  create->key = hf_sha256(user->external_id, strlen(user->external_id));
  create->key.bytes[0] ^= 0x5a; /* another home than the external id's */
  create->has_external_id = true;
  memcpy(create->external_id, user->external_id, sizeof user->external_id);
  if (ask(ctx, hf_create_home(ctx, create, world->partition_bits), HF_CREATE, create, 0)) {
    user->asked = true;
    user->create = create;
    user->node = node_of(ctx);
  } else {
    rt_free(create);
  }
}

static bool prepare(rt_ctx *ctx, struct sim_world *world)
{
  bool ready = true;
  if (catalog_of(ctx) == NULL)
    return false;
  if (world->assets_created < SIM_ASSETS) {
    if (world->change == NULL)
      make_asset(ctx, world);
    return false;
  }
  for (unsigned i = 0; i < world->users_max; i++) {
    struct sim_user *user = &world->users[i];
    bool base = i < world->users_base;
    if (user->created)
      continue;
    ready = ready && !base;
    if (!user->asked && (base || (!world->healing && sim_chance(world, 5))))
      make_user(ctx, world, user);
  }
  return ready;
}

static void ask_view(rt_ctx *ctx, struct sim_world *world)
{
  struct sim_node *node = node_of(ctx);
  struct hf_view *view = hf_view_new();
  node->view_user = (unsigned)(sim_rand(world) % world->users_count);
  node->view_floor = world->users[node->view_user].shown;
  view->user = world->users[node->view_user].id;
  if (ask(ctx, hf_user_actor(view->user, world->partition_bits), HF_BALANCES, view, 0))
    node->view = view;
  else
    hf_view_free(view);
}

static void tick(rt_ctx *ctx, struct sim_world *world)
{
  uint64_t now_us = rt_now_us(ctx);
  if (world->ending || node_of(ctx)->state == SIM_LEAVING || !prepare(ctx, world))
    return;
  for (unsigned i = 0; i < world->requests_count; i++) {
    struct sim_request *request = &world->requests[i];
    if (request->state == SIM_RETRY && now_us >= request->retry_at_us &&
        world->inflight < world->inflight_max)
      request_send(ctx, world, request);
    else if (request->state == SIM_FINAL && request->group > 0 && !world->healing &&
             sim_chance(world, 3))
      request_send(ctx, world, request); /* a client that lost the answer */
  }
  unsigned burst = sim_chance(world, world->pace) ? (unsigned)(sim_rand(world) % 8u) : 0;
  while (!world->healing && burst-- > 0 && world->inflight < world->inflight_max &&
         world->requests_count < world->requests_max) {
    struct sim_request *request = &world->requests[world->requests_count];
    unsigned size = sim_chance(world, 150) ? 2u + (unsigned)(sim_rand(world) % 3u) : 1u;
    if (size > world->requests_max - world->requests_count)
      size = 1;
    request_make(world, request);
    if (size > 1u)
      member_make(world, request, request->user);
    request->group = (uint8_t)size;
    world->requests_count++;
    for (unsigned i = 1; i < size; i++) {
      member_make(world, request + i, request->user);
      world->requests_count++;
    }
    request_send(ctx, world, request);
    if (request->state == SIM_IDLE)
      request->state = SIM_RETRY;
  }
  if (node_of(ctx)->view == NULL && sim_chance(world, 200))
    ask_view(ctx, world);
}

/* What is shown is durable: the journal is as far, and says the same where it is no further. */
static void view_check(struct sim_node *node, const struct hf_view *view)
{
  struct sim_world *world = node->world;
  struct sim_user *user = &world->users[node->view_user];
  if (view->version < node->view_floor)
    sim_fail(world, "node %u shows user %llu at version %llu: %llu was seen before it was asked",
             node->index, (unsigned long long)view->user, (unsigned long long)view->version,
             (unsigned long long)node->view_floor);
  if (view->version > user->shown)
    user->shown = view->version;
  struct store_request *request = store_request_new(STORE_LOAD_USER);
  request->load_user.id = view->user;
  world->store.inner->ops->execute(world->store.inner, request);
  const struct store_loaded_user *loaded = &request->load_user.out;
  uint64_t version = loaded->entries_count == 0 ? 0 : loaded->entries[0].version;
  if (request->status != STORE_OK || view->version > version)
    sim_fail(world, "what is not durable was shown");
  for (size_t i = 0; i < loaded->entries_count && view->version == version; i++)
    for (unsigned j = 0; j < view->assets_count; j++)
      if (view->assets[j].asset == loaded->entries[i].asset &&
          memcmp(&view->assets[j].balance, &loaded->entries[i].after,
                 sizeof view->assets[j].balance) != 0)
        sim_fail(world, "another balance was shown than the journal has");
  store_request_free(request);
}

static void view_answered(struct sim_node *node, struct hf_view *view)
{
  struct sim_world *world = node->world;
  node->view = NULL;
  if (view->error == HF_OK)
    view_check(node, view);
  if (view->error == HF_OK)
    world->views_checked++;
  else if (!hf_error_info(view->error)->retryable)
    sim_fail(world, "balances: %s", hf_error_info(view->error)->code);
  for (unsigned i = 0; view->error == HF_OK && i < view->assets_count; i++)
    for (unsigned j = 0; j < LEDGER_BUCKET_COUNT; j++)
      if (view->assets[i].balance.bucket[j] < 0)
        sim_fail(world, "a negative balance was shown");
  hf_view_free(view);
}

/* What the runtime itself answers comes back with the asker's own pointer. */
static void refused(rt_ctx *ctx, struct sim_node *node, const rt_env *env)
{
  struct sim_world *world = node->world;
  void *pointer = env->payload.p.ptr;
  if (pointer == node->view) {
    node->view->error = HF_E_OVERLOADED;
    view_answered(node, node->view);
    return;
  }
  if (pointer == world->change) {
    rt_free(world->change);
    world->change = NULL;
    world->change_node = NULL;
    return;
  }
  for (unsigned i = 0; i < world->users_max; i++)
    if (pointer == world->users[i].create) {
      world->users[i].create->error = HF_E_OVERLOADED;
      user_answered(world, world->users[i].create);
      return;
    }
  struct hf_op *op = pointer;
  for (struct hf_op *member = op; member != NULL; member = member->group_next)
    member->error = HF_E_OVERLOADED;
  request_answered(ctx, world, op);
}

static rt_status client_handle(rt_ctx *ctx, void *state, const rt_env *env)
{
  struct sim_node *node = node_of(ctx);
  struct sim_world *world = node->world;
  (void)state;
  switch (env->op) {
  case RT_OP_TIMER:
    tick(ctx, world);
    rt_timer(ctx, TICK_US, 0);
    break;
  case HF_DONE:
    request_answered(ctx, world, env->payload.p.ptr);
    break;
  case HF_CREATE_DONE:
    user_answered(world, env->payload.p.ptr);
    break;
  case HF_ASSET_DONE: {
    struct hf_catalog_change *change = env->payload.p.ptr;
    world->assets_created += change->error == HF_OK;
    rt_free(change);
    world->change = NULL;
    world->change_node = NULL;
    break;
  }
  case HF_BALANCES_DONE:
    view_answered(node, env->payload.p.ptr);
    break;
  case RT_OP_DOWN:
  case RT_OP_OVERLOADED:
  case RT_OP_EXPIRED:
    refused(ctx, node, env);
    break;
  case RT_OP_STOPPING:
    break;
  default:
    CHECK(!"a message that the client does not know");
  }
  return RT_OK;
}

static rt_status client_load(rt_ctx *ctx, void *state)
{
  (void)state;
  if (rt_loop_index(ctx) == 0)
    rt_timer(ctx, TICK_US, 0);
  return RT_OK;
}

void sim_client_forget(struct sim_node *node)
{
  struct sim_world *world = node->world;
  for (unsigned i = 0; i < world->requests_count; i++) {
    struct sim_request *request = &world->requests[i];
    if (request->op == NULL || request->node != node)
      continue;
    group_free(request->op);
    request->op = NULL;
    request->state = SIM_RETRY;
    request->retry_at_us = 0;
    world->inflight--;
  }
  for (unsigned i = 0; i < world->users_max; i++) {
    struct sim_user *user = &world->users[i];
    if (user->node != node)
      continue;
    rt_free(user->create);
    user->create = NULL;
    user->node = NULL;
    user->asked = false;
  }
  hf_view_free(node->view);
  node->view = NULL;
  if (world->change_node != node)
    return;
  rt_free(world->change);
  world->change = NULL;
  world->change_node = NULL;
}

static const uint8_t client_may_ask[] = {HF_KIND_USER, HF_KIND_NAMES, HF_KIND_CATALOG, HF_KIND_PEER,
                                         0};

const rt_class sim_client_class = {
  .name = "client",
  .kind = HF_KIND_FRONT,
  .flags = RT_CLASS_PER_LOOP,
  .state_bytes = 8,
  .stash_max = 1024,
  .may_ask = client_may_ask,
  .load = client_load,
  .handle = client_handle,
};
