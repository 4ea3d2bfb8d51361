/* frame.c - what all frames share: their heads, the table of asks, errors. */
#include "actors/peer/frame.h"

#include "actors/peer/frame_field.h"

static const struct frame_op ops[FRAME_OPS_MAX + 1u] = {
#define X(name, number, answer, is_change) [number] = {HF_##name, HF_##answer, is_change},
  FRAME_OPS(X)
#undef X
};

const struct frame_op *frame_op(unsigned number)
{
  return number == 0 || number > FRAME_OPS_MAX ? NULL : &ops[number];
}

unsigned frame_number_of(uint64_t op)
{
  for (unsigned i = 1; i <= FRAME_OPS_MAX; i++)
    if (ops[i].op == op)
      return i;
  return 0;
}

bool frame_peek(const void *bytes, size_t size, enum frame_kind *ret_kind, uint64_t *ret_number)
{
  struct hf_reader reader = hf_reader_of(bytes, size);
  uint8_t kind = hf_read_u8(&reader);
  uint64_t number = hf_read_varint(&reader);
  if (reader.failed || (kind != FRAME_ASK && kind != FRAME_ANSWER))
    return false;
  *ret_kind = (enum frame_kind)kind;
  *ret_number = number;
  return true;
}

void frame_fail(unsigned op, void *payload, enum hf_error error)
{
  CHECK(frame_op(op) != NULL && payload != NULL);
  switch ((enum hf_message)ops[op].op) {
  case HF_SUBMIT:
    for (struct hf_op *each = payload; each != NULL; each = each->group_next)
      each->error = error;
    break;
  case HF_BALANCES:
    ((struct hf_view *)payload)->error = error;
    break;
  case HF_PEEK:
  case HF_SET_STATUS:
    ((struct hf_peek *)payload)->error = error;
    break;
  case HF_CREATE:
  case HF_RESERVE:
    ((struct hf_create *)payload)->error = error;
    break;
  case HF_ASSET:
    ((struct hf_catalog_change *)payload)->error = error;
    break;
  default:
    CHECK(ops[op].op == HF_LEARN);
    break;
  }
}

void frame_payload_free(unsigned op, void *payload)
{
  CHECK(frame_op(op) != NULL);
  if (payload == NULL)
    return;
  switch ((enum hf_message)ops[op].op) {
  case HF_SUBMIT:
    for (struct hf_op *each = payload, *next; each != NULL; each = next) {
      next = each->group_next;
      hf_op_free(each);
    }
    break;
  case HF_BALANCES:
    hf_view_free(payload);
    break;
  case HF_CREATE:
  case HF_RESERVE: /* frame_get_ask gave it a profile of its own */
    rt_free((void *)(uintptr_t)((struct hf_create *)payload)->profile.at);
    rt_free(payload);
    break;
  default:
    rt_free(payload);
    break;
  }
}
