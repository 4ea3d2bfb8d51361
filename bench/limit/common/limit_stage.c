#include "bench/limit/common/limit_stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "holdfast/check.h"

#define SCALE 8u
#define ASSET 1u
#define FUND ((hf_amount)100000000000000) /* base units per user */
#define SPEND ((hf_amount)1000000)
#define SETUP_BATCH 1000u

_Noreturn void limit_fail(const char *what, const char *why)
{
  fprintf(stderr, "limit: %s: %s\n", what, why);
  exit(1);
}

double limit_now_s(void)
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
  struct ledger_command command = {.type = type, .bucket = LEDGER_CLAIMABLE, .final = true};
  char key[32], request[96];
  int key_size = snprintf(key, sizeof key, "limit-%018llu", (unsigned long long)++limit->keys);
  int request_size =
    snprintf(request, sizeof request, "%s of %llu", key, (unsigned long long)(uint64_t)amount);
  CHECK(key_size > 0 && request_size > 0);
  command.asset_known = command.asset_given = command.amount_given = true;
  command.asset = ASSET;
  command.scale = SCALE;
  command.amount = (struct hf_decimal){.digits = amount, .scale = SCALE};
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
    limit_fail("ledger", hf_error_info(result->error)->code);
  struct store_row rows[2u * LEDGER_OP_ENTRIES_MAX];
  unsigned rows_count = store_rows_of_op(result->entries, result->entries_count, rows);
  CHECK(rows_count == 0); /* neither a grant nor a spend has any */
  CHECK(result->entries[0].others_count == 0);
  unit->user = user->id;
  unit->partition = hf_id_partition(user->id, limit->bits);
  unit->has_key = true;
  unit->probe = limit->probe;
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
  request->commit.units = hf_arena_alloc(&request->arena, count * sizeof request->commit.units[0]);
  for (uint32_t i = 0; i < partitions; i++) {
    struct limit_partition *partition = &limit->partitions[i];
    struct store_batch batch = {.partition = i,
                                .number = partition->next_batch,
                                .epoch = partition->epoch,
                                .first_seq = partition->next_seq,
                                .committed_us = wall_us(),
                                .previous = partition->head};
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

void limit_execute(struct limit *limit, struct store_request *request)
{
  limit->engine->ops->execute(limit->engine, request);
  if (request->status != STORE_OK) {
    char text[32];
    snprintf(text, sizeof text, "status %u", request->status);
    limit_fail("the store refused a request", text);
  }
}

static void commit(struct limit *limit, struct store_unit **units, size_t count)
{
  struct store_request *request = commit_build(limit, units, count);
  limit_execute(limit, request);
  store_request_free(request);
  hf_arena_free(&limit->arena);
}

/* ---- the database ---------------------------------------------------------------------------- */

static void asset_create(struct limit *limit)
{
  struct store_asset_row asset = {
    .id = ASSET, .scale = SCALE, .chain_decimals = 255, .code = "COIN", .created_us = wall_us()};
  struct store_row row = {.table = STORE_T_ASSET, .action = STORE_INSERT};
  row.asset = &asset;
  struct store_unit *unit = row_stage(limit, 0, &row);
  commit(limit, &unit, 1);
}

/* Partitions of this share: share, share + shares ... below 2^bits. */
static uint32_t partition_of(const struct limit *limit, size_t user)
{
  uint32_t count = (1u << limit->bits) / limit->shares;
  return limit->share + limit->shares * (uint32_t)(user % count);
}

static void users_create(struct limit *limit, size_t users)
{
  static struct store_unit *units[SETUP_BATCH];
  limit->users = calloc(users, sizeof limit->users[0]);
  if (limit->users == NULL)
    limit_fail("memory", "out");
  while (limit->users_count < users) {
    size_t first = limit->users_count, count = 0;
    for (; count < SETUP_BATCH && limit->users_count < users; count++) {
      uint32_t at = partition_of(limit, limit->users_count);
      hf_id id = hf_id_make(limit->partitions[at].next_serial++, at, limit->bits);
      struct store_row row = {.table = STORE_T_USER, .action = STORE_INSERT};
      row.user = (struct store_user_row){
        .id = id, .kind = HF_USER_REGISTERED, .status = LEDGER_OPEN, .created_us = wall_us()};
      ledger_user_init(&limit->users[limit->users_count++], id);
      units[count] = row_stage(limit, at, &row);
    }
    commit(limit, units, count);
    for (size_t i = 0; i < count; i++)
      units[i] = op_stage(limit, &limit->users[first + i], LEDGER_T_GRANT, FUND);
    commit(limit, units, count);
  }
}

static void partitions_open(struct limit *limit)
{
  uint32_t partitions = 1u << limit->bits;
  limit->partitions = calloc(partitions, sizeof limit->partitions[0]);
  if (limit->partitions == NULL)
    limit_fail("memory", "out");
  for (uint32_t i = limit->share; i < partitions; i += limit->shares) {
    struct store_request *request = store_request_new(STORE_OPEN_PARTITION);
    request->open_partition.partition = i;
    limit_execute(limit, request);
    const struct store_partition *opened = &request->open_partition;
    if (opened->next_seq != 1)
      limit_fail("the database", "not a new one");
    limit->partitions[i] = (struct limit_partition){.epoch = opened->epoch,
                                                    .next_batch = opened->next_batch,
                                                    .next_seq = opened->next_seq,
                                                    .next_serial = opened->next_user_serial,
                                                    .head = opened->head};
    store_request_free(request);
  }
}

void limit_init(struct limit *limit, struct store_engine *engine, unsigned share, unsigned shares,
                size_t users, bool probe)
{
  unsigned bits = engine->partition_bits;
  CHECK(share < shares);
  if (shares > 1u << bits || (1u << bits) % shares != 0)
    limit_fail("--connections", "does not divide the number of partitions");
  *limit = (struct limit){.engine = engine,
                          .bits = bits,
                          .share = share,
                          .shares = shares,
                          .probe = probe,
                          .keys = (uint64_t)share << 48,
                          .random = 0x9e3779b97f4a7c15ull * (share + 1u)};
  ledger_result_init(&limit->result);
  partitions_open(limit);
  if (share == 0)
    asset_create(limit);
  users_create(limit, users / shares);
}

void limit_deinit(struct limit *limit)
{
  for (size_t i = 0; i < limit->users_count; i++)
    ledger_user_deinit(&limit->users[i]);
  free(limit->users);
  free(limit->partitions);
  hf_arena_free(&limit->arena);
  ledger_result_deinit(&limit->result);
}

struct store_request *limit_commit_make(struct limit *limit, size_t batch)
{
  static struct store_unit *units[LIMIT_BATCH_MAX];
  CHECK(batch > 0 && batch <= LIMIT_BATCH_MAX);
  for (size_t k = 0; k < batch; k++) {
    struct ledger_user *user = &limit->users[random_next(limit) % limit->users_count];
    units[k] = op_stage(limit, user, LEDGER_T_SPEND, SPEND);
  }
  return commit_build(limit, units, batch);
}

void limit_units_free(struct limit *limit)
{
  hf_arena_free(&limit->arena);
}

double limit_number(const char *name, const char *text, double min, double max)
{
  char *end = NULL;
  double value = text != NULL ? strtod(text, &end) : 0.0;
  if (text == NULL || end == text || *end != '\0' || !(value >= min && value <= max))
    limit_fail(name, "a number is missing or out of range");
  return value;
}
