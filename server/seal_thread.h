/* seal_thread.h - a thread of the server that makes a seal now and then.
 *
 * It reads through an engine of its own, so that neither loops nor commits wait for it. A seal that
 * cannot be made is logged and tried again at the next time. */
#ifndef HOLDFAST_SEAL_THREAD_H
#define HOLDFAST_SEAL_THREAD_H

#include "server/options.h"

struct seal_thread;
/* NULL when the options want no seals, or the store keeps nothing to seal; `ret_failed`: when it
 * cannot start, which is told on stderr. */
struct seal_thread *seal_thread_start(const struct options *options, bool *ret_failed);
/* Waits until it has ended; a seal under way is given up. */
void seal_thread_stop(struct seal_thread *thread);

#endif
