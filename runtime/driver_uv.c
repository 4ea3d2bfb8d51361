/* The driver of production: a libuv loop and a thread for each loop, an eventfd to wake it.
 *
 * Happy path: a thread takes turns; while there is work it looks at the sockets every POLL_US;
 * without work it spins for a moment when messages come close after each other, then sleeps in
 * uv_run until its timer, a socket or a kick.
 * Ways to fail: descriptors or threads that the system refuses; what was started is ended again.
 * Why an eventfd and not uv_async: libuv 1.44 waits for senders inside its async handling. */
#include "driver_uv_pool.h"
#include "holdfast/check.h"
#include "internal.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define POLL_US 50u     /* while busy, sockets are looked at that often */
#define SPIN_US_MIN 5u  /* spun before sleeping, when work comes often */
#define SPIN_US_MAX 50u /* and when it comes more rarely than that: not at all */
#define SPIN_LOOKS 16u  /* at the word that other loops write, for each look at everything */
#define GAP_US_MAX 200u /* a longer gap counts as that: the average recovers soon */
#define JOIN_GRACE_US (10u * 1000000u)
#define CLOSE_ROUNDS_MAX 1000u

struct uv_side {
  uv_loop_t loop;
  uv_poll_t poll;   /* of event_fd */
  uv_timer_t timer; /* ends a sleep */
  int event_fd;
  uv_thread_t thread;
  struct driver_uv *driver;
  unsigned index;
  uint64_t polled_us; /* when the sockets were last looked at */
  uint64_t gap_us;    /* average time from running dry to the next work, moving */
};

struct driver_uv {
  struct rt_driver base;
  rt *runtime;
  struct uv_side *sides; /* by loop */
  unsigned count;
  bool may_spin;
  struct work_pool *pools;
  unsigned pools_count;
};

static struct driver_uv *of(struct rt_driver *self)
{
  return (void *)self;
}

/* ---- clocks ---------------------------------------------------------------------------------- */

static uint64_t clock_us(clockid_t which)
{
  struct timespec now;
  int error = clock_gettime(which, &now);
  CHECK(error == 0);
  return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static uint64_t uv_mono_us(struct rt_driver *self)
{
  (void)self;
  return clock_us(CLOCK_BOOTTIME); /* it counts a suspend: a lease ends in one as well */
}

static uint64_t uv_wall_us(struct rt_driver *self)
{
  (void)self;
  return clock_us(CLOCK_REALTIME);
}

static uint64_t uv_entropy(struct rt_driver *self)
{
  uint64_t word;
  (void)self;
  ssize_t size = getrandom(&word, sizeof word, 0);
  CHECK(size == (ssize_t)sizeof word);
  return word;
}

static bool uv_buggify(struct rt_driver *self, unsigned loop, uint32_t site)
{
  (void)self;
  (void)loop;
  (void)site;
  return false;
}

/* ---- sleeping -------------------------------------------------------------------------------- */

/* The counter cannot overflow: a kick is sent once for each sleep. */
static void uv_kick(struct rt_driver *self, unsigned loop)
{
  uint64_t one = 1;
  ssize_t size;
  do {
    size = write(of(self)->sides[loop].event_fd, &one, sizeof one);
  } while (size < 0 && errno == EINTR);
  CHECK(size == (ssize_t)sizeof one);
}

static void on_kick(uv_poll_t *poll, int status, int events)
{
  const struct uv_side *side = poll->data;
  uint64_t count;
  (void)status;
  (void)events;
  while (read(side->event_fd, &count, sizeof count) < 0 && errno == EINTR) {
  }
}

static void on_timer(uv_timer_t *timer)
{
  (void)timer;
}

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static void note_gap(struct uv_side *side, uint64_t dry_us, uint64_t now_us)
{
  uint64_t gap_us = now_us > dry_us ? now_us - dry_us : 0;
  gap_us = gap_us < GAP_US_MAX ? gap_us : GAP_US_MAX;
  side->gap_us = (7 * side->gap_us + gap_us) / 8;
}

/* True: work came within the time that is worth spinning. The span reaches over the time of a cold
 * wake (8 us, 30 on a busy virtual machine), or two loops that answer each other would never find
 * each other awake. */
static bool spin(struct uv_side *side, rt_ctx *ctx, uint64_t until_us)
{
  if (!side->driver->may_spin || side->gap_us > SPIN_US_MAX) {
    return false;
  }
  uint64_t dry_us = ctx->clock_us;
  uint64_t now_us = dry_us;
  uint64_t span_us = 2 * side->gap_us < SPIN_US_MAX ? 2 * side->gap_us : SPIN_US_MAX;
  uint64_t end_us = dry_us + (span_us > SPIN_US_MIN ? span_us : SPIN_US_MIN);
  end_us = end_us < until_us ? end_us : until_us;
  do {
    bool has_work = loop_has_work(ctx);
    for (unsigned i = 0; i < SPIN_LOOKS && !has_work; i++) {
      relax();
      has_work = loop_is_told(ctx);
    }
    if (has_work) {
      note_gap(side, dry_us, now_us);
      return true;
    }
    now_us = clock_us(CLOCK_BOOTTIME);
  } while (now_us < end_us);
  return false;
}

static void look_at_sockets(struct uv_side *side, uint64_t now_us)
{
  uv_run(&side->loop, UV_RUN_NOWAIT);
  side->polled_us = now_us;
}

static void sleep_until(struct uv_side *side, uint64_t until_us)
{
  uint64_t now_us = clock_us(CLOCK_BOOTTIME);
  if (until_us <= now_us) {
    look_at_sockets(side, now_us);
    return;
  }
  if (until_us != UINT64_MAX) {
    uint64_t wait_ms = (until_us - now_us + 999) / 1000;
    uv_update_time(&side->loop);
    uv_timer_start(&side->timer, on_timer, wait_ms, 0);
  } else {
    uv_timer_stop(&side->timer);
  }
  uv_run(&side->loop, UV_RUN_ONCE);
  side->polled_us = clock_us(CLOCK_BOOTTIME);
}

/* Sockets are looked at now and then however busy the loops keep each other. */
static void run_turns(struct uv_side *side, rt_ctx *ctx)
{
  while (!rt_loop_done(ctx)) {
    uint64_t until_us = rt_turn(ctx);
    uint64_t dry_us = ctx->clock_us;
    if (until_us != 0 && !spin(side, ctx, until_us) && rt_sleep_prepare(ctx)) {
      sleep_until(side, until_us);
      rt_sleep_end(ctx);
      note_gap(side, dry_us, side->polled_us);
    } else if (dry_us - side->polled_us >= POLL_US) {
      look_at_sockets(side, dry_us);
    }
  }
}

/* ---- loop threads ---------------------------------------------------------------------------- */

static void close_handle(uv_handle_t *handle, void *arg)
{
  (void)arg;
  if (!uv_is_closing(handle)) {
    uv_close(handle, NULL);
  }
}

/* Adapters closed their handles when their actors ended; what they forgot is closed here. */
static void side_close(struct uv_side *side)
{
  uv_close((uv_handle_t *)&side->poll, NULL);
  uv_close((uv_handle_t *)&side->timer, NULL);
  for (unsigned i = 0; i < CLOSE_ROUNDS_MAX && uv_loop_alive(&side->loop); i++) {
    uv_run(&side->loop, UV_RUN_NOWAIT);
  }
  if (uv_loop_close(&side->loop) != 0) {
    uv_walk(&side->loop, close_handle, NULL);
    uv_run(&side->loop, UV_RUN_NOWAIT);
    uv_loop_close(&side->loop);
  }
}

static void side_main(void *arg)
{
  struct uv_side *side = arg;
  char name[16];
  snprintf(name, sizeof name, "loop-%u", side->index % 1000);
  pthread_setname_np(pthread_self(), name);
  rt_ctx *ctx = rt_loop_begin(side->driver->runtime, side->index);
  run_turns(side, ctx);
  rt_loop_end(ctx);
  side_close(side);
}

static int side_open(struct uv_side *side, struct driver_uv *driver, unsigned index)
{
  side->driver = driver;
  side->index = index;
  side->gap_us = GAP_US_MAX;
  side->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (side->event_fd < 0) {
    return -errno;
  }
  int error = uv_loop_init(&side->loop);
  if (error != 0) {
    close(side->event_fd);
    return error;
  }
  uv_timer_init(&side->loop, &side->timer);
  error = uv_poll_init(&side->loop, &side->poll, side->event_fd);
  CHECK(error == 0); /* a descriptor just made can be polled */
  side->poll.data = side;
  uv_poll_start(&side->poll, UV_READABLE, on_kick);
  return 0;
}

/* Threads of the runtime leave all signals to the thread that called rt_start. */
static void block_signals(sigset_t *ret_before)
{
  sigset_t all;
  sigfillset(&all);
  int error = pthread_sigmask(SIG_SETMASK, &all, ret_before);
  CHECK(error == 0);
}

static void restore_signals(const sigset_t *before)
{
  pthread_sigmask(SIG_SETMASK, before, NULL);
}

/* Spinning takes from nobody only if each loop has a core of its own, and pool threads another. */
static bool cores_suffice(unsigned needed)
{
  cpu_set_t cores;
  return sched_getaffinity(0, sizeof cores, &cores) == 0 && (unsigned)CPU_COUNT(&cores) >= needed;
}

static bool pools_end(struct driver_uv *driver)
{
  bool is_over = true;
  for (unsigned i = 0; i < driver->pools_count; i++) {
    is_over &= work_pool_stop(&driver->pools[i], JOIN_GRACE_US);
  }
  if (is_over) {
    rt_free(driver->pools);
    driver->pools = NULL;
    driver->pools_count = 0;
  }
  return is_over;
}

static void sides_free(struct driver_uv *driver)
{
  for (unsigned i = 0; i < driver->count; i++) {
    close(driver->sides[i].event_fd);
  }
  rt_free(driver->sides);
  driver->sides = NULL;
  driver->count = 0;
}

static bool uv_driver_join(struct rt_driver *self)
{
  struct driver_uv *driver = of(self);
  for (unsigned i = 0; i < driver->count; i++) {
    uv_thread_join(&driver->sides[i].thread);
  }
  bool is_over = pools_end(driver);
  if (is_over) {
    sides_free(driver);
    driver->runtime = NULL;
  }
  return is_over;
}

/* Ends the first `running` loops of a start that failed later, and closes the rest. */
static void abandon(struct driver_uv *driver, unsigned running)
{
  atomic_store(&driver->runtime->ended, RT_ENDED_LATE);
  for (unsigned i = 0; i < running; i++) {
    loop_wake(driver->runtime, i);
    uv_thread_join(&driver->sides[i].thread);
  }
  for (unsigned i = running; i < driver->count; i++) {
    side_close(&driver->sides[i]);
  }
  pools_end(driver);
  sides_free(driver);
}

static int uv_driver_start(struct rt_driver *self, rt *runtime, unsigned count)
{
  struct driver_uv *driver = of(self);
  sigset_t before;
  int error = 0;
  unsigned running = 0;
  driver->runtime = runtime;
  driver->sides = mem_lines(count * sizeof *driver->sides);
  driver->count = 0;
  driver->may_spin = cores_suffice(count + (driver->pools_count > 0 ? 1 : 0));
  while (error == 0 && driver->count < count) {
    error = side_open(&driver->sides[driver->count], driver, driver->count);
    driver->count += error == 0 ? 1 : 0;
  }
  block_signals(&before);
  while (error == 0 && running < count) {
    struct uv_side *side = &driver->sides[running];
    error = uv_thread_create(&side->thread, side_main, side);
    running += error == 0 ? 1 : 0;
  }
  restore_signals(&before);
  if (error != 0) {
    abandon(driver, running);
  }
  return error;
}

/* ---- pools ----------------------------------------------------------------------------------- */

static int uv_pools(struct rt_driver *self, const struct rt_pool_config *pools, unsigned count)
{
  struct driver_uv *driver = of(self);
  sigset_t before;
  int error = 0;
  driver->pools = mem_lines((count + 1) * sizeof *driver->pools);
  driver->pools_count = 0;
  block_signals(&before);
  for (unsigned i = 0; i < count && error == 0; i++) {
    error = work_pool_start(&driver->pools[i], &pools[i], &driver->runtime);
    driver->pools_count += error == 0 ? 1 : 0;
  }
  restore_signals(&before);
  if (error != 0) {
    pools_end(driver);
  }
  return error;
}

static bool uv_work_put(struct rt_driver *self, unsigned pool, uint64_t key, void (*fn)(void *),
                        void *arg, uint64_t tag)
{
  const struct work_item item = {.fn = fn, .arg = arg, .tag = tag};
  return work_pool_put(&of(self)->pools[pool], key, &item);
}

/* ---- making ---------------------------------------------------------------------------------- */

struct rt_driver *driver_uv_new(void)
{
  struct driver_uv *driver = rt_alloc(sizeof *driver);
  driver->base = (struct rt_driver){.name = "uv",
                                    .mono_us = uv_mono_us,
                                    .wall_us = uv_wall_us,
                                    .entropy = uv_entropy,
                                    .start = uv_driver_start,
                                    .kick = uv_kick,
                                    .work = uv_work_put,
                                    .pools = uv_pools,
                                    .buggify = uv_buggify,
                                    .join = uv_driver_join};
  return &driver->base;
}

void driver_uv_free(struct rt_driver *driver)
{
  if (driver != NULL && of(driver)->runtime == NULL) { /* else a late job still uses it */
    rt_free(driver);
  }
}

struct uv_loop_s *driver_uv_loop(rt_ctx *ctx)
{
  return &of(ctx->driver)->sides[ctx->index].loop;
}
