/* test_route.c - the router and content negotiation, over the real table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/http/api_query.h"
#include "adapters/http/api_schema.h"
#include "adapters/http/route.h"

static struct http_slice slice(const char *text)
{
  return (struct http_slice){text, strlen(text)};
}

static void assert_found(enum http_method method, const char *path, enum route_id id)
{
  const struct route_match match = route_find(method, slice(path));
  if (match.route == NULL || match.route->id != id)
    fail_msg("%s", path);
  assert_int_equal(match.error, HF_OK);
}

static void test_find_when_a_row_fits_gives_it_and_its_parameters(void **state)
{
  (void)state;
  assert_found(HTTP_POST, "/v1/ops", ROUTE_OPS_POST);
  assert_found(HTTP_GET, "/livez", ROUTE_LIVEZ);
  assert_found(HTTP_HEAD, "/livez", ROUTE_LIVEZ);
  assert_found(HTTP_GET, "/v1/users", ROUTE_USER_FIND);
  assert_found(HTTP_POST, "/v1/users", ROUTE_USER_POST);
  const struct route_match match = route_find(HTTP_GET, slice("/v1/users/17/balances"));
  assert_int_equal(match.route->id, ROUTE_BALANCES_GET);
  assert_int_equal(match.params_count, 1);
  assert_int_equal(match.params[0].size, 2);
  assert_memory_equal(match.params[0].at, "17", 2);
}

static void test_find_when_every_template_is_asked_for_gives_its_own_row(void **state)
{
  (void)state;
  for (unsigned i = 0; i < ROUTE_COUNT; i++) {
    char path[128];
    size_t size = 0;
    for (const char *at = routes[i].path; *at != '\0'; at++) {
      if (*at == '{') {
        path[size++] = '7';
        at = strchr(at, '}');
      } else {
        path[size++] = *at;
      }
    }
    path[size] = '\0';
    assert_found((enum http_method)routes[i].method, path, (enum route_id)i);
  }
}

static void test_find_when_nothing_fits_says_so(void **state)
{
  (void)state;
  static const char *const paths[] = {"/",          "",
                                      "/v1",        "/v1/",
                                      "/v1/ops/",   "/v1/opsx",
                                      "/v1/users/", "/v1/users//balances",
                                      "/V1/ops",    "/v1/users/17/balances/",
                                      "/livez/",    "/v1/ops/1/2",
                                      "/docs/a/b",  "//v1/ops"};
  for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
    const struct route_match match = route_find(HTTP_GET, slice(paths[i]));
    if (match.error != HF_E_ROUTE_NOT_FOUND || match.route != NULL || match.methods != 0)
      fail_msg("%s", paths[i]);
  }
}

static void test_find_when_the_method_is_another_tells_which_it_takes(void **state)
{
  (void)state;
  char allow[ROUTE_ALLOW_MAX];
  struct route_match match = route_find(HTTP_DELETE, slice("/v1/users"));
  assert_int_equal(match.error, HF_E_METHOD_NOT_ALLOWED);
  assert_string_equal(route_allow(match.methods, allow), "GET, HEAD, POST, OPTIONS");
  match = route_find(HTTP_OTHER, slice("/v1/ops"));
  assert_int_equal(match.error, HF_E_METHOD_NOT_ALLOWED);
  assert_string_equal(route_allow(match.methods, allow), "POST, OPTIONS");
}

static void test_find_when_a_literal_path_is_there_hides_the_parameter(void **state)
{
  (void)state;
  char allow[ROUTE_ALLOW_MAX];
  const struct route_match match = route_find(HTTP_GET, slice("/v1/ops/batch"));
  assert_int_equal(match.error, HF_E_METHOD_NOT_ALLOWED);
  assert_string_equal(route_allow(match.methods, allow), "POST, OPTIONS");
}

static void test_find_when_a_page_has_a_slash_behind_it_is_found(void **state)
{
  (void)state;
  assert_found(HTTP_GET, "/admin", ROUTE_ADMIN);
  assert_found(HTTP_GET, "/admin/", ROUTE_ADMIN);
  assert_found(HTTP_GET, "/docs/", ROUTE_DOCS);
  assert_found(HTTP_GET, "/admin/admin.js", ROUTE_ADMIN_FILE);
}

/* Lists, pages, texts and what is as long as the request: their replies wait for each other. */
static void test_reply_size_when_it_has_no_bound_of_its_own_then_it_is_told(void **state)
{
  (void)state;
  for (unsigned i = 0; i < ROUTE_COUNT; i++) {
    const struct route *route = &routes[i];
    const bool large = route->produces != ROUTE_JSON || strstr(route->query, "limit") != NULL ||
                       route->id == ROUTE_OPENAPI;
    if ((route_reply_size(route, 0) == SIZE_MAX) != large)
      fail_msg("%s", route->name);
  }
  assert_int_equal(route_reply_size(&routes[ROUTE_OPS_POST], ROUTE_BODY_MAX), 0);
  assert_int_equal(route_reply_size(&routes[ROUTE_BALANCES_GET], 0), 0);
  assert_true(route_reply_size(&routes[ROUTE_BATCH_POST], 1000) > 1000);
}

/* Every row is whole: it can be described, and somebody decided on who may ask. */
static void test_table_when_read_is_whole(void **state)
{
  (void)state;
  for (unsigned i = 0; i < ROUTE_COUNT; i++) {
    const struct route *route = &routes[i];
    assert_int_equal(route->id, i);
    assert_true(route->path[0] == '/' && route->summary[0] != '\0' && route->tag[0] != '\0');
    assert_non_null(route->handle);
    assert_int_equal(route->body == NULL, route->body_max == 0);
    if (route->body != NULL)
      assert_non_null(api_schema_find(route->body));
    if (route->reply != NULL)
      assert_non_null(api_schema_find(route->reply));
    if (strncmp(route->path, "/v1/", 4) == 0)
      assert_int_equal(route->auth, ROUTE_SERVICE);
    for (const char *at = route->query; *at != '\0';) {
      const size_t size = strcspn(at, " ");
      bool known = false;
      for (size_t j = 0; j < API_PARAM_COUNT; j++)
        known = known ||
                (strlen(api_params[j].name) == size && memcmp(api_params[j].name, at, size) == 0);
      assert_true(known);
      at += size;
      at += strspn(at, " ");
    }
  }
}

/* ---- negotiation ----------------------------------------------------------------------------- */

static void test_accepts_when_a_range_fits_is_true(void **state)
{
  (void)state;
  static const char *const taken[] = {"*/*",
                                      "application/json",
                                      "Application/JSON",
                                      "application/*",
                                      "text/html, application/json;q=0.5",
                                      "text/html;level=1, */*;q=0.1",
                                      "application/json; q=1.0",
                                      "*/*;q=0, application/json"};
  for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) {
    if (!route_accepts(slice(taken[i]), "application/json"))
      fail_msg("%s", taken[i]);
  }
  assert_true(route_accepts((struct http_slice){NULL, 0}, "application/json"));
}

static void test_accepts_when_no_range_fits_is_false(void **state)
{
  (void)state;
  static const char *const refused[] = {"text/html",
                                        "application/xml",
                                        "text/*",
                                        "application/json;q=0",
                                        "application/json;q=0.000, */*",
                                        "application/jsonx",
                                        "application/js"};
  for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
    if (route_accepts(slice(refused[i]), "application/json"))
      fail_msg("%s", refused[i]);
  }
}

static void test_names_when_the_type_itself_is_listed_is_true(void **state)
{
  (void)state;
  static const char *const yes[] = {"text/event-stream", "Text/Event-Stream;q=0.5",
                                    "application/json, text/event-stream"};
  static const char *const no[] = {"", "*/*", "text/*", "text/event-stream;q=0", "text/event"};
  for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++)
    assert_true(route_names(slice(yes[i]), "text/event-stream"));
  for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
    assert_false(route_names(slice(no[i]), "text/event-stream"));
  assert_false(route_names((struct http_slice){NULL, 0}, "text/event-stream"));
}

static void test_is_json_when_another_type_or_charset_is_false(void **state)
{
  (void)state;
  static const char *const yes[] = {"application/json", "APPLICATION/JSON; charset=UTF-8",
                                    "application/json;charset=\"utf-8\"",
                                    "application/json; version=1"};
  static const char *const no[] = {"",
                                   "text/plain",
                                   "application/x-www-form-urlencoded",
                                   "application/json; charset=latin1",
                                   "application/jsonp",
                                   "application/problem+json"};
  for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++)
    assert_true(route_is_json(slice(yes[i])));
  for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
    assert_false(route_is_json(slice(no[i])));
  assert_false(route_is_json((struct http_slice){NULL, 0}));
}

static void test_etag_when_in_the_list_matches_weakly(void **state)
{
  (void)state;
  assert_true(route_etag_matches(slice("\"a\""), "\"a\""));
  assert_true(route_etag_matches(slice("W/\"a\""), "\"a\""));
  assert_true(route_etag_matches(slice("\"x,y\", \"a\""), "\"a\""));
  assert_true(route_etag_matches(slice("*"), "\"a\""));
  assert_false(route_etag_matches(slice("\"b\", \"aa\", a"), "\"a\""));
  assert_false(route_etag_matches((struct http_slice){NULL, 0}, "\"a\""));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_find_when_a_row_fits_gives_it_and_its_parameters),
    cmocka_unit_test(test_find_when_every_template_is_asked_for_gives_its_own_row),
    cmocka_unit_test(test_find_when_nothing_fits_says_so),
    cmocka_unit_test(test_find_when_the_method_is_another_tells_which_it_takes),
    cmocka_unit_test(test_find_when_a_literal_path_is_there_hides_the_parameter),
    cmocka_unit_test(test_find_when_a_page_has_a_slash_behind_it_is_found),
    cmocka_unit_test(test_reply_size_when_it_has_no_bound_of_its_own_then_it_is_told),
    cmocka_unit_test(test_table_when_read_is_whole),
    cmocka_unit_test(test_accepts_when_a_range_fits_is_true),
    cmocka_unit_test(test_accepts_when_no_range_fits_is_false),
    cmocka_unit_test(test_names_when_the_type_itself_is_listed_is_true),
    cmocka_unit_test(test_is_json_when_another_type_or_charset_is_false),
    cmocka_unit_test(test_etag_when_in_the_list_matches_weakly),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
