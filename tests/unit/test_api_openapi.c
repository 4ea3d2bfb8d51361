/* test_api_openapi.c - the document describes every route, and nothing in it points nowhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <jansson.h>

#include "adapters/http/front_metrics.h"
#include "adapters/http/openapi.h"
#include "adapters/http/route.h"

static json_t *document;

static int group_setup(void **state)
{
  (void)state;
  struct json_out out = {0};
  openapi_write(&out, "1.2.3");
  document = json_loadb(out.at, out.size, JSON_REJECT_DUPLICATES, NULL);
  json_out_deinit(&out);
  return document == NULL;
}

static int group_teardown(void **state)
{
  (void)state;
  json_decref(document);
  return 0;
}

static const json_t *operation_of(const struct route *route)
{
  static const char *const methods[] = {
    [HTTP_GET] = "get", [HTTP_POST] = "post", [HTTP_DELETE] = "delete"};
  const json_t *path = json_object_get(json_object_get(document, "paths"), route->path);
  return json_object_get(path, methods[route->method]);
}

static void test_document_when_made_has_an_operation_for_each_route(void **state)
{
  (void)state;
  size_t operations = 0;
  const char *path;
  json_t *item;
  for (unsigned i = 0; i < ROUTE_COUNT; i++) {
    char status[8];
    const json_t *operation = operation_of(&routes[i]);
    if (operation == NULL)
      fail_msg("%s", routes[i].path);
    (void)snprintf(status, sizeof status, "%u", routes[i].status);
    assert_non_null(json_object_get(json_object_get(operation, "responses"), status));
    assert_int_equal(json_object_get(operation, "requestBody") != NULL, routes[i].body != NULL);
    assert_int_equal(json_array_size(json_object_get(operation, "security")) == 0,
                     routes[i].auth == ROUTE_PUBLIC);
  }
  json_object_foreach(json_object_get(document, "paths"), path, item) operations +=
    json_object_size(item);
  assert_int_equal(operations, ROUTE_COUNT);
}

static void test_document_when_made_has_operation_ids_of_their_own(void **state)
{
  (void)state;
  json_t *seen = json_object();
  for (unsigned i = 0; i < ROUTE_COUNT; i++) {
    const char *id = json_string_value(json_object_get(operation_of(&routes[i]), "operationId"));
    assert_non_null(id);
    if (json_object_get(seen, id) != NULL)
      fail_msg("%s", id);
    assert_int_equal(json_object_set_new(seen, id, json_true()), 0);
  }
  json_decref(seen);
}

static const json_t *resolve(const char *reference)
{
  const json_t *at = document;
  char name[80];
  assert_memory_equal(reference, "#/", 2);
  reference += 2;
  while (*reference != '\0') {
    const size_t size = strcspn(reference, "/");
    assert_true(size < sizeof name);
    memcpy(name, reference, size);
    name[size] = '\0';
    at = json_object_get(at, name);
    reference += size;
    reference += *reference == '/';
  }
  return at;
}

static unsigned check_references(const json_t *value)
{
  unsigned found = 0;
  const char *key;
  json_t *member;
  if (json_is_array(value)) {
    for (size_t i = 0; i < json_array_size(value); i++)
      found += check_references(json_array_get(value, i));
    return found;
  }
  void *at = json_object_iter((json_t *)(uintptr_t)value);
  for (; at != NULL; at = json_object_iter_next((json_t *)(uintptr_t)value, at)) {
    key = json_object_iter_key(at);
    member = json_object_iter_value(at);
    if (strcmp(key, "$ref") == 0) {
      if (resolve(json_string_value(member)) == NULL)
        fail_msg("%s", json_string_value(member));
      found++;
    } else {
      found += check_references(member);
    }
  }
  return found;
}

static void test_document_when_it_refers_to_something_has_it(void **state)
{
  (void)state;
  assert_true(check_references(document) > ROUTE_COUNT);
}

static void test_document_when_made_lists_every_error(void **state)
{
  (void)state;
  const json_t *errors = json_object_get(document, "x-errors");
  assert_int_equal(json_array_size(errors), HF_ERROR_COUNT - 1);
}

static void test_requests_when_described_are_closed(void **state)
{
  (void)state;
  for (unsigned i = 0; i < ROUTE_COUNT; i++) {
    char reference[96];
    if (routes[i].body == NULL)
      continue;
    (void)snprintf(reference, sizeof reference, "#/components/schemas/%s", routes[i].body);
    assert_true(json_is_false(json_object_get(resolve(reference), "additionalProperties")));
  }
}

/* One name has one help text, and its rows stand together: Prometheus' text format asks for it. */
static void test_metrics_when_listed_are_whole_and_grouped(void **state)
{
  (void)state;
  for (unsigned i = 0; i < FRONT_METRIC_COUNT; i++) {
    const struct rt_metric *metric = &front_metrics[i];
    assert_non_null(metric->name);
    assert_true(strncmp(metric->name, "holdfast_http_", 14) == 0);
    bool same_run = true;
    for (unsigned j = i; j-- > 0;) {
      const bool same = strcmp(front_metrics[j].name, metric->name) == 0;
      assert_true(same_run || !same);
      if (same) {
        assert_string_equal(front_metrics[j].help, metric->help);
        assert_string_not_equal(front_metrics[j].labels, metric->labels);
      }
      same_run = same_run && same;
    }
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_document_when_made_has_an_operation_for_each_route),
    cmocka_unit_test(test_document_when_made_has_operation_ids_of_their_own),
    cmocka_unit_test(test_document_when_it_refers_to_something_has_it),
    cmocka_unit_test(test_document_when_made_lists_every_error),
    cmocka_unit_test(test_requests_when_described_are_closed),
    cmocka_unit_test(test_metrics_when_listed_are_whole_and_grouped),
  };
  return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
