/* histogram.h - a log-linear histogram of latencies (the HDR layout), 3 significant digits.
 *
 * Owner: one thread while it records; merged after the threads ended.
 * Units: microseconds. Range 0 us .. 60 s; what is longer is counted in the last slot and shows in
 *        max_us. Below 2048 us a slot is 1 us wide, above at most 1/1024 of its value. */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_EXACT 2048u /* values below have a slot each */
#define HISTOGRAM_HALF 1024u  /* slots per power of two above */
#define HISTOGRAM_POWERS 15u  /* 2048 us << 15 = 67 s */
#define HISTOGRAM_SLOTS (HISTOGRAM_EXACT + HISTOGRAM_HALF * HISTOGRAM_POWERS)

struct histogram {
  uint64_t count;
  uint64_t sum_us;
  uint64_t min_us; /* meaningful when count > 0 */
  uint64_t max_us;
  uint64_t slots[HISTOGRAM_SLOTS];
};

void histogram_record(struct histogram *histogram, uint64_t value_us);
void histogram_merge(struct histogram *into, const struct histogram *from);
/* The smallest recorded value (to 3 digits) that at least `share` (0..1) of all values do not
 * exceed; 0 when nothing was recorded. */
uint64_t histogram_at(const struct histogram *histogram, double share);
double histogram_mean_us(const struct histogram *histogram);

#endif
