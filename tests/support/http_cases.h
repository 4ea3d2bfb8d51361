/* http_cases.h - requests and what a strict reader makes of them, written from RFC 9110 and 9112.
 *
 * A verdict is "METHOD path ?query 1.minor keep|close [body]" for a request, the status for a
 * refusal, "more" for what is no whole request yet. Used by the unit tests of the parser and by
 * the comparison with another parser. */
#ifndef HOLDFAST_TESTS_HTTP_CASES_H
#define HOLDFAST_TESTS_HTTP_CASES_H

#include <stddef.h>

struct http_case {
  const char *group;
  const char *text;
  size_t size;
  const char *verdict;
};

extern const struct http_case http_cases[];
extern const size_t http_cases_count;

#endif
