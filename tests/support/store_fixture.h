/* store_fixture.h - a fresh store engine of each kind with a world over it: cmocka's setup and
 * teardown. *state is a struct store_fixture. */
#ifndef HOLDFAST_TESTS_STORE_FIXTURE_H
#define HOLDFAST_TESTS_STORE_FIXTURE_H

#include "tests/support/store_world.h"

#define FIXTURE_PARTITION_BITS 2u

struct store_fixture {
  struct store_world world; /* over `engine` */
  struct store_engine *engine;
  char folder[256]; /* of the database; "": none */
};

/* Engines without a world. The folder is made, and removed by fixture_engine_close. */
struct store_engine *fixture_engine_memory(struct store_fixture *fixture);
struct store_engine *fixture_engine_sqlite(struct store_fixture *fixture);
void fixture_engine_close(struct store_fixture *fixture);

int fixture_setup_memory(void **state);
int fixture_setup_sqlite(void **state);
int fixture_teardown(void **state);

#endif
