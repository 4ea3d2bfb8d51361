/* test_gaps.c - what planted bugs got past every other test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/sim/actor_fixture.h"

#define GRANTS_MAX 1024u

static struct outcome must(struct fixture *fixture, struct hf_op *op)
{
  struct outcome outcome = fixture_do(fixture, op);
  assert_string_equal(hf_error_info(outcome.error)->code, "ok");
  return outcome;
}

/* The payee has as many assets as a user may have, and the transfer would bring another one. */
static void test_transfer_when_the_payee_has_no_room_then_the_payer_has_it_back(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id payer = fixture_user(fixture, "a"), payee = fixture_user(fixture, "b");
  (void)state;
  for (unsigned i = 0; i < LEDGER_ASSETS_MAX; i++) {
    struct hf_op *op = fixture_op(fixture, payee, LEDGER_T_GRANT, 1, NULL);
    snprintf(op->asset_code, sizeof op->asset_code, "A%u", i);
    assert_int_equal(fixture_asset(fixture, op->asset_code), HF_OK);
    must(fixture, op);
  }
  must(fixture, fixture_op(fixture, payer, LEDGER_T_GRANT, 1000, NULL));
  for (unsigned i = 0; i < 2; i++) {
    struct outcome outcome =
      fixture_do(fixture, fixture_op_transfer(fixture, payer, payee, 400, "t"));
    assert_string_equal(hf_error_info(outcome.error)->code, "limit_exceeded");
    assert_true(fixture_balance(fixture, payer).bucket[LEDGER_CLAIMABLE] == 1000);
    assert_int_equal(fixture_account(fixture, LEDGER_TRANSIT), 0);
    assert_int_equal(fixture_count(fixture, LEDGER_T_BOUNCE), 1);
    assert_int_equal(fixture_count(fixture, LEDGER_T_CREDIT), 0);
    fixture_crash(fixture);
  }
  fixture_free(fixture);
}

static void test_status_when_closed_and_restarted_then_nothing_is_taken(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = fixture_user(fixture, "a");
  (void)state;
  must(fixture, fixture_op(fixture, user, LEDGER_T_GRANT, 10, NULL));
  assert_int_equal(fixture_status(fixture, user, LEDGER_CLOSED), HF_OK);
  fixture_crash(fixture);
  struct outcome outcome = fixture_do(fixture, fixture_op(fixture, user, LEDGER_T_GRANT, 1, NULL));
  assert_string_equal(hf_error_info(outcome.error)->code, "user_closed");
  fixture_free(fixture);
}

/* Grants until the ask is answered, so close together that one is always under way. */
static void grant_until(struct fixture *fixture, hf_id user, const struct fixture_ask *ask,
                        struct fixture_ask **grants, unsigned *count)
{
  while (!ask->answered) {
    CHECK(*count < GRANTS_MAX);
    grants[(*count)++] =
      fixture_submit(fixture, 0, fixture_op(fixture, user, LEDGER_T_GRANT, 1, NULL));
    fixture_run(fixture, 200);
  }
}

/* The capture is judged on what is staged, and the hold was staged there without an id. */
static void test_capture_when_the_user_never_rests_then_it_finds_the_hold(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  struct fixture_ask *grants[GRANTS_MAX], *ask;
  unsigned count = 0;
  hf_id user = fixture_user(fixture, "a");
  (void)state;
  must(fixture, fixture_op(fixture, user, LEDGER_T_GRANT, 1000, NULL));
  ask = fixture_submit(fixture, 0, fixture_op(fixture, user, LEDGER_T_HOLD, 400, NULL));
  grant_until(fixture, user, ask, grants, &count);
  hf_id id = fixture_outcome(fixture, ask).op;
  ask = fixture_submit(fixture, 0, fixture_op_ref(fixture, user, LEDGER_T_CAPTURE, id, 400, NULL));
  grant_until(fixture, user, ask, grants, &count);
  assert_string_equal(hf_error_info(fixture_outcome(fixture, ask).error)->code, "ok");
  while (count > 0)
    assert_int_equal(fixture_outcome(fixture, grants[--count]).error, HF_OK);
  fixture_free(fixture);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_transfer_when_the_payee_has_no_room_then_the_payer_has_it_back),
    cmocka_unit_test(test_status_when_closed_and_restarted_then_nothing_is_taken),
    cmocka_unit_test(test_capture_when_the_user_never_rests_then_it_finds_the_hold),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
