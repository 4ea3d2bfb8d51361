/* Clients of the front door: a request is on its way, is at a server, its reply is on its way back.
 * Ways to fail: nobody hears of it, because the node went down, the client lost patience or the
 * reply got lost. The server may go on with it after that.
 * Invariants: who sent it is told once, or has hung up; a call lives while an event or an exchange
 * has it, each of which counts in `holds`. */
#include <string.h>

#include "holdfast/check.h"
#include "tests/sim/sim.h"

#define AWAY_US 2000u        /* there, or back, at the most */
#define LATE_US 3000000u     /* there, of those that come late */
#define LATE 20u             /* per thousand requests */
#define ASLEEP_US 20000u     /* until a stopped node is looked at again */
#define PATIENCE_US 1500000u /* of those who have not much */
#define TIMEOUT_US 10000000u /* that a server gives an ask */
#define IMPATIENT 60u        /* per thousand clients */
#define LOST 15u             /* per thousand replies */

static void call_release(struct sim_call *call)
{
  CHECK(call->holds > 0);
  if (--call->holds > 0)
    return;
  hf_bytes_deinit(&call->text);
  sim_reply_deinit(&call->reply);
  rt_free(call);
}

/* An event that has the call. */
static void call_at(struct sim_call *call, uint64_t after_us,
                    void (*run)(struct sim_world *world, void *arg))
{
  call->holds++;
  sim_at(call->world, call->world->now_us + after_us, run, call);
}

void sim_reply_deinit(struct sim_reply *reply)
{
  hf_bytes_deinit(&reply->body);
}

/* ---- back ------------------------------------------------------------------------------------ */

/* The server may not know yet that nobody waits any more. */
static void let_go(struct sim_call *call)
{
  if (call->exchange == NULL)
    return;
  sim_http_hang_up(call->exchange);
  call->exchange = NULL;
  call_release(call);
}

static void call_tell(struct sim_call *call)
{
  if (!call->over) {
    call->over = true;
    call->told(call);
  }
  let_go(call);
}

static void deliver(struct sim_world *world, void *arg)
{
  struct sim_call *call = arg;
  (void)world;
  call_tell(call);
  call_release(call);
}

/* Nobody hears of it: a status of 0. */
static void fall_silent(struct sim_world *world, void *arg)
{
  struct sim_call *call = arg;
  world->unheard += !call->over;
  if (!call->over)
    call->reply.status = 0;
  call_tell(call);
  call_release(call);
}

void sim_door_replied(struct sim_call *call, struct sim_reply *reply)
{
  struct sim_world *world = call->world;
  call->reply = *reply;
  *reply = (struct sim_reply){0};
  const bool lost = !world->healing && sim_strikes(world, LOST);
  call_at(call, sim_chaos(world) % AWAY_US, lost ? fall_silent : deliver);
  call->exchange = NULL;
  call_release(call);
}

void sim_door_streamed(struct sim_call *call, const void *text, size_t size)
{
  if (!call->over && size > 0)
    call->streamed(call, text, size);
}

static void lose(struct sim_call *call)
{
  call_at(call, sim_chaos(call->world) % AWAY_US, fall_silent);
}

void sim_door_lost(struct sim_call *call)
{
  lose(call);
  call->exchange = NULL;
  call_release(call);
}

/* ---- there ----------------------------------------------------------------------------------- */

void sim_door_judged(struct sim_call *call)
{
  if (call->key != 0)
    call->key_known = sim_key_known(call->node, call->loop, call->key - 1u);
}

/* What was sent arrives, whether or not somebody still waits for its reply. */
static void arrive(struct sim_world *world, void *arg)
{
  struct sim_call *call = arg;
  struct sim_node *node = call->node;
  if (node->state == SIM_ASLEEP && node->life == call->life) {
    call_at(call, ASLEEP_US, arrive);
    call_release(call);
    return;
  }
  struct http_exchange *exchange = NULL;
  if (node->life == call->life)
    exchange =
      sim_http_arrive(node, call->loop, call->over ? NULL : call, call->text.at, call->text.size);
  if (exchange == NULL) {
    lose(call);
  } else {
    call->exchange = call->over ? NULL : exchange;
    call->holds += !call->over;
    node->setup.op_timeout_us = call->timeout_us;
    world->served++;
    sim_http_serve(exchange);
  }
  call_release(call);
}

struct sim_call *sim_door_call(struct sim_node *node)
{
  struct sim_world *world = node->world;
  struct sim_call *call = rt_alloc(sizeof *call);
  call->world = world;
  call->node = node;
  call->life = node->life;
  call->loop = (unsigned)(sim_chaos(world) % world->loops);
  call->timeout_us = TIMEOUT_US;
  return call;
}

void sim_door_send(struct sim_call *call, const char *line, const char *fields, const void *body,
                   size_t size)
{
  struct sim_world *world = call->world;
  char head[512], key[SIM_TEXT_MAX] = SIM_DOOR_KEY;
  if (call->key != 0)
    snprintf(key, sizeof key, "hfk_key%u_" SIM_DOOR_SECRET, call->key - 1u);
  int length = snprintf(head, sizeof head,
                        "%s HTTP/1.1\r\nHost: sim\r\nAuthorization: Bearer %s\r\n"
                        "X-Request-Id: sim-%08llu\r\n%s",
                        line, key, (unsigned long long)world->calls++, fields);
  CHECK(length > 0 && (size_t)length < sizeof head - 80u);
  if (size > 0)
    length += snprintf(head + length, sizeof head - (size_t)length,
                       "Content-Type: application/json\r\nContent-Length: %zu\r\n", size);
  hf_bytes_put(&call->text, head, (size_t)length);
  hf_bytes_put(&call->text, "\r\n", 2);
  hf_bytes_put(&call->text, body, size);
  const bool late = !world->healing && sim_strikes(world, LATE);
  call_at(call, sim_chaos(world) % (late ? LATE_US : AWAY_US), arrive);
  if (call->streamed == NULL && !world->healing && sim_strikes(world, IMPATIENT))
    call_at(call, sim_chaos(world) % PATIENCE_US, fall_silent);
}

void sim_door_hang_up(struct sim_call *call)
{
  call->over = true;
  let_go(call);
}
