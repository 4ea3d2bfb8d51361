#include "route.h"

#include <string.h>
#include <strings.h>

#include "holdfast/check.h"

#define X(NAME, METHOD, path_, auth_, scopes_, body_, max, key, query_, produces_, reply_,         \
          status_, tag_, summary_, handler)                                                        \
  [ROUTE_##NAME] = {.id = ROUTE_##NAME,                                                            \
                    .method = HTTP_##METHOD,                                                       \
                    .auth = ROUTE_##auth_,                                                         \
                    .idempotency = ROUTE_KEY_##key,                                                \
                    .produces = ROUTE_##produces_,                                                 \
                    .scopes = scopes_,                                                             \
                    .status = status_,                                                             \
                    .body_max = max,                                                               \
                    .name = #NAME,                                                                 \
                    .path = path_,                                                                 \
                    .body = body_,                                                                 \
                    .reply = reply_,                                                               \
                    .query = query_,                                                               \
                    .tag = tag_,                                                                   \
                    .summary = summary_,                                                           \
                    .handle = handler},
const struct route routes[ROUTE_COUNT] = {ROUTES(X)};
#undef X

/* ---- finding --------------------------------------------------------------------------------- */

static bool has_param(const struct route *route)
{
  return strchr(route->path, '{') != NULL;
}

/* Walks template and path together; a parameter takes one non-empty segment. A page is also there
 * with a slash behind it, as people type it. */
static bool path_fits(const struct route *route, struct http_slice path, struct route_match *match)
{
  const char *template = route->path;
  const char *at = path.at;
  const char *end = path.at + path.size;
  match->params_count = 0;
  while (*template != '\0') {
    if (*template != '{') {
      if (at == end || *at != *template)
        return false;
      at++;
      template ++;
      continue;
    }
    const char *start = at;
    while (at < end && *at != '/')
      at++;
    if (at == start)
      return false;
    CHECK(match->params_count < HTTP_PATH_PARAMS_MAX);
    match->params[match->params_count++] = (struct http_slice){start, (size_t)(at - start)};
    template = strchr(template, '}') + 1;
  }
  if (route->produces == ROUTE_PAGE && !has_param(route) && end - at == 1 && *at == '/')
    return true;
  return at == end;
}

struct route_match route_find(enum http_method method, struct http_slice path)
{
  struct route_match match = {.error = HF_E_ROUTE_NOT_FOUND};
  const enum http_method sought = method == HTTP_HEAD ? HTTP_GET : method;
  const struct route *found = NULL;
  bool literal = false;

  for (unsigned i = 0; i < ROUTE_COUNT; i++) {
    struct route_match tried = {0};
    if (!path_fits(&routes[i], path, &tried))
      continue;
    /* "/v1/ops/batch" is not an op whose id is "batch": a literal path hides the others. */
    if (!has_param(&routes[i]) && !literal) {
      literal = true;
      match.methods = 0;
      found = NULL;
    } else if (has_param(&routes[i]) && literal) {
      continue;
    }
    match.methods |= 1u << routes[i].method;
    if (routes[i].method == sought) {
      found = &routes[i];
      match.params_count = tried.params_count;
      memcpy(match.params, tried.params, sizeof match.params);
      if (literal)
        break;
    }
  }
  match.route = found;
  if (found != NULL)
    match.error = HF_OK;
  else if (match.methods != 0)
    match.error = HF_E_METHOD_NOT_ALLOWED;
  return match;
}

/* An operation's result has several times the bytes of the operation. */
#define BATCH_REPLY_FACTOR 8u

size_t route_reply_size(const struct route *route, size_t body_size)
{
  switch (route->id) {
  case ROUTE_BATCH_POST:
    return BATCH_REPLY_FACTOR * body_size;
  case ROUTE_ENTRIES_GET:
  case ROUTE_HOLDS_GET:
  case ROUTE_CHANGES_GET:
  case ROUTE_ASSETS_GET:
  case ROUTE_KEYS_GET:
  case ROUTE_METRICS:
  case ROUTE_OPENAPI:
  case ROUTE_DOCS:
  case ROUTE_DOCS_FILE:
  case ROUTE_ADMIN:
  case ROUTE_ADMIN_FILE:
    return SIZE_MAX;
  default:
    return 0;
  }
}

const char *route_method_text(enum http_method method)
{
  switch (method) {
  case HTTP_GET:
    return "GET";
  case HTTP_HEAD:
    return "HEAD";
  case HTTP_POST:
    return "POST";
  case HTTP_PUT:
    return "PUT";
  case HTTP_PATCH:
    return "PATCH";
  case HTTP_DELETE:
    return "DELETE";
  case HTTP_OPTIONS:
    return "OPTIONS";
  case HTTP_OTHER:
    break;
  }
  return "_OTHER";
}

const char *route_allow(unsigned methods, char out[ROUTE_ALLOW_MAX])
{
  static const enum http_method order[] = {HTTP_GET, HTTP_POST, HTTP_PUT, HTTP_PATCH, HTTP_DELETE};
  size_t size = 0;
  for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
    if ((methods & 1u << order[i]) == 0)
      continue;
    const char *text = order[i] == HTTP_GET ? "GET, HEAD" : route_method_text(order[i]);
    const size_t text_size = strlen(text);
    CHECK(size + text_size + sizeof ", OPTIONS" < ROUTE_ALLOW_MAX);
    memcpy(out + size, text, text_size);
    memcpy(out + size + text_size, ", ", 2);
    size += text_size + 2;
  }
  memcpy(out + size, "OPTIONS", sizeof "OPTIONS");
  return out;
}

/* ---- negotiation ----------------------------------------------------------------------------- */

static struct http_slice trim(const char *at, const char *end)
{
  while (at < end && (*at == ' ' || *at == '\t'))
    at++;
  while (end > at && (end[-1] == ' ' || end[-1] == '\t'))
    end--;
  return (struct http_slice){at, (size_t)(end - at)};
}

/* Cuts the next part of a list off at `separator`; false when nothing is left. Commas within
 * quoted strings do not separate. */
static bool next_part(struct http_slice *list, char separator, struct http_slice *ret_part)
{
  if (list->size == 0)
    return false;
  const char *end = list->at + list->size;
  const char *at = list->at;
  bool quoted = false;
  for (; at < end; at++) {
    if (*at == '"')
      quoted = !quoted;
    else if (*at == '\\' && quoted && at + 1 < end)
      at++;
    else if (*at == separator && !quoted)
      break;
  }
  *ret_part = trim(list->at, at);
  list->at = at < end ? at + 1 : end;
  list->size = (size_t)(end - list->at);
  return true;
}

static bool is_text(struct http_slice slice, const char *text, size_t size)
{
  return slice.size == size && strncasecmp(slice.at, text, size) == 0;
}

/* How closely a media range names the type: 0 not at all, 1 any, 2 its kind, 3 exactly. */
static unsigned range_fits(struct http_slice range, const char *type)
{
  const char *slash = strchr(type, '/');
  CHECK(slash != NULL);
  const size_t kind = (size_t)(slash - type) + 1;
  if (is_text(range, type, strlen(type)))
    return 3;
  if (range.size == kind + 1 && range.at[kind] == '*' && strncasecmp(range.at, type, kind) == 0)
    return 2;
  return is_text(range, "*/*", 3) ? 1 : 0;
}

static bool is_refused(struct http_slice parameters)
{
  struct http_slice part;
  while (next_part(&parameters, ';', &part)) {
    if (part.size < 3 || (part.at[0] | 0x20) != 'q' || part.at[1] != '=')
      continue;
    for (size_t i = 2; i < part.size; i++) {
      if (part.at[i] != '0' && part.at[i] != '.')
        return false;
    }
    return true;
  }
  return false;
}

bool route_accepts(struct http_slice accept, const char *type)
{
  struct http_slice member;
  unsigned closest = 0;
  bool taken = accept.at == NULL || accept.size == 0;
  while (next_part(&accept, ',', &member)) {
    struct http_slice range;
    if (!next_part(&member, ';', &range))
      continue;
    const unsigned fit = range_fits(range, type);
    if (fit > closest) {
      closest = fit;
      taken = !is_refused(member);
    }
  }
  return taken;
}

bool route_names(struct http_slice accept, const char *type)
{
  struct http_slice member;
  while (next_part(&accept, ',', &member)) {
    struct http_slice range;
    if (next_part(&member, ';', &range) && range_fits(range, type) == 3 && !is_refused(member))
      return true;
  }
  return false;
}

bool route_is_json(struct http_slice content_type)
{
  struct http_slice part;
  if (!next_part(&content_type, ';', &part) || !is_text(part, "application/json", 16))
    return false;
  while (next_part(&content_type, ';', &part)) {
    if (part.size >= 8 && strncasecmp(part.at, "charset=", 8) == 0 &&
        !is_text(part, "charset=utf-8", 13) && !is_text(part, "charset=\"utf-8\"", 15))
      return false;
  }
  return true;
}

bool route_etag_matches(struct http_slice list, const char *etag)
{
  struct http_slice tag;
  const size_t size = strlen(etag);
  while (next_part(&list, ',', &tag)) {
    if (tag.size == 1 && tag.at[0] == '*')
      return true;
    if (tag.size > 2 && memcmp(tag.at, "W/", 2) == 0)
      tag = (struct http_slice){tag.at + 2, tag.size - 2};
    if (tag.size == size && memcmp(tag.at, etag, size) == 0)
      return true;
  }
  return false;
}
