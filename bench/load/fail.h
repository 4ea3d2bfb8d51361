/* fail.h - how the load generator gives up, and memory that is there or the process is not.
 *
 * Thread: any. A benchmark that cannot get what it needs must not print a figure, so every failure
 * here ends the process with status 1 and one line on stderr. */
#ifndef BENCH_FAIL_H
#define BENCH_FAIL_H

#include <stddef.h>

#include "holdfast/check.h"

_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Zeroed memory of count * size bytes; never NULL. Released with free. */
void *fail_calloc(size_t count, size_t size);
/* Like realloc, but never NULL; the new part is not zeroed. */
void *fail_realloc(void *old, size_t size);

#endif
