/* The rows of the metric table; bounds follow the OpenTelemetry conventions where they fit. */
#include "actors/metrics.h"

static const uint64_t time_bounds[] = {100,    250,    500,     1000,    2500,
                                       5000,   10000,  25000,   50000,   100000,
                                       250000, 500000, 1000000, 2500000, 10000000};
static const uint64_t size_bounds[] = {1,   2,   4,   8,    16,   32,   64,
                                       128, 256, 512, 1024, 2048, 4096, 8192};

#define KIND_COUNTER RT_COUNTER, NULL, 0, 1.0
#define KIND_GAUGE RT_GAUGE, NULL, 0, 1.0
#define KIND_SECONDS RT_GAUGE, NULL, 0, 1e-6
#define KIND_HISTOGRAM RT_HISTOGRAM, time_bounds, sizeof time_bounds / sizeof time_bounds[0], 1e-6
#define KIND_SIZES RT_HISTOGRAM, size_bounds, sizeof size_bounds / sizeof size_bounds[0], 1.0
#define METRIC(id, name, labels, kind, help) [HF_M_##id] = {name, help, labels, KIND_##kind},

const struct rt_metric hf_actor_metrics[HF_METRIC_COUNT] = {HF_METRICS(METRIC)};
