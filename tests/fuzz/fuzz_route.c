/* fuzz_route.c - libFuzzer target: which route a path is, and the fields that routing looks at.
 *
 * Input: a method, then lines: path, Accept, Content-Type, If-None-Match, Idempotency-Key.
 * Properties: a route that is found has the path's segments where its template has text, and its
 * parameters lie in the path between slashes; HEAD finds what GET finds; an idempotency key is
 * visible ASCII, and the same quoted as bare. */
#include "adapters/http/api_idempotency.h"
#include "adapters/http/http_parser.h"
#include "adapters/http/route.h"
#include "tests/fuzz/input.h"

static struct http_slice line_of(struct input *input, char **ret_kept)
{
  const uint8_t *end = input->size == 0 ? NULL : memchr(input->at, '\n', input->size);
  size_t size = end == NULL ? input->size : (size_t)(end - input->at), kept;
  *ret_kept = input_bytes(input, size, &kept);
  (void)input_u8(input); /* the line break */
  return (struct http_slice){*ret_kept, size};
}

/* Template and path side by side, cut at their slashes. */
static void check_found(const struct route_match *match, struct http_slice path)
{
  const char *template = match->route->path, *at = path.at, *end = path.at + path.size;
  unsigned params = 0;
  while (*template != '\0') {
    size_t text = strcspn(template, "{");
    CHECK((size_t)(end - at) >= text && memcmp(at, template, text) == 0);
    template += text;
    at += text;
    if (*template == '\0')
      break;
    const struct http_slice param = match->params[params++];
    CHECK(param.at == at && param.size > 0 && (size_t)(end - at) >= param.size);
    CHECK(memchr(param.at, '/', param.size) == NULL);
    at += param.size;
    template += strcspn(template, "}") + 1u;
  }
  CHECK(params == match->params_count);
  CHECK(at == end || (match->route->produces == ROUTE_PAGE && end - at == 1 && *at == '/'));
}

static void check_route(enum http_method method, struct http_slice path)
{
  char allow[ROUTE_ALLOW_MAX];
  struct route_match match = route_find(method, path);
  CHECK((match.route != NULL) == (match.error == HF_OK));
  CHECK((match.methods == 0) == (match.error == HF_E_ROUTE_NOT_FOUND));
  if (match.methods != 0)
    CHECK(strlen(route_allow(match.methods, allow)) < sizeof allow);
  if (match.route == NULL)
    return;
  check_found(&match, path);
  CHECK((match.methods >> match.route->method & 1u) != 0);
  if (method == HTTP_GET)
    CHECK(route_find(HTTP_HEAD, path).route == match.route);
}

/* The request's one field. */
static size_t key_of(struct http_slice value, char out[API_IDEMPOTENCY_MAX])
{
  struct http_request request = {.fields_count = 1};
  struct json_problem problem = {0};
  request.fields[0].name = (struct http_slice){"Idempotency-Key", 15};
  request.fields[0].value = value;
  size_t size = api_idempotency_of(&request, out, &problem);
  CHECK((size == 0) == (problem.error == HF_E_INVALID_KEY));
  return size;
}

static void check_key(struct http_slice value)
{
  char key[API_IDEMPOTENCY_MAX], again[API_IDEMPOTENCY_MAX], quoted[2u * API_IDEMPOTENCY_MAX + 2u];
  size_t size = key_of(value, key), quoted_size = 0;
  if (size == 0)
    return;
  CHECK(api_idempotency_valid(key, size));
  quoted[quoted_size++] = '"';
  for (size_t i = 0; i < size; i++) {
    CHECK(key[i] > ' ' && key[i] <= '~');
    if (key[i] == '"' || key[i] == '\\')
      quoted[quoted_size++] = '\\';
    quoted[quoted_size++] = key[i];
  }
  quoted[quoted_size++] = '"';
  CHECK(key_of((struct http_slice){quoted, quoted_size}, again) == size);
  CHECK(memcmp(key, again, size) == 0);
}

static void check_fields(struct http_slice accept, struct http_slice type, struct http_slice tags)
{
  bool named = route_names(accept, "application/json");
  /* What is named is taken; when it is named twice, once to be refused, either word may count. */
  if (accept.size > 0 && memchr(accept.at, '=', accept.size) == NULL)
    CHECK(!named || route_accepts(accept, "application/json"));
  CHECK(accept.size > 0 || !named);
  (void)route_is_json(type);
  bool matches = route_etag_matches(tags, "\"abc\"");
  CHECK(!matches || (tags.size > 0 && (memchr(tags.at, '*', tags.size) != NULL ||
                                       memmem(tags.at, tags.size, "\"abc\"", 5) != NULL)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static const enum http_method methods[] = {HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_PUT, HTTP_DELETE};
  struct input input = {data, size};
  enum http_method method = methods[input_u8(&input) % 5u];
  char *kept[5];
  struct http_slice lines[5];
  for (unsigned i = 0; i < 5; i++)
    lines[i] = line_of(&input, &kept[i]);
  check_route(method, lines[0]);
  check_fields(lines[1], lines[2], lines[3]);
  check_key(lines[4]);
  for (unsigned i = 0; i < 5; i++)
    free(kept[i]);
  return 0;
}
