/* sqlite_index_check.c - does user_index lead where the journal and the refusals are?
 *
 * Happy path: one walk over the index; each row is followed, and the entry or the refusal that it
 *   leads to must have its user and its version or key. That nothing is missing from the index the
 *   caller sees by the counts, as the index has each version and each key once.
 * Ways to fail: a row that leads elsewhere (told, not an error); the store cannot be read. */
#include "adapters/store_sqlite/sqlite_engine.h"

struct index_check {
  struct sqlite_db *db;
  uint32_t first, count;
  struct store_index_counts *counts;
  bool (*each)(void *arg, hf_id user);
  void *arg;
};

struct index_row {
  hf_id user;
  bool is_key;
  uint64_t version;     /* of the entry, unless it is a key */
  struct hf_digest key; /* else */
  int64_t ref;          /* sequence number, or -id of a refusal */
};

static bool leads_to_refusal(struct index_check *check, const struct index_row *row)
{
  struct sqlite_row refusal = {.statement = sqlite_db_use(check->db, SQL_OUTCOME_GET)};
  struct store_outcome outcome;
  if (!row->is_key || row->ref == INT64_MIN)
    return false;
  sqlite_bind_id(refusal.statement, 1, (uint64_t)-row->ref);
  if (sqlite_first(refusal.statement) != STORE_OK)
    return false;
  sqlite_row_outcome(&refusal, &outcome);
  (void)sqlite3_reset(refusal.statement);
  return !refusal.corrupt && outcome.user == row->user && hf_digest_equal(&outcome.key, &row->key);
}

static bool leads_to_entry(struct index_check *check, const struct index_row *row)
{
  uint32_t partition = hf_id_partition(row->user, check->db->partition_bits);
  struct sqlite_row at = {.statement = sqlite_db_use_journal(check->db, JOURNAL_GET, partition)};
  struct hf_arena arena = {NULL};
  struct ledger_entry entry;
  sqlite_bind_id(at.statement, 1, (uint64_t)row->ref);
  if (sqlite_first(at.statement) != STORE_OK)
    return false;
  sqlite_row_entry(&at, check->db, partition, &arena, &entry, NULL);
  (void)sqlite3_reset(at.statement);
  hf_arena_free(&arena);
  if (at.corrupt || entry.user != row->user)
    return false;
  return row->is_key ? entry.op_index == 0 && hf_digest_equal(&entry.key, &row->key)
                     : entry.version == row->version;
}

/* False: the walk ends. */
static bool check_row(struct index_check *check, struct sqlite_row *at)
{
  struct index_row row = {.user = sqlite_column_unsigned(at, 0, HF_ID_MAX)};
  uint32_t partition = hf_id_partition(row.user, check->db->partition_bits);
  if (!at->corrupt && (partition < check->first || partition - check->first >= check->count))
    return true;
  row.is_key = sqlite3_column_type(at->statement, 1) == SQLITE_BLOB;
  if (row.is_key)
    sqlite_column_bytes(at, 1, row.key.bytes, sizeof row.key.bytes);
  else
    row.version = sqlite_column_unsigned(at, 1, INT64_MAX);
  row.ref = sqlite3_column_int64(at->statement, 2);
  bool sound = !at->corrupt;
  at->corrupt = false; /* a row that is no row of ours leads nowhere */
  if (!sound || row.ref == 0 ||
      !(row.ref < 0 ? leads_to_refusal(check, &row) : leads_to_entry(check, &row)))
    return check->each(check->arg, row.user);
  struct store_index_counts *counts = &check->counts[partition - check->first];
  if (row.ref < 0)
    counts->refusals++;
  else if (row.is_key)
    counts->keys++;
  else
    counts->versions++;
  return true;
}

enum hf_error sqlite_check_index(struct store_engine *base, uint32_t first, uint32_t count,
                                 struct store_index_counts *ret_counts,
                                 bool (*each)(void *arg, hf_id user), void *arg)
{
  struct sqlite_engine *engine = (struct sqlite_engine *)(void *)base; /* its first member */
  struct sqlite_db *db = sqlite_engine_take_reader(engine);
  struct index_check check = {
    .db = db, .first = first, .count = count, .counts = ret_counts, .each = each, .arg = arg};
  int code = SQLITE_ROW;
  bool go_on = true;
  for (uint32_t i = 0; i < count; i++)
    ret_counts[i] = (struct store_index_counts){0};
  if (sqlite_db_do(db, SQL_BEGIN_READ) == SQLITE_OK) {
    struct sqlite_row row = {.statement = sqlite_db_use(db, SQL_INDEX_EACH)};
    while (go_on && (code = sqlite3_step(row.statement)) == SQLITE_ROW)
      go_on = check_row(&check, &row);
    (void)sqlite3_reset(row.statement);
  }
  if (sqlite_db_do(db, SQL_COMMIT) != SQLITE_OK)
    sqlite_db_close(db);
  sqlite_engine_return_reader(engine, db);
  if (code == SQLITE_DONE || !go_on)
    return HF_OK;
  return sqlite_status(code) == STORE_CORRUPT ? HF_E_INTERNAL : HF_E_UNAVAILABLE;
}
