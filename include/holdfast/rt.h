/* rt.h - the actor runtime as an actor, an adapter or the composition root sees it.
 *
 * Owner: every object here belongs to one loop and is touched by that loop's thread only, but for
 *        rt_post and the metric readers, which any thread may call.
 * Time:  microseconds; rt_now_us is monotonic, rt_wall_us is UTC. Both stand still within a turn.
 * Limits: every queue has a maximum in struct rt_config; nothing here blocks a sender.
 * Under it lies a driver (driver.h): driver_uv in production, driver_sim in simulations. */
#ifndef HOLDFAST_RT_H
#define HOLDFAST_RT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- identities ------------------------------------------------------------------------------ */

/* kind:8 | shard:10 | serial:46. The shard decides the loop: loop_of_shard[shard], so a sender
 * never touches the target's memory. For a class that is per loop the shard is the loop's index. */
typedef uint64_t rt_id;
#define RT_SHARD_BITS 10u
#define RT_SERIAL_BITS 46u
#define RT_SHARDS_MAX (1u << RT_SHARD_BITS)
#define RT_ID_NONE ((rt_id)0)

static inline rt_id rt_id_make(unsigned kind, unsigned shard, uint64_t serial)
{
  return ((rt_id)kind << (RT_SHARD_BITS + RT_SERIAL_BITS)) | ((rt_id)shard << RT_SERIAL_BITS) |
         serial;
}
static inline unsigned rt_id_kind(rt_id id)
{
  return (unsigned)(id >> 56);
}
static inline unsigned rt_id_shard(rt_id id)
{
  return (unsigned)(id >> RT_SERIAL_BITS) & (RT_SHARDS_MAX - 1u);
}
static inline uint64_t rt_id_serial(rt_id id)
{
  return id & ((1ull << RT_SERIAL_BITS) - 1u);
}

/* ---- messages -------------------------------------------------------------------------------- */

/* What a handler, a send or a load returns.
 *   RT_OK     done
 *   RT_AGAIN  no room (send only): the caller refuses upstream; nothing was sent
 *   RT_WAIT   load only: the actor opens its gate later with rt_open_gate
 *   RT_STOP   the actor is finished: it is passivated without failing
 *   RT_FAIL   the actor failed: waiters are answered, state dropped, loaded on the next message */
typedef enum rt_status { RT_OK, RT_AGAIN, RT_WAIT, RT_STOP, RT_FAIL } rt_status;

enum {
  RT_F_REPLY = 1,  /* answers an ask; passes a closed gate; its slot was reserved by the ask */
  RT_F_SYSTEM = 2, /* system lane: dispatched before everything else */
  RT_F_ASK = 4,    /* the sender waits for exactly one reply */
};

/* Replies that the runtime itself gives to an ask that it could not deliver. The payload is the
 * asker's own payload, so that a pointer in it goes back to its owner. Application ops start at
 * RT_OP_APP. */
enum {
  RT_OP_EXPIRED = 1,    /* the deadline passed before dispatch */
  RT_OP_OVERLOADED = 2, /* the actor's stash is full, or the cap on live actors is reached */
  RT_OP_DOWN = 3,       /* the actor failed or the runtime is stopping */
  RT_OP_TIMER = 4,      /* a timer of rt_timer; payload.u[0] is its cookie */
  RT_OP_STOPPING = 5,   /* per-loop actors: a drain began; payload.u[0] is its deadline_us */
  RT_OP_APP = 16,
};

/* 64 bytes, copied by value. A pointer in the payload moves its ownership with the message. */
typedef struct rt_env {
  rt_id to;
  rt_id from;
  uint64_t deadline_us; /* 0: none */
  uint32_t corr;        /* of an ask; echoed in its reply */
  uint16_t op;
  uint16_t flags;
  union {
    uint8_t b[24];
    uint64_t u[3];
    struct {
      void *ptr;
      uint64_t aux[2];
    } p;
  } payload;
  uint64_t sent_us; /* when it was sent: queue wait is measured from it */
} rt_env;
_Static_assert(sizeof(rt_env) == 64, "an envelope is one cache line");

typedef struct rt rt;         /* the runtime of a process */
typedef struct rt_ctx rt_ctx; /* a loop, as seen by what runs on it now */

/* ---- actor classes --------------------------------------------------------------------------- */

#define RT_CLASS_PER_LOOP 1u /* one actor for each loop, made at start, never passivated */
/* One actor for each shard at most, which has to be there when it is needed: live_actors_max is for
 * the others. */
#define RT_CLASS_PER_SHARD 2u

/* One per kind of actor, static const. Every callback runs on the actor's loop. State is zeroed
 * memory of state_bytes; what it points to is the class's own to free in passivate. */
typedef struct rt_class {
  const char *name;
  uint8_t kind;           /* index in the class table and top byte of its ids; > 0 */
  uint8_t flags;          /* RT_CLASS_* */
  uint16_t state_bytes;   /* <= 4096 */
  uint32_t stash_max;     /* messages kept while the gate is closed; more: RT_OP_OVERLOADED */
  uint64_t idle_us;       /* passivated after that long without a message; 0: only under the cap */
  const uint8_t *may_ask; /* kinds that it may ask, 0-terminated; NULL: none. Checked */
  /* The actor comes to life. RT_OK: ready. RT_WAIT: gate closed until rt_open_gate. */
  rt_status (*load)(rt_ctx *ctx, void *state);
  /* One message. Must not keep `env`. */
  rt_status (*handle)(rt_ctx *ctx, void *state, const rt_env *env);
  /* May it be passivated now? NULL: always. Nothing staged, no strong timer; what the runtime
   * knows itself (waiters, stash, asks and jobs in flight) it checks itself. A per-loop actor that
   * says no keeps a drain from being complete. */
  bool (*idle)(const void *state);
  /* Frees what the state points to, after RT_STOP, RT_FAIL (of load too) and at the end as well.
   * After it the actor is gone; answers to what it asks or hands in here go to drop. */
  void (*passivate)(rt_ctx *ctx, void *state);
  /* End of each turn in which the actor got a message or called rt_want_turn_end. Per-loop only. */
  void (*turn_end)(rt_ctx *ctx, void *state);
  /* Invariants; the simulator calls it after each message. */
  void (*check)(const void *state);
  /* A message to this class that nobody gets: a tell that could not be delivered, the answer of an
   * ask or a job whose actor failed meanwhile, and at the end of the runtime RT_OP_DOWN for each of
   * its asks that stayed open. Free what the payload owns. Any thread; the actor may not exist. */
  void (*drop)(const rt_env *env);
} rt_class;

/* ---- what an actor may do -------------------------------------------------------------------- */

rt_id rt_self(const rt_ctx *ctx);
rt *rt_of(const rt_ctx *ctx);
unsigned rt_loop_index(const rt_ctx *ctx);
unsigned rt_loop_count(const rt_ctx *ctx);
unsigned rt_loop_of(const rt_ctx *ctx, rt_id id);
uint64_t rt_now_us(const rt_ctx *ctx);
uint64_t rt_wall_us(const rt_ctx *ctx);
/* The monotonic clock as it is, also within a turn: for what must not be true of an earlier
 * time. */
uint64_t rt_clock_us(const rt_ctx *ctx);
uint64_t rt_rand(rt_ctx *ctx);
/* Seeded fault sites of the simulator; constant false in production. */
bool rt_buggify(rt_ctx *ctx, uint32_t site);

/* Sends; runs no receiver code; keeps FIFO order per (sender loop, receiver). Payload <= 24 bytes.
 * A tell that finds no room goes to the sender's bounded overflow list and closes that loop's
 * ingress, so inner traffic is never lost; RT_AGAIN only when that list is full too. */
rt_status rt_tell(rt_ctx *ctx, rt_id to, uint16_t op, const void *payload, size_t size);
/* As rt_tell, and reserves the room of the reply first. Exactly one reply comes back: the
 * receiver's rt_reply or one of RT_OP_EXPIRED, RT_OP_OVERLOADED, RT_OP_DOWN. */
rt_status rt_ask(rt_ctx *ctx, rt_id to, uint16_t op, const void *payload, size_t size,
                 uint64_t deadline_us, uint32_t corr);
/* Answers the ask that came from `to` with `corr`, now or later; never fails. */
void rt_reply(rt_ctx *ctx, rt_id to, uint32_t corr, uint16_t op, const void *payload, size_t size);
/* Hands an ask that the running actor has and has not answered to another actor of the same loop,
 * as a new message: `to` gets it as if `asker` had asked it, and owes the reply. Never fails. */
void rt_hand_over(rt_ctx *ctx, rt_id asker, uint32_t corr, rt_id to, uint16_t op,
                  const void *payload, size_t size);

/* Weak timer: fires RT_OP_TIMER at the caller with `cookie`; dies with the actor. Coarse: 1 ms,
 * never early; 24 days at most.
 * The returned handle is for rt_timer_stop; a fired or stopped handle is ignored. */
uint64_t rt_timer(rt_ctx *ctx, uint64_t after_us, uint64_t cookie);
void rt_timer_stop(rt_ctx *ctx, uint64_t timer);

/* A blocking or CPU-heavy job: fn(arg) on a thread of pool `pool` (key % threads picks it, so jobs
 * of one key run in order), then a message `done_op` with payload.p.ptr = arg to the caller.
 * RT_AGAIN: the pool's queue is full. Under the simulator fn runs inline, answered later. */
rt_status rt_work(rt_ctx *ctx, unsigned pool, uint64_t key, void (*fn)(void *arg), void *arg,
                  uint16_t done_op);

/* The gate of the running actor. Closed: only RT_F_REPLY, RT_OP_TIMER and job answers are
 * dispatched, the rest is stashed in order. */
void rt_close_gate(rt_ctx *ctx);
void rt_open_gate(rt_ctx *ctx);
void rt_want_turn_end(rt_ctx *ctx);

/* Memory: zeroed; aborts when the machine is out of memory. */
void *rt_alloc(size_t size);
void *rt_realloc(void *block, size_t size);
void rt_free(void *block);

/* A pointer for each loop, for what actors of one loop share (their catalog); set at start. */
void rt_set_local(rt_ctx *ctx, unsigned slot, void *value); /* slot < RT_LOCALS_MAX */
void *rt_local(const rt_ctx *ctx, unsigned slot);
#define RT_LOCALS_MAX 6u

/* ---- from outside an actor ------------------------------------------------------------------- */

/* Any thread. RT_AGAIN: the target loop's inbox is full. */
rt_status rt_post(rt *runtime, rt_id to, uint16_t op, const void *payload, size_t size);

/* Loop thread, outside a turn (socket callbacks): speak as the per-loop actor `self`. Pairs. From
 * the first time on each ask of that actor uses a credit; without one an ask in here is refused. */
void rt_enter(rt_ctx *ctx, rt_id self);
void rt_leave(rt_ctx *ctx);
/* False: this loop takes no new work from outside now (credits used up, overflow not empty, or
 * draining): stop reading sockets, and read on when `ingress` of rt_config is called. */
bool rt_ingress_open(const rt_ctx *ctx);

/* ---- metrics --------------------------------------------------------------------------------- */

/* Cells are plain per-loop words written by the loop and read by anyone (relaxed atomics); a
 * scrape sums them. A descriptor's index in the table is its id. Series with labels are separate
 * descriptors of the same name. */
enum rt_metric_type { RT_COUNTER, RT_GAUGE, RT_HISTOGRAM };
struct rt_metric {
  const char *name; /* Prometheus name, base units, _total for counters */
  const char *help;
  const char *labels; /* "a=\"b\",c=\"d\"" or "" */
  enum rt_metric_type type;
  const uint64_t *bounds; /* histogram: upper bounds, ascending, in the cell's unit */
  unsigned bounds_count;  /* <= 24 */
  double unit;            /* cell unit in the base unit: 1e-6 for microseconds; 1 for counts */
};
void rt_count(rt_ctx *ctx, unsigned metric, uint64_t delta);
void rt_gauge(rt_ctx *ctx, unsigned metric, int64_t value); /* this loop's share; summed */
void rt_observe(rt_ctx *ctx, unsigned metric, uint64_t value);
/* Prometheus text of all metrics, the runtime's own (rt_*) included; calls `sink` with pieces. */
void rt_metrics_write(const rt *runtime, void (*sink)(void *arg, const char *text, size_t size),
                      void *arg);
/* The same for a counter or gauge without cells: what no loop counts, say a thread beside them. Its
 * `value` is in the cell's unit; no other series has its name. */
void rt_metric_write(const struct rt_metric *metric, int64_t value,
                     void (*sink)(void *arg, const char *text, size_t size), void *arg);
/* One series' sum over loops (histograms: the count). For tests and the dashboard. */
uint64_t rt_metric_sum(const rt *runtime, unsigned metric);

/* ---- start and stop -------------------------------------------------------------------------- */

struct rt_pool_config {
  const char *name;
  unsigned threads;
  unsigned queue_max;
};

struct rt_config {
  unsigned loops;                 /* >= 1 */
  unsigned shards;                /* power of two <= RT_SHARDS_MAX; shard s is on loop s % loops */
  const rt_class *const *classes; /* classes[i]->kind unique; NULL-terminated */
  const struct rt_pool_config *pools;
  unsigned pools_count;
  const struct rt_metric *metrics;
  unsigned metrics_count;
  unsigned live_actors_max; /* per loop, those of shards not counted; over it idle actors are
                               passivated, then OVERLOADED */
  unsigned ring_size;       /* envelopes per ordered pair of loops; power of two; default 1024 */
  unsigned overflow_max;    /* envelopes that a loop may hold back for full rings; default 65536 */
  unsigned credits;         /* asks from outside in flight per loop; default 16384 */
  unsigned turn_env_max;    /* default 256 */
  unsigned turn_us_max;     /* default 500 */
  /* Loop thread, before the first turn and after the last: make per-loop services. May be NULL. */
  void (*loop_start)(void *arg, rt_ctx *ctx);
  void (*loop_stop)(void *arg, rt_ctx *ctx);
  /* Loop thread: rt_ingress_open became true again. May be NULL. */
  void (*ingress)(void *arg, rt_ctx *ctx);
  /* A restart budget was used up or an invariant is gone: the process should end. May be NULL. */
  void (*escalate)(void *arg, const char *reason);
  void *arg;
};

struct rt_driver; /* driver.h */

/* NULL and errno on failure (threads, descriptors). The loops run when it returns (driver_uv), or
 * when the simulator is stepped (driver_sim). */
rt *rt_start(struct rt_driver *driver, const struct rt_config *config);
/* Any thread. Ordered drain: per-loop actors get RT_OP_STOPPING in reverse order of kind, ingress
 * closes, the loops run until nothing is in flight or the deadline passed, then end. */
void rt_stop(rt *runtime, uint64_t drain_us);
/* Waits for the loops to end and frees everything; true when the drain was complete. */
bool rt_join(rt *runtime);

/* The trace ring of the calling thread's loop (time, actor, op) as text; CHECK calls it. */
void rt_trace_dump(void (*sink)(void *arg, const char *text, size_t size), void *arg);

#endif
