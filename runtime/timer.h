/* timer.h - hierarchical timer wheel of a loop, 1 ms coarse.
 *
 * Owner: one loop. Time source: the caller hands in ticks (milliseconds since the loop began).
 * Limits: 2^31 - 1 ticks ahead (24 days); 16 million timers, far more than a loop has actors.
 * Four levels of 256 slots: arming and stopping cost the same however many timers there are. Each
 * timer is also in its actor's list, so that the death of the actor stops it. 32 bytes each: two to
 * a cache line. */
#ifndef HOLDFAST_RUNTIME_TIMER_H
#define HOLDFAST_RUNTIME_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#define TIMER_NONE UINT32_MAX
#define TIMER_LEVELS 4u
#define TIMER_SLOTS 256u
#define TIMER_TICKS_MAX ((uint64_t)INT32_MAX)

/* The number of a timer in three bytes; TIMER_NONE as TIMER_COUNT_MAX. */
struct timer_link {
  uint8_t bytes[3];
};
#define TIMER_COUNT_MAX 0xFFFFFFu

struct timer {
  struct timer_link next, prev;             /* in its slot; the first one has no `prev` */
  struct timer_link owner_next, owner_prev; /* in its actor's list */
  uint32_t actor;                           /* slot of the actor */
  uint32_t generation; /* odd while armed; tells a stale handle from a live one */
  uint32_t due;        /* tick, low 32 bits; with the wheel's tick it tells the slot */
  uint64_t cookie;
};
_Static_assert(sizeof(struct timer) == 32, "two timers share a cache line, none lies in two");

#define TIMER_DUE (TIMER_LEVELS * TIMER_SLOTS)
#define TIMER_CHUNK 1024u

struct timer_wheel {
  uint64_t tick;  /* all timers due up to it are in the due list */
  uint64_t next;  /* no timer that is not due yet is due before it; 0: to be found out */
  uint32_t count; /* armed, the due ones included */
  uint32_t free;  /* nodes not in use, linked by next */
  struct timer **chunks;
  uint32_t chunks_count, chunks_room;
  uint32_t heads[TIMER_LEVELS * TIMER_SLOTS + 1]; /* the last one is the due list */
  uint32_t due_last;
  uint64_t used[TIMER_LEVELS][TIMER_SLOTS / 64]; /* which heads are not empty */
};

void timer_wheel_init(struct timer_wheel *wheel, uint64_t tick);
void timer_wheel_deinit(struct timer_wheel *wheel);
/* Arms a timer for `due` ticks; `owner_list` is the head of the actor's list. Its handle is never
 * 0. A tick that has passed is due at the next advance. */
uint64_t timer_arm(struct timer_wheel *wheel, uint64_t due, uint32_t actor, uint64_t cookie,
                   uint32_t *owner_list);
/* The slot of the actor that armed it, or TIMER_NONE when the handle is stale. */
uint32_t timer_owner(const struct timer_wheel *wheel, uint64_t handle);
/* The handle must be live. */
void timer_disarm(struct timer_wheel *wheel, uint64_t handle, uint32_t *owner_list);
void timer_disarm_all(struct timer_wheel *wheel, uint32_t *owner_list);
/* Moves to the due list what is due at `tick`, in order of (due, level of arming, arming). */
void timer_advance(struct timer_wheel *wheel, uint64_t tick);
/* The first due timer's actor and cookie, without taking it. False: none is due. */
bool timer_peek_due(const struct timer_wheel *wheel, uint32_t *ret_actor, uint64_t *ret_cookie);
/* Takes the first due timer off; it is free after it. */
void timer_take_due(struct timer_wheel *wheel, uint32_t *owner_list);
/* A tick at which timer_advance has something to do; never later than the earliest timer, maybe
 * earlier. UINT64_MAX: no timer. */
uint64_t timer_next(struct timer_wheel *wheel);

#endif
