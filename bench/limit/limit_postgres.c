/* limit_postgres - R: how many rows per second PostgreSQL takes from a plain loop.
 *
 * What the server would send for a commit, the adapter's own statements with the adapter's own
 * binary arguments, is made beforehand by the adapter's own code and then sent through libpq by one
 * thread per connection, one pipelined round and one Sync per commit, as the server does it.
 * Nothing else is done in the measured time.
 *
 * pgbench has no binary array parameters. --pgbench writes the same arguments into tables and a
 * script for it, in which each parameter is a look-up there: the same statements, at the price of
 * the look-ups. This program's own figure is the harder comparison.
 *
 * usage: limit_postgres --dsn DSN [--batch N] [--users N] [--connections N]
 *                       [--seconds S | --pgbench FILE --commits N]
 * The database must be empty. Prints one JSON object; with --pgbench nothing, and the script is for
 * as many clients as connections with N transactions each: -M prepared -c .. -t N -D turn=0. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/store_postgres/store_postgres.h"
#include "bench/limit/common/limit_pgbench.h"
#include "bench/limit/common/limit_round.h"

#define CONNECTIONS_MAX 16u
#define ROWS_PER_S 200000.0 /* more than any connection was ever seen to take: rounds to prepare */
#define ROWS_BYTES_MAX 2e9  /* of prepared rounds, all connections together */
#define ROW_BYTES 300.0

struct options {
  const char *dsn;
  const char *script; /* NULL: measure here */
  unsigned long batch, users, connections, commits;
  double seconds;
};

struct share {
  struct limit limit;
  struct limit_round *rounds;
  size_t count;
  PGconn *connection;
  pthread_t thread;
  size_t done;
};

/* The clock of the measured time: set by main before `go`, which pairs with the barrier. */
struct loop {
  pthread_barrier_t go;
  double end_s;
  _Atomic double first_out_s; /* when a share had nothing left to send; 0: none had */
  const struct options *options;
};
static struct loop loop;

/* ---- preparing ------------------------------------------------------------------------------- */

static void share_prepare(struct share *share, size_t commits, const struct pg_database *database)
{
  struct pg_round round;
  pg_round_init(&round);
  share->rounds = calloc(commits, sizeof share->rounds[0]);
  if (share->rounds == NULL)
    limit_fail("memory", "out");
  for (; share->count < commits; share->count++)
    limit_round_make(&share->limit, loop.options->batch, database, &round,
                     &share->rounds[share->count]);
  pg_round_deinit(&round);
}

static void share_connect(struct share *share)
{
  share->connection = PQconnectdb(loop.options->dsn);
  if (PQstatus(share->connection) != CONNECTION_OK)
    limit_fail("connecting", PQerrorMessage(share->connection));
  limit_round_prepare(share->connection, &share->rounds[0]);
}

static void pipeline_enter(struct share *share)
{
  if (PQenterPipelineMode(share->connection) != 1)
    limit_fail("pipeline", PQerrorMessage(share->connection));
}

/* ---- the loop -------------------------------------------------------------------------------- */

static void *share_main(void *argument)
{
  struct share *share = argument;
  pthread_barrier_wait(&loop.go); /* connected */
  pthread_barrier_wait(&loop.go); /* the clock is set */
  while (share->done < share->count && limit_now_s() < loop.end_s)
    limit_round_run(share->connection, &share->rounds[share->done++]);
  double none = 0.0;
  if (share->done == share->count)
    atomic_compare_exchange_strong(&loop.first_out_s, &none, limit_now_s());
  return NULL;
}

static void measure(struct share *shares)
{
  const struct options *options = loop.options;
  unsigned count = (unsigned)options->connections;
  size_t commits = 0;
  pthread_barrier_init(&loop.go, NULL, count + 1);
  for (unsigned i = 0; i < count; i++)
    pipeline_enter(&shares[i]);
  for (unsigned i = 0; i < count; i++)
    if (pthread_create(&shares[i].thread, NULL, share_main, &shares[i]) != 0)
      limit_fail("threads", "none left");
  pthread_barrier_wait(&loop.go);
  double start_s = limit_now_s();
  loop.end_s = start_s + options->seconds;
  pthread_barrier_wait(&loop.go);
  for (unsigned i = 0; i < count; i++) {
    pthread_join(shares[i].thread, NULL);
    commits += shares[i].done;
  }
  double spent_s = limit_now_s() - start_s;
  if (atomic_load(&loop.first_out_s) > 0.0)
    limit_fail("too few commits were prepared", "this database is faster than expected");
  printf("{\"rows_per_s\":%.1f,\"commits_per_s\":%.1f,\"batch\":%lu,\"users\":%lu,"
         "\"connections\":%u,\"rows\":%zu,\"seconds\":%.3f}\n",
         (double)(commits * options->batch) / spent_s, (double)commits / spent_s, options->batch,
         options->users, count, commits * (size_t)options->batch, spent_s);
  pthread_barrier_destroy(&loop.go);
}

/* For pgbench: the same rounds as rows of a table each, and a script that reads them. */
static void stage(struct share *shares)
{
  limit_pgbench_begin(shares[0].connection, loop.options->script, &shares[0].rounds[0]);
  for (unsigned i = 0; i < loop.options->connections; i++)
    for (size_t turn = 0; turn < shares[i].count; turn++)
      limit_pgbench_add(shares[0].connection, i, turn + 1, &shares[i].rounds[turn]);
  limit_pgbench_end(shares[0].connection, &shares[0].rounds[0]);
}

static size_t commits_wanted(const struct options *options)
{
  double rows = ROWS_PER_S * options->seconds / (double)options->connections;
  double rows_max = ROWS_BYTES_MAX / ROW_BYTES / (double)options->connections;
  if (options->commits > 0)
    return options->commits;
  return (size_t)((rows < rows_max ? rows : rows_max) / (double)options->batch) + 2u;
}

static struct options options_parse(int count, char **arguments)
{
  struct options options = {.batch = 128, .users = 10000, .connections = 2, .seconds = 3.0};
  for (int i = 1; i < count; i += 2) {
    const char *name = arguments[i], *value = i + 1 < count ? arguments[i + 1] : NULL;
    if (strcmp(name, "--dsn") == 0 && value != NULL)
      options.dsn = value;
    else if (strcmp(name, "--batch") == 0)
      options.batch = (unsigned long)limit_number(name, value, 1, LIMIT_BATCH_MAX);
    else if (strcmp(name, "--users") == 0)
      options.users = (unsigned long)limit_number(name, value, 1, LIMIT_USERS_MAX);
    else if (strcmp(name, "--connections") == 0)
      options.connections = (unsigned long)limit_number(name, value, 1, CONNECTIONS_MAX);
    else if (strcmp(name, "--seconds") == 0)
      options.seconds = limit_number(name, value, 0.1, 60);
    else if (strcmp(name, "--pgbench") == 0 && value != NULL)
      options.script = value;
    else if (strcmp(name, "--commits") == 0)
      options.commits = (unsigned long)limit_number(name, value, 1, 1e6);
    else
      limit_fail(name, "unknown; usage: --dsn DSN [--batch N] [--users N] [--connections N] "
                       "[--seconds S | --pgbench FILE --commits N]");
  }
  if ((options.script == NULL) != (options.commits == 0))
    limit_fail("--pgbench", "goes with --commits");
  if (options.dsn == NULL)
    limit_fail("--dsn", "missing");
  return options;
}

int main(int count, char **arguments)
{
  static struct share shares[CONNECTIONS_MAX];
  struct options options = options_parse(count, arguments);
  loop.options = &options;
  struct store_postgres_config config = {.dsn = options.dsn,
                                         .migrate = true,
                                         .commits = 1,
                                         .readers = 1,
                                         .partition_bits = HF_PARTITION_BITS_DEFAULT,
                                         .connect_timeout_us = 5000000,
                                         .statement_timeout_us = 30000000,
                                         .lock_timeout_us = 10000000};
  struct store_engine *engine = NULL;
  char why[256] = "";
  if (store_postgres_open(&config, &engine, why) != HF_OK)
    limit_fail("--dsn", why);
  struct pg_database database = {.partition_bits = engine->partition_bits};
  size_t commits = commits_wanted(&options);
  for (unsigned i = 0; i < options.connections; i++) {
    limit_init(&shares[i].limit, engine, i, (unsigned)options.connections, options.users, false);
    share_prepare(&shares[i], commits, &database);
  }
  engine->ops->close(engine);
  for (unsigned i = 0; i < options.connections; i++)
    share_connect(&shares[i]);
  if (options.script != NULL)
    stage(shares);
  else
    measure(shares);
  for (unsigned i = 0; i < options.connections; i++) {
    PQfinish(shares[i].connection);
    for (size_t k = 0; k < shares[i].count; k++)
      limit_round_free(&shares[i].rounds[k]);
    free(shares[i].rounds);
    limit_deinit(&shares[i].limit);
  }
  return 0;
}
