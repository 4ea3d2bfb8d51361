/* pg_read_user.c - a user as its actor needs it.
 *
 * Happy path: one statement brings the row, the newest entry, open holds and blocks, all of one
 *   moment; the newest entry names the newest of each other asset, which a second round brings:
 *   entries never change, so that it does not matter when they are read.
 * Ways to fail: no such user; a row that is impossible. */
#include <string.h>

#include "adapters/store_postgres/pg_read.h"

enum { STAGE_BEGIN, STAGE_USER, STAGE_OTHERS };
enum { PART_USER, PART_ENTRY, PART_HOLD, PART_BLOCK }; /* of the statement's rows */
enum { COLUMN_PART, COLUMN_N0, COLUMN_B0 = 9, COLUMN_B1, COLUMN_T0, COLUMN_T1 };

struct load {
  struct pg_reading reading; /* first */
  bool found;
  size_t holds_room, blocks_room, hold_versions_count, block_versions_count;
  size_t hold_versions_room, block_versions_room;
  unsigned others_found;
};

static int64_t number(struct pg_rows *rows, int index)
{
  return pg_get_int(rows, COLUMN_N0 + index);
}

static uint64_t number_up_to(struct pg_rows *rows, int index, uint64_t max)
{
  return pg_get_unsigned(rows, COLUMN_N0 + index, max);
}

static void take_user(struct pg_rows *rows, struct store_request *request)
{
  struct store_loaded_user *out = &request->load_user.out;
  out->row = (struct store_user_row){
    .id = number_up_to(rows, 0, HF_ID_MAX),
    .kind = (uint8_t)number_up_to(rows, 1, UINT8_MAX),
    .status = (uint8_t)number_up_to(rows, 2, UINT8_MAX),
    .created_us = number(rows, 3),
    .external_id = pg_copy_text(rows, COLUMN_T0, &request->arena),
    .profile = pg_copy_text(rows, COLUMN_T1, &request->arena),
  };
  out->has_keys = number_up_to(rows, 4, 1) == 1;
}

/* seq, user_id and version are n0..n2, the hash and the body b0 and b1. */
static void take_newest(struct pg_rows *rows, const struct pg_talk *talk)
{
  struct store_request *request = talk->request;
  struct store_loaded_user *out = &request->load_user.out;
  struct ledger_other others[LEDGER_ASSETS_MAX];
  struct store_text body = pg_get_text(rows, COLUMN_B1);
  struct ledger_entry newest = {0};
  if (body.at == NULL || !ledger_entry_decode(body.at, body.size, others, &newest)) {
    rows->corrupt = true;
    return;
  }
  newest.id = hf_id_make(number_up_to(rows, 0, HF_ID_MAX >> talk->database->partition_bits),
                         pg_partition(talk, newest.user), talk->database->partition_bits);
  pg_get_bytes(rows, COLUMN_B0, newest.hash.bytes, sizeof newest.hash.bytes);
  if (newest.user != request->load_user.id || newest.user != number_up_to(rows, 1, HF_ID_MAX) ||
      newest.version != number_up_to(rows, 2, INT64_MAX))
    rows->corrupt = true;
  newest.others = newest.others_count == 0 ? NULL
                                           : hf_arena_copy(&request->arena, others,
                                                           newest.others_count * sizeof others[0]);
  out->entries_count = 1u + newest.others_count;
  out->entries = hf_arena_alloc(&request->arena, out->entries_count * sizeof newest);
  out->entries[0] = newest;
}

static void push_version(struct pg_rows *rows, int index, struct hf_arena *arena,
                         uint64_t **versions, size_t *count, size_t *room)
{
  void *array = *versions;
  uint64_t *version = hf_arena_push(arena, &array, count, room, sizeof *version);
  *versions = array;
  *version = number_up_to(rows, index, INT64_MAX); /* NULL: the entry that opened it is not there */
}

static void take_hold(struct pg_rows *rows, struct load *load, struct store_request *request)
{
  struct store_loaded_user *out = &request->load_user.out;
  void *array = out->holds;
  struct store_hold_row *hold =
    hf_arena_push(&request->arena, &array, &out->holds_count, &load->holds_room, sizeof *hold);
  out->holds = array;
  *hold = (struct store_hold_row){
    .id = number_up_to(rows, 0, HF_ID_MAX),
    .user = number_up_to(rows, 1, HF_ID_MAX),
    .asset = (uint16_t)number_up_to(rows, 2, UINT16_MAX),
    .state = (uint8_t)number_up_to(rows, 3, STORE_HOLD_EXPIRED),
    .created_us = number(rows, 4),
    .expires_us = number(rows, 5),
    .resolved_us = number(rows, 6),
    .amount = pg_get_amount(rows, COLUMN_B0),
    .remaining = pg_get_amount(rows, COLUMN_B1),
  };
  push_version(rows, 7, &request->arena, &out->hold_versions, &load->hold_versions_count,
               &load->hold_versions_room);
}

static void take_block(struct pg_rows *rows, struct load *load, struct store_request *request)
{
  struct store_loaded_user *out = &request->load_user.out;
  void *array = out->blocks;
  struct store_block_row *block =
    hf_arena_push(&request->arena, &array, &out->blocks_count, &load->blocks_room, sizeof *block);
  out->blocks = array;
  *block = (struct store_block_row){
    .id = number_up_to(rows, 0, HF_ID_MAX),
    .user = number_up_to(rows, 1, HF_ID_MAX),
    .asset = (uint16_t)number_up_to(rows, 2, UINT16_MAX),
    .bucket = (uint8_t)number_up_to(rows, 3, LEDGER_BUCKET_COUNT - 1u),
    .open = number_up_to(rows, 4, 1) == 1,
    .created_us = number(rows, 5),
    .resolved_us = number(rows, 6),
    .amount = pg_get_amount(rows, COLUMN_B0),
    .remaining = pg_get_amount(rows, COLUMN_B1),
  };
  push_version(rows, 7, &request->arena, &out->block_versions, &load->block_versions_count,
               &load->block_versions_room);
}

/* The entries of the other assets, in any order. */
static void take_others(struct pg_rows *rows, const struct pg_talk *talk, struct load *load)
{
  struct store_request *request = talk->request;
  struct store_loaded_user *out = &request->load_user.out;
  const struct ledger_entry *newest = &out->entries[0];
  for (rows->row = 0; rows->row < PQntuples(rows->result) && !rows->corrupt; rows->row++) {
    struct ledger_entry entry;
    unsigned at = 0;
    pg_row_entry(rows, 0, pg_partition(talk, newest->user), talk->database->partition_bits,
                 &request->arena, &entry, NULL);
    while (at < newest->others_count && newest->others[at].version != entry.version)
      at++;
    if (at == newest->others_count || out->entries[at + 1u].version != 0 ||
        newest->others[at].asset != entry.asset || entry.user != newest->user) {
      rows->corrupt = true;
    } else {
      out->entries[at + 1u] = entry;
      load->others_found++;
    }
  }
}

static void load_take(struct pg_talk *talk, unsigned index, const PGresult *result)
{
  struct load *load = talk->work;
  struct pg_rows rows = {.result = result};
  CHECK(index == 0);
  if (load->reading.stage == STAGE_OTHERS) {
    take_others(&rows, talk, load);
    load->reading.corrupt = rows.corrupt;
    return;
  }
  for (; rows.row < PQntuples(result) && !rows.corrupt; rows.row++) {
    switch (pg_get_int(&rows, COLUMN_PART)) {
    case PART_USER:
      take_user(&rows, talk->request);
      load->found = true;
      break;
    case PART_ENTRY:
      take_newest(&rows, talk);
      break;
    case PART_HOLD:
      take_hold(&rows, load, talk->request);
      break;
    case PART_BLOCK:
      take_block(&rows, load, talk->request);
      break;
    default:
      rows.corrupt = true;
    }
  }
  load->reading.corrupt = rows.corrupt;
}

static void ask_others(const struct pg_talk *talk, struct pg_round *round)
{
  const struct ledger_entry *newest = &talk->request->load_user.out.entries[0];
  pg_round_in(round, PG_ENTRIES_OF_VERSIONS, pg_partition(talk, newest->user));
  pg_arg_int8(round, (int64_t)newest->user);
  pg_arg_array(round, PG_INT8, newest->others_count);
  for (unsigned i = 0; i < newest->others_count; i++)
    pg_item_int8(round, (int64_t)newest->others[i].version);
}

static bool load_next(struct pg_talk *talk, struct pg_round *round)
{
  struct load *load = pg_reading_work(talk, sizeof *load);
  struct store_loaded_user *out = &talk->request->load_user.out;
  hf_id id = talk->request->load_user.id;
  if (load->reading.stage == STAGE_BEGIN) {
    load->reading.stage = STAGE_USER;
    *out = (struct store_loaded_user){.entries_count = 0};
    pg_round_in(round, PG_LOAD_USER, pg_partition(talk, id));
    pg_arg_int8(round, (int64_t)id);
    pg_arg_int4(round, (int32_t)talk->database->partition_bits);
    return true;
  }
  if (!pg_reading_sound(talk))
    return pg_reading_end(talk, STORE_OK);
  if (!load->found)
    return pg_reading_end(talk, STORE_NOT_FOUND);
  if (load->reading.stage == STAGE_USER && out->entries_count > 1) {
    load->reading.stage = STAGE_OTHERS;
    ask_others(talk, round);
    return true;
  }
  bool whole = out->entries_count == 0 || load->others_found + 1u == out->entries_count;
  return pg_reading_end(talk, whole ? STORE_OK : STORE_CORRUPT);
}

const struct pg_talk_ops pg_load_user_talk = {
  .next = load_next, .take = load_take, .failed = pg_reading_failed};
