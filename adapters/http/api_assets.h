/* api_assets.h - an answer is shown only when this loop knows every asset in it.
 *
 * On a shared store a row may come before its asset: another node made both a moment ago. Such an
 * answer becomes 503, and the loop's catalogue is told to read again. Loop thread. */
#ifndef HOLDFAST_API_ASSETS_H
#define HOLDFAST_API_ASSETS_H

#include "adapters/http/api_call.h"

/* What came back to an ask; sets its error or status when it cannot be shown yet. */
void api_assets_check(struct front_loop *loop, enum api_ask kind, void *answer);

/* The catalogs of this node are read anew: somebody has told of what they do not have. Without room
 * to tell them, the next heartbeat does. */
void api_catalog_is_stale(struct front_loop *loop);

#endif
