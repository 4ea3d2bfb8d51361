/* See api_assets.h. */
#include "adapters/http/api_assets.h"

#include "actors/catalog/catalog.h"
#include "actors/store/messages.h"
#include "adapters/http/front_loop.h"

/* The asset of a read's index-th row; false: it has no such row. Scans look for themselves: they
 * show what comes before the unknown. */
static bool asset_of_row(const struct store_request *request, size_t index, uint16_t *ret_asset)
{
  switch (request->kind) {
  case STORE_GET_OP: {
    const struct store_op *op = request->get_op.out;
    if (op == NULL || op->refused || index >= op->entries_count)
      return false;
    *ret_asset = op->entries[index].asset;
    return true;
  }
  case STORE_LIST_ENTRIES:
    if (index < request->list_entries.entries_count)
      *ret_asset = request->list_entries.entries[index].asset;
    return index < request->list_entries.entries_count;
  case STORE_BALANCE_AT:
    if (index < request->balance_at.count)
      *ret_asset = request->balance_at.out[index].asset;
    return index < request->balance_at.count;
  case STORE_LIST_HOLDS:
    if (index < request->list_holds.count)
      *ret_asset = request->list_holds.out[index].asset;
    return index < request->list_holds.count;
  case STORE_GET_HOLD:
    *ret_asset = request->get_hold.out.asset;
    return index == 0;
  case STORE_GET_BLOCK:
    *ret_asset = request->get_block.out.asset;
    return index == 0;
  default:
    return false;
  }
}

static bool rows_known(const struct catalog *catalog, const struct store_request *request)
{
  uint16_t asset = 0;
  for (size_t i = 0; request->status == STORE_OK && asset_of_row(request, i, &asset); i++)
    if (catalog_asset(catalog, asset) == NULL)
      return false;
  return true;
}

/* All entries of an op are of one asset. The op is durable: the same key tells its outcome
 * later. */
static bool op_known(const struct catalog *catalog, struct hf_op *op)
{
  size_t count = 0;
  const struct ledger_entry *entries = op->error == HF_OK ? hf_op_entries(op, &count) : NULL;
  if (count == 0 || catalog_asset(catalog, entries[0].asset) != NULL)
    return true;
  op->error = HF_E_UNKNOWN_OUTCOME;
  return false;
}

static bool view_known(const struct catalog *catalog, const struct hf_view *view)
{
  for (unsigned i = 0; view->error == HF_OK && i < view->assets_count; i++)
    if (catalog_asset(catalog, view->assets[i].asset) == NULL)
      return false;
  return true;
}

void api_catalog_is_stale(struct front_loop *loop)
{
  uint64_t none = 0;
  for (unsigned i = 0; i < rt_loop_count(loop->ctx); i++)
    (void)rt_tell(loop->ctx, hf_loop_actor(HF_KIND_CATALOG, i), HF_STALE, &none, sizeof none);
}

void api_assets_check(struct front_loop *loop, enum api_ask kind, void *answer)
{
  const struct catalog *catalog = catalog_of(loop->ctx);
  bool known = true;
  if (kind == API_ASK_OP) {
    for (struct hf_op *op = answer; op != NULL; op = op->group_next)
      known = op_known(catalog, op) && known;
  } else if (kind == API_ASK_VIEW) {
    struct hf_view *view = answer;
    known = view_known(catalog, view);
    view->error = known ? view->error : HF_E_UNAVAILABLE;
  } else if (kind == API_ASK_READ) {
    struct store_request *request = answer;
    known = rows_known(catalog, request);
    request->status = known ? request->status : STORE_UNAVAILABLE;
  }
  if (!known)
    api_catalog_is_stale(loop);
}
