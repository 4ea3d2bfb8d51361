/* A link between two nodes ends in each state in which it can be, in each way in which it can end:
 * the other side closes, resets or falls silent in one direction, the actor closes it, the loop
 * ends. Who knows of the link is told of its end once unless it closed it itself; the runtime ends
 * with nothing left open (the port CHECKs it).
 * ctest: timeout=300 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/link_fixture.h"

#define HERE 11u
#define THERE 22u
#define SECRET 7u
#define MUCH (1024u * 1024u) /* a frame that sockets do not hold */

/* ---- a link at hand -------------------------------------------------------------------------- */

struct scene {
  struct side *side;
  int listener, fd; /* the other end, which the test plays; -1: none */
  int fillers[8];   /* connections that fill the listener's queue */
  unsigned fillers_count;
  struct link_seal seal;
  uint64_t link; /* 0: the side's actor does not know it */
  bool keeps;    /* the actor gives nothing back */
};

static void secret_key(uint8_t key[SEAL_SECRET_SIZE])
{
  memset(key, SECRET, SEAL_SECRET_SIZE);
}

static void write_record(struct scene *scene, const void *bytes, size_t size, size_t cut)
{
  struct hf_bytes record = raw_record(&scene->seal, bytes, size);
  assert_true(cut < record.size);
  raw_write(scene->fd, record.at, record.size - cut);
  hf_bytes_deinit(&record);
}

/* A frame that says it has a hundred bytes, and three of them. */
static void write_part_of_a_frame(struct scene *scene)
{
  static const uint8_t part[] = {100, 0, 0, 0, 'a', 'b', 'c'};
  struct hf_bytes wire = {0};
  link_seal_push(&scene->seal, part, sizeof part, &wire);
  raw_write(scene->fd, wire.at, wire.size);
  hf_bytes_deinit(&wire);
}

/* More than the actor is read ahead of; it gives none back. */
static void write_more_than_is_read(struct scene *scene)
{
  side_keep(scene->side, true);
  scene->keeps = true;
  for (unsigned i = 0; i <= LINK_UNREAD_MAX; i++)
    write_record(scene, "x", 1, 0);
}

/* ---- states of a link that was opened here --------------------------------------------------- */

static void dial(struct scene *scene)
{
  char address[STORE_ADDRESS_MAX + 1];
  scene->listener = raw_listen(address);
  scene->link = side_open(scene->side, THERE, address);
  scene->fd = raw_accept(scene->listener);
}

/* Nobody answers: the listener's queue is full. */
static void out_connecting(struct scene *scene)
{
  char address[STORE_ADDRESS_MAX + 1];
  struct sockaddr_in at = {.sin_family = AF_INET};
  scene->listener = raw_listen(address);
  assert_int_equal(listen(scene->listener, 0), 0);
  at.sin_port = htons((uint16_t)strtoul(strrchr(address, ':') + 1, NULL, 10));
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  for (; scene->fillers_count < 4; scene->fillers_count++) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_true(connect(fd, (const struct sockaddr *)&at, sizeof at) == 0 || errno == EINPROGRESS);
    scene->fillers[scene->fillers_count] = fd;
  }
  scene->link = side_open(scene->side, THERE, address);
}

static void out_hello_said(struct scene *scene)
{
  uint8_t hello[SEAL_HELLO_SIZE];
  dial(scene);
  assert_true(raw_read(scene->fd, hello, sizeof hello));
}

static void reply(struct scene *scene, size_t size)
{
  uint8_t hello[SEAL_HELLO_SIZE], bytes[SEAL_REPLY_SIZE], key[SEAL_SECRET_SIZE];
  uint64_t client;
  secret_key(key);
  dial(scene);
  assert_true(raw_read(scene->fd, hello, sizeof hello));
  assert_true(link_seal_reply(&scene->seal, key, THERE, hello, &client, bytes));
  raw_write(scene->fd, bytes, size);
}

static void out_half_a_reply(struct scene *scene)
{
  reply(scene, SEAL_REPLY_SIZE / 2u);
}

static void out_confirmed(struct scene *scene)
{
  uint8_t confirm[SEAL_CONFIRM_SIZE];
  reply(scene, SEAL_REPLY_SIZE);
  assert_true(raw_read(scene->fd, confirm, sizeof confirm));
}

static void out_up(struct scene *scene)
{
  dial(scene);
  raw_handshake_server(scene->fd, &scene->seal, SECRET, THERE);
  write_record(scene, "x", 1, 0);
  (void)side_wait_frame(scene->side, "x", 1, NULL);
}

static void out_half_a_frame(struct scene *scene)
{
  out_up(scene);
  write_part_of_a_frame(scene);
}

static void out_half_a_record(struct scene *scene)
{
  out_up(scene);
  write_record(scene, "cut", 3, 5);
}

static void out_resting(struct scene *scene)
{
  out_up(scene);
  write_more_than_is_read(scene);
}

static void out_writing(struct scene *scene)
{
  out_up(scene);
  assert_int_equal(side_send_many(scene->side, scene->link, 0, 30, MUCH), 30);
}

/* ---- states of a link that was opened there -------------------------------------------------- */

static void in_silent(struct scene *scene)
{
  scene->fd = raw_connect(side_address(scene->side));
}

static void in_half_a_hello(struct scene *scene)
{
  in_silent(scene);
  raw_write(scene->fd, "HFLINK01", 8);
}

static void in_hello_said(struct scene *scene)
{
  uint8_t hello[SEAL_HELLO_SIZE], bytes[SEAL_REPLY_SIZE];
  in_silent(scene);
  link_seal_hello(&scene->seal, THERE, HERE, hello);
  raw_write(scene->fd, hello, sizeof hello);
  assert_true(raw_read(scene->fd, bytes, sizeof bytes));
}

static void in_up_and_untold(struct scene *scene)
{
  in_silent(scene);
  raw_handshake_client(scene->fd, &scene->seal, SECRET, THERE, HERE);
}

static void in_up(struct scene *scene)
{
  in_up_and_untold(scene);
  write_record(scene, "x", 1, 0);
  scene->link = side_wait_frame(scene->side, "x", 1, NULL);
}

static void in_half_a_frame(struct scene *scene)
{
  in_up(scene);
  write_part_of_a_frame(scene);
}

static void in_half_a_record(struct scene *scene)
{
  in_up(scene);
  write_record(scene, "cut", 3, 5);
}

static void in_resting(struct scene *scene)
{
  in_up(scene);
  write_more_than_is_read(scene);
}

static void in_writing(struct scene *scene)
{
  in_up(scene);
  assert_int_equal(side_send_many(scene->side, scene->link, 0, 30, MUCH), 30);
}

static const struct state {
  const char *name;
  void (*bring)(struct scene *scene);
} states[] = {
  {"outbound: TCP connects", out_connecting},
  {"outbound: hello said", out_hello_said},
  {"outbound: half a reply came", out_half_a_reply},
  {"outbound: confirmed, the accept has not come", out_confirmed},
  {"outbound: up", out_up},
  {"outbound: half a frame came", out_half_a_frame},
  {"outbound: half a record came", out_half_a_record},
  {"outbound: not read, the actor is behind", out_resting},
  {"outbound: much to write", out_writing},
  {"inbound: nothing said", in_silent},
  {"inbound: half a hello came", in_half_a_hello},
  {"inbound: the reply was sent", in_hello_said},
  {"inbound: up, and the actor does not know", in_up_and_untold},
  {"inbound: up", in_up},
  {"inbound: half a frame came", in_half_a_frame},
  {"inbound: half a record came", in_half_a_record},
  {"inbound: not read, the actor is behind", in_resting},
  {"inbound: much to write", in_writing},
};

/* ---- ways to end ----------------------------------------------------------------------------- */

enum way { PEER_CLOSES, PEER_RESETS, PEER_ENDS_ITS_SIDE, ACTOR_CLOSES, LOOP_ENDS };

static void peer_ends(struct scene *scene, enum way way)
{
  static const struct linger now = {1, 0};
  if (way == PEER_RESETS)
    assert_int_equal(setsockopt(scene->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
  if (way == PEER_ENDS_ITS_SIDE) {
    assert_int_equal(shutdown(scene->fd, SHUT_WR), 0);
    return;
  }
  assert_int_equal(close(scene->fd), 0);
  scene->fd = -1;
}

/* Who does not take what a link has to write is noticed by its silence only: this one does. */
static void drain(int fd)
{
  char bytes[65536];
  while (recv(fd, bytes, sizeof bytes, 0) > 0) {
  }
}

/* Frames that still come are let go of. */
static void wait_for_the_end(struct scene *scene)
{
  for (bool down = false; !down;) {
    struct side_event *event = side_wait(scene->side);
    assert_int_equal(event->link, scene->link);
    down = event->down;
    side_event_free(event);
  }
}

static void check_no_second_end(struct scene *scene)
{
  side_keep(scene->side, false); /* a turn of the actor: what was told before has come */
  while (!side_is_quiet(scene->side)) {
    struct side_event *event = side_wait(scene->side);
    assert_false(event->down);
    side_event_free(event);
  }
}

static void end(struct scene *scene, enum way way)
{
  const bool peer = way <= PEER_ENDS_ITS_SIDE;
  if (peer && scene->fd >= 0)
    peer_ends(scene, way);
  if (way == ACTOR_CLOSES && scene->link != 0)
    side_close(scene->side, scene->link);
  if (scene->keeps && way != LOOP_ENDS)
    side_keep(scene->side, false); /* an end is seen by who reads */
  if (way == PEER_ENDS_ITS_SIDE)
    drain(scene->fd);
  if (peer && scene->link != 0)
    wait_for_the_end(scene);
  if (way != LOOP_ENDS)
    check_no_second_end(scene);
}

static void tear_down(struct scene *scene)
{
  side_stop(scene->side);
  if (scene->fd >= 0)
    assert_int_equal(close(scene->fd), 0);
  if (scene->listener >= 0)
    assert_int_equal(close(scene->listener), 0);
  while (scene->fillers_count > 0)
    assert_int_equal(close(scene->fillers[--scene->fillers_count]), 0);
}

static void in_each_state(enum way way)
{
  for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
    struct scene scene = {.listener = -1, .fd = -1};
    if (way <= PEER_ENDS_ITS_SIDE && states[i].bring == out_connecting)
      continue; /* there is no peer yet */
    print_message("%s\n", states[i].name);
    scene.side = side_start(&(struct side_config){.node = HERE, .secret = SECRET});
    states[i].bring(&scene);
    end(&scene, way);
    tear_down(&scene);
  }
}

static void test_link_when_the_peer_closes_in_any_state_then_told_once(void **state)
{
  (void)state;
  in_each_state(PEER_CLOSES);
}

static void test_link_when_the_peer_resets_in_any_state_then_told_once(void **state)
{
  (void)state;
  in_each_state(PEER_RESETS);
}

static void test_link_when_the_peer_ends_its_side_in_any_state_then_told_once(void **state)
{
  (void)state;
  in_each_state(PEER_ENDS_ITS_SIDE);
}

static void test_link_when_the_actor_closes_it_in_any_state_then_it_is_not_told(void **state)
{
  (void)state;
  in_each_state(ACTOR_CLOSES);
}

static void test_link_when_the_loop_ends_in_any_state_then_all_is_freed(void **state)
{
  (void)state;
  in_each_state(LOOP_ENDS);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_link_when_the_peer_closes_in_any_state_then_told_once),
    cmocka_unit_test(test_link_when_the_peer_resets_in_any_state_then_told_once),
    cmocka_unit_test(test_link_when_the_peer_ends_its_side_in_any_state_then_told_once),
    cmocka_unit_test(test_link_when_the_actor_closes_it_in_any_state_then_it_is_not_told),
    cmocka_unit_test(test_link_when_the_loop_ends_in_any_state_then_all_is_freed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
