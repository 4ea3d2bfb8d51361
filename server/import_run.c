/* Happy path: catalog, asset, then rows: their users are asked for first, then each row goes to its
 *   user's actor; an answer ends it and lets others go.
 * Ways to fail: a refusal (counted, final), a retryable answer (the user rests until the next tick,
 *   then its rows go again, in order), no room in the runtime (the next tick), a store that stays
 *   silent (the run gives up; a second run goes on).
 * Invariants: a row is in the window from import_users_add to import_users_done; every ask has one
 *   answer; `finished` is set once, when nothing is under way. */
#include "server/import_run.h"

#include <string.h>

#include "actors/cluster/cluster.h"
#include "actors/store/messages.h"
#include "holdfast/time_text.h"

enum timer { TIMER_TICK = 1, TIMER_LOOP };                  /* a timer's cookie */
enum ask { ASK_OP = 1, ASK_LOOKUP, ASK_CREATE, ASK_ASSET }; /* an ask's corr */

#define START_TICK_US 1000u
#define PUMP_ROWS_MAX 1024u /* in one turn */
#define LOOKUPS_MAX 2048u   /* under way: below what the store actors queue */
#define LOOKUPS_IN_VAIN 64u /* in a row: users are made without looking first */
#define WARMING_MAX 4096u   /* users whose first row is under way: each is read for it */

static struct import_run *run_of(const rt_ctx *ctx)
{
  return rt_local(ctx, HF_LOCAL_FRONT);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static bool ask(rt_ctx *ctx, struct import_run *run, rt_id to, uint16_t message,
                const void *payload, size_t size, enum ask kind)
{
  bool anywhere = kind == ASK_OP || kind == ASK_CREATE; /* a partition's actor, here or elsewhere */
  rt_status status;
  CHECK(size == sizeof(void *));
  if (anywhere)
    status = cluster_ask(ctx, to, message, *(void *const *)payload, 0, (uint32_t)kind);
  else
    status = rt_ask(ctx, to, message, payload, size, 0, (uint32_t)kind);
  if (status != RT_OK) {
    run->starved = true;
    return false;
  }
  run->asks++;
  return true;
}

static void ask_asset(rt_ctx *ctx, struct import_run *run)
{
  struct hf_catalog_change *change = rt_alloc(sizeof *change);
  change->kind = CATALOG_ADD_ASSET;
  change->asset.scale = (uint8_t)run->map->scale;
  change->asset.chain_decimals = 255;
  snprintf(change->asset.code, sizeof change->asset.code, "%s", run->asset);
  if (ask(ctx, run, catalog_home(ctx), HF_ASSET, &change, sizeof change, ASK_ASSET))
    run->phase = IMPORT_ASSET;
  else
    rt_free(change);
}

/* Is there a user of that external id? A create would tell as well, but finds it out by a commit
 * that conflicts, and that costs a hundred times as much. */
static bool ask_lookup(rt_ctx *ctx, struct import_run *run, struct import_user *user)
{
  struct store_request *request = store_request_new(STORE_GET_NAME);
  struct hf_hash digest = hf_external_id_digest(user->external_id, strlen(user->external_id));
  unsigned partition = hf_digest_partition(&digest, run->setup->partition_bits);
  request->owner = user;
  request->get_name.partition = partition;
  request->get_name.name_kind = STORE_NAME_EXTERNAL_ID;
  request->get_name.digest = digest;
  unsigned loop = rt_loop_of(ctx, hf_partition_actor(HF_KIND_NAMES, partition));
  if (!ask(ctx, run, hf_loop_actor(HF_KIND_STORE, loop), HF_READ, &request, sizeof request,
           ASK_LOOKUP)) {
    store_request_free(request);
    return false;
  }
  user->state = IMPORT_USER_ASKED;
  run->lookups++;
  return true;
}

static bool ask_create(rt_ctx *ctx, struct import_run *run, struct import_user *user)
{
  struct hf_create *create = rt_alloc(sizeof *create);
  size_t size = strlen(user->external_id);
  CHECK(size <= HF_EXTERNAL_ID_MAX);
  create->owner = user;
  create->kind = HF_USER_REGISTERED;
  create->has_external_id = true;
  create->existing_ok = true;
  memcpy(create->external_id, user->external_id, size + 1u);
  rt_id home = hf_create_home(ctx, create, run->setup->partition_bits);
  if (!ask(ctx, run, home, HF_CREATE, &create, sizeof create, ASK_CREATE)) {
    rt_free(create);
    return false;
  }
  user->state = IMPORT_USER_ASKED;
  return true;
}

static void put_text(json_t *object, const char *name, const char *text)
{
  if (text != NULL)
    json_object_set_new_nocheck(object, name, json_string_nocheck(text));
}

static void put_id(json_t *object, const char *name, hf_id id)
{
  char text[HF_ID_TEXT_MAX];
  hf_id_format(id, text);
  put_text(object, name, text);
}

/* The row as the API takes it, so that both make the same operation of it. */
static json_t *row_json(const struct import_run *run, const struct import_row *row)
{
  const struct import_options *options = run->map->options;
  char text[HF_AMOUNT_TEXT_MAX], effective[HF_TIME_TEXT_MAX];
  json_t *object = json_object();
  put_text(object, "type", ledger_type_text(row->type));
  put_id(object, "user_id", row->payer->id);
  put_text(object, "asset", run->asset);
  hf_amount_format(row->amount, run->map->scale, text);
  put_text(object, "amount", text);
  put_text(object, "idempotency_key", row->key);
  if (row->payee != NULL)
    put_id(object, "to_user_id", row->payee->id);
  bool source = row->type == LEDGER_T_EARN || row->type == LEDGER_T_GRANT ||
                row->type == LEDGER_T_DEPOSIT || row->type == LEDGER_T_QUARANTINE_IN;
  if (source || row->type == LEDGER_T_SPEND)
    put_text(object, source ? "source" : "to", options->label);
  if (row->effective_us != 0) {
    hf_time_format(row->effective_us, effective);
    put_text(object, "effective_at", effective);
  }
  put_text(object, "reason", options->reason);
  if (row->metadata != NULL)
    json_object_set(object, "metadata", row->metadata);
  return object;
}

/* NULL: the API's own rules refuse it, as `problem` says. */
static struct hf_op *make_op(rt_ctx *ctx, struct import_run *run, struct import_row *row,
                             struct json_problem *problem)
{
  unsigned written = 0;
  struct hf_op *op = hf_op_new();
  json_t *object = row_json(run, row);
  run->parse.now_us = (int64_t)rt_wall_us(ctx);
  api_parse_op(&run->parse, object, op, problem, &written);
  json_decref(object);
  if (problem->error != HF_OK) {
    hf_op_free(op);
    return NULL;
  }
  op->owner = row;
  snprintf(op->command.actor, sizeof op->command.actor, "import"); /* no service key asked */
  return op;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static void row_done(struct import_run *run, struct import_row *row)
{
  import_users_done(&run->users, row);
  CHECK(run->open > 0);
  run->open--;
  run->done++;
}

static void row_reject(struct import_run *run, struct import_row *row, enum hf_error error,
                       const char *detail)
{
  import_report_reject(run->report, row->line, error, detail, row->raw, row->raw_size);
  row_done(run, row);
}

/* Sends the row or finishes it without. False: no room now. */
static bool row_start(rt_ctx *ctx, struct import_run *run, struct import_row *row)
{
  struct json_problem problem = {0};
  const struct import_user *failed = row->payer->state == IMPORT_USER_FAILED ? row->payer
                                     : row->payee != NULL && row->payee->state == IMPORT_USER_FAILED
                                       ? row->payee
                                       : NULL;
  if (failed != NULL) {
    row_reject(run, row, failed->error, "the user could not be made");
    return true;
  }
  if (row->type == 0) {
    row_done(run, row);
    return true;
  }
  struct hf_op *op = make_op(ctx, run, row, &problem);
  if (op == NULL) {
    char detail[IMPORT_DETAIL_MAX];
    snprintf(detail, sizeof detail, "%.40s: %.140s", problem.field, problem.detail);
    row_reject(run, row, problem.error, detail);
    return true;
  }
  rt_id actor = hf_user_actor(op->user, run->setup->partition_bits);
  if (!ask(ctx, run, actor, HF_SUBMIT, &op, sizeof op, ASK_OP)) {
    hf_op_free(op);
    return false;
  }
  run->warming += !row->payer->warm;
  import_users_started(&run->users, row);
  return true;
}

static void user_sleep(struct import_user *user, struct import_user **list)
{
  if (user->is_asleep)
    return;
  user->is_asleep = true;
  user->next_asleep = *list;
  *list = user;
}

/* The first of the list may go on; false when it is empty. */
static bool user_wake(struct import_run *run, struct import_user **list)
{
  struct import_user *user = *list;
  if (user == NULL)
    return false;
  *list = user->next_asleep;
  user->is_asleep = false;
  if (user->halted && user->in_flight == 0)
    import_users_resume(&run->users, user);
  else
    import_users_ready(&run->users, user);
  return true;
}

static bool may_start(const struct import_run *run)
{
  return !atomic_load(&run->stop) && !run->gave_up && !run->starved;
}

static void ask_user(rt_ctx *ctx, struct import_run *run, struct import_user *user)
{
  if (run->in_vain >= LOOKUPS_IN_VAIN)
    (void)ask_create(ctx, run, user);
  else if (run->lookups < LOOKUPS_MAX)
    (void)ask_lookup(ctx, run, user);
  else
    user_sleep(user, &run->waiting);
}

static void user_start(rt_ctx *ctx, struct import_run *run, struct import_user *user)
{
  struct import_row *row;
  if (user->state == IMPORT_USER_NEW && user->rows > 0 && !user->is_asleep && may_start(run))
    ask_user(ctx, run, user);
  while (may_start(run) && (row = import_users_startable(user)) != NULL) {
    if (!user->warm && run->warming >= WARMING_MAX) {
      user_sleep(user, &run->cold);
      break;
    }
    if (!row_start(ctx, run, row))
      break;
  }
  if (run->starved)
    import_users_ready(&run->users, user); /* the next answer, or the next tick, makes room */
}

static void start_ready(rt_ctx *ctx, struct import_run *run)
{
  struct import_user *user;
  while (may_start(run) && (user = import_users_take_ready(&run->users)) != NULL)
    user_start(ctx, run, user);
}

/* The next row to import: first what --prefund gives, then the file's. NULL: none now. */
static struct import_row *next_row(struct import_run *run)
{
  if (run->phase == IMPORT_PREFUND) {
    const char *user;
    hf_amount amount;
    run->fund = import_funds_next_short(run->funds, run->fund, &user, &amount);
    if (run->fund != NULL) {
      struct import_row *row = import_map_prefund(run->map, user, amount);
      row->number = ++run->feed->numbers;
      return row;
    }
    run->phase = IMPORT_ROWS;
  }
  struct import_row *row = import_feed_next(run->feed);
  if (row == NULL && run->feed->ended)
    run->phase = IMPORT_ENDED;
  return row;
}

static bool is_reading(const struct import_run *run)
{
  return run->phase == IMPORT_PREFUND || run->phase == IMPORT_ROWS;
}

static void publish(struct import_run *run)
{
  bool early = atomic_load(&run->stop) || run->gave_up;
  atomic_store(&run->lines_done, run->feed->lines);
  atomic_store(&run->bytes_done, run->feed->source->bytes_done);
  if (run->asks == 0 && (early || (run->phase == IMPORT_ENDED && run->open == 0)))
    atomic_store(&run->finished, true);
}

static void pump(rt_ctx *ctx, struct import_run *run)
{
  unsigned taken = 0;
  start_ready(ctx, run);
  while (is_reading(run) && may_start(run) && run->open < run->window && taken < PUMP_ROWS_MAX) {
    struct import_row *row = next_row(run);
    taken++;
    if (row == NULL)
      continue; /* the end, or a stretch of lines without a row */
    run->open++;
    run->report->rows++;
    import_users_add(&run->users, row);
    if (row->payee != NULL)
      import_users_ready(&run->users, row->payee);
    start_ready(ctx, run);
  }
  if (taken == PUMP_ROWS_MAX)
    rt_want_turn_end(ctx);
  publish(run);
}

/* ---- answers --------------------------------------------------------------------------------- */

static void user_rest(struct import_run *run, struct import_user *user)
{
  if (user->halted && user->in_flight == 0)
    user_sleep(user, &run->asleep);
}

static void op_done(rt_ctx *ctx, struct import_run *run, struct hf_op *op)
{
  struct import_row *row = op->owner;
  struct import_user *user = row->payer;
  const struct hf_error_info *info = hf_error_info(op->error);
  if (!user->warm) { /* one may take its place */
    run->warming--;
    (void)user_wake(run, &run->cold);
  }
  run->asks--;
  run->starved = false;
  if (info->retryable) {
    run->report->retries++;
    import_users_back(row);
  } else {
    run->moved_us = rt_now_us(ctx);
    if (op->error == HF_OK) {
      if (row->came_back && !op->replayed && row->number < user->answered)
        run->report->disordered++;
      size_t count = 0;
      const struct ledger_entry *entries = hf_op_entries(op, &count);
      const struct ledger_entry *last = &entries[count - 1u];
      import_users_applied(row, last->version, last->after.bucket[LEDGER_CLAIMABLE]);
      import_report_done(run->report, row->type, row->line == 0, row->amount, op->replayed);
      row_done(run, row);
    } else {
      row_reject(run, row, op->error, "");
    }
  }
  hf_op_free(op);
  user_rest(run, user);
}

static void user_settle(rt_ctx *ctx, struct import_run *run, struct import_user *user,
                        enum hf_error error, hf_id id)
{
  if (error == HF_OK) {
    user->id = id;
    user->state = IMPORT_USER_KNOWN;
  } else if (hf_error_info(error)->retryable) {
    run->report->retries++;
    user->state = IMPORT_USER_NEW;
    user_sleep(user, &run->asleep);
    return;
  } else {
    user->error = error;
    user->state = IMPORT_USER_FAILED;
  }
  run->moved_us = rt_now_us(ctx);
  import_users_found(&run->users, user);
}

static void create_done(rt_ctx *ctx, struct import_run *run, struct hf_create *create)
{
  run->asks--;
  run->starved = false;
  if (create->error == HF_OK && create->replayed) {
    run->report->users_found++;
    run->in_vain = 0;
  } else if (create->error == HF_OK) {
    run->report->users_created++;
  }
  user_settle(ctx, run, create->owner, create->error, create->user);
  rt_free(create);
}

static void lookup_done(rt_ctx *ctx, struct import_run *run, struct store_request *request)
{
  struct import_user *user = request->owner;
  run->asks--;
  run->lookups--;
  run->starved = false;
  if (request->status == STORE_OK && request->get_name.out.state == STORE_NAME_CONFIRMED) {
    run->report->users_found++;
    run->in_vain = 0;
    user_settle(ctx, run, user, HF_OK, request->get_name.out.user);
  } else if (request->status == STORE_OK || request->status == STORE_NOT_FOUND) {
    run->in_vain++;
    user->state = IMPORT_USER_NEW;
    if (!may_start(run) || !ask_create(ctx, run, user))
      user_sleep(user, &run->asleep);
  } else {
    user_settle(ctx, run, user, request->status == STORE_CORRUPT ? HF_E_INTERNAL : HF_E_UNAVAILABLE,
                0);
  }
  store_request_free(request);
  /* One goes in its place; all, when none may look any more or none is left to wake them. */
  bool all = run->in_vain >= LOOKUPS_IN_VAIN || run->lookups == 0;
  while (user_wake(run, &run->waiting) && all) {
  }
}

static void asset_done(struct import_run *run, struct hf_catalog_change *change)
{
  run->asks--;
  if (change->error == HF_OK) {
    run->phase = run->funds == NULL ? IMPORT_ROWS : IMPORT_PREFUND;
  } else if (hf_error_info(change->error)->retryable) {
    run->phase = IMPORT_STARTING; /* the next tick asks again */
  } else {
    run->asset_error = change->error;
    run->phase = IMPORT_ENDED;
  }
  rt_free(change);
}

/* What the runtime answers itself: the payload is our own again. */
static void refused(rt_ctx *ctx, struct import_run *run, const rt_env *env)
{
  if (env->corr == ASK_OP) {
    struct hf_op *op = env->payload.p.ptr;
    op->error = HF_E_OVERLOADED;
    op_done(ctx, run, op);
  } else if (env->corr == ASK_CREATE) {
    struct hf_create *create = env->payload.p.ptr;
    create->error = HF_E_OVERLOADED;
    create_done(ctx, run, create);
  } else if (env->corr == ASK_LOOKUP) {
    struct store_request *request = env->payload.p.ptr;
    request->status = STORE_UNAVAILABLE;
    lookup_done(ctx, run, request);
  } else {
    struct hf_catalog_change *change = env->payload.p.ptr;
    change->error = HF_E_OVERLOADED;
    asset_done(run, change);
  }
}

/* ---- the actor ------------------------------------------------------------------------------- */

/* A loop can judge operations once it knows the assets. */
static void await_loop(rt_ctx *ctx, struct import_run *run)
{
  if (hf_loop_ready(ctx))
    atomic_fetch_add(&run->loops_ready, 1u);
  else
    rt_timer(ctx, START_TICK_US, TIMER_LOOP);
}

static void tick(rt_ctx *ctx, struct import_run *run)
{
  uint64_t now_us = rt_now_us(ctx);
  bool waits = run->open > 0 || run->phase < IMPORT_PREFUND;
  if (run->moved_us == 0 || !waits)
    run->moved_us = now_us;
  if (now_us - run->moved_us > IMPORT_GIVE_UP_US)
    run->gave_up = true;
  bool ready = atomic_load(&run->loops_ready) == rt_loop_count(ctx);
  if (run->phase == IMPORT_STARTING && ready && may_start(run)) {
    if (run->make_asset)
      ask_asset(ctx, run);
    else
      run->phase = run->funds == NULL ? IMPORT_ROWS : IMPORT_PREFUND;
  }
  run->starved = false;
  while (user_wake(run, &run->asleep)) {
  }
  rt_timer(ctx, run->phase == IMPORT_STARTING ? START_TICK_US : IMPORT_TICK_US, TIMER_TICK);
}

static rt_status import_handle(rt_ctx *ctx, void *state, const rt_env *env)
{
  struct import_run *run = run_of(ctx);
  (void)state;
  switch (env->op) {
  case RT_OP_TIMER:
    if (env->payload.u[0] == TIMER_TICK)
      tick(ctx, run);
    else
      await_loop(ctx, run);
    break;
  case HF_DONE:
    op_done(ctx, run, env->payload.p.ptr);
    break;
  case HF_READ_DONE:
    lookup_done(ctx, run, env->payload.p.ptr);
    break;
  case HF_CREATE_DONE:
    create_done(ctx, run, env->payload.p.ptr);
    break;
  case HF_ASSET_DONE:
    asset_done(run, env->payload.p.ptr);
    break;
  case RT_OP_DOWN:
  case RT_OP_OVERLOADED:
  case RT_OP_EXPIRED:
    refused(ctx, run, env);
    break;
  case RT_OP_STOPPING:
    break;
  default:
    CHECK(!"a message that the importer does not know");
  }
  return RT_OK;
}

static void import_turn_end(rt_ctx *ctx, void *state)
{
  (void)state;
  if (rt_loop_index(ctx) == 0)
    pump(ctx, run_of(ctx));
}

static rt_status import_load(rt_ctx *ctx, void *state)
{
  (void)state;
  rt_timer(ctx, START_TICK_US, TIMER_LOOP);
  if (rt_loop_index(ctx) == 0)
    rt_timer(ctx, START_TICK_US, TIMER_TICK);
  return RT_OK;
}

static const uint8_t import_may_ask[] = {HF_KIND_STORE, HF_KIND_USER,    HF_KIND_NAMES,
                                         HF_KIND_PEER,  HF_KIND_CATALOG, 0};

const rt_class hf_import_class = {
  .name = "import",
  .kind = HF_KIND_FRONT,
  .flags = RT_CLASS_PER_LOOP,
  .state_bytes = 8,
  .stash_max = 1024,
  .may_ask = import_may_ask,
  .load = import_load,
  .handle = import_handle,
  .turn_end = import_turn_end,
};

void import_run_loop_start(void *arg, rt_ctx *ctx)
{
  struct import_run *run = arg;
  rt_set_local(ctx, HF_LOCAL_FRONT, run);
  if (rt_loop_index(ctx) != 0)
    return;
  snprintf(run->correlation, sizeof run->correlation, "import:%.57s", run->map->file);
  run->parse.batch = true;
  run->parse.key_id = "import";
  run->parse.request_id = run->correlation;
}

void import_run_free(struct import_run *run)
{
  import_users_free(&run->users);
  api_parse_deinit(&run->parse);
}
