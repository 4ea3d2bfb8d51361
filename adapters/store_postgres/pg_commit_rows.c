/* pg_commit_rows.c - rows of a commit, a list for each table.
 *
 * A statement works on all rows of a table at once, but a commit may insert a row and change it in
 * the units behind: what one key goes through is folded into its last state first. */
#include <stdlib.h>
#include <string.h>

#include "adapters/store_postgres/pg_commit.h"
#include "holdfast/check.h"

struct writer { /* the rows of one statement */
  struct pg_round *round;
  unsigned partition_bits;
  const struct store_row **at;
  size_t count;
  bool all; /* every column; else those of an update: the key and what changes */
};

/* ---- keys ------------------------------------------------------------------------------------ */

static uint8_t *key_number(uint8_t *at, uint64_t number)
{
  for (unsigned i = 8; i-- > 0; number >>= 8)
    at[i] = (uint8_t)number;
  return at + 8;
}

/* Of a row whose key is one id. */
static hf_id id_of(const struct store_row *row)
{
  switch (row->table) {
  case STORE_T_USER:
    return row->user.id;
  case STORE_T_HOLD:
    return row->hold.id;
  case STORE_T_BLOCK:
    return row->block.id;
  case STORE_T_TRANSFER:
    return row->transfer.id;
  default:
    CHECK(row->table == STORE_T_META);
    return row->meta.op;
  }
}

static void key_of(const struct store_row *row, uint8_t key[PG_ROW_KEY])
{
  memset(key, 0, PG_ROW_KEY);
  switch (row->table) {
  case STORE_T_NAME:
    (void)key_number(key, (uint64_t)row->name.partition << 8 | row->name.kind);
    memcpy(key + 8, row->name.digest.bytes, HF_HASH_SIZE);
    break;
  case STORE_T_ASSET:
    (void)key_number(key, row->asset->id);
    break;
  case STORE_T_KEY:
    memcpy(key, row->key->id, sizeof row->key->id);
    break;
  case STORE_T_REVERSAL:
    (void)key_number(key_number(key, row->reversal.original), row->reversal.op);
    break;
  default:
    (void)key_number(key, id_of(row));
  }
}
_Static_assert(8u + HF_HASH_SIZE <= PG_ROW_KEY && HF_KEY_ID_MAX + 1u <= PG_ROW_KEY, "room for all");

static int compare(const void *a, const void *b)
{
  const struct pg_commit_row *left = a, *right = b;
  int order = memcmp(left->key, right->key, PG_ROW_KEY);
  if (order != 0)
    return order;
  if (left->unit != right->unit)
    return left->unit < right->unit ? -1 : 1;
  return left->row < right->row ? -1 : left->row > right->row; /* of one unit: one array */
}

static void list_sort(struct pg_commit_list *list)
{
  for (size_t i = 0; i < list->count; i++)
    key_of(list->at[i].row, list->at[i].key);
  qsort(list->at, list->count, sizeof *list->at, compare);
  list->sorted = true;
}

/* One past the last row that has the key of the one at `first`. */
static size_t group_end(const struct pg_commit_list *list, size_t first)
{
  size_t end = first + 1u;
  while (end < list->count && memcmp(list->at[end].key, list->at[first].key, PG_ROW_KEY) == 0)
    end++;
  return end;
}

void pg_commit_rows_init(struct pg_commit_rows *rows, struct store_request *request,
                         unsigned partition_bits)
{
  size_t room[PG_ROW_TABLES] = {0};
  bool changes[PG_ROW_TABLES] = {false};
  *rows = (struct pg_commit_rows){.partition_bits = partition_bits, .arena = &request->arena};
  for (size_t i = 0; i < request->commit.units_count; i++) {
    const struct store_unit *unit = request->commit.units[i];
    for (unsigned j = 0; j < unit->rows_count; j++) {
      CHECK(unit->rows[j].table > 0 && unit->rows[j].table < PG_ROW_TABLES);
      room[unit->rows[j].table]++;
      changes[unit->rows[j].table] |= unit->rows[j].action != STORE_INSERT;
    }
  }
  for (unsigned table = 1; table < PG_ROW_TABLES; table++)
    if (room[table] > 0)
      rows->lists[table].at = hf_arena_alloc(rows->arena, room[table] * sizeof *rows->lists[0].at);
  for (size_t i = 0; i < request->commit.units_count; i++) {
    const struct store_unit *unit = request->commit.units[i];
    for (unsigned j = 0; j < unit->rows_count; j++) {
      struct pg_commit_list *list = &rows->lists[unit->rows[j].table];
      list->at[list->count++] = (struct pg_commit_row){.row = &unit->rows[j], .unit = (uint32_t)i};
    }
  }
  for (unsigned table = 1; table < PG_ROW_TABLES; table++)
    if (changes[table])
      list_sort(&rows->lists[table]);
}

/* ---- columns --------------------------------------------------------------------------------- */

/* One array argument: `put` adds the element of `row`. */
#define COLUMN(w, type, put)                                                                       \
  do {                                                                                             \
    pg_arg_array((w)->round, type, (w)->count);                                                    \
    for (size_t i_ = 0; i_ < (w)->count; i_++) {                                                   \
      const struct store_row *row = (w)->at[i_];                                                   \
      put;                                                                                         \
    }                                                                                              \
  } while (0)
#define INT2(w, value) COLUMN(w, PG_INT2, pg_item_int2((w)->round, (int)(value)))
#define INT4(w, value) COLUMN(w, PG_INT4, pg_item_int4((w)->round, (int32_t)(value)))
#define INT8(w, value) COLUMN(w, PG_INT8, pg_item_int8((w)->round, (int64_t)(value)))
#define BOOL(w, value) COLUMN(w, PG_BOOL, pg_item_bool((w)->round, value))
#define AMOUNT(w, value) COLUMN(w, PG_BYTEA, pg_item_amount((w)->round, value))
#define BYTES(w, value) COLUMN(w, PG_BYTEA, pg_item_bytes((w)->round, value, sizeof(value)))
#define UUID(w, value) COLUMN(w, PG_UUID, pg_item_uuid((w)->round, (value).bytes))
#define TEXT(w, value) COLUMN(w, PG_TEXT, pg_item_text((w)->round, value))
#define CHARS(w, value) COLUMN(w, PG_TEXT, pg_item_bytes((w)->round, value, strlen(value)))
#define PARTITION(w, id) INT2(w, hf_id_partition(id, (w)->partition_bits))

static void write_users(struct writer *w)
{
  PARTITION(w, row->user.id);
  INT8(w, row->user.id);
  if (!w->all) {
    INT2(w, row->user.status);
    return;
  }
  INT2(w, row->user.kind);
  INT2(w, row->user.status);
  INT8(w, row->user.created_us);
  TEXT(w, row->user.external_id);
  TEXT(w, row->user.profile);
}

static void write_names(struct writer *w)
{
  INT2(w, row->name.partition);
  INT2(w, row->name.kind);
  BYTES(w, row->name.digest.bytes);
  INT2(w, row->name.state);
  INT8(w, row->name.user);
  if (!w->all)
    return;
  UUID(w, row->name.request);
  INT8(w, row->name.created_us);
}

static void write_assets(struct writer *w)
{
  INT4(w, row->asset->id);
  INT2(w, row->asset->scale);
  INT2(w, row->asset->chain_decimals);
  CHARS(w, row->asset->code);
  CHARS(w, row->asset->name);
  CHARS(w, row->asset->chain);
  CHARS(w, row->asset->contract);
  INT8(w, row->asset->created_us);
}

static void write_keys(struct writer *w)
{
  CHARS(w, row->key->id);
  INT8(w, row->key->revoked_us);
  if (!w->all)
    return;
  BYTES(w, row->key->secret.bytes);
  INT8(w, row->key->scopes);
  INT8(w, row->key->created_us);
  CHARS(w, row->key->name);
}

static void write_holds(struct writer *w)
{
  PARTITION(w, row->hold.id);
  INT8(w, row->hold.id);
  INT2(w, row->hold.state);
  AMOUNT(w, row->hold.remaining);
  INT8(w, row->hold.resolved_us);
  if (!w->all)
    return;
  INT8(w, row->hold.user);
  INT4(w, row->hold.asset);
  AMOUNT(w, row->hold.amount);
  INT8(w, row->hold.created_us);
  INT8(w, row->hold.expires_us);
}

static void write_blocks(struct writer *w)
{
  PARTITION(w, row->block.id);
  INT8(w, row->block.id);
  BOOL(w, row->block.open);
  AMOUNT(w, row->block.remaining);
  INT8(w, row->block.resolved_us);
  if (!w->all)
    return;
  INT8(w, row->block.user);
  INT4(w, row->block.asset);
  INT2(w, row->block.bucket);
  AMOUNT(w, row->block.amount);
  INT8(w, row->block.created_us);
}

static void write_transfers(struct writer *w)
{
  PARTITION(w, row->transfer.id);
  INT8(w, row->transfer.id);
  INT2(w, row->transfer.state);
  INT8(w, row->transfer.credit);
  if (!w->all)
    return;
  INT8(w, row->transfer.payer);
  INT8(w, row->transfer.payee);
  INT4(w, row->transfer.asset);
  AMOUNT(w, row->transfer.amount);
  INT8(w, row->transfer.created_us);
}

static void write_reversals(struct writer *w)
{
  PARTITION(w, row->reversal.original);
  INT8(w, row->reversal.original);
  INT8(w, row->reversal.op);
  AMOUNT(w, row->reversal.amount);
}

/* A row that is erased in the commit that brings it is brought without its text. */
static void write_metas(struct writer *w)
{
  PARTITION(w, row->meta.op);
  INT8(w, row->meta.op);
  if (!w->all)
    return;
  COLUMN(w, PG_BYTEA,
         row->meta.json.at == NULL
           ? pg_item_null(w->round)
           : pg_item_bytes(w->round, row->meta.salt, sizeof row->meta.salt));
  TEXT(w, row->meta.json);
}

static const struct table {
  enum pg_statement put, set, there;
  bool settable;
  void (*write)(struct writer *writer);
} tables[PG_ROW_TABLES] = {
  [STORE_T_USER] = {PG_USER_PUT, PG_USER_SET, PG_USER_THERE, true, write_users},
  [STORE_T_NAME] = {PG_NAME_PUT, PG_NAME_SET, PG_NAME_THERE, true, write_names},
  [STORE_T_ASSET] = {PG_ASSET_PUT, PG_ASSET_PUT, PG_ASSET_THERE, false, write_assets},
  [STORE_T_KEY] = {PG_KEY_PUT, PG_KEY_SET, PG_KEY_THERE, true, write_keys},
  [STORE_T_HOLD] = {PG_HOLD_PUT, PG_HOLD_SET, PG_HOLD_THERE, true, write_holds},
  [STORE_T_BLOCK] = {PG_BLOCK_PUT, PG_BLOCK_SET, PG_BLOCK_THERE, true, write_blocks},
  [STORE_T_TRANSFER] = {PG_TRANSFER_PUT, PG_TRANSFER_SET, PG_TRANSFER_THERE, true, write_transfers},
  [STORE_T_REVERSAL] = {PG_REVERSAL_PUT, PG_REVERSAL_PUT, PG_REVERSAL_THERE, false,
                        write_reversals},
  [STORE_T_META] = {PG_META_PUT, PG_META_ERASE, PG_META_THERE, true, write_metas},
};

/* ---- folding --------------------------------------------------------------------------------- */

/* `insert` with what `update` makes of it; of the arena. */
static const struct store_row *merged(struct hf_arena *arena, const struct store_row *insert,
                                      const struct store_row *update)
{
  struct store_row *row = hf_arena_copy(arena, insert, sizeof *insert);
  switch (row->table) {
  case STORE_T_USER:
    row->user.status = update->user.status;
    break;
  case STORE_T_NAME:
    row->name.state = update->name.state;
    row->name.user = update->name.user;
    break;
  case STORE_T_KEY:
    row->key = hf_arena_copy(arena, insert->key, sizeof *insert->key);
    row->key->revoked_us = update->key->revoked_us;
    break;
  case STORE_T_HOLD:
    row->hold.state = update->hold.state;
    row->hold.remaining = update->hold.remaining;
    row->hold.resolved_us = update->hold.resolved_us;
    break;
  case STORE_T_BLOCK:
    row->block.open = update->block.open;
    row->block.remaining = update->block.remaining;
    row->block.resolved_us = update->block.resolved_us;
    break;
  case STORE_T_TRANSFER:
    row->transfer.state = update->transfer.state;
    row->transfer.credit = update->transfer.credit;
    break;
  default:
    CHECK(row->table == STORE_T_META); /* the others are never changed */
    row->meta.json = (struct store_text){NULL, 0};
  }
  return row;
}

/* Sorts a table's rows into inserts and updates, one per key. False: no order of them can be. */
static bool list_fold(struct pg_commit_rows *rows, const struct pg_commit_list *list,
                      struct writer *puts, struct writer *sets)
{
  for (size_t first = 0, end; first < list->count; first = end) {
    const struct store_row *row = list->at[first].row;
    end = list->sorted ? group_end(list, first) : first + 1u;
    for (size_t i = first + 1u; i < end; i++)
      if (list->at[i].row->action == STORE_INSERT)
        return false; /* it is there by then, whatever was before */
    if (row->action != STORE_INSERT)
      sets->at[sets->count++] = list->at[end - 1u].row;
    else if (end == first + 1u)
      puts->at[puts->count++] = row;
    else
      puts->at[puts->count++] = merged(rows->arena, row, list->at[end - 1u].row);
  }
  return true;
}

bool pg_commit_rows_put(struct pg_commit_rows *rows, struct pg_round *round)
{
  for (unsigned table = 1; table < PG_ROW_TABLES; table++) {
    const struct pg_commit_list *list = &rows->lists[table];
    if (list->count == 0)
      continue;
    struct writer puts = {.round = round, .partition_bits = rows->partition_bits, .all = true};
    struct writer sets = {.round = round, .partition_bits = rows->partition_bits};
    puts.at = hf_arena_alloc(rows->arena, 2u * list->count * sizeof(const struct store_row *));
    sets.at = puts.at + list->count;
    if (!list_fold(rows, list, &puts, &sets))
      return false;
    CHECK(sets.count == 0 || tables[table].settable);
    if (puts.count > 0) {
      pg_round_add(round, tables[table].put);
      tables[table].write(&puts);
    }
    if (sets.count > 0) {
      pg_round_add(round, tables[table].set);
      tables[table].write(&sets);
    }
  }
  return true;
}

/* ---- what is there --------------------------------------------------------------------------- */

bool pg_commit_rows_ask(struct pg_commit_rows *rows, unsigned table, struct pg_round *round)
{
  struct pg_commit_list *list = &rows->lists[table];
  struct writer writer = {
    .round = round, .partition_bits = rows->partition_bits, .count = list->count};
  struct writer *w = &writer;
  if (list->count == 0)
    return false;
  if (!list->sorted)
    list_sort(list);
  w->at = hf_arena_alloc(rows->arena, list->count * sizeof(const struct store_row *));
  for (size_t i = 0; i < list->count; i++)
    w->at[i] = list->at[i].row;
  pg_round_add(round, tables[table].there);
  switch (table) {
  case STORE_T_NAME:
    INT2(w, row->name.partition);
    INT2(w, row->name.kind);
    BYTES(w, row->name.digest.bytes);
    break;
  case STORE_T_ASSET:
    INT4(w, row->asset->id);
    CHARS(w, row->asset->code);
    break;
  case STORE_T_KEY:
    CHARS(w, row->key->id);
    break;
  case STORE_T_REVERSAL:
    PARTITION(w, row->reversal.original);
    INT8(w, row->reversal.original);
    INT8(w, row->reversal.op);
    break;
  default:
    PARTITION(w, id_of(row));
    INT8(w, id_of(row));
  }
  return true;
}

bool pg_commit_rows_there(struct pg_commit_rows *rows, unsigned table, const PGresult *result)
{
  struct pg_commit_list *list = &rows->lists[table];
  struct pg_rows in = {.result = result};
  for (in.row = 0; in.row < PQntuples(result); in.row++) {
    uint64_t place = pg_get_unsigned(&in, 0, list->count);
    if (in.corrupt || place == 0)
      return false;
    list->at[place - 1u].there = true;
  }
  return true;
}

uint32_t pg_commit_rows_conflict(const struct pg_commit_rows *rows)
{
  uint32_t worst = UINT32_MAX;
  for (unsigned table = 1; table < PG_ROW_TABLES; table++) {
    const struct pg_commit_list *list = &rows->lists[table];
    for (size_t first = 0, end; first < list->count; first = end) {
      bool there = list->at[first].there;
      end = group_end(list, first);
      for (size_t i = first; i < end; i++) {
        bool insert = list->at[i].row->action == STORE_INSERT;
        if (insert == there && list->at[i].unit < worst)
          worst = list->at[i].unit;
        there = there || insert;
      }
    }
  }
  return worst;
}
