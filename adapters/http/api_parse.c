#include "api_parse.h"

#include <string.h>

#include "adapters/http/api_idempotency.h"
#include "holdfast/check.h"
#include "holdfast/rt.h"

/* X(NAME, name, required in every op) */
#define OP_FIELDS(X)                                                                               \
  X(TYPE, "type", true)                                                                            \
  X(USER_ID, "user_id", true)                                                                      \
  X(ASSET, "asset", false)                                                                         \
  X(AMOUNT, "amount", false)                                                                       \
  X(HOLD_ID, "hold_id", false)                                                                     \
  X(BLOCK_ID, "block_id", false)                                                                   \
  X(REVERSES, "reverses", false)                                                                   \
  X(TO_USER_ID, "to_user_id", false)                                                               \
  X(TO, "to", false)                                                                               \
  X(SOURCE, "source", false)                                                                       \
  X(BUCKET, "bucket", false)                                                                       \
  X(TIMEOUT_S, "timeout_s", false)                                                                 \
  X(FINAL, "final", false)                                                                         \
  X(EFFECTIVE_AT, "effective_at", false)                                                           \
  X(IF_VERSION, "if_version", false)                                                               \
  X(REASON, "reason", false)                                                                       \
  X(METADATA, "metadata", false)                                                                   \
  X(IDEMPOTENCY_KEY, "idempotency_key", false)

enum op_field {
#define X(NAME, name, required) F_##NAME,
  OP_FIELDS(X)
#undef X
    F_COUNT
};

static const struct json_in_field op_fields[F_COUNT] = {
#define X(NAME, name, required) [F_##NAME] = {name, required},
  OP_FIELDS(X)
#undef X
};

#define M(NAME) (1u << F_##NAME)
#define EVERY                                                                                      \
  (M(TYPE) | M(USER_ID) | M(ASSET) | M(EFFECTIVE_AT) | M(IF_VERSION) | M(REASON) | M(METADATA) |   \
   M(IDEMPOTENCY_KEY))

struct op_shape { /* which fields a type takes beside those that every type does */
  unsigned may, must;
};
static const struct op_shape shapes[LEDGER_TYPE_COUNT] = {
  [LEDGER_T_EARN] = {M(SOURCE), M(ASSET) | M(AMOUNT)},
  [LEDGER_T_SETTLE] = {0, M(ASSET) | M(AMOUNT)},
  [LEDGER_T_MATURE] = {0, M(ASSET) | M(AMOUNT)},
  [LEDGER_T_GRANT] = {M(SOURCE), M(ASSET) | M(AMOUNT)},
  [LEDGER_T_DEPOSIT] = {M(SOURCE), M(ASSET) | M(AMOUNT)},
  [LEDGER_T_SPEND] = {M(TO), M(ASSET) | M(AMOUNT)},
  [LEDGER_T_HOLD] = {M(TIMEOUT_S), M(ASSET) | M(AMOUNT)},
  [LEDGER_T_CAPTURE] = {M(AMOUNT) | M(FINAL) | M(TO), M(HOLD_ID)},
  [LEDGER_T_VOID] = {M(AMOUNT), M(HOLD_ID)},
  [LEDGER_T_BLOCK] = {M(BUCKET), M(ASSET) | M(AMOUNT)},
  [LEDGER_T_UNBLOCK] = {M(AMOUNT), M(BLOCK_ID)},
  [LEDGER_T_TRANSFER] = {0, M(ASSET) | M(AMOUNT) | M(TO_USER_ID)},
  [LEDGER_T_ADJUST] = {0, M(ASSET) | M(AMOUNT) | M(REASON)},
  [LEDGER_T_QUARANTINE_IN] = {M(SOURCE), M(ASSET) | M(AMOUNT)},
  [LEDGER_T_RELEASE] = {0, M(ASSET) | M(AMOUNT)},
  [LEDGER_T_REVERSE] = {M(AMOUNT), M(REVERSES)},
};

void api_parse_deinit(struct api_parse *parse)
{
  json_out_deinit(&parse->text);
  hf_bytes_deinit(&parse->bytes);
}

/* ---- fields ---------------------------------------------------------------------------------- */

static void take_type(const json_t *value, struct hf_op *op, struct json_problem *problem)
{
  unsigned type = 0;
  if (problem->error != HF_OK)
    return;
  if (!json_is_string(value) ||
      !ledger_type_by_text(json_string_value(value), json_string_length(value), &type) ||
      type > LEDGER_T_REVERSE) {
    json_problem_set(problem, HF_E_INVALID_FIELD, "type", "not an operation type");
    json_problem_suggest(problem, "one of earn settle mature grant deposit spend hold capture void "
                                  "block unblock transfer adjust quarantine release reverse");
    return;
  }
  op->command.type = (uint8_t)type;
}

/* A problem when a field is there that the type does not take, or misses that it needs. */
static void check_shape(const json_t *const values[], const struct hf_op *op, bool batch,
                        struct json_problem *problem)
{
  if (problem->error != HF_OK)
    return;
  const struct op_shape *shape = &shapes[op->command.type];
  for (unsigned i = 0; i < F_COUNT; i++) {
    const unsigned bit = 1u << i;
    const char *type = ledger_type_text(op->command.type);
    const bool known =
      ((shape->may | shape->must | EVERY) & bit) != 0 && (batch || i != F_IDEMPOTENCY_KEY);
    if (values[i] != NULL && !known) {
      json_problem_set(problem, HF_E_UNKNOWN_FIELD, op_fields[i].name, "\"%s\" does not take it",
                       type);
      if (i == F_IDEMPOTENCY_KEY)
        json_problem_suggest(problem, "send it as the header Idempotency-Key");
    } else if (values[i] == NULL && (shape->must & bit) != 0) {
      json_problem_set(problem, HF_E_MISSING_FIELD, op_fields[i].name, "\"%s\" requires it", type);
    }
  }
}

bool api_asset_code_valid(const char *text, size_t size)
{
  return size <= HF_ASSET_CODE_MAX && json_in_is_word((struct json_in_text){text, size}, "._-");
}

static void take_asset(const json_t *value, struct hf_op *op, struct json_problem *problem)
{
  const struct json_in_text code = json_in_text(value, "asset", 1, HF_ASSET_CODE_MAX, problem);
  if (code.at == NULL)
    return;
  if (!api_asset_code_valid(code.at, code.size)) {
    json_problem_set(problem, HF_E_INVALID_FIELD, "asset", "not an asset code");
    return;
  }
  memcpy(op->asset_code, code.at, code.size);
  op->asset_code[code.size] = '\0';
  op->command.asset_given = true;
}

static void take_label(const json_t *value, const char *field, struct hf_op *op,
                       struct json_problem *problem)
{
  const struct json_in_text label = json_in_text(value, field, 1, LEDGER_LABEL_MAX, problem);
  if (label.at == NULL)
    return;
  if (!json_in_is_word(label, "._:-")) {
    json_problem_set(problem, HF_E_INVALID_FIELD, field,
                     "must be letters, digits and . _ : -, a letter or digit first");
    return;
  }
  memcpy(op->command.label, label.at, label.size);
  op->command.label[label.size] = '\0';
}

static void take_bucket(const json_t *value, struct hf_op *op, struct json_problem *problem)
{
  unsigned bucket = LEDGER_CLAIMABLE;
  const struct json_in_text text = json_in_text(value, "bucket", 1, 16, problem);
  if (text.at == NULL) {
    op->command.bucket = LEDGER_CLAIMABLE;
    return;
  }
  /* Blocking what is blocked, or what the user owes, means nothing. */
  if (!ledger_bucket_by_text(text.at, text.size, &bucket) || bucket == LEDGER_BLOCKED ||
      bucket == LEDGER_DEBT) {
    json_problem_set(problem, HF_E_INVALID_FIELD, "bucket", "not a bucket that can be blocked");
    json_problem_suggest(problem, "earned, pending, claimable, held, claiming or quarantine");
    return;
  }
  op->command.bucket = (uint8_t)bucket;
}

static void take_references(const json_t *const values[], struct hf_op *op,
                            struct json_problem *problem)
{
  static const enum op_field fields[] = {F_HOLD_ID, F_BLOCK_ID, F_REVERSES};
  for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
    if (values[fields[i]] != NULL)
      op->command.ref = json_in_id(values[fields[i]], op_fields[fields[i]].name, problem);
  }
  op->command.counterparty = json_in_id(values[F_TO_USER_ID], "to_user_id", problem);
}

static void take_key(const json_t *value, struct hf_op *op, struct json_problem *problem)
{
  if (problem->error != HF_OK)
    return;
  if (value == NULL) {
    json_problem_set(problem, HF_E_KEY_REQUIRED, "idempotency_key",
                     "each item has an idempotency_key");
    return;
  }
  const char *text = json_is_string(value) ? json_string_value(value) : "";
  const size_t size = json_is_string(value) ? json_string_length(value) : 0;
  if (!api_idempotency_valid(text, size)) {
    json_problem_set(problem, HF_E_INVALID_KEY, "idempotency_key",
                     "must be 1 to %u visible ASCII characters", API_IDEMPOTENCY_MAX);
    return;
  }
  op->has_key = true;
  op->command.key = hf_digest(text, size);
}

/* ---- metadata and digest --------------------------------------------------------------------- */

/* Puts {"reason":..,"metadata":..} into parse->text; what is absent is left out. */
static void write_metadata(struct api_parse *parse, const json_t *const values[],
                           struct json_problem *problem)
{
  struct json_out *out = &parse->text;
  json_out_clear(out);
  const struct json_in_text reason =
    json_in_text(values[F_REASON], "reason", 1, HF_REASON_MAX, problem);
  if (values[F_METADATA] != NULL && !json_is_object(values[F_METADATA]))
    json_problem_set(problem, HF_E_INVALID_FIELD, "metadata", "must be a JSON object");
  if (problem->error != HF_OK || (reason.at == NULL && values[F_METADATA] == NULL))
    return;
  json_out_begin_object(out);
  if (reason.at != NULL) {
    json_out_key(out, "reason");
    json_out_text(out, reason.at, reason.size);
  }
  if (values[F_METADATA] != NULL) {
    json_out_key(out, "metadata");
    const size_t start = out->size;
    json_out_value(out, values[F_METADATA]);
    if (out->size - start > API_METADATA_MAX)
      json_problem_set(problem, HF_E_INVALID_FIELD, "metadata", "larger than %u bytes",
                       API_METADATA_MAX);
  }
  json_out_end_object(out);
}

static void keep_metadata(const struct api_parse *parse, struct hf_op *op)
{
  const struct json_out *text = &parse->text;
  if (text->size == 0)
    return;
  char *kept = rt_alloc(text->size);
  memcpy(kept, text->at, text->size);
  op->metadata = (struct store_text){kept, text->size};
  hf_random_bytes(op->salt, sizeof op->salt);
  op->command.has_metadata = true;
  op->command.metadata_hash = hf_sha256_pair(op->salt, sizeof op->salt, kept, text->size);
}

/* Every field in a fixed order, in the encoding of bytes.h, which is unambiguous. */
static struct hf_digest digest(struct api_parse *parse, const struct hf_op *op)
{
  const struct ledger_command *command = &op->command;
  struct hf_bytes *bytes = &parse->bytes;
  hf_bytes_clear(bytes);
  hf_bytes_put_u8(bytes, 1); /* version of this encoding */
  hf_bytes_put_u8(bytes, command->type);
  hf_bytes_put_varint(bytes, op->user);
  hf_bytes_put_blob(bytes, op->asset_code, strlen(op->asset_code));
  hf_bytes_put_u8(bytes, command->amount_given);
  hf_bytes_put_amount(bytes, command->amount.digits);
  hf_bytes_put_u8(bytes, command->amount.scale);
  hf_bytes_put_varint(bytes, command->ref);
  hf_bytes_put_varint(bytes, command->counterparty);
  hf_bytes_put_blob(bytes, command->label, strlen(command->label));
  hf_bytes_put_u8(bytes, command->bucket);
  hf_bytes_put_u8(bytes, command->final);
  hf_bytes_put_varint(bytes, command->timeout_s);
  hf_bytes_put_varint(bytes, (uint64_t)command->effective_us);
  hf_bytes_put_varint(bytes, (uint64_t)(command->if_version + 1));
  hf_bytes_put_blob(bytes, parse->text.at, parse->text.size);
  return hf_digest(bytes->at, bytes->size);
}

/* ---- the op ---------------------------------------------------------------------------------- */

static void copy_name(char *to, size_t room, const char *prefix, const char *name)
{
  const size_t prefix_size = strlen(prefix);
  const size_t size = strlen(name);
  CHECK(prefix_size + size < room);
  memcpy(to, prefix, prefix_size);
  memcpy(to + prefix_size, name, size + 1);
}

void api_parse_op(struct api_parse *parse, const json_t *object, struct hf_op *op,
                  struct json_problem *problem, unsigned *ret_digits)
{
  const json_t *values[F_COUNT];
  struct ledger_command *command = &op->command;
  *ret_digits = 0;
  json_in_take(object, op_fields, F_COUNT, problem, values);
  take_type(values[F_TYPE], op, problem);
  check_shape(values, op, parse->batch, problem);
  if (problem->error != HF_OK)
    return;

  op->user = json_in_id(values[F_USER_ID], "user_id", problem);
  take_asset(values[F_ASSET], op, problem);
  command->amount = json_in_amount(values[F_AMOUNT], "amount", command->type == LEDGER_T_ADJUST,
                                   problem, ret_digits);
  command->amount_given = values[F_AMOUNT] != NULL;
  take_references(values, op, problem);
  take_label(values[F_TO], "to", op, problem);
  take_label(values[F_SOURCE], "source", op, problem);
  take_bucket(values[F_BUCKET], op, problem);
  command->timeout_s =
    (uint32_t)json_in_integer(values[F_TIMEOUT_S], "timeout_s", 1, API_TIMEOUT_S_MAX, problem);
  command->final = json_in_boolean(values[F_FINAL], "final", true, problem);
  command->effective_us =
    json_in_time(values[F_EFFECTIVE_AT], "effective_at", parse->now_us, problem);
  command->if_version = -1;
  if (values[F_IF_VERSION] != NULL)
    command->if_version =
      json_in_integer(values[F_IF_VERSION], "if_version", 0, (int64_t)HF_ID_MAX, problem);
  write_metadata(parse, values, problem);
  if (parse->batch)
    take_key(values[F_IDEMPOTENCY_KEY], op, problem);
  if (problem->error != HF_OK)
    return;

  keep_metadata(parse, op);
  copy_name(command->actor, sizeof command->actor, "key:", parse->key_id);
  copy_name(command->correlation, sizeof command->correlation, "", parse->request_id);
  command->request = digest(parse, op);
}

void api_parse_amount(const struct hf_op *op, unsigned scale, unsigned digits,
                      struct json_problem *problem)
{
  if (!op->command.amount_given)
    return;
  hf_amount amount = 0;
  if (digits > scale) {
    json_problem_set(problem, HF_E_INVALID_AMOUNT, "amount",
                     "\"%s\" has %u digits behind the point at the most", op->asset_code, scale);
    struct hf_decimal cut = op->command.amount;
    (void)hf_decimal_truncate(&cut, scale);
    char text[HF_AMOUNT_TEXT_MAX];
    if (hf_decimal_to_amount(cut, scale, &amount) == HF_OK && amount != 0) {
      hf_amount_format(amount, scale, text);
      json_problem_suggest(problem, "\"%s\"", text);
    } else {
      json_problem_suggest(problem, "an amount with up to %u digits behind the point", scale);
    }
  } else if (hf_decimal_to_amount(op->command.amount, scale, &amount) != HF_OK) {
    json_problem_set(problem, HF_E_INVALID_AMOUNT, "amount", "too large for \"%s\"",
                     op->asset_code);
    json_problem_suggest(problem, "an amount below 2^127 base units");
  }
}
