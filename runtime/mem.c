/* Memory: zeroed, and the process ends when the machine has none left. */
#include "mem.h"

#include "holdfast/check.h"
#include "holdfast/rt.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define TABLE_LARGE (128u * 1024u)

void *rt_alloc(size_t size)
{
  void *block = calloc(1, size > 0 ? size : 1);
  CHECK(block != NULL);
  return block;
}

void *rt_realloc(void *block, size_t size)
{
  void *moved = realloc(block, size > 0 ? size : 1);
  CHECK(moved != NULL);
  return moved;
}

void rt_free(void *block)
{
  free(block);
}

void *mem_lines(size_t size)
{
  size_t whole = (size + MEM_LINE - 1) / MEM_LINE * MEM_LINE;
  void *block = aligned_alloc(MEM_LINE, whole);
  CHECK(block != NULL);
  memset(block, 0, whole);
  return block;
}

static bool is_large(size_t size)
{
  return size >= TABLE_LARGE;
}

void *mem_table(size_t size)
{
  if (!is_large(size)) {
    return rt_alloc(size);
  }
  void *table = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(table != MAP_FAILED);
  return table;
}

void mem_table_free(void *table, size_t size)
{
  if (table == NULL || !is_large(size)) {
    free(table);
    return;
  }
  int error = munmap(table, size);
  CHECK(error == 0);
}

void pool_init(struct pool *pool, size_t object_size)
{
  size_t unit = sizeof(struct pool_free);
  CHECK(object_size > 0);
  pool->object_size = (object_size + unit - 1) / unit * unit;
  pool->free = NULL;
  pool->slabs = NULL;
  pool->live = 0;
}

void pool_deinit(struct pool *pool)
{
  while (pool->slabs != NULL) {
    struct pool_free *next = pool->slabs->next;
    free(pool->slabs);
    pool->slabs = next;
  }
  pool->free = NULL;
}

/* The first object of a slab only links the slab into the list of slabs. */
static void pool_grow(struct pool *pool)
{
  size_t count = POOL_SLAB_BYTES / pool->object_size;
  size_t total = count < 4 ? 4 : count;
  char *slab = rt_alloc(total * pool->object_size);
  struct pool_free *link = (void *)slab;
  link->next = pool->slabs;
  pool->slabs = link;
  for (size_t i = total - 1; i > 0; i--) {
    struct pool_free *object = (void *)(slab + i * pool->object_size);
    object->next = pool->free;
    pool->free = object;
  }
}

void *pool_take(struct pool *pool)
{
  if (pool->free == NULL) {
    pool_grow(pool);
  }
  struct pool_free *object = pool->free;
  pool->free = object->next;
  pool->live++;
  memset((void *)object, 0, pool->object_size);
  return object;
}

void pool_put(struct pool *pool, void *object)
{
  CHECK(pool->live > 0);
  struct pool_free *entry = object;
  entry->next = pool->free;
  pool->free = entry;
  pool->live--;
}
