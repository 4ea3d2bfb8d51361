/* catalog.h - assets and service keys: a cache on every loop, one writer, told to all.
 *
 * The catalog actor of the loop that owns the system partition (0) writes; the others, on all
 * nodes, learn each change before the asker is answered. A node that cannot be reached reads the
 * catalogue when its heartbeat tells that it changed. Reading is a lookup on one's own loop. */
#ifndef HOLDFAST_CATALOG_H
#define HOLDFAST_CATALOG_H

#include "actors/store/port.h"
#include "holdfast/rt.h"

#define HF_ASSETS_MAX 4096u
#define HF_KEYS_MAX 4096u

struct catalog;
/* The loop's catalog; NULL before it is loaded (readyz is false until then). */
const struct catalog *catalog_of(const rt_ctx *ctx);
/* NULL when there is none. Pointers stay valid until the actor's next message. */
const struct store_asset_row *catalog_asset(const struct catalog *catalog, uint16_t id);
const struct store_asset_row *catalog_asset_by_code(const struct catalog *catalog, const char *code,
                                                    size_t size);
size_t catalog_assets_count(const struct catalog *catalog);
const struct store_asset_row *catalog_asset_at(const struct catalog *catalog, size_t index);
const struct store_key_row *catalog_key(const struct catalog *catalog, const char *id, size_t size);
size_t catalog_keys_count(const struct catalog *catalog);
const struct store_key_row *catalog_key_at(const struct catalog *catalog, size_t index);

/* HF_ASSET / HF_ASSET_DONE: a change, asked of catalog_home. */
enum catalog_change_kind { CATALOG_ADD_ASSET, CATALOG_ADD_KEY, CATALOG_REVOKE_KEY };
struct hf_catalog_change {
  void *owner;
  uint8_t kind;                 /* enum catalog_change_kind */
  struct store_asset_row asset; /* ADD_ASSET: id and created_us are out */
  struct store_key_row key;     /* ADD_KEY; REVOKE_KEY: its id */
  /* HF_OK; ASSET_CONFLICT (same code, other properties), KEY_CONFLICT, KEY_NOT_FOUND,
   * LIMIT_EXCEEDED, or retryable. */
  enum hf_error error;
  bool existed; /* the same asset was there already: nothing was written */
  /* the catalog actors' own */
  rt_id asker;
  uint32_t corr;
  unsigned learning; /* loops that have not answered yet */
  bool rejudged;     /* once, after a commit that may have happened */
  bool fresh;        /* the catalogue was read since it came: shared stores */
  struct store_unit unit;
  struct store_row row;
  struct hf_catalog_change *next;
};
/* On a shared store that actor passes a change on to the node that has the partition. */
rt_id catalog_home(const rt_ctx *ctx);

#endif
