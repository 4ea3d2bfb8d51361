/* plan.h - inside the ledger: a command while it is judged.
 *
 * Nothing of the user changes while a plan is made. The moves are written straight into the
 * result's entries, each with the balance after it; when the plan is refused they are forgotten. */
#ifndef HOLDFAST_LEDGER_PLAN_H
#define HOLDFAST_LEDGER_PLAN_H

#include "actors/ledger/ledger.h"

struct plan;

enum plan_ref { PLAN_REF_NONE, PLAN_REF_HOLD, PLAN_REF_BLOCK, PLAN_REF_ORIGINAL };

/* How a type of command is judged: a row of apply.c's table. */
struct plan_rule {
  enum hf_error (*make)(struct plan *plan); /* transition and funds; adds the moves */
  uint8_t from, to;                         /* of plan_direct */
  uint8_t ref;          /* enum plan_ref: what it refers to, and takes its asset from */
  bool when_closed;     /* allowed for a closed user */
  bool by_server;       /* its asset comes from a durable record, not from a caller */
  bool amount_optional; /* absent: all that is left of the reference */
};

struct plan {
  const struct plan_rule *rule;
  const struct ledger_user *user;
  const struct ledger_command *command;
  int64_t now_us; /* ledger_user_time */
  struct ledger_result *result;
  const struct ledger_asset *in;    /* the asset as the user has it; NULL: no entry in it yet */
  const struct ledger_hold *hold;   /* what the command refers to, when it is a hold */
  const struct ledger_block *block; /* when it is a block */
  hf_amount left;                   /* of what it refers to: remaining, or not reversed yet */
  hf_amount amount;                 /* in base units; negative only in an adjustment */
  uint16_t asset;
  uint8_t moves_count;
  bool opens_hold, opens_block;
};

/* Adds a move, with what is left of the reference after it. */
MUST_CHECK enum hf_error plan_move(struct plan *plan, unsigned from, unsigned to, hf_amount amount,
                                   hf_amount ref_left);
/* The same from a system account into earned or claimable: a debt takes its share at once. */
MUST_CHECK enum hf_error plan_receive(struct plan *plan, unsigned from, unsigned to,
                                      hf_amount amount, hf_amount ref_left);
/* What the asset's bucket has after the moves so far. */
hf_amount plan_bucket(const struct plan *plan, unsigned bucket);

/* Finds what the command refers to, with something left; sets hold or block, left and asset. */
MUST_CHECK enum hf_error plan_find(struct plan *plan);

/* The makers. plan_moves.c: what refers to nothing earlier. */
enum hf_error plan_direct(struct plan *plan);
enum hf_error plan_deposit(struct plan *plan);
enum hf_error plan_hold(struct plan *plan);
enum hf_error plan_block(struct plan *plan);
enum hf_error plan_transfer(struct plan *plan);
enum hf_error plan_credit(struct plan *plan);
enum hf_error plan_adjust(struct plan *plan);
/* plan_refs.c: what resolves a hold, a block or an original. */
enum hf_error plan_capture(struct plan *plan);
enum hf_error plan_void(struct plan *plan);
enum hf_error plan_expire(struct plan *plan);
enum hf_error plan_unblock(struct plan *plan);
enum hf_error plan_reverse(struct plan *plan);

#endif
