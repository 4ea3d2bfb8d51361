/* limit_sqlite - R: how many rows per second the SQLite store takes from a plain loop.
 *
 * The loop hands ready commit requests to the store adapter's own blocking entry, the one the
 * write thread of the server calls: the same statements, tables, triggers and one fsync per commit.
 * Judging, encoding and hashing are done beforehand and are not in the time: what is left is the
 * database alone, so no server over this adapter can be faster at the same size of commit.
 *
 * usage: limit_sqlite --dir DIR [--batch N] [--users N] [--seconds S] [--probe]
 * DIR is an existing folder without a database. --probe looks up every idempotency key, as the
 * server does for users whose keys are not all in memory. Prints one JSON object. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "actors/store/port.h"
#include "actors/store/unit.h"
#include "adapters/store_sqlite/store_sqlite.h"
#include "holdfast/check.h"

#define SCALE 8u
#define ASSET 1u
#define FUND ((hf_amount)100000000000000)  /* base units per user */
#define SPEND ((hf_amount)1000000)
#define STAGE_OPS 4096u                    /* prepared at a time, outside of the measured time */
#define SETUP_BATCH 1000u
#define BATCH_MAX 8192u
#define USERS_MAX 10000000u
#define CACHE_BYTES (256u << 20)           /* as the server's default */

struct options {
  const char *dir;
  unsigned long batch, users;
  double seconds;
  bool probe;
};

struct partition {
  uint64_t epoch, next_batch, next_seq, next_serial;
  struct hf_hash head;
};

struct limit {
  struct options options;
  struct store_engine *engine;
  unsigned bits;
  struct partition *partitions;
  struct ledger_user *users;
  size_t users_count;
  uint64_t keys;   /* made so far; each key is new */
  uint64_t random; /* never 0 */
  struct ledger_result result;
  struct hf_arena arena; /* of the units that are prepared */
};

_Noreturn static void fail(const char *what, const char *why)
{
  fprintf(stderr, "limit_sqlite: %s: %s\n", what, why);
  exit(1);
}

static double now_s(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int64_t wall_us(void)
{
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static uint64_t random_next(struct limit *limit)
{
  limit->random ^= limit->random << 13;
  limit->random ^= limit->random >> 7;
  limit->random ^= limit->random << 17;
  return limit->random;
}

/* ---- staging: what the user actor and the store actor do ------------------------------------- */

static unsigned scale_of(const void *arg, uint16_t asset)
{
  (void)arg;
  return asset == ASSET ? SCALE : HF_SCALE_MAX + 1;
}

static struct ledger_command command_make(struct limit *limit, uint8_t type, hf_amount amount)
{
  struct ledger_command command = { .type = type, .bucket = LEDGER_CLAIMABLE, .final = true };
  char key[32], request[96];
  int key_size = snprintf(key, sizeof key, "limit-%018llu", (unsigned long long)++limit->keys);
  int request_size = snprintf(request, sizeof request, "%s of %llu", key,
                              (unsigned long long)(uint64_t)amount);
  CHECK(key_size > 0 && request_size > 0);
  command.asset_known = command.asset_given = command.amount_given = true;
  command.asset = ASSET;
  command.scale = SCALE;
  command.amount = (struct hf_decimal){ .digits = amount, .scale = SCALE };
  while (command.amount.scale > 0 && command.amount.digits % 10 == 0) {
    command.amount.digits /= 10;
    command.amount.scale--;
  }
  command.if_version = -1;
  command.now_us = wall_us();
  command.scale_of = scale_of;
  command.key = hf_digest(key, (size_t)key_size);
  command.request = hf_digest(request, (size_t)request_size);
  memcpy(command.actor, "key:bench0", sizeof "key:bench0");
  return command;
}

/* Judges the command for real and keeps what it leads to. */
static struct store_unit *op_stage(struct limit *limit, struct ledger_user *user, uint8_t type,
                                   hf_amount amount)
{
  struct ledger_command command = command_make(limit, type, amount);
  const struct ledger_result *result = &limit->result;
  struct store_unit *unit = hf_arena_alloc(&limit->arena, sizeof *unit);
  ledger_apply(user, &command, &limit->result);
  if (result->error != HF_OK)
    fail("ledger", hf_error_info(result->error)->code);
  struct store_row rows[2u * LEDGER_OP_ENTRIES_MAX];
  unsigned rows_count = store_rows_of_op(result->entries, result->entries_count, rows);
  CHECK(rows_count == 0); /* neither a grant nor a spend has any */
  CHECK(result->entries[0].others_count == 0);
  unit->user = user->id;
  unit->partition = hf_id_partition(user->id, limit->bits);
  unit->has_key = true;
  unit->probe = limit->options.probe;
  unit->entries_count = result->entries_count;
  unit->entries = hf_arena_copy(&limit->arena, result->entries,
                                result->entries_count * sizeof result->entries[0]);
  unit->bodies = hf_arena_copy(&limit->arena, result->body.at, result->body.size);
  unit->body_sizes = hf_arena_copy(&limit->arena, result->body_size,
                                   result->entries_count * sizeof result->body_size[0]);
  for (unsigned i = 0; i < unit->entries_count; i++)
    unit->entries[i].others = NULL;
  return unit;
}

static struct store_unit *row_stage(struct limit *limit, uint32_t partition,
                                    const struct store_row *row)
{
  struct store_unit *unit = hf_arena_alloc(&limit->arena, sizeof *unit);
  unit->partition = partition;
  unit->rows_count = 1;
  unit->rows = hf_arena_copy(&limit->arena, row, sizeof *row);
  return unit;
}

/* One commit of these units, a batch per partition, numbered and hashed in that order. */
static struct store_request *commit_build(struct limit *limit, struct store_unit **units,
                                          size_t count)
{
  struct store_request *request = store_request_new(STORE_COMMIT);
  uint32_t partitions = 1u << limit->bits;
  request->commit.batches =
      hf_arena_alloc(&request->arena, partitions * sizeof request->commit.batches[0]);
  request->commit.units =
      hf_arena_alloc(&request->arena, count * sizeof request->commit.units[0]);
  for (uint32_t i = 0; i < partitions; i++) {
    struct partition *partition = &limit->partitions[i];
    struct store_batch batch = { .partition = i, .number = partition->next_batch,
                                 .epoch = partition->epoch, .first_seq = partition->next_seq,
                                 .committed_us = wall_us(), .previous = partition->head };
    struct store_batch_hasher hasher;
    size_t before = request->commit.units_count;
    store_batch_begin(&hasher);
    for (size_t k = 0; k < count; k++) {
      struct store_unit *unit = units[k];
      if (unit->partition != i)
        continue;
      store_unit_number(unit, partition->next_seq, limit->bits);
      partition->next_seq += unit->entries_count;
      batch.entries_count += unit->entries_count;
      batch.rows_count += unit->rows_count;
      for (unsigned e = 0; e < unit->entries_count; e++)
        store_batch_entry(&hasher, &unit->entries[e].hash);
      request->commit.units[request->commit.units_count++] = unit;
    }
    if (request->commit.units_count == before)
      continue;
    store_batch_end(&hasher, &batch);
    partition->next_batch++;
    partition->head = batch.hash;
    request->commit.batches[request->commit.batches_count++] = batch;
  }
  CHECK(request->commit.units_count == count);
  return request;
}

static void execute(struct limit *limit, struct store_request *request)
{
  limit->engine->ops->execute(limit->engine, request);
  if (request->status != STORE_OK) {
    char text[32];
    snprintf(text, sizeof text, "status %u", request->status);
    fail("the store refused a request", text);
  }
}

static void commit(struct limit *limit, struct store_unit **units, size_t count)
{
  struct store_request *request = commit_build(limit, units, count);
  execute(limit, request);
  store_request_free(request);
  hf_arena_free(&limit->arena);
}

/* ---- the database ---------------------------------------------------------------------------- */

static void store_open(struct limit *limit)
{
  char path[4096], why[256] = "";
  if (snprintf(path, sizeof path, "%s/limit.db", limit->options.dir) >= (int)sizeof path)
    fail("--dir", "too long");
  struct store_sqlite_config config = { .path = path, .migrate = true, .readers = 1,
                                        .partition_bits = HF_PARTITION_BITS_DEFAULT,
                                        .cache_bytes = CACHE_BYTES };
  if (store_sqlite_open(&config, &limit->engine, why) != HF_OK)
    fail(path, why);
  limit->bits = limit->engine->partition_bits;
  limit->partitions = calloc((size_t)1 << limit->bits, sizeof limit->partitions[0]);
  if (limit->partitions == NULL)
    fail("memory", "out");
  for (uint32_t i = 0; i < 1u << limit->bits; i++) {
    struct store_request *request = store_request_new(STORE_OPEN_PARTITION);
    request->open_partition.partition = i;
    execute(limit, request);
    const struct store_partition *opened = &request->open_partition;
    if (opened->next_seq != 1)
      fail(path, "not a new database");
    limit->partitions[i] = (struct partition){ .epoch = opened->epoch,
                                               .next_batch = opened->next_batch,
                                               .next_seq = opened->next_seq,
                                               .next_serial = opened->next_user_serial,
                                               .head = opened->head };
    store_request_free(request);
  }
}

static void asset_create(struct limit *limit)
{
  struct store_asset_row asset = { .id = ASSET, .scale = SCALE, .chain_decimals = 255,
                                   .code = "COIN", .created_us = wall_us() };
  struct store_row row = { .table = STORE_T_ASSET, .action = STORE_INSERT };
  row.asset = &asset;
  struct store_unit *unit = row_stage(limit, 0, &row);
  commit(limit, &unit, 1);
}

static void users_create(struct limit *limit)
{
  static struct store_unit *units[SETUP_BATCH];
  limit->users = calloc(limit->options.users, sizeof limit->users[0]);
  if (limit->users == NULL)
    fail("memory", "out");
  while (limit->users_count < limit->options.users) {
    size_t first = limit->users_count, count = 0;
    for (; count < SETUP_BATCH && limit->users_count < limit->options.users; count++) {
      uint32_t at = (uint32_t)(limit->users_count & ((1u << limit->bits) - 1u));
      hf_id id = hf_id_make(limit->partitions[at].next_serial++, at, limit->bits);
      struct store_row row = { .table = STORE_T_USER, .action = STORE_INSERT };
      row.user = (struct store_user_row){ .id = id, .kind = HF_USER_REGISTERED,
                                          .status = LEDGER_OPEN, .created_us = wall_us() };
      ledger_user_init(&limit->users[limit->users_count++], id);
      units[count] = row_stage(limit, at, &row);
    }
    commit(limit, units, count);
    for (size_t i = 0; i < count; i++)
      units[i] = op_stage(limit, &limit->users[first + i], LEDGER_T_GRANT, FUND);
    commit(limit, units, count);
  }
}

/* ---- the loop -------------------------------------------------------------------------------- */

static void measure(struct limit *limit)
{
  size_t batch = limit->options.batch;
  size_t chunk = batch < STAGE_OPS ? STAGE_OPS / batch : 1;
  struct store_request **requests = calloc(chunk, sizeof requests[0]);
  struct store_unit **units = calloc(batch, sizeof units[0]);
  if (requests == NULL || units == NULL)
    fail("memory", "out");
  double spent_s = 0.0, deadline_s = now_s() + 20.0 * limit->options.seconds;
  uint64_t rows = 0, commits = 0;
  while (spent_s < limit->options.seconds && now_s() < deadline_s) {
    for (size_t i = 0; i < chunk; i++) {
      for (size_t k = 0; k < batch; k++) {
        struct ledger_user *user = &limit->users[random_next(limit) % limit->users_count];
        units[k] = op_stage(limit, user, LEDGER_T_SPEND, SPEND);
      }
      requests[i] = commit_build(limit, units, batch);
    }
    double start_s = now_s();
    for (size_t i = 0; i < chunk; i++)
      execute(limit, requests[i]);
    spent_s += now_s() - start_s;
    rows += chunk * batch;
    commits += chunk;
    for (size_t i = 0; i < chunk; i++)
      store_request_free(requests[i]);
    hf_arena_free(&limit->arena);
  }
  printf("{\"rows_per_s\":%.1f,\"commits_per_s\":%.1f,\"batch\":%zu,\"users\":%zu,\"probe\":%s,"
         "\"rows\":%llu,\"seconds\":%.3f}\n",
         (double)rows / spent_s, (double)commits / spent_s, batch, limit->users_count,
         limit->options.probe ? "true" : "false", (unsigned long long)rows, spent_s);
  free(requests);
  free(units);
}

static double number(const char *name, const char *text, double min, double max)
{
  char *end = NULL;
  double value = text != NULL ? strtod(text, &end) : 0.0;
  if (text == NULL || end == text || *end != '\0' || !(value >= min && value <= max))
    fail(name, "a number is missing or out of range");
  return value;
}

static struct options options_parse(int count, char **arguments)
{
  struct options options = { .batch = 128, .users = 1000, .seconds = 3.0 };
  for (int i = 1; i < count; i++) {
    const char *name = arguments[i], *value = i + 1 < count ? arguments[i + 1] : NULL;
    if (strcmp(name, "--probe") == 0) {
      options.probe = true;
      continue;
    }
    if (strcmp(name, "--dir") == 0 && value != NULL)
      options.dir = value;
    else if (strcmp(name, "--batch") == 0)
      options.batch = (unsigned long)number(name, value, 1, BATCH_MAX);
    else if (strcmp(name, "--users") == 0)
      options.users = (unsigned long)number(name, value, 1, USERS_MAX);
    else if (strcmp(name, "--seconds") == 0)
      options.seconds = number(name, value, 0.1, 600);
    else
      fail(name, "unknown; usage: --dir DIR [--batch N] [--users N] [--seconds S] [--probe]");
    i++;
  }
  if (options.dir == NULL)
    fail("--dir", "missing");
  return options;
}

int main(int count, char **arguments)
{
  struct limit limit = { .options = options_parse(count, arguments),
                         .random = 0x9e3779b97f4a7c15ull };
  ledger_result_init(&limit.result);
  store_open(&limit);
  asset_create(&limit);
  users_create(&limit);
  measure(&limit);
  limit.engine->ops->close(limit.engine);
  for (size_t i = 0; i < limit.users_count; i++)
    ledger_user_deinit(&limit.users[i]);
  free(limit.users);
  free(limit.partitions);
  ledger_result_deinit(&limit.result);
  return 0;
}
