/* sqlite_db.c - see the header. */
#include "adapters/store_sqlite/sqlite_db.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "holdfast/id.h"

static const char *const TEXTS[SQL_COUNT] = {
#define X(name, text) [SQL_##name] = text,
  SQLITE_STATEMENTS(X)
#undef X
};
static const char *const JOURNAL_TEXTS[JOURNAL_COUNT] = {
#define X(name, text) [JOURNAL_##name] = text,
  SQLITE_JOURNAL_STATEMENTS(X)
#undef X
};

#define READER_CACHE_KIB ((size_t)8192) /* or what the writer has, if that is less */
#define READER_MMAP_BYTES (1ll << 30)
#define BUSY_MS 2000 /* of another program's look into the file; ours never waits for itself */

/* ---- open and close -------------------------------------------------------------------------- */

static int set_up(struct sqlite_db *db, const struct sqlite_db_config *config)
{
  char text[256];
  int code = sqlite3_extended_result_codes(db->handle, 1);
  if (code == SQLITE_OK)
    code = sqlite3_busy_timeout(db->handle, BUSY_MS);
  if (code == SQLITE_OK)
    code = sqlite_db_text(db, "PRAGMA temp_store=MEMORY;PRAGMA trusted_schema=OFF;"
                              "PRAGMA recursive_triggers=ON");
  if (code == SQLITE_OK && !config->read_only && config->role != SQLITE_ROLE_READER) {
    /* page_size has its effect on a new file only. No automatic checkpoint: sqlite_checkpoint.h. */
    code = sqlite_db_text(db, "PRAGMA page_size=4096;PRAGMA journal_mode=WAL;"
                              "PRAGMA synchronous=FULL;PRAGMA wal_autocheckpoint=0;"
                              "PRAGMA secure_delete=OFF");
  }
  if (code == SQLITE_OK && config->role == SQLITE_ROLE_WRITER) {
    (void)snprintf(text, sizeof(text), "PRAGMA cache_size=-%zu", config->cache_bytes / 1024u);
    code = sqlite_db_text(db, text);
  }
  if (code == SQLITE_OK && config->role == SQLITE_ROLE_READER) {
    size_t cache_kib = config->cache_bytes / 1024u;
    (void)snprintf(text, sizeof(text),
                   "PRAGMA cache_size=-%zu;PRAGMA mmap_size=%lld;"
                   "PRAGMA query_only=ON",
                   cache_kib < READER_CACHE_KIB ? cache_kib : READER_CACHE_KIB, READER_MMAP_BYTES);
    code = sqlite_db_text(db, text);
  }
  return code;
}

int sqlite_db_open(struct sqlite_db *db, const struct sqlite_db_config *config)
{
  int flags = SQLITE_OPEN_NOMUTEX;
  CHECK(db->handle == NULL);
  if (config->read_only || config->role == SQLITE_ROLE_READER)
    flags |= SQLITE_OPEN_READONLY;
  else
    flags |= SQLITE_OPEN_READWRITE | (config->create ? SQLITE_OPEN_CREATE : 0);
  int code = sqlite3_open_v2(config->path, &db->handle, flags, config->vfs);
  if (code == SQLITE_OK)
    code = set_up(db, config);
  if (code != SQLITE_OK)
    sqlite_db_close(db);
  return code;
}

void sqlite_db_close(struct sqlite_db *db)
{
  for (unsigned i = 0; i < SQL_COUNT; i++) {
    (void)sqlite3_finalize(db->statements[i]);
    db->statements[i] = NULL;
  }
  if (db->journal != NULL)
    for (unsigned i = 0; i < (unsigned)JOURNAL_COUNT << db->partition_bits; i++)
      (void)sqlite3_finalize(db->journal[i]);
  rt_free(db->journal);
  db->journal = NULL;
  if (db->handle != NULL) {
    int code = sqlite3_close(db->handle);
    CHECK(code == SQLITE_OK); /* every statement is in the tables above */
  }
  db->handle = NULL;
}

/* ---- statements ------------------------------------------------------------------------------ */

static sqlite3_stmt *prepare(struct sqlite_db *db, const char *text)
{
  sqlite3_stmt *statement = NULL;
  if (db->handle == NULL || sqlite3_prepare_v3(db->handle, text, -1, SQLITE_PREPARE_PERSISTENT,
                                               &statement, NULL) != SQLITE_OK)
    return NULL;
  return statement;
}

sqlite3_stmt *sqlite_db_use(struct sqlite_db *db, enum sqlite_statement id)
{
  CHECK(id < SQL_COUNT);
  sqlite3_stmt **slot = &db->statements[id];
  if (*slot == NULL)
    *slot = prepare(db, TEXTS[id]);
  else
    (void)sqlite3_reset(*slot);
  return *slot;
}

sqlite3_stmt *sqlite_db_use_journal(struct sqlite_db *db, enum sqlite_journal_statement id,
                                    unsigned partition)
{
  CHECK(id < JOURNAL_COUNT);
  CHECK(partition >> db->partition_bits == 0);
  if (db->journal == NULL)
    db->journal = rt_alloc(((size_t)JOURNAL_COUNT << db->partition_bits) * sizeof(*db->journal));
  sqlite3_stmt **slot = &db->journal[partition * JOURNAL_COUNT + id];
  if (*slot != NULL) {
    (void)sqlite3_reset(*slot);
    return *slot;
  }
  char *text = sqlite3_mprintf(JOURNAL_TEXTS[id], partition);
  if (text != NULL)
    *slot = prepare(db, text);
  sqlite3_free(text);
  return *slot;
}

int sqlite_db_run(sqlite3_stmt *statement)
{
  int code = sqlite3_step(statement);
  while (code == SQLITE_ROW)
    code = sqlite3_step(statement);
  int end = sqlite3_reset(statement);
  if (code == SQLITE_DONE)
    return SQLITE_OK;
  return end != SQLITE_OK ? end : code;
}

int sqlite_db_do(struct sqlite_db *db, enum sqlite_statement id)
{
  return sqlite_db_run(sqlite_db_use(db, id));
}

int sqlite_db_text(struct sqlite_db *db, const char *text)
{
  return sqlite3_exec(db->handle, text, NULL, NULL, NULL);
}

int64_t sqlite_db_integer(struct sqlite_db *db, const char *text, int64_t otherwise)
{
  sqlite3_stmt *statement = NULL;
  int64_t value = otherwise;
  if (sqlite3_prepare_v2(db->handle, text, -1, &statement, NULL) == SQLITE_OK &&
      sqlite3_step(statement) == SQLITE_ROW && sqlite3_column_type(statement, 0) == SQLITE_INTEGER)
    value = sqlite3_column_int64(statement, 0);
  (void)sqlite3_finalize(statement);
  return value;
}

enum store_status sqlite_status(int code)
{
  switch (code & 0xff) {
  case SQLITE_OK:
  case SQLITE_ROW:
  case SQLITE_DONE:
    return STORE_OK;
  case SQLITE_CORRUPT:
  case SQLITE_NOTADB:
    return STORE_CORRUPT;
  default:
    return STORE_UNAVAILABLE;
  }
}

bool sqlite_is_duplicate(int code)
{
  return code == SQLITE_CONSTRAINT_PRIMARYKEY || code == SQLITE_CONSTRAINT_ROWID ||
         code == SQLITE_CONSTRAINT_UNIQUE;
}

uint64_t sqlite_clock_us(void)
{
  struct timespec now;
  int failed = clock_gettime(CLOCK_MONOTONIC, &now);
  CHECK(failed == 0);
  return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

/* ---- columns --------------------------------------------------------------------------------- */

void sqlite_amount_put(hf_amount amount, uint8_t out[SQLITE_AMOUNT_SIZE])
{
  hf_uamount bits = (hf_uamount)amount ^ ((hf_uamount)1 << 127);
  for (unsigned i = SQLITE_AMOUNT_SIZE; i-- > 0; bits >>= 8)
    out[i] = (uint8_t)bits;
}

void sqlite_bind_id(sqlite3_stmt *statement, int column, uint64_t value)
{
  CHECK(value <= INT64_MAX);
  (void)sqlite3_bind_int64(statement, column, (sqlite3_int64)value);
}

void sqlite_bind_time(sqlite3_stmt *statement, int column, int64_t value)
{
  (void)sqlite3_bind_int64(statement, column, value);
}

void sqlite_bind_bytes(sqlite3_stmt *statement, int column, const void *at, size_t size)
{
  (void)sqlite3_bind_blob64(statement, column, at, size, SQLITE_STATIC);
}

void sqlite_bind_text(sqlite3_stmt *statement, int column, struct store_text text)
{
  if (text.at == NULL)
    (void)sqlite3_bind_null(statement, column);
  else
    (void)sqlite3_bind_text64(statement, column, text.at, text.size, SQLITE_STATIC, SQLITE_UTF8);
}

void sqlite_bind_chars(sqlite3_stmt *statement, int column, const char *text)
{
  sqlite_bind_text(statement, column, (struct store_text){text, strlen(text)});
}

void sqlite_bind_amount(sqlite3_stmt *statement, int column, hf_amount amount,
                        uint8_t room[SQLITE_AMOUNT_SIZE])
{
  sqlite_amount_put(amount, room);
  sqlite_bind_bytes(statement, column, room, SQLITE_AMOUNT_SIZE);
}

uint64_t sqlite_column_unsigned(struct sqlite_row *row, int column, uint64_t max)
{
  sqlite3_int64 value = sqlite3_column_int64(row->statement, column);
  if (sqlite3_column_type(row->statement, column) != SQLITE_INTEGER || value < 0 ||
      (uint64_t)value > max) {
    row->corrupt = true;
    return 0;
  }
  return (uint64_t)value;
}

int64_t sqlite_column_time(struct sqlite_row *row, int column)
{
  if (sqlite3_column_type(row->statement, column) != SQLITE_INTEGER)
    row->corrupt = true;
  return sqlite3_column_int64(row->statement, column);
}

void sqlite_column_bytes(struct sqlite_row *row, int column, void *out, size_t size)
{
  const void *at = sqlite3_column_blob(row->statement, column);
  if (at == NULL || (size_t)sqlite3_column_bytes(row->statement, column) != size) {
    row->corrupt = true;
    memset(out, 0, size);
    return;
  }
  memcpy(out, at, size);
}

hf_amount sqlite_column_amount(struct sqlite_row *row, int column)
{
  uint8_t bytes[SQLITE_AMOUNT_SIZE];
  hf_uamount bits = 0;
  sqlite_column_bytes(row, column, bytes, sizeof(bytes));
  for (unsigned i = 0; i < SQLITE_AMOUNT_SIZE; i++)
    bits = bits << 8 | bytes[i];
  return (hf_amount)(bits ^ ((hf_uamount)1 << 127));
}

struct store_text sqlite_column_text(struct sqlite_row *row, int column, struct hf_arena *arena)
{
  if (sqlite3_column_type(row->statement, column) == SQLITE_NULL)
    return (struct store_text){NULL, 0};
  const char *text = (const char *)sqlite3_column_text(row->statement, column);
  if (text == NULL) {
    row->corrupt = true;
    return (struct store_text){NULL, 0};
  }
  size_t size = (size_t)sqlite3_column_bytes(row->statement, column);
  return (struct store_text){hf_arena_text(arena, text, size), size};
}

void sqlite_column_chars(struct sqlite_row *row, int column, char *out, size_t room)
{
  const char *text = (const char *)sqlite3_column_text(row->statement, column);
  size_t size = (size_t)sqlite3_column_bytes(row->statement, column);
  if (text == NULL || size >= room) {
    row->corrupt = true;
    size = 0;
  }
  if (size > 0)
    memcpy(out, text, size);
  memset(out + size, 0, room - size);
}
