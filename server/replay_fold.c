/* Entries into users, system accounts, holds, blocks, and links. */
#include "server/replay_fold.h"

#include <string.h>

#include "actors/store/unit.h"
#include "adapters/store/effective.h"

void replay_partition_init(struct replay_partition *partition, struct store_engine *engine,
                           uint32_t number)
{
  *partition = (struct replay_partition){.number = number};
  journal_open(&partition->journal, engine, number, 1);
}

void replay_partition_deinit(struct replay_partition *partition)
{
  struct replay_user *user, *next_user;
  struct replay_system *system, *next_system;
  struct replay_hold *hold, *next_hold;
  struct replay_block *block, *next_block;
  struct replay_link *link, *next_link;
  journal_close(&partition->journal);
  HASH_ITER (hh, partition->users, user, next_user) {
    HASH_DEL(partition->users, user);
    ledger_user_deinit(&user->ledger);
    rt_free(user);
  }
  HASH_ITER (hh, partition->systems, system, next_system) {
    HASH_DEL(partition->systems, system);
    rt_free(system);
  }
  HASH_ITER (hh, partition->holds, hold, next_hold) {
    HASH_DEL(partition->holds, hold);
    rt_free(hold);
  }
  HASH_ITER (hh, partition->blocks, block, next_block) {
    HASH_DEL(partition->blocks, block);
    rt_free(block);
  }
  HASH_ITER (hh, partition->links, link, next_link) {
    HASH_DEL(partition->links, link);
    rt_free(link);
  }
}

void replay_found(struct replay_report *report, const struct replay_difference *difference)
{
  report->differences++;
  if (difference->table == REPLAY_JOURNAL || difference->table == REPLAY_INDEX ||
      difference->table == REPLAY_SUM ||
      (difference->table >= REPLAY_TRANSFERS && difference->table <= REPLAY_NAMES))
    report->damage++;
  if (report->found != NULL)
    report->found(report->arg, difference);
}

static void damage(struct replay_report *report, const struct replay_partition *partition,
                   const char *what, hf_id user, hf_id entry)
{
  const struct replay_difference difference = {.table = REPLAY_JOURNAL,
                                               .field = what,
                                               .partition = partition->number,
                                               .user = user,
                                               .id = entry};
  replay_found(report, &difference);
}

/* ---- users and system accounts --------------------------------------------------------------- */

struct replay_user *replay_user_of(struct replay_partition *partition, hf_id id)
{
  struct replay_user *user;
  HASH_FIND(hh, partition->users, &id, sizeof id, user);
  return user;
}

static struct replay_user *user_of(struct replay_partition *partition, hf_id id)
{
  struct replay_user *user = replay_user_of(partition, id);
  if (user != NULL)
    return user;
  user = rt_alloc(sizeof *user);
  user->id = id;
  ledger_user_init(&user->ledger, id);
  HASH_ADD(hh, partition->users, id, sizeof user->id, user);
  return user;
}

static bool add_system(struct replay_partition *partition, const struct ledger_entry *entry,
                       unsigned account, hf_amount amount)
{
  struct replay_account key;
  struct replay_system *system;
  if (ledger_is_bucket(account))
    return true;
  memset(&key, 0, sizeof key);
  key.partition = partition->number;
  key.asset = entry->asset;
  key.account = (uint8_t)account;
  memcpy(key.label, entry->label, strlen(entry->label));
  HASH_FIND(hh, partition->systems, &key, sizeof key, system);
  if (system == NULL) {
    system = rt_alloc(sizeof *system);
    system->key = key;
    HASH_ADD(hh, partition->systems, key, sizeof system->key, system);
  }
  return hf_amount_add(system->sum, amount, &system->sum);
}

/* ---- rows that follow from ops --------------------------------------------------------------- */

static void take_hold(struct replay_partition *partition, const struct store_row *row, hf_id op)
{
  struct replay_hold *hold;
  hf_id id = row->action == STORE_INSERT ? op : row->hold.id;
  HASH_FIND(hh, partition->holds, &id, sizeof id, hold);
  if (row->action == STORE_INSERT && hold == NULL) {
    hold = rt_alloc(sizeof *hold);
    hold->id = id;
    hold->row = row->hold;
    hold->row.id = id;
    HASH_ADD(hh, partition->holds, id, sizeof hold->id, hold);
  } else if (row->action == STORE_UPDATE && hold != NULL) {
    hold->row.remaining = row->hold.remaining;
    hold->row.state = row->hold.state;
    hold->row.resolved_us = row->hold.resolved_us;
  } /* an update of none: the fold of the entry said so already */
}

static void take_block(struct replay_partition *partition, const struct store_row *row, hf_id op)
{
  struct replay_block *block;
  hf_id id = row->action == STORE_INSERT ? op : row->block.id;
  HASH_FIND(hh, partition->blocks, &id, sizeof id, block);
  if (row->action == STORE_INSERT && block == NULL) {
    block = rt_alloc(sizeof *block);
    block->id = id;
    block->row = row->block;
    block->row.id = id;
    HASH_ADD(hh, partition->blocks, id, sizeof block->id, block);
  } else if (row->action == STORE_UPDATE && block != NULL) {
    block->row.remaining = row->block.remaining;
    block->row.open = row->block.open;
    block->row.resolved_us = row->block.resolved_us;
  }
}

static struct replay_link_key link_key(enum replay_link_kind kind, hf_id first, uint64_t second)
{
  struct replay_link_key key;
  memset(&key, 0, sizeof key);
  key.kind = (uint8_t)kind;
  key.first = first;
  key.second = second;
  return key;
}

struct replay_link *replay_link_of(struct replay_partition *partition, enum replay_link_kind kind,
                                   hf_id first, uint64_t second)
{
  struct replay_link_key key = link_key(kind, first, second);
  struct replay_link *link;
  HASH_FIND(hh, partition->links, &key, sizeof key, link);
  return link;
}

/* The link, new; one that is there already is what the fold of the entry finds wrong. */
static struct replay_link *link_add(struct replay_partition *partition, enum replay_link_kind kind,
                                    hf_id first, uint64_t second)
{
  struct replay_link *link = replay_link_of(partition, kind, first, second);
  if (link != NULL)
    return link;
  link = rt_alloc(sizeof *link);
  link->key = link_key(kind, first, second);
  HASH_ADD(hh, partition->links, key, sizeof link->key, link);
  return link;
}

static void take_transfer(struct replay_partition *partition, const struct store_row *row, hf_id op)
{
  struct replay_link *link = link_add(partition, REPLAY_LINK_TRANSFER, op, 0);
  link->transfer = row->transfer;
  link->transfer.id = op;
}

static void take_reversal(struct replay_partition *partition, const struct store_row *row, hf_id op)
{
  struct replay_link *link = link_add(partition, REPLAY_LINK_REVERSAL, row->reversal.original, op);
  link->reversal = row->reversal;
  link->reversal.op = op;
}

static void take_backdated(struct replay_partition *partition, const struct ledger_entry *entry)
{
  uint64_t seq = hf_id_serial(entry->id, partition->journal.engine->partition_bits);
  if (!effective_is_backdated(entry))
    return;
  link_add(partition, REPLAY_LINK_BACKDATED, entry->user, seq)->backdated =
    (struct store_backdated_row){.user = entry->user,
                                 .seq = seq,
                                 .effective_us = entry->effective_us,
                                 .asset = entry->asset,
                                 .from = entry->from,
                                 .to = entry->to,
                                 .amount = entry->amount};
}

/* Gathers the op's entries; once it is whole, its rows. False: the entry is not in its place. */
static bool take_op(struct replay_partition *partition, const struct ledger_entry *entry)
{
  struct store_row rows[STORE_OP_ROWS_MAX];
  const struct ledger_entry *first = &partition->op[0];
  bool follows =
    entry->op_index == partition->op_count && entry->op_count <= LEDGER_OP_ENTRIES_MAX &&
    (entry->op_index == 0 || (first->user == entry->user && first->op_count == entry->op_count));
  if (!follows) {
    partition->op_count = 0;
    return false;
  }
  partition->op[partition->op_count++] = *entry;
  if (partition->op_count < entry->op_count)
    return true;
  unsigned count = store_rows_of_op(partition->op, partition->op_count, rows);
  partition->op_count = 0;
  for (unsigned i = 0; i < count; i++) {
    if (rows[i].table == STORE_T_HOLD)
      take_hold(partition, &rows[i], first->id);
    else if (rows[i].table == STORE_T_BLOCK)
      take_block(partition, &rows[i], first->id);
    else if (rows[i].table == STORE_T_TRANSFER)
      take_transfer(partition, &rows[i], first->id);
    else if (rows[i].table == STORE_T_REVERSAL)
      take_reversal(partition, &rows[i], first->id);
  }
  return true;
}

static void take_entry(struct replay_partition *partition, const struct ledger_entry *entry,
                       struct replay_report *report)
{
  static const struct hf_digest no_key;
  struct replay_user *user = user_of(partition, entry->user);
  unsigned bits = partition->journal.engine->partition_bits;
  if (!take_op(partition, entry))
    damage(report, partition, "the entry is not in its operation's place", entry->user, entry->id);
  if (!add_system(partition, entry, entry->from, -entry->amount) ||
      !add_system(partition, entry, entry->to, entry->amount))
    damage(report, partition, "a system account leaves the 128-bit range", entry->user, entry->id);
  take_backdated(partition, entry);
  partition->entries++;
  partition->keys += entry->op_index == 0 && !hf_digest_equal(&entry->key, &no_key);
  if (user->broken)
    return;
  const char *wrong = ledger_fold(&user->ledger, entry, bits, false);
  if (wrong == NULL)
    return;
  user->broken = true;
  damage(report, partition, wrong, entry->user, entry->id);
}

enum hf_error replay_fold(struct replay_partition *partition, uint64_t until,
                          struct replay_report *report)
{
  struct journal *journal = &partition->journal;
  unsigned bits = journal->engine->partition_bits;
  struct journal_entry at;
  while (journal->next_seq <= until) {
    uint64_t expected = journal->next_seq;
    enum journal_status status = journal_next(journal, &at);
    if (status == JOURNAL_END)
      break;
    if (status == JOURNAL_FAILED)
      return HF_E_UNAVAILABLE;
    if (status == JOURNAL_CORRUPT) {
      damage(report, partition, "the entry cannot be read", 0,
             hf_id_make(expected, partition->number, bits));
      continue;
    }
    if (at.seq != expected)
      damage(report, partition, "entries are missing", 0,
             hf_id_make(expected, partition->number, bits));
    take_entry(partition, at.entry, report);
    if (++report->entries % 1024u == 0 && report->progress != NULL)
      report->progress(report->arg, report->entries, report->total);
  }
  return HF_OK;
}
