/* driver_world.h - what the conformance tests of the drivers stand on: a runtime over either
 * driver, three classes of actors that do what a test tells them, and a way to wait.
 *
 * The `hand` is a per-loop actor that runs a function of the test (world_run); the `item` is a
 * virtual actor with ops for every behaviour; the `desk` is a per-loop actor that answers loads
 * and the asks that are left to it.
 * The counters are atomics: actors raise them on their threads, world_await waits for them. */
#ifndef HOLDFAST_TESTS_DRIVER_WORLD_H
#define HOLDFAST_TESTS_DRIVER_WORLD_H

#include "holdfast/driver.h"
#include "holdfast/rt.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

enum { KIND_DESK = 1, KIND_ITEM = 2, KIND_HAND = 3 };

enum {
  OP_RUN = RT_OP_APP, /* hand: payload.p.ptr is a struct task */
  OP_COUNT,           /* item: u[0] is a sequence number; counts, checks the order */
  OP_ECHO,            /* item: ask; answered with the same payload */
  OP_KEEP,            /* item: ask; answered at OP_RELEASE */
  OP_RELEASE,         /* item: answers what was kept */
  OP_FAIL,            /* item, desk: RT_FAIL */
  OP_STOP,            /* item: RT_STOP */
  OP_GATE,            /* item: closes the gate for u[0] microseconds */
  OP_TIMERS,          /* item: arms timers */
  OP_BLOCK,           /* item: may not be passivated from here on */
  OP_OWNED,           /* item: tell or ask with a block of memory in payload.p.ptr */
  OP_PASS,            /* item: ask; handed over to the next item of the shard as op u[1] */
  OP_RELAY,           /* item: u[0] hops are left; tells the item of the next shard */
  OP_LOADED,          /* reply of the desk to OP_LOAD */
  OP_LOAD,            /* desk: ask of a loading item */
  OP_DONE,            /* reply */
  OP_JOB_DONE,
};

enum {
  COUNT_RUN,
  COUNT_GOT,     /* OP_COUNT that an item got */
  COUNT_REPLIES, /* replies that a hand got, of any op */
  COUNT_DOWN,    /* of these: RT_OP_DOWN and so on */
  COUNT_EXPIRED,
  COUNT_OVERLOADED,
  COUNT_DISORDER, /* sequence numbers out of order */
  COUNT_LOADS,
  COUNT_PASSIVATED,
  COUNT_DROPPED,
  COUNT_TIMERS,
  COUNT_JOBS,
  COUNT_JOBS_OUT_OF_ORDER, /* jobs whose argument was not 1 after they ran */
  COUNT_INGRESS,           /* calls of rt_config.ingress */
  COUNT_ESCALATED,
  COUNT_STOPPING,
  COUNT_TURN_ENDS,
  COUNT_SENT,    /* sends that were taken */
  COUNT_REFUSED, /* sends that were refused */
  COUNT_OTHER,
  COUNT_MAX
};

struct world {
  bool is_sim;
  struct driver_sim_config sim;
  struct rt_driver *driver;
  rt *runtime;
  struct rt_config config;
  struct rt_pool_config pools[2];
  rt_class desk, item, hand;
  const rt_class *classes[4];
  bool load_waits; /* items ask the desk before they open */
  bool load_fails; /* and are told that they do not exist */
  bool desk_keeps; /* the desk never answers a load */
  _Atomic uint64_t counts[COUNT_MAX];
  _Atomic uint64_t order[8];   /* kinds in the order in which they were told to stop */
  _Atomic uint64_t last_reply; /* u[0] of the newest reply */
  pthread_mutex_t lock;        /* for world_await: nothing else needs it */
  pthread_cond_t counted;
};

/* What a hand runs: fn(ctx, arg). */
struct task {
  void (*fn)(rt_ctx *ctx, struct world *world, void *arg);
  void *arg;
};

struct item_state {
  uint64_t next; /* sequence number that is expected */
  uint64_t got;
  uint64_t kept_count;
  struct {
    rt_id from;
    uint32_t corr;
  } kept[16];
  bool is_blocked;
};

/* `driver` is "uv" or "sim"; two loops, four shards, small bounds. Change what a test needs in
 * world->config, item, desk and hand, then call world_start. */
struct world *world_new(const char *driver);
void world_start(struct world *world);
/* Drains and frees; true when the drain was complete. The counters stay readable until
 * world_free. */
bool world_stop(struct world *world, uint64_t drain_us);
void world_free(struct world *world);

/* Posts the task to the hand of a loop and waits until it has run. */
void world_run(struct world *world, unsigned loop,
               void (*fn)(rt_ctx *ctx, struct world *world, void *arg), void *arg);
/* Waits until the counter is at least `least`; in the simulator it fails the test after
 * 30 virtual seconds. */
void world_await(struct world *world, unsigned counter, uint64_t least);
/* Lets the simulator work for that long; nothing with the real driver. */
void world_let_pass(struct world *world, uint64_t virtual_us);
uint64_t world_count(const struct world *world, unsigned counter);
void world_add(struct world *world, unsigned counter, uint64_t delta);
struct world *world_of(const rt_ctx *ctx);
/* The value of a series in the metrics text, e.g. rt_actors_live{class="item"}. */
double world_metric(struct world *world, const char *series);

rt_id item_id(unsigned shard, uint64_t serial);
rt_id hand_id(unsigned loop);
rt_id desk_id(unsigned loop);
/* Tells of the running actor that must find room. */
void tell_item(rt_ctx *ctx, rt_id to, uint16_t op, uint64_t word);
/* As above, an ask without deadline. */
void ask_item(rt_ctx *ctx, rt_id to, uint16_t op, uint64_t word, uint32_t corr);

/* A test for each driver. */
#define DRIVER_TEST(name)                                                                          \
  {#name "_uv", name, NULL, NULL, (void *)(uintptr_t) "uv"},                                       \
  {                                                                                                \
#name "_sim", name, NULL, NULL, (void *)(uintptr_t) "sim"                                      \
  }

#endif
