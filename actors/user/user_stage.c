/* Judging: a command against the staged state, and the unit that makes its outcome durable. */
#include <string.h>

#include "actors/metrics.h"
#include "actors/store/unit.h"
#include "actors/user/user.h"

static unsigned scale_of(const void *arg, uint16_t asset)
{
  const struct store_asset_row *row = catalog_asset(arg, asset);
  return row == NULL ? HF_SCALE_MAX + 1u : row->scale;
}

static struct ledger_result *scratch_of(const rt_ctx *ctx)
{
  return rt_local(ctx, HF_LOCAL_SCRATCH);
}

void user_staged_begin(struct user_actor *user)
{
  if (user->work->staged != NULL)
    return;
  user->work->staged = &user->work->staged_room;
  ledger_user_copy(user->work->staged, &user->committed);
}

/* What the catalog and the clock know, the front door does not decide. */
static void command_complete(const rt_ctx *ctx, struct hf_op *op)
{
  const struct catalog *catalog = catalog_of(ctx);
  struct ledger_command *command = &op->command;
  command->now_us = user_wall_us(ctx);
  command->scale_of = scale_of;
  command->scale_arg = catalog;
  command->original = op->original;
  command->asset_given = op->asset_code[0] != '\0' || command->asset_known;
  if (op->asset_code[0] == '\0')
    return; /* the server's own commands name the asset by number */
  const struct store_asset_row *asset =
    catalog_asset_by_code(catalog, op->asset_code, strlen(op->asset_code));
  command->asset_known = asset != NULL;
  command->asset = asset == NULL ? 0 : asset->id;
  command->scale = asset == NULL ? 0 : asset->scale;
}

/* Copies what the scratch result has into one block of the op's own: entries, their lists of other
 * assets, rows, body sizes, bodies. */
static void effects_keep(struct hf_op *op, const struct ledger_result *result)
{
  size_t count = result->entries_count;
  size_t others = result->entries[0].others_count;
  struct store_row rows[2u * LEDGER_OP_ENTRIES_MAX];
  unsigned rows_count = store_rows_of_op(result->entries, count, rows);
  bool meta = op->command.has_metadata;
  size_t entries_size = count * sizeof(struct ledger_entry);
  size_t rows_size = (rows_count + meta) * sizeof(struct store_row);
  size_t others_size = count * others * sizeof(struct ledger_other);
  size_t sizes_size = (count * sizeof(uint16_t) + 15u) & ~(size_t)15u;
  rt_free(op->effects);
  uint8_t *block =
    rt_alloc(entries_size + rows_size + others_size + sizes_size + result->body.size);
  op->effects = block;
  struct store_unit *unit = &op->unit;
  unit->entries = (struct ledger_entry *)(void *)block;
  unit->rows = (struct store_row *)(void *)(block + entries_size);
  struct ledger_other *other = (struct ledger_other *)(void *)(block + entries_size + rows_size);
  uint16_t *sizes = (uint16_t *)(void *)(block + entries_size + rows_size + others_size);
  uint8_t *bodies = block + entries_size + rows_size + others_size + sizes_size;
  memcpy(unit->entries, result->entries, entries_size);
  memcpy(unit->rows, rows, rows_count * sizeof *rows);
  for (size_t i = 0; i < count; i++) {
    sizes[i] = result->body_size[i];
    if (others > 0)
      memcpy(other, result->entries[i].others, others * sizeof *other);
    unit->entries[i].others = other;
    other += others;
  }
  memcpy(bodies, result->body.at, result->body.size);
  if (meta) {
    struct store_row *row = &unit->rows[rows_count++];
    row->table = STORE_T_META;
    row->action = STORE_INSERT;
    row->meta.json = op->metadata;
    memcpy(row->meta.salt, op->salt, sizeof row->meta.salt);
  }
  unit->body_sizes = sizes;
  unit->bodies = bodies;
  unit->entries_count = (uint8_t)count;
  unit->rows_count = (uint16_t)rows_count;
}

static void unit_reset(const rt_ctx *ctx, const struct user_actor *user, struct hf_op *op)
{
  op->unit = (struct store_unit){
    .partition = hf_id_partition(op->user, hf_setup_of(ctx)->partition_bits),
    .user = op->user,
    .tenure = user->tenure,
    .has_key = op->has_key,
    /* A group must learn of all its known keys at once, because they decide over each other. */
    .probe = op->has_key && (op->group_head != NULL || !user->all_keys_recent),
  };
}

static void outcome_set(struct hf_op *op, const struct user_actor *user, enum hf_error error)
{
  op->unit.has_outcome = true;
  op->unit.outcome = (struct store_outcome){
    .user = op->user,
    .key = op->command.key,
    .request = op->command.request,
    .error = (uint16_t)error,
    .type = op->command.type,
    .version = user->work->staged->version,
    .recorded_us = ledger_user_time(user->work->staged, op->command.now_us),
  };
}

/* What is malformed against the asset's scale, or another body of a known key, is remembered for
 * nobody. */
static bool is_outcome(enum hf_error error)
{
  unsigned status = hf_error_info(error)->status;
  return status != 400 && error != HF_E_IDEMPOTENCY_CONFLICT;
}

/* Sends an op, or a group's members that are chained to it by their units. */
static void op_persist(rt_ctx *ctx, struct user_actor *user, struct hf_op *first)
{
  struct store_unit *unit = &first->unit, *last = unit;
  rt_id store = hf_loop_actor(HF_KIND_STORE, rt_loop_index(ctx));
  for (struct store_unit *each = unit; each != NULL; each = each->next) {
    struct hf_op *op = (struct hf_op *)(void *)each;
    CHECK(each->entries_count > 0 || each->has_outcome);
    op->state = OP_PENDING;
    op->judged_us = rt_now_us(ctx);
    user->work->pending++;
    if (op->has_key)
      key_set_add(&user->work->keys, op);
    last = each;
  }
  if (rt_ask(ctx, store, HF_PERSIST, &unit, sizeof unit, 0, hf_corr(unit)) == RT_OK)
    return;
  for (struct store_unit *each = unit; each != NULL; each = each->next)
    each->status = STORE_UNAVAILABLE; /* no room: as if the store had handed it back */
  user_settled(ctx, user, last);
}

/* Judges one op on the staged state. True: it has an outcome to persist; false: it is answered or,
 * as a member of a group, carries an error that is no outcome. */
static bool op_judge(rt_ctx *ctx, struct user_actor *user, struct hf_op *op)
{
  struct ledger_result *result = scratch_of(ctx);
  command_complete(ctx, op);
  unit_reset(ctx, user, op);
  ledger_apply(user->work->staged, &op->command, result);
  op->error = result->error;
  if (result->error == HF_OK) {
    effects_keep(op, result);
    return true;
  }
  /* A bounce that finds no room is no outcome: what is in transit has to come back to the payer as
   * soon as there is some. */
  if (!op->has_key || op->command.type == LEDGER_T_BOUNCE || !is_outcome(result->error))
    return false;
  outcome_set(op, user, result->error);
  return true;
}

void user_staged_drop(struct user_actor *user)
{
  if (user->work->pending > 0 || user->work->staged == NULL)
    return;
  ledger_user_deinit(user->work->staged);
  user->work->staged = NULL;
}

/* Later members that reverse the same original must see this reversal. Its last entry tells what is
 * left; the amounts alone would count netted debt too. */
static void group_count_reversal(struct hf_op *op)
{
  const struct ledger_entry *first = &op->unit.entries[0];
  const struct ledger_entry *last = &op->unit.entries[op->unit.entries_count - 1u];
  for (struct hf_op *later = op->group_next; later != NULL; later = later->group_next)
    if (later->original != NULL && later->command.ref == op->command.ref) {
      later->original->reversed += first->amount + first->ref_left - last->ref_left;
      later->original->reversals++;
    }
}

/* Stages all members or none. Returns the member that was refused, or NULL. */
static struct hf_op *group_stage(rt_ctx *ctx, struct user_actor *user, struct hf_op *head)
{
  struct ledger_user before;
  struct hf_op *refused = NULL;
  ledger_user_copy(&before, user->work->staged);
  for (struct hf_op *op = head; op != NULL && refused == NULL; op = op->group_next) {
    if (op->state == OP_DONE)
      continue;
    op_judge(ctx, user, op);
    if (op->error != HF_OK)
      refused = op;
    else if (op->command.type == LEDGER_T_REVERSE)
      group_count_reversal(op);
  }
  ledger_user_deinit(refused == NULL ? &before : user->work->staged);
  if (refused != NULL)
    *user->work->staged = before;
  return refused;
}

/* One refusal refuses all; a malformed member makes no outcome for any of them. */
static void group_refuse(rt_ctx *ctx, struct user_actor *user, struct hf_op *head,
                         const struct hf_op *refused)
{
  enum hf_error why = refused->error;
  for (struct hf_op *op = head; op != NULL; op = op->group_next) {
    if (op->state == OP_DONE)
      continue;
    op->error = op == refused ? why : HF_E_BATCH_ABORTED;
    command_complete(ctx, op);
    unit_reset(ctx, user, op);
    CHECK(op->has_key); /* a member without one is malformed */
    if (is_outcome(why))
      outcome_set(op, user, op->error);
  }
}

/* A member that was refused under its key before, or under another body. */
static struct hf_op *group_spoiled(struct hf_op *head)
{
  for (struct hf_op *op = head; op != NULL; op = op->group_next)
    if (op->state == OP_DONE && op->error != HF_OK)
      return op;
  return NULL;
}

static void group_judge(rt_ctx *ctx, struct user_actor *user, struct hf_op *head)
{
  struct hf_op *refused = group_spoiled(head), *first = NULL, *last = NULL;
  if (refused == NULL)
    refused = group_stage(ctx, user, head);
  if (refused != NULL && refused->state != OP_DONE && user_asset_in_doubt(ctx, refused)) {
    user_read_assets(ctx, user, refused);
    return;
  }
  if (refused != NULL)
    group_refuse(ctx, user, head, refused);
  if (refused != NULL && !is_outcome(refused->error)) {
    user_finish_each(ctx, user, head);
    return;
  }
  for (struct hf_op *op = head; op != NULL; op = op->group_next) {
    if (op->state == OP_DONE)
      continue;
    if (last != NULL) {
      last->unit.tied = true;
      last->unit.next = &op->unit;
    } else {
      first = op;
    }
    last = op;
  }
  CHECK(first != NULL);
  op_persist(ctx, user, first);
}

/* What no ledger needs to see: a key that stands twice in the group, a member that would change
 * another user too, or one without a key. True: the group is answered, nothing is remembered. */
static bool group_malformed(rt_ctx *ctx, struct user_actor *user, struct hf_op *head)
{
  struct key_set seen = {0};
  struct hf_op *wrong = NULL;
  enum hf_error why = HF_OK;
  for (struct hf_op *op = head; op != NULL && wrong == NULL; op = op->group_next) {
    if (!op->has_key)
      why = HF_E_KEY_REQUIRED;
    else if (op->command.type == LEDGER_T_TRANSFER || op->user != head->user)
      why = HF_E_CROSS_USER_ATOMIC;
    else if (key_set_find(&seen, &op->command.key) != NULL)
      why = HF_E_IDEMPOTENCY_CONFLICT;
    else
      key_set_add(&seen, op);
    wrong = why != HF_OK ? op : NULL;
  }
  key_set_deinit(&seen);
  if (wrong == NULL)
    return false;
  for (struct hf_op *op = head; op != NULL; op = op->group_next)
    op->error = op == wrong ? why : HF_E_BATCH_ABORTED;
  user_finish_each(ctx, user, head);
  return true;
}

void user_expire(rt_ctx *ctx, struct user_actor *user)
{
  const struct ledger_hold *hold;
  int64_t wall_us = user_wall_us(ctx);
  while (user->state == USER_READY && catalog_of(ctx) != NULL && !user_is_foreign(ctx, user)) {
    const struct ledger_user *state = user_newest(user);
    hold = ledger_user_expired(state, ledger_user_time(state, wall_us));
    if (hold == NULL)
      return;
    struct hf_op *op = hf_op_new();
    op->user = user->committed.id;
    op->group_left = 1;
    op->command.type = LEDGER_T_EXPIRE;
    op->command.ref = hold->id;
    op->command.asset = hold->asset;
    op->command.asset_known = true;
    memcpy(op->command.actor, "system", sizeof "system");
    user_staged_begin(user);
    CHECK(op_judge(ctx, user, op) && op->error == HF_OK);
    op_persist(ctx, user, op);
  }
}

/* A key that is pending, or that settled a moment ago. True: the op is taken care of. */
static bool key_known(rt_ctx *ctx, struct user_actor *user, struct hf_op *op)
{
  for (struct hf_op *member = op; member != NULL; member = member->group_next) {
    if (!member->has_key || member->state == OP_DONE)
      continue;
    if (key_set_find(&user->work->keys, &member->command.key) != NULL) {
      op->state = OP_WAITING;
      op_list_append(&user->work->parked, op);
      return true;
    }
  }
  if (!op->has_key || op->group_head != NULL)
    return false;
  for (unsigned i = 0; i < user->recent_count; i++)
    if (hf_digest_equal(&user->recent[i], &op->command.key)) {
      user_fetch_known(ctx, user, op);
      return true;
    }
  return false;
}

static enum hf_error late_error(const struct hf_op *op)
{
  if (op->unknown)
    return HF_E_UNKNOWN_OUTCOME;
  return op->attempts > 0 ? HF_E_UNAVAILABLE : HF_E_TIMEOUT;
}

/* Another writer was here since the user was read: the op is judged on what that one left. */
static void run_after_load(rt_ctx *ctx, struct user_actor *user, struct hf_op *op)
{
  user_recover(ctx, user, true);
  user_retry(ctx, user, op);
  user_progress(ctx, user);
}

/* A refusal that is no outcome. A bounce that finds no room may have been done before a crash: no
 * commit takes it, so that none would find its key, and it is looked for here. */
static void op_refuse(rt_ctx *ctx, struct user_actor *user, struct hf_op *op)
{
  if (op->command.type == LEDGER_T_BOUNCE && !op->looked_up)
    user_fetch_known(ctx, user, op);
  else
    user_finish(ctx, user, op, op->error);
}

void user_run(rt_ctx *ctx, struct user_actor *user, struct hf_op *op)
{
  CHECK(op->group_head == NULL || op->group_head == op);
  if (user_is_foreign(ctx, user)) {
    run_after_load(ctx, user, op);
    return;
  }
  if (user->missing || catalog_of(ctx) == NULL) { /* the latter: this loop only starts */
    user_finish_all(ctx, user, op, user->missing ? HF_E_USER_NOT_FOUND : HF_E_UNAVAILABLE);
    return;
  }
  if (op->deadline_us != 0 && rt_now_us(ctx) > op->deadline_us) {
    user_finish_all(ctx, user, op, late_error(op));
    return;
  }
  if (op->group_next != NULL && group_malformed(ctx, user, op))
    return;
  if (key_known(ctx, user, op))
    return;
  user_expire(ctx, user);
  if (user->state != USER_READY) { /* the store had no room for the expiry */
    user_retry(ctx, user, op);
    return;
  }
  if (!user_prepare(ctx, user, op))
    return;
  user_staged_begin(user);
  if (op->group_next != NULL)
    group_judge(ctx, user, op);
  else if (!op_judge(ctx, user, op))
    op_refuse(ctx, user, op);
  else if (user_asset_in_doubt(ctx, op))
    user_read_assets(ctx, user, op);
  else
    op_persist(ctx, user, op);
  user_staged_drop(user);
}
