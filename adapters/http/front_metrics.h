/* front_metrics.h - what the front door counts: one row per series, made of the route table.
 *
 * A cell's id is the base that the configuration gives plus FRONT_M_<NAME>. All series exist at
 * zero from the start; requests that no route fits have the route "unmatched". */
#ifndef HOLDFAST_FRONT_METRICS_H
#define HOLDFAST_FRONT_METRICS_H

#include "adapters/http/route.h"
#include "holdfast/rt.h"

/* Requests are counted by route and class of status: 2xx, 3xx, 4xx, 5xx. */
#define FRONT_CLASSES 4u
#define FRONT_ROUTES (ROUTE_COUNT + 1u) /* the last one: unmatched */

/* X(NAME, prometheus name, labels, type, bounds, unit, help); type, bounds and unit as in
 * front_metrics.c: COUNTER, GAUGE, SECONDS (in microseconds), SIZES. */
#define FRONT_SINGLE_METRICS(X)                                                                    \
  X(CONNECTIONS, "holdfast_http_connections", "", GAUGE, "Open client connections")                \
  X(REFUSED_CONNECTIONS, "holdfast_http_refused_total", "reason=\"connections\"", COUNTER,         \
    "Connections and requests refused before a route saw them")                                    \
  X(REFUSED_ADDRESS, "holdfast_http_refused_total", "reason=\"per_address\"", COUNTER,             \
    "Connections and requests refused before a route saw them")                                    \
  X(REFUSED_PARSE, "holdfast_http_refused_total", "reason=\"parse\"", COUNTER,                     \
    "Connections and requests refused before a route saw them")                                    \
  X(REFUSED_SLOW, "holdfast_http_refused_total", "reason=\"slow_reader\"", COUNTER,                \
    "Connections and requests refused before a route saw them")                                    \
  X(REFUSED_OTHER, "holdfast_http_refused_total", "reason=\"other\"", COUNTER,                     \
    "Connections and requests refused before a route saw them")                                    \
  X(LIMITED_KEY, "holdfast_http_rate_limited_total", "by=\"key\"", COUNTER,                        \
    "Requests over a rate limit, by what the limit counts")                                        \
  X(LIMITED_ADDRESS, "holdfast_http_rate_limited_total", "by=\"address\"", COUNTER,                \
    "Requests over a rate limit, by what the limit counts")                                        \
  X(OVERLOADED, "holdfast_http_overloaded_total", "", COUNTER,                                     \
    "Requests refused because too much was waiting inside")                                        \
  X(UNAUTHENTICATED, "holdfast_http_unauthenticated_total", "", COUNTER,                           \
    "Requests without a valid service key where one is needed")                                    \
  X(DEFERRED, "holdfast_http_deferred_total", "", COUNTER,                                         \
    "Requests that waited until large replies before them were read")                              \
  X(BUFFERED, "holdfast_http_buffer_bytes", "", GAUGE,                                             \
    "Memory of the requests and replies of client connections")                                    \
  X(BYTES_IN, "holdfast_http_request_bytes_total", "", COUNTER, "Bytes of requests")               \
  X(BYTES_OUT, "holdfast_http_response_bytes_total", "", COUNTER, "Bytes of replies")              \
  X(STREAMS, "holdfast_http_streams", "", GAUGE, "Open change streams")                            \
  X(STREAM_READS, "holdfast_http_stream_reads_total", "", COUNTER,                                 \
    "Pages that change streams asked the store for")                                               \
  X(STREAM_ENTRIES, "holdfast_http_stream_entries_total", "", COUNTER,                             \
    "Entries written to change streams")                                                           \
  X(BATCH_OPS, "holdfast_http_batch_ops", "", SIZES, "Operations in a batch request")

enum front_metric {
#define X(NAME, name, labels, type, help) FRONT_M_##NAME,
  FRONT_SINGLE_METRICS(X)
#undef X
    FRONT_M_REQUESTS, /* + route * FRONT_CLASSES + (status / 100 - 2) */
  FRONT_M_SECONDS = FRONT_M_REQUESTS + (int)(FRONT_ROUTES * FRONT_CLASSES), /* + route */
  FRONT_METRIC_COUNT = FRONT_M_SECONDS + (int)FRONT_ROUTES
};

/* The rows for rt_config.metrics. */
extern const struct rt_metric front_metrics[FRONT_METRIC_COUNT];

#endif
