/* route.h - the route table: router, limits, scopes, metrics labels, OpenAPI document and tests.
 *
 * Owner: constant data; any thread. Pure.
 * A GET row answers HEAD too; a page's path may end with a slash; OPTIONS is answered for every
 * path. What has no row does not exist. */
#ifndef HOLDFAST_ROUTE_H
#define HOLDFAST_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "actors/store/port.h"
#include "adapters/http/http.h"

#define ROUTE_BODY_MAX (64u * 1024u)
#define ROUTE_BATCH_MAX (8u * 1024u * 1024u)

enum route_auth {
  ROUTE_PUBLIC,  /* no key is asked for */
  ROUTE_SERVICE, /* a service key with one of the row's scopes, or admin; no scope: any key */
};
enum route_idempotency { ROUTE_KEY_NONE, ROUTE_KEY_OPTIONAL, ROUTE_KEY_REQUIRED };
/* LINES: application/x-ndjson, or text/event-stream when that is asked for; the schema is of a
 * line. */
enum route_produces { ROUTE_JSON, ROUTE_TEXT, ROUTE_PAGE, ROUTE_LINES };

#define ROUTE_READS HF_SCOPE_LEDGER_READ
#define ROUTE_WRITES HF_SCOPE_LEDGER_WRITE
#define ROUTE_USERS (HF_SCOPE_USERS_READ | HF_SCOPE_USERS_WRITE)

/* X(NAME, METHOD, path, auth, scopes, body schema, body bytes, idempotency key, query parameters,
 *   what it produces, reply schema, status, tag, summary, handler)
 * The order is that of the search: the busiest first. Schemas: api_schema.h; NULL: none.
 * Query parameters are separated by blanks and described in api_query.c. */
#define ROUTES(X)                                                                                  \
  X(OPS_POST, POST, "/v1/ops", SERVICE, ROUTE_WRITES, "OpRequest", ROUTE_BODY_MAX, REQUIRED, "",   \
    JSON, "OpResult", 201, "ledger", "Change a user's balances", api_ops_post)                     \
  X(BALANCES_GET, GET, "/v1/users/{user_id}/balances", SERVICE, ROUTE_READS, NULL, 0, NONE,        \
    "asset at axis", JSON, "Balances", 200, "ledger", "A user's balances, now or at a past time",  \
    api_balances_get)                                                                              \
  X(BATCH_POST, POST, "/v1/ops/batch", SERVICE, ROUTE_WRITES, "BatchRequest", ROUTE_BATCH_MAX,     \
    NONE, "", JSON, "BatchResult", 200, "ledger", "Many operations in one request",                \
    api_batch_post)                                                                                \
  X(ENTRIES_GET, GET, "/v1/users/{user_id}/entries", SERVICE, ROUTE_READS, NULL, 0, NONE,          \
    "asset type from to limit cursor", JSON, "EntryPage", 200, "ledger",                           \
    "A user's journal, newest first", api_entries_get)                                             \
  X(USER_POST, POST, "/v1/users", SERVICE, HF_SCOPE_USERS_WRITE, "UserRequest", ROUTE_BODY_MAX,    \
    OPTIONAL, "", JSON, "User", 201, "users", "Create a user", api_user_post)                      \
  X(USER_GET, GET, "/v1/users/{user_id}", SERVICE, ROUTE_USERS, NULL, 0, NONE, "", JSON, "User",   \
    200, "users", "A user by id", api_user_get)                                                    \
  X(USER_FIND, GET, "/v1/users", SERVICE, ROUTE_USERS, NULL, 0, NONE, "external_id", JSON, "User", \
    200, "users", "A user by external id", api_user_find)                                          \
  X(USER_STATUS, POST, "/v1/users/{user_id}/status", SERVICE, HF_SCOPE_ADMIN, "StatusRequest",     \
    ROUTE_BODY_MAX, NONE, "", JSON, "UserStatus", 200, "users", "Open or close a user",            \
    api_user_status)                                                                               \
  X(HOLDS_GET, GET, "/v1/users/{user_id}/holds", SERVICE, ROUTE_READS, NULL, 0, NONE,              \
    "state limit cursor", JSON, "HoldPage", 200, "ledger", "A user's holds, oldest first",         \
    api_holds_get)                                                                                 \
  X(OP_GET, GET, "/v1/ops/{op_id}", SERVICE, ROUTE_READS, NULL, 0, NONE, "", JSON, "Op", 200,      \
    "ledger", "An operation: its entries, transfer and reversals", api_op_get)                     \
  X(ENTRY_GET, GET, "/v1/entries/{entry_id}", SERVICE, ROUTE_READS, NULL, 0, NONE, "", JSON,       \
    "Entry", 200, "ledger", "A journal entry", api_entry_get)                                      \
  X(HOLD_GET, GET, "/v1/holds/{hold_id}", SERVICE, ROUTE_READS, NULL, 0, NONE, "", JSON, "Hold",   \
    200, "ledger", "A hold: its state and what is left of it", api_hold_get)                       \
  X(BLOCK_GET, GET, "/v1/blocks/{block_id}", SERVICE, ROUTE_READS, NULL, 0, NONE, "", JSON,        \
    "Block", 200, "ledger", "A block: its state and what is left of it", api_block_get)            \
  X(PROOF_GET, GET, "/v1/users/{user_id}/proof", SERVICE, ROUTE_READS, NULL, 0, NONE, "", JSON,    \
    "Proof", 200, "ledger", "That the newest seal has the user's balances", api_proof_get)         \
  X(CHANGES_GET, GET, "/v1/changes", SERVICE, ROUTE_READS, NULL, 0, NONE,                          \
    "partition from_seq limit", LINES, "Entry", 200, "ledger",                                     \
    "A partition's journal in order: a page, or a stream that goes on", api_changes_get)           \
  X(ASSET_POST, POST, "/v1/assets", SERVICE, HF_SCOPE_ADMIN, "AssetRequest", ROUTE_BODY_MAX,       \
    OPTIONAL, "", JSON, "Asset", 201, "assets", "Create an asset", api_asset_post)                 \
  X(ASSETS_GET, GET, "/v1/assets", SERVICE, ROUTE_READS, NULL, 0, NONE, "limit cursor", JSON,      \
    "AssetPage", 200, "assets", "All assets, oldest first", api_assets_get)                        \
  X(ASSET_GET, GET, "/v1/assets/{code}", SERVICE, ROUTE_READS, NULL, 0, NONE, "", JSON, "Asset",   \
    200, "assets", "An asset by its code", api_asset_get)                                          \
  X(KEY_POST, POST, "/v1/admin/keys", SERVICE, HF_SCOPE_ADMIN, "KeyRequest", ROUTE_BODY_MAX, NONE, \
    "", JSON, "NewKey", 201, "admin", "Create a service key; the secret is shown once",            \
    api_key_post)                                                                                  \
  X(KEYS_GET, GET, "/v1/admin/keys", SERVICE, HF_SCOPE_ADMIN, NULL, 0, NONE, "limit cursor", JSON, \
    "KeyPage", 200, "admin", "All service keys, without their secrets", api_keys_get)              \
  X(KEY_DELETE, DELETE, "/v1/admin/keys/{key_id}", SERVICE, HF_SCOPE_ADMIN, NULL, 0, NONE, "",     \
    JSON, "Key", 200, "admin", "Revoke a service key", api_key_delete)                             \
  X(CONFIG_GET, GET, "/v1/config", SERVICE, 0, NULL, 0, NONE, "", JSON, "Config", 200, "system",   \
    "What a client may want to know of this server", api_config_get)                               \
  X(FLAGS_GET, GET, "/v1/flags", SERVICE, 0, NULL, 0, NONE, "", JSON, "Flags", 200, "system",      \
    "Feature flags of this server", api_flags_get)                                                 \
  X(LIVEZ, GET, "/livez", PUBLIC, 0, NULL, 0, NONE, "verbose", JSON, "Health", 200, "system",      \
    "The process answers", api_livez_get)                                                          \
  X(READYZ, GET, "/readyz", PUBLIC, 0, NULL, 0, NONE, "verbose partition", JSON, "Health", 200,    \
    "system", "The server takes requests; or: has the partition", api_readyz_get)                  \
  X(METRICS, GET, "/metrics", PUBLIC, 0, NULL, 0, NONE, "", TEXT, NULL, 200, "system",             \
    "Metrics in Prometheus' text format", api_metrics_get)                                         \
  X(OPENAPI, GET, "/openapi.json", PUBLIC, 0, NULL, 0, NONE, "", JSON, "OpenAPI", 200, "system",   \
    "This description", api_openapi_get)                                                           \
  X(DOCS, GET, "/docs", PUBLIC, 0, NULL, 0, NONE, "", PAGE, NULL, 200, "system",                   \
    "This description as a page", api_docs_get)                                                    \
  X(DOCS_FILE, GET, "/docs/{file}", PUBLIC, 0, NULL, 0, NONE, "", PAGE, NULL, 200, "system",       \
    "A file of the description's page", api_file_get)                                              \
  X(ADMIN, GET, "/admin", PUBLIC, 0, NULL, 0, NONE, "", PAGE, NULL, 200, "system",                 \
    "The dashboard; it asks for a service key", api_admin_get)                                     \
  X(ADMIN_FILE, GET, "/admin/{file}", PUBLIC, 0, NULL, 0, NONE, "", PAGE, NULL, 200, "system",     \
    "A file of the dashboard", api_file_get)

enum route_id {
#define X(NAME, ...) ROUTE_##NAME,
  ROUTES(X)
#undef X
    ROUTE_COUNT
};

struct api_call;

struct route {
  uint8_t id;          /* enum route_id */
  uint8_t method;      /* enum http_method */
  uint8_t auth;        /* enum route_auth */
  uint8_t idempotency; /* enum route_idempotency */
  uint8_t produces;    /* enum route_produces */
  uint32_t scopes;     /* of enum hf_scope: any one of them */
  unsigned status;     /* of success */
  size_t body_max;     /* bytes; 0: takes none */
  const char *name;    /* of the enum: the operation's id is made of it */
  const char *path;    /* template */
  const char *body;    /* schema; NULL: none */
  const char *reply;   /* schema; NULL: not JSON */
  const char *query;   /* names separated by blanks */
  const char *tag;
  const char *summary;
  void (*handle)(struct api_call *call); /* must lead to one reply, now or later */
};

#define X(NAME, METHOD, path, auth, scopes, body, max, key, query, produces, reply, status, tag,   \
          summary, handler)                                                                        \
  void handler(struct api_call *call);
ROUTES(X)
#undef X

extern const struct route routes[ROUTE_COUNT];

struct route_match {
  const struct route *route; /* NULL: see error */
  enum hf_error error;       /* HF_OK, HF_E_ROUTE_NOT_FOUND, HF_E_METHOD_NOT_ALLOWED */
  unsigned methods;          /* bit set of enum http_method that the path takes; 0: no such path */
  unsigned params_count;
  struct http_slice params[HTTP_PATH_PARAMS_MAX]; /* as sent, not decoded; never empty */
};
/* HEAD finds the GET row; OPTIONS finds nothing and is answered from `methods`. */
struct route_match route_find(enum http_method method, struct http_slice path);

/* How long a reply of the route to a request with so large a body may become: 0 when it is at most
 * some ten KiB, SIZE_MAX when it may be megabytes. For http_reply_fits. */
size_t route_reply_size(const struct route *route, size_t body_size);

#define ROUTE_ALLOW_MAX 64u
/* The value of Allow: "GET, HEAD, OPTIONS". */
const char *route_allow(unsigned methods, char out[ROUTE_ALLOW_MAX]);
const char *route_method_text(enum http_method method);

/* Is `type` ("application/json") what an Accept list takes? An absent list takes everything.
 * RFC 9110 section 12.5.1: the most specific range decides; q=0 refuses. */
bool route_accepts(struct http_slice accept, const char *type);
/* Does an Accept list name the type itself, not by a wildcard, and not to refuse it? */
bool route_names(struct http_slice accept, const char *type);
/* Is it application/json, with no charset other than utf-8? */
bool route_is_json(struct http_slice content_type);
/* Does an If-None-Match list name the (quoted, strong) tag, by weak comparison? */
bool route_etag_matches(struct http_slice list, const char *etag);

#endif
