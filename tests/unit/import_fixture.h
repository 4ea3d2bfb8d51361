/* import_fixture.h - a file with given contents, opened and mapped. One per test. */
#ifndef HOLDFAST_TESTS_IMPORT_FIXTURE_H
#define HOLDFAST_TESTS_IMPORT_FIXTURE_H

#include "server/import_feed.h"

#define FIXTURE_NOW_US 1763700000000000 /* 2025-11-21 */

struct import_fixture {
  char path[256];
  struct import_options options; /* the test's; defaults: asset COIN of scale 2, type grant, columns
                                    user and amount */
  unsigned scale;
  struct import_source source;
  struct import_map map;
  struct import_feed feed;
  bool open;
  uint64_t reject_line; /* the last one */
  enum hf_error reject;
  char reject_detail[IMPORT_DETAIL_MAX];
  unsigned rejects;
};

/* cmocka's setup and teardown; *state is a struct import_fixture. */
int import_fixture_setup(void **state);
int import_fixture_teardown(void **state);
/* Writes the file and opens everything. */
void import_fixture_open(struct import_fixture *fixture, const char *text, size_t size,
                         enum import_format format);
/* The next row; NULL at the end. Rejects on the way are counted in the fixture. */
struct import_row *import_fixture_row(struct import_fixture *fixture);
/* The same for a text that makes one record: its row, or NULL and the reject. */
struct import_row *import_fixture_one(struct import_fixture *fixture, const char *text);

#endif
