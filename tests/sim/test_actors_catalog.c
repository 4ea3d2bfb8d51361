/* The catalogue when changes fail, when the database is not what it was, and for loops that know
 * less than the store does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "actors/cluster/cluster.h"
#include "tests/sim/actor_fixture.h"

static const struct catalog *catalog(const struct fixture *fixture, unsigned loop)
{
  return catalog_of(fixture->loops[loop]);
}

/* ---- changes --------------------------------------------------------------------------------- */

static struct hf_catalog_change *key_change(unsigned kind, const char *id)
{
  struct hf_catalog_change *change = rt_alloc(sizeof *change);
  change->kind = (uint8_t)kind;
  (void)snprintf(change->key.id, sizeof change->key.id, "%s", id);
  return change;
}

static struct hf_catalog_change *asset_change(const char *code)
{
  struct hf_catalog_change *change = rt_alloc(sizeof *change);
  change->kind = CATALOG_ADD_ASSET;
  change->asset.scale = FIXTURE_SCALE;
  change->asset.chain_decimals = 255;
  (void)snprintf(change->asset.code, sizeof change->asset.code, "%s", code);
  return change;
}

static struct fixture_ask *send(struct fixture *fixture, struct hf_catalog_change *change)
{
  return fixture_send(fixture, 0, catalog_home(fixture->loops[0]), HF_ASSET, change);
}

static enum hf_error take(struct fixture *fixture, struct fixture_ask *ask)
{
  struct hf_catalog_change *change = fixture_take(fixture, ask);
  enum hf_error error = change->error;
  rt_free(change);
  return error;
}

static enum hf_error apply(struct fixture *fixture, struct hf_catalog_change *change)
{
  return take(fixture, send(fixture, change));
}

/* Another node's home tells of an asset that cannot be placed: the loop reads. */
static struct fixture_ask *read_send(struct fixture *fixture, unsigned loop)
{
  struct hf_catalog_change *change = asset_change("FAR");
  change->asset.id = 40;
  return fixture_send(fixture, loop, hf_loop_actor(HF_KIND_CATALOG, loop), HF_LEARN, change);
}

static void read_all(struct fixture *fixture)
{
  for (unsigned i = 0; i < fixture->config.loops; i++)
    assert_int_equal(take(fixture, read_send(fixture, i)), HF_OK);
}

static void test_lookup_when_it_names_nothing_then_null(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  const struct catalog *own = catalog(fixture, 1);
  char longest[HF_ASSET_CODE_MAX + 2u];
  (void)state;
  memset(longest, 'A', sizeof longest);
  assert_null(catalog_asset(own, 0)); /* what a frame of another node may name */
  assert_null(catalog_asset(own, 2));
  assert_null(catalog_asset_by_code(own, "", 0));
  assert_null(catalog_asset_by_code(own, longest, sizeof longest));
  assert_null(catalog_asset_by_code(own, "GOL", 3));
  assert_int_equal(apply(fixture, key_change(CATALOG_ADD_KEY, "one")), HF_OK);
  assert_int_equal(apply(fixture, key_change(CATALOG_ADD_KEY, "two")), HF_OK);
  own = catalog(fixture, 1);
  assert_int_equal(catalog_keys_count(own), 2);
  assert_string_equal(catalog_key_at(own, 0)->id, "one");
  assert_string_equal(catalog_key_at(own, 1)->id, "two");
  assert_null(catalog_key(own, "tw", 2));
  assert_string_equal(catalog_asset_at(own, 0)->code, FIXTURE_ASSET);
  fixture_free(fixture);
}

static void test_asset_when_made_again_with_other_properties_then_conflict(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  struct hf_catalog_change *changes[5];
  (void)state;
  for (unsigned i = 0; i < 5; i++)
    changes[i] = asset_change(FIXTURE_ASSET);
  changes[0]->asset.scale++;
  changes[1]->asset.chain_decimals = 18;
  memcpy(changes[2]->asset.name, "Gold", 5);
  memcpy(changes[3]->asset.chain, "eth", 4);
  memcpy(changes[4]->asset.contract, "0x1", 4);
  uint64_t commits = fixture->commits;
  for (unsigned i = 0; i < 5; i++)
    assert_int_equal(apply(fixture, changes[i]), HF_E_ASSET_CONFLICT);
  assert_int_equal(apply(fixture, asset_change(FIXTURE_ASSET)), HF_OK);
  assert_int_equal(fixture->commits, commits);
  fixture_free(fixture);
}

static void test_key_when_revoked_without_being_there_then_not_found(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  (void)state;
  assert_int_equal(apply(fixture, key_change(CATALOG_REVOKE_KEY, "none")), HF_E_KEY_NOT_FOUND);
  assert_int_equal(apply(fixture, key_change(CATALOG_ADD_KEY, "none")), HF_OK);
  assert_int_equal(apply(fixture, key_change(CATALOG_ADD_KEY, "none")), HF_E_KEY_CONFLICT);
  assert_int_equal(apply(fixture, key_change(CATALOG_REVOKE_KEY, "none")), HF_OK);
  fixture_free(fixture);
}

/* Nobody knows whether it was done, and then that fails for good: it is not acknowledged, and if it
 * is in the store every loop gets to know it. */
static void test_key_when_its_outcome_stays_unknown_then_all_loops_know_what_is_stored(void **state)
{
  static const enum fixture_fate first[] = {FATE_UNKNOWN_LOST, FATE_UNKNOWN_LOST};
  static const enum fixture_fate second[] = {FATE_UNKNOWN_DONE, FATE_UNKNOWN_LOST};
  (void)state;
  for (unsigned i = 0; i < 2; i++) {
    struct fixture *fixture = fixture_new((struct fixture_config){.loops = 4, .partition_bits = 3});
    fixture_fate(fixture, first[i]);
    fixture_fate(fixture, second[i]);
    enum hf_error error = apply(fixture, key_change(CATALOG_ADD_KEY, "key"));
    assert_int_equal(error, HF_E_UNKNOWN_OUTCOME);
    fixture_run(fixture, 2000000);
    for (unsigned loop = 0; loop < 4; loop++)
      assert_int_equal(catalog_key(catalog(fixture, loop), "key", 3) != NULL,
                       second[i] == FATE_UNKNOWN_DONE);
    fixture_free(fixture);
  }
}

/* The partition goes to another node while changes wait for one that is under way. */
static void test_change_when_the_partition_goes_meanwhile_then_refused(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){.loops = 1});
  struct cluster *cluster = rt_local(fixture->loops[0], HF_LOCAL_CLUSTER);
  uint64_t commits = fixture->commits;
  struct fixture_ask *asks[3];
  (void)state;
  asks[0] = send(fixture, asset_change("A1"));
  asks[1] = send(fixture, asset_change("A2"));
  while (fixture->commits == commits)
    fixture_step(fixture);
  cluster->places[0].where = CLUSTER_NOWHERE;
  asks[2] = send(fixture, asset_change("A3"));
  assert_int_equal(take(fixture, asks[0]), HF_OK);
  assert_int_equal(take(fixture, asks[1]), HF_E_UNAVAILABLE);
  assert_int_equal(take(fixture, asks[2]), HF_E_UNAVAILABLE);
  cluster->places[0].where = CLUSTER_HERE;
  assert_int_equal(apply(fixture, asset_change("A2")), HF_OK);
  assert_int_equal(catalog_asset_by_code(catalog(fixture, 0), "A2", 2)->id, 3);
  fixture_free(fixture);
}

/* ---- a database that went back --------------------------------------------------------------- */

static void spoil_keys(struct fixture *fixture, struct store_request *request)
{
  (void)fixture;
  if (request->kind == STORE_CATALOG)
    request->catalog.keys_count = 0;
}

/* The second asset is another one than it was. */
static void spoil_code(struct fixture *fixture, struct store_request *request)
{
  (void)fixture;
  if (request->kind != STORE_CATALOG || request->catalog.assets_count < 2u)
    return;
  size_t size = request->catalog.assets_count * sizeof *request->catalog.assets;
  struct store_asset_row *assets = hf_arena_alloc(&request->arena, size);
  memcpy(assets, request->catalog.assets, size);
  memcpy(assets[1].code, "OTHER", sizeof "OTHER");
  request->catalog.assets = assets;
}

static void test_catalog_when_the_database_lost_something_then_made_anew_and_said(void **state)
{
  (void)state;
  for (unsigned i = 0; i < 2; i++) {
    struct fixture *fixture = fixture_new((struct fixture_config){.loops = 1});
    assert_int_equal(apply(fixture, asset_change("SILVER")), HF_OK);
    assert_int_equal(apply(fixture, key_change(CATALOG_ADD_KEY, "key")), HF_OK);
    assert_int_equal(fixture->logged, 0);
    fixture->spoil = i == 0 ? spoil_keys : spoil_code;
    read_all(fixture);
    const struct catalog *own = catalog(fixture, 0);
    assert_int_equal(catalog_keys_count(own), i);
    assert_int_equal(catalog_assets_count(own), 2);
    assert_int_equal(catalog_asset_by_code(own, "OTHER", 5) != NULL, i == 1);
    assert_int_equal(catalog_asset_by_code(own, "SILVER", 6) != NULL, i == 0);
    assert_int_equal(fixture->logged, 1);
    assert_non_null(strstr(fixture->logline, "the database went back"));
    fixture_free(fixture);
  }
}

/* The gap is not at the end, and is said once. */
static void test_catalog_when_numbers_have_a_gap_then_that_is_said_once(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){.loops = 1});
  (void)state;
  assert_int_equal(apply(fixture, asset_change("A1")), HF_OK);
  assert_int_equal(apply(fixture, asset_change("A2")), HF_OK);
  fixture->assets_torn = true;
  struct fixture_ask *ask = read_send(fixture, 0);
  fixture_run(fixture, 2000000);
  assert_false(ask->answered);
  assert_int_equal(fixture->logged, 1);
  fixture->assets_torn = false;
  assert_int_equal(take(fixture, ask), HF_OK);
  fixture_free(fixture);
}

/* A read that began before a key was made and ends after that knows less than memory does. */
static void test_key_when_made_during_a_read_then_it_stays_known(void **state)
{
  unsigned overtaken = 0;
  (void)state;
  for (uint64_t seed = 1; seed <= 24; seed++) {
    struct fixture *fixture =
      fixture_new((struct fixture_config){.loops = 1, .job_us_max = 4000, .seed = seed});
    uint64_t reads = fixture->reads[STORE_CATALOG];
    struct fixture_ask *reading = read_send(fixture, 0);
    assert_int_equal(apply(fixture, key_change(CATALOG_ADD_KEY, "key")), HF_OK);
    bool first = !reading->answered;
    assert_int_equal(take(fixture, reading), HF_OK);
    fixture_run(fixture, 100000);
    assert_non_null(catalog_key(catalog(fixture, 0), "key", 3));
    assert_int_equal(fixture->logged, 0); /* the database did not go back */
    assert_int_equal(fixture->reads[STORE_CATALOG], reads + 1u + first);
    overtaken += first;
    fixture_free(fixture);
  }
  assert_true(overtaken > 0);
}

/* The database goes back while a change is under way: its number does not fit any more, until the
 * database is whole again. */
static void test_asset_when_the_database_goes_back_meanwhile_then_read_again(void **state)
{
  unsigned overtaken = 0;
  (void)state;
  for (uint64_t seed = 1; seed <= 24; seed++) {
    struct fixture *fixture =
      fixture_new((struct fixture_config){.loops = 1, .job_us_max = 4000, .seed = seed});
    for (char code[] = "A0"; code[1] < '6'; code[1]++)
      assert_int_equal(apply(fixture, asset_change(code)), HF_OK);
    uint64_t commits = fixture->commits;
    struct fixture_ask *ask = send(fixture, asset_change("LAST"));
    while (fixture->commits == commits)
      fixture_step(fixture);
    fixture->assets_hidden = 4;
    struct fixture_ask *reading = read_send(fixture, 0);
    while (!reading->answered)
      fixture_step(fixture);
    overtaken += !ask->answered;
    fixture->assets_hidden = 0;
    (void)take(fixture, reading);
    assert_int_equal(take(fixture, ask), HF_OK);
    read_all(fixture);
    assert_int_equal(catalog_asset_by_code(catalog(fixture, 0), "LAST", 4)->id, 8);
    fixture_free(fixture);
  }
  assert_true(overtaken > 0);
}

/* ---- loops that know less than the store ----------------------------------------------------- */

/* Another node made SILVER: the store has it, no loop here knows. */
static void silver_elsewhere(struct fixture *fixture)
{
  assert_int_equal(apply(fixture, asset_change("SILVER")), HF_OK);
  fixture->assets_hidden = 1;
  read_all(fixture);
  fixture->assets_hidden = 0;
  for (unsigned i = 0; i < fixture->config.loops; i++) {
    struct cluster *cluster = rt_local(fixture->loops[i], HF_LOCAL_CLUSTER);
    cluster->alone = false;
    assert_int_equal(catalog_assets_count(catalog(fixture, i)), 1);
  }
}

static struct hf_op *grant(struct fixture *fixture, hf_id user, const char *code, const char *key)
{
  struct hf_op *op = fixture_op(fixture, user, LEDGER_T_GRANT, 5, key);
  (void)snprintf(op->asset_code, sizeof op->asset_code, "%s", code);
  return op;
}

static void test_op_when_its_asset_is_new_elsewhere_then_refused_for_now_only(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = fixture_user(fixture, "a");
  (void)state;
  silver_elsewhere(fixture);
  assert_int_equal(fixture_do(fixture, grant(fixture, user, "SILVER", "k")).error,
                   HF_E_UNAVAILABLE);
  fixture_run(fixture, 100000);
  assert_int_equal(fixture_do(fixture, grant(fixture, user, "SILVER", "k")).error, HF_OK);
  for (unsigned i = 0; i < 2; i++) { /* nobody has made this one: that is said for ever */
    struct outcome outcome = fixture_do(fixture, grant(fixture, user, "NONE", "n"));
    assert_int_equal(outcome.error, HF_E_ASSET_NOT_FOUND);
    assert_int_equal(outcome.replayed, i == 1);
  }
  fixture_free(fixture);
}

static void test_group_when_an_asset_is_new_elsewhere_then_none_for_now(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = fixture_user(fixture, "a");
  struct outcome outcomes[2];
  (void)state;
  silver_elsewhere(fixture);
  for (unsigned i = 0; i < 2; i++) {
    struct hf_op *head = grant(fixture, user, FIXTURE_ASSET, "g");
    head->group_next = grant(fixture, user, "SILVER", "s");
    fixture_outcomes(fixture, fixture_submit(fixture, 0, head), outcomes, 2);
    for (unsigned j = 0; j < 2; j++)
      assert_int_equal(outcomes[j].error, i == 0 ? HF_E_UNAVAILABLE : HF_OK);
    assert_int_equal(fixture_count(fixture, LEDGER_T_GRANT), 2u * i);
    fixture_run(fixture, 100000);
  }
  fixture_free(fixture);
}

static void test_transfer_when_its_asset_is_not_known_yet_then_credited_once_it_is(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id payer = fixture_user(fixture, "a"), payee = fixture_user(fixture, "b");
  (void)state;
  assert_int_equal(apply(fixture, asset_change("SILVER")), HF_OK);
  assert_int_equal(fixture_do(fixture, grant(fixture, payer, "SILVER", NULL)).error, HF_OK);
  struct hf_op *op = fixture_op_transfer(fixture, payer, payee, 5, "t");
  memcpy(op->asset_code, "SILVER", sizeof "SILVER");
  (void)fixture_submit(fixture, 0, op);
  while (fixture_count(fixture, LEDGER_T_TRANSFER) == 0)
    fixture_step(fixture);
  fixture->assets_hidden = 1;
  fixture_crash(fixture);
  fixture_run(fixture, 2000000);
  assert_int_equal(fixture_count(fixture, LEDGER_T_CREDIT), 0);
  fixture->assets_hidden = 0;
  read_all(fixture);
  fixture_run(fixture, 10000000);
  assert_int_equal(fixture_count(fixture, LEDGER_T_CREDIT), 1);
  fixture_free(fixture);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_lookup_when_it_names_nothing_then_null),
    cmocka_unit_test(test_asset_when_made_again_with_other_properties_then_conflict),
    cmocka_unit_test(test_key_when_revoked_without_being_there_then_not_found),
    cmocka_unit_test(test_key_when_its_outcome_stays_unknown_then_all_loops_know_what_is_stored),
    cmocka_unit_test(test_change_when_the_partition_goes_meanwhile_then_refused),
    cmocka_unit_test(test_catalog_when_the_database_lost_something_then_made_anew_and_said),
    cmocka_unit_test(test_catalog_when_numbers_have_a_gap_then_that_is_said_once),
    cmocka_unit_test(test_key_when_made_during_a_read_then_it_stays_known),
    cmocka_unit_test(test_asset_when_the_database_goes_back_meanwhile_then_read_again),
    cmocka_unit_test(test_op_when_its_asset_is_new_elsewhere_then_refused_for_now_only),
    cmocka_unit_test(test_group_when_an_asset_is_new_elsewhere_then_none_for_now),
    cmocka_unit_test(test_transfer_when_its_asset_is_not_known_yet_then_credited_once_it_is),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
