/* replay_links.h - inside replay: rows that lead from one user, operation or key to another.
 *
 * Transfers, reversals and backdated entries follow from the journal; a transfer that has ended
 * names the entry that ended it as well, in whichever partition that is. Names are not in the
 * journal: they are held against users, and users with an external id against names. What is under
 * way when a server dies (a transfer in transit, a name that is reserved) is no difference. Where
 * entries and keys are found by an index of its own, each row of it is followed, and none may be
 * missing. */
#ifndef HOLDFAST_REPLAY_LINKS_H
#define HOLDFAST_REPLAY_LINKS_H

#include "server/replay_fold.h"

/* `group`: partitions that follow one another, folded to their ends. */
MUST_CHECK enum hf_error replay_check_links(struct store_engine *engine,
                                            struct replay_partition *group, unsigned count,
                                            struct replay_report *report);

#endif
