/* session.c - see session.h. */
#include "tests/torture/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "actors/catalog/catalog.h"

#define ATTEMPTS_MAX 12u
#define PAUSE_US 6000000u /* more than the longest backoff of a store actor */
#define NO_REF 255u
#define CROWD 8u

enum { A, B, C }; /* the users */

struct step {
  uint8_t user, type;
  int64_t amount;
  uint8_t ref;   /* a step, or NO_REF */
  uint8_t payee; /* of a transfer */
  bool part;     /* a capture that leaves the rest */
  enum hf_error error;
};

#define OP(user, type, amount)                                                                     \
  {                                                                                                \
    user, LEDGER_T_##type, amount, NO_REF, 0, false, HF_OK                                         \
  }
#define REF(user, type, ref, amount)                                                               \
  {                                                                                                \
    user, LEDGER_T_##type, amount, ref, 0, false, HF_OK                                            \
  }

static const struct step steps[] = {
  /*  0 */ OP(A, EARN, 500),
  /*  1 */ OP(A, SETTLE, 400),
  /*  2 */ OP(A, MATURE, 300),
  /*  3 */ OP(A, GRANT, 1000),
  /*  4 */ OP(B, DEPOSIT, 250),
  /*  5 */ OP(A, SPEND, 100),
  /*  6 */ {A, LEDGER_T_SPEND, 100000, NO_REF, 0, false, HF_E_INSUFFICIENT_FUNDS},
  /*  7 */ OP(A, HOLD, 200),
  /*  8 */ OP(A, HOLD, 100),
  /*  9 */ {A, LEDGER_T_CAPTURE, 50, 7, 0, true, HF_OK},
  /* 10 */ REF(A, CAPTURE, 7, 70),
  /* 11 */ REF(A, VOID, 8, 0),
  /* 12 */ {A, LEDGER_T_VOID, 0, 8, 0, false, HF_E_HOLD_RESOLVED},
  /* 13 */ OP(A, BLOCK, 120),
  /* 14 */ REF(A, UNBLOCK, 13, 20),
  /* 15 */ {A, LEDGER_T_TRANSFER, 300, NO_REF, B, false, HF_OK},
  /* 16 */ {B, LEDGER_T_TRANSFER, 50, NO_REF, A, false, HF_OK},
  /* 17 */ {B, LEDGER_T_TRANSFER, 99999, NO_REF, A, false, HF_E_INSUFFICIENT_FUNDS},
  /* 18 */ REF(A, REVERSE, 3, 400),
  /* 19 */ REF(A, REVERSE, 3, 600),
  /* 20 */ {A, LEDGER_T_REVERSE, 1, 3, 0, false, HF_E_ALREADY_REVERSED},
  /* 21 */ OP(C, ADJUST, 25),
  /* 22 */ OP(C, QUARANTINE_IN, 60),
  /* 23 */ OP(C, RELEASE, 30),
  /* 24 */ {C, LEDGER_T_TRANSFER, 5, NO_REF, A, false, HF_OK},
};
#define STEPS (sizeof steps / sizeof steps[0])

_Static_assert(STEPS + CROWD < SESSION_STEPS_MAX, "the crowd comes behind the steps");

static bool again(enum hf_error error)
{
  /* A read that found the impossible is a 500, and may be asked again when the disk is well. */
  return error == HF_E_INTERNAL || hf_error_info(error)->retryable;
}

/* Counts the repeat, waits as a client does. */
static void pause_before(struct session *session, unsigned attempt)
{
  assert_true(attempt < ATTEMPTS_MAX);
  session->repeats++;
  fixture_run(session->fixture, PAUSE_US);
}

/* ---- users, assets, keys --------------------------------------------------------------------- */

static hf_id make_user(struct session *session, const char *prefix, unsigned number)
{
  struct fixture *fixture = session->fixture;
  char name[64], key[64];
  (void)snprintf(name, sizeof name, "%s-user-%u", prefix, number);
  (void)snprintf(key, sizeof key, "%s-create-%u", prefix, number);
  for (unsigned attempt = 0;; attempt++) {
    struct hf_create *create =
      fixture_take(fixture, fixture_send_create(fixture, number % fixture->config.loops,
                                                fixture_create(name, key)));
    enum hf_error error = create->error;
    hf_id user = create->user;
    rt_free(create);
    if (error == HF_OK)
      return user;
    assert_true(again(error));
    pause_before(session, attempt);
  }
}

static void make_asset(struct session *session, const char *code)
{
  for (unsigned attempt = 0;; attempt++) {
    enum hf_error error = fixture_asset(session->fixture, code);
    if (error == HF_OK)
      return;
    assert_true(again(error));
    pause_before(session, attempt);
  }
}

/* A key is there after a doubt, too: asking again may meet the one that was made. */
static void change_key(struct session *session, const char *id, unsigned kind)
{
  struct fixture *fixture = session->fixture;
  bool doubt = false;
  for (unsigned attempt = 0;; attempt++) {
    struct hf_catalog_change *change = rt_alloc(sizeof *change);
    change->kind = (uint8_t)kind;
    change->key.scopes = HF_SCOPE_ADMIN;
    (void)snprintf(change->key.id, sizeof change->key.id, "%s", id);
    change = fixture_take(
      fixture, fixture_send(fixture, 0, catalog_home(fixture->loops[0]), HF_ASSET, change));
    enum hf_error error = change->error;
    rt_free(change);
    if (error == HF_OK || (doubt && error == HF_E_KEY_CONFLICT))
      break;
    assert_true(again(error));
    doubt = true;
    pause_before(session, attempt);
  }
  for (unsigned i = 0; i < fixture->config.loops; i++) {
    const struct catalog *catalog = catalog_of(fixture->loops[i]);
    const struct store_key_row *row = catalog_key(catalog, id, strlen(id));
    assert_non_null(row);
    assert_int_equal(row->revoked_us != 0, kind == CATALOG_REVOKE_KEY);
  }
}

static void close_user(struct session *session, hf_id user)
{
  for (unsigned attempt = 0;; attempt++) {
    enum hf_error error = fixture_status(session->fixture, user, LEDGER_CLOSED);
    if (error == HF_OK)
      return;
    assert_true(again(error));
    pause_before(session, attempt);
  }
}

/* ---- ops ------------------------------------------------------------------------------------- */

static struct hf_op *make_op(struct session *session, const char *prefix, unsigned number)
{
  const struct step *step = &steps[number];
  struct fixture *fixture = session->fixture;
  hf_id user = session->users[step->user];
  char key[64];
  (void)snprintf(key, sizeof key, "%s-step-%u", prefix, number);
  if (step->ref != NO_REF) {
    hf_id ref = session->outcomes[step->ref].op;
    struct hf_op *op = fixture_op_ref(fixture, user, step->type, ref, step->amount, key);
    op->command.final = !step->part;
    return op;
  }
  if (step->type == LEDGER_T_TRANSFER)
    return fixture_op_transfer(fixture, user, session->users[step->payee], step->amount, key);
  return fixture_op(fixture, user, step->type, step->amount, key);
}

static struct outcome insist(struct session *session, const char *prefix, unsigned number)
{
  for (unsigned attempt = 0;; attempt++) {
    unsigned loop = (number + attempt) % session->fixture->config.loops;
    struct outcome outcome = fixture_outcome(
      session->fixture, fixture_submit(session->fixture, loop, make_op(session, prefix, number)));
    if (!again(outcome.error))
      return outcome;
    pause_before(session, attempt);
  }
}

/* A hold that nobody resolves: the sweep lets go of it. */
static void run_expiry(struct session *session, const char *prefix)
{
  struct fixture *fixture = session->fixture;
  char key[64];
  (void)snprintf(key, sizeof key, "%s-expiring", prefix);
  for (unsigned attempt = 0;; attempt++) {
    struct hf_op *op = fixture_op(fixture, session->users[B], LEDGER_T_HOLD, 30, key);
    op->command.timeout_s = 1;
    enum hf_error error = fixture_do(fixture, op).error;
    if (error == HF_OK)
      break;
    assert_true(again(error));
    pause_before(session, attempt);
  }
  for (unsigned attempt = 0; fixture_count(fixture, LEDGER_T_EXPIRE) == 0; attempt++) {
    assert_true(attempt < ATTEMPTS_MAX);
    fixture_run(fixture, PAUSE_US);
  }
}

/* Many at once on one user, so that they share commits and stand on one another. */
static void run_crowd(struct session *session, const char *prefix)
{
  struct fixture *fixture = session->fixture;
  bool done[CROWD] = {false};
  unsigned left = CROWD;
  for (unsigned attempt = 0; left > 0; attempt++) {
    struct fixture_ask *asks[CROWD];
    for (unsigned i = 0; i < CROWD; i++) {
      char key[64];
      (void)snprintf(key, sizeof key, "%s-crowd-%u", prefix, i);
      hf_id user = session->users[i % 2 == 0 ? B : C];
      asks[i] = fixture_submit(
        fixture, i % fixture->config.loops,
        fixture_op(fixture, user, i % 4 < 2 ? LEDGER_T_GRANT : LEDGER_T_SPEND, 10, key));
    }
    for (unsigned i = 0; i < CROWD; i++) {
      struct outcome outcome = fixture_outcome(fixture, asks[i]);
      assert_true(outcome.error == HF_OK || again(outcome.error));
      if (outcome.error != HF_OK)
        continue;
      if (done[i]) { /* told before: the same again */
        assert_true(outcome.replayed);
        assert_int_equal(outcome.op, session->outcomes[STEPS + i].op);
      }
      left -= !done[i];
      done[i] = true;
      session->outcomes[STEPS + i] = outcome;
    }
    if (left > 0)
      pause_before(session, attempt);
  }
}

/* Three ops, all or none; the last one is `last`. */
static void run_group(struct session *session, const char *name, int64_t last, enum hf_error first)
{
  static const unsigned types[] = {LEDGER_T_GRANT, LEDGER_T_HOLD, LEDGER_T_SPEND};
  struct fixture *fixture = session->fixture;
  struct outcome outcomes[3];
  for (unsigned attempt = 0;; attempt++) {
    struct hf_op *head = NULL, **end = &head;
    for (unsigned i = 0; i < 3; i++) {
      char key[80];
      (void)snprintf(key, sizeof key, "%s-%u", name, i);
      *end = fixture_op(fixture, session->users[B], types[i], i == 2 ? last : 15, key);
      end = &(*end)->group_next;
    }
    fixture_outcomes(fixture, fixture_submit(fixture, 0, head), outcomes, 3);
    if (!again(outcomes[0].error) && !again(outcomes[2].error))
      break;
    pause_before(session, attempt);
  }
  assert_int_equal(outcomes[0].error, first);
  assert_int_equal(outcomes[1].error, first);
  assert_int_equal(outcomes[2].error, first == HF_OK ? HF_OK : HF_E_INSUFFICIENT_FUNDS);
}

void session_run(struct session *session, struct fixture *fixture, const char *prefix)
{
  char name[64];
  *session = (struct session){.fixture = fixture};
  for (unsigned i = 0; i < SESSION_USERS; i++)
    session->users[i] = make_user(session, prefix, i);
  make_asset(session, "SILVER");
  change_key(session, "front01", CATALOG_ADD_KEY);
  for (unsigned i = 0; i < STEPS; i++) {
    session->outcomes[i] = insist(session, prefix, i);
    assert_int_equal(session->outcomes[i].error, steps[i].error);
  }
  run_expiry(session, prefix);
  run_crowd(session, prefix);
  (void)snprintf(name, sizeof name, "%s-group", prefix);
  run_group(session, name, 5, HF_OK);
  (void)snprintf(name, sizeof name, "%s-broken", prefix);
  run_group(session, name, 1000000, HF_E_BATCH_ABORTED);
  change_key(session, "front01", CATALOG_REVOKE_KEY);
  close_user(session, session->users[C]);
}

void session_repeat(struct session *session, const char *prefix)
{
  for (unsigned i = 0; i < STEPS; i++) {
    struct outcome outcome = insist(session, prefix, i);
    assert_int_equal(outcome.error, steps[i].error);
    assert_true(outcome.replayed);
    assert_int_equal(outcome.op, session->outcomes[i].op);
    assert_int_equal(outcome.entries, session->outcomes[i].entries);
  }
}

/* ---- what is left ---------------------------------------------------------------------------- */

/* A reader is refused like everybody else when there is no room. */
static struct ledger_balance balance_of(struct session *session, hf_id user)
{
  struct fixture *fixture = session->fixture;
  const rt_id actor = hf_user_actor(user, fixture->config.partition_bits);
  struct ledger_balance balance = {0};
  for (unsigned attempt = 0;; attempt++) {
    struct hf_view *view = hf_view_new();
    view->user = user;
    struct fixture_ask *ask = fixture_send(fixture, 0, actor, HF_BALANCES, view);
    view = fixture_take(fixture, ask);
    const bool read = ask->reply == HF_BALANCES_DONE && view->error == HF_OK;
    for (unsigned i = 0; read && i < view->assets_count; i++)
      if (view->assets[i].asset == 1)
        balance = view->assets[i].balance;
    hf_view_free(view);
    if (read)
      return balance;
    pause_before(session, attempt);
  }
}

struct session_result session_look(struct session *session)
{
  struct session_result result = {0};
  fixture_run(session->fixture, PAUSE_US); /* what was told unknown may still come */
  for (unsigned i = 0; i < SESSION_USERS; i++)
    result.balances[i] = balance_of(session, session->users[i]);
  for (unsigned i = 0; i < LEDGER_ACCOUNT_COUNT; i++)
    result.accounts[i] = fixture_account(session->fixture, i);
  for (unsigned i = 0; i < LEDGER_TYPE_COUNT; i++)
    result.types[i] = fixture_count(session->fixture, i);
  int64_t sum = 0;
  for (unsigned i = 0; i < LEDGER_ACCOUNT_COUNT; i++)
    sum += result.accounts[i];
  assert_int_equal(sum, 0);
  assert_int_equal(result.accounts[LEDGER_TRANSIT], 0);
  for (unsigned bucket = 0; bucket < LEDGER_BUCKET_COUNT; bucket++) {
    hf_amount inside = 0; /* what is owed is counted on the other side */
    for (unsigned i = 0; i < SESSION_USERS; i++)
      inside += result.balances[i].bucket[bucket];
    assert_true(inside ==
                (bucket == LEDGER_DEBT ? -result.accounts[bucket] : result.accounts[bucket]));
  }
  return result;
}

void session_compare(const struct session_result *result, const struct session_result *expected)
{
  for (unsigned i = 0; i < SESSION_USERS; i++) {
    const struct ledger_balance *is = &result->balances[i], *should = &expected->balances[i];
    for (unsigned bucket = 0; bucket < LEDGER_BUCKET_COUNT; bucket++)
      assert_true(is->bucket[bucket] == should->bucket[bucket]);
    assert_true(is->spent_total == should->spent_total);
    assert_true(is->claimed_total == should->claimed_total);
  }
  for (unsigned i = 0; i < LEDGER_ACCOUNT_COUNT; i++)
    assert_int_equal(result->accounts[i], expected->accounts[i]);
  for (unsigned i = 0; i < LEDGER_TYPE_COUNT; i++)
    assert_int_equal(result->types[i], expected->types[i]);
}

struct session_result session_reference(void)
{
  struct fixture *fixture = fixture_new(SESSION_CONFIG(1));
  struct session session;
  session_run(&session, fixture, "t");
  assert_int_equal(session.repeats, 0);
  struct session_result result = session_look(&session);
  fixture_free(fixture);
  return result;
}
