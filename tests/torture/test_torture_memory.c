/* Memory runs out in a session of the SQLite engine. A child process is killed at the n-th
 * allocation of SQLite, another one is told at its n-th that there is no memory, a third one may
 * not grow by more than n pages and ends at the first CHECK of rt_alloc. The file is whole after it
 * and has what the child said was done. In a test run n goes through the session in 40 even steps,
 * which HF_SEED moves; HF_TORTURE=all, as `./dev torture` has it, takes each of the allocations,
 * while the pages still go by steps. Which allocation is the n-th differs a little from child to
 * child: there are threads.
 * ctest: timeout=600 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "holdfast/check.h"
#include "tests/torture/ordeal.h"

#define REPORTS 3 /* the child's end of the pipe */
#define STEPS 40u
#define TELL_EVERY 1000u /* steps of the whole run */
#define PAGES_MAX 6000u  /* stacks of threads are most of it */

enum manner { WHOLE, KILLED, REFUSED, CONFINED };

struct report { /* through the pipe, after each commit and at the end */
  uint32_t commits;
  uint32_t ended;
  uint64_t allocations;
};

/* ---- the child ------------------------------------------------------------------------------- */

static sqlite3_mem_methods below;
static atomic_uint_fast64_t allocations; /* of all threads: relaxed, it orders nothing */
static enum manner manner;
static uint64_t nth;

/* False: this one is not to be had. */
static bool may_allocate(void)
{
  uint64_t number = atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed) + 1u;
  if (number != nth)
    return true;
  if (manner == KILLED)
    CHECK(kill(getpid(), SIGKILL) == 0);
  return manner != REFUSED;
}

static void *count_malloc(int size)
{
  return may_allocate() ? below.xMalloc(size) : NULL;
}

static void *count_realloc(void *block, int size)
{
  return may_allocate() ? below.xRealloc(block, size) : NULL;
}

static void tell(unsigned commits, bool ended)
{
  struct report report = {.commits = commits, .ended = ended};
  report.allocations = atomic_load_explicit(&allocations, memory_order_relaxed);
  CHECK(write(REPORTS, &report, sizeof(report)) == (ssize_t)sizeof(report));
}

static void acknowledged(void *arg, unsigned commits)
{
  (void)arg;
  tell(commits, false);
}

/* `pages` more than what there is now. */
static void confine(uint64_t pages)
{
  unsigned long size = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  CHECK(file != NULL && fscanf(file, "%lu", &size) == 1);
  CHECK(fclose(file) == 0);
  rlim_t bytes = (rlim_t)(size + pages) * (rlim_t)sysconf(_SC_PAGESIZE);
  const struct rlimit no_core = {0}, limit = {.rlim_cur = bytes, .rlim_max = bytes};
  CHECK(setrlimit(RLIMIT_CORE, &no_core) == 0);
  CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
}

static int child(char **arguments)
{
  struct ordeal ordeal;
  CHECK(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &below) == SQLITE_OK);
  sqlite3_mem_methods counting = below;
  counting.xMalloc = count_malloc;
  counting.xRealloc = count_realloc;
  CHECK(sqlite3_config(SQLITE_CONFIG_MALLOC, &counting) == SQLITE_OK);
  manner = (enum manner)strtoul(arguments[0], NULL, 10);
  nth = strtoull(arguments[1], NULL, 10);
  ordeal_init(&ordeal, arguments[2]);
  ordeal.acknowledged = acknowledged;
  if (manner == CONFINED)
    confine(nth);
  ordeal_session(&ordeal);
  tell(ordeal.commits, true);
  if (ordeal.has_world)
    world_deinit(&ordeal.world);
  return 0;
}

/* ---- the parent ------------------------------------------------------------------------------ */

static pid_t start_child(const struct ordeal *ordeal, enum manner how, uint64_t number,
                         int *ret_end)
{
  char first[16], second[32];
  int ends[2];
  (void)snprintf(first, sizeof(first), "%u", (unsigned)how);
  (void)snprintf(second, sizeof(second), "%llu", (unsigned long long)number);
  assert_int_equal(pipe(ends), 0);
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    if (ends[1] != REPORTS && (dup2(ends[1], REPORTS) < 0 || close(ends[1]) != 0))
      _exit(126);
    if (ends[0] != REPORTS)
      (void)close(ends[0]);
    (void)execl("/proc/self/exe", "ordeal", "--child", first, second, ordeal->folder, (char *)NULL);
    _exit(127);
  }
  assert_int_equal(close(ends[1]), 0);
  *ret_end = ends[0];
  return pid;
}

/* Runs a child, and looks at what it left behind. Its last report; how it ended. */
static struct report run(enum manner how, uint64_t number, int *ret_status)
{
  struct ordeal ordeal;
  struct report report = {0}, next;
  int end = -1;
  ordeal_init(&ordeal, NULL);
  pid_t pid = start_child(&ordeal, how, number, &end);
  while (read(end, &next, sizeof(next)) == (ssize_t)sizeof(next))
    report = next;
  assert_int_equal(close(end), 0);
  assert_int_equal(waitpid(pid, ret_status, 0), pid);
  uint64_t entries = ordeal_check(&ordeal);
  bool acknowledged_only = entries == ordeal_entries(report.commits);
  bool one_more = entries == ordeal_entries(report.commits + 1u); /* done, and not yet told */
  if (!acknowledged_only && (report.ended != 0 || !one_more))
    fail_msg("manner %u, n %llu: %llu entries after %u commits", (unsigned)how,
             (unsigned long long)number, (unsigned long long)entries, report.commits);
  ordeal_deinit(&ordeal);
  return report;
}

static uint64_t seed_of_run(void)
{
  const char *text = getenv("HF_SEED");
  return text != NULL ? strtoull(text, NULL, 10) : 1u;
}

/* Between two allocations that are tried, of so many. */
static uint64_t step_of(uint64_t total)
{
  const char *which = getenv("HF_TORTURE");
  return which != NULL && strcmp(which, "all") == 0 ? 1u : total / STEPS;
}

static void tell_progress(uint64_t step, uint64_t number, uint64_t total)
{
  if (step == 1u && number % TELL_EVERY == 0)
    print_message("%llu of %llu\n", (unsigned long long)number, (unsigned long long)total);
}

static uint64_t whole_session(void)
{
  int status = 0;
  struct report report = run(WHOLE, 0, &status);
  assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  assert_true(report.ended != 0 && report.allocations > 10u * STEPS);
  print_message("%llu allocations\n", (unsigned long long)report.allocations);
  return report.allocations;
}

static void test_session_when_killed_at_the_nth_allocation_then_the_file_is_whole(void **state)
{
  uint64_t total = whole_session(), step = step_of(total);
  unsigned killed = 0;
  (void)state;
  for (uint64_t number = 1u + seed_of_run() % step; number < total; number += step) {
    int status = 0;
    struct report report = run(KILLED, number, &status);
    assert_true((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) || report.ended != 0);
    killed += report.ended == 0;
    tell_progress(step, number, total);
  }
  assert_true(killed >= STEPS / 2u);
}

/* Either the request of that moment is answered "not done", and the session goes on; or the process
 * ends by a CHECK, where there is no one to answer. */
static void test_session_when_the_nth_allocation_fails_then_it_goes_on_or_the_file_is_whole(
  void **state)
{
  uint64_t total = whole_session(), step = step_of(total);
  unsigned ended = 0, aborted = 0;
  (void)state;
  for (uint64_t number = 1u + seed_of_run() % step; number < total; number += step) {
    int status = 0;
    struct report report = run(REFUSED, number, &status);
    bool end = WIFEXITED(status) && WEXITSTATUS(status) == 0 && report.ended != 0;
    bool check = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
    if (!end && !check)
      fail_msg("n %llu: status %d after %u commits", (unsigned long long)number, status,
               report.commits);
    ended += end;
    aborted += check;
    tell_progress(step, number, total);
  }
  print_message("%u went on, %u ended by a CHECK\n", ended, aborted);
  assert_true(ended > aborted);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* their runtimes must grow */
#define CONFINING 1
static void test_session_when_it_may_not_grow_then_the_file_is_whole(void **state)
{
  unsigned ended = 0, died = 0;
  (void)state;
  for (uint64_t pages = 0; pages < PAGES_MAX && ended < 3; pages += PAGES_MAX / STEPS) {
    int status = 0;
    struct report report = run(CONFINED, pages, &status);
    ended += report.ended != 0;
    died += report.ended == 0;
  }
  assert_true(died > 3);
}
#endif

int main(int count, char **arguments)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_session_when_killed_at_the_nth_allocation_then_the_file_is_whole),
    cmocka_unit_test(
      test_session_when_the_nth_allocation_fails_then_it_goes_on_or_the_file_is_whole),
#ifdef CONFINING
    cmocka_unit_test(test_session_when_it_may_not_grow_then_the_file_is_whole),
#endif
  };
  if (count == 5 && strcmp(arguments[1], "--child") == 0)
    return child(arguments + 2);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
