#include "tests/unit/doc_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

const char *doc_path(const char *path, char room[DOC_PATH_MAX])
{
  const char *root = getenv("HOLDFAST_ROOT");
  int size = snprintf(room, DOC_PATH_MAX, "%s/%s", root != NULL ? root : ".", path);
  assert_true(size > 0 && (unsigned)size < DOC_PATH_MAX);
  return room;
}

char *doc_read(const char *path)
{
  char room[DOC_PATH_MAX];
  FILE *file = fopen(doc_path(path, room), "re");
  if (file == NULL)
    return NULL;
  struct doc_text text;
  doc_begin(&text);
  int byte;
  while ((byte = getc(file)) != EOF)
    (void)putc(byte, text.out);
  assert_int_equal(ferror(file), 0);
  (void)fclose(file);
  (void)fclose(text.out);
  return text.at;
}

void doc_begin(struct doc_text *text)
{
  *text = (struct doc_text){0};
  text->out = open_memstream(&text->at, &text->size);
  assert_non_null(text->out);
}

void doc_cell(struct doc_text *text, const char *words)
{
  for (; *words != '\0'; words++) {
    if (*words == '|')
      (void)fputs("\\|", text->out);
    else if (*words == '<') /* Markdown would take it for a tag */
      (void)fputs("&lt;", text->out);
    else
      (void)putc(*words, text->out);
  }
}

/* The section between its two marks; false when one of them is missing. */
static bool find_section(const char *page, const char *name, const char **ret_start,
                         const char **ret_end)
{
  char mark[96];
  (void)snprintf(mark, sizeof mark, "<!-- table: %s -->\n", name);
  const char *start = strstr(page, mark);
  if (start == NULL)
    return false;
  start += strlen(mark);
  (void)snprintf(mark, sizeof mark, "<!-- end: %s -->", name);
  *ret_start = start;
  *ret_end = strstr(start, mark);
  return *ret_end != NULL;
}

static void write_page(const char *page, const char *whole, const char *start, const char *end,
                       const struct doc_text *text)
{
  char room[DOC_PATH_MAX];
  FILE *file = fopen(doc_path(page, room), "we");
  assert_non_null(file);
  (void)fwrite(whole, 1, (size_t)(start - whole), file);
  (void)fwrite(text->at, 1, text->size, file);
  (void)fputs(end, file);
  assert_int_equal(fclose(file), 0);
}

/* Prints the first line that differs, which tells more than two whole tables. */
static void print_difference(const char *page, const char *there, size_t there_size,
                             const char *wanted)
{
  size_t at = 0;
  while (at < there_size && wanted[at] == there[at])
    at++;
  while (at > 0 && wanted[at - 1] != '\n')
    at--;
  print_error("%s says: %.*s\n", page, (int)strcspn(there + at, "\n"), there + at);
  print_error("the code says: %.*s\n", (int)strcspn(wanted + at, "\n"), wanted + at);
  print_error("HF_UPDATE_DOCS=1 with this test writes the page anew\n");
}

void doc_check(struct doc_text *text, const char *page, const char *name)
{
  const char *start = "", *end = start;
  const char *update = getenv("HF_UPDATE_DOCS");
  assert_int_equal(fclose(text->out), 0);
  char *whole = doc_read(page);
  if (whole == NULL || !find_section(whole, name, &start, &end))
    fail_msg("%s has no section \"table: %s\"", page, name);
  size_t size = (size_t)(end - start);
  bool same = size == text->size && memcmp(start, text->at, size) == 0;
  if (!same && update != NULL && strcmp(update, "1") == 0) {
    write_page(page, whole, start, end, text);
    same = true;
  }
  if (!same)
    print_difference(page, start, size, text->at);
  free(whole);
  free(text->at);
  assert_true(same);
}
