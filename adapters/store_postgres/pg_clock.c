/* pg_clock.c - see pg_clock.h. */
#include "adapters/store_postgres/pg_clock.h"

#include <time.h>

#include "holdfast/check.h"

uint64_t pg_clock_us(void)
{
  struct timespec now;
  int failed = clock_gettime(CLOCK_BOOTTIME, &now);
  CHECK(failed == 0);
  return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}
