/* Reads pass through to the port, bounded; and the lazy projection, which runs when nothing else
 * writes. */
#include "actors/metrics.h"
#include "actors/store/store.h"

#define PROJECT_ENTRIES 2000u

static void read_answer(rt_ctx *ctx, struct store_request *request)
{
  request->next = NULL;
  rt_reply(ctx, request->asker, request->corr, HF_READ_DONE, &request, sizeof request);
}

/* False: the port has no room. */
static bool read_submit(rt_ctx *ctx, struct store_actor *store, struct store_request *request)
{
  if (store->reads >= STORE_READS_MAX ||
      store->setup->port->submit(store->setup->port, ctx, request) != RT_OK)
    return false;
  store->reads++;
  return true;
}

void store_read(rt_ctx *ctx, struct store_actor *store, struct store_request *request)
{
  request->submitted_us = rt_now_us(ctx);
  request->next = NULL;
  if (store->reads_first == NULL && read_submit(ctx, store, request))
    return;
  if (store->reads_waiting >= STORE_READS_MAX) {
    hf_count(ctx, HF_M_STORE_REFUSED, 1);
    request->status = STORE_UNAVAILABLE;
    read_answer(ctx, request);
    return;
  }
  if (store->reads_last != NULL)
    store->reads_last->next = request;
  else
    store->reads_first = request;
  store->reads_last = request;
  store->reads_waiting++;
  /* With nothing in flight no answer would come to go on with. */
  if (store->reads == 0)
    rt_timer(ctx, 1000, STORE_TIMER_READS);
}

void store_read_resume(rt_ctx *ctx, struct store_actor *store)
{
  while (store->reads_first != NULL) {
    struct store_request *request = store->reads_first;
    struct store_request *next = request->next;
    request->next = NULL;
    if (!read_submit(ctx, store, request)) {
      request->next = next;
      if (store->reads == 0)
        rt_timer(ctx, 1000, STORE_TIMER_READS);
      return;
    }
    store->reads_first = next;
    if (next == NULL)
      store->reads_last = NULL;
    store->reads_waiting--;
  }
}

void store_read_done(rt_ctx *ctx, struct store_actor *store, struct store_request *request)
{
  CHECK(store->reads > 0);
  store->reads--;
  hf_observe(ctx, HF_M_STORE_READ, rt_now_us(ctx) - request->submitted_us);
  read_answer(ctx, request);
  store_read_resume(ctx, store);
}

/* One partition a tick, and only when the last tick saw no commit: projections may lag, commits
 * may not wait. */
void store_project(rt_ctx *ctx, struct store_actor *store)
{
  bool busy = store->committed_since_tick;
  store->committed_since_tick = false;
  if (busy || store->projecting || store->partitions_count == 0 ||
      store->opened < store->partitions_count)
    return;
  struct store_request *request = store_request_new(STORE_PROJECT);
  request->project.partition =
      store->partitions[store->project_next % store->partitions_count].number;
  request->project.limit = PROJECT_ENTRIES;
  if (store->setup->port->submit(store->setup->port, ctx, request) != RT_OK) {
    store_request_free(request);
    return;
  }
  store->projecting = true;
}

void store_projected(rt_ctx *ctx, struct store_actor *store, struct store_request *request)
{
  (void)ctx;
  store->projecting = false;
  if (request->status != STORE_OK || !request->project.more)
    store->project_next++;
  store_request_free(request);
}
