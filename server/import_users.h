/* import_users.h - users of a file that are in use now, and which of their rows may go.
 *
 * Pure but for memory; one thread. What it keeps: every row ends as it would if all were done one
 * after the other in the order of their numbers, although most are under way side by side, and
 * although one may come back undone and be started again behind later ones.
 * - Rows of a user are started in order; its first goes alone.
 * - A row is *sure* when nothing can change its end: it takes nothing, or its user has the funds by
 *   now, whatever else is under way. Sure rows go beside others.
 * - Any other goes alone, when all earlier rows that bring its user something are done.
 * - A transfer is *released* by its payee when each earlier row of that one is sure or done: money
 *   must not come before a row that was to find it missing.
 * Every wait is for a smaller number, so there is no deadlock.
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
  hf_amount floor;                 /* it surely has that much to spend, but for ... */
  hf_amount debits;                /* ... what its rows under way take */
  uint64_t floor_version;          /* of the user when the floor was told */
  struct import_row *first, *last; /* its own, not started */
  struct import_row *back;         /* started, and to be started again */
  struct import_row *taker;        /* the first of those that is not sure yet */
  uint64_t unsure;                 /* number of the one that is under way and not sure; 0: none */
  struct import_row *awaited_first, *awaited_last; /* that name it as payee, in order */
  struct import_row *gate;                         /* the first of those that is not released */
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
void import_users_started(struct import_users *users, struct import_row *row);
/* It came back undone: its user is halted. import_users_resume starts it again, once none of its
 * rows is under way. */
void import_users_back(struct import_row *row);
void import_users_resume(struct import_users *users, struct import_user *user);
/* A started row was applied: that is the payer's version, and what it has to spend, after it.
 * Before import_users_done. What it brings its payee is not counted there: the payee's next row may
 * know of it already. */
void import_users_applied(struct import_row *row, uint64_t version, hf_amount left);
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
