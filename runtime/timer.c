/* Level n holds timers that are due within 256^(n+1) ticks; its slot is byte n of the due tick.
 * When byte n of the clock changes, the slot of level n that begins is spread over the levels
 * below. A timer that is due goes to the due list, whence the loop takes it at its own pace. */
#include "timer.h"

#include "holdfast/check.h"
#include "holdfast/rt.h"
#include "mem.h"

#include <string.h>

void timer_wheel_init(struct timer_wheel *wheel, uint64_t tick)
{
  memset(wheel, 0, sizeof *wheel);
  wheel->tick = tick;
  wheel->free = TIMER_NONE;
  for (unsigned i = 0; i <= TIMER_DUE; i++) {
    wheel->heads[i] = TIMER_NONE;
  }
  wheel->due_last = TIMER_NONE;
}

void timer_wheel_deinit(struct timer_wheel *wheel)
{
  for (uint32_t i = 0; i < wheel->chunks_count; i++) {
    rt_free(wheel->chunks[i]);
  }
  rt_free((void *)wheel->chunks);
  wheel->chunks = NULL;
  wheel->chunks_count = 0;
}

static struct timer *node_at(const struct timer_wheel *wheel, uint32_t index)
{
  return &wheel->chunks[index / TIMER_CHUNK][index % TIMER_CHUNK];
}

static uint32_t link_get(const struct timer_link *link)
{
  uint32_t index = link->bytes[0] | (uint32_t)link->bytes[1] << 8 | (uint32_t)link->bytes[2] << 16;
  return index == TIMER_COUNT_MAX ? TIMER_NONE : index;
}

static void link_set(struct timer_link *link, uint32_t index)
{
  link->bytes[0] = (uint8_t)index;
  link->bytes[1] = (uint8_t)(index >> 8);
  link->bytes[2] = (uint8_t)(index >> 16);
}

static void grow(struct timer_wheel *wheel)
{
  if (wheel->chunks_count == wheel->chunks_room) {
    wheel->chunks_room = wheel->chunks_room == 0 ? 8 : wheel->chunks_room * 2;
    wheel->chunks = rt_realloc((void *)wheel->chunks, wheel->chunks_room * sizeof *wheel->chunks);
  }
  CHECK(wheel->chunks_count < TIMER_COUNT_MAX / TIMER_CHUNK);
  struct timer *chunk = mem_lines(TIMER_CHUNK * sizeof *chunk);
  uint32_t base = wheel->chunks_count * TIMER_CHUNK;
  wheel->chunks[wheel->chunks_count++] = chunk;
  for (uint32_t i = TIMER_CHUNK; i-- > 0;) {
    link_set(&chunk[i].next, wheel->free);
    wheel->free = base + i;
  }
}

/* The slot for a due tick, as seen from the wheel's tick. The level is that of the highest byte in
 * which the two differ. A timer moves down in the very tick in which that byte becomes equal, so
 * this is also where an armed timer is. */
static uint32_t slot_of(const struct timer_wheel *wheel, uint32_t due)
{
  uint32_t now = (uint32_t)wheel->tick;
  uint32_t differ = due ^ now;
  if ((int32_t)(due - now) <= 0) {
    return TIMER_DUE;
  }
  unsigned level = (31u - (unsigned)__builtin_clz(differ)) / 8;
  return level * TIMER_SLOTS + ((due >> (8 * level)) & 255u);
}

static void link_node(struct timer_wheel *wheel, uint32_t index)
{
  struct timer *node = node_at(wheel, index);
  uint32_t slot = slot_of(wheel, node->due);
  if (slot == TIMER_DUE) { /* keeps its order: appended */
    link_set(&node->next, TIMER_NONE);
    link_set(&node->prev, wheel->due_last);
    if (wheel->due_last == TIMER_NONE) {
      wheel->heads[TIMER_DUE] = index;
    } else {
      link_set(&node_at(wheel, wheel->due_last)->next, index);
    }
    wheel->due_last = index;
    return;
  }
  link_set(&node->prev, TIMER_NONE);
  link_set(&node->next, wheel->heads[slot]);
  if (link_get(&node->next) != TIMER_NONE) {
    link_set(&node_at(wheel, link_get(&node->next))->prev, index);
  }
  wheel->heads[slot] = index;
  wheel->used[slot / TIMER_SLOTS][slot % TIMER_SLOTS / 64] |= 1ull << (slot % 64);
}

static void unlink_node(struct timer_wheel *wheel, uint32_t index)
{
  struct timer *node = node_at(wheel, index);
  uint32_t slot = slot_of(wheel, node->due);
  if (link_get(&node->next) != TIMER_NONE) {
    link_set(&node_at(wheel, link_get(&node->next))->prev, link_get(&node->prev));
  } else if (slot == TIMER_DUE) {
    wheel->due_last = link_get(&node->prev);
  }
  if (link_get(&node->prev) != TIMER_NONE) {
    link_set(&node_at(wheel, link_get(&node->prev))->next, link_get(&node->next));
    return;
  }
  CHECK(wheel->heads[slot] == index);
  wheel->heads[slot] = link_get(&node->next);
  if (link_get(&node->next) == TIMER_NONE && slot != TIMER_DUE) {
    wheel->used[slot / TIMER_SLOTS][slot % TIMER_SLOTS / 64] &= ~(1ull << (slot % 64));
  }
}

static void owner_unlink(struct timer_wheel *wheel, const struct timer *node, uint32_t *owner_list)
{
  if (link_get(&node->owner_next) != TIMER_NONE) {
    link_set(&node_at(wheel, link_get(&node->owner_next))->owner_prev, link_get(&node->owner_prev));
  }
  if (link_get(&node->owner_prev) != TIMER_NONE) {
    link_set(&node_at(wheel, link_get(&node->owner_prev))->owner_next, link_get(&node->owner_next));
  } else {
    *owner_list = link_get(&node->owner_next);
  }
}

static void release(struct timer_wheel *wheel, uint32_t index)
{
  struct timer *node = node_at(wheel, index);
  CHECK((node->generation & 1u) == 1u);
  node->generation++;
  link_set(&node->next, wheel->free);
  wheel->free = index;
  wheel->count--;
}

uint64_t timer_arm(struct timer_wheel *wheel, uint64_t due, uint32_t actor, uint64_t cookie,
                   uint32_t *owner_list)
{
  if (wheel->free == TIMER_NONE) {
    grow(wheel);
  }
  if (due < wheel->tick) {
    due = wheel->tick;
  }
  if (due - wheel->tick > TIMER_TICKS_MAX) {
    due = wheel->tick + TIMER_TICKS_MAX;
  }
  uint32_t index = wheel->free;
  struct timer *node = node_at(wheel, index);
  wheel->free = link_get(&node->next);
  wheel->count++;
  node->actor = actor;
  node->cookie = cookie;
  node->due = (uint32_t)due;
  node->generation++;
  link_set(&node->owner_prev, TIMER_NONE);
  link_set(&node->owner_next, *owner_list);
  if (link_get(&node->owner_next) != TIMER_NONE) {
    link_set(&node_at(wheel, link_get(&node->owner_next))->owner_prev, index);
  }
  *owner_list = index;
  link_node(wheel, index);
  wheel->next = 0;
  return (uint64_t)node->generation << 32 | index;
}

uint32_t timer_owner(const struct timer_wheel *wheel, uint64_t handle)
{
  uint32_t index = (uint32_t)handle;
  uint32_t generation = (uint32_t)(handle >> 32);
  if ((generation & 1u) == 0 || index / TIMER_CHUNK >= wheel->chunks_count) {
    return TIMER_NONE;
  }
  const struct timer *node = node_at(wheel, index);
  return node->generation == generation ? node->actor : TIMER_NONE;
}

void timer_disarm(struct timer_wheel *wheel, uint64_t handle, uint32_t *owner_list)
{
  uint32_t index = (uint32_t)handle;
  owner_unlink(wheel, node_at(wheel, index), owner_list);
  unlink_node(wheel, index);
  release(wheel, index);
}

void timer_disarm_all(struct timer_wheel *wheel, uint32_t *owner_list)
{
  while (*owner_list != TIMER_NONE) {
    uint32_t index = *owner_list;
    *owner_list = link_get(&node_at(wheel, index)->owner_next);
    unlink_node(wheel, index);
    release(wheel, index);
  }
}

/* Spreads a slot over the levels below it. The list runs newest first, and each node goes to the
 * head of its new list, so it is turned round twice: here, to append to the due list in the order
 * of arming. */
static void spread(struct timer_wheel *wheel, uint32_t slot)
{
  uint32_t index = wheel->heads[slot];
  uint32_t oldest = TIMER_NONE;
  wheel->heads[slot] = TIMER_NONE;
  wheel->used[slot / TIMER_SLOTS][slot % TIMER_SLOTS / 64] &= ~(1ull << (slot % 64));
  while (index != TIMER_NONE) {
    struct timer *node = node_at(wheel, index);
    uint32_t next = link_get(&node->next);
    link_set(&node->next, oldest);
    oldest = index;
    index = next;
  }
  while (oldest != TIMER_NONE) {
    uint32_t next = link_get(&node_at(wheel, oldest)->next);
    link_node(wheel, oldest);
    oldest = next;
  }
}

/* The first used slot of a level after `from` in this round, or TIMER_SLOTS. */
static uint32_t next_used(const struct timer_wheel *wheel, unsigned level, uint32_t from)
{
  for (uint32_t at = from + 1; at < TIMER_SLOTS; at = (at / 64 + 1) * 64) {
    uint64_t word = wheel->used[level][at / 64] >> (at % 64);
    if (word != 0) {
      return at + (uint32_t)__builtin_ctzll(word);
    }
  }
  return TIMER_SLOTS;
}

/* Slots of a level lie ahead within the level's round, because the level is chosen by the highest
 * byte that differs; only the top level wraps, with the 32-bit clock. */
static uint64_t find_next(const struct timer_wheel *wheel)
{
  for (unsigned level = 0; level < TIMER_LEVELS; level++) {
    uint64_t unit = 1ull << (8 * level);
    uint32_t from = (uint32_t)(wheel->tick / unit) & 255u;
    uint64_t round = wheel->tick / unit / TIMER_SLOTS * TIMER_SLOTS;
    uint32_t slot = next_used(wheel, level, from);
    if (slot == TIMER_SLOTS && level == TIMER_LEVELS - 1) {
      round += TIMER_SLOTS;
      slot = (wheel->used[level][0] & 1u) != 0 ? 0 : next_used(wheel, level, 0);
    }
    if (slot < TIMER_SLOTS) {
      return (round + slot) * unit;
    }
  }
  return UINT64_MAX;
}

/* Found once, then kept until a timer is armed; a timer that is stopped makes it too early only. */
static uint64_t next_tick(struct timer_wheel *wheel)
{
  if (wheel->next == 0) {
    wheel->next = find_next(wheel);
  }
  return wheel->next;
}

void timer_advance(struct timer_wheel *wheel, uint64_t tick)
{
  for (;;) {
    uint64_t next = next_tick(wheel);
    if (next > tick) {
      break;
    }
    wheel->tick = next;
    wheel->next = 0;
    for (unsigned level = TIMER_LEVELS; level-- > 0;) {
      if ((next & ((1ull << (8 * level)) - 1)) == 0) {
        spread(wheel, level * TIMER_SLOTS + ((uint32_t)(next >> (8 * level)) & 255u));
      }
    }
  }
  if (tick > wheel->tick) {
    wheel->tick = tick;
  }
}

bool timer_peek_due(const struct timer_wheel *wheel, uint32_t *ret_actor, uint64_t *ret_cookie)
{
  uint32_t index = wheel->heads[TIMER_DUE];
  if (index == TIMER_NONE) {
    return false;
  }
  *ret_actor = node_at(wheel, index)->actor;
  *ret_cookie = node_at(wheel, index)->cookie;
  return true;
}

void timer_take_due(struct timer_wheel *wheel, uint32_t *owner_list)
{
  uint32_t index = wheel->heads[TIMER_DUE];
  CHECK(index != TIMER_NONE);
  owner_unlink(wheel, node_at(wheel, index), owner_list);
  unlink_node(wheel, index);
  release(wheel, index);
}

uint64_t timer_next(struct timer_wheel *wheel)
{
  return wheel->heads[TIMER_DUE] != TIMER_NONE ? wheel->tick : next_tick(wheel);
}
