/* sqlite_checkpoint.c - see the header.
 *
 * Happy path: wish (writer) -> passes (thread) -> rest (writer) -> the log starts again.
 * Ways to fail: a checkpoint that fails leaves the log as it is: nothing is lost, the next wish
 *   comes when the log has grown again. On a disk that is nearly full the writer is told to write
 *   nothing; it tries again when there is more room, or a second later.
 * Invariants: one wish at a time; the thread holds no lock while it copies. */
#include "adapters/store_sqlite/sqlite_checkpoint.h"

#include <signal.h>
#include <sys/statvfs.h>

#define PASSES_MAX 4u
#define PAGE_BYTES 4096u
#define RETRY_US 1000000u

static void lock(struct sqlite_checkpointer *checkpointer)
{
  int failed = pthread_mutex_lock(&checkpointer->lock);
  CHECK(failed == 0);
}

static void unlock(struct sqlite_checkpointer *checkpointer)
{
  int failed = pthread_mutex_unlock(&checkpointer->lock);
  CHECK(failed == 0);
}

/* ---- the thread ------------------------------------------------------------------------------ */

/* True: what is left is little. */
static bool copy(struct sqlite_checkpointer *checkpointer)
{
  struct sqlite_db *db = &checkpointer->db;
  if (db->handle == NULL && sqlite_db_open(db, &checkpointer->config) != SQLITE_OK)
    return false;
  for (unsigned i = 0; i < PASSES_MAX; i++) {
    int log = 0, done = 0;
    if (sqlite3_wal_checkpoint_v2(db->handle, NULL, SQLITE_CHECKPOINT_PASSIVE, &log, &done) !=
        SQLITE_OK) {
      sqlite_db_close(db);
      return false;
    }
    if (log - done <= (int)checkpointer->rest_pages)
      return true;
  }
  return false;
}

static void *thread_main(void *arg)
{
  struct sqlite_checkpointer *checkpointer = arg;
  lock(checkpointer);
  while (!checkpointer->stop) {
    if (!checkpointer->wanted) {
      (void)pthread_cond_wait(&checkpointer->wake, &checkpointer->lock);
      continue;
    }
    unlock(checkpointer);
    bool rest = copy(checkpointer);
    lock(checkpointer);
    checkpointer->wanted = false;
    checkpointer->rest = rest;
    (void)pthread_cond_signal(&checkpointer->idle);
  }
  unlock(checkpointer);
  return NULL;
}

static uint64_t room_of_disk(const char *path)
{
  struct statvfs disk;
  return statvfs(path, &disk) == 0 ? (uint64_t)disk.f_bavail * disk.f_frsize : UINT64_MAX;
}

bool sqlite_checkpoint_start(struct sqlite_checkpointer *checkpointer,
                             const struct sqlite_db_config *config)
{
  checkpointer->config = *config;
  checkpointer->config.role = SQLITE_ROLE_CHECKPOINTER;
  checkpointer->config.create = false;
  checkpointer->wish_pages = SQLITE_LOG_PAGES;
  checkpointer->rest_pages = SQLITE_LOG_PAGES_REST;
  checkpointer->max_pages = SQLITE_LOG_PAGES_MAX;
  checkpointer->scarce_pages = SQLITE_LOG_PAGES_SCARCE;
  checkpointer->room = room_of_disk;
  int failed = pthread_mutex_init(&checkpointer->lock, NULL);
  CHECK(failed == 0);
  failed = pthread_cond_init(&checkpointer->wake, NULL);
  CHECK(failed == 0);
  failed = pthread_cond_init(&checkpointer->idle, NULL);
  CHECK(failed == 0);
  sigset_t all, before;
  sigfillset(&all); /* signals are the main thread's, which does not block them yet */
  pthread_sigmask(SIG_SETMASK, &all, &before);
  checkpointer->started =
    pthread_create(&checkpointer->thread, NULL, thread_main, checkpointer) == 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (!checkpointer->started)
    sqlite_checkpoint_stop(checkpointer);
  return checkpointer->started;
}

void sqlite_checkpoint_stop(struct sqlite_checkpointer *checkpointer)
{
  int failed;
  if (checkpointer->config.path == NULL)
    return;
  if (checkpointer->started) {
    lock(checkpointer);
    checkpointer->stop = true;
    (void)pthread_cond_signal(&checkpointer->wake);
    unlock(checkpointer);
    failed = pthread_join(checkpointer->thread, NULL);
    CHECK(failed == 0);
  }
  sqlite_db_close(&checkpointer->db);
  failed = pthread_cond_destroy(&checkpointer->wake);
  CHECK(failed == 0);
  failed = pthread_cond_destroy(&checkpointer->idle);
  CHECK(failed == 0);
  failed = pthread_mutex_destroy(&checkpointer->lock);
  CHECK(failed == 0);
  checkpointer->config.path = NULL;
}

/* ---- the writer ------------------------------------------------------------------------------ */

static int committed(void *arg, sqlite3 *handle, const char *name, int pages)
{
  struct sqlite_checkpointer *checkpointer = arg;
  (void)handle;
  (void)name;
  checkpointer->log_pages = (unsigned)pages;
  return SQLITE_OK;
}

void sqlite_checkpoint_watch(struct sqlite_checkpointer *checkpointer, struct sqlite_db *writer)
{
  (void)sqlite3_wal_hook(writer->handle, committed, checkpointer);
}

/* The copy of so many pages of the log fits beside them, and so does what is written next. */
static bool fits(const struct sqlite_checkpointer *checkpointer, unsigned pages, uint64_t room)
{
  return pages < checkpointer->scarce_pages ||
         ((uint64_t)pages + checkpointer->scarce_pages) * PAGE_BYTES <= room;
}

/* One checkpoint at a time: SQLite refuses a second one at once. */
static void wait_for_thread(struct sqlite_checkpointer *checkpointer)
{
  lock(checkpointer);
  while (checkpointer->wanted)
    (void)pthread_cond_wait(&checkpointer->idle, &checkpointer->lock);
  unlock(checkpointer);
}

/* Copies what there is and cuts the file, when no reader is in the way. False: what is not copied
 * does not fit. */
static bool empty_log(struct sqlite_checkpointer *checkpointer, struct sqlite_db *writer)
{
  int log = -1, done = -1;
  bool patient = sqlite_clock_us() >= checkpointer->retry_us;
  wait_for_thread(checkpointer);
  int code = sqlite3_wal_checkpoint_v2(
    writer->handle, NULL, patient ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE, &log,
    &done);
  uint64_t room = checkpointer->room(checkpointer->config.path);
  checkpointer->failed = code != SQLITE_OK && code != SQLITE_BUSY;
  checkpointer->failed_room = room;
  if (code == SQLITE_OK && patient) {
    checkpointer->log_pages = 0;
    return true;
  }
  if (patient)
    checkpointer->retry_us = sqlite_clock_us() + RETRY_US;
  return log >= done && done >= 0 && fits(checkpointer, (unsigned)(log - done), room);
}

bool sqlite_checkpoint_make_room(struct sqlite_checkpointer *checkpointer, struct sqlite_db *writer)
{
  if (checkpointer->log_pages < checkpointer->scarce_pages) {
    if (checkpointer->full)
      (void)empty_log(checkpointer, writer);
    checkpointer->full = false;
    return true;
  }
  uint64_t room = checkpointer->room(checkpointer->config.path);
  if (fits(checkpointer, checkpointer->log_pages, room))
    return true;
  if (checkpointer->failed && room <= checkpointer->failed_room &&
      sqlite_clock_us() < checkpointer->retry_us)
    return false;
  return empty_log(checkpointer, writer);
}

/* Copies what the thread left, between two commits. */
static void copy_rest(struct sqlite_checkpointer *checkpointer, struct sqlite_db *writer)
{
  bool wait = checkpointer->log_pages > checkpointer->max_pages;
  (void)sqlite3_wal_checkpoint_v2(
    writer->handle, NULL, wait ? SQLITE_CHECKPOINT_RESTART : SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

void sqlite_checkpoint_after_commit(struct sqlite_checkpointer *checkpointer,
                                    struct sqlite_db *writer)
{
  unsigned pages = checkpointer->log_pages;
  if (pages < checkpointer->seen_pages)
    checkpointer->asked_pages = checkpointer->wish_pages; /* the log started again */
  if (checkpointer->asked_pages < checkpointer->wish_pages)
    checkpointer->asked_pages = checkpointer->wish_pages;
  checkpointer->seen_pages = pages;
  lock(checkpointer);
  bool wish = !checkpointer->rest && !checkpointer->wanted && pages >= checkpointer->asked_pages;
  bool rest = checkpointer->rest && writer->handle != NULL; /* a failure may have closed it */
  checkpointer->rest = checkpointer->rest && !rest;
  if (wish) {
    checkpointer->wanted = true;
    (void)pthread_cond_signal(&checkpointer->wake);
  }
  unlock(checkpointer);
  /* Should the log not start again after this, for a read that is still going on, the next wish
   * comes when it has grown a little more. */
  if (wish || rest)
    checkpointer->asked_pages = pages + checkpointer->rest_pages;
  if (rest)
    copy_rest(checkpointer, writer);
}
