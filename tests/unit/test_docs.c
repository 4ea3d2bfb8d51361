/* test_docs.c - what docs/ says of the code is so: METRICS.md and CONFIG.md are the tables of the
 * code, every test that requirements.md names exists, every link leads to a file.
 *
 * HF_UPDATE_DOCS=1 writes the tables anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <ctype.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "actors/metrics.h"
#include "adapters/http/front.h"
#include "adapters/http/front_metrics.h"
#include "runtime/own.h"
#include "server/options.h"
#include "server/seal_thread.h"
#include "tests/unit/doc_table.h"

/* ---- metrics --------------------------------------------------------------------------------- */

#define VALUES_MAX 24u /* more are counted, not listed */
#define KEYS_MAX 4u

struct label {
  const char *key;
  size_t key_size;
  const char *values[VALUES_MAX];
  size_t value_sizes[VALUES_MAX];
  unsigned count; /* of all values, also those that are not kept */
};

static struct label *label_of(struct label labels[KEYS_MAX], const char *key, size_t size)
{
  for (unsigned i = 0; i < KEYS_MAX; i++) {
    if (labels[i].key == NULL) {
      labels[i].key = key;
      labels[i].key_size = size;
    }
    if (labels[i].key_size == size && memcmp(labels[i].key, key, size) == 0)
      return &labels[i];
  }
  fail_msg("more than %u labels", KEYS_MAX);
  return NULL;
}

static void label_add(struct label *label, const char *value, size_t size)
{
  for (unsigned i = 0; i < label->count && i < VALUES_MAX; i++)
    if (label->value_sizes[i] == size && memcmp(label->values[i], value, size) == 0)
      return;
  if (label->count < VALUES_MAX) {
    label->values[label->count] = value;
    label->value_sizes[label->count] = size;
  }
  label->count++;
}

/* Takes a="b",c="d" apart. */
static void labels_add(struct label labels[KEYS_MAX], const char *text)
{
  while (*text != '\0') {
    size_t key_size = strcspn(text, "=");
    const char *value = text + key_size + 2; /* behind =" */
    size_t size = strcspn(value, "\"");
    label_add(label_of(labels, text, key_size), value, size);
    text = value + size + 1;
    text += *text == ',';
  }
}

static void labels_write(struct doc_text *text, const struct label labels[KEYS_MAX])
{
  for (unsigned i = 0; i < KEYS_MAX && labels[i].key != NULL; i++) {
    (void)fprintf(text->out, "%s`%.*s`", i > 0 ? "; " : "", (int)labels[i].key_size, labels[i].key);
    if (labels[i].count > VALUES_MAX) {
      (void)fprintf(text->out, ": many");
      continue;
    }
    for (unsigned j = 0; j < labels[i].count; j++)
      (void)fprintf(text->out, "%s %.*s", j == 0 ? ":" : ",", (int)labels[i].value_sizes[j],
                    labels[i].values[j]);
  }
}

static void metric_write(struct doc_text *text, const struct rt_metric *rows, unsigned count,
                         unsigned first)
{
  static const char *const types[] = {
    [RT_COUNTER] = "counter", [RT_GAUGE] = "gauge", [RT_HISTOGRAM] = "histogram"};
  const struct rt_metric *metric = &rows[first];
  struct label labels[KEYS_MAX] = {0};
  for (unsigned i = first; i < count; i++)
    if (strcmp(rows[i].name, metric->name) == 0)
      labels_add(labels, rows[i].labels);
  (void)fprintf(text->out, "| `%s` | %s", metric->name, types[metric->type]);
  if (metric->type == RT_HISTOGRAM)
    (void)fprintf(text->out, ", %u buckets from %g to %g", metric->bounds_count,
                  (double)metric->bounds[0] * metric->unit,
                  (double)metric->bounds[metric->bounds_count - 1] * metric->unit);
  (void)fprintf(text->out, " | ");
  labels_write(text, labels);
  (void)fprintf(text->out, " | ");
  doc_cell(text, metric->help);
  (void)fprintf(text->out, " |\n");
}

static void metrics_check(const struct rt_metric *rows, unsigned count, const char *section)
{
  struct doc_text text;
  doc_begin(&text);
  (void)fprintf(text.out, "| name | type | labels | what it says |\n|---|---|---|---|\n");
  for (unsigned i = 0; i < count; i++) {
    unsigned first = 0;
    while (strcmp(rows[first].name, rows[i].name) != 0)
      first++;
    if (first == i)
      metric_write(&text, rows, count, i);
  }
  doc_check(&text, "docs/METRICS.md", section);
}

static void test_metrics_when_of_the_actors_then_the_page_has_them(void **state)
{
  (void)state;
  metrics_check(hf_actor_metrics, HF_METRIC_COUNT, "actors");
}

static void test_metrics_when_of_the_front_door_then_the_page_has_them(void **state)
{
  (void)state;
  metrics_check(front_metrics, FRONT_METRIC_COUNT, "http");
}

static void test_metrics_when_of_the_sealer_then_the_page_has_them(void **state)
{
  (void)state;
  metrics_check(seal_metrics, SEAL_METRIC_COUNT, "seals");
}

static void test_metrics_when_of_the_runtime_then_the_page_has_them(void **state)
{
  static const rt_class *const classes[] = {
    &hf_store_class,   &hf_catalog_class, &hf_user_class,  &hf_names_class,
    &hf_transit_class, &hf_sweep_class,   &hf_front_class, NULL};
  static const struct rt_pool_config pools[] = {{"write", 1, 1}, {"read", 1, 1}};
  struct rt_config config = {.classes = classes, .pools = pools, .pools_count = 2};
  struct own_metrics own;
  (void)state;
  own_init(&own, &config);
  metrics_check(own.table, own.count, "runtime");
  own_deinit(&own);
}

/* ---- options --------------------------------------------------------------------------------- */

struct option {
  const char *flag, *type, *fallback, *commands, *help;
  unsigned long long min, max;
};

static void option_write(struct doc_text *text, const struct option *option)
{
  bool secret = strcmp(option->type, "SECRET") == 0;
  char name[64];
  size_t size = strlen(option->flag);
  assert_true(size < sizeof name);
  for (size_t i = 0; i <= size; i++)
    name[i] = option->flag[i] == '-' ? '_' : (char)toupper((unsigned char)option->flag[i]);
  if (secret)
    (void)fprintf(text->out, "| | `HOLDFAST_%s`, `HOLDFAST_%s_FILE` | ", name, name);
  else if (strcmp(option->type, "PLACE") == 0)
    (void)fprintf(text->out, "| `--%s` | `HOLDFAST_%s`, `HOLDFAST_%s_FILE` | ", option->flag, name,
                  name);
  else
    (void)fprintf(text->out, "| `--%s` | `HOLDFAST_%s` | ", option->flag, name);
  if (strcmp(option->type, "NUMBER") == 0)
    (void)fprintf(text->out, "%llu to %llu", option->min, option->max);
  else
    (void)fprintf(text->out, "%s", strcmp(option->type, "BOOL") == 0 ? "true, false" : "text");
  (void)fprintf(text->out, option->fallback[0] == '\0' ? " | none%s | " : " | `%s` | ",
                option->fallback);
  (void)fprintf(text->out, "%s | ", option->commands);
  doc_cell(text, option->help);
  (void)fprintf(text->out, " |\n");
}

static void test_options_when_rendered_then_the_page_has_them(void **state)
{
  static const struct option options[] = {
#define X(name, flag, type, fallback, min, max, commands, help)                                    \
  {flag, #type, fallback, commands, help, min, max},
    OPTIONS(X)
#undef X
  };
  struct doc_text text;
  (void)state;
  doc_begin(&text);
  (void)fprintf(text.out, "| flag | environment | values | default | commands | meaning |\n"
                          "|---|---|---|---|---|---|\n");
  for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
    option_write(&text, &options[i]);
  doc_check(&text, "docs/CONFIG.md", "options");
}

/* ---- requirements ---------------------------------------------------------------------------- */

#define NAME_MAX_SIZE 200u

/* Calls `each` for every `word` between backticks. */
static void each_quoted(const char *page, void (*each)(const char *word, void *arg), void *arg)
{
  char word[NAME_MAX_SIZE];
  for (const char *at = strchr(page, '`'); at != NULL; at = strchr(at, '`')) {
    size_t size = strcspn(++at, "`\n");
    if (at[size] == '`' && size > 0 && size < sizeof word) {
      memcpy(word, at, size);
      word[size] = '\0';
      each(word, arg);
    }
    at += size + (at[size] == '`');
  }
}

struct named {  /* while requirements.md is read */
  char *source; /* the test file that was named last */
  char path[NAME_MAX_SIZE];
  unsigned files, tests;
};

static void check_named(const char *word, void *arg)
{
  struct named *named = arg;
  if (strncmp(word, "tests/", 6) == 0) {
    free(named->source);
    named->source = doc_read(word);
    (void)snprintf(named->path, sizeof named->path, "%s", word);
    if (named->source == NULL)
      fail_msg("requirements.md names %s, which is not there", word);
    named->files++;
  } else if (strncmp(word, "test_", 5) == 0) {
    if (named->source == NULL || strstr(named->source, word) == NULL)
      fail_msg("requirements.md names %s, which is not in %s", word, named->path);
    named->tests++;
  }
}

static void test_requirements_when_a_test_is_named_then_it_exists(void **state)
{
  struct named named = {0};
  char *page = doc_read("docs/requirements.md");
  (void)state;
  assert_non_null(page);
  each_quoted(page, check_named, &named);
  assert_true(named.files > 0 && named.tests > 0);
  free(named.source);
  free(page);
}

static void test_requirements_when_read_then_every_row_of_the_ledger_is_there(void **state)
{
  static const char *const rows[] = {"LED-01", "LED-02", "LED-03", "LED-04", "LED-05",
                                     "LED-06", "LED-07", "LED-08", "LED-09", "LED-10",
                                     "LED-11", "LED-13", "LED-14"};
  char *page = doc_read("docs/requirements.md");
  char mark[32];
  (void)state;
  assert_non_null(page);
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    (void)snprintf(mark, sizeof mark, "\n| %s |", rows[i]);
    if (strstr(page, mark) == NULL)
      fail_msg("requirements.md has no row %s", rows[i]);
  }
  free(page);
}

/* ---- links ----------------------------------------------------------------------------------- */

/* Checks the relative links of one page: [text](target) and ![text](target). */
static void check_links(const char *page_path)
{
  char target[DOC_PATH_MAX], room[DOC_PATH_MAX];
  char *page = doc_read(page_path);
  const char *slash = strrchr(page_path, '/');
  int folder = slash == NULL ? 0 : (int)(slash - page_path) + 1;
  assert_non_null(page);
  for (const char *at = page; (at = strstr(at, "](")) != NULL;) {
    at += 2;
    size_t size = strcspn(at, ")#\n");
    if (size == 0 || at[size] == '\n' || memchr(at, ':', size) != NULL)
      continue;
    int used = snprintf(target, sizeof target, "%.*s%.*s", folder, page_path, (int)size, at);
    assert_true(used > 0 && (size_t)used < sizeof target);
    if (access(doc_path(target, room), F_OK) != 0)
      fail_msg("%s links to %s, which is not there", page_path, target);
  }
  free(page);
}

static void test_links_when_followed_then_they_lead_to_files(void **state)
{
  static const char *const patterns[] = {"README.md", "*/README.md", "*/*/README.md", "docs/*.md"};
  char room[DOC_PATH_MAX];
  size_t root = strlen(doc_path("", room)), pages = 0;
  (void)state;
  for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
    glob_t found;
    if (glob(doc_path(patterns[i], room), 0, NULL, &found) != 0)
      continue;
    for (size_t j = 0; j < found.gl_pathc; j++, pages++)
      if (strstr(found.gl_pathv[j], "/build/") == NULL)
        check_links(found.gl_pathv[j] + root);
    globfree(&found);
  }
  assert_true(pages > 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_metrics_when_of_the_actors_then_the_page_has_them),
    cmocka_unit_test(test_metrics_when_of_the_front_door_then_the_page_has_them),
    cmocka_unit_test(test_metrics_when_of_the_sealer_then_the_page_has_them),
    cmocka_unit_test(test_metrics_when_of_the_runtime_then_the_page_has_them),
    cmocka_unit_test(test_options_when_rendered_then_the_page_has_them),
    cmocka_unit_test(test_requirements_when_a_test_is_named_then_it_exists),
    cmocka_unit_test(test_requirements_when_read_then_every_row_of_the_ledger_is_there),
    cmocka_unit_test(test_links_when_followed_then_they_lead_to_files),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
