/* The ring between two loops, alone and under two threads. */
#include "runtime/ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>

static void put(struct ring *ring, uint64_t word)
{
  rt_env *slot = ring_reserve(ring);
  assert_non_null(slot);
  slot->payload.u[0] = word;
}

static void test_reserve_when_nothing_is_published_then_the_reader_sees_nothing(void **state)
{
  struct ring *ring = ring_new(8);
  rt_env *env;
  (void)state;
  put(ring, 1);
  assert_int_equal(ring_staged(ring), 1);
  assert_int_equal(ring_peek(ring, 16, &env), 0);
  ring_publish(ring);
  assert_int_equal(ring_staged(ring), 0);
  assert_int_equal(ring_peek(ring, 16, &env), 1);
  assert_int_equal(env->payload.u[0], 1);
  ring_free(ring);
}

static void test_reserve_when_the_ring_is_full_then_it_refuses_until_release(void **state)
{
  struct ring *ring = ring_new(4);
  rt_env *env;
  (void)state;
  for (uint64_t i = 0; i < 4; i++) {
    put(ring, i);
  }
  assert_null(ring_reserve(ring));
  ring_publish(ring);
  assert_int_equal(ring_peek(ring, 2, &env), 2);
  ring_skip(ring, 2);
  assert_null(ring_reserve(ring)); /* skipped is not given back */
  assert_false(ring_release(ring));
  put(ring, 4);
  put(ring, 5);
  assert_null(ring_reserve(ring));
  ring_free(ring);
}

static void test_peek_when_the_ring_wraps_then_the_order_is_kept(void **state)
{
  struct ring *ring = ring_new(8);
  uint64_t next = 0;
  (void)state;
  for (uint64_t put_next = 0; put_next < 1000;) {
    for (unsigned i = 0; i < 5; i++) {
      put(ring, put_next++);
    }
    ring_publish(ring);
    rt_env *env;
    unsigned count;
    while ((count = ring_peek(ring, 16, &env)) > 0) {
      for (unsigned i = 0; i < count; i++) {
        assert_int_equal(env[i].payload.u[0], next++);
      }
      ring_skip(ring, count);
      ring_release(ring);
    }
  }
  assert_int_equal(next, 1000);
  assert_true(ring_is_empty(ring));
  ring_free(ring);
}

static void test_release_when_the_producer_waits_then_it_is_told_at_half(void **state)
{
  struct ring *ring = ring_new(8);
  rt_env *env;
  (void)state;
  for (uint64_t i = 0; i < 8; i++) {
    put(ring, i);
  }
  ring_publish(ring);
  assert_true(ring_wait_for_room(ring));
  assert_int_equal(ring_peek(ring, 3, &env), 3);
  ring_skip(ring, 3);
  assert_false(ring_release(ring)); /* five are left */
  assert_int_equal(ring_peek(ring, 1, &env), 1);
  ring_skip(ring, 1);
  assert_true(ring_release(ring));
  assert_false(ring_release(ring)); /* told once */
  assert_false(ring_wait_for_room(ring));
  ring_free(ring);
}

/* ---- two threads ----------------------------------------------------------------------------- */

#define STRESS 200000u

static void *produce(void *arg)
{
  struct ring *ring = arg;
  for (uint64_t i = 0; i < STRESS;) {
    rt_env *slot = ring_reserve(ring);
    if (slot == NULL) {
      ring_publish(ring);
      sched_yield();
      continue;
    }
    slot->to = i;
    slot->payload.u[2] = ~i;
    i++;
    if (i % 7 == 0) {
      ring_publish(ring);
    }
  }
  ring_publish(ring);
  return NULL;
}

static void test_ring_when_two_threads_use_it_then_all_arrives_once_in_order(void **state)
{
  struct ring *ring = ring_new(64);
  pthread_t producer;
  uint64_t next = 0;
  (void)state;
  assert_int_equal(pthread_create(&producer, NULL, produce, ring), 0);
  while (next < STRESS) {
    rt_env *env;
    unsigned count = ring_peek(ring, 16, &env);
    if (count == 0) {
      sched_yield();
      continue;
    }
    for (unsigned i = 0; i < count; i++) {
      assert_int_equal(env[i].to, next);
      assert_int_equal(env[i].payload.u[2], ~next);
      next++;
    }
    ring_skip(ring, count);
    ring_release(ring);
  }
  pthread_join(producer, NULL);
  assert_true(ring_is_empty(ring));
  ring_free(ring);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_reserve_when_nothing_is_published_then_the_reader_sees_nothing),
    cmocka_unit_test(test_reserve_when_the_ring_is_full_then_it_refuses_until_release),
    cmocka_unit_test(test_peek_when_the_ring_wraps_then_the_order_is_kept),
    cmocka_unit_test(test_release_when_the_producer_waits_then_it_is_told_at_half),
    cmocka_unit_test(test_ring_when_two_threads_use_it_then_all_arrives_once_in_order),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
