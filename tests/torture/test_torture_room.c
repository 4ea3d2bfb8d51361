/* Asks between actors are refused, by seed: where they wait for an actor that is not ready there is
 * no room for one more, jobs of the store are refused and rings are full. Who asked is answered in
 * the name of the one that could not be reached. Every request is answered once, what was told
 * holds, and the books are those of a session that had room.
 * ctest: timeout=300 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/torture/session.h"

#define SEEDS 40u

static struct session_result session(struct fixture_config config, unsigned *ret_repeats)
{
  struct fixture *fixture = fixture_new(config);
  struct session session;
  session_run(&session, fixture, "t");
  session_repeat(&session, "t");
  struct session_result result = session_look(&session);
  *ret_repeats += session.repeats;
  fixture_free(fixture);
  return result;
}

static void test_session_when_what_waits_has_no_room_then_all_is_answered_and_adds_up(void **state)
{
  unsigned none = 0, repeats = 0;
  (void)state;
  const struct session_result expected = session(SESSION_CONFIG(1), &none);
  assert_int_equal(none, 0);
  for (unsigned seed = 1; seed <= SEEDS; seed++) {
    struct fixture_config config = SESSION_CONFIG(seed);
    config.buggify_percent = 60;
    config.job_us_max = 4000;
    const struct session_result result = session(config, &repeats);
    session_compare(&result, &expected);
  }
  print_message("%u answers said that there was no room\n", repeats);
  assert_true(repeats > 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_session_when_what_waits_has_no_room_then_all_is_answered_and_adds_up),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
