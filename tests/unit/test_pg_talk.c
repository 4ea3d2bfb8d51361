/* test_pg_talk.c - arguments and results in PostgreSQL's binary format, and kinds of trouble.
 *
 * Results are made by libpq's own functions, without a server, so that they can be anything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/store_postgres/pg_talk.h"

/* ---- arguments ------------------------------------------------------------------------------- */

static struct pg_round round_of(enum pg_statement statement)
{
  struct pg_round round;

  pg_round_init(&round);
  pg_round_add(&round, statement);
  return round;
}

static void assert_arg(const struct pg_round *round, unsigned index, const char *bytes, size_t size)
{
  const struct pg_arg *arg = &round->steps[0].args.arg[index];

  assert_true(index < round->steps[0].args.count);
  assert_false(arg->null);
  assert_int_equal(arg->size, size);
  assert_true(arg->at + arg->size <= round->bytes.size);
  assert_memory_equal(round->bytes.at + arg->at, bytes, size);
}

static void test_args_when_scalars_then_in_network_order(void **state)
{
  struct pg_round round = round_of(PG_JOURNAL_PUT);
  static const uint8_t uuid[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

  (void)state;
  pg_arg_bool(&round, true);
  pg_arg_int2(&round, -2);
  pg_arg_int4(&round, 0x01020304);
  pg_arg_int8(&round, INT64_MIN);
  pg_arg_bytes(&round, "ab\0c", 4);
  pg_arg_uuid(&round, uuid);
  pg_arg_text(&round, "", 0);
  assert_int_equal(round.steps[0].args.count, 7);
  assert_arg(&round, 0, "\1", 1);
  assert_arg(&round, 1, "\377\376", 2);
  assert_arg(&round, 2, "\1\2\3\4", 4);
  assert_arg(&round, 3, "\200\0\0\0\0\0\0\0", 8);
  assert_arg(&round, 4, "ab\0c", 4);
  assert_arg(&round, 5, (const char *)uuid, 16);
  assert_arg(&round, 6, "", 0);
  pg_round_deinit(&round);
}

static void test_args_when_null_then_marked_and_without_bytes(void **state)
{
  struct pg_round round = round_of(PG_JOURNAL_PUT);

  (void)state;
  pg_arg_null(&round);
  pg_arg_text(&round, NULL, 0);
  assert_true(round.steps[0].args.arg[0].null);
  assert_true(round.steps[0].args.arg[1].null);
  assert_int_equal(round.bytes.size, 0);
  pg_round_deinit(&round);
}

static void test_args_when_array_then_header_and_elements(void **state)
{
  struct pg_round round = round_of(PG_JOURNAL_PUT);

  (void)state;
  pg_arg_array(&round, PG_INT2, 2);
  pg_item_int2(&round, 1);
  pg_item_int2(&round, 258);
  pg_arg_array(&round, PG_TEXT, 0);
  pg_arg_array(&round, PG_TEXT, 2);
  pg_item_text(&round, (struct store_text){"hi", 2});
  pg_item_text(&round, (struct store_text){NULL, 0});
  assert_arg(&round, 0,
             "\0\0\0\1\0\0\0\0\0\0\0\25\0\0\0\2\0\0\0\1"
             "\0\0\0\2\0\1\0\0\0\2\1\2",
             32);
  assert_arg(&round, 1, "\0\0\0\1\0\0\0\0\0\0\0\31\0\0\0\0\0\0\0\1", 20);
  assert_arg(&round, 2,
             "\0\0\0\1\0\0\0\1\0\0\0\31\0\0\0\2\0\0\0\1"
             "\0\0\0\2hi\377\377\377\377",
             30);
  pg_round_deinit(&round);
}

static void test_args_when_the_round_is_cleared_then_it_begins_anew(void **state)
{
  struct pg_round round = round_of(PG_JOURNAL_PUT);

  (void)state;
  for (unsigned i = 0; i < 100; i++) {
    pg_round_add(&round, PG_BATCH_HASH);
    pg_arg_int8(&round, (int64_t)i);
  }
  assert_int_equal(round.count, 101);
  pg_round_clear(&round);
  assert_int_equal(round.count, 0);
  pg_round_add(&round, PG_BATCH_HASH);
  pg_arg_int2(&round, 7);
  assert_arg(&round, 0, "\0\7", 2);
  pg_round_deinit(&round);
}

/* ---- results --------------------------------------------------------------------------------- */

/* One row of one column. size < 0: NULL. */
static PGresult *result_of(Oid type, int format, const char *bytes, int size)
{
  PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
  char name[] = "c";
  PGresAttDesc column = {.name = name, .format = format, .typid = type, .typlen = -1};
  char copy[64];

  assert_non_null(result);
  assert_true(size <= (int)sizeof copy);
  if (size > 0)
    memcpy(copy, bytes, (size_t)size);
  assert_int_equal(PQsetResultAttrs(result, 1, &column), 1);
  assert_int_equal(PQsetvalue(result, 0, 0, size < 0 ? NULL : copy, size), 1);
  return result;
}

static void test_amounts_when_written_and_read_then_equal_and_in_order(void **state)
{
  static const hf_amount amounts[] = {HF_AMOUNT_MIN, -((hf_amount)1 << 64), -1,           0, 1,
                                      INT64_MAX,     (hf_amount)1 << 100,   HF_AMOUNT_MAX};
  uint8_t before[16] = {0};

  (void)state;
  for (size_t i = 0; i < sizeof amounts / sizeof amounts[0]; i++) {
    struct pg_round round = round_of(PG_HOLD_PUT);
    struct pg_rows rows = {0};
    PGresult *result;

    pg_arg_amount(&round, amounts[i]);
    result = result_of(PG_BYTEA, 1, (const char *)round.bytes.at, 16);
    rows.result = result;
    assert_true(pg_get_amount(&rows, 0) == amounts[i]);
    assert_false(rows.corrupt);
    if (i > 0)
      assert_true(memcmp(before, round.bytes.at, 16) < 0);
    memcpy(before, round.bytes.at, 16);
    PQclear(result);
    pg_round_deinit(&round);
  }
}

static void test_ints_when_of_any_width_then_read_with_their_sign(void **state)
{
  static const struct {
    Oid type;
    const char *bytes;
    int size;
    int64_t value;
  } cases[] = {{PG_INT2, "\377\376", 2, -2},
               {PG_INT4, "\200\0\0\0", 4, INT32_MIN},
               {PG_INT8, "\177\377\377\377\377\377\377\377", 8, INT64_MAX}};

  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    PGresult *result = result_of(cases[i].type, 1, cases[i].bytes, cases[i].size);
    struct pg_rows rows = {.result = result};

    assert_int_equal(pg_get_int(&rows, 0), cases[i].value);
    assert_false(rows.corrupt);
    PQclear(result);
  }
}

static void test_results_when_hostile_then_corrupt_and_never_a_crash(void **state)
{
  static const struct {
    Oid type;
    int format;
    const char *bytes;
    int size;
  } cases[] = {
    {PG_INT8, 1, "\0\0\0\1", 4}, /* too short for its type */
    {PG_INT2, 1, "\0\0\0\1", 4}, /* too long */
    {PG_TEXT, 1, "\0\0\0\1", 4}, /* another type */
    {PG_INT4, 0, "1234", 4},     /* as text */
    {PG_INT4, 1, "", 0},         /* nothing */
    {PG_INT4, 1, NULL, -1},      /* NULL */
  };

  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    PGresult *result = result_of(cases[i].type, cases[i].format, cases[i].bytes, cases[i].size);
    uint8_t bytes[32];

    memset(bytes, 0xAA, sizeof bytes);
    for (unsigned j = 0; j < 5; j++) {
      struct pg_rows rows = {.result = result};

      if (j == 0)
        assert_int_equal(pg_get_int(&rows, 0), 0);
      else if (j == 1)
        assert_false(pg_get_bool(&rows, 0));
      else if (j == 2)
        assert_true(pg_get_amount(&rows, 0) == 0);
      else if (j == 3)
        assert_int_equal(pg_get_unsigned(&rows, 0, 10), 0);
      else
        pg_get_bytes(&rows, 0, bytes, sizeof bytes);
      assert_true(rows.corrupt);
    }
    for (size_t j = 0; j < sizeof bytes; j++)
      assert_int_equal(bytes[j], 0);
    PQclear(result);
  }
}

static void test_results_when_a_row_or_column_is_missing_then_corrupt(void **state)
{
  PGresult *result = result_of(PG_INT4, 1, "\0\0\0\1", 4);

  (void)state;
  for (int i = 0; i < 4; i++) {
    struct pg_rows rows = {.result = result, .row = i == 0 ? 1 : i == 1 ? -1 : 0};

    assert_int_equal(pg_get_int(&rows, i == 2 ? 1 : i == 3 ? -1 : 0), 0);
    assert_true(rows.corrupt);
    assert_false(pg_is_null(&rows, i == 2 ? 1 : i == 3 ? -1 : 0));
  }
  PQclear(result);
}

static void test_unsigned_when_out_of_range_then_corrupt(void **state)
{
  PGresult *result = result_of(PG_INT4, 1, "\0\0\0\13", 4), *negative;
  struct pg_rows rows = {.result = result};

  (void)state;
  assert_int_equal(pg_get_unsigned(&rows, 0, 11), 11);
  assert_false(rows.corrupt);
  assert_int_equal(pg_get_unsigned(&rows, 0, 10), 0);
  assert_true(rows.corrupt);
  negative = result_of(PG_INT4, 1, "\377\377\377\377", 4);
  rows = (struct pg_rows){.result = negative};
  assert_int_equal(pg_get_unsigned(&rows, 0, UINT64_MAX), 0);
  assert_true(rows.corrupt);
  PQclear(result);
  PQclear(negative);
}

static void test_bool_when_neither_0_nor_1_then_corrupt(void **state)
{
  (void)state;
  for (int i = 0; i < 3; i++) {
    char byte = (char)i;
    PGresult *result = result_of(PG_BOOL, 1, &byte, 1);
    struct pg_rows rows = {.result = result};

    assert_int_equal(pg_get_bool(&rows, 0), i == 1);
    assert_int_equal(rows.corrupt, i == 2);
    PQclear(result);
  }
}

static void test_text_when_null_or_empty_then_told_apart(void **state)
{
  PGresult *null = result_of(PG_TEXT, 1, NULL, -1), *empty = result_of(PG_TEXT, 1, "", 0);
  struct pg_rows rows = {.result = null};
  struct store_text text = pg_get_text(&rows, 0);

  (void)state;
  assert_null(text.at);
  assert_true(pg_is_null(&rows, 0));
  rows.result = empty;
  text = pg_get_text(&rows, 0);
  assert_non_null(text.at);
  assert_int_equal(text.size, 0);
  assert_false(rows.corrupt);
  PQclear(null);
  PQclear(empty);
}

/* ---- statements and trouble ------------------------------------------------------------------ */

static void test_statements_when_named_then_all_names_differ(void **state)
{
  (void)state;
  for (unsigned i = 0; i < PG_STATEMENT_COUNT; i++) {
    assert_true(strlen(pg_statement_sql((enum pg_statement)i)) > 0);
    for (unsigned j = 0; j < i; j++)
      assert_string_not_equal(pg_statement_name((enum pg_statement)i),
                              pg_statement_name((enum pg_statement)j));
  }
}

static void test_trouble_when_a_state_is_known_then_its_kind(void **state)
{
  static const struct {
    const char *sqlstate;
    enum pg_trouble trouble;
  } cases[] = {
    {"", PG_TROUBLE_TRANSIENT},      {"23505", PG_TROUBLE_UNIQUE},
    {"40001", PG_TROUBLE_TRANSIENT}, {"40P01", PG_TROUBLE_TRANSIENT},
    {"25006", PG_TROUBLE_TRANSIENT}, {"53100", PG_TROUBLE_TRANSIENT},
    {"53300", PG_TROUBLE_TRANSIENT}, {"55P03", PG_TROUBLE_TRANSIENT},
    {"57014", PG_TROUBLE_TRANSIENT}, {"57P01", PG_TROUBLE_TRANSIENT},
    {"57P03", PG_TROUBLE_TRANSIENT}, {"08006", PG_TROUBLE_TRANSIENT},
    {"42P01", PG_TROUBLE_OTHER},     {"25001", PG_TROUBLE_OTHER},
    {"22012", PG_TROUBLE_OTHER},     {"23503", PG_TROUBLE_OTHER},
  };

  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char sqlstate[6] = "";

    memcpy(sqlstate, cases[i].sqlstate, strlen(cases[i].sqlstate));
    assert_int_equal(pg_trouble_of(sqlstate), cases[i].trouble);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_args_when_scalars_then_in_network_order),
    cmocka_unit_test(test_args_when_null_then_marked_and_without_bytes),
    cmocka_unit_test(test_args_when_array_then_header_and_elements),
    cmocka_unit_test(test_args_when_the_round_is_cleared_then_it_begins_anew),
    cmocka_unit_test(test_amounts_when_written_and_read_then_equal_and_in_order),
    cmocka_unit_test(test_ints_when_of_any_width_then_read_with_their_sign),
    cmocka_unit_test(test_results_when_hostile_then_corrupt_and_never_a_crash),
    cmocka_unit_test(test_results_when_a_row_or_column_is_missing_then_corrupt),
    cmocka_unit_test(test_unsigned_when_out_of_range_then_corrupt),
    cmocka_unit_test(test_bool_when_neither_0_nor_1_then_corrupt),
    cmocka_unit_test(test_text_when_null_or_empty_then_told_apart),
    cmocka_unit_test(test_statements_when_named_then_all_names_differ),
    cmocka_unit_test(test_trouble_when_a_state_is_known_then_its_kind),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
