/* What clients ask the front door instead of the actors: the same questions, as HTTP. An answer is
 * put into what was asked, and goes the way that an actor's goes. Ops that are asked in one turn
 * may travel as one batch; its members are answered each for itself. */
#include <string.h>

#include <jansson.h>

#include "holdfast/bytes.h"
#include "holdfast/check.h"
#include "holdfast/hash.h"
#include "tests/sim/sim.h"

#define ITEMS_MAX 6u
#define PAD 12000u
#define PADDED 100u  /* per thousand batches */
#define HURRIED 500u /* per thousand asks: the server gets as little time as an actor would */
/* An amount as text has 38 digits at the most: what is larger can be asked of actors only. */
#define DIGITS_MAX ((sim_amount)((sim_uamount)10000000000000000000u * 10000000000000000000u - 1u))

struct sim_asking {
  struct sim_call *call;
  struct sim_asking *next; /* in the world's list */
  uint16_t op;             /* HF_SUBMIT ... */
  bool batch;
  unsigned count;
  void *asked[ITEMS_MAX]; /* of a batch that is not atomic all, else one: the client's own */
};

/* ---- answers --------------------------------------------------------------------------------- */

static void asking_end(struct sim_asking *asking)
{
  struct sim_asking **link = &asking->call->world->askings;
  while (*link != asking)
    link = &(*link)->next;
  *link = asking->next;
  rt_free(asking);
}

static void op_fail(struct hf_op *op, enum hf_error error)
{
  for (; op != NULL; op = op->group_next)
    op->error = error;
}

/* A reply that says no says when to come again, if that is of any use. */
static void check_problem(struct sim_world *world, const struct sim_reply *reply)
{
  const struct hf_error_info *info = hf_error_info(reply->error);
  if (info->retryable != (reply->retry_after_s > 0))
    sim_fail(world, "%s was answered %s when to come again", info->code,
             info->retryable ? "without" : "with");
}

/* What is remembered with the key: all that is no use to try again, but a conflict with that. */
static bool is_refusal(enum hf_error error)
{
  return !hf_error_info(error)->retryable && error != HF_E_IDEMPOTENCY_CONFLICT;
}

static void read_item(struct sim_world *world, const json_t *item, struct hf_op *op)
{
  const char *status = json_string_value(json_object_get(item, "status"));
  const char *code = json_string_value(json_object_get(item, "code"));
  op->replayed = json_is_true(json_object_get(item, "replayed"));
  if (code == NULL) {
    sim_read_op(world, item, op);
    return;
  }
  op->error = hf_error_by_code(code);
  const bool refused = status != NULL && strcmp(status, "refused") == 0;
  const bool again = json_object_get(item, "retry_after") != NULL;
  if (op->error == HF_OK || refused != is_refusal(op->error) ||
      again != hf_error_info(op->error)->retryable)
    sim_fail(world, "an item of a batch was %s with %s", status == NULL ? "" : status, code);
}

static size_t items_of(const struct sim_asking *asking)
{
  size_t count = 0;
  for (unsigned i = 0; i < asking->count; i++)
    for (const struct hf_op *op = asking->asked[i]; op != NULL; op = op->group_next)
      count++;
  return count;
}

/* Each item is answered in its place: those of an atomic batch are one group. */
static void read_batch(struct sim_world *world, const json_t *reply,
                       const struct sim_asking *asking)
{
  const json_t *results = json_object_get(reply, "results");
  size_t at = 0;
  if (json_array_size(results) != items_of(asking))
    sim_fail(world, "a batch of %zu was answered for %zu", items_of(asking),
             json_array_size(results));
  for (unsigned i = 0; i < asking->count; i++)
    for (struct hf_op *op = asking->asked[i]; op != NULL; op = op->group_next, at++) {
      const json_t *item = json_array_get(results, at);
      if (json_integer_value(json_object_get(item, "index")) != (json_int_t)at)
        sim_fail(world, "an item of a batch was answered in the place of another");
      read_item(world, item, op);
    }
}

/* Two replies that say the same op is applied have the same bytes. */
static void check_bytes(struct sim_world *world, const struct sim_reply *reply,
                        const struct hf_op *op)
{
  struct sim_request *request = op->owner;
  const struct hf_digest digest = hf_digest(reply->body.at, reply->body.size);
  if (!request->has_words)
    request->words = digest;
  else if (!hf_digest_equal(&request->words, &digest))
    sim_fail(world, "request %u was answered in other words than before", request->number);
  request->has_words = true;
}

static void read_reply(struct sim_world *world, const json_t *json, const struct sim_asking *asking)
{
  const struct sim_reply *reply = &asking->call->reply;
  if (asking->batch) {
    read_batch(world, json, asking);
  } else if (asking->op == HF_SUBMIT) {
    struct hf_op *op = asking->asked[0];
    op->replayed = reply->replayed;
    sim_read_op(world, json, op);
    check_bytes(world, reply, op);
  } else if (asking->op == HF_BALANCES) {
    sim_read_view(world, json, asking->asked[0]);
  } else if (asking->op == HF_SET_STATUS) {
    sim_read_status(world, json, asking->asked[0]);
  } else if (asking->op == HF_ASSET) {
    sim_read_change(world, json, asking->asked[0]);
  } else {
    sim_read_user(world, json, asking->asked[0]);
  }
}

static void fail_all(const struct sim_asking *asking, const struct sim_reply *reply,
                     enum hf_error error)
{
  for (unsigned i = 0; i < asking->count; i++) {
    if (asking->op == HF_SUBMIT) {
      op_fail(asking->asked[i], error);
      ((struct hf_op *)asking->asked[i])->replayed = reply->replayed;
    } else if (asking->op == HF_BALANCES) {
      ((struct hf_view *)asking->asked[i])->error = error;
    } else if (asking->op == HF_SET_STATUS) {
      ((struct hf_peek *)asking->asked[i])->error = error;
    } else if (asking->op == HF_ASSET) {
      ((struct hf_catalog_change *)asking->asked[i])->error = error;
    } else {
      ((struct hf_create *)asking->asked[i])->error = error;
    }
  }
}

static void take_reply(struct sim_world *world, const struct sim_asking *asking)
{
  const struct sim_reply *reply = &asking->call->reply;
  if (reply->status == 0) {
    fail_all(asking, reply, HF_E_UNKNOWN_OUTCOME);
    return;
  }
  if (reply->error != HF_OK) {
    check_problem(world, reply);
    fail_all(asking, reply, reply->error);
    return;
  }
  json_t *json =
    json_loadb((const char *)reply->body.at, reply->body.size, JSON_REJECT_DUPLICATES, NULL);
  if (json == NULL || reply->status < 200 || reply->status > 299)
    sim_fail(world, "a reply of status %u has no object", reply->status);
  read_reply(world, json, asking);
  json_decref(json);
}

static uint16_t answer_of(uint16_t op)
{
  switch (op) {
  case HF_SUBMIT:
    return HF_DONE;
  case HF_BALANCES:
    return HF_BALANCES_DONE;
  case HF_SET_STATUS:
    return HF_PEEK_DONE;
  case HF_ASSET:
    return HF_ASSET_DONE;
  default:
    CHECK(op == HF_CREATE);
    return HF_CREATE_DONE;
  }
}

static void told(struct sim_call *call)
{
  struct sim_asking asking = *(struct sim_asking *)call->owner;
  asking_end(call->owner);
  take_reply(call->world, &asking);
  for (unsigned i = 0; i < asking.count; i++)
    sim_client_told(call->node, answer_of(asking.op), asking.asked[i]);
}

/* ---- questions ------------------------------------------------------------------------------- */

static struct sim_asking *asking_new(struct sim_node *node, uint16_t op, void *asked,
                                     uint64_t left_us)
{
  struct sim_world *world = node->world;
  struct sim_asking *asking = rt_alloc(sizeof *asking);
  asking->call = sim_door_call(node);
  asking->call->owner = asking;
  asking->call->told = told;
  if (left_us != 0 && sim_chance(world, HURRIED))
    asking->call->timeout_us = left_us;
  asking->op = op;
  asking->asked[asking->count++] = asked;
  asking->next = world->askings;
  world->askings = asking;
  return asking;
}

static void send_one(struct sim_asking *asking, const struct hf_op *op)
{
  struct hf_bytes body = {0};
  char key[SIM_TEXT_MAX], fields[SIM_TEXT_MAX + 32u];
  sim_key_text(op->owner, key);
  snprintf(fields, sizeof fields, "Idempotency-Key: %s\r\n", key);
  sim_body_put(&body, op, NULL);
  sim_door_send(asking->call, "POST /v1/ops", fields, body.at, body.size);
  hf_bytes_deinit(&body);
}

static void body_pad(struct hf_bytes *body)
{
  static const char blank[] = "                ";
  while (body->size < PAD)
    hf_bytes_put(body, blank, sizeof blank - 1u);
}

static void send_batch(struct sim_asking *asking, bool atomic)
{
  struct hf_bytes body = {0};
  char key[SIM_TEXT_MAX];
  const char *comma = "{\"ops\":[";
  asking->batch = true;
  if (sim_chance(asking->call->world, PADDED)) /* so large that who asks is looked at first */
    body_pad(&body);
  for (unsigned i = 0; i < asking->count; i++)
    for (const struct hf_op *op = asking->asked[i]; op != NULL; op = op->group_next) {
      hf_bytes_put(&body, comma, strlen(comma));
      sim_key_text(op->owner, key);
      sim_body_put(&body, op, key);
      comma = ",";
    }
  const char *end = atomic ? "],\"atomic\":true}" : "]}";
  hf_bytes_put(&body, end, strlen(end));
  sim_door_send(asking->call, "POST /v1/ops/batch", "", body.at, body.size);
  hf_bytes_deinit(&body);
}

/* What was gathered goes; a single op of its own may be a batch too. */
void sim_ask_flush(struct sim_world *world)
{
  struct sim_asking *asking = world->gathered;
  world->gathered = NULL;
  if (asking != NULL)
    send_batch(asking, false);
}

static void ask_op(struct sim_node *node, struct hf_op *op, uint64_t left_us)
{
  struct sim_world *world = node->world;
  struct sim_asking *asking = world->gathered;
  if (op->group_next != NULL) {
    send_batch(asking_new(node, HF_SUBMIT, op, left_us), true);
  } else if (asking != NULL && sim_chance(world, 700)) {
    asking->asked[asking->count++] = op;
    if (asking->count == ITEMS_MAX)
      sim_ask_flush(world);
  } else if (asking == NULL && sim_chance(world, 300)) {
    world->gathered = asking_new(node, HF_SUBMIT, op, left_us);
  } else {
    send_one(asking_new(node, HF_SUBMIT, op, left_us), op);
  }
}

static void ask_view(struct sim_node *node, struct hf_view *view)
{
  char line[96];
  snprintf(line, sizeof line, "GET /v1/users/%llu/balances", (unsigned long long)view->user);
  sim_door_send(asking_new(node, HF_BALANCES, view, 0)->call, line, "", NULL, 0);
}

static void ask_status(struct sim_node *node, struct hf_peek *peek, uint64_t left_us)
{
  char line[96], body[48];
  snprintf(line, sizeof line, "POST /v1/users/%llu/status", (unsigned long long)peek->user);
  int size = snprintf(body, sizeof body, "{\"status\":\"%s\"}",
                      peek->status == LEDGER_OPEN ? "open" : "closed");
  sim_door_send(asking_new(node, HF_SET_STATUS, peek, left_us)->call, line, "", body, (size_t)size);
}

static void ask_create(struct sim_node *node, struct hf_create *create)
{
  char fields[2u * SIM_TEXT_MAX], key[SIM_TEXT_MAX], body[SIM_TEXT_MAX];
  sim_maker_key(create->owner, key);
  snprintf(fields, sizeof fields, "Idempotency-Key: \"%s\"\r\n", key);
  int size = snprintf(body, sizeof body, "{\"kind\":\"%s\",\"external_id\":\"%s\"}",
                      create->kind == HF_USER_GUEST ? "guest" : "registered", create->external_id);
  sim_door_send(asking_new(node, HF_CREATE, create, 0)->call, "POST /v1/users", fields, body,
                (size_t)size);
}

static void ask_asset(struct sim_node *node, struct hf_catalog_change *change)
{
  char body[SIM_TEXT_MAX];
  int size = snprintf(body, sizeof body, "{\"code\":\"%s\",\"scale\":%u}", change->asset.code,
                      change->asset.scale);
  sim_door_send(asking_new(node, HF_ASSET, change, 0)->call, "POST /v1/assets", "", body,
                (size_t)size);
}

static void ask_revoke(struct sim_node *node, struct hf_catalog_change *change)
{
  char line[SIM_TEXT_MAX];
  snprintf(line, sizeof line, "DELETE /v1/admin/keys/%s", change->key.id);
  sim_door_send(asking_new(node, HF_ASSET, change, 0)->call, line, "", NULL, 0);
}

/* The secret of a key that is made is the server's choice; those of the simulator are its own. */
static bool is_key_made(uint16_t op, const void *asked)
{
  return op == HF_ASSET && ((const struct hf_catalog_change *)asked)->kind == CATALOG_ADD_KEY;
}

static bool is_sayable(const struct hf_op *op)
{
  for (; op != NULL; op = op->group_next)
    if (op->command.amount.digits > DIGITS_MAX || op->command.amount.digits < -DIGITS_MAX)
      return false;
  return true;
}

bool sim_ask_door(struct sim_node *node, uint16_t op, void *asked, uint64_t left_us)
{
  struct sim_world *world = node->world;
  if (op == HF_PEEK || is_key_made(op, asked) || !sim_chance(world, world->doors))
    return false;
  if (op == HF_SUBMIT && !is_sayable(asked))
    return false;
  if (op == HF_SUBMIT)
    ask_op(node, asked, left_us);
  else if (op == HF_BALANCES)
    ask_view(node, asked);
  else if (op == HF_SET_STATUS)
    ask_status(node, asked, left_us);
  else if (op == HF_ASSET && ((struct hf_catalog_change *)asked)->kind == CATALOG_ADD_ASSET)
    ask_asset(node, asked);
  else if (op == HF_ASSET)
    ask_revoke(node, asked);
  else
    ask_create(node, asked);
  return true;
}

bool sim_ask_is_out(const struct sim_world *world, const void *asked)
{
  for (const struct sim_asking *asking = world->askings; asking != NULL; asking = asking->next)
    for (unsigned i = 0; i < asking->count; i++)
      if (asking->asked[i] == asked)
        return true;
  return false;
}
