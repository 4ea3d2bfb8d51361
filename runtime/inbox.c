/* Two queues with many producers and one consumer.
 *
 * The inbox is an array whose cells carry the index that they wait for: a producer claims an index
 * by compare-and-swap, fills the cell, then stores index + 1, which is what the consumer waits for.
 * The list is intrusive: a producer swaps itself in as the last node and then links the node that
 * was last before to itself. Between those two steps the list looks shorter than it is; the
 * producer wakes the loop only after the second, so nothing is missed. */
#include "inbox.h"

#include "holdfast/check.h"

void inbox_init(struct inbox *inbox, unsigned size)
{
  CHECK(size >= 2 && (size & (size - 1)) == 0);
  inbox->size = size;
  inbox->cells = mem_lines(size * sizeof *inbox->cells);
  for (unsigned i = 0; i < size; i++) {
    atomic_init(&inbox->cells[i].turn, i);
  }
  atomic_init(&inbox->put, 0);
  inbox->take = 0;
}

void inbox_deinit(struct inbox *inbox)
{
  rt_free(inbox->cells);
  inbox->cells = NULL;
}

bool inbox_put(struct inbox *inbox, const rt_env *env)
{
  uint64_t index = atomic_load_explicit(&inbox->put, memory_order_relaxed);
  for (;;) {
    struct inbox_cell *cell = &inbox->cells[index & (inbox->size - 1)];
    uint64_t turn = atomic_load_explicit(&cell->turn, memory_order_acquire);
    if (turn == index) {
      if (atomic_compare_exchange_weak(&inbox->put, &index, index + 1)) {
        cell->env = *env;
        atomic_store(&cell->turn, index + 1);
        return true;
      }
    } else if (turn < index) {
      return false; /* still holds what was put one round ago */
    } else {
      index = atomic_load_explicit(&inbox->put, memory_order_relaxed);
    }
  }
}

bool inbox_take(struct inbox *inbox, rt_env *ret_env)
{
  struct inbox_cell *cell = &inbox->cells[inbox->take & (inbox->size - 1)];
  if (atomic_load_explicit(&cell->turn, memory_order_acquire) != inbox->take + 1) {
    return false;
  }
  *ret_env = cell->env;
  atomic_store_explicit(&cell->turn, inbox->take + inbox->size, memory_order_release);
  inbox->take++;
  return true;
}

bool inbox_is_empty(const struct inbox *inbox)
{
  const struct inbox_cell *cell = &inbox->cells[inbox->take & (inbox->size - 1)];
  return atomic_load(&cell->turn) != inbox->take + 1;
}

void done_list_init(struct done_list *list)
{
  atomic_init(&list->stub.next, NULL);
  atomic_init(&list->last, &list->stub);
  list->first = &list->stub;
}

void done_list_put(struct done_list *list, struct done_node *node)
{
  atomic_store_explicit(&node->next, NULL, memory_order_relaxed);
  struct done_node *before = atomic_exchange(&list->last, node);
  atomic_store(&before->next, node);
}

struct done_node *done_list_take(struct done_list *list)
{
  struct done_node *first = list->first;
  struct done_node *next = atomic_load_explicit(&first->next, memory_order_acquire);
  if (first == &list->stub) {
    if (next == NULL) {
      return NULL;
    }
    list->first = next;
    first = next;
    next = atomic_load_explicit(&first->next, memory_order_acquire);
  }
  if (next == NULL) {
    if (first != atomic_load(&list->last)) {
      return NULL; /* a producer is between its two steps */
    }
    done_list_put(list, &list->stub);
    next = atomic_load_explicit(&first->next, memory_order_acquire);
    if (next == NULL) {
      return NULL;
    }
  }
  list->first = next;
  return first;
}

bool done_list_is_empty(const struct done_list *list)
{
  return list->first == &list->stub && atomic_load(&list->stub.next) == NULL;
}
