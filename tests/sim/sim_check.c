/* The checkers. They read the journal's rows and add them up with code of their own: per asset the
 * sum over all accounts is zero, no bucket is negative, versions have no gap, the balances that an
 * entry carries are those of the sum, each key stands once, what was acknowledged is there and what
 * was refused is not, holds are resolved once, nothing is reversed above what it was, transit
 * drains, hash chains hold. One of them reads on behind every commit; after each crash and at the
 * end another reads it all anew, for nothing that was there may be forgotten. Then sim_model.c
 * judges each user's history again. */
#include <string.h>

#include "tests/sim/sim.h"

struct tally { /* of one user */
  struct hf_hash head;
  struct sim_step *steps; /* its entries; the newest has the balances */
  size_t count, room;
  sim_amount loaded[SIM_ASSETS]; /* what the store said last, over the user's buckets */
};

struct seen_hold { /* or block */
  hf_id id, user;
  uint8_t bucket; /* HELD, BLOCKED */
  sim_amount left;
  int64_t expires_us; /* 0: never */
  bool closed;
};

struct seen_op { /* what can be reversed, or was */
  hf_id id;
  sim_amount left;
};

struct seen_move {   /* of an amount between a user and transit */
  hf_id user, other; /* as the entry names the one at the other end */
  uint16_t asset;
  sim_amount amount;
};

struct seen_transfer {
  hf_id id, payee;           /* that the client named */
  struct seen_move debit;    /* of the payer */
  struct seen_move end;      /* of the payee, or back */
  unsigned credits, bounces; /* of these `end` is the newest */
};

struct sim_checker {
  struct sim_world *world;
  uint64_t read[SIM_PARTITIONS_MAX]; /* so many entries of each */
  struct tally tallies[SIM_USERS_MAX];
  struct seen_hold *holds;
  size_t holds_count;
  struct seen_op *ops;
  size_t ops_count;
  struct seen_transfer *transfers;
  size_t transfers_count;
  unsigned *applied; /* per request: how often its key stands in the journal */
  hf_id *applied_op;
  uint64_t *journal; /* per request: what its entries say */
};

static struct tally *tally_of(struct sim_checker *checker, hf_id user)
{
  for (unsigned i = 0; i < checker->world->users_count; i++)
    if (checker->world->users[i].id == user)
      return &checker->tallies[i];
  return NULL;
}

static const struct sim_step *newest(const struct tally *tally)
{
  static const struct sim_step nothing;
  return tally->count == 0 ? &nothing : &tally->steps[tally->count - 1u];
}

/* A copy of the newest, to be changed. */
static struct sim_step *step_new(struct tally *tally)
{
  struct sim_step before = *newest(tally);
  if (tally->count == tally->room) {
    tally->room = tally->room == 0 ? 32u : 2u * tally->room;
    tally->steps = rt_realloc(tally->steps, tally->room * sizeof *tally->steps);
  }
  tally->steps[tally->count] = before;
  return &tally->steps[tally->count++];
}

/* Each entry has the key of its op. */
static void check_key(struct sim_checker *checker, const struct ledger_entry *entry)
{
  struct sim_world *world = checker->world;
  const struct sim_request *request = sim_request_by_key(world, entry->user, &entry->key);
  if (request == NULL)
    return;
  uint64_t *journal = &checker->journal[request->number];
  *journal = sim_entry_mix(entry->op_index == 0 ? 0 : *journal, entry);
  if (entry->op_index != 0)
    return;
  checker->applied[request->number]++;
  checker->applied_op[request->number] = entry->id;
  if (entry->type != request->type || world->users[request->user].id != entry->user)
    sim_fail(world, "entry of request %u (type %u, user %u) has type %u of user %llu",
             request->number, request->type, request->user, entry->type,
             (unsigned long long)entry->user);
  if (request->amount != 0 && request->type != LEDGER_T_REVERSE &&
      entry->amount != (request->amount < 0 ? -request->amount : request->amount))
    sim_fail(world, "entry of request %u has another amount", request->number);
}

/* Holds, and what was blocked for a closed payee or by a client: an amount in a bucket of its own
 * until it is resolved. */
static void check_hold(struct sim_checker *checker, const struct ledger_entry *entry)
{
  const bool opens = entry->to == LEDGER_HELD || (entry->to == LEDGER_BLOCKED && entry->ref == 0) ||
                     (entry->to == LEDGER_BLOCKED && entry->type == LEDGER_T_CREDIT);
  if (opens)
    checker->holds[checker->holds_count++] = (struct seen_hold){.id = entry->id,
                                                                .user = entry->user,
                                                                .bucket = entry->to,
                                                                .left = entry->amount,
                                                                .expires_us = entry->expires_us};
  if (entry->from != LEDGER_HELD && entry->from != LEDGER_BLOCKED)
    return;
  for (size_t i = 0; i < checker->holds_count; i++) {
    struct seen_hold *hold = &checker->holds[i];
    if (hold->id != entry->ref || hold->bucket != entry->from)
      continue;
    if (hold->user != entry->user)
      sim_fail(checker->world, "hold %llu was resolved by another user",
               (unsigned long long)hold->id);
    hold->left -= entry->amount;
    if (hold->closed || hold->left < 0)
      sim_fail(checker->world, "hold %llu was resolved twice", (unsigned long long)hold->id);
    hold->closed = hold->left == 0;
    return;
  }
  sim_fail(checker->world, "an entry resolves a hold that is not there");
}

/* The list of what is due may be wrong itself: this is the journal's word. */
static void check_expired(const struct sim_checker *checker)
{
  for (size_t i = 0; i < checker->holds_count; i++) {
    const struct seen_hold *hold = &checker->holds[i];
    if (!hold->closed && hold->expires_us != 0 && sim_is_late(checker->world, hold->expires_us))
      sim_fail(checker->world, "hold %llu has expired and nobody released it",
               (unsigned long long)hold->id);
  }
}

/* The first entry of an op is what can be reversed; what a reversal does beside the system's
 * account is netted debt. */
static void check_reversal(struct sim_checker *checker, const struct ledger_entry *entry)
{
  if (entry->type != LEDGER_T_REVERSE) {
    if (entry->op_index == 0)
      checker->ops[checker->ops_count++] = (struct seen_op){.id = entry->id, .left = entry->amount};
    return;
  }
  if (entry->from < LEDGER_BUCKET_COUNT && entry->to < LEDGER_BUCKET_COUNT && entry->op_index > 0)
    return;
  for (size_t i = checker->ops_count; i-- > 0;) {
    struct seen_op *op = &checker->ops[i];
    if (op->id != entry->ref)
      continue;
    op->left -= entry->amount;
    if (op->left < 0)
      sim_fail(checker->world, "op %llu is reversed above what it was", (unsigned long long)op->id);
    return;
  }
  sim_fail(checker->world, "an entry reverses what is not there");
}

static struct seen_transfer *transfer_of(struct sim_checker *checker, hf_id id)
{
  for (size_t i = 0; i < checker->transfers_count; i++)
    if (checker->transfers[i].id == id)
      return &checker->transfers[i];
  struct seen_transfer *seen = &checker->transfers[checker->transfers_count++];
  *seen = (struct seen_transfer){.id = id};
  return seen;
}

static void check_transfer(struct sim_checker *checker, const struct ledger_entry *entry)
{
  bool in = entry->from == LEDGER_TRANSIT, out = entry->to == LEDGER_TRANSIT;
  if (!in && !out)
    return;
  struct seen_transfer *seen = transfer_of(checker, out ? entry->id : entry->ref);
  const struct seen_move move = {.user = entry->user,
                                 .other = entry->counterparty,
                                 .asset = entry->asset,
                                 .amount = entry->amount};
  if (out) {
    const struct sim_request *request =
      sim_request_by_key(checker->world, entry->user, &entry->key);
    if (request == NULL || seen->debit.amount != 0 || entry->type != LEDGER_T_TRANSFER)
      sim_fail(checker->world, "transfer %llu: a debit that nobody asked for",
               (unsigned long long)seen->id);
    else
      seen->payee = checker->world->users[request->payee].id;
    seen->debit = move;
    return;
  }
  seen->end = move;
  seen->credits += entry->type == LEDGER_T_CREDIT;
  seen->bounces += entry->type == LEDGER_T_BOUNCE;
  if (seen->credits + seen->bounces > 1)
    sim_fail(checker->world, "transfer %llu was credited twice", (unsigned long long)seen->id);
}

/* The amount that left the payer came to the payee that the client named, or back. Partitions are
 * not read in the order of time: this is known when all of them were. */
static void check_transfers(const struct sim_checker *checker, bool end)
{
  struct sim_world *world = checker->world;
  for (size_t i = 0; i < checker->transfers_count; i++) {
    const struct seen_transfer *seen = &checker->transfers[i];
    const unsigned long long id = seen->id;
    const struct seen_move *debit = &seen->debit, *credit = &seen->end;
    const hf_id to = seen->bounces > 0 ? debit->user : seen->payee;
    if (debit->amount == 0)
      sim_fail(world, "transfer %llu was credited and nobody paid it", id);
    if (debit->other != seen->payee)
      sim_fail(world, "transfer %llu names another payee", id);
    if (seen->credits + seen->bounces == 0 && end)
      sim_fail(world, "transfer %llu is still in transit", id);
    if (seen->credits + seen->bounces == 0)
      continue;
    if (credit->user != to || credit->other != (seen->bounces > 0 ? seen->payee : debit->user))
      sim_fail(world, "transfer %llu was credited to another user", id);
    if (credit->asset != debit->asset || credit->amount != debit->amount)
      sim_fail(world, "transfer %llu was credited with something else", id);
  }
}

static const struct sim_step *step_take(struct tally *tally, const struct ledger_entry *entry)
{
  struct sim_step *step = step_new(tally);
  sim_amount *sum = step->sum[entry->asset - 1u];
  step->op = entry->op_index == 0 ? entry->id : step->op;
  step->ref = entry->ref;
  step->type = entry->type;
  step->asset = entry->asset;
  step->amount = entry->amount;
  step->recorded_us = entry->recorded_us;
  step->versions[entry->asset - 1u] = entry->version;
  sum[entry->from] = sim_sum(sum[entry->from], -step->amount);
  sum[entry->to] = sim_sum(sum[entry->to], step->amount);
  return step;
}

static void check_balance(const struct sim_checker *checker, const struct sim_step *step,
                          const struct ledger_entry *entry)
{
  const sim_amount *sum = step->sum[entry->asset - 1u];
  for (unsigned i = 0; i < LEDGER_BUCKET_COUNT; i++) {
    sim_amount expected = i == LEDGER_DEBT ? -sum[i] : sum[i];
    if (expected < 0)
      sim_fail(checker->world, "user %llu: bucket %u is negative", (unsigned long long)entry->user,
               i);
    if (entry->after.bucket[i] != expected)
      sim_fail(checker->world, "user %llu version %llu: bucket %u carries another balance",
               (unsigned long long)entry->user, (unsigned long long)entry->version, i);
  }
}

static void check_entry(struct sim_checker *checker, const struct ledger_entry *entry,
                        const struct store_text *body)
{
  struct sim_world *world = checker->world;
  struct tally *tally = tally_of(checker, entry->user);
  if (tally == NULL || entry->asset == 0 || entry->asset > SIM_ASSETS) {
    sim_fail(world, "an entry of nobody");
    return;
  }
  if (entry->version != tally->count + 1u)
    sim_fail(world, "user %llu: version %llu after %zu", (unsigned long long)entry->user,
             (unsigned long long)entry->version, tally->count);
  if (tally->count > 0 && entry->op_index == 0 && entry->recorded_us <= newest(tally)->recorded_us)
    sim_fail(world, "user %llu: version %llu was recorded before the one before it",
             (unsigned long long)entry->user, (unsigned long long)entry->version);
  struct hf_hash hash =
    hf_sha256_pair(tally->head.bytes, sizeof tally->head.bytes, body->at, body->size);
  if (memcmp(&hash, &entry->hash, sizeof hash) != 0)
    sim_fail(world, "user %llu: the chain breaks at version %llu", (unsigned long long)entry->user,
             (unsigned long long)entry->version);
  tally->head = hash;
  if (entry->amount <= 0 || entry->from == entry->to || entry->from >= SIM_ACCOUNTS ||
      entry->to >= SIM_ACCOUNTS) {
    sim_fail(world, "an entry that moves nothing");
    return;
  }
  check_balance(checker, step_take(tally, entry), entry);
  check_key(checker, entry);
  check_hold(checker, entry);
  check_reversal(checker, entry);
  check_transfer(checker, entry);
}

static void scan_partition(struct sim_checker *checker, uint32_t partition)
{
  uint64_t next = checker->read[partition] + 1u;
  struct store_engine *engine = checker->world->store.inner;
  for (;;) {
    struct store_request *request = store_request_new(STORE_SCAN);
    request->scan.partition = partition;
    request->scan.from_seq = next;
    request->scan.limit = 1000;
    engine->ops->execute(engine, request);
    size_t count = request->scan.entries_count;
    if (request->status != STORE_OK)
      sim_fail(checker->world, "the journal cannot be scanned");
    for (size_t i = 0; i < count; i++) {
      const struct ledger_entry *entry = &request->scan.entries[i];
      check_entry(checker, entry, &request->scan.bodies[i]);
      if (hf_id_serial(entry->id, checker->world->partition_bits) != next)
        sim_fail(checker->world, "partition %u: gap before seq %llu", partition,
                 (unsigned long long)next);
      next++;
    }
    store_request_free(request);
    checker->read[partition] = next - 1u;
    if (count == 0)
      return;
  }
}

static void check_requests(struct sim_checker *checker, bool end)
{
  struct sim_world *world = checker->world;
  for (unsigned i = 0; i < world->requests_count; i++) {
    const struct sim_request *request = &world->requests[i];
    unsigned applied = checker->applied[i];
    if (applied > 1)
      sim_fail(world, "request %u stands %u times in the journal", i, applied);
    if (end && request->state != SIM_FINAL)
      sim_fail(world, "request %u (type %u) has no final answer", i, request->type);
    if (request->answers == 0)
      continue;
    if (request->error == HF_OK && (applied != 1 || checker->applied_op[i] != request->op_id))
      sim_fail(world, "request %u was acknowledged and is not there", i);
    if (request->error != HF_OK && applied != 0 && !sim_log_bounced(world, request))
      sim_fail(world, "request %u was refused and is there", i);
    if (request->error == HF_OK && request->told != checker->journal[i])
      sim_fail(world, "request %u was answered by other entries than the journal has", i);
  }
}

/* An atomic batch is in the journal whole or not at all, at any moment. */
static void check_groups(struct sim_checker *checker)
{
  const struct sim_world *world = checker->world;
  for (unsigned i = 0; i < world->requests_count; i++)
    for (unsigned j = 1; j < world->requests[i].group; j++)
      if ((checker->applied[i] == 0) != (checker->applied[i + j] == 0))
        sim_fail(checker->world, "atomic batch at request %u is there in part", i);
}

/* What the entries took from the system's accounts is what the users have, as the store would load
 * them. */
static void check_totals(const struct sim_checker *checker)
{
  for (unsigned asset = 0; asset < SIM_ASSETS; asset++) {
    sim_amount sum = 0;
    for (unsigned i = 0; i < checker->world->users_count; i++) {
      const struct tally *tally = &checker->tallies[i];
      if (!checker->world->users[i].created)
        return;
      sum = sim_sum(sum, tally->loaded[asset]);
      for (unsigned j = LEDGER_BUCKET_COUNT; j < SIM_ACCOUNTS; j++)
        sum = sim_sum(sum, newest(tally)->sum[asset][j]);
    }
    if (sum != 0)
      sim_fail(checker->world, "asset %u: the sum is not zero", asset + 1u);
  }
}

static unsigned assets_of(const struct sim_step *step)
{
  unsigned count = 0;
  for (unsigned i = 0; i < SIM_ASSETS; i++)
    count += step->versions[i] > 0;
  return count;
}

static bool is_loaded(const struct store_loaded_user *loaded, const struct seen_hold *hold)
{
  bool there = false;
  if (hold->bucket == LEDGER_HELD)
    for (size_t i = 0; i < loaded->holds_count; i++)
      there =
        there || (loaded->holds[i].id == hold->id && loaded->holds[i].remaining == hold->left);
  else
    for (size_t i = 0; i < loaded->blocks_count; i++)
      there =
        there || (loaded->blocks[i].id == hold->id && loaded->blocks[i].remaining == hold->left);
  return there;
}

/* The holds and blocks of a user that are open, and no others. */
static void check_open(const struct sim_checker *checker, const struct store_loaded_user *loaded)
{
  size_t open = 0;
  for (size_t i = 0; i < checker->holds_count; i++) {
    const struct seen_hold *hold = &checker->holds[i];
    if (hold->user != loaded->row.id || hold->closed)
      continue;
    open++;
    if (!is_loaded(loaded, hold))
      sim_fail(checker->world, "hold %llu is open and was not loaded",
               (unsigned long long)hold->id);
  }
  if (open != loaded->holds_count + loaded->blocks_count)
    sim_fail(checker->world, "user %llu: holds that are not open were loaded",
             (unsigned long long)loaded->row.id);
}

static void check_loaded(struct sim_checker *checker, unsigned index,
                         const struct store_loaded_user *loaded)
{
  struct sim_world *world = checker->world;
  const struct sim_user *user = &world->users[index];
  struct tally *tally = &checker->tallies[index];
  const struct sim_step *step = newest(tally);
  memset(tally->loaded, 0, sizeof tally->loaded);
  if (loaded->row.status != sim_log_status(user, user->records_count))
    sim_fail(world, "user %llu does not have the status that was set last",
             (unsigned long long)user->id);
  if (loaded->entries_count != assets_of(step))
    sim_fail(world, "user %llu was loaded with other assets than it has",
             (unsigned long long)user->id);
  for (size_t i = 0; i < loaded->entries_count; i++) {
    const struct ledger_entry *entry = &loaded->entries[i];
    if (entry->asset == 0 || entry->asset > SIM_ASSETS) {
      sim_fail(world, "user %llu was loaded with an asset that is not there",
               (unsigned long long)user->id);
      return;
    }
    if (entry->version != step->versions[entry->asset - 1u])
      sim_fail(world, "user %llu was loaded with an older entry", (unsigned long long)user->id);
    for (unsigned k = 0; k < LEDGER_BUCKET_COUNT; k++) {
      sim_amount balance = entry->after.bucket[k];
      balance = k == LEDGER_DEBT ? -balance : balance;
      sim_amount *sum = &tally->loaded[entry->asset - 1u];
      *sum = sim_sum(*sum, balance);
      if (balance != step->sum[entry->asset - 1u][k])
        sim_fail(world, "live balance and replay differ");
    }
  }
  check_open(checker, loaded);
}

/* What the store would load for a user is what the entries say. */
static void check_live(struct sim_checker *checker, unsigned index)
{
  struct sim_world *world = checker->world;
  const struct sim_user *user = &world->users[index];
  if (!user->created)
    return;
  struct store_request *request = store_request_new(STORE_LOAD_USER);
  request->load_user.id = user->id;
  world->store.inner->ops->execute(world->store.inner, request);
  if (request->status == STORE_OK)
    check_loaded(checker, index, &request->load_user.out);
  else
    sim_fail(world, "user %llu was acknowledged and is not there", (unsigned long long)user->id);
  store_request_free(request);
}

struct sim_checker *sim_checker_new(struct sim_world *world)
{
  struct sim_checker *checker = rt_alloc(sizeof *checker);
  size_t room = world->requests_max * 4u + 4096u;
  CHECK(1u << world->partition_bits <= SIM_PARTITIONS_MAX);
  checker->world = world;
  checker->holds = rt_alloc(room * sizeof *checker->holds);
  checker->ops = rt_alloc(room * sizeof *checker->ops);
  checker->transfers = rt_alloc(room * sizeof *checker->transfers);
  checker->applied = rt_alloc((world->requests_max + 1u) * sizeof *checker->applied);
  checker->applied_op = rt_alloc((world->requests_max + 1u) * sizeof *checker->applied_op);
  checker->journal = rt_alloc((world->requests_max + 1u) * sizeof *checker->journal);
  return checker;
}

void sim_checker_free(struct sim_checker *checker)
{
  for (unsigned i = 0; i < SIM_USERS_MAX; i++)
    rt_free(checker->tallies[i].steps);
  rt_free(checker->holds);
  rt_free(checker->ops);
  rt_free(checker->transfers);
  rt_free(checker->applied);
  rt_free(checker->applied_op);
  rt_free(checker->journal);
  rt_free(checker);
}

static void check_all(struct sim_checker *checker, bool end)
{
  check_transfers(checker, end); /* before the requests: why one of those has no answer */
  check_requests(checker, end);
  check_groups(checker);
}

/* The journal has no more and no less than the log of what was taken. */
static void check_user(struct sim_checker *checker, unsigned index)
{
  const struct sim_user *user = &checker->world->users[index];
  if (checker->tallies[index].count != user->version)
    sim_fail(checker->world, "user %llu: the journal does not have what the store took",
             (unsigned long long)user->id);
  check_live(checker, index);
}

void sim_check_commit(struct sim_checker *checker, const struct store_request *request)
{
  const struct sim_world *world = checker->world;
  for (size_t i = 0; i < request->commit.batches_count; i++)
    scan_partition(checker, request->commit.batches[i].partition);
  check_all(checker, false);
  for (size_t i = 0; i < request->commit.units_count; i++) {
    const struct store_unit *unit = request->commit.units[i];
    hf_id user = unit->entries_count > 0 ? unit->entries[0].user : unit->user;
    for (unsigned j = 0; j < world->users_count; j++)
      if (world->users[j].id == user)
        check_user(checker, j);
  }
  check_totals(checker);
}

void sim_check(struct sim_world *world, bool end)
{
  struct sim_checker *checker = sim_checker_new(world);
  for (uint32_t i = 0; i < 1u << world->partition_bits; i++)
    scan_partition(checker, i);
  check_all(checker, end);
  if (end)
    check_expired(checker);
  if (end && !sim_is_settled(world))
    sim_fail(world, "a transfer or a hold that has expired is still open");
  for (unsigned i = 0; i < world->users_count; i++)
    check_user(checker, i);
  check_totals(checker);
  for (unsigned i = 0; end && i < world->users_count; i++)
    sim_model_check(world, i, checker->tallies[i].steps, checker->tallies[i].count);
  sim_checker_free(checker);
}
