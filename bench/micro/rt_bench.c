/* Clock, cores, memory and finish line of the runtime's measurements. */
#include "rt_bench.h"

#include "holdfast/check.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define METRICS_SIZE 65536u

static sem_t finished;
static char metrics[METRICS_SIZE]; /* text of the last run */
static size_t metrics_size;

uint64_t bench_ns(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void bench_pin(unsigned core)
{
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(core % (unsigned)sysconf(_SC_NPROCESSORS_ONLN), &cores);
  pthread_setaffinity_np(pthread_self(), sizeof cores, &cores);
}

void bench_unpin(void)
{
  cpu_set_t cores;
  CPU_ZERO(&cores);
  for (unsigned i = 0; i < CPU_SETSIZE; i++) {
    CPU_SET(i, &cores);
  }
  pthread_setaffinity_np(pthread_self(), sizeof cores, &cores);
}

void bench_loop_pin(void *arg, rt_ctx *ctx)
{
  (void)arg;
  bench_pin(rt_loop_index(ctx));
}

void bench_pause(uint64_t span_ns)
{
  uint64_t start_ns = bench_ns();
  while (bench_ns() - start_ns < span_ns) {
  }
}

uint64_t bench_memory(void)
{
  char line[128];
  unsigned long long kib = 0;
  FILE *file = fopen("/proc/self/smaps_rollup", "r");
  CHECK(file != NULL);
  while (fgets(line, sizeof line, file) != NULL) {
    if (strncmp(line, "Anonymous:", 10) == 0) {
      kib = strtoull(line + 10, NULL, 10);
      break;
    }
  }
  fclose(file);
  CHECK(kib > 0);
  return kib * 1024;
}

static int by_value(const void *a, const void *b)
{
  const uint64_t *x = a;
  const uint64_t *y = b;
  return (*x > *y) - (*x < *y);
}

uint64_t bench_percentile(uint64_t *values, unsigned count, double share)
{
  CHECK(count > 0);
  qsort(values, count, sizeof values[0], by_value);
  unsigned at = (unsigned)(share * (double)count);
  return values[at < count ? at : count - 1];
}

void bench_line_init(void)
{
  sem_init(&finished, 0, 0);
}

void bench_line_wait(void)
{
  while (sem_wait(&finished) != 0) {
  }
}

void bench_finish(void)
{
  sem_post(&finished);
}

static void keep_metrics(void *arg, const char *text, size_t size)
{
  (void)arg;
  CHECK(metrics_size + size < METRICS_SIZE);
  memcpy(metrics + metrics_size, text, size);
  metrics_size += size;
  metrics[metrics_size] = '\0';
}

double bench_series(const char *series)
{
  size_t size = strlen(series);
  for (const char *line = metrics; line != NULL; line = strchr(line, '\n')) {
    line += *line == '\n' ? 1 : 0;
    if (strncmp(line, series, size) == 0 && line[size] == ' ') {
      return strtod(line + size, NULL);
    }
  }
  CHECK(size == 0); /* a series that does not exist */
  return 0;
}

void bench_keep(rt *runtime)
{
  metrics_size = 0;
  rt_metrics_write(runtime, keep_metrics, NULL);
}

uint64_t bench_run(const struct rt_config *config, rt_id to, uint16_t op, uint64_t word)
{
  struct rt_driver *driver = driver_uv_new();
  bench_line_init();
  rt *runtime = rt_start(driver, config);
  CHECK(runtime != NULL);
  uint64_t start_ns = bench_ns();
  rt_status status = rt_post(runtime, to, op, &word, sizeof word);
  CHECK(status == RT_OK);
  bench_line_wait();
  uint64_t took_ns = bench_ns() - start_ns;
  bench_keep(runtime);
  rt_stop(runtime, 5000000);
  bool is_clean = rt_join(runtime);
  CHECK(is_clean);
  driver_uv_free(driver);
  return took_ns;
}
