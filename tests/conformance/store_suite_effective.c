/* store_suite_effective.c - balances on the effective axis, held against sums over the model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/conformance/store_suite.h"
#include "tests/support/store_fixture.h"

#define ASSETS 4u
#define SECOND_US 1000000

static struct store_world *world_of(void **state)
{
  struct store_fixture *fixture = *state;

  return &fixture->world;
}

static uint64_t next(uint64_t *random)
{
  *random = *random * 6364136223846793005ull + 1442695040888963407ull;
  return *random >> 33;
}

/* A command that counts from `back_us` before now; 0: from now. */
static struct world_unit *backdated(struct store_world *world, struct world_user *user,
                                    uint8_t type, uint16_t asset, hf_amount amount, int64_t back_us)
{
  struct ledger_command command = world_command(world, type, asset, amount);

  if (back_us > 0)
    command.effective_us = world->now_us - back_us;
  return world_stage(world, user, &command);
}

static struct world_user *user_with_history(struct store_world *world, uint64_t seed,
                                            bool backdating)
{
  static const uint8_t types[] = {LEDGER_T_GRANT, LEDGER_T_EARN,          LEDGER_T_SPEND,
                                  LEDGER_T_HOLD,  LEDGER_T_QUARANTINE_IN, LEDGER_T_SETTLE,
                                  LEDGER_T_BLOCK, LEDGER_T_ADJUST};
  struct world_user *user = world_user_add(world, (uint32_t)seed % 4, NULL, NULL);
  uint64_t random = seed;

  for (unsigned i = 0; i < 300; i++) {
    uint8_t type = types[next(&random) % sizeof types];
    uint16_t asset = (uint16_t)(1 + next(&random) % ASSETS);
    bool back = backdating && next(&random) % 3 == 0;
    int64_t back_us = (int64_t)(next(&random) % (40 * SECOND_US));

    backdated(world, user, type, asset, 1 + (hf_amount)(next(&random) % 100), back ? back_us : 0);
    if (next(&random) % 5 == 0)
      world_must_commit(world);
    world->now_us += (int64_t)(next(&random) % 3 * 100000);
  }
  backdated(world, user, LEDGER_T_EARN, 1, 1, 0);
  world_must_commit(world);
  return user;
}

/* ---- the model ------------------------------------------------------------------------------- */

static void model_add(struct ledger_balance *sum, const struct ledger_entry *entry)
{
  for (unsigned side = 0; side < 2; side++) {
    unsigned account = side == 0 ? entry->from : entry->to;
    hf_amount amount = side == 0 ? -entry->amount : entry->amount;

    if (account == LEDGER_SPEND)
      sum->spent_total += amount;
    else if (account == LEDGER_ONCHAIN_PAID)
      sum->claimed_total += amount;
    else if (account < LEDGER_BUCKET_COUNT)
      sum->bucket[account] += account == LEDGER_DEBT ? -amount : amount;
  }
}

static struct store_request *ask(struct store_world *world, hf_id user, int64_t at_us,
                                 bool effective)
{
  struct store_request *request = store_request_new(STORE_BALANCE_AT);

  request->balance_at.user = user;
  request->balance_at.at_us = at_us;
  request->balance_at.effective = effective;
  world_read(world, request, STORE_OK);
  return request;
}

/* Sums every entry that is effective at the time, and finds the same. */
static void assert_effective(struct store_world *world, const struct world_user *user,
                             int64_t at_us)
{
  struct store_request *request = ask(world, user->row.id, at_us, true);
  uint64_t version = 0, versions[ASSETS + 1] = {0};
  struct ledger_balance sums[ASSETS + 1];
  bool there[ASSETS + 1] = {false};
  size_t found = 0;

  memset(sums, 0, sizeof sums);
  for (size_t i = 0; i < user->history_count; i++) {
    const struct ledger_entry *entry = user->history[i];

    if (entry->recorded_us <= at_us)
      version = versions[entry->asset] = entry->version;
    if (entry->effective_us > at_us)
      continue;
    there[entry->asset] = true;
    model_add(&sums[entry->asset], entry);
  }
  assert_true(request->balance_at.user_found);
  assert_false(request->balance_at.overflow);
  assert_int_equal(request->balance_at.version, version);
  for (uint16_t asset = 1; asset <= ASSETS; asset++) {
    const struct ledger_asset *out = &request->balance_at.out[found];

    if (!there[asset])
      continue;
    assert_true(found++ < request->balance_at.count);
    assert_int_equal(out->asset, asset);
    assert_int_equal(out->version, versions[asset]);
    assert_memory_equal(&out->balance, &sums[asset], sizeof sums[asset]);
  }
  assert_int_equal(request->balance_at.count, found);
  store_request_free(request);
}

/* ---- tests ----------------------------------------------------------------------------------- */

void test_effective_balance_when_nothing_is_backdated_then_as_recorded(void **state)
{
  struct store_world *world = world_of(state);
  const struct world_user *user = user_with_history(world, 3, false);

  for (size_t i = 0; i < user->history_count; i += 7) {
    int64_t at_us = user->history[i]->recorded_us;
    struct store_request *effective = ask(world, user->row.id, at_us, true);
    struct store_request *recorded = ask(world, user->row.id, at_us, false);

    assert_effective(world, user, at_us);
    assert_int_equal(effective->balance_at.count, recorded->balance_at.count);
    assert_memory_equal(effective->balance_at.out, recorded->balance_at.out,
                        recorded->balance_at.count * sizeof *recorded->balance_at.out);
    store_request_free(effective);
    store_request_free(recorded);
  }
}

void test_effective_balance_when_some_are_backdated_then_the_sum_of_the_effective(void **state)
{
  struct store_world *world = world_of(state);
  const struct world_user *user = user_with_history(world, 21, true);
  uint64_t random = 5, span_us = (uint64_t)(world->now_us - WORLD_START_US) + 45 * SECOND_US;
  unsigned backdated_count = 0;

  user_with_history(world, 25, true); /* another one in the same partition */
  for (unsigned i = 0; i < 500; i++)
    assert_effective(world, user,
                     WORLD_START_US - 42 * SECOND_US + (int64_t)(next(&random) % span_us));
  for (size_t i = 0; i < user->history_count; i++) {
    backdated_count += user->history[i]->effective_us < user->history[i]->recorded_us;
    assert_effective(world, user, user->history[i]->effective_us);
    assert_effective(world, user, user->history[i]->effective_us - 1);
    assert_effective(world, user, user->history[i]->recorded_us);
    assert_effective(world, user, user->history[i]->recorded_us - 1);
  }
  assert_true(backdated_count > 50);
  assert_effective(world, user, 0);
  assert_effective(world, user, INT64_MIN);
  assert_effective(world, user, INT64_MAX);
}

void test_effective_balance_when_recorded_later_then_there_before_the_first_entry(void **state)
{
  struct store_world *world = world_of(state);
  struct world_user *user = world_user_add(world, 1, NULL, NULL);
  struct store_request *request;
  int64_t day_us = (int64_t)86400 * SECOND_US;

  backdated(world, user, LEDGER_T_GRANT, 3, 70, day_us);
  backdated(world, user, LEDGER_T_GRANT, 2, 50, 2 * day_us);
  world_must_commit(world);
  request = ask(world, user->row.id, WORLD_START_US - day_us, true);
  assert_int_equal(request->balance_at.version, 0);
  assert_int_equal(request->balance_at.count, 2);
  assert_int_equal(request->balance_at.out[0].asset, 2);
  assert_int_equal(request->balance_at.out[0].version, 0);
  assert_true(request->balance_at.out[0].balance.bucket[LEDGER_CLAIMABLE] == 50);
  assert_true(request->balance_at.out[1].balance.bucket[LEDGER_CLAIMABLE] == 70);
  store_request_free(request);
  assert_effective(world, user, WORLD_START_US - day_us - 1);
  assert_effective(world, user, WORLD_START_US - 2 * day_us - 1);
  request = ask(world, user->row.id, WORLD_START_US - 1, false);
  assert_int_equal(request->balance_at.count, 0);
  store_request_free(request);
}

void test_effective_balance_when_spent_before_it_was_earned_then_negative(void **state)
{
  struct store_world *world = world_of(state);
  struct world_user *user = world_user_add(world, 2, NULL, NULL);
  struct store_request *request;

  backdated(world, user, LEDGER_T_GRANT, 1, 100, 0);
  backdated(world, user, LEDGER_T_SPEND, 1, 30, 10 * SECOND_US);
  world_must_commit(world);
  request = ask(world, user->row.id, WORLD_START_US - SECOND_US, true);
  assert_int_equal(request->balance_at.count, 1);
  assert_true(request->balance_at.out[0].balance.bucket[LEDGER_CLAIMABLE] == -30);
  assert_true(request->balance_at.out[0].balance.spent_total == 30);
  store_request_free(request);
  assert_effective(world, user, world->now_us);
}

void test_effective_balance_when_a_debt_is_netted_then_it_counts_against_the_total(void **state)
{
  struct store_world *world = world_of(state);
  struct world_user *user = world_user_add(world, 2, NULL, NULL);
  const struct world_unit *grant = backdated(world, user, LEDGER_T_GRANT, 1, 100, 0);
  struct store_request *request;

  world->now_us += SECOND_US;
  backdated(world, user, LEDGER_T_SPEND, 1, 80, 0);
  world_must_commit(world);
  world->now_us += SECOND_US;
  world_stage_reverse(world, user, world_op(grant), 100); /* 20 from what is there, 80 owed */
  world_must_commit(world);
  int64_t owed_us = world->now_us;
  world->now_us += SECOND_US;
  backdated(world, user, LEDGER_T_GRANT, 1, 50, 20 * SECOND_US); /* nets 50 of the debt */
  world_must_commit(world);
  request = ask(world, user->row.id, owed_us, true);
  assert_true(request->balance_at.out[0].balance.bucket[LEDGER_DEBT] == 30);
  store_request_free(request);
  request = ask(world, user->row.id, WORLD_START_US - SECOND_US, true);
  assert_true(request->balance_at.out[0].balance.bucket[LEDGER_DEBT] == -50);
  store_request_free(request);
  assert_effective(world, user, owed_us);
  assert_effective(world, user, world->now_us);
}

void test_effective_balance_when_a_sum_leaves_the_range_then_that_is_said(void **state)
{
  struct store_world *world = world_of(state);
  struct world_user *user = world_user_add(world, 0, NULL, NULL);
  hf_amount most = HF_AMOUNT_MAX / 4 * 3;
  struct ledger_command take = world_command(world, LEDGER_T_ADJUST, 1, 1);
  struct store_request *request;

  backdated(world, user, LEDGER_T_GRANT, 1, most, 0);
  world->now_us += SECOND_US;
  take.amount = (struct hf_decimal){.digits = -most, .scale = WORLD_SCALE};
  world_stage(world, user, &take);
  world->now_us += SECOND_US;
  backdated(world, user, LEDGER_T_GRANT, 1, most, 10 * SECOND_US);
  world_must_commit(world);
  assert_int_equal(user->history_count, 3);
  request = ask(world, user->row.id, WORLD_START_US, true);
  assert_true(request->balance_at.overflow);
  assert_int_equal(request->balance_at.count, 0);
  store_request_free(request);
  assert_effective(world, user, world->now_us);
  assert_effective(world, user, WORLD_START_US - 1);
}

void test_effective_balance_when_unknown_user_then_not_found_is_said(void **state)
{
  struct store_world *world = world_of(state);
  struct store_request *request = ask(world, hf_id_make(77, 3, world->bits), INT64_MAX, true);
  struct world_user *fresh;

  assert_false(request->balance_at.user_found);
  assert_int_equal(request->balance_at.count, 0);
  store_request_free(request);
  fresh = world_user_add(world, 0, NULL, NULL);
  world_must_commit(world);
  assert_effective(world, fresh, INT64_MAX);
}
