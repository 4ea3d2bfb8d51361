/* The directory of actors and the slab of their blocks. */
#include "runtime/dir.h"
#include "runtime/slab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define IDS 20000u

static uint64_t seed = 7;

static uint64_t chance(void)
{
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return seed;
}

static rt_id id_of(uint64_t i)
{
  return rt_id_make(2, (unsigned)(i % 16), i);
}

static struct actor *find(const struct dir *dir, rt_id id)
{
  return dir_find(dir, id, dir_hash(id));
}

/* The directory never looks into what it points to. */
static struct actor *mark(uint64_t i)
{
  static char marks[IDS];
  return (void *)&marks[i];
}

static void test_dir_when_it_grows_then_every_id_is_found_at_every_moment(void **state)
{
  struct dir dir;
  (void)state;
  dir_init(&dir);
  for (uint64_t i = 0; i < IDS; i++) {
    dir_insert(&dir, id_of(i), mark(i));
    assert_ptr_equal(find(&dir, id_of(i)), mark(i));
    assert_ptr_equal(find(&dir, id_of(i / 2)), mark(i / 2));
    assert_null(find(&dir, id_of(i + 1)));
  }
  for (uint64_t i = 0; i < IDS; i++) {
    assert_ptr_equal(find(&dir, id_of(i)), mark(i));
  }
  assert_true((dir.mask + 1) * sizeof(struct dir_entry) <= dir.count * 43);
  dir_deinit(&dir);
}

static void test_dir_when_ids_come_and_go_then_it_agrees_with_the_model(void **state)
{
  struct dir dir;
  bool *present = rt_alloc(IDS * sizeof *present);
  uint64_t count = 0;
  (void)state;
  dir_init(&dir);
  for (unsigned step = 0; step < 300000; step++) {
    uint64_t i = chance() % (step % 100000 < 50000 ? IDS : IDS / 8);
    assert_ptr_equal(find(&dir, id_of(i)), present[i] ? mark(i) : NULL);
    if (present[i]) {
      dir_remove(&dir, id_of(i));
      count--;
    } else {
      dir_insert(&dir, id_of(i), mark(i));
      count++;
    }
    present[i] = !present[i];
    assert_int_equal(dir.count, count);
  }
  for (uint64_t i = 0; i < IDS; i++) {
    assert_ptr_equal(find(&dir, id_of(i)), present[i] ? mark(i) : NULL);
  }
  dir_deinit(&dir);
  rt_free(present);
}

static void test_dir_when_nearly_all_leave_then_its_table_shrinks_and_the_rest_is_found(
  void **state)
{
  struct dir dir;
  (void)state;
  dir_init(&dir);
  uint64_t smallest = dir.mask;
  for (uint64_t i = 0; i < IDS; i++) {
    dir_insert(&dir, id_of(i), mark(i));
  }
  uint64_t largest = dir.mask;
  for (uint64_t i = 0; i < IDS - 10; i++) {
    dir_remove(&dir, id_of(i));
    assert_null(find(&dir, id_of(i)));
    assert_ptr_equal(find(&dir, id_of(IDS - 1 - i % 10)), mark(IDS - 1 - i % 10));
  }
  assert_true(largest > 8 * smallest && dir.mask <= 4 * smallest + 3);
  assert_int_equal(dir.count, 10);
  for (uint64_t i = 0; i < IDS - 10; i++) { /* and grows again, from halfway through a move too */
    dir_insert(&dir, id_of(i), mark(i));
  }
  for (uint64_t i = 0; i < IDS; i++) {
    assert_ptr_equal(find(&dir, id_of(i)), mark(i));
  }
  dir_deinit(&dir);
}

/* ---- slab ------------------------------------------------------------------------------------ */

static void test_slab_when_blocks_are_taken_then_they_are_zero_and_keep_their_slots(void **state)
{
  struct slab slab;
  struct actor *actors[200];
  (void)state;
  slab_init(&slab);
  for (unsigned i = 0; i < 200; i++) {
    actors[i] = slab_take(&slab, (uint8_t)(1 + i % 3), 40);
    assert_int_equal(actors[i]->phase, ACTOR_FREE);
    for (unsigned b = 0; b < 40; b++) {
      assert_int_equal(actors[i]->state[b], 0);
      actors[i]->state[b] = 0xFF;
    }
    assert_int_equal((uintptr_t)actors[i]->state % 16, 0);
  }
  for (unsigned i = 0; i < 200; i++) {
    assert_ptr_equal(slab_at(&slab, actors[i]->slot), actors[i]);
  }
  uint32_t generation = actors[7]->generation;
  slab_put(&slab, actors[7]);
  struct actor *again = slab_take(&slab, 2, 40);
  assert_true(again->generation > generation);
  assert_int_equal(again->state[0], 0);
  slab_deinit(&slab);
}

static void test_slab_when_a_chunk_is_empty_then_its_memory_goes_back(void **state)
{
  struct slab slab;
  struct actor *actors[640];
  (void)state;
  slab_init(&slab);
  for (unsigned i = 0; i < 640; i++) {
    actors[i] = slab_take(&slab, 1, 64);
  }
  assert_int_equal(slab.chunks_count, 10);
  for (unsigned i = 0; i < 640; i++) {
    slab_put(&slab, actors[i]);
  }
  unsigned chunks = 0;
  for (unsigned i = 0; i < 10; i++) {
    chunks += slab.chunks[i] != NULL ? 1 : 0;
  }
  assert_int_equal(chunks, 1); /* one stays warm */
  assert_null(slab_next(&slab, 0));
  for (unsigned i = 0; i < 640; i++) {
    actors[i] = slab_take(&slab, 1, 64);
  }
  assert_int_equal(slab.chunks_count, 10);
  slab_deinit(&slab);
}

static void test_slab_next_when_blocks_are_missing_then_it_skips_them(void **state)
{
  struct slab slab;
  struct actor *actors[300];
  (void)state;
  slab_init(&slab);
  for (unsigned i = 0; i < 300; i++) {
    actors[i] = slab_take(&slab, 1, 0);
  }
  for (unsigned i = 0; i < 300; i++) {
    if (i % 5 != 0) {
      slab_put(&slab, actors[i]);
    }
  }
  unsigned count = 0;
  const struct actor *actor;
  for (uint64_t slot = 0; (actor = slab_next(&slab, slot)) != NULL;
       slot = (uint64_t)actor->slot + 1) {
    assert_ptr_equal(actor, actors[count * 5]);
    count++;
  }
  assert_int_equal(count, 60);
  slab_deinit(&slab);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_dir_when_nearly_all_leave_then_its_table_shrinks_and_the_rest_is_found),
    cmocka_unit_test(test_dir_when_it_grows_then_every_id_is_found_at_every_moment),
    cmocka_unit_test(test_dir_when_ids_come_and_go_then_it_agrees_with_the_model),
    cmocka_unit_test(test_slab_when_blocks_are_taken_then_they_are_zero_and_keep_their_slots),
    cmocka_unit_test(test_slab_when_a_chunk_is_empty_then_its_memory_goes_back),
    cmocka_unit_test(test_slab_next_when_blocks_are_missing_then_it_skips_them),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
