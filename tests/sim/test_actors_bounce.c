/* A transfer whose payee cannot take it: what was debited comes back to the payer, once, whatever
 * fails meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/sim/actor_fixture.h"

#define SPARE 100 /* what the payee can still take */

/* A payer with 1000, and a payee whose balance is nearly as large as a balance can be. */
static void set_up(struct fixture *fixture, hf_id *ret_payer, hf_id *ret_payee)
{
  const hf_amount most = (((hf_amount)1 << 126) - 1) * 2 + 1;
  *ret_payer = fixture_user(fixture, "payer");
  *ret_payee = fixture_user(fixture, "payee");
  struct hf_op *op = fixture_op(fixture, *ret_payee, LEDGER_T_GRANT, 1, NULL);
  op->command.amount.digits = most - SPARE;
  struct outcome outcome = fixture_do(fixture, op);
  assert_string_equal(hf_error_info(outcome.error)->code, "ok");
  outcome = fixture_do(fixture, fixture_op(fixture, *ret_payer, LEDGER_T_GRANT, 1000, NULL));
  assert_int_equal(outcome.error, HF_OK);
}

static void check_bounced(struct fixture *fixture, hf_id payer, hf_id payee)
{
  fixture_run(fixture, 10000000);
  assert_int_equal(fixture_count(fixture, LEDGER_T_TRANSFER), 1);
  assert_int_equal(fixture_count(fixture, LEDGER_T_BOUNCE), 1);
  assert_int_equal(fixture_count(fixture, LEDGER_T_CREDIT), 0);
  assert_int_equal(fixture_account(fixture, LEDGER_TRANSIT), 0);
  assert_true(fixture_balance(fixture, payer).bucket[LEDGER_CLAIMABLE] == 1000);
  struct hf_op *more = fixture_op_transfer(fixture, payer, payee, SPARE, NULL);
  assert_int_equal(fixture_do(fixture, more).error, HF_OK);
}

/* The client repeats until it is told: the transfer is refused, and stays so. */
static enum hf_error insist(struct fixture *fixture, hf_id payer, hf_id payee)
{
  struct outcome outcome = {.error = HF_E_UNAVAILABLE};
  for (unsigned i = 0; i < 10 && hf_error_info(outcome.error)->retryable; i++) {
    struct hf_op *op = fixture_op_transfer(fixture, payer, payee, SPARE + 1, "t");
    outcome = fixture_do(fixture, op);
    fixture_run(fixture, 6000000);
  }
  return outcome.error;
}

static void test_transfer_when_the_payee_overflows_then_it_comes_back(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id payer, payee;
  (void)state;
  set_up(fixture, &payer, &payee);
  assert_int_equal(insist(fixture, payer, payee), HF_E_LIMIT_EXCEEDED);
  check_bounced(fixture, payer, payee);
  assert_int_equal(insist(fixture, payer, payee), HF_E_LIMIT_EXCEEDED);
  fixture_free(fixture);
}

static void test_bounce_when_any_commit_fails_then_it_comes_back_once(void **state)
{
  static const enum fixture_fate fates[] = {FATE_REFUSED, FATE_UNKNOWN_DONE, FATE_UNKNOWN_LOST};
  (void)state;
  for (unsigned i = 0; i < 3; i++)
    for (unsigned nth = 0; nth < 6; nth++) {
      struct fixture *fixture = fixture_new((struct fixture_config){.seed = nth + 1u});
      hf_id payer, payee;
      set_up(fixture, &payer, &payee);
      for (unsigned j = 0; j < nth; j++)
        fixture_fate(fixture, FATE_DONE);
      fixture_fate(fixture, fates[i]);
      assert_int_equal(insist(fixture, payer, payee), HF_E_LIMIT_EXCEEDED);
      check_bounced(fixture, payer, payee);
      fixture_free(fixture);
    }
}

static void test_bounce_when_the_process_dies_anywhere_then_it_comes_back_once(void **state)
{
  (void)state;
  for (unsigned steps = 0; steps < 50; steps++) {
    struct fixture *fixture = fixture_new((struct fixture_config){.seed = steps + 1u});
    hf_id payer, payee;
    set_up(fixture, &payer, &payee);
    (void)fixture_submit(fixture, 1, fixture_op_transfer(fixture, payer, payee, SPARE + 1, "t"));
    fixture_steps(fixture, steps);
    fixture_crash(fixture);
    assert_int_equal(insist(fixture, payer, payee), HF_E_LIMIT_EXCEEDED);
    check_bounced(fixture, payer, payee);
    fixture_free(fixture);
  }
}

/* The payer was filled up meanwhile: what is in transit stays there until there is room. */
static void test_bounce_when_the_payer_overflows_then_it_waits_for_room(void **state)
{
  const hf_amount most = (((hf_amount)1 << 126) - 1) * 2 + 1;
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id payer, payee;
  (void)state;
  set_up(fixture, &payer, &payee);
  struct hf_op *fill = fixture_op(fixture, payer, LEDGER_T_GRANT, 1, NULL);
  fill->command.amount.digits = most - 1000;
  assert_int_equal(fixture_do(fixture, fill).error, HF_OK);
  struct fixture_ask *transfer =
    fixture_submit(fixture, 0, fixture_op_transfer(fixture, payer, payee, SPARE + 1, "t"));
  struct fixture_ask *grant =
    fixture_submit(fixture, 0, fixture_op(fixture, payer, LEDGER_T_GRANT, SPARE + 1, NULL));
  assert_int_equal(fixture_outcome(fixture, grant).error, HF_OK);
  fixture_run(fixture, 20000000);
  assert_int_equal(fixture_account(fixture, LEDGER_TRANSIT), SPARE + 1);
  assert_int_equal(fixture_count(fixture, LEDGER_T_BOUNCE), 0);
  assert_true(hf_error_info(fixture_outcome(fixture, transfer).error)->retryable);
  fixture_crash(fixture);
  struct hf_op *spend = fixture_op(fixture, payer, LEDGER_T_SPEND, SPARE + 1, NULL);
  assert_int_equal(fixture_do(fixture, spend).error, HF_OK);
  assert_int_equal(insist(fixture, payer, payee), HF_E_LIMIT_EXCEEDED);
  assert_int_equal(fixture_account(fixture, LEDGER_TRANSIT), 0);
  assert_int_equal(fixture_count(fixture, LEDGER_T_BOUNCE), 1);
  assert_true(fixture_balance(fixture, payer).bucket[LEDGER_CLAIMABLE] == most);
  fixture_free(fixture);
}

/* The bounce is there, its mark is not, and the payer was filled up since. */
static void test_bounce_when_it_is_done_and_the_payer_is_full_then_it_is_found(void **state)
{
  const hf_amount most = (((hf_amount)1 << 126) - 1) * 2 + 1;
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id payer, payee;
  (void)state;
  set_up(fixture, &payer, &payee);
  (void)fixture_submit(fixture, 0, fixture_op_transfer(fixture, payer, payee, SPARE + 1, "t"));
  for (unsigned i = 0; i < 3; i++) /* debit, refused credit, bounce */
    fixture_fate(fixture, FATE_DONE);
  fixture_fate(fixture, FATE_REFUSED); /* its mark, which is tried again after the grant */
  while (fixture_count(fixture, LEDGER_T_BOUNCE) == 0)
    fixture_step(fixture);
  struct hf_op *fill = fixture_op(fixture, payer, LEDGER_T_GRANT, 1, NULL);
  fill->command.amount.digits = most - 1000;
  assert_int_equal(fixture_do(fixture, fill).error, HF_OK);
  fixture_crash(fixture);
  assert_int_equal(insist(fixture, payer, payee), HF_E_LIMIT_EXCEEDED);
  assert_int_equal(fixture_count(fixture, LEDGER_T_BOUNCE), 1);
  assert_int_equal(fixture_account(fixture, LEDGER_TRANSIT), 0);
  assert_true(fixture_balance(fixture, payer).bucket[LEDGER_CLAIMABLE] == most);
  fixture_free(fixture);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_transfer_when_the_payee_overflows_then_it_comes_back),
    cmocka_unit_test(test_bounce_when_any_commit_fails_then_it_comes_back_once),
    cmocka_unit_test(test_bounce_when_the_process_dies_anywhere_then_it_comes_back_once),
    cmocka_unit_test(test_bounce_when_the_payer_overflows_then_it_waits_for_room),
    cmocka_unit_test(test_bounce_when_it_is_done_and_the_payer_is_full_then_it_is_found),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
