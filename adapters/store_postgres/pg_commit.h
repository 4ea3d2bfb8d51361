/* pg_commit.h - a commit's talk, in parts. Internal.
 *
 * First round: the batches, then the journal, then whatever else the commit has, one statement for
 * each kind of row. When the server refuses it, a second round asks why, and a third brings the ops
 * whose keys are known already. Owner: the talk; memory is of the request's arena. */
#ifndef HOLDFAST_PG_COMMIT_H
#define HOLDFAST_PG_COMMIT_H

#include "adapters/store_postgres/pg_talk.h"

/* ---- rows beside the journal: pg_commit_rows.c ----------------------------------------------- */

#define PG_ROW_TABLES (STORE_T_META + 1u)
#define PG_ROW_KEY 40u

struct pg_commit_row {
  const struct store_row *row;
  uint32_t unit;           /* index in the request */
  bool there;              /* in the database, before this commit; set by the judge */
  uint8_t key[PG_ROW_KEY]; /* of its table's primary key; only when the list is sorted */
};
struct pg_commit_list {
  struct pg_commit_row *at; /* in order of the units; sorted: by key, then by that order */
  size_t count;
  bool sorted; /* always when some are no inserts */
};
struct pg_commit_rows {
  unsigned partition_bits;
  struct hf_arena *arena;
  struct pg_commit_list lists[PG_ROW_TABLES];
};

void pg_commit_rows_init(struct pg_commit_rows *rows, struct store_request *request,
                         unsigned partition_bits);
/* Adds the statements that write them: what a commit does to a row one after the other is done at
 * once. False: some cannot be written, whatever the database has. */
bool pg_commit_rows_put(struct pg_commit_rows *rows, struct pg_round *round);
/* Adds a statement that asks which rows of the table are there; false: it has none to ask about. */
bool pg_commit_rows_ask(struct pg_commit_rows *rows, unsigned table, struct pg_round *round);
/* Its answer; false: corrupt. */
bool pg_commit_rows_there(struct pg_commit_rows *rows, unsigned table, const PGresult *result);
/* With all `there` known: the first unit (lowest index) with a row that conflicts; UINT32_MAX:
 * none. */
uint32_t pg_commit_rows_conflict(const struct pg_commit_rows *rows);

/* ---- why a commit was refused: pg_commit_judge.c --------------------------------------------- */

struct pg_judge;
struct pg_judge *pg_judge_new(struct pg_talk *talk, struct pg_commit_rows *rows);
/* The round that asks. */
void pg_judge_ask(struct pg_judge *judge, struct pg_round *round);
void pg_judge_take(struct pg_judge *judge, unsigned step, const PGresult *result);
/* STORE_OK: nothing speaks against the commit. HIT: the units' status says which, and their ops are
 * to be loaded. Else the request's status; a unit that conflicts has its own. */
enum store_status pg_judge_verdict(struct pg_judge *judge);

/* Adds the arrays that name the keys of units: partition, user, key. */
void pg_commit_keys(struct pg_round *round, struct store_unit *const *units, const uint32_t *which,
                    size_t count);
const struct hf_digest *pg_unit_key(const struct store_unit *unit); /* NULL: it has none */
hf_id pg_unit_user(const struct store_unit *unit);

/* ---- ops of known keys: pg_commit_hits.c ----------------------------------------------------- */

struct pg_hits;
struct pg_hits *pg_hits_new(struct pg_talk *talk);
/* Adds the next rounds' statements; false: all units that hit have their op, or *ret_status says
 * why not. */
bool pg_hits_next(struct pg_hits *hits, struct pg_round *round, enum store_status *ret_status);
void pg_hits_take(struct pg_hits *hits, unsigned step, const PGresult *result);
void pg_hits_failed(struct pg_hits *hits, const struct pg_failure *failure);
/* Gives up: no unit is a hit any more. */
void pg_hits_abandon(struct pg_hits *hits);

#endif
