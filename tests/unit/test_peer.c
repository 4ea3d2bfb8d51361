/* test_peer.c - the peer actor: asks for another node, asks of another node, and every way for the
 * link between them to fail. Exactly one reply to each ask, always.
 * ctest: timeout=600 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "peer_world.h"

#define IN_LINK 31u
#define OP_LEARN 8u

static void check_reply(struct world *world, unsigned replies, const struct frame_ask *ask)
{
  assert_int_equal(world->replies, replies);
  assert_int_equal(world->reply_op, frame_op(ask->op)->reply);
  assert_ptr_equal(world->reply_payload, ask->payload);
}

/* LEARN's error comes beside the change, which nobody may write to. */
static enum hf_error error_of(const struct world *world, const struct frame_ask *ask)
{
  return ask->op == OP_LEARN ? (enum hf_error)world->reply_error
                             : world_error_of(ask->op, ask->payload);
}

static enum hf_error lost(unsigned op)
{
  return frame_op(op)->changes ? HF_E_UNKNOWN_OUTCOME : HF_E_UNAVAILABLE;
}

/* ---- asks for the other node ----------------------------------------------------------------- */

static void test_forward_when_answered_then_asker_gets_its_own_struct_back(void **state)
{
  (void)state;
  for (unsigned op = 1; op <= FRAME_OPS_MAX; op++) {
    struct world *world = world_new();
    struct frame_ask ask = world_make_ask(world, op, false), got;
    world_forward_ask(world, &ask, WORLD_TIMEOUT_US);
    assert_int_equal(world->replies, 0);
    assert_int_equal(world->opened_node, WORLD_OTHER);
    const struct world_frame *frame = world_frame(world);
    assert_int_equal(frame->link, 2);
    assert_true(world->flushes > 0);
    assert_true(frame_get_ask(frame->bytes, frame->size, PEER_BITS, &got));
    assert_true(got.left_us > 0 && got.left_us <= WORLD_TIMEOUT_US);
    ask.number = got.number;
    ask.left_us = got.left_us;
    assert_true(peer_same_ask(&ask, &got));
    peer_make_answer(&world->random, &got);
    world_answer_comes(world, 2, &got);
    check_reply(world, 1, &ask);
    assert_true(peer_same_answer(op, got.payload, ask.payload));
    assert_int_equal(world->given_back, 1);
    world_run(world, 5000000);
    assert_int_equal(world->replies, 1);
    frame_payload_free(op, got.payload);
    frame_payload_free(op, ask.payload);
    world_free(world);
  }
}

static void test_forward_when_many_then_one_link_and_each_gets_its_answer(void **state)
{
  enum { COUNT = 300 };
  struct world *world = world_new();
  struct frame_ask asks[COUNT];
  (void)state;
  for (unsigned i = 0; i < COUNT; i++) {
    asks[i] = world_make_ask(world, 3, false);
    world_forward_ask(world, &asks[i], 0);
  }
  assert_int_equal(world->links, 1);
  for (unsigned i = COUNT; i-- > 0;) { /* answered in another order than asked */
    struct frame_ask got;
    const struct world_frame *frame = &world->frames[i];
    assert_true(frame_get_ask(frame->bytes, frame->size, PEER_BITS, &got));
    struct hf_peek *peek = got.payload;
    assert_int_equal(peek->user, ((struct hf_peek *)asks[i].payload)->user);
    peek->version = i;
    world_answer_comes(world, 2, &got);
    check_reply(world, COUNT - i, &asks[i]);
    assert_int_equal(((struct hf_peek *)asks[i].payload)->version, i);
    frame_payload_free(3, peek);
    frame_payload_free(3, asks[i].payload);
  }
  world_free(world);
}

static void check_refused(struct world *world, unsigned replies, enum hf_error error)
{
  for (unsigned op = 1; op <= FRAME_OPS_MAX; op++) {
    struct frame_ask ask = world_make_ask(world, op, false);
    world_forward_ask(world, &ask, WORLD_TIMEOUT_US);
    check_reply(world, replies + op, &ask);
    assert_int_equal(error_of(world, &ask), error);
    frame_payload_free(op, ask.payload);
  }
}

static void test_forward_when_no_link_opens_then_surely_not_done(void **state)
{
  struct world *world = world_new();
  (void)state;
  world->open_fails = true;
  check_refused(world, 0, HF_E_UNAVAILABLE);
  world_free(world);
}

static void test_forward_when_the_link_takes_nothing_then_surely_not_done(void **state)
{
  struct world *world = world_new();
  (void)state;
  world->send_status = RT_AGAIN;
  check_refused(world, 0, HF_E_UNAVAILABLE);
  world->send_status = RT_FAIL;
  check_refused(world, FRAME_OPS_MAX, HF_E_UNAVAILABLE);
  assert_int_equal(world->frames_count, 0);
  world_free(world);
}

static void test_forward_when_nobody_has_the_partition_then_surely_not_done(void **state)
{
  struct world *world = world_new();
  (void)state;
  struct frame_ask ask = world_make_ask(world, 1, false);
  world->clusters[0]->places[ask.partition].where = CLUSTER_NOWHERE;
  world_forward_ask(world, &ask, WORLD_TIMEOUT_US);
  check_reply(world, 1, &ask);
  assert_int_equal(error_of(world, &ask), HF_E_UNAVAILABLE);
  assert_int_equal(world->links, 0);
  frame_payload_free(1, ask.payload);
  world_free(world);
}

static void test_forward_when_larger_than_a_frame_then_refused(void **state)
{
  struct world *world = world_new();
  static char json[FRAME_OPS_MAX * 2048];
  (void)state;
  struct frame_ask ask = {.op = 1, .payload = peer_make_group(&world->random, HF_GROUP_MAX)};
  for (struct hf_op *op = ask.payload; op != NULL; op = op->group_next) {
    op->user |= 1;
    rt_free((void *)(uintptr_t)op->metadata.at);
    char *own = rt_alloc(4000);
    memset(json, 'j', sizeof json);
    memcpy(own, json, 4000);
    op->metadata = (struct store_text){own, 4000};
    op->command.has_metadata = true;
  }
  world_forward_ask(world, &ask, WORLD_TIMEOUT_US);
  check_reply(world, 1, &ask);
  for (struct hf_op *op = ask.payload; op != NULL; op = op->group_next)
    assert_int_equal(op->error, HF_E_PAYLOAD_TOO_LARGE);
  assert_int_equal(world->frames_count, 0);
  frame_payload_free(1, ask.payload);
  world_free(world);
}

/* Of eight asks on a link that ends, the first five may have arrived. */
static void test_link_when_it_ends_then_what_was_kept_is_not_done_and_the_rest_unknown(void **state)
{
  struct world *world = world_new();
  struct frame_ask asks[FRAME_OPS_MAX + 1];
  (void)state;
  for (unsigned op = FRAME_OPS_MAX; op > 0; op--) {
    asks[op] = world_make_ask(world, op, false);
    world_forward_ask(world, &asks[op], 0);
  }
  world_down(world, 2, 5);
  assert_int_equal(world->replies, FRAME_OPS_MAX);
  for (unsigned op = 1; op < FRAME_OPS_MAX; op++) {
    const enum hf_error error = op > FRAME_OPS_MAX - 5 ? lost(op) : HF_E_UNAVAILABLE;
    assert_int_equal(world_error_of(op, asks[op].payload), error);
  }
  world_run(world, 10000000);
  assert_int_equal(world->replies, FRAME_OPS_MAX);
  for (unsigned op = 1; op <= FRAME_OPS_MAX; op++)
    frame_payload_free(op, asks[op].payload);
  world_free(world);
}

static void test_deadline_when_it_passes_then_unknown_and_a_late_answer_meets_nobody(void **state)
{
  (void)state;
  for (unsigned op = 1; op <= FRAME_OPS_MAX; op++) {
    struct world *world = world_new();
    struct frame_ask ask = world_make_ask(world, op, false), got;
    world_forward_ask(world, &ask, op % 2u == 0 ? 0 : WORLD_TIMEOUT_US);
    world_run(world, WORLD_TIMEOUT_US / 2u);
    assert_int_equal(world->replies, 0);
    world_run(world, WORLD_TIMEOUT_US);
    check_reply(world, 1, &ask);
    assert_int_equal(error_of(world, &ask), lost(op));
    const struct world_frame *frame = world_frame(world);
    assert_true(frame_get_ask(frame->bytes, frame->size, PEER_BITS, &got));
    peer_make_answer(&world->random, &got);
    world_answer_comes(world, 2, &got);
    assert_int_equal(world->replies, 1);
    assert_int_equal(world->closes, 0);
    frame_payload_free(op, got.payload);
    frame_payload_free(op, ask.payload);
    world_free(world);
  }
}

/* Forwards one peek; what became of it. */
static enum hf_error try_one(struct world *world)
{
  struct frame_ask ask = world_make_ask(world, 3, false), got;
  const size_t before = world->frames_count;
  world_forward_ask(world, &ask, 0);
  if (world->frames_count > before) {
    const struct world_frame *frame = &world->frames[before];
    assert_true(frame_get_ask(frame->bytes, frame->size, PEER_BITS, &got));
    world_answer_comes(world, frame->link, &got);
    frame_payload_free(3, got.payload);
  }
  const enum hf_error error = world_error_of(3, ask.payload);
  frame_payload_free(3, ask.payload);
  return error;
}

static void test_link_when_it_had_worked_then_opens_at_once_else_after_a_while(void **state)
{
  struct world *world = world_new();
  (void)state;
  assert_int_equal(try_one(world), HF_OK);
  world_down(world, 2, 1);
  assert_int_equal(try_one(world), HF_OK);
  assert_int_equal(world->links, 2);
  uint64_t waited_us[9] = {0};
  struct frame_ask ask = world_make_ask(world, 3, false);
  for (unsigned i = 0; i < 9; i++) { /* each ends before it has brought anything */
    const uint64_t links = world->links, from_us = driver_sim_now_us(world->driver);
    world_down(world, 2u * links, 0);
    while (world->links == links)
      world_forward_ask(world, &ask, 0); /* takes a millisecond */
    waited_us[i] = driver_sim_now_us(world->driver) - from_us;
  }
  world_run(world, 2u * WORLD_TIMEOUT_US); /* the last one's deadline */
  assert_true(waited_us[0] < 10000);       /* it had worked */
  for (unsigned i = 1; i < 9; i++)
    assert_true(waited_us[i] > 10000 && waited_us[i] < 1010000);
  assert_true(waited_us[8] > 4 * waited_us[1]);
  assert_int_equal(try_one(world), HF_OK);
  frame_payload_free(3, ask.payload);
  world_free(world);
}

/* Links that fail are left alone for a while, but not when a change is to be told. */
static void test_change_when_the_link_rests_then_it_is_tried_all_the_same(void **state)
{
  struct world *world = world_new();
  struct frame_ask ask = world_make_ask(world, 3, false);
  struct frame_ask change = world_make_ask(world, OP_LEARN, false);
  (void)state;
  for (unsigned i = 1; i <= 2; i++) { /* neither has brought anything */
    world_forward_ask(world, &ask, 0);
    assert_int_equal(world->links, i);
    world_down(world, 2u * i, 0);
  }
  world_forward_ask(world, &ask, 0);
  assert_int_equal(world->links, 2);
  world_forward_ask(world, &change, WORLD_TIMEOUT_US);
  assert_int_equal(world->links, 3);
  world_run(world, 2u * WORLD_TIMEOUT_US);
  frame_payload_free(OP_LEARN, change.payload);
  frame_payload_free(3, ask.payload);
  world_free(world);
}

static void test_answer_when_it_is_no_frame_then_link_is_closed_and_all_on_it_lost(void **state)
{
  struct world *world = world_new();
  struct frame_ask asks[2];
  (void)state;
  for (unsigned i = 0; i < 2; i++) {
    asks[i] = world_make_ask(world, 1, false);
    world_forward_ask(world, &asks[i], 0);
  }
  world_bytes(world, 2, "nonsense", 8);
  assert_int_equal(world->closed, 2);
  assert_int_equal(world->replies, 2);
  for (unsigned i = 0; i < 2; i++) {
    assert_int_equal(world_error_of(1, asks[i].payload), HF_E_UNKNOWN_OUTCOME);
    frame_payload_free(1, asks[i].payload);
  }
  world_free(world);
}

static void test_answer_when_its_body_is_not_sound_then_link_is_closed(void **state)
{
  struct world *world = world_new();
  (void)state;
  struct frame_ask ask = world_make_ask(world, 1, false), got;
  world_forward_ask(world, &ask, 0);
  const struct world_frame *frame = world_frame(world);
  assert_true(frame_get_ask(frame->bytes, frame->size, PEER_BITS, &got));
  world_answer_comes(world, 2, &got); /* applied, but without an entry */
  assert_int_equal(world->closed, 2);
  check_reply(world, 1, &ask);
  assert_int_equal(world_error_of(1, ask.payload), HF_E_UNKNOWN_OUTCOME);
  frame_payload_free(1, got.payload);
  frame_payload_free(1, ask.payload);
  world_free(world);
}

static void test_answer_when_over_another_link_then_is_not_taken(void **state)
{
  struct world *world = world_new();
  (void)state;
  struct frame_ask ask = world_make_ask(world, 3, false), got;
  world_forward_ask(world, &ask, 0);
  const struct world_frame *frame = world_frame(world);
  assert_true(frame_get_ask(frame->bytes, frame->size, PEER_BITS, &got));
  world_answer_comes(world, 8, &got);
  assert_int_equal(world->replies, 0);
  assert_int_equal(world->closed, 8);
  world_answer_comes(world, 2, &got);
  check_reply(world, 1, &ask);
  frame_payload_free(3, got.payload);
  frame_payload_free(3, ask.payload);
  world_free(world);
}

/* Forwards a spend that the other node applies in the fixture's asset, 9. */
static struct frame_ask forward_applied(struct world *world)
{
  struct frame_ask ask = world_make_ask(world, 1, false), got;
  world_forward_ask(world, &ask, WORLD_TIMEOUT_US);
  const struct world_frame *frame = world_frame(world);
  assert_true(frame_get_ask(frame->bytes, frame->size, PEER_BITS, &got));
  for (struct hf_op *op = got.payload; op != NULL; op = op->group_next) {
    struct ledger_entry entry = peer_make_entry(&world->random, op->user, 0, 1);
    op->effects = op->unit.entries = rt_alloc(sizeof entry);
    op->unit.entries[0] = entry;
    op->unit.entries_count = 1;
  }
  world_answer_comes(world, 2, &got);
  frame_payload_free(1, got.payload);
  return ask;
}

static void test_answer_when_its_asset_is_known_then_nothing_is_read(void **state)
{
  struct world *world = world_new_with_catalog(9);
  (void)state;
  struct frame_ask ask = forward_applied(world);
  check_reply(world, 1, &ask);
  assert_int_equal(world_error_of(1, ask.payload), HF_OK);
  assert_int_equal(world->store_reads, WORLD_LOOPS);
  frame_payload_free(1, ask.payload);
  world_free(world);
}

static void test_answer_when_its_asset_is_new_then_it_waits_for_the_catalogue(void **state)
{
  struct world *world = world_new_with_catalog(8);
  (void)state;
  world->store_assets = 9;
  struct frame_ask ask = forward_applied(world);
  check_reply(world, 1, &ask);
  assert_int_equal(world_error_of(1, ask.payload), HF_OK);
  assert_true(hf_op_id(ask.payload) != 0);
  assert_int_equal(world->store_reads, WORLD_LOOPS + 1u);
  frame_payload_free(1, ask.payload);
  world_free(world);
}

static void test_answer_when_its_asset_stays_unknown_then_outcome_is_unknown(void **state)
{
  (void)state;
  for (unsigned round = 0; round < 3; round++) {
    struct world *world = world_new_with_catalog(8);
    world->store_fails = round == 1;
    struct frame_ask ask = forward_applied(world);
    if (round == 2)
      world_down(world, 2, 1);
    world_run(world, 2u * WORLD_TIMEOUT_US);
    check_reply(world, 1, &ask);
    for (struct hf_op *op = ask.payload; op != NULL; op = op->group_next)
      assert_true(op->error == HF_E_UNKNOWN_OUTCOME && hf_op_id(op) == 0);
    assert_true(world->store_reads < WORLD_LOOPS + 20u); /* it does not ask for ever */
    world->store_fails = false;
    world_run(world, WORLD_TIMEOUT_US);
    assert_int_equal(world->replies, 1);
    frame_payload_free(1, ask.payload);
    world_free(world);
  }
}

static void test_forward_when_too_many_then_refused_and_room_comes_back(void **state)
{
  struct world *world = world_new();
  (void)state;
  struct frame_ask ask = world_make_ask(world, 3, false);
  for (unsigned i = 0; i < PEER_ASKS_MAX; i++)
    world_forward_ask(world, &ask, 3600000000u);
  assert_int_equal(world->replies, 0);
  world_forward_ask(world, &ask, 0);
  check_reply(world, 1, &ask);
  assert_int_equal(world_error_of(3, ask.payload), HF_E_UNAVAILABLE);
  world_down(world, 2, UINT64_MAX);
  world_run(world, 2000000);
  assert_int_equal(world->replies, PEER_ASKS_MAX + 1u);
  assert_int_equal(try_one(world), HF_OK);
  frame_payload_free(3, ask.payload);
  world_free(world);
}

static void test_node_when_it_is_gone_then_its_link_is_closed(void **state)
{
  struct world *world = world_new();
  (void)state;
  assert_int_equal(try_one(world), HF_OK);
  world_run(world, 5000000);
  assert_int_equal(world->closes, 0);
  world->clusters[0]->nodes_count = 0;
  world_run(world, 5000000);
  assert_int_equal(world->closed, 2);
  world->clusters[0]->nodes_count = 1;
  assert_int_equal(try_one(world), HF_OK);
  assert_int_equal(world->links, 2);
  world_free(world);
}

static void test_stale_when_told_then_the_change_comes_back_with_an_error_beside_it(void **state)
{
  struct world *world = world_new();
  (void)state;
  struct frame_ask ask = world_make_ask(world, OP_LEARN, true), got;
  struct hf_catalog_change *change = ask.payload;
  world_tell_stale(world, change);
  const struct world_frame *frame = world_frame(world);
  assert_true(frame_get_ask(frame->bytes, frame->size, PEER_BITS, &got));
  world_answer_comes(world, 2, &got);
  check_reply(world, 1, &ask);
  assert_int_equal(world->reply_error, HF_OK);
  world->clusters[0]->nodes_count = 0;
  world_tell_stale(world, change);
  check_reply(world, 2, &ask);
  assert_int_equal(world->reply_error, HF_E_UNAVAILABLE);
  frame_payload_free(OP_LEARN, got.payload);
  frame_payload_free(OP_LEARN, change);
  world_free(world);
}

/* ---- asks of the other node ------------------------------------------------------------------ */

/* The answer that went out for the ask, in a copy of what was asked. */
static enum hf_error answered(struct world *world, const struct frame_ask *ask, void *asked)
{
  enum hf_error error = HF_E_INTERNAL;
  enum frame_kind kind;
  uint64_t number;
  const struct world_frame *frame = world_frame(world);
  assert_int_equal(frame->link, IN_LINK);
  assert_true(frame_peek(frame->bytes, frame->size, &kind, &number));
  assert_true(kind == FRAME_ANSWER && number == ask->number);
  assert_true(frame_get_answer(frame->bytes, frame->size, ask->op, PEER_BITS, asked, &error));
  return error;
}

static void test_ask_when_it_comes_then_the_actor_here_answers_it(void **state)
{
  (void)state;
  for (unsigned op = 1; op <= FRAME_OPS_MAX; op++) {
    struct world *world = world_new();
    struct frame_ask ask = world_make_ask(world, op, true);
    void *asked = peer_copy_ask(&ask);
    world_ask_comes(world, IN_LINK, &ask);
    assert_int_equal(world->asked, op == OP_LEARN ? WORLD_LOOPS : 1);
    assert_int_equal(world->asked_op, frame_op(op)->op);
    assert_true(world->asked_deadline_us > ask.left_us);
    assert_true(world->asked_deadline_us <= driver_sim_now_us(world->driver) + ask.left_us);
    assert_int_equal(answered(world, &ask, asked), HF_OK);
    assert_int_equal(world->frames_count, 1);
    assert_int_equal(world->given_back, 1);
    assert_true(world->flushes > 0);
    frame_payload_free(op, asked);
    frame_payload_free(op, ask.payload);
    world_free(world);
  }
}

static void check_ask_refused(struct world *world, const struct frame_ask *ask, enum hf_error error)
{
  void *asked = peer_copy_ask(ask);
  world_ask_comes(world, IN_LINK, ask);
  assert_int_equal(world->asked, 0);
  assert_int_equal(answered(world, ask, asked), error);
  frame_payload_free(ask->op, asked);
}

static void test_ask_when_its_partition_is_not_here_then_refused_and_not_passed_on(void **state)
{
  struct world *world = world_new();
  (void)state;
  for (unsigned op = 1; op < OP_LEARN; op++) {
    struct frame_ask ask = world_make_ask(world, op, false);
    check_ask_refused(world, &ask, HF_E_UNAVAILABLE);
    frame_payload_free(op, ask.payload);
  }
  assert_int_equal(world->links, 0);
  world_free(world);
}

static void test_ask_when_it_names_an_unknown_asset_by_number_then_refused(void **state)
{
  struct world *world = world_new();
  (void)state;
  struct frame_ask ask = world_make_ask(world, 1, true);
  for (struct hf_op *op = ask.payload; op != NULL; op = op->group_next)
    op->asset_code[0] = '\0';
  check_ask_refused(world, &ask, HF_E_UNAVAILABLE);
  frame_payload_free(1, ask.payload);
  world_free(world);
}

static void test_ask_when_it_is_no_frame_then_link_is_closed(void **state)
{
  struct world *world = world_new();
  (void)state;
  world_bytes(world, IN_LINK, "\x01\x05\x01nonsense", 11);
  assert_int_equal(world->closed, IN_LINK);
  struct frame_ask ask = world_make_ask(world, 3, true);
  world_answer_comes(world, IN_LINK + 2u, &ask); /* answers do not come on inbound links */
  assert_int_equal(world->closed, IN_LINK + 2u);
  world_ask_comes(world, 44, &ask); /* nor asks on outbound ones */
  assert_int_equal(world->closed, 44);
  assert_int_equal(world->asked, 0);
  assert_int_equal(world->frames_count, 0);
  assert_int_equal(world->given_back, 3);
  frame_payload_free(3, ask.payload);
  world_free(world);
}

static void test_ask_when_the_actor_fails_then_what_changes_is_unknown(void **state)
{
  struct world *world = world_new();
  (void)state;
  world->mode = WORLD_FAILS;
  for (unsigned op = 1; op < 6; op++) {
    struct frame_ask ask = world_make_ask(world, op, true);
    void *asked = peer_copy_ask(&ask);
    world_ask_comes(world, IN_LINK, &ask);
    (void)answered(world, &ask, asked);
    assert_int_equal(world_error_of(op, asked), lost(op));
    frame_payload_free(op, asked);
    frame_payload_free(op, ask.payload);
  }
  world_free(world);
}

static void test_ask_when_its_link_has_ended_then_the_answer_goes_nowhere(void **state)
{
  struct world *world = world_new();
  (void)state;
  world->mode = WORLD_HOLDS;
  for (unsigned op = 1; op <= FRAME_OPS_MAX; op++) {
    struct frame_ask ask = world_make_ask(world, op, true);
    world_ask_comes(world, IN_LINK, &ask);
    world_down(world, IN_LINK, 0);
    world->send_status = RT_FAIL;
    world_release(world);
    world->send_status = RT_OK;
    frame_payload_free(op, ask.payload);
  }
  assert_int_equal(world->frames_count, 0);
  assert_int_equal(world->closes, 0);
  world_free(world);
}

static void test_answer_when_the_other_node_takes_none_then_link_is_closed(void **state)
{
  struct world *world = world_new();
  (void)state;
  world->send_status = RT_AGAIN;
  struct frame_ask ask = world_make_ask(world, 3, true);
  world_ask_comes(world, IN_LINK, &ask);
  assert_int_equal(world->closed, IN_LINK);
  frame_payload_free(3, ask.payload);
  world_free(world);
}

/* ---- the end --------------------------------------------------------------------------------- */

static void test_stop_when_asks_are_under_way_then_they_are_finished(void **state)
{
  struct world *world = world_new();
  (void)state;
  world->mode = WORLD_HOLDS;
  struct frame_ask in = world_make_ask(world, 1, true), out = world_make_ask(world, 1, false), got;
  void *asked = peer_copy_ask(&in);
  world_ask_comes(world, IN_LINK, &in);
  world_forward_ask(world, &out, 5000000);
  const struct world_frame *frame = world_frame(world);
  assert_true(frame_get_ask(frame->bytes, frame->size, PEER_BITS, &got));
  rt_stop(world->runtime, 10000000);
  world_run(world, 1000000);
  struct frame_ask late = world_make_ask(world, 3, true); /* new work is refused */
  void *late_asked = peer_copy_ask(&late);
  world_ask_comes(world, IN_LINK, &late);
  assert_int_equal(answered(world, &late, late_asked), HF_E_DRAINING);
  peer_make_answer(&world->random, &got);
  world_answer_comes(world, 2, &got);
  check_reply(world, 1, &out);
  world_release(world);
  assert_int_equal(answered(world, &in, asked), HF_OK);
  frame_payload_free(1, asked);
  frame_payload_free(1, got.payload);
  frame_payload_free(1, in.payload);
  frame_payload_free(1, out.payload);
  frame_payload_free(3, late_asked);
  frame_payload_free(3, late.payload);
  world_free(world);
}

static void test_crash_when_asks_are_under_way_then_all_memory_is_freed(void **state)
{
  struct world *world = world_new();
  struct frame_ask asks[FRAME_OPS_MAX + 1];
  (void)state;
  world->mode = WORLD_HOLDS;
  for (unsigned op = 1; op <= FRAME_OPS_MAX; op++) {
    struct frame_ask in = world_make_ask(world, op, true);
    world_ask_comes(world, IN_LINK, &in);
    frame_payload_free(op, in.payload);
    asks[op] = world_make_ask(world, op, false);
    world_forward_ask(world, &asks[op], 0);
  }
  assert_int_equal(world->held_count, FRAME_OPS_MAX - 1u + WORLD_LOOPS);
  world_crash(world);
  for (unsigned op = 1; op <= FRAME_OPS_MAX; op++)
    frame_payload_free(op, asks[op].payload);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_forward_when_answered_then_asker_gets_its_own_struct_back),
    cmocka_unit_test(test_forward_when_many_then_one_link_and_each_gets_its_answer),
    cmocka_unit_test(test_forward_when_no_link_opens_then_surely_not_done),
    cmocka_unit_test(test_forward_when_the_link_takes_nothing_then_surely_not_done),
    cmocka_unit_test(test_forward_when_nobody_has_the_partition_then_surely_not_done),
    cmocka_unit_test(test_forward_when_larger_than_a_frame_then_refused),
    cmocka_unit_test(test_link_when_it_ends_then_what_was_kept_is_not_done_and_the_rest_unknown),
    cmocka_unit_test(test_deadline_when_it_passes_then_unknown_and_a_late_answer_meets_nobody),
    cmocka_unit_test(test_link_when_it_had_worked_then_opens_at_once_else_after_a_while),
    cmocka_unit_test(test_change_when_the_link_rests_then_it_is_tried_all_the_same),
    cmocka_unit_test(test_answer_when_it_is_no_frame_then_link_is_closed_and_all_on_it_lost),
    cmocka_unit_test(test_answer_when_its_body_is_not_sound_then_link_is_closed),
    cmocka_unit_test(test_answer_when_over_another_link_then_is_not_taken),
    cmocka_unit_test(test_answer_when_its_asset_is_known_then_nothing_is_read),
    cmocka_unit_test(test_answer_when_its_asset_is_new_then_it_waits_for_the_catalogue),
    cmocka_unit_test(test_answer_when_its_asset_stays_unknown_then_outcome_is_unknown),
    cmocka_unit_test(test_forward_when_too_many_then_refused_and_room_comes_back),
    cmocka_unit_test(test_node_when_it_is_gone_then_its_link_is_closed),
    cmocka_unit_test(test_stale_when_told_then_the_change_comes_back_with_an_error_beside_it),
    cmocka_unit_test(test_ask_when_it_comes_then_the_actor_here_answers_it),
    cmocka_unit_test(test_ask_when_its_partition_is_not_here_then_refused_and_not_passed_on),
    cmocka_unit_test(test_ask_when_it_names_an_unknown_asset_by_number_then_refused),
    cmocka_unit_test(test_ask_when_it_is_no_frame_then_link_is_closed),
    cmocka_unit_test(test_ask_when_the_actor_fails_then_what_changes_is_unknown),
    cmocka_unit_test(test_ask_when_its_link_has_ended_then_the_answer_goes_nowhere),
    cmocka_unit_test(test_answer_when_the_other_node_takes_none_then_link_is_closed),
    cmocka_unit_test(test_stop_when_asks_are_under_way_then_they_are_finished),
    cmocka_unit_test(test_crash_when_asks_are_under_way_then_all_memory_is_freed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
