/* load.c - fills an empty store with users and their entries.
 *
 * Happy path: batches of a few thousand units, each a real command judged on the user's state, are
 * numbered and hashed per partition and committed as one request.
 * Ways to fail: the store is not empty, or a commit is refused: the program ends.
 * Invariant: a user's state is what its entries make of it, so that all chains are valid. */
#include <stdlib.h>
#include <string.h>

#include "actors/store/unit.h"
#include "bench/history/history.h"
#include "bench/load/random.h"
#include "server/cli.h"

#define BATCH_UNITS 8192u

struct partition {
  uint64_t epoch, next_batch, next_seq;
  struct hf_hash head;
};

struct loader {
  struct store_engine *engine;
  const struct history_plan *plan;
  struct partition *partitions;
  struct ledger_user *users;
  struct ledger_result result;
  struct random random;
  uint64_t keys;
  int64_t now_us;
  struct hf_arena arena; /* of the batch that is being made */
  struct store_unit *units[BATCH_UNITS];
  size_t count;
};

hf_id history_user(const struct history_plan *plan, uint64_t index, unsigned partition_bits)
{
  (void)plan;
  return hf_id_make(1u + (index >> partition_bits),
                    (uint32_t)(index & ((1u << partition_bits) - 1u)), partition_bits);
}

/* ---- commits --------------------------------------------------------------------------------- */

static void open_partitions(struct loader *loader)
{
  const unsigned count = 1u << loader->engine->partition_bits;
  loader->partitions = rt_alloc(count * sizeof *loader->partitions);
  for (unsigned i = 0; i < count; i++) {
    struct store_request *request = store_request_new(STORE_OPEN_PARTITION);
    const struct store_partition *out = &request->open_partition;
    request->open_partition.partition = i;
    loader->engine->ops->execute(loader->engine, request);
    if (request->status != STORE_OK)
      history_fail("the store", "does not open a partition");
    if (out->next_seq != 1 || out->next_user_serial != 1)
      history_fail("the store", "is not empty");
    loader->partitions[i] =
      (struct partition){out->epoch, out->next_batch, out->next_seq, out->head};
    store_request_free(request);
  }
}

static struct store_unit *stage(struct loader *loader, uint32_t partition)
{
  struct store_unit *unit = hf_arena_alloc(&loader->arena, sizeof *unit);
  unit->partition = partition;
  loader->units[loader->count++] = unit;
  return unit;
}

/* The batch of one partition: its units move to the end of the request's. */
static void add_batch(struct loader *loader, struct store_request *request, uint32_t number)
{
  const unsigned bits = loader->engine->partition_bits;
  struct partition *partition = &loader->partitions[number];
  struct store_batch batch = {.partition = number,
                              .number = partition->next_batch,
                              .epoch = partition->epoch,
                              .first_seq = partition->next_seq,
                              .committed_us = loader->now_us,
                              .previous = partition->head};
  struct store_batch_hasher hasher;
  const size_t before = request->commit.units_count;
  store_batch_begin(&hasher);
  for (size_t i = 0; i < loader->count; i++) {
    struct store_unit *unit = loader->units[i];
    if (unit->partition != number)
      continue;
    store_unit_number(unit, batch.first_seq + batch.entries_count, bits);
    for (unsigned j = 0; j < unit->entries_count; j++)
      store_batch_entry(&hasher, &unit->entries[j].hash);
    batch.entries_count += unit->entries_count;
    batch.rows_count += unit->rows_count;
    request->commit.units[request->commit.units_count++] = unit;
  }
  if (request->commit.units_count == before)
    return;
  store_batch_end(&hasher, &batch);
  request->commit.batches[request->commit.batches_count++] = batch;
  partition->next_batch++;
  partition->next_seq += batch.entries_count;
  partition->head = batch.hash;
}

static void commit(struct loader *loader)
{
  struct store_request *request = store_request_new(STORE_COMMIT);
  const uint32_t partitions = 1u << loader->engine->partition_bits;
  request->commit.batches =
    hf_arena_alloc(&request->arena, partitions * sizeof *request->commit.batches);
  request->commit.units =
    hf_arena_alloc(&request->arena, loader->count * sizeof *request->commit.units);
  for (uint32_t i = 0; i < partitions; i++)
    add_batch(loader, request, i);
  loader->engine->ops->execute(loader->engine, request);
  if (request->status != STORE_OK)
    history_fail("the store", "refuses a commit");
  store_request_free(request);
  hf_arena_free(&loader->arena);
  loader->count = 0;
}

/* ---- what is written ------------------------------------------------------------------------- */

static void add_assets(struct loader *loader)
{
  for (uint16_t i = 1; i <= HISTORY_ASSETS; i++) {
    struct store_unit *unit = stage(loader, 0);
    struct store_asset_row *asset = hf_arena_alloc(&loader->arena, sizeof *asset);
    asset->id = i;
    asset->scale = 2;
    asset->chain_decimals = 255;
    asset->code[0] = (char)('A' + i);
    asset->created_us = loader->now_us;
    unit->rows_count = 1;
    unit->rows = hf_arena_alloc(&loader->arena, sizeof *unit->rows);
    *unit->rows =
      (struct store_row){.table = STORE_T_ASSET, .action = STORE_INSERT, .asset = asset};
  }
  commit(loader);
}

static void add_users(struct loader *loader)
{
  const unsigned bits = loader->engine->partition_bits;
  loader->users = calloc(loader->plan->users, sizeof *loader->users);
  if (loader->users == NULL)
    history_fail("memory", "out");
  for (uint64_t i = 0; i < loader->plan->users; i++) {
    const hf_id id = history_user(loader->plan, i, bits);
    struct store_unit *unit = stage(loader, hf_id_partition(id, bits));
    ledger_user_init(&loader->users[i], id);
    unit->rows_count = 1;
    unit->rows = hf_arena_alloc(&loader->arena, sizeof *unit->rows);
    unit->rows->table = STORE_T_USER;
    unit->rows->action = STORE_INSERT;
    unit->rows->user = (struct store_user_row){.id = id, .created_us = loader->now_us};
    if (loader->count == BATCH_UNITS)
      commit(loader);
    cli_progress("users", i + 1, loader->plan->users);
  }
  if (loader->count > 0)
    commit(loader);
  cli_progress_end();
}

static unsigned scale_of(const void *arg, uint16_t asset)
{
  (void)arg;
  return asset == 0 ? HF_SCALE_MAX + 1u : 2u;
}

static struct ledger_command command_of(struct loader *loader)
{
  static const uint8_t types[] = {LEDGER_T_GRANT, LEDGER_T_GRANT, LEDGER_T_EARN, LEDGER_T_SPEND};
  struct random *random = &loader->random;
  const uint64_t number = ++loader->keys, other = ~number;
  struct ledger_command command = {.type = types[random_below(random, sizeof types)],
                                   .bucket = LEDGER_CLAIMABLE,
                                   .final = true,
                                   .asset_known = true,
                                   .asset_given = true,
                                   .amount_given = true,
                                   .scale = 2,
                                   .if_version = -1,
                                   .now_us = loader->now_us,
                                   .scale_of = scale_of};
  command.asset = (uint16_t)(1u + random_below(random, HISTORY_ASSETS));
  command.amount.digits = 1 + (hf_amount)random_below(random, 1000);
  command.key = hf_digest(&number, sizeof number);
  command.request = hf_digest(&other, sizeof other);
  memcpy(command.actor, "key:bench", sizeof "key:bench");
  if (random_below(random, HISTORY_BACKDATED) == 0)
    command.effective_us =
      loader->now_us - (int64_t)random_below(random, 90u * 86400u) * INT64_C(1000000);
  return command;
}

/* One operation of some user; what the ledger refuses is given instead of taken. */
static void add_entry(struct loader *loader)
{
  const uint64_t most = loader->plan->users;
  const bool hot = random_below(&loader->random, 100) == 0;
  const uint32_t limit = hot && most > HISTORY_HOT_USERS ? HISTORY_HOT_USERS : (uint32_t)most;
  struct ledger_user *user = &loader->users[random_below(&loader->random, limit)];
  struct ledger_command command = command_of(loader);
  struct ledger_result *result = &loader->result;
  ledger_apply(user, &command, result);
  if (result->error != HF_OK) {
    command.type = LEDGER_T_GRANT;
    ledger_apply(user, &command, result);
  }
  CHECK(result->error == HF_OK && result->entries_count == 1);
  struct store_unit *unit =
    stage(loader, hf_id_partition(user->id, loader->engine->partition_bits));
  struct hf_arena *arena = &loader->arena;
  unit->user = user->id;
  unit->has_key = true;
  unit->entries_count = 1;
  unit->entries = hf_arena_copy(arena, result->entries, sizeof *unit->entries);
  unit->entries->others = hf_arena_copy(
    arena, result->others, unit->entries->others_count * sizeof *unit->entries->others);
  unit->bodies = hf_arena_copy(arena, result->body.at, result->body.size);
  unit->body_sizes = hf_arena_copy(arena, result->body_size, sizeof *unit->body_sizes);
}

double history_load(struct store_engine *engine, const struct history_plan *plan)
{
  const double start_s = history_now_s();
  struct loader *loader = rt_alloc(sizeof *loader);
  loader->engine = engine;
  loader->plan = plan;
  loader->random = random_seeded(plan->seed);
  loader->now_us = HISTORY_START_US;
  ledger_result_init(&loader->result);
  open_partitions(loader);
  add_assets(loader);
  add_users(loader);
  for (uint64_t i = 0; i < plan->entries; i++) {
    loader->now_us =
      HISTORY_START_US + (int64_t)((double)i / (double)plan->entries * (double)HISTORY_SPAN_US);
    add_entry(loader);
    if (loader->count == BATCH_UNITS || i + 1 == plan->entries)
      commit(loader);
    cli_progress("entries", i + 1, plan->entries);
  }
  cli_progress_end();
  for (uint64_t i = 0; i < plan->users; i++)
    ledger_user_deinit(&loader->users[i]);
  free(loader->users);
  ledger_result_deinit(&loader->result);
  rt_free(loader->partitions);
  rt_free(loader);
  return history_now_s() - start_s;
}
