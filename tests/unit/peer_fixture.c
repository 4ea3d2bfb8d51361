#include "peer_fixture.h"

#include <string.h>

#include "holdfast/check.h"
#include "subject.h"

/* splitmix64 */
uint64_t peer_random(struct peer_random *random)
{
  uint64_t x = (random->state += 0x9E3779B97F4A7C15ull);
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return x ^ (x >> 31);
}

static bool chance(struct peer_random *random)
{
  return peer_below(random, 2) == 0;
}

static void bytes_of(struct peer_random *random, uint8_t *at, size_t size)
{
  for (size_t i = 0; i < size; i++)
    at[i] = (uint8_t)peer_random(random);
}

/* 0 .. room - 1 letters; at least one when `some`. */
static void text_of(struct peer_random *random, char *at, size_t room, bool some)
{
  size_t size = peer_below(random, room);
  size = some && size == 0 ? 1 : size;
  memset(at, 0, room);
  for (size_t i = 0; i < size; i++)
    at[i] = (char)('a' + peer_below(random, 26));
}

static struct store_text json_of(struct peer_random *random)
{
  size_t size = peer_below(random, 5) == 0 ? HF_JSON_MAX : 2u + peer_below(random, 90);
  char *at = rt_alloc(size + 1u);
  text_of(random, at, size + 1u, true);
  return (struct store_text){at, strlen(at)};
}

/* Of any magnitude, also all of 128 bits. */
static hf_amount amount_of(struct peer_random *random)
{
  hf_uamount value = (hf_uamount)peer_random(random) << 64 | peer_random(random);
  return (hf_amount)(value >> (1u + peer_below(random, 126)));
}

static hf_id id_of(struct peer_random *random)
{
  return 1u + peer_below(random, HF_ID_MAX >> peer_below(random, 50));
}

static hf_id user_of(struct peer_random *random)
{
  return 1u + peer_below(random, (1ull << 44) - 1u);
}

static int64_t time_of(struct peer_random *random)
{
  return (int64_t)(1u + peer_below(random, 4000000000000000ull));
}

/* ---- asks ------------------------------------------------------------------------------------ */

static void command_of(struct peer_random *random, struct ledger_command *command)
{
  do {
    command->type = (uint8_t)(1u + peer_below(random, LEDGER_TYPE_COUNT - 1u));
  } while (command->type == LEDGER_T_EXPIRE);
  command->bucket = (uint8_t)peer_below(random, LEDGER_BUCKET_COUNT);
  command->final = chance(random);
  command->asset_known = true;
  command->asset_given = chance(random);
  command->amount_given = true;
  command->payee_closed = chance(random);
  command->scale = (uint8_t)peer_below(random, HF_SCALE_MAX + 1u);
  command->asset = (uint16_t)(1u + peer_below(random, HF_ASSETS_MAX));
  command->amount.digits = chance(random) ? amount_of(random) : -amount_of(random);
  command->amount.scale = (uint8_t)peer_below(random, 39);
  command->ref = id_of(random);
  command->counterparty = user_of(random);
  command->timeout_s = (uint32_t)peer_random(random);
  command->effective_us = chance(random) ? -time_of(random) : time_of(random);
  command->if_version = (int64_t)peer_below(random, 1000) - 1;
  bytes_of(random, command->key.bytes, sizeof command->key.bytes);
  bytes_of(random, command->request.bytes, sizeof command->request.bytes);
  text_of(random, command->label, sizeof command->label, false);
  text_of(random, command->actor, sizeof command->actor, false);
  text_of(random, command->correlation, sizeof command->correlation, false);
}

static struct hf_op *make_op(struct peer_random *random, hf_id user)
{
  struct hf_op *op = hf_op_new();
  op->user = user;
  op->has_key = chance(random);
  command_of(random, &op->command);
  text_of(random, op->asset_code, sizeof op->asset_code, true);
  op->command.has_metadata = chance(random);
  if (op->command.has_metadata) {
    op->metadata = json_of(random);
    bytes_of(random, op->salt, sizeof op->salt);
    bytes_of(random, op->command.metadata_hash.bytes, sizeof op->command.metadata_hash.bytes);
  }
  return op;
}

struct hf_op *peer_make_group(struct peer_random *random, unsigned count)
{
  hf_id user = user_of(random);
  struct hf_op *head = NULL;
  for (unsigned i = 0; i < count; i++) {
    struct hf_op *op = make_op(random, user);
    op->group_next = head;
    head = op;
  }
  return head;
}

static void asset_of(struct peer_random *random, struct store_asset_row *asset)
{
  asset->id = (uint16_t)(1u + peer_below(random, HF_ASSETS_MAX));
  asset->scale = (uint8_t)peer_below(random, HF_SCALE_MAX + 1u);
  asset->chain_decimals = (uint8_t)peer_random(random);
  text_of(random, asset->code, sizeof asset->code, true);
  text_of(random, asset->name, sizeof asset->name, false);
  text_of(random, asset->chain, sizeof asset->chain, false);
  text_of(random, asset->contract, sizeof asset->contract, false);
  asset->created_us = time_of(random);
}

static void key_of(struct peer_random *random, struct store_key_row *key)
{
  text_of(random, key->id, sizeof key->id, true);
  bytes_of(random, key->secret.bytes, sizeof key->secret.bytes);
  key->scopes = (uint32_t)peer_random(random);
  key->created_us = time_of(random);
  key->revoked_us = chance(random) ? 0 : time_of(random);
  text_of(random, key->name, sizeof key->name, false);
}

static struct hf_catalog_change *make_change(struct peer_random *random)
{
  struct hf_catalog_change *change = rt_alloc(sizeof *change);
  change->kind = (uint8_t)peer_below(random, CATALOG_REVOKE_KEY + 1u);
  if (change->kind == CATALOG_ADD_ASSET)
    asset_of(random, &change->asset);
  else
    key_of(random, &change->key);
  return change;
}

static struct hf_create *make_create(struct peer_random *random, bool reserve,
                                     unsigned *ret_partition)
{
  struct hf_create *create = rt_alloc(sizeof *create);
  create->has_key = reserve || chance(random);
  create->has_external_id = reserve || chance(random);
  create->existing_ok = chance(random);
  create->kind = (uint8_t)peer_below(random, 2);
  bytes_of(random, create->key.bytes, sizeof create->key.bytes);
  bytes_of(random, create->request.bytes, sizeof create->request.bytes);
  create->created_us = reserve ? time_of(random) : 0;
  if (create->has_external_id)
    text_of(random, create->external_id, sizeof create->external_id, true);
  if (chance(random))
    create->profile = json_of(random);
  struct hf_hash digest = hf_external_id_digest(create->external_id, strlen(create->external_id));
  *ret_partition = (unsigned)peer_below(random, 1u << PEER_BITS);
  if (create->has_key && !reserve)
    *ret_partition = hf_digest_partition(&create->key, PEER_BITS);
  else if (create->has_external_id)
    *ret_partition = hf_digest_partition(&digest, PEER_BITS);
  return create;
}

struct frame_ask peer_make_ask(struct peer_random *random, unsigned op)
{
  struct frame_ask ask = {.number = peer_random(random) >> peer_below(random, 64),
                          .op = op,
                          .left_us = 1u + peer_below(random, 10000000)};
  hf_id user = 0;
  switch ((enum hf_message)frame_op(op)->op) {
  case HF_SUBMIT:
    ask.payload =
      peer_make_group(random, chance(random) ? 1u : 1u + (unsigned)peer_below(random, 9));
    user = ((struct hf_op *)ask.payload)->user;
    break;
  case HF_BALANCES:
    ask.payload = hf_view_new();
    user = ((struct hf_view *)ask.payload)->user = user_of(random);
    break;
  case HF_PEEK:
  case HF_SET_STATUS: {
    struct hf_peek *peek = ask.payload = rt_alloc(sizeof *peek);
    user = peek->user = user_of(random);
    peek->status = frame_op(op)->op == HF_PEEK ? 0 : (uint8_t)peer_below(random, 2);
    break;
  }
  case HF_CREATE:
  case HF_RESERVE:
    ask.payload = make_create(random, frame_op(op)->op == HF_RESERVE, &ask.partition);
    break;
  default:
    ask.payload = make_change(random);
    break;
  }
  if (user != 0)
    ask.partition = hf_id_partition(user, PEER_BITS);
  return ask;
}

static struct store_text copy_text(struct store_text text)
{
  if (text.at == NULL)
    return text;
  char *at = rt_alloc(text.size + 1u);
  memcpy(at, text.at, text.size);
  return (struct store_text){at, text.size};
}

void *peer_copy_ask(const struct frame_ask *ask)
{
  switch ((enum hf_message)frame_op(ask->op)->op) {
  case HF_SUBMIT: {
    struct hf_op *head = NULL, **place = &head;
    for (const struct hf_op *op = ask->payload; op != NULL; op = op->group_next) {
      struct hf_op *copy = *place = hf_op_new();
      copy->user = op->user;
      copy->has_key = op->has_key;
      copy->command = op->command;
      memcpy(copy->asset_code, op->asset_code, sizeof copy->asset_code);
      memcpy(copy->salt, op->salt, sizeof copy->salt);
      copy->metadata = copy_text(op->metadata);
      place = &copy->group_next;
    }
    return head;
  }
  case HF_BALANCES: {
    struct hf_view *view = hf_view_new();
    view->user = ((const struct hf_view *)ask->payload)->user;
    return view;
  }
  case HF_PEEK:
  case HF_SET_STATUS: {
    struct hf_peek *peek = rt_alloc(sizeof *peek);
    *peek = *(const struct hf_peek *)ask->payload;
    return peek;
  }
  case HF_CREATE:
  case HF_RESERVE: {
    struct hf_create *create = rt_alloc(sizeof *create);
    *create = *(const struct hf_create *)ask->payload;
    create->profile = copy_text(create->profile);
    return create;
  }
  default: {
    struct hf_catalog_change *change = rt_alloc(sizeof *change);
    *change = *(const struct hf_catalog_change *)ask->payload;
    return change;
  }
  }
}

/* ---- answers --------------------------------------------------------------------------------- */

static enum hf_error error_of(struct peer_random *random)
{
  return (enum hf_error)(1u + peer_below(random, HF_ERROR_COUNT - 1u));
}

static void balance_of(struct peer_random *random, struct ledger_balance *balance)
{
  for (unsigned i = 0; i < LEDGER_BUCKET_COUNT; i++)
    balance->bucket[i] = amount_of(random);
  balance->claimed_total = amount_of(random);
  balance->spent_total = HF_AMOUNT_MAX;
}

struct ledger_entry peer_make_entry(struct peer_random *random, hf_id user, unsigned index,
                                    unsigned count)
{
  struct ledger_entry entry = {.user = user,
                               .id = hf_id_make(100u + index, 3, PEER_BITS),
                               .version = 1u + index,
                               .type = LEDGER_T_SPEND,
                               .op_index = (uint8_t)index,
                               .op_count = (uint8_t)count,
                               .from = LEDGER_CLAIMABLE,
                               .to = LEDGER_SPEND,
                               .asset = 9,
                               .amount = 1 + amount_of(random),
                               .effective_us = -time_of(random),
                               .recorded_us = time_of(random),
                               .ref = id_of(random),
                               .ref_left = amount_of(random),
                               .expires_us = time_of(random),
                               .has_metadata = chance(random)};
  balance_of(random, &entry.after);
  bytes_of(random, entry.key.bytes, sizeof entry.key.bytes);
  bytes_of(random, entry.request.bytes, sizeof entry.request.bytes);
  bytes_of(random, entry.hash.bytes, sizeof entry.hash.bytes);
  if (entry.has_metadata)
    bytes_of(random, entry.metadata_hash.bytes, sizeof entry.metadata_hash.bytes);
  text_of(random, entry.label, sizeof entry.label, false);
  text_of(random, entry.actor, sizeof entry.actor, false);
  text_of(random, entry.correlation, sizeof entry.correlation, false);
  return entry;
}

static void known_rest(struct peer_random *random, struct store_op *known)
{
  if (chance(random)) {
    struct store_text json = json_of(random);
    known->metadata.at = hf_arena_text(&known->arena, json.at, json.size);
    known->metadata.size = json.size;
    rt_free((void *)(uintptr_t)json.at);
  }
  known->reversals_count = peer_below(random, 4);
  known->reversals = hf_arena_alloc(&known->arena, 4u * sizeof *known->reversals);
  for (size_t i = 0; i < known->reversals_count; i++)
    known->reversals[i] =
      (struct store_reversal_row){id_of(random), id_of(random), amount_of(random)};
  known->has_transfer = chance(random);
  if (known->has_transfer)
    known->transfer = (struct store_transfer_row){.id = id_of(random),
                                                  .payer = id_of(random),
                                                  .payee = id_of(random),
                                                  .asset = 9,
                                                  .state = (uint8_t)peer_below(random, 3),
                                                  .amount = amount_of(random),
                                                  .credit = id_of(random),
                                                  .created_us = time_of(random)};
}

/* As the user actor leaves an op: applied, refused, or known to the journal. */
static void answer_op(struct peer_random *random, struct hf_op *op)
{
  static struct ledger_other others[2] = {{1, 1}, {2, 1}};
  unsigned count = 1u + (unsigned)peer_below(random, LEDGER_OP_ENTRIES_MAX);
  struct ledger_entry *entries;
  op->replayed = chance(random);
  bool refused = chance(random);
  op->error = refused ? error_of(random) : HF_OK;
  if (!op->replayed && refused)
    return;
  if (op->replayed) {
    op->replay = store_op_new();
    op->replay->refused = refused;
    if (refused) {
      op->replay->outcome = (struct store_outcome){.user = op->user,
                                                   .key = op->command.key,
                                                   .request = op->command.request,
                                                   .error = (uint16_t)op->error,
                                                   .type = op->command.type,
                                                   .version = peer_random(random),
                                                   .recorded_us = time_of(random),
                                                   .batch = 77};
      return;
    }
    entries = op->replay->entries =
      hf_arena_alloc(&op->replay->arena, count * sizeof *op->replay->entries);
    op->replay->entries_count = count;
    known_rest(random, op->replay);
  } else {
    entries = op->effects = rt_alloc(count * sizeof *entries);
    op->unit.entries = entries;
    op->unit.entries_count = (uint8_t)count;
  }
  for (unsigned i = 0; i < count; i++) {
    entries[i] = peer_make_entry(random, op->user, i, count);
    entries[i].others = others; /* they do not travel */
    entries[i].others_count = 2;
  }
}

static void answer_view(struct peer_random *random, struct hf_view *view)
{
  view->error = chance(random) ? HF_OK : error_of(random);
  view->version = peer_random(random);
  view->as_of_us = time_of(random);
  view->assets_count = (uint16_t)peer_below(random, LEDGER_ASSETS_MAX + 1u);
  view->assets = rt_alloc((view->assets_count + 1u) * sizeof *view->assets);
  for (unsigned i = 0; i < view->assets_count; i++) {
    view->assets[i].asset = (uint16_t)(3u * i + 1u);
    view->assets[i].version = peer_random(random);
    balance_of(random, &view->assets[i].balance);
  }
}

void peer_make_answer(struct peer_random *random, const struct frame_ask *ask)
{
  switch ((enum hf_message)frame_op(ask->op)->op) {
  case HF_SUBMIT:
    for (struct hf_op *op = ask->payload; op != NULL; op = op->group_next)
      answer_op(random, op);
    break;
  case HF_BALANCES:
    answer_view(random, ask->payload);
    break;
  case HF_PEEK:
  case HF_SET_STATUS: {
    struct hf_peek *peek = ask->payload;
    peek->error = chance(random) ? HF_OK : error_of(random);
    peek->status = (uint8_t)peer_below(random, 2);
    peek->version = peer_random(random);
    break;
  }
  case HF_CREATE:
  case HF_RESERVE: {
    struct hf_create *create = ask->payload;
    create->error = chance(random) ? HF_OK : error_of(random);
    create->replayed = chance(random);
    create->user = id_of(random);
    create->created_us = time_of(random);
    break;
  }
  case HF_ASSET: {
    struct hf_catalog_change *change = ask->payload;
    change->error = chance(random) ? HF_OK : error_of(random);
    change->existed = chance(random);
    change->asset.id = change->kind == CATALOG_ADD_ASSET ? 12 : 0;
    change->asset.created_us = change->kind == CATALOG_ADD_ASSET ? 13 : 0;
    change->key.revoked_us = change->kind == CATALOG_ADD_ASSET ? 0 : 14;
    break;
  }
  default:
    break;
  }
}

/* ---- comparing ------------------------------------------------------------------------------- */

static bool same_text(struct store_text a, struct store_text b)
{
  if (a.at == NULL || b.at == NULL)
    return a.at == b.at && a.size == b.size;
  return a.size == b.size && memcmp(a.at, b.at, a.size) == 0;
}

#define SAME(field) (a->field == b->field)
#define SAME_BYTES(field) (memcmp(&a->field, &b->field, sizeof a->field) == 0)

static bool same_command(const struct ledger_command *a, const struct ledger_command *b)
{
  return SAME(type) && SAME(bucket) && SAME(final) && SAME(asset_known) && SAME(asset_given) &&
         SAME(amount_given) && SAME(payee_closed) && SAME(has_metadata) && SAME(scale) &&
         SAME(asset) && SAME(amount.digits) && SAME(amount.scale) && SAME(ref) &&
         SAME(counterparty) && SAME(timeout_s) && SAME(effective_us) && SAME(if_version) &&
         SAME_BYTES(key) && SAME_BYTES(request) && SAME_BYTES(metadata_hash) && SAME_BYTES(label) &&
         SAME_BYTES(actor) && SAME_BYTES(correlation);
}

static bool same_ops(const struct hf_op *a, const struct hf_op *b)
{
  for (; a != NULL && b != NULL; a = a->group_next, b = b->group_next)
    if (!SAME(user) || !SAME(has_key) || !same_command(&a->command, &b->command) ||
        !SAME_BYTES(asset_code) || !SAME_BYTES(salt) || !same_text(a->metadata, b->metadata))
      return false;
  return a == b;
}

static bool same_asset(const struct store_asset_row *a, const struct store_asset_row *b)
{
  return SAME(id) && SAME(scale) && SAME(chain_decimals) && SAME_BYTES(code) && SAME_BYTES(name) &&
         SAME_BYTES(chain) && SAME_BYTES(contract) && SAME(created_us);
}

static bool same_key(const struct store_key_row *a, const struct store_key_row *b)
{
  return SAME_BYTES(id) && SAME_BYTES(secret) && SAME(scopes) && SAME(created_us) &&
         SAME(revoked_us) && SAME_BYTES(name);
}

static bool same_create(const struct hf_create *a, const struct hf_create *b)
{
  return SAME(has_key) && SAME_BYTES(key) && SAME_BYTES(request) && SAME(kind) &&
         SAME(has_external_id) && SAME_BYTES(external_id) && SAME(existing_ok) &&
         SAME(created_us) && same_text(a->profile, b->profile);
}

static bool same_change(const struct hf_catalog_change *a, const struct hf_catalog_change *b)
{
  return SAME(kind) && same_asset(&a->asset, &b->asset) && same_key(&a->key, &b->key);
}

bool peer_same_ask(const struct frame_ask *a, const struct frame_ask *b)
{
  if (!SAME(number) || !SAME(op) || !SAME(left_us) || !SAME(partition))
    return false;
  switch ((enum hf_message)frame_op(a->op)->op) {
  case HF_SUBMIT:
    return same_ops(a->payload, b->payload);
  case HF_BALANCES:
    return ((struct hf_view *)a->payload)->user == ((struct hf_view *)b->payload)->user;
  case HF_PEEK:
  case HF_SET_STATUS:
    return ((struct hf_peek *)a->payload)->user == ((struct hf_peek *)b->payload)->user &&
           ((struct hf_peek *)a->payload)->status == ((struct hf_peek *)b->payload)->status;
  case HF_CREATE:
  case HF_RESERVE:
    return same_create(a->payload, b->payload);
  default:
    return same_change(a->payload, b->payload);
  }
}

static bool same_entry(const struct ledger_entry *told, const struct ledger_entry *got)
{
  struct ledger_entry a = *told, b = *got;
  if (a.id != b.id || memcmp(&a.hash, &b.hash, sizeof a.hash) != 0)
    return false;
  a.others = NULL;
  a.others_count = 0;
  return b.others_count == 0 && subject_same_entry(&a, &b);
}

static bool same_outcome(const struct store_outcome *a, const struct store_outcome *b)
{
  return SAME(user) && SAME_BYTES(key) && SAME_BYTES(request) && SAME(error) && SAME(type) &&
         SAME(version) && SAME(recorded_us) && SAME(batch);
}

static bool same_transfer(const struct store_transfer_row *a, const struct store_transfer_row *b)
{
  return SAME(id) && SAME(payer) && SAME(payee) && SAME(asset) && SAME(state) && SAME(amount) &&
         SAME(credit) && SAME(created_us);
}

static bool same_known(const struct store_op *a, const struct store_op *b)
{
  if (!SAME(refused) || !SAME(has_transfer) || !SAME(reversals_count) ||
      !same_text(a->metadata, b->metadata) ||
      (a->refused && !same_outcome(&a->outcome, &b->outcome)) ||
      (a->has_transfer && !same_transfer(&a->transfer, &b->transfer)))
    return false;
  for (size_t i = 0; i < a->reversals_count; i++)
    if (!SAME(reversals[i].original) || !SAME(reversals[i].op) || !SAME(reversals[i].amount))
      return false;
  return true;
}

static bool same_op_answer(const struct hf_op *a, const struct hf_op *b)
{
  size_t a_count, b_count;
  const struct ledger_entry *told = hf_op_entries(a, &a_count);
  const struct ledger_entry *got = hf_op_entries(b, &b_count);
  if (!SAME(error) || !SAME(replayed) || a_count != b_count || hf_op_id(a) != hf_op_id(b) ||
      !same_text(hf_op_metadata(a), hf_op_metadata(b)))
    return false;
  for (size_t i = 0; i < a_count; i++)
    if (!same_entry(&told[i], &got[i]))
      return false;
  return a->replay == NULL || same_known(a->replay, b->replay);
}

static bool same_view(const struct hf_view *a, const struct hf_view *b)
{
  if (!SAME(error) || !SAME(version) || !SAME(as_of_us))
    return false;
  if (a->error != HF_OK)
    return b->assets_count == 0;
  return SAME(assets_count) &&
         memcmp(a->assets, b->assets, a->assets_count * sizeof *a->assets) == 0;
}

bool peer_same_answer(unsigned op, const void *told, const void *got)
{
  switch ((enum hf_message)frame_op(op)->op) {
  case HF_SUBMIT: {
    const struct hf_op *a = told, *b = got;
    for (; a != NULL && b != NULL; a = a->group_next, b = b->group_next)
      if (!same_op_answer(a, b))
        return false;
    return a == NULL && b == NULL;
  }
  case HF_BALANCES:
    return same_view(told, got);
  case HF_PEEK:
  case HF_SET_STATUS: {
    const struct hf_peek *a = told, *b = got;
    return SAME(error) && SAME(status) && SAME(version);
  }
  case HF_CREATE:
  case HF_RESERVE: {
    const struct hf_create *a = told, *b = got;
    return SAME(error) && SAME(replayed) && SAME(user) && SAME(created_us);
  }
  case HF_ASSET: {
    const struct hf_catalog_change *a = told, *b = got;
    return SAME(error) && SAME(existed) && same_change(a, b);
  }
  default:
    return true;
  }
}
