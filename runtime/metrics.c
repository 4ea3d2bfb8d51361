/* Prometheus text exposition format 0.0.4: one HELP and TYPE for each name, its series after it. */
#include "metrics.h"

#include "holdfast/check.h"
#include "mem.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static uint32_t cells_of(const struct rt_metric *metric)
{
  return metric->type == RT_HISTOGRAM ? metric->bounds_count + 2 : 1;
}

static bool is_sound(const struct rt_metric *metric)
{
  if (metric->name == NULL || metric->help == NULL || metric->labels == NULL || metric->unit <= 0) {
    return false;
  }
  if (metric->type != RT_HISTOGRAM) {
    return true;
  }
  for (unsigned i = 1; i < metric->bounds_count; i++) {
    if (metric->bounds[i] <= metric->bounds[i - 1]) {
      return false;
    }
  }
  return metric->bounds_count <= METRICS_BOUNDS_MAX;
}

void metrics_init(struct metrics *metrics, const struct rt_metric *first, unsigned first_count,
                  const struct rt_metric *second, unsigned second_count)
{
  metrics->count = first_count + second_count;
  metrics->table = rt_alloc(metrics->count * sizeof *metrics->table);
  metrics->cell = rt_alloc(metrics->count * sizeof *metrics->cell);
  metrics->cells_count = 0;
  for (unsigned i = 0; i < metrics->count; i++) {
    const struct rt_metric *metric = i < first_count ? &first[i] : &second[i - first_count];
    CHECK(is_sound(metric));
    metrics->table[i] = *metric;
    metrics->cell[i] = metrics->cells_count;
    metrics->cells_count += cells_of(metric);
  }
}

void metrics_deinit(struct metrics *metrics)
{
  rt_free(metrics->table);
  rt_free(metrics->cell);
  metrics->table = NULL;
  metrics->cell = NULL;
}

struct metric_cell *metrics_cells_new(const struct metrics *metrics)
{
  return mem_lines((metrics->cells_count + 1) * sizeof(struct metric_cell));
}

uint64_t metrics_cell_sum(struct metric_cell *const *loops, unsigned loops_count, uint32_t cell)
{
  uint64_t sum = 0;
  for (unsigned i = 0; i < loops_count; i++) {
    sum += atomic_load_explicit(&loops[i][cell].value, memory_order_relaxed);
  }
  return sum;
}

uint64_t metrics_sum(const struct metrics *metrics, struct metric_cell *const *loops,
                     unsigned loops_count, unsigned id)
{
  CHECK(id < metrics->count);
  const struct rt_metric *metric = &metrics->table[id];
  uint32_t cells = metric->type == RT_HISTOGRAM ? metric->bounds_count + 1 : 1;
  uint64_t sum = 0;
  for (uint32_t i = 0; i < cells; i++) {
    sum += metrics_cell_sum(loops, loops_count, metrics->cell[id] + i);
  }
  return sum;
}

struct writer {
  void (*sink)(void *arg, const char *text, size_t size);
  void *arg;
};

/* Lines hold a name, labels and a number; what the application put into a label is its own. */
__attribute__((format(printf, 2, 3))) static void put(const struct writer *out, const char *format,
                                                      ...)
{
  char line[1024];
  va_list args;
  va_start(args, format);
  int size = vsnprintf(line, sizeof line, format, args);
  va_end(args);
  CHECK(size >= 0 && (size_t)size < sizeof line);
  out->sink(out->arg, line, (size_t)size);
}

static void put_help(const struct writer *out, const struct rt_metric *metric)
{
  static const char *const types[] = {
    [RT_COUNTER] = "counter", [RT_GAUGE] = "gauge", [RT_HISTOGRAM] = "histogram"};
  put(out, "# HELP %s ", metric->name);
  for (const char *at = metric->help; *at != '\0'; at++) {
    if (*at == '\\' || *at == '\n') {
      put(out, "\\%c", *at == '\n' ? 'n' : '\\');
    } else {
      put(out, "%c", *at);
    }
  }
  put(out, "\n# TYPE %s %s\n", metric->name, types[metric->type]);
}

/* Counts print as integers, so that no digit is lost; what has a unit prints as a float. */
static void put_value(const struct writer *out, const struct rt_metric *metric, uint64_t cells)
{
  bool whole = metric->unit >= 1.0 && metric->unit <= 1.0;
  if (metric->type == RT_GAUGE) {
    int64_t value = (int64_t)cells;
    if (whole) {
      put(out, " %" PRId64 "\n", value);
    } else {
      put(out, " %.9g\n", (double)value * metric->unit);
    }
  } else if (whole) {
    put(out, " %" PRIu64 "\n", cells);
  } else {
    put(out, " %.15g\n", (double)cells * metric->unit);
  }
}

static void put_histogram(const struct writer *out, const struct rt_metric *metric,
                          const uint64_t *cells)
{
  const char *comma = metric->labels[0] != '\0' ? "," : "";
  uint64_t count = 0;
  for (unsigned i = 0; i <= metric->bounds_count; i++) {
    count += cells[i];
    if (i < metric->bounds_count) {
      put(out, "%s_bucket{%s%sle=\"%.9g\"} %" PRIu64 "\n", metric->name, metric->labels, comma,
          (double)metric->bounds[i] * metric->unit, count);
    } else {
      put(out, "%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", metric->name, metric->labels, comma,
          count);
    }
  }
  const char *open = metric->labels[0] != '\0' ? "{" : "";
  const char *close = metric->labels[0] != '\0' ? "}" : "";
  put(out, "%s_sum%s%s%s", metric->name, open, metric->labels, close);
  put_value(out, metric, cells[metric->bounds_count + 1]);
  put(out, "%s_count%s%s%s %" PRIu64 "\n", metric->name, open, metric->labels, close, count);
}

static void put_scalar(const struct writer *out, const struct rt_metric *metric, uint64_t value)
{
  if (metric->labels[0] != '\0') {
    put(out, "%s{%s}", metric->name, metric->labels);
  } else {
    put(out, "%s", metric->name);
  }
  put_value(out, metric, value);
}

static void put_series(const struct writer *out, const struct metrics *metrics, unsigned id,
                       struct metric_cell *const *loops, unsigned loops_count)
{
  const struct rt_metric *metric = &metrics->table[id];
  uint64_t cells[METRICS_BOUNDS_MAX + 2] = {0};
  for (uint32_t i = 0; i < cells_of(metric); i++) {
    cells[i] = metrics_cell_sum(loops, loops_count, metrics->cell[id] + i);
  }
  if (metric->type == RT_HISTOGRAM) {
    put_histogram(out, metric, cells);
  } else {
    put_scalar(out, metric, cells[0]);
  }
}

void metrics_write(const struct metrics *metrics, struct metric_cell *const *loops,
                   unsigned loops_count, void (*sink)(void *arg, const char *text, size_t size),
                   void *arg)
{
  const struct writer out = {.sink = sink, .arg = arg};
  for (unsigned i = 0; i < metrics->count; i++) {
    const char *name = metrics->table[i].name;
    unsigned same = 0;
    while (same < i && strcmp(metrics->table[same].name, name) != 0) {
      same++;
    }
    if (same < i) {
      continue; /* written with the first series of its name */
    }
    put_help(&out, &metrics->table[i]);
    for (unsigned id = i; id < metrics->count; id++) {
      if (strcmp(metrics->table[id].name, name) == 0) {
        put_series(&out, metrics, id, loops, loops_count);
      }
    }
  }
}

void rt_metric_write(const struct rt_metric *metric, int64_t value,
                     void (*sink)(void *arg, const char *text, size_t size), void *arg)
{
  const struct writer out = {.sink = sink, .arg = arg};
  CHECK(is_sound(metric));
  CHECK(metric->type != RT_HISTOGRAM);
  put_help(&out, metric);
  put_scalar(&out, metric, (uint64_t)value);
}
