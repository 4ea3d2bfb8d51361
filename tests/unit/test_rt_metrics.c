/* The text of the metrics: what a Prometheus server accepts, and the numbers in it. */
#include "runtime/metrics.h"

#include "holdfast/driver.h"
#include "holdfast/rt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint64_t bounds[] = {1000, 10000};
static const struct rt_metric table[] = {
  {.name = "app_ops_total", .help = "Ops.", .labels = "kind=\"a\"", .type = RT_COUNTER, .unit = 1},
  {.name = "app_open", .help = "Line one\nand \\ two.", .labels = "", .type = RT_GAUGE, .unit = 1},
  {.name = "app_ops_total", .help = "Ops.", .labels = "kind=\"b\"", .type = RT_COUNTER, .unit = 1},
  {.name = "app_seconds",
   .help = "Time.",
   .labels = "",
   .type = RT_HISTOGRAM,
   .bounds = bounds,
   .bounds_count = 2,
   .unit = 1e-6},
  {.name = "app_bytes",
   .help = "Size.",
   .labels = "of=\"x\"",
   .type = RT_HISTOGRAM,
   .bounds = bounds,
   .bounds_count = 2,
   .unit = 1},
};

struct text {
  char bytes[65536];
  size_t size;
};

static void append(void *arg, const char *bytes, size_t size)
{
  struct text *text = arg;
  assert_true(text->size + size < sizeof text->bytes);
  memcpy(text->bytes + text->size, bytes, size);
  text->size += size;
  text->bytes[text->size] = '\0';
}

static void test_text_when_series_share_a_name_then_they_stand_under_one_help(void **state)
{
  static const char expected[] = "# HELP app_ops_total Ops.\n"
                                 "# TYPE app_ops_total counter\n"
                                 "app_ops_total{kind=\"a\"} 5\n"
                                 "app_ops_total{kind=\"b\"} 7\n"
                                 "# HELP app_open Line one\\nand \\\\ two.\n"
                                 "# TYPE app_open gauge\n"
                                 "app_open -3\n"
                                 "# HELP app_seconds Time.\n"
                                 "# TYPE app_seconds histogram\n"
                                 "app_seconds_bucket{le=\"0.001\"} 2\n"
                                 "app_seconds_bucket{le=\"0.01\"} 3\n"
                                 "app_seconds_bucket{le=\"+Inf\"} 4\n"
                                 "app_seconds_sum 0.026\n"
                                 "app_seconds_count 4\n"
                                 "# HELP app_bytes Size.\n"
                                 "# TYPE app_bytes histogram\n"
                                 "app_bytes_bucket{of=\"x\",le=\"1000\"} 0\n"
                                 "app_bytes_bucket{of=\"x\",le=\"10000\"} 0\n"
                                 "app_bytes_bucket{of=\"x\",le=\"+Inf\"} 1\n"
                                 "app_bytes_sum{of=\"x\"} 10001\n"
                                 "app_bytes_count{of=\"x\"} 1\n";
  struct metrics metrics;
  static struct text text;
  (void)state;
  text.size = 0;
  metrics_init(&metrics, table, 2, table + 2, 3);
  struct metric_cell *loops[2] = {metrics_cells_new(&metrics), metrics_cells_new(&metrics)};
  metrics_add(&loops[0][metrics.cell[0]], 2);
  metrics_add(&loops[1][metrics.cell[0]], 3);
  metrics_add(&loops[0][metrics.cell[2]], 7);
  metrics_set(&loops[0][metrics.cell[1]], (uint64_t)-5);
  metrics_set(&loops[1][metrics.cell[1]], 2);
  metrics_observe(&metrics, loops[0], 3, 0);
  metrics_observe(&metrics, loops[0], 3, 1000);
  metrics_observe(&metrics, loops[1], 3, 5000);
  metrics_observe(&metrics, loops[1], 3, 20000);
  metrics_observe(&metrics, loops[1], 4, 10001);
  assert_int_equal(metrics_sum(&metrics, loops, 2, 0), 5);
  assert_int_equal(metrics_sum(&metrics, loops, 2, 3), 4);
  metrics_write(&metrics, loops, 2, append, &text);
  assert_string_equal(text.bytes, expected);
  rt_free(loops[0]);
  rt_free(loops[1]);
  metrics_deinit(&metrics);
}

static void test_text_when_no_loop_counts_it_then_it_is_written_alike(void **state)
{
  static const struct rt_metric age = {
    .name = "app_age_seconds", .help = "Age.", .labels = "", .type = RT_GAUGE, .unit = 1e-6};
  static struct text text;
  (void)state;
  text.size = 0;
  rt_metric_write(&table[0], 5, append, &text);
  rt_metric_write(&age, 1500000, append, &text);
  assert_string_equal(text.bytes, "# HELP app_ops_total Ops.\n"
                                  "# TYPE app_ops_total counter\n"
                                  "app_ops_total{kind=\"a\"} 5\n"
                                  "# HELP app_age_seconds Age.\n"
                                  "# TYPE app_age_seconds gauge\n"
                                  "app_age_seconds 1.5\n");
}

/* ---- the whole text of a runtime ------------------------------------------------------------- */

static rt_status handle(rt_ctx *ctx, void *state, const rt_env *env)
{
  (void)state;
  (void)env;
  rt_count(ctx, 0, 2);
  rt_gauge(ctx, 1, 9);
  rt_observe(ctx, 3, 500);
  return RT_OK;
}

static const rt_class plain = {.name = "plain", .kind = 1, .stash_max = 4, .handle = handle};
static const rt_class *const classes[] = {&plain, NULL};

/* Every sample belongs to the family whose TYPE stands last before it, each family is begun once,
 * and histograms grow to a bucket that equals their count. */
static void check_text(const char *bytes)
{
  char family[200] = "";
  char seen[8192] = " ";
  unsigned long long bucket = 0;
  for (const char *line = bytes; *line != '\0';) {
    const char *end = strchr(line, '\n');
    assert_non_null(end);
    size_t size = (size_t)(end - line);
    if (strncmp(line, "# HELP ", 7) == 0) {
      size_t name = strcspn(line + 7, " ");
      snprintf(family, sizeof family, "%.*s", (int)name, line + 7);
      char key[202];
      snprintf(key, sizeof key, " %s ", family);
      assert_null(strstr(seen, key));
      size_t at = strlen(seen);
      assert_true(at + name + 2 < sizeof seen);
      snprintf(seen + at, sizeof seen - at, "%s ", family);
      bucket = 0;
    } else if (*line != '#') {
      assert_memory_equal(line, family, strlen(family));
      const char *value = memchr(line, ' ', size);
      assert_non_null(value);
      unsigned long long number = strtoull(value + 1, NULL, 10);
      if (strstr(line, "_bucket{") != NULL && strstr(line, "_bucket{") < end) {
        assert_true(number >= bucket);
        bucket = number;
      } else if (strncmp(line + strlen(family), "_count", 6) == 0) {
        assert_true(number == bucket);
        bucket = 0;
      }
    }
    line = end + 1;
  }
}

static void test_text_when_a_runtime_ran_then_it_is_well_formed(void **state)
{
  static struct text text;
  struct driver_sim_config sim = {.seed = 3};
  struct rt_driver *driver = driver_sim_new(&sim);
  struct rt_pool_config pool = {.name = "disk", .threads = 1, .queue_max = 2};
  struct rt_config config = {.loops = 2,
                             .classes = classes,
                             .metrics = table,
                             .metrics_count = 5,
                             .pools = &pool,
                             .pools_count = 1};
  (void)state;
  text.size = 0;
  rt *runtime = rt_start(driver, &config);
  assert_non_null(runtime);
  for (uint64_t i = 0; i < 10; i++) {
    assert_int_equal(rt_post(runtime, rt_id_make(1, (unsigned)i, i), RT_OP_APP, NULL, 0), RT_OK);
  }
  while (driver_sim_step(driver, 1000000)) {
  }
  rt_metrics_write(runtime, append, &text);
  check_text(text.bytes);
  assert_int_equal(rt_metric_sum(runtime, 0), 20);
  assert_int_equal(rt_metric_sum(runtime, 1), 18);
  assert_int_equal(rt_metric_sum(runtime, 3), 10);
  assert_non_null(strstr(text.bytes, "\nrt_messages_total{source=\"posted\"} 10\n"));
  assert_non_null(strstr(text.bytes, "\nrt_actors_live{class=\"plain\"} 10\n"));
  assert_non_null(strstr(text.bytes, "\nrt_jobs_in_flight{pool=\"disk\"} 0\n"));
  assert_non_null(strstr(text.bytes, "\napp_seconds_count 10\n"));
  rt_stop(runtime, 1000000);
  assert_true(rt_join(runtime));
  driver_sim_free(driver);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_text_when_series_share_a_name_then_they_stand_under_one_help),
    cmocka_unit_test(test_text_when_no_loop_counts_it_then_it_is_written_alike),
    cmocka_unit_test(test_text_when_a_runtime_ran_then_it_is_well_formed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
