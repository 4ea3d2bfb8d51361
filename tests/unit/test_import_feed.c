/* Files as streams: lines, broken records, and the order in which rows come. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/import_funds.h"
#include "tests/unit/import_fixture.h"

/* The users of the rows, in order, one letter each. */
static void expect_users(struct import_fixture *fixture, const char *letters)
{
  struct import_row *row;
  uint64_t number = 0;
  for (; (row = import_fixture_row(fixture)) != NULL; letters++) {
    assert_int_equal(row->user[0], *letters);
    assert_int_equal(row->number, ++number);
    import_row_free(row);
  }
  assert_int_equal(*letters, '\0');
}

static void test_source_when_a_mark_and_other_line_ends_then_the_same_records(void **state)
{
  struct import_fixture *fixture = *state;
  static const char text[] = "\xef\xbb\xbfuser,amount\r\na,1\r\n\r\nb,2\nc,3";
  import_fixture_open(fixture, text, strlen(text), IMPORT_CSV);
  expect_users(fixture, "abc");
  assert_int_equal(fixture->feed.lines, 3);
}

static void test_source_when_a_record_has_breaks_then_lines_are_those_of_the_file(void **state)
{
  struct import_fixture *fixture = *state;
  static const char text[] = "user,amount,note\na,1,\"x\ny\nz\"\nb,no,\n";
  import_fixture_open(fixture, text, strlen(text), IMPORT_CSV);
  expect_users(fixture, "a");
  assert_int_equal(fixture->rejects, 1);
  assert_int_equal(fixture->reject_line, 5);
}

static void test_source_when_a_quote_is_never_closed_then_only_its_line_is_lost(void **state)
{
  struct import_fixture *fixture = *state;
  static const char text[] = "user,amount\na,1\nb,\"2\nc,3\nd,4\n";
  import_fixture_open(fixture, text, strlen(text), IMPORT_CSV);
  expect_users(fixture, "acd");
  assert_int_equal(fixture->rejects, 1);
  assert_int_equal(fixture->reject, HF_E_INVALID_BODY);
  assert_int_equal(fixture->reject_line, 3);
}

static void test_source_when_a_record_is_over_the_limit_then_refused_and_the_next_is_read(
  void **state)
{
  struct import_fixture *fixture = *state;
  size_t size = 0, room = 2u * IMPORT_RECORD_MAX + 64u;
  char *text = malloc(room);
  assert_non_null(text);
  size += (size_t)snprintf(text, room, "user,amount\na,1\n");
  memset(text + size, 'x', IMPORT_RECORD_MAX + 10u);
  size += IMPORT_RECORD_MAX + 10u;
  size += (size_t)snprintf(text + size, room - size, "\nb,2\n");
  import_fixture_open(fixture, text, size, IMPORT_CSV);
  expect_users(fixture, "ab");
  assert_int_equal(fixture->rejects, 1);
  assert_int_equal(fixture->reject_line, 3);
  free(text);
}

/* Larger than the buffer, with records across every place where it is refilled. */
static void test_source_when_larger_than_its_buffer_then_every_record_comes_once(void **state)
{
  struct import_fixture *fixture = *state;
  size_t count = 200000, room = count * 24u, size = 0;
  char *text = malloc(room);
  assert_non_null(text);
  size += (size_t)snprintf(text, room, "user,amount\n");
  for (size_t i = 1; i <= count; i++)
    size += (size_t)snprintf(text + size, room - size, "\"u%zu\",%zu\n", i % 7u, i);
  import_fixture_open(fixture, text, size, IMPORT_CSV);
  for (size_t i = 1; i <= count; i++) {
    struct import_row *row = import_fixture_row(fixture);
    assert_non_null(row);
    assert_true(row->amount == (hf_amount)i * 100);
    assert_int_equal(row->line, i + 1u);
    import_row_free(row);
  }
  assert_null(import_fixture_row(fixture));
  assert_int_equal(fixture->source.bytes_done, size);
  assert_true(import_source_rewind(&fixture->source));
  struct import_record record;
  assert_true(import_source_next(&fixture->source, &record));
  assert_int_equal(record.line, 2);
  free(text);
}

static void test_feed_when_credits_come_first_then_only_within_a_group(void **state)
{
  struct import_fixture *fixture = *state;
  static const char text[] = "user,day,kind,amount\n"
                             "a,1,out,1\nb,1,in,1\nc,1,out,1\nd,1,in,1\n"
                             "e,2,out,1\n"
                             "f,1,out,1\ng,1,in,1\n";
  fixture->options.type = NULL;
  fixture->options.type_column = "kind";
  fixture->options.type_map = "in=deposit,out=spend";
  import_fixture_open(fixture, text, strlen(text), IMPORT_CSV);
  expect_users(fixture, "abcdefg");
  fixture->options.credits_first = "day";
  import_fixture_open(fixture, text, strlen(text), IMPORT_CSV);
  expect_users(fixture, "bdacegf");
}

static void test_feed_when_a_record_at_a_groups_edge_is_refused_then_the_groups_hold(void **state)
{
  struct import_fixture *fixture = *state;
  static const char text[] = "user,day,kind,amount\n"
                             "a,1,out,1\nx,1,in,bad\nb,1,in,1\n"
                             "x,2,out,bad\nc,2,out,1\nx,2,in\nd,2,in,1\n"
                             "x,3,out,bad\n";
  fixture->options.type = NULL;
  fixture->options.type_column = "kind";
  fixture->options.type_map = "in=deposit,out=spend";
  fixture->options.credits_first = "day";
  import_fixture_open(fixture, text, strlen(text), IMPORT_CSV);
  expect_users(fixture, "badc");
  assert_int_equal(fixture->rejects, 4);
  assert_int_equal(fixture->feed.lines, 8);
}

static void test_funds_when_users_fall_short_then_the_most_that_each_ever_misses(void **state)
{
  struct import_fixture *fixture = *state;
  static const char text[] = "user,to,amount\n"
                             "a,b,1.00\n"  /* a misses 1.00 */
                             "b,a,0.40\n"  /* b has 0.60 left */
                             "b,c,2.00\n"  /* b misses 1.40 */
                             "c,c,9.00\n"  /* moves nothing */
                             "a,c,1.00\n"  /* a misses 1.60 */
                             "c,a,0.50\n"; /* c has it */
  struct import_funds funds = {0};
  struct import_row *row;
  const char *user;
  hf_amount amount;
  fixture->options.type = "transfer";
  fixture->options.to_user_column = "to";
  import_fixture_open(fixture, text, strlen(text), IMPORT_CSV);
  while ((row = import_fixture_row(fixture)) != NULL) {
    import_funds_add(&funds, row);
    import_row_free(row);
  }
  assert_int_equal(funds.count, 3);
  const struct import_fund *fund = import_funds_next_short(&funds, NULL, &user, &amount);
  assert_non_null(fund);
  assert_string_equal(user, "a");
  assert_true(amount == 160);
  fund = import_funds_next_short(&funds, fund, &user, &amount);
  assert_non_null(fund);
  assert_string_equal(user, "b");
  assert_true(amount == 140);
  assert_null(import_funds_next_short(&funds, fund, &user, &amount));
  assert_false(funds.overflow);
  import_funds_free(&funds);
}

#define TEST(name)                                                                                 \
  cmocka_unit_test_setup_teardown(name, import_fixture_setup, import_fixture_teardown)

int main(void)
{
  const struct CMUnitTest tests[] = {
    TEST(test_source_when_a_mark_and_other_line_ends_then_the_same_records),
    TEST(test_source_when_a_record_has_breaks_then_lines_are_those_of_the_file),
    TEST(test_source_when_a_quote_is_never_closed_then_only_its_line_is_lost),
    TEST(test_source_when_a_record_is_over_the_limit_then_refused_and_the_next_is_read),
    TEST(test_source_when_larger_than_its_buffer_then_every_record_comes_once),
    TEST(test_feed_when_credits_come_first_then_only_within_a_group),
    TEST(test_feed_when_a_record_at_a_groups_edge_is_refused_then_the_groups_hold),
    TEST(test_funds_when_users_fall_short_then_the_most_that_each_ever_misses),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
