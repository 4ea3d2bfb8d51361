/* pool_port.h - a store port over a blocking engine: commits on the write pool, reads on the read
 * pool of the runtime's workers. One for all loops.
 *
 * Commits that are waiting when the writer gets to run go into one transaction (commit_many),
 * whichever loop they come from: the group commit forms while the previous one is in flight. */
#ifndef HOLDFAST_POOL_PORT_H
#define HOLDFAST_POOL_PORT_H

#include "actors/store/port.h"

enum { HF_POOL_WRITE = 0, HF_POOL_READ = 1, HF_POOL_COUNT = 2 }; /* pools of rt_config */

/* Takes the engine: freeing the port closes it. `window`: see struct store_port. */
struct store_port *pool_port_new(struct store_engine *engine, unsigned window);
void pool_port_free(struct store_port *port);

#endif
