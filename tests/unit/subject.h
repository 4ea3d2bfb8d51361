/* subject.h - a user under test. Every command that a test applies is checked on the way:
 * a refusal leaves the user as it was, an applied one folds into the same user from its entries
 * alone, the bytes read back as the entries, and the invariants hold. */
#ifndef HOLDFAST_TESTS_SUBJECT_H
#define HOLDFAST_TESTS_SUBJECT_H

#include "actors/ledger/ledger.h"

#define SUBJECT_BITS 4u
#define SUBJECT_USER 1000003ull
#define SUBJECT_NOW_US 1700000000000000ll
#define SUBJECT_ASSET 7u
#define SUBJECT_SCALE 8u

struct subject {
  struct ledger_user user;   /* what commands are applied to */
  struct ledger_user folded; /* made of the entries alone */
  struct ledger_result result;
  int64_t now_us;
  uint64_t serial; /* of the newest entry */
  hf_id op;        /* the newest applied */
};

void subject_init(struct subject *subject);
void subject_deinit(struct subject *subject);
/* A complete command; NULL: no amount given. The amount may have a sign. */
struct ledger_command subject_command(const struct subject *subject, unsigned type,
                                      const char *amount);
/* Applies, with all the checks; what the ledger said. */
enum hf_error subject_apply(struct subject *subject, const struct ledger_command *command);
/* subject_command and subject_apply. */
enum hf_error subject_run(struct subject *subject, unsigned type, const char *amount);
/* The same with a reference: the hold or block. */
enum hf_error subject_resolve(struct subject *subject, unsigned type, hf_id ref,
                              const char *amount);
/* Reverses the op of `original` (its first entry), of which `reversed` is reversed already. */
enum hf_error subject_reverse(struct subject *subject, const struct ledger_entry *original,
                              const char *reversed, const char *amount);
/* In base units of a scale. */
hf_amount subject_units(const char *text, unsigned scale);
/* Of SUBJECT_ASSET. */
hf_amount subject_bucket(const struct subject *subject, unsigned bucket);
bool subject_same_user(const struct ledger_user *a, const struct ledger_user *b);
bool subject_same_entry(const struct ledger_entry *a, const struct ledger_entry *b);

/* Asserts a bucket of SUBJECT_ASSET. */
#define assert_bucket(subject, bucket, text)                                                       \
  assert_true(subject_bucket(subject, bucket) == subject_units(text, SUBJECT_SCALE))
/* Asserts entry i of the newest op. */
#define assert_entry(subject, i, from_account, to_account, text)                                   \
  do {                                                                                             \
    const struct ledger_entry *entry_ = &(subject)->result.entries[i];                             \
    assert_int_equal(entry_->from, from_account);                                                  \
    assert_int_equal(entry_->to, to_account);                                                      \
    assert_true(entry_->amount == subject_units(text, SUBJECT_SCALE));                             \
  } while (0)

#endif
