/* sqlite_page_cache.h - settings of the SQLite library, for the process, before its first use.
 *
 * 1. No memory statistics: they cost a lock on every allocation.
 * 2. SQLite's own page cache, told less often to forget pages behind the database's end. When a
 *    B-tree page splits, SQLite gives a page the number of the lock byte's page for a moment; its
 *    cache then takes the database for that large, and each commit walks the whole cache to find
 *    pages to forget: with 256 MB of it, longer than everything else in a small commit. */
#ifndef HOLDFAST_SQLITE_PAGE_CACHE_H
#define HOLDFAST_SQLITE_PAGE_CACHE_H

/* Any thread; the first call does it. When the library is in use already it stays as it is, which
 * is slower and nothing else. */
void sqlite_page_cache_install(void);

#endif
