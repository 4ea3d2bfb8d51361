/* Every type of operation through the actors, and what the same key brings the second time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/sim/actor_fixture.h"

static struct outcome must(struct fixture *fixture, struct hf_op *op)
{
  struct outcome outcome = fixture_do(fixture, op);
  assert_string_equal(hf_error_info(outcome.error)->code, "ok");
  assert_false(outcome.replayed);
  assert_true(outcome.entries > 0);
  return outcome;
}

static enum hf_error error_of(struct fixture *fixture, struct hf_op *op)
{
  return fixture_do(fixture, op).error;
}

#define OP(type, amount) fixture_op(fixture, user, LEDGER_T_##type, amount, NULL)
#define REF(type, ref, amount) fixture_op_ref(fixture, user, LEDGER_T_##type, ref, amount, NULL)

/* ---- the types ------------------------------------------------------------------------------- */

static void test_op_when_of_each_simple_type_then_its_entry(void **state)
{
  static const struct {
    unsigned type, from, to;
  } rows[] = {
    {LEDGER_T_EARN, LEDGER_ISSUANCE, LEDGER_EARNED},
    {LEDGER_T_SETTLE, LEDGER_EARNED, LEDGER_PENDING},
    {LEDGER_T_MATURE, LEDGER_PENDING, LEDGER_CLAIMABLE},
    {LEDGER_T_GRANT, LEDGER_REWARDS, LEDGER_CLAIMABLE},
    {LEDGER_T_DEPOSIT, LEDGER_PSP_CLEARING, LEDGER_CLAIMABLE},
    {LEDGER_T_SPEND, LEDGER_CLAIMABLE, LEDGER_SPEND},
    {LEDGER_T_ADJUST, LEDGER_ADJUSTMENTS, LEDGER_CLAIMABLE},
    {LEDGER_T_QUARANTINE_IN, LEDGER_ISSUANCE, LEDGER_QUARANTINE},
    {LEDGER_T_RELEASE, LEDGER_QUARANTINE, LEDGER_PENDING},
    {LEDGER_T_HOLD, LEDGER_CLAIMABLE, LEDGER_HELD},
    {LEDGER_T_BLOCK, LEDGER_CLAIMABLE, LEDGER_BLOCKED},
  };
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = fixture_user(fixture, "a");
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    struct outcome outcome = must(fixture, fixture_op(fixture, user, rows[i].type, 500, NULL));
    assert_int_equal(outcome.first.type, rows[i].type);
    assert_int_equal(outcome.first.from, rows[i].from);
    assert_int_equal(outcome.first.to, rows[i].to);
    assert_true(outcome.first.amount == 500);
    assert_int_equal(outcome.first.version, i + 1u);
  }
  struct ledger_balance balance = fixture_balance(fixture, user);
  assert_true(balance.bucket[LEDGER_CLAIMABLE] == 500);
  assert_true(balance.bucket[LEDGER_PENDING] == 500);
  assert_true(balance.bucket[LEDGER_HELD] == 500 && balance.bucket[LEDGER_BLOCKED] == 500);
  assert_true(balance.spent_total == 500);
  fixture_free(fixture);
}

static void test_capture_when_in_part_then_the_rest_stays_or_returns(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = fixture_user(fixture, "a");
  (void)state;
  must(fixture, OP(GRANT, 1000));
  hf_id hold = must(fixture, OP(HOLD, 600)).op;
  struct hf_op *part = REF(CAPTURE, hold, 100);
  part->command.final = false;
  must(fixture, part);
  assert_true(fixture_balance(fixture, user).bucket[LEDGER_HELD] == 500);
  assert_int_equal(error_of(fixture, REF(CAPTURE, hold, 501)), HF_E_AMOUNT_EXCEEDS_HOLD);
  struct outcome last = must(fixture, REF(CAPTURE, hold, 200));
  assert_int_equal(last.entries, 2); /* what is captured, and what returns */
  struct ledger_balance balance = fixture_balance(fixture, user);
  assert_true(balance.bucket[LEDGER_HELD] == 0 && balance.bucket[LEDGER_CLAIMABLE] == 700);
  assert_true(balance.spent_total == 300);
  assert_int_equal(error_of(fixture, REF(CAPTURE, hold, 1)), HF_E_HOLD_RESOLVED);
  assert_int_equal(error_of(fixture, REF(VOID, hold, 0)), HF_E_HOLD_RESOLVED);
  assert_int_equal(error_of(fixture, REF(VOID, 4000000, 0)), HF_E_HOLD_NOT_FOUND);
  hold = must(fixture, OP(HOLD, 50)).op;
  must(fixture, REF(VOID, hold, 0));
  assert_true(fixture_balance(fixture, user).bucket[LEDGER_CLAIMABLE] == 700);
  fixture_free(fixture);
}

static void test_block_when_lifted_then_the_bucket_has_it_again(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = fixture_user(fixture, "a");
  (void)state;
  must(fixture, OP(EARN, 300));
  struct hf_op *op = OP(BLOCK, 200);
  op->command.bucket = LEDGER_EARNED;
  hf_id block = must(fixture, op).op;
  must(fixture, REF(UNBLOCK, block, 50));
  must(fixture, REF(UNBLOCK, block, 0));
  assert_true(fixture_balance(fixture, user).bucket[LEDGER_EARNED] == 300);
  assert_int_equal(error_of(fixture, REF(UNBLOCK, block, 0)), HF_E_BLOCK_RESOLVED);
  assert_int_equal(error_of(fixture, REF(UNBLOCK, 4000000, 0)), HF_E_BLOCK_NOT_FOUND);
  fixture_free(fixture);
}

static void test_reverse_when_in_parts_then_at_most_the_original(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = fixture_user(fixture, "a");
  (void)state;
  hf_id grant = must(fixture, OP(GRANT, 1000)).op;
  must(fixture, REF(REVERSE, grant, 400));
  assert_int_equal(error_of(fixture, REF(REVERSE, grant, 601)), HF_E_ALREADY_REVERSED);
  must(fixture, REF(REVERSE, grant, 0));
  assert_int_equal(error_of(fixture, REF(REVERSE, grant, 1)), HF_E_ALREADY_REVERSED);
  assert_int_equal(error_of(fixture, REF(REVERSE, 4000000, 0)), HF_E_ORIGINAL_NOT_FOUND);
  assert_true(fixture_balance(fixture, user).bucket[LEDGER_CLAIMABLE] == 0);
  fixture_free(fixture);
}

/* The id of an op's second entry is nobody's op. */
static void test_reverse_when_it_names_a_later_entry_then_not_found(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = fixture_user(fixture, "a");
  (void)state;
  must(fixture, OP(GRANT, 1000));
  hf_id hold = must(fixture, OP(HOLD, 600)).op;
  struct outcome capture = must(fixture, REF(CAPTURE, hold, 200));
  assert_int_equal(capture.entries, 2);
  assert_int_equal(error_of(fixture, REF(REVERSE, capture.last.id, 0)), HF_E_ORIGINAL_NOT_FOUND);
  must(fixture, REF(REVERSE, capture.op, 0));
  fixture_free(fixture);
}

static void test_reverse_when_two_race_then_never_more_than_the_original(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = fixture_user(fixture, "a");
  struct fixture_ask *asks[20];
  unsigned applied = 0;
  (void)state;
  hf_id grant = must(fixture, OP(GRANT, 1000)).op;
  for (unsigned i = 0; i < 20; i++)
    asks[i] = fixture_submit(fixture, i % 2, REF(REVERSE, grant, 300));
  for (unsigned i = 0; i < 20; i++) {
    enum hf_error error = fixture_outcome(fixture, asks[i]).error;
    assert_true(error == HF_OK || error == HF_E_ALREADY_REVERSED);
    applied += error == HF_OK;
  }
  assert_int_equal(applied, 3);
  assert_true(fixture_balance(fixture, user).bucket[LEDGER_CLAIMABLE] == 100);
  fixture_free(fixture);
}

static void test_transfer_when_done_then_both_sides_and_nothing_in_transit(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = fixture_user(fixture, "a"), payee = fixture_user(fixture, "b");
  (void)state;
  must(fixture, OP(GRANT, 1000));
  must(fixture, fixture_op_transfer(fixture, user, payee, 400, NULL));
  assert_true(fixture_balance(fixture, user).bucket[LEDGER_CLAIMABLE] == 600);
  assert_true(fixture_balance(fixture, payee).bucket[LEDGER_CLAIMABLE] == 400);
  assert_int_equal(fixture_account(fixture, LEDGER_TRANSIT), 0);
  assert_int_equal(error_of(fixture, fixture_op_transfer(fixture, user, user, 1, NULL)),
                   HF_E_SELF_TRANSFER);
  assert_int_equal(error_of(fixture, fixture_op_transfer(fixture, user, payee, 601, NULL)),
                   HF_E_INSUFFICIENT_FUNDS);
  fixture_free(fixture);
}

/* ---- keys ------------------------------------------------------------------------------------ */

static void check_same(const struct outcome *first, const struct outcome *again)
{
  assert_int_equal(again->error, first->error);
  assert_int_equal(again->op, first->op);
  assert_int_equal(again->entries, first->entries);
  if (first->entries == 0)
    return;
  assert_memory_equal(again->first.hash.bytes, first->first.hash.bytes, HF_HASH_SIZE);
  assert_memory_equal(again->last.hash.bytes, first->last.hash.bytes, HF_HASH_SIZE);
  assert_memory_equal(&again->last.after, &first->last.after, sizeof first->last.after);
}

/* At once, after others have pushed the key out of memory, and after a restart. */
static void test_key_when_repeated_then_the_same_outcome_for_ever(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = fixture_user(fixture, "a"), payee = fixture_user(fixture, "b");
  struct outcome grant, refused, transfer;
  (void)state;
  grant = must(fixture, fixture_op(fixture, user, LEDGER_T_GRANT, 1000, "grant"));
  refused = fixture_do(fixture, fixture_op(fixture, user, LEDGER_T_SPEND, 2000, "refused"));
  assert_int_equal(refused.error, HF_E_INSUFFICIENT_FUNDS);
  transfer = must(fixture, fixture_op_transfer(fixture, user, payee, 10, "transfer"));
  for (unsigned round = 0; round < 3; round++) {
    struct outcome again =
      fixture_do(fixture, fixture_op(fixture, user, LEDGER_T_GRANT, 1000, "grant"));
    assert_true(again.replayed);
    check_same(&grant, &again);
    again = fixture_do(fixture, fixture_op(fixture, user, LEDGER_T_SPEND, 2000, "refused"));
    assert_true(again.replayed);
    check_same(&refused, &again);
    again = fixture_do(fixture, fixture_op_transfer(fixture, user, payee, 10, "transfer"));
    assert_true(again.replayed);
    check_same(&transfer, &again);
    for (unsigned i = 0; i < 5 && round == 0; i++)
      must(fixture, OP(GRANT, 1000)); /* the refused spend would go through now */
    if (round == 1)
      fixture_crash(fixture);
  }
  assert_int_equal(fixture_inside(fixture), 6000);
  fixture_free(fixture);
}

static void test_key_when_used_for_another_body_then_conflict_and_no_effect(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = fixture_user(fixture, "a"), other = fixture_user(fixture, "b");
  (void)state;
  must(fixture, fixture_op(fixture, user, LEDGER_T_GRANT, 1000, "k"));
  for (unsigned i = 0; i < 3; i++) {
    assert_int_equal(error_of(fixture, fixture_op(fixture, user, LEDGER_T_GRANT, 1001, "k")),
                     HF_E_IDEMPOTENCY_CONFLICT);
    must(fixture, OP(GRANT, 1));
  }
  must(fixture, fixture_op(fixture, other, LEDGER_T_GRANT, 5, "k")); /* keys are of one user */
  assert_int_equal(fixture_inside(fixture), 1008);
  fixture_free(fixture);
}

static void test_key_when_submitted_fifty_times_at_once_then_one_effect(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = fixture_user(fixture, "a");
  struct fixture_ask *asks[50];
  unsigned fresh = 0;
  struct outcome first = {0};
  (void)state;
  for (unsigned i = 0; i < 50; i++)
    asks[i] = fixture_submit(fixture, i % 2, fixture_op(fixture, user, LEDGER_T_GRANT, 700, "k"));
  for (unsigned i = 0; i < 50; i++) {
    struct outcome outcome = fixture_outcome(fixture, asks[i]);
    assert_int_equal(outcome.error, HF_OK);
    fresh += !outcome.replayed;
    if (i == 0)
      first = outcome;
    check_same(&first, &outcome);
  }
  assert_int_equal(fresh, 1);
  assert_int_equal(fixture_inside(fixture), 700);
  fixture_free(fixture);
}

/* A repeated spend has no second effect, and none either on those that came behind it. */
static void test_key_when_repeated_with_others_behind_it_then_judged_without_it(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = fixture_user(fixture, "a");
  struct fixture_ask *asks[3];
  (void)state;
  must(fixture, OP(GRANT, 100));
  must(fixture, fixture_op(fixture, user, LEDGER_T_SPEND, 80, "k"));
  must(fixture, OP(GRANT, 40));
  must(fixture, OP(GRANT, 40));
  asks[0] = fixture_submit(fixture, 0, fixture_op(fixture, user, LEDGER_T_SPEND, 80, "k"));
  asks[1] = fixture_submit(fixture, 0, OP(SPEND, 50)); /* 20 would be left if that were new */
  asks[2] = fixture_submit(fixture, 0, OP(SPEND, 50));
  for (unsigned i = 0; i < 3; i++) {
    struct outcome outcome = fixture_outcome(fixture, asks[i]);
    assert_int_equal(outcome.error, HF_OK);
    assert_int_equal(outcome.replayed, i == 0);
  }
  assert_int_equal(fixture_inside(fixture), 0);
  fixture_free(fixture);
}

/* A client cannot take the key under which the server credits a payee. */
static void test_key_when_it_looks_like_a_credit_then_transfers_still_arrive(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = fixture_user(fixture, "a"), payee = fixture_user(fixture, "b");
  char key[40];
  (void)state;
  must(fixture, OP(GRANT, 1000));
  for (unsigned i = 1; i < 200; i++) {
    (void)snprintf(key, sizeof key, "credit:%u", i);
    must(fixture, fixture_op(fixture, payee, LEDGER_T_GRANT, 1, key));
  }
  must(fixture, fixture_op_transfer(fixture, user, payee, 400, NULL));
  assert_true(fixture_balance(fixture, payee).bucket[LEDGER_CLAIMABLE] == 599);
  fixture_free(fixture);
}

/* ---- many at once ---------------------------------------------------------------------------- */

static void test_spend_when_many_overspend_then_exactly_what_is_there(void **state)
{
  static const struct {
    int64_t balance, amount;
    unsigned tries;
  } rows[] = {{1000, 30, 100}, {1000, 1000, 20}, {99, 100, 20}, {777, 7, 200}};
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  struct fixture_ask *asks[200];
  (void)state;
  for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
    char name[8] = {(char)('a' + row)};
    hf_id user = fixture_user(fixture, name);
    unsigned applied = 0;
    must(fixture, OP(GRANT, rows[row].balance));
    for (unsigned i = 0; i < rows[row].tries; i++)
      asks[i] = fixture_submit(fixture, i % 2, OP(SPEND, rows[row].amount));
    for (unsigned i = 0; i < rows[row].tries; i++) {
      enum hf_error error = fixture_outcome(fixture, asks[i]).error;
      assert_true(error == HF_OK || error == HF_E_INSUFFICIENT_FUNDS);
      applied += error == HF_OK;
    }
    assert_int_equal(applied, rows[row].balance / rows[row].amount);
    assert_true(fixture_balance(fixture, user).bucket[LEDGER_CLAIMABLE] ==
                rows[row].balance % rows[row].amount);
  }
  fixture_free(fixture);
}

#define CLIENTS 64u
#define TRANSFERS_EACH 1000u
#define ACCOUNTS 20u

static uint64_t random_next(uint64_t *seed)
{
  *seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
  return *seed >> 33;
}

static void test_transfers_when_sixty_four_clients_make_them_then_the_sum_stays(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){.loops = 3, .job_us_max = 5000});
  struct fixture_ask *asks[CLIENTS] = {NULL};
  hf_id users[ACCOUNTS];
  uint64_t seed = 7;
  unsigned applied = 0;
  (void)state;
  for (unsigned i = 0; i < ACCOUNTS; i++) {
    char name[16];
    (void)snprintf(name, sizeof name, "user-%u", i);
    users[i] = fixture_user(fixture, name);
    must(fixture, fixture_op(fixture, users[i], LEDGER_T_GRANT, 1000, NULL));
  }
  for (unsigned done = 0; done < CLIENTS * TRANSFERS_EACH;) {
    for (unsigned i = 0; i < CLIENTS; i++) {
      if (asks[i] != NULL && asks[i]->answered) {
        enum hf_error error = fixture_outcome(fixture, asks[i]).error;
        assert_true(error == HF_OK || error == HF_E_INSUFFICIENT_FUNDS);
        applied += error == HF_OK;
        asks[i] = NULL;
        done++;
      }
      if (asks[i] != NULL)
        continue;
      hf_id payer = users[random_next(&seed) % ACCOUNTS], payee = payer;
      while (payee == payer)
        payee = users[random_next(&seed) % ACCOUNTS];
      asks[i] = fixture_submit(
        fixture, i % 3,
        fixture_op_transfer(fixture, payer, payee, 1 + (int64_t)(random_next(&seed) % 300), NULL));
    }
    fixture_step(fixture);
  }
  fixture_run(fixture, 5000000);
  assert_true(applied > CLIENTS * TRANSFERS_EACH / 4);
  assert_int_equal(fixture_account(fixture, LEDGER_TRANSIT), 0);
  assert_int_equal(fixture_inside(fixture), ACCOUNTS * 1000);
  int64_t live = 0;
  for (unsigned i = 0; i < ACCOUNTS; i++) {
    struct ledger_balance balance = fixture_balance(fixture, users[i]);
    live += (int64_t)balance.bucket[LEDGER_CLAIMABLE];
  }
  assert_int_equal(live, ACCOUNTS * 1000);
  fixture_free(fixture);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_op_when_of_each_simple_type_then_its_entry),
    cmocka_unit_test(test_capture_when_in_part_then_the_rest_stays_or_returns),
    cmocka_unit_test(test_block_when_lifted_then_the_bucket_has_it_again),
    cmocka_unit_test(test_reverse_when_in_parts_then_at_most_the_original),
    cmocka_unit_test(test_reverse_when_it_names_a_later_entry_then_not_found),
    cmocka_unit_test(test_reverse_when_two_race_then_never_more_than_the_original),
    cmocka_unit_test(test_transfer_when_done_then_both_sides_and_nothing_in_transit),
    cmocka_unit_test(test_key_when_repeated_then_the_same_outcome_for_ever),
    cmocka_unit_test(test_key_when_used_for_another_body_then_conflict_and_no_effect),
    cmocka_unit_test(test_key_when_submitted_fifty_times_at_once_then_one_effect),
    cmocka_unit_test(test_key_when_repeated_with_others_behind_it_then_judged_without_it),
    cmocka_unit_test(test_key_when_it_looks_like_a_credit_then_transfers_still_arrive),
    cmocka_unit_test(test_spend_when_many_overspend_then_exactly_what_is_there),
    cmocka_unit_test(test_transfers_when_sixty_four_clients_make_them_then_the_sum_stays),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
