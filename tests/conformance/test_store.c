/* test_store.c - the store suite, stamped for every engine, and their comparison.
 * ctest: timeout=600 */
#include "tests/conformance/store_compare.h"
#include "tests/conformance/store_suite.h"
#include "tests/support/store_fixture.h"

int main(void)
{
  const struct CMUnitTest tests[] = {
#define X(test) {"memory: " #test, test, fixture_setup_memory, fixture_teardown, NULL},
    STORE_SUITE(X)
#undef X
#define X(test) {"SQLite: " #test, test, fixture_setup_sqlite, fixture_teardown, NULL},
      STORE_SUITE(X)
#undef X
#define X(test) {"PostgreSQL: " #test, test, fixture_setup_postgres, fixture_teardown, NULL},
        STORE_SUITE(X)
#undef X
#define X(test)                                                                                    \
  {"PostgreSQL port: " #test, test, fixture_setup_postgres_port, fixture_teardown, NULL},
          STORE_SUITE(X)
#undef X
            cmocka_unit_test(test_engines_when_random_work_then_equal_answers),
  };

  return cmocka_run_group_tests(tests, fixture_server_start, fixture_server_stop);
}
