/* The process dies and starts again while its store fails: the n-th call from the start on, for all
 * n, in each manner. It comes up all the same, and a session in which nothing else fails ends as it
 * should, beside what an earlier life has left.
 * ctest: timeout=300 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "holdfast/check.h"
#include "tests/torture/faults.h"
#include "tests/torture/session.h"

#define CALLS_MIN 30u /* openings, catalogues, and the first steps of the session */

/* What the user of the first life has, and that is asked for first in the second. */
static void leave_something(struct fixture *fixture, hf_id user, hf_id payee)
{
  struct outcome outcome =
    fixture_do(fixture, fixture_op(fixture, user, LEDGER_T_GRANT, 1000, "left"));
  assert_int_equal(outcome.error, HF_OK);
  (void)fixture_submit(fixture, 1, fixture_op_transfer(fixture, user, payee, 400, "in-transit"));
  while (fixture_account(fixture, LEDGER_TRANSIT) == 0)
    fixture_step(fixture);
}

static bool run(enum fault fault, unsigned first, unsigned count)
{
  struct fixture *fixture = fixture_new(SESSION_CONFIG(first));
  hf_id user = fixture_user(fixture, "user"), payee = fixture_user(fixture, "payee");
  struct session session;
  struct faults faults;
  leave_something(fixture, user, payee);
  faults_init(&faults, fixture);
  faults_arm(&faults, fault, first, count);
  fixture_crash(fixture);
  session_run(&session, fixture, "t");
  faults_heal(&faults);
  session_repeat(&session, "t");
  fixture_run(fixture, 10000000);
  assert_int_equal(fixture_account(fixture, LEDGER_TRANSIT), 0);
  assert_true(fixture_balance(fixture, user).bucket[LEDGER_CLAIMABLE] == 600);
  assert_true(fixture_balance(fixture, payee).bucket[LEDGER_CLAIMABLE] == 400);
  bool struck = faults.struck > 0;
  faults_deinit(&faults);
  fixture_free(fixture);
  return struck;
}

static void test_start_when_the_nth_call_fails_then_it_comes_up_and_goes_on(void **state)
{
  (void)state;
  for (unsigned fault = FAULT_UNAVAILABLE; fault < FAULT_COUNT; fault++)
    for (unsigned first = 1; first <= CALLS_MIN; first++) {
      assert_true(run(fault, first, 1));
      assert_true(run(fault, first, 12));
    }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_start_when_the_nth_call_fails_then_it_comes_up_and_goes_on),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
