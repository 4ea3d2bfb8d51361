/* error.h - the one error table: C name, wire code, HTTP status, retryable, title.
 *
 * A problem's `code`, its status, the docs and the OpenAPI document all come from here. */
#ifndef HOLDFAST_ERROR_H
#define HOLDFAST_ERROR_H

#include <stdbool.h>

/* X(NAME, code, status, retryable, title) */
#define HF_ERRORS(X)                                                                               \
  /* malformed: the ledger never saw it */                                                         \
  X(BAD_REQUEST, "bad_request", 400, false, "The request is not valid HTTP/1.1")                   \
  X(INVALID_JSON, "invalid_json", 400, false, "The body is not valid JSON")                        \
  X(INVALID_BODY, "invalid_body", 400, false, "The body has the wrong shape")                      \
  X(MISSING_FIELD, "missing_field", 400, false, "A required field is missing")                     \
  X(UNKNOWN_FIELD, "unknown_field", 400, false, "The body has a field that is not known")          \
  X(INVALID_FIELD, "invalid_field", 400, false, "A field has an invalid value")                    \
  X(INVALID_AMOUNT, "invalid_amount", 400, false, "An amount is not a valid decimal string")       \
  X(INVALID_ID, "invalid_id", 400, false, "An identifier is malformed")                            \
  X(INVALID_CURSOR, "invalid_cursor", 400, false, "The cursor does not belong to this query")      \
  X(INVALID_QUERY, "invalid_query", 400, false, "A query parameter is invalid")                    \
  X(INVALID_TIME, "invalid_time", 400, false, "A time is malformed or out of range")               \
  X(KEY_REQUIRED, "idempotency_key_required", 400, false, "Idempotency-Key is required here")      \
  X(INVALID_KEY, "invalid_idempotency_key", 400, false, "Idempotency-Key is malformed")            \
  X(UNAUTHENTICATED, "unauthenticated", 401, false, "A valid credential is required")              \
  X(FORBIDDEN, "forbidden", 403, false, "The credential lacks the scope for this")                 \
  X(ROUTE_NOT_FOUND, "route_not_found", 404, false, "No such route")                               \
  X(USER_NOT_FOUND, "user_not_found", 404, false, "No such user")                                  \
  X(OP_NOT_FOUND, "op_not_found", 404, false, "No such operation")                                 \
  X(ENTRY_NOT_FOUND, "entry_not_found", 404, false, "No such entry")                               \
  X(KEY_NOT_FOUND, "key_not_found", 404, false, "No such service key")                             \
  X(METHOD_NOT_ALLOWED, "method_not_allowed", 405, false, "The route does not take this method")   \
  X(NOT_ACCEPTABLE, "not_acceptable", 406, false, "No acceptable representation")                  \
  X(REQUEST_TIMEOUT, "request_timeout", 408, true, "The request did not arrive in time")           \
  X(PAYLOAD_TOO_LARGE, "payload_too_large", 413, false, "The body is larger than the limit")       \
  X(URI_TOO_LONG, "uri_too_long", 414, false, "The request line is too long")                      \
  X(UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", 415, false, "Send application/json")         \
  X(EXPECTATION_FAILED, "expectation_failed", 417, false, "The expectation cannot be met")         \
  X(HEADERS_TOO_LARGE, "headers_too_large", 431, false, "The header block is too large")           \
  X(NOT_IMPLEMENTED, "not_implemented", 501, false, "The transfer coding is not supported")        \
  X(HTTP_VERSION, "http_version_not_supported", 505, false, "Only HTTP/1.0 and 1.1 are spoken")    \
  /* refused by the ledger: outcomes, remembered for the key */                                    \
  X(ASSET_NOT_FOUND, "asset_not_found", 404, false, "No such asset")                               \
  X(HOLD_NOT_FOUND, "hold_not_found", 404, false, "No such hold")                                  \
  X(BLOCK_NOT_FOUND, "block_not_found", 404, false, "No such block")                               \
  X(PROOF_NOT_FOUND, "proof_not_found", 404, false, "No seal has this user yet")                   \
  X(ORIGINAL_NOT_FOUND, "original_not_found", 404, false, "The operation to reverse is not there") \
  X(INSUFFICIENT_FUNDS, "insufficient_funds", 409, false, "The balance does not cover the amount") \
  X(HOLD_RESOLVED, "hold_resolved", 409, false, "The hold was captured or voided before")          \
  X(HOLD_EXPIRED, "hold_expired", 409, false, "The hold has expired")                              \
  X(AMOUNT_EXCEEDS_HOLD, "amount_exceeds_hold", 409, false, "More than what the hold has left")    \
  X(BLOCK_RESOLVED, "block_resolved", 409, false, "The block was lifted before")                   \
  X(AMOUNT_EXCEEDS_BLOCK, "amount_exceeds_block", 409, false, "More than what the block has left") \
  X(ALREADY_REVERSED, "already_reversed", 409, false, "The operation is reversed already")         \
  X(VERSION_MISMATCH, "version_mismatch", 409, false, "The user's version is another")             \
  X(USER_CLOSED, "user_closed", 409, false, "The user is closed")                                  \
  X(INVALID_TRANSITION, "invalid_transition", 409, false, "Not allowed in this state")             \
  X(ASSET_MISMATCH, "asset_mismatch", 409, false, "The asset is not that of what is referred to")  \
  X(SELF_TRANSFER, "self_transfer", 409, false, "Payer and payee are the same user")               \
  X(AMOUNT_OVERFLOW, "amount_overflow", 409, false, "A balance would leave the 128-bit range")     \
  X(LIMIT_EXCEEDED, "limit_exceeded", 409, false, "A limit of this user is reached")               \
  X(BATCH_ABORTED, "batch_aborted", 409, false, "Another item of the atomic batch was refused")    \
  X(CROSS_USER_ATOMIC, "cross_user_atomic", 409, false, "An atomic batch is for one user")         \
  /* refused by state outside the ledger core */                                                   \
  X(IN_PROGRESS, "request_in_progress", 409, true, "A request with this key is still running")     \
  X(ASSET_CONFLICT, "asset_conflict", 409, false, "The asset exists with other properties")        \
  X(EXTERNAL_ID_TAKEN, "external_id_taken", 409, false, "Another user has this external id")       \
  X(KEY_CONFLICT, "key_conflict", 409, false, "A service key of this id exists")                   \
  X(IDEMPOTENCY_CONFLICT, "idempotency_conflict", 422, false, "The key was used for another body") \
  /* try again */                                                                                  \
  X(RATE_LIMITED, "rate_limited", 429, true, "Too many requests")                                  \
  X(OVERLOADED, "overloaded", 429, true, "Too much is waiting for this user or server")            \
  X(INTERNAL, "internal", 500, false, "An invariant broke; the operation did not happen")          \
  X(UNAVAILABLE, "unavailable", 503, true, "The store does not answer; nothing is lost")           \
  X(UNKNOWN_OUTCOME, "unknown_outcome", 503, true, "Retry with the same key to learn the outcome") \
  X(TIMEOUT, "timeout", 503, true, "Not finished in time; retry with the same key")                \
  X(DRAINING, "draining", 503, true, "The server is stopping")                                     \
  X(CONNECTION_LIMIT, "too_many_connections", 503, true, "The server has too many connections")

enum hf_error {
  HF_OK = 0,
#define X(name, code, status, retryable, title) HF_E_##name,
  HF_ERRORS(X)
#undef X
    HF_ERROR_COUNT
};

struct hf_error_info {
  const char *code;
  unsigned short status;
  bool retryable;
  const char *title;
};

/* CHECKs the range; HF_OK has code "ok" and status 200. */
const struct hf_error_info *hf_error_info(enum hf_error error);
/* The error of a wire code; HF_OK when there is none. For importers and clients. */
enum hf_error hf_error_by_code(const char *code);

#endif
