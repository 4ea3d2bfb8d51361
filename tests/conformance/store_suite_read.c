/* store_suite_read.c - what is written comes back: users, ops, holds, blocks, texts. */
#include <string.h>

#include "tests/conformance/store_suite.h"
#include "tests/support/store_check.h"
#include "tests/support/store_fixture.h"

static struct store_world *world_of(void **state)
{
  struct store_fixture *fixture = *state;

  return &fixture->world;
}

/* ---- users ----------------------------------------------------------------------------------- */

void test_load_user_when_unknown_then_not_found(void **state)
{
  static const enum store_kind kinds[] = {STORE_LOAD_USER, STORE_GET_USER};
  struct store_world *world = world_of(state);

  world_user_add(world, 0, NULL, NULL);
  world_must_commit(world);
  for (size_t i = 0; i < 2; i++) {
    struct store_request *request = store_request_new(kinds[i]);

    if (kinds[i] == STORE_LOAD_USER)
      request->load_user.id = hf_id_make(2, 0, world->bits);
    else
      request->get_user.id = hf_id_make(1, 1, world->bits);
    world_read(world, request, STORE_NOT_FOUND);
    store_request_free(request);
  }
}

void test_load_user_when_new_then_a_row_and_nothing_else(void **state)
{
  struct store_world *world = world_of(state);
  struct world_user *user = world_user_add(world, 3, "abc", "{}");
  struct store_request *request;

  world_must_commit(world);
  check_loaded(world, user);
  request = check_load(world, user);
  assert_false(request->load_user.out.has_keys);
  assert_int_equal(request->load_user.out.row.kind, HF_USER_REGISTERED);
  assert_int_equal(request->load_user.out.row.created_us, user->row.created_us);
  check_text(request->load_user.out.row.external_id, "abc");
  check_text(request->load_user.out.row.profile, "{}");
  store_request_free(request);
  world_simple(world, user, LEDGER_T_SPEND, 1, 1); /* refused: a key all the same */
  world_must_commit(world);
  request = check_load(world, user);
  assert_true(request->load_user.out.has_keys);
  assert_int_equal(request->load_user.out.entries_count, 0);
  store_request_free(request);
}

void test_load_user_when_many_assets_then_the_newest_entry_of_each(void **state)
{
  struct store_world *world = world_of(state);
  struct world_user *user = world_user_add(world, 0, NULL, NULL);

  for (uint16_t i = 0; i < LEDGER_ASSETS_MAX; i++) {
    world_simple(world, user, LEDGER_T_GRANT, (uint16_t)(1000 + i * 37 % LEDGER_ASSETS_MAX),
                 100 + i);
    if (i % 9 == 0)
      world_must_commit(world);
  }
  for (uint16_t i = 0; i < 200; i++)
    world_simple(world, user, LEDGER_T_SPEND, (uint16_t)(1000 + i * i % 11), 1);
  world_must_commit(world);
  assert_int_equal(user->state.assets_count, LEDGER_ASSETS_MAX);
  check_loaded(world, user);
}

void test_load_user_when_many_holds_and_blocks_then_the_open_ones_by_id(void **state)
{
  struct store_world *world = world_of(state);
  struct world_user *user = world_user_add(world, 1, NULL, NULL);
  struct world_user *neighbour = world_user_add(world, 1, NULL, NULL);
  hf_id ids[LEDGER_HOLDS_MAX];

  world_simple(world, user, LEDGER_T_GRANT, 1, 1000000);
  world_simple(world, neighbour, LEDGER_T_GRANT, 1, 1000000);
  for (size_t i = 0; i < LEDGER_HOLDS_MAX; i++) {
    world_simple(world, user, LEDGER_T_HOLD, 1, 10);
    world_simple(world, user, LEDGER_T_BLOCK, 1, 5);
    if (i % 100 == 0)
      world_simple(world, neighbour, LEDGER_T_HOLD, 1, 10);
  }
  world_must_commit(world);
  assert_int_equal(user->state.holds_count, LEDGER_HOLDS_MAX);
  assert_int_equal(user->state.blocks_count, LEDGER_BLOCKS_MAX);
  check_loaded(world, user);
  for (size_t i = 0; i < LEDGER_HOLDS_MAX; i++)
    ids[i] = user->state.holds[i].id;
  for (size_t i = 0; i < LEDGER_HOLDS_MAX; i += 3)
    world_ref(world, user, LEDGER_T_VOID, ids[i], 0);
  for (size_t i = 0; i < LEDGER_BLOCKS_MAX; i += 2)
    world_ref(world, user, LEDGER_T_UNBLOCK, user->state.blocks[i / 2].id, i % 4 == 0 ? 5 : 2);
  world_must_commit(world);
  check_loaded(world, user);
  check_loaded(world, neighbour);
}

void test_get_user_when_updated_then_only_the_status_is_new(void **state)
{
  struct store_world *world = world_of(state);
  struct world_user *user = world_user_add(world, 0, "ext", "{\"a\":1}");
  struct store_row row = {.table = STORE_T_USER, .action = STORE_UPDATE};
  struct store_request *request = store_request_new(STORE_GET_USER);

  world_must_commit(world);
  row.user.id = user->row.id;
  row.user.status = LEDGER_CLOSED;
  row.user.kind = (uint8_t)!user->row.kind;
  world_stage_rows(world, 0, &row, 1);
  world_must_commit(world);
  request->get_user.id = user->row.id;
  world_read(world, request, STORE_OK);
  assert_int_equal(request->get_user.out.status, LEDGER_CLOSED);
  assert_int_equal(request->get_user.out.kind, user->row.kind);
  assert_int_equal(request->get_user.out.created_us, user->row.created_us);
  check_text(request->get_user.out.external_id, "ext");
  check_text(request->get_user.out.profile, "{\"a\":1}");
  store_request_free(request);
}

void test_get_user_when_texts_are_unusual_then_they_come_back_byte_for_byte(void **state)
{
  static char longest[HF_JSON_MAX + 1];
  static const char *const texts[] = {
    "'; DROP TABLE users; --",
    "%s%n%d",
    "\"\\\\\"",
    "\xf0\x9f\x90\xbb\xe2\x80\xae\xc3\xa9",
    "\xef\xbf\xbf\xef\xbb\xbf",
    "\x7f?1:x@y$z",
    "0",
    "",
    longest,
  };
  struct store_world *world = world_of(state);
  struct world_user *users[sizeof texts / sizeof texts[0]];

  memset(longest, 'x', HF_JSON_MAX);
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
    users[i] = world_user_add(world, (uint32_t)i % 4, texts[i], texts[i]);
  world_must_commit(world);
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    struct store_request *request = check_load(world, users[i]);

    check_text(request->load_user.out.row.external_id, texts[i]);
    check_text(request->load_user.out.row.profile, texts[i]);
    store_request_free(request);
  }
}

/* ---- ops ------------------------------------------------------------------------------------- */

void test_get_op_when_asked_by_entry_then_the_whole_op(void **state)
{
  struct store_world *world = world_of(state);
  struct world_user *user = world_user_add(world, 2, NULL, NULL);
  struct world_unit *hold, *capture;
  hf_id op;

  world_simple(world, user, LEDGER_T_GRANT, 1, 100);
  hold = world_simple(world, user, LEDGER_T_HOLD, 1, 60);
  world_must_commit(world);
  capture = world_ref(world, user, LEDGER_T_CAPTURE, world_op(hold), 20);
  world_must_commit(world);
  assert_int_equal(capture->unit.entries_count, 2);
  op = world_op(capture);
  for (unsigned i = 0; i < 3; i++) {
    hf_id id = i == 2 ? capture->unit.entries[1].id : op;
    struct store_request *request = check_get_op(world, id, i > 0, STORE_OK);
    const struct store_op *out = request->get_op.out;

    assert_false(out->refused);
    assert_int_equal(out->entries_count, 2);
    check_entry(&out->entries[0], &capture->unit.entries[0]);
    check_entry(&out->entries[1], &capture->unit.entries[1]);
    check_text(out->metadata, NULL);
    assert_int_equal(out->reversals_count, 0);
    assert_false(out->has_transfer);
    store_request_free(request);
  }
}

void test_get_op_when_id_is_no_op_then_not_found(void **state)
{
  struct store_world *world = world_of(state);
  struct world_user *user = world_user_add(world, 2, NULL, NULL);
  struct world_unit *hold, *capture;

  world_simple(world, user, LEDGER_T_GRANT, 1, 100);
  hold = world_simple(world, user, LEDGER_T_HOLD, 1, 60);
  world_must_commit(world);
  capture = world_ref(world, user, LEDGER_T_CAPTURE, world_op(hold), 20);
  world_must_commit(world);
  store_request_free(check_get_op(world, capture->unit.entries[1].id, false, STORE_NOT_FOUND));
  store_request_free(check_get_op(world, hf_id_make(5, 2, world->bits), true, STORE_NOT_FOUND));
  store_request_free(check_get_op(world, hf_id_make(1, 3, world->bits), false, STORE_NOT_FOUND));
  store_request_free(check_get_op(world, hf_id_make(0, 2, world->bits), true, STORE_NOT_FOUND));
  store_request_free(check_get_op(world, HF_ID_MAX, false, STORE_NOT_FOUND));
}

void test_get_key_op_when_known_then_the_op_or_the_refusal(void **state)
{
  struct store_world *world = world_of(state);
  struct world_user *user = world_user_add(world, 0, NULL, NULL);
  struct world_unit *grant = world_simple(world, user, LEDGER_T_GRANT, 1, 100);
  struct world_unit *refused = world_simple(world, user, LEDGER_T_SPEND, 1, 101);
  uint64_t batch = world->partitions[0].next_batch;
  struct store_request *request;

  world_must_commit(world);
  request = store_request_new(STORE_GET_KEY_OP);
  request->get_key_op.user = user->row.id;
  request->get_key_op.key = grant->unit.entries[0].key;
  world_read(world, request, STORE_OK);
  check_entry(&request->get_key_op.out->entries[0], &grant->unit.entries[0]);
  store_request_free(request);
  request = store_request_new(STORE_GET_KEY_OP);
  request->get_key_op.user = user->row.id;
  request->get_key_op.key = refused->unit.outcome.key;
  world_read(world, request, STORE_OK);
  assert_true(request->get_key_op.out->refused);
  assert_int_equal(request->get_key_op.out->outcome.error, HF_E_INSUFFICIENT_FUNDS);
  assert_int_equal(request->get_key_op.out->outcome.batch, batch);
  store_request_free(request);
  request = store_request_new(STORE_GET_KEY_OP);
  request->get_key_op.user = user->row.id + (1u << world->bits);
  request->get_key_op.key = grant->unit.entries[0].key;
  world_read(world, request, STORE_NOT_FOUND);
  store_request_free(request);
}

/* ---- holds and blocks ------------------------------------------------------------------------ */

static void assert_hold(struct store_world *world, hf_id id, unsigned state, hf_amount remaining,
                        int64_t resolved_us)
{
  struct store_request *request = store_request_new(STORE_GET_HOLD);

  request->get_hold.id = id;
  world_read(world, request, STORE_OK);
  assert_int_equal(request->get_hold.out.id, id);
  assert_int_equal(request->get_hold.out.state, state);
  assert_true(request->get_hold.out.amount == 60);
  assert_true(request->get_hold.out.remaining == remaining);
  assert_int_equal(request->get_hold.out.resolved_us, resolved_us);
  store_request_free(request);
}

void test_get_hold_when_it_lives_then_every_state_is_seen(void **state)
{
  struct store_world *world = world_of(state);
  struct world_user *user = world_user_add(world, 0, NULL, NULL);
  struct ledger_command command = world_command(world, LEDGER_T_HOLD, 1, 60), part;
  struct world_unit *holds[3], *unit;
  struct store_request *request;

  world_simple(world, user, LEDGER_T_GRANT, 1, 1000);
  holds[0] = world_simple(world, user, LEDGER_T_HOLD, 1, 60);
  holds[1] = world_simple(world, user, LEDGER_T_HOLD, 1, 60);
  command.timeout_s = 1;
  holds[2] = world_stage(world, user, &command);
  world_must_commit(world);
  assert_hold(world, world_op(holds[0]), STORE_HOLD_OPEN, 60, 0);
  part = world_command_ref(world, LEDGER_T_CAPTURE, world_op(holds[0]), 20);
  part.final = false;
  world_stage(world, user, &part);
  world_must_commit(world);
  assert_hold(world, world_op(holds[0]), STORE_HOLD_OPEN, 40, 0);
  unit = world_ref(world, user, LEDGER_T_CAPTURE, world_op(holds[0]), 30);
  world_must_commit(world);
  assert_hold(world, world_op(holds[0]), STORE_HOLD_CAPTURED, 0, unit->unit.entries[0].recorded_us);
  unit = world_ref(world, user, LEDGER_T_VOID, world_op(holds[1]), 0);
  world_must_commit(world);
  assert_hold(world, world_op(holds[1]), STORE_HOLD_VOIDED, 0, unit->unit.entries[0].recorded_us);
  world->now_us += 2000000;
  unit = world_ref(world, user, LEDGER_T_EXPIRE, world_op(holds[2]), 0);
  world_must_commit(world);
  assert_hold(world, world_op(holds[2]), STORE_HOLD_EXPIRED, 0, unit->unit.entries[0].recorded_us);
  check_loaded(world, user);
  request = store_request_new(STORE_GET_HOLD);
  request->get_hold.id = hf_id_make(1, 0, world->bits); /* the grant */
  world_read(world, request, STORE_NOT_FOUND);
  store_request_free(request);
}

static struct store_block_row block_of(struct store_world *world, hf_id id)
{
  struct store_request *request = store_request_new(STORE_GET_BLOCK);
  struct store_block_row row;

  request->get_block.id = id;
  world_read(world, request, STORE_OK);
  row = request->get_block.out;
  store_request_free(request);
  return row;
}

void test_get_block_when_it_lives_then_every_state_is_seen(void **state)
{
  struct store_world *world = world_of(state);
  struct world_user *user = world_user_add(world, 0, NULL, NULL);
  struct ledger_command command = world_command(world, LEDGER_T_BLOCK, 2, 60);
  struct world_unit *block, *frozen;
  struct store_block_row row;
  struct store_request *request;

  world_simple(world, user, LEDGER_T_EARN, 2, 100);
  command.bucket = LEDGER_EARNED;
  block = world_stage(world, user, &command);
  world_must_commit(world);
  row = block_of(world, world_op(block));
  assert_true(row.open && row.remaining == 60 && row.amount == 60);
  assert_int_equal(row.bucket, LEDGER_EARNED);
  assert_int_equal(row.asset, 2);
  world_ref(world, user, LEDGER_T_UNBLOCK, world_op(block), 15);
  world_must_commit(world);
  row = block_of(world, world_op(block));
  assert_true(row.open && row.remaining == 45 && row.resolved_us == 0);
  world_ref(world, user, LEDGER_T_UNBLOCK, world_op(block), 0);
  world_must_commit(world);
  row = block_of(world, world_op(block));
  assert_true(!row.open && row.remaining == 0 && row.resolved_us > 0);

  user->row.status = LEDGER_CLOSED; /* what is credited to a closed user is frozen */
  command = world_command(world, LEDGER_T_CREDIT, 2, 7);
  command.ref = hf_id_make(77, 1, world->bits);
  command.counterparty = hf_id_make(5, 1, world->bits);
  frozen = world_stage(world, user, &command);
  world_must_commit(world);
  row = block_of(world, world_op(frozen));
  assert_true(row.open && row.amount == 7);
  assert_int_equal(row.bucket, LEDGER_CLAIMABLE);
  check_loaded(world, user);
  request = store_request_new(STORE_GET_BLOCK);
  request->get_block.id = hf_id_make(1, 0, world->bits);
  world_read(world, request, STORE_NOT_FOUND);
  store_request_free(request);
}
