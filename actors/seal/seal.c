/* See seal.h. */
#include "actors/seal/seal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "holdfast/time_text.h"

#define LEAF_FORMAT 1u
#define LINE_MAX_SIZE 256u

/* ---- leaves ---------------------------------------------------------------------------------- */

void seal_leaf_encode(const struct seal_user *user, struct hf_bytes *bytes)
{
  hf_bytes_put_u8(bytes, LEAF_FORMAT);
  hf_bytes_put_varint(bytes, user->id);
  hf_bytes_put_varint(bytes, user->version);
  hf_bytes_put(bytes, user->head.bytes, sizeof user->head.bytes);
  hf_bytes_put_varint(bytes, user->assets_count);
  for (size_t i = 0; i < user->assets_count; i++) {
    const struct ledger_asset *asset = &user->assets[i];
    CHECK(i == 0 || asset->asset > user->assets[i - 1u].asset);
    hf_bytes_put_varint(bytes, asset->asset);
    hf_bytes_put_varint(bytes, asset->version);
    for (unsigned j = 0; j < LEDGER_BUCKET_COUNT; j++)
      hf_bytes_put_amount(bytes, asset->balance.bucket[j]);
    hf_bytes_put_amount(bytes, asset->balance.claimed_total);
    hf_bytes_put_amount(bytes, asset->balance.spent_total);
  }
}

static void read_asset(struct hf_reader *reader, struct ledger_asset *asset)
{
  uint64_t number = hf_read_varint(reader);
  if (number > UINT16_MAX)
    reader->failed = true;
  asset->asset = (uint16_t)number;
  asset->version = hf_read_varint(reader);
  for (unsigned i = 0; i < LEDGER_BUCKET_COUNT; i++)
    asset->balance.bucket[i] = hf_read_amount(reader);
  asset->balance.claimed_total = hf_read_amount(reader);
  asset->balance.spent_total = hf_read_amount(reader);
}

bool seal_leaf_decode(const void *bytes, size_t size, struct hf_arena *arena,
                      struct seal_user *ret_user)
{
  struct hf_reader reader = hf_reader_of(bytes, size);
  struct seal_user user = {0};
  if (hf_read_u8(&reader) != LEAF_FORMAT)
    return false;
  user.id = hf_read_varint(&reader);
  user.version = hf_read_varint(&reader);
  hf_read(&reader, user.head.bytes, sizeof user.head.bytes);
  user.assets_count = hf_read_varint(&reader);
  if (reader.failed || user.assets_count > LEDGER_ASSETS_MAX)
    return false;
  struct ledger_asset *assets = hf_arena_alloc(arena, user.assets_count * sizeof *assets);
  for (size_t i = 0; i < user.assets_count; i++) {
    read_asset(&reader, &assets[i]);
    if (i > 0 && assets[i].asset <= assets[i - 1u].asset)
      return false;
  }
  user.assets = assets;
  if (!hf_reader_done(&reader))
    return false;
  *ret_user = user;
  return true;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void put_line(struct hf_bytes *text, const char *name, const char *rest)
{
  hf_bytes_put(text, name, strlen(name));
  hf_bytes_put(text, " ", 1);
  hf_bytes_put(text, rest, strlen(rest));
  hf_bytes_put(text, "\n", 1);
}

static void put_number(struct hf_bytes *text, const char *name, uint64_t number)
{
  char rest[24];
  snprintf(rest, sizeof rest, "%" PRIu64, number);
  put_line(text, name, rest);
}

static void put_hash(struct hf_bytes *text, const char *name, uint64_t number,
                     const struct hf_hash *hash)
{
  char rest[24 + 2u * HF_HASH_SIZE + 1u], hex[2u * HF_HASH_SIZE + 1u];
  hf_hex(hash->bytes, sizeof hash->bytes, hex);
  snprintf(rest, sizeof rest, "%" PRIu64 " %s", number, hex);
  put_line(text, name, rest);
}

void seal_write(struct seal *seal, const uint8_t seed[HF_SIGN_SEED_SIZE], struct hf_bytes *text)
{
  char rest[2u * HF_SIGNATURE_SIZE + 1u], name[24];
  uint8_t signature[HF_SIGNATURE_SIZE];
  size_t start = text->size;
  CHECK(seal->number > 0 && seal->log_size == seal->number - 1u);
  CHECK(seal->partition_bits <= HF_PARTITION_BITS_MAX);
  hf_sign_key(seed, seal->key);
  put_line(text, "holdfast", "seal 1");
  put_number(text, "number", seal->number);
  hf_time_format(seal->time_us, rest);
  put_line(text, "time", rest);
  put_number(text, "partition_bits", seal->partition_bits);
  put_hash(text, "users", seal->users_count, &seal->users_root);
  for (unsigned i = 0; i < 1u << seal->partition_bits; i++) {
    snprintf(name, sizeof name, "batch %u", i);
    put_hash(text, name, seal->batches[i].number, &seal->batches[i].hash);
  }
  put_hash(text, "log", seal->log_size, &seal->log_root);
  hf_hex(seal->key, sizeof seal->key, rest);
  put_line(text, "key", rest);
  hf_sign(seed, text->at + start, text->size - start, signature);
  hf_hex(signature, sizeof signature, rest);
  put_line(text, "signature", rest);
}

/* ---- reading --------------------------------------------------------------------------------- */

struct lines {
  const char *at, *end;
  bool failed;
};

/* What follows "name " up to the line's end, which it passes. */
static struct lines line_of(struct lines *lines, const char *name)
{
  struct lines rest = {.failed = true};
  size_t size = strlen(name);
  const char *end = memchr(lines->at, '\n', (size_t)(lines->end - lines->at));
  if (lines->failed || end == NULL || (size_t)(end - lines->at) <= size ||
      (size_t)(end - lines->at) > LINE_MAX_SIZE || memcmp(lines->at, name, size) != 0 ||
      lines->at[size] != ' ') {
    lines->failed = true;
    return rest;
  }
  rest = (struct lines){.at = lines->at + size + 1u, .end = end};
  lines->at = end + 1;
  return rest;
}

/* Decimal digits without leading zeros, below 2^63, up to a blank or the end. */
static uint64_t take_number(struct lines *rest)
{
  const char *start = rest->at;
  uint64_t number = 0;
  while (!rest->failed && rest->at < rest->end && *rest->at != ' ') {
    unsigned digit = (unsigned)(*rest->at++ - '0');
    if (digit > 9u || number > ((uint64_t)INT64_MAX - digit) / 10u)
      rest->failed = true;
    else
      number = number * 10u + digit;
  }
  if (rest->failed || rest->at == start || (*start == '0' && rest->at - start > 1))
    rest->failed = true;
  return rest->failed ? 0 : number;
}

static void take_hex(struct lines *rest, void *out, size_t size)
{
  if (rest->failed || !hf_unhex(rest->at, (size_t)(rest->end - rest->at), out, size))
    rest->failed = true;
  else
    rest->at = rest->end;
}

static uint64_t read_number(struct lines *lines, const char *name)
{
  struct lines rest = line_of(lines, name);
  uint64_t number = take_number(&rest);
  lines->failed = lines->failed || rest.failed || rest.at != rest.end;
  return number;
}

static void read_hex(struct lines *lines, const char *name, void *out, size_t size)
{
  struct lines rest = line_of(lines, name);
  take_hex(&rest, out, size);
  lines->failed = lines->failed || rest.failed;
}

static uint64_t read_hash(struct lines *lines, const char *name, struct hf_hash *hash)
{
  struct lines rest = line_of(lines, name);
  uint64_t number = take_number(&rest);
  if (!rest.failed && rest.at < rest.end)
    rest.at++; /* the blank that ended the number */
  take_hex(&rest, hash->bytes, sizeof hash->bytes);
  lines->failed = lines->failed || rest.failed;
  return number;
}

static int64_t read_time(struct lines *lines)
{
  struct lines rest = line_of(lines, "time");
  int64_t time_us = 0;
  char again[HF_TIME_TEXT_MAX];
  size_t size = rest.failed ? 0 : (size_t)(rest.end - rest.at);
  if (rest.failed || hf_time_parse(rest.at, size, &time_us) != HF_OK ||
      hf_time_format(time_us, again) != size || memcmp(again, rest.at, size) != 0)
    lines->failed = true;
  return time_us;
}

static void read_body(struct lines *lines, struct seal *seal)
{
  char name[24];
  struct lines first = line_of(lines, "holdfast");
  if (first.failed || first.end - first.at != 6 || memcmp(first.at, "seal 1", 6) != 0)
    lines->failed = true;
  seal->number = read_number(lines, "number");
  seal->time_us = read_time(lines);
  uint64_t bits = read_number(lines, "partition_bits");
  if (bits > HF_PARTITION_BITS_MAX)
    lines->failed = true;
  seal->partition_bits = lines->failed ? 0 : (unsigned)bits;
  seal->users_count = read_hash(lines, "users", &seal->users_root);
  for (unsigned i = 0; i < 1u << seal->partition_bits && !lines->failed; i++) {
    snprintf(name, sizeof name, "batch %u", i);
    seal->batches[i].number = read_hash(lines, name, &seal->batches[i].hash);
  }
  seal->log_size = read_hash(lines, "log", &seal->log_root);
  read_hex(lines, "key", seal->key, sizeof seal->key);
}

const char *seal_read(const char *text, size_t size, struct seal *ret_seal)
{
  struct lines lines = {.at = text, .end = text + size};
  struct seal seal = {0};
  uint8_t signature[HF_SIGNATURE_SIZE];
  if (size > SEAL_TEXT_MAX)
    return "it is too long to be a seal";
  read_body(&lines, &seal);
  size_t signed_size = (size_t)(lines.at - text);
  read_hex(&lines, "signature", signature, sizeof signature);
  if (lines.failed || lines.at != lines.end)
    return "it does not have the form of a seal";
  if (seal.number == 0 || seal.log_size != seal.number - 1u)
    return "its number and its log do not fit";
  if (!hf_sign_holds(seal.key, text, signed_size, signature))
    return "its signature does not hold";
  *ret_seal = seal;
  return NULL;
}
