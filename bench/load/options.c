#include "options.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "generator.h"
#include "runner.h"
#include "users.h"
#include "workload.h"

enum option_kind { OPTION_TEXT, OPTION_NUMBER, OPTION_FLAG };

struct option {
  const char *name;
  enum option_kind kind;
  size_t offset;
  double number, min, max; /* OPTION_NUMBER: default and range */
  const char *text;        /* OPTION_TEXT: default, may be NULL */
  const char *environment; /* where the default comes from when that is set, or NULL */
  const char *help;
};

#define TEXT(field, name, value, variable, prose)                                                  \
  {                                                                                                \
    name, OPTION_TEXT, offsetof(struct options, field), 0, 0, 0, value, variable, prose            \
  }
#define NUMBER(field, name, value, low, high, prose)                                               \
  {                                                                                                \
    name, OPTION_NUMBER, offsetof(struct options, field), value, low, high, NULL, NULL, prose      \
  }
#define FLAG(field, name, prose)                                                                   \
  {                                                                                                \
    name, OPTION_FLAG, offsetof(struct options, field), 0, 0, 0, NULL, NULL, prose                 \
  }

static const struct option table[] = {
  TEXT(target, "target", "http://127.0.0.1:8080", NULL, "http://HOST:PORT of the server"),
  TEXT(key, "key", "none", "HOLDFAST_ADMIN_KEY", "service key for Authorization: Bearer"),
  TEXT(server_pid, "server-pid", NULL, NULL, "process ids whose cost is measured, with commas"),
  TEXT(store_pid, "store-pid", NULL, NULL,
       "likewise of the database, each with its children: the postmaster of PostgreSQL"),
  NUMBER(connections, "connections", 64, 1, GENERATOR_CONNECTIONS_MAX, "connections in all"),
  NUMBER(pipeline, "pipeline", 1, 1, GENERATOR_PIPELINE_MAX, "requests in flight per connection"),
  NUMBER(threads, "threads", 1, 1, RUNNER_THREADS_MAX, "generator threads"),
  NUMBER(rate, "rate", 0, 0, 1e7, "open loop: requests per second; 0: closed loop"),
  TEXT(arrivals, "arrivals", "poisson", NULL, "open loop: fixed | poisson"),
  NUMBER(warmup, "warmup", 1, 0, 600, "seconds before the measured window"),
  NUMBER(duration, "duration", 5, 0.1, 3600, "seconds of the measured window"),
  TEXT(mix, "mix", "spend", NULL,
       "kinds with weights: grant, spend, transfer, hold (each followed by its capture), read; "
       "for example grant=1,spend=5,read=4"),
  NUMBER(batch, "batch", 1, 1, WORKLOAD_BATCH_MAX, "ops per request; 1: POST /v1/ops"),
  NUMBER(refusals, "refusals", 0, 0, 1, "share of the spends that must be refused for funds"),
  TEXT(choice, "choice", "uniform", NULL,
       "users: uniform | zipf (exponent 1.0) | hot (one) | each (all once, then the run ends)"),
  NUMBER(users, "users", 1000, 1, USERS_MAX, "users to create, or to take from --users-file"),
  TEXT(users_file, "users-file", NULL, NULL, "ids of existing users, one per line: no set-up"),
  TEXT(users_out, "users-out", NULL, NULL, "where set-up writes the ids"),
  TEXT(fund, "fund", "1000000", NULL, "what set-up grants to each user; 0: nothing"),
  TEXT(amount, "amount", "0.01", NULL, "amount of each op"),
  TEXT(asset, "asset", "COIN", NULL, "asset code"),
  NUMBER(scale, "scale", 8, 0, 18, "scale of the asset that set-up creates"),
  TEXT(path, "path", NULL, NULL, "GET this path only, for example against another server"),
  NUMBER(seed, "seed", 1, 0, 4294967295.0, "seed of all draws"),
  FLAG(json, "json", "print one JSON object instead of the table"),
  FLAG(help, "help", "print this"),
};
#define TABLE_COUNT (sizeof table / sizeof table[0])

static void help_print(void)
{
  puts("hfbench - load generator for Holdfast\n\n"
       "usage: hfbench [options]\n\n"
       "Without --users-file or --path it creates the asset and the users and funds them first.\n"
       "Status: 0 all replies as expected, 1 no measurement, 2 some replies were not.\n");
  for (size_t i = 0; i < TABLE_COUNT; i++) {
    const struct option *option = &table[i];
    printf("  --%-12s %s", option->name, option->help);
    if (option->kind == OPTION_NUMBER)
      printf(" (%g..%g, default %g)", option->min, option->max, option->number);
    else if (option->kind == OPTION_TEXT && option->text != NULL)
      printf(" (default %s%s)", option->environment != NULL ? "$" : "",
             option->environment != NULL ? option->environment : option->text);
    putchar('\n');
  }
}

static void default_set(const struct option *option, struct options *options)
{
  void *place = (char *)options + option->offset;
  if (option->kind == OPTION_NUMBER) {
    memcpy(place, &option->number, sizeof option->number);
  } else if (option->kind == OPTION_TEXT) {
    const char *text = option->environment != NULL ? getenv(option->environment) : NULL;
    text = text != NULL ? text : option->text;
    memcpy(place, &text, sizeof text);
  }
}

static void value_set(const struct option *option, const char *value, struct options *options)
{
  void *place = (char *)options + option->offset;
  if (option->kind == OPTION_TEXT) {
    memcpy(place, &value, sizeof value);
    return;
  }
  char *end = NULL;
  double number = strtod(value, &end);
  if (end == value || *end != '\0' || !(number >= option->min && number <= option->max))
    fail("--%s: %s is not a number of %g..%g", option->name, value, option->min, option->max);
  memcpy(place, &number, sizeof number);
}

static const struct option *option_find(const char *argument)
{
  for (size_t i = 0; i < TABLE_COUNT; i++)
    if (strncmp(argument, "--", 2) == 0 && strcmp(argument + 2, table[i].name) == 0)
      return &table[i];
  return NULL;
}

void options_parse(int count, char **arguments, struct options *ret_options)
{
  struct options options = {0};
  for (size_t i = 0; i < TABLE_COUNT; i++)
    default_set(&table[i], &options);
  for (int i = 1; i < count; i++) {
    const struct option *option = option_find(arguments[i]);
    if (option == NULL)
      fail("%s: unknown option; see --help", arguments[i]);
    if (option->kind == OPTION_FLAG) {
      bool on = true;
      memcpy((char *)&options + option->offset, &on, sizeof on);
      continue;
    }
    if (i + 1 == count)
      fail("%s needs a value", arguments[i]);
    value_set(option, arguments[++i], &options);
  }
  if (options.help) {
    help_print();
    exit(0);
  }
  *ret_options = options;
}
