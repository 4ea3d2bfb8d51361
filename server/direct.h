/* direct.h - single changes to a store without a runtime: for commands, before or without serving.
 * Blocking; an embedded store must be open for writing and nobody else's. */
#ifndef HOLDFAST_DIRECT_H
#define HOLDFAST_DIRECT_H

#include "actors/store/port.h"

/* Makes the key, or revokes it; on a shared store beside whoever serves. HF_OK; HF_E_KEY_CONFLICT
 * when it is there, or not, or was revoked; HF_E_UNAVAILABLE. */
MUST_CHECK enum hf_error direct_key_put(struct store_engine *engine, struct store_key_row *key);
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
