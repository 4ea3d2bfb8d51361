/* users.h - the users that a run works on, and how one is chosen for each op.
 *
 * Owner: struct users is filled before the threads start and read-only afterwards; a struct choice
 *        belongs to one thread. Limit: USERS_MAX. */
#ifndef BENCH_USERS_H
#define BENCH_USERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "random.h"

#define USERS_MAX 20000000u
#define USERS_FIELD 23u /* width of a padded JSON string that holds a user id */

/* A user id as JSON text, padded with spaces to a fixed width: white space between JSON tokens
 * means nothing, and so every pre-built request has one size whatever the id. */
struct user_text {
  char field[USERS_FIELD]; /* "123" with its quotes, then spaces */
  uint8_t digits;          /* size of the id without quotes */
};

struct users {
  struct user_text *texts;
  size_t count, room;
};

/* Adds an id of 1..21 visible characters without a quote; any other is refused with false. */
bool users_add(struct users *users, const char *id, size_t size);
/* Reads ids, one per line, at most count_max (0: all). Ends the process when it cannot. */
void users_read(struct users *users, const char *path, size_t count_max);
void users_write(const struct users *users, const char *path);
void users_deinit(struct users *users);

enum choice_kind {
  CHOICE_UNIFORM,
  CHOICE_ZIPF, /* exponent 1.0 over the order of the list */
  CHOICE_HOT,  /* always the first user */
  CHOICE_EACH  /* every user once, in order; then the run ends */
};

/* The draws of CHOICE_ZIPF, made before the run and shared by all threads. */
struct choice_table {
  uint32_t *draws;
  size_t count;
};

void choice_table_init(struct choice_table *table, size_t users_count, uint64_t seed);
void choice_table_deinit(struct choice_table *table);

struct choice {
  enum choice_kind kind;
  uint32_t users_count;
  const struct choice_table *table; /* CHOICE_ZIPF only */
  size_t at;                        /* next draw, or next user of CHOICE_EACH */
  size_t step;                      /* CHOICE_EACH: number of threads */
  struct random random;
};

/* Chooses the next user; false when CHOICE_EACH has no more. */
bool choice_next(struct choice *choice, uint32_t *ret_user);

#endif
