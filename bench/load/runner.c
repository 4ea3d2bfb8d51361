#include "runner.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fail.h"
#include "moment.h"

#define START_DELAY_NS (20 * MOMENT_MS) /* so that all threads are connected when sending starts */
#define GRACE_NS (10 * MOMENT_S)
#define TICK_NS (5 * MOMENT_MS)
#define PROGRESS_NS (500 * MOMENT_MS)

struct runner_thread {
  pthread_t thread;
  struct generator_plan plan;
  const struct script *script;
  struct generator_result result;
  _Atomic bool finished; /* release: pairs with the acquire in threads_running */
};

static void *thread_main(void *argument)
{
  struct runner_thread *thread = argument;
  generator_run(&thread->plan, thread->script, &thread->result);
  atomic_store_explicit(&thread->finished, true, memory_order_release);
  return NULL;
}

unsigned runner_connections_of(const struct runner_config *config, unsigned thread)
{
  unsigned share = config->plan.connections / config->threads;
  return share + (thread < config->plan.connections % config->threads ? 1 : 0);
}

static bool threads_running(struct runner_thread *threads, unsigned count)
{
  for (unsigned i = 0; i < count; i++)
    if (!atomic_load_explicit(&threads[i].finished, memory_order_acquire))
      return true;
  return false;
}

static void progress_draw(const struct runner_config *config, struct runner_thread *threads,
                          uint64_t *last_replies, uint64_t *last_ns)
{
  uint64_t now_ns = moment_now_ns();
  if (!isatty(STDERR_FILENO) || now_ns - *last_ns < PROGRESS_NS)
    return;
  uint64_t replies = 0;
  for (unsigned i = 0; i < config->threads; i++)
    replies += atomic_load_explicit(&threads[i].result.progress, memory_order_relaxed);
  double rate = (double)(replies - *last_replies) * 1e9 / (double)(now_ns - *last_ns);
  if (config->expected > 0)
    fprintf(stderr, "\r\033[K%s: %llu of %llu, %.0f/s", config->label, (unsigned long long)replies,
            (unsigned long long)config->expected, rate);
  else
    fprintf(stderr, "\r\033[K%s: %llu replies, %.0f/s", config->label, (unsigned long long)replies,
            rate);
  *last_replies = replies;
  *last_ns = now_ns;
}

/* Sleeps in small steps until that time or until all threads are done. */
static void watch_until(const struct runner_config *config, struct runner_thread *threads,
                        uint64_t until_ns, uint64_t *last_replies, uint64_t *last_ns)
{
  for (;;) {
    uint64_t now_ns = moment_now_ns();
    if (now_ns >= until_ns || !threads_running(threads, config->threads))
      return;
    moment_wait_until(until_ns - now_ns < TICK_NS ? until_ns : now_ns + TICK_NS);
    progress_draw(config, threads, last_replies, last_ns);
  }
}

static void result_add(struct generator_result *into, const struct generator_result *from)
{
  into->replies += from->replies;
  into->unexpected += from->unexpected;
  into->ops_applied += from->ops_applied;
  into->ops_refused += from->ops_refused;
  for (unsigned i = 0; i < GENERATOR_STATUS_MAX; i++)
    into->statuses[i] += from->statuses[i];
  into->unanswered += from->unanswered;
  into->broken += from->broken;
  into->bad_replies += from->bad_replies;
  into->connects_failed += from->connects_failed;
  into->reconnects += from->reconnects;
  into->exhausted = into->exhausted || from->exhausted;
  if (from->finished_ns > into->finished_ns)
    into->finished_ns = from->finished_ns;
  if (into->unexpected_status == 0 && from->unexpected_status != 0) {
    into->unexpected_status = from->unexpected_status;
    memcpy(into->unexpected_body, from->unexpected_body, sizeof into->unexpected_body);
  }
  histogram_merge(&into->latencies, &from->latencies);
}

void runner_run(const struct runner_config *config, const struct script *scripts,
                struct runner_result *ret_result)
{
  CHECK(config->threads > 0 && config->threads <= RUNNER_THREADS_MAX);
  CHECK(config->plan.connections >= config->threads);
  struct runner_thread *threads = fail_calloc(config->threads, sizeof threads[0]);
  uint64_t start_ns = moment_now_ns() + START_DELAY_NS;
  uint64_t measure_ns = start_ns + config->warmup_ns;
  uint64_t end_ns = measure_ns + config->duration_ns;
  for (unsigned i = 0; i < config->threads; i++) {
    struct generator_plan *plan = &threads[i].plan;
    *plan = config->plan;
    plan->connections = runner_connections_of(config, i);
    plan->rate_per_s = config->plan.rate_per_s / config->threads;
    plan->seed = config->plan.seed + i;
    plan->start_ns = start_ns;
    plan->measure_ns = measure_ns;
    plan->end_ns = end_ns;
    plan->grace_ns = GRACE_NS;
    threads[i].script = &scripts[i];
    if (pthread_create(&threads[i].thread, NULL, thread_main, &threads[i]) != 0)
      fail("cannot start a thread");
  }
  uint64_t last_replies = 0, last_ns = start_ns;
  memset(ret_result, 0, sizeof *ret_result);
  watch_until(config, threads, measure_ns, &last_replies, &last_ns);
  double self_cpu_s = process_self_cpu_s();
  struct process_cost before = process_set_cost(config->servers);
  double stores_cpu_s = config->stores != NULL ? process_set_tree_cpu_s(config->stores) : 0.0;
  watch_until(config, threads, end_ns, &last_replies, &last_ns);
  struct process_cost after = process_set_cost(config->servers);
  if (config->stores != NULL)
    ret_result->stores_cpu_s = process_set_tree_cpu_s(config->stores) - stores_cpu_s;
  ret_result->self_cpu_s = process_self_cpu_s() - self_cpu_s;
  ret_result->servers_cpu_s = after.cpu_s - before.cpu_s;
  ret_result->resident_kb_before = before.resident_kb;
  ret_result->resident_kb_after = after.resident_kb;
  watch_until(config, threads, end_ns + 2 * GRACE_NS, &last_replies, &last_ns);
  for (unsigned i = 0; i < config->threads; i++) {
    pthread_join(threads[i].thread, NULL);
    result_add(&ret_result->totals, &threads[i].result);
  }
  if (isatty(STDERR_FILENO))
    fputs("\r\033[K", stderr);
  uint64_t finished_ns = ret_result->totals.finished_ns;
  ret_result->seconds = finished_ns > measure_ns ? (double)(finished_ns - measure_ns) / 1e9 : 0.0;
  free(threads);
}
