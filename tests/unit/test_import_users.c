/* Which rows may be under way side by side: by cases, and by a random run against a ledger of its
 * own that loses rows and gives them back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/import_users.h"

static struct import_users users;
static uint64_t numbers, versions;

static int setup(void **state)
{
  (void)state;
  users = (struct import_users){0};
  numbers = versions = 0;
  return 0;
}

static int teardown(void **state)
{
  (void)state;
  import_users_free(&users);
  return 0;
}

static struct import_row *row_new(unsigned type, const char *user, const char *to, int64_t amount)
{
  size_t size = strlen(user) + 1u, to_size = to == NULL ? 0 : strlen(to) + 1u;
  struct import_row *row = rt_alloc(sizeof *row + size + to_size);
  char *at = (char *)(row + 1);
  row->user = memcpy(at, user, size);
  if (to != NULL)
    row->to_user = memcpy(at + size, to, to_size);
  row->type = (uint8_t)type;
  row->amount = amount;
  row->credit = type == LEDGER_T_DEPOSIT;
  row->number = ++numbers;
  import_users_add(&users, row);
  return row;
}

static struct import_row *deposit(const char *user, int64_t amount)
{
  return row_new(LEDGER_T_DEPOSIT, user, NULL, amount);
}

static struct import_row *spend(const char *user, int64_t amount)
{
  return row_new(LEDGER_T_SPEND, user, NULL, amount);
}

static struct import_row *transfer(const char *user, const char *to, int64_t amount)
{
  return row_new(LEDGER_T_TRANSFER, user, to, amount);
}

static void know_all(void)
{
  for (struct import_user *user = users.all; user != NULL; user = user->hh.next) {
    user->state = IMPORT_USER_KNOWN;
    user->id = 1;
    import_users_found(&users, user);
  }
}

static bool starts(struct import_row *row)
{
  if (import_users_startable(row->payer) != row)
    return false;
  import_users_started(&users, row);
  return true;
}

/* The row is done and its user has `left` to spend. */
static void done(struct import_row *row, int64_t left)
{
  import_users_applied(row, ++versions, left);
  import_users_done(&users, row);
}

static void test_rows_when_the_user_is_not_known_then_they_wait(void **state)
{
  (void)state;
  struct import_row *row = transfer("a", "b", 1);
  assert_false(starts(row));
  row->payer->state = IMPORT_USER_KNOWN;
  assert_false(starts(row)); /* the payee is not */
  row->payee->state = IMPORT_USER_KNOWN;
  assert_true(starts(row));
  done(row, 0);
}

static void test_rows_when_a_user_is_new_then_the_first_goes_alone(void **state)
{
  (void)state;
  struct import_row *first = deposit("a", 5), *second = deposit("a", 5), *third = deposit("a", 5);
  know_all();
  assert_true(starts(first));
  assert_false(starts(second));
  done(first, 5);
  assert_true(starts(second));
  assert_true(starts(third)); /* credits need nothing */
  done(second, 10);
  done(third, 15);
}

static void test_debit_when_funds_are_sure_then_beside_others_else_alone(void **state)
{
  (void)state;
  struct import_row *first = deposit("a", 10);
  struct import_row *six = spend("a", 6), *four = spend("a", 4), *one = spend("a", 1);
  know_all();
  assert_true(starts(first));
  assert_false(starts(six));
  done(first, 10);
  assert_true(starts(six));
  assert_true(starts(four));
  assert_false(starts(one)); /* the ledger will refuse it: but on the balance that it comes after */
  done(six, 4);
  assert_false(starts(one));
  done(four, 0);
  assert_true(starts(one));
  import_users_done(&users, one);
}

static void test_debit_when_an_earlier_row_brings_funds_then_it_waits_for_it(void **state)
{
  (void)state;
  struct import_row *warm_b = deposit("b", 1), *warm_a = deposit("a", 9);
  struct import_row *early = spend("b", 1);
  struct import_row *brings = transfer("a", "b", 9);
  struct import_row *credit = deposit("b", 2);
  struct import_row *needs = spend("b", 9);
  struct import_row *later = transfer("a", "b", 1);
  know_all();
  assert_true(starts(warm_b));
  assert_true(starts(warm_a));
  done(warm_b, 1);
  done(warm_a, 9);
  assert_true(starts(early)); /* older than what the other brings */
  done(early, 0);
  assert_true(starts(brings));
  assert_true(starts(credit)); /* needs nothing */
  done(credit, 2);
  assert_false(starts(needs));
  done(brings, 0);
  assert_false(starts(later)); /* not before the end of what may need it */
  assert_true(starts(needs));
  assert_false(starts(later));
  done(needs, 2);
  assert_true(starts(later));
  done(later, 0);
}

static void test_transfer_when_an_earlier_row_of_the_payee_may_fail_then_it_waits(void **state)
{
  (void)state;
  struct import_row *warm = deposit("a", 9), *fails = spend("b", 1);
  struct import_row *late = transfer("a", "b", 9);
  know_all();
  assert_true(starts(warm));
  done(warm, 9);
  assert_false(starts(late)); /* b was to have nothing when it spends */
  assert_true(starts(fails));
  assert_false(starts(late));
  import_users_done(&users, fails);
  assert_true(starts(late));
  done(late, 0);
}

static void test_rows_when_one_comes_back_then_all_rest_and_go_again_in_order(void **state)
{
  (void)state;
  struct import_row *rows[5];
  rows[0] = deposit("a", 100);
  know_all();
  for (size_t i = 1; i < 5; i++)
    rows[i] = spend("a", 1);
  struct import_user *user = rows[0]->payer;
  assert_true(starts(rows[0]));
  done(rows[0], 100);
  assert_true(starts(rows[1]) && starts(rows[2]) && starts(rows[3]));
  import_users_back(rows[3]);
  assert_true(user->halted);
  assert_false(starts(rows[4]));
  import_users_back(rows[1]);
  assert_int_equal(user->in_flight, 1);
  done(rows[2], 99);
  assert_int_equal(user->in_flight, 0);
  import_users_resume(&users, user);
  assert_true(starts(rows[1]));
  assert_true(rows[1]->came_back);
  assert_true(starts(rows[3]));
  assert_true(starts(rows[4]));
  assert_int_equal(user->answered, 3);
  done(rows[1], 98);
  done(rows[3], 97);
  done(rows[4], 96);
  assert_true(user->debits == 0);
}

static void test_transfer_when_to_oneself_then_it_waits_for_nothing(void **state)
{
  (void)state;
  struct import_row *row = transfer("a", "a", 1);
  know_all();
  assert_true(starts(row));
  import_users_done(&users, row);
  assert_int_equal(HASH_COUNT(users.all), 1);
}

static void test_rows_when_a_user_failed_then_they_may_go_to_their_end(void **state)
{
  (void)state;
  struct import_row *row = transfer("a", "b", 1), *next = spend("b", 1);
  know_all();
  row->payee->state = IMPORT_USER_FAILED;
  assert_ptr_equal(import_users_startable(row->payer), row);
  import_users_done(&users, row); /* never started */
  assert_ptr_equal(import_users_startable(next->payer), next);
  import_users_done(&users, next);
}

/* ---- a random run ---------------------------------------------------------------------------- */

#define PEOPLE 6u
#define ROWS 400u

static uint64_t seed_state;

static uint64_t draw(uint64_t below)
{
  seed_state ^= seed_state << 13;
  seed_state ^= seed_state >> 7;
  seed_state ^= seed_state << 17;
  return seed_state % below;
}

struct plan { /* of a row: what it is, and whether the file's order lets it succeed */
  unsigned type, user, to;
  int64_t amount;
  bool refused;
  bool judged;
  uint64_t version; /* of the user, and ... */
  int64_t left;     /* ... its balance, after it was judged */
};

static struct plan plans[ROWS + 1];
static int64_t balances[PEOPLE];

/* True: refused. Else the balances are what they are after it. */
static bool settle(const struct plan *plan, int64_t have[PEOPLE])
{
  bool debit = plan->type != LEDGER_T_DEPOSIT;
  bool self = plan->type == LEDGER_T_TRANSFER && plan->to == plan->user;
  if (self || (debit && have[plan->user] < plan->amount))
    return true;
  have[plan->user] += debit ? -plan->amount : plan->amount;
  if (plan->type == LEDGER_T_TRANSFER)
    have[plan->to] += plan->amount;
  return false;
}

/* Draws rows and settles each in the file's order. */
static void plan_all(void)
{
  int64_t have[PEOPLE] = {0};
  for (unsigned i = 1; i <= ROWS; i++) {
    struct plan *plan = &plans[i];
    unsigned kind = (unsigned)draw(10);
    *plan = (struct plan){.type = kind < 2   ? LEDGER_T_DEPOSIT
                                  : kind < 5 ? LEDGER_T_SPEND
                                             : LEDGER_T_TRANSFER,
                          .user = (unsigned)draw(PEOPLE),
                          .to = (unsigned)draw(PEOPLE),
                          .amount = 1 + (int64_t)draw(20)};
    plan->refused = settle(plan, have);
  }
}

struct flight {
  struct import_row *rows[ROWS];
  unsigned count;
};

static void feed(unsigned *fed)
{
  for (unsigned i = (unsigned)draw(4); i > 0 && *fed < ROWS; i--) {
    const struct plan *plan = &plans[++*fed];
    char name[2][2] = {{(char)('a' + (int)plan->user)}, {(char)('a' + (int)plan->to)}};
    (void)row_new(plan->type, name[0], plan->type == LEDGER_T_TRANSFER ? name[1] : NULL,
                  plan->amount);
    know_all();
  }
}

static void start_all(struct flight *flight)
{
  struct import_user *user;
  while ((user = import_users_take_ready(&users)) != NULL) {
    struct import_row *row;
    while ((row = import_users_startable(user)) != NULL) {
      import_users_started(&users, row);
      flight->rows[flight->count++] = row;
    }
  }
}

/* The store judges the user's oldest row that was not: as planned, whatever else is under way. */
static void judge(struct import_row *row)
{
  struct plan *plan = &plans[row->number];
  bool refused = settle(plan, balances);
  if (refused != plan->refused)
    fail_msg("row %u ends otherwise than in the file's order", (unsigned)row->number);
  plan->judged = true;
  plan->version = ++versions;
  plan->left = balances[plan->user];
}

/* One thing happens to a row under way: it is judged, or lost, or told. True: it ended. */
static bool happen(struct flight *flight)
{
  unsigned at = (unsigned)draw(flight->count);
  for (unsigned i = 0; !plans[flight->rows[at]->number].judged && i < flight->count; i++)
    if (flight->rows[i]->payer == flight->rows[at]->payer &&
        !plans[flight->rows[i]->number].judged &&
        flight->rows[i]->number < flight->rows[at]->number)
      at = i;
  struct import_row *row = flight->rows[at];
  struct import_user *user = row->payer;
  struct plan *plan = &plans[row->number];
  bool ends = plan->judged;
  if (!plan->judged && draw(4) != 0) {
    judge(row);
    return false;
  }
  flight->rows[at] = flight->rows[--flight->count];
  if (!ends) {
    import_users_back(row);
  } else {
    if (!plan->refused)
      import_users_applied(row, plan->version, plan->left);
    import_users_done(&users, row);
  }
  if (user->halted && user->in_flight == 0)
    import_users_resume(&users, user);
  return ends;
}

static void random_run(uint64_t seed)
{
  struct flight flight = {.count = 0};
  unsigned fed = 0, ended = 0, most = 0;
  seed_state = seed;
  numbers = versions = 0;
  memset(balances, 0, sizeof balances);
  plan_all();
  while (ended < ROWS) {
    feed(&fed);
    start_all(&flight);
    most = flight.count > most ? flight.count : most;
    if (flight.count > 0)
      ended += happen(&flight);
    else
      assert_true(fed < ROWS); /* else nothing will ever happen again */
  }
  assert_true(most > 1);
  import_users_free(&users);
}

static void test_order_when_rows_are_lost_then_each_ends_as_in_the_files_order(void **state)
{
  const char *given = getenv("HF_SEED");
  uint64_t first = given == NULL ? 1 : strtoull(given, NULL, 10);
  (void)state;
  for (uint64_t seed = first; seed < first + 300u; seed++) {
    if (getenv("HF_VERBOSE") != NULL)
      print_message("seed %llu\n", (unsigned long long)seed);
    random_run(seed * 0x9e3779b97f4a7c15ull);
  }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
  const struct CMUnitTest tests[] = {
    TEST(test_transfer_when_an_earlier_row_of_the_payee_may_fail_then_it_waits),
    TEST(test_rows_when_the_user_is_not_known_then_they_wait),
    TEST(test_rows_when_a_user_is_new_then_the_first_goes_alone),
    TEST(test_debit_when_funds_are_sure_then_beside_others_else_alone),
    TEST(test_debit_when_an_earlier_row_brings_funds_then_it_waits_for_it),
    TEST(test_rows_when_one_comes_back_then_all_rest_and_go_again_in_order),
    TEST(test_transfer_when_to_oneself_then_it_waits_for_nothing),
    TEST(test_rows_when_a_user_failed_then_they_may_go_to_their_end),
    TEST(test_order_when_rows_are_lost_then_each_ends_as_in_the_files_order),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
