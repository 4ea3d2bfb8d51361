/* dir.h - directory of a loop's virtual actors: id to block.
 *
 * Owner: one loop. Limits: bounded by the number of live actors.
 * Open addressing with linear probing, at most 3/4 full; 21 to 43 bytes for each actor. A table
 * that fills up is replaced by one of twice the size, one that is less than 1/8 full by one of
 * half, and the entries move over a few at a time with each later insert or removal, so that no
 * turn pays for a million of them. */
#ifndef HOLDFAST_RUNTIME_DIR_H
#define HOLDFAST_RUNTIME_DIR_H

#include "holdfast/rt.h"

struct actor;

struct dir_entry {
  rt_id id; /* DIR_FREE, DIR_MOVED or an actor's */
  struct actor *actor;
};

#define DIR_FREE ((rt_id)0)
#define DIR_MOVED ((rt_id)1) /* old table only: probing goes on past it */

struct dir {
  struct dir_entry *entries;
  uint64_t mask;         /* capacity - 1 */
  uint64_t count;        /* in both tables */
  struct dir_entry *old; /* the table that is being emptied, or NULL */
  uint64_t old_mask;
  uint64_t old_next; /* the first entry of it that has not moved */
  uint64_t old_count;
};

void dir_init(struct dir *dir);
void dir_deinit(struct dir *dir);
/* The id must not be there yet. */
void dir_insert(struct dir *dir, rt_id id, struct actor *actor);
/* The id must be there. */
void dir_remove(struct dir *dir, rt_id id);
struct actor *dir_find_old(const struct dir *dir, rt_id id, uint64_t hash);

/* Ids are dense in their low bits and constant in their high ones: mix before masking. */
static inline uint64_t dir_hash(rt_id id)
{
  uint64_t x = id;
  x ^= x >> 32;
  x *= 0x9E3779B97F4A7C15ull;
  x ^= x >> 29;
  x *= 0xBF58476D1CE4E5B9ull;
  return x ^ (x >> 32);
}

static inline void dir_prefetch(const struct dir *dir, uint64_t hash)
{
  __builtin_prefetch(&dir->entries[hash & dir->mask]);
}

/* NULL when the id is not there. `hash` is dir_hash(id). */
static inline struct actor *dir_find(const struct dir *dir, rt_id id, uint64_t hash)
{
  for (uint64_t at = hash & dir->mask;; at = (at + 1) & dir->mask) {
    const struct dir_entry *entry = &dir->entries[at];
    if (entry->id == id) {
      return entry->actor;
    }
    if (entry->id == DIR_FREE) {
      return dir->old == NULL ? NULL : dir_find_old(dir, id, hash);
    }
  }
}

#endif
