/* The SQLite store on a disk that fails: every write and sync of a commit in turn, once and until
 * it is healed. What was answered must be what is there, now and after a loss of power. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "adapters/store_sqlite/sqlite_engine.h"
#include "adapters/store_sqlite/store_sqlite.h"
#include "tests/support/failing_vfs.h"
#include "tests/support/store_check.h"
#include "tests/support/store_world.h"

#define PARTITION_BITS 2u

struct sick {
  char folder[64], path[96];
  struct failing_vfs *vfs;
  struct store_world world;
  struct world_user *user;
  char said[256]; /* the newest line of the log */
};

static void note(void *arg, int level, const char *component, const char *text)
{
  struct sick *sick = arg;
  assert_int_equal(level, 3);
  assert_string_equal(component, "sqlite");
  (void)snprintf(sick->said, sizeof(sick->said), "%s", text);
}

static struct sqlite_engine *engine_of(const struct sick *sick)
{
  return (struct sqlite_engine *)(void *)sick->world.engine; /* its first member */
}

static void open_engine(struct sick *sick)
{
  char why[256] = "";
  const struct store_sqlite_config config = {
    .path = sick->path,
    .partition_bits = PARTITION_BITS,
    .readers = 1,
    .cache_bytes = 1u << 20,
    .migrate = true,
    .vfs = failing_vfs_name(sick->vfs),
    .log = note,
    .log_arg = sick,
  };
  if (store_sqlite_open(&config, &sick->world.engine, why) != HF_OK)
    fail_msg("%s", why);
}

static int setup(void **state)
{
  const char *base = getenv("TMPDIR");
  struct sick *sick = rt_alloc(sizeof(*sick));
  (void)snprintf(sick->folder, sizeof(sick->folder), "%.30s/holdfast-sick-XXXXXX",
                 base != NULL ? base : "/tmp");
  assert_non_null(mkdtemp(sick->folder));
  (void)snprintf(sick->path, sizeof(sick->path), "%s/store.db", sick->folder);
  sick->vfs = failing_vfs_new(4711);
  open_engine(sick);
  world_init(&sick->world, sick->world.engine);
  sick->user = world_user_add(&sick->world, 1, NULL, NULL);
  (void)world_simple(&sick->world, sick->user, LEDGER_T_GRANT, 1, 1000000);
  world_must_commit(&sick->world);
  *state = sick;
  return 0;
}

static int teardown(void **state)
{
  static const char *const ends[] = {"", "-wal", "-journal", ".lock"};
  struct sick *sick = *state;
  sick->world.engine->ops->close(sick->world.engine);
  world_deinit(&sick->world);
  failing_vfs_free(sick->vfs);
  for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
    char path[128];
    (void)snprintf(path, sizeof(path), "%s%s", sick->path, ends[i]);
    (void)unlink(path);
  }
  assert_int_equal(rmdir(sick->folder), 0);
  rt_free(sick);
  return 0;
}

/* Whether the batch is there, by the engine that is open. */
static bool is_there(struct sick *sick, const struct store_batch *batch)
{
  struct store_request *request = store_request_new(STORE_OPEN_PARTITION);
  request->open_partition.partition = batch->partition;
  world_read(&sick->world, request, STORE_OK);
  bool there = request->open_partition.next_batch == batch->number + 1u;
  if (!there)
    assert_int_equal(request->open_partition.next_batch, batch->number);
  store_request_free(request);
  return there;
}

static void power_loss(struct sick *sick)
{
  failing_vfs_cut(sick->vfs, 1, false);
  sick->world.engine->ops->close(sick->world.engine);
  failing_vfs_restore(sick->vfs);
  open_engine(sick);
}

static struct store_request *build_commit(struct sick *sick, struct world_mark *ret_before)
{
  *ret_before = world_mark(sick->user);
  for (unsigned i = 0; i < 20; i++)
    (void)world_simple(&sick->world, sick->user, LEDGER_T_SPEND, 1, 1);
  return world_commit_build(&sick->world);
}

/* What the commit's status says must be so; the world goes on with what is so. */
static void settle(struct sick *sick, struct store_request *request, struct world_mark *before)
{
  bool there = is_there(sick, &request->commit.batches[0]);
  switch (request->status) {
  case STORE_OK:
    assert_true(there);
    break;
  case STORE_UNAVAILABLE:
    assert_false(there);
    break;
  default:
    assert_int_equal(request->status, STORE_UNKNOWN);
  }
  if (there) {
    request->status = STORE_OK;
    for (size_t i = 0; i < request->commit.units_count; i++)
      request->commit.units[i]->status = STORE_OK;
    world_commit_done(&sick->world, request);
    ledger_user_deinit(&before->state);
  } else {
    world_back(before);
  }
  store_request_free(request);
  world_take_over(&sick->world);
  check_loaded(&sick->world, sick->user);
}

/* Makes one commit while the disk fails; what it says must be so, now and after a loss of power.
 * Returns its status. */
static enum store_status commit_on_sick_disk(struct sick *sick, uint64_t first, uint64_t count,
                                             int code, bool lose_power)
{
  struct world_mark before;
  struct store_request *request = build_commit(sick, &before);
  failing_vfs_fail(sick->vfs, first, count, code);
  sick->world.engine->ops->execute(sick->world.engine, request);
  failing_vfs_fail(sick->vfs, 0, 0, 0);
  enum store_status status = request->status;
  if (lose_power)
    power_loss(sick);
  settle(sick, request, &before);
  return status;
}

/* Each call of a commit fails in turn, until one goes through whole. */
static void fail_each_call(struct sick *sick, uint64_t count, int code, bool lose_power)
{
  unsigned refused = 0;
  for (uint64_t first = 1; first < 100; first++) {
    uint64_t before = failing_vfs_calls(sick->vfs);
    enum store_status status = commit_on_sick_disk(sick, first, count, code, lose_power);
    refused += status != STORE_OK;
    if (status == STORE_OK && failing_vfs_calls(sick->vfs) - before < first)
      break;
  }
  assert_true(refused > 0);
  (void)world_simple(&sick->world, sick->user, LEDGER_T_SPEND, 1, 1);
  world_must_commit(&sick->world);
}

static void test_commit_when_any_write_fails_once_then_the_answer_is_true(void **state)
{
  fail_each_call(*state, 1, SQLITE_IOERR_WRITE, false);
}

static void test_commit_when_any_sync_fails_once_then_the_answer_is_true(void **state)
{
  fail_each_call(*state, 1, SQLITE_IOERR_FSYNC, false);
}

static void test_commit_when_the_disk_is_full_then_unavailable_and_nothing_is_there(void **state)
{
  struct sick *sick = *state;
  assert_int_equal(commit_on_sick_disk(sick, 1, UINT64_MAX, SQLITE_FULL, false),
                   STORE_UNKNOWN); /* not even a fence can be written */
  assert_int_equal(commit_on_sick_disk(sick, 1, 1, SQLITE_FULL, false), STORE_UNAVAILABLE);
  fail_each_call(sick, 1, SQLITE_FULL, false);
}

static void test_commit_when_the_disk_fails_and_power_goes_then_what_was_answered_is_true(
  void **state)
{
  fail_each_call(*state, 1, SQLITE_IOERR_FSYNC, true);
  fail_each_call(*state, 1, SQLITE_IOERR_WRITE, true);
}

static void test_commit_when_the_disk_stays_broken_then_unknown_until_healed(void **state)
{
  fail_each_call(*state, UINT64_MAX, SQLITE_IOERR_WRITE, false);
  fail_each_call(*state, UINT64_MAX, SQLITE_IOERR_FSYNC, true);
}

/* Requests of other partitions share the transaction's fate. */
static void test_commit_many_when_the_disk_fails_then_all_are_unavailable(void **state)
{
  struct sick *sick = *state;
  struct world_user *other = world_user_add(&sick->world, 2, NULL, NULL);
  struct store_request *requests[2];
  world_must_commit(&sick->world);
  struct world_mark marks[2] = {world_mark(sick->user), world_mark(other)};
  (void)world_simple(&sick->world, sick->user, LEDGER_T_SPEND, 1, 1);
  requests[0] = world_commit_build(&sick->world);
  (void)world_simple(&sick->world, other, LEDGER_T_GRANT, 1, 1);
  requests[1] = world_commit_build(&sick->world);
  failing_vfs_fail(sick->vfs, 1, 1, SQLITE_IOERR_WRITE);
  sick->world.engine->ops->commit_many(sick->world.engine, requests, 2);
  for (unsigned i = 0; i < 2; i++) {
    assert_int_equal(requests[i]->status, STORE_UNAVAILABLE);
    assert_false(is_there(sick, &requests[i]->commit.batches[0]));
    store_request_free(requests[i]);
    world_back(&marks[i]);
  }
  world_take_over(&sick->world);
  (void)world_simple(&sick->world, sick->user, LEDGER_T_SPEND, 1, 1);
  (void)world_simple(&sick->world, other, LEDGER_T_GRANT, 1, 1);
  world_must_commit(&sick->world);
}

/* ---- a small disk ---------------------------------------------------------------------------- */

#define SCARCE_PAGES 48u /* more than one commit takes */
#define PAGE 4096ull

static struct failing_vfs *small_disk; /* whose room the engine is told of */

static uint64_t room_of_small_disk(const char *path)
{
  (void)path;
  return failing_vfs_room(small_disk);
}

static struct sqlite_checkpointer *have_small_disk(struct sick *sick, uint64_t room)
{
  struct sqlite_engine *engine = engine_of(sick);
  small_disk = sick->vfs;
  engine->checkpointer.scarce_pages = SCARCE_PAGES;
  engine->checkpointer.room = room_of_small_disk;
  failing_vfs_set_room(sick->vfs, room);
  return &engine->checkpointer;
}

/* One that is refused is looked into on a disk of any size. */
static bool commit_on_small_disk(struct sick *sick)
{
  struct world_mark before;
  struct store_request *request = build_commit(sick, &before);
  sick->world.engine->ops->execute(sick->world.engine, request);
  bool done = request->status == STORE_OK;
  if (done) {
    world_commit_done(&sick->world, request);
    ledger_user_deinit(&before.state);
    store_request_free(request);
    return true;
  }
  uint64_t room = failing_vfs_room(sick->vfs);
  failing_vfs_set_room(sick->vfs, UINT64_MAX);
  settle(sick, request, &before);
  failing_vfs_set_room(sick->vfs, room);
  return false;
}

static uint64_t size_of(const char *path)
{
  struct stat file;
  return stat(path, &file) == 0 ? (uint64_t)file.st_size : 0;
}

/* All of the disk can be used, but for what a log needs that is about to be copied; and what is
 * added can be used at once. */
static void test_commit_when_the_disk_is_small_then_all_of_it_is_for_the_database(void **state)
{
  struct sick *sick = *state;
  uint64_t before = size_of(sick->path), room = 600 * PAGE;
  (void)have_small_disk(sick, room);
  for (unsigned round = 0; round < 3; round++) {
    while (commit_on_small_disk(sick))
      ;
    assert_true(size_of(sick->path) - before + 4 * SCARCE_PAGES * PAGE >= room);
    failing_vfs_set_room(sick->vfs, failing_vfs_room(sick->vfs) + 300 * PAGE);
    room += 300 * PAGE;
  }
  failing_vfs_set_room(sick->vfs, UINT64_MAX);
  check_loaded(&sick->world, sick->user);
}

/* Something else fills the disk, whatever the size of the log, and leaves it again: the room that
 * the log's copy needs is enough to go on. */
static void test_commit_when_something_else_fills_the_disk_then_it_goes_on_as_soon_as_it_can(
  void **state)
{
  struct sick *sick = *state;
  struct sqlite_checkpointer *checkpointer = have_small_disk(sick, UINT64_MAX);
  unsigned largest = 0;
  for (unsigned commits = 1; commits < 40; commits++) {
    failing_vfs_set_room(sick->vfs, 4000 * PAGE);
    for (unsigned i = 0; i < commits; i++)
      assert_true(commit_on_small_disk(sick));
    failing_vfs_set_room(sick->vfs, commits % 3u * 8u * PAGE);
    for (unsigned i = 0; i < 4; i++)
      (void)commit_on_small_disk(sick);
    largest = checkpointer->log_pages > largest ? checkpointer->log_pages : largest;
    failing_vfs_set_room(sick->vfs, (checkpointer->log_pages + SCARCE_PAGES) * PAGE);
    for (unsigned i = 0; i < 8; i++)
      assert_true(commit_on_small_disk(sick));
  }
  assert_true(largest > 2 * SCARCE_PAGES);
}

/* A log that is too small to be looked at takes the last room: it is copied all the same, before
 * the next transaction, as soon as the copy fits. */
static void test_commit_when_a_small_log_fills_the_disk_then_it_is_copied(void **state)
{
  struct sick *sick = *state;
  struct sqlite_checkpointer *checkpointer = have_small_disk(sick, UINT64_MAX);
  checkpointer->scarce_pages = 100000;
  for (unsigned i = 0; i < 40; i++)
    assert_true(commit_on_small_disk(sick));
  unsigned log_pages = checkpointer->log_pages;
  assert_true(log_pages > 200);
  failing_vfs_set_room(sick->vfs, 0);
  struct world_mark before;
  struct store_request *request = build_commit(sick, &before);
  sick->world.engine->ops->execute(sick->world.engine, request);
  assert_int_not_equal(request->status, STORE_OK);
  failing_vfs_set_room(sick->vfs, log_pages / 2u * PAGE);
  settle(sick, request, &before);
  assert_true(checkpointer->log_pages < log_pages / 4u);
  for (unsigned i = 0; i < 20; i++)
    assert_true(commit_on_small_disk(sick));
}

/* A copy that fails is not tried again and again while nothing changes. */
static void test_commit_when_the_log_cannot_be_copied_then_nothing_is_written(void **state)
{
  struct sick *sick = *state;
  struct sqlite_checkpointer *checkpointer = have_small_disk(sick, 4000 * PAGE);
  while (checkpointer->log_pages < 2 * SCARCE_PAGES)
    assert_true(commit_on_small_disk(sick));
  failing_vfs_set_room(sick->vfs, 0);
  while (commit_on_small_disk(sick))
    ;
  struct world_mark before;
  struct store_request *request = build_commit(sick, &before);
  checkpointer->retry_us = UINT64_MAX;
  engine_of(sick)->silent_us = 0;
  uint64_t calls = failing_vfs_calls(sick->vfs);
  sick->world.engine->ops->execute(sick->world.engine, request);
  assert_int_equal(request->status, STORE_UNAVAILABLE);
  assert_int_equal(failing_vfs_calls(sick->vfs), calls);
  assert_non_null(strstr(sick->said, "no room"));
  checkpointer->retry_us = 0;
  failing_vfs_set_room(sick->vfs, UINT64_MAX);
  settle(sick, request, &before);
}

static void test_commit_when_the_disk_fails_then_the_log_says_why(void **state)
{
  struct sick *sick = *state;
  assert_int_equal(commit_on_sick_disk(sick, 1, 1, SQLITE_FULL, false), STORE_UNAVAILABLE);
  assert_non_null(strstr(sick->said, "commit: database or disk is full"));
  engine_of(sick)->silent_us = 0;
  assert_int_equal(commit_on_sick_disk(sick, 1, 1, SQLITE_IOERR_FSYNC, false), STORE_UNAVAILABLE);
  assert_non_null(strstr(sick->said, "I/O error"));
}

static void test_open_partition_when_the_disk_fails_then_unavailable_and_works_after(void **state)
{
  struct sick *sick = *state;
  struct store_request *request = store_request_new(STORE_OPEN_PARTITION);
  request->open_partition.partition = 3;
  failing_vfs_fail(sick->vfs, 1, 1, SQLITE_IOERR_WRITE);
  world_read(&sick->world, request, STORE_UNAVAILABLE);
  world_read(&sick->world, request, STORE_OK);
  assert_in_range(request->open_partition.epoch, 2, 3);
  store_request_free(request);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
  const struct CMUnitTest tests[] = {
    TEST(test_commit_when_any_write_fails_once_then_the_answer_is_true),
    TEST(test_commit_when_any_sync_fails_once_then_the_answer_is_true),
    TEST(test_commit_when_the_disk_is_full_then_unavailable_and_nothing_is_there),
    TEST(test_commit_when_the_disk_fails_and_power_goes_then_what_was_answered_is_true),
    TEST(test_commit_when_the_disk_stays_broken_then_unknown_until_healed),
    TEST(test_commit_many_when_the_disk_fails_then_all_are_unavailable),
    TEST(test_commit_when_the_disk_is_small_then_all_of_it_is_for_the_database),
    TEST(test_commit_when_something_else_fills_the_disk_then_it_goes_on_as_soon_as_it_can),
    TEST(test_commit_when_a_small_log_fills_the_disk_then_it_is_copied),
    TEST(test_commit_when_the_log_cannot_be_copied_then_nothing_is_written),
    TEST(test_commit_when_the_disk_fails_then_the_log_says_why),
    TEST(test_open_partition_when_the_disk_fails_then_unavailable_and_works_after),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
