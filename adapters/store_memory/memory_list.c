/* memory_list.c - the requests that walk: holds and entries of a user, balances at a time, the
 * journal of a partition. None looks at more than it was asked for, but for a binary search. */
#include "adapters/store/effective.h"
#include "adapters/store_memory/memory.h"

void memory_list_holds(struct memory_store *store, struct store_request *request)
{
  const struct memory_user *user = memory_user_find(store, request->list_holds.user);
  const struct memory_holds *holds;
  size_t from, count;

  request->list_holds.user_found = user != NULL;
  request->list_holds.more = false;
  request->list_holds.count = 0;
  request->list_holds.out = NULL;
  if (user == NULL)
    return;
  holds = request->list_holds.open_only ? &user->open_holds : &user->holds;
  from = memory_holds_upto(holds, request->list_holds.after);
  count = holds->count - from;
  if (count > request->list_holds.limit) {
    count = request->list_holds.limit;
    request->list_holds.more = true;
  }
  request->list_holds.count = count;
  request->list_holds.out = hf_arena_alloc(&request->arena, count * sizeof(struct store_hold_row));
  for (size_t i = 0; i < count; i++)
    request->list_holds.out[i] = holds->at[from + i]->row;
}

/* The user's newest version that was recorded before `time_us`; 0: none. Times grow with the
 * versions. */
static uint64_t version_before(struct memory_store *store, const struct memory_user *user,
                               uint32_t partition, int64_t time_us)
{
  uint64_t low = 0, high = user->versions;

  while (low < high) {
    uint64_t middle = low + (high - low) / 2;

    if (memory_entry_at(store, partition, user->seqs[middle])->recorded_us < time_us)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static void list_push(struct memory_store *store, struct store_request *request, uint32_t partition,
                      uint64_t seq)
{
  struct store_list_entries *list = &request->list_entries;
  size_t at = list->entries_count++;
  struct ledger_entry *entry = &list->entries[at];
  const struct memory_reversals *reversals;
  hf_id op;

  memory_entry_read(store, partition, seq, &request->arena, entry);
  op = ledger_entry_op(entry, store->engine.partition_bits);
  list->metadata[at] = memory_metadata_read(store, op, &request->arena);
  reversals = entry->op_index == 0 ? memory_reversals_find(store, op) : NULL;
  if (reversals != NULL) {
    list->reversed[at] = reversals->sum;
    list->reversed_by[at] = reversals->rows[reversals->count - 1].op;
  }
}

void memory_list_entries(struct memory_store *store, struct store_request *request)
{
  struct store_list_entries *list = &request->list_entries;
  const struct memory_user *user = memory_user_find(store, list->user);
  uint32_t partition = hf_id_partition(list->user, store->engine.partition_bits);
  uint64_t version, scanned = 0;

  list->user_found = user != NULL;
  list->more = false;
  list->next_before = 0;
  list->entries_count = 0;
  if (user == NULL)
    return;
  list->entries = hf_arena_alloc(&request->arena, list->limit * sizeof *list->entries);
  list->metadata = hf_arena_alloc(&request->arena, list->limit * sizeof *list->metadata);
  list->reversed = hf_arena_alloc(&request->arena, list->limit * sizeof *list->reversed);
  list->reversed_by = hf_arena_alloc(&request->arena, list->limit * sizeof *list->reversed_by);
  version = list->to_us == 0 ? user->versions : version_before(store, user, partition, list->to_us);
  if (list->before_version != 0 && list->before_version <= version)
    version = list->before_version - 1;
  for (; version > 0; version--) {
    uint64_t seq = user->seqs[version - 1];
    const struct memory_entry *row = memory_entry_at(store, partition, seq);

    if (list->from_us != 0 && row->recorded_us < list->from_us)
      return;
    if (list->entries_count == list->limit || scanned == list->scan_max) {
      list->more = true;
      list->next_before = version + 1;
      return;
    }
    scanned++;
    if ((list->asset == 0 || row->asset == list->asset) &&
        (list->type == 0 || row->type == list->type))
      list_push(store, request, partition, seq);
  }
}

/* The balances after the user's entry of balance_at.version, which is there. */
static void recorded_balances(struct memory_store *store, struct store_request *request,
                              const struct memory_user *user)
{
  uint32_t partition = hf_id_partition(request->balance_at.user, store->engine.partition_bits);
  struct ledger_entry newest, entry;
  struct ledger_asset *out;

  memory_entry_read(store, partition, user->seqs[request->balance_at.version - 1], &request->arena,
                    &newest);
  request->balance_at.count = 1u + newest.others_count;
  out = hf_arena_alloc(&request->arena, request->balance_at.count * sizeof *out);
  request->balance_at.out = out;
  /* Ascending by asset, like the others; the newest entry's own stands where it belongs. */
  for (unsigned i = 0, other = 0; i < request->balance_at.count; i++) {
    bool own =
      i == other && (other == newest.others_count || newest.asset < newest.others[other].asset);

    if (own) {
      entry = newest;
    } else {
      memory_entry_read(store, partition, user->seqs[newest.others[other].version - 1],
                        &request->arena, &entry);
      other++;
    }
    out[i] =
      (struct ledger_asset){.version = entry.version, .asset = entry.asset, .balance = entry.after};
  }
}

/* Adds what was recorded later than that version and was effective by then. */
static enum store_status add_backdated(struct store_request *request,
                                       const struct memory_user *user)
{
  uint64_t version = request->balance_at.version;
  uint64_t seq = version == 0 ? 0 : user->seqs[version - 1];
  enum store_status status = effective_begin(request);
  size_t first = user->backdated_count;

  while (first > 0 && user->backdated[first - 1].seq > seq)
    first--;
  for (size_t i = first; status == STORE_OK && i < user->backdated_count; i++) {
    const struct memory_backdated *row = &user->backdated[i];

    if (row->effective_us <= request->balance_at.at_us)
      status = effective_add(request, row->asset, row->from, row->to, row->amount);
  }
  return status;
}

void memory_balance_at(struct memory_store *store, struct store_request *request)
{
  const struct memory_user *user = memory_user_find(store, request->balance_at.user);
  uint32_t partition = hf_id_partition(request->balance_at.user, store->engine.partition_bits);

  request->balance_at.user_found = user != NULL;
  request->balance_at.version = 0;
  request->balance_at.overflow = false;
  request->balance_at.count = 0;
  request->balance_at.out = NULL;
  if (user == NULL)
    return;
  request->balance_at.version =
    request->balance_at.at_us == INT64_MAX
      ? user->versions
      : version_before(store, user, partition, request->balance_at.at_us + 1);
  if (request->balance_at.version > 0)
    recorded_balances(store, request, user);
  if (request->balance_at.effective)
    request->status = (uint8_t)add_backdated(request, user);
}

void memory_scan(struct memory_store *store, struct store_request *request)
{
  struct store_scan *scan = &request->scan;
  const struct memory_partition *partition = memory_partition_at(store, scan->partition);
  uint64_t from = scan->from_seq == 0 ? 1 : scan->from_seq;
  size_t count = from > partition->entries_count ? 0 : partition->entries_count - from + 1;

  if (count > scan->limit)
    count = scan->limit;
  scan->entries_count = count;
  scan->entries = hf_arena_alloc(&request->arena, count * sizeof *scan->entries);
  scan->bodies = hf_arena_alloc(&request->arena, count * sizeof *scan->bodies);
  scan->metadata = hf_arena_alloc(&request->arena, count * sizeof *scan->metadata);
  scan->salts = hf_arena_alloc(&request->arena, count * sizeof *scan->salts);
  scan->reversed_by = NULL;
  if (scan->reversals)
    scan->reversed_by = hf_arena_alloc(&request->arena, count * sizeof *scan->reversed_by);
  for (size_t i = 0; i < count; i++) {
    const struct memory_entry *row = memory_entry_at(store, scan->partition, from + i);
    struct ledger_entry *entry = &scan->entries[i];

    memory_entry_read(store, scan->partition, from + i, &request->arena, entry);
    scan->bodies[i].at = hf_arena_copy(&request->arena, row->body, row->body_size);
    scan->bodies[i].size = row->body_size;
    hf_id op = ledger_entry_op(entry, store->engine.partition_bits);
    scan->metadata[i] = memory_metadata_read(store, op, &request->arena);
    const struct memory_reversals *reversals =
      scan->reversals && entry->op_index == 0 ? memory_reversals_find(store, op) : NULL;
    if (reversals != NULL)
      scan->reversed_by[i] = reversals->rows[reversals->count - 1].op;
    if (scan->metadata[i].at != NULL)
      memcpy(scan->salts[i].bytes, memory_meta_find(store, op)->row.salt,
             sizeof scan->salts[i].bytes);
  }
}
