/* effective.c - see the header. Invariant: balance_at.out ascends by asset. */
#include "adapters/store/effective.h"

#include <string.h>

#include "actors/ledger/balance.h"

enum store_status effective_begin(struct store_request *request)
{
  const size_t count = request->balance_at.count;
  if (count > LEDGER_ASSETS_MAX)
    return STORE_CORRUPT;
  struct ledger_asset *out =
    hf_arena_alloc(&request->arena, LEDGER_ASSETS_MAX * sizeof *request->balance_at.out);
  if (count > 0)
    memcpy(out, request->balance_at.out, count * sizeof *out);
  request->balance_at.out = out;
  request->balance_at.overflow = false;
  return STORE_OK;
}

/* The asset's place in the answer, made when it is new. NULL: there are too many. */
static struct ledger_asset *place_of(struct store_request *request, uint16_t asset)
{
  struct ledger_asset *out = request->balance_at.out;
  size_t count = request->balance_at.count, at = 0;
  while (at < count && out[at].asset < asset)
    at++;
  if (at < count && out[at].asset == asset)
    return &out[at];
  if (count == LEDGER_ASSETS_MAX)
    return NULL;
  memmove(&out[at + 1], &out[at], (count - at) * sizeof *out);
  out[at] = (struct ledger_asset){.asset = asset};
  request->balance_at.count = count + 1;
  return &out[at];
}

enum store_status effective_add(struct store_request *request, uint16_t asset, unsigned from,
                                unsigned to, hf_amount amount)
{
  if (amount <= 0 || from == to || from >= LEDGER_ACCOUNT_COUNT || to >= LEDGER_ACCOUNT_COUNT ||
      !(ledger_is_bucket(from) || ledger_is_bucket(to)))
    return STORE_CORRUPT;
  if (request->balance_at.overflow)
    return STORE_OK;
  struct ledger_asset *place = place_of(request, asset);
  if (place == NULL)
    return STORE_CORRUPT;
  if (!balance_shift(&place->balance, from, to, amount)) {
    request->balance_at.overflow = true;
    request->balance_at.count = 0;
  }
  return STORE_OK;
}
