/* fuzz_reader.c - libFuzzer target: the byte reader on arbitrary bytes, by an arbitrary program.
 *
 * Input: the number of steps, one byte for each step, then the bytes to read. Properties: nothing
 * outside the bytes is read (sanitizers); what is read encodes to the same bytes; after the first
 * bad value everything is zero or empty and it is not done; what is written is read back. */
#include "holdfast/bytes.h"
#include "tests/fuzz/input.h"

enum step { READ_U8, READ_VARINT, READ_AMOUNT, READ_BLOB, READ_FIXED, STEPS };
#define FIXED 7u
#define BLOB_MAX 40u

/* Reads one value and writes it again. */
static void step(struct hf_reader *reader, enum step what, struct hf_bytes *again)
{
  bool failed = reader->failed;
  uint8_t fixed[FIXED];
  size_t size = 0;
  const uint8_t *blob;
  uint64_t number = 0;
  hf_amount amount = 0;
  switch (what) {
  case READ_U8:
    number = hf_read_u8(reader);
    hf_bytes_put_u8(again, (uint8_t)number);
    break;
  case READ_VARINT:
    number = hf_read_varint(reader);
    hf_bytes_put_varint(again, number);
    break;
  case READ_AMOUNT:
    amount = hf_read_amount(reader);
    hf_bytes_put_amount(again, amount);
    break;
  case READ_BLOB:
    blob = hf_read_blob(reader, BLOB_MAX, &size);
    CHECK(size <= BLOB_MAX);
    hf_bytes_put_blob(again, blob, size);
    break;
  default:
    hf_read(reader, fixed, sizeof fixed);
    hf_bytes_put(again, fixed, sizeof fixed);
    for (size_t i = 0; reader->failed && i < sizeof fixed; i++)
      CHECK(fixed[i] == 0);
    break;
  }
  CHECK(!failed || reader->failed);
  if (reader->failed) {
    CHECK(number == 0 && amount == 0 && size == 0);
    CHECK(reader->at == reader->end && !hf_reader_done(reader));
  }
}

static void check_reading(const uint8_t *steps, size_t count, const char *bytes, size_t size)
{
  struct hf_reader reader = hf_reader_of(bytes, size);
  struct hf_bytes again = {0};
  for (size_t i = 0; i < count; i++) {
    step(&reader, steps[i] % STEPS, &again);
    if (!reader.failed) {
      CHECK(again.size == size - (size_t)(reader.end - reader.at));
      CHECK(again.size == 0 || memcmp(again.at, bytes, again.size) == 0);
    }
  }
  CHECK(hf_reader_done(&reader) == (!reader.failed && again.size == size));
  hf_bytes_deinit(&again);
}

/* The bytes as values: all of them are written, then read. */
static void check_writing(const uint8_t *steps, size_t count, const char *bytes, size_t size)
{
  struct hf_bytes written = {0};
  struct input input = {(const uint8_t *)bytes, size};
  for (size_t i = 0; i < count; i++) {
    hf_uamount wide = (hf_uamount)input_u64(&input) << 64 | input_u64(&input);
    wide >>= steps[i] / STEPS * 3u % 128u;
    if (steps[i] % 2u == 0)
      hf_bytes_put_varint(&written, (uint64_t)wide);
    else
      hf_bytes_put_amount(&written, (hf_amount)wide);
  }
  struct hf_reader reader = hf_reader_of(written.at, written.size);
  input = (struct input){(const uint8_t *)bytes, size};
  for (size_t i = 0; i < count; i++) {
    hf_uamount wide = (hf_uamount)input_u64(&input) << 64 | input_u64(&input);
    wide >>= steps[i] / STEPS * 3u % 128u;
    if (steps[i] % 2u == 0)
      CHECK(hf_read_varint(&reader) == (uint64_t)wide);
    else
      CHECK(hf_read_amount(&reader) == (hf_amount)wide);
  }
  CHECK(hf_reader_done(&reader));
  hf_bytes_deinit(&written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct input input = {data, size};
  size_t count;
  char *steps = input_bytes(&input, input_u8(&input) % 64u, &count);
  char *bytes = input_bytes(&input, input.size, &size);
  check_reading((const uint8_t *)steps, count, bytes, size);
  check_writing((const uint8_t *)steps, count, bytes, size);
  free(steps);
  free(bytes);
  return 0;
}
