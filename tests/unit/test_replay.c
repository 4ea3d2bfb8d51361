/* replay and verify over a SQLite store whose rows are changed behind its back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "actors/store/unit.h"
#include "adapters/store/store_admin.h"
#include "server/journal.h"
#include "server/replay.h"
#include "server/verify.h"
#include "tests/support/store_fixture.h"

#define FOUND_MAX 64u

static struct replay_difference differences[FOUND_MAX];
static struct verify_finding findings[FOUND_MAX];
static size_t differences_count, findings_count;

static void on_difference(void *arg, const struct replay_difference *difference)
{
  (void)arg;
  assert_true(differences_count < FOUND_MAX);
  differences[differences_count] = *difference;
  differences[differences_count++].label = ""; /* a view that does not last */
}

static void on_finding(void *arg, const struct verify_finding *finding)
{
  (void)arg;
  assert_true(findings_count < FOUND_MAX);
  findings[findings_count++] = *finding;
}

static struct replay_report replayed(struct store_fixture *fixture, bool repair)
{
  struct replay_report report = {.found = on_difference};
  differences_count = 0;
  assert_int_equal(replay_run(fixture->engine, repair, &report), HF_OK);
  assert_int_equal(report.differences, differences_count);
  return report;
}

static struct verify_report verified(struct store_fixture *fixture)
{
  struct verify_report report = {.found = on_finding};
  findings_count = 0;
  assert_int_equal(verify_run(fixture->engine, &report), HF_OK);
  assert_int_equal(report.findings, findings_count);
  return report;
}

/* Runs SQL on the store's file as another program would. */
static void tamper(const struct store_fixture *fixture, const char *sql)
{
  char path[512], *why = NULL;
  sqlite3 *database;
  (void)snprintf(path, sizeof path, "%s/store.db", fixture->folder);
  assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
  if (sqlite3_exec(database, sql, NULL, NULL, &why) != SQLITE_OK)
    fail_msg("%s: %s", sql, why);
  assert_int_equal(sqlite3_close(database), SQLITE_OK);
}

/* Triggers keep the append-only tables: they go, and come back as the schema check wants them. */
static void tamper_journal(const struct store_fixture *fixture, unsigned partition, const char *sql)
{
  char text[512];
  (void)snprintf(text, sizeof text,
                 "DROP TRIGGER journal_%u_update;DROP TRIGGER journal_%u_delete;%s", partition,
                 partition, sql);
  tamper(fixture, text);
}

struct people {
  struct world_user *ann, *bob, *cid;
  hf_id hold, block;
};

static void add_asset(struct store_world *world, uint16_t id, const char *code)
{
  struct store_asset_row asset = {.id = id, .scale = WORLD_SCALE, .chain_decimals = 255};
  const struct store_row row = {.table = STORE_T_ASSET, .action = STORE_INSERT, .asset = &asset};
  (void)snprintf(asset.code, sizeof asset.code, "%s", code);
  (void)world_stage_rows(world, 0, &row, 1);
  world_must_commit(world);
}

/* Three users, two assets, holds and blocks open and resolved, a refusal, metadata, a transfer. */
static struct people make_history(struct store_fixture *fixture)
{
  struct store_world *world = &fixture->world;
  struct people people;
  add_asset(world, 1, "COIN");
  add_asset(world, 2, "GEM");
  people.ann = world_user_add(world, 0, "ann", NULL);
  people.bob = world_user_add(world, 1, "bob", NULL);
  people.cid = world_user_add(world, 1, "cid", NULL);
  world_name_add(world, people.ann);
  world_name_add(world, people.bob);
  world_name_add(world, people.cid);
  world_must_commit(world);
  (void)world_simple(world, people.ann, LEDGER_T_GRANT, 1, 100);
  (void)world_simple(world, people.bob, LEDGER_T_DEPOSIT, 1, 50);
  (void)world_simple(world, people.cid, LEDGER_T_EARN, 2, 30);
  world_must_commit(world);
  struct world_unit *hold = world_simple(world, people.ann, LEDGER_T_HOLD, 1, 20);
  struct world_unit *block = world_simple(world, people.bob, LEDGER_T_BLOCK, 1, 7);
  world_must_commit(world);
  people.hold = world_op(hold);
  people.block = world_op(block);
  struct world_unit *gone = world_simple(world, people.ann, LEDGER_T_HOLD, 1, 5);
  world_must_commit(world);
  (void)world_ref(world, people.ann, LEDGER_T_VOID, world_op(gone), 0);
  assert_int_equal(world_simple(world, people.bob, LEDGER_T_SPEND, 1, 1000)->error,
                   HF_E_INSUFFICIENT_FUNDS);
  struct ledger_command spend = world_command(world, LEDGER_T_SPEND, 1, 3);
  (void)world_stage_meta(world, people.bob, &spend, "{\"reason\":\"lunch\"}");
  (void)world_simple(world, people.ann, LEDGER_T_GRANT, 2, 9);
  world_must_commit(world);
  return people;
}

/* Carries all partitions on to their ends. */
static void project(struct store_fixture *fixture)
{
  for (uint32_t p = 0; p < 1u << FIXTURE_PARTITION_BITS; p++) {
    struct store_request *request = store_request_new(STORE_PROJECT);
    request->project.partition = p;
    request->project.limit = 1000;
    world_read(&fixture->world, request, STORE_OK);
    store_request_free(request);
  }
}

static const struct replay_difference *only_difference(void)
{
  if (differences_count != 1)
    fail_msg("%zu differences", differences_count);
  return &differences[0];
}

static void expect_finding(const char *what, uint32_t partition, uint64_t batch, uint64_t seq)
{
  if (findings_count != 1)
    fail_msg("%zu findings", findings_count);
  assert_string_equal(findings[0].what, what);
  assert_int_equal(findings[0].partition, partition);
  assert_int_equal(findings[0].batch, batch);
  assert_int_equal(findings[0].seq, seq);
}

/* ---- intact ---------------------------------------------------------------------------------- */

static void test_checks_when_the_store_is_empty_then_nothing_is_found(void **state)
{
  struct replay_report report = replayed(*state, false);
  assert_int_equal(report.entries, 0);
  assert_int_equal(report.differences, 0);
  assert_int_equal(verified(*state).findings, 0);
}

static void test_checks_when_the_store_is_whole_then_all_of_it_is_counted(void **state)
{
  (void)make_history(*state);
  struct replay_report report = replayed(*state, false);
  assert_int_equal(report.differences, 0);
  assert_int_equal(report.entries, 9); /* the commands that were applied: an entry each */
  assert_int_equal(report.users, 3);
  assert_int_equal(report.lagging, report.entries); /* nothing was projected yet */
  struct verify_report chains = verified(*state);
  assert_int_equal(chains.findings, 0);
  assert_int_equal(chains.entries, report.entries);
  assert_int_equal(chains.outcomes, 1);
  assert_int_equal(chains.metadata, 1);
  assert_true(chains.batches >= 5);
}

static void test_replay_when_projections_lag_then_they_are_compared_where_they_stand(void **state)
{
  struct store_fixture *fixture = *state;
  struct people people = make_history(fixture);
  project(fixture);
  assert_int_equal(replayed(fixture, false).lagging, 0);
  (void)world_simple(&fixture->world, people.ann, LEDGER_T_SPEND, 1, 1);
  (void)world_simple(&fixture->world, people.bob, LEDGER_T_GRANT, 2, 1);
  world_must_commit(&fixture->world);
  struct replay_report report = replayed(fixture, false);
  assert_int_equal(report.differences, 0);
  assert_int_equal(report.lagging, 2);
}

/* ---- projections ----------------------------------------------------------------------------- */

static void test_replay_when_a_balance_was_changed_then_named_and_repaired(void **state)
{
  struct store_fixture *fixture = *state;
  struct people people = make_history(fixture);
  char sql[256];
  project(fixture);
  /* The debt's bytes are those of zero. */
  (void)snprintf(sql, sizeof sql,
                 "UPDATE ledger_balances SET claimable=debt WHERE user=%llu AND asset=1",
                 (unsigned long long)people.ann->row.id);
  tamper(fixture, sql);
  struct replay_report report = replayed(fixture, false);
  const struct replay_difference *found = only_difference();
  assert_int_equal(found->table, REPLAY_BALANCES);
  assert_int_equal(found->user, people.ann->row.id);
  assert_int_equal(found->asset, 1);
  assert_string_equal(found->field, "claimable");
  assert_true(found->journal == 80 && found->found == 0 && found->amounts);
  assert_int_equal(report.damage, 0);
  assert_false(report.repaired);
  assert_true(replayed(fixture, true).repaired);
  assert_int_equal(replayed(fixture, false).differences, 0);
}

/* Each column that a server shows or reports from, and no other one with it. */
static void test_replay_when_any_column_of_a_balance_was_changed_then_it_is_named(void **state)
{
  static const char *const columns[] = {"version", "earned",        "pending",    "claimable",
                                        "held",    "claiming",      "blocked",    "quarantine",
                                        "debt",    "claimed_total", "spent_total"};
  struct store_fixture *fixture = *state;
  struct people people = make_history(fixture);
  char sql[512];
  project(fixture);
  for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
    /* The totals' own bytes are of a value that no column has. */
    (void)snprintf(sql, sizeof sql, "UPDATE ledger_balances SET %s=%s WHERE user=%llu AND asset=1",
                   columns[i], i == 0 ? "version+1" : "(SELECT min(sum) FROM system_totals)",
                   (unsigned long long)people.ann->row.id);
    tamper(fixture, sql);
    (void)replayed(fixture, false);
    assert_string_equal(only_difference()->field, columns[i]);
    assert_true(replayed(fixture, true).repaired);
  }
}

static void test_replay_when_balances_are_missing_or_too_many_then_each_is_named(void **state)
{
  struct store_fixture *fixture = *state;
  struct people people = make_history(fixture);
  char sql[512];
  project(fixture);
  (void)snprintf(sql, sizeof sql,
                 "UPDATE ledger_balances SET user=%llu WHERE user=%llu AND asset=2",
                 (unsigned long long)people.bob->row.id, (unsigned long long)people.cid->row.id);
  tamper(fixture, sql);
  (void)replayed(fixture, false);
  assert_int_equal(differences_count, 4); /* version and bucket, of one too many and one missing */
  assert_int_equal(differences[0].user, people.bob->row.id);
  assert_true(differences[1].journal == 0 && differences[1].found == 30);
  assert_int_equal(differences[2].user, people.cid->row.id);
  assert_true(differences[3].journal == 30 && differences[3].found == 0);
  assert_true(replayed(fixture, true).repaired);
  assert_int_equal(replayed(fixture, false).differences, 0);
}

static void test_replay_when_a_total_was_changed_then_its_account_is_named(void **state)
{
  struct store_fixture *fixture = *state;
  (void)make_history(fixture);
  project(fixture);
  tamper(fixture, "UPDATE system_totals SET sum=(SELECT debt FROM ledger_balances LIMIT 1) "
                  "WHERE partition=0 AND account=17 AND asset=1");
  (void)replayed(fixture, false);
  const struct replay_difference *found = only_difference();
  assert_int_equal(found->table, REPLAY_TOTALS);
  assert_string_equal(found->account, "sys:rewards");
  assert_true(found->journal == -100 && found->found == 0);
  assert_true(replayed(fixture, true).repaired);
  assert_int_equal(replayed(fixture, false).differences, 0);
}

static void test_replay_when_holds_or_blocks_were_changed_then_named_and_repaired(void **state)
{
  struct store_fixture *fixture = *state;
  struct people people = make_history(fixture);
  char sql[256];
  (void)snprintf(sql, sizeof sql, "UPDATE holds SET state=2,open=0,resolved_us=5 WHERE id=%llu",
                 (unsigned long long)people.hold);
  tamper(fixture, sql);
  (void)snprintf(sql, sizeof sql, "DELETE FROM blocks WHERE id=%llu",
                 (unsigned long long)people.block);
  tamper(fixture, sql);
  struct replay_report report = replayed(fixture, false);
  assert_int_equal(differences_count, 3);
  assert_int_equal(differences[0].table, REPLAY_HOLDS);
  assert_int_equal(differences[0].id, people.hold);
  assert_string_equal(differences[0].field, "state");
  assert_string_equal(differences[1].field, "resolved_us");
  assert_int_equal(differences[2].table, REPLAY_BLOCKS);
  assert_int_equal(differences[2].id, people.block);
  assert_int_equal(report.damage, 0);
  assert_true(replayed(fixture, true).repaired);
  assert_int_equal(replayed(fixture, false).differences, 0);
  assert_int_equal(verified(fixture).findings, 0); /* a repair touches no journal */
}

static void test_replay_when_a_projection_cannot_be_read_then_found_and_repaired(void **state)
{
  struct store_fixture *fixture = *state;
  (void)make_history(fixture);
  project(fixture);
  tamper(fixture, "UPDATE ledger_balances SET claimable=x'00'");
  (void)replayed(fixture, false);
  assert_string_equal(only_difference()->field, "a row cannot be read");
  assert_true(replayed(fixture, true).repaired);
  assert_int_equal(replayed(fixture, false).differences, 0);
}

static void test_replay_when_a_mark_cannot_be_read_then_found_and_repaired(void **state)
{
  struct store_fixture *fixture = *state;
  (void)make_history(fixture);
  project(fixture);
  tamper(fixture, "UPDATE projection_marks SET seq=-1 WHERE partition=1");
  (void)replayed(fixture, false);
  assert_string_equal(only_difference()->field, "a row cannot be read");
  assert_int_equal(only_difference()->table, REPLAY_BALANCES);
  assert_int_equal(only_difference()->partition, 1);
  assert_true(replayed(fixture, true).repaired);
  assert_int_equal(replayed(fixture, false).differences, 0);
}

static void test_replay_when_an_index_row_is_gone_then_no_repair_is_claimed(void **state)
{
  struct store_fixture *fixture = *state;
  struct people people = make_history(fixture);
  char sql[256];
  (void)snprintf(
    sql, sizeof sql,
    "DELETE FROM user_index WHERE user=%llu AND slot=(SELECT max(slot) FROM user_index "
    "WHERE user=%llu AND typeof(slot)='integer')",
    (unsigned long long)people.bob->row.id, (unsigned long long)people.bob->row.id);
  tamper(fixture, sql);
  struct replay_report report = replayed(fixture, true);
  assert_true(report.damage > 0);
  assert_false(report.repaired);
  for (size_t i = 0; i < differences_count; i++)
    assert_int_equal(differences[i].table, REPLAY_INDEX);
  assert_int_equal(differences[0].user, people.bob->row.id);
}

static void count_runs(const struct store_fixture *fixture, int *ret_runs, int *ret_repaired)
{
  char path[512];
  sqlite3 *database;
  sqlite3_stmt *select;
  (void)snprintf(path, sizeof path, "%s/store.db", fixture->folder);
  assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
  assert_int_equal(sqlite3_prepare_v2(database, "SELECT count(*),sum(repaired) FROM replay_runs",
                                      -1, &select, NULL),
                   SQLITE_OK);
  assert_int_equal(sqlite3_step(select), SQLITE_ROW);
  *ret_runs = sqlite3_column_int(select, 0);
  *ret_repaired = sqlite3_column_int(select, 1);
  assert_int_equal(sqlite3_finalize(select), SQLITE_OK);
  assert_int_equal(sqlite3_close(database), SQLITE_OK);
}

static void test_replay_when_run_then_a_row_of_it_is_kept(void **state)
{
  struct store_fixture *fixture = *state;
  int runs, repaired;
  (void)make_history(fixture);
  (void)replayed(fixture, false);
  tamper(fixture, "DELETE FROM holds");
  (void)replayed(fixture, false);
  (void)replayed(fixture, true);
  (void)replayed(fixture, true); /* nothing to repair any more */
  count_runs(fixture, &runs, &repaired);
  assert_int_equal(runs, 4);
  assert_int_equal(repaired, 1);
}

/* ---- the journal ----------------------------------------------------------------------------- */

/* Every byte of three bodies, one bit each: verify names the entry, whatever the byte meant. */
static void test_verify_when_any_byte_is_flipped_then_its_entry_is_named(void **state)
{
  struct store_fixture *fixture = *state;
  char path[512], sql[256];
  sqlite3 *database;
  sqlite3_stmt *select;
  (void)make_history(fixture);
  tamper_journal(fixture, 1, "");
  (void)snprintf(path, sizeof path, "%s/store.db", fixture->folder);
  for (unsigned seq = 1; seq <= 3; seq++) {
    uint8_t body[512];
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    (void)snprintf(sql, sizeof sql, "SELECT body FROM journal_1 WHERE seq=%u", seq);
    assert_int_equal(sqlite3_prepare_v2(database, sql, -1, &select, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(select), SQLITE_ROW);
    int size = sqlite3_column_bytes(select, 0);
    assert_true(size > 0 && (size_t)size <= sizeof body);
    memcpy(body, sqlite3_column_blob(select, 0), (size_t)size);
    assert_int_equal(sqlite3_finalize(select), SQLITE_OK);
    (void)snprintf(sql, sizeof sql, "UPDATE journal_1 SET body=? WHERE seq=%u", seq);
    assert_int_equal(sqlite3_prepare_v2(database, sql, -1, &select, NULL), SQLITE_OK);
    for (int i = 0; i <= size; i++) { /* the last time as it was */
      if (i > 0)
        body[i - 1] ^= (uint8_t)(1u << ((unsigned)(i - 1) % 8u));
      if (i < size)
        body[i] ^= (uint8_t)(1u << ((unsigned)i % 8u));
      assert_int_equal(sqlite3_bind_blob(select, 1, body, size, SQLITE_STATIC), SQLITE_OK);
      assert_int_equal(sqlite3_step(select), SQLITE_DONE);
      assert_int_equal(sqlite3_reset(select), SQLITE_OK);
      (void)verified(fixture);
      assert_int_equal(findings_count, i < size ? 1 : 0);
      if (i == size)
        continue;
      assert_int_equal(findings[0].partition, 1);
      assert_int_equal(findings[0].seq, seq);
    }
    assert_int_equal(sqlite3_finalize(select), SQLITE_OK);
    assert_int_equal(sqlite3_close(database), SQLITE_OK);
  }
}

static void test_verify_when_an_entry_is_gone_then_the_place_is_named(void **state)
{
  struct store_fixture *fixture = *state;
  (void)make_history(fixture);
  tamper_journal(fixture, 1, "DELETE FROM journal_1 WHERE seq=2");
  (void)verified(fixture);
  expect_finding("an entry is missing", 1, 2, 2);
  struct replay_report report = replayed(fixture, true);
  assert_true(report.damage > 0);
  assert_false(report.repaired);
  assert_int_equal(differences[0].table, REPLAY_JOURNAL);
}

static void test_verify_when_the_newest_entries_are_gone_then_their_batch_is_named(void **state)
{
  struct store_fixture *fixture = *state;
  (void)make_history(fixture);
  tamper_journal(fixture, 1, "DELETE FROM journal_1 WHERE seq=(SELECT max(seq) FROM journal_1)");
  (void)verified(fixture);
  assert_int_equal(findings_count, 1);
  assert_string_equal(findings[0].what, "entries of the batch are missing");
}

static void test_verify_when_a_refusal_is_gone_then_its_batch_is_named(void **state)
{
  struct store_fixture *fixture = *state;
  (void)make_history(fixture);
  tamper(fixture, "DROP TRIGGER outcomes_delete;DELETE FROM outcomes");
  (void)verified(fixture);
  assert_int_equal(findings_count, 1);
  assert_string_equal(findings[0].what, "refusals of the batch are missing, or are too many");
  assert_int_equal(findings[0].partition, 1);
}

static void test_verify_when_a_refusal_was_changed_then_its_batch_is_named(void **state)
{
  struct store_fixture *fixture = *state;
  (void)make_history(fixture);
  tamper(fixture, "DROP TRIGGER outcomes_update;UPDATE outcomes SET code='user_closed'");
  (void)verified(fixture);
  assert_int_equal(findings_count, 1);
  assert_string_equal(findings[0].what, "the batch's hash does not follow from what is in it");
}

static void test_verify_when_a_batch_is_gone_or_changed_then_named(void **state)
{
  struct store_fixture *fixture = *state;
  (void)make_history(fixture);
  tamper(fixture, "DROP TRIGGER batches_update;UPDATE batches SET committed_us=committed_us+1 "
                  "WHERE partition=0 AND number=3");
  (void)verified(fixture);
  expect_finding("the batch's hash does not follow from what is in it", 0, 3, 0);
  tamper(fixture, "UPDATE batches SET committed_us=committed_us-1 WHERE partition=0 AND number=3;"
                  "DROP TRIGGER batches_delete;DELETE FROM batches WHERE partition=1 AND number=2");
  (void)verified(fixture);
  expect_finding("a batch is missing", 1, 2, 0);
}

static bool take_batch(void *arg, const struct store_batch *batch)
{
  *(struct store_batch *)arg = *batch;
  return true;
}

/* Somebody who knows how hashes are made cannot stop at the one that he changed. */
static void test_verify_when_a_batch_was_made_anew_with_its_hash_then_the_next_is_named(
  void **state)
{
  struct store_fixture *fixture = *state;
  struct store_batch batch = {0};
  struct store_batch_hasher hasher;
  struct journal journal;
  struct journal_entry entry;
  char sql[512], hex[2u * HF_HASH_SIZE + 1u];
  (void)make_history(fixture);
  assert_int_equal(
    store_admin_of(fixture->engine)->each_batch(fixture->engine, 1, 2, 2, take_batch, &batch),
    HF_OK);
  store_batch_begin(&hasher);
  journal_open(&journal, fixture->engine, 1, batch.first_seq);
  for (uint32_t i = 0; i < batch.entries_count; i++) {
    assert_int_equal(journal_next(&journal, &entry), JOURNAL_ENTRY);
    store_batch_entry(&hasher, &entry.entry->hash);
  }
  journal_close(&journal);
  batch.committed_us++;
  store_batch_end(&hasher, &batch);
  hf_hex(batch.hash.bytes, HF_HASH_SIZE, hex);
  (void)snprintf(sql, sizeof sql,
                 "DROP TRIGGER batches_update;UPDATE batches SET committed_us=committed_us+1,"
                 "hash=x'%s' WHERE partition=1 AND number=2",
                 hex);
  tamper(fixture, sql);
  (void)verified(fixture);
  expect_finding("the batch does not name the one before it", 1, 3, 0);
}

static void test_verify_when_the_newest_batch_is_gone_then_its_entry_is_without(void **state)
{
  struct store_fixture *fixture = *state;
  (void)make_history(fixture);
  tamper(fixture, "DROP TRIGGER batches_delete;DELETE FROM batches WHERE partition=0 AND number="
                  "(SELECT max(number) FROM batches WHERE partition=0)");
  (void)verified(fixture);
  assert_int_equal(findings_count, 1);
  assert_string_equal(findings[0].what, "an entry without its batch");
  assert_int_equal(findings[0].partition, 0);
}

static void test_verify_when_metadata_was_changed_then_found_but_erased_it_is_not(void **state)
{
  struct store_fixture *fixture = *state;
  (void)make_history(fixture);
  tamper(fixture, "DROP TRIGGER entry_metadata_update;"
                  "UPDATE entry_metadata SET json='{\"reason\":\"dinner\"}'");
  (void)verified(fixture);
  assert_int_equal(findings_count, 1);
  assert_string_equal(findings[0].what, "the metadata was changed");
  tamper(fixture, "UPDATE entry_metadata SET json=NULL,salt=NULL");
  struct verify_report report = verified(fixture);
  assert_int_equal(report.findings, 0);
  assert_int_equal(report.erased, 1);
}

static void test_verify_when_metadata_is_gone_with_its_row_then_the_operation_is_named(void **state)
{
  struct store_fixture *fixture = *state;
  (void)make_history(fixture);
  tamper(fixture, "DROP TRIGGER entry_metadata_delete;CREATE TABLE gone AS SELECT * FROM "
                  "entry_metadata;DELETE FROM entry_metadata");
  struct verify_report report = verified(fixture);
  expect_finding("its metadata is gone, and was not erased", 1, 4, 4);
  assert_int_equal(report.erased, 0);
  /* Op 13 is the third entry of partition 1, which has none; 17 is the fourth. */
  tamper(fixture, "INSERT INTO entry_metadata SELECT 13,salt,json FROM gone");
  (void)verified(fixture);
  expect_finding("metadata that its entry knows nothing of", 1, 3, 3);
  tamper(fixture, "DELETE FROM entry_metadata;INSERT INTO entry_metadata SELECT * FROM gone;"
                  "INSERT INTO entry_metadata VALUES(1,NULL,NULL)");
  (void)verified(fixture); /* of an entry 0, which there is not */
  expect_finding("metadata of no operation stands before it", 1, 2, 1);
  tamper(fixture, "DELETE FROM entry_metadata WHERE op=1");
  (void)verified(fixture);
  assert_int_equal(findings_count, 0);
}

/* A finding in a later batch, or of what is read ahead, does not hide the entry before it. */
static void test_verify_when_several_rows_are_bad_then_the_first_of_them_is_named(void **state)
{
  struct store_fixture *fixture = *state;
  (void)make_history(fixture);
  tamper(fixture, "DROP TRIGGER outcomes_update;DROP TRIGGER batches_update;"
                  "UPDATE outcomes SET key=x'00'");
  (void)verified(fixture);
  expect_finding("a refusal of the batch, or behind it, cannot be read", 1, 4, 0);
  tamper(fixture, "UPDATE batches SET hash=x'00' WHERE partition=1 AND number=4");
  (void)verified(fixture);
  expect_finding("the row of the batch cannot be read", 1, 4, 0);
  tamper(fixture, "UPDATE batches SET hash=x'00' WHERE partition=1 AND number=3");
  (void)verified(fixture);
  expect_finding("the row of the batch cannot be read", 1, 3, 0);
  tamper_journal(fixture, 1, "UPDATE journal_1 SET body=x'00' WHERE seq=1");
  (void)verified(fixture);
  expect_finding("its row, or that of its metadata, cannot be read", 1, 2, 1);
  tamper(fixture, "UPDATE outcomes SET batch=1");
  (void)verified(fixture); /* not in any order any more, but that cannot be read either */
  expect_finding("its row, or that of its metadata, cannot be read", 1, 2, 1);
}

static void test_verify_when_a_refusal_says_another_batch_then_the_first_that_lacks_it(void **state)
{
  struct store_fixture *fixture = *state;
  struct people people = make_history(fixture);
  assert_int_equal(world_simple(&fixture->world, people.bob, LEDGER_T_SPEND, 1, 1001)->error,
                   HF_E_INSUFFICIENT_FUNDS);
  world_must_commit(&fixture->world);
  tamper(fixture, "DROP TRIGGER outcomes_update;DROP TRIGGER outcomes_delete;"
                  "UPDATE outcomes SET batch=2 WHERE batch=5");
  (void)verified(fixture);
  expect_finding("a refusal is not in its batch's place", 1, 2, 0);
  tamper(fixture, "UPDATE outcomes SET batch=5 WHERE batch=2;UPDATE outcomes SET batch=7 "
                  "WHERE batch=4");
  (void)verified(fixture);
  expect_finding("refusals of the batch are missing, or are too many", 1, 4, 0);
  tamper(fixture, "UPDATE outcomes SET batch=4 WHERE batch=7;INSERT INTO outcomes SELECT 99,user,"
                  "key,request,code,type,version,recorded_us,77,partition FROM outcomes LIMIT 1");
  (void)verified(fixture);
  expect_finding("a refusal without its batch", 1, 0, 0);
  tamper(fixture, "DELETE FROM outcomes WHERE id=99");
  (void)verified(fixture);
  assert_int_equal(findings_count, 0);
}

static void test_verify_when_the_newest_batch_cannot_be_read_then_it_is_named(void **state)
{
  struct store_fixture *fixture = *state;
  (void)make_history(fixture);
  tamper(fixture, "DROP TRIGGER batches_update;UPDATE batches SET previous=x'00' WHERE partition=1 "
                  "AND number=(SELECT max(number) FROM batches WHERE partition=1)");
  (void)verified(fixture);
  expect_finding("the row of the batch cannot be read", 1, 4, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup_sqlite, fixture_teardown)

int main(void)
{
  const struct CMUnitTest tests[] = {
    TEST(test_checks_when_the_store_is_empty_then_nothing_is_found),
    TEST(test_checks_when_the_store_is_whole_then_all_of_it_is_counted),
    TEST(test_replay_when_projections_lag_then_they_are_compared_where_they_stand),
    TEST(test_replay_when_a_balance_was_changed_then_named_and_repaired),
    TEST(test_replay_when_any_column_of_a_balance_was_changed_then_it_is_named),
    TEST(test_replay_when_balances_are_missing_or_too_many_then_each_is_named),
    TEST(test_replay_when_a_total_was_changed_then_its_account_is_named),
    TEST(test_replay_when_holds_or_blocks_were_changed_then_named_and_repaired),
    TEST(test_replay_when_a_projection_cannot_be_read_then_found_and_repaired),
    TEST(test_replay_when_a_mark_cannot_be_read_then_found_and_repaired),
    TEST(test_replay_when_an_index_row_is_gone_then_no_repair_is_claimed),
    TEST(test_replay_when_run_then_a_row_of_it_is_kept),
    TEST(test_verify_when_any_byte_is_flipped_then_its_entry_is_named),
    TEST(test_verify_when_an_entry_is_gone_then_the_place_is_named),
    TEST(test_verify_when_the_newest_entries_are_gone_then_their_batch_is_named),
    TEST(test_verify_when_a_refusal_is_gone_then_its_batch_is_named),
    TEST(test_verify_when_a_refusal_was_changed_then_its_batch_is_named),
    TEST(test_verify_when_a_batch_is_gone_or_changed_then_named),
    TEST(test_verify_when_a_batch_was_made_anew_with_its_hash_then_the_next_is_named),
    TEST(test_verify_when_the_newest_batch_is_gone_then_its_entry_is_without),
    TEST(test_verify_when_metadata_was_changed_then_found_but_erased_it_is_not),
    TEST(test_verify_when_metadata_is_gone_with_its_row_then_the_operation_is_named),
    TEST(test_verify_when_several_rows_are_bad_then_the_first_of_them_is_named),
    TEST(test_verify_when_a_refusal_says_another_batch_then_the_first_that_lacks_it),
    TEST(test_verify_when_the_newest_batch_cannot_be_read_then_it_is_named),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
