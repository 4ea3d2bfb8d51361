/* fuzz_op.c - libFuzzer target: bodies of operations and of batches.
 *
 * Input: flags, an asset's scale, then a body: an op, or an object whose "ops" are ops of a
 * batch. Properties: there is a problem, or the command is one that the ledger may be given; the
 * request's digest is that of the body's canonical text, and another one as soon as the amount
 * is another; metadata is JSON within its limit and hashed; an amount is refused exactly when it
 * does not fit. */
#include "adapters/http/api_parse.h"
#include "tests/fuzz/input.h"

#define NOW_US 1800000000000000

static struct api_parse context = {.now_us = NOW_US, .key_id = "fuzz", .request_id = "r-1"};

static struct hf_op *parse(const json_t *object, struct json_problem *problem, unsigned *ret_digits)
{
  struct hf_op *op = hf_op_new();
  *problem = (struct json_problem){0};
  api_parse_op(&context, object, op, problem, ret_digits);
  if (problem->error == HF_OK)
    return op;
  CHECK(problem->detail[0] != '\0' && hf_error_info(problem->error)->status < 500);
  hf_op_free(op);
  return NULL;
}

static bool is_label(const char *text)
{
  size_t size = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-");
  return size <= LEDGER_LABEL_MAX && text[size] == '\0';
}

static void check_references(const struct ledger_command *command)
{
  bool refers = command->type == LEDGER_T_CAPTURE || command->type == LEDGER_T_VOID ||
                command->type == LEDGER_T_UNBLOCK || command->type == LEDGER_T_REVERSE;
  CHECK(refers == (command->ref != 0));
  CHECK(command->ref <= HF_ID_MAX);
  CHECK((command->type == LEDGER_T_TRANSFER) == (command->counterparty != 0));
  CHECK(command->counterparty <= HF_ID_MAX);
  CHECK(refers || (command->amount_given && command->asset_given));
  CHECK(command->timeout_s == 0 || command->type == LEDGER_T_HOLD);
  CHECK(command->final || command->type == LEDGER_T_CAPTURE);
}

static void check_command(const struct hf_op *op)
{
  const struct ledger_command *command = &op->command;
  CHECK(command->type >= LEDGER_T_EARN && command->type <= LEDGER_T_REVERSE);
  CHECK(op->user >= 1 && op->user <= HF_ID_MAX);
  check_references(command);
  CHECK(command->amount_given == (command->amount.digits != 0));
  CHECK(command->amount.digits >= 0 || command->type == LEDGER_T_ADJUST);
  CHECK(command->bucket != LEDGER_BLOCKED && ledger_is_bucket(command->bucket));
  CHECK(command->bucket == LEDGER_CLAIMABLE || command->type == LEDGER_T_BLOCK);
  CHECK(command->timeout_s <= API_TIMEOUT_S_MAX);
  CHECK(command->if_version >= -1 && command->if_version <= (int64_t)HF_ID_MAX);
  CHECK(command->effective_us >= 0 && command->effective_us <= NOW_US + JSON_IN_AHEAD_US_MAX);
  CHECK(is_label(command->label) && strcmp(command->actor, "key:fuzz") == 0);
  CHECK(op->has_key == context.batch);
  CHECK(command->asset_given == (op->asset_code[0] != '\0'));
  CHECK(!command->asset_given || api_asset_code_valid(op->asset_code, strlen(op->asset_code)));
}

static void check_metadata(const struct hf_op *op)
{
  CHECK(op->command.has_metadata == (op->metadata.at != NULL));
  if (op->metadata.at == NULL)
    return;
  CHECK(op->metadata.size <= API_METADATA_MAX + 6u * HF_REASON_MAX + 64u);
  json_t *value = json_loadb(op->metadata.at, op->metadata.size, JSON_REJECT_DUPLICATES, NULL);
  CHECK(json_is_object(value) && json_object_size(value) > 0);
  json_decref(value);
  struct hf_hash hash =
    hf_sha256_pair(op->salt, sizeof op->salt, op->metadata.at, op->metadata.size);
  CHECK(hf_hash_equal(&hash, &op->command.metadata_hash));
}

/* The same in another spelling, and almost the same. */
static void check_digest(const struct hf_op *op, const json_t *object)
{
  struct json_out text = {0};
  struct json_problem problem = {0};
  unsigned digits;
  json_out_value(&text, object);
  json_t *other = json_in_parse(text.at, text.size, &problem);
  CHECK(other != NULL);
  struct hf_op *again = parse(other, &problem, &digits);
  CHECK(again != NULL && hf_digest_equal(&op->command.request, &again->command.request));
  CHECK(!op->has_key || hf_digest_equal(&op->command.key, &again->command.key));
  hf_op_free(again);

  json_object_set_new(other, "amount", json_string("123454321.5"));
  again = parse(other, &problem, &digits);
  if (again != NULL) {
    bool same = op->command.amount_given && op->command.amount.digits == 1234543215 &&
                op->command.amount.scale == 1;
    CHECK(hf_digest_equal(&op->command.request, &again->command.request) == same);
  }
  hf_op_free(again);
  json_decref(other);
  json_out_deinit(&text);
}

static void check_amount(const struct hf_op *op, unsigned scale, unsigned digits)
{
  struct json_problem problem = {0};
  hf_amount amount;
  api_parse_amount(op, scale, digits, &problem);
  CHECK(digits >= op->command.amount.scale);
  if (!op->command.amount_given)
    CHECK(problem.error == HF_OK);
  else if (problem.error == HF_OK)
    CHECK(hf_decimal_to_amount(op->command.amount, scale, &amount) == HF_OK && amount != 0);
  else
    CHECK(digits > scale || hf_decimal_to_amount(op->command.amount, scale, &amount) != HF_OK);
}

static void check_op(const json_t *object, unsigned scale)
{
  struct json_problem problem;
  unsigned digits;
  struct hf_op *op = parse(object, &problem, &digits);
  if (op == NULL)
    return;
  check_command(op);
  check_metadata(op);
  check_digest(op, object);
  check_amount(op, scale, digits);
  hf_op_free(op);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct input input = {data, size};
  struct json_problem problem = {0};
  context.batch = input_u8(&input) % 2u != 0;
  unsigned scale = input_u8(&input) % (HF_SCALE_MAX + 1u);
  json_t *root = json_in_parse((const char *)input.at, input.size, &problem);
  if (root != NULL && context.batch) {
    const json_t *ops = json_object_get(root, "ops");
    for (size_t i = 0; i < json_array_size(ops); i++)
      check_op(json_array_get(ops, i), scale);
  } else if (root != NULL) {
    check_op(root, scale);
  }
  json_decref(root);
  api_parse_deinit(&context); /* or what is kept would look like a leak */
  return 0;
}
