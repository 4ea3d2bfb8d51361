/* The transit actor: one per partition; sees every transfer of its payers to its end.
 *
 * Happy path: the payer's debit and the transfer row are durable; DRIVE brings the op; the payee is
 *   credited under a key made of the transfer's id, so that a second credit is a replay; the row is
 *   marked, durably, so that whoever reads it later sees what the payer is told; then the payer's
 *   asker is answered.
 * Ways to fail: the payee cannot be credited now (tried again with backoff; who waits is told 503,
 *   unknown, and learns the outcome by the same key); the payee has no room for it, in its
 *   balance or its number of assets (bounced to the payer); a crash (the partition's
 *   open transfers are read when it opens); the partition is lost (who waits is told "unknown", and
 *   the new owner's actor finds the row).
 * Invariants: a transfer is driven once at a time by this node; credit and mark are repeatable, so
 *   that it does no harm when the former owner still has an answer to come. */
#include <string.h>

#define uthash_malloc(size) rt_alloc(size)
#define uthash_free(block, size) rt_free(block)
#include <uthash.h>

#include "actors/actors.h"
#include "actors/catalog/catalog.h"
#include "actors/cluster/cluster.h"
#include "actors/metrics.h"
#include "actors/store/messages.h"
#include "actors/user/op.h"

#define TRANSIT_RETRY_MIN_US 50000u
#define TRANSIT_RETRY_MAX_US 5000000u
#define TRANSIT_PAGE 256u

enum drive_state { DRIVE_CREDITING, DRIVE_BOUNCING, DRIVE_MARKING, DRIVE_WAITING };

struct drive {
  hf_id id; /* of the transfer; hash key */
  struct store_transfer_row row;
  uint8_t state;  /* enum drive_state */
  uint8_t resume; /* the state to go on with after waiting */
  unsigned failures;
  struct hf_op *asking;   /* ops that wait for the end, by ->next */
  struct store_unit unit; /* the mark */
  struct store_row mark;
  UT_hash_handle hh;
};

struct transit_actor {
  struct drive *drives;
  hf_id listed; /* open transfers up to this one were read */
  bool open;    /* the partition is: transfers are driven */
  bool listing; /* a read of open transfers is under way, or the timer of the next one runs */
  bool again;   /* it was opened anew meanwhile: they are listed from the start */
};

static void answer_asking(rt_ctx *ctx, struct drive *drive, enum hf_error error)
{
  while (drive->asking != NULL) {
    struct hf_op *op = drive->asking;
    drive->asking = op->next;
    op->next = NULL;
    op->error = error;
    rt_reply(ctx, op->asker, op->corr, HF_DONE, &op, sizeof op);
  }
}

static void drive_free(rt_ctx *ctx, struct transit_actor *transit, struct drive *drive)
{
  CHECK(drive->asking == NULL);
  hf_count(ctx, HF_M_TRANSIT_ENDED, 1);
  HASH_DEL(transit->drives, drive);
  rt_free(drive);
}

/* Later, or, when the partition is not ours any more, never. */
static void drive_wait(rt_ctx *ctx, struct transit_actor *transit, struct drive *drive)
{
  answer_asking(ctx, drive, HF_E_UNKNOWN_OUTCOME);
  if (!transit->open) {
    drive_free(ctx, transit, drive);
    return;
  }
  unsigned shift = drive->failures < 7u ? drive->failures : 7u;
  uint64_t delay = (uint64_t)TRANSIT_RETRY_MIN_US << shift;
  drive->failures++;
  drive->resume = drive->state;
  drive->state = DRIVE_WAITING;
  if (delay > TRANSIT_RETRY_MAX_US)
    delay = TRANSIT_RETRY_MAX_US;
  rt_timer(ctx, delay / 2u + rt_rand(ctx) % (delay / 2u), drive->id);
}

/* The credit of the payee or, when that overflows, the bounce to the payer. */
static void drive_submit(rt_ctx *ctx, struct transit_actor *transit, struct drive *drive)
{
  bool bounce = drive->state == DRIVE_BOUNCING;
  char key[40];
  const struct store_asset_row *asset = catalog_asset(catalog_of(ctx), drive->row.asset);
  if (asset == NULL) { /* another node made it a moment ago */
    drive_wait(ctx, transit, drive);
    return;
  }
  struct hf_op *op = hf_op_new();
  op->user = bounce ? drive->row.payer : drive->row.payee;
  op->has_key = true;
  /* The first byte is none that an Idempotency-Key may have: no client can take this key. */
  memcpy(key, bounce ? "\nbounce:" : "\ncredit:", 8);
  size_t size = 8u + hf_id_format(drive->id, key + 8);
  struct ledger_command *command = &op->command;
  command->type = bounce ? LEDGER_T_BOUNCE : LEDGER_T_CREDIT;
  command->key = hf_digest(key, size);
  command->request = command->key;
  command->asset = drive->row.asset;
  command->asset_known = true;
  command->scale = asset->scale;
  command->amount = (struct hf_decimal){.digits = drive->row.amount, .scale = asset->scale};
  command->amount_given = true;
  command->ref = drive->id;
  command->counterparty = bounce ? drive->row.payee : drive->row.payer;
  memcpy(command->actor, "system", sizeof "system");
  op->owner = drive;
  rt_id actor = hf_user_actor(op->user, hf_setup_of(ctx)->partition_bits);
  if (cluster_ask(ctx, actor, HF_SUBMIT, op, 0, hf_corr(op)) != RT_OK) {
    hf_op_free(op);
    drive_wait(ctx, transit, drive);
  }
}

static void drive_mark(rt_ctx *ctx, struct transit_actor *transit, struct drive *drive)
{
  unsigned partition = rt_id_shard(rt_self(ctx));
  drive->mark =
    (struct store_row){.table = STORE_T_TRANSFER, .action = STORE_UPDATE, .transfer = drive->row};
  drive->unit = (struct store_unit){.partition = partition,
                                    .tenure = cluster_tenure(ctx, partition),
                                    .rows = &drive->mark,
                                    .rows_count = 1};
  struct store_unit *unit = &drive->unit;
  rt_id store = hf_loop_actor(HF_KIND_STORE, rt_loop_index(ctx));
  if (rt_ask(ctx, store, HF_PERSIST, &unit, sizeof unit, 0, hf_corr(unit)) != RT_OK)
    drive_wait(ctx, transit, drive);
}

static enum hf_error end_error(const struct store_transfer_row *row)
{
  return row->state == STORE_TRANSFER_BOUNCED ? HF_E_LIMIT_EXCEEDED : HF_OK;
}

static void drive_go(rt_ctx *ctx, struct transit_actor *transit, struct drive *drive)
{
  if (!transit->open)
    drive_wait(ctx, transit, drive);
  else if (drive->state == DRIVE_MARKING)
    drive_mark(ctx, transit, drive);
  else
    drive_submit(ctx, transit, drive);
}

static struct drive *drive_new(rt_ctx *ctx, struct transit_actor *transit,
                               const struct store_transfer_row *row)
{
  struct drive *drive = rt_alloc(sizeof *drive);
  drive->id = row->id;
  drive->row = *row;
  drive->state = DRIVE_CREDITING;
  HASH_ADD(hh, transit->drives, id, sizeof drive->id, drive);
  hf_count(ctx, HF_M_TRANSIT_BEGUN, 1);
  return drive;
}

static struct drive *drive_find(struct transit_actor *transit, hf_id id)
{
  struct drive *drive;
  HASH_FIND(hh, transit->drives, &id, sizeof id, drive);
  return drive;
}

/* The row of an op's transfer: the journal's when it was replayed, else as it was just written. */
static struct store_transfer_row row_of(const struct hf_op *op)
{
  if (op->replayed) {
    CHECK(op->replay->has_transfer);
    return op->replay->transfer;
  }
  for (unsigned i = 0; i < op->unit.rows_count; i++)
    if (op->unit.rows[i].table == STORE_T_TRANSFER)
      return op->unit.rows[i].transfer;
  CHECK(!"a transfer without its row");
  return (struct store_transfer_row){0};
}

static void transit_drive(rt_ctx *ctx, struct transit_actor *transit, struct hf_op *op)
{
  struct store_transfer_row row = row_of(op);
  struct drive *drive = drive_find(transit, row.id);
  if (row.state != STORE_TRANSFER_TRANSIT) {
    op->error = end_error(&row);
    rt_reply(ctx, op->asker, op->corr, HF_DONE, &op, sizeof op);
    return;
  }
  if (!transit->open) { /* its new owner drives it */
    op->error = HF_E_UNKNOWN_OUTCOME;
    rt_reply(ctx, op->asker, op->corr, HF_DONE, &op, sizeof op);
    return;
  }
  bool fresh = drive == NULL;
  if (fresh)
    drive = drive_new(ctx, transit, &row);
  op->next = drive->asking;
  drive->asking = op;
  if (fresh)
    drive_go(ctx, transit, drive);
}

static void transit_done(rt_ctx *ctx, struct transit_actor *transit, struct hf_op *op)
{
  struct drive *drive = op->owner;
  enum hf_error error = op->error;
  hf_id id = hf_op_id(op);
  /* Only a refusal that the payee's journal has under the credit's key is one for ever. */
  bool refused = op->unit.has_outcome || (op->replay != NULL && op->replay->refused);
  hf_op_free(op);
  bool bounce = drive->state == DRIVE_BOUNCING;
  CHECK(bounce || drive->state == DRIVE_CREDITING);
  if (error == HF_OK) {
    drive->row.state = bounce ? STORE_TRANSFER_BOUNCED : STORE_TRANSFER_CREDITED;
    drive->row.credit = id;
    drive->state = DRIVE_MARKING;
    drive->failures = 0;
    drive_go(ctx, transit, drive);
  } else if (!bounce && refused && !hf_error_info(error)->retryable) {
    drive->state = DRIVE_BOUNCING;
    drive_go(ctx, transit, drive);
  } else {
    drive_wait(ctx, transit, drive);
  }
}

static void transit_marked(rt_ctx *ctx, struct transit_actor *transit, struct store_unit *unit)
{
  struct drive *drive = (void *)((char *)unit - offsetof(struct drive, unit));
  if (unit->status != STORE_OK) {
    drive_wait(ctx, transit, drive);
    return;
  }
  answer_asking(ctx, drive, end_error(&drive->row));
  drive_free(ctx, transit, drive);
}

/* ---- transfers that a crash left open -------------------------------------------------------- */

static void list_start(rt_ctx *ctx, struct transit_actor *transit)
{
  struct store_request *request = store_request_new(STORE_OPEN_TRANSFERS);
  if (transit->again)
    transit->listed = 0;
  transit->again = false;
  transit->listing = true;
  request->open_transfers.partition = rt_id_shard(rt_self(ctx));
  request->open_transfers.after = transit->listed;
  request->open_transfers.limit = TRANSIT_PAGE;
  rt_id store = hf_loop_actor(HF_KIND_STORE, rt_loop_index(ctx));
  if (rt_ask(ctx, store, HF_READ, &request, sizeof request, 0, hf_corr(request)) != RT_OK) {
    store_request_free(request);
    rt_timer(ctx, TRANSIT_RETRY_MAX_US, 0);
  }
}

static void list_take(rt_ctx *ctx, struct transit_actor *transit,
                      const struct store_request *request)
{
  for (size_t i = 0; i < request->open_transfers.count; i++) {
    const struct store_transfer_row *row = &request->open_transfers.out[i];
    transit->listed = row->id;
    if (drive_find(transit, row->id) == NULL)
      drive_go(ctx, transit, drive_new(ctx, transit, row));
  }
}

static void list_done(rt_ctx *ctx, struct transit_actor *transit, struct store_request *request)
{
  bool failed = request->status != STORE_OK || catalog_of(ctx) == NULL;
  bool more = transit->again || (!failed && request->open_transfers.count == TRANSIT_PAGE);
  /* What was asked for under an earlier opening may be over by now. */
  if (!failed && !transit->again && transit->open)
    list_take(ctx, transit, request);
  store_request_free(request);
  transit->listing = transit->open && (failed || more);
  if (!transit->listing)
    return;
  if (failed)
    rt_timer(ctx, TRANSIT_RETRY_MIN_US, 0);
  else
    list_start(ctx, transit);
}

/* ---- the partition opens and closes ---------------------------------------------------------- */

static void transit_opened(rt_ctx *ctx, struct transit_actor *transit)
{
  transit->open = true;
  transit->again = true;
  if (!transit->listing)
    list_start(ctx, transit);
}

/* What is in flight is freed when its answer comes. */
static void transit_closed(rt_ctx *ctx, struct transit_actor *transit)
{
  struct drive *drive, *next;
  transit->open = false;
  HASH_ITER (hh, transit->drives, drive, next) {
    answer_asking(ctx, drive, HF_E_UNKNOWN_OUTCOME);
    if (drive->state == DRIVE_WAITING)
      drive_free(ctx, transit, drive);
  }
}

static void transit_timer(rt_ctx *ctx, struct transit_actor *transit, uint64_t cookie)
{
  struct drive *drive = drive_find(transit, cookie);
  if (cookie == 0) {
    transit->listing = false;
    if (transit->open)
      list_start(ctx, transit);
  } else if (drive != NULL && drive->state == DRIVE_WAITING) {
    drive->state = drive->resume;
    drive_go(ctx, transit, drive);
  }
}

static rt_status transit_handle(rt_ctx *ctx, void *state, const rt_env *env)
{
  struct transit_actor *transit = state;
  switch (env->op) {
  case HF_OPENED:
    transit_opened(ctx, transit);
    break;
  case HF_CLOSED:
    transit_closed(ctx, transit);
    break;
  case HF_READ_DONE:
    list_done(ctx, transit, env->payload.p.ptr);
    break;
  case HF_DRIVE: {
    struct hf_op *op = env->payload.p.ptr;
    op->asker = env->from;
    op->corr = env->corr;
    transit_drive(ctx, transit, op);
    break;
  }
  case HF_DONE:
    transit_done(ctx, transit, env->payload.p.ptr);
    break;
  case RT_OP_DOWN: /* the runtime's end; no ask of this actor has a deadline that could pass */
  case RT_OP_OVERLOADED: {
    struct hf_op *op = env->payload.p.ptr;
    op->error = HF_E_UNAVAILABLE;
    transit_done(ctx, transit, op);
    break;
  }
  case HF_SETTLED:
    transit_marked(ctx, transit, env->payload.p.ptr);
    break;
  case RT_OP_TIMER:
    transit_timer(ctx, transit, env->payload.u[0]);
    break;
  default:
    CHECK(!"a message that the transit actor does not know");
  }
  return RT_OK;
}

static bool transit_idle(const void *state)
{
  (void)state;
  return false; /* it watches the partition's transfers for as long as the loop has it */
}

static void transit_passivate(rt_ctx *ctx, void *state)
{
  struct transit_actor *transit = state;
  struct drive *drive, *next;
  (void)ctx;
  HASH_ITER (hh, transit->drives, drive, next) {
    HASH_DEL(transit->drives, drive);
    rt_free(drive);
  }
}

static const uint8_t transit_may_ask[] = {HF_KIND_STORE, HF_KIND_USER, HF_KIND_PEER, 0};

const rt_class hf_transit_class = {
  .name = "transit",
  .kind = HF_KIND_TRANSIT,
  .flags = RT_CLASS_PER_SHARD,
  .state_bytes = sizeof(struct transit_actor),
  .stash_max = 65536,
  .may_ask = transit_may_ask,
  .handle = transit_handle,
  .idle = transit_idle,
  .passivate = transit_passivate,
};
