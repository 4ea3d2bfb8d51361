/* Operations and views: made, freed, read. */
#include "actors/user/op.h"

struct hf_op *hf_op_new(void)
{
  struct hf_op *op = rt_alloc(sizeof *op);
  op->command.final = true;
  op->command.if_version = -1;
  op->command.bucket = LEDGER_CLAIMABLE;
  return op;
}

void hf_op_free(struct hf_op *op)
{
  if (op == NULL)
    return;
  if (op->replay != NULL)
    store_op_free(op->replay);
  rt_free(op->effects);
  rt_free(op->original);
  rt_free((void *)(uintptr_t)op->metadata.at);
  rt_free(op);
}

const struct ledger_entry *hf_op_entries(const struct hf_op *op, size_t *ret_count)
{
  if (op->error != HF_OK) {
    *ret_count = 0;
    return NULL;
  }
  if (op->replay != NULL) { /* the journal knew the key, or another node judged it */
    *ret_count = op->replay->entries_count;
    return op->replay->entries;
  }
  *ret_count = op->unit.entries_count;
  return op->unit.entries;
}

hf_id hf_op_id(const struct hf_op *op)
{
  size_t count;
  const struct ledger_entry *entries = hf_op_entries(op, &count);
  return count == 0 ? 0 : entries[0].id;
}

struct store_text hf_op_metadata(const struct hf_op *op)
{
  if (op->error == HF_OK && op->replayed)
    return op->replay->metadata;
  return op->metadata;
}

struct hf_view *hf_view_new(void)
{
  return rt_alloc(sizeof(struct hf_view));
}

void hf_view_free(struct hf_view *view)
{
  if (view == NULL)
    return;
  if (view->assets != view->inline_assets)
    rt_free(view->assets);
  rt_free(view);
}

enum hf_error hf_echo_error(unsigned op, bool changes)
{
  switch (op) {
  case RT_OP_EXPIRED:
    return HF_E_TIMEOUT;
  case RT_OP_OVERLOADED:
    return HF_E_OVERLOADED;
  case RT_OP_DOWN:
    return changes ? HF_E_UNKNOWN_OUTCOME : HF_E_UNAVAILABLE;
  default:
    return HF_OK;
  }
}
