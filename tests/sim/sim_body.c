/* What a request says, in the words of the API and as the digest that is kept with its key. The
 * digest is made here once more: it must never change (adapters/http/api_parse.h). */
#include <stdarg.h>
#include <string.h>

#include "holdfast/bytes.h"
#include "holdfast/check.h"
#include "holdfast/time_text.h"
#include "tests/sim/sim.h"

static void put(struct hf_bytes *out, const char *format, ...)
  __attribute__((format(printf, 2, 3)));
static void put(struct hf_bytes *out, const char *format, ...)
{
  char text[256];
  va_list arguments;
  va_start(arguments, format);
  int size = vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  CHECK(size >= 0 && (size_t)size < sizeof text);
  hf_bytes_put(out, text, (size_t)size);
}

void sim_key_text(const struct sim_request *request, char ret_text[SIM_TEXT_MAX])
{
  snprintf(ret_text, SIM_TEXT_MAX, "key-%u", request->key_number);
}

/* An adjust has a reason always, others in their second body only. */
size_t sim_metadata_text(const struct sim_request *request, unsigned body,
                         char ret_text[SIM_TEXT_MAX])
{
  char metadata[48] = "", reason[48] = "";
  if (request->has_metadata)
    snprintf(metadata, sizeof metadata, "\"metadata\":{\"request\":%u}", request->number);
  if (request->type == LEDGER_T_ADJUST || body != 0)
    snprintf(reason, sizeof reason, "\"reason\":\"body %u\"", body);
  if (metadata[0] == '\0' && reason[0] == '\0')
    return 0;
  const char *comma = metadata[0] != '\0' && reason[0] != '\0' ? "," : "";
  return (size_t)snprintf(ret_text, SIM_TEXT_MAX, "{%s%s%s}", reason, comma, metadata);
}

/* Without zeros behind the point. */
struct hf_decimal sim_decimal(sim_amount amount)
{
  struct hf_decimal decimal = {.digits = amount, .scale = SIM_SCALE};
  while (decimal.scale > 0 && decimal.digits % 10 == 0) {
    decimal.digits /= 10;
    decimal.scale--;
  }
  return decimal;
}

static void put_asset(struct hf_bytes *out, const struct sim_request *request)
{
  char code[8] = "";
  if (request->asset != 0)
    snprintf(code, sizeof code, "A%u", request->asset);
  hf_bytes_put_blob(out, code, strlen(code));
}

struct hf_digest sim_body_digest(const struct sim_world *world, const struct sim_request *request,
                                 unsigned body)
{
  struct hf_bytes bytes = {0};
  char text[SIM_TEXT_MAX];
  const size_t size = sim_metadata_text(request, body, text);
  const struct hf_decimal amount = sim_decimal(request->amount);
  const bool transfers = request->type == LEDGER_T_TRANSFER;
  hf_bytes_put_u8(&bytes, 1);
  hf_bytes_put_u8(&bytes, request->type);
  hf_bytes_put_varint(&bytes, world->users[request->user].id);
  put_asset(&bytes, request);
  hf_bytes_put_u8(&bytes, request->amount != 0);
  hf_bytes_put_amount(&bytes, amount.digits);
  hf_bytes_put_u8(&bytes, request->amount == 0 ? 0 : amount.scale);
  hf_bytes_put_varint(&bytes, request->ref);
  hf_bytes_put_varint(&bytes, transfers ? world->users[request->payee].id : 0);
  hf_bytes_put_blob(&bytes, "", 0);
  hf_bytes_put_u8(&bytes, request->bucket);
  hf_bytes_put_u8(&bytes, request->final_capture);
  hf_bytes_put_varint(&bytes, request->timeout_s);
  hf_bytes_put_varint(&bytes, (uint64_t)request->effective_us);
  hf_bytes_put_varint(&bytes, (uint64_t)(request->if_version + 1));
  hf_bytes_put_blob(&bytes, text, size);
  const struct hf_digest digest = hf_digest(bytes.at, bytes.size);
  hf_bytes_deinit(&bytes);
  return digest;
}

struct hf_digest sim_create_digest(const struct hf_create *create)
{
  struct hf_bytes bytes = {0};
  hf_bytes_put_u8(&bytes, 1);
  hf_bytes_put_u8(&bytes, create->kind);
  hf_bytes_put_u8(&bytes, 1);
  hf_bytes_put_blob(&bytes, create->external_id, strlen(create->external_id));
  hf_bytes_put_blob(&bytes, "", 0);
  const struct hf_digest digest = hf_digest(bytes.at, bytes.size);
  hf_bytes_deinit(&bytes);
  return digest;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

/* With as many digits behind the point as the asset has, or as few as it needs. */
static void put_amount(struct hf_bytes *out, const struct hf_op *op, bool padded)
{
  struct hf_decimal amount = op->command.amount;
  char text[HF_AMOUNT_TEXT_MAX];
  if (!op->command.amount_given)
    return;
  while (padded && amount.scale < SIM_SCALE && amount.digits < HF_AMOUNT_MAX / 10 &&
         amount.digits > -HF_AMOUNT_MAX / 10) {
    amount.digits *= 10;
    amount.scale++;
  }
  hf_amount_format(amount.digits, amount.scale, text);
  put(out, ",\"amount\":\"%s\"", text);
}

static void put_ref(struct hf_bytes *out, const struct hf_op *op)
{
  const char *name = "reverses";
  if (op->command.type == LEDGER_T_CAPTURE || op->command.type == LEDGER_T_VOID)
    name = "hold_id";
  else if (op->command.type == LEDGER_T_UNBLOCK)
    name = "block_id";
  if (op->command.ref != 0)
    put(out, ",\"%s\":\"%llu\"", name, (unsigned long long)op->command.ref);
  if (op->command.counterparty != 0)
    put(out, ",\"to_user_id\":\"%llu\"", (unsigned long long)op->command.counterparty);
}

/* Defaults are spelled out, or not. */
static void put_options(struct hf_bytes *out, const struct hf_op *op, bool spelled)
{
  const struct ledger_command *command = &op->command;
  if (command->type == LEDGER_T_CAPTURE && (!command->final || spelled))
    put(out, ",\"final\":%s", command->final ? "true" : "false");
  if (command->type == LEDGER_T_BLOCK && spelled)
    put(out, ",\"bucket\":\"claimable\"");
  if (command->timeout_s != 0)
    put(out, ",\"timeout_s\":%u", command->timeout_s);
  if (command->if_version >= 0)
    put(out, ",\"if_version\":%lld", (long long)command->if_version);
  if (command->effective_us != 0) {
    char time[HF_TIME_TEXT_MAX];
    hf_time_format(command->effective_us, time);
    put(out, ",\"effective_at\":\"%s\"", time);
  }
  if (op->metadata.size > 2) { /* as members of the request itself */
    hf_bytes_put(out, ",", 1);
    hf_bytes_put(out, op->metadata.at + 1, op->metadata.size - 2);
  }
}

void sim_body_put(struct hf_bytes *out, const struct hf_op *op, const char *key)
{
  const struct sim_request *request = op->owner;
  const bool odd = request->number % 2u == 1u;
  put(out, "{\"type\":\"%s\",\"user_id\":\"%llu\"", ledger_type_text(op->command.type),
      (unsigned long long)op->user);
  if (op->asset_code[0] != '\0')
    put(out, ",\"asset\":\"%s\"", op->asset_code);
  put_amount(out, op, odd);
  put_ref(out, op);
  put_options(out, op, odd);
  if (key != NULL)
    put(out, ",\"idempotency_key\":\"%s\"", key);
  hf_bytes_put(out, "}", 1);
}
