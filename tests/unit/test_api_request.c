/* test_api_request.c - query parameters, cursors, keys: what clients send beside a body. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/http/api_auth.h"
#include "adapters/http/api_cursor.h"
#include "adapters/http/api_idempotency.h"
#include "adapters/http/api_query.h"

static struct http_slice slice(const char *text)
{
  return (struct http_slice){text, strlen(text)};
}

/* ---- query ----------------------------------------------------------------------------------- */

static char room[512];

static enum hf_error query_error(const char *text, const char *allowed, struct api_query *ret_query)
{
  struct json_problem problem = {.error = HF_OK};
  api_query_parse(slice(text), allowed, room, ret_query, &problem);
  return problem.error;
}

static void test_query_when_valid_decodes_the_values(void **state)
{
  (void)state;
  struct api_query query;
  assert_int_equal(query_error("external_id=a%20b+c%2Bd&&limit=7&", "limit external_id", &query),
                   HF_OK);
  assert_true(api_query_is(&query, API_PARAM_EXTERNAL_ID, "a b c+d"));
  struct json_problem problem = {.error = HF_OK};
  assert_int_equal(api_query_limit(&query, &problem), 7);
  assert_null(query.values[API_PARAM_CURSOR].at);
}

static void test_query_when_invalid_is_refused(void **state)
{
  (void)state;
  static const char *const refused[] = {"x=1",       "limit=1&limit=2", "limi=1",    "limit=%",
                                        "limit=%4",  "limit=%zz",       "limit=%00", "=1",
                                        "verbose=1", "Limit=1"};
  struct api_query query;
  for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
    assert_int_equal(query_error(refused[i], "limit cursor", &query), HF_E_INVALID_QUERY);
}

static void test_query_when_too_many_parameters_is_refused(void **state)
{
  (void)state;
  char text[HTTP_QUERY_MAX + 2] = "";
  struct api_query query;
  memset(text, '&', HTTP_QUERY_MAX);
  assert_int_equal(query_error(text, "limit", &query), HF_OK);
  text[HTTP_QUERY_MAX] = '&';
  assert_int_equal(query_error(text, "limit", &query), HF_E_INVALID_QUERY);
}

static void test_limit_when_out_of_range_is_refused(void **state)
{
  (void)state;
  static const char *const refused[] = {
    "limit=0",   "limit=501",  "limit=-1",          "limit=",   "limit=1.5",
    "limit=abc", "limit=0x10", "limit=99999999999", "limit=01", "limit=%201"};
  for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
    struct api_query query;
    struct json_problem problem = {.error = HF_OK};
    assert_int_equal(query_error(refused[i], "limit", &query), HF_OK);
    (void)api_query_limit(&query, &problem);
    assert_int_equal(problem.error, HF_E_INVALID_QUERY);
  }
}

static void test_time_when_malformed_or_to_come_is_refused(void **state)
{
  (void)state;
  static const char *const refused[] = {"at=",
                                        "at=now",
                                        "at=2026-13-01T00:00:00Z",
                                        "at=2026-01-01",
                                        "at=2026-01-01T00:00:02Z",
                                        "at=1767225600",
                                        "at=1960-01-01T00:00:00Z"};
  const int64_t now_us = 1767225601000000;
  struct api_query query;
  for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
    struct json_problem problem = {.error = HF_OK};
    assert_int_equal(query_error(refused[i], "at", &query), HF_OK);
    assert_int_equal(api_query_time(&query, API_PARAM_AT, now_us, &problem), 0);
    assert_int_equal(problem.error, HF_E_INVALID_TIME);
  }
  struct json_problem problem = {.error = HF_OK};
  assert_int_equal(query_error("at=2026-01-01T01:00:00%2B01:00", "at", &query), HF_OK);
  assert_int_equal(api_query_time(&query, API_PARAM_AT, now_us, &problem), 1767225600000000);
}

/* ---- cursors --------------------------------------------------------------------------------- */

static void test_cursor_when_made_reads_back_for_its_query_only(void **state)
{
  (void)state;
  static const uint8_t key[API_CURSOR_KEY_SIZE] = {1, 2, 3};
  static const uint8_t other_key[API_CURSOR_KEY_SIZE] = {1, 2, 4};
  static const uint64_t positions[] = {1, 17, UINT64_MAX};
  for (size_t i = 0; i < sizeof positions / sizeof positions[0]; i++) {
    char text[API_CURSOR_TEXT_MAX];
    uint64_t position = 0;
    api_cursor_make(key, "user 1", 6, positions[i], text);
    assert_int_equal(strlen(text), API_CURSOR_TEXT_MAX - 1);
    assert_true(api_cursor_read(key, "user 1", 6, text, strlen(text), &position));
    assert_true(position == positions[i]);
    assert_false(api_cursor_read(key, "user 2", 6, text, strlen(text), &position));
    assert_false(api_cursor_read(other_key, "user 1", 6, text, strlen(text), &position));
  }
}

static void test_cursor_when_any_character_is_changed_is_refused(void **state)
{
  (void)state;
  static const uint8_t key[API_CURSOR_KEY_SIZE] = {9};
  char text[API_CURSOR_TEXT_MAX];
  uint64_t position;
  api_cursor_make(key, "q", 1, 123456, text);
  for (size_t i = 0; i < API_CURSOR_TEXT_MAX - 1; i++) {
    const char kept = text[i];
    text[i] = kept == 'A' ? 'B' : 'A';
    assert_false(api_cursor_read(key, "q", 1, text, API_CURSOR_TEXT_MAX - 1, &position));
    text[i] = kept;
  }
  assert_false(api_cursor_read(key, "q", 1, text, API_CURSOR_TEXT_MAX - 2, &position));
  assert_false(api_cursor_read(key, "q", 1, "", 0, &position));
  assert_false(api_cursor_read(key, "q", 1, "!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!", 32, &position));
}

/* ---- idempotency keys ------------------------------------------------------------------------ */

static enum hf_error idempotency(const char *value, char out[API_IDEMPOTENCY_MAX], size_t *ret_size)
{
  struct http_request request = {.fields_count = value == NULL ? 0 : 1};
  struct json_problem problem = {.error = HF_OK};
  if (value != NULL)
    request.fields[0] = (struct http_field){slice("Idempotency-Key"), slice(value)};
  *ret_size = api_idempotency_of(&request, out, &problem);
  return problem.error;
}

static void test_idempotency_when_quoted_is_the_bare_key(void **state)
{
  (void)state;
  char out[API_IDEMPOTENCY_MAX];
  size_t size;
  assert_int_equal(idempotency("abc-1", out, &size), HF_OK);
  assert_int_equal(size, 5);
  assert_int_equal(idempotency("\"abc-1\"", out, &size), HF_OK);
  assert_int_equal(size, 5);
  assert_memory_equal(out, "abc-1", 5);
  assert_int_equal(idempotency("\"a\\\"\\\\\"", out, &size), HF_OK);
  assert_int_equal(size, 3);
  assert_memory_equal(out, "a\"\\", 3);
  assert_int_equal(idempotency(NULL, out, &size), HF_OK);
  assert_int_equal(size, 0);
}

static void test_idempotency_when_malformed_is_refused(void **state)
{
  (void)state;
  static const char *const refused[] = {"",         "a b",     "\"\"",     "\"a",  "\"a\"b",
                                        "\"a\\x\"", "\"a b\"", "\xc3\xa9", "a\tb", "\""};
  char out[API_IDEMPOTENCY_MAX], longest[API_IDEMPOTENCY_MAX + 2];
  size_t size;
  for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
    assert_int_equal(idempotency(refused[i], out, &size), HF_E_INVALID_KEY);
  memset(longest, 'k', sizeof longest);
  longest[API_IDEMPOTENCY_MAX] = '\0';
  assert_int_equal(idempotency(longest, out, &size), HF_OK);
  assert_int_equal(size, API_IDEMPOTENCY_MAX);
  longest[API_IDEMPOTENCY_MAX] = 'k';
  longest[API_IDEMPOTENCY_MAX + 1] = '\0';
  assert_int_equal(idempotency(longest, out, &size), HF_E_INVALID_KEY);
}

static void test_idempotency_when_sent_twice_is_refused(void **state)
{
  (void)state;
  char out[API_IDEMPOTENCY_MAX];
  struct json_problem problem = {.error = HF_OK};
  struct http_request request = {.fields_count = 2};
  request.fields[0] = (struct http_field){slice("Idempotency-Key"), slice("a")};
  request.fields[1] = (struct http_field){slice("idempotency-key"), slice("a")};
  assert_int_equal(api_idempotency_of(&request, out, &problem), 0);
  assert_int_equal(problem.error, HF_E_INVALID_KEY);
}

/* ---- service keys ---------------------------------------------------------------------------- */

#define SECRET "0123456789abcdefghijABCDEFGHIJ01"

static struct store_key_row row;

static const struct store_key_row *row_of(const void *arg, const char *id, size_t size)
{
  (void)arg;
  return size == strlen(row.id) && memcmp(row.id, id, size) == 0 ? &row : NULL;
}

static bool check(struct api_auth *auth, const char *header, struct api_caller *ret_caller)
{
  return api_auth_check(auth, slice(header), row_of, NULL, ret_caller);
}

static void test_key_when_malformed_is_not_one(void **state)
{
  (void)state;
  static const char *const refused[] = {"",
                                        "Bearer",
                                        "Bearer ",
                                        "Basic hfk_abcd_" SECRET,
                                        "Bearer hfk_abc_" SECRET,
                                        "Bearer hfk_ABCD_" SECRET,
                                        "Bearer hfk_abcd_short",
                                        "Bearer hfk_abcd" SECRET,
                                        "Bearer xfk_abcd_" SECRET,
                                        "Bearer hfk_abcd_" SECRET "!",
                                        "Bearer hfk_abcd_" SECRET " ",
                                        "Bearer  hfk_abcd_" SECRET,
                                        "hfk_abcd_" SECRET,
                                        "Bearer hfk__" SECRET,
                                        "Bearer hfk_aaaaaaaaaabbbbbbbbbbccccccccccdddd_" SECRET,
                                        "Bearer hfk_abcd_" SECRET SECRET SECRET SECRET "0"};
  struct api_key key;
  for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
    if (api_key_of_header(slice(refused[i]), &key))
      fail_msg("%s", refused[i]);
  }
  assert_true(api_key_of_header(slice("bearer hfk_abcd_" SECRET), &key));
  assert_memory_equal(key.id.at, "abcd", 4);
  assert_int_equal(key.secret.size, 32);
}

static void test_auth_when_the_catalog_has_the_key_knows_the_caller(void **state)
{
  (void)state;
  struct api_caller caller;
  struct api_auth *auth = api_auth_new(&(struct api_admin_key){.given = false});
  row = (struct store_key_row){.id = "abcd", .scopes = HF_SCOPE_LEDGER_READ};
  row.secret = hf_sha256(SECRET, 32);
  for (unsigned i = 0; i < 2; i++) { /* the second time out of the cache */
    assert_true(check(auth, "Bearer hfk_abcd_" SECRET, &caller));
    assert_string_equal(caller.id, "abcd");
    assert_int_equal(caller.scopes, HF_SCOPE_LEDGER_READ);
  }
  assert_false(check(auth, "Bearer hfk_abce_" SECRET, &caller));
  assert_false(check(auth, "Bearer hfk_abcd_1" SECRET, &caller));
  api_auth_free(auth);
}

static void test_auth_when_a_cached_key_is_revoked_refuses_it(void **state)
{
  (void)state;
  struct api_caller caller;
  struct api_auth *auth = api_auth_new(&(struct api_admin_key){.given = false});
  row = (struct store_key_row){.id = "abcd", .scopes = HF_SCOPE_ADMIN};
  row.secret = hf_sha256(SECRET, 32);
  assert_true(check(auth, "Bearer hfk_abcd_" SECRET, &caller));
  row.revoked_us = 1;
  assert_false(check(auth, "Bearer hfk_abcd_" SECRET, &caller));
  row.revoked_us = 0;
  row.secret = hf_sha256("another", 7);
  assert_false(check(auth, "Bearer hfk_abcd_" SECRET, &caller));
  api_auth_free(auth);
}

static void test_auth_when_it_is_the_environments_key_is_admin(void **state)
{
  (void)state;
  struct api_caller caller;
  struct api_admin_key admin = {.given = true, .id = "root"};
  admin.secret = hf_sha256(SECRET, 32);
  struct api_auth *auth = api_auth_new(&admin);
  row = (struct store_key_row){.id = "none"};
  assert_true(check(auth, "Bearer hfk_root_" SECRET, &caller));
  assert_int_equal(caller.scopes, HF_SCOPE_ADMIN);
  assert_false(check(auth, "Bearer hfk_root_" SECRET "x", &caller));
  api_auth_free(auth);
}

static void test_allows_when_any_scope_or_admin_fits(void **state)
{
  (void)state;
  const struct api_caller reader = {.scopes = HF_SCOPE_LEDGER_READ};
  const struct api_caller admin = {.scopes = HF_SCOPE_ADMIN};
  assert_true(api_auth_allows(&reader, 0));
  assert_true(api_auth_allows(&reader, HF_SCOPE_LEDGER_READ | HF_SCOPE_USERS_READ));
  assert_false(api_auth_allows(&reader, HF_SCOPE_LEDGER_WRITE));
  assert_false(api_auth_allows(&reader, HF_SCOPE_ADMIN));
  assert_true(api_auth_allows(&admin, HF_SCOPE_LEDGER_WRITE));
}

static void test_made_keys_when_parsed_are_valid_and_differ(void **state)
{
  (void)state;
  char id[API_KEY_ID_SIZE + 1], secret[API_KEY_SECRET_SIZE + 1], other[API_KEY_SECRET_SIZE + 1];
  char text[API_KEY_TEXT_MAX];
  struct api_key key;
  api_key_id(id);
  api_key_secret(secret);
  api_key_secret(other);
  assert_string_not_equal(secret, other);
  (void)snprintf(text, sizeof text, "hfk_%s_%s", id, secret);
  assert_true(api_key_parse(text, strlen(text), &key));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_query_when_valid_decodes_the_values),
    cmocka_unit_test(test_query_when_invalid_is_refused),
    cmocka_unit_test(test_query_when_too_many_parameters_is_refused),
    cmocka_unit_test(test_limit_when_out_of_range_is_refused),
    cmocka_unit_test(test_time_when_malformed_or_to_come_is_refused),
    cmocka_unit_test(test_cursor_when_made_reads_back_for_its_query_only),
    cmocka_unit_test(test_cursor_when_any_character_is_changed_is_refused),
    cmocka_unit_test(test_idempotency_when_quoted_is_the_bare_key),
    cmocka_unit_test(test_idempotency_when_malformed_is_refused),
    cmocka_unit_test(test_idempotency_when_sent_twice_is_refused),
    cmocka_unit_test(test_key_when_malformed_is_not_one),
    cmocka_unit_test(test_auth_when_the_catalog_has_the_key_knows_the_caller),
    cmocka_unit_test(test_auth_when_a_cached_key_is_revoked_refuses_it),
    cmocka_unit_test(test_auth_when_it_is_the_environments_key_is_admin),
    cmocka_unit_test(test_allows_when_any_scope_or_admin_fits),
    cmocka_unit_test(test_made_keys_when_parsed_are_valid_and_differ),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
