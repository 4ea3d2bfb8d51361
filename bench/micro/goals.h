/* goals.h - the runtime's numeric goals: one table, and where measurements put their figures.
 *
 * Each repeat of a group measures ours and then the limit, so that a ratio is taken within a
 * repeat and load of the machine falls on both. A limit is the same work without a runtime. */
#ifndef HOLDFAST_BENCH_GOALS_H
#define HOLDFAST_BENCH_GOALS_H

#define GOAL_REPEATS_MAX 15u

/* How a row is judged: its figure, or its ratio to the limit, against the bound. */
enum goal_rule { GOAL_NONE, GOAL_LEAST, GOAL_MOST, GOAL_RATIO_LEAST, GOAL_RATIO_MOST };

/* X(id, item, unit, rule, bound, what the limit is) */
#define GOALS(X)                                                                                   \
  X(PING, "one loop: ping-pong", "M msg/s", GOAL_LEAST, 35, "bare queue and calls")                \
  X(COUNT, "one loop: counting", "M msg/s", GOAL_LEAST, 45, "bare queue and calls")                \
  X(FORK, "one loop: fork-join of 10k actors", "M msg/s", GOAL_LEAST, 35, "bare queue and calls")  \
  X(COUNT2, "two loops: counting, window 4096", "M msg/s", GOAL_LEAST, 24, "bare ring, batch 64")  \
  X(HOP, "two loops, both awake: one hop, p50", "ns", GOAL_MOST, 300, "one word to and fro")       \
  X(HOP_RATE, "two loops: ping-pong", "M msg/s", GOAL_LEAST, 3.3, "one word to and fro")           \
  X(KICKS, "wake calls for each message, full speed", "1/msg", GOAL_MOST, 0.01, "")                \
  X(KICKS_PACED, "wake calls for each message at 1 M msg/s", "1/msg", GOAL_MOST, 0.01, "")         \
  X(KICKS_SHARED, "the same, no core to spin on", "1/msg", GOAL_NONE, 0, "")                       \
  X(WAKE_P50, "cold wake, send to handler, p50", "us", GOAL_MOST, 8.5, "futex wake")               \
  X(WAKE_P99, "cold wake, send to handler, p99", "us", GOAL_MOST, 25, "futex wake")                \
  X(WAKE_EPOLL, "the same without a runtime: eventfd to epoll, p50", "us", GOAL_NONE, 0,           \
    "futex wake")                                                                                  \
  X(RANDOM, "random actor of 4 M, send and dispatch", "ns", GOAL_MOST, 120, "touch, 16 ahead")     \
  X(MEMORY, "idle ACTIVE actor without state, of 1 M", "bytes", GOAL_MOST, 112, "malloc(48)")      \
  X(MEMORY_PASSIVE, "PASSIVE actor, after 1 M were ACTIVE", "bytes", GOAL_MOST, 1, "")             \
  X(MEMORY_TRIMMED, "the same, after malloc_trim", "bytes", GOAL_NONE, 0, "")                      \
  X(LIFE, "activate, one message, passivate", "ns", GOAL_MOST, 300, "calloc, free of 64 bytes")    \
  X(TIMER_ARM, "timers: arm, 1 M of them", "ns", GOAL_MOST, 40, "bare list")                       \
  X(TIMER_MOVE, "timers: re-arm at random among 1 M", "ns", GOAL_MOST, 300, "bare list")           \
  X(TIMER_SIZE, "timers: size of one", "bytes", GOAL_MOST, 32, "")                                 \
  X(JOB, "job without work, there and back, p50", "us", GOAL_MOST, 16, "two futex wakes")          \
  X(JOBS, "jobs, 2048 open", "M job/s", GOAL_LEAST, 2, "uv_queue_work")                            \
  X(OVERLOAD_GOODPUT, "overload 10x: done by the peak", "M ask/s", GOAL_RATIO_LEAST, 0.9,          \
    "closed loop")                                                                                 \
  X(OVERLOAD_REFUSAL, "overload 10x: due to refused, p99", "us", GOAL_MOST, 1000, "")              \
  X(OVERLOAD_MEMORY, "overload 10x: memory by its bound", "MiB", GOAL_RATIO_MOST, 1,               \
    "queues as configured")                                                                        \
  X(HOT, "others beside a hot actor with 90 % of traffic, p99", "us", GOAL_RATIO_MOST, 2,          \
    "the others alone")                                                                            \
  X(HOT_EVEN, "the same traffic spread evenly, p99", "us", GOAL_NONE, 0, "the others alone")       \
  X(SIM, "simulator", "M msg/s", GOAL_LEAST, 1, "bare heap of events")                             \
  X(SIM_SEEDS, "episodes of 200 k messages in 5 min on 2 cores", "", GOAL_LEAST, 3000, "")         \
  X(SIM_SAME, "same seed twice: equal traces", "%", GOAL_LEAST, 100, "")

enum goal {
#define X(id, item, unit, rule, bound, limit) GOAL_##id,
  GOALS(X)
#undef X
    GOALS_COUNT
};

/* One figure of this repeat. */
void goal_ours(enum goal goal, double value);
void goal_limit(enum goal goal, double value);
/* Both at once. */
void goal_pair(enum goal goal, double ours, double limit);
/* The rows that were measured: a Markdown table on standard output. */
void goals_table(void);
/* One JSON object for each row: every figure of every repeat. */
void goals_json(const char *path);

/* One repeat of each group. */
void goal_message_repeat(void);
void goal_hop_repeat(void);
void goal_kicks_repeat(void);
void goal_wake_repeat(void);
void goal_job_repeat(void);
void goal_random_repeat(void);
void goal_memory_repeat(void);
void goal_life_repeat(void);
void goal_timer_repeat(void);
void goal_overload_repeat(void);
void goal_hot_repeat(void);
void goal_sim_repeat(void);

#endif
