/* The driver of simulations: one thread, virtual time, everything decided by the seed.
 *
 * A heap holds what will happen, ordered by (time, number of scheduling): turns of loops and
 * answers of jobs. A loop has at most one turn scheduled; a kick brings it forward. Jobs run where
 * they are handed in and are answered later, in order for each thread that the pool would have.
 * Each purpose draws from its own random stream, so that a draw more in one place does not shift
 * the others. Nothing here is ordered by address. */
#include "holdfast/check.h"
#include "internal.h"

#include <string.h>

#define BUSY_US_MAX 10u  /* virtual time that a turn takes, at most */
#define FIRE_PERCENT 25u /* of the times that an active fault site is asked */

enum sim_stream {
  STREAM_SCHEDULE,
  STREAM_JOBS,
  STREAM_ENTROPY,
  STREAM_TEST,
  STREAM_SITES, /* and one more for each loop */
  STREAM_COUNT = STREAM_SITES + (int)RT_LOOPS_MAX
};

enum sim_event_type { EVENT_TURN, EVENT_JOB };

struct sim_event {
  uint64_t at_us;
  uint64_t number; /* of scheduling: breaks ties */
  enum sim_event_type type;
  unsigned index; /* loop, or pool */
  uint64_t tag;   /* turn: the loop's schedule that it belongs to; job: its tag */
};

struct sim_loop {
  rt_ctx *ctx;       /* NULL: ended */
  uint64_t turn_us;  /* of the scheduled turn; UINT64_MAX: none */
  uint64_t schedule; /* events of an older schedule are void */
};

struct sim_pool {
  struct rt_pool_config config;
  unsigned jobs;     /* not answered yet */
  uint64_t *free_us; /* by thread: when its last job is answered */
};

struct driver_sim {
  struct rt_driver base;
  struct driver_sim_config config;
  rt *runtime;
  uint64_t now_us;
  int64_t wall_shift_us;
  uint64_t streams[STREAM_COUNT];
  struct sim_event *heap;
  size_t heap_count, heap_room;
  uint64_t number;
  struct sim_loop loops[RT_LOOPS_MAX];
  unsigned loops_count;
  struct sim_pool *pools;
  unsigned pools_count;
  uint64_t trace;
  struct sim_sends {
    uint64_t count;       /* so far */
    uint64_t from, until; /* these find no room */
  } sends[2];             /* by enum driver_sim_sends */
};

static struct driver_sim *of(struct rt_driver *self)
{
  return (void *)self;
}

/* ---- chance ---------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t x)
{
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return x ^ (x >> 31);
}

static uint64_t draw(struct driver_sim *sim, unsigned stream)
{
  return mix(sim->streams[stream] += 0x9E3779B97F4A7C15ull);
}

static uint64_t draw_range(struct driver_sim *sim, unsigned stream, uint64_t from, uint64_t to)
{
  return to <= from ? from : from + draw(sim, stream) % (to - from + 1);
}

/* ---- events ---------------------------------------------------------------------------------- */

static bool is_before(const struct sim_event *a, const struct sim_event *b)
{
  return a->at_us != b->at_us ? a->at_us < b->at_us : a->number < b->number;
}

static void heap_put(struct driver_sim *sim, struct sim_event event)
{
  if (sim->heap_count == sim->heap_room) {
    sim->heap_room = sim->heap_room == 0 ? 64 : sim->heap_room * 2;
    sim->heap = rt_realloc(sim->heap, sim->heap_room * sizeof *sim->heap);
  }
  event.number = sim->number++;
  size_t at = sim->heap_count++;
  while (at > 0 && is_before(&event, &sim->heap[(at - 1) / 2])) {
    sim->heap[at] = sim->heap[(at - 1) / 2];
    at = (at - 1) / 2;
  }
  sim->heap[at] = event;
}

static struct sim_event heap_take(struct driver_sim *sim)
{
  CHECK(sim->heap_count > 0);
  struct sim_event first = sim->heap[0];
  struct sim_event last = sim->heap[--sim->heap_count];
  size_t at = 0;
  for (;;) {
    size_t child = at * 2 + 1;
    if (child >= sim->heap_count) {
      break;
    }
    if (child + 1 < sim->heap_count && is_before(&sim->heap[child + 1], &sim->heap[child])) {
      child++;
    }
    if (!is_before(&sim->heap[child], &last)) {
      break;
    }
    sim->heap[at] = sim->heap[child];
    at = child;
  }
  if (sim->heap_count > 0) {
    sim->heap[at] = last;
  }
  return first;
}

/* An earlier turn replaces a later one. */
static void schedule_turn(struct driver_sim *sim, unsigned index, uint64_t at_us)
{
  struct sim_loop *loop = &sim->loops[index];
  if (loop->ctx == NULL || loop->turn_us <= at_us) {
    return;
  }
  loop->turn_us = at_us;
  loop->schedule++;
  heap_put(sim, (struct sim_event){
                  .at_us = at_us, .type = EVENT_TURN, .index = index, .tag = loop->schedule});
}

static void run_turn(struct driver_sim *sim, unsigned index)
{
  struct sim_loop *loop = &sim->loops[index];
  rt_ctx *ctx = loop->ctx;
  loop->turn_us = UINT64_MAX;
  rt_sleep_end(ctx);
  uint64_t until_us = rt_turn(ctx);
  if (rt_loop_done(ctx)) {
    loop->ctx = NULL;
    rt_loop_end(ctx);
    return;
  }
  uint64_t soon_us = sim->now_us + draw_range(sim, STREAM_SCHEDULE, 1, BUSY_US_MAX);
  if (until_us == 0 || !rt_sleep_prepare(ctx)) {
    schedule_turn(sim, index, soon_us);
  } else if (until_us != UINT64_MAX) {
    schedule_turn(sim, index, until_us > soon_us ? until_us : soon_us);
  }
}

static bool is_void(const struct driver_sim *sim, const struct sim_event *event)
{
  const struct sim_loop *loop = &sim->loops[event->index];
  return event->type == EVENT_TURN && (loop->ctx == NULL || loop->schedule != event->tag);
}

bool driver_sim_step(struct rt_driver *driver, uint64_t until_us)
{
  struct driver_sim *sim = of(driver);
  while (sim->heap_count > 0 && sim->heap[0].at_us <= until_us) {
    struct sim_event event = heap_take(sim);
    if (is_void(sim, &event)) {
      continue;
    }
    if (event.at_us > sim->now_us) { /* else the time was skipped */
      sim->now_us = event.at_us;
    }
    if (event.type == EVENT_TURN) {
      run_turn(sim, event.index);
    } else {
      sim->pools[event.index].jobs--;
      rt_job_done(sim->runtime, event.tag);
    }
    return true;
  }
  if (until_us != UINT64_MAX && until_us > sim->now_us) {
    sim->now_us = until_us;
  }
  return false;
}

uint64_t driver_sim_next_us(struct rt_driver *driver)
{
  struct driver_sim *sim = of(driver);
  while (sim->heap_count > 0 && is_void(sim, &sim->heap[0])) {
    (void)heap_take(sim);
  }
  if (sim->heap_count == 0) {
    return UINT64_MAX;
  }
  return sim->heap[0].at_us > sim->now_us ? sim->heap[0].at_us : sim->now_us;
}

void driver_sim_skip(struct rt_driver *driver, uint64_t to_us)
{
  struct driver_sim *sim = of(driver);
  if (to_us > sim->now_us) {
    sim->now_us = to_us;
  }
}

/* ---- what the runtime needs ------------------------------------------------------------------ */

static uint64_t sim_mono_us(struct rt_driver *self)
{
  return of(self)->now_us;
}

static uint64_t sim_wall_us(struct rt_driver *self)
{
  const struct driver_sim *sim = of(self);
  return sim->config.start_wall_us + sim->now_us + (uint64_t)sim->wall_shift_us;
}

static uint64_t sim_entropy(struct rt_driver *self)
{
  return draw(of(self), STREAM_ENTROPY);
}

static void sim_kick(struct rt_driver *self, unsigned loop)
{
  struct driver_sim *sim = of(self);
  uint64_t delay_us = draw_range(sim, STREAM_SCHEDULE, 0, sim->config.kick_delay_us_max);
  schedule_turn(sim, loop, sim->now_us + delay_us);
}

static int sim_start(struct rt_driver *self, rt *runtime, unsigned count)
{
  struct driver_sim *sim = of(self);
  CHECK(sim->runtime == NULL);
  sim->runtime = runtime;
  sim->loops_count = count;
  for (unsigned i = 0; i < count; i++) {
    sim->loops[i].turn_us = UINT64_MAX;
    sim->loops[i].ctx = rt_loop_begin(runtime, i);
  }
  for (unsigned i = 0; i < count; i++) {
    schedule_turn(sim, i, sim->now_us + draw_range(sim, STREAM_SCHEDULE, 0, BUSY_US_MAX));
  }
  return 0;
}

static int sim_pools(struct rt_driver *self, const struct rt_pool_config *pools, unsigned count)
{
  struct driver_sim *sim = of(self);
  sim->pools = rt_alloc(count * sizeof *sim->pools);
  sim->pools_count = count;
  for (unsigned i = 0; i < count; i++) {
    CHECK(pools[i].threads > 0 && pools[i].queue_max > 0);
    sim->pools[i].config = pools[i];
    sim->pools[i].free_us = rt_alloc(pools[i].threads * sizeof(uint64_t));
  }
  return 0;
}

static bool sim_work(struct rt_driver *self, unsigned pool, uint64_t key, void (*fn)(void *),
                     void *arg, uint64_t tag)
{
  struct driver_sim *sim = of(self);
  struct sim_pool *target = &sim->pools[pool];
  if (target->jobs >= target->config.queue_max) {
    return false;
  }
  uint64_t *free_us = &target->free_us[key % target->config.threads];
  uint64_t at_us = sim->now_us + draw_range(sim, STREAM_JOBS, sim->config.job_delay_us_min,
                                            sim->config.job_delay_us_max);
  *free_us = at_us > *free_us ? at_us : *free_us;
  target->jobs++;
  fn(arg);
  heap_put(sim,
           (struct sim_event){.at_us = *free_us, .type = EVENT_JOB, .index = pool, .tag = tag});
  return true;
}

/* Which sites are active in a run is decided by the seed and the site alone. */
static bool sim_buggify(struct rt_driver *self, unsigned loop, uint32_t site)
{
  struct driver_sim *sim = of(self);
  if (site == RT_SITE_ASK_REFUSED || site == RT_SITE_TELL_REFUSED) {
    struct sim_sends *sends = &sim->sends[site - RT_SITE_ASK_REFUSED];
    sends->count++;
    return sends->count >= sends->from && sends->count < sends->until;
  }
  uint64_t lot = mix(sim->config.seed ^ mix(site + 0x9E3779B97F4A7C15ull)) % 100;
  return lot < sim->config.buggify_percent &&
         draw(sim, (unsigned)STREAM_SITES + loop) % 100 < FIRE_PERCENT;
}

static void sim_dispatched(struct rt_driver *self, unsigned loop, uint64_t now_us, rt_id to,
                           uint16_t op)
{
  struct driver_sim *sim = of(self);
  uint64_t hash = sim->trace;
  hash = mix(hash ^ now_us);
  hash = mix(hash ^ to);
  sim->trace = mix(hash ^ ((uint64_t)loop << 32 | op));
}

/* The heap is emptied; jobs without an answer are handed back, so that their owners free them. */
static void forget_runtime(struct driver_sim *sim)
{
  while (sim->heap_count > 0) {
    struct sim_event event = heap_take(sim);
    if (event.type == EVENT_JOB) {
      rt_job_done(sim->runtime, event.tag);
    }
  }
  for (unsigned i = 0; i < sim->pools_count; i++) {
    rt_free(sim->pools[i].free_us);
  }
  rt_free(sim->pools);
  sim->pools = NULL;
  sim->pools_count = 0;
  sim->loops_count = 0;
  sim->runtime = NULL;
}

static bool any_loop(const struct driver_sim *sim)
{
  for (unsigned i = 0; i < sim->loops_count; i++) {
    if (sim->loops[i].ctx != NULL) {
      return true;
    }
  }
  return false;
}

bool driver_sim_ended(const struct rt_driver *driver)
{
  return !any_loop((const struct driver_sim *)(const void *)driver);
}

/* Takes the steps that the drain still needs. */
static bool sim_join(struct rt_driver *self)
{
  struct driver_sim *sim = of(self);
  CHECK(atomic_load(&sim->runtime->stop_at_us) != 0);
  while (any_loop(sim)) {
    bool has_stepped = driver_sim_step(self, UINT64_MAX);
    CHECK(has_stepped);
  }
  forget_runtime(sim);
  return true;
}

/* ---- for tests ------------------------------------------------------------------------------- */

void driver_sim_crash(struct rt_driver *driver, rt *runtime)
{
  struct driver_sim *sim = of(driver);
  CHECK(sim->runtime == runtime);
  atomic_store(&runtime->ended, RT_ENDED_LATE);
  for (unsigned i = 0; i < sim->loops_count; i++) {
    rt_ctx *ctx = sim->loops[i].ctx;
    sim->loops[i].ctx = NULL;
    if (ctx != NULL) {
      rt_loop_end(ctx);
    }
  }
  forget_runtime(sim);
  runtime_free(runtime);
}

void driver_sim_job_delay(struct rt_driver *driver, uint32_t min_us, uint32_t max_us)
{
  struct driver_sim *sim = of(driver);
  sim->config.job_delay_us_min = min_us;
  sim->config.job_delay_us_max = max_us;
}

void driver_sim_refuse(struct rt_driver *driver, enum driver_sim_sends which, uint64_t first,
                       uint64_t count)
{
  struct sim_sends *sends = &of(driver)->sends[which];
  CHECK(first > 0);
  sends->from = sends->count + first;
  sends->until = sends->from + count;
}

bool driver_sim_refused(const struct rt_driver *driver, enum driver_sim_sends which)
{
  const struct driver_sim *sim = (const struct driver_sim *)(const void *)driver;
  return sim->sends[which].count + 1u >= sim->sends[which].until;
}

uint64_t driver_sim_now_us(const struct rt_driver *driver)
{
  return ((const struct driver_sim *)(const void *)driver)->now_us;
}

void driver_sim_wall_jump(struct rt_driver *driver, int64_t by_us)
{
  of(driver)->wall_shift_us += by_us;
}

uint64_t driver_sim_rand(struct rt_driver *driver)
{
  return draw(of(driver), STREAM_TEST);
}

uint64_t driver_sim_trace(const struct rt_driver *driver)
{
  return ((const struct driver_sim *)(const void *)driver)->trace;
}

struct rt_driver *driver_sim_new(const struct driver_sim_config *config)
{
  struct driver_sim *sim = rt_alloc(sizeof *sim);
  sim->config = *config;
  for (unsigned i = 0; i < STREAM_COUNT; i++) {
    sim->streams[i] = mix(config->seed ^ mix(i + 1));
  }
  sim->base = (struct rt_driver){.name = "sim",
                                 .mono_us = sim_mono_us,
                                 .wall_us = sim_wall_us,
                                 .entropy = sim_entropy,
                                 .start = sim_start,
                                 .kick = sim_kick,
                                 .work = sim_work,
                                 .pools = sim_pools,
                                 .buggify = sim_buggify,
                                 .dispatched = sim_dispatched,
                                 .join = sim_join};
  return &sim->base;
}

void driver_sim_free(struct rt_driver *driver)
{
  if (driver == NULL) {
    return;
  }
  struct driver_sim *sim = of(driver);
  CHECK(sim->runtime == NULL);
  rt_free(sim->heap);
  rt_free(sim);
}
