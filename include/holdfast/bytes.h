/* bytes.h - a growing byte buffer and a bounded reader: the canonical encoding's two halves. Pure.
 *
 * Integers are unsigned LEB128 varints, signed ones zigzag; strings and blobs are length-prefixed.
 * Every value has exactly one encoding; the reader refuses the others. */
#ifndef HOLDFAST_BYTES_H
#define HOLDFAST_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "holdfast/amount.h"

struct hf_bytes {
  uint8_t *at;
  size_t size;
  size_t room;
};

void hf_bytes_deinit(struct hf_bytes *bytes);
void hf_bytes_clear(struct hf_bytes *bytes); /* keeps the room */
/* Room for `size` more bytes; returns where they go, without counting them. */
uint8_t *hf_bytes_reserve(struct hf_bytes *bytes, size_t size);
void hf_bytes_put(struct hf_bytes *bytes, const void *data, size_t size);
void hf_bytes_put_u8(struct hf_bytes *bytes, uint8_t value);
void hf_bytes_put_varint(struct hf_bytes *bytes, uint64_t value);
void hf_bytes_put_amount(struct hf_bytes *bytes, hf_amount value); /* zigzag, up to 19 bytes */
void hf_bytes_put_blob(struct hf_bytes *bytes, const void *data, size_t size);

/* A reader never reads past its end: after the first bad value `failed` stays true and every
 * further value is zero or empty. Ask once, at the end. */
struct hf_reader {
  const uint8_t *at;
  const uint8_t *end;
  bool failed;
};

struct hf_reader hf_reader_of(const void *data, size_t size);
uint8_t hf_read_u8(struct hf_reader *reader);
uint64_t hf_read_varint(struct hf_reader *reader);
hf_amount hf_read_amount(struct hf_reader *reader);
/* Exactly `size` bytes into out. */
void hf_read(struct hf_reader *reader, void *out, size_t size);
/* A length-prefixed blob of at most `max` bytes; a view into the data. */
const uint8_t *hf_read_blob(struct hf_reader *reader, size_t max, size_t *ret_size);
/* True when all was read, exactly to the end. */
bool hf_reader_done(const struct hf_reader *reader);

#endif
