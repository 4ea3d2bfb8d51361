/* shortage.h - a process that may open only so many descriptors more.
 *
 * All numbers below the limit are in use then, those that libuv keeps in reserve for such a moment
 * among them. poll(2) takes no more descriptors than the limit either: no cut_proxy meanwhile.
 * Owner: a test; one at a time in a process. */
#ifndef HOLDFAST_TESTS_SHORTAGE_H
#define HOLDFAST_TESTS_SHORTAGE_H

#include <sys/resource.h>

#define SHORTAGE_FILLERS_MAX 512u

struct shortage {
  struct rlimit before;
  int fillers[SHORTAGE_FILLERS_MAX];
  unsigned fillers_count;
};

void shortage_begin(struct shortage *shortage, unsigned count);
void shortage_end(struct shortage *shortage);

#endif
