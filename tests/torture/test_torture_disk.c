/* The n-th write, sync or opening of a file fails, for all n, once and until the disk is healed, in
 * a session of the SQLite engine from the making of its file to its close. What was answered is so,
 * nothing acknowledged is lost, the session ends all the same, and the file is whole.
 * ctest: timeout=600 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "tests/torture/ordeal.h"

#define OPENING SQLITE_CANTOPEN /* the calls that fail are openings */
#define SEED 4711u

static void heal(void *arg)
{
  failing_vfs_fail(arg, 0, 0, 0);
  failing_vfs_fail_open(arg, 0, 0);
}

/* True: the session got as far as the call. */
static bool run(uint64_t nth, uint64_t count, int code, bool lose_power)
{
  struct failing_vfs *vfs = failing_vfs_new(SEED + nth);
  struct ordeal ordeal;
  ordeal_init(&ordeal, NULL);
  ordeal.vfs = failing_vfs_name(vfs);
  ordeal.heal = heal;
  ordeal.arg = vfs;
  uint64_t before = code == OPENING ? failing_vfs_opens(vfs) : failing_vfs_calls(vfs);
  if (code == OPENING)
    failing_vfs_fail_open(vfs, nth, count);
  else
    failing_vfs_fail(vfs, nth, count, code);
  ordeal_session(&ordeal);
  uint64_t after = code == OPENING ? failing_vfs_opens(vfs) : failing_vfs_calls(vfs);
  heal(vfs);
  if (lose_power) { /* the close did not bring anything more to the disk than was promised before */
    failing_vfs_cut(vfs, 1, false);
    failing_vfs_restore(vfs);
  }
  uint64_t entries = ordeal_entries(ordeal.commits);
  assert_int_equal(ordeal_check(&ordeal), entries);
  ordeal_deinit(&ordeal);
  failing_vfs_free(vfs);
  return after - before >= nth;
}

static void each_call(uint64_t count, int code, bool lose_power)
{
  uint64_t nth = 1;
  while (run(nth, count, code, lose_power))
    nth++;
  print_message("%u calls\n", (unsigned)nth - 1u);
  assert_true(nth > (code == OPENING ? 5u : 60u)); /* or the session is not what it was */
}

static void test_session_when_the_nth_call_finds_a_full_disk_then_nothing_is_lost(void **state)
{
  (void)state;
  each_call(1, SQLITE_FULL, false);
  each_call(UINT64_MAX, SQLITE_FULL, false);
}

static void test_session_when_the_nth_write_fails_then_nothing_is_lost(void **state)
{
  (void)state;
  each_call(1, SQLITE_IOERR_WRITE, false);
  each_call(UINT64_MAX, SQLITE_IOERR_WRITE, true);
}

static void test_session_when_the_nth_sync_fails_then_nothing_is_lost(void **state)
{
  (void)state;
  each_call(1, SQLITE_IOERR_FSYNC, true);
  each_call(UINT64_MAX, SQLITE_IOERR_FSYNC, false);
}

static void test_session_when_the_nth_file_does_not_open_then_nothing_is_lost(void **state)
{
  (void)state;
  each_call(1, OPENING, false);
  each_call(UINT64_MAX, OPENING, false);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_session_when_the_nth_call_finds_a_full_disk_then_nothing_is_lost),
    cmocka_unit_test(test_session_when_the_nth_write_fails_then_nothing_is_lost),
    cmocka_unit_test(test_session_when_the_nth_sync_fails_then_nothing_is_lost),
    cmocka_unit_test(test_session_when_the_nth_file_does_not_open_then_nothing_is_lost),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
