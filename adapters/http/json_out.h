/* json_out.h - a JSON writer into a growing buffer: the hot path's replies.
 *
 * Owner: one loop; a buffer is reused for one reply after the other. Pure but for memory.
 * Limits: none of its own; what is written is bounded by its callers. Nothing here can fail.
 * Commas are the writer's business; balanced brackets and keys in objects are the caller's. */
#ifndef HOLDFAST_JSON_OUT_H
#define HOLDFAST_JSON_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "holdfast/amount.h"

struct json_out {
  char *at;
  size_t size; /* written so far */
  size_t room;
  bool comma; /* the next value or key needs one before it */
};

void json_out_deinit(struct json_out *out);
/* Forgets what was written; keeps the memory unless one large reply made it grow far. */
void json_out_clear(struct json_out *out);

void json_out_begin_object(struct json_out *out);
void json_out_end_object(struct json_out *out);
void json_out_begin_array(struct json_out *out);
void json_out_end_array(struct json_out *out);

/* `key` is a literal that needs no escaping. */
#define json_out_key(out, key) json_out_quoted_key(out, "\"" key "\":", sizeof("\"" key "\":") - 1)
void json_out_quoted_key(struct json_out *out, const char *quoted, size_t size);
/* A key that is only known at run time; escaped. */
void json_out_key_text(struct json_out *out, const char *key, size_t size);

void json_out_text(struct json_out *out, const char *text, size_t size); /* UTF-8; escaped */
void json_out_string(struct json_out *out, const char *text);            /* terminated */
/* Ready JSON: one complete value. */
void json_out_raw(struct json_out *out, const char *json, size_t size);
/* A value that was written before, once more: `size` bytes from out->at + start. */
void json_out_again(struct json_out *out, size_t start, size_t size);
void json_out_unsigned(struct json_out *out, uint64_t value);
void json_out_bool(struct json_out *out, bool value);
void json_out_null(struct json_out *out);
void json_out_id(struct json_out *out, uint64_t id); /* a decimal string */
void json_out_amount(struct json_out *out, hf_amount amount, unsigned scale);
void json_out_time(struct json_out *out, int64_t unix_us);
void json_out_hex(struct json_out *out, const void *data, size_t size);
/* Canonical text of a parsed value: keys in byte order, no blanks, the shortest number text that
 * reads back as the same number. The same value always has the same bytes. */
void json_out_value(struct json_out *out, const json_t *value);

#endif
