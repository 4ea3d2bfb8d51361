/* sqlite_rows.h - from columns to the structs of port.h, and the small reads that others are made
 * of. Every function runs within a transaction of the caller, on the caller's connection.
 *
 * Answers: STORE_OK, STORE_NOT_FOUND, STORE_UNAVAILABLE, STORE_CORRUPT (a row that this program
 * cannot have written). What a result points to lies in the arena given. */
#ifndef HOLDFAST_SQLITE_ROWS_H
#define HOLDFAST_SQLITE_ROWS_H

#include "adapters/store_sqlite/sqlite_db.h"

/* Order of a user among all: by partition, then by serial. */
static inline uint64_t sqlite_order(hf_id id, unsigned partition_bits)
{
  uint64_t serial = id >> partition_bits;
  CHECK(serial >> SQLITE_ORDER_SHIFT == 0);
  return (id & ((1ull << partition_bits) - 1u)) << SQLITE_ORDER_SHIFT | serial;
}
/* Smallest and largest order in a partition. */
static inline uint64_t sqlite_order_start(unsigned partition)
{
  return (uint64_t)partition << SQLITE_ORDER_SHIFT;
}
static inline uint64_t sqlite_order_end(unsigned partition)
{
  return sqlite_order_start(partition) | ((1ull << SQLITE_ORDER_SHIFT) - 1u);
}

/* The current row of a statement that selects the table's SQLITE_..._COLUMNS. */
void sqlite_row_user(struct sqlite_row *row, unsigned partition_bits, struct hf_arena *arena,
                     struct store_user_row *ret_user);
void sqlite_row_name(struct sqlite_row *row, struct store_name_row *ret_name);
void sqlite_row_hold(struct sqlite_row *row, struct store_hold_row *ret_hold);
void sqlite_row_block(struct sqlite_row *row, struct store_block_row *ret_block);
void sqlite_row_transfer(struct sqlite_row *row, struct store_transfer_row *ret_transfer);
void sqlite_row_outcome(struct sqlite_row *row, struct store_outcome *ret_outcome);
void sqlite_row_batch(struct sqlite_row *row, struct store_batch *ret_batch);
/* A journal row; `ret_body` may be NULL. */
void sqlite_row_entry(struct sqlite_row *row, const struct sqlite_db *db, unsigned partition,
                      struct hf_arena *arena, struct ledger_entry *ret_entry,
                      struct store_text *ret_body);

/* Steps a statement that gives at most one row: STORE_OK when it is there. The caller reads it and
 * resets the statement by its next use. */
enum store_status sqlite_first(sqlite3_stmt *statement);

enum store_status sqlite_get_user(struct sqlite_db *db, hf_id id, struct hf_arena *arena,
                                  struct store_user_row *ret_user);
enum store_status sqlite_user_exists(struct sqlite_db *db, hf_id id, bool *ret_found);
enum store_status sqlite_get_entry(struct sqlite_db *db, hf_id id, struct hf_arena *arena,
                                   struct ledger_entry *ret_entry);
/* Metadata of an op; NULL text when there is none or it was erased. ret_salt may be NULL. */
enum store_status sqlite_get_metadata(struct sqlite_db *db, hf_id op, struct hf_arena *arena,
                                      struct store_text *ret_json, struct store_salt *ret_salt);
enum store_status sqlite_get_reversals(struct sqlite_db *db, hf_id original, struct hf_arena *arena,
                                       struct store_reversal_row **ret_rows, size_t *ret_count);

/* user_index. A version without its row is STORE_CORRUPT: versions have no gaps. */
enum store_status sqlite_index_newest(struct sqlite_db *db, hf_id user, uint64_t *ret_version,
                                      hf_id *ret_entry); /* 0, 0: no entry yet */
enum store_status sqlite_index_version(struct sqlite_db *db, hf_id user, uint64_t version,
                                       hf_id *ret_entry);
enum store_status sqlite_index_has_keys(struct sqlite_db *db, hf_id user, bool *ret_any);

/* An op by its id, or by any entry's id; a refusal or an op by its key. STORE_OK: *ret_op is the
 * caller's, to be freed with store_op_free. */
enum store_status sqlite_load_op(struct sqlite_db *db, hf_id id, bool any_entry,
                                 struct store_op **ret_op);
enum store_status sqlite_load_key_op(struct sqlite_db *db, hf_id user, const struct hf_digest *key,
                                     struct store_op **ret_op);

#endif
