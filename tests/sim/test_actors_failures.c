/* What happens when the process dies, the store fails or time runs out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "holdfast/check.h"
#include "actors/cluster/cluster.h"
#include "tests/sim/actor_fixture.h"

static struct outcome must(struct fixture *fixture, struct hf_op *op)
{
  struct outcome outcome = fixture_do(fixture, op);
  assert_string_equal(hf_error_info(outcome.error)->code, "ok");
  return outcome;
}

#define OP(type, amount) fixture_op(fixture, user, LEDGER_T_##type, amount, NULL)
#define REF(type, ref, amount) fixture_op_ref(fixture, user, LEDGER_T_##type, ref, amount, NULL)

/* ---- restarts -------------------------------------------------------------------------------- */

static int64_t total_of(struct fixture *fixture, hf_id user)
{
  struct ledger_balance balance = fixture_balance(fixture, user);
  return (int64_t)ledger_total(&balance);
}

static void test_regress_2554_block_when_restarted_then_nothing_vanishes(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = fixture_user(fixture, "a");
  (void)state;
  must(fixture, OP(GRANT, 1000));
  assert_int_equal(total_of(fixture, user), 1000);
  hf_id block = must(fixture, OP(BLOCK, 700)).op;
  assert_int_equal(total_of(fixture, user), 1000);
  fixture_crash(fixture);
  assert_int_equal(total_of(fixture, user), 1000);
  assert_true(fixture_balance(fixture, user).bucket[LEDGER_BLOCKED] == 700);
  must(fixture, REF(UNBLOCK, block, 200));
  assert_int_equal(total_of(fixture, user), 1000);
  fixture_crash(fixture);
  assert_true(fixture_balance(fixture, user).bucket[LEDGER_BLOCKED] == 500);
  must(fixture, REF(UNBLOCK, block, 0));
  assert_int_equal(total_of(fixture, user), 1000);
  assert_true(fixture_balance(fixture, user).bucket[LEDGER_CLAIMABLE] == 1000);
  fixture_free(fixture);
}

/* Crashes at every step of a transfer's way; the client retries until it is told. */
static void test_transfer_when_the_process_dies_anywhere_then_done_once(void **state)
{
  (void)state;
  for (unsigned steps = 0; steps < 60; steps++) {
    struct fixture *fixture = fixture_new((struct fixture_config){.seed = steps + 1u});
    hf_id user = fixture_user(fixture, "a"), payee = fixture_user(fixture, "b");
    must(fixture, OP(GRANT, 1000));
    (void)fixture_submit(fixture, 1, fixture_op_transfer(fixture, user, payee, 400, "t"));
    fixture_steps(fixture, steps);
    fixture_crash(fixture);
    must(fixture, fixture_op_transfer(fixture, user, payee, 400, "t"));
    fixture_run(fixture, 2000000);
    assert_int_equal(fixture_account(fixture, LEDGER_TRANSIT), 0);
    assert_int_equal(fixture_inside(fixture), 1000);
    assert_int_equal(fixture_count(fixture, LEDGER_T_TRANSFER), 1);
    assert_int_equal(fixture_count(fixture, LEDGER_T_CREDIT), 1);
    assert_true(fixture_balance(fixture, payee).bucket[LEDGER_CLAIMABLE] == 400);
    fixture_free(fixture);
  }
}

/* Nobody asks again: the restart alone brings the money on. */
static void test_transfer_when_in_transit_at_a_crash_then_the_restart_credits_it(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = fixture_user(fixture, "a"), payee = fixture_user(fixture, "b");
  (void)state;
  must(fixture, OP(GRANT, 1000));
  (void)fixture_submit(fixture, 0, fixture_op_transfer(fixture, user, payee, 400, "t"));
  while (fixture_account(fixture, LEDGER_TRANSIT) == 0)
    fixture_step(fixture);
  assert_int_equal(fixture_inside(fixture), 600);
  fixture_crash(fixture);
  fixture_run(fixture, 1000000);
  assert_int_equal(fixture_account(fixture, LEDGER_TRANSIT), 0);
  assert_true(fixture_balance(fixture, payee).bucket[LEDGER_CLAIMABLE] == 400);
  struct outcome again = fixture_do(fixture, fixture_op_transfer(fixture, user, payee, 400, "t"));
  assert_true(again.error == HF_OK && again.replayed);
  assert_int_equal(fixture_count(fixture, LEDGER_T_CREDIT), 1);
  fixture_free(fixture);
}

/* Closed while the money is on its way: the credit cannot be refused, it is frozen. */
static void test_transfer_when_the_payee_closes_meanwhile_then_credited_still(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = fixture_user(fixture, "a"), payee = fixture_user(fixture, "b");
  (void)state;
  must(fixture, OP(GRANT, 1000));
  (void)fixture_submit(fixture, 0, fixture_op_transfer(fixture, user, payee, 400, "t"));
  while (fixture_account(fixture, LEDGER_TRANSIT) == 0)
    fixture_step(fixture);
  fixture_crash(fixture); /* the closing races with the restart's credit */
  assert_int_equal(fixture_status(fixture, payee, LEDGER_CLOSED), HF_OK);
  fixture_run(fixture, 1000000);
  struct ledger_balance balance = fixture_balance(fixture, payee);
  assert_int_equal(fixture_account(fixture, LEDGER_TRANSIT), 0);
  assert_int_equal(balance.bucket[LEDGER_BLOCKED] + balance.bucket[LEDGER_CLAIMABLE], 400);
  fixture_free(fixture);
}

static void test_transfer_when_the_payee_is_closed_then_frozen(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = fixture_user(fixture, "a"), payee = fixture_user(fixture, "b");
  (void)state;
  must(fixture, OP(GRANT, 1000));
  assert_int_equal(fixture_status(fixture, payee, LEDGER_CLOSED), HF_OK);
  /* The front door has looked before: payee_closed is not set. */
  must(fixture, fixture_op_transfer(fixture, user, payee, 400, NULL));
  struct ledger_balance balance = fixture_balance(fixture, payee);
  assert_true(balance.bucket[LEDGER_BLOCKED] == 400 && balance.bucket[LEDGER_CLAIMABLE] == 0);
  assert_int_equal(fixture_account(fixture, LEDGER_TRANSIT), 0);
  fixture_free(fixture);
}

/* ---- commits that fail ----------------------------------------------------------------------- */

static void check_fates(const enum fixture_fate *fates, unsigned count)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = fixture_user(fixture, "a");
  must(fixture, OP(GRANT, 1000));
  for (unsigned i = 0; i < count; i++)
    fixture_fate(fixture, fates[i]);
  struct outcome outcome = {.error = HF_E_UNKNOWN_OUTCOME};
  for (unsigned i = 0; i < 10 && outcome.error != HF_OK; i++) {
    outcome = fixture_do(fixture, fixture_op(fixture, user, LEDGER_T_SPEND, 300, "k"));
    assert_true(outcome.error == HF_OK || hf_error_info(outcome.error)->retryable);
    if (outcome.error != HF_OK)
      fixture_run(fixture, 1000000); /* as Retry-After says */
  }
  assert_int_equal(outcome.error, HF_OK);
  assert_int_equal(fixture_count(fixture, LEDGER_T_SPEND), 1);
  struct outcome again = fixture_do(fixture, fixture_op(fixture, user, LEDGER_T_SPEND, 300, "k"));
  assert_true(again.replayed && again.op == outcome.op);
  assert_true(fixture_balance(fixture, user).bucket[LEDGER_CLAIMABLE] == 700);
  fixture_free(fixture);
}

static void test_commit_when_of_unknown_outcome_then_the_key_tells_one_outcome(void **state)
{
  static const enum fixture_fate all[] = {FATE_REFUSED, FATE_UNKNOWN_DONE, FATE_UNKNOWN_LOST};
  (void)state;
  for (unsigned i = 0; i < 3; i++) {
    check_fates(&all[i], 1);
    for (unsigned j = 0; j < 3; j++) {
      enum fixture_fate row[] = {all[i], all[j], all[i], all[j], all[j], all[i]};
      check_fates(row, 2);
      check_fates(row, 6);
    }
  }
}

/* An op that stands on another one that was lost is judged again, in order. */
static void test_commit_when_refused_then_what_stood_on_it_is_judged_again(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = fixture_user(fixture, "a");
  struct fixture_ask *asks[10];
  (void)state;
  must(fixture, OP(GRANT, 100));
  fixture_fate(fixture, FATE_REFUSED);
  for (unsigned i = 0; i < 10; i++) /* each spends what the one before it brought */
    asks[i] = fixture_submit(fixture, 0, i % 2 == 0 ? OP(GRANT, 50) : OP(SPEND, i == 1 ? 150 : 50));
  for (unsigned i = 0; i < 10; i++) {
    enum hf_error error = fixture_outcome(fixture, asks[i]).error;
    assert_int_equal(error, HF_OK);
  }
  assert_true(fixture_balance(fixture, user).bucket[LEDGER_CLAIMABLE] == 0);
  assert_int_equal(fixture_count(fixture, LEDGER_T_GRANT), 6);
  fixture_free(fixture);
}

static void test_store_when_down_then_refused_soon_and_back_by_itself(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = fixture_user(fixture, "a");
  (void)state;
  must(fixture, OP(GRANT, 1000));
  fixture->down = true;
  for (unsigned i = 0; i < 8; i++) {
    uint64_t began_us = fixture_now_us(fixture);
    enum hf_error error = fixture_do(fixture, OP(SPEND, 1)).error;
    assert_true(hf_error_info(error)->retryable);
    assert_int_equal(hf_error_info(error)->status, 503);
    assert_true(fixture_now_us(fixture) - began_us < 2000000);
  }
  fixture->down = false;
  fixture_run(fixture, 10000000); /* the longest backoff is 1 s */
  must(fixture, OP(SPEND, 1));
  assert_int_equal(fixture_count(fixture, LEDGER_T_SPEND), 1);
  fixture_free(fixture);
}

#define READS 1000u

static struct store_request *curious(hf_id user, bool many)
{
  struct store_request *request = store_request_new(many ? STORE_SCAN : STORE_GET_USER);
  if (many) {
    request->scan.partition = hf_id_partition(user, 2);
    request->scan.from_seq = 1;
    request->scan.limit = 500;
  } else {
    request->get_user.id = user;
  }
  return request;
}

/* An op of a user who is asleep comes behind so many reads of a client: returns how many of them
 * are answered before it, and how many in the end. */
static unsigned behind_reads(bool many, unsigned *ret_done)
{
  static struct fixture_ask *asks[READS];
  struct fixture *fixture = fixture_new((struct fixture_config){.loops = 1});
  hf_id user = fixture_user(fixture, "a");
  rt_id store = hf_loop_actor(HF_KIND_STORE, 0);
  unsigned before = 0, done = 0, busy = 0;
  must(fixture, OP(GRANT, 1000));
  fixture_crash(fixture);
  (void)fixture_user(fixture, "b"); /* the store is open again, and `user` asleep */
  for (unsigned i = 0; i < READS; i++)
    asks[i] = fixture_send(fixture, 0, store, HF_READ, curious(user, many));
  assert_int_equal(fixture_outcome(fixture, fixture_submit(fixture, 0, OP(SPEND, 1))).error, HF_OK);
  for (unsigned i = 0; i < READS; i++) {
    const struct store_request *request = asks[i]->payload;
    before += asks[i]->answered && request->status == STORE_OK;
  }
  for (unsigned i = 0; i < READS; i++) {
    struct store_request *request = fixture_take(fixture, asks[i]);
    done += request->status == STORE_OK;
    busy += request->status == STORE_BUSY;
    store_request_free(request);
  }
  assert_int_equal(done + busy, READS);
  fixture_free(fixture);
  *ret_done = done;
  return before;
}

/* Nobody's curiosity keeps a user from waking up, however much is asked for at once. */
static void test_reads_when_clients_ask_for_many_then_a_sleeping_user_wakes_up_before_them(
  void **state)
{
  unsigned done = 0;
  (void)state;
  assert_in_range(behind_reads(true, &done), 0, 40);
  assert_in_range(done, 200, 400); /* the others are told to come again */
  assert_in_range(behind_reads(false, &done), 0, 500);
  assert_int_equal(done, READS);
}

/* A user of another partition than `user`. */
static hf_id user_elsewhere(struct fixture *fixture, hf_id user)
{
  char name[2] = "b";
  for (;; name[0]++) {
    hf_id other = fixture_user(fixture, name);
    if (hf_id_partition(other, 2) != hf_id_partition(user, 2))
      return other;
  }
}

/* Who waits for the partition is answered, and so is who comes later, while others commit. */
static void check_partition_broken(enum store_status status)
{
  struct fixture *fixture = fixture_new((struct fixture_config){.loops = 1});
  hf_id user = fixture_user(fixture, "a"), other = user_elsewhere(fixture, user);
  must(fixture, OP(GRANT, 1000));
  fixture->broken = hf_id_partition(user, 2);
  fixture->broken_status = status;
  fixture_fate(fixture, FATE_REFUSED);
  struct fixture_ask *ask = fixture_submit(fixture, 0, OP(SPEND, 1));
  while (fixture->fates_count > 0)
    fixture_step(fixture);
  for (unsigned round = 0; round < 2; round++) {
    /* The partition's names actor has the key of the user's own name. */
    struct fixture_ask *create = fixture_send_create(fixture, 0, fixture_create("a", NULL));
    for (unsigned i = 0; i < 500; i++)
      must(fixture, fixture_op(fixture, other, LEDGER_T_GRANT, 1, NULL));
    assert_true(ask->answered && create->answered);
    assert_int_equal(fixture_outcome(fixture, ask).error, HF_E_UNAVAILABLE);
    struct hf_create *created = fixture_take(fixture, create);
    assert_int_equal(created->error, HF_E_UNAVAILABLE);
    rt_free(created);
    assert_true(hf_store_open(fixture->loops[0])); /* the others go on: so does the node */
    assert_true(cluster_of(fixture->loops[0])->places[fixture->broken].vain);
    ask = fixture_submit(fixture, 0, OP(SPEND, 1));
  }
  assert_int_equal(fixture_outcome(fixture, ask).error, HF_E_UNAVAILABLE);
  fixture->broken_status = STORE_OK;
  fixture_run(fixture, 3000000);
  assert_true(hf_store_open(fixture->loops[0]));
  must(fixture, OP(SPEND, 1));
  assert_int_equal(fixture_count(fixture, LEDGER_T_SPEND), 1);
  assert_int_not_equal(fixture_user(fixture, "new"), 0);
  fixture_free(fixture);
}

static void test_partition_when_it_does_not_open_then_refused_while_others_commit(void **state)
{
  (void)state;
  check_partition_broken(STORE_UNAVAILABLE);
  check_partition_broken(STORE_CORRUPT);
}

/* ---- time ------------------------------------------------------------------------------------ */

static void test_deadline_when_passed_before_judging_then_dropped(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = fixture_user(fixture, "a");
  (void)state;
  struct hf_op *op = OP(GRANT, 10);
  op->deadline_us = fixture_now_us(fixture) + 500; /* the user is read meanwhile: 1 ms */
  assert_int_equal(fixture_do(fixture, op).error, HF_E_TIMEOUT);
  fixture_run(fixture, 1000000);
  assert_int_equal(fixture_count(fixture, LEDGER_T_GRANT), 0);
  fixture_free(fixture);
}

static void test_deadline_when_passed_after_judging_then_applied(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = fixture_user(fixture, "a");
  (void)state;
  must(fixture, OP(GRANT, 10));
  struct hf_op *op = OP(GRANT, 10);
  op->deadline_us = fixture_now_us(fixture) + 500; /* the commit takes 1 ms */
  uint64_t deadline_us = op->deadline_us;
  must(fixture, op);
  assert_true(fixture_now_us(fixture) > deadline_us);
  fixture_free(fixture);
}

static hf_id hold_for(struct fixture *fixture, hf_id user, int64_t amount, uint32_t timeout_s)
{
  struct hf_op *op = OP(HOLD, amount);
  op->command.timeout_s = timeout_s;
  return must(fixture, op).op;
}

static void test_hold_when_expired_then_released_on_touch(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = fixture_user(fixture, "a");
  (void)state;
  must(fixture, OP(GRANT, 1000));
  hf_id hold = hold_for(fixture, user, 600, 2);
  fixture_run(fixture, 1000000);
  assert_true(fixture_balance(fixture, user).bucket[LEDGER_HELD] == 600);
  fixture_run(fixture, 1500000);
  assert_int_equal(fixture_count(fixture, LEDGER_T_EXPIRE), 0);
  /* The very first touch is a late capture: it comes with the expiry, and must not be told
   * otherwise than one that comes later. */
  assert_int_equal(fixture_do(fixture, REF(CAPTURE, hold, 100)).error, HF_E_HOLD_EXPIRED);
  assert_int_equal(fixture_do(fixture, REF(CAPTURE, hold, 100)).error, HF_E_HOLD_EXPIRED);
  assert_true(fixture_balance(fixture, user).bucket[LEDGER_CLAIMABLE] == 1000);
  hold_for(fixture, user, 600, 1);
  fixture_run(fixture, 1500000);
  assert_true(fixture_balance(fixture, user).bucket[LEDGER_CLAIMABLE] == 1000); /* by reading */
  assert_int_equal(fixture_count(fixture, LEDGER_T_EXPIRE), 2);
  fixture_free(fixture);
}

static void test_hold_when_expired_and_its_user_asleep_then_released_by_the_sweep(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){.sweep_every_us = 500000});
  hf_id user = fixture_user(fixture, "a");
  (void)state;
  must(fixture, OP(GRANT, 1000));
  for (unsigned i = 0; i < 20; i++)
    hold_for(fixture, user, 10, 2);
  fixture_crash(fixture);
  fixture_run(fixture, 4000000);
  assert_int_equal(fixture_count(fixture, LEDGER_T_EXPIRE), 20);
  assert_true(fixture_balance(fixture, user).bucket[LEDGER_HELD] == 0);
  fixture_free(fixture);
}

static int64_t expires_us(struct fixture *fixture, hf_id hold)
{
  struct store_request *request = store_request_new(STORE_GET_HOLD);
  request->get_hold.id = hold;
  fixture_read(fixture, request);
  assert_int_equal(request->status, STORE_OK);
  int64_t at_us = request->get_hold.out.expires_us;
  store_request_free(request);
  return at_us;
}

static void run_to_wall(struct fixture *fixture, int64_t wall_us)
{
  assert_true(wall_us >= fixture_wall_us(fixture));
  fixture_run(fixture, (uint64_t)(wall_us - fixture_wall_us(fixture)));
}

/* The hold is captured in time, behind a commit that is slow, and its time passes before that is
 * durable: the journal has it open still, and it will not expire. */
static void test_hold_when_its_capture_is_under_way_at_its_expiry_then_told_resolved(void **state)
{
  unsigned waited = 0;
  (void)state;
  for (uint64_t seed = 1; seed <= 24; seed++) {
    struct fixture *fixture =
      fixture_new((struct fixture_config){.job_us_max = 4000, .seed = seed});
    hf_id user = fixture_user(fixture, "a");
    must(fixture, OP(GRANT, 1000));
    hf_id hold = hold_for(fixture, user, 600, 1);
    int64_t end_us = expires_us(fixture, hold);
    run_to_wall(fixture, end_us - 1200);
    struct fixture_ask *slow = fixture_submit(fixture, 0, OP(GRANT, 1));
    run_to_wall(fixture, end_us - 700);
    struct fixture_ask *capture = fixture_submit(fixture, 0, REF(CAPTURE, hold, 600));
    run_to_wall(fixture, end_us + 100);
    struct outcome late = fixture_do(fixture, REF(CAPTURE, hold, 600));
    assert_string_equal(hf_error_info(late.error)->code, "hold_resolved");
    assert_int_equal(fixture_outcome(fixture, slow).error, HF_OK);
    assert_int_equal(fixture_outcome(fixture, capture).error, HF_OK);
    waited += fixture->reads[STORE_GET_HOLD] > 1u;
    fixture_free(fixture);
  }
  assert_true(waited > 0); /* the look-up came before the capture's commit */
}

/* The release fails again and again: a reader is told so, and does not wait for ever. */
static void test_balance_when_an_expiry_cannot_commit_then_the_reader_is_answered(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = fixture_user(fixture, "a");
  (void)state;
  must(fixture, OP(GRANT, 1000));
  hold_for(fixture, user, 600, 1);
  fixture_run(fixture, 1500000);
  fixture->down = true;
  struct hf_view *view = hf_view_new();
  view->user = user;
  view = fixture_take(fixture, fixture_send(fixture, 0, hf_user_actor(user, 2), HF_BALANCES, view));
  assert_int_equal(view->error, HF_E_UNAVAILABLE);
  hf_view_free(view);
  fixture->down = false;
  fixture_run(fixture, 10000000);
  assert_true(fixture_balance(fixture, user).bucket[LEDGER_CLAIMABLE] == 1000);
  fixture_free(fixture);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_regress_2554_block_when_restarted_then_nothing_vanishes),
    cmocka_unit_test(test_transfer_when_the_process_dies_anywhere_then_done_once),
    cmocka_unit_test(test_transfer_when_in_transit_at_a_crash_then_the_restart_credits_it),
    cmocka_unit_test(test_transfer_when_the_payee_closes_meanwhile_then_credited_still),
    cmocka_unit_test(test_transfer_when_the_payee_is_closed_then_frozen),
    cmocka_unit_test(test_commit_when_of_unknown_outcome_then_the_key_tells_one_outcome),
    cmocka_unit_test(test_commit_when_refused_then_what_stood_on_it_is_judged_again),
    cmocka_unit_test(test_store_when_down_then_refused_soon_and_back_by_itself),
    cmocka_unit_test(
      test_reads_when_clients_ask_for_many_then_a_sleeping_user_wakes_up_before_them),
    cmocka_unit_test(test_partition_when_it_does_not_open_then_refused_while_others_commit),
    cmocka_unit_test(test_deadline_when_passed_before_judging_then_dropped),
    cmocka_unit_test(test_deadline_when_passed_after_judging_then_applied),
    cmocka_unit_test(test_hold_when_expired_then_released_on_touch),
    cmocka_unit_test(test_hold_when_expired_and_its_user_asleep_then_released_by_the_sweep),
    cmocka_unit_test(test_hold_when_its_capture_is_under_way_at_its_expiry_then_told_resolved),
    cmocka_unit_test(test_balance_when_an_expiry_cannot_commit_then_the_reader_is_answered),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
