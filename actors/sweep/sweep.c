/* The sweep actor: one per partition; finds expired holds of users who are asleep.
 *
 * Happy path: every sweep_every_us it reads the holds that are due and peeks at their users; the
 *   user actor releases what has expired when it is touched. So a hold keeps no actor alive.
 * Ways to fail: a read or a peek fails; the next walk finds the hold again. A user cannot be
 *   loaded: its holds stay, the walk goes on behind them. The partition is lost: the round that is
 *   under way is the last, until it is open again.
 * Invariants: one round at a time, or one timer for the next; at most SWEEP_BATCH peeks in
 *   flight. */
#include "actors/actors.h"
#include "actors/metrics.h"
#include "actors/store/messages.h"
#include "actors/user/op.h"

#define SWEEP_BATCH 256u

struct sweep_actor {
  unsigned peeks; /* in flight */
  bool full;      /* the last read was full: there is more, behind ... */
  int64_t after_us;
  hf_id after_id; /* ... this one; 0, 0: the next round begins a walk */
  bool open;      /* the partition is */
  bool busy;      /* a round is under way, or its timer runs */
};

static void round_later(rt_ctx *ctx, struct sweep_actor *sweep)
{
  sweep->busy = sweep->open;
  if (!sweep->open)
    return;
  uint64_t every_us = hf_setup_of(ctx)->sweep_every_us;
  rt_timer(ctx, sweep->full ? every_us / 100u + 1000u : every_us, 0);
}

static void round_start(rt_ctx *ctx, struct sweep_actor *sweep)
{
  struct store_request *request = store_request_new(STORE_DUE_HOLDS);
  request->due_holds.partition = rt_id_shard(rt_self(ctx));
  request->due_holds.now_us = (int64_t)rt_wall_us(ctx);
  request->due_holds.after_us = sweep->after_us;
  request->due_holds.after_id = sweep->after_id;
  request->due_holds.limit = SWEEP_BATCH;
  rt_id store = hf_loop_actor(HF_KIND_STORE, rt_loop_index(ctx));
  if (rt_ask(ctx, store, HF_READ, &request, sizeof request, 0, hf_corr(request)) != RT_OK) {
    store_request_free(request);
    round_later(ctx, sweep);
  }
}

static void peek_user(rt_ctx *ctx, struct sweep_actor *sweep, hf_id user)
{
  struct hf_peek *peek = rt_alloc(sizeof *peek);
  peek->user = user;
  rt_id actor = hf_user_actor(user, hf_setup_of(ctx)->partition_bits);
  if (rt_ask(ctx, actor, HF_PEEK, &peek, sizeof peek, 0, hf_corr(peek)) == RT_OK)
    sweep->peeks++;
  else
    rt_free(peek);
}

/* The next round goes on behind a full page, so that what cannot be released holds nobody up. */
static void round_note(struct sweep_actor *sweep, const struct store_request *request)
{
  sweep->full = request->status == STORE_OK && request->due_holds.count == SWEEP_BATCH;
  sweep->after_us = 0;
  sweep->after_id = 0;
  if (!sweep->full)
    return;
  sweep->after_us = request->due_holds.out[SWEEP_BATCH - 1u].expires_us;
  sweep->after_id = request->due_holds.out[SWEEP_BATCH - 1u].id;
}

static void round_read(rt_ctx *ctx, struct sweep_actor *sweep, struct store_request *request)
{
  round_note(sweep, request);
  if (request->status == STORE_OK && sweep->open) {
    hf_count(ctx, HF_M_HOLDS_EXPIRED, request->due_holds.count);
    hf_id last = 0;
    for (size_t i = 0; i < request->due_holds.count; i++) {
      if (request->due_holds.out[i].user != last)
        peek_user(ctx, sweep, request->due_holds.out[i].user);
      last = request->due_holds.out[i].user;
    }
  }
  store_request_free(request);
  if (sweep->peeks == 0)
    round_later(ctx, sweep);
}

static rt_status sweep_handle(rt_ctx *ctx, void *state, const rt_env *env)
{
  struct sweep_actor *sweep = state;
  switch (env->op) {
  case HF_OPENED:
    sweep->open = hf_setup_of(ctx)->sweep_every_us > 0;
    if (!sweep->busy)
      round_later(ctx, sweep);
    break;
  case HF_CLOSED:
    sweep->open = false;
    break;
  case RT_OP_TIMER:
    if (sweep->open)
      round_start(ctx, sweep);
    else
      sweep->busy = false;
    break;
  case HF_READ_DONE:
    round_read(ctx, sweep, env->payload.p.ptr);
    break;
  case HF_PEEK_DONE:
  case RT_OP_DOWN: /* the runtime's end; no ask of this actor has a deadline that could pass */
  case RT_OP_OVERLOADED:
    rt_free(env->payload.p.ptr);
    CHECK(sweep->peeks > 0);
    if (--sweep->peeks == 0)
      round_later(ctx, sweep);
    break;
  default:
    CHECK(!"a message that the sweep actor does not know");
  }
  return RT_OK;
}

static bool sweep_idle(const void *state)
{
  (void)state;
  return false; /* its timer would die with it */
}

static const uint8_t sweep_may_ask[] = {HF_KIND_STORE, HF_KIND_USER, 0};

const rt_class hf_sweep_class = {
  .name = "sweep",
  .kind = HF_KIND_SWEEP,
  .flags = RT_CLASS_PER_SHARD,
  .state_bytes = sizeof(struct sweep_actor),
  .stash_max = 16,
  .may_ask = sweep_may_ask,
  .handle = sweep_handle,
  .idle = sweep_idle,
};
