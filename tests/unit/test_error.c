/* test_error.c - the error table is complete and unambiguous. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "holdfast/error.h"

static void test_info_when_any_error_is_complete(void **state)
{
  (void)state;
  for (unsigned i = 0; i < (unsigned)HF_ERROR_COUNT; i++) {
    const struct hf_error_info *info = hf_error_info((enum hf_error)i);
    assert_non_null(info->code);
    assert_non_null(info->title);
    assert_true(strlen(info->title) > 1);
    assert_int_equal(strspn(info->code, "abcdefghijklmnopqrstuvwxyz0123456789_"),
                     strlen(info->code));
    assert_true(i == HF_OK ? info->status == 200 : info->status >= 400 && info->status < 600);
    if (info->retryable)
      assert_true(info->status == 408 || info->status == 409 || info->status == 429 ||
                  info->status == 503);
  }
}

static void test_by_code_when_known_finds_the_error_itself(void **state)
{
  (void)state;
  for (unsigned i = 1; i < (unsigned)HF_ERROR_COUNT; i++)
    assert_int_equal(hf_error_by_code(hf_error_info((enum hf_error)i)->code), i);
}

static void test_by_code_when_unknown_is_ok(void **state)
{
  (void)state;
  assert_int_equal(hf_error_by_code("no_such_code"), HF_OK);
  assert_int_equal(hf_error_by_code(""), HF_OK);
  assert_int_equal(hf_error_by_code("Insufficient_Funds"), HF_OK);
  assert_int_equal(hf_error_by_code("ok"), HF_OK);
}

static void test_info_when_fixed_by_the_api_has_that_status(void **state)
{
  (void)state;
  static const struct {
    enum hf_error error;
    const char *code;
    unsigned status;
  } cases[] = {
    {HF_OK, "ok", 200},
    {HF_E_INVALID_AMOUNT, "invalid_amount", 400},
    {HF_E_INVALID_ID, "invalid_id", 400},
    {HF_E_INVALID_CURSOR, "invalid_cursor", 400},
    {HF_E_USER_NOT_FOUND, "user_not_found", 404},
    {HF_E_INSUFFICIENT_FUNDS, "insufficient_funds", 409},
    {HF_E_HOLD_RESOLVED, "hold_resolved", 409},
    {HF_E_HOLD_EXPIRED, "hold_expired", 409},
    {HF_E_ALREADY_REVERSED, "already_reversed", 409},
    {HF_E_VERSION_MISMATCH, "version_mismatch", 409},
    {HF_E_USER_CLOSED, "user_closed", 409},
    {HF_E_INVALID_TRANSITION, "invalid_transition", 409},
    {HF_E_SELF_TRANSFER, "self_transfer", 409},
    {HF_E_AMOUNT_EXCEEDS_HOLD, "amount_exceeds_hold", 409},
    {HF_E_AMOUNT_OVERFLOW, "amount_overflow", 409},
    {HF_E_LIMIT_EXCEEDED, "limit_exceeded", 409},
    {HF_E_IDEMPOTENCY_CONFLICT, "idempotency_conflict", 422},
    {HF_E_PAYLOAD_TOO_LARGE, "payload_too_large", 413},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    assert_string_equal(hf_error_info(cases[i].error)->code, cases[i].code);
    assert_int_equal(hf_error_info(cases[i].error)->status, cases[i].status);
  }
}

static void test_info_when_422_is_only_the_idempotency_conflict(void **state)
{
  (void)state;
  for (unsigned i = 0; i < (unsigned)HF_ERROR_COUNT; i++)
    assert_true((hf_error_info((enum hf_error)i)->status == 422) ==
                (i == HF_E_IDEMPOTENCY_CONFLICT));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_info_when_any_error_is_complete),
    cmocka_unit_test(test_by_code_when_known_finds_the_error_itself),
    cmocka_unit_test(test_by_code_when_unknown_is_ok),
    cmocka_unit_test(test_info_when_fixed_by_the_api_has_that_status),
    cmocka_unit_test(test_info_when_422_is_only_the_idempotency_conflict),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
