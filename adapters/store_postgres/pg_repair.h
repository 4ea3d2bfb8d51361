/* pg_repair.h - store_admin_ops.repair of PostgreSQL. Internal. */
#ifndef HOLDFAST_PG_REPAIR_H
#define HOLDFAST_PG_REPAIR_H

#include "adapters/store/store_admin.h"

MUST_CHECK enum hf_error pg_repair(struct store_engine *engine, const struct store_repair *wanted);

#endif
