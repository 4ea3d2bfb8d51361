/* Inserting, removing and moving; looking up is inline in the header.
 *
 * Invariants: an id is in at most one of the two tables; the new table has no DIR_MOVED entry,
 * because removal closes the gap by shifting back; the old one is never inserted into. */
#include "dir.h"

#include "holdfast/check.h"
#include "mem.h"

#define DIR_SIZE_MIN 64u
#define DIR_SHRINK_SHARE 8u /* a table with fewer entries than that share is halved */
/* Entries of the old table looked at for each insert or removal. A table that grew has room for 3/4
 * of the old capacity in further entries, one that shrank for 1/4 and is not halved again before
 * 1/16 have left: the old one is empty by then. */
#define DIR_MOVE_STEP 16u

void dir_init(struct dir *dir)
{
  dir->entries = mem_table(DIR_SIZE_MIN * sizeof *dir->entries);
  dir->mask = DIR_SIZE_MIN - 1;
  dir->count = 0;
  dir->old = NULL;
  dir->old_mask = 0;
  dir->old_next = 0;
  dir->old_count = 0;
}

void dir_deinit(struct dir *dir)
{
  mem_table_free(dir->entries, (dir->mask + 1) * sizeof *dir->entries);
  mem_table_free(dir->old, (dir->old_mask + 1) * sizeof *dir->old);
  dir->entries = NULL;
  dir->old = NULL;
}

static struct dir_entry *old_entry(const struct dir *dir, rt_id id, uint64_t hash)
{
  for (uint64_t at = hash & dir->old_mask;; at = (at + 1) & dir->old_mask) {
    struct dir_entry *entry = &dir->old[at];
    if (entry->id == id) {
      return entry;
    }
    if (entry->id == DIR_FREE) {
      return NULL;
    }
  }
}

struct actor *dir_find_old(const struct dir *dir, rt_id id, uint64_t hash)
{
  const struct dir_entry *entry = old_entry(dir, id, hash);
  return entry == NULL ? NULL : entry->actor;
}

static void put(struct dir *dir, rt_id id, struct actor *actor)
{
  uint64_t at = dir_hash(id) & dir->mask;
  while (dir->entries[at].id != DIR_FREE) {
    CHECK(dir->entries[at].id != id);
    at = (at + 1) & dir->mask;
  }
  dir->entries[at].id = id;
  dir->entries[at].actor = actor;
}

static void move_some(struct dir *dir, uint64_t step)
{
  for (; dir->old != NULL && step > 0; step--) {
    struct dir_entry *entry = &dir->old[dir->old_next];
    if (entry->id != DIR_FREE && entry->id != DIR_MOVED) {
      put(dir, entry->id, entry->actor);
      entry->id = DIR_MOVED;
      dir->old_count--;
    }
    if (dir->old_next++ == dir->old_mask) {
      CHECK(dir->old_count == 0);
      mem_table_free(dir->old, (dir->old_mask + 1) * sizeof *dir->old);
      dir->old = NULL;
    }
  }
}

static void resize(struct dir *dir, uint64_t capacity)
{
  move_some(dir, UINT64_MAX);
  CHECK(dir->old == NULL && dir->count < capacity);
  dir->old = dir->entries;
  dir->old_mask = dir->mask;
  dir->old_next = 0;
  dir->old_count = dir->count;
  dir->mask = capacity - 1;
  dir->entries = mem_table((dir->mask + 1) * sizeof *dir->entries);
}

void dir_insert(struct dir *dir, rt_id id, struct actor *actor)
{
  CHECK(id != DIR_FREE && id != DIR_MOVED && actor != NULL);
  if ((dir->count + 1) * 4 > (dir->mask + 1) * 3) {
    resize(dir, (dir->mask + 1) * 2);
  }
  move_some(dir, DIR_MOVE_STEP);
  put(dir, id, actor);
  dir->count++;
}

/* Shifts later entries of the run back over the gap, so that probing needs no marker. */
static void close_gap(struct dir *dir, uint64_t gap)
{
  uint64_t at = gap;
  for (;;) {
    at = (at + 1) & dir->mask;
    if (dir->entries[at].id == DIR_FREE) {
      break;
    }
    uint64_t home = dir_hash(dir->entries[at].id) & dir->mask;
    if (((at - home) & dir->mask) >= ((at - gap) & dir->mask)) {
      dir->entries[gap] = dir->entries[at];
      gap = at;
    }
  }
  dir->entries[gap].id = DIR_FREE;
}

void dir_remove(struct dir *dir, rt_id id)
{
  uint64_t hash = dir_hash(id);
  uint64_t at = hash & dir->mask;
  while (dir->entries[at].id != id && dir->entries[at].id != DIR_FREE) {
    at = (at + 1) & dir->mask;
  }
  if (dir->entries[at].id == id) {
    close_gap(dir, at);
  } else {
    CHECK(dir->old != NULL);
    struct dir_entry *entry = old_entry(dir, id, hash);
    CHECK(entry != NULL);
    entry->id = DIR_MOVED;
    dir->old_count--;
  }
  dir->count--;
  move_some(dir, DIR_MOVE_STEP);
  if (dir->old == NULL && dir->mask >= DIR_SIZE_MIN && dir->count < dir->mask / DIR_SHRINK_SHARE) {
    resize(dir, (dir->mask + 1) / 2);
  }
}
