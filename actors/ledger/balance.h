/* balance.h - the arithmetic of one move, and which moves each command may make. Pure.
 *
 * ledger_apply and ledger_fold both go through here, so that what is refused and what is found
 * corrupt are the same rules. */
#ifndef HOLDFAST_LEDGER_BALANCE_H
#define HOLDFAST_LEDGER_BALANCE_H

#include "actors/ledger/ledger.h"

/* Moves `amount` (> 0) between two accounts (enum ledger_account), at least one of them a bucket.
 * A move from debt makes the debt grow, one to debt shrinks it. Lifetime totals follow.
 * HF_E_INSUFFICIENT_FUNDS when a bucket or the debt has less than the amount,
 * HF_E_AMOUNT_OVERFLOW when the sum of the buckets, the debt or a lifetime total leaves the range.
 * The balance is then undefined. */
MUST_CHECK enum hf_error balance_move(struct ledger_balance *balance, unsigned from, unsigned to,
                                      hf_amount amount);

/* The same move without a look at what is there, so that a bucket, the debt or a total may fall
 * below zero: for sums over entries in another order than that of the journal. False when one of
 * them, or their total, leaves the range; the balance is then undefined. Accounts are as above. */
MUST_CHECK bool balance_shift(struct ledger_balance *balance, unsigned from, unsigned to,
                              hf_amount amount);

/* Does a command of that type ever make that move? */
bool balance_move_allowed(unsigned type, unsigned from, unsigned to);

#endif
