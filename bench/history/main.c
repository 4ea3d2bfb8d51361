/* bench_history - reading from a long history: balances at a time, pages of a user's journal, pages
 * of the change stream, at the store's own entry.
 *
 * usage: bench_history --store sqlite:PATH|postgres://...|memory [--entries N] [--users N]
 *          [--queries N] [--seed N] [--query-only] [--json]
 * The store must be empty, or --query-only given with the numbers that it was filled with. It is
 * filled by a child process, so that the memory told of is that of the questions. Prints a table,
 * or one JSON object. Exit code 1 when the store fails or an answer is wrong. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/history/history.h"
#include "holdfast/check.h"

struct result {
  double load_s; /* 0: it was there */
  uint64_t file_bytes;
  uint64_t anonymous_kib, file_kib; /* of this process: own memory, and pages of the file */
  struct history_probe probes[HISTORY_PROBES];
};

double history_now_s(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

_Noreturn void history_fail(const char *what, const char *why)
{
  fprintf(stderr, "bench_history: %s: %s\n", what, why);
  exit(1);
}

static uint64_t number_of(const char *name, const char *text, uint64_t most)
{
  char *end;
  errno = 0;
  const unsigned long long number = text == NULL ? 0 : strtoull(text, &end, 10);
  if (text == NULL || *end != '\0' || errno != 0 || number == 0 || number > most)
    history_fail(name, "is a number above zero");
  return number;
}

/* "VmRSS" and its like, in KiB. */
static uint64_t memory_of(const char *name)
{
  FILE *file = fopen("/proc/self/status", "r");
  char line[256];
  uint64_t kib = 0;
  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    if (strncmp(line, name, strlen(name)) == 0)
      kib = strtoull(line + strlen(name) + 1, NULL, 10);
  }
  if (file != NULL)
    (void)fclose(file);
  return kib;
}

/* In a child, which tells how long it took. The store in memory cannot outlive one. */
static double load(const struct history_plan *plan)
{
  int ends[2];
  double took_s = 0;
  int status = 0;
  if (pipe(ends) != 0)
    history_fail("pipe", strerror(errno));
  const pid_t child = fork();
  if (child < 0)
    history_fail("fork", strerror(errno));
  if (child == 0) {
    struct store_engine *engine = history_open(plan->store);
    took_s = history_load(engine, plan);
    engine->ops->close(engine);
    _exit(write(ends[1], &took_s, sizeof took_s) == sizeof took_s ? 0 : 1);
  }
  (void)close(ends[1]);
  const ssize_t got = read(ends[0], &took_s, sizeof took_s);
  (void)close(ends[0]);
  if (waitpid(child, &status, 0) != child || status != 0 || got != sizeof took_s)
    history_fail("loading", "failed");
  return took_s;
}

static void run(const struct history_plan *plan, bool query_only, struct result *result)
{
  const bool memory = strcmp(plan->store, "memory") == 0;
  struct stat file;
  if (!query_only && !memory)
    result->load_s = load(plan);
  struct store_engine *engine = history_open(plan->store);
  if (memory)
    result->load_s = history_load(engine, plan);
  history_probe(engine, plan, result->probes);
  result->anonymous_kib = memory_of("RssAnon");
  result->file_kib = memory_of("RssFile");
  if (strncmp(plan->store, "sqlite:", 7) == 0 && stat(plan->store + 7, &file) == 0)
    result->file_bytes = (uint64_t)file.st_size;
  engine->ops->close(engine);
}

static void print_json(const struct history_plan *plan, const struct result *result)
{
  const char *kind = strncmp(plan->store, "postgres", 8) == 0 ? "postgres"
                     : strncmp(plan->store, "sqlite", 6) == 0 ? "sqlite"
                                                              : "memory";
  printf("{\"store\":\"%s\",\"entries\":%llu,\"users\":%llu,\"load_s\":%.1f,\"file_bytes\":%llu,"
         "\"anonymous_kib\":%llu,\"file_kib\":%llu,\"probes\":[",
         kind, (unsigned long long)plan->entries, (unsigned long long)plan->users, result->load_s,
         (unsigned long long)result->file_bytes, (unsigned long long)result->anonymous_kib,
         (unsigned long long)result->file_kib);
  for (unsigned i = 0; i < HISTORY_PROBES; i++) {
    const struct histogram *us = &result->probes[i].us;
    printf("%s{\"name\":\"%s\",\"count\":%llu,\"p50_us\":%llu,\"p99_us\":%llu,\"max_us\":%llu}",
           i == 0 ? "" : ",", result->probes[i].name, (unsigned long long)us->count,
           (unsigned long long)histogram_at(us, 0.5), (unsigned long long)histogram_at(us, 0.99),
           (unsigned long long)us->max_us);
  }
  printf("]}\n");
}

static void print_table(const struct history_plan *plan, const struct result *result)
{
  printf("%llu entries of %llu users", (unsigned long long)plan->entries,
         (unsigned long long)plan->users);
  if (result->load_s > 0)
    printf(", written in %.1f s (%.0f entries/s)", result->load_s,
           (double)plan->entries / result->load_s);
  if (result->file_bytes > 0)
    printf(", %.2f GB", (double)result->file_bytes / 1e9);
  printf("\nmemory: %.1f MiB of its own, %.1f MiB of mapped files\n\n",
         (double)result->anonymous_kib / 1024.0, (double)result->file_kib / 1024.0);
  printf("| question | p50 us | p99 us | max us |\n|---|---:|---:|---:|\n");
  for (unsigned i = 0; i < HISTORY_PROBES; i++) {
    const struct histogram *us = &result->probes[i].us;
    printf("| %s | %llu | %llu | %llu |\n", result->probes[i].name,
           (unsigned long long)histogram_at(us, 0.5), (unsigned long long)histogram_at(us, 0.99),
           (unsigned long long)us->max_us);
  }
}

int main(int count, char **arguments)
{
  struct history_plan plan = {.entries = 10000000, .users = 1000000, .seed = 1, .queries = 20000};
  bool json = false, query_only = false;
  for (int i = 1; i < count; i++) {
    const char *name = arguments[i], *value = i + 1 < count ? arguments[i + 1] : NULL;
    if (strcmp(name, "--json") == 0 || strcmp(name, "--query-only") == 0) {
      json = json || strcmp(name, "--json") == 0;
      query_only = query_only || strcmp(name, "--query-only") == 0;
      continue;
    }
    if (strcmp(name, "--store") == 0 && value != NULL)
      plan.store = value;
    else if (strcmp(name, "--entries") == 0)
      plan.entries = number_of(name, value, 1000000000);
    else if (strcmp(name, "--users") == 0)
      plan.users = number_of(name, value, 100000000);
    else if (strcmp(name, "--queries") == 0)
      plan.queries = number_of(name, value, 100000000);
    else if (strcmp(name, "--seed") == 0)
      plan.seed = number_of(name, value, INT64_MAX);
    else
      history_fail(name, "unknown; the head of this program's source tells its options");
    i++;
  }
  if (plan.store == NULL)
    history_fail("--store", "is missing");
  struct result *result = rt_alloc(sizeof *result);
  run(&plan, query_only, result);
  if (json)
    print_json(&plan, result);
  else
    print_table(&plan, result);
  rt_free(result);
  return 0;
}
