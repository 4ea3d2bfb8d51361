/* pg_read_entries.c - a user's entries, newest first.
 *
 * Happy path: entries are read in pages of versions downwards, which have no gaps; what passes the
 *   filters is kept; one more round brings what lies beside the kept ones.
 * Ways to fail: no such user (said, not an error); a version is missing.
 * Bounds: `limit` entries are kept, `scan_max` looked at, plus the one that says there are more. */
#include "adapters/store_postgres/pg_read.h"

#define PAGE_MAX 512u

enum { STAGE_BEGIN, STAGE_NEWEST, STAGE_SEARCH, STAGE_PAGE, STAGE_BESIDE };

struct entries_read {
  struct pg_reading reading; /* first */
  struct pg_search search;
  uint64_t before; /* entries of smaller versions come next */
  uint64_t newest; /* as far as it was asked for */
  uint32_t asked;  /* rows of the page that is under way */
  uint64_t scanned;
  bool ended; /* no more entries are wanted, or there are none */
};

/* ---- rows ------------------------------------------------------------------------------------ */

static void keep(struct store_request *request, const struct ledger_entry *entry)
{
  struct store_list_entries *list = &request->list_entries;
  struct ledger_entry *kept = &list->entries[list->entries_count++];
  *kept = *entry;
  if (entry->others_count > 0)
    kept->others =
      hf_arena_copy(&request->arena, entry->others, entry->others_count * sizeof *entry->others);
}

/* False: the list ends here. */
static bool take_entry(struct store_request *request, struct entries_read *read,
                       const struct ledger_entry *entry)
{
  struct store_list_entries *list = &request->list_entries;
  if (list->from_us != 0 && entry->recorded_us < list->from_us)
    return false;
  if (list->entries_count == list->limit || read->scanned == list->scan_max) {
    list->more = true;
    list->next_before = entry->version + 1u;
    return false;
  }
  read->scanned++;
  if ((list->asset == 0 || entry->asset == list->asset) &&
      (list->type == 0 || entry->type == list->type))
    keep(request, entry);
  return true;
}

static void take_page(const struct pg_talk *talk, struct entries_read *read, struct pg_rows *rows)
{
  struct store_request *request = talk->request;
  hf_id user = request->list_entries.user;
  struct hf_arena scratch = {NULL};
  int count = PQntuples(rows->result);
  for (rows->row = 0; rows->row < count && !rows->corrupt && !read->ended; rows->row++) {
    struct ledger_entry entry;
    pg_row_entry(rows, 0, pg_partition(talk, user), talk->database->partition_bits, &scratch,
                 &entry, NULL);
    if (entry.user != user || entry.version + 1u != read->before) /* versions have no gaps */
      rows->corrupt = true;
    else
      read->ended = !take_entry(request, read, &entry);
    read->before = entry.version;
  }
  hf_arena_free(&scratch);
  if (!read->ended && (uint32_t)count < read->asked) {
    read->ended = true;
    if (read->before != 1)
      rows->corrupt = true;
  }
}

static void take_metadata(const struct pg_talk *talk, struct pg_rows *rows)
{
  struct store_list_entries *list = &talk->request->list_entries;
  for (rows->row = 0; rows->row < PQntuples(rows->result); rows->row++) {
    hf_id op = pg_get_id(rows, 0);
    struct store_text json = pg_copy_text(rows, 1, &talk->request->arena);
    for (size_t i = 0; i < list->entries_count; i++)
      if (ledger_entry_op(&list->entries[i], talk->database->partition_bits) == op)
        list->metadata[i] = json;
  }
}

static void take_reversals(struct store_list_entries *list, struct pg_rows *rows)
{
  for (rows->row = 0; rows->row < PQntuples(rows->result) && !rows->corrupt; rows->row++) {
    hf_id original = pg_get_id(rows, 0);
    for (size_t i = 0; i < list->entries_count; i++) {
      if (list->entries[i].id != original)
        continue;
      list->reversed_by[i] = pg_get_id(rows, 1);
      if (!hf_amount_add(list->reversed[i], pg_get_amount(rows, 2), &list->reversed[i]))
        rows->corrupt = true;
    }
  }
}

static void entries_take(struct pg_talk *talk, unsigned index, const PGresult *result)
{
  struct entries_read *read = talk->work;
  struct store_list_entries *list = &talk->request->list_entries;
  struct pg_rows rows = {.result = result};
  switch (read->reading.stage) {
  case STAGE_NEWEST:
    if (index == 0)
      list->user_found = PQntuples(result) > 0;
    else if (PQntuples(result) > 0)
      read->newest = pg_get_unsigned(&rows, 2, INT64_MAX - 1);
    break;
  case STAGE_SEARCH:
    pg_search_take(talk, &read->search, &rows);
    break;
  case STAGE_PAGE:
    take_page(talk, read, &rows);
    break;
  default:
    CHECK(read->reading.stage == STAGE_BESIDE); /* the only stage that is left */
    if (index == 0)
      take_metadata(talk, &rows);
    else
      take_reversals(list, &rows);
  }
  read->reading.corrupt = read->reading.corrupt || rows.corrupt;
}

/* ---- rounds ---------------------------------------------------------------------------------- */

static bool ask_newest(const struct pg_talk *talk, struct entries_read *read,
                       struct pg_round *round)
{
  struct store_request *request = talk->request;
  struct store_list_entries *list = &request->list_entries;
  unsigned partition = pg_partition(talk, list->user);
  CHECK(list->limit > 0 && list->scan_max > 0);
  list->user_found = false;
  list->more = false;
  list->next_before = 0;
  list->entries_count = 0;
  list->entries = hf_arena_alloc(&request->arena, list->limit * sizeof *list->entries);
  list->metadata = hf_arena_alloc(&request->arena, list->limit * sizeof *list->metadata);
  list->reversed = hf_arena_alloc(&request->arena, list->limit * sizeof *list->reversed);
  list->reversed_by = hf_arena_alloc(&request->arena, list->limit * sizeof *list->reversed_by);
  read->reading.stage = STAGE_NEWEST;
  pg_round_in(round, PG_USER_EXISTS, partition);
  pg_arg_int8(round, (int64_t)list->user);
  pg_round_in(round, PG_ENTRY_NEWEST, partition);
  pg_arg_int8(round, (int64_t)list->user);
  return true;
}

static bool ask_page(const struct pg_talk *talk, struct entries_read *read, struct pg_round *round)
{
  const struct store_list_entries *list = &talk->request->list_entries;
  bool filtered = list->asset != 0 || list->type != 0;
  uint64_t wanted = filtered ? PAGE_MAX : (uint64_t)list->limit + 1u;
  uint64_t left = list->scan_max - read->scanned + 1u;
  read->asked = (uint32_t)(wanted < left ? wanted : left);
  read->reading.stage = STAGE_PAGE;
  pg_round_in(round, PG_ENTRIES_BEFORE, pg_partition(talk, list->user));
  pg_arg_int8(round, (int64_t)list->user);
  pg_arg_int8(round, (int64_t)read->before);
  pg_arg_int8(round, read->asked);
  return true;
}

static bool ask_beside(const struct pg_talk *talk, struct entries_read *read,
                       struct pg_round *round)
{
  const struct store_list_entries *list = &talk->request->list_entries;
  unsigned partition = pg_partition(talk, list->user);
  read->reading.stage = STAGE_BESIDE;
  for (unsigned step = 0; step < 2; step++) {
    pg_round_in(round, step == 0 ? PG_METADATA_OF : PG_REVERSALS_OF, partition);
    pg_arg_array(round, PG_INT8, list->entries_count);
    for (size_t i = 0; i < list->entries_count; i++)
      pg_item_int8(round,
                   (int64_t)ledger_entry_op(&list->entries[i], talk->database->partition_bits));
  }
  return true;
}

/* Where the first page begins is known: below the search's end, and below the cursor. */
static bool begin_pages(const struct pg_talk *talk, struct entries_read *read,
                        struct pg_round *round)
{
  uint64_t cursor = talk->request->list_entries.before_version;
  read->before = read->search.high + 1u;
  if (cursor != 0 && cursor < read->before)
    read->before = cursor;
  return ask_page(talk, read, round);
}

static bool search_next(const struct pg_talk *talk, struct entries_read *read,
                        struct pg_round *round)
{
  if (pg_search_done(&read->search))
    return begin_pages(talk, read, round);
  read->reading.stage = STAGE_SEARCH;
  pg_search_ask(talk, &read->search, talk->request->list_entries.user, round);
  return true;
}

static bool newest_known(struct pg_talk *talk, struct entries_read *read, struct pg_round *round)
{
  const struct store_list_entries *list = &talk->request->list_entries;
  if (!list->user_found || read->newest == 0)
    return pg_reading_end(talk, STORE_OK);
  read->search = (struct pg_search){.high = read->newest, .before_us = list->to_us};
  if (list->to_us == 0) /* nothing to search for */
    return begin_pages(talk, read, round);
  return search_next(talk, read, round);
}

static bool entries_next(struct pg_talk *talk, struct pg_round *round)
{
  struct entries_read *read = pg_reading_work(talk, sizeof *read);
  if (read->reading.stage == STAGE_BEGIN)
    return ask_newest(talk, read, round);
  if (!pg_reading_sound(talk))
    return pg_reading_end(talk, STORE_OK);
  switch (read->reading.stage) {
  case STAGE_NEWEST:
    return newest_known(talk, read, round);
  case STAGE_SEARCH:
    return search_next(talk, read, round);
  case STAGE_PAGE:
    if (!read->ended)
      return ask_page(talk, read, round);
    if (talk->request->list_entries.entries_count == 0)
      return pg_reading_end(talk, STORE_OK);
    return ask_beside(talk, read, round);
  default:
    CHECK(read->reading.stage == STAGE_BESIDE); /* the only stage that is left */
    return pg_reading_end(talk, STORE_OK);
  }
}

const struct pg_talk_ops pg_entries_talk = {
  .next = entries_next, .take = entries_take, .failed = pg_reading_failed};
