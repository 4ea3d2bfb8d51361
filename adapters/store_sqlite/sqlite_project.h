/* sqlite_project.h - single rows of the projections. Writer thread, within a transaction. */
#ifndef HOLDFAST_SQLITE_PROJECT_H
#define HOLDFAST_SQLITE_PROJECT_H

#include "adapters/store/store_admin.h"
#include "adapters/store_sqlite/sqlite_db.h"

enum store_status sqlite_write_balance(struct sqlite_db *db, const struct store_balance_row *row);
enum store_status sqlite_write_system(struct sqlite_db *db, const struct store_system_row *row);
/* The projections hold the partition's entries up to `seq`. */
enum store_status sqlite_write_mark(struct sqlite_db *db, uint32_t partition, uint64_t seq);

#endif
