#include "reply.h"

#include <string.h>
#include <strings.h>

static bool name_is(const char *line, size_t size, const char *name, size_t name_size)
{
  return size > name_size && line[name_size] == ':' && strncasecmp(line, name, name_size) == 0;
}

static bool number_parse(const char *at, const char *end, size_t *ret_value)
{
  size_t value = 0;
  unsigned digits = 0;
  while (at < end && (*at == ' ' || *at == '\t'))
    at++;
  for (; at < end && *at >= '0' && *at <= '9' && digits < 10; at++, digits++)
    value = value * 10 + (size_t)(*at - '0');
  if (digits == 0 || (at < end && *at != '\r' && *at != ' '))
    return false;
  *ret_value = value;
  return true;
}

/* Reads the fields between the status line and the empty line. */
static bool fields_parse(const char *at, const char *end, size_t *ret_body, bool *ret_keep_alive)
{
  bool length_seen = false;
  while (at < end) {
    const char *line_end = memchr(at, '\n', (size_t)(end - at));
    if (line_end == NULL)
      return false;
    size_t size = (size_t)(line_end - at);
    /* Only these two names matter, and both start with a 'c'. */
    if ((*at | 0x20) == 'c') {
      if (name_is(at, size, "content-length", 14)) {
        if (!number_parse(at + 15, line_end, ret_body))
          return false;
        length_seen = true;
      } else if (name_is(at, size, "connection", 10)) {
        *ret_keep_alive = memmem(at, size, "close", 5) == NULL;
      }
    }
    at = line_end + 1;
  }
  return length_seen;
}

enum reply_state reply_parse(const char *bytes, size_t size, struct reply *ret)
{
  *ret = (struct reply){.keep_alive = true};
  if (size < 16)
    return REPLY_MORE;
  if (memcmp(bytes, "HTTP/1.1 ", 9) != 0)
    return REPLY_BAD;
  const char *head_end = memmem(bytes, size, "\r\n\r\n", 4);
  if (head_end == NULL)
    return size > REPLY_HEAD_MAX ? REPLY_BAD : REPLY_MORE;
  for (unsigned i = 9; i < 12; i++) {
    if (bytes[i] < '0' || bytes[i] > '9')
      return REPLY_BAD;
    ret->status = ret->status * 10 + (unsigned)(bytes[i] - '0');
  }
  const char *line_end = memchr(bytes, '\n', size);
  size_t body = 0;
  bool length_seen = fields_parse(line_end + 1, head_end + 2, &body, &ret->keep_alive);
  bool bodiless = ret->status < 200 || ret->status == 204 || ret->status == 304;
  if ((!length_seen && !bodiless) || body > REPLY_BODY_MAX)
    return REPLY_BAD;
  ret->head_size = (size_t)(head_end - bytes) + 4;
  ret->size = ret->head_size + (bodiless ? 0 : body);
  return size >= ret->size ? REPLY_DONE : REPLY_MORE;
}

size_t reply_count(const char *bytes, size_t size, const char *what)
{
  size_t count = 0, what_size = strlen(what);
  const char *end = bytes + size;
  while (bytes < end) {
    bytes = memmem(bytes, (size_t)(end - bytes), what, what_size);
    if (bytes == NULL)
      break;
    count++;
    bytes += what_size;
  }
  return count;
}

const char *reply_text_after(const char *bytes, size_t size, const char *what, size_t *ret_size,
                             const char **ret_next)
{
  size_t what_size = strlen(what);
  const char *found = memmem(bytes, size, what, what_size);
  if (found == NULL)
    return NULL;
  found += what_size;
  const char *quote = memchr(found, '"', size - (size_t)(found - bytes));
  if (quote == NULL)
    return NULL;
  *ret_size = (size_t)(quote - found);
  *ret_next = quote + 1;
  return found;
}
