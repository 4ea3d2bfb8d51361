/* The catalog actor: a copy of assets and service keys per loop, one writer.
 *
 * Happy path: when the loop's partitions are open, or the keeper says so, it reads the catalogue; a
 *   change asked of the home is written through the store, learnt by every loop and node, and then
 *   answered.
 * Ways to fail: the store does not answer (the first read is tried again; a change gets 503); a
 *   change may have happened (the catalogue is read again before the change is judged again, and
 *   by every loop if it is not acknowledged even so); another node was the home before (on a
 *   shared store each change is judged on a catalogue that is read for it); the database went back
 *   (a read that tells less than memory, with nothing learnt since it began, replaces it); asset
 *   numbers with a gap (the read fails).
 * Invariants: changes are made one after the other; an asset's number is its place in the list. */
#include "actors/catalog/catalog.h"

#include <stddef.h>
#include <string.h>

#include "actors/actors.h"
#include "actors/cluster/cluster.h"
#include "actors/peer/peer.h"
#include "actors/store/messages.h"

#define SYSTEM_PARTITION 0u
#define CATALOG_RETRY_US 200000u
#define CATALOG_TELL_US 2000000u /* for the other nodes to learn a change */

struct catalog {
  struct store_asset_row *assets; /* assets[i].id == i + 1 */
  size_t assets_count;
  struct store_key_row *keys;
  size_t keys_count;
  uint16_t *by_code; /* open addressing: id of an asset, 0 for none */
  size_t by_code_size;
};

struct catalog_actor {
  struct catalog *catalog;                /* heap: rt_local keeps pointing to it */
  struct hf_catalog_change *first, *last; /* changes that wait; the first is under way */
  uint64_t reads;      /* begun so far; what happens now is in those that are begun from now on */
  uint64_t doubt_read; /* in_doubt: the first read that tells */
  bool reading;
  bool retrying;   /* the timer runs that reads again */
  bool read_again; /* a change came while reading: that read may have missed it */
  bool learnt;     /* a change was learnt while reading: that read may know less than memory */
  bool in_doubt;   /* the first change may have happened: it goes on when it has been read */
  bool torn;       /* the last read had a gap: that was logged */
  bool untold;     /* another loop may know less than this one and was not told to read */
  struct learner *learners;
};

/* A home that waits until this loop knows a change, which it will when it has read again. */
struct learner {
  struct learner *next;
  struct hf_catalog_change *change; /* the home's; NULL: whatever has changed */
  uint64_t read;                    /* the first one that tells */
  rt_id asker;
  uint32_t corr;
};

/* ---- lookups --------------------------------------------------------------------------------- */

const struct catalog *catalog_of(const rt_ctx *ctx)
{
  return rt_local(ctx, HF_LOCAL_CATALOG);
}

rt_id catalog_home(const rt_ctx *ctx)
{
  rt_id any = hf_partition_actor(HF_KIND_NAMES, SYSTEM_PARTITION);
  return hf_loop_actor(HF_KIND_CATALOG, rt_loop_of(ctx, any));
}

static size_t code_hash(const char *code, size_t size)
{
  uint64_t hash = 14695981039346656037ull; /* FNV-1a: codes are the operator's, and few */
  for (size_t i = 0; i < size; i++)
    hash = (hash ^ (uint8_t)code[i]) * 1099511628211ull;
  return (size_t)(hash ^ (hash >> 29));
}

const struct store_asset_row *catalog_asset(const struct catalog *catalog, uint16_t id)
{
  return id == 0 || id > catalog->assets_count ? NULL : &catalog->assets[id - 1u];
}

const struct store_asset_row *catalog_asset_by_code(const struct catalog *catalog, const char *code,
                                                    size_t size)
{
  if (catalog->by_code_size == 0 || size == 0 || size > HF_ASSET_CODE_MAX)
    return NULL;
  for (size_t at = code_hash(code, size);; at++) {
    uint16_t id = catalog->by_code[at & (catalog->by_code_size - 1u)];
    if (id == 0)
      return NULL;
    const struct store_asset_row *asset = &catalog->assets[id - 1u];
    if (strlen(asset->code) == size && memcmp(asset->code, code, size) == 0)
      return asset;
  }
}

size_t catalog_assets_count(const struct catalog *catalog)
{
  return catalog->assets_count;
}

const struct store_asset_row *catalog_asset_at(const struct catalog *catalog, size_t index)
{
  CHECK(index < catalog->assets_count);
  return &catalog->assets[index];
}

static struct store_key_row *key_find(const struct catalog *catalog, const char *id, size_t size)
{
  for (size_t i = 0; i < catalog->keys_count; i++)
    if (strlen(catalog->keys[i].id) == size && memcmp(catalog->keys[i].id, id, size) == 0)
      return &catalog->keys[i];
  return NULL;
}

const struct store_key_row *catalog_key(const struct catalog *catalog, const char *id, size_t size)
{
  return key_find(catalog, id, size);
}

size_t catalog_keys_count(const struct catalog *catalog)
{
  return catalog->keys_count;
}

const struct store_key_row *catalog_key_at(const struct catalog *catalog, size_t index)
{
  CHECK(index < catalog->keys_count);
  return &catalog->keys[index];
}

/* ---- filling --------------------------------------------------------------------------------- */

static void index_insert(struct catalog *catalog, const struct store_asset_row *asset)
{
  size_t at = code_hash(asset->code, strlen(asset->code));
  while (catalog->by_code[at & (catalog->by_code_size - 1u)] != 0)
    at++;
  catalog->by_code[at & (catalog->by_code_size - 1u)] = asset->id;
}

/* False: it does not fit behind what is there. */
static bool add_asset(struct catalog *catalog, const struct store_asset_row *asset)
{
  if (asset->id == 0 || asset->id > catalog->assets_count + 1u)
    return false;
  if (asset->id <= catalog->assets_count) /* learnt and read may overlap */
    return strcmp(catalog->assets[asset->id - 1u].code, asset->code) == 0;
  catalog->assets =
    rt_realloc(catalog->assets, (catalog->assets_count + 1u) * sizeof *catalog->assets);
  catalog->assets[catalog->assets_count++] = *asset;
  if (2u * catalog->assets_count <= catalog->by_code_size) {
    index_insert(catalog, asset);
    return true;
  }
  catalog->by_code_size = catalog->by_code_size == 0 ? 16u : 2u * catalog->by_code_size;
  rt_free(catalog->by_code);
  catalog->by_code = rt_alloc(catalog->by_code_size * sizeof *catalog->by_code);
  for (size_t i = 0; i < catalog->assets_count; i++)
    index_insert(catalog, &catalog->assets[i]);
  return true;
}

static void add_key(struct catalog *catalog, const struct store_key_row *key)
{
  struct store_key_row *known = key_find(catalog, key->id, strlen(key->id));
  if (known != NULL) {
    if (known->revoked_us == 0) /* a read that began before the revocation knows nothing of it */
      *known = *key;
    return;
  }
  catalog->keys = rt_realloc(catalog->keys, (catalog->keys_count + 1u) * sizeof *catalog->keys);
  catalog->keys[catalog->keys_count++] = *key;
}

/* False: only a read can tell. */
static bool learn(struct catalog *catalog, const struct hf_catalog_change *change)
{
  if (change->kind == CATALOG_ADD_ASSET)
    return add_asset(catalog, &change->asset);
  add_key(catalog, &change->key);
  return true;
}

static void forget_all(struct catalog *catalog)
{
  catalog->assets_count = catalog->keys_count = 0;
  for (size_t i = 0; i < catalog->by_code_size; i++)
    catalog->by_code[i] = 0;
}

static void read_later(rt_ctx *ctx, struct catalog_actor *actor)
{
  if (!actor->retrying)
    rt_timer(ctx, CATALOG_RETRY_US, 0);
  actor->retrying = true;
}

static void read_start(rt_ctx *ctx, struct catalog_actor *actor)
{
  if (actor->reading) {
    actor->read_again = true;
    return;
  }
  struct store_request *request = store_request_new(STORE_CATALOG);
  rt_id store = hf_loop_actor(HF_KIND_STORE, rt_loop_index(ctx));
  actor->reading =
    rt_ask(ctx, store, HF_READ, &request, sizeof request, 0, hf_corr(request)) == RT_OK;
  actor->learnt = false;
  actor->reads += actor->reading;
  if (!actor->reading) {
    store_request_free(request);
    read_later(ctx, actor);
  }
}

/* The other loops read as well: what a change that was not acknowledged has left in the store,
 * this loop is about to know, or does. */
static void others_read(rt_ctx *ctx, struct catalog_actor *actor)
{
  uint64_t none = 0;
  actor->untold = false;
  for (unsigned i = 0; i < rt_loop_count(ctx); i++)
    if (i != rt_loop_index(ctx) &&
        rt_tell(ctx, hf_loop_actor(HF_KIND_CATALOG, i), HF_STALE, &none, sizeof none) != RT_OK)
      actor->untold = true;
  if (actor->untold)
    read_later(ctx, actor);
}

/* The first change goes on when a read that begins from now on is done. */
static void doubt(rt_ctx *ctx, struct catalog_actor *actor)
{
  actor->in_doubt = true;
  actor->doubt_read = actor->reads + 1u;
  read_start(ctx, actor);
}

static void change_start(rt_ctx *ctx, struct catalog_actor *actor);
static void change_end(rt_ctx *ctx, struct catalog_actor *actor, enum hf_error error);

/* The first read, and one that settles a doubt, are tried until they succeed; a change that has
 * not been begun gives up. */
static void read_failed(rt_ctx *ctx, struct catalog_actor *actor)
{
  actor->read_again = false; /* the next one begins later */
  read_later(ctx, actor);
  if (!actor->in_doubt || actor->first->rejudged)
    return;
  actor->in_doubt = false;
  change_end(ctx, actor, HF_E_UNAVAILABLE);
  change_start(ctx, actor);
}

/* Those who wait for the read that is done; the others wait on. */
static void learners_answer(rt_ctx *ctx, struct catalog_actor *actor)
{
  struct learner **at = &actor->learners;
  for (struct learner *learner; (learner = *at) != NULL;) {
    if (learner->read > actor->reads) {
      at = &learner->next;
      continue;
    }
    *at = learner->next;
    rt_reply(ctx, learner->asker, learner->corr, HF_LEARN_DONE, &learner->change,
             sizeof learner->change);
    rt_free(learner);
  }
}

static void catalog_log(const rt_ctx *ctx, int level, const char *text)
{
  const struct hf_setup *setup = hf_setup_of(ctx);
  if (setup->log != NULL)
    setup->log(setup->log_arg, level, "catalog", text);
}

static bool is_whole(rt_ctx *ctx, struct catalog_actor *actor, const struct store_request *request)
{
  bool whole = true;
  for (size_t i = 0; i < request->catalog.assets_count; i++)
    whole = whole && request->catalog.assets[i].id == i + 1u;
  if (!whole && !actor->torn)
    catalog_log(ctx, 3, "the store's asset numbers have a gap: the catalogue cannot be read");
  actor->torn = !whole;
  return whole;
}

/* A read that knows less than memory: a change was learnt since it began, or the database went
 * back. */
static bool tells_less(const struct catalog *catalog, const struct store_request *request)
{
  if (request->catalog.assets_count < catalog->assets_count ||
      request->catalog.keys_count < catalog->keys_count)
    return true;
  for (size_t i = 0; i < catalog->assets_count; i++)
    if (strcmp(catalog->assets[i].code, request->catalog.assets[i].code) != 0)
      return true;
  return false;
}

/* The first read makes the catalogue, a later one adds to it. */
static void read_take(rt_ctx *ctx, struct catalog_actor *actor, const struct store_request *request)
{
  if (actor->catalog == NULL)
    actor->catalog = rt_alloc(sizeof *actor->catalog);
  bool less = tells_less(actor->catalog, request);
  if (less && !actor->learnt) {
    catalog_log(ctx, 4, "the database went back: the catalogue is made anew");
    forget_all(actor->catalog);
  }
  actor->read_again = actor->read_again || (less && actor->learnt); /* which of the two? */
  for (size_t i = 0; i < request->catalog.assets_count; i++)
    (void)add_asset(actor->catalog, &request->catalog.assets[i]);
  for (size_t i = 0; i < request->catalog.keys_count; i++)
    add_key(actor->catalog, &request->catalog.keys[i]);
  rt_set_local(ctx, HF_LOCAL_CATALOG, actor->catalog);
}

/* Who waits for this read goes on, even when changes come so fast that the next one begins. */
static void read_done(rt_ctx *ctx, struct catalog_actor *actor, struct store_request *request)
{
  actor->reading = false;
  if (request->status != STORE_OK || !is_whole(ctx, actor, request)) {
    store_request_free(request);
    read_failed(ctx, actor);
    return;
  }
  read_take(ctx, actor, request);
  store_request_free(request);
  learners_answer(ctx, actor);
  bool settled = actor->in_doubt && actor->doubt_read <= actor->reads;
  if (actor->read_again) {
    actor->read_again = false;
    read_start(ctx, actor);
  }
  if (settled) {
    actor->in_doubt = false;
    change_start(ctx, actor);
  }
}

/* ---- changes --------------------------------------------------------------------------------- */

static bool same_asset(const struct store_asset_row *a, const struct store_asset_row *b)
{
  return a->scale == b->scale && a->chain_decimals == b->chain_decimals &&
         strcmp(a->name, b->name) == 0 && strcmp(a->chain, b->chain) == 0 &&
         strcmp(a->contract, b->contract) == 0;
}

/* HF_OK: the row is to be written. */
static enum hf_error judge_asset(const struct catalog *catalog, struct hf_catalog_change *change,
                                 int64_t now_us)
{
  struct store_asset_row *asset = &change->asset;
  const struct store_asset_row *known =
    catalog_asset_by_code(catalog, asset->code, strlen(asset->code));
  if (known != NULL) {
    if (!same_asset(known, asset))
      return HF_E_ASSET_CONFLICT;
    *asset = *known;
    change->existed = true;
    return HF_OK;
  }
  if (catalog->assets_count >= HF_ASSETS_MAX)
    return HF_E_LIMIT_EXCEEDED;
  asset->id = (uint16_t)(catalog->assets_count + 1u);
  asset->created_us = now_us;
  change->row.table = STORE_T_ASSET;
  change->row.action = STORE_INSERT;
  change->row.asset = asset;
  return HF_OK;
}

static enum hf_error judge_key(const struct catalog *catalog, struct hf_catalog_change *change,
                               int64_t now_us)
{
  struct store_key_row *key = &change->key;
  const struct store_key_row *known = key_find(catalog, key->id, strlen(key->id));
  change->row.table = STORE_T_KEY;
  change->row.key = key;
  if (change->kind == CATALOG_ADD_KEY) {
    change->existed =
      known != NULL && change->rejudged && hf_hash_equal(&known->secret, &key->secret);
    if (known != NULL)
      return change->existed ? HF_OK : HF_E_KEY_CONFLICT;
    if (catalog->keys_count >= HF_KEYS_MAX)
      return HF_E_LIMIT_EXCEEDED;
    key->created_us = now_us;
    change->row.action = STORE_INSERT;
    return HF_OK;
  }
  if (known == NULL)
    return HF_E_KEY_NOT_FOUND;
  change->existed = known->revoked_us != 0;
  *key = *known;
  if (key->revoked_us == 0)
    key->revoked_us = now_us;
  change->row.action = STORE_UPDATE;
  return HF_OK;
}

static void change_end(rt_ctx *ctx, struct catalog_actor *actor, enum hf_error error)
{
  struct hf_catalog_change *change = actor->first;
  actor->first = change->next;
  if (actor->first == NULL)
    actor->last = NULL;
  change->next = NULL;
  change->error = error;
  rt_reply(ctx, change->asker, change->corr, HF_ASSET_DONE, &change, sizeof change);
}

static void change_learnt(rt_ctx *ctx, struct catalog_actor *actor)
{
  CHECK(actor->first != NULL && actor->first->learning > 0);
  if (--actor->first->learning > 0)
    return;
  change_end(ctx, actor, actor->first->error);
  change_start(ctx, actor);
}

/* Every other loop, and every node that can be reached, must know the change before its asker is
 * answered. */
static void tell_all(rt_ctx *ctx, struct catalog_actor *actor, struct hf_catalog_change *change)
{
  change->learning = 1; /* this loop's own share */
  for (unsigned i = 0; i < rt_loop_count(ctx); i++) {
    if (i == rt_loop_index(ctx))
      continue;
    rt_id peer = hf_loop_actor(HF_KIND_CATALOG, i);
    if (rt_ask(ctx, peer, HF_LEARN, &change, sizeof change, 0, hf_corr(change)) == RT_OK)
      change->learning++;
    else
      change->error = HF_E_OVERLOADED; /* durable, but not known everywhere: ask again */
  }
  const struct cluster *cluster = cluster_of(ctx);
  uint64_t until_us = rt_now_us(ctx) + CATALOG_TELL_US;
  for (unsigned i = 0; i < cluster->nodes_count && hf_setup_of(ctx)->link != NULL; i++)
    if (peer_tell_stale(ctx, cluster->nodes[i].id, change, until_us) == RT_OK)
      change->learning++;
    else
      change->error = HF_E_OVERLOADED;
  if (change->error != HF_OK)
    others_read(ctx, actor);
  change_learnt(ctx, actor);
}

/* Runs changes until one has to wait for the store. */
static void change_start(rt_ctx *ctx, struct catalog_actor *actor)
{
  while (actor->first != NULL) {
    struct hf_catalog_change *change = actor->first;
    int64_t now_us = (int64_t)rt_wall_us(ctx);
    enum hf_error error = HF_E_UNAVAILABLE;
    if (!cluster_of(ctx)->alone && !change->fresh) {
      change->fresh = true;
      doubt(ctx, actor);
      return;
    }
    if (actor->catalog != NULL && cluster_has(ctx, SYSTEM_PARTITION))
      error = change->kind == CATALOG_ADD_ASSET ? judge_asset(actor->catalog, change, now_us)
                                                : judge_key(actor->catalog, change, now_us);
    if (error != HF_OK) {
      change_end(ctx, actor, error);
      continue;
    }
    if (change->existed) { /* after a change of unknown outcome the others may not know it */
      tell_all(ctx, actor, change);
      return;
    }
    change->unit = (struct store_unit){.partition = SYSTEM_PARTITION,
                                       .tenure = cluster_tenure(ctx, SYSTEM_PARTITION),
                                       .rows = &change->row,
                                       .rows_count = 1};
    struct store_unit *unit = &change->unit;
    rt_id store = hf_loop_actor(HF_KIND_STORE, rt_loop_index(ctx));
    if (rt_ask(ctx, store, HF_PERSIST, &unit, sizeof unit, 0, hf_corr(unit)) == RT_OK)
      return;
    change_end(ctx, actor, HF_E_OVERLOADED);
  }
}

static void change_settled(rt_ctx *ctx, struct catalog_actor *actor, struct store_unit *unit)
{
  struct hf_catalog_change *change =
    (void *)((char *)unit - offsetof(struct hf_catalog_change, unit));
  CHECK(change == actor->first);
  bool in_doubt = unit->status == STORE_UNKNOWN || unit->status == STORE_CONFLICT;
  if (in_doubt && !change->rejudged) {
    change->rejudged = true;
    doubt(ctx, actor);
    return;
  }
  if (unit->status != STORE_OK) {
    change_end(ctx, actor, unit->status == STORE_UNKNOWN ? HF_E_UNKNOWN_OUTCOME : HF_E_UNAVAILABLE);
    read_start(ctx, actor); /* it may be there after all */
    others_read(ctx, actor);
    change_start(ctx, actor);
    return;
  }
  actor->learnt = true;
  if (learn(actor->catalog, change)) {
    tell_all(ctx, actor, change);
  } else { /* the catalogue was made anew meanwhile */
    change->rejudged = true;
    doubt(ctx, actor);
  }
}

/* A peer's side. What it cannot place behind what it has it reads from the store. */
static void learn_from_home(rt_ctx *ctx, struct catalog_actor *actor, const rt_env *env)
{
  struct hf_catalog_change *change = env->payload.p.ptr;
  bool published = catalog_of(ctx) != NULL;
  if (published && change != NULL && !actor->reading && learn(actor->catalog, change)) {
    rt_reply(ctx, env->from, env->corr, HF_LEARN_DONE, &change, sizeof change);
    return;
  }
  struct learner *learner = rt_alloc(sizeof *learner);
  *learner = (struct learner){.next = actor->learners,
                              .change = change,
                              .read = actor->reads + 1u,
                              .asker = env->from,
                              .corr = env->corr};
  actor->learners = learner;
  read_start(ctx, actor);
}

/* A change for another node goes there, unless it came from one. */
static void change_forward(rt_ctx *ctx, const rt_env *env, struct hf_catalog_change *change)
{
  const struct store_node *owner = cluster_owner(cluster_of(ctx), SYSTEM_PARTITION);
  bool came = rt_id_kind(env->from) == HF_KIND_PEER;
  if (owner == NULL || came || hf_setup_of(ctx)->link == NULL) {
    change->error = HF_E_UNAVAILABLE;
    rt_reply(ctx, env->from, env->corr, HF_ASSET_DONE, &change, sizeof change);
    return;
  }
  struct peer_forward forward = {
    .payload = change, .to = hf_loop_actor(HF_KIND_CATALOG, 0), .op = HF_ASSET};
  rt_hand_over(ctx, env->from, env->corr, hf_loop_actor(HF_KIND_PEER, rt_loop_index(ctx)),
               HF_FORWARD, &forward, sizeof forward);
}

static void change_come(rt_ctx *ctx, struct catalog_actor *actor, const rt_env *env)
{
  struct hf_catalog_change *change = env->payload.p.ptr;
  change->asker = env->from;
  change->corr = env->corr;
  change->next = NULL;
  change->existed = change->rejudged = change->fresh = false;
  change->error = HF_OK;
  if (!cluster_has(ctx, SYSTEM_PARTITION)) {
    change_forward(ctx, env, change);
    return;
  }
  bool idle = actor->first == NULL;
  if (idle)
    actor->first = change;
  else
    actor->last->next = change;
  actor->last = change;
  if (idle)
    change_start(ctx, actor);
}

/* ---- the actor ------------------------------------------------------------------------------- */

static rt_status catalog_handle(rt_ctx *ctx, void *state, const rt_env *env)
{
  struct catalog_actor *actor = state;
  switch (env->op) {
  case RT_OP_TIMER:
    actor->retrying = false;
    read_start(ctx, actor);
    if (actor->untold)
      others_read(ctx, actor);
    break;
  case HF_OPENED:
  case HF_STALE:
    read_start(ctx, actor);
    break;
  case HF_READ_DONE:
    read_done(ctx, actor, env->payload.p.ptr);
    break;
  case HF_ASSET:
    change_come(ctx, actor, env);
    break;
  case HF_SETTLED:
    change_settled(ctx, actor, env->payload.p.ptr);
    break;
  case HF_LEARN:
    learn_from_home(ctx, actor, env);
    break;
  case HF_LEARN_DONE:
  case RT_OP_DOWN: /* a loop that is gone needs to know nothing */
  case RT_OP_EXPIRED:
  case RT_OP_OVERLOADED:
    change_learnt(ctx, actor);
    break;
  case RT_OP_STOPPING:
    break;
  default:
    CHECK(!"a message that the catalog actor does not know");
  }
  return RT_OK;
}

static void catalog_passivate(rt_ctx *ctx, void *state)
{
  struct catalog_actor *actor = state;
  rt_set_local(ctx, HF_LOCAL_CATALOG, NULL);
  while (actor->learners != NULL) {
    struct learner *learner = actor->learners;
    actor->learners = learner->next;
    rt_free(learner);
  }
  if (actor->catalog == NULL)
    return;
  rt_free(actor->catalog->assets);
  rt_free(actor->catalog->keys);
  rt_free(actor->catalog->by_code);
  rt_free(actor->catalog);
}

static const uint8_t catalog_may_ask[] = {HF_KIND_STORE, HF_KIND_CATALOG, HF_KIND_PEER, 0};

const rt_class hf_catalog_class = {
  .name = "catalog",
  .kind = HF_KIND_CATALOG,
  .flags = RT_CLASS_PER_LOOP,
  .state_bytes = sizeof(struct catalog_actor),
  .stash_max = 1024,
  .may_ask = catalog_may_ask,
  .handle = catalog_handle,
  .passivate = catalog_passivate,
};
