/* frame_field.h - the kinds of fields that frames are made of. Internal to the codec.
 *
 * put_ writes what get_ accepts, and nothing else is accepted. A getter that fails makes the reader
 * fail and gives zero or nothing. */
#ifndef HOLDFAST_FRAME_FIELD_H
#define HOLDFAST_FRAME_FIELD_H

#include <string.h>

#include "actors/peer/frame.h"
#include "actors/user/op.h"

#define FRAME_JSON_MAX 16384u /* more than any stored JSON with its reason */

static inline void put_signed(struct hf_bytes *bytes, int64_t value)
{
  hf_bytes_put_amount(bytes, value);
}

static inline int64_t get_signed(struct hf_reader *reader)
{
  hf_amount value = hf_read_amount(reader);
  if (value < INT64_MIN || value > INT64_MAX)
    reader->failed = true;
  return reader->failed ? 0 : (int64_t)value;
}

static inline uint64_t get_up_to(struct hf_reader *reader, uint64_t max)
{
  uint64_t value = hf_read_varint(reader);
  if (value > max)
    reader->failed = true;
  return reader->failed ? 0 : value;
}

static inline hf_id get_id(struct hf_reader *reader)
{
  return get_up_to(reader, HF_ID_MAX);
}

static inline void put_text(struct hf_bytes *bytes, const char *text, size_t room)
{
  const char *end = memchr(text, '\0', room);
  CHECK(end != NULL);
  hf_bytes_put_blob(bytes, text, (size_t)(end - text));
}

/* Into `room` bytes, the rest of which is zero. */
static inline void get_text(struct hf_reader *reader, char *text, size_t room)
{
  size_t size;
  const uint8_t *at = hf_read_blob(reader, room - 1u, &size);
  memset(text, 0, room);
  if (size == 0)
    return;
  if (memchr(at, 0, size) != NULL)
    reader->failed = true;
  else
    memcpy(text, at, size);
}

/* By its wire code, which stays when the table grows. */
static inline void put_error(struct hf_bytes *bytes, enum hf_error error)
{
  const char *code = error == HF_OK ? "" : hf_error_info(error)->code;
  hf_bytes_put_blob(bytes, code, strlen(code));
}

static inline enum hf_error get_error(struct hf_reader *reader)
{
  char code[48];
  get_text(reader, code, sizeof code);
  enum hf_error error = code[0] == '\0' ? HF_OK : hf_error_by_code(code);
  if (code[0] != '\0' && error == HF_OK)
    reader->failed = true;
  return error;
}

static inline void put_json(struct hf_bytes *bytes, struct store_text text)
{
  hf_bytes_put_blob(bytes, text.at, text.at == NULL ? 0 : text.size);
}

/* A view into the frame. */
static inline struct store_text get_json(struct hf_reader *reader)
{
  struct store_text text;
  text.at = (const char *)hf_read_blob(reader, FRAME_JSON_MAX, &text.size);
  return text;
}

static inline void put_balance(struct hf_bytes *bytes, const struct ledger_balance *balance)
{
  for (unsigned i = 0; i < LEDGER_BUCKET_COUNT; i++)
    hf_bytes_put_amount(bytes, balance->bucket[i]);
  hf_bytes_put_amount(bytes, balance->claimed_total);
  hf_bytes_put_amount(bytes, balance->spent_total);
}

static inline void get_balance(struct hf_reader *reader, struct ledger_balance *balance)
{
  for (unsigned i = 0; i < LEDGER_BUCKET_COUNT; i++)
    balance->bucket[i] = hf_read_amount(reader);
  balance->claimed_total = hf_read_amount(reader);
  balance->spent_total = hf_read_amount(reader);
}

/* frame_row.c */
void put_asset(struct hf_bytes *bytes, const struct store_asset_row *asset);
void get_asset(struct hf_reader *reader, struct store_asset_row *asset);
void put_key(struct hf_bytes *bytes, const struct store_key_row *key);
void get_key(struct hf_reader *reader, struct store_key_row *key);
void put_known(struct hf_bytes *bytes, const struct hf_op *op);
/* What the journal knows of an op; NULL when the frame says so, and when the reader fails. */
struct store_op *get_known(struct hf_reader *reader, unsigned partition_bits);

#endif
