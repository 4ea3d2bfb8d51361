/* store_compare.c - a seeded run of commits and reads, its answers as text, on each engine.
 *
 * The run depends on the seed and on the answers alone, so two engines that behave alike are asked
 * the same questions. Text that differs is a difference between the engines. */
#include "tests/conformance/store_compare.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/store_fixture.h"
#include "tests/support/store_text.h"

#define STEPS 1500u
#define ASSETS 6u
#define OPS_MAX 4096u

struct run {
  struct store_world *world;
  uint64_t random;
  struct hf_bytes text;
  struct { /* applied ops whose commit is done, for reversals, credits and replays */
    struct world_user *user;
    struct ledger_command command;
    struct world_unit *unit;
  } ops[OPS_MAX];
  size_t ops_count, ops_durable;
};

static uint64_t chance(struct run *run, uint64_t below)
{
  run->random ^= run->random << 13;
  run->random ^= run->random >> 7;
  run->random ^= run->random << 17;
  return run->random % below;
}

static void answer(struct run *run, struct store_request *request)
{
  run->world->engine->ops->execute(run->world->engine, request);
  store_text_answer(request, &run->text);
}

static struct world_user *any_user(struct run *run)
{
  return run->world->users[chance(run, run->world->users_count)];
}

/* ---- work ------------------------------------------------------------------------------------ */

static void commit(struct run *run)
{
  struct store_request *request;

  if (run->world->staged_count == 0)
    return;
  request = world_commit_build(run->world);
  answer(run, request);
  assert_int_equal(request->status, STORE_OK);
  world_commit_done(run->world, request);
  store_request_free(request);
  run->ops_durable = run->ops_count;
  run->world->now_us += (int64_t)chance(run, 2000000);
}

static void add_user(struct run *run)
{
  static const char *const texts[] = {NULL, "", "x", "{\"k\":\"v\"}", "\xc3\xa9'\"--"};

  world_user_add(run->world, (uint32_t)chance(run, 4), texts[chance(run, 5)],
                 texts[chance(run, 5)]);
}

static void remember(struct run *run, struct world_user *user, const struct ledger_command *command,
                     struct world_unit *unit)
{
  if (run->ops_count == OPS_MAX || unit->error != HF_OK)
    return;
  run->ops[run->ops_count].user = user;
  run->ops[run->ops_count].command = *command;
  run->ops[run->ops_count].unit = unit;
  run->ops_count++;
}

/* A command about one of the user's open holds or blocks, or about one that may not be there. */
static struct ledger_command command_of_ref(struct run *run, const struct world_user *user)
{
  static const uint8_t types[] = {LEDGER_T_CAPTURE, LEDGER_T_VOID, LEDGER_T_EXPIRE,
                                  LEDGER_T_UNBLOCK};
  uint8_t type = types[chance(run, sizeof types)];
  const struct ledger_user *state = &user->state;
  hf_id ref = hf_id_make(1 + chance(run, 50), 0, run->world->bits);
  struct ledger_command command;

  if (type == LEDGER_T_UNBLOCK && state->blocks_count > 0)
    ref = state->blocks[chance(run, state->blocks_count)].id;
  else if (state->holds_count > 0)
    ref = state->holds[chance(run, state->holds_count)].id;
  if (ref == 0) /* not committed yet: nobody can know it */
    ref = HF_ID_MAX;
  command = world_command_ref(
    run->world, type, ref,
    type == LEDGER_T_VOID || type == LEDGER_T_EXPIRE ? 0 : (hf_amount)chance(run, 30));
  command.final = chance(run, 2) == 0;
  return command;
}

static struct ledger_command command_of_asset(struct run *run)
{
  static const uint8_t types[] = {LEDGER_T_EARN,   LEDGER_T_SETTLE,        LEDGER_T_MATURE,
                                  LEDGER_T_GRANT,  LEDGER_T_DEPOSIT,       LEDGER_T_SPEND,
                                  LEDGER_T_HOLD,   LEDGER_T_BLOCK,         LEDGER_T_TRANSFER,
                                  LEDGER_T_ADJUST, LEDGER_T_QUARANTINE_IN, LEDGER_T_RELEASE};
  uint8_t type = types[chance(run, sizeof types)];
  hf_amount amount = 1 + (hf_amount)chance(run, 100);
  struct ledger_command command;

  if (chance(run, 40) == 0) /* so large that only a sum over all users still fits */
    amount = HF_AMOUNT_MAX / STEPS - (hf_amount)chance(run, 100);
  command = world_command(run->world, type, (uint16_t)(1 + chance(run, ASSETS)), amount);
  command.timeout_s = chance(run, 2) == 0 ? 0 : (uint32_t)(1 + chance(run, 20));
  command.counterparty = any_user(run)->row.id;
  if (chance(run, 4) == 0)
    command.effective_us = run->world->now_us - (int64_t)chance(run, 5000000);
  return command;
}

static void stage_op(struct run *run)
{
  struct world_user *user = any_user(run);
  bool of_ref = chance(run, 4) == 0;
  struct ledger_command command = of_ref ? command_of_ref(run, user) : command_of_asset(run);
  struct world_unit *unit = chance(run, 4) == 0
                              ? world_stage_meta(run->world, user, &command, "{\"reason\":\"?\"}")
                              : world_stage(run->world, user, &command);

  remember(run, user, &command, unit);
}

static void stage_reverse(struct run *run)
{
  size_t which;

  commit(run);
  if (run->ops_durable == 0)
    return;
  which = chance(run, run->ops_durable);
  world_stage_reverse(run->world, run->ops[which].user, world_op(run->ops[which].unit),
                      (hf_amount)chance(run, 20));
  commit(run);
}

/* Sends something that must be refused, alone, and goes back. */
static void refused_commit(struct run *run)
{
  struct world_user *user;
  struct world_mark mark;
  struct store_request *request;
  struct store_row row = {.table = STORE_T_USER, .action = STORE_INSERT};
  struct world_unit *unit;

  commit(run);
  user = any_user(run);
  if (run->ops_durable > 0 && chance(run, 3) > 0) {
    size_t which = chance(run, run->ops_durable);

    user = run->ops[which].user;
    mark = world_mark(user);
    unit = world_stage(run->world, user, &run->ops[which].command);
    unit->unit.probe = chance(run, 2) == 0;
  } else {
    mark = world_mark(user);
    row.user = user->row;
    unit = world_stage_rows(run->world, hf_id_partition(user->row.id, run->world->bits), &row, 1);
  }
  request = world_commit_build(run->world);
  answer(run, request);
  assert_int_not_equal(request->status, STORE_OK);
  store_op_free(unit->unit.hit);
  unit->unit.hit = NULL;
  store_request_free(request);
  world_back(&mark);
}

static void update_user(struct run *run)
{
  struct world_user *user = any_user(run);
  struct store_row row = {.table = STORE_T_USER, .action = STORE_UPDATE};

  user->row.status = chance(run, 4) == 0 ? LEDGER_CLOSED : LEDGER_OPEN;
  row.user = user->row;
  world_stage_rows(run->world, hf_id_partition(user->row.id, run->world->bits), &row, 1);
}

static void stage_name(struct run *run)
{
  struct store_row row = {.table = STORE_T_NAME, .action = STORE_INSERT};
  uint64_t number = ++run->world->keys;

  row.name.partition = (uint32_t)chance(run, 4);
  row.name.kind = (uint8_t)(1 + chance(run, 2));
  row.name.state = (uint8_t)chance(run, 2);
  row.name.digest = hf_sha256(&number, sizeof number);
  row.name.user = any_user(run)->row.id;
  row.name.created_us = run->world->now_us;
  world_stage_rows(run->world, row.name.partition, &row, 1);
}

/* ---- questions ------------------------------------------------------------------------------- */

static hf_id any_id(struct run *run)
{
  return hf_id_make(chance(run, 200), (unsigned)chance(run, 4), run->world->bits);
}

static void ask_user(struct run *run, struct store_request *request)
{
  struct world_user *user = any_user(run);

  switch (request->kind) {
  case STORE_LOAD_USER:
    request->load_user.id = user->row.id;
    break;
  case STORE_GET_USER:
    request->get_user.id = chance(run, 4) == 0 ? any_id(run) : user->row.id;
    break;
  case STORE_GET_KEY_OP:
    request->get_key_op.user = user->row.id;
    if (run->ops_count > 0) {
      size_t which = chance(run, run->ops_count);

      request->get_key_op.user = run->ops[which].user->row.id;
      request->get_key_op.key = run->ops[which].command.key;
    }
    break;
  case STORE_LIST_HOLDS:
    request->list_holds.user = chance(run, 8) == 0 ? any_id(run) : user->row.id;
    request->list_holds.open_only = chance(run, 2) == 0;
    request->list_holds.after = chance(run, 2) == 0 ? 0 : any_id(run);
    request->list_holds.limit = (uint32_t)(1 + chance(run, 20));
    break;
  case STORE_BALANCE_AT:
    request->balance_at.user = chance(run, 8) == 0 ? any_id(run) : user->row.id;
    request->balance_at.effective = chance(run, 2) == 0;
    request->balance_at.at_us =
      WORLD_START_US + (int64_t)chance(run, (uint64_t)(run->world->now_us - WORLD_START_US) + 2000);
    break;
  default:
    request->list_entries.user = chance(run, 8) == 0 ? any_id(run) : user->row.id;
    request->list_entries.asset = (uint16_t)chance(run, ASSETS);
    request->list_entries.type = (uint8_t)(chance(run, 2) == 0 ? 0 : 1 + chance(run, 18));
    request->list_entries.limit = (uint32_t)(1 + chance(run, 20));
    request->list_entries.scan_max = (uint32_t)(20 + chance(run, 200));
    request->list_entries.before_version = chance(run, 2) == 0 ? 0 : 1 + chance(run, 60);
  }
}

static void ask_rows(struct run *run, struct store_request *request)
{
  switch (request->kind) {
  case STORE_GET_OP:
    request->get_op.id = any_id(run);
    request->get_op.entry = chance(run, 2) == 0;
    break;
  case STORE_GET_HOLD:
    request->get_hold.id = any_id(run);
    break;
  case STORE_GET_BLOCK:
    request->get_block.id = any_id(run);
    break;
  case STORE_DUE_HOLDS:
    request->due_holds.partition = (uint32_t)chance(run, 4);
    request->due_holds.now_us = run->world->now_us;
    request->due_holds.limit = (uint32_t)(1 + chance(run, 20));
    if (chance(run, 2) == 0)
      request->due_holds.after_us = run->world->now_us - (int64_t)chance(run, 10000000);
    break;
  case STORE_OPEN_TRANSFERS:
    request->open_transfers.partition = (uint32_t)chance(run, 4);
    request->open_transfers.after = chance(run, 2) == 0 ? 0 : any_id(run);
    request->open_transfers.limit = (uint32_t)(1 + chance(run, 20));
    break;
  case STORE_RESERVED_NAMES:
    request->reserved.partition = (uint32_t)chance(run, 4);
    request->reserved.limit = STEPS;
    break;
  case STORE_SCAN:
    request->scan.partition = (uint32_t)chance(run, 4);
    request->scan.from_seq = chance(run, 200);
    request->scan.limit = (uint32_t)(1 + chance(run, 20));
    request->scan.reversals = chance(run, 2) == 0;
    break;
  default:
    request->project.partition = (uint32_t)chance(run, 4);
    request->project.limit = (uint32_t)(1 + chance(run, 20));
  }
}

static void ask(struct run *run)
{
  static const enum store_kind of_user[] = {STORE_LOAD_USER,  STORE_GET_USER,   STORE_GET_KEY_OP,
                                            STORE_LIST_HOLDS, STORE_BALANCE_AT, STORE_LIST_ENTRIES};
  static const enum store_kind of_rows[] = {
    STORE_GET_OP,         STORE_GET_HOLD,       STORE_GET_BLOCK, STORE_DUE_HOLDS,
    STORE_OPEN_TRANSFERS, STORE_RESERVED_NAMES, STORE_SCAN,      STORE_PROJECT};
  struct store_request *request;

  if (chance(run, 2) == 0) {
    request = store_request_new(of_user[chance(run, sizeof of_user / sizeof of_user[0])]);
    ask_user(run, request);
  } else {
    request = store_request_new(of_rows[chance(run, sizeof of_rows / sizeof of_rows[0])]);
    ask_rows(run, request);
  }
  answer(run, request);
  store_request_free(request);
}

/* ---- the runs -------------------------------------------------------------------------------- */

static void step(struct run *run)
{
  uint64_t what = chance(run, 100);

  if (what < 2)
    add_user(run);
  else if (what < 45)
    stage_op(run);
  else if (what < 48)
    stage_reverse(run);
  else if (what < 51)
    refused_commit(run);
  else if (what < 53)
    update_user(run);
  else if (what < 56)
    stage_name(run);
  else if (what < 65)
    commit(run);
  else
    ask(run);
  if (what == 99) {
    commit(run);
    world_take_over(run->world);
  }
}

static void run_on(struct store_engine *engine, uint64_t seed, struct hf_bytes *ret_text)
{
  struct store_world world;
  struct run *run = rt_alloc(sizeof *run);

  world_init(&world, engine);
  run->world = &world;
  run->random = seed * 0x9E3779B97F4A7C15ull | 1u;
  for (unsigned i = 0; i < 5; i++)
    add_user(run);
  for (unsigned i = 0; i < STEPS; i++)
    step(run);
  commit(run);
  *ret_text = run->text;
  world_deinit(&world);
  rt_free(run);
}

#define SHOWN 400u /* bytes before and behind the place where two texts part */

static void show(const char *name, const struct hf_bytes *text, size_t from)
{
  size_t size = text->size - from < 2 * SHOWN ? text->size - from : 2 * SHOWN;

  print_error("---- %s:\n%.*s\n", name, (int)size, (const char *)text->at + from);
}

/* Where the texts part. */
static void report(uint64_t seed, const struct hf_bytes *memory, const char *name,
                   const struct hf_bytes *other)
{
  size_t at = 0, size = memory->size < other->size ? memory->size : other->size;

  while (at < size && memory->at[at] == other->at[at])
    at++;
  show("memory", memory, at < SHOWN ? 0 : at - SHOWN);
  show(name, other, at < SHOWN ? 0 : at - SHOWN);
  fail_msg("seed %llu: the engines differ at byte %zu", (unsigned long long)seed, at);
}

static struct hf_bytes run_of(struct store_engine *(*open)(struct store_fixture *fixture),
                              uint64_t seed)
{
  struct store_fixture *fixture = rt_alloc(sizeof *fixture);
  struct hf_bytes text = {0};

  run_on(open(fixture), seed, &text);
  fixture_engine_close(fixture);
  rt_free(fixture);
  return text;
}

static void compare(uint64_t seed)
{
  static const struct {
    const char *name;
    struct store_engine *(*open)(struct store_fixture *fixture);
  } others[] = {{"SQLite", fixture_engine_sqlite}, {"PostgreSQL", fixture_engine_postgres}};
  struct hf_bytes first;

  print_message("store comparison: HOLDFAST_TEST_SEED=%llu\n", (unsigned long long)seed);
  first = run_of(fixture_engine_memory, seed);
  assert_true(first.size > 100000);
  for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
    struct hf_bytes second = run_of(others[i].open, seed);

    if (first.size != second.size || memcmp(first.at, second.at, first.size) != 0)
      report(seed, &first, others[i].name, &second);
    hf_bytes_deinit(&second);
  }
  hf_bytes_deinit(&first);
}

void test_engines_when_random_work_then_equal_answers(void **state)
{
  const char *given = getenv("HOLDFAST_TEST_SEED");
  uint32_t fresh;

  (void)state;
  if (given != NULL) {
    compare(strtoull(given, NULL, 10));
    return;
  }
  for (uint64_t seed = 1; seed <= 3; seed++)
    compare(seed);
  hf_random_bytes(&fresh, sizeof fresh);
  compare(fresh);
}
