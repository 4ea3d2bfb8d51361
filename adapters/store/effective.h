/* effective.h - the effective axis: recorded balances at a time, corrected by backdated entries.
 *
 * An entry is backdated when it is effective before it is recorded. At a time T, the entries that
 * are effective by then are those recorded by then, whose sum their newest one carries, and the
 * backdated ones that were recorded later. An engine answers the recorded axis first, and then adds
 * each of those others, oldest first.
 * Owner: the engine, during one STORE_BALANCE_AT. Pure but for the request's arena. */
#ifndef HOLDFAST_STORE_EFFECTIVE_H
#define HOLDFAST_STORE_EFFECTIVE_H

#include "actors/store/port.h"

/* Makes room in request->balance_at for assets that the recorded balances do not have.
 * STORE_CORRUPT when there are more than a user can have. */
MUST_CHECK enum store_status effective_begin(struct store_request *request);
/* Adds an entry's move. STORE_CORRUPT when it is none, or of more assets than a user can have. A
 * sum that leaves the range sets balance_at.overflow and empties the answer; adding goes on in
 * vain. */
MUST_CHECK enum store_status effective_add(struct store_request *request, uint16_t asset,
                                           unsigned from, unsigned to, hf_amount amount);

static inline bool effective_is_backdated(const struct ledger_entry *entry)
{
  return entry->effective_us < entry->recorded_us;
}

#endif
