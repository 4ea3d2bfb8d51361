/* test_seal_folder.c - which statements and keys a folder of seals may have, and misses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "holdfast/rt.h"
#include "server/seal_folder.h"

static char path[64];
static char why[SEAL_WHY_MAX];

static int make_folder(void **state)
{
  (void)state;
  (void)snprintf(path, sizeof path, "/tmp/holdfast-seals-XXXXXX");
  return mkdtemp(path) == NULL;
}

static const char *in_folder(const char *name)
{
  static char places[2][128];
  static unsigned turn;
  char *place = places[turn++ % 2u];
  (void)snprintf(place, sizeof places[0], "%s/%s", path, name);
  return place;
}

static int remove_folder(void **state)
{
  static const char *const names[] = {"key",           "key.pub",       "key.new",       "lock",
                                      "00000001.seal", "00000002.seal", "00000003.seal", "away"};
  (void)state;
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    (void)unlink(in_folder(names[i]));
  return rmdir(path);
}

static bool has(const char *name)
{
  return access(in_folder(name), F_OK) == 0;
}

static void move(const char *from, const char *to)
{
  assert_int_equal(rename(in_folder(from), in_folder(to)), 0);
}

static bool opens(struct seal_folder *folder, bool write)
{
  why[0] = '\0';
  return seal_folder_open(folder, path, write, why);
}

static bool add(struct seal_folder *folder)
{
  struct seal *seal = rt_alloc(sizeof *seal);
  seal->time_us = 1795251600123456;
  bool added = seal_folder_add(folder, seal, why);
  rt_free(seal);
  return added;
}

static struct seal_folder *folder_of(uint64_t seals)
{
  struct seal_folder *folder = rt_alloc(sizeof *folder);
  assert_true(opens(folder, true));
  for (uint64_t i = 0; i < seals; i++)
    assert_true(add(folder));
  seal_folder_close(folder);
  return folder;
}

static void test_key_when_no_seal_was_made_then_there_is_none(void **state)
{
  struct seal_folder *folder = folder_of(0);
  (void)state;
  assert_false(has("key") || has("key.pub") || has("key.new"));
  rt_free(folder);
  folder = folder_of(1);
  assert_true(has("key") && has("key.pub"));
  assert_false(has("key.new"));
  rt_free(folder);
}

/* The process ended between its first seal and the key's last name. */
static void test_key_when_its_name_was_not_given_yet_then_it_is_found_and_goes_on(void **state)
{
  struct seal_folder *folder = folder_of(1);
  uint8_t key[HF_SIGN_KEY_SIZE];
  (void)state;
  memcpy(key, folder->last.key, sizeof key);
  move("key", "key.new");
  assert_int_equal(unlink(in_folder("key.pub")), 0);
  assert_true(opens(folder, true));
  assert_true(has("key") && has("key.pub"));
  assert_true(add(folder));
  assert_memory_equal(folder->last.key, key, sizeof key);
  seal_folder_close(folder);
  rt_free(folder);
}

/* What a first seal that failed left behind has signed nothing. */
static void test_key_when_no_seal_is_by_the_one_left_behind_then_it_is_not_taken(void **state)
{
  struct seal_folder *folder = folder_of(1);
  (void)state;
  move("key", "away");
  FILE *file = fopen(in_folder("key.new"), "w");
  assert_non_null(file);
  for (unsigned i = 0; i < HF_SIGN_SEED_SIZE; i++)
    assert_int_equal(fprintf(file, "%02x", i), 2);
  assert_int_equal(fputc('\n', file), '\n');
  assert_int_equal(fclose(file), 0);
  assert_false(opens(folder, true));
  assert_string_equal(why,
                      "the signing key of the seals cannot be read: No such file or directory");
  move("away", "key");
  assert_true(opens(folder, true));
  seal_folder_close(folder);
  rt_free(folder);
}

static void test_open_when_a_seal_is_missing_in_front_of_another_then_refused(void **state)
{
  static const struct {
    const char *gone, *why;
  } cases[] = {
    {"00000001.seal", "seal 1 is missing, and there was one with the number 3"},
    {"00000002.seal", "seal 2 is missing, and there was one with the number 3"},
  };
  struct seal_folder *folder = folder_of(3);
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    move(cases[i].gone, "away");
    for (unsigned write = 0; write < 2; write++) {
      assert_false(opens(folder, write == 1));
      assert_string_equal(why, cases[i].why);
    }
    move("away", cases[i].gone);
  }
  assert_true(opens(folder, true));
  assert_int_equal(folder->newest, 3);
  seal_folder_close(folder);
  rt_free(folder);
}

static void test_open_when_only_a_key_is_there_then_its_seals_are_missed(void **state)
{
  static const char *const keys[] = {"key", "key.pub"};
  struct seal_folder *folder = folder_of(1);
  (void)state;
  move("00000001.seal", "away");
  for (size_t i = 0; i < 2; i++) { /* both, then the public one */
    assert_false(opens(folder, false));
    assert_non_null(strstr(why, "the key is there that has signed seals, and no seal in"));
    assert_false(opens(folder, true));
    assert_int_equal(unlink(in_folder(keys[i])), 0);
  }
  assert_true(opens(folder, false)); /* what nobody can tell from the folder alone */
  assert_int_equal(folder->newest, 0);
  seal_folder_close(folder);
  rt_free(folder);
}

/* The folder is looked at again before each seal: the newest of those that were read counts too. */
static void test_add_when_any_seal_went_meanwhile_then_none_is_written(void **state)
{
  static const char *const seals[] = {"00000001.seal", "00000002.seal"};
  struct seal_folder *folder = folder_of(2);
  (void)state;
  assert_true(opens(folder, true));
  for (size_t i = 0; i < 2; i++) {
    move(seals[i], "away");
    assert_false(add(folder));
    assert_non_null(strstr(why, "is missing, and there was one with the number 2"));
    assert_false(has("00000003.seal"));
    move("away", seals[i]);
  }
  assert_true(add(folder));
  seal_folder_close(folder);
  rt_free(folder);
}

/* Signed with the right key, with the right number, and yet not the one that was there. */
static void test_open_when_a_seal_was_made_anew_then_the_next_one_does_not_follow(void **state)
{
  struct seal_folder *folder = folder_of(2);
  struct seal *seal = rt_alloc(sizeof *seal);
  struct hf_bytes text = {0};
  struct merkle_tree none = {0};
  (void)state;
  assert_true(opens(folder, true));
  seal->number = 1;
  seal->time_us = 1795251600123457;
  seal->log_root = merkle_root(&none);
  seal_write(seal, folder->seed, &text);
  seal_folder_close(folder);
  FILE *file = fopen(in_folder("00000001.seal"), "w");
  assert_non_null(file);
  assert_int_equal(fwrite(text.at, 1, text.size, file), text.size);
  assert_int_equal(fclose(file), 0);
  assert_false(opens(folder, true));
  assert_string_equal(why, "seal 2: the statements before it are not those that it was made with");
  hf_bytes_deinit(&text);
  rt_free(seal);
  rt_free(folder);
}

static void test_open_when_other_files_are_there_then_they_are_no_seals(void **state)
{
  struct seal_folder *folder = folder_of(1);
  (void)state;
  static const char *const names[] = {"7.seal", "000000007.seal", "00000000.seal",
                                      "00000007.seal.gpg"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    FILE *file = fopen(in_folder(names[i]), "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    assert_true(opens(folder, true));
    assert_int_equal(folder->newest, 1);
    seal_folder_close(folder);
    assert_int_equal(unlink(in_folder(names[i])), 0);
  }
  rt_free(folder);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
  const struct CMUnitTest tests[] = {
    TEST(test_key_when_no_seal_was_made_then_there_is_none),
    TEST(test_key_when_its_name_was_not_given_yet_then_it_is_found_and_goes_on),
    TEST(test_key_when_no_seal_is_by_the_one_left_behind_then_it_is_not_taken),
    TEST(test_open_when_a_seal_is_missing_in_front_of_another_then_refused),
    TEST(test_open_when_only_a_key_is_there_then_its_seals_are_missed),
    TEST(test_add_when_any_seal_went_meanwhile_then_none_is_written),
    TEST(test_open_when_a_seal_was_made_anew_then_the_next_one_does_not_follow),
    TEST(test_open_when_other_files_are_there_then_they_are_no_seals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
