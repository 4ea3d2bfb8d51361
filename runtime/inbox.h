/* inbox.h - how other threads reach a loop: a bounded queue of envelopes and a list of done jobs.
 *
 * Owner: the loop's thread takes; any thread puts. Neither side ever waits for the other.
 * Limits: the inbox holds `size` envelopes (a power of two), then refuses. The list has no bound
 * of its own: its nodes are the jobs, which rt_work counts.
 *
 * Order: a producer finishes its put with a sequentially consistent operation and then reads the
 * loop's asleep flag; the loop writes that flag and then calls the is_empty functions. One of the
 * two sees the other, so no wake-up is lost. */
#ifndef HOLDFAST_RUNTIME_INBOX_H
#define HOLDFAST_RUNTIME_INBOX_H

#include "holdfast/rt.h"
#include "mem.h"

#include <stdalign.h>
#include <stdatomic.h>

struct inbox_cell {
  _Atomic uint64_t turn; /* index: free for that put; index + 1: filled by it */
  rt_env env;
};

struct inbox {
  alignas(MEM_LINE) uint64_t size; /* nobody writes */
  struct inbox_cell *cells;
  alignas(MEM_LINE) _Atomic uint64_t put; /* producers: next index to claim */
  alignas(MEM_LINE) uint64_t take;        /* consumer: next index to read */
};

void inbox_init(struct inbox *inbox, unsigned size);
void inbox_deinit(struct inbox *inbox);
/* Any thread. False: full. */
bool inbox_put(struct inbox *inbox, const rt_env *env);
/* Loop thread. False: nothing to take now. */
bool inbox_take(struct inbox *inbox, rt_env *ret_env);
bool inbox_is_empty(const struct inbox *inbox);

/* A list that many threads append to and one thread takes from, in order of appending. */
struct done_node {
  _Atomic(struct done_node *) next;
};

struct done_list {
  alignas(MEM_LINE) _Atomic(struct done_node *) last; /* producers swap themselves in */
  alignas(MEM_LINE) struct done_node *first;          /* consumer */
  struct done_node stub;                              /* keeps the list from ever being empty */
};

void done_list_init(struct done_list *list);
/* Any thread; never fails. The node belongs to the list until it is taken. */
void done_list_put(struct done_list *list, struct done_node *node);
/* Loop thread. NULL: nothing to take now. */
struct done_node *done_list_take(struct done_list *list);
bool done_list_is_empty(const struct done_list *list);

#endif
