/* slab.h - the blocks of a loop's actors: a header and the state of the class behind it.
 *
 * Owner: one loop. Limits: 2^32 blocks; the caller bounds the number of live actors.
 * Blocks lie in chunks of 64 of one kind; a bit mask says which are free. A block keeps its address
 * and its slot while it is taken. A chunk that has no taken block goes back to the system, so a
 * passive actor costs nothing. */
#ifndef HOLDFAST_RUNTIME_SLAB_H
#define HOLDFAST_RUNTIME_SLAB_H

#include "holdfast/rt.h"

#include <stdalign.h>

struct stash;
struct waiter;

enum actor_phase {
  ACTOR_FREE,    /* the block is not in use */
  ACTOR_LOADING, /* load answered RT_WAIT; the gate is closed until rt_open_gate */
  ACTOR_ACTIVE,
  ACTOR_ENDING, /* its state is gone; answers to its asks and jobs are still to come */
  ACTOR_DOWN,   /* per-loop actor whose restart budget is used up */
};

enum {
  ACTOR_GATED = 1,   /* messages are stashed */
  ACTOR_EDGE = 2,    /* speaks for the outside: its asks use credits */
  ACTOR_SERVICE = 4, /* per-loop: made at start, restarted in place, never freed before the end */
};

struct actor {
  rt_id id;
  uint32_t slot;       /* of the slab, fixed while taken */
  uint32_t generation; /* no two actors of a loop share one */
  uint32_t seen_ms;    /* the loop's millisecond of its last message */
  uint32_t in_flight;  /* asks and jobs whose answers are to come */
  uint32_t timers;     /* head of the list of its timers; TIMER_NONE */
  uint8_t kind;
  uint8_t phase;          /* enum actor_phase; written by actor_move only */
  uint8_t marks;          /* ACTOR_GATED and so on */
  uint8_t uses;           /* 0..3, for the choice of whom to passivate */
  struct stash *stash;    /* messages that wait; NULL when none ever did */
  struct waiter *waiters; /* asks that it took and has not answered; circular */
  alignas(16) unsigned char state[];
};
_Static_assert(sizeof(struct actor) == 48, "what an idle actor costs beyond its state");

#define SLAB_CHUNK 64u

struct slab_chunk {
  uint64_t free; /* bit i: block i is free */
  uint32_t index;
  uint32_t block_bytes;
  uint8_t kind;
  struct slab_chunk *next, *prev; /* chunks of the kind that have a free block */
  alignas(16) unsigned char blocks[];
};

struct slab {
  struct slab_chunk **chunks; /* by chunk index; NULL: not in use */
  uint32_t chunks_count;      /* indexes handed out so far */
  uint32_t chunks_room;
  uint32_t *spare; /* indexes that can be used again */
  uint32_t spare_count;
  uint32_t generation;
  struct slab_chunk *open[256]; /* by kind */
};

void slab_init(struct slab *slab);
void slab_deinit(struct slab *slab);
/* A zeroed block with slot, generation and kind set. */
struct actor *slab_take(struct slab *slab, uint8_t kind, size_t state_bytes);
void slab_put(struct slab *slab, struct actor *actor);
/* The next taken block at or after `slot`; NULL at the end. For sweeps, in a fixed order. */
struct actor *slab_next(const struct slab *slab, uint64_t slot);

/* The actor of a slot that is known to be taken. */
static inline struct actor *slab_at(const struct slab *slab, uint32_t slot)
{
  struct slab_chunk *chunk = slab->chunks[slot / SLAB_CHUNK];
  return (void *)(chunk->blocks + (size_t)(slot % SLAB_CHUNK) * chunk->block_bytes);
}

#endif
