/* api_ops.c - POST /v1/ops and GET /v1/ops/{op_id}.
 *
 * Happy path: parse, (peek at a transfer's payee,) submit, reply with what became durable.
 * Ways to fail: what is malformed never gets past the parser; a payee that is not there; the
 * ledger's refusals, which are remembered for the key; no room, deadline, store: 429 or 503.
 * Invariant: a replay's reply has the bytes of the first one, as both come out of the entries. */
#include <string.h>

#include "adapters/http/api_ops.h"
#include "adapters/http/api_write.h"
#include "adapters/http/front_loop.h"
#include "holdfast/check.h"

void api_op_work_free(void *op)
{
  hf_op_free(op);
}

struct api_parse *api_parse_of(struct api_call *call, bool batch)
{
  struct api_parse *parse = &call->loop->parse;
  parse->now_us = (int64_t)rt_wall_us(call->loop->ctx);
  parse->key_id = call->caller.id;
  parse->request_id = http_request_id(call->exchange);
  parse->batch = batch;
  return parse;
}

void api_parse_whole_op(struct api_call *call, struct api_parse *parse, const json_t *object,
                        struct hf_op *op, struct json_problem *problem)
{
  unsigned digits = 0;
  api_parse_op(parse, object, op, problem, &digits);
  const struct catalog *catalog = catalog_of(call->loop->ctx);
  api_check_user(call, op->user, "user_id", problem);
  api_check_user(call, op->command.counterparty, "to_user_id", problem);
  if (problem->error != HF_OK || catalog == NULL || !op->command.asset_given)
    return;
  const struct store_asset_row *asset =
    catalog_asset_by_code(catalog, op->asset_code, strlen(op->asset_code));
  if (asset != NULL)
    api_parse_amount(op, asset->scale, digits, problem);
}

bool api_op_needs_peek(const struct hf_op *op)
{
  return op->command.type == LEDGER_T_TRANSFER && op->command.counterparty != op->user;
}

struct api_write api_write_to(struct api_call *call)
{
  return (struct api_write){.out = &call->loop->out,
                            .asset = api_asset_by_id,
                            .asset_arg = call->loop,
                            .partition_bits = api_partition_bits(call)};
}

const char *api_error_detail(enum hf_error error)
{
  switch (error) {
  case HF_E_USER_NOT_FOUND:
    return "no user has this id";
  case HF_E_IN_PROGRESS:
    return "wait, then retry with the same key";
  default:
    return "";
  }
}

static void reply(struct api_call *call, struct hf_op *op)
{
  if (api_is_over(call))
    return;
  if (op->replayed)
    http_add_header(call->exchange, "Idempotency-Replayed", "true");
  if (op->error != HF_OK) {
    api_fail(call, op->error);
    return;
  }
  size_t count = 0;
  const struct ledger_entry *entries = hf_op_entries(op, &count);
  struct json_out *out = api_out(call);
  const struct api_write to = api_write_to(call);
  json_out_begin_object(out);
  api_write_op(&to, entries, count, hf_op_metadata(op), 0);
  json_out_end_object(out);
  api_send(call, call->route->status);
}

static void submit(struct api_call *call, struct hf_op *op)
{
  call->work = NULL;
  if (api_ask_op(call, op))
    return;
  hf_op_free(op);
  api_fail(call, HF_E_OVERLOADED);
}

static void resume(struct api_call *call, enum api_ask kind, void *answer)
{
  if (kind == API_ASK_OP) {
    reply(call, answer);
    hf_op_free(answer);
    return;
  }
  CHECK(kind == API_ASK_PEEK);
  struct hf_peek *peek = answer;
  struct hf_op *op = call->work;
  const enum hf_error error = peek->error;
  op->command.payee_closed = error == HF_OK && peek->status == LEDGER_CLOSED;
  rt_free(peek);
  if (error == HF_OK) {
    submit(call, op);
    return;
  }
  struct json_problem problem = {0};
  json_problem_set(&problem, error, error == HF_E_USER_NOT_FOUND ? "to_user_id" : NULL, "%s",
                   api_error_detail(error));
  api_refuse(call, &problem);
}

static void peek_payee(struct api_call *call, hf_id payee)
{
  struct hf_peek *peek = rt_alloc(sizeof *peek);
  peek->user = payee;
  if (api_ask_peek(call, peek, false))
    return;
  rt_free(peek);
  api_fail(call, HF_E_OVERLOADED);
}

void api_ops_post(struct api_call *call)
{
  struct json_problem problem = {0};
  struct hf_op *op = hf_op_new();
  call->work = op;
  call->work_free = api_op_work_free;
  call->resume = resume;
  op->has_key = api_key_digest(call, &problem, &op->command.key);
  json_t *body = api_body(call, &problem);
  if (body != NULL)
    api_parse_whole_op(call, api_parse_of(call, false), body, op, &problem);
  json_decref(body);
  if (!api_allowed(call, &problem) || !api_has_room(call))
    return;
  if (api_op_needs_peek(op))
    peek_payee(call, op->command.counterparty);
  else
    submit(call, op);
}

/* ---- GET ------------------------------------------------------------------------------------- */

/* The newest reversal, which is what `reversed_by` names; 0: none. */
static hf_id reversed_by(const struct store_op *op)
{
  hf_id newest = 0;
  for (size_t i = 0; i < op->reversals_count; i++)
    newest = op->reversals[i].op > newest ? op->reversals[i].op : newest;
  return newest;
}

static void write_transfer(const struct api_write *to, const struct store_transfer_row *transfer)
{
  static const char *const states[] = {[STORE_TRANSFER_TRANSIT] = "in_transit",
                                       [STORE_TRANSFER_CREDITED] = "credited",
                                       [STORE_TRANSFER_BOUNCED] = "bounced"};
  struct json_out *out = to->out;
  const struct store_asset_row *asset = to->asset(to->asset_arg, transfer->asset);
  CHECK(transfer->state < sizeof states / sizeof states[0] && asset != NULL);
  json_out_key(out, "transfer");
  json_out_begin_object(out);
  json_out_key(out, "id");
  json_out_id(out, transfer->id);
  json_out_key(out, "state");
  json_out_string(out, states[transfer->state]);
  json_out_key(out, "from_user_id");
  json_out_id(out, transfer->payer);
  json_out_key(out, "to_user_id");
  json_out_id(out, transfer->payee);
  json_out_key(out, "asset");
  json_out_string(out, asset->code);
  json_out_key(out, "amount");
  json_out_amount(out, transfer->amount, asset->scale);
  json_out_key(out, "partner_op_id");
  if (transfer->credit == 0)
    json_out_null(out);
  else
    json_out_id(out, transfer->credit);
  json_out_end_object(out);
}

static void write_reversals(const struct api_write *to, const struct store_op *op)
{
  struct json_out *out = to->out;
  const struct store_asset_row *asset = to->asset(to->asset_arg, op->entries[0].asset);
  CHECK(asset != NULL);
  json_out_key(out, "reversals");
  json_out_begin_array(out);
  for (size_t i = 0; i < op->reversals_count; i++) {
    json_out_begin_object(out);
    json_out_key(out, "op_id");
    json_out_id(out, op->reversals[i].op);
    json_out_key(out, "amount");
    json_out_amount(out, op->reversals[i].amount, asset->scale);
    json_out_end_object(out);
  }
  json_out_end_array(out);
}

static void op_found(struct api_call *call, const struct store_op *op)
{
  const struct api_write to = api_write_to(call);
  struct json_out *out = api_out(call);
  json_out_begin_object(out);
  api_write_op(&to, op->entries, op->entries_count, op->metadata, reversed_by(op));
  json_out_key(out, "user_id");
  json_out_id(out, op->entries[0].user);
  if (op->has_transfer)
    write_transfer(&to, &op->transfer);
  write_reversals(&to, op);
  json_out_end_object(out);
  api_send(call, call->route->status);
}

static void entry_found(struct api_call *call, const struct store_op *op, hf_id id)
{
  const struct api_write to = api_write_to(call);
  (void)api_out(call);
  for (size_t i = 0; i < op->entries_count; i++) {
    if (op->entries[i].id != id)
      continue;
    api_write_entry(&to, &op->entries[i], op->metadata,
                    op->entries[i].op_index == 0 ? reversed_by(op) : 0);
    api_send(call, call->route->status);
    return;
  }
  api_fail(call, HF_E_ENTRY_NOT_FOUND);
}

static void resume_read(struct api_call *call, enum api_ask kind, void *answer)
{
  CHECK(kind == API_ASK_READ);
  struct store_request *request = answer;
  const struct store_op *op = request->get_op.out;
  const bool entry = request->get_op.entry;
  const enum hf_error error =
    api_read_error(request, entry ? HF_E_ENTRY_NOT_FOUND : HF_E_OP_NOT_FOUND);
  if (error != HF_OK)
    api_fail(call, error);
  else if (op == NULL || op->refused || op->entries_count == 0)
    api_fail(call, entry ? HF_E_ENTRY_NOT_FOUND : HF_E_OP_NOT_FOUND);
  else if (!api_is_over(call) && entry)
    entry_found(call, op, request->get_op.id);
  else if (!api_is_over(call))
    op_found(call, op);
  store_request_free(request);
}

static void read_op(struct api_call *call, bool entry)
{
  struct json_problem problem = {0};
  const hf_id id = api_param_id(call, 0, &problem);
  if (!api_allowed(call, &problem) || !api_has_room(call))
    return;
  struct store_request *request = store_request_new(STORE_GET_OP);
  request->get_op.id = id;
  request->get_op.entry = entry;
  call->resume = resume_read;
  api_read(call, request);
}

void api_op_get(struct api_call *call)
{
  read_op(call, false);
}
void api_entry_get(struct api_call *call)
{
  read_op(call, true);
}
