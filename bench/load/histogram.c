#include "histogram.h"

#include "fail.h"

static size_t slot_of(uint64_t value_us)
{
  if (value_us < HISTOGRAM_EXACT)
    return (size_t)value_us;
  /* The top 11 bits name the slot; `shift` is how many bits are below them. */
  unsigned shift = 63u - (unsigned)__builtin_clzll(value_us) - 10u;
  if (shift > HISTOGRAM_POWERS)
    return HISTOGRAM_SLOTS - 1;
  return HISTOGRAM_EXACT + (size_t)(shift - 1) * HISTOGRAM_HALF +
         (size_t)((value_us >> shift) - HISTOGRAM_HALF);
}

/* The largest value that falls into the slot. */
static uint64_t slot_top_us(size_t slot)
{
  if (slot < HISTOGRAM_EXACT)
    return slot;
  size_t above = slot - HISTOGRAM_EXACT;
  unsigned shift = (unsigned)(above / HISTOGRAM_HALF) + 1u;
  uint64_t top_bits = above % HISTOGRAM_HALF + HISTOGRAM_HALF;
  return ((top_bits + 1) << shift) - 1;
}

void histogram_record(struct histogram *histogram, uint64_t value_us)
{
  if (histogram->count == 0 || value_us < histogram->min_us)
    histogram->min_us = value_us;
  if (value_us > histogram->max_us)
    histogram->max_us = value_us;
  histogram->count++;
  histogram->sum_us += value_us;
  histogram->slots[slot_of(value_us)]++;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
  CHECK(into != from);
  if (from->count == 0)
    return;
  if (into->count == 0 || from->min_us < into->min_us)
    into->min_us = from->min_us;
  if (from->max_us > into->max_us)
    into->max_us = from->max_us;
  into->count += from->count;
  into->sum_us += from->sum_us;
  for (size_t i = 0; i < HISTOGRAM_SLOTS; i++)
    into->slots[i] += from->slots[i];
}

uint64_t histogram_at(const struct histogram *histogram, double share)
{
  CHECK(share >= 0.0 && share <= 1.0);
  if (histogram->count == 0)
    return 0;
  double exact = share * (double)histogram->count;
  uint64_t wanted = (uint64_t)exact;
  if ((double)wanted < exact || wanted == 0)
    wanted++;
  uint64_t seen = 0;
  for (size_t i = 0; i < HISTOGRAM_SLOTS; i++) {
    seen += histogram->slots[i];
    if (seen >= wanted) {
      uint64_t top_us = slot_top_us(i);
      /* The last slot has no top of its own; no value can exceed the maximum. */
      return top_us > histogram->max_us || i == HISTOGRAM_SLOTS - 1 ? histogram->max_us : top_us;
    }
  }
  return histogram->max_us;
}

double histogram_mean_us(const struct histogram *histogram)
{
  return histogram->count > 0 ? (double)histogram->sum_us / (double)histogram->count : 0.0;
}
