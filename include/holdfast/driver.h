/* driver.h - the seam between the runtime and the outside world: clocks, threads, sleeping.
 *
 * Two implementations, one conformance suite: driver_uv (libuv loops, threads, eventfd) and
 * driver_sim (virtual time, seeded order, one thread). Only a driver may call the operating
 * system. The functions below are what rt.c needs of either. */
#ifndef HOLDFAST_DRIVER_H
#define HOLDFAST_DRIVER_H

#include "holdfast/rt.h"

struct rt_driver {
  const char *name;
  uint64_t (*mono_us)(struct rt_driver *self);
  uint64_t (*wall_us)(struct rt_driver *self);
  uint64_t (*entropy)(struct rt_driver *self);
  /* Starts `count` loops; each calls rt_loop_begin, then rt_turn until rt_loop_done, then
   * rt_loop_end, all on its own thread (real) or as scheduled (sim). 0 or a negative errno. */
  int (*start)(struct rt_driver *self, rt *runtime, unsigned count);
  /* Any thread: the loop is asleep and has work now. */
  void (*kick)(struct rt_driver *self, unsigned loop);
  /* Runs a job on a pool thread; afterwards calls rt_job_done(runtime, tag) from any thread.
   * False: no room. */
  bool (*work)(struct rt_driver *self, unsigned pool, uint64_t key, void (*fn)(void *), void *arg,
               uint64_t tag);
  int (*pools)(struct rt_driver *self, const struct rt_pool_config *pools, unsigned count);
  bool (*buggify)(struct rt_driver *self, unsigned loop, uint32_t site);
  /* Called before each dispatch; NULL in production. When set, the classes' check functions run and
   * the runtime's own fault sites are live. */
  void (*dispatched)(struct rt_driver *self, unsigned loop, uint64_t now_us, rt_id to, uint16_t op);
  /* Waits until all threads ended. False: a pool thread is overdue with its job; then nothing that
   * the runtime owns may be freed. */
  bool (*join)(struct rt_driver *self);
};

/* Called by drivers. rt_turn returns the monotonic time until which the loop may sleep: 0 means
 * not at all, UINT64_MAX means until kicked. */
rt_ctx *rt_loop_begin(rt *runtime, unsigned loop);
uint64_t rt_turn(rt_ctx *ctx);
bool rt_loop_done(const rt_ctx *ctx);
void rt_loop_end(rt_ctx *ctx);
/* The two halves of going to sleep: after prepare returns true the loop is marked asleep and the
 * next sender kicks it; awake ends that. */
bool rt_sleep_prepare(rt_ctx *ctx);
void rt_sleep_end(rt_ctx *ctx);
void rt_job_done(rt *runtime, uint64_t tag);

/* ---- driver_uv ------------------------------------------------------------------------------- */

struct rt_driver *driver_uv_new(void);
void driver_uv_free(struct rt_driver *driver);
/* The libuv loop under `ctx`; loop thread only. For adapters that own sockets. */
struct uv_loop_s *driver_uv_loop(rt_ctx *ctx);

/* ---- driver_sim ------------------------------------------------------------------------------ */

struct driver_sim_config {
  uint64_t seed;
  uint64_t start_wall_us;
  uint32_t job_delay_us_min, job_delay_us_max; /* answer of a job */
  uint32_t kick_delay_us_max;                  /* a wake may be late */
  uint32_t buggify_percent;                    /* share of sites that are on in this run; each
                                                  then fires 25 % of the time */
};
struct rt_driver *driver_sim_new(const struct driver_sim_config *config);
void driver_sim_free(struct rt_driver *driver);
/* Runs the next event; false when nothing is left to do before `until_us` (virtual monotonic). */
bool driver_sim_step(struct rt_driver *driver, uint64_t until_us);
uint64_t driver_sim_now_us(const struct rt_driver *driver);
/* Several runtimes with a driver each may share a virtual time: whoever steps them takes the one
 * whose event is the next. UINT64_MAX: none is due ever. */
uint64_t driver_sim_next_us(struct rt_driver *driver);
/* The time goes on to `to_us` and nothing runs: what was due by then is due now, as in a process
 * that was stopped for a while. */
void driver_sim_skip(struct rt_driver *driver, uint64_t to_us);
/* All loops have ended, or there is no runtime: rt_join will not need to step. */
bool driver_sim_ended(const struct rt_driver *driver);
/* The `first`-th ask (tell) from now on, 1 the next, that any actor makes and those behind it,
 * `count` in all, find no room: RT_AGAIN. Forgets what was said before. */
enum driver_sim_sends { DRIVER_SIM_ASKS, DRIVER_SIM_TELLS };
void driver_sim_refuse(struct rt_driver *driver, enum driver_sim_sends which, uint64_t first,
                       uint64_t count);
/* All of those have been refused. */
bool driver_sim_refused(const struct rt_driver *driver, enum driver_sim_sends which);
/* From now on the answer of a job takes so long. */
void driver_sim_job_delay(struct rt_driver *driver, uint32_t min_us, uint32_t max_us);
/* Moves the wall clock (jump) without moving the monotonic one. */
void driver_sim_wall_jump(struct rt_driver *driver, int64_t by_us);
/* Seeded stream for the simulation's own choices, apart from the actors' streams. */
uint64_t driver_sim_rand(struct rt_driver *driver);
/* 64-bit hash over every dispatched (time, actor, op) so far: same seed, same hash. */
uint64_t driver_sim_trace(const struct rt_driver *driver);
/* The process "crashes": all loops stop where they are, nothing is answered, memory is freed. */
void driver_sim_crash(struct rt_driver *driver, rt *runtime);

#endif
