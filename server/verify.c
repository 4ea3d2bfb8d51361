/* Happy path: for each partition, some batches at a time: their refusals, then each of them with
 *   the journal and the ops of the metadata beside.
 * Ways to fail: anything that does not follow is one finding, the first by (batch, entry); a row
 *   that cannot be read is one as well, in the place where it is needed; the store cannot be read
 *   (an error).
 * Invariants: an entry counts as checked only when its batch was; nothing is found in a batch
 * before all of those in front of it were checked. */
#include "server/verify.h"

#include <string.h>

#define uthash_malloc(size) rt_alloc(size)
#define uthash_free(block, size) rt_free(block)
#include <uthash.h>

#include "actors/store/unit.h"
#include "adapters/store/store_admin.h"
#include "server/journal.h"

#define BATCHES_AT_A_TIME 16384u /* whose refusals are in memory */
#define OPS_AT_A_TIME 4096u      /* that have a row of metadata */

struct chain { /* where a user's entries stand */
  hf_id user;
  uint64_t version;
  struct hf_hash head;
  UT_hash_handle hh;
};

struct refusals { /* of one batch */
  uint64_t batch;
  uint32_t count;
  struct store_batch_hasher hasher; /* of its outcomes; entries come later */
};

struct described { /* ops that have a row of metadata, read ahead */
  hf_id at[OPS_AT_A_TIME];
  size_t count, next;
  hf_id last;
  bool ended, corrupt; /* what comes behind those in `at` */
};

struct verify { /* one partition */
  struct store_engine *engine;
  struct verify_report *report;
  const struct store_admin_ops *admin;
  uint32_t partition;
  uint64_t first_batch, last_batch; /* of those under way; at the end the last of all */
  struct refusals *refusals;
  size_t refusals_count, refusals_room, refusals_at;
  const char *cut;    /* why no refusal behind the last of these was read; NULL: all were */
  uint64_t cut_batch; /* of which the refusal says that it is; 0: it says nothing */
  struct described described;
  struct journal journal;
  struct chain *chains;
  uint64_t next_batch, next_seq;
  struct hf_hash head;
  struct ledger_entry previous; /* of the op that is being read */
  bool bad, failed;
};

/* Batch 0: behind all of them. A refusal that is out of place was seen before its batch came. */
static bool found(struct verify *verify, const char *what, uint64_t batch, uint64_t seq, hf_id user)
{
  struct verify_finding finding = {what, verify->partition, batch, seq, user};
  if (verify->cut_batch != 0 && (batch == 0 || verify->cut_batch < batch))
    finding = (struct verify_finding){verify->cut, verify->partition, verify->cut_batch, 0, 0};
  verify->bad = true;
  verify->report->findings++;
  if (verify->report->found != NULL)
    verify->report->found(verify->report->arg, &finding);
  return false;
}

/* ---- refusals -------------------------------------------------------------------------------- */

/* Nothing is found yet: the batch of the refusal, or one before it, says what is wrong. */
static bool cut_refusals(struct verify *verify, const char *why, uint64_t batch)
{
  verify->cut = why;
  verify->cut_batch = batch;
  return false;
}

static bool on_outcome(void *arg, const struct store_outcome *outcome)
{
  struct verify *verify = arg;
  size_t count = verify->refusals_count;
  struct refusals *last = count == 0 ? NULL : &verify->refusals[count - 1u];
  if (outcome->batch < (last != NULL ? last->batch : verify->first_batch))
    return cut_refusals(verify, "a refusal is not in its batch's place", outcome->batch);
  if (last == NULL || outcome->batch > last->batch) {
    if (count == verify->refusals_room) {
      verify->refusals_room = verify->refusals_room == 0 ? 64u : 2u * verify->refusals_room;
      verify->refusals =
        rt_realloc(verify->refusals, verify->refusals_room * sizeof *verify->refusals);
    }
    CHECK(verify->refusals != NULL);
    last = &verify->refusals[verify->refusals_count++];
    last->batch = outcome->batch;
    last->count = 0;
    store_batch_begin(&last->hasher);
  }
  last->count++;
  verify->report->outcomes++;
  store_batch_outcome(&last->hasher, outcome);
  return true;
}

/* ---- entries --------------------------------------------------------------------------------- */

static struct chain *chain_of(struct verify *verify, hf_id user)
{
  struct chain *chain;
  HASH_FIND(hh, verify->chains, &user, sizeof user, chain);
  if (chain == NULL) {
    chain = rt_alloc(sizeof *chain);
    chain->user = user;
    HASH_ADD(hh, verify->chains, user, sizeof chain->user, chain);
    verify->report->users++;
  }
  return chain;
}

static bool on_described(void *arg, hf_id op)
{
  struct described *described = arg;
  described->at[described->count++] = described->last = op;
  return described->count < OPS_AT_A_TIME;
}

/* The next op that has a row of metadata; 0: there is none, or it cannot be read. */
static hf_id next_described(struct verify *verify)
{
  struct described *described = &verify->described;
  if (described->next == described->count && !described->ended) {
    described->next = described->count = 0;
    enum hf_error error = verify->admin->each_metadata(verify->engine, verify->partition,
                                                       described->last, on_described, described);
    described->ended = described->count < OPS_AT_A_TIME;
    described->corrupt = error == HF_E_INTERNAL;
    verify->failed = verify->failed || (error != HF_OK && !described->corrupt);
  }
  return described->next < described->count ? described->at[described->next] : 0;
}

/* What is erased leaves its row behind: a row that is gone was not erased. Rows come in the order
 * of the entries; those of ops that a server adds meanwhile stand behind all that are asked for. */
static const char *check_described(struct verify *verify, const struct ledger_entry *entry)
{
  hf_id op = next_described(verify);
  bool read = op != 0 || !verify->described.corrupt;
  if (op != 0 && op < entry->id)
    return "metadata of no operation stands before it";
  if (!entry->has_metadata)
    return op == entry->id ? "metadata that its entry knows nothing of" : NULL;
  if (op == entry->id) {
    verify->described.next++;
    return NULL;
  }
  return read ? "its metadata is gone, and was not erased"
              : "the row of its metadata cannot be read";
}

static const char *check_metadata(struct verify *verify, const struct journal_entry *at)
{
  struct verify_report *report = verify->report;
  const struct ledger_entry *entry = at->entry;
  const char *wrong = entry->op_index == 0 ? check_described(verify, entry) : NULL;
  if (wrong != NULL || !entry->has_metadata)
    return wrong;
  if (at->metadata.at == NULL) {
    report->erased++;
    return NULL;
  }
  struct hf_hash hash =
    hf_sha256_pair(at->salt->bytes, sizeof at->salt->bytes, at->metadata.at, at->metadata.size);
  report->metadata++;
  return hf_hash_equal(&hash, &entry->metadata_hash) ? NULL : "the metadata was changed";
}

static const char *check_place(const struct ledger_entry *previous,
                               const struct ledger_entry *entry)
{
  bool ended = previous->op_count == 0 || previous->op_index + 1u == previous->op_count;
  if (entry->op_index == 0)
    return ended ? NULL : "the operation before it is not whole";
  if (ended || entry->op_index != previous->op_index + 1u ||
      entry->op_count != previous->op_count || entry->user != previous->user)
    return "it is not in its operation's place";
  return NULL;
}

static const char *check_entry(struct verify *verify, const struct journal_entry *at)
{
  const struct ledger_entry *entry = at->entry;
  struct chain *chain = chain_of(verify, entry->user);
  if (entry->version != chain->version + 1u)
    return "its version does not follow the user's entry before";
  struct hf_hash hash = ledger_entry_hash(&chain->head, at->body.at, at->body.size);
  if (!hf_hash_equal(&hash, &entry->hash))
    return "its hash does not follow from its bytes and the user's entry before";
  const char *wrong = check_place(&verify->previous, entry);
  if (wrong == NULL)
    wrong = check_metadata(verify, at);
  chain->version = entry->version;
  chain->head = entry->hash;
  verify->previous = *entry;
  return wrong;
}

/* The entries of a batch, into its hash. */
static bool take_entries(struct verify *verify, const struct store_batch *batch,
                         struct store_batch_hasher *hasher)
{
  struct journal_entry at;
  for (uint32_t i = 0; i < batch->entries_count; i++) {
    switch (journal_next(&verify->journal, &at)) {
    case JOURNAL_ENTRY:
      break;
    case JOURNAL_END:
      return found(verify, "entries of the batch are missing", batch->number, verify->next_seq, 0);
    case JOURNAL_CORRUPT:
      return found(verify, "its row, or that of its metadata, cannot be read", batch->number,
                   verify->next_seq, 0);
    case JOURNAL_FAILED:
      verify->failed = true;
      return false;
    }
    if (at.seq != verify->next_seq)
      return found(verify, "an entry is missing", batch->number, verify->next_seq, 0);
    const char *wrong = check_entry(verify, &at);
    if (verify->failed)
      return false;
    if (wrong != NULL)
      return found(verify, wrong, batch->number, at.seq, at.entry->user);
    store_batch_entry(hasher, &at.entry->hash);
    verify->next_seq++;
    if (++verify->report->entries % 1024u == 0 && verify->report->progress != NULL)
      verify->report->progress(verify->report->arg, verify->report->entries, verify->report->total);
  }
  if (verify->previous.op_index + 1u < verify->previous.op_count)
    return found(verify, "an operation goes beyond its batch", batch->number, verify->next_seq - 1u,
                 verify->previous.user);
  return true;
}

/* ---- batches --------------------------------------------------------------------------------- */

static bool on_batch(void *arg, const struct store_batch *batch)
{
  struct verify *verify = arg;
  struct store_batch_hasher hasher;
  struct store_batch again = *batch;
  const struct refusals *refusals = NULL;
  if (batch->number != verify->next_batch)
    return found(verify, "a batch is missing", verify->next_batch, 0, 0);
  if (!hf_hash_equal(&batch->previous, &verify->head))
    return found(verify, "the batch does not name the one before it", batch->number, 0, 0);
  if (batch->first_seq != verify->next_seq)
    return found(verify, "the batch does not begin where the one before ended", batch->number, 0,
                 0);
  store_batch_begin(&hasher);
  if (verify->refusals_at < verify->refusals_count &&
      verify->refusals[verify->refusals_at].batch == batch->number) {
    refusals = &verify->refusals[verify->refusals_at++];
    hasher.outcomes = refusals->hasher.outcomes;
  }
  if (batch->outcomes_count != (refusals == NULL ? 0 : refusals->count))
    return found(verify,
                 verify->cut != NULL && verify->refusals_at == verify->refusals_count
                   ? "a refusal of the batch, or behind it, cannot be read"
                   : "refusals of the batch are missing, or are too many",
                 batch->number, 0, 0);
  if (!take_entries(verify, batch, &hasher))
    return false;
  store_batch_end(&hasher, &again);
  if (!hf_hash_equal(&again.hash, &batch->hash))
    return found(verify, "the batch's hash does not follow from what is in it", batch->number, 0,
                 0);
  verify->head = batch->hash;
  verify->next_batch++;
  verify->report->batches++;
  return true;
}

static bool on_rest(void *arg, const struct store_outcome *outcome)
{
  *(hf_id *)arg = outcome->user;
  return false;
}

/* Nothing may be there that no batch brought. What a server committed meanwhile has one. */
static enum hf_error check_rest(struct verify *verify, uint64_t cursor)
{
  struct journal_entry at;
  struct store_batch newest;
  hf_id refused = 0;
  enum journal_status status = journal_next(&verify->journal, &at);
  if (status == JOURNAL_FAILED)
    return HF_E_UNAVAILABLE;
  enum hf_error error = verify->cut != NULL
                          ? HF_OK
                          : verify->admin->each_outcome(verify->engine, verify->partition, &cursor,
                                                        INT64_MAX, on_rest, &refused);
  if (error == HF_E_INTERNAL)
    (void)cut_refusals(verify, "a refusal of no batch cannot be read", 0);
  else if (error != HF_OK || (status == JOURNAL_END && refused == 0))
    return error;
  error = verify->admin->newest_batch(verify->engine, verify->partition, &newest);
  if (error != HF_OK || newest.number != verify->last_batch)
    return error;
  if (status != JOURNAL_END)
    found(verify, "an entry without its batch", 0, verify->next_seq,
          status == JOURNAL_ENTRY ? at.entry->user : 0);
  else if (refused != 0)
    found(verify, "a refusal without its batch", 0, 0, refused);
  return HF_OK;
}

/* Refusals and metadata that no batch and no entry asked for. */
static void check_left_over(struct verify *verify)
{
  hf_id op = next_described(verify);
  uint64_t seq = op == 0 ? 0 : hf_id_serial(op, verify->engine->partition_bits);
  if (verify->failed)
    return;
  if (verify->cut != NULL)
    found(verify, verify->cut, 0, 0, 0);
  else if (op != 0 && seq < verify->next_seq)
    found(verify, "metadata of no operation", 0, seq, 0);
  else if (op == 0 && verify->described.corrupt)
    found(verify, "a row of metadata that no entry has cannot be read", 0, 0, 0);
}

static void verify_deinit(struct verify *verify)
{
  struct chain *chain, *next;
  journal_close(&verify->journal);
  HASH_ITER (hh, verify->chains, chain, next) {
    HASH_DEL(verify->chains, chain);
    rt_free(chain);
  }
  rt_free(verify->refusals);
  rt_free(verify);
}

/* Batches first_batch .. last_batch. */
static enum hf_error verify_batches(struct verify *verify, uint64_t *cursor)
{
  verify->refusals_count = verify->refusals_at = 0;
  enum hf_error error = verify->admin->each_outcome(verify->engine, verify->partition, cursor,
                                                    verify->last_batch, on_outcome, verify);
  if (error == HF_E_INTERNAL)
    (void)cut_refusals(verify, "a refusal of no batch cannot be read", 0);
  else if (error != HF_OK)
    return error;
  error = verify->admin->each_batch(verify->engine, verify->partition, verify->first_batch,
                                    verify->last_batch, on_batch, verify);
  if (verify->bad || verify->failed || (error != HF_OK && error != HF_E_INTERNAL))
    return error;
  if (error == HF_E_INTERNAL)
    found(verify, "the row of the batch cannot be read", verify->next_batch, 0, 0);
  else if (verify->next_batch <= verify->last_batch)
    found(verify, "a batch is missing", verify->next_batch, 0, 0);
  else if (verify->cut_batch != 0)
    found(verify, verify->cut, verify->cut_batch, 0, 0);
  return HF_OK;
}

static enum hf_error verify_partition(struct verify *verify)
{
  struct store_batch newest;
  uint64_t cursor = 0, first = 1;
  verify->next_batch = verify->next_seq = 1;
  journal_open(&verify->journal, verify->engine, verify->partition, 1);
  enum hf_error error = verify->admin->newest_batch(verify->engine, verify->partition, &newest);
  if (error == HF_E_INTERNAL) { /* there is one, and it is found when its turn comes */
    newest.number = INT64_MAX;
    error = HF_OK;
  }
  for (; error == HF_OK && !verify->bad && !verify->failed && first <= newest.number;
       first += BATCHES_AT_A_TIME) {
    uint64_t left = newest.number - first + 1u;
    verify->first_batch = first;
    verify->last_batch = first + (left < BATCHES_AT_A_TIME ? left : BATCHES_AT_A_TIME) - 1u;
    error = verify_batches(verify, &cursor);
  }
  if (error == HF_OK && !verify->bad && !verify->failed)
    error = check_rest(verify, cursor);
  if (error == HF_OK && !verify->bad && !verify->failed)
    check_left_over(verify);
  return verify->failed ? HF_E_UNAVAILABLE : error;
}

enum hf_error verify_run(struct store_engine *engine, struct verify_report *report)
{
  enum hf_error error = journal_total(engine, &report->total);
  for (uint32_t p = 0; error == HF_OK && p < 1u << engine->partition_bits; p++) {
    struct verify *verify = rt_alloc(sizeof *verify);
    verify->engine = engine;
    verify->admin = store_admin_of(engine);
    verify->report = report;
    verify->partition = p;
    error = verify_partition(verify);
    verify_deinit(verify);
  }
  return error;
}
