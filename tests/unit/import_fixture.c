/* import_fixture.c - see import_fixture.h. */
#include "tests/unit/import_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

int import_fixture_setup(void **state)
{
  struct import_fixture *fixture = rt_alloc(sizeof *fixture);
  const char *base = getenv("TMPDIR");
  snprintf(fixture->path, sizeof fixture->path, "%s/holdfast-import-XXXXXX",
           base == NULL ? "/tmp" : base);
  int file = mkstemp(fixture->path);
  assert_true(file >= 0);
  assert_int_equal(close(file), 0);
  fixture->scale = 2;
  fixture->options = (struct import_options){
    .asset = "COIN", .type = "grant", .user_column = "user", .amount_column = "amount"};
  *state = fixture;
  return 0;
}

static void close_all(struct import_fixture *fixture)
{
  if (!fixture->open)
    return;
  import_feed_deinit(&fixture->feed);
  import_map_deinit(&fixture->map);
  import_source_close(&fixture->source);
  fixture->open = false;
}

int import_fixture_teardown(void **state)
{
  struct import_fixture *fixture = *state;
  close_all(fixture);
  assert_int_equal(unlink(fixture->path), 0);
  rt_free(fixture);
  return 0;
}

static void on_reject(void *arg, const struct import_record *record, enum hf_error error,
                      const char *detail)
{
  struct import_fixture *fixture = arg;
  fixture->rejects++;
  fixture->reject_line = record->line;
  fixture->reject = error;
  snprintf(fixture->reject_detail, sizeof fixture->reject_detail, "%s", detail);
}

void import_fixture_open(struct import_fixture *fixture, const char *text, size_t size,
                         enum import_format format)
{
  char why[256] = "";
  close_all(fixture);
  FILE *file = fopen(fixture->path, "we");
  assert_non_null(file);
  assert_int_equal(fwrite(text, 1, size, file), size);
  assert_int_equal(fclose(file), 0);
  fixture->open = true;
  fixture->rejects = 0;
  fixture->reject = HF_OK;
  if (!import_source_open(&fixture->source, fixture->path, format, ',', why))
    fail_msg("the file does not open: %s", why);
  assert_true(import_map_init(&fixture->map, &fixture->options, "folder/a file.csv", fixture->scale,
                              FIXTURE_NOW_US));
  assert_true(import_map_bind(&fixture->map, &fixture->source));
  import_feed_init(&fixture->feed, &fixture->source, &fixture->map);
  fixture->feed.reject = on_reject;
  fixture->feed.arg = fixture;
}

struct import_row *import_fixture_row(struct import_fixture *fixture)
{
  struct import_row *row = import_feed_next(&fixture->feed);
  while (row == NULL && !fixture->feed.ended)
    row = import_feed_next(&fixture->feed);
  return row;
}

struct import_row *import_fixture_one(struct import_fixture *fixture, const char *text)
{
  bool json = text[0] == '{';
  import_fixture_open(fixture, text, strlen(text), json ? IMPORT_NDJSON : IMPORT_CSV);
  struct import_row *row = import_fixture_row(fixture);
  assert_int_equal(fixture->rejects, row == NULL ? 1 : 0);
  return row;
}
