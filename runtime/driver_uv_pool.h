/* driver_uv_pool.h - threads for jobs that block or need the processor for long.
 *
 * Owner: the driver makes and ends pools; any loop thread hands jobs in.
 * Limits: queue_max jobs of a pool queued or running. A job's key picks its thread, so jobs of one
 * key run in order of handing in. */
#ifndef HOLDFAST_RUNTIME_DRIVER_UV_POOL_H
#define HOLDFAST_RUNTIME_DRIVER_UV_POOL_H

#include "holdfast/rt.h"

#include <stdatomic.h>
#include <uv.h>

struct work_item {
  void (*fn)(void *arg);
  void *arg;
  uint64_t tag;
};

struct work_pool;

struct worker {
  uv_mutex_t lock; /* guards what follows up to `thread` */
  uv_cond_t filled;
  struct work_item *items; /* ring of `size` */
  uint64_t put, take;
  bool waiting; /* on `filled` */
  bool stopping;
  uv_thread_t thread;
  struct work_pool *pool;
};

struct work_pool {
  const char *name;
  rt *const *runtime; /* filled in before the first job comes */
  unsigned threads;   /* that run */
  uint64_t size;      /* of each worker's ring, a power of two >= queue_max */
  unsigned queue_max;
  _Atomic unsigned jobs; /* queued or running */
  uv_mutex_t lock;
  uv_cond_t ended; /* signalled for each thread that ends */
  unsigned alive;  /* guarded by lock */
  struct worker *workers;
};

/* 0 or a negative errno; then nothing is left running. */
int work_pool_start(struct work_pool *pool, const struct rt_pool_config *config,
                    rt *const *runtime);
/* Any thread. False: full. */
bool work_pool_put(struct work_pool *pool, uint64_t key, const struct work_item *item);
/* Runs what is queued, then ends the threads. False: one is still in a job after grace_us; the
 * pool then stays as it is. */
bool work_pool_stop(struct work_pool *pool, uint64_t grace_us);

#endif
