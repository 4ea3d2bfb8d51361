/* test_api_parse.c - operations out of JSON: fields by type, and what the digest stands for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/http/api_parse.h"

static struct api_parse context;

static int setup(void **state)
{
  (void)state;
  context.now_us = 1800000000000000;
  context.key_id = "backend";
  context.request_id = "request-1";
  context.batch = false;
  return 0;
}

static int teardown(void **state)
{
  (void)state;
  api_parse_deinit(&context);
  memset(&context, 0, sizeof context);
  return 0;
}

/* The op of a body; NULL when it is refused. Free it with hf_op_free. */
static struct hf_op *parse(const char *text, struct json_problem *problem, unsigned *ret_digits)
{
  memset(problem, 0, sizeof *problem);
  json_t *root = json_in_parse(text, strlen(text), problem);
  if (root == NULL)
    fail_msg("%s", text);
  struct hf_op *op = hf_op_new();
  api_parse_op(&context, root, op, problem, ret_digits);
  json_decref(root);
  if (problem->error == HF_OK)
    return op;
  hf_op_free(op);
  return NULL;
}

static struct hf_op *parsed(const char *text)
{
  struct json_problem problem;
  unsigned digits;
  struct hf_op *op = parse(text, &problem, &digits);
  if (op == NULL)
    fail_msg("%s: %s %s %s", text, hf_error_info(problem.error)->code, problem.field,
             problem.detail);
  return op;
}

static void assert_refused(const char *text, enum hf_error error, const char *field)
{
  struct json_problem problem;
  unsigned digits;
  struct hf_op *op = parse(text, &problem, &digits);
  if (op != NULL || problem.error != error || strcmp(problem.field, field) != 0)
    fail_msg("%s: %s %s", text, hf_error_info(problem.error)->code, problem.field);
}

#define GRANT "\"type\":\"grant\",\"user_id\":\"17\",\"asset\":\"COIN\",\"amount\":\"1.50\""

static void test_op_when_whole_fills_the_command(void **state)
{
  (void)state;
  struct hf_op *op = parsed(
    "{\"type\":\"hold\",\"user_id\":\"17\",\"asset\":\"COIN\",\"amount\":\"1.50\",\"timeout_s\":60,"
    "\"if_version\":3,\"effective_at\":\"2026-01-01T00:00:00Z\",\"reason\":\"r\"}");
  assert_int_equal(op->user, 17);
  assert_int_equal(op->command.type, LEDGER_T_HOLD);
  assert_string_equal(op->asset_code, "COIN");
  assert_true(op->command.asset_given && op->command.amount_given);
  assert_true(op->command.amount.digits == 15 && op->command.amount.scale == 1);
  assert_int_equal(op->command.timeout_s, 60);
  assert_int_equal(op->command.if_version, 3);
  assert_true(op->command.effective_us == 1767225600000000);
  assert_string_equal(op->command.actor, "key:backend");
  assert_string_equal(op->command.correlation, "request-1");
  assert_int_equal(op->metadata.size, strlen("{\"reason\":\"r\"}"));
  assert_true(op->command.has_metadata);
  const struct hf_hash hash =
    hf_sha256_pair(op->salt, sizeof op->salt, op->metadata.at, op->metadata.size);
  assert_true(hf_hash_equal(&hash, &op->command.metadata_hash));
  hf_op_free(op);
}

static void test_op_when_fields_are_left_out_has_defaults(void **state)
{
  (void)state;
  struct hf_op *op = parsed("{" GRANT "}");
  assert_true(op->command.final);
  assert_int_equal(op->command.if_version, -1);
  assert_int_equal(op->command.bucket, LEDGER_CLAIMABLE);
  assert_int_equal(op->command.effective_us, 0);
  assert_false(op->command.has_metadata);
  assert_null(op->metadata.at);
  hf_op_free(op);
}

static void test_op_when_each_type_has_what_it_needs_is_taken(void **state)
{
  (void)state;
  static const char *const bodies[] = {
    "{\"type\":\"earn\",\"user_id\":\"1\",\"asset\":\"A\",\"amount\":\"1\",\"source\":\"ads\"}",
    "{\"type\":\"settle\",\"user_id\":\"1\",\"asset\":\"A\",\"amount\":\"1\"}",
    "{\"type\":\"mature\",\"user_id\":\"1\",\"asset\":\"A\",\"amount\":\"1\"}",
    "{\"type\":\"grant\",\"user_id\":\"1\",\"asset\":\"A\",\"amount\":\"1\"}",
    /* One body on two lines. NOLINTNEXTLINE(bugprone-suspicious-missing-comma) */
    "{\"type\":\"deposit\",\"user_id\":\"1\",\"asset\":\"A\",\"amount\":\"1\",\"source\":"
    "\"chain\"}",
    "{\"type\":\"spend\",\"user_id\":\"1\",\"asset\":\"A\",\"amount\":\"1\",\"to\":\"shop:1\"}",
    "{\"type\":\"hold\",\"user_id\":\"1\",\"asset\":\"A\",\"amount\":\"1\"}",
    "{\"type\":\"capture\",\"user_id\":\"1\",\"hold_id\":\"17\",\"amount\":\"1\",\"final\":false}",
    "{\"type\":\"capture\",\"user_id\":\"1\",\"hold_id\":\"17\"}",
    "{\"type\":\"void\",\"user_id\":\"1\",\"hold_id\":\"17\"}",
    "{\"type\":\"block\",\"user_id\":\"1\",\"asset\":\"A\",\"amount\":\"1\",\"bucket\":\"earned\"}",
    "{\"type\":\"unblock\",\"user_id\":\"1\",\"block_id\":\"17\"}",
    "{\"type\":\"transfer\",\"user_id\":\"1\",\"asset\":\"A\",\"amount\":\"1\",\"to_user_id\":"
    "\"2\"}",
    "{\"type\":\"adjust\",\"user_id\":\"1\",\"asset\":\"A\",\"amount\":\"-1\",\"reason\":\"r\"}",
    "{\"type\":\"quarantine\",\"user_id\":\"1\",\"asset\":\"A\",\"amount\":\"1\"}",
    "{\"type\":\"release\",\"user_id\":\"1\",\"asset\":\"A\",\"amount\":\"1\"}",
    "{\"type\":\"reverse\",\"user_id\":\"1\",\"reverses\":\"17\",\"amount\":\"1\"}"};
  for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
    hf_op_free(parsed(bodies[i]));
}

static void test_op_when_a_field_is_wrong_names_it(void **state)
{
  (void)state;
  static const struct {
    const char *text;
    enum hf_error error;
    const char *field;
  } cases[] = {
    {"{}", HF_E_MISSING_FIELD, "type"},
    {"{\"type\":\"grant\"}", HF_E_MISSING_FIELD, "user_id"},
    {"{\"type\":\"grant\",\"user_id\":\"1\"}", HF_E_MISSING_FIELD, "asset"},
    {"{\"type\":\"grant\",\"user_id\":\"1\",\"asset\":\"A\"}", HF_E_MISSING_FIELD, "amount"},
    {"{\"type\":7,\"user_id\":\"1\"}", HF_E_INVALID_FIELD, "type"},
    {"{\"type\":\"Grant\",\"user_id\":\"1\"}", HF_E_INVALID_FIELD, "type"},
    {"{\"type\":\"credit\",\"user_id\":\"1\"}", HF_E_INVALID_FIELD, "type"},
    {"{\"type\":\"expire\",\"user_id\":\"1\"}", HF_E_INVALID_FIELD, "type"},
    {"{\"type\":\"bounce\",\"user_id\":\"1\"}", HF_E_INVALID_FIELD, "type"},
    {"{" GRANT ",\"hold_id\":\"17\"}", HF_E_UNKNOWN_FIELD, "hold_id"},
    {"{" GRANT ",\"to\":\"x\"}", HF_E_UNKNOWN_FIELD, "to"},
    {"{" GRANT ",\"what\":1}", HF_E_UNKNOWN_FIELD, "what"},
    {"{" GRANT ",\"idempotency_key\":\"k\"}", HF_E_UNKNOWN_FIELD, "idempotency_key"},
    {"{" GRANT ",\"source\":\"a b\"}", HF_E_INVALID_FIELD, "source"},
    {"{" GRANT ",\"source\":\"-a\"}", HF_E_INVALID_FIELD, "source"},
    {"{" GRANT ",\"source\":\"aaaaaaaaaabbbbbbbbbbccccccccccddd\"}", HF_E_INVALID_FIELD, "source"},
    {"{" GRANT ",\"metadata\":[]}", HF_E_INVALID_FIELD, "metadata"},
    {"{" GRANT ",\"metadata\":\"x\"}", HF_E_INVALID_FIELD, "metadata"},
    {"{" GRANT ",\"reason\":\"\"}", HF_E_INVALID_FIELD, "reason"},
    {"{" GRANT ",\"reason\":1}", HF_E_INVALID_FIELD, "reason"},
    {"{" GRANT ",\"if_version\":-1}", HF_E_INVALID_FIELD, "if_version"},
    {"{" GRANT ",\"if_version\":\"1\"}", HF_E_INVALID_FIELD, "if_version"},
    {"{" GRANT ",\"effective_at\":\"2099-01-01T00:00:00Z\"}", HF_E_INVALID_TIME, "effective_at"},
    {"{" GRANT ",\"effective_at\":\"yesterday\"}", HF_E_INVALID_TIME, "effective_at"},
    {"{" GRANT ",\"effective_at\":5}", HF_E_INVALID_TIME, "effective_at"},
    {"{\"type\":\"grant\",\"user_id\":17,\"asset\":\"A\",\"amount\":\"1\"}", HF_E_INVALID_ID,
     "user_id"},
    {"{\"type\":\"grant\",\"user_id\":\"1\",\"asset\":\"a b\",\"amount\":\"1\"}",
     HF_E_INVALID_FIELD, "asset"},
    {"{\"type\":\"grant\",\"user_id\":\"1\",\"asset\":\"A2345678901234567\",\"amount\":\"1\"}",
     HF_E_INVALID_FIELD, "asset"},
    {"{\"type\":\"grant\",\"user_id\":\"1\",\"asset\":\"A\",\"amount\":\"-1\"}",
     HF_E_INVALID_AMOUNT, "amount"},
    {"{\"type\":\"adjust\",\"user_id\":\"1\",\"asset\":\"A\",\"amount\":\"1\"}", HF_E_MISSING_FIELD,
     "reason"},
    {"{\"type\":\"hold\",\"user_id\":\"1\",\"asset\":\"A\",\"amount\":\"1\",\"timeout_s\":0}",
     HF_E_INVALID_FIELD, "timeout_s"},
    {"{\"type\":\"capture\",\"user_id\":\"1\",\"hold_id\":\"x\"}", HF_E_INVALID_ID, "hold_id"},
    {"{\"type\":\"capture\",\"user_id\":\"1\",\"hold_id\":\"1\",\"final\":1}", HF_E_INVALID_FIELD,
     "final"},
    {"{\"type\":\"block\",\"user_id\":\"1\",\"asset\":\"A\",\"amount\":\"1\",\"bucket\":\"debt\"}",
     HF_E_INVALID_FIELD, "bucket"},
    {"{\"type\":\"block\",\"user_id\":\"1\",\"asset\":\"A\",\"amount\":\"1\",\"bucket\":\"x\"}",
     HF_E_INVALID_FIELD, "bucket"},
    {"{\"type\":\"transfer\",\"user_id\":\"1\",\"asset\":\"A\",\"amount\":\"1\"}",
     HF_E_MISSING_FIELD, "to_user_id"},
    {"{\"type\":\"reverse\",\"user_id\":\"1\"}", HF_E_MISSING_FIELD, "reverses"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    assert_refused(cases[i].text, cases[i].error, cases[i].field);
}

/* The node's clock, context.now_us, is at 2027-01-15T08:00:00Z. */
static void test_effective_time_when_up_to_a_day_ahead_then_taken_as_it_is(void **state)
{
  (void)state;
  static const char at_the_edge[] = "{" GRANT ",\"effective_at\":\"2027-01-16T08:00:00Z\"}";
  struct hf_op *op = parsed(at_the_edge);
  assert_true(op->command.effective_us == context.now_us + 86400000000);
  hf_op_free(op);
  assert_refused("{" GRANT ",\"effective_at\":\"2027-01-16T08:00:00.000001Z\"}", HF_E_INVALID_TIME,
                 "effective_at");
}

static void test_metadata_when_over_the_limit_is_refused(void **state)
{
  (void)state;
  static char text[API_METADATA_MAX + 256];
  const int head = snprintf(text, sizeof text, "{" GRANT ",\"metadata\":{\"a\":\"");
  const size_t fits = API_METADATA_MAX - strlen("{\"a\":\"\"}");
  memset(text + head, 'x', fits);
  memcpy(text + head + fits, "\"}}", 4);
  hf_op_free(parsed(text));
  memcpy(text + head + fits, "x\"}}", 5);
  assert_refused(text, HF_E_INVALID_FIELD, "metadata");
}

/* ---- digest ---------------------------------------------------------------------------------- */

static struct hf_digest digest_of(const char *text)
{
  struct hf_op *op = parsed(text);
  const struct hf_digest digest = op->command.request;
  hf_op_free(op);
  return digest;
}

/* The retry of a request that a node with a clock ahead has taken is the same request. */
static void test_digest_when_taken_by_nodes_of_other_clocks_then_the_same(void **state)
{
  (void)state;
  static const char text[] = "{" GRANT ",\"effective_at\":\"2027-01-15T08:00:00Z\"}";
  const struct hf_digest first = digest_of(text);
  context.now_us -= 1000000;
  const struct hf_digest retry = digest_of(text);
  assert_true(hf_digest_equal(&first, &retry));
}

static void test_digest_when_only_the_writing_differs_is_the_same(void **state)
{
  (void)state;
  static const char *const pairs[][2] = {
    {"{" GRANT "}",
     "{\"amount\":\"1.5\",\"asset\":\"COIN\",\"user_id\":\"17\",\"type\":\"grant\"}"},
    {"{" GRANT "}", "{" GRANT ",\"reason\":null}"},
    {"{" GRANT ",\"metadata\":{\"a\":1,\"b\":[2.50]}}",
     "{" GRANT ",\"metadata\":{\"b\":[2.5],\"a\":1}}"},
    {"{" GRANT ",\"effective_at\":\"2026-01-01T00:00:00Z\"}",
     "{" GRANT ",\"effective_at\":\"2026-01-01T01:00:00.000+01:00\"}"},
    {"{\"type\":\"block\",\"user_id\":\"1\",\"asset\":\"A\",\"amount\":\"1\"}",
     "{\"type\":\"block\",\"user_id\":\"1\",\"asset\":\"A\",\"amount\":\"1\",\"bucket\":"
     "\"claimable\"}"},
    {"{\"type\":\"capture\",\"user_id\":\"1\",\"hold_id\":\"1\",\"amount\":\"1\"}",
     "{\"type\":\"capture\",\"user_id\":\"1\",\"hold_id\":\"1\",\"amount\":\"1.0\",\"final\":"
     "true}"},
  };
  for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
    const struct hf_digest a = digest_of(pairs[i][0]), b = digest_of(pairs[i][1]);
    if (!hf_digest_equal(&a, &b))
      fail_msg("%s", pairs[i][1]);
  }
}

static void test_digest_when_anything_else_differs_is_another(void **state)
{
  (void)state;
  static const char *const bodies[] = {
    "{" GRANT "}",
    "{\"type\":\"earn\",\"user_id\":\"17\",\"asset\":\"COIN\",\"amount\":\"1.50\"}",
    "{\"type\":\"grant\",\"user_id\":\"18\",\"asset\":\"COIN\",\"amount\":\"1.50\"}",
    "{\"type\":\"grant\",\"user_id\":\"17\",\"asset\":\"COIM\",\"amount\":\"1.50\"}",
    "{\"type\":\"grant\",\"user_id\":\"17\",\"asset\":\"COIN\",\"amount\":\"15\"}",
    "{\"type\":\"grant\",\"user_id\":\"17\",\"asset\":\"COIN\",\"amount\":\"0.15\"}",
    "{" GRANT ",\"source\":\"x\"}",
    "{" GRANT ",\"reason\":\"x\"}",
    "{" GRANT ",\"metadata\":{}}",
    "{" GRANT ",\"metadata\":{\"reason\":\"x\"}}",
    "{" GRANT ",\"metadata\":{\"a\":1}}",
    "{" GRANT ",\"metadata\":{\"a\":\"1\"}}",
    "{" GRANT ",\"if_version\":0}",
    "{" GRANT ",\"if_version\":1}",
    "{" GRANT ",\"effective_at\":\"2026-01-01T00:00:00Z\"}",
    "{\"type\":\"hold\",\"user_id\":\"17\",\"asset\":\"COIN\",\"amount\":\"1.50\"}",
    "{\"type\":\"hold\",\"user_id\":\"17\",\"asset\":\"COIN\",\"amount\":\"1.50\",\"timeout_s\":1}",
    "{\"type\":\"capture\",\"user_id\":\"17\",\"hold_id\":\"1\",\"amount\":\"1.50\"}",
    "{\"type\":\"capture\",\"user_id\":\"17\",\"hold_id\":\"1\"}",
    "{\"type\":\"capture\",\"user_id\":\"17\",\"hold_id\":\"2\"}",
    "{\"type\":\"capture\",\"user_id\":\"17\",\"hold_id\":\"1\",\"final\":false}",
    "{\"type\":\"capture\",\"user_id\":\"17\",\"hold_id\":\"1\",\"asset\":\"COIN\"}",
  };
  enum { COUNT = sizeof bodies / sizeof bodies[0] };
  struct hf_digest digests[COUNT];
  for (size_t i = 0; i < COUNT; i++) {
    digests[i] = digest_of(bodies[i]);
    for (size_t j = 0; j < i; j++) {
      if (hf_digest_equal(&digests[i], &digests[j]))
        fail_msg("%s = %s", bodies[i], bodies[j]);
    }
  }
}

/* The bytes are remembered with keys for ever: a change of them would turn replays to conflicts. */
static void test_digest_when_computed_is_what_it_always_was(void **state)
{
  (void)state;
  char hex[2 * HF_DIGEST_SIZE + 1];
  const struct hf_digest digest =
    digest_of("{" GRANT ",\"source\":\"ads\",\"reason\":\"r\",\"metadata\":{\"b\":1,\"a\":[]},"
              "\"if_version\":7,\"effective_at\":\"2026-01-01T00:00:00Z\"}");
  hf_hex(digest.bytes, sizeof digest.bytes, hex);
  assert_string_equal(hex, "970b4ad821c0c6abfc1bd111dcfeeec4");
}

/* ---- batch items and amounts ----------------------------------------------------------------- */

static void test_batch_item_when_it_has_a_key_takes_it(void **state)
{
  (void)state;
  context.batch = true;
  struct hf_op *op = parsed("{" GRANT ",\"idempotency_key\":\"k1\"}");
  const struct hf_digest key = hf_digest("k1", 2);
  assert_true(op->has_key);
  assert_true(hf_digest_equal(&op->command.key, &key));
  hf_op_free(op);
  assert_refused("{" GRANT "}", HF_E_KEY_REQUIRED, "idempotency_key");
  assert_refused("{" GRANT ",\"idempotency_key\":\"\"}", HF_E_INVALID_KEY, "idempotency_key");
  assert_refused("{" GRANT ",\"idempotency_key\":\"a b\"}", HF_E_INVALID_KEY, "idempotency_key");
  assert_refused("{" GRANT ",\"idempotency_key\":5}", HF_E_INVALID_KEY, "idempotency_key");
}

static void check_amount(const char *amount, unsigned scale, enum hf_error error,
                         const char *suggestion)
{
  char text[256];
  struct json_problem problem;
  unsigned digits = 0;
  (void)snprintf(text, sizeof text,
                 "{\"type\":\"grant\",\"user_id\":\"17\",\"asset\":\"COIN\",\"amount\":\"%s\"}",
                 amount);
  struct hf_op *op = parse(text, &problem, &digits);
  assert_non_null(op);
  api_parse_amount(op, scale, digits, &problem);
  hf_op_free(op);
  assert_int_equal(problem.error, error);
  if (suggestion != NULL)
    assert_string_equal(problem.suggestion, suggestion);
}

static void test_amount_when_finer_than_the_asset_is_refused_with_one_that_fits(void **state)
{
  (void)state;
  check_amount("1.23", 2, HF_OK, NULL);
  check_amount("1.239", 2, HF_E_INVALID_AMOUNT, "\"1.23\"");
  check_amount("1.230", 2, HF_E_INVALID_AMOUNT, "\"1.23\"");
  check_amount("0.001", 2, HF_E_INVALID_AMOUNT, "an amount with up to 2 digits behind the point");
  check_amount("1.5", 0, HF_E_INVALID_AMOUNT, "\"1\"");
  check_amount("99999999999999999999999999999999999999", 18, HF_E_INVALID_AMOUNT, NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
    TEST(test_op_when_whole_fills_the_command),
    TEST(test_op_when_fields_are_left_out_has_defaults),
    TEST(test_op_when_each_type_has_what_it_needs_is_taken),
    TEST(test_op_when_a_field_is_wrong_names_it),
    TEST(test_effective_time_when_up_to_a_day_ahead_then_taken_as_it_is),
    TEST(test_metadata_when_over_the_limit_is_refused),
    TEST(test_digest_when_taken_by_nodes_of_other_clocks_then_the_same),
    TEST(test_digest_when_only_the_writing_differs_is_the_same),
    TEST(test_digest_when_anything_else_differs_is_another),
    TEST(test_digest_when_computed_is_what_it_always_was),
    TEST(test_batch_item_when_it_has_a_key_takes_it),
    TEST(test_amount_when_finer_than_the_asset_is_refused_with_one_that_fits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
