/* Users, names and holds at the edges: what is not there, what belongs to somebody else, what the
 * journal tells that cannot be true, and who comes while a partition changes hands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "actors/cluster/cluster.h"
#include "tests/sim/actor_fixture.h"

static struct outcome must(struct fixture *fixture, struct hf_op *op)
{
  struct outcome outcome = fixture_do(fixture, op);
  assert_string_equal(hf_error_info(outcome.error)->code, "ok");
  return outcome;
}

#define OP(type, amount, key) fixture_op(fixture, user, LEDGER_T_##type, amount, key)
#define REF(type, ref, amount, key) fixture_op_ref(fixture, user, LEDGER_T_##type, ref, amount, key)

static rt_id actor_of(const struct fixture *fixture, hf_id user)
{
  return hf_user_actor(user, fixture->config.partition_bits);
}

static struct fixture_ask *send_view(struct fixture *fixture, hf_id user)
{
  struct hf_view *view = hf_view_new();
  view->user = user;
  return fixture_send(fixture, 0, actor_of(fixture, user), HF_BALANCES, view);
}

static enum hf_error take_view(struct fixture *fixture, struct fixture_ask *ask,
                               unsigned *ret_count)
{
  struct hf_view *view = fixture_take(fixture, ask);
  enum hf_error error = view->error;
  *ret_count = view->assets_count;
  hf_view_free(view);
  return error;
}

static enum hf_error peek(struct fixture *fixture, hf_id user)
{
  struct hf_peek *peek = rt_alloc(sizeof *peek);
  peek->user = user;
  peek = fixture_take(fixture, fixture_send(fixture, 0, actor_of(fixture, user), HF_PEEK, peek));
  enum hf_error error = peek->error;
  rt_free(peek);
  return error;
}

/* ---- users ----------------------------------------------------------------------------------- */

static void test_user_when_there_is_none_then_everybody_is_told_so(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  unsigned bits = fixture->config.partition_bits, count;
  hf_id user = hf_id_make(77, 1, bits);
  (void)state;
  assert_int_equal(take_view(fixture, send_view(fixture, user), &count), HF_E_USER_NOT_FOUND);
  assert_int_equal(peek(fixture, user), HF_E_USER_NOT_FOUND);
  assert_int_equal(fixture_status(fixture, user, LEDGER_CLOSED), HF_E_USER_NOT_FOUND);
  assert_int_equal(fixture_do(fixture, OP(GRANT, 1, "k")).error, HF_E_USER_NOT_FOUND);
  assert_int_equal(fixture->commits, 1); /* of the fixture's asset */
  fixture_free(fixture);
}

static void test_balances_when_of_many_assets_then_all_are_shown(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = fixture_user(fixture, "a");
  unsigned count = 0;
  (void)state;
  for (char code[] = "A0"; code[1] < '5'; code[1]++) {
    assert_int_equal(fixture_asset(fixture, code), HF_OK);
    struct hf_op *op = OP(GRANT, 1, NULL);
    memcpy(op->asset_code, code, sizeof code);
    must(fixture, op);
  }
  for (unsigned i = 0; i < 2; i++) {
    assert_int_equal(take_view(fixture, send_view(fixture, user), &count), HF_OK);
    assert_int_equal(count, 5);
    fixture_crash(fixture);
  }
  fixture_free(fixture);
}

/* What is malformed is no outcome of its key; what the ledger refuses is. */
static void test_op_when_malformed_then_its_key_is_free_still(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = fixture_user(fixture, "a");
  (void)state;
  struct hf_op *op = OP(GRANT, 15, "k");
  op->command.amount.scale = FIXTURE_SCALE + 1u; /* 0.015 of two decimals */
  enum hf_error error = fixture_do(fixture, op).error;
  assert_int_equal(hf_error_info(error)->status, 400);
  must(fixture, OP(GRANT, 15, "k"));
  assert_int_equal(fixture_count(fixture, LEDGER_T_GRANT), 1);
  fixture_free(fixture);
}

static void test_op_when_it_has_metadata_then_the_journal_has_it_and_a_replay_tells_it(void **state)
{
  static const char json[] = "{\"reason\":\"why\"}";
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = fixture_user(fixture, "a");
  (void)state;
  for (unsigned i = 0; i < 2; i++) {
    struct hf_op *op = OP(GRANT, 1, "k");
    char *kept = rt_alloc(sizeof json);
    memcpy(kept, json, sizeof json);
    memset(op->salt, 7, sizeof op->salt);
    op->metadata = (struct store_text){kept, sizeof json - 1u};
    op->command.has_metadata = true;
    op->command.metadata_hash = hf_sha256_pair(op->salt, sizeof op->salt, kept, sizeof json - 1u);
    op = fixture_take(fixture, fixture_submit(fixture, 0, op));
    assert_int_equal(op->error, HF_OK);
    assert_int_equal(op->replayed, i == 1);
    struct store_text told = hf_op_metadata(op);
    assert_int_equal(told.size, sizeof json - 1u);
    assert_memory_equal(told.at, json, told.size);
    hf_op_free(op);
    fixture_crash(fixture);
  }
  fixture_free(fixture);
}

static void test_reference_when_somebody_elses_then_not_found(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = fixture_user(fixture, "a"), other = fixture_user(fixture, "b");
  (void)state;
  hf_id grant = must(fixture, OP(GRANT, 100, NULL)).op;
  hf_id hold = must(fixture, OP(HOLD, 10, NULL)).op;
  hf_id block = must(fixture, OP(BLOCK, 10, NULL)).op;
  const unsigned types[] = {LEDGER_T_REVERSE, LEDGER_T_CAPTURE, LEDGER_T_UNBLOCK};
  const hf_id refs[] = {grant, hold, block};
  for (unsigned i = 0; i < 3; i++) {
    struct outcome outcome =
      fixture_do(fixture, fixture_op_ref(fixture, other, types[i], refs[i], 1, NULL));
    assert_int_equal(hf_error_info(outcome.error)->status, 404);
  }
  must(fixture, REF(UNBLOCK, block, 0, NULL));
  must(fixture, REF(VOID, hold, 0, NULL));
  must(fixture, REF(REVERSE, grant, 100, NULL));
  fixture_free(fixture);
}

/* ---- groups ---------------------------------------------------------------------------------- */

static void do_two(struct fixture *fixture, struct hf_op *first, struct hf_op *second,
                   struct outcome outcomes[2])
{
  first->group_next = second;
  fixture_outcomes(fixture, fixture_submit(fixture, 0, first), outcomes, 2);
}

static void test_group_when_a_member_is_no_member_then_none_and_nothing_is_remembered(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = fixture_user(fixture, "a"), other = fixture_user(fixture, "b");
  struct outcome outcomes[2];
  (void)state;
  struct hf_op *keyless = OP(GRANT, 1, "k2");
  keyless->has_key = false;
  do_two(fixture, OP(GRANT, 1, "k1"), keyless, outcomes);
  assert_int_equal(outcomes[0].error, HF_E_BATCH_ABORTED);
  assert_int_equal(outcomes[1].error, HF_E_KEY_REQUIRED);
  struct hf_op *foreign = fixture_op(fixture, other, LEDGER_T_GRANT, 1, "k2");
  do_two(fixture, OP(GRANT, 1, "k1"), foreign, outcomes);
  assert_int_equal(outcomes[0].error, HF_E_BATCH_ABORTED);
  assert_int_equal(outcomes[1].error, HF_E_CROSS_USER_ATOMIC);
  must(fixture, OP(GRANT, 1, "k1"));
  assert_int_equal(fixture_count(fixture, LEDGER_T_GRANT), 1);
  fixture_free(fixture);
}

/* The second sees what the first takes back. */
static void test_group_when_two_members_reverse_one_op_then_in_sum_no_more_than_it_was(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = fixture_user(fixture, "a");
  struct outcome outcomes[2];
  (void)state;
  hf_id grant = must(fixture, OP(GRANT, 100, NULL)).op;
  do_two(fixture, REF(REVERSE, grant, 60, "r1"), REF(REVERSE, grant, 41, "r2"), outcomes);
  assert_int_equal(outcomes[0].error, HF_E_BATCH_ABORTED);
  assert_int_not_equal(outcomes[1].error, HF_OK);
  assert_int_equal(fixture_inside(fixture), 100);
  do_two(fixture, REF(REVERSE, grant, 60, "r3"), REF(REVERSE, grant, 40, "r4"), outcomes);
  assert_true(outcomes[0].error == HF_OK && outcomes[1].error == HF_OK);
  assert_int_equal(fixture_inside(fixture), 0);
  assert_int_equal(fixture_do(fixture, REF(REVERSE, grant, 1, "r5")).error, HF_E_ALREADY_REVERSED);
  fixture_free(fixture);
}

/* One member's key is known and the store goes away before the other is judged anew. */
static void test_group_when_known_in_part_and_the_store_goes_then_the_rest_is_refused(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){.loops = 1});
  hf_id user = fixture_user(fixture, "a");
  struct outcome outcomes[2];
  (void)state;
  hf_id known = must(fixture, OP(GRANT, 1, "k1")).op;
  struct hf_op *head = OP(GRANT, 1, "k1");
  head->group_next = OP(GRANT, 2, "k2");
  uint64_t commits = fixture->commits;
  struct fixture_ask *ask = fixture_submit(fixture, 0, head);
  while (fixture->commits == commits)
    fixture_step(fixture);
  fixture->down = true;
  fixture_outcomes(fixture, ask, outcomes, 2);
  assert_true(outcomes[0].error == HF_OK && outcomes[0].replayed && outcomes[0].op == known);
  assert_true(hf_error_info(outcomes[1].error)->retryable);
  fixture->down = false;
  fixture_run(fixture, 10000000);
  do_two(fixture, OP(GRANT, 1, "k1"), OP(GRANT, 2, "k2"), outcomes);
  assert_true(outcomes[0].replayed && outcomes[1].error == HF_OK);
  assert_int_equal(fixture_inside(fixture), 3);
  fixture_free(fixture);
}

/* ---- a journal that contradicts itself ------------------------------------------------------- */

static void spoil_load(struct fixture *fixture, struct store_request *request)
{
  if (request->kind == STORE_LOAD_USER && request->load_user.id == fixture->spoiled)
    request->load_user.out.holds_count = 0;
}

static void spoil_original(struct fixture *fixture, struct store_request *request)
{
  (void)fixture;
  if (request->kind == STORE_GET_OP)
    request->get_op.out->reversals[0].amount = 0;
}

static void spoil_key(struct fixture *fixture, struct store_request *request)
{
  (void)fixture;
  if (request->kind != STORE_GET_KEY_OP)
    return;
  store_op_free(request->get_key_op.out);
  request->get_key_op.out = NULL;
  request->status = STORE_NOT_FOUND;
}

static void test_user_when_its_rows_do_not_fit_then_not_served_until_they_do(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = fixture_user(fixture, "a"), other = fixture_user(fixture, "b");
  unsigned count;
  (void)state;
  must(fixture, OP(GRANT, 100, NULL));
  must(fixture, OP(HOLD, 10, NULL));
  fixture_crash(fixture);
  fixture->spoil = spoil_load; /* the held amount stands without a hold */
  fixture->spoiled = user;
  assert_int_equal(fixture_do(fixture, OP(SPEND, 1, "k")).error, HF_E_UNAVAILABLE);
  assert_int_equal(take_view(fixture, send_view(fixture, user), &count), HF_E_UNAVAILABLE);
  assert_int_equal(peek(fixture, user), HF_E_UNAVAILABLE);
  assert_true(fixture->logged > 0);
  must(fixture, fixture_op(fixture, other, LEDGER_T_GRANT, 1, NULL));
  fixture->spoil = NULL;
  must(fixture, OP(SPEND, 1, "k"));
  fixture_free(fixture);
}

static void test_reversal_when_the_originals_rows_do_not_fit_then_an_error_and_no_outcome(
  void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = fixture_user(fixture, "a");
  (void)state;
  hf_id grant = must(fixture, OP(GRANT, 100, NULL)).op;
  must(fixture, REF(REVERSE, grant, 40, NULL));
  fixture->spoil = spoil_original; /* a reversal of nothing */
  assert_int_equal(fixture_do(fixture, REF(REVERSE, grant, 10, "k")).error, HF_E_INTERNAL);
  fixture->spoil = NULL;
  must(fixture, REF(REVERSE, grant, 10, "k"));
  assert_int_equal(fixture_inside(fixture), 50);
  fixture_free(fixture);
}

/* The user remembers a key that the journal does not have: nothing that it remembers is believed.
 * The commit, which looks for itself, decides. */
static void test_key_when_the_journal_has_forgotten_it_then_the_commit_decides(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = fixture_user(fixture, "a");
  (void)state;
  hf_id first = must(fixture, OP(GRANT, 100, "k")).op;
  fixture->spoil = spoil_key;
  uint64_t loads = fixture->reads[STORE_LOAD_USER];
  struct outcome again = must(fixture, OP(GRANT, 100, "k"));
  assert_true(again.replayed && again.op == first);
  assert_int_equal(fixture->reads[STORE_LOAD_USER], loads + 1u);
  assert_int_equal(fixture_count(fixture, LEDGER_T_GRANT), 1);
  fixture_free(fixture);
}

/* ---- partitions ------------------------------------------------------------------------------ */

/* Another writer was in the partition while an op is under way: who comes then is shown what is
 * read after both. */
static void test_reader_when_the_tenure_moves_during_an_op_then_shown_what_is_read_anew(
  void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){.loops = 1});
  hf_id user = fixture_user(fixture, "a");
  struct cluster *cluster = rt_local(fixture->loops[0], HF_LOCAL_CLUSTER);
  unsigned count;
  (void)state;
  must(fixture, OP(GRANT, 100, NULL));
  uint64_t commits = fixture->commits, loads = fixture->reads[STORE_LOAD_USER];
  struct fixture_ask *spend = fixture_submit(fixture, 0, OP(SPEND, 30, NULL));
  while (fixture->commits == commits)
    fixture_step(fixture);
  cluster->places[hf_id_partition(user, fixture->config.partition_bits)].tenure++;
  struct fixture_ask *view = send_view(fixture, user);
  assert_int_equal(take_view(fixture, view, &count), HF_OK);
  assert_int_equal(fixture_outcome(fixture, spend).error, HF_OK);
  assert_int_equal(fixture->reads[STORE_LOAD_USER], loads + 1u);
  assert_true(fixture_balance(fixture, user).bucket[LEDGER_CLAIMABLE] == 70);
  fixture_free(fixture);
}

static void test_user_when_its_partition_goes_then_all_are_refused_until_it_is_back(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){.loops = 1});
  struct cluster *cluster = rt_local(fixture->loops[0], HF_LOCAL_CLUSTER);
  hf_id user = fixture_user(fixture, "a"), asleep = fixture_user(fixture, "b");
  unsigned count;
  (void)state;
  must(fixture, OP(GRANT, 100, NULL));
  for (unsigned i = 0; i < 4; i++)
    cluster->places[i].where = CLUSTER_NOWHERE;
  for (unsigned i = 0; i < 2; i++) {
    hf_id who = i == 0 ? user : asleep; /* who has been read, and who has not */
    assert_int_equal(take_view(fixture, send_view(fixture, who), &count), HF_E_UNAVAILABLE);
    assert_int_equal(peek(fixture, who), HF_E_UNAVAILABLE);
    assert_int_equal(fixture_status(fixture, who, LEDGER_CLOSED), HF_E_UNAVAILABLE);
    struct hf_op *op = fixture_op(fixture, who, LEDGER_T_GRANT, 1, NULL);
    assert_int_equal(fixture_do(fixture, op).error, HF_E_UNAVAILABLE);
  }
  for (unsigned i = 0; i < 4; i++)
    cluster->places[i].where = CLUSTER_HERE;
  must(fixture, OP(SPEND, 1, NULL));
  must(fixture, fixture_op(fixture, asleep, LEDGER_T_GRANT, 1, NULL));
  fixture_free(fixture);
}

/* ---- names ----------------------------------------------------------------------------------- */

static struct hf_create *create(struct fixture *fixture, const char *name, const char *key)
{
  return fixture_take(fixture, fixture_send_create(fixture, 0, fixture_create(name, key)));
}

static hf_id created(struct hf_create *create, bool replayed)
{
  hf_id user = create->user;
  assert_int_equal(create->error, HF_OK);
  assert_int_equal(create->replayed, replayed);
  rt_free(create);
  return user;
}

static void test_create_when_without_names_then_a_user_each_and_by_key_the_same(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  (void)state;
  hf_id first = created(create(fixture, NULL, NULL), false);
  hf_id second = created(create(fixture, NULL, NULL), false);
  assert_int_not_equal(first, second);
  hf_id keyed = created(create(fixture, NULL, "k"), false);
  assert_int_equal(created(create(fixture, NULL, "k"), true), keyed);
  assert_int_not_equal(keyed, second);
  must(fixture, fixture_op(fixture, keyed, LEDGER_T_GRANT, 1, NULL));
  fixture_free(fixture);
}

/* As the importer asks: who has the external id is the answer. */
static void test_create_when_an_existing_user_will_do_then_told_who_it_is(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  (void)state;
  hf_id user = created(create(fixture, "name", "k1"), false);
  struct hf_create *again = fixture_create("name", NULL);
  again->existing_ok = true;
  assert_int_equal(created(fixture_take(fixture, fixture_send_create(fixture, 0, again)), true),
                   user);
  struct hf_create *taken = create(fixture, "name", "k2");
  assert_int_equal(taken->error, HF_E_EXTERNAL_ID_TAKEN);
  rt_free(taken);
  fixture_free(fixture);
}

/* Creates of one name wait for each other, and their partition does not open any more. */
static void test_create_when_its_partition_does_not_open_then_who_waits_is_refused(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){.loops = 1});
  struct hf_hash digest = hf_external_id_digest("name", 4);
  struct fixture_ask *asks[4];
  (void)state;
  fixture->broken = hf_digest_partition(&digest, fixture->config.partition_bits);
  fixture->broken_status = STORE_UNAVAILABLE;
  fixture_fate(fixture, FATE_REFUSED);
  for (unsigned i = 0; i < 4; i++)
    asks[i] = fixture_send_create(fixture, 0, fixture_create("name", NULL));
  for (unsigned i = 0; i < 4; i++) {
    struct hf_create *refused = fixture_take(fixture, asks[i]);
    assert_int_equal(refused->error, HF_E_UNAVAILABLE);
    rt_free(refused);
  }
  fixture->broken_status = STORE_OK;
  fixture_run(fixture, 3000000);
  (void)created(create(fixture, "name", NULL), false);
  fixture_free(fixture);
}

/* The external id's home is nobody's at the moment: the key stays reserved, and the same request
 * goes on when somebody has it. */
static void test_create_when_the_other_home_is_nowhere_then_refused_and_goes_on_later(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){.loops = 1});
  struct cluster *cluster = rt_local(fixture->loops[0], HF_LOCAL_CLUSTER);
  unsigned bits = fixture->config.partition_bits, at = 0;
  char name[16];
  struct hf_hash key = hf_sha256("k", 1);
  (void)state;
  for (unsigned i = 0; i == 0 || at == hf_digest_partition(&key, bits); i++) {
    (void)snprintf(name, sizeof name, "name-%u", i);
    struct hf_hash digest = hf_external_id_digest(name, strlen(name));
    at = hf_digest_partition(&digest, bits);
  }
  cluster->places[at].where = CLUSTER_NOWHERE;
  struct hf_create *refused = create(fixture, name, "k");
  assert_int_equal(refused->error, HF_E_UNAVAILABLE);
  rt_free(refused);
  cluster->places[at].where = CLUSTER_HERE;
  hf_id user = created(create(fixture, name, "k"), false);
  assert_int_equal(created(create(fixture, name, "k"), true), user);
  fixture_free(fixture);
}

/* ---- the sweep ------------------------------------------------------------------------------- */

#define PAGE 256u /* holds that a round reads */

static hf_id neighbour(struct fixture *fixture, hf_id user)
{
  for (char name[] = "b";; name[0]++) {
    hf_id other = fixture_user(fixture, name);
    if (hf_id_partition(other, 2) == hf_id_partition(user, 2))
      return other;
  }
}

static void hold_second(struct fixture *fixture, hf_id user)
{
  struct hf_op *op = OP(HOLD, 1, NULL);
  op->command.timeout_s = 1;
  must(fixture, op);
}

/* A page of holds cannot be released, because their user cannot be read: the walk goes on. */
static void test_sweep_when_a_page_cannot_be_released_then_those_behind_it_are(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){.sweep_every_us = 500000});
  hf_id user = fixture_user(fixture, "a"), other = neighbour(fixture, user);
  (void)state;
  must(fixture, OP(GRANT, 1000, NULL));
  must(fixture, fixture_op(fixture, other, LEDGER_T_GRANT, 1000, NULL));
  for (unsigned i = 0; i < PAGE; i++)
    hold_second(fixture, user);
  hold_second(fixture, other);
  fixture->spoil = spoil_load;
  fixture->spoiled = user;
  fixture_crash(fixture);
  fixture_run(fixture, 3000000);
  assert_int_equal(fixture_count(fixture, LEDGER_T_EXPIRE), 1);
  assert_true(fixture_balance(fixture, other).bucket[LEDGER_HELD] == 0);
  fixture->spoil = NULL;
  fixture_run(fixture, 3000000);
  assert_int_equal(fixture_count(fixture, LEDGER_T_EXPIRE), PAGE + 1u);
  fixture_free(fixture);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_user_when_there_is_none_then_everybody_is_told_so),
    cmocka_unit_test(test_balances_when_of_many_assets_then_all_are_shown),
    cmocka_unit_test(test_op_when_malformed_then_its_key_is_free_still),
    cmocka_unit_test(test_op_when_it_has_metadata_then_the_journal_has_it_and_a_replay_tells_it),
    cmocka_unit_test(test_reference_when_somebody_elses_then_not_found),
    cmocka_unit_test(test_group_when_a_member_is_no_member_then_none_and_nothing_is_remembered),
    cmocka_unit_test(test_group_when_two_members_reverse_one_op_then_in_sum_no_more_than_it_was),
    cmocka_unit_test(test_group_when_known_in_part_and_the_store_goes_then_the_rest_is_refused),
    cmocka_unit_test(test_user_when_its_rows_do_not_fit_then_not_served_until_they_do),
    cmocka_unit_test(test_reversal_when_the_originals_rows_do_not_fit_then_an_error_and_no_outcome),
    cmocka_unit_test(test_key_when_the_journal_has_forgotten_it_then_the_commit_decides),
    cmocka_unit_test(test_reader_when_the_tenure_moves_during_an_op_then_shown_what_is_read_anew),
    cmocka_unit_test(test_user_when_its_partition_goes_then_all_are_refused_until_it_is_back),
    cmocka_unit_test(test_create_when_without_names_then_a_user_each_and_by_key_the_same),
    cmocka_unit_test(test_create_when_an_existing_user_will_do_then_told_who_it_is),
    cmocka_unit_test(test_create_when_its_partition_does_not_open_then_who_waits_is_refused),
    cmocka_unit_test(test_create_when_the_other_home_is_nowhere_then_refused_and_goes_on_later),
    cmocka_unit_test(test_sweep_when_a_page_cannot_be_released_then_those_behind_it_are),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
