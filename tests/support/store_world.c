/* store_world.c - see store_world.h. */
#include "tests/support/store_world.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "actors/user/op.h"
#include "holdfast/check.h"

static void *push(struct store_world *world, void **array, size_t *count, size_t *room,
                  size_t item_size)
{
  return hf_arena_push(&world->arena, array, count, room, item_size);
}

/* ---- the world ------------------------------------------------------------------------------- */

void world_take_over(struct store_world *world)
{
  for (uint32_t i = 0; i < 1u << world->bits; i++) {
    struct store_request *request = store_request_new(STORE_OPEN_PARTITION);
    const struct store_partition *opened = &request->open_partition;

    request->open_partition.partition = i;
    world->engine->ops->execute(world->engine, request);
    assert_int_equal(request->status, STORE_OK);
    assert_int_equal(opened->partition, i);
    world->partitions[i] = (struct world_partition){.epoch = opened->epoch,
                                                    .next_batch = opened->next_batch,
                                                    .next_seq = opened->next_seq,
                                                    .next_serial = opened->next_user_serial,
                                                    .head = opened->head};
    store_request_free(request);
  }
}

void world_init(struct store_world *world, struct store_engine *engine)
{
  memset(world, 0, sizeof *world);
  world->engine = engine;
  world->bits = engine->partition_bits;
  world->now_us = WORLD_START_US;
  world->partitions =
    hf_arena_alloc(&world->arena, sizeof *world->partitions << engine->partition_bits);
  ledger_result_init(&world->result);
  world_take_over(world);
}

void world_deinit(struct store_world *world)
{
  for (size_t i = 0; i < world->users_count; i++)
    ledger_user_deinit(&world->users[i]->state);
  ledger_result_deinit(&world->result);
  hf_arena_free(&world->arena);
}

/* ---- staging --------------------------------------------------------------------------------- */

static void stage(struct store_world *world, struct world_unit *unit)
{
  void *array = world->staged;
  struct store_unit **place =
    push(world, &array, &world->staged_count, &world->staged_room, sizeof *place);

  world->staged = array;
  *place = &unit->unit;
}

static struct store_text text_of(const char *text)
{
  return (struct store_text){.at = text, .size = text == NULL ? 0 : strlen(text)};
}

struct world_unit *world_stage_rows(struct store_world *world, uint32_t partition,
                                    const struct store_row *rows, uint16_t rows_count)
{
  struct world_unit *unit = hf_arena_alloc(&world->arena, sizeof *unit);

  unit->unit.partition = partition;
  unit->unit.rows_count = rows_count;
  unit->unit.rows = hf_arena_copy(&world->arena, rows, rows_count * sizeof *rows);
  stage(world, unit);
  return unit;
}

struct world_user *world_user_add(struct store_world *world, uint32_t partition,
                                  const char *external_id, const char *profile)
{
  struct world_user *user = hf_arena_alloc(&world->arena, sizeof *user);
  void *array = world->users;
  struct world_user **place =
    push(world, &array, &world->users_count, &world->users_room, sizeof *place);
  uint64_t serial = world->partitions[partition].next_serial++;
  struct store_row row = {.table = STORE_T_USER, .action = STORE_INSERT};

  world->users = array;
  *place = user;
  user->row.id = hf_id_make(serial, partition, world->bits);
  user->row.kind = external_id == NULL ? HF_USER_GUEST : HF_USER_REGISTERED;
  user->row.status = LEDGER_OPEN;
  user->row.created_us = world->now_us;
  user->row.external_id = text_of(external_id);
  user->row.profile = text_of(profile);
  ledger_user_init(&user->state, user->row.id);
  row.user = user->row;
  world_stage_rows(world, partition, &row, 1);
  return user;
}

void world_name_add(struct store_world *world, const struct world_user *user)
{
  struct store_row row = {.table = STORE_T_NAME, .action = STORE_INSERT};
  row.name.kind = STORE_NAME_EXTERNAL_ID;
  row.name.state = STORE_NAME_CONFIRMED;
  row.name.digest = hf_external_id_digest(user->row.external_id.at, user->row.external_id.size);
  row.name.partition = hf_digest_partition(&row.name.digest, world->bits);
  row.name.user = user->row.id;
  row.name.created_us = world->now_us;
  (void)world_stage_rows(world, row.name.partition, &row, 1);
}

static unsigned scale_of(const void *arg, uint16_t asset)
{
  (void)arg;
  return asset == 0 ? HF_SCALE_MAX + 1 : WORLD_SCALE;
}

/* A decimal that is `amount` base units. */
static struct hf_decimal decimal_of(hf_amount amount)
{
  struct hf_decimal decimal = {.digits = amount, .scale = WORLD_SCALE};

  while (decimal.scale > 0 && decimal.digits % 10 == 0) {
    decimal.digits /= 10;
    decimal.scale--;
  }
  return decimal;
}

struct ledger_command world_command(struct store_world *world, uint8_t type, uint16_t asset,
                                    hf_amount amount)
{
  struct ledger_command command = {.type = type, .bucket = LEDGER_CLAIMABLE, .final = true};
  uint64_t number = ++world->keys;

  command.asset = asset;
  command.asset_given = asset != 0;
  command.asset_known = asset != 0;
  command.scale = WORLD_SCALE;
  command.amount_given = amount != 0;
  if (amount != 0)
    command.amount = decimal_of(amount);
  command.if_version = -1;
  command.scale_of = scale_of;
  command.key = hf_digest(&number, sizeof number);
  number = ~number;
  command.request = hf_digest(&number, sizeof number);
  memcpy(command.actor, "key:test", sizeof "key:test");
  return command;
}

struct ledger_command world_command_ref(struct store_world *world, uint8_t type, hf_id ref,
                                        hf_amount amount)
{
  struct ledger_command command = world_command(world, type, 0, amount);

  command.ref = ref;
  return command;
}

static void stage_refusal(struct store_world *world, struct world_unit *unit,
                          const struct ledger_command *command)
{
  unit->unit.has_outcome = true;
  unit->unit.outcome = (struct store_outcome){.user = unit->user->row.id,
                                              .key = command->key,
                                              .request = command->request,
                                              .error = (uint16_t)unit->error,
                                              .type = command->type,
                                              .version = unit->user->state.version,
                                              .recorded_us = command->now_us};
  stage(world, unit);
}

/* Copies the result's entries, others, bodies and rows. */
static void stage_effects(struct store_world *world, struct world_unit *unit)
{
  const struct ledger_result *result = &world->result;
  struct store_row rows[STORE_OP_ROWS_MAX + 1];
  size_t count = result->entries_count;
  unsigned rows_count = store_rows_of_op(result->entries, count, rows);
  struct world_user *user = unit->user;

  unit->unit.entries_count = result->entries_count;
  unit->unit.entries =
    hf_arena_copy(&world->arena, result->entries, count * sizeof *result->entries);
  for (size_t i = 0; i < count; i++) {
    struct ledger_entry *entry = &unit->unit.entries[i];
    void *array = user->history;
    struct ledger_entry **place =
      push(world, &array, &user->history_count, &user->history_room, sizeof *place);

    user->history = array;
    *place = entry;
    entry->others =
      hf_arena_copy(&world->arena, entry->others, entry->others_count * sizeof *entry->others);
    assert_int_equal(user->history_count, entry->version);
  }
  unit->unit.bodies = hf_arena_copy(&world->arena, result->body.at, result->body.size);
  unit->unit.body_sizes =
    hf_arena_copy(&world->arena, result->body_size, count * sizeof *result->body_size);
  unit->unit.rows_count = (uint16_t)rows_count;
  unit->unit.rows = hf_arena_alloc(&world->arena, (rows_count + 1u) * sizeof *rows);
  memcpy(unit->unit.rows, rows, rows_count * sizeof *rows);
  stage(world, unit);
}

struct world_unit *world_stage(struct store_world *world, struct world_user *user,
                               const struct ledger_command *command)
{
  struct world_unit *unit = hf_arena_alloc(&world->arena, sizeof *unit);
  struct ledger_command now = *command;

  now.now_us = world->now_us;
  unit->user = user;
  unit->unit.user = user->row.id;
  unit->unit.partition = hf_id_partition(user->row.id, world->bits);
  unit->unit.has_key = true;
  unit->unit.probe = true;
  user->state.status = user->row.status;
  ledger_apply(&user->state, &now, &world->result);
  unit->error = world->result.error;
  if (unit->error == HF_OK)
    stage_effects(world, unit);
  else
    stage_refusal(world, unit, &now);
  return unit;
}

struct world_unit *world_simple(struct store_world *world, struct world_user *user, uint8_t type,
                                uint16_t asset, hf_amount amount)
{
  struct ledger_command command = world_command(world, type, asset, amount);

  return world_stage(world, user, &command);
}

struct world_unit *world_ref(struct store_world *world, struct world_user *user, uint8_t type,
                             hf_id ref, hf_amount amount)
{
  struct ledger_command command = world_command_ref(world, type, ref, amount);

  return world_stage(world, user, &command);
}

struct world_unit *world_stage_meta(struct store_world *world, struct world_user *user,
                                    struct ledger_command *command, const char *json)
{
  struct store_row row = {.table = STORE_T_META, .action = STORE_INSERT};
  struct world_unit *unit;

  row.meta.json = text_of(json);
  row.meta.json.at = hf_arena_text(&world->arena, json, row.meta.json.size);
  memset(row.meta.salt, (int)(world->keys & 0xff), sizeof row.meta.salt);
  command->has_metadata = true;
  command->metadata_hash =
    hf_sha256_pair(row.meta.salt, sizeof row.meta.salt, row.meta.json.at, row.meta.json.size);
  unit = world_stage(world, user, command);
  if (unit->error == HF_OK)
    unit->unit.rows[unit->unit.rows_count++] = row; /* stage_effects leaves room for it */
  return unit;
}

struct world_unit *world_stage_reverse(struct store_world *world, struct world_user *user,
                                       hf_id original, hf_amount amount)
{
  struct ledger_command command = world_command_ref(world, LEDGER_T_REVERSE, original, amount);
  struct store_request *request = store_request_new(STORE_GET_OP);
  struct ledger_original *known = hf_arena_alloc(&world->arena, sizeof *known);
  const struct store_op *op;

  request->get_op.id = original;
  world_read(world, request, STORE_OK);
  op = request->get_op.out;
  known->found = true;
  known->first = op->entries[0];
  known->first.others = NULL;
  known->first.others_count = 0;
  for (size_t i = 0; i < op->reversals_count; i++)
    known->reversed += op->reversals[i].amount;
  known->reversals = op->reversals_count;
  store_request_free(request);
  command.original = known;
  return world_stage(world, user, &command);
}

struct world_mark world_mark(struct world_user *user)
{
  struct world_mark mark = {.user = user, .history_count = user->history_count};

  ledger_user_copy(&mark.state, &user->state);
  return mark;
}

void world_back(struct world_mark *mark)
{
  ledger_user_deinit(&mark->user->state);
  mark->user->state = mark->state;
  mark->user->history_count = mark->history_count;
}

/* ---- committing ------------------------------------------------------------------------------ */

/* Moves the staged units of one partition into the request and makes their batch. */
static void batch_build(struct store_world *world, struct store_request *request,
                        uint32_t partition)
{
  const struct world_partition *from = &world->partitions[partition];
  struct store_batch batch = {.partition = partition, .number = from->next_batch};
  struct store_batch_hasher hasher;
  bool any = false;

  batch.epoch = from->epoch;
  batch.first_seq = from->next_seq;
  batch.committed_us = world->now_us;
  batch.previous = from->head;
  store_batch_begin(&hasher);
  for (size_t i = 0; i < world->staged_count; i++) {
    struct store_unit *unit = world->staged[i];

    if (unit->partition != partition)
      continue;
    any = true;
    store_unit_number(unit, batch.first_seq + batch.entries_count, world->bits);
    for (unsigned j = 0; j < unit->entries_count; j++)
      store_batch_entry(&hasher, &unit->entries[j].hash);
    if (unit->has_outcome)
      store_batch_outcome(&hasher, &unit->outcome);
    batch.entries_count += unit->entries_count;
    batch.rows_count += unit->rows_count;
    batch.outcomes_count += unit->has_outcome;
    request->commit.units[request->commit.units_count++] = unit;
  }
  store_batch_end(&hasher, &batch);
  if (any)
    request->commit.batches[request->commit.batches_count++] = batch;
}

struct store_request *world_commit_build(struct store_world *world)
{
  struct store_request *request = store_request_new(STORE_COMMIT);
  uint32_t partitions = 1u << world->bits;

  assert_true(world->staged_count > 0);
  request->commit.batches =
    hf_arena_alloc(&request->arena, partitions * sizeof *request->commit.batches);
  request->commit.units =
    hf_arena_alloc(&request->arena, world->staged_count * sizeof *request->commit.units);
  for (uint32_t i = 0; i < partitions; i++)
    batch_build(world, request, i);
  assert_int_equal(request->commit.units_count, world->staged_count);
  world->staged_count = 0;
  world->now_us += 1000;
  return request;
}

/* A hold or block that the op opened is known by its version until its id is. */
static void learn_ids(struct world_user *user, const struct store_unit *unit)
{
  for (unsigned i = 0; i < user->state.holds_count; i++) {
    struct ledger_hold *hold = &user->state.holds[i];

    if (hold->version == unit->entries[0].version)
      hold->id = unit->entries[0].id;
  }
  for (unsigned i = 0; i < user->state.blocks_count; i++) {
    struct ledger_block *block = &user->state.blocks[i];

    if (block->version == unit->entries[0].version)
      block->id = unit->entries[0].id;
  }
}

void world_commit_assume(struct store_world *world, const struct store_request *request)
{
  for (size_t i = 0; i < request->commit.batches_count; i++) {
    const struct store_batch *batch = &request->commit.batches[i];
    struct world_partition *partition = &world->partitions[batch->partition];

    partition->next_batch = batch->number + 1;
    partition->next_seq = batch->first_seq + batch->entries_count;
    partition->head = batch->hash;
  }
}

void world_commit_done(struct store_world *world, const struct store_request *request)
{
  assert_int_equal(request->status, STORE_OK);
  world_commit_assume(world, request);
  for (size_t i = 0; i < request->commit.units_count; i++) {
    struct store_unit *unit = request->commit.units[i];
    struct world_unit *whole = (struct world_unit *)(void *)unit; /* its first member */

    assert_int_equal(unit->status, STORE_OK);
    if (unit->entries_count > 0 && whole->user != NULL)
      learn_ids(whole->user, unit);
  }
}

enum store_status world_commit(struct store_world *world)
{
  struct store_request *request = world_commit_build(world);
  enum store_status status;

  world->engine->ops->execute(world->engine, request);
  status = request->status;
  if (status == STORE_OK)
    world_commit_done(world, request);
  store_request_free(request);
  return status;
}

void world_must_commit(struct store_world *world)
{
  assert_int_equal(world_commit(world), STORE_OK);
}

/* ---- reading --------------------------------------------------------------------------------- */

void world_read(struct store_world *world, struct store_request *request, enum store_status status)
{
  world->engine->ops->execute(world->engine, request);
  assert_int_equal(request->status, status);
}

hf_id world_op(const struct world_unit *unit)
{
  assert_int_equal(unit->error, HF_OK);
  assert_true(unit->unit.entries_count > 0 && unit->unit.entries[0].id != 0);
  return unit->unit.entries[0].id;
}
