/* store_admin.c - see the header. */
#include "adapters/store/store_admin.h"

const struct store_admin_ops *store_admin_of(const struct store_engine *engine)
{
  return engine->ops->admin;
}
