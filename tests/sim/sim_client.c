/* The clients: they make requests, retry them under the same key until the outcome is final, send
 * some twice or long after, and hold every answer against what they were told before. */
#include <stdarg.h>
#include <string.h>

#include "actors/cluster/cluster.h"
#include "holdfast/check.h"
#include "tests/sim/sim.h"

#define TICK_US 2000u
#define RETRY_US 25000u
#define RETRIES_PATIENT 8u
#define OP_TWISTED 1u /* hf_op.index of an op whose body is not its key's, which is final */
#define OP_TWIN 2u    /* ... of one whose body is another than that of the op beside it */
#define TWIN_BODY 1u

struct sim_node *sim_node_of(const rt_ctx *ctx)
{
  return rt_local(ctx, SIM_LOCAL_NODE);
}

uint64_t sim_rand(struct sim_world *world)
{
  uint64_t z = (world->rng += 0x9e3779b97f4a7c15ull); /* splitmix64 */
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

unsigned sim_user_any(struct sim_world *world)
{
  uint64_t pick = sim_rand(world) % world->users_count;
  return (unsigned)(sim_chance(world, 500) ? pick % 3u % world->users_count : pick);
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

/* ---- requests by key and by state ------------------------------------------------------------ */

void sim_requests_init(struct sim_world *world)
{
  size_t room = world->requests_max + 1u;
  world->by_key_size = 64;
  while (world->by_key_size < 2u * room)
    world->by_key_size *= 2u;
  world->by_key = rt_alloc(world->by_key_size * sizeof *world->by_key);
  world->requests = rt_alloc(room * sizeof *world->requests);
  world->waiting = rt_alloc(room * sizeof *world->waiting);
  world->finals = rt_alloc(room * sizeof *world->finals);
  for (unsigned i = 0; i < SIM_USERS_MAX; i++) {
    world->users[i].makers_count = 1;
    for (unsigned j = 0; j < SIM_MAKERS; j++)
      world->users[i].makers[j].user = &world->users[i];
  }
}

void sim_requests_deinit(struct sim_world *world)
{
  rt_free(world->by_key);
  rt_free(world->requests);
  rt_free(world->waiting);
  rt_free(world->finals);
}

/* A key is a user's: that of another one may be the same. */
static uint32_t *key_slot(struct sim_world *world, hf_id user, const struct hf_digest *key)
{
  uint32_t at;
  memcpy(&at, key->bytes, sizeof at);
  for (;; at++) {
    uint32_t *slot = &world->by_key[at & (world->by_key_size - 1u)];
    if (*slot == 0)
      return slot;
    const struct sim_request *request = &world->requests[*slot - 1u];
    if (world->users[request->user].id == user && memcmp(&request->key, key, sizeof *key) == 0)
      return slot;
  }
}

struct sim_request *sim_request_by_key(struct sim_world *world, hf_id user,
                                       const struct hf_digest *key)
{
  uint32_t slot = *key_slot(world, user, key);
  return slot == 0 ? NULL : &world->requests[slot - 1u];
}

/* To be sent again, at once or later. */
static void request_wait(struct sim_world *world, struct sim_request *request, uint64_t at_us)
{
  request->state = SIM_RETRY;
  request->retry_at_us = at_us;
  world->waiting[world->waiting_count++] = request->number;
}

static void request_end(struct sim_world *world, struct sim_request *request)
{
  request->state = SIM_FINAL;
  world->finals[world->finals_count++] = request->number;
}

/* ---- sending them ---------------------------------------------------------------------------- */

static struct hf_op *op_make(struct sim_world *world, struct sim_request *request, unsigned body)
{
  struct hf_op *op = hf_op_new();
  op->owner = request;
  op->user = world->users[request->user].id;
  op->has_key = true;
  op->command.type = request->type;
  op->command.key = request->key;
  op->command.request = request->bodies[body];
  op->command.bucket = request->bucket;
  op->command.final = request->final_capture;
  op->command.amount_given = request->amount != 0;
  if (request->amount != 0)
    op->command.amount = sim_decimal(request->amount);
  op->command.ref = request->ref;
  op->command.timeout_s = request->timeout_s;
  op->command.if_version = request->if_version;
  sim_beside_ask(world, request, body, op);
  if (request->type == LEDGER_T_TRANSFER)
    op->command.counterparty = world->users[request->payee].id;
  op->command.asset_given = request->asset != 0;
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

bool sim_ask(rt_ctx *ctx, rt_id to, uint16_t op, void *payload, uint64_t deadline_us)
{
  struct sim_node *node = sim_node_of(ctx);
  struct sim_world *world = node->world;
  struct sim_request *request = op == HF_SUBMIT ? ((struct hf_op *)payload)->owner : NULL;
  if (sim_ask_door(node, op, payload, deadline_us == 0 ? 0 : deadline_us - rt_now_us(ctx))) {
    if (request != NULL)
      request->by_door = true;
    return true;
  }
  if (request != NULL)
    request->by_actor = true;
  world->forwarded += !cluster_has(ctx, rt_id_shard(to));
  rt_status status = cluster_ask(ctx, to, op, payload, deadline_us, hf_corr(payload));
  if (status == RT_FAIL)
    status = rt_ask(ctx, to, op, &payload, sizeof payload, deadline_us, hf_corr(payload));
  return status == RT_OK;
}

/* A client that takes one key for two bodies at once: one of them is taken, the other is in
 * conflict with it. */
static void twin_send(rt_ctx *ctx, struct sim_world *world, struct sim_request *request)
{
  if (request->group != 1u || request->body != 0 || request->twin != NULL ||
      request->state == SIM_FINAL || !sim_chance(world, 40))
    return;
  struct hf_op *op = op_make(world, request, TWIN_BODY);
  op->index = OP_TWIN;
  op->deadline_us = rt_now_us(ctx) + 1000u + sim_rand(world) % 2000000u;
  if (!sim_ask(ctx, hf_user_actor(op->user, world->partition_bits), HF_SUBMIT, op,
               op->deadline_us)) {
    hf_op_free(op);
    return;
  }
  if (request->asked_us == 0)
    request->asked_us = world->now_us;
  request->twin = op;
  request->twin_node = sim_node_of(ctx);
}

/* False: it could not be sent, and is as it was. */
static bool request_send(rt_ctx *ctx, struct sim_world *world, struct sim_request *request)
{
  CHECK(request->group > 0);
  bool first = sim_chance(world, 500);
  if (first)
    twin_send(ctx, world, request);
  bool twists = request->state == SIM_FINAL && request->group == 1u && sim_chance(world, 300);
  struct hf_op *op = op_make(world, request, request->body ^ twists), **link = &op->group_next;
  op->index = twists ? OP_TWISTED : 0;
  op->deadline_us = rt_now_us(ctx) + 1000u + sim_rand(world) % 2000000u;
  for (unsigned i = 0; i < request->group; i++)
    if (request[i].asked_us == 0)
      request[i].asked_us = world->now_us;
  for (unsigned i = 1; i < request->group; i++) {
    *link = op_make(world, request + i, request[i].body);
    link = &(*link)->group_next;
  }
  rt_id user = hf_user_actor(op->user, world->partition_bits);
  if (!sim_ask(ctx, user, HF_SUBMIT, op, op->deadline_us)) {
    group_free(op);
    return false;
  }
  if (!first)
    twin_send(ctx, world, request);
  request->op = op;
  request->node = sim_node_of(ctx);
  request->state = SIM_ASKED;
  request->sends++;
  world->inflight++;
  return true;
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
  if (request->type == LEDGER_T_BLOCK) {
    unsigned at = world->blocks_count++ % 256u;
    world->blocks[at] = request->op_id;
    world->block_users[at] = request->user;
  }
  unsigned at = world->ops_count++ % 256u;
  world->ops[at] = request->op_id;
  world->op_users[at] = request->user;
}

/* An answer for ever is the store's: what it says is there by now. */
static void final_check(struct sim_world *world, const struct sim_request *request,
                        const struct hf_op *op)
{
  if (hf_error_info(op->error)->status == 400)
    sim_fail(world, "request %u is well-formed and was answered %s", request->number,
             hf_error_info(op->error)->code);
  if (op->error == HF_OK && request->applied != 1)
    sim_fail(world, "request %u was acknowledged and is not durable", request->number);
  bool bounced = op->error == HF_E_LIMIT_EXCEEDED && sim_log_bounced(world, request);
  if (op->error != HF_OK && request->applied != 0 && !bounced)
    sim_fail(world, "request %u was refused (%s) and is there", request->number,
             hf_error_info(op->error)->code);
  if (op->error != HF_OK && request->refused != 1 && !bounced)
    sim_fail(world, "the refusal of request %u (%s) is not durable", request->number,
             hf_error_info(op->error)->code);
  if (op->error == HF_OK && request->type == LEDGER_T_TRANSFER &&
      !sim_log_credited(world, hf_op_id(op)))
    sim_fail(world, "transfer %u was acknowledged and is not credited", request->number);
  sim_log_shown(world, request);
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
  uint64_t told = 0;
  for (size_t i = 0; i < count; i++)
    told = sim_entry_mix(told, &entries[i]);
  final_check(world, request, op);
  if (request->answers++ > 0) {
    if (request->told != told)
      sim_fail(world, "request %u was answered by other entries than before", request->number);
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
  request->told = told;
  world->requests_final++;
  learn_refs(world, request);
}

/* All members of an atomic batch end alike: all applied, or none, and then one of them is why. */
static void group_final(struct sim_world *world, const struct sim_request *head)
{
  unsigned reasons = 0;
  for (unsigned i = 0; i < head->group; i++) {
    reasons += head[i].error != HF_OK && head[i].error != HF_E_BATCH_ABORTED;
    if ((head[i].error == HF_OK) != (head->error == HF_OK))
      sim_fail(world, "atomic batch at request %u was done in part", head->number);
  }
  if (reasons != (head->error == HF_OK ? 0u : 1u))
    sim_fail(world, "atomic batch at request %u was refused for %u reasons", head->number, reasons);
}

/* The key of a final request under another body: nothing but a conflict is an answer. */
static void twisted_answered(struct sim_world *world, struct sim_request *request, struct hf_op *op)
{
  if (op->error != HF_E_IDEMPOTENCY_CONFLICT && !hf_error_info(op->error)->retryable)
    sim_fail(world, "request %u with another body: %s", request->number,
             hf_error_info(op->error)->code);
  request_end(world, request);
  group_free(op);
}

/* True: the store took the other body under the key, and a conflict is the answer. */
static bool is_in_conflict(const struct sim_request *request, unsigned body)
{
  return request->applied + request->refused > 0 && request->taken_body != body;
}

static void twin_answered(struct sim_world *world, struct sim_request *request, struct hf_op *op)
{
  bool conflict = op->error == HF_E_IDEMPOTENCY_CONFLICT;
  request->twin = NULL;
  request->twin_node = NULL;
  if (!hf_error_info(op->error)->retryable && conflict != is_in_conflict(request, TWIN_BODY))
    sim_fail(world, "request %u, one of two bodies under one key: %s", request->number,
             hf_error_info(op->error)->code);
  world->conflicts += conflict;
  hf_op_free(op);
}

static void request_answered(struct sim_world *world, struct hf_op *op)
{
  struct sim_request *request = op->owner;
  bool retry = false;
  if (op->index == OP_TWIN) {
    twin_answered(world, request, op);
    return;
  }
  request->op = NULL;
  world->inflight--;
  if (op->index == OP_TWISTED) {
    twisted_answered(world, request, op);
    return;
  }
  for (struct hf_op *member = op; member != NULL; member = member->group_next)
    retry = retry || hf_error_info(member->error)->retryable;
  if (op->error == HF_E_IDEMPOTENCY_CONFLICT && is_in_conflict(request, request->body)) {
    world->conflicts++;
    request->body = request->taken_body; /* from now on that is what it asks for */
    retry = true;
  }
  if (retry) {
    unsigned patience = request->sends < RETRIES_PATIENT ? request->sends : RETRIES_PATIENT;
    request_wait(world, request, world->now_us + sim_rand(world) % (RETRY_US * patience));
  } else {
    for (struct hf_op *member = op; member != NULL; member = member->group_next) {
      request_final(world, member->owner, member);
      ((struct sim_request *)member->owner)->state = SIM_FINAL;
    }
    group_final(world, request);
    request_end(world, request);
  }
  group_free(op);
}

/* ---- the tick -------------------------------------------------------------------------------- */

static void ask_view(rt_ctx *ctx, struct sim_world *world)
{
  struct sim_node *node = sim_node_of(ctx);
  struct hf_view *view = hf_view_new();
  node->view_user = sim_user_any(world);
  node->view_floor = world->users[node->view_user].shown;
  view->user = world->users[node->view_user].id;
  if (sim_ask(ctx, hf_user_actor(view->user, world->partition_bits), HF_BALANCES, view, 0))
    node->view = view;
  else
    hf_view_free(view);
}

/* What is to be sent again, and is due; those that are sent make room in the list. */
static void send_waiting(rt_ctx *ctx, struct sim_world *world)
{
  unsigned kept = 0;
  for (unsigned i = 0; i < world->waiting_count; i++) {
    struct sim_request *request = &world->requests[world->waiting[i]];
    bool due = world->now_us >= request->retry_at_us && world->inflight < world->inflight_max;
    if (!due || !request_send(ctx, world, request))
      world->waiting[kept++] = world->waiting[i];
  }
  world->waiting_count = kept;
}

/* Clients that lost the answer, or send a key again long after. */
static void send_finals(rt_ctx *ctx, struct sim_world *world)
{
  unsigned lots = world->finals_count / (2u * world->nodes_count) + 1u;
  unsigned count = lots / 1000u + sim_chance(world, lots % 1000u);
  for (; count > 0 && world->finals_count > 0; count--) {
    unsigned pick = (unsigned)(sim_rand(world) % world->finals_count);
    if (request_send(ctx, world, &world->requests[world->finals[pick]]))
      world->finals[pick] = world->finals[--world->finals_count];
  }
}

static void request_add(struct sim_world *world, struct sim_request *request)
{
  world->requests_count++;
  *key_slot(world, world->users[request->user].id, &request->key) = request->number + 1u;
}

static void send_new(rt_ctx *ctx, struct sim_world *world)
{
  struct sim_request *head = &world->requests[world->requests_count];
  unsigned left = world->requests_max - world->requests_count;
  unsigned size = sim_chance(world, 150) ? 2u + (unsigned)(sim_rand(world) % 3u) : 1u;
  if (size > left)
    size = 1;
  sim_request_draw(world, head);
  if (size > 1u)
    sim_member_draw(world, head, head->user);
  head->group = (uint8_t)size;
  request_add(world, head);
  world->heads_count++;
  for (unsigned i = 1; i < size; i++) {
    sim_member_draw(world, head + i, head->user);
    request_add(world, head + i);
  }
  if (!request_send(ctx, world, head))
    request_wait(world, head, 0);
}

static void tick(rt_ctx *ctx, struct sim_world *world)
{
  if (world->ending || sim_node_of(ctx)->state == SIM_LEAVING || !sim_admin_tick(ctx, world))
    return;
  send_waiting(ctx, world);
  if (!world->healing)
    send_finals(ctx, world);
  unsigned burst = sim_chance(world, world->pace) ? (unsigned)(sim_rand(world) % 8u) : 0;
  while (!world->healing && burst-- > 0 && world->inflight < world->inflight_max &&
         world->requests_count < world->requests_max)
    send_new(ctx, world);
  /* At the end nobody asks for a user: what has expired is released by the server alone. */
  if (!world->probing && sim_node_of(ctx)->view == NULL && sim_chance(world, 200))
    ask_view(ctx, world);
  if (sim_chance(world, 50))
    sim_look(sim_node_of(ctx));
  sim_ask_flush(world);
}

/* What is shown is durable, and no older than what was seen before it was asked for. What it says
 * is compared with the journal at the end. */
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
  if (view->version > user->version)
    sim_fail(world, "what is not durable was shown");
  sim_log_view(world, node->view_user, view);
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
static void refused(struct sim_node *node, const rt_env *env)
{
  struct sim_world *world = node->world;
  world->overloaded += env->op == RT_OP_OVERLOADED;
  void *pointer = env->payload.p.ptr;
  if (pointer == node->view) {
    node->view->error = HF_E_OVERLOADED;
    view_answered(node, node->view);
    return;
  }
  if (sim_admin_refused(world, pointer, HF_E_OVERLOADED))
    return;
  struct hf_op *op = pointer;
  CHECK(op != NULL);
  for (struct hf_op *member = op; member != NULL; member = member->group_next)
    member->error = HF_E_OVERLOADED;
  request_answered(world, op);
}

void sim_client_told(struct sim_node *node, uint16_t op, void *payload)
{
  struct sim_world *world = node->world;
  sim_trace_answer(world, op, payload);
  switch (op) {
  case HF_DONE:
    sim_beside_answered(world, payload);
    request_answered(world, payload);
    break;
  case HF_CREATE_DONE:
    sim_user_answered(world, payload);
    break;
  case HF_ASSET_DONE:
    sim_change_answered(world, payload);
    break;
  case HF_PEEK_DONE:
    sim_peek_answered(world, payload, HF_OK);
    break;
  case HF_BALANCES_DONE:
    view_answered(node, payload);
    break;
  default:
    CHECK(!"a message that the client does not know");
  }
}

static rt_status client_handle(rt_ctx *ctx, void *state, const rt_env *env)
{
  struct sim_node *node = sim_node_of(ctx);
  (void)state;
  switch (env->op) {
  case RT_OP_TIMER:
    tick(ctx, node->world);
    rt_timer(ctx, TICK_US, 0);
    break;
  case RT_OP_DOWN:
  case RT_OP_OVERLOADED:
  case RT_OP_EXPIRED:
    sim_trace_answer(node->world, env->op, NULL);
    refused(node, env);
    break;
  case RT_OP_STOPPING:
    break;
  default:
    sim_client_told(node, env->op, env->payload.p.ptr);
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

unsigned sim_client_asks(const struct sim_node *node)
{
  const struct sim_world *world = node->world;
  unsigned count = 0;
  for (unsigned i = 0; i < world->requests_count; i++)
    count += world->requests[i].op != NULL && world->requests[i].node == node;
  return count;
}

void sim_client_forget(struct sim_node *node)
{
  struct sim_world *world = node->world;
  for (unsigned i = 0; i < world->requests_count; i++) {
    struct sim_request *request = &world->requests[i];
    if (request->twin != NULL && request->twin_node == node &&
        !sim_ask_is_out(world, request->twin)) {
      hf_op_free(request->twin);
      request->twin = NULL;
    }
    if (request->op == NULL || request->node != node || sim_ask_is_out(world, request->op))
      continue;
    group_free(request->op);
    request->op = NULL;
    request_wait(world, request, 0);
    world->inflight--;
  }
  sim_admin_forget(node);
  if (sim_ask_is_out(world, node->view))
    return;
  hf_view_free(node->view);
  node->view = NULL;
}

static const uint8_t client_may_ask[] = {HF_KIND_USER, HF_KIND_NAMES, HF_KIND_CATALOG, HF_KIND_PEER,
                                         0};

const rt_class sim_client_class = {
  .name = "client",
  .kind = SIM_KIND_CLIENT,
  .flags = RT_CLASS_PER_LOOP,
  .state_bytes = 8,
  .stash_max = 1024,
  .may_ask = client_may_ask,
  .load = client_load,
  .handle = client_handle,
};
