/* doc_table.h - tables in docs/ that are made from tables in the code: compare, or write anew.
 *
 * A section of a page stands between "<!-- table: NAME -->" and "<!-- end: NAME -->". The test
 * renders what belongs there; with HF_UPDATE_DOCS=1 in the environment it rewrites the page. */
#ifndef HOLDFAST_TESTS_DOC_TABLE_H
#define HOLDFAST_TESTS_DOC_TABLE_H

#include <stdbool.h>
#include <stdio.h>

#define DOC_PATH_MAX 512u

/* The path of a file of the project. */
const char *doc_path(const char *path, char room[DOC_PATH_MAX]);
/* The whole file, NUL-terminated; free it. NULL when there is none. */
char *doc_read(const char *path);

/* A table that is being rendered: write to `out`, then doc_check. */
struct doc_text {
  FILE *out;
  char *at;
  size_t size;
};
void doc_begin(struct doc_text *text);
/* Writes `words` as the inside of a table's cell. */
void doc_cell(struct doc_text *text, const char *words);
/* Fails the test when the section `name` of the page is not the text; frees the text. */
void doc_check(struct doc_text *text, const char *page, const char *name);

#endif
