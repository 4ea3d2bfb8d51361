/* failing_vfs.c - see failing_vfs.h.
 *
 * Writes reach the file below at once, as others must read them; beside it stands the image that
 * was synced last and the list of changes since. */
#include "tests/support/failing_vfs.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "holdfast/check.h"
#include "holdfast/rt.h"

#include <pthread.h>

#define SECTOR 512
#define DISKS_MAX 32u

struct change { /* a write, or a truncation (data NULL) to `size` */
  struct change *next;
  uint8_t *data;
  int64_t offset, size;
};

struct disk { /* a file by its path, whoever has it open */
  char *path;
  uint8_t *synced;
  int64_t size;
  struct change *changes, **last;
};

struct failing_vfs {
  sqlite3_vfs vfs;
  sqlite3_vfs *below;
  char name[48];
  pthread_mutex_t lock;
  uint64_t random, calls, log_calls;
  uint64_t fail_first, fail_last; /* of calls */
  int fail_code;
  uint64_t room;                         /* UINT64_MAX: no end */
  uint64_t opens, open_first, open_last; /* likewise */
  uint64_t cut_at, cut_log_at;           /* of calls, of log_calls; 0: never */
  bool cut;
  struct disk disks[DISKS_MAX];
  unsigned disks_count;
};

struct failing_file { /* the file below lies behind it */
  sqlite3_file base;
  sqlite3_file *below;
  struct failing_vfs *vfs;
  struct disk *disk;
  bool log; /* a write-ahead log */
};

static void lock(struct failing_vfs *vfs)
{
  CHECK(pthread_mutex_lock(&vfs->lock) == 0);
}

static void unlock(struct failing_vfs *vfs)
{
  CHECK(pthread_mutex_unlock(&vfs->lock) == 0);
}

static uint64_t draw(struct failing_vfs *vfs)
{
  vfs->random ^= vfs->random << 13;
  vfs->random ^= vfs->random >> 7;
  vfs->random ^= vfs->random << 17;
  return vfs->random * 2685821657736338717u;
}

/* ---- the disk -------------------------------------------------------------------------------- */

static void disk_resize(struct disk *disk, int64_t size)
{
  disk->synced = rt_realloc(disk->synced, (size_t)size + 1u);
  if (size > disk->size)
    memset(disk->synced + disk->size, 0, (size_t)(size - disk->size));
  disk->size = size;
}

static void disk_put(struct disk *disk, int64_t offset, const uint8_t *data, int64_t size)
{
  if (offset + size > disk->size)
    disk_resize(disk, offset + size);
  memcpy(disk->synced + offset, data, (size_t)size);
}

static void disk_note(struct disk *disk, const void *data, int64_t offset, int64_t size)
{
  struct change *change = rt_alloc(sizeof(*change));
  change->offset = offset;
  change->size = size;
  if (data != NULL) {
    change->data = rt_alloc((size_t)size + 1u);
    memcpy(change->data, data, (size_t)size);
  }
  *disk->last = change;
  disk->last = &change->next;
}

static void disk_apply(struct disk *disk, const struct change *change)
{
  if (change->data != NULL)
    disk_put(disk, change->offset, change->data, change->size);
  else
    disk_resize(disk, change->size);
}

static void disk_forget(struct disk *disk)
{
  while (disk->changes != NULL) {
    struct change *change = disk->changes;
    disk->changes = change->next;
    rt_free(change->data);
    rt_free(change);
  }
  disk->last = &disk->changes;
}

static void disk_sync(struct disk *disk)
{
  for (const struct change *change = disk->changes; change != NULL; change = change->next)
    disk_apply(disk, change);
  disk_forget(disk);
}

/* What the disk did with the changes since the last sync, in one of four manners. */
static void disk_lose(struct failing_vfs *vfs, struct disk *disk)
{
  unsigned manner = (unsigned)(draw(vfs) % 4u);
  for (const struct change *change = disk->changes; change != NULL; change = change->next) {
    if (manner == 0 || (manner >= 2 && change->data == NULL && draw(vfs) % 2u == 0))
      continue; /* nothing is kept, or not this truncation */
    if (manner == 1 || change->data == NULL) {
      disk_apply(disk, change);
      continue;
    }
    if (manner == 2) { /* whole writes are kept or lost */
      if (draw(vfs) % 2u == 0)
        disk_apply(disk, change);
      continue;
    }
    for (int64_t at = 0; at < change->size;) { /* sectors are */
      int64_t end = (change->offset + at) / SECTOR * SECTOR + SECTOR - change->offset;
      if (end > change->size)
        end = change->size;
      if (draw(vfs) % 2u == 0)
        disk_put(disk, change->offset + at, change->data + at, end - at);
      at = end;
    }
  }
  disk_forget(disk);
}

static void disk_write_out(const struct disk *disk)
{
  FILE *file = fopen(disk->path, "wb");
  CHECK(file != NULL);
  CHECK(disk->size == 0 || fwrite(disk->synced, (size_t)disk->size, 1, file) == 1);
  CHECK(fclose(file) == 0);
}

/* The disk of a path; what the file has when it is first seen counts as synced. */
static struct disk *disk_of(struct failing_vfs *vfs, const char *path)
{
  for (unsigned i = 0; i < vfs->disks_count; i++)
    if (strcmp(vfs->disks[i].path, path) == 0)
      return &vfs->disks[i];
  CHECK(vfs->disks_count < DISKS_MAX);
  struct disk *disk = &vfs->disks[vfs->disks_count++];
  size_t size = strlen(path) + 1u;
  disk->path = memcpy(rt_alloc(size), path, size);
  disk->last = &disk->changes;
  FILE *file = fopen(path, "rb");
  if (file != NULL) {
    CHECK(fseek(file, 0, SEEK_END) == 0);
    disk_resize(disk, ftell(file));
    rewind(file);
    CHECK(disk->size == 0 || fread(disk->synced, (size_t)disk->size, 1, file) == 1);
    CHECK(fclose(file) == 0);
  }
  return disk;
}

/* ---- files ----------------------------------------------------------------------------------- */

static struct failing_file *file_of(sqlite3_file *file)
{
  return (struct failing_file *)(void *)file; /* its first member */
}

/* Counts a changing call; under the lock. SQLITE_OK: it may do its work. */
static int may(const struct failing_file *file, bool sync)
{
  struct failing_vfs *vfs = file->vfs;
  vfs->calls++;
  vfs->log_calls += file->log;
  if (vfs->cut)
    return SQLITE_IOERR;
  vfs->cut = (vfs->cut_at != 0 && vfs->calls >= vfs->cut_at) ||
             (vfs->cut_log_at != 0 && vfs->log_calls >= vfs->cut_log_at);
  if (vfs->calls < vfs->fail_first || vfs->calls > vfs->fail_last)
    return SQLITE_OK;
  return vfs->fail_code == SQLITE_FULL && sync ? SQLITE_OK : vfs->fail_code;
}

/* The file is about to end there, if it does not end behind that (cut: also then). */
static int take_room(struct failing_file *file, sqlite3_int64 end, bool cut)
{
  struct failing_vfs *vfs = file->vfs;
  sqlite3_int64 now = 0;
  if (vfs->room == UINT64_MAX)
    return SQLITE_OK;
  int code = file->below->pMethods->xFileSize(file->below, &now);
  if (code != SQLITE_OK || (!cut && end <= now))
    return code;
  if (end > now && (uint64_t)(end - now) > vfs->room)
    return SQLITE_FULL;
  vfs->room += (uint64_t)now - (uint64_t)end; /* may be less than nothing */
  return SQLITE_OK;
}

static int file_write(sqlite3_file *base, const void *data, int amount, sqlite3_int64 offset)
{
  struct failing_file *file = file_of(base);
  struct failing_vfs *vfs = file->vfs;
  lock(vfs);
  int code = may(file, false);
  if (code == SQLITE_OK)
    code = take_room(file, offset + amount, false);
  if (code == SQLITE_OK)
    code = file->below->pMethods->xWrite(file->below, data, amount, offset);
  if (code == SQLITE_OK && file->disk != NULL)
    disk_note(file->disk, data, offset, amount);
  if (code == SQLITE_OK && vfs->cut)
    code = SQLITE_IOERR_WRITE; /* nobody hears of it any more */
  unlock(vfs);
  return code;
}

static int file_truncate(sqlite3_file *base, sqlite3_int64 size)
{
  struct failing_file *file = file_of(base);
  struct failing_vfs *vfs = file->vfs;
  lock(vfs);
  int code = may(file, false);
  if (code == SQLITE_OK)
    code = take_room(file, size, true);
  if (code == SQLITE_OK)
    code = file->below->pMethods->xTruncate(file->below, size);
  if (code == SQLITE_OK && file->disk != NULL)
    disk_note(file->disk, NULL, 0, size);
  if (code == SQLITE_OK && vfs->cut)
    code = SQLITE_IOERR_TRUNCATE;
  unlock(vfs);
  return code;
}

static int file_sync(sqlite3_file *base, int flags)
{
  struct failing_file *file = file_of(base);
  struct failing_vfs *vfs = file->vfs;
  lock(vfs);
  bool was_cut = vfs->cut;
  int code = may(file, true);
  (void)flags; /* the file below need not be synced: this disk is in memory */
  if (code == SQLITE_OK && file->disk != NULL && (!vfs->cut || draw(vfs) % 2u == 0))
    disk_sync(file->disk);
  if (code == SQLITE_OK && vfs->cut)
    code = SQLITE_IOERR_FSYNC;
  if (code != SQLITE_OK && !was_cut && file->disk != NULL && draw(vfs) % 2u == 0)
    disk_sync(file->disk); /* it failed, and yet it was done */
  unlock(vfs);
  return code;
}

static int file_read(sqlite3_file *base, void *data, int amount, sqlite3_int64 offset)
{
  struct failing_file *file = file_of(base);
  return file->below->pMethods->xRead(file->below, data, amount, offset);
}

static int file_close(sqlite3_file *base)
{
  struct failing_file *file = file_of(base);
  return file->below->pMethods->xClose(file->below);
}

static int file_size(sqlite3_file *base, sqlite3_int64 *ret_size)
{
  struct failing_file *file = file_of(base);
  return file->below->pMethods->xFileSize(file->below, ret_size);
}

static int file_lock(sqlite3_file *base, int level)
{
  struct failing_file *file = file_of(base);
  return file->below->pMethods->xLock(file->below, level);
}

static int file_unlock(sqlite3_file *base, int level)
{
  struct failing_file *file = file_of(base);
  return file->below->pMethods->xUnlock(file->below, level);
}

static int file_reserved(sqlite3_file *base, int *ret_reserved)
{
  struct failing_file *file = file_of(base);
  return file->below->pMethods->xCheckReservedLock(file->below, ret_reserved);
}

static int file_control(sqlite3_file *base, int operation, void *arg)
{
  struct failing_file *file = file_of(base);
  if (operation == SQLITE_FCNTL_SIZE_HINT || operation == SQLITE_FCNTL_CHUNK_SIZE)
    return SQLITE_OK; /* sizes change by writes only */
  return file->below->pMethods->xFileControl(file->below, operation, arg);
}

static int file_sector_size(sqlite3_file *base)
{
  struct failing_file *file = file_of(base);
  return file->below->pMethods->xSectorSize(file->below);
}

static int file_characteristics(sqlite3_file *base)
{
  struct failing_file *file = file_of(base);
  return file->below->pMethods->xDeviceCharacteristics(file->below);
}

static int file_shm_map(sqlite3_file *base, int page, int size, int extend, void volatile **ret)
{
  struct failing_file *file = file_of(base);
  return file->below->pMethods->xShmMap(file->below, page, size, extend, ret);
}

static int file_shm_lock(sqlite3_file *base, int offset, int n, int flags)
{
  struct failing_file *file = file_of(base);
  return file->below->pMethods->xShmLock(file->below, offset, n, flags);
}

static void file_shm_barrier(sqlite3_file *base)
{
  struct failing_file *file = file_of(base);
  file->below->pMethods->xShmBarrier(file->below);
}

static int file_shm_unmap(sqlite3_file *base, int remove)
{
  struct failing_file *file = file_of(base);
  return file->below->pMethods->xShmUnmap(file->below, remove);
}

/* ---- the VFS --------------------------------------------------------------------------------- */

static struct failing_vfs *vfs_of(sqlite3_vfs *vfs)
{
  return (struct failing_vfs *)(void *)vfs; /* its first member */
}

static int vfs_open(sqlite3_vfs *base, const char *name, sqlite3_file *opened, int flags,
                    int *ret_flags)
{
  static const sqlite3_io_methods methods = {
    .iVersion = 2, /* shared memory, no mapping of the file */
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
    .xShmMap = file_shm_map,
    .xShmLock = file_shm_lock,
    .xShmBarrier = file_shm_barrier,
    .xShmUnmap = file_shm_unmap,
  };
  struct failing_vfs *vfs = vfs_of(base);
  struct failing_file *file = file_of(opened);
  memset(file, 0, sizeof(*file));
  file->vfs = vfs;
  file->log = (flags & SQLITE_OPEN_WAL) != 0;
  file->below = (sqlite3_file *)(void *)(file + 1);
  lock(vfs);
  vfs->opens++;
  bool fails = vfs->cut || (vfs->opens >= vfs->open_first && vfs->opens <= vfs->open_last);
  int code = fails ? SQLITE_CANTOPEN : SQLITE_OK;
  if (code == SQLITE_OK && name != NULL) /* its content before it is made or changed */
    file->disk = disk_of(vfs, name);
  unlock(vfs);
  if (code == SQLITE_OK)
    code = vfs->below->xOpen(vfs->below, name, file->below, flags, ret_flags);
  if (code == SQLITE_OK)
    file->base.pMethods = &methods;
  return code;
}

/* A deletion is durable at once. */
static int vfs_delete(sqlite3_vfs *base, const char *name, int sync)
{
  struct failing_vfs *vfs = vfs_of(base);
  lock(vfs);
  struct stat file;
  bool there = stat(name, &file) == 0;
  int code = vfs->cut ? SQLITE_IOERR_DELETE : vfs->below->xDelete(vfs->below, name, sync);
  if (code == SQLITE_OK && there && vfs->room != UINT64_MAX)
    vfs->room += (uint64_t)file.st_size;
  if (code == SQLITE_OK) {
    struct disk *disk = disk_of(vfs, name);
    disk_forget(disk);
    disk_resize(disk, 0);
  }
  unlock(vfs);
  return code;
}

static int vfs_access(sqlite3_vfs *base, const char *name, int flags, int *ret_result)
{
  return vfs_of(base)->below->xAccess(vfs_of(base)->below, name, flags, ret_result);
}

static int vfs_full_path(sqlite3_vfs *base, const char *name, int room, char *out)
{
  return vfs_of(base)->below->xFullPathname(vfs_of(base)->below, name, room, out);
}

static int vfs_randomness(sqlite3_vfs *base, int size, char *out)
{
  struct failing_vfs *vfs = vfs_of(base);
  lock(vfs);
  for (int i = 0; i < size; i++)
    out[i] = (char)(draw(vfs) & 0x7f);
  unlock(vfs);
  return size;
}

static int vfs_sleep(sqlite3_vfs *base, int microseconds)
{
  return vfs_of(base)->below->xSleep(vfs_of(base)->below, microseconds);
}

static int vfs_time(sqlite3_vfs *base, double *ret_days)
{
  return vfs_of(base)->below->xCurrentTime(vfs_of(base)->below, ret_days);
}

static int vfs_last_error(sqlite3_vfs *base, int size, char *out)
{
  return vfs_of(base)->below->xGetLastError(vfs_of(base)->below, size, out);
}

struct failing_vfs *failing_vfs_new(uint64_t seed)
{
  struct failing_vfs *vfs = rt_alloc(sizeof(*vfs));
  vfs->below = sqlite3_vfs_find(NULL);
  CHECK(vfs->below != NULL);
  CHECK(pthread_mutex_init(&vfs->lock, NULL) == 0);
  vfs->random = seed * 2u + 1u;
  vfs->room = UINT64_MAX;
  (void)snprintf(vfs->name, sizeof(vfs->name), "failing-%p", (void *)vfs);
  vfs->vfs = (sqlite3_vfs){
    .iVersion = 1,
    .szOsFile = vfs->below->szOsFile + (int)sizeof(struct failing_file),
    .mxPathname = vfs->below->mxPathname,
    .zName = vfs->name,
    .xOpen = vfs_open,
    .xDelete = vfs_delete,
    .xAccess = vfs_access,
    .xFullPathname = vfs_full_path,
    .xRandomness = vfs_randomness,
    .xSleep = vfs_sleep,
    .xCurrentTime = vfs_time,
    .xGetLastError = vfs_last_error,
  };
  CHECK(sqlite3_vfs_register(&vfs->vfs, 0) == SQLITE_OK);
  return vfs;
}

void failing_vfs_free(struct failing_vfs *vfs)
{
  CHECK(sqlite3_vfs_unregister(&vfs->vfs) == SQLITE_OK);
  for (unsigned i = 0; i < vfs->disks_count; i++) {
    disk_forget(&vfs->disks[i]);
    rt_free(vfs->disks[i].synced);
    rt_free(vfs->disks[i].path);
  }
  CHECK(pthread_mutex_destroy(&vfs->lock) == 0);
  rt_free(vfs);
}

const char *failing_vfs_name(const struct failing_vfs *vfs)
{
  return vfs->name;
}

uint64_t failing_vfs_calls(struct failing_vfs *vfs)
{
  lock(vfs);
  uint64_t calls = vfs->calls;
  unlock(vfs);
  return calls;
}

void failing_vfs_fail(struct failing_vfs *vfs, uint64_t first, uint64_t count, int code)
{
  lock(vfs);
  vfs->fail_first = vfs->calls + first;
  vfs->fail_last = count > UINT64_MAX - vfs->fail_first ? UINT64_MAX : vfs->fail_first + count - 1;
  vfs->fail_code = code;
  if (count == 0)
    vfs->fail_first = vfs->fail_last = 0;
  unlock(vfs);
}

void failing_vfs_set_room(struct failing_vfs *vfs, uint64_t bytes)
{
  lock(vfs);
  vfs->room = bytes;
  unlock(vfs);
}

uint64_t failing_vfs_room(struct failing_vfs *vfs)
{
  lock(vfs);
  uint64_t room = vfs->room;
  unlock(vfs);
  return room;
}

uint64_t failing_vfs_opens(struct failing_vfs *vfs)
{
  lock(vfs);
  uint64_t opens = vfs->opens;
  unlock(vfs);
  return opens;
}

void failing_vfs_fail_open(struct failing_vfs *vfs, uint64_t first, uint64_t count)
{
  lock(vfs);
  vfs->open_first = vfs->opens + first;
  vfs->open_last = count > UINT64_MAX - vfs->open_first ? UINT64_MAX : vfs->open_first + count - 1;
  if (count == 0)
    vfs->open_first = vfs->open_last = 0;
  unlock(vfs);
}

void failing_vfs_cut(struct failing_vfs *vfs, uint64_t nth, bool log)
{
  lock(vfs);
  vfs->cut_at = nth == 0 || log ? 0 : vfs->calls + nth;
  vfs->cut_log_at = nth == 0 || !log ? 0 : vfs->log_calls + nth;
  unlock(vfs);
}

bool failing_vfs_is_cut(struct failing_vfs *vfs)
{
  lock(vfs);
  bool cut = vfs->cut;
  unlock(vfs);
  return cut;
}

void failing_vfs_restore(struct failing_vfs *vfs)
{
  lock(vfs);
  for (unsigned i = 0; i < vfs->disks_count; i++) {
    struct disk *disk = &vfs->disks[i];
    disk_lose(vfs, disk);
    disk_write_out(disk);
    size_t size = strlen(disk->path);
    char *shared = rt_alloc(size + sizeof("-shm"));
    memcpy(shared, disk->path, size);
    memcpy(shared + size, "-shm", sizeof("-shm"));
    (void)unlink(shared); /* most have none */
    rt_free(shared);
  }
  vfs->cut = false;
  vfs->cut_at = 0;
  vfs->cut_log_at = 0;
  unlock(vfs);
}
