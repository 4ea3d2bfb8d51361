/* limit_sqlite - R: how many rows per second the SQLite store takes from a plain loop.
 *
 * The loop hands ready commit requests to the store adapter's own blocking entry, the one the
 * write thread of the server calls: the same statements, tables, triggers and one fsync per commit.
 * Judging, encoding and hashing are done beforehand and are not in the time: what is left is the
 * database alone, so no server over this adapter can be faster at the same size of commit.
 *
 * usage: limit_sqlite --dir DIR [--batch N] [--users N] [--seconds S] [--probe]
 * DIR is an existing folder without a database. --probe looks up every idempotency key, as the
 * server does for users whose keys are not all in memory. Prints one JSON object. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/store_sqlite/store_sqlite.h"
#include "bench/limit/common/limit_stage.h"

#define STAGE_OPS 4096u          /* prepared at a time, outside of the measured time */
#define CACHE_BYTES (256u << 20) /* as the server's default */

struct options {
  const char *dir;
  unsigned long batch, users;
  double seconds;
  bool probe;
};

static struct store_engine *store_open(const struct options *options)
{
  char path[4096], why[256] = "";
  if (snprintf(path, sizeof path, "%s/limit.db", options->dir) >= (int)sizeof path)
    limit_fail("--dir", "too long");
  struct store_sqlite_config config = {.path = path,
                                       .migrate = true,
                                       .readers = 1,
                                       .partition_bits = HF_PARTITION_BITS_DEFAULT,
                                       .cache_bytes = CACHE_BYTES};
  struct store_engine *engine = NULL;
  if (store_sqlite_open(&config, &engine, why) != HF_OK)
    limit_fail(path, why);
  return engine;
}

static void measure(struct limit *limit, const struct options *options)
{
  size_t batch = options->batch;
  size_t chunk = batch < STAGE_OPS ? STAGE_OPS / batch : 1;
  struct store_request **requests = calloc(chunk, sizeof requests[0]);
  if (requests == NULL)
    limit_fail("memory", "out");
  double spent_s = 0.0, deadline_s = limit_now_s() + 20.0 * options->seconds;
  unsigned long long rows = 0, commits = 0;
  while (spent_s < options->seconds && limit_now_s() < deadline_s) {
    for (size_t i = 0; i < chunk; i++)
      requests[i] = limit_commit_make(limit, batch);
    double start_s = limit_now_s();
    for (size_t i = 0; i < chunk; i++)
      limit_execute(limit, requests[i]);
    spent_s += limit_now_s() - start_s;
    rows += chunk * batch;
    commits += chunk;
    for (size_t i = 0; i < chunk; i++)
      store_request_free(requests[i]);
    limit_units_free(limit);
  }
  printf("{\"rows_per_s\":%.1f,\"commits_per_s\":%.1f,\"batch\":%zu,\"users\":%zu,\"probe\":%s,"
         "\"rows\":%llu,\"seconds\":%.3f}\n",
         (double)rows / spent_s, (double)commits / spent_s, batch, limit->users_count,
         options->probe ? "true" : "false", rows, spent_s);
  free(requests);
}

static struct options options_parse(int count, char **arguments)
{
  struct options options = {.batch = 128, .users = 1000, .seconds = 3.0};
  for (int i = 1; i < count; i++) {
    const char *name = arguments[i], *value = i + 1 < count ? arguments[i + 1] : NULL;
    if (strcmp(name, "--probe") == 0) {
      options.probe = true;
      continue;
    }
    if (strcmp(name, "--dir") == 0 && value != NULL)
      options.dir = value;
    else if (strcmp(name, "--batch") == 0)
      options.batch = (unsigned long)limit_number(name, value, 1, LIMIT_BATCH_MAX);
    else if (strcmp(name, "--users") == 0)
      options.users = (unsigned long)limit_number(name, value, 1, LIMIT_USERS_MAX);
    else if (strcmp(name, "--seconds") == 0)
      options.seconds = limit_number(name, value, 0.1, 600);
    else
      limit_fail(name, "unknown; usage: --dir DIR [--batch N] [--users N] [--seconds S] [--probe]");
    i++;
  }
  if (options.dir == NULL)
    limit_fail("--dir", "missing");
  return options;
}

int main(int count, char **arguments)
{
  struct options options = options_parse(count, arguments);
  struct store_engine *engine = store_open(&options);
  struct limit limit;
  limit_init(&limit, engine, 0, 1, options.users, options.probe);
  measure(&limit, &options);
  engine->ops->close(engine);
  limit_deinit(&limit);
  return 0;
}
