/* Messages between actors: ping-pong, counting and fork-join on one loop and across two. */
#include "holdfast/check.h"
#include "rt_bench.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>

#define RUNS 5u
#define FORK 10000u
#define WINDOW 4096u /* tells that may be on their way at once, cross-loop counting */
#define CREDIT 1024u /* the counter gives that many back at a time */

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

/* Each loop on a core of its own, as the figures that it is compared with were measured. */
static void pin(void *arg, rt_ctx *ctx)
{
  cpu_set_t core;
  (void)arg;
  CPU_ZERO(&core);
  CPU_SET(rt_loop_index(ctx), &core);
  pthread_setaffinity_np(pthread_self(), sizeof core, &core);
}

static void measure(const char *name, const char *goal, unsigned loops, uint16_t op, uint64_t word,
                    uint64_t messages)
{
  const struct rt_config config = {
    .loops = loops, .shards = 2, .classes = classes, .live_actors_max = 100000, .loop_start = pin};
  struct bench_row row = {.name = name, .unit = "M msg/s", .goal = goal, .more_is_better = true};
  far_shard = loops - 1;
  for (unsigned i = 0; i < RUNS; i++) {
    uint64_t took_ns = bench_run(&config, near_one(1), op, word);
    bench_add(&row, (double)messages * 1000.0 / (double)took_ns);
  }
  bench_print(&row);
  if (loops > 1) {
    printf("%-44s %10.3g\n", "  kicks for each message, last run",
           bench_series("rt_wakes_total") / (double)messages);
  }
}

int main(void)
{
  bench_head();
  measure("one loop: ping-pong", ">= 35", 1, OP_SERVE, 5000000, 5000000);
  measure("one loop: counting", ">= 45", 1, OP_SEND, 10000000, 10000000);
  measure("one loop: fork-join of 10k actors", ">= 35", 1, OP_FORK, 500, 500ull * FORK);
  measure("two loops: ping-pong", ">= 3.3", 2, OP_SERVE, 300000, 300000);
  measure("two loops: counting, window 4096", ">= 24", 2, OP_SEND, 10000000, 10000000);
  measure("two loops: fork-join of 10k actors", "-", 2, OP_FORK, 200, 200ull * FORK);
  return 0;
}
