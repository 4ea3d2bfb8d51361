/* sqlite_page_cache.c - see the header. A cache belongs to one connection, one thread at a time. */
#include "adapters/store_sqlite/sqlite_page_cache.h"

#include <pthread.h>
#include <sqlite3.h>

#include "holdfast/check.h"
#include "holdfast/rt.h"

#define LOCK_BYTE 0x40000000u /* of the file format */

struct page_cache {
  sqlite3_pcache *below;
  unsigned largest;   /* page number in the cache, or larger */
  unsigned transient; /* number of the lock byte's page: held within a split only */
};

static sqlite3_pcache_methods2 below; /* SQLite's own; written once */

static struct page_cache *cache_of(sqlite3_pcache *cache)
{
  return (struct page_cache *)(void *)cache;
}

static int cache_init(void *arg)
{
  (void)arg;
  return below.xInit(below.pArg);
}

static void cache_shutdown(void *arg)
{
  (void)arg;
  below.xShutdown(below.pArg);
}

static sqlite3_pcache *cache_create(int page_size, int extra_size, int purgeable)
{
  sqlite3_pcache *made = below.xCreate(page_size, extra_size, purgeable);
  if (made == NULL)
    return NULL;
  struct page_cache *cache = rt_alloc(sizeof(*cache));
  cache->below = made;
  cache->transient = LOCK_BYTE / (unsigned)page_size + 1u;
  return (sqlite3_pcache *)(void *)cache;
}

static void cache_size(sqlite3_pcache *cache, int pages)
{
  below.xCachesize(cache_of(cache)->below, pages);
}

static int cache_count(sqlite3_pcache *cache)
{
  return below.xPagecount(cache_of(cache)->below);
}

static sqlite3_pcache_page *cache_fetch(sqlite3_pcache *base, unsigned number, int create)
{
  struct page_cache *cache = cache_of(base);
  if (create != 0 && number > cache->largest)
    cache->largest = number;
  return below.xFetch(cache->below, number, create);
}

static void cache_unpin(sqlite3_pcache *cache, sqlite3_pcache_page *page, int discard)
{
  below.xUnpin(cache_of(cache)->below, page, discard);
}

static void cache_rekey(sqlite3_pcache *base, sqlite3_pcache_page *page, unsigned old_number,
                        unsigned new_number)
{
  struct page_cache *cache = cache_of(base);
  if (new_number != cache->transient && new_number > cache->largest)
    cache->largest = new_number;
  below.xRekey(cache->below, page, old_number, new_number);
}

static void cache_truncate(sqlite3_pcache *base, unsigned limit)
{
  struct page_cache *cache = cache_of(base);
  if (limit > cache->largest)
    return; /* it has no such page */
  below.xTruncate(cache->below, limit);
  cache->largest = limit > 0 ? limit - 1u : 0;
}

static void cache_destroy(sqlite3_pcache *base)
{
  struct page_cache *cache = cache_of(base);
  below.xDestroy(cache->below);
  rt_free(cache);
}

static void cache_shrink(sqlite3_pcache *cache)
{
  below.xShrink(cache_of(cache)->below);
}

static void install(void)
{
  static const sqlite3_pcache_methods2 methods = {
    .iVersion = 1,
    .xInit = cache_init,
    .xShutdown = cache_shutdown,
    .xCreate = cache_create,
    .xCachesize = cache_size,
    .xPagecount = cache_count,
    .xFetch = cache_fetch,
    .xUnpin = cache_unpin,
    .xRekey = cache_rekey,
    .xTruncate = cache_truncate,
    .xDestroy = cache_destroy,
    .xShrink = cache_shrink,
  };
  /* Both refuse when SQLite is in use. */
  if (sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0) == SQLITE_OK &&
      sqlite3_config(SQLITE_CONFIG_GETPCACHE2, &below) == SQLITE_OK)
    (void)sqlite3_config(SQLITE_CONFIG_PCACHE2, &methods);
}

void sqlite_page_cache_install(void)
{
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  int failed = pthread_once(&once, install);
  CHECK(failed == 0);
}
