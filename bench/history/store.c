/* Opens a store by the text that `holdfast --store` takes. */
#include <stdio.h>
#include <string.h>

#include "adapters/store_memory/store_memory.h"
#include "adapters/store_postgres/store_postgres.h"
#include "adapters/store_sqlite/store_sqlite.h"
#include "bench/history/history.h"
#include "holdfast/id.h"

#define CACHE_BYTES (256u << 20) /* as the server's default */
#define TIMEOUT_US 60000000u

struct store_engine *history_open(const char *store)
{
  struct store_engine *engine = NULL;
  char why[256] = "";
  enum hf_error error = HF_E_UNAVAILABLE;
  if (strcmp(store, "memory") == 0)
    return store_memory_new(HF_PARTITION_BITS_DEFAULT);
  if (strncmp(store, "sqlite:", 7) == 0) {
    const struct store_sqlite_config config = {.path = store + 7,
                                               .partition_bits = HF_PARTITION_BITS_DEFAULT,
                                               .readers = 1,
                                               .cache_bytes = CACHE_BYTES,
                                               .migrate = true};
    error = store_sqlite_open(&config, &engine, why);
  } else if (strncmp(store, "postgres", 8) == 0) {
    const struct store_postgres_config config = {.dsn = store,
                                                 .partition_bits = HF_PARTITION_BITS_DEFAULT,
                                                 .commits = 1,
                                                 .readers = 1,
                                                 .connect_timeout_us = TIMEOUT_US,
                                                 .statement_timeout_us = TIMEOUT_US,
                                                 .lock_timeout_us = TIMEOUT_US,
                                                 .migrate = true};
    error = store_postgres_open(&config, &engine, why);
  } else {
    history_fail("--store", "is sqlite:PATH, postgres://... or memory");
  }
  if (error != HF_OK)
    history_fail("the store does not open", why);
  return engine;
}
