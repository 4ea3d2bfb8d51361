/* What the clients ask beside requests: they make assets and users, open and close users, make and
 * revoke service keys, and hold the answers against what was known before.
 *
 * Rules: a user's status is what the store took last, or a later one, and its version fits; a loop
 * that knew a key as revoked never knows it otherwise; when nothing is harmed all loops of all
 * nodes know of a change before its asker is answered. */
#include <string.h>

#include "tests/sim/sim.h"

#define CALM_LEASES 2u /* after the last harm all nodes have found each other */

/* ---- users ----------------------------------------------------------------------------------- */

static void user_made(struct sim_world *world, struct sim_maker *maker, hf_id id)
{
  struct sim_user *user = maker->user;
  for (unsigned i = 0; i < user->makers_count; i++)
    if (&user->makers[i] != maker && user->makers[i].won)
      sim_fail(world, "user %s was made by two", user->external_id);
  if (user->id != 0 && user->id != id)
    sim_fail(world, "user %s was made twice", user->external_id);
  if (maker->lost)
    sim_fail(world, "user %s was made by who was told that another one did", user->external_id);
  maker->won = true;
  user->id = id;
  user->created = true;
  while (world->users_count < world->users_max && world->users[world->users_count].created)
    world->users_count++;
}

/* Somebody else has it, or will be told so. */
static void user_taken(struct sim_world *world, struct sim_maker *maker)
{
  struct sim_user *user = maker->user;
  unsigned lost = 0;
  maker->lost = true;
  for (unsigned i = 0; i < user->makers_count; i++)
    lost += user->makers[i].lost;
  if (maker->won || lost == user->makers_count)
    sim_fail(world, "user %s: its external id is taken by nobody", user->external_id);
}

void sim_user_answered(struct sim_world *world, struct hf_create *create)
{
  struct sim_maker *maker = create->owner;
  maker->create = NULL;
  maker->node = NULL;
  if (create->error == HF_OK)
    user_made(world, maker, create->user);
  else if (create->error == HF_E_EXTERNAL_ID_TAKEN)
    user_taken(world, maker);
  else if (!hf_error_info(create->error)->retryable)
    sim_fail(world, "create of %s: %s", maker->user->external_id,
             hf_error_info(create->error)->code);
  rt_free(create);
}

void sim_maker_key(const struct sim_maker *maker, char ret_text[SIM_TEXT_MAX])
{
  snprintf(ret_text, SIM_TEXT_MAX, "make-%s-%d", maker->user->external_id,
           (int)(maker - maker->user->makers));
}

/* A create key is that of one service key. */
static struct hf_hash key_of(const struct sim_maker *maker)
{
  char key[SIM_TEXT_MAX], text[2u * SIM_TEXT_MAX];
  sim_maker_key(maker, key);
  int size = snprintf(text, sizeof text, SIM_DOOR_ID "\n%s", key);
  return hf_sha256(text, (size_t)size);
}

static void make_user(rt_ctx *ctx, struct sim_world *world, struct sim_maker *maker)
{
  struct sim_user *user = maker->user;
  struct hf_create *create = rt_alloc(sizeof *create);
  create->owner = maker;
  create->has_key = true;
  create->key = key_of(maker);
  create->kind = HF_USER_REGISTERED;
  create->has_external_id = true;
  memcpy(create->external_id, user->external_id, sizeof user->external_id);
  create->request = sim_create_digest(create);
  if (sim_ask(ctx, hf_create_home(ctx, create, world->partition_bits), HF_CREATE, create, 0)) {
    maker->create = create;
    maker->node = sim_node_of(ctx);
  } else {
    rt_free(create);
  }
}

/* Whoever was not told the end of it asks again; now and then one who was, too: the same key has
 * the same answer. */
static void make_again(rt_ctx *ctx, struct sim_world *world, struct sim_user *user)
{
  for (unsigned i = 0; i < user->makers_count; i++) {
    struct sim_maker *maker = &user->makers[i];
    bool told = maker->won || maker->lost;
    if (maker->create == NULL && (!told || (!world->healing && sim_chance(world, 1))))
      make_user(ctx, world, maker);
  }
}

static bool make_users(rt_ctx *ctx, struct sim_world *world)
{
  bool ready = true;
  for (unsigned i = 0; i < world->users_max; i++) {
    struct sim_user *user = &world->users[i];
    bool base = i < world->users_base;
    bool begun = base || user->created;
    for (unsigned j = 0; j < user->makers_count; j++)
      begun = begun || user->makers[j].create != NULL || user->makers[j].lost;
    ready = ready && (user->created || !base);
    if (begun || (!world->healing && sim_chance(world, 5)))
      make_again(ctx, world, user);
  }
  return ready;
}

/* ---- their status ---------------------------------------------------------------------------- */

static void ask_peek(rt_ctx *ctx, struct sim_world *world)
{
  struct sim_user *user = &world->users[sim_user_any(world)];
  if (user->peek != NULL)
    return;
  struct hf_peek *peek = rt_alloc(sizeof *peek);
  bool sets = sim_chance(world, 600);
  peek->owner = user;
  peek->user = user->id;
  peek->status = sets && sim_chance(world, 300) ? LEDGER_CLOSED : LEDGER_OPEN;
  uint64_t deadline_us = rt_now_us(ctx) + 1000u + sim_rand(world) % 2000000u;
  if (!sim_ask(ctx, hf_user_actor(user->id, world->partition_bits), sets ? HF_SET_STATUS : HF_PEEK,
               peek, deadline_us)) {
    rt_free(peek);
    return;
  }
  user->peek = peek;
  user->peek_node = sim_node_of(ctx);
  user->peek_sets = sets;
  user->peek_status = peek->status;
  user->peek_us = world->now_us;
  user->peek_floor = user->records_shown;
  user->peek_version = user->shown;
}

/* The store took the change while it was asked for. */
static void status_set(struct sim_world *world, struct sim_user *user)
{
  for (size_t i = user->peek_floor; i < user->records_count; i++) {
    const struct sim_record *record = &user->records[i];
    if (record->kind != SIM_STATUS || record->status != user->peek_status ||
        record->at_us < user->peek_us)
      continue;
    sim_log_known(world, user, i + 1u);
    return;
  }
  sim_fail(world, "the status of user %llu was acknowledged and is not durable",
           (unsigned long long)user->id);
}

static uint64_t version_after(const struct sim_user *user, size_t count)
{
  return count == user->records_count ? user->version : user->records[count].version;
}

/* Status and version stood together, after all that was known when it was asked. */
static void status_shown(struct sim_world *world, struct sim_user *user, const struct hf_peek *peek)
{
  if (peek->version < user->peek_version)
    sim_fail(world, "user %llu is shown at version %llu: %llu was seen before it was asked",
             (unsigned long long)user->id, (unsigned long long)peek->version,
             (unsigned long long)user->peek_version);
  for (size_t i = user->peek_floor; i <= user->records_count; i++)
    if (version_after(user, i) == peek->version && sim_log_status(user, i) == peek->status) {
      sim_log_known(world, user, i);
      if (user->shown < peek->version)
        user->shown = peek->version;
      world->peeks_checked++;
      return;
    }
  sim_fail(world, "user %llu is shown with status %u at version %llu, which never was",
           (unsigned long long)user->id, peek->status, (unsigned long long)peek->version);
}

void sim_peek_answered(struct sim_world *world, struct hf_peek *peek, enum hf_error error)
{
  struct sim_user *user = peek->owner;
  CHECK(user->peek == peek);
  user->peek = NULL;
  user->peek_node = NULL;
  if (error == HF_OK)
    error = peek->error;
  if (error != HF_OK && !hf_error_info(error)->retryable)
    sim_fail(world, "status of a user: %s", hf_error_info(error)->code);
  else if (error == HF_OK && user->peek_sets)
    status_set(world, user);
  else if (error == HF_OK)
    status_shown(world, user, peek);
  rt_free(peek);
}

/* ---- assets and service keys ----------------------------------------------------------------- */

static void ask_change(rt_ctx *ctx, struct sim_world *world, struct hf_catalog_change *change,
                       unsigned key)
{
  if (!sim_ask_door(sim_node_of(ctx), HF_ASSET, change, 0) &&
      rt_ask(ctx, catalog_home(ctx), HF_ASSET, &change, sizeof change, 0, hf_corr(change)) !=
        RT_OK) {
    rt_free(change);
    return;
  }
  world->change = change;
  world->change_node = sim_node_of(ctx);
  world->change_key = key;
  world->change_us = world->now_us;
  world->change_life = world->change_node->life;
}

static void make_asset(rt_ctx *ctx, struct sim_world *world)
{
  struct hf_catalog_change *change = rt_alloc(sizeof *change);
  change->kind = CATALOG_ADD_ASSET;
  change->asset.scale = SIM_SCALE;
  change->asset.chain_decimals = 255;
  snprintf(change->asset.code, sizeof change->asset.code, "A%u", world->assets_created + 1u);
  ask_change(ctx, world, change, SIM_KEYS);
}

static void change_key(rt_ctx *ctx, struct sim_world *world, unsigned index)
{
  struct sim_key *key = &world->keys[index];
  struct hf_catalog_change *change = rt_alloc(sizeof *change);
  bool add = key->acknowledged == SIM_KEY_NONE;
  change->kind = add ? CATALOG_ADD_KEY : CATALOG_REVOKE_KEY;
  change->key.scopes = HF_SCOPE_ADMIN;
  change->key.secret = hf_sha256(SIM_DOOR_SECRET, strlen(SIM_DOOR_SECRET));
  snprintf(change->key.id, sizeof change->key.id, "key%u", index);
  ask_change(ctx, world, change, index);
  if (world->change != change)
    return;
  key->adds += add;
  if (key->asked < SIM_KEY_ADDED || !add)
    key->asked = add ? SIM_KEY_ADDED : SIM_KEY_REVOKED;
}

/* The key that is revoked when nothing is harmed any more, or made to be. */
static void probe_key(rt_ctx *ctx, struct sim_world *world)
{
  static const uint8_t wanted[] = {SIM_KEY_ADDED, SIM_KEY_NONE};
  if (world->now_us < world->harmed_us + CALM_LEASES * world->lease_us + 1u)
    return;
  for (unsigned i = 0; i < sizeof wanted; i++)
    for (unsigned j = 0; j < SIM_KEYS; j++)
      if (world->keys[j].acknowledged == wanted[i]) {
        change_key(ctx, world, j);
        return;
      }
  world->probed = true; /* none is left */
}

static void change_any_key(rt_ctx *ctx, struct sim_world *world)
{
  unsigned index = (unsigned)(sim_rand(world) % SIM_KEYS);
  unsigned chance = world->keys[index].acknowledged == SIM_KEY_REVOKED ? 100u : 1000u;
  if (sim_chance(world, chance))
    change_key(ctx, world, index);
}

unsigned sim_key_known(const struct sim_node *node, unsigned loop, unsigned index)
{
  const struct catalog *catalog = catalog_of(node->loops[loop]);
  char id[16];
  int size = snprintf(id, sizeof id, "key%u", index);
  const struct store_key_row *row = catalog == NULL ? NULL : catalog_key(catalog, id, (size_t)size);
  if (row == NULL)
    return SIM_KEY_NONE;
  return row->revoked_us == 0 ? SIM_KEY_ADDED : SIM_KEY_REVOKED;
}

/* What a loop was told stays so; `least`: and it was told at least this. */
static void key_look(struct sim_node *node, unsigned loop, unsigned index, unsigned least)
{
  struct sim_world *world = node->world;
  uint8_t *told = &node->keys[loop][index];
  unsigned known = sim_key_known(node, loop, index);
  if (known < *told)
    sim_fail(world, "node %u loop %u knew that key %u is %s and does not any more", node->index,
             loop, index, *told == SIM_KEY_REVOKED ? "revoked" : "there");
  if (known < least)
    sim_fail(world, "node %u loop %u does not know that key %u was %s, which is acknowledged",
             node->index, loop, index, least == SIM_KEY_REVOKED ? "revoked" : "made");
  if (known > world->keys[index].asked)
    sim_fail(world, "node %u loop %u believes what nobody asked for of key %u", node->index, loop,
             index);
  *told = (uint8_t)known;
  world->keys_checked++;
}

static void keys_look(struct sim_world *world, unsigned index, unsigned least)
{
  for (unsigned i = 0; i < world->nodes_count; i++)
    for (unsigned j = 0; world->nodes[i].state == SIM_UP && j < world->loops; j++)
      key_look(&world->nodes[i], j, index, least);
}

static void key_answered(struct sim_world *world, const struct hf_catalog_change *change)
{
  struct sim_key *key = &world->keys[world->change_key];
  bool add = change->kind == CATALOG_ADD_KEY;
  unsigned state = add ? SIM_KEY_ADDED : SIM_KEY_REVOKED;
  bool again = add && change->error == HF_E_KEY_CONFLICT && key->adds > 1u;
  if (change->error != HF_OK && !again) {
    if (!hf_error_info(change->error)->retryable)
      sim_fail(world, "change of key %u: %s", world->change_key,
               hf_error_info(change->error)->code);
    return;
  }
  if (key->acknowledged < state)
    key->acknowledged = (uint8_t)state;
  bool calm = world->change_us > world->harmed_us + CALM_LEASES * world->lease_us;
  /* A node that has started anew meanwhile may not have read yet what it had acknowledged. */
  bool alone = world->nodes_count == 1u && world->nodes[0].life == world->change_life;
  if (!again && (calm || alone))
    keys_look(world, world->change_key, state);
  world->probed = world->probed || (world->probing && calm && !add);
}

void sim_change_answered(struct sim_world *world, struct hf_catalog_change *change)
{
  world->change = NULL;
  world->change_node = NULL;
  if (change->kind == CATALOG_ADD_ASSET)
    world->assets_created += change->error == HF_OK;
  else
    key_answered(world, change);
  rt_free(change);
}

void sim_keys_end(struct sim_world *world)
{
  if (world->change != NULL)
    sim_fail(world, "a change of assets or keys was never answered");
  for (unsigned i = 0; i < SIM_KEYS; i++)
    keys_look(world, i, world->keys[i].acknowledged);
}

/* ---- all of it ------------------------------------------------------------------------------- */

bool sim_admin_tick(rt_ctx *ctx, struct sim_world *world)
{
  if (catalog_of(ctx) == NULL)
    return false;
  const bool more = world->assets_created < SIM_ASSETS && world->change == NULL;
  const bool later = !world->healing && sim_rand(world) % (1000u * world->nodes_count) == 0;
  if (more && (world->assets_created == 0 || later))
    make_asset(ctx, world); /* the later ones while there is work, and harm */
  if (world->assets_created == 0)
    return false;
  if (!make_users(ctx, world))
    return false;
  if (!world->healing && sim_chance(world, world->closing))
    ask_peek(ctx, world);
  if (sim_chance(world, 60))
    keys_look(world, (unsigned)(sim_rand(world) % SIM_KEYS), SIM_KEY_NONE);
  if (world->change != NULL)
    return true;
  if (world->probing && !world->probed)
    probe_key(ctx, world);
  else if (!world->healing && sim_chance(world, 40u / world->nodes_count))
    change_any_key(ctx, world);
  return true;
}

bool sim_admin_refused(struct sim_world *world, const void *payload, enum hf_error error)
{
  if (payload == world->change) {
    rt_free(world->change);
    world->change = NULL;
    world->change_node = NULL;
    return true;
  }
  for (unsigned i = 0; i < world->users_max; i++) {
    struct sim_user *user = &world->users[i];
    for (unsigned j = 0; j < user->makers_count; j++)
      if (payload == user->makers[j].create) {
        user->makers[j].create->error = error;
        sim_user_answered(world, user->makers[j].create);
        return true;
      }
    if (payload == user->peek) {
      sim_peek_answered(world, user->peek, error);
      return true;
    }
  }
  return false;
}

void sim_admin_forget(struct sim_node *node)
{
  struct sim_world *world = node->world;
  for (unsigned i = 0; i < world->users_max; i++) {
    struct sim_user *user = &world->users[i];
    for (unsigned j = 0; j < user->makers_count; j++) {
      struct sim_maker *maker = &user->makers[j];
      if (maker->node != node || sim_ask_is_out(world, maker->create))
        continue;
      rt_free(maker->create);
      maker->create = NULL;
      maker->node = NULL;
    }
    if (user->peek_node == node && !sim_ask_is_out(world, user->peek)) {
      rt_free(user->peek);
      user->peek = NULL;
      user->peek_node = NULL;
    }
  }
  if (world->change_node != node || sim_ask_is_out(world, world->change))
    return;
  rt_free(world->change);
  world->change = NULL;
  world->change_node = NULL;
}
