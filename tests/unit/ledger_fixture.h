/* ledger_fixture.h - a user under test. Every command that a test applies is checked on the way:
 * a refusal leaves the user as it was, an applied one folds into the same user from its entries
 * alone, the bytes read back as the entries, and the invariants hold. */
#ifndef HOLDFAST_TESTS_LEDGER_FIXTURE_H
#define HOLDFAST_TESTS_LEDGER_FIXTURE_H

#include "actors/ledger/ledger.h"

#define FIXTURE_BITS 4u
#define FIXTURE_USER 1000003ull
#define FIXTURE_NOW_US 1700000000000000ll
#define FIXTURE_ASSET 7u
#define FIXTURE_SCALE 8u

struct fixture {
  struct ledger_user user;   /* what commands are applied to */
  struct ledger_user folded; /* made of the entries alone */
  struct ledger_result result;
  int64_t now_us;
  uint64_t serial; /* of the newest entry */
  hf_id op;        /* the newest applied */
};

void fixture_init(struct fixture *fixture);
void fixture_deinit(struct fixture *fixture);
/* A complete command; NULL: no amount given. The amount may have a sign. */
struct ledger_command fixture_command(const struct fixture *fixture, unsigned type,
                                      const char *amount);
/* Applies, with all the checks; what the ledger said. */
enum hf_error fixture_apply(struct fixture *fixture, const struct ledger_command *command);
/* fixture_command and fixture_apply. */
enum hf_error fixture_run(struct fixture *fixture, unsigned type, const char *amount);
/* The same with a reference: the hold or block. */
enum hf_error fixture_resolve(struct fixture *fixture, unsigned type, hf_id ref,
                              const char *amount);
/* Reverses the op of `original` (its first entry), of which `reversed` is reversed already. */
enum hf_error fixture_reverse(struct fixture *fixture, const struct ledger_entry *original,
                              const char *reversed, const char *amount);
/* In base units of a scale. */
hf_amount fixture_units(const char *text, unsigned scale);
/* Of FIXTURE_ASSET. */
hf_amount fixture_bucket(const struct fixture *fixture, unsigned bucket);
bool fixture_same_user(const struct ledger_user *a, const struct ledger_user *b);
bool fixture_same_entry(const struct ledger_entry *a, const struct ledger_entry *b);

/* Asserts a bucket of FIXTURE_ASSET. */
#define assert_bucket(fixture, bucket, text)                                                       \
  assert_true(fixture_bucket(fixture, bucket) == fixture_units(text, FIXTURE_SCALE))
/* Asserts entry i of the newest op. */
#define assert_entry(fixture, i, from_account, to_account, text)                                   \
  do {                                                                                             \
    const struct ledger_entry *entry_ = &(fixture)->result.entries[i];                             \
    assert_int_equal(entry_->from, from_account);                                                  \
    assert_int_equal(entry_->to, to_account);                                                      \
    assert_true(entry_->amount == fixture_units(text, FIXTURE_SCALE));                             \
  } while (0)

#endif
