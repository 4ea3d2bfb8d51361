/* http_request.c - reading a parsed request: fields by name, lists, content negotiation. Pure. */
#include <string.h>

#include "holdfast/check.h"
#include "http_parser.h"

static char lower(char c)
{
  return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static bool slice_same(struct http_slice slice, const char *text, size_t size)
{
  if (slice.size != size)
    return false;
  for (size_t i = 0; i < size; i++) {
    if (lower(slice.at[i]) != lower(text[i]))
      return false;
  }
  return true;
}

bool http_slice_is(struct http_slice slice, const char *text)
{
  return slice_same(slice, text, strlen(text));
}

struct http_slice http_field_get(const struct http_request *request, const char *name)
{
  const size_t size = strlen(name);
  for (unsigned i = 0; i < request->fields_count; i++) {
    if (slice_same(request->fields[i].name, name, size))
      return request->fields[i].value;
  }
  return (struct http_slice){NULL, 0};
}

unsigned http_field_count(const struct http_request *request, const char *name)
{
  const size_t size = strlen(name);
  unsigned count = 0;
  for (unsigned i = 0; i < request->fields_count; i++)
    count += slice_same(request->fields[i].name, name, size);
  return count;
}

static void slice_move(struct http_slice *slice, const char *from, size_t size, const char *to)
{
  /* Compared as numbers: a slice may also point to a constant, or nowhere. */
  const uintptr_t offset = (uintptr_t)slice->at - (uintptr_t)from;
  if (slice->at != NULL && offset <= size)
    slice->at = to + offset;
}

void http_request_move(struct http_request *request, const char *from, size_t size, const char *to)
{
  slice_move(&request->path, from, size, to);
  slice_move(&request->query, from, size, to);
  slice_move(&request->body, from, size, to);
  for (unsigned i = 0; i < request->fields_count; i++) {
    slice_move(&request->fields[i].name, from, size, to);
    slice_move(&request->fields[i].value, from, size, to);
  }
}

static struct http_slice trimmed(const char *at, const char *end)
{
  while (at < end && (*at == ' ' || *at == '\t'))
    at++;
  while (end > at && (end[-1] == ' ' || end[-1] == '\t'))
    end--;
  return (struct http_slice){at, (size_t)(end - at)};
}

/* Cuts the next member off a comma-separated list and the parameters off the member. */
static bool list_next(struct http_slice *list, struct http_slice *ret_name,
                      struct http_slice *ret_parameters)
{
  if (list->size == 0)
    return false;
  const char *end = list->at + list->size;
  const char *comma = memchr(list->at, ',', list->size);
  const char *stop = comma == NULL ? end : comma;
  const char *semicolon = memchr(list->at, ';', (size_t)(stop - list->at));
  const char *name_end = semicolon == NULL ? stop : semicolon;

  *ret_name = trimmed(list->at, name_end);
  *ret_parameters = semicolon == NULL ? (struct http_slice){stop, 0} : trimmed(name_end + 1, stop);
  list->at = comma == NULL ? end : comma + 1;
  list->size = (size_t)(end - list->at);
  return true;
}

bool http_slice_lists(struct http_slice list, const char *member)
{
  struct http_slice name, parameters;
  while (list_next(&list, &name, &parameters)) {
    if (http_slice_is(name, member))
      return true;
  }
  return false;
}

/* Is the weight of a member zero ("q=0", "q=0.000")? */
static bool weight_is_zero(struct http_slice parameters)
{
  if (parameters.size < 3 || lower(parameters.at[0]) != 'q' || parameters.at[1] != '=')
    return false;
  for (size_t i = 2; i < parameters.size; i++) {
    if (parameters.at[i] != '0' && parameters.at[i] != '.')
      return false;
  }
  return true;
}

bool http_request_accepts_gzip(const struct http_request *request)
{
  struct http_slice list = http_field_get(request, "accept-encoding");
  struct http_slice name, parameters;
  bool any = false;

  while (list_next(&list, &name, &parameters)) {
    if (http_slice_is(name, "gzip") || http_slice_is(name, "x-gzip"))
      return !weight_is_zero(parameters);
    if (http_slice_is(name, "*"))
      any = !weight_is_zero(parameters);
  }
  return any;
}
