/* Builds the descriptors of the runtime's own metrics from the tables in own.h. */
#include "own.h"

#include "holdfast/check.h"
#include "mem.h"

#include <stdio.h>

/* Microseconds. */
static const uint64_t turn_bounds[] = {10,   25,   50,    100,   250,    500,    1000,
                                       2500, 5000, 10000, 25000, 100000, 1000000};
static const uint64_t wait_bounds[] = {10,     25,     50,     100,     250,    500,
                                       1000,   2500,   5000,   10000,   25000,  50000,
                                       100000, 250000, 500000, 1000000, 2500000};
static const uint64_t job_bounds[] = {25,     50,     100,     250,    500,   1000,
                                      2500,   5000,   10000,   25000,  50000, 100000,
                                      250000, 500000, 1000000, 5000000};
#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

#define LABEL_SIZE 96u

static const struct rt_metric scalars[] = {
#define X(id, name_, labels_, type_, help_)                                                        \
  {.name = name_, .labels = labels_, .type = type_, .help = help_, .unit = 1},
  OWN_SCALARS(X)
#undef X
};
static const struct rt_metric class_scalars[] = {
#define X(id, name_, type_, help_)                                                                 \
  {.name = name_, .labels = "", .type = type_, .help = help_, .unit = 1},
  OWN_CLASS_SCALARS(X)
#undef X
};
static const struct rt_metric pool_scalars[] = {
#define X(id, name_, type_, help_)                                                                 \
  {.name = name_, .labels = "", .type = type_, .help = help_, .unit = 1},
  OWN_POOL_SCALARS(X)
#undef X
};

static struct rt_metric histogram(const char *name, const char *help, const char *labels,
                                  const uint64_t *bounds, size_t bounds_count)
{
  return (struct rt_metric){.name = name,
                            .help = help,
                            .labels = labels,
                            .type = RT_HISTOGRAM,
                            .bounds = bounds,
                            .bounds_count = (unsigned)bounds_count,
                            .unit = 1e-6};
}

static const char *label(char *at, const char *key, const char *value)
{
  int size = snprintf(at, LABEL_SIZE, "%s=\"%s\"", key, value);
  CHECK(size > 0 && (unsigned)size < LABEL_SIZE);
  return at;
}

static unsigned classes_count(const struct rt_config *config)
{
  unsigned count = 0;
  while (config->classes != NULL && config->classes[count] != NULL) {
    count++;
  }
  return count;
}

void own_init(struct own_metrics *own, const struct rt_config *config)
{
  unsigned classes = classes_count(config);
  unsigned pools = config->pools_count;
  unsigned count = OWN_COUNT + classes * OWN_CLASS_COUNT + pools * OWN_POOL_COUNT + 2 + pools;
  unsigned at = 0;
  own->table = rt_alloc(count * sizeof *own->table);
  own->labels = rt_alloc((classes + pools) * LABEL_SIZE);
  own->count = count;
  for (unsigned i = 0; i < OWN_COUNT; i++) {
    own->table[at++] = scalars[i];
  }
  own->first_class = at;
  for (unsigned c = 0; c < classes; c++) {
    const char *text = label(own->labels + c * LABEL_SIZE, "class", config->classes[c]->name);
    for (unsigned i = 0; i < OWN_CLASS_COUNT; i++, at++) {
      own->table[at] = class_scalars[i];
      own->table[at].labels = text;
    }
  }
  own->first_pool = at;
  for (unsigned p = 0; p < pools; p++) {
    const char *text =
      label(own->labels + (classes + p) * LABEL_SIZE, "pool", config->pools[p].name);
    for (unsigned i = 0; i < OWN_POOL_COUNT; i++, at++) {
      own->table[at] = pool_scalars[i];
      own->table[at].labels = text;
    }
  }
  own->turn_seconds = at;
  own->table[at++] = histogram("rt_turn_seconds", "Time of the turns that dispatched something.",
                               "", turn_bounds, COUNT_OF(turn_bounds));
  own->wait_seconds = at;
  own->table[at++] =
    histogram("rt_queue_wait_seconds", "Time from send to dispatch, of every 16th message.", "",
              wait_bounds, COUNT_OF(wait_bounds));
  own->first_job_seconds = at;
  for (unsigned p = 0; p < pools; p++) {
    own->table[at++] =
      histogram("rt_job_seconds", "Time from handing a job over to its answer.",
                own->labels + (classes + p) * LABEL_SIZE, job_bounds, COUNT_OF(job_bounds));
  }
  CHECK(at == count);
}

void own_deinit(struct own_metrics *own)
{
  rt_free(own->table);
  rt_free(own->labels);
  own->table = NULL;
  own->labels = NULL;
}
