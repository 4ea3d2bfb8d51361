/* What the store took, noted at the moment when it did: the one order in which a user's operations,
 * refusals and changes of status happened. Answers are held against it when they come, the model
 * goes through it at the end. */
#include <string.h>

#include "tests/sim/sim.h"

static struct sim_user *user_of(struct sim_world *world, hf_id id)
{
  for (unsigned i = 0; i < world->users_max; i++)
    if (world->users[i].id == id)
      return &world->users[i];
  return NULL; /* its creator has not been answered */
}

static struct sim_record *record_new(struct sim_world *world, struct sim_user *user, unsigned kind)
{
  if (user->records_count == user->records_room) {
    user->records_room = user->records_room == 0 ? 64u : 2u * user->records_room;
    user->records = rt_realloc(user->records, user->records_room * sizeof *user->records);
  }
  struct sim_record *record = &user->records[user->records_count++];
  *record = (struct sim_record){
    .kind = (uint8_t)kind, .request = SIM_NOBODY, .version = user->version, .at_us = world->now_us};
  return record;
}

/* The server's own keys are those of no request. */
static void strange_take(struct sim_world *world, const struct hf_digest *key)
{
  for (unsigned i = 0; i < world->requests_count; i++)
    if (memcmp(&world->requests[i].key, key, sizeof *key) == 0)
      sim_fail(world, "request %u was taken of another user", i);
}

static struct sim_request *request_take(struct sim_world *world, const struct sim_user *user,
                                        struct sim_record *record, const struct hf_digest *key,
                                        const struct hf_digest *body)
{
  struct sim_request *request = sim_request_by_key(world, user->id, key);
  if (request == NULL) {
    strange_take(world, key);
    return NULL;
  }
  request->taken_body = !hf_digest_equal(body, &request->bodies[0]);
  if (!hf_digest_equal(body, &request->bodies[request->taken_body]))
    sim_fail(world, "request %u was taken with a body that nobody sent", request->number);
  record->request = request->number;
  record->by_actor = request->by_actor;
  record->by_door = request->by_door;
  request->record = (size_t)(record - world->users[request->user].records);
  if (request->asked_us == 0 || request->asked_us > world->now_us)
    sim_fail(world, "request %u was taken before it was asked", request->number);
  if (request->applied + request->refused > 0)
    sim_fail(world, "request %u was taken twice", request->number);
  return request;
}

static void ids_add(struct sim_ids *ids, hf_id id)
{
  if (ids->count == ids->room) {
    ids->room = ids->room == 0 ? 64u : 2u * ids->room;
    ids->at = rt_realloc(ids->at, ids->room * sizeof *ids->at);
  }
  ids->at[ids->count++] = id;
}

static bool ids_have(const struct sim_ids *ids, hf_id id)
{
  for (size_t i = ids->count; i-- > 0;)
    if (ids->at[i] == id)
      return true;
  return false;
}

bool sim_log_credited(const struct sim_world *world, hf_id transfer)
{
  return ids_have(&world->credited, transfer);
}

bool sim_log_bounced(const struct sim_world *world, const struct sim_request *request)
{
  return request->type == LEDGER_T_TRANSFER && request->applied == 1 &&
         ids_have(&world->bounced, request->taken);
}

static void unit_log(struct sim_world *world, const struct store_unit *unit)
{
  hf_id id = unit->entries_count > 0 ? unit->entries[0].user : unit->user;
  struct sim_user *user = user_of(world, id);
  if (user == NULL)
    return;
  if (unit->entries_count > 0) {
    const struct ledger_entry *first = &unit->entries[0];
    struct sim_record *record = record_new(world, user, SIM_APPLIED);
    struct sim_request *request = request_take(world, user, record, &first->key, &first->request);
    record->entries = unit->entries_count;
    record->recorded_us = first->recorded_us;
    user->version += unit->entries_count;
    if (first->type == LEDGER_T_CREDIT)
      ids_add(&world->credited, first->ref);
    if (first->type == LEDGER_T_BOUNCE)
      ids_add(&world->bounced, first->ref);
    if (request != NULL) {
      request->applied++;
      request->taken = first->id;
    }
  } else if (unit->has_outcome) {
    struct sim_record *record = record_new(world, user, SIM_REFUSED);
    struct sim_request *request =
      request_take(world, user, record, &unit->outcome.key, &unit->outcome.request);
    record->error = unit->outcome.error;
    record->judged = unit->outcome.version;
    record->recorded_us = unit->outcome.recorded_us;
    if (request != NULL)
      request->refused++;
  } else if (unit->rows_count == 1 && unit->rows[0].table == STORE_T_USER &&
             unit->rows[0].action == STORE_UPDATE) {
    record_new(world, user, SIM_STATUS)->status = unit->rows[0].user.status;
    world->statuses_set++;
  }
}

/* A key that no probe asked for is surely new: else a commit is rolled back for nothing. */
static void hits_check(struct sim_world *world, const struct store_request *request)
{
  for (size_t i = 0; i < request->commit.units_count; i++) {
    const struct store_unit *unit = request->commit.units[i];
    if (unit->status == STORE_HIT && unit->has_key && !unit->probe)
      sim_fail(world, "a commit was rolled back for a known key that no probe asked for");
  }
}

void sim_log_commit(struct sim_world *world, const struct store_request *request)
{
  if (request->status != STORE_OK) {
    hits_check(world, request);
    return;
  }
  for (size_t i = 0; i < request->commit.units_count; i++) {
    unit_log(world, request->commit.units[i]);
    sim_beside_commit(world, request->commit.units[i]);
  }
  for (size_t i = 0; i < request->commit.units_count; i++)
    for (unsigned j = 0; j < request->commit.units[i]->entries_count; j++)
      sim_follow_commit(world, &request->commit.units[i]->entries[j]);
  sim_trace_commit(world, request);
  sim_check_commit(world->checker, request);
}

static uint64_t mix(uint64_t mixed, uint64_t value)
{
  mixed = (mixed ^ value) * 0x9fb21c651e98df25ull;
  return mixed ^ (mixed >> 29);
}

static uint64_t mix_amount(uint64_t mixed, hf_amount amount)
{
  return mix(mix(mixed, (uint64_t)amount), (uint64_t)(amount >> 64));
}

static uint64_t mix_text(uint64_t mixed, const void *bytes, size_t size)
{
  const struct hf_digest digest = hf_digest(bytes, size);
  uint64_t first;
  memcpy(&first, digest.bytes, sizeof first);
  return mix(mixed, first);
}

uint64_t sim_entry_mix(uint64_t mixed, const struct ledger_entry *entry)
{
  const uint64_t plain[] = {entry->id,
                            entry->user,
                            entry->version,
                            entry->type,
                            entry->op_index,
                            entry->op_count,
                            entry->from,
                            entry->to,
                            entry->asset,
                            (uint64_t)entry->effective_us,
                            (uint64_t)entry->recorded_us,
                            entry->ref,
                            entry->counterparty,
                            (uint64_t)entry->expires_us,
                            entry->has_metadata};
  for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
    mixed = mix(mixed, plain[i]);
  mixed = mix_amount(mixed, entry->amount);
  for (unsigned i = 0; i < LEDGER_BUCKET_COUNT; i++)
    mixed = mix_amount(mixed, entry->after.bucket[i]);
  mixed = mix_amount(mix_amount(mixed, entry->after.claimed_total), entry->after.spent_total);
  mixed = mix_text(mixed, entry->key.bytes, sizeof entry->key.bytes);
  mixed = mix_text(mixed, entry->hash.bytes, sizeof entry->hash.bytes); /* of all the rest */
  mixed = mix_text(mixed, entry->label, strlen(entry->label));
  mixed = mix_text(mixed, entry->correlation, strlen(entry->correlation));
  return mix_text(mixed, entry->actor, strlen(entry->actor));
}

void sim_log_deinit(struct sim_world *world)
{
  for (unsigned i = 0; i < world->users_max; i++) {
    rt_free(world->users[i].records);
    rt_free(world->users[i].seen);
  }
  rt_free(world->credited.at);
  rt_free(world->bounced.at);
}

unsigned sim_log_status(const struct sim_user *user, size_t count)
{
  while (count-- > 0)
    if (user->records[count].kind == SIM_STATUS)
      return user->records[count].status;
  return LEDGER_OPEN;
}

/* ---- what was shown -------------------------------------------------------------------------- */

void sim_log_known(struct sim_world *world, struct sim_user *user, size_t count)
{
  for (; user->records_shown < count; user->records_shown++)
    user->records[user->records_shown].known_us = world->now_us;
}

void sim_log_shown(struct sim_world *world, const struct sim_request *request)
{
  if (request->applied + request->refused > 0)
    sim_log_known(world, &world->users[request->user], request->record + 1u);
}

static void seen_fill(struct sim_world *world, const struct hf_view *view,
                      struct sim_seen *ret_seen)
{
  *ret_seen = (struct sim_seen){.seen = true};
  for (unsigned i = 0; i < view->assets_count; i++) {
    const struct ledger_asset *asset = &view->assets[i];
    if (asset->asset == 0 || asset->asset > SIM_ASSETS) {
      sim_fail(world, "an asset that is not there was shown");
      return;
    }
    for (unsigned j = 0; j < LEDGER_BUCKET_COUNT; j++)
      ret_seen->bucket[asset->asset - 1u][j] = asset->balance.bucket[j];
  }
}

void sim_log_view(struct sim_world *world, unsigned user_index, const struct hf_view *view)
{
  struct sim_user *user = &world->users[user_index];
  struct sim_seen now;
  seen_fill(world, view, &now);
  if (view->version >= user->seen_room) {
    size_t room = (size_t)view->version + 64u;
    user->seen = rt_realloc(user->seen, room * sizeof *user->seen);
    memset(user->seen + user->seen_room, 0, (room - user->seen_room) * sizeof *user->seen);
    user->seen_room = room;
  }
  struct sim_seen *before = &user->seen[view->version];
  if (!before->seen)
    *before = now;
  else if (memcmp(before->bucket, now.bucket, sizeof now.bucket) != 0)
    sim_fail(world, "user %llu was shown in two ways at version %llu", (unsigned long long)user->id,
             (unsigned long long)view->version);
}
