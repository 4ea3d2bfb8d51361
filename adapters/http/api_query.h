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
  X(AXIS, "axis",                                                                                  \
    "{\"type\":\"string\",\"enum\":[\"recorded\",\"effective\"],\"default\":\"recorded\"}",        \
    "What `at` is compared with: when an entry was recorded, or when it took effect. On the "      \
    "effective axis a backdated entry counts from the time that it was backdated to, so a bucket " \
    "may be below zero there: spent before the backdated credit that covered it. Without `at` "    \
    "both axes give the balances as they are now.")                                                \
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
  X(PARTITION, "partition", "{\"type\":\"integer\",\"minimum\":0,\"maximum\":1023}",               \
    "A partition: a number below `limits.partitions` of /v1/config.")                              \
  X(FROM_SEQ, "from_seq", "{\"type\":\"integer\",\"minimum\":1,\"default\":1}",                    \
    "The first `seq` that is wanted; of a stream, Last-Event-ID goes before it.")                  \
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
/* Decimal digits, at most 18, without leading zeros. */
bool api_number_parse(struct http_slice text, uint64_t *ret_number);
/* A decimal number from `least` to `most` without leading zeros. */
uint64_t api_query_number(const struct api_query *query, enum api_param param, uint64_t least,
                          uint64_t most, uint64_t otherwise, struct json_problem *problem);
/* Unix microseconds; 0 when absent. `now_us` > 0: a later time is HF_E_INVALID_TIME. */
int64_t api_query_time(const struct api_query *query, enum api_param param, int64_t now_us,
                       struct json_problem *problem);
bool api_query_is(const struct api_query *query, enum api_param param, const char *text);

#endif
