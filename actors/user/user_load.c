/* Loading: the newest entries, open holds and open blocks become the committed state. */
#include <string.h>

#include "actors/metrics.h"
#include "actors/user/user.h"

void user_load_start(rt_ctx *ctx, struct user_actor *user)
{
  CHECK(user->work->pending == 0);
  user_move(ctx, user, USER_LOADING);
  struct store_request *request = store_request_new(STORE_LOAD_USER);
  request->load_user.id = user->committed.id;
  hf_count(ctx, HF_M_USER_LOADS, 1);
  rt_id store = hf_loop_actor(HF_KIND_STORE, rt_loop_index(ctx));
  if (rt_ask(ctx, store, HF_READ, &request, sizeof request, 0, hf_corr(request)) != RT_OK) {
    request->status = STORE_UNAVAILABLE;
    user_load_done(ctx, user, request);
  }
}

static void load_assets(struct ledger_user *ledger, const struct store_loaded_user *loaded)
{
  if (loaded->entries_count == 0)
    return;
  const struct ledger_entry *newest = &loaded->entries[0];
  ledger->version = newest->version;
  ledger->recorded_us = newest->recorded_us;
  ledger->head = newest->hash;
  ledger->assets = rt_alloc(loaded->entries_count * sizeof *ledger->assets);
  for (size_t i = 0; i < loaded->entries_count; i++) {
    const struct ledger_entry *entry = &loaded->entries[i];
    size_t at = ledger->assets_count++;
    for (; at > 0 && ledger->assets[at - 1u].asset > entry->asset; at--)
      ledger->assets[at] = ledger->assets[at - 1u];
    ledger->assets[at] = (struct ledger_asset){
      .version = entry->version, .asset = entry->asset, .balance = entry->after};
  }
}

static void load_holds(struct ledger_user *ledger, const struct store_loaded_user *loaded)
{
  if (loaded->holds_count > 0)
    ledger->holds = rt_alloc(loaded->holds_count * sizeof *ledger->holds);
  for (size_t i = 0; i < loaded->holds_count; i++) {
    const struct store_hold_row *row = &loaded->holds[i];
    ledger->holds[ledger->holds_count++] = (struct ledger_hold){.id = row->id,
                                                                .version = loaded->hold_versions[i],
                                                                .expires_us = row->expires_us,
                                                                .amount = row->amount,
                                                                .remaining = row->remaining,
                                                                .asset = row->asset};
  }
  if (loaded->blocks_count > 0)
    ledger->blocks = rt_alloc(loaded->blocks_count * sizeof *ledger->blocks);
  for (size_t i = 0; i < loaded->blocks_count; i++) {
    const struct store_block_row *row = &loaded->blocks[i];
    ledger->blocks[ledger->blocks_count++] =
      (struct ledger_block){.id = row->id,
                            .version = loaded->block_versions[i],
                            .amount = row->amount,
                            .remaining = row->remaining,
                            .asset = row->asset,
                            .bucket = row->bucket};
  }
}

/* The store does not answer: everyone who waits is told so; the next message tries again. */
static void load_failed(rt_ctx *ctx, struct user_actor *user)
{
  user_move(ctx, user, USER_COLD);
  struct op_list lists[2] = {user->work->retry, user->work->parked};
  user->work->retry = user->work->parked = (struct op_list){0};
  for (size_t i = 0; i < 2; i++)
    for (struct hf_op *op = op_list_take(&lists[i]); op != NULL; op = op_list_take(&lists[i]))
      user_finish_all(ctx, user, op, op->unknown ? HF_E_UNKNOWN_OUTCOME : HF_E_UNAVAILABLE);
  while (user->work->views != NULL) {
    struct hf_view *view = user->work->views;
    user->work->views = view->next;
    user_view_refuse(ctx, view);
  }
  user_message_cold(ctx, user, true);
}

static void load_take(struct user_actor *user, const struct store_loaded_user *loaded)
{
  user->all_keys_recent = !loaded->has_keys;
  user->committed.status = loaded->row.status;
  load_assets(&user->committed, loaded);
  load_holds(&user->committed, loaded);
}

/* Rows that contradict each other are a broken database, not a broken program: nothing of this user
 * is served until they fit again. */
static bool load_fits(rt_ctx *ctx, const struct user_actor *user)
{
  const struct hf_setup *setup = hf_setup_of(ctx);
  const char *wrong = ledger_user_check(&user->committed);
  if (wrong != NULL && setup->log != NULL)
    setup->log(setup->log_arg, 3, "user", wrong);
  return wrong == NULL;
}

void user_load_done(rt_ctx *ctx, struct user_actor *user, struct store_request *request)
{
  bool known = request->status == STORE_OK || request->status == STORE_NOT_FOUND;
  if (known) {
    hf_id id = user->committed.id;
    ledger_user_deinit(&user->committed);
    ledger_user_init(&user->committed, id);
    user->missing = request->status == STORE_NOT_FOUND;
    user->tenure = request->load_user.tenure;
    user->recent_count = user->recent_next = 0;
    user->all_keys_recent = false;
    if (!user->missing)
      load_take(user, &request->load_user.out);
    known = load_fits(ctx, user);
    if (!known) {
      ledger_user_deinit(&user->committed);
      ledger_user_init(&user->committed, id);
    }
  }
  store_request_free(request);
  if (!known) {
    load_failed(ctx, user);
    return;
  }
  user->reload = false;
  user_move(ctx, user, USER_READY);
  user_message_cold(ctx, user, false);
  user_progress(ctx, user);
}
