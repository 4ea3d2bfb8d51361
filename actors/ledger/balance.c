/* balance.c - one move, and the table of moves. */
#include "actors/ledger/balance.h"

#define BIT(account) (1u << LEDGER_##account)

hf_amount ledger_total(const struct ledger_balance *balance)
{
  hf_amount total = 0;
  for (unsigned i = 0; i < LEDGER_BUCKET_COUNT; i++) {
    if (i != LEDGER_DEBT)
      total += balance->bucket[i];
  }
  return total - balance->bucket[LEDGER_DEBT];
}

/* Every bucket is >= 0, so that their sum bounds each of them and the total. */
static bool sum_fits(const struct ledger_balance *balance)
{
  hf_amount sum = 0;
  for (unsigned i = 0; i < LEDGER_BUCKET_COUNT; i++) {
    if (i != LEDGER_DEBT && !hf_amount_add(sum, balance->bucket[i], &sum))
      return false;
  }
  return true;
}

/* What leaves the user for good, or comes back from there. NULL for the other accounts. */
static hf_amount *lifetime_of(struct ledger_balance *balance, unsigned account)
{
  switch (account) {
  case LEDGER_SPEND:
    return &balance->spent_total;
  case LEDGER_ONCHAIN_PAID:
    return &balance->claimed_total;
  default:
    return NULL;
  }
}

static bool take(hf_amount *amount_from, hf_amount amount)
{
  if (*amount_from < amount)
    return false;
  *amount_from -= amount;
  return true;
}

enum hf_error balance_move(struct ledger_balance *balance, unsigned from, unsigned to,
                           hf_amount amount)
{
  CHECK(amount > 0);
  CHECK(from != to);
  CHECK(ledger_is_bucket(from) || ledger_is_bucket(to));

  hf_amount *debt = &balance->bucket[LEDGER_DEBT];
  if (ledger_is_bucket(from)) {
    if (from == LEDGER_DEBT ? !hf_amount_add(*debt, amount, debt)
                            : !take(&balance->bucket[from], amount))
      return from == LEDGER_DEBT ? HF_E_AMOUNT_OVERFLOW : HF_E_INSUFFICIENT_FUNDS;
  } else {
    hf_amount *lifetime = lifetime_of(balance, from);
    if (lifetime != NULL && !take(lifetime, amount))
      return HF_E_INSUFFICIENT_FUNDS;
  }
  if (ledger_is_bucket(to)) {
    if (to == LEDGER_DEBT)
      return take(debt, amount) ? HF_OK : HF_E_INSUFFICIENT_FUNDS;
    if (!hf_amount_add(balance->bucket[to], amount, &balance->bucket[to]))
      return HF_E_AMOUNT_OVERFLOW;
    if ((!ledger_is_bucket(from) || from == LEDGER_DEBT) && !sum_fits(balance))
      return HF_E_AMOUNT_OVERFLOW;
  } else {
    hf_amount *lifetime = lifetime_of(balance, to);
    if (lifetime != NULL && !hf_amount_add(*lifetime, amount, lifetime))
      return HF_E_AMOUNT_OVERFLOW;
  }
  return HF_OK;
}

#define MOVES_PER_TYPE_MAX 5u
#define CREDITS                                                                                    \
  (BIT(ISSUANCE) | BIT(REWARDS) | BIT(PSP_CLEARING) | BIT(CHAIN_IN) | BIT(ADJUSTMENTS))
#define BLOCKABLE (BIT(EARNED) | BIT(PENDING) | BIT(CLAIMABLE) | BIT(QUARANTINE))

/* Pairs of account sets. The move to debt nets what came from a system account just before. */
static const struct {
  uint32_t from, to;
} moves[LEDGER_TYPE_COUNT][MOVES_PER_TYPE_MAX] = {
  [LEDGER_T_EARN] = {{BIT(ISSUANCE), BIT(EARNED)}, {BIT(EARNED), BIT(DEBT)}},
  [LEDGER_T_SETTLE] = {{BIT(EARNED), BIT(PENDING)}},
  [LEDGER_T_MATURE] = {{BIT(PENDING), BIT(CLAIMABLE)}},
  [LEDGER_T_GRANT] = {{BIT(REWARDS), BIT(CLAIMABLE)}, {BIT(CLAIMABLE), BIT(DEBT)}},
  [LEDGER_T_DEPOSIT] = {{BIT(PSP_CLEARING) | BIT(CHAIN_IN), BIT(CLAIMABLE)},
                        {BIT(CLAIMABLE), BIT(DEBT)}},
  [LEDGER_T_SPEND] = {{BIT(CLAIMABLE), BIT(SPEND)}},
  [LEDGER_T_HOLD] = {{BIT(CLAIMABLE), BIT(HELD)}},
  [LEDGER_T_CAPTURE] = {{BIT(HELD), BIT(SPEND) | BIT(CLAIMABLE)}},
  [LEDGER_T_VOID] = {{BIT(HELD), BIT(CLAIMABLE)}},
  [LEDGER_T_BLOCK] = {{BLOCKABLE, BIT(BLOCKED)}},
  [LEDGER_T_UNBLOCK] = {{BIT(BLOCKED), BLOCKABLE}},
  [LEDGER_T_TRANSFER] = {{BIT(CLAIMABLE), BIT(TRANSIT)}},
  [LEDGER_T_ADJUST] = {{BIT(ADJUSTMENTS), BIT(CLAIMABLE)},
                       {BIT(CLAIMABLE), BIT(ADJUSTMENTS) | BIT(DEBT)}},
  [LEDGER_T_QUARANTINE_IN] = {{BIT(ISSUANCE), BIT(QUARANTINE)}},
  [LEDGER_T_RELEASE] = {{BIT(QUARANTINE), BIT(PENDING)}},
  [LEDGER_T_REVERSE] = {{BIT(EARNED) | BIT(CLAIMABLE) | BIT(QUARANTINE) | BIT(DEBT), CREDITS},
                        {BIT(PENDING), BIT(EARNED) | BIT(QUARANTINE)},
                        {BIT(CLAIMABLE), BIT(PENDING) | BIT(DEBT)},
                        {BIT(SPEND) | BIT(ADJUSTMENTS), BIT(CLAIMABLE)}},
  [LEDGER_T_EXPIRE] = {{BIT(HELD), BIT(CLAIMABLE)}},
  [LEDGER_T_CREDIT] = {{BIT(TRANSIT), BIT(CLAIMABLE) | BIT(BLOCKED)}, {BIT(CLAIMABLE), BIT(DEBT)}},
  [LEDGER_T_BOUNCE] = {{BIT(TRANSIT), BIT(CLAIMABLE)}, {BIT(CLAIMABLE), BIT(DEBT)}},
};

bool balance_move_allowed(unsigned type, unsigned from, unsigned to)
{
  if (type >= LEDGER_TYPE_COUNT || from >= LEDGER_ACCOUNT_COUNT || to >= LEDGER_ACCOUNT_COUNT)
    return false;
  for (unsigned i = 0; i < MOVES_PER_TYPE_MAX; i++) {
    if ((moves[type][i].from >> from & moves[type][i].to >> to & 1u) != 0)
      return true;
  }
  return false;
}
