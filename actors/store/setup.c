/* What every loop needs before its first actor lives, and how actors find it. */
#include "actors/actors.h"
#include "actors/cluster/cluster.h"
#include "actors/ledger/ledger.h"

const struct hf_setup *hf_setup_of(const rt_ctx *ctx)
{
  return rt_local(ctx, HF_LOCAL_SETUP);
}

bool hf_loop_ready(const rt_ctx *ctx)
{
  return rt_local(ctx, HF_LOCAL_CATALOG) != NULL && cluster_settled(ctx);
}

bool hf_store_open(const rt_ctx *ctx)
{
  return !cluster_of(ctx)->store_down;
}

void hf_loop_begin(rt_ctx *ctx, const struct hf_setup *setup)
{
  /* The address is kept in a slot for mutable things; nobody writes through it. */
  rt_set_local(ctx, HF_LOCAL_SETUP, (void *)(uintptr_t)setup);
  struct ledger_result *scratch = rt_alloc(sizeof *scratch);
  ledger_result_init(scratch);
  rt_set_local(ctx, HF_LOCAL_SCRATCH, scratch);
  bool alone = setup->port == NULL || !setup->port->shared;
  rt_set_local(ctx, HF_LOCAL_CLUSTER, cluster_new(setup->partition_bits, alone));
}

void hf_loop_end(rt_ctx *ctx)
{
  struct ledger_result *scratch = rt_local(ctx, HF_LOCAL_SCRATCH);
  ledger_result_deinit(scratch);
  rt_free(scratch);
  rt_set_local(ctx, HF_LOCAL_SCRATCH, NULL);
  cluster_free(rt_local(ctx, HF_LOCAL_CLUSTER));
  rt_set_local(ctx, HF_LOCAL_CLUSTER, NULL);
}
