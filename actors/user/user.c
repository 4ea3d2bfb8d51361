/* The user actor: the serial point of one user's balances.
 *
 * Happy path: the first message loads the user; a SUBMIT is judged at once against the staged
 *   state and handed to the store actor, so that the next op sees it; when its batch is durable the
 *   entries are folded into the committed state and the asker is answered. Readers see committed.
 * Ways to fail: a key that the journal knows (answered from it, what was staged on top is judged
 *   again); a commit that failed or is of unknown outcome (everything pending comes back, the user
 *   is read anew, ops inside their deadline are judged again, the others get 503).
 * Invariants: staged exists exactly while ops are pending; committed = fold of the journal; an op
 *   is answered exactly once; no two pending ops have the same key. */
#include "actors/metrics.h"
#include "actors/user/user.h"

/* Rows: from; columns: to. */
static const bool moves[4][4] = {
  [USER_COLD] = {[USER_LOADING] = true},
  [USER_LOADING] = {[USER_READY] = true, [USER_COLD] = true},
  [USER_READY] = {[USER_LOADING] = true, [USER_RECOVERING] = true},
  [USER_RECOVERING] = {[USER_LOADING] = true, [USER_READY] = true},
};

void user_move(rt_ctx *ctx, struct user_actor *user, enum user_state state)
{
  CHECK(moves[user->state][state]);
  bool was_open = user->state == USER_READY || user->state == USER_COLD;
  bool is_open = state == USER_READY || state == USER_COLD;
  user->state = (uint8_t)state;
  if (was_open) {
    CHECK(!is_open); /* no move leads from one open state to the other */
    rt_close_gate(ctx);
  } else if (is_open) {
    rt_open_gate(ctx);
  }
}

int64_t user_wall_us(const rt_ctx *ctx)
{
  return (int64_t)rt_wall_us(ctx);
}

static void view_answer(rt_ctx *ctx, struct user_actor *user, struct hf_view *view)
{
  const struct ledger_user *ledger = &user->committed;
  view->error = user->missing ? HF_E_USER_NOT_FOUND : HF_OK;
  view->version = ledger->version;
  view->as_of_us = user_wall_us(ctx);
  view->assets_count = ledger->assets_count;
  view->assets = view->inline_assets;
  if (ledger->assets_count > sizeof view->inline_assets / sizeof view->inline_assets[0])
    view->assets = rt_alloc(ledger->assets_count * sizeof *view->assets);
  for (unsigned i = 0; i < ledger->assets_count; i++)
    view->assets[i] = ledger->assets[i];
  rt_reply(ctx, view->asker, view->corr, HF_BALANCES_DONE, &view, sizeof view);
}

void user_view_refuse(rt_ctx *ctx, struct hf_view *view)
{
  view->error = HF_E_UNAVAILABLE;
  rt_reply(ctx, view->asker, view->corr, HF_BALANCES_DONE, &view, sizeof view);
}

/* A view waits while a hold that had expired when it was asked for is not released durably; when
 * nothing is under way that would release it, it is not kept waiting. */
void user_view(rt_ctx *ctx, struct user_actor *user, struct hf_view *view)
{
  int64_t now_us = user_wall_us(ctx);
  int64_t until_us = view->wait_expiry_us < now_us ? view->wait_expiry_us : now_us;
  if (user->state == USER_COLD || !user_is_true(ctx, user)) {
    user_view_refuse(ctx, view);
  } else if (ledger_user_expired(&user->committed, until_us) == NULL) {
    view_answer(ctx, user, view);
  } else if (user->state == USER_READY && user->work->pending == 0) {
    user_view_refuse(ctx, view);
  } else {
    view->next = user->work->views;
    user->work->views = view;
  }
}

static void peek_answer(rt_ctx *ctx, const struct user_actor *user, struct hf_peek *peek)
{
  peek->error = user->missing ? HF_E_USER_NOT_FOUND : HF_OK;
  peek->status = user->committed.status;
  peek->version = user->committed.version;
  rt_reply(ctx, peek->asker, peek->corr, HF_PEEK_DONE, &peek, sizeof peek);
}

static void peek_refuse(rt_ctx *ctx, struct hf_peek *peek, enum hf_error error)
{
  peek->error = error;
  rt_reply(ctx, peek->asker, peek->corr, HF_PEEK_DONE, &peek, sizeof peek);
}

static void status_start(rt_ctx *ctx, struct user_actor *user, struct hf_peek *peek)
{
  if (user->missing) {
    peek_answer(ctx, user, peek);
    return;
  }
  if (user->state != USER_READY) { /* the store had no room for an expiry */
    peek_refuse(ctx, peek, HF_E_UNAVAILABLE);
    return;
  }
  const struct hf_setup *setup = hf_setup_of(ctx);
  peek->row.table = STORE_T_USER;
  peek->row.action = STORE_UPDATE;
  peek->row.user = (struct store_user_row){.id = user->committed.id, .status = peek->status};
  peek->unit.partition = hf_id_partition(peek->user, setup->partition_bits);
  peek->unit.user = peek->user;
  peek->unit.tenure = user->tenure;
  peek->unit.rows = &peek->row;
  peek->unit.rows_count = 1;
  struct store_unit *unit = &peek->unit;
  rt_id store = hf_loop_actor(HF_KIND_STORE, rt_loop_index(ctx));
  if (rt_ask(ctx, store, HF_PERSIST, &unit, sizeof unit, 0, hf_corr(unit)) != RT_OK) {
    peek_refuse(ctx, peek, HF_E_OVERLOADED);
    return;
  }
  user->work->pending++;
  user_staged_begin(user);
  user->work->staged->status = peek->status; /* what comes now is committed behind it */
}

/* The op of a SUBMIT, ready to be judged or refused. */
static struct hf_op *op_take(const rt_env *env)
{
  struct hf_op *op = env->payload.p.ptr;
  op->asker = env->from;
  op->corr = env->corr;
  op->group_left = 0;
  for (struct hf_op *member = op; member != NULL; member = member->group_next) {
    member->state = OP_NEW;
    member->group_head = op->group_next != NULL ? op : NULL;
    op->group_left++;
  }
  return op;
}

static void user_message(rt_ctx *ctx, struct user_actor *user, const rt_env *env)
{
  switch (env->op) {
  case HF_SUBMIT:
    user_run(ctx, user, op_take(env));
    break;
  case HF_BALANCES: {
    struct hf_view *view = env->payload.p.ptr;
    view->asker = env->from;
    view->corr = env->corr;
    view->wait_expiry_us = user_wall_us(ctx);
    user_expire(ctx, user);
    user_view(ctx, user, view);
    break;
  }
  case HF_PEEK:
  case HF_SET_STATUS: {
    struct hf_peek *peek = env->payload.p.ptr;
    peek->asker = env->from;
    peek->corr = env->corr;
    user_expire(ctx, user);
    if (env->op == HF_SET_STATUS)
      status_start(ctx, user, peek);
    else if (user_is_true(ctx, user))
      peek_answer(ctx, user, peek);
    else
      peek_refuse(ctx, peek, HF_E_UNAVAILABLE);
    break;
  }
  default:
    CHECK(!"a message that the user actor does not know");
  }
}

static void message_refuse(rt_ctx *ctx, struct user_actor *user, const rt_env *env)
{
  if (env->op == HF_SUBMIT) {
    user_finish_all(ctx, user, op_take(env), HF_E_UNAVAILABLE);
  } else if (env->op == HF_BALANCES) {
    struct hf_view *view = env->payload.p.ptr;
    view->asker = env->from;
    view->corr = env->corr;
    user_view_refuse(ctx, view);
  } else {
    struct hf_peek *peek = env->payload.p.ptr;
    peek->asker = env->from;
    peek->corr = env->corr;
    peek_refuse(ctx, peek, HF_E_UNAVAILABLE);
  }
}

/* What was read is not good enough for this message: read again, then handle it. What is under way
 * comes back first. */
static void message_after_load(rt_ctx *ctx, struct user_actor *user, const rt_env *env)
{
  CHECK(user->work->cold == NULL);
  user->work->cold = rt_alloc(sizeof *user->work->cold);
  *user->work->cold = *env;
  if (user->work->pending == 0)
    user_load_start(ctx, user);
  else
    user_recover(ctx, user, true);
}

static void user_dispatch(rt_ctx *ctx, struct user_actor *user, const rt_env *env)
{
  switch (env->op) {
  case HF_READ_DONE: {
    struct store_request *request = env->payload.p.ptr;
    if (request->kind == STORE_LOAD_USER)
      user_load_done(ctx, user, request);
    else
      user_lookup_done(ctx, user, request);
    return;
  }
  case RT_OP_TIMER:
    user_progress(ctx, user);
    return;
  case HF_SETTLED:
    user_settled(ctx, user, env->payload.p.ptr);
    return;
  default:
    break;
  }
  if (!cluster_has(ctx, rt_id_shard(rt_self(ctx)))) {
    message_refuse(ctx, user, env);
    return;
  }
  if (user->state == USER_COLD || user->missing || user_is_foreign(ctx, user)) {
    message_after_load(ctx, user, env);
    return;
  }
  CHECK(user->state == USER_READY);
  user_message(ctx, user, env);
}

static bool work_is_empty(const struct user_work *work)
{
  return work->pending == 0 && work->lookups == 0 && work->staged == NULL && work->views == NULL &&
         work->cold == NULL && work->retry.first == NULL && work->parked.first == NULL &&
         work->reversing == NULL;
}

static void work_begin(struct user_actor *user)
{
  if (user->work == NULL)
    user->work = rt_alloc(sizeof *user->work);
}

static void work_end(struct user_actor *user)
{
  bool resting = user->state == USER_READY || user->state == USER_COLD;
  if (!resting || !work_is_empty(user->work))
    return;
  CHECK(user->work->keys.count == 0);
  rt_free(user->work);
  user->work = NULL;
}

static rt_status user_handle(rt_ctx *ctx, void *state, const rt_env *env)
{
  struct user_actor *user = state;
  work_begin(user);
  user_dispatch(ctx, user, env);
  work_end(user);
  return RT_OK;
}

void user_message_cold(rt_ctx *ctx, struct user_actor *user, bool refuse)
{
  rt_env *env = user->work->cold;
  if (env == NULL)
    return;
  user->work->cold = NULL;
  if (refuse)
    message_refuse(ctx, user, env);
  else
    user_message(ctx, user, env);
  rt_free(env);
}

static rt_status user_load(rt_ctx *ctx, void *state)
{
  struct user_actor *user = state;
  const struct hf_setup *setup = hf_setup_of(ctx);
  rt_id self = rt_self(ctx);
  ledger_user_init(&user->committed,
                   hf_id_make(rt_id_serial(self), rt_id_shard(self), setup->partition_bits));
  if (!cluster_has(ctx, rt_id_shard(self)))
    return RT_OK; /* cold: each message is refused, until the partition is here */
  work_begin(user);
  user_load_start(ctx, user);
  work_end(user); /* the read may have failed at once */
  return RT_WAIT;
}

static bool user_idle(const void *state)
{
  return ((const struct user_actor *)state)->work == NULL;
}

/* The asker owns its ops and frees them; the actor's own are the expiries. */
static void list_free_own(struct op_list *list)
{
  for (struct hf_op *op = op_list_take(list); op != NULL; op = op_list_take(list))
    if (op->asker == RT_ID_NONE)
      hf_op_free(op);
}

/* The work is gone already, unless the whole process ends. */
static void user_passivate(rt_ctx *ctx, void *state)
{
  struct user_actor *user = state;
  struct user_work *work = user->work;
  (void)ctx;
  if (work != NULL) {
    list_free_own(&work->retry);
    list_free_own(&work->parked);
    rt_free(work->cold);
    key_set_deinit(&work->keys);
    if (work->staged != NULL)
      ledger_user_deinit(work->staged);
    rt_free(work);
  }
  ledger_user_deinit(&user->committed);
}

static void user_check(const void *state)
{
  const struct user_actor *user = state;
  const struct user_work *work = user->work;
  CHECK(ledger_user_check(&user->committed) == NULL);
  if (work == NULL)
    return;
  CHECK(work->staged == NULL || ledger_user_check(work->staged) == NULL);
  CHECK(work->staged == NULL || work->pending > 0);
  CHECK(work->keys.count <= work->pending);
}

static const uint8_t user_may_ask[] = {HF_KIND_STORE, 0};

const rt_class hf_user_class = {
  .name = "user",
  .kind = HF_KIND_USER,
  .state_bytes = sizeof(struct user_actor),
  .stash_max = 16384,
  .idle_us = 900u * 1000000u,
  .may_ask = user_may_ask,
  .load = user_load,
  .handle = user_handle,
  .idle = user_idle,
  .passivate = user_passivate,
  .check = user_check,
};
