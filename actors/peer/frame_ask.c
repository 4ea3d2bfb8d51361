/* frame_ask.c - asks: what the asked actor needs of each struct, and what makes it impossible. */
#include "actors/peer/frame_field.h"

#define LEFT_US_MAX (24u * 3600u * 1000000ull)
#define USER_SERIAL_BITS 44u /* as the front door and the smallest store have it */
_Static_assert(USER_SERIAL_BITS <= RT_SERIAL_BITS, "a user's serial is its actor's");

/* ---- an op ----------------------------------------------------------------------------------- */

enum {
  OP_KEY = 1,
  OP_FINAL = 2,
  OP_ASSET_KNOWN = 4,
  OP_ASSET_GIVEN = 8,
  OP_AMOUNT = 16,
  OP_PAYEE_CLOSED = 32,
  OP_METADATA = 64,
  OP_ALL = 127
};

static void put_op(struct hf_bytes *bytes, const struct hf_op *op)
{
  const struct ledger_command *command = &op->command;
  unsigned marks =
    (op->has_key ? OP_KEY : 0u) | (command->final ? OP_FINAL : 0u) |
    (command->asset_known ? OP_ASSET_KNOWN : 0u) | (command->asset_given ? OP_ASSET_GIVEN : 0u) |
    (command->amount_given ? OP_AMOUNT : 0u) | (command->payee_closed ? OP_PAYEE_CLOSED : 0u) |
    (command->has_metadata ? OP_METADATA : 0u);
  hf_bytes_put_u8(bytes, (uint8_t)marks);
  hf_bytes_put_varint(bytes, op->user);
  hf_bytes_put_u8(bytes, command->type);
  hf_bytes_put_u8(bytes, command->bucket);
  hf_bytes_put_u8(bytes, command->scale);
  hf_bytes_put_varint(bytes, command->asset);
  hf_bytes_put_amount(bytes, command->amount.digits);
  hf_bytes_put_u8(bytes, command->amount.scale);
  hf_bytes_put_varint(bytes, command->ref);
  hf_bytes_put_varint(bytes, command->counterparty);
  hf_bytes_put_varint(bytes, command->timeout_s);
  put_signed(bytes, command->effective_us);
  put_signed(bytes, command->if_version);
  hf_bytes_put(bytes, command->key.bytes, sizeof command->key.bytes);
  hf_bytes_put(bytes, command->request.bytes, sizeof command->request.bytes);
  put_text(bytes, op->asset_code, sizeof op->asset_code);
  put_text(bytes, command->label, sizeof command->label);
  put_text(bytes, command->actor, sizeof command->actor);
  put_text(bytes, command->correlation, sizeof command->correlation);
  if (!command->has_metadata)
    return;
  hf_bytes_put(bytes, command->metadata_hash.bytes, sizeof command->metadata_hash.bytes);
  hf_bytes_put(bytes, op->salt, sizeof op->salt);
  put_json(bytes, op->metadata);
}

static hf_id get_user(struct hf_reader *reader, unsigned partition_bits)
{
  hf_id user = get_id(reader);
  if (hf_id_serial(user, partition_bits) >> USER_SERIAL_BITS != 0)
    reader->failed = true;
  return user;
}

static void get_command(struct hf_reader *reader, unsigned partition_bits, unsigned marks,
                        struct hf_op *op)
{
  struct ledger_command *command = &op->command;
  command->final = (marks & OP_FINAL) != 0;
  command->asset_known = (marks & OP_ASSET_KNOWN) != 0;
  command->asset_given = (marks & OP_ASSET_GIVEN) != 0;
  command->amount_given = (marks & OP_AMOUNT) != 0;
  command->payee_closed = (marks & OP_PAYEE_CLOSED) != 0;
  command->has_metadata = (marks & OP_METADATA) != 0;
  command->type = hf_read_u8(reader);
  command->bucket = hf_read_u8(reader);
  command->scale = hf_read_u8(reader);
  command->asset = (uint16_t)get_up_to(reader, HF_ASSETS_MAX);
  command->amount.digits = hf_read_amount(reader);
  command->amount.scale = hf_read_u8(reader);
  command->ref = get_id(reader);
  command->counterparty = get_user(reader, partition_bits);
  command->timeout_s = (uint32_t)get_up_to(reader, UINT32_MAX);
  command->effective_us = get_signed(reader);
  command->if_version = get_signed(reader);
  hf_read(reader, command->key.bytes, sizeof command->key.bytes);
  hf_read(reader, command->request.bytes, sizeof command->request.bytes);
  get_text(reader, op->asset_code, sizeof op->asset_code);
  get_text(reader, command->label, sizeof command->label);
  get_text(reader, command->actor, sizeof command->actor);
  get_text(reader, command->correlation, sizeof command->correlation);
}

static void get_metadata(struct hf_reader *reader, struct hf_op *op)
{
  hf_read(reader, op->command.metadata_hash.bytes, sizeof op->command.metadata_hash.bytes);
  hf_read(reader, op->salt, sizeof op->salt);
  struct store_text json = get_json(reader);
  if (reader->failed)
    return;
  char *own = rt_alloc(json.size + 1u);
  if (json.size > 0)
    memcpy(own, json.at, json.size);
  op->metadata = (struct store_text){own, json.size};
}

/* What the ledger CHECKs, because the front door sees to it: it must hold here as well. */
static bool op_is_sound(const struct hf_op *op)
{
  const struct ledger_command *command = &op->command;
  bool named = op->asset_code[0] != '\0' || (command->asset_known && command->asset != 0);
  bool whole = false; /* without an amount it is all of what it refers to */
  if (op->user == 0 || command->bucket >= LEDGER_BUCKET_COUNT || command->scale > HF_SCALE_MAX ||
      command->amount.scale > 38u || command->if_version < -1)
    return false;
  switch ((enum ledger_type)command->type) {
  case LEDGER_T_CAPTURE:
  case LEDGER_T_VOID:
  case LEDGER_T_UNBLOCK:
  case LEDGER_T_REVERSE:
    if (command->ref == 0)
      return false;
    whole = true;
    break;
  case LEDGER_T_TRANSFER:
    if (command->counterparty == 0)
      return false;
    break;
  case LEDGER_T_CREDIT:
  case LEDGER_T_BOUNCE:
    if (command->ref == 0 || command->counterparty == 0)
      return false;
    break;
  case LEDGER_T_EXPIRE: /* only the user's own actor does that */
    return false;
  default:
    if (ledger_type_text(command->type) == NULL)
      return false;
    break;
  }
  return whole || (named && command->amount_given);
}

static struct hf_op *get_op(struct hf_reader *reader, unsigned partition_bits)
{
  unsigned marks = hf_read_u8(reader);
  if (marks > OP_ALL)
    reader->failed = true;
  if (reader->failed)
    return NULL;
  struct hf_op *op = hf_op_new();
  op->has_key = (marks & OP_KEY) != 0;
  op->user = get_user(reader, partition_bits);
  get_command(reader, partition_bits, marks, op);
  if (op->command.has_metadata)
    get_metadata(reader, op);
  if (!op_is_sound(op))
    reader->failed = true;
  if (!reader->failed)
    return op;
  hf_op_free(op);
  return NULL;
}

static void put_group(struct hf_bytes *bytes, const struct hf_op *head)
{
  uint64_t count = 0;
  for (const struct hf_op *op = head; op != NULL; op = op->group_next)
    count++;
  CHECK(count <= HF_GROUP_MAX);
  hf_bytes_put_varint(bytes, count);
  for (const struct hf_op *op = head; op != NULL; op = op->group_next)
    put_op(bytes, op);
}

static struct hf_op *get_group(struct hf_reader *reader, unsigned partition_bits)
{
  uint64_t count = get_up_to(reader, HF_GROUP_MAX);
  struct hf_op *head = NULL, **place = &head;
  if (count == 0)
    reader->failed = true;
  for (uint64_t i = 0; i < count && !reader->failed; i++) {
    *place = get_op(reader, partition_bits);
    if (*place != NULL)
      place = &(*place)->group_next;
  }
  return head;
}

/* ---- the others ------------------------------------------------------------------------------ */

enum {
  CREATE_KEY = 1,
  CREATE_EXTERNAL_ID = 2,
  CREATE_EXISTING = 4,
  CREATE_PROFILE = 8,
  CREATE_ALL = 15
};

static void put_create(struct hf_bytes *bytes, const struct hf_create *create)
{
  unsigned marks = (create->has_key ? CREATE_KEY : 0u) |
                   (create->has_external_id ? CREATE_EXTERNAL_ID : 0u) |
                   (create->existing_ok ? CREATE_EXISTING : 0u) |
                   (create->profile.at != NULL ? CREATE_PROFILE : 0u);
  hf_bytes_put_u8(bytes, (uint8_t)marks);
  hf_bytes_put_u8(bytes, create->kind);
  hf_bytes_put(bytes, create->key.bytes, sizeof create->key.bytes);
  hf_bytes_put(bytes, create->request.bytes, sizeof create->request.bytes);
  put_signed(bytes, create->created_us);
  if (create->has_external_id)
    put_text(bytes, create->external_id, sizeof create->external_id);
  if (create->profile.at != NULL)
    put_json(bytes, create->profile);
}

/* The names actor makes what has a home here, and CHECKs that something has. */
static bool create_is_sound(const struct hf_create *create, const struct frame_ask *ask,
                            unsigned partition_bits)
{
  struct hf_hash digest = hf_external_id_digest(create->external_id, strlen(create->external_id));
  bool id_is_there =
    create->has_external_id && hf_digest_partition(&digest, partition_bits) == ask->partition;
  bool key_is_there =
    create->has_key && hf_digest_partition(&create->key, partition_bits) == ask->partition;
  if (create->kind > HF_USER_REGISTERED || (create->has_external_id && create->external_id[0] == 0))
    return false;
  if (frame_op(ask->op)->op == HF_RESERVE)
    return create->has_key && id_is_there;
  if (create->has_key)
    return key_is_there;
  return !create->has_external_id || id_is_there;
}

static struct hf_create *get_create(struct hf_reader *reader, const struct frame_ask *ask,
                                    unsigned partition_bits)
{
  struct hf_create *create = rt_alloc(sizeof *create);
  unsigned marks = hf_read_u8(reader);
  create->has_key = (marks & CREATE_KEY) != 0;
  create->has_external_id = (marks & CREATE_EXTERNAL_ID) != 0;
  create->existing_ok = (marks & CREATE_EXISTING) != 0;
  create->kind = hf_read_u8(reader);
  hf_read(reader, create->key.bytes, sizeof create->key.bytes);
  hf_read(reader, create->request.bytes, sizeof create->request.bytes);
  create->created_us = get_signed(reader);
  if (create->has_external_id)
    get_text(reader, create->external_id, sizeof create->external_id);
  struct store_text profile = {NULL, 0};
  if ((marks & CREATE_PROFILE) != 0)
    profile = get_json(reader);
  if (marks > CREATE_ALL || create->created_us < 0 || !create_is_sound(create, ask, partition_bits))
    reader->failed = true;
  if (reader->failed || profile.at == NULL)
    return create;
  char *own = rt_alloc(profile.size + 1u);
  if (profile.size > 0)
    memcpy(own, profile.at, profile.size);
  create->profile = (struct store_text){own, profile.size};
  return create;
}

static struct hf_catalog_change *get_change(struct hf_reader *reader)
{
  struct hf_catalog_change *change = rt_alloc(sizeof *change);
  change->kind = (uint8_t)get_up_to(reader, CATALOG_REVOKE_KEY);
  if (change->kind == CATALOG_ADD_ASSET)
    get_asset(reader, &change->asset);
  else
    get_key(reader, &change->key);
  bool named =
    change->kind == CATALOG_ADD_ASSET ? change->asset.code[0] != '\0' : change->key.id[0] != '\0';
  if (!named)
    reader->failed = true;
  return change;
}

static struct hf_peek *get_peek(struct hf_reader *reader, bool change, unsigned partition_bits)
{
  struct hf_peek *peek = rt_alloc(sizeof *peek);
  peek->user = get_user(reader, partition_bits);
  peek->status = (uint8_t)get_up_to(reader, change ? LEDGER_CLOSED : LEDGER_OPEN);
  if (peek->user == 0)
    reader->failed = true;
  return peek;
}

static struct hf_view *get_view(struct hf_reader *reader, unsigned partition_bits)
{
  struct hf_view *view = hf_view_new();
  view->user = get_user(reader, partition_bits);
  if (view->user == 0)
    reader->failed = true;
  return view;
}

/* ---- frames ---------------------------------------------------------------------------------- */

static void put_payload(struct hf_bytes *bytes, const struct frame_ask *ask)
{
  switch ((enum hf_message)frame_op(ask->op)->op) {
  case HF_SUBMIT:
    put_group(bytes, ask->payload);
    break;
  case HF_BALANCES:
    hf_bytes_put_varint(bytes, ((const struct hf_view *)ask->payload)->user);
    break;
  case HF_PEEK:
  case HF_SET_STATUS: {
    const struct hf_peek *peek = ask->payload;
    bool change = frame_op(ask->op)->op == HF_SET_STATUS;
    hf_bytes_put_varint(bytes, peek->user);
    hf_bytes_put_varint(bytes, change ? peek->status : LEDGER_OPEN);
    break;
  }
  case HF_CREATE:
  case HF_RESERVE:
    put_create(bytes, ask->payload);
    break;
  default: {
    const struct hf_catalog_change *change = ask->payload;
    hf_bytes_put_varint(bytes, change->kind);
    if (change->kind == CATALOG_ADD_ASSET)
      put_asset(bytes, &change->asset);
    else
      put_key(bytes, &change->key);
    break;
  }
  }
}

void frame_put_ask(const struct frame_ask *ask, struct hf_bytes *bytes)
{
  CHECK(frame_op(ask->op) != NULL && ask->payload != NULL);
  CHECK(ask->partition < 1u << HF_PARTITION_BITS_MAX);
  hf_bytes_put_u8(bytes, FRAME_ASK);
  hf_bytes_put_varint(bytes, ask->number);
  hf_bytes_put_u8(bytes, (uint8_t)ask->op);
  hf_bytes_put_varint(bytes, ask->left_us < LEFT_US_MAX ? ask->left_us : LEFT_US_MAX);
  hf_bytes_put_varint(bytes, ask->partition);
  put_payload(bytes, ask);
}

static void *get_payload(struct hf_reader *reader, const struct frame_ask *ask,
                         unsigned partition_bits, hf_id *ret_user)
{
  void *payload;
  switch ((enum hf_message)frame_op(ask->op)->op) {
  case HF_SUBMIT:
    payload = get_group(reader, partition_bits);
    *ret_user = payload == NULL ? 0 : ((struct hf_op *)payload)->user;
    return payload;
  case HF_BALANCES:
    payload = get_view(reader, partition_bits);
    *ret_user = ((struct hf_view *)payload)->user;
    return payload;
  case HF_PEEK:
  case HF_SET_STATUS:
    payload = get_peek(reader, frame_op(ask->op)->op == HF_SET_STATUS, partition_bits);
    *ret_user = ((struct hf_peek *)payload)->user;
    return payload;
  case HF_CREATE:
  case HF_RESERVE:
    return get_create(reader, ask, partition_bits);
  default:
    if (ask->partition != 0)
      reader->failed = true;
    return get_change(reader);
  }
}

bool frame_get_ask(const void *bytes, size_t size, unsigned partition_bits,
                   struct frame_ask *ret_ask)
{
  CHECK(partition_bits <= HF_PARTITION_BITS_MAX);
  struct hf_reader reader = hf_reader_of(bytes, size);
  struct frame_ask ask = {0};
  hf_id user = 0;
  if (hf_read_u8(&reader) != FRAME_ASK)
    return false;
  ask.number = hf_read_varint(&reader);
  ask.op = hf_read_u8(&reader);
  ask.left_us = get_up_to(&reader, LEFT_US_MAX);
  ask.partition = (unsigned)get_up_to(&reader, (1u << partition_bits) - 1u);
  if (reader.failed || frame_op(ask.op) == NULL)
    return false;
  ask.payload = get_payload(&reader, &ask, partition_bits, &user);
  if (user != 0 && hf_id_partition(user, partition_bits) != ask.partition)
    reader.failed = true;
  if (!hf_reader_done(&reader)) {
    frame_payload_free(ask.op, ask.payload);
    return false;
  }
  *ret_ask = ask;
  return true;
}
