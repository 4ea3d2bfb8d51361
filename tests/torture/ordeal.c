/* ordeal.c - see ordeal.h. */
#include "tests/torture/ordeal.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "adapters/store_sqlite/sqlite_engine.h"
#include "adapters/store_sqlite/store_sqlite.h"
#include "holdfast/check.h"
#include "server/replay.h"
#include "server/verify.h"
#include "tests/support/store_check.h"

#define COMMITS 8u
#define UNITS 12u /* of a commit: two entries' worth per user and more */
#define TRIES_MAX 4u

static void trouble(struct ordeal *ordeal)
{
  ordeal->troubles++;
  if (ordeal->heal != NULL)
    ordeal->heal(ordeal->arg);
}

/* ---- the engine ------------------------------------------------------------------------------ */

static struct ordeal *of_engine(struct store_engine *engine)
{
  return (struct ordeal *)(void *)engine; /* its first member */
}

static void patient_execute(struct store_engine *engine, struct store_request *request)
{
  struct ordeal *ordeal = of_engine(engine);
  for (unsigned i = 0; i < TRIES_MAX; i++) {
    ordeal->inner->ops->execute(ordeal->inner, request);
    if (request->kind == STORE_COMMIT || request->status != STORE_UNAVAILABLE)
      return;
    trouble(ordeal);
  }
}

static enum hf_error open_once(struct ordeal *ordeal, char why[256])
{
  const struct store_sqlite_config config = {
    .path = ordeal->path,
    .partition_bits = ORDEAL_PARTITION_BITS,
    .readers = 2,
    .cache_bytes = 1u << 20,
    .migrate = true,
    .vfs = ordeal->vfs,
  };
  enum hf_error error = store_sqlite_open(&config, &ordeal->inner, why);
  if (error == HF_OK) { /* checkpoints come several times in a session */
    struct sqlite_engine *sqlite = (struct sqlite_engine *)(void *)ordeal->inner;
    sqlite->checkpointer.wish_pages = 20;
    sqlite->checkpointer.rest_pages = 4;
  }
  return error;
}

static void open_engine(struct ordeal *ordeal)
{
  static const struct store_engine_ops ops = {.name = "patient", .execute = patient_execute};
  char why[256] = "";
  ordeal->engine = (struct store_engine){.ops = &ops, .partition_bits = ORDEAL_PARTITION_BITS};
  for (unsigned i = 0; open_once(ordeal, why) != HF_OK; i++) {
    assert_true(why[0] != '\0'); /* a person is told */
    assert_null(ordeal->inner);
    if (i == TRIES_MAX)
      fail_msg("does not open: %s", why);
    why[0] = '\0';
    trouble(ordeal);
  }
}

static void close_engine(struct ordeal *ordeal)
{
  ordeal->inner->ops->close(ordeal->inner);
  ordeal->inner = NULL;
}

/* ---- commits --------------------------------------------------------------------------------- */

/* What the model was before a commit, to go back to. */
struct memory {
  struct world_mark marks[ORDEAL_USERS];
  size_t users_count;
};

static void remember(struct ordeal *ordeal, struct memory *memory)
{
  memory->users_count = ordeal->world.users_count;
  for (size_t i = 0; i < memory->users_count; i++)
    memory->marks[i] = world_mark(ordeal->world.users[i]);
}

static void go_back(struct store_world *world, struct memory *memory)
{
  for (size_t i = 0; i < memory->users_count; i++)
    world_back(&memory->marks[i]);
  for (size_t i = memory->users_count; i < world->users_count; i++)
    ledger_user_deinit(&world->users[i]->state);
  world->users_count = memory->users_count;
}

static void keep(struct store_world *world, struct memory *memory, struct store_request *request)
{
  for (size_t i = 0; i < memory->users_count; i++)
    ledger_user_deinit(&memory->marks[i].state);
  request->status = STORE_OK;
  for (size_t i = 0; i < request->commit.units_count; i++)
    request->commit.units[i]->status = STORE_OK;
  world_commit_done(world, request);
}

/* By opening its partitions anew: all of it, or nothing. */
static bool is_there(struct ordeal *ordeal, const struct store_request *request)
{
  unsigned there = 0;
  for (size_t i = 0; i < request->commit.batches_count; i++) {
    const struct store_batch *batch = &request->commit.batches[i];
    struct store_request *open = store_request_new(STORE_OPEN_PARTITION);
    open->open_partition.partition = batch->partition;
    world_read(&ordeal->world, open, STORE_OK);
    if (open->open_partition.next_batch == batch->number + 1u) {
      assert_memory_equal(open->open_partition.head.bytes, batch->hash.bytes, HF_HASH_SIZE);
      there++;
    } else {
      assert_int_equal(open->open_partition.next_batch, batch->number);
    }
    store_request_free(open);
  }
  assert_true(there == 0 || there == request->commit.batches_count);
  return there > 0;
}

/* The first commit makes the users; each has ops of every user. */
static void stage(struct ordeal *ordeal, unsigned number)
{
  static const uint8_t types[] = {LEDGER_T_GRANT, LEDGER_T_SPEND, LEDGER_T_EARN, LEDGER_T_HOLD,
                                  LEDGER_T_BLOCK};
  struct store_world *world = &ordeal->world;
  if (number == 0) {
    for (uint32_t i = 0; i < ORDEAL_USERS; i++)
      (void)world_user_add(world, i, NULL, "{\"made\":\"in an ordeal\"}");
    for (uint32_t i = 0; i < UNITS; i++)
      (void)world_simple(world, world->users[i % ORDEAL_USERS], LEDGER_T_GRANT, 1, 1000);
    return;
  }
  for (unsigned i = 0; i < UNITS; i++) {
    struct world_user *user = world->users[i % ORDEAL_USERS];
    struct ledger_command command =
      world_command(world, types[(i + number) % sizeof(types)], 1, 1 + number);
    struct world_unit *unit = i % 3 == 0
                                ? world_stage_meta(world, user, &command, "{\"reason\":\"test\"}")
                                : world_stage(world, user, &command);
    assert_int_equal(unit->error, HF_OK);
  }
}

uint64_t ordeal_entries(unsigned commits)
{
  return (uint64_t)commits * UNITS;
}

/* True: it is done. What it said must be so. */
static bool commit(struct ordeal *ordeal, unsigned number)
{
  struct memory memory;
  remember(ordeal, &memory);
  stage(ordeal, number);
  struct store_request *request = world_commit_build(&ordeal->world);
  ordeal->inner->ops->execute(ordeal->inner, request);
  enum store_status status = request->status;
  bool done = status == STORE_OK;
  if (!done) {
    trouble(ordeal);
    assert_true(status == STORE_UNAVAILABLE || status == STORE_UNKNOWN);
    done = is_there(ordeal, request);
    assert_true(!done || status == STORE_UNKNOWN);
  }
  if (done)
    keep(&ordeal->world, &memory, request);
  else
    go_back(&ordeal->world, &memory);
  store_request_free(request);
  if (status != STORE_OK)
    world_take_over(&ordeal->world);
  return done;
}

static void commit_surely(struct ordeal *ordeal, unsigned number)
{
  for (unsigned i = 0; !commit(ordeal, number); i++)
    assert_true(i < TRIES_MAX);
  ordeal->commits++;
  if (ordeal->acknowledged != NULL)
    ordeal->acknowledged(ordeal->arg, ordeal->commits);
}

/* ---- the session ----------------------------------------------------------------------------- */

static void project(struct ordeal *ordeal)
{
  for (uint32_t i = 0; i < 1u << ORDEAL_PARTITION_BITS; i++) {
    struct store_request *request = store_request_new(STORE_PROJECT);
    request->project.partition = i;
    request->project.limit = 1000;
    world_read(&ordeal->world, request, STORE_OK);
    store_request_free(request);
  }
}

void ordeal_session(struct ordeal *ordeal)
{
  open_engine(ordeal);
  world_init(&ordeal->world, &ordeal->engine);
  ordeal->has_world = true;
  for (unsigned i = 0; i < COMMITS; i++) {
    commit_surely(ordeal, i);
    if (i % 4u == 3u)
      project(ordeal);
  }
  for (size_t i = 0; i < ORDEAL_USERS; i++)
    check_loaded(&ordeal->world, ordeal->world.users[i]);
  close_engine(ordeal);
}

/* ---- afterwards ------------------------------------------------------------------------------ */

static void check_books(struct ordeal *ordeal, uint64_t *ret_entries)
{
  char why[256] = "";
  struct verify_report chains = {0};
  struct replay_report books = {0};
  if (store_admin_of(ordeal->inner)->selfcheck(ordeal->inner, why) != HF_OK)
    fail_msg("%s", why);
  assert_int_equal(verify_run(ordeal->inner, &chains), HF_OK);
  assert_int_equal(chains.findings, 0);
  assert_int_equal(replay_run(ordeal->inner, false, &books), HF_OK);
  assert_int_equal(books.differences, 0);
  assert_int_equal(books.damage, 0);
  assert_int_equal(books.entries, chains.entries);
  *ret_entries = chains.entries;
}

uint64_t ordeal_check(struct ordeal *ordeal)
{
  unsigned troubles = ordeal->troubles;
  uint64_t entries = 0, more = 0;
  open_engine(ordeal);
  assert_int_equal(ordeal->troubles, troubles);
  check_books(ordeal, &entries);
  if (ordeal->has_world) {
    world_take_over(&ordeal->world);
    for (size_t i = 0; i < ordeal->world.users_count; i++)
      check_loaded(&ordeal->world, ordeal->world.users[i]);
    commit_surely(ordeal, COMMITS);
  } else {
    world_init(&ordeal->world, &ordeal->engine);
    ordeal->has_world = true;
    commit_surely(ordeal, 0);
  }
  assert_int_equal(ordeal->troubles, troubles);
  check_books(ordeal, &more);
  assert_int_equal(more, entries + UNITS);
  close_engine(ordeal);
  return entries;
}

/* ---- the folder ------------------------------------------------------------------------------ */

void ordeal_init(struct ordeal *ordeal, const char *folder)
{
  const char *base = getenv("TMPDIR");
  *ordeal = (struct ordeal){0};
  if (folder != NULL) {
    (void)snprintf(ordeal->folder, sizeof(ordeal->folder), "%s", folder);
  } else {
    (void)snprintf(ordeal->folder, sizeof(ordeal->folder), "%.30s/holdfast-ordeal-XXXXXX",
                   base != NULL ? base : "/tmp");
    assert_non_null(mkdtemp(ordeal->folder));
  }
  (void)snprintf(ordeal->path, sizeof(ordeal->path), "%s/store.db", ordeal->folder);
}

void ordeal_deinit(struct ordeal *ordeal)
{
  if (ordeal->inner != NULL)
    close_engine(ordeal);
  if (ordeal->has_world)
    world_deinit(&ordeal->world);
  DIR *folder = opendir(ordeal->folder);
  assert_non_null(folder);
  for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder))
    if (entry->d_name[0] != '.')
      assert_int_equal(unlinkat(dirfd(folder), entry->d_name, 0), 0);
  assert_int_equal(closedir(folder), 0);
  assert_int_equal(rmdir(ordeal->folder), 0);
}
