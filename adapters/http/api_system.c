/* api_system.c - health, metrics, configuration, the description of the API and the pages. */
#include <string.h>

#include "actors/cluster/cluster.h"
#include "adapters/http/api_ops.h"
#include "adapters/http/front_loop.h"
#include "holdfast/check.h"
#include "web_assets.h"

/* ---- health ---------------------------------------------------------------------------------- */

static void reply_health(struct api_call *call, const char *status, const char *check,
                         const char *result)
{
  struct json_out *out = api_out(call);
  json_out_begin_object(out);
  json_out_key(out, "status");
  json_out_string(out, status);
  if (call->query.values[API_PARAM_VERBOSE].at != NULL) {
    json_out_key(out, "checks");
    json_out_begin_object(out);
    json_out_key_text(out, check, strlen(check));
    json_out_string(out, result);
    json_out_end_object(out);
  }
  json_out_end_object(out);
  http_add_header(call->exchange, "Cache-Control", "no-store");
  api_send(call, 200);
}

void api_livez_get(struct api_call *call)
{
  reply_health(call, "ok", "loop", "ok");
}

/* With ?partition=N a load balancer looks for the node that has it. */
void api_readyz_get(struct api_call *call)
{
  struct json_problem problem = {0};
  const char *missing = front_not_ready(call->loop);
  const uint64_t most = (1u << api_partition_bits(call)) - 1u;
  const uint64_t partition =
    api_query_number(&call->query, API_PARAM_PARTITION, 0, most, UINT64_MAX, &problem);
  if (problem.error != HF_OK) {
    api_refuse(call, &problem);
    return;
  }
  if (missing == NULL && partition <= most && !cluster_has(call->loop->ctx, (unsigned)partition))
    missing = "partition";
  if (missing == NULL) {
    reply_health(call, "ready", "store", "ok");
    return;
  }
  http_add_header(call->exchange, "Cache-Control", "no-store");
  if (strcmp(missing, "draining") == 0)
    json_problem_set(&problem, HF_E_DRAINING, NULL, "the server finishes what it has accepted");
  else
    json_problem_set(&problem, HF_E_UNAVAILABLE, NULL, "not ready: %s", missing);
  api_refuse(call, &problem);
}

/* ---- metrics --------------------------------------------------------------------------------- */

static void add_text(void *arg, const char *text, size_t size)
{
  hf_bytes_put(arg, text, size);
}

void api_metrics_get(struct api_call *call)
{
  /* A caller is known only where the second listener is the public one: see api_serve.c. */
  if (call->caller.id[0] != '\0' && !api_auth_allows(&call->caller, HF_SCOPE_ADMIN)) {
    api_fail(call, HF_E_FORBIDDEN);
    return;
  }
  struct hf_bytes *text = &call->loop->text; /* the query was read: nothing points there now */
  hf_bytes_clear(text);
  rt_metrics_write(rt_of(call->loop->ctx), add_text, text);
  const struct front_config *config = &call->loop->front->config;
  if (config->metrics != NULL)
    config->metrics(config->metrics_arg, add_text, text);
  http_add_header(call->exchange, "Cache-Control", "no-store");
  http_reply(api_take_exchange(call), 200, "text/plain; version=0.0.4; charset=utf-8", text->at,
             text->size);
}

/* ---- configuration --------------------------------------------------------------------------- */

static void write_limit(struct json_out *out, const char *name, uint64_t value)
{
  json_out_key_text(out, name, strlen(name));
  json_out_unsigned(out, value);
}

void api_config_get(struct api_call *call)
{
  const struct front_config *config = &call->loop->front->config;
  if (!api_allowed(call, NULL))
    return;
  struct json_out *out = api_out(call);
  json_out_begin_object(out);
  json_out_key(out, "version");
  json_out_string(out, config->version);
  json_out_key(out, "limits");
  json_out_begin_object(out);
  write_limit(out, "body_bytes", ROUTE_BODY_MAX);
  write_limit(out, "batch_bytes", ROUTE_BATCH_MAX);
  write_limit(out, "batch_ops", 8192);
  write_limit(out, "metadata_bytes", API_METADATA_MAX);
  write_limit(out, "page_items", API_LIMIT_MAX);
  write_limit(out, "json_depth", JSON_IN_DEPTH_MAX);
  write_limit(out, "partitions", 1u << api_partition_bits(call));
  write_limit(out, "user_assets", LEDGER_ASSETS_MAX);
  write_limit(out, "user_holds", LEDGER_HOLDS_MAX);
  json_out_end_object(out);
  json_out_key(out, "rate");
  json_out_begin_object(out);
  write_limit(out, "requests", config->key_rate.requests);
  write_limit(out, "window_s", config->key_rate.window_s);
  json_out_end_object(out);
  json_out_end_object(out);
  api_send_tagged(call);
}

void api_flags_get(struct api_call *call)
{
  const struct front_config *config = &call->loop->front->config;
  if (!api_allowed(call, NULL))
    return;
  struct json_out *out = api_out(call);
  json_out_begin_object(out);
  json_out_key(out, "flags");
  json_out_begin_object(out);
  for (size_t i = 0; i < config->flags_count; i++) {
    json_out_key_text(out, config->flags[i].name, strlen(config->flags[i].name));
    json_out_bool(out, config->flags[i].on);
  }
  json_out_end_object(out);
  json_out_end_object(out);
  api_send_tagged(call);
}

/* ---- pages ----------------------------------------------------------------------------------- */

/* Replies with bytes that never change while the process runs, or 304. */
static void reply_fixed(struct api_call *call, const char *etag, const char *type, const void *data,
                        size_t size)
{
  const struct http_slice known = http_field_get(http_request_of(call->exchange), "if-none-match");
  http_add_header(call->exchange, "ETag", etag);
  http_add_header(call->exchange, "Cache-Control", "no-cache");
  if (route_etag_matches(known, etag))
    http_reply(api_take_exchange(call), 304, NULL, NULL, 0);
  else
    http_reply(api_take_exchange(call), 200, type, data, size);
}

void api_openapi_get(struct api_call *call)
{
  const struct front *front = call->loop->front;
  reply_fixed(call, front->openapi_etag, "application/json", front->openapi, front->openapi_size);
}

static void reply_file(struct api_call *call, struct http_slice name)
{
  const struct web_asset *asset = web_assets;
  for (; asset->path != NULL; asset++) {
    if (strlen(asset->path) != name.size || memcmp(asset->path, name.at, name.size) != 0)
      continue;
    const struct hf_digest digest = hf_digest(asset->data, asset->size);
    char etag[API_ETAG_MAX] = "\"";
    hf_hex(digest.bytes, sizeof digest.bytes, etag + 1);
    memcpy(etag + 1 + 2 * sizeof digest.bytes, "\"", 2);
    http_add_header(call->exchange, "Content-Security-Policy",
                    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
                    "connect-src 'self'; base-uri 'none'; form-action 'none'; "
                    "frame-ancestors 'none'");
    http_add_header(call->exchange, "X-Content-Type-Options", "nosniff");
    http_add_header(call->exchange, "Referrer-Policy", "no-referrer");
    reply_fixed(call, etag, asset->type, asset->data, asset->size);
    return;
  }
  api_fail(call, HF_E_ROUTE_NOT_FOUND);
}

void api_docs_get(struct api_call *call)
{
  reply_file(call, (struct http_slice){"docs.html", 9});
}

void api_admin_get(struct api_call *call)
{
  reply_file(call, (struct http_slice){"admin.html", 10});
}

void api_file_get(struct api_call *call)
{
  reply_file(call, call->params[0]);
}
