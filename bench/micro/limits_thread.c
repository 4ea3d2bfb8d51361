/* Limits that need two threads: a ring, a line, wakes, libuv's pool. */
#include "holdfast/check.h"
#include "limits.h"
#include "rt_bench.h"
#include "runtime/ring.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <uv.h>

#define RING_SIZE 8192u
#define HOPS 100u
#define HOP_SAMPLES 4000u

static pthread_t start(void *(*entry)(void *), void *arg)
{
  pthread_t thread;
  int error = pthread_create(&thread, NULL, entry, arg);
  CHECK(error == 0);
  return thread;
}

/* ---- ring ------------------------------------------------------------------------------------ */

struct ring_run {
  struct ring *ring;
  uint64_t messages;
  unsigned batch;
};

static void *produce(void *arg)
{
  const struct ring_run *run = arg;
  bench_pin(1);
  for (uint64_t i = 0; i < run->messages;) {
    rt_env *slot = ring_reserve(run->ring);
    if (slot == NULL) {
      ring_publish(run->ring);
      sched_yield();
      continue;
    }
    slot->to = i;
    slot->payload.u[0] = i;
    i++;
    if (ring_staged(run->ring) >= run->batch) {
      ring_publish(run->ring);
    }
  }
  ring_publish(run->ring);
  return NULL;
}

double limit_ring(uint64_t messages, unsigned batch)
{
  struct ring_run run = {.ring = ring_new(RING_SIZE), .messages = messages, .batch = batch};
  uint64_t got = 0;
  uint64_t sum = 0;
  bench_pin(0);
  uint64_t start_ns = bench_ns();
  pthread_t producer = start(produce, &run);
  while (got < messages) {
    rt_env *env;
    unsigned count = ring_peek(run.ring, 64, &env);
    for (unsigned k = 0; k < count; k++) {
      sum += env[k].payload.u[0];
    }
    ring_skip(run.ring, count);
    if (count > 0) {
      ring_release(run.ring);
    } else {
      sched_yield();
    }
    got += count;
  }
  double took_ns = (double)(bench_ns() - start_ns);
  pthread_join(producer, NULL);
  CHECK(sum == messages * (messages - 1) / 2);
  ring_free(run.ring);
  bench_unpin();
  return took_ns;
}

/* ---- line ------------------------------------------------------------------------------------ */

static struct {
  alignas(MEM_LINE) _Atomic uint64_t to;
  alignas(MEM_LINE) _Atomic uint64_t fro;
} line;

static void await(_Atomic uint64_t *word, uint64_t value)
{
  while (atomic_load_explicit(word, memory_order_acquire) != value) {
  }
}

static void *answer(void *arg)
{
  bench_pin(1);
  for (uint64_t i = 1; i <= (uint64_t)HOPS * HOP_SAMPLES / 2; i++) {
    await(&line.to, i);
    atomic_store_explicit(&line.fro, i, memory_order_release);
  }
  return arg;
}

double limit_line_hop(double *ret_median_ns)
{
  static uint64_t samples[HOP_SAMPLES];
  uint64_t i = 0;
  atomic_store(&line.to, 0);
  atomic_store(&line.fro, 0);
  bench_pin(0);
  pthread_t other = start(answer, NULL);
  uint64_t first_ns = bench_ns();
  uint64_t since_ns = first_ns;
  for (unsigned s = 0; s < HOP_SAMPLES; s++) {
    for (unsigned k = 0; k < HOPS / 2; k++) {
      i++;
      atomic_store_explicit(&line.to, i, memory_order_release);
      await(&line.fro, i);
    }
    uint64_t now_ns = bench_ns();
    samples[s] = now_ns - since_ns;
    since_ns = now_ns;
  }
  pthread_join(other, NULL);
  bench_unpin();
  *ret_median_ns = (double)bench_percentile(samples, HOP_SAMPLES, 0.5) / HOPS;
  return (double)(since_ns - first_ns) / ((double)HOPS * HOP_SAMPLES);
}

/* ---- wakes ----------------------------------------------------------------------------------- */

struct wakes {
  _Atomic uint32_t word; /* futex: how many were sent */
  int event_fd;
  _Atomic uint64_t sent_ns;
  uint64_t *samples;
  unsigned count;
};

static void futex_wait(_Atomic uint32_t *word, uint32_t value)
{
  while (atomic_load(word) == value) {
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
  }
}

static void futex_wake(_Atomic uint32_t *word)
{
  atomic_fetch_add(word, 1);
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void *futex_reader(void *arg)
{
  struct wakes *wakes = arg;
  bench_pin(0);
  for (unsigned i = 0; i < wakes->count; i++) {
    futex_wait(&wakes->word, i);
    wakes->samples[i] = bench_ns() - atomic_load(&wakes->sent_ns);
    bench_finish();
  }
  return NULL;
}

static void *epoll_reader(void *arg)
{
  struct wakes *wakes = arg;
  int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event wanted = {.events = EPOLLIN};
  bench_pin(0);
  int error = epoll_ctl(epoll_fd, EPOLL_CTL_ADD, wakes->event_fd, &wanted);
  CHECK(epoll_fd >= 0 && error == 0);
  for (unsigned i = 0; i < wakes->count; i++) {
    struct epoll_event event;
    uint64_t count;
    while (epoll_wait(epoll_fd, &event, 1, -1) != 1) {
    }
    ssize_t size = read(wakes->event_fd, &count, sizeof count);
    CHECK(size == (ssize_t)sizeof count);
    wakes->samples[i] = bench_ns() - atomic_load(&wakes->sent_ns);
    bench_finish();
  }
  close(epoll_fd);
  return NULL;
}

static void send_wakes(struct wakes *wakes, void *(*reader)(void *), uint64_t gap_ns)
{
  bench_line_init();
  bench_pin(1);
  pthread_t thread = start(reader, wakes);
  for (unsigned i = 0; i < wakes->count; i++) {
    uint64_t one = 1;
    bench_pause(gap_ns);
    atomic_store(&wakes->sent_ns, bench_ns());
    if (wakes->event_fd >= 0) {
      ssize_t size = write(wakes->event_fd, &one, sizeof one);
      CHECK(size == (ssize_t)sizeof one);
    } else {
      futex_wake(&wakes->word);
    }
    bench_line_wait();
  }
  pthread_join(thread, NULL);
  bench_unpin();
}

/* The samples are written through `wakes`, which the check does not see. */
/* NOLINTNEXTLINE(readability-non-const-parameter) */
void limit_futex_wakes(uint64_t *samples, unsigned count, uint64_t gap_ns)
{
  struct wakes wakes = {.event_fd = -1, .samples = samples, .count = count};
  send_wakes(&wakes, futex_reader, gap_ns);
}

/* The samples are written through `wakes`, which the check does not see. */
/* NOLINTNEXTLINE(readability-non-const-parameter) */
void limit_epoll_wakes(uint64_t *samples, unsigned count, uint64_t gap_ns)
{
  struct wakes wakes = {.event_fd = eventfd(0, EFD_CLOEXEC), .samples = samples, .count = count};
  CHECK(wakes.event_fd >= 0);
  send_wakes(&wakes, epoll_reader, gap_ns);
  close(wakes.event_fd);
}

struct trips {
  _Atomic uint32_t to, fro;
  unsigned count;
};

static void *turn_back(void *arg)
{
  struct trips *trips = arg;
  bench_pin(1);
  for (unsigned i = 0; i < trips->count; i++) {
    futex_wait(&trips->to, i);
    futex_wake(&trips->fro);
  }
  return NULL;
}

void limit_futex_trips(uint64_t *samples, unsigned count)
{
  struct trips trips = {.count = count};
  bench_pin(0);
  pthread_t other = start(turn_back, &trips);
  for (unsigned i = 0; i < count; i++) {
    uint64_t sent_ns = bench_ns();
    futex_wake(&trips.to);
    futex_wait(&trips.fro, i);
    samples[i] = bench_ns() - sent_ns;
  }
  pthread_join(other, NULL);
  bench_unpin();
}

/* ---- libuv's pool ---------------------------------------------------------------------------- */

struct uv_run {
  uv_loop_t loop;
  unsigned left; /* to hand in */
};

static void no_work(uv_work_t *request)
{
  (void)request;
}

static void worked(uv_work_t *request, int status)
{
  struct uv_run *run = request->data;
  (void)status;
  if (run->left > 0) {
    run->left--;
    uv_queue_work(&run->loop, request, no_work, worked);
  }
}

double limit_uv_work(unsigned jobs, unsigned open)
{
  struct uv_run run = {.left = jobs};
  uv_work_t *requests = rt_alloc(open * sizeof *requests);
  setenv("UV_THREADPOOL_SIZE", "1", 0);
  uv_loop_init(&run.loop);
  uint64_t start_ns = bench_ns();
  for (unsigned i = 0; i < open; i++) {
    requests[i].data = &run;
    run.left--;
    uv_queue_work(&run.loop, &requests[i], no_work, worked);
  }
  uv_run(&run.loop, UV_RUN_DEFAULT);
  double took_ns = (double)(bench_ns() - start_ns);
  uv_loop_close(&run.loop);
  rt_free(requests);
  return took_ns;
}
