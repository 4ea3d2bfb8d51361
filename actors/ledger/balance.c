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

/* The total that counts what goes to a system account or comes back; NULL for the others. */
static hf_amount *lifetime_of(struct ledger_balance *balance, unsigned system)
{
  switch (system) {
  case LEDGER_SPEND:
    return &balance->spent_total;
  case LEDGER_ONCHAIN_PAID:
    return &balance->claimed_total;
  default:
    return NULL;
  }
}

static bool take(hf_amount *there, hf_amount amount)
{
  if (*there < amount)
    return false;
  *there -= amount;
  return true;
}

static enum hf_error leave(struct ledger_balance *balance, unsigned from, hf_amount amount)
{
  hf_amount *account = lifetime_of(balance, from);
  if (from == LEDGER_DEBT) {
    hf_amount *debt = &balance->bucket[LEDGER_DEBT];
    return hf_amount_add(*debt, amount, debt) ? HF_OK : HF_E_AMOUNT_OVERFLOW;
  }
  if (ledger_is_bucket(from))
    account = &balance->bucket[from];
  return account == NULL || take(account, amount) ? HF_OK : HF_E_INSUFFICIENT_FUNDS;
}

_Static_assert((unsigned)LEDGER_DEBT + 1 == LEDGER_BUCKET_COUNT, "debt is the last bucket");

static enum hf_error arrive(struct ledger_balance *balance, unsigned to, hf_amount amount)
{
  hf_amount *account = lifetime_of(balance, to);
  if (to == LEDGER_DEBT)
    return take(&balance->bucket[LEDGER_DEBT], amount) ? HF_OK : HF_E_INSUFFICIENT_FUNDS;
  if (ledger_is_bucket(to))
    account = &balance->bucket[to];
  return account == NULL || hf_amount_add(*account, amount, account) ? HF_OK : HF_E_AMOUNT_OVERFLOW;
}

enum hf_error balance_move(struct ledger_balance *balance, unsigned from, unsigned to,
                           hf_amount amount)
{
  CHECK(balance != NULL);
  CHECK(amount > 0);
  CHECK(from != to);
  CHECK(ledger_is_bucket(from) || ledger_is_bucket(to));
  enum hf_error error = leave(balance, from, amount);
  if (error == HF_OK)
    error = arrive(balance, to, amount);
  /* Between the other buckets the sum stays what it was. */
  if (error == HF_OK && from >= LEDGER_DEBT && !sum_fits(balance))
    error = HF_E_AMOUNT_OVERFLOW;
  return error;
}

/* What an account of the user, or the total behind a system account, has more of. */
static bool shift_one(struct ledger_balance *balance, unsigned account, hf_amount amount)
{
  hf_amount *there = ledger_is_bucket(account) ? &balance->bucket[account] : NULL;
  if (account == LEDGER_DEBT) /* what leaves it is owed */
    return hf_amount_sub(*there, amount, there);
  if (there != NULL)
    return hf_amount_add(*there, amount, there);
  there = lifetime_of(balance, account);
  return there == NULL || hf_amount_add(*there, amount, there);
}

bool balance_shift(struct ledger_balance *balance, unsigned from, unsigned to, hf_amount amount)
{
  hf_amount total = 0;
  CHECK(balance != NULL && amount > 0);
  CHECK(from != to && (ledger_is_bucket(from) || ledger_is_bucket(to)));
  if (!shift_one(balance, from, -amount) || !shift_one(balance, to, amount))
    return false;
  for (unsigned i = 0; i < LEDGER_BUCKET_COUNT; i++) {
    const hf_amount bucket = balance->bucket[i];
    if (!(i == LEDGER_DEBT ? hf_amount_sub(total, bucket, &total)
                           : hf_amount_add(total, bucket, &total)))
      return false;
  }
  return true;
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
