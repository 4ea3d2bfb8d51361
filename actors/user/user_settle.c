/* Settling: what the store's answer to a unit means for the user and for who asked. */
#include <stddef.h>

#include "actors/metrics.h"
#include "actors/user/user.h"

static void op_reply(rt_ctx *ctx, struct hf_op *op)
{
  rt_reply(ctx, op->asker, op->corr, HF_DONE, &op, sizeof op);
}

static void op_count(rt_ctx *ctx, const struct hf_op *op)
{
  unsigned base = HF_M_OP_APPLIED_EARN + 2u * (op->command.type - 1u);
  if (op->replayed)
    hf_count(ctx, HF_M_OP_REPLAYED, 1);
  else if (op->error == HF_OK)
    hf_count(ctx, (enum hf_metric)base, 1);
  else if (hf_error_info(op->error)->retryable)
    hf_count(ctx, HF_M_OP_UNKNOWN, 1);
  else
    hf_count(ctx, (enum hf_metric)(base + 1u), 1);
  if (op->judged_us != 0)
    hf_observe(ctx, HF_M_OP_SECONDS, rt_now_us(ctx) - op->judged_us);
}

/* A transfer is answered by the transit actor, once the payee has it. */
static bool hand_to_transit(rt_ctx *ctx, struct hf_op *op)
{
  if (op->command.type != LEDGER_T_TRANSFER || op->error != HF_OK)
    return false;
  unsigned bits = hf_setup_of(ctx)->partition_bits;
  rt_id transit = hf_partition_actor(HF_KIND_TRANSIT, hf_id_partition(op->user, bits));
  rt_hand_over(ctx, op->asker, op->corr, transit, HF_DRIVE, &op, sizeof op);
  return true;
}

void user_finish(rt_ctx *ctx, struct user_actor *user, struct hf_op *op, enum hf_error error)
{
  CHECK(op->state != OP_PENDING && op->state != OP_DONE);
  op->error = error;
  op->state = OP_DONE;
  op_count(ctx, op);
  struct hf_op *head = op->group_head != NULL ? op->group_head : op;
  CHECK(head->group_left > 0);
  if (--head->group_left > 0)
    return;
  if (user->work->reversing == head)
    user->work->reversing = NULL;
  if (head->group_head != NULL)
    op_reply(ctx, head);
  else if (op->asker == RT_ID_NONE)
    hf_op_free(op); /* the server's own, such as an expiry */
  else if (!hand_to_transit(ctx, op))
    op_reply(ctx, op);
}

void user_finish_each(rt_ctx *ctx, struct user_actor *user, struct hf_op *head)
{
  uint32_t left = head->group_left;
  for (struct hf_op *op = head, *next; left > 0; op = next) {
    CHECK(op != NULL);
    next = op->group_next; /* the last answer gives the group away */
    if (op->state == OP_DONE)
      continue;
    left--;
    op->state = OP_NEW;
    user_finish(ctx, user, op, op->error);
  }
}

void user_finish_all(rt_ctx *ctx, struct user_actor *user, struct hf_op *head, enum hf_error error)
{
  for (struct hf_op *op = head; op != NULL; op = op->group_next)
    if (op->state != OP_DONE)
      op->error = error;
  user_finish_each(ctx, user, head);
}

void user_retry(rt_ctx *ctx, struct user_actor *user, struct hf_op *head)
{
  if (user->state == USER_COLD)
    user_finish_all(ctx, user, head, head->unknown ? HF_E_UNKNOWN_OUTCOME : HF_E_UNAVAILABLE);
  else
    op_list_append(&user->work->retry, head);
}

void user_replay(rt_ctx *ctx, struct user_actor *user, struct hf_op *op, struct store_op *known)
{
  const struct hf_digest *request =
    known->refused ? &known->outcome.request : &known->entries[0].request;
  if (!hf_digest_equal(request, &op->command.request)) {
    store_op_free(known);
    user_finish(ctx, user, op, HF_E_IDEMPOTENCY_CONFLICT);
    return;
  }
  op->replay = known;
  op->replayed = true;
  user_finish(ctx, user, op, known->refused ? (enum hf_error)known->outcome.error : HF_OK);
}

static void op_fold(rt_ctx *ctx, struct user_actor *user, const struct hf_op *op)
{
  unsigned bits = hf_setup_of(ctx)->partition_bits;
  for (unsigned i = 0; i < op->unit.entries_count; i++) {
    const struct ledger_entry *entry = &op->unit.entries[i];
    const char *wrong = ledger_fold(&user->committed, entry, bits, false);
    CHECK(wrong == NULL);
    CHECK(user->work->staged != NULL); /* dropped once nothing is pending, after this */
    bool names = entry->type == LEDGER_T_HOLD || entry->type == LEDGER_T_BLOCK ||
                 entry->type == LEDGER_T_CREDIT;
    /* A hold or block that was staged without an id gets it, so that the next op finds it. */
    if (names)
      ledger_user_name(user->work->staged, entry->version, ledger_entry_op(entry, bits));
  }
}

static void remember_key(struct user_actor *user, const struct hf_op *op)
{
  if (!op->has_key)
    return;
  if (user->recent_count == USER_RECENT)
    user->all_keys_recent = false; /* the oldest is forgotten here: the commit must look */
  else
    user->recent_count++;
  user->recent[user->recent_next] = op->command.key;
  user->recent_next = (uint8_t)((user->recent_next + 1u) % USER_RECENT);
}

void user_recover(rt_ctx *ctx, struct user_actor *user, bool reload)
{
  user->reload = user->reload || reload;
  if (user->state == USER_READY)
    user_move(ctx, user, USER_RECOVERING);
}

/* An op that no commit took: it, or what is left of its group, is judged again. */
static void op_back(rt_ctx *ctx, struct user_actor *user, struct hf_op *op)
{
  hf_count(ctx, HF_M_OP_RESTAGED, 1);
  op->state = OP_NEW;
  op->looked_up = op->assets_read = false;
  user_recover(ctx, user, false);
  if (op->group_head == NULL)
    user_retry(ctx, user, op);
}

static void op_failed(struct user_actor *user, struct hf_op *op)
{
  struct hf_op *head = op->group_head != NULL ? op->group_head : op;
  user->reload = true;
  head->unknown = head->unknown || op->unit.status == STORE_UNKNOWN;
  if (++op->attempts >= HF_OP_ATTEMPTS_MAX)
    head->deadline_us = 1; /* judged again it is out of time */
}

/* True: its fate is known, and it may be gone. */
static bool op_settled(rt_ctx *ctx, struct user_actor *user, struct hf_op *op)
{
  CHECK(op->state == OP_PENDING);
  CHECK(user->work->pending > 0);
  user->work->pending--;
  op->state = OP_WAITING;
  if (op->has_key)
    key_set_remove(&user->work->keys, op);
  switch ((enum store_status)op->unit.status) {
  case STORE_OK:
    op_fold(ctx, user, op);
    remember_key(user, op);
    user_finish(ctx, user, op, op->error);
    return true;
  case STORE_HIT: {
    struct store_op *known = op->unit.hit;
    op->unit.hit = NULL;
    user_recover(ctx, user, false);
    user_replay(ctx, user, op, known);
    return true;
  }
  case STORE_RESTAGE:
    break;
  default:
    op_failed(user, op);
    break;
  }
  op_back(ctx, user, op);
  return false;
}

/* All members that were with the store have their statuses; the last one brought the message. */
static void group_settled(rt_ctx *ctx, struct user_actor *user, struct hf_op *head)
{
  uint32_t left = head->group_left;
  for (struct hf_op *op = head, *next; op != NULL; op = next) {
    next = op->group_next;
    if (op->state != OP_PENDING || !op_settled(ctx, user, op))
      continue;
    if (--left == 0)
      return;
  }
  user_retry(ctx, user, head);
}

static void peek_settled(rt_ctx *ctx, struct user_actor *user, struct hf_peek *peek)
{
  CHECK(user->work->pending > 0);
  user->work->pending--;
  peek->error = peek->unit.status == STORE_OK        ? HF_OK
                : peek->unit.status == STORE_UNKNOWN ? HF_E_UNKNOWN_OUTCOME
                                                     : HF_E_UNAVAILABLE;
  if (peek->unit.status == STORE_OK)
    user->committed.status = peek->status;
  else
    user_recover(ctx, user, true);
  peek->version = user->committed.version;
  rt_reply(ctx, peek->asker, peek->corr, HF_PEEK_DONE, &peek, sizeof peek);
}

void user_settled(rt_ctx *ctx, struct user_actor *user, struct store_unit *unit)
{
  bool rows_only = unit->entries_count == 0 && !unit->has_outcome;
  struct hf_op *op = (struct hf_op *)(void *)unit;
  if (rows_only)
    peek_settled(ctx, user, (void *)((char *)unit - offsetof(struct hf_peek, unit)));
  else if (op->group_head != NULL)
    group_settled(ctx, user, op->group_head);
  else
    (void)op_settled(ctx, user, op);
  user_progress(ctx, user);
}

/* Judges a list again, in order. If the store hands one straight back, the rest waits behind it. */
static void run_list(rt_ctx *ctx, struct user_actor *user, struct op_list *list)
{
  struct op_list taken = *list;
  *list = (struct op_list){0};
  for (struct hf_op *op = op_list_take(&taken); op != NULL; op = op_list_take(&taken)) {
    if (user->state != USER_READY) {
      user_retry(ctx, user, op);
      continue;
    }
    op->state = op->state == OP_WAITING ? OP_NEW : op->state;
    user_run(ctx, user, op);
  }
}

void user_progress(rt_ctx *ctx, struct user_actor *user)
{
  user_staged_drop(user);
  if (user->state == USER_RECOVERING) {
    if (user->work->pending > 0)
      return;
    hf_id self = user->committed.id;
    rt_id store = hf_loop_actor(HF_KIND_STORE, rt_loop_index(ctx));
    if (rt_tell(ctx, store, HF_RESUME, &self, sizeof self) != RT_OK) {
      rt_timer(ctx, USER_RESUME_RETRY_US, 0); /* until then the store takes nothing of this user */
      return;
    }
    if (user->reload) {
      user_load_start(ctx, user);
      return;
    }
    user_move(ctx, user, USER_READY);
  }
  if (user->state != USER_READY)
    return;
  run_list(ctx, user, &user->work->retry);
  run_list(ctx, user, &user->work->parked);
  struct hf_view *views = user->work->views;
  user->work->views = NULL;
  for (struct hf_view *view = views, *next; view != NULL; view = next) {
    next = view->next;
    user_view(ctx, user, view);
  }
}
