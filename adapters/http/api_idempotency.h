/* api_idempotency.h - idempotency keys as clients send them. Pure. Untrusted input. */
#ifndef HOLDFAST_API_IDEMPOTENCY_H
#define HOLDFAST_API_IDEMPOTENCY_H

#include "adapters/http/http.h"
#include "adapters/http/json_in.h"
#include "holdfast/hash.h"

#define API_IDEMPOTENCY_MAX 255u

/* A key of 1..255 visible ASCII characters. */
bool api_idempotency_valid(const char *text, size_t size);
/* The Idempotency-Key field: a bare key, or a structured-field string (RFC 8941 section 3.3.3; a
 * quoted key is the same key as the bare one). `out` takes API_IDEMPOTENCY_MAX bytes. Returns the
 * size; 0 when the field is absent, or malformed, which is a problem then. */
size_t api_idempotency_of(const struct http_request *request, char out[API_IDEMPOTENCY_MAX],
                          struct json_problem *problem);

#endif
