/* What the commands share: opening the store, help, progress. */
#include "server/cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "adapters/store_memory/store_memory.h"
#include "adapters/store_sqlite/store_sqlite.h"
#include "holdfast/hash.h"
#include "server/log.h"

#define PLACE_MAX 4096u /* of a path */

bool cli_is_postgres(const char *store)
{
  return strncmp(store, "postgres://", 11) == 0 || strncmp(store, "postgresql://", 13) == 0 ||
         (strncmp(store, "sqlite:", 7) != 0 && strchr(store, '=') != NULL);
}

static bool migrates(const struct options *options)
{
  return strcmp(options->migrate, "auto") == 0;
}

void cli_postgres_config(const struct options *options, struct store_postgres_config *ret_config)
{
  *ret_config = (struct store_postgres_config){
    .dsn = options->store,
    .replica_dsn = options->replica_dsn,
    .replica_lag_us = options->replica_lag_ms * 1000u,
    .partition_bits = (unsigned)options->partition_bits,
    .commits = (unsigned)options->pg_commits,
    .readers = (unsigned)options->pg_readers,
    .connect_timeout_us = options->pg_connect_timeout_ms * 1000u,
    .statement_timeout_us = options->pg_statement_timeout_ms * 1000u,
    .lock_timeout_us = options->pg_lock_timeout_ms * 1000u,
    .migrate = migrates(options),
  };
}

/* A place is told without what may be secret in it. */
static struct store_engine *open_failed(const char *place, enum hf_error error, const char *why)
{
  fprintf(stderr, "holdfast: %s: %s\n", place, why[0] != '\0' ? why : hf_error_info(error)->title);
  return NULL;
}

static struct store_engine *open_postgres(const struct options *options, bool read_only)
{
  struct store_postgres_config config;
  struct store_engine *engine = NULL;
  char why[256] = "";
  cli_postgres_config(options, &config);
  config.migrate = config.migrate && !read_only;
  enum hf_error error = store_postgres_open(&config, &engine, why);
  return error == HF_OK ? engine : open_failed("PostgreSQL", error, why);
}

static struct store_sqlite_config sqlite_config(const struct options *options, const char *path)
{
  return (struct store_sqlite_config){
    .path = path,
    .partition_bits = (unsigned)options->partition_bits,
    .readers = (unsigned)options->readers,
    .cache_bytes = (size_t)options->cache_mib << 20,
    .migrate = migrates(options),
    .log = log_for,
  };
}

/* Where the embedded store is; makes the data folder when `make`. NULL: told why not. */
static const char *sqlite_path(const struct options *options, bool make, char room[PLACE_MAX])
{
  if (strncmp(options->store, "sqlite:", 7) == 0)
    return options->store + 7;
  if (options->store[0] != '\0') {
    fprintf(stderr, "holdfast: --store is postgres://..., sqlite:PATH or memory\n");
    return NULL;
  }
  if (make && mkdir(options->data, 0700) != 0 && errno != EEXIST) {
    fprintf(stderr, "holdfast: cannot make %s: %s\n", options->data, strerror(errno));
    return NULL;
  }
  snprintf(room, PLACE_MAX, "%s/holdfast.db", options->data);
  return room;
}

static struct store_engine *open_sqlite(const struct options *options, bool read_only)
{
  struct store_engine *engine = NULL;
  char room[PLACE_MAX], why[256] = "";
  const char *path = sqlite_path(options, !read_only, room);
  if (path == NULL)
    return NULL;
  struct store_sqlite_config config = sqlite_config(options, path);
  config.read_only = read_only;
  enum hf_error error = store_sqlite_open(&config, &engine, why);
  return error == HF_OK ? engine : open_failed(path, error, why);
}

/* The simulator's store has no secret of its own, because it is the same for the same seed. */
static struct store_engine *open_memory(const struct options *options)
{
  struct store_engine *engine = store_memory_new((unsigned)options->partition_bits);
  hf_random_bytes(engine->secret, sizeof engine->secret);
  return engine;
}

static bool is_usable(const struct options *options)
{
  if (migrates(options) || strcmp(options->migrate, "off") == 0)
    return true;
  fprintf(stderr, "holdfast: --migrate is auto or off\n");
  return false;
}

struct store_engine *cli_open_store(const struct options *options, bool read_only)
{
  if (strcmp(options->store, "memory") == 0)
    return open_memory(options);
  if (!is_usable(options))
    return NULL;
  return cli_is_postgres(options->store) ? open_postgres(options, read_only)
                                         : open_sqlite(options, read_only);
}

bool cli_migrate(const struct options *options, bool dry_run, store_migration_each each, void *arg)
{
  char room[PLACE_MAX], why[256] = "";
  const char *place = "PostgreSQL";
  enum hf_error error;
  if (strcmp(options->store, "memory") == 0)
    return true;
  if (cli_is_postgres(options->store)) {
    struct store_postgres_config config;
    cli_postgres_config(options, &config);
    error = store_postgres_migrate(&config, dry_run, each, arg, why);
  } else {
    place = sqlite_path(options, !dry_run, room);
    if (place == NULL)
      return false;
    struct store_sqlite_config config = sqlite_config(options, place);
    error = store_sqlite_migrate(&config, dry_run, each, arg, why);
  }
  if (error != HF_OK)
    (void)open_failed(place, error, why);
  return error == HF_OK;
}

static struct {
  double printed_s, began_s;
  bool shown;
} progress;

static double seconds(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void cli_progress(const char *verb, uint64_t done, uint64_t total)
{
  double now = seconds();
  if (progress.began_s <= 0)
    progress.began_s = now;
  if (!isatty(STDERR_FILENO) || now - progress.printed_s < 0.1)
    return;
  progress.printed_s = now;
  progress.shown = true;
  double rate = (double)done / (now - progress.began_s + 1e-9);
  if (total == 0) {
    fprintf(stderr, "\r%s %llu  %.0f/s\033[K", verb, (unsigned long long)done, rate);
    return;
  }
  unsigned width = 30, filled = (unsigned)(done * width / total);
  fprintf(stderr, "\r%s [%.*s%*s] %llu of %llu  %.0f/s\033[K", verb, (int)filled,
          "##############################", (int)(width - filled), "", (unsigned long long)done,
          (unsigned long long)total, rate);
}

void cli_progress_end(void)
{
  if (progress.shown)
    fprintf(stderr, "\r\033[K");
  progress.shown = false;
  progress.printed_s = progress.began_s = 0;
}

bool cli_help(int argc, char **argv, const char *usage, const struct option_extra *extra,
              const char *more)
{
  bool asked = false;
  for (int i = 2; i < argc; i++)
    asked = asked || strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0;
  if (!asked)
    return false;
  printf("usage: holdfast %s\n\n%s%s", usage, more, more[0] != '\0' ? "\n" : "");
  options_help(argv[1], extra);
  return true;
}
