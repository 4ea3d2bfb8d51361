/* A pool's thread takes a few jobs at a time off its own queue, so that a burst costs one lock for
 * several of them; it is signalled only when it waits. */
#include "driver_uv_pool.h"

#include "holdfast/check.h"
#include "holdfast/driver.h"
#include "mem.h"

#include <errno.h>

#define TAKE_MAX 16u

static unsigned take_items(struct worker *worker, struct work_item *ret_items)
{
  unsigned count = 0;
  uv_mutex_lock(&worker->lock);
  while (worker->put == worker->take && !worker->stopping) {
    worker->waiting = true;
    uv_cond_wait(&worker->filled, &worker->lock);
    worker->waiting = false;
  }
  while (count < TAKE_MAX && worker->take < worker->put) {
    ret_items[count++] = worker->items[worker->take++ & (worker->pool->size - 1)];
  }
  uv_mutex_unlock(&worker->lock);
  return count;
}

static void worker_main(void *arg)
{
  struct worker *worker = arg;
  struct work_pool *pool = worker->pool;
  struct work_item items[TAKE_MAX];
  unsigned count;
  while ((count = take_items(worker, items)) > 0) {
    for (unsigned i = 0; i < count; i++) {
      items[i].fn(items[i].arg);
      atomic_fetch_sub(&pool->jobs, 1);
      rt_job_done(*pool->runtime, items[i].tag);
    }
  }
  uv_mutex_lock(&pool->lock);
  pool->alive--;
  uv_cond_signal(&pool->ended);
  uv_mutex_unlock(&pool->lock);
}

bool work_pool_put(struct work_pool *pool, uint64_t key, const struct work_item *item)
{
  if (atomic_fetch_add(&pool->jobs, 1) >= pool->queue_max) {
    atomic_fetch_sub(&pool->jobs, 1);
    return false;
  }
  struct worker *worker = &pool->workers[key % pool->threads];
  uv_mutex_lock(&worker->lock);
  CHECK(worker->put - worker->take < pool->size && !worker->stopping);
  worker->items[worker->put++ & (pool->size - 1)] = *item;
  bool is_waiting = worker->waiting;
  uv_mutex_unlock(&worker->lock);
  if (is_waiting) {
    uv_cond_signal(&worker->filled);
  }
  return true;
}

static int worker_start(struct worker *worker, struct work_pool *pool)
{
  worker->pool = pool;
  int error = uv_mutex_init(&worker->lock);
  if (error != 0) {
    return error;
  }
  error = uv_cond_init(&worker->filled);
  if (error != 0) {
    goto no_cond;
  }
  worker->items = rt_alloc(pool->size * sizeof *worker->items);
  error = uv_thread_create(&worker->thread, worker_main, worker);
  if (error == 0) {
    return 0;
  }
  rt_free(worker->items);
  uv_cond_destroy(&worker->filled);
no_cond:
  uv_mutex_destroy(&worker->lock);
  return error;
}

int work_pool_start(struct work_pool *pool, const struct rt_pool_config *config, rt *const *runtime)
{
  CHECK(config->threads > 0 && config->queue_max > 0);
  pool->name = config->name;
  pool->runtime = runtime;
  pool->threads = 0;
  pool->queue_max = config->queue_max;
  pool->size = 1;
  while (pool->size < pool->queue_max) {
    pool->size *= 2;
  }
  atomic_init(&pool->jobs, 0);
  int error = uv_mutex_init(&pool->lock);
  if (error != 0) {
    return error;
  }
  error = uv_cond_init(&pool->ended);
  if (error != 0) {
    uv_mutex_destroy(&pool->lock);
    return error;
  }
  pool->workers = mem_lines(config->threads * sizeof *pool->workers);
  for (unsigned i = 0; i < config->threads; i++) {
    uv_mutex_lock(&pool->lock);
    pool->alive++;
    uv_mutex_unlock(&pool->lock);
    error = worker_start(&pool->workers[i], pool);
    if (error != 0) {
      uv_mutex_lock(&pool->lock);
      pool->alive--;
      uv_mutex_unlock(&pool->lock);
      work_pool_stop(pool, UINT64_MAX / 2000);
      return error;
    }
    pool->threads++;
  }
  return 0;
}

static bool wait_for_threads(struct work_pool *pool, uint64_t grace_us)
{
  bool is_late = false;
  uv_mutex_lock(&pool->lock);
  while (pool->alive > 0 && !is_late) {
    is_late = uv_cond_timedwait(&pool->ended, &pool->lock, grace_us * 1000) == UV_ETIMEDOUT;
  }
  bool is_over = pool->alive == 0;
  uv_mutex_unlock(&pool->lock);
  return is_over;
}

bool work_pool_stop(struct work_pool *pool, uint64_t grace_us)
{
  for (unsigned i = 0; i < pool->threads; i++) {
    struct worker *worker = &pool->workers[i];
    uv_mutex_lock(&worker->lock);
    worker->stopping = true;
    uv_cond_signal(&worker->filled);
    uv_mutex_unlock(&worker->lock);
  }
  if (!wait_for_threads(pool, grace_us)) {
    return false;
  }
  for (unsigned i = 0; i < pool->threads; i++) {
    struct worker *worker = &pool->workers[i];
    uv_thread_join(&worker->thread);
    uv_cond_destroy(&worker->filled);
    uv_mutex_destroy(&worker->lock);
    rt_free(worker->items);
  }
  uv_cond_destroy(&pool->ended);
  uv_mutex_destroy(&pool->lock);
  rt_free(pool->workers);
  pool->workers = NULL;
  return true;
}
