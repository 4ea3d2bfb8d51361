/* fold.h - inside the ledger: the one place where an entry changes a user. */
#ifndef HOLDFAST_LEDGER_FOLD_H
#define HOLDFAST_LEDGER_FOLD_H

#include "actors/ledger/ledger.h"

/* Takes an entry over into the user: version, head, balance, holds and blocks. It fits the user:
 * ledger_fold() saw to that, or apply made it. `op` is the id of what it opens; 0: none yet. */
void fold_take(struct ledger_user *user, const struct ledger_entry *entry, hf_id op);

#endif
