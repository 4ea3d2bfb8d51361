/* Thousands of users awake on one loop: batches of messages are then looked up ahead of their
 * delivery, also while users leave memory between the two. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/sim/actor_fixture.h"

#define USERS 5000u
#define ROUNDS 3u
#define GRANT 7

static hf_id users[USERS];
static struct fixture_ask *asks[USERS];

static void make_users(struct fixture *fixture)
{
  for (unsigned i = 0; i < USERS; i++) {
    char name[32];
    (void)snprintf(name, sizeof name, "user-%u", i);
    asks[i] = fixture_send_create(fixture, 0, fixture_create(name, NULL));
  }
  for (unsigned i = 0; i < USERS; i++) {
    struct hf_create *create = fixture_take(fixture, asks[i]);
    assert_int_equal(create->error, HF_OK);
    users[i] = create->user;
    rt_free(create);
  }
}

/* One grant to each at once; what is refused for want of room is asked again. */
static void grant_all(struct fixture *fixture, unsigned round)
{
  static bool done[USERS];
  unsigned left = USERS;
  for (unsigned i = 0; i < USERS; i++)
    done[i] = false;
  for (unsigned attempt = 0; left > 0; attempt++) {
    assert_true(attempt < 50);
    for (unsigned i = 0; i < USERS; i++) {
      char key[32];
      (void)snprintf(key, sizeof key, "grant-%u", round);
      if (!done[i])
        asks[i] =
          fixture_submit(fixture, 0, fixture_op(fixture, users[i], LEDGER_T_GRANT, GRANT, key));
    }
    for (unsigned i = 0; i < USERS; i++) {
      if (done[i])
        continue;
      enum hf_error error = fixture_outcome(fixture, asks[i]).error;
      assert_true(error == HF_OK || hf_error_info(error)->retryable);
      done[i] = error == HF_OK;
      left -= done[i];
    }
  }
}

static void run(struct fixture_config config)
{
  struct fixture *fixture = fixture_new(config);
  make_users(fixture);
  for (unsigned round = 0; round < ROUNDS; round++)
    grant_all(fixture, round);
  assert_int_equal(fixture_count(fixture, LEDGER_T_GRANT), USERS * ROUNDS);
  assert_int_equal(fixture_inside(fixture), USERS * ROUNDS * GRANT);
  for (unsigned i = 0; i < USERS; i += 499)
    assert_true(fixture_balance(fixture, users[i]).bucket[LEDGER_CLAIMABLE] == ROUNDS * GRANT);
  fixture_free(fixture);
}

static void test_ops_when_thousands_of_users_are_awake_then_each_gets_its_own(void **state)
{
  (void)state;
  run((struct fixture_config){.loops = 1});
}

static void test_ops_when_users_leave_memory_meanwhile_then_each_gets_its_own(void **state)
{
  (void)state;
  run((struct fixture_config){.loops = 1, .live_actors_max = 4400});
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_ops_when_thousands_of_users_are_awake_then_each_gets_its_own),
    cmocka_unit_test(test_ops_when_users_leave_memory_meanwhile_then_each_gets_its_own),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
