/* internal.h - what the files of the runtime share: the runtime, a loop, and their functions.
 *
 * Owner: a struct rt_ctx is its loop's; other threads touch its `shared` part and nothing else.
 *        struct rt is constant after rt_start but for its atomics.
 * Files: loop.c the turn; send.c staging and publishing; deliver.c a message to its actor;
 *        life.c activation, passivation and failure; evict.c who has to leave; waiter.c asks that
 *        an actor has not answered; job.c pool work; stop.c the drain; ctx.c what actors read;
 *        rt.c start and end. */
#ifndef HOLDFAST_RUNTIME_INTERNAL_H
#define HOLDFAST_RUNTIME_INTERNAL_H

#include "dir.h"
#include "fifo.h"
#include "holdfast/driver.h"
#include "holdfast/rt.h"
#include "inbox.h"
#include "mem.h"
#include "metrics.h"
#include "own.h"
#include "ring.h"
#include "slab.h"
#include "timer.h"
#include "trace.h"

#include <stdalign.h>
#include <stdatomic.h>

/* ---- limits ---------------------------------------------------------------------------------- */

#define RT_LOOPS_MAX 64u       /* the mask of watched rings is one word */
#define RT_PUBLISH_MAX 64u     /* staged envelopes that are published before the turn ends */
#define RT_RING_TURN_MAX 64u   /* taken from one ring in a turn */
#define RT_POSTS_TURN_MAX 64u  /* taken from the inbox in a turn */
#define RT_BATCH 16u           /* envelopes looked ahead at, and dispatched between clock reads */
#define RT_REPLAY_TURN_MAX 32u /* stashed messages of one actor in a turn */
#define RT_CHUNK_ENVELOPES 63u /* a chunk of a queue is one page */
#define RT_STASH_ENVELOPES 7u  /* a chunk of a stash is 512 bytes */
#define RT_SLOW_US 1000u
#define RT_STALL_US 25000u

/* Fault sites of the runtime itself; an application's numbers lie below. */
enum {
  RT_SITE_RING_FULL = 0x7FFF0000, /* a ring says that it is full */
  RT_SITE_EVICT,                  /* an actor is passivated after its message */
  RT_SITE_TURN_SIZE,              /* a turn ends early */
  RT_SITE_STASH_FULL,             /* an ask finds the stash full */
  RT_SITE_TIMERS_LATE,            /* due timers fire one turn later */
  RT_SITE_JOB_REFUSED,            /* a pool says that it is full */
  RT_SITE_ASK_REFUSED,            /* an ask finds no room; not by lot, but when a test says so */
  RT_SITE_TELL_REFUSED,           /* a tell, likewise */
};

/* ---- a loop ---------------------------------------------------------------------------------- */

/* What others touch, each on lines of its own. */
struct loop_shared {
  /* Bit s: the loop looks at the ring from s in each turn. s sets it, and only if it is clear; the
   * loop clears all before it sleeps, so that loops which are awake share no word but the head. */
  alignas(MEM_LINE) _Atomic uint64_t watched;
  alignas(MEM_LINE) _Atomic uint32_t asleep; /* the loop sets; whoever clears it kicks */
  alignas(MEM_LINE) _Atomic uint64_t quiet;  /* drain: odd while nothing is in flight here */
  struct inbox inbox;
  struct done_list done; /* jobs whose answers wait */
};

/* Towards one other loop. */
struct outbound {
  struct ring *ring;
  struct fifo held; /* overflow: what the full ring did not take */
};

struct waiter {
  struct waiter *hash_next;
  struct waiter *next, *prev; /* its actor's, in order of arrival, circular */
  rt_env env;                 /* the ask, for an answer that echoes its payload */
};

struct stash {
  struct fifo queue;
  struct stash *next;  /* in the replay list */
  struct actor *actor; /* NULL: it died while the stash was in the list */
  bool queued;         /* in the replay list */
};

struct job {
  struct done_node node;
  rt_ctx *ctx;
  void *arg;
  uint64_t sent_us;
  uint32_t actor; /* slot; it cannot go while the job is in flight */
  uint16_t done_op;
  uint16_t pool;
  rt_id id; /* of the actor, for an answer that finds it gone at the end */
};

/* What a loop keeps about a per-loop actor beside its block. */
struct service {
  uint64_t restarts_since_us; /* begin of the period in which restarts are counted */
  uint32_t restarts;
  uint32_t asks_out; /* asks of it without an answer */
  bool finished;     /* goes DOWN instead of being restarted */
};

struct quarantine; /* life.c */

struct rt_ctx {
  /* what runs now */
  struct actor *self;    /* NULL: nobody */
  const rt_env *current; /* the message that is handled */
  bool current_open;     /* it is an ask and has not been answered */
  bool in_turn;
  bool entered; /* between rt_enter and rt_leave, outside a turn */
  bool draining;
  bool ingress_closed;
  bool began; /* per-loop actors are loaded */
  unsigned index, loops;
  uint64_t now_us;
  uint64_t wall_us; /* 0: not read in this turn */
  const uint8_t *loop_of_shard;
  struct rt *runtime;
  struct rt_driver *driver;

  /* towards others */
  struct fifo local;
  struct outbound *out;  /* by loop */
  struct ring **in;      /* by loop */
  uint64_t staged_mask;  /* loops for which something is staged */
  uint64_t held_mask;    /* loops for which something is held back */
  uint64_t release_mask; /* loops whose ring was read in this turn */
  uint32_t held_count;   /* over all loops, replies included */
  uint32_t asks_out;     /* asks of this loop's actors without an answer: each has a reply's room */
  uint32_t credits_used; /* those of edge actors */
  uint32_t jobs_out;
  unsigned ring_first; /* which ring is drained first, moves on each turn */
  struct loop_shared *shared;

  /* actors */
  struct actor *services[256]; /* per-loop actors by kind */
  struct service service[256];
  struct dir dir;
  struct slab slab;
  uint32_t live;       /* virtual actors but those of shards, the ending ones included */
  uint32_t free_epoch; /* grows with each block that is freed: pointers held before are stale */
  uint64_t clock_hand; /* slot at which the choice of a victim goes on */
  uint64_t sweep_slot; /* where the search for idle actors goes on; SWEEP_OFF between sweeps */
  uint64_t sweep_next_us;
  struct waiter **waiters; /* hash table by (actor, asker, corr) */
  uint32_t waiters_mask, waiters_count;
  struct pool waiter_pool, stash_pool, job_pool;
  struct stash *replay_first, *replay_last;
  uint32_t stashed_count;
  struct quarantine *quarantine; /* NULL until an actor fails */

  /* turn */
  struct timer_wheel timers;
  struct fifo system;
  unsigned turn_left;  /* dispatches that this turn may still do */
  unsigned turn_count; /* dispatches that it did */
  unsigned since_clock;
  uint64_t clock_us; /* last reading within the turn */
  bool over_time;
  bool wait_sampled;
  uint64_t turn_end_mask[4]; /* kinds whose turn_end is due */
  uint64_t turns;

  /* records */
  struct metric_cell *cells;
  struct metric_cell *own; /* cells of the runtime's own scalars */
  struct fifo_pool chunks, stash_chunks;
  uint64_t random[4];
  void *locals[RT_LOCALS_MAX];
  struct trace trace;
};

/* ---- the runtime ----------------------------------------------------------------------------- */

struct kind_info {
  const rt_class *class;
  uint64_t may_ask[4]; /* bit mask of kinds */
  unsigned metric;     /* index of its first own scalar */
};

enum { RT_RUNNING, RT_ENDED_CLEAN, RT_ENDED_LATE };

struct rt {
  struct rt_driver *driver;
  struct rt_config config;
  bool simulated; /* the driver observes dispatches; class checks run */
  unsigned local_max;
  uint64_t sweep_period_us; /* 0: no class passivates by time */
  uint8_t loop_of_shard[RT_SHARDS_MAX];
  struct kind_info kinds[256];
  rt_ctx **loops;
  struct ring **rings;        /* [from * loops + to] */
  struct metric_cell **cells; /* by loop */
  struct metrics metrics;
  struct own_metrics own;
  alignas(MEM_LINE) _Atomic uint64_t stop_at_us; /* 0: not stopping; else the drain's deadline */
  _Atomic uint32_t ended;                        /* RT_RUNNING or how it ended */
};

/* ---- small things that every file uses ------------------------------------------------------- */

static inline void own_add(rt_ctx *ctx, enum own_scalar which, uint64_t delta)
{
  metrics_add(&ctx->own[which], delta);
}

static inline const rt_class *class_of(const rt_ctx *ctx, unsigned kind)
{
  return ctx->runtime->kinds[kind].class;
}

static inline struct metric_cell *class_cell(rt_ctx *ctx, unsigned kind,
                                             enum own_class_scalar which)
{
  return &ctx->own[ctx->runtime->kinds[kind].metric + (unsigned)which];
}

static inline bool site_fires(rt_ctx *ctx, uint32_t site)
{
  return ctx->runtime->simulated && rt_buggify(ctx, site);
}

/* The live actor of an id on this loop, or NULL. */
static inline struct actor *actor_find(const rt_ctx *ctx, rt_id id)
{
  struct actor *service = ctx->services[rt_id_kind(id)];
  return service != NULL ? service : dir_find(&ctx->dir, id, dir_hash(id));
}

/* The clock of a loop's timers: whole milliseconds of the monotonic clock. */
static inline uint64_t tick_of(uint64_t us)
{
  return us / 1000;
}

/* ---- send.c ---------------------------------------------------------------------------------- */

/* A reply from `from`, which need not be the running actor; always finds room. */
void send_reply(rt_ctx *ctx, rt_id from, rt_id to, uint32_t corr, uint16_t op, const void *payload,
                size_t size);
void send_publish_all(rt_ctx *ctx);
void send_flush_held(rt_ctx *ctx);
/* Held envelopes whose ring has room by now: the loop must not sleep. */
bool send_held_can_go(rt_ctx *ctx);
/* The sleeping edge: kicks the loop when it is asleep. */
void loop_wake(struct rt *runtime, unsigned loop);
void ingress_close(rt_ctx *ctx);
/* End of a turn: opens the ingress again when there is room, and says so. */
void ingress_reopen(rt_ctx *ctx);
/* Gives an undeliverable envelope back to whoever owns its payload. No loop needs to run. */
void env_drop(struct rt *runtime, const rt_env *env);

/* ---- deliver.c ------------------------------------------------------------------------------- */

/* One message; `actor` is what actor_find says now. */
void deliver(rt_ctx *ctx, const rt_env *env, struct actor *actor);
/* Messages that lie side by side, at most RT_BATCH. */
void deliver_batch(rt_ctx *ctx, const rt_env *env, unsigned count);
/* A timer: passes the gate; the actor has its state. */
void deliver_direct(rt_ctx *ctx, const rt_env *env, struct actor *actor);
/* A reply or the answer of a job, already counted off the actor's in_flight: passes the gate, but
 * reaches what has state only; the last one lets an ending actor go. */
void deliver_answer(rt_ctx *ctx, const rt_env *env, struct actor *actor);
/* An ask is answered with `op`, a tell is dropped. */
void refuse(rt_ctx *ctx, const rt_env *env, uint16_t op);
/* Each actor of the replay list gets up to RT_REPLAY_TURN_MAX of its stashed messages. */
void deliver_replays(rt_ctx *ctx);
void stash_queue_replay(rt_ctx *ctx, struct actor *actor);
/* Answers or drops all that is stashed, and gives the stash back. */
void stash_refuse(rt_ctx *ctx, struct actor *actor, uint16_t op);
void stash_release(rt_ctx *ctx, struct actor *actor);
static inline uint32_t stash_count(const struct actor *actor)
{
  return actor->stash == NULL ? 0 : actor->stash->queue.count;
}

/* ---- job.c ----------------------------------------------------------------------------------- */

void deliver_job(rt_ctx *ctx, struct job *job);
/* After the loops ended: gives the argument back to the actor's class. */
void job_drop(rt *runtime, struct job *job);

/* ---- life.c ---------------------------------------------------------------------------------- */

void actor_move(struct actor *actor, enum actor_phase to);
/* Brings a virtual actor to life. NULL: refuse with *ret_op. */
struct actor *actor_activate(rt_ctx *ctx, rt_id id, uint16_t *ret_op);
/* Blocks first, so that loop_start may speak as them; then the loads, in order of kind. */
void services_make(rt_ctx *ctx);
void services_load(rt_ctx *ctx);
/* A callback answered RT_STOP or RT_FAIL. The actor may be gone afterwards. */
void actor_leave(rt_ctx *ctx, struct actor *actor, rt_status why);
/* Without failing; the actor may be passivated (evict_allowed). */
void actor_passivate(rt_ctx *ctx, struct actor *actor);
/* An answer came to an actor whose state is gone. */
void actor_ending_step(rt_ctx *ctx, struct actor *actor);
/* End of the loop: frees all states. */
void actors_end(rt_ctx *ctx);
void quarantine_free(rt_ctx *ctx);

/* ---- evict.c --------------------------------------------------------------------------------- */

#define SWEEP_OFF UINT64_MAX

bool evict_allowed(rt_ctx *ctx, const struct actor *actor);
/* Room for one more actor: passivates by CLOCK when the cap is near. False: at the cap. */
bool evict_for_room(rt_ctx *ctx);
/* A slice of the search for actors that have been idle too long. */
void evict_sweep(rt_ctx *ctx);

/* ---- waiter.c -------------------------------------------------------------------------------- */

void waiter_add(rt_ctx *ctx, struct actor *actor, const rt_env *env);
/* Takes the ask off; false: the actor owes no such answer. */
bool waiter_take(rt_ctx *ctx, struct actor *actor, rt_id from, uint32_t corr);
/* Answers all of them with RT_OP_DOWN, oldest first. */
void waiters_down(rt_ctx *ctx, struct actor *actor);

/* ---- stop.c ---------------------------------------------------------------------------------- */

/* Start and end of a turn. */
void stop_begin_turn(rt_ctx *ctx);
void stop_end_turn(rt_ctx *ctx);

/* ---- loop.c ---------------------------------------------------------------------------------- */

/* Takes `count` dispatches off the turn and reads the clock now and then. */
void turn_spend(rt_ctx *ctx, const rt_env *first, unsigned count);
/* Did another loop publish something? */
static inline bool loop_is_told(const rt_ctx *ctx)
{
  for (uint64_t mask = atomic_load(&ctx->shared->watched); mask != 0; mask &= mask - 1) {
    const struct ring *ring = ctx->in[__builtin_ctzll(mask)];
    if (ring_has(ring)) {
      ring_warm_next(ring);
      return true;
    }
  }
  return false;
}
/* Anything to do that needs no clock? */
bool loop_has_work(rt_ctx *ctx);

/* ---- ctx.c, rt.c ----------------------------------------------------------------------------- */

void random_seed(rt_ctx *ctx, uint64_t seed);
/* After all loops ended: gives undelivered payloads back and frees everything. */
void runtime_free(rt *runtime);

#endif
