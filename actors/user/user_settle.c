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
  if (user->work->reversing == head)
    user->work->reversing = NULL;
  if (op->group_head == NULL) {
    if (op->asker == RT_ID_NONE)
      hf_op_free(op); /* the server's own, such as an expiry */
    else if (!hand_to_transit(ctx, op))
      op_reply(ctx, op);
    return;
  }
  bool again = false;
  for (struct hf_op *member = head; member != NULL; member = member->group_next) {
    if (member->state == OP_PENDING || member->state == OP_WAITING)
      return;
    again = again || member->state == OP_NEW;
  }
  if (again)
    return; /* whoever settles the last pending member sees to it: member_back */
  op_reply(ctx, head);
}

void user_finish_all(rt_ctx *ctx, struct user_actor *user, struct hf_op *head, enum hf_error error)
{
  for (struct hf_op *op = head, *next; op != NULL; op = next) {
    next = op->group_next; /* the last answer gives the group away */
    if (op->state != OP_DONE) {
      op->state = OP_NEW;
      user_finish(ctx, user, op, error);
    }
  }
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
    bool names = entry->type == LEDGER_T_HOLD || entry->type == LEDGER_T_BLOCK ||
                 entry->type == LEDGER_T_CREDIT;
    /* A hold or block that was staged without an id gets it, so that the next op finds it. */
    if (names && user->work->staged != NULL)
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

static void recover(rt_ctx *ctx, struct user_actor *user)
{
  if (user->state == USER_READY)
    user_move(ctx, user, USER_RECOVERING);
}

/* An op that no commit took: it, or its group when none of it is pending, is judged again. */
static void op_back(rt_ctx *ctx, struct user_actor *user, struct hf_op *op)
{
  hf_count(ctx, HF_M_OP_RESTAGED, 1);
  op->state = OP_NEW;
  op->looked_up = false;
  recover(ctx, user);
  if (op->group_head == NULL)
    op_list_append(&user->work->retry, op);
}

/* After a member settled: a group with members to judge again goes back once none is pending. */
static void member_back(struct user_actor *user, struct hf_op *head)
{
  bool again = false;
  for (struct hf_op *member = head; member != NULL; member = member->group_next) {
    if (member->state == OP_PENDING)
      return;
    again = again || member->state == OP_NEW;
  }
  if (again)
    op_list_append(&user->work->retry, head);
}

static void op_settled(rt_ctx *ctx, struct user_actor *user, struct hf_op *op)
{
  struct hf_op *head = op->group_head;
  bool group_waits = false;
  if (head != NULL)
    for (struct hf_op *member = head; member != NULL; member = member->group_next)
      group_waits = group_waits || (member != op && member->state != OP_DONE);
  CHECK(op->state == OP_PENDING);
  op->state = OP_WAITING;
  if (op->has_key)
    key_set_remove(&user->work->keys, op);
  switch ((enum store_status)op->unit.status) {
  case STORE_OK:
    op_fold(ctx, user, op);
    remember_key(user, op);
    user_finish(ctx, user, op, op->error);
    break;
  case STORE_HIT: {
    struct store_op *known = op->unit.hit;
    op->unit.hit = NULL;
    recover(ctx, user);
    user_replay(ctx, user, op, known);
    break;
  }
  case STORE_RESTAGE:
    op_back(ctx, user, op);
    break;
  default:
    user->reload = true;
    op->unknown = op->unknown || op->unit.status == STORE_UNKNOWN;
    op_back(ctx, user, op);
    if (++op->attempts >= HF_OP_ATTEMPTS_MAX)
      op->deadline_us = 1; /* judged again it is out of time */
    break;
  }
  if (group_waits || (head != NULL && op->unit.status != STORE_OK && op->unit.status != STORE_HIT))
    member_back(user, head);
}

static void peek_settled(rt_ctx *ctx, struct user_actor *user, struct hf_peek *peek)
{
  peek->error = peek->unit.status == STORE_OK ? HF_OK : HF_E_UNAVAILABLE;
  if (peek->unit.status == STORE_OK) {
    user->committed.status = peek->status;
    if (user->work->staged != NULL)
      user->work->staged->status = peek->status;
  } else {
    user->reload = true;
    recover(ctx, user);
  }
  peek->version = user->committed.version;
  rt_reply(ctx, peek->asker, peek->corr, HF_PEEK_DONE, &peek, sizeof peek);
}

void user_settled(rt_ctx *ctx, struct user_actor *user, struct store_unit *unit)
{
  CHECK(user->work->pending > 0);
  user->work->pending--;
  bool rows_only = unit->entries_count == 0 && !unit->has_outcome;
  if (rows_only)
    peek_settled(ctx, user, (void *)((char *)unit - offsetof(struct hf_peek, unit)));
  else
    op_settled(ctx, user, (struct hf_op *)(void *)unit);
  user_progress(ctx, user);
}

/* Judges a list again, in order. If the store hands one straight back, the rest waits behind it. */
static void run_list(rt_ctx *ctx, struct user_actor *user, struct op_list *list)
{
  struct op_list taken = *list;
  *list = (struct op_list){0};
  for (struct hf_op *op = op_list_take(&taken); op != NULL; op = op_list_take(&taken)) {
    if (user->state != USER_READY) {
      op_list_append(&user->work->retry, op);
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
