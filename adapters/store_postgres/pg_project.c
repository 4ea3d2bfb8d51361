/* pg_project.c - carries the journal on into ledger_balances and system_totals, lazily.
 *
 * Happy path: the mark; the next entries behind it; then one statement that moves the mark, if it
 *   is still there, and with it writes the newest balance of each user and asset, and adds what the
 *   system accounts gained and lost.
 * Ways to fail: as any write; a mark that somebody else moved (nothing is written, there is more to
 *   do); an answer that is lost: the mark says how far it got.
 * Invariant: both tables are the fold of the entries up to the mark, no more and no less. */
#include <string.h>

#include "adapters/store_postgres/pg_read.h"

#define uthash_malloc(size) rt_alloc(size)
#define uthash_free(block, size) rt_free(block)
#include <uthash.h>

enum { STAGE_BEGIN, STAGE_MARK, STAGE_ENTRIES, STAGE_WRITE };

struct balance { /* the newest of a user's asset */
  struct {
    hf_id user;
    uint64_t asset;
  } key;
  struct ledger_entry *entry;
  UT_hash_handle hh;
};
struct total {       /* what the entries add to a system account */
  struct total_key { /* zeroed before it is filled: compared as bytes */
    uint16_t asset;
    uint8_t account;
    char label[LEDGER_LABEL_MAX + 1];
  } key;
  hf_amount sum;
  UT_hash_handle hh;
};

struct project {
  struct pg_reading reading; /* first */
  bool found, moved;
  uint64_t mark;
  size_t count; /* of entries */
  struct ledger_entry *entries;
};

/* ---- the fold of a page ---------------------------------------------------------------------- */

struct fold {
  struct hf_arena *arena;
  struct balance *balances;
  struct total *totals;
};

static void fold_balance(struct fold *fold, struct ledger_entry *entry)
{
  struct balance *balance, key;
  memset(&key, 0, sizeof key);
  key.key.user = entry->user;
  key.key.asset = entry->asset;
  HASH_FIND(hh, fold->balances, &key.key, sizeof key.key, balance);
  if (balance == NULL) {
    balance = hf_arena_alloc(fold->arena, sizeof *balance);
    balance->key = key.key;
    HASH_ADD(hh, fold->balances, key, sizeof balance->key, balance);
  }
  balance->entry = entry;
}

static bool fold_total(struct fold *fold, const struct ledger_entry *entry, unsigned account,
                       hf_amount amount)
{
  struct total_key key;
  struct total *total;
  if (ledger_is_bucket(account))
    return true;
  memset(&key, 0, sizeof key);
  key.asset = entry->asset;
  key.account = (uint8_t)account;
  memcpy(key.label, entry->label, strlen(entry->label));
  HASH_FIND(hh, fold->totals, &key, sizeof key, total);
  if (total == NULL) {
    total = hf_arena_alloc(fold->arena, sizeof *total);
    total->key = key;
    HASH_ADD(hh, fold->totals, key, sizeof total->key, total);
  }
  return hf_amount_add(total->sum, amount, &total->sum);
}

/* ---- writing --------------------------------------------------------------------------------- */

static void put_users(struct pg_round *round, struct fold *fold)
{
  size_t count = HASH_COUNT(fold->balances);
  pg_arg_array(round, PG_INT8, count);
  for (struct balance *at = fold->balances; at != NULL; at = at->hh.next)
    pg_item_int8(round, (int64_t)at->entry->user);
  pg_arg_array(round, PG_INT4, count);
  for (struct balance *at = fold->balances; at != NULL; at = at->hh.next)
    pg_item_int4(round, at->entry->asset);
  pg_arg_array(round, PG_INT8, count);
  for (struct balance *at = fold->balances; at != NULL; at = at->hh.next)
    pg_item_int8(round, (int64_t)at->entry->version);
  pg_arg_array(round, PG_TEXT, count);
  for (struct balance *at = fold->balances; at != NULL; at = at->hh.next) {
    char text[(LEDGER_BUCKET_COUNT + 2u) * HF_AMOUNT_TEXT_MAX];
    size_t size = pg_balance_text(&at->entry->after, text);
    pg_item_text(round, (struct store_text){text, size});
  }
}

static void put_totals(struct pg_round *round, struct fold *fold)
{
  size_t count = HASH_COUNT(fold->totals);
  pg_arg_array(round, PG_INT2, count);
  for (struct total *at = fold->totals; at != NULL; at = at->hh.next)
    pg_item_int2(round, at->key.account);
  pg_arg_array(round, PG_INT4, count);
  for (struct total *at = fold->totals; at != NULL; at = at->hh.next)
    pg_item_int4(round, at->key.asset);
  pg_arg_array(round, PG_TEXT, count);
  for (struct total *at = fold->totals; at != NULL; at = at->hh.next)
    pg_item_text(round, (struct store_text){at->key.label, strlen(at->key.label)});
  pg_arg_array(round, PG_TEXT, count);
  for (struct total *at = fold->totals; at != NULL; at = at->hh.next) {
    char text[HF_AMOUNT_TEXT_MAX];
    size_t size = hf_amount_format(at->sum, 0, text);
    pg_item_text(round, (struct store_text){text, size});
  }
}

static bool ask_write(struct pg_talk *talk, struct project *project, struct pg_round *round)
{
  struct fold fold = {.arena = &talk->request->arena};
  bool fits = true;
  for (size_t i = 0; fits && i < project->count; i++) {
    struct ledger_entry *entry = &project->entries[i];
    fold_balance(&fold, entry);
    fits = fold_total(&fold, entry, entry->from, -entry->amount) &&
           fold_total(&fold, entry, entry->to, entry->amount);
  }
  if (fits) {
    project->reading.stage = STAGE_WRITE;
    pg_round_in(round, PG_PROJECT_WRITE, talk->request->project.partition);
    pg_arg_int8(round, (int64_t)project->mark);
    pg_arg_int8(round, (int64_t)(project->mark + project->count));
    put_users(round, &fold);
    put_totals(round, &fold);
  }
  HASH_CLEAR(hh, fold.balances);
  HASH_CLEAR(hh, fold.totals);
  return fits ? true : pg_reading_end(talk, STORE_CORRUPT);
}

size_t pg_balance_text(const struct ledger_balance *balance, char *out)
{
  size_t size = 0;
  for (unsigned i = 0; i < LEDGER_BUCKET_COUNT + 2u; i++) {
    hf_amount amount = i < LEDGER_BUCKET_COUNT    ? balance->bucket[i]
                       : i == LEDGER_BUCKET_COUNT ? balance->claimed_total
                                                  : balance->spent_total;
    if (i > 0)
      out[size++] = ' ';
    size += hf_amount_format(amount, 0, out + size);
  }
  return size;
}

/* ---- the talk -------------------------------------------------------------------------------- */

static void take_entries(const struct pg_talk *talk, struct project *project, struct pg_rows *rows)
{
  struct hf_arena *arena = &talk->request->arena;
  project->count = (size_t)PQntuples(rows->result);
  project->entries = hf_arena_alloc(arena, project->count * sizeof *project->entries);
  for (rows->row = 0; rows->row < (int)project->count && !rows->corrupt; rows->row++) {
    struct ledger_entry *entry = &project->entries[rows->row];
    pg_row_entry(rows, 0, talk->request->project.partition, talk->database->partition_bits, arena,
                 entry, NULL);
    /* Sequence numbers have no gaps. */
    if (hf_id_serial(entry->id, talk->database->partition_bits) !=
        project->mark + 1u + (uint64_t)rows->row)
      rows->corrupt = true;
  }
}

static void project_take(struct pg_talk *talk, unsigned index, const PGresult *result)
{
  struct project *project = talk->work;
  struct pg_rows rows = {.result = result};
  CHECK(index == 0);
  switch (project->reading.stage) {
  case STAGE_MARK:
    project->found = PQntuples(result) > 0;
    if (project->found)
      project->mark = pg_get_unsigned(&rows, 0, HF_ID_MAX);
    break;
  case STAGE_ENTRIES:
    take_entries(talk, project, &rows);
    break;
  default:
    CHECK(project->reading.stage == STAGE_WRITE); /* the only stage that is left */
    project->moved = PQntuples(result) > 0;
  }
  project->reading.corrupt = rows.corrupt;
}

static bool project_next(struct pg_talk *talk, struct pg_round *round)
{
  struct project *project = pg_reading_work(talk, sizeof *project);
  struct store_request *request = talk->request;
  if (project->reading.stage == STAGE_BEGIN) {
    request->project.more = false;
    project->reading.stage = STAGE_MARK;
    pg_round_in(round, PG_PROJECT_MARK, request->project.partition);
    return true;
  }
  if (!pg_reading_sound(talk))
    return pg_reading_end(talk, STORE_OK);
  switch (project->reading.stage) {
  case STAGE_MARK:
    if (!project->found)
      return pg_reading_end(talk, STORE_CORRUPT); /* the schema made a row for each partition */
    project->reading.stage = STAGE_ENTRIES;
    pg_round_in(round, PG_ENTRIES_FROM, request->project.partition);
    pg_arg_int8(round, (int64_t)project->mark + 1);
    pg_arg_int8(round, request->project.limit);
    return true;
  case STAGE_ENTRIES:
    return project->count == 0 ? pg_reading_end(talk, STORE_OK) : ask_write(talk, project, round);
  default:
    CHECK(project->reading.stage == STAGE_WRITE); /* the only stage that is left */
    /* Perhaps there is nothing more: the next call finds out. */
    request->project.more = !project->moved || project->count == request->project.limit;
    return pg_reading_end(talk, STORE_OK);
  }
}

const struct pg_talk_ops pg_project_talk = {
  .next = project_next, .take = project_take, .failed = pg_reading_failed};
