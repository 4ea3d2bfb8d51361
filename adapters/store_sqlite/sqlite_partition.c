/* sqlite_partition.c - a writer takes a partition over: its epoch rises durably, and it learns
 * where batches, entries and users go on. */
#include "adapters/store_sqlite/sqlite_engine.h"

/* max() over a range of orders; the serial of it, 0 when there is none. */
static enum store_status largest_serial(struct sqlite_db *db, enum sqlite_statement id,
                                        unsigned partition, uint64_t *largest)
{
  struct sqlite_row row = {.statement = sqlite_db_use(db, id)};
  sqlite_bind_id(row.statement, 1, sqlite_order_start(partition));
  sqlite_bind_id(row.statement, 2, sqlite_order_end(partition));
  enum store_status status = sqlite_first(row.statement);
  if (status != STORE_OK)
    return status;
  if (sqlite3_column_type(row.statement, 0) != SQLITE_NULL) {
    uint64_t serial =
      sqlite_column_unsigned(&row, 0, INT64_MAX) & ((1ull << SQLITE_ORDER_SHIFT) - 1u);
    if (serial > *largest)
      *largest = serial;
  }
  (void)sqlite3_reset(row.statement);
  return row.corrupt ? STORE_CORRUPT : STORE_OK;
}

static enum store_status open_partition(struct sqlite_engine *engine, struct store_partition *out)
{
  struct sqlite_db *db = &engine->writer;
  uint64_t serial = 0;
  sqlite3_stmt *raise = sqlite_db_use(db, SQL_PARTITION_RAISE);
  sqlite_bind_id(raise, 1, out->partition);
  enum store_status status = sqlite_status(sqlite_db_run(raise));
  if (status == STORE_OK)
    status = sqlite_partition_load(engine, out->partition, &out->head);
  if (status == STORE_OK)
    status = largest_serial(db, SQL_USER_MAX, out->partition, &serial);
  if (status == STORE_OK)
    status = largest_serial(db, SQL_NAME_USER_MAX, out->partition, &serial);
  if (status != STORE_OK)
    return status;
  out->epoch = engine->partitions[out->partition].epoch;
  out->next_batch = engine->partitions[out->partition].next_batch;
  out->next_seq = engine->partitions[out->partition].next_seq;
  out->next_user_serial = serial + 1u;
  out->follows = out->head;
  return STORE_OK;
}

void sqlite_open_partition(struct sqlite_engine *engine, struct store_request *request)
{
  struct sqlite_db *db = &engine->writer;
  struct store_partition *out = &request->open_partition;
  CHECK(!engine->read_only);
  CHECK(out->partition >> engine->engine.partition_bits == 0);
  request->status = STORE_UNAVAILABLE;
  if (!sqlite_engine_begin(engine))
    return;
  enum store_status status = open_partition(engine, out);
  if (status == STORE_OK)
    status = sqlite_status(sqlite_db_do(db, SQL_COMMIT));
  if (status == STORE_UNAVAILABLE)
    sqlite_engine_failed(engine, "open a partition");
  if (status != STORE_OK) {
    engine->partitions[out->partition].known = false;
    if (!sqlite3_get_autocommit(db->handle) && sqlite_db_do(db, SQL_ROLLBACK) != SQLITE_OK)
      sqlite_engine_writer_close(engine);
  }
  request->status = (uint8_t)status;
}
