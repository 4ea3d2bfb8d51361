/* bytes.c - the growing buffer and the bounded reader. */
#include "holdfast/bytes.h"

#include <string.h>

#include "holdfast/rt.h"

#define ROOM_MIN 64u
#define VARINT_BYTES_MAX 10u
#define AMOUNT_BYTES_MAX 19u

void hf_bytes_deinit(struct hf_bytes *bytes)
{
  CHECK(bytes != NULL);
  rt_free(bytes->at);
  *bytes = (struct hf_bytes){0};
}

void hf_bytes_clear(struct hf_bytes *bytes)
{
  CHECK(bytes != NULL);
  bytes->size = 0;
}

uint8_t *hf_bytes_reserve(struct hf_bytes *bytes, size_t size)
{
  CHECK(bytes->size <= bytes->room);
  CHECK(size <= SIZE_MAX / 4u - bytes->size);
  if (size > bytes->room - bytes->size || bytes->at == NULL) {
    size_t room = bytes->room < ROOM_MIN ? ROOM_MIN : bytes->room;
    while (room < bytes->size + size)
      room *= 2u;
    bytes->at = rt_realloc(bytes->at, room);
    bytes->room = room;
  }
  return bytes->at + bytes->size;
}

/* hf_bytes_reserve() without its cost when there is room, which there nearly always is. */
static inline uint8_t *room_for(struct hf_bytes *bytes, size_t size)
{
  if (bytes->room - bytes->size >= size && bytes->at != NULL)
    return bytes->at + bytes->size;
  return hf_bytes_reserve(bytes, size);
}

void hf_bytes_put(struct hf_bytes *bytes, const void *data, size_t size)
{
  CHECK(data != NULL || size == 0);
  uint8_t *at = room_for(bytes, size);
  if (size > 0)
    memcpy(at, data, size);
  bytes->size += size;
}

void hf_bytes_put_u8(struct hf_bytes *bytes, uint8_t value)
{
  *room_for(bytes, 1) = value;
  bytes->size++;
}

void hf_bytes_put_varint(struct hf_bytes *bytes, uint64_t value)
{
  uint8_t *at = room_for(bytes, VARINT_BYTES_MAX);
  size_t size = 0;
  while (value > 127u) {
    at[size++] = (uint8_t)(value | 128u);
    value >>= 7;
  }
  at[size++] = (uint8_t)value;
  bytes->size += size;
}

void hf_bytes_put_amount(struct hf_bytes *bytes, hf_amount value)
{
  hf_uamount zigzag = (hf_uamount)value << 1;
  if (value < 0)
    zigzag = ~zigzag;
  if (zigzag <= UINT64_MAX) {
    hf_bytes_put_varint(bytes, (uint64_t)zigzag);
    return;
  }
  uint8_t *at = room_for(bytes, AMOUNT_BYTES_MAX);
  size_t size = 0;
  while (zigzag > 127u) {
    at[size++] = (uint8_t)((unsigned)zigzag | 128u);
    zigzag >>= 7;
  }
  at[size++] = (uint8_t)zigzag;
  bytes->size += size;
}

void hf_bytes_put_blob(struct hf_bytes *bytes, const void *data, size_t size)
{
  hf_bytes_put_varint(bytes, size);
  hf_bytes_put(bytes, data, size);
}

struct hf_reader hf_reader_of(const void *data, size_t size)
{
  CHECK(data != NULL || size == 0);
  struct hf_reader reader = {.at = data};
  reader.end = size > 0 ? reader.at + size : reader.at;
  return reader;
}

static size_t left_of(const struct hf_reader *reader)
{
  return (size_t)(reader->end - reader->at);
}

/* The reader stays where it is and gives nothing any more. */
static void fail(struct hf_reader *reader)
{
  reader->failed = true;
  reader->at = reader->end;
}

uint8_t hf_read_u8(struct hf_reader *reader)
{
  if (reader->at == reader->end) {
    fail(reader);
    return 0;
  }
  return *reader->at++;
}

/* A canonical varint of at most `bits` bits: no needless zero group, nothing beyond the bits. */
static hf_uamount read_leb128(struct hf_reader *reader, unsigned bits)
{
  hf_uamount value = 0;
  for (unsigned shift = 0; shift < bits; shift += 7) {
    if (reader->at == reader->end)
      break;
    uint8_t byte = *reader->at++;
    unsigned group = byte & 127u;
    if (bits - shift < 7 && group >> (bits - shift) != 0)
      break;
    value |= (hf_uamount)group << shift;
    if (byte < 128u) {
      if (byte == 0 && shift > 0)
        break;
      return value;
    }
  }
  fail(reader);
  return 0;
}

uint64_t hf_read_varint(struct hf_reader *reader)
{
  if (reader->at != reader->end && *reader->at < 128u)
    return *reader->at++;
  return (uint64_t)read_leb128(reader, 64);
}

hf_amount hf_read_amount(struct hf_reader *reader)
{
  hf_uamount zigzag = read_leb128(reader, 128);
  hf_uamount half = zigzag >> 1;
  return (zigzag & 1u) != 0 ? (hf_amount)~half : (hf_amount)half;
}

void hf_read(struct hf_reader *reader, void *out, size_t size)
{
  CHECK(out != NULL || size == 0);
  if (size == 0)
    return;
  if (size > left_of(reader)) {
    fail(reader);
    memset(out, 0, size);
    return;
  }
  memcpy(out, reader->at, size);
  reader->at += size;
}

const uint8_t *hf_read_blob(struct hf_reader *reader, size_t max, size_t *ret_size)
{
  CHECK(ret_size != NULL);
  uint64_t size = hf_read_varint(reader);
  if (size > max || size > left_of(reader)) {
    fail(reader);
    size = 0;
  }
  const uint8_t *at = reader->at;
  if (size > 0)
    reader->at += size;
  *ret_size = (size_t)size;
  return at;
}

bool hf_reader_done(const struct hf_reader *reader)
{
  return !reader->failed && reader->at == reader->end;
}
