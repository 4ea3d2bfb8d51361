/* test_api_write.c - the shapes of replies, checked by a JSON parser and the schemas. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/http/api_schema.h"
#include "adapters/http/api_write.h"

static struct json_out out;
static const struct store_asset_row coin = {.id = 1, .scale = 2, .code = "COIN", .created_us = 1};

static const struct store_asset_row *asset_of(const void *arg, uint16_t id)
{
  (void)arg;
  return id == 1 ? &coin : NULL;
}

static const struct api_write to = {.out = &out, .asset = asset_of, .partition_bits = 4};

static int setup(void **state)
{
  (void)state;
  json_out_clear(&out);
  return 0;
}

static int teardown(void **state)
{
  (void)state;
  json_out_deinit(&out);
  return 0;
}

static struct ledger_entry entry_of(unsigned type)
{
  struct ledger_entry entry = {.id = hf_id_make(5, 3, 4),
                               .user = hf_id_make(2, 3, 4),
                               .version = 9,
                               .type = (uint8_t)type,
                               .op_count = 1,
                               .from = LEDGER_CLAIMABLE,
                               .to = LEDGER_SPEND,
                               .asset = 1,
                               .amount = 1250,
                               .effective_us = 1767225600000000,
                               .recorded_us = 1767225600000001,
                               .ref = 99,
                               .actor = "key:a",
                               .correlation = "c"};
  entry.after.bucket[LEDGER_CLAIMABLE] = 100;
  entry.after.bucket[LEDGER_DEBT] = 30;
  entry.after.spent_total = 1250;
  return entry;
}

static json_t *written(void)
{
  json_error_t error;
  json_t *root = json_loadb(out.at, out.size, JSON_REJECT_DUPLICATES, &error);
  if (root == NULL)
    fail_msg("%s: %.*s", error.text, (int)out.size, out.at);
  return root;
}

static const char *text_at(const json_t *object, const char *key)
{
  const char *text = json_string_value(json_object_get(object, key));
  return text == NULL ? "(none)" : text;
}

/* Every member is one of the schema's, and every required one is there. */
static void assert_shape(const json_t *object, const char *name)
{
  const struct api_schema *schema = api_schema_find(name);
  assert_non_null(schema);
  size_t known = 0;
  for (size_t i = 0; i < schema->fields_count; i++) {
    const json_t *value = json_object_get(object, schema->fields[i].name);
    if (value == NULL && schema->fields[i].required)
      fail_msg("%s: no %s", name, schema->fields[i].name);
    if (json_is_null(value) && !schema->fields[i].nullable)
      fail_msg("%s: %s is null", name, schema->fields[i].name);
    known += value != NULL;
  }
  assert_int_equal(known, json_object_size(object));
}

static void test_balance_when_written_has_all_buckets(void **state)
{
  (void)state;
  const struct ledger_entry entry = entry_of(LEDGER_T_SPEND);
  api_write_balance(&out, &entry.after, 2);
  json_t *root = written();
  assert_shape(root, "Balance");
  assert_string_equal(text_at(root, "claimable"), "1.00");
  assert_string_equal(text_at(root, "available"), "1.00");
  assert_string_equal(text_at(root, "debt"), "0.30");
  assert_string_equal(text_at(root, "total"), "0.70");
  assert_string_equal(text_at(root, "spent_total"), "12.50");
  json_decref(root);
}

static void test_entry_when_written_has_its_shape(void **state)
{
  (void)state;
  for (unsigned type = LEDGER_T_EARN; type < LEDGER_TYPE_COUNT; type++) {
    struct ledger_entry entry = entry_of(type);
    entry.expires_us = type == LEDGER_T_HOLD ? 1767225600000002 : 0;
    entry.counterparty = type == LEDGER_T_TRANSFER ? 33 : 0;
    json_out_clear(&out);
    api_write_entry(&to, &entry, (struct store_text){NULL, 0}, type == LEDGER_T_SPEND ? 77 : 0);
    json_t *root = written();
    assert_shape(root, "Entry");
    assert_string_equal(text_at(root, "type"), ledger_type_text(type));
    assert_int_equal(json_integer_value(json_object_get(root, "partition")), 3);
    assert_int_equal(json_integer_value(json_object_get(root, "seq")), 5);
    assert_true(json_is_null(json_object_get(root, "metadata")));
    json_decref(root);
  }
}

static void assert_reference(unsigned type, const char *key, const char *value)
{
  const struct ledger_entry entry = entry_of(type);
  json_out_clear(&out);
  api_write_entry(&to, &entry, (struct store_text){NULL, 0}, 0);
  json_t *root = written();
  assert_string_equal(text_at(root, key), value);
  json_decref(root);
}

static void test_entry_when_it_refers_to_something_says_to_what(void **state)
{
  (void)state;
  assert_reference(LEDGER_T_HOLD, "hold_id", "83"); /* itself */
  assert_reference(LEDGER_T_CAPTURE, "hold_id", "99");
  assert_reference(LEDGER_T_VOID, "hold_id", "99");
  assert_reference(LEDGER_T_EXPIRE, "hold_id", "99");
  assert_reference(LEDGER_T_BLOCK, "block_id", "83");
  assert_reference(LEDGER_T_UNBLOCK, "block_id", "99");
  assert_reference(LEDGER_T_TRANSFER, "transfer_id", "83");
  assert_reference(LEDGER_T_CREDIT, "transfer_id", "99");
  assert_reference(LEDGER_T_BOUNCE, "transfer_id", "99");
  assert_reference(LEDGER_T_REVERSE, "reverses", "99");
  assert_reference(LEDGER_T_SPEND, "hold_id", "(none)");
}

static void assert_metadata(const char *stored, const char *metadata, const char *reason)
{
  const struct ledger_entry entry = entry_of(LEDGER_T_SPEND);
  const struct store_text text = {stored, strlen(stored)};
  json_out_clear(&out);
  api_write_entry(&to, &entry, text, 0);
  json_t *root = written();
  char *dumped = json_dumps(json_object_get(root, "metadata"), JSON_COMPACT | JSON_ENCODE_ANY);
  assert_string_equal(dumped, metadata);
  assert_string_equal(text_at(root, "reason"), reason);
  free(dumped);
  json_decref(root);
}

static void test_metadata_when_stored_with_a_reason_is_taken_apart(void **state)
{
  (void)state;
  assert_metadata("{\"reason\":\"r\"}", "null", "r");
  assert_metadata("{\"metadata\":{\"a\":1}}", "{\"a\":1}", "(none)");
  assert_metadata("{\"reason\":\"r\",\"metadata\":{\"reason\":\"x\"}}", "{\"reason\":\"x\"}", "r");
  assert_metadata("{\"reason\":\"\\\"},\\\\\",\"metadata\":{}}", "{}", "\"},\\");
  assert_metadata("{\"reason\":\"a\\\",\\\"metadata\\\":1\",\"metadata\":{\"b\":2}}", "{\"b\":2}",
                  "a\",\"metadata\":1");
}

static void test_metadata_when_stored_in_another_way_is_shown_whole(void **state)
{
  (void)state;
  assert_metadata("{\"note\":\"imported\"}", "{\"note\":\"imported\"}", "(none)");
  assert_metadata("{\"reason\":\"r\",\"note\":1}", "{\"reason\":\"r\",\"note\":1}", "(none)");
  assert_metadata("{}", "{}", "(none)");
}

static void test_op_when_written_has_its_shape_and_the_last_balance(void **state)
{
  (void)state;
  struct ledger_entry entries[2] = {entry_of(LEDGER_T_CAPTURE), entry_of(LEDGER_T_CAPTURE)};
  entries[0].op_count = entries[1].op_count = 2;
  entries[1].op_index = 1;
  entries[1].id = hf_id_make(6, 3, 4);
  entries[1].version = 10;
  entries[1].after.bucket[LEDGER_CLAIMABLE] = 777;
  json_out_begin_object(&out);
  api_write_op(&to, entries, 2, (struct store_text){NULL, 0}, 0);
  json_out_end_object(&out);
  json_t *root = written();
  assert_shape(root, "OpResult");
  assert_string_equal(text_at(root, "op_id"), "83");
  assert_string_equal(text_at(root, "hold_id"), "99");
  assert_int_equal(json_integer_value(json_object_get(root, "version")), 10);
  const json_t *list = json_object_get(root, "entries");
  assert_int_equal(json_array_size(list), 2);
  assert_string_equal(text_at(json_array_get(list, 1), "op_id"), "83");
  const json_t *balance = json_object_get(json_object_get(root, "balances"), "COIN");
  assert_string_equal(text_at(balance, "claimable"), "7.77");
  assert_true(json_equal(balance, json_object_get(json_array_get(list, 1), "balances_after")));
  json_decref(root);
}

static void test_op_when_written_twice_has_the_same_bytes(void **state)
{
  (void)state;
  const struct ledger_entry entry = entry_of(LEDGER_T_TRANSFER);
  const struct store_text text = {"{\"reason\":\"r\"}", 14};
  char first[4096];
  json_out_begin_object(&out);
  api_write_op(&to, &entry, 1, text, 0);
  json_out_end_object(&out);
  const size_t size = out.size;
  memcpy(first, out.at, size);
  json_out_clear(&out);
  json_out_begin_object(&out);
  api_write_op(&to, &entry, 1, text, 0);
  json_out_end_object(&out);
  assert_int_equal(out.size, size);
  assert_memory_equal(out.at, first, size);
}

static void test_hold_when_overdue_is_expired_before_the_sweep(void **state)
{
  (void)state;
  const struct store_hold_row hold = {.id = 83,
                                      .user = 35,
                                      .asset = 1,
                                      .amount = 500,
                                      .remaining = 200,
                                      .created_us = 1000000,
                                      .expires_us = 2000000};
  api_write_hold(&to, &hold, 1999999);
  json_t *root = written();
  assert_shape(root, "Hold");
  assert_string_equal(text_at(root, "state"), "open");
  assert_string_equal(text_at(root, "remaining"), "2.00");
  json_decref(root);
  json_out_clear(&out);
  api_write_hold(&to, &hold, 2000000);
  root = written();
  assert_shape(root, "Hold");
  assert_string_equal(text_at(root, "state"), "expired");
  assert_string_equal(text_at(root, "remaining"), "0.00");
  assert_string_equal(text_at(root, "resolved_at"), "1970-01-01T00:00:02.000000Z");
  json_decref(root);
}

static void test_rows_when_written_have_their_shapes(void **state)
{
  (void)state;
  const struct store_block_row block = {.id = 83,
                                        .user = 35,
                                        .asset = 1,
                                        .open = true,
                                        .bucket = LEDGER_EARNED,
                                        .amount = 5,
                                        .remaining = 5};
  const struct store_user_row user = {
    .id = 35, .kind = HF_USER_REGISTERED, .external_id = {"e\"1", 3}, .profile = {"{\"a\":1}", 7}};
  api_write_block(&to, &block);
  json_t *root = written();
  assert_shape(root, "Block");
  json_decref(root);
  json_out_clear(&out);
  api_write_asset(&out, &coin);
  root = written();
  assert_shape(root, "Asset");
  json_decref(root);
  json_out_clear(&out);
  api_write_user(&out, &user);
  root = written();
  assert_shape(root, "User");
  assert_string_equal(text_at(root, "external_id"), "e\"1");
  json_decref(root);
  json_out_clear(&out);
  api_write_scopes(&out, HF_SCOPE_LEDGER_READ | HF_SCOPE_ADMIN);
  assert_memory_equal(out.at, "[\"ledger:read\",\"admin\"]", out.size);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
    TEST(test_balance_when_written_has_all_buckets),
    TEST(test_entry_when_written_has_its_shape),
    TEST(test_entry_when_it_refers_to_something_says_to_what),
    TEST(test_metadata_when_stored_with_a_reason_is_taken_apart),
    TEST(test_metadata_when_stored_in_another_way_is_shown_whole),
    TEST(test_op_when_written_has_its_shape_and_the_last_balance),
    TEST(test_op_when_written_twice_has_the_same_bytes),
    TEST(test_hold_when_overdue_is_expired_before_the_sweep),
    TEST(test_rows_when_written_have_their_shapes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
