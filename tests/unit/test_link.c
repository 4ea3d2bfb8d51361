/* test_link.c - links over real sockets: handshakes, frames, and every way for them to end.
 * ctest: timeout=300 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "link_fixture.h"

#define ONE 11u
#define TWO 22u
#define SECRET 7u
#define SHORT_US 200000u

static struct side *start(uint64_t node)
{
  return side_start(&(struct side_config){.node = node, .secret = SECRET});
}

static struct side *start_impatient(uint64_t node)
{
  return side_start(&(struct side_config){.node = node, .secret = SECRET, .silence_us = SHORT_US});
}

static void send_text(struct side *side, uint64_t link, const char *text)
{
  assert_int_equal(side_send(side, 0, link, text, strlen(text)), RT_OK);
}

static uint64_t wait_text(struct side *side, const char *text)
{
  return side_wait_frame(side, text, strlen(text), NULL);
}

/* ---- working links --------------------------------------------------------------------------- */

static void test_link_when_opened_then_frames_go_both_ways(void **state)
{
  struct side *one = start(ONE), *two = start(TWO);
  (void)state;
  const uint64_t out = side_open(one, TWO, side_address(two));
  assert_true(out != 0 && !link_is_inbound(out));
  send_text(one, out, "are you there");
  const struct side_event *event = side_wait(two);
  assert_false(event->down);
  assert_int_equal(event->node, ONE);
  const uint64_t in = event->link;
  side_event_free((struct side_event *)(uintptr_t)event);
  assert_true(link_is_inbound(in));
  send_text(two, in, "I am");
  event = side_wait(one);
  assert_int_equal(event->node, TWO);
  assert_int_equal(event->link, out);
  side_event_free((struct side_event *)(uintptr_t)event);
  side_stop(one);
  side_stop(two);
}

static void test_link_when_both_have_many_loops_then_each_opens_its_own(void **state)
{
  struct side *one = start(ONE);
  struct side *two = side_start(&(struct side_config){.node = TWO, .secret = SECRET, .loops = 3});
  (void)state;
  uint64_t links[12];
  for (unsigned i = 0; i < 12; i++) {
    char text[16] = "0";
    text[0] = (char)('a' + i);
    links[i] = side_open(one, TWO, side_address(two));
    send_text(one, links[i], text);
    unsigned loop;
    const uint64_t in = side_wait_frame(two, text, 1, &loop);
    assert_int_equal(side_send(two, loop, in, text, 1), RT_OK);
    assert_int_equal(wait_text(one, text), links[i]);
  }
  side_stop(two);
  side_stop(one);
}

static void wait_numbered(struct side *side, unsigned first, unsigned count, size_t size)
{
  for (uint32_t i = first; i < first + count; i++) {
    struct side_event *event = side_wait(side);
    assert_false(event->down);
    assert_int_equal(event->size, size);
    assert_memory_equal(event->bytes, &i, sizeof i);
    side_event_free(event);
  }
}

static void test_frames_when_of_any_size_then_arrive_in_order(void **state)
{
  static const size_t sizes[] = {4, 100, 65535, 65536, 65537, 300000, LINK_FRAME_MAX};
  struct side *one = start(ONE), *two = start(TWO);
  (void)state;
  const uint64_t out = side_open(one, TWO, side_address(two));
  unsigned first = 0;
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    const unsigned count = sizes[i] > 100000 ? 2 : 500;
    assert_int_equal(side_send_many(one, out, first, count, sizes[i]), count);
    wait_numbered(two, first, count, sizes[i]);
    first += count;
  }
  side_stop(one);
  side_stop(two);
}

static void test_link_when_idle_then_pings_keep_it(void **state)
{
  struct side *one = start_impatient(ONE);
  char address[STORE_ADDRESS_MAX + 1];
  uint8_t plain[SEAL_RECORD_MAX];
  struct link_seal seal;
  (void)state;
  const int listener = raw_listen(address);
  const uint64_t out = side_open(one, TWO, address);
  const int fd = raw_accept(listener);
  raw_handshake_server(fd, &seal, SECRET, TWO);
  for (unsigned i = 0; i < 12; i++) { /* more than three times its patience */
    assert_int_equal(raw_read_record(fd, &seal, plain), 4);
    struct hf_bytes ping = raw_record(&seal, "", 0);
    raw_write(fd, ping.at, ping.size);
    hf_bytes_deinit(&ping);
  }
  assert_true(side_is_quiet(one));
  send_text(one, out, "x");
  while (raw_read_record(fd, &seal, plain) != 5) {
  }
  close(fd);
  side_wait_down(one, out, 1);
  close(listener);
  side_stop(one);
}

static void test_link_when_closed_then_the_other_side_learns_of_it(void **state)
{
  struct side *one = start(ONE), *two = start(TWO);
  (void)state;
  const uint64_t out = side_open(one, TWO, side_address(two));
  send_text(one, out, "last words");
  const uint64_t in = wait_text(two, "last words");
  side_close(one, out);
  side_wait_down(two, in, 0);
  assert_int_equal(side_send(one, 0, out, "x", 1), RT_FAIL);
  assert_int_equal(side_send(two, 0, in, "x", 1), RT_FAIL);
  assert_true(side_is_quiet(one));
  side_stop(one);
  side_stop(two);
}

static void test_link_when_the_node_comes_back_then_opens_again(void **state)
{
  struct side *one = start(ONE), *two = start(TWO);
  char address[STORE_ADDRESS_MAX + 1];
  (void)state;
  memcpy(address, side_address(two), sizeof address);
  const uint64_t before = side_open(one, TWO, address);
  send_text(one, before, "a");
  (void)wait_text(two, "a");
  side_stop(two);
  side_wait_down(one, before, 1);
  two = side_start(&(struct side_config){.node = TWO, .secret = SECRET, .listen = address});
  const uint64_t after = side_open(one, TWO, address);
  assert_true(after != before);
  send_text(one, after, "b");
  (void)wait_text(two, "b");
  side_stop(two);
  side_stop(one);
}

/* ---- links that do not come up --------------------------------------------------------------- */

static void test_open_when_nobody_listens_then_down_and_nothing_sent(void **state)
{
  struct side *one = start(ONE);
  char address[STORE_ADDRESS_MAX + 1];
  (void)state;
  close(raw_listen(address));
  const uint64_t out = side_open(one, TWO, address);
  (void)side_send(one, 0, out, "x", 1); /* kept, or refused when it is down already */
  side_wait_down(one, out, 0);
  side_stop(one);
}

static void test_open_when_the_address_is_none_then_down(void **state)
{
  static const char *const addresses[] = {
    "",           ":1",          "127.0.0.1", "127.0.0.1:", "name:1", "[::1:5", "1.2.3.4:99999",
    "1.2.3.4:5x", "[1.2.3.4]:5", "::1:5"};
  struct side *one = start(ONE);
  (void)state;
  for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
    const uint64_t out = side_open(one, TWO, addresses[i]);
    side_wait_down(one, out, 0);
    assert_int_equal(side_send(one, 0, out, "x", 1), RT_FAIL);
  }
  side_stop(one);
}

static void test_open_when_the_secret_is_another_then_refused(void **state)
{
  struct side *one = start(ONE);
  struct side *two = side_start(&(struct side_config){.node = TWO, .secret = SECRET + 1});
  (void)state;
  const uint64_t out = side_open(one, TWO, side_address(two));
  (void)side_send(one, 0, out, "x", 1); /* kept, or refused when it is down already */
  side_wait_down(one, out, 0);
  assert_true(side_is_quiet(two));
  side_stop(one);
  side_stop(two);
}

static void test_open_when_another_node_is_there_then_refused(void **state)
{
  struct side *one = start(ONE), *two = start(TWO);
  (void)state;
  const uint64_t out = side_open(one, TWO + 1, side_address(two));
  side_wait_down(one, out, 0);
  assert_true(side_is_quiet(two));
  side_stop(one);
  side_stop(two);
}

/* The server of another secret is told nothing but that it is refused: its reply proves it. */
static void test_open_when_the_server_does_not_know_the_secret_then_it_gets_no_proof(void **state)
{
  struct side *one = start(ONE);
  char address[STORE_ADDRESS_MAX + 1];
  uint8_t hello[SEAL_HELLO_SIZE], reply[SEAL_REPLY_SIZE], secret[SEAL_SECRET_SIZE] = {1}, byte;
  struct link_seal seal;
  uint64_t client;
  (void)state;
  const int listener = raw_listen(address);
  const uint64_t out = side_open(one, TWO, address);
  const int fd = raw_accept(listener);
  assert_true(raw_read(fd, hello, sizeof hello));
  assert_true(link_seal_reply(&seal, secret, TWO, hello, &client, reply));
  raw_write(fd, reply, sizeof reply);
  assert_false(raw_read(fd, &byte, 1));
  side_wait_down(one, out, 0);
  close(fd);
  close(listener);
  side_stop(one);
}

static void test_open_when_the_server_never_answers_then_down_in_time(void **state)
{
  struct side *one = start_impatient(ONE);
  char address[STORE_ADDRESS_MAX + 1];
  (void)state;
  const int listener = raw_listen(address);
  const uint64_t out = side_open(one, TWO, address);
  send_text(one, out, "x");
  side_wait_down(one, out, 0);
  close(listener);
  side_stop(one);
}

static void test_client_when_the_server_stops_at_any_byte_then_down(void **state)
{
  struct side *one = start(ONE);
  char address[STORE_ADDRESS_MAX + 1];
  uint8_t secret[SEAL_SECRET_SIZE];
  (void)state;
  memset(secret, SECRET, sizeof secret);
  const int listener = raw_listen(address);
  for (size_t bytes = 0; bytes < SEAL_REPLY_SIZE + SEAL_ACCEPT_SIZE; bytes++) {
    uint8_t hello[SEAL_HELLO_SIZE], confirm[SEAL_CONFIRM_SIZE];
    uint8_t said[SEAL_REPLY_SIZE + SEAL_ACCEPT_SIZE];
    struct link_seal seal;
    uint64_t client;
    const uint64_t out = side_open(one, TWO, address);
    send_text(one, out, "x");
    const int fd = raw_accept(listener);
    assert_true(raw_read(fd, hello, sizeof hello));
    assert_true(link_seal_reply(&seal, secret, TWO, hello, &client, said));
    const bool replied = bytes >= SEAL_REPLY_SIZE;
    raw_write(fd, said, replied ? SEAL_REPLY_SIZE : bytes);
    if (replied) {
      assert_true(raw_read(fd, confirm, sizeof confirm));
      assert_true(link_seal_accept(&seal, secret, confirm, said + SEAL_REPLY_SIZE));
      raw_write(fd, said + SEAL_REPLY_SIZE, bytes - SEAL_REPLY_SIZE);
    }
    close(fd);
    side_wait_down(one, out, replied ? 1 : 0);
  }
  close(listener);
  side_stop(one);
}

/* ---- strangers ------------------------------------------------------------------------------- */

static void check_serves(struct side *two)
{
  struct side *one = start(ONE);
  const uint64_t out = side_open(one, TWO, side_address(two));
  send_text(one, out, "still there");
  (void)wait_text(two, "still there");
  side_stop(one);
  struct side_event *event = side_wait(two); /* its end */
  assert_true(event->down);
  side_event_free(event);
}

static void test_server_when_a_client_stops_at_any_byte_then_serves_on(void **state)
{
  struct side *two = start(TWO);
  (void)state;
  for (size_t bytes = 0; bytes < SEAL_HELLO_SIZE + SEAL_CONFIRM_SIZE; bytes++) {
    uint8_t hello[SEAL_HELLO_SIZE], reply[SEAL_REPLY_SIZE], confirm[SEAL_CONFIRM_SIZE];
    uint8_t secret[SEAL_SECRET_SIZE];
    struct link_seal seal;
    memset(secret, SECRET, sizeof secret);
    const int fd = raw_connect(side_address(two));
    link_seal_hello(&seal, ONE, TWO, hello);
    const bool said = bytes >= SEAL_HELLO_SIZE;
    raw_write(fd, hello, said ? SEAL_HELLO_SIZE : bytes);
    if (said) {
      assert_true(raw_read(fd, reply, sizeof reply));
      assert_true(link_seal_confirm(&seal, secret, reply, confirm));
      raw_write(fd, confirm, bytes - SEAL_HELLO_SIZE);
    }
    close(fd);
  }
  check_serves(two);
  assert_true(side_is_quiet(two));
  side_stop(two);
}

static void test_server_when_bytes_are_garbage_then_closes_and_serves_on(void **state)
{
  struct side *two = start(TWO);
  uint8_t garbage[4096];
  (void)state;
  for (unsigned round = 0; round < 50; round++) {
    for (size_t i = 0; i < sizeof garbage; i++)
      garbage[i] = (uint8_t)((i * 2654435761u + round * 40503u) >> 7);
    const int fd = raw_connect(side_address(two));
    raw_write(fd, garbage, sizeof garbage);
    raw_drain(fd);
    close(fd);
  }
  check_serves(two);
  side_stop(two);
}

static void test_server_when_a_proof_is_false_then_closes(void **state)
{
  struct side *two = start(TWO);
  (void)state;
  for (unsigned bit = 0; bit < 8u * SEAL_PROOF_SIZE; bit += 37) {
    uint8_t hello[SEAL_HELLO_SIZE], reply[SEAL_REPLY_SIZE], confirm[SEAL_CONFIRM_SIZE], byte;
    uint8_t secret[SEAL_SECRET_SIZE];
    struct link_seal seal;
    memset(secret, SECRET, sizeof secret);
    const int fd = raw_connect(side_address(two));
    link_seal_hello(&seal, ONE, TWO, hello);
    raw_write(fd, hello, sizeof hello);
    assert_true(raw_read(fd, reply, sizeof reply));
    assert_true(link_seal_confirm(&seal, secret, reply, confirm));
    confirm[bit / 8u] ^= (uint8_t)(1u << (bit % 8u));
    raw_write(fd, confirm, sizeof confirm);
    assert_false(raw_read(fd, &byte, 1));
    close(fd);
  }
  check_serves(two);
  side_stop(two);
}

/* What a node said once is worth nothing to who has listened. */
static void test_server_when_a_handshake_is_repeated_then_closes(void **state)
{
  struct side *two = start(TWO);
  uint8_t hello[SEAL_HELLO_SIZE], reply[SEAL_REPLY_SIZE], confirm[SEAL_CONFIRM_SIZE];
  uint8_t secret[SEAL_SECRET_SIZE], accept[SEAL_ACCEPT_SIZE], byte;
  struct link_seal seal;
  (void)state;
  memset(secret, SECRET, sizeof secret);
  int fd = raw_connect(side_address(two));
  link_seal_hello(&seal, ONE, TWO, hello);
  raw_write(fd, hello, sizeof hello);
  assert_true(raw_read(fd, reply, sizeof reply));
  assert_true(link_seal_confirm(&seal, secret, reply, confirm));
  raw_write(fd, confirm, sizeof confirm);
  assert_true(raw_read(fd, accept, sizeof accept));
  close(fd);
  fd = raw_connect(side_address(two));
  raw_write(fd, hello, sizeof hello);
  assert_true(raw_read(fd, reply, sizeof reply));
  raw_write(fd, confirm, sizeof confirm);
  assert_false(raw_read(fd, &byte, 1));
  close(fd);
  side_stop(two);
}

static void test_server_when_strangers_say_nothing_then_they_make_room(void **state)
{
  struct side *two = start(TWO);
  int fds[LINK_STRANGERS_MAX + 40];
  (void)state;
  for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
    fds[i] = raw_connect(side_address(two));
  check_serves(two);
  for (size_t i = 0; i < 40; i++)
    raw_drain(fds[i]); /* the oldest were closed */
  for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
    close(fds[i]);
  side_stop(two);
}

static void test_server_when_a_stranger_is_slow_then_it_is_closed(void **state)
{
  struct side *two = start_impatient(TWO);
  (void)state;
  const int fd = raw_connect(side_address(two));
  raw_write(fd, "HFLINK01", 8);
  raw_drain(fd);
  close(fd);
  side_stop(two);
}

/* ---- links that break ------------------------------------------------------------------------ */

struct broken {
  struct side *two;
  struct link_seal seal;
  int fd;
  uint64_t in;
};

/* A link that the test has opened to a side, and one frame over it. */
static struct broken broken_begin(struct side *two)
{
  struct broken broken = {.two = two, .fd = raw_connect(side_address(two))};
  raw_handshake_client(broken.fd, &broken.seal, SECRET, ONE, TWO);
  struct hf_bytes record = raw_record(&broken.seal, "good", 4);
  raw_write(broken.fd, record.at, record.size);
  hf_bytes_deinit(&record);
  broken.in = wait_text(two, "good");
  return broken;
}

static void broken_end(struct broken *broken)
{
  side_wait_down(broken->two, broken->in, 0);
  raw_drain(broken->fd);
  close(broken->fd);
}

static void test_record_when_any_byte_is_changed_then_link_ends(void **state)
{
  struct side *two = start(TWO);
  (void)state;
  for (size_t at = 0; at < SEAL_SIZE_SIZE + SEAL_EXTRA + 8; at += 3) {
    struct broken broken = broken_begin(two);
    struct hf_bytes record = raw_record(&broken.seal, "evil", 4);
    record.at[at] ^= 1;
    raw_write(broken.fd, record.at, record.size);
    if (at < SEAL_SIZE_SIZE) /* a size that promises more waits for more */
      shutdown(broken.fd, SHUT_WR);
    hf_bytes_deinit(&record);
    broken_end(&broken);
  }
  side_stop(two);
}

static void test_record_when_repeated_or_left_out_then_link_ends(void **state)
{
  struct side *two = start(TWO);
  (void)state;
  struct broken broken = broken_begin(two);
  struct hf_bytes record = raw_record(&broken.seal, "once", 4);
  raw_write(broken.fd, record.at, record.size);
  assert_int_equal(wait_text(two, "once"), broken.in);
  raw_write(broken.fd, record.at, record.size);
  hf_bytes_deinit(&record);
  broken_end(&broken);
  broken = broken_begin(two);
  record = raw_record(&broken.seal, "lost", 4);
  hf_bytes_deinit(&record);
  record = raw_record(&broken.seal, "next", 4);
  raw_write(broken.fd, record.at, record.size);
  hf_bytes_deinit(&record);
  broken_end(&broken);
  side_stop(two);
}

static void test_record_when_cut_off_then_its_frame_never_comes(void **state)
{
  struct side *two = start(TWO);
  (void)state;
  for (size_t size = 1; size < 30; size += 4) {
    struct broken broken = broken_begin(two);
    struct hf_bytes record = raw_record(&broken.seal, "cut off", 7);
    raw_write(broken.fd, record.at, size);
    shutdown(broken.fd, SHUT_WR);
    hf_bytes_deinit(&record);
    broken_end(&broken);
  }
  side_stop(two);
}

static void test_frame_when_too_large_then_link_ends(void **state)
{
  struct side *two = start(TWO);
  (void)state;
  struct broken broken = broken_begin(two);
  const uint8_t head[4] = {1, 0, 0, 1}; /* 16 MiB and one */
  struct hf_bytes wire = {0};
  link_seal_push(&broken.seal, head, sizeof head, &wire);
  raw_write(broken.fd, wire.at, wire.size);
  hf_bytes_deinit(&wire);
  broken_end(&broken);
  side_stop(two);
}

static void test_link_when_the_other_side_falls_silent_then_down_on_both(void **state)
{
  struct side *one = start_impatient(ONE), *two = start_impatient(TWO);
  char address[STORE_ADDRESS_MAX + 1];
  struct link_seal seal;
  (void)state;
  const int listener = raw_listen(address);
  const uint64_t out = side_open(one, TWO, address);
  send_text(one, out, "x");
  const int fd = raw_accept(listener);
  raw_handshake_server(fd, &seal, SECRET, TWO);
  struct broken broken = broken_begin(two);
  side_wait_down(one, out, 1); /* neither the test's server nor its client says a word */
  broken_end(&broken);
  close(fd);
  close(listener);
  side_stop(one);
  side_stop(two);
}

/* ---- bounds ---------------------------------------------------------------------------------- */

static void test_reader_when_the_actor_is_behind_then_sender_is_refused_until_it_reads(void **state)
{
  struct side *one = start(ONE), *two = start(TWO);
  const size_t size = 1024 * 1024;
  unsigned sent = 0, more;
  (void)state;
  side_keep(two, true);
  const uint64_t out = side_open(one, TWO, side_address(two));
  do {
    more = side_send_many(one, out, sent, 16, size);
    sent += more;
    assert_true(sent < 1000);
  } while (more > 0);
  const uint64_t bound =
    LINK_QUEUE_MAX + LINK_UNREAD_BYTES_MAX + 32u * 1024u * 1024u; /* the last for the sockets */
  assert_true((uint64_t)sent * size < bound);
  side_keep(two, false);
  wait_numbered(two, 0, sent, size);
  while (side_send_many(one, out, sent, 1, size) == 0) {
  }
  wait_numbered(two, sent, 1, size);
  side_stop(one);
  side_stop(two);
}

static void test_reader_when_it_never_reads_then_link_ends_and_tells_what_was_sent(void **state)
{
  struct side *one = start_impatient(ONE);
  char address[STORE_ADDRESS_MAX + 1];
  struct link_seal seal;
  (void)state;
  const int listener = raw_listen(address);
  const uint64_t out = side_open(one, TWO, address);
  const int fd = raw_accept(listener);
  raw_handshake_server(fd, &seal, SECRET, TWO);
  const unsigned count = side_send_many(one, out, 0, 60, 1024 * 1024);
  assert_int_equal(count, 60);
  struct side_event *event = side_wait(one);
  assert_true(event->down && event->link == out);
  assert_true(event->sent < count); /* most never left */
  side_event_free(event);
  close(fd);
  close(listener);
  side_stop(one);
}

static void test_stop_when_links_are_in_every_state_then_all_is_freed(void **state)
{
  struct side *one = start(ONE), *two = start(TWO);
  char address[STORE_ADDRESS_MAX + 1];
  (void)state;
  const int listener = raw_listen(address);
  (void)side_open(one, TWO, address); /* never answered */
  const uint64_t up = side_open(one, TWO, side_address(two));
  send_text(one, up, "x");
  (void)wait_text(two, "x");
  const int stranger = raw_connect(side_address(two));
  side_keep(two, true);
  (void)side_send_many(one, up, 0, 50, 1024 * 1024); /* half of a frame, and much to write */
  side_stop(one);
  side_stop(two);
  close(stranger);
  close(listener);
}

static void test_listen_when_the_address_is_taken_or_none_then_says_so(void **state)
{
  const struct link_config config = {.node = 1, .silence_us = 1};
  char bound[STORE_ADDRESS_MAX + 1], taken[STORE_ADDRESS_MAX + 1];
  (void)state;
  struct link_port *port = link_port_new(&config, 2);
  assert_true(link_port_listen(port, "nowhere", bound) < 0);
  const int listener = raw_listen(taken);
  assert_true(link_port_listen(port, taken, bound) < 0);
  assert_int_equal(link_port_listen(port, "[::1]:0", bound), 0);
  assert_memory_equal(bound, "[::1]:", 6);
  assert_true(strtoul(bound + 6, NULL, 10) > 0);
  link_port_free(port);
  close(listener);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_link_when_opened_then_frames_go_both_ways),
    cmocka_unit_test(test_link_when_both_have_many_loops_then_each_opens_its_own),
    cmocka_unit_test(test_frames_when_of_any_size_then_arrive_in_order),
    cmocka_unit_test(test_link_when_idle_then_pings_keep_it),
    cmocka_unit_test(test_link_when_closed_then_the_other_side_learns_of_it),
    cmocka_unit_test(test_link_when_the_node_comes_back_then_opens_again),
    cmocka_unit_test(test_open_when_nobody_listens_then_down_and_nothing_sent),
    cmocka_unit_test(test_open_when_the_address_is_none_then_down),
    cmocka_unit_test(test_open_when_the_secret_is_another_then_refused),
    cmocka_unit_test(test_open_when_another_node_is_there_then_refused),
    cmocka_unit_test(test_open_when_the_server_does_not_know_the_secret_then_it_gets_no_proof),
    cmocka_unit_test(test_open_when_the_server_never_answers_then_down_in_time),
    cmocka_unit_test(test_client_when_the_server_stops_at_any_byte_then_down),
    cmocka_unit_test(test_server_when_a_client_stops_at_any_byte_then_serves_on),
    cmocka_unit_test(test_server_when_bytes_are_garbage_then_closes_and_serves_on),
    cmocka_unit_test(test_server_when_a_proof_is_false_then_closes),
    cmocka_unit_test(test_server_when_a_handshake_is_repeated_then_closes),
    cmocka_unit_test(test_server_when_strangers_say_nothing_then_they_make_room),
    cmocka_unit_test(test_server_when_a_stranger_is_slow_then_it_is_closed),
    cmocka_unit_test(test_record_when_any_byte_is_changed_then_link_ends),
    cmocka_unit_test(test_record_when_repeated_or_left_out_then_link_ends),
    cmocka_unit_test(test_record_when_cut_off_then_its_frame_never_comes),
    cmocka_unit_test(test_frame_when_too_large_then_link_ends),
    cmocka_unit_test(test_link_when_the_other_side_falls_silent_then_down_on_both),
    cmocka_unit_test(test_reader_when_the_actor_is_behind_then_sender_is_refused_until_it_reads),
    cmocka_unit_test(test_reader_when_it_never_reads_then_link_ends_and_tells_what_was_sent),
    cmocka_unit_test(test_stop_when_links_are_in_every_state_then_all_is_freed),
    cmocka_unit_test(test_listen_when_the_address_is_taken_or_none_then_says_so),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
