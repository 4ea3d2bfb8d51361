/* sqlite_history.c - the requests that walk the journal: a user's entries, balances at a time, a
 * partition's rows. None looks at more than it was asked for, but for a binary search over the
 * user's versions: those have no gaps, and their times grow with them. */
#include "adapters/store/effective.h"
#include "adapters/store_sqlite/sqlite_engine.h"

/* The user's entry of that version. */
static enum store_status entry_of(struct sqlite_db *db, hf_id user, uint64_t version,
                                  struct hf_arena *arena, struct ledger_entry *ret_entry)
{
  hf_id id;
  enum store_status status = sqlite_index_version(db, user, version, &id);
  if (status == STORE_OK)
    status = sqlite_get_entry(db, id, arena, ret_entry);
  if (status == STORE_NOT_FOUND ||
      (status == STORE_OK && (ret_entry->user != user || ret_entry->version != version)))
    return STORE_CORRUPT;
  return status;
}

/* The newest version that was recorded before `time_us`, of those up to `newest`; 0: none. */
static enum store_status version_before(struct sqlite_db *db, hf_id user, uint64_t newest,
                                        int64_t time_us, uint64_t *ret_version)
{
  uint64_t low = 0, high = newest;
  enum store_status status = STORE_OK;
  struct hf_arena arena = {NULL};
  while (low < high && status == STORE_OK) {
    uint64_t middle = high - (high - low) / 2u;
    struct ledger_entry entry;
    status = entry_of(db, user, middle, &arena, &entry);
    if (status == STORE_OK && entry.recorded_us < time_us)
      low = middle;
    else
      high = middle - 1u;
  }
  hf_arena_free(&arena);
  *ret_version = low;
  return status;
}

/* Where a user's history begins to be read: at the newest version, or at the newest that was
 * recorded before a time (NULL: any). */
static enum store_status start_of(struct sqlite_db *db, hf_id user, const int64_t *before_us,
                                  bool *ret_found, uint64_t *ret_version)
{
  hf_id id;
  *ret_version = 0;
  enum store_status status = sqlite_user_exists(db, user, ret_found);
  if (status != STORE_OK || !*ret_found)
    return status;
  status = sqlite_index_newest(db, user, ret_version, &id);
  if (status == STORE_OK && before_us != NULL)
    status = version_before(db, user, *ret_version, *before_us, ret_version);
  return status;
}

/* ---- a user's entries ------------------------------------------------------------------------ */

/* What became of the op that the entry is the first of. */
static enum store_status list_reversals(struct sqlite_db *db, struct store_request *request,
                                        size_t at)
{
  struct store_list_entries *list = &request->list_entries;
  struct store_reversal_row *rows;
  size_t count;
  enum store_status status =
    sqlite_get_reversals(db, list->entries[at].id, &request->arena, &rows, &count);
  for (size_t i = 0; status == STORE_OK && i < count; i++) {
    if (!hf_amount_add(list->reversed[at], rows[i].amount, &list->reversed[at]))
      status = STORE_CORRUPT;
    list->reversed_by[at] = rows[i].op;
  }
  return status;
}

static enum store_status list_add(struct sqlite_db *db, struct store_request *request,
                                  const struct ledger_entry *entry)
{
  struct store_list_entries *list = &request->list_entries;
  size_t at = list->entries_count++;
  hf_id op = ledger_entry_op(entry, db->partition_bits);
  list->entries[at] = *entry;
  enum store_status status =
    sqlite_get_metadata(db, op, &request->arena, &list->metadata[at], NULL);
  if (status == STORE_OK && entry->op_index == 0)
    status = list_reversals(db, request, at);
  return status;
}

static void list_init(struct store_request *request)
{
  struct store_list_entries *list = &request->list_entries;
  list->more = false;
  list->next_before = 0;
  list->entries_count = 0;
  list->entries = hf_arena_alloc(&request->arena, list->limit * sizeof(*list->entries));
  list->metadata = hf_arena_alloc(&request->arena, list->limit * sizeof(*list->metadata));
  list->reversed = hf_arena_alloc(&request->arena, list->limit * sizeof(*list->reversed));
  list->reversed_by = hf_arena_alloc(&request->arena, list->limit * sizeof(*list->reversed_by));
}

enum store_status sqlite_list_entries(struct sqlite_db *db, struct store_request *request)
{
  struct store_list_entries *list = &request->list_entries;
  uint64_t version, scanned = 0;
  CHECK(list->limit > 0 && list->scan_max > 0);
  list_init(request);
  enum store_status status =
    start_of(db, list->user, list->to_us == 0 ? NULL : &list->to_us, &list->user_found, &version);
  if (list->before_version != 0 && list->before_version <= version)
    version = list->before_version - 1u;
  for (; status == STORE_OK && version > 0; version--) {
    struct ledger_entry entry;
    status = entry_of(db, list->user, version, &request->arena, &entry);
    if (status != STORE_OK || (list->from_us != 0 && entry.recorded_us < list->from_us))
      break;
    if (list->entries_count == list->limit || scanned == list->scan_max) {
      list->more = true;
      list->next_before = version + 1u;
      break;
    }
    scanned++;
    if ((list->asset == 0 || entry.asset == list->asset) &&
        (list->type == 0 || entry.type == list->type))
      status = list_add(db, request, &entry);
  }
  return status;
}

/* ---- balances at a time ---------------------------------------------------------------------- */

static void take_balance(const struct ledger_entry *entry, struct ledger_asset *ret_asset)
{
  ret_asset->version = entry->version;
  ret_asset->asset = entry->asset;
  ret_asset->balance = entry->after;
}

/* The balances after the user's entry of balance_at.version, which is there, and its id. */
static enum store_status recorded_balances(struct sqlite_db *db, struct store_request *request,
                                           hf_id *ret_newest)
{
  hf_id user = request->balance_at.user;
  struct ledger_entry newest, entry;
  size_t count = 0;
  enum store_status status =
    entry_of(db, user, request->balance_at.version, &request->arena, &newest);
  if (status != STORE_OK)
    return status;
  *ret_newest = newest.id;
  struct ledger_asset *out =
    hf_arena_alloc(&request->arena, (1u + newest.others_count) * sizeof(*out));
  /* The others ascend by asset; the newest's own stands where it belongs. */
  for (unsigned i = 0; i < newest.others_count; i++) {
    if (count == i && newest.asset < newest.others[i].asset)
      take_balance(&newest, &out[count++]);
    status = entry_of(db, user, newest.others[i].version, &request->arena, &entry);
    if (status != STORE_OK)
      return status;
    take_balance(&entry, &out[count++]);
  }
  if (count == newest.others_count)
    take_balance(&newest, &out[count++]);
  request->balance_at.count = count;
  request->balance_at.out = out;
  return STORE_OK;
}

/* Adds what came after the entry `newest` (0: none) and was effective by then. */
static enum store_status add_backdated(struct sqlite_db *db, struct store_request *request,
                                       hf_id newest)
{
  struct sqlite_row row = {.statement = sqlite_db_use(db, SQL_BACKDATED_AFTER)};
  enum store_status status = effective_begin(request);
  int code = SQLITE_DONE;
  sqlite_bind_id(row.statement, 1, request->balance_at.user);
  sqlite_bind_id(row.statement, 2, hf_id_serial(newest, db->partition_bits));
  sqlite_bind_time(row.statement, 3, request->balance_at.at_us);
  while (status == STORE_OK && (code = sqlite3_step(row.statement)) == SQLITE_ROW) {
    uint16_t asset = (uint16_t)sqlite_column_unsigned(&row, 0, UINT16_MAX);
    unsigned from = (unsigned)sqlite_column_unsigned(&row, 1, UINT8_MAX);
    unsigned to = (unsigned)sqlite_column_unsigned(&row, 2, UINT8_MAX);
    hf_amount amount = sqlite_column_amount(&row, 3);
    status = row.corrupt ? STORE_CORRUPT : effective_add(request, asset, from, to, amount);
  }
  (void)sqlite3_reset(row.statement);
  return status == STORE_OK && code != SQLITE_DONE ? sqlite_status(code) : status;
}

enum store_status sqlite_balance_at(struct sqlite_db *db, struct store_request *request)
{
  bool any_time = request->balance_at.at_us == INT64_MAX;
  int64_t after_us = any_time ? 0 : request->balance_at.at_us + 1;
  hf_id newest = 0;
  request->balance_at.overflow = false;
  request->balance_at.count = 0;
  request->balance_at.out = NULL;
  enum store_status status =
    start_of(db, request->balance_at.user, any_time ? NULL : &after_us,
             &request->balance_at.user_found, &request->balance_at.version);
  if (status == STORE_OK && request->balance_at.version > 0)
    status = recorded_balances(db, request, &newest);
  if (status == STORE_OK && request->balance_at.effective && request->balance_at.user_found)
    status = add_backdated(db, request, newest);
  return status;
}

/* ---- a partition's journal ------------------------------------------------------------------- */

static enum store_status scan_reversals(struct sqlite_db *db, struct store_request *request)
{
  struct store_scan *scan = &request->scan;
  enum store_status status = STORE_OK;
  scan->reversed_by =
    hf_arena_alloc(&request->arena, scan->entries_count * sizeof(*scan->reversed_by));
  for (size_t i = 0; status == STORE_OK && i < scan->entries_count; i++) {
    struct store_reversal_row *rows;
    size_t count = 0;
    if (scan->entries[i].op_index == 0)
      status = sqlite_get_reversals(db, scan->entries[i].id, &request->arena, &rows, &count);
    if (status == STORE_OK && count > 0)
      scan->reversed_by[i] = rows[count - 1u].op;
  }
  return status;
}

enum store_status sqlite_scan(struct sqlite_db *db, struct store_request *request)
{
  struct store_scan *scan = &request->scan;
  struct sqlite_row row = {.statement = sqlite_db_use_journal(db, JOURNAL_SCAN, scan->partition)};
  enum store_status status = STORE_OK;
  void *entries = NULL, *bodies = NULL;
  size_t entries_room = 0, bodies_room = 0, bodies_count = 0;
  int code;
  scan->entries_count = 0;
  scan->reversed_by = NULL;
  sqlite_bind_id(row.statement, 1, scan->from_seq);
  sqlite_bind_id(row.statement, 2, scan->limit);
  while ((code = sqlite3_step(row.statement)) == SQLITE_ROW) {
    struct ledger_entry *entry =
      hf_arena_push(&request->arena, &entries, &scan->entries_count, &entries_room, sizeof(*entry));
    struct store_text *body =
      hf_arena_push(&request->arena, &bodies, &bodies_count, &bodies_room, sizeof(*body));
    sqlite_row_entry(&row, db, scan->partition, &request->arena, entry, body);
  }
  (void)sqlite3_reset(row.statement);
  scan->entries = entries;
  scan->bodies = bodies;
  scan->metadata = hf_arena_alloc(&request->arena, scan->entries_count * sizeof(*scan->metadata));
  scan->salts = hf_arena_alloc(&request->arena, scan->entries_count * sizeof(*scan->salts));
  if (code != SQLITE_DONE)
    return sqlite_status(code);
  if (row.corrupt)
    return STORE_CORRUPT;
  for (size_t i = 0; status == STORE_OK && i < scan->entries_count; i++)
    status = sqlite_get_metadata(db, ledger_entry_op(&scan->entries[i], db->partition_bits),
                                 &request->arena, &scan->metadata[i], &scan->salts[i]);
  return status == STORE_OK && scan->reversals ? scan_reversals(db, request) : status;
}
