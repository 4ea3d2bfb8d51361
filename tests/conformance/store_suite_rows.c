/* store_suite_rows.c - rows beside the journal: names, transfers, reversals, catalogue. */
#include <string.h>

#include "tests/conformance/store_suite.h"
#include "tests/support/store_check.h"
#include "tests/support/store_fixture.h"

static struct store_world *world_of(void **state)
{
  struct store_fixture *fixture = *state;

  return &fixture->world;
}

/* ---- names ----------------------------------------------------------------------------------- */

static struct store_row name_row(struct store_world *world, uint8_t kind, uint8_t value,
                                 uint64_t serial)
{
  struct store_row row = {.table = STORE_T_NAME, .action = STORE_INSERT};

  row.name.partition = 2;
  row.name.kind = kind;
  row.name.digest = hf_sha256(&value, 1);
  row.name.request = hf_digest(&value, 1);
  row.name.user = hf_id_make(serial, 1, world->bits);
  row.name.created_us = world->now_us;
  return row;
}

void test_get_name_when_reserved_and_confirmed_then_its_state(void **state)
{
  struct store_world *world = world_of(state);
  struct store_row row = name_row(world, STORE_NAME_CREATE_KEY, 1, 5), update;
  struct store_request *request;

  world_stage_rows(world, 2, &row, 1);
  world_must_commit(world);
  update = row;
  update.action = STORE_UPDATE;
  update.name.state = STORE_NAME_CONFIRMED;
  update.name.user = hf_id_make(6, 1, world->bits);
  for (unsigned i = 0; i < 2; i++) {
    request = store_request_new(STORE_GET_NAME);
    request->get_name.partition = 2;
    request->get_name.name_kind = STORE_NAME_CREATE_KEY;
    request->get_name.digest = row.name.digest;
    world_read(world, request, STORE_OK);
    assert_int_equal(request->get_name.out.state, i);
    assert_int_equal(request->get_name.out.user, i == 0 ? row.name.user : update.name.user);
    assert_int_equal(request->get_name.out.partition, 2);
    assert_int_equal(request->get_name.out.kind, STORE_NAME_CREATE_KEY);
    assert_int_equal(request->get_name.out.created_us, row.name.created_us);
    assert_true(hf_digest_equal(&request->get_name.out.request, &row.name.request));
    assert_true(hf_hash_equal(&request->get_name.out.digest, &row.name.digest));
    store_request_free(request);
    if (i == 0) {
      world_stage_rows(world, 2, &update, 1);
      world_must_commit(world);
    }
  }
  for (unsigned i = 0; i < 3; i++) { /* another partition, kind, value */
    request = store_request_new(STORE_GET_NAME);
    request->get_name.partition = i == 0 ? 1 : 2;
    request->get_name.name_kind = i == 1 ? STORE_NAME_EXTERNAL_ID : STORE_NAME_CREATE_KEY;
    request->get_name.digest = row.name.digest;
    request->get_name.digest.bytes[31] ^= i == 2;
    world_read(world, request, STORE_NOT_FOUND);
    store_request_free(request);
  }
}

void test_reserved_names_when_some_are_confirmed_then_the_others(void **state)
{
  struct store_world *world = world_of(state);
  struct store_request *request;
  unsigned seen = 0;

  for (uint8_t i = 0; i < 20; i++) {
    struct store_row row = name_row(world, STORE_NAME_EXTERNAL_ID, i, i + 1u);

    world_stage_rows(world, 2, &row, 1);
    if (i % 4 == 0) {
      row.action = STORE_UPDATE;
      row.name.state = STORE_NAME_CONFIRMED;
      world_stage_rows(world, 2, &row, 1);
    }
  }
  world_must_commit(world);
  request = store_request_new(STORE_RESERVED_NAMES);
  request->reserved.partition = 2;
  request->reserved.limit = 100;
  world_read(world, request, STORE_OK);
  assert_int_equal(request->reserved.count, 15);
  for (size_t i = 0; i < 15; i++) {
    uint64_t serial = hf_id_serial(request->reserved.out[i].user, world->bits);

    assert_int_equal(request->reserved.out[i].state, STORE_NAME_RESERVED);
    assert_int_not_equal((serial - 1) % 4, 0);
    assert_int_equal(seen & 1u << serial, 0);
    seen |= 1u << serial;
  }
  store_request_free(request);
  request = store_request_new(STORE_RESERVED_NAMES);
  request->reserved.partition = 2;
  request->reserved.limit = 7;
  world_read(world, request, STORE_OK);
  assert_int_equal(request->reserved.count, 7);
  store_request_free(request);
  request = store_request_new(STORE_RESERVED_NAMES);
  request->reserved.partition = 1;
  request->reserved.limit = 7;
  world_read(world, request, STORE_OK);
  assert_int_equal(request->reserved.count, 0);
  store_request_free(request);
}

/* ---- transfers and reversals ----------------------------------------------------------------- */

static void assert_open_transfers(struct store_world *world, uint32_t partition, hf_id after,
                                  uint32_t limit, const hf_id *ids, size_t count)
{
  struct store_request *request = store_request_new(STORE_OPEN_TRANSFERS);

  request->open_transfers.partition = partition;
  request->open_transfers.after = after;
  request->open_transfers.limit = limit;
  world_read(world, request, STORE_OK);
  assert_int_equal(request->open_transfers.count, count);
  for (size_t i = 0; i < count; i++)
    assert_int_equal(request->open_transfers.out[i].id, ids[i]);
  store_request_free(request);
}

void test_transfers_when_on_their_way_then_open_until_credited_or_bounced(void **state)
{
  struct store_world *world = world_of(state);
  struct world_user *payer = world_user_add(world, 1, NULL, NULL);
  struct world_user *payee = world_user_add(world, 3, NULL, NULL);
  struct store_row row = {.table = STORE_T_TRANSFER, .action = STORE_UPDATE};
  struct ledger_command command;
  struct world_unit *units[3], *credit, *bounce;
  struct store_request *request;
  hf_id ids[3];

  world_simple(world, payer, LEDGER_T_GRANT, 1, 100);
  for (unsigned i = 0; i < 3; i++) {
    command = world_command(world, LEDGER_T_TRANSFER, 1, 10 + i);
    command.counterparty = payee->row.id;
    units[i] = world_stage(world, payer, &command);
  }
  world_must_commit(world);
  for (unsigned i = 0; i < 3; i++)
    ids[i] = world_op(units[i]);
  assert_open_transfers(world, 1, 0, 10, ids, 3);
  assert_open_transfers(world, 1, 0, 2, ids, 2);
  assert_open_transfers(world, 1, ids[0], 10, ids + 1, 2);
  assert_open_transfers(world, 3, 0, 10, ids, 0);

  command = world_command(world, LEDGER_T_CREDIT, 1, 10);
  command.ref = ids[0];
  command.counterparty = payer->row.id;
  credit = world_stage(world, payee, &command);
  world_must_commit(world);
  row.transfer.id = ids[0];
  row.transfer.state = STORE_TRANSFER_CREDITED;
  row.transfer.credit = world_op(credit);
  world_stage_rows(world, 1, &row, 1);
  command = world_command(world, LEDGER_T_BOUNCE, 1, 11);
  command.ref = ids[1];
  command.counterparty = payee->row.id;
  bounce = world_stage(world, payer, &command);
  row.transfer.id = ids[1];
  row.transfer.state = STORE_TRANSFER_BOUNCED;
  row.transfer.credit = 0; /* the bounce's own id */
  bounce->unit.rows = &row;
  bounce->unit.rows_count = 1;
  world_must_commit(world);
  assert_open_transfers(world, 1, 0, 10, ids + 2, 1);

  for (unsigned i = 0; i < 3; i++) {
    request = check_get_op(world, ids[i], false, STORE_OK);
    assert_true(request->get_op.out->has_transfer);
    assert_int_equal(request->get_op.out->transfer.payer, payer->row.id);
    assert_int_equal(request->get_op.out->transfer.payee, payee->row.id);
    assert_true(request->get_op.out->transfer.amount == 10 + i);
    assert_int_equal(request->get_op.out->transfer.state, i == 0   ? STORE_TRANSFER_CREDITED
                                                          : i == 1 ? STORE_TRANSFER_BOUNCED
                                                                   : STORE_TRANSFER_TRANSIT);
    assert_int_equal(request->get_op.out->transfer.credit, i == 0   ? world_op(credit)
                                                           : i == 1 ? world_op(bounce)
                                                                    : 0);
    store_request_free(request);
  }
  check_loaded(world, payer);
  check_loaded(world, payee);
}

void test_reversals_when_partial_then_each_once_and_summed(void **state)
{
  struct store_world *world = world_of(state);
  struct world_user *user = world_user_add(world, 0, NULL, NULL);
  struct world_unit *grant = world_simple(world, user, LEDGER_T_GRANT, 1, 100);
  struct world_unit *first, *second;
  struct store_request *request;

  world_simple(world, user, LEDGER_T_SPEND, 1, 70);
  world_must_commit(world);
  first = world_stage_reverse(world, user, world_op(grant), 10);
  world_must_commit(world);
  second = world_stage_reverse(world, user, world_op(grant), 0); /* 20 of it, and 70 of debt */
  world_must_commit(world);
  assert_int_equal(second->unit.entries_count, 2);
  request = check_get_op(world, world_op(grant), false, STORE_OK);
  assert_int_equal(request->get_op.out->reversals_count, 2);
  assert_int_equal(request->get_op.out->reversals[0].op, world_op(first));
  assert_true(request->get_op.out->reversals[0].amount == 10);
  assert_int_equal(request->get_op.out->reversals[1].op, world_op(second));
  assert_true(request->get_op.out->reversals[1].amount == 90);
  assert_int_equal(request->get_op.out->reversals[1].original, world_op(grant));
  store_request_free(request);
  request = store_request_new(STORE_LIST_ENTRIES);
  request->list_entries.user = user->row.id;
  request->list_entries.limit = 10;
  request->list_entries.scan_max = 10;
  world_read(world, request, STORE_OK);
  assert_int_equal(request->list_entries.entries_count, 5);
  assert_int_equal(request->list_entries.entries[4].version, 1);
  assert_true(request->list_entries.reversed[4] == 100);
  assert_int_equal(request->list_entries.reversed_by[4], world_op(second));
  for (size_t i = 0; i < 4; i++) {
    assert_true(request->list_entries.reversed[i] == 0);
    assert_int_equal(request->list_entries.reversed_by[i], 0);
  }
  store_request_free(request);
}

/* So that what has to be read of one original is bounded; and none is stuck with a rest. */
void test_reversals_when_too_many_then_only_what_takes_the_rest(void **state)
{
  struct store_world *world = world_of(state);
  struct world_user *user = world_user_add(world, 0, NULL, NULL);
  struct world_unit *grant = world_simple(world, user, LEDGER_T_GRANT, 1, 1000);
  struct world_unit *unit;
  struct store_request *request;

  world_must_commit(world);
  for (unsigned i = 0; i + 1u < LEDGER_REVERSALS_MAX; i++) {
    unit = world_stage_reverse(world, user, world_op(grant), 2);
    assert_int_equal(unit->error, HF_OK);
    world_must_commit(world);
  }
  unit = world_stage_reverse(world, user, world_op(grant), 2);
  assert_int_equal(unit->error, HF_E_LIMIT_EXCEEDED);
  world_must_commit(world);
  unit = world_stage_reverse(world, user, world_op(grant), 0);
  assert_int_equal(unit->error, HF_OK);
  world_must_commit(world);
  request = check_get_op(world, world_op(grant), false, STORE_OK);
  assert_int_equal(request->get_op.out->reversals_count, LEDGER_REVERSALS_MAX);
  assert_true(request->get_op.out->reversals[LEDGER_REVERSALS_MAX - 1u].amount ==
              1000 - 2 * (hf_amount)(LEDGER_REVERSALS_MAX - 1u));
  store_request_free(request);
  unit = world_stage_reverse(world, user, world_op(grant), 0);
  assert_int_equal(unit->error, HF_E_ALREADY_REVERSED);
  world_must_commit(world);
  check_loaded(world, user);
}

/* ---- metadata, catalogue, the rest ----------------------------------------------------------- */

void test_metadata_when_erased_then_gone_and_the_chain_is_whole(void **state)
{
  static const char json[] = "{\"reason\":\"caf\xc3\xa9 '\\\"\",\"metadata\":{\"n\":null}}";
  struct store_world *world = world_of(state);
  struct world_user *user = world_user_add(world, 0, NULL, NULL);
  struct ledger_command command = world_command(world, LEDGER_T_GRANT, 1, 100);
  struct world_unit *unit = world_stage_meta(world, user, &command, json);
  struct store_row erase = {.table = STORE_T_META, .action = STORE_ERASE};

  world_must_commit(world);
  for (unsigned i = 0; i < 2; i++) {
    const char *expected = i == 0 ? json : NULL;
    struct store_request *request = check_get_op(world, world_op(unit), false, STORE_OK);

    check_text(request->get_op.out->metadata, expected);
    assert_true(request->get_op.out->entries[0].has_metadata);
    check_entry(&request->get_op.out->entries[0], &unit->unit.entries[0]);
    store_request_free(request);
    request = store_request_new(STORE_SCAN);
    request->scan.limit = 5;
    world_read(world, request, STORE_OK);
    check_text(request->scan.metadata[0], expected);
    store_request_free(request);
    request = store_request_new(STORE_LIST_ENTRIES);
    request->list_entries.user = user->row.id;
    request->list_entries.limit = 5;
    request->list_entries.scan_max = 5;
    world_read(world, request, STORE_OK);
    check_text(request->list_entries.metadata[0], expected);
    store_request_free(request);
    erase.meta.op = world_op(unit);
    world_stage_rows(world, 0, &erase, 1);
    world_must_commit(world);
  }
}

void test_catalog_when_assets_and_keys_are_made_then_by_id(void **state)
{
  struct store_world *world = world_of(state);
  struct store_asset_row second = {.id = 2, .scale = 18, .chain_decimals = 6, .code = "A.b-C_1"};
  struct store_asset_row first = {.id = 1, .chain_decimals = 255, .code = "COIN", .name = "Coin"};
  struct store_key_row keys[2] = {{.id = "zulu", .scopes = HF_SCOPE_ADMIN, .created_us = 5},
                                  {.id = "alpha", .scopes = 7, .name = "\xc3\xa9"}};
  struct store_row rows[] = {
    {.table = STORE_T_ASSET, .action = STORE_INSERT, .asset = &second},
    {.table = STORE_T_ASSET, .action = STORE_INSERT, .asset = &first},
    {.table = STORE_T_KEY, .action = STORE_INSERT, .key = &keys[0]},
    {.table = STORE_T_KEY, .action = STORE_INSERT, .key = &keys[1]},
  };
  struct store_request *request = store_request_new(STORE_CATALOG);
  struct store_key_row revoked = {.id = "zulu", .revoked_us = 99};
  struct store_row update = {.table = STORE_T_KEY, .action = STORE_UPDATE, .key = &revoked};

  memset(keys[0].secret.bytes, 0x80, sizeof keys[0].secret.bytes);
  memcpy(second.chain, "ton", sizeof "ton");
  memset(second.contract, 'c', sizeof second.contract - 1);
  world_read(world, request, STORE_OK);
  assert_int_equal(request->catalog.assets_count, 0);
  assert_int_equal(request->catalog.keys_count, 0);
  store_request_free(request);
  world_stage_rows(world, 0, rows, 4);
  world_stage_rows(world, 0, &update, 1);
  world_must_commit(world);
  first.id = 3; /* its code is taken */
  world_stage_rows(world, 0, &rows[1], 1);
  assert_int_equal(world_commit(world), STORE_CONFLICT);
  first.id = 1;
  request = store_request_new(STORE_CATALOG);
  world_read(world, request, STORE_OK);
  assert_int_equal(request->catalog.assets_count, 2);
  assert_string_equal(request->catalog.assets[0].code, "COIN");
  assert_string_equal(request->catalog.assets[0].name, "Coin");
  assert_int_equal(request->catalog.assets[0].chain_decimals, 255);
  assert_int_equal(request->catalog.assets[1].id, 2);
  assert_int_equal(request->catalog.assets[1].scale, 18);
  assert_string_equal(request->catalog.assets[1].chain, "ton");
  assert_string_equal(request->catalog.assets[1].contract, second.contract);
  assert_int_equal(request->catalog.keys_count, 2);
  assert_string_equal(request->catalog.keys[0].id, "alpha");
  assert_string_equal(request->catalog.keys[0].name, "\xc3\xa9");
  assert_int_equal(request->catalog.keys[0].revoked_us, 0);
  assert_string_equal(request->catalog.keys[1].id, "zulu");
  assert_int_equal(request->catalog.keys[1].revoked_us, 99);
  assert_int_equal(request->catalog.keys[1].created_us, 5);
  assert_int_equal(request->catalog.keys[1].scopes, HF_SCOPE_ADMIN);
  assert_memory_equal(request->catalog.keys[1].secret.bytes, keys[0].secret.bytes, HF_HASH_SIZE);
  store_request_free(request);
}

void test_amounts_when_128_bits_then_exact(void **state)
{
  struct store_world *world = world_of(state);
  struct world_user *user = world_user_add(world, 0, NULL, NULL);
  struct world_unit *hold, *refused;
  struct store_request *request;

  world_simple(world, user, LEDGER_T_GRANT, 1, HF_AMOUNT_MAX);
  refused = world_simple(world, user, LEDGER_T_GRANT, 1, 1);
  assert_int_equal(refused->error, HF_E_AMOUNT_OVERFLOW);
  hold = world_simple(world, user, LEDGER_T_HOLD, 1, HF_AMOUNT_MAX);
  world_must_commit(world);
  check_loaded(world, user);
  request = store_request_new(STORE_GET_HOLD);
  request->get_hold.id = world_op(hold);
  world_read(world, request, STORE_OK);
  assert_true(request->get_hold.out.remaining == HF_AMOUNT_MAX);
  store_request_free(request);
  world_ref(world, user, LEDGER_T_CAPTURE, world_op(hold), HF_AMOUNT_MAX - 1);
  world_must_commit(world);
  check_loaded(world, user);
  request = check_load(world, user);
  assert_true(request->load_user.out.entries[0].after.spent_total == HF_AMOUNT_MAX - 1);
  assert_true(request->load_user.out.entries[0].after.bucket[LEDGER_CLAIMABLE] == 1);
  store_request_free(request);
}

void test_project_when_repeated_then_it_comes_to_an_end(void **state)
{
  struct store_world *world = world_of(state);
  struct world_user *user = world_user_add(world, 2, NULL, NULL);

  for (unsigned i = 0; i < 25; i++)
    world_simple(world, user, LEDGER_T_EARN, 1, 5);
  world_must_commit(world);
  for (unsigned i = 0; i < 4; i++) { /* 10 + 10 + 5, then nothing */
    struct store_request *request = store_request_new(STORE_PROJECT);

    request->project.partition = 2;
    request->project.limit = 10;
    world_read(world, request, STORE_OK);
    assert_int_equal(request->project.more, i < 2);
    store_request_free(request);
  }
}
