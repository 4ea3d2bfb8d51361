/* pg_read_balance.c - a user's balances at a time, on either axis.
 *
 * Happy path: the newest entry; when that is later than the time, a search for the newest one that
 *   is not; the entries of the other assets that it names. On the effective axis, the backdated
 *   entries that were recorded later, page by page in the order of their recording: whatever is
 *   committed meanwhile comes behind those, so that the sum is that of one moment.
 * Ways to fail: an entry that is named is not there. */
#include "adapters/store/effective.h"
#include "adapters/store_postgres/pg_read.h"

#define BACKDATED_PAGE 1000

enum { STAGE_BEGIN, STAGE_NEWEST, STAGE_SEARCH, STAGE_ENTRY, STAGE_OTHERS, STAGE_BACKDATED };

struct balance_read {
  struct pg_reading reading; /* first */
  struct pg_search search;
  struct ledger_entry entry; /* the newest, then the newest at the time; version 0: none */
  size_t others_found;
  uint64_t backdated_seq; /* looked at up to here */
  bool backdated_more;
};

/* ---- rows ------------------------------------------------------------------------------------ */

static void take_entry(const struct pg_talk *talk, struct balance_read *read, struct pg_rows *rows)
{
  hf_id user = talk->request->balance_at.user;
  if (PQntuples(rows->result) == 0)
    return;
  pg_row_entry(rows, 0, pg_partition(talk, user), talk->database->partition_bits,
               &talk->request->arena, &read->entry, NULL);
  if (read->entry.user != user)
    rows->corrupt = true;
}

/* Where the asset stands among the entry's own and its others, which ascend. */
static struct ledger_asset *place_of(struct store_request *request,
                                     const struct ledger_entry *entry, unsigned other)
{
  bool own_first = entry->asset < entry->others[other].asset;
  return &request->balance_at.out[other + own_first];
}

static void take_others(const struct pg_talk *talk, struct balance_read *read, struct pg_rows *rows)
{
  struct store_request *request = talk->request;
  const struct ledger_entry *newest = &read->entry;
  for (rows->row = 0; rows->row < PQntuples(rows->result) && !rows->corrupt; rows->row++) {
    struct ledger_entry entry;
    unsigned at = 0;
    pg_row_entry(rows, 0, pg_partition(talk, newest->user), talk->database->partition_bits,
                 &request->arena, &entry, NULL);
    while (at < newest->others_count && newest->others[at].version != entry.version)
      at++;
    if (at == newest->others_count || newest->others[at].asset != entry.asset ||
        entry.user != newest->user) {
      rows->corrupt = true;
      return;
    }
    *place_of(request, newest, at) =
      (struct ledger_asset){.version = entry.version, .asset = entry.asset, .balance = entry.after};
    read->others_found++;
  }
}

static void take_backdated(struct store_request *request, struct balance_read *read,
                           struct pg_rows *rows)
{
  int count = PQntuples(rows->result);
  read->backdated_more = count == BACKDATED_PAGE;
  for (rows->row = 0; rows->row < count && !rows->corrupt; rows->row++) {
    uint64_t seq = pg_get_unsigned(rows, 0, HF_ID_MAX);
    uint16_t asset = (uint16_t)pg_get_unsigned(rows, 1, UINT16_MAX);
    unsigned source = (unsigned)pg_get_unsigned(rows, 2, UINT8_MAX);
    unsigned target = (unsigned)pg_get_unsigned(rows, 3, UINT8_MAX);
    hf_amount amount = pg_get_amount(rows, 4);
    if (rows->corrupt || seq <= read->backdated_seq ||
        effective_add(request, asset, source, target, amount) != STORE_OK) {
      rows->corrupt = true;
      return;
    }
    read->backdated_seq = seq;
  }
}

static void balance_take(struct pg_talk *talk, unsigned index, const PGresult *result)
{
  struct balance_read *read = talk->work;
  struct pg_rows rows = {.result = result};
  switch (read->reading.stage) {
  case STAGE_NEWEST:
    if (index == 0)
      talk->request->balance_at.user_found = PQntuples(result) > 0;
    else
      take_entry(talk, read, &rows);
    break;
  case STAGE_SEARCH:
    pg_search_take(talk, &read->search, &rows);
    break;
  case STAGE_ENTRY:
    take_entry(talk, read, &rows);
    break;
  case STAGE_OTHERS:
    take_others(talk, read, &rows);
    break;
  default:
    CHECK(read->reading.stage == STAGE_BACKDATED); /* the only stage that is left */
    take_backdated(talk->request, read, &rows);
  }
  read->reading.corrupt = read->reading.corrupt || rows.corrupt;
}

/* ---- rounds ---------------------------------------------------------------------------------- */

static bool ask_newest(const struct pg_talk *talk, struct balance_read *read,
                       struct pg_round *round)
{
  struct store_request *request = talk->request;
  hf_id user = request->balance_at.user;
  request->balance_at.user_found = false;
  request->balance_at.overflow = false;
  request->balance_at.version = 0;
  request->balance_at.count = 0;
  request->balance_at.out = NULL;
  read->reading.stage = STAGE_NEWEST;
  pg_round_in(round, PG_USER_EXISTS, pg_partition(talk, user));
  pg_arg_int8(round, (int64_t)user);
  pg_round_in(round, PG_ENTRY_NEWEST, pg_partition(talk, user));
  pg_arg_int8(round, (int64_t)user);
  return true;
}

static bool ask_backdated(const struct pg_talk *talk, struct balance_read *read,
                          struct pg_round *round)
{
  hf_id user = talk->request->balance_at.user;
  read->reading.stage = STAGE_BACKDATED;
  pg_round_in(round, PG_BACKDATED_AFTER, pg_partition(talk, user));
  pg_arg_int8(round, (int64_t)user);
  pg_arg_int8(round, (int64_t)read->backdated_seq);
  pg_arg_int8(round, talk->request->balance_at.at_us);
  pg_arg_int8(round, BACKDATED_PAGE);
  return true;
}

/* The recorded balances are complete. */
static bool recorded_done(struct pg_talk *talk, struct balance_read *read, struct pg_round *round)
{
  if (!talk->request->balance_at.effective)
    return pg_reading_end(talk, STORE_OK);
  if (effective_begin(talk->request) != STORE_OK)
    return pg_reading_end(talk, STORE_CORRUPT);
  if (read->entry.version != 0)
    read->backdated_seq = hf_id_serial(read->entry.id, talk->database->partition_bits);
  return ask_backdated(talk, read, round);
}

/* read->entry is the newest at the time, or none is. */
static bool entry_known(struct pg_talk *talk, struct balance_read *read, struct pg_round *round)
{
  struct store_request *request = talk->request;
  const struct ledger_entry *entry = &read->entry;
  uint64_t versions[LEDGER_ASSETS_MAX];
  request->balance_at.version = entry->version;
  if (entry->version == 0)
    return recorded_done(talk, read, round);
  unsigned own = 0;
  request->balance_at.count = 1u + entry->others_count;
  request->balance_at.out =
    hf_arena_alloc(&request->arena, request->balance_at.count * sizeof *request->balance_at.out);
  for (unsigned i = 0; i < entry->others_count; i++) {
    versions[i] = entry->others[i].version;
    own += entry->others[i].asset < entry->asset;
  }
  request->balance_at.out[own] = (struct ledger_asset){
    .version = entry->version, .asset = entry->asset, .balance = entry->after};
  if (entry->others_count == 0)
    return recorded_done(talk, read, round);
  read->reading.stage = STAGE_OTHERS;
  pg_ask_versions(talk, entry->user, versions, entry->others_count, round);
  return true;
}

/* The search has ended at a version, whose entry is not known yet. */
static bool search_next(struct pg_talk *talk, struct balance_read *read, struct pg_round *round)
{
  hf_id user = talk->request->balance_at.user;
  if (!pg_search_done(&read->search)) {
    read->reading.stage = STAGE_SEARCH;
    pg_search_ask(talk, &read->search, user, round);
    return true;
  }
  read->entry = (struct ledger_entry){0};
  if (read->search.low == 0)
    return entry_known(talk, read, round);
  read->reading.stage = STAGE_ENTRY;
  pg_ask_versions(talk, user, &read->search.low, 1, round);
  return true;
}

static bool newest_known(struct pg_talk *talk, struct balance_read *read, struct pg_round *round)
{
  int64_t at_us = talk->request->balance_at.at_us;
  if (!talk->request->balance_at.user_found)
    return pg_reading_end(talk, STORE_OK);
  if (read->entry.version == 0 || read->entry.recorded_us <= at_us)
    return entry_known(talk, read, round);
  read->search =
    (struct pg_search){.low = 0, .high = read->entry.version - 1u, .before_us = at_us + 1};
  return search_next(talk, read, round);
}

static bool balance_next(struct pg_talk *talk, struct pg_round *round)
{
  struct balance_read *read = pg_reading_work(talk, sizeof *read);
  if (read->reading.stage == STAGE_BEGIN)
    return ask_newest(talk, read, round);
  if (!pg_reading_sound(talk))
    return pg_reading_end(talk, STORE_OK);
  switch (read->reading.stage) {
  case STAGE_NEWEST:
    return newest_known(talk, read, round);
  case STAGE_SEARCH:
    return search_next(talk, read, round);
  case STAGE_ENTRY:
    if (read->entry.version != read->search.low)
      return pg_reading_end(talk, STORE_CORRUPT);
    return entry_known(talk, read, round);
  case STAGE_OTHERS:
    if (read->others_found != read->entry.others_count)
      return pg_reading_end(talk, STORE_CORRUPT);
    return recorded_done(talk, read, round);
  default:
    CHECK(read->reading.stage == STAGE_BACKDATED); /* the only stage that is left */
    return read->backdated_more ? ask_backdated(talk, read, round) : pg_reading_end(talk, STORE_OK);
  }
}

const struct pg_talk_ops pg_balance_talk = {
  .next = balance_next, .take = balance_take, .failed = pg_reading_failed};
