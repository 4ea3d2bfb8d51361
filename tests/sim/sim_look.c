/* Who looks again, by the front door: an op that somebody was told of is found and says what it
 * said; a user's history begins no earlier than at what was seen of it, has no gap, and is what the
 * store took; a user is found by the external id. Some come with a service key, which is let in
 * when the loop that they ask knows it, and only then. */
#include <string.h>

#include <jansson.h>

#include "holdfast/check.h"
#include "tests/sim/sim.h"

#define PAGE 6u

enum look_kind { LOOK_OP, LOOK_ENTRY, LOOK_HISTORY, LOOK_NAME, LOOK_USER, LOOK_KINDS };
#define EVERYTHING ((1u << LOOK_KINDS) - 1u)

struct look {
  enum look_kind kind;
  struct sim_request *request; /* of an op, or its first entry */
  struct sim_user *user;
  uint64_t floor; /* what somebody has seen of the user's versions before */
};

/* ---- what was found -------------------------------------------------------------------------- */

static void op_found(struct sim_world *world, const struct look *look, const json_t *reply)
{
  struct hf_op *op = hf_op_new();
  size_t count = 0;
  uint64_t says = 0;
  op->owner = look->request;
  sim_read_op(world, reply, op);
  const struct ledger_entry *entries = hf_op_entries(op, &count);
  for (size_t i = 0; i < count; i++)
    says = sim_entry_mix(says, &entries[i]);
  if (says != look->request->told)
    sim_fail(world, "op %llu is found with other entries than it was answered with",
             (unsigned long long)look->request->op_id);
  hf_op_free(op);
}

static void entry_found(struct sim_world *world, const struct look *look, const json_t *reply)
{
  struct ledger_entry entry;
  if (!sim_follow_read(world, reply, &entry) || entry.id != look->request->op_id)
    sim_fail(world, "entry %llu is found with other words than it was taken with",
             (unsigned long long)look->request->op_id);
}

/* The newest page: the newest entry first. */
static void history_found(struct sim_world *world, const struct look *look, const json_t *reply)
{
  const json_t *data = json_object_get(reply, "data");
  const size_t count = json_array_size(data);
  uint64_t next = 0;
  bool right = true;
  for (size_t i = 0; i < count; i++) {
    struct ledger_entry entry;
    const bool taken = sim_follow_read(world, json_array_get(data, i), &entry);
    right = right && taken && entry.user == look->user->id && (i == 0 || entry.version == next);
    if (i == 0 && entry.version < look->floor)
      sim_fail(world, "the history of user %llu ends at version %llu: %llu was seen before",
               (unsigned long long)look->user->id, (unsigned long long)entry.version,
               (unsigned long long)look->floor);
    next = entry.version - 1u;
  }
  if (count < PAGE && next != 0)
    right = false; /* nothing follows, and it is not the beginning */
  if (!right || (count == 0 && look->floor > 0))
    sim_fail(world, "the history of user %llu is not what the store took",
             (unsigned long long)look->user->id);
}

static void user_found(struct sim_world *world, const struct look *look, const json_t *reply)
{
  struct hf_create create = {0};
  snprintf(create.external_id, sizeof create.external_id, "%s", look->user->external_id);
  sim_read_user(world, reply, &create);
  if (create.user != look->user->id)
    sim_fail(world, "user %s is found as another one than was made", look->user->external_id);
}

/* False: the key settles it. */
static bool is_let_in(struct sim_world *world, const struct sim_call *call)
{
  const bool turned_away = call->reply.error == HF_E_UNAUTHENTICATED;
  const bool known = call->key == 0 || call->key_known == SIM_KEY_ADDED;
  if (turned_away == known)
    sim_fail(world, "service key %d was %s", (int)call->key - 1,
             known ? "turned away although it is one" : "let in although it is none");
  world->turned_away += turned_away;
  return !turned_away;
}

static void take(struct sim_world *world, const struct sim_call *call, const struct look *look)
{
  const struct sim_reply *reply = &call->reply;
  if (reply->status == 0 || hf_error_info(reply->error)->retryable || !is_let_in(world, call))
    return;
  if (reply->error != HF_OK) {
    sim_fail(world, "what was acknowledged is not found: %s", hf_error_info(reply->error)->code);
    return;
  }
  json_t *json =
    json_loadb((const char *)reply->body.at, reply->body.size, JSON_REJECT_DUPLICATES, NULL);
  static void (*const found[LOOK_KINDS])(struct sim_world * world, const struct look *look,
                                         const json_t *reply) = {
    [LOOK_OP] = op_found,     [LOOK_ENTRY] = entry_found, [LOOK_HISTORY] = history_found,
    [LOOK_NAME] = user_found, [LOOK_USER] = user_found,
  };
  found[look->kind](world, look, json);
  json_decref(json);
  world->found++;
  world->kinds_found |= 1u << look->kind;
  sim_trace(world, hf_digest(reply->body.at, reply->body.size).bytes[0]);
}

static void told(struct sim_call *call)
{
  struct look *look = call->owner;
  take(call->world, call, look);
  rt_free(look);
}

/* ---- what is looked for ---------------------------------------------------------------------- */

/* False: there is nothing to look for yet. */
static bool look_draw(struct sim_world *world, struct look *look, char ret_line[96])
{
  look->kind = (enum look_kind)(sim_rand(world) % LOOK_KINDS);
  look->user = &world->users[sim_user_any(world)];
  look->floor = look->user->shown;
  if (world->finals_count > 0)
    look->request = &world->requests[world->finals[sim_rand(world) % world->finals_count]];
  const bool applied = look->request != NULL && look->request->error == HF_OK;
  const unsigned long long op = applied ? look->request->op_id : 0, user = look->user->id;
  switch (look->kind) {
  case LOOK_OP:
    snprintf(ret_line, 96, "GET /v1/ops/%llu", op);
    return applied;
  case LOOK_ENTRY:
    snprintf(ret_line, 96, "GET /v1/entries/%llu", op);
    return applied;
  case LOOK_HISTORY:
    snprintf(ret_line, 96, "GET /v1/users/%llu/entries?limit=%u", user, PAGE);
    return true;
  case LOOK_NAME:
    snprintf(ret_line, 96, "GET /v1/users?external_id=%s", look->user->external_id);
    return true;
  default:
    snprintf(ret_line, 96, "GET /v1/users/%llu", user);
    return true;
  }
}

/* Of each kind something was found, if there is anything to be found, since `kinds_found` was 0. */
bool sim_look_has_found(const struct sim_world *world)
{
  unsigned wanted = EVERYTHING;
  bool applied = false;
  for (unsigned i = 0; i < world->finals_count; i++)
    applied = applied || world->requests[world->finals[i]].error == HF_OK;
  if (!applied)
    wanted &= ~(1u << LOOK_OP | 1u << LOOK_ENTRY);
  return world->doors == 0 || (world->kinds_found & wanted) == wanted;
}

void sim_look(struct sim_node *node)
{
  struct sim_world *world = node->world;
  char line[96];
  struct look *look = rt_alloc(sizeof *look);
  if (world->doors == 0 || !look_draw(world, look, line)) {
    rt_free(look);
    return;
  }
  struct sim_call *call = sim_door_call(node);
  call->owner = look;
  call->told = told;
  if (sim_chance(world, 300))
    call->key = 1u + (unsigned)(sim_rand(world) % SIM_KEYS);
  sim_door_send(call, line, "", NULL, 0);
}
