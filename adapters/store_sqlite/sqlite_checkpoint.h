/* sqlite_checkpoint.h - copies the write-ahead log back into the database, beside the commits.
 *
 * Policy: once the log has grown by SQLITE_LOG_PAGES, a thread with a connection of its own copies
 * (PASSIVE: it never blocks a commit or a read). Commits go on meanwhile, so it repeats until few
 * pages are left; the writer copies those between two commits, whereupon SQLite starts the log
 * again at its beginning. The file is not truncated while in use: to sync overwritten blocks is
 * cheaper than to sync a growing file. When long reads keep the log from starting again, it grows;
 * above SQLITE_LOG_PAGES_MAX the writer waits for the readers, two seconds at the most.
 *
 * When the disk is nearly full, that is when the log and SQLITE_LOG_PAGES_SCARCE more are larger
 * than the room that is left, which is what its copy may need in the database, the writer copies it
 * itself before it writes more, and cuts the file to nothing, because the database needs its place;
 * it waits for readers, but not each time. When there is no room for the copy, nothing is written
 * until there is. So a log does not take the room that it needs to be emptied, and a disk that
 * something else has filled is used again as soon as the copy fits. A log below
 * SQLITE_LOG_PAGES_SCARCE may take what there is; when that was not enough, its copy is tried
 * before the next transaction. Not so yet: within a second of a failed cut the log is copied but
 * not cut; room that comes back in small steps is then taken by the copy, and the log keeps its
 * length until more comes. (A single commit may take more than SQLITE_LOG_PAGES_SCARCE; the
 * copy mostly needs much less than the log, as many of its frames are of the same pages.)
 *
 * Threads: start and stop where the engine is opened and closed; the others: writer thread. */
#ifndef HOLDFAST_SQLITE_CHECKPOINT_H
#define HOLDFAST_SQLITE_CHECKPOINT_H

#include <pthread.h>

#include "adapters/store_sqlite/sqlite_db.h"

#define SQLITE_LOG_PAGES 8192u       /* 32 MiB of 4 KiB pages */
#define SQLITE_LOG_PAGES_REST 1024u  /* few enough for the writer */
#define SQLITE_LOG_PAGES_MAX 131072u /* 512 MiB */
#define SQLITE_LOG_PAGES_SCARCE 256u /* 1 MiB */

struct sqlite_checkpointer {
  /* set at the start from the limits above; a test makes them small before it commits */
  unsigned wish_pages, rest_pages, max_pages, scarce_pages;
  uint64_t (*room)(const char *path); /* bytes that the file can grow by; a test has its own */
  /* the writer's */
  unsigned log_pages;   /* after the newest commit */
  unsigned seen_pages;  /* the same, at the last look */
  unsigned asked_pages; /* the next wish comes above that */
  uint64_t retry_us;    /* when the disk is nearly full: no waiting for readers before */
  bool full;            /* a write found no room on the disk */
  bool failed;          /* the newest copy of the writer did, with so much room on the disk: */
  uint64_t failed_room;
  /* shared, under the lock */
  pthread_mutex_t lock;
  pthread_cond_t wake; /* the thread */
  pthread_cond_t idle; /* the writer, which waits for the thread */
  bool started, stop, wanted;
  bool rest; /* the writer shall copy the rest */
  pthread_t thread;
  /* the thread's */
  struct sqlite_db db;
  struct sqlite_db_config config;
};

/* `config` is the writer's. False: no thread could be made. */
bool sqlite_checkpoint_start(struct sqlite_checkpointer *checkpointer,
                             const struct sqlite_db_config *config);
void sqlite_checkpoint_stop(struct sqlite_checkpointer *checkpointer);
/* The writer has a new connection. */
void sqlite_checkpoint_watch(struct sqlite_checkpointer *checkpointer, struct sqlite_db *writer);
/* Before the writer begins a transaction. False: the log must not grow, nothing may be written. */
bool sqlite_checkpoint_make_room(struct sqlite_checkpointer *checkpointer,
                                 struct sqlite_db *writer);
void sqlite_checkpoint_after_commit(struct sqlite_checkpointer *checkpointer,
                                    struct sqlite_db *writer);

#endif
