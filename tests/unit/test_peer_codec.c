/* test_peer_codec.c - asks and answers as bytes: all of them arrive, nothing else is accepted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "peer_fixture.h"

#define ROUNDS 200u
#define SEED 20260u

static struct hf_bytes ask_bytes(const struct frame_ask *ask)
{
  struct hf_bytes bytes = {0};
  frame_put_ask(ask, &bytes);
  return bytes;
}

static struct hf_bytes answer_bytes(const struct frame_ask *ask)
{
  struct hf_bytes bytes = {0};
  frame_put_answer(ask->number, ask->op, ask->payload, &bytes);
  return bytes;
}

/* A copy of exactly that size, so that a read behind its end is seen. */
static uint8_t *exact(const uint8_t *at, size_t size)
{
  uint8_t *copy = malloc(size + (size == 0));
  assert_non_null(copy);
  if (size > 0)
    memcpy(copy, at, size);
  return copy;
}

static bool ask_decodes(const uint8_t *at, size_t size)
{
  uint8_t *copy = exact(at, size);
  struct frame_ask got;
  bool good = frame_get_ask(copy, size, PEER_BITS, &got);
  if (good)
    frame_payload_free(got.op, got.payload);
  free(copy);
  return good;
}

/* Into a payload made for it; whether it decodes. */
static bool answer_decodes(const struct frame_ask *ask, const uint8_t *at, size_t size)
{
  uint8_t *copy = exact(at, size);
  void *payload = peer_copy_ask(ask);
  enum hf_error error;
  bool good = frame_get_answer(copy, size, ask->op, PEER_BITS, payload, &error);
  frame_payload_free(ask->op, payload);
  free(copy);
  return good;
}

static void test_ask_when_sent_then_arrives_whole(void **state)
{
  struct peer_random random = {SEED};
  (void)state;
  for (unsigned round = 0; round < ROUNDS; round++)
    for (unsigned op = 1; op <= FRAME_OPS_MAX; op++) {
      struct frame_ask ask = peer_make_ask(&random, op), got;
      struct hf_bytes bytes = ask_bytes(&ask);
      enum frame_kind kind;
      uint64_t number;
      assert_true(frame_peek(bytes.at, bytes.size, &kind, &number));
      assert_true(kind == FRAME_ASK && number == ask.number);
      assert_true(frame_get_ask(bytes.at, bytes.size, PEER_BITS, &got));
      assert_true(peer_same_ask(&ask, &got));
      frame_payload_free(got.op, got.payload);
      frame_payload_free(ask.op, ask.payload);
      hf_bytes_deinit(&bytes);
    }
}

static void test_answer_when_sent_then_fills_what_was_asked(void **state)
{
  struct peer_random random = {SEED + 1u};
  (void)state;
  for (unsigned round = 0; round < ROUNDS; round++)
    for (unsigned op = 1; op <= FRAME_OPS_MAX; op++) {
      struct frame_ask ask = peer_make_ask(&random, op);
      void *asked = peer_copy_ask(&ask);
      peer_make_answer(&random, &ask);
      struct hf_bytes bytes = answer_bytes(&ask);
      enum hf_error error;
      enum frame_kind kind;
      uint64_t number;
      assert_true(frame_peek(bytes.at, bytes.size, &kind, &number));
      assert_true(kind == FRAME_ANSWER && number == ask.number);
      assert_true(frame_get_answer(bytes.at, bytes.size, op, PEER_BITS, asked, &error));
      assert_int_equal(error, HF_OK);
      assert_true(peer_same_answer(op, ask.payload, asked));
      frame_payload_free(op, asked);
      frame_payload_free(op, ask.payload);
      hf_bytes_deinit(&bytes);
    }
}

static void test_group_when_as_large_as_it_may_be_then_arrives(void **state)
{
  struct peer_random random = {SEED + 2u};
  (void)state;
  struct frame_ask ask = {.number = 1, .op = 1, .left_us = 1}, got;
  struct hf_op *head = ask.payload = peer_make_group(&random, HF_GROUP_MAX);
  ask.partition = hf_id_partition(head->user, PEER_BITS);
  struct hf_bytes bytes = ask_bytes(&ask);
  assert_true(frame_get_ask(bytes.at, bytes.size, PEER_BITS, &got));
  assert_true(peer_same_ask(&ask, &got));
  frame_payload_free(got.op, got.payload);
  hf_bytes_clear(&bytes);
  /* One more is refused. The count is the first byte pair of the payload. */
  struct hf_op *more = peer_make_group(&random, 1);
  more->user = head->user;
  frame_put_ask(&ask, &bytes);
  size_t at = 1 + 1 + 1 + 1 + 1;
  assert_int_equal(bytes.at[at] | bytes.at[at + 1] << 8, 0x80 | 0x40 << 8);
  bytes.at[at] = 0x81;
  assert_false(ask_decodes(bytes.at, bytes.size));
  frame_payload_free(1, more);
  frame_payload_free(1, head);
  hf_bytes_deinit(&bytes);
}

static void test_error_when_it_is_all_then_every_member_has_it(void **state)
{
  struct peer_random random = {SEED + 3u};
  (void)state;
  for (unsigned op = 1; op <= FRAME_OPS_MAX; op++) {
    struct frame_ask ask = peer_make_ask(&random, op);
    struct hf_bytes bytes = {0};
    enum hf_error error = HF_OK;
    frame_put_error(ask.number, HF_E_DRAINING, &bytes);
    assert_true(frame_get_answer(bytes.at, bytes.size, op, PEER_BITS, ask.payload, &error));
    assert_int_equal(error, HF_E_DRAINING);
    if (frame_op(op)->op == HF_SUBMIT)
      for (struct hf_op *each = ask.payload; each != NULL; each = each->group_next)
        assert_int_equal(each->error, HF_E_DRAINING);
    frame_payload_free(op, ask.payload);
    hf_bytes_deinit(&bytes);
  }
}

static void test_frame_when_cut_anywhere_then_is_refused(void **state)
{
  struct peer_random random = {SEED + 4u};
  (void)state;
  for (unsigned round = 0; round < 8; round++)
    for (unsigned op = 1; op <= FRAME_OPS_MAX; op++) {
      struct frame_ask ask = peer_make_ask(&random, op);
      struct hf_bytes bytes = ask_bytes(&ask);
      for (size_t size = 0; size < bytes.size; size++)
        assert_false(ask_decodes(bytes.at, size));
      hf_bytes_put_u8(&bytes, 0);
      assert_false(ask_decodes(bytes.at, bytes.size));
      hf_bytes_deinit(&bytes);
      peer_make_answer(&random, &ask);
      bytes = answer_bytes(&ask);
      for (size_t size = 0; size < bytes.size; size++)
        assert_false(answer_decodes(&ask, bytes.at, size));
      hf_bytes_put_u8(&bytes, 0);
      assert_false(answer_decodes(&ask, bytes.at, bytes.size));
      hf_bytes_deinit(&bytes);
      frame_payload_free(op, ask.payload);
    }
}

/* A frame that another one could be made of would be one more way to lie about what was said. */
static void test_ask_when_bytes_change_then_refused_or_encodes_to_the_same_bytes(void **state)
{
  struct peer_random random = {SEED + 5u};
  (void)state;
  for (unsigned round = 0; round < 400; round++)
    for (unsigned op = 1; op <= FRAME_OPS_MAX; op++) {
      struct frame_ask ask = peer_make_ask(&random, op), got;
      struct hf_bytes bytes = ask_bytes(&ask), again = {0};
      for (unsigned i = 0; i <= round % 4u; i++)
        bytes.at[peer_below(&random, bytes.size)] = (uint8_t)peer_random(&random);
      if (frame_get_ask(bytes.at, bytes.size, PEER_BITS, &got)) {
        frame_put_ask(&got, &again);
        assert_int_equal(again.size, bytes.size);
        assert_memory_equal(again.at, bytes.at, bytes.size);
        frame_payload_free(got.op, got.payload);
      }
      frame_payload_free(op, ask.payload);
      hf_bytes_deinit(&bytes);
      hf_bytes_deinit(&again);
    }
}

static void test_answer_when_bytes_change_then_fills_all_or_nothing(void **state)
{
  struct peer_random random = {SEED + 6u};
  (void)state;
  for (unsigned round = 0; round < 400; round++)
    for (unsigned op = 1; op <= FRAME_OPS_MAX; op++) {
      struct frame_ask ask = peer_make_ask(&random, op);
      struct frame_ask asked = ask;
      asked.payload = peer_copy_ask(&ask);
      peer_make_answer(&random, &ask);
      struct hf_bytes bytes = answer_bytes(&ask);
      enum hf_error error;
      bytes.at[peer_below(&random, bytes.size)] = (uint8_t)peer_random(&random);
      frame_fail(op, asked.payload, HF_E_INTERNAL);
      if (!frame_get_answer(bytes.at, bytes.size, op, PEER_BITS, asked.payload, &error) &&
          frame_op(op)->op == HF_SUBMIT)
        for (struct hf_op *each = asked.payload; each != NULL; each = each->group_next)
          assert_true(each->error == HF_E_INTERNAL && each->replay == NULL && !each->replayed);
      frame_payload_free(op, asked.payload);
      frame_payload_free(op, ask.payload);
      hf_bytes_deinit(&bytes);
    }
}

static void test_frame_when_bytes_are_random_then_is_refused_or_read(void **state)
{
  struct peer_random random = {SEED + 7u};
  uint8_t bytes[256] = {0};
  (void)state;
  for (unsigned round = 0; round < 100000; round++) {
    size_t size = peer_below(&random, sizeof bytes);
    for (size_t i = 0; i < size; i++)
      bytes[i] = (uint8_t)(peer_random(&random) >> peer_below(&random, 8));
    if (size > 2) {
      bytes[0] = FRAME_ASK;
      bytes[1] &= 127u;
      bytes[2] = (uint8_t)(1u + peer_below(&random, FRAME_OPS_MAX));
    }
    (void)ask_decodes(bytes, size);
  }
}

/* What an actor would CHECK must not come out of a frame. */
static void refused_when(void (*spoil)(struct frame_ask *ask), const char *name)
{
  struct peer_random random = {SEED + 8u};
  for (unsigned round = 0; round < 20; round++) {
    struct frame_ask ask = peer_make_ask(&random, frame_number_of(HF_SUBMIT));
    spoil(&ask);
    struct hf_bytes bytes = ask_bytes(&ask);
    if (ask_decodes(bytes.at, bytes.size))
      fail_msg("an op was accepted: %s", name);
    frame_payload_free(ask.op, ask.payload);
    hf_bytes_deinit(&bytes);
  }
}

static struct ledger_command *command_in(struct frame_ask *ask, unsigned type)
{
  struct hf_op *op = ask->payload;
  op->command.type = (uint8_t)type;
  return &op->command;
}

static void no_user(struct frame_ask *ask)
{
  ((struct hf_op *)ask->payload)->user = 0;
}
static void other_partition(struct frame_ask *ask)
{
  ask->partition ^= 1u;
}
static void user_too_large(struct frame_ask *ask)
{
  ((struct hf_op *)ask->payload)->user |= 1ull << 52;
}
static void no_type(struct frame_ask *ask)
{
  command_in(ask, 0);
}
static void expire(struct frame_ask *ask)
{
  command_in(ask, LEDGER_T_EXPIRE);
}
static void no_reference(struct frame_ask *ask)
{
  command_in(ask, LEDGER_T_CAPTURE)->ref = 0;
}
static void no_payee(struct frame_ask *ask)
{
  command_in(ask, LEDGER_T_TRANSFER)->counterparty = 0;
}
static void no_amount(struct frame_ask *ask)
{
  command_in(ask, LEDGER_T_EARN)->amount_given = false;
}
static void no_asset(struct frame_ask *ask)
{
  ((struct hf_op *)ask->payload)->asset_code[0] = '\0';
  command_in(ask, LEDGER_T_EARN)->asset_known = false;
}
static void odd_bucket(struct frame_ask *ask)
{
  command_in(ask, LEDGER_T_BLOCK)->bucket = LEDGER_BUCKET_COUNT;
}
static void odd_scale(struct frame_ask *ask)
{
  command_in(ask, LEDGER_T_EARN)->amount.scale = 39;
}

static void test_op_when_an_actor_would_check_it_then_is_refused(void **state)
{
  (void)state;
  refused_when(no_user, "no user");
  refused_when(other_partition, "another partition than the user's");
  refused_when(user_too_large, "a user whose serial is no actor's");
  refused_when(no_type, "no type");
  refused_when(expire, "an expiry");
  refused_when(no_reference, "no reference");
  refused_when(no_payee, "no payee");
  refused_when(no_amount, "no amount");
  refused_when(no_asset, "no asset");
  refused_when(odd_bucket, "no bucket");
  refused_when(odd_scale, "no scale");
}

static void test_create_when_its_home_is_another_then_is_refused(void **state)
{
  struct peer_random random = {SEED + 9u};
  (void)state;
  for (unsigned round = 0; round < 50; round++) {
    struct frame_ask ask = peer_make_ask(&random, frame_number_of(HF_RESERVE));
    ask.partition ^= 1u;
    struct hf_bytes bytes = ask_bytes(&ask);
    assert_false(ask_decodes(bytes.at, bytes.size));
    frame_payload_free(ask.op, ask.payload);
    hf_bytes_deinit(&bytes);
  }
}

/* Applied, but of another user, or by nothing: what the front door would CHECK. */
static void test_answer_when_it_is_not_to_this_op_then_is_refused(void **state)
{
  struct peer_random random = {SEED + 10u};
  (void)state;
  struct frame_ask ask = {.number = 4, .op = 1, .left_us = 1};
  struct hf_op *op = ask.payload = peer_make_group(&random, 1);
  struct hf_op *asked = peer_copy_ask(&ask);
  struct ledger_entry entry = peer_make_entry(&random, op->user, 0, 1);
  op->unit.entries = &entry;
  op->unit.entries_count = 1;
  struct hf_bytes bytes = answer_bytes(&ask);
  assert_true(answer_decodes(&ask, bytes.at, bytes.size));
  entry.user ^= 1u;
  hf_bytes_clear(&bytes);
  frame_put_answer(4, 1, op, &bytes);
  assert_false(answer_decodes(&ask, bytes.at, bytes.size));
  op->unit.entries_count = 0;
  hf_bytes_clear(&bytes);
  frame_put_answer(4, 1, op, &bytes);
  assert_false(answer_decodes(&ask, bytes.at, bytes.size));
  op->group_next = peer_make_group(&random, 1); /* one more answer than was asked for */
  op->group_next->error = op->error = HF_E_USER_CLOSED;
  hf_bytes_clear(&bytes);
  frame_put_answer(4, 1, op, &bytes);
  enum hf_error error;
  assert_false(frame_get_answer(bytes.at, bytes.size, 1, PEER_BITS, asked, &error));
  frame_payload_free(1, op);
  frame_payload_free(1, asked);
  hf_bytes_deinit(&bytes);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_ask_when_sent_then_arrives_whole),
    cmocka_unit_test(test_answer_when_sent_then_fills_what_was_asked),
    cmocka_unit_test(test_group_when_as_large_as_it_may_be_then_arrives),
    cmocka_unit_test(test_error_when_it_is_all_then_every_member_has_it),
    cmocka_unit_test(test_frame_when_cut_anywhere_then_is_refused),
    cmocka_unit_test(test_ask_when_bytes_change_then_refused_or_encodes_to_the_same_bytes),
    cmocka_unit_test(test_answer_when_bytes_change_then_fills_all_or_nothing),
    cmocka_unit_test(test_frame_when_bytes_are_random_then_is_refused_or_read),
    cmocka_unit_test(test_op_when_an_actor_would_check_it_then_is_refused),
    cmocka_unit_test(test_create_when_its_home_is_another_then_is_refused),
    cmocka_unit_test(test_answer_when_it_is_not_to_this_op_then_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
