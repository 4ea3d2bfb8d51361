/* sqlite_write.h - one unit's statements. Writer thread, within a transaction of the caller. */
#ifndef HOLDFAST_SQLITE_WRITE_H
#define HOLDFAST_SQLITE_WRITE_H

#include "adapters/store_sqlite/sqlite_db.h"

/* STORE_FENCED: the number is taken. STORE_UNAVAILABLE, STORE_CORRUPT: the store failed. */
enum store_status sqlite_write_batch(struct sqlite_db *db, const struct store_batch *batch);
/* Likewise. STORE_FENCED: a sequence number or a version is taken. STORE_CONFLICT: a row exists or
 * misses. STORE_HIT: the key is known, although nobody asked for it to be probed. `batch`: the
 * number of the batch of the unit's partition. */
enum store_status sqlite_write_unit(struct sqlite_db *db, const struct store_unit *unit,
                                    uint64_t batch);

/* Notes a backdated entry for the effective axis. Returns an SQLite result code. */
int sqlite_write_backdated(struct sqlite_db *db, const struct ledger_entry *entry, uint64_t seq);

/* Inserts a row that a repair makes anew. */
enum store_status sqlite_write_hold(struct sqlite_db *db, const struct store_hold_row *hold);
enum store_status sqlite_write_block(struct sqlite_db *db, const struct store_block_row *block);

#endif
