/* sqlite_db.h - one connection: its settings, its prepared statements, its columns.
 *
 * Owner: whoever holds the struct; one thread at a time. Statements are prepared on first use and
 * stay. A statement that could not be prepared is NULL: SQLite answers SQLITE_MISUSE to every call
 * on it, which reads as STORE_UNAVAILABLE. Values are bound without a copy (SQLITE_STATIC): they
 * must live until the statement was stepped. */
#ifndef HOLDFAST_SQLITE_DB_H
#define HOLDFAST_SQLITE_DB_H

#include <sqlite3.h>

#include "actors/store/port.h"
#include "adapters/store_sqlite/sqlite_statements.h"

enum sqlite_statement {
#define X(name, text) SQL_##name,
  SQLITE_STATEMENTS(X)
#undef X
    SQL_COUNT
};
/* Statements on one partition's journal table. */
enum sqlite_journal_statement {
#define X(name, text) JOURNAL_##name,
  SQLITE_JOURNAL_STATEMENTS(X)
#undef X
    JOURNAL_COUNT
};

struct sqlite_db {
  sqlite3 *handle; /* NULL: closed */
  unsigned partition_bits;
  uint8_t secret[STORE_SECRET_SIZE]; /* the writer's; see struct store_engine */
  sqlite3_stmt *statements[SQL_COUNT];
  sqlite3_stmt **journal; /* JOURNAL_COUNT for each partition, once one is used */
};

enum sqlite_role { SQLITE_ROLE_WRITER, SQLITE_ROLE_READER, SQLITE_ROLE_CHECKPOINTER };

struct sqlite_db_config {
  const char *path;
  const char *vfs;
  enum sqlite_role role;
  bool read_only;
  bool create;
  size_t cache_bytes; /* writer only */
};

/* Returns an SQLite result code; the connection is closed when it is not SQLITE_OK. */
int sqlite_db_open(struct sqlite_db *db, const struct sqlite_db_config *config);
void sqlite_db_close(struct sqlite_db *db);

/* The statement, reset and ready to be bound. */
sqlite3_stmt *sqlite_db_use(struct sqlite_db *db, enum sqlite_statement id);
sqlite3_stmt *sqlite_db_use_journal(struct sqlite_db *db, enum sqlite_journal_statement id,
                                    unsigned partition);
/* Steps a statement that gives no row, and resets it. Returns the extended result code, SQLITE_OK
 * when it is done. */
int sqlite_db_run(sqlite3_stmt *statement);
/* Runs a statement without parameters. */
int sqlite_db_do(struct sqlite_db *db, enum sqlite_statement id);
/* Runs statements given as text. */
int sqlite_db_text(struct sqlite_db *db, const char *text);
/* The first column of the first row of `text`, an integer; `otherwise` when there is none. */
int64_t sqlite_db_integer(struct sqlite_db *db, const char *text, int64_t otherwise);

/* What a failed call means to who asked. SQLITE_OK, ROW and DONE are STORE_OK. */
enum store_status sqlite_status(int code);
/* A primary key, rowid or unique constraint was hit. */
bool sqlite_is_duplicate(int code);
/* Monotonic clock, for how long a commit took. */
uint64_t sqlite_clock_us(void);

/* ---- binding and reading of columns ---------------------------------------------------------- */

#define SQLITE_AMOUNT_SIZE 16u
/* Big-endian two's complement with the sign bit flipped: blobs sort as the numbers do. */
void sqlite_amount_put(hf_amount amount, uint8_t out[SQLITE_AMOUNT_SIZE]);

void sqlite_bind_id(sqlite3_stmt *statement, int column, uint64_t value);
void sqlite_bind_time(sqlite3_stmt *statement, int column, int64_t value);
void sqlite_bind_bytes(sqlite3_stmt *statement, int column, const void *at, size_t size);
void sqlite_bind_text(sqlite3_stmt *statement, int column, struct store_text text); /* or NULL */
void sqlite_bind_chars(sqlite3_stmt *statement, int column, const char *text);
void sqlite_bind_amount(sqlite3_stmt *statement, int column, hf_amount amount,
                        uint8_t room[SQLITE_AMOUNT_SIZE]);

/* A row as it is read: the first column of an impossible value sets `corrupt`. */
struct sqlite_row {
  sqlite3_stmt *statement;
  bool corrupt;
};
uint64_t sqlite_column_unsigned(struct sqlite_row *row, int column, uint64_t max);
int64_t sqlite_column_time(struct sqlite_row *row, int column);
void sqlite_column_bytes(struct sqlite_row *row, int column, void *out, size_t size);
hf_amount sqlite_column_amount(struct sqlite_row *row, int column);
struct store_text sqlite_column_text(struct sqlite_row *row, int column, struct hf_arena *arena);
/* NUL-terminated into `out` of `room` bytes. */
void sqlite_column_chars(struct sqlite_row *row, int column, char *out, size_t room);

#endif
