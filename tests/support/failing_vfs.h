/* failing_vfs.h - a SQLite VFS over the default one whose disk fails and whose power goes out.
 *
 * It counts the calls that change a file (write, sync, truncate) and can fail or stop at the n-th;
 * and the disk can be small.
 * It remembers what every file was when it was last synced. At a power loss, what was written
 * since is kept, lost or torn at sectors of 512 bytes, drawn from the seed; files that were made
 * stay, with what was synced of them. The shared memory of a write-ahead log does not survive.
 * Threads: any; one lock around all. No memory mapping, so that every write is seen. */
#ifndef HOLDFAST_TESTS_FAILING_VFS_H
#define HOLDFAST_TESTS_FAILING_VFS_H

#include <stdbool.h>
#include <stdint.h>

struct failing_vfs;

struct failing_vfs *failing_vfs_new(uint64_t seed);
/* Every connection must be closed. */
void failing_vfs_free(struct failing_vfs *vfs);
/* For sqlite3_open_v2 and struct store_sqlite_config. */
const char *failing_vfs_name(const struct failing_vfs *vfs);

/* Changing calls so far. */
uint64_t failing_vfs_calls(struct failing_vfs *vfs);
/* The calls number `first` .. first + count - 1 from now (1: the next one) return `code`:
 * SQLITE_FULL (writes; syncs pass), SQLITE_IOERR_WRITE or SQLITE_IOERR_FSYNC. A failed write has
 * changed nothing; a failed sync leaves open whether it did. count 0: none fail. */
void failing_vfs_fail(struct failing_vfs *vfs, uint64_t first, uint64_t count, int code);
/* The disk has room for so many bytes from now on: a write that makes a file larger takes of it, a
 * truncation gives back, and for what does not fit it is SQLITE_FULL. UINT64_MAX: no end. */
void failing_vfs_set_room(struct failing_vfs *vfs, uint64_t bytes);
uint64_t failing_vfs_room(struct failing_vfs *vfs);
/* Openings of files so far; those number `first` .. first + count - 1 from now do not succeed. */
uint64_t failing_vfs_opens(struct failing_vfs *vfs);
void failing_vfs_fail_open(struct failing_vfs *vfs, uint64_t first, uint64_t count);
/* The power goes out in the call number `nth` from now: it and all calls after it fail. Calls on a
 * write-ahead log alone are counted when `log` is set. 0: the power stays. */
void failing_vfs_cut(struct failing_vfs *vfs, uint64_t nth, bool log);
bool failing_vfs_is_cut(struct failing_vfs *vfs);
/* Writes the files as the disk has them after the loss, and turns the power on again. Every
 * connection must be closed. */
void failing_vfs_restore(struct failing_vfs *vfs);

#endif
