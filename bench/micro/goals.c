/* The table of goals: keeps the figures of each repeat, prints medians, ratios and verdicts. */
#include "goals.h"

#include "holdfast/check.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct figures {
  double values[GOAL_REPEATS_MAX];
  unsigned count;
};

struct row {
  const char *key, *item, *unit;
  enum goal_rule rule;
  double bound;
  const char *limit_name;
  struct figures ours, limit;
};

static struct row rows[] = {
#define X(id, item_, unit_, rule_, bound_, limit_)                                                 \
  {.key = #id, .item = item_, .unit = unit_, .rule = rule_, .bound = bound_, .limit_name = limit_},
  GOALS(X)
#undef X
};

static void add(struct figures *figures, double value)
{
  CHECK(figures->count < GOAL_REPEATS_MAX);
  figures->values[figures->count++] = value;
}

void goal_ours(enum goal goal, double value)
{
  add(&rows[goal].ours, value);
}

void goal_limit(enum goal goal, double value)
{
  add(&rows[goal].limit, value);
}

void goal_pair(enum goal goal, double ours, double limit)
{
  goal_ours(goal, ours);
  goal_limit(goal, limit);
}

static int by_size(const void *a, const void *b)
{
  const double *x = a;
  const double *y = b;
  return (*x > *y) - (*x < *y);
}

static struct figures sorted(const struct figures *figures)
{
  struct figures copy = *figures;
  qsort(copy.values, copy.count, sizeof copy.values[0], by_size);
  return copy;
}

static double median(const struct figures *figures)
{
  struct figures copy = sorted(figures);
  return copy.values[copy.count / 2];
}

static double ratio(const struct row *row)
{
  struct figures ratios = {.count = row->limit.count};
  CHECK(row->limit.count <= row->ours.count);
  for (unsigned i = 0; i < ratios.count; i++) {
    ratios.values[i] = row->ours.values[i] / row->limit.values[i];
  }
  return median(&ratios);
}

static bool is_ratio(const struct row *row)
{
  return row->rule == GOAL_RATIO_LEAST || row->rule == GOAL_RATIO_MOST;
}

static bool is_least(const struct row *row)
{
  return row->rule == GOAL_LEAST || row->rule == GOAL_RATIO_LEAST;
}

static const char *verdict(const struct row *row)
{
  if (row->rule == GOAL_NONE) {
    return "";
  }
  double value = is_ratio(row) ? ratio(row) : median(&row->ours);
  bool is_met = is_least(row) ? value >= row->bound : value <= row->bound;
  return is_met ? "pass" : "**miss**";
}

static void print_row(const struct row *row)
{
  struct figures ours = sorted(&row->ours);
  char limit[96] = "";
  char share[32] = "";
  char goal[48] = "";
  if (row->limit.count > 0) {
    snprintf(limit, sizeof limit, "%.3g (%s)", median(&row->limit), row->limit_name);
    snprintf(share, sizeof share, "%.2f", ratio(row));
  }
  if (row->rule != GOAL_NONE) {
    snprintf(goal, sizeof goal, "%s %g%s%s", is_least(row) ? "≥" : "≤", row->bound,
             is_ratio(row) ? " of it" : " ", is_ratio(row) ? "" : row->unit);
  }
  printf("| %s | **%.4g** %s | %.3g to %.3g | %s | %s | %s | %s |\n", row->item, median(&row->ours),
         row->unit, ours.values[0], ours.values[ours.count - 1], limit, share, goal, verdict(row));
}

void goals_table(void)
{
  puts("| item | ours, median | all runs | limit, median | ratio | goal | |");
  puts("|---|---|---|---|---|---|---|");
  for (unsigned i = 0; i < GOALS_COUNT; i++) {
    if (rows[i].ours.count > 0) {
      print_row(&rows[i]);
    }
  }
  fflush(stdout);
}

static void write_figures(FILE *file, const char *name, const struct figures *figures)
{
  fprintf(file, ",\"%s\":[", name);
  for (unsigned i = 0; i < figures->count; i++) {
    fprintf(file, "%s%.6g", i > 0 ? "," : "", figures->values[i]);
  }
  fputc(']', file);
}

void goals_json(const char *path)
{
  FILE *file = fopen(path, "w");
  CHECK(file != NULL);
  for (unsigned i = 0; i < GOALS_COUNT; i++) {
    const struct row *row = &rows[i];
    if (row->ours.count == 0) {
      continue;
    }
    fprintf(file, "{\"row\":\"%s\",\"item\":\"%s\",\"unit\":\"%s\"", row->key, row->item,
            row->unit);
    write_figures(file, "ours", &row->ours);
    write_figures(file, "limit", &row->limit);
    fprintf(file, ",\"limit_is\":\"%s\"", row->limit_name);
    if (row->rule != GOAL_NONE) {
      fprintf(file, ",\"bound\":%g,\"is_ratio\":%s,\"met\":%s", row->bound,
              is_ratio(row) ? "true" : "false",
              strcmp(verdict(row), "pass") == 0 ? "true" : "false");
    }
    fputs("}\n", file);
  }
  fclose(file);
}
