/* probe.c - the questions of the history routes, each asked many times, and a look at the answers:
 * pages have no gaps and hold what was asked for. */
#include "bench/history/history.h"

#include <string.h>

#include "bench/load/random.h"
#include "server/cli.h"

#define PAGE_ENTRIES 50u
#define CHANGES_ENTRIES 500u
#define SCAN_MAX 5000u

struct probe {
  struct store_engine *engine;
  const struct history_plan *plan;
  struct random random;
  uint64_t *newest; /* seq, by partition */
};

static void holds(bool fact, const char *what)
{
  if (!fact)
    history_fail("an answer is wrong", what);
}

static hf_id user_of(struct probe *probe, bool hot)
{
  const uint64_t users = probe->plan->users;
  const uint64_t limit = hot && users > HISTORY_HOT_USERS ? HISTORY_HOT_USERS : users;
  return history_user(probe->plan, random_below(&probe->random, (uint32_t)limit),
                      probe->engine->partition_bits);
}

static int64_t time_of(struct probe *probe)
{
  return HISTORY_START_US + (int64_t)(random_unit(&probe->random) * (double)HISTORY_SPAN_US);
}

static void execute(struct probe *probe, struct store_request *request, struct histogram *us)
{
  const double start_s = history_now_s();
  probe->engine->ops->execute(probe->engine, request);
  histogram_record(us, (uint64_t)((history_now_s() - start_s) * 1e6 + 0.5));
  holds(request->status == STORE_OK, "its status");
}

static void ask_balance(struct probe *probe, bool hot, bool effective, int64_t at_us,
                        struct histogram *us)
{
  struct store_request *request = store_request_new(STORE_BALANCE_AT);
  request->balance_at.user = user_of(probe, hot);
  request->balance_at.at_us = at_us;
  request->balance_at.effective = effective;
  execute(probe, request, us);
  holds(request->balance_at.user_found && !request->balance_at.overflow, "a balance");
  holds(request->balance_at.count <= HISTORY_ASSETS, "a balance's assets");
  holds(effective || (request->balance_at.count > 0) == (request->balance_at.version > 0),
        "a balance's version");
  store_request_free(request);
}

static void ask_history(struct probe *probe, bool hot, int64_t to_us, struct histogram *us)
{
  struct store_request *request = store_request_new(STORE_LIST_ENTRIES);
  const struct store_list_entries *list = &request->list_entries;
  request->list_entries.user = user_of(probe, hot);
  request->list_entries.to_us = to_us;
  request->list_entries.limit = PAGE_ENTRIES;
  request->list_entries.scan_max = SCAN_MAX;
  execute(probe, request, us);
  holds(list->user_found, "a history");
  for (size_t i = 0; i < list->entries_count; i++) {
    holds(list->entries[i].user == list->user, "a history's user");
    holds(to_us == 0 || list->entries[i].recorded_us < to_us, "a history's time");
    holds(i == 0 || list->entries[i].version + 1 == list->entries[i - 1].version,
          "a history's versions");
  }
  store_request_free(request);
}

static void ask_changes(struct probe *probe, bool newest, struct histogram *us)
{
  const unsigned bits = probe->engine->partition_bits;
  const uint32_t partition = random_below(&probe->random, 1u << bits);
  const uint64_t last = probe->newest[partition];
  struct store_request *request = store_request_new(STORE_SCAN);
  const struct store_scan *scan = &request->scan;
  uint64_t from = 1u + (last == 0 ? 0 : random_below(&probe->random, (uint32_t)last));
  if (newest)
    from = last > CHANGES_ENTRIES ? last - CHANGES_ENTRIES + 1u : 1u;
  request->scan.partition = partition;
  request->scan.from_seq = from;
  request->scan.limit = CHANGES_ENTRIES;
  request->scan.reversals = true;
  execute(probe, request, us);
  const uint64_t rest = last + 1u - from;
  holds(scan->entries_count == (rest < CHANGES_ENTRIES ? rest : CHANGES_ENTRIES),
        "a page's length");
  for (size_t i = 0; i < scan->entries_count; i++)
    holds(hf_id_serial(scan->entries[i].id, bits) == from + i, "a page's order");
  store_request_free(request);
}

/* Opening a partition again tells where its journal ends. */
static void learn_newest(struct probe *probe)
{
  const unsigned count = 1u << probe->engine->partition_bits;
  uint64_t entries = 0;
  probe->newest = rt_alloc(count * sizeof *probe->newest);
  for (unsigned i = 0; i < count; i++) {
    struct store_request *request = store_request_new(STORE_OPEN_PARTITION);
    request->open_partition.partition = i;
    probe->engine->ops->execute(probe->engine, request);
    holds(request->status == STORE_OK, "a partition");
    probe->newest[i] = request->open_partition.next_seq - 1u;
    entries += probe->newest[i];
    store_request_free(request);
  }
  holds(entries == probe->plan->entries, "how many entries there are");
}

static void ask(struct probe *probe, unsigned kind, struct histogram *us)
{
  switch (kind) {
  case 0:
    ask_balance(probe, false, false, time_of(probe), us);
    break;
  case 1:
    ask_balance(probe, false, true, time_of(probe), us);
    break;
  case 2:
    ask_balance(probe, true, false, time_of(probe), us);
    break;
  case 3:
    ask_balance(probe, true, true, time_of(probe), us);
    break;
  case 4:
    ask_history(probe, false, 0, us);
    break;
  case 5:
    ask_history(probe, true, time_of(probe), us);
    break;
  case 6:
    ask_changes(probe, false, us);
    break;
  default:
    ask_changes(probe, true, us);
  }
}

void history_probe(struct store_engine *engine, const struct history_plan *plan,
                   struct history_probe ret_probes[HISTORY_PROBES])
{
  static const char *const names[HISTORY_PROBES] = {"balance at T",
                                                    "balance at T, effective",
                                                    "balance at T, long history",
                                                    "balance at T, effective, long history",
                                                    "newest page of a history",
                                                    "page of a long history before T",
                                                    "page of changes",
                                                    "newest page of changes"};
  struct probe probe = {.engine = engine, .plan = plan, .random = random_seeded(plan->seed + 1)};
  struct histogram *warm = rt_alloc(sizeof *warm);
  learn_newest(&probe);
  for (unsigned kind = 0; kind < HISTORY_PROBES; kind++) {
    ret_probes[kind].name = names[kind];
    for (uint64_t i = 0; i < plan->queries / 10u;
         i++) /* statements are prepared, pages are there */
      ask(&probe, kind, warm);
    for (uint64_t i = 0; i < plan->queries; i++) {
      ask(&probe, kind, &ret_probes[kind].us);
      cli_progress(names[kind], i + 1, plan->queries);
    }
    cli_progress_end();
  }
  rt_free(warm);
  rt_free(probe.newest);
}
