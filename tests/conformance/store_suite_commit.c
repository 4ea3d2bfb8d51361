/* store_suite_commit.c - what a commit does, and what it refuses to do. */
#include <string.h>

#include "tests/conformance/store_suite.h"
#include "tests/support/store_check.h"
#include "tests/support/store_fixture.h"

static struct store_world *world_of(void **state)
{
  struct store_fixture *fixture = *state;

  return &fixture->world;
}

static struct store_partition opened(struct store_world *world, uint32_t partition)
{
  struct store_request *request = store_request_new(STORE_OPEN_PARTITION);
  struct store_partition out;

  request->open_partition.partition = partition;
  world_read(world, request, STORE_OK);
  out = request->open_partition;
  store_request_free(request);
  return out;
}

/* The number that the next batch of a partition has once it is opened again. */
static uint64_t reopened(void **state, uint64_t next_batch)
{
  const struct store_fixture *fixture = *state;

  return next_batch + fixture->batches_of_opening;
}

/* A user with 1000 units of asset 1, committed. */
static struct world_user *user_with_funds(struct store_world *world, uint32_t partition)
{
  struct world_user *user = world_user_add(world, partition, NULL, NULL);
  struct ledger_command grant = world_command(world, LEDGER_T_GRANT, 1, 1000);

  world_stage(world, user, &grant);
  world_must_commit(world);
  return user;
}

/* The version that the store has of the user. */
static uint64_t version_of(struct store_world *world, const struct world_user *user)
{
  struct store_request *request = store_request_new(STORE_LOAD_USER);
  uint64_t version = 0;

  request->load_user.id = user->row.id;
  world_read(world, request, STORE_OK);
  if (request->load_user.out.entries_count > 0)
    version = request->load_user.out.entries[0].version;
  store_request_free(request);
  return version;
}

static enum store_status execute(struct store_world *world, struct store_request *request)
{
  world->engine->ops->execute(world->engine, request);
  return (enum store_status)request->status;
}

/* ---- opening --------------------------------------------------------------------------------- */

void test_open_partition_when_empty_then_everything_starts_at_one(void **state)
{
  struct store_world *world = world_of(state);

  for (uint32_t i = 0; i < 1u << world->bits; i++) {
    const struct hf_hash none = {{0}};
    struct store_partition out = opened(world, i);

    assert_int_equal(out.epoch, 2); /* the world was the first owner */
    assert_int_equal(out.next_batch, reopened(state, reopened(state, 1)));
    assert_int_equal(out.next_seq, 1);
    assert_int_equal(out.next_user_serial, 1);
    assert_true(hf_hash_equal(&out.follows, &world->partitions[i].head));
    assert_int_equal(hf_hash_equal(&out.head, &none), reopened(state, 0) == 0);
  }
}

void test_open_partition_when_batches_are_there_then_it_goes_on_behind_them(void **state)
{
  struct store_world *world = world_of(state);
  const struct world_partition *partition = &world->partitions[1];
  struct store_partition out;

  user_with_funds(world, 1);
  user_with_funds(world, 1);
  out = opened(world, 1);
  assert_int_equal(out.epoch, partition->epoch + 1);
  assert_int_equal(out.next_batch, reopened(state, partition->next_batch));
  assert_int_equal(out.next_seq, 3);
  assert_int_equal(out.next_user_serial, 3);
  assert_memory_equal(out.follows.bytes, partition->head.bytes, sizeof out.follows.bytes);
  out = opened(world, 1);
  assert_int_equal(out.epoch, partition->epoch + 2);
  assert_int_equal(opened(world, 0).next_batch, reopened(state, world->partitions[0].next_batch));
}

void test_open_partition_when_a_name_reserves_a_user_then_its_serial_is_used(void **state)
{
  struct store_world *world = world_of(state);
  struct store_row row = {.table = STORE_T_NAME, .action = STORE_INSERT};

  row.name.partition = 3;
  row.name.kind = STORE_NAME_CREATE_KEY;
  row.name.user = hf_id_make(41, 2, world->bits);
  world_stage_rows(world, 3, &row, 1);
  world_must_commit(world);
  assert_int_equal(opened(world, 2).next_user_serial, 42);
  assert_int_equal(opened(world, 3).next_user_serial, 1);
}

/* ---- fencing --------------------------------------------------------------------------------- */

void test_commit_when_another_writer_took_the_number_then_fenced(void **state)
{
  struct store_world *world = world_of(state), second;
  struct world_user *user = user_with_funds(world, 0);
  struct world_user *other;

  world_init(&second, world->engine);
  other = user_with_funds(&second, 0);
  world_simple(world, user, LEDGER_T_SPEND, 1, 10);
  assert_int_equal(world_commit(world), STORE_FENCED);
  assert_int_equal(version_of(world, user), 1);
  assert_int_equal(version_of(world, other), 1);
  world_simple(&second, other, LEDGER_T_SPEND, 1, 10);
  assert_int_equal(world_commit(&second), STORE_OK);
  world_deinit(&second);
}

void test_commit_when_the_epoch_was_raised_then_fenced_before_the_new_writer_wrote(void **state)
{
  struct store_world *world = world_of(state);
  struct world_user *user = user_with_funds(world, 0);
  struct world_mark mark = world_mark(user);

  opened(world, 0);
  world_simple(world, user, LEDGER_T_SPEND, 1, 10);
  assert_int_equal(world_commit(world), STORE_FENCED);
  assert_int_equal(version_of(world, user), 1);
  world_back(&mark);
  world_take_over(world);
  world_simple(world, user, LEDGER_T_SPEND, 1, 10);
  assert_int_equal(world_commit(world), STORE_OK);
  assert_int_equal(version_of(world, user), 2);
}

void test_commit_when_the_batch_before_is_missing_then_unavailable_until_it_is_there(void **state)
{
  struct store_world *world = world_of(state);
  struct world_user *user = user_with_funds(world, 0);
  struct store_request *first, *second;

  world_simple(world, user, LEDGER_T_SPEND, 1, 10);
  first = world_commit_build(world);
  world_commit_assume(world, first);
  world_simple(world, user, LEDGER_T_SPEND, 1, 20);
  second = world_commit_build(world);
  assert_int_equal(execute(world, second), STORE_UNAVAILABLE);
  assert_int_equal(version_of(world, user), 1);
  assert_int_equal(execute(world, first), STORE_OK);
  assert_int_equal(execute(world, second), STORE_OK);
  assert_int_equal(version_of(world, user), 3);
  assert_int_equal(execute(world, second), STORE_FENCED);
  store_request_free(first);
  store_request_free(second);
}

/* ---- keys ------------------------------------------------------------------------------------ */

void test_commit_when_the_key_of_an_applied_op_comes_again_then_hit_and_nothing_written(
  void **state)
{
  struct store_world *world = world_of(state);
  struct world_user *user = user_with_funds(world, 0), *bystander = user_with_funds(world, 1);
  struct ledger_command command = world_command(world, LEDGER_T_SPEND, 1, 10);
  struct world_unit *original = world_stage_meta(world, user, &command, "{\"reason\":\"x\"}");
  struct world_unit *again, *innocent;
  struct world_mark mark, other_mark;
  struct store_request *request;

  world_must_commit(world);
  mark = world_mark(user);
  other_mark = world_mark(bystander);
  again = world_stage(world, user, &command);
  innocent = world_simple(world, bystander, LEDGER_T_SPEND, 1, 1);
  request = world_commit_build(world);
  assert_int_equal(execute(world, request), STORE_HIT);
  assert_int_equal(again->unit.status, STORE_HIT);
  assert_int_equal(innocent->unit.status, STORE_OK);
  assert_null(innocent->unit.hit);
  assert_non_null(again->unit.hit);
  assert_false(again->unit.hit->refused);
  assert_int_equal(again->unit.hit->entries_count, 1);
  check_entry(&again->unit.hit->entries[0], &original->unit.entries[0]);
  assert_string_equal(again->unit.hit->metadata.at, "{\"reason\":\"x\"}");
  assert_int_equal(version_of(world, user), 2);
  assert_int_equal(version_of(world, bystander), 1);
  assert_int_equal(opened(world, 0).next_batch, reopened(state, world->partitions[0].next_batch));
  store_op_free(again->unit.hit);
  store_request_free(request);
  world_take_over(world);
  world_back(&mark);
  world_back(&other_mark);
  world_simple(world, bystander, LEDGER_T_SPEND, 1, 1);
  world_simple(world, user, LEDGER_T_SPEND, 1, 1);
  world_must_commit(world);
  assert_int_equal(version_of(world, user), 3);
  assert_int_equal(version_of(world, bystander), 2);
}

void test_commit_when_the_key_of_a_refusal_comes_again_then_hit_with_the_refusal(void **state)
{
  struct store_world *world = world_of(state);
  struct world_user *user = user_with_funds(world, 2);
  struct ledger_command command = world_command(world, LEDGER_T_SPEND, 1, 5000);
  struct world_unit *refused = world_stage(world, user, &command), *again;
  struct store_outcome expected;
  struct store_request *request;

  assert_int_equal(refused->error, HF_E_INSUFFICIENT_FUNDS);
  expected = refused->unit.outcome;
  expected.batch = world->partitions[2].next_batch;
  world_must_commit(world);
  assert_int_equal(version_of(world, user), 1);
  world_simple(world, user, LEDGER_T_GRANT, 1, 9000); /* now it would be applied */
  world_must_commit(world);
  again = world_stage(world, user, &command);
  assert_int_equal(again->error, HF_OK);
  request = world_commit_build(world);
  assert_int_equal(execute(world, request), STORE_HIT);
  assert_int_equal(again->unit.status, STORE_HIT);
  assert_non_null(again->unit.hit);
  assert_true(again->unit.hit->refused);
  assert_int_equal(again->unit.hit->outcome.user, expected.user);
  assert_int_equal(again->unit.hit->outcome.error, expected.error);
  assert_int_equal(again->unit.hit->outcome.type, LEDGER_T_SPEND);
  assert_int_equal(again->unit.hit->outcome.version, 1);
  assert_int_equal(again->unit.hit->outcome.recorded_us, expected.recorded_us);
  assert_int_equal(again->unit.hit->outcome.batch, expected.batch);
  assert_true(hf_digest_equal(&again->unit.hit->outcome.key, &command.key));
  assert_true(hf_digest_equal(&again->unit.hit->outcome.request, &command.request));
  assert_int_equal(again->unit.hit->entries_count, 0);
  store_op_free(again->unit.hit);
  store_request_free(request);
}

void test_commit_when_a_known_key_is_not_probed_then_hit_all_the_same(void **state)
{
  struct store_world *world = world_of(state);
  struct world_user *user = user_with_funds(world, 0);
  struct ledger_command command = world_command(world, LEDGER_T_SPEND, 1, 10);
  struct world_unit *again;
  struct store_request *request;

  world_stage(world, user, &command);
  world_must_commit(world);
  again = world_stage(world, user, &command);
  again->unit.probe = false;
  request = world_commit_build(world);
  assert_int_equal(execute(world, request), STORE_HIT);
  assert_int_equal(again->unit.status, STORE_HIT);
  assert_non_null(again->unit.hit);
  assert_int_equal(again->unit.hit->entries[0].version, 2);
  assert_int_equal(version_of(world, user), 2);
  store_op_free(again->unit.hit);
  store_request_free(request);
}

void test_commit_when_another_user_has_the_key_then_no_hit(void **state)
{
  struct store_world *world = world_of(state);
  struct world_user *user = user_with_funds(world, 0), *other = user_with_funds(world, 0);
  struct ledger_command command = world_command(world, LEDGER_T_SPEND, 1, 10);

  world_stage(world, user, &command);
  world_must_commit(world);
  world_stage(world, other, &command);
  world_must_commit(world);
  assert_int_equal(version_of(world, other), 2);
}

/* There is no durable op yet that a hit could show. */
void test_commit_when_two_units_bring_the_same_key_then_the_second_conflicts(void **state)
{
  struct store_world *world = world_of(state);
  struct world_user *user = user_with_funds(world, 0);
  struct ledger_command command = world_command(world, LEDGER_T_SPEND, 1, 10);
  struct world_unit *first = world_stage(world, user, &command);
  struct world_unit *second = world_stage(world, user, &command);

  assert_int_equal(world_commit(world), STORE_CONFLICT);
  assert_int_equal(first->unit.status, STORE_OK);
  assert_int_equal(second->unit.status, STORE_CONFLICT);
  assert_null(second->unit.hit);
  assert_int_equal(version_of(world, user), 1);
}

/* ---- conflicts ------------------------------------------------------------------------------- */

void test_commit_when_a_row_is_there_then_conflict_and_nothing_written(void **state)
{
  struct store_world *world = world_of(state);
  struct world_user *user = user_with_funds(world, 0);
  struct store_row row = {.table = STORE_T_USER, .action = STORE_INSERT};
  struct world_unit *before, *culprit, *after;
  struct store_request *request;

  row.user = user->row;
  before = world_simple(world, user, LEDGER_T_SPEND, 1, 1);
  culprit = world_stage_rows(world, 0, &row, 1);
  after = world_simple(world, user, LEDGER_T_SPEND, 1, 1);
  request = world_commit_build(world);
  assert_int_equal(execute(world, request), STORE_CONFLICT);
  assert_int_equal(culprit->unit.status, STORE_CONFLICT);
  assert_int_equal(before->unit.status, STORE_OK);
  assert_int_equal(after->unit.status, STORE_OK);
  assert_int_equal(version_of(world, user), 1);
  assert_int_equal(opened(world, 0).next_batch, reopened(state, world->partitions[0].next_batch));
  store_request_free(request);
}

void test_commit_when_a_row_to_update_is_missing_then_conflict(void **state)
{
  struct store_world *world = world_of(state);
  struct store_row rows[] = {
    {.table = STORE_T_USER, .action = STORE_UPDATE, .user.id = 8},
    {.table = STORE_T_NAME, .action = STORE_UPDATE, .name.kind = STORE_NAME_CREATE_KEY},
    {.table = STORE_T_HOLD, .action = STORE_UPDATE, .hold.id = 8},
    {.table = STORE_T_BLOCK, .action = STORE_UPDATE, .block.id = 8},
    {.table = STORE_T_TRANSFER, .action = STORE_UPDATE, .transfer.id = 8},
    {.table = STORE_T_META, .action = STORE_ERASE, .meta.op = 8},
  };

  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    struct world_unit *unit = world_stage_rows(world, 0, &rows[i], 1);

    assert_int_equal(world_commit(world), STORE_CONFLICT);
    assert_int_equal(unit->unit.status, STORE_CONFLICT);
  }
  assert_int_equal(opened(world, 0).next_batch, reopened(state, reopened(state, 1)));
}

void test_commit_when_two_units_insert_the_same_row_then_the_second_conflicts(void **state)
{
  struct store_world *world = world_of(state);
  struct store_row row = {.table = STORE_T_NAME, .action = STORE_INSERT};
  struct world_unit *first, *second;

  row.name.kind = STORE_NAME_EXTERNAL_ID;
  row.name.user = hf_id_make(1, 0, world->bits);
  first = world_stage_rows(world, 0, &row, 1);
  second = world_stage_rows(world, 0, &row, 1);
  assert_int_equal(world_commit(world), STORE_CONFLICT);
  assert_int_equal(first->unit.status, STORE_OK);
  assert_int_equal(second->unit.status, STORE_CONFLICT);
  row.action = STORE_INSERT; /* the first alone fits, and an update behind it sees it */
  world_stage_rows(world, 0, &row, 1);
  row.action = STORE_UPDATE;
  row.name.state = STORE_NAME_CONFIRMED;
  world_stage_rows(world, 0, &row, 1);
  world_must_commit(world);
}

/* ---- batches --------------------------------------------------------------------------------- */

void test_commit_when_only_refusals_or_rows_then_a_batch_without_entries(void **state)
{
  struct store_world *world = world_of(state);
  struct world_user *user = world_user_add(world, 0, "no entries", NULL);
  struct store_partition out;

  world_must_commit(world);
  world_simple(world, user, LEDGER_T_SPEND, 1, 1);
  world_must_commit(world);
  out = opened(world, 0);
  assert_int_equal(out.next_batch, reopened(state, reopened(state, 3)));
  assert_int_equal(out.next_seq, 1);
  assert_int_equal(version_of(world, user), 0);
}

void test_commit_when_8192_units_then_all_are_there_and_chained(void **state)
{
  enum { USERS = 64, UNITS = 8192 };
  struct store_world *world = world_of(state);
  struct world_user *users[USERS];
  size_t seen = 0;

  for (uint32_t i = 0; i < USERS; i++)
    users[i] = world_user_add(world, i & 3, NULL, NULL);
  world_must_commit(world);
  for (uint32_t i = 0; i < UNITS; i++)
    world_simple(world, users[i * 7 % USERS], LEDGER_T_EARN, 1, 1 + i % 5);
  world_must_commit(world);
  for (uint32_t partition = 0; partition < 4; partition++) {
    struct store_request *request = store_request_new(STORE_SCAN);

    request->scan.partition = partition;
    request->scan.from_seq = 1;
    request->scan.limit = UNITS;
    world_read(world, request, STORE_OK);
    seen += request->scan.entries_count;
    store_request_free(request);
  }
  assert_int_equal(seen, UNITS);
  for (size_t i = 0; i < USERS; i++) {
    struct hf_hash head = {{0}};

    assert_int_equal(version_of(world, users[i]), UNITS / USERS);
    for (size_t j = 0; j < users[i]->history_count; j++) {
      struct hf_bytes body = {0};

      ledger_entry_encode(users[i]->history[j], &body);
      head = ledger_entry_hash(&head, body.at, body.size);
      assert_memory_equal(head.bytes, users[i]->history[j]->hash.bytes, sizeof head.bytes);
      hf_bytes_deinit(&body);
    }
  }
}

/* Four requests of which the 2nd is a hit, the 3rd a conflict and the 4th fenced. */
void test_commit_many_when_outcomes_differ_then_each_has_its_own(void **state)
{
  struct store_world *world = world_of(state), stale;
  struct world_user *users[4];
  struct ledger_command known = world_command(world, LEDGER_T_SPEND, 1, 1);
  struct store_request *requests[4];
  struct store_row row = {.table = STORE_T_USER, .action = STORE_INSERT};
  struct world_unit *hit, *conflict;

  for (uint32_t i = 0; i < 4; i++)
    users[i] = user_with_funds(world, i);
  world_stage(world, users[1], &known);
  world_must_commit(world);
  world_init(&stale, world->engine); /* its numbers of partition 3 are soon taken */
  world_take_over(world);
  world_simple(world, users[3], LEDGER_T_SPEND, 1, 1);
  world_must_commit(world);

  world_simple(world, users[0], LEDGER_T_SPEND, 1, 1);
  requests[0] = world_commit_build(world);
  hit = world_stage(world, users[1], &known);
  requests[1] = world_commit_build(world);
  world_simple(world, users[2], LEDGER_T_SPEND, 1, 1);
  row.user = users[2]->row;
  conflict = world_stage_rows(world, 2, &row, 1);
  requests[2] = world_commit_build(world);
  world_user_add(&stale, 3, NULL, NULL);
  requests[3] = world_commit_build(&stale);
  world->engine->ops->commit_many(world->engine, requests, 4);
  assert_int_equal(requests[0]->status, STORE_OK);
  assert_int_equal(requests[1]->status, STORE_HIT);
  assert_int_equal(requests[2]->status, STORE_CONFLICT);
  assert_int_equal(requests[3]->status, STORE_FENCED);
  assert_int_equal(hit->unit.status, STORE_HIT);
  assert_non_null(hit->unit.hit);
  assert_int_equal(conflict->unit.status, STORE_CONFLICT);
  assert_int_equal(version_of(world, users[0]), 2);
  assert_int_equal(version_of(world, users[1]), 2);
  assert_int_equal(version_of(world, users[2]), 1);
  assert_int_equal(version_of(world, users[3]), 2);
  assert_int_equal(opened(world, 0).next_batch,
                   reopened(state, requests[0]->commit.batches[0].number + 1));
  assert_int_equal(opened(world, 2).next_batch,
                   reopened(state, requests[2]->commit.batches[0].number));
  store_op_free(hit->unit.hit);
  for (size_t i = 0; i < 4; i++)
    store_request_free(requests[i]);
  world_deinit(&stale);
}
