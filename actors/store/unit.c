/* unit.c - rows that follow from entries, numbering, and the hash of a batch. */
#include "actors/store/unit.h"

#include <string.h>

#include "holdfast/bytes.h"
#include "holdfast/check.h"
#include "holdfast/error.h"

#define BATCH_FORMAT 1u

/* ---- rows ------------------------------------------------------------------------------------ */

static void row_of_new_hold(const struct ledger_entry *entry, struct store_row *row)
{
  *row = (struct store_row){.table = STORE_T_HOLD, .action = STORE_INSERT};
  row->hold.user = entry->user;
  row->hold.asset = entry->asset;
  row->hold.state = STORE_HOLD_OPEN;
  row->hold.amount = entry->amount;
  row->hold.remaining = entry->amount;
  row->hold.created_us = entry->recorded_us;
  row->hold.expires_us = entry->expires_us;
}

static void row_of_new_block(const struct ledger_entry *entry, struct store_row *row)
{
  *row = (struct store_row){.table = STORE_T_BLOCK, .action = STORE_INSERT};
  row->block.user = entry->user;
  row->block.asset = entry->asset;
  /* What was credited to a closed user goes where the credit would have gone. */
  row->block.bucket = ledger_is_bucket(entry->from) ? entry->from : (uint8_t)LEDGER_CLAIMABLE;
  row->block.open = true;
  row->block.amount = entry->amount;
  row->block.remaining = entry->amount;
  row->block.created_us = entry->recorded_us;
}

static void row_of_transfer(const struct ledger_entry *entry, struct store_row *row)
{
  *row = (struct store_row){.table = STORE_T_TRANSFER, .action = STORE_INSERT};
  row->transfer.payer = entry->user;
  row->transfer.payee = entry->counterparty;
  row->transfer.asset = entry->asset;
  row->transfer.state = STORE_TRANSFER_TRANSIT;
  row->transfer.amount = entry->amount;
  row->transfer.created_us = entry->recorded_us;
}

/* `left`: what the hold has after the whole op. */
static void row_of_resolved_hold(const struct ledger_entry *entry, hf_amount left,
                                 struct store_row *row)
{
  *row = (struct store_row){.table = STORE_T_HOLD, .action = STORE_UPDATE};
  row->hold.id = entry->ref;
  row->hold.user = entry->user;
  row->hold.asset = entry->asset;
  row->hold.remaining = left;
  row->hold.state = STORE_HOLD_OPEN;
  if (left > 0)
    return;
  row->hold.resolved_us = entry->recorded_us;
  if (entry->type == LEDGER_T_CAPTURE)
    row->hold.state = STORE_HOLD_CAPTURED;
  else if (entry->type == LEDGER_T_VOID)
    row->hold.state = STORE_HOLD_VOIDED;
  else
    row->hold.state = STORE_HOLD_EXPIRED;
}

static void row_of_unblock(const struct ledger_entry *entry, hf_amount left, struct store_row *row)
{
  *row = (struct store_row){.table = STORE_T_BLOCK, .action = STORE_UPDATE};
  row->block.id = entry->ref;
  row->block.user = entry->user;
  row->block.asset = entry->asset;
  row->block.remaining = left;
  row->block.open = left > 0;
  row->block.resolved_us = left > 0 ? 0 : entry->recorded_us;
}

/* What is left of the original says how much the op reversed: a later entry may only pass on what
 * the first one brought (debt that is netted), and then leaves it as it is. */
static void row_of_reversal(const struct ledger_entry *first, const struct ledger_entry *last,
                            struct store_row *row)
{
  *row = (struct store_row){.table = STORE_T_REVERSAL, .action = STORE_INSERT};
  row->reversal.original = first->ref;
  row->reversal.amount = first->amount + (first->ref_left - last->ref_left);
}

/* The row of an entry that makes something; 0 or 1. */
static unsigned rows_made(const struct ledger_entry *entry, struct store_row *row)
{
  if (entry->type == LEDGER_T_HOLD && entry->to == LEDGER_HELD)
    row_of_new_hold(entry, row);
  else if ((entry->type == LEDGER_T_BLOCK || entry->type == LEDGER_T_CREDIT) &&
           entry->to == LEDGER_BLOCKED)
    row_of_new_block(entry, row);
  else if (entry->type == LEDGER_T_TRANSFER && entry->to == LEDGER_TRANSIT)
    row_of_transfer(entry, row);
  else
    return 0;
  return 1;
}

unsigned store_rows_of_op(const struct ledger_entry *entries, size_t entries_count,
                          struct store_row *rows)
{
  const struct ledger_entry *last = NULL; /* that refers to what the op resolves */
  unsigned count = 0;

  CHECK(entries_count <= LEDGER_OP_ENTRIES_MAX);
  for (size_t i = 0; i < entries_count; i++) {
    CHECK(entries[i].op_index == i && entries[i].op_count == entries_count);
    CHECK(count < STORE_OP_ROWS_MAX);
    count += rows_made(&entries[i], &rows[count]);
    if (entries[i].ref != 0)
      last = &entries[i];
  }
  if (last == NULL)
    return count;
  CHECK(count < STORE_OP_ROWS_MAX);
  switch (last->type) {
  case LEDGER_T_CAPTURE:
  case LEDGER_T_VOID:
  case LEDGER_T_EXPIRE:
    row_of_resolved_hold(last, last->ref_left, &rows[count++]);
    break;
  case LEDGER_T_UNBLOCK:
    row_of_unblock(last, last->ref_left, &rows[count++]);
    break;
  case LEDGER_T_REVERSE:
    row_of_reversal(&entries[0], last, &rows[count++]);
    break;
  default:
    break; /* credit and bounce: the transfer's row is the transit actor's */
  }
  return count;
}

/* ---- numbering ------------------------------------------------------------------------------- */

/* A unit may be numbered again when its first batch did not commit: rows then still carry the id
 * that the op had there. */
static void give(hf_id *id, hf_id former, hf_id op)
{
  if (*id == 0 || *id == former)
    *id = op;
}

static void row_number(struct store_row *row, hf_id former, hf_id op)
{
  bool insert = row->action == STORE_INSERT;

  switch (row->table) {
  case STORE_T_HOLD:
    if (insert)
      give(&row->hold.id, former, op);
    break;
  case STORE_T_BLOCK:
    if (insert)
      give(&row->block.id, former, op);
    break;
  case STORE_T_TRANSFER:
    if (insert)
      give(&row->transfer.id, former, op);
    else if (row->transfer.state != STORE_TRANSFER_TRANSIT)
      give(&row->transfer.credit, former, op);
    break;
  case STORE_T_REVERSAL:
    give(&row->reversal.op, former, op);
    break;
  case STORE_T_META:
    give(&row->meta.op, former, op);
    break;
  default:
    break;
  }
}

void store_unit_number(struct store_unit *unit, uint64_t first_seq, unsigned partition_bits)
{
  hf_id former, op;

  if (unit->entries_count == 0)
    return;
  CHECK(first_seq > 0);
  CHECK(unit->partition < 1u << partition_bits);
  former = unit->entries[0].id;
  for (unsigned i = 0; i < unit->entries_count; i++) {
    CHECK(hf_id_partition(unit->entries[i].user, partition_bits) == unit->partition);
    unit->entries[i].id = hf_id_make(first_seq + i, unit->partition, partition_bits);
    CHECK(unit->entries[i].id <= HF_ID_MAX);
  }
  op = unit->entries[0].id;
  for (unsigned i = 0; i < unit->rows_count; i++)
    row_number(&unit->rows[i], former, op);
}

/* ---- hash of a batch ------------------------------------------------------------------------- */

void store_batch_begin(struct store_batch_hasher *hasher)
{
  hf_hasher_init(&hasher->entries);
  hf_hasher_init(&hasher->outcomes);
}

void store_batch_entry(struct store_batch_hasher *hasher, const struct hf_hash *entry_hash)
{
  hf_hasher_add(&hasher->entries, entry_hash->bytes, sizeof entry_hash->bytes);
}

void store_batch_outcome(struct store_batch_hasher *hasher, const struct store_outcome *outcome)
{
  const char *code = hf_error_info((enum hf_error)outcome->error)->code;
  struct hf_bytes bytes = {0};

  hf_bytes_put_varint(&bytes, outcome->user);
  hf_bytes_put(&bytes, outcome->key.bytes, sizeof outcome->key.bytes);
  hf_bytes_put(&bytes, outcome->request.bytes, sizeof outcome->request.bytes);
  hf_bytes_put_blob(&bytes, code, strlen(code));
  hf_bytes_put_u8(&bytes, outcome->type);
  hf_bytes_put_varint(&bytes, outcome->version);
  hf_bytes_put_amount(&bytes, outcome->recorded_us);
  hf_hasher_add(&hasher->outcomes, bytes.at, bytes.size);
  hf_bytes_deinit(&bytes);
}

void store_batch_end(struct store_batch_hasher *hasher, struct store_batch *batch)
{
  struct hf_hash entries = hf_hasher_end(&hasher->entries);
  struct hf_hash outcomes = hf_hasher_end(&hasher->outcomes);
  struct hf_bytes bytes = {0};

  hf_bytes_put_u8(&bytes, BATCH_FORMAT);
  hf_bytes_put(&bytes, batch->previous.bytes, sizeof batch->previous.bytes);
  hf_bytes_put_varint(&bytes, batch->partition);
  hf_bytes_put_varint(&bytes, batch->number);
  hf_bytes_put_varint(&bytes, batch->epoch);
  hf_bytes_put_varint(&bytes, batch->first_seq);
  hf_bytes_put_varint(&bytes, batch->entries_count);
  hf_bytes_put_varint(&bytes, batch->outcomes_count);
  hf_bytes_put_amount(&bytes, batch->committed_us);
  hf_bytes_put(&bytes, entries.bytes, sizeof entries.bytes);
  hf_bytes_put(&bytes, outcomes.bytes, sizeof outcomes.bytes);
  batch->hash = hf_sha256(bytes.at, bytes.size);
  hf_bytes_deinit(&bytes);
}
