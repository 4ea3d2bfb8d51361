/* ring.h - bounded queue of envelopes from one loop to another.
 *
 * Owner: one producer thread and one consumer thread; each field below says whose it is.
 * Limits: `size` envelopes, a power of two, fixed at ring_new.
 * Envelopes are written in place (ring_reserve), become visible in batches (ring_publish), are
 * read in place (ring_peek) and given back in batches (ring_release).
 *
 * Order: head, tail and producer_waits are sequentially consistent, because each is one half of a
 * "store mine, then read yours" pair (head with the mask of watched rings and the asleep
 * flag of the consumer's loop, tail with producer_waits). They are rare: one for each batch. */
#ifndef HOLDFAST_RUNTIME_RING_H
#define HOLDFAST_RUNTIME_RING_H

#include "holdfast/rt.h"
#include "mem.h"

#include <stdalign.h>
#include <stdatomic.h>

struct ring {
  alignas(MEM_LINE) uint64_t size; /* both read, nobody writes */
  rt_env *slots;
  alignas(MEM_LINE) uint64_t staged;                 /* producer: next index to write */
  uint64_t tail_seen;                                /* producer: last tail that it read */
  uint64_t published;                                /* producer: what head says */
  alignas(MEM_LINE) _Atomic uint64_t head;           /* producer writes, consumer reads */
  alignas(MEM_LINE) _Atomic uint64_t tail;           /* consumer writes, producer reads */
  alignas(MEM_LINE) uint64_t next;                   /* consumer: next index to read */
  uint64_t head_seen;                                /* consumer: last head that it read */
  alignas(MEM_LINE) _Atomic uint32_t producer_waits; /* producer sets, consumer clears: kick me */
};

struct ring *ring_new(unsigned size);
void ring_free(struct ring *ring);

/* Producer: the next slot to fill, or NULL when the ring is full. It is staged by the call and
 * must be filled before the next ring_publish. */
static inline rt_env *ring_reserve(struct ring *ring)
{
  if (ring->staged - ring->tail_seen == ring->size) {
    ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
    if (ring->staged - ring->tail_seen == ring->size) {
      return NULL;
    }
  }
  return &ring->slots[ring->staged++ & (ring->size - 1)];
}

/* Producer: how many envelopes are filled and not yet visible. */
static inline uint64_t ring_staged(const struct ring *ring)
{
  return ring->staged - ring->published;
}

/* Producer: makes what is staged visible. The caller then wakes the consumer. */
static inline void ring_publish(struct ring *ring)
{
  ring->published = ring->staged;
  atomic_store(&ring->head, ring->staged);
}

/* Producer: fetches the slot that comes next, which the consumer read last. */
static inline void ring_warm_slot(const struct ring *ring)
{
  mem_prefetch_write(&ring->slots[ring->staged & (ring->size - 1)]);
}

/* Producer: asks for a kick when the ring is half empty. False: there is room already. */
static inline bool ring_wait_for_room(struct ring *ring)
{
  atomic_store(&ring->producer_waits, 1);
  ring->tail_seen = atomic_load(&ring->tail);
  return ring->staged - ring->tail_seen > ring->size / 2;
}

/* Consumer: is something published that it has not stepped over? */
static inline bool ring_has(const struct ring *ring)
{
  return atomic_load(&ring->head) != ring->next;
}

/* Consumer: up to `max` envelopes that lie side by side; 0 when there is none. */
static inline unsigned ring_peek(struct ring *ring, unsigned max, rt_env **ret_first)
{
  if (ring->head_seen == ring->next) {
    ring->head_seen = atomic_load(&ring->head);
  }
  uint64_t at = ring->next & (ring->size - 1);
  uint64_t count = ring->head_seen - ring->next;
  if (count > ring->size - at) {
    count = ring->size - at;
  }
  *ret_first = &ring->slots[at];
  return count < max ? (unsigned)count : max;
}

/* Consumer: fetches what it will read next. */
static inline void ring_warm_next(const struct ring *ring)
{
  __builtin_prefetch(&ring->slots[ring->next & (ring->size - 1)]);
}

/* Consumer: steps over `count` envelopes; their slots are given back by ring_release. */
static inline void ring_skip(struct ring *ring, unsigned count)
{
  ring->next += count;
}

/* Consumer: gives the slots back. True: the producer waits for room and must be kicked. */
static inline bool ring_release(struct ring *ring)
{
  atomic_store(&ring->tail, ring->next);
  if (atomic_load(&ring->producer_waits) == 0) {
    return false;
  }
  uint64_t used = atomic_load_explicit(&ring->head, memory_order_relaxed) - ring->next;
  return used <= ring->size / 2 && atomic_exchange(&ring->producer_waits, 0) != 0;
}

/* Any thread: nothing published is unread. A snapshot. */
static inline bool ring_is_empty(const struct ring *ring)
{
  uint64_t tail = atomic_load(&ring->tail);
  return atomic_load(&ring->head) == tail;
}

#endif
