/* pg_args.c - the arguments of a round, in PostgreSQL's binary format. */
#include <limits.h>
#include <string.h>

#include "adapters/store_postgres/pg_talk.h"
#include "holdfast/check.h"

#define ARRAY_HEADER_SIZE 20u /* dimensions, flags, type, count, lower bound: int4 each */
#define ARRAY_FLAGS_AT 4u     /* int4: 1 when an element is NULL */

static inline uint8_t *put(struct pg_round *round, size_t size)
{
  struct hf_bytes *bytes = &round->bytes;
  uint8_t *at =
    bytes->room - bytes->size >= size ? bytes->at + bytes->size : hf_bytes_reserve(bytes, size);
  bytes->size += size;
  return at;
}

static inline void put_int2(uint8_t *at, uint16_t value)
{
  uint16_t wire = __builtin_bswap16(value);
  memcpy(at, &wire, sizeof wire);
}

static inline void put_int4(uint8_t *at, uint32_t value)
{
  uint32_t wire = __builtin_bswap32(value);
  memcpy(at, &wire, sizeof wire);
}

static inline void put_int8(uint8_t *at, uint64_t value)
{
  uint64_t wire = __builtin_bswap64(value);
  memcpy(at, &wire, sizeof wire);
}

/* Keeps the order: the sign bit is turned over, the rest is big-endian. */
static void put_amount(uint8_t *at, hf_amount amount)
{
  hf_uamount bits = (hf_uamount)amount ^ ((hf_uamount)1 << 127);
  put_int8(at, (uint64_t)(bits >> 64));
  put_int8(at + 8, (uint64_t)bits);
}

/* ---- rounds ---------------------------------------------------------------------------------- */

void pg_round_init(struct pg_round *round)
{
  memset(round, 0, sizeof *round);
}

void pg_round_deinit(struct pg_round *round)
{
  hf_bytes_deinit(&round->bytes);
  rt_free(round->steps);
  memset(round, 0, sizeof *round);
}

void pg_round_clear(struct pg_round *round)
{
  hf_bytes_clear(&round->bytes);
  round->count = 0;
  round->open = NULL;
  round->array_at = 0;
  round->array_left = 0;
}

void pg_round_add(struct pg_round *round, enum pg_statement statement)
{
  CHECK(round->array_left == 0);
  CHECK((unsigned)statement < PG_STATEMENT_COUNT);
  if (round->count == round->room) {
    round->room = round->room == 0 ? 8u : round->room * 2u;
    round->steps = rt_realloc(round->steps, round->room * sizeof *round->steps);
  }
  round->open = &round->steps[round->count++];
  round->open->statement = statement;
  round->open->args.count = 0;
}

/* ---- arguments ------------------------------------------------------------------------------- */

static struct pg_arg *arg_add(struct pg_round *round, size_t size)
{
  CHECK(round->open != NULL && round->array_left == 0);
  CHECK(round->open->args.count < PG_ARGS_MAX && size <= INT_MAX);
  struct pg_arg *arg = &round->open->args.arg[round->open->args.count++];
  *arg = (struct pg_arg){.at = round->bytes.size, .size = size};
  return arg;
}

void pg_arg_null(struct pg_round *round)
{
  arg_add(round, 0)->null = true;
}

void pg_arg_bool(struct pg_round *round, bool value)
{
  (void)arg_add(round, 1);
  *put(round, 1) = value;
}

void pg_arg_int2(struct pg_round *round, int value)
{
  CHECK(value >= INT16_MIN && value <= INT16_MAX);
  (void)arg_add(round, 2);
  put_int2(put(round, 2), (uint16_t)value);
}

void pg_arg_int4(struct pg_round *round, int32_t value)
{
  (void)arg_add(round, 4);
  put_int4(put(round, 4), (uint32_t)value);
}

void pg_arg_int8(struct pg_round *round, int64_t value)
{
  (void)arg_add(round, 8);
  put_int8(put(round, 8), (uint64_t)value);
}

void pg_arg_bytes(struct pg_round *round, const void *bytes, size_t size)
{
  (void)arg_add(round, size);
  if (size > 0)
    memcpy(put(round, size), bytes, size);
}

void pg_arg_uuid(struct pg_round *round, const uint8_t bytes[16])
{
  pg_arg_bytes(round, bytes, 16);
}

void pg_arg_text(struct pg_round *round, const char *text, size_t size)
{
  if (text == NULL)
    pg_arg_null(round);
  else
    pg_arg_bytes(round, text, size);
}

void pg_arg_amount(struct pg_round *round, hf_amount amount)
{
  (void)arg_add(round, 16);
  put_amount(put(round, 16), amount);
}

/* ---- arrays ---------------------------------------------------------------------------------- */

void pg_arg_array(struct pg_round *round, enum pg_type type, size_t count)
{
  CHECK(count <= INT32_MAX);
  (void)arg_add(round, ARRAY_HEADER_SIZE);
  round->array_at = round->bytes.size;
  round->array_left = (uint32_t)count;
  uint8_t *header = put(round, ARRAY_HEADER_SIZE);
  put_int4(header, 1);
  put_int4(header + ARRAY_FLAGS_AT, 0);
  put_int4(header + 8, (uint32_t)type);
  put_int4(header + 12, (uint32_t)count);
  put_int4(header + 16, 1);
}

/* One element of `size` bytes: its length, then where its bytes go. The last one ends the array. */
static inline uint8_t *item_add(struct pg_round *round, size_t size)
{
  CHECK(round->array_left > 0);
  uint8_t *at = put(round, 4u + size);
  put_int4(at, (uint32_t)size);
  if (--round->array_left == 0) {
    struct pg_args *args = &round->open->args;
    args->arg[args->count - 1u].size = round->bytes.size - round->array_at;
    CHECK(round->bytes.size - round->array_at <= INT_MAX);
  }
  return at + 4;
}

void pg_item_null(struct pg_round *round)
{
  uint8_t *at = item_add(round, 0);
  put_int4(at - 4, UINT32_MAX); /* length -1 */
  put_int4(round->bytes.at + round->array_at + ARRAY_FLAGS_AT, 1);
}

void pg_item_bool(struct pg_round *round, bool value)
{
  *item_add(round, 1) = value;
}

void pg_item_int2(struct pg_round *round, int value)
{
  CHECK(value >= INT16_MIN && value <= INT16_MAX);
  put_int2(item_add(round, 2), (uint16_t)value);
}

void pg_item_int4(struct pg_round *round, int32_t value)
{
  put_int4(item_add(round, 4), (uint32_t)value);
}

void pg_item_int8(struct pg_round *round, int64_t value)
{
  put_int8(item_add(round, 8), (uint64_t)value);
}

void pg_item_bytes(struct pg_round *round, const void *bytes, size_t size)
{
  CHECK(size <= INT_MAX);
  uint8_t *at = item_add(round, size);
  if (size > 0)
    memcpy(at, bytes, size);
}

void pg_item_uuid(struct pg_round *round, const uint8_t bytes[16])
{
  memcpy(item_add(round, 16), bytes, 16);
}

void pg_item_text(struct pg_round *round, struct store_text text)
{
  if (text.at == NULL)
    pg_item_null(round);
  else
    pg_item_bytes(round, text.at, text.size);
}

void pg_item_amount(struct pg_round *round, hf_amount amount)
{
  put_amount(item_add(round, 16), amount);
}
