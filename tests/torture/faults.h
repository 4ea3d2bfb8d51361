/* faults.h - between the actors and their store: the n-th call fails, in one of several manners.
 *
 * Two seams: the port (submit has no room) and the engine behind it (a commit or a read comes back
 * with a status). Counting starts at faults_arm. Nothing fails in a way that an engine could not:
 * what is refused was not done, what is unknown was done or not, a conflict names a unit.
 * Owner: a test over tests/sim/actor_fixture.h; one thread. */
#ifndef HOLDFAST_TESTS_FAULTS_H
#define HOLDFAST_TESTS_FAULTS_H

#include "tests/sim/actor_fixture.h"

/* X(NAME, what happens to the call) */
#define FAULTS(X)                                                                                  \
  X(NONE, "nothing: the calls are counted")                                                        \
  X(AGAIN, "the port has no room")                                                                 \
  X(UNAVAILABLE, "not done")                                                                       \
  X(UNKNOWN_DONE, "a commit: done, and its answer lost; another call: not done")                   \
  X(UNKNOWN_LOST, "a commit: not done, and nobody knows; another call: not done")                  \
  X(FENCED, "a commit, an opening: another writer is said to be there; a read: not done")          \
  X(CONFLICT, "a commit: its first unit is in the way of something; another call: not done")       \
  X(DONE_REFUSED, "an opening or a projection: done, and yet refused; another call: not done")     \
  X(CORRUPT, "a read: what was read is impossible; another call: not done")
enum fault {
#define X(name, text) FAULT_##name,
  FAULTS(X)
#undef X
    FAULT_COUNT
};
const char *fault_text(enum fault fault);

struct faults {
  struct store_engine engine; /* what the fixture has for its disk; first */
  struct store_engine *inner;
  struct store_port port; /* in front of the fixture's */
  struct store_port *behind;
  struct fixture *fixture;
  enum fault fault;
  unsigned first, count; /* calls first .. first + count - 1 fail, from 1 */
  unsigned calls;        /* since faults_arm, of the seam that the fault belongs to */
  unsigned struck;
};

/* Puts itself between the fixture and its disk; and before its port, until the fixture crashes. */
void faults_init(struct faults *faults, struct fixture *fixture);
/* The fixture has its disk and its port again. */
void faults_deinit(struct faults *faults);
void faults_arm(struct faults *faults, enum fault fault, unsigned first, unsigned count);
/* From now on nothing fails. */
void faults_heal(struct faults *faults);

#endif
