/* apply.c - judging a command in the fixed order, and turning a plan into entries.
 *
 * Happy path: judge() makes a plan, write_entries() completes its entries and chains their hashes,
 *             fold_take() brings each into the user.
 * Ways to fail: every refusal comes out of judge(), before the user is touched.
 * Invariants: the user after apply is the user after folding the same entries, as both end in
 *             fold_take(). */
#include <string.h>

#include "actors/ledger/fold.h"
#include "actors/ledger/plan.h"

#define SECOND_US 1000000

static const struct plan_rule rules[LEDGER_TYPE_COUNT] = {
  [LEDGER_T_EARN] = {.make = plan_direct, .from = LEDGER_ISSUANCE, .to = LEDGER_EARNED},
  [LEDGER_T_SETTLE] = {.make = plan_direct, .from = LEDGER_EARNED, .to = LEDGER_PENDING},
  [LEDGER_T_MATURE] = {.make = plan_direct, .from = LEDGER_PENDING, .to = LEDGER_CLAIMABLE},
  [LEDGER_T_GRANT] = {.make = plan_direct, .from = LEDGER_REWARDS, .to = LEDGER_CLAIMABLE},
  [LEDGER_T_DEPOSIT] = {.make = plan_deposit},
  [LEDGER_T_SPEND] = {.make = plan_direct, .from = LEDGER_CLAIMABLE, .to = LEDGER_SPEND},
  [LEDGER_T_HOLD] = {.make = plan_hold},
  [LEDGER_T_CAPTURE] = {.make = plan_capture, .ref = PLAN_REF_HOLD, .amount_optional = true},
  [LEDGER_T_VOID] = {.make = plan_void,
                     .ref = PLAN_REF_HOLD,
                     .amount_optional = true,
                     .when_closed = true},
  [LEDGER_T_BLOCK] = {.make = plan_block},
  [LEDGER_T_UNBLOCK] = {.make = plan_unblock, .ref = PLAN_REF_BLOCK, .amount_optional = true},
  [LEDGER_T_TRANSFER] = {.make = plan_transfer},
  [LEDGER_T_ADJUST] = {.make = plan_adjust},
  [LEDGER_T_QUARANTINE_IN] = {.make = plan_direct,
                              .from = LEDGER_ISSUANCE,
                              .to = LEDGER_QUARANTINE},
  [LEDGER_T_RELEASE] = {.make = plan_direct, .from = LEDGER_QUARANTINE, .to = LEDGER_PENDING},
  [LEDGER_T_REVERSE] = {.make = plan_reverse, .ref = PLAN_REF_ORIGINAL, .amount_optional = true},
  [LEDGER_T_EXPIRE] = {.make = plan_expire,
                       .ref = PLAN_REF_HOLD,
                       .amount_optional = true,
                       .when_closed = true,
                       .by_server = true},
  [LEDGER_T_CREDIT] = {.make = plan_credit, .when_closed = true, .by_server = true},
  [LEDGER_T_BOUNCE] = {.make = plan_direct,
                       .from = LEDGER_TRANSIT,
                       .to = LEDGER_CLAIMABLE,
                       .when_closed = true,
                       .by_server = true},
};

void ledger_result_init(struct ledger_result *result)
{
  CHECK(result != NULL);
  result->error = HF_OK;
  result->entries_count = 0;
  result->body = (struct hf_bytes){0};
}

void ledger_result_deinit(struct ledger_result *result)
{
  CHECK(result != NULL);
  hf_bytes_deinit(&result->body);
  result->entries_count = 0;
}

/* ---- judging --------------------------------------------------------------------------------- */

static bool ends(const char *text, size_t room)
{
  return memchr(text, '\0', room) != NULL;
}

/* What the front door has seen to. */
static void check_command(const struct ledger_command *command)
{
  CHECK(command->type < LEDGER_TYPE_COUNT);
  const struct plan_rule *rule = &rules[command->type];
  CHECK(rule->make != NULL);
  CHECK(rule->ref == PLAN_REF_NONE || command->ref != 0);
  CHECK(rule->ref != PLAN_REF_NONE || rule->by_server || command->asset_given);
  CHECK(rule->amount_optional || command->amount_given);
  CHECK(command->type != LEDGER_T_TRANSFER || command->counterparty != 0);
  CHECK(command->now_us > 0);
  CHECK(ends(command->label, sizeof command->label));
  CHECK(ends(command->actor, sizeof command->actor));
  CHECK(ends(command->correlation, sizeof command->correlation));
}

static enum hf_error judge_amount(struct plan *plan)
{
  const struct ledger_command *command = plan->command;
  if (!command->amount_given) {
    plan->amount = plan->left;
    return HF_OK;
  }
  unsigned scale = command->scale;
  if (plan->rule->ref != PLAN_REF_NONE) {
    CHECK(command->scale_of != NULL);
    scale = command->scale_of(command->scale_arg, plan->asset);
  }
  if (scale > HF_SCALE_MAX)
    return HF_E_ASSET_NOT_FOUND;
  /* An amount that no balance can hold is malformed, not refused by a balance. */
  if (hf_decimal_to_amount(command->amount, scale, &plan->amount) != HF_OK)
    return HF_E_INVALID_AMOUNT;
  if (plan->amount == 0 || plan->amount == HF_AMOUNT_MIN)
    return HF_E_INVALID_AMOUNT;
  return plan->amount > 0 || command->type == LEDGER_T_ADJUST ? HF_OK : HF_E_INVALID_AMOUNT;
}

static enum hf_error judge_limits(const struct plan *plan)
{
  if (plan->in == NULL && plan->user->assets_count >= LEDGER_ASSETS_MAX)
    return HF_E_LIMIT_EXCEEDED;
  if (plan->opens_hold && plan->user->holds_count >= LEDGER_HOLDS_MAX)
    return HF_E_LIMIT_EXCEEDED;
  if (plan->opens_block && plan->user->blocks_count >= LEDGER_BLOCKS_MAX)
    return HF_E_LIMIT_EXCEEDED;
  if (plan->command->type == LEDGER_T_REVERSE && plan->amount < plan->left &&
      plan->command->original->reversals + 1u >= LEDGER_REVERSALS_MAX)
    return HF_E_LIMIT_EXCEEDED;
  return HF_OK;
}

/* The order is the contract: which refusal a caller sees must not depend on anything else. */
static enum hf_error judge(struct plan *plan)
{
  const struct ledger_command *command = plan->command;
  if (plan->user->status != LEDGER_OPEN && !plan->rule->when_closed)
    return HF_E_USER_CLOSED;
  if (command->if_version >= 0 && (uint64_t)command->if_version != plan->user->version)
    return HF_E_VERSION_MISMATCH;
  if (command->asset_given && !command->asset_known)
    return HF_E_ASSET_NOT_FOUND;
  plan->asset = command->asset;
  enum hf_error error = HF_OK;
  if (plan->rule->ref != PLAN_REF_NONE)
    error = plan_find(plan);
  if (error == HF_OK)
    error = judge_amount(plan);
  if (error != HF_OK)
    return error;
  plan->in = ledger_user_asset(plan->user, plan->asset);
  error = plan->rule->make(plan);
  return error == HF_OK ? judge_limits(plan) : error;
}

/* ---- entries --------------------------------------------------------------------------------- */

static uint16_t write_others(const struct plan *plan, struct ledger_other *others)
{
  const struct ledger_user *user = plan->user;
  uint16_t count = 0;
  for (unsigned i = 0; i < user->assets_count; i++) {
    if (user->assets[i].asset == plan->asset)
      continue;
    others[count].asset = user->assets[i].asset;
    others[count].version = user->assets[i].version;
    count++;
  }
  return count;
}

/* What all entries of the op share. */
static void write_common(const struct plan *plan, struct ledger_entry *entry)
{
  const struct ledger_command *command = plan->command;
  bool names_party = command->type == LEDGER_T_TRANSFER || command->type == LEDGER_T_CREDIT ||
                     command->type == LEDGER_T_BOUNCE;
  bool names_ref = plan->rule->ref != PLAN_REF_NONE || plan->rule->by_server;
  entry->id = 0;
  entry->user = plan->user->id;
  entry->type = command->type;
  entry->op_count = plan->moves_count;
  entry->asset = plan->asset;
  entry->key = command->key;
  entry->request = command->request;
  entry->ref = names_ref ? command->ref : 0;
  entry->counterparty = names_party ? command->counterparty : 0;
  memcpy(entry->label, command->label, sizeof entry->label);
  memcpy(entry->actor, command->actor, sizeof entry->actor);
  memcpy(entry->correlation, command->correlation, sizeof entry->correlation);
  entry->has_metadata = command->has_metadata;
  if (command->has_metadata)
    entry->metadata_hash = command->metadata_hash;
  else
    memset(&entry->metadata_hash, 0, sizeof entry->metadata_hash);
}

static void write_times(const struct plan *plan, struct ledger_entry *entry)
{
  const struct ledger_command *command = plan->command;
  entry->recorded_us = plan->now_us;
  bool backdated = command->effective_us != 0 && command->effective_us < entry->recorded_us;
  entry->effective_us = backdated ? command->effective_us : entry->recorded_us;
  entry->expires_us = plan->opens_hold && command->timeout_s > 0
                        ? entry->recorded_us + (int64_t)command->timeout_s * SECOND_US
                        : 0;
}

/* Completes the plan's moves to entries, from the user as it still is before the first of them. */
static void write_entries(const struct plan *plan)
{
  struct ledger_result *result = plan->result;
  struct hf_hash previous = plan->user->head;
  uint16_t others_count = write_others(plan, result->others);
  for (unsigned i = 0; i < plan->moves_count; i++) {
    struct ledger_entry *entry = &result->entries[i];
    write_common(plan, entry);
    write_times(plan, entry);
    entry->version = plan->user->version + i + 1;
    entry->op_index = (uint8_t)i;
    entry->others_count = others_count;
    entry->others = result->others;

    size_t before = result->body.size;
    ledger_entry_encode(entry, &result->body);
    size_t size = result->body.size - before;
    CHECK(size <= LEDGER_ENTRY_BYTES_MAX);
    result->body_size[i] = (uint16_t)size;
    entry->hash = ledger_entry_hash(&previous, result->body.at + before, size);
    previous = entry->hash;
  }
}

void ledger_apply(struct ledger_user *user, const struct ledger_command *command,
                  struct ledger_result *ret_result)
{
  CHECK(user != NULL && user->id != 0);
  CHECK(ret_result != NULL);
  check_command(command);
  struct plan plan = {.rule = &rules[command->type],
                      .user = user,
                      .command = command,
                      .now_us = ledger_user_time(user, command->now_us),
                      .result = ret_result};
  hf_bytes_clear(&ret_result->body);
  ret_result->entries_count = 0;
  ret_result->error = judge(&plan);
  if (ret_result->error != HF_OK)
    return;
  CHECK(plan.moves_count > 0);
  write_entries(&plan);
  for (unsigned i = 0; i < plan.moves_count; i++)
    fold_take(user, &ret_result->entries[i], 0);
  ret_result->entries_count = plan.moves_count;
}
