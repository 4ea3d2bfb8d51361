/* fuzz_json.c - libFuzzer target: request bodies as JSON, and the canonical text of their values.
 *
 * Input: a body. Properties: a body is taken, or there is one problem with an error; what is
 * taken is within the limits of json_in.h; its canonical text is taken again and is its own
 * canonical text; a member is found where it is, and a field that is missing or not known is a
 * problem. */
#include "adapters/http/json_in.h"
#include "adapters/http/json_out.h"
#include "tests/fuzz/input.h"

static void check_problem(const struct json_problem *problem)
{
  CHECK(problem->error == HF_E_INVALID_JSON || problem->error == HF_E_INVALID_BODY);
  CHECK(problem->detail[0] != '\0');
  CHECK(memchr(problem->detail, '\0', sizeof problem->detail) != NULL);
}

static void check_limits(const json_t *value, unsigned depth)
{
  const char *key;
  const json_t *member;
  size_t index;
  CHECK(depth <= JSON_IN_DEPTH_MAX + 1u);
  if (json_is_string(value)) {
    CHECK(json_string_length(value) <= JSON_IN_STRING_MAX);
    CHECK(strlen(json_string_value(value)) == json_string_length(value));
  }
  json_object_foreach((json_t *)(uintptr_t)value, key, member) check_limits(member, depth + 1u);
  json_array_foreach(value, index, member) check_limits(member, depth + 1u);
}

static void check_canonical(const json_t *root)
{
  struct json_out first = {0}, second = {0};
  struct json_problem problem = {0};
  json_out_value(&first, root);
  json_t *again = json_in_parse(first.at, first.size, &problem);
  CHECK(again != NULL && problem.error == HF_OK);
  CHECK(json_equal(root, again));
  json_out_value(&second, again);
  CHECK(first.size == second.size && memcmp(first.at, second.at, first.size) == 0);
  json_decref(again);
  json_out_deinit(&first);
  json_out_deinit(&second);
}

static void check_members(const json_t *root)
{
  const char *key;
  const json_t *member, *values[2];
  json_object_foreach((json_t *)(uintptr_t)root, key, member)
  {
    const struct json_in_field fields[] = {{key, false}, {"a name that no seed has", true}};
    struct json_problem problem = {0};
    json_in_take(root, fields, 2, &problem, values);
    CHECK(problem.error == (json_object_size(root) > 1 ? HF_E_UNKNOWN_FIELD : HF_E_MISSING_FIELD));
    if (json_object_size(root) > 1)
      continue;
    problem = (struct json_problem){0};
    json_in_take(root, fields, 1, &problem, values);
    CHECK(problem.error == HF_OK && values[0] == (json_is_null(member) ? NULL : member));
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct json_problem problem = {0};
  json_t *root = json_in_parse((const char *)data, size, &problem);
  CHECK((root == NULL) == (problem.error != HF_OK));
  if (root == NULL) {
    check_problem(&problem);
    return 0;
  }
  check_limits(root, 1);
  check_canonical(root);
  check_members(root);
  json_decref(root);
  return 0;
}
