/* pg_read_scan.c - a page of a partition's journal, with what lies beside its entries.
 *
 * Happy path: the entries with their bytes; a second round for metadata and, if they are wanted,
 *   the newest reversals. Both come in the order of the journal. */
#include "adapters/store_postgres/pg_read.h"

enum { STAGE_BEGIN, STAGE_ENTRIES, STAGE_BESIDE };
#define KEY_COLUMN 5 /* behind PG_ENTRY_COLUMNS */

struct scan_read {
  struct pg_reading reading; /* first */
};

/* The column by which a repeated key is found was written from the entry: an op's first one, if a
 * client named it. */
static bool key_fits(struct pg_rows *rows, const struct ledger_entry *entry)
{
  static const struct hf_digest none;
  struct hf_digest key = {0};
  bool named = entry->op_index == 0 && !hf_digest_equal(&entry->key, &none);
  if (pg_is_null(rows, KEY_COLUMN))
    return !named;
  pg_get_bytes(rows, KEY_COLUMN, key.bytes, sizeof key.bytes);
  return named && hf_digest_equal(&entry->key, &key);
}

static void take_entries(const struct pg_talk *talk, struct pg_rows *rows)
{
  struct hf_arena *arena = &talk->request->arena;
  struct store_scan *scan = &talk->request->scan;
  size_t count = (size_t)PQntuples(rows->result);
  scan->entries_count = count;
  scan->entries = hf_arena_alloc(arena, count * sizeof *scan->entries);
  scan->bodies = hf_arena_alloc(arena, count * sizeof *scan->bodies);
  scan->metadata = hf_arena_alloc(arena, count * sizeof *scan->metadata);
  scan->salts = hf_arena_alloc(arena, count * sizeof *scan->salts);
  if (scan->reversals)
    scan->reversed_by = hf_arena_alloc(arena, count * sizeof *scan->reversed_by);
  for (rows->row = 0; rows->row < (int)count && !rows->corrupt; rows->row++) {
    pg_row_entry(rows, 0, scan->partition, talk->database->partition_bits, arena,
                 &scan->entries[rows->row], &scan->bodies[rows->row]);
    if (!rows->corrupt && !key_fits(rows, &scan->entries[rows->row]))
      rows->corrupt = true;
  }
}

/* The first entry of the op, from `*at` on; rows come in the order of ops. False: none. */
static bool find_op(const struct pg_talk *talk, hf_id op, size_t *at)
{
  const struct store_scan *scan = &talk->request->scan;
  unsigned bits = talk->database->partition_bits;
  while (*at < scan->entries_count && ledger_entry_op(&scan->entries[*at], bits) < op)
    (*at)++;
  return *at < scan->entries_count && ledger_entry_op(&scan->entries[*at], bits) == op;
}

static void take_metadata(const struct pg_talk *talk, struct pg_rows *rows)
{
  struct store_scan *scan = &talk->request->scan;
  unsigned bits = talk->database->partition_bits;
  size_t at = 0;
  for (rows->row = 0; rows->row < PQntuples(rows->result) && !rows->corrupt; rows->row++) {
    hf_id op = pg_get_id(rows, 0);
    struct store_text json = pg_copy_text(rows, 1, &talk->request->arena);
    struct store_salt salt = {{0}};
    if (json.at == NULL)
      continue; /* erased */
    pg_get_bytes(rows, 2, salt.bytes, sizeof salt.bytes);
    if (!find_op(talk, op, &at))
      rows->corrupt = true;
    for (; at < scan->entries_count && ledger_entry_op(&scan->entries[at], bits) == op; at++) {
      scan->metadata[at] = json;
      scan->salts[at] = salt;
    }
  }
}

static void take_reversals(const struct pg_talk *talk, struct pg_rows *rows)
{
  struct store_scan *scan = &talk->request->scan;
  size_t at = 0;
  for (rows->row = 0; rows->row < PQntuples(rows->result) && !rows->corrupt; rows->row++) {
    hf_id original = pg_get_id(rows, 0);
    if (find_op(talk, original, &at) && scan->entries[at].op_index == 0)
      scan->reversed_by[at] = pg_get_id(rows, 1); /* the last of several is the newest */
  }
}

static void scan_take(struct pg_talk *talk, unsigned index, const PGresult *result)
{
  struct scan_read *read = talk->work;
  struct pg_rows rows = {.result = result};
  if (read->reading.stage == STAGE_ENTRIES)
    take_entries(talk, &rows);
  else if (index == 0)
    take_metadata(talk, &rows);
  else
    take_reversals(talk, &rows);
  read->reading.corrupt = read->reading.corrupt || rows.corrupt;
}

static void ask_beside(const struct pg_talk *talk, struct pg_round *round)
{
  const struct store_scan *scan = &talk->request->scan;
  unsigned bits = talk->database->partition_bits, steps = scan->reversals ? 2 : 1;
  for (unsigned step = 0; step < steps; step++) {
    size_t ops = 0;
    hf_id before = 0;
    for (unsigned pass = 0; pass < 2; pass++) {
      if (pass == 1) {
        pg_round_in(round, step == 0 ? PG_METADATA_OF : PG_REVERSALS_OF, scan->partition);
        pg_arg_array(round, PG_INT8, ops);
      }
      before = 0;
      for (size_t i = 0; i < scan->entries_count; i++) {
        hf_id op = ledger_entry_op(&scan->entries[i], bits);
        if (op == before)
          continue;
        before = op;
        if (pass == 0)
          ops++;
        else
          pg_item_int8(round, (int64_t)op);
      }
    }
  }
}

static bool scan_next(struct pg_talk *talk, struct pg_round *round)
{
  struct scan_read *read = pg_reading_work(talk, sizeof *read);
  struct store_scan *scan = &talk->request->scan;
  if (read->reading.stage == STAGE_BEGIN) {
    scan->entries_count = 0;
    scan->reversed_by = NULL;
    read->reading.stage = STAGE_ENTRIES;
    pg_round_in(round, PG_ENTRIES_FROM, scan->partition);
    pg_arg_int8(round, (int64_t)scan->from_seq);
    pg_arg_int8(round, scan->limit);
    return true;
  }
  if (!pg_reading_sound(talk) || read->reading.stage == STAGE_BESIDE || scan->entries_count == 0)
    return pg_reading_end(talk, STORE_OK);
  read->reading.stage = STAGE_BESIDE;
  ask_beside(talk, round);
  return true;
}

const struct pg_talk_ops pg_scan_talk = {
  .next = scan_next, .take = scan_take, .failed = pg_reading_failed};
