/* http_list.h - an intrusive circular list: a link inside the object, a link as the head.
 *
 * Owner: one loop. An object that is in no list has a link that points to itself, so that removing
 * it again is harmless. */
#ifndef HOLDFAST_HTTP_LIST_H
#define HOLDFAST_HTTP_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct http_list {
  struct http_list *next, *prev;
};

/* The object of type `type` whose member `member` is the link. */
#define HTTP_LIST_OF(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline void http_list_init(struct http_list *list)
{
  list->next = list->prev = list;
}

static inline bool http_list_empty(const struct http_list *list)
{
  return list->next == list;
}

static inline void http_list_remove(struct http_list *link)
{
  link->prev->next = link->next;
  link->next->prev = link->prev;
  link->next = link->prev = link;
}

/* Takes the link out of where it is, to the end of `list`. */
static inline void http_list_append(struct http_list *list, struct http_list *link)
{
  http_list_remove(link);
  link->prev = list->prev;
  link->next = list;
  list->prev->next = link;
  list->prev = link;
}

/* Moves all of `from` into the empty list `to`. */
static inline void http_list_take(struct http_list *to, struct http_list *from)
{
  http_list_init(to);
  if (http_list_empty(from))
    return;
  *to = *from;
  to->next->prev = to->prev->next = to;
  http_list_init(from);
}

#endif
