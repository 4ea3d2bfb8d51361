/* seal_thread.c - see the header.
 *
 * Happy path: sleeps until the next seal is due, opens a read-only engine, makes it, closes.
 * Ways to fail: the store or the folder cannot be used (a warning; the next time).
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

struct seal_thread {
  const struct options *options;
  struct seal_folder folder;
  pthread_t thread;
  pthread_mutex_t lock; /* of nothing but the condition */
  pthread_cond_t wake;
  atomic_bool stop; /* set by stop, read by the sealer between pages */
};

static void warn(const char *why)
{
  log_line(LOG_WARNING, "seal", why);
}

static void seal_once(struct seal_thread *thread)
{
  char why[SEAL_WHY_MAX] = "";
  struct store_engine *engine = cli_open_store(thread->options, true);
  if (engine == NULL) {
    warn("the store cannot be opened for sealing");
    return;
  }
  struct sealer sealer = {.engine = engine,
                          .folder = &thread->folder,
                          .rest_percent = REST_PERCENT,
                          .stop = &thread->stop};
  if (sealer_run(&sealer, why))
    log_line(LOG_INFO, "seal", "sealed");
  else if (!atomic_load(&thread->stop))
    warn(why);
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

struct seal_thread *seal_thread_start(const struct options *options, bool *ret_failed)
{
  char path[SEAL_PATH_MAX + 1u], why[SEAL_WHY_MAX] = "";
  *ret_failed = false;
  if (options->seal_every_s == 0 || strcmp(options->store, "memory") == 0)
    return NULL;
  struct seal_thread *thread = rt_alloc(sizeof *thread);
  thread->options = options;
  seal_folder_of(options, path, sizeof path);
  bool opened = seal_folder_open(&thread->folder, path, true, why);
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
