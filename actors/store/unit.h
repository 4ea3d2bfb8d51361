/* unit.h - what every engine and the store actor need of units and batches. Pure. */
#ifndef HOLDFAST_STORE_UNIT_H
#define HOLDFAST_STORE_UNIT_H

#include "actors/store/port.h"

#define STORE_OP_ROWS_MAX 4u /* rows that the entries of one op can imply */

/* Rows that an op's entries imply (hold, block, reversal, transfer): derived here once, so that
 * the journal and these tables cannot disagree. `entries`: all of the op, in order of op_index;
 * what the op resolves is named by the entries with a `ref`, the last of which says what is left
 * of it. Fills `rows` (room for STORE_OP_ROWS_MAX) with the op's own id as 0 until numbered;
 * returns how many. What a credit or a bounce does to its transfer is not among them: that row is
 * the transit actor's. */
unsigned store_rows_of_op(const struct ledger_entry *entries, size_t entries_count,
                          struct store_row *rows);

/* Gives the unit's entries the sequence numbers first_seq.. of its partition, and every row that
 * waits for the op's id that id: inserts of a hold, block or transfer, reversal.op, meta.op, and
 * transfer.credit of an update that ends the transit. May be called again with other numbers when
 * the first batch did not commit. */
void store_unit_number(struct store_unit *unit, uint64_t first_seq, unsigned partition_bits);

/* Hash of a batch: SHA-256 over the canonical bytes of (format byte 1, previous hash, partition,
 * number, epoch, first_seq, entries_count, outcomes_count, committed_us), then the SHA-256 of all
 * its entry hashes in order of seq, then the SHA-256 of its outcomes' canonical bytes in order
 * (user, key, request, wire code, type, version, recorded_us). Rows are not in it: those that
 * matter follow from the entries. Hashes, keys and the format byte stand as they are, numbers are
 * varints, times zigzag varints, the wire code is a blob, the type a byte. */
struct store_batch_hasher {
  struct hf_hasher entries;
  struct hf_hasher outcomes;
};
void store_batch_begin(struct store_batch_hasher *hasher);
void store_batch_entry(struct store_batch_hasher *hasher, const struct hf_hash *entry_hash);
void store_batch_outcome(struct store_batch_hasher *hasher, const struct store_outcome *outcome);
/* Sets batch->hash from its other fields and what was added. */
void store_batch_end(struct store_batch_hasher *hasher, struct store_batch *batch);

#endif
