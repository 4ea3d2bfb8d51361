/* The n-th call of the actors to their store fails, for all n and in each manner: once, and several
 * times in a row. Every request is answered once, what was told holds, and the books are those of a
 * session in which nothing failed.
 * ctest: timeout=300 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "holdfast/check.h"
#include "tests/torture/faults.h"
#include "tests/torture/session.h"

/* True: the fault struck. */
static bool run(enum fault fault, unsigned first, unsigned count,
                const struct session_result *expected)
{
  struct fixture *fixture = fixture_new(SESSION_CONFIG(first));
  struct session session;
  struct faults faults;
  faults_init(&faults, fixture);
  faults_arm(&faults, fault, first, count);
  session_run(&session, fixture, "t");
  faults_heal(&faults);
  struct session_result result = session_look(&session);
  session_compare(&result, expected);
  session_repeat(&session, "t");
  result = session_look(&session);
  session_compare(&result, expected);
  bool struck = faults.struck > 0;
  faults_deinit(&faults);
  fixture_free(fixture);
  return struck;
}

static void each_call(enum fault fault, unsigned count)
{
  struct session_result expected = session_reference();
  unsigned first = 1;
  while (run(fault, first, count, &expected))
    first++;
  print_message("%u calls; %s\n", first - 1u, fault_text(fault));
  assert_true(first > 40); /* or the session is not what it was */
}

#define CALLS(fault, text)                                                                         \
  static void test_call_when_the_nth_is_##fault##_then_all_is_answered_and_adds_up(void **state)   \
  {                                                                                                \
    (void)state;                                                                                   \
    each_call(FAULT_##fault, 1);                                                                   \
    each_call(FAULT_##fault, 6);                                                                   \
  }
CALLS(AGAIN, "")
CALLS(UNAVAILABLE, "")
CALLS(UNKNOWN_DONE, "")
CALLS(UNKNOWN_LOST, "")
CALLS(FENCED, "")
CALLS(CONFLICT, "")
CALLS(DONE_REFUSED, "")
CALLS(CORRUPT, "")

#define TEST(fault)                                                                                \
  cmocka_unit_test(test_call_when_the_nth_is_##fault##_then_all_is_answered_and_adds_up)

int main(void)
{
  const struct CMUnitTest tests[] = {
    TEST(AGAIN),  TEST(UNAVAILABLE), TEST(UNKNOWN_DONE), TEST(UNKNOWN_LOST),
    TEST(FENCED), TEST(CONFLICT),    TEST(DONE_REFUSED), TEST(CORRUPT),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
