/* pg_rows.c - the columns of a result, in PostgreSQL's binary format. Nothing here trusts them. */
#include <string.h>

#include "adapters/store_postgres/pg_talk.h"
#include "holdfast/check.h"

/* The value's bytes; NULL and `corrupt` when there is none of a binary column. */
static const uint8_t *value_of(struct pg_rows *rows, int column, size_t *ret_size)
{
  const PGresult *result = rows->result;
  *ret_size = 0;
  if (rows->row < 0 || rows->row >= PQntuples(result) || column < 0 ||
      column >= PQnfields(result) || PQfformat(result, column) != 1 ||
      PQgetisnull(result, rows->row, column)) {
    rows->corrupt = true;
    return NULL;
  }
  int size = PQgetlength(result, rows->row, column);
  if (size < 0) {
    rows->corrupt = true;
    return NULL;
  }
  *ret_size = (size_t)size;
  return (const uint8_t *)PQgetvalue(result, rows->row, column);
}

/* The same of exactly `size` bytes. */
static const uint8_t *value_sized(struct pg_rows *rows, int column, size_t size)
{
  size_t found;
  const uint8_t *at = value_of(rows, column, &found);
  if (at == NULL || found == size)
    return at;
  rows->corrupt = true;
  return NULL;
}

static uint64_t big_endian(const uint8_t *at, size_t size)
{
  uint64_t value = 0;
  for (size_t i = 0; i < size; i++)
    value = value << 8 | at[i];
  return value;
}

bool pg_is_null(const struct pg_rows *rows, int column)
{
  const PGresult *result = rows->result;
  return rows->row >= 0 && rows->row < PQntuples(result) && column >= 0 &&
         column < PQnfields(result) && PQgetisnull(result, rows->row, column);
}

int64_t pg_get_int(struct pg_rows *rows, int column)
{
  size_t size;
  const uint8_t *at = value_of(rows, column, &size);
  if (at == NULL)
    return 0;
  switch (PQftype(rows->result, column)) {
  case PG_INT2:
    if (size == 2)
      return (int16_t)big_endian(at, 2);
    break;
  case PG_INT4:
    if (size == 4)
      return (int32_t)big_endian(at, 4);
    break;
  case PG_INT8:
    if (size == 8)
      return (int64_t)big_endian(at, 8);
    break;
  default:
    break;
  }
  rows->corrupt = true;
  return 0;
}

uint64_t pg_get_unsigned(struct pg_rows *rows, int column, uint64_t max)
{
  int64_t value = pg_get_int(rows, column);
  if (value >= 0 && (uint64_t)value <= max)
    return (uint64_t)value;
  rows->corrupt = true;
  return 0;
}

bool pg_get_bool(struct pg_rows *rows, int column)
{
  const uint8_t *at = value_sized(rows, column, 1);
  if (at == NULL)
    return false;
  if (*at > 1 || PQftype(rows->result, column) != PG_BOOL)
    rows->corrupt = true;
  return *at == 1;
}

void pg_get_bytes(struct pg_rows *rows, int column, void *out, size_t size)
{
  const uint8_t *at = value_sized(rows, column, size);
  if (at == NULL)
    memset(out, 0, size);
  else
    memcpy(out, at, size);
}

struct store_text pg_get_text(struct pg_rows *rows, int column)
{
  size_t size;
  if (pg_is_null(rows, column))
    return (struct store_text){NULL, 0};
  const uint8_t *at = value_of(rows, column, &size);
  return (struct store_text){(const char *)at, size};
}

hf_amount pg_get_amount(struct pg_rows *rows, int column)
{
  const uint8_t *at = value_sized(rows, column, 16);
  if (at == NULL)
    return 0;
  hf_uamount bits = (hf_uamount)big_endian(at, 8) << 64 | big_endian(at + 8, 8);
  return (hf_amount)(bits ^ ((hf_uamount)1 << 127));
}
