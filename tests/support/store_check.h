/* store_check.h - what an engine reads back, held against the world's model. */
#ifndef HOLDFAST_TESTS_STORE_CHECK_H
#define HOLDFAST_TESTS_STORE_CHECK_H

#include "tests/support/store_world.h"

/* STORE_LOAD_USER, which must be STORE_OK; the caller frees the request. */
struct store_request *check_load(struct store_world *world, const struct world_user *user);
/* STORE_GET_OP; likewise. */
struct store_request *check_get_op(struct store_world *world, hf_id id, bool entry,
                                   enum store_status status);
/* Equal in canonical bytes, id and hash. */
void check_entry(const struct ledger_entry *read, const struct ledger_entry *model);
/* Equal byte for byte; expected == NULL: SQL NULL. */
void check_text(struct store_text text, const char *expected);
/* Everything in the loaded user is what the model has. */
void check_loaded(struct store_world *world, const struct world_user *user);

#endif
