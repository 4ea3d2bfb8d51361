/* plan_moves.c - commands that refer to nothing earlier, and the moves of all plans. */
#include <string.h>

#include "actors/ledger/balance.h"
#include "actors/ledger/plan.h"

static const struct ledger_balance *balance_of(const struct plan *plan)
{
  static const struct ledger_balance zeros;
  if (plan->moves_count > 0)
    return &plan->result->entries[plan->moves_count - 1].after;
  return plan->in != NULL ? &plan->in->balance : &zeros;
}

hf_amount plan_bucket(const struct plan *plan, unsigned bucket)
{
  CHECK(ledger_is_bucket(bucket));
  return balance_of(plan)->bucket[bucket];
}

enum hf_error plan_move(struct plan *plan, unsigned from, unsigned to, hf_amount amount,
                        hf_amount ref_left)
{
  CHECK(plan->moves_count < LEDGER_OP_ENTRIES_MAX);
  CHECK(balance_move_allowed(plan->command->type, from, to));
  struct ledger_entry *entry = &plan->result->entries[plan->moves_count];
  entry->after = *balance_of(plan);
  enum hf_error error = balance_move(&entry->after, from, to, amount);
  if (error != HF_OK)
    return error;
  entry->from = (uint8_t)from;
  entry->to = (uint8_t)to;
  entry->amount = amount;
  entry->ref_left = ref_left;
  plan->moves_count++;
  return HF_OK;
}

enum hf_error plan_receive(struct plan *plan, unsigned from, unsigned to, hf_amount amount,
                           hf_amount ref_left)
{
  CHECK(!ledger_is_bucket(from));
  CHECK(to == LEDGER_EARNED || to == LEDGER_CLAIMABLE);
  enum hf_error error = plan_move(plan, from, to, amount, ref_left);
  hf_amount debt = error == HF_OK ? plan_bucket(plan, LEDGER_DEBT) : 0;
  if (debt == 0)
    return error;
  return plan_move(plan, to, LEDGER_DEBT, debt < amount ? debt : amount, ref_left);
}

enum hf_error plan_direct(struct plan *plan)
{
  unsigned from = plan->rule->from;
  unsigned to = plan->rule->to;
  if (!ledger_is_bucket(from) && (to == LEDGER_EARNED || to == LEDGER_CLAIMABLE))
    return plan_receive(plan, from, to, plan->amount, 0);
  return plan_move(plan, from, to, plan->amount, 0);
}

enum hf_error plan_deposit(struct plan *plan)
{
  bool chain = strcmp(plan->command->label, "chain") == 0;
  return plan_receive(plan, chain ? LEDGER_CHAIN_IN : LEDGER_PSP_CLEARING, LEDGER_CLAIMABLE,
                      plan->amount, 0);
}

enum hf_error plan_hold(struct plan *plan)
{
  plan->opens_hold = true;
  return plan_move(plan, LEDGER_CLAIMABLE, LEDGER_HELD, plan->amount, 0);
}

enum hf_error plan_block(struct plan *plan)
{
  unsigned bucket = plan->command->bucket;
  if (!balance_move_allowed(LEDGER_T_BLOCK, bucket, LEDGER_BLOCKED))
    return HF_E_INVALID_TRANSITION;
  plan->opens_block = true;
  return plan_move(plan, bucket, LEDGER_BLOCKED, plan->amount, 0);
}

enum hf_error plan_transfer(struct plan *plan)
{
  if (plan->command->counterparty == plan->user->id)
    return HF_E_SELF_TRANSFER;
  if (plan->command->payee_closed)
    return HF_E_USER_CLOSED;
  return plan_move(plan, LEDGER_CLAIMABLE, LEDGER_TRANSIT, plan->amount, 0);
}

/* The payer's side is durable: a user closed meanwhile is credited all the same, but frozen. */
enum hf_error plan_credit(struct plan *plan)
{
  if (plan->user->status == LEDGER_OPEN)
    return plan_receive(plan, LEDGER_TRANSIT, LEDGER_CLAIMABLE, plan->amount, 0);
  plan->opens_block = true;
  return plan_move(plan, LEDGER_TRANSIT, LEDGER_BLOCKED, plan->amount, 0);
}

enum hf_error plan_adjust(struct plan *plan)
{
  if (plan->amount < 0)
    return plan_move(plan, LEDGER_CLAIMABLE, LEDGER_ADJUSTMENTS, -plan->amount, 0);
  return plan_receive(plan, LEDGER_ADJUSTMENTS, LEDGER_CLAIMABLE, plan->amount, 0);
}
