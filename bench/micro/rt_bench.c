/* Clock, table and finish line of the runtime's micro benchmarks. */
#include "rt_bench.h"

#include "holdfast/check.h"

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

void bench_head(void)
{
  printf("%-44s %10s %10s  %-10s %s\n", "measurement", "best", "median", "unit", "goal");
}

void bench_add(struct bench_row *row, double value)
{
  CHECK(row->count < BENCH_RUNS_MAX);
  row->values[row->count++] = value;
}

static int by_size(const void *a, const void *b)
{
  const double *x = a;
  const double *y = b;
  return (*x > *y) - (*x < *y);
}

void bench_print(struct bench_row *row)
{
  CHECK(row->count > 0);
  qsort(row->values, row->count, sizeof row->values[0], by_size);
  double best = row->values[row->more_is_better ? row->count - 1 : 0];
  printf("%-44s %10.3g %10.3g  %-10s %s\n", row->name, best, row->values[row->count / 2], row->unit,
         row->goal);
  fflush(stdout);
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
  metrics_size = 0;
  rt_metrics_write(runtime, keep_metrics, NULL);
  rt_stop(runtime, 5000000);
  bool is_clean = rt_join(runtime);
  CHECK(is_clean);
  driver_uv_free(driver);
  return took_ns;
}
