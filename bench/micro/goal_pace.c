/* Messages at a rate: how often a loop has to be woken, and what a hot actor does to the others.
 *
 * A per-loop actor on loop 0 sends what is due at the end of each of its turns to actors on loop 1,
 * and so never sleeps. What is late stays due: latencies count from when a message was due. */
#include "goals.h"
#include "holdfast/check.h"
#include "rt_bench.h"

#define KICK_MESSAGES 1000000u
#define KICK_RATE 1000000u /* a second */
#define HOT_RATE 800000u
#define HOT_ASKS 400000u
#define HOT_COST_NS 500u
#define OTHERS 1000u
#define HOT_SERIAL 1u

enum { KIND_PACER = 1, KIND_WORKER = 2 };
enum { OP_START = RT_OP_APP, OP_COUNT, OP_ASK, OP_ANSWER };
enum mode { MODE_KICKS, MODE_ALONE, MODE_HOT, MODE_EVEN };

static enum mode mode; /* set before the runtime starts */
static uint64_t latencies[HOT_ASKS];

struct pacer {
  uint64_t start_ns; /* 0: not started */
  uint64_t sent, answered;
  uint64_t samples; /* latencies of the others */
};

static rt_id worker(uint64_t serial)
{
  return rt_id_make(KIND_WORKER, 1, serial);
}

/* Both: false when there is no room, on a machine that held the other loop up; it stays due. */
static bool send_kick(rt_ctx *ctx, struct pacer *pacer)
{
  uint64_t is_last = pacer->sent + 1 == KICK_MESSAGES;
  if (rt_tell(ctx, worker(1), OP_COUNT, &is_last, sizeof is_last) != RT_OK) {
    return false;
  }
  pacer->sent++;
  return true;
}

/* Nine of ten go to the hot one, to any of the others, or nowhere. */
static bool send_ask(rt_ctx *ctx, struct pacer *pacer)
{
  uint64_t i = pacer->sent;
  bool is_other = i % 10 == 0;
  uint64_t serial = HOT_SERIAL + 1 + rt_rand(ctx) % OTHERS;
  if (!is_other && mode == MODE_ALONE) {
    pacer->sent++;
    pacer->answered++;
    return true;
  }
  uint64_t payload[2] = {pacer->start_ns + i * 1000000000u / HOT_RATE, is_other};
  serial = !is_other && mode == MODE_HOT ? HOT_SERIAL : serial;
  if (rt_ask(ctx, worker(serial), OP_ASK, payload, sizeof payload, 0, (uint32_t)i) != RT_OK) {
    return false;
  }
  pacer->sent++;
  return true;
}

static void pacer_turn_end(rt_ctx *ctx, void *state)
{
  struct pacer *pacer = state;
  uint64_t period_ns = 1000000000u / (mode == MODE_KICKS ? KICK_RATE : HOT_RATE);
  uint64_t total = mode == MODE_KICKS ? KICK_MESSAGES : HOT_ASKS;
  if (pacer->start_ns == 0) {
    return;
  }
  uint64_t due = (bench_ns() - pacer->start_ns) / period_ns;
  bool has_room = true;
  while (has_room && pacer->sent < due && pacer->sent < total) {
    has_room = mode == MODE_KICKS ? send_kick(ctx, pacer) : send_ask(ctx, pacer);
  }
  if (pacer->sent < total || (mode != MODE_KICKS && pacer->answered < total)) {
    rt_want_turn_end(ctx);
  } else {
    pacer->start_ns = 0;
    if (mode != MODE_KICKS) {
      bench_finish();
    }
  }
}

static rt_status pacer_handle(rt_ctx *ctx, void *state, const rt_env *env)
{
  struct pacer *pacer = state;
  (void)ctx;
  if (env->op == OP_START) {
    pacer->start_ns = bench_ns();
    return RT_OK;
  }
  if (env->op == RT_OP_STOPPING) {
    return RT_OK;
  }
  CHECK(env->op == OP_ANSWER);
  pacer->answered++;
  if (env->payload.u[1] != 0) {
    latencies[pacer->samples++] = bench_ns() - env->payload.u[0];
  }
  return RT_OK;
}

static rt_status worker_handle(rt_ctx *ctx, void *state, const rt_env *env)
{
  (void)state;
  if (env->op == OP_ASK) {
    bench_pause(HOT_COST_NS);
    rt_reply(ctx, env->from, env->corr, OP_ANSWER, env->payload.u, 2 * sizeof env->payload.u[0]);
  } else if (env->payload.u[0] != 0) {
    bench_finish();
  }
  return RT_OK;
}

static const uint8_t pacer_asks[] = {KIND_WORKER, 0};
static const rt_class pacer_class = {.name = "pacer",
                                     .kind = KIND_PACER,
                                     .flags = RT_CLASS_PER_LOOP,
                                     .state_bytes = sizeof(struct pacer),
                                     .may_ask = pacer_asks,
                                     .handle = pacer_handle,
                                     .turn_end = pacer_turn_end};
static const rt_class worker_class = {
  .name = "worker", .kind = KIND_WORKER, .state_bytes = 16, .handle = worker_handle};
static const rt_class *const classes[] = {&pacer_class, &worker_class, NULL};
static const struct rt_config config = {
  .loops = 2, .shards = 2, .classes = classes, .loop_start = bench_loop_pin};

static uint64_t run(enum mode wanted)
{
  mode = wanted;
  return bench_run(&config, rt_id_make(KIND_PACER, 0, 0), OP_START, 0);
}

void goal_kicks_repeat(void)
{
  run(MODE_KICKS);
  goal_ours(GOAL_KICKS_PACED, bench_series("rt_wakes_total") / KICK_MESSAGES);
  bench_pin(0); /* one core for two loops as the driver sees it: no spinning */
  run(MODE_KICKS);
  bench_unpin();
  goal_ours(GOAL_KICKS_SHARED, bench_series("rt_wakes_total") / KICK_MESSAGES);
}

static double others_p99_us(enum mode wanted)
{
  run(wanted);
  return (double)bench_percentile(latencies, HOT_ASKS / 10, 0.99) / 1000;
}

void goal_hot_repeat(void)
{
  double alone_us = others_p99_us(MODE_ALONE);
  goal_pair(GOAL_HOT, others_p99_us(MODE_HOT), alone_us);
  goal_pair(GOAL_HOT_EVEN, others_p99_us(MODE_EVEN), alone_us);
}
