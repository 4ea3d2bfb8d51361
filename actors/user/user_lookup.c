/* Lookups: what an op refers to and the actor does not hold in memory is read from the journal
 * before the op is judged. Everything else of the user goes on meanwhile. */
#include "actors/user/user.h"

static bool lookup_start(rt_ctx *ctx, struct user_actor *user, struct hf_op *op,
                         struct store_request *request)
{
  request->owner = op;
  op->state = OP_WAITING;
  op->looked_up_tenure = cluster_tenure(ctx, rt_id_shard(rt_self(ctx)));
  user->work->lookups++;
  rt_id store = hf_loop_actor(HF_KIND_STORE, rt_loop_index(ctx));
  if (rt_ask(ctx, store, HF_READ, &request, sizeof request, 0, hf_corr(request)) != RT_OK) {
    request->status = STORE_UNAVAILABLE;
    user_lookup_done(ctx, user, request);
  }
  return false;
}

void user_fetch_known(rt_ctx *ctx, struct user_actor *user, struct hf_op *op)
{
  struct store_request *request = store_request_new(STORE_GET_KEY_OP);
  request->get_key_op.user = op->user;
  request->get_key_op.key = op->command.key;
  lookup_start(ctx, user, op, request);
}

bool user_asset_in_doubt(const rt_ctx *ctx, const struct hf_op *op)
{
  return op->error == HF_E_ASSET_NOT_FOUND && !op->assets_read && !cluster_of(ctx)->alone;
}

void user_read_assets(rt_ctx *ctx, struct user_actor *user, struct hf_op *op)
{
  lookup_start(ctx, user, op, store_request_new(STORE_CATALOG));
}

static bool is_open(const struct user_actor *user, const struct hf_op *op)
{
  const struct ledger_user *state = user_newest(user);
  if (op->command.type == LEDGER_T_UNBLOCK)
    return ledger_user_block(state, op->command.ref) != NULL;
  return ledger_user_hold(state, op->command.ref) != NULL;
}

/* If it is not open any more when its turn comes, an earlier member of its group resolved it. */
static bool will_be_resolved(struct hf_op *op)
{
  op->command.fate = LEDGER_FATE_RESOLVED;
  return true;
}

/* False: a read is under way, or the op is parked behind another reversal. */
static bool prepare_one(rt_ctx *ctx, struct user_actor *user, struct hf_op *op, struct hf_op *head)
{
  struct store_request *request;
  bool fresh = op->looked_up && op->looked_up_tenure == user->tenure;
  if (fresh || op->state == OP_DONE)
    return true;
  switch (op->command.type) {
  case LEDGER_T_REVERSE:
    if (user->work->reversing != NULL && user->work->reversing != head) {
      head->state = OP_WAITING;
      op_list_append(&user->work->parked, head);
      return false;
    }
    user->work->reversing = head;
    request = store_request_new(STORE_GET_OP);
    request->get_op.id = op->command.ref;
    return lookup_start(ctx, user, op, request);
  case LEDGER_T_CAPTURE:
  case LEDGER_T_VOID:
    if (is_open(user, op))
      return will_be_resolved(op);
    request = store_request_new(STORE_GET_HOLD);
    request->get_hold.id = op->command.ref;
    return lookup_start(ctx, user, op, request);
  case LEDGER_T_UNBLOCK:
    if (is_open(user, op))
      return will_be_resolved(op);
    request = store_request_new(STORE_GET_BLOCK);
    request->get_block.id = op->command.ref;
    return lookup_start(ctx, user, op, request);
  default:
    return true;
  }
}

bool user_prepare(rt_ctx *ctx, struct user_actor *user, struct hf_op *op)
{
  for (struct hf_op *member = op; member != NULL; member = member->group_next)
    if (!prepare_one(ctx, user, member, op))
      return false;
  return true;
}

/* False: the rows contradict each other. */
static bool take_original(struct hf_op *op, const struct store_request *request)
{
  if (op->original == NULL)
    op->original = rt_alloc(sizeof *op->original);
  *op->original = (struct ledger_original){0};
  const struct store_op *known = request->get_op.out;
  if (request->status != STORE_OK || known->refused || known->entries[0].user != op->user)
    return true;
  op->original->found = true;
  op->original->first = known->entries[0];
  op->original->first.others = NULL; /* of the answer's memory, and not needed */
  op->original->first.others_count = 0;
  hf_amount *reversed = &op->original->reversed;
  for (size_t i = 0; i < known->reversals_count; i++)
    if (known->reversals[i].amount <= 0 ||
        !hf_amount_add(*reversed, known->reversals[i].amount, reversed))
      return false;
  op->original->reversals = known->reversals_count;
  return op->original->first.op_index == 0 && *reversed <= op->original->first.amount;
}

/* What the store knows and this loop does not, it is told to learn: the client asks again. */
static enum hf_error take_assets(rt_ctx *ctx, struct hf_op *op, const struct store_request *request)
{
  uint64_t none = 0;
  rt_id own = hf_loop_actor(HF_KIND_CATALOG, rt_loop_index(ctx));
  op->looked_up = false; /* what else was read was read before this */
  op->assets_read = request->catalog.assets_count <= catalog_assets_count(catalog_of(ctx));
  if (op->assets_read)
    return HF_OK;
  (void)rt_tell(ctx, own, HF_STALE, &none, sizeof none); /* a heartbeat tells as well, later */
  return HF_E_UNAVAILABLE;
}

/* A key that settled here is not in the journal: the database has gone back, to a backup or to a
 * standby that had less. Nothing that this user remembers is to be believed. */
static void database_went_back(rt_ctx *ctx, struct user_actor *user, struct hf_op *op,
                               struct hf_op *head)
{
  user->recent_count = user->recent_next = 0;
  user->all_keys_recent = false;
  op->looked_up = false;
  user_recover(ctx, user, true);
  user_retry(ctx, user, head);
  user_progress(ctx, user);
}

/* False: it is open in the journal but not in memory. Its resolution is on the way there, and only
 * when that has come it is known which one it was. */
static bool take_hold(struct hf_op *op, const struct store_request *request)
{
  const struct store_hold_row *hold = &request->get_hold.out;
  op->command.fate = LEDGER_FATE_UNKNOWN;
  if (request->status != STORE_OK || hold->user != op->user)
    return true;
  op->command.fate = hold->state == STORE_HOLD_EXPIRED ? LEDGER_FATE_EXPIRED : LEDGER_FATE_RESOLVED;
  return hold->state != STORE_HOLD_OPEN;
}

static void take_block(struct hf_op *op, const struct store_request *request)
{
  const struct store_block_row *block = &request->get_block.out;
  bool known = request->status == STORE_OK && block->user == op->user;
  op->command.fate = known ? LEDGER_FATE_RESOLVED : LEDGER_FATE_UNKNOWN;
}

void user_lookup_done(rt_ctx *ctx, struct user_actor *user, struct store_request *request)
{
  struct hf_op *op = request->owner;
  struct hf_op *head = op->group_head != NULL ? op->group_head : op;
  CHECK(user->work->lookups > 0);
  CHECK(op->state == OP_WAITING);
  user->work->lookups--;
  op->state = OP_NEW;
  if (request->status != STORE_OK && request->status != STORE_NOT_FOUND) {
    store_request_free(request);
    user_finish_all(ctx, user, head, head->unknown ? HF_E_UNKNOWN_OUTCOME : HF_E_UNAVAILABLE);
    user_progress(ctx, user);
    return;
  }
  op->looked_up = true;
  if (request->kind == STORE_GET_KEY_OP) {
    struct store_op *known = request->get_key_op.out;
    request->get_key_op.out = NULL;
    store_request_free(request);
    bool refused = op->command.type == LEDGER_T_BOUNCE && op->error != HF_OK;
    if (known == NULL && !refused) {
      database_went_back(ctx, user, op, head);
      return;
    }
    if (known == NULL)
      user_finish(ctx, user, op, op->error);
    else
      user_replay(ctx, user, op, known);
    user_progress(ctx, user);
    return;
  }
  enum hf_error error = HF_OK;
  if (request->kind == STORE_GET_OP)
    error = take_original(op, request) ? HF_OK : HF_E_INTERNAL;
  else if (request->kind == STORE_CATALOG)
    error = take_assets(ctx, op, request);
  else if (request->kind == STORE_GET_HOLD)
    op->looked_up = take_hold(op, request);
  else
    take_block(op, request);
  store_request_free(request);
  if (error != HF_OK)
    user_finish_all(ctx, user, head, error);
  else if (user->state == USER_READY && op->looked_up)
    user_run(ctx, user, head);
  else
    user_retry(ctx, user, head);
  user_progress(ctx, user);
}
