/* subject.c - see the header. */
#include "subject.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static unsigned scale_of(const void *arg, uint16_t asset)
{
  (void)arg;
  return asset == SUBJECT_ASSET ? SUBJECT_SCALE : asset < 200 ? 2 : HF_SCALE_MAX + 1;
}

void subject_init(struct subject *subject)
{
  memset(subject, 0, sizeof *subject);
  ledger_user_init(&subject->user, SUBJECT_USER);
  ledger_user_init(&subject->folded, SUBJECT_USER);
  ledger_result_init(&subject->result);
  subject->now_us = SUBJECT_NOW_US;
  subject->serial = 100;
}

void subject_deinit(struct subject *subject)
{
  ledger_user_deinit(&subject->user);
  ledger_user_deinit(&subject->folded);
  ledger_result_deinit(&subject->result);
}

struct ledger_command subject_command(const struct subject *subject, unsigned type,
                                      const char *amount)
{
  struct ledger_command command = {
    .type = (uint8_t)type,
    .bucket = LEDGER_CLAIMABLE,
    .final = true,
    .asset_known = true,
    .asset_given = true,
    .amount_given = amount != NULL,
    .scale = SUBJECT_SCALE,
    .asset = SUBJECT_ASSET,
    .if_version = -1,
    .now_us = subject->now_us,
    .scale_of = scale_of,
    .label = "app",
    .actor = "key:test",
    .correlation = "corr-1",
  };
  memset(command.key.bytes, 0x11, sizeof command.key.bytes);
  memset(command.request.bytes, 0x22, sizeof command.request.bytes);
  if (amount != NULL)
    assert_int_equal(hf_decimal_parse(amount, strlen(amount), true, &command.amount), HF_OK);
  return command;
}

/* Gives the entries ids as a commit does, and folds them. */
static void settle(struct subject *subject)
{
  struct ledger_result *result = &subject->result;
  hf_id op = hf_id_make(subject->serial + 1, SUBJECT_USER & 15u, SUBJECT_BITS);
  size_t at = 0;
  for (unsigned i = 0; i < result->entries_count; i++) {
    struct ledger_entry *entry = &result->entries[i];
    entry->id = hf_id_make(++subject->serial, SUBJECT_USER & 15u, SUBJECT_BITS);
    assert_true(ledger_entry_op(entry, SUBJECT_BITS) == op);
    (void)ledger_user_name(&subject->user, entry->version, op);

    struct ledger_other others[LEDGER_ASSETS_MAX];
    struct ledger_entry decoded = {.id = entry->id, .hash = entry->hash};
    assert_true(ledger_entry_decode(result->body.at + at, result->body_size[i], others, &decoded));
    assert_true(subject_same_entry(&decoded, entry));
    at += result->body_size[i];

    const char *wrong = ledger_fold(&subject->folded, &decoded, SUBJECT_BITS, true);
    if (wrong != NULL)
      fail_msg("fold: %s", wrong);
  }
  assert_int_equal(at, result->body.size);
  subject->op = op;
}

enum hf_error subject_apply(struct subject *subject, const struct ledger_command *command)
{
  struct ledger_user before;
  ledger_user_copy(&before, &subject->user);
  ledger_apply(&subject->user, command, &subject->result);
  enum hf_error error = subject->result.error;
  if (error != HF_OK) {
    assert_int_equal(subject->result.entries_count, 0);
    assert_true(subject_same_user(&before, &subject->user));
  } else {
    assert_int_not_equal(subject->result.entries_count, 0);
    settle(subject);
    assert_true(subject_same_user(&subject->user, &subject->folded));
    const char *wrong = ledger_user_check(&subject->user);
    if (wrong != NULL)
      fail_msg("check: %s", wrong);
    subject->now_us += 1000;
  }
  ledger_user_deinit(&before);
  return error;
}

enum hf_error subject_run(struct subject *subject, unsigned type, const char *amount)
{
  struct ledger_command command = subject_command(subject, type, amount);
  return subject_apply(subject, &command);
}

enum hf_error subject_resolve(struct subject *subject, unsigned type, hf_id ref, const char *amount)
{
  struct ledger_command command = subject_command(subject, type, amount);
  command.ref = ref;
  command.asset_given = false;
  return subject_apply(subject, &command);
}

enum hf_error subject_reverse(struct subject *subject, const struct ledger_entry *original,
                              const char *reversed, const char *amount)
{
  struct ledger_original found = {.found = true, .first = *original};
  found.reversed = subject_units(reversed, SUBJECT_SCALE);
  struct ledger_command command = subject_command(subject, LEDGER_T_REVERSE, amount);
  command.ref = original->id;
  command.asset_given = false;
  command.original = &found;
  return subject_apply(subject, &command);
}

hf_amount subject_units(const char *text, unsigned scale)
{
  struct hf_decimal decimal;
  hf_amount amount = 0;
  assert_int_equal(hf_decimal_parse(text, strlen(text), true, &decimal), HF_OK);
  assert_int_equal(hf_decimal_to_amount(decimal, scale, &amount), HF_OK);
  return amount;
}

hf_amount subject_bucket(const struct subject *subject, unsigned bucket)
{
  const struct ledger_asset *asset = ledger_user_asset(&subject->user, SUBJECT_ASSET);
  return asset != NULL ? asset->balance.bucket[bucket] : 0;
}

bool subject_same_user(const struct ledger_user *a, const struct ledger_user *b)
{
  if (a->id != b->id || a->version != b->version || a->recorded_us != b->recorded_us ||
      memcmp(&a->head, &b->head, sizeof a->head) != 0 || a->assets_count != b->assets_count ||
      a->holds_count != b->holds_count || a->blocks_count != b->blocks_count)
    return false;
  for (unsigned i = 0; i < a->assets_count; i++) {
    const struct ledger_asset *x = &a->assets[i], *y = &b->assets[i];
    if (x->version != y->version || x->asset != y->asset ||
        memcmp(&x->balance, &y->balance, sizeof x->balance) != 0)
      return false;
  }
  for (unsigned i = 0; i < a->holds_count; i++) {
    const struct ledger_hold *x = &a->holds[i], *y = &b->holds[i];
    if (x->id != y->id || x->version != y->version || x->expires_us != y->expires_us ||
        x->amount != y->amount || x->remaining != y->remaining || x->asset != y->asset)
      return false;
  }
  for (unsigned i = 0; i < a->blocks_count; i++) {
    const struct ledger_block *x = &a->blocks[i], *y = &b->blocks[i];
    if (x->id != y->id || x->version != y->version || x->amount != y->amount ||
        x->remaining != y->remaining || x->asset != y->asset || x->bucket != y->bucket)
      return false;
  }
  return true;
}

static bool same_others(const struct ledger_entry *a, const struct ledger_entry *b)
{
  for (unsigned i = 0; i < a->others_count; i++) {
    if (a->others[i].asset != b->others[i].asset || a->others[i].version != b->others[i].version)
      return false;
  }
  return true;
}

bool subject_same_entry(const struct ledger_entry *a, const struct ledger_entry *b)
{
  return a->id == b->id && a->user == b->user && a->version == b->version && a->type == b->type &&
         a->op_index == b->op_index && a->op_count == b->op_count && a->from == b->from &&
         a->to == b->to && a->asset == b->asset && a->amount == b->amount &&
         memcmp(&a->after, &b->after, sizeof a->after) == 0 && a->effective_us == b->effective_us &&
         a->recorded_us == b->recorded_us && hf_digest_equal(&a->key, &b->key) &&
         hf_digest_equal(&a->request, &b->request) && a->ref == b->ref &&
         a->ref_left == b->ref_left && a->counterparty == b->counterparty &&
         a->expires_us == b->expires_us && strcmp(a->label, b->label) == 0 &&
         strcmp(a->actor, b->actor) == 0 && strcmp(a->correlation, b->correlation) == 0 &&
         a->has_metadata == b->has_metadata &&
         hf_hash_equal(&a->metadata_hash, &b->metadata_hash) &&
         a->others_count == b->others_count && same_others(a, b) &&
         hf_hash_equal(&a->hash, &b->hash);
}
