/* sqlite_log_vfs.h - a SQLite VFS that gathers the writes to the write-ahead log.
 *
 * SQLite appends a transaction's frames with two small unaligned writes each, then syncs. Here they
 * are put together and reach the VFS below as one large write, at the latest when the log is
 * synced, read, measured or cut. That is safe with synchronous=FULL only, where SQLite publishes
 * frames to other connections after it has synced them; for the writer's connection only, which is
 * the one that appends. Every other file is the VFS's below, untouched.
 *
 * Owner: the engine; must outlive the connections opened by its name. */
#ifndef HOLDFAST_SQLITE_LOG_VFS_H
#define HOLDFAST_SQLITE_LOG_VFS_H

#include <sqlite3.h>
#include <stdbool.h>

struct sqlite_log_vfs {
  sqlite3_vfs vfs;
  char name[48]; /* for sqlite3_open_v2 */
  bool registered;
};

/* Over the VFS `below`; NULL: the default. False: there is no such VFS. */
bool sqlite_log_vfs_init(struct sqlite_log_vfs *log_vfs, const char *below);
void sqlite_log_vfs_deinit(struct sqlite_log_vfs *log_vfs);

#endif
