/* actor_fixture.c - see actor_fixture.h. */
#include "tests/sim/actor_fixture.h"

#include <stdio.h>
#include <string.h>

#include "actors/metrics.h"
#include "adapters/store/pool_port.h"
#include "adapters/store_memory/store_memory.h"
#include "holdfast/check.h"
#include "tests/sim/sim_leaks.h"

#define START_WALL_US 1750000000000000ull
#define AWAIT_US 600000000u
#define FRONT_ASK 500u /* of the test to the front actor: struct post * */

struct post {
  struct fixture_ask *ask;
  rt_id to;
};

/* ---- the front actor ------------------------------------------------------------------------- */

static struct fixture *fixture_of(const rt_ctx *ctx)
{
  return rt_local(ctx, HF_LOCAL_FRONT);
}

/* What the runtime answers says nothing in the payload: the front door does. */
static void ask_answer(struct fixture_ask *ask, uint16_t reply)
{
  enum hf_error echo = hf_echo_error(reply, true);
  ask->answered = true;
  ask->reply = reply;
  if (echo == HF_OK)
    return;
  if (ask->op == HF_CREATE)
    ((struct hf_create *)ask->payload)->error = echo;
  else if (ask->op == HF_ASSET)
    ((struct hf_catalog_change *)ask->payload)->error = echo;
  else if (ask->op == HF_PEEK || ask->op == HF_SET_STATUS)
    ((struct hf_peek *)ask->payload)->error = echo;
}

static void front_send(rt_ctx *ctx, struct post *post)
{
  struct fixture_ask *ask = post->ask;
  if (rt_ask(ctx, post->to, ask->op, &ask->payload, sizeof ask->payload, 0,
             hf_corr(ask->payload)) != RT_OK)
    ask_answer(ask, RT_OP_OVERLOADED);
  rt_free(post);
}

static void front_answered(struct fixture *fixture, const rt_env *env)
{
  for (unsigned i = 0; i < fixture->asks_used; i++) {
    struct fixture_ask *ask = &fixture->asks[i];
    if (ask->payload != env->payload.p.ptr)
      continue;
    CHECK(!ask->answered); /* one answer each */
    ask_answer(ask, env->op);
    return;
  }
  CHECK(!"an answer to nothing");
}

static rt_status front_handle(rt_ctx *ctx, void *state, const rt_env *env)
{
  (void)state;
  if (env->op == FRONT_ASK)
    front_send(ctx, env->payload.p.ptr);
  else if (env->op != RT_OP_STOPPING)
    front_answered(fixture_of(ctx), env);
  return RT_OK;
}

static const uint8_t front_may_ask[] = {HF_KIND_STORE, HF_KIND_CATALOG, HF_KIND_USER, HF_KIND_NAMES,
                                        0};

static const rt_class front_class = {
  .name = "front",
  .kind = HF_KIND_FRONT,
  .flags = RT_CLASS_PER_LOOP,
  .state_bytes = 8,
  .stash_max = 1024,
  .may_ask = front_may_ask,
  .handle = front_handle,
};

/* ---- the store ------------------------------------------------------------------------------- */

static struct fixture *of_engine(struct store_engine *engine)
{
  return (struct fixture *)(void *)engine;
}

static void catalog_read(struct fixture *fixture, struct store_request *request)
{
  fixture->inner->ops->execute(fixture->inner, request);
  CHECK(request->catalog.assets_count >= fixture->assets_hidden + fixture->assets_torn);
  request->catalog.assets_count -= fixture->assets_hidden + fixture->assets_torn;
  request->catalog.assets += fixture->assets_torn;
}

static void store_execute(struct store_engine *engine, struct store_request *request)
{
  struct fixture *fixture = of_engine(engine);
  fixture->reads[request->kind]++;
  if (fixture->down)
    request->status = STORE_UNAVAILABLE;
  else if (request->kind == STORE_OPEN_PARTITION && fixture->broken_status != STORE_OK &&
           request->open_partition.partition == fixture->broken)
    request->status = (uint8_t)fixture->broken_status;
  else if (request->kind == STORE_CATALOG)
    catalog_read(fixture, request);
  else
    fixture->inner->ops->execute(fixture->inner, request);
  if (fixture->spoil != NULL)
    fixture->spoil(fixture, request);
}

static enum fixture_fate next_fate(struct fixture *fixture)
{
  if (fixture->down)
    return FATE_REFUSED;
  if (fixture->fates_count == 0)
    return FATE_DONE;
  enum fixture_fate fate = fixture->fates[0];
  memmove(fixture->fates, fixture->fates + 1, --fixture->fates_count * sizeof fate);
  return fate;
}

static void forget_hits(struct store_request *request)
{
  for (size_t i = 0; i < request->commit.units_count; i++) {
    store_op_free(request->commit.units[i]->hit);
    request->commit.units[i]->hit = NULL;
  }
}

static void store_commit_many(struct store_engine *engine, struct store_request **requests,
                              size_t count)
{
  struct fixture *fixture = of_engine(engine);
  enum fixture_fate fate = next_fate(fixture);
  fixture->commits++;
  if (fate == FATE_DONE || fate == FATE_UNKNOWN_DONE)
    fixture->inner->ops->commit_many(fixture->inner, requests, count);
  for (size_t i = 0; i < count && fate != FATE_DONE; i++) {
    if (fate == FATE_UNKNOWN_DONE)
      forget_hits(requests[i]);
    requests[i]->status = fate == FATE_REFUSED ? STORE_UNAVAILABLE : STORE_UNKNOWN;
  }
}

static void store_close(struct store_engine *engine)
{
  (void)engine; /* the inner one outlives the process */
}

static const struct store_engine_ops engine_ops = {.name = "scripted",
                                                   .execute = store_execute,
                                                   .commit_many = store_commit_many,
                                                   .close = store_close};

void fixture_fate(struct fixture *fixture, enum fixture_fate fate)
{
  CHECK(fixture->fates_count < sizeof fixture->fates / sizeof fixture->fates[0]);
  fixture->fates[fixture->fates_count++] = fate;
}

/* ---- up and down ----------------------------------------------------------------------------- */

static void log_line(void *arg, int level, const char *component, const char *text)
{
  struct fixture *fixture = arg;
  (void)level;
  (void)component;
  fixture->logged++;
  (void)snprintf(fixture->logline, sizeof fixture->logline, "%s", text);
}

static void loop_start(void *arg, rt_ctx *ctx)
{
  struct fixture *fixture = arg;
  hf_loop_begin(ctx, &fixture->setup);
  rt_set_local(ctx, HF_LOCAL_FRONT, fixture);
  fixture->loops[rt_loop_index(ctx)] = ctx;
}

static void loop_stop(void *arg, rt_ctx *ctx)
{
  (void)arg;
  hf_loop_end(ctx);
}

static void runtime_up(struct fixture *fixture)
{
  static const rt_class *const classes[] = {
    &hf_store_class,   &hf_catalog_class, &hf_user_class, &hf_names_class,
    &hf_transit_class, &hf_sweep_class,   &front_class,   NULL};
  static const struct rt_pool_config pools[HF_POOL_COUNT] = {
    [HF_POOL_WRITE] = {"write", 1, 65536}, [HF_POOL_READ] = {"read", 2, 65536}};
  fixture->port = pool_port_new(&fixture->engine, 2);
  fixture->setup.port = fixture->port;
  struct rt_config config = {
    .loops = fixture->config.loops,
    .shards = 1u << fixture->config.partition_bits,
    .classes = classes,
    .pools = pools,
    .pools_count = HF_POOL_COUNT,
    .metrics = hf_actor_metrics,
    .metrics_count = HF_METRIC_COUNT,
    .live_actors_max = fixture->config.live_actors_max,
    .overflow_max = fixture->config.overflow_max,
    .loop_start = loop_start,
    .loop_stop = loop_stop,
    .arg = fixture,
  };
  fixture->runtime = rt_start(fixture->driver, &config);
  CHECK(fixture->runtime != NULL);
}

static bool is_ready(const struct fixture *fixture)
{
  for (unsigned i = 0; i < fixture->config.loops; i++)
    if (fixture->loops[i] == NULL || catalog_of(fixture->loops[i]) == NULL)
      return false;
  return true;
}

static void await_ready(struct fixture *fixture)
{
  while (!is_ready(fixture))
    fixture_step(fixture);
}

static unsigned or_default(unsigned value, unsigned fallback)
{
  return value == 0 ? fallback : value;
}

struct fixture *fixture_new(struct fixture_config config)
{
  struct fixture *fixture = rt_alloc(sizeof *fixture);
  config.loops = or_default(config.loops, 2);
  config.partition_bits = or_default(config.partition_bits, 2);
  config.live_actors_max = or_default(config.live_actors_max, 10000);
  config.job_us_max = or_default(config.job_us_max, 1000);
  CHECK(config.loops <= FIXTURE_LOOPS_MAX);
  fixture->config = config;
  fixture->engine.ops = &engine_ops;
  fixture->engine.partition_bits = config.partition_bits;
  fixture->inner = store_memory_new(config.partition_bits);
  fixture->asks = rt_alloc(FIXTURE_ASKS_MAX * sizeof *fixture->asks);
  fixture->setup = (struct hf_setup){
    .partition_bits = config.partition_bits,
    .batch_units_max = or_default(config.batch_units_max, 8192),
    .queue_units_max = 65536,
    .op_timeout_us = 10000000,
    .sweep_every_us = config.sweep_every_us,
    .log = log_line,
    .log_arg = fixture,
  };
  struct driver_sim_config driver = {
    .seed = config.seed == 0 ? 1 : config.seed,
    .start_wall_us = START_WALL_US,
    .job_delay_us_min = 1000,
    .job_delay_us_max = config.job_us_max,
    .buggify_percent = config.buggify_percent,
  };
  fixture->driver = driver_sim_new(&driver);
  runtime_up(fixture);
  await_ready(fixture);
  CHECK(fixture_asset(fixture, FIXTURE_ASSET) == HF_OK);
  return fixture;
}

/* Frees what was sent and never taken. */
static void asks_forget(struct fixture *fixture)
{
  for (unsigned i = 0; i < fixture->asks_used; i++) {
    struct fixture_ask *ask = &fixture->asks[i];
    if (ask->op == HF_SUBMIT) {
      for (struct hf_op *op = ask->payload, *next; op != NULL; op = next) {
        next = op->group_next;
        hf_op_free(op);
      }
    } else if (ask->op == HF_BALANCES) {
      hf_view_free(ask->payload);
    } else {
      rt_free(ask->payload);
    }
    *ask = (struct fixture_ask){0};
  }
  fixture->asks_used = 0;
}

void fixture_free(struct fixture *fixture)
{
  rt_stop(fixture->runtime, 60000000);
  bool complete = rt_join(fixture->runtime);
  CHECK(complete);
  pool_port_free(fixture->port);
  asks_forget(fixture);
  fixture->inner->ops->close(fixture->inner);
  driver_sim_free(fixture->driver);
  rt_free(fixture->asks);
  rt_free(fixture);
}

void fixture_crash(struct fixture *fixture)
{
  sim_leaks_expected();
  driver_sim_crash(fixture->driver, fixture->runtime);
  pool_port_free(fixture->port);
  asks_forget(fixture);
  memset(fixture->loops, 0, sizeof fixture->loops);
  runtime_up(fixture);
  await_ready(fixture);
}

/* ---- time ------------------------------------------------------------------------------------ */

uint64_t fixture_now_us(const struct fixture *fixture)
{
  return driver_sim_now_us(fixture->driver);
}

int64_t fixture_wall_us(const struct fixture *fixture)
{
  return (int64_t)(START_WALL_US + fixture_now_us(fixture));
}

void fixture_step(struct fixture *fixture)
{
  bool stepped = driver_sim_step(fixture->driver, UINT64_MAX);
  CHECK(stepped);
}

void fixture_steps(struct fixture *fixture, unsigned count)
{
  while (count > 0 && driver_sim_step(fixture->driver, UINT64_MAX))
    count--;
}

void fixture_run(struct fixture *fixture, uint64_t us)
{
  uint64_t until_us = fixture_now_us(fixture) + us;
  while (driver_sim_step(fixture->driver, until_us)) {
  }
}

/* ---- asking ---------------------------------------------------------------------------------- */

static struct fixture_ask *ask_new(struct fixture *fixture)
{
  for (unsigned i = 0; i < fixture->asks_used; i++)
    if (fixture->asks[i].payload == NULL)
      return &fixture->asks[i];
  CHECK(fixture->asks_used < FIXTURE_ASKS_MAX);
  return &fixture->asks[fixture->asks_used++];
}

struct fixture_ask *fixture_send(struct fixture *fixture, unsigned loop, rt_id to, uint16_t op,
                                 void *payload)
{
  struct fixture_ask *ask = ask_new(fixture);
  struct post *post = rt_alloc(sizeof *post);
  CHECK(payload != NULL);
  *ask = (struct fixture_ask){.payload = payload, .op = op};
  *post = (struct post){.ask = ask, .to = to};
  while (rt_post(fixture->runtime, hf_loop_actor(HF_KIND_FRONT, loop), FRONT_ASK, &post,
                 sizeof post) != RT_OK)
    fixture_step(fixture);
  return ask;
}

void *fixture_take(struct fixture *fixture, struct fixture_ask *ask)
{
  uint64_t until_us = fixture_now_us(fixture) + AWAIT_US;
  while (!ask->answered) {
    fixture_step(fixture);
    CHECK(fixture_now_us(fixture) < until_us);
  }
  void *payload = ask->payload;
  ask->payload = NULL;
  return payload;
}

/* ---- operations ------------------------------------------------------------------------------ */

struct hf_op *fixture_op_ref(struct fixture *fixture, hf_id user, unsigned type, hf_id ref,
                             int64_t amount, const char *key)
{
  static uint64_t number;
  char text[32];
  struct hf_op *op = hf_op_new();
  (void)fixture;
  if (key == NULL) {
    (void)snprintf(text, sizeof text, "auto-%llu", (unsigned long long)++number);
    key = text;
  }
  op->user = user;
  op->has_key = true;
  op->command.key = hf_digest(key, strlen(key));
  op->command.type = (uint8_t)type;
  op->command.ref = ref;
  op->command.amount = (struct hf_decimal){.digits = amount, .scale = FIXTURE_SCALE};
  op->command.amount_given = amount != 0;
  return op;
}

struct hf_op *fixture_op(struct fixture *fixture, hf_id user, unsigned type, int64_t amount,
                         const char *key)
{
  struct hf_op *op = fixture_op_ref(fixture, user, type, 0, amount, key);
  memcpy(op->asset_code, FIXTURE_ASSET, sizeof FIXTURE_ASSET);
  return op;
}

struct hf_op *fixture_op_transfer(struct fixture *fixture, hf_id payer, hf_id payee, int64_t amount,
                                  const char *key)
{
  struct hf_op *op = fixture_op(fixture, payer, LEDGER_T_TRANSFER, amount, key);
  op->command.counterparty = payee;
  return op;
}

static void seal(struct hf_op *op)
{
  const struct ledger_command *command = &op->command;
  char text[256];
  int size =
    snprintf(text, sizeof text, "%u|%llu|%s|%lld|%llu|%llu|%u|%u|%d|%lld", command->type,
             (unsigned long long)op->user, op->asset_code, (long long)command->amount.digits,
             (unsigned long long)command->ref, (unsigned long long)command->counterparty,
             command->timeout_s, command->bucket, command->final, (long long)command->if_version);
  op->command.request = hf_digest(text, (size_t)size);
}

struct fixture_ask *fixture_submit(struct fixture *fixture, unsigned loop, struct hf_op *op)
{
  CHECK(op != NULL);
  for (struct hf_op *member = op; member != NULL; member = member->group_next)
    seal(member);
  return fixture_send(fixture, loop, hf_user_actor(op->user, fixture->config.partition_bits),
                      HF_SUBMIT, op);
}

static struct outcome outcome_of(const struct hf_op *op, uint16_t reply)
{
  size_t count = 0;
  struct outcome outcome = {.error = op->error, .replayed = op->replayed};
  if (reply != HF_DONE) {
    outcome.error = HF_E_OVERLOADED;
    return outcome;
  }
  const struct ledger_entry *entries = hf_op_entries(op, &count);
  outcome.op = hf_op_id(op);
  outcome.entries = (unsigned)count;
  if (count == 0)
    return outcome;
  outcome.first = entries[0];
  outcome.last = entries[count - 1];
  outcome.first.others = outcome.last.others = NULL;
  return outcome;
}

struct outcome fixture_outcome(struct fixture *fixture, struct fixture_ask *ask)
{
  struct hf_op *op = fixture_take(fixture, ask);
  struct outcome outcome = outcome_of(op, ask->reply);
  CHECK(op->group_next == NULL);
  hf_op_free(op);
  return outcome;
}

struct outcome fixture_do(struct fixture *fixture, struct hf_op *op)
{
  return fixture_outcome(fixture, fixture_submit(fixture, 0, op));
}

void fixture_outcomes(struct fixture *fixture, struct fixture_ask *ask, struct outcome *outcomes,
                      unsigned count)
{
  struct hf_op *op = fixture_take(fixture, ask), *next;
  for (unsigned i = 0; i < count; i++, op = next) {
    CHECK(op != NULL);
    next = op->group_next;
    outcomes[i] = outcome_of(op, ask->reply);
    hf_op_free(op);
  }
  CHECK(op == NULL);
}

/* ---- users, assets, balances ----------------------------------------------------------------- */

struct hf_create *fixture_create(const char *external_id, const char *key)
{
  struct hf_create *create = rt_alloc(sizeof *create);
  if (external_id != NULL) {
    create->has_external_id = true;
    (void)snprintf(create->external_id, sizeof create->external_id, "%s", external_id);
  }
  if (key != NULL) {
    create->has_key = true;
    create->key = hf_sha256(key, strlen(key));
  }
  create->request = hf_digest(create->external_id, strlen(create->external_id));
  return create;
}

struct fixture_ask *fixture_send_create(struct fixture *fixture, unsigned loop,
                                        struct hf_create *create)
{
  rt_id home = hf_create_home(fixture->loops[loop], create, fixture->config.partition_bits);
  return fixture_send(fixture, loop, home, HF_CREATE, create);
}

hf_id fixture_user(struct fixture *fixture, const char *external_id)
{
  struct hf_create *create =
    fixture_take(fixture, fixture_send_create(fixture, 0, fixture_create(external_id, NULL)));
  CHECK(create->error == HF_OK);
  hf_id user = create->user;
  rt_free(create);
  return user;
}

enum hf_error fixture_asset(struct fixture *fixture, const char *code)
{
  struct hf_catalog_change *change = rt_alloc(sizeof *change);
  change->kind = CATALOG_ADD_ASSET;
  change->asset.scale = FIXTURE_SCALE;
  change->asset.chain_decimals = 255;
  (void)snprintf(change->asset.code, sizeof change->asset.code, "%s", code);
  unsigned loop = fixture->config.loops - 1u;
  rt_id home = catalog_home(fixture->loops[loop]);
  change = fixture_take(fixture, fixture_send(fixture, loop, home, HF_ASSET, change));
  enum hf_error error = change->error;
  rt_free(change);
  return error;
}

enum hf_error fixture_status(struct fixture *fixture, hf_id user, unsigned status)
{
  struct hf_peek *peek = rt_alloc(sizeof *peek);
  peek->user = user;
  peek->status = (uint8_t)status;
  rt_id actor = hf_user_actor(user, fixture->config.partition_bits);
  peek = fixture_take(fixture, fixture_send(fixture, 0, actor, HF_SET_STATUS, peek));
  enum hf_error error = peek->error;
  rt_free(peek);
  return error;
}

struct ledger_balance fixture_balance(struct fixture *fixture, hf_id user)
{
  struct ledger_balance balance = {0};
  struct hf_view *view = hf_view_new();
  view->user = user;
  rt_id actor = hf_user_actor(user, fixture->config.partition_bits);
  struct fixture_ask *ask = fixture_send(fixture, 0, actor, HF_BALANCES, view);
  view = fixture_take(fixture, ask);
  CHECK(ask->reply == HF_BALANCES_DONE && view->error == HF_OK);
  for (unsigned i = 0; i < view->assets_count; i++)
    if (view->assets[i].asset == 1)
      balance = view->assets[i].balance;
  hf_view_free(view);
  return balance;
}

void fixture_read(struct fixture *fixture, struct store_request *request)
{
  fixture->inner->ops->execute(fixture->inner, request);
}

/* ---- the journal ----------------------------------------------------------------------------- */

static void scan(struct fixture *fixture, void (*each)(const struct ledger_entry *entry, void *arg),
                 void *arg)
{
  for (uint32_t i = 0; i < 1u << fixture->config.partition_bits; i++) {
    size_t count = 1;
    for (uint64_t next = 1; count > 0; next += count) {
      struct store_request *request = store_request_new(STORE_SCAN);
      request->scan.partition = i;
      request->scan.from_seq = next;
      request->scan.limit = 1000;
      fixture_read(fixture, request);
      CHECK(request->status == STORE_OK);
      count = request->scan.entries_count;
      for (size_t j = 0; j < count; j++)
        each(&request->scan.entries[j], arg);
      store_request_free(request);
    }
  }
}

struct tally {
  int64_t accounts[LEDGER_ACCOUNT_COUNT];
  unsigned types[LEDGER_TYPE_COUNT];
};

static void tally_entry(const struct ledger_entry *entry, void *arg)
{
  struct tally *tally = arg;
  tally->types[entry->type]++;
  if (entry->asset != 1)
    return;
  tally->accounts[entry->from] -= (int64_t)entry->amount;
  tally->accounts[entry->to] += (int64_t)entry->amount;
}

int64_t fixture_account(struct fixture *fixture, unsigned account)
{
  struct tally tally = {0};
  CHECK(account < LEDGER_ACCOUNT_COUNT);
  scan(fixture, tally_entry, &tally);
  return tally.accounts[account];
}

int64_t fixture_inside(struct fixture *fixture)
{
  struct tally tally = {0};
  int64_t sum = 0;
  scan(fixture, tally_entry, &tally);
  for (unsigned i = 0; i < LEDGER_BUCKET_COUNT; i++)
    sum += tally.accounts[i]; /* what is moved to debt is paid: it comes out negative there */
  return sum;
}

unsigned fixture_count(struct fixture *fixture, unsigned type)
{
  struct tally tally = {0};
  CHECK(type < LEDGER_TYPE_COUNT);
  scan(fixture, tally_entry, &tally);
  return tally.types[type];
}
