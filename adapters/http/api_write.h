/* api_write.h - the JSON of operations, entries, balances and holds, as API.md's shapes have it.
 *
 * Pure. A replayed operation goes through the same functions as a fresh one, with the entries that
 * the journal keeps, so that both replies have the same bytes. */
#ifndef HOLDFAST_API_WRITE_H
#define HOLDFAST_API_WRITE_H

#include "actors/user/op.h"
#include "adapters/http/json_out.h"

/* The assets that a reply names. */
typedef const struct store_asset_row *(*api_asset_lookup)(const void *arg, uint16_t id);
struct api_write {
  struct json_out *out;
  api_asset_lookup asset; /* never NULL for an asset that an entry has: assets are not deleted */
  const void *asset_arg;
  unsigned partition_bits;
};

/* {earned, pending, …, available, total, claimed_total, spent_total} */
void api_write_balance(struct json_out *out, const struct ledger_balance *balance, unsigned scale);
/* A journal entry. metadata: as stored beside it; at == NULL when none. reversed_by: 0: not. */
void api_write_entry(const struct api_write *to, const struct ledger_entry *entry,
                     struct store_text metadata, hf_id reversed_by);
/* The members of an applied op's reply, from op_id on, without the braces around them. */
void api_write_op(const struct api_write *to, const struct ledger_entry *entries, size_t count,
                  struct store_text metadata, hf_id reversed_by);
void api_write_hold(const struct api_write *to, const struct store_hold_row *hold, int64_t now_us);
void api_write_block(const struct api_write *to, const struct store_block_row *block);
void api_write_asset(struct json_out *out, const struct store_asset_row *asset);
void api_write_user(struct json_out *out, const struct store_user_row *user);
/* An array of scope names. */
void api_write_scopes(struct json_out *out, uint32_t scopes);

#endif
