/* metrics.h - layout, cells and text of the metrics; own.h lists the runtime's own.
 *
 * Owner: a loop writes its own cells; any thread reads them (relaxed atomics: a scrape may see one
 * cell newer than its neighbour). The layout is fixed at start. */
#ifndef HOLDFAST_RUNTIME_METRICS_H
#define HOLDFAST_RUNTIME_METRICS_H

#include "holdfast/rt.h"

#include <stdatomic.h>

#define METRICS_BOUNDS_MAX 24u

/* Series by id: the application's descriptors first, then the runtime's own. */
struct metrics {
  struct rt_metric *table;
  uint32_t *cell; /* by id: first cell; a histogram has bounds_count + 1 buckets and a sum */
  unsigned count;
  unsigned cells_count;
};

struct metric_cell {
  _Atomic uint64_t value;
};

void metrics_init(struct metrics *metrics, const struct rt_metric *first, unsigned first_count,
                  const struct rt_metric *second, unsigned second_count);
void metrics_deinit(struct metrics *metrics);
/* One loop's cells, all 0. */
struct metric_cell *metrics_cells_new(const struct metrics *metrics);
/* Sum of one cell over the loops. */
uint64_t metrics_cell_sum(struct metric_cell *const *loops, unsigned loops_count, uint32_t cell);
/* One series' sum over the loops; for a histogram the count. */
uint64_t metrics_sum(const struct metrics *metrics, struct metric_cell *const *loops,
                     unsigned loops_count, unsigned id);
void metrics_write(const struct metrics *metrics, struct metric_cell *const *loops,
                   unsigned loops_count, void (*sink)(void *arg, const char *text, size_t size),
                   void *arg);

/* One writer for each cell, so a load and a store do; no locked instruction. */
static inline void metrics_add(struct metric_cell *cell, uint64_t delta)
{
  uint64_t before = atomic_load_explicit(&cell->value, memory_order_relaxed);
  atomic_store_explicit(&cell->value, before + delta, memory_order_relaxed);
}

static inline void metrics_set(struct metric_cell *cell, uint64_t value)
{
  atomic_store_explicit(&cell->value, value, memory_order_relaxed);
}

static inline void metrics_observe(const struct metrics *metrics, struct metric_cell *cells,
                                   unsigned id, uint64_t value)
{
  const struct rt_metric *metric = &metrics->table[id];
  struct metric_cell *first = &cells[metrics->cell[id]];
  unsigned bucket = 0;
  while (bucket < metric->bounds_count && value > metric->bounds[bucket]) {
    bucket++;
  }
  metrics_add(&first[bucket], 1);
  metrics_add(&first[metric->bounds_count + 1], value);
}

#endif
