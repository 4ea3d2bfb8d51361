/* An actor's own ask finds no room, at each moment at which it makes one. Who asked the actor is
 * told to come again, and finds one outcome when it does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/sim/actor_fixture.h"

/* The nth ask from now on, and those behind it. The test's own send is an ask as well. */
static void refuse(struct fixture *fixture, unsigned nth, unsigned count)
{
  driver_sim_refuse(fixture->driver, DRIVER_SIM_ASKS, nth, count);
}

static void heal(struct fixture *fixture)
{
  assert_true(driver_sim_refused(fixture->driver, DRIVER_SIM_ASKS));
  refuse(fixture, 1, 0);
}

static void refuse_after_commits(struct fixture *fixture, uint64_t commits)
{
  while (fixture->commits < commits)
    fixture_step(fixture);
  refuse(fixture, 1, 1);
}

/* A user with 1000. */
static hf_id user_new(struct fixture *fixture)
{
  hf_id user = fixture_user(fixture, "a");
  struct hf_op *op = fixture_op(fixture, user, LEDGER_T_GRANT, 1000, NULL);
  assert_int_equal(fixture_do(fixture, op).error, HF_OK);
  return user;
}

/* Under a key that goes with the amount. */
static enum hf_error ask_again(struct fixture *fixture, hf_id user, unsigned type, int64_t amount)
{
  char key[24];
  (void)snprintf(key, sizeof key, "k%lld", (long long)amount);
  struct hf_op *op = fixture_op(fixture, user, type, amount, key);
  return fixture_outcome(fixture, fixture_submit(fixture, 1, op)).error;
}

/* ---- names ----------------------------------------------------------------------------------- */

/* A create key and an external id that have different homes. */
static void names_find(struct fixture *fixture, char name[16], char key[16])
{
  unsigned bits = fixture->config.partition_bits;
  for (unsigned i = 0;; i++) {
    (void)snprintf(name, 16, "name-%u", i);
    (void)snprintf(key, 16, "key-%u", i);
    struct hf_create *create = fixture_create(name, key);
    struct hf_hash id = hf_external_id_digest(name, strlen(name));
    rt_id home = hf_create_home(fixture->loops[0], create, bits);
    bool fits = hf_digest_partition(&id, bits) != rt_id_shard(home);
    rt_free(create);
    if (fits)
      return;
  }
}

static struct hf_create *create_again(struct fixture *fixture, const char *name, const char *key)
{
  return fixture_take(fixture, fixture_send_create(fixture, 1, fixture_create(name, key)));
}

/* The ask behind so many commits of the create finds no room. */
static void check_create(unsigned commits, enum hf_error error)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  char name[16], key[16];
  names_find(fixture, name, key);
  refuse(fixture, 2, commits == 0);
  uint64_t before = fixture->commits;
  struct fixture_ask *ask = fixture_send_create(fixture, 1, fixture_create(name, key));
  if (commits > 0)
    refuse_after_commits(fixture, before + commits);
  struct hf_create *create = fixture_take(fixture, ask);
  assert_string_equal(hf_error_info(create->error)->code, hf_error_info(error)->code);
  rt_free(create);
  heal(fixture);
  hf_id user = 0;
  for (unsigned i = 0; i < 2; i++) { /* the second finds what the first has made */
    create = create_again(fixture, name, key);
    assert_int_equal(create->error, HF_OK);
    assert_true(i == 0 || (create->replayed && create->user == user));
    user = create->user;
    rt_free(create);
  }
  create = create_again(fixture, name, NULL);
  assert_int_equal(create->error, HF_E_EXTERNAL_ID_TAKEN);
  rt_free(create);
  fixture_free(fixture);
}

static void test_create_when_there_is_no_room_then_refused_and_one_user_in_the_end(void **state)
{
  (void)state;
  check_create(0, HF_E_OVERLOADED);      /* the key cannot be reserved */
  check_create(1, HF_E_OVERLOADED);      /* the external id's home cannot be asked */
  check_create(2, HF_E_UNKNOWN_OUTCOME); /* the user is made; the key cannot be confirmed */
}

/* The name is taken, and who has it cannot be read. */
static void test_create_when_the_taken_name_cannot_be_read_then_refused(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  (void)state;
  (void)fixture_user(fixture, "a");
  uint64_t before = fixture->commits;
  struct fixture_ask *ask = fixture_send_create(fixture, 1, fixture_create("a", NULL));
  refuse_after_commits(fixture, before + 1u);
  struct hf_create *create = fixture_take(fixture, ask);
  assert_int_equal(create->error, HF_E_OVERLOADED);
  rt_free(create);
  heal(fixture);
  create = create_again(fixture, "a", NULL);
  assert_int_equal(create->error, HF_E_EXTERNAL_ID_TAKEN);
  rt_free(create);
  fixture_free(fixture);
}

/* ---- users ----------------------------------------------------------------------------------- */

static void test_op_when_its_unit_finds_no_room_then_refused_and_applied_once(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = user_new(fixture);
  (void)state;
  for (unsigned i = 0; i < 3; i++) {
    refuse(fixture, 2, i); /* its unit; and the read of the user behind that */
    enum hf_error error = ask_again(fixture, user, LEDGER_T_SPEND, 300 + i);
    if (i == 2)
      assert_string_equal(hf_error_info(error)->code, "unavailable");
    else
      assert_int_equal(error, HF_OK); /* judged again behind the refusal */
    heal(fixture);
    assert_int_equal(ask_again(fixture, user, LEDGER_T_SPEND, 300 + i), HF_OK);
    assert_int_equal(fixture_count(fixture, LEDGER_T_SPEND), i + 1u);
  }
  fixture_free(fixture);
}

/* What the op refers to is in the journal alone. */
static void test_capture_when_its_hold_cannot_be_read_then_refused_and_told_later(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = user_new(fixture);
  (void)state;
  hf_id hold = fixture_do(fixture, fixture_op(fixture, user, LEDGER_T_HOLD, 100, NULL)).op;
  for (unsigned i = 0; i < 3; i++) {
    refuse(fixture, 2, i == 1);
    struct hf_op *op = fixture_op_ref(fixture, user, LEDGER_T_CAPTURE, hold, 100, NULL);
    enum hf_error error = fixture_outcome(fixture, fixture_submit(fixture, 1, op)).error;
    static const enum hf_error expected[] = {HF_OK, HF_E_UNAVAILABLE, HF_E_HOLD_RESOLVED};
    assert_string_equal(hf_error_info(error)->code, hf_error_info(expected[i])->code);
    heal(fixture);
  }
  fixture_free(fixture);
}

static struct fixture_ask *send_peek(struct fixture *fixture, hf_id user, uint16_t op)
{
  struct hf_peek *peek = rt_alloc(sizeof *peek);
  peek->user = user;
  peek->status = LEDGER_CLOSED;
  rt_id actor = hf_user_actor(user, fixture->config.partition_bits);
  return fixture_send(fixture, 1, actor, op, peek);
}

static enum hf_error take_peek(struct fixture *fixture, struct fixture_ask *ask)
{
  struct hf_peek *peek = fixture_take(fixture, ask);
  enum hf_error error = peek->error;
  rt_free(peek);
  return error;
}

static enum hf_error ask_view(struct fixture *fixture, hf_id user)
{
  struct hf_view *view = hf_view_new();
  view->user = user;
  rt_id actor = hf_user_actor(user, fixture->config.partition_bits);
  view = fixture_take(fixture, fixture_send(fixture, 1, actor, HF_BALANCES, view));
  enum hf_error error = view->error;
  hf_view_free(view);
  return error;
}

static void test_status_when_its_unit_finds_no_room_then_refused_and_open_still(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = user_new(fixture);
  (void)state;
  refuse(fixture, 2, 1);
  enum hf_error error = take_peek(fixture, send_peek(fixture, user, HF_SET_STATUS));
  assert_string_equal(hf_error_info(error)->code, "overloaded");
  heal(fixture);
  assert_int_equal(ask_again(fixture, user, LEDGER_T_SPEND, 1), HF_OK);
  assert_int_equal(take_peek(fixture, send_peek(fixture, user, HF_SET_STATUS)), HF_OK);
  fixture_free(fixture);
}

enum touch { TOUCH_VIEW, TOUCH_PEEK, TOUCH_STATUS, TOUCH_OP, TOUCHES };

static enum hf_error touch(struct fixture *fixture, hf_id user, enum touch how)
{
  if (how == TOUCH_VIEW)
    return ask_view(fixture, user);
  if (how == TOUCH_OP)
    return ask_again(fixture, user, LEDGER_T_SPEND, 1);
  return take_peek(fixture, send_peek(fixture, user, how == TOUCH_PEEK ? HF_PEEK : HF_SET_STATUS));
}

/* Whoever touches the user comes behind the release of an expired hold, which finds no room. */
static void test_touch_when_an_expiry_finds_no_room_then_refused_and_released_later(void **state)
{
  (void)state;
  for (enum touch how = TOUCH_VIEW; how < TOUCHES; how++) {
    struct fixture *fixture = fixture_new((struct fixture_config){0});
    hf_id user = user_new(fixture);
    struct hf_op *op = fixture_op(fixture, user, LEDGER_T_HOLD, 600, NULL);
    op->command.timeout_s = 1;
    assert_int_equal(fixture_do(fixture, op).error, HF_OK);
    fixture_run(fixture, 1500000);
    refuse(fixture, 2, 2); /* the expiry's unit, and the read of the user behind that */
    enum hf_error error = touch(fixture, user, how);
    /* Whether it is open does not hang on the hold. */
    assert_true(how == TOUCH_PEEK ? error == HF_OK : hf_error_info(error)->retryable);
    heal(fixture);
    assert_int_equal(fixture_count(fixture, LEDGER_T_EXPIRE), 0);
    assert_int_equal(touch(fixture, user, how), HF_OK);
    fixture_run(fixture, 100000);
    assert_int_equal(fixture_count(fixture, LEDGER_T_EXPIRE), 1);
    assert_true(fixture_balance(fixture, user).bucket[LEDGER_HELD] == 0);
    fixture_free(fixture);
  }
}

/* ---- transfers ------------------------------------------------------------------------------- */

/* After so many of its commits: debit, credit, mark. */
static void test_transfer_when_there_is_no_room_then_unknown_and_done_once(void **state)
{
  (void)state;
  for (unsigned commits = 1; commits <= 2; commits++) {
    struct fixture *fixture = fixture_new((struct fixture_config){0});
    hf_id payer = user_new(fixture), payee = fixture_user(fixture, "payee");
    uint64_t before = fixture->commits;
    struct hf_op *op = fixture_op_transfer(fixture, payer, payee, 400, "t");
    struct fixture_ask *ask = fixture_submit(fixture, 1, op);
    refuse_after_commits(fixture, before + commits);
    assert_int_equal(fixture_outcome(fixture, ask).error, HF_E_UNKNOWN_OUTCOME);
    heal(fixture);
    fixture_run(fixture, 2000000);
    assert_int_equal(fixture_account(fixture, LEDGER_TRANSIT), 0);
    op = fixture_op_transfer(fixture, payer, payee, 400, "t");
    struct outcome again = fixture_outcome(fixture, fixture_submit(fixture, 1, op));
    assert_true(again.error == HF_OK && again.replayed);
    assert_int_equal(fixture_count(fixture, LEDGER_T_CREDIT), 1);
    assert_true(fixture_balance(fixture, payee).bucket[LEDGER_CLAIMABLE] == 400);
    fixture_free(fixture);
  }
}

/* The partitions open when what is in transit there cannot be asked for: it is asked for later. */
static void test_transfer_when_it_cannot_be_listed_at_opening_then_credited_later(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id payer = user_new(fixture), payee = fixture_user(fixture, "payee");
  (void)state;
  (void)fixture_submit(fixture, 0, fixture_op_transfer(fixture, payer, payee, 400, "t"));
  while (fixture_account(fixture, LEDGER_TRANSIT) == 0)
    fixture_step(fixture);
  uint64_t listed = fixture->reads[STORE_OPEN_TRANSFERS];
  refuse(fixture, 1, 6); /* four lists, and two catalogues, which are read again soon */
  fixture_crash(fixture);
  heal(fixture);
  fixture_run(fixture, 1000000);
  assert_int_equal(fixture->reads[STORE_OPEN_TRANSFERS], listed);
  assert_int_equal(fixture_account(fixture, LEDGER_TRANSIT), 400);
  fixture_run(fixture, 8000000);
  assert_int_equal(fixture_account(fixture, LEDGER_TRANSIT), 0);
  assert_true(fixture_balance(fixture, payee).bucket[LEDGER_CLAIMABLE] == 400);
  fixture_free(fixture);
}

/* ---- the sweep ------------------------------------------------------------------------------- */

static void check_sweep(bool peeks)
{
  struct fixture *fixture = fixture_new((struct fixture_config){.sweep_every_us = 300000});
  hf_id user = user_new(fixture);
  (void)user;
  struct hf_op *op = fixture_op(fixture, user, LEDGER_T_HOLD, 10, NULL);
  op->command.timeout_s = 1;
  assert_int_equal(fixture_do(fixture, op).error, HF_OK);
  fixture_run(fixture, 1000000);
  uint64_t reads = fixture->reads[STORE_DUE_HOLDS];
  while (peeks && fixture->reads[STORE_DUE_HOLDS] < reads + 4u) /* one for each partition */
    fixture_step(fixture);
  refuse(fixture, 1, peeks ? 1 : 4); /* nobody else asks anything */
  fixture_run(fixture, 290000);
  heal(fixture);
  assert_int_equal(fixture_count(fixture, LEDGER_T_EXPIRE), 0);
  fixture_run(fixture, 300000);
  assert_int_equal(fixture_count(fixture, LEDGER_T_EXPIRE), 1);
  fixture_free(fixture);
}

static void test_sweep_when_there_is_no_room_then_the_next_round_releases_the_hold(void **state)
{
  (void)state;
  check_sweep(false); /* for the reads of what is due */
  check_sweep(true);  /* for the peek at the user */
}

/* ---- the catalogue --------------------------------------------------------------------------- */

static struct fixture_ask *send_asset(struct fixture *fixture, uint16_t op, uint16_t number)
{
  struct hf_catalog_change *change = rt_alloc(sizeof *change);
  change->kind = CATALOG_ADD_ASSET;
  change->asset.id = number;
  change->asset.scale = FIXTURE_SCALE;
  change->asset.chain_decimals = 255;
  memcpy(change->asset.code, "SILVER", sizeof "SILVER");
  rt_id home = catalog_home(fixture->loops[1]);
  return fixture_send(fixture, 1, home, op, change);
}

static enum hf_error take_asset(struct fixture *fixture, struct fixture_ask *ask, bool *ret_existed)
{
  struct hf_catalog_change *change = fixture_take(fixture, ask);
  enum hf_error error = change->error;
  *ret_existed = change->existed;
  rt_free(change);
  return error;
}

static void check_asset(unsigned commits)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  uint64_t before = fixture->commits;
  bool existed = false;
  refuse(fixture, 2, commits == 0);
  struct fixture_ask *ask = send_asset(fixture, HF_ASSET, 0);
  if (commits > 0)
    refuse_after_commits(fixture, before + commits);
  enum hf_error error = take_asset(fixture, ask, &existed);
  assert_string_equal(hf_error_info(error)->code, "overloaded");
  heal(fixture);
  assert_int_equal(take_asset(fixture, send_asset(fixture, HF_ASSET, 0), &existed), HF_OK);
  assert_int_equal(existed, commits > 0);
  for (unsigned i = 0; i < 2; i++)
    assert_int_equal(catalog_asset_by_code(catalog_of(fixture->loops[i]), "SILVER", 6)->id, 2);
  fixture_free(fixture);
}

static void test_asset_when_there_is_no_room_then_refused_and_known_everywhere_later(void **state)
{
  (void)state;
  check_asset(0); /* for its unit */
  check_asset(1); /* for telling the other loop: it is durable, and not acknowledged */
}

static void test_catalog_when_a_read_finds_no_room_then_it_is_read_later(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  bool existed;
  (void)state;
  refuse(fixture, 2, 1);
  uint64_t reads = fixture->reads[STORE_CATALOG];
  struct fixture_ask *ask = send_asset(fixture, HF_LEARN, 40); /* only a read can tell of it */
  fixture_run(fixture, 100000);
  heal(fixture);
  assert_false(ask->answered);
  assert_int_equal(fixture->reads[STORE_CATALOG], reads);
  assert_int_equal(take_asset(fixture, ask, &existed), HF_OK);
  assert_int_equal(fixture->reads[STORE_CATALOG], reads + 1u);
  fixture_free(fixture);
}

/* ---- tells ----------------------------------------------------------------------------------- */

static void refuse_tells(struct fixture *fixture, unsigned count)
{
  driver_sim_refuse(fixture->driver, DRIVER_SIM_TELLS, 1, count);
}

/* The store is not told that the user knows what came back: until it is, it takes nothing. */
static void test_user_when_it_cannot_tell_that_it_goes_on_then_it_does_later(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = user_new(fixture);
  (void)state;
  fixture_fate(fixture, FATE_REFUSED);
  uint64_t commits = fixture->commits;
  struct hf_op *op = fixture_op(fixture, user, LEDGER_T_SPEND, 10, "k");
  struct fixture_ask *ask = fixture_submit(fixture, 1, op);
  while (fixture->commits == commits)
    fixture_step(fixture);
  refuse_tells(fixture, 2);
  assert_int_equal(fixture_outcome(fixture, ask).error, HF_OK);
  assert_true(driver_sim_refused(fixture->driver, DRIVER_SIM_TELLS));
  assert_int_equal(fixture_count(fixture, LEDGER_T_SPEND), 1);
  fixture_free(fixture);
}

/* Its actors are not told that a partition is open, and told again. */
static void test_opening_when_it_cannot_be_told_then_told_later(void **state)
{
  (void)state;
  for (unsigned count = 1; count <= 6; count++) { /* all of the first partition that opens */
    struct fixture *fixture = fixture_new((struct fixture_config){0});
    hf_id payer = user_new(fixture), payee = fixture_user(fixture, "payee");
    (void)fixture_submit(fixture, 0, fixture_op_transfer(fixture, payer, payee, 400, "t"));
    while (fixture_account(fixture, LEDGER_TRANSIT) == 0)
      fixture_step(fixture);
    refuse_tells(fixture, count);
    fixture_crash(fixture);
    assert_int_not_equal(fixture_user(fixture, "new"), 0);
    fixture_run(fixture, 1000000);
    assert_true(driver_sim_refused(fixture->driver, DRIVER_SIM_TELLS));
    assert_int_equal(fixture_account(fixture, LEDGER_TRANSIT), 0);
    fixture_free(fixture);
  }
}

static void test_catalog_when_the_others_cannot_be_told_to_read_then_they_are_later(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  bool existed;
  (void)state;
  fixture_fate(fixture, FATE_UNKNOWN_LOST);
  fixture_fate(fixture, FATE_UNKNOWN_DONE);
  uint64_t commits = fixture->commits;
  struct fixture_ask *ask = send_asset(fixture, HF_ASSET, 0);
  while (fixture->commits < commits + 2u)
    fixture_step(fixture);
  refuse_tells(fixture, 30); /* the partition's actors are told as well that it is open again */
  assert_int_equal(take_asset(fixture, ask, &existed), HF_E_UNKNOWN_OUTCOME);
  fixture_run(fixture, 10000000);
  assert_true(driver_sim_refused(fixture->driver, DRIVER_SIM_TELLS));
  for (unsigned i = 0; i < 2; i++)
    assert_int_equal(catalog_asset_by_code(catalog_of(fixture->loops[i]), "SILVER", 6)->id, 2);
  fixture_free(fixture);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_create_when_there_is_no_room_then_refused_and_one_user_in_the_end),
    cmocka_unit_test(test_create_when_the_taken_name_cannot_be_read_then_refused),
    cmocka_unit_test(test_op_when_its_unit_finds_no_room_then_refused_and_applied_once),
    cmocka_unit_test(test_capture_when_its_hold_cannot_be_read_then_refused_and_told_later),
    cmocka_unit_test(test_status_when_its_unit_finds_no_room_then_refused_and_open_still),
    cmocka_unit_test(test_touch_when_an_expiry_finds_no_room_then_refused_and_released_later),
    cmocka_unit_test(test_transfer_when_there_is_no_room_then_unknown_and_done_once),
    cmocka_unit_test(test_transfer_when_it_cannot_be_listed_at_opening_then_credited_later),
    cmocka_unit_test(test_sweep_when_there_is_no_room_then_the_next_round_releases_the_hold),
    cmocka_unit_test(test_asset_when_there_is_no_room_then_refused_and_known_everywhere_later),
    cmocka_unit_test(test_catalog_when_a_read_finds_no_room_then_it_is_read_later),
    cmocka_unit_test(test_user_when_it_cannot_tell_that_it_goes_on_then_it_does_later),
    cmocka_unit_test(test_opening_when_it_cannot_be_told_then_told_later),
    cmocka_unit_test(test_catalog_when_the_others_cannot_be_told_to_read_then_they_are_later),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
