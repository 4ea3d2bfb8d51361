/* The contents of a run, mixed into one number: what the store took, and what clients were told.
 * The drivers' own traces know when each message came to whom, and nothing of what it says. */
#include <string.h>

#include "tests/sim/sim.h"

void sim_trace(struct sim_world *world, uint64_t value)
{
  uint64_t mixed = (world->trace ^ value) * 0x9fb21c651e98df25ull;
  world->trace = mixed ^ mixed >> 29;
}

static void trace_bytes(struct sim_world *world, const void *bytes, size_t size)
{
  const uint8_t *at = bytes;
  sim_trace(world, size);
  for (size_t i = 0; i < size; i += sizeof(uint64_t)) {
    uint64_t word = 0;
    memcpy(&word, at + i, size - i < sizeof word ? size - i : sizeof word);
    sim_trace(world, word);
  }
}

static void trace_entry(struct sim_world *world, const struct ledger_entry *entry)
{
  sim_trace(world, entry->id);
  trace_bytes(world, &entry->hash, sizeof entry->hash); /* it has all the rest */
}

/* Holds, blocks and reversals are what the entries say. */
static void trace_row(struct sim_world *world, const struct store_row *row)
{
  sim_trace(world, (uint64_t)row->table << 8 | row->action);
  if (row->table == STORE_T_USER) {
    sim_trace(world, row->user.id << 8 | row->user.status);
    sim_trace(world, (uint64_t)row->user.created_us);
    trace_bytes(world, row->user.external_id.at, row->user.external_id.size);
  } else if (row->table == STORE_T_NAME) {
    sim_trace(world, row->name.user << 8 | row->name.state);
    trace_bytes(world, &row->name.digest, sizeof row->name.digest);
  } else if (row->table == STORE_T_ASSET) {
    trace_bytes(world, row->asset->code, strlen(row->asset->code));
  } else if (row->table == STORE_T_KEY) {
    trace_bytes(world, row->key->id, strlen(row->key->id));
    sim_trace(world, (uint64_t)row->key->revoked_us);
  } else if (row->table == STORE_T_TRANSFER) {
    sim_trace(world, row->transfer.id << 8 | row->transfer.state);
    sim_trace(world, row->transfer.credit);
  } else if (row->table == STORE_T_META) {
    trace_bytes(world, row->meta.salt, sizeof row->meta.salt);
    trace_bytes(world, row->meta.json.at, row->meta.json.size);
  }
}

static void trace_unit(struct sim_world *world, const struct store_unit *unit)
{
  sim_trace(world, unit->user);
  for (unsigned i = 0; i < unit->entries_count; i++)
    trace_entry(world, &unit->entries[i]);
  for (unsigned i = 0; i < unit->rows_count; i++)
    trace_row(world, &unit->rows[i]);
  if (!unit->has_outcome)
    return;
  sim_trace(world, (uint64_t)unit->outcome.error << 8 | unit->outcome.type);
  sim_trace(world, unit->outcome.version);
  sim_trace(world, (uint64_t)unit->outcome.recorded_us);
  trace_bytes(world, &unit->outcome.request, sizeof unit->outcome.request);
}

void sim_trace_commit(struct sim_world *world, const struct store_request *request)
{
  for (size_t i = 0; i < request->commit.batches_count; i++)
    trace_bytes(world, &request->commit.batches[i].hash, sizeof(struct hf_hash));
  for (size_t i = 0; i < request->commit.units_count; i++)
    trace_unit(world, request->commit.units[i]);
}

static void trace_op(struct sim_world *world, const struct hf_op *op)
{
  size_t count;
  const struct ledger_entry *entries = hf_op_entries(op, &count);
  sim_trace(world, (uint64_t)op->error << 1 | op->replayed);
  for (size_t i = 0; i < count; i++)
    trace_entry(world, &entries[i]);
}

static void trace_view(struct sim_world *world, const struct hf_view *view)
{
  sim_trace(world, view->version << 16 | (uint64_t)view->error);
  for (unsigned i = 0; view->error == HF_OK && i < view->assets_count; i++)
    trace_bytes(world, view->assets[i].balance.bucket, sizeof view->assets[i].balance.bucket);
}

void sim_trace_answer(struct sim_world *world, unsigned op, const void *answer)
{
  sim_trace(world, op);
  if (op == HF_DONE) {
    for (const struct hf_op *member = answer; member != NULL; member = member->group_next)
      trace_op(world, member);
  } else if (op == HF_BALANCES_DONE) {
    trace_view(world, answer);
  } else if (op == HF_PEEK_DONE) {
    const struct hf_peek *peek = answer;
    sim_trace(world, peek->version << 16 | (uint64_t)peek->status << 8 | (uint64_t)peek->error);
  } else if (op == HF_CREATE_DONE) {
    const struct hf_create *create = answer;
    sim_trace(world, create->user << 16 | (uint64_t)create->error);
  } else if (op == HF_ASSET_DONE) {
    const struct hf_catalog_change *change = answer;
    sim_trace(world, (uint64_t)change->error);
  }
}
