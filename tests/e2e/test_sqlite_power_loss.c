/* The SQLite store loses power, again and again, at any write: in a commit, in a checkpoint beside
 * it, at the opening, at the close. After each loss every acknowledged unit is there exactly once,
 * and the one that was not acknowledged is there whole or not at all.
 *
 * Each run has a seed of its own, which it prints; HOLDFAST_SEED repeats one.
 * ctest: timeout=300 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "adapters/store_sqlite/sqlite_engine.h"
#include "holdfast/hash.h"
#include "tests/support/failing_vfs.h"
#include "tests/support/store_check.h"
#include "tests/support/store_world.h"

#define ROUNDS 80u
#define PARTITION_BITS 2u
#define PARTITIONS (1u << PARTITION_BITS)
#define USERS_MAX 48u
#define COMMITS_MAX 12u
#define SCRIPT_COMMITS 8u
#define UNITS_MAX 40u

struct storm {
  uint64_t seed, random;
  char folder[64], path[96];
  struct failing_vfs *vfs;
  struct store_world world;
  unsigned commits;            /* of the next round; 0: drawn */
  unsigned losses, lost, kept; /* losses; unacknowledged commits that were gone, that were there */
};

static uint64_t draw(struct storm *storm, uint64_t below)
{
  storm->random ^= storm->random << 13;
  storm->random ^= storm->random >> 7;
  storm->random ^= storm->random << 17;
  return storm->random * 2685821657736338717u % below;
}

/* ---- the engine ------------------------------------------------------------------------------ */

static enum hf_error open_engine(struct storm *storm)
{
  char why[256] = "";
  struct store_engine *opened = NULL;
  const struct store_sqlite_config config = {
    .path = storm->path,
    .partition_bits = PARTITION_BITS,
    .readers = 1,
    /* Often so small that commits spill into the log before they end. */
    .cache_bytes = draw(storm, 2) == 0 ? 1u << 16 : 1u << 20,
    .migrate = true,
    .vfs = failing_vfs_name(storm->vfs),
  };
  enum hf_error error = store_sqlite_open(&config, &opened, why);
  if (error == HF_OK) {
    struct sqlite_engine *engine = (struct sqlite_engine *)(void *)opened;
    /* Checkpoints come many times in a round. */
    engine->checkpointer.wish_pages = 40;
    engine->checkpointer.rest_pages = 8;
    storm->world.engine = opened;
  } else if (!failing_vfs_is_cut(storm->vfs)) {
    fail_msg("seed %llu: the store does not open: %s", (unsigned long long)storm->seed, why);
  }
  return error;
}

static void close_engine(struct storm *storm)
{
  storm->world.engine->ops->close(storm->world.engine);
  storm->world.engine = NULL;
}

/* Opens with the power on for good. */
static void open_surely(struct storm *storm)
{
  assert_int_equal(open_engine(storm), HF_OK);
}

/* ---- commits --------------------------------------------------------------------------------- */

/* What the model was before a commit, to go back to. */
struct memory {
  struct world_mark marks[USERS_MAX];
  size_t users_count;
};

static void remember(struct storm *storm, struct memory *memory)
{
  memory->users_count = storm->world.users_count;
  for (size_t i = 0; i < memory->users_count; i++)
    memory->marks[i] = world_mark(storm->world.users[i]);
}

static void forget(struct memory *memory)
{
  for (size_t i = 0; i < memory->users_count; i++)
    ledger_user_deinit(&memory->marks[i].state);
}

static void go_back(struct storm *storm, struct memory *memory)
{
  for (size_t i = 0; i < memory->users_count; i++)
    world_back(&memory->marks[i]);
  for (size_t i = memory->users_count; i < storm->world.users_count; i++) {
    ledger_user_deinit(&storm->world.users[i]->state);
    ledger_user_init(&storm->world.users[i]->state, storm->world.users[i]->row.id);
    storm->world.users[i]->history_count = 0;
  }
  storm->world.users_count = memory->users_count;
}

static void stage_some(struct storm *storm)
{
  static const uint8_t types[] = {LEDGER_T_EARN, LEDGER_T_GRANT, LEDGER_T_SPEND, LEDGER_T_HOLD,
                                  LEDGER_T_BLOCK};
  struct store_world *world = &storm->world;
  uint64_t count = 1u + draw(storm, UNITS_MAX);
  if (world->users_count == 0 || (world->users_count < USERS_MAX && draw(storm, 3) == 0))
    (void)world_user_add(world, (uint32_t)draw(storm, PARTITIONS), NULL,
                         "{\"made\":\"in a storm\"}");
  for (uint64_t i = 0; i < count; i++) {
    struct world_user *user = world->users[draw(storm, world->users_count)];
    uint16_t asset = (uint16_t)(1u + draw(storm, 3));
    uint8_t type = types[draw(storm, sizeof(types))];
    if (draw(storm, 8) == 0) {
      struct ledger_command command = world_command(world, LEDGER_T_GRANT, asset, 1000);
      (void)world_stage_meta(world, user, &command, "{\"reason\":\"thunder\"}");
    } else {
      (void)world_simple(world, user, type, asset, 1 + (hf_amount)draw(storm, 500));
    }
  }
}

/* ---- what is there after a loss -------------------------------------------------------------- */

static void open_partition(struct storm *storm, uint32_t partition, struct store_partition *out)
{
  struct store_request *request = store_request_new(STORE_OPEN_PARTITION);
  request->open_partition.partition = partition;
  world_read(&storm->world, request, STORE_OK);
  *out = request->open_partition;
  store_request_free(request);
}

/* The unacknowledged commit: is it there? It must be so in all of its partitions. */
static bool look_for(struct storm *storm, const struct store_request *request)
{
  unsigned there = 0;
  for (size_t i = 0; i < request->commit.batches_count; i++) {
    const struct store_batch *batch = &request->commit.batches[i];
    struct store_partition now;
    open_partition(storm, batch->partition, &now);
    if (now.next_batch == batch->number + 1u) {
      assert_memory_equal(now.head.bytes, batch->hash.bytes, HF_HASH_SIZE);
      assert_int_equal(now.next_seq, batch->first_seq + batch->entries_count);
      there++;
    } else {
      assert_int_equal(now.next_batch, batch->number);
      assert_int_equal(now.next_seq, batch->first_seq);
    }
  }
  assert_true(there == 0 || there == request->commit.batches_count);
  return there > 0;
}

/* Every entry of the model, once, and no other. */
static void check_journal(struct storm *storm, uint32_t partition)
{
  struct store_request *request = store_request_new(STORE_SCAN);
  size_t expected = 0;
  for (size_t i = 0; i < storm->world.users_count; i++)
    if (hf_id_partition(storm->world.users[i]->row.id, PARTITION_BITS) == partition)
      expected += storm->world.users[i]->history_count;
  request->scan.partition = partition;
  request->scan.from_seq = 1;
  request->scan.limit = UINT32_MAX;
  world_read(&storm->world, request, STORE_OK);
  assert_int_equal(request->scan.entries_count, expected);
  for (size_t i = 0; i < expected; i++) {
    const struct ledger_entry *entry = &request->scan.entries[i];
    size_t at = 0;
    while (at < storm->world.users_count && storm->world.users[at]->row.id != entry->user)
      at++;
    assert_true(at < storm->world.users_count);
    const struct world_user *user = storm->world.users[at];
    assert_int_equal(hf_id_serial(entry->id, PARTITION_BITS), i + 1u);
    assert_in_range(entry->version, 1, user->history_count);
    check_entry(entry, user->history[entry->version - 1u]);
    if (entry->has_metadata)
      check_text(request->scan.metadata[i], "{\"reason\":\"thunder\"}");
  }
  store_request_free(request);
}

static void check_keys(struct storm *storm, const struct world_user *user)
{
  for (size_t i = 0; i < user->history_count; i++) {
    const struct ledger_entry *entry = user->history[i];
    if (entry->op_index != 0)
      continue;
    struct store_request *request = store_request_new(STORE_GET_KEY_OP);
    request->get_key_op.user = user->row.id;
    request->get_key_op.key = entry->key;
    world_read(&storm->world, request, STORE_OK);
    assert_int_equal(request->get_key_op.out->entries_count, entry->op_count);
    assert_int_equal(request->get_key_op.out->entries[0].id, entry->id);
    store_request_free(request);
  }
}

static void check_all(struct storm *storm)
{
  char why[256] = "";
  world_take_over(&storm->world);
  for (uint32_t i = 0; i < PARTITIONS; i++)
    check_journal(storm, i);
  for (size_t i = 0; i < storm->world.users_count; i++) {
    check_loaded(&storm->world, storm->world.users[i]);
    check_keys(storm, storm->world.users[i]);
  }
  if (store_admin_of(storm->world.engine)->selfcheck(storm->world.engine, why) != HF_OK)
    fail_msg("seed %llu: %s", (unsigned long long)storm->seed, why);
}

/* ---- rounds ---------------------------------------------------------------------------------- */

static void adopt(struct storm *storm, struct store_request *request)
{
  request->status = STORE_OK;
  for (size_t i = 0; i < request->commit.units_count; i++)
    request->commit.units[i]->status = STORE_OK;
  world_commit_done(&storm->world, request);
}

/* The power is out. Brings the store back and the model to what is there; `request`, if any, was
 * not acknowledged. */
static void recover(struct storm *storm, struct store_request *request, struct memory *memory)
{
  storm->losses++;
  if (storm->world.engine != NULL)
    close_engine(storm);
  failing_vfs_restore(storm->vfs);
  open_surely(storm);
  if (request == NULL)
    return;
  if (look_for(storm, request)) {
    storm->kept++;
    forget(memory);
    adopt(storm, request);
  } else {
    storm->lost++;
    go_back(storm, memory);
  }
  store_request_free(request);
}

/* Commits until the power goes out, or a few times. */
static void round_of_commits(struct storm *storm)
{
  uint64_t count = storm->commits > 0 ? storm->commits : 1u + draw(storm, COMMITS_MAX);
  for (uint64_t i = 0; i < count; i++) {
    struct memory memory;
    remember(storm, &memory);
    stage_some(storm);
    struct store_request *request = world_commit_build(&storm->world);
    storm->world.engine->ops->execute(storm->world.engine, request);
    if (request->status != STORE_OK) {
      assert_true(failing_vfs_is_cut(storm->vfs));
      assert_true(request->status == STORE_UNAVAILABLE || request->status == STORE_UNKNOWN);
      recover(storm, request, &memory);
      return;
    }
    world_commit_done(&storm->world, request);
    store_request_free(request);
    forget(&memory);
  }
}

/* Where the power goes out. */
enum manner { IN_COMMIT, IN_COMMIT_AGAIN, ANYWHERE, AT_CLOSE, AT_OPEN, MANNERS };

static void one_round(struct storm *storm)
{
  uint64_t manner = draw(storm, MANNERS);
  if (manner <= IN_COMMIT_AGAIN) /* or in a checkpoint's sync of the log */
    failing_vfs_cut(storm->vfs, 1u + draw(storm, 12), true);
  else if (manner == ANYWHERE)
    failing_vfs_cut(storm->vfs, 1u + draw(storm, 200), false);
  round_of_commits(storm);
  if (manner == AT_CLOSE || manner == AT_OPEN) {
    if (manner == AT_CLOSE)
      failing_vfs_cut(storm->vfs, 1u + draw(storm, 40), false);
    close_engine(storm);
  }
  if (manner == AT_OPEN) {
    failing_vfs_cut(storm->vfs, 1u + draw(storm, 4), false);
    if (open_engine(storm) == HF_OK)
      close_engine(storm);
  }
  failing_vfs_cut(storm->vfs, 0, false);
  if (failing_vfs_is_cut(storm->vfs))
    recover(storm, NULL, NULL);
  else if (storm->world.engine == NULL)
    open_surely(storm);
  check_all(storm);
}

/* Some commits, a close, an opening: what the power that goes out in one of its calls leaves. */
static void one_script(struct storm *storm)
{
  storm->commits = SCRIPT_COMMITS;
  round_of_commits(storm);
  storm->commits = 0;
  if (!failing_vfs_is_cut(storm->vfs) && storm->losses == 0) {
    close_engine(storm);
    if (open_engine(storm) == HF_OK && failing_vfs_is_cut(storm->vfs))
      close_engine(storm);
  }
  failing_vfs_cut(storm->vfs, 0, false);
  if (failing_vfs_is_cut(storm->vfs))
    recover(storm, NULL, NULL);
  check_all(storm);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static uint64_t seed_of_run(void)
{
  const char *text = getenv("HOLDFAST_SEED");
  uint32_t fresh;
  hf_random_bytes(&fresh, sizeof(fresh));
  return text != NULL ? strtoull(text, NULL, 10) : fresh;
}

static void storm_begin(struct storm *storm, uint64_t seed)
{
  const char *base = getenv("TMPDIR");
  *storm = (struct storm){.seed = seed, .random = seed * 2u + 1u};
  (void)snprintf(storm->folder, sizeof(storm->folder), "%.30s/holdfast-power-XXXXXX",
                 base != NULL ? base : "/tmp");
  assert_non_null(mkdtemp(storm->folder));
  (void)snprintf(storm->path, sizeof(storm->path), "%s/store.db", storm->folder);
  storm->vfs = failing_vfs_new(storm->seed);
  open_surely(storm);
  world_init(&storm->world, storm->world.engine);
}

static void storm_end(struct storm *storm)
{
  static const char *const files[] = {"store.db", "store.db-journal", "store.db-wal",
                                      "store.db.lock"};
  close_engine(storm);
  world_deinit(&storm->world);
  failing_vfs_free(storm->vfs);
  for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", storm->folder, files[i]);
    (void)unlink(path);
  }
  assert_int_equal(rmdir(storm->folder), 0);
}

static void test_power_loss_when_at_any_write_then_acknowledged_units_are_there_once(void **state)
{
  struct storm storm;
  (void)state;
  storm_begin(&storm, seed_of_run());
  print_message("seed %llu\n", (unsigned long long)storm.seed);
  for (unsigned i = 0; i < ROUNDS; i++)
    one_round(&storm);
  print_message("%u losses; unacknowledged commits: %u gone, %u there\n", storm.losses, storm.lost,
                storm.kept);
  assert_true(storm.losses >= ROUNDS / 2u);
  assert_true(storm.lost + storm.kept > 0);
  storm_end(&storm);
}

/* The same script again and again, until the power lasts to its end. */
static void test_power_loss_when_at_each_write_of_a_script_then_the_same(void **state)
{
  const uint64_t seed = seed_of_run();
  unsigned losses = 1, nth = 0, lost = 0, kept = 0;
  (void)state;
  print_message("seed %llu\n", (unsigned long long)seed);
  while (losses > 0) {
    struct storm storm;
    storm_begin(&storm, seed);
    failing_vfs_cut(storm.vfs, ++nth, false);
    one_script(&storm);
    losses = storm.losses;
    lost += storm.lost;
    kept += storm.kept;
    storm_end(&storm);
  }
  print_message("%u calls; unacknowledged commits: %u gone, %u there\n", nth - 1u, lost, kept);
  assert_true(nth > SCRIPT_COMMITS && lost + kept > 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_power_loss_when_at_any_write_then_acknowledged_units_are_there_once),
    cmocka_unit_test(test_power_loss_when_at_each_write_of_a_script_then_the_same),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
