/* hfbench - load generator for Holdfast: set-up, one measured run, one result.
 *
 * Happy path: options -> address -> users (from a file or created and funded) -> pre-built requests
 * -> threads -> result. Every failure before the result ends the process with status 1. */
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "fail.h"
#include "moment.h"
#include "options.h"
#include "output.h"
#include "runner.h"
#include "setup.h"
#include "users.h"
#include "workload.h"

/* Takes "http://host:port" apart; the host part as it stands goes to ret_host. */
static void address_find(const char *target, struct generator_plan *plan, char *ret_host,
                         size_t host_room)
{
  const char *scheme = "http://";
  if (strncmp(target, scheme, strlen(scheme)) != 0)
    fail("%s: not http://HOST:PORT", target);
  const char *host = target + strlen(scheme);
  size_t size = strcspn(host, "/");
  const char *colon = memchr(host, ':', size);
  if (colon == NULL || size >= host_room || colon == host)
    fail("%s: not http://HOST:PORT", target);
  memcpy(ret_host, host, size);
  ret_host[size] = '\0';
  char name[256], port[16];
  snprintf(name, sizeof name, "%.*s", (int)(colon - host), host);
  snprintf(port, sizeof port, "%.*s", (int)(size - (size_t)(colon - host) - 1), colon + 1);
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
  int status = getaddrinfo(name, port, &hints, &found);
  if (status != 0)
    fail("%s: %s", target, gai_strerror(status));
  memcpy(&plan->address, found->ai_addr, found->ai_addrlen);
  plan->address_size = found->ai_addrlen;
  freeaddrinfo(found);
}

static enum choice_kind choice_parse(const char *text)
{
  static const char *const names[] = {"uniform", "zipf", "hot", "each"};
  for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
    if (strcmp(text, names[i]) == 0)
      return (enum choice_kind)i;
  fail("--choice: %s is not uniform, zipf, hot or each", text);
}

static void files_limit_raise(unsigned connections)
{
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= connections + 64ull)
    return;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < connections + 64ull)
    fail("only %llu files may be open: too few for %u connections",
         (unsigned long long)limit.rlim_cur, connections);
}

static void users_prepare(const struct options *options, const struct setup_config *setup,
                          struct users *users, struct output_setup *rates)
{
  size_t count = (size_t)options->users;
  if (options->path != NULL)
    return;
  if (options->users_file != NULL) {
    users_read(users, options->users_file, count);
    return;
  }
  setup_asset(setup);
  rates->users_per_s = setup_users(setup, count, users);
  if (options->users_out != NULL)
    users_write(users, options->users_out);
  if (strcmp(options->fund, "0") != 0)
    rates->grants_per_s = setup_fund(setup, users, options->fund);
}

static void workload_configure(const struct options *options, const char *host,
                               struct workload_config *config)
{
  *config = (struct workload_config){
    .host = host,
    .access_key = options->key,
    .asset = options->asset,
    .amount = options->amount,
    .fixed_path = options->path,
    .refusals = options->refusals,
    .batch = (unsigned)options->batch,
    .choice = choice_parse(options->choice),
    .seed = (uint64_t)options->seed,
  };
  if (!workload_mix_parse(options->mix, &config->mix))
    fail("--mix: %s is not a list of kinds with weights; see --help", options->mix);
  if (config->mix.shares[OP_HOLD] > 0.0 && (options->pipeline > 1.0))
    fail("--mix hold needs --pipeline 1: a capture carries the id of the hold before it");
  if (strcmp(options->arrivals, "poisson") != 0 && strcmp(options->arrivals, "fixed") != 0)
    fail("--arrivals: %s is not fixed or poisson", options->arrivals);
}

static void load_run(const struct options *options, const struct workload_config *config,
                     const struct users *users, struct runner_config *runner, uint64_t run,
                     struct runner_result *ret_result)
{
  struct workload_plan *plan = fail_calloc(1, sizeof *plan);
  workload_plan_init(plan, config, users);
  struct workload *workloads = fail_calloc(runner->threads, sizeof workloads[0]);
  struct script *scripts = fail_calloc(runner->threads, sizeof scripts[0]);
  for (unsigned i = 0; i < runner->threads; i++) {
    workload_init(&workloads[i], plan, runner_connections_of(runner, i), i, runner->threads, run);
    scripts[i] = workload_script(&workloads[i]);
  }
  runner->label = options->path != NULL ? options->path : options->mix;
  runner_run(runner, scripts, ret_result);
  for (unsigned i = 0; i < runner->threads; i++)
    workload_deinit(&workloads[i]);
  free(workloads);
  free(scripts);
  workload_plan_deinit(plan);
  free(plan);
}

int main(int count, char **arguments)
{
  struct options options;
  options_parse(count, arguments, &options);
  signal(SIGPIPE, SIG_IGN);
  struct process_set servers = {0}, stores = {0};
  if (options.store_pid != NULL && !process_set_parse(options.store_pid, &stores))
    fail("--store-pid: %s is not a list of process ids", options.store_pid);
  if (options.server_pid != NULL && !process_set_parse(options.server_pid, &servers))
    fail("--server-pid: %s is not a list of process ids", options.server_pid);
  struct runner_config runner = {
    .threads = (unsigned)options.threads,
    .servers = &servers,
    .stores = &stores,
    .warmup_ns = (uint64_t)(options.warmup * 1e9),
    .duration_ns = (uint64_t)(options.duration * 1e9),
  };
  runner.plan.connections = (unsigned)options.connections;
  runner.plan.pipeline = (unsigned)options.pipeline;
  runner.plan.rate_per_s = options.rate;
  runner.plan.poisson = strcmp(options.arrivals, "poisson") == 0;
  runner.plan.seed = (uint64_t)options.seed;
  if (runner.plan.connections < runner.threads)
    fail("--connections: fewer than --threads");
  files_limit_raise(runner.plan.connections);
  char host[256];
  address_find(options.target, &runner.plan, host, sizeof host);
  struct workload_config config;
  workload_configure(&options, host, &config);

  /* Keys and external ids must be new to the server in every run. */
  uint64_t run = moment_now_ns() / MOMENT_US ^ (uint64_t)getpid() << 20;
  run = random_next(&(struct random){.state = run | 1}) >> 20 & 0x7fffffffu;
  struct setup_config setup = {.address = runner.plan,
                               .host = host,
                               .access_key = options.key,
                               .asset = options.asset,
                               .scale = (unsigned)options.scale,
                               .servers = &servers,
                               .run = run};
  setup.address.rate_per_s = 0.0;
  struct users users = {0};
  struct output_setup rates = {0};
  users_prepare(&options, &setup, &users, &rates);
  struct runner_result *result = fail_calloc(1, sizeof *result);
  load_run(&options, &config, &users, &runner, run, result);
  if (options.json)
    output_json(&options, result, &rates);
  else
    output_table(&options, result, &rates);
  const struct generator_result *totals = &result->totals;
  if (totals->unexpected_status != 0)
    fprintf(stderr, "hfbench: first unexpected reply: %u %s\n", totals->unexpected_status,
            totals->unexpected_body);
  bool clean = totals->unexpected_status == 0 && totals->broken == 0 && totals->bad_replies == 0 &&
               totals->unanswered == 0;
  users_deinit(&users);
  free(result);
  return clean ? 0 : 2;
}
