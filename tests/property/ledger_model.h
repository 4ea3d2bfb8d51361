/* ledger_model.h - a second, naive ledger of one user, written from the rules and not from the
 * code: it shares nothing with actors/ledger but the numbers and names that are on the wire.
 *
 * All accounts, the system's too, are plain credit-normal sums: every post takes from one and adds
 * to another, so that each asset's row adds up to zero by itself. What the user owes is a negative
 * sum in the debt account. Holds, blocks and ops are kept for ever. */
#ifndef HOLDFAST_TESTS_LEDGER_MODEL_H
#define HOLDFAST_TESTS_LEDGER_MODEL_H

#include <stdbool.h>
#include <stdint.h>

__extension__ typedef __int128 model_sum;

#define MODEL_ASSETS 4 /* the last is in no catalog */
#define MODEL_ACCOUNTS 26
#define MODEL_OPS_MAX 1200

enum model_thing { MODEL_NOTHING, MODEL_HOLD, MODEL_BLOCK };
enum model_state { MODEL_OPEN, MODEL_DONE, MODEL_LAPSED };

struct model_op { /* everything that was applied, by its number */
  int type, asset, from, to;
  model_sum amount, reversed;
  /* what it opened */
  enum model_thing opened;
  enum model_state state;
  model_sum left;
  int bucket;
  int64_t expires_us;
};

struct model {
  model_sum sum[MODEL_ASSETS][MODEL_ACCOUNTS];
  model_sum spent[MODEL_ASSETS];
  bool closed;
  int64_t entries;
  int64_t recorded_us;
  int ops_count;
  int posts_count; /* of the newest op */
  struct model_op ops[MODEL_OPS_MAX];
};

struct model_request {
  int type, asset, bucket;
  bool asset_named, amount_named, final, payee_closed, payee_is_self, from_chain, too_fine;
  model_sum amount;
  int op;          /* what it refers to; -1: nothing that is there */
  int64_t version; /* -1: any */
  int64_t now_us;
  uint32_t timeout_s;
};

/* Applies the request; the wire code of the refusal, or "ok". */
const char *model_apply(struct model *model, const struct model_request *request);

#endif
