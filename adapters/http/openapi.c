#include "openapi.h"

#include <stdio.h>
#include <string.h>

#include "adapters/http/api_query.h"
#include "adapters/http/api_schema.h"
#include "adapters/http/route.h"
#include "holdfast/check.h"

#define RAW(out, text) json_out_raw(out, text, sizeof(text) - 1)
#define ID_PATTERN "^[1-9][0-9]{0,15}$"
#define AMOUNT_PATTERN "^-?(0|[1-9][0-9]*)(\\\\.[0-9]+)?$"

/* ---- schemas --------------------------------------------------------------------------------- */

static void write_type(struct json_out *out, const char *type, bool nullable)
{
  json_out_key(out, "type");
  if (!nullable) {
    json_out_string(out, type);
    return;
  }
  json_out_begin_array(out);
  json_out_string(out, type);
  json_out_string(out, "null");
  json_out_end_array(out);
}

static void write_words(struct json_out *out, const char *words)
{
  json_out_key(out, "enum");
  json_out_begin_array(out);
  while (*words != '\0') {
    const size_t size = strcspn(words, " ");
    json_out_text(out, words, size);
    words += size;
    words += strspn(words, " ");
  }
  json_out_end_array(out);
}

static void write_ref(struct json_out *out, const char *name)
{
  char text[80];
  CHECK(api_schema_find(name) != NULL);
  const int size = snprintf(text, sizeof text, "#/components/schemas/%s", name);
  CHECK(size > 0 && (size_t)size < sizeof text);
  json_out_key(out, "$ref");
  json_out_string(out, text);
}

static void write_of(struct json_out *out, const char *name)
{
  json_out_begin_object(out);
  write_ref(out, name);
  json_out_end_object(out);
}

static void write_field_type(struct json_out *out, const struct api_field *field)
{
  static const char *const names[] = {
    [API_TEXT] = "string",     [API_WORD] = "string",     [API_WORDS] = "array",
    [API_ID] = "string",       [API_AMOUNT] = "string",   [API_TIME] = "string",
    [API_INTEGER] = "integer", [API_BOOLEAN] = "boolean", [API_OBJECT] = "object",
    [API_LIST] = "array",      [API_MAP] = "object",      [API_SWITCHES] = "object"};
  if (field->type == API_REF) {
    write_ref(out, field->more);
    return;
  }
  write_type(out, names[field->type], field->nullable);
  switch ((enum api_type)field->type) {
  case API_TEXT:
  case API_INTEGER:
    if (field->more != NULL) /* ready members of the schema */
      json_out_raw(out, field->more, strlen(field->more));
    break;
  case API_WORD:
    write_words(out, field->more);
    break;
  case API_WORDS:
    json_out_key(out, "items");
    json_out_begin_object(out);
    write_type(out, "string", false);
    if (field->more != NULL)
      write_words(out, field->more);
    json_out_end_object(out);
    break;
  case API_ID:
    RAW(out, "\"pattern\":\"" ID_PATTERN "\"");
    break;
  case API_AMOUNT:
    RAW(out, "\"pattern\":\"" AMOUNT_PATTERN "\"");
    break;
  case API_TIME:
    RAW(out, "\"format\":\"date-time\"");
    break;
  case API_LIST:
    json_out_key(out, "items");
    write_of(out, field->more);
    break;
  case API_MAP:
    json_out_key(out, "additionalProperties");
    write_of(out, field->more);
    break;
  case API_SWITCHES:
    RAW(out, "\"additionalProperties\":{\"type\":\"boolean\"}");
    break;
  case API_BOOLEAN:
  case API_OBJECT:
  case API_REF:
    break;
  }
}

static void write_schema(struct json_out *out, const struct api_schema *schema)
{
  json_out_key_text(out, schema->name, strlen(schema->name));
  json_out_begin_object(out);
  write_type(out, "object", false);
  json_out_key(out, "description");
  json_out_string(out, schema->text);
  json_out_key(out, "properties");
  json_out_begin_object(out);
  for (size_t i = 0; i < schema->fields_count; i++) {
    const struct api_field *field = &schema->fields[i];
    json_out_key_text(out, field->name, strlen(field->name));
    json_out_begin_object(out);
    write_field_type(out, field);
    json_out_key(out, "description");
    json_out_string(out, field->text);
    if (field->example != NULL) {
      json_out_key(out, "examples");
      json_out_begin_array(out);
      json_out_raw(out, field->example, strlen(field->example));
      json_out_end_array(out);
    }
    json_out_end_object(out);
  }
  json_out_end_object(out);
  json_out_key(out, "required");
  json_out_begin_array(out);
  for (size_t i = 0; i < schema->fields_count; i++) {
    if (schema->fields[i].required)
      json_out_string(out, schema->fields[i].name);
  }
  json_out_end_array(out);
  if (schema->closed) {
    json_out_key(out, "additionalProperties");
    json_out_bool(out, false);
  }
  json_out_end_object(out);
}

/* ---- operations ------------------------------------------------------------------------------ */

/* "OPS_POST" -> "opsPost" */
static void write_operation_id(struct json_out *out, const char *name)
{
  char text[48];
  size_t size = 0;
  bool upper = false;
  for (; *name != '\0'; name++) {
    CHECK(size < sizeof text);
    if (*name == '_') {
      upper = true;
      continue;
    }
    text[size++] = upper ? *name : (char)(*name | 0x20);
    upper = false;
  }
  json_out_key(out, "operationId");
  json_out_text(out, text, size);
}

static void write_parameter(struct json_out *out, const char *name, size_t name_size,
                            const char *in, bool required, const char *schema, const char *text)
{
  json_out_begin_object(out);
  json_out_key(out, "name");
  json_out_text(out, name, name_size);
  json_out_key(out, "in");
  json_out_string(out, in);
  json_out_key(out, "required");
  json_out_bool(out, required);
  json_out_key(out, "description");
  json_out_string(out, text);
  json_out_key(out, "schema");
  json_out_raw(out, schema, strlen(schema));
  json_out_end_object(out);
}

static void write_path_parameters(struct json_out *out, const struct route *route)
{
  for (const char *at = strchr(route->path, '{'); at != NULL; at = strchr(at, '{')) {
    const char *name = at + 1;
    const size_t size = strcspn(name, "}");
    const bool id = size > 3 && memcmp(name + size - 3, "_id", 3) == 0 &&
                    !(size == 6 && memcmp(name, "key_id", 6) == 0);
    write_parameter(out, name, size, "path", true,
                    id ? "{\"type\":\"string\",\"pattern\":\"" ID_PATTERN "\"}"
                       : "{\"type\":\"string\"}",
                    id ? "An id, as a decimal string." : "A name.");
    at = name;
  }
}

static void write_parameters(struct json_out *out, const struct route *route)
{
  json_out_key(out, "parameters");
  json_out_begin_array(out);
  write_path_parameters(out, route);
  for (size_t i = 0; i < API_PARAM_COUNT; i++) {
    const struct api_param_info *param = &api_params[i];
    if (api_lists(route->query, param->name, strlen(param->name)))
      write_parameter(out, param->name, strlen(param->name), "query",
                      i == API_PARAM_EXTERNAL_ID ||
                        (i == API_PARAM_PARTITION && route->id == ROUTE_CHANGES_GET),
                      param->schema, param->text);
  }
  if (route->idempotency != ROUTE_KEY_NONE)
    write_parameter(out, "Idempotency-Key", 15, "header", route->idempotency == ROUTE_KEY_REQUIRED,
                    "{\"type\":\"string\",\"minLength\":1,\"maxLength\":255}",
                    "The same with every attempt of the same request: it happens once.");
  if (route->produces == ROUTE_LINES)
    write_parameter(out, "Last-Event-ID", 13, "header", false,
                    "{\"type\":\"string\",\"examples\":[\"3:17\"]}",
                    "A stream only: the `id` of the newest event that was received, "
                    "`partition:seq`; the stream goes on behind it.");
  json_out_end_array(out);
}

static void write_media(struct json_out *out, const char *type, const char *schema)
{
  json_out_key_text(out, type, strlen(type));
  json_out_begin_object(out);
  json_out_key(out, "schema");
  if (schema != NULL)
    write_of(out, schema);
  else
    RAW(out, "{\"type\":\"string\"}");
  json_out_end_object(out);
}

static void write_content(struct json_out *out, const char *type, const char *schema)
{
  json_out_key(out, "content");
  json_out_begin_object(out);
  write_media(out, type, schema);
  json_out_end_object(out);
}

/* Of /v1/changes: the two kinds of reply, and how to go on. */
static void write_lines(struct json_out *out, const struct route *route)
{
  json_out_key(out, "headers");
  RAW(out,
      "{\"Next-From-Seq\":{\"description\":\"`from_seq` of the next page; of an empty page, which "
      "says that there is nothing newer yet, the one that was asked for. Not on a stream.\","
      "\"schema\":{\"type\":\"integer\",\"minimum\":1}}}");
  json_out_key(out, "content");
  json_out_begin_object(out);
  write_media(out, "application/x-ndjson", route->reply);
  write_media(out, "text/event-stream", NULL);
  json_out_end_object(out);
}

static void write_responses(struct json_out *out, const struct route *route)
{
  static const char *const types[] = {
    [ROUTE_JSON] = "application/json", [ROUTE_TEXT] = "text/plain", [ROUTE_PAGE] = "text/html"};
  char status[4];
  (void)snprintf(status, sizeof status, "%u", route->status % 1000);
  json_out_key(out, "responses");
  json_out_begin_object(out);
  json_out_key_text(out, status, 3);
  json_out_begin_object(out);
  json_out_key(out, "description");
  json_out_string(out, route->summary);
  if (route->produces == ROUTE_LINES)
    write_lines(out, route);
  else
    write_content(out, types[route->produces], route->reply);
  json_out_end_object(out);
  /* What was there already is answered with 200, where there is no key that makes it a replay. */
  if (route->id == ROUTE_ASSET_POST) {
    json_out_key(out, "200");
    json_out_begin_object(out);
    json_out_key(out, "description");
    json_out_string(out, "It was there already");
    write_content(out, types[route->produces], route->reply);
    json_out_end_object(out);
  }
  RAW(out, "\"4XX\":{\"$ref\":\"#/components/responses/Problem\"},"
           "\"5XX\":{\"$ref\":\"#/components/responses/Problem\"}");
  json_out_end_object(out);
}

static const char lines_text[] =
  "Entries come in the order of their `seq`, without a gap, once they are durable, each as the "
  "user's journal shows it. By default a page of them, one JSON object in a line; the header "
  "`Next-From-Seq` tells where the next page begins. With `Accept: text/event-stream` the reply is "
  "a stream of server-sent events that goes on as entries are written: `id` is `partition:seq`, "
  "`data` the entry, a comment comes when there is nothing else to say. It takes no `limit`. It "
  "goes on behind `Last-Event-ID`, or else from `from_seq`. An event `end` whose data has a `code` "
  "closes it: `draining`, `unauthenticated` (the key was revoked) or `internal`. A reader that "
  "takes less than 16 KiB in the server's write timeout while more waits for it is disconnected; "
  "it may come back and go on where it was.";

static void write_scopes_text(struct json_out *out, const struct route *route)
{
  char text[2000];
  int size = snprintf(text, sizeof text, "%s.", route->summary);
  if (route->auth == ROUTE_PUBLIC) {
    size += snprintf(text + size, sizeof text - (size_t)size, " No key is needed.");
  } else if (route->scopes == 0) {
    size += snprintf(text + size, sizeof text - (size_t)size, " Any service key may ask.");
  } else {
    size += snprintf(text + size, sizeof text - (size_t)size, " Scope:");
#define X(NAME, bit, name)                                                                         \
  if ((route->scopes & (bit)) != 0)                                                                \
    size += snprintf(text + size, sizeof text - (size_t)size, " `%s`", name);
    HF_SCOPES(X)
#undef X
    const bool several = (route->scopes & (route->scopes - 1)) != 0;
    size += snprintf(text + size, sizeof text - (size_t)size, several ? ", any of these." : ".");
  }
  if (route->produces == ROUTE_LINES)
    size += snprintf(text + size, sizeof text - (size_t)size, " %s", lines_text);
  CHECK(size > 0 && (size_t)size < sizeof text);
  json_out_key(out, "description");
  json_out_string(out, text);
}

static void write_operation(struct json_out *out, const struct route *route)
{
  static const char *const methods[] = {
    [HTTP_GET] = "get",     [HTTP_HEAD] = "head",     [HTTP_POST] = "post",      [HTTP_PUT] = "put",
    [HTTP_PATCH] = "patch", [HTTP_DELETE] = "delete", [HTTP_OPTIONS] = "options"};
  json_out_key_text(out, methods[route->method], strlen(methods[route->method]));
  json_out_begin_object(out);
  write_operation_id(out, route->name);
  json_out_key(out, "summary");
  json_out_string(out, route->summary);
  write_scopes_text(out, route);
  json_out_key(out, "tags");
  json_out_begin_array(out);
  json_out_string(out, route->tag);
  json_out_end_array(out);
  json_out_key(out, "security");
  if (route->auth == ROUTE_PUBLIC)
    RAW(out, "[]");
  else
    RAW(out, "[{\"serviceKey\":[]}]");
  write_parameters(out, route);
  if (route->body != NULL) {
    json_out_key(out, "requestBody");
    json_out_begin_object(out);
    json_out_key(out, "required");
    json_out_bool(out, true);
    write_content(out, "application/json", route->body);
    json_out_end_object(out);
  }
  write_responses(out, route);
  json_out_end_object(out);
}

/* ---- document -------------------------------------------------------------------------------- */

static bool is_first_of_path(unsigned index)
{
  for (unsigned i = 0; i < index; i++) {
    if (strcmp(routes[i].path, routes[index].path) == 0)
      return false;
  }
  return true;
}

static void write_paths(struct json_out *out)
{
  json_out_key(out, "paths");
  json_out_begin_object(out);
  for (unsigned i = 0; i < ROUTE_COUNT; i++) {
    if (!is_first_of_path(i))
      continue;
    json_out_key_text(out, routes[i].path, strlen(routes[i].path));
    json_out_begin_object(out);
    for (unsigned j = i; j < ROUTE_COUNT; j++) {
      if (strcmp(routes[j].path, routes[i].path) == 0)
        write_operation(out, &routes[j]);
    }
    json_out_end_object(out);
  }
  json_out_end_object(out);
}

static void write_components(struct json_out *out)
{
  json_out_key(out, "components");
  json_out_begin_object(out);
  RAW(out, "\"securitySchemes\":{\"serviceKey\":{\"type\":\"http\",\"scheme\":\"bearer\","
           "\"bearerFormat\":\"hfk_<id>_<secret>\",\"description\":\"A service key.\"}}");
  json_out_key(out, "responses");
  json_out_begin_object(out);
  json_out_key(out, "Problem");
  json_out_begin_object(out);
  json_out_key(out, "description");
  json_out_string(out, "Why not; `code` tells a program.");
  write_content(out, "application/problem+json", "Problem");
  json_out_end_object(out);
  json_out_end_object(out);
  json_out_key(out, "schemas");
  json_out_begin_object(out);
  for (size_t i = 0; i < api_schemas_count; i++)
    write_schema(out, &api_schemas[i]);
  json_out_end_object(out);
  json_out_end_object(out);
}

/* The error table, for the docs page and for clients that make constants of it. */
static void write_errors(struct json_out *out)
{
  json_out_key(out, "x-errors");
  json_out_begin_array(out);
  for (int i = 1; i < HF_ERROR_COUNT; i++) {
    const struct hf_error_info *info = hf_error_info((enum hf_error)i);
    json_out_begin_object(out);
    json_out_key(out, "code");
    json_out_string(out, info->code);
    json_out_key(out, "status");
    json_out_unsigned(out, info->status);
    json_out_key(out, "retryable");
    json_out_bool(out, info->retryable);
    json_out_key(out, "title");
    json_out_string(out, info->title);
    json_out_end_object(out);
  }
  json_out_end_array(out);
}

void openapi_write(struct json_out *out, const char *version)
{
  json_out_begin_object(out);
  RAW(out, "\"openapi\":\"3.1.0\"");
  json_out_key(out, "info");
  json_out_begin_object(out);
  RAW(
    out,
    "\"title\":\"Holdfast\","
    "\"description\":\"Users and what they earn: balances that are always balanced, "
    "acknowledged once they are durable. Amounts are decimal strings, ids are strings, "
    "times are RFC 3339 in UTC. Errors are problems (RFC 9457) with a stable `code`; the table of "
    "codes is `x-errors`.\","
    "\"contact\":{\"name\":\"The operator of this server\"}");
  json_out_key(out, "version");
  json_out_string(out, version);
  json_out_end_object(out);
  RAW(out, "\"servers\":[{\"url\":\"/\",\"description\":\"This server\"}]");
  RAW(out, "\"tags\":["
           "{\"name\":\"ledger\",\"description\":\"Operations, balances and the journal\"},"
           "{\"name\":\"users\",\"description\":\"Users\"},"
           "{\"name\":\"assets\",\"description\":\"Assets\"},"
           "{\"name\":\"admin\",\"description\":\"Service keys\"},"
           "{\"name\":\"system\",\"description\":\"Health, metrics, description\"}]");
  write_paths(out);
  write_components(out);
  write_errors(out);
  json_out_end_object(out);
}
