/* Users and names, the catalogue, atomic batches, and actors that come and go. */
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
  return outcome;
}

#define OP(type, amount, key) fixture_op(fixture, user, LEDGER_T_##type, amount, key)

/* ---- atomic batches -------------------------------------------------------------------------- */

#define GROUP_MAX 1000u

struct group {
  struct hf_op *head, *last;
};

static void group_add(struct group *group, struct hf_op *op)
{
  if (group->head == NULL)
    group->head = op;
  else
    group->last->group_next = op;
  group->last = op;
}

static void group_do(struct fixture *fixture, struct group *group, struct outcome *outcomes,
                     unsigned count)
{
  fixture_outcomes(fixture, fixture_submit(fixture, 1, group->head), outcomes, count);
  *group = (struct group){0};
}

static void test_group_when_all_fit_then_all_and_replays_whole_and_in_part(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = fixture_user(fixture, "a");
  struct outcome first[3] = {{0}}, again[3];
  (void)state;
  for (unsigned round = 0; round < 3; round++) {
    struct group group = {0};
    group_add(&group, OP(GRANT, 100, "k1"));
    group_add(&group, OP(SPEND, 60, "k2"));
    group_add(&group, OP(SPEND, 40, "k3"));
    group_do(fixture, &group, round == 0 ? first : again, 3);
    for (unsigned i = 0; i < 3 && round > 0; i++) {
      assert_int_equal(again[i].error, HF_OK);
      assert_true(again[i].replayed && again[i].op == first[i].op);
    }
    if (round == 1)
      fixture_crash(fixture);
  }
  for (unsigned i = 0; i < 3; i++)
    assert_true(first[i].error == HF_OK && !first[i].replayed);
  struct outcome part = fixture_do(fixture, OP(SPEND, 60, "k2"));
  assert_true(part.error == HF_OK && part.replayed && part.op == first[1].op);
  struct group group = {0}; /* a part of it, with one more */
  group_add(&group, OP(GRANT, 100, "k1"));
  group_add(&group, OP(GRANT, 7, "k4"));
  group_do(fixture, &group, again, 2);
  assert_true(again[0].replayed && again[0].op == first[0].op);
  assert_true(again[1].error == HF_OK && !again[1].replayed);
  assert_int_equal(fixture_inside(fixture), 7);
  fixture_free(fixture);
}

static void test_group_when_one_is_refused_then_none_and_remembered(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = fixture_user(fixture, "a");
  struct outcome outcomes[3];
  (void)state;
  for (unsigned round = 0; round < 3; round++) {
    struct group group = {0};
    group_add(&group, OP(GRANT, 100, "k1"));
    group_add(&group, OP(SPEND, 101, "k2"));
    group_add(&group, OP(GRANT, 100, "k3"));
    group_do(fixture, &group, outcomes, 3);
    assert_int_equal(outcomes[0].error, HF_E_BATCH_ABORTED);
    assert_int_equal(outcomes[1].error, HF_E_INSUFFICIENT_FUNDS);
    assert_int_equal(outcomes[2].error, HF_E_BATCH_ABORTED);
    assert_int_equal(outcomes[0].replayed, round > 0);
    must(fixture, OP(GRANT, 1000, NULL)); /* it would fit now */
    if (round == 1)
      fixture_crash(fixture);
  }
  assert_int_equal(fixture_inside(fixture), 3000);
  fixture_free(fixture);
}

static void test_group_when_two_members_void_one_hold_then_it_is_told_resolved(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  struct outcome outcomes[2];
  struct group group = {0};
  (void)state;
  hf_id user = fixture_user(fixture, "a");
  must(fixture, OP(GRANT, 100, NULL));
  hf_id hold = must(fixture, OP(HOLD, 40, NULL)).op;
  group_add(&group, fixture_op_ref(fixture, user, LEDGER_T_VOID, hold, 0, "v1"));
  group_add(&group, fixture_op_ref(fixture, user, LEDGER_T_VOID, hold, 0, "v2"));
  group_do(fixture, &group, outcomes, 2);
  assert_int_equal(outcomes[0].error, HF_E_BATCH_ABORTED);
  assert_string_equal(hf_error_info(outcomes[1].error)->code, "hold_resolved");
  fixture_free(fixture);
}

/* A key of the group that is known with another body, or was refused before, stops the others. */
static void test_group_when_a_key_is_spoiled_then_none_of_the_others(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = fixture_user(fixture, "a");
  struct outcome outcomes[3];
  struct group group = {0};
  (void)state;
  must(fixture, OP(GRANT, 100, "used"));
  assert_int_equal(fixture_do(fixture, OP(SPEND, 500, "poor")).error, HF_E_INSUFFICIENT_FUNDS);
  group_add(&group, OP(GRANT, 10, "x1"));
  group_add(&group, OP(GRANT, 999, "used"));
  group_add(&group, OP(GRANT, 10, "x2"));
  group_do(fixture, &group, outcomes, 3);
  assert_int_equal(outcomes[0].error, HF_E_BATCH_ABORTED);
  assert_int_equal(outcomes[1].error, HF_E_IDEMPOTENCY_CONFLICT);
  assert_int_equal(outcomes[2].error, HF_E_BATCH_ABORTED);
  group_add(&group, OP(GRANT, 10, "y1"));
  group_add(&group, OP(SPEND, 500, "poor"));
  group_do(fixture, &group, outcomes, 2);
  assert_int_equal(outcomes[0].error, HF_E_BATCH_ABORTED);
  assert_int_equal(outcomes[1].error, HF_E_INSUFFICIENT_FUNDS);
  assert_int_equal(fixture_inside(fixture), 100);
  must(fixture, OP(GRANT, 10, "x1")); /* nothing was remembered for it */
  assert_int_equal(fixture_do(fixture, OP(GRANT, 10, "y1")).error, HF_E_BATCH_ABORTED);
  fixture_free(fixture);
}

static void test_group_when_malformed_then_none_and_nothing_is_remembered(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = fixture_user(fixture, "a"), payee = fixture_user(fixture, "b");
  struct outcome outcomes[3];
  struct group group = {0};
  (void)state;
  group_add(&group, OP(GRANT, 10, "k1"));
  group_add(&group, OP(GRANT, 20, "k2"));
  group_add(&group, OP(GRANT, 10, "k1"));
  group_do(fixture, &group, outcomes, 3);
  assert_int_equal(outcomes[0].error, HF_E_BATCH_ABORTED);
  assert_int_equal(outcomes[2].error, HF_E_IDEMPOTENCY_CONFLICT);
  group_add(&group, OP(GRANT, 10, "k1"));
  group_add(&group, fixture_op_transfer(fixture, user, payee, 5, "k2"));
  group_do(fixture, &group, outcomes, 2);
  assert_int_equal(outcomes[0].error, HF_E_BATCH_ABORTED);
  assert_int_equal(outcomes[1].error, HF_E_CROSS_USER_ATOMIC);
  assert_int_equal(fixture_inside(fixture), 0);
  must(fixture, OP(GRANT, 20, "k2"));
  fixture_free(fixture);
}

/* Far more members than a loop handles in a turn: still one commit or none. */
static void test_group_when_large_and_the_process_dies_then_all_or_none(void **state)
{
  unsigned none = 0, all = 0;
  (void)state;
  for (unsigned steps = 0; steps < 24; steps++) {
    struct fixture *fixture = fixture_new((struct fixture_config){.batch_units_max = 100});
    hf_id user = fixture_user(fixture, "a"), other = fixture_user(fixture, "b");
    struct group group = {0};
    char key[16];
    must(fixture, OP(GRANT, 1, NULL));
    for (unsigned i = 0; i < GROUP_MAX; i++) {
      (void)snprintf(key, sizeof key, "g%u", i);
      group_add(&group, OP(GRANT, 1, key));
    }
    (void)fixture_submit(fixture, 0, group.head);
    for (unsigned i = 0; i < 20; i++)
      (void)fixture_submit(fixture, 1, fixture_op(fixture, other, LEDGER_T_EARN, 1, NULL));
    fixture_steps(fixture, steps);
    fixture_crash(fixture);
    unsigned grants = fixture_count(fixture, LEDGER_T_GRANT);
    assert_true(grants == 1 || grants == GROUP_MAX + 1u);
    none += grants == 1;
    all += grants > 1;
    fixture_free(fixture);
  }
  assert_true(none > 0 && all > 0); /* the steps cover both sides of the commit */
}

static void test_group_when_its_commit_fails_then_judged_again_as_one(void **state)
{
  static const enum fixture_fate fates[] = {FATE_REFUSED, FATE_UNKNOWN_DONE, FATE_UNKNOWN_LOST};
  struct outcome outcomes[GROUP_MAX];
  (void)state;
  for (unsigned f = 0; f < 3; f++) {
    struct fixture *fixture = fixture_new((struct fixture_config){0});
    hf_id user = fixture_user(fixture, "a");
    struct group group = {0};
    char key[16];
    fixture_fate(fixture, fates[f]);
    for (unsigned i = 0; i < GROUP_MAX; i++) {
      (void)snprintf(key, sizeof key, "g%u", i);
      group_add(&group, i % 2 == 0 ? OP(GRANT, 1, key) : OP(SPEND, 1, key));
    }
    group_do(fixture, &group, outcomes, GROUP_MAX);
    for (unsigned i = 0; i < GROUP_MAX; i++)
      assert_int_equal(outcomes[i].error, HF_OK);
    assert_int_equal(fixture_count(fixture, LEDGER_T_GRANT), GROUP_MAX / 2u);
    assert_int_equal(fixture_inside(fixture), 0);
    fixture_free(fixture);
  }
}

/* ---- users ----------------------------------------------------------------------------------- */

static void test_create_when_two_loops_want_one_external_id_then_one_user(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){.loops = 3, .partition_bits = 3});
  struct fixture_ask *asks[30];
  (void)state;
  for (unsigned round = 0; round < 10; round++) {
    unsigned made = 0;
    char name[16], key[16];
    (void)snprintf(name, sizeof name, "one-%u", round);
    for (unsigned i = 0; i < 30; i++) { /* without a key, or each with its own */
      (void)snprintf(key, sizeof key, "%u/%u", round, i);
      struct hf_create *create = fixture_create(name, i % 2 == 0 ? NULL : key);
      asks[i] = fixture_send_create(fixture, i % 3, create);
    }
    for (unsigned i = 0; i < 30; i++) {
      struct hf_create *create = fixture_take(fixture, asks[i]);
      made += create->error == HF_OK;
      if (create->error != HF_OK)
        assert_int_equal(create->error, HF_E_EXTERNAL_ID_TAKEN);
      rt_free(create);
    }
    assert_int_equal(made, 1);
  }
  fixture_free(fixture);
}

static void test_create_when_the_key_repeats_then_the_same_user_or_conflict(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){.loops = 3, .partition_bits = 3});
  struct fixture_ask *asks[12];
  (void)state;
  for (unsigned round = 0; round < 8; round++) { /* keys and names of many partitions */
    hf_id user = 0;
    char name[16], key[16];
    (void)snprintf(name, sizeof name, "u%u", round);
    (void)snprintf(key, sizeof key, "k%u", round);
    for (unsigned i = 0; i < 12; i++)
      asks[i] = fixture_send_create(fixture, i % 3, fixture_create(name, key));
    for (unsigned i = 0; i < 12; i++) {
      struct hf_create *create = fixture_take(fixture, asks[i]);
      assert_int_equal(create->error, HF_OK);
      assert_true(user == 0 || user == create->user);
      user = create->user;
      rt_free(create);
    }
    struct hf_create *create =
      fixture_take(fixture, fixture_send_create(fixture, 0, fixture_create("another", key)));
    assert_int_equal(create->error, HF_E_IDEMPOTENCY_CONFLICT);
    rt_free(create);
  }
  fixture_free(fixture);
}

static void test_create_when_the_process_dies_between_the_steps_then_one_user(void **state)
{
  (void)state;
  for (unsigned steps = 0; steps < 40; steps++) {
    struct fixture *fixture = fixture_new((struct fixture_config){.seed = steps + 1u});
    hf_id user = 0;
    (void)fixture_send_create(fixture, 1, fixture_create("name", "key"));
    fixture_steps(fixture, steps);
    fixture_crash(fixture);
    for (unsigned i = 0; i < 2; i++) {
      struct hf_create *create =
        fixture_take(fixture, fixture_send_create(fixture, i, fixture_create("name", "key")));
      assert_int_equal(create->error, HF_OK);
      assert_true(i == 0 || (create->replayed && create->user == user));
      user = create->user;
      rt_free(create);
    }
    struct hf_create *other =
      fixture_take(fixture, fixture_send_create(fixture, 0, fixture_create("name", NULL)));
    assert_int_equal(other->error, HF_E_EXTERNAL_ID_TAKEN);
    rt_free(other);
    fixture_free(fixture);
  }
}

static void test_status_when_closed_and_opened_then_the_rest_of_the_row_stays(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  struct hf_create *create = fixture_create("keep-me", NULL);
  (void)state;
  create->kind = HF_USER_REGISTERED;
  create->profile = (struct store_text){.at = "{\"a\":1}", .size = 7};
  create = fixture_take(fixture, fixture_send_create(fixture, 0, create));
  hf_id user = create->user;
  rt_free(create);
  must(fixture, OP(GRANT, 10, NULL));
  for (unsigned i = 0; i < 2; i++) {
    unsigned status = i == 0 ? LEDGER_CLOSED : LEDGER_OPEN;
    assert_int_equal(fixture_status(fixture, user, status), HF_OK);
    if (i == 0)
      assert_int_equal(fixture_do(fixture, OP(GRANT, 1, NULL)).error, HF_E_USER_CLOSED);
    fixture_crash(fixture);
    struct store_request *request = store_request_new(STORE_GET_USER);
    request->get_user.id = user;
    fixture_read(fixture, request);
    const struct store_user_row *row = &request->get_user.out;
    assert_int_equal(request->status, STORE_OK);
    assert_int_equal(row->status, status);
    assert_int_equal(row->kind, HF_USER_REGISTERED);
    assert_int_equal(row->external_id.size, 7);
    assert_memory_equal(row->external_id.at, "keep-me", 7);
    assert_int_equal(row->profile.size, 7);
    store_request_free(request);
  }
  must(fixture, OP(GRANT, 1, NULL));
  fixture_free(fixture);
}

/* What comes behind a change of status is judged by it, though the change is not durable yet. */
static void test_status_when_under_way_then_what_comes_is_judged_by_it(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  struct hf_peek *peek = rt_alloc(sizeof *peek);
  (void)state;
  hf_id user = fixture_user(fixture, "a");
  must(fixture, OP(GRANT, 10, NULL));
  peek->user = user;
  peek->status = LEDGER_CLOSED;
  rt_id actor = hf_user_actor(user, fixture->config.partition_bits);
  struct fixture_ask *closing = fixture_send(fixture, 0, actor, HF_SET_STATUS, peek);
  struct fixture_ask *grant = fixture_submit(fixture, 0, OP(GRANT, 1, NULL));
  struct outcome outcome = fixture_outcome(fixture, grant);
  assert_string_equal(hf_error_info(outcome.error)->code, "user_closed");
  peek = fixture_take(fixture, closing);
  assert_int_equal(peek->error, HF_OK);
  rt_free(peek);
  fixture_free(fixture);
}

static void test_status_when_its_commit_fails_then_what_came_is_judged_without_it(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  struct hf_peek *peek = rt_alloc(sizeof *peek);
  (void)state;
  hf_id user = fixture_user(fixture, "a");
  must(fixture, OP(GRANT, 10, NULL));
  peek->user = user;
  peek->status = LEDGER_CLOSED;
  fixture_fate(fixture, FATE_REFUSED);
  rt_id actor = hf_user_actor(user, fixture->config.partition_bits);
  struct fixture_ask *closing = fixture_send(fixture, 0, actor, HF_SET_STATUS, peek);
  struct fixture_ask *grant = fixture_submit(fixture, 0, OP(GRANT, 1, NULL));
  peek = fixture_take(fixture, closing);
  assert_int_equal(peek->error, HF_E_UNAVAILABLE);
  rt_free(peek);
  assert_int_equal(fixture_outcome(fixture, grant).error, HF_OK);
  fixture_free(fixture);
}

/* Room for one user at a time: a partition's own actors are there all the same, and know that it is
 * open. */
static void test_room_when_for_one_actor_then_the_partitions_have_theirs(void **state)
{
  struct fixture *fixture =
    fixture_new((struct fixture_config){.loops = 1, .partition_bits = 2, .live_actors_max = 1});
  (void)state;
  for (unsigned i = 0; i < 2; i++) {
    hf_id user = fixture_user(fixture, i == 0 ? "a" : "b");
    hf_id payee = fixture_user(fixture, i == 0 ? "c" : "d");
    must(fixture, OP(GRANT, 10, NULL));
    must(fixture, fixture_op_transfer(fixture, user, payee, 4, NULL));
    assert_true(fixture_balance(fixture, payee).bucket[LEDGER_CLAIMABLE] == 4);
    assert_int_equal(fixture_account(fixture, LEDGER_TRANSIT), 0);
    fixture_crash(fixture);
  }
  fixture_free(fixture);
}

/* ---- the catalogue --------------------------------------------------------------------------- */

static void test_asset_when_answered_then_known_on_every_loop(void **state)
{
  static const enum fixture_fate fates[] = {FATE_DONE, FATE_REFUSED, FATE_UNKNOWN_DONE,
                                            FATE_UNKNOWN_LOST};
  struct fixture *fixture = fixture_new((struct fixture_config){.loops = 4, .partition_bits = 3});
  char code[8];
  (void)state;
  for (unsigned i = 0; i < 24; i++) {
    (void)snprintf(code, sizeof code, "A%u", i);
    fixture_fate(fixture, fates[i % 4u]);
    enum hf_error error = HF_E_UNAVAILABLE;
    for (unsigned tries = 0; tries < 5 && error != HF_OK; tries++) {
      error = fixture_asset(fixture, code);
      assert_true(error == HF_OK || hf_error_info(error)->retryable);
    }
    assert_int_equal(error, HF_OK);
    for (unsigned loop = 0; loop < 4; loop++) {
      const struct catalog *catalog = catalog_of(fixture->loops[loop]);
      const struct store_asset_row *asset = catalog_asset_by_code(catalog, code, strlen(code));
      assert_non_null(asset);
      assert_int_equal(asset->id, i + 2u);
    }
  }
  fixture_free(fixture);
}

/* Another node's home tells that it made an asset which this node cannot place. */
static struct fixture_ask *learn(struct fixture *fixture, unsigned number)
{
  struct hf_catalog_change *change = rt_alloc(sizeof *change);
  change->kind = CATALOG_ADD_ASSET;
  change->asset.id = (uint16_t)number;
  (void)snprintf(change->asset.code, sizeof change->asset.code, "FAR%u", number);
  return fixture_send(fixture, 0, hf_loop_actor(HF_KIND_CATALOG, 0), HF_LEARN, change);
}

static void test_catalog_when_numbers_have_a_gap_then_the_read_fails_until_it_is_whole(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  (void)state;
  assert_int_equal(fixture_asset(fixture, "SILVER"), HF_OK);
  fixture->assets_torn = true;
  struct fixture_ask *ask = learn(fixture, 40);
  fixture_run(fixture, 2000000);
  assert_false(ask->answered);
  assert_int_equal(catalog_assets_count(catalog_of(fixture->loops[0])), 2);
  fixture->assets_torn = false;
  rt_free(fixture_take(fixture, ask));
  assert_int_equal(catalog_assets_count(catalog_of(fixture->loops[0])), 2);
  fixture_free(fixture);
}

static void test_catalog_when_the_database_went_back_then_it_forgets_what_is_gone(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  (void)state;
  for (unsigned i = 0; i < 20; i++) {
    char code[8];
    (void)snprintf(code, sizeof code, "B%u", i);
    assert_int_equal(fixture_asset(fixture, code), HF_OK);
  }
  fixture->assets_hidden = 5;
  rt_free(fixture_take(fixture, learn(fixture, 40)));
  const struct catalog *catalog = catalog_of(fixture->loops[0]);
  assert_int_equal(catalog_assets_count(catalog), 16);
  assert_null(catalog_asset_by_code(catalog, "B15", 3));
  assert_int_equal(catalog_asset_by_code(catalog, "B14", 3)->id, 16);
  struct fixture_ask *ask = learn(fixture, 17); /* what the home made since fits */
  rt_free(fixture_take(fixture, ask));
  assert_int_equal(catalog_asset_by_code(catalog, "FAR17", 5)->id, 17);
  ask = learn(fixture, 3); /* another code has that number: it is read */
  rt_free(fixture_take(fixture, ask));
  assert_null(catalog_asset_by_code(catalog, "FAR3", 4));
  assert_int_equal(catalog_assets_count(catalog), 16);
  fixture_free(fixture);
}

/* Reads take longer than the time between two changes. */
static void test_catalog_when_changes_never_pause_then_each_is_answered_soon(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  struct fixture_ask *asks[64];
  (void)state;
  for (unsigned i = 0; i < 64; i++) {
    asks[i] = learn(fixture, 40 + i);
    fixture_run(fixture, 300);
    assert_true(i < 16 || asks[i - 16]->answered);
  }
  for (unsigned i = 0; i < 64; i++)
    rt_free(fixture_take(fixture, asks[i]));
  fixture_free(fixture);
}

/* ---- memory ---------------------------------------------------------------------------------- */

#define MANY 60u

static uint64_t random_next(uint64_t *seed)
{
  *seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
  return *seed >> 33;
}

static void test_passivation_when_memory_is_tiny_then_balances_stay(void **state)
{
  struct fixture *fixture = fixture_new(
    (struct fixture_config){.live_actors_max = 12, .buggify_percent = 30, .job_us_max = 4000});
  hf_id users[MANY];
  int64_t model[MANY] = {0};
  uint64_t seed = 11;
  (void)state;
  for (unsigned i = 0; i < MANY; i++) {
    char name[16];
    (void)snprintf(name, sizeof name, "user-%u", i);
    users[i] = fixture_user(fixture, name);
  }
  for (unsigned round = 0; round < 1500; round++) {
    unsigned i = (unsigned)(random_next(&seed) % MANY);
    int64_t amount = 1 + (int64_t)(random_next(&seed) % 50);
    unsigned type = random_next(&seed) % 2 == 0 ? LEDGER_T_GRANT : LEDGER_T_SPEND;
    char key[24];
    (void)snprintf(key, sizeof key, "r%u", round);
    enum hf_error error = HF_E_OVERLOADED;
    while (hf_error_info(error)->retryable)
      error = fixture_do(fixture, fixture_op(fixture, users[i], type, amount, key)).error;
    bool covered = type == LEDGER_T_GRANT || model[i] >= amount;
    assert_int_equal(error, covered ? HF_OK : HF_E_INSUFFICIENT_FUNDS);
    if (covered)
      model[i] += type == LEDGER_T_GRANT ? amount : -amount;
  }
  int64_t sum = 0;
  for (unsigned i = 0; i < MANY; i++)
    sum += model[i];
  assert_int_equal(fixture_inside(fixture), sum);
  fixture_free(fixture);
}

/* A loop that may have few asks under way: actors are refused in the middle of their work. */
static void test_room_when_short_everywhere_then_all_are_answered_and_nothing_is_lost(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){.overflow_max = 24});
  hf_id users[4];
  struct fixture_ask *asks[200];
  (void)state;
  for (unsigned i = 0; i < 4; i++) {
    char name[8] = {(char)('a' + i)};
    users[i] = fixture_user(fixture, name);
  }
  for (unsigned round = 0; round < 20; round++) {
    int64_t before = fixture_inside(fixture), applied = 0;
    for (unsigned i = 0; i < 200; i++)
      asks[i] =
        fixture_submit(fixture, i % 2, fixture_op(fixture, users[i % 4], LEDGER_T_GRANT, 1, NULL));
    for (unsigned i = 0; i < 200; i++) {
      enum hf_error error = fixture_outcome(fixture, asks[i]).error;
      assert_true(error == HF_OK || hf_error_info(error)->retryable);
      applied += error == HF_OK;
    }
    assert_true(applied > 0);
    assert_int_equal(fixture_inside(fixture), before + applied);
  }
  fixture_free(fixture);
}

/* ---- history --------------------------------------------------------------------------------- */

#define HISTORY 300u

static void test_balance_at_when_of_any_time_then_as_the_model_says(void **state)
{
  struct fixture *fixture = fixture_new((struct fixture_config){0});
  hf_id user = fixture_user(fixture, "a");
  struct {
    int64_t at_us;
    struct ledger_balance balance;
  } model[HISTORY] = {{0}};
  uint64_t seed = 3;
  unsigned count = 0;
  (void)state;
  for (unsigned i = 0; i < HISTORY; i++) {
    static const unsigned types[] = {LEDGER_T_GRANT, LEDGER_T_EARN, LEDGER_T_SPEND, LEDGER_T_SETTLE,
                                     LEDGER_T_BLOCK};
    struct outcome outcome =
      fixture_do(fixture, fixture_op(fixture, user, types[random_next(&seed) % 5],
                                     1 + (int64_t)(random_next(&seed) % 100), NULL));
    fixture_run(fixture, random_next(&seed) % 50000);
    if (outcome.error != HF_OK)
      continue;
    model[count].at_us = outcome.last.recorded_us;
    model[count++].balance = outcome.last.after;
  }
  int64_t from_us = model[0].at_us - 1000, span_us = model[count - 1].at_us - from_us + 1000;
  for (unsigned i = 0; i < 1000; i++) {
    struct ledger_balance expected = {0};
    int64_t at_us = from_us + (int64_t)(random_next(&seed) % (uint64_t)span_us);
    if (i % 4 == 0)
      at_us = model[random_next(&seed) % count].at_us; /* the very moment counts */
    for (unsigned j = 0; j < count && model[j].at_us <= at_us; j++)
      expected = model[j].balance;
    struct store_request *request = store_request_new(STORE_BALANCE_AT);
    request->balance_at.user = user;
    request->balance_at.at_us = at_us;
    fixture_read(fixture, request);
    assert_int_equal(request->status, STORE_OK);
    assert_int_equal(request->balance_at.count, at_us >= model[0].at_us);
    if (request->balance_at.count == 1)
      assert_memory_equal(&request->balance_at.out[0].balance, &expected, sizeof expected);
    store_request_free(request);
  }
  fixture_free(fixture);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_group_when_all_fit_then_all_and_replays_whole_and_in_part),
    cmocka_unit_test(test_group_when_one_is_refused_then_none_and_remembered),
    cmocka_unit_test(test_group_when_a_key_is_spoiled_then_none_of_the_others),
    cmocka_unit_test(test_group_when_malformed_then_none_and_nothing_is_remembered),
    cmocka_unit_test(test_group_when_large_and_the_process_dies_then_all_or_none),
    cmocka_unit_test(test_group_when_its_commit_fails_then_judged_again_as_one),
    cmocka_unit_test(test_create_when_two_loops_want_one_external_id_then_one_user),
    cmocka_unit_test(test_create_when_the_key_repeats_then_the_same_user_or_conflict),
    cmocka_unit_test(test_create_when_the_process_dies_between_the_steps_then_one_user),
    cmocka_unit_test(test_status_when_closed_and_opened_then_the_rest_of_the_row_stays),
    cmocka_unit_test(test_room_when_for_one_actor_then_the_partitions_have_theirs),
    cmocka_unit_test(test_status_when_under_way_then_what_comes_is_judged_by_it),
    cmocka_unit_test(test_status_when_its_commit_fails_then_what_came_is_judged_without_it),
    cmocka_unit_test(test_group_when_two_members_void_one_hold_then_it_is_told_resolved),
    cmocka_unit_test(test_asset_when_answered_then_known_on_every_loop),
    cmocka_unit_test(test_catalog_when_numbers_have_a_gap_then_the_read_fails_until_it_is_whole),
    cmocka_unit_test(test_catalog_when_the_database_went_back_then_it_forgets_what_is_gone),
    cmocka_unit_test(test_catalog_when_changes_never_pause_then_each_is_answered_soon),
    cmocka_unit_test(test_passivation_when_memory_is_tiny_then_balances_stay),
    cmocka_unit_test(test_room_when_short_everywhere_then_all_are_answered_and_nothing_is_lost),
    cmocka_unit_test(test_balance_at_when_of_any_time_then_as_the_model_says),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
