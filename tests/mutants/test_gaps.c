/* test_gaps.c - what planted bugs got past every other test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "actors/cluster/cluster.h"
#include "adapters/store_memory/store_memory.h"
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

/* Another node may have reversed the op between the look-up and the taking over: it is looked up
 * again. Here the partition's tenure moves as it does then. */
static void test_reversal_when_the_tenure_moves_then_the_original_is_read_again(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){.loops = 1});
  hf_id user = fixture_user(fixture, "a");
  (void)state;
  hf_id grant = must(fixture, fixture_op(fixture, user, LEDGER_T_GRANT, 1000, NULL)).op;
  struct fixture_ask *ask =
    fixture_submit(fixture, 0, fixture_op_ref(fixture, user, LEDGER_T_REVERSE, grant, 600, NULL));
  while (fixture->reads[STORE_GET_OP] == 0)
    fixture_step(fixture);
  struct cluster *cluster = rt_local(fixture->loops[0], HF_LOCAL_CLUSTER);
  cluster->places[hf_id_partition(user, fixture->config.partition_bits)].tenure++;
  assert_int_equal(fixture_outcome(fixture, ask).error, HF_OK);
  assert_int_equal(fixture->reads[STORE_GET_OP], 2);
  fixture_free(fixture);
}

/* What was judged before another writer came is handed back, however late it arrives. */
static void test_unit_when_of_another_tenure_then_not_taken(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){.loops = 1});
  struct store_row row = {.table = STORE_T_USER, .action = STORE_UPDATE};
  struct store_unit unit = {.rows = &row, .rows_count = 1};
  hf_id user = fixture_user(fixture, "a");
  (void)state;
  row.user = (struct store_user_row){.id = user, .status = LEDGER_CLOSED};
  unit.user = user;
  unit.partition = hf_id_partition(user, fixture->config.partition_bits);
  unit.tenure = 1; /* an embedded store is in its tenure 0 for ever */
  uint64_t commits = fixture->commits;
  rt_id store = hf_loop_actor(HF_KIND_STORE, 0);
  struct fixture_ask *ask = fixture_send(fixture, 0, store, HF_PERSIST, &unit);
  assert_ptr_equal(fixture_take(fixture, ask), &unit);
  assert_int_equal(unit.status, STORE_UNAVAILABLE);
  assert_int_equal(fixture->commits, commits);
  fixture_free(fixture);
}

static struct fixture_ask *send_key(struct fixture *fixture, unsigned kind)
{
  struct hf_catalog_change *change = rt_alloc(sizeof *change);
  change->kind = (uint8_t)kind;
  memcpy(change->key.id, "key", sizeof "key");
  return fixture_send(fixture, 0, catalog_home(fixture->loops[0]), HF_ASSET, change);
}

static void take_change(struct fixture *fixture, struct fixture_ask *ask)
{
  struct hf_catalog_change *change = fixture_take(fixture, ask);
  assert_int_equal(change->error, HF_OK);
  rt_free(change);
}

/* A read of the catalogue that began before the revocation, and often ends after it. */
static void test_key_when_read_before_its_revocation_then_it_stays_revoked(void **state)
{
  (void)state;
  for (uint64_t seed = 1; seed <= 24; seed++) {
    struct fixture *fixture =
      fixture_new((struct fixture_config){.loops = 1, .job_us_max = 4000, .seed = seed});
    struct hf_catalog_change *far = rt_alloc(sizeof *far);
    far->kind = CATALOG_ADD_ASSET;
    far->asset.id = 99; /* it does not fit behind what is there: only a read can tell */
    take_change(fixture, send_key(fixture, CATALOG_ADD_KEY));
    struct fixture_ask *reading =
      fixture_send(fixture, 0, hf_loop_actor(HF_KIND_CATALOG, 0), HF_LEARN, far);
    struct fixture_ask *revoking = send_key(fixture, CATALOG_REVOKE_KEY);
    take_change(fixture, revoking);
    take_change(fixture, reading);
    const struct catalog *catalog = catalog_of(fixture->loops[0]);
    assert_true(catalog_key(catalog, "key", 3)->revoked_us != 0);
    fixture_free(fixture);
  }
}

/* A heartbeat of a node that wants the partition, and buries `dead`, if any; who has it then.
 * ret_beat: the node's own, or NULL. */
static uint64_t owner_after_claim(struct store_engine *engine, uint64_t node,
                                  struct store_node *dead, uint64_t *ret_beat)
{
  static uint32_t wanted[1];
  struct store_request *request = store_request_new(STORE_LEASE);
  request->lease.self = (struct store_node){.id = node, .takes = true};
  request->lease.buried = dead;
  request->lease.buried_count = dead != NULL ? 1 : 0;
  request->lease.join = true;
  request->lease.claimed = wanted;
  request->lease.claimed_count = 1;
  engine->ops->execute(engine, request);
  assert_int_equal(request->status, STORE_OK);
  uint64_t owner = request->lease.owners[0];
  if (ret_beat != NULL)
    *ret_beat = request->lease.self.beat;
  store_request_free(request);
  return owner;
}

static void test_claim_when_another_node_has_the_partition_then_it_keeps_it(void **state)
{
  struct store_engine *engine = store_memory_new(0);
  (void)state;
  assert_int_equal(owner_after_claim(engine, 7, NULL, NULL), 7);
  assert_int_equal(owner_after_claim(engine, 9, NULL, NULL), 7);
  engine->ops->close(engine);
}

static void test_burial_when_the_node_has_beaten_since_then_it_keeps_what_it_has(void **state)
{
  struct store_engine *engine = store_memory_new(0);
  struct store_node seen = {.id = 7};
  uint64_t beat;
  (void)state;
  assert_int_equal(owner_after_claim(engine, 7, NULL, &seen.beat), 7);
  assert_int_equal(owner_after_claim(engine, 7, NULL, &beat), 7);
  assert_int_not_equal(seen.beat, beat);
  assert_int_equal(owner_after_claim(engine, 9, &seen, NULL), 7);
  seen.beat = beat;
  assert_int_equal(owner_after_claim(engine, 9, &seen, NULL), 9);
  engine->ops->close(engine);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_transfer_when_the_payee_has_no_room_then_the_payer_has_it_back),
    cmocka_unit_test(test_status_when_closed_and_restarted_then_nothing_is_taken),
    cmocka_unit_test(test_capture_when_the_user_never_rests_then_it_finds_the_hold),
    cmocka_unit_test(test_reversal_when_the_tenure_moves_then_the_original_is_read_again),
    cmocka_unit_test(test_unit_when_of_another_tenure_then_not_taken),
    cmocka_unit_test(test_key_when_read_before_its_revocation_then_it_stays_revoked),
    cmocka_unit_test(test_claim_when_another_node_has_the_partition_then_it_keeps_it),
    cmocka_unit_test(test_burial_when_the_node_has_beaten_since_then_it_keeps_what_it_has),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
