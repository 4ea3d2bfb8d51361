/* plan_refs.c - commands that resolve something earlier: a hold, a block, an original. */
#include "actors/ledger/plan.h"

/* ---- finding --------------------------------------------------------------------------------- */

static enum hf_error find_hold(struct plan *plan)
{
  const struct ledger_command *command = plan->command;
  const struct ledger_hold *hold = ledger_user_hold(plan->user, command->ref);
  if (hold == NULL) {
    switch (command->fate) {
    case LEDGER_FATE_RESOLVED:
      return HF_E_HOLD_RESOLVED;
    case LEDGER_FATE_EXPIRED:
      return HF_E_HOLD_EXPIRED;
    default:
      return HF_E_HOLD_NOT_FOUND;
    }
  }
  bool expired = hold->expires_us != 0 && hold->expires_us <= plan->now_us;
  if (expired && command->type != LEDGER_T_EXPIRE)
    return HF_E_HOLD_EXPIRED;
  plan->hold = hold;
  plan->left = hold->remaining;
  plan->asset = hold->asset;
  return HF_OK;
}

static enum hf_error find_block(struct plan *plan)
{
  const struct ledger_block *block = ledger_user_block(plan->user, plan->command->ref);
  if (block == NULL)
    return plan->command->fate == LEDGER_FATE_RESOLVED ? HF_E_BLOCK_RESOLVED : HF_E_BLOCK_NOT_FOUND;
  plan->block = block;
  plan->left = block->remaining;
  plan->asset = block->asset;
  return HF_OK;
}

static enum hf_error find_original(struct plan *plan)
{
  const struct ledger_original *original = plan->command->original;
  CHECK(original != NULL);
  if (!original->found)
    return HF_E_ORIGINAL_NOT_FOUND;
  CHECK(original->first.user == plan->user->id);
  CHECK(original->first.op_index == 0);
  CHECK(original->reversed >= 0 && original->reversed <= original->first.amount);
  plan->left = original->first.amount - original->reversed;
  plan->asset = original->first.asset;
  return plan->left == 0 ? HF_E_ALREADY_REVERSED : HF_OK;
}

enum hf_error plan_find(struct plan *plan)
{
  enum hf_error error = HF_E_INTERNAL;
  switch ((enum plan_ref)plan->rule->ref) {
  case PLAN_REF_HOLD:
    error = find_hold(plan);
    break;
  case PLAN_REF_BLOCK:
    error = find_block(plan);
    break;
  case PLAN_REF_ORIGINAL:
    error = find_original(plan);
    break;
  case PLAN_REF_NONE:
    break;
  }
  CHECK(error != HF_E_INTERNAL);
  if (error == HF_OK && plan->command->asset_given && plan->command->asset != plan->asset)
    return HF_E_ASSET_MISMATCH;
  return error;
}

/* ---- holds and blocks ------------------------------------------------------------------------ */

enum hf_error plan_capture(struct plan *plan)
{
  if (plan->amount > plan->left)
    return HF_E_AMOUNT_EXCEEDS_HOLD;
  hf_amount rest = plan->left - plan->amount;
  enum hf_error error = plan_move(plan, LEDGER_HELD, LEDGER_SPEND, plan->amount, rest);
  if (error != HF_OK || rest == 0 || !plan->command->final)
    return error;
  return plan_move(plan, LEDGER_HELD, LEDGER_CLAIMABLE, rest, 0);
}

/* A hold is given back whole; parts are what a capture that is not final leaves. */
enum hf_error plan_void(struct plan *plan)
{
  if (plan->amount > plan->left)
    return HF_E_AMOUNT_EXCEEDS_HOLD;
  if (plan->amount < plan->left)
    return HF_E_INVALID_TRANSITION;
  return plan_move(plan, LEDGER_HELD, LEDGER_CLAIMABLE, plan->left, 0);
}

enum hf_error plan_expire(struct plan *plan)
{
  const struct ledger_hold *hold = plan->hold;
  if (hold->expires_us == 0 || hold->expires_us > plan->now_us)
    return HF_E_INVALID_TRANSITION;
  return plan_move(plan, LEDGER_HELD, LEDGER_CLAIMABLE, plan->left, 0);
}

enum hf_error plan_unblock(struct plan *plan)
{
  if (plan->amount > plan->left)
    return HF_E_AMOUNT_EXCEEDS_BLOCK;
  return plan_move(plan, LEDGER_BLOCKED, plan->block->bucket, plan->amount,
                   plan->left - plan->amount);
}

/* ---- reversals ------------------------------------------------------------------------------- */

static bool is_reversible(unsigned type)
{
  switch (type) {
  case LEDGER_T_EARN:
  case LEDGER_T_SETTLE:
  case LEDGER_T_MATURE:
  case LEDGER_T_GRANT:
  case LEDGER_T_DEPOSIT:
  case LEDGER_T_SPEND:
  case LEDGER_T_CAPTURE:
  case LEDGER_T_ADJUST:
  case LEDGER_T_QUARANTINE_IN:
  case LEDGER_T_RELEASE:
    return true;
  default:
    return false;
  }
}

/* Takes a credit back: what the bucket still has, and the rest becomes debt, so that it cannot
 * fail for funds. */
static enum hf_error take_back(struct plan *plan, unsigned bucket, unsigned system)
{
  hf_amount there = plan_bucket(plan, bucket);
  hf_amount taken = there < plan->amount ? there : plan->amount;
  hf_amount owed = plan->amount - taken;
  enum hf_error error = HF_OK;
  if (taken > 0)
    error = plan_move(plan, bucket, system, taken, plan->left - taken);
  if (error == HF_OK && owed > 0)
    error = plan_move(plan, LEDGER_DEBT, system, owed, plan->left - plan->amount);
  return error;
}

enum hf_error plan_reverse(struct plan *plan)
{
  const struct ledger_entry *first = &plan->command->original->first;
  if (!is_reversible(first->type))
    return HF_E_INVALID_TRANSITION;
  if (plan->amount > plan->left)
    return HF_E_ALREADY_REVERSED;
  hf_amount left = plan->left - plan->amount;
  if (!ledger_is_bucket(first->from))
    return take_back(plan, first->to, first->from);
  if (ledger_is_bucket(first->to))
    return plan_move(plan, first->to, first->from, plan->amount, left);
  /* A captured hold is closed or has a life of its own: what comes back is free. */
  unsigned bucket = first->from == LEDGER_HELD ? LEDGER_CLAIMABLE : first->from;
  return plan_receive(plan, first->to, bucket, plan->amount, left);
}
