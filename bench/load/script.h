/* script.h - what a generator sends and how it judges the replies: the seam between the two.
 *
 * Owner: the generator thread that was given the script; nothing in it is shared.
 * Real users: workload.c (the measured load) and setup.c (creating users and funding them). */
#ifndef BENCH_SCRIPT_H
#define BENCH_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a reply said. `expected` is false when the status or the body is not what the request must
 * lead to; such replies are counted apart and make the run fail. */
struct verdict {
  bool expected;
  uint32_t ops_applied; /* reads count as applied */
  uint32_t ops_refused; /* refused by the ledger as the request meant it to be */
};

struct script {
  void *state;
  size_t request_size_max; /* no request is larger */
  /* Writes the next request of that connection to `out` (room for request_size_max bytes) and
   * returns its size; 0 when there is nothing more to send. The tag comes back with the reply. */
  size_t (*append)(void *state, unsigned connection, char *out, uint32_t *ret_tag);
  struct verdict (*judge)(void *state, unsigned connection, uint32_t tag, unsigned status,
                          const char *body, size_t size);
};

#endif
