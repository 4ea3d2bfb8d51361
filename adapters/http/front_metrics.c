#include "front_metrics.h"

/* The HTTP buckets of OpenTelemetry's conventions, and two below them, in microseconds. */
static const uint64_t time_bounds[] = {1000,   2500,   5000,   10000,   25000,   50000,   75000,
                                       100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000};
static const uint64_t size_bounds[] = {1, 4, 16, 64, 256, 1024, 4096, 8192};

#define KIND_COUNTER RT_COUNTER, NULL, 0, 1.0
#define KIND_GAUGE RT_GAUGE, NULL, 0, 1.0
#define KIND_SECONDS RT_HISTOGRAM, time_bounds, sizeof time_bounds / sizeof time_bounds[0], 1e-6
#define KIND_SIZES RT_HISTOGRAM, size_bounds, sizeof size_bounds / sizeof size_bounds[0], 1.0

#define LABELS(method, route) "method=\"" method "\",route=\"" route "\""
#define REQUESTS(at, class, method, route)                                                         \
  [FRONT_M_REQUESTS + (at) * (int)FRONT_CLASSES + (class) -                                        \
    2] = {"holdfast_http_requests_total", "Requests by method, route and class of status",         \
          LABELS(method, route) ",status=\"" #class "xx\"", KIND_COUNTER},
#define SECONDS(at, method, route)                                                                 \
  [FRONT_M_SECONDS + (at)] = {"holdfast_http_request_duration_seconds",                            \
                              "From a request's first byte to its whole reply",                    \
                              LABELS(method, route), KIND_SECONDS},
#define ROUTE_ROWS(at, method, route)                                                              \
  REQUESTS(at, 2, method, route)                                                                   \
  REQUESTS(at, 3, method, route)                                                                   \
  REQUESTS(at, 4, method, route)                                                                   \
  REQUESTS(at, 5, method, route)                                                                   \
  SECONDS(at, method, route)

const struct rt_metric front_metrics[FRONT_METRIC_COUNT] = {
#define X(NAME, name, labels, type, help) [FRONT_M_##NAME] = {name, help, labels, KIND_##type},
  FRONT_SINGLE_METRICS(X)
#undef X
#define X(NAME, METHOD, path, auth, scopes, body, max, key, query, produces, reply, status, tag,   \
          summary, handler)                                                                        \
  ROUTE_ROWS(ROUTE_##NAME, #METHOD, path)
    ROUTES(X)
#undef X
      ROUTE_ROWS(ROUTE_COUNT, "_OTHER", "unmatched")};
