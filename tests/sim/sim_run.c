/* ctest: timeout=600
 * sim_run: runs seeds. See `usage`; without --nodes each seed draws 1 to 5 of them.
 *
 * Workers are processes, each with every N-th seed, so that one that is ended by a CHECK names its
 * seed; the outcome, and the hash over all traces, is the same for any number of them. The last
 * line is "seeds K ok trace <hex>", or names the first seed that fails and how to run it again. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/sim.h"

#define JOBS_MAX 64u
#define FRESH_MAX 1000000000u /* a fresh seed is below: easy to type */

struct options {
  uint64_t seed, seeds, ops, nodes, jobs;
  uint64_t seconds; /* no seed is begun later; 0: no bound */
  const char *list; /* a file of seeds that run first */
  bool verbose;
};

struct result { /* of one seed, or that it begins; written whole, because it is small */
  uint64_t index, trace;
  uint32_t worker;
  bool begins;
  char failure[256];
};

struct run {
  struct options options;
  uint64_t *seeds;
  uint64_t seeds_count;
  time_t end;
};

static const char usage[] =
  "usage: sim_run [--seed N] [--seeds K] [--ops M] [--nodes N] [--jobs J] [--verbose]\n"
  "               [--list FILE] [--seconds S] [--minutes M] [--fresh]\n"
  "  --seed N     the first seed (1); --fresh: a random one\n"
  "  --seeds K    how many (1)\n"
  "  --list FILE  before them, the seeds that the file names, one a line\n"
  "  --seconds S  begin no seed later than that; --minutes M likewise\n"
  "  --jobs J     processes (1); --verbose runs in this one\n";

/* ---- one seed -------------------------------------------------------------------------------- */

static void run_one(const struct run *run, uint64_t index, struct result *ret_result)
{
  const struct options *options = &run->options;
  char failure[512];
  uint64_t seed = run->seeds[index];
  unsigned ops = (unsigned)options->ops, nodes = (unsigned)options->nodes;
  *ret_result = (struct result){.index = index};
  ret_result->trace = sim_world_run(seed, ops, nodes, options->verbose, failure);
  /* One in fifty runs twice: the same seed must take the same way. */
  if (failure[0] == '\0' && seed % 50u == 1u &&
      sim_world_run(seed, ops, nodes, false, failure) != ret_result->trace && failure[0] == '\0')
    snprintf(failure, sizeof failure, "the same seed took another way");
  snprintf(ret_result->failure, sizeof ret_result->failure, "%.255s", failure);
}

static bool is_over(const struct run *run)
{
  return run->end != 0 && time(NULL) >= run->end;
}

/* ---- workers --------------------------------------------------------------------------------- */

static void tell(int pipe_end, const struct result *result)
{
  if (write(pipe_end, result, sizeof *result) != (ssize_t)sizeof *result)
    _exit(1); /* nobody listens any more */
}

static void work(const struct run *run, unsigned worker, int pipe_end)
{
  struct result result = {.worker = worker, .begins = true};
  for (uint64_t i = worker; i < run->seeds_count && !is_over(run); i += run->options.jobs) {
    result = (struct result){.index = i, .worker = worker, .begins = true};
    tell(pipe_end, &result);
    run_one(run, i, &result);
    result.worker = worker;
    tell(pipe_end, &result);
    if (result.failure[0] != '\0')
      break;
  }
}

struct outcome {
  struct {
    uint64_t trace;
    bool done;
  } * seeds;             /* by index */
  uint64_t done, failed; /* failed: the index of the first, or UINT64_MAX */
  uint64_t begun[JOBS_MAX];
  char failure[256];
};

static void outcome_fail(struct outcome *outcome, uint64_t index, const char *why)
{
  if (index >= outcome->failed)
    return;
  outcome->failed = index;
  snprintf(outcome->failure, sizeof outcome->failure, "%s", why);
}

static void progress(const struct run *run, const struct outcome *outcome)
{
  if (isatty(STDOUT_FILENO) == 0)
    return;
  printf("\r\x1b[K%llu of %llu seeds", (unsigned long long)outcome->done,
         (unsigned long long)run->seeds_count);
  if (run->end != 0)
    printf(", %lld s left", (long long)(run->end - time(NULL)));
  (void)fflush(stdout);
}

static void take(const struct run *run, struct outcome *outcome, const struct result *result)
{
  outcome->begun[result->worker] = result->begins ? result->index : UINT64_MAX;
  if (result->begins)
    return;
  outcome->seeds[result->index].trace = result->trace;
  outcome->seeds[result->index].done = true;
  outcome->done++;
  if (result->failure[0] != '\0')
    outcome_fail(outcome, result->index, result->failure);
  progress(run, outcome);
}

/* Nobody works on a seed before the first that failed. */
static bool is_decided(const struct outcome *outcome)
{
  for (uint64_t i = 0; i < outcome->failed && outcome->failed != UINT64_MAX; i++)
    if (!outcome->seeds[i].done)
      return false;
  return outcome->failed != UINT64_MAX;
}

static void collect(const struct run *run, struct outcome *outcome, int pipe_end,
                    const pid_t *workers)
{
  struct result result;
  for (;;) {
    ssize_t size = read(pipe_end, &result, sizeof result);
    if (size < 0 && errno == EINTR)
      continue;
    if (size != (ssize_t)sizeof result)
      break;
    take(run, outcome, &result);
    if (is_decided(outcome))
      for (unsigned i = 0; i < run->options.jobs; i++)
        (void)kill(workers[i], SIGKILL);
  }
}

/* What ended a worker is the failure of the seed that it had begun. */
static void bury(const struct run *run, struct outcome *outcome, const pid_t *workers)
{
  bool decided = is_decided(outcome);
  for (unsigned i = 0; i < run->options.jobs; i++) {
    int status = 0;
    char why[80];
    if (waitpid(workers[i], &status, 0) != workers[i] || status == 0 || decided)
      continue;
    snprintf(why, sizeof why, "its process ended with %s %d",
             WIFSIGNALED(status) ? "signal" : "code",
             WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    outcome_fail(outcome, outcome->begun[i] == UINT64_MAX ? i : outcome->begun[i], why);
  }
}

static bool run_workers(const struct run *run, struct outcome *outcome)
{
  int ends[2];
  pid_t workers[JOBS_MAX];
  (void)fflush(stdout);
  if (pipe(ends) != 0)
    return false;
  for (unsigned i = 0; i < run->options.jobs; i++) {
    outcome->begun[i] = UINT64_MAX;
    workers[i] = fork();
    if (workers[i] < 0)
      return false;
    if (workers[i] > 0)
      continue;
    (void)close(ends[0]);
    work(run, i, ends[1]);
    (void)close(ends[1]);
    exit(0); /* the leak checker looks */
  }
  (void)close(ends[1]);
  collect(run, outcome, ends[0], workers);
  bury(run, outcome, workers);
  (void)close(ends[0]);
  return true;
}

static bool run_here(const struct run *run, struct outcome *outcome)
{
  struct result result;
  for (uint64_t i = 0; i < run->seeds_count && outcome->failed == UINT64_MAX && !is_over(run);
       i++) {
    run_one(run, i, &result);
    take(run, outcome, &result);
  }
  return true;
}

/* ---- all of them ----------------------------------------------------------------------------- */

static int report(const struct run *run, const struct outcome *outcome)
{
  uint64_t trace = 0;
  if (isatty(STDOUT_FILENO) != 0)
    printf("\r\x1b[K");
  if (outcome->failed != UINT64_MAX) {
    uint64_t seed = run->seeds[outcome->failed];
    printf("seed %llu FAILED: %s\nagain: ./dev sim --seed %llu --ops %llu --nodes %llu --verbose\n",
           (unsigned long long)seed, outcome->failure, (unsigned long long)seed,
           (unsigned long long)run->options.ops, (unsigned long long)run->options.nodes);
    return 1;
  }
  for (uint64_t i = 0; i < run->seeds_count; i++)
    if (outcome->seeds[i].done)
      trace = (trace << 1 | trace >> 63) ^ outcome->seeds[i].trace;
  printf("seeds %llu ok trace %016llx\n", (unsigned long long)outcome->done,
         (unsigned long long)trace);
  return 0;
}

static bool list_read(struct run *run)
{
  char line[256];
  FILE *file = fopen(run->options.list, "r");
  if (file == NULL)
    return false;
  while (fgets(line, sizeof line, file) != NULL) {
    if (line[0] < '0' || line[0] > '9')
      continue;
    run->seeds = rt_realloc(run->seeds, (run->seeds_count + 1u) * sizeof *run->seeds);
    run->seeds[run->seeds_count++] = strtoull(line, NULL, 10);
  }
  (void)fclose(file);
  return true;
}

static bool seeds_make(struct run *run)
{
  const struct options *options = &run->options;
  uint64_t first = options->seed;
  if (first == UINT64_MAX) {
    if (getrandom(&first, sizeof first, 0) != (ssize_t)sizeof first)
      return false;
    first %= FRESH_MAX;
    printf("fresh seeds from %llu\n", (unsigned long long)first);
  }
  if (options->list != NULL && !list_read(run))
    return false;
  run->seeds =
    rt_realloc(run->seeds, (run->seeds_count + options->seeds + 1u) * sizeof *run->seeds);
  for (uint64_t i = 0; i < options->seeds; i++)
    run->seeds[run->seeds_count++] = first + i;
  return true;
}

static bool option_number(struct options *options, const char *name, uint64_t value)
{
  if (strcmp(name, "--seed") == 0)
    options->seed = value;
  else if (strcmp(name, "--seeds") == 0)
    options->seeds = value;
  else if (strcmp(name, "--ops") == 0)
    options->ops = value;
  else if (strcmp(name, "--nodes") == 0)
    options->nodes = value;
  else if (strcmp(name, "--jobs") == 0)
    options->jobs = value;
  else if (strcmp(name, "--seconds") == 0)
    options->seconds = value;
  else if (strcmp(name, "--minutes") == 0)
    options->seconds = 60u * value;
  else
    return false;
  return true;
}

static bool options_read(struct options *options, int argc, char **argv)
{
  for (int i = 1; i < argc; i++) {
    char *end = NULL;
    if (strcmp(argv[i], "--verbose") == 0) {
      options->verbose = true;
    } else if (strcmp(argv[i], "--fresh") == 0) {
      options->seed = UINT64_MAX;
    } else if (i + 1 < argc && strcmp(argv[i], "--list") == 0) {
      options->list = argv[++i];
    } else {
      uint64_t value = i + 1 < argc ? strtoull(argv[i + 1], &end, 0) : 0;
      if (end == NULL || *end != '\0' || !option_number(options, argv[i++], value))
        return false;
    }
  }
  return options->nodes <= SIM_NODES_MAX && options->jobs >= 1 && options->jobs <= JOBS_MAX &&
         options->ops >= 1 && options->ops <= 100000 && options->seeds <= 100000000;
}

int main(int argc, char **argv)
{
  struct run run = {.options = {.seed = 1, .seeds = 1, .ops = 400, .jobs = 1}};
  if (!options_read(&run.options, argc, argv)) {
    fputs(usage, stderr);
    return 2;
  }
  if (!seeds_make(&run)) {
    perror("sim_run");
    return 2;
  }
  if (run.options.seconds > 0)
    run.end = time(NULL) + (time_t)run.options.seconds;
  struct outcome outcome = {.failed = UINT64_MAX};
  outcome.seeds = rt_alloc((run.seeds_count + 1u) * sizeof *outcome.seeds);
  int code = 2;
  if (run.options.verbose ? run_here(&run, &outcome) : run_workers(&run, &outcome))
    code = report(&run, &outcome);
  else
    perror("sim_run");
  rt_free(outcome.seeds);
  rt_free(run.seeds);
  return code;
}
