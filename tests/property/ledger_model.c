/* ledger_model.c - see the header. Deliberately plain; the numbers are those of the wire. */
#include "ledger_model.h"

#include <stddef.h>
#include <string.h>

enum { EARNED, PENDING, CLAIMABLE, HELD, CLAIMING, BLOCKED, QUARANTINE, DEBT };
enum { ISSUANCE = 16, REWARDS, SPENT, PAID, FEES, PSP, CHAIN, ADJUSTMENTS, GOODWILL, TRANSIT };
enum {
  EARN = 1,
  SETTLE,
  MATURE,
  GRANT,
  DEPOSIT,
  SPEND,
  HOLD,
  CAPTURE,
  VOID,
  BLOCK,
  UNBLOCK,
  TRANSFER,
  ADJUST,
  JAIL,
  RELEASE,
  REVERSE,
  EXPIRE,
  CREDIT,
  BOUNCE
};

__extension__ typedef unsigned __int128 model_wide;

static const model_sum most = (model_sum)(((((model_sum)1 << 126) - 1) << 1) + 1);

/* What the system gave and took has no bound; it is known modulo 2^128. */
static model_sum wrap(model_sum a, model_sum b)
{
  return (model_sum)((model_wide)a + (model_wide)b);
}

static bool fits(model_sum a, model_sum b)
{
  return a <= most - b;
}

/* One post of the newest op; NULL or a refusal. */
static const char *post(struct model *model, int asset, int from, int to, model_sum amount)
{
  model_sum *sum = model->sum[asset];
  if (from < DEBT && sum[from] < amount)
    return "insufficient_funds";
  if (from == DEBT && !fits(-sum[DEBT], amount))
    return "amount_overflow";
  if (from > DEBT && to < DEBT) {
    model_sum all = amount;
    for (int i = 0; i < DEBT; i++) {
      if (!fits(sum[i], all))
        return "amount_overflow";
      all += sum[i];
    }
  }
  if (to == SPENT && !fits(model->spent[asset], amount))
    return "amount_overflow";
  sum[from] = wrap(sum[from], -amount);
  sum[to] = wrap(sum[to], amount);
  model->spent[asset] += to == SPENT ? amount : from == SPENT ? -amount : 0;
  model->posts_count++;
  return NULL;
}

/* From outside into what the user could spend or will: what is owed goes first. */
static const char *receive(struct model *model, int asset, int from, int to, model_sum amount)
{
  const char *refused = post(model, asset, from, to, amount);
  model_sum owed = -model->sum[asset][DEBT];
  if (refused != NULL || owed == 0 || from < DEBT || (to != EARNED && to != CLAIMABLE))
    return refused;
  return post(model, asset, to, DEBT, owed < amount ? owed : amount);
}

/* A user's time does not go back, though clocks do. */
static int64_t time_of(const struct model *model, const struct model_request *request)
{
  const int64_t next_us = model->recorded_us + 1;
  return request->now_us > next_us ? request->now_us : next_us;
}

static const char *find(struct model *model, const struct model_request *request,
                        struct model_op **ret_op)
{
  struct model_op *op = request->op < 0 ? NULL : &model->ops[request->op];
  *ret_op = op;
  if (request->type == REVERSE) {
    if (op == NULL)
      return "original_not_found";
    return op->reversed == op->amount ? "already_reversed" : NULL;
  }
  if (request->type == UNBLOCK) {
    if (op == NULL || op->opened != MODEL_BLOCK)
      return "block_not_found";
    return op->state == MODEL_OPEN ? NULL : "block_resolved";
  }
  if (op == NULL || op->opened != MODEL_HOLD)
    return "hold_not_found";
  if (op->state != MODEL_OPEN)
    return op->state == MODEL_DONE ? "hold_resolved" : "hold_expired";
  bool over = op->expires_us != 0 && op->expires_us <= time_of(model, request);
  return over && request->type != EXPIRE ? "hold_expired" : NULL;
}

static const char *resolve_hold(struct model *model, const struct model_request *request,
                                struct model_op *hold, model_sum amount)
{
  const char *refused = NULL;
  if (request->type == CAPTURE || request->type == VOID) {
    if (amount > hold->left)
      return "amount_exceeds_hold";
  }
  if (request->type == VOID && amount < hold->left)
    return "invalid_transition";
  if (request->type == EXPIRE &&
      (hold->expires_us == 0 || hold->expires_us > time_of(model, request)))
    return "invalid_transition";
  if (request->type != CAPTURE) {
    refused = post(model, hold->asset, HELD, CLAIMABLE, hold->left);
    hold->left = 0;
    hold->state = request->type == EXPIRE ? MODEL_LAPSED : MODEL_DONE;
    return refused;
  }
  refused = post(model, hold->asset, HELD, SPENT, amount);
  if (refused != NULL)
    return refused;
  hold->left -= amount;
  if (request->final && hold->left > 0) {
    refused = post(model, hold->asset, HELD, CLAIMABLE, hold->left);
    hold->left = 0;
  }
  if (hold->left == 0)
    hold->state = MODEL_DONE;
  return refused;
}

static const char *reverse(struct model *model, struct model_op *op, model_sum amount)
{
  int type = op->type, asset = op->asset;
  if (type != EARN && type != SETTLE && type != MATURE && type != GRANT && type != DEPOSIT &&
      type != SPEND && type != CAPTURE && type != ADJUST && type != JAIL && type != RELEASE)
    return "invalid_transition";
  if (amount > op->amount - op->reversed)
    return "already_reversed";
  const char *refused = NULL;
  if (op->from > DEBT) {
    model_sum there = model->sum[asset][op->to];
    model_sum taken = there < amount ? there : amount;
    if (taken < amount)
      refused = post(model, asset, DEBT, op->from, amount - taken);
    if (refused == NULL && taken > 0)
      refused = post(model, asset, op->to, op->from, taken);
  } else if (op->to < DEBT) {
    refused = post(model, asset, op->to, op->from, amount);
  } else {
    refused = receive(model, asset, op->to, CLAIMABLE, amount);
  }
  if (refused == NULL)
    op->reversed += amount;
  return refused;
}

/* What changes, when all that can be told beforehand is in order. */
static const char *execute(struct model *model, const struct model_request *request,
                           struct model_op *old, model_sum amount, struct model_op *made)
{
  int asset = made->asset;
  static const int plain[][3] = {
    {EARN, ISSUANCE, EARNED},       {SETTLE, EARNED, PENDING},    {MATURE, PENDING, CLAIMABLE},
    {GRANT, REWARDS, CLAIMABLE},    {SPEND, CLAIMABLE, SPENT},    {HOLD, CLAIMABLE, HELD},
    {TRANSFER, CLAIMABLE, TRANSIT}, {JAIL, ISSUANCE, QUARANTINE}, {RELEASE, QUARANTINE, PENDING},
    {BOUNCE, TRANSIT, CLAIMABLE},
  };
  for (unsigned i = 0; i < sizeof plain / sizeof *plain; i++) {
    if (plain[i][0] == request->type) {
      made->from = plain[i][1];
      made->to = plain[i][2];
    }
  }
  switch (request->type) {
  case DEPOSIT:
    made->from = request->from_chain ? CHAIN : PSP;
    made->to = CLAIMABLE;
    break;
  case CREDIT:
    made->from = TRANSIT;
    made->to = model->closed ? BLOCKED : CLAIMABLE;
    break;
  case ADJUST:
    made->from = amount < 0 ? CLAIMABLE : ADJUSTMENTS;
    made->to = amount < 0 ? ADJUSTMENTS : CLAIMABLE;
    break;
  case BLOCK:
    if (request->bucket > QUARANTINE || request->bucket == HELD || request->bucket == CLAIMING ||
        request->bucket == BLOCKED)
      return "invalid_transition";
    made->from = request->bucket;
    made->to = BLOCKED;
    break;
  case TRANSFER:
    if (request->payee_is_self)
      return "self_transfer";
    if (request->payee_closed)
      return "user_closed";
    break;
  case CAPTURE:
    made->from = HELD;
    made->to = SPENT;
    made->amount = amount;
    return resolve_hold(model, request, old, amount);
  case VOID:
  case EXPIRE:
    made->amount = old->left;
    return resolve_hold(model, request, old, amount);
  case UNBLOCK:
    if (amount > old->left)
      return "amount_exceeds_block";
    old->left -= amount;
    old->state = old->left == 0 ? MODEL_DONE : MODEL_OPEN;
    made->amount = amount;
    return post(model, asset, BLOCKED, old->bucket, amount);
  case REVERSE:
    made->amount = amount;
    return reverse(model, old, amount);
  default:
    break;
  }
  made->amount = amount < 0 ? -amount : amount;
  made->left = made->amount;
  if (made->to == HELD || made->to == BLOCKED)
    made->opened = made->to == HELD ? MODEL_HOLD : MODEL_BLOCK;
  made->bucket = request->type == CREDIT ? CLAIMABLE : made->from;
  return receive(model, asset, made->from, made->to, made->amount);
}

static const char *judge(struct model *model, const struct model_request *request,
                         struct model_op *made)
{
  int type = request->type;
  struct model_op *old = NULL;
  bool server = type == EXPIRE || type == CREDIT || type == BOUNCE;
  if (model->closed && !server && type != VOID)
    return "user_closed";
  if (request->version >= 0 && request->version != model->entries)
    return "version_mismatch";
  if (request->asset_named && request->asset == MODEL_ASSETS - 1)
    return "asset_not_found";
  made->asset = request->asset;
  if (type == CAPTURE || type == VOID || type == EXPIRE || type == UNBLOCK || type == REVERSE) {
    const char *refused = find(model, request, &old);
    if (refused != NULL)
      return refused;
    made->asset = old->asset;
    if (request->asset_named && request->asset != old->asset)
      return "asset_mismatch";
  }
  model_sum amount = request->amount;
  if (!request->amount_named)
    amount = old == NULL ? 0 : type == REVERSE ? old->amount - old->reversed : old->left;
  else if (request->too_fine || amount == 0 || (amount < 0 && type != ADJUST))
    return "invalid_amount";
  const char *refused = execute(model, request, old, amount, made);
  return refused;
}

const char *model_apply(struct model *model, const struct model_request *request)
{
  struct model before; /* but for the ops, of which one changes at most */
  struct model_op old = {0}, made = {.type = request->type};
  memcpy(&before, model, offsetof(struct model, ops));
  if (request->op >= 0)
    old = model->ops[request->op];
  model->posts_count = 0;
  const char *refused = judge(model, request, &made);
  if (refused != NULL) {
    memcpy(model, &before, offsetof(struct model, ops));
    if (request->op >= 0)
      model->ops[request->op] = old;
    return refused;
  }
  model->recorded_us = time_of(model, request);
  if (made.opened == MODEL_HOLD && request->timeout_s > 0)
    made.expires_us = model->recorded_us + (int64_t)request->timeout_s * 1000000;
  model->ops[model->ops_count++] = made;
  model->entries += model->posts_count;
  return "ok";
}
