/* pool_port.c - see pool_port.h.
 *
 * Happy path: submit queues a job for each request. The job of a commit takes all commits that wait
 * at that moment and executes them in one transaction; the jobs of the others then find their
 * request executed and end at once, which lets their answers go out.
 * Ways to fail: the pool's queue is full, so submit takes nothing (RT_AGAIN). A commit's outcome is
 * its request's status.
 * Invariants: a request is executed once; commits of one partition are executed in the order in
 * which they were submitted; a transaction has at most one commit per partition.
 *
 * A job may run before submit has put its request into the waiting list (inline jobs do): it then
 * takes the request itself. The request lives at least until its own job has ended, because only
 * then the runtime sends the answer, and not before submit has returned, because both run on the
 * asker's loop. */
#include "adapters/store/pool_port.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "actors/store/messages.h"
#include "holdfast/check.h"

enum { REQUEST_NEW = 0, REQUEST_WAITING = 1, REQUEST_TAKEN = 2 }; /* store_request.port_state */

#define PARTITIONS_MAX (1u << HF_PARTITION_BITS_MAX)

struct pool_port {
  struct store_port port;
  struct store_engine *engine;
  atomic_uint_fast64_t reads;    /* spreads reads over the threads: relaxed, it orders nothing */
  pthread_mutex_t lock;          /* of all below and of every port_state */
  struct store_request *waiting; /* commits in order of their submission */
  struct store_request **waiting_end;
};

struct partition_set {
  uint64_t words[PARTITIONS_MAX / 64];
};

static struct pool_port *impl_of(const struct store_port *port)
{
  return port->impl;
}

static void lock(struct pool_port *impl)
{
  int failed = pthread_mutex_lock(&impl->lock);

  CHECK(failed == 0);
}

static void unlock(struct pool_port *impl)
{
  int failed = pthread_mutex_unlock(&impl->lock);

  CHECK(failed == 0);
}

/* ---- jobs ------------------------------------------------------------------------------------ */

static bool set_meets(const struct partition_set *set, const struct store_request *request)
{
  for (size_t i = 0; i < request->commit.batches_count; i++) {
    uint32_t partition = request->commit.batches[i].partition;

    CHECK(partition < PARTITIONS_MAX);
    if ((set->words[partition / 64] >> (partition % 64) & 1u) != 0)
      return true;
  }
  return false;
}

static void set_add(struct partition_set *set, const struct store_request *request)
{
  for (size_t i = 0; i < request->commit.batches_count; i++) {
    uint32_t partition = request->commit.batches[i].partition;

    set->words[partition / 64] |= 1ull << (partition % 64);
  }
}

/* Executes `list` in transactions of disjoint partitions. A commit that meets an earlier one which
 * is left for a later transaction is left as well, so that a partition's order stays. */
static void execute_commits(struct pool_port *impl, struct store_request *list, size_t count)
{
  struct store_request **group = rt_alloc(count * sizeof(struct store_request *));

  while (list != NULL) {
    struct partition_set seen;
    struct store_request *left = NULL, **left_end = &left;
    size_t size = 0;

    memset(&seen, 0, sizeof seen);
    while (list != NULL) {
      struct store_request *request = list;

      list = request->next;
      request->next = NULL;
      if (set_meets(&seen, request)) {
        *left_end = request;
        left_end = &request->next;
      } else {
        group[size++] = request;
      }
      set_add(&seen, request);
    }
    CHECK(size > 0 && size <= count);
    impl->engine->ops->commit_many(impl->engine, group, size);
    list = left;
  }
  rt_free(group);
}

/* The job of one commit, on the writer's thread. */
static void commit_job(void *arg)
{
  struct store_request *own = arg, *list, **end;
  struct pool_port *impl = impl_of(own->port);
  size_t count = 0;

  lock(impl);
  if (own->port_state == REQUEST_TAKEN) {
    unlock(impl);
    own->port = NULL;
    return;
  }
  list = impl->waiting;
  end = list == NULL ? &list : impl->waiting_end;
  impl->waiting = NULL;
  impl->waiting_end = &impl->waiting;
  if (own->port_state == REQUEST_NEW) {
    CHECK(own->next == NULL);
    *end = own;
  }
  for (struct store_request *request = list; request != NULL; request = request->next) {
    CHECK(request->port_state != REQUEST_TAKEN);
    request->port_state = REQUEST_TAKEN;
    count++;
  }
  unlock(impl);
  CHECK(own->port_state == REQUEST_TAKEN);
  execute_commits(impl, list, count);
  own->port = NULL;
}

static void execute_job(void *arg)
{
  struct store_request *request = arg;
  struct pool_port *impl = impl_of(request->port);

  impl->engine->ops->execute(impl->engine, request);
  request->port = NULL;
}

/* ---- the port -------------------------------------------------------------------------------- */

static rt_status submit_commit(struct pool_port *impl, rt_ctx *ctx, struct store_request *request)
{
  rt_status status = rt_work(ctx, HF_POOL_WRITE, 0, commit_job, request, HF_STORE_ANSWER);

  if (status != RT_OK)
    return status;
  lock(impl);
  if (request->port_state == REQUEST_NEW) {
    request->port_state = REQUEST_WAITING;
    *impl->waiting_end = request;
    impl->waiting_end = &request->next;
  }
  unlock(impl);
  return RT_OK;
}

static rt_status pool_submit(struct store_port *port, rt_ctx *ctx, struct store_request *request)
{
  struct pool_port *impl = impl_of(port);
  rt_status status;

  request->port = port;
  request->port_state = REQUEST_NEW;
  request->next = NULL;
  switch (request->kind) {
  case STORE_COMMIT:
    status = submit_commit(impl, ctx, request);
    break;
  case STORE_OPEN_PARTITION:
  case STORE_PROJECT:
    status = rt_work(ctx, HF_POOL_WRITE, 0, execute_job, request, HF_STORE_ANSWER);
    break;
  default:
    status =
      rt_work(ctx, HF_POOL_READ, atomic_fetch_add_explicit(&impl->reads, 1, memory_order_relaxed),
              execute_job, request, HF_STORE_ANSWER);
  }
  CHECK(status == RT_OK || status == RT_AGAIN);
  if (status == RT_AGAIN)
    request->port = NULL;
  return status;
}

struct store_port *pool_port_new(struct store_engine *engine, unsigned window)
{
  struct pool_port *impl = rt_alloc(sizeof *impl);
  int failed = pthread_mutex_init(&impl->lock, NULL);

  CHECK(failed == 0);
  CHECK(window > 0);
  impl->engine = engine;
  impl->waiting_end = &impl->waiting;
  atomic_init(&impl->reads, 0);
  impl->port = (struct store_port){
    .name = engine->ops->name, .window = window, .submit = pool_submit, .impl = impl};
  return &impl->port;
}

void pool_port_free(struct store_port *port)
{
  struct pool_port *impl;
  int failed;

  if (port == NULL)
    return;
  impl = impl_of(port);
  CHECK(impl->waiting == NULL); /* the runtime has ended */
  impl->engine->ops->close(impl->engine);
  failed = pthread_mutex_destroy(&impl->lock);
  CHECK(failed == 0);
  rt_free(impl);
}
