/* Happy path: one walk over each table, each row against the journal's or the other table's.
 * Ways to fail: differences, reported one by one; a row or a table that cannot be read. */
#include "server/replay_links.h"

#include "actors/user/op.h"

struct links {
  struct store_engine *engine;
  const struct store_admin_ops *admin;
  struct replay_report *report;
  struct replay_partition *group;
  unsigned first, count;
  bool failed; /* the store could not be read */
};

static struct replay_partition *partition_of(struct links *links, hf_id id)
{
  uint32_t number = hf_id_partition(id, links->engine->partition_bits);
  bool in = number >= links->first && number - links->first < links->count;
  return in ? &links->group[number - links->first] : NULL;
}

static void compare(const struct links *links, struct replay_difference difference,
                    const char *field, hf_amount journal, hf_amount found)
{
  if (journal == found)
    return;
  difference.field = field;
  difference.journal = journal;
  difference.found = found;
  replay_found(links->report, &difference);
}

static void compare_amount(const struct links *links, struct replay_difference difference,
                           hf_amount journal, hf_amount found)
{
  difference.amounts = true;
  compare(links, difference, "amount", journal, found);
}

/* Executes; STORE_OK, NOT_FOUND or CORRUPT. */
static enum store_status read_row(struct links *links, struct store_request *request)
{
  links->engine->ops->execute(links->engine, request);
  enum store_status status = (enum store_status)request->status;
  if (status != STORE_OK && status != STORE_NOT_FOUND && status != STORE_CORRUPT)
    links->failed = true;
  return status;
}

/* The journal's row, which is now seen; NULL, and told of, when there is none. */
static struct replay_link *link_see(struct links *links, enum replay_link_kind kind, hf_id first,
                                    uint64_t second, struct replay_difference base)
{
  struct replay_partition *partition = partition_of(links, first);
  struct replay_link *link =
    partition == NULL ? NULL : replay_link_of(partition, kind, first, second);
  if (link == NULL)
    compare(links, base, "row", 0, 1);
  else
    link->seen = true;
  return link;
}

/* ---- transfers ------------------------------------------------------------------------------- */

static struct replay_difference transfer_base(const struct links *links,
                                              const struct store_transfer_row *row)
{
  return (struct replay_difference){.table = REPLAY_TRANSFERS,
                                    .partition =
                                      hf_id_partition(row->id, links->engine->partition_bits),
                                    .user = row->payer,
                                    .id = row->id,
                                    .asset = row->asset};
}

/* Is the entry that the row names the one that ended the transfer? */
static bool is_end(const struct store_op *op, const struct store_transfer_row *row)
{
  bool credited = row->state == STORE_TRANSFER_CREDITED;
  if (op == NULL || op->refused || op->entries_count == 0)
    return false;
  const struct ledger_entry *entry = &op->entries[0];
  return entry->type == (credited ? LEDGER_T_CREDIT : LEDGER_T_BOUNCE) && entry->ref == row->id &&
         entry->user == (credited ? row->payee : row->payer) && entry->asset == row->asset &&
         entry->amount == row->amount;
}

static void check_end(struct links *links, const struct replay_difference *base,
                      const struct store_transfer_row *row)
{
  if (row->state == STORE_TRANSFER_TRANSIT) {
    compare(links, *base, "credit", 0, (hf_amount)row->credit);
    return;
  }
  struct store_request *request = store_request_new(STORE_GET_OP);
  request->get_op.id = row->credit;
  bool there = row->credit != 0 && read_row(links, request) == STORE_OK;
  if (!links->failed)
    compare(links, *base, "the entry that ended it", 1, there && is_end(request->get_op.out, row));
  store_request_free(request);
}

static bool on_transfer(void *arg, const struct store_transfer_row *row)
{
  struct links *links = arg;
  const struct replay_difference base = transfer_base(links, row);
  const struct replay_link *link = link_see(links, REPLAY_LINK_TRANSFER, row->id, 0, base);
  if (link == NULL)
    return true;
  const struct store_transfer_row *journal = &link->transfer;
  compare(links, base, "payer", (hf_amount)journal->payer, (hf_amount)row->payer);
  compare(links, base, "payee", (hf_amount)journal->payee, (hf_amount)row->payee);
  compare(links, base, "asset", journal->asset, row->asset);
  compare(links, base, "created_us", journal->created_us, row->created_us);
  compare_amount(links, base, journal->amount, row->amount);
  if (journal->payer == row->payer && journal->payee == row->payee &&
      journal->asset == row->asset && journal->amount == row->amount)
    check_end(links, &base, row);
  return !links->failed;
}

/* ---- reversals and backdated entries --------------------------------------------------------- */

static struct replay_difference reversal_base(const struct links *links,
                                              const struct store_reversal_row *row)
{
  return (struct replay_difference){.table = REPLAY_REVERSALS,
                                    .partition =
                                      hf_id_partition(row->original, links->engine->partition_bits),
                                    .id = row->original};
}

static bool on_reversal(void *arg, const struct store_reversal_row *row)
{
  struct links *links = arg;
  const struct replay_difference base = reversal_base(links, row);
  const struct replay_link *link =
    link_see(links, REPLAY_LINK_REVERSAL, row->original, row->op, base);
  if (link != NULL)
    compare_amount(links, base, link->reversal.amount, row->amount);
  return true;
}

static struct replay_difference backdated_base(const struct links *links,
                                               const struct store_backdated_row *row)
{
  unsigned bits = links->engine->partition_bits;
  uint32_t partition = hf_id_partition(row->user, bits);
  return (struct replay_difference){
    .table = REPLAY_BACKDATED,
    .partition = partition,
    .user = row->user,
    .id = row->seq > HF_ID_MAX >> bits ? 0 : hf_id_make(row->seq, partition, bits),
    .asset = row->asset};
}

static bool on_backdated(void *arg, const struct store_backdated_row *row)
{
  struct links *links = arg;
  const struct replay_difference base = backdated_base(links, row);
  const struct replay_link *link =
    link_see(links, REPLAY_LINK_BACKDATED, row->user, row->seq, base);
  if (link == NULL)
    return true;
  const struct store_backdated_row *journal = &link->backdated;
  compare(links, base, "effective_us", journal->effective_us, row->effective_us);
  compare(links, base, "asset", journal->asset, row->asset);
  compare(links, base, "source", journal->from, row->from);
  compare(links, base, "target", journal->to, row->to);
  compare_amount(links, base, journal->amount, row->amount);
  return true;
}

/* Rows of the kind that the journal makes, and that no walk has met. */
static void check_missing(const struct links *links, enum replay_link_kind kind)
{
  for (unsigned i = 0; i < links->count; i++)
    for (const struct replay_link *link = links->group[i].links; link != NULL;
         link = link->hh.next) {
      if (link->key.kind != kind || link->seen)
        continue;
      struct replay_difference base =
        kind == REPLAY_LINK_TRANSFER   ? transfer_base(links, &link->transfer)
        : kind == REPLAY_LINK_REVERSAL ? reversal_base(links, &link->reversal)
                                       : backdated_base(links, &link->backdated);
      compare(links, base, "row", 1, 0);
    }
}

/* ---- names ----------------------------------------------------------------------------------- */

static bool has_name(const struct store_user_row *user, const struct store_name_row *name)
{
  if (name->kind != STORE_NAME_EXTERNAL_ID)
    return true;
  if (user->external_id.at == NULL)
    return false;
  struct hf_hash digest = hf_external_id_digest(user->external_id.at, user->external_id.size);
  return hf_hash_equal(&digest, &name->digest);
}

/* A name leads to its user, and lies where it is looked for. */
static bool on_name(void *arg, const struct store_name_row *row)
{
  struct links *links = arg;
  const struct replay_difference base = {
    .table = REPLAY_NAMES, .partition = row->partition, .user = row->user};
  compare(links, base, "partition",
          hf_digest_partition(&row->digest, links->engine->partition_bits), row->partition);
  if (row->state != STORE_NAME_CONFIRMED) {
    compare(links, base, "state", STORE_NAME_RESERVED, row->state);
    return true;
  }
  struct store_request *request = store_request_new(STORE_GET_USER);
  request->get_user.id = row->user;
  bool there = row->user != 0 && read_row(links, request) == STORE_OK;
  if (!links->failed)
    compare(links, base, "the user's row", 1, there && has_name(&request->get_user.out, row));
  store_request_free(request);
  return !links->failed;
}

/* An external id leads to its user: else another one could take it. */
static bool on_user(void *arg, const struct store_user_row *row)
{
  struct links *links = arg;
  if (row->external_id.at == NULL)
    return true;
  struct hf_hash digest = hf_external_id_digest(row->external_id.at, row->external_id.size);
  struct store_request *request = store_request_new(STORE_GET_NAME);
  request->get_name.partition = hf_digest_partition(&digest, links->engine->partition_bits);
  request->get_name.name_kind = STORE_NAME_EXTERNAL_ID;
  request->get_name.digest = digest;
  bool there = read_row(links, request) == STORE_OK && request->get_name.out.user == row->id;
  const struct replay_difference base = {
    .table = REPLAY_NAMES, .partition = request->get_name.partition, .user = row->id};
  if (!links->failed)
    compare(links, base, "the external id's row", 1, there);
  store_request_free(request);
  return !links->failed;
}

/* ---- the index ------------------------------------------------------------------------------- */

static bool on_index(void *arg, hf_id user)
{
  struct links *links = arg;
  const struct replay_difference base = {.table = REPLAY_INDEX,
                                         .partition =
                                           hf_id_partition(user, links->engine->partition_bits),
                                         .user = user};
  compare(links, base, "what a row leads to", 1, 0);
  return true;
}

static bool on_outcome(void *arg, const struct store_outcome *row)
{
  uint64_t *count = arg;
  (void)row;
  (*count)++;
  return true;
}

/* A row that cannot be read is a difference. True: the walk was whole. */
static bool walked(const struct links *links, enum replay_table table, enum hf_error *error)
{
  const struct replay_difference base = {.table = table, .partition = links->first};
  if (*error == HF_OK && links->failed)
    *error = HF_E_UNAVAILABLE;
  if (*error != HF_E_INTERNAL)
    return *error == HF_OK;
  *error = HF_OK;
  compare(links, base, "a row cannot be read", 1, 0);
  return false;
}

/* Every version and every key has its row: else an entry is not found, or a key is used twice. */
static enum hf_error check_index(struct links *links)
{
  const struct store_admin_ops *admin = links->admin;
  if (admin->check_index == NULL)
    return HF_OK;
  struct store_index_counts *counts = rt_alloc(links->count * sizeof *counts);
  enum hf_error error =
    admin->check_index(links->engine, links->first, links->count, counts, on_index, links);
  bool whole = walked(links, REPLAY_INDEX, &error);
  for (unsigned i = 0; whole && error == HF_OK && i < links->count; i++) {
    const struct replay_partition *partition = &links->group[i];
    const struct replay_difference base = {.table = REPLAY_INDEX, .partition = partition->number};
    uint64_t cursor = 0, refusals = 0;
    error = admin->each_outcome(links->engine, partition->number, &cursor, INT64_MAX, on_outcome,
                                &refusals);
    if (error == HF_E_INTERNAL) { /* verify names it */
      error = HF_OK;
      continue;
    }
    compare(links, base, "rows of versions", (hf_amount)partition->entries,
            (hf_amount)counts[i].versions);
    compare(links, base, "rows of keys", (hf_amount)partition->keys, (hf_amount)counts[i].keys);
    compare(links, base, "rows of refusals", (hf_amount)refusals, (hf_amount)counts[i].refusals);
  }
  rt_free(counts);
  return error;
}

/* ---- all of them ----------------------------------------------------------------------------- */

static enum hf_error check_names(struct links *links)
{
  enum hf_error error =
    links->admin->each_name(links->engine, links->first, links->count, on_name, links);
  (void)walked(links, REPLAY_NAMES, &error);
  for (unsigned i = 0; error == HF_OK && i < links->count; i++) {
    error = links->admin->each_user(links->engine, links->first + i, on_user, links);
    (void)walked(links, REPLAY_NAMES, &error);
  }
  return error;
}

enum hf_error replay_check_links(struct store_engine *engine, struct replay_partition *group,
                                 unsigned count, struct replay_report *report)
{
  struct links links = {.engine = engine,
                        .admin = store_admin_of(engine),
                        .report = report,
                        .group = group,
                        .first = group[0].number,
                        .count = count};
  const struct store_admin_ops *admin = links.admin;
  CHECK(count > 0);
  enum hf_error error = admin->each_transfer(engine, links.first, count, on_transfer, &links);
  if (walked(&links, REPLAY_TRANSFERS, &error))
    check_missing(&links, REPLAY_LINK_TRANSFER);
  if (error == HF_OK) {
    error = admin->each_reversal(engine, links.first, count, on_reversal, &links);
    if (walked(&links, REPLAY_REVERSALS, &error))
      check_missing(&links, REPLAY_LINK_REVERSAL);
  }
  if (error == HF_OK) {
    error = admin->each_backdated(engine, links.first, count, on_backdated, &links);
    if (walked(&links, REPLAY_BACKDATED, &error))
      check_missing(&links, REPLAY_LINK_BACKDATED);
  }
  if (error == HF_OK)
    error = check_names(&links);
  return error == HF_OK ? check_index(&links) : error;
}
