/* ctest: timeout=600
 * sim_run: runs seeds. See `usage`; without --nodes each seed draws 1 to 5 of them.
 *
 * Workers are processes, each with every N-th seed, and each seed has one of its own: what is ended
 * by a CHECK names its seed, and the leak checker looks at every seed that has no crash. The
 * outcome, and the hash over all traces, is the same for any number of them. The last line is
 * "seeds K ok trace <hex>", or names the first seed that fails and how to run it again. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/sim.h"

#define JOBS_MAX 64u
#define OPS_MAX 100000u
#define SEEDS_MAX 100000000u
#define FRESH_MAX 1000000000u /* a fresh seed is below: easy to type */

struct options {
  uint64_t seed, seeds, ops, nodes, jobs;
  uint64_t seconds; /* no seed is begun later; 0: no bound */
  const char *list; /* a file of seeds that run first */
  bool fresh, verbose;
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
  "  --ops M      requests of one node (400); --nodes N (0: drawn)\n"
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

/* In a process of its own, which ends with the worker. Not 0: what it ended with. */
static int work_one(const struct run *run, uint64_t index, unsigned worker, int pipe_end)
{
  struct result result;
  int status = 0;
  pid_t pid = fork();
  if (pid == 0) {
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    run_one(run, index, &result);
    result.worker = worker;
    tell(pipe_end, &result);
    exit(result.failure[0] == '\0' ? 0 : 1); /* the leak checker looks */
  }
  while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return pid > 0 ? status : 1;
}

static int work(const struct run *run, unsigned worker, int pipe_end)
{
  for (uint64_t i = worker; i < run->seeds_count && !is_over(run); i += run->options.jobs) {
    struct result result = {.index = i, .worker = worker, .begins = true};
    tell(pipe_end, &result);
    int status = work_one(run, i, worker, pipe_end);
    if (status != 0)
      return status;
  }
  return 0;
}

/* Ends as the seed's process did. */
static void work_end(int status)
{
  if (WIFSIGNALED(status))
    (void)raise(WTERMSIG(status));
  _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
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
  outcome->begun[result->worker] = result->index;
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

/* What ended a worker is the failure of the seed that it had begun last. */
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
    work_end(work(run, i, ends[1]));
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
  if (outcome->done == 0) {
    fputs("sim_run: no seed was run\n", stderr);
    return 2;
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
  if (file == NULL) {
    fprintf(stderr, "sim_run: %s: %s\n", run->options.list, strerror(errno));
    return false;
  }
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
  if (options->fresh) {
    if (getrandom(&first, sizeof first, 0) != (ssize_t)sizeof first) {
      perror("sim_run");
      return false;
    }
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

struct number_option {
  const char *name;
  uint64_t least, most;
  uint64_t *value;
  uint64_t factor;
};

/* Digits alone: no sign, no blank, nothing behind them. */
static bool number_read(const char *text, uint64_t *ret_value)
{
  char *end = NULL;
  errno = 0;
  *ret_value = strtoull(text, &end, 10);
  return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0;
}

static bool number_take(const struct number_option *option, const char *text)
{
  uint64_t value;
  if (text == NULL || !number_read(text, &value) || value < option->least || value > option->most) {
    fprintf(stderr, "sim_run: %s takes a number from %llu to %llu, not '%s'\n", option->name,
            (unsigned long long)option->least, (unsigned long long)option->most,
            text == NULL ? "" : text);
    return false;
  }
  *option->value = value * option->factor;
  return true;
}

/* Each flag that has a value takes two words. 0: it is wrong, which was said. */
static int option_read(struct options *options, const char *name, const char *value)
{
  const struct number_option numbers[] = {
    {"--seed", 0, UINT64_MAX - SEEDS_MAX - 1u, &options->seed, 1},
    {"--seeds", 0, SEEDS_MAX, &options->seeds, 1},
    {"--ops", 1, OPS_MAX, &options->ops, 1},
    {"--nodes", 0, SIM_NODES_MAX, &options->nodes, 1},
    {"--jobs", 1, JOBS_MAX, &options->jobs, 1},
    {"--seconds", 1, INT32_MAX, &options->seconds, 1},
    {"--minutes", 1, INT32_MAX / 60, &options->seconds, 60},
  };
  for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++)
    if (strcmp(name, numbers[i].name) == 0)
      return number_take(&numbers[i], value) ? 2 : 0;
  if (strcmp(name, "--list") == 0 && value != NULL) {
    options->list = value;
    return 2;
  }
  if (strcmp(name, "--list") == 0)
    fputs("sim_run: --list takes the name of a file\n", stderr);
  else
    fprintf(stderr, "sim_run: there is no option '%s'\n", name);
  return 0;
}

static bool options_read(struct options *options, int argc, char **argv)
{
  for (int i = 1; i < argc;) {
    int taken = 1;
    if (strcmp(argv[i], "--verbose") == 0)
      options->verbose = true;
    else if (strcmp(argv[i], "--fresh") == 0)
      options->fresh = true;
    else
      taken = option_read(options, argv[i], i + 1 < argc ? argv[i + 1] : NULL);
    if (taken == 0)
      return false;
    i += taken;
  }
  return true;
}

int main(int argc, char **argv)
{
  struct run run = {.options = {.seed = 1, .seeds = 1, .ops = 400, .jobs = 1}};
  if (!options_read(&run.options, argc, argv)) {
    fputs(usage, stderr);
    return 2;
  }
  if (!seeds_make(&run)) {
    rt_free(run.seeds);
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
