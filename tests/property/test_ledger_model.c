/* test_ledger_model.c - random commands, against the naive model and against the rules that must
 * hold whatever the model says. It prints its seed when it fails; HF_SEED=n runs that one alone. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "actors/ledger/ledger.h"
#include "ledger_model.h"

#define SEEDS 300u
#define STEPS 400u
#define BITS 4u
#define USER 4099ull
#define SCALE 2u

struct journal_row {
  size_t at, size;
  struct hf_hash hash;
};

struct world {
  uint64_t random;
  struct ledger_user user, folded;
  struct ledger_result result;
  struct model model;
  int64_t now_us;
  uint64_t serial;
  hf_id ids[MODEL_OPS_MAX];                  /* of the model's ops */
  struct ledger_entry firsts[MODEL_OPS_MAX]; /* their first entries */
  struct hf_bytes journal;
  struct journal_row rows[2 * MODEL_OPS_MAX];
  unsigned rows_count;
  unsigned applied[LEDGER_TYPE_COUNT];
  unsigned refused[HF_ERROR_COUNT];
};

static struct world w;
static unsigned applied_total[LEDGER_TYPE_COUNT];
static unsigned refused_total[HF_ERROR_COUNT];
static unsigned debts_total, netted_total; /* entries from debt and to debt */

static uint64_t draw(uint64_t below)
{
  w.random += 0x9e3779b97f4a7c15u;
  uint64_t z = w.random;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return (z ^ z >> 31) % below;
}

static bool chance(unsigned percent)
{
  return draw(100) < percent;
}

/* Mostly small, so that balances meet and run dry; in one asset also at the end of the range. */
static hf_amount draw_amount(int asset)
{
  switch (draw(asset == 2 ? 20 : 60)) {
  case 0:
    return 0;
  case 1:
  case 2:
    return -(hf_amount)draw(50) - 1;
  case 3:
    return asset == 2 ? HF_AMOUNT_MAX - (hf_amount)draw(3) : 1;
  case 4:
    return asset == 2 ? HF_AMOUNT_MAX / 2 + (hf_amount)draw(3) : 2;
  default:
    return (hf_amount)draw(60) + 1;
  }
}

/* Every type, but reversals and what spends more often: they make debts. */
static int draw_type(void)
{
  static const uint8_t often[] = {LEDGER_T_REVERSE, LEDGER_T_SPEND, LEDGER_T_MATURE};
  return chance(20) ? often[draw(sizeof often)] : (int)draw(LEDGER_TYPE_COUNT - 1) + 1;
}

/* An op to refer to: one that opened something, a late one, or none. */
static int draw_op(const struct model_request *request)
{
  int count = w.model.ops_count;
  if (count == 0 || chance(4))
    return -1;
  enum model_thing wanted = request->type == LEDGER_T_UNBLOCK ? MODEL_BLOCK : MODEL_HOLD;
  for (unsigned tries = 0; tries < 40; tries++) {
    int op = count - 1 - (int)draw((uint64_t)(count < 60 ? count : 60));
    const struct model_op *it = &w.model.ops[op];
    if (request->type == LEDGER_T_REVERSE)
      return op;
    if (it->opened == wanted && (it->state == MODEL_OPEN || tries > 20))
      return op;
  }
  return (int)draw((uint64_t)count);
}

static struct model_request draw_request(void)
{
  struct model_request request = {.type = draw_type(), .op = -1};
  request.asset = chance(3) ? MODEL_ASSETS - 1 : (int)draw(MODEL_ASSETS - 1);
  request.bucket = (int)draw(9);
  request.final = chance(60);
  request.payee_closed = chance(5);
  request.payee_is_self = chance(5);
  request.from_chain = chance(50);
  request.too_fine = chance(3);
  request.amount = draw_amount(request.asset);
  if (request.type == LEDGER_T_SPEND || request.type == LEDGER_T_SETTLE) {
    unsigned bucket = request.type == LEDGER_T_SPEND ? LEDGER_CLAIMABLE : LEDGER_EARNED;
    request.amount = chance(40) ? w.model.sum[request.asset][bucket] : request.amount;
  }
  request.version = chance(95) ? -1 : chance(50) ? w.model.entries : (int64_t)draw(100);
  w.now_us += (int64_t)draw(chance(5) ? 4000000 : 3);
  request.now_us = chance(97) ? w.now_us : w.now_us - (int64_t)draw(5000000);
  request.timeout_s = chance(50) ? (uint32_t)draw(4) : 0;
  bool refers = false;
  switch (request.type) {
  case LEDGER_T_CAPTURE:
  case LEDGER_T_VOID:
  case LEDGER_T_UNBLOCK:
  case LEDGER_T_REVERSE:
  case LEDGER_T_EXPIRE:
    refers = true;
    request.op = draw_op(&request);
    break;
  default:
    break;
  }
  request.asset_named = !refers || (chance(15) && request.type != LEDGER_T_EXPIRE);
  if (refers && request.asset_named && request.op >= 0 && chance(70))
    request.asset = w.model.ops[request.op].asset;
  request.amount_named = !refers || (chance(60) && request.type != LEDGER_T_EXPIRE);
  if (request.type == LEDGER_T_CREDIT || request.type == LEDGER_T_BOUNCE) {
    request.asset = (int)draw(MODEL_ASSETS - 1);
    request.version = -1;
  }
  return request;
}

static unsigned scale_of(const void *arg, uint16_t asset)
{
  (void)arg;
  (void)asset;
  return SCALE;
}

static uint8_t fate_of(const struct model_request *request)
{
  if (request->op < 0)
    return LEDGER_FATE_UNKNOWN;
  const struct model_op *op = &w.model.ops[request->op];
  enum model_thing thing = request->type == LEDGER_T_UNBLOCK ? MODEL_BLOCK : MODEL_HOLD;
  if (op->opened != thing || op->state == MODEL_OPEN)
    return LEDGER_FATE_UNKNOWN;
  return op->state == MODEL_DONE ? LEDGER_FATE_RESOLVED : LEDGER_FATE_EXPIRED;
}

static struct ledger_command command_of(const struct model_request *request,
                                        struct ledger_original *original)
{
  struct ledger_command command = {
    .type = (uint8_t)request->type,
    .bucket = (uint8_t)request->bucket,
    .final = request->final,
    .asset_given = request->asset_named,
    .asset_known = request->asset != MODEL_ASSETS - 1,
    .amount_given = request->amount_named,
    .payee_closed = request->payee_closed,
    .has_metadata = chance(30),
    .fate = fate_of(request),
    .scale = SCALE,
    .asset = (uint16_t)(10 * (request->asset + 1)),
    .amount = {request->amount, SCALE},
    .ref = request->op < 0 ? HF_ID_MAX : w.ids[request->op],
    .counterparty = request->payee_is_self ? USER : 77,
    .timeout_s = request->timeout_s,
    .effective_us = chance(80) ? 0 : w.now_us - (int64_t)draw(1000),
    .if_version = request->version,
    .now_us = request->now_us,
    .original = original,
    .scale_of = scale_of,
  };
  if (request->too_fine) {
    command.amount.digits = 12345;
    command.amount.scale = SCALE + 1;
  }
  if (request->from_chain)
    memcpy(command.label, "chain", sizeof "chain");
  snprintf(command.actor, sizeof command.actor, "key:%" PRIu64, draw(1000));
  memset(command.key.bytes, (int)draw(256), sizeof command.key.bytes);
  memset(command.metadata_hash.bytes, (int)draw(256), sizeof command.metadata_hash.bytes);
  original->found = request->op >= 0;
  if (original->found) {
    original->first = w.firsts[request->op];
    original->reversed = w.model.ops[request->op].reversed;
  }
  return command;
}

/* ---- comparing ------------------------------------------------------------------------------- */

static bool same_bytes(const void *a, const void *b, size_t size)
{
  return size == 0 || memcmp(a, b, size) == 0;
}

/* Everything but the rooms; padding was never written to. */
static void assert_same_user(const struct ledger_user *a, const struct ledger_user *b)
{
  assert_int_equal(a->version, b->version);
  assert_int_equal(a->recorded_us, b->recorded_us);
  assert_memory_equal(&a->head, &b->head, sizeof a->head);
  assert_int_equal(a->assets_count, b->assets_count);
  for (unsigned i = 0; i < a->assets_count; i++) {
    assert_int_equal(a->assets[i].asset, b->assets[i].asset);
    assert_int_equal(a->assets[i].version, b->assets[i].version);
    assert_true(
      same_bytes(&a->assets[i].balance, &b->assets[i].balance, sizeof a->assets[i].balance));
  }
  assert_int_equal(a->holds_count, b->holds_count);
  for (unsigned i = 0; i < a->holds_count; i++) {
    assert_int_equal(a->holds[i].id, b->holds[i].id);
    assert_int_equal(a->holds[i].version, b->holds[i].version);
    assert_int_equal(a->holds[i].expires_us, b->holds[i].expires_us);
    assert_true(a->holds[i].amount == b->holds[i].amount);
    assert_true(a->holds[i].remaining == b->holds[i].remaining);
  }
  assert_int_equal(a->blocks_count, b->blocks_count);
  for (unsigned i = 0; i < a->blocks_count; i++) {
    assert_int_equal(a->blocks[i].id, b->blocks[i].id);
    assert_int_equal(a->blocks[i].version, b->blocks[i].version);
    assert_true(a->blocks[i].remaining == b->blocks[i].remaining);
    assert_int_equal(a->blocks[i].bucket, b->blocks[i].bucket);
  }
}

static void assert_model_agrees(void)
{
  unsigned holds = 0, blocks = 0;
  assert_int_equal(w.user.version, w.model.entries);
  assert_int_equal(w.user.recorded_us, w.model.recorded_us);
  for (int asset = 0; asset < MODEL_ASSETS; asset++) {
    static const struct ledger_asset none;
    const struct ledger_asset *in = ledger_user_asset(&w.user, (uint16_t)(10 * (asset + 1)));
    const struct ledger_balance *balance = in != NULL ? &in->balance : &none.balance;
    hf_amount own = 0;
    hf_uamount all = 0; /* modulo 2^128, as the system's sums */
    for (unsigned account = 0; account < MODEL_ACCOUNTS; account++) {
      model_sum sum = w.model.sum[asset][account];
      all += (hf_uamount)sum;
      if (account < LEDGER_DEBT) {
        assert_true(balance->bucket[account] >= 0);
        assert_true(balance->bucket[account] == sum);
        own += sum;
      }
    }
    assert_true(balance->bucket[LEDGER_DEBT] == -w.model.sum[asset][LEDGER_DEBT]);
    assert_true(ledger_total(balance) == own + w.model.sum[asset][LEDGER_DEBT]);
    assert_true(balance->spent_total == w.model.spent[asset]);
    assert_true(balance->claimed_total == 0);
    assert_true(all == 0);
  }
  for (int i = 0; i < w.model.ops_count; i++) {
    const struct model_op *op = &w.model.ops[i];
    const struct ledger_hold *hold = ledger_user_hold(&w.user, w.ids[i]);
    const struct ledger_block *block = ledger_user_block(&w.user, w.ids[i]);
    assert_true((hold != NULL) == (op->opened == MODEL_HOLD && op->state == MODEL_OPEN));
    assert_true((block != NULL) == (op->opened == MODEL_BLOCK && op->state == MODEL_OPEN));
    assert_true(hold == NULL ||
                (hold->remaining == op->left && hold->expires_us == op->expires_us));
    assert_true(block == NULL || (block->remaining == op->left && block->bucket == op->bucket));
    assert_true(op->reversed >= 0 && op->reversed <= op->amount);
    holds += hold != NULL;
    blocks += block != NULL;
  }
  assert_int_equal(w.user.holds_count, holds);
  assert_int_equal(w.user.blocks_count, blocks);
}

/* ---- one step -------------------------------------------------------------------------------- */

/* What the entries of an op say about money, without asking how they came to be. */
static void assert_entries_are_moves(const struct ledger_user *before)
{
  const struct ledger_entry *last = &w.result.entries[w.result.entries_count - 1];
  const struct ledger_asset *in = ledger_user_asset(before, last->asset);
  hf_amount total = in != NULL ? ledger_total(&in->balance) : 0;
  for (unsigned i = 0; i < w.result.entries_count; i++) {
    const struct ledger_entry *entry = &w.result.entries[i];
    assert_int_equal(entry->version, before->version + i + 1);
    assert_int_equal(entry->op_index, i);
    assert_int_equal(entry->op_count, w.result.entries_count);
    assert_true(entry->amount > 0);
    assert_true(entry->recorded_us > before->recorded_us);
    assert_true(entry->effective_us <= entry->recorded_us);
    assert_true(entry->from != entry->to);
    debts_total += entry->from == LEDGER_DEBT;
    netted_total += entry->to == LEDGER_DEBT;
    total += entry->from >= 16 ? entry->amount : entry->to >= 16 ? -entry->amount : 0;
    assert_true(ledger_total(&entry->after) == total);
  }
}

static void keep(struct ledger_entry *entry, const uint8_t *body, size_t size, hf_id op)
{
  struct ledger_other others[LEDGER_ASSETS_MAX];
  struct ledger_entry decoded = {.id = entry->id, .hash = entry->hash};
  struct hf_bytes again = {0};
  assert_true(ledger_entry_decode(body, size, others, &decoded));
  ledger_entry_encode(&decoded, &again);
  assert_int_equal(again.size, size);
  assert_memory_equal(again.at, body, size);
  hf_bytes_deinit(&again);
  assert_int_equal(ledger_entry_op(&decoded, BITS), op);
  struct hf_hash head = w.folded.head;
  const char *wrong = ledger_fold(&w.folded, &decoded, BITS, true);
  if (wrong != NULL)
    fail_msg("fold: %s", wrong);

  uint8_t flipped[LEDGER_ENTRY_BYTES_MAX];
  memcpy(flipped, body, size);
  flipped[draw(size)] ^= (uint8_t)(1u << draw(8));
  struct hf_hash other = ledger_entry_hash(&head, flipped, size);
  assert_false(hf_hash_equal(&other, &entry->hash));

  w.rows[w.rows_count++] = (struct journal_row){w.journal.size, size, entry->hash};
  hf_bytes_put(&w.journal, body, size);
}

static void settle(void)
{
  hf_id op = hf_id_make(w.serial + 1, 3, BITS);
  size_t at = 0;
  w.ids[w.model.ops_count - 1] = op;
  for (unsigned i = 0; i < w.result.entries_count; i++) {
    struct ledger_entry *entry = &w.result.entries[i];
    entry->id = hf_id_make(++w.serial, 3, BITS);
    (void)ledger_user_name(&w.user, entry->version, op);
    keep(entry, w.result.body.at + at, w.result.body_size[i], op);
    at += w.result.body_size[i];
  }
  assert_int_equal(at, w.result.body.size);
  w.firsts[w.model.ops_count - 1] = w.result.entries[0];
}

static void step(void)
{
  struct model_request request = draw_request();
  struct ledger_original original = {0};
  struct ledger_command command = command_of(&request, &original);
  struct ledger_user before;
  ledger_user_copy(&before, &w.user);
  ledger_apply(&w.user, &command, &w.result);
  const char *expected = model_apply(&w.model, &request);
  assert_string_equal(hf_error_info(w.result.error)->code, expected);
  if (w.result.error == HF_OK) {
    w.applied[request.type]++;
    assert_int_equal(w.result.entries_count, w.model.posts_count);
    assert_entries_are_moves(&before);
    settle();
  } else {
    w.refused[w.result.error]++;
    assert_int_equal(w.result.entries_count, 0);
    assert_same_user(&before, &w.user);
  }
  ledger_user_deinit(&before);
  const char *wrong = ledger_user_check(&w.user);
  if (wrong != NULL)
    fail_msg("check: %s", wrong);
  assert_same_user(&w.user, &w.folded);
  assert_model_agrees();
  w.model.closed = w.model.closed ? !chance(20) : chance(2);
  w.user.status = w.folded.status = w.model.closed ? LEDGER_CLOSED : LEDGER_OPEN;
}

/* Replays the journal's bytes; the row at which something did not fit, or their number. */
static unsigned replay(struct ledger_user *user)
{
  for (unsigned i = 0; i < w.rows_count; i++) {
    struct ledger_other others[LEDGER_ASSETS_MAX];
    struct ledger_entry entry = {.id = hf_id_make(i + 1, 3, BITS), .hash = w.rows[i].hash};
    if (!ledger_entry_decode(w.journal.at + w.rows[i].at, w.rows[i].size, others, &entry) ||
        ledger_fold(user, &entry, BITS, true) != NULL)
      return i;
  }
  return w.rows_count;
}

static void assert_journal_tells_all(void)
{
  struct ledger_user user;
  ledger_user_init(&user, USER);
  assert_int_equal(replay(&user), w.rows_count);
  assert_same_user(&user, &w.user);
  ledger_user_deinit(&user);
  for (unsigned i = 0; i < 20; i++) {
    unsigned row = (unsigned)draw(w.rows_count);
    uint8_t *at = w.journal.at + w.rows[row].at + draw(w.rows[row].size);
    uint8_t kept = *at;
    *at ^= (uint8_t)(1u << draw(8));
    ledger_user_init(&user, USER);
    assert_int_equal(replay(&user), row);
    ledger_user_deinit(&user);
    *at = kept;
  }
}

static uint64_t running; /* the seed, while it runs */

/* A failed assertion leaves run_seed() by a jump. */
static int report_seed(void **state)
{
  (void)state;
  if (running != 0)
    print_error("failed with HF_SEED=%" PRIu64 "\n", running);
  return 0;
}

static void run_seed(uint64_t seed)
{
  running = seed;
  memset(&w, 0, sizeof w);
  w.random = seed;
  w.now_us = 1700000000000000;
  ledger_user_init(&w.user, USER);
  ledger_user_init(&w.folded, USER);
  ledger_result_init(&w.result);
  for (unsigned i = 0; i < STEPS; i++)
    step();
  assert_journal_tells_all();
  for (unsigned i = 0; i < LEDGER_TYPE_COUNT; i++)
    applied_total[i] += w.applied[i];
  for (unsigned i = 0; i < (unsigned)HF_ERROR_COUNT; i++)
    refused_total[i] += w.refused[i];
  ledger_result_deinit(&w.result);
  ledger_user_deinit(&w.folded);
  ledger_user_deinit(&w.user);
  hf_bytes_deinit(&w.journal);
  running = 0;
}

static void test_ledger_when_commands_are_random_agrees_with_the_model(void **state)
{
  (void)state;
  const char *wish = getenv("HF_SEED");
  if (wish != NULL) {
    run_seed(strtoull(wish, NULL, 10));
    return;
  }
  for (uint64_t seed = 1; seed <= SEEDS; seed++)
    run_seed(seed);
  /* The generator reaches every type and every refusal of the ledger. */
  for (unsigned type = 1; type < LEDGER_TYPE_COUNT; type++)
    assert_in_range(applied_total[type], 20, UINT32_MAX);
  assert_in_range(debts_total, 500, UINT32_MAX);
  assert_in_range(netted_total, 500, UINT32_MAX);
  static const enum hf_error errors[] = {
    HF_E_ASSET_NOT_FOUND,      HF_E_HOLD_NOT_FOUND,      HF_E_BLOCK_NOT_FOUND,
    HF_E_ORIGINAL_NOT_FOUND,   HF_E_INSUFFICIENT_FUNDS,  HF_E_HOLD_RESOLVED,
    HF_E_HOLD_EXPIRED,         HF_E_AMOUNT_EXCEEDS_HOLD, HF_E_BLOCK_RESOLVED,
    HF_E_AMOUNT_EXCEEDS_BLOCK, HF_E_ALREADY_REVERSED,    HF_E_VERSION_MISMATCH,
    HF_E_USER_CLOSED,          HF_E_INVALID_TRANSITION,  HF_E_ASSET_MISMATCH,
    HF_E_SELF_TRANSFER,        HF_E_AMOUNT_OVERFLOW,     HF_E_INVALID_AMOUNT};
  for (unsigned i = 0; i < sizeof errors / sizeof *errors; i++) {
    if (refused_total[errors[i]] < 10)
      fail_msg("%s came %u times", hf_error_info(errors[i])->code, refused_total[errors[i]]);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_teardown(test_ledger_when_commands_are_random_agrees_with_the_model,
                              report_seed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
