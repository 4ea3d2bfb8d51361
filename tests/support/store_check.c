/* store_check.c - see store_check.h. */
#include "tests/support/store_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* What the store has of the user; the caller frees the request. */
struct store_request *check_load(struct store_world *world, const struct world_user *user)
{
  struct store_request *request = store_request_new(STORE_LOAD_USER);

  request->load_user.id = user->row.id;
  world_read(world, request, STORE_OK);
  return request;
}

void check_entry(const struct ledger_entry *read, const struct ledger_entry *model)
{
  struct hf_bytes left = {0}, right = {0};

  ledger_entry_encode(read, &left);
  ledger_entry_encode(model, &right);
  assert_int_equal(left.size, right.size);
  assert_memory_equal(left.at, right.at, left.size);
  assert_int_equal(read->id, model->id);
  assert_memory_equal(read->hash.bytes, model->hash.bytes, sizeof read->hash.bytes);
  hf_bytes_deinit(&left);
  hf_bytes_deinit(&right);
}

void check_text(struct store_text text, const char *expected)
{
  if (expected == NULL) {
    assert_null(text.at);
    return;
  }
  assert_non_null(text.at);
  assert_int_equal(text.size, strlen(expected));
  assert_memory_equal(text.at, expected, text.size);
}

/* Everything in the loaded user is what the model has. */
void check_loaded(struct store_world *world, const struct world_user *user)
{
  struct store_request *request = check_load(world, user);
  const struct store_loaded_user *out = &request->load_user.out;

  assert_int_equal(out->row.id, user->row.id);
  assert_int_equal(out->entries_count, user->state.assets_count);
  for (size_t i = 0; i < out->entries_count; i++) {
    const struct ledger_asset *asset = ledger_user_asset(&user->state, out->entries[i].asset);

    assert_non_null(asset);
    assert_int_equal(out->entries[i].version, asset->version);
    assert_memory_equal(&out->entries[i].after, &asset->balance, sizeof asset->balance);
    check_entry(&out->entries[i], user->history[asset->version - 1]);
    assert_true(i == 0 || out->entries[i].version < user->state.version);
  }
  if (out->entries_count > 0)
    assert_int_equal(out->entries[0].version, user->state.version);
  assert_int_equal(out->holds_count, user->state.holds_count);
  for (size_t i = 0; i < out->holds_count; i++) {
    const struct ledger_hold *hold = &user->state.holds[i];

    assert_int_equal(out->holds[i].id, hold->id);
    assert_int_equal(out->hold_versions[i], hold->version);
    assert_int_equal(out->holds[i].user, user->row.id);
    assert_int_equal(out->holds[i].state, STORE_HOLD_OPEN);
    assert_int_equal(out->holds[i].asset, hold->asset);
    assert_int_equal(out->holds[i].expires_us, hold->expires_us);
    assert_true(out->holds[i].remaining == hold->remaining);
    assert_true(out->holds[i].amount == hold->amount);
  }
  assert_int_equal(out->blocks_count, user->state.blocks_count);
  for (size_t i = 0; i < out->blocks_count; i++) {
    const struct ledger_block *block = &user->state.blocks[i];

    assert_int_equal(out->blocks[i].id, block->id);
    assert_int_equal(out->block_versions[i], block->version);
    assert_int_equal(out->blocks[i].bucket, block->bucket);
    assert_true(out->blocks[i].open);
    assert_true(out->blocks[i].remaining == block->remaining);
    assert_true(out->blocks[i].amount == block->amount);
  }
  store_request_free(request);
}

struct store_request *check_get_op(struct store_world *world, hf_id id, bool entry,
                                   enum store_status status)
{
  struct store_request *request = store_request_new(STORE_GET_OP);

  request->get_op.id = id;
  request->get_op.entry = entry;
  world_read(world, request, status);
  return request;
}
