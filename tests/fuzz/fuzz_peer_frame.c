/* fuzz_peer_frame.c - libFuzzer target: frames between nodes, of arbitrary bytes.
 *
 * Input: a byte that chooses an op; then the frame. Properties: no access outside the frame
 * (sanitizers) and nothing left allocated; an ask that is read encodes to the same bytes; an answer
 * fills what was asked wholly or not at all, and what it filled can be shown. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "actors/peer/frame.h"
#include "actors/user/op.h"
#include "holdfast/check.h"

#define BITS 4u
#define USER 1000003u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_ask(const uint8_t *bytes, size_t size)
{
  struct frame_ask ask;
  struct hf_bytes again = {0};
  if (!frame_get_ask(bytes, size, BITS, &ask))
    return;
  frame_put_ask(&ask, &again);
  CHECK(again.size == size && memcmp(again.at, bytes, size) == 0);
  frame_payload_free(ask.op, ask.payload);
  hf_bytes_deinit(&again);
}

static void *asked(unsigned op)
{
  switch ((enum hf_message)frame_op(op)->op) {
  case HF_SUBMIT: {
    struct hf_op *head = hf_op_new();
    head->user = USER;
    head->group_next = hf_op_new();
    head->group_next->user = USER;
    return head;
  }
  case HF_BALANCES:
    return hf_view_new();
  case HF_PEEK:
  case HF_SET_STATUS:
    return rt_alloc(sizeof(struct hf_peek));
  case HF_CREATE:
  case HF_RESERVE:
    return rt_alloc(sizeof(struct hf_create));
  default:
    return rt_alloc(sizeof(struct hf_catalog_change));
  }
}

static void check_ops(const struct hf_op *head, bool filled)
{
  for (const struct hf_op *op = head; op != NULL; op = op->group_next) {
    size_t count;
    const struct ledger_entry *entries = hf_op_entries(op, &count);
    CHECK(filled || (op->error == HF_E_INTERNAL && op->replay == NULL));
    CHECK(op->error != HF_OK || (count > 0 && entries[0].user == USER));
    for (size_t i = 0; i < count; i++)
      CHECK(ledger_entry_op(&entries[i], BITS) != 0 && entries[i].asset == entries[0].asset);
    (void)hf_op_metadata(op);
  }
}

static void check_answer(unsigned op, const uint8_t *bytes, size_t size)
{
  void *payload = asked(op);
  enum hf_error error;
  frame_fail(op, payload, HF_E_INTERNAL);
  bool filled = frame_get_answer(bytes, size, op, BITS, payload, &error);
  if (frame_op(op)->op == HF_SUBMIT)
    check_ops(payload, filled);
  frame_payload_free(op, payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  enum frame_kind kind;
  uint64_t number;
  if (size == 0)
    return 0;
  unsigned op = 1u + data[0] % FRAME_OPS_MAX;
  uint8_t *bytes = malloc(size); /* of its exact size, so that a byte more is seen */
  CHECK(bytes != NULL);
  memcpy(bytes, data + 1, size - 1u);
  (void)frame_peek(bytes, size - 1u, &kind, &number);
  check_ask(bytes, size - 1u);
  check_answer(op, bytes, size - 1u);
  free(bytes);
  return 0;
}
