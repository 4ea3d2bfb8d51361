#include "api_write.h"

#include <string.h>

#include "holdfast/check.h"

void api_write_balance(struct json_out *out, const struct ledger_balance *balance, unsigned scale)
{
  json_out_begin_object(out);
#define X(NAME, number, text)                                                                      \
  json_out_key(out, text);                                                                         \
  json_out_amount(out, balance->bucket[LEDGER_##NAME], scale);
  LEDGER_BUCKETS(X)
#undef X
  json_out_key(out, "available");
  json_out_amount(out, balance->bucket[LEDGER_CLAIMABLE], scale);
  json_out_key(out, "total");
  json_out_amount(out, ledger_total(balance), scale);
  json_out_key(out, "claimed_total");
  json_out_amount(out, balance->claimed_total, scale);
  json_out_key(out, "spent_total");
  json_out_amount(out, balance->spent_total, scale);
  json_out_end_object(out);
}

/* ---- metadata -------------------------------------------------------------------------------- */

/* The end of the JSON string that begins at text[start]; 0 when it does not end. */
static size_t string_end(struct store_text text, size_t start)
{
  for (size_t i = start + 1; i < text.size; i++) {
    if (text.at[i] == '\\')
      i++;
    else if (text.at[i] == '"')
      return i + 1;
  }
  return 0;
}

/* Takes {"reason":"..","metadata":{..}} apart, as api_parse.c writes it. What an importer wrote in
 * another way is shown whole, as metadata. */
static void split_metadata(struct store_text text, struct store_text *ret_reason,
                           struct store_text *ret_metadata)
{
  static const char reason_key[] = "{\"reason\":\"";
  static const char metadata_key[] = "\"metadata\":";
  const size_t key_size = sizeof metadata_key - 1;
  const struct store_text none = {NULL, 0};
  size_t at = 1;
  *ret_reason = none;
  *ret_metadata = text;
  if (text.at == NULL || text.size < 2 || text.at[0] != '{' || text.at[text.size - 1] != '}')
    return;
  if (text.size > sizeof reason_key && memcmp(text.at, reason_key, sizeof reason_key - 1) == 0) {
    const size_t start = sizeof reason_key - 2;
    at = string_end(text, start);
    if (at == 0)
      return;
    const struct store_text reason = {text.at + start, at - start};
    if (at == text.size - 1) { /* nothing but a reason */
      *ret_reason = reason;
      *ret_metadata = none;
      return;
    }
    if (text.at[at] != ',')
      return;
    at++;
    *ret_reason = reason;
  }
  if (text.size - at > key_size + 1 && memcmp(text.at + at, metadata_key, key_size) == 0)
    *ret_metadata = (struct store_text){text.at + at + key_size, text.size - at - key_size - 1};
  else
    *ret_reason = none;
}

static void write_metadata(struct json_out *out, struct store_text text)
{
  struct store_text reason, metadata;
  split_metadata(text, &reason, &metadata);
  json_out_key(out, "metadata");
  if (metadata.at != NULL)
    json_out_raw(out, metadata.at, metadata.size);
  else
    json_out_null(out);
  if (reason.at != NULL) {
    json_out_key(out, "reason");
    json_out_raw(out, reason.at, reason.size);
  }
}

/* ---- entries --------------------------------------------------------------------------------- */

/* hold_id, block_id, transfer_id and reverses: which of them an entry has follows from its type. */
static void write_references(struct json_out *out, const struct ledger_entry *entry, hf_id op)
{
  switch ((enum ledger_type)entry->type) {
  case LEDGER_T_HOLD:
    json_out_key(out, "hold_id");
    json_out_id(out, op);
    break;
  case LEDGER_T_CAPTURE:
  case LEDGER_T_VOID:
  case LEDGER_T_EXPIRE:
    json_out_key(out, "hold_id");
    json_out_id(out, entry->ref);
    break;
  case LEDGER_T_BLOCK:
    json_out_key(out, "block_id");
    json_out_id(out, op);
    break;
  case LEDGER_T_UNBLOCK:
    json_out_key(out, "block_id");
    json_out_id(out, entry->ref);
    break;
  case LEDGER_T_TRANSFER:
    json_out_key(out, "transfer_id");
    json_out_id(out, op);
    break;
  case LEDGER_T_CREDIT:
  case LEDGER_T_BOUNCE:
    json_out_key(out, "transfer_id");
    json_out_id(out, entry->ref);
    break;
  case LEDGER_T_REVERSE:
    json_out_key(out, "reverses");
    json_out_id(out, entry->ref);
    break;
  default:
    break;
  }
}

static void write_account(struct json_out *out, unsigned account)
{
  const char *text = ledger_account_text(account);
  CHECK(text != NULL);
  json_out_string(out, text);
}

static void write_label(struct json_out *out, const struct ledger_entry *entry)
{
  if (entry->label[0] == '\0')
    return;
  json_out_key(out, "label");
  json_out_string(out, entry->label);
}

/* ret_balance: where balances_after stands in out, for a caller that needs it again. */
static void write_entry(const struct api_write *to, const struct ledger_entry *entry,
                        const struct store_asset_row *asset, struct store_text metadata,
                        hf_id reversed_by, size_t *ret_balance, size_t *ret_balance_size)
{
  struct json_out *out = to->out;
  const hf_id op = ledger_entry_op(entry, to->partition_bits);
  json_out_begin_object(out);
  json_out_key(out, "id");
  json_out_id(out, entry->id);
  json_out_key(out, "partition");
  json_out_unsigned(out, hf_id_partition(entry->id, to->partition_bits));
  json_out_key(out, "seq");
  json_out_unsigned(out, hf_id_serial(entry->id, to->partition_bits));
  json_out_key(out, "user_id");
  json_out_id(out, entry->user);
  json_out_key(out, "version");
  json_out_unsigned(out, entry->version);
  json_out_key(out, "op_id");
  json_out_id(out, op);
  json_out_key(out, "type");
  json_out_string(out, ledger_type_text(entry->type));
  json_out_key(out, "asset");
  json_out_string(out, asset->code);
  json_out_key(out, "from");
  write_account(out, entry->from);
  json_out_key(out, "to");
  write_account(out, entry->to);
  json_out_key(out, "amount");
  json_out_amount(out, entry->amount, asset->scale);
  json_out_key(out, "balances_after");
  *ret_balance = out->size;
  api_write_balance(out, &entry->after, asset->scale);
  *ret_balance_size = out->size - *ret_balance;
  json_out_key(out, "effective_at");
  json_out_time(out, entry->effective_us);
  json_out_key(out, "recorded_at");
  json_out_time(out, entry->recorded_us);
  write_metadata(out, metadata);
  write_references(out, entry, op);
  if (reversed_by != 0) {
    json_out_key(out, "reversed_by");
    json_out_id(out, reversed_by);
  }
  if (entry->counterparty != 0) {
    json_out_key(out, "counterparty_user_id");
    json_out_id(out, entry->counterparty);
  }
  if (entry->expires_us != 0) {
    json_out_key(out, "expires_at");
    json_out_time(out, entry->expires_us);
  }
  write_label(out, entry);
  json_out_key(out, "actor");
  json_out_string(out, entry->actor);
  json_out_key(out, "correlation_id");
  json_out_string(out, entry->correlation);
  json_out_key(out, "hash");
  json_out_hex(out, entry->hash.bytes, sizeof entry->hash.bytes);
  json_out_end_object(out);
}

static const struct store_asset_row *asset_of(const struct api_write *to, uint16_t id)
{
  const struct store_asset_row *asset = to->asset(to->asset_arg, id);
  CHECK(asset != NULL);
  return asset;
}

void api_write_entry(const struct api_write *to, const struct ledger_entry *entry,
                     struct store_text metadata, hf_id reversed_by)
{
  size_t start, size;
  write_entry(to, entry, asset_of(to, entry->asset), metadata, reversed_by, &start, &size);
}

void api_write_op(const struct api_write *to, const struct ledger_entry *entries, size_t count,
                  struct store_text metadata, hf_id reversed_by)
{
  CHECK(count > 0);
  struct json_out *out = to->out;
  const struct ledger_entry *last = &entries[count - 1];
  const struct store_asset_row *asset = asset_of(to, last->asset);
  const hf_id op = ledger_entry_op(&entries[0], to->partition_bits);
  size_t balance = 0, balance_size = 0;
  json_out_key(out, "op_id");
  json_out_id(out, op);
  json_out_key(out, "type");
  json_out_string(out, ledger_type_text(last->type));
  json_out_key(out, "status");
  json_out_string(out, "applied");
  json_out_key(out, "entries");
  json_out_begin_array(out);
  for (size_t i = 0; i < count; i++) {
    CHECK(entries[i].asset == last->asset);
    write_entry(to, &entries[i], asset, metadata, i == 0 ? reversed_by : 0, &balance,
                &balance_size);
  }
  json_out_end_array(out);
  json_out_key(out, "balances");
  json_out_begin_object(out);
  json_out_key_text(out, asset->code, strlen(asset->code));
  json_out_again(out, balance, balance_size);
  json_out_end_object(out);
  json_out_key(out, "version");
  json_out_unsigned(out, last->version);
  write_references(out, &entries[0], op);
}

/* ---- holds, blocks, assets, users ------------------------------------------------------------ */

static void write_time_or_null(struct json_out *out, int64_t unix_us)
{
  if (unix_us == 0)
    json_out_null(out);
  else
    json_out_time(out, unix_us);
}

void api_write_hold(const struct api_write *to, const struct store_hold_row *hold, int64_t now_us)
{
  static const char *const states[] = {
    [STORE_HOLD_OPEN] = "open",
    [STORE_HOLD_CAPTURED] = "captured",
    [STORE_HOLD_VOIDED] = "voided",
    [STORE_HOLD_EXPIRED] = "expired",
  };
  struct json_out *out = to->out;
  const struct store_asset_row *asset = asset_of(to, hold->asset);
  CHECK(hold->state < sizeof states / sizeof states[0]);
  /* The clock decides, not the sweep that comes some time after it. */
  const bool overdue =
    hold->state == STORE_HOLD_OPEN && hold->expires_us != 0 && hold->expires_us <= now_us;
  json_out_begin_object(out);
  json_out_key(out, "id");
  json_out_id(out, hold->id);
  json_out_key(out, "user_id");
  json_out_id(out, hold->user);
  json_out_key(out, "asset");
  json_out_string(out, asset->code);
  json_out_key(out, "state");
  json_out_string(out, overdue ? "expired" : states[hold->state]);
  json_out_key(out, "amount");
  json_out_amount(out, hold->amount, asset->scale);
  json_out_key(out, "remaining");
  json_out_amount(out, overdue ? 0 : hold->remaining, asset->scale);
  json_out_key(out, "created_at");
  json_out_time(out, hold->created_us);
  json_out_key(out, "expires_at");
  write_time_or_null(out, hold->expires_us);
  json_out_key(out, "resolved_at");
  write_time_or_null(out, overdue ? hold->expires_us : hold->resolved_us);
  json_out_end_object(out);
}

void api_write_block(const struct api_write *to, const struct store_block_row *block)
{
  struct json_out *out = to->out;
  const struct store_asset_row *asset = asset_of(to, block->asset);
  json_out_begin_object(out);
  json_out_key(out, "id");
  json_out_id(out, block->id);
  json_out_key(out, "user_id");
  json_out_id(out, block->user);
  json_out_key(out, "asset");
  json_out_string(out, asset->code);
  json_out_key(out, "bucket");
  write_account(out, block->bucket);
  json_out_key(out, "state");
  json_out_string(out, block->open ? "open" : "resolved");
  json_out_key(out, "amount");
  json_out_amount(out, block->amount, asset->scale);
  json_out_key(out, "remaining");
  json_out_amount(out, block->remaining, asset->scale);
  json_out_key(out, "created_at");
  json_out_time(out, block->created_us);
  json_out_key(out, "resolved_at");
  write_time_or_null(out, block->resolved_us);
  json_out_end_object(out);
}

static void write_text_or_null(struct json_out *out, const char *text)
{
  if (text[0] == '\0')
    json_out_null(out);
  else
    json_out_string(out, text);
}

void api_write_asset(struct json_out *out, const struct store_asset_row *asset)
{
  json_out_begin_object(out);
  json_out_key(out, "code");
  json_out_string(out, asset->code);
  json_out_key(out, "scale");
  json_out_unsigned(out, asset->scale);
  json_out_key(out, "name");
  write_text_or_null(out, asset->name);
  json_out_key(out, "chain");
  write_text_or_null(out, asset->chain);
  json_out_key(out, "contract");
  write_text_or_null(out, asset->contract);
  json_out_key(out, "chain_decimals");
  if (asset->chain_decimals == 255)
    json_out_null(out);
  else
    json_out_unsigned(out, asset->chain_decimals);
  json_out_key(out, "created_at");
  json_out_time(out, asset->created_us);
  json_out_end_object(out);
}

void api_write_user(struct json_out *out, const struct store_user_row *user)
{
  json_out_begin_object(out);
  json_out_key(out, "id");
  json_out_id(out, user->id);
  json_out_key(out, "external_id");
  if (user->external_id.at == NULL)
    json_out_null(out);
  else
    json_out_text(out, user->external_id.at, user->external_id.size);
  json_out_key(out, "kind");
  json_out_string(out, user->kind == HF_USER_GUEST ? "guest" : "registered");
  json_out_key(out, "status");
  json_out_string(out, user->status == LEDGER_OPEN ? "open" : "closed");
  json_out_key(out, "profile");
  if (user->profile.at == NULL || user->profile.size == 0)
    json_out_null(out);
  else
    json_out_raw(out, user->profile.at, user->profile.size);
  json_out_key(out, "created_at");
  json_out_time(out, user->created_us);
  json_out_end_object(out);
}

void api_write_scopes(struct json_out *out, uint32_t scopes)
{
  json_out_begin_array(out);
#define X(NAME, bit, text)                                                                         \
  if ((scopes & (bit)) != 0)                                                                       \
    json_out_string(out, text);
  HF_SCOPES(X)
#undef X
  json_out_end_array(out);
}
