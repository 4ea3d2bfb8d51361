/* Messages between actors: ping-pong, counting and fork-join on one loop and across two; and how
 * long one hop between two loops takes while both are awake. */
#include "goals.h"
#include "holdfast/check.h"
#include "limits.h"
#include "rt_bench.h"

#define HIT_COUNT 5000000u
#define HOP_COUNT 400000u
#define SEND_COUNT 10000000u
#define ROUNDS 300u
#define FORK 10000u
#define WINDOW 4096u /* tells that may be on their way at once, counting */
#define CREDIT 1024u /* the counter gives that many back at a time */
#define HOPS 100u    /* timed together: one alone is shorter than two readings of the clock */
#define HOP_SAMPLES (HOP_COUNT / HOPS)

enum { KIND_PLAYER = 1 };
enum {
  OP_SERVE = RT_OP_APP, /* u[0]: how many hits; u[1]: the other's id */
  OP_HIT,               /* u[0]: how many are left */
  OP_SEND,              /* u[0]: how many to count on the other side */
  OP_COUNT,
  OP_CREDIT,
  OP_FORK, /* u[0]: rounds of FORK tells to as many actors */
  OP_JOIN,
};

struct player {
  uint64_t left; /* to send, or to hear of */
  uint64_t open; /* on their way */
  uint64_t got;
};

static unsigned far_shard; /* 0: the other side is on the same loop */
/* Nanoseconds of each HOPS hops. Written by whoever has the ball, on either loop. */
static uint64_t hop_samples[HOP_SAMPLES];
static uint64_t hop_since_ns;

static rt_id other(uint64_t serial)
{
  return rt_id_make(KIND_PLAYER, far_shard, serial);
}

static rt_id near_one(uint64_t serial)
{
  return rt_id_make(KIND_PLAYER, 0, serial);
}

static void tell(rt_ctx *ctx, rt_id to, uint16_t op, uint64_t word)
{
  rt_status status = rt_tell(ctx, to, op, &word, sizeof word);
  CHECK(status == RT_OK);
}

static void on_hit(rt_ctx *ctx, const rt_env *env)
{
  uint64_t left = env->payload.u[0];
  if (far_shard != 0 && left % HOPS == 0) {
    uint64_t now_ns = bench_ns();
    hop_samples[left / HOPS % HOP_SAMPLES] = now_ns - hop_since_ns;
    hop_since_ns = now_ns;
  }
  if (left == 0) {
    bench_finish();
  } else {
    tell(ctx, env->from, OP_HIT, left - 1);
  }
}

static void send_on(rt_ctx *ctx, struct player *player)
{
  while (player->left > 0 && player->open < WINDOW) {
    tell(ctx, other(2), OP_COUNT, player->left);
    player->left--;
    player->open++;
  }
  if (player->left == 0 && player->open == 0) {
    bench_finish();
  }
}

static void on_count(rt_ctx *ctx, struct player *player, const rt_env *env)
{
  player->got++;
  if (player->got % CREDIT == 0 || env->payload.u[0] == 1) {
    uint64_t credit = player->got;
    player->got = 0;
    tell(ctx, env->from, OP_CREDIT, credit);
  }
}

static void fork_all(rt_ctx *ctx)
{
  for (uint64_t i = 0; i < FORK; i++) {
    tell(ctx, other(1000 + i), OP_JOIN, i);
  }
}

/* The last of each round reports back: the queue is first in, first out. */
static void on_join(rt_ctx *ctx, struct player *player, const rt_env *env)
{
  player->got++;
  if (env->payload.u[0] == FORK - 1) {
    tell(ctx, env->from, OP_CREDIT, FORK);
  }
}

static void on_credit(rt_ctx *ctx, struct player *player, const rt_env *env)
{
  if (player->open == 0) { /* the one that forks */
    if (--player->left > 0) {
      fork_all(ctx);
    } else {
      bench_finish();
    }
    return;
  }
  player->open -= env->payload.u[0];
  send_on(ctx, player);
}

static rt_status handle(rt_ctx *ctx, void *state, const rt_env *env)
{
  struct player *player = state;
  switch (env->op) {
  case OP_SERVE:
    tell(ctx, other(2), OP_HIT, env->payload.u[0]);
    break;
  case OP_HIT:
    on_hit(ctx, env);
    break;
  case OP_SEND:
    player->left = env->payload.u[0];
    send_on(ctx, player);
    break;
  case OP_COUNT:
    on_count(ctx, player, env);
    break;
  case OP_CREDIT:
    on_credit(ctx, player, env);
    break;
  case OP_FORK:
    player->left = env->payload.u[0];
    fork_all(ctx);
    break;
  default:
    on_join(ctx, player, env);
  }
  return RT_OK;
}

static const rt_class player_class = {
  .name = "player", .kind = KIND_PLAYER, .state_bytes = sizeof(struct player), .handle = handle};
static const rt_class *const classes[] = {&player_class, NULL};

static double run(unsigned loops, uint16_t op, uint64_t word)
{
  const struct rt_config config = {.loops = loops,
                                   .shards = 2,
                                   .classes = classes,
                                   .live_actors_max = 100000,
                                   .loop_start = bench_loop_pin};
  far_shard = loops - 1;
  return (double)bench_run(&config, near_one(1), op, word);
}

static double rate(uint64_t messages, double took_ns)
{
  return (double)messages * 1000.0 / took_ns;
}

void goal_message_repeat(void)
{
  goal_ours(GOAL_PING, rate(HIT_COUNT, run(1, OP_SERVE, HIT_COUNT)));
  goal_limit(GOAL_PING, rate(HIT_COUNT, limit_ping(HIT_COUNT)));
  goal_ours(GOAL_COUNT, rate(SEND_COUNT, run(1, OP_SEND, SEND_COUNT)));
  goal_limit(GOAL_COUNT, rate(SEND_COUNT, limit_count(SEND_COUNT, WINDOW)));
  goal_ours(GOAL_FORK, rate(ROUNDS * FORK, run(1, OP_FORK, ROUNDS)));
  goal_limit(GOAL_FORK, rate(ROUNDS * FORK, limit_fork(ROUNDS, FORK)));
  goal_ours(GOAL_COUNT2, rate(SEND_COUNT, run(2, OP_SEND, SEND_COUNT)));
  goal_ours(GOAL_KICKS, bench_series("rt_wakes_total") / SEND_COUNT);
  goal_limit(GOAL_COUNT2, rate(SEND_COUNT, limit_ring(SEND_COUNT, 64)));
}

void goal_hop_repeat(void)
{
  hop_since_ns = bench_ns();
  goal_ours(GOAL_HOP_RATE, rate(HOP_COUNT, run(2, OP_SERVE, HOP_COUNT)));
  hop_samples[0] = hop_samples[1]; /* the first block began before the loops did */
  goal_ours(GOAL_HOP, (double)bench_percentile(hop_samples, HOP_SAMPLES, 0.5) / HOPS);
  double hop_ns;
  double mean_ns = limit_line_hop(&hop_ns);
  goal_limit(GOAL_HOP, hop_ns);
  goal_limit(GOAL_HOP_RATE, 1000 / mean_ns);
}
