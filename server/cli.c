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

struct store_engine *cli_open_store(const struct options *options, bool read_only)
{
  char path[4096], why[256] = "";
  if (strcmp(options->store, "memory") == 0)
    return store_memory_new((unsigned)options->partition_bits);
  if (strcmp(options->migrate, "auto") != 0 && strcmp(options->migrate, "off") != 0) {
    fprintf(stderr, "holdfast: --migrate is auto or off\n");
    return NULL;
  }
  if (strncmp(options->store, "sqlite:", 7) == 0) {
    snprintf(path, sizeof path, "%s", options->store + 7);
  } else if (options->store[0] == '\0') {
    if (!read_only && mkdir(options->data, 0700) != 0 && errno != EEXIST) {
      fprintf(stderr, "holdfast: cannot make %s: %s\n", options->data, strerror(errno));
      return NULL;
    }
    snprintf(path, sizeof path, "%s/holdfast.db", options->data);
  } else {
    fprintf(stderr, "holdfast: --store is sqlite:PATH or memory\n");
    return NULL;
  }
  struct store_sqlite_config config = {
      .path = path,
      .partition_bits = (unsigned)options->partition_bits,
      .readers = (unsigned)options->readers,
      .cache_bytes = (size_t)options->cache_mib << 20,
      .migrate = strcmp(options->migrate, "auto") == 0,
      .read_only = read_only,
  };
  struct store_engine *engine = NULL;
  enum hf_error error = store_sqlite_open(&config, &engine, why);
  if (error == HF_OK)
    return engine;
  fprintf(stderr, "holdfast: %s: %s\n", path, why[0] != '\0' ? why : hf_error_info(error)->title);
  return NULL;
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
