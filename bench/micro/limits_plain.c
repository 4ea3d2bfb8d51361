/* Limits on one thread: a queue with calls, touches of memory, the heap, lists, an event heap. */
#include "holdfast/check.h"
#include "limits.h"
#include "rt_bench.h"

#include <stdlib.h>

static uint64_t chance(void)
{
  static uint64_t seed = 88172645463325252ull;
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return seed;
}

/* ---- a queue and calls ----------------------------------------------------------------------- */

#define QUEUE_SIZE 16384u

struct bare_actor {
  void (*handle)(struct bare_actor *self, const rt_env *env);
  uint64_t got;
};

static rt_env *queue;
static uint64_t queue_put, queue_take;
static struct bare_actor *bare_actors;

static void put(uint64_t to, uint64_t from, uint64_t word)
{
  rt_env *env = &queue[queue_put++ % QUEUE_SIZE];
  *env = (rt_env){.to = to, .from = from};
  env->payload.u[0] = word;
}

static void on_hit(struct bare_actor *self, const rt_env *env)
{
  self->got++;
  if (env->payload.u[0] > 0) {
    put(env->from, env->to, env->payload.u[0] - 1);
  }
}

static void on_count(struct bare_actor *self, const rt_env *env)
{
  self->got += env->payload.u[0];
}

static void call_all(void)
{
  while (queue_take < queue_put) {
    const rt_env *env = &queue[queue_take % QUEUE_SIZE];
    struct bare_actor *actor = &bare_actors[env->to];
    actor->handle(actor, env);
    queue_take++;
  }
}

static void bare_begin(unsigned actors, void (*handle)(struct bare_actor *self, const rt_env *env))
{
  queue = rt_alloc(QUEUE_SIZE * sizeof *queue);
  bare_actors = rt_alloc(actors * sizeof *bare_actors);
  queue_put = 0;
  queue_take = 0;
  for (unsigned i = 0; i < actors; i++) {
    bare_actors[i].handle = handle;
  }
  bench_pin(0);
}

static double bare_end(uint64_t start_ns)
{
  double took_ns = (double)(bench_ns() - start_ns);
  CHECK(bare_actors[0].got > 0);
  rt_free(queue);
  rt_free(bare_actors);
  bench_unpin();
  return took_ns;
}

double limit_ping(uint64_t messages)
{
  bare_begin(2, on_hit);
  uint64_t start_ns = bench_ns();
  put(0, 1, messages);
  call_all();
  return bare_end(start_ns);
}

double limit_count(uint64_t messages, unsigned window)
{
  CHECK(window <= QUEUE_SIZE);
  bare_begin(1, on_count);
  uint64_t start_ns = bench_ns();
  for (uint64_t i = 0; i < messages;) {
    for (unsigned k = 0; k < window && i < messages; k++, i++) {
      put(0, 0, 1);
    }
    call_all();
  }
  return bare_end(start_ns);
}

double limit_fork(uint64_t rounds, unsigned actors)
{
  CHECK(actors <= QUEUE_SIZE);
  bare_begin(actors, on_count);
  uint64_t start_ns = bench_ns();
  for (uint64_t i = 0; i < rounds; i++) {
    for (unsigned k = 0; k < actors; k++) {
      put(k, 0, 1);
    }
    call_all();
  }
  return bare_end(start_ns);
}

/* ---- memory ---------------------------------------------------------------------------------- */

#define AHEAD 16u

double limit_touch(unsigned actors, unsigned touches)
{
  CHECK(actors > 0);
  struct block {
    uint64_t words[8];
  } *blocks = rt_alloc(actors * sizeof *blocks);
  uint64_t sum = 0;
  for (unsigned i = 0; i < actors; i++) {
    blocks[i].words[0] = 1;
  }
  uint64_t start_ns = bench_ns();
  for (unsigned i = 0; i < touches; i += AHEAD) {
    struct block *batch[AHEAD];
    for (unsigned k = 0; k < AHEAD; k++) {
      batch[k] = &blocks[chance() % actors];
      __builtin_prefetch(batch[k], 1);
    }
    for (unsigned k = 0; k < AHEAD; k++) {
      sum += batch[k]->words[0]++;
    }
  }
  double took_ns = (double)(bench_ns() - start_ns);
  CHECK(sum >= touches);
  rt_free(blocks);
  return took_ns / touches;
}

double limit_heap_blocks(unsigned blocks, unsigned live)
{
  void **kept = rt_alloc(live * sizeof *kept);
  uint64_t start_ns = bench_ns();
  for (unsigned i = 0; i < blocks; i++) {
    free(kept[i % live]);
    kept[i % live] = calloc(1, 64);
    CHECK(kept[i % live] != NULL);
  }
  double took_ns = (double)(bench_ns() - start_ns);
  for (unsigned i = 0; i < live; i++) {
    free(kept[i]);
  }
  rt_free(kept);
  return took_ns / blocks;
}

/* ---- timers ---------------------------------------------------------------------------------- */

#define HEADS 1024u

struct node {
  uint32_t next, prev, head, unused;
  uint64_t words[2];
};

static void node_link(struct node *nodes, uint32_t *heads, uint32_t index)
{
  struct node *node = &nodes[index];
  node->head = (uint32_t)(chance() % HEADS);
  node->prev = UINT32_MAX;
  node->next = heads[node->head];
  if (node->next != UINT32_MAX) {
    nodes[node->next].prev = index;
  }
  heads[node->head] = index;
}

static void node_unlink(struct node *nodes, uint32_t *heads, uint32_t index)
{
  const struct node *node = &nodes[index];
  if (node->next != UINT32_MAX) {
    nodes[node->next].prev = node->prev;
  }
  if (node->prev != UINT32_MAX) {
    nodes[node->prev].next = node->next;
  } else {
    heads[node->head] = node->next;
  }
}

void limit_list(unsigned timers, double *ret_arm_ns, double *ret_move_ns)
{
  struct node *nodes = rt_alloc(timers * sizeof *nodes);
  uint32_t heads[HEADS];
  for (unsigned i = 0; i < HEADS; i++) {
    heads[i] = UINT32_MAX;
  }
  uint64_t start_ns = bench_ns();
  for (uint32_t i = 0; i < timers; i++) {
    node_link(nodes, heads, i);
  }
  uint64_t armed_ns = bench_ns();
  for (uint32_t i = 0; i < timers; i++) {
    uint32_t at = (uint32_t)(chance() % timers);
    node_unlink(nodes, heads, at);
    node_link(nodes, heads, at);
  }
  *ret_move_ns = (double)(bench_ns() - armed_ns) / timers;
  *ret_arm_ns = (double)(armed_ns - start_ns) / timers;
  rt_free(nodes);
}

/* ---- event heap ------------------------------------------------------------------------------ */

struct event {
  uint64_t time;
  uint64_t number;
};

static bool is_before(const struct event *a, const struct event *b)
{
  return a->time != b->time ? a->time < b->time : a->number < b->number;
}

/* The first event gets a later time and sinks to its place. */
static void event_again(struct event *heap, unsigned count, struct event event)
{
  unsigned at = 0;
  for (;;) {
    unsigned child = 2 * at + 1;
    if (child >= count) {
      break;
    }
    if (child + 1 < count && is_before(&heap[child + 1], &heap[child])) {
      child++;
    }
    if (!is_before(&heap[child], &event)) {
      break;
    }
    heap[at] = heap[child];
    at = child;
  }
  heap[at] = event;
}

double limit_event_heap(unsigned pending, unsigned events)
{
  struct event *heap = rt_alloc(pending * sizeof *heap);
  for (unsigned i = 0; i < pending; i++) {
    heap[i] = (struct event){.time = i, .number = i};
  }
  uint64_t start_ns = bench_ns();
  for (unsigned i = 0; i < events; i++) {
    struct event event = {.time = heap[0].time + chance() % 1000, .number = pending + i};
    event_again(heap, pending, event);
  }
  double took_ns = (double)(bench_ns() - start_ns);
  CHECK(heap[0].time > 0);
  rt_free(heap);
  return took_ns / events;
}
