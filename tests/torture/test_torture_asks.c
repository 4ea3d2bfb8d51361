/* The n-th ask between actors finds no room, for all n, alone and with those behind it. Who made it
 * does what is to be done then: every request is answered once, what was told holds, and the books
 * are those of a session in which there was room.
 * ctest: timeout=300 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/torture/session.h"

/* False: the session makes fewer asks than that. */
static bool run(uint64_t first, uint64_t count, const struct session_result *expected)
{
  struct fixture *fixture = fixture_new(SESSION_CONFIG(first));
  struct session session;
  driver_sim_refuse(fixture->driver, DRIVER_SIM_ASKS, first, count);
  session_run(&session, fixture, "t");
  bool struck = driver_sim_refused(fixture->driver, DRIVER_SIM_ASKS);
  driver_sim_refuse(fixture->driver, DRIVER_SIM_ASKS, 1, 0);
  struct session_result result = session_look(&session);
  session_compare(&result, expected);
  session_repeat(&session, "t");
  result = session_look(&session);
  session_compare(&result, expected);
  fixture_free(fixture);
  return struck;
}

static void each_ask(uint64_t count)
{
  struct session_result expected = session_reference();
  unsigned first = 1;
  while (run(first, count, &expected))
    first++;
  print_message("%u asks; %u in a row find no room\n", first - 1u, (unsigned)count);
  assert_true(first > 100); /* or the session is not what it was */
}

static void test_ask_when_the_nth_finds_no_room_then_all_is_answered_and_adds_up(void **state)
{
  (void)state;
  each_ask(1);
}

static void test_ask_when_some_in_a_row_find_no_room_then_all_is_answered_and_adds_up(void **state)
{
  (void)state;
  each_ask(9);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_ask_when_the_nth_finds_no_room_then_all_is_answered_and_adds_up),
    cmocka_unit_test(test_ask_when_some_in_a_row_find_no_room_then_all_is_answered_and_adds_up),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
