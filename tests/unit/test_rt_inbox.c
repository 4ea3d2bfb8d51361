/* The queues into a loop from foreign threads, and the queue within a loop. */
#include "runtime/fifo.h"
#include "runtime/inbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>

#define PRODUCERS 4u
#define EACH 20000u

/* ---- inbox ----------------------------------------------------------------------------------- */

static void test_inbox_when_it_is_full_then_it_refuses_until_one_is_taken(void **state)
{
  struct inbox *inbox = mem_lines(sizeof *inbox);
  rt_env env = {.op = 1};
  (void)state;
  inbox_init(inbox, 4);
  assert_true(inbox_is_empty(inbox));
  for (uint64_t round = 0; round < 10; round++) {
    for (uint16_t i = 0; i < 4; i++) {
      env.op = i;
      assert_true(inbox_put(inbox, &env));
    }
    assert_false(inbox_put(inbox, &env));
    assert_false(inbox_is_empty(inbox));
    for (uint16_t i = 0; i < 4; i++) {
      assert_true(inbox_take(inbox, &env));
      assert_int_equal(env.op, i);
    }
    assert_false(inbox_take(inbox, &env));
  }
  inbox_deinit(inbox);
  rt_free(inbox);
}

struct source {
  struct inbox *inbox;
  struct done_list *list;
  uint64_t number;
};

static void *post(void *arg)
{
  const struct source *source = arg;
  for (uint64_t i = 0; i < EACH;) {
    rt_env env = {.from = source->number, .payload.u = {i}};
    if (inbox_put(source->inbox, &env)) {
      i++;
    } else {
      sched_yield();
    }
  }
  return NULL;
}

static void test_inbox_when_many_threads_put_then_each_keeps_its_order(void **state)
{
  struct inbox *inbox = mem_lines(sizeof *inbox);
  struct source sources[PRODUCERS];
  pthread_t threads[PRODUCERS];
  uint64_t next[PRODUCERS] = {0};
  (void)state;
  inbox_init(inbox, 64);
  for (unsigned i = 0; i < PRODUCERS; i++) {
    sources[i] = (struct source){.inbox = inbox, .number = i};
    assert_int_equal(pthread_create(&threads[i], NULL, post, &sources[i]), 0);
  }
  for (uint64_t got = 0; got < (uint64_t)PRODUCERS * EACH;) {
    rt_env env;
    if (!inbox_take(inbox, &env)) {
      sched_yield();
      continue;
    }
    assert_int_equal(env.payload.u[0], next[env.from]);
    next[env.from]++;
    got++;
  }
  for (unsigned i = 0; i < PRODUCERS; i++) {
    pthread_join(threads[i], NULL);
    assert_int_equal(next[i], EACH);
  }
  assert_true(inbox_is_empty(inbox));
  inbox_deinit(inbox);
  rt_free(inbox);
}

/* ---- done list ------------------------------------------------------------------------------- */

struct node {
  struct done_node node;
  uint64_t from, number;
};

static void test_done_list_when_nodes_are_reused_then_none_is_lost(void **state)
{
  struct done_list *list = mem_lines(sizeof *list);
  struct node nodes[3] = {{.number = 0}, {.number = 1}, {.number = 2}};
  (void)state;
  done_list_init(list);
  assert_true(done_list_is_empty(list));
  for (unsigned round = 0; round < 10; round++) {
    for (unsigned i = 0; i < 3; i++) {
      done_list_put(list, &nodes[i].node);
    }
    for (unsigned i = 0; i < 3; i++) {
      assert_false(done_list_is_empty(list));
      assert_ptr_equal(done_list_take(list), &nodes[i].node);
    }
    assert_null(done_list_take(list));
    assert_true(done_list_is_empty(list));
  }
  rt_free(list);
}

static void *finish(void *arg)
{
  const struct source *source = arg;
  for (uint64_t i = 0; i < EACH; i++) {
    struct node *node = rt_alloc(sizeof *node);
    node->from = source->number;
    node->number = i;
    done_list_put(source->list, &node->node);
  }
  return NULL;
}

static void test_done_list_when_many_threads_put_then_each_keeps_its_order(void **state)
{
  struct done_list *list = mem_lines(sizeof *list);
  struct source sources[PRODUCERS];
  pthread_t threads[PRODUCERS];
  uint64_t next[PRODUCERS] = {0};
  (void)state;
  done_list_init(list);
  for (unsigned i = 0; i < PRODUCERS; i++) {
    sources[i] = (struct source){.list = list, .number = i};
    assert_int_equal(pthread_create(&threads[i], NULL, finish, &sources[i]), 0);
  }
  for (uint64_t got = 0; got < (uint64_t)PRODUCERS * EACH;) {
    struct node *node = (void *)done_list_take(list);
    if (node == NULL) {
      sched_yield();
      continue;
    }
    assert_int_equal(node->number, next[node->from]);
    next[node->from]++;
    got++;
    rt_free(node);
  }
  for (unsigned i = 0; i < PRODUCERS; i++) {
    pthread_join(threads[i], NULL);
  }
  assert_true(done_list_is_empty(list));
  rt_free(list);
}

/* ---- fifo ------------------------------------------------------------------------------------ */

static void test_fifo_when_it_spans_chunks_then_the_order_is_kept(void **state)
{
  struct fifo_pool pool;
  struct fifo queue;
  uint64_t put = 0;
  uint64_t next = 0;
  (void)state;
  fifo_pool_init(&pool, 7, 2);
  fifo_init(&queue, &pool);
  for (unsigned round = 1; round < 60; round++) {
    for (unsigned i = 0; i < round; i++) {
      fifo_push(&queue)->payload.u[0] = put++;
    }
    for (unsigned left = round / 2 + (round == 59 ? 2000 : 0); left > 0;) {
      rt_env *env;
      unsigned count = fifo_peek(&queue, left < 5 ? left : 5, &env);
      if (count == 0) {
        break;
      }
      for (unsigned i = 0; i < count; i++) {
        assert_int_equal(env[i].payload.u[0], next++);
      }
      fifo_pop(&queue, count);
      left -= count;
    }
    assert_int_equal(queue.count, put - next);
  }
  assert_int_equal(queue.count, 0);
  assert_int_equal(next, put);
  fifo_deinit(&queue);
  fifo_pool_deinit(&pool);
}

/* What is read in place stays where it is while the reader pushes. */
static void test_fifo_when_the_reader_pushes_then_its_envelope_stays(void **state)
{
  struct fifo_pool pool;
  struct fifo queue;
  rt_env *env = NULL;
  (void)state;
  fifo_pool_init(&pool, 3, 2);
  fifo_init(&queue, &pool);
  fifo_push(&queue)->payload.u[0] = 4711;
  assert_int_equal(fifo_peek(&queue, 1, &env), 1);
  for (unsigned i = 0; i < 20; i++) {
    memset(fifo_push(&queue), 0, sizeof *env);
  }
  assert_int_equal(env->payload.u[0], 4711);
  unsigned count;
  while ((count = fifo_peek(&queue, 16, &env)) > 0) {
    fifo_pop(&queue, count);
  }
  fifo_deinit(&queue);
  fifo_pool_deinit(&pool);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_inbox_when_it_is_full_then_it_refuses_until_one_is_taken),
    cmocka_unit_test(test_inbox_when_many_threads_put_then_each_keeps_its_order),
    cmocka_unit_test(test_done_list_when_nodes_are_reused_then_none_is_lost),
    cmocka_unit_test(test_done_list_when_many_threads_put_then_each_keeps_its_order),
    cmocka_unit_test(test_fifo_when_it_spans_chunks_then_the_order_is_kept),
    cmocka_unit_test(test_fifo_when_the_reader_pushes_then_its_envelope_stays),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
