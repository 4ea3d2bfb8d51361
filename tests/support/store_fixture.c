/* store_fixture.c - see store_fixture.h. */
#include "tests/support/store_fixture.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "adapters/store_memory/store_memory.h"
#include "adapters/store_sqlite/store_sqlite.h"
#include "tests/support/port_engine.h"

struct store_engine *fixture_engine_memory(struct store_fixture *fixture)
{
  fixture->engine = store_memory_new(FIXTURE_PARTITION_BITS);
  return fixture->engine;
}

struct store_engine *fixture_engine_sqlite(struct store_fixture *fixture)
{
  const char *base = getenv("TMPDIR");
  char path[sizeof fixture->folder + 16], why[256] = "";
  struct store_sqlite_config config = {.path = path,
                                       .partition_bits = FIXTURE_PARTITION_BITS,
                                       .readers = 2,
                                       .cache_bytes = 8u << 20,
                                       .migrate = true};
  int size = snprintf(fixture->folder, sizeof fixture->folder, "%s/holdfast-store-XXXXXX",
                      base == NULL ? "/tmp" : base);

  assert_true(size > 0 && (size_t)size < sizeof fixture->folder);
  assert_non_null(mkdtemp(fixture->folder));
  (void)snprintf(path, sizeof path, "%s/store.db", fixture->folder);
  if (store_sqlite_open(&config, &fixture->engine, why) != HF_OK)
    fail_msg("the SQLite store does not open: %s", why);
  return fixture->engine;
}

/* ---- PostgreSQL ------------------------------------------------------------------------------ */

static struct pg_cluster *server;
static unsigned databases;

int fixture_server_start(void **state)
{
  (void)state;
  server = pg_cluster_new(NULL);
  return 0;
}

int fixture_server_stop(void **state)
{
  (void)state;
  pg_cluster_free(server);
  server = NULL;
  return 0;
}

struct pg_cluster *fixture_server(void)
{
  assert_non_null(server);
  return server;
}

void fixture_database(char ret_name[32])
{
  (void)snprintf(ret_name, 32, "store%u", databases++);
  pg_cluster_create_database(fixture_server(), ret_name);
}

struct store_postgres_config fixture_postgres_config(const char *dsn)
{
  return (struct store_postgres_config){.dsn = dsn,
                                        .replica_lag_us = 1000000,
                                        .partition_bits = FIXTURE_PARTITION_BITS,
                                        .commits = 1,
                                        .readers = 2,
                                        .connect_timeout_us = 5000000,
                                        .statement_timeout_us = 30000000,
                                        .lock_timeout_us = 1000000,
                                        .migrate = true};
}

struct store_engine *fixture_postgres_open(const struct store_postgres_config *config)
{
  struct store_engine *engine;
  char why[256] = "";

  if (store_postgres_open(config, &engine, why) != HF_OK)
    fail_msg("the PostgreSQL store does not open: %s", why);
  return engine;
}

struct store_engine *fixture_postgres_port(struct store_engine *engine,
                                           const struct store_postgres_config *config,
                                           unsigned loops)
{
  struct port_engine_config port = {.port = store_postgres_port_new(engine, config, loops),
                                    .partition_bits = FIXTURE_PARTITION_BITS,
                                    .loops = loops,
                                    .loop_begin = store_postgres_port_loop_begin,
                                    .loop_end = store_postgres_port_loop_end,
                                    .port_free = store_postgres_port_free};

  return port_engine_new(&port);
}

struct store_engine *fixture_engine_postgres(struct store_fixture *fixture)
{
  char dsn[PG_CLUSTER_DSN_SIZE];
  struct store_postgres_config config;

  fixture_database(fixture->database);
  pg_cluster_dsn(server, fixture->database, dsn);
  config = fixture_postgres_config(dsn);
  fixture->engine = fixture_postgres_open(&config);
  fixture->batches_of_opening = 1;
  return fixture->engine;
}

struct store_engine *fixture_engine_postgres_port(struct store_fixture *fixture)
{
  struct store_postgres_config config = fixture_postgres_config("");

  fixture->engine = fixture_postgres_port(fixture_engine_postgres(fixture), &config, 2);
  return fixture->engine;
}

/* ---- fixtures -------------------------------------------------------------------------------- */

static void folder_remove(const char *folder)
{
  DIR *listing = opendir(folder);

  assert_non_null(listing);
  for (const struct dirent *file = readdir(listing); file != NULL; file = readdir(listing)) {
    char path[1024];

    if (strcmp(file->d_name, ".") == 0 || strcmp(file->d_name, "..") == 0)
      continue;
    (void)snprintf(path, sizeof path, "%s/%s", folder, file->d_name);
    assert_int_equal(unlink(path), 0);
  }
  (void)closedir(listing);
  assert_int_equal(rmdir(folder), 0);
}

void fixture_engine_close(struct store_fixture *fixture)
{
  fixture->engine->ops->close(fixture->engine);
  fixture->engine = NULL;
  if (fixture->folder[0] != '\0')
    folder_remove(fixture->folder);
  fixture->folder[0] = '\0';
}

static int setup(void **state, struct store_engine *(*open)(struct store_fixture *fixture))
{
  struct store_fixture *fixture = rt_alloc(sizeof *fixture);

  *state = fixture;
  world_init(&fixture->world, open(fixture));
  return 0;
}

int fixture_setup_memory(void **state)
{
  return setup(state, fixture_engine_memory);
}

int fixture_setup_sqlite(void **state)
{
  return setup(state, fixture_engine_sqlite);
}

int fixture_setup_postgres(void **state)
{
  return setup(state, fixture_engine_postgres);
}

int fixture_setup_postgres_port(void **state)
{
  return setup(state, fixture_engine_postgres_port);
}

int fixture_teardown(void **state)
{
  struct store_fixture *fixture = *state;

  world_deinit(&fixture->world);
  fixture_engine_close(fixture);
  rt_free(fixture);
  return 0;
}
