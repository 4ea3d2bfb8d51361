/* Every socket call of a link between two nodes fails: the connection ends behind the n-th byte of
 * a session, for all n, in each direction, in order and by a reset; and no descriptor is left for
 * the n-th socket. Who asked gets the echo or learns that the link is down, once; the other node
 * has got the first frames and no others, at most as many as were told to have left.
 * ctest: timeout=300 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/cut_proxy.h"
#include "tests/support/shortage.h"
#include "tests/unit/link_fixture.h"

#define ONE 11u
#define TWO 22u
#define SECRET 7u
#define ASKS 3u
#define RUNS_MAX 4096u

struct run { /* a session: ASKS frames and their echoes */
  uint64_t sent;
  unsigned echoes, arrived;
};

struct scene {
  struct side *one, *two;
  struct cut_proxy *proxy;
  char address[STORE_ADDRESS_MAX + 1];
  struct run runs[RUNS_MAX];
  unsigned runs_count;
  uint64_t closed; /* a link that was closed here: its end may have been told just before */
};

struct ask { /* a frame */
  uint32_t run, place;
};

static struct scene scene;

static void scene_start(void)
{
  scene = (struct scene){.runs_count = 0};
  scene.one = side_start(&(struct side_config){.node = ONE, .secret = SECRET});
  scene.two = side_start(&(struct side_config){.node = TWO, .secret = SECRET, .echo = true});
  const char *port = strrchr(side_address(scene.two), ':') + 1;
  scene.proxy = cut_proxy_new((int)strtoul(port, NULL, 10));
  (void)snprintf(scene.address, sizeof scene.address, "127.0.0.1:%d", cut_proxy_port(scene.proxy));
}

/* True: all echoes came. */
static bool session(const char *address)
{
  assert_true(scene.runs_count < RUNS_MAX);
  struct run *run = &scene.runs[scene.runs_count];
  struct ask ask = {.run = scene.runs_count++};
  const uint64_t link = side_open(scene.one, TWO, address);
  for (ask.place = 0; ask.place < ASKS; ask.place++) /* it may be down by now */
    (void)side_send(scene.one, 0, link, &ask, sizeof ask);
  while (run->echoes < ASKS) {
    struct side_event *event = side_wait(scene.one);
    if (event->down && event->link == scene.closed && scene.closed != 0) {
      scene.closed = 0;
      side_event_free(event);
      continue;
    }
    assert_int_equal(event->link, link);
    const bool down = event->down;
    run->sent = event->sent;
    if (!down) {
      ask.place = run->echoes++;
      assert_int_equal(event->size, sizeof ask);
      assert_memory_equal(event->bytes, &ask, sizeof ask);
    }
    side_event_free(event);
    if (down)
      return false;
  }
  run->sent = ASKS;
  scene.closed = link;
  side_close(scene.one, link);
  return true;
}

/* What came to the other node: of each session the first frames in order; each link that brought
 * one has one end. */
static void check_arrived(void)
{
  unsigned links = 0, downs = 0, echoed = 0, echoed_arrived = 0;
  for (unsigned i = 0; i < scene.runs_count; i++)
    echoed += scene.runs[i].echoes;
  while (downs < links || echoed_arrived < echoed) {
    struct side_event *event = side_wait(scene.two);
    struct ask ask;
    if (event->down) {
      downs++;
    } else {
      assert_int_equal(event->size, sizeof ask);
      memcpy(&ask, event->bytes, sizeof ask);
      struct run *run = &scene.runs[ask.run];
      assert_int_equal(ask.place, run->arrived);
      links += run->arrived == 0;
      echoed_arrived += run->arrived < run->echoes;
      run->arrived++;
      assert_true(run->arrived <= run->sent);
    }
    side_event_free(event);
  }
  assert_int_equal(downs, links);
  assert_true(side_is_quiet(scene.one));
}

static void scene_stop(void)
{
  check_arrived();
  side_stop(scene.one);
  side_stop(scene.two);
  cut_proxy_free(scene.proxy);
}

static void each_byte(enum cut_way way, int reset)
{
  scene_start();
  for (long bytes = 0;; bytes++) {
    cut_proxy_limit(scene.proxy, way, bytes, reset);
    const bool whole = session(scene.address);
    cut_proxy_limit(scene.proxy, way, -1, 0);
    if (whole) { /* the last byte has passed before the cut, or there was none */
      assert_true(bytes > (long)(SEAL_HELLO_SIZE + SEAL_CONFIRM_SIZE));
      print_message("%ld bytes\n", bytes);
      break;
    }
  }
  assert_true(session(scene.address));
  scene_stop();
}

static void test_link_when_cut_behind_the_nth_byte_to_the_server_then_told_once(void **state)
{
  (void)state;
  each_byte(CUT_TO_SERVER, 0);
  each_byte(CUT_TO_SERVER, 1);
}

static void test_link_when_cut_behind_the_nth_byte_to_the_client_then_told_once(void **state)
{
  (void)state;
  each_byte(CUT_TO_CLIENT, 0);
  each_byte(CUT_TO_CLIENT, 1);
}

static void test_link_when_the_nth_socket_is_not_to_be_had_then_down_and_open_later(void **state)
{
  struct shortage shortage;
  unsigned failed = 0;
  (void)state;
  scene_start();
  cut_proxy_free(scene.proxy);
  scene.proxy = NULL;
  for (unsigned count = 0; count < 4; count++) {
    shortage_begin(&shortage, count);
    const bool whole = session(side_address(scene.two));
    shortage_end(&shortage);
    failed += !whole;
    assert_true(whole || count < 2); /* the socket that opens, and the one that is accepted */
    assert_true(session(side_address(scene.two)));
  }
  assert_true(failed > 0);
  scene_stop();
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_link_when_cut_behind_the_nth_byte_to_the_server_then_told_once),
    cmocka_unit_test(test_link_when_cut_behind_the_nth_byte_to_the_client_then_told_once),
    cmocka_unit_test(test_link_when_the_nth_socket_is_not_to_be_had_then_down_and_open_later),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
