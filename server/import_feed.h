/* import_feed.h - rows in the order in which they are to be imported.
 *
 * That is the file's order, but for --credits-first: there, of consecutive lines with the same
 * value in that column, those that need nothing come first, each kind in the file's order. Such a
 * group is held in memory; IMPORT_GROUP_MAX bounds it. */
#ifndef HOLDFAST_IMPORT_FEED_H
#define HOLDFAST_IMPORT_FEED_H

#include "server/import_map.h"

#define IMPORT_GROUP_MAX (1u << 20) /* lines */

struct import_rows { /* by ->next */
  struct import_row *first, *last;
  size_t count;
};

struct import_feed {
  struct import_source *source;
  struct import_map *map;
  /* A record that makes no row. May be NULL. */
  void (*reject)(void *arg, const struct import_record *record, enum hf_error error,
                 const char *detail);
  void *arg;
  uint64_t lines;   /* records read */
  uint64_t numbers; /* rows handed out */
  bool ended;
  bool too_large;                  /* a group was: the feed stopped */
  struct import_rows ready, later; /* of the group; later: those that need something */
  struct import_row *ahead;        /* the first row of the next group */
  char *group;                     /* its value */
  size_t group_size;
  bool grouping;
  bool whole; /* `ready` may be handed out */
};

void import_feed_init(struct import_feed *feed, struct import_source *source,
                      struct import_map *map);
void import_feed_deinit(struct import_feed *feed);
/* The next row, the caller's from then on; NULL when there is none: `ended`, or, after at most
 * IMPORT_FEED_BUDGET records without a row, not yet. */
#define IMPORT_FEED_BUDGET 4096u
struct import_row *import_feed_next(struct import_feed *feed);

#endif
