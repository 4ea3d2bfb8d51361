/* frame_row.c - rows of the catalogue, and what the journal knows of an op. */
#include "actors/peer/frame_field.h"

#define REVERSALS_MAX 65536u

/* Of what is known of an op. */
enum { KNOWN = 1, KNOWN_REFUSED = 2, KNOWN_METADATA = 4, KNOWN_TRANSFER = 8, KNOWN_ALL = 15 };

void put_asset(struct hf_bytes *bytes, const struct store_asset_row *asset)
{
  hf_bytes_put_varint(bytes, asset->id);
  hf_bytes_put_u8(bytes, asset->scale);
  hf_bytes_put_u8(bytes, asset->chain_decimals);
  put_text(bytes, asset->code, sizeof asset->code);
  put_text(bytes, asset->name, sizeof asset->name);
  put_text(bytes, asset->chain, sizeof asset->chain);
  put_text(bytes, asset->contract, sizeof asset->contract);
  put_signed(bytes, asset->created_us);
}

void get_asset(struct hf_reader *reader, struct store_asset_row *asset)
{
  asset->id = (uint16_t)get_up_to(reader, HF_ASSETS_MAX);
  asset->scale = hf_read_u8(reader);
  if (asset->scale > HF_SCALE_MAX)
    reader->failed = true;
  asset->chain_decimals = hf_read_u8(reader);
  get_text(reader, asset->code, sizeof asset->code);
  get_text(reader, asset->name, sizeof asset->name);
  get_text(reader, asset->chain, sizeof asset->chain);
  get_text(reader, asset->contract, sizeof asset->contract);
  asset->created_us = get_signed(reader);
}

void put_key(struct hf_bytes *bytes, const struct store_key_row *key)
{
  put_text(bytes, key->id, sizeof key->id);
  hf_bytes_put(bytes, key->secret.bytes, sizeof key->secret.bytes);
  hf_bytes_put_varint(bytes, key->scopes);
  put_signed(bytes, key->created_us);
  put_signed(bytes, key->revoked_us);
  put_text(bytes, key->name, sizeof key->name);
}

void get_key(struct hf_reader *reader, struct store_key_row *key)
{
  get_text(reader, key->id, sizeof key->id);
  hf_read(reader, key->secret.bytes, sizeof key->secret.bytes);
  key->scopes = (uint32_t)get_up_to(reader, UINT32_MAX);
  key->created_us = get_signed(reader);
  key->revoked_us = get_signed(reader);
  get_text(reader, key->name, sizeof key->name);
}

/* ---- what the journal knows of an op --------------------------------------------------------- */

static void put_outcome(struct hf_bytes *bytes, const struct store_outcome *outcome)
{
  hf_bytes_put_varint(bytes, outcome->user);
  hf_bytes_put(bytes, outcome->key.bytes, sizeof outcome->key.bytes);
  hf_bytes_put(bytes, outcome->request.bytes, sizeof outcome->request.bytes);
  put_error(bytes, (enum hf_error)outcome->error);
  hf_bytes_put_u8(bytes, outcome->type);
  hf_bytes_put_varint(bytes, outcome->version);
  put_signed(bytes, outcome->recorded_us);
  hf_bytes_put_varint(bytes, outcome->batch);
}

static void get_outcome(struct hf_reader *reader, struct store_outcome *outcome)
{
  outcome->user = get_id(reader);
  hf_read(reader, outcome->key.bytes, sizeof outcome->key.bytes);
  hf_read(reader, outcome->request.bytes, sizeof outcome->request.bytes);
  outcome->error = (uint16_t)get_error(reader);
  outcome->type = hf_read_u8(reader);
  outcome->version = hf_read_varint(reader);
  outcome->recorded_us = get_signed(reader);
  outcome->batch = hf_read_varint(reader);
}

/* Without the list of the user's other assets, which nobody who asked needs. */
static void put_entry(struct hf_bytes *bytes, const struct ledger_entry *entry)
{
  struct ledger_entry copy = *entry;
  uint8_t sizes[2];
  copy.others_count = 0;
  copy.others = NULL;
  hf_bytes_put_varint(bytes, entry->id);
  hf_bytes_put(bytes, entry->hash.bytes, sizeof entry->hash.bytes);
  size_t before = bytes->size;
  hf_bytes_put(bytes, sizes, sizeof sizes); /* room for the size of what follows */
  ledger_entry_encode(&copy, bytes);
  size_t size = bytes->size - before - sizeof sizes;
  bytes->at[before] = (uint8_t)(size & 255u);
  bytes->at[before + 1u] = (uint8_t)(size >> 8);
}

static void get_entry(struct hf_reader *reader, unsigned partition_bits, struct ledger_entry *entry)
{
  struct ledger_other others[LEDGER_ASSETS_MAX];
  struct hf_hash hash = {0};
  hf_id id = get_id(reader);
  hf_read(reader, hash.bytes, sizeof hash.bytes);
  size_t size = hf_read_u8(reader);
  size |= (size_t)hf_read_u8(reader) << 8;
  if (reader->failed || size > (size_t)(reader->end - reader->at) ||
      !ledger_entry_decode(reader->at, size, others, entry) || entry->others_count != 0) {
    reader->failed = true;
    return;
  }
  reader->at += size;
  entry->others = NULL;
  entry->id = id;
  entry->hash = hash;
  if (id <= (hf_id)entry->op_index << partition_bits || entry->user > HF_ID_MAX)
    reader->failed = true; /* an entry comes after the first one of its op */
}

static void put_transfer(struct hf_bytes *bytes, const struct store_transfer_row *transfer)
{
  hf_bytes_put_varint(bytes, transfer->id);
  hf_bytes_put_varint(bytes, transfer->payer);
  hf_bytes_put_varint(bytes, transfer->payee);
  hf_bytes_put_varint(bytes, transfer->asset);
  hf_bytes_put_u8(bytes, transfer->state);
  hf_bytes_put_amount(bytes, transfer->amount);
  hf_bytes_put_varint(bytes, transfer->credit);
  put_signed(bytes, transfer->created_us);
}

static void get_transfer(struct hf_reader *reader, struct store_transfer_row *transfer)
{
  transfer->id = get_id(reader);
  transfer->payer = get_id(reader);
  transfer->payee = get_id(reader);
  transfer->asset = (uint16_t)get_up_to(reader, UINT16_MAX);
  transfer->state = (uint8_t)get_up_to(reader, STORE_TRANSFER_BOUNCED);
  transfer->amount = hf_read_amount(reader);
  transfer->credit = get_id(reader);
  transfer->created_us = get_signed(reader);
}

void put_known(struct hf_bytes *bytes, const struct hf_op *op)
{
  static const struct store_op nothing;
  const struct store_op *known = op->replay;
  size_t count = 0;
  const struct ledger_entry *entries = known == NULL ? hf_op_entries(op, &count) : known->entries;
  if (known != NULL)
    count = known->refused ? 0 : known->entries_count;
  if (known == NULL && count == 0) {
    hf_bytes_put_u8(bytes, 0);
    return;
  }
  if (known == NULL) /* fresh: what the asker does not have are the entries */
    known = &nothing;
  CHECK(count <= LEDGER_OP_ENTRIES_MAX);
  size_t reversals = known->reversals_count; /* more are of no use to who asks */
  if (reversals > REVERSALS_MAX)
    reversals = REVERSALS_MAX;
  hf_bytes_put_u8(bytes, (uint8_t)(KNOWN | (known->refused ? KNOWN_REFUSED : 0) |
                                   (known->metadata.at != NULL ? KNOWN_METADATA : 0) |
                                   (known->has_transfer ? KNOWN_TRANSFER : 0)));
  if (known->refused)
    put_outcome(bytes, &known->outcome);
  hf_bytes_put_varint(bytes, count);
  for (size_t i = 0; i < count; i++)
    put_entry(bytes, &entries[i]);
  if (known->metadata.at != NULL)
    put_json(bytes, known->metadata);
  hf_bytes_put_varint(bytes, reversals);
  for (size_t i = 0; i < reversals; i++) {
    hf_bytes_put_varint(bytes, known->reversals[i].original);
    hf_bytes_put_varint(bytes, known->reversals[i].op);
    hf_bytes_put_amount(bytes, known->reversals[i].amount);
  }
  if (known->has_transfer)
    put_transfer(bytes, &known->transfer);
}

static void get_entries(struct hf_reader *reader, unsigned partition_bits, struct store_op *known)
{
  size_t count = (size_t)get_up_to(reader, LEDGER_OP_ENTRIES_MAX);
  if (reader->failed || count == 0)
    return;
  known->entries = hf_arena_alloc(&known->arena, count * sizeof *known->entries);
  known->entries_count = count;
  for (size_t i = 0; i < count && !reader->failed; i++) {
    struct ledger_entry *entry = &known->entries[i];
    get_entry(reader, partition_bits, entry);
    if (entry->asset != known->entries[0].asset || entry->user != known->entries[0].user)
      reader->failed = true; /* an op is of one user and one asset */
  }
}

/* Memory is taken as the bytes for it are there, so that a lie about the count costs nothing. */
static void get_reversals(struct hf_reader *reader, struct store_op *known)
{
  size_t count = (size_t)get_up_to(reader, REVERSALS_MAX), room = 0;
  void *all = NULL;
  for (size_t i = 0; i < count && !reader->failed; i++) {
    struct store_reversal_row *row =
      hf_arena_push(&known->arena, &all, &known->reversals_count, &room, sizeof *row);
    row->original = get_id(reader);
    row->op = get_id(reader);
    row->amount = hf_read_amount(reader);
  }
  known->reversals = all;
}

struct store_op *get_known(struct hf_reader *reader, unsigned partition_bits)
{
  unsigned marks = hf_read_u8(reader);
  if (marks > KNOWN_ALL || (marks != 0 && (marks & KNOWN) == 0))
    reader->failed = true;
  if (reader->failed || marks == 0)
    return NULL;
  struct store_op *known = store_op_new();
  known->refused = (marks & KNOWN_REFUSED) != 0;
  if (known->refused)
    get_outcome(reader, &known->outcome);
  get_entries(reader, partition_bits, known);
  if ((marks & KNOWN_METADATA) != 0) {
    struct store_text json = get_json(reader);
    known->metadata.at = hf_arena_text(&known->arena, json.size > 0 ? json.at : "", json.size);
    known->metadata.size = json.size;
  }
  get_reversals(reader, known);
  known->has_transfer = (marks & KNOWN_TRANSFER) != 0;
  if (known->has_transfer)
    get_transfer(reader, &known->transfer);
  if (known->refused && known->entries_count > 0)
    reader->failed = true;
  if (!reader->failed)
    return known;
  store_op_free(known);
  return NULL;
}
