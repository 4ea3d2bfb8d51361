/* Reads ahead by one row, to see where a group ends. */
#include "server/import_feed.h"

#include <string.h>

static void append(struct import_rows *rows, struct import_row *row)
{
  row->next = NULL;
  if (rows->last != NULL)
    rows->last->next = row;
  else
    rows->first = row;
  rows->last = row;
  rows->count++;
}

static struct import_row *shift(struct import_rows *rows)
{
  struct import_row *row = rows->first;
  if (row == NULL)
    return NULL;
  rows->first = row->next;
  if (rows->first == NULL)
    rows->last = NULL;
  rows->count--;
  row->next = NULL;
  return row;
}

void import_feed_init(struct import_feed *feed, struct import_source *source,
                      struct import_map *map)
{
  *feed = (struct import_feed){.source = source, .map = map};
}

void import_feed_deinit(struct import_feed *feed)
{
  struct import_row *row;
  while ((row = shift(&feed->ready)) != NULL)
    import_row_free(row);
  while ((row = shift(&feed->later)) != NULL)
    import_row_free(row);
  import_row_free(feed->ahead);
  feed->ahead = NULL;
  rt_free(feed->group);
  feed->group = NULL;
}

/* Is the record of the group that is being gathered? If not, its group is the next one. */
static bool same_group(struct import_feed *feed, const struct import_record *record)
{
  char scratch[IMPORT_NUMBER_MAX];
  struct import_text text = import_map_group(feed->map, record, scratch);
  if (text.at == NULL || (feed->grouping && feed->group_size == text.size &&
                          memcmp(feed->group, text.at, text.size) == 0))
    return true;
  bool first = !feed->grouping;
  rt_free(feed->group);
  feed->group = memcpy(rt_alloc(text.size + 1u), text.at, text.size);
  feed->group_size = text.size;
  feed->grouping = true;
  return first;
}

static void take(struct import_feed *feed, struct import_row *row)
{
  bool later = feed->map->group.name != NULL && !row->credit;
  append(later ? &feed->later : &feed->ready, row);
}

/* The group is whole: what needs something follows what does not. */
static void close_group(struct import_feed *feed)
{
  struct import_row *row;
  while ((row = shift(&feed->later)) != NULL)
    append(&feed->ready, row);
}

/* Reads one record. True: `ready` is complete up to here. */
static bool read_one(struct import_feed *feed)
{
  struct import_record record;
  struct import_row *row = NULL;
  char detail[IMPORT_DETAIL_MAX] = "";
  if (feed->ahead != NULL) {
    take(feed, feed->ahead);
    feed->ahead = NULL;
  }
  if (!import_source_next(feed->source, &record)) {
    feed->ended = true;
    close_group(feed);
    return true;
  }
  feed->lines++;
  bool groups = feed->map->group.name != NULL;
  bool same = !groups || same_group(feed, &record);
  if (!same)
    close_group(feed);
  enum hf_error error = import_map_row(feed->map, &record, &row, detail);
  if (error != HF_OK) {
    if (feed->reject != NULL)
      feed->reject(feed->arg, &record, error, detail);
    return !same;
  }
  if (!same) {
    feed->ahead = row;
    return true;
  }
  take(feed, row);
  if (groups && feed->ready.count + feed->later.count > IMPORT_GROUP_MAX) {
    feed->too_large = feed->ended = true;
    return true;
  }
  return !groups;
}

struct import_row *import_feed_next(struct import_feed *feed)
{
  /* While a group is gathered `ready` has its first part already: it waits for the whole. */
  bool whole = feed->whole;
  for (unsigned i = 0; !whole && i < IMPORT_FEED_BUDGET; i++)
    whole = read_one(feed);
  struct import_row *row = whole ? shift(&feed->ready) : NULL;
  feed->whole = whole && feed->ready.first != NULL;
  if (row != NULL)
    row->number = ++feed->numbers;
  return row;
}
