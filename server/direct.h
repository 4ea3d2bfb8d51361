/* direct.h - single changes to a store without a runtime: for commands, before or without serving.
 * Blocking; the store must be open for writing and nobody else's. */
#ifndef HOLDFAST_DIRECT_H
#define HOLDFAST_DIRECT_H

#include "actors/store/port.h"

/* Commits one unit to its partition: opens the partition (a new epoch), numbers, hashes, writes.
 * HF_OK; HF_E_KEY_CONFLICT when a row exists or misses; HF_E_UNAVAILABLE. */
MUST_CHECK enum hf_error direct_commit(struct store_engine *engine, struct store_unit *unit);
/* The whole catalogue: assets and service keys. NULL when it cannot be read; else free it. */
struct store_request *direct_catalog(struct store_engine *engine);
/* Makes a service key with a random secret; `text` gets "hfk_<id>_<secret>". id NULL: random. */
#define HF_KEY_TEXT_MAX 180u
MUST_CHECK enum hf_error direct_key_create(struct store_engine *engine, const char *id,
                                           const char *name, uint32_t scopes,
                                           char text[HF_KEY_TEXT_MAX]);
/* Microseconds since 1970. */
int64_t direct_wall_us(void);

#endif
