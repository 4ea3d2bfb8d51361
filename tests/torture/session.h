/* session.h - a scripted session over all actors: users, assets, keys, an op of each type, groups,
 * crowds, transfers, an expiry, refusals. Its client repeats with the same key what it is told to
 * repeat, and insists on the outcome that the script expects.
 *
 * Owner: a test over tests/sim/actor_fixture.h; virtual time. Every check is cmocka's. */
#ifndef HOLDFAST_TESTS_SESSION_H
#define HOLDFAST_TESTS_SESSION_H

#include "tests/sim/actor_fixture.h"

/* Holds are swept; one user at a time stays awake on a loop, so that users are read often. */
#define SESSION_CONFIG(number)                                                                     \
  ((struct fixture_config){.seed = (number), .sweep_every_us = 700000, .live_actors_max = 10})

enum { SESSION_USERS = 3, SESSION_STEPS_MAX = 64 };

struct session {
  struct fixture *fixture;
  hf_id users[SESSION_USERS];
  struct outcome outcomes[SESSION_STEPS_MAX]; /* by the number of the step */
  unsigned repeats;                           /* answers that said "again" */
};

/* Must give the same after the same session, whatever failed meanwhile. */
struct session_result {
  struct ledger_balance balances[SESSION_USERS];
  int64_t accounts[LEDGER_ACCOUNT_COUNT];
  unsigned types[LEDGER_TYPE_COUNT];
};

/* Sends all of it and waits for every answer. `prefix` makes the names and keys of a session its
 * own. */
void session_run(struct session *session, struct fixture *fixture, const char *prefix);
/* Repeats every op: the journal knows each, with the outcome that was told. */
void session_repeat(struct session *session, const char *prefix);
/* Waits until nothing is in transit, and looks. */
struct session_result session_look(struct session *session);
/* What a session has in the end when nothing fails; its prefix is "t". */
struct session_result session_reference(void);
void session_compare(const struct session_result *result, const struct session_result *expected);

#endif
