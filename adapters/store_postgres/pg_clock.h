/* pg_clock.h - monotonic time of sessions and of the engine, microseconds. Any thread. */
#ifndef HOLDFAST_PG_CLOCK_H
#define HOLDFAST_PG_CLOCK_H

#include <stdint.h>

uint64_t pg_clock_us(void);

#endif
