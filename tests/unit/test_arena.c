/* test_arena.c - the arena: alignment, zeroes, copies, growth, blocks of any size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "holdfast/arena.h"

static void test_alloc_when_many_sizes_then_zeroed_aligned_and_apart(void **state)
{
  enum { COUNT = 4000 };
  static uint8_t *blocks[COUNT];
  struct hf_arena arena = {0};

  (void)state;
  for (size_t i = 0; i < COUNT; i++) {
    size_t size = i * 37 % 611;

    blocks[i] = hf_arena_alloc(&arena, size);
    assert_int_equal((uintptr_t)blocks[i] % 16, 0);
    for (size_t j = 0; j < size; j++)
      assert_int_equal(blocks[i][j], 0);
    memset(blocks[i], (int)(i & 0xff), size);
  }
  for (size_t i = 0; i < COUNT; i++) {
    for (size_t j = 0; j < i * 37 % 611; j++)
      assert_int_equal(blocks[i][j], i & 0xff);
  }
  hf_arena_free(&arena);
  assert_null(arena.newest);
}

static void test_alloc_when_larger_than_any_chunk_then_room_left_stays_in_use(void **state)
{
  struct hf_arena arena = {0};
  uint8_t *first, *huge, *second;

  (void)state;
  first = hf_arena_alloc(&arena, 32);
  huge = hf_arena_alloc(&arena, 3u * 1024 * 1024);
  second = hf_arena_alloc(&arena, 32);
  memset(huge, 0xff, 3u * 1024 * 1024);
  assert_ptr_equal(second, first + 32);
  for (size_t i = 0; i < 32; i++)
    assert_int_equal(second[i], 0);
  hf_arena_free(&arena);
}

static void test_alloc_when_the_first_is_huge_then_it_works(void **state)
{
  struct hf_arena arena = {0};
  uint8_t *huge, *small;

  (void)state;
  huge = hf_arena_alloc(&arena, 1u << 20);
  memset(huge, 1, 1u << 20);
  small = hf_arena_alloc(&arena, 1);
  assert_int_equal(*small, 0);
  hf_arena_free(&arena);
}

static void test_free_when_empty_or_twice_then_nothing(void **state)
{
  struct hf_arena arena = {0};

  (void)state;
  hf_arena_free(&arena);
  assert_non_null(hf_arena_alloc(&arena, 0));
  hf_arena_free(&arena);
  hf_arena_free(&arena);
  assert_null(arena.newest);
}

static void test_copy_and_text_when_binary_then_all_bytes_and_a_terminator(void **state)
{
  static const char data[] = "a\0b\xff\n";
  struct hf_arena arena = {0};
  char *copy, *text;

  (void)state;
  copy = hf_arena_copy(&arena, data, sizeof data);
  text = hf_arena_text(&arena, data, sizeof data - 1);
  assert_memory_equal(copy, data, sizeof data);
  assert_memory_equal(text, data, sizeof data - 1);
  assert_int_equal(text[sizeof data - 1], '\0');
  assert_string_equal(hf_arena_text(&arena, NULL, 0), "");
  hf_arena_free(&arena);
}

static void test_push_when_growing_then_order_and_zeroes(void **state)
{
  struct item {
    uint64_t number;
    uint8_t rest[20];
  };
  struct hf_arena arena = {0};
  size_t count = 0, room = 0;
  void *array = NULL;
  const struct item *items;

  (void)state;
  for (uint64_t i = 0; i < 10000; i++) {
    struct item *item = hf_arena_push(&arena, &array, &count, &room, sizeof *item);

    assert_int_equal(item->number, 0);
    assert_int_equal(item->rest[19], 0);
    item->number = i + 1;
    item->rest[19] = 7;
    assert_int_equal(count, i + 1);
    assert_true(room >= count);
  }
  items = array;
  for (uint64_t i = 0; i < 10000; i++)
    assert_int_equal(items[i].number, i + 1);
  hf_arena_free(&arena);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_alloc_when_many_sizes_then_zeroed_aligned_and_apart),
    cmocka_unit_test(test_alloc_when_larger_than_any_chunk_then_room_left_stays_in_use),
    cmocka_unit_test(test_alloc_when_the_first_is_huge_then_it_works),
    cmocka_unit_test(test_free_when_empty_or_twice_then_nothing),
    cmocka_unit_test(test_copy_and_text_when_binary_then_all_bytes_and_a_terminator),
    cmocka_unit_test(test_push_when_growing_then_order_and_zeroes),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
