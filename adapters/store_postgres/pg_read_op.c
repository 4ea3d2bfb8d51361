/* pg_read_op.c - an op by its id, by any of its entries', or by its idempotency key.
 *
 * Happy path: an op's entries stand one after the other in the journal, so that a window around the
 *   id has all of them; what lies beside them (metadata, reversals, the transfer) is found by the
 *   op's id, in the same round when that is known. A key is looked up first.
 * Ways to fail: nothing has the id or the key; an op that is not whole. */
#include "adapters/store_postgres/pg_read.h"

enum { STAGE_BEGIN, STAGE_KEY, STAGE_ENTRIES, STAGE_BESIDE };
enum { BESIDE_METADATA, BESIDE_REVERSALS, BESIDE_TRANSFER }; /* of ask_beside */

struct op_read {
  struct pg_reading reading; /* first */
  struct store_op *op;       /* the request's answer */
  hf_id id;                  /* of an entry; once it is known, of the first */
  bool any_entry;
  bool refused; /* the key is a refusal's: that is all */
};

/* ---- from rows to an op ---------------------------------------------------------------------- */

/* Goes to the row of a sequence number; false when it is not there. */
static bool find_seq(struct pg_rows *rows, uint64_t seq)
{
  for (rows->row = 0; rows->row < PQntuples(rows->result) && !rows->corrupt; rows->row++)
    if (pg_get_unsigned(rows, 0, HF_ID_MAX) == seq)
      return true;
  return false;
}

/* The op of entry `id`, or nothing (entries_count 0) when that is not there, or is not an op's
 * first entry and must be. */
static void take_entries(struct pg_rows *rows, hf_id id, bool any_entry, unsigned partition_bits,
                         struct store_op *op)
{
  unsigned partition = hf_id_partition(id, partition_bits);
  uint64_t seq = hf_id_serial(id, partition_bits);
  struct ledger_entry entry;
  op->entries_count = 0;
  if (!find_seq(rows, seq))
    return;
  pg_row_entry(rows, 0, partition, partition_bits, &op->arena, &entry, NULL);
  if (rows->corrupt || (entry.op_index != 0 && !any_entry))
    return;
  seq -= entry.op_index;
  size_t count = entry.op_count;
  hf_id user = entry.user;
  op->entries = hf_arena_alloc(&op->arena, count * sizeof entry);
  for (size_t i = 0; i < count; i++) {
    if (!find_seq(rows, seq + i)) {
      rows->corrupt = true;
      return;
    }
    pg_row_entry(rows, 0, partition, partition_bits, &op->arena, &op->entries[i], NULL);
    if (op->entries[i].op_index != i || op->entries[i].op_count != count ||
        op->entries[i].user != user)
      rows->corrupt = true;
    if (rows->corrupt)
      return;
  }
  op->entries_count = count;
}

static void take_reversals(struct pg_rows *rows, struct store_op *op)
{
  size_t count = (size_t)PQntuples(rows->result);
  op->reversals_count = count;
  op->reversals = count == 0 ? NULL : hf_arena_alloc(&op->arena, count * sizeof *op->reversals);
  for (size_t i = 0; i < count; i++) {
    rows->row = (int)i;
    op->reversals[i] = (struct store_reversal_row){
      .original = pg_get_id(rows, 0), .op = pg_get_id(rows, 1), .amount = pg_get_amount(rows, 2)};
  }
}

static void take_beside(struct pg_rows *rows, unsigned index, struct store_op *op)
{
  rows->row = 0;
  switch (index) {
  case BESIDE_METADATA:
    if (PQntuples(rows->result) > 0)
      op->metadata = pg_copy_text(rows, 1, &op->arena);
    break;
  case BESIDE_REVERSALS:
    take_reversals(rows, op);
    break;
  default:
    CHECK(index == BESIDE_TRANSFER); /* the only one that is left */
    op->has_transfer = PQntuples(rows->result) > 0;
    if (op->has_transfer)
      pg_row_transfer(rows, &op->transfer);
  }
}

static void ask_beside(struct pg_round *round, hf_id op, unsigned partition)
{
  static const enum pg_statement by_op[] = {PG_METADATA_OF, PG_REVERSALS_OF};
  for (unsigned i = 0; i < 2; i++) {
    pg_round_in(round, by_op[i], partition);
    pg_arg_array(round, PG_INT8, 1);
    pg_item_int8(round, (int64_t)op);
  }
  pg_round_in(round, PG_TRANSFER_GET, partition);
  pg_arg_int8(round, (int64_t)op);
}

/* ---- the talk -------------------------------------------------------------------------------- */

static void take_key(struct pg_talk *talk, unsigned index, struct pg_rows *rows)
{
  struct op_read *read = talk->work;
  if (PQntuples(rows->result) == 0)
    return;
  if (index == 0) {
    unsigned bits = talk->database->partition_bits;
    uint64_t seq = pg_get_unsigned(rows, 0, HF_ID_MAX >> bits);
    read->id = hf_id_make(seq, pg_partition(talk, talk->request->get_key_op.user), bits);
  } else {
    read->refused = true;
    read->op->refused = true;
    pg_row_outcome(rows, &read->op->outcome);
  }
}

static void op_take(struct pg_talk *talk, unsigned index, const PGresult *result)
{
  struct op_read *read = talk->work;
  struct pg_rows rows = {.result = result};
  if (read->reading.stage == STAGE_KEY) {
    take_key(talk, index, &rows);
  } else if (read->reading.stage == STAGE_ENTRIES && index == 0) {
    take_entries(&rows, read->id, read->any_entry, talk->database->partition_bits, read->op);
  } else {
    take_beside(&rows, read->reading.stage == STAGE_ENTRIES ? index - 1u : index, read->op);
  }
  read->reading.corrupt = read->reading.corrupt || rows.corrupt;
}

static bool ask_key(const struct pg_talk *talk, struct op_read *read, struct pg_round *round)
{
  static const enum pg_statement by_key[] = {PG_KEY_ENTRY, PG_KEY_OUTCOME};
  hf_id user = talk->request->get_key_op.user;
  read->reading.stage = STAGE_KEY;
  for (unsigned i = 0; i < 2; i++) {
    pg_round_in(round, by_key[i], pg_partition(talk, user));
    pg_arg_int8(round, (int64_t)user);
    pg_arg_uuid(round, talk->request->get_key_op.key.bytes);
  }
  return true;
}

static bool ask_entries(const struct pg_talk *talk, struct op_read *read, struct pg_round *round)
{
  unsigned partition = pg_partition(talk, read->id);
  int64_t seq = pg_serial(talk, read->id), window = (int64_t)LEDGER_OP_ENTRIES_MAX - 1;
  read->reading.stage = STAGE_ENTRIES;
  pg_round_in(round, PG_ENTRIES_WITHIN, partition);
  pg_arg_int8(round, read->any_entry ? seq - window : seq);
  pg_arg_int8(round, seq + window);
  if (!read->any_entry)
    ask_beside(round, read->id, partition);
  return true;
}

static struct store_op **answer_of(struct store_request *request)
{
  return request->kind == STORE_GET_OP ? &request->get_op.out : &request->get_key_op.out;
}

static void op_abandon(struct pg_talk *talk)
{
  struct store_op **answer = answer_of(talk->request);
  store_op_free(*answer);
  *answer = NULL;
}

/* Without success there is no op. */
static bool op_end(struct pg_talk *talk, enum store_status status)
{
  (void)pg_reading_end(talk, status);
  if (talk->request->status != STORE_OK)
    op_abandon(talk);
  return false;
}

static bool op_begin(struct pg_talk *talk, struct op_read *read, struct pg_round *round)
{
  struct store_request *request = talk->request;
  *answer_of(request) = read->op = store_op_new();
  if (request->kind == STORE_GET_KEY_OP)
    return ask_key(talk, read, round);
  read->id = request->get_op.id;
  read->any_entry = request->get_op.entry;
  return ask_entries(talk, read, round);
}

static bool op_next(struct pg_talk *talk, struct pg_round *round)
{
  struct op_read *read = pg_reading_work(talk, sizeof *read);
  if (read->reading.stage == STAGE_BEGIN)
    return op_begin(talk, read, round);
  if (!pg_reading_sound(talk))
    return op_end(talk, STORE_OK);
  if (read->reading.stage == STAGE_KEY) {
    if (read->refused)
      return op_end(talk, read->id == 0 ? STORE_OK : STORE_CORRUPT);
    return read->id == 0 ? op_end(talk, STORE_NOT_FOUND) : ask_entries(talk, read, round);
  }
  if (read->op->entries_count == 0) {
    bool named = talk->request->kind == STORE_GET_KEY_OP; /* by a row that says it is there */
    return op_end(talk, named ? STORE_CORRUPT : STORE_NOT_FOUND);
  }
  if (read->reading.stage == STAGE_ENTRIES && read->any_entry) {
    read->reading.stage = STAGE_BESIDE;
    read->id = read->op->entries[0].id;
    ask_beside(round, read->id, pg_partition(talk, read->id));
    return true;
  }
  return op_end(talk, STORE_OK);
}

const struct pg_talk_ops pg_op_talk = {
  .next = op_next, .take = op_take, .failed = pg_reading_failed, .abandon = op_abandon};
