/* import: users and operations of a file, through the same actors that serve the API.
 *
 * Happy path: options, mapping, asset, (--prefund: a first pass over the file,) a runtime without a
 *   front door, rows, drain, summary.
 * Ways to fail: lines that are rejected (exit 1, --allow-rejects: 0), a signal (what was started is
 *   finished; a second run goes on), a store that does not answer any more (exit 3).
 * Invariant: what the summary counts as applied is durable. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "actors/metrics.h"
#include "server/cli.h"
#include "server/direct.h"
#include "server/import_run.h"
#include "server/log.h"
#include "server/serve.h"

#define WINDOW_DEFAULT 16384u
#define DRAIN_US 30000000u
#define POLL_NS 20000000

struct import { /* all of one command */
  struct options options;
  struct import_options mapping;
  const char *path;
  struct import_source source;
  struct import_map map;
  struct import_feed feed;
  struct import_funds funds;
  struct import_report report;
  struct import_run run;
  struct node node;
  unsigned scale;
  bool asset_exists;
  int64_t started_us;
};

static bool fail(const char *text, const char *value)
{
  fprintf(stderr, "holdfast import: %s%s\n", text, value);
  return false;
}

/* ---- options --------------------------------------------------------------------------------- */

static bool number_of(const char *text, unsigned long max, unsigned long *ret_number)
{
  char *end;
  errno = 0;
  unsigned long number = strtoul(text, &end, 10);
  if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || number > max)
    return false;
  *ret_number = number;
  return true;
}

static bool read_window(struct import *import)
{
  const struct options *options = &import->options;
  unsigned long window = WINDOW_DEFAULT;
  const char *text = import->mapping.in_flight;
  if (text != NULL && (!number_of(text, IMPORT_WINDOW_MAX, &window) || window == 0))
    return fail("--in-flight is a number from 1 to 65536", "");
  /* A row wakes two users and makes up to three units: with less room some would be refused and
   * tried again, out of order. */
  if (window > options->live_users / 2u)
    window = options->live_users / 2u;
  if (window > options->queue_units / 4u)
    window = options->queue_units < 4u ? 1u : options->queue_units / 4u;
  import->run.window = (unsigned)window;
  return true;
}

static bool ends_with(const char *text, const char *end)
{
  size_t size = strlen(text), end_size = strlen(end);
  return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

static bool open_source(struct import *import)
{
  const struct import_options *mapping = &import->mapping;
  char why[256] = "", separator = ',';
  enum import_format format = IMPORT_CSV;
  if (mapping->format == NULL)
    format = ends_with(import->path, ".ndjson") || ends_with(import->path, ".jsonl") ? IMPORT_NDJSON
                                                                                     : IMPORT_CSV;
  else if (strcmp(mapping->format, "ndjson") == 0)
    format = IMPORT_NDJSON;
  else if (strcmp(mapping->format, "csv") != 0)
    return fail("--format is csv or ndjson", "");
  if (mapping->separator != NULL) {
    separator = strcmp(mapping->separator, "tab") == 0 ? '\t' : mapping->separator[0];
    bool one = separator == '\t' || mapping->separator[1] == '\0';
    if (!one || separator == '"' || separator == '\n' || separator == '\0')
      return fail("--separator is one character, or tab", "");
  }
  if (import_source_open(&import->source, import->path, format, separator, why))
    return true;
  fprintf(stderr, "holdfast import: %s: %s\n", import->path, why);
  return false;
}

/* ---- asset ----------------------------------------------------------------------------------- */

/* The asset's scale: its own when it exists, else --scale. `engine` NULL: there is no store yet. */
static bool find_asset(struct import *import, struct store_engine *engine)
{
  const struct import_options *mapping = &import->mapping;
  unsigned long scale = 0;
  if (mapping->scale != NULL && !number_of(mapping->scale, HF_SCALE_MAX, &scale))
    return fail("--scale is a number from 0 to 18", "");
  import->scale = (unsigned)scale;
  if (mapping->users_only != NULL)
    return true;
  if (mapping->asset == NULL)
    return fail("--asset is needed", "");
  if (!api_asset_code_valid(mapping->asset, strlen(mapping->asset)))
    return fail("--asset is 1 to 16 letters, digits and . _ -", "");
  struct store_request *catalog = engine == NULL ? NULL : direct_catalog(engine);
  if (engine != NULL && catalog == NULL)
    return fail("the store cannot be read", "");
  for (size_t i = 0; catalog != NULL && i < catalog->catalog.assets_count; i++)
    if (strcmp(catalog->catalog.assets[i].code, mapping->asset) == 0) {
      import->asset_exists = true;
      import->scale = catalog->catalog.assets[i].scale;
    }
  if (catalog != NULL)
    store_request_free(catalog);
  if (!import->asset_exists && mapping->scale == NULL)
    return fail("there is no such asset yet: --scale makes it: ", mapping->asset);
  if (import->asset_exists && mapping->scale != NULL && import->scale != scale)
    return fail("the asset has another scale: ", mapping->asset);
  return true;
}

/* ---- passes over the file -------------------------------------------------------------------- */

static void on_reject(void *arg, const struct import_record *record, enum hf_error error,
                      const char *detail)
{
  import_report_reject(arg, record->line, error, detail, record->raw, record->raw_size);
}

/* What each payer is short of. The rejects are told by the pass that imports. */
static bool first_pass(struct import *import)
{
  struct import_feed feed;
  struct import_row *row;
  uint64_t cut_count = import->map.cut_count;
  hf_amount cut_sum = import->map.cut_sum;
  import_feed_init(&feed, &import->source, &import->map);
  cli_progress("reading", 0, 0);
  while ((row = import_feed_next(&feed)) != NULL || !feed.ended) {
    if (row != NULL)
      import_funds_add(&import->funds, row);
    import_row_free(row);
    if (feed.lines % 1024u == 0)
      cli_progress("reading", feed.lines, 0);
  }
  cli_progress_end();
  bool ok = !feed.too_large && !import_source_failed(&import->source);
  import_feed_deinit(&feed);
  import->map.cut_count = cut_count;
  import->map.cut_sum = cut_sum;
  if (!ok)
    return fail("the file cannot be read whole, or a group of --credits-first is too large", "");
  if (import->funds.overflow)
    return fail("--prefund: a sum of amounts leaves the 128-bit range", "");
  return import_source_rewind(&import->source) || fail("--prefund reads the file twice: ", "no -");
}

/* Counts what an import would send, without a store. */
static void dry_pass(struct import *import)
{
  struct import_row *row;
  struct import_report *report = &import->report;
  cli_progress("checking", 0, 0);
  while ((row = import_feed_next(&import->feed)) != NULL || !import->feed.ended) {
    if (row == NULL)
      continue;
    import_funds_add(&import->funds, row);
    if (row->to_user != NULL && strcmp(row->user, row->to_user) == 0 && row->type != 0)
      import_report_reject(report, row->line, HF_E_SELF_TRANSFER, "", row->raw, row->raw_size);
    else if (row->type != 0)
      import_report_done(report, row->type, false, row->amount, false);
    import_row_free(row);
    if (import->feed.lines % 1024u == 0)
      cli_progress("checking", import->feed.lines, 0);
  }
  cli_progress_end();
  report->users_created = import->funds.count;
}

/* Rows from bytes: what is read so far stands for the rest. */
static void show_progress(struct import *import)
{
  uint64_t lines = atomic_load(&import->run.lines_done);
  uint64_t bytes = atomic_load(&import->run.bytes_done);
  uint64_t total =
    bytes == 0 || import->source.bytes_total == 0
      ? 0
      : (uint64_t)((double)lines * (double)import->source.bytes_total / (double)bytes);
  cli_progress("importing", lines, total < lines ? lines : total);
}

/* ---- the runtime ----------------------------------------------------------------------------- */

static void on_escalate(void *arg, const char *why)
{
  struct import_run *run = arg;
  log_line(LOG_ERROR, "import", why);
  atomic_store(&run->stop, true);
}

/* Waits until the run has finished. A signal asks it to end early; a second one is deadly. */
static void wait_finished(struct import *import)
{
  sigset_t set;
  struct timespec pause = {.tv_nsec = POLL_NS};
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  show_progress(import);
  while (!atomic_load(&import->run.finished)) {
    if (sigtimedwait(&set, NULL, &pause) > 0) {
      atomic_store(&import->run.stop, true);
      signal(SIGINT, SIG_DFL);
      signal(SIGTERM, SIG_DFL);
      pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    }
    show_progress(import);
  }
  cli_progress_end();
}

static bool run(struct import *import, struct store_engine *engine)
{
  sigset_t set;
  struct import_run *work = &import->run;
  work->setup = &import->node.setup;
  work->map = &import->map;
  work->feed = &import->feed;
  work->funds = import->map.prefund != 0 ? &import->funds : NULL;
  work->report = &import->report;
  work->asset = import->map.users_only ? NULL : import->mapping.asset;
  work->make_asset = work->asset != NULL && !import->asset_exists;
  struct node_use use = {.front = &hf_import_class,
                         .loop_start = import_run_loop_start,
                         .escalate = on_escalate,
                         .arg = work};
  if (!node_init(&import->node, &import->options, engine, &use))
    return false;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &set, NULL); /* the loops inherit it */
  bool started = node_start(&import->node);
  if (started)
    wait_finished(import);
  else
    fail("cannot start the loops: ", strerror(errno));
  if (!node_stop(&import->node, DRAIN_US))
    log_line(LOG_WARNING, "import", "stopped before everything was answered");
  return started;
}

static void summarize(struct import *import, bool dry)
{
  char cut[IMPORT_CUT_TEXT_MAX];
  struct import_summary summary = {
    .asset = import->map.users_only ? NULL : import->mapping.asset,
    .scale = import->scale,
    .dry_run = dry,
    .stopped = atomic_load(&import->run.stop) || import->run.gave_up,
    .cut_count = import->map.cut_count,
    .cut_text = cut,
    .seconds = (double)(direct_wall_us() - import->started_us) * 1e-6,
  };
  import_map_cut_text(&import->map, cut);
  const struct import_fund *fund = NULL;
  const char *user;
  hf_amount amount;
  while (dry && (fund = import_funds_next_short(&import->funds, fund, &user, &amount)) != NULL) {
    summary.short_users++;
    if (!hf_amount_add(summary.short_sum, amount, &summary.short_sum))
      import->report.overflow = true;
  }
  import->report.lines = import->feed.lines;
  import->report.json = import->options.json;
  import_report_print(&import->report, &summary);
}

/* ---- the command ----------------------------------------------------------------------------- */

static int exit_code(struct import *import)
{
  if (import->run.asset_error != HF_OK)
    fail("the asset could not be made: ", hf_error_info(import->run.asset_error)->title);
  if (import->run.gave_up)
    fail("the store does not answer; run the same command again to go on", "");
  if (import->run.asset_error != HF_OK || import->run.gave_up)
    return EXIT_STORE;
  if (import->feed.too_large)
    fail("a group of --credits-first has over a million lines: nothing behind it was imported", "");
  else if (import_source_failed(&import->source))
    fail("the file could not be read to its end: ", import->path);
  else if (atomic_load(&import->run.stop))
    fail("stopped; run the same command again to go on", "");
  else if (import->report.rejected == 0 || import->mapping.allow_rejects != NULL)
    return EXIT_DONE;
  return EXIT_FOUND;
}

/* Everything after the options, with a store that is open or, for a dry run, may be missing. */
static int import_all(struct import *import, struct store_engine *engine)
{
  bool dry = import->mapping.dry_run != NULL;
  int code = EXIT_USAGE;
  if (!find_asset(import, engine) || !open_source(import) ||
      !import_map_init(&import->map, &import->mapping, import->path, import->scale,
                       direct_wall_us()) ||
      !import_map_bind(&import->map, &import->source) ||
      !import_report_open(&import->report, import->mapping.rejects))
    goto out;
  import->report.path = import->path;
  import->map.keep_raw = import->mapping.rejects != NULL;
  import_feed_init(&import->feed, &import->source, &import->map);
  import->feed.reject = on_reject;
  import->feed.arg = &import->report;
  if (!dry && import->map.prefund != 0 && !first_pass(import))
    goto out;
  if (dry) {
    dry_pass(import);
  } else {
    bool started = run(import, engine);
    engine = NULL; /* the node's, and closed with it */
    if (!started) {
      code = EXIT_STORE;
      goto out;
    }
  }
  summarize(import, dry);
  code = exit_code(import);
  if (!import_report_close(&import->report)) {
    fail("the file of rejects could not be written: ", import->mapping.rejects);
    code = EXIT_FOUND;
  }
out:
  if (engine != NULL)
    engine->ops->close(engine);
  return code;
}

static const char more[] =
  "Brings users and operations in from CSV (RFC 4180, with a header) or NDJSON. Every line goes\n"
  "through the same actors as a request and is counted when it is durable. Run it again after\n"
  "whatever happened: what is there already is counted apart, nothing is done twice.\n"
  "docs/IMPORT.md has a whole example.\n";

int cmd_import(int argc, char **argv)
{
  static struct import import; /* one per process; its address goes to the loops */
  struct option_extra extra[IMPORT_OPTION_COUNT + 1];
  import_options_extra(extra);
  int code = EXIT_USAGE;
  if (cli_help(argc, argv, "import FILE [options]", extra, more))
    return EXIT_DONE;
  if (!options_read(&import.options, "import", argc, argv, extra) ||
      !log_level_set(import.options.log_level))
    goto out;
  if (import.options.arguments_count != 1) {
    fprintf(stderr, "usage: holdfast import FILE [options]; see holdfast import --help\n");
    goto out;
  }
  import.path = import.options.arguments[0];
  import.started_us = direct_wall_us();
  if (!import_options_read(&import.mapping, extra, import.path) || !read_window(&import))
    goto out;
  struct store_engine *engine = NULL;
  if (import.mapping.dry_run == NULL) {
    engine = cli_open_store(&import.options, false);
    code = EXIT_STORE;
    if (engine == NULL)
      goto out;
  }
  code = import_all(&import, engine);
out:
  import_run_free(&import.run);
  import_feed_deinit(&import.feed);
  import_funds_free(&import.funds);
  import_map_deinit(&import.map);
  import_source_close(&import.source);
  import_options_free(&import.mapping);
  options_free(&import.options);
  return code;
}
