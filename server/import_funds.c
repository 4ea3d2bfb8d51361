/* Balances of the claimable bucket, by external id. */
#include "server/import_funds.h"

#include <string.h>

#define uthash_malloc(size) rt_alloc(size)
#define uthash_free(block, size) rt_free(block)
#include <uthash.h>

struct import_fund {
  UT_hash_handle hh;
  hf_amount balance;
  hf_amount lowest; /* <= 0 */
  char user[];
};

static struct import_fund *fund_of(struct import_funds *funds, const char *user)
{
  struct import_fund *fund;
  size_t size = strlen(user);
  HASH_FIND(hh, funds->users, user, size, fund);
  if (fund != NULL)
    return fund;
  fund = rt_alloc(sizeof *fund + size + 1u);
  memcpy(fund->user, user, size + 1u);
  HASH_ADD_KEYPTR(hh, funds->users, fund->user, size, fund);
  funds->count++;
  return fund;
}

static void add(struct import_funds *funds, struct import_fund *fund, hf_amount amount)
{
  if (!hf_amount_add(fund->balance, amount, &fund->balance))
    funds->overflow = true;
  if (fund->balance < fund->lowest)
    fund->lowest = fund->balance;
}

void import_funds_add(struct import_funds *funds, const struct import_row *row)
{
  struct import_fund *fund = fund_of(funds, row->user);
  struct import_fund *to = row->to_user == NULL ? NULL : fund_of(funds, row->to_user);
  int effect = import_type_effect(row->type);
  if (to == fund || effect == 0)
    return;
  add(funds, fund, effect > 0 ? row->amount : -row->amount);
  if (to != NULL)
    add(funds, to, row->amount);
}

const struct import_fund *import_funds_next_short(const struct import_funds *funds,
                                                  const struct import_fund *after,
                                                  const char **ret_user, hf_amount *ret_short)
{
  const struct import_fund *fund = after == NULL ? funds->users : after->hh.next;
  while (fund != NULL && fund->lowest == 0)
    fund = fund->hh.next;
  if (fund == NULL)
    return NULL;
  *ret_user = fund->user;
  *ret_short = -fund->lowest;
  return fund;
}

void import_funds_free(struct import_funds *funds)
{
  struct import_fund *fund, *next;
  HASH_ITER (hh, funds->users, fund, next) {
    HASH_DEL(funds->users, fund);
    rt_free(fund);
  }
  funds->count = 0;
}
