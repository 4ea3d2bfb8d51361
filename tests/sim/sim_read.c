/* Reads replies of the front door, as a client would: into what the actors themselves would have
 * answered. A reply that cannot be read, or says two things, is a failure. */
#include <string.h>

#include <jansson.h>

#include "holdfast/check.h"
#include "holdfast/hash.h"
#include "holdfast/time_text.h"
#include "tests/sim/sim.h"

/* ---- values ---------------------------------------------------------------------------------- */

static void wrong(struct sim_world *world, const char *name)
{
  sim_fail(world, "a reply cannot be read: %s", name);
}

static const char *text_of(struct sim_world *world, const json_t *object, const char *name)
{
  const char *text = json_string_value(json_object_get(object, name));
  if (text == NULL)
    wrong(world, name);
  return text == NULL ? "" : text;
}

static uint64_t id_of(struct sim_world *world, const json_t *object, const char *name)
{
  const char *text = text_of(world, object, name);
  uint64_t id = 0;
  if (text[0] < '1' || text[0] > '9')
    wrong(world, name);
  for (; *text >= '0' && *text <= '9'; text++)
    id = 10 * id + (uint64_t)(*text - '0');
  if (*text != '\0')
    wrong(world, name);
  return id;
}

static uint64_t optional_id(struct sim_world *world, const json_t *object, const char *name)
{
  return json_object_get(object, name) == NULL ? 0 : id_of(world, object, name);
}

static uint64_t number_of(struct sim_world *world, const json_t *object, const char *name)
{
  const json_t *value = json_object_get(object, name);
  if (!json_is_integer(value) || json_integer_value(value) < 0)
    wrong(world, name);
  return (uint64_t)json_integer_value(value);
}

static int64_t time_of(struct sim_world *world, const json_t *object, const char *name)
{
  const char *text = text_of(world, object, name);
  int64_t time_us = 0;
  if (hf_time_parse(text, strlen(text), &time_us) != HF_OK)
    wrong(world, name);
  return time_us;
}

/* Digits, a point, and as many digits behind it as the asset has. */
static sim_amount amount_of(struct sim_world *world, const json_t *object, const char *name)
{
  const char *text = text_of(world, object, name);
  const bool negative = *text == '-';
  sim_uamount amount = 0;
  text += negative;
  for (; *text >= '0' && *text <= '9'; text++)
    amount = amount * 10u + (unsigned)(*text - '0');
  if (*text != '.' || strlen(text) != SIM_SCALE + 1u)
    wrong(world, name);
  for (text += *text == '.'; *text >= '0' && *text <= '9'; text++)
    amount = amount * 10u + (unsigned)(*text - '0');
  if (*text != '\0')
    wrong(world, name);
  return negative ? -(sim_amount)amount : (sim_amount)amount;
}

static uint16_t asset_of(struct sim_world *world, const char *code)
{
  for (uint16_t i = 1; i <= SIM_ASSETS; i++)
    if (code[0] == 'A' && code[1] == (char)('0' + i) && code[2] == '\0')
      return i;
  wrong(world, "asset");
  return 0;
}

static const char *const buckets[LEDGER_BUCKET_COUNT] = {
  [LEDGER_EARNED] = "earned",         [LEDGER_PENDING] = "pending",
  [LEDGER_CLAIMABLE] = "claimable",   [LEDGER_HELD] = "held",
  [LEDGER_CLAIMING] = "claiming",     [LEDGER_BLOCKED] = "blocked",
  [LEDGER_QUARANTINE] = "quarantine", [LEDGER_DEBT] = "debt"};

static const char *const accounts[SIM_ACCOUNTS] = {
  [LEDGER_ISSUANCE] = "sys:issuance", [LEDGER_REWARDS] = "sys:rewards",
  [LEDGER_SPEND] = "sys:spend",       [LEDGER_ONCHAIN_PAID] = "sys:onchain_paid",
  [LEDGER_FEES] = "sys:fees",         [LEDGER_PSP_CLEARING] = "sys:psp_clearing",
  [LEDGER_CHAIN_IN] = "sys:chain_in", [LEDGER_ADJUSTMENTS] = "sys:adjustments",
  [LEDGER_GOODWILL] = "sys:goodwill", [LEDGER_TRANSIT] = "sys:transit"};

/* An op's type, and the name by which an entry of it says what it refers to: itself, if it opens
 * that. */
static const struct {
  const char *text, *ref;
  bool opens;
} types[LEDGER_TYPE_COUNT] = {
  [LEDGER_T_EARN] = {.text = "earn"},
  [LEDGER_T_SETTLE] = {.text = "settle"},
  [LEDGER_T_MATURE] = {.text = "mature"},
  [LEDGER_T_GRANT] = {.text = "grant"},
  [LEDGER_T_DEPOSIT] = {.text = "deposit"},
  [LEDGER_T_SPEND] = {.text = "spend"},
  [LEDGER_T_HOLD] = {"hold", "hold_id", true},
  [LEDGER_T_CAPTURE] = {"capture", "hold_id", false},
  [LEDGER_T_VOID] = {"void", "hold_id", false},
  [LEDGER_T_BLOCK] = {"block", "block_id", true},
  [LEDGER_T_UNBLOCK] = {"unblock", "block_id", false},
  [LEDGER_T_TRANSFER] = {"transfer", "transfer_id", true},
  [LEDGER_T_ADJUST] = {.text = "adjust"},
  [LEDGER_T_QUARANTINE_IN] = {.text = "quarantine"},
  [LEDGER_T_RELEASE] = {.text = "release"},
  [LEDGER_T_REVERSE] = {"reverse", "reverses", false},
  [LEDGER_T_EXPIRE] = {"expire", "hold_id", false},
  [LEDGER_T_CREDIT] = {"credit", "transfer_id", false},
  [LEDGER_T_BOUNCE] = {"bounce", "transfer_id", false},
};

static uint8_t account_of(struct sim_world *world, const json_t *object, const char *name)
{
  const char *text = text_of(world, object, name);
  for (uint8_t i = 0; i < SIM_ACCOUNTS; i++) {
    const char *known = i < LEDGER_BUCKET_COUNT ? buckets[i] : accounts[i];
    if (known != NULL && strcmp(known, text) == 0)
      return i;
  }
  wrong(world, name);
  return 0;
}

static uint8_t type_of(struct sim_world *world, const json_t *object)
{
  const char *text = text_of(world, object, "type");
  for (uint8_t i = 1; i < LEDGER_TYPE_COUNT; i++)
    if (strcmp(types[i].text, text) == 0)
      return i;
  wrong(world, "type");
  return LEDGER_T_EARN;
}

static void copy_text(struct sim_world *world, const json_t *object, const char *name, char *to,
                      size_t room)
{
  if (json_object_get(object, name) != NULL)
    snprintf(to, room, "%s", text_of(world, object, name));
}

/* ---- balances -------------------------------------------------------------------------------- */

static void read_balance(struct sim_world *world, const json_t *object,
                         struct ledger_balance *ret_balance)
{
  sim_amount total = 0;
  for (unsigned i = 0; i < LEDGER_BUCKET_COUNT; i++) {
    const sim_amount amount = amount_of(world, object, buckets[i]);
    ret_balance->bucket[i] = amount;
    total = sim_sum(total, i == LEDGER_DEBT ? -amount : amount);
  }
  ret_balance->claimed_total = amount_of(world, object, "claimed_total");
  ret_balance->spent_total = amount_of(world, object, "spent_total");
  if (amount_of(world, object, "total") != total ||
      amount_of(world, object, "available") != ret_balance->bucket[LEDGER_CLAIMABLE])
    sim_fail(world, "balances were shown that are not the sum of their buckets");
}

void sim_read_view(struct sim_world *world, const json_t *reply, struct hf_view *view)
{
  const json_t *balances = json_object_get(reply, "balances");
  if (id_of(world, reply, "user_id") != view->user)
    sim_fail(world, "balances of another user than was asked for");
  view->version = number_of(world, reply, "version");
  view->as_of_us = time_of(world, reply, "as_of");
  view->assets = rt_alloc(SIM_ASSETS * sizeof *view->assets);
  view->assets_count = SIM_ASSETS;
  for (uint16_t i = 0; i < SIM_ASSETS; i++) {
    char code[8];
    snprintf(code, sizeof code, "A%u", i + 1u);
    view->assets[i].asset = (uint16_t)(i + 1u);
    /* Nothing, of an asset that this node has not heard of yet. */
    if (json_object_get(balances, code) != NULL)
      read_balance(world, json_object_get(balances, code), &view->assets[i].balance);
  }
}

/* ---- entries --------------------------------------------------------------------------------- */

/* By the name that its type has for it, and by no other. Of an op that opens what it names: 0. */
static hf_id ref_of(struct sim_world *world, const json_t *object, unsigned type, hf_id op)
{
  static const char *const names[] = {"hold_id", "block_id", "transfer_id", "reverses"};
  hf_id ref = 0;
  for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
    const bool due = types[type].ref != NULL && strcmp(types[type].ref, names[i]) == 0;
    if (due != (json_object_get(object, names[i]) != NULL))
      wrong(world, names[i]);
    if (due)
      ref = id_of(world, object, names[i]);
  }
  if (types[type].opens && ref != op)
    wrong(world, types[type].ref);
  return types[type].opens ? 0 : ref;
}

void sim_read_entry(struct sim_world *world, const json_t *object, struct ledger_entry *entry)
{
  const char *hash = text_of(world, object, "hash");
  if (!hf_unhex(hash, strlen(hash), entry->hash.bytes, sizeof entry->hash.bytes))
    wrong(world, "hash");
  entry->id = id_of(world, object, "id");
  entry->user = id_of(world, object, "user_id");
  entry->version = number_of(world, object, "version");
  entry->type = type_of(world, object);
  entry->asset = asset_of(world, text_of(world, object, "asset"));
  entry->from = account_of(world, object, "from");
  entry->to = account_of(world, object, "to");
  entry->amount = amount_of(world, object, "amount");
  read_balance(world, json_object_get(object, "balances_after"), &entry->after);
  entry->effective_us = time_of(world, object, "effective_at");
  entry->recorded_us = time_of(world, object, "recorded_at");
  entry->ref = ref_of(world, object, entry->type, id_of(world, object, "op_id"));
  entry->counterparty = optional_id(world, object, "counterparty_user_id");
  if (json_object_get(object, "expires_at") != NULL)
    entry->expires_us = time_of(world, object, "expires_at");
  copy_text(world, object, "label", entry->label, sizeof entry->label);
  copy_text(world, object, "actor", entry->actor, sizeof entry->actor);
  copy_text(world, object, "correlation_id", entry->correlation, sizeof entry->correlation);
  const json_t *metadata = json_object_get(object, "metadata");
  entry->has_metadata = !json_is_null(metadata) || json_object_get(object, "reason") != NULL;
  if (number_of(world, object, "partition") != hf_id_partition(entry->id, world->partition_bits) ||
      number_of(world, object, "seq") != hf_id_serial(entry->id, world->partition_bits))
    sim_fail(world, "entry %llu is said to stand somewhere else", (unsigned long long)entry->id);
}

char *sim_read_metadata(const json_t *entry)
{
  const json_t *metadata = json_object_get(entry, "metadata");
  json_t *reason = json_object_get(entry, "reason"), *both = json_object();
  if (reason != NULL)
    json_object_set(both, "reason", reason);
  if (!json_is_null(metadata))
    json_object_set(both, "metadata", json_object_get(entry, "metadata"));
  char *text = json_object_size(both) == 0 ? NULL : json_dumps(both, JSON_COMPACT);
  json_decref(both);
  return text;
}

static void take_metadata(struct hf_op *op, const json_t *entry)
{
  char *text = sim_read_metadata(entry);
  const size_t size = text == NULL ? 0 : strlen(text);
  rt_free((void *)(uintptr_t)op->metadata.at);
  op->metadata = (struct store_text){NULL, 0};
  if (text != NULL) {
    op->metadata = (struct store_text){memcpy(rt_alloc(size), text, size), size};
    op->replay->metadata = (struct store_text){hf_arena_text(&op->replay->arena, text, size), size};
  }
  free(text);
}

/* What stands beside the entries says what they say. */
static void check_reply(struct sim_world *world, const json_t *reply, const struct hf_op *op)
{
  const struct ledger_entry *first = &op->replay->entries[0];
  const struct ledger_entry *last = first + op->replay->entries_count - 1u;
  const json_t *entries = json_object_get(reply, "entries");
  const json_t *balances = json_object_get(reply, "balances");
  char code[8];
  snprintf(code, sizeof code, "A%u", last->asset);
  const json_t *after =
    json_object_get(json_array_get(entries, op->replay->entries_count - 1u), "balances_after");
  bool same =
    id_of(world, reply, "op_id") == first->id &&
    number_of(world, reply, "version") == last->version && type_of(world, reply) == last->type &&
    json_equal(json_object_get(balances, code), after) && json_object_size(balances) == 1 &&
    ref_of(world, reply, first->type, first->id) == first->ref;
  for (size_t i = 0; i < op->replay->entries_count; i++)
    same = same && id_of(world, json_array_get(entries, i), "op_id") == first->id;
  if (!same)
    sim_fail(world, "the reply with op %llu says other things than its entries",
             (unsigned long long)first->id);
}

void sim_read_op(struct sim_world *world, const json_t *reply, struct hf_op *op)
{
  const struct sim_request *request = op->owner;
  const json_t *entries = json_object_get(reply, "entries");
  const size_t count = json_array_size(entries);
  op->error = HF_OK;
  op->replay = store_op_new();
  if (count == 0 || strcmp(text_of(world, reply, "status"), "applied") != 0) {
    wrong(world, "entries");
    return;
  }
  op->replay->entries = hf_arena_alloc(&op->replay->arena, count * sizeof(struct ledger_entry));
  op->replay->entries_count = count;
  for (size_t i = 0; i < count; i++) {
    struct ledger_entry *entry = &op->replay->entries[i];
    sim_read_entry(world, json_array_get(entries, i), entry);
    entry->key = request->key; /* which nobody is shown */
    entry->op_index = (uint8_t)i;
    entry->op_count = (uint8_t)count;
  }
  take_metadata(op, json_array_get(entries, 0));
  check_reply(world, reply, op);
}

void sim_read_user(struct sim_world *world, const json_t *reply, struct hf_create *create)
{
  create->user = id_of(world, reply, "id");
  create->created_us = time_of(world, reply, "created_at");
  if (strcmp(text_of(world, reply, "external_id"), create->external_id) != 0)
    sim_fail(world, "user %s was made by another name", create->external_id);
}

void sim_read_change(struct sim_world *world, const json_t *reply,
                     const struct hf_catalog_change *change)
{
  bool same;
  if (change->kind == CATALOG_ADD_ASSET)
    same = strcmp(text_of(world, reply, "code"), change->asset.code) == 0 &&
           number_of(world, reply, "scale") == change->asset.scale;
  else
    same = strcmp(text_of(world, reply, "id"), change->key.id) == 0 &&
           time_of(world, reply, "revoked_at") > 0;
  if (!same)
    sim_fail(world, "an asset or key was changed in another way than was asked for");
}

void sim_read_status(struct sim_world *world, const json_t *reply, struct hf_peek *peek)
{
  const char *status = text_of(world, reply, "status");
  const uint8_t asked = peek->status;
  peek->version = number_of(world, reply, "version");
  peek->status = strcmp(status, "open") == 0 ? LEDGER_OPEN : LEDGER_CLOSED;
  if (peek->status != LEDGER_OPEN && strcmp(status, "closed") != 0)
    wrong(world, "status");
  if (id_of(world, reply, "id") != peek->user || peek->status != asked)
    sim_fail(world, "user %llu was given another status than was asked for",
             (unsigned long long)peek->user);
}
