/* Happy path: each partition is folded to its projections' mark; one walk over ledger_balances and
 *   one over system_totals compare a group of them; then each is folded to its end, and holds,
 *   blocks, what a server would load and the sums are compared.
 * Ways to fail: differences (reported one by one), a store that cannot be read or written.
 * Invariant: only projections are ever written, and only when the journal itself is sound. */
#include "server/replay.h"

#include <string.h>

#include "server/direct.h"
#include "server/replay_fold.h"
#include "server/replay_links.h"

#define ASSETS_MAX 65536u

struct list { /* of rows for a repair */
  void *at;
  size_t count, room;
};

struct replay {
  struct store_engine *engine;
  const struct store_admin_ops *admin;
  struct replay_report *report;
  bool repair;
  unsigned first, count; /* the group: partitions first .. first + count - 1 */
  struct replay_partition *group;
  hf_amount *sums; /* by asset, over everything */
  bool *overflow;  /* likewise: the sum is of no use */
  struct list balances, systems, holds, blocks;
  uint64_t *ends; /* by partition: its last sequence number */
};

const char *replay_table_text(enum replay_table table)
{
  static const char *const texts[] = {[REPLAY_JOURNAL] = "journal",
                                      [REPLAY_INDEX] = "index",
                                      [REPLAY_BALANCES] = "ledger_balances",
                                      [REPLAY_TOTALS] = "system_totals",
                                      [REPLAY_HOLDS] = "holds",
                                      [REPLAY_BLOCKS] = "blocks",
                                      [REPLAY_TRANSFERS] = "transfers",
                                      [REPLAY_REVERSALS] = "reversals",
                                      [REPLAY_BACKDATED] = "backdated",
                                      [REPLAY_NAMES] = "names",
                                      [REPLAY_SUM] = "sum"};
  return texts[table];
}

static void push(struct list *list, const void *row, size_t size)
{
  if (list->count == list->room) {
    list->room = list->room == 0 ? 256u : 2u * list->room;
    list->at = rt_realloc(list->at, list->room * size);
  }
  memcpy((char *)list->at + list->count++ * size, row, size);
}

static struct replay_partition *partition_of(struct replay *replay, uint32_t number)
{
  bool in = number >= replay->first && number - replay->first < replay->count;
  return in ? &replay->group[number - replay->first] : NULL;
}

/* ---- comparing ------------------------------------------------------------------------------- */

static void compare(struct replay *replay, struct replay_difference difference, const char *field,
                    bool amounts, hf_amount journal, hf_amount there)
{
  if (journal == there)
    return;
  difference.field = field;
  difference.amounts = amounts;
  difference.journal = journal;
  difference.found = there;
  replay_found(replay->report, &difference);
}

static void compare_balance(struct replay *replay, const struct replay_difference *base,
                            const struct ledger_asset *journal, uint64_t version,
                            const struct ledger_balance *balance)
{
  compare(replay, *base, "version", false, (hf_amount)journal->version, (hf_amount)version);
  for (unsigned i = 0; i < LEDGER_BUCKET_COUNT; i++)
    compare(replay, *base, ledger_account_text(i), true, journal->balance.bucket[i],
            balance->bucket[i]);
  compare(replay, *base, "claimed_total", true, journal->balance.claimed_total,
          balance->claimed_total);
  compare(replay, *base, "spent_total", true, journal->balance.spent_total, balance->spent_total);
}

static bool on_balance(void *arg, const struct store_balance_row *row)
{
  static const struct ledger_asset none;
  struct replay *replay = arg;
  uint32_t number = hf_id_partition(row->user, replay->engine->partition_bits);
  struct replay_partition *partition = partition_of(replay, number);
  if (partition == NULL)
    return true;
  struct replay_user *user = replay_user_of(partition, row->user);
  const struct ledger_asset *asset =
    user == NULL ? NULL : ledger_user_asset(&user->ledger, row->asset);
  const struct replay_difference base = {
    .table = REPLAY_BALANCES, .partition = number, .user = row->user, .asset = row->asset};
  if (user != NULL && user->broken)
    return true;
  if (asset != NULL)
    user->seen |= 1ull << (asset - user->ledger.assets);
  compare_balance(replay, &base, asset == NULL ? &none : asset, row->version, &row->balance);
  return true;
}

/* Balances that have entries up to the mark, and no row. */
static void check_missing(struct replay *replay, struct replay_partition *partition)
{
  static const struct ledger_balance zeros;
  for (struct replay_user *user = partition->users; user != NULL; user = user->hh.next)
    for (unsigned i = 0; !user->broken && i < user->ledger.assets_count; i++) {
      const struct ledger_asset *asset = &user->ledger.assets[i];
      const struct replay_difference base = {.table = REPLAY_BALANCES,
                                             .partition = partition->number,
                                             .user = user->id,
                                             .asset = asset->asset};
      if ((user->seen >> i & 1u) == 0)
        compare_balance(replay, &base, asset, 0, &zeros);
    }
}

static struct replay_difference total_difference(const struct replay_account *key)
{
  return (struct replay_difference){.table = REPLAY_TOTALS,
                                    .partition = key->partition,
                                    .asset = key->asset,
                                    .account = ledger_account_text(key->account),
                                    .label = key->label};
}

static bool on_system(void *arg, const struct store_system_row *row)
{
  struct replay *replay = arg;
  struct replay_partition *partition = partition_of(replay, row->partition);
  struct replay_system *system;
  struct replay_account key;
  if (partition == NULL)
    return true;
  memset(&key, 0, sizeof key);
  key.partition = row->partition;
  key.asset = row->asset;
  key.account = row->account;
  memcpy(key.label, row->label, strnlen(row->label, LEDGER_LABEL_MAX));
  HASH_FIND(hh, partition->systems, &key, sizeof key, system);
  if (system != NULL)
    system->seen = true;
  compare(replay, total_difference(&key), "sum", true, system == NULL ? 0 : system->sum, row->sum);
  return true;
}

/* A walk that met a row which cannot be read is a difference, and one that a repair mends. True:
 * the walk was whole. */
static bool walked(struct replay *replay, enum replay_table table, uint32_t partition,
                   enum hf_error *error)
{
  const struct replay_difference base = {.table = table, .partition = partition};
  if (*error != HF_E_INTERNAL)
    return *error == HF_OK;
  *error = HF_OK;
  compare(replay, base, "a row cannot be read", false, 1, 0);
  return false;
}

/* The projections of the group, each partition being folded to its mark. */
static enum hf_error check_projections(struct replay *replay)
{
  enum hf_error error =
    replay->admin->each_balance(replay->engine, replay->first, replay->count, on_balance, replay);
  if (walked(replay, REPLAY_BALANCES, replay->first, &error))
    for (unsigned i = 0; i < replay->count; i++)
      check_missing(replay, &replay->group[i]);
  if (error != HF_OK)
    return error;
  error =
    replay->admin->each_system(replay->engine, replay->first, replay->count, on_system, replay);
  if (!walked(replay, REPLAY_TOTALS, replay->first, &error))
    return error;
  for (unsigned i = 0; i < replay->count; i++)
    for (struct replay_system *system = replay->group[i].systems; system != NULL;
         system = system->hh.next)
      if (!system->seen)
        compare(replay, total_difference(&system->key), "sum", true, system->sum, 0);
  return HF_OK;
}

/* ---- holds and blocks ------------------------------------------------------------------------ */

static void compare_hold(struct replay *replay, const struct store_hold_row *journal,
                         const struct store_hold_row *row)
{
  const struct store_hold_row *any = journal->id != 0 ? journal : row;
  const struct replay_difference base = {.table = REPLAY_HOLDS,
                                         .partition =
                                           hf_id_partition(any->id, replay->engine->partition_bits),
                                         .user = any->user,
                                         .id = any->id,
                                         .asset = any->asset};
  compare(replay, base, "row", false, journal->id != 0, row->id != 0);
  if (journal->id == 0 || row->id == 0)
    return;
  compare(replay, base, "user", false, (hf_amount)journal->user, (hf_amount)row->user);
  compare(replay, base, "asset", false, journal->asset, row->asset);
  compare(replay, base, "state", false, journal->state, row->state);
  compare(replay, base, "amount", true, journal->amount, row->amount);
  compare(replay, base, "remaining", true, journal->remaining, row->remaining);
  compare(replay, base, "created_us", false, journal->created_us, row->created_us);
  compare(replay, base, "expires_us", false, journal->expires_us, row->expires_us);
  compare(replay, base, "resolved_us", false, journal->resolved_us, row->resolved_us);
}

static bool on_hold(void *arg, const struct store_hold_row *row)
{
  static const struct store_hold_row none;
  struct replay *replay = arg;
  struct replay_hold *hold = NULL;
  uint32_t number = hf_id_partition(row->id, replay->engine->partition_bits);
  struct replay_partition *partition = partition_of(replay, number);
  if (partition != NULL)
    HASH_FIND(hh, partition->holds, &row->id, sizeof row->id, hold);
  if (hold != NULL)
    hold->seen = true;
  compare_hold(replay, hold == NULL ? &none : &hold->row, row);
  return true;
}

static void compare_block(struct replay *replay, const struct store_block_row *journal,
                          const struct store_block_row *row)
{
  const struct store_block_row *any = journal->id != 0 ? journal : row;
  const struct replay_difference base = {.table = REPLAY_BLOCKS,
                                         .partition =
                                           hf_id_partition(any->id, replay->engine->partition_bits),
                                         .user = any->user,
                                         .id = any->id,
                                         .asset = any->asset};
  compare(replay, base, "row", false, journal->id != 0, row->id != 0);
  if (journal->id == 0 || row->id == 0)
    return;
  compare(replay, base, "user", false, (hf_amount)journal->user, (hf_amount)row->user);
  compare(replay, base, "asset", false, journal->asset, row->asset);
  compare(replay, base, "bucket", false, journal->bucket, row->bucket);
  compare(replay, base, "open", false, journal->open, row->open);
  compare(replay, base, "amount", true, journal->amount, row->amount);
  compare(replay, base, "remaining", true, journal->remaining, row->remaining);
  compare(replay, base, "created_us", false, journal->created_us, row->created_us);
  compare(replay, base, "resolved_us", false, journal->resolved_us, row->resolved_us);
}

static bool on_block(void *arg, const struct store_block_row *row)
{
  static const struct store_block_row none;
  struct replay *replay = arg;
  struct replay_block *block = NULL;
  uint32_t number = hf_id_partition(row->id, replay->engine->partition_bits);
  struct replay_partition *partition = partition_of(replay, number);
  if (partition != NULL)
    HASH_FIND(hh, partition->blocks, &row->id, sizeof row->id, block);
  if (block != NULL)
    block->seen = true;
  compare_block(replay, block == NULL ? &none : &block->row, row);
  return true;
}

static enum hf_error check_holds(struct replay *replay, struct replay_partition *partition)
{
  static const struct store_hold_row none;
  enum hf_error error =
    replay->admin->each_hold(replay->engine, partition->number, on_hold, replay);
  bool whole = walked(replay, REPLAY_HOLDS, partition->number, &error);
  for (struct replay_hold *hold = partition->holds; hold != NULL; hold = hold->hh.next) {
    if (whole && !hold->seen)
      compare_hold(replay, &hold->row, &none);
    if (replay->repair)
      push(&replay->holds, &hold->row, sizeof hold->row);
  }
  return error;
}

static enum hf_error check_blocks(struct replay *replay, struct replay_partition *partition)
{
  static const struct store_block_row none;
  enum hf_error error =
    replay->admin->each_block(replay->engine, partition->number, on_block, replay);
  bool whole = walked(replay, REPLAY_BLOCKS, partition->number, &error);
  for (struct replay_block *block = partition->blocks; block != NULL; block = block->hh.next) {
    if (whole && !block->seen)
      compare_block(replay, &block->row, &none);
    if (replay->repair)
      push(&replay->blocks, &block->row, sizeof block->row);
  }
  return error;
}

/* ---- what a server would load ---------------------------------------------------------------- */

static void compare_loaded(struct replay *replay, const struct replay_user *user,
                           const struct store_loaded_user *loaded)
{
  const struct ledger_user *ledger = &user->ledger;
  const struct replay_difference base = {
    .table = REPLAY_INDEX,
    .partition = hf_id_partition(user->id, replay->engine->partition_bits),
    .user = user->id};
  hf_amount newest = loaded->entries_count == 0 ? 0 : (hf_amount)loaded->entries[0].version;
  compare(replay, base, "newest version", false, (hf_amount)ledger->version, newest);
  compare(replay, base, "assets", false, ledger->assets_count, (hf_amount)loaded->entries_count);
  if (newest == (hf_amount)ledger->version && newest > 0)
    compare(replay, base, "hash of the newest entry", false, 1,
            hf_hash_equal(&ledger->head, &loaded->entries[0].hash));
  for (size_t i = 0; i < loaded->entries_count; i++) {
    const struct ledger_asset *asset = ledger_user_asset(ledger, loaded->entries[i].asset);
    struct replay_difference one = base;
    one.asset = loaded->entries[i].asset;
    compare(replay, one, "newest version of the asset", false,
            asset == NULL ? 0 : (hf_amount)asset->version, (hf_amount)loaded->entries[i].version);
  }
}

static enum hf_error check_user(struct replay *replay, const struct replay_user *user)
{
  struct store_request *request = store_request_new(STORE_LOAD_USER);
  enum hf_error error = HF_OK;
  request->load_user.id = user->id;
  replay->engine->ops->execute(replay->engine, request);
  if (request->status == STORE_OK) {
    compare_loaded(replay, user, &request->load_user.out);
  } else if (request->status == STORE_NOT_FOUND || request->status == STORE_CORRUPT) {
    const struct replay_difference base = {
      .table = REPLAY_INDEX,
      .partition = hf_id_partition(user->id, replay->engine->partition_bits),
      .user = user->id};
    compare(replay, base, request->status == STORE_CORRUPT ? "cannot be loaded" : "users row",
            false, 1, 0);
  } else {
    error = HF_E_UNAVAILABLE;
  }
  store_request_free(request);
  return error;
}

/* ---- sums ------------------------------------------------------------------------------------ */

static void add_sum(struct replay *replay, uint16_t asset, hf_amount amount)
{
  if (!hf_amount_add(replay->sums[asset], amount, &replay->sums[asset]))
    replay->overflow[asset] = true;
}

static void add_user(struct replay *replay, const struct replay_user *user)
{
  for (unsigned i = 0; i < user->ledger.assets_count; i++) {
    const struct ledger_asset *asset = &user->ledger.assets[i];
    add_sum(replay, asset->asset, ledger_total(&asset->balance));
    struct store_balance_row row = {.user = user->id,
                                    .asset = asset->asset,
                                    .version = asset->version,
                                    .balance = asset->balance};
    if (replay->repair)
      push(&replay->balances, &row, sizeof row);
  }
}

static void add_system(struct replay *replay, const struct replay_system *system)
{
  struct store_system_row row = {.partition = system->key.partition,
                                 .asset = system->key.asset,
                                 .account = system->key.account,
                                 .sum = system->sum};
  memcpy(row.label, system->key.label, sizeof row.label);
  add_sum(replay, system->key.asset, system->sum);
  if (replay->repair)
    push(&replay->systems, &row, sizeof row);
}

static void check_sums(struct replay *replay)
{
  for (unsigned asset = 0; asset < ASSETS_MAX; asset++) {
    const struct replay_difference base = {.table = REPLAY_SUM, .asset = (uint16_t)asset};
    if (replay->overflow[asset])
      compare(replay, base, "leaves the 128-bit range", false, 0, 1);
    else
      compare(replay, base, "over all accounts", true, 0, replay->sums[asset]);
  }
}

/* ---- the run --------------------------------------------------------------------------------- */

/* Folds partitions to their marks until there are enough users in memory. */
static enum hf_error open_group(struct replay *replay)
{
  unsigned partitions = 1u << replay->engine->partition_bits;
  size_t users = 0;
  enum hf_error error = HF_OK;
  replay->count = 0;
  while (error == HF_OK && replay->first + replay->count < partitions && users < REPLAY_USERS_MAX) {
    struct replay_partition *partition = &replay->group[replay->count];
    replay_partition_init(partition, replay->engine, replay->first + replay->count++);
    error = replay->admin->mark(replay->engine, partition->number, &partition->mark);
    uint64_t until = partition->mark;
    if (!walked(replay, REPLAY_BALANCES, partition->number, &error)) {
      partition->mark = 0;
      until = UINT64_MAX - 1u; /* where the projections most likely stand */
    }
    if (error == HF_OK)
      error = replay_fold(partition, until, replay->report);
    users += HASH_COUNT(partition->users);
  }
  return error;
}

static enum hf_error finish_partition(struct replay *replay, struct replay_partition *partition)
{
  uint64_t before = replay->report->entries;
  enum hf_error error = replay_fold(partition, UINT64_MAX - 1u, replay->report);
  replay->report->lagging += replay->report->entries - before;
  uint64_t end = partition->journal.next_seq - 1u;
  replay->ends[partition->number] = end;
  if (partition->mark > end) { /* what comes next would never be projected */
    const struct replay_difference base = {.table = REPLAY_BALANCES,
                                           .partition = partition->number};
    compare(replay, base, "mark", false, (hf_amount)end, (hf_amount)partition->mark);
  }
  if (error == HF_OK)
    error = check_holds(replay, partition);
  if (error == HF_OK)
    error = check_blocks(replay, partition);
  for (struct replay_user *user = partition->users; error == HF_OK && user != NULL;
       user = user->hh.next) {
    replay->report->users++;
    add_user(replay, user);
    if (!user->broken)
      error = check_user(replay, user);
  }
  for (struct replay_system *system = partition->systems; system != NULL; system = system->hh.next)
    add_system(replay, system);
  return error;
}

static enum hf_error run_group(struct replay *replay)
{
  enum hf_error error = open_group(replay);
  if (error == HF_OK)
    error = check_projections(replay);
  for (unsigned i = 0; error == HF_OK && i < replay->count; i++)
    error = finish_partition(replay, &replay->group[i]);
  if (error == HF_OK)
    error = replay_check_links(replay->engine, replay->group, replay->count, replay->report);
  for (unsigned i = 0; i < replay->count; i++)
    replay_partition_deinit(&replay->group[i]);
  replay->first += replay->count;
  return error;
}

static enum hf_error repair(struct replay *replay)
{
  const struct store_repair rows = {
    .balances = replay->balances.at,
    .balances_count = replay->balances.count,
    .systems = replay->systems.at,
    .systems_count = replay->systems.count,
    .holds = replay->holds.at,
    .holds_count = replay->holds.count,
    .blocks = replay->blocks.at,
    .blocks_count = replay->blocks.count,
    .ends = replay->ends,
  };
  enum hf_error error = replay->admin->repair(replay->engine, &rows);
  replay->report->repaired = error == HF_OK;
  return error;
}

enum hf_error replay_run(struct store_engine *engine, bool repair_wanted,
                         struct replay_report *report)
{
  unsigned partitions = 1u << engine->partition_bits;
  struct replay replay = {
    .engine = engine, .admin = store_admin_of(engine), .report = report, .repair = repair_wanted};
  struct store_replay_run run = {.started_us = direct_wall_us()};
  enum hf_error error = HF_OK;
  replay.group = rt_alloc(partitions * sizeof *replay.group);
  replay.sums = rt_alloc(ASSETS_MAX * sizeof *replay.sums);
  replay.overflow = rt_alloc(ASSETS_MAX * sizeof *replay.overflow);
  replay.ends = rt_alloc(partitions * sizeof *replay.ends);
  error = journal_total(engine, &report->total);
  while (error == HF_OK && replay.first < partitions)
    error = run_group(&replay);
  if (error == HF_OK)
    check_sums(&replay);
  if (error == HF_OK && repair_wanted && report->differences > 0 && report->damage == 0)
    error = repair(&replay);
  if (error == HF_OK) {
    run.ended_us = direct_wall_us();
    run.entries = report->entries;
    run.users = report->users;
    run.differences = report->differences;
    run.repaired = report->repaired;
    error = replay.admin->replay_run(engine, &run);
  }
  rt_free(replay.balances.at);
  rt_free(replay.systems.at);
  rt_free(replay.holds.at);
  rt_free(replay.blocks.at);
  rt_free(replay.ends);
  rt_free(replay.overflow);
  rt_free(replay.sums);
  rt_free(replay.group);
  return error;
}
