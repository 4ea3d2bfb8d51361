/* tables.c - the names of accounts and commands. */
#include <string.h>

#include "actors/ledger/ledger.h"

static const char *const account_texts[LEDGER_ACCOUNT_COUNT] = {
#define X(name, number, text) [number] = text,
  LEDGER_BUCKETS(X) LEDGER_SYSTEM_ACCOUNTS(X)
#undef X
};

static const char *const type_texts[LEDGER_TYPE_COUNT] = {
#define X(name, number, text) [number] = text,
  LEDGER_TYPES(X)
#undef X
};

/* The index of a text among `count`, some of them NULL; `count` when there is none. */
static unsigned index_of(const char *const *texts, unsigned count, const char *text, size_t size)
{
  CHECK(text != NULL || size == 0);
  for (unsigned i = 0; i < count; i++) {
    if (texts[i] != NULL && strlen(texts[i]) == size && memcmp(texts[i], text, size) == 0)
      return i;
  }
  return count;
}

const char *ledger_account_text(unsigned account)
{
  return account < LEDGER_ACCOUNT_COUNT ? account_texts[account] : NULL;
}

bool ledger_bucket_by_text(const char *text, size_t size, unsigned *ret_bucket)
{
  unsigned bucket = index_of(account_texts, LEDGER_BUCKET_COUNT, text, size);
  if (bucket == LEDGER_BUCKET_COUNT)
    return false;
  *ret_bucket = bucket;
  return true;
}

const char *ledger_type_text(unsigned type)
{
  return type < LEDGER_TYPE_COUNT ? type_texts[type] : NULL;
}

bool ledger_type_by_text(const char *text, size_t size, unsigned *ret_type)
{
  unsigned type = index_of(type_texts, LEDGER_TYPE_COUNT, text, size);
  if (type == LEDGER_TYPE_COUNT)
    return false;
  *ret_type = type;
  return true;
}
