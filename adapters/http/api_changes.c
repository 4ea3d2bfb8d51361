/* api_changes.c - GET /v1/changes: a page of a partition's journal, or the beginning of a stream.
 *
 * Happy path: parse, ask for a scan of the journal, write a line for each entry and where to go on.
 * Ways to fail: the store does not answer (503), or its journal has a gap (500).
 * Invariant: what is shown has no gap, and an entry looks as it does in its user's history. */
#include <stdio.h>
#include <string.h>

#include "adapters/http/api_stream.h"
#include "adapters/http/api_write.h"
#include "adapters/http/api_ops.h"
#include "adapters/http/front_loop.h"
#include "holdfast/check.h"

#define SEQ_MAX ((uint64_t)HF_ID_MAX)

/* ---- lines ----------------------------------------------------------------------------------- */

bool api_changes_count(const struct api_call *call, const struct store_scan *scan,
                       size_t *ret_count)
{
  const unsigned bits = api_partition_bits(call);
  const struct catalog *catalog = catalog_of(call->loop->ctx);
  size_t count = 0;
  while (count < scan->entries_count) {
    const struct ledger_entry *entry = &scan->entries[count];
    if (hf_id_serial(entry->id, bits) != scan->from_seq + count)
      return false;
    if (catalog_asset(catalog, entry->asset) == NULL)
      break;
    count++;
  }
  *ret_count = count;
  return true;
}

void api_changes_text(struct json_out *out, const char *text)
{
  out->comma = false;
  json_out_raw(out, text, strlen(text));
  out->comma = false;
}

void api_changes_line(struct api_call *call, const struct store_scan *scan, size_t index)
{
  const struct api_write to = api_write_to(call);
  struct json_out *out = &call->loop->out;
  const size_t start = out->size;
  const hf_id reversed_by = scan->reversed_by == NULL ? 0 : scan->reversed_by[index];
  out->comma = false;
  api_write_entry(&to, &scan->entries[index], scan->metadata[index], reversed_by);
  out->comma = false;
  /* Within a string a line's end is escaped; between values, where imported metadata may have one,
   * it is a blank like any other. */
  for (char *at = out->at + start; at < out->at + out->size; at++) {
    if (*at == '\n' || *at == '\r')
      *at = ' ';
  }
}

bool api_changes_ask(struct api_call *call, uint32_t partition, uint64_t from_seq, uint32_t limit)
{
  struct store_request *request = store_request_new(STORE_SCAN);
  request->scan.partition = partition;
  request->scan.from_seq = from_seq;
  request->scan.limit = limit;
  request->scan.reversals = true;
  if (api_ask_read(call, request))
    return true;
  store_request_free(request);
  return false;
}

/* ---- a page ---------------------------------------------------------------------------------- */

static void reply_page(struct api_call *call, const struct store_scan *scan, size_t count)
{
  char next[24];
  struct json_out *out = api_out(call);
  for (size_t i = 0; i < count; i++) {
    api_changes_line(call, scan, i);
    api_changes_text(out, "\n");
  }
  (void)snprintf(next, sizeof next, "%llu", (unsigned long long)(scan->from_seq + count));
  http_add_header(call->exchange, "Next-From-Seq", next);
  http_reply(api_take_exchange(call), call->route->status, "application/x-ndjson",
             out->size == 0 ? "" : out->at, out->size);
}

static void resume_page(struct api_call *call, enum api_ask kind, void *answer)
{
  CHECK(kind == API_ASK_READ);
  struct store_request *request = answer;
  const struct store_scan *scan = &request->scan;
  const enum hf_error error = api_read_error(request, HF_E_INTERNAL);
  size_t count = 0;
  if (error != HF_OK)
    api_fail(call, error);
  else if (!api_changes_count(call, scan, &count))
    api_fail(call, HF_E_INTERNAL);
  else if (count == 0 && scan->entries_count > 0)
    api_fail(call, HF_E_UNAVAILABLE);
  else if (!api_is_over(call))
    reply_page(call, scan, count);
  store_request_free(request);
}

/* ---- the request ----------------------------------------------------------------------------- */

static bool wants_events(const struct api_call *call)
{
  const struct http_slice accept = http_field_get(http_request_of(call->exchange), "accept");
  return route_names(accept, "text/event-stream") || !route_accepts(accept, "application/x-ndjson");
}

/* "partition:seq" of the newest event that the client has; 0 when it sends none. */
static uint64_t last_event_of(const struct api_call *call, uint64_t partition,
                              struct json_problem *problem)
{
  const struct http_request *request = http_request_of(call->exchange);
  const struct http_slice text = http_field_get(request, "last-event-id");
  const char *colon = text.size == 0 ? NULL : memchr(text.at, ':', text.size);
  uint64_t of = 0, seq = 0;
  if (text.at == NULL)
    return 0;
  const size_t size = colon == NULL ? 0 : (size_t)(colon - text.at);
  if (http_field_count(request, "last-event-id") == 1 && colon != NULL &&
      api_number_parse((struct http_slice){text.at, size}, &of) &&
      api_number_parse((struct http_slice){colon + 1, text.size - size - 1}, &seq) &&
      of == partition && seq >= 1 && seq < SEQ_MAX)
    return seq;
  json_problem_set(problem, HF_E_INVALID_QUERY, "Last-Event-ID",
                   "must be the id of an event of this partition");
  json_problem_suggest(problem, "%llu:17", (unsigned long long)partition);
  return 0;
}

void api_changes_get(struct api_call *call)
{
  struct json_problem problem = {0};
  const bool events = wants_events(call);
  const uint64_t last = (1u << api_partition_bits(call)) - 1u;
  const uint64_t partition =
    api_query_number(&call->query, API_PARAM_PARTITION, 0, last, 0, &problem);
  uint64_t from_seq = api_query_number(&call->query, API_PARAM_FROM_SEQ, 1, SEQ_MAX, 1, &problem);
  const unsigned limit = api_query_limit(&call->query, &problem);
  if (call->query.values[API_PARAM_PARTITION].at == NULL)
    json_problem_set(&problem, HF_E_INVALID_QUERY, "partition", "say which one: 0 to %llu",
                     (unsigned long long)last);
  if (events && call->query.values[API_PARAM_LIMIT].at != NULL)
    json_problem_set(&problem, HF_E_INVALID_QUERY, "limit", "a stream has no pages");
  const uint64_t seen = events ? last_event_of(call, partition, &problem) : 0;
  if (!api_allowed(call, &problem) || !api_has_room(call))
    return;
  if (seen > 0)
    from_seq = seen + 1;
  if (events) {
    api_stream_start(call, (uint32_t)partition, from_seq);
    return;
  }
  call->resume = resume_page;
  if (!api_changes_ask(call, (uint32_t)partition, from_seq, limit))
    api_fail(call, HF_E_OVERLOADED);
}
