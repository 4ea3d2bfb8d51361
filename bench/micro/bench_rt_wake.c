/* Wake-ups: a message to a sleeping loop, and a job to a pool thread and back. */
#include "holdfast/check.h"
#include "rt_bench.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define SAMPLES 20000u
#define RUNS 3u
#define BURST 200000u
#define BURST_OPEN 2048u

enum { KIND_HAND = 1 };
enum { OP_PING = RT_OP_APP, OP_PONG, OP_JOB, OP_JOB_DONE, OP_BURST, OP_BURST_DONE };

/* Nanoseconds of each sample; one measurement at a time writes it. */
static uint64_t samples[SAMPLES];

struct hand {
  uint64_t count;  /* samples so far, jobs done of a burst */
  uint64_t handed; /* jobs handed in of a burst */
  uint64_t sent_ns;
};

static void idle_job(void *arg)
{
  (void)arg;
}

static void hand_in(rt_ctx *ctx, struct hand *hand)
{
  hand->sent_ns = bench_ns();
  rt_status status = rt_work(ctx, 0, 0, idle_job, hand, OP_JOB_DONE);
  CHECK(status == RT_OK);
}

static void hand_in_burst(rt_ctx *ctx, struct hand *hand)
{
  while (hand->handed < BURST && hand->handed - hand->count < BURST_OPEN) {
    rt_status status = rt_work(ctx, 0, hand->handed, idle_job, hand, OP_BURST_DONE);
    CHECK(status == RT_OK);
    hand->handed++;
  }
}

static rt_status handle(rt_ctx *ctx, void *state, const rt_env *env)
{
  struct hand *hand = state;
  uint64_t now_ns = bench_ns();
  switch (env->op) {
  case OP_PING: /* u[0]: when it was posted */
    samples[hand->count++] = now_ns - env->payload.u[0];
    bench_finish();
    break;
  case OP_JOB:
    hand_in(ctx, hand);
    break;
  case OP_JOB_DONE:
    samples[hand->count++] = now_ns - hand->sent_ns;
    if (hand->count == SAMPLES) {
      bench_finish();
    } else {
      hand_in(ctx, hand);
    }
    break;
  case OP_BURST:
    hand_in_burst(ctx, hand);
    break;
  default:
    if (++hand->count == BURST) {
      bench_finish();
    } else {
      hand_in_burst(ctx, hand);
    }
  }
  return RT_OK;
}

static const rt_class hand_class = {.name = "hand",
                                    .kind = KIND_HAND,
                                    .flags = RT_CLASS_PER_LOOP,
                                    .state_bytes = sizeof(struct hand),
                                    .handle = handle};
static const rt_class *const classes[] = {&hand_class, NULL};
static const struct rt_pool_config pool = {.name = "bench", .threads = 1, .queue_max = 4096};

static void print_samples(const char *name, unsigned count, const char *goal)
{
  char line[80];
  uint64_t p50 = bench_percentile(samples, count, 0.5);
  uint64_t p99 = bench_percentile(samples, count, 0.99);
  snprintf(line, sizeof line, "%s, p50 | p99", name);
  printf("%-44s %10.3g %10.3g  %-10s %s\n", line, (double)p50 / 1000, (double)p99 / 1000, "us",
         goal);
}

/* ---- the same without a runtime, for the ratio on this machine ------------------------------- */

static uint64_t reference_sent_ns;
static unsigned reference_count;

static void *reference_reader(void *arg)
{
  const int *event_fd = arg;
  int epoll_fd = epoll_create1(0);
  struct epoll_event wanted = {.events = EPOLLIN};
  int error = epoll_ctl(epoll_fd, EPOLL_CTL_ADD, *event_fd, &wanted);
  CHECK(epoll_fd >= 0 && error == 0);
  for (unsigned i = 0; i < reference_count; i++) {
    struct epoll_event event;
    uint64_t count;
    while (epoll_wait(epoll_fd, &event, 1, -1) != 1) {
    }
    ssize_t size = read(*event_fd, &count, sizeof count);
    CHECK(size == (ssize_t)sizeof count);
    samples[i] = bench_ns() - reference_sent_ns;
    bench_finish();
  }
  close(epoll_fd);
  return NULL;
}

static void pause_ns(uint64_t span_ns)
{
  uint64_t start_ns = bench_ns();
  while (bench_ns() - start_ns < span_ns) {
  }
}

static void measure_reference(const char *name, unsigned count, uint64_t gap_ns)
{
  pthread_t reader;
  int event_fd = eventfd(0, EFD_CLOEXEC);
  bench_line_init();
  int error = pthread_create(&reader, NULL, reference_reader, &event_fd);
  CHECK(error == 0 && event_fd >= 0);
  reference_count = count;
  for (unsigned i = 0; i < count; i++) {
    uint64_t one = 1;
    pause_ns(gap_ns);
    reference_sent_ns = bench_ns();
    ssize_t size = write(event_fd, &one, sizeof one);
    CHECK(size == (ssize_t)sizeof one);
    bench_line_wait();
  }
  pthread_join(reader, NULL);
  close(event_fd);
  print_samples(name, count, "-");
}

/* One post at a time; the loop is asleep again before the next, because its answer is awaited and
 * a pause of 5 us follows. The first sample of each runtime is left out by its large number. */
static void measure_wake(const char *name, unsigned count, uint64_t gap_ns, const char *goal)
{
  const struct rt_config config = {.loops = 1, .classes = classes};
  struct rt_driver *driver = driver_uv_new();
  rt *runtime = rt_start(driver, &config);
  CHECK(runtime != NULL);
  bench_line_init();
  for (unsigned i = 0; i < count; i++) {
    pause_ns(gap_ns);
    uint64_t now_ns = bench_ns();
    rt_status status =
      rt_post(runtime, rt_id_make(KIND_HAND, 0, 0), OP_PING, &now_ns, sizeof now_ns);
    CHECK(status == RT_OK);
    bench_line_wait();
  }
  rt_stop(runtime, 1000000);
  bool is_clean = rt_join(runtime);
  CHECK(is_clean);
  driver_uv_free(driver);
  print_samples(name, count, goal);
}

static void measure_job(void)
{
  const struct rt_config config = {
    .loops = 1, .classes = classes, .pools = &pool, .pools_count = 1};
  bench_run(&config, rt_id_make(KIND_HAND, 0, 0), OP_JOB, 0);
  print_samples("job: one at a time, there and back", SAMPLES, "16 | -");
}

static void measure_burst(void)
{
  const struct rt_config config = {
    .loops = 1, .classes = classes, .pools = &pool, .pools_count = 1};
  struct bench_row row = {
    .name = "job: 2048 open", .unit = "M jobs/s", .goal = ">= 2", .more_is_better = true};
  for (unsigned i = 0; i < RUNS; i++) {
    uint64_t took_ns = bench_run(&config, rt_id_make(KIND_HAND, 0, 0), OP_BURST, 0);
    bench_add(&row, BURST * 1000.0 / (double)took_ns);
  }
  bench_print(&row);
}

int main(void)
{
  bench_head();
  measure_reference("reference: eventfd to epoll, 5 us", SAMPLES, 5000);
  measure_wake("wake: post to handler, 5 us", SAMPLES, 5000, "8.5 | 25");
  measure_reference("reference: eventfd to epoll, 1 ms", 1000, 1000000);
  measure_wake("wake: post to handler, 1 ms", 1000, 1000000, "- (asleep)");
  measure_job();
  measure_burst();
  return 0;
}
