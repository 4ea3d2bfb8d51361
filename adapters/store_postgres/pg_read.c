/* pg_read.c - which talk a request is, and what all reads share. */
#include "adapters/store_postgres/pg_read.h"

#include <string.h>

#include "holdfast/error.h"

const struct pg_talk_ops *pg_read_talk_of(enum store_kind kind)
{
  static const struct pg_talk_ops *const talks[] = {
    [STORE_LOAD_USER] = &pg_load_user_talk,  [STORE_GET_USER] = &pg_row_talk,
    [STORE_GET_NAME] = &pg_row_talk,         [STORE_GET_OP] = &pg_op_talk,
    [STORE_GET_KEY_OP] = &pg_op_talk,        [STORE_GET_HOLD] = &pg_row_talk,
    [STORE_GET_BLOCK] = &pg_row_talk,        [STORE_LIST_HOLDS] = &pg_list_talk,
    [STORE_LIST_ENTRIES] = &pg_entries_talk, [STORE_BALANCE_AT] = &pg_balance_talk,
    [STORE_OPEN_PARTITION] = &pg_open_talk,  [STORE_DUE_HOLDS] = &pg_list_talk,
    [STORE_OPEN_TRANSFERS] = &pg_list_talk,  [STORE_RESERVED_NAMES] = &pg_list_talk,
    [STORE_CATALOG] = &pg_list_talk,         [STORE_SCAN] = &pg_scan_talk,
    [STORE_PROJECT] = &pg_project_talk,      [STORE_LEASE] = &pg_lease_talk,
  };
  CHECK((size_t)kind < sizeof talks / sizeof talks[0]);
  return talks[kind];
}

/* ---- the state of a read --------------------------------------------------------------------- */

void *pg_reading_work(struct pg_talk *talk, size_t size)
{
  CHECK(size >= sizeof(struct pg_reading));
  if (talk->work == NULL)
    talk->work = hf_arena_alloc(&talk->request->arena, size);
  return talk->work;
}

void pg_reading_failed(struct pg_talk *talk, const struct pg_failure *failure)
{
  struct pg_reading *reading = talk->work;
  (void)failure;
  CHECK(reading != NULL); /* a round was sent */
  reading->failed = true;
}

bool pg_reading_end(struct pg_talk *talk, enum store_status status)
{
  const struct pg_reading *reading = talk->work;
  if (reading->failed)
    status = STORE_UNAVAILABLE;
  else if (reading->corrupt)
    status = STORE_CORRUPT;
  talk->request->status = (uint8_t)status;
  return false;
}

bool pg_reading_sound(const struct pg_talk *talk)
{
  const struct pg_reading *reading = talk->work;
  return !reading->failed && !reading->corrupt;
}

/* ---- columns --------------------------------------------------------------------------------- */

hf_id pg_get_id(struct pg_rows *rows, int column)
{
  return pg_get_unsigned(rows, column, HF_ID_MAX);
}

struct store_text pg_copy_text(struct pg_rows *rows, int column, struct hf_arena *arena)
{
  struct store_text text = pg_get_text(rows, column);
  if (text.at != NULL)
    text.at = hf_arena_text(arena, text.at, text.size);
  return text;
}

void pg_get_chars(struct pg_rows *rows, int column, char *out, size_t room)
{
  struct store_text text = pg_get_text(rows, column);
  memset(out, 0, room);
  if (text.at == NULL || text.size >= room || memchr(text.at, 0, text.size) != NULL)
    rows->corrupt = true;
  else
    memcpy(out, text.at, text.size);
}

/* ---- rows ------------------------------------------------------------------------------------ */

void pg_row_user(struct pg_rows *rows, struct hf_arena *arena, struct store_user_row *ret_user)
{
  *ret_user = (struct store_user_row){
    .id = pg_get_id(rows, 0),
    .kind = (uint8_t)pg_get_unsigned(rows, 1, UINT8_MAX),
    .status = (uint8_t)pg_get_unsigned(rows, 2, UINT8_MAX),
    .created_us = pg_get_int(rows, 3),
    .external_id = pg_copy_text(rows, 4, arena),
    .profile = pg_copy_text(rows, 5, arena),
  };
}

void pg_row_name(struct pg_rows *rows, struct store_name_row *ret_name)
{
  memset(ret_name, 0, sizeof(*ret_name));
  ret_name->partition = (uint32_t)pg_get_unsigned(rows, 0, UINT16_MAX);
  ret_name->kind = (uint8_t)pg_get_unsigned(rows, 1, UINT8_MAX);
  pg_get_bytes(rows, 2, ret_name->digest.bytes, sizeof(ret_name->digest.bytes));
  ret_name->state = (uint8_t)pg_get_unsigned(rows, 3, UINT8_MAX);
  pg_get_bytes(rows, 4, ret_name->request.bytes, sizeof(ret_name->request.bytes));
  ret_name->user = pg_get_id(rows, 5);
  ret_name->created_us = pg_get_int(rows, 6);
}

void pg_row_hold(struct pg_rows *rows, struct store_hold_row *ret_hold)
{
  *ret_hold = (struct store_hold_row){
    .id = pg_get_id(rows, 0),
    .user = pg_get_id(rows, 1),
    .asset = (uint16_t)pg_get_unsigned(rows, 2, UINT16_MAX),
    .state = (uint8_t)pg_get_unsigned(rows, 3, STORE_HOLD_EXPIRED),
    .amount = pg_get_amount(rows, 4),
    .remaining = pg_get_amount(rows, 5),
    .created_us = pg_get_int(rows, 6),
    .expires_us = pg_get_int(rows, 7),
    .resolved_us = pg_get_int(rows, 8),
  };
}

void pg_row_block(struct pg_rows *rows, struct store_block_row *ret_block)
{
  *ret_block = (struct store_block_row){
    .id = pg_get_id(rows, 0),
    .user = pg_get_id(rows, 1),
    .asset = (uint16_t)pg_get_unsigned(rows, 2, UINT16_MAX),
    .bucket = (uint8_t)pg_get_unsigned(rows, 3, LEDGER_BUCKET_COUNT - 1u),
    .open = pg_get_bool(rows, 4),
    .amount = pg_get_amount(rows, 5),
    .remaining = pg_get_amount(rows, 6),
    .created_us = pg_get_int(rows, 7),
    .resolved_us = pg_get_int(rows, 8),
  };
}

void pg_row_transfer(struct pg_rows *rows, struct store_transfer_row *ret_transfer)
{
  *ret_transfer = (struct store_transfer_row){
    .id = pg_get_id(rows, 0),
    .payer = pg_get_id(rows, 1),
    .payee = pg_get_id(rows, 2),
    .asset = (uint16_t)pg_get_unsigned(rows, 3, UINT16_MAX),
    .state = (uint8_t)pg_get_unsigned(rows, 4, STORE_TRANSFER_BOUNCED),
    .amount = pg_get_amount(rows, 5),
    .credit = pg_get_id(rows, 6),
    .created_us = pg_get_int(rows, 7),
  };
}

void pg_row_outcome(struct pg_rows *rows, struct store_outcome *ret_outcome)
{
  char code[64];
  memset(ret_outcome, 0, sizeof(*ret_outcome));
  ret_outcome->user = pg_get_id(rows, 0);
  pg_get_bytes(rows, 1, ret_outcome->key.bytes, sizeof(ret_outcome->key.bytes));
  pg_get_bytes(rows, 2, ret_outcome->request.bytes, sizeof(ret_outcome->request.bytes));
  pg_get_chars(rows, 3, code, sizeof(code));
  ret_outcome->error = (uint16_t)hf_error_by_code(code);
  if (ret_outcome->error == HF_OK)
    rows->corrupt = true;
  ret_outcome->type = (uint8_t)pg_get_unsigned(rows, 4, UINT8_MAX);
  ret_outcome->version = pg_get_unsigned(rows, 5, INT64_MAX);
  ret_outcome->recorded_us = pg_get_int(rows, 6);
  ret_outcome->batch = pg_get_unsigned(rows, 7, INT64_MAX);
}

void pg_row_batch(struct pg_rows *rows, struct store_batch *ret_batch)
{
  memset(ret_batch, 0, sizeof(*ret_batch));
  ret_batch->partition = (uint32_t)pg_get_unsigned(rows, 0, UINT16_MAX);
  ret_batch->number = pg_get_unsigned(rows, 1, INT64_MAX - 1);
  if (ret_batch->number == 0) /* they are counted from 1 */
    rows->corrupt = true;
  ret_batch->epoch = pg_get_unsigned(rows, 2, INT64_MAX - 1);
  ret_batch->first_seq = pg_get_unsigned(rows, 3, HF_ID_MAX);
  ret_batch->entries_count = (uint32_t)pg_get_unsigned(rows, 4, UINT32_MAX);
  ret_batch->outcomes_count = (uint32_t)pg_get_unsigned(rows, 5, UINT32_MAX);
  ret_batch->rows_count = (uint32_t)pg_get_unsigned(rows, 6, UINT32_MAX);
  ret_batch->committed_us = pg_get_int(rows, 7);
  pg_get_bytes(rows, 8, ret_batch->previous.bytes, sizeof(ret_batch->previous.bytes));
  pg_get_bytes(rows, 9, ret_batch->hash.bytes, sizeof(ret_batch->hash.bytes));
}

void pg_row_entry(struct pg_rows *rows, int first, unsigned partition, unsigned partition_bits,
                  struct hf_arena *arena, struct ledger_entry *ret_entry,
                  struct store_text *ret_body)
{
  struct ledger_other others[LEDGER_ASSETS_MAX];
  struct store_text body = pg_get_text(rows, first + 4);
  uint64_t seq = pg_get_unsigned(rows, first, HF_ID_MAX >> partition_bits);
  memset(ret_entry, 0, sizeof(*ret_entry));
  if (ret_body != NULL)
    *ret_body = (struct store_text){NULL, 0};
  if (body.at == NULL || !ledger_entry_decode(body.at, body.size, others, ret_entry)) {
    memset(ret_entry, 0, sizeof(*ret_entry));
    rows->corrupt = true;
    return;
  }
  ret_entry->id = hf_id_make(seq, partition, partition_bits);
  pg_get_bytes(rows, first + 3, ret_entry->hash.bytes, sizeof(ret_entry->hash.bytes));
  /* The readable columns were written from the same entry. */
  if (ret_entry->user != pg_get_id(rows, first + 1) ||
      ret_entry->version != pg_get_unsigned(rows, first + 2, INT64_MAX) ||
      hf_id_partition(ret_entry->user, partition_bits) != partition ||
      ret_entry->op_index >= ret_entry->op_count || ret_entry->op_index >= seq)
    rows->corrupt = true;
  ret_entry->others = ret_entry->others_count == 0
                        ? NULL
                        : hf_arena_copy(arena, others, ret_entry->others_count * sizeof(others[0]));
  if (ret_body != NULL)
    *ret_body = (struct store_text){hf_arena_copy(arena, body.at, body.size), body.size};
}
