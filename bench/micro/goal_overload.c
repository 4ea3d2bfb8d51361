/* Ten times what the workers can do, offered from outside: what is still done, how fast the rest is
 * refused, and how much memory waits.
 *
 * An idle handle of loop 0 stands for its sockets: at each look at them it asks for what is due, as
 * the per-loop front. The workers are on loop 1; an ask costs them 2 us. First the window is kept
 * full (closed loop, the peak), then asks are due at ten times that rate, whatever happens. */
#include "goals.h"
#include "holdfast/check.h"
#include "rt_bench.h"

#include <uv.h>

#define CREDITS 4096u
#define RING 1024u
#define OVERFLOW_MAX 16384u
#define WORKERS 1000u
#define COST_NS 2000u
#define WARM_NS 200000000ull
#define SPAN_NS 600000000ull
#define TIMES 10.0
#define CLOCK_EVERY 64u
#define SAMPLE_EVERY 64u
#define SAMPLES_MAX 200000u

enum { KIND_FRONT = 1, KIND_WORKER = 2 };
enum { OP_ASK = RT_OP_APP, OP_DONE };

/* Loop 0 only, but for what main reads after bench_finish. */
static struct {
  uv_idle_t idle;
  rt_ctx *ctx;
  uint64_t phase_ns; /* when this phase began */
  double rate;       /* asks for each nanosecond; 0: closed loop */
  uint64_t due;      /* of this phase, refused or sent */
  uint64_t done, refused;
  uint64_t done_warm; /* `done` when the warm-up of the phase ended; 0: it has not */
  uint64_t warm_ns;
  double peak, goodput; /* asks for each nanosecond */
} world;
static uint64_t refusals[SAMPLES_MAX];
static unsigned refusals_count;

static void refuse(uint64_t due_ns, uint64_t now_ns)
{
  if (world.refused++ % SAMPLE_EVERY == 0 && refusals_count < SAMPLES_MAX) {
    refusals[refusals_count++] = now_ns > due_ns ? now_ns - due_ns : 0;
  }
}

static bool ask(uint64_t number)
{
  if (!rt_ingress_open(world.ctx)) {
    return false;
  }
  rt_id to = rt_id_make(KIND_WORKER, 1, 1 + number % WORKERS);
  return rt_ask(world.ctx, to, OP_ASK, NULL, 0, 0, (uint32_t)number) == RT_OK;
}

static void offer(uint64_t now_ns)
{
  if (world.rate == 0) {
    while (ask(world.due)) {
      world.due++;
    }
    return;
  }
  uint64_t until = (uint64_t)((double)(now_ns - world.phase_ns) * world.rate);
  while (world.due < until) {
    uint64_t due_ns = world.phase_ns + (uint64_t)((double)world.due / world.rate);
    if (!ask(world.due)) {
      now_ns = world.refused % CLOCK_EVERY == 0 ? bench_ns() : now_ns;
      refuse(due_ns, now_ns);
    }
    world.due++;
  }
}

static void begin_phase(uint64_t now_ns, double rate)
{
  world.phase_ns = now_ns;
  world.rate = rate;
  world.due = 0;
  world.done_warm = 0;
}

static void end_phase(uint64_t now_ns)
{
  double done = (double)(world.done - world.done_warm) / (double)(now_ns - world.warm_ns);
  if (world.rate == 0) {
    world.peak = done;
    begin_phase(now_ns, TIMES * done);
  } else {
    world.goodput = done;
    uv_close((uv_handle_t *)&world.idle, NULL);
    bench_finish();
  }
}

static void on_idle(uv_idle_t *idle)
{
  uint64_t now_ns = bench_ns();
  (void)idle;
  rt_enter(world.ctx, rt_id_make(KIND_FRONT, 0, 0));
  offer(now_ns);
  rt_leave(world.ctx);
  if (world.done_warm == 0 && now_ns - world.phase_ns >= WARM_NS) {
    world.done_warm = world.done;
    world.warm_ns = now_ns;
  }
  if (now_ns - world.phase_ns >= WARM_NS + SPAN_NS) {
    end_phase(now_ns);
  }
}

static void loop_start(void *arg, rt_ctx *ctx)
{
  bench_loop_pin(arg, ctx);
  if (rt_loop_index(ctx) == 0) {
    world.ctx = ctx;
    uv_idle_init(driver_uv_loop(ctx), &world.idle);
    begin_phase(bench_ns(), 0);
    uv_idle_start(&world.idle, on_idle);
  }
}

static rt_status front_handle(rt_ctx *ctx, void *state, const rt_env *env)
{
  (void)ctx;
  (void)state;
  if (env->op == OP_DONE) {
    world.done++;
  } else if (env->op != RT_OP_STOPPING) {
    CHECK(env->op == RT_OP_OVERLOADED);
    refuse(env->sent_us * 1000, bench_ns());
  }
  return RT_OK;
}

static rt_status worker_handle(rt_ctx *ctx, void *state, const rt_env *env)
{
  (void)state;
  bench_pause(COST_NS);
  rt_reply(ctx, env->from, env->corr, OP_DONE, NULL, 0);
  return RT_OK;
}

static const uint8_t front_asks[] = {KIND_WORKER, 0};
static const rt_class front_class = {.name = "front",
                                     .kind = KIND_FRONT,
                                     .flags = RT_CLASS_PER_LOOP,
                                     .may_ask = front_asks,
                                     .handle = front_handle};
static const rt_class worker_class = {
  .name = "worker", .kind = KIND_WORKER, .handle = worker_handle};
static const rt_class *const classes[] = {&front_class, &worker_class, NULL};

/* Rings, inboxes, held lists and local queues at their limits. */
static double bound_bytes(void)
{
  double queues = RING * sizeof(rt_env);                    /* the ring to the other loop */
  queues += RING * (sizeof(rt_env) + 8);                    /* the inbox */
  queues += OVERFLOW_MAX * sizeof(rt_env);                  /* held back */
  queues += (double)(RING + OVERFLOW_MAX) * sizeof(rt_env); /* local */
  return 2 * queues;
}

void goal_overload_repeat(void)
{
  const struct rt_config config = {.loops = 2,
                                   .shards = 2,
                                   .classes = classes,
                                   .ring_size = RING,
                                   .overflow_max = OVERFLOW_MAX,
                                   .credits = CREDITS,
                                   .loop_start = loop_start};
  struct rt_driver *driver = driver_uv_new();
  world.done = 0;
  world.refused = 0;
  refusals_count = SAMPLES_MAX;
  for (unsigned i = 0; i < SAMPLES_MAX; i++) {
    refusals[i] = 1; /* its pages are there before memory is counted */
  }
  refusals_count = 0;
  bench_line_init();
  double before = (double)bench_memory();
  rt *runtime = rt_start(driver, &config);
  CHECK(runtime != NULL);
  bench_line_wait();
  double grown = (double)bench_memory() - before;
  rt_stop(runtime, 5000000);
  bool is_clean = rt_join(runtime);
  CHECK(is_clean);
  driver_uv_free(driver);
  CHECK(refusals_count > 0);
  goal_pair(GOAL_OVERLOAD_GOODPUT, world.goodput * 1000, world.peak * 1000);
  goal_ours(GOAL_OVERLOAD_REFUSAL, (double)bench_percentile(refusals, refusals_count, 0.99) / 1000);
  goal_pair(GOAL_OVERLOAD_MEMORY, grown / 1048576, bound_bytes() / 1048576);
}
