/* api_schema.h - the shapes of requests and replies, for the OpenAPI document.
 *
 * Owner: constant data. Request shapes are closed: a field that is not named is refused. Reply
 * shapes are open, so that fields can be added. The e2e test holds real replies against them. */
#ifndef HOLDFAST_API_SCHEMA_H
#define HOLDFAST_API_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum api_type {
  API_TEXT,  /* more: further keywords, such as "maxLength":64; NULL: none */
  API_WORD,  /* a string out of `more`: words separated by blanks */
  API_WORDS, /* an array of such; more NULL: of any strings */
  API_ID,
  API_AMOUNT, /* a decimal string */
  API_TIME,
  API_INTEGER, /* more: further keywords */
  API_BOOLEAN,
  API_OBJECT,  /* any object */
  API_REF,     /* more: a schema's name */
  API_LIST,    /* an array of those */
  API_MAP,     /* an object whose values are those */
  API_SWITCHES /* an object whose values are booleans */
};

struct api_field {
  const char *name;
  uint8_t type; /* enum api_type */
  bool required;
  bool nullable;
  const char *more;
  const char *text;    /* what it means */
  const char *example; /* JSON; NULL: none */
};

struct api_schema {
  const char *name;
  const char *text;
  bool closed; /* a request */
  const struct api_field *fields;
  size_t fields_count;
};

extern const struct api_schema api_schemas[];
extern const size_t api_schemas_count;

/* NULL when there is none. */
const struct api_schema *api_schema_find(const char *name);

#endif
