/* json_in.h - reading a request body: strict parsing and typed values that name what is wrong.
 *
 * Pure but for memory. Untrusted input: everything that does not fit becomes a problem, the first
 * one of a body stands, and later getters then do nothing and return zero values.
 * Limits: depth JSON_IN_DEPTH_MAX, any one string JSON_IN_STRING_MAX bytes, no NUL anywhere,
 *         no duplicate keys, UTF-8 only (RFC 8259, RFC 7493). */
#ifndef HOLDFAST_JSON_IN_H
#define HOLDFAST_JSON_IN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "holdfast/amount.h"
#include "holdfast/error.h"
#include "holdfast/id.h"

#define JSON_IN_DEPTH_MAX 32u
#define JSON_IN_STRING_MAX (16u * 1024u)
/* How far a time may lie ahead of this node's clock: a day. The clocks of nodes and clients differ
 * by far less, so what one node has taken no other refuses. Further ahead is a mistake. */
#define JSON_IN_AHEAD_US_MAX (24 * INT64_C(3600000000))

/* What is wrong with a request; error is HF_OK while nothing is. Texts are "" when there is
 * nothing to say. */
struct json_problem {
  enum hf_error error;
  char field[96];
  char detail[192];
  char suggestion[160];
};

/* Sets the problem unless one is set. `field` may be NULL; `format` makes the detail. */
void json_problem_set(struct json_problem *problem, enum hf_error error, const char *field,
                      const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Adds a suggestion to the problem that was just set, if it has none. */
void json_problem_suggest(struct json_problem *problem, const char *format, ...)
  __attribute__((format(printf, 2, 3)));

/* Parses a body whose top level is an object. NULL, and the problem, when it is not that. The
 * caller frees with json_decref. */
json_t *json_in_parse(const char *body, size_t size, struct json_problem *problem);

/* One known member of an object. */
struct json_in_field {
  const char *name;
  bool required;
};
/* Puts the members of `object` into ret_values[], in the table's order, NULL where absent. Members
 * that the table does not know and required ones that are missing are problems. A null counts as
 * absent only where `required` is false. */
void json_in_take(const json_t *object, const struct json_in_field *fields, size_t count,
                  struct json_problem *problem, const json_t *ret_values[]);

/* Each takes a value that json_in_take gave (NULL: absent; then the result is zero or untouched)
 * and the field's name for the problem. Texts are views into the value. */
struct json_in_text {
  const char *at; /* NULL: absent */
  size_t size;
};
/* size_min..size_max bytes without control characters. */
struct json_in_text json_in_text(const json_t *value, const char *field, size_t size_min,
                                 size_t size_max, struct json_problem *problem);
int64_t json_in_integer(const json_t *value, const char *field, int64_t min, int64_t max,
                        struct json_problem *problem);
bool json_in_boolean(const json_t *value, const char *field, bool otherwise,
                     struct json_problem *problem);
hf_id json_in_id(const json_t *value, const char *field, struct json_problem *problem);
/* Unix microseconds; not later than JSON_IN_AHEAD_US_MAX after `now_us`, the wall clock
 * (HF_E_INVALID_TIME). 0: absent. */
int64_t json_in_time(const json_t *value, const char *field, int64_t now_us,
                     struct json_problem *problem);
/* A decimal string above zero, or, when `sign`, other than zero. ret_digits: how many were written
 * behind the point. */
struct hf_decimal json_in_amount(const json_t *value, const char *field, bool sign,
                                 struct json_problem *problem, unsigned *ret_digits);
/* [A-Za-z0-9] first, then also those of `more`: asset codes and labels. */
bool json_in_is_word(struct json_in_text text, const char *more);

#endif
