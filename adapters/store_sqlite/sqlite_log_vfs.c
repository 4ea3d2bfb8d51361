/* sqlite_log_vfs.c - see the header.
 *
 * Happy path: write, write, ..., sync: one write below, one sync below.
 * Ways to fail: the gathered write fails: what was gathered is dropped, and the call that wanted it
 *   done returns the error; SQLite then rolls the transaction back.
 * Invariants: what is gathered is one contiguous run; it is empty whenever the file below is read,
 *   synced, cut or measured. */
#include "adapters/store_sqlite/sqlite_log_vfs.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "holdfast/check.h"
#include "holdfast/rt.h"

#define GATHER_BYTES ((size_t)1 << 20)
#define WRITE_BYTES ((size_t)1 << 16) /* SQLite's unix VFS takes less than 128 KiB at a time */

struct log_file { /* the file below lies behind it, in the same block */
  sqlite3_file base;
  sqlite3_file *below;
  uint8_t *gathered;
  size_t size;
  sqlite3_int64 offset; /* in the file, of the first gathered byte */
};

static struct log_file *log_of(sqlite3_file *file)
{
  return (struct log_file *)(void *)file; /* its first member */
}

static sqlite3_vfs *below_of(sqlite3_vfs *vfs)
{
  return vfs->pAppData;
}

/* ---- the log's file -------------------------------------------------------------------------- */

static int pass_on(struct log_file *log)
{
  size_t size = log->size;
  int code = SQLITE_OK;
  log->size = 0;
  for (size_t at = 0; code == SQLITE_OK && at < size; at += WRITE_BYTES) {
    size_t part = size - at < WRITE_BYTES ? size - at : WRITE_BYTES;
    code = log->below->pMethods->xWrite(log->below, log->gathered + at, (int)part,
                                        log->offset + (sqlite3_int64)at);
  }
  return code;
}

static int log_write(sqlite3_file *file, const void *data, int amount, sqlite3_int64 offset)
{
  struct log_file *log = log_of(file);
  CHECK(amount >= 0 && log->size <= GATHER_BYTES);
  size_t size = (size_t)amount;
  bool follows = log->size == 0 || offset == log->offset + (sqlite3_int64)log->size;
  if (!follows || log->size + size > GATHER_BYTES) {
    int code = pass_on(log);
    if (code != SQLITE_OK)
      return code;
  }
  if (size > GATHER_BYTES)
    return log->below->pMethods->xWrite(log->below, data, amount, offset);
  if (log->size == 0)
    log->offset = offset;
  memcpy(log->gathered + log->size, data, size);
  log->size += size;
  return SQLITE_OK;
}

static int log_read(sqlite3_file *file, void *data, int amount, sqlite3_int64 offset)
{
  struct log_file *log = log_of(file);
  int code = pass_on(log);
  return code != SQLITE_OK ? code : log->below->pMethods->xRead(log->below, data, amount, offset);
}

static int log_truncate(sqlite3_file *file, sqlite3_int64 size)
{
  struct log_file *log = log_of(file);
  int code = pass_on(log);
  return code != SQLITE_OK ? code : log->below->pMethods->xTruncate(log->below, size);
}

static int log_sync(sqlite3_file *file, int flags)
{
  struct log_file *log = log_of(file);
  int code = pass_on(log);
  return code != SQLITE_OK ? code : log->below->pMethods->xSync(log->below, flags);
}

static int log_size(sqlite3_file *file, sqlite3_int64 *ret_size)
{
  struct log_file *log = log_of(file);
  int code = pass_on(log);
  return code != SQLITE_OK ? code : log->below->pMethods->xFileSize(log->below, ret_size);
}

/* What is still gathered belongs to a transaction that was rolled back. */
static int log_close(sqlite3_file *file)
{
  struct log_file *log = log_of(file);
  int code = log->below->pMethods->xClose(log->below);
  rt_free(log->gathered);
  log->gathered = NULL;
  return code;
}

static int log_lock(sqlite3_file *file, int level)
{
  struct log_file *log = log_of(file);
  return log->below->pMethods->xLock(log->below, level);
}

static int log_unlock(sqlite3_file *file, int level)
{
  struct log_file *log = log_of(file);
  return log->below->pMethods->xUnlock(log->below, level);
}

static int log_reserved(sqlite3_file *file, int *ret_reserved)
{
  struct log_file *log = log_of(file);
  return log->below->pMethods->xCheckReservedLock(log->below, ret_reserved);
}

static int log_control(sqlite3_file *file, int operation, void *arg)
{
  struct log_file *log = log_of(file);
  return log->below->pMethods->xFileControl(log->below, operation, arg);
}

static int log_sector_size(sqlite3_file *file)
{
  struct log_file *log = log_of(file);
  return log->below->pMethods->xSectorSize(log->below);
}

static int log_characteristics(sqlite3_file *file)
{
  struct log_file *log = log_of(file);
  return log->below->pMethods->xDeviceCharacteristics(log->below);
}

/* ---- the VFS --------------------------------------------------------------------------------- */

static int vfs_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags,
                    int *ret_flags)
{
  static const sqlite3_io_methods methods = {
    .iVersion = 1, /* no shared memory, no mapping: a log has neither */
    .xClose = log_close,
    .xRead = log_read,
    .xWrite = log_write,
    .xTruncate = log_truncate,
    .xSync = log_sync,
    .xFileSize = log_size,
    .xLock = log_lock,
    .xUnlock = log_unlock,
    .xCheckReservedLock = log_reserved,
    .xFileControl = log_control,
    .xSectorSize = log_sector_size,
    .xDeviceCharacteristics = log_characteristics,
  };
  sqlite3_vfs *below = below_of(vfs);
  if ((flags & SQLITE_OPEN_WAL) == 0)
    return below->xOpen(below, name, file, flags, ret_flags);
  struct log_file *log = log_of(file);
  memset(log, 0, sizeof(*log));
  log->below = (sqlite3_file *)(void *)(log + 1);
  int code = below->xOpen(below, name, log->below, flags, ret_flags);
  if (code != SQLITE_OK) {
    if (log->below->pMethods != NULL)
      (void)log->below->pMethods->xClose(log->below);
    return code;
  }
  log->gathered = rt_alloc(GATHER_BYTES);
  log->base.pMethods = &methods;
  return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
  return below_of(vfs)->xDelete(below_of(vfs), name, sync);
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret_result)
{
  return below_of(vfs)->xAccess(below_of(vfs), name, flags, ret_result);
}

static int vfs_full_path(sqlite3_vfs *vfs, const char *name, int room, char *out)
{
  return below_of(vfs)->xFullPathname(below_of(vfs), name, room, out);
}

static int vfs_randomness(sqlite3_vfs *vfs, int size, char *out)
{
  return below_of(vfs)->xRandomness(below_of(vfs), size, out);
}

static int vfs_sleep(sqlite3_vfs *vfs, int microseconds)
{
  return below_of(vfs)->xSleep(below_of(vfs), microseconds);
}

static int vfs_time(sqlite3_vfs *vfs, double *ret_days)
{
  return below_of(vfs)->xCurrentTime(below_of(vfs), ret_days);
}

static int vfs_last_error(sqlite3_vfs *vfs, int size, char *out)
{
  return below_of(vfs)->xGetLastError(below_of(vfs), size, out);
}

bool sqlite_log_vfs_init(struct sqlite_log_vfs *log_vfs, const char *below)
{
  sqlite3_vfs *base = sqlite3_vfs_find(below);
  if (base == NULL)
    return false;
  log_vfs->vfs = (sqlite3_vfs){
    .iVersion = 1,
    .szOsFile = base->szOsFile + (int)sizeof(struct log_file),
    .mxPathname = base->mxPathname,
    .pAppData = base,
    .xOpen = vfs_open,
    .xDelete = vfs_delete,
    .xAccess = vfs_access,
    .xFullPathname = vfs_full_path, /* extensions are not loaded: no xDl... */
    .xRandomness = vfs_randomness,
    .xSleep = vfs_sleep,
    .xCurrentTime = vfs_time,
    .xGetLastError = vfs_last_error,
  };
  (void)snprintf(log_vfs->name, sizeof(log_vfs->name), "holdfast-log-%p", (void *)log_vfs);
  log_vfs->vfs.zName = log_vfs->name;
  log_vfs->registered = sqlite3_vfs_register(&log_vfs->vfs, 0) == SQLITE_OK;
  return log_vfs->registered;
}

void sqlite_log_vfs_deinit(struct sqlite_log_vfs *log_vfs)
{
  if (log_vfs->registered)
    (void)sqlite3_vfs_unregister(&log_vfs->vfs);
  log_vfs->registered = false;
}
