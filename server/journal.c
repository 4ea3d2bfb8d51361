/* A page is read when the one before it is used up. */
#include "server/journal.h"

#include "adapters/store/store_admin.h"

void journal_open(struct journal *journal, struct store_engine *engine, uint32_t partition,
                  uint64_t from_seq)
{
  *journal = (struct journal){.engine = engine, .partition = partition, .next_seq = from_seq};
}

void journal_close(struct journal *journal)
{
  if (journal->page != NULL)
    store_request_free(journal->page);
  journal->page = NULL;
}

static enum store_status read_page(struct journal *journal, uint32_t limit)
{
  journal_close(journal);
  journal->at = 0;
  journal->page = store_request_new(STORE_SCAN);
  journal->page->scan.partition = journal->partition;
  journal->page->scan.from_seq = journal->next_seq;
  journal->page->scan.limit = limit;
  journal->engine->ops->execute(journal->engine, journal->page);
  return (enum store_status)journal->page->status;
}

/* A row is there to hand out, or why not. */
static enum journal_status refill(struct journal *journal)
{
  enum store_status status = read_page(journal, journal->careful ? 1u : JOURNAL_PAGE);
  if (status == STORE_CORRUPT && !journal->careful) {
    journal->careful = true;
    status = read_page(journal, 1u);
  }
  if (status == STORE_CORRUPT) {
    journal->careful = false;
    journal->page->scan.entries_count = 0;
    journal->next_seq++;
    return JOURNAL_CORRUPT;
  }
  if (status != STORE_OK) {
    journal->page->scan.entries_count = 0;
    return JOURNAL_FAILED;
  }
  return journal->page->scan.entries_count == 0 ? JOURNAL_END : JOURNAL_ENTRY;
}

enum journal_status journal_next(struct journal *journal, struct journal_entry *ret_entry)
{
  if (journal->page == NULL || journal->at == journal->page->scan.entries_count) {
    enum journal_status status = refill(journal);
    if (status != JOURNAL_ENTRY)
      return status;
  }
  const struct store_scan *scan = &journal->page->scan;
  size_t at = journal->at++;
  *ret_entry = (struct journal_entry){
    .entry = &scan->entries[at],
    .seq = hf_id_serial(scan->entries[at].id, journal->engine->partition_bits),
    .body = scan->bodies[at],
    .metadata = scan->metadata[at],
    .salt = &scan->salts[at],
  };
  journal->next_seq = ret_entry->seq + 1u;
  return JOURNAL_ENTRY;
}

enum hf_error journal_total(struct store_engine *engine, uint64_t *ret_entries)
{
  uint64_t total = 0;
  for (uint32_t p = 0; p < 1u << engine->partition_bits; p++) {
    struct store_batch newest;
    enum hf_error error = store_admin_of(engine)->newest_batch(engine, p, &newest);
    if (error == HF_E_INTERNAL)
      continue;
    if (error != HF_OK)
      return error;
    if (newest.number > 0)
      total += newest.first_seq + newest.entries_count - 1u;
  }
  *ret_entries = total;
  return HF_OK;
}
