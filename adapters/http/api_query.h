/* api_query.h - query parameters: their table, and reading them.
 *
 * Pure. Untrusted input. A parameter that the route does not take, one that is given twice and one
 * that is not valid percent-encoding are HF_E_INVALID_QUERY. */
#ifndef HOLDFAST_API_QUERY_H
#define HOLDFAST_API_QUERY_H

#include "adapters/http/http.h"
#include "adapters/http/json_in.h"

/* X(NAME, name, JSON schema, description) */
#define API_PARAMS(X)                                                                              \
  X(ASSET, "asset", "{\"type\":\"string\",\"maxLength\":16,\"examples\":[\"COIN\"]}",              \
    "Only this asset, by its code.")                                                               \
  X(AT, "at", "{\"type\":\"string\",\"format\":\"date-time\"}",                                    \
    "The balances as they stood at this time; not in the future.")                                 \
  X(AXIS, "axis", "{\"type\":\"string\",\"enum\":[\"recorded\"]}",                                 \
    "The time axis of `at`: when an entry was recorded.")                                          \
  X(TYPE, "type", "{\"type\":\"string\",\"examples\":[\"spend\"]}",                                \
    "Only entries of this operation type.")                                                        \
  X(FROM, "from", "{\"type\":\"string\",\"format\":\"date-time\"}",                                \
    "Only entries recorded at or after this time.")                                                \
  X(TO, "to", "{\"type\":\"string\",\"format\":\"date-time\"}",                                    \
    "Only entries recorded before this time.")                                                     \
  X(LIMIT, "limit", "{\"type\":\"integer\",\"minimum\":1,\"maximum\":500,\"default\":50}",         \
    "How many items a page has at the most.")                                                      \
  X(CURSOR, "cursor", "{\"type\":\"string\",\"maxLength\":128}",                                   \
    "`next_cursor` of the page before; bound to the other parameters, but for `limit`.")           \
  X(STATE, "state", "{\"type\":\"string\",\"enum\":[\"open\",\"any\"],\"default\":\"any\"}",       \
    "Only holds that are open, or all of them.")                                                   \
  X(EXTERNAL_ID, "external_id", "{\"type\":\"string\",\"minLength\":1,\"maxLength\":128}",         \
    "The id that the user was created with.")                                                      \
  X(VERBOSE, "verbose", "{\"type\":\"string\"}", "Name each check.")

enum api_param {
#define X(NAME, name, schema, text) API_PARAM_##NAME,
  API_PARAMS(X)
#undef X
    API_PARAM_COUNT
};

struct api_param_info {
  const char *name, *schema, *text;
};
extern const struct api_param_info api_params[API_PARAM_COUNT];

#define API_LIMIT_DEFAULT 50u
#define API_LIMIT_MAX 500u

struct api_query {
  struct http_slice values[API_PARAM_COUNT]; /* decoded; at == NULL: absent */
};

/* Decodes percent-encoding (RFC 3986; '+' too when `form`) to `out`, which has room for text.size
 * bytes. False when it is malformed or holds a NUL. */
bool api_decode(struct http_slice text, bool form, char *out, size_t *ret_size);
/* Is `name` among the blank-separated words of `list`? */
bool api_lists(const char *list, const char *name, size_t size);

/* `room` takes query.size bytes and is what the values point to. */
void api_query_parse(struct http_slice query, const char *allowed, char *room,
                     struct api_query *ret_query, struct json_problem *problem);

/* Values; absent ones give `otherwise` or 0. */
unsigned api_query_limit(const struct api_query *query, struct json_problem *problem);
/* Unix microseconds; 0 when absent. `now_us` > 0: a later time is HF_E_INVALID_TIME. */
int64_t api_query_time(const struct api_query *query, enum api_param param, int64_t now_us,
                       struct json_problem *problem);
bool api_query_is(const struct api_query *query, enum api_param param, const char *text);

#endif
