/* What only the real driver can show: the system refuses, a handler is slow, sockets share the
 * loop. */
#include "driver_world.h"

#include "holdfast/check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

/* ---- a system that refuses ------------------------------------------------------------------- */

static int lowest_free_descriptor(void)
{
  int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  CHECK(fd >= 0);
  close(fd);
  return fd;
}

/* Two loops need more than eight descriptors, so it fails at eight different places; each failure
 * is clean, and with the old limit a start works again. */
static void test_start_when_descriptors_run_out_then_it_fails_and_frees(void **state)
{
  struct world *world = world_new("uv");
  struct rlimit before;
  (void)state;
  world_start(world); /* libuv makes descriptors of its own once, and aborts without them */
  assert_true(world_stop(world, 5000000));
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
  for (rlim_t more = 0; more < 8; more++) {
    struct rlimit few = {.rlim_cur = (rlim_t)lowest_free_descriptor() + more,
                         .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    const rt *runtime = rt_start(world->driver, &world->config);
    int error = errno;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_null(runtime);
    assert_int_equal(error, EMFILE);
  }
  world->runtime = rt_start(world->driver, &world->config);
  assert_non_null(world->runtime);
  assert_true(world_stop(world, 5000000));
  world_free(world);
}

/* ---- a slow handler -------------------------------------------------------------------------- */

/* What no handler may do: it holds its loop up. */
static void block(rt_ctx *ctx, struct world *world, void *arg)
{
  (void)ctx;
  (void)world;
  (void)arg;
  poll(NULL, 0, 30);
}

struct text {
  char bytes[65536];
  size_t size;
};

static void append(void *arg, const char *bytes, size_t size)
{
  struct text *text = arg;
  CHECK(text->size + size < sizeof text->bytes);
  memcpy(text->bytes + text->size, bytes, size);
  text->size += size;
  text->bytes[text->size] = '\0';
}

static void dump(rt_ctx *ctx, struct world *world, void *arg)
{
  (void)ctx;
  (void)world;
  rt_trace_dump(append, arg);
}

static void test_stall_when_a_handler_takes_30_ms_then_it_is_counted_and_in_the_trace(void **state)
{
  static struct text text;
  struct world *world = world_new("uv");
  (void)state;
  text.size = 0;
  world_start(world);
  world_run(world, 1, block, NULL);
  world_await(world, COUNT_TURN_ENDS, 1); /* the next task comes in a later turn */
  world_run(world, 1, dump, &text);
  assert_true(world_metric(world, "rt_stalls_total") >= 1);
  assert_non_null(strstr(text.bytes, "trace of loop 1"));
  assert_non_null(strstr(text.bytes, "to=3/1/0"));
  assert_non_null(strstr(text.bytes, " STALL\n"));
  assert_null(strstr(text.bytes, "to=3/0/0"));
  world_free(world);
}

static void test_trace_when_the_thread_has_no_loop_then_the_dump_is_empty(void **state)
{
  static struct text text;
  (void)state;
  text.size = 0;
  rt_trace_dump(append, &text);
  assert_int_equal(text.size, 0);
}

/* ---- sockets --------------------------------------------------------------------------------- */

struct pipe_end {
  uv_poll_t poll;
  int fds[2];
  rt_ctx *ctx;
};

static void on_closed(uv_handle_t *handle)
{
  struct pipe_end *end = handle->data;
  close(end->fds[0]);
  close(end->fds[1]);
  rt_free(end);
}

/* A socket callback: speaks as the hand, which asks an item on the other loop. */
static void on_readable(uv_poll_t *poll, int status, int events)
{
  struct pipe_end *end = poll->data;
  char byte;
  CHECK(status == 0 && (events & UV_READABLE) != 0);
  ssize_t size = read(end->fds[0], &byte, 1);
  CHECK(size == 1);
  rt_enter(end->ctx, hand_id(0));
  ask_item(end->ctx, item_id(1, 1), OP_ECHO, (uint64_t)byte, 1);
  rt_leave(end->ctx);
  if (byte == 9) {
    uv_close((uv_handle_t *)&end->poll, on_closed);
  }
}

static void open_pipe(rt_ctx *ctx, struct world *world, void *arg)
{
  struct pipe_end *end = rt_alloc(sizeof *end);
  int *ret_fd = arg;
  (void)world;
  int error = pipe(end->fds);
  CHECK(error == 0);
  end->ctx = ctx;
  end->poll.data = end;
  error = uv_poll_init(driver_uv_loop(ctx), &end->poll, end->fds[0]);
  CHECK(error == 0);
  uv_poll_start(&end->poll, UV_READABLE, on_readable);
  *ret_fd = end->fds[1];
}

static void relay_for_long(rt_ctx *ctx, struct world *world, void *arg)
{
  (void)world;
  (void)arg;
  tell_item(ctx, item_id(0, 1), OP_RELAY, 100000);
}

/* Both while the loop sleeps and while relays keep it busy. */
static void test_socket_when_it_is_readable_then_its_callback_may_speak_as_an_actor(void **state)
{
  struct world *world = world_new("uv");
  int fd = -1;
  (void)state;
  world_start(world);
  world_run(world, 0, open_pipe, &fd);
  for (char byte = 0; byte < 10; byte++) {
    if (byte == 5) {
      world_run(world, 0, relay_for_long, NULL);
    }
    assert_int_equal(write(fd, &byte, 1), 1);
    world_await(world, COUNT_REPLIES, (uint64_t)byte + 1);
    assert_int_equal(atomic_load(&world->last_reply), byte);
  }
  world_await(world, COUNT_OTHER, 1);
  assert_true(world_stop(world, 5000000));
  world_free(world);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_start_when_descriptors_run_out_then_it_fails_and_frees),
    cmocka_unit_test(test_stall_when_a_handler_takes_30_ms_then_it_is_counted_and_in_the_trace),
    cmocka_unit_test(test_trace_when_the_thread_has_no_loop_then_the_dump_is_empty),
    cmocka_unit_test(test_socket_when_it_is_readable_then_its_callback_may_speak_as_an_actor),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
