/* sqlite_engine.h - what the files of this folder share: the engine and who owns which part.
 *
 * Writer thread (commit, open partition, project, repair): writer, partitions, secure_delete.
 * Any thread: readers, under their lock. The checkpointer has a thread and a lock of its own. */
#ifndef HOLDFAST_SQLITE_ENGINE_H
#define HOLDFAST_SQLITE_ENGINE_H

#include <pthread.h>

#include "adapters/store/store_admin.h"
#include "adapters/store_sqlite/sqlite_checkpoint.h"
#include "adapters/store_sqlite/sqlite_db.h"
#include "adapters/store_sqlite/sqlite_log_vfs.h"
#include "adapters/store_sqlite/sqlite_rows.h"
#include "adapters/store_sqlite/store_sqlite.h"

#define SQLITE_READERS_MAX 16u

/* Where a partition's journal stands, as the writer last saw it. */
struct sqlite_partition {
  bool known;
  uint64_t epoch, next_batch, next_seq;
};

struct sqlite_readers {
  pthread_mutex_t lock;
  pthread_cond_t returned;
  unsigned count;
  struct sqlite_db all[SQLITE_READERS_MAX]; /* opened when first taken */
  struct sqlite_db *idle[SQLITE_READERS_MAX];
  unsigned idle_count;
};

struct sqlite_engine {
  struct store_engine engine; /* first: ops get a pointer to it */
  char *path, *vfs;           /* vfs: NULL is the default */
  bool read_only;
  size_t cache_bytes;
  void (*log)(void *arg, int level, const char *component, const char *text); /* or NULL */
  void *log_arg;
  uint64_t silent_us;            /* no line before */
  int lock_file;                 /* -1: read-only */
  struct sqlite_log_vfs log_vfs; /* the writer's; not used when read-only */
  struct sqlite_db writer;
  struct sqlite_partition *partitions;
  bool secure_delete; /* of the writer, now */
  struct sqlite_readers readers;
  struct sqlite_checkpointer checkpointer;
};

/* The writer's connection, opened again when a failure closed it. False: it cannot be opened. */
bool sqlite_engine_writer(struct sqlite_engine *engine);
/* Begins a transaction of the writer. False: nothing can be written now, and the log has it. */
bool sqlite_engine_begin(struct sqlite_engine *engine);
/* The writer's connection has failed at `doing`: the log is told what it says of it, and what is
 * full is emptied before the next transaction. */
void sqlite_engine_failed(struct sqlite_engine *engine, const char *doing);
/* After a failure of which nobody knows how far it got. */
void sqlite_engine_writer_close(struct sqlite_engine *engine);

/* Waits until a connection is free. It may be closed (handle NULL): then everything fails. */
struct sqlite_db *sqlite_engine_take_reader(struct sqlite_engine *engine);
void sqlite_engine_return_reader(struct sqlite_engine *engine, struct sqlite_db *db);

/* sqlite_commit.c */
void sqlite_commit_many(struct sqlite_engine *engine, struct store_request **requests,
                        size_t count);
/* Learns where the partition stands, within a transaction of the writer. */
enum store_status sqlite_partition_load(struct sqlite_engine *engine, uint32_t partition,
                                        struct hf_hash *ret_head);
/* sqlite_partition.c */
void sqlite_open_partition(struct sqlite_engine *engine, struct store_request *request);
/* sqlite_admin.c */
extern const struct store_admin_ops sqlite_admin_ops;
/* sqlite_index_check.c */
enum hf_error sqlite_check_index(struct store_engine *base, uint32_t first, uint32_t count,
                                 struct store_index_counts *ret_counts,
                                 bool (*each)(void *arg, hf_id user), void *arg);
/* sqlite_project.c */
void sqlite_project(struct sqlite_engine *engine, struct store_request *request);
/* sqlite_read.c and sqlite_history.c: within a read transaction. */
enum store_status sqlite_read(struct sqlite_db *db, struct store_request *request);
enum store_status sqlite_list_entries(struct sqlite_db *db, struct store_request *request);
enum store_status sqlite_balance_at(struct sqlite_db *db, struct store_request *request);
enum store_status sqlite_scan(struct sqlite_db *db, struct store_request *request);

#endif
