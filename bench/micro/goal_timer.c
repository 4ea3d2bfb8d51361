/* The timer wheel with a million timers. */
#include "goals.h"
#include "limits.h"
#include "rt_bench.h"
#include "runtime/timer.h"

#define TIMERS 1000000u

static uint64_t chance(void)
{
  static uint64_t seed = 88172645463325252ull;
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return seed;
}

void goal_timer_repeat(void)
{
  uint64_t *handles = rt_alloc(TIMERS * sizeof *handles);
  uint32_t *owners = rt_alloc(TIMERS * sizeof *owners);
  struct timer_wheel *wheel = rt_alloc(sizeof *wheel);
  double limit_arm_ns;
  double limit_move_ns;
  timer_wheel_init(wheel, 0);
  for (uint32_t i = 0; i < TIMERS; i++) {
    owners[i] = TIMER_NONE;
  }
  uint64_t start_ns = bench_ns();
  for (uint32_t i = 0; i < TIMERS; i++) {
    handles[i] = timer_arm(wheel, 1 + chance() % 600000, i, i, &owners[i]);
  }
  uint64_t armed_ns = bench_ns();
  for (uint32_t i = 0; i < TIMERS; i++) {
    uint32_t at = (uint32_t)(chance() % TIMERS);
    timer_disarm(wheel, handles[at], &owners[at]);
    handles[at] = timer_arm(wheel, 1 + chance() % 600000, at, at, &owners[at]);
  }
  uint64_t moved_ns = bench_ns();
  limit_list(TIMERS, &limit_arm_ns, &limit_move_ns);
  goal_pair(GOAL_TIMER_ARM, (double)(armed_ns - start_ns) / TIMERS, limit_arm_ns);
  goal_pair(GOAL_TIMER_MOVE, (double)(moved_ns - armed_ns) / TIMERS, limit_move_ns);
  goal_ours(GOAL_TIMER_SIZE, sizeof(struct timer));
  timer_wheel_deinit(wheel);
  rt_free(wheel);
  rt_free(owners);
  rt_free(handles);
}
