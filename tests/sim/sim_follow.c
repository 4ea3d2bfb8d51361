/* Who reads along: followers of a partition's changes, by a stream or page by page, over whatever
 * node they reach. Each is shown every entry that the store took, once, in order, and none that it
 * has not taken, whatever happens to nodes and connections. */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "holdfast/check.h"
#include "tests/sim/sim.h"

#define AGAIN_US 50000u     /* until a follower that was cut off comes back, at the most */
#define HANGS_UP_US 400000u /* a stream is left by its reader, some time after */
#define HANGS_UP 300u       /* per thousand streams */
#define KEYED 200u          /* per thousand connections: with a service key that comes and goes */
#define PAGE 10u

struct sim_follower {
  struct sim_world *world;
  uint32_t partition;
  uint64_t seen;         /* the newest entry that it was shown */
  bool streams;          /* else it reads pages */
  struct sim_call *call; /* NULL: it is not connected */
  uint64_t calls;        /* so far */
  struct hf_bytes text;  /* of which the end is still to come */
};

/* ---- the journal, as the store took it ------------------------------------------------------- */

/* What a client can see of an entry. */
static uint64_t shown_mix(const struct ledger_entry *entry)
{
  struct ledger_entry copy = *entry;
  copy.key = (struct hf_digest){{0}};
  copy.op_index = copy.op_count = 0;
  return sim_entry_mix(0, &copy);
}

void sim_follow_commit(struct sim_world *world, const struct ledger_entry *entry)
{
  struct sim_journal *journal = &world->journals[hf_id_partition(entry->id, world->partition_bits)];
  if (journal->count == journal->room) {
    journal->room = journal->room == 0 ? 256u : 2u * journal->room;
    journal->taken = rt_realloc(journal->taken, journal->room * sizeof *journal->taken);
  }
  const struct sim_request *request = sim_request_by_key(world, entry->user, &entry->key);
  journal->taken[journal->count++] = (struct sim_taken){
    .mix = shown_mix(entry), .request = request == NULL ? SIM_NOBODY : request->number};
}

static bool has_metadata(const struct sim_world *world, uint32_t number, const json_t *object)
{
  char expected[SIM_TEXT_MAX] = "";
  char *text = sim_read_metadata(object);
  if (number != SIM_NOBODY) {
    const struct sim_request *request = &world->requests[number];
    expected[sim_metadata_text(request, request->taken_body, expected)] = '\0';
  }
  const bool same = strcmp(text == NULL ? "" : text, expected) == 0;
  free(text);
  return same;
}

bool sim_follow_read(struct sim_world *world, const json_t *object, struct ledger_entry *ret_entry)
{
  *ret_entry = (struct ledger_entry){0};
  sim_read_entry(world, object, ret_entry);
  const uint64_t seq = hf_id_serial(ret_entry->id, world->partition_bits);
  const struct sim_journal *journal =
    &world->journals[hf_id_partition(ret_entry->id, world->partition_bits)];
  if (seq == 0 || seq > journal->count)
    return false;
  const struct sim_taken *taken = &journal->taken[seq - 1u];
  return taken->mix == shown_mix(ret_entry) && has_metadata(world, taken->request, object);
}

/* ---- what is shown --------------------------------------------------------------------------- */

static void take_entry(struct sim_follower *follower, const char *text, size_t size)
{
  struct sim_world *world = follower->world;
  struct ledger_entry entry;
  json_t *json = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
  const bool taken = sim_follow_read(world, json, &entry);
  json_decref(json);
  const uint64_t seq = hf_id_serial(entry.id, world->partition_bits);
  if (seq != follower->seen + 1u)
    sim_fail(world, "a follower of partition %u was shown entry %llu behind entry %llu",
             follower->partition, (unsigned long long)seq, (unsigned long long)follower->seen);
  else if (!taken)
    sim_fail(world, "a follower of partition %u was shown another entry %llu than there is",
             follower->partition, (unsigned long long)seq);
  follower->seen = seq;
  world->followed++;
  sim_trace(world, shown_mix(&entry));
}

/* The server has ended the stream. */
static void take_end(const struct sim_follower *follower, const char *text, size_t size)
{
  struct sim_world *world = follower->world;
  const struct sim_call *call = follower->call;
  json_t *json = json_loadb(text, size, 0, NULL);
  const char *code = json_string_value(json_object_get(json, "code"));
  const bool turned_away = code != NULL && strcmp(code, "unauthenticated") == 0 && call->key != 0 &&
                           sim_key_known(call->node, call->loop, call->key - 1u) != SIM_KEY_ADDED;
  if (code == NULL || (strcmp(code, "draining") != 0 && !turned_away))
    sim_fail(world, "a stream of partition %u was ended: %s", follower->partition,
             code == NULL ? "" : code);
  json_decref(json);
}

/* One event: lines of "name: value". Those without data are for the connection alone. */
static void take_event(struct sim_follower *follower, const char *at, size_t size)
{
  static const char data[] = "data: ", id[] = "id: ", end_event[] = "event: end\n";
  const char *end = at + size;
  char expected[48] = "";
  const char *found = NULL, *line = at;
  size_t found_size = 0;
  bool named = false;
  snprintf(expected, sizeof expected, "%u:%llu", follower->partition,
           (unsigned long long)follower->seen + 1u);
  while (line < end) {
    const char *stop = memchr(line, '\n', (size_t)(end - line));
    const size_t length = (size_t)((stop == NULL ? end : stop) - line);
    if (length > sizeof data && memcmp(line, data, sizeof data - 1u) == 0) {
      found = line + sizeof data - 1u;
      found_size = length - sizeof data + 1u;
    }
    if (length > sizeof id && memcmp(line, id, sizeof id - 1u) == 0)
      named = strlen(expected) == length - sizeof id + 1u &&
              memcmp(line + sizeof id - 1u, expected, strlen(expected)) == 0;
    line += length + 1u;
  }
  if (found == NULL)
    return;
  if (size > sizeof end_event && memcmp(at, end_event, sizeof end_event - 1u) == 0) {
    take_end(follower, found, found_size);
    return;
  }
  take_entry(follower, found, found_size);
  if (!named)
    sim_fail(follower->world, "an event of partition %u has another id than its entry",
             follower->partition);
}

static void streamed(struct sim_call *call, const void *text, size_t size)
{
  struct sim_follower *follower = call->owner;
  struct hf_bytes *all = &follower->text;
  size_t from = 0;
  hf_bytes_put(all, text, size);
  for (size_t i = 1; i < all->size; i++)
    if (all->at[i] == '\n' && all->at[i - 1u] == '\n') {
      take_event(follower, (const char *)all->at + from, i - from - 1u);
      from = i + 1u;
    }
  memmove(all->at, all->at + from, all->size - from);
  all->size -= from;
}

static void take_page(struct sim_follower *follower, const struct sim_reply *reply)
{
  const char *at = (const char *)reply->body.at, *end = at + reply->body.size;
  while (at < end) {
    const char *stop = memchr(at, '\n', (size_t)(end - at));
    if (stop == NULL)
      break;
    take_entry(follower, at, (size_t)(stop - at));
    at = stop + 1;
  }
  if (reply->next_seq != follower->seen + 1u)
    sim_fail(follower->world, "a page of partition %u goes on at %llu and ends at %llu",
             follower->partition, (unsigned long long)reply->next_seq,
             (unsigned long long)follower->seen);
}

/* ---- connecting ------------------------------------------------------------------------------ */

static void come(struct sim_world *world, void *arg);

static void told(struct sim_call *call)
{
  struct sim_follower *follower = call->owner;
  struct sim_world *world = call->world;
  follower->call = NULL;
  follower->text.size = 0;
  const bool turned_away =
    call->reply.error == HF_E_UNAUTHENTICATED && call->key != 0 && call->key_known != SIM_KEY_ADDED;
  if (call->reply.error != HF_OK && !hf_error_info(call->reply.error)->retryable && !turned_away)
    sim_fail(world, "changes of partition %u: %s", follower->partition,
             hf_error_info(call->reply.error)->code);
  else if (call->reply.status == 200 && !follower->streams)
    take_page(follower, &call->reply);
  sim_at(world, world->now_us + 1000u + sim_chaos(world) % AGAIN_US, come, follower);
}

static void hang_up(struct sim_world *world, void *arg)
{
  struct sim_follower *follower = arg;
  struct sim_call *call = follower->call;
  if (call == NULL || !follower->streams || world->healing)
    return;
  follower->call = NULL;
  follower->text.size = 0;
  sim_door_hang_up(call);
  sim_at(world, world->now_us + sim_chaos(world) % AGAIN_US, come, follower);
}

static void come(struct sim_world *world, void *arg)
{
  struct sim_follower *follower = arg;
  struct sim_node *node = &world->nodes[sim_chaos(world) % world->nodes_count];
  char line[96], fields[96] = "Accept: application/x-ndjson\r\n";
  if (world->ending)
    return;
  if (node->state == SIM_DOWN) {
    sim_at(world, world->now_us + 1000u + sim_chaos(world) % AGAIN_US, come, follower);
    return;
  }
  int size = snprintf(line, sizeof line, "GET /v1/changes?partition=%u", follower->partition);
  if (!follower->streams)
    snprintf(line + size, sizeof line - (size_t)size, "&from_seq=%llu&limit=%u",
             (unsigned long long)follower->seen + 1u, PAGE);
  else if (follower->seen > 0)
    snprintf(fields, sizeof fields, "Accept: text/event-stream\r\nLast-Event-ID: %u:%llu\r\n",
             follower->partition, (unsigned long long)follower->seen);
  else
    snprintf(fields, sizeof fields, "Accept: text/event-stream\r\n");
  struct sim_call *call = sim_door_call(node);
  call->owner = follower;
  call->told = told;
  call->streamed = streamed;
  if (!world->healing && sim_strikes(world, KEYED))
    call->key = 1u + (unsigned)(sim_chaos(world) % SIM_KEYS);
  follower->call = call;
  sim_door_send(call, line, fields, NULL, 0);
  if (sim_strikes(world, HANGS_UP))
    sim_at(world, world->now_us + sim_chaos(world) % HANGS_UP_US, hang_up, follower);
}

void sim_follow_begin(struct sim_world *world)
{
  for (unsigned i = 0; i < world->followers_count; i++) {
    struct sim_follower *follower = rt_alloc(sizeof *follower);
    world->followers[i] = follower;
    follower->world = world;
    follower->partition = (uint32_t)(sim_rand(world) % (1u << world->partition_bits));
    follower->streams = sim_chance(world, 700);
    sim_at(world, world->now_us, come, follower);
  }
}

bool sim_follow_has_all(const struct sim_world *world)
{
  for (unsigned i = 0; i < world->followers_count; i++)
    if (world->followers[i]->seen < world->journals[world->followers[i]->partition].count)
      return false;
  return true;
}

void sim_follow_end(struct sim_world *world)
{
  for (unsigned i = 0; i < world->followers_count; i++) {
    const struct sim_follower *follower = world->followers[i];
    const uint64_t count = world->journals[follower->partition].count;
    if (follower->seen < count)
      sim_fail(world, "a follower of partition %u was shown %llu of %llu entries",
               follower->partition, (unsigned long long)follower->seen, (unsigned long long)count);
  }
}

void sim_follow_deinit(struct sim_world *world)
{
  for (unsigned i = 0; i < world->followers_count; i++) {
    hf_bytes_deinit(&world->followers[i]->text);
    rt_free(world->followers[i]);
  }
  for (unsigned i = 0; i < SIM_PARTITIONS_MAX; i++)
    rt_free(world->journals[i].taken);
}
