/* frame_answer.c - answers: what the asker may look at when it gets its struct back.
 *
 * An answer is read whole before the first field of the asker's struct is written, so that one
 * which is not sound changes nothing. */
#include "actors/peer/frame_field.h"

/* ---- writing --------------------------------------------------------------------------------- */

static void put_ops(struct hf_bytes *bytes, const struct hf_op *head)
{
  for (const struct hf_op *op = head; op != NULL; op = op->group_next) {
    put_error(bytes, op->error);
    hf_bytes_put_u8(bytes, op->replayed ? 1 : 0);
    put_known(bytes, op);
  }
}

static void put_view(struct hf_bytes *bytes, const struct hf_view *view)
{
  unsigned count = view->error == HF_OK ? view->assets_count : 0;
  CHECK(count <= LEDGER_ASSETS_MAX);
  hf_bytes_put_varint(bytes, view->version);
  put_signed(bytes, view->as_of_us);
  hf_bytes_put_varint(bytes, count);
  for (unsigned i = 0; i < count; i++) {
    hf_bytes_put_varint(bytes, view->assets[i].asset);
    hf_bytes_put_varint(bytes, view->assets[i].version);
    put_balance(bytes, &view->assets[i].balance);
  }
}

static void put_change(struct hf_bytes *bytes, const struct hf_catalog_change *change)
{
  hf_bytes_put_u8(bytes, change->existed ? 1 : 0);
  if (change->kind == CATALOG_ADD_ASSET)
    put_asset(bytes, &change->asset);
  else
    put_key(bytes, &change->key);
}

static void put_create(struct hf_bytes *bytes, const struct hf_create *create)
{
  hf_bytes_put_u8(bytes, create->replayed ? 1 : 0);
  hf_bytes_put_varint(bytes, create->user);
  put_signed(bytes, create->created_us);
}

/* An answer's first field is its error; one of an error alone has nothing behind it. */
void frame_put_answer(uint64_t number, unsigned op, const void *payload, struct hf_bytes *bytes)
{
  CHECK(frame_op(op) != NULL && payload != NULL);
  hf_bytes_put_u8(bytes, FRAME_ANSWER);
  hf_bytes_put_varint(bytes, number);
  put_error(bytes, HF_OK);
  switch ((enum hf_message)frame_op(op)->op) {
  case HF_SUBMIT:
    put_ops(bytes, payload);
    break;
  case HF_BALANCES:
    put_error(bytes, ((const struct hf_view *)payload)->error);
    put_view(bytes, payload);
    break;
  case HF_PEEK:
  case HF_SET_STATUS: {
    const struct hf_peek *peek = payload;
    put_error(bytes, peek->error);
    hf_bytes_put_varint(bytes, peek->status);
    hf_bytes_put_varint(bytes, peek->version);
    break;
  }
  case HF_CREATE:
  case HF_RESERVE:
    put_error(bytes, ((const struct hf_create *)payload)->error);
    put_create(bytes, payload);
    break;
  case HF_ASSET:
    put_error(bytes, ((const struct hf_catalog_change *)payload)->error);
    put_change(bytes, payload);
    break;
  default: /* LEARN: that it is answered is all */
    break;
  }
}

void frame_put_error(uint64_t number, enum hf_error error, struct hf_bytes *bytes)
{
  CHECK(error != HF_OK);
  hf_bytes_put_u8(bytes, FRAME_ANSWER);
  hf_bytes_put_varint(bytes, number);
  put_error(bytes, error);
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool get_bool(struct hf_reader *reader)
{
  return get_up_to(reader, 1) != 0;
}

/* Does what the journal knows fit the op that was asked? */
static bool known_fits(const struct hf_op *op, enum hf_error error, bool replayed,
                       const struct store_op *known)
{
  bool applied = error == HF_OK;
  if (known == NULL)
    return !applied && !replayed;
  if (known->entries_count > 0 && known->entries[0].user != op->user)
    return false;
  if (applied)
    return !known->refused && known->entries_count > 0;
  return replayed;
}

/* The answers of a group, until all are known to be sound. */
struct op_answer {
  enum hf_error error;
  bool replayed;
  struct store_op *known;
};

static bool get_ops(struct hf_reader *reader, unsigned partition_bits, struct hf_op *head)
{
  size_t count = 0, done = 0;
  for (const struct hf_op *op = head; op != NULL; op = op->group_next)
    count++;
  struct op_answer *answers = rt_alloc(count * sizeof *answers);
  for (const struct hf_op *op = head; op != NULL && !reader->failed; op = op->group_next) {
    struct op_answer *answer = &answers[done++];
    answer->error = get_error(reader);
    answer->replayed = get_bool(reader);
    answer->known = get_known(reader, partition_bits);
    if (!known_fits(op, answer->error, answer->replayed, answer->known))
      reader->failed = true;
  }
  bool sound = hf_reader_done(reader) && done == count;
  struct hf_op *op = head;
  for (size_t i = 0; i < done; i++, op = op->group_next) {
    if (!sound) {
      store_op_free(answers[i].known);
      continue;
    }
    op->error = answers[i].error;
    op->replayed = answers[i].replayed;
    store_op_free(op->replay);
    op->replay = answers[i].known;
  }
  rt_free(answers);
  return sound;
}

static bool get_view(struct hf_reader *reader, struct hf_view *view)
{
  struct ledger_asset assets[LEDGER_ASSETS_MAX];
  enum hf_error error = get_error(reader);
  uint64_t version = hf_read_varint(reader);
  int64_t as_of_us = get_signed(reader);
  size_t count = (size_t)get_up_to(reader, LEDGER_ASSETS_MAX);
  memset(assets, 0, count * sizeof *assets);
  for (size_t i = 0; i < count && !reader->failed; i++) {
    assets[i].asset = (uint16_t)get_up_to(reader, UINT16_MAX);
    assets[i].version = hf_read_varint(reader);
    get_balance(reader, &assets[i].balance);
    if (i > 0 && assets[i].asset <= assets[i - 1u].asset)
      reader->failed = true;
  }
  if (!hf_reader_done(reader) || (error != HF_OK && count > 0))
    return false;
  view->error = error;
  view->version = version;
  view->as_of_us = as_of_us;
  view->assets_count = (uint16_t)count;
  if (view->assets != view->inline_assets)
    rt_free(view->assets);
  view->assets = view->inline_assets;
  if (count > sizeof view->inline_assets / sizeof view->inline_assets[0])
    view->assets = rt_alloc(count * sizeof *assets);
  memcpy(view->assets, assets, count * sizeof *assets);
  return true;
}

static bool get_peek(struct hf_reader *reader, struct hf_peek *peek)
{
  enum hf_error error = get_error(reader);
  uint8_t status = (uint8_t)get_up_to(reader, LEDGER_CLOSED);
  uint64_t version = hf_read_varint(reader);
  if (!hf_reader_done(reader))
    return false;
  peek->error = error;
  peek->status = status;
  peek->version = version;
  return true;
}

static bool get_create(struct hf_reader *reader, struct hf_create *create)
{
  enum hf_error error = get_error(reader);
  bool replayed = get_bool(reader);
  hf_id user = get_id(reader);
  int64_t created_us = get_signed(reader);
  if (!hf_reader_done(reader) || (error == HF_OK && user == 0))
    return false;
  create->error = error;
  create->replayed = replayed;
  create->user = user;
  create->created_us = created_us;
  return true;
}

static bool get_change(struct hf_reader *reader, struct hf_catalog_change *change)
{
  enum hf_error error = get_error(reader);
  bool existed = get_bool(reader);
  struct store_asset_row asset = change->asset;
  struct store_key_row key = change->key;
  if (change->kind == CATALOG_ADD_ASSET)
    get_asset(reader, &asset);
  else
    get_key(reader, &key);
  if (!hf_reader_done(reader) || (error == HF_OK && change->kind == CATALOG_ADD_ASSET &&
                                  (asset.id == 0 || strcmp(asset.code, change->asset.code) != 0)))
    return false;
  change->error = error;
  change->existed = existed;
  change->asset = asset;
  change->key = key;
  return true;
}

bool frame_get_answer(const void *bytes, size_t size, unsigned op, unsigned partition_bits,
                      void *payload, enum hf_error *ret_error)
{
  CHECK(frame_op(op) != NULL && payload != NULL);
  struct hf_reader reader = hf_reader_of(bytes, size);
  if (hf_read_u8(&reader) != FRAME_ANSWER)
    return false;
  (void)hf_read_varint(&reader);
  enum hf_error error = get_error(&reader);
  if (reader.failed || (error != HF_OK && !hf_reader_done(&reader)))
    return false;
  bool sound;
  if (error != HF_OK) {
    frame_fail(op, payload, error);
    *ret_error = error;
    return true;
  }
  switch ((enum hf_message)frame_op(op)->op) {
  case HF_SUBMIT:
    sound = get_ops(&reader, partition_bits, payload);
    break;
  case HF_BALANCES:
    sound = get_view(&reader, payload);
    break;
  case HF_PEEK:
  case HF_SET_STATUS:
    sound = get_peek(&reader, payload);
    break;
  case HF_CREATE:
  case HF_RESERVE:
    sound = get_create(&reader, payload);
    break;
  case HF_ASSET:
    sound = get_change(&reader, payload);
    break;
  default:
    sound = hf_reader_done(&reader);
    break;
  }
  if (sound)
    *ret_error = HF_OK;
  return sound;
}
