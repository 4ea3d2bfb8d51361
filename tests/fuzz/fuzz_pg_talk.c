/* fuzz_pg_talk.c - libFuzzer target: what a PostgreSQL server may answer to a store request.
 *
 * Input: which request; then, for each of its rounds, whether the server refuses it, the connection
 * ends, or rows come, with any number of columns of any type and size. Properties: no access
 * outside a value (sanitizers) and nothing left allocated; a talk ends after a bounded number of
 * rounds, or is given up as the port gives it up; its status is one that its kind may have, and
 * what it gives out with STORE_OK is within the limits that its readers count on. */
#include "actors/store/unit.h"
#include "adapters/store_postgres/pg_talk.h"
#include "holdfast/error.h"
#include "tests/fuzz/input.h"

#define BITS 4u
#define PARTITION 5u
#define USER ((hf_id)3u << BITS | PARTITION)
#define ROUNDS_MAX 200u /* a search of a version asks several times; an opening tries 32 times */
#define COLUMNS_MAX 32u
#define ROWS_MAX 7u

/* ---- requests -------------------------------------------------------------------------------- */

/* A commit of one refusal and some rows: the answers about it are of every kind. */
struct commit {
  struct store_unit unit, *units[1];
  struct store_batch batch;
  struct store_row rows[3];
};

static void commit_init(struct commit *commit, struct store_request *request)
{
  *commit = (struct commit){
    .unit = {.partition = PARTITION, .user = USER, .probe = true, .has_outcome = true},
    .batch = {.partition = PARTITION, .number = 7, .epoch = 2, .first_seq = 9, .committed_us = 1},
    .rows = {{.table = STORE_T_USER, .action = STORE_UPDATE, .user = {.id = USER}},
             {.table = STORE_T_HOLD, .action = STORE_INSERT, .hold = {.id = USER, .user = USER}},
             {.table = STORE_T_REVERSAL, .action = STORE_INSERT, .reversal = {.original = USER}}},
  };
  commit->unit.outcome = (struct store_outcome){.user = USER, .error = HF_E_INSUFFICIENT_FUNDS};
  commit->unit.rows = commit->rows;
  commit->unit.rows_count = 3;
  commit->units[0] = &commit->unit;
  request->commit.units = commit->units;
  request->commit.units_count = 1;
  request->commit.batches = &commit->batch;
  request->commit.batches_count = 1;
}

static void ask(struct store_request *request, struct input *input)
{
  const uint32_t limit = 1u + input_u8(input) % 8u;
  switch (request->kind) {
  case STORE_LIST_ENTRIES:
    request->list_entries = (struct store_list_entries){
      .user = USER, .limit = limit, .scan_max = 20, .from_us = input_u8(input), .to_us = 1000};
    break;
  case STORE_LIST_HOLDS:
    request->list_holds.user = USER;
    request->list_holds.limit = limit;
    break;
  case STORE_BALANCE_AT:
    request->balance_at.user = USER;
    request->balance_at.at_us = 100;
    request->balance_at.effective = limit % 2u == 0;
    break;
  case STORE_SCAN:
    request->scan = (struct store_scan){
      .partition = PARTITION, .from_seq = 1, .limit = limit, .reversals = limit % 2u == 0};
    break;
  case STORE_LEASE:
    request->lease.self.id = 77;
    request->lease.join = limit % 2u == 0;
    break;
  case STORE_GET_KEY_OP:
    request->get_key_op.user = USER;
    break;
  default: /* an id, or a partition, is the first field of the others */
    request->get_user.id = request->kind >= STORE_OPEN_PARTITION ? PARTITION : USER;
    break;
  }
  if (request->kind == STORE_DUE_HOLDS)
    request->due_holds.limit = limit;
  if (request->kind == STORE_OPEN_TRANSFERS)
    request->open_transfers.limit = limit;
  if (request->kind == STORE_RESERVED_NAMES)
    request->reserved.limit = limit;
  if (request->kind == STORE_PROJECT)
    request->project.limit = limit;
}

/* ---- answers --------------------------------------------------------------------------------- */

static const struct {
  Oid type;
  int size;
} types[] = {{PG_INT8, 8},  {PG_INT4, 4},   {PG_INT2, 2},   {PG_BOOL, 1},
             {PG_UUID, 16}, {PG_BYTEA, 32}, {PG_BYTEA, 16}, {PG_TEXT, 4}};

/* A value of its type's size is a small number, the user's id, or bytes of the input; else it is of
 * any size. */
static int value(struct input *input, size_t type, char bytes[256])
{
  const uint8_t how = input_u8(input);
  int size = types[type].size;
  memset(bytes, 0, 256);
  if (how == 255)
    return -1; /* NULL */
  if (how == 254)
    size = input_u8(input);
  if (how < 200 && size > 0) {
    bytes[size - 1] = (char)(how == 199 ? USER : how);
    return size;
  }
  for (int i = 0; i < size; i++)
    bytes[i] = (char)input_u8(input);
  return size;
}

static PGresult *answer(struct input *input)
{
  PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
  const unsigned columns = input_u8(input) % (COLUMNS_MAX + 1u);
  const unsigned rows = columns == 0 ? 0 : input_u8(input) % (ROWS_MAX + 1u);
  PGresAttDesc column[COLUMNS_MAX];
  char name[] = "c", bytes[256];
  size_t type[COLUMNS_MAX];
  CHECK(result != NULL);
  for (unsigned i = 0; i < columns; i++) {
    const uint8_t what = input_u8(input);
    type[i] = what % (sizeof types / sizeof types[0]);
    column[i] = (PGresAttDesc){
      .name = name, .format = what >= 250 ? 0 : 1, .typid = types[type[i]].type, .typlen = -1};
  }
  if (columns > 0)
    CHECK(PQsetResultAttrs(result, (int)columns, column) == 1);
  for (unsigned row = 0; row < rows; row++)
    for (unsigned i = 0; i < columns; i++) {
      const int size = value(input, type[i], bytes);
      CHECK(PQsetvalue(result, (int)row, (int)i, size < 0 ? NULL : bytes, size) == 1);
    }
  return result;
}

static void refuse(struct pg_talk *talk, const struct pg_round *round, struct input *input)
{
  static const char states[][6] = {"23505", "40001", "55P03", "57014", "25006", "42P01", "XX000"};
  struct pg_failure failure = {.step = input_u8(input) % (round->count + 1u)};
  memcpy(failure.sqlstate, states[input_u8(input) % (sizeof states / sizeof states[0])], 6);
  for (unsigned i = 0; i < failure.step && i < round->count; i++) {
    PGresult *result = answer(input);
    talk->ops->take(talk, i, result);
    PQclear(result);
  }
  talk->ops->failed(talk, &failure);
}

/* ---- what must hold -------------------------------------------------------------------------- */

static void check_amounts(const struct store_hold_row *holds, size_t count)
{
  for (size_t i = 0; i < count; i++)
    CHECK(holds[i].id <= HF_ID_MAX && holds[i].user <= HF_ID_MAX &&
          holds[i].state <= STORE_HOLD_EXPIRED);
}

static void check_op(const struct store_op *op)
{
  CHECK(op != NULL);
  CHECK(op->refused || op->entries_count > 0);
  CHECK(!op->refused || (op->outcome.error != HF_OK && op->outcome.error < HF_ERROR_COUNT));
  for (size_t i = 0; i < op->entries_count; i++)
    CHECK(op->entries[i].id <= HF_ID_MAX && op->entries[i].others_count <= LEDGER_ASSETS_MAX);
}

static void check(const struct store_request *request)
{
  CHECK(request->status <= STORE_CORRUPT);
  if (request->status != STORE_OK)
    return;
  switch (request->kind) {
  case STORE_LOAD_USER:
    check_amounts(request->load_user.out.holds, request->load_user.out.holds_count);
    for (size_t i = 0; i < request->load_user.out.entries_count; i++)
      CHECK(request->load_user.out.entries[i].user == USER);
    break;
  case STORE_GET_OP:
    check_op(request->get_op.out);
    break;
  case STORE_GET_KEY_OP:
    check_op(request->get_key_op.out);
    break;
  case STORE_LIST_HOLDS:
    CHECK(request->list_holds.count <= request->list_holds.limit);
    check_amounts(request->list_holds.out, request->list_holds.count);
    break;
  case STORE_LIST_ENTRIES:
    CHECK(request->list_entries.entries_count <= request->list_entries.limit);
    break;
  case STORE_SCAN:
    CHECK(request->scan.entries_count <= request->scan.limit);
    break;
  case STORE_LEASE:
    CHECK(request->lease.nodes_count <= STORE_NODES_MAX);
    break;
  case STORE_OPEN_PARTITION:
    CHECK(request->open_partition.epoch > 0 && request->open_partition.next_batch > 1u);
    CHECK(request->open_partition.next_seq > 0);
    break;
  default:
    break;
  }
}

/* ---- a talk ---------------------------------------------------------------------------------- */

/* As pg_session.c and pg_loop.c run it: true when it is over. */
static bool turn(struct pg_talk *talk, struct pg_round *round, struct input *input)
{
  pg_round_clear(round);
  (void)hf_bytes_reserve(&round->bytes, 1);
  talk->committing = false;
  if (!talk->ops->next(talk, round))
    return talk->request->status != STORE_UNKNOWN || input->size == 0;
  CHECK(round->count > 0 && round->array_left == 0);
  talk->round++;
  const uint8_t how = input_u8(input);
  if (how == 255)
    return !pg_talk_lost(talk, how % 2);
  if (how >= 200) {
    refuse(talk, round, input);
    talk->expected = false;
    return false;
  }
  for (unsigned i = 0; i < round->count; i++) {
    PGresult *result = answer(input);
    talk->ops->take(talk, i, result);
    PQclear(result);
  }
  return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  const struct pg_database database = {.partition_bits = BITS};
  struct input input = {data, size};
  struct store_request *request =
    store_request_new((enum store_kind)(input_u8(&input) % (STORE_LEASE + 1u)));
  struct commit commit = {0};
  struct pg_talk talk;
  struct pg_round round;
  bool over = false;
  if (request->kind == STORE_COMMIT)
    commit_init(&commit, request);
  else
    ask(request, &input);
  pg_round_init(&round);
  pg_talk_begin(&talk, request, &database);
  talk.wary = input_u8(&input) % 2u == 1u;
  for (unsigned i = 0; i < ROUNDS_MAX && !over; i++)
    over = turn(&talk, &round, &input);
  if (over)
    check(request);
  else if (talk.ops->abandon != NULL)
    talk.ops->abandon(&talk);
  if (request->kind == STORE_COMMIT)
    store_op_free(commit.unit.hit);
  store_request_free(request);
  pg_round_deinit(&round);
  return 0;
}
