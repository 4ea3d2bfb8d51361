/* pg_loop.c - requests of one loop: who waits, which session takes them, how they are answered.
 *
 * Happy path: a request waits in its role's queue until a session of that role takes it; its talk
 *   ends; its answer is told to the store actor.
 * Ways to fail: no session can connect: commits are refused at once after the first failed attempt,
 *   reads after PG_READ_WAIT_US. A commit whose connection ended stays with its session, which
 *   settles the doubt when it is connected again and takes no other commit before; after
 *   PG_RESOLVE_MAX_US it is answered STORE_UNKNOWN. The loop has no room for an answer: it is told
 *   again.
 * Invariants: a request is in one queue or has one job; a partition has at most one commit under
 *   way, and commits start in the order in which they came. */
#include <string.h>

#include "actors/store/messages.h"
#include "adapters/store_postgres/pg_clock.h"
#include "adapters/store_postgres/pg_port.h"
#include "holdfast/check.h"

/* ---- queues ---------------------------------------------------------------------------------- */

void pg_queue_push(struct pg_queue *queue, struct store_request *request)
{
  request->next = NULL;
  if (queue->last != NULL)
    queue->last->next = request;
  else
    queue->first = request;
  queue->last = request;
  queue->count++;
}

struct store_request *pg_queue_take(struct pg_queue *queue)
{
  struct store_request *request = queue->first;
  if (request == NULL)
    return NULL;
  queue->first = request->next;
  if (queue->first == NULL)
    queue->last = NULL;
  queue->count--;
  request->next = NULL;
  return request;
}

/* ---- answers --------------------------------------------------------------------------------- */

/* Tells the store actor; what it has no room for stays, in order. */
static void answer_all(struct pg_loop *loop)
{
  bool enter = !loop->in_turn;
  loop->answer_again_us = 0;
  if (loop->answers.first == NULL)
    return;
  if (enter)
    rt_enter(loop->ctx, loop->store);
  while (loop->answers.first != NULL) {
    struct store_request *request = loop->answers.first;
    struct store_request *next = request->next;
    CHECK(request->port == &loop->port->port);
    request->next = NULL;
    request->port = NULL;
    if (rt_tell(loop->ctx, loop->store, HF_STORE_ANSWER, &request, sizeof request) != RT_OK) {
      request->next = next;
      request->port = &loop->port->port;
      loop->answer_again_us = pg_clock_us() + PG_ANSWER_RETRY_US;
      break;
    }
    loop->answers.first = next;
    loop->answers.count--;
  }
  if (loop->answers.first == NULL)
    loop->answers.last = NULL;
  if (enter)
    rt_leave(loop->ctx);
}

static void refuse(struct pg_loop *loop, struct store_request *request)
{
  request->status = STORE_UNAVAILABLE;
  pg_queue_push(&loop->answers, request);
}

/* ---- jobs ------------------------------------------------------------------------------------ */

static struct pg_job *job_new(struct pg_loop *loop, struct store_request *request)
{
  struct pg_job *job = loop->free_jobs;
  if (job != NULL)
    loop->free_jobs = job->next;
  else
    job = rt_alloc(sizeof *job);
  job->request = request;
  job->began_us = pg_clock_us();
  job->previous = NULL;
  job->next = loop->active;
  if (job->next != NULL)
    job->next->previous = job;
  loop->active = job;
  return job;
}

static void job_free(struct pg_loop *loop, struct pg_job *job)
{
  if (job->previous != NULL)
    job->previous->next = job->next;
  else
    loop->active = job->next;
  if (job->next != NULL)
    job->next->previous = job->previous;
  job->request = NULL;
  job->next = loop->free_jobs;
  loop->free_jobs = job;
}

static bool partitions_busy(const struct pg_loop *loop, const struct store_request *request)
{
  for (size_t i = 0; i < request->commit.batches_count; i++) {
    uint32_t partition = request->commit.batches[i].partition;
    CHECK(partition < 1u << HF_PARTITION_BITS_MAX);
    if ((loop->busy[partition / 64u] >> (partition % 64u) & 1u) != 0)
      return true;
  }
  return false;
}

static void partitions_turn(struct pg_loop *loop, const struct store_request *request)
{
  for (size_t i = 0; i < request->commit.batches_count; i++) {
    uint32_t partition = request->commit.batches[i].partition;
    loop->busy[partition / 64u] ^= 1ull << (partition % 64u);
  }
}

/* Kinds that look at many rows: quick ones do not wait behind them when another session is free. */
static bool is_slow(const struct store_request *request)
{
  return request->kind == STORE_SCAN || request->kind == STORE_PROJECT;
}

struct pg_queue *pg_group_queue(struct pg_group *group, const struct store_request *request)
{
  return is_slow(request) ? &group->slow : &group->waiting;
}

/* The request has its answer, or goes to the primary for one. */
static void job_end(struct pg_wire *wire, struct pg_job *job)
{
  struct pg_loop *loop = wire->loop;
  struct store_request *request = job->request;
  struct pg_queue *to = &loop->answers;
  if (request->kind == STORE_COMMIT) {
    wire->wary = request->status == STORE_HIT ? PG_WARY_COMMITS
                 : wire->wary > 0             ? wire->wary - 1u
                                              : 0;
    request->commit.commit_us = pg_clock_us() - job->began_us;
    request->commit.leads = true;
    partitions_turn(loop, request);
  } else if (is_slow(request)) {
    wire->slow = false;
  }
  if (wire->role == PG_ROLE_REPLICA && pg_lag_short(loop, &wire->session, request))
    to = pg_group_queue(&loop->groups[PG_ROLE_READ], request);
  pg_queue_push(to, request);
  job_free(loop, job);
}

void pg_loop_ended(void *arg, struct pg_session *session, struct pg_talk *talk, bool lost)
{
  struct pg_loop *loop = arg;
  struct pg_wire *wire = (struct pg_wire *)session;
  struct pg_job *job = (struct pg_job *)talk;
  if (pg_lag_ended(loop, talk, lost))
    return;
  bool doubt = lost && pg_talk_lost(talk, session->backend);
  if (wire->doubt == job) {
    wire->settling = false;
    wire->doubt_next_us = pg_clock_us() + PG_RESOLVE_PAUSE_US;
    doubt = doubt || job->request->status == STORE_UNKNOWN;
    if (!doubt)
      wire->doubt = NULL;
  } else if (doubt) {
    CHECK(wire->doubt == NULL); /* a session has one commit at a time */
    wire->doubt = job;
    wire->doubt_since_us = pg_clock_us();
    wire->doubt_next_us = 0;
  }
  if (!doubt)
    job_end(wire, job);
}

static void run(struct pg_wire *wire, struct store_request *request)
{
  struct pg_loop *loop = wire->loop;
  struct pg_job *job = job_new(loop, request);
  pg_talk_begin(&job->talk, request, &loop->port->engine->database);
  job->talk.wary = wire->wary > 0;
  if (request->kind == STORE_COMMIT)
    partitions_turn(loop, request);
  else if (is_slow(request))
    wire->slow = true;
  pg_session_run(&wire->session, &job->talk, job->began_us);
  pg_wire_follow(wire);
}

/* ---- which session --------------------------------------------------------------------------- */

enum pg_role pg_loop_role(struct pg_loop *loop, const struct store_request *request)
{
  switch (request->kind) {
  case STORE_COMMIT:
    return PG_ROLE_COMMIT;
  case STORE_LEASE:
    loop->leases = true;
    return PG_ROLE_LEASE;
  case STORE_LIST_ENTRIES:
  case STORE_LIST_HOLDS:
  case STORE_BALANCE_AT:
  case STORE_SCAN:
    return pg_lag_fresh(loop, pg_clock_us()) ? PG_ROLE_REPLICA : PG_ROLE_READ;
  default:
    return PG_ROLE_READ;
  }
}

static bool group_ready(const struct pg_group *group)
{
  for (unsigned i = 0; i < group->count; i++)
    if (group->wires[i].session.state == PG_SESSION_READY)
      return true;
  return false;
}

/* No session can connect: each has failed since it was last connected. */
static bool group_down(const struct pg_group *group)
{
  for (unsigned i = 0; i < group->count; i++)
    if (group->wires[i].session.failures == 0)
      return false;
  return true;
}

static struct pg_wire *idle_commit_wire(struct pg_group *group)
{
  for (unsigned i = 0; i < group->count; i++) {
    struct pg_wire *wire = &group->wires[i];
    if (pg_session_takes(&wire->session) && wire->session.talks == 0 && wire->doubt == NULL)
      return wire;
  }
  return NULL;
}

/* The one with the least to do. Slow reads share the last session that is connected, so that the
 * others stay quick. */
static struct pg_wire *read_wire(struct pg_group *group, bool slow)
{
  struct pg_wire *best = NULL;
  for (unsigned i = group->count; i-- > 0;) {
    struct pg_wire *wire = &group->wires[i];
    if (slow && wire->session.state == PG_SESSION_READY)
      return pg_session_takes(&wire->session) && !wire->slow ? wire : NULL;
    if (!slow && pg_session_takes(&wire->session) &&
        (best == NULL || wire->slow < best->slow ||
         (wire->slow == best->slow && wire->session.talks < best->session.talks)))
      best = wire;
  }
  return best;
}

static void pump_commits(struct pg_loop *loop)
{
  struct pg_group *group = &loop->groups[PG_ROLE_COMMIT];
  while (group->waiting.first != NULL && !partitions_busy(loop, group->waiting.first)) {
    struct pg_wire *wire = idle_commit_wire(group);
    if (wire == NULL)
      break;
    run(wire, pg_queue_take(&group->waiting));
  }
  if (group_down(group))
    while (group->waiting.first != NULL)
      refuse(loop, pg_queue_take(&group->waiting));
}

static void refuse_late(struct pg_loop *loop, struct pg_queue *queue, uint64_t now_us)
{
  while (queue->first != NULL && now_us - queue->first->submitted_us >= PG_READ_WAIT_US)
    refuse(loop, pg_queue_take(queue));
}

/* Slow ones wait for each other only, quick ones for the session with the least to do. */
static void pump_reads(struct pg_loop *loop, struct pg_group *group, uint64_t now_us)
{
  struct pg_wire *wire;
  if (!group_ready(group)) {
    refuse_late(loop, &group->waiting, now_us);
    refuse_late(loop, &group->slow, now_us);
    return;
  }
  while (group->waiting.first != NULL && (wire = read_wire(group, false)) != NULL)
    run(wire, pg_queue_take(&group->waiting));
  while (group->slow.first != NULL && (wire = read_wire(group, true)) != NULL)
    run(wire, pg_queue_take(&group->slow));
}

static void queue_move(struct pg_queue *from, struct pg_queue *to)
{
  for (struct store_request *request; (request = pg_queue_take(from)) != NULL;)
    pg_queue_push(to, request);
}

/* What was meant for a replica that is gone, or lags by now, goes to the primary. */
static void pump_replica(struct pg_loop *loop, uint64_t now_us)
{
  struct pg_group *replica = &loop->groups[PG_ROLE_REPLICA];
  struct pg_group *primary = &loop->groups[PG_ROLE_READ];
  if (group_ready(replica) && pg_lag_fresh(loop, now_us))
    return;
  queue_move(&replica->waiting, &primary->waiting);
  queue_move(&replica->slow, &primary->slow);
}

static void pump_doubts(struct pg_loop *loop, uint64_t now_us)
{
  struct pg_group *group = &loop->groups[PG_ROLE_COMMIT];
  for (unsigned i = 0; i < group->count; i++) {
    struct pg_wire *wire = &group->wires[i];
    struct pg_job *job = wire->doubt;
    if (job == NULL)
      continue;
    if (now_us - wire->doubt_since_us >= loop->port->engine->resolve_max_us) {
      if (wire->settling) { /* ends the attempt, with STORE_UNKNOWN */
        pg_session_drop(&wire->session, now_us, "the outcome of a commit stays unknown");
        pg_wire_follow(wire);
      }
      wire->doubt = NULL;
      job->request->status = STORE_UNKNOWN;
      job_end(wire, job);
    } else if (!wire->settling && now_us >= wire->doubt_next_us &&
               pg_session_takes(&wire->session)) {
      wire->settling = true;
      pg_session_run(&wire->session, &job->talk, now_us);
      pg_wire_follow(wire);
    }
  }
}

/* ---- time ------------------------------------------------------------------------------------ */

static uint64_t earlier(uint64_t a, uint64_t b)
{
  return a < b ? a : b;
}

static uint64_t next_due(const struct pg_loop *loop)
{
  uint64_t due_us = loop->answer_again_us == 0 ? UINT64_MAX : loop->answer_again_us;
  for (unsigned role = 0; role < PG_ROLE_COUNT; role++) {
    const struct pg_group *group = &loop->groups[role];
    for (unsigned i = 0; i < group->count; i++) {
      const struct pg_wire *wire = &group->wires[i];
      due_us = earlier(due_us, pg_session_due(&wire->session));
      if (wire->doubt != NULL) {
        due_us = earlier(due_us, wire->doubt_since_us + loop->port->engine->resolve_max_us);
        if (!wire->settling && wire->session.state == PG_SESSION_READY)
          due_us = earlier(due_us, wire->doubt_next_us);
      }
    }
    if (role == PG_ROLE_COMMIT || group_ready(group))
      continue;
    if (group->waiting.first != NULL)
      due_us = earlier(due_us, group->waiting.first->submitted_us + PG_READ_WAIT_US);
    if (group->slow.first != NULL)
      due_us = earlier(due_us, group->slow.first->submitted_us + PG_READ_WAIT_US);
  }
  if (loop->groups[PG_ROLE_REPLICA].count > 0)
    due_us = earlier(due_us, loop->lag_next_us);
  return due_us;
}

static void on_timer(uv_timer_t *timer)
{
  struct pg_loop *loop = timer->data;
  uint64_t now_us = pg_clock_us();
  loop->timer_us = UINT64_MAX;
  for (unsigned role = 0; role < PG_ROLE_COUNT; role++)
    for (unsigned i = 0; i < loop->groups[role].count; i++)
      pg_wire_tick(&loop->groups[role].wires[i], now_us);
  pg_loop_pump(loop);
}

/* A due time that moves on leaves the timer as it is: it fires early then, finds nothing to do, and
 * is armed anew. */
static void arm(struct pg_loop *loop)
{
  uint64_t due_us = next_due(loop);
  if (due_us >= loop->timer_us)
    return;
  uint64_t now_us = pg_clock_us();
  uint64_t left_ms = due_us > now_us ? (due_us - now_us + 999u) / 1000u : 0;
  loop->timer_us = due_us;
  int failed = uv_timer_start(&loop->timer, on_timer, left_ms, 0);
  CHECK(failed == 0);
}

void pg_loop_pump(struct pg_loop *loop)
{
  uint64_t now_us = pg_clock_us();
  pump_doubts(loop, now_us);
  pump_commits(loop);
  pump_replica(loop, now_us);
  pg_lag_tick(loop, now_us);
  /* The replica first: what its connection lost in this very moment goes to the primary. */
  for (unsigned role = PG_ROLE_COUNT; role-- > PG_ROLE_READ;)
    if (loop->groups[role].waiting.first != NULL || loop->groups[role].slow.first != NULL)
      pump_reads(loop, &loop->groups[role], now_us);
  answer_all(loop);
  arm(loop);
}
