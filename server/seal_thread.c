/* seal_thread.c - see the header.
 *
 * Happy path: sleeps until the next seal is due, opens a read-only engine, makes it, closes.
 * Ways to fail: the store or the folder cannot be used (a warning and a count; the next time).
 * Invariants: one seal at a time; stop ends a sleep at once and a seal within a page of entries. */
#include "server/seal_thread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "adapters/store/store_admin.h"
#include "server/cli.h"
#include "server/cmd_seal.h"
#include "server/log.h"
#include "server/sealer.h"

#define REST_PERCENT 300u /* a quarter of a core */

const struct rt_metric seal_metrics[SEAL_METRIC_COUNT] = {
#define X(NAME, name, type, unit, help) [SEAL_M_##NAME] = {name, help, "", type, NULL, 0, unit},
  SEAL_METRICS(X)
#undef X
};

struct seal_thread {
  const struct options *options;
  struct seal_watch *watch;
  struct seal_folder folder;
  pthread_t thread;
  pthread_mutex_t lock; /* of nothing but the condition */
  pthread_cond_t wake;
  atomic_bool stop; /* set by stop, read by the sealer between pages */
};

static int64_t monotonic_us(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void seal_watch_write(const struct seal_watch *watch,
                      void (*sink)(void *arg, const char *text, size_t size), void *arg)
{
  int64_t since_us = atomic_load_explicit(&watch->since_us, memory_order_relaxed);
  const int64_t values[SEAL_METRIC_COUNT] = {
    [SEAL_M_MADE] = (int64_t)atomic_load_explicit(&watch->made, memory_order_relaxed),
    [SEAL_M_FAILED] = (int64_t)atomic_load_explicit(&watch->failed, memory_order_relaxed),
    [SEAL_M_AGE] = since_us == 0 ? 0 : monotonic_us() - since_us};
  for (unsigned i = 0; i < SEAL_METRIC_COUNT; i++)
    rt_metric_write(&seal_metrics[i], values[i], sink, arg);
}

static void made(struct seal_thread *thread)
{
  atomic_fetch_add_explicit(&thread->watch->made, 1, memory_order_relaxed);
  atomic_store_explicit(&thread->watch->since_us, monotonic_us(), memory_order_relaxed);
  log_line(LOG_INFO, "seal", "sealed");
}

static void failed(struct seal_thread *thread, const char *why)
{
  atomic_fetch_add_explicit(&thread->watch->failed, 1, memory_order_relaxed);
  log_line(LOG_WARNING, "seal", why);
}

static void seal_once(struct seal_thread *thread)
{
  char why[SEAL_WHY_MAX] = "";
  struct store_engine *engine = cli_open_store(thread->options, true);
  if (engine == NULL) {
    failed(thread, "the store cannot be opened for sealing");
    return;
  }
  struct sealer sealer = {.engine = engine,
                          .folder = &thread->folder,
                          .rest_percent = REST_PERCENT,
                          .stop = &thread->stop};
  if (sealer_run(&sealer, why))
    made(thread);
  else if (!atomic_load(&thread->stop))
    failed(thread, why);
  engine->ops->close(engine);
}

/* False: it is to stop. */
static bool sleep_until(struct seal_thread *thread, const struct timespec *when)
{
  int code = 0;
  pthread_mutex_lock(&thread->lock);
  while (!atomic_load(&thread->stop) && code != ETIMEDOUT)
    code = pthread_cond_timedwait(&thread->wake, &thread->lock, when);
  pthread_mutex_unlock(&thread->lock);
  return !atomic_load(&thread->stop);
}

static void *thread_main(void *arg)
{
  struct seal_thread *thread = arg;
  struct timespec when;
  clock_gettime(CLOCK_MONOTONIC, &when);
  when.tv_sec += (time_t)thread->options->seal_every_s;
  while (sleep_until(thread, &when)) {
    seal_once(thread);
    clock_gettime(CLOCK_MONOTONIC, &when);
    when.tv_sec += (time_t)thread->options->seal_every_s;
  }
  return NULL;
}

static bool begin(struct seal_thread *thread)
{
  pthread_condattr_t attributes;
  sigset_t all, before;
  bool started = pthread_condattr_init(&attributes) == 0 &&
                 pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
                 pthread_cond_init(&thread->wake, &attributes) == 0 &&
                 pthread_mutex_init(&thread->lock, NULL) == 0;
  sigfillset(&all); /* signals are the main thread's */
  pthread_sigmask(SIG_SETMASK, &all, &before);
  started = started && pthread_create(&thread->thread, NULL, thread_main, thread) == 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return started;
}

struct seal_thread *seal_thread_start(const struct options *options, struct seal_watch *watch,
                                      bool *ret_failed)
{
  char path[SEAL_PATH_MAX + 1u], why[SEAL_WHY_MAX] = "";
  *ret_failed = false;
  if (options->seal_every_s == 0 || strcmp(options->store, "memory") == 0)
    return NULL;
  struct seal_thread *thread = rt_alloc(sizeof *thread);
  thread->options = options;
  thread->watch = watch;
  seal_folder_of(options, path, sizeof path);
  bool opened = seal_folder_open(&thread->folder, path, true, why);
  atomic_store_explicit(&watch->since_us, monotonic_us(), memory_order_relaxed);
  if (opened && begin(thread))
    return thread;
  if (opened)
    seal_folder_close(&thread->folder);
  fprintf(stderr, "holdfast: seals: %s\n", opened ? strerror(errno) : why);
  rt_free(thread);
  *ret_failed = true;
  return NULL;
}

void seal_thread_stop(struct seal_thread *thread)
{
  if (thread == NULL)
    return;
  atomic_store(&thread->stop, true);
  pthread_mutex_lock(&thread->lock);
  pthread_cond_signal(&thread->wake);
  pthread_mutex_unlock(&thread->lock);
  pthread_join(thread->thread, NULL);
  seal_folder_close(&thread->folder);
  pthread_cond_destroy(&thread->wake);
  pthread_mutex_destroy(&thread->lock);
  rt_free(thread);
}
