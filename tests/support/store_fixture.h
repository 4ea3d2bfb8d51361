/* store_fixture.h - a fresh store engine of each kind with a world over it: cmocka's setup and
 * teardown. *state is a struct store_fixture. */
#ifndef HOLDFAST_TESTS_STORE_FIXTURE_H
#define HOLDFAST_TESTS_STORE_FIXTURE_H

#include "adapters/store_postgres/store_postgres.h"
#include "tests/support/pg_cluster.h"
#include "tests/support/store_world.h"

#define FIXTURE_PARTITION_BITS 2u

struct store_fixture {
  struct store_world world; /* over `engine` */
  struct store_engine *engine;
  char folder[256];            /* of the database; "": none */
  char database[32];           /* of PostgreSQL */
  unsigned batches_of_opening; /* that the store writes when a partition is opened, to fence it */
};

/* Engines without a world. The folder is made, and removed by fixture_engine_close. */
struct store_engine *fixture_engine_memory(struct store_fixture *fixture);
struct store_engine *fixture_engine_sqlite(struct store_fixture *fixture);
/* In a database of its own on a server that all fixtures of the process share. */
struct store_engine *fixture_engine_postgres(struct store_fixture *fixture);
/* The same through the port, on two loops. */
struct store_engine *fixture_engine_postgres_port(struct store_fixture *fixture);
void fixture_engine_close(struct store_fixture *fixture);

int fixture_setup_memory(void **state);
int fixture_setup_sqlite(void **state);
int fixture_setup_postgres(void **state);
int fixture_setup_postgres_port(void **state);
int fixture_teardown(void **state);

/* Group setup and teardown of a program that uses PostgreSQL: its server. */
int fixture_server_start(void **state);
int fixture_server_stop(void **state);
struct pg_cluster *fixture_server(void);
/* A name for a database that is new to the server; it is made there. */
void fixture_database(char ret_name[32]);
/* Timeouts as short as a test needs them; the texts are the caller's. */
struct store_postgres_config fixture_postgres_config(const char *dsn);
/* The engine of a configuration; when it does not open, the test has failed. */
struct store_engine *fixture_postgres_open(const struct store_postgres_config *config);
/* The engine behind its port, on so many loops; takes it. */
struct store_engine *fixture_postgres_port(struct store_engine *engine,
                                           const struct store_postgres_config *config,
                                           unsigned loops);

#endif
