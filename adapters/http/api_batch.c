/* api_batch.c - POST /v1/ops/batch: many operations, answered in their places.
 *
 * Happy path: parse all items, peek at all payees, submit all ops in order, reply when the last one
 * came back. When the runtime has no room for all of them, answers make room for the rest.
 * Ways to fail: an item that is malformed fails alone, the others go on; in an atomic batch the
 * whole request is refused. When there is no room and nothing is out that could make some, what was
 * not submitted yet fails as overloaded.
 * Invariants: the ops of one user are submitted in the order of the request; every item has exactly
 * one of: an op under way, a problem, an answer. */
#include <stdio.h>
#include <string.h>

#include "adapters/http/api_ops.h"
#include "adapters/http/front_loop.h"
#include "holdfast/check.h"

#define ITEMS_MAX 8192u

struct item {
  struct hf_op *op;             /* NULL: see problem */
  struct json_problem *problem; /* NULL: see op */
};

enum phase { BATCH_PEEK, BATCH_SUBMIT };

struct batch {
  struct item *items;
  uint32_t count;
  uint32_t next; /* the phase's next item */
  enum phase phase;
  bool atomic;
};

static void batch_free(void *work)
{
  struct batch *batch = work;
  for (uint32_t i = 0; i < batch->count; i++) {
    hf_op_free(batch->items[i].op);
    rt_free(batch->items[i].problem);
  }
  rt_free(batch->items);
  rt_free(batch);
}

static void item_fail(struct item *item, const struct json_problem *problem)
{
  if (item->problem == NULL)
    item->problem = rt_alloc(sizeof *item->problem);
  *item->problem = *problem;
  hf_op_free(item->op);
  item->op = NULL;
}

static void item_fail_with(struct item *item, enum hf_error error, const char *field)
{
  struct json_problem problem = {0};
  json_problem_set(&problem, error, field, "%s", api_error_detail(error));
  item_fail(item, &problem);
}

/* ---- reply ----------------------------------------------------------------------------------- */

/* Was it the ledger that said no? Only that is remembered for the key. */
static bool is_refusal(const struct hf_op *op)
{
  return op->error >= HF_E_ASSET_NOT_FOUND && op->error <= HF_E_CROSS_USER_ATOMIC;
}

static void write_problem(struct json_out *out, const struct json_problem *problem)
{
  const struct hf_error_info *info = hf_error_info(problem->error);
  json_out_key(out, "code");
  json_out_string(out, info->code);
  json_out_key(out, "title");
  json_out_string(out, info->title);
  if (problem->detail[0] != '\0') {
    json_out_key(out, "detail");
    json_out_string(out, problem->detail);
  }
  if (problem->field[0] != '\0') {
    json_out_key(out, "field");
    json_out_string(out, problem->field);
  }
  if (problem->suggestion[0] != '\0') {
    json_out_key(out, "suggestion");
    json_out_string(out, problem->suggestion);
  }
  if (info->retryable) {
    json_out_key(out, "retry_after");
    json_out_unsigned(out, 1);
  }
}

static void write_item(const struct api_write *to, const struct item *item)
{
  struct json_out *out = to->out;
  const struct hf_op *op = item->op;
  if (op != NULL && op->error == HF_OK) {
    size_t count = 0;
    const struct ledger_entry *entries = hf_op_entries(op, &count);
    api_write_op(to, entries, count, hf_op_metadata(op), 0);
  } else {
    const struct json_problem judged = {.error = op == NULL ? HF_OK : op->error};
    json_out_key(out, "status");
    json_out_string(out, op != NULL && is_refusal(op) ? "refused" : "failed");
    write_problem(out, op == NULL ? item->problem : &judged);
  }
  if (op != NULL && op->replayed) {
    json_out_key(out, "replayed");
    json_out_bool(out, true);
  }
}

static void reply(struct api_call *call)
{
  struct batch *batch = call->work;
  if (api_is_over(call))
    return;
  const struct api_write to = api_write_to(call);
  struct json_out *out = api_out(call);
  json_out_begin_object(out);
  json_out_key(out, "results");
  json_out_begin_array(out);
  for (uint32_t i = 0; i < batch->count; i++) {
    json_out_begin_object(out);
    json_out_key(out, "index");
    json_out_unsigned(out, i);
    write_item(&to, &batch->items[i]);
    json_out_end_object(out);
  }
  json_out_end_array(out);
  json_out_end_object(out);
  api_send(call, call->route->status);
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* False: no room. True also when the item needs none of it. */
static bool peek_item(struct api_call *call, struct batch *batch, uint32_t index)
{
  struct item *item = &batch->items[index];
  if (item->op == NULL || !api_op_needs_peek(item->op))
    return true;
  struct hf_peek *peek = rt_alloc(sizeof *peek);
  peek->user = item->op->command.counterparty;
  peek->index = index;
  if (api_ask_peek(call, peek, false))
    return true;
  rt_free(peek);
  return false;
}

static bool submit_item(struct api_call *call, struct batch *batch, uint32_t index)
{
  struct item *item = &batch->items[index];
  /* The members of an atomic batch hang on its first op. */
  if (item->op == NULL || (batch->atomic && index > 0))
    return true;
  item->op->index = index;
  return api_ask_op(call, item->op);
}

/* Makes the first item's problem that of the whole request; false when no item has one. */
static bool first_problem(const struct batch *batch, struct json_problem *ret_problem)
{
  for (uint32_t i = 0; i < batch->count; i++) {
    const struct json_problem *own = batch->items[i].problem;
    if (own == NULL)
      continue;
    *ret_problem = *own;
    (void)snprintf(ret_problem->field, sizeof ret_problem->field, "ops[%u]%s%.60s", i,
                   own->field[0] == '\0' ? "" : ".", own->field);
    return true;
  }
  return false;
}

/* A payee who is not there fails the transfer, and with it the whole of an atomic batch. */
static bool atomic_is_refused(struct api_call *call, const struct batch *batch)
{
  struct json_problem problem;
  if (!batch->atomic || !first_problem(batch, &problem))
    return false;
  api_refuse(call, &problem);
  return true;
}

static void link_group(struct batch *batch)
{
  for (uint32_t i = 0; i + 1 < batch->count; i++)
    batch->items[i].op->group_next = batch->items[i + 1].op;
}

/* Asks as much as there is room for; replies when all is answered. */
static void pump(struct api_call *call)
{
  struct batch *batch = call->work;
  for (;;) {
    bool room = true;
    while (batch->next < batch->count && room) {
      room = batch->phase == BATCH_PEEK ? peek_item(call, batch, batch->next)
                                        : submit_item(call, batch, batch->next);
      if (room)
        batch->next++;
    }
    if (!room && call->asks == 0) {
      while (batch->next < batch->count) {
        if (batch->items[batch->next].op != NULL)
          item_fail_with(&batch->items[batch->next], HF_E_OVERLOADED, NULL);
        batch->next++;
      }
    }
    if (call->asks > 0)
      return;
    if (atomic_is_refused(call, batch))
      return;
    if (batch->phase == BATCH_SUBMIT)
      break;
    batch->phase = BATCH_SUBMIT;
    batch->next = 0;
    if (batch->atomic)
      link_group(batch);
  }
  reply(call);
}

static void resume(struct api_call *call, enum api_ask kind, void *answer)
{
  struct batch *batch = call->work;
  if (kind == API_ASK_PEEK) {
    struct hf_peek *peek = answer;
    CHECK(peek->index < batch->count && batch->items[peek->index].op != NULL);
    struct item *item = &batch->items[peek->index];
    item->op->command.payee_closed = peek->status == LEDGER_CLOSED;
    if (peek->error != HF_OK)
      item_fail_with(item, peek->error, peek->error == HF_E_USER_NOT_FOUND ? "to_user_id" : NULL);
    rt_free(peek);
  } else {
    CHECK(kind == API_ASK_OP);
    const struct hf_op *op = answer;
    CHECK(op->index < batch->count && batch->items[op->index].op == op);
  }
  pump(call);
}

/* ---- parsing --------------------------------------------------------------------------------- */

static void parse_item(struct api_call *call, struct api_parse *parse, const json_t *object,
                       struct item *item)
{
  struct json_problem problem = {0};
  item->op = hf_op_new();
  api_parse_whole_op(call, parse, object, item->op, &problem);
  if (problem.error != HF_OK)
    item_fail(item, &problem);
}

/* A transfer changes its payee too. */
static bool is_of_one_user(const struct batch *batch)
{
  for (uint32_t i = 0; i < batch->count; i++) {
    const struct hf_op *op = batch->items[i].op;
    if (op->user != batch->items[0].op->user || op->command.type == LEDGER_T_TRANSFER)
      return false;
  }
  return true;
}

static struct batch *parse_batch(struct api_call *call, const json_t *body,
                                 struct json_problem *problem)
{
  static const struct json_in_field fields[] = {{"ops", true}, {"atomic", false}};
  const json_t *values[2];
  struct batch *batch = rt_alloc(sizeof *batch);
  json_in_take(body, fields, 2, problem, values);
  batch->atomic = json_in_boolean(values[1], "atomic", false, problem);
  if (problem->error == HF_OK && !json_is_array(values[0]))
    json_problem_set(problem, HF_E_INVALID_FIELD, "ops", "must be an array");
  if (problem->error != HF_OK)
    return batch;
  const size_t count = json_array_size(values[0]);
  if (count < 1 || count > ITEMS_MAX) {
    json_problem_set(problem, HF_E_INVALID_FIELD, "ops", "must have 1 to %u items", ITEMS_MAX);
    return batch;
  }
  batch->count = (uint32_t)count;
  batch->items = rt_alloc(count * sizeof batch->items[0]);
  struct api_parse *parse = api_parse_of(call, true);
  for (size_t i = 0; i < count; i++)
    parse_item(call, parse, json_array_get(values[0], i), &batch->items[i]);
  if (batch->atomic) /* all or none: one that is malformed is the whole request's problem */
    (void)first_problem(batch, problem);
  return batch;
}

void api_batch_post(struct api_call *call)
{
  struct json_problem problem = {0};
  json_t *body = api_body(call, &problem);
  if (body != NULL) {
    call->work = parse_batch(call, body, &problem);
    call->work_free = batch_free;
  }
  json_decref(body);
  if (!api_allowed(call, &problem) || !api_has_room(call))
    return;
  const struct batch *batch = call->work;
  front_observe(call->loop, FRONT_M_BATCH_OPS, batch->count);
  if (batch->atomic && !is_of_one_user(batch)) {
    api_fail(call, HF_E_CROSS_USER_ATOMIC);
    return;
  }
  call->resume = resume;
  pump(call);
}
