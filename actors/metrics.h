/* metrics.h - what the actors count. One table: cells, Prometheus text, docs/METRICS.md.
 *
 * A cell's id is setup->metric_base + HF_M_<NAME>. Times are observed in microseconds. */
#ifndef HOLDFAST_METRICS_H
#define HOLDFAST_METRICS_H

#include "actors/actors.h"

#define HF_M_OP(X, NAME, text)                                                                     \
  X(OP_APPLIED_##NAME, "holdfast_ops_total", "type=\"" text "\",outcome=\"applied\"", COUNTER,     \
    "Operations judged, by type and outcome")                                                      \
  X(OP_REFUSED_##NAME, "holdfast_ops_total", "type=\"" text "\",outcome=\"refused\"", COUNTER,     \
    "Operations judged, by type and outcome")

/* X(NAME, prometheus name, labels, type, help); ops in the order of enum ledger_type. type:
 * COUNTER, GAUGE, SECONDS (a gauge in microseconds), HISTOGRAM of times, SIZES (a histogram of
 * counts). */
#define HF_METRICS(X)                                                                              \
  HF_M_OP(X, EARN, "earn")                                                                         \
  HF_M_OP(X, SETTLE, "settle")                                                                     \
  HF_M_OP(X, MATURE, "mature")                                                                     \
  HF_M_OP(X, GRANT, "grant")                                                                       \
  HF_M_OP(X, DEPOSIT, "deposit")                                                                   \
  HF_M_OP(X, SPEND, "spend")                                                                       \
  HF_M_OP(X, HOLD, "hold")                                                                         \
  HF_M_OP(X, CAPTURE, "capture")                                                                   \
  HF_M_OP(X, VOID, "void")                                                                         \
  HF_M_OP(X, BLOCK, "block")                                                                       \
  HF_M_OP(X, UNBLOCK, "unblock")                                                                   \
  HF_M_OP(X, TRANSFER, "transfer")                                                                 \
  HF_M_OP(X, ADJUST, "adjust")                                                                     \
  HF_M_OP(X, QUARANTINE_IN, "quarantine")                                                          \
  HF_M_OP(X, RELEASE, "release")                                                                   \
  HF_M_OP(X, REVERSE, "reverse")                                                                   \
  HF_M_OP(X, EXPIRE, "expire")                                                                     \
  HF_M_OP(X, CREDIT, "credit")                                                                     \
  HF_M_OP(X, BOUNCE, "bounce")                                                                     \
  X(OP_REPLAYED, "holdfast_ops_replayed_total", "", COUNTER,                                       \
    "Operations answered from the journal because their key was known")                            \
  X(OP_UNKNOWN, "holdfast_ops_unanswered_total", "", COUNTER,                                      \
    "Operations answered 503: not done, or of unknown outcome")                                    \
  X(OP_RESTAGED, "holdfast_ops_restaged_total", "", COUNTER,                                       \
    "Operations judged again because a commit did not take them")                                  \
  X(OP_SECONDS, "holdfast_op_duration_seconds", "", HISTOGRAM,                                     \
    "From judging an operation to its durable answer")                                             \
  X(USER_LOADS, "holdfast_user_loads_total", "", COUNTER, "Users read from the store")             \
  X(STORE_QUEUE, "holdfast_store_queue_units", "", GAUGE, "Units waiting for a commit batch")      \
  X(STORE_FLIGHT, "holdfast_store_inflight_units", "", GAUGE, "Units in commits in flight")        \
  X(STORE_WAIT, "holdfast_store_queue_wait_seconds", "", HISTOGRAM,                                \
    "How long the oldest unit of a batch waited for it")                                           \
  X(STORE_BATCH, "holdfast_store_batch_units", "", SIZES, "Units in a commit batch")               \
  X(STORE_COMMIT, "holdfast_store_commit_seconds", "", HISTOGRAM, "Commit transaction time")       \
  X(STORE_TRANSACTIONS, "holdfast_store_transactions_total", "", COUNTER,                          \
    "Database transactions that carried commit batches, of one loop or of several")                \
  X(STORE_COMMITS, "holdfast_store_commits_total", "", COUNTER, "Commit batches that succeeded")   \
  X(STORE_ENTRIES, "holdfast_journal_entries_total", "", COUNTER, "Journal entries committed")     \
  X(STORE_HITS, "holdfast_store_key_hits_total", "", COUNTER,                                      \
    "Units whose idempotency key the commit found")                                                \
  X(STORE_FAILURES, "holdfast_store_failures_total", "", COUNTER, "Commit batches that failed")    \
  X(STORE_READ, "holdfast_store_read_seconds", "", HISTOGRAM, "Store reads, queueing included")    \
  X(REPLICA_READS, "holdfast_store_replica_reads_total", "by=\"replica\"", COUNTER,                \
    "Reads of history that were sent to the replica, by who answered")                             \
  X(REPLICA_SHORT, "holdfast_store_replica_reads_total", "by=\"primary\"", COUNTER,                \
    "Reads of history that were sent to the replica, by who answered")                             \
  X(STORE_REFUSED, "holdfast_store_refused_total", "", COUNTER,                                    \
    "Units and reads refused because the store is down or the queue full")                         \
  X(BREAKER, "holdfast_store_breaker_open", "", GAUGE, "Loops whose store breaker is open")        \
  X(TRANSIT_BEGUN, "holdfast_transfers_begun_total", "", COUNTER,                                  \
    "Transfers that were debited and go to their payee")                                           \
  X(TRANSIT_ENDED, "holdfast_transfers_ended_total", "", COUNTER,                                  \
    "Transfers that were credited or bounced, durably, or are another node's now; begun less "     \
    "ended is in transit here")                                                                    \
  X(HOLDS_EXPIRED, "holdfast_holds_swept_total", "", COUNTER, "Expired holds found by the sweep")  \
  X(PARTITIONS, "holdfast_partitions_owned", "", GAUGE, "Partitions that this node has")           \
  X(PARTITIONS_VAIN, "holdfast_partitions_unopened", "", GAUGE,                                    \
    "Partitions that this node has and cannot open: their users get 503, the others do not")       \
  X(TAKEOVERS, "holdfast_partitions_taken_over_total", "", COUNTER,                                \
    "Partitions that were another node's and came here when it died")                              \
  X(BEATS_FAILED, "holdfast_lease_heartbeats_failed_total", "", COUNTER,                           \
    "Heartbeats of this node that the store did not take")                                         \
  X(FORWARDED, "holdfast_forwarded_total", "", COUNTER,                                            \
    "Asks that went to another node, because it has the partition")                                \
  X(BEAT_AGE, "holdfast_lease_heartbeat_age_seconds", "", SECONDS,                                 \
    "Since the last heartbeat that the store took was sent; 0 with an embedded store")

enum hf_metric {
#define X(name, text, labels, type, help) HF_M_##name,
  HF_METRICS(X)
#undef X
    HF_METRIC_COUNT
};

/* The rows for rt_config.metrics: HF_METRIC_COUNT of them. */
extern const struct rt_metric hf_actor_metrics[HF_METRIC_COUNT];

static inline void hf_count(rt_ctx *ctx, enum hf_metric metric, uint64_t delta)
{
  rt_count(ctx, hf_setup_of(ctx)->metric_base + (unsigned)metric, delta);
}
static inline void hf_gauge(rt_ctx *ctx, enum hf_metric metric, int64_t value)
{
  rt_gauge(ctx, hf_setup_of(ctx)->metric_base + (unsigned)metric, value);
}
static inline void hf_observe(rt_ctx *ctx, enum hf_metric metric, uint64_t value)
{
  rt_observe(ctx, hf_setup_of(ctx)->metric_base + (unsigned)metric, value);
}

#endif
