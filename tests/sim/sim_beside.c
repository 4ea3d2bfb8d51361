/* What an op has beside what it moves: metadata, which lies beside the journal, and a time that it
 * is effective at. Neither changes a balance, so the model knows nothing of them. */
#include <string.h>

#include "tests/sim/sim.h"

#define BACKDATED_US 20000000u /* at the most */
#define AHEAD_US 2000000u      /* of which nothing remains: no op is effective before it is there */

void sim_beside_draw(struct sim_world *world, struct sim_request *request)
{
  struct rt_driver *driver = world->nodes[0].driver;
  request->has_metadata = sim_chance(world, 200);
  if (sim_chance(world, 100))
    request->effective_us = (int64_t)driver->wall_us(driver) + (int64_t)AHEAD_US -
                            (int64_t)(sim_rand(world) % (BACKDATED_US + AHEAD_US));
}

/* The front door salts each try anew. */
void sim_beside_ask(struct sim_world *world, const struct sim_request *request, unsigned body,
                    struct hf_op *op)
{
  char text[SIM_TEXT_MAX];
  const size_t size = sim_metadata_text(request, body, text);
  op->command.effective_us = request->effective_us;
  if (size == 0)
    return;
  char *kept = rt_alloc(size);
  memcpy(kept, text, size);
  for (unsigned i = 0; i < sizeof op->salt; i++)
    op->salt[i] = (uint8_t)sim_rand(world);
  op->metadata = (struct store_text){kept, size};
  op->command.has_metadata = true;
  op->command.metadata_hash = hf_sha256_pair(op->salt, sizeof op->salt, kept, size);
}

static bool is_metadata(const struct sim_request *request, struct store_text found)
{
  char text[SIM_TEXT_MAX];
  const size_t size = sim_metadata_text(request, request->taken_body, text);
  if (size == 0 || found.at == NULL)
    return size == 0 && found.at == NULL;
  return found.size == size && memcmp(found.at, text, size) == 0;
}

void sim_beside_answered(struct sim_world *world, const struct hf_op *op)
{
  for (; op != NULL; op = op->group_next) {
    const struct sim_request *request = op->owner;
    if (op->error == HF_OK && !is_metadata(request, hf_op_metadata(op)))
      sim_fail(world, "request %u was answered with other metadata than it had", request->number);
  }
}

/* A refusal is all that its key has: nothing lies beside it. */
void sim_beside_commit(struct sim_world *world, const struct store_unit *unit)
{
  if (unit->has_outcome && unit->rows_count > 0)
    sim_fail(world, "a refusal of user %llu came with rows", (unsigned long long)unit->user);
}

static int64_t effective_of(const struct sim_request *request, int64_t recorded_us)
{
  bool backdated = request->effective_us != 0 && request->effective_us < recorded_us;
  return backdated ? request->effective_us : recorded_us;
}

/* Of an op's first entry; the server's own ops have no metadata and are effective at once. */
static void entry_check(struct sim_world *world, const struct store_scan *scan, size_t at)
{
  static const struct sim_request nobody;
  const struct ledger_entry *entry = &scan->entries[at];
  const struct sim_request *request = sim_request_by_key(world, entry->user, &entry->key);
  if (request == NULL)
    request = &nobody;
  if (entry->effective_us != effective_of(request, entry->recorded_us))
    sim_fail(world, "op %llu is effective at another time than was asked for",
             (unsigned long long)entry->id);
  if (entry->has_metadata != (scan->metadata[at].at != NULL) ||
      !is_metadata(request, scan->metadata[at]))
    sim_fail(world, "op %llu has other metadata than request %u", (unsigned long long)entry->id,
             request->number);
  if (!entry->has_metadata || scan->metadata[at].at == NULL)
    return;
  struct hf_hash hash = hf_sha256_pair(scan->salts[at].bytes, sizeof scan->salts[at].bytes,
                                       scan->metadata[at].at, scan->metadata[at].size);
  if (memcmp(&hash, &entry->metadata_hash, sizeof hash) != 0)
    sim_fail(world, "op %llu: its metadata is not what its entry has the hash of",
             (unsigned long long)entry->id);
}

static size_t page_check(struct sim_world *world, uint32_t partition, uint64_t from_seq)
{
  struct store_engine *engine = world->store.inner;
  struct store_request *request = store_request_new(STORE_SCAN);
  request->scan.partition = partition;
  request->scan.from_seq = from_seq;
  request->scan.limit = 1000;
  engine->ops->execute(engine, request);
  const size_t count = request->scan.entries_count;
  for (size_t i = 0; i < count; i++)
    if (request->scan.entries[i].op_index == 0)
      entry_check(world, &request->scan, i);
  store_request_free(request);
  return count;
}

void sim_beside_check(struct sim_world *world)
{
  for (uint32_t i = 0; i < 1u << world->partition_bits; i++) {
    uint64_t next = 1;
    for (size_t count = 1; count > 0; next += count)
      count = page_check(world, i, next);
  }
}
