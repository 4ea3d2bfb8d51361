/* mem.h - memory of the runtime itself: whole cache lines, and pools of equal objects.
 *
 * Owner: a pool belongs to one loop; its memory is returned to the system by pool_deinit only.
 * Limits: none of its own; whoever takes from a pool bounds the number of its objects. */
#ifndef HOLDFAST_RUNTIME_MEM_H
#define HOLDFAST_RUNTIME_MEM_H

#include <stddef.h>
#include <stdint.h>

/* Two owners never share a line; 128 because processors fetch lines in pairs. */
#define MEM_LINE 128u

/* Zeroed, aligned to MEM_LINE; given back with rt_free. */
void *mem_lines(size_t size);

/* Zeroed tables that grow large and become small again. Large ones are the system's own pages: they
 * go back to it whole, and lie in nobody's way. The size is kept by the caller. */
void *mem_table(size_t size);
void mem_table_free(void *table, size_t size);

/* Asks for the line of `at` so that a later write need not wait for another holder. The compiler's
 * own prefetch asks to read only, as long as it builds for every x86-64. */
static inline void mem_prefetch_write(const void *at)
{
#if defined(__x86_64__)
  __asm__ volatile("prefetchw %0" : : "m"(*(const char *)at));
#else
  __builtin_prefetch(at, 1);
#endif
}

#define POOL_SLAB_BYTES (16u * 1024u)

struct pool_free {
  struct pool_free *next;
};

struct pool {
  struct pool_free *free;  /* objects that nobody uses, newest first: their lines are warm */
  struct pool_free *slabs; /* all memory of the pool, for pool_deinit */
  size_t object_size;
  size_t live; /* objects taken and not put back */
};

void pool_init(struct pool *pool, size_t object_size);
void pool_deinit(struct pool *pool);
void *pool_take(struct pool *pool); /* zeroed; never NULL */
void pool_put(struct pool *pool, void *object);

#endif
