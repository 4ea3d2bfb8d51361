/* store_suite_list.c - the requests that walk over many rows, held against the model. */
#include <string.h>

#include "tests/conformance/store_suite.h"
#include "tests/support/store_check.h"
#include "tests/support/store_fixture.h"

#define ASSETS 5u

static struct store_world *world_of(void **state)
{
  struct store_fixture *fixture = *state;

  return &fixture->world;
}

/* A fixed sequence: the tests here need variety, not chance. */
static uint64_t next(uint64_t *random)
{
  *random = *random * 6364136223846793005ull + 1442695040888963407ull;
  return *random >> 33;
}

/* A user with some hundred entries in several assets, of several types, at uneven times. */
static struct world_user *user_with_history(struct store_world *world, uint64_t seed)
{
  static const uint8_t types[] = {LEDGER_T_GRANT, LEDGER_T_EARN, LEDGER_T_SPEND, LEDGER_T_HOLD,
                                  LEDGER_T_ADJUST};
  struct world_user *user = world_user_add(world, (uint32_t)seed % 4, NULL, NULL);
  uint64_t random = seed;

  for (unsigned i = 0; i < 400; i++) {
    uint8_t type = types[next(&random) % sizeof types];
    uint16_t asset = (uint16_t)(1 + next(&random) % ASSETS);

    world_simple(world, user, type, asset, 1 + (hf_amount)(next(&random) % 100));
    if (next(&random) % 5 == 0)
      world_must_commit(world);
    world->now_us += (int64_t)(next(&random) % 3 * 1000);
  }
  world_simple(world, user, LEDGER_T_EARN, 1, 1);
  world_must_commit(world);
  return user;
}

/* ---- holds ----------------------------------------------------------------------------------- */

void test_list_holds_when_paged_then_each_once_in_order(void **state)
{
  enum { COUNT = 57 };
  struct store_world *world = world_of(state);
  struct world_user *user = world_user_add(world, 1, NULL, NULL);
  hf_id ids[COUNT];

  world_simple(world, user, LEDGER_T_GRANT, 1, 1000);
  for (unsigned i = 0; i < COUNT; i++)
    world_simple(world, user, LEDGER_T_HOLD, 1, 3);
  world_must_commit(world);
  for (unsigned i = 0; i < COUNT; i++)
    ids[i] = user->state.holds[i].id;
  for (unsigned i = 0; i < COUNT; i += 2)
    world_ref(world, user, LEDGER_T_VOID, ids[i], 0);
  world_must_commit(world);
  for (unsigned open_only = 0; open_only < 2; open_only++) {
    unsigned expected = open_only, step = 1 + open_only;
    hf_id after = 0;
    bool more = true;

    while (more) {
      struct store_request *request = store_request_new(STORE_LIST_HOLDS);

      request->list_holds.user = user->row.id;
      request->list_holds.open_only = open_only == 1;
      request->list_holds.after = after;
      request->list_holds.limit = 10;
      world_read(world, request, STORE_OK);
      assert_true(request->list_holds.user_found);
      more = request->list_holds.more;
      assert_true(!more || request->list_holds.count == 10);
      for (size_t i = 0; i < request->list_holds.count; i++, expected += step) {
        after = request->list_holds.out[i].id;
        assert_int_equal(after, ids[expected]);
        assert_int_equal(request->list_holds.out[i].state,
                         expected % 2 == 0 ? STORE_HOLD_VOIDED : STORE_HOLD_OPEN);
      }
      store_request_free(request);
    }
    assert_true(expected >= COUNT);
  }
  struct store_request *request = store_request_new(STORE_LIST_HOLDS);
  request->list_holds.user = hf_id_make(9, 1, world->bits);
  request->list_holds.limit = 10;
  world_read(world, request, STORE_OK);
  assert_false(request->list_holds.user_found);
  assert_int_equal(request->list_holds.count, 0);
  store_request_free(request);
}

/* Page after page, as the sweep walks: how many there are in all. */
static size_t due_walked(struct store_world *world, int64_t now_us, uint32_t limit)
{
  int64_t after_us = 0;
  hf_id after_id = 0;
  size_t all = 0, count;

  do {
    struct store_request *request = store_request_new(STORE_DUE_HOLDS);
    request->due_holds.partition = 2;
    request->due_holds.now_us = now_us;
    request->due_holds.after_us = after_us;
    request->due_holds.after_id = after_id;
    request->due_holds.limit = limit;
    world_read(world, request, STORE_OK);
    count = request->due_holds.count;
    for (size_t i = 0; i < count; i++) {
      const struct store_hold_row *row = &request->due_holds.out[i];

      assert_true(row->expires_us > after_us ||
                  (row->expires_us == after_us && row->id > after_id));
      after_us = row->expires_us;
      after_id = row->id;
    }
    all += count;
    store_request_free(request);
  } while (count == limit);
  return all;
}

static size_t due(struct store_world *world, int64_t now_us, uint32_t limit, int64_t *ret_last_us)
{
  struct store_request *request = store_request_new(STORE_DUE_HOLDS);
  int64_t last_us = 0;
  size_t count;

  request->due_holds.partition = 2;
  request->due_holds.now_us = now_us;
  request->due_holds.limit = limit;
  world_read(world, request, STORE_OK);
  count = request->due_holds.count;
  for (size_t i = 0; i < count; i++) {
    const struct store_hold_row *row = &request->due_holds.out[i];

    assert_int_equal(row->state, STORE_HOLD_OPEN);
    assert_true(row->expires_us <= now_us && row->expires_us >= last_us);
    last_us = row->expires_us;
  }
  store_request_free(request);
  *ret_last_us = last_us;
  return count;
}

void test_due_holds_when_time_passes_then_the_expired_by_time(void **state)
{
  struct store_world *world = world_of(state);
  struct world_user *user = world_user_add(world, 2, NULL, NULL);
  struct world_user *elsewhere = world_user_add(world, 1, NULL, NULL);
  int64_t base_us = world->now_us, last_us;
  struct ledger_command command;

  world_simple(world, user, LEDGER_T_GRANT, 1, 1000);
  world_simple(world, elsewhere, LEDGER_T_GRANT, 1, 1000);
  for (uint32_t i = 0; i < 30; i++) { /* 1..30 s in a mixed order, some for ever */
    command = world_command(world, LEDGER_T_HOLD, 1, 1);
    command.timeout_s = 1 + i * 7 % 30;
    world_stage(world, user, &command);
    world_stage(world, elsewhere, &command);
    world_simple(world, user, LEDGER_T_HOLD, 1, 1);
  }
  world_must_commit(world);
  assert_int_equal(due(world, base_us, 100, &last_us), 0);
  assert_int_equal(due(world, base_us + 10500000, 100, &last_us), 10);
  assert_int_equal(due(world, base_us + 10500000, 4, &last_us), 4);
  assert_true(last_us < base_us + 5000000);
  assert_int_equal(due(world, INT64_MAX, 100, &last_us), 30);
  assert_int_equal(due_walked(world, base_us + 10500000, 3), 10);
  assert_int_equal(due_walked(world, INT64_MAX, 7), 30);
  world->now_us = base_us + 10500000;
  for (size_t i = user->state.holds_count; i-- > 0;) {
    const struct ledger_hold *hold = &user->state.holds[i];

    if (hold->expires_us != 0 && hold->expires_us <= world->now_us)
      world_ref(world, user, LEDGER_T_EXPIRE, hold->id, 0);
  }
  world_must_commit(world);
  assert_int_equal(due(world, base_us + 10500000, 100, &last_us), 0);
  assert_int_equal(due(world, INT64_MAX, 100, &last_us), 20);
}

/* ---- entries --------------------------------------------------------------------------------- */

static bool matches(const struct store_list_entries *query, const struct ledger_entry *entry)
{
  return (query->asset == 0 || entry->asset == query->asset) &&
         (query->type == 0 || entry->type == query->type) &&
         (query->from_us == 0 || entry->recorded_us >= query->from_us) &&
         (query->to_us == 0 || entry->recorded_us < query->to_us);
}

/* Reads all pages; each entry must be the model's next one. Returns how many requests it took. */
static unsigned assert_list(struct store_world *world, const struct world_user *user,
                            const struct store_list_entries *query)
{
  uint64_t version = query->before_version == 0 ? user->history_count : query->before_version - 1;
  uint64_t before = query->before_version;
  unsigned pages = 0;
  bool more = true;

  while (more) {
    struct store_request *request = store_request_new(STORE_LIST_ENTRIES);
    const struct store_list_entries *out = &request->list_entries;

    request->list_entries = *query;
    request->list_entries.before_version = before;
    world_read(world, request, STORE_OK);
    assert_true(out->user_found);
    assert_true(out->entries_count <= query->limit);
    for (size_t i = 0; i < out->entries_count; i++) {
      while (version > 0 && !matches(query, user->history[version - 1]))
        version--;
      assert_true(version > 0);
      check_entry(&out->entries[i], user->history[version - 1]);
      version--;
    }
    more = out->more;
    assert_true(!more || before == 0 || out->next_before < before);
    assert_true(!more || (out->next_before > 0 && out->next_before <= version + 1));
    before = out->next_before;
    store_request_free(request);
    pages++;
    assert_true(pages <= user->history_count + 1);
  }
  for (; version > 0; version--)
    assert_false(matches(query, user->history[version - 1]));
  return pages;
}

void test_list_entries_when_unknown_user_then_not_found_is_said(void **state)
{
  struct store_world *world = world_of(state);
  struct world_user *user = world_user_add(world, 0, NULL, NULL);
  struct store_request *request;

  world_must_commit(world);
  for (unsigned known = 0; known < 2; known++) {
    request = store_request_new(STORE_LIST_ENTRIES);
    request->list_entries.user = known == 1 ? user->row.id : hf_id_make(9, 0, world->bits);
    request->list_entries.limit = 10;
    request->list_entries.scan_max = 10;
    world_read(world, request, STORE_OK);
    assert_int_equal(request->list_entries.user_found, known);
    assert_int_equal(request->list_entries.entries_count, 0);
    assert_false(request->list_entries.more);
    store_request_free(request);
  }
}

void test_list_entries_when_filtered_and_paged_then_as_the_model(void **state)
{
  static const uint32_t limits[] = {1, 7, 50, 500};
  struct store_world *world = world_of(state);
  struct world_user *user = user_with_history(world, 11);
  uint64_t random = 99;

  user_with_history(world, 15); /* another one in the same partition */
  for (unsigned i = 0; i < 300; i++) {
    uint64_t span_us = (uint64_t)(world->now_us - WORLD_START_US) + 2000;
    struct store_list_entries query = {.user = user->row.id, .scan_max = 1000};

    query.limit = limits[next(&random) % 4];
    if (next(&random) % 2 == 0)
      query.asset = (uint16_t)(1 + next(&random) % (ASSETS + 1));
    if (next(&random) % 2 == 0)
      query.type = (uint8_t)(1 + next(&random) % (LEDGER_TYPE_COUNT - 1));
    if (next(&random) % 3 == 0)
      query.from_us = WORLD_START_US - 1000 + (int64_t)(next(&random) % span_us);
    if (next(&random) % 3 == 0)
      query.to_us = WORLD_START_US - 1000 + (int64_t)(next(&random) % span_us);
    if (next(&random) % 3 == 0) /* exactly the time of an entry */
      query.to_us = user->history[next(&random) % user->history_count]->recorded_us;
    if (next(&random) % 3 == 0)
      query.from_us = user->history[next(&random) % user->history_count]->recorded_us;
    if (next(&random) % 4 == 0)
      query.before_version = 1 + next(&random) % (user->history_count + 5);
    if (query.before_version > user->history_count)
      query.before_version = 0;
    assert_list(world, user, &query);
  }
}

void test_list_entries_when_scan_max_is_small_then_empty_pages_go_on(void **state)
{
  struct store_world *world = world_of(state);
  struct world_user *user = world_user_add(world, 0, NULL, NULL);
  struct store_list_entries query = {.user = user->row.id, .asset = 2, .limit = 5, .scan_max = 10};

  world_simple(world, user, LEDGER_T_EARN, 2, 1);
  for (unsigned i = 0; i < 99; i++)
    world_simple(world, user, LEDGER_T_EARN, 1, 1);
  world_must_commit(world);
  assert_true(assert_list(world, user, &query) >= 10);
}

void test_list_entries_when_bounds_are_before_1970_then_they_bound(void **state)
{
  struct store_world *world = world_of(state);
  struct world_user *user = user_with_history(world, 13);
  struct store_list_entries query = {.user = user->row.id, .limit = 500, .scan_max = 1000};

  query.to_us = -1;
  assert_list(world, user, &query);
  query.from_us = -5;
  assert_list(world, user, &query);
  query.to_us = 0;
  assert_list(world, user, &query);
}

/* ---- balances at a time ---------------------------------------------------------------------- */

/* The newest entry of the asset up to `version`, from the model; NULL: none. */
static const struct ledger_entry *newest(const struct world_user *user, uint64_t version,
                                         uint16_t asset)
{
  for (; version > 0; version--) {
    if (user->history[version - 1]->asset == asset)
      return user->history[version - 1];
  }
  return NULL;
}

static void assert_balance_at(struct store_world *world, const struct world_user *user,
                              int64_t at_us)
{
  struct store_request *request = store_request_new(STORE_BALANCE_AT);
  uint64_t version = user->history_count;
  size_t found = 0;

  while (version > 0 && user->history[version - 1]->recorded_us > at_us)
    version--;
  request->balance_at.user = user->row.id;
  request->balance_at.at_us = at_us;
  world_read(world, request, STORE_OK);
  assert_true(request->balance_at.user_found);
  assert_int_equal(request->balance_at.version, version);
  for (uint16_t asset = 1; asset <= ASSETS; asset++) {
    const struct ledger_entry *entry = newest(user, version, asset);

    if (entry == NULL)
      continue;
    assert_true(found < request->balance_at.count);
    assert_int_equal(request->balance_at.out[found].asset, asset);
    assert_int_equal(request->balance_at.out[found].version, entry->version);
    assert_memory_equal(&request->balance_at.out[found].balance, &entry->after,
                        sizeof entry->after);
    found++;
  }
  assert_int_equal(request->balance_at.count, found);
  store_request_free(request);
}

void test_balance_at_when_any_time_then_as_the_model(void **state)
{
  struct store_world *world = world_of(state);
  struct world_user *user = user_with_history(world, 22);
  uint64_t random = 5, span_us = (uint64_t)(world->now_us - WORLD_START_US) + 4000;

  for (unsigned i = 0; i < 1000; i++)
    assert_balance_at(world, user, WORLD_START_US - 2000 + (int64_t)(next(&random) % span_us));
  for (size_t i = 0; i < user->history_count; i++) {
    assert_balance_at(world, user, user->history[i]->recorded_us);
    assert_balance_at(world, user, user->history[i]->recorded_us - 1);
  }
}

void test_balance_at_when_unknown_or_before_all_then_nothing(void **state)
{
  struct store_world *world = world_of(state);
  struct world_user *user = user_with_history(world, 30), *fresh;
  struct store_request *request;

  assert_balance_at(world, user, 0);
  assert_balance_at(world, user, INT64_MIN);
  assert_balance_at(world, user, INT64_MAX);
  fresh = world_user_add(world, 0, NULL, NULL);
  world_must_commit(world);
  assert_balance_at(world, fresh, INT64_MAX);
  request = store_request_new(STORE_BALANCE_AT);
  request->balance_at.user = hf_id_make(77, 3, world->bits);
  request->balance_at.at_us = INT64_MAX;
  world_read(world, request, STORE_OK);
  assert_false(request->balance_at.user_found);
  assert_int_equal(request->balance_at.count, 0);
  store_request_free(request);
}

/* ---- the journal ----------------------------------------------------------------------------- */

void test_scan_when_paged_then_the_journal_in_order_with_its_bytes(void **state)
{
  struct store_world *world = world_of(state);
  struct world_user *users[2] = {user_with_history(world, 40), user_with_history(world, 44)};
  struct hf_hash heads[2] = {{{0}}, {{0}}};
  uint64_t seq = 0, last = world->partitions[0].next_seq - 1;
  size_t versions[2] = {0, 0};
  bool more = true;

  while (more) {
    struct store_request *request = store_request_new(STORE_SCAN);
    const struct store_scan *scan = &request->scan;

    request->scan.from_seq = seq + 1;
    request->scan.limit = 33;
    world_read(world, request, STORE_OK);
    more = scan->entries_count > 0;
    assert_true(scan->entries_count == 33 || seq + scan->entries_count == last);
    for (size_t i = 0; i < scan->entries_count; i++) {
      const struct ledger_entry *entry = &scan->entries[i];
      size_t who = entry->user == users[1]->row.id;
      struct hf_bytes body = {0};

      assert_int_equal(entry->id, hf_id_make(++seq, 0, world->bits));
      check_entry(entry, users[who]->history[versions[who]++]);
      ledger_entry_encode(entry, &body);
      assert_int_equal(scan->bodies[i].size, body.size);
      assert_memory_equal(scan->bodies[i].at, body.at, body.size);
      assert_null(scan->metadata[i].at);
      heads[who] = ledger_entry_hash(&heads[who], body.at, body.size);
      assert_memory_equal(heads[who].bytes, entry->hash.bytes, HF_HASH_SIZE);
      hf_bytes_deinit(&body);
    }
    store_request_free(request);
  }
  assert_int_equal(seq, last);
  assert_int_equal(versions[0] + versions[1], last);
}

void test_scan_when_reversals_are_asked_for_then_the_newest_of_each_op(void **state)
{
  struct store_world *world = world_of(state);
  struct world_user *user = world_user_add(world, 1, NULL, NULL);
  const struct world_unit *first, *second, *newest;
  struct store_request *request;

  world_simple(world, user, LEDGER_T_GRANT, 1, 10);
  first = world_simple(world, user, LEDGER_T_GRANT, 1, 10);
  second = world_simple(world, user, LEDGER_T_GRANT, 1, 10);
  world_must_commit(world);
  world_stage_reverse(world, user, world_op(first), 3);
  world_must_commit(world);
  newest = world_stage_reverse(world, user, world_op(first), 4);
  world_must_commit(world);
  for (unsigned asked = 0; asked < 2; asked++) {
    request = store_request_new(STORE_SCAN);
    request->scan.partition = 1;
    request->scan.from_seq = 1;
    request->scan.limit = 10;
    request->scan.reversals = asked == 1;
    world_read(world, request, STORE_OK);
    assert_int_equal(request->scan.entries_count, 5);
    assert_int_equal(request->scan.reversed_by != NULL, asked);
    for (size_t i = 0; request->scan.reversed_by != NULL && i < 5; i++)
      assert_int_equal(request->scan.reversed_by[i],
                       request->scan.entries[i].id == world_op(first) ? world_op(newest) : 0);
    store_request_free(request);
  }
  assert_int_not_equal(world_op(first), world_op(second));
}
