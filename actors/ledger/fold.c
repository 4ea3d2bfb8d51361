/* fold.c - bringing a user forward by an entry: replay, loading, settling.
 *
 * Happy path: every check passes, fold_take() writes.
 * Ways to fail: an entry that does not follow from the user; nothing is written then.
 * Invariants: fold_take() writes exactly what the checks compared against. */
#include <string.h>

#include "actors/ledger/balance.h"
#include "actors/ledger/fold.h"
#include "actors/ledger/user.h"

static const char *check_order(const struct ledger_user *user, const struct ledger_entry *entry)
{
  if (entry->user != user->id)
    return "the entry is another user's";
  if (entry->version != user->version + 1)
    return "the version does not follow";
  if (entry->op_index >= entry->op_count || entry->op_count > LEDGER_OP_ENTRIES_MAX)
    return "the place in the op is out of range";
  if (entry->op_index == 0 ? entry->recorded_us <= user->recorded_us
                           : entry->recorded_us != user->recorded_us)
    return "the recorded time does not follow";
  if (entry->effective_us > entry->recorded_us)
    return "the effective time is after the recorded one";
  return NULL;
}

static const char *check_balance(const struct ledger_asset *in, const struct ledger_entry *entry)
{
  static const struct ledger_balance zeros;
  struct ledger_balance expected = in != NULL ? in->balance : zeros;
  if (!balance_move_allowed(entry->type, entry->from, entry->to))
    return "the type makes no such move";
  if (entry->amount <= 0)
    return "the amount is not positive";
  if (balance_move(&expected, entry->from, entry->to, entry->amount) != HF_OK)
    return "the balance does not cover the move";
  if (memcmp(&expected, &entry->after, sizeof expected) != 0)
    return "the balances after do not follow";
  return NULL;
}

static const char *check_others(const struct ledger_user *user, const struct ledger_asset *in,
                                const struct ledger_entry *entry)
{
  if (entry->others_count != user->assets_count - (in != NULL ? 1 : 0))
    return "the number of other assets does not follow";
  if (entry->others == NULL)
    return NULL;
  unsigned at = 0;
  for (unsigned i = 0; i < user->assets_count; i++) {
    if (&user->assets[i] == in)
      continue;
    if (entry->others[at].asset != user->assets[i].asset ||
        entry->others[at].version != user->assets[i].version)
      return "the other assets do not follow";
    at++;
  }
  return NULL;
}

static bool opens_block(const struct ledger_entry *entry)
{
  return entry->to == LEDGER_BLOCKED;
}

static const char *check_opening(const struct ledger_user *user, const struct ledger_asset *in,
                                 const struct ledger_entry *entry)
{
  if (in == NULL && user->assets_count >= LEDGER_ASSETS_MAX)
    return "too many assets";
  if (entry->type == LEDGER_T_HOLD && user->holds_count >= LEDGER_HOLDS_MAX)
    return "too many holds";
  if (opens_block(entry) && user->blocks_count >= LEDGER_BLOCKS_MAX)
    return "too many blocks";
  if (entry->type != LEDGER_T_HOLD && entry->expires_us != 0)
    return "what is no hold expires";
  if (entry->expires_us != 0 && entry->expires_us <= entry->recorded_us)
    return "the hold is born expired";
  return NULL;
}

static const char *check_resolving(const struct ledger_user *user, const struct ledger_entry *entry)
{
  if (entry->ref == 0 && entry->ref_left != 0)
    return "something is left of no reference";
  if (entry->from == LEDGER_HELD) {
    const struct ledger_hold *hold = ledger_user_hold(user, entry->ref);
    if (hold == NULL || hold->asset != entry->asset)
      return "no such hold is open";
    if (hold->remaining < entry->amount || hold->remaining - entry->amount != entry->ref_left)
      return "what is left of the hold does not follow";
    if (entry->type == LEDGER_T_EXPIRE &&
        (hold->expires_us == 0 || hold->expires_us > entry->recorded_us))
      return "the hold has not expired";
  }
  if (entry->from == LEDGER_BLOCKED) {
    const struct ledger_block *block = ledger_user_block(user, entry->ref);
    if (block == NULL || block->asset != entry->asset || block->bucket != entry->to)
      return "no such block is open";
    if (block->remaining < entry->amount || block->remaining - entry->amount != entry->ref_left)
      return "what is left of the block does not follow";
  }
  return NULL;
}

static const char *check_hash(const struct ledger_user *user, const struct ledger_entry *entry)
{
  uint8_t room[LEDGER_ENTRY_BYTES_MAX];
  struct hf_bytes body = {.at = room, .room = sizeof room}; /* never grows: the encoder's limit */
  CHECK(entry->others_count == 0 || entry->others != NULL);
  ledger_entry_encode(entry, &body);
  struct hf_hash hash = ledger_entry_hash(&user->head, body.at, body.size);
  return hf_hash_equal(&hash, &entry->hash) ? NULL : "the hash does not follow";
}

/* ---- taking ---------------------------------------------------------------------------------- */

static void open_one(struct ledger_user *user, const struct ledger_entry *entry, hf_id op)
{
  if (entry->type == LEDGER_T_HOLD) {
    const struct ledger_hold hold = {.id = op,
                                     .version = entry->version,
                                     .expires_us = entry->expires_us,
                                     .amount = entry->amount,
                                     .remaining = entry->amount,
                                     .asset = entry->asset};
    ledger_user_add_hold(user, &hold);
  }
  if (opens_block(entry)) {
    const struct ledger_block block = {
      .id = op,
      .version = entry->version,
      .amount = entry->amount,
      .remaining = entry->amount,
      .asset = entry->asset,
      /* A frozen credit is what the user would have been free to use. */
      .bucket = entry->type == LEDGER_T_CREDIT ? LEDGER_CLAIMABLE : entry->from};
    ledger_user_add_block(user, &block);
  }
}

static void resolve_one(struct ledger_user *user, const struct ledger_entry *entry)
{
  if (entry->from == LEDGER_HELD) {
    const struct ledger_hold *found = ledger_user_hold(user, entry->ref);
    CHECK(found != NULL);
    struct ledger_hold *hold = &user->holds[found - user->holds];
    hold->remaining -= entry->amount;
    CHECK(hold->remaining == entry->ref_left);
    if (hold->remaining == 0)
      ledger_user_remove_hold(user, hold);
  }
  if (entry->from == LEDGER_BLOCKED) {
    const struct ledger_block *found = ledger_user_block(user, entry->ref);
    CHECK(found != NULL);
    struct ledger_block *block = &user->blocks[found - user->blocks];
    block->remaining -= entry->amount;
    CHECK(block->remaining == entry->ref_left);
    if (block->remaining == 0)
      ledger_user_remove_block(user, block);
  }
}

void fold_take(struct ledger_user *user, const struct ledger_entry *entry, hf_id op)
{
  CHECK(entry->version == user->version + 1);
  struct ledger_asset *asset = ledger_user_place_asset(user, entry->asset);
  asset->balance = entry->after;
  asset->version = entry->version;
  user->version = entry->version;
  user->recorded_us = entry->recorded_us;
  user->head = entry->hash;
  if (entry->to == LEDGER_HELD || entry->to == LEDGER_BLOCKED)
    open_one(user, entry, op);
  if (entry->from == LEDGER_HELD || entry->from == LEDGER_BLOCKED)
    resolve_one(user, entry);
}

const char *ledger_fold(struct ledger_user *user, const struct ledger_entry *entry,
                        unsigned partition_bits, bool verify_hash)
{
  CHECK(user != NULL && entry != NULL);
  const struct ledger_asset *in = ledger_user_asset(user, entry->asset);
  const char *wrong = check_order(user, entry);
  if (wrong == NULL)
    wrong = check_balance(in, entry);
  if (wrong == NULL)
    wrong = check_others(user, in, entry);
  if (wrong == NULL)
    wrong = check_opening(user, in, entry);
  if (wrong == NULL)
    wrong = check_resolving(user, entry);
  if (wrong == NULL && verify_hash)
    wrong = check_hash(user, entry);
  if (wrong == NULL)
    fold_take(user, entry, ledger_entry_op(entry, partition_bits));
  return wrong;
}
