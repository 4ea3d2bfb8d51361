/* store_sqlite.c - opens, shares out and closes: the lock, the writer, the readers.
 *
 * Happy path: lock the folder, open the writer, bring the schema up, start the checkpointer; reads
 *   take a connection each and give it back.
 * Ways to fail: another process has the lock; the file is not ours, too old, too new or damaged; a
 *   connection broke (it is closed and opened again when it is next needed).
 * Invariants: one writer thread at a time; a connection is used by whoever took it only. */
#include "adapters/store_sqlite/store_sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "adapters/store_sqlite/sqlite_engine.h"
#include "adapters/store_sqlite/sqlite_page_cache.h"
#include "adapters/store_sqlite/sqlite_schema.h"

#define SILENT_US 1000000u /* between two lines of the log */

static struct sqlite_engine *engine_of(struct store_engine *engine)
{
  return (struct sqlite_engine *)(void *)engine; /* its first member */
}

static enum hf_error refuse(char why[SQLITE_WHY_SIZE], enum hf_error error, const char *text)
{
  (void)snprintf(why, SQLITE_WHY_SIZE, "%s", text);
  return error;
}

/* ---- the writer ------------------------------------------------------------------------------ */

static struct sqlite_db_config writer_config(const struct sqlite_engine *engine)
{
  return (struct sqlite_db_config){
    .path = engine->path,
    .vfs = engine->log_vfs.registered ? engine->log_vfs.name : engine->vfs,
    .role = SQLITE_ROLE_WRITER,
    .read_only = engine->read_only,
    .create = true,
    .cache_bytes = engine->cache_bytes,
  };
}

bool sqlite_engine_writer(struct sqlite_engine *engine)
{
  struct sqlite_db_config config = writer_config(engine);
  if (engine->writer.handle != NULL)
    return true;
  config.create = false;
  if (sqlite_db_open(&engine->writer, &config) != SQLITE_OK)
    return false;
  sqlite_checkpoint_watch(&engine->checkpointer, &engine->writer);
  return true;
}

static void tell(struct sqlite_engine *engine, const char *text)
{
  uint64_t now_us = sqlite_clock_us();
  if (engine->log == NULL || now_us < engine->silent_us)
    return;
  engine->silent_us = now_us + SILENT_US;
  engine->log(engine->log_arg, 3, "sqlite", text);
}

void sqlite_engine_failed(struct sqlite_engine *engine, const char *doing)
{
  char text[256];
  sqlite3 *handle = engine->writer.handle;
  if ((sqlite3_extended_errcode(handle) & 0xff) == SQLITE_FULL)
    engine->checkpointer.full = true;
  (void)snprintf(text, sizeof(text), "%s: %s (%d, errno %d)", doing, sqlite3_errmsg(handle),
                 sqlite3_extended_errcode(handle), sqlite3_system_errno(handle));
  tell(engine, text);
}

bool sqlite_engine_begin(struct sqlite_engine *engine)
{
  struct sqlite_db *writer = &engine->writer;
  if (!sqlite_engine_writer(engine)) {
    tell(engine, "the database does not open");
    return false;
  }
  if (!sqlite_checkpoint_make_room(&engine->checkpointer, writer)) {
    tell(engine, "nothing is written: the disk has no room to copy the log into the database");
    return false;
  }
  if (sqlite_db_do(writer, SQL_BEGIN_WRITE) == SQLITE_OK)
    return true;
  sqlite_engine_failed(engine, "begin");
  return false;
}

void sqlite_engine_writer_close(struct sqlite_engine *engine)
{
  sqlite_db_close(&engine->writer);
  engine->secure_delete = false;
  for (unsigned i = 0; i < 1u << engine->engine.partition_bits; i++)
    engine->partitions[i].known = false;
}

/* ---- readers --------------------------------------------------------------------------------- */

static void readers_init(struct sqlite_readers *readers, unsigned count, unsigned partition_bits)
{
  int failed = pthread_mutex_init(&readers->lock, NULL);
  CHECK(failed == 0);
  failed = pthread_cond_init(&readers->returned, NULL);
  CHECK(failed == 0);
  readers->count = count;
  for (unsigned i = 0; i < count; i++) {
    readers->all[i].partition_bits = partition_bits;
    readers->idle[readers->idle_count++] = &readers->all[i];
  }
}

static void readers_deinit(struct sqlite_readers *readers)
{
  CHECK(readers->idle_count == readers->count); /* nobody reads any more */
  for (unsigned i = 0; i < readers->count; i++)
    sqlite_db_close(&readers->all[i]);
  int failed = pthread_cond_destroy(&readers->returned);
  CHECK(failed == 0);
  failed = pthread_mutex_destroy(&readers->lock);
  CHECK(failed == 0);
}

struct sqlite_db *sqlite_engine_take_reader(struct sqlite_engine *engine)
{
  struct sqlite_readers *readers = &engine->readers;
  int failed = pthread_mutex_lock(&readers->lock);
  CHECK(failed == 0);
  while (readers->idle_count == 0) {
    failed = pthread_cond_wait(&readers->returned, &readers->lock);
    CHECK(failed == 0);
  }
  struct sqlite_db *db = readers->idle[--readers->idle_count];
  failed = pthread_mutex_unlock(&readers->lock);
  CHECK(failed == 0);
  if (db->handle == NULL) {
    struct sqlite_db_config config = writer_config(engine);
    config.role = SQLITE_ROLE_READER;
    config.vfs = engine->vfs;
    (void)sqlite_db_open(db, &config); /* without it every statement fails, as it should */
  }
  return db;
}

void sqlite_engine_return_reader(struct sqlite_engine *engine, struct sqlite_db *db)
{
  struct sqlite_readers *readers = &engine->readers;
  int failed = pthread_mutex_lock(&readers->lock);
  CHECK(failed == 0);
  CHECK(readers->idle_count < readers->count);
  readers->idle[readers->idle_count++] = db;
  (void)pthread_cond_signal(&readers->returned);
  failed = pthread_mutex_unlock(&readers->lock);
  CHECK(failed == 0);
}

static void read_request(struct sqlite_engine *engine, struct store_request *request)
{
  struct sqlite_db *db = sqlite_engine_take_reader(engine);
  enum store_status status = sqlite_status(sqlite_db_do(db, SQL_BEGIN_READ));
  if (status == STORE_OK) {
    status = sqlite_read(db, request);
    if (sqlite_db_do(db, SQL_COMMIT) != SQLITE_OK)
      sqlite_db_close(db);
  }
  if (status == STORE_UNAVAILABLE || status == STORE_CORRUPT)
    sqlite_db_close(db);
  request->status = (uint8_t)status;
  sqlite_engine_return_reader(engine, db);
}

/* ---- the engine ------------------------------------------------------------------------------ */

static void engine_execute(struct store_engine *base, struct store_request *request)
{
  struct sqlite_engine *engine = engine_of(base);
  switch (request->kind) {
  case STORE_COMMIT:
    sqlite_commit_many(engine, &request, 1);
    break;
  case STORE_OPEN_PARTITION:
    sqlite_open_partition(engine, request);
    break;
  case STORE_PROJECT:
    sqlite_project(engine, request);
    break;
  default:
    read_request(engine, request);
  }
}

static void engine_commit_many(struct store_engine *base, struct store_request **requests,
                               size_t count)
{
  sqlite_commit_many(engine_of(base), requests, count);
}

static void engine_close(struct store_engine *base)
{
  struct sqlite_engine *engine = engine_of(base);
  sqlite_checkpoint_stop(&engine->checkpointer);
  if (engine->readers.count > 0)
    readers_deinit(&engine->readers);
  if (engine->writer.handle != NULL && !engine->read_only)
    (void)sqlite3_wal_checkpoint_v2(engine->writer.handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL,
                                    NULL);
  sqlite_db_close(&engine->writer);
  sqlite_log_vfs_deinit(&engine->log_vfs);
  if (engine->lock_file >= 0)
    (void)close(engine->lock_file); /* and with it the lock */
  rt_free(engine->partitions);
  rt_free(engine->path);
  rt_free(engine->vfs);
  rt_free(engine);
}

static enum hf_error take_lock(struct sqlite_engine *engine, char why[SQLITE_WHY_SIZE])
{
  char *path = sqlite3_mprintf("%s.lock", engine->path);
  CHECK(path != NULL);
  engine->lock_file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  int code = errno;
  sqlite3_free(path);
  if (engine->lock_file < 0) {
    (void)snprintf(why, SQLITE_WHY_SIZE, "cannot make the lock file: %s", strerror(code));
    return HF_E_UNAVAILABLE;
  }
  if (flock(engine->lock_file, LOCK_EX | LOCK_NB) == 0)
    return HF_OK;
  if (errno == EWOULDBLOCK)
    return refuse(why, HF_E_UNAVAILABLE, "another process serves this data folder: stop it first");
  (void)snprintf(why, SQLITE_WHY_SIZE, "cannot lock the data folder: %s", strerror(errno));
  return HF_E_UNAVAILABLE;
}

static char *copy_text(const char *text)
{
  if (text == NULL)
    return NULL;
  size_t size = strlen(text) + 1u;
  return memcpy(rt_alloc(size), text, size);
}

static enum hf_error start(struct sqlite_engine *engine, const struct store_sqlite_config *config,
                           char why[SQLITE_WHY_SIZE])
{
  enum hf_error error = HF_OK;
  if (!engine->read_only)
    error = take_lock(engine, why);
  if (error != HF_OK)
    return error;
  if (!engine->read_only && !sqlite_log_vfs_init(&engine->log_vfs, engine->vfs))
    return refuse(why, HF_E_INTERNAL, "there is no such VFS");
  struct sqlite_db_config writer = writer_config(engine);
  int code = sqlite_db_open(&engine->writer, &writer);
  if (code != SQLITE_OK) {
    (void)snprintf(why, SQLITE_WHY_SIZE, "cannot open the database: %s", sqlite3_errstr(code));
    return HF_E_UNAVAILABLE;
  }
  error = sqlite_schema_open(&engine->writer, config->migrate && !engine->read_only,
                             config->partition_bits, why);
  if (error != HF_OK)
    return error;
  unsigned bits = engine->writer.partition_bits;
  engine->engine.partition_bits = bits;
  memcpy(engine->engine.secret, engine->writer.secret, sizeof(engine->engine.secret));
  engine->partitions = rt_alloc(sizeof(*engine->partitions) << bits);
  readers_init(&engine->readers, config->readers, bits);
  sqlite_checkpoint_watch(&engine->checkpointer, &engine->writer);
  writer.vfs = engine->vfs;
  if (!engine->read_only && !sqlite_checkpoint_start(&engine->checkpointer, &writer))
    return refuse(why, HF_E_UNAVAILABLE, "cannot start a thread");
  return HF_OK;
}

enum hf_error store_sqlite_open(const struct store_sqlite_config *config,
                                struct store_engine **ret_engine, char ret_why[SQLITE_WHY_SIZE])
{
  static const struct store_engine_ops ops = {
    .name = "sqlite",
    .execute = engine_execute,
    .commit_many = engine_commit_many,
    .close = engine_close,
    .admin = &sqlite_admin_ops,
  };
  CHECK(config->readers >= 1 && config->readers <= SQLITE_READERS_MAX);
  CHECK(config->partition_bits <= HF_PARTITION_BITS_MAX);
  sqlite_page_cache_install();
  struct sqlite_engine *engine = rt_alloc(sizeof(*engine));
  engine->engine.ops = &ops;
  engine->path = copy_text(config->path);
  engine->vfs = copy_text(config->vfs);
  engine->read_only = config->read_only;
  engine->cache_bytes = config->cache_bytes;
  engine->log = config->log;
  engine->log_arg = config->log_arg;
  engine->lock_file = -1;
  enum hf_error error = start(engine, config, ret_why);
  if (error != HF_OK)
    engine_close(&engine->engine);
  else
    *ret_engine = &engine->engine;
  return error;
}

unsigned store_sqlite_schema_known(void)
{
  return sqlite_schema_known();
}
