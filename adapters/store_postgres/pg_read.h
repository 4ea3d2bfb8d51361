/* pg_read.h - the talks of every request but the commit, and from columns to the structs of port.h.
 * Internal.
 *
 * A read's work begins with struct pg_reading. What it gives out is copied into the request's arena
 * (or the op's own). Owner: the session that runs the talk; one thread at a time.
 * Status: what was read is impossible: STORE_CORRUPT; a round that failed: STORE_UNAVAILABLE. */
#ifndef HOLDFAST_PG_READ_H
#define HOLDFAST_PG_READ_H

#include "adapters/store_postgres/pg_talk.h"

/* NULL for STORE_COMMIT. */
const struct pg_talk_ops *pg_read_talk_of(enum store_kind kind);

/* By file: pg_read_user.c, pg_read_op.c, pg_read_row.c, pg_read_list.c, pg_read_history.c,
 * pg_read_balance.c, pg_open.c, pg_lease.c, pg_project.c. */
extern const struct pg_talk_ops pg_load_user_talk, pg_op_talk, pg_row_talk, pg_list_talk,
  pg_entries_talk, pg_scan_talk, pg_balance_talk, pg_open_talk, pg_lease_talk, pg_project_talk;

struct pg_reading {
  uint8_t stage; /* the talk's own */
  bool failed;   /* a round was rolled back: the request stays STORE_UNAVAILABLE */
  bool corrupt;
};
/* The talk's work, made at its first call: zeroed, in the request's arena. */
void *pg_reading_work(struct pg_talk *talk, size_t size);
/* The `failed` of talks that do not try again. */
void pg_reading_failed(struct pg_talk *talk, const struct pg_failure *failure);
/* Sets the request's status; false, for `next`. */
bool pg_reading_end(struct pg_talk *talk, enum store_status status);
/* Neither failed nor corrupt; else `next` returns pg_reading_end(.., STORE_OK), which knows. */
bool pg_reading_sound(const struct pg_talk *talk);

static inline unsigned pg_partition(const struct pg_talk *talk, hf_id id)
{
  return hf_id_partition(id, talk->database->partition_bits);
}
static inline int64_t pg_serial(const struct pg_talk *talk, hf_id id)
{
  return (int64_t)hf_id_serial(id, talk->database->partition_bits);
}
/* A step whose first parameter is the partition. */
static inline void pg_round_in(struct pg_round *round, enum pg_statement statement,
                               unsigned partition)
{
  pg_round_add(round, statement);
  pg_arg_int2(round, (int)partition);
}

/* ---- rows: the columns of pg_statements_read.h, from the first ------------------------------- */

hf_id pg_get_id(struct pg_rows *rows, int column);
struct store_text pg_copy_text(struct pg_rows *rows, int column, struct hf_arena *arena);
/* NUL-terminated into `out` of `room` bytes. */
void pg_get_chars(struct pg_rows *rows, int column, char *out, size_t room);

void pg_row_user(struct pg_rows *rows, struct hf_arena *arena, struct store_user_row *ret_user);
void pg_row_name(struct pg_rows *rows, struct store_name_row *ret_name);
void pg_row_hold(struct pg_rows *rows, struct store_hold_row *ret_hold);
void pg_row_block(struct pg_rows *rows, struct store_block_row *ret_block);
void pg_row_transfer(struct pg_rows *rows, struct store_transfer_row *ret_transfer);
void pg_row_outcome(struct pg_rows *rows, struct store_outcome *ret_outcome);
void pg_row_batch(struct pg_rows *rows, struct store_batch *ret_batch);
/* From column `first` on. `ret_body` may be NULL; else a copy of the canonical bytes. */
void pg_row_entry(struct pg_rows *rows, int first, unsigned partition, unsigned partition_bits,
                  struct hf_arena *arena, struct ledger_entry *ret_entry,
                  struct store_text *ret_body);

/* The buckets and totals in the columns' order, as decimals with blanks between; returns the size.
 * `out` has room for HF_AMOUNT_TEXT_MAX each. */
size_t pg_balance_text(const struct ledger_balance *balance, char *out);

/* ---- the past of a user ---------------------------------------------------------------------- */

/* A search for the newest version that was recorded before a time. Versions have no gaps and their
 * times grow with them; each round asks for some of them and leaves a fraction of the range. */
struct pg_search {
  uint64_t low, high; /* it is one of low..high; low is recorded before the time, or 0 */
  int64_t before_us;
  unsigned asked;
};
static inline bool pg_search_done(const struct pg_search *search)
{
  return search->low == search->high;
}
void pg_search_ask(const struct pg_talk *talk, struct pg_search *search, hf_id user,
                   struct pg_round *round);
void pg_search_take(const struct pg_talk *talk, struct pg_search *search, struct pg_rows *rows);
/* One step: the entries of some versions of a user. */
void pg_ask_versions(const struct pg_talk *talk, hf_id user, const uint64_t *versions, size_t count,
                     struct pg_round *round);

#endif
