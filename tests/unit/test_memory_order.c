/* test_memory_order.c - the memory store's ordered set, held against a plain sorted array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/store_memory/memory_order.h"

#define KEYS_MAX 2000u

struct key {
  int64_t major;
  uint64_t minor;
};

/* The sorted array. */
struct model {
  struct key keys[KEYS_MAX];
  size_t count;
};

static bool before(struct key a, struct key b)
{
  return a.major != b.major ? a.major < b.major : a.minor < b.minor;
}

/* How many keys come before `key`. */
static size_t place_of(const struct model *model, struct key key)
{
  size_t place = 0;

  while (place < model->count && before(model->keys[place], key))
    place++;
  return place;
}

static bool model_has(const struct model *model, struct key key)
{
  size_t place = place_of(model, key);

  return place < model->count && !before(key, model->keys[place]);
}

static void assert_same(const struct memory_order *order, const struct model *model)
{
  const struct memory_order_node *node = order->first[0];

  for (size_t i = 0; i < model->count; i++) {
    assert_non_null(node);
    assert_true(node->major == model->keys[i].major && node->minor == model->keys[i].minor);
    node = node->next[0];
  }
  assert_null(node);
}

static void test_order_when_random_inserts_and_removes_then_as_a_sorted_array(void **state)
{
  static struct model model;
  struct memory_order order = {0};
  uint64_t random = 42;

  (void)state;
  for (unsigned i = 0; i < 20000; i++) {
    const struct memory_order_node *node;
    struct key key;
    size_t place;

    random = random * 6364136223846793005ull + 1442695040888963407ull;
    key = (struct key){.major = (int64_t)(random >> 40 & 31) - 16, .minor = random >> 50 & 63};
    place = place_of(&model, key);
    if (model_has(&model, key)) {
      memory_order_remove(&order, key.major, key.minor);
      memmove(model.keys + place, model.keys + place + 1,
              (--model.count - place) * sizeof model.keys[0]);
    } else {
      memory_order_insert(&order, key.major, key.minor, &model);
      memmove(model.keys + place + 1, model.keys + place,
              (model.count++ - place) * sizeof model.keys[0]);
      model.keys[place] = key;
    }
    node = memory_order_after(&order, key.major, key.minor);
    place += model_has(&model, key);
    assert_true((node == NULL) == (place == model.count));
    assert_true(node == NULL || (node->major == model.keys[place].major &&
                                 node->minor == model.keys[place].minor && node->item == &model));
    if (i % 500 == 0)
      assert_same(&order, &model);
  }
  assert_same(&order, &model);
  assert_true(model.count > 100);
  memory_order_deinit(&order);
  assert_null(order.first[0]);
}

static void test_order_when_equal_histories_then_equal_heights(void **state)
{
  struct memory_order orders[2] = {{{NULL}, 0}, {{NULL}, 0}};
  const struct memory_order_node *nodes[2];
  unsigned tall = 0;

  (void)state;
  for (uint64_t i = 0; i < 4096; i++) {
    memory_order_insert(&orders[0], 0, i * 7919 % 4096, NULL);
    memory_order_insert(&orders[1], 0, i * 7919 % 4096, NULL);
  }
  nodes[0] = orders[0].first[0];
  nodes[1] = orders[1].first[0];
  while (nodes[0] != NULL) {
    assert_int_equal(nodes[0]->height, nodes[1]->height);
    tall += nodes[0]->height > 1;
    nodes[0] = nodes[0]->next[0];
    nodes[1] = nodes[1]->next[0];
  }
  assert_in_range(tall, 4096 / 8, 4096 / 2); /* a quarter is meant to be */
  memory_order_deinit(&orders[0]);
  memory_order_deinit(&orders[1]);
}

static void test_order_when_empty_then_nothing_follows(void **state)
{
  struct memory_order order = {0};

  (void)state;
  assert_null(memory_order_after(&order, INT64_MIN, 0));
  memory_order_deinit(&order);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_order_when_random_inserts_and_removes_then_as_a_sorted_array),
    cmocka_unit_test(test_order_when_equal_histories_then_equal_heights),
    cmocka_unit_test(test_order_when_empty_then_nothing_follows),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
