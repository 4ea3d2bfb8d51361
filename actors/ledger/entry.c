/* entry.c - the canonical bytes of an entry. The format is fixed for ever: journals are hashed
 * over it. Another format gets another format byte and a table of its own beside this one.
 *
 * One table drives both directions; each kind of field has a put_ and a get_ function. get_ accepts
 * exactly what put_ writes. */
#include <string.h>

#include "actors/ledger/balance.h"

#define ENTRY_FORMAT 1u

/* X(kind, field), in the order of the bytes behind the format byte. recorded_us comes before
 * effective_us, which is written as the difference: 0, one byte, unless it was backdated. */
#define ENTRY_FIELDS(X)                                                                            \
  X(id, user)                                                                                      \
  X(version, version)                                                                              \
  X(type, type)                                                                                    \
  X(place, op_index)                                                                               \
  X(place, op_count)                                                                               \
  X(account, from)                                                                                 \
  X(account, to)                                                                                   \
  X(asset, asset)                                                                                  \
  X(amount, amount)                                                                                \
  X(balance, after)                                                                                \
  X(time, recorded_us)                                                                             \
  X(effective, effective_us)                                                                       \
  X(digest, key)                                                                                   \
  X(digest, request)                                                                               \
  X(id, ref)                                                                                       \
  X(amount, ref_left)                                                                              \
  X(id, counterparty)                                                                              \
  X(time, expires_us)                                                                              \
  X(text, label)                                                                                   \
  X(text, actor)                                                                                   \
  X(text, correlation)                                                                             \
  X(metadata, has_metadata)                                                                        \
  X(others, others_count)

/* Format byte, 3 ids and a version, 5 numbers of a byte, the asset, 12 amounts, 3 times (the
 * difference is as wide as an amount), 2 digests, 3 texts with their lengths, the metadata hash. */
#define FIXED_BYTES_MAX                                                                            \
  (1u + 4u * 10u + 5u + 3u + 12u * 19u + 3u * 19u + 2u * HF_DIGEST_SIZE + 3u + LEDGER_LABEL_MAX +  \
   LEDGER_ACTOR_MAX + LEDGER_CORRELATION_MAX + 1u + HF_HASH_SIZE + 1u)
#define OTHER_BYTES_MAX (3u + 10u)
_Static_assert(FIXED_BYTES_MAX + LEDGER_ASSETS_MAX * OTHER_BYTES_MAX <= LEDGER_ENTRY_BYTES_MAX,
               "every entry fits");
_Static_assert(LEDGER_LABEL_MAX < 128 && LEDGER_ACTOR_MAX < 128 && LEDGER_CORRELATION_MAX < 128 &&
                 LEDGER_ASSETS_MAX < 128,
               "lengths are one byte");

/* ---- writing --------------------------------------------------------------------------------- */

#define put_id(bytes, entry, field) hf_bytes_put_varint(bytes, (entry)->field)
#define put_version(bytes, entry, field) hf_bytes_put_varint(bytes, (entry)->field)
#define put_type(bytes, entry, field) hf_bytes_put_u8(bytes, (entry)->field)
#define put_place(bytes, entry, field) hf_bytes_put_u8(bytes, (entry)->field)
#define put_account(bytes, entry, field) hf_bytes_put_u8(bytes, (entry)->field)
#define put_asset(bytes, entry, field) hf_bytes_put_varint(bytes, (entry)->field)
#define put_amount(bytes, entry, field) hf_bytes_put_amount(bytes, (entry)->field)
#define put_time(bytes, entry, field) hf_bytes_put_amount(bytes, (entry)->field)
#define put_digest(bytes, entry, field) hf_bytes_put(bytes, (entry)->field.bytes, HF_DIGEST_SIZE)
#define put_balance(bytes, entry, field) write_balance(bytes, &(entry)->field)
#define put_effective(bytes, entry, field)                                                         \
  hf_bytes_put_amount(bytes, (hf_amount)(entry)->field - (entry)->recorded_us)
#define put_text(bytes, entry, field) write_text(bytes, (entry)->field, sizeof(entry)->field)
#define put_metadata(bytes, entry, field) write_metadata(bytes, entry)
#define put_others(bytes, entry, field) write_others(bytes, entry)

static void write_balance(struct hf_bytes *bytes, const struct ledger_balance *balance)
{
  for (unsigned i = 0; i < LEDGER_BUCKET_COUNT; i++)
    hf_bytes_put_amount(bytes, balance->bucket[i]);
  hf_bytes_put_amount(bytes, balance->claimed_total);
  hf_bytes_put_amount(bytes, balance->spent_total);
}

static void write_text(struct hf_bytes *bytes, const char *text, size_t room)
{
  const char *end = memchr(text, '\0', room);
  CHECK(end != NULL);
  hf_bytes_put_blob(bytes, text, (size_t)(end - text));
}

static void write_metadata(struct hf_bytes *bytes, const struct ledger_entry *entry)
{
  hf_bytes_put_u8(bytes, entry->has_metadata ? 1 : 0);
  if (entry->has_metadata)
    hf_bytes_put(bytes, entry->metadata_hash.bytes, HF_HASH_SIZE);
}

static void write_others(struct hf_bytes *bytes, const struct ledger_entry *entry)
{
  CHECK(entry->others_count < LEDGER_ASSETS_MAX);
  CHECK(entry->others_count == 0 || entry->others != NULL);
  hf_bytes_put_varint(bytes, entry->others_count);
  for (unsigned i = 0; i < entry->others_count; i++) {
    hf_bytes_put_varint(bytes, entry->others[i].asset);
    hf_bytes_put_varint(bytes, entry->others[i].version);
  }
}

/* What holds in every entry, here or read back. */
static bool is_sound(const struct ledger_entry *entry)
{
  return entry->user != 0 && entry->version != 0 && entry->amount > 0 &&
         entry->op_index < entry->op_count && entry->op_count <= LEDGER_OP_ENTRIES_MAX &&
         balance_move_allowed(entry->type, entry->from, entry->to);
}

void ledger_entry_encode(const struct ledger_entry *entry, struct hf_bytes *bytes)
{
  CHECK(entry != NULL && bytes != NULL);
  CHECK(is_sound(entry));
  size_t before = bytes->size;
  (void)hf_bytes_reserve(bytes, LEDGER_ENTRY_BYTES_MAX);
  hf_bytes_put_u8(bytes, ENTRY_FORMAT);
#define X(kind, field) put_##kind(bytes, entry, field);
  ENTRY_FIELDS(X)
#undef X
  CHECK(bytes->size - before <= LEDGER_ENTRY_BYTES_MAX);
}

struct hf_hash ledger_entry_hash(const struct hf_hash *previous, const void *body, size_t size)
{
  return hf_sha256_pair(previous->bytes, sizeof previous->bytes, body, size);
}

hf_id ledger_entry_op(const struct ledger_entry *entry, unsigned partition_bits)
{
  CHECK(partition_bits <= HF_PARTITION_BITS_MAX);
  if (entry->id == 0)
    return 0;
  hf_id before = (hf_id)entry->op_index << partition_bits;
  CHECK(entry->id > before);
  return entry->id - before;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* A varint up to `max`; what is larger makes the reader fail. */
static uint64_t read_up_to(struct hf_reader *reader, uint64_t max)
{
  uint64_t value = hf_read_varint(reader);
  if (value > max)
    reader->failed = true;
  return value <= max ? value : 0;
}

static int64_t read_time(struct hf_reader *reader, hf_amount base)
{
  hf_amount time;
  if (!hf_amount_add(base, hf_read_amount(reader), &time) || time < INT64_MIN || time > INT64_MAX) {
    reader->failed = true;
    return 0;
  }
  return (int64_t)time;
}

static void read_balance(struct hf_reader *reader, struct ledger_balance *balance)
{
  for (unsigned i = 0; i < LEDGER_BUCKET_COUNT; i++)
    balance->bucket[i] = hf_read_amount(reader);
  balance->claimed_total = hf_read_amount(reader);
  balance->spent_total = hf_read_amount(reader);
}

static void read_text(struct hf_reader *reader, char *text, size_t room)
{
  size_t size;
  const uint8_t *at = hf_read_blob(reader, room - 1, &size);
  memset(text, 0, room);
  if (size == 0)
    return;
  if (memchr(at, 0, size) != NULL)
    reader->failed = true;
  else
    memcpy(text, at, size);
}

static void read_metadata(struct hf_reader *reader, struct ledger_entry *entry)
{
  uint8_t has_metadata = hf_read_u8(reader);
  if (has_metadata > 1)
    reader->failed = true;
  entry->has_metadata = has_metadata == 1;
  if (entry->has_metadata)
    hf_read(reader, entry->metadata_hash.bytes, HF_HASH_SIZE);
  else
    memset(&entry->metadata_hash, 0, sizeof entry->metadata_hash);
}

/* Ascending, without the entry's own asset, older than the entry. */
static void read_others(struct hf_reader *reader, struct ledger_other *others,
                        struct ledger_entry *entry)
{
  unsigned count = (unsigned)read_up_to(reader, LEDGER_ASSETS_MAX - 1);
  for (unsigned i = 0; i < count; i++) {
    struct ledger_other *other = &others[i];
    *other = (struct ledger_other){0};
    other->asset = (uint16_t)read_up_to(reader, UINT16_MAX);
    other->version = hf_read_varint(reader);
    if (other->asset == entry->asset || other->version == 0 || other->version >= entry->version)
      reader->failed = true;
    if (i > 0 && others[i - 1].asset >= other->asset)
      reader->failed = true;
  }
  entry->others_count = (uint16_t)count;
  entry->others = others;
}

#define get_id(reader, entry, field) (entry)->field = read_up_to(reader, HF_ID_MAX)
#define get_version(reader, entry, field) (entry)->field = hf_read_varint(reader)
#define get_type(reader, entry, field) (entry)->field = hf_read_u8(reader)
#define get_place(reader, entry, field) (entry)->field = hf_read_u8(reader)
#define get_account(reader, entry, field) (entry)->field = hf_read_u8(reader)
#define get_asset(reader, entry, field) (entry)->field = (uint16_t)read_up_to(reader, UINT16_MAX)
#define get_amount(reader, entry, field) (entry)->field = hf_read_amount(reader)
#define get_time(reader, entry, field) (entry)->field = read_time(reader, 0)
#define get_digest(reader, entry, field) hf_read(reader, (entry)->field.bytes, HF_DIGEST_SIZE)
#define get_balance(reader, entry, field) read_balance(reader, &(entry)->field)
#define get_effective(reader, entry, field) (entry)->field = read_time(reader, (entry)->recorded_us)
#define get_text(reader, entry, field) read_text(reader, (entry)->field, sizeof(entry)->field)
#define get_metadata(reader, entry, field) read_metadata(reader, entry)
#define get_others(reader, entry, field) read_others(reader, others, entry)

bool ledger_entry_decode(const void *body, size_t size, struct ledger_other *others,
                         struct ledger_entry *ret_entry)
{
  CHECK(others != NULL && ret_entry != NULL);
  struct hf_reader reader = hf_reader_of(body, size);
  struct ledger_entry entry = {.id = ret_entry->id, .hash = ret_entry->hash};
  if (size > LEDGER_ENTRY_BYTES_MAX || hf_read_u8(&reader) != ENTRY_FORMAT)
    return false;
#define X(kind, field) get_##kind(&reader, &entry, field);
  ENTRY_FIELDS(X)
#undef X
  if (!hf_reader_done(&reader) || !is_sound(&entry))
    return false;
  *ret_entry = entry;
  return true;
}
