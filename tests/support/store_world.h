/* store_world.h - a small world over one store engine: users whose ops are real ledger commands.
 *
 * It does what the user actor and the store actor do together: judges a command against a model of
 * the user, stages the unit, numbers and hashes a batch per partition, and commits. The model keeps
 * what was committed, so that a test can compare what the engine reads back.
 * Owner: a test, one thread. Time: a clock that only world_commit and the test move. */
#ifndef HOLDFAST_TESTS_STORE_WORLD_H
#define HOLDFAST_TESTS_STORE_WORLD_H

#include "actors/store/port.h"
#include "actors/store/unit.h"

#define WORLD_START_US 1763700000000000
#define WORLD_SCALE 8u

struct world_partition {
  uint64_t epoch, next_batch, next_seq, next_serial;
  struct hf_hash head;
};

struct world_user {
  struct store_user_row row;
  struct ledger_user state;      /* staged = committed once world_commit returned STORE_OK */
  struct ledger_entry **history; /* by version - 1; id and hash set by the commit */
  size_t history_count, history_room;
};

struct world_unit { /* staged; `unit` is first */
  struct store_unit unit;
  struct world_user *user; /* NULL: rows only */
  enum hf_error error;     /* of the command */
};

struct store_world {
  struct store_engine *engine;
  unsigned bits;
  int64_t now_us;
  uint64_t keys; /* made so far */
  struct hf_arena arena;
  struct world_partition *partitions;
  struct world_user **users;
  size_t users_count, users_room;
  struct store_unit **staged;
  size_t staged_count, staged_room;
  struct ledger_result result;
};

/* Opens every partition. */
void world_init(struct store_world *world, struct store_engine *engine);
void world_deinit(struct store_world *world); /* not the engine */
/* Opens every partition again, as a new owner. */
void world_take_over(struct store_world *world);

/* ---- staging --------------------------------------------------------------------------------- */

/* A user that is staged for creation; texts may be NULL. */
struct world_user *world_user_add(struct store_world *world, uint32_t partition,
                                  const char *external_id, const char *profile);
/* The name that leads to a user with an external id, staged as a server keeps it. */
void world_name_add(struct store_world *world, const struct world_user *user);
/* A command with a new key; amount in base units, 0: not given. */
struct ledger_command world_command(struct store_world *world, uint8_t type, uint16_t asset,
                                    hf_amount amount);
/* The same about something earlier: asset comes from there. */
struct ledger_command world_command_ref(struct store_world *world, uint8_t type, hf_id ref,
                                        hf_amount amount);
/* Applies the command to the model and stages what follows, an outcome when it is refused. */
struct world_unit *world_stage(struct store_world *world, struct world_user *user,
                               const struct ledger_command *command);
/* Both in one: a command with a new key about an asset, or about something earlier. */
struct world_unit *world_simple(struct store_world *world, struct world_user *user, uint8_t type,
                                uint16_t asset, hf_amount amount);
struct world_unit *world_ref(struct store_world *world, struct world_user *user, uint8_t type,
                             hf_id ref, hf_amount amount);
/* The same with metadata beside the entries, if any; `json` is copied. */
struct world_unit *world_stage_meta(struct store_world *world, struct world_user *user,
                                    struct ledger_command *command, const char *json);
/* The reversal of a committed op of the user; amount 0: all that is left. */
struct world_unit *world_stage_reverse(struct store_world *world, struct world_user *user,
                                       hf_id original, hf_amount amount);
/* Stages rows alone; they are copied (not what they point to). */
struct world_unit *world_stage_rows(struct store_world *world, uint32_t partition,
                                    const struct store_row *rows, uint16_t rows_count);

/* The model as it is now, to go back to when what was staged is not committed. */
struct world_mark {
  struct world_user *user;
  struct ledger_user state;
  size_t history_count;
};
struct world_mark world_mark(struct world_user *user);
void world_back(struct world_mark *mark);

/* ---- committing ------------------------------------------------------------------------------ */

/* A commit request of all that is staged, one batch per partition, numbered and hashed. Staged is
 * empty afterwards; the units stay the world's. */
struct store_request *world_commit_build(struct store_world *world);
/* Goes on with the next numbers as if the request had been done, for one that is in flight. */
void world_commit_assume(struct store_world *world, const struct store_request *request);
/* Takes over what a request that is STORE_OK did: numbers, and the ids of new holds and blocks. */
void world_commit_done(struct store_world *world, const struct store_request *request);
/* Build, execute, done; the status. */
enum store_status world_commit(struct store_world *world);
/* The same, and it must be STORE_OK. */
void world_must_commit(struct store_world *world);

/* ---- reading --------------------------------------------------------------------------------- */

/* Executes and CHECKs that the status is `status`. */
void world_read(struct store_world *world, struct store_request *request, enum store_status status);
/* The id of the op of a committed unit. */
hf_id world_op(const struct world_unit *unit);

#endif
