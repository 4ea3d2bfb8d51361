/* user.h - inside the ledger: the user's arrays as apply and fold change them. */
#ifndef HOLDFAST_LEDGER_USER_H
#define HOLDFAST_LEDGER_USER_H

#include "actors/ledger/ledger.h"

/* The asset's place, made with zeros (within LEDGER_ASSETS_MAX) when it is not there. */
struct ledger_asset *ledger_user_place_asset(struct ledger_user *user, uint16_t asset);
/* `hold` and `block` are elements of the user's arrays. */
void ledger_user_remove_hold(struct ledger_user *user, const struct ledger_hold *hold);
void ledger_user_remove_block(struct ledger_user *user, const struct ledger_block *block);

#endif
