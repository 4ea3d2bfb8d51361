/* import_users.h - users of a file that are in use now, and which of their rows may go.
 *
 * Pure but for memory; one thread. The order that it keeps: rows of a user are started in order of
 * their numbers. One that takes something waits until every earlier row that brings its user
 * something from another one is done, and until those of its user's own rows that it may need are:
 * a row under way can come back undone and be started again behind it. So balances are at each
 * step what the file's order makes them, while rows that do not touch each other, and rows whose
 * funds are surely there, are under way side by side. A user's first row goes alone.
 * Limit: IMPORT_USERS_MAX are remembered; of those without rows the oldest are forgotten first. */
#ifndef HOLDFAST_IMPORT_USERS_H
#define HOLDFAST_IMPORT_USERS_H

#include "server/import_map.h"

#define uthash_malloc(size) rt_alloc(size)
#define uthash_free(block, size) rt_free(block)
#include <uthash.h>

#define IMPORT_USERS_MAX 500000u
#define IMPORT_PIPELINE_MAX 4096u /* rows of one user under way */

enum import_user_state {
  IMPORT_USER_NEW, /* nobody was asked yet */
  IMPORT_USER_ASKED,
  IMPORT_USER_KNOWN,  /* id is set */
  IMPORT_USER_FAILED, /* error is set: its rows cannot be imported */
};

struct import_user {
  UT_hash_handle hh;
  hf_id id;
  uint8_t state; /* enum import_user_state */
  bool halted;   /* a row came back: nothing more goes until all are back and it was waited */
  bool is_ready; /* in the list of import_users_ready */
  enum hf_error error;
  uint32_t rows;                   /* that name it and are not done */
  uint32_t in_flight;              /* of its own rows */
  uint64_t answered;               /* largest number of its own rows that are done */
  bool warm;                       /* a row of it was done: its actor is awake */
  bool in_debt;                    /* what it gets may go to the debt first */
  hf_amount floor;                 /* it surely has that much to spend, but for ... */
  hf_amount debits;                /* ... what its rows under way take */
  struct import_row *first, *last; /* its own, not started */
  struct import_row *back;         /* started, and to be started again */
  struct import_row *awaited_first, *awaited_last; /* that name it as payee, in order */
  struct import_user *next_ready;
  struct import_user *next_asleep; /* the caller's own list */
  bool is_asleep;
  struct import_user *newer, *older; /* among those without rows */
  char external_id[];
};

struct import_users {
  struct import_user *all;
  struct import_user *ready_first, *ready_last;
  struct import_user *newest, *oldest; /* without rows */
  uint64_t seen; /* made in this list, those forgotten and met again included */
};

/* Takes the row over: it is of its users until import_users_done. */
void import_users_add(struct import_users *users, struct import_row *row);
/* The user's next row, if it may be started now; it stays where it is. Also the rows of a failed
 * user, or to one. */
struct import_row *import_users_startable(const struct import_user *user);
/* That row was sent. */
void import_users_started(struct import_row *row);
/* It came back undone: its user is halted. import_users_resume starts it again, once none of its
 * rows is under way. */
void import_users_back(struct import_row *row);
void import_users_resume(struct import_users *users, struct import_user *user);
/* A started row was applied, and left the payer with this balance. Before import_users_done. */
void import_users_applied(struct import_row *row, const struct ledger_balance *after);
/* The row is over (started or not): whoever waited for it is ready. Frees it. */
void import_users_done(struct import_users *users, struct import_row *row);
/* The user became known or failed: its rows, and those to it, may go. */
void import_users_found(struct import_users *users, struct import_user *user);
/* A user to look at again with startable; NULL: none. */
void import_users_ready(struct import_users *users, struct import_user *user);
struct import_user *import_users_take_ready(struct import_users *users);
/* Rows that are not done are freed too. */
void import_users_free(struct import_users *users);

#endif
