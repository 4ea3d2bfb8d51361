/* store_text.c - see store_text.h. */
#include "tests/support/store_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "holdfast/check.h"

__attribute__((format(printf, 2, 3))) static void put(struct hf_bytes *text, const char *format,
                                                      ...)
{
  char line[512];
  va_list arguments;
  int size;

  va_start(arguments, format);
  size = vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  CHECK(size >= 0 && (size_t)size < sizeof line);
  hf_bytes_put(text, line, (size_t)size);
}

static void put_number(struct hf_bytes *text, const char *name, uint64_t value)
{
  put(text, " %s=%llu", name, (unsigned long long)value);
}

static void put_time(struct hf_bytes *text, const char *name, int64_t value)
{
  put(text, " %s=%lld", name, (long long)value);
}

static void put_amount(struct hf_bytes *text, const char *name, hf_amount amount)
{
  char digits[HF_AMOUNT_TEXT_MAX];

  (void)hf_amount_format(amount, 0, digits);
  put(text, " %s=%s", name, digits);
}

static void put_hex(struct hf_bytes *text, const char *name, const void *data, size_t size)
{
  char hex[2 * HF_HASH_SIZE + 1];

  CHECK(size <= HF_HASH_SIZE);
  hf_hex(data, size, hex);
  put(text, " %s=%s", name, hex);
}

static void put_text(struct hf_bytes *text, const char *name, struct store_text value)
{
  put(text, " %s=", name);
  if (value.at == NULL) {
    put(text, "NULL");
    return;
  }
  put(text, "%zu:", value.size);
  hf_bytes_put(text, value.at, value.size);
}

static void put_end(struct hf_bytes *text)
{
  put(text, "\n");
}

/* ---- rows ------------------------------------------------------------------------------------ */

static void put_user(struct hf_bytes *text, const struct store_user_row *row)
{
  put(text, "user");
  put_number(text, "id", row->id);
  put_number(text, "kind", row->kind);
  put_number(text, "status", row->status);
  put_time(text, "created", row->created_us);
  put_text(text, "external_id", row->external_id);
  put_text(text, "profile", row->profile);
  put_end(text);
}

static void put_name(struct hf_bytes *text, const struct store_name_row *row)
{
  put(text, "name");
  put_number(text, "partition", row->partition);
  put_number(text, "kind", row->kind);
  put_number(text, "state", row->state);
  put_hex(text, "digest", row->digest.bytes, sizeof row->digest.bytes);
  put_hex(text, "request", row->request.bytes, sizeof row->request.bytes);
  put_number(text, "user", row->user);
  put_time(text, "created", row->created_us);
  put_end(text);
}

static void put_hold(struct hf_bytes *text, const struct store_hold_row *row)
{
  put(text, "hold");
  put_number(text, "id", row->id);
  put_number(text, "user", row->user);
  put_number(text, "asset", row->asset);
  put_number(text, "state", row->state);
  put_amount(text, "amount", row->amount);
  put_amount(text, "remaining", row->remaining);
  put_time(text, "created", row->created_us);
  put_time(text, "expires", row->expires_us);
  put_time(text, "resolved", row->resolved_us);
  put_end(text);
}

static void put_block(struct hf_bytes *text, const struct store_block_row *row)
{
  put(text, "block");
  put_number(text, "id", row->id);
  put_number(text, "user", row->user);
  put_number(text, "asset", row->asset);
  put_number(text, "bucket", row->bucket);
  put_number(text, "open", row->open);
  put_amount(text, "amount", row->amount);
  put_amount(text, "remaining", row->remaining);
  put_time(text, "created", row->created_us);
  put_time(text, "resolved", row->resolved_us);
  put_end(text);
}

static void put_transfer(struct hf_bytes *text, const struct store_transfer_row *row)
{
  put(text, "transfer");
  put_number(text, "id", row->id);
  put_number(text, "payer", row->payer);
  put_number(text, "payee", row->payee);
  put_number(text, "asset", row->asset);
  put_number(text, "state", row->state);
  put_amount(text, "amount", row->amount);
  put_number(text, "credit", row->credit);
  put_time(text, "created", row->created_us);
  put_end(text);
}

static void put_balance(struct hf_bytes *text, const struct ledger_balance *balance)
{
  for (unsigned i = 0; i < LEDGER_BUCKET_COUNT; i++)
    put_amount(text, ledger_account_text(i), balance->bucket[i]);
  put_amount(text, "claimed_total", balance->claimed_total);
  put_amount(text, "spent_total", balance->spent_total);
}

/* The canonical bytes hold all of an entry but its id and its hash. */
static void put_entry(struct hf_bytes *text, const struct ledger_entry *entry)
{
  struct hf_bytes body = {0};

  ledger_entry_encode(entry, &body);
  put(text, "entry");
  put_number(text, "id", entry->id);
  put_number(text, "user", entry->user);
  put_number(text, "version", entry->version);
  put_number(text, "type", entry->type);
  put_amount(text, "amount", entry->amount);
  put_balance(text, &entry->after);
  put_hex(text, "hash", entry->hash.bytes, sizeof entry->hash.bytes);
  put(text, " body=");
  for (size_t i = 0; i < body.size; i += HF_HASH_SIZE) {
    char hex[2 * HF_HASH_SIZE + 1];

    hf_hex(body.at + i, body.size - i < HF_HASH_SIZE ? body.size - i : HF_HASH_SIZE, hex);
    hf_bytes_put(text, hex, strlen(hex));
  }
  put_end(text);
  hf_bytes_deinit(&body);
}

static void put_op(struct hf_bytes *text, const struct store_op *op)
{
  if (op == NULL) {
    put(text, "no op\n");
    return;
  }
  if (op->refused) {
    put(text, "refused");
    put_number(text, "user", op->outcome.user);
    put_hex(text, "key", op->outcome.key.bytes, sizeof op->outcome.key.bytes);
    put_hex(text, "request", op->outcome.request.bytes, sizeof op->outcome.request.bytes);
    put_number(text, "error", op->outcome.error);
    put_number(text, "type", op->outcome.type);
    put_number(text, "version", op->outcome.version);
    put_time(text, "recorded", op->outcome.recorded_us);
    /* Where an opening writes a batch, the others have higher numbers. */
    put_number(text, "batch", op->outcome.batch > 0);
    put_end(text);
    return;
  }
  put(text, "op");
  put_text(text, "metadata", op->metadata);
  put_end(text);
  for (size_t i = 0; i < op->entries_count; i++)
    put_entry(text, &op->entries[i]);
  for (size_t i = 0; i < op->reversals_count; i++) {
    put(text, "reversal");
    put_number(text, "original", op->reversals[i].original);
    put_number(text, "op", op->reversals[i].op);
    put_amount(text, "amount", op->reversals[i].amount);
    put_end(text);
  }
  if (op->has_transfer)
    put_transfer(text, &op->transfer);
}

/* ---- answers --------------------------------------------------------------------------------- */

static void put_commit(struct hf_bytes *text, const struct store_request *request)
{
  for (size_t i = 0; i < request->commit.units_count; i++) {
    const struct store_unit *unit = request->commit.units[i];

    put(text, "unit status=%u\n", unit->status);
    if (unit->status == STORE_HIT)
      put_op(text, unit->hit);
  }
}

static void put_loaded(struct hf_bytes *text, const struct store_loaded_user *loaded)
{
  put_user(text, &loaded->row);
  put(text, "has_keys=%d\n", loaded->has_keys);
  for (size_t i = 0; i < loaded->entries_count; i++)
    put_entry(text, &loaded->entries[i]);
  for (size_t i = 0; i < loaded->holds_count; i++) {
    put_hold(text, &loaded->holds[i]);
    put(text, "version=%llu\n", (unsigned long long)loaded->hold_versions[i]);
  }
  for (size_t i = 0; i < loaded->blocks_count; i++) {
    put_block(text, &loaded->blocks[i]);
    put(text, "version=%llu\n", (unsigned long long)loaded->block_versions[i]);
  }
}

static void put_list(struct hf_bytes *text, const struct store_list_entries *list)
{
  put(text, "found=%d more=%d", list->user_found, list->more);
  put_number(text, "next_before", list->next_before);
  put_end(text);
  for (size_t i = 0; i < list->entries_count; i++) {
    put_entry(text, &list->entries[i]);
    put_text(text, "metadata", list->metadata[i]);
    put_amount(text, "reversed", list->reversed[i]);
    put_number(text, "reversed_by", list->reversed_by[i]);
    put_end(text);
  }
}

static void put_scan(struct hf_bytes *text, const struct store_scan *scan)
{
  for (size_t i = 0; i < scan->entries_count; i++) {
    put_entry(text, &scan->entries[i]);
    put_text(text, "metadata", scan->metadata[i]);
    put_text(text, "salt",
             (struct store_text){(const char *)scan->salts[i].bytes, sizeof scan->salts[i].bytes});
    put_text(text, "body", scan->bodies[i]);
    if (scan->reversed_by != NULL)
      put_number(text, "reversed_by", scan->reversed_by[i]);
    put_end(text);
  }
}

static int compare_names(const void *a, const void *b)
{
  const struct store_name_row *const *first = a, *const *second = b;
  int order = (*first)->kind - (*second)->kind;

  return order != 0 ? order : memcmp((*first)->digest.bytes, (*second)->digest.bytes, HF_HASH_SIZE);
}

static void put_reserved(struct hf_bytes *text, const struct store_request *request)
{
  size_t count = request->reserved.count;
  const struct store_name_row **rows = rt_alloc((count + 1) * sizeof *rows);

  for (size_t i = 0; i < count; i++)
    rows[i] = &request->reserved.out[i];
  qsort(rows, count, sizeof *rows, compare_names);
  for (size_t i = 0; i < count; i++)
    put_name(text, rows[i]);
  rt_free(rows);
}

static void put_catalog(struct hf_bytes *text, const struct store_request *request)
{
  for (size_t i = 0; i < request->catalog.assets_count; i++) {
    const struct store_asset_row *row = &request->catalog.assets[i];

    put(text, "asset id=%u scale=%u chain_decimals=%u code=%s name=%s chain=%s contract=%s",
        row->id, row->scale, row->chain_decimals, row->code, row->name, row->chain, row->contract);
    put_time(text, "created", row->created_us);
    put_end(text);
  }
  for (size_t i = 0; i < request->catalog.keys_count; i++) {
    const struct store_key_row *row = &request->catalog.keys[i];

    put(text, "key id=%s scopes=%u name=%s", row->id, row->scopes, row->name);
    put_hex(text, "secret", row->secret.bytes, sizeof row->secret.bytes);
    put_time(text, "created", row->created_us);
    put_time(text, "revoked", row->revoked_us);
    put_end(text);
  }
}

static void put_balance_at(struct hf_bytes *text, const struct store_request *request)
{
  put(text, "found=%d overflow=%d", request->balance_at.user_found, request->balance_at.overflow);
  put_number(text, "version", request->balance_at.version);
  put_end(text);
  for (size_t i = 0; i < request->balance_at.count; i++) {
    const struct ledger_asset *asset = &request->balance_at.out[i];

    put(text, "asset=%u", asset->asset);
    put_number(text, "version", asset->version);
    put_balance(text, &asset->balance);
    put_end(text);
  }
}

static void put_partition(struct hf_bytes *text, const struct store_partition *partition)
{
  put(text, "partition=%u", partition->partition);
  put_number(text, "epoch", partition->epoch);
  put_number(text, "next_batch", partition->next_batch);
  put_number(text, "next_seq", partition->next_seq);
  put_number(text, "next_user_serial", partition->next_user_serial);
  put_hex(text, "head", partition->head.bytes, sizeof partition->head.bytes);
  put_end(text);
}

static void put_found(const struct store_request *request, struct hf_bytes *text)
{
  switch (request->kind) {
  case STORE_LOAD_USER:
    put_loaded(text, &request->load_user.out);
    break;
  case STORE_GET_USER:
    put_user(text, &request->get_user.out);
    break;
  case STORE_GET_NAME:
    put_name(text, &request->get_name.out);
    break;
  case STORE_GET_OP:
    put_op(text, request->get_op.out);
    break;
  case STORE_GET_KEY_OP:
    put_op(text, request->get_key_op.out);
    break;
  case STORE_GET_HOLD:
    put_hold(text, &request->get_hold.out);
    break;
  case STORE_GET_BLOCK:
    put_block(text, &request->get_block.out);
    break;
  case STORE_LIST_HOLDS:
    put(text, "found=%d more=%d\n", request->list_holds.user_found, request->list_holds.more);
    for (size_t i = 0; i < request->list_holds.count; i++)
      put_hold(text, &request->list_holds.out[i]);
    break;
  case STORE_LIST_ENTRIES:
    put_list(text, &request->list_entries);
    break;
  case STORE_BALANCE_AT:
    put_balance_at(text, request);
    break;
  case STORE_OPEN_PARTITION:
    put_partition(text, &request->open_partition);
    break;
  case STORE_DUE_HOLDS:
    for (size_t i = 0; i < request->due_holds.count; i++)
      put_hold(text, &request->due_holds.out[i]);
    break;
  case STORE_OPEN_TRANSFERS:
    for (size_t i = 0; i < request->open_transfers.count; i++)
      put_transfer(text, &request->open_transfers.out[i]);
    break;
  case STORE_RESERVED_NAMES:
    put_reserved(text, request);
    break;
  case STORE_CATALOG:
    put_catalog(text, request);
    break;
  case STORE_SCAN:
    put_scan(text, &request->scan);
    break;
  case STORE_PROJECT:
  case STORE_COMMIT:
  case STORE_LEASE:
    break;
  }
}

void store_text_answer(const struct store_request *request, struct hf_bytes *text)
{
  put(text, "kind=%d status=%u\n", (int)request->kind, request->status);
  if (request->kind == STORE_COMMIT)
    put_commit(text, request);
  else if (request->status == STORE_OK)
    put_found(request, text);
  *hf_bytes_reserve(text, 1) = '\0';
}
