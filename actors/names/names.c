/* The names actor: one per partition; makes users and owns the global names whose hash falls here.
 *
 * Happy path: without a key, or with names of one partition only: one unit inserts the names and
 *   the user, and the database judges their uniqueness. With a create key whose home is another
 *   partition than the external id's: the key is reserved here, the user and its external id are
 *   made there (RESERVE), the key is confirmed here with the user's id.
 * Ways to fail: an insert conflicts (the name is read, and tells replay, conflict or taken); a
 *   crash between the steps (the reservation stays; the same request finds it and goes on; the
 *   other home knows its maker by the key's digest, so that the user is made once); the partition
 *   is lost (who waits is told "try later"; what is under way is refused by the store).
 * Invariants: the database alone judges whether a name is free; a serial is given at most once; a
 *   create is in the hands of one actor at a time and is answered once. */
#include <stddef.h>
#include <string.h>

#define uthash_malloc(size) rt_alloc(size)
#define uthash_free(block, size) rt_free(block)
#include <uthash.h>

#include "actors/actors.h"
#include "actors/cluster/cluster.h"
#include "actors/store/messages.h"
#include "actors/user/op.h"

#define CREATES_WAITING_MAX 16384u

struct claim {
  struct hf_hash digest; /* hash key */
  UT_hash_handle hh;
};

struct names_actor {
  bool open;   /* the partition is open: next_serial is known */
  bool closed; /* it was taken away, or opens in vain: nobody waits for it */
  uint64_t next_serial;
  struct hf_create *first, *last; /* that wait for the partition to open, or for another's insert */
  unsigned waiting;               /* how many of them */
  struct claim *claims;           /* names whose insert is under way */
};

enum create_state { /* of a create, at its present actor */
                    CREATE_NEW,
                    CREATE_INSERTING,   /* the names and the user, in one unit */
                    CREATE_RESERVING,   /* the key, before the other home is asked */
                    CREATE_ELSEWHERE,   /* the other home has it */
                    CREATE_CONFIRMING,  /* the key gets its user */
                    CREATE_READING_KEY, /* an insert conflicted: is it our key? */
                    CREATE_READING_ID,  /* ... or the external id? */
};

/* ---- names and partitions -------------------------------------------------------------------- */

struct hf_hash hf_external_id_digest(const char *external_id, size_t size)
{
  return hf_sha256(external_id, size);
}

unsigned hf_digest_partition(const struct hf_hash *digest, unsigned partition_bits)
{
  unsigned word = ((unsigned)digest->bytes[0] << 8) | digest->bytes[1];
  return word & ((1u << partition_bits) - 1u);
}

static struct hf_hash external_digest(const struct hf_create *create)
{
  return hf_external_id_digest(create->external_id, strlen(create->external_id));
}

rt_id hf_create_home(rt_ctx *ctx, const struct hf_create *create, unsigned partition_bits)
{
  unsigned partition;
  if (create->has_key) {
    partition = hf_digest_partition(&create->key, partition_bits);
  } else if (create->has_external_id) {
    struct hf_hash digest = external_digest(create);
    partition = hf_digest_partition(&digest, partition_bits);
  } else {
    partition = (unsigned)(rt_rand(ctx) & ((1u << partition_bits) - 1u));
  }
  return hf_partition_actor(HF_KIND_NAMES, partition);
}

static unsigned here(const rt_ctx *ctx)
{
  return rt_id_shard(rt_self(ctx));
}

static bool key_is_here(const rt_ctx *ctx, const struct hf_create *create)
{
  return create->has_key &&
         hf_digest_partition(&create->key, hf_setup_of(ctx)->partition_bits) == here(ctx);
}

static bool id_is_here(const rt_ctx *ctx, const struct hf_create *create)
{
  if (!create->has_external_id)
    return false;
  struct hf_hash digest = external_digest(create);
  return hf_digest_partition(&digest, hf_setup_of(ctx)->partition_bits) == here(ctx);
}

/* The user is made where its external id lives, or else here. */
static bool user_is_here(const rt_ctx *ctx, const struct hf_create *create)
{
  return !create->has_external_id || id_is_here(ctx, create);
}

/* ---- units ----------------------------------------------------------------------------------- */

static struct store_row *row_add(struct hf_create *create, enum store_table table,
                                 enum store_action action)
{
  CHECK(create->unit.rows_count < sizeof create->rows / sizeof create->rows[0]);
  struct store_row *row = &create->rows[create->unit.rows_count++];
  *row = (struct store_row){.table = (uint8_t)table, .action = (uint8_t)action};
  return row;
}

static void add_key_row(const rt_ctx *ctx, struct hf_create *create, enum store_action action,
                        enum store_name_state state)
{
  struct store_row *row = row_add(create, STORE_T_NAME, action);
  row->name = (struct store_name_row){.partition = here(ctx),
                                      .kind = STORE_NAME_CREATE_KEY,
                                      .state = (uint8_t)state,
                                      .digest = create->key,
                                      .request = create->request,
                                      .user = create->user,
                                      .created_us = create->created_us};
}

static void add_user_rows(rt_ctx *ctx, struct names_actor *names, struct hf_create *create)
{
  unsigned bits = hf_setup_of(ctx)->partition_bits;
  create->user = hf_id_make(names->next_serial++, here(ctx), bits);
  if (create->created_us == 0)
    create->created_us = (int64_t)rt_wall_us(ctx);
  struct store_row *row = row_add(create, STORE_T_USER, STORE_INSERT);
  row->user = (struct store_user_row){.id = create->user,
                                      .kind = create->kind,
                                      .created_us = create->created_us,
                                      .profile = create->profile};
  if (!create->has_external_id)
    return;
  row->user.external_id =
    (struct store_text){.at = create->external_id, .size = strlen(create->external_id)};
  struct store_row *name = row_add(create, STORE_T_NAME, STORE_INSERT);
  name->name = (struct store_name_row){.partition = here(ctx),
                                       .kind = STORE_NAME_EXTERNAL_ID,
                                       .state = STORE_NAME_CONFIRMED,
                                       .digest = external_digest(create),
                                       .user = create->user,
                                       .created_us = create->created_us};
  /* Who made it, so that a repeated RESERVE knows its own work. */
  if (create->has_key)
    memcpy(name->name.request.bytes, create->key.bytes, sizeof name->name.request.bytes);
}

/* ---- claims ---------------------------------------------------------------------------------- */

/* Answers whoever asked this actor: the front door, or the create's other home. */
static void create_end(rt_ctx *ctx, struct hf_create *create, enum hf_error error)
{
  create->error = error;
  uint16_t op = create->reserving ? HF_RESERVE_DONE : HF_CREATE_DONE;
  rt_reply(ctx, create->asker, create->corr, op, &create, sizeof create);
}

static void create_wait(rt_ctx *ctx, struct names_actor *names, struct hf_create *create)
{
  if (names->waiting >= CREATES_WAITING_MAX) {
    create_end(ctx, create, HF_E_OVERLOADED);
    return;
  }
  names->waiting++;
  create->next = NULL;
  if (names->last != NULL)
    names->last->next = create;
  else
    names->first = create;
  names->last = create;
}

/* The names that the create inserts here: 0 to 2. */
static unsigned claim_digests(const rt_ctx *ctx, const struct hf_create *create,
                              struct hf_hash digests[2])
{
  unsigned count = 0;
  if (key_is_here(ctx, create))
    digests[count++] = create->key;
  if (id_is_here(ctx, create))
    digests[count++] = external_digest(create);
  return count;
}

static struct claim *claim_find(struct names_actor *names, const struct hf_hash *digest)
{
  struct claim *claim;
  HASH_FIND(hh, names->claims, digest, sizeof *digest, claim);
  return claim;
}

/* Two inserts of one name in one commit would only keep each other up: the second waits until the
 * first is durable, and then finds it. False: it has to wait. */
static bool claim_names(const rt_ctx *ctx, struct names_actor *names,
                        const struct hf_create *create)
{
  struct hf_hash digests[2];
  unsigned count = claim_digests(ctx, create, digests);
  for (unsigned i = 0; i < count; i++)
    if (claim_find(names, &digests[i]) != NULL)
      return false;
  for (unsigned i = 0; i < count; i++) {
    struct claim *claim = rt_alloc(sizeof *claim);
    claim->digest = digests[i];
    HASH_ADD(hh, names->claims, digest, sizeof claim->digest, claim);
  }
  return true;
}

static void release_names(const rt_ctx *ctx, struct names_actor *names,
                          const struct hf_create *create)
{
  struct hf_hash digests[2];
  unsigned count = claim_digests(ctx, create, digests);
  for (unsigned i = 0; i < count; i++) {
    struct claim *claim = claim_find(names, &digests[i]);
    CHECK(claim != NULL);
    HASH_DEL(names->claims, claim);
    rt_free(claim);
  }
}

/* ---- the steps ------------------------------------------------------------------------------- */

/* Why a create that could not be written ends: the user may be made at its other home, and then its
 * external id is taken, whatever becomes of the confirmation here. */
static enum hf_error write_error(const struct hf_create *create, enum hf_error error)
{
  return create->state == CREATE_CONFIRMING ? HF_E_UNKNOWN_OUTCOME : error;
}

static void persist(rt_ctx *ctx, struct names_actor *names, struct hf_create *create,
                    enum create_state state)
{
  struct store_unit *unit = &create->unit;
  create->state = (uint8_t)state;
  unit->partition = here(ctx);
  unit->tenure = cluster_tenure(ctx, here(ctx));
  unit->rows = create->rows;
  rt_id store = hf_loop_actor(HF_KIND_STORE, rt_loop_index(ctx));
  if (rt_ask(ctx, store, HF_PERSIST, &unit, sizeof unit, 0, hf_corr(unit)) == RT_OK)
    return;
  if (state != CREATE_CONFIRMING)
    release_names(ctx, names, create);
  create_end(ctx, create, write_error(create, HF_E_OVERLOADED));
}

static void unit_begin(struct hf_create *create)
{
  create->unit = (struct store_unit){0};
}

static void read_name(rt_ctx *ctx, struct hf_create *create, enum create_state state)
{
  struct store_request *request = store_request_new(STORE_GET_NAME);
  create->state = (uint8_t)state;
  request->owner = create;
  request->get_name.partition = here(ctx);
  bool key = state == CREATE_READING_KEY;
  request->get_name.name_kind = key ? STORE_NAME_CREATE_KEY : STORE_NAME_EXTERNAL_ID;
  request->get_name.digest = key ? create->key : external_digest(create);
  rt_id store = hf_loop_actor(HF_KIND_STORE, rt_loop_index(ctx));
  if (rt_ask(ctx, store, HF_READ, &request, sizeof request, 0, hf_corr(request)) != RT_OK) {
    store_request_free(request);
    create_end(ctx, create, HF_E_OVERLOADED);
  }
}

static void create_start(rt_ctx *ctx, struct names_actor *names, struct hf_create *create)
{
  if (!claim_names(ctx, names, create)) {
    create_wait(ctx, names, create);
    return;
  }
  unit_begin(create);
  if (user_is_here(ctx, create)) {
    add_user_rows(ctx, names, create);
    if (key_is_here(ctx, create))
      add_key_row(ctx, create, STORE_INSERT, STORE_NAME_CONFIRMED);
    persist(ctx, names, create, CREATE_INSERTING);
    return;
  }
  CHECK(key_is_here(ctx, create));
  create->user = 0;
  create->created_us = (int64_t)rt_wall_us(ctx);
  add_key_row(ctx, create, STORE_INSERT, STORE_NAME_RESERVED);
  persist(ctx, names, create, CREATE_RESERVING);
}

/* The create goes to its external id's home; our own asker is kept beside the other's. */
static void ask_elsewhere(rt_ctx *ctx, struct hf_create *create)
{
  struct hf_hash digest = external_digest(create);
  unsigned partition = hf_digest_partition(&digest, hf_setup_of(ctx)->partition_bits);
  create->state = CREATE_ELSEWHERE;
  create->second_asker = create->asker;
  create->second_corr = create->corr;
  rt_status status = cluster_ask(ctx, hf_partition_actor(HF_KIND_NAMES, partition), HF_RESERVE,
                                 create, 0, hf_corr(create));
  if (status == RT_OK)
    return;
  create->second_asker = RT_ID_NONE;
  create_end(ctx, create, status == RT_FAIL ? HF_E_UNAVAILABLE : HF_E_OVERLOADED);
}

static void elsewhere_done(rt_ctx *ctx, struct names_actor *names, struct hf_create *create)
{
  create->asker = create->second_asker;
  create->corr = create->second_corr;
  create->second_asker = RT_ID_NONE;
  create->reserving = false;
  create->replayed = false;
  if (create->error != HF_OK) {
    create_end(ctx, create, create->error);
    return;
  }
  unit_begin(create);
  add_key_row(ctx, create, STORE_UPDATE, STORE_NAME_CONFIRMED);
  persist(ctx, names, create, CREATE_CONFIRMING);
}

static void key_read(rt_ctx *ctx, struct hf_create *create, const struct store_name_row *row)
{
  if (!hf_digest_equal(&row->request, &create->request)) {
    create_end(ctx, create, HF_E_IDEMPOTENCY_CONFLICT);
  } else if (row->state == STORE_NAME_CONFIRMED) {
    create->replayed = true;
    create->user = row->user;
    create->created_us = row->created_us;
    create_end(ctx, create, HF_OK);
  } else {
    create->created_us = row->created_us;
    ask_elsewhere(ctx, create); /* a crash or a refusal came between: go on */
  }
}

static void id_read(rt_ctx *ctx, struct hf_create *create, const struct store_name_row *row)
{
  bool ours = create->has_key &&
              memcmp(row->request.bytes, create->key.bytes, sizeof row->request.bytes) == 0;
  create->user = row->user;
  create->created_us = row->created_us;
  create->replayed = ours || create->existing_ok;
  create_end(ctx, create, create->replayed ? HF_OK : HF_E_EXTERNAL_ID_TAKEN);
}

static void name_read(rt_ctx *ctx, struct store_request *request)
{
  struct hf_create *create = request->owner;
  struct store_name_row row = request->get_name.out;
  unsigned status = request->status;
  store_request_free(request);
  if (status == STORE_OK && create->state == CREATE_READING_KEY)
    key_read(ctx, create, &row);
  else if (status == STORE_OK)
    id_read(ctx, create, &row);
  else if (status == STORE_NOT_FOUND && create->state == CREATE_READING_KEY &&
           id_is_here(ctx, create))
    read_name(ctx, create, CREATE_READING_ID); /* then the external id conflicted */
  else
    create_end(ctx, create, HF_E_UNAVAILABLE);
}

static void start_waiting(rt_ctx *ctx, struct names_actor *names)
{
  struct hf_create *create = names->first;
  names->first = names->last = NULL;
  names->waiting = 0;
  for (struct hf_create *next; create != NULL; create = next) {
    next = create->next;
    create->next = NULL;
    create_start(ctx, names, create); /* it may have to wait again */
  }
}

static void create_settled(rt_ctx *ctx, struct names_actor *names, struct store_unit *unit)
{
  struct hf_create *create = (void *)((char *)unit - offsetof(struct hf_create, unit));
  if (create->state != CREATE_CONFIRMING)
    release_names(ctx, names, create);
  if (unit->status == STORE_CONFLICT && create->state != CREATE_CONFIRMING) {
    bool key = key_is_here(ctx, create);
    read_name(ctx, create, key ? CREATE_READING_KEY : CREATE_READING_ID);
  } else if (unit->status != STORE_OK) {
    create_end(ctx, create,
               unit->status == STORE_UNKNOWN ? HF_E_UNKNOWN_OUTCOME
                                             : write_error(create, HF_E_UNAVAILABLE));
  } else if (create->state == CREATE_RESERVING) {
    ask_elsewhere(ctx, create);
  } else {
    create_end(ctx, create, HF_OK);
  }
}

/* ---- the actor ------------------------------------------------------------------------------- */

static void create_come(rt_ctx *ctx, struct names_actor *names, const rt_env *env)
{
  struct hf_create *create = env->payload.p.ptr;
  create->asker = env->from;
  create->corr = env->corr;
  create->state = CREATE_NEW;
  create->reserving = env->op == HF_RESERVE;
  if (env->op == HF_CREATE) {
    create->second_asker = RT_ID_NONE;
    create->replayed = false;
    create->created_us = 0;
  }
  if (!cluster_has(ctx, here(ctx)) || names->closed)
    create_end(ctx, create, HF_E_UNAVAILABLE);
  else if (names->open)
    create_start(ctx, names, create);
  else
    create_wait(ctx, names, create);
}

/* What is under way here may already have taken serials that the store has not seen. */
static void names_opened(rt_ctx *ctx, struct names_actor *names, uint64_t next_serial)
{
  names->open = true;
  names->closed = false;
  if (next_serial > names->next_serial)
    names->next_serial = next_serial;
  start_waiting(ctx, names);
}

static void names_closed(rt_ctx *ctx, struct names_actor *names)
{
  struct hf_create *create = names->first;
  names->open = false;
  names->closed = true;
  names->first = names->last = NULL;
  names->waiting = 0;
  for (struct hf_create *next; create != NULL; create = next) {
    next = create->next;
    create_end(ctx, create, HF_E_UNAVAILABLE);
  }
}

static rt_status names_handle(rt_ctx *ctx, void *state, const rt_env *env)
{
  struct names_actor *names = state;
  switch (env->op) {
  case HF_OPENED:
    names_opened(ctx, names, env->payload.u[0]);
    break;
  case HF_CLOSED:
    names_closed(ctx, names);
    break;
  case HF_CREATE:
  case HF_RESERVE:
    create_come(ctx, names, env);
    break;
  case HF_RESERVE_DONE:
    elsewhere_done(ctx, names, env->payload.p.ptr);
    break;
  case RT_OP_DOWN: /* the runtime's end; no ask of this actor has a deadline that could pass */
  case RT_OP_OVERLOADED: {
    struct hf_create *create = env->payload.p.ptr;
    create->error = hf_echo_error(env->op, true);
    elsewhere_done(ctx, names, create);
    break;
  }
  case HF_READ_DONE:
    name_read(ctx, env->payload.p.ptr);
    break;
  case HF_SETTLED:
    create_settled(ctx, names, env->payload.p.ptr);
    if (names->open)
      start_waiting(ctx, names);
    break;
  default:
    CHECK(!"a message that the names actor does not know");
  }
  return RT_OK;
}

static void names_passivate(rt_ctx *ctx, void *state)
{
  struct names_actor *names = state;
  struct claim *claim, *next;
  (void)ctx;
  HASH_ITER (hh, names->claims, claim, next) {
    HASH_DEL(names->claims, claim);
    rt_free(claim);
  }
}

static bool names_idle(const void *state)
{
  (void)state;
  return false; /* it knows the next serial: it stays */
}

static const uint8_t names_may_ask[] = {HF_KIND_STORE, HF_KIND_NAMES, HF_KIND_PEER, 0};

const rt_class hf_names_class = {
  .name = "names",
  .kind = HF_KIND_NAMES,
  .flags = RT_CLASS_PER_SHARD,
  .state_bytes = sizeof(struct names_actor),
  .stash_max = 16384,
  .may_ask = names_may_ask,
  .handle = names_handle,
  .idle = names_idle,
  .passivate = names_passivate,
};
